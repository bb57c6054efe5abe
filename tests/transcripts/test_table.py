"""Tables are told by their columns, those that the user names included."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from agentbreaker.errors import TranscriptError
from agentbreaker.transcripts import ReadReport, is_recording, read_transcript
from agentbreaker.transcripts.files import recordings
from agentbreaker.transcripts.paths import FoundFile

MAPPED = "from_agent,text\nann,Hello\nbob,Hi\n"


def test_the_column_that_is_mapped_tells_a_table(tmp_path: Path) -> None:
    """``--map sender=from_agent`` is enough, also in a folder, where other files are passed over."""
    path = tmp_path / "log.csv"
    path.write_text(MAPPED)
    columns = {"sender": "from_agent", "content": "text"}
    report = ReadReport()
    messages = list(read_transcript(path, columns=columns, report=report))
    assert [(one.sender, one.content) for one in messages] == [("ann", "Hello"), ("bob", "Hi")]
    assert report.formats == {"csv": 2}
    assert is_recording(str(path), columns)
    assert not is_recording(str(path))
    assert list(recordings([FoundFile(path), "x"], ReadReport(), [], None, columns)) == [str(path), "x"]


def test_names_of_columns_may_be_in_any_language(tmp_path: Path) -> None:
    """The header is text like the rest."""
    path = tmp_path / "log.csv"
    path.write_text("发送者;内容\nann;你好\n", "utf-8")
    (message,) = read_transcript(path, columns={"sender": "发送者", "content": "内容"})
    assert (message.sender, message.content) == ("ann", "你好")


def test_a_table_without_a_sender_says_so(tmp_path: Path) -> None:
    """Two lines of as many columns are a table: its column is missing, not its JSON."""
    path = tmp_path / "log.csv"
    path.write_text(MAPPED)
    with pytest.raises(TranscriptError, match="--map sender=COLUMN names it"):
        list(read_transcript(path))


@pytest.mark.parametrize("text", ["one, two\n", "one, two\nthree\n", "\xff,a\n\xff,b\n", "hello\nworld\n"])
def test_other_text_is_no_table(tmp_path: Path, text: str) -> None:
    """A line with a comma does not make one."""
    path = tmp_path / "log.txt"
    path.write_bytes(text.encode("latin-1"))
    report = ReadReport()
    list(read_transcript(path, report=report))
    assert "csv" not in report.formats


def test_a_line_of_a_million_fields_costs_a_line() -> None:
    """Packed it is a megabyte; unpacked it would be a list of a million."""
    report = ReadReport()
    data = b"sender,content\nann,a\n" + b"," * 1_000_000 + b"\nann,b\n"
    assert [one.content for one in read_transcript(io.BytesIO(data), format="csv", report=report)] == ["a", "b"]
    assert [str(error) for error in report.errors] == ["<stream>:3: more than 200,000 values in one line"]


@pytest.mark.parametrize("text", ["," * 300_000, "a\n" + "," * 300_000, 'a ""\n' + ",\n" * 300_000])
def test_a_text_of_many_commas_is_a_text(text: str) -> None:
    """What stands between quotes is one field, also where it goes on in the next line."""
    report = ReadReport()
    data = f'sender,content\nann,"{text}"\nann,b\n'.encode()
    found = [one.content for one in read_transcript(io.BytesIO(data), format="csv", report=report)]
    assert (found, report.errors) == ([text.replace('""', '"'), "b"], [])
