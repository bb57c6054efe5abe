"""Whole multi-agent applications: the healthy ones run to their end untouched, the runaways are halted early."""

from __future__ import annotations

import asyncio
import importlib
from typing import Any

import pytest

pytest.importorskip("langchain", reason="LangChain is not installed")

from langgraph.checkpoint.memory import InMemorySaver

from agentbreaker import Guard, State, Transition
from agentbreaker.integrations.langgraph import LangGraphBreaker

APPS = importlib.import_module("benchmarks._applications")
NAMES = tuple(APPS.APPLICATIONS)
SEEDS = range(3)
#: The default of LangGraph 1.2; the first releases had another.
LIMIT = 10_007


def run(name: str, script: Any, breaker: LangGraphBreaker | None, mode: str = "invoke", **options: Any) -> Any:
    """Run an application, watched or not, up to 10,007 steps."""
    graph = APPS.APPLICATIONS[name](script)
    graph.checkpointer = options.get("checkpointer")
    config: Any = {"configurable": {"thread_id": "t"}, "recursion_limit": LIMIT}
    if breaker is not None:
        config["callbacks"] = [breaker]
    if mode == "invoke":
        return graph.invoke(APPS.request(script), config)
    return asyncio.run(graph.ainvoke(APPS.request(script), config))


def said(result: Any) -> list[tuple[str, str]]:
    return [(message.type, str(message.content)) for message in result["messages"]]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", NAMES)
def test_a_healthy_application_is_left_alone(name: str, seed: int) -> None:
    """Watched it says word for word what it says unwatched, in as many calls, and no breaker ever opens."""
    states: list[State] = []

    def note(transition: Transition) -> None:
        states.append(transition.state)

    breaker = LangGraphBreaker(Guard(observers=[note]))
    watched, alone = APPS.Script(True, seed), APPS.Script(True, seed)
    result = run(name, watched, breaker)
    assert said(result) == said(run(name, alone, None))
    assert (watched.calls, watched.tools, watched.tokens) == (alone.calls, alone.tools, alone.tokens)
    assert watched.calls >= APPS.HEALTHY_CALLS
    assert "__interrupt__" not in result
    assert states == []
    assert breaker.guard.incident("t") is None
    assert breaker.guard.account("t").tokens == watched.tokens
    assert not breaker.faults


@pytest.mark.parametrize("mode", ["invoke", "ainvoke"])
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", NAMES)
def test_a_runaway_application_is_halted(name: str, seed: int, mode: str) -> None:
    """It stops within a few laps of the last work, not one call after the trip, and every token is on the bill."""
    script = APPS.Script(False, seed)
    at_trip: list[int] = []

    def note(transition: Transition) -> None:
        if transition.state is State.OPEN:
            at_trip.append(script.calls)

    breaker = LangGraphBreaker(Guard(observers=[note]))
    result = run(name, script, breaker, mode)
    assert "__interrupt__" in result
    assert at_trip == [script.calls]
    assert script.calls <= APPS.WORK_CALLS + 18
    incident = breaker.guard.incident("t")
    assert incident is not None
    assert incident.tokens == script.tokens
    assert incident.cost_usd > 0
    assert incident.unpriced_tokens == 0
    assert not breaker.faults


@pytest.mark.parametrize("name", NAMES)
def test_a_runaway_goes_on_without_a_breaker(name: str) -> None:
    """The runaways are runaways: unwatched they go on until LangGraph's limit of steps, wherever that is."""
    from langgraph.errors import GraphRecursionError

    script = APPS.Script(False)
    graph = APPS.APPLICATIONS[name](script)
    with pytest.raises(GraphRecursionError):
        graph.invoke(APPS.request(script), {"recursion_limit": 120})
    assert script.calls >= 55


@pytest.mark.parametrize("name", NAMES)
def test_a_halted_application_can_be_read_and_resumed_without_us(name: str) -> None:
    """The checkpoint holds what was said, and plain LangGraph goes on from it, with no breaker attached."""
    script, memory = APPS.Script(False), InMemorySaver()
    breaker = LangGraphBreaker()
    run(name, script, breaker, checkpointer=memory)
    calls = script.calls
    graph = APPS.APPLICATIONS[name](script)
    graph.checkpointer = memory
    config: Any = {"configurable": {"thread_id": "t"}, "recursion_limit": LIMIT}
    state = graph.get_state(config)
    assert state.next
    assert state.values["messages"]
    script.healthy = True
    script.calls = APPS.HEALTHY_CALLS - 8  # the work goes on, and comes to its end
    result = graph.invoke(None, config)
    assert script.done
    assert "__interrupt__" not in result
    assert len(result["messages"]) > len(state.values["messages"])
    assert calls < APPS.HEALTHY_CALLS
