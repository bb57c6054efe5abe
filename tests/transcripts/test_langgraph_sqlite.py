"""Checkpoints of others: nothing is written, nothing that they name is run, what is damaged is named."""

from __future__ import annotations

import gzip
import os
import pickle
import shutil
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from agentbreaker.errors import TranscriptError
from agentbreaker.message import Message
from agentbreaker.transcripts import ReadReport, read_transcript
from agentbreaker.transcripts.sqlite_file import MAX_CELL_BYTES

pytest.importorskip("langgraph.checkpoint.sqlite")
ormsgpack = pytest.importorskip("ormsgpack")

SAMPLE = Path(__file__).parent / "samples" / "langgraph-sqlite.sqlite"
#: Set by what a file must not be able to call.
CALLED: list[str] = []


def call(*given: Any, **named: Any) -> None:
    """What a file would call if it could."""
    CALLED.append("called")


class Payload:
    """An object whose unpickling calls something."""

    def __reduce__(self) -> Any:
        return call, ()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A copy of the sample."""
    return Path(shutil.copy(SAMPLE, tmp_path / "checkpoints.sqlite"))


def change(path: Path, *statements: Any) -> None:
    """Run statements on a database."""
    with closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.execute(*(statement if isinstance(statement, tuple) else (statement,)))
        connection.commit()


def read(path: Path, report: ReadReport | None = None) -> list[Message]:
    """All messages of a file."""
    return list(read_transcript(path, report=report))


def of_ticket_7(messages: list[Message]) -> list[str]:
    """Texts of the first thread."""
    return [message.content for message in messages if message.conversation_id == "ticket-7"]


def test_reading_leaves_no_trace(path: Path) -> None:
    """The file keeps its bytes and its time, and nothing appears beside it, also in a folder that is read-only."""
    before = (path.read_bytes(), path.stat().st_mtime_ns)
    path.parent.chmod(0o555)
    try:
        assert len(read(path)) == 19
    finally:
        path.parent.chmod(0o755)
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before
    assert os.listdir(path.parent) == [path.name]


def test_what_is_still_in_the_log_beside_the_file_is_read(path: Path) -> None:
    """A run that has not ended has its latest steps in the log; neither file is changed."""
    with closing(sqlite3.connect(path)) as running:
        running.execute("PRAGMA journal_mode = WAL")
        running.execute("PRAGMA wal_autocheckpoint = 0")
        running.execute("UPDATE checkpoints SET thread_id = 'late' WHERE thread_id = 'ticket-7'")
        running.execute("UPDATE writes SET thread_id = 'late' WHERE thread_id = 'ticket-7'")
        running.commit()
        log = path.with_name(path.name + "-wal")
        before = (path.read_bytes(), log.read_bytes())
        assert {message.conversation_id for message in read(path)} == {"late", "ticket-8", "ticket-9"}
        assert (path.read_bytes(), log.read_bytes()) == before


def test_a_file_from_before_the_path_of_a_task_was_kept(path: Path) -> None:
    """The nodes are unknown then, so that only the names in the messages tell who speaks; nothing is migrated."""
    change(path, "ALTER TABLE writes DROP COLUMN task_path")
    before = path.read_bytes()
    senders = [message.sender for message in read(path) if message.conversation_id == "ticket-7"]
    assert senders[:3] == ["user", "planner", "describe"]
    assert path.read_bytes() == before


def test_a_pickle_is_refused_and_not_opened(path: Path) -> None:
    """A value that would run code costs its step; the rest is read."""
    CALLED.clear()
    change(path, ("UPDATE writes SET type = 'pickle', value = ? WHERE channel = 'report'", (pickle.dumps(Payload()),)))
    report = ReadReport()
    assert of_ticket_7(read(path, report))[-1] == "Agreed."
    assert CALLED == []
    assert {error.reason for error in report.errors} == {"pickled, which runs code"}


@pytest.mark.parametrize("code", range(8))
def test_no_object_is_constructed(path: Path, code: int) -> None:
    """Whatever a value says is to be imported and called, only its arguments are taken."""
    CALLED.clear()
    arguments = {0: "harmless", 1: ["harmless"], 2: {"text": "harmless"}, 3: "harmless"}.get(code, {"text": "harmless"})
    named = ormsgpack.packb([__name__, "call", arguments, "__call__"])
    sys.modules.setdefault(__name__, sys.modules[call.__module__])
    value = ormsgpack.packb(ormsgpack.Ext(code, named))
    change(path, ("UPDATE writes SET type = 'msgpack', value = ? WHERE channel = 'report'", (value,)))
    said = of_ticket_7(read(path))[-1]
    assert CALLED == []
    assert "harmless" in said


def test_json_with_constructors_stays_data(path: Path) -> None:
    """The older form of values names classes too."""
    CALLED.clear()
    value = f'{{"lc": 2, "type": "constructor", "id": ["{__name__}", "call"], "kwargs": {{"content": "harmless"}}}}'
    change(path, ("UPDATE writes SET type = 'json', value = ? WHERE channel = 'report'", (value.encode(),)))
    read(path)
    assert CALLED == []


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"\xc1", "cannot be unpacked"),
        (b"\xdd\x00\x03\x0d\x41" + b"\xc0" * 200_001, "more than 200,000 values"),
        (b"\x91" * 5000 + b"\xc0", "cannot be unpacked"),
        (b"\xdd\xff\xff\xff\xff", "cannot be unpacked"),
        (b"\xc9\xff\xff\xff\xff\x05", "cannot be unpacked"),
        (b"", "cannot be unpacked"),
    ],
)
def test_values_that_were_made_to_hurt_cost_their_step(path: Path, value: bytes, reason: str) -> None:
    """Not MessagePack, too many values, too deep, lengths that lie."""
    change(path, ("UPDATE writes SET value = ? WHERE channel = 'report'", (value,)))
    report = ReadReport()
    assert of_ticket_7(read(path, report))[-1] == "Agreed."
    assert report.skipped == 1
    assert reason in str(report.errors[0])


def test_extensions_within_extensions_are_refused(path: Path) -> None:
    """A thousand objects in each other are no depth that a state has."""
    value = ormsgpack.packb("end")
    for _ in range(3000):
        value = ormsgpack.packb(ormsgpack.Ext(7, value))
    change(path, ("UPDATE writes SET value = ? WHERE channel = 'report'", (value,)))
    report = ReadReport()
    read(path, report)
    assert report.skipped == 1


def test_a_value_that_is_too_long_costs_its_step(path: Path) -> None:
    """What is longer than a line may be is not even taken out of the file."""
    change(path, ("UPDATE writes SET value = zeroblob(?) WHERE channel = 'report'", (MAX_CELL_BYTES + 1,)))
    report = ReadReport()
    assert of_ticket_7(read(path, report))[-1] == "Agreed."
    assert report.skipped == 1


@pytest.mark.parametrize("name", ["../../etc/passwd", "a'; DROP TABLE writes; --", "x\0y", "%n%s", "\x1b[31m"])
def test_ids_are_only_ids(path: Path, name: str) -> None:
    """A thread may be called anything: it is no path, no statement and no format."""
    change(
        path,
        ("UPDATE checkpoints SET thread_id = ? WHERE thread_id = 'ticket-7'", (name,)),
        ("UPDATE writes SET thread_id = ? WHERE thread_id = 'ticket-7'", (name,)),
    )
    found = read(path)
    assert len(found) == 19
    assert sum(message.conversation_id == name for message in found) == 8


def test_an_id_that_is_too_long_is_named(path: Path) -> None:
    """It is refused, not cut."""
    change(path, ("UPDATE checkpoints SET thread_id = ? WHERE thread_id = 'ticket-7'", ("x" * 10**6,)))
    report = ReadReport()
    assert len(read(path, report)) == 11
    assert "thread_id: longer than 1,024 characters" in str(report.errors[0])


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("CREATE VIEW writes AS SELECT * FROM kept", "the database has no table writes"),
        ("CREATE VIRTUAL TABLE writes USING rtree(a, b, c)", "the database has no table writes"),
        ("SELECT 1", "the database has no table writes"),
        ("CREATE TABLE writes (thread_id)", "the table writes has no column checkpoint_ns"),
    ],
)
def test_what_is_no_table_of_langgraph_is_refused(path: Path, statement: str, reason: str) -> None:
    """A view would compute what its author likes."""
    change(path, "ALTER TABLE writes RENAME TO kept", statement)
    with pytest.raises(TranscriptError, match=reason):
        list(read_transcript(path, format="langgraph-sqlite"))


@pytest.mark.parametrize("part", [0.03, 0.3, 0.6, 0.9])
def test_a_file_that_is_cut_is_named(path: Path, part: float) -> None:
    """What can be read is read, or the file is said to be damaged; there is no traceback."""
    path.write_bytes(path.read_bytes()[: int(part * path.stat().st_size)])
    with pytest.raises(TranscriptError, match="damaged"):
        list(read_transcript(path, format="langgraph-sqlite"))


def test_another_database_is_none_of_ours(tmp_path: Path) -> None:
    """A file of an unknown schema is not taken for lines of text."""
    change(tmp_path / "other.db", "CREATE TABLE t (x)")
    with pytest.raises(TranscriptError, match="an SQLite database of no format that is known"):
        read(tmp_path / "other.db")


def test_packed_it_is_read_from_a_copy_that_is_gone_afterwards(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The copy is made where temporary files are."""
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(place))
    packed = tmp_path / "checkpoints.sqlite.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    messages = read_transcript(packed)
    next(messages)
    assert len(list(place.iterdir())) == 1
    assert len(list(messages)) == 18
    assert list(place.iterdir()) == []


def test_a_copy_has_a_limit(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bomb does not fill the disk."""
    monkeypatch.setattr("agentbreaker.transcripts.source.MAX_COPIED_BYTES", 50_000)
    packed = tmp_path / "checkpoints.sqlite.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    with pytest.raises(TranscriptError, match="unpack it to a file first"):
        read(packed)


def test_without_the_library_the_extra_is_named(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says what to install."""
    monkeypatch.setitem(sys.modules, "langgraph.checkpoint.sqlite", None)
    with pytest.raises(TranscriptError, match=r"pip install 'agentbreaker\[checkpoints\]'"):
        read(path)


def test_the_environment_cannot_loosen_it(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """LangGraph's own unpacking, which constructs what a file names, is never asked."""
    from langgraph.checkpoint.serde import jsonplus

    def refuse(*_: Any) -> Callable[..., Any]:
        raise AssertionError("LangGraph's own unpacking was asked")

    monkeypatch.setattr(jsonplus.JsonPlusSerializer, "loads_typed", refuse)
    assert len(read(path)) == 19
