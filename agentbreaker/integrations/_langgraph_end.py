"""What a stopped LangGraph run had come to, and how it is brought to a proper end.

Only what LangGraph offers to everybody is used: the checkpoint, ``update_state`` and the graph's channels; except for
the writers of a node (:func:`_closing`), without which the end would run the user's own routers.
"""

from __future__ import annotations

from collections.abc import Awaitable, Generator, Iterator, Mapping
from typing import Any, cast

from langchain_core.messages import AIMessage
from langgraph.channels import BinaryOperatorAggregate
from langgraph.graph import END, START
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import StateSnapshot

from agentbreaker.integrations.base import FINAL_NAME, final_answer
from agentbreaker.verdict import Decision

__all__ = ["Steps", "arun", "finish", "furthest", "latest", "run", "state_keys"]

#: What is to be called, step by step: the graph, the method (its asynchronous twin has an ``a`` in front), arguments.
Steps = Generator[tuple[Any, str, tuple[Any, ...], dict[str, Any]], Any, dict[str, Any]]


def _closing(graph: Any) -> Any:
    """A copy of `graph` with a node of ours that writes to the state and leads nowhere.

    An update as one of the user's nodes would ask the routers behind it, which may call a model.  The first writer of a
    node writes its update to the state; those behind it are its edges and routers.
    """
    name, node = next((name, node) for name, node in graph.nodes.items() if name != START)
    if node.writers and FINAL_NAME not in graph.nodes:
        node = node.copy({"writers": node.writers[:1]})
        return graph.copy({"nodes": {**graph.nodes, FINAL_NAME: node}})
    raise TypeError(f"the node {name!r} has no writers")


def _inner_states(snapshot: StateSnapshot) -> Iterator[Mapping[str, Any]]:
    """Yield the states of the sub-graphs that were stopped, each before those inside it.

    What nodes returned that finished beside a stopped one is in the values of a snapshot already.
    """
    for task in snapshot.tasks:
        if isinstance(task.state, StateSnapshot):
            if isinstance(task.state.values, Mapping):
                yield task.state.values
            yield from _inner_states(task.state)


def _added(graph: Any, values: Mapping[str, Any], inner: Mapping[str, Any]) -> dict[str, Any]:
    """The part of the state `inner` of a sub-graph that `graph` takes over, as if the sub-graph had ended here."""
    update = {}
    for name, value in inner.items():
        if name not in graph.channels or name not in state_keys(graph):
            continue
        old = values.get(name)
        if isinstance(graph.channels[name], BinaryOperatorAggregate) and isinstance(value, list):
            # What the sub-graph was given comes first in its own list; a reducer that appends would double it.
            if isinstance(old, list) and value[: len(old)] == old:
                value = value[len(old) :]  # noqa: PLW2901
            if not value:
                continue
        update[name] = value
    return update


def state_keys(graph: Any) -> frozenset[str]:
    """Names of what the caller of a graph gets back."""
    keys = graph.output_channels
    return frozenset([keys] if isinstance(keys, str) else keys)


def _applied(graph: Any, values: dict[str, Any], update: Mapping[str, Any]) -> dict[str, Any]:
    """Return the state after an update, by the graph's own reducers."""
    after = dict(values)
    for name, value in update.items():
        if name not in graph.channels or name not in state_keys(graph):
            continue
        channel = graph.channels[name]
        channel = channel.from_checkpoint(after[name]) if name in after else channel.copy()
        channel.update([value])
        after[name] = channel.get()
    return after


def latest(config: Any) -> dict[str, Any]:
    """The configuration without the checkpoint that a run began at: what it came to is the thread's latest."""
    configurable = {
        name: value
        for name, value in config.get("configurable", {}).items()
        if name not in ("checkpoint_id", "checkpoint_map")
    }
    return {**config, "configurable": configurable}


def furthest(graph: Any, config: Any) -> Steps:
    """The state that the stopped run of a thread had come to, with all that its unfinished steps have said."""
    config = latest(config)
    snapshot: StateSnapshot = yield graph, "get_state", (config,), {"subgraphs": True}
    values = dict(snapshot.values) if isinstance(snapshot.values, Mapping) else {}
    if not isinstance(graph, CompiledStateGraph):
        return values
    for inner in _inner_states(snapshot):
        values = _applied(graph, values, _added(graph, values, inner))
    return values


def finish(graph: Any, config: Any, decision: Decision) -> Steps:
    """End the stopped run of a thread with a final answer that says why.

    What sub-graphs had come to is folded into the state, and nothing is left to do.

    Raises:
        TypeError: `graph` is no compiled ``StateGraph``.
        ValueError: It has no checkpointer.
    """
    if not isinstance(graph, CompiledStateGraph):
        raise TypeError("only a compiled StateGraph can be finished: a functional entrypoint has no state to end with")
    config = latest(config)
    snapshot: StateSnapshot = yield graph, "get_state", (config,), {"subgraphs": True}
    # Drops what was still to do, and takes over what the steps beside the stopped one have written.
    yield graph, "update_state", (config, None, END), {}
    closing = _closing(graph)
    for inner in _inner_states(snapshot):
        now: StateSnapshot = yield graph, "get_state", (config,), {}
        update = _added(graph, now.values, inner)
        if update:
            yield closing, "update_state", (config, update, FINAL_NAME), {}
    if "messages" in state_keys(graph):
        answer = AIMessage(final_answer(decision), name=FINAL_NAME, response_metadata={"agentbreaker": decision.code})
        yield closing, "update_state", (config, {"messages": [answer]}, FINAL_NAME), {}
    ended: StateSnapshot = yield graph, "get_state", (config,), {}
    return dict(ended.values)


def run(steps: Steps) -> dict[str, Any]:
    """Take the steps, and return what they come to."""
    result: Any = None
    try:
        while True:
            graph, method, positional, named = steps.send(result)
            result = getattr(graph, method)(*positional, **named)
    except StopIteration as end:
        return cast("dict[str, Any]", end.value)


async def arun(steps: Steps) -> dict[str, Any]:
    """Take the steps with the graph's asynchronous methods, and return what they come to."""
    result: Any = None
    try:
        while True:
            graph, method, positional, named = steps.send(result)
            made: Awaitable[Any] = getattr(graph, f"a{method}")(*positional, **named)
            result = await made
    except StopIteration as end:
        return cast("dict[str, Any]", end.value)
