"""How a LangGraph run is stopped: the one place that leans on how LangGraph treats exceptions and cancellation.

LangGraph takes a ``GraphInterrupt`` for a pause: it is not retried, the state is kept, the caller gets it without an
exception.  Raised at the start of a node, no code of the user's is in between that could swallow it; swallowed inside
of one, the next node raises it again.  A drain would end such a run as well, but as an exception, so it is only asked
for where we were not given the nodes to stop (attached to a model alone).  What swallows all of it, over and over
within one node, gets a halt that ``except Exception`` lets through.

LangGraph lets the siblings of a paused node run to their end.  Asynchronous calls that are in flight are therefore
cancelled here, in the task that waits for them.  ``CancelledError`` passes ``except Exception``, retries and fallbacks,
and where it leaves the node, which LangGraph would take for a failure, or forget, it becomes the same pause: what other
nodes have written stays, and this one runs again when the conversation goes on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NoReturn

from langgraph.errors import GraphBubbleUp, GraphInterrupt
from langgraph.runtime import get_runtime
from langgraph.types import Interrupt

from agentbreaker.errors import ConversationHalted, ConversationHaltedError
from agentbreaker.integrations._langgraph_runs import Node, Run
from agentbreaker.verdict import Decision

__all__ = ["Stopped", "begin", "cut", "cut_short", "orphans", "others", "ours", "pause", "settle", "stop", "was_cut"]

#: Stops of one node that its own code may swallow before it gets one that ``except Exception`` lets through: enough
#: for retries and fallbacks to run out, and an end to a loop that catches everything.
_MAX_SWALLOWED = 32
_ON_PURPOSE = "stopped on purpose by agentbreaker"
_PREFIX = "agentbreaker-"
#: How deep tasks that wait for each other are followed, and what asyncio hangs on a future that stands for a thread.
_MOST_NESTED = 32
_TO_THREAD = "_chain_future.<locals>."


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


def stop(run: Run, decision: Decision, in_flight: int, cancelled: int = 0) -> NoReturn:
    """Stop the graph that `run` is a part of, before `run` begins.

    Args:
        run: What was about to begin: a node, a model call or a tool call.
        decision: Why.
        in_flight: Calls that had begun when the breaker opened and go on, for the caller to see.
        cancelled: Calls that had begun and were cancelled, likewise.

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
    raise Stopped(pause(decision, run.conversation_id, in_flight, str(run.run_id), cancelled), decision.reason)


def pause(decision: Decision, conversation_id: str, in_flight: int, identity: str, cancelled: int = 0) -> Interrupt:
    """What the caller finds under ``"__interrupt__"``."""
    value = {
        "agentbreaker": decision.reason,
        "code": decision.code,
        "action": decision.action.value,
        "conversation_id": conversation_id,
        "retry_after": decision.retry_after,
        "in_flight": in_flight,
        "cancelled": cancelled,
    }
    return Interrupt(value=value, id=f"{_PREFIX}{identity}")


def ours(interrupts: Any) -> bool:
    """Whether one of the interrupts of a LangGraph run is a stop of ours."""
    return isinstance(interrupts, Iterable) and any(
        isinstance(interrupt, Interrupt) and interrupt.id.startswith(_PREFIX) for interrupt in interrupts
    )


class _Cut:
    """What a cancellation of ours carries as its message."""

    def __init__(self, call: Run) -> None:
        self.call = call

    def __repr__(self) -> str:
        return _ON_PURPOSE


def begin(call: Run) -> None:
    """Note that a call begins; an asynchronous one can be cancelled in its task."""
    call.call = True
    try:
        call.task = asyncio.current_task()
    except RuntimeError:  # a thread without an event loop
        call.task = None


def others(calls: Iterable[Run], run: Run) -> list[Run]:
    """Those of the calls that `run` is neither itself nor inside of."""
    around = {id(outer) for outer in _outwards(run)}
    return [call for call in calls if id(call) not in around]


