"""Four multi-agent applications of the shapes that people build with LangGraph, on scripted models.

Each runs a healthy script, which brings something new until the work is done, or a runaway one, which works for a
while and then goes round: agents confirm, thank and ask each other to look once more, with nothing new and no end.
The sentences come from the pools behind ``scenarios/``; nothing here knows how they are judged.
"""

from __future__ import annotations

import random
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from langchain.agents import create_agent
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.tools import InjectedToolCallId, tool
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import InjectedState
from langgraph.types import Command

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scenarios"))

from _work import Chatter, Work

#: Model calls after which a healthy script is done, and after which a runaway one brings nothing any more.
HEALTHY_CALLS = 96
WORK_CALLS = 12
#: Tokens of a model call: so many of input for each message that it reads, and so many of output.
INPUT_PER_MESSAGE, OUTPUT = 45, 45


@dataclass
class Script:
    """What the models of one run say, and what that costs.  Thread-safe.

    Attributes:
        healthy: Whether the run brings something new until it ends, or goes round without end.
        seed: Which of the scripts of this kind.
        calls, tools: Model calls and tool runs so far.
        tokens: Tokens of the model calls, input and output.
    """

    healthy: bool
    seed: int = 0
    calls: int = 0
    tools: int = 0
    tokens: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.work = Work("en", ("applications", self.seed))
        rng = random.Random(self.seed)
        self.chatter = Chatter("en", rng, [self.work.topic() for _ in range(2)])

    @property
    def done(self) -> bool:
        """Whether the work is done; a runaway never is."""
        return self.healthy and self.calls >= HEALTHY_CALLS

    @property
    def working(self) -> bool:
        """Whether the agents still bring something new."""
        return self.healthy or self.calls < WORK_CALLS

    def say(self, peer: str, *intents: str) -> str:
        """One message of an agent."""
        with self.lock:
            return self.work.message(2, *intents) if self.working else self.chatter.say(peer, "confirm", "thanks")

    def look_up(self) -> str:
        """The result of a tool: new while there is work, and the same from then on."""
        with self.lock:
            self.tools += 1
            return self.work.message(1, "finding") if self.working else "No further entries."


