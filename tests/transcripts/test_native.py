"""The transcript format as its users meet it: files, pipes, faults, and what comes back after writing."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentbreaker.errors import TranscriptError
from agentbreaker.message import Message, Tool, Usage
from agentbreaker.transcripts import (
    MAX_LINE_BYTES,
    ReadReport,
    expand_paths,
    message_to_json,
    read_transcript,
    write_transcript,
)

FIELDS = set(Message.__slots__) - {"extra"}
HELLO = {"conversation_id": "c1", "sender": "planner", "content": "hello"}


def read(*lines: object, strict: bool = False, report: ReadReport | None = None) -> list[Message]:
    """Read lines given as bytes, or as objects that become JSON."""
    data = b"\n".join(line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines)
    return list(read_transcript(io.BytesIO(data), strict=strict, report=report))


def fault(**fields: object) -> TranscriptError:
    """Return the fault of one line: a good message with `fields` put in (``...`` takes a field out)."""
    line = {name: value for name, value in (HELLO | fields).items() if value is not ...}
    with pytest.raises(TranscriptError) as caught:
        read(line, strict=True)
    assert caught.value.line == 1
    return caught.value


# -- what is read -----------------------------------------------------------------------------------------------------


def test_a_line_with_every_field_becomes_a_message_with_every_field() -> None:
    """Each field of the format arrives in its attribute."""
    line = {
        "conversation_id": "c1",
        "sender": "coder",
        "recipient": "search",
        "kind": "tool_result",
        "content": "found",
        "role": "tool",
        "message_id": "m2",
        "parent_id": "m1",
        "run_id": "r1",
        "timestamp": "2026-05-01T09:30:00.5+02:00",
        "tool": {"name": "search", "call_id": "t1", "arguments": {"q": [1]}, "result": "two hits", "is_error": True},
        "model": "some-model",
        "usage": {
            "input_tokens": 10,
            "output_tokens": 5,
            "cache_read_input_tokens": 4,
            "cache_creation_input_tokens": 3,
            "reasoning_output_tokens": 2,
        },
        "cost_usd": 1,
        "inferred": True,
        "usage_elsewhere": True,
    }
    assert read(line) == [
        Message(
            "c1",
            "coder",
            "search",
            "tool_result",
            "found",
            "tool",
            "m2",
            "m1",
            "r1",
            datetime(2026, 5, 1, 9, 30, 0, 500_000, tzinfo=timezone(timedelta(hours=2))),
            Tool("search", "t1", {"q": [1]}, "two hits", True),
            "some-model",
            Usage(10, 5, 4, 3, 2),
            1.0,
            inferred=True,
            usage_elsewhere=True,
        )
    ]


def test_a_line_with_the_two_required_fields_takes_the_defaults() -> None:
    """Nothing but the conversation and the sender is needed, and null means the same as absent."""
    bare = {"conversation_id": "c1", "sender": "a"}
    null = dict.fromkeys(FIELDS - bare.keys())
    assert read(bare, bare | null) == [Message("c1", "a")] * 2


def test_unknown_fields_are_kept_also_those_of_tool_and_usage() -> None:
    """What the format does not know stays with the message, in place, and is written again."""
    line = HELLO | {
        "extra": 1,
        "trace": {"span": [1, None]},
        "tool": {"name": "t", "server": "mcp"},
        "usage": {"input_tokens": 1, "audio_tokens": 7},
    }
    (message,) = read(line)
    assert message.extra == {
        "extra": 1,
        "trace": {"span": [1, None]},
        "tool": {"server": "mcp"},
        "usage": {"audio_tokens": 7},
    }
    assert json.loads(message_to_json(message)) == line


@pytest.mark.parametrize(
    ("result", "text"),
    [("plain", "plain"), ({"a": [1, 2.5, None]}, '{"a":[1,2.5,null]}'), ([], "[]"), (0, "0"), ("", ""), (None, None)],
)
def test_a_tool_result_that_is_not_text_is_kept_as_compact_json(result: Any, text: str | None) -> None:
    """The engine compares results as text, so a structured one becomes text in one way only."""
    (message,) = read(HELLO | {"tool": {"name": "t", "result": result}})
    assert message.tool is not None
    assert message.tool.result == text


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-05-01T09:30:00Z", datetime(2026, 5, 1, 9, 30, tzinfo=UTC)),
        ("2026-05-01t09:30:00z", datetime(2026, 5, 1, 9, 30, tzinfo=UTC)),
        ("2026-05-01 09:30:00.123456789Z", datetime(2026, 5, 1, 9, 30, 0, 123_456, tzinfo=UTC)),
        ("2026-05-01T09:30:00", datetime(2026, 5, 1, 9, 30, tzinfo=UTC)),
        ("2026-05-01T09:30:00-05:30", datetime(2026, 5, 1, 15, 0, tzinfo=UTC)),
    ],
)
def test_timestamps_are_rfc_3339_and_utc_when_they_name_no_zone(text: str, moment: datetime) -> None:
    """A time always has a zone once it is read."""
    (message,) = read(HELLO | {"timestamp": text})
    assert message.timestamp == moment
    assert message.timestamp is not None
    assert message.timestamp.tzinfo is not None


def test_byte_order_mark_windows_line_ends_blank_lines_and_a_missing_last_line_end_do_no_harm() -> None:
    """Files that went through an editor are read like any other; line numbers count the blank lines too."""
    line = json.dumps(HELLO).encode()
    report = ReadReport()
    data = b"\xef\xbb\xbf" + line + b"\r\n\r\n  \n" + line + b"\n\n{}\n" + line
    assert len(list(read_transcript(io.BytesIO(data), report=report))) == 3
    assert (report.lines, report.messages, report.blank, report.skipped) == (7, 3, 3, 1)
    assert [error.line for error in report.errors] == [6]


def test_gzip_is_told_by_its_first_bytes_not_by_its_name(tmp_path: Path) -> None:
    """A compressed file may be called anything, also when several were joined; a plain one may be called gz."""
    packed, plain = tmp_path / "packed.jsonl", tmp_path / "plain.jsonl.gz"
    line = json.dumps(HELLO).encode() + b"\n"
    packed.write_bytes(gzip.compress(line) + gzip.compress(line))
    plain.write_bytes(line)
    assert len(list(read_transcript(packed))) == 2
    assert len(list(read_transcript(str(plain)))) == 1


def test_a_dash_is_standard_input_which_is_read_as_it_arrives() -> None:
    """``tail -f log | agentbreaker`` sees a message when it was written, not when the pipe is closed."""
    program = "from agentbreaker.transcripts import *\nfor m in read_transcript('-'): print(m.content, flush=True)"
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for word in ("one", "two"):
            process.stdin.write(json.dumps(HELLO | {"content": word}).encode() + b"\n")
            process.stdin.flush()
            assert process.stdout.readline().strip() == word.encode()
        process.stdin.close()
        assert process.wait(timeout=10) == 0


def test_an_open_stream_is_read_from_where_it_stands_and_stays_open(tmp_path: Path) -> None:
    """Whoever opened a stream closes it."""
    path = tmp_path / "t.jsonl"
    path.write_bytes(b"header\n" + json.dumps(HELLO).encode())
    with path.open("rb") as file:
        file.readline()
        assert len(list(read_transcript(file, strict=True))) == 1
        assert not file.closed


def test_a_text_stream_is_a_mistake_of_the_caller() -> None:
    """Text has lost what the reader needs: the bytes."""
    with pytest.raises(TypeError, match="binary mode"):
        list(read_transcript(io.StringIO("{}")))  # type: ignore[arg-type]


def test_reading_holds_no_more_than_it_has_to(tmp_path: Path) -> None:
    """Messages come one at a time: the first one is there although the rest of the file is broken."""
    path = tmp_path / "t.jsonl"
    path.write_bytes(json.dumps(HELLO).encode() + b"\n" + b"broken\n")
    messages = read_transcript(path, strict=True)
    assert next(messages).content == "hello"
    with pytest.raises(TranscriptError, match="2: not JSON"):
        next(messages)


# -- lines that cannot be read ----------------------------------------------------------------------------------------


def test_bad_lines_are_counted_named_and_skipped() -> None:
    """One broken line costs one line, and the report says which."""
    report = ReadReport()
    messages = read(HELLO, b"{nonsense", [1], b"", HELLO, {"sender": "x"}, report=report)
    assert len(messages) == 2
    assert (report.lines, report.messages, report.skipped, report.blank) == (6, 2, 3, 1)
    assert not report.ok
    assert [str(error) for error in report.errors] == [
        "<stream>:2: not JSON (column 2: key must be a string)",
        "<stream>:3: not an object but an array",
        "<stream>:6: conversation_id: missing",
    ]


def test_a_report_adds_up_over_files_and_keeps_the_first_twenty_faults(tmp_path: Path) -> None:
    """A corpus of rubbish does not become a list of rubbish."""
    report = ReadReport()
    for name in ("a.jsonl", "b.jsonl"):
        (tmp_path / name).write_text("x\n" * 15)
        assert list(read_transcript(tmp_path / name, report=report)) == []
    assert (report.skipped, len(report.errors)) == (30, 20)
    assert [(Path(e.path).name, e.line) for e in (report.errors[0], report.errors[-1])] == [
        ("a.jsonl", 1),
        ("b.jsonl", 5),
    ]


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("conversation_id", ..., "missing"),
        ("conversation_id", "", "empty"),
        ("conversation_id", 7, "expected a string, found a number"),
        ("conversation_id", None, "expected a string, found null"),
        ("conversation_id", "x" * 1025, "longer than 1,024 characters"),
        ("sender", ..., "missing"),
        ("sender", ["a"], "expected a string, found an array"),
        ("sender", "s" * 1025, "longer than 1,024 characters"),
        ("recipient", False, "expected a string, found true or false"),
        ("recipient", "r" * 1025, "longer than 1,024 characters"),
        ("content", {"text": "secret"}, "expected a string, found an object"),
        ("kind", "chat", "found another string"),
        ("kind", 1, "found a number"),
        ("role", "assistent", "expected 'user', 'assistant', 'tool' or 'system', found another string"),
        ("timestamp", "yesterday", "not an RFC 3339 date and time"),
        ("timestamp", "2026-13-01T00:00:00Z", "not an RFC 3339 date and time"),
        ("timestamp", "2026-05-01", "not an RFC 3339 date and time"),
        ("timestamp", 1777627800, "expected a string, found a number"),
        ("tool", "search", "expected an object, found a string"),
        ("cost_usd", "0.1", "expected a number, found a string"),
        ("cost_usd", True, "expected a number, found true or false"),
        ("cost_usd", float("nan"), "not a finite number"),
        ("cost_usd", float("inf"), "not a finite number"),
        ("cost_usd", -0.5, "negative"),
        ("inferred", 1, "expected true or false, found a number"),
    ],
)
def test_a_field_that_does_not_fit_is_named_with_what_was_expected(field: str, value: object, reason: str) -> None:
    """The reason says field, expectation and found type; never what was found there."""
    error = fault(**{field: value})
    assert error.field == field
    assert reason in error.reason
    assert "secret" not in str(error)
    assert "assistent" not in str(error)


@pytest.mark.parametrize(
    ("fields", "name", "reason"),
    [
        ({"tool": {}}, "tool.name", "missing"),
        ({"tool": {"name": 1}}, "tool.name", "expected a string, found a number"),
        ({"tool": {"name": "t", "is_error": "no"}}, "tool.is_error", "expected true or false, found a string"),
        ({"usage": {"input_tokens": -1}}, "usage.input_tokens", "negative"),
        ({"usage": {"input_tokens": "1"}}, "usage.input_tokens", "expected a whole number, found a string"),
        ({"usage": {"output_tokens": 1.5}}, "usage.output_tokens", "expected a whole number, found a number"),
        ({"usage": {"output_tokens": 2**63}}, "usage.output_tokens", "out of range"),
    ],
)
def test_fields_of_tool_and_usage_are_named_with_a_dot(fields: dict[str, Any], name: str, reason: str) -> None:
    """A fault inside an object names the path to it."""
    error = fault(**fields)
    assert (error.field, error.reason) == (name, reason)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"hello", "not JSON (column 1: expected value)"),
        (b'{"a":1} trailing', "not JSON (column 9: trailing characters)"),
        (b'{"conversation_id":"c","sender":"a","content":"cut of', "not JSON (column 54: the line ends too early)"),
        (b'{"conversation_id":"c",', "not JSON (column 24: the line ends too early)"),
        (b'"text"', "not an object but a string"),
        (b"null", "not an object but null"),
        (b'{"sender":"a","content":"caf\xe9"}', "not UTF-8 (column 29)"),
        (b'{"conversation_id":"c","sender":"a","x":' + b"9" * 5000 + b"}", "number out of range"),
    ],
)
@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
def test_a_line_that_is_no_json_object_is_named_with_its_column(line: bytes, reason: str, end: bytes) -> None:
    """The column leads to the place in an editor."""
    with pytest.raises(TranscriptError) as caught:
        read(line + end, strict=True)
    assert reason in caught.value.reason
    assert (caught.value.line, caught.value.field) == (1, None)


def test_the_fault_drags_no_content_along() -> None:
    """A traceback of a strict read shows no line of the conversation: the cause is cut off."""
    error = fault(content={"secret": "hunter2"})
    assert error.__cause__ is None
    assert error.__context__ is None


# -- files that cannot be read ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"\n\n", "only blank lines"),
        (gzip.compress(b"", mtime=0), "empty"),
        (b"\x1f\x8b", "truncated gzip: nothing in it could be read"),
        (b"\x1f\x8bgarbage that is no gzip", "corrupt gzip: nothing in it could be read"),
        ("{}".encode("utf-16"), "UTF-16 text, not UTF-8"),
        (b"PK\x03\x04....", "a zip archive, not JSON Lines; unpack it first"),
    ],
)
@pytest.mark.parametrize("strict", [False, True])
def test_a_file_without_a_single_line_is_an_error_even_when_lenient(data: bytes, reason: str, strict: bool) -> None:
    """Reading nothing must not look like reading a quiet night."""
    with pytest.raises(TranscriptError) as caught:
        list(read_transcript(io.BytesIO(data), strict=strict))
    assert (caught.value.reason, caught.value.line, caught.value.path) == (reason, None, "<stream>")


def test_names_that_are_no_readable_file_are_errors_that_say_so(tmp_path: Path) -> None:
    """The error names the file as the user wrote it, and what is wrong with it."""
    (tmp_path / "file").write_text("x")
    cases: list[tuple[str | Path, str]] = [
        (tmp_path / "nowhere.jsonl", "no such file"),
        (tmp_path / "file" / "below.jsonl", "no such file"),
        (tmp_path, "a directory, not a file"),
        ("a\0b", "cannot be read: not a file name"),
        ("x" * 5000, "cannot be read: File name too long"),
    ]
    for name, reason in cases:
        with pytest.raises(TranscriptError) as caught:
            list(read_transcript(name))
        assert (caught.value.reason, caught.value.path) == (reason, str(name))


@pytest.mark.skipif(not hasattr(os, "seteuid"), reason="needs POSIX permissions")
def test_a_file_that_may_not_be_read_is_an_error_that_says_so(tmp_path: Path) -> None:
    """Permission denied is not the same as absent."""
    path = tmp_path / "secret.jsonl"
    path.write_text(json.dumps(HELLO))
    path.chmod(0)
    me = os.geteuid()
    try:
        if me == 0:
            os.seteuid(65534)
        with pytest.raises(TranscriptError, match="permission denied"):
            list(read_transcript(path))
    finally:
        os.seteuid(me)


@pytest.fixture(scope="module")
def packed() -> bytes:
    """Return a gzip file of 3,000 messages that does not compress to next to nothing."""
    lines = (json.dumps(HELLO | {"content": os.urandom(40).hex(), "n": i}) for i in range(3000))
    return gzip.compress("\n".join(lines).encode() + b"\n")


def test_a_cut_gzip_yields_all_whole_lines_and_names_the_last_one(packed: bytes) -> None:
    """A recording that was still being written is worth reading to where it ends."""
    report = ReadReport()
    messages = list(read_transcript(io.BytesIO(packed[: len(packed) // 2]), report=report))
    assert 1000 < len(messages) < 2000
    assert [message.extra for message in messages] == [{"n": i} for i in range(len(messages))]
    assert (report.truncated, report.skipped, report.ok) == (1, 0, False)
    assert [(e.reason, e.line) for e in report.errors] == [
        ("truncated gzip: nothing after this line could be read", len(messages))
    ]


def test_a_cut_gzip_is_an_error_when_strict(packed: bytes) -> None:
    """Strict means that a part of a file is not a file; what was yielded before stays yielded."""
    seen: list[Message] = []
    with pytest.raises(TranscriptError, match="truncated gzip"):
        seen.extend(read_transcript(io.BytesIO(packed[:-4]), strict=True))
    assert len(seen) == 3000


@pytest.mark.parametrize("where", [0.5, 0.9, -6, None])
def test_a_corrupt_gzip_keeps_what_came_before_the_damage(packed: bytes, where: float | None) -> None:
    """A flipped bit, a wrong checksum or rubbish after the end: counted, named, and the rest is kept."""
    data = bytearray(packed)
    if where is None:
        data += b"rubbish after the end"
    else:
        place = int(where if where < 0 else where * len(data))
        data[place : place + 4] = bytes(byte ^ 0xFF for byte in data[place : place + 4])
    report = ReadReport()
    messages = list(read_transcript(io.BytesIO(bytes(data)), report=report))
    assert len(messages) > 1000
    assert report.truncated == 1
    assert "gzip: nothing after this line could be read" in report.errors[-1].reason


# -- writing ----------------------------------------------------------------------------------------------------------


def test_a_message_is_written_without_its_defaults_and_in_its_own_script() -> None:
    """A transcript stays readable by eye: no nulls, no escapes for Chinese or emoji."""
    assert message_to_json(Message("c", "甲", content="好的 👍")) == (
        '{"conversation_id":"c","sender":"甲","content":"好的 👍"}'
    )


def test_what_would_break_a_line_or_act_on_a_terminal_is_escaped() -> None:
    """A transcript can be shown with ``cat`` and split by any tool."""
    text = "\x00\x1b[31m\x7f\x85\x9b\u2028\u2029\u202e\u2066\ud83d\r\n"
    line = message_to_json(Message("c", "a", content=text))
    assert line.isascii()
    assert line.isprintable()
    assert read(line.encode())[0].content == text


def test_a_half_written_extra_field_never_overrides_the_format() -> None:
    """Unknown fields are the ones that the format does not know."""
    message = Message("c", "a", extra={"sender": "b", "kind": "handoff", "tool": {"name": "x"}, "usage": 3, "mine": 1})
    assert json.loads(message_to_json(message)) == {"conversation_id": "c", "sender": "a", "mine": 1}


def test_what_json_does_not_know_is_written_as_text_and_a_cost_without_value_is_left_out() -> None:
    """Recording must not fail because a tool was called with a date."""
    moment = datetime(2026, 5, 1, 9, 30)
    message = Message("c", "a", timestamp=moment, tool=Tool("t", arguments={"on": moment}), cost_usd=float("nan"))
    assert json.loads(message_to_json(message)) == {
        "conversation_id": "c",
        "sender": "a",
        "timestamp": "2026-05-01T09:30:00+00:00",
        "tool": {"name": "t", "arguments": {"on": "2026-05-01 09:30:00"}},
    }


@pytest.mark.parametrize("name", ["out.jsonl", "out.jsonl.gz"])
def test_a_transcript_written_to_a_file_is_read_back(tmp_path: Path, name: str) -> None:
    """The name decides on compression when writing, and the same messages make the same bytes."""
    messages = [Message("c", "a", content=str(n)) for n in range(100)]
    assert write_transcript(messages, tmp_path / name) == 100
    first = (tmp_path / name).read_bytes()
    assert first.startswith(b"\x1f\x8b\x08\x00\0\0\0\0") == name.endswith(".gz")  # no name and no time in it
    assert write_transcript(iter(messages), str(tmp_path / name)) == 100
    assert (tmp_path / name).read_bytes() == first
    assert list(read_transcript(tmp_path / name, strict=True)) == messages


def test_a_dash_is_standard_output(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """A transcript can be written into a pipe."""
    assert write_transcript([Message("c", "a")], "-") == 1
    sys.stdout.flush()
    assert capfdbinary.readouterr().out == b'{"conversation_id":"c","sender":"a"}\n'


def _join(text: str) -> str:
    """Join two halves of an emoji that stand side by side: JSON cannot tell them from the emoji."""
    out = ""
    for character in text:
        if out and "\ud800" <= out[-1] <= "\udbff" and "\udc00" <= character <= "\udfff":
            out = out[:-1] + (out[-1] + character).encode("utf-16-le", "surrogatepass").decode("utf-16-le")
        else:
            out += character
    return out


any_text = st.text(st.characters(codec=None, exclude_categories=()), max_size=30).map(_join)
names = any_text.filter(bool)
maybe = any_text | st.none()
counts = st.integers(0, 2**63 - 1)
any_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | any_text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(any_text, inner, max_size=3),
    max_leaves=6,
)
zones = st.timezones() | st.just(UTC) | st.integers(-1439, 1439).map(lambda m: timezone(timedelta(minutes=m)))
# An hour that the clock skips or repeats is never equal to the same instant in another zone (PEP 495).
moments = st.datetimes(timezones=zones).filter(lambda at: at.utcoffset() == at.replace(fold=1 - at.fold).utcoffset())
messages_of_any_kind = st.builds(
    Message,
    names,
    names,
    maybe,
    st.sampled_from(["message", "tool_call", "tool_result", "handoff", "system"]),
    any_text,
    st.sampled_from(["user", "assistant", "tool", "system", None]),
    maybe,
    maybe,
    maybe,
    moments | st.none(),
    st.builds(Tool, any_text, maybe, any_json, maybe, st.booleans()) | st.none(),
    maybe,
    st.builds(Usage, counts, counts, counts, counts, counts) | st.none(),
    st.floats(0, allow_infinity=False, allow_nan=False) | st.none(),
    st.dictionaries(any_text.filter(lambda name: name not in FIELDS), any_json, min_size=1, max_size=3) | st.none(),
)


@given(st.lists(messages_of_any_kind, min_size=1, max_size=4))
def test_every_message_survives_writing_and_reading(messages: list[Message]) -> None:
    """Whatever a message holds (any script, control characters, halves of emoji, any JSON), it comes back equal."""
    file = io.BytesIO()
    assert write_transcript(messages, file) == len(messages)
    assert file.getvalue().count(b"\n") == len(messages)
    file.seek(0)
    assert list(read_transcript(file, strict=True)) == messages


@given(st.binary(max_size=200), st.booleans())
def test_no_bytes_at_all_make_the_reader_fail_otherwise_than_by_its_own_error(data: bytes, packed: bool) -> None:
    """Rubbish is counted or refused; it is never an accident."""
    report = ReadReport()
    with contextlib.suppress(TranscriptError):
        list(read_transcript(io.BytesIO(gzip.compress(data) if packed else data), report=report))
    assert report.lines == report.messages + report.skipped + report.blank


@given(messages_of_any_kind, st.data())
def test_a_good_line_with_some_bytes_changed_is_a_message_or_a_named_fault(
    message: Message, data: st.DataObject
) -> None:
    """A damaged line never takes the reader down, and never the line after it."""
    line = bytearray(message_to_json(message).encode())
    for _ in range(data.draw(st.integers(1, 3))):
        line[data.draw(st.integers(0, len(line) - 1))] = data.draw(st.integers(0, 255))
    report = ReadReport()
    last = json.dumps(HELLO).encode()
    found = list(read_transcript(io.BytesIO(b"{}\n" + bytes(line) + b"\n" + last), report=report))
    assert found[-1].content == "hello"


def test_a_damaged_line_does_not_make_it_another_format() -> None:
    """Regression: a line whose `sender` was damaged looked like chat, and the good line after it was lost."""
    damaged = b'{"conversation_id":"c","sende\x7f":"a","content":"x","role":"assistant"}'
    report = ReadReport()
    found = list(read_transcript(io.BytesIO(b"{}\n" + damaged + b"\n" + json.dumps(HELLO).encode()), report=report))
    assert [message.content for message in found] == ["hello"]
    assert (report.formats, report.skipped) == ({"agentbreaker": 1}, 2)


# -- paths ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a directory of transcripts the current one."""
    for name in ("b.jsonl", "a.jsonl.gz", "notes.md", "deep/er/c.jsonl", "odd[1].jsonl"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("patterns", "files"),
    [
        (["b.jsonl"], ["b.jsonl"]),
        (["."], ["./a.jsonl.gz", "./b.jsonl", "./deep/er/c.jsonl", "./odd[1].jsonl"]),
        (["deep/er"], ["deep/er/c.jsonl"]),
        (["*.jsonl"], ["b.jsonl", "odd[1].jsonl"]),
        (["**/*.jsonl"], ["b.jsonl", "deep/er/c.jsonl", "odd[1].jsonl"]),
        (["odd[1].jsonl"], ["odd[1].jsonl"]),
        (["-"], ["-"]),
        (["b.jsonl", "-", "./b.jsonl", "*.jsonl", "-"], ["b.jsonl", "-", "odd[1].jsonl"]),
        (["*"], ["a.jsonl.gz", "b.jsonl", "notes.md", "odd[1].jsonl"]),
        ([], []),
    ],
)
def test_arguments_stand_for_files_each_of_them_once(tree: Path, patterns: list[str], files: list[str]) -> None:
    """Names, patterns and directories become files, in the order given and spelled as given."""
    assert [name.replace(os.sep, "/") for name in expand_paths(patterns)] == files


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("nowhere.jsonl", "no such file"),
        ("nothing*.jsonl", "matches no file"),
        ("em*", "matches no file"),
        (
            "empty",
            "no recording in this directory (*.csv, *.json, *.jsonl, *.log, *.ndjson, *.tsv, *.db, *.eval, *.parquet, "
            "*.sqlite, *.sqlite3; text also *.gz)",
        ),
    ],
)
def test_an_argument_that_stands_for_nothing_is_an_error(tree: Path, pattern: str, reason: str) -> None:
    """A mistyped pattern must not look like a corpus without runaways."""
    with pytest.raises(TranscriptError) as caught:
        expand_paths(["b.jsonl", pattern])
    assert (caught.value.reason, caught.value.path) == (reason, pattern)


def test_a_link_to_a_file_that_is_already_there_is_not_read_twice(tree: Path) -> None:
    """The same file by two names would count its conversations twice."""
    (tree / "link.jsonl").symlink_to(tree / "b.jsonl")
    assert expand_paths(["b.jsonl", "link.jsonl"]) == ["b.jsonl"]


def test_the_longest_line_allowed_is_read_and_one_byte_more_is_not() -> None:
    """The limit is exact, whatever ends the line."""
    frame = len(json.dumps(HELLO | {"content": ""}))
    fits = json.dumps(HELLO | {"content": "x" * (MAX_LINE_BYTES - frame)}).encode()
    assert len(fits) == MAX_LINE_BYTES
    report = ReadReport()
    assert len(read(fits, fits + b" ", fits, report=report)) == 2
    assert [(error.line, error.reason) for error in report.errors] == [(2, "longer than 8 MiB")]
