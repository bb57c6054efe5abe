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
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID
from weakref import WeakKeyDictionary

from langchain_core.messages import BaseMessage, ToolMessage
from langgraph.errors import GraphBubbleUp, ParentCommand
from langgraph.types import Command

from agentbreaker.guard import Guard
from agentbreaker.integrations._langgraph_delivery import deliver, receive
from agentbreaker.integrations._langgraph_runs import (
    Graph,
    Node,
    Paid,
    Root,
    Run,
    actor_of,
    bill,
    charge,
    expect_twin,
    find_call,
    hands_over,
    learn_handoff,
    message,
    remember,
    spend,
    steps_of,
    take_twin,
    tool_message,
)
from agentbreaker.integrations._langgraph_text import (
    ModelOutput,
    Said,
    Snapshot,
    costs_of,
    human_input,
    new_text,
    snapshot,
    targets,
    text_of,
)
from agentbreaker.integrations.base import Halts
from agentbreaker.message import Message, Tool, Usage
from agentbreaker.verdict import Decision

__all__ = ["Edges", "edges_of"]

#: Runs of whole graphs that are followed at once; only matters for those that never report their end.
_MAX_ROOTS = 4096

#: Model calls of one node before each further one is a message: an endless loop inside must be seen before it ends.
_QUIET_CALLS = 8

_HIDDEN = "langsmith:hidden"
_NO_STEP = (None, 0)
_NOTHING: Mapping[str, Any] = {}

#: What LangGraph calls a graph that was given no name.
_UNNAMED = "LangGraph"


