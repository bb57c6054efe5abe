"""Claude Code sessions: ``<project>/<session>.jsonl``, with ``<session>/subagents/agent-*.jsonl`` beside them.

None of it is a documented interface, so every field may be missing.  A session is a conversation.  The main agent is
``claude``; a subagent has the name of its type and speaks to the one that started it.  The tokens of subagents are only
in their own files, which are read with their session and merged into it by time.  The lines of one model call repeat
its usage: it counts once.
"""

from __future__ import annotations

import heapq
import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, Final

from agentbreaker.errors import TranscriptError
from agentbreaker.message import Message, Tool, Usage
from agentbreaker.transcripts.records import Probe, parse_value, records_of
from agentbreaker.transcripts.schema import UnreadableError
from agentbreaker.transcripts.source import Source, open_source
from agentbreaker.transcripts.values import (
    count_of,
    items_of,
    mapping_of,
    moment_of,
    name_of,
    sum_of_usage,
    text_of,
    usage_of,
)

__all__ = ["MAIN_AGENT", "read_claude_code", "recognise_claude_code"]

#: Name of the agent that the user speaks to.
MAIN_AGENT: Final = "claude"
_USER: Final = "user"
_SUBAGENT: Final = "subagent"
#: The tool that starts a subagent, under its old and its new name.
_STARTS: Final = ("Task", "Agent")
#: Files that are open at the same time; those of further subagents are read after them.
_MAX_FILES: Final = 100
_MAX_KEPT: Final = 100_000
_SPOKEN: Final = ("user", "assistant")


def recognise_claude_code(probe: Probe) -> bool:
    """Whether a record is a line of a session."""
    return any(
        "sessionId" in record and record.get("type") in _SPOKEN and isinstance(record.get("message"), dict)
        for record in probe.records
        if isinstance(record.get("type"), str)
    ) or ({"sessionId", "uuid", "parentUuid"} <= probe.keys)


def read_claude_code(source: Source) -> Iterator[Message]:
    """Yield the messages of a session and of its subagents, by time."""
    session = _Session()
    files = _subagent_files(source.path)
    for agent_id, path in files.items():
        session.types[agent_id] = _type_of(path) or ""
    if files:
        _learn_types(source, session)
    with ExitStack() as stack:
        streams = [_timed(_messages(source, session, None))]
        late: list[Iterator[tuple[float, Message]]] = []
        for number, (agent_id, path) in enumerate(files.items()):
            stream = _timed(_subagent(path, source, session, agent_id, stack))
            (streams if number < _MAX_FILES else late).append(stream)
        for stream in (heapq.merge(*streams, key=lambda pair: pair[0]), *late):
            for _, message in stream:
                source.report.messages += 1
                yield message
    for message in session.unpaid.values():
        source.report.messages += 1
        yield message


@dataclass(slots=True)
class _Session:
    """What is known of a session while it is read.

    Attributes:
        types: Type of a subagent by its id; empty where it has a file but no type.
        started: Type of the subagent that a tool call started, by the id of the call.
        tools: Name of the tool by the id of a call.
        inline: Whether lines of a subagent stood in the main file since the latest start of one.
        latest: Type of the subagent that was started last.
        unpaid: By agent, the tokens of what it thought and has not yet followed by a message.
        counted: Tokens of each model call that are counted already: a hash of its id, then the fields of a usage.
    """

    types: dict[str, str] = field(default_factory=dict)
    started: dict[str, str] = field(default_factory=dict)
    tools: dict[str, str] = field(default_factory=dict)
    inline: bool = False
    latest: str = _SUBAGENT
    counted: dict[int, list[int]] = field(default_factory=dict)
    unpaid: dict[str, Message] = field(default_factory=dict)


def _subagent_files(path: str) -> dict[str, str]:
    """Files of the subagents by their id, found in the folder beside the session; nothing in the file names them."""
    if not path.endswith(".jsonl"):
        return {}
    folder = os.path.join(path.removesuffix(".jsonl"), "subagents")
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return {}
    return {
        name.removeprefix("agent-").removesuffix(".jsonl"): os.path.join(folder, name)
        for name in names
        if name.startswith("agent-") and name.endswith(".jsonl")
    }