class Actor(BaseChatModel):
    """The model of one agent: `part` makes its answer from the script."""

    script: Any
    part: Any

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
        return self

    def _generate(self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> ChatResult:
        answer: AIMessage = self.part(messages)
        spent = {"input_tokens": INPUT_PER_MESSAGE * len(messages), "output_tokens": OUTPUT}
        answer.usage_metadata = {**spent, "total_tokens": sum(spent.values())}  # type: ignore[typeddict-item]
        answer.response_metadata = {"model_name": "gpt-4o-mini"}
        with self.script.lock:
            self.script.calls += 1
            self.script.tokens += sum(spent.values())
        return ChatResult(generations=[ChatGeneration(message=answer)])


def _speaker(script: Script, peer: str, *intents: str) -> Actor:
    return Actor(script=script, part=lambda messages: AIMessage(script.say(peer, *intents)))


def supervisor(script: Script) -> Any:
    """A supervisor assigns work to three workers in turn, and each reports back."""
    names = ("researcher", "writer", "tester")
    builder = StateGraph(MessagesState)
    chief = _speaker(script, "team", "decision", "objection")

    def assign(state: MessagesState) -> Command[Any]:
        if script.done:
            return Command(goto=END)
        said = chief.invoke(state["messages"])
        return Command(goto=names[(script.calls // 2) % len(names)], update={"messages": [said]})

    builder.add_node("supervisor", assign, destinations=(*names, END))
    for name in names:
        model = _speaker(script, "supervisor", "finding", "done")
        builder.add_node(name, lambda state, model=model: {"messages": [model.invoke(state["messages"])]})
        builder.add_edge(name, "supervisor")
    builder.add_edge(START, "supervisor")
    return builder.compile()


def swarm(script: Script) -> Any:
    """Three agents with a look-up tool, who hand the conversation over to each other."""
    names = ("alice", "bob", "carol")

    def hand_over(to: str) -> Any:
        @tool(f"transfer_to_{to}", description=f"Hand over to {to}.")
        def transfer(
            state: Annotated[Any, InjectedState], tool_call_id: Annotated[str, InjectedToolCallId]
        ) -> Command[Any]:
            done = ToolMessage(f"Transferred to {to}", tool_call_id=tool_call_id)
            return Command(goto=to, graph=Command.PARENT, update={"messages": [*state["messages"], done]})

        return transfer

    @tool
    def look_up(query: str) -> str:
        """Look something up."""
        return script.look_up()

    builder = StateGraph(MessagesState)
    for i, name in enumerate(names):
        peer = names[(i + 1) % len(names)]

        def part(messages: list[Any], peer: str = peer) -> AIMessage:
            if script.done:
                return AIMessage(script.say(peer, "done"))
            n = script.calls
            if n % 2 == 0:
                query = script.work.topic() if script.working else "status"
                return AIMessage(
                    script.say(peer, "finding"),
                    tool_calls=[{"name": "look_up", "args": {"query": query}, "id": f"l{n}"}],
                )
            call = {"name": f"transfer_to_{peer}", "args": {}, "id": f"t{n}"}
            return AIMessage(script.say(peer, "finding", "decision"), tool_calls=[call])

        agent = create_agent(Actor(script=script, part=part), [look_up, hand_over(peer)], name=name)
        builder.add_node(name, agent, destinations=names)
    builder.add_edge(START, names[0])
    return builder.compile()


def hierarchy(script: Script) -> Any:
    """A lead with two teams; each team is a sub-graph in which two agents go back and forth."""

    def team(first: str, second: str) -> Any:
        builder = StateGraph(MessagesState)
        for name, peer, intents in ((first, second, ("finding",)), (second, first, ("objection", "done"))):
            model = _speaker(script, peer, *intents)
            builder.add_node(name, lambda state, model=model: {"messages": [model.invoke(state["messages"])]})
        builder.add_edge(START, first)
        builder.add_edge(first, second)
        # Two rounds for an assignment; a team that is on the wrong track discusses for as long as it is let.
        builder.add_conditional_edges(
            second, lambda state: END if script.working and script.calls % 5 in (0, 4) else first, [first, END]
        )
        return builder.compile()

    lead = _speaker(script, "teams", "decision")
    builder = StateGraph(MessagesState)

    def assign(state: MessagesState) -> Command[Any]:
        if script.done:
            return Command(goto=END)
        said = lead.invoke(state["messages"])
        return Command(goto=("research", "build")[script.calls // 5 % 2], update={"messages": [said]})

    builder.add_node("lead", assign, destinations=("research", "build", END))
    builder.add_node("research", team("searcher", "reader"))
    builder.add_node("build", team("coder", "reviewer"))
    builder.add_edge(START, "lead")
    builder.add_edge("research", "lead")
    builder.add_edge("build", "lead")
    return builder.compile()


def plan_and_execute(script: Script) -> Any:
    """A planner, an executor with a tool, and a critic who sends the work back."""

    @tool
    def look_up(query: str) -> str:
        """Look something up."""
        return script.look_up()

    def execute(messages: list[Any]) -> AIMessage:
        if isinstance(messages[-1], ToolMessage):
            return AIMessage(script.say("critic", "finding", "done"))
        query = script.work.topic() if script.working else "status"
        call = {"name": "look_up", "args": {"query": query}, "id": f"c{script.calls}"}
        return AIMessage("", tool_calls=[call])

    planner = _speaker(script, "executor", "decision")
    critic = _speaker(script, "executor", "objection")
    executor = create_agent(Actor(script=script, part=execute), [look_up], name="executor")
    builder = StateGraph(MessagesState)
    builder.add_node("planner", lambda state: {"messages": [planner.invoke(state["messages"])]})
    builder.add_node("executor", executor)
    builder.add_node("critic", lambda state: {"messages": [critic.invoke(state["messages"])]})
    builder.add_edge(START, "planner")
    builder.add_edge("planner", "executor")
    builder.add_edge("executor", "critic")

    def verdict(state: MessagesState) -> str:
        if script.done:
            return END
        return "planner" if script.working and script.calls % 3 == 0 else "executor"

    builder.add_conditional_edges("critic", verdict, ["planner", "executor", END])
    return builder.compile()


#: The applications by name; each makes a new graph for a script.
APPLICATIONS: dict[str, Callable[[Script], Any]] = {
    "supervisor with workers": supervisor,
    "swarm with hand-offs": swarm,
    "hierarchical teams": hierarchy,
    "plan and execute with a critic": plan_and_execute,
}


def request(script: Script) -> Any:
    """What the person asks for."""
    return {"messages": [HumanMessage(script.work.message(1, "opening"))]}
