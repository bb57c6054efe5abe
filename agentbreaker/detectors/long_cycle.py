"""AB102 long-cycle."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from agentbreaker.detectors.base import Evidence, drain_talk, report_floor, talk_evidence
from agentbreaker.novelty import Kind
from agentbreaker.verdict import MAX_EVIDENCE

if TYPE_CHECKING:
    from agentbreaker.config import PolicySettings
    from agentbreaker.novelty import Observation
    from agentbreaker.verdict import Signal

__all__ = ["LongCycle"]

#: Agents that are in a circle at the same time; beyond it, the one that was silent for longest is forgotten.
_MAX_MEMBERS = 64
#: A circle that was silent for so many messages is forgotten.
_WINDOW = 256
_LAPS = 2

#: Share of the progress that others make of which a circle gets the benefit: it may lead them.
_OTHERS = 0.06


class _Circle:
    """Agents that have sent each other messages with nothing new.

    Attributes:
        evidence: Of their messages.
        sent, got: Who of them has sent such a message within the run, and who has been sent one.
        latest: Index of the latest such message.
    """

    __slots__ = ("evidence", "got", "latest", "sent")

    def __init__(self) -> None:
        self.evidence = Evidence()
        self.sent: set[str] = set()
        self.got: set[str] = set()
        self.latest = 0

    @property
    def members(self) -> set[str]:
        """Names of all agents in it."""
        return self.sent | self.got

    @property
    def closed(self) -> bool:
        """Whether everybody in it has both sent and been sent something: the circle can go round."""
        return self.sent == self.got


class LongCycle:
    """long-cycle (AB102)

    What it sees:
        A part of the system, of two to sixty agents, that only talks to itself
        and brings nothing new, while the others may well be at work. Every agent
        of it sends to and hears from another one of it, in any order and over any
        number of steps.

    Why it matters:
        In a busy fleet the productive messages of all the others hide a loop in a
        corner from whoever looks at the conversation as a whole.

    Example:
        Two agents hand their turn to and fro; a third one works.

        >>> from agentbreaker import Guard, Message
        >>> names = "Lisbon Oslo Quito Hanoi Accra Tunis Sofia Lagos Kyoto Dakar"
        >>> guard = Guard()
        >>> for turn, city in enumerate(names.split()):
        ...     a, b = ("ann", "bob") if turn % 2 else ("bob", "ann")
        ...     work = f"Depot {city} counted {turn * 37 + 411} pallets of glass"
        ...     _ = guard.observe(Message("c", "eve", "log", content=work))
        ...     decision = guard.observe(Message("c", a, b, content="Over to you."))
        >>> decision.code, decision.action.value
        ('AB102', 'halt')

    What resets it:
        A message with something new, or a new tool result, to or from one of
        these agents; a turn of the user to one of them, or to everybody. News
        among others takes a little away, as these may be their leads.

    Known false positives:
        Two agents of a fleet that only keep each other alive ("still there?"),
        while the work is done elsewhere.

    Known evasions:
        Messages that name no recipient belong to no circle (AB101, AB201 and
        AB401 see them). Words or figures that the conversation has not had, in
        each message, whatever they mean (see AB601 to AB603).

    Options:
        ``detectors.weight`` (messages' worth; default 0.9): evidence of one message
            with nothing new.
        ``novelty.base`` (units of information; default 1)
        ``novelty.per_word`` (units for each distinct word; default 0.65)
        ``novelty.ceiling`` (units of information; default 24): with these three:
            what a message must bring to be neutral.
        ``ladder.warn`` (messages' worth; default 2.75)
        ``ladder.steer`` (messages' worth; default 3.25)
        ``ladder.finish`` (messages' worth; default off)
        ``ladder.halt`` (messages' worth; default 4): evidence at which each rung is
            reached.

    Reference:
        R. E. Tarjan, Efficiency of a good but not linear set union algorithm,
            Journal of the ACM 22 (1975), 215-225: circles that meet become one.
        E. S. Page, Continuous inspection schemes, Biometrika 41 (1954), 100-115:
            the one-sided CUSUM.
    """

    code: ClassVar[str] = "AB102"
    name: ClassVar[str] = "long-cycle"
    title: ClassVar[str] = "Long cycle"

    __slots__ = ("_circles", "_floor", "_limit", "_weight")

    def __init__(self, settings: PolicySettings) -> None:
        self._weight = settings.detectors.weight
        self._limit = settings.ladder.halt or MAX_EVIDENCE
        self._floor = report_floor(settings)
        # The circle of each agent that is in one, the agent that spoke latest at the end.
        self._circles: dict[str, _Circle] | None = None

    def observe(self, seen: Observation) -> Signal | None:
        """Add up what brings nothing, circle by circle; drain on progress that reaches the circle."""
        circles = self._circles
        if seen.kind is Kind.TALK and seen.emptiness > 0.0:
            if seen.recipient is None or seen.recipient == seen.sender:
                return None
            if circles is None:
                circles = self._circles = {}
            return self._add(circles, seen)
        if circles:
            self._drain(circles, seen)
        return None

    def _add(self, circles: dict[str, _Circle], seen: Observation) -> Signal | None:
        sender, recipient = seen.sender, seen.recipient or ""
        circle = self._living(circles, sender, seen.index)
        other = self._living(circles, recipient, seen.index)
        if circle is None:
            circle = other or _Circle()
        elif other is not None and other is not circle:
            circle = _joined(circle, other)
            for member in circle.members:
                circles[member] = circle
        circle.sent.add(sender)
        circle.got.add(recipient)
        circle.latest = seen.index
        for member in (recipient, sender):
            circles.pop(member, None)
            circles[member] = circle
        while len(circles) > _MAX_MEMBERS:
            self._dissolve(circles, circles[next(iter(circles))])
        evidence = circle.evidence
        evidence.add(talk_evidence(seen, self._weight), seen)
        if evidence.value < self._floor or not circle.closed:
            return None
        laps = evidence.messages // len(circle.sent)
        if laps < _LAPS:
            return None
        return evidence.signal(self.code, seen, self._limit, "messages with nothing new", laps=laps)

    def _living(self, circles: dict[str, _Circle], agent: str, index: int) -> _Circle | None:
        circle = circles.get(agent)
        if circle is not None and index - circle.latest > _WINDOW:
            self._dissolve(circles, circle)
            return None
        return circle

    def _drain(self, circles: dict[str, _Circle], seen: Observation) -> None:
        if seen.recipient is None:
            touched = set(circles.values())
        else:
            touched = {circle for agent in (seen.sender, seen.recipient) if (circle := circles.get(agent)) is not None}
        talk = seen.kind is Kind.TALK
        for circle in set(circles.values()) if talk else touched:
            if talk:
                share = 1.0 if circle in touched else _OTHERS
                circle.evidence.drain(-seen.emptiness * self._weight * share)
            else:
                drain_talk(circle.evidence, seen)
            if circle.evidence.value <= 0.0:
                self._dissolve(circles, circle)
        if not circles:
            self._circles = None

    @staticmethod
    def _dissolve(circles: dict[str, _Circle], circle: _Circle) -> None:
        for member in circle.members:
            circles.pop(member, None)

    @property
    def at_rest(self) -> bool:
        """Whether there is no circle that progress could drain."""
        return not self._circles

    def reset(self) -> None:
        """Forget all circles."""
        self._circles = None


def _joined(one: _Circle, other: _Circle) -> _Circle:
    """The circle that two become; the stronger evidence stands, as the sum would count one silence twice."""
    strong, weak = (one, other) if one.evidence.value >= other.evidence.value else (other, one)
    strong.sent |= weak.sent
    strong.got |= weak.got
    return strong
