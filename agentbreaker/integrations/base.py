"""What the integration of any framework needs: to ask the guard, to remember what it said, and to say why it ended.

Frameworks differ in how they are stopped; what is true of a stop does not.  No framework is imported here.  A further
integration derives its breaker from :class:`WatchedBreaker`, shows messages to its :class:`Watch`, and asks it before
each step; CONTRIBUTING.md has a whole one as an example.
"""

from __future__ import annotations

import functools
import logging
import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Concatenate, Generic, Literal, ParamSpec, Protocol, TypeVar, cast

from agentbreaker.errors import ConversationHalted, ConversationHaltedError
from agentbreaker.guard import Guard
from agentbreaker.integrations.spending import Spending
from agentbreaker.verdict import Action, Decision, State

if TYPE_CHECKING:
    from agentbreaker.message import Message
    from agentbreaker.policy import Policy
    from agentbreaker.pricing import Pricing
    from agentbreaker.reservation import Reservation

__all__ = [
    "FINAL_NAME",
    "Bounded",
    "Halts",
    "OnHalt",
    "Once",
    "StandingHalt",
    "Watch",
    "WatchedBreaker",
    "contained",
    "final_answer",
]

#: Who speaks in the final answer of a conversation that was finished.
FINAL_NAME = "agentbreaker"

#: Halted conversations that are remembered; of older ones only the breaker's own record is left.
_MAX_HALTS = 4096

#: What the caller gets on a halt: a last answer that says why, or an exception.
OnHalt = Literal["finish", "exception"]

_PASSING = (State.METRICS_ONLY, State.DISABLED)

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
        in_flight: Model and tool calls that had begun when it was halted, and had not ended.
        refused: Model and tool calls, and steps of agents, that were kept from beginning since.
    """

    decision: Decision
    in_flight: int = 0
    refused: int = 0


class Halts:
    """The latest halt of each conversation.  Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._halts: OrderedDict[str, StandingHalt] = OrderedDict()

    def note(self, conversation_id: str, decision: Decision, in_flight: int) -> StandingHalt:
        """Note a halt, once: a later call for the same opening of the breaker changes nothing."""
        with self._lock:
            halt = self._halts.get(conversation_id)
            if halt is None or halt.decision.generation != decision.generation:
                halt = self._halts[conversation_id] = StandingHalt(decision, in_flight)
                self._halts.move_to_end(conversation_id)
                if len(self._halts) > _MAX_HALTS:
                    self._halts.popitem(last=False)
            return halt

    def refuse(self, conversation_id: str) -> None:
        """Count a step that was kept from beginning."""
        with self._lock:
            if (halt := self._halts.get(conversation_id)) is not None:
                halt.refused += 1

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


