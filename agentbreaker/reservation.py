"""Money held for a call before it begins: reserve, then settle."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, NamedTuple, Self

from agentbreaker.judgement import cap_of, trip_on_cap
from agentbreaker.verdict import State

if TYPE_CHECKING:
    from types import TracebackType

    from agentbreaker.clock import Clock
    from agentbreaker.conversation import Conversation
    from agentbreaker.judgement import Failures, Outcome
    from agentbreaker.policy import Policy
    from agentbreaker.verdict import Verdict

__all__ = ["Account", "Reservation", "account_of", "hold"]


class Account(NamedTuple):
    """What one conversation has used, and whether its agents are to be told something.

    Attributes:
        messages, tokens, cost_usd: Totals, as the budgets count them.
        unpriced_tokens: Of the tokens, those whose price is not known.
        held_tokens, held_usd: Held by reservations.
        steer_due: The policy steers, and nobody has said so to the agents yet (see :meth:`Guard.steered`).
    """

    messages: int = 0
    tokens: int = 0
    cost_usd: float = 0.0
    unpriced_tokens: int = 0
    held_tokens: int = 0
    held_usd: float = 0.0
    steer_due: bool = False


def account_of(conversation: Conversation | None) -> Account:
    """The account of a conversation, all of one moment; an empty one if it is not known."""
    if conversation is None:
        return Account()
    with conversation.lock:
        return Account(
            conversation.messages,
            conversation.tokens,
            conversation.cost_usd,
            conversation.unpriced_tokens,
            conversation.reserved_tokens,
            conversation.reserved_usd,
            conversation.steered and not conversation.told,
        )


class Reservation(AbstractContextManager["Reservation"]):
    """Tokens and money held for a call that is about to begin; made by :meth:`Guard.reserve`.

    Leaving the ``with`` block without :meth:`settle` gives everything back.
    """

    __slots__ = ("_conversation", "_cost_usd", "_open", "_tokens")

    def __init__(self, conversation: Conversation, tokens: int, cost_usd: float) -> None:
        self._conversation = conversation
        self._tokens = tokens
        self._cost_usd = cost_usd
        self._open = True

    def settle(self, *, tokens: int = 0, cost_usd: float = 0.0) -> None:
        """Give the reservation back and record what the call really cost.

        Leave the amounts at 0 if the message that is observed afterwards carries them; give them here if not.
        Settling twice does nothing.

        Args:
            tokens: Tokens spent, input and output.
            cost_usd: US dollars spent.
        """
        with self._conversation.lock:
            if not self._open:
                return
            self._open = False
            conversation = self._conversation
            conversation.reserved_tokens -= self._tokens
            conversation.reserved_usd -= self._cost_usd
            if tokens > 0:
                conversation.tokens += tokens
            if cost_usd > 0:
                conversation.cost_usd += cost_usd

    def reduce(self, *, tokens: int = 0, cost_usd: float = 0.0) -> None:
        """Hold what the call really cost, from now until the message that carries it is counted.

        Between the end of a call and the message that tells of it others may begin; what is spent already must not
        look free to them.

        Args:
            tokens: Tokens spent, input and output.
            cost_usd: US dollars spent.
        """
        with self._conversation.lock:
            if self._open:
                self._conversation.reserved_tokens += tokens - self._tokens
                self._conversation.reserved_usd += cost_usd - self._cost_usd
                self._tokens, self._cost_usd = tokens, cost_usd

    def release(self) -> None:
        """Hold nothing any longer; the conversation's lock is held by the caller, who counts the call now."""
        if self._open:
            self._open = False
            self._conversation.reserved_tokens -= self._tokens
            self._conversation.reserved_usd -= self._cost_usd

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.settle()


def hold(
    conversation: Conversation, policy: Policy, clock: Clock, tokens: int, cost_usd: float
) -> Reservation | tuple[Outcome, Verdict, Failures]:
    """Hold an amount, or trip the breaker if a cap could be exceeded; then what came of it is returned."""
    failures: Failures = []
    with conversation.lock:
        held_tokens, held_usd = conversation.reserved_tokens + tokens, conversation.reserved_usd + cost_usd
        signal = cap_of(conversation, policy, clock.now(), held_tokens, held_usd)
        if signal is None or conversation.breaker.state in (State.DISABLED, State.METRICS_ONLY):
            conversation.reserved_tokens, conversation.reserved_usd = held_tokens, held_usd
            return Reservation(conversation, tokens, cost_usd)
        return *trip_on_cap(conversation, policy, signal, failures), failures
