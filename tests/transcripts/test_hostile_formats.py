"""Recordings of other formats that were made to hurt: bounded memory, a clear message, the rest still read.

Memory is measured in a process of its own, as the growth of its largest resident size over what a first, harmless
reading took.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from agentbreaker.errors import TranscriptError
from agentbreaker.transcripts import FORMATS, MAX_DOCUMENT_BYTES, MAX_LINE_BYTES, ReadReport, read_transcript

pytest.importorskip("resource", reason="the measurements need POSIX")

MIB = 1024 * 1024
#: Growth of the resident size, in MiB.
MOST_MEMORY = 64
SAMPLES = Path(__file__).parent / "samples"
#: Formats that are no JSON, or look for one member of it.
UNLIKE = ("csv", "parquet", "langgraph-sqlite", "ag2-classic", "autogen-events", "inspect")

PROGRAM = """
import json, resource, sys, time
from agentbreaker.transcripts import ReadReport, read_transcript
path, name, warm = sys.argv[1:]
list(read_transcript(warm, format=name))
def resident():
    try:
        return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // (1024 if sys.platform == "darwin" else 1)
before, start, report, fault = resident(), time.process_time(), ReadReport(), None
try:
    for _ in read_transcript(path, format=name, report=report):
        pass
except Exception as error:
    fault = f"{type(error).__name__}: {error}"
print(json.dumps({"messages": report.messages, "skipped": report.skipped, "seconds": time.process_time() - start,
                  "mib": (resident() - before) / 1024, "errors": [str(e) for e in report.errors], "fault": fault}))
