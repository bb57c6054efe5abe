"""A halt of a LangGraph run holds: whatever swallows exceptions, what is under way, and afterwards without us."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

pytest.importorskip("langgraph", reason="LangGraph is not installed")
pytest.importorskip("langchain", reason="LangChain's agents are not installed")

from langchain.agents import create_agent
from langchain.agents.middleware import ModelFallbackMiddleware
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.errors import GraphInterrupt
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.types import Interrupt, RetryPolicy

from agentbreaker import Action, ConversationHalted, Decision, Guard, State, Transition
from agentbreaker.integrations._langgraph_runs import Node, Root, Run
from agentbreaker.integrations._langgraph_stop import Stopped, ours, stop
from agentbreaker.integrations.langgraph import LangGraphBreaker, guard_graph
from tests.integrations.langgraph_shapes import MODES, REQUEST, SHAPES, THANKS, Model, asks, lines_of, run, speaker

CONFIG: Any = {"configurable": {"thread_id": "t1"}, "recursion_limit": 200}
DECISION = Decision(Action.HALT, "AB201", 0.9, "ann and ben, 3 laps with nothing new", retry_after=60.0)


def retrying(name: str) -> Any:
    """A retrying middleware of LangChain, which gave them out one after the other."""
    import langchain.agents.middleware as middleware

    if not hasattr(middleware, name):
        pytest.skip(f"this LangChain has no {name}")
    return getattr(middleware, name)


def tripping(model: Model) -> tuple[LangGraphBreaker, list[int]]:
    """A breaker, and how many calls had been made when it opened."""
    at_trip: list[int] = []

    def note(transition: Transition) -> None:
        if transition.state in (State.OPEN, State.FORCED_OPEN):
            at_trip.append(model.ledger.calls)

    return LangGraphBreaker(Guard(observers=[note])), at_trip


def agent_with(kind: str, model: Model, ran: list[str]) -> Any:
    """An agent that looks the same thing up for ever, with something around it that swallows or repeats errors."""

    @tool
    def look_up(query: str) -> str:
        """Look something up."""
        ran.append(query)
        return "no results"

    middleware: list[Any] = []
    if kind in ("ModelRetryMiddleware", "ToolRetryMiddleware"):
        middleware = [retrying(kind)(max_retries=3, initial_delay=0.0, jitter=False)]
    elif kind == "ModelFallbackMiddleware":
        middleware = [ModelFallbackMiddleware(model, model)]
    if kind in ("ToolNode", "ToolNode in a team"):
        builder = StateGraph(MessagesState)
        builder.add_node("model", speaker(model))
        builder.add_node("tools", ToolNode([look_up], handle_tool_errors=True))
        builder.add_edge(START, "model")
        builder.add_conditional_edges(
            "model", lambda state: "tools" if state["messages"][-1].tool_calls else END, ["tools", END]
        )
        builder.add_edge("tools", "model")
        if kind == "ToolNode":
            return builder
        team = StateGraph(MessagesState)
        team.add_node("clerk", builder.compile())
        team.add_edge(START, "clerk")
        return team
    agent = create_agent(model, [look_up], middleware=middleware)
    outer = StateGraph(MessagesState)
    outer.add_node("clerk", agent)
    outer.add_edge(START, "clerk")
    return outer


AGENTS = (
    "plain",
    "ModelRetryMiddleware",
    "ToolRetryMiddleware",
    "ModelFallbackMiddleware",
    "ToolNode",
    "ToolNode in a team",
)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", AGENTS)
def test_what_agents_retry_is_not_the_halt(kind: str, mode: str) -> None:
    """The loop trips the breaker by itself: no model call and no tool call begins after that."""
    ran: list[str] = []
    model = Model(lines=(asks("look_up", "", query="price of tea"),))
    breaker, at_trip = tripping(model)
    graph = agent_with(kind, model, ran).compile(checkpointer=InMemorySaver()).with_config(callbacks=[breaker])
    state = run(graph, mode, REQUEST, CONFIG)
    assert ours(state["__interrupt__"])
    assert at_trip == [model.ledger.calls]
    assert len(ran) <= model.ledger.calls < 20
    assert not breaker.faults


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("where", ["before the tool", "before the model"])
@pytest.mark.parametrize("kind", AGENTS)
def test_a_halt_in_the_middle_of_an_agent_is_not_retried(kind: str, where: str, mode: str) -> None:
    """A person opens the breaker while the model or the tool works: what would come next does not begin."""
    ran: list[str] = []
    model = Model(lines=tuple(asks("look_up", "", query=f"price of tea in year {n}") for n in range(1900, 1950)))
    breaker, at_trip = tripping(model)
    calls = ran if where == "before the model" else None

    class Interfering(list[str]):
        def append(self, query: str) -> None:
            super().append(query)
            if len(self) == 3:
                breaker.guard.force_open("t1", "too expensive", by="ops")

    if calls is not None:
        ran = Interfering()
    else:
        model.ledger.on_call = lambda number: (
            breaker.guard.force_open("t1", "too expensive", by="ops") if number == 3 else None
        )
    graph = agent_with(kind, model, ran).compile(checkpointer=InMemorySaver()).with_config(callbacks=[breaker])
    state = run(graph, mode, REQUEST, CONFIG)
    assert ours(state["__interrupt__"])
    assert at_trip == [3]
    assert model.ledger.calls == 3
    assert len(ran) == (3 if where == "before the model" else 2)
    assert not breaker.faults


@pytest.mark.parametrize("mode", MODES)
def test_calls_in_flight_are_counted_and_published(mode: str) -> None:
    """Three branches at once, one of which trips: the others' calls end, asynchronous ones at once; none begins."""
    cancelled = mode.startswith("a")
    begun = threading.Barrier(3)
    model = Model(lines=THANKS, seconds=0.05)
    breaker, at_trip = tripping(model)

    def work(state: MessagesState) -> dict[str, Any]:
        begun.wait(5)
        for _ in range(5):
            answer = model.invoke(state["messages"])
        return {"messages": [answer]}

    def trip(state: MessagesState) -> dict[str, Any]:
        begun.wait(5)
        while model.ledger.calls < 2:
            threading.Event().wait(0.001)
        breaker.guard.force_open("t1", "too expensive", by="ops")
        return {"messages": [model.invoke(state["messages"])]}

    async def awork(state: MessagesState) -> dict[str, Any]:
        for _ in range(5):
            answer = await model.ainvoke(state["messages"])
        return {"messages": [answer]}

    async def atrip(state: MessagesState) -> dict[str, Any]:
        while model.ledger.calls < 2:
            await asyncio.sleep(0.001)
        breaker.guard.force_open("t1", "too expensive", by="ops")
        return {"messages": [await model.ainvoke(state["messages"])]}

    builder = StateGraph(MessagesState)
    builder.add_node("ann", RunnableLambda(work, awork))
    builder.add_node("ben", RunnableLambda(work, awork))
    builder.add_node("cem", RunnableLambda(trip, atrip))
    for name in ("ann", "ben", "cem"):
        builder.add_edge(START, name)
    graph = guard_graph(builder.compile(), breaker=breaker)
    state = run(graph, mode, REQUEST, CONFIG)
    told = (0, 2) if cancelled else (2, 0)
    assert (state.in_flight, state.cancelled) == told  # type: ignore[attr-defined]  # a HaltedState
    for one in state["__interrupt__"]:
        assert (one.value["in_flight"], one.value["cancelled"]) == told
    halt = breaker.halts.of("t1")
    assert halt is not None
    assert (halt.in_flight, halt.cancelled, halt.decision.reason) == (*told, "too expensive")
    assert at_trip == [2]
    assert model.ledger.calls == 2, "no further call began"
    # In a thread, what was begun is paid for and cannot be stopped: nobody's answer is thrown away.
    assert model.ledger.ended == (0 if cancelled else 2)
    assert 1 <= halt.refused <= 3