def _type_of(path: str) -> str | None:
    """The type of a subagent, from the small file that may lie beside its lines."""
    try:
        with open(f"{path.removesuffix('.jsonl')}.meta.json", "rb") as file:
            return name_of(mapping_of(parse_value(file.read(65536))).get("agentType"), "agentType")
    except (OSError, UnreadableError):
        return None


def _learn_types(source: Source, session: _Session) -> None:
    """Learn from the whole session which type each subagent has: its result, which names both, comes last."""
    started: dict[str, str] = {}
    try:
        with open_source(source.path) as first:
            for record in records_of(first):
                message = mapping_of(record.get("message"))
                agent_id = mapping_of(record.get("toolUseResult")).get("agentId")
                for block in items_of(message.get("content")):
                    if block.get("type") == "tool_use" and block.get("name") in _STARTS:
                        kind = mapping_of(block.get("input")).get("subagent_type")
                        if isinstance(block.get("id"), str) and isinstance(kind, str) and len(started) < _MAX_KEPT:
                            started[block["id"]] = kind
                    elif isinstance(agent_id, str) and session.types.get(agent_id) == "":
                        call = block.get("tool_use_id")
                        session.types[agent_id] = started.get(call, "") if isinstance(call, str) else ""
    except (TranscriptError, OSError, EOFError):
        return


def _subagent(path: str, main: Source, session: _Session, agent_id: str, stack: ExitStack) -> Iterator[Message]:
    report = main.report
    try:
        source = stack.enter_context(open_source(path, strict=main.strict, report=report))
        yield from source.read(_messages(source, session, agent_id))
    except TranscriptError as error:
        if main.strict:
            raise
        report.skip(error)


def _timed(messages: Iterator[Message]) -> Iterator[tuple[float, Message]]:
    """Pairs of time and message; one without a time follows the one before."""
    latest = 0.0
    for message in messages:
        if message.timestamp is not None:
            latest = max(latest, message.timestamp.timestamp())
        yield latest, message


def _messages(source: Source, session: _Session, agent_id: str | None) -> Iterator[Message]:
    for record in records_of(source):
        kind = record.get("type")
        if not isinstance(kind, str):
            source.skip("missing", field="type")
            continue
        # Summaries, snapshots, progress and the like are no messages.
        if kind not in _SPOKEN or record.get("isMeta") is True:
            source.report.blank += 1
            continue
        try:
            found = _line(record, session, agent_id)
        except UnreadableError as error:
            source.skip(error.reason, field=error.field)
            continue
        yield from found


def _line(record: dict[str, Any], session: _Session, agent_id: str | None) -> list[Message]:
    """Return the messages of one line, one for each of its blocks that says something."""
    body = record.get("message")
    if not isinstance(body, dict):
        raise UnreadableError("missing", "message")
    conversation = name_of(record.get("sessionId"), "sessionId")
    if conversation is None:
        raise UnreadableError("missing", "sessionId")
    aside = agent_id is not None or record.get("isSidechain") is True
    speaker, other = MAIN_AGENT, _USER
    if aside:
        own = agent_id or name_of(record.get("agentId"), "agentId") or ""
        speaker, other = session.types.get(own) or (session.latest if agent_id is None else _SUBAGENT), MAIN_AGENT
        session.inline = session.inline or agent_id is None
    content = body.get("content")
    blocks = items_of(content) if isinstance(content, list) else [{"type": "text", "text": content}]
    found: list[Message] = []
    for block in blocks:
        if record["type"] == "assistant":
            found += _said(block, session, conversation, speaker, other)
        elif block.get("type") == "tool_result":
            found += _result(block, record, session, conversation, speaker)
        # What a subagent is asked is told by the call that starts it.
        elif block.get("type") == "text" and not aside and (text := text_of(block.get("text"))):
            found.append(Message(conversation, _USER, MAIN_AGENT, content=text, role="user"))
    if record["type"] == "assistant":
        usage, model = _usage(body, session), name_of(body.get("model"), "message.model")
        bill = session.unpaid.pop(speaker, None) or Message(conversation, speaker, other, role="assistant")
        bill.usage = sum_of_usage(bill.usage, usage)
        bill.model = model if model != "<synthetic>" else bill.model
        if found:
            found[-1].usage, found[-1].model = bill.usage, bill.model
        elif bill.usage is not None:
            # Thinking, which is said to nobody: the next message of the agent pays for it.
            session.unpaid[speaker] = bill
    moment = moment_of(record.get("timestamp"))
    for message in found:
        message.timestamp = moment
    if found:
        found[0].message_id = name_of(record.get("uuid"), "uuid")
        found[0].parent_id = name_of(record.get("parentUuid"), "parentUuid")
    return found


