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
# Members of an enumeration are slow to reach, and these are met on every message.
_TALK = Kind.TALK
_NO_ROUND = Round.NONE


class TightCycle:
    """tight-cycle (AB101)

    What it sees:
        The same agents go round and round, lap after lap, and whole laps bring
        nothing new. A lap is closed when the walk from speaker to speaker
        returns; the order within a lap does not matter, nor does who speaks
        twice.

    Why it matters:
        Every lap sends the whole history again, so the cost of a ring grows with
        the square of its laps.

    Example:
        Two agents hand the turn to and fro, in other words each time.

        >>> from agentbreaker import Guard, Message
        >>> said = ["Passed on to you.", "Over to you now.", "It is your turn.",
        ...         "You go on, please.", "Take it from here."]
        >>> guard = Guard()
        >>> for turn in range(10):
        ...     a, b = ("ann", "bob") if turn % 2 else ("bob", "ann")
        ...     decision = guard.observe(Message("c", a, b, content=said[turn % 5]))
        >>> decision.code, decision.action.value
        ('AB101', 'halt')

    What resets it:
        A lap that brings something new, a tool result that was not there before,
        a turn of the user, other agents.

    Known false positives:
        A short exchange of figures that the conversation already had, such as
        reading a table back aloud.

    Known evasions:
        Words or figures that the conversation has not had, in each message,
        whatever they mean: ten words are enough (see AB601 to AB603). Random
        letters, hashes, clocks, other alphabets and other names are seen through.
        A new name for each message closes no lap; AB201 and AB401 see it then.

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
        G. F. Lawler, A self-avoiding random walk, Duke Mathematical Journal 47
            (1980), 655-693: the loop-erased walk, by which laps are found.
        E. S. Page, Continuous inspection schemes, Biometrika 41 (1954), 100-115:
            the one-sided CUSUM.
    """

    code: ClassVar[str] = "AB101"
    name: ClassVar[str] = "tight-cycle"
    title: ClassVar[str] = "Tight cycle"

    __slots__ = ("_before", "_cycle", "_evidence", "_floor", "_laps", "_limit", "_weight")

    def __init__(self, settings: PolicySettings) -> None:
        self._weight = settings.detectors.weight
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
        if seen.kind is _TALK:
            emptiness = seen.emptiness
            if emptiness > 0.0:
                evidence.add(talk_evidence(seen, self._weight), seen)
            elif evidence.value > 0.0:
                evidence.drain(-emptiness * self._weight)
        elif seen.round is not _NO_ROUND:
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
