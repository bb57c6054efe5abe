"""The records of one LangGraph run while it goes on: graphs, nodes, and what is still to be delivered.

Plain records under the lock of :class:`~agentbreaker.integrations._langgraph_edges.Edges`.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from langchain_core.messages import BaseMessage

from agentbreaker.integrations._langgraph_text import Said, Snapshot, add_usage, same
from agentbreaker.message import Kind, Message, Role, Tool, Usage

__all__ = [
    "Graph",
    "Node",
    "Paid",
    "Root",
    "Run",
    "Spent",
    "actor_of",
    "bill",
    "charge",
    "expect_twin",
    "find_call",
    "hands_over",
    "hop",
    "is_agent_node",
    "is_known",
    "learn_handoff",
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

#: What ``create_agent`` leaves in the metadata of its runs.
_AGENT_MARKS = frozenset({"lc_agent_name", "ls_integration"})

#: Ids remembered per run of a whole graph, to count a text once that several levels of the graph return.
_MAX_IDS = 4096
_MAX_NAMELESS = 256

#: Beginnings of the names of tools that hand over to another agent; others are learned when they do.
_HANDOFFS = ("transfer_to_", "transfer_back_to_", "handoff_to_", "hand_off_to_")
_MAX_HANDOFFS = 1000

_NOBODY: list[Node] = []

#: Tokens by the model that used them: prices differ, so what several models used is never summed.
Spent = dict[str | None, Usage]


class Paid:
    """The model calls that callbacks told of: which messages are known to be paid for already.

    A message that a node returns is recognised by its id or, where the node made a new message of it, by its tokens.
    """

    __slots__ = ("_copies", "_ids", "_nameless")

    def __init__(self) -> None:
        self._ids: OrderedDict[str, tuple[int, int] | None] = OrderedDict()
        self._copies: OrderedDict[tuple[int, int], int] = OrderedDict()
        # Messages that had no id when a node returned them, kept so that they are the same when they have got one.
        self._nameless: OrderedDict[int, BaseMessage] = OrderedDict()

    def note(self, identity: str | None, usage: Usage | None) -> None:
        """A model call ended, and callbacks told of it."""
        tokens = None if usage is None else (usage.input_tokens, usage.output_tokens)
        if identity is not None:
            self._ids[identity] = tokens
            if len(self._ids) > _MAX_IDS:
                self._ids.popitem(last=False)
        if tokens is not None:
            self._copies[tokens] = self._copies.get(tokens, 0) + 1
            if len(self._copies) > _MAX_IDS:
                self._copies.popitem(last=False)

    def is_new(self, identity: str | None) -> bool:
        """Whether a call that was noted had this id, and no node has returned it yet."""
        return identity is not None and self._ids.get(identity) is not None

    def covers(self, message: BaseMessage, usage: Usage) -> bool:
        """Whether a message with this usage came from a call that was noted; if not, it is from now on."""
        tokens: tuple[int, int] | None = (usage.input_tokens, usage.output_tokens)
        identity = message.id
        if self._nameless.get(id(message)) is message:
            return True
        if identity is None:
            self._nameless[id(message)] = message
            if len(self._nameless) > _MAX_NAMELESS:
                self._nameless.popitem(last=False)
        known = identity is not None and identity in self._ids
        if known and identity is not None:
            tokens, self._ids[identity] = self._ids[identity], None
        elif identity is not None:
            self._ids[identity] = None
        left = 0 if tokens is None else self._copies.get(tokens, 0)
        if tokens is not None and left:
            if left == 1:
                del self._copies[tokens]
            else:
                self._copies[tokens] = left - 1
        return known or left > 0


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
    spent: Spent = field(default_factory=dict)
    calls: int = 0
    stops: int = 0
    routes: frozenset[str] = frozenset()
    changed: bool = False
    sent: bool = False
    hidden: bool = False
    task: bool = False
    cut: list[Run] | None = None


@dataclass(slots=True, eq=False)
class Graph:
    """One run of a graph or sub-graph: the nodes that finished, and those whose output is still to be delivered."""

    around: Node | None
    actor: str | None = None
    ended: dict[int, list[Node]] = field(default_factory=dict)
    last: dict[str, Node] = field(default_factory=dict)
    waiting: dict[int, Node] = field(default_factory=dict)  # by identity: ids of runs are slow to hash
    human: Said = field(default_factory=list)
    spent: Spent = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class Root:
    """One call of ``invoke`` and everything that happened inside."""

    run_id: UUID
    conversation_id: str
    live: int = 0
    ids: OrderedDict[str, int] = field(default_factory=OrderedDict)
    count: int = 0
    silent: int = 0
    calls: dict[str, list[tuple[str, Tool]]] = field(default_factory=dict)
    results: dict[str, list[tuple[str, Tool]]] = field(default_factory=dict)
    handoffs: set[str] = field(default_factory=set)
    paid: Paid = field(default_factory=Paid)
    stops: int = 0
    name: str = ""

    def __post_init__(self) -> None:
        self.name = str(self.run_id)


@dataclass(slots=True, eq=False)
class Run:
    """One run that LangChain reports, of a graph, a node, a chain, a model or a tool."""

    run_id: UUID
    root: Root
    parent: Run | None = None
    node: Node | None = None
    human: Said = field(default_factory=list)
    name: str = ""
    speaker: str | None = None
    own: bool = False
    call: bool = False
    model: bool = False
    task: asyncio.Task[Any] | None = None
    graph: Graph | None = None
    tool: Tool | None = None
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


def is_agent_node(name: str | None, metadata: Mapping[str, Any] | None) -> bool:
    """Whether a run may be a node of ``create_agent`` in which a middleware of ours decides."""
    return name in ("model", "tools") and not _AGENT_MARKS.isdisjoint(metadata or ())


def steps_of(labels: Sequence[str]) -> tuple[int | None, int]:
    """The step of its graph that a node runs in, and the place of a runnable inside its node, from a run's tags."""
    step, sequel = None, 0
    latest = labels[-1]
    if latest.startswith("graph:step:"):  # where LangGraph puts it, after what the user gave
        return int(latest[11:]), 0
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


