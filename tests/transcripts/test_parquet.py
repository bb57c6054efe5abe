"""Parquet through duckdb: any types, one file and never a pattern, in batches, and a clear word where it cannot be."""

from __future__ import annotations

import gzip
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from agentbreaker.errors import TranscriptError
from agentbreaker.transcripts import ReadReport, read_transcript

duckdb = pytest.importorskip("duckdb")

SAMPLES = Path(__file__).parent / "samples"


def save(path: Path, query: str) -> Path:
    """Write what a query gives as Parquet, in groups of 10,000 rows."""
    plain = path.parent / "plain.parquet"
    duckdb.sql(f"COPY ({query}) TO '{plain}' (FORMAT PARQUET, ROW_GROUP_SIZE 10000)")
    return plain.rename(path)


def test_columns_of_any_type_are_read(tmp_path: Path) -> None:
    """Numbers, times, lists and missing values are what a CSV would have of them."""
    path = save(
        tmp_path / "log.parquet",
        """SELECT 7 AS thread, uuid() AS sender, TIMESTAMP '2026-11-01 09:30:00' AS ts, [1, 2] AS content,
        12.0::DOUBLE AS input_tokens, NULL::BIGINT AS output_tokens, 0.25::DECIMAL(9, 4) AS cost_usd,
        'nan'::DOUBLE AS model""",
    )
    report = ReadReport()
    (message,) = read_transcript(path, report=report, columns={"conversation_id": "thread"})
    assert report.formats == {"parquet": 1}
    assert (message.conversation_id, message.content, message.model, message.cost_usd) == ("7", "[1,2]", None, 0.25)
    assert message.usage is not None
    assert message.usage.total == 12
    assert message.timestamp is not None
    assert message.timestamp.isoformat() == "2026-11-01T09:30:00+00:00"


@pytest.mark.parametrize("name", ["*.parquet", "a[b].parquet", "?.parquet", "it's.parquet", "s3:x.parquet"])
def test_a_name_is_no_pattern(tmp_path: Path, name: str) -> None:
    """Duckdb takes names for patterns; only the one file is read."""
    save(tmp_path / "b.parquet", "SELECT 'other' AS sender, 'x' AS content")
    path = save(tmp_path / name, "SELECT 'mine' AS sender, 'x' AS content")
    assert [message.sender for message in read_transcript(path)] == ["mine"]


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    """The field and how to name its column."""
    path = save(tmp_path / "log.parquet", "SELECT 'ann' AS from_agent, 'x' AS content")
    with pytest.raises(TranscriptError, match="--map sender=COLUMN names it"):
        list(read_transcript(path))
    assert [one.sender for one in read_transcript(path, columns={"sender": "from_agent"})] == ["ann"]


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says what to install."""
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(TranscriptError, match=r"pip install 'agentbreaker\[bulk\]'"):
        list(read_transcript(SAMPLES / "parquet.parquet"))


@pytest.mark.parametrize("data", [b"PAR1", b"PAR1" + b"\0" * 1000 + b"PAR1", b"PAR1" + b"\xff" * 100])
def test_a_file_that_is_damaged_is_named(data: bytes) -> None:
    """In words of ours; duckdb's may quote the file."""
    with pytest.raises(TranscriptError, match="the Parquet file is damaged"):
        list(read_transcript(io.BytesIO(data)))


def test_a_file_that_is_cut_is_named() -> None:
    """The directory of a Parquet file is at its end."""
    data = (SAMPLES / "langsmith-parquet.parquet").read_bytes()
    with pytest.raises(TranscriptError, match="the Parquet file is damaged"):
        list(read_transcript(io.BytesIO(data[:-100])))


def test_an_export_is_told_by_its_columns() -> None:
    """Langfuse and LangSmith are not taken for tables, packed or not."""
    for name, fmt in (("langfuse-parquet.parquet", "langfuse"), ("langsmith-parquet.parquet", "langsmith")):
        report = ReadReport()
        list(read_transcript(io.BytesIO(gzip.compress((SAMPLES / name).read_bytes())), report=report))
        assert list(report.formats) == [fmt]


PROGRAM = """
import json, resource, sys
from agentbreaker.transcripts import read_transcript
def resident():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
list(read_transcript(sys.argv[1]))
before = resident()
print(json.dumps([sum(1 for _ in read_transcript(sys.argv[2])), (resident() - before) / 1024]))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the measurement needs /proc")
def test_rows_are_read_in_batches(tmp_path: Path) -> None:
    """A fifth of a gigabyte of text costs what its groups of rows cost, one after the other."""
    rows = "SELECT 'c' || (i // 100) AS conversation_id, 'a' || (i % 2) AS sender, repeat(i::VARCHAR, {}) AS content"
    small = save(tmp_path / "small.parquet", rows.format(10) + " FROM range(20000) AS t(i)")
    large = save(tmp_path / "large.parquet", rows.format(200) + " FROM range(200000) AS t(i)")
    done = subprocess.run([sys.executable, "-c", PROGRAM, small, large], capture_output=True, text=True, check=True)
    number, mib = json.loads(done.stdout)
    assert number == 200_000
    assert mib < 100, f"{mib:.0f} MiB"
