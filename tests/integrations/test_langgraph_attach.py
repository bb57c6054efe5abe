"""Each way to attach the breaker to LangGraph, alone and together, and each form in which a halt is given."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from typing import Annotated, Any, TypedDict

import pytest

pytest.importorskip("langgraph", reason="LangGraph is not installed")
pytest.importorskip("langchain", reason="LangChain's agents are not installed")

from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables import RunnableLambda
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.func import entrypoint, task
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import Command, interrupt

import agentbreaker
from agentbreaker import Action, ConversationHalted, Decision, Guard, Message, Policy, State
from agentbreaker.integrations.langgraph import GuardedGraph, HaltedState, LangGraphBreaker, guard_graph
from tests.integrations.langgraph_shapes import MODES, REQUEST, SHAPES, THANKS, Model, add_lists, lines_of, run, speaker

CONFIG: Any = {"configurable": {"thread_id": "t1"}, "recursion_limit": 100}


class Recording(Guard):
    """The real guard, which also keeps what it was shown."""

    def __init__(self, policy: Policy | None = None) -> None:
        super().__init__(policy)
        self.shown: list[Message] = []

    def observe(self, message: Message) -> Decision:
        self.shown.append(message)
        return super().observe(message)


def app(graph: Any, mode: str) -> Any:
    """An application that cannot be edited: it knows nothing of the breaker."""
    return run(graph, mode, REQUEST, CONFIG)


def attached(way: str, graph: Any, guard: Guard, mode: str) -> Any:
    """Run a graph with the breaker attached in one of the ways, or in several at once."""
    breaker, other = LangGraphBreaker(guard), LangGraphBreaker(guard)
    if way == "with_config":
        return app(graph.with_config(callbacks=[breaker]), mode)
    if way == "per call":
        return run(graph, mode, REQUEST, {**CONFIG, "callbacks": [breaker]})
    if way == "watch":
        with agentbreaker.watch(guard):
            return app(graph, mode)
    if way == "guard_graph":
        return app(guard_graph(graph, guard), mode)
    if way == "the same twice":
        return run(graph.with_config(callbacks=[breaker]), mode, REQUEST, {**CONFIG, "callbacks": [breaker]})
    if way == "two of one guard":
        return run(graph.with_config(callbacks=[breaker]), mode, REQUEST, {**CONFIG, "callbacks": [other]})
    if way == "watch around attached":
        with agentbreaker.watch(guard):
            return app(graph.with_config(callbacks=[breaker]), mode)
    if way == "guard_graph around attached":
        return app(guard_graph(graph.with_config(callbacks=[breaker]), guard), mode)
    with agentbreaker.watch(guard), agentbreaker.watch(guard):
        return run(guard_graph(graph, guard), mode, REQUEST, {**CONFIG, "callbacks": [breaker, other]})


WAYS = (
    "with_config",
    "per call",
    "watch",
    "guard_graph",
    "the same twice",
    "two of one guard",
    "watch around attached",
    "guard_graph around attached",
    "all at once",
)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("shape", ["flat", "swarm"])
@pytest.mark.parametrize("way", WAYS)
def test_every_way_counts_once_and_halts(way: str, shape: str, mode: str) -> None:
    """The guard is shown the same messages, tokens and tool calls however often it is attached; the halt holds."""
    plain = Recording()
    attached("with_config", SHAPES[shape](Model()).compile(), plain, mode)
    guard = Recording()
    model = Model()
    state = attached(way, SHAPES[shape](model).compile(), guard, mode)
    assert state["__interrupt__"]
    assert guard.state("t1") is State.OPEN

    def facts(messages: list[Message]) -> list[Any]:
        return [(m.sender, m.recipient, m.kind, m.content, m.usage, m.tool and m.tool.name) for m in messages]

    assert facts(guard.shown) == facts(plain.shown)
    assert sum(m.usage.total for m in guard.shown if m.usage) == 15 * model.ledger.calls


def test_watch_yields_the_breaker_and_ends_with_the_block() -> None:
    """Inside the block the graph is halted, after it the graph is itself again."""
    model = Model()
    graph = SHAPES["flat"](model).compile()
    with agentbreaker.watch(policy=Policy(budgets={"max_messages": 3})) as breaker:
        state = app(graph, "invoke")
    assert isinstance(breaker, LangGraphBreaker)
    assert state["__interrupt__"][0].value["code"] == "AB601"
    assert model.ledger.calls == 3
    with pytest.raises(RecursionError):
        graph.invoke(REQUEST, {"recursion_limit": 8})
    with pytest.raises(TypeError, match="not both"):
        agentbreaker.watch(Guard(), policy=Policy())


def test_watch_around_coroutines() -> None:
    """`async with` watches what its own task starts, and nothing of a task beside it."""

    async def main() -> tuple[LangGraphBreaker, list[Any]]:
        models = Model(), Model()

        async def watched() -> LangGraphBreaker:
            async with agentbreaker.watch() as breaker:
                await SHAPES["flat"](models[0]).compile().ainvoke(REQUEST, CONFIG)
            return breaker

        async def free() -> None:
            with pytest.raises(RecursionError):
                await SHAPES["flat"](models[1]).compile().ainvoke(REQUEST, {"recursion_limit": 40})

        breaker, _ = await asyncio.gather(watched(), free())
        return breaker, [model.ledger.calls for model in models]

    breaker, calls = asyncio.run(main())
    assert breaker.guard.incident("t1") is not None
    assert calls[0] < 12
    assert calls[1] == 40


def test_a_graph_with_a_breaker_keeps_it_under_watch() -> None:
    """The guard that somebody chose for a graph decides about it; that of the block sees the others."""
    own = LangGraphBreaker()
    with agentbreaker.watch() as breaker:
        SHAPES["subgraph"](Model()).compile().with_config(callbacks=[own]).invoke(REQUEST, CONFIG)
        SHAPES["flat"](Model()).compile().invoke(REQUEST, {"configurable": {"thread_id": "t2"}})
    assert own.guard.conversations() == ["t1"]
    assert breaker.guard.conversations() == ["t2"]


def in_python(code: str) -> str:
    """Run code in an interpreter of its own."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_langgraph_is_loaded_when_it_is_used() -> None:
    """Importing agentbreaker loads neither LangGraph nor LangChain; watch() does, and says what is missing."""
    loaded = "any(name.split('.')[0] in ('langgraph', 'langchain_core') for name in sys.modules)"
    assert in_python(f"import sys, agentbreaker; agentbreaker.watch; print({loaded})") == "False"
    assert in_python(f"import sys, agentbreaker; agentbreaker.watch(); print({loaded})") == "True"
    missing = in_python(
        "import sys; sys.modules['langgraph'] = sys.modules['langgraph.errors'] = None\n"
        "import agentbreaker\n"
        "try: agentbreaker.watch()\n"
        "except ImportError as error: print(error)"
    )
    assert 'pip install "agentbreaker[langgraph]"' in missing


