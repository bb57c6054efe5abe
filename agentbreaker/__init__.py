"""Loop detector and circuit breaker for systems of many agents.

A guard is told of every message between agents.  It measures whether the conversation still gets anywhere, and when
it does not, opens a breaker: the conversation is steered, finished or halted, with evidence a person understands.

>>> from agentbreaker import Guard, Message
>>> guard = Guard()
>>> guard.observe(Message("run-7", "planner", "coder", content="Please split the import into four batches.")).allowed
True
"""

from __future__ import annotations

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
]
