"""AG2 0.14: one dictionary on its way between two agents, as messages."""

from __future__ import annotations

import json
from typing import Any

from agentbreaker.integrations.spending import count_of
from agentbreaker.message import Message, Tool, Usage

__all__ = ["Calls", "Totals", "added_to", "messages_of", "spent_since", "text_of"]

#: Name of the tool and of the agent that called it, by the id of the call.
Calls = dict[str, tuple[str, str]]
Totals = dict[str, tuple[int, int, float]]


def text_of(content: Any) -> str:
    """Return the text of a message's ``content``: a string, or a list of parts."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        texts = []
        for part in content:
            kind = part.get("type", "part") if isinstance(part, dict) else type(part).__name__
            texts.append(str(part["text"]) if kind == "text" and "text" in part else f"[{kind}]")
        return "\n".join(texts)
    return "" if content is None else str(content)


def added_to(message: Any, note: str) -> Any:
    """Return `message` with a note below what the next agent reads of it."""
    if not isinstance(message, dict):
        return f"{message}\n\n{note}"
    changed = dict(message)
    content = changed.get("content")
    responses = changed.get("tool_responses")
    if responses:
        last = dict(responses[-1])
        last["content"] = f"{text_of(last.get('content'))}\n\n{note}"
        changed["tool_responses"] = [*responses[:-1], last]
    if isinstance(content, list):
        changed["content"] = [*content, {"type": "text", "text": note}]
    else:
        changed["content"] = f"{content}\n\n{note}" if content else note
    return changed


def messages_of(
    conversation_id: str, sender: str, recipient: str | None, message: Any, role: Any, calls: Calls
) -> list[Message]:
    """Return what one agent says to another: text, tool calls, or the results of tools that it has run.

    Args:
        conversation_id: The conversation.
        sender: Who speaks; what a tool has to say is the tool's.
        recipient: To whom; ``None`` in a group, where the manager decides.
        message: What AG2 is about to send: a string or a dictionary.
        role: ``"user"`` for what comes from outside.
        calls: The calls that wait for a result; new ones are added.
    """
    if not isinstance(message, dict):
        return [Message(conversation_id, sender, recipient, content=text_of(message), role=role)]
    content = text_of(message.get("content"))
    if message.get("tool_responses"):
        results = []
        for response in message["tool_responses"]:
            call_id = str(response.get("tool_call_id", ""))
            name, asker = calls.pop(call_id, ("tool", recipient or sender))
            results.append(_result(conversation_id, name, asker, call_id, response))
        return results
    if message.get("role") == "function":
        name = str(message.get("name", "function"))
        return [_result(conversation_id, name, recipient or sender, None, message)]
    asked = [(one.get("id"), one.get("function") or {}) for one in message.get("tool_calls") or []]
    if message.get("function_call"):
        asked.append((None, message["function_call"]))
    said = [Message(conversation_id, sender, recipient, content=content, role=role)]
    if asked:
        said = []
        for number, (call_id, function) in enumerate(asked):
            name = str(function.get("name", "tool"))
            if call_id is not None:
                calls[str(call_id)] = name, sender
            tool = Tool(name, call_id, _arguments(function.get("arguments")))
            text = "" if number else content
            said.append(Message(conversation_id, sender, name, "tool_call", text, tool=tool))
    return said


def _result(conversation_id: str, name: str, agent: str, call_id: str | None, told: dict[str, Any]) -> Message:
    text = text_of(told.get("content"))
    tool = Tool(name, call_id, result=text, is_error=text.startswith("Error:"))
    return Message(conversation_id, name, agent, "tool_result", text, tool=tool)


def _arguments(arguments: Any) -> Any:
    if isinstance(arguments, str):
        try:
            return json.loads(arguments)
        except ValueError:
            return arguments
    return arguments


def spent_since(before: Totals, summary: Any) -> tuple[Totals, Usage | None, str | None, float | None]:
    """Compare AG2's totals for an agent with those of before.

    Returns:
        The totals to keep, and what was spent in between: tokens, the model that spent most, US dollars.
    """
    totals: Totals = {}
    for model, told in summary.items() if isinstance(summary, dict) else ():
        if isinstance(told, dict):
            cost = told.get("cost", 0.0)
            totals[str(model)] = (
                count_of(told.get("prompt_tokens")),
                count_of(told.get("completion_tokens")),
                float(cost) if isinstance(cost, int | float) else 0.0,
            )
    read = written = most = 0
    cost_usd, used = 0.0, None
    for model, (prompt, completion, cost) in totals.items():
        old = before.get(model, (0, 0, 0.0))
        added = max(0, prompt - old[0]) + max(0, completion - old[1])
        read += max(0, prompt - old[0])
        written += max(0, completion - old[1])
        cost_usd += max(0.0, cost - old[2])
        if added > most:
            used, most = model, added
    usage = Usage(read, written) if read or written else None
    return totals, usage, used, cost_usd or None