"""


def measure(name: str, warm: str, stdin: Iterable[bytes], path: str = "-") -> dict:
    """Read standard input as a format, in a new process, and return what it cost and brought."""
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, path, name, str(SAMPLES / warm)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        # The reader may have seen enough before the end.
        with contextlib.suppress(BrokenPipeError):
            for block in stdin:
                process.stdin.write(block)
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        found: dict = json.loads(process.stdout.read())
        assert process.wait() == 0
        return found


GOOD = b'{"messages":[{"role":"user","content":"hi"}]}'


def test_a_line_of_a_gigabyte_is_discarded_as_it_streams_by() -> None:
    """The line is named, and the one after it is read."""
    found = measure("chat", "chat.jsonl", [GOOD, b"\n", *(b"0" * MIB for _ in range(1024)), b"\n", GOOD])
    assert found["errors"] == ["-:2: longer than 8 MiB"]
    assert found["messages"] == 2
    assert found["mib"] < MOST_MEMORY


def test_an_element_of_half_a_gigabyte_is_discarded_as_it_streams_by() -> None:
    """In an array too, also where it is one string."""
    parts = [b"[", GOOD, b',\n{"x":"', *(b"0" * MIB for _ in range(512)), b'"},\n', GOOD, b"]"]
    found = measure("chat", "chat.jsonl", parts)
    assert found["errors"] == ["-:2: longer than 8 MiB"]
    assert found["messages"] == 2
    assert found["mib"] < MOST_MEMORY


def test_a_long_array_is_read_in_constant_memory() -> None:
    """An array is a stream of its elements."""
    found = measure("chat", "chat.jsonl", [b"[", *((GOOD + b",") * 20_000 for _ in range(5)), GOOD, b"]"])
    assert (found["messages"], found["errors"], found["fault"]) == (100_001, [], None)
    assert found["mib"] < 16


def test_a_document_that_is_too_long_is_refused() -> None:
    """A document is held as a whole, so its length has a limit."""
    found = measure("autogen", "autogen.json", [b'{\n"messages":[', *(b"0," * (MIB // 2) for _ in range(256))])
    assert found["errors"] == [
        f"-:1: a JSON document longer than {MAX_DOCUMENT_BYTES // MIB} MiB; JSON Lines has no limit"
    ]
    assert found["mib"] < MOST_MEMORY


def test_a_bomb_is_read_as_any_other_file(tmp_path: Path) -> None:
    """A megabyte that unpacks to a gigabyte costs what a line too long costs."""
    path = tmp_path / "bomb.json.gz"
    path.write_bytes(gzip.compress(b'{"resourceSpans":"') + gzip.compress(b"[" * 64 * MIB) * 16)
    found = measure("otlp", "otlp.json", [], str(path))
    assert "longer than" in found["errors"][0]
    assert found["mib"] < MOST_MEMORY


def test_a_quote_that_is_never_closed_costs_a_row() -> None:
    """A table whose rest is one field is not collected in memory."""
    parts = [b'sender,content\na,b\na,"', *(b"x" * 1023 + b"\n" for _ in range(200 * 1024)), b'"\na,b\n']
    found = measure("csv", "csv.csv", parts)
    assert "is a quote never closed?" in found["errors"][0]
    assert found["mib"] < MOST_MEMORY


def test_spans_are_held_within_bounds() -> None:
    """Traces that never end do not fill the memory."""
    text = "x" * 100_000

    def spans() -> Iterable[bytes]:
        for number in range(3000):
            ids = {"trace_id": f"t{number}", "id": f"s{number}", "start_time": "2026-11-01T09:30:00Z"}
            yield json.dumps(ids | {"name": "a", "run_type": "llm", "outputs": {"output": text}}).encode() + b"\n"

    found = measure("langsmith", "langsmith.jsonl", spans())
    assert (found["messages"], found["skipped"]) == (3000, 0)
    assert found["mib"] < MOST_MEMORY


@pytest.mark.parametrize("name", [one.name for one in FORMATS])
@pytest.mark.parametrize("opening", [b"[", b'{"messages":[', b'{"a":'])
def test_depth_is_refused_and_not_followed(name: str, opening: bytes) -> None:
    """A hundred thousand levels end in a message, whatever the format and wherever they begin."""
    (sample,) = [path for path in SAMPLES.glob(f"{name}.*") if path.is_file() and ".expected." not in path.name]
    good = sample.read_bytes().rstrip()
    for data in (opening * 100_000, good + b"\n" + opening * 100_000 + b"\n"):
        report, fault = ReadReport(), ""
        try:
            for _ in read_transcript(io.BytesIO(data), format=name, report=report):
                pass
        except TranscriptError as error:
            fault = str(error)
        # A table takes such a line for a row of few columns, a log for one without an event, and the rest of an array
        # is not looked at; a database has other faults.
        faults = [*map(str, report.errors), *filter(None, [fault])]
        assert report.messages or faults
        assert all(map(str.isprintable, faults))
        if data[:1] == opening[:1] and name not in UNLIKE:
            assert re.search("nested too deeply|not JSON|ends too early|values", faults[0] if fault else faults[-1])


@pytest.mark.parametrize("field", ["conversation_id", "id", "name"])
def test_an_id_of_ten_megabytes_is_refused_and_not_cut(field: str) -> None:
    """Cut, it could be another one; the reason does not repeat it."""
    turn = {"role": "user", "content": "hi", "name": "ann"}
    record = {"messages": [turn], "conversation_id": "c"}
    if field == "name":
        turn["name"] = "x" * 7 * MIB
    else:
        record[field] = "x" * 7 * MIB
        if field == "id":
            del record["conversation_id"]
    report = ReadReport()
    data = json.dumps(record).encode() + b"\n" + GOOD
    assert len(list(read_transcript(io.BytesIO(data), format="chat", report=report))) == 1
    assert "longer than 1,024 characters" in str(report.errors[0])
    assert len(str(report.errors[0])) < 100


@pytest.mark.parametrize(
    "line",
    [
        b"\0" * 1000,
        b'{"messages":[{"role":"user","content":"\xff"}]}',
        b'{"messages":[{"role":"user","content":"a\0b"}]}',
        b'{"messages":' + b"1" * 5000 + b"}",
        b'{"messages":[' + b"1," * 300_000 + b"1]}",
    ],
)
def test_bytes_that_are_no_json_cost_one_line(line: bytes) -> None:
    """Zeros, wrong UTF-8, endless numbers, too many values: named, and what stands around them is read."""
    report = ReadReport()
    data = GOOD + b"\n" + line + b"\n" + GOOD
    assert len(list(read_transcript(io.BytesIO(data), report=report))) == 2
    assert report.skipped == 1
    assert report.errors[0].line == 2
    assert str(report.errors[0]).isprintable()


def test_half_an_emoji_is_kept() -> None:
    """Text that was cut in the middle of a character is read as it is."""
    data = b'{"messages":[{"role":"user","content":"cut \\ud83d"}]}'
    (message,) = read_transcript(io.BytesIO(data))
    assert message.content == "cut \ud83d"


def test_limits_are_as_the_documentation_says() -> None:
    """A line 8 MiB, a document 16 MiB."""
    assert (MAX_LINE_BYTES, MAX_DOCUMENT_BYTES) == (8 * MIB, 16 * MIB)
