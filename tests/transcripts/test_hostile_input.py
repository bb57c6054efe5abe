"""Transcripts that were made to hurt: what they may cost, and that the lines around them are still read.

Memory is measured in a process of its own, as the growth of its largest resident size over what the imports took.
"""

from __future__ import annotations

import gzip
import inspect
import io
import json
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import pytest

from agentbreaker.message import Message
from agentbreaker.transcripts import MAX_LINE_BYTES, ReadReport, message_to_json, read_transcript

pytest.importorskip("resource", reason="the measurements need POSIX")

MIB = 1024 * 1024
GOOD = b'{"conversation_id":"c","sender":"a","content":"ok"}\n'
#: Figure S1 and S2 of the fault table: growth of the resident size, in MiB.
MOST_MEMORY = 32

PROGRAM = """
import json, resource, sys, time
from agentbreaker.transcripts import ReadReport, read_transcript
# Read once something harmless, so that what is measured is the input and not the first use of a module.
import gzip, io
list(read_transcript(io.BytesIO(gzip.compress(b'{"conversation_id":"c","sender":"a"}\\n{'))))
def resident():
    # VmHWM is the peak of this program alone; ru_maxrss also remembers the process that started it.
    try:
        return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // (1024 if sys.platform == "darwin" else 1)
before, start, report = resident(), time.process_time(), ReadReport()
messages = sum(1 for _ in read_transcript(sys.argv[1], report=report))
print(json.dumps({"messages": messages, "skipped": report.skipped, "seconds": time.process_time() - start,
                  "mib": (resident() - before) / 1024, "errors": [str(e) for e in report.errors]}))
"""


def measure(path: str, stdin: Iterable[bytes] = ()) -> dict:
    """Read `path` in a new process, fed with `stdin`, and return what it cost and brought."""
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for block in stdin:
            process.stdin.write(block)
        process.stdin.close()
        found: dict = json.loads(process.stdout.read())
        assert process.wait() == 0
        return found


def surrounded(line: bytes) -> tuple[list[Message], ReadReport, float]:
    """Read one line between two good ones; return messages, report and seconds of processor time."""
    report, start = ReadReport(), time.process_time()
    messages = list(read_transcript(io.BytesIO(GOOD + line + b"\n" + GOOD), report=report))
    seconds = time.process_time() - start
    assert messages[0] == messages[-1] == Message("c", "a", content="ok")
    assert report.lines == 3
    return messages, report, seconds


def holding(value: bytes) -> bytes:
    """Return a good line with an unknown field that holds `value`."""
    return b'{"conversation_id":"c","sender":"a","content":"here","x":' + value + b"}"


# -- size -------------------------------------------------------------------------------------------------------------


def test_a_line_of_a_gigabyte_is_discarded_as_it_streams_by() -> None:
    """Memory depends on the limit of a line and not on the line; the one after it is read."""
    zeros = b"0" * MIB
    found = measure("-", [GOOD, *(zeros for _ in range(1024)), b"\n", GOOD])
    assert found["errors"] == ["-:2: longer than 8 MiB"]
    assert (found["messages"], found["skipped"]) == (2, 1)
    assert found["mib"] < MOST_MEMORY


