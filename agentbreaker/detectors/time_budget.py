"""AB604 time-budget."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from agentbreaker.detectors.base import cap_signal

if TYPE_CHECKING:
    from agentbreaker.config import PolicySettings
    from agentbreaker.novelty import Observation
    from agentbreaker.verdict import Signal

__all__ = ["TimeBudget"]


class TimeBudget:
    """time-budget (AB604)

    What it sees:
        The conversation has gone beyond ``budgets.max_seconds`` (monotonic
        seconds since the first message).

    Why it matters:
        A counted cap depends on no wording and on no other detector: it holds
        whatever else fails.

    Example:
        The cap is passed, whatever the conversation is about.

        >>> from agentbreaker import Guard, Message, Policy, VirtualClock
        >>> clock = VirtualClock()
        >>> guard = Guard(Policy(budgets={"max_seconds": 60}), clock=clock)
        >>> for part in ("hull", "mast", "rudder", "keel"):
        ...     decision = guard.observe(Message("c", "ann", content=part))
        ...     clock.advance(25)
        >>> decision.code, decision.reason
        ('AB604', 'Time budget: 75 seconds, limit 60')

    What resets it:
        Only a person: ``guard.reset()``. The totals are kept, so a higher budget
        is needed to go on.

    Known false positives:
        A budget that is too small for the work.

    Known evasions:
        None within one conversation; work moved to a new conversation id starts
        at zero.

    Options:
        ``budgets.max_seconds`` (seconds; default no cap): time since the first
            message.

    Reference:
        M. T. Nygard, Release It!, 2nd edition, Pragmatic Bookshelf 2018: timeouts.
        OWASP Top 10 for LLM Applications 2025, LLM10: unbounded consumption.
    """

    code: ClassVar[str] = "AB604"
    name: ClassVar[str] = "time-budget"
    title: ClassVar[str] = "Time budget"

    __slots__ = ("_limit",)

    def __init__(self, settings: PolicySettings) -> None:
        self._limit = settings.budgets.max_seconds

    def observe(self, seen: Observation) -> Signal | None:
        """Compare the total with the cap."""
        if self._limit is None or not seen.seconds > self._limit:
            return None
        return cap_signal(self.code, seen, seen.seconds, self._limit, "seconds")

    def reset(self) -> None:
        """Nothing to forget: the totals belong to the conversation."""
