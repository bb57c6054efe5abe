"""The records that travel from measurement to action: Signal, Verdict, Decision, Transition.

Evidence is counted in one unit everywhere: *messages' worth of nothing new*.  A score in [0, 1] is that evidence
on a saturating scale (:func:`score_of`), so that scores can be compared, fused and shown, and a threshold can be
given in either unit.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass

__all__ = [
    "ALLOW",
    "MAX_EVIDENCE",
    "STEER_TEXT",
    "Action",
    "Decision",
    "Signal",
    "State",
    "Transition",
    "Verdict",
    "evidence_of",
    "score_of",
]

#: Evidence at which a score is one half, in messages' worth of nothing new.
HALF_SCORE_EVIDENCE = 4.0
#: Evidence beyond this is indistinguishable on the scale of scores; no threshold may lie above it.
MAX_EVIDENCE = 160.0

#: What agents are told when the policy steers: one constant text, so that everybody recognises it.  An integration
#: hands it to the next agent and says so (``guard.steered``, or a message of kind ``system`` with this text): it is no
#: evidence, and from then on the first progress clears what had been held against the conversation.
STEER_TEXT = (
    "[agentbreaker] The last messages brought nothing new. Bring something new now - a result, a decision, a question "
    "that nobody has asked - or give your final answer and end the conversation."
)


def score_of(evidence: float) -> float:
    """Map evidence in [0, inf] to a score in [0, 1]: ``1 - 2 ** (-evidence / 4)``.

    Strictly monotone, so a threshold on one is a threshold on the other.  Not-a-number maps to 0: a score that
    cannot be computed accuses nobody.

    >>> score_of(0), score_of(4), score_of(float("inf"))
    (0.0, 0.5, 1.0)
    """
    if not evidence > 0.0:
        return 0.0
    return 1.0 - math.exp2(-evidence / HALF_SCORE_EVIDENCE)


def evidence_of(score: float) -> float:
    """Invert :func:`score_of`.

    >>> evidence_of(0.5), evidence_of(1.0)
    (4.0, inf)
    """
    if not score > 0.0:
        return 0.0
    if score >= 1.0:
        return math.inf
    return -HALF_SCORE_EVIDENCE * math.log2(1.0 - score)


class Action(enum.StrEnum):
    """The rungs of the ladder, mildest first.

    ``ALLOW`` pass; ``WARN`` tell the people; ``STEER`` tell the agents; ``FINISH`` end with a final answer;
    ``HALT`` stop before the next paid step.
    """

    ALLOW = "allow"
    WARN = "warn"
    STEER = "steer"
    FINISH = "finish"
    HALT = "halt"

    @property
    def rank(self) -> int:
        """Position on the ladder, 0 for ``ALLOW`` to 4 for ``HALT``."""
        return _RANK[self]

    @property
    def opens(self) -> bool:
        """Whether this action opens the breaker."""
        return self is Action.FINISH or self is Action.HALT


_RANK = {action: rank for rank, action in enumerate(Action)}


class State(enum.StrEnum):
    """States of a breaker, named as in resilience4j; the values appear in logs and metrics."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"
    FORCED_OPEN = "forced_open"
    DISABLED = "disabled"
    METRICS_ONLY = "metrics_only"


@dataclass(slots=True)
class Signal:
    """What one detector has to say about the message just seen.

    Attributes:
        code: The detector (``"AB201"``).
        score: Suspicion in [0, 1]; :func:`evidence_of` gives it back in messages' worth of nothing new.
        value: What was measured, in `unit`.
        limit: What `value` is held against, in `unit`.
        unit: Unit of `value` and `limit`, in the plural (``"messages with nothing new"``).
        laps: Full laps that the pattern has made, 0 where laps have no meaning.
        since: Index in the conversation (from 0) of the first message of the pattern.
        agents: The agents that take part, in order of their first appearance in it.
        evidence: Ids of the messages that are the evidence, oldest first; ``"#17"`` for a message without an id.
        tokens, cost_usd: Spent from `since` on, this message included.
        hard: A counted cap was reached: halts whatever the other signals say.
    """

    code: str
    score: float
    value: float
    limit: float
    unit: str
    laps: int = 0
    since: int = 0
    agents: tuple[str, ...] = ()
    evidence: tuple[str, ...] = ()
    tokens: int = 0
    cost_usd: float = 0.0
    hard: bool = False


@dataclass(slots=True)
class Verdict:
    """All signals of one message, fused.

    Attributes:
        score: Fused suspicion in [0, 1].
        signals: The signals, strongest first.
        hard: Whether one of them is a counted cap.
    """

    score: float
    signals: tuple[Signal, ...] = ()
    hard: bool = False

    @property
    def decisive(self) -> Signal | None:
        """The strongest signal, ``None`` if there is none."""
        return self.signals[0] if self.signals else None


@dataclass(slots=True)
class Decision:
    """What to do about a message.

    Attributes:
        action: The rung of the ladder.
        code: The detector that decided, ``None`` for ``ALLOW`` and for decisions of a person.
        score: The fused score that led here.
        reason: One sentence for people; never holds message content.
        generation: Era of the breaker that this decision belongs to.
        retry_after: Seconds until the breaker lets a lap through; ``None`` if it is not open or only a person can
            resume.
        shadow: The breaker is in ``METRICS_ONLY``: `action` is ``ALLOW``, and `would` says what would have happened.
        would: The action that was withheld in shadow mode.
        probe: This message is part of the one lap that a half-open breaker lets through.
    """

    action: Action
    code: str | None = None
    score: float = 0.0
    reason: str = ""
    generation: int = 0
    retry_after: float | None = None
    shadow: bool = False
    would: Action | None = None
    probe: bool = False

    @property
    def allowed(self) -> bool:
        """Whether the conversation may go on."""
        return not self.action.opens


#: The decision of nearly every message: one shared object, so that the pass path allocates nothing.  Do not mutate.
ALLOW = Decision(Action.ALLOW)


@dataclass(slots=True, frozen=True)
class Transition:
    """One change of a breaker's state, as observers receive it.

    Attributes:
        conversation_id: The conversation.
        previous, state: The states before and after.
        generation: Era of the breaker after the change; grows by one with each transition.
        at: Monotonic seconds of the guard's clock.
        reason: One sentence for people.
        code: The detector that decided, ``None`` where a person or the clock did.
        by: Who asked for it, for manual changes.
    """

    conversation_id: str
    previous: State
    state: State
    generation: int
    at: float
    reason: str
    code: str | None = None
    by: str | None = None
