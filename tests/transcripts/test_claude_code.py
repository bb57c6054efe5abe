"""Claude Code sessions with their subagents, as they lie in a folder."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from agentbreaker.transcripts import ReadReport, expand_paths, read_transcript

SAMPLES = Path(__file__).parent / "samples"
SESSION = SAMPLES / "claude-code.jsonl"


def copied(tmp_path: Path) -> Path:
    """A session of one's own, with its subagent."""
    shutil.copy(SESSION, tmp_path)
    shutil.copytree(SESSION.with_suffix(""), tmp_path / SESSION.stem)
    return tmp_path / SESSION.name


def test_subagents_are_read_with_their_session(tmp_path: Path) -> None:
    """Calls, the subagent's own tools and its answer stand in the order of time, each once."""
    report = ReadReport()
    messages = list(read_transcript(copied(tmp_path), report=report))
    told = [(message.sender, message.recipient, message.kind) for message in messages]
    assert told == [
        ("user", "claude", "message"),
        ("claude", "user", "message"),
        ("claude", "Explore", "message"),
        ("Explore", "Grep", "tool_call"),
        ("Grep", "Explore", "tool_result"),
        ("Explore", "claude", "message"),
        ("claude", "Bash", "tool_call"),
        ("Bash", "claude", "tool_result"),
        ("claude", "reviewer", "message"),
        ("reviewer", "claude", "message"),
        ("claude", "user", "message"),
    ]
    assert report.messages == len(messages)
    assert report.agents == 3
    assert len({message.conversation_id for message in messages}) == 1


def test_tokens_of_all_agents_count_once(tmp_path: Path) -> None:
    """Lines of one call repeat its usage, and thinking is paid for by what follows; subagents have their own."""
    messages = list(read_transcript(copied(tmp_path)))
    by_agent: dict[str, list[int]] = {}
    for message in messages:
        if message.usage is not None:
            sums = by_agent.setdefault(message.sender, [0, 0])
            sums[0] += message.usage.input_tokens
            sums[1] += message.usage.output_tokens
    assert by_agent == {
        "claude": [(3 + 5139 + 9631) + (5 + 14770) + (5 + 15000) + (6 + 15100), 140 + 30 + 20 + 9],
        "Explore": [(10 + 2000) + (4 + 2010), 15 + 6],
    }


def test_the_small_file_beside_a_subagent_names_its_type(tmp_path: Path) -> None:
    """A session that broke off before the result still knows who the subagent was."""
    session = copied(tmp_path)
    session.write_text("".join(session.read_text("utf-8").splitlines(keepends=True)[:6]), "utf-8")
    assert "Explore" not in {message.sender for message in read_transcript(session)}
    meta = tmp_path / SESSION.stem / "subagents" / "agent-a1b2.meta.json"
    meta.write_text('{"agentType": "Explore"}')
    assert "Explore" in {message.sender for message in read_transcript(session)}


def test_a_broken_subagent_does_not_hide_its_session(tmp_path: Path) -> None:
    """What cannot be read of a subagent is named with its own file and line."""
    session = copied(tmp_path)
    (tmp_path / SESSION.stem / "subagents" / "agent-empty.jsonl").write_text("")
    (tmp_path / SESSION.stem / "subagents" / "agent-zip.jsonl").write_bytes(b"PK\x03\x04")
    (tmp_path / SESSION.stem / "subagents" / "agent-bad.jsonl").write_text('{"type": "user", "message": {}}\n')
    report = ReadReport()
    assert len(list(read_transcript(session, report=report))) == 11
    faults = {str(error) for error in report.errors}
    folder = tmp_path / SESSION.stem / "subagents"
    assert faults >= {
        f"{folder}/agent-empty.jsonl: empty",
        f"{folder}/agent-zip.jsonl: a zip archive, not JSON Lines; unpack it first",
        f"{folder}/agent-bad.jsonl:1: sessionId: missing",
    }


@pytest.mark.parametrize("name", ["../../secret", "/etc/passwd", "a/../../secret", "secret\0"])
def test_what_a_session_says_is_never_a_path(tmp_path: Path, name: str) -> None:
    """Only files that lie in the folder are opened, whatever ids the lines have."""
    session = copied(tmp_path)
    line = {"type": "assistant", "sessionId": name, "uuid": "u", "message": {"role": "assistant", "content": "x"}}
    (tmp_path / "secret.jsonl").write_text(json.dumps(line | {"sessionId": "leaked"}) + "\n")
    text = session.read_text("utf-8").replace("a1b2", json.dumps(name)[1:-1])
    session.write_text(text + json.dumps(line) + "\n", "utf-8")
    assert "leaked" not in {message.conversation_id for message in read_transcript(session)}


def test_a_subagent_is_not_read_twice(tmp_path: Path) -> None:
    """A pattern that matches both gives the session only; a subagent alone can be read."""
    session = copied(tmp_path)
    own = str(tmp_path / SESSION.stem / "subagents" / "agent-a1b2.jsonl")
    assert expand_paths([str(tmp_path / "**" / "*.jsonl")]) == [str(session)]
    assert expand_paths([own]) == [own]
    assert {message.sender for message in read_transcript(own)} == {"subagent", "Grep"}


def test_a_folder_has_its_sessions_once(tmp_path: Path) -> None:
    """Subagents, and what is noted of them, are read with their session."""
    session = copied(tmp_path)
    assert expand_paths([str(tmp_path)]) == [str(session)]
