"""The records of one LangGraph run while it goes on: graphs, nodes, and what is still to be delivered.

Plain records under the lock of :class:`~agentbreaker.integrations._langgraph_edges.Edges`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from agentbreaker.integrations._langgraph_text import Said, Snapshot, add_usage
from agentbreaker.message import Kind, Message, Role, Tool, Usage

__all__ = [
    "Graph",
    "Node",
    "Root",
    "Run",
    "actor_of",
    "expect_twin",
    "is_known",
    "message",
    "remember",
    "senders",
    "spend",
    "steps_of",
    "take_twin",
    "tool_message",
]

#: Node names that prebuilt agents give to their own insides: there the agent is the node around them.
_INSIDES = frozenset({"agent", "model", "tools"})

#: Ends of the names that middleware gives to its nodes, which are an agent's insides as well.
_MIDDLEWARE = (".before_agent", ".before_model", ".after_model", ".after_agent")

#: Ids remembered per run of a whole graph, to count a text once that several levels of the graph return.
_MAX_IDS = 4096


@dataclass(slots=True, eq=False)
class Node:
    """One execution of a node: who it is, what it said, what its models used."""

    run_id: UUID
    name: str
    actor: str
    step: int
    graph: Graph
    before: Snapshot
    born: int = 0
    said: Said = field(default_factory=list)
    usage: Usage | None = None
    model: str | None = None
    calls: int = 0
    stops: int = 0
    routes: frozenset[str] = frozenset()
    changed: bool = False
    sent: bool = False
    hidden: bool = False
    task: bool = False


@dataclass(slots=True, eq=False)
class Graph:
    """One run of a graph or sub-graph: the nodes that finished, and those whose output is still to be delivered."""

    around: Node | None
    actor: str | None = None
    ended: dict[int, list[Node]] = field(default_factory=dict)
    last: dict[str, Node] = field(default_factory=dict)
    waiting: dict[UUID, Node] = field(default_factory=dict)
    human: Said = field(default_factory=list)
    usage: Usage | None = None
    model: str | None = None


@dataclass(slots=True, eq=False)
class Root:
    """One call of ``invoke`` and everything that happened inside."""

    run_id: UUID
    conversation_id: str
    runs: dict[UUID, Run] = field(default_factory=dict)
    ids: OrderedDict[str, int] = field(default_factory=OrderedDict)
    count: int = 0
    silent: int = 0
    calls: dict[str, list[tuple[str, Tool]]] = field(default_factory=dict)
    results: dict[str, list[tuple[str, Tool]]] = field(default_factory=dict)
    stops: int = 0


@dataclass(slots=True, eq=False)
class Run:
    """One run that LangChain reports, of a graph, a node, a chain, a model or a tool."""

    run_id: UUID
    root: Root
    node: Node | None = None
    own: bool = False
    graph: Graph | None = None
    router: bool = False
    name: str = ""
    human: Said = field(default_factory=list)
    tool: Tool | None = None
    speaker: str | None = None
    caller: str = ""

    @property
    def conversation_id(self) -> str:
        """The conversation whose breaker decides about this run."""
        return self.root.conversation_id

    def count_stop(self) -> int:
        """Count that this run was stopped, and return how often its node was by now."""
        holder = self.node or self.root
        holder.stops += 1
        return holder.stops

    @property
    def actor(self) -> str:
        """The agent that speaks in this run."""
        return self.speaker or (self.node.actor if self.node else self.name or "assistant")


def steps_of(labels: Sequence[str]) -> tuple[int | None, int]:
    """The step of its graph that a node runs in, and the place of a runnable inside its node, from a run's tags."""
    step, sequel = None, 0
    for label in labels:
        if step is None and label.startswith("graph:step:"):
            step = int(label[11:])
        elif not sequel and label.startswith("seq:step:"):
            sequel = int(label[9:])
    return step, sequel


def actor_of(name: str, graph: Graph) -> str:
    """The agent that a node stands for: itself, or the agent whose insides it is a part of."""
    if name.endswith(_MIDDLEWARE):
        return graph.actor or "model"
    return graph.actor or name if name in _INSIDES else name


def senders(graph: Graph, name: str, step: int, triggers: Iterable[str]) -> list[Node]:
    """The nodes whose output the node `name` receives in `step`."""
    ended = graph.ended.get(step - 1, [])
    if routed := [node for node in ended if name in node.routes]:
        return routed
    for trigger in triggers:  # all triggers the node was built with, not only the one that fired
        if trigger.startswith("join:"):
            joined = [graph.last.get(source) for source in trigger.split(":")[1].split("+")]
            nodes = [node for node in joined if node is not None]
            if len(nodes) == len(joined) and any(node.step == step - 1 for node in nodes):
                return nodes
    return [node for node in ended if not node.routes] or ended


def message(
    root: Root,
    sender: str,
    recipient: str | None,
    content: str,
    message_id: str,
    usage: Usage | None = None,
    model: str | None = None,
    *,
    kind: Kind = "message",
    role: Role = "assistant",
) -> Message:
    """A message of this run."""
    return Message(
        root.conversation_id,
        sender,
        recipient,
        kind,
        content,
        role,
        message_id,
        run_id=str(root.run_id),
        model=model,
        usage=usage,
    )


def tool_message(root: Root, kind: Kind, actor: str, tool: Tool, message_id: str) -> Message:
    """A call from `actor` to the tool, or the tool's result back to `actor`."""
    ends = (actor, tool.name) if kind == "tool_call" else (tool.name, actor)
    role: Role = "assistant" if kind == "tool_call" else "tool"
    made = message(root, *ends, tool.result or "", message_id, kind=kind, role=role)
    made.tool = tool
    return made


def spend(on: Node | Graph, of: Node | Graph) -> None:
    """Move the tokens of `of` onto `on`."""
    on.usage, on.model = add_usage(on.usage, of.usage), on.model or of.model
    of.usage = None


def remember(root: Root, identity: str) -> None:
    """Note that the message of this id was delivered, and as the how many-th."""
    root.count += 1
    root.ids[identity] = root.count
    if len(root.ids) > _MAX_IDS:
        root.ids.popitem(last=False)


def is_known(root: Root, identity: str, node: Node) -> bool:
    """Whether a message was delivered from inside `node`, which now returns it."""
    return root.ids.get(identity, -1) > node.born


def expect_twin(twins: dict[str, list[tuple[str, Tool]]], agent: str, tool: Tool) -> None:
    """Note that one event of this tool call of `agent` was reported; its twin is to be left out."""
    if tool.call_id is not None:
        twins.setdefault(tool.call_id, []).append((agent, tool))
        if len(twins) > _MAX_IDS:
            del twins[next(iter(twins))]


def take_twin(twins: dict[str, list[tuple[str, Tool]]], call_id: str | None) -> tuple[str, Tool] | None:
    """Return and use up what was reported of this tool call already, and by whom it was made."""
    if call_id is None or not (reported := twins.get(call_id)):
        return None
    twin = reported.pop(0)
    if not reported:
        del twins[call_id]
    return twin
