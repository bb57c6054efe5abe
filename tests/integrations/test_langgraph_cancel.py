"""A halt cancels asynchronous calls in flight and pauses their nodes, and changes nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.func import entrypoint, task
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.types import RetryPolicy, Send

from agentbreaker import Guard, State
from agentbreaker.integrations._langgraph_runs import Node, Root, Run
from agentbreaker.integrations._langgraph_stop import Stopped, begin, cut, cut_short, others, ours, settle, was_cut
from agentbreaker.integrations.langgraph import LangGraphBreaker, guard_graph
from tests.integrations.langgraph_shapes import REQUEST, asks, lines_of

# LangChain forgets a coroutine of its own when one of several handlers stops the call.
pytestmark = pytest.mark.filterwarnings(
    "ignore:coroutine 'ahandle_event':RuntimeWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)

CONFIG: Any = {"configurable": {"thread_id": "t1"}, "recursion_limit": 50}
LONG = 20.0
MODES = ("ainvoke", "astream", "messages")
Work = Callable[["Book", str, MessagesState], Any]


@pytest.fixture(autouse=True)
def swept(request: pytest.FixtureRequest) -> Iterator[None]:
    """Let such coroutines be missed here, and not in the tests to come."""
    yield
    if "messages" in request.node.name:
        gc.collect()


class Book:
    """What was begun, ended and cancelled, by name; while `held`, calls take for ever."""

    def __init__(self) -> None:
        self.held = True
        self.seconds = LONG
        self.begun: Counter[str] = Counter()
        self.ended: Counter[str] = Counter()
        self.cut: Counter[str] = Counter()

    async def spend_time(self, name: str) -> None:
        self.begun[name] += 1
        try:
            await asyncio.sleep(self.seconds if self.held else 0.0)
        except asyncio.CancelledError:
            self.cut[name] += 1
            raise
        self.ended[name] += 1

    async def until(self, *names: str) -> None:
        while not all(self.begun[name] for name in names):
            await asyncio.sleep(0.001)


class Slow(BaseChatModel):
    """A model whose answer takes its time, asynchronous throughout."""

    called: str = "ann"
    book: Any = None
    streams: bool = False

    @property
    def _llm_type(self) -> str:
        return "slow"

    def _message(self) -> AIMessage:
        usage: Any = {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15}
        identity = f"said-{self.called}"
        return AIMessage(f"{self.called} is through.", id=identity, usage_metadata=usage)

    def _generate(self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> ChatResult:
        self.book.begun[self.called] += 1
        time.sleep(0.05 if self.book.held else 0.0)
        self.book.ended[self.called] += 1
        return ChatResult(generations=[ChatGeneration(message=self._message())])

    async def _agenerate(self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> ChatResult:
        await self.book.spend_time(self.called)
        return ChatResult(generations=[ChatGeneration(message=self._message())])


class Talking(Slow):
    """The same, chunk by chunk; like some providers it tells its input tokens with the first chunk."""

    async def _astream(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        identity = f"said-{self.called}"
        usage: Any = {"input_tokens": 10, "output_tokens": 0, "total_tokens": 10}
        yield ChatGenerationChunk(message=AIMessageChunk(content="Well, ", id=identity, usage_metadata=usage))
        await self.book.spend_time(self.called)
        rest: Any = {"input_tokens": 0, "output_tokens": 5, "total_tokens": 5}
        yield ChatGenerationChunk(message=AIMessageChunk(content="done.", id=identity, usage_metadata=rest))


async def plainly(book: Book, name: str, state: MessagesState) -> Any:
    """Ask the model."""
    return await Slow(called=name, book=book).ainvoke(state["messages"])


async def guarded(book: Book, name: str, state: MessagesState) -> Any:
    """Ask it, and swallow what goes wrong."""
    try:
        return await plainly(book, name, state)
    except Exception as error:
        return AIMessage(f"sorry: {type(error).__name__}", id="said-sorry")


async def gathered(book: Book, name: str, state: MessagesState) -> Any:
    """Ask two at once."""
    return (await asyncio.gather(plainly(book, name, state), plainly(book, f"{name}-2", state)))[0]


async def collected(book: Book, name: str, state: MessagesState) -> Any:
    """Ask two at once and take exceptions for answers, which fails on those that are none."""
    answers = await asyncio.gather(
        plainly(book, name, state), plainly(book, f"{name}-2", state), return_exceptions=True
    )
    return AIMessage(answers[0].content, id=answers[0].id)  # type: ignore[union-attr]


async def retried(book: Book, name: str, state: MessagesState) -> Any:
    """Ask again and again, and somebody else in the end."""
    model = Slow(called=name, book=book)
    backup = Slow(called=f"{name}-2", book=book)
    chain = model.with_retry(stop_after_attempt=3, wait_exponential_jitter=False).with_fallbacks([backup])
    return await chain.ainvoke(state["messages"])


async def in_a_chain(book: Book, name: str, state: MessagesState) -> Any:
    """Ask it as a part of a chain."""
    return await (RunnableLambda(lambda asked: asked) | Slow(called=name, book=book)).ainvoke(state["messages"])


async def streamed(book: Book, name: str, state: MessagesState) -> Any:
    """Listen word by word."""
    said = ""
    async for chunk in Talking(called=name, book=book).astream(state["messages"]):
        said += str(chunk.content)
    return AIMessage(said, id=f"said-{name}")


async def streaming(book: Book, name: str, state: MessagesState) -> Any:
    """Ask a model that streams if anybody listens."""
    return await Talking(called=name, book=book).ainvoke(state["messages"])


WORK: dict[str, Work] = {
    work.__name__: work for work in (plainly, guarded, gathered, collected, retried, in_a_chain, streamed, streaming)
}


def team(shape: str, book: Book, breaker: LangGraphBreaker, work: Work = plainly) -> StateGraph[Any, Any, Any, Any]:
    """Ann and ben are asked at once, dee has soon finished, and cem trips the breaker while both are in flight."""

    def worker(name: str) -> Any:
        async def ask(state: MessagesState) -> Any:
            return {"messages": [await work(book, name, state)]}

        return ask

    async def dee(state: MessagesState) -> Any:
        book.ended["dee"] += 1
        return {"messages": [AIMessage("dee is through.", id="said-dee")]}

    async def cem(state: MessagesState) -> Any:
        if book.held:
            await book.until("ann", "ben", *(("ann-2", "ben-2") if work in (gathered, collected) else ()))
            await asyncio.sleep(0.01)
            breaker.guard.force_open("t1", "too expensive", by="ops")
        return {"messages": [await Slow(called="cem", book=book).ainvoke(state["messages"])]}

    builder = StateGraph(MessagesState)
    policy = RetryPolicy(max_attempts=3, initial_interval=0.0, jitter=False, retry_on=Exception)
    names = {"ann": worker("ann"), "ben": worker("ben"), "cem": cem, "dee": dee}
    if shape == "send":
        builder.add_node("any", lambda state: {})
        builder.add_edge(START, "any")
        builder.add_conditional_edges("any", lambda state: [Send(name, state) for name in names], list(names))
    for name, node in names.items():
        if shape == "subgraph":
            inner = StateGraph(MessagesState)
            inner.add_node(f"{name}-inside", node)
            inner.add_edge(START, f"{name}-inside")
            builder.add_node(name, inner.compile())
        else:
            builder.add_node(name, node, retry_policy=policy)
        if shape != "send":
            builder.add_edge(START, name)
    return builder


async def last_of(graph: Any, mode: str, inputs: Any, config: Any = CONFIG) -> Any:
    """Run a graph; return the state that its caller gets to see."""
    if mode == "ainvoke":
        return await graph.ainvoke(inputs, config)
    modes = ["values", "messages"] if mode == "messages" else ["values", "updates"]
    state: dict[str, Any] = {}
    async for kind, chunk in graph.astream(inputs, config, stream_mode=modes):
        if kind == "values" or "__interrupt__" in chunk:
            state.update(chunk)
    return state


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("shape", ["flat", "subgraph", "send"])
async def test_calls_in_flight_are_cancelled_and_their_nodes_run_again(shape: str, mode: str) -> None:
    """What had finished stays, what was in flight ends at once and is told, and plain LangGraph goes on from there."""
    book, breaker, saver = Book(), LangGraphBreaker(), InMemorySaver()
    builder = team(shape, book, breaker)
    graph = builder.compile(checkpointer=saver).with_config(callbacks=[breaker])
    before = time.monotonic()
    state = await last_of(graph, mode, REQUEST)
    assert time.monotonic() - before < LONG / 2
    assert book.cut == {"ann": 1, "ben": 1}
    assert book.begun["cem"] == 0, "no further call began"
    assert ours(state["__interrupt__"])
    told = state["__interrupt__"][0].value
    assert (told["in_flight"], told["cancelled"]) == (0, 2)
    halt = breaker.halts.of("t1")
    assert halt is not None
    assert (halt.in_flight, halt.cancelled) == (0, 2)
    assert not breaker._edges.calls("t1")
    assert not breaker.faults
    halted = await graph.aget_state(CONFIG)
    assert set(halted.next) == {"ann", "ben", "cem"}
    current = asyncio.current_task()
    assert current is not None
    assert current.cancelling() == 0
    book.held = False
    plain = team(shape, book, breaker).compile(checkpointer=saver)
    resumed = await last_of(plain, mode, None)
    assert sorted(lines_of(resumed)) == ["said-ann", "said-ben", "said-cem", "said-dee"]
    assert book.ended == {"ann": 1, "ben": 1, "cem": 1, "dee": 1}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("work", WORK)
async def test_whatever_is_around_a_call_its_node_is_paused(work: str, mode: str) -> None:
    """Handlers of exceptions, retries, fallbacks, gather, chains and streams: none makes more of a cancellation."""
    book, breaker, saver = Book(), LangGraphBreaker(), InMemorySaver()
    builder = team("flat", book, breaker, WORK[work])
    graph = builder.compile(checkpointer=saver).with_config(callbacks=[breaker])
    state = await last_of(graph, mode, REQUEST)
    assert ours(state["__interrupt__"])
    twice = work in ("gathered", "collected")
    assert book.cut == ({"ann": 1, "ben": 1, "ann-2": 1, "ben-2": 1} if twice else {"ann": 1, "ben": 1})
    assert book.begun.total() == book.cut.total(), "no further call began"
    halt = breaker.halts.of("t1")
    assert halt is not None
    assert (halt.in_flight, halt.cancelled) == (0, 4 if twice else 2)
    assert not breaker.faults
    assert set((await graph.aget_state(CONFIG)).next) == {"ann", "ben", "cem"}
    book.held = False
    breaker.guard.reset("t1")
    resumed = await last_of(graph, mode, None)
    assert {"said-ann", "said-ben", "said-cem", "said-dee"} <= set(lines_of(resumed))
    assert "said-sorry" not in lines_of(resumed)


@pytest.mark.parametrize("checkpointer", [True, False])
@pytest.mark.parametrize("shape", ["flat", "subgraph", "send"])
async def test_the_caller_of_a_guarded_graph_is_told_what_was_cancelled(shape: str, checkpointer: bool) -> None:
    """With and without a checkpointer the state so far holds what had finished."""
    book, breaker = Book(), LangGraphBreaker()
    compiled = team(shape, book, breaker).compile(checkpointer=InMemorySaver() if checkpointer else None)
    state = await guard_graph(compiled, breaker=breaker).ainvoke(REQUEST, CONFIG)
    assert lines_of(state) == ["said-dee"]
    assert (state.in_flight, state.cancelled, state.resumable) == (0, 2, checkpointer)
    assert book.cut.total() == 2


async def test_tokens_of_a_stream_that_was_cut_off_are_counted() -> None:
    """What a provider had told of its tokens before the cancellation is on the account of the conversation."""
    book, breaker = Book(), LangGraphBreaker()
    graph = team("flat", book, breaker, streamed).compile(checkpointer=InMemorySaver())
    await graph.with_config(callbacks=[breaker]).ainvoke(REQUEST, CONFIG)
    assert book.cut == {"ann": 1, "ben": 1}
    assert breaker.guard.account("t1").tokens == 20


@pytest.mark.parametrize(("option", "cancelled"), [(True, 2), ("models", 1), (False, 0)])
async def test_which_calls_are_cancelled_is_the_users_choice(option: Any, cancelled: int) -> None:
    """All of them, those of models only, or none; a tool that runs in a thread never is, as it could not be stopped."""
    book, breaker = Book(), LangGraphBreaker(cancel_in_flight=option)
    book.seconds = 0.5

    @tool
    async def book_flight() -> str:
        """Book."""
        await book.spend_time("async")
        return "booked"

    @tool
    def book_hotel() -> str:
        """Book."""
        book.begun["sync"] += 1
        time.sleep(0.3)
        book.ended["sync"] += 1
        return "booked"

    def caller(name: str) -> Any:
        async def call(state: MessagesState) -> Any:
            node = ToolNode([book_flight, book_hotel])
            asked = asks(name, "Booking.")
            asked.tool_calls[0]["id"] = name
            return await node.ainvoke({"messages": [asked]})

        return call

    async def ask(state: MessagesState) -> Any:
        return {"messages": [await Slow(called="ann", book=book).ainvoke(state["messages"])]}

    async def trip(state: MessagesState) -> Any:
        await book.until("async", "sync", "ann")
        await asyncio.sleep(0.01)
        breaker.guard.force_open("t1", "too expensive", by="ops")
        await Slow(called="cem", book=book).ainvoke(state["messages"])

    builder = StateGraph(MessagesState)
    nodes = {"flight": caller("book_flight"), "hotel": caller("book_hotel"), "ann": ask, "trip": trip}
    for name, node in nodes.items():
        builder.add_node(name, node)
        builder.add_edge(START, name)
    graph = builder.compile(checkpointer=InMemorySaver()).with_config(callbacks=[breaker])
    state = await graph.ainvoke(REQUEST, CONFIG)
    told = state["__interrupt__"][0].value
    assert (told["in_flight"], told["cancelled"]) == (3 - cancelled, cancelled)
    assert book.cut.total() == cancelled
    assert (book.ended["sync"], book.ended["async"], book.ended["ann"]) == (1, cancelled < 2, not cancelled)
    assert [str(message.content) for message in state["messages"][1:]].count("booked") == 2 - (cancelled == 2)
    assert not breaker.faults


async def test_a_model_without_asynchronous_code_runs_to_its_end() -> None:
    """Its thread could not be stopped: its answer is paid for, so it is kept and counted as in flight."""

    class Threaded(Slow):
        async def _agenerate(self, *args: Any, **kwargs: Any) -> ChatResult:
            return await BaseChatModel._agenerate(self, *args, **kwargs)

    async def in_threads(book: Book, name: str, state: MessagesState) -> Any:
        return await Threaded(called=name, book=book).ainvoke(state["messages"])

    book, breaker = Book(), LangGraphBreaker()
    graph = team("flat", book, breaker, in_threads).compile(checkpointer=InMemorySaver())
    state = await graph.with_config(callbacks=[breaker]).ainvoke(REQUEST, CONFIG)
    told = state["__interrupt__"][0].value
    assert (told["in_flight"], told["cancelled"]) == (2, 0)
    assert book.ended["ann"] == book.ended["ben"] == 1


async def test_a_cancellation_by_the_user_stays_one() -> None:
    """A run that its caller cancels, before the halt or in the moment of it, is cancelled and not paused."""
    book, breaker = Book(), LangGraphBreaker()
    graph = team("flat", book, breaker).compile(checkpointer=InMemorySaver()).with_config(callbacks=[breaker])
    running = asyncio.create_task(graph.ainvoke(REQUEST, CONFIG))
    breaker.guard.force_open = lambda *args, **named: running.cancel()  # type: ignore[method-assign,assignment]
    with pytest.raises(asyncio.CancelledError):
        await running
    assert breaker.halts.of("t1") is None

    book, breaker = Book(), LangGraphBreaker()
    graph = team("flat", book, breaker).compile(checkpointer=InMemorySaver()).with_config(callbacks=[breaker])
    running = asyncio.create_task(graph.ainvoke(REQUEST, CONFIG))
    trip = breaker.guard.force_open

    def both(*args: Any, **named: Any) -> None:
        trip(*args, **named)
        asyncio.get_running_loop().call_soon(running.cancel)

    breaker.guard.force_open = both  # type: ignore[method-assign]
    with pytest.raises(asyncio.CancelledError):
        await running
    halt = breaker.halts.of("t1")
    assert halt is not None
    assert halt.cancelled == 2

    book, breaker = Book(), LangGraphBreaker()
    graph = team("flat", book, breaker).compile(checkpointer=InMemorySaver()).with_config(callbacks=[breaker])
    breaker.guard.force_open = lambda *args, **named: None  # type: ignore[method-assign]
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await graph.ainvoke(REQUEST, CONFIG)


async def test_a_node_that_swallows_the_cancellation_ends_as_it_likes() -> None:
    """Code that catches everything goes on, begins no further call, and nothing of its calls is left on record."""
    book, breaker = Book(), LangGraphBreaker()

    async def deaf(book: Book, name: str, state: MessagesState) -> Any:
        for _ in range(3):
            with contextlib.suppress(BaseException):
                await plainly(book, name, state)
        return AIMessage("I heard nothing.", id=f"said-{name}")

    graph = team("flat", book, breaker, deaf).compile(checkpointer=InMemorySaver())
    state = await graph.with_config(callbacks=[breaker]).ainvoke(REQUEST, CONFIG)
    assert book.begun == {"ann": 1, "ben": 1}
    assert lines_of(state) == ["said-ann", "said-ben", "said-dee"]
    assert not breaker._edges.calls("t1")


async def test_the_node_in_which_the_breaker_opens_finishes_what_it_has_begun() -> None:
    """The result that tripped is kept together with those of the calls beside it."""
    guard = Guard()
    breaker = LangGraphBreaker(guard)
    book = Book()

    @tool
    async def quick() -> str:
        """Answer at once."""
        await book.until("slow")
        guard.force_open("t1", "too expensive", by="ops")
        return "quick"

    @tool
    async def slow() -> str:
        """Answer later."""
        book.begun["slow"] += 1
        await asyncio.sleep(0.1)
        return "slow"

    async def ask(state: MessagesState) -> Any:
        asked = asks("quick", "Both.")
        asked.tool_calls = [{"name": name, "args": {}, "id": name, "type": "tool_call"} for name in ("quick", "slow")]
        return {"messages": [asked]}

    async def after(state: MessagesState) -> Any:
        raise AssertionError("never reached")

    builder = StateGraph(MessagesState)
    builder.add_node("ask", ask)
    builder.add_node("tools", ToolNode([quick, slow]))
    builder.add_node("after", after)
    builder.add_edge(START, "ask")
    builder.add_edge("ask", "tools")
    builder.add_edge("tools", "after")
    graph = builder.compile(checkpointer=InMemorySaver()).with_config(callbacks=[breaker])
    state = await graph.ainvoke(REQUEST, CONFIG)
    assert [message.content for message in state["messages"][-2:]] == ["quick", "slow"]
    assert state["__interrupt__"][0].value["in_flight"] == 1


async def test_calls_that_a_stopped_node_leaves_behind_are_cancelled() -> None:
    """Gather does not end the others when one of them is stopped; nobody would hear their answers."""
    book, breaker = Book(), LangGraphBreaker()

    async def second(state: MessagesState) -> Any:
        await book.until("ann")
        breaker.guard.force_open("t1", "too expensive", by="ops")
        return await plainly(book, "ben", state)

    async def both(state: MessagesState) -> Any:
        answers = await asyncio.gather(plainly(book, "ann", state), second(state))
        return {"messages": answers}

    builder = StateGraph(MessagesState)
    builder.add_node("both", both)
    builder.add_edge(START, "both")
    graph = builder.compile(checkpointer=InMemorySaver()).with_config(callbacks=[breaker])
    state = await graph.ainvoke(REQUEST, CONFIG)
    assert ours(state["__interrupt__"])
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert book.begun == {"ann": 1}
    assert book.cut == {"ann": 1}
    halt = breaker.halts.of("t1")
    assert halt is not None
    assert (halt.in_flight, halt.cancelled) == (0, 1)


async def test_an_agent_as_a_tool_ends_with_the_call_inside_of_it() -> None:
    """Only the innermost call is cancelled, once; the tool around it ends by that, and both are told."""
    book, breaker = Book(), LangGraphBreaker()

    async def inside(state: MessagesState) -> Any:
        return {"messages": [await plainly(book, "ann", state)]}

    inner = StateGraph(MessagesState)
    inner.add_node("inside", inside)
    inner.add_edge(START, "inside")
    agent = inner.compile()

    @tool
    async def ask_agent() -> str:
        """Ask the agent."""
        return str((await agent.ainvoke(REQUEST))["messages"][-1].content)

    async def outside(state: MessagesState) -> Any:
        return {"messages": [AIMessage(await ask_agent.ainvoke({}), id="said-outside")]}

    async def cem(state: MessagesState) -> Any:
        if book.held:
            await book.until("ann")
            breaker.guard.force_open("t1", "too expensive", by="ops")
        return {"messages": [await plainly(book, "cem", state)]}

    builder = StateGraph(MessagesState)
    builder.add_node("outside", outside)
    builder.add_node("cem", cem)
    builder.add_edge(START, "outside")
    builder.add_edge(START, "cem")
    graph = builder.compile(checkpointer=InMemorySaver()).with_config(callbacks=[breaker])
    state = await graph.ainvoke(REQUEST, CONFIG)
    assert book.cut == {"ann": 1}
    told = state["__interrupt__"][0].value
    assert (told["in_flight"], told["cancelled"]) == (0, 2)
    assert set((await graph.aget_state(CONFIG)).next) == {"outside", "cem"}
    book.held = False
    breaker.guard.reset("t1")
    assert sorted(lines_of(await graph.ainvoke(None, CONFIG))) == ["said-cem", "said-outside"]
    assert not breaker.faults


async def test_tasks_of_the_functional_interface_are_paused_too() -> None:
    """Tasks that have ended keep their results, and those that were cut off run again."""
    book, breaker = Book(), LangGraphBreaker()

    @task
    async def ask(name: str) -> str:
        return str((await Slow(called=name, book=book).ainvoke("Are you through?")).content)

    @task
    async def cem() -> str:
        if book.held:
            await book.until("ann", "ben")
            breaker.guard.force_open("t1", "too expensive", by="ops")
        return str((await Slow(called="cem", book=book).ainvoke("Are you through?")).content)

    @task
    async def dee() -> str:
        book.ended["dee"] += 1
        return "dee is through."

    @entrypoint(checkpointer=InMemorySaver())
    async def flow(request: str) -> list[str]:
        first = await dee()
        return [first, *await asyncio.gather(ask("ann"), ask("ben"), cem())]

    graph = flow.with_config(callbacks=[breaker])
    await graph.ainvoke("Go.", CONFIG)
    await asyncio.sleep(0.01)
    assert book.cut == {"ann": 1, "ben": 1}
    halt = breaker.halts.of("t1")
    assert halt is not None
    assert (halt.in_flight, halt.cancelled) == (0, 2)
    book.held = False
    breaker.guard.reset("t1")
    assert await graph.ainvoke(None, CONFIG) == [f"{name} is through." for name in ("dee", "ann", "ben", "cem")]
    assert book.ended == {"dee": 1, "ann": 1, "ben": 1, "cem": 1}
    assert not breaker.faults


@pytest.mark.parametrize("mode", ["ainvoke", "astream"])
async def test_an_agent_with_middleware_that_finishes_ends_with_an_answer(mode: str) -> None:
    """A model call of its that was cut off counts as stopped: the agent says why, and its sibling is paused."""
    pytest.importorskip("langchain", minversion="1.4")
    from langchain.agents import create_agent

    book, breaker = Book(), LangGraphBreaker()
    builder = StateGraph(MessagesState)

    async def cem(state: MessagesState) -> Any:
        await book.until("ann", "ben")
        breaker.guard.force_open("t1", "too expensive", by="ops")
        return {"messages": [await plainly(book, "cem", state)]}

    for name in ("ann", "ben"):
        agent = create_agent(
            Slow(called=name, book=book), [], name=name, middleware=[breaker.middleware(on_halt="finish")]
        )
        builder.add_node(name, agent)
        builder.add_edge(START, name)
    builder.add_node("cem", cem)
    builder.add_edge(START, "cem")
    graph = builder.compile(checkpointer=InMemorySaver()).with_config(callbacks=[breaker])
    state = await last_of(graph, mode, REQUEST)
    assert book.cut == {"ann": 1, "ben": 1}
    assert (await graph.aget_state(CONFIG)).next == ("cem",)
    finals = [message for message in state["messages"] if message.name == "agentbreaker"]
    assert len(finals) == 2
    assert not breaker._edges.calls("t1")
    assert not breaker.faults


async def test_a_tool_that_was_cut_off_is_not_said_not_to_have_run() -> None:
    """Where middleware answers for a cancelled tool, the answer tells the next reader that it had begun."""
    pytest.importorskip("langchain", minversion="1.4")
    from langchain.agents import create_agent

    book, breaker = Book(), LangGraphBreaker()

    @tool
    async def pay() -> str:
        """Pay."""
        await book.spend_time("pay")
        return "paid"

    class Asking(Slow):
        def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
            return self

        async def _agenerate(self, *args: Any, **kwargs: Any) -> ChatResult:
            asked = asks("pay", "Paying.")
            asked.tool_calls[0]["id"] = "call-1"
            return ChatResult(generations=[ChatGeneration(message=asked)])

    async def cem(state: MessagesState) -> Any:
        await book.until("pay")
        breaker.guard.force_open("t1", "too expensive", by="ops")
        return {"messages": [await plainly(book, "cem", state)]}

    builder = StateGraph(MessagesState)
    middleware = [breaker.middleware(on_halt="finish")]
    builder.add_node("ann", create_agent(Asking(book=book), [pay], name="ann", middleware=middleware))
    builder.add_node("cem", cem)
    builder.add_edge(START, "ann")
    builder.add_edge(START, "cem")
    graph = builder.compile(checkpointer=InMemorySaver()).with_config(callbacks=[breaker])
    state = await graph.ainvoke(REQUEST, CONFIG)
    assert book.cut == {"pay": 1}
    (answer,) = [message for message in state["messages"] if message.type == "tool"]
    assert answer.content == "[agentbreaker] Cancelled while it ran: too expensive."
    assert state["messages"][-1].name == "agentbreaker"
    assert not breaker.faults


async def test_another_conversation_goes_on() -> None:
    """Only calls of the conversation that is halted are cancelled."""
    book, breaker = Book(), LangGraphBreaker()
    graph = team("flat", book, breaker).compile(checkpointer=InMemorySaver()).with_config(callbacks=[breaker])

    async def alone(state: MessagesState) -> Any:
        return {"messages": [await Slow(called="zoe", book=book).ainvoke(state["messages"])]}

    builder = StateGraph(MessagesState)
    builder.add_node("zoe", alone)
    builder.add_edge(START, "zoe")
    other = builder.compile().with_config(callbacks=[breaker])
    running = asyncio.create_task(other.ainvoke(REQUEST, {"configurable": {"thread_id": "t2"}}))
    await book.until("zoe")
    await graph.ainvoke(REQUEST, CONFIG)
    assert book.cut == {"ann": 1, "ben": 1}
    assert breaker.guard.state("t2") is State.CLOSED
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_the_contract_of_the_cancellation() -> None:
    """What asyncio must keep doing for us: carry our mark to whoever waits, and count who has cancelled a task."""
    root = Root(_uuid(9), "t1")
    outer, call, own = Run(_uuid(1), root), Run(_uuid(2), root), Run(_uuid(3), root)
    graph: Any = type("Around", (), {"around": None})()
    outer.node = call.node = Node(_uuid(1), "ann", "ann", 1, graph, {})
    own.node = Node(_uuid(3), "ben", "ben", 1, graph, {})
    call.parent, call.model = outer, True

    async def waits() -> None:
        begin(call)
        await asyncio.gather(asyncio.sleep(LONG))

    first = asyncio.create_task(waits())
    await asyncio.sleep(0)
    assert others([call, outer], call) == []
    assert others([call], own) == [call]
    assert cut([call], call, tools=True) == 0, "its own node is spared"
    assert cut([call], own, tools=True) == 1
    assert cut([call], own, tools=True) == 0, "once"
    with pytest.raises(asyncio.CancelledError) as error:
        await first
    assert cut_short(call.node, error.value)
    assert cut_short(call.node, AttributeError("no content")), "whatever its code makes of it"
    assert not cut_short(call.node, Stopped.__new__(Stopped))
    assert not cut_short(call.node, KeyboardInterrupt())
    assert not cut_short(own.node, asyncio.CancelledError())
    assert was_cut(error.value)
    assert not was_cut(asyncio.CancelledError())
    assert "stopped on purpose by agentbreaker" in repr(error.value)
    assert settle(call.node) == [call]
    assert not call.node.cut

    again = asyncio.create_task(waits())
    await asyncio.sleep(0)
    assert cut([call], own, tools=False) == 1
    again.cancel()
    with pytest.raises(asyncio.CancelledError) as error:
        await again
    assert not cut_short(call.node, error.value), "somebody else has cancelled it too"
    settle(call.node)

    last = asyncio.create_task(waits())
    await asyncio.sleep(0)
    assert await asyncio.to_thread(cut, [call], own, tools=True) == 1, "from another thread"
    with pytest.raises(asyncio.CancelledError) as error:
        await last
    assert was_cut(error.value)
    assert cut([call], own, tools=True) == 0, "what has ended is not cancelled"


def _uuid(number: int) -> Any:
    from uuid import UUID

    return UUID(int=number)
