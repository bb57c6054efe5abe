"""AB301 exact-repeat."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from agentbreaker.detectors.base import ROUND_DRAIN, Evidence, report_floor
from agentbreaker.novelty import Kind, Round
from agentbreaker.verdict import MAX_EVIDENCE

if TYPE_CHECKING:
    from agentbreaker.config import PolicySettings
    from agentbreaker.novelty import Observation
    from agentbreaker.verdict import Signal

__all__ = ["ExactRepeat"]


class ExactRepeat:
    """exact-repeat (AB301)

    What it sees:
        The same tool call with the same result, or the same agent sending the
        same message, again and again with nothing new in between. A call is
        compared together with its result: the same call with a new result is
        progress.

    Why it matters:
        An agent that repeats a call word for word and gets the same answer will
        do so until someone stops it.

    Example:
        The same call with the same result: the first is work, what follows is
        evidence.

        >>> from agentbreaker import Guard, Message, Tool
        >>> guard = Guard()
        >>> for turn in range(6):
        ...     tool = Tool("get_plan", str(turn), {"id": "P1002"})
        ...     _ = guard.observe(Message("c", "a", "env", "tool_call", tool=tool))
        ...     tool = Tool("get_plan", str(turn), result="Plan: basic")
        ...     answer = Message("c", "env", "a", "tool_result", tool=tool)
        ...     decision = guard.observe(answer)
        >>> decision.code, decision.action.value
        ('AB301', 'halt')

    What resets it:
        A new call or a new result, talk that brings something new, a turn of the
        user.

    Known false positives:
        Polling a job whose status does not change: raise ``ladder.halt``, or let
        the poll report a moving figure.

    Known evasions:
        A counter or a random argument in a call whose result stays the same and
        is no failure: that is another call. Other characters for the same
        arguments are seen through.

    Options:
        ``ladder.warn`` (repeats; default 2.75)
        ``ladder.steer`` (repeats; default 3.25)
        ``ladder.finish`` (repeats; default off)
        ``ladder.halt`` (repeats; default 4): repeats at which each rung is reached.

    Reference:
        E. S. Page, Continuous inspection schemes, Biometrika 41 (1954), 100-115:
            the one-sided CUSUM.
        M. Cemri et al., Why do multi-agent LLM systems fail?, arXiv:2503.13657
            (2025): step repetition.
    """

    code: ClassVar[str] = "AB301"
    name: ClassVar[str] = "exact-repeat"
    title: ClassVar[str] = "Exact repeat"

    __slots__ = ("_evidence", "_floor", "_limit")

    def __init__(self, settings: PolicySettings) -> None:
        self._limit = settings.ladder.halt or MAX_EVIDENCE
        self._floor = report_floor(settings)
        self._evidence = Evidence()

    def observe(self, seen: Observation) -> Signal | None:
        """Count repeats; drain on anything new."""
        evidence = self._evidence
        kind = seen.kind
        if kind is Kind.TALK:
            if not seen.repeated:
                # Each message with some news takes away what one repeat added.
                evidence.drain(1.0 - seen.emptiness)
                return None
        elif kind is Kind.OUTSIDE:
            evidence.outside(seen)
            return None
        elif seen.round is not Round.EXACT_REPEAT:
            evidence.drain(ROUND_DRAIN.get(seen.round, 0.0))
            return None
        evidence.add(1.0, seen)
        if evidence.value < self._floor:
            return None
        return evidence.signal(self.code, seen, self._limit, "exact repeats", laps=evidence.messages)

    @property
    def at_rest(self) -> bool:
        """Whether there is no evidence that progress could drain."""
        return self._evidence.value <= 0.0

    def reset(self) -> None:
        """Forget all evidence."""
        self._evidence.clear()
