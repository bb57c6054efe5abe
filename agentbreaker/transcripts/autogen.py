"""AutoGen 0.7 (``autogen_agentchat``): a ``TaskResult``, a saved team state, or messages one a line.

All three hold the same messages: ``source``, ``type``, ``content``, ``models_usage``.  A result or state is one
conversation; it names no recipients, so a message speaks to the next speaker, unless it is a handoff.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from agentbreaker.message import Message, Role, Tool, Usage
from agentbreaker.transcripts.addressing import Addressing, spoken_to_next
from agentbreaker.transcripts.records import Probe, records_of
from agentbreaker.transcripts.schema import UnreadableError
from agentbreaker.transcripts.source import Source
from agentbreaker.transcripts.values import (
    items_of,
    mapping_of,
    moment_of,
    name_of,
    pay_together,
    text_of,
    unpacked,
    usage_of,
)

__all__ = ["Seen", "is_message", "messages_of_turn", "read_autogen", "recognise_autogen"]

#: What AutoGen itself makes of a tool's result: no model is called for it.
_MADE_UP: Final = frozenset({"HandoffMessage", "ToolCallSummaryMessage"})
#: Events about a run that nobody says to anybody.
_SILENT: Final = frozenset(
    {
        "CodeExecutionEvent",
        "CodeGenerationEvent",
        "MemoryQueryEvent",
        "ModelClientStreamingChunkEvent",
        "SelectSpeakerEvent",
        "SelectorEvent",
        "ThoughtEvent",
        "UserInputRequestedEvent",
    }
)


def recognise_autogen(probe: Probe) -> bool:
    """Whether a record is a result, a team state, or a message."""
    if any(
        is_message(record)
        or any(map(is_message, items_of(record.get("messages"))[:3]))
        or isinstance(record.get("agent_states"), dict)
        for record in probe.records
    ):
        return True
    return "agent_states" in probe.keys or ("messages" in probe.keys and b'"models_usage"' in probe.head)


def is_message(record: dict[str, Any]) -> bool:
    """Whether a record is a message or event of ``autogen_agentchat``."""
    return "source" in record and "models_usage" in record and isinstance(record.get("type"), str)


def read_autogen(source: Source) -> Iterator[Message]:
    """Yield the messages of AutoGen's results, states or message streams."""
    for message in _messages(source):
        source.report.messages += 1
        yield message


def _messages(source: Source) -> Iterator[Message]:
    addressing, seen = Addressing(), Seen()
    for record in records_of(source):
        name = f"line {source.line}"
        if "agent_states" in record:
            threads = [
                (f"agent_states.{number}.message_thread", state["message_thread"])
                for number, state in enumerate(mapping_of(record["agent_states"]).values())
                if isinstance(state, dict) and "message_thread" in state
            ]
            if not threads:
                source.skip("a team state without a message thread", field="agent_states")
            for field, thread in threads:
                yield from spoken_to_next(_turns(source, thread, name, field, Seen()))
        elif "messages" in record:
            yield from spoken_to_next(_turns(source, record["messages"], name, "messages", Seen()))
        else:
            for message in _turns(source, [record], "run", "", seen):
                yield from addressing.push(message)
    yield from addressing.end()


class Seen:
    """Ids of messages that were read: streams repeat them."""

    def __init__(self) -> None:
        self._hashes: set[int] = set()

    def is_new(self, message_id: str | None) -> bool:
        """Whether this id is seen for the first time; without one there is no telling."""
        if message_id is None:
            return True
        if hash(message_id) in self._hashes:
            return False
        if len(self._hashes) < 100_000:
            self._hashes.add(hash(message_id))
        return True


def _turns(source: Source, turns: Any, conversation: str, field: str, seen: Seen) -> Iterator[Message]:
    if not isinstance(turns, list):
        source.skip("expected an array", field=field)
        return
    for number, turn in enumerate(turns):
        try:
            found = messages_of_turn(turn, conversation, seen)
        except UnreadableError as error:
            place = f"{field}.{number}" if field else ""
            source.skip(error.reason, field=".".join(filter(None, (place, error.field))) or None)
            continue
        yield from found


def messages_of_turn(turn: Any, conversation: str, seen: Seen) -> list[Message]:
    """Return the messages of one turn; several where it calls several tools, none where it was seen before.

    Raises:
        UnreadableError: It does not say who speaks.
    """
    if not isinstance(turn, dict):
        raise UnreadableError("not an object")
    speaker = name_of(turn.get("source"), "source")
    if speaker is None:
        raise UnreadableError("missing", "source")
    kind = turn.get("type")
    message_id = name_of(turn.get("id"), "id")
    if (isinstance(kind, str) and kind in _SILENT) or not seen.is_new(message_id):
        return []
    moment, content = moment_of(turn.get("created_at")), turn.get("content")
    role: Role | None = "user" if speaker == "user" else "assistant"
    found: list[Message] = []
    if kind == "ToolCallRequestEvent":
        for call in items_of(content):
            name = name_of(call.get("name"), "content.name") or "tool"
            tool = Tool(name, name_of(call.get("id"), "content.id"), unpacked(call.get("arguments")))
            found.append(Message(conversation, speaker, name, "tool_call", role=role, timestamp=moment, tool=tool))
    elif kind == "ToolCallExecutionEvent":
        for result in items_of(content):
            name = name_of(result.get("name"), "content.name") or "tool"
            call_id = name_of(result.get("call_id"), "content.call_id")
            tool = Tool(name, call_id, None, text_of(result.get("content")), result.get("is_error") is True)
            found.append(Message(conversation, name, speaker, "tool_result", role="tool", timestamp=moment, tool=tool))
    else:
        target = name_of(turn.get("target"), "target")
        found.append(
            Message(
                conversation,
                speaker,
                target,
                "handoff" if target is not None else "message",
                text_of(content),
                role,
                message_id,
                timestamp=moment,
            )
        )
    if found and found[-1].kind != "tool_result":
        pay_together(found, usage := _usage(turn.get("models_usage")))
        found[-1].usage_elsewhere = usage is None and isinstance(kind, str) and kind in _MADE_UP
    return found


def _usage(value: Any) -> Usage | None:
    usage = mapping_of(value)
    return usage_of(usage.get("prompt_tokens"), usage.get("completion_tokens"))
