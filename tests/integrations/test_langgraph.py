"""LangGraph graphs that run away are stopped in every run mode, and graphs that work are left alone."""

from __future__ import annotations

import asyncio
import operator
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any, TypedDict

import pytest

pytest.importorskip("langgraph", reason="LangGraph is not installed")

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.func import entrypoint, task
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import Command, RetryPolicy, Send, interrupt

from agentbreaker import ConversationHalted, Decision, Guard, Message, State, Transition, Usage, VirtualClock
from agentbreaker.integrations.langgraph import LangGraphBreaker

MODES = ("invoke", "ainvoke", "stream", "astream")
THANKS = (
    "Thank you so much, great work!",
    "You are welcome, thanks to you as well.",
    "Great, I agree, thank you again!",
    "Perfect, thanks, glad we agree.",
    "Wonderful teamwork, thank you!",
    "Thanks, that is great.",
)
FACTS = (
    "Sales in Norway rose 14 percent to 3.2 million kroner, driven by the new Bergen store.",
    "The import of batch 7 failed: column `vat_id` is missing in invoices_2023.csv, 412 rows skipped.",
    "Patched parser.py to treat empty VAT ids as NULL; 412 rows are accepted now, checksum 9f3ab2.",
    "Unit tests of the parser: 38 passed, 0 failed, and coverage of parser.py went up to 94 percent.",
    "Customer Hansen reports a timeout when exporting more than 10,000 rows to Excel.",
    "Profiling shows 81 percent of export time inside openpyxl cell styling; switching to write-only.",
    "Write-only mode cuts the export from 74 seconds to 9 seconds for 12,500 rows.",
    "Release notes drafted for version 2.8.1, mentioning the export and the migration of Postgres.",
    "Legal asks to keep audit logs for seven years instead of five; found the retention in audit.yml.",
    "Retention raised to 2557 days and documented in chapter 3 of the operations handbook.",
    "Translation of the handbook into Swedish lacks chapters 4 and 9; agency Lingua quoted 1,900 euro.",
    "Budget approved by Ms Okafor; delivery of both chapters was promised for Thursday, 14 March.",
)
REQUEST: Any = {"messages": [HumanMessage("Please work off the backlog of the finance tool.")]}


