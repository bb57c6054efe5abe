"""Claude Code sessions: ``<project>/<session>.jsonl``, with the files of their subagents.

None of it is a documented interface, so every field may be missing.  A session is a conversation.  The main agent is
``claude``, or has its name in a team; a subagent has the name that it was given, else that of its type, and speaks to
the one that started it.  The tokens of subagents are only in their own files, which are read with their session and
merged into it by time.  The lines of one model call repeat its usage, and some lines are written twice: both count
once.  What other agents report stands in lines of the user, who did not say it.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, Final

from agentbreaker.errors import TranscriptError
from agentbreaker.message import Message, Tool, Usage
from agentbreaker.transcripts.claude_files import subagent_files, subagent_type
from agentbreaker.transcripts.claude_reports import is_task, reports_in
from agentbreaker.transcripts.records import Probe, records_of
from agentbreaker.transcripts.schema import UnreadableError
from agentbreaker.transcripts.source import Source, open_source
from agentbreaker.transcripts.values import (
    count_of,
    items_of,
    mapping_of,
    moment_of,
    name_of,
    pay_together,
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
_STARTED: Final = ("async_launched", "teammate_spawned")
#: Stands for the model in what Claude Code itself says.
_NO_MODEL: Final = "<synthetic>"
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
    files = subagent_files(source.path)
    for agent_id, path in files.items():
        session.types[agent_id] = subagent_type(path) or ""
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
        background: The same by the id of the subagent.
        tools: Name of the tool by the id of a call.
        inline: Whether lines of a subagent stood in the main file since the latest start of one.
        main: Name of the main agent.
        latest: Type of the subagent that was started last.
        unpaid: By agent, the tokens of what it thought and has not yet followed by a message.
        counted: Tokens of each model call that are counted already: a hash of its id, then the fields of a usage.
        told: Hashes of lines and of blocks of model calls that were read.
    """

    types: dict[str, str] = field(default_factory=dict)
    started: dict[str, str] = field(default_factory=dict)
    background: dict[str, str] = field(default_factory=dict)
    tools: dict[str, str] = field(default_factory=dict)
    inline: bool = False
    main: str = MAIN_AGENT
    latest: str = _SUBAGENT
    counted: dict[int, list[int]] = field(default_factory=dict)
    unpaid: dict[str, Message] = field(default_factory=dict)
    told: set[int] = field(default_factory=set)

    def is_new(self, *place: str | None) -> bool:
        """Whether this is read for the first time."""
        key = hash(place)
        if key in self.told:
            return False
        if len(self.told) < _MAX_KEPT:
            self.told.add(key)
        return True


def _learn_types(source: Source, session: _Session) -> None:
    """Learn from the whole session which type each subagent has: its result, which names both, comes last."""
    started: dict[str, str] = {}
    try:
        with open_source(source.path) as first:
            for record in records_of(first):
                message = mapping_of(record.get("message"))
                result = mapping_of(record.get("toolUseResult"))
                agent_id = result.get("agentId") or result.get("agent_id")
                for block in items_of(message.get("content")):
                    if block.get("type") == "tool_use" and block.get("name") in _STARTS:
                        given = mapping_of(block.get("input"))
                        kind = given.get("name") or given.get("subagent_type")
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
        line_id = record.get("uuid")
        if isinstance(line_id, str) and not session.is_new(line_id, agent_id):
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
    if not aside:
        session.main = name_of(record.get("agentName"), "agentName") or session.main
    speaker, other = session.main, _USER
    if aside:
        own = agent_id or name_of(record.get("agentId"), "agentId") or ""
        speaker, other = session.types.get(own) or (session.latest if agent_id is None else _SUBAGENT), session.main
        session.inline = session.inline or agent_id is None
    content, call = body.get("content"), body.get("id")
    blocks = items_of(content) if isinstance(content, list) else [{"type": "text", "text": content}]
    found: list[Message] = []
    for block in blocks:
        if record["type"] == "assistant":
            # Snapshots of an answer that is still being written repeat what was there before.
            if not isinstance(call, str) or session.is_new(call, str(block.get("id")), text_of(block.get("text"))):
                found += _said(block, session, conversation, speaker, other)
        elif block.get("type") == "tool_result":
            found += _result(block, record, session, conversation, speaker)
        # What a subagent is asked is told by the call that starts it.
        elif block.get("type") == "text" and not aside and (text := text_of(block.get("text"))):
            found += _told(text, record, session, conversation, speaker)
    if record["type"] == "assistant":
        usage, model = _usage(body, session), name_of(body.get("model"), "message.model")
        bill = session.unpaid.pop(speaker, None) or Message(conversation, speaker, other, role="assistant")
        bill.usage = sum_of_usage(bill.usage, usage)
        bill.model = model if model != _NO_MODEL else bill.model
        if found:
            pay_together(found, bill.usage, bill.model)
            # Another line of the call has paid for it, or nobody was asked.
            found[-1].usage_elsewhere = bill.usage is None and (model == _NO_MODEL or _is_counted(call, session))
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
        kind = name_of(given.get("name"), "input.name") or name_of(given.get("subagent_type"), "input.subagent_type")
        kind = kind or _SUBAGENT
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