# guard_graph


def test_a_guarded_graph_is_the_graph_otherwise() -> None:
    """What is not said stays the graph's: its answer, its state, its drawing, and more configuration."""
    lines = ("The import of batch 7 is done, 412 rows.", "FINISHED, ticket 8841 is closed.")
    compiled = SHAPES["flat"](Model(lines=lines)).compile(checkpointer=InMemorySaver(), name="desk")
    graph = guard_graph(compiled)
    assert isinstance(graph, GuardedGraph)
    bound = graph.with_config(configurable={"thread_id": "t1"})
    assert isinstance(bound, GuardedGraph)
    state = bound.invoke(REQUEST)
    assert not isinstance(state, HaltedState)
    assert [m.content for m in state["messages"]][1:] == list(lines)
    assert graph.name == "desk"
    assert len(graph.get_state(CONFIG).values["messages"]) == 3
    assert set(graph.get_graph().nodes) >= {"alice", "bob"}
    with pytest.raises(AttributeError):
        graph.no_such_attribute  # noqa: B018


def test_a_guarded_graph_uses_the_breaker_that_is_there() -> None:
    """One that is attached already, or the one that is given."""
    breaker = LangGraphBreaker()
    compiled = SHAPES["flat"](Model()).compile()
    assert guard_graph(compiled.with_config(callbacks=[breaker])).breaker is breaker
    assert guard_graph(compiled, breaker=breaker).breaker is breaker
    guard = Guard()
    assert guard_graph(compiled.with_config(callbacks=[breaker]), guard).breaker.guard is guard


