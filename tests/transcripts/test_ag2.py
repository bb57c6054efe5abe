"""The logs of AG2, 1.x and 0.x: names, relayed messages, sessions, what was paid."""

from __future__ import annotations

import io
import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from agentbreaker.errors import TranscriptError
from agentbreaker.message import Message
from agentbreaker.transcripts import ReadReport, read_transcript

SAMPLES = Path(__file__).parent / "samples"


def envelope(number: int, kind: str = "ag2.msg.text", **fields: Any) -> dict[str, Any]:
    """An envelope from a to b."""
    data = {"channel_id": "c", "sender_id": "a", "audience": ["b"], "event_type": kind, "event_data": {"text": "hi"}}
    return data | {"envelope_id": f"e{number}"} | fields


def wal(*envelopes: dict[str, Any]) -> bytes:
    """A write-ahead log."""
    return "".join(json.dumps(one) + "\n" for one in envelopes).encode()


def test_names_are_in_the_folder_of_the_hub(tmp_path: Path) -> None:
    """Agents have ids in the log; their passports lie beside it."""
    log = tmp_path / "channels" / "c" / "wal.jsonl"
    log.parent.mkdir(parents=True)
    log.write_bytes(wal(envelope(1)))
    for agent_id, passport in (("a", '{"name": "ann"}'), ("b", "not JSON"), ("z", '{"name": 7}')):
        folder = tmp_path / "agents" / agent_id
        folder.mkdir(parents=True)
        (folder / "passport.json").write_text(passport)
    (tmp_path / "agents" / "none").mkdir()
    (message,) = read_transcript(log)
    assert (message.sender, message.recipient) == ("ann", "b")


@pytest.mark.parametrize("name", ["../../secret", "/etc/passwd", "a\0b"])
def test_what_a_log_says_is_never_a_path(tmp_path: Path, name: str) -> None:
    """Only passports in the folder are opened, whatever the ids in the log are."""
    log = tmp_path / "hub" / "channels" / "c" / "wal.jsonl"
    log.parent.mkdir(parents=True)
    log.write_bytes(wal(envelope(1, sender_id=name)))
    (tmp_path / "hub" / "agents").mkdir()
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "passport.json").write_text('{"name": "leaked"}')
    (message,) = read_transcript(log)
    assert message.sender == name


def test_kinds_of_envelopes() -> None:
    """Text, packets with a handoff, events of applications; the hub's own are no messages, a repetition is none."""
    packet = {"routing": {"kind": "handoff", "target": "d", "reason": "over to you"}, "body": ""}
    data = wal(
        envelope(1, "ag2.channel.opened"),
        envelope(2, audience=None),
        envelope(2, audience=None),
        envelope(3, "ag2.packet", event_data=packet, sender_id="b"),
        envelope(4, "shop.order", event_data={"text": "one"}, audience=["a", "b"], sender_id="d"),
        envelope(5, sender_id=None),
    )
    report = ReadReport()
    found = list(read_transcript(io.BytesIO(data), report=report))
    assert [(one.sender, one.recipient, one.kind, one.content) for one in found] == [
        ("a", "b", "message", "hi"),
        ("b", "d", "handoff", "over to you"),
        ("d", None, "message", "one"),
    ]
    assert [str(error) for error in report.errors] == ["<stream>:6: sender_id: missing"]


# -- 0.x --------------------------------------------------------------------------------------------------------------


def database(path: Path, events: list[tuple[Any, ...]], calls: list[tuple[Any, ...]] = ()) -> Path:  # type: ignore[assignment]
    """A log with these events (receiver, class, state, time) and calls (session, agent, usage, cached, cost, time)."""
    with closing(sqlite3.connect(SAMPLES / "ag2-classic.db")) as sample, closing(sqlite3.connect(path)) as made:
        for (statement,) in sample.execute("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL"):
            made.execute(statement)
        for receiver, kind, state, stamp in events:
            text = state if isinstance(state, str) else json.dumps(state)
            made.execute(
                "INSERT INTO events (event_name, source_name, agent_class_name, json_state, timestamp) "
                "VALUES ('received_message', ?, ?, ?, ?)",
                (receiver, kind, text, stamp),
            )
        for session, agent, usage, cached, cost, stamp in calls:
            response = json.dumps({"model": "m", "usage": usage})
            made.execute(
                "INSERT INTO chat_completions (session_id, source_name, request, response, is_cached, cost, start_time,"
                " end_time) VALUES (?, ?, '{}', ?, ?, ?, ?, ?)",
                (session, agent, response, cached, cost, stamp, stamp),
            )
        made.commit()
    return path


def said(sender: str, text: Any) -> dict[str, Any]:
    """The state of an event."""
    return {"message": text, "sender": sender, "valid": True}


def read(path: Path, report: ReadReport | None = None) -> list[Message]:
    """All messages of a log."""
    return list(read_transcript(path, report=report))


