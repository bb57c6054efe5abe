"""Delivery in a LangGraph run: what a node said becomes messages when it is known who receives it.

Functions on the records of :mod:`~agentbreaker.integrations._langgraph_runs`, under the same lock.
"""

from __future__ import annotations

from collections.abc import Iterable

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage

from agentbreaker.integrations._langgraph_runs import (
    Node,
    Root,
    Run,
    bill,
    expect_twin,
    hands_over,
    hop,
    is_known,
    message,
    remember,
    senders,
    spend,
    take_twin,
    tool_message,
)
from agentbreaker.integrations._langgraph_text import Said, text_of
from agentbreaker.message import Kind, Message, Tool

__all__ = ["deliver", "receive"]

#: Hand-overs in a row without a word, each one paid for and changing nothing, from which they count as talk that
#: brings nothing.  Before that they are context: a supervisor that only routes is no evidence against anybody.
_SILENT_HOPS = 8

#: How a prebuilt supervisor marks the sentence that it lets a worker say when it is done: nobody's words.
_HANDED_BACK = "__is_handoff_back"

#: Steps after which an output that no node received is sent to nobody in particular.
_MAX_WAIT = 8


def receive(run: Run, node: Node, triggers: Iterable[str], pushed: Said) -> list[Message]:
    """Deliver to a node that starts what the nodes before it said, or what the person said."""
    graph, step = node.graph, node.step
    ended, waiting = graph.ended, graph.waiting
    while ended and (first := next(iter(ended))) < step - 1:  # the oldest come first
        del ended[first]
    messages: list[Message] = []
    while waiting and (late := next(iter(waiting.values()))).step < step - _MAX_WAIT:
        messages += deliver(run.root, late, None)
        waiting.pop(id(late), None)
    received, inferred = senders(graph, node.name, step, triggers)
    for n, sender in enumerate(received):
        if not (sender.sent or sender.said or sender.calls or sender.spent or graph.spent or pushed):
            # The usual step of a graph without models: the short form of a delivery.
            sender.sent = True
            waiting.pop(id(sender), None)
            if sender.changed:
                run.root.silent = 0
            if sender.actor != node.actor or sender.name == node.name:
                messages.append(hop(run.root, sender.actor, node.actor, inferred=inferred))
            continue
        again = sender.sent and not (inferred and n)
        if pushed and not any(isinstance(part, BaseMessage) for part in sender.said):
            sender.said = []  # each target of a Send gets its own part of it
            text = message(run.root, sender.actor, node.actor, str(pushed[0]), str(run.run_id))
            bills = bill(run.root, sender.actor, text, sender.spent, str(sender.run_id))
            sender.sent = True
            graph.waiting.pop(id(sender), None)
            messages += [*bills, text]
        elif again and sender.actor != node.actor:  # told to one already: here only the hop is new
            identity = f"{run.run_id}:{n}"
            messages.append(
                message(run.root, sender.actor, node.actor, "", identity, kind="handoff", inferred=inferred)
            )
        else:
            messages += deliver(run.root, sender, node, inferred=inferred)
    if not received and graph.around is None:
        said, graph.human = graph.human, []
        for i, part in enumerate(said):
            text_ = part if isinstance(part, str) else text_of(part.content)
            identity = f"{run.run_id}:{i}" if isinstance(part, str) or not part.id else part.id
            messages.append(message(run.root, "user", node.actor, text_, identity, role="user"))
    return messages


def deliver(
    root: Root, sender: Node, recipient: Node | None, to: str | None = None, *, inferred: bool = False
) -> list[Message]:
    """Turn what `sender` said into messages to `recipient`; said once, however many receive it."""
    graph = sender.graph
    to = recipient.actor if recipient is not None else to
    if recipient is not None and recipient.actor == sender.actor and recipient.name != sender.name:
        to, inferred = None, False  # an agent's own insides: its model and its tools
    if sender.sent:
        return []
    sender.sent = True
    graph.waiting.pop(id(sender), None)
    messages: list[Message] = []
    tools = False
    for i, part in enumerate(sender.said):
        identity = str(sender.run_id) if i == 0 else f"{sender.run_id}:{i}"
        if isinstance(part, str):
            messages.append(message(root, sender.actor, to, part, identity, inferred=inferred))
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
            if not hands_over(root, name):
                tools = True
                tool = Tool(name, part.tool_call_id, arguments, text, part.status == "error")
                messages.append(tool_message(root, "tool_result", caller, tool, identity))
            continue
        if text and not part.response_metadata.get(_HANDED_BACK):
            messages.append(message(root, sender.actor, to, text, identity, inferred=inferred))
        for n, asked in enumerate(part.tool_calls if isinstance(part, AIMessage) else []):
            tool = Tool(asked["name"], asked["id"], asked["args"])
            expect_twin(root.calls, sender.actor, tool)
            if not hands_over(root, tool.name):
                tools = True
                messages.append(tool_message(root, "tool_call", sender.actor, tool, f"{identity}:call:{n}"))
    sender.said = []
    spend(sender, graph)
    if sender.changed or messages or tools:
        root.silent = 0
    elif sender.calls:
        root.silent += 1
    if not messages and not tools and (to or sender.spent):
        # Silent hops are how supervisors work, but not many in a row that are paid for and change nothing.
        kind: Kind = "message" if sender.calls and root.silent > _SILENT_HOPS else "handoff" if to else "system"
        messages.append(message(root, sender.actor, to, "", str(sender.run_id), kind=kind, inferred=inferred))
    if messages:
        carrier = next((m for m in reversed(messages) if m.kind == "message"), messages[0])
        return bill(root, sender.actor, carrier, sender.spent, str(sender.run_id)) + messages
    spend(graph, sender)
    return messages
