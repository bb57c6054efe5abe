"""Which runs of a LangGraph are turns of agents."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agentbreaker.transcripts.graph_runs import agent_of_run, handed_over


def metadata(node: str, around: str | None = None, agent: str | None = None) -> dict[str, Any]:
    """What LangGraph tells a run."""
    found: dict[str, Any] = {"langgraph_node": node, "langgraph_checkpoint_ns": around or f"{node}:1"}
    return found | ({} if agent is None else {"lc_agent_name": agent})


@pytest.mark.parametrize(
    ("run", "told", "agent"),
    [
        ("planner", metadata("planner"), "planner"),
        ("planner", metadata("planner", agent="Planner"), "Planner"),
        # The wrapper of a node, and what a node consists of.
        ("call_agent", metadata("planner"), None),
        ("RunnableSequence", metadata("planner"), None),
        # A part of an agent that is a graph of its own; the same node in a graph around which there is nothing.
        ("agent", metadata("agent", "boss:1|agent:2"), None),
        ("model", metadata("model", "math:1|model:2", "math"), "math"),
        ("agent", metadata("agent"), "agent"),
        # Any other node of an inner graph is one.
        ("critic", metadata("critic", "team:1|critic:2"), "critic"),
        ("__start__", metadata("__start__"), None),
        ("planner", {}, None),
        (None, metadata("planner"), None),
    ],
)
def test_a_turn_is_the_run_of_a_node(run: str | None, told: dict[str, Any], agent: str | None) -> None:
    """It has the name of the node, and the node is no part of an agent."""
    assert agent_of_run(run, told) == agent


def test_a_command_hands_over() -> None:
    """What a tool gave back says where it goes on, and its last message in which words."""
    command = {"graph": "__parent__", "update": {"messages": [{"type": "tool", "content": "Over to math."}]}}
    assert handed_over(command | {"goto": "math"}) == ("math", "Over to math.")
    assert handed_over(json.dumps(command | {"goto": "math"})) == ("math", "Over to math.")
    assert handed_over(command | {"goto": [{"node": "a"}]}) == (None, "Over to math.")
    assert handed_over({"goto": "math"}) is None
    assert handed_over("Over to math.") is None
