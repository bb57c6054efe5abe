"""Which files belong to a session of Claude Code."""

from __future__ import annotations

import json
import os
from pathlib import Path

from agentbreaker.transcripts import expand_paths, read_transcript
from agentbreaker.transcripts.claude_files import session_file_of, subagent_files, subagent_type


def line(session: str, kind: str = "assistant", agent: str | None = None, **message: object) -> str:
    """A line of a session or of one of its subagents."""
    record = {
        "type": kind,
        "sessionId": session,
        "isSidechain": agent is not None,
        "message": {"role": kind, **message},
    }
    return json.dumps(record | ({} if agent is None else {"agentId": agent})) + "\n"


def flat(folder: Path) -> Path:
    """A session in the older layout, its subagent's file beside it, and the subagent of another session."""
    use = {"type": "tool_use", "id": "t1", "name": "Task", "input": {"subagent_type": "Explore", "prompt": "Find it."}}
    result = {"type": "tool_result", "tool_use_id": "t1", "content": "Found."}
    done = json.loads(line("s1", "user", content=[result])) | {"toolUseResult": {"agentId": "ab12"}}
    session = folder / "s1.jsonl"
    session.write_text(line("s1", "assistant", content=[use], id="m1", usage={"output_tokens": 5}) + json.dumps(done))
    said = [{"type": "text", "text": "Found."}]
    (folder / "agent-ab12.jsonl").write_text(
        line("s1", "assistant", "ab12", content=said, id="n1", usage={"output_tokens": 9})
    )
    (folder / "agent-cd34.jsonl").write_text(line("s2", "assistant", "cd34", content=said))
    (folder / "agent-none.jsonl").write_text("not JSON\n")
    return session


def test_subagents_beside_their_session_are_read_with_it(tmp_path: Path) -> None:
    """Once, in one conversation, under the type of the agent and with its own tokens."""
    session = flat(tmp_path)
    assert subagent_files(str(session)) == {"ab12": str(tmp_path / "agent-ab12.jsonl")}
    messages = list(read_transcript(session))
    assert [(one.sender, one.recipient) for one in messages] == [("claude", "Explore"), ("Explore", "claude")]
    assert [one.usage.output_tokens for one in messages if one.usage] == [5, 9]


def test_a_folder_counts_them_once(tmp_path: Path) -> None:
    """Those whose session is read are left out; those of a session that is not there are read by themselves."""
    flat(tmp_path)
    assert [os.path.basename(name) for name in expand_paths([str(tmp_path)])] == [
        "agent-cd34.jsonl",
        "agent-none.jsonl",
        "s1.jsonl",
    ]


def test_what_is_in_a_file_leads_nowhere_else(tmp_path: Path) -> None:
    """An id that is a path is no name of a session."""
    file = tmp_path / "agent-x.jsonl"
    file.write_text(line("../s1", agent="x", content="a"))
    assert session_file_of(str(file)) is None
    assert session_file_of(str(tmp_path / "agent-missing.jsonl")) is None


def test_a_small_file_names_the_subagent(tmp_path: Path) -> None:
    """Its own name comes before that of its type."""
    file = tmp_path / "agent-x.jsonl"
    (tmp_path / "agent-x.meta.json").write_text('{"agentType": "Explore"}')
    assert subagent_type(str(file)) == "Explore"
    (tmp_path / "agent-x.meta.json").write_text('{"agentType": "Explore", "name": "scout"}')
    assert subagent_type(str(file)) == "scout"
    assert subagent_type(str(tmp_path / "agent-y.jsonl")) is None