class Scripted(BaseChatModel):
    """A chat model that says its lines in turn, over and over, and counts how often it was paid."""

    lines: tuple[Any, ...] = THANKS
    calls: int = 0
    seconds: float = 0.0

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def _generate(self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> ChatResult:
        line = self.lines[self.calls % len(self.lines)]
        self.calls += 1
        time.sleep(self.seconds)
        message = AIMessage(line) if isinstance(line, str) else line.model_copy(deep=True)
        message.usage_metadata = {
            "input_tokens": 10,
            "output_tokens": 5,
            "total_tokens": 15,
            "input_token_details": {"cache_read": 4},
            "output_token_details": {"reasoning": 2},
        }
        message.response_metadata = {"model_name": "scripted-1"}
        return ChatResult(generations=[ChatGeneration(message=message)])


class RecordingGuard(Guard):
    """The real guard, which also keeps what it was shown."""

    def __init__(self) -> None:
        super().__init__()
        self.shown: list[Message] = []

    def observe(self, message: Message) -> Decision:
        self.shown.append(message)
        return super().observe(message)


def watched(model: Scripted) -> tuple[LangGraphBreaker, list[int]]:
    """A breaker, and a list that gets the number of model calls made when it trips."""
    at_trip: list[int] = []

    def note(transition: Transition) -> None:
        if transition.state is State.OPEN:
            at_trip.append(model.calls)

    return LangGraphBreaker(Guard(observers=[note])), at_trip


def edges_of(breaker: LangGraphBreaker, thread: str) -> set[tuple[str, str]]:
    """Who spoke to whom."""
    graph = breaker.guard.graph(thread)
    assert graph is not None
    return {(edge.sender, edge.recipient) for edge in graph.edges()}


def run(graph: Any, mode: str, inputs: Any, config: Any) -> dict[str, Any]:
    """Run a graph in one of the four modes; return the last state that the caller gets to see."""

    async def drain() -> dict[str, Any]:
        return merged([chunk async for chunk in graph.astream(inputs, config, stream_mode="values")])

    def merged(chunks: list[dict[str, Any]]) -> dict[str, Any]:
        state: dict[str, Any] = {}
        for chunk in chunks:
            state.update(chunk)
        return state

    if mode == "invoke":
        return dict(graph.invoke(inputs, config))
    if mode == "ainvoke":
        return dict(asyncio.run(graph.ainvoke(inputs, config)))
    if mode == "stream":
        return merged(list(graph.stream(inputs, config, stream_mode="values")))
    return asyncio.run(drain())


def ping_pong(model: Scripted) -> StateGraph[Any, Any, Any, Any]:
    """Two agents that answer each other until one says FINISHED."""

    def speak(state: MessagesState) -> dict[str, Any]:
        return {"messages": [model.invoke(state["messages"])]}

    def after(other: str) -> Any:
        return lambda state: END if "FINISHED" in state["messages"][-1].content else other

    builder = StateGraph(MessagesState)
    builder.add_node("alice", speak)
    builder.add_node("bob", speak)
    builder.add_edge(START, "alice")
    builder.add_conditional_edges("alice", after("bob"), ["bob", END])
    builder.add_conditional_edges("bob", after("alice"), ["alice", END])
    return builder


def supervisor(model: Scripted) -> StateGraph[Any, Any, Any, Any]:
    """A supervisor that routes to two workers and back until one says FINISHED."""

    def boss(state: MessagesState) -> Command[Any]:
        spoken = [message for message in state["messages"] if message.type == "ai"]
        if spoken and "FINISHED" in spoken[-1].content:
            return Command(goto=END)
        return Command(goto=("coder", "tester")[len(spoken) % 2])

    def work(state: MessagesState) -> Command[Any]:
        return Command(goto="boss", update={"messages": [model.invoke(state["messages"])]})

    builder = StateGraph(MessagesState)
    builder.add_node("boss", boss, destinations=("coder", "tester", END))
    builder.add_node("coder", work, destinations=("boss",))
    builder.add_node("tester", work, destinations=("boss",))
    builder.add_edge(START, "boss")
    return builder


def nested(model: Scripted) -> StateGraph[Any, Any, Any, Any]:
    """The ping-pong as a sub-graph of another graph."""
    builder = StateGraph(MessagesState)
    builder.add_node("team", ping_pong(model).compile())
    builder.add_edge(START, "team")
    return builder


def no_model(model: Scripted) -> StateGraph[Any, Any, Any, Any]:
    """A ping-pong of plain functions; the model only lends its counter."""

    def speak(state: MessagesState) -> dict[str, Any]:
        line = THANKS[model.calls % len(THANKS)]
        model.calls += 1
        return {"messages": [AIMessage(line)]}

    builder = StateGraph(MessagesState)
    builder.add_node("alice", speak)
    builder.add_node("bob", speak)
    builder.add_edge(START, "alice")
    builder.add_edge("alice", "bob")
    builder.add_edge("bob", "alice")
    return builder


SHAPES = {"ping_pong": ping_pong, "supervisor": supervisor, "nested": nested, "no_model": no_model}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("checkpointed", [True, False], ids=["checkpointer", "no_checkpointer"])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_runaway_is_stopped_without_an_exception(shape: str, checkpointed: bool, mode: str) -> None:
    """The caller gets the state so far and the reason, and not one model call is made after the trip."""
    model = Scripted()
    breaker, at_trip = watched(model)
    graph = SHAPES[shape](model).compile(checkpointer=InMemorySaver() if checkpointed else None)
    graph = graph.with_config(callbacks=[breaker])
    state = run(graph, mode, REQUEST, {"configurable": {"thread_id": "t1"}, "recursion_limit": 200})

    incident = breaker.guard.incident("t1")
    assert incident is not None
    assert incident.sentence == state["__interrupt__"][0].value["agentbreaker"]
    assert state["__interrupt__"][0].value["conversation_id"] == "t1"
    assert breaker.guard.state("t1") is State.OPEN
    assert at_trip == [model.calls], "model calls after the trip"
    assert model.calls < 30
    kept_inside = shape == "nested"  # what the inner graph did is in its own checkpoint
    assert len(state["messages"]) == (1 if kept_inside else 1 + model.calls)
    assert not breaker.faults
    assert len(breaker._edges) == 0


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("shape", ["ping_pong", "supervisor", "nested"])
def test_a_stopped_run_goes_on_after_a_reset(shape: str, mode: str) -> None:
    """Reset the breaker, invoke with None: the run goes on where it stopped, and no message is lost."""
    model = Scripted()
    breaker, _ = watched(model)
    graph = SHAPES[shape](model).compile(checkpointer=InMemorySaver()).with_config(callbacks=[breaker])
    config: Any = {"configurable": {"thread_id": "t1"}, "recursion_limit": 200}
    stopped = run(graph, mode, REQUEST, config)
    calls = model.calls
    assert stopped["__interrupt__"]

    still = run(graph, mode, None, config)
    assert "__interrupt__" in still
    assert model.calls == calls, "an open breaker lets nothing through"

    breaker.guard.reset("t1")
    model.lines = (*FACTS[:6], "FINISHED: 412 rows imported, ticket 8841 closed.")
    model.calls = 0
    state = graph.invoke(None, config)
    assert "__interrupt__" not in state
    assert graph.get_state(config).next == ()
    texts = [message.content for message in state["messages"]]
    assert texts == [
        REQUEST["messages"][0].content,
        *(THANKS[i % len(THANKS)] for i in range(calls)),
        *FACTS[:6],
        "FINISHED: 412 rows imported, ticket 8841 closed.",
    ]
    assert breaker.guard.state("t1") is State.CLOSED


@pytest.mark.parametrize("mode", MODES)
def test_the_loop_is_caught_again_after_a_reset(mode: str) -> None:
    """A reset is no licence: the same loop trips the breaker once more."""
    model = Scripted()
    breaker, at_trip = watched(model)
    graph = ping_pong(model).compile(checkpointer=InMemorySaver()).with_config(callbacks=[breaker])
    config: Any = {"configurable": {"thread_id": "t1"}, "recursion_limit": 200}
    run(graph, mode, REQUEST, config)
    breaker.guard.reset("t1")
    state = run(graph, mode, None, config)
    assert state["__interrupt__"]
    assert len(at_trip) == 2
    assert at_trip[-1] == model.calls


@pytest.mark.parametrize("mode", MODES)
def test_after_the_wait_one_lap_is_let_through(mode: str) -> None:
    """Half-open: the same again is stopped after one lap, something new closes the breaker."""
    clock = VirtualClock()
    breaker = LangGraphBreaker(Guard(clock=clock))
    model = Scripted()
    graph = ping_pong(model).compile(checkpointer=InMemorySaver()).with_config(callbacks=[breaker])
    config: Any = {"configurable": {"thread_id": "t1"}, "recursion_limit": 200}
    retry_after = run(graph, mode, REQUEST, config)["__interrupt__"][0].value["retry_after"]
    calls = model.calls

    clock.advance(retry_after + 1.0)
    again = run(graph, mode, None, config)["__interrupt__"][0].value
    assert 1 <= model.calls - calls <= 3
    assert again["retry_after"] > retry_after

    clock.advance(again["retry_after"] + 1.0)
    model.lines, model.calls = (*FACTS[:4], "FINISHED: 412 rows imported, ticket 8841 closed."), 0
    assert "__interrupt__" not in run(graph, mode, None, config)
    assert breaker.guard.state("t1") is State.CLOSED


def swallowing(kind: str, model: Scripted) -> StateGraph[Any, Any, Any, Any]:
    """The ping-pong with something around the model that swallows or repeats exceptions."""
    called: Any = model
    if kind == "with_retry":
        called = model.with_retry(stop_after_attempt=4, wait_exponential_jitter=False)
    elif kind == "with_fallbacks":
        called = model.with_fallbacks([model, model])

    def speak(state: MessagesState) -> dict[str, Any]:
        if kind != "try_except":
            called.invoke(state["messages"])
            return {"messages": [called.invoke(state["messages"])]}
        try:
            called.invoke(state["messages"])
            answer = called.invoke(state["messages"])
        except Exception as error:
            answer = AIMessage(f"Something went wrong: {type(error).__name__}")
        return {"messages": [answer]}

    policy = RetryPolicy(max_attempts=5, initial_interval=0.0, jitter=False, retry_on=Exception)
    builder = StateGraph(MessagesState)
    for name in ("alice", "bob"):
        builder.add_node(name, speak, retry_policy=policy if kind == "retry_policy" else None)
    builder.add_edge(START, "alice")
    builder.add_edge("alice", "bob")
    builder.add_edge("bob", "alice")
    return builder


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", ["try_except", "retry_policy", "with_retry", "with_fallbacks"])
@pytest.mark.parametrize("when", ["by_itself", "in_the_middle_of_a_node"])
def test_what_swallows_exceptions_does_not_swallow_the_stop(when: str, kind: str, mode: str) -> None:
    """Retries, fallbacks and except Exception around a model get no further call, and the caller no exception."""
    model = Scripted()
    breaker, at_trip = watched(model)
    if when == "in_the_middle_of_a_node":  # a person opens the breaker while the node runs

        class Impatient(Scripted):
            def _generate(self, *args: Any, **kwargs: Any) -> ChatResult:
                result = super()._generate(*args, **kwargs)
                if self.calls == 3:
                    breaker.guard.force_open("t1", "too expensive", by="ops")
                return result

        model = Impatient(lines=FACTS)
    graph = swallowing(kind, model).compile(checkpointer=InMemorySaver()).with_config(callbacks=[breaker])
    state = run(graph, mode, REQUEST, {"configurable": {"thread_id": "t1"}, "recursion_limit": 100})
    assert state["__interrupt__"][0].value["agentbreaker"]
    assert model.calls == (at_trip[0] if when == "by_itself" else 3)
    assert not breaker.faults


def test_a_node_that_catches_everything_in_a_loop_is_ended_all_the_same() -> None:
    """No model is called, but the loop would never end: it gets a halt that except Exception lets through."""
    model = Scripted()
    breaker, at_trip = watched(model)

    def stubborn(state: MessagesState) -> dict[str, Any]:
        while True:
            try:
                model.invoke(state["messages"])
            except Exception:  # noqa: S112 - that is the point
                continue

    builder = StateGraph(MessagesState)
    builder.add_node("stubborn", stubborn)
    builder.add_edge(START, "stubborn")
    with pytest.raises(ConversationHalted) as caught:
        builder.compile().invoke(REQUEST, {"callbacks": [breaker], "configurable": {"thread_id": "t1"}})
    assert caught.value.conversation_id == "t1"
    assert at_trip == [model.calls]
    assert len(breaker._edges) == 0


@pytest.mark.parametrize("mode", MODES)
def test_parallel_nodes_stop_together(mode: str) -> None:
    """Three workers at once: after the trip no further model call begins."""
    model = Scripted(seconds=0.002)
    breaker, at_trip = watched(model)

    async def slow(state: MessagesState) -> dict[str, Any]:
        return {"messages": [await model.ainvoke(state["messages"])]}

    def fast(state: MessagesState) -> dict[str, Any]:
        return {"messages": [model.invoke(state["messages"])]}

    builder = StateGraph(MessagesState)
    builder.add_node("hub", lambda state: {"messages": [AIMessage("Thank you all, great work!")]})
    for name in ("ann", "ben", "cid"):
        builder.add_node(name, slow if mode.startswith("a") else fast)
        builder.add_edge("hub", name)
    builder.add_edge(START, "hub")
    builder.add_edge(["ann", "ben", "cid"], "hub")
    graph = builder.compile(checkpointer=InMemorySaver()).with_config(callbacks=[breaker])
    state = run(graph, mode, REQUEST, {"configurable": {"thread_id": "t1"}, "recursion_limit": 100})
    assert state["__interrupt__"]
    assert at_trip == [model.calls]
    assert {"hub", "ann", "ben", "cid"} <= {sender for sender, _ in edges_of(breaker, "t1")}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("shape", ["ping_pong", "supervisor", "nested"])
def test_a_graph_that_works_is_left_alone(shape: str, mode: str) -> None:
    """Twelve rounds that each bring something: same messages with the breaker as without."""
    lines = (*FACTS, "FINISHED: 412 rows imported, ticket 8841 closed.")
    plain = run(SHAPES[shape](Scripted(lines=lines)).compile(), mode, REQUEST, {"recursion_limit": 200})
    breaker = LangGraphBreaker()
    config: Any = {"callbacks": [breaker], "configurable": {"thread_id": "t1"}, "recursion_limit": 200}
    guarded = run(SHAPES[shape](Scripted(lines=lines)).compile(), mode, REQUEST, config)
    assert [message.content for message in guarded["messages"]] == [message.content for message in plain["messages"]]
    assert guarded.keys() == plain.keys()
    assert len(guarded["messages"]) == 14
    assert breaker.guard.incident("t1") is None
    assert breaker.guard.state("t1") is State.CLOSED


def test_nodes_without_a_word_are_no_evidence() -> None:
    """Routers, counters and bookkeepers between the agents do not halt a conversation that gets on."""

    class Desk(MessagesState):
        round: int
        next: str

    def book(state: Desk) -> dict[str, Any]:
        return {"round": state.get("round", 0) + 1, "next": ("ann", "ben")[state.get("round", 0) % 2]}

    def speak(state: Desk) -> dict[str, Any]:
        return {"messages": [AIMessage(FACTS[state["round"] - 1])]}

    builder = StateGraph(Desk)
    builder.add_node("book", book)
    builder.add_node("check", lambda state: None)
    builder.add_node("ann", speak)
    builder.add_node("ben", speak)
    builder.add_edge(START, "book")
    builder.add_edge("book", "check")
    builder.add_conditional_edges("check", lambda state: state["next"], ["ann", "ben"])
    for name in ("ann", "ben"):
        builder.add_conditional_edges(name, lambda state: END if state["round"] >= 12 else "book", ["book", END])
    breaker = LangGraphBreaker()
    state = builder.compile().invoke(REQUEST, {"callbacks": [breaker], "recursion_limit": 200})
    assert "__interrupt__" not in state
    assert len(state["messages"]) == 13


def test_agents_that_only_hand_over_are_stopped() -> None:
    """Two paid routers that pass the buck without ever saying a word."""
    model = Scripted()
    breaker, at_trip = watched(model)

    def pass_on(other: str) -> Any:
        def node(state: MessagesState) -> Command[Any]:
            model.invoke(state["messages"])
            return Command(goto=other)

        return node

    builder = StateGraph(MessagesState)
    builder.add_node("ann", pass_on("ben"), destinations=("ben",))
    builder.add_node("ben", pass_on("ann"), destinations=("ann",))
    builder.add_edge(START, "ann")
    config: Any = {"callbacks": [breaker], "configurable": {"thread_id": "t1"}, "recursion_limit": 100}
    state = builder.compile().invoke(REQUEST, config)
    assert state["__interrupt__"]
    assert at_trip == [model.calls]


def shown_by(graph: Any, inputs: Any, **configurable: Any) -> list[Message]:
    """Run a graph and return what the guard was shown."""
    guard = RecordingGuard()
    breaker = LangGraphBreaker(guard)
    graph.invoke(inputs, {"callbacks": [breaker], "configurable": configurable, "recursion_limit": 100})
    assert not breaker.faults
    return guard.shown


def hops(messages: list[Message]) -> list[tuple[str, str | None, str, str]]:
    """Sender, recipient, kind and text of messages."""
    return [(m.sender, m.recipient, m.kind, m.content) for m in messages]


def test_hops_become_messages() -> None:
    """Person to first node, node to node, last node back to the person; ids, model and tokens come along."""
    model = Scripted(lines=(FACTS[0], FACTS[1], "FINISHED, all rows are in."))
    guard = RecordingGuard()
    graph = ping_pong(model).compile().with_config(callbacks=[LangGraphBreaker(guard)])
    state = graph.invoke(REQUEST, {"configurable": {"thread_id": 7}})
    assert hops(guard.shown) == [
        ("user", "alice", "message", REQUEST["messages"][0].content),
        ("alice", "bob", "message", FACTS[0]),
        ("bob", "alice", "message", FACTS[1]),
        ("alice", "user", "message", "FINISHED, all rows are in."),
    ]
    assert [message.role for message in guard.shown] == ["user", "assistant", "assistant", "assistant"]
    assert {message.conversation_id for message in guard.shown} == {"7"}
    assert [m.message_id for m in guard.shown[1:]] == [m.id for m in state["messages"][1:]]
    assert [m.usage for m in guard.shown] == [None, *[Usage(10, 5, 4, 0, 2)] * 3]
    assert [m.model for m in guard.shown] == [None, *["scripted-1"] * 3]
    assert len({m.run_id for m in guard.shown}) == 1


def test_several_model_calls_of_a_node_are_one_message() -> None:
    """Their tokens are summed on the message that the node sends, and its text is counted once."""
    model = Scripted(lines=("A first draft that nobody sees.", "A second draft.", "The final text of chapter 3."))

    def write(state: MessagesState) -> dict[str, Any]:
        for _ in range(2):
            model.invoke(state["messages"])
        return {"messages": [model.invoke(state["messages"])]}

    builder = StateGraph(MessagesState)
    builder.add_node("writer", write)
    builder.add_node("quiet", lambda state: {})
    builder.add_edge(START, "writer")
    builder.add_edge("writer", "quiet")
    shown = shown_by(builder.compile(), REQUEST)
    assert hops(shown)[1:] == [("writer", "quiet", "message", "The final text of chapter 3.")]
    assert shown[1].usage == Usage(30, 15, 12, 0, 6)


def test_tokens_of_a_failed_attempt_are_not_lost() -> None:
    """A node that fails after its model call and is retried: both calls are paid for, both are counted."""
    model = Scripted(lines=FACTS)
    attempts: list[int] = []

    def flaky(state: MessagesState) -> dict[str, Any]:
        answer = model.invoke(state["messages"])
        attempts.append(1)
        if len(attempts) == 1:
            raise ConnectionError("try again")
        return {"messages": [answer]}

    builder = StateGraph(MessagesState)
    builder.add_node("flaky", flaky, retry_policy=RetryPolicy(initial_interval=0.0, jitter=False))
    builder.add_edge(START, "flaky")
    shown = shown_by(builder.compile(), REQUEST)
    assert sum(message.usage.total for message in shown if message.usage) == 30


def test_a_sub_graph_repeats_nothing() -> None:
    """What was said inside is told once, although the node around it returns all of it again."""
    model = Scripted(lines=(*FACTS[:3], "FINISHED inside the team."))
    builder = StateGraph(MessagesState)
    builder.add_node("team", ping_pong(model).compile())
    builder.add_node("lead", lambda state: {"messages": [AIMessage("Reported to the board on Monday.")]})
    builder.add_edge(START, "team")
    builder.add_edge("team", "lead")
    shown = shown_by(builder.compile(), REQUEST)
    assert hops(shown)[1:] == [
        ("alice", "bob", "message", FACTS[0]),
        ("bob", "alice", "message", FACTS[1]),
        ("alice", "bob", "message", FACTS[2]),
        ("team", "lead", "message", "FINISHED inside the team."),
        ("lead", "user", "message", "Reported to the board on Monday."),
    ]
    assert sum(message.usage.total for message in shown if message.usage) == 60


@tool
def search(query: str) -> str:
    """Search the archive."""
    if query == "nothing":
        raise ValueError("no such entry")
    return f"Found 3 entries about {query}"


def asking(name: str, query: str, call_id: str = "c1", text: str = "") -> AIMessage:
    """A model's message that asks for a tool."""
    return AIMessage(text, tool_calls=[{"name": name, "args": {"query": query}, "id": call_id}])


def agent(model: Scripted, tools: Any) -> StateGraph[Any, Any, Any, Any]:
    """An agent as the prebuilt ones are made: a model node and a tools node."""
    builder = StateGraph(MessagesState)
    builder.add_node("model", lambda state: {"messages": [model.invoke(state["messages"])]})
    builder.add_node("tools", tools)
    builder.add_edge(START, "model")
    builder.add_conditional_edges(
        "model", lambda state: "tools" if state["messages"][-1].tool_calls else END, ["tools", END]
    )
    builder.add_edge("tools", "model")
    return builder


def by_callback(state: MessagesState) -> dict[str, Any]:
    """Run the tools as LangChain tools."""
    results = []
    for call in state["messages"][-1].tool_calls:  # type: ignore[union-attr]  # the graph only comes here with calls
        try:
            results.append(search.invoke(call))
        except ValueError as error:
            results.append(ToolMessage(repr(error), tool_call_id=call["id"], name="search", status="error"))
    return {"messages": results}


def by_hand(state: MessagesState) -> dict[str, Any]:
    """Run the tools as plain functions, of which no callback tells."""
    results = []
    for call in state["messages"][-1].tool_calls:  # type: ignore[union-attr]  # the graph only comes here with calls
        failed = call["args"]["query"] == "nothing"
        text = "ValueError: no such entry" if failed else f"Found 3 entries about {call['args']['query']}"
        results.append(ToolMessage(text, tool_call_id=call["id"], status="error" if failed else "success"))
    return {"messages": results}


@pytest.mark.parametrize("tools", [by_callback, by_hand])
@pytest.mark.parametrize("inside", [True, False], ids=["sub_graph", "top"])
def test_tool_calls_and_results_are_told_once(inside: bool, tools: Any) -> None:
    """Whether LangChain runs the tool or the node does it by hand, and although call ids are used again."""
    lines = (asking("search", "Bergen", text="Let me look."), asking("search", "nothing"), "Done: 3 entries.")
    graph: Any = agent(Scripted(lines=lines), tools)
    name = "model"
    if inside:
        name = "clerk"
        outer = StateGraph(MessagesState)
        outer.add_node("clerk", graph.compile())
        outer.add_edge(START, "clerk")
        graph = outer
    shown = shown_by(graph.compile(), REQUEST)[1:]
    assert [(m.sender, m.recipient, m.kind) for m in shown] == [
        (name, None if inside else "tools", "message"),
        (name, "search", "tool_call"),
        ("search", name, "tool_result"),
        (name, "search", "tool_call"),
        ("search", name, "tool_result"),
        (name, "user", "message"),
    ]
    called = [(m.tool.name, m.tool.call_id, m.tool.arguments, m.tool.result, m.tool.is_error) for m in shown if m.tool]
    assert called == [
        ("search", "c1", {"query": "Bergen"}, None, False),
        ("search", "c1", {"query": "Bergen"}, "Found 3 entries about Bergen", False),
        ("search", "c1", {"query": "nothing"}, None, False),
        ("search", "c1", {"query": "nothing"}, "ValueError: no such entry", True),
    ]
    assert sum(message.usage.total for message in shown if message.usage) == 45


@pytest.mark.parametrize("mode", MODES)
def test_an_agent_that_repeats_a_tool_call_is_stopped_before_the_tool(mode: str) -> None:
    """The same call with the same result over and over: neither the model nor the tool runs after the trip."""
    ran: list[str] = []

    @tool
    def lookup(query: str) -> str:
        """Look something up."""
        ran.append(query)
        return "no results"

    def run_tools(state: MessagesState) -> dict[str, Any]:
        calls = state["messages"][-1].tool_calls  # type: ignore[union-attr]  # the graph only comes here with calls
        return {"messages": [lookup.invoke(call) for call in calls]}

    model = Scripted(lines=(asking("lookup", "price of tea"),))
    breaker, at_trip = watched(model)
    graph = agent(model, run_tools).compile().with_config(callbacks=[breaker])
    state = run(graph, mode, REQUEST, {"configurable": {"thread_id": "t1"}, "recursion_limit": 100})
    assert state["__interrupt__"]
    assert at_trip == [model.calls]
    assert len(ran) <= model.calls < 20


def hand_over(to: str) -> Any:
    """A tool that hands over to another agent, as swarms do."""

    @tool(f"transfer_to_{to}")
    def transfer(query: str) -> Command[Any]:
        """Hand over."""
        done = ToolMessage(f"Successfully transferred to {to}", tool_call_id="h1", name=f"transfer_to_{to}")
        return Command(graph=Command.PARENT, goto=to, update={"messages": [done]})

    return transfer


def swarm(models: dict[str, Scripted]) -> Any:
    """Two agents as sub-graphs that hand over to each other with a tool."""
    builder = StateGraph(MessagesState)
    for name, other in (("ann", "ben"), ("ben", "ann")):
        transfer = hand_over(other)

        def run_tools(state: MessagesState, transfer: Any = transfer) -> Any:
            return transfer.invoke(state["messages"][-1].tool_calls[0]["args"])  # type: ignore[union-attr]

        builder.add_node(name, agent(models[name], run_tools).compile(), destinations=("ann", "ben"))
    builder.add_edge(START, "ann")
    return builder.compile()


@pytest.mark.parametrize("mode", MODES)
def test_hand_offs_of_a_swarm(mode: str) -> None:
    """A hand-off is neither a repeated tool call nor an error: a swarm that works goes on, one that does not stops."""
    said = [
        asking(f"transfer_to_{('ben', 'ann')[i % 2]}", "x", f"h{i}", text=text) for i, text in enumerate(FACTS[:10])
    ]
    busy = {"ann": Scripted(lines=tuple(said[::2]) + ("All is done.",)), "ben": Scripted(lines=tuple(said[1::2]))}
    breaker = LangGraphBreaker()
    config: Any = {"callbacks": [breaker], "configurable": {"thread_id": "t1"}, "recursion_limit": 100}
    state = run(swarm(busy), mode, REQUEST, config)
    assert "__interrupt__" not in state
    assert state["messages"][-1].content == "All is done."
    assert {("ann", "ben"), ("ben", "ann")} <= edges_of(breaker, "t1")

    idle = {
        "ann": Scripted(lines=(asking("transfer_to_ben", "x", "h1"),)),
        "ben": Scripted(lines=(asking("transfer_to_ann", "x", "h2"),)),
    }
    config["configurable"] = {"thread_id": "t2"}
    state = run(swarm(idle), mode, REQUEST, config)
    assert state["__interrupt__"]
    assert idle["ann"].calls + idle["ben"].calls < 20
    assert not breaker.faults


def test_content_blocks_and_plain_state_are_read() -> None:
    """Content may be a list of blocks; a state without messages is read by its strings, without bare labels."""

    class Report(TypedDict, total=False):
        topic: str
        parts: Annotated[list[str], operator.add]
        status: str
        words: int

    builder = StateGraph(Report)
    builder.add_node("plan", lambda state: {"parts": ["First the Bergen store,"], "words": 4})
    builder.add_node("label", lambda state: {"status": "ok", "words": 5})
    builder.add_node("write", lambda state: {"parts": ["then the VAT ids."], "status": "done"})
    builder.add_edge(START, "plan")
    builder.add_edge("plan", "label")
    builder.add_edge("label", "write")
    assert hops(shown_by(builder.compile(), {"topic": "backlog"})) == [
        ("user", "plan", "message", "backlog"),
        ("plan", "label", "message", "First the Bergen store,"),
        ("label", "write", "handoff", ""),
        ("write", "user", "message", "then the VAT ids.\ndone"),
    ]

    blocks: list[str | dict[Any, Any]] = [
        {"type": "text", "text": "Chart of sales:"},
        {"type": "image_url", "image_url": {"url": "https://example.org/chart.png"}},
        "see above",
    ]
    chat = StateGraph(MessagesState)
    chat.add_node("artist", lambda state: {"messages": [AIMessage(blocks)]})
    chat.add_edge(START, "artist")
    shown = shown_by(chat.compile(), {"messages": [{"role": "user", "content": "Draw it."}]})
    assert hops(shown) == [
        ("user", "artist", "message", "Draw it."),
        ("artist", "user", "message", "Chart of sales:\nsee above"),
    ]


def test_a_node_that_returns_the_whole_state_said_only_what_is_new() -> None:
    """Neither history that a node returns again nor a list that it appended to in place is told twice."""

    class Log(TypedDict):
        messages: list[BaseMessage]

    def whole(state: Log) -> Any:
        return {"messages": [*state["messages"], AIMessage("Rows 1 to 412 are in.")]}

    def in_place(state: Log) -> Any:
        state["messages"].append(AIMessage("Rows 413 to 900 are in."))
        return state

    builder = StateGraph(Log)
    builder.add_node("whole", whole)
    builder.add_node("in_place", in_place)
    builder.add_node("unchanged", lambda state: state)
    builder.add_edge(START, "whole")
    builder.add_edge("whole", "in_place")
    builder.add_edge("in_place", "unchanged")
    assert hops(shown_by(builder.compile(), {"messages": [HumanMessage("Go.")]}))[1:] == [
        ("whole", "in_place", "message", "Rows 1 to 412 are in."),
        ("in_place", "unchanged", "message", "Rows 413 to 900 are in."),
    ]


def test_the_same_message_object_said_again_counts_again() -> None:
    """A node that returns one constant message object keeps its id, and yet says it each time."""
    constant = AIMessage("Thank you, great work!")
    builder = StateGraph(MessagesState)
    builder.add_node("ann", lambda state: {"messages": [constant]})
    builder.add_node("ben", lambda state: {"messages": [constant]})
    builder.add_edge(START, "ann")
    builder.add_edge("ann", "ben")
    builder.add_edge("ben", "ann")
    breaker = LangGraphBreaker()
    assert builder.compile().invoke(REQUEST, {"callbacks": [breaker], "recursion_limit": 60})["__interrupt__"]


def test_map_and_reduce_with_send() -> None:
    """Each worker receives its own part, and its result goes to the node that collects."""

    class Work(TypedDict, total=False):
        chapters: list[str]
        chapter: str
        notes: Annotated[list[str], operator.add]

    builder = StateGraph(Work)
    builder.add_node("plan", lambda state: {"chapters": ["chapter four on taxes", "chapter nine on audits"]})
    builder.add_node("read", lambda state: {"notes": [f"Notes of {state['chapter']}"]})
    builder.add_node("collect", lambda state: {"notes": ["All is read."]})
    builder.add_edge(START, "plan")
    builder.add_conditional_edges("plan", lambda s: [Send("read", {"chapter": c}) for c in s["chapters"]], ["read"])
    builder.add_edge("read", "collect")
    assert sorted(hops(shown_by(builder.compile(), {}))) == [
        ("collect", "user", "message", "All is read."),
        ("plan", "read", "message", "chapter four on taxes"),
        ("plan", "read", "message", "chapter nine on audits"),
        ("read", "collect", "message", "Notes of chapter four on taxes"),
        ("read", "collect", "message", "Notes of chapter nine on audits"),
    ]


def test_the_answer_of_a_person_to_an_interrupt_is_input_from_outside() -> None:
    """Command(resume=...) is a turn of the user."""

    def approve(state: MessagesState) -> dict[str, Any]:
        return {"messages": [AIMessage(f"Noted: {interrupt('May I?')}")]}

    builder = StateGraph(MessagesState)
    builder.add_node("approve", approve)
    builder.add_edge(START, "approve")
    guard = RecordingGuard()
    graph = builder.compile(checkpointer=InMemorySaver()).with_config(callbacks=[LangGraphBreaker(guard)])
    config: Any = {"configurable": {"thread_id": "t1"}}
    graph.invoke(REQUEST, config)
    graph.invoke(Command(resume="yes, but only 500 euro"), config)
    assert [(m.sender, m.role, m.content) for m in guard.shown] == [
        ("user", "user", REQUEST["messages"][0].content),
        ("user", "user", "yes, but only 500 euro"),
        ("approve", "assistant", "Noted: yes, but only 500 euro"),
    ]


@pytest.mark.parametrize("mode", MODES)
def test_a_node_with_a_loop_of_its_own_is_seen(mode: str) -> None:
    """A node that calls the model for ever inside is stopped although it never hands over."""
    model = Scripted()
    breaker, at_trip = watched(model)

    def chatter(state: MessagesState) -> dict[str, Any]:
        for _ in range(500):
            answer = model.invoke(state["messages"])
        return {"messages": [answer]}

    builder = StateGraph(MessagesState)
    builder.add_node("chatter", chatter)
    builder.add_edge(START, "chatter")
    graph = builder.compile().with_config(callbacks=[breaker])
    state = run(graph, mode, REQUEST, {"configurable": {"thread_id": "t1"}})
    assert state["__interrupt__"]
    assert at_trip == [model.calls]
    assert model.calls < 40


@pytest.mark.parametrize("mode", ["invoke", "stream"])
def test_the_functional_api_is_stopped_too(mode: str) -> None:
    """Tasks of an entrypoint speak like nodes."""
    model = Scripted()
    breaker, at_trip = watched(model)

    @task
    def ann(text: str) -> str:
        return str(model.invoke(text).content)

    @task
    def ben(text: str) -> str:
        return str(model.invoke(text).content)

    @entrypoint()
    def talk(text: str) -> str:
        for _ in range(100):
            text = ben(ann(text).result()).result()
        return text

    config: Any = {"callbacks": [breaker], "configurable": {"thread_id": "t1"}}
    if mode == "invoke":
        result = talk.invoke("Hello, shall we begin?", config)
        assert isinstance(result, dict)
        assert result["__interrupt__"]
    else:
        chunks = list(talk.stream("Hello, shall we begin?", config))
        assert any("__interrupt__" in chunk for chunk in chunks)
    assert at_trip == [model.calls]
    assert model.calls < 30


def test_attached_to_the_model_alone() -> None:
    """Without the graph's callbacks the model is stopped all the same."""
    model = Scripted()
    breaker, at_trip = watched(model)
    quiet = StateGraph(MessagesState)
    speak = model.with_config(callbacks=[breaker])
    for name in ("ann", "ben"):
        quiet.add_node(name, lambda state: {"messages": [speak.invoke(state["messages"])]})
    quiet.add_edge(START, "ann")
    quiet.add_edge("ann", "ben")
    quiet.add_edge("ben", "ann")
    state = quiet.compile().invoke(REQUEST, {"configurable": {"thread_id": "t1"}, "recursion_limit": 60})
    assert state["__interrupt__"]
    assert at_trip == [model.calls]
    assert len(breaker._edges) == 0


def test_attached_twice_counts_once() -> None:
    """Baked in and given again at the call: still one message each."""
    guard = RecordingGuard()
    breaker = LangGraphBreaker(guard)
    model = Scripted(lines=(FACTS[0], "FINISHED, all rows are in."))
    graph = ping_pong(model).compile().with_config(callbacks=[breaker])
    graph.invoke(REQUEST, {"callbacks": [breaker]})
    assert len(guard.shown) == 3


def test_which_conversation() -> None:
    """The thread; without one the run itself; or the one that was given."""
    guard = RecordingGuard()
    graph = no_model(Scripted()).compile()
    options: Any = {"callbacks": [LangGraphBreaker(guard)], "recursion_limit": 60}
    state = graph.invoke(REQUEST, options)
    assert state["__interrupt__"][0].value["conversation_id"] == guard.shown[0].run_id
    assert guard.incident(str(guard.shown[0].run_id)) is not None
    graph.invoke(REQUEST, options)
    assert len({message.conversation_id for message in guard.shown}) == 2

    fixed = LangGraphBreaker(conversation_id="the night shift")
    graph.invoke(REQUEST, {"callbacks": [fixed], "configurable": {"thread_id": "t1"}, "recursion_limit": 60})
    assert fixed.guard.state("the night shift") is State.OPEN
    with pytest.raises(TypeError, match="not both"):
        LangGraphBreaker(Guard(), policy=Guard().policy)


def test_one_breaker_serves_many_threads_at_once() -> None:
    """Eight runs at the same time: each trips for itself, and a healthy one among them is left alone."""
    breaker = LangGraphBreaker()

    def talk(number: int) -> bool:
        lines = (*FACTS, "FINISHED, all rows are in.") if number == 3 else THANKS
        model = Scripted(lines=lines, seconds=0.001)
        graph = ping_pong(model).compile().with_config(callbacks=[breaker])
        state = graph.invoke(REQUEST, {"configurable": {"thread_id": f"t{number}"}, "recursion_limit": 60})
        return "__interrupt__" in state

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(talk, range(8))) == [number != 3 for number in range(8)]
    assert len(breaker._edges) == 0
    assert not breaker.faults


