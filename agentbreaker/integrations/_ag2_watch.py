"""What the integrations of AG2 1.x and of its old API have in common: ask the guard, and remember what it said."""

from __future__ import annotations

import logging
from collections import Counter, OrderedDict
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from agentbreaker.errors import ConversationHalted, ConversationHaltedError
from agentbreaker.guard import Guard
from agentbreaker.integrations.base import Halts
from agentbreaker.message import Message, Usage
from agentbreaker.verdict import Action, Decision

if TYPE_CHECKING:
    from agentbreaker.policy import Policy

__all__ = ["Bounded", "OnHalt", "Watch", "add_usage", "tokens"]

OnHalt = Literal["finish", "exception"]
_MAX_KEPT = 4096
_log = logging.getLogger("agentbreaker")
_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class Bounded(OrderedDict[_Key, _Value], Generic[_Key, _Value]):
    """A dictionary that forgets its oldest entry when it is full."""

    def __setitem__(self, key: _Key, value: _Value) -> None:
        super().__setitem__(key, value)
        if len(self) > _MAX_KEPT:
            self.popitem(last=False)


def tokens(value: Any) -> int:
    """Read a count of tokens that a framework tells; what is no positive number counts as 0."""
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1e12:
        return int(value)
    return 0


def add_usage(one: Usage | None, other: Usage | None) -> Usage | None:
    """Add what two model calls cost; ``None`` if nothing is known of either."""
    if one is None or other is None:
        return one or other
    return Usage(
        one.input_tokens + other.input_tokens,
        one.output_tokens + other.output_tokens,
        one.cache_read_input_tokens + other.cache_read_input_tokens,
        one.cache_creation_input_tokens + other.cache_creation_input_tokens,
        one.reasoning_output_tokens + other.reasoning_output_tokens,
    )


class Watch:
    """The guard, and what a breaker has to remember between two hooks of one conversation.

    Attributes:
        guard: The guard that decides.
        conversation_id: The one conversation for everything, or ``None``.
        on_halt: What the caller of an agent gets.
        faults, withheld, halts: As on the breakers.
    """

    def __init__(self, guard: Guard | None, policy: Policy | None, conversation_id: str | None, on_halt: str) -> None:
        if guard is not None and policy is not None:
            raise TypeError("give either a guard or the policy for a new one, not both")
        if on_halt not in ("finish", "exception"):
            raise ValueError(f"on_halt must be 'finish' or 'exception', not {on_halt!r}")
        self.guard = guard if guard is not None else Guard(policy)
        self.conversation_id = conversation_id
        self.on_halt = on_halt
        self.faults: Counter[str] = Counter()
        self.withheld: Counter[Action] = Counter()
        self.halts = Halts()
        self._in_flight: Counter[str] = Counter()
        self._steer: Bounded[str, bool] = Bounded()

    def contain(self, where: str, error: Exception) -> None:
        """Count a failure of ours and go on: it is never the agents' problem."""
        self.faults[type(error).__name__] += 1
        _log.warning("%s failed with %s; the agents go on", where, type(error).__name__)

    def observe(self, messages: Iterable[Message]) -> Decision | None:
        """Show messages to the guard; return the decision that opened the breaker or found it open, if one did."""
        opened = None
        for message in messages:
            decision = self.guard.observe(message)
            if decision.action.opens:
                opened = opened or decision
                self.halts.note(message.conversation_id, decision, self._in_flight[message.conversation_id])
            elif decision.action is Action.STEER:
                self._steer[message.conversation_id] = True
            elif decision.would is not None:
                self.withheld[decision.would] += 1
        return opened

    def standing(self, conversation_id: str) -> Decision | None:
        """Return why the next step of a conversation must not begin; ``None`` if it may."""
        try:
            self.guard.check(conversation_id)
        except (ConversationHalted, ConversationHaltedError) as halted:
            self.halts.note(conversation_id, halted.decision, self._in_flight[conversation_id])
            return halted.decision
        return None

    def refuses(self, conversation_id: str) -> Decision | None:
        """Do what :meth:`standing` does, and count the step that is kept from beginning."""
        decision = self.standing(conversation_id)
        if decision is not None:
            self.halts.refuse(conversation_id)
        return decision

    def steers(self, conversation_id: str) -> bool:
        """Whether the agents have to be told that nothing new comes."""
        return conversation_id in self._steer

    def steering(self, conversation_id: str) -> bool:
        """Whether the agents have to be told now; tells the guard that they are."""
        if self._steer.pop(conversation_id, False):
            self.guard.steered(conversation_id)
            return True
        return False

    def begin(self, conversation_id: str) -> None:
        """Note that a model or tool call has begun."""
        self._in_flight[conversation_id] += 1

    def end(self, conversation_id: str) -> None:
        """Note that a model or tool call has ended."""
        self._in_flight[conversation_id] -= 1
        if self._in_flight[conversation_id] <= 0:
            del self._in_flight[conversation_id]

    def raises(self, decision: Decision) -> bool:
        """Whether the caller gets this decision as an exception."""
        return self.on_halt == "exception" and decision.action is not Action.FINISH
