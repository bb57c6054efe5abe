"""AB101 tight-cycle."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from agentbreaker.detectors.base import Evidence, drain_talk, report_floor, talk_evidence
from agentbreaker.novelty import Kind, Round
from agentbreaker.verdict import MAX_EVIDENCE

if TYPE_CHECKING:
    from agentbreaker.config import PolicySettings
    from agentbreaker.novelty import Observation
    from agentbreaker.verdict import Signal

__all__ = ["TightCycle"]

#: Laps of the same cycle before the detector speaks: one return is a reply, two are a pattern.
_LAPS = 2


class TightCycle:
    """tight-cycle (AB101)

    What it sees:
        The same agents go round and round, lap after lap, and whole laps bring nothing new.  A lap is closed when
        the walk from speaker to speaker returns; the order within a lap does not matter, nor does who speaks twice.

    Why it matters:
        Every lap sends the whole history again, so the cost of a ring grows with the square of its laps.

    Example:
        ``a -> b -> c -> a`` with "taken over, passed on to you" in other words each time.

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

    __slots__ = ("_before", "_bonus", "_cycle", "_evidence", "_floor", "_laps", "_limit", "_weight")

    def __init__(self, settings: PolicySettings) -> None:
        self._weight = settings.detectors.weight
        self._bonus = settings.detectors.acknowledgement
        self._limit = settings.ladder.halt or MAX_EVIDENCE
        self._floor = report_floor(settings)
        self._evidence = Evidence()
        self._cycle: frozenset[str] = frozenset()
        # Laps of this cycle that closed since the evidence began, and the cycle that closed just before it.
        self._laps = 0
        self._before: tuple[str, ...] | None = None

    def observe(self, seen: Observation) -> Signal | None:
        """Add up talk that brings nothing, count the laps, and speak when the same cycle has closed twice."""
        evidence = self._evidence
        if seen.kind is Kind.TALK:
            emptiness = seen.emptiness
            if emptiness > 0.0:
                evidence.add(talk_evidence(seen, self._weight, self._bonus), seen)
            elif evidence.value > 0.0:
                evidence.drain(-emptiness * self._weight)
        elif seen.round is not Round.NONE:
            # A lap with tool work in it is judged by its rounds (AB301, AB302).
            self.reset()
            return None
        elif evidence.value > 0.0:
            drain_talk(evidence, seen)
        cycle = seen.cycle
        if evidence.value <= 0.0:
            # Nothing held: all that may matter later is the cycle that has just closed.
            self._before = cycle
            self._laps = 0
            return None
        before = self._before
        if before is not None:
            self._before = None
            self._cycle = frozenset(before)
            self._laps = 1
        if cycle is not None:
            members = frozenset(cycle)
            if members != self._cycle:
                self._cycle = members
                self._laps = 0
            self._laps += 1
        if self._laps < _LAPS or evidence.value < self._floor:
            return None
        signal = evidence.signal(self.code, seen, self._limit, "messages with nothing new", laps=self._laps)
        signal.agents = tuple(agent for agent in signal.agents if agent in self._cycle)
        return signal

    def reset(self) -> None:
        """Forget all evidence."""
        self._evidence.clear()
        self._before = None
        self._cycle = frozenset()
        self._laps = 0