def test_memory_is_given_back_when_runs_end() -> None:
    """Thousands of runs, some of which fail and some of which are stopped, leave nothing behind."""
    breaker = LangGraphBreaker()

    class Row(TypedDict, total=False):
        number: int
        text: str

    def work(state: Row) -> dict[str, Any]:
        if state["number"] % 3 == 0:
            raise LookupError("no such row")
        return {"text": f"Row {state['number']} is in the table now."}

    builder = StateGraph(Row)
    builder.add_node("work", work)
    builder.add_edge(START, "work")
    graph = builder.compile().with_config(callbacks=[breaker])
    breaker.guard.force_open("stopped", "maintenance", by="ops")
    for number in range(3000):
        thread = "stopped" if number % 7 == 0 else f"t{number}"
        try:
            graph.invoke({"number": number}, {"configurable": {"thread_id": thread}})
        except LookupError:
            assert number % 3 == 0
    assert len(breaker._edges) == 0
    assert not breaker._edges._roots


def test_one_long_run_does_not_grow() -> None:
    """A single run of a thousand steps keeps a bounded number of records."""
    breaker = LangGraphBreaker()
    sizes: list[int] = []

    class Count(TypedDict):
        number: int

    def step(state: Count) -> dict[str, Any]:
        sizes.append(len(breaker._edges))
        return {"number": state["number"] + 1}

    builder = StateGraph(Count)
    builder.add_node("one", step)
    builder.add_node("two", step)
    builder.add_edge(START, "one")
    builder.add_edge("one", "two")
    builder.add_conditional_edges("two", lambda state: END if state["number"] >= 1000 else "one", ["one", END])
    state = builder.compile().invoke({"number": 0}, {"callbacks": [breaker], "recursion_limit": 5000})
    assert state["number"] == 1000
    assert max(sizes) == min(sizes)