def _told(text: str, record: dict[str, Any], session: _Session, conversation: str, speaker: str) -> Iterator[Message]:
    """What stands in a line of the user: his own words, a summary of what was said, or what other agents report."""
    if record.get("isCompactSummary") is True:
        yield Message(conversation, "system", None, "system", text, "system")
        return
    reports = reports_in(text, mapping_of(record.get("origin")))
    if reports is None:
        yield Message(conversation, _USER, speaker, content=text, role="user")
        return
    for sender, words in reports:
        # Its last words are in its own lines, where there are any.
        if sender in session.types or sender in session.types.values():
            continue
        name = session.background.get(sender) or name_of(sender, "origin.from") or _SUBAGENT
        if name == sender and is_task(text):
            # A command that ran in the background.
            yield Message(conversation, "system", None, "system", words, "system")
        else:
            yield Message(conversation, name, speaker, content=words, role="assistant", usage_elsewhere=True)


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
        result = mapping_of(record.get("toolUseResult"))
        agent_id = result.get("agentId") or result.get("agent_id")
        if isinstance(agent_id, str) and len(session.background) < _MAX_KEPT:
            session.background[agent_id] = kind
        told = session.inline or (isinstance(agent_id, str) and agent_id in session.types)
        # One that works in the background has only been started.
        if not told and result.get("status") not in _STARTED:
            paid = _tokens(mapping_of(result.get("usage")))
            yield Message(conversation, kind, speaker, content=text, role="assistant", usage=usage_of(*paid))
        return
    tool = Tool(name, call_id, None, text, block.get("is_error") is True)
    yield Message(conversation, name, speaker, "tool_result", role="tool", tool=tool)


def _is_counted(call: Any, session: _Session) -> bool:
    """Whether the tokens of a model call are recorded."""
    return isinstance(call, str) and any(session.counted.get(hash(call), ()))


def _tokens(usage: dict[str, Any]) -> list[int]:
    """The fields of a usage; Anthropic counts cached tokens beside the others."""
    created, read = count_of(usage.get("cache_creation_input_tokens")), count_of(usage.get("cache_read_input_tokens"))
    return [
        count_of(usage.get("input_tokens")) + created + read,
        count_of(usage.get("output_tokens")),
        read,
        created,
    ]


def _usage(body: dict[str, Any], session: _Session) -> Usage | None:
    """The tokens of a model call that no line before this one has counted."""
    counts, call = _tokens(mapping_of(body.get("usage"))), body.get("id")
    if isinstance(call, str):
        before = session.counted.pop(hash(call), [0, 0, 0, 0])
        session.counted[hash(call)] = [max(pair) for pair in zip(before, counts, strict=True)]
        counts = [max(0, new - old) for new, old in zip(counts, before, strict=True)]
        while len(session.counted) > _MAX_KEPT:
            session.counted.pop(next(iter(session.counted)))
    return usage_of(*counts)
