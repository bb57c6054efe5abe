"""Databases of others: keys that are longer than any name never get into memory, and cost their row."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from agentbreaker.transcripts import ReadReport, read_transcript

pytest.importorskip("langgraph.checkpoint.sqlite")

SAMPLE = Path(__file__).parent / "samples" / "langgraph-sqlite.sqlite"
MIB = 1024 * 1024


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A copy of a sample of LangGraph."""
    return Path(shutil.copy(SAMPLE, tmp_path / "checkpoints.sqlite"))


def add(path: Path, table: str, column: str, size: int) -> int:
    """Add a row like the last one whose value of a column is long; return its number."""
    with closing(sqlite3.connect(path)) as connection:
        names = [name for _, name, *_ in connection.execute(f"PRAGMA table_info({table})")]
        other = {"thread_id": f"'{table}'"} | {column: f"zeroblob({size})"}
        values = [other.get(name, name) for name in names]
        added = connection.execute(
            f"INSERT INTO {table} ({', '.join(names)}) "  # noqa: S608
            f"SELECT {', '.join(values)} FROM {table} ORDER BY rowid DESC LIMIT 1"
        ).lastrowid
        connection.commit()
    assert added is not None
    return added


def without_the_row(path: Path) -> list[str]:
    """What is said in the sample."""
    return [message.content for message in read_transcript(SAMPLE)]


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("checkpoints", "thread_id"),
        ("checkpoints", "checkpoint_ns"),
        ("writes", "task_id"),
        ("writes", "checkpoint_id"),
    ],
)
@pytest.mark.parametrize("size", [300_000, 20 * MIB])
def test_a_long_key_costs_its_row(path: Path, table: str, column: str, size: int) -> None:
    """It is named with its table and row, and everything else is read."""
    number, report = add(path, table, column, size), ReadReport()
    found = [message.content for message in read_transcript(path, report=report)]
    assert found == without_the_row(path)
    reason = f"{table}.{column}: longer than 1,024 characters" if size < MIB else f"{table}: longer than 8 MiB"
    assert [str(error) for error in report.errors] == [f"{path}:{number}: {reason}"]


def test_a_long_value_that_is_no_key_needs_no_copy(path: Path) -> None:
    """Such a row is an error of its own."""
    add(path, "writes", "value", 20 * MIB)
    assert [message.content for message in read_transcript(path)] == without_the_row(path)


PROGRAM = """
import json, sys
from agentbreaker.transcripts import read_transcript
def resident():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
list(read_transcript(sys.argv[1]))
before = resident()
print(json.dumps([len(list(read_transcript(sys.argv[2]))), (resident() - before) / 1024]))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the measurement needs /proc")
def test_a_key_of_two_hundred_megabytes_is_not_taken_into_memory(path: Path) -> None:
    """Searching beside it would."""
    add(path, "writes", "task_id", 200 * MIB)
    done = subprocess.run([sys.executable, "-c", PROGRAM, SAMPLE, path], capture_output=True, text=True, check=True)
    messages, mib = json.loads(done.stdout)
    assert messages == len(without_the_row(path))
    assert mib < 32, f"{mib:.0f} MiB"