class Broken(Guard):
    """A guard with a fault."""

    def observe(self, message: Message) -> Decision:
        raise RuntimeError("secret content must not be logged")


@pytest.mark.parametrize("mode", MODES)
def test_our_own_faults_do_not_reach_the_graph(mode: str, caplog: pytest.LogCaptureFixture) -> None:
    """They are counted and logged by type; the graph runs as if we were not there."""
    lines = (*FACTS, "FINISHED, all rows are in.")
    breaker = LangGraphBreaker(Broken())
    graph = ping_pong(Scripted(lines=lines)).compile().with_config(callbacks=[breaker])
    with caplog.at_level("DEBUG", logger="agentbreaker"):
        state = run(graph, mode, REQUEST, {"configurable": {"thread_id": "t1"}, "recursion_limit": 60})
    assert len(state["messages"]) == 14
    assert breaker.faults["RuntimeError"] >= 13
    assert "RuntimeError" in caplog.text
    assert "secret" not in caplog.text
    assert len(breaker._edges) == 0


def test_odd_states_are_no_fault() -> None:
    """Values that cannot be compared, such as arrays, and messages that are none."""

    class Odd:
        def __eq__(self, other: object) -> bool:
            raise ValueError("the truth value of an array is ambiguous")

        __hash__ = None  # type: ignore[assignment]  # as arrays have none

    class Anything(TypedDict, total=False):
        table: Any
        messages: Any

    builder = StateGraph(Anything)
    builder.add_node("load", lambda state: {"table": Odd(), "messages": 3})
    builder.add_node("keep", lambda state: {"table": Odd(), "messages": {"no": "message"}})
    builder.add_edge(START, "load")
    builder.add_edge("load", "keep")
    breaker = LangGraphBreaker()
    assert builder.compile().invoke({}, {"callbacks": [breaker]})["messages"] == {"no": "message"}
    assert not breaker.faults


