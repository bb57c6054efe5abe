"""AB101 tight-cycle."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from agentbreaker.detectors.base import Evidence, drain_talk, report_floor
from agentbreaker.novelty import Kind, Round
from agentbreaker.verdict import MAX_EVIDENCE

if TYPE_CHECKING:
    from agentbreaker.config import PolicySettings
    from agentbreaker.novelty import Observation
    from agentbreaker.verdict import Signal

__all__ = ["TightCycle"]


class TightCycle:
    """tight-cycle (AB101)

    What it sees:
        The same agents go round and round, lap after lap, and whole laps bring nothing new.  A lap is closed when
        the walk from speaker to speaker returns; the order within a lap does not matter, nor does who speaks twice.

    Why it matters:
        Every lap sends the whole history again, so the cost of a ring grows with the square of its laps.

    Example:
        ``a -> b -> c -> a`` with "noted, over to you" in other words each time: evidence after each closed lap.

    What resets it:
        A lap that brings something new, a tool result that was not there before, a turn of the user, other agents.

    Known false positives:
        A short exchange of figures that the conversation already had, such as reading a table back aloud.

    Known evasions:
        Talk that keeps producing new words about nothing (see AB602 and AB603, which no wording evades).

    Options:
        ``detectors.weight`` (evidence of one message with nothing new), ``novelty.*`` (what a message must bring),
        ``ladder.*`` (limits).
    """

    code: ClassVar[str] = "AB101"
    name: ClassVar[str] = "tight-cycle"
    title: ClassVar[str] = "Tight cycle"

    __slots__ = ("_cycle", "_evidence", "_floor", "_laps", "_limit", "_open", "_weight", "_worked")

    def __init__(self, settings: PolicySettings) -> None:
        self._weight = settings.detectors.weight
        self._limit = settings.ladder.halt or MAX_EVIDENCE
        self._floor = report_floor(settings)
        self._evidence = Evidence()
        self._cycle: frozenset[str] = frozenset()
        self._laps = 0
        # Evidence of the lap that is not closed yet.
        self._open = 0.0
        self._worked = False

    def observe(self, seen: Observation) -> Signal | None:
        """Add up the lap; when it closes, count it."""
        if seen.kind is Kind.TALK:
            self._open += seen.emptiness
        else:
            drain_talk(self._evidence, seen)
            if seen.kind is Kind.OUTSIDE or Round.NONE < seen.round < Round.STALE_FAILURE:
                # A lap with tool work in it is empty only if the tool's answer was.
                self._worked = True
        if seen.cycle is None:
            return None
        gained, worked = self._open, self._worked
        # The message that closes a lap is the first of the next one.
        self._open = seen.emptiness if seen.kind is Kind.TALK else 0.0
        self._worked = False
        if worked:
            return None
        gained -= self._open
        evidence = self._evidence
        cycle = frozenset(seen.cycle)
        if cycle != self._cycle:
            evidence.clear()
            self._laps = 0
            self._cycle = cycle
        if gained <= 0.0:
            evidence.drain(-gained * self._weight)
            if evidence.value <= 0.0:
                self._laps = 0
            return None
        evidence.add(gained * self._weight, seen)
        self._laps += 1
        if evidence.value < self._floor:
            return None
        signal = evidence.signal(self.code, seen, self._limit, "messages with nothing new", laps=self._laps)
        signal.agents = seen.cycle
        return signal

    def reset(self) -> None:
        """Forget all evidence."""
        self._evidence.clear()
        self._cycle = frozenset()
        self._laps = 0
        self._open = 0.0
        self._worked = False
