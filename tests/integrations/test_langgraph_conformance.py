"""LangGraph judges the shared scripts as every integration does."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("langgraph", reason="the extra langgraph is not installed")

from langchain_core.messages import AIMessage
from langchain_core.tools import StructuredTool
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.types import Command

from agentbreaker.integrations.langgraph import LangGraphBreaker, guard_graph
from tests.integrations.scripts import SCRIPTS, Script, Turn


class Stage:
    """The agents of a script as nodes of a graph; counts the turns that began."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.began = 0

    def speaker(self, name: str) -> Any:
        """The node of one agent: takes the next turn, and goes to whose turn comes then."""

        def node(state: MessagesState) -> Command[Any]:
            turn, number = self.take(name)
            if turn.call is not None:
                call = {"name": turn.call.name, "args": turn.call.arguments, "id": f"c{number}"}
                return Command(goto="tools", update={"messages": [AIMessage(turn.text, tool_calls=[call])]})
            return Command(goto=self.next_agent(), update={"messages": [AIMessage(turn.text)]})

        return node

    def take(self, name: str) -> tuple[Turn, int]:
        """The next turn, which is of this agent."""
        number = self.began
        self.began += 1
        turn = self.script.turns[number]
        assert turn.agent == name
        return turn, number

    def next_agent(self) -> str:
        """Whose turn it is; the end of the graph after the last."""
        return self.script.turns[self.began].agent if self.began < len(self.script.turns) else END

    def tool(self, name: str) -> StructuredTool:
        """A tool that answers as the script says."""

        def answer(**_: Any) -> str:
            call = self.script.turns[self.began - 1].call
            assert call is not None
            return call.result

        fields = next(turn.call.arguments for turn in self.script.turns if turn.call and turn.call.name == name)
        schema = {"type": "object", "properties": {field: {"type": "string"} for field in fields}}
        return StructuredTool(name=name, description="Scripted.", args_schema=schema, func=answer)

    def graph(self) -> Any:
        """The compiled graph."""
        builder = StateGraph(MessagesState)
        names = {turn.call.name for turn in self.script.turns if turn.call}
        agents = self.script.agents
        for name in agents:
            builder.add_node(name, self.speaker(name), destinations=(*agents, *(["tools"] if names else []), END))
        builder.add_edge(START, self.script.agents[0])
        if names:
            builder.add_node("tools", ToolNode([self.tool(name) for name in sorted(names)]))
            builder.add_conditional_edges("tools", lambda _: self.next_agent(), [*self.script.agents, END])
        return builder.compile()


def asked(script: Script) -> dict[str, Any]:
    """What the person asks for."""
    return {"messages": [("user", script.question)]}


@pytest.mark.parametrize("attach", ["callback", "guard_graph"])
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_the_script_ends_as_in_every_framework(script: Script, attach: str) -> None:
    """A runaway is halted within its window by one of its detectors; healthy work runs to its end."""
    stage, breaker = Stage(script), LangGraphBreaker()
    graph = stage.graph()
    config = {"configurable": {"thread_id": "t"}, "recursion_limit": 500}
    if attach == "callback":
        graph.with_config(callbacks=[breaker]).invoke(asked(script), config)
    else:
        guard_graph(graph, breaker=breaker).invoke(asked(script), config)
    decision = breaker.guard.decision("t")
    assert not breaker.faults
    if script.runaway:
        assert not decision.allowed
        assert decision.code in script.codes
        assert script.first < stage.began <= script.last + 1
    else:
        assert decision.allowed
        assert stage.began == len(script.turns)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
async def test_the_script_ends_alike_when_it_is_streamed_by_a_coroutine(script: Script) -> None:
    """The same verdict after the same turn as in a plain call."""
    ends = []
    for asynchronous in (False, True):
        stage, breaker = Stage(script), LangGraphBreaker()
        graph = stage.graph().with_config(callbacks=[breaker], recursion_limit=500)
        config = {"configurable": {"thread_id": "t"}}
        if asynchronous:
            async for _ in graph.astream(asked(script), config):
                pass
        else:
            graph.invoke(asked(script), config)
        ends.append((stage.began, breaker.guard.decision("t").code))
    assert ends[0] == ends[1]
