"""What the breaker sees of LangGraph: every hop, every model call and its tokens, every tool call, each once."""

from __future__ import annotations

import contextvars
import logging
import threading
from typing import Annotated, Any, TypedDict

import pytest

pytest.importorskip("langgraph", reason="LangGraph is not installed")
pytest.importorskip("langchain", reason="LangChain's agents are not installed")

from langchain.agents import create_agent
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.func import entrypoint, task
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import Command, Send

from agentbreaker import Decision, Guard, Message
from agentbreaker.integrations.langgraph import LangGraphBreaker
from tests.integrations.langgraph_shapes import (
    MODES,
    REQUEST,
    SHAPES,
    Ledger,
    Model,
    Streaming,
    add_lists,
    asks,
    run,
    speaker,
)

NEWS = (
    "Sales in Norway rose 14 percent to 3.2 million kroner.",
    "The import of batch 7 failed: column vat_id is missing.",
    "Patched parser.py to treat empty VAT ids as NULL.",
    "Unit tests of the parser: 38 passed, 0 failed.",
    "FINISHED, release 2.8.1 is out.",
    "FINISHED, the ticket 8841 is closed.",
)
CONFIG: Any = {"configurable": {"thread_id": "t1"}, "recursion_limit": 100}


class Recording(Guard):
    """The real guard, which also keeps what it was shown."""

    def __init__(self) -> None:
        super().__init__()
        self.shown: list[Message] = []

    def observe(self, message: Message) -> Decision:
        self.shown.append(message)
        return super().observe(message)


def seen(graph: Any, inputs: Any = REQUEST, mode: str = "invoke") -> list[Message]:
    """Run a graph and return what the guard was shown."""
    guard = Recording()
    breaker = LangGraphBreaker(guard)
    run(graph.with_config(callbacks=[breaker]), mode, inputs, CONFIG)
    assert not breaker.faults
    assert len(breaker._edges) == 0
    return guard.shown


def hops(messages: list[Message]) -> list[tuple[str, str | None, bool]]:
    """Who spoke to whom, and whether that was inferred, in order and each once."""
    return list(dict.fromkeys((m.sender, m.recipient, m.inferred) for m in messages if m.kind != "system"))


def tokens(messages: list[Message]) -> int:
    """All tokens that the guard was told of."""
    return sum(message.usage.total for message in messages if message.usage)