def test_a_session_is_a_conversation(tmp_path: Path) -> None:
    """A file that was logged to twice has two."""
    usage = {"prompt_tokens": 5, "completion_tokens": 1}
    path = database(
        tmp_path / "log.db",
        [("b", "X", said("a", "1"), "2026-11-01 09:00:00"), ("b", "X", said("a", "2"), "2026-11-01 10:00:00")],
        [("s1", "b", usage, 0, 0.1, "2026-11-01 09:00:01"), ("s2", "a", usage, 0, 0.1, "2026-11-01 09:59:00")],
    )
    assert {one.content: one.conversation_id for one in read(path) if one.content} == {"1": "s1", "2": "s2"}


def test_what_was_paid_counts_once(tmp_path: Path) -> None:
    """An agent's next message pays for its calls; cached ones cost nothing, and what nobody says is paid at the end."""
    usage = {"prompt_tokens": 5, "completion_tokens": 1}
    path = database(
        tmp_path / "log.db",
        [("b", "X", said("a", "1"), "2026-11-01 09:00:05"), ("a", "X", said("b", "2"), "2026-11-01 09:00:09")],
        [
            ("s", "a", usage, 0, 0.25, "2026-11-01 09:00:01"),
            ("s", "a", usage, 0, 0.25, "2026-11-01 09:00:02"),
            ("s", "a", usage, 1, 0.25, "2026-11-01 09:00:03"),
            ("s", "b", usage, 0, 0.25, "2026-11-01 09:00:20"),
        ],
    )
    found = [(one.sender, one.content, one.usage.total if one.usage else 0, one.cost_usd) for one in read(path)]
    assert found == [("a", "1", 12, 0.5), ("b", "2", 0, None), ("b", "", 6, 0.25)]


def test_a_manager_is_no_speaker(tmp_path: Path) -> None:
    """What it passes on is told once, by whoever wrote it."""
    relayed = {"content": "hi", "role": "user", "name": "ann"}
    path = database(
        tmp_path / "log.db",
        [
            ("boss", "GroupChatManager", said("ann", "hi"), "2026-11-01 09:00:01"),
            ("bob", "X", said("boss", relayed), "2026-11-01 09:00:02"),
            ("cem", "X", said("boss", relayed), "2026-11-01 09:00:02"),
            ("boss", "GroupChatManager", said("cem", "yes"), "2026-11-01 09:00:03"),
        ],
    )
    assert [(one.sender, one.recipient) for one in read(path)] == [("ann", "cem"), ("cem", None)]


@pytest.mark.parametrize("state", ["not JSON", "[]", "{}", '{"sender": 1.5}', "[" * 10_000, '{"sender": ""}'])
def test_a_broken_event_costs_itself(tmp_path: Path, state: str) -> None:
    """It is named by its number, and the others are read."""
    path = database(tmp_path / "log.db", [("b", "X", state, None), ("b", "X", said("a", "1"), None)])
    report = ReadReport()
    assert [one.content for one in read(path, report)] == ["1"]
    assert str(report.errors[0]) == f"{path}:1: json_state.sender: missing"


def test_a_log_is_only_read(tmp_path: Path) -> None:
    """Neither the file nor its folder changes; one that is cut is named."""
    path = database(tmp_path / "log.db", [("b", "X", said("a", "1"), None)])
    before = path.read_bytes()
    read(path)
    assert (path.read_bytes(), os.listdir(tmp_path)) == (before, ["log.db"])
    path.write_bytes(before[: len(before) // 2])
    with pytest.raises(TranscriptError, match="damaged"):
        list(read_transcript(path, format="ag2-classic"))


def test_what_no_model_was_called_for_costs_nothing(tmp_path: Path) -> None:
    """The log has all calls: a task that a program gives, or an answer that is passed on, is nobody's tokens."""
    usage = {"prompt_tokens": 5, "completion_tokens": 1}
    path = database(
        tmp_path / "log.db",
        [("b", "X", said("a", "Do it."), "2026-11-01 09:00:01"), ("a", "X", said("b", "Done."), "2026-11-01 09:00:09")],
        [("s", "b", usage, 0, 0.25, "2026-11-01 09:00:05")],
    )
    assert [(one.content, one.usage_elsewhere) for one in read(path)] == [("Do it.", True), ("Done.", False)]


def test_the_last_word_of_a_group_is_not_said_to_another_chat(tmp_path: Path) -> None:
    """Two agents that are in no group hear nothing of it, and what nobody says is no speaker."""
    relayed = {"content": "hi", "role": "user", "name": "ann"}
    usage = {"prompt_tokens": 5, "completion_tokens": 1}
    path = database(
        tmp_path / "log.db",
        [
            ("boss", "GroupChatManager", said("ann", "hi"), "2026-11-01 09:00:01"),
            ("bob", "X", said("boss", relayed), "2026-11-01 09:00:02"),
            ("boss", "GroupChatManager", said("bob", "yes"), "2026-11-01 09:00:03"),
            ("dan", "X", said("eve", "Hello."), "2026-11-01 09:00:04"),
        ],
        [("s", "boss", usage, 0, 0.25, "2026-11-01 09:00:20")],
    )
    assert [(one.sender, one.recipient, one.content) for one in read(path)] == [
        ("ann", "bob", "hi"),
        ("bob", None, "yes"),
        ("eve", "dan", "Hello."),
        ("boss", None, ""),
    ]