@pytest.mark.parametrize("body", [b"\0", b"[[[["], ids=["zeros", "brackets"])
def test_a_gzip_bomb_costs_no_more_memory_than_any_file(tmp_path: Path, body: bytes) -> None:
    """One megabyte that unpacks to one gigabyte is a line too long, found in bounded memory."""
    path = tmp_path / "bomb.jsonl"
    part = gzip.compress(body * (64 * MIB // len(body)))
    path.write_bytes(gzip.compress(GOOD) + part * 16 + gzip.compress(b"\n" + GOOD))
    assert path.stat().st_size < 2 * MIB
    found = measure(str(path))
    assert found["errors"] == [f"{path}:2: longer than 8 MiB"]
    assert (found["messages"], found["skipped"]) == (2, 1)
    assert found["mib"] < MOST_MEMORY


def test_a_bomb_within_a_bomb_is_only_unpacked_once() -> None:
    """What is inside a gzip file is text; a gzip file in it is a line that is none."""
    inner = gzip.compress(gzip.compress(b"0" * 8 * MIB))
    report = ReadReport()
    assert list(read_transcript(io.BytesIO(gzip.compress(GOOD + inner)), report=report)) != []
    assert report.skipped >= 1


def test_a_long_file_of_short_lines_is_read_in_constant_memory() -> None:
    """Many messages cost no more than the ones that the caller keeps."""
    block = GOOD * 10_000
    found = measure("-", [block] * 20)
    assert (found["messages"], found["skipped"]) == (200_000, 0)
    assert found["mib"] < 4


@pytest.mark.parametrize(
    "value",
    [
        b"[" + b"[]," * (MAX_LINE_BYTES // 3 - 100) + b"[]]",
        b"[" + b"{}," * 1_000_000 + b"{}]",
        b"{" + b",".join(b'"%x":0' % n for n in range(700_000)) + b"}",
    ],
    ids=["arrays", "objects", "keys"],
)
def test_a_line_of_a_million_values_is_refused_before_it_is_unpacked(tmp_path: Path, value: bytes) -> None:
    """Three bytes of JSON can become a hundred bytes of objects, so values are counted before they are made."""
    path = tmp_path / "values.jsonl"
    path.write_bytes(GOOD + holding(value) + b"\n" + GOOD)
    found = measure(str(path))
    assert found["errors"] == [f"{path}:2: more than 200,000 values in one line"]
    assert found["messages"] == 2
    assert found["mib"] < MOST_MEMORY
    assert found["seconds"] < 2


def test_a_long_text_full_of_commas_is_not_taken_for_a_million_values() -> None:
    """A table in the text of a message is text."""
    text = '1,2,[3],"4"\n' * 300_000
    messages, report, _ = surrounded(message_to_json(Message("c", "a", content=text)).encode())
    assert report.ok
    assert messages[1].content == text


# -- depth ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("depth", [300, 100_000])
@pytest.mark.parametrize(
    ("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}"), (b'[{"a":', b"}]")], ids=["arrays", "objects", "mixed"]
)
@pytest.mark.parametrize("closed", [True, False])
def test_a_deep_line_is_refused_and_not_followed(depth: int, opening: bytes, closing: bytes, closed: bool) -> None:
    """Nesting ends at a fixed depth, long before the stack does, also within half an emoji's slow path."""
    for text in (b"1", rb'"\ud83d"'):
        line = holding(opening * depth + text + closing * depth if closed else opening * depth)
        messages, report, seconds = surrounded(line)
        assert len(messages) == 2
        assert report.errors[0].reason.startswith(("nested too deeply", "more than 200,000 values"))
        assert seconds < 2


@pytest.mark.parametrize(
    "line",
    [
        holding(b"[" * 150 + rb'"\ud83d"' + b"]" * 150),
        b'{"conversation_id":"c","sender":"a","tool":{"name":"t","result":' + b"[" * 150 + b"]" * 150 + b"}}",
    ],
    ids=["half-an-emoji", "tool-result"],
)
def test_the_reader_survives_a_caller_that_is_itself_deep_in_recursion(line: bytes) -> None:
    """Where little of the stack is left, a line is lost at worst, not the run."""

    def dive(left: int) -> list[Message]:
        return dive(left - 1) if left > 0 else surrounded(line)[0]

    assert len(dive(sys.getrecursionlimit() - len(inspect.stack(0)) - 100)) in {2, 3}


# -- text -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "".join(map(chr, range(0x20))) + "\x7f" + "".join(map(chr, range(0x80, 0xA0))),
        "\x1b]0;owned\x07\x1b[2J\x1b[31mred",
        "\u202eevil\u202c \u2066x\u2069 \u200f\u061c",
        "a\u2028b\u2029c\x85d\x0be\x0cf\x1cg",
        "zero\u200bwidth\ufeff",
        "\ud800",
        "cut \ud83d",
        "\udc00\ud800",
        "\\ud83d\ude00",
        "\\ud800 \\\\\ud800 \\\\\\ud800",
        "\ud83d\ud83d\udc4d",
        "z̸̢̛͔͓͉̺̑̈́̕a̵̧̛͔͇̱̅̔l̶̢̡̛̗̠̲̽̈́͝g̷̨̛̝̘̝̈́̾͘o̵̢̧̫̠͐̈́̔",
    ],
)
def test_no_text_breaks_a_line_or_is_lost(text: str) -> None:
    """Control characters, text direction, every line end and halves of emoji: one physical line, read back equal."""
    text = text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass") if "\udc4d" in text else text
    message = Message("c" + text, "a" + text, content=text, extra={"k" + text: [text]})
    for line in (message_to_json(message), json.dumps({**vars_of(message)})):
        assert len(line.splitlines()) == 1
        assert "\x1b" not in line
        messages, report, _ = surrounded(line.encode())
        assert report.ok
        assert messages[1] == message


