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


class Stagnation:
    """stagnation (AB401)

    What it sees:
        The share of anything new falls to nothing and stays there, whoever speaks
        and in whatever order.

    Why it matters:
        It is what all runaways have in common, so it also catches the kinds that
        nobody has named yet.

    Example:
        An orchestrator issues the same instruction in other words each time.

        >>> from agentbreaker import Guard, Message
        >>> said = ["Please open the price list.", "Show me the prices, please.",
        ...         "The price list, please.", "Open the prices."]
        >>> guard = Guard()
        >>> for turn in range(8):
        ...     message = Message("c", "orchestrator", content=said[turn % 4])
        ...     decision = guard.observe(message)
        >>> decision.code, decision.action.value
        ('AB401', 'halt')

    What resets it:
        New information, a tool result that was not there before, a turn of the
        user.

    Known false positives:
        Long restatements without any new fact, such as a final report that
        repeats all that was said.

    Known evasions:
        Words or figures that the conversation has not had, in each message,
        whatever they mean: ten words are enough (see AB601 to AB603). Random
        letters, hashes, clocks, other alphabets and other names are seen through.

    Options:
        ``detectors.weight`` (messages' worth; default 0.9): evidence of one message
            with nothing new.
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
        G. Lorden, Procedures for reacting to a change in distribution, Annals of
            Mathematical Statistics 42 (1971), 1897-1908: no test that is as rarely
            wrong is quicker in the worst case.
    """

    code: ClassVar[str] = "AB401"
    name: ClassVar[str] = "stagnation"
    title: ClassVar[str] = "Stagnation"

    __slots__ = ("_evidence", "_floor", "_limit", "_weight")

    def __init__(self, settings: PolicySettings) -> None:
        self._weight = settings.detectors.weight
        self._limit = settings.ladder.halt or MAX_EVIDENCE
        self._floor = report_floor(settings)
        self._evidence = Evidence()

    def observe(self, seen: Observation) -> Signal | None:
        """Add up emptiness; drain on progress."""
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
        evidence.add(talk_evidence(seen, self._weight), seen)
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
