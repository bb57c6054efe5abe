"""AB603 cost-budget."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from agentbreaker.detectors.base import cap_signal

if TYPE_CHECKING:
    from agentbreaker.config import PolicySettings
    from agentbreaker.novelty import Observation
    from agentbreaker.verdict import Signal

__all__ = ["CostBudget"]


class CostBudget:
    """cost-budget (AB603)

    What it sees:
        The conversation has gone beyond ``budgets.max_cost_usd`` (prices as
        reported on the messages).

    Why it matters:
        A counted cap depends on no wording and on no other detector: it holds
        whatever else fails.

    Example:
        The cap is passed, whatever the conversation is about.

        >>> from agentbreaker import Guard, Message, Policy
        >>> guard = Guard(Policy(budgets={"max_cost_usd": 0.5}))
        >>> for part in ("hull", "mast", "rudder", "keel"):
        ...     message = Message("c", "ann", content=part, cost_usd=0.15)
        ...     decision = guard.observe(message)
        >>> decision.code, decision.reason
        ('AB603', 'Cost budget: 0.6 US dollars, limit 0.5')

    What resets it:
        Only a person: ``guard.reset()``. The totals are kept, so a higher budget
        is needed to go on.

    Known false positives:
        A budget that is too small for the work.

    Known evasions:
        None within one conversation; work moved to a new conversation id starts
        at zero.

    Options:
        ``budgets.max_cost_usd`` (US dollars; default no cap): cost of the whole
            conversation.

    Reference:
        OWASP Top 10 for LLM Applications 2025, LLM10: unbounded consumption.
        M. T. Nygard, Release It!, 2nd edition, Pragmatic Bookshelf 2018: the
            circuit breaker.
    """

    code: ClassVar[str] = "AB603"
    name: ClassVar[str] = "cost-budget"
    title: ClassVar[str] = "Cost budget"

    __slots__ = ("_limit",)

    def __init__(self, settings: PolicySettings) -> None:
        self._limit = settings.budgets.max_cost_usd

    def observe(self, seen: Observation) -> Signal | None:
        """Compare the total with the cap."""
        if self._limit is None or not seen.cost_usd > self._limit:
            return None
        return cap_signal(self.code, seen, seen.cost_usd, self._limit, "US dollars")

    def reset(self) -> None:
        """Nothing to forget: the totals belong to the conversation."""
