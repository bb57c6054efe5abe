"""Graphs of the shapes that people build, with scripted models that never leave the machine."""

from __future__ import annotations

import asyncio
import operator
import threading
from collections.abc import Callable, Iterator
from typing import Annotated, Any

from langchain.agents import create_agent
from langchain.tools import InjectedState
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.tools import InjectedToolCallId, tool
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import Command
from pydantic import PrivateAttr

__all__ = [
    "MODES",
    "REQUEST",
    "SHAPES",
    "THANKS",
    "Ledger",
    "Model",
    "add_lists",
    "hand_over",
    "lines_of",
    "run",
    "user",
]

MODES = ("invoke", "ainvoke", "stream", "astream")
THANKS = (
    "Thank you so much, great work!",
    "You are welcome, thanks to you as well.",
    "Great, I agree, thank you again!",
    "Perfect, thanks, glad we agree.",
    "Wonderful teamwork, thank you!",
    "Thanks, that is great.",
)
REQUEST: Any = {"messages": [HumanMessage("Please work off the backlog of the finance tool.")]}
add_lists = operator.add


class Ledger:
    """What all models of one graph did: how often they were called, and what they said."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.calls = 0
        self.ended = 0
        self.said: list[BaseMessage] = []
        self.on_call: Callable[[int], None] = lambda number: None


class Model(BaseChatModel):
    """A chat model that says its lines in turn, over and over; a line may be a message that asks for a tool."""

    lines: tuple[Any, ...] = THANKS
    seconds: float = 0.0
    name_of_model: str = "scripted-1"
    input_tokens: int = 10
    _ledger: Ledger = PrivateAttr(default_factory=Ledger)
    _turn: int = PrivateAttr(default=0)

    @property
    def ledger(self) -> Ledger:
        return self._ledger

    def on(self, ledger: Ledger) -> Model:
        self._ledger = ledger
        return self

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
        return self

    def _next(self) -> AIMessage:
        with self._ledger.lock:
            line = self.lines[self._turn % len(self.lines)]
            self._turn += 1
            self._ledger.calls += 1
            number = self._ledger.calls
        message = AIMessage(line) if isinstance(line, str) else line.model_copy(deep=True)
        message.id = f"said-{number}"
        for n, call in enumerate(message.tool_calls):
            call["id"] = f"call-{number}-{n}"
        message.usage_metadata = {
            "input_tokens": self.input_tokens,
            "output_tokens": 5,
            "total_tokens": self.input_tokens + 5,
        }
        message.response_metadata = {"model_name": self.name_of_model}
        self._ledger.on_call(number)
        return message

    def _end(self, message: AIMessage) -> ChatResult:
        with self._ledger.lock:
            self._ledger.ended += 1
            self._ledger.said.append(message)
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _generate(self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> ChatResult:
        message = self._next()
        if self.seconds:
            threading.Event().wait(self.seconds)
        return self._end(message)

    async def _agenerate(self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> ChatResult:
        message = self._next()
        await asyncio.sleep(self.seconds)
        return self._end(message)


class Streaming(Model):
    """The same, word by word, with the tokens on the last chunk, as providers send them."""

    def _stream(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> Iterator[ChatGenerationChunk]:
        message = self._next()
        for word in str(message.content).split(" "):
            yield ChatGenerationChunk(message=AIMessageChunk(content=word + " ", id=message.id))
        last = AIMessageChunk(
            content="",
            id=message.id,
            usage_metadata=message.usage_metadata,
            response_metadata=message.response_metadata,
        )
        self._end(message)
        yield ChatGenerationChunk(message=last)


def user(text: str) -> Any:
    """The input of a run."""
    return {"messages": [HumanMessage(text)]}


def hand_over(to: str) -> Any:
    """A tool that hands over to another agent of the graph around its own, as supervisors and swarms use it."""

    @tool(f"transfer_to_{to}", description=f"Hand over to {to}.")
    def transfer(
        state: Annotated[dict[str, Any], InjectedState], tool_call_id: Annotated[str, InjectedToolCallId]
    ) -> Command[Any]:
        done = ToolMessage(f"Transferred to {to}", name=f"transfer_to_{to}", tool_call_id=tool_call_id)
        return Command(goto=to, graph=Command.PARENT, update={"messages": [*state["messages"], done]})

    return transfer


def asks(name: str, text: str, **arguments: Any) -> AIMessage:
    """A message that asks for a tool; the model gives the call its id."""
    return AIMessage(text, tool_calls=[{"name": name, "args": arguments, "id": "x"}])


def speaker(model: Model) -> Any:
    """A node that says what its model says, under both ``invoke`` and ``ainvoke``."""
    from langchain_core.runnables import RunnableLambda

    def speak(state: MessagesState) -> dict[str, Any]:
        return {"messages": [model.invoke(state["messages"])]}

    async def aspeak(state: MessagesState) -> dict[str, Any]:
        return {"messages": [await model.ainvoke(state["messages"])]}

    return RunnableLambda(speak, aspeak)


def _over(state: MessagesState) -> bool:
    return "FINISHED" in str(state["messages"][-1].content)


def flat(model: Model) -> StateGraph[Any, Any, Any, Any]:
    """Two agents that answer each other."""
    builder = StateGraph(MessagesState)
    for name, other in (("alice", "bob"), ("bob", "alice")):
        builder.add_node(name, speaker(model))
        builder.add_conditional_edges(name, lambda s, other=other: END if _over(s) else other, [other, END])
    builder.add_edge(START, "alice")
    return builder


def parallel(model: Model) -> StateGraph[Any, Any, Any, Any]:
    """A hub that asks three workers at once and waits for all of them."""
    workers = ["ann", "ben", "cem"]
    builder = StateGraph(MessagesState)
    builder.add_node("hub", speaker(Model(lines=model.lines[::2]).on(model.ledger)))
    for n, name in enumerate(workers):  # each reads its own lines, whichever thread is the first
        own = tuple(line for line in model.lines[1::2] if "FINISHED" not in line) or THANKS
        builder.add_node(name, speaker(Model(lines=own[n:] + own[:n], seconds=model.seconds).on(model.ledger)))
    builder.add_edge(START, "hub")
    builder.add_conditional_edges("hub", lambda s: [END] if _over(s) else workers, [*workers, END])
    builder.add_edge(workers, "hub")
    return builder


def subgraph(model: Model) -> StateGraph[Any, Any, Any, Any]:
    """Two agents inside a team, which is a node of another graph."""
    builder = StateGraph(MessagesState)
    builder.add_node("team", flat(model).compile())
    builder.add_edge(START, "team")
    return builder


def supervisor(model: Model) -> StateGraph[Any, Any, Any, Any]:
    """A supervisor and its worker, both prebuilt agents; the worker reports back."""
    turns = model.lines
    boss = Model(lines=tuple(_handing("coder", line) for line in turns[::2])).on(model.ledger)
    coder = Model(lines=tuple(turns[1::2])).on(model.ledger)
    builder = StateGraph(MessagesState)
    builder.add_node("boss", create_agent(boss, [hand_over("coder")], name="boss"), destinations=("coder", END))
    builder.add_node("coder", create_agent(coder, [], name="coder"))
    builder.add_edge(START, "boss")
    builder.add_edge("coder", "boss")
    return builder


def swarm(model: Model) -> StateGraph[Any, Any, Any, Any]:
    """Two prebuilt agents that hand over to each other."""
    turns = model.lines
    builder = StateGraph(MessagesState)
    for n, (name, other) in enumerate((("ann", "ben"), ("ben", "ann"))):
        own = Model(lines=tuple(_handing(other, line) for line in turns[n::2])).on(model.ledger)
        builder.add_node(name, create_agent(own, [hand_over(other)], name=name), destinations=(other, END))
    builder.add_edge(START, "ann")
    return builder


def _handing(to: str, line: str) -> Any:
    return line if "FINISHED" in line else asks(f"transfer_to_{to}", line)


SHAPES = {
    "flat": flat,
    "parallel": parallel,
    "subgraph": subgraph,
    "supervisor": supervisor,
    "swarm": swarm,
}


def lines_of(state: dict[str, Any]) -> list[str]:
    """What the agents said, by the ids that the models gave."""
    return [str(message.id) for message in state["messages"] if str(message.id).startswith("said-")]


def run(graph: Any, mode: str, inputs: Any, config: Any) -> dict[str, Any]:
    """Run a graph in one of the four modes; return the last state that the caller gets to see."""

    async def drain() -> Any:
        return last([chunk async for chunk in graph.astream(inputs, config, stream_mode="values")])

    def last(chunks: list[Any]) -> Any:
        """LangGraph's own chunk of an interrupt holds nothing else; the state is then the one before."""
        state = chunks[-1]
        if set(state) == {"__interrupt__"} and len(chunks) > 1:
            return {**chunks[-2], **state}
        return state

    if mode == "invoke":
        return graph.invoke(inputs, config)  # type: ignore[no-any-return]
    if mode == "ainvoke":
        return asyncio.run(graph.ainvoke(inputs, config))
    if mode == "stream":
        return last(list(graph.stream(inputs, config, stream_mode="values")))  # type: ignore[no-any-return]
    return asyncio.run(drain())
