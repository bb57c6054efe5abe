"""Claude Code sessions with their subagents, as they lie in a folder."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from agentbreaker.accounting import Accountant
from agentbreaker.message import Message, Usage
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


# -- lines of other agents, and lines that are there twice ------------------------------------------------------------


def lines(tmp_path: Path, *records: dict[str, Any]) -> list[Message]:
    """The messages of a session of these records."""
    path = tmp_path / "s.jsonl"
    path.write_text("".join(json.dumps({"sessionId": "s", **record}) + "\n" for record in records))
    report = ReadReport()
    messages = list(read_transcript(path, report=report))
    assert report.ok
    return messages


def answer(call: str, block: dict[str, Any], output: int, **fields: Any) -> dict[str, Any]:
    """One line of a model call."""
    message = {"id": call, "model": "claude-sonnet-4-5", "content": [block], "usage": {"output_tokens": output}}
    return {"type": "assistant", "message": message, **fields}


def user(content: Any, **fields: Any) -> dict[str, Any]:
    """A line of the user."""
    return {"type": "user", "message": {"role": "user", "content": content}, **fields}


def text(words: str) -> dict[str, str]:
    """A block of text."""
    return {"type": "text", "text": words}


def test_a_line_that_is_written_twice_counts_once(tmp_path: Path) -> None:
    """The same line again, a snapshot of an unfinished answer, and the blocks of one call share one usage."""
    twice = user("Go.", uuid="u1")
    use = {"type": "tool_use", "id": "t1", "name": "Bash", "input": {"command": "make"}}
    messages = lines(
        tmp_path,
        twice,
        answer("m1", text("I look."), 5, uuid="u2"),
        answer("m1", text("I look."), 90, uuid="u3"),
        answer("m1", use, 90, uuid="u4"),
        twice,
    )
    assert [(one.sender, one.kind) for one in messages] == [
        ("user", "message"),
        ("claude", "message"),
        ("claude", "tool_call"),
    ]
    assert sum(one.usage.output_tokens for one in messages if one.usage) == 90
    accountant = Accountant()
    assert not [one for one in messages if accountant.charge(one).estimated and one.role == "assistant"]


def test_what_others_report_is_not_the_users(tmp_path: Path) -> None:
    """A teammate, a subagent in the background, a peer: each is the sender, and none is input from outside."""
    started = {"type": "tool_use", "id": "t1", "name": "Agent", "input": {"subagent_type": "general", "name": "tester"}}
    acknowledged = [{"type": "tool_result", "tool_use_id": "t1", "content": "Async agent launched"}]
    done = "<task-notification><task-id>cd34</task-id><result>All pass.</result></task-notification>"
    messages = lines(
        tmp_path,
        answer("m1", started, 5),
        user(acknowledged, toolUseResult={"status": "async_launched", "agentId": "cd34"}),
        user(done),
        user('<teammate-message teammate_id="ann">Looks good.</teammate-message>'),
        user("I am finished.", origin={"kind": "peer", "from": "bob"}),
        user("<task-notification><task-id>b7</task-id><summary>make done</summary></task-notification>"),
    )
    assert [(one.sender, one.recipient, one.kind, one.content) for one in messages[1:]] == [
        ("tester", "claude", "message", "All pass."),
        ("ann", "claude", "message", "Looks good."),
        ("bob", "claude", "message", "I am finished."),
        ("system", None, "system", "make done"),
    ]
    assert not any(one.role == "user" for one in messages)
    assert all(one.usage_elsewhere for one in messages[1:4])


def test_a_summary_of_what_was_said_is_no_message(tmp_path: Path) -> None:
    """It is the context that goes on after a compaction."""
    messages = lines(tmp_path, user("Summary: all of it.", isCompactSummary=True), answer("m1", text("On."), 3))
    assert [one.kind for one in messages] == ["system", "message"]


def test_a_teammate_has_its_name_in_its_own_session(tmp_path: Path) -> None:
    """Lines of a team name the agent that they are of."""
    use = {"type": "tool_use", "id": "t", "name": "SendMessage", "input": {"to": "team-lead", "message": "Done."}}
    messages = lines(tmp_path, answer("m1", use, 3, agentName="backend", teamName="shop"))
    assert [(one.sender, one.recipient) for one in messages] == [("backend", "team-lead")]


def test_what_claude_code_itself_says_costs_nothing(tmp_path: Path) -> None:
    """An error of the service is no model's words."""
    failed = answer("m1", text("API Error: 529 overloaded, please try again later."), 0)
    failed["message"]["model"] = "<synthetic>"
    (message,) = lines(tmp_path, failed)
    assert Accountant().charge(message).tokens == 0


def test_a_subagent_without_lines_has_the_tokens_of_its_result(tmp_path: Path) -> None:
    """They are all that is recorded of it."""
    use = {"type": "tool_use", "id": "t1", "name": "Task", "input": {"subagent_type": "Explore", "prompt": "Find it."}}
    usage = {"input_tokens": 3, "cache_read_input_tokens": 100, "output_tokens": 9}
    result = [{"type": "tool_result", "tool_use_id": "t1", "content": "Found."}]
    messages = lines(
        tmp_path, answer("m1", use, 5), user(result, toolUseResult={"status": "completed", "usage": usage})
    )
    assert messages[1].usage == Usage(103, 9, 100)