def senders(graph: Graph, name: str, step: int, triggers: Iterable[str]) -> tuple[list[Node], bool]:
    """The nodes whose output the node `name` receives in `step`, and whether that is only inferred.

    Where nobody named the node and several nodes finished just before it, each of them may have been the one.
    """
    ended = graph.ended.get(step - 1, _NOBODY)
    one = len(ended) == 1
    if one:  # the usual step
        if name in ended[0].routes:
            return ended, False
    elif routed := [node for node in ended if name in node.routes]:
        return routed, False
    for trigger in triggers:  # all triggers the node was built with, not only the one that fired
        if trigger.startswith("join:"):
            joined = [graph.last.get(source) for source in trigger.split(":")[1].split("+")]
            nodes = [node for node in joined if node is not None]
            if len(nodes) == len(joined) and any(node.step == step - 1 for node in nodes):
                return nodes, False
    if one:
        return ended, False
    return [node for node in ended if not node.routes] or ended, len(ended) > 1


def hands_over(root: Root, tool: str) -> bool:
    """Whether a tool hands over to another agent: control flow, and no work of which a result could be new."""
    return tool.startswith(_HANDOFFS) or tool in root.handoffs


def learn_handoff(root: Root, tool: str) -> None:
    """Note that a tool was seen to hand over."""
    if len(root.handoffs) < _MAX_HANDOFFS:
        root.handoffs.add(tool)


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
    inferred: bool = False,
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
        None,
        root.name,
        model=model,
        usage=usage,
        inferred=inferred,
    )


def hop(root: Root, sender: str, recipient: str, *, inferred: bool) -> Message:
    """A hand-over without a word; it happens once, so it needs no id to be known by."""
    return Message(
        root.conversation_id, sender, recipient, "handoff", "", "assistant", None, None, root.name, inferred=inferred
    )


def tool_message(root: Root, kind: Kind, actor: str, tool: Tool, message_id: str) -> Message:
    """A call from `actor` to the tool, or the tool's result back to `actor`."""
    ends = (actor, tool.name) if kind == "tool_call" else (tool.name, actor)
    role: Role = "assistant" if kind == "tool_call" else "tool"
    made = message(root, *ends, tool.result or "", message_id, kind=kind, role=role)
    made.tool = tool
    return made


def charge(spent: Spent, model: str | None, usage: Usage | None) -> None:
    """Add the tokens of one call to those of its model."""
    if usage is not None:
        spent[model] = add_usage(spent.pop(model, None), usage) or usage  # the latest comes last


def spend(on: Node | Graph, of: Node | Graph) -> None:
    """Move the tokens of `of` onto `on`."""
    if of.spent:
        for model, usage in of.spent.items():
            charge(on.spent, model, usage)
        of.spent.clear()


def bill(root: Root, actor: str, carrier: Message | None, spent: Spent, identity: str) -> list[Message]:
    """Put the latest model's tokens on `carrier`, and those of every other model on a message that says no more."""
    bills: list[Message] = []
    if not spent:
        return bills
    if carrier is not None:
        carrier.model, carrier.usage = spent.popitem()
    for n, (model, usage) in enumerate(spent.items()):
        bills.append(message(root, actor, None, "", f"{identity}:usage:{n}", usage, model, kind="system"))
    spent.clear()
    return bills


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


def find_call(twins: dict[str, list[tuple[str, Tool]]], name: str, arguments: object) -> str | None:
    """Return the id of the oldest call of this tool with these arguments that was asked for and has not begun."""
    for call_id, reported in twins.items():
        if any(tool.name == name and same(tool.arguments, arguments) for _, tool in reported):
            return call_id
    return None