def test_an_error_of_the_graph_stays_its_own() -> None:
    """What a node raises reaches the caller unchanged, and the conversation is not blamed."""

    def fail(state: MessagesState) -> dict[str, Any]:
        raise LookupError("no such row")

    builder = StateGraph(MessagesState)
    builder.add_node("fail", fail)
    builder.add_edge(START, "fail")
    breaker = LangGraphBreaker()
    with pytest.raises(LookupError, match="no such row"):
        builder.compile().invoke(REQUEST, {"callbacks": [breaker], "configurable": {"thread_id": "t1"}})
    assert breaker.guard.state("t1") is State.CLOSED
    assert len(breaker._edges) == 0


def test_shadow_mode_stops_nothing() -> None:
    """With metrics_only the loop runs on, and the incident is written all the same."""
    breaker = LangGraphBreaker(Guard(mode="metrics_only"))
    model = Scripted(lines=(*THANKS, *THANKS, *THANKS, "FINISHED"))
    graph = ping_pong(model).compile().with_config(callbacks=[breaker])
    state = graph.invoke(REQUEST, {"configurable": {"thread_id": "t1"}, "recursion_limit": 60})
    assert "__interrupt__" not in state
    assert model.calls == 19
    assert breaker.guard.incident("t1") is not None


def test_updates_of_a_stream_end_with_the_interrupt() -> None:
    """A caller who streams updates learns of the stop as the last update."""
    breaker = LangGraphBreaker()
    graph = ping_pong(Scripted()).compile().with_config(callbacks=[breaker])
    chunks = list(graph.stream(REQUEST, {"recursion_limit": 60}, stream_mode="updates"))
    assert list(chunks[-1]) == ["__interrupt__"]
    assert chunks[-1]["__interrupt__"][0].id.startswith("agentbreaker-")