class Edges:
    """The bookkeeping behind the callbacks.  Thread-safe; calls nobody while it holds its lock."""

    def __init__(self, conversation_id: str | None = None) -> None:
        self._conversation_id = conversation_id
        self._lock = threading.Lock()
        self._roots: OrderedDict[UUID, Root] = OrderedDict()
        self._index: dict[UUID, Run] = {}
        # What follows a node's own function, by the record of the node.
        self._routers: dict[UUID, Run] = {}
        self._handoffs: set[str] = set()
        self._paid = Paid()
        self.halts = Halts()
        self._stopped: OrderedDict[UUID, Decision] = OrderedDict()
        #: Model calls that no callback told of, found by what they brought.
        self.unseen_calls = 0

    def __len__(self) -> int:
        """Number of runs that are followed now."""
        return len(self._index)

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
        about = metadata or _NOTHING
        step, sequel = steps_of(tags) if tags else _NO_STEP
        path = about.get("langgraph_path") or ()
        said = human_input(inputs) if parent_run_id is None else None
        pushed: Said = []
        before: Snapshot | None = None
        if step is not None or (path and path[-1] is True):
            before = snapshot(inputs)
            if step is not None and path and path[0] == "__pregel_push":
                pushed = [part for part in new_text(inputs, {})[0] if isinstance(part, str)]
        with self._lock:
            if run_id in self._index:  # the same handler was attached twice
                return self._index[run_id], []
            parent = self._index.get(parent_run_id) if parent_run_id else None
            if parent is None and parent_run_id in self._routers:
                parent = self._open(parent_run_id, self._routers[parent_run_id], about, name)
            run = self._open(run_id, parent, about, name, said)
            if parent is None:
                return run, []
            if step is not None:
                node = self._enter(run, parent, step, before or {}, about.get("lc_agent_name"))
                if tags is not None and _HIDDEN in tags:
                    node.hidden = True
                    return run, []
                messages = receive(run, node, about.get("langgraph_triggers") or (), pushed)
                node.born = run.root.count
                return run, messages
            if sequel and before is not None and not (parent.node is not None and parent.node.task):
                self._enter(run, run, 0, before).task = True  # a task of the functional API
            return run, []

    def follows(self, run_id: UUID, parent_run_id: UUID | None, label: str, metadata: Mapping[str, Any] | None) -> bool:
        """Whether a run is what follows a node's own function: its routers and writers.

        They need no record of their own, unless something runs inside of them.
        """
        node = self._index.get(parent_run_id) if parent_run_id else None
        if label == "seq:step:1" or node is None or not node.own or node.node is None:
            return False
        path = (metadata or _NOTHING).get("langgraph_path")
        if path and path[-1] is True and not node.node.task:
            return False
        self._routers[run_id] = node
        return True

    def end(self, run_id: UUID, output: Any) -> list[Message]:
        """A chain run ends with `output`."""
        if self._routers and (router := self._routers.pop(run_id, None)) is not None and router.node is not None:
            routes = frozenset((output,)) if output.__class__ is str else frozenset(targets(output))
            with self._lock:
                router.node.routes |= routes
        run = self._index.get(run_id)
        if run is None:
            return []
        node = run.node if run.own else None
        if node is None:
            with self._lock:
                return self._close(run)
        said: Said = []
        changed = False
        costs: list[tuple[BaseMessage, Usage, str | None]] = []
        # Outside the lock: comparing states runs code of theirs.
        if not node.hidden:
            said, changed = new_text(output, node.before)
            if said:
                costs = costs_of(said, node.before, self._paid.is_new)
        plain = output.__class__ is dict or isinstance(output, str)
        routed = None if plain else frozenset(targets(output))
        with self._lock:
            if routed:
                node.routes |= routed
            node.before = {}
            node.said, node.changed = said, changed
            for part, usage, model in costs:
                if not self._paid.covers(part, usage):
                    self.unseen_calls += 1
                    node.calls += 1
                    charge(node.spent, model, usage)
            messages: list[Message] = []
            graph = node.graph
            if node.task:
                messages = deliver(run.root, node, None)
                spend(graph.around or node, graph)
            elif not node.hidden:
                graph.waiting[id(node)] = node
                ended = graph.ended.get(node.step)
                if ended is None:
                    graph.ended[node.step] = [node]
                else:
                    ended.append(node)
                graph.last[node.name] = node
            closed = self._close(run)
            return messages + closed if messages else closed

    def run(self, run_id: UUID) -> Run | None:
        """The record of a run that goes on."""
        return self._index.get(run_id) or self._routers.get(run_id)

    def calls(self, conversation_id: str) -> list[Run]:
        """The model and tool calls of a conversation that go on."""
        with self._lock:
            return [run for run in self._index.values() if run.call and run.conversation_id == conversation_id]

    def stopped(self, root_id: UUID) -> Decision | None:
        """Why the call of a graph that had this run id was stopped, ``None`` if it was not; told once."""
        with self._lock:
            return self._stopped.pop(root_id, None)

    def drop(self, run: Run, decision: Decision) -> None:
        """Forget a run that is stopped at its start: LangChain reports no end for it."""
        with self._lock:
            self._stopped.setdefault(run.root.run_id, decision)
            if len(self._stopped) > _MAX_ROOTS:
                self._stopped.popitem(last=False)
            self._close(run)

    def discard(self, run_id: UUID) -> None:
        """Forget a run about which something went wrong."""
        with self._lock:
            self._routers.pop(run_id, None)
            run = self._index.pop(run_id, None)
            if run is not None:
                run.root.live -= 1
                if run.parent is None:
                    self._forget(run.root)

    def fail(self, run_id: UUID, error: BaseException) -> list[Message]:
        """A chain run ends with an exception, which may be the hand-off out of a sub-graph."""
        if isinstance(error, ParentCommand) and error.args and error.args[0].graph != Command.PARENT:
            with self._lock:
                own = (run := self._index.get(run_id)) is not None and run.own
            if own:
                return self.end(run_id, error.args[0])
        with self._lock:
            self._routers.pop(run_id, None)
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
                    run.root.paid.note(message_id, usage)
                    messages = [message(run.root, run.actor, None, text, message_id or str(run_id), usage, model)]
                else:
                    node.calls += 1
                    run.root.paid.note(message_id, usage)
                    charge(node.spent, model, usage)
                    if node.calls > _QUIET_CALLS and text:
                        identity = message_id or str(run_id)
                        messages = [message(run.root, node.actor, None, text, identity)]
                        messages += bill(run.root, node.actor, messages[0], node.spent, identity)
                        remember(run.root, identity)
            return messages + self._close(run)

    def tool_start(self, run: Run, name: str, arguments: Any, call_id: str | None) -> list[Message]:
        """A tool starts; its call is a message, unless the model's message that asked for it was one."""
        with self._lock:
            if run.tool is not None:  # heard before, by another breaker of this guard
                return []
            if call_id is None:  # LangChain before 1.1 does not say which call it is
                call_id = find_call(run.root.calls, name, arguments)
            run.tool, run.caller = Tool(name, call_id, arguments), run.actor
            run.speaker = name  # whoever speaks inside, an agent as a tool for example, speaks as the tool
            if twin := take_twin(run.root.calls, call_id):
                run.caller = twin[0]
                return []
            if hands_over(run.root, name):
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
                if error is not None or output.goto:
                    learn_handoff(run.root, run.tool.name)
            elif not isinstance(error, GraphBubbleUp):
                tool = Tool(run.tool.name, run.tool.call_id, run.tool.arguments, result, failed)
                messages = [tool_message(run.root, "tool_result", run.caller, tool, identity)]
                expect_twin(run.root.results, run.caller, tool)
            return messages + self._close(run)

    # Below, the lock is held.

    def _open(
        self, run_id: UUID, parent: Run | None, about: Mapping[str, Any], name: str | None, said: Said | None = None
    ) -> Run:
        if parent is None:
            thread = self._conversation_id or about.get("thread_id")
            root = self._roots[run_id] = Root(run_id, str(run_id) if thread is None else str(thread))
            root.handoffs, root.paid = self._handoffs, self._paid
            while len(self._roots) > _MAX_ROOTS:
                self._forget(next(iter(self._roots.values())))
            node = speaker = None
            human = said if said is not None else []
        else:
            root, node, speaker, human = parent.root, parent.node, parent.speaker, said or parent.human
        called = about.get("langgraph_node") or name or ""
        run = Run(run_id, root, parent, node, human, called if called.__class__ is str else str(called), speaker)
        self._index[run_id] = run
        root.live += 1
        return run

    def _enter(self, run: Run, parent: Run, step: int, before: Snapshot, agent: str | None = None) -> Node:
        """Make the record of a node that starts as a part of `parent`."""
        if run is parent:
            graph = Graph(run.node, run.actor if run.node or run.speaker else None)
        elif parent.graph is None:
            inside = parent.node or parent.speaker
            if agent is None and parent.name != _UNNAMED:
                agent = parent.name or None
            graph = parent.graph = Graph(parent.node, parent.actor if inside else agent)
            graph.human = list(parent.human)
            parent.human.clear()
        else:
            graph = parent.graph
        node = run.node = Node(run.run_id, run.name, actor_of(run.name, graph), step, graph, before)
        run.own, run.speaker = True, None
        return node

    def _close(self, run: Run) -> list[Message]:
        """Forget an ended run; an ended graph hands what nobody received to the node around it, or to the person."""
        messages: list[Message] = []
        run.call = False
        graph = run.graph
        if graph is None:
            pass
        elif graph.around is not None:
            for node in graph.waiting.values():
                spend(graph, node)
            spend(graph.around, graph)
        else:
            for node in list(graph.waiting.values()):
                if node.said or node.spent:
                    messages += deliver(run.root, node, None, "user")
            messages += bill(run.root, run.actor, None, graph.spent, str(run.run_id))
        if run.parent is None:
            self._forget(run.root)
        elif self._index.pop(run.run_id, None) is not None:
            run.root.live -= 1
        return messages

    def _forget(self, root: Root) -> None:
        self._roots.pop(root.run_id, None)
        if self._index.pop(root.run_id, None) is not None:
            root.live -= 1
        if root.live > 0:  # what never reported its end
            for run_id in [run_id for run_id, run in self._index.items() if run.root is root]:
                del self._index[run_id]
            root.live = 0
        for run_id, node in list(self._routers.items()):
            if node.root is root:
                self._routers.pop(run_id, None)


#: Breakers of one guard share their records, so that each event counts once whichever of them hears it first.
_shared: WeakKeyDictionary[Guard, dict[str | None, Edges]] = WeakKeyDictionary()
_shared_lock = threading.Lock()


def edges_of(guard: Guard, conversation_id: str | None) -> Edges:
    """The records of all breakers of this guard."""
    with _shared_lock:
        edges = _shared.setdefault(guard, {})
        return edges.setdefault(conversation_id, Edges(conversation_id))
