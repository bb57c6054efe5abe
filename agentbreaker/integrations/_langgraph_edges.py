"""Who spoke to whom in a LangGraph run, from its callbacks alone: runs in, messages out.

LangGraph tells when a node starts and ends, not who handed over to it.  The sender of a hop is, in this order:
the nodes of the last step that named the target in a ``Command``, a ``Send`` or a router function; the nodes that a
join waited for; the nodes that finished in the last step; the person, at the start.  A message is made when its
recipient starts, because only then the recipient is known, and carries the tokens of all model calls that its
sender made.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langgraph.errors import GraphBubbleUp, ParentCommand
from langgraph.types import Command

from agentbreaker.integrations._langgraph_runs import (
    Graph,
    Node,
    Root,
    Run,
    actor_of,
    expect_twin,
    is_known,
    message,
    remember,
    senders,
    spend,
    steps_of,
    take_twin,
    tool_message,
)
from agentbreaker.integrations._langgraph_text import (
    ModelOutput,
    Said,
    Snapshot,
    add_usage,
    human_input,
    new_text,
    snapshot,
    targets,
    text_of,
)
from agentbreaker.message import Kind, Message, Tool

__all__ = ["Edges"]

#: Runs of whole graphs that are followed at once; only matters for those that never report their end.
_MAX_ROOTS = 4096

#: Model calls of one node before each further one is a message: an endless loop inside must be seen before it ends.
_QUIET_CALLS = 8

#: Hand-overs in a row without a word, each one paid for and changing nothing, from which they count as talk that
#: brings nothing.  Before that they are context: a supervisor that only routes is no evidence against anybody.
_SILENT_HOPS = 8

#: Steps after which an output that no node received is sent to nobody.
_MAX_WAIT = 8

#: Beginnings of the names of tools that hand over to another agent; others are learned when they do.
_HANDOFFS = ("transfer_to_", "transfer_back_to_", "handoff_to_", "hand_off_to_")
_MAX_HANDOFFS = 1000

_HIDDEN = "langsmith:hidden"


class Edges:
    """The bookkeeping behind the callbacks.  Thread-safe; calls nobody while it holds its lock."""

    def __init__(self, conversation_id: str | None = None) -> None:
        self._conversation_id = conversation_id
        self._lock = threading.Lock()
        self._roots: OrderedDict[UUID, Root] = OrderedDict()
        self._index: dict[UUID, Run] = {}
        self._handoffs: set[str] = set()

    def __len__(self) -> int:
        """Number of runs that are followed now."""
        return len(self._index)

    def find(self, run_id: UUID | None) -> Run | None:
        """Return what is known of a run that goes on."""
        return None if run_id is None else self._index.get(run_id)

    def start(
        self,
        run_id: UUID,
        parent_run_id: UUID | None,
        metadata: Mapping[str, Any] | None,
        name: str | None,
        tags: Sequence[str] | None = None,
        inputs: Any = None,
    ) -> tuple[Run, list[Message]]:
        """A run starts; if it is a node, the outputs that it receives become messages."""
        about, labels = metadata or {}, tags or ()
        path = about.get("langgraph_path") or ()
        step, sequel = steps_of(labels)
        said = human_input(inputs) if parent_run_id is None else []
        pushed: Said = []
        if step is not None and path and path[0] == "__pregel_push":
            pushed = [part for part in new_text(inputs, {})[0] if isinstance(part, str)]
        before = snapshot(inputs) if step is not None or (path and path[-1] is True) else {}
        with self._lock:
            if run_id in self._index:  # the same handler was attached twice
                return self._index[run_id], []
            parent = self._index.get(parent_run_id) if parent_run_id else None
            run = self._open(run_id, parent, about, name)
            run.human = said or (parent.human if parent else [])
            if parent is None:
                return run, []
            if step is not None:
                node = self._enter(run, parent, step, before)
                if _HIDDEN in labels:
                    node.hidden = True
                    return run, []
                messages = self._receive(run, node, about.get("langgraph_triggers") or (), pushed)
                node.born = run.root.count
                return run, messages
            in_task = parent.node is not None and parent.node.task
            if sequel and path and path[-1] is True and not in_task:  # a task of the functional API
                self._enter(run, run, 0, before).task = True
            elif parent.own and sequel > 1:  # what follows the node's own function: its routers and writers
                run.router = True
            return run, []

    def end(self, run_id: UUID, output: Any) -> list[Message]:
        """A chain run ends with `output`."""
        with self._lock:
            run = self._index.get(run_id)
            node = run.node if run is not None and (run.own or run.router) else None
        if run is None:
            return []
        said: Said = []
        changed, routes = False, frozenset[str]()
        if node is not None:  # outside the lock: comparing states runs code of theirs
            if run.own and not node.hidden:
                said, changed = new_text(output, node.before)
            routes = frozenset(targets(output)) if run.router or not isinstance(output, str) else routes
        with self._lock:
            messages: list[Message] = []
            if node is not None:
                node.routes |= routes
            if node is not None and run.own:
                node.before = {}
                node.said, node.changed = said, changed
                if node.task:
                    messages = self._deliver(run.root, node, None)
                    spend(node.graph.around or node, node.graph)
                elif not node.hidden:
                    node.graph.waiting[node.run_id] = node
                    node.graph.ended.setdefault(node.step, []).append(node)
                    node.graph.last[node.name] = node
            return messages + self._close(run)

    def drop(self, run: Run) -> None:
        """Forget a run that was stopped at its start: LangChain reports no end for it."""
        with self._lock:
            self._close(run)

    def discard(self, run_id: UUID) -> None:
        """Forget a run about which something went wrong."""
        with self._lock:
            run = self._index.pop(run_id, None)
            if run is not None and run_id == run.root.run_id:
                self._forget(run.root)
            elif run is not None:
                run.root.runs.pop(run_id, None)

    def fail(self, run_id: UUID, error: BaseException) -> list[Message]:
        """A chain run ends with an exception, which may be the hand-off out of a sub-graph."""
        if isinstance(error, ParentCommand) and error.args and error.args[0].graph != Command.PARENT:
            with self._lock:
                own = (run := self._index.get(run_id)) is not None and run.own
            if own:
                return self.end(run_id, error.args[0])
        with self._lock:
            run = self._index.get(run_id)
            if run is None:
                return []
            if run.own and run.node is not None:  # what its models used is not lost
                spend(run.node.graph, run.node)
                if run.node.task and run.node.graph.around is not None:
                    spend(run.node.graph.around, run.node.graph)
            return self._close(run)

    def model_end(self, run_id: UUID, output: ModelOutput | None) -> list[Message]:
        """A model run ends; its tokens go onto the message that its node sends, in the end."""
        text, message_id, usage, model = output or ("", None, None, None)
        with self._lock:
            run = self._index.get(run_id)
            if run is None:
                return []
            messages: list[Message] = []
            if output is not None:
                node = run.node
                if node is None:
                    messages = [message(run.root, run.actor, None, text, message_id or str(run_id), usage, model)]
                else:
                    node.calls += 1
                    node.usage, node.model = add_usage(node.usage, usage), model or node.model
                    if node.calls > _QUIET_CALLS and text:
                        identity = message_id or str(run_id)
                        messages = [message(run.root, node.actor, None, text, identity, node.usage, node.model)]
                        node.usage = None
                        remember(run.root, identity)
            return messages + self._close(run)

    def tool_start(self, run: Run, name: str, arguments: Any, call_id: str | None) -> list[Message]:
        """A tool starts; its call is a message, unless the model's message that asked for it was one."""
        with self._lock:
            run.tool, run.caller = Tool(name, call_id, arguments), run.actor
            run.speaker = name  # whoever speaks inside, an agent as a tool for example, speaks as the tool
            if twin := take_twin(run.root.calls, call_id):
                run.caller = twin[0]
                return []
            if self._hands_over(name):
                return []
            return [tool_message(run.root, "tool_call", run.caller, run.tool, str(run.run_id))]

    def tool_end(self, run_id: UUID, output: Any, error: BaseException | None = None) -> list[Message]:
        """A tool ends; control flow that travels as an exception is no result."""
        identity = f"{run_id}:result"
        if error is not None:
            result, failed = f"{type(error).__name__}: {error}", True
        elif isinstance(output, ToolMessage):
            result, failed = text_of(output.content), output.status == "error"
            identity = output.id or identity
        else:
            result, failed = output if isinstance(output, str) else str(output), False
        with self._lock:
            run = self._index.get(run_id)
            if run is None or run.tool is None:
                return []
            messages: list[Message] = []
            if isinstance(error, ParentCommand) or isinstance(output, Command):  # its result travels in the update
                expect_twin(run.root.calls, run.caller, run.tool)
                if (error is not None or output.goto) and len(self._handoffs) < _MAX_HANDOFFS:
                    self._handoffs.add(run.tool.name)
            elif not isinstance(error, GraphBubbleUp):
                tool = Tool(run.tool.name, run.tool.call_id, run.tool.arguments, result, failed)
                messages = [tool_message(run.root, "tool_result", run.caller, tool, identity)]
                expect_twin(run.root.results, run.caller, tool)
            return messages + self._close(run)

    # Below, the lock is held.

    def _hands_over(self, tool: str) -> bool:
        """Whether a tool hands over to another agent: control flow, and no work of which a result could be new."""
        return tool.startswith(_HANDOFFS) or tool in self._handoffs

    def _open(self, run_id: UUID, parent: Run | None, about: Mapping[str, Any], name: str | None) -> Run:
        if parent is None:
            thread = self._conversation_id or about.get("thread_id")
            root = self._roots[run_id] = Root(run_id, str(run_id) if thread is None else str(thread))
            while len(self._roots) > _MAX_ROOTS:
                self._forget(next(iter(self._roots.values())))
        else:
            root = parent.root
        speaker = str(about.get("langgraph_node") or name or "")
        run = Run(run_id, root, parent.node if parent else None, name=speaker)
        run.speaker = parent.speaker if parent else None
        self._index[run_id] = root.runs[run_id] = run
        return run

    def _enter(self, run: Run, parent: Run, step: int, before: Snapshot) -> Node:
        """Make the record of a node that starts as a part of `parent`."""
        if run is parent:
            graph = Graph(run.node, run.actor if run.node or run.speaker else None)
        elif parent.graph is None:
            graph = parent.graph = Graph(parent.node, parent.actor if parent.node or parent.speaker else None)
            graph.human = list(parent.human)
            parent.human.clear()
        else:
            graph = parent.graph
        node = run.node = Node(run.run_id, run.name, actor_of(run.name, graph), step, graph, before)
        run.own, run.speaker = True, None
        return node

    def _receive(self, run: Run, node: Node, triggers: Iterable[str], pushed: Said) -> list[Message]:
        """Deliver to a node that starts what the nodes before it said, or what the person said."""
        graph, step = node.graph, node.step
        for old in [old for old in graph.ended if old < step - 1]:
            del graph.ended[old]
        messages: list[Message] = []
        for late in [late for late in graph.waiting.values() if late.step < step - _MAX_WAIT]:
            messages += self._deliver(run.root, late, None)
        received = senders(graph, node.name, step, triggers)
        for sender in received:
            if pushed and not any(isinstance(part, BaseMessage) for part in sender.said):
                sender.said = []  # each target of a Send gets its own part of it
                text = message(run.root, sender.actor, node.actor, str(pushed[0]), str(run.run_id))
                text.usage, text.model, sender.usage = sender.usage, sender.model, None
                sender.sent = True
                graph.waiting.pop(sender.run_id, None)
                messages.append(text)
            else:
                messages += self._deliver(run.root, sender, node)
        if not received and graph.around is None:
            said, graph.human = graph.human, []
            for i, part in enumerate(said):
                text_ = part if isinstance(part, str) else text_of(part.content)
                identity = f"{run.run_id}:{i}" if isinstance(part, str) or not part.id else part.id
                messages.append(message(run.root, "user", node.actor, text_, identity, role="user"))
        return messages

    def _deliver(self, root: Root, sender: Node, recipient: Node | None, to: str | None = None) -> list[Message]:
        """Turn what `sender` said into messages to `recipient`; said once, however many receive it."""
        graph = sender.graph
        to = recipient.actor if recipient is not None else to
        if recipient is not None and recipient.actor == sender.actor and recipient.name != sender.name:
            to = None  # an agent's own insides: its model and its tools
        if sender.sent:
            return []
        sender.sent = True
        graph.waiting.pop(sender.run_id, None)
        messages, tools = [], False
        for i, part in enumerate(sender.said):
            identity = str(sender.run_id) if i == 0 else f"{sender.run_id}:{i}"
            if isinstance(part, str):
                messages.append(message(root, sender.actor, to, part, identity))
                continue
            identity = part.id or identity
            if is_known(root, identity, sender):
                continue
            if identity in root.ids:  # the same object, said once more
                identity = str(sender.run_id) if i == 0 else f"{sender.run_id}:{i}"
            remember(root, identity)
            text = text_of(part.content)
            if isinstance(part, ToolMessage):
                if take_twin(root.results, part.tool_call_id) is not None:
                    tools = True
                    continue
                caller, call = take_twin(root.calls, part.tool_call_id) or (to or sender.actor, None)
                name, arguments = (call.name, call.arguments) if call else (part.name or sender.actor, None)
                if not self._hands_over(name):
                    tools = True
                    tool = Tool(name, part.tool_call_id, arguments, text, part.status == "error")
                    messages.append(tool_message(root, "tool_result", caller, tool, identity))
                continue
            if text:
                messages.append(message(root, sender.actor, to, text, identity))
            for n, asked in enumerate(part.tool_calls if isinstance(part, AIMessage) else []):
                tool = Tool(asked["name"], asked["id"], asked["args"])
                expect_twin(root.calls, sender.actor, tool)
                if not self._hands_over(tool.name):
                    tools = True
                    messages.append(tool_message(root, "tool_call", sender.actor, tool, f"{identity}:call:{n}"))
        sender.said = []
        spend(sender, graph)
        if messages or tools or sender.changed:
            root.silent = 0
        elif sender.calls:
            root.silent += 1
        if not messages and not tools and (to or sender.usage is not None):
            # Silent hops are how supervisors work, but not many in a row that are paid for and change nothing.
            kind: Kind = "message" if sender.calls and root.silent > _SILENT_HOPS else "handoff" if to else "system"
            messages.append(message(root, sender.actor, to, "", str(sender.run_id), kind=kind))
        if messages:
            carrier = next((m for m in reversed(messages) if m.kind == "message"), messages[0])
            carrier.usage, carrier.model = sender.usage, sender.model
            sender.usage = None
        elif sender.usage is not None:
            spend(graph, sender)
        return messages

    def _close(self, run: Run) -> list[Message]:
        """Forget an ended run; an ended graph hands what nobody received to the node around it, or to the person."""
        messages: list[Message] = []
        graph = run.graph
        if graph is not None and graph.around is not None:
            for node in graph.waiting.values():
                spend(graph, node)
            spend(graph.around, graph)
        elif graph is not None:
            for node in list(graph.waiting.values()):
                if node.said or node.usage is not None:
                    messages += self._deliver(run.root, node, None, "user")
            if graph.usage is not None:
                identity = f"{run.run_id}:usage"
                messages.append(
                    message(run.root, run.actor, None, "", identity, graph.usage, graph.model, kind="system")
                )
        if run.run_id == run.root.run_id:
            self._forget(run.root)
        else:
            self._index.pop(run.run_id, None)
            run.root.runs.pop(run.run_id, None)
        return messages

    def _forget(self, root: Root) -> None:
        self._roots.pop(root.run_id, None)
        for run_id in root.runs:
            self._index.pop(run_id, None)
        root.runs.clear()
