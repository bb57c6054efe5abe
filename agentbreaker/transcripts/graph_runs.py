"""What tracing systems record of a LangGraph: a run for every node, and for whatever a node consists of.

LangGraph tells each run, in its metadata, the node that it belongs to and the graphs around that.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from agentbreaker.transcripts.values import first_name, last_text, mapping_of, name_of

__all__ = ["CONTROL_FLOW", "NODES_OF_AGENTS", "agent_of_run", "handed_over"]

#: Nodes that are a part of an agent, not one: in an inner graph the agent has the name of the node around it.
NODES_OF_AGENTS: Final = frozenset({"agent", "call_model", "generate", "llm", "model", "model_request", "tools"})
#: Exceptions with which a graph goes on elsewhere: no failures.
CONTROL_FLOW: Final = frozenset({"ParentCommand", "GraphInterrupt", "GraphBubbleUp", "NodeInterrupt"})
_COMMAND: Final = {"graph", "update", "goto"}


def agent_of_run(run: str | None, metadata: Mapping[str, Any]) -> str | None:
    """Return the agent whose turn a run is, ``None`` if it is no turn: a part of one, or no node at all.

    Args:
        run: Name of the run; that of a node has the node's.
        metadata: Of the run.

    Raises:
        UnreadableError: A name is too long.
    """
    node = name_of(metadata.get("langgraph_node"), "metadata.langgraph_node")
    # LangGraph's own nodes, such as the one that chooses where to begin, are no agents.
    if node is None or run != node or node.startswith("__"):
        return None
    agent = first_name(metadata, ("lc_agent_name",))
    around = metadata.get("langgraph_checkpoint_ns")
    is_part = node in NODES_OF_AGENTS and isinstance(around, str) and "|" in around
    return agent if is_part else agent or node


def handed_over(output: Any) -> tuple[str | None, str] | None:
    """Return to which node a tool hands over, and in which words, if what it gave back is a ``Command``."""
    command = mapping_of(output)
    if not command.keys() >= _COMMAND:
        return None
    return name_of(command.get("goto"), "output.goto"), last_text(command.get("update"))