def test_wrong_arguments_of_guard_graph_are_refused() -> None:
    """They name what is wrong."""
    builder = SHAPES["flat"](Model())
    with pytest.raises(TypeError, match="needs a compiled graph, not StateGraph"):
        guard_graph(builder)
    with pytest.raises(ValueError, match="on_halt must be 'value', 'exception' or 'finish', not 'end'"):
        guard_graph(builder.compile(), on_halt="end")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="not both"):
        guard_graph(builder.compile(), Guard(), breaker=LangGraphBreaker())


@pytest.mark.parametrize("checkpointed", [True, False], ids=["checkpointer", "no_checkpointer"])
def test_without_a_thread_each_run_is_a_conversation(checkpointed: bool) -> None:
    """A graph that was compiled without a checkpointer needs no thread here either, and keeps nothing between calls."""
    graph = guard_graph(SHAPES["subgraph"](Model()).compile(checkpointer=InMemorySaver() if checkpointed else None))
    if checkpointed:
        with pytest.raises(ValueError, match="thread_id"):
            graph.invoke(REQUEST)
        return
    first, second = graph.invoke(REQUEST), graph.invoke(REQUEST)
    assert first.conversation_id != second.conversation_id
    assert len(second["messages"]) == len(first["messages"]) < 12
    assert graph.breaker.guard.incident(first.conversation_id) is not None


CHUNKS: dict[str, Any] = {
    "values": {"stream_mode": "values"},
    "updates": {"stream_mode": "updates"},
    "default": {},
    "several": {"stream_mode": ["updates", "values", "messages"]},
    "subgraphs": {"stream_mode": "values", "subgraphs": True},
    "several_subgraphs": {"stream_mode": ["values", "updates"], "subgraphs": True},
}


def streamed(graph: Any, asynchronous: bool, options: Any) -> list[Any]:
    """All chunks of a run."""

    async def collect() -> list[Any]:
        return [chunk async for chunk in graph.astream(REQUEST, CONFIG, **options)]

    return asyncio.run(collect()) if asynchronous else list(graph.stream(REQUEST, CONFIG, **options))


@pytest.mark.parametrize("asynchronous", [False, True], ids=["stream", "astream"])
@pytest.mark.parametrize("form", CHUNKS)
def test_the_last_chunks_of_a_halted_stream(form: str, asynchronous: bool) -> None:
    """They have the form that the caller asked for: the state among the values, the pause among the updates."""
    graph = guard_graph(SHAPES["subgraph"](Model()).compile())
    chunks = streamed(graph, asynchronous, CHUNKS[form])
    if form == "several":
        (first, pause), (second, state) = chunks[-2:]
        assert (first, second) == ("updates", "values")
    elif form == "several_subgraphs":
        (top, first, state), (top_too, second, pause) = chunks[-2:]
        assert (top, first, top_too, second) == ((), "values", (), "updates")
    elif form == "subgraphs":
        (top, state), pause = chunks[-1], None
        assert top == ()
    else:
        state, pause = (chunks[-1], None) if form == "values" else (None, chunks[-1])
    if state is not None:
        assert isinstance(state, HaltedState)
        assert len(lines_of(state)) >= 4
    if pause is not None:
        (told,) = pause["__interrupt__"]
        assert told.value["agentbreaker"]


@pytest.mark.parametrize("asynchronous", [False, True], ids=["stream", "astream"])
@pytest.mark.parametrize("form", CHUNKS)
def test_the_last_chunks_of_a_finished_stream(form: str, asynchronous: bool) -> None:
    """No chunk speaks of an interrupt; the final answer comes like any other."""
    graph = guard_graph(SHAPES["subgraph"](Model()).compile(), on_halt="finish")
    chunks = streamed(graph, asynchronous, CHUNKS[form])
    assert "__interrupt__" not in repr(chunks)
    last = chunks[-1]
    if form == "several":
        mode, (answer, about) = last
        assert (mode, about) == ("messages", {"langgraph_node": "agentbreaker"})
    elif form in ("default", "updates", "several_subgraphs"):
        payload = last[-1] if isinstance(last, tuple) else last
        (answer,) = payload["agentbreaker"]["messages"]
    else:
        answer = (last[-1] if isinstance(last, tuple) else last)["messages"][-1]
    assert answer.name == "agentbreaker"


