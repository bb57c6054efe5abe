"""What the breaker of any framework does: show messages to the guard, ask it before each step, remember its answers.

An integration derives its breaker from :class:`WatchedBreaker`, shows messages to its :class:`Watch`, and asks it
before each model call and each tool; CONTRIBUTING.md has a whole one as an example.  No framework is imported here.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Self

from agentbreaker.errors import ConversationHalted, ConversationHaltedError
from agentbreaker.guard import Guard
from agentbreaker.integrations.base import Bounded, Halts
from agentbreaker.integrations.spending import Spending
from agentbreaker.verdict import Action, Decision, State

if TYPE_CHECKING:
    from types import TracebackType

    from agentbreaker.message import Message, Usage
    from agentbreaker.policy import Policy
    from agentbreaker.pricing import Bill, Pricing
    from agentbreaker.reservation import Reservation

__all__ = ["ModelCall", "Watch", "WatchedBreaker"]

_PASSING = (State.METRICS_ONLY, State.DISABLED)

_log = logging.getLogger("agentbreaker")


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

    def model_call(
        self,
        conversation_id: str,
        prompt: Callable[[], int],
        *,
        most: int | None = None,
        model: str | None = None,
    ) -> ModelCall:
        """Ask whether a model call may begin, and hold what it can cost if there is a budget.

        A call that may not is counted as refused; a failure of ours lets the call pass.

        Args:
            conversation_id: Whose call it is.
            prompt: Counts the tokens that the model will read at most; asked only if there is a budget.
            most: Tokens that it may write; by default the ceiling of the pricing.
            model: Its name, ``None`` if it is not known before it answers.
        """
        refusal, held = None, None
        try:
            refusal = self.refuses(conversation_id)
            if refusal is None:
                held = self.spending.hold(conversation_id, prompt, most=most, model=model)
        except (ConversationHalted, ConversationHaltedError) as halted:
            if self.guard.state(conversation_id) not in _PASSING:
                refusal = halted.decision
                self.note(conversation_id, refusal)
                self.halts.refuse(conversation_id)
        except Exception as error:
            self.contain("a model call", error)
        return ModelCall(self, conversation_id, refusal, held)

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


class ModelCall(AbstractContextManager["ModelCall"]):
    """A model call that may begin, or not; made by :meth:`Watch.model_call`.

    The ``with`` block is the call itself: it is in flight, and what is held for it is given back at the end, unless
    :meth:`bill` has said what it cost.  Where the end comes later, as that of a stream, use :meth:`begin` and
    :meth:`close`.

    Attributes:
        refusal: Why the call must not begin; then the block must not be entered.
    """

    __slots__ = ("_begun", "_conversation_id", "_held", "_watch", "refusal")

    def __init__(self, watch: Watch, conversation_id: str, refusal: Decision | None, held: Reservation | None) -> None:
        self.refusal = refusal
        self._watch = watch
        self._conversation_id = conversation_id
        self._held = held
        self._begun = False

    def begin(self) -> None:
        """Note that the call has begun."""
        self._begun = True
        self._watch.begin(self._conversation_id)

    def bill(self, usage: Usage | None, model: str | None, cost_usd: float | None = None) -> Bill | None:
        """Return what the call cost, for the message that tells of it; see :meth:`Spending.bill`."""
        held, self._held = self._held, None
        return self._watch.spending.bill(usage, model, held, cost_usd)

    def close(self) -> None:
        """Note that the call is over, however it ended; a second time does nothing."""
        if self._begun:
            self._begun = False
            self._watch.end(self._conversation_id)
        held, self._held = self._held, None
        if held is not None:
            held.settle()

    def __enter__(self) -> Self:
        self.begin()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class WatchedBreaker:
    """What the breakers of all frameworks show of their :class:`Watch`.

    Attributes:
        guard: The guard, to ask for the incident and to reset.
    """

    _watch: Watch

    def contain(self, where: str, error: Exception) -> None:
        """Count a failure of ours and go on; what :func:`~agentbreaker.integrations.base.contained` asks for."""
        self._watch.contain(where, error)

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