def test_a_stop_from_outside_reaches_a_running_graph() -> None:
    """A person opens the breaker while the graph runs in another thread."""
    breaker = LangGraphBreaker()
    begun = threading.Event()

    class Slow(Scripted):
        def _generate(self, *args: Any, **kwargs: Any) -> ChatResult:
            begun.set()
            return super()._generate(*args, **kwargs)

    model = Slow(lines=FACTS, seconds=0.01)
    graph = ping_pong(model).compile().with_config(callbacks=[breaker])
    config: Any = {"configurable": {"thread_id": "t1"}, "recursion_limit": 1000}
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(graph.invoke, REQUEST, config)
        assert begun.wait(5)
        breaker.guard.force_open("t1", "maintenance", by="ops")
        calls = model.calls
        state = future.result(timeout=10)
    assert "maintenance" in state["__interrupt__"][0].value["agentbreaker"]
    assert model.calls - calls <= 1, "at most the call that was under way"


def test_without_langgraph_the_error_says_what_to_install() -> None:
    """The import fails with the name of the extra."""
    code = (
        "import sys\n"
        "sys.modules['langgraph'] = sys.modules['langgraph.errors'] = None\n"
        "try:\n    import agentbreaker.integrations.langgraph\n"
        "except ImportError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 'pip install "agentbreaker[langgraph]"' in done.stdout