def test_the_typed_output_of_newer_versions() -> None:
    """With version="v2" the value and the interrupts stand apart, halted and finished."""
    pytest.importorskip("langgraph.types").__dict__.get("GraphOutput") or pytest.skip("this LangGraph has no version 2")
    halted = guard_graph(SHAPES["subgraph"](Model()).compile()).invoke(REQUEST, CONFIG, version="v2")
    assert isinstance(halted.value, HaltedState)
    assert halted.interrupts[0].value["agentbreaker"]
    finished = guard_graph(SHAPES["flat"](Model()).compile(), on_halt="finish").invoke(REQUEST, CONFIG, version="v2")
    assert finished.value["messages"][-1].name == "agentbreaker"
    assert finished.interrupts == ()
    parts = list(
        guard_graph(SHAPES["flat"](Model()).compile()).stream(REQUEST, CONFIG, stream_mode="values", version="v2")
    )
    assert isinstance(parts[-1]["data"], HaltedState)


@pytest.mark.parametrize("mode", MODES)
def test_a_guarded_graph_inside_another_is_halted_with_it(mode: str) -> None:
    """The pause passes to the graph around it, which keeps its state; no second halt is made of it."""
    model = Model()
    inner = guard_graph(SHAPES["flat"](model).compile())
    builder = StateGraph(MessagesState)

    def ask(state: MessagesState) -> Any:
        return inner.invoke(state)

    async def aask(state: MessagesState) -> Any:
        return await inner.ainvoke(state)

    builder.add_node("first", lambda state: {"messages": [AIMessage("Twelve rows are in.")]})
    builder.add_node("team", aask if mode.startswith("a") else ask)
    builder.add_edge(START, "first")
    builder.add_edge("first", "team")
    state = run(builder.compile(), mode, REQUEST, CONFIG)
    assert state["__interrupt__"][0].value["conversation_id"] == "t1"
    assert [m.content for m in state["messages"]][1:] == ["Twelve rows are in."]
    assert model.ledger.calls < 12


@pytest.mark.parametrize("mode", ["invoke", "stream"])
def test_a_guarded_graph_inside_a_chain_that_is_watched(mode: str) -> None:
    """A chain around it knows no pause: the guarded graph gives the halt in its own form there."""
    guard = Guard()
    inner = guard_graph(SHAPES["subgraph"](Model()).compile(), guard, on_halt="finish")
    chain: Any = RunnableLambda(lambda inputs: run(inner, mode, inputs, CONFIG))
    with agentbreaker.watch(guard):
        state = chain.invoke(REQUEST)
    assert state["messages"][-1].name == "agentbreaker"
    (conversation_id,) = guard.conversations()
    assert guard.incident(conversation_id) is not None


@pytest.mark.parametrize("on_halt", ["value", "exception", "finish"])
def test_an_entrypoint_is_halted_and_cannot_be_finished(on_halt: Any) -> None:
    """A functional entrypoint has no state to end with: where it should be finished, it is halted as a value."""
    model = Model()

    @task
    def ann(text: str) -> str:
        return str(model.invoke(text).content)

    @task
    def ben(text: str) -> str:
        return str(model.invoke(text).content)

    @entrypoint()
    def talk(text: str) -> str:
        while True:
            text = ben(ann(text).result()).result()

    graph = guard_graph(talk, on_halt=on_halt)
    if on_halt == "exception":
        with pytest.raises(ConversationHalted):
            graph.invoke("Hello, shall we begin?", CONFIG)
    else:
        halted = graph.invoke("Hello, shall we begin?", CONFIG)
        assert isinstance(halted, HaltedState)
        assert halted["__interrupt__"][0].value["agentbreaker"]
    assert model.ledger.calls < 20


def test_interrupts_of_the_users_own_are_not_touched() -> None:
    """A person is asked as ever, through a guarded graph as well, and the answer goes on."""
    builder = StateGraph(MessagesState)
    builder.add_node("approve", lambda state: {"messages": [AIMessage(f"Noted: {interrupt('May I?')}")]})
    builder.add_edge(START, "approve")
    graph = guard_graph(builder.compile(checkpointer=InMemorySaver()), on_halt="exception")
    asked = graph.invoke(REQUEST, CONFIG)
    assert not isinstance(asked, HaltedState)
    assert asked["__interrupt__"][0].value == "May I?"
    assert graph.invoke(Command(resume="yes"), CONFIG)["messages"][-1].content == "Noted: yes"


