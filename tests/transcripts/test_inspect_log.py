"""Inspect logs: agents in each other, texts beside the events, archives with and without the library."""

from __future__ import annotations

import io
import json
import sys
import types
import zipfile
from pathlib import Path
from typing import Any

import pytest

from agentbreaker.errors import TranscriptError
from agentbreaker.message import Message
from agentbreaker.transcripts import ReadReport, read_transcript

SAMPLES = Path(__file__).parent / "samples"


def log(*samples: dict[str, Any], indent: int | None = None) -> bytes:
    """A log with these samples; what stands before them is what Inspect writes."""
    frame = {"version": 2, "status": "success", "eval": {"task": "samples", "note": ["samples", {"samples": [1]}]}}
    return json.dumps(
        frame | {"samples": list(samples), "reductions": [{"samples": [{"id": 7}]}]}, indent=indent
    ).encode()


def read(data: bytes, report: ReadReport | None = None) -> list[Message]:
    """All messages of a log."""
    return list(read_transcript(io.BytesIO(data), report=report))


def event(kind: str, second: int, **fields: Any) -> dict[str, Any]:
    """An event at a second of its own."""
    return {"event": kind, "timestamp": f"2026-11-01T09:30:{second:02}+00:00"} | fields


def model(second: int, span: str, said: str) -> dict[str, Any]:
    """A call of a model."""
    done = f"2026-11-01T09:30:{second + 1:02}+00:00"
    message = {"role": "assistant", "content": said}
    return event("model", second, span_id=span, completed=done, output={"choices": [{"message": message}]})


NESTED = {
    "id": "x",
    "epoch": 2,
    "attachments": {"abc": "a long text"},
    "events": [
        event("span_begin", 0, id="p", type="agent", name="planner"),
        event("tool", 1, span_id="p", function="ask", completed="2026-11-01T09:30:09+00:00", arguments={}),
        event("span_begin", 2, id="t", parent_id="p", type="tool", name="ask"),
        event("span_begin", 3, id="r", parent_id="t", type="agent", name="reviewer"),
        model(4, "r", "attachment://abc"),
        event("span_end", 6, id="r"),
        model(10, "p", "Done."),
    ],
}


@pytest.mark.parametrize("indent", [None, 1])
def test_an_agent_that_is_a_tool_is_asked_and_answers(indent: int | None) -> None:
    """The call of the tool is the question; a text that is kept beside the events is where it belongs."""
    found = [(one.conversation_id, one.sender, one.recipient, one.content) for one in read(log(NESTED, indent=indent))]
    assert ("x/2", "planner", "reviewer", "") in found
    assert ("x/2", "reviewer", "planner", "a long text") in found
    assert "ask" not in {sender for _, sender, *_ in found}


def test_samples_are_read_one_after_the_other() -> None:
    """A broken one costs itself; members of the same name elsewhere are no samples."""
    report = ReadReport()
    assert {one.conversation_id for one in read(log(NESTED, {"id": "empty"}, NESTED | {"id": "y"}), report)} == {
        "x/2",
        "y/2",
    }
    assert [error.reason for error in report.errors] == ["a sample without events or messages"]


def test_a_sample_without_events_has_its_messages() -> None:
    """Logs can be written without events."""
    call = {"id": "c", "function": "count", "arguments": {"table": "orders"}}
    turns = [
        {"role": "user", "content": "Count."},
        {"role": "assistant", "content": "I count.", "tool_calls": [call], "model": "m"},
        {"role": "tool", "content": "7", "tool_call_id": "c"},
        {"role": "assistant", "content": [{"type": "text", "text": "Seven."}]},
    ]
    found = read(log({"id": 1, "epoch": 1, "messages": turns}))
    assert [one.content for one in found if one.kind == "message"] == ["Count.", "I count.", "Seven."]
    assert [one.tool.result for one in found if one.kind == "tool_result" and one.tool] == ["7"]


def test_a_log_that_breaks_off_is_read_so_far() -> None:
    """The samples before are there, and the end is named."""
    data = log(NESTED, NESTED | {"id": "y"})
    report = ReadReport()
    assert {one.conversation_id for one in read(data[: data.index(b'"y"') + 200], report)} == {"x/2"}
    assert "the array ends too early" in {error.reason for error in report.errors}


def archive(**members: str) -> bytes:
    """An archive as Inspect writes it, but for the compression."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as written:
        written.writestr("_journal/start.json", "{}")
        for name, text in members.items():
            written.writestr(f"samples/{name}_epoch_1.json", text)
    return file.getvalue()


def test_without_the_library_an_archive_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """Install it, or convert to JSON with it elsewhere."""
    monkeypatch.setitem(sys.modules, "inspect_ai.log", None)
    with pytest.raises(TranscriptError, match="pip install inspect-ai, or write it as JSON with `inspect log convert"):
        read(archive(a="{}"))


def test_an_archive_that_is_none_of_inspects() -> None:
    """Any other zip is to be unpacked; a damaged one is said to be."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as written:
        written.writestr("log.jsonl", "{}")
    with pytest.raises(TranscriptError, match="a zip archive, not JSON Lines; unpack it first"):
        read(file.getvalue())
    with pytest.raises(TranscriptError, match="the archive is damaged"):
        read(archive(a="{}")[:-30])


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """In the place of inspect-ai, one whose samples are as in this file; returns what it was asked for."""
    asked: list[str] = []

    def summaries(name: str) -> list[Any]:
        return [types.SimpleNamespace(id=one, epoch=1) for one in ("a", "huge", "bad", "b")]

    def sample(name: str, *, id: str, epoch: int, resolve_attachments: bool) -> Any:
        asked.append(id)
        if id == "bad":
            raise RuntimeError("secret of the file")
        return types.SimpleNamespace(model_dump=lambda mode: NESTED | {"id": id})

    module = types.ModuleType("inspect_ai.log")
    module.__dict__.update(read_eval_log_sample=sample, read_eval_log_sample_summaries=summaries)
    monkeypatch.setitem(sys.modules, "inspect_ai", types.ModuleType("inspect_ai"))
    monkeypatch.setitem(sys.modules, "inspect_ai.log", module)
    return asked


def test_a_sample_that_unpacks_to_too_much_is_not_asked_for(library: list[str]) -> None:
    """The archive says how long a sample is; what the library raises is named by its type only."""
    report = ReadReport()
    found = read(archive(a="{}", huge=" " * (65 * 1024 * 1024), bad="{}", b="{}"), report)
    assert library == ["a", "bad", "b"]
    assert {one.conversation_id for one in found} == {"a/2", "b/2"}
    assert [error.reason for error in report.errors] == ["longer than 64 MiB", "Inspect cannot read it (RuntimeError)"]


def test_the_real_library_reads_what_its_json_says() -> None:
    """Where inspect-ai is installed, the archive of the same run has the same messages."""
    pytest.importorskip("inspect_ai")

    def told(name: str) -> list[Any]:
        messages = read_transcript(SAMPLES / name)
        return [(one.sender, one.recipient, one.kind, one.content, one.usage) for one in messages]

    assert told("inspect-eval.eval") == told("inspect.json")
