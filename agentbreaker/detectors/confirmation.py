"""AB201 confirmation-ping-pong."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from agentbreaker.detectors.base import Evidence, drain_talk, report_floor, talk_evidence
from agentbreaker.novelty import Kind
from agentbreaker.verdict import MAX_EVIDENCE

if TYPE_CHECKING:
    from agentbreaker.config import PolicySettings
    from agentbreaker.novelty import Observation
    from agentbreaker.verdict import Signal

__all__ = ["ConfirmationPingPong"]

#: Of the messages in the run, at least one in this many must acknowledge or repeat a fixed prompt.
_ONE_IN = 3
#: A message acknowledges if at least this share of its words does.
_ACKNOWLEDGING_SHARE = 0.08


class ConfirmationPingPong:
    """confirmation-ping-pong (AB201)

    What it sees:
        Agents acknowledge, thank, confirm, summarise, offer help or nag, between two or in a mesh, in any order, and
        nothing new comes of it.  Wording that only confirms is one weak signal on top of the missing information.

    Why it matters:
        It is the commonest way for agents to burn a budget after the work is done: polite, endless, and different
        in every message, so that no comparison of texts catches it.

    Example:
        "Great, thank you!" - "You are welcome, glad we agree." - "Likewise, well done, team." and so on.

    What resets it:
        New figures, names or code; a tool result that was not there before; a turn of the user.

    Known false positives:
        Two agents that read agreed facts back to each other many times in short messages.

    Known evasions:
        Padding with rare words that tell nothing (see AB602 and AB603).

    Options:
        ``detectors.weight``, ``detectors.acknowledgement``, ``novelty.*``, ``ladder.*``.
    """

    code: ClassVar[str] = "AB201"
    name: ClassVar[str] = "confirmation-ping-pong"
    title: ClassVar[str] = "Confirmation ping-pong"

    __slots__ = ("_bonus", "_confirming", "_evidence", "_floor", "_limit", "_weight")

    def __init__(self, settings: PolicySettings) -> None:
        self._weight = settings.detectors.weight
        self._bonus = settings.detectors.acknowledgement
        self._limit = settings.ladder.halt or MAX_EVIDENCE
        self._floor = report_floor(settings)
        self._evidence = Evidence()
        self._confirming = 0

    def observe(self, seen: Observation) -> Signal | None:
        """Add up talk that brings nothing; drain on progress."""
        evidence = self._evidence
        if seen.kind is not Kind.TALK:
            if evidence.value > 0.0:
                drain_talk(evidence, seen)
            return None
        emptiness = seen.emptiness
        if emptiness <= 0.0:
            if evidence.value > 0.0:
                evidence.drain(-emptiness * self._weight)
            return None
        if evidence.value <= 0.0:
            self._confirming = 0
        evidence.add(talk_evidence(seen, self._weight, self._bonus), seen)
        if seen.acknowledging >= _ACKNOWLEDGING_SHARE or seen.repeated:
            self._confirming += 1
        if evidence.value < self._floor or len(evidence.agents) < 2 or self._confirming * _ONE_IN < evidence.messages:
            return None
        return evidence.signal(self.code, seen, self._limit, "messages with nothing new")

    @property
    def at_rest(self) -> bool:
        """Whether there is no evidence that progress could drain."""
        return self._evidence.value <= 0.0

    def reset(self) -> None:
        """Forget all evidence."""
        self._evidence.clear()
        self._confirming = 0
