"""Content of model calls in events and logs, before its span, after it, or without it."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from agentbreaker.message import Message
from agentbreaker.transcripts import ReadReport, otlp_events, read_transcript


def values(**fields: str) -> list[dict[str, Any]]:
    """Attributes."""
    return [{"key": key.replace("__", "."), "value": {"stringValue": value}} for key, value in fields.items()]


def span(number: int = 1, trace: str = "t1") -> dict[str, Any]:
    """A model call of one second, with its tokens and no content."""
    made: dict[str, Any] = {"traceId": trace, "spanId": f"s{number}", "startTimeUnixNano": str(number * 10**9)}
    tokens = {"key": "gen_ai.usage.input_tokens", "value": {"intValue": "9"}}
    attributes = [*values(gen_ai__operation__name="chat", gen_ai__request__model="gpt-4o"), tokens]
    made |= {"endTimeUnixNano": str(number * 10**9 + 10**9), "attributes": attributes}
    return {"resourceSpans": [{"scopeSpans": [{"spans": [made]}]}]}


def log(name: str, number: int = 1, trace: str = "t1", **body: Any) -> dict[str, Any]:
    """A log record of its content."""
    fields = [
        {"key": key, "value": {"stringValue": value} if isinstance(value, str) else value}
        for key, value in body.items()
    ]
    record: dict[str, Any] = {
        "eventName": name,
        "traceId": trace,
        "spanId": f"s{number}",
        "timeUnixNano": str(number * 10**9),
    }
    record["body"] = {"kvlistValue": {"values": fields}}
    return {"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]}


ASKED = log("gen_ai.user.message", content="Does it rain?")
SAID = log("gen_ai.choice", message={"kvlistValue": {"values": values(role="assistant", content="It does.")}})


def read(*records: dict[str, Any]) -> tuple[list[Message], ReadReport]:
    """The messages of export requests."""
    report = ReadReport()
    data = "".join(json.dumps(record) + "\n" for record in records).encode()
    return list(read_transcript(io.BytesIO(data), report=report)), report


@pytest.mark.parametrize(
    "records",
    [(ASKED, SAID, span()), (span(), ASKED, SAID), (ASKED, span(), SAID)],
    ids=["before", "after", "around"],
)
def test_logs_belong_to_their_span_in_any_order(records: tuple[dict[str, Any], ...]) -> None:
    """The words of the log and the tokens of the span are one message."""
    messages, report = read(*records)
    assert [(one.sender, one.content, one.role) for one in messages] == [
        ("user", "Does it rain?", "user"),
        ("agent", "It does.", "assistant"),
    ]
    assert messages[1].usage is not None
    assert report.ok
    assert report.formats == {"otlp": 2}


def test_logs_alone_are_read() -> None:
    """A file of logs has words and no tokens; its time is that of the first record."""
    messages, _ = read(ASKED, SAID)
    assert [(one.content, one.usage) for one in messages] == [("Does it rain?", None), ("It does.", None)]
    assert messages[1].timestamp is not None


def test_newer_logs_hold_all_of_a_call() -> None:
    """One record, with the messages as values."""
    turn = {"kvlistValue": {"values": values(role="user", content="Does it rain?")}}
    given = {"arrayValue": {"values": [turn]}}
    fields: dict[str, Any] = {"gen_ai.input.messages": given}
    messages, _ = read(log("gen_ai.client.inference.operation.details", **fields), span())
    assert messages[0].content == "Does it rain?"


def test_other_signals_are_no_fault() -> None:
    """The Collector writes metrics and other logs into the same file."""
    _, report = read(span(), {"resourceMetrics": [{"scopeMetrics": []}]}, log("device.app.lifecycle", content="x"))
    assert (report.ok, report.blank) == (True, 2)
    _, report = read(span(), {"resourceSpans": 7})
    assert [str(error) for error in report.errors] == ["<stream>:2: resourceSpans: expected an array"]


def test_logs_are_held_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of too much that has no span the oldest is told; what comes too late for its span is a named fault."""
    monkeypatch.setattr(otlp_events, "MAX_HELD_BYTES", 2000)
    many = [log("gen_ai.choice", number, f"t{number}", content="x" * 300) for number in range(1, 12)]
    messages, report = read(*many)
    assert len(messages) == 11
    assert report.ok
    late = [span(), *(log("gen_ai.user.message", content="y" * 300) for _ in range(9))]
    _, report = read(*late)
    assert "no room to hold what is logged after its span" in report.errors[0].reason
