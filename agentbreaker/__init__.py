"""Loop detector and circuit breaker for systems of many agents.

A guard is told of every message between agents.  It measures whether the conversation still gets anywhere, and when
it does not, opens a breaker: the conversation is steered, finished or halted, with evidence a person understands.

>>> from agentbreaker import Guard, Message
>>> guard = Guard()
>>> guard.observe(Message("run-7", "planner", "coder", content="Please split the import into four batches.")).allowed
True
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentbreaker.clock import Clock, MonotonicClock, VirtualClock
from agentbreaker.embedding import Embedder
from agentbreaker.errors import (
    AgentBreakerError,
    ConfigError,
    ConversationHalted,
    ConversationHaltedError,
    TranscriptError,
)
from agentbreaker.graph import CallGraph
from agentbreaker.guard import Guard
from agentbreaker.incident import Incident
from agentbreaker.message import Message, Tool, Usage
from agentbreaker.policy import Policy
from agentbreaker.reservation import Reservation
from agentbreaker.verdict import Action, Decision, Signal, State, Transition, Verdict

if TYPE_CHECKING:
    from agentbreaker.integrations._langgraph_watch import Watch

__version__ = "0.1.0"

__all__ = [
    "Action",
    "AgentBreakerError",
    "CallGraph",
    "Clock",
    "ConfigError",
    "ConversationHalted",
    "ConversationHaltedError",
    "Decision",
    "Embedder",
    "Guard",
    "Incident",
    "Message",
    "MonotonicClock",
    "Policy",
    "Reservation",
    "Signal",
    "State",
    "Tool",
    "TranscriptError",
    "Transition",
    "Usage",
    "Verdict",
    "VirtualClock",
    "__version__",
    "watch",
]


def watch(guard: Guard | None = None, *, policy: Policy | None = None, conversation_id: str | None = None) -> Watch:
    """Watch every LangGraph graph that runs inside the ``with`` block, also in code that cannot be edited.

    Works with ``with`` and ``async with``, and yields the
    :class:`~agentbreaker.integrations.langgraph.LangGraphBreaker`.  A graph that has a breaker attached keeps its own.
    What runs in threads that were not given the context (``contextvars.copy_context``) is not watched.

    Args:
        guard: The guard that decides; by default a new one.
        policy: Policy of that new guard; not together with `guard`.
        conversation_id: One conversation for all runs, whatever their thread.

    Raises:
        ImportError: LangGraph is not installed.
    """
    import agentbreaker.integrations.langgraph  # noqa: F401  # says what to install if it is not there
    from agentbreaker.integrations._langgraph_watch import Watch

    return Watch(guard, policy, conversation_id)
