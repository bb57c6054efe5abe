"""AB304 artefact-churn."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from agentbreaker.artefacts import SAME_ARTEFACT
from agentbreaker.detectors.base import ROUND_DRAIN, Evidence, report_floor
from agentbreaker.novelty import Kind, Round
from agentbreaker.verdict import MAX_EVIDENCE

if TYPE_CHECKING:
    from agentbreaker.config import PolicySettings
    from agentbreaker.novelty import Observation
    from agentbreaker.verdict import Signal

__all__ = ["ArtefactChurn"]

#: Share of an artefact that is known, below which it is another one.
_OTHER = 0.4
#: A tool call with the artefact in it is often a try, whose result tells more: it counts this share.
_CALL_SHARE = 0.5

#: What a call that was not made before takes away where no results are on record.
_UNANSWERED_DRAIN = 1.0
#: What a remark that brings something new takes away, as a multiple: it is what the next version answers.
_REMARK = 2.0
#: Information with which a message is no churn, whatever it sends again: a prompt that bears the code and a new remark.
_NEWS = 16.0


class ArtefactChurn:
    """artefact-churn (AB304)

    What it sees:
        The same large artefact (report, plan, source file) is sent or written
        again and again with little change, and nobody says anything new about it.

    Why it matters:
        Each version is long and is re-sent with the history on every later call:
        polishing a finished report is the most expensive of all loops.

    Example:
        A writer sends the same report with one word changed, a dozen times.

        >>> from agentbreaker import Guard, Message
        >>> towns = "Lisbon Oslo Quito Hanoi Accra Tunis Sofia Lagos".split()
        >>> facts = "the depot is on schedule, its stock was counted twice again."
        >>> report = " ".join(f"{town}: {facts} So says {town}." for town in towns)
        >>> guard = Guard()
        >>> for turn in range(12):
        ...     version = report.replace("schedule", f"schedule {turn}", 1)
        ...     decision = guard.observe(Message("c", "writer", content=version))
        >>> decision.code, decision.action.value
        ('AB304', 'halt')

    What resets it:
        Another artefact; a remark, a tool result or a turn of the user that
        brings something new.

    Known false positives:
        A document that grows by one line at a time without any talk about it.

    Known evasions:
        Sending only the changed lines (they are judged as talk); more than three
        artefacts by turns of one sender.

    Options:
        ``detectors.weight`` (messages' worth; default 0.9): evidence of an artefact
            that is sent again unchanged.
        ``ladder.warn`` (messages' worth; default 2.75)
        ``ladder.steer`` (messages' worth; default 3.25)
        ``ladder.finish`` (messages' worth; default off)
        ``ladder.halt`` (messages' worth; default 4): evidence at which each rung is
            reached.

    Reference:
        A. Z. Broder, On the resemblance and containment of documents, Compression
            and Complexity of Sequences (1997), 21-29.
        E. S. Page, Continuous inspection schemes, Biometrika 41 (1954), 100-115:
            the one-sided CUSUM.
    """

    code: ClassVar[str] = "AB304"
    name: ClassVar[str] = "artefact-churn"
    title: ClassVar[str] = "Artefact churn"

    __slots__ = ("_evidence", "_floor", "_limit", "_weight")

    def __init__(self, settings: PolicySettings) -> None:
        self._weight = settings.detectors.weight
        self._limit = settings.ladder.halt or MAX_EVIDENCE
        self._floor = report_floor(settings)
        self._evidence = Evidence()

    def observe(self, seen: Observation) -> Signal | None:
        """Add up artefacts that are sent again; drain on another one, and on news about it."""
        evidence = self._evidence
        resent = seen.resent
        if resent is None or resent < SAME_ARTEFACT:
            if evidence.value > 0.0:
                self._drain(seen)
            return None
        news = seen.info / _NEWS
        if news < 1.0:
            share = _CALL_SHARE if seen.kind is Kind.CALL else 1.0
            evidence.add(self._weight * resent * (1.0 - news) * share, seen)
        if evidence.value < self._floor:
            return None
        return evidence.signal(self.code, seen, self._limit, "versions with little change", laps=evidence.messages)

    def _drain(self, seen: Observation) -> None:
        evidence = self._evidence
        if seen.resent is not None and seen.resent < _OTHER:
            evidence.drain(1.0)
        elif seen.kind is Kind.TALK:
            if seen.emptiness < 0.0:
                evidence.drain(-seen.emptiness * _REMARK)
        elif seen.kind is Kind.RESULT:
            evidence.drain(ROUND_DRAIN.get(seen.round, 0.0))
        elif seen.kind is Kind.CALL:
            # Without results on record, what else is tried stands for the news that they bring.
            if seen.round is Round.PROGRESS:
                evidence.drain(_UNANSWERED_DRAIN)
        elif seen.kind is Kind.OUTSIDE:
            evidence.outside(seen)

    @property
    def at_rest(self) -> bool:
        """Whether there is no evidence that progress could drain."""
        return self._evidence.value <= 0.0

    def reset(self) -> None:
        """Forget all evidence."""
        self._evidence.clear()
