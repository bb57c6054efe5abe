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
        Agents acknowledge, thank, confirm, summarise, offer help or nag, between
        two or in a mesh, in any order, and nothing new comes of it. Wording that
        only confirms is one weak signal on top of the missing information.

    Why it matters:
        It is the commonest way for agents to burn a budget after the work is
        done: polite, endless, and different in every message, so that no
        comparison of texts catches it.

    Example:
        Two agents thank each other when the work is done.

        >>> from agentbreaker import Guard, Message
        >>> said = ["Great, thank you!", "You are welcome, glad we agree.",
        ...         "Likewise, well done, team.", "Perfect, thanks again."]
        >>> guard = Guard()
        >>> for turn in range(8):
        ...     message = Message("c", "ab"[turn % 2], content=said[turn % 4])
        ...     decision = guard.observe(message)
        >>> decision.code, decision.action.value
        ('AB201', 'halt')

    What resets it:
        New figures, names or code; a tool result that was not there before; a
        turn of the user.

    Known false positives:
        Two agents that read agreed facts back to each other many times in short
        messages.

    Known evasions:
        Words or figures that the conversation has not had, in each message,
        whatever they mean: ten words are enough (see AB601 to AB603). Random
        letters, hashes, clocks, other alphabets and other names are seen through.

    Options:
        ``detectors.confirmation_weight`` (messages' worth; default 0.85):
            evidence of one message with nothing new.
        ``detectors.acknowledgement`` (share of a message; default 2.5): added to
            the emptiness, times the share of words that only confirm; the sum is
            at most 1.
        ``novelty.base`` (units of information; default 1)
        ``novelty.per_word`` (units for each distinct word; default 0.65)
        ``novelty.ceiling`` (units of information; default 24): with these three:
            what a message must bring to be neutral.
        ``novelty.drain`` (messages' worth; default 1): the most that one message
            takes away.
        ``novelty.allowance`` (share of a message; default 0.55): the most that is
            allowed to long talk for being usual.
        ``ladder.warn`` (messages' worth; default 2.75)
        ``ladder.steer`` (messages' worth; default 3.25)
        ``ladder.finish`` (messages' worth; default off)
        ``ladder.halt`` (messages' worth; default 4): evidence at which each rung is
            reached.

    Reference:
        E. S. Page, Continuous inspection schemes, Biometrika 41 (1954), 100-115:
            the one-sided CUSUM.
        C. E. Shannon, A mathematical theory of communication, Bell System Technical
            Journal 27 (1948), 379-423: information as surprisal.
        M. Cemri et al., Why do multi-agent LLM systems fail?, arXiv:2503.13657
            (2025): agents unaware that they are done.
    """

    code: ClassVar[str] = "AB201"
    name: ClassVar[str] = "confirmation-ping-pong"
    title: ClassVar[str] = "Confirmation ping-pong"

    __slots__ = ("_bonus", "_confirming", "_evidence", "_floor", "_limit", "_weight")

    def __init__(self, settings: PolicySettings) -> None:
        self._weight = settings.detectors.confirmation_weight
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