def test_the_contract_of_the_stop() -> None:
    """What LangGraph must keep doing for us: hold at a GraphInterrupt, not retry it, and tell it to the caller."""
    node = Run(_uuid(1), Root(_uuid(2), "t1"))
    node.node = Node(_uuid(1), "ann", "ann", 1, None, {})  # type: ignore[arg-type]  # no graph is needed
    with pytest.raises(Stopped) as stopped:
        stop(node, DECISION, 2)
    assert isinstance(stopped.value, GraphInterrupt)
    assert "stopped on purpose by agentbreaker" in repr(stopped.value)
    attempts: list[int] = []

    def ann(state: MessagesState) -> Any:
        attempts.append(1)
        stop(node, DECISION, 2)

    builder = StateGraph(MessagesState)
    builder.add_node("before", lambda state: {"messages": [AIMessage("Twelve rows are in.")]})
    policy = RetryPolicy(max_attempts=5, initial_interval=0.0, jitter=False, retry_on=Exception)
    builder.add_node("ann", ann, retry_policy=policy)
    builder.add_edge(START, "before")
    builder.add_edge("before", "ann")
    graph = builder.compile(checkpointer=InMemorySaver())
    result = graph.invoke(REQUEST, CONFIG)
    assert attempts == [1]
    (interrupt,) = result["__interrupt__"]
    assert ours(result["__interrupt__"])
    assert not ours([Interrupt(value="May I?", id="1")])
    assert interrupt.value == {
        "agentbreaker": DECISION.reason,
        "code": "AB201",
        "action": "halt",
        "conversation_id": "t1",
        "retry_after": 60.0,
        "in_flight": 2,
        "cancelled": 0,
    }
    assert graph.get_state(CONFIG).next == ("ann",)
    assert len(result["messages"]) == 2