def _said(block: dict[str, Any], session: _Session, conversation: str, speaker: str, other: str) -> Iterator[Message]:
    if block.get("type") == "text" and (text := text_of(block.get("text"))):
        yield Message(conversation, speaker, other, content=text, role="assistant")
    if block.get("type") != "tool_use":
        return
    name = name_of(block.get("name"), "message.content.name") or "tool"
    call_id = name_of(block.get("id"), "message.content.id")
    given = mapping_of(block.get("input"))
    if call_id is not None and len(session.tools) < _MAX_KEPT:
        session.tools[call_id] = name
    if name in _STARTS:
        kind = name_of(given.get("subagent_type"), "input.subagent_type") or _SUBAGENT
        session.latest, session.inline = kind, False
        if call_id is not None and len(session.started) < _MAX_KEPT:
            session.started[call_id] = kind
        text = text_of(given.get("prompt")) or text_of(given.get("description"))
        yield Message(conversation, speaker, kind, content=text, role="assistant")
    elif name == "SendMessage":
        to = name_of(given.get("recipient"), "input.recipient") or name_of(given.get("to"), "input.to")
        text = text_of(given.get("content")) or text_of(given.get("message"))
        yield Message(conversation, speaker, to, content=text, role="assistant")
    else:
        tool = Tool(name, call_id, block.get("input"))
        yield Message(conversation, speaker, name, "tool_call", role="assistant", tool=tool)


def _result(
    block: dict[str, Any], record: dict[str, Any], session: _Session, conversation: str, speaker: str
) -> Iterator[Message]:
    call_id = name_of(block.get("tool_use_id"), "message.content.tool_use_id")
    name = session.tools.get(call_id or "", "tool")
    text = text_of(block.get("content"))
    if name == "SendMessage":
        return
    if (kind := session.started.get(call_id or "")) is not None:
        # Its last words are in its own lines, where there are any.
        agent_id = mapping_of(record.get("toolUseResult")).get("agentId")
        if not session.inline and not (isinstance(agent_id, str) and agent_id in session.types):
            yield Message(conversation, kind, speaker, content=text, role="assistant")
        return
    tool = Tool(name, call_id, None, text, block.get("is_error") is True)
    yield Message(conversation, name, speaker, "tool_result", role="tool", tool=tool)


def _usage(body: dict[str, Any], session: _Session) -> Usage | None:
    """The tokens of a model call that no line before this one has counted."""
    usage = mapping_of(body.get("usage"))
    created, read = count_of(usage.get("cache_creation_input_tokens")), count_of(usage.get("cache_read_input_tokens"))
    counts = [
        count_of(usage.get("input_tokens")) + created + read,
        count_of(usage.get("output_tokens")),
        read,
        created,
    ]
    call = body.get("id")
    if isinstance(call, str):
        before = session.counted.pop(hash(call), [0, 0, 0, 0])
        session.counted[hash(call)] = [max(pair) for pair in zip(before, counts, strict=True)]
        counts = [max(0, new - old) for new, old in zip(counts, before, strict=True)]
        while len(session.counted) > _MAX_KEPT:
            session.counted.pop(next(iter(session.counted)))
    return usage_of(*counts)
