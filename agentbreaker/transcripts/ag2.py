"""AG2 1.x: the write-ahead log of a channel of its hub, an envelope a line (``channels/<id>/wal.jsonl``).

A channel is a conversation.  Envelopes name agents by their id; the hub keeps their names in
``agents/<id>/passport.json``, which is read where it lies beside the log.  Openings, invitations and other events of
the hub are no messages.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, Final

from agentbreaker.message import Message, Usage
from agentbreaker.transcripts.addressing import Addressing
from agentbreaker.transcripts.records import Probe, parse_value, records_of
from agentbreaker.transcripts.schema import UnreadableError
from agentbreaker.transcripts.source import CHUNK, Source
from agentbreaker.transcripts.values import last_text, mapping_of, moment_of, name_of, text_of, usage_of

__all__ = ["read_ag2", "recognise_ag2"]

_FIELDS: Final = {"channel_id", "sender_id", "event_type"}
_TEXT: Final = "ag2.msg.text"
_PACKET: Final = "ag2.packet"
#: Events of the hub itself; whatever else an application posts is said to somebody.
_OWN: Final = ("ag2.channel.", "ag2.context.", "ag2.expectation.", "ag2.task.")
_MAX_AGENTS: Final = 10_000
_MAX_KEPT: Final = 100_000


def recognise_ag2(probe: Probe) -> bool:
    """Whether a record is an envelope."""
    return any(record.keys() >= _FIELDS for record in probe.records) or probe.keys >= _FIELDS


def read_ag2(source: Source) -> Iterator[Message]:
    """Yield the messages of write-ahead logs."""
    addressing, names, seen = Addressing(), _names_beside(source.file), set[int]()
    for record in records_of(source):
        kind = record.get("event_type")
        if isinstance(kind, str) and kind.startswith(_OWN):
            source.report.blank += 1
            continue
        try:
            message = _message(record, names)
        except UnreadableError as error:
            source.skip(error.reason, field=error.field)
            continue
        if message.message_id is not None:
            if hash(message.message_id) in seen:
                continue
            if len(seen) < _MAX_KEPT:
                seen.add(hash(message.message_id))
        yield from _counted(source, addressing.push(message))
    yield from _counted(source, addressing.end())


def _counted(source: Source, messages: list[Message]) -> Iterator[Message]:
    for message in messages:
        source.report.messages += 1
        yield message


def _names_beside(path: str | None) -> dict[str, str]:
    """Names of the agents by their id, from the hub's folder; what is in the log never says where to look."""
    if path is None or os.path.basename(path) != "wal.jsonl":
        return {}
    agents = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(path)))), "agents")
    try:
        found = sorted(os.listdir(agents))[:_MAX_AGENTS]
    except OSError:
        return {}
    names = {}
    for agent_id in found:
        try:
            with open(os.path.join(agents, agent_id, "passport.json"), "rb") as file:
                if name := name_of(mapping_of(parse_value(file.read(CHUNK))).get("name"), "name"):
                    names[agent_id] = name
        except (OSError, UnreadableError):
            continue
    return names


def _message(record: dict[str, Any], names: dict[str, str]) -> Message:
    conversation = name_of(record.get("channel_id"), "channel_id")
    sender = name_of(record.get("sender_id"), "sender_id")
    if conversation is None or sender is None:
        raise UnreadableError("missing", "channel_id" if conversation is None else "sender_id")
    data = mapping_of(record.get("event_data"))
    kind, routing = record.get("event_type"), mapping_of(data.get("routing"))
    audience = record.get("audience")
    recipient = name_of(audience[0], "audience") if isinstance(audience, list) and len(audience) == 1 else None
    target = name_of(routing.get("target"), "event_data.routing.target") if routing.get("kind") == "handoff" else None
    if kind == _TEXT:
        text = text_of(data.get("text"))
    elif kind == _PACKET:
        text = text_of(data.get("body")) or text_of(routing.get("reason"))
    else:
        text = last_text(data)
    return Message(
        conversation,
        names.get(sender, sender),
        None if (heard := target or recipient) is None else names.get(heard, heard),
        "handoff" if target is not None else "message",
        text,
        message_id=name_of(record.get("envelope_id"), "envelope_id"),
        parent_id=name_of(record.get("causation_id"), "causation_id"),
        timestamp=moment_of(record.get("created_at")),
        usage=_usage(data.get("usage")),
        model=name_of(data.get("model"), "event_data.model"),
    )


def _usage(value: Any) -> Usage | None:
    usage = mapping_of(value)
    return usage_of(usage.get("prompt_tokens"), usage.get("completion_tokens"))