def orphans(calls: Iterable[Run], node: Node) -> list[Run]:
    """Those of the calls that a stopped node has left behind, and that nobody waits for any more."""
    return [call for call in calls if call.node is node]


def cut(calls: Sequence[Run], by: Run | None, *, tools: bool) -> int:
    """Cancel calls in flight, where that reaches them, and return how many end by it.

    Args:
        calls: What goes on.
        by: Where the breaker opened: its node, and those around it, finish what they have begun, as what was just
            said would be lost with them.  ``None``: nowhere among these.
        tools: Whether calls of tools are cancelled as well.
    """
    spared = set()
    node = by.node if by is not None else None
    while node is not None:
        spared.add(id(node))
        node = node.graph.around
    outer = {id(around) for call in calls for around in _outwards(call.parent)}
    ended: set[int] = set()
    tasks: set[asyncio.Task[Any]] = set()
    for call in calls:
        if id(call) in outer or call.node is None or id(call.node) in spared or not (tools or call.model):
            continue
        if call.task in tasks or _cancel(call):
            tasks.add(call.task)  # type: ignore[arg-type]  # it has one
            ended |= {id(around) for around in _outwards(call)}
    return sum(id(call) in ended for call in calls)


def was_cut(error: BaseException) -> bool:
    """Whether an exception is a cancellation of ours; it is settled then, and the task may go on."""
    if not (isinstance(error, asyncio.CancelledError) and error.args and isinstance(error.args[0], _Cut)):
        return False
    _forgive(error.args[0].call)
    return True


def cut_short(node: Node, error: BaseException) -> bool:
    """Whether a node ends with this error because we have cancelled a call of its.

    Any failure counts: code that was cut off from its answer fails in its own way.  A cancellation by somebody else
    reaches the same tasks a second time, and stays what it is.
    """
    if not node.cut or not isinstance(error, Exception | asyncio.CancelledError):
        return False
    if isinstance(error, GraphBubbleUp | ConversationHaltedError):
        return False
    return any(call.task is not None and call.task.cancelling() <= 1 for call in node.cut)


def settle(node: Node) -> list[Run]:
    """The node has ended: take our cancellations back where a task goes on; return the calls that were cancelled."""
    calls, node.cut = node.cut or [], None
    for call in calls:
        _forgive(call)
    return calls


def _outwards(run: Run | None) -> Iterator[Run]:
    while run is not None:
        yield run
        run = run.parent


def _cancel(call: Run) -> bool:
    """Cancel a call in its task, from whatever thread; whether that will be done."""
    task = call.task
    if task is None or task.done() or task.cancelling() or _in_thread(task):
        return False
    try:
        here = asyncio.get_running_loop()
    except RuntimeError:
        here = None
    if task.get_loop() is here:
        return task is not asyncio.current_task() and _cancel_now(call)
    try:
        task.get_loop().call_soon_threadsafe(_cancel_now, call)
    except RuntimeError:  # that loop is closed
        return False
    return True


def _cancel_now(call: Run) -> bool:
    task, node = call.task, call.node
    if task is None or node is None or not call.call or task.cancelling():
        return False
    if not task.cancel(msg=_Cut(call)):
        return False
    if node.cut is None:
        node.cut = []
    node.cut.append(call)
    return True


def _forgive(call: Run) -> None:
    if call.task is not None and not call.task.done() and call.task.cancelling():
        call.task.uncancel()


def _in_thread(waiting: Any) -> bool:
    """Whether a task waits for a thread, which a cancellation does not reach: the call would go on, unheard.

    What a task waits for is no public knowledge; where it cannot be found out, there is no thread.
    """
    for _ in range(_MOST_NESTED):
        children = getattr(waiting, "_children", None)  # of `asyncio.gather`
        if children:
            return any(_in_thread(child) for child in children)
        inner = getattr(waiting, "_fut_waiter", None)  # of a task
        if inner is None:
            break
        waiting = inner
    callbacks = getattr(waiting, "_callbacks", None) or ()
    return any(_TO_THREAD in getattr(entry[0], "__qualname__", "") for entry in callbacks if isinstance(entry, tuple))
