"""What the integration of any framework needs: the text of a final answer, and the record of a halt.

Frameworks differ in how they are stopped; what is true of a stop does not.  No framework is imported here.
"""

from __future__ import annotations

import functools
import logging
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Concatenate, Generic, Literal, ParamSpec, Protocol, TypeVar, cast

from agentbreaker.verdict import Decision

__all__ = [
    "FINAL_NAME",
    "Bounded",
    "Halts",
    "OnHalt",
    "Once",
    "StandingHalt",
    "contained",
    "final_answer",
]

#: Who speaks in the final answer of a conversation that was finished.
FINAL_NAME = "agentbreaker"

#: Halted conversations that are remembered; of older ones only the breaker's own record is left.
_MAX_HALTS = 4096

#: What the caller gets on a halt: a last answer that says why, or an exception.
OnHalt = Literal["finish", "exception"]

_log = logging.getLogger("agentbreaker")

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")
_P = ParamSpec("_P")
_R = TypeVar("_R")


def final_answer(decision: Decision) -> str:
    """Return the text with which a finished conversation ends: that it was ended, and why; no agent's words."""
    return f"[agentbreaker] This conversation was ended: {decision.reason or 'it was stopped by hand'}."


@dataclass(slots=True)
class StandingHalt:
    """One halt of a conversation.

    Attributes:
        decision: Why.
        in_flight: Model and tool calls that had begun when it was halted, and go on to their end.
        refused: Model and tool calls, and steps of agents, that were kept from beginning since.
        cancelled: Model and tool calls that had begun and were cancelled; what they used is not known.
    """

    decision: Decision
    in_flight: int = 0
    refused: int = 0
    cancelled: int = 0


class Halts:
    """The latest halt of each conversation.  Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._halts: OrderedDict[str, StandingHalt] = OrderedDict()

    def note(self, conversation_id: str, decision: Decision, in_flight: int, cancelled: int = 0) -> StandingHalt:
        """Note a halt, once: a later call for the same opening of the breaker changes nothing."""
        with self._lock:
            halt = self._halts.get(conversation_id)
            if halt is None or halt.decision.generation != decision.generation:
                halt = self._halts[conversation_id] = StandingHalt(decision, in_flight, cancelled=cancelled)
                self._halts.move_to_end(conversation_id)
                if len(self._halts) > _MAX_HALTS:
                    self._halts.popitem(last=False)
            return halt

    def refuse(self, conversation_id: str) -> None:
        """Count a step that was kept from beginning."""
        with self._lock:
            if (halt := self._halts.get(conversation_id)) is not None:
                halt.refused += 1

    def cut(self, conversation_id: str, calls: int) -> None:
        """Count calls that were in flight as cancelled."""
        with self._lock:
            if (halt := self._halts.get(conversation_id)) is not None:
                halt.in_flight = max(0, halt.in_flight - calls)
                halt.cancelled += calls

    def of(self, conversation_id: str) -> StandingHalt | None:
        """The latest halt of a conversation, ``None`` if there was none."""
        with self._lock:
            return self._halts.get(conversation_id)


class Once:
    """A warning to the log that is given once, however often its cause occurs."""

    def __init__(self, text: str) -> None:
        self._text = text
        self.given = False

    def warn(self) -> None:
        """Give the warning, unless it was given."""
        if not self.given:
            self.given = True
            _log.warning(self._text)


class Bounded(OrderedDict[_Key, _Value], Generic[_Key, _Value]):
    """A dictionary that forgets its oldest entry when it is full."""

    def __setitem__(self, key: _Key, value: _Value) -> None:
        super().__setitem__(key, value)
        if len(self) > _MAX_HALTS:
            self.popitem(last=False)


class _Containing(Protocol):
    def contain(self, where: str, error: Exception) -> None: ...


_S = TypeVar("_S", bound=_Containing)


def contained(hook: Callable[Concatenate[_S, _P], _R]) -> Callable[Concatenate[_S, _P], _R | None]:
    """Let no fault of a method of ours reach the user's agents: it is counted, logged by its type, and ``None``."""

    @functools.wraps(hook)
    def wrapper(self: _S, /, *args: _P.args, **kwargs: _P.kwargs) -> _R | None:
        try:
            return hook(self, *args, **kwargs)
        except Exception as error:
            self.contain(hook.__name__, error)
            return None

    return cast("Callable[Concatenate[_S, _P], _R | None]", wrapper)
