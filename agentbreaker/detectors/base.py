"""What every detector is: a protocol, and the one-sided CUSUM that most of them sum their evidence up with."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Protocol, runtime_checkable

from agentbreaker.novelty import Kind, Round
from agentbreaker.verdict import MAX_EVIDENCE, Signal, score_of

if TYPE_CHECKING:
    from agentbreaker.config import PolicySettings
    from agentbreaker.novelty import Observation

__all__ = ["Detector", "Evidence", "Resting", "report_floor"]

_MAX_NAMES = 50
_MAX_IDS = 16


@runtime_checkable
class Detector(Protocol):
    """One way to notice that a conversation gets nowhere.  One object per conversation and detector.

    A detector keeps bounded state of its own, never raises on any message, and never looks at another conversation.
    """

    #: Code (``"AB201"``), stable for ever; kebab-case name; title for people.
    code: ClassVar[str]
    name: ClassVar[str]
    title: ClassVar[str]

    def __init__(self, settings: PolicySettings) -> None:
        """Take what is needed of the policy."""
        ...

    def observe(self, seen: Observation) -> Signal | None:
        """Update with one message; return a signal if there is something to say."""
        ...

    def reset(self) -> None:
        """Forget all evidence."""
        ...


@runtime_checkable
class Resting(Protocol):
    """What a detector may offer besides: while it is at rest, talk that is progress need not be shown to it, and
    neither need a silent hand-over.

    Most messages of honest work are either, and most detectors have nothing to drain then.  A detector without
    this property is asked about every message.
    """

    @property
    def at_rest(self) -> bool:
        """Whether talk that is progress and no repetition, or a silent hand-over, would change nothing here."""
        ...


def report_floor(settings: PolicySettings) -> float:
    """Evidence from which detectors speak: half of the lowest rung of the ladder, in messages' worth."""
    ladder = settings.ladder
    rungs = [rung for rung in (ladder.warn, ladder.steer, ladder.finish, ladder.halt) if rung is not None]
    return min(rungs) / 2.0 if rungs else MAX_EVIDENCE


class Evidence:
    """A one-sided CUSUM: evidence adds up while laps bring nothing, drains when something new arrives, never falls
    below zero (Page 1954), and remembers where its current run began.

    Attributes:
        value: Evidence, in messages' worth of nothing new.
        since: Index of the message with which the run began.
        messages: Messages that added to the run.
        agents: Senders that added to it, in order of appearance.
        ids: Ids of the latest messages that added to it.
    """

    __slots__ = ("_cost_before", "_tokens_before", "agents", "ids", "messages", "since", "value")

    def __init__(self) -> None:
        self.value = 0.0
        self.since = 0
        self.messages = 0
        self.agents: list[str] = []
        self.ids: list[str] = []
        self._tokens_before = 0
        self._cost_before = 0.0

    def add(self, amount: float, seen: Observation) -> None:
        """Add positive evidence for this message."""
        if self.value <= 0.0:
            self.since = seen.index
            self._tokens_before = seen.tokens - seen.spent_tokens
            self._cost_before = seen.cost_usd - seen.spent_usd
        value = self.value + amount
        # Bounded, so that progress can still clear it.
        self.value = value if value < MAX_EVIDENCE else MAX_EVIDENCE
        self.messages += 1
        agents = self.agents
        if seen.sender not in agents and len(agents) < _MAX_NAMES:
            if seen.kind is Kind.RESULT and seen.recipient is not None and seen.recipient not in agents:
                agents.append(seen.recipient)  # the caller comes before the tool that answers it
            agents.append(seen.sender)
        ids = self.ids
        if len(ids) >= _MAX_IDS:
            del ids[0]
        ids.append(seen.message_id or f"#{seen.index}")

    def drain(self, amount: float) -> None:
        """Take evidence away; at zero the run is over."""
        if self.value > 0.0:
            self.value -= amount
            if self.value <= 0.0:
                self.clear()

    def clear(self) -> None:
        """Forget the run."""
        self.value = 0.0
        self.messages = 0
        self.agents.clear()
        self.ids.clear()

    def outside(self, seen: Observation) -> None:
        """A person spoke: something new from outside ends the run, an empty nod halves it."""
        if self.value > 0.0:
            if seen.emptiness > 0.5:
                self.value /= 2.0
            else:
                self.clear()

    @property
    def laps(self) -> int:
        """Full rounds of the agents that take part."""
        return self.messages // len(self.agents) if self.agents else 0

    def signal(self, code: str, seen: Observation, limit: float, unit: str, *, laps: int | None = None) -> Signal:
        """Make the signal of this run."""
        return Signal(
            code=code,
            score=score_of(self.value),
            value=self.value,
            limit=limit,
            unit=unit,
            laps=self.laps if laps is None else laps,
            since=self.since,
            agents=tuple(self.agents),
            evidence=tuple(self.ids),
            tokens=seen.tokens - self._tokens_before,
            cost_usd=seen.cost_usd - self._cost_before,
        )


_NO_ROUND = Round.NONE
#: What the thoughts of an agent between its tool calls weigh: its rounds tell more than its thoughts.
_MONOLOGUE_SHARE = 0.25
#: What a tool round drains of the evidence of talk.
TALK_DRAIN = {Round.RECOVERED: 3.0, Round.PROGRESS: 3.0, Round.CHANGED_FIGURES: 1.0}
#: What a tool round adds to the evidence of repetition.
ROUND_EVIDENCE = {
    Round.WAITING: 0.1,
    Round.TRANSIENT: 0.6,
    Round.SILENT_REPEAT: 0.5,
    Round.STALE_FAILURE: 0.5,
    Round.NEAR_REPEAT: 0.75,
    Round.NEAR_FAILURE: 0.75,
    Round.SAME_RESULT: 1.0,
    Round.EXACT_REPEAT: 1.0,
}
#: What it drains of it; a call that succeeds after it had failed shows that trying again was right.
ROUND_DRAIN = {Round.RECOVERED: MAX_EVIDENCE, Round.PROGRESS: 2.0}


def talk_evidence(seen: Observation, weight: float, bonus: float = 0.0) -> float:
    """What one message of talk with positive emptiness adds.

    Args:
        seen: The message.
        weight: Evidence of a message with nothing new.
        bonus: Added to the emptiness in proportion to the share of acknowledging words; however polite, one message
            is at most one message's worth of nothing.
    """
    amount = seen.emptiness + bonus * seen.acknowledging
    if seen.monologue:
        weight *= _MONOLOGUE_SHARE
    return (amount if amount < 1.0 else 1.0) * weight


def drain_talk(evidence: Evidence, seen: Observation) -> None:
    """What anything that is not talk does to the evidence of talk."""
    if seen.round is not _NO_ROUND:
        amount = TALK_DRAIN.get(seen.round)
        if amount is not None:
            evidence.drain(amount)
    elif seen.kind is Kind.OUTSIDE:
        evidence.outside(seen)


def cap_signal(code: str, seen: Observation, value: float, limit: float, unit: str) -> Signal:
    """Make the signal of a counted cap: certain, and hard."""
    return Signal(
        code=code,
        score=1.0,
        value=value,
        limit=limit,
        unit=unit,
        since=0,
        agents=(seen.sender,),
        evidence=(seen.message_id or f"#{seen.index}",),
        tokens=seen.tokens,
        cost_usd=seen.cost_usd,
        hard=True,
    )
