"""What becomes of a message while the breaker is not closed: refused, counted only, or let through as a probe."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentbreaker.breaker import Admission
from agentbreaker.judgement import Probe, refuse
from agentbreaker.verdict import ALLOW, State

if TYPE_CHECKING:
    from collections.abc import Callable

    from agentbreaker.clock import Clock
    from agentbreaker.conversation import Conversation
    from agentbreaker.message import Message
    from agentbreaker.verdict import Decision, Transition

__all__ = ["admit"]

_UNJUDGED = ("tool_call", "system")


def admit(
    conversation: Conversation, message: Message, clock: Clock, publish: Callable[[Transition | None], None]
) -> tuple[Decision | None, Probe, int]:
    """Refuse a message, or let it through, perhaps as part of a probe.

    Args:
        conversation: Its conversation, whose breaker is not closed.
        message: The message.
        clock: Source of monotonic seconds.
        publish: Told of the breaker's transition, if any, outside every lock.

    Returns:
        The decision if the message is not to be measured; its part in the probe; the generation to stamp it with.
    """
    breaker = conversation.breaker
    state = breaker.state
    if state is State.METRICS_ONLY:
        return None, Probe.NONE, breaker.generation
    with conversation.lock:
        if message.message_id is not None and conversation.knows(message.message_id):
            # The same message once more: it is told the same, also if it was let through as a probe.
            decision = conversation.last_decision if state is State.HALF_OPEN else None
            return decision or breaker.standing or ALLOW, Probe.NONE, breaker.generation
        if state is State.DISABLED:
            conversation.count(message, clock.now())
            return ALLOW, Probe.NONE, breaker.generation
    if state is State.HALF_OPEN and message.kind in _UNJUDGED:
        # Prompts and tool calls cannot be judged before the answer is there: they take no place in the lap.
        return None, Probe.UNJUDGED, breaker.generation
    admission, transition = breaker.admit(outside_input=message.role == "user")
    publish(transition)
    if admission is Admission.REFUSED:
        with conversation.lock:
            conversation.count(message, clock.now())
            return refuse(conversation), Probe.NONE, breaker.generation
    generation = breaker.generation if transition is None else transition.generation
    return None, Probe.JUDGED if admission is Admission.PROBE else Probe.NONE, generation
