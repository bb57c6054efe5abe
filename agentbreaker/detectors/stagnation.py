"""AB401 stagnation."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from agentbreaker.detectors.base import Evidence, drain_talk, report_floor, talk_evidence
from agentbreaker.novelty import Kind
from agentbreaker.verdict import MAX_EVIDENCE

if TYPE_CHECKING:
    from agentbreaker.config import PolicySettings
    from agentbreaker.novelty import Observation
    from agentbreaker.verdict import Signal

__all__ = ["Stagnation"]

#: What the thoughts of a single agent weigh, against talk among several.
_MONOLOGUE_SHARE = 0.25


class Stagnation:
    """stagnation (AB401)

    What it sees:
        The share of anything new falls to nothing and stays there, whoever speaks and in whatever order.

    Why it matters:
        It is what all runaways have in common, so it also catches the kinds that nobody has named yet.

    Example:
        An orchestrator that issues the same instruction in other words, and a worker that returns the same page.

    What resets it:
        New information, a tool result that was not there before, a turn of the user.

    Known false positives:
        Long restatements without any new fact, such as a final report that repeats all that was said.

    Known evasions:
        Padding with rare words that tell nothing (see AB602 and AB603).

    Options:
        ``detectors.weight``, ``detectors.acknowledgement``, ``novelty.*``, ``ladder.*``.
    """

    code: ClassVar[str] = "AB401"
    name: ClassVar[str] = "stagnation"
    title: ClassVar[str] = "Stagnation"

    __slots__ = ("_bonus", "_evidence", "_floor", "_limit", "_weight", "_with_tools")

    def __init__(self, settings: PolicySettings) -> None:
        self._weight = settings.detectors.weight
        self._bonus = settings.detectors.acknowledgement
        self._limit = settings.ladder.halt or MAX_EVIDENCE
        self._floor = report_floor(settings)
        self._evidence = Evidence()
        self._with_tools = False

    def observe(self, seen: Observation) -> Signal | None:
        """Add up emptiness; drain on progress."""
        evidence = self._evidence
        if seen.kind is not Kind.TALK:
            if seen.kind is Kind.RESULT:
                self._with_tools = True
            if evidence.value > 0.0:
                drain_talk(evidence, seen)
            return None
        emptiness = seen.emptiness
        if emptiness <= 0.0:
            if evidence.value > 0.0:
                evidence.drain(-emptiness * self._weight)
            return None
        if evidence.value <= 0.0:
            self._with_tools = False
        amount = talk_evidence(seen, self._weight, self._bonus)
        evidence.add(amount, seen)
        if self._with_tools and len(evidence.agents) < 2:
            # One agent thinking aloud between its tool calls: its rounds tell more than its thoughts.
            evidence.drain(amount * (1.0 - _MONOLOGUE_SHARE))
        if evidence.value < self._floor:
            return None
        return evidence.signal(self.code, seen, self._limit, "messages with nothing new")

    @property
    def at_rest(self) -> bool:
        """Whether there is no evidence that progress could drain."""
        return self._evidence.value <= 0.0

    def reset(self) -> None:
        """Forget all evidence."""
        self._evidence.clear()
