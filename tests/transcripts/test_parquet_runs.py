"""Rows of a Parquet file, a few at a time: in order, each once, and never more than fit into memory."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentbreaker.errors import TranscriptError
from agentbreaker.transcripts import ReadReport, read_transcript
from agentbreaker.transcripts.parquet_runs import _TOGETHER, TooHeavyError, _runs, _windows

duckdb = pytest.importorskip("duckdb")

MIB = 1024 * 1024


def save(path: Path, query: str, rows: int = 10_000) -> Path:
    """Write what a query gives as Parquet."""
    duckdb.sql(f"COPY ({query}) TO '{path}' (FORMAT PARQUET, ROW_GROUP_SIZE {rows})")
    return path


def test_rows_that_are_too_large_are_named_and_the_others_read(tmp_path: Path) -> None:
    """A text of nine megabytes, and a list of a million values, cost a row each, wherever they are."""
    path = save(
        tmp_path / "log.parquet",
        """SELECT 'c' AS conversation_id, 'ann' AS sender, i::VARCHAR || CASE WHEN i IN (0, 700, 4999)
        THEN repeat('x', 9000000) ELSE '' END AS content,
        CASE WHEN i IN (1, 701) THEN list_resize([true], 1000000, true) ELSE [false] END AS flags
        FROM range(5000) AS t(i)""",
    )
    report = ReadReport()
    found = [message.content for message in read_transcript(path, report=report)]
    assert found == [str(number) for number in range(5000) if number not in (0, 1, 700, 701, 4999)]
    assert [str(error) for error in report.errors] == [
        f"{path}:1: longer than 8 MiB",
        f"{path}:2: more than 200,000 values in one row",
        f"{path}:701: longer than 8 MiB",
        f"{path}:702: more than 200,000 values in one row",
        f"{path}:5000: longer than 8 MiB",
    ]


def test_long_messages_are_read_in_order(tmp_path: Path) -> None:
    """Where two thousand of them do not fit, they come in shorter runs."""
    path = save(
        tmp_path / "log.parquet",
        "SELECT 'c' AS conversation_id, 'ann' AS sender, i::VARCHAR || repeat(' word', 4000) AS content "
        "FROM range(3000) AS t(i)",
    )
    assert [message.content.split()[0] for message in read_transcript(path)] == [str(n) for n in range(3000)]


def test_a_name_that_duckdb_keeps_is_said(tmp_path: Path) -> None:
    """The file is refused with the name of its column."""
    path = save(tmp_path / "log.parquet", "SELECT 'ann' AS sender, 'x' AS content, 1 AS file_row_number")
    with pytest.raises(TranscriptError, match="a column is called file_row_number"):
        list(read_transcript(path, format="parquet"))


def test_a_text_that_is_the_value_of_too_many_rows_is_refused() -> None:
    """It may stand in the file once; duckdb would make a copy for each row."""
    with pytest.raises(TooHeavyError, match="2,048 rows unpack to 2,048 MiB"):
        list(_runs(np.ones(2048), np.full(2048, MIB), [0]))


@given(st.lists(st.integers(0, 300_000), min_size=1, max_size=12))
def test_windows_hold_every_row_once(groups: list[int]) -> None:
    """One begins where the last ended, and their parts begin where duckdb begins one."""
    at, begun = 0, list[int]()
    for start, end, units in _windows(iter(groups)):
        assert start == at < end
        assert units[0] == 0
        begun += [start + unit for unit in units]
        at = end
    assert at == sum(groups)
    firsts = [0, *itertools.accumulate(groups)]
    assert begun == [first + n for first, group in zip(firsts, groups, strict=False) for n in range(0, group, 2048)]


@given(st.lists(st.tuples(st.integers(1, 300_000), st.integers(0, 10 * MIB)), min_size=1, max_size=50))
def test_runs_hold_every_row_once_and_fit(rows: list[tuple[int, int]]) -> None:
    """What is too large is left out of them, and what is left is at most one row more than fits."""
    values, texts = np.array(rows).T
    at = 0
    for first, last, without in _runs(values, texts, list(range(len(rows)))):
        assert first == at < last
        at = last
        kept = [row for row in range(first, last) if row not in without]
        assert all(values[row] <= 200_000 and texts[row] <= 8 * MIB for row in kept)
        assert not any(values[row] <= 200_000 and texts[row] <= 8 * MIB for row in without)
        assert sum(int(texts[row]) for row in kept) <= _TOGETHER + 8 * MIB
    assert at == len(rows)


PROGRAM = """
import json, sys
from agentbreaker.transcripts import ReadReport, read_transcript
def resident():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
list(read_transcript(sys.argv[1]))
before, report = resident(), ReadReport()
list(read_transcript(sys.argv[2], report=report))
print(json.dumps([report.messages, report.skipped, (resident() - before) / 1024]))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the measurement needs /proc")
def test_a_list_that_unpacks_to_gigabytes_costs_its_row(tmp_path: Path) -> None:
    """Of some kilobytes in the file, fifteen million objects would be made."""
    small = save(tmp_path / "small.parquet", "SELECT 'ann' AS sender, 'x' AS content, [true] AS flags")
    bomb = save(
        tmp_path / "bomb.parquet",
        "SELECT 'ann' AS sender, 'x' AS content, "
        "list_resize([true], CASE WHEN i = 5 THEN 15000000 ELSE 1 END, true) AS flags FROM range(10) AS t(i)",
    )
    assert bomb.stat().st_size < 500_000
    done = subprocess.run([sys.executable, "-c", PROGRAM, small, bomb], capture_output=True, text=True, check=True)
    messages, skipped, mib = json.loads(done.stdout)
    assert (messages, skipped) == (9, 1)
    assert mib < 64, f"{mib:.0f} MiB"
