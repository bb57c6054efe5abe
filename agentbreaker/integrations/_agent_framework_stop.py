"""The halt in the form that Agent Framework lets pass."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_framework import MiddlewareFailure

from agentbreaker.errors import ConversationHalted, ConversationHaltedError

if TYPE_CHECKING:
    from agentbreaker.guard import Guard
    from agentbreaker.verdict import Decision

__all__ = ["RunHalted", "RunHaltedError", "halted"]


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
