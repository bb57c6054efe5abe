"""The halt in the form that Agent Framework lets pass, and what contains our own faults."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Concatenate, ParamSpec, Protocol, TypeVar, cast

from agent_framework import MiddlewareFailure

from agentbreaker.errors import ConversationHalted, ConversationHaltedError

if TYPE_CHECKING:
    from collections import Counter

    from agentbreaker.guard import Guard
    from agentbreaker.verdict import Decision

__all__ = ["RunHalted", "RunHaltedError", "contained", "halted"]

_log = logging.getLogger("agentbreaker")


class RunHalted(ConversationHalted, MiddlewareFailure):
    """:class:`~agentbreaker.errors.ConversationHalted`, as the one signal that Agent Framework never absorbs.

    Whatever else a middleware raises around a tool becomes an error that the model reads; a ``MiddlewareFailure``
    ends the run, cancels the tools that run beside it, and fails a workflow so that it can be resumed.  By that it is
    an ``Exception`` too: code that swallows those is stopped again at its next model or tool call.
    """


class RunHaltedError(ConversationHaltedError, MiddlewareFailure):
    """:class:`~agentbreaker.errors.ConversationHaltedError`, likewise; for guards with ``halt_as="exception"``."""


def halted(guard: Guard, decision: Decision, conversation_id: str) -> RunHalted | RunHaltedError:
    """Return the exception that ends a run of an agent or of a workflow."""
    form = RunHaltedError if guard.halted_type is ConversationHaltedError else RunHalted
    return form(decision, conversation_id)


class _Faulty(Protocol):
    @property
    def faults(self) -> Counter[str]: ...


_P = ParamSpec("_P")
_R = TypeVar("_R")
_S = TypeVar("_S", bound=_Faulty)


def contained(hook: Callable[Concatenate[_S, _P], _R]) -> Callable[Concatenate[_S, _P], _R | None]:
    """Let no fault of ours reach the user's agents: it is counted, and logged by its type."""

    @functools.wraps(hook)
    def wrapper(self: _S, /, *args: _P.args, **kwargs: _P.kwargs) -> _R | None:
        try:
            return hook(self, *args, **kwargs)
        except Exception as error:
            self.faults[type(error).__name__] += 1
            _log.warning("%s failed with %s; the agents go on", hook.__name__, type(error).__name__)
            return None

    return cast("Callable[Concatenate[_S, _P], _R | None]", wrapper)
