"""How a LangGraph run is stopped: the one place that leans on how LangGraph treats exceptions.

LangGraph takes a ``GraphInterrupt`` for a pause: it is not retried, the state is kept, the caller gets it without an
exception.  Raised at the start of a node, no code of the user's is in between that could swallow it; swallowed inside
of one, the next node raises it again.  A drain would end such a run as well, but as an exception, so it is only asked
for where we were not given the nodes to stop (attached to a model alone).  What swallows all of it, over and over
within one node, gets a halt that ``except Exception`` lets through.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any, NoReturn

from langgraph.errors import GraphInterrupt
from langgraph.runtime import get_runtime
from langgraph.types import Interrupt

from agentbreaker.errors import ConversationHalted
from agentbreaker.integrations._langgraph_runs import Run
from agentbreaker.verdict import Decision

__all__ = ["Stopped", "ours", "pause", "stop"]

#: Stops of one node that its own code may swallow before it gets one that ``except Exception`` lets through: enough
#: for retries and fallbacks to run out, and an end to a loop that catches everything.
_MAX_SWALLOWED = 32
_ON_PURPOSE = "stopped on purpose by agentbreaker"
_PREFIX = "agentbreaker-"


class Stopped(GraphInterrupt):
    """The deliberate stop.  LangChain logs what handlers raise; this is how it reads there."""

    def __init__(self, interrupt: Interrupt, reason: str) -> None:
        super().__init__((interrupt,))
        self.reason = reason

    def __repr__(self) -> str:
        return f"{_ON_PURPOSE}: {self.reason}"


def _is_no_fault(record: logging.LogRecord) -> bool:
    """Whether LangChain's warning about a raising handler is about something else than our deliberate stop."""
    return not (isinstance(record.args, tuple) and any(_ON_PURPOSE in str(part) for part in record.args))


# LangChain announces whatever a handler raises as "Error in ... callback"; a stop is told by our own events instead.
logging.getLogger("langchain_core.callbacks.manager").addFilter(_is_no_fault)


def stop(run: Run, decision: Decision, in_flight: int) -> NoReturn:
    """Stop the graph that `run` is a part of, before `run` begins.

    Args:
        run: What was about to begin: a node, a model call or a tool call.
        decision: Why.
        in_flight: Calls that had begun when the breaker opened, for the caller to see.

    Raises:
        Stopped: Always, or
        ConversationHalted: if the node swallowed all stops so far, or if `run` is part of no graph.
    """
    if run.count_stop() > _MAX_SWALLOWED:
        raise ConversationHalted(decision, run.conversation_id)
    if run.node is None:
        try:
            runtime = get_runtime()
        except Exception:  # no graph at all: nothing there knows a pause
            raise ConversationHalted(decision, run.conversation_id) from None
        control = getattr(runtime, "control", None)  # LangGraph 1.2 and later
        if control is not None:
            control.request_drain(decision.reason)
    raise Stopped(pause(decision, run.conversation_id, in_flight, str(run.run_id)), decision.reason)


def pause(decision: Decision, conversation_id: str, in_flight: int, identity: str) -> Interrupt:
    """What the caller finds under ``"__interrupt__"``."""
    value = {
        "agentbreaker": decision.reason,
        "code": decision.code,
        "action": decision.action.value,
        "conversation_id": conversation_id,
        "retry_after": decision.retry_after,
        "in_flight": in_flight,
    }
    return Interrupt(value=value, id=f"{_PREFIX}{identity}")


def ours(interrupts: Any) -> bool:
    """Whether one of the interrupts of a LangGraph run is a stop of ours."""
    return isinstance(interrupts, Iterable) and any(
        isinstance(interrupt, Interrupt) and interrupt.id.startswith(_PREFIX) for interrupt in interrupts
    )