class Watch:
    """The guard, and what a breaker has to remember between two hooks of one conversation.

    Args:
        guard: The guard that decides; by default a new one.
        policy: Policy of that new guard; not together with `guard`.
        conversation_id: One conversation for everything.
        on_halt: What the caller gets.
        pricing: Prices of models; by default the offline tables of genai-prices.
        halts: The record of halts, if several breakers share one.

    Attributes:
        guard: The guard that decides.
        conversation_id: The one conversation for everything, or ``None``.
        on_halt: What the caller gets.
        faults: Failures of our own that were contained, counted by type.
        withheld: In shadow mode, what would have been done, counted by action for each message.
        halts: What was in flight when a conversation was halted, and how many steps were refused since.
        spending: Holds and prices model calls.

    Raises:
        TypeError: Both a guard and a policy are given.
        ValueError: `on_halt` is none of the two.
    """

    def __init__(
        self,
        guard: Guard | None = None,
        policy: Policy | None = None,
        conversation_id: str | None = None,
        on_halt: str = "exception",
        *,
        pricing: Pricing | None = None,
        halts: Halts | None = None,
    ) -> None:
        if guard is not None and policy is not None:
            raise TypeError("give either a guard or the policy for a new one, not both")
        if on_halt not in ("finish", "exception"):
            raise ValueError(f"on_halt must be 'finish' or 'exception', not {on_halt!r}")
        self.guard = guard if guard is not None else Guard(policy)
        self.conversation_id = conversation_id
        self.on_halt = on_halt
        self.faults: Counter[str] = Counter()
        self.withheld: Counter[Action] = Counter()
        self.halts = halts if halts is not None else Halts()
        self.spending = Spending(self.guard, pricing)
        self._lock = threading.Lock()
        self._in_flight: Counter[str] = Counter()
        self._steer: Bounded[str, bool] = Bounded()

    def contain(self, where: str, error: Exception) -> None:
        """Count a failure of ours and go on: it is never the agents' problem."""
        self.faults[type(error).__name__] += 1
        _log.warning("%s failed with %s; the agents go on", where, type(error).__name__)

    # Seeing.

    def observe(self, messages: Iterable[Message]) -> Decision | None:
        """Show messages to the guard; return the decision that opened the breaker or found it open, if one did."""
        opened = None
        for message in messages:
            decision = self.guard.observe(message)
            if decision.action.opens:
                opened = opened or decision
                self.note(message.conversation_id, decision)
            elif decision.action is Action.STEER:
                self._steer[message.conversation_id] = True
            elif decision.would is not None:
                self.withheld[decision.would] += 1
        return opened

    # Stopping.

    def note(self, conversation_id: str, decision: Decision) -> None:
        """Note that a conversation is halted, with what is in flight at this moment."""
        self.halts.note(conversation_id, decision, self.flying(conversation_id))

    def standing(self, conversation_id: str) -> Decision | None:
        """Return why the next step of a conversation must not begin; ``None`` if it may."""
        try:
            self.guard.check(conversation_id)
        except (ConversationHalted, ConversationHaltedError) as halted:
            self.note(conversation_id, halted.decision)
            return halted.decision
        return None

    def refuses(self, conversation_id: str) -> Decision | None:
        """Do what :meth:`standing` does, and count the step that is kept from beginning."""
        decision = self.standing(conversation_id)
        if decision is not None:
            self.halts.refuse(conversation_id)
        return decision

    def holds(
        self,
        conversation_id: str,
        prompt: Callable[[], int],
        *,
        most: int | None = None,
        model: str | None = None,
    ) -> tuple[Decision | None, Reservation | None]:
        """Ask whether a model call may begin, and hold what it can cost; see :meth:`Spending.hold`.

        Returns:
            Why it may not, which is counted as a refusal; or what is held for it, if there is a budget.
        """
        try:
            return None, self.spending.hold(conversation_id, prompt, most=most, model=model)
        except (ConversationHalted, ConversationHaltedError) as halted:
            if self.guard.state(conversation_id) in _PASSING:
                return None, None
            self.note(conversation_id, halted.decision)
            self.halts.refuse(conversation_id)
            return halted.decision, None
        except Exception as error:
            self.contain("a reservation", error)
            return None, None

    def admits(
        self,
        conversation_id: str,
        prompt: Callable[[], int],
        *,
        most: int | None = None,
        model: str | None = None,
    ) -> tuple[Decision | None, Reservation | None]:
        """Do what :meth:`refuses` and then :meth:`holds` do; a failure of ours lets the call pass."""
        try:
            decision = self.refuses(conversation_id)
        except Exception as error:
            self.contain("a model call", error)
            return None, None
        return (decision, None) if decision is not None else self.holds(conversation_id, prompt, most=most, model=model)

    def raises(self, decision: Decision) -> bool:
        """Whether the caller gets this decision as an exception."""
        return self.on_halt == "exception" and decision.action is not Action.FINISH

    # Steering.

    def steers(self, conversation_id: str) -> bool:
        """Whether the agents have to be told that nothing new comes."""
        return conversation_id in self._steer

    def steering(self, conversation_id: str) -> bool:
        """Whether the agents have to be told now; tells the guard that they are."""
        with self._lock:
            due = self._steer.pop(conversation_id, False)
        if due:
            self.guard.steered(conversation_id)
        return due

    # What is in flight.

    def begin(self, conversation_id: str) -> None:
        """Note that a model or tool call has begun."""
        with self._lock:
            self._in_flight[conversation_id] += 1

    def end(self, conversation_id: str) -> None:
        """Note that a model or tool call has ended."""
        with self._lock:
            self._in_flight[conversation_id] -= 1
            if self._in_flight[conversation_id] <= 0:
                del self._in_flight[conversation_id]

    def flying(self, conversation_id: str) -> int:
        """Model and tool calls that have begun and not ended."""
        return self._in_flight.get(conversation_id, 0)

    @contextmanager
    def call(self, conversation_id: str) -> Iterator[None]:
        """Count a model or tool call while it lasts."""
        self.begin(conversation_id)
        try:
            yield
        finally:
            self.end(conversation_id)


class WatchedBreaker:
    """What the breakers of all frameworks show of their :class:`Watch`.

    Attributes:
        guard: The guard, to ask for the incident and to reset.
    """

    _watch: Watch

    @property
    def guard(self) -> Guard:
        """The guard, to ask for the incident and to reset."""
        return self._watch.guard

    @property
    def pricing(self) -> Pricing:
        """The prices, to ask for what is unpriced."""
        return self._watch.spending.pricing

    @property
    def faults(self) -> Counter[str]:
        """Failures of our own that were contained, counted by type; empty when all is well."""
        return self._watch.faults

    @property
    def withheld(self) -> Counter[Action]:
        """In shadow mode, what would have been done, counted by action for each message."""
        return self._watch.withheld

    @property
    def halts(self) -> Halts:
        """What was in flight when a conversation was halted, and how many steps were refused since."""
        return self._watch.halts