def test_an_error_of_the_graph_passes() -> None:
    """What a node raises is the caller's to see."""

    def fail(state: MessagesState) -> Any:
        raise LookupError("no such row")

    builder = StateGraph(MessagesState)
    builder.add_node("fail", fail)
    builder.add_edge(START, "fail")
    with pytest.raises(LookupError, match="no such row"):
        guard_graph(builder.compile()).invoke(REQUEST)


# The end


def test_the_end_asks_no_router() -> None:
    """Routers may call a model; a run that is finished runs none, and is not led on by an edge."""
    routed: list[int] = []

    def router(state: MessagesState) -> str:
        routed.append(len(state["messages"]))
        return "bob" if len(state["messages"]) % 2 else "alice"

    model = Model()
    builder = StateGraph(MessagesState)
    for name in ("alice", "bob"):
        builder.add_node(name, speaker(model))
        builder.add_conditional_edges(name, router, ["alice", "bob"])
    builder.add_edge(START, "alice")
    graph = guard_graph(builder.compile(checkpointer=InMemorySaver()), on_halt="finish")
    state = graph.invoke(REQUEST, CONFIG)
    assert len(routed) == model.ledger.calls
    assert state["messages"][-1].name == "agentbreaker"
    assert graph.get_state(CONFIG).next == ()


@pytest.mark.parametrize("asynchronous", [False, True], ids=["finish", "afinish"])
@pytest.mark.parametrize("shape", SHAPES)
def test_finish_by_hand(shape: str, asynchronous: bool) -> None:
    """With the callback alone, the pause of a thread is turned into a final answer by one call."""
    model = Model()
    breaker = LangGraphBreaker()
    graph = SHAPES[shape](model).compile(checkpointer=InMemorySaver()).with_config(callbacks=[breaker])
    graph.invoke(REQUEST, CONFIG)
    # The place where the run began is not where it ended.
    began = list(graph.get_state_history(CONFIG))[-1].config
    state = asyncio.run(breaker.afinish(graph, began)) if asynchronous else breaker.finish(graph, began)
    assert set(lines_of(state)) == {f"said-{n + 1}" for n in range(model.ledger.calls)}
    assert breaker.guard.decision("t1").reason in state["messages"][-1].content
    assert graph.get_state(CONFIG).next == ()
    assert graph.get_state(CONFIG).values["messages"][-1].name == "agentbreaker"


@pytest.mark.parametrize("on_halt", ["value", "finish"])
@pytest.mark.parametrize("checkpointed", [True, False], ids=["checkpointer", "no_checkpointer"])
def test_other_state_of_sub_graphs_is_folded_in(checkpointed: bool, on_halt: Any) -> None:
    """Lists that a reducer appends to, plain fields and two levels of sub-graphs: each part once."""

    class Notes(TypedDict, total=False):
        messages: Annotated[list[Any], add_lists]
        notes: Annotated[list[str], add_lists]
        title: str
        inner_only: str

    class Outer(TypedDict, total=False):
        notes: Annotated[list[str], add_lists]
        title: str

    model = Model(lines=THANKS)

    def write(state: Notes) -> Any:
        text = str(model.invoke("Write.").content)
        return {"notes": [text], "title": f"Title {model.ledger.calls}", "inner_only": "x"}

    pair = StateGraph(Notes)
    pair.add_node("ann", write)
    pair.add_node("ben", write)
    pair.add_edge(START, "ann")
    pair.add_edge("ann", "ben")
    pair.add_edge("ben", "ann")
    middle = StateGraph(Notes)
    middle.add_node("open", lambda state: {"notes": ["The middle begins."]})
    middle.add_node("pair", pair.compile())
    middle.add_edge(START, "open")
    middle.add_edge("open", "pair")
    outer = StateGraph(Outer)
    outer.add_node("plan", lambda state: {"notes": ["The plan has four parts."]})
    outer.add_node("middle", middle.compile())
    outer.add_edge(START, "plan")
    outer.add_edge("plan", "middle")
    graph = guard_graph(outer.compile(checkpointer=InMemorySaver() if checkpointed else None), on_halt=on_halt)
    state = graph.invoke({"notes": ["Please."]}, CONFIG)
    said = [THANKS[n % len(THANKS)] for n in range(model.ledger.calls)]
    assert state["notes"] == ["Please.", "The plan has four parts.", "The middle begins.", *said]
    assert state["title"] == f"Title {model.ledger.calls}"
    assert "inner_only" not in state


