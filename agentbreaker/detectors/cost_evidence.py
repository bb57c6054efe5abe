"""Evidence of cost, which says nothing of progress: enough to warn and to steer, not enough to halt by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentbreaker.detectors.base import Evidence, report_floor
from agentbreaker.novelty import Kind
from agentbreaker.verdict import MAX_EVIDENCE

if TYPE_CHECKING:
    from agentbreaker.config import PolicySettings
    from agentbreaker.novelty import Observation
    from agentbreaker.verdict import Signal

__all__ = ["CostEvidence"]

#: By itself, cost reaches this share of the lowest rung that opens the breaker.
_SHARE_OF_HALT = 0.9
#: Level from which it counts what the messages bring.
_SUSPECT = 2.0
#: Talk is empty if the running mean of its emptiness is at least this; the mean moves by this share with a message.
_EMPTY = 0.4
_MEAN_RATE = 1.0 / 16.0

_TALK = Kind.TALK


class CostEvidence:
    """A level of cost, and what makes it a reason to halt: talk that brings nothing meanwhile, or an extreme level.

    A legitimate conversation may become large or expensive.  So the level alone stays below the lowest rung that opens
    the breaker; only messages with nothing new, or an extreme, go beyond it.
    One object for each run of a level above zero.
    """

    __slots__ = ("_ceiling", "_evidence", "_excess", "_floor", "_limit", "_mean")

    def __init__(self, settings: PolicySettings) -> None:
        ladder = settings.ladder
        self._limit = ladder.halt or MAX_EVIDENCE
        self._ceiling = _SHARE_OF_HALT * (ladder.finish or self._limit)
        self._floor = report_floor(settings)
        self._evidence = Evidence()
        self._excess = 0.0
        self._mean = 0.0

    def weigh(self, level: float, seen: Observation, *, extreme: bool = False) -> None:
        """Take one message into account.

        Args:
            level: Level of cost, in messages' worth, above 0.
            seen: The message.
            extreme: The level is a reason to halt by itself.
        """
        emptiness = 0.0
        if seen.kind is _TALK:
            emptiness = max(-1.0, seen.emptiness)
            self._mean += (emptiness - self._mean) * _MEAN_RATE
        excess = self._excess
        if emptiness < 0.0 < excess and not extreme:
            excess = max(0.0, excess + emptiness)
        elif level >= _SUSPECT:
            if extreme:
                excess += 1.0
            elif emptiness > 0.0 and self._mean >= _EMPTY:
                excess += emptiness
        self._excess = excess = min(excess, MAX_EVIDENCE)
        evidence = self._evidence
        evidence.add(min(level, self._ceiling) + excess - evidence.value, seen)

    def signal(self, code: str, seen: Observation, unit: str, laps: int) -> Signal | None:
        """Make the signal, if there is enough to speak of."""
        evidence = self._evidence
        if evidence.value < self._floor:
            return None
        return evidence.signal(code, seen, self._limit, unit, laps=laps)
