"""From verdict to decision: at most one transition and one incident.  Runs under the conversation's lock."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, NamedTuple

from agentbreaker.incident import Incident, sentence_of
from agentbreaker.novelty import Kind
from agentbreaker.verdict import ALLOW, Action, Decision, Signal, State, Transition

if TYPE_CHECKING:
    from agentbreaker.config import Budgets
    from agentbreaker.conversation import Conversation
    from agentbreaker.policy import Policy
    from agentbreaker.telemetry import Telemetry
    from agentbreaker.verdict import Verdict

__all__ = ["Outcome", "Probe", "cap_reached", "decide", "judge_probe", "refuse"]

#: Longest lap that a half-open breaker lets through, in messages.
_MOST_PROBES = 50
#: Messages that may still arrive after a final answer was asked for, before the conversation is halted outright.
_FINISHING_MESSAGES = 2
#: A turn of the user that is emptier than this is a mere nod, not something new from outside.
_NOD = 0.5


class Outcome(NamedTuple):
    """What came of one message.

    Attributes:
        decision: For the caller.
        transition: For the observers, if the breaker changed its state.
        incident: The evidence, if the conversation was halted (or would have been).
        announce: Whether the decision is new and should be told.
    """

    decision: Decision
    transition: Transition | None = None
    incident: Incident | None = None
    announce: bool = False


_PASS = Outcome(ALLOW)


def decide(
    conversation: Conversation, policy: Policy, verdict: Verdict, generation: int, telemetry: Telemetry
) -> Outcome:
    """Turn the verdict on one message into a decision; trip the breaker if the policy says so."""
    action = policy.decide(verdict, steered=conversation.steered)
    signal = verdict.decisive
    if action is Action.ALLOW or signal is None:
        conversation.calm_down()
        return _PASS
    breaker = conversation.breaker
    rising = action.rank > conversation.rank
    decision = Decision(action, signal.code, verdict.score, sentence_of(signal), generation)
    if not action.opens:
        conversation.steered = conversation.steered or action is Action.STEER
        conversation.rank = max(conversation.rank, action.rank)
        conversation.last_decision = decision
        return Outcome(decision, announce=rising)
    transition = None
    if breaker.state is State.METRICS_ONLY:
        decision = Decision(
            Action.ALLOW, signal.code, verdict.score, decision.reason, generation, shadow=True, would=action
        )
    else:
        # One more than the agents: the first message of a probe may be a tool call, which brings nothing yet.
        lap = max(2, min(_MOST_PROBES, len(signal.agents))) + 1
        transition = breaker.trip(decision, generation=generation, lap=lap)
        if transition is None:
            # Another thread has tripped or moved the breaker meanwhile: its decision stands.
            return Outcome(breaker.standing or ALLOW)
        decision = breaker.standing or decision
    conversation.rank = action.rank
    conversation.last_decision = decision
    if not (rising or transition is not None):
        return Outcome(decision)
    incident = None
    try:
        incident = conversation.make_incident(verdict, signal, action, decision.retry_after)
        conversation.incident = incident
    except Exception as error:  # the verdict stands even if its evidence cannot be told
        telemetry.emit_failure("incident", error)
    return Outcome(decision, transition, incident, announce=True)


class Probe(enum.Enum):
    """The part of a message in the one lap that a half-open breaker lets through."""

    NONE = enum.auto()
    JUDGED = enum.auto()
    UNJUDGED = enum.auto()


def judge_probe(conversation: Conversation, verdict: Verdict, generation: int, probe: Probe) -> Outcome:
    """A message of the half-open breaker's one lap has been measured: close on something new, count it if not."""
    seen = conversation.seen
    breaker = conversation.breaker
    decision = Decision(Action.ALLOW, score=verdict.score, generation=generation, probe=True)
    if probe is Probe.UNJUDGED:
        return Outcome(decision)
    if seen.progress and not (seen.kind is Kind.OUTSIDE and seen.emptiness > _NOD):
        transition = breaker.judge(informative=True, generation=generation)
        if transition is not None:
            conversation.clear_evidence()
        return Outcome(decision, transition)
    transition = breaker.judge(informative=False, generation=generation)
    if transition is not None:
        return Outcome(breaker.standing or decision, transition)
    return Outcome(decision)


def cap_reached(budgets: Budgets, messages: float, tokens: float, cost_usd: float, seconds: float) -> Signal | None:
    """Compare totals with the counted caps, without any help of a detector."""
    for code, value, limit, unit in (
        ("AB601", messages, budgets.max_messages, "messages"),
        ("AB602", tokens, budgets.max_tokens, "tokens"),
        ("AB603", cost_usd, budgets.max_cost_usd, "US dollars"),
        ("AB604", seconds, budgets.max_seconds, "seconds"),
    ):
        if limit is not None and value > limit:
            return Signal(code, 1.0, value, limit, unit, hard=True)
    return None


def refuse(conversation: Conversation) -> Decision:
    """The breaker is open: repeat the standing decision, or the next stronger action if it was not heeded."""
    conversation.refused += 1
    breaker = conversation.breaker
    standing = breaker.standing
    if standing is None:
        return ALLOW
    if standing.action is Action.FINISH and conversation.refused > _FINISHING_MESSAGES:
        return Decision(
            Action.HALT, standing.code, standing.score, standing.reason, standing.generation, breaker.retry_after
        )
    return standing