@pytest.mark.parametrize("nested", [False, True], ids=["top", "sub_graph"])
@pytest.mark.parametrize("checkpointed", [True, False], ids=["checkpointer", "no_checkpointer"])
def test_work_beside_the_stopped_step_is_kept(checkpointed: bool, nested: bool) -> None:
    """Of two branches one finishes and one is stopped: what the first returned is in the state all the same."""
    breaker = LangGraphBreaker()
    model = Model()

    begun = threading.Event()

    def done(state: MessagesState) -> Any:
        begun.set()
        return {"messages": [AIMessage("Part one has 12 rows.")]}

    def stops(state: MessagesState) -> Any:
        assert begun.wait(5)
        breaker.guard.force_open("t1", "too expensive", by="ops")
        return {"messages": [model.invoke(state["messages"])]}

    builder = StateGraph(MessagesState)
    builder.add_node("done", done)
    builder.add_node("stops", stops)
    builder.add_edge(START, "done")
    builder.add_edge(START, "stops")
    if nested:
        team = builder.compile()
        builder = StateGraph(MessagesState)
        builder.add_node("team", team)
        builder.add_edge(START, "team")
    for on_halt in ("value", "finish"):
        compiled = builder.compile(checkpointer=InMemorySaver() if checkpointed else None)
        graph = guard_graph(compiled, breaker=breaker, on_halt=on_halt)
        breaker.guard.reset("t1")
        begun.clear()
        state = graph.invoke(REQUEST, CONFIG)
        assert [m.content for m in state["messages"]].count("Part one has 12 rows.") == 1
    assert model.ledger.calls == 0


def test_state_that_cannot_be_stored_is_no_fault_of_the_guard() -> None:
    """Without a checkpointer nothing is serialised: locks and open files pass through a guarded graph."""

    class Holding(MessagesState):
        lock: Any

    builder = StateGraph(Holding)
    model = Model()
    builder.add_node("ann", speaker(model))
    builder.add_edge(START, "ann")
    builder.add_conditional_edges("ann", lambda state: "ann", ["ann"])
    lock = threading.Lock()
    state = guard_graph(builder.compile()).invoke({**REQUEST, "lock": lock}, CONFIG)
    assert isinstance(state, HaltedState)
    assert state["lock"] is lock


def test_the_next_question_after_a_final_answer() -> None:
    """The person asks something new: the finished thread goes on, with its history."""
    model = Model()
    graph = guard_graph(SHAPES["flat"](model).compile(checkpointer=InMemorySaver()), on_halt="finish")
    calls = len(lines_of(graph.invoke(REQUEST, CONFIG)))
    model.lines = ("The invoices of May: 38 of 41 are paid.", "FINISHED: three reminders went out on 14 June.")
    model._turn = 0
    question: Any = {"messages": [HumanMessage("What about the invoices of May, are they paid?")]}
    state = graph.invoke(question, CONFIG)
    assert not isinstance(state, HaltedState)
    assert state["messages"][-1].content == model.lines[1]
    assert len(lines_of(state)) == calls + 2
    assert graph.breaker.guard.state("t1") is State.CLOSED
    assert graph.breaker.guard.decision("t1").action is Action.ALLOW


def test_the_end_node_is_not_the_users() -> None:
    """A graph that has a node of that name is halted instead of finished, not broken."""
    model = Model()
    builder = StateGraph(MessagesState)
    builder.add_node("agentbreaker", speaker(model))
    builder.add_edge(START, "agentbreaker")
    builder.add_conditional_edges("agentbreaker", lambda state: "agentbreaker", ["agentbreaker", END])
    state = guard_graph(builder.compile(), on_halt="finish").invoke(REQUEST, CONFIG)
    assert isinstance(state, HaltedState)
    assert len(lines_of(state)) == model.ledger.calls
