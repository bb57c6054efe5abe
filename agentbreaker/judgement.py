"""From verdict to decision: at most one transition and one incident.  Runs under the conversation's lock."""

from __future__ import annotations

import enum
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from agentbreaker.incident import Incident, sentence_of
from agentbreaker.novelty import Kind, Round
from agentbreaker.verdict import ALLOW, Action, Decision, Signal, State, Transition, Verdict

if TYPE_CHECKING:
    from agentbreaker.config import Budgets
    from agentbreaker.conversation import Conversation
    from agentbreaker.message import Message
    from agentbreaker.policy import Policy

__all__ = [
    "Failures",
    "Outcome",
    "Probe",
    "cap_of",
    "cap_reached",
    "count_only",
    "decide",
    "judge_probe",
    "refuse",
    "trip_on_cap",
]

#: Failures of ours, with their condition: gathered under the lock, told after it is released.
Failures = list[tuple[str, Exception]]

#: Longest lap that a half-open breaker lets through, in messages.
_MOST_PROBES = 50
_SHORTEST_LAP = 2
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
    conversation: Conversation, policy: Policy, verdict: Verdict, generation: int, failures: Failures
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
    if action is Action.STEER and breaker.state is State.METRICS_ONLY:
        # Nobody is spoken to in shadow mode.
        decision = Decision(
            Action.ALLOW, signal.code, verdict.score, decision.reason, generation, shadow=True, would=action
        )
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
        lap = max(_SHORTEST_LAP, min(_MOST_PROBES, len(signal.agents))) + 1
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
        failures.append(("incident", error))
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
    # What a second report of the same message is told.
    conversation.last_decision = decision
    if probe is Probe.UNJUDGED and seen.round is not Round.EXACT_REPEAT:
        # A call that repeats one without an answer is judged: calls without results must not go on for ever.
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


def cap_of(
    conversation: Conversation, policy: Policy, now: float, tokens: float = 0, cost_usd: float = 0.0
) -> Signal | None:
    """Compare the totals of a conversation, and what shall come on top, with the counted caps."""
    return cap_reached(
        policy.settings.budgets,
        conversation.messages,
        conversation.tokens + tokens,
        conversation.cost_usd + cost_usd,
        now - conversation.started,
    )


def trip_on_cap(
    conversation: Conversation, policy: Policy, signal: Signal, failures: Failures
) -> tuple[Outcome, Verdict]:
    """Open the breaker for a counted cap; if everything else fails, the message is refused all the same."""
    verdict = Verdict(1.0, (signal,), hard=True)
    breaker = conversation.breaker
    generation = breaker.generation
    try:
        return decide(conversation, policy, verdict, generation, failures), verdict
    except Exception as error:
        failures.append(("arithmetic", error))
    if breaker.state in (State.METRICS_ONLY, State.DISABLED):
        return _PASS, verdict
    reason = f"{signal.value:,.6g} {signal.unit}, limit {signal.limit:,.6g}"
    decision = Decision(Action.HALT, signal.code, 1.0, reason, generation)
    transition = None
    with suppress(Exception):
        transition = breaker.trip(decision, generation=generation, lap=_SHORTEST_LAP)
    return Outcome(breaker.standing or decision, transition, announce=transition is not None), verdict


def count_only(
    conversation: Conversation, policy: Policy, message: Message, now: float, failures: Failures
) -> tuple[Outcome, Verdict]:
    """What still works when everything clever has failed: count the message, and compare with the caps."""
    if conversation.counted != id(message):
        with suppress(Exception):  # amounts of the wrong type; the message itself is counted first
            conversation.count(message, now)
    conversation.counted = 0
    signal = cap_of(conversation, policy, now)
    return (_PASS, Verdict(0.0)) if signal is None else trip_on_cap(conversation, policy, signal, failures)


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