HOPS: dict[str, list[tuple[str, str | None]]] = {
    "flat": [("user", "alice"), ("alice", "bob"), ("bob", "alice"), ("alice", "user")],
    "parallel": [
        ("user", "hub"),
        ("hub", "ann"),
        ("hub", "ben"),
        ("hub", "cem"),
        ("ann", "hub"),
        ("ben", "hub"),
        ("cem", "hub"),
        ("hub", "user"),
    ],
    "subgraph": [("user", "team"), ("alice", "bob"), ("bob", "alice"), ("team", "user")],
    "supervisor": [("user", "boss"), ("boss", None), ("boss", "coder"), ("coder", "boss"), ("boss", "user")],
    "swarm": [("user", "ann"), ("ann", None), ("ann", "ben"), ("ben", None), ("ben", "ann"), ("ann", "user")],
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("shape", SHAPES)
def test_every_hop_and_every_token_once(shape: str, mode: str) -> None:
    """Whatever the shape and the mode, the hops are those of the graph, and each model call is counted once."""
    model = Model(lines=NEWS)
    shown = seen(SHAPES[shape](model).compile(), mode=mode)
    assert {(sender, recipient) for sender, recipient, _ in hops(shown)} == set(HOPS[shape])
    assert not any(message.inferred for message in shown)
    assert tokens(shown) == 15 * model.ledger.calls
    assert {message.model for message in shown if message.usage} == {"scripted-1"}
    ids = [message.message_id for message in shown]
    assert len(ids) == len(set(ids))
    assert {message.conversation_id for message in shown} == {"t1"}


def test_hops_that_are_named_are_explicit() -> None:
    """Commands, Sends, routers and joins name who is next; each hop of a fan-out is told, the words once."""

    class State(MessagesState):
        part: str

    model = Model(lines=NEWS)
    builder = StateGraph(State)
    builder.add_node("plan", lambda state: {"messages": [AIMessage("Three parts, then a check.")]})
    builder.add_node("a", lambda state: {"messages": [AIMessage("Part a: 12 rows.")]})
    builder.add_node("b", lambda state: {"messages": [AIMessage("Part b: 400 rows.")]})
    builder.add_node("c", lambda state: {"messages": [AIMessage(f"Part c, {state['part']}.")]})
    builder.add_node("join", lambda state: Command(goto="check", update={"messages": [AIMessage("All three.")]}))
    builder.add_node("check", speaker(model))
    builder.add_edge(START, "plan")
    builder.add_conditional_edges("plan", lambda state: ["a", "b", Send("c", {"part": "by Send"})], ["a", "b", "c"])
    builder.add_edge(["a", "b", "c"], "join")
    shown = seen(builder.compile())
    assert sorted(hops(shown), key=str) == sorted(
        [
            ("user", "plan", False),
            ("plan", "a", False),
            ("plan", "b", False),
            ("plan", "c", False),
            ("a", "join", False),
            ("b", "join", False),
            ("c", "join", False),
            ("join", "check", False),
            ("check", "user", False),
        ],
        key=str,
    )
    assert [m.content for m in shown].count("Three parts, then a check.") == 1


def test_hops_that_nobody_named_are_inferred() -> None:
    """Two chains side by side by plain edges: LangGraph does not say who handed over, and the edge says so."""
    builder = StateGraph(MessagesState)
    for name in ("a1", "a2", "b1", "b2"):
        text = f"The report of {name} has {len(name)} pages and a chart."
        builder.add_node(name, lambda state, text=text: {"messages": [AIMessage(text)]})
    for n in "12":
        builder.add_edge(START, f"a{n}")
        builder.add_edge(f"a{n}", f"b{n}")
    guard = Recording()
    config: Any = {"callbacks": [LangGraphBreaker(guard)], **CONFIG}
    builder.compile().invoke(REQUEST, config)
    found = {(sender, recipient): inferred for sender, recipient, inferred in hops(guard.shown)}
    assert found["user", "a1"] is False
    assert found["a1", "b1"] is True
    graph = guard.graph("t1")
    assert graph is not None
    drawn = graph.to_networkx()
    assert drawn.edges["user", "a1"]["inferred"] == 0
    assert drawn.edges["a1", "b1"]["inferred"] == drawn.edges["a1", "b1"]["messages"] == 1


@pytest.mark.parametrize("mode", MODES)
def test_streamed_calls_bring_their_tokens(mode: str) -> None:
    """Tokens that a provider sends with the last chunk count as those of a plain call, asked for or forced."""
    model = Streaming(lines=NEWS)

    def streams(state: MessagesState) -> dict[str, Any]:
        whole = None
        for chunk in model.stream(state["messages"]):
            whole = chunk if whole is None else whole + chunk
        return {"messages": [AIMessage(str(whole.content), id=whole.id)] if whole else []}

    builder = StateGraph(MessagesState)
    builder.add_node("ann", streams)
    builder.add_node("ben", speaker(model))
    builder.add_edge(START, "ann")
    builder.add_edge("ann", "ben")
    shown = seen(builder.compile(), mode=mode)
    assert [(m.sender, m.usage.total) for m in shown if m.usage] == [("ann", 15), ("ben", 15)]
    assert [m.model for m in shown if m.usage] == ["scripted-1", "scripted-1"]

    guard = Recording()
    config: Any = {"callbacks": [LangGraphBreaker(guard)], **CONFIG}
    assert list(builder.compile().stream(REQUEST, config, stream_mode="messages"))
    assert tokens(guard.shown) == 30


def test_tokens_of_different_models_are_never_summed() -> None:
    """A node that asks a cheap and a dear model: each amount stands beside the name of its own model."""
    cheap = Model(lines=("A draft of the letter.",), name_of_model="cheap-1", input_tokens=100)
    dear = Model(lines=("Dear Ms Okafor, both chapters are done.",), name_of_model="dear-1", input_tokens=1000)

    def write(state: MessagesState) -> dict[str, Any]:
        cheap.invoke(state["messages"])
        cheap.invoke(state["messages"])
        return {"messages": [dear.invoke(state["messages"])]}

    builder = StateGraph(MessagesState)
    builder.add_node("writer", write)
    builder.add_edge(START, "writer")
    shown = seen(builder.compile())
    assert sorted((m.model, m.usage.input_tokens, m.usage.output_tokens) for m in shown if m.usage) == [
        ("cheap-1", 200, 10),
        ("dear-1", 1000, 5),
    ]
    assert [m.content for m in shown if m.model == "dear-1"] == ["Dear Ms Okafor, both chapters are done."]


@tool
def search(query: str) -> str:
    """Search the archive."""
    if query == "nothing":
        raise ValueError("no such entry")
    return f"Found 3 entries about {query}"


@pytest.mark.parametrize("mode", MODES)
def test_an_agent_and_its_tools(mode: str) -> None:
    """The agent speaks under its own name; each call comes with arguments and result, also two at once."""
    both = AIMessage(
        "I look both up.",
        tool_calls=[
            {"name": "search", "args": {"query": "Bergen"}, "id": "x"},
            {"name": "search", "args": {"query": "Oslo"}, "id": "y"},
        ],
    )
    agent = create_agent(Model(lines=(both, "Six entries in all.")), [search], name="clerk")
    shown = seen(agent, mode=mode)
    assert shown[0].recipient == "clerk"
    called = [(m.sender, m.recipient, m.tool.arguments, m.tool.result) for m in shown if m.tool]
    assert sorted(called, key=str) == sorted(
        [
            ("clerk", "search", {"query": "Bergen"}, None),
            ("clerk", "search", {"query": "Oslo"}, None),
            ("search", "clerk", {"query": "Bergen"}, "Found 3 entries about Bergen"),
            ("search", "clerk", {"query": "Oslo"}, "Found 3 entries about Oslo"),
        ],
        key=str,
    )
    assert tokens(shown) == 30


def test_an_agent_as_a_tool() -> None:
    """Who asks an agent by a tool asks the tool; what is paid inside is counted once."""
    ledger = Ledger()
    expert = create_agent(Model(lines=("The rate is 25 percent.",)).on(ledger), [], name="expert")

    @tool
    def ask_expert(question: str) -> str:
        """Ask the expert."""
        return str(expert.invoke({"messages": [HumanMessage(question)]})["messages"][-1].content)

    lines = (asks("ask_expert", "", question="Which rate?"), "It is 25 percent.")
    shown = seen(create_agent(Model(lines=lines).on(ledger), [ask_expert], name="clerk"))
    assert [(m.sender, m.recipient, m.kind) for m in shown] == [
        ("user", "clerk", "message"),
        ("clerk", "ask_expert", "tool_call"),
        ("ask_expert", "clerk", "tool_result"),
        ("clerk", "user", "message"),
    ]
    assert tokens(shown) == 15 * ledger.calls == 45


@pytest.mark.parametrize("mode", ["invoke", "stream"])
def test_the_functional_api(mode: str) -> None:
    """Tasks speak under their names, also those that run side by side in threads."""
    model = Model(lines=NEWS)

    @task
    def ann(text: str) -> str:
        return str(model.invoke(text).content)

    @task
    def ben(text: str) -> str:
        return str(model.invoke(text).content)

    @entrypoint()
    def work(text: str) -> str:
        parts = [ann(text), ben(text), ben(text)]
        return " ".join(part.result() for part in parts)

    guard = Recording()
    config: Any = {"callbacks": [LangGraphBreaker(guard)], **CONFIG}
    if mode == "invoke":
        work.invoke("Please begin with the backlog.", config)
    else:
        assert list(work.stream("Please begin with the backlog.", config))
    assert sorted(m.sender for m in guard.shown if m.content in NEWS) == ["ann", "ben", "ben"]
    assert tokens(guard.shown) == 45


def test_parallel_branches_run_in_threads_and_are_all_seen() -> None:
    """Four branches, each with a model of its own, in as many threads: nothing is lost or mixed up."""

    class State(TypedDict, total=False):
        notes: Annotated[list[str], add_lists]

    ledger = Ledger()
    threads: set[str] = set()
    together = threading.Barrier(4)
    builder = StateGraph(State)
    for n in range(4):
        model = Model(lines=(f"Chapter {n} has {n * 7 + 3} pages on taxes.",)).on(ledger)

        def read(state: State, model: Model = model) -> State:
            together.wait(5)
            threads.add(threading.current_thread().name)
            return {"notes": [str(model.invoke("Read.").content)]}

        builder.add_node(f"reader{n}", read)
        builder.add_edge(START, f"reader{n}")
    builder.add_node("editor", lambda state: {"notes": ["All chapters are read."]})
    builder.add_edge([f"reader{n}" for n in range(4)], "editor")
    shown = seen(builder.compile(), {"notes": ["Please read."]})
    assert len(threads) == 4
    assert {m.sender: m.content for m in shown if m.recipient == "editor"} == {
        f"reader{n}": f"Chapter {n} has {n * 7 + 3} pages on taxes." for n in range(4)
    }
    assert tokens(shown) == 60


def in_a_thread(model: Model, *, with_context: bool) -> Any:
    """A node that asks its model in a thread of its own making."""

    def ask(state: MessagesState) -> dict[str, Any]:
        answers: list[Any] = []

        def work() -> None:
            answers.append(model.invoke(state["messages"]))

        context = contextvars.copy_context()
        thread = threading.Thread(target=(lambda: context.run(work)) if with_context else work)
        thread.start()
        thread.join()
        return {"messages": answers}

    return ask


def two_of(node: Any) -> Any:
    """A graph that goes through the node twice, in a sub-graph and outside."""
    inner = StateGraph(MessagesState)
    inner.add_node("inside", node)
    inner.add_edge(START, "inside")
    builder = StateGraph(MessagesState)
    builder.add_node("team", inner.compile())
    builder.add_node("outside", node)
    builder.add_edge(START, "team")
    builder.add_edge("team", "outside")
    builder.add_edge("outside", END)
    return builder


def test_a_call_in_a_bare_thread_is_noticed_afterwards(caplog: pytest.LogCaptureFixture) -> None:
    """Its tokens are counted from the answer that the node returns, and the log says once that we were blind."""
    guard = Recording()
    breaker = LangGraphBreaker(guard)
    graph = two_of(in_a_thread(Model(lines=NEWS), with_context=False)).compile().with_config(callbacks=[breaker])
    with caplog.at_level(logging.WARNING, logger="agentbreaker"):
        graph.invoke(REQUEST, CONFIG)
        graph.invoke(REQUEST, {"configurable": {"thread_id": "t2"}})
    assert tokens(guard.shown) == 60
    assert {m.model for m in guard.shown if m.usage} == {"scripted-1"}
    assert breaker.unseen_calls == 4
    assert [r.getMessage() for r in caplog.records].count(_blind()) == 1
    assert not breaker.faults


def _blind() -> str:
    from agentbreaker.integrations import langgraph

    return langgraph._BLIND


def test_a_thread_with_the_context_is_seen(caplog: pytest.LogCaptureFixture) -> None:
    """The way out that the warning names works: nothing is unseen then, and nothing is counted twice."""
    guard = Recording()
    breaker = LangGraphBreaker(guard)
    graph = two_of(in_a_thread(Model(lines=NEWS), with_context=True)).compile().with_config(callbacks=[breaker])
    graph.invoke(REQUEST, CONFIG)
    assert tokens(guard.shown) == 30
    assert breaker.unseen_calls == 0
    assert _blind() not in caplog.text


def test_copies_and_history_are_no_unseen_calls() -> None:
    """A new message made of an answer, the whole history returned again, and the next run of a thread."""
    model = Model(lines=NEWS)

    def copies(state: MessagesState) -> dict[str, Any]:
        answer = model.invoke(state["messages"])
        copy = AIMessage(answer.content, usage_metadata=answer.usage_metadata, name="copier")
        return {"messages": [*state["messages"], copy]}

    guard = Recording()
    breaker = LangGraphBreaker(guard)
    graph = two_of(copies).compile(checkpointer=InMemorySaver()).with_config(callbacks=[breaker])
    for _ in range(3):
        graph.invoke(REQUEST, CONFIG)
    assert breaker.unseen_calls == 0
    assert tokens(guard.shown) == 15 * model.ledger.calls == 90
    # A later process continues the thread: it did not hear of the calls before, and must not count them again.
    later = LangGraphBreaker(Recording())
    two_of(copies).compile(checkpointer=graph.checkpointer).invoke(REQUEST, {"callbacks": [later], **CONFIG})
    assert later.unseen_calls == 0