def test_a_stop_that_is_swallowed_for_ever_becomes_one_that_is_not() -> None:
    """After so many stops of one node its code gets a halt that no `except Exception` catches."""
    node = Run(_uuid(1), Root(_uuid(2), "t1"))
    node.node = Node(_uuid(1), "ann", "ann", 1, None, {})  # type: ignore[arg-type]
    for _ in range(32):
        with pytest.raises(Stopped):
            stop(node, DECISION, 0)
    with pytest.raises(ConversationHalted) as halted:
        stop(node, DECISION, 0)
    assert halted.value.decision is DECISION


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("on_halt", ["value", "exception", "finish"])
def test_a_node_that_swallows_for_ever_is_ended_in_the_chosen_form(on_halt: Any, mode: str) -> None:
    """guard_graph turns that last halt into what its caller asked for, too."""
    model = Model()
    breaker, at_trip = tripping(model)

    def deaf(state: MessagesState) -> dict[str, Any]:
        while True:
            try:
                model.invoke(state["messages"])
            except Exception:  # noqa: S112
                continue

    builder = StateGraph(MessagesState)
    builder.add_node("first", speaker(model))
    builder.add_node("deaf", deaf)
    builder.add_edge(START, "first")
    builder.add_edge("first", "deaf")
    graph = guard_graph(builder.compile(), breaker=breaker, on_halt=on_halt)
    if on_halt == "exception":
        with pytest.raises(ConversationHalted) as halted:
            run(graph, mode, REQUEST, CONFIG)
        state = halted.value.state
    else:
        state = run(graph, mode, REQUEST, CONFIG)
    assert at_trip == [model.ledger.calls]
    assert lines_of(state) == ["said-1"]
    assert ("__interrupt__" in state) is (on_halt != "finish")
    assert (state["messages"][-1].name == "agentbreaker") is (on_halt == "finish")


def test_a_model_without_a_graph_is_halted_by_an_exception() -> None:
    """Where no LangGraph is around, nobody knows a pause: the call is refused with ConversationHalted."""
    model = Model()
    breaker, at_trip = tripping(model)
    speak = model.with_config(callbacks=[breaker], metadata={"thread_id": "t1"})
    while breaker.guard.state("t1") is not State.OPEN:
        assert model.ledger.calls < 20
        speak.invoke("Thank you!")
    with pytest.raises(ConversationHalted):
        speak.invoke("Thank you!")
    assert at_trip == [model.ledger.calls]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("shape", SHAPES)
def test_a_halted_thread_belongs_to_plain_langgraph(shape: str, mode: str) -> None:
    """The checkpoint names nothing of ours, and a graph that never heard of us reads it and goes on to the end."""
    saver = InMemorySaver()
    model = Model()
    breaker, _ = tripping(model)
    halted = SHAPES[shape](model).compile(checkpointer=saver).with_config(callbacks=[breaker])
    assert run(halted, mode, REQUEST, CONFIG)["__interrupt__"]
    said = model.ledger.calls
    stored = repr((dict(saver.storage), dict(saver.writes), getattr(saver, "blobs", {})))
    assert "agentbreaker.integrations" not in stored

    rest = Model(lines=("FINISHED.",) * 2).on(model.ledger)
    plain = SHAPES[shape](rest).compile(checkpointer=saver)
    assert plain.get_state(CONFIG).next
    state = run(plain, mode, None, CONFIG)
    assert "__interrupt__" not in state
    assert plain.get_state(CONFIG).next == ()
    assert set(lines_of(state)) == {f"said-{n + 1}" for n in range(model.ledger.calls)}
    assert model.ledger.calls > said


@pytest.mark.parametrize("mode", MODES)
def test_a_finished_thread_belongs_to_plain_langgraph(mode: str) -> None:
    """After a final answer a graph without us takes the next question of the person as usual."""
    saver = InMemorySaver()
    model = Model()
    graph = guard_graph(SHAPES["supervisor"](model).compile(checkpointer=saver), on_halt="finish")
    said = lines_of(run(graph, mode, REQUEST, CONFIG))
    rest = Model(lines=("FINISHED.",) * 2).on(model.ledger)
    plain = SHAPES["supervisor"](rest).compile(checkpointer=saver)
    state = run(plain, mode, {"messages": [HumanMessage("And the invoices of May?")]}, CONFIG)
    assert lines_of(state) == [*said, f"said-{model.ledger.calls}"]
    assert [m.content for m in state["messages"] if m.name == "agentbreaker"] != []


def _uuid(number: int) -> Any:
    from uuid import UUID

    return UUID(int=number)