def vars_of(message: Message) -> dict:
    """Return a message as any other program would write it."""
    return {
        "conversation_id": message.conversation_id,
        "sender": message.sender,
        "content": message.content,
        **(message.extra or {}),
    }


@pytest.mark.parametrize(
    "line",
    [
        b"\0" * 1000,
        b"\0" * 1000 + GOOD.rstrip(),
        holding(b'"\0"'),
        holding(b'"\x1b[31m"'),
        b"\x1f\x8b" * 100,
        b"\xff\xfe{\0}\0",
        holding(b'"\xed\xa0\x80"'),
        holding(b'"\xc0\x80"'),
        holding(b'"\xf4\x90\x80\x80"'),
        holding(rb'"\ud8"'),
        holding(rb'"\ud800\u"'),
        holding(rb'"\ud800" "'),
        holding(b"9" * MAX_LINE_BYTES)[: MAX_LINE_BYTES - 1],
        holding(b"1e-" + b"9" * 10_000 + b"-"),
    ],
)
def test_bytes_that_are_no_json_cost_one_line(line: bytes) -> None:
    """Unescaped control characters, a file system's zeros, wrong UTF-8, endless numbers: one line each, quickly."""
    messages, report, seconds = surrounded(line)
    assert (len(messages), report.skipped) == (2, 1)
    assert report.errors[0].line == 2
    assert str(report.errors[0]).isprintable()
    assert seconds < 2


@pytest.mark.parametrize(
    "line",
    [
        holding(b'"' + rb"\ud800" * 1_300_000 + b'"'),
        holding(b'"' + b"\\\\" * 4_000_000 + rb'\ud800"'),
        holding(b'"' + rb"\"" * 4_000_000 + b'"'),
        holding(b'"' + b"\\" * 4_000_001),
        b'"' + rb"\"," * 2_700_000,
        b'""' * 4_000_000,
        holding(b"[" + b'"",' * 199_000 + b'""]'),
    ],
    ids=["halves", "backslashes", "quotes", "open-backslashes", "open-quotes", "empty-texts", "many-texts"],
)
def test_no_line_takes_more_than_two_seconds(line: bytes) -> None:
    """The scans for halves of emoji and for too many values are linear on the inputs that are worst for them."""
    assert len(line) < MAX_LINE_BYTES
    assert surrounded(line)[2] < 2


def test_faults_show_nothing_of_what_the_line_held() -> None:
    """No content, no unknown name and no control character of a hostile line reaches the one who reads the report."""
    canary = "\x1b[31mcanary"
    for fields in (
        {"conversation_id": [canary]},
        {"sender": canary * 1000},
        {"kind": canary},
        {"role": canary},
        {"timestamp": canary},
        {"tool": {canary: canary}},
        {"usage": {"input_tokens": canary, canary: 1}},
        {"cost_usd": {canary: canary}},
    ):
        _, report, _ = surrounded(json.dumps({"conversation_id": "c", "sender": "a", canary: canary} | fields).encode())
        (error,) = report.errors
        assert "canary" not in str(error)
        assert str(error).isprintable()
