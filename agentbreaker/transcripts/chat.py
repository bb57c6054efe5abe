"""OpenAI-style chat JSON Lines: one conversation a line (``{"messages": [...]}``), or one message a line.

A message has ``role`` and ``content``, perhaps ``name``, ``tool_calls``, ``tool_call_id``, ``model`` and ``usage``.
Its sender is ``name``, else the role; its recipient the next who speaks.  A line is a conversation of its own, under
its ``conversation_id``, ``thread_id``, ``session_id`` or ``id``, else ``line N``; messages a line each are one
conversation, unless they carry such an id (not ``id``, which is the message's).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from agentbreaker.message import Kind, Message, Role, Tool, Usage
from agentbreaker.transcripts.addressing import Addressing, spoken_to_next
from agentbreaker.transcripts.records import Probe, parse_value, records_of
from agentbreaker.transcripts.schema import UnreadableError
from agentbreaker.transcripts.source import Source
from agentbreaker.transcripts.values import (
    cost_of,
    first_name,
    items_of,
    mapping_of,
    moment_of,
    name_of,
    pay_together,
    text_of,
    usage_of,
)

__all__ = ["chat_messages", "read_chat", "recognise_chat", "usage_of_chat"]

_ROLES: Final[dict[str, Role]] = {
    "user": "user",
    "assistant": "assistant",
    "system": "system",
    "developer": "system",
    "tool": "tool",
    "function": "tool",
}
_CONVERSATION: Final = ("conversation_id", "thread_id", "session_id", "chat_id")
_MAX_CALLS: Final = 10_000


def recognise_chat(probe: Probe) -> bool:
    """Whether a record is a chat message, or holds a list of them."""
    return any(
        _is_message(record) or any(map(_is_message, _list(record.get("messages"))[:3])) for record in probe.records
    ) or ("messages" in probe.keys and b'"role"' in probe.head)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _is_message(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and isinstance(value.get("role"), str)
        and value["role"] in _ROLES
        and ("content" in value or "tool_calls" in value or "function_call" in value)
    )


def read_chat(source: Source) -> Iterator[Message]:
    """Yield the messages of chat JSON Lines."""
    for message in _messages(source):
        source.report.messages += 1
        yield message


def _messages(source: Source) -> Iterator[Message]:
    calls, addressing = _Calls(), Addressing()
    for record in records_of(source):
        try:
            if "messages" not in record:
                for message in calls.messages(record, first_name(record, _CONVERSATION) or "chat"):
                    yield from addressing.push(message)
                continue
            conversation = first_name(record, (*_CONVERSATION, "id")) or f"line {source.line}"
        except UnreadableError as error:
            source.skip(error.reason, field=error.field)
            continue
        if not isinstance(record["messages"], list):
            source.skip("expected an array", field="messages")
            continue
        yield from spoken_to_next(chat_messages(source, record["messages"], conversation, record))
    yield from addressing.end()


def chat_messages(source: Source, turns: list[Any], conversation: str, record: dict[str, Any]) -> Iterator[Message]:
    """Yield the messages of one conversation; usage and cost of `record` itself are those of its last answer.

    Args:
        source: Takes what cannot be read.
        turns: The messages, as they came.
        conversation: Id of the conversation.
        record: What surrounds them: ``usage``, ``model``, ``cost_usd``.
    """
    calls = _Calls()
    messages: list[Message] = []
    answer: list[Message] = []
    try:
        model = name_of(record.get("model"), "model")
    except UnreadableError as error:
        source.skip(error.reason, field=error.field)
        model = None
    for number, turn in enumerate(turns):
        try:
            found = calls.messages(turn, conversation)
        except UnreadableError as error:
            field = f"messages.{number}" if error.field is None else f"messages.{number}.{error.field}"
            source.skip(error.reason, field=field)
            continue
        messages += found
        if found[-1].role == "assistant":
            answer = found
            for message in found:
                message.model = message.model or model
    if answer and not any(message.usage or message.cost_usd for message in messages):
        cost = cost_of(record.get("cost_usd", record.get("cost")))
        pay_together(answer, usage_of_chat(record.get("usage")), answer[-1].model, cost)
    yield from messages


def usage_of_chat(value: Any) -> Usage | None:
    """Return the tokens of an OpenAI ``usage`` object, of chat completions or responses."""
    usage = mapping_of(value)
    read = mapping_of(usage.get("prompt_tokens_details") or usage.get("input_tokens_details"))
    written = mapping_of(usage.get("completion_tokens_details") or usage.get("output_tokens_details"))
    return usage_of(
        usage.get("prompt_tokens", usage.get("input_tokens")),
        usage.get("completion_tokens", usage.get("output_tokens")),
        read.get("cached_tokens"),
        0,
        written.get("reasoning_tokens"),
    )


class _Calls:
    """Makes messages of turns, and remembers who made which tool call."""

    def __init__(self) -> None:
        self._made: dict[str, tuple[str, str]] = {}

    def messages(self, turn: Any, conversation: str) -> list[Message]:
        """Return the messages of one turn: its text, then its tool calls.

        Raises:
            UnreadableError: It is no chat message.
        """
        if not isinstance(turn, dict):
            raise UnreadableError("not an object")
        if "role" not in turn:
            raise UnreadableError("missing", "role")
        given = turn["role"]
        role = _ROLES.get(given) if isinstance(given, str) else None
        if role is None:
            raise UnreadableError("expected user, assistant, system, developer, tool or function", "role")
        moment = moment_of(turn.get("timestamp") or turn.get("created_at") or turn.get("created"))
        message_id = name_of(turn.get("id"), "id")
        content = text_of(turn.get("content")) or text_of(turn.get("refusal"))
        if role == "tool":
            call_id = name_of(turn.get("tool_call_id"), "tool_call_id")
            # Calls of the old kind have no id: the name of the function joins call and result.
            tool = name_of(turn.get("name"), "name")
            caller, called = self._made.get(call_id or f" {tool}", (None, None))
            tool = tool or called or "tool"
            result = Tool(tool, call_id, result=content, is_error=turn.get("is_error") is True)
            return [
                Message(
                    conversation,
                    tool,
                    caller,
                    "tool_result",
                    role=role,
                    message_id=message_id,
                    timestamp=moment,
                    tool=result,
                )
            ]
        sender = name_of(turn.get("name"), "name") or role
        kind: Kind = "system" if role == "system" else "message"
        calls = items_of(turn.get("tool_calls"))
        if function := mapping_of(turn.get("function_call")):
            calls = [*calls, {"function": function}]
        found = []
        if content or not calls:
            found.append(Message(conversation, sender, None, kind, content, role, message_id, timestamp=moment))
        for call in calls:
            function = mapping_of(call.get("function")) or call
            name = name_of(function.get("name"), "tool_calls.name") or "tool"
            call_id = name_of(call.get("id"), "tool_calls.id")
            if len(self._made) < _MAX_CALLS:
                self._made[call_id or f" {name}"] = (sender, name)
            tool_call = Tool(name, call_id, _arguments(function.get("arguments")))
            found.append(Message(conversation, sender, name, "tool_call", role=role, timestamp=moment, tool=tool_call))
        cost = cost_of(turn.get("cost_usd", turn.get("cost")))
        pay_together(found, usage_of_chat(turn.get("usage")), name_of(turn.get("model"), "model"), cost)
        return found


def _arguments(value: Any) -> Any:
    """Return the arguments of a call as the model wrote them: a mapping, or text that does not parse."""
    if isinstance(value, str):
        try:
            return parse_value(value.encode("utf-8", "surrogatepass"))
        except UnreadableError:
            return value
    return value
