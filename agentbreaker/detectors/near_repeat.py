"""AB302 near-repeat."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from agentbreaker.detectors.base import ROUND_DRAIN, ROUND_EVIDENCE, Evidence, report_floor
from agentbreaker.novelty import Kind, Round
from agentbreaker.verdict import MAX_EVIDENCE

if TYPE_CHECKING:
    from agentbreaker.config import PolicySettings
    from agentbreaker.novelty import Observation
    from agentbreaker.verdict import Signal

__all__ = ["NearRepeat"]


class NearRepeat:
    """near-repeat (AB302)

    What it sees:
        Tool calls that differ only in counters, clocks, identifiers or order, or
        are worded anew, and get the same failure or empty answer each time; and
        the same call with the same result but for clocks, identifiers and figures
        that go on by one; and calls that differ in their figures alone and get,
        time after time, the same answer of several words. Exact repeats count
        too, so that a mix of both adds up.
        Several calls of one batch are one decision of the agent and count once.

    Why it matters:
        Trying id after id against "not found", or the same search in other words,
        defeats every exact comparison.

    Example:
        Id after id is tried, and none is found.

        >>> from agentbreaker import Guard, Message, Tool
        >>> guard = Guard()
        >>> for turn in range(9):
        ...     tool = Tool("get", str(turn), {"id": f"P{1006 + turn}"})
        ...     _ = guard.observe(Message("c", "a", "env", "tool_call", tool=tool))
        ...     tool = Tool("get", str(turn), result="Error: not found")
        ...     answer = Message("c", "env", "a", "tool_result", tool=tool)
        ...     decision = guard.observe(answer)
        >>> decision.code, decision.action.value
        ('AB302', 'halt')

    What resets it:
        A result that was not there before, a call that succeeds after it had
        failed, a turn of the user.

    Known false positives:
        Working through a long list in which most entries are rightly missing.

    Known evasions:
        Inventing a different tool each time.

    Options:
        ``ladder.warn`` (repeats; default 2.75)
        ``ladder.steer`` (repeats; default 3.25)
        ``ladder.finish`` (repeats; default off)
        ``ladder.halt`` (repeats; default 4): evidence at which each rung is
            reached; a near repeat is 0.75, a failure that may pass by itself 0.6, a
            new call with the same failure 0.5, an exact repeat 1, waiting 0.1.

    Reference:
        P. He, J. Zhu, Z. Zheng and M. R. Lyu, Drain: an online log parsing approach
            with fixed depth tree, ICWS 2017: texts compared with their parameters
            masked.
        A. Z. Broder, On the resemblance and containment of documents, SEQUENCES
            1997: texts as sets, without their order.
        E. S. Page, Continuous inspection schemes, Biometrika 41 (1954), 100-115:
            the one-sided CUSUM.
    """

    code: ClassVar[str] = "AB302"
    name: ClassVar[str] = "near-repeat"
    title: ClassVar[str] = "Near repeat"

    __slots__ = ("_evidence", "_floor", "_limit")

    def __init__(self, settings: PolicySettings) -> None:
        self._limit = settings.ladder.halt or MAX_EVIDENCE
        self._floor = report_floor(settings)
        self._evidence = Evidence()

    def observe(self, seen: Observation) -> Signal | None:
        """Add up rounds that got nowhere; drain on a new result."""
        evidence = self._evidence
        if seen.kind is Kind.OUTSIDE:
            evidence.outside(seen)
            return None
        worth = seen.round
        if worth is Round.NONE:
            return None
        amount = ROUND_EVIDENCE.get(worth)
        if amount is None:
            evidence.drain(ROUND_DRAIN.get(worth, 0.0))
            return None
        evidence.add(amount, seen)
        if evidence.value < self._floor:
            return None
        return evidence.signal(self.code, seen, self._limit, "rounds with the same answer", laps=evidence.messages)

    @property
    def at_rest(self) -> bool:
        """Whether there is no evidence that progress could drain."""
        return self._evidence.value <= 0.0

    def reset(self) -> None:
        """Forget all evidence."""
        self._evidence.clear()
