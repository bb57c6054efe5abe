"""SQLite files of others, opened so that nothing of them is changed, believed or run.

A file is opened as immutable: no journal is written beside it and nothing in it is migrated.  One whose latest changes
are still in a write-ahead log beside it is copied with the log, and the copy is read.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, Final

from agentbreaker.errors import TranscriptError
from agentbreaker.transcripts.records import MAX_LINE_BYTES
from agentbreaker.transcripts.schema import MAX_NAME
from agentbreaker.transcripts.source import SQLITE, Source

__all__ = ["MAX_CELL_BYTES", "open_database"]

#: Longest text or blob that is taken out of a database.
MAX_CELL_BYTES: Final = MAX_LINE_BYTES
#: Longest value in a key with which a database is read as it is.
_LONG_KEY_BYTES: Final = 256 * 1024


@contextmanager
def open_database(
    source: Source, tables: Mapping[str, tuple[str, ...]], keys: Mapping[str, tuple[str, ...]] | None = None
) -> Iterator[sqlite3.Connection]:
    """Open the database that a source is, for reading.

    Args:
        source: The recording.
        tables: Names of the tables that are read, with their columns.
        keys: Columns of the primary key of tables in which somebody else will search.  SQLite takes a key whole into
            memory to compare it, however long: a database with one that is longer than a name may be is read from a
            copy without that row.

    Raises:
        TranscriptError: It is no database, is damaged, or lacks a table or column.
    """
    if not source.head.startswith(SQLITE):
        raise TranscriptError("not an SQLite database", path=source.path)
    with ExitStack() as stack:
        try:
            connection = stack.enter_context(closing(_connect(_readable(source, stack))))
            _look_at(connection, source, tables)
            if keys and any(_has_long_key(connection, table, columns) for table, columns in keys.items()):
                connection = stack.enter_context(closing(_copy(connection, source, tables, keys, stack)))
            yield connection
        except sqlite3.Error as error:
            # The library's words may quote the file.
            what = "damaged" if isinstance(error, sqlite3.DatabaseError) else "not readable"
            raise TranscriptError(f"the database is {what} ({type(error).__name__})", path=source.path) from None


def _readable(source: Source, stack: ExitStack) -> tuple[str, bool]:
    """The file to open, and whether nobody else writes it."""
    path = source.local()
    log = f"{path}-wal"
    if not os.path.isfile(log) or os.path.getsize(log) == 0:
        return path, True
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="agentbreaker-"))
    copy = os.path.join(folder, "recording")
    try:
        shutil.copyfile(path, copy)
        shutil.copyfile(log, f"{copy}-wal")
    except OSError as error:
        raise TranscriptError(f"cannot be copied with its log: {error.strerror}", path=source.path) from None
    return copy, False


def _connect(readable: tuple[str, bool]) -> sqlite3.Connection:
    path, immutable = readable
    uri = Path(path).absolute().as_uri() + ("?mode=ro&immutable=1" if immutable else "")
    connection = sqlite3.connect(uri, uri=True, check_same_thread=False)
    try:
        # What is longer is an error of its row.
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_CELL_BYTES)
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("PRAGMA cell_size_check = ON")
        connection.text_factory = _text
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _look_at(connection: sqlite3.Connection, source: Source, tables: Mapping[str, tuple[str, ...]]) -> None:
    """See that the tables are there, and are tables: a view would compute what it likes."""
    for table, columns in tables.items():
        row = connection.execute(
            "SELECT type FROM sqlite_schema WHERE name = ? AND sql NOT LIKE 'CREATE VIRTUAL%'", (table,)
        ).fetchone()
        if row is None or row[0] != "table":
            raise TranscriptError(f"the database has no table {table}", path=source.path)
        found = {name: hidden for _, name, *_, hidden in connection.execute(f"PRAGMA table_xinfo({table})")}
        for column in columns:
            if found.get(column, 1) != 0:
                raise TranscriptError(f"the table {table} has no column {column}", path=source.path)


def _has_long_key(connection: sqlite3.Connection, table: str, columns: tuple[str, ...]) -> bool:
    """Whether an entry of the index over the primary key is long; none is taken into memory to see it."""
    indexes = connection.execute(f"PRAGMA index_list({table})")
    index = next((name for _, name, _, origin, *_ in indexes if origin == "pk"), None)
    if index is None:
        return False  # nothing is searched in it
    before = connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LONG_KEY_BYTES)
    quoted = index.replace('"', '""')
    try:
        for _ in connection.execute(f'SELECT {", ".join(columns)} FROM {table} INDEXED BY "{quoted}"'):  # noqa: S608
            pass
    except sqlite3.DataError:  # longer than the limit
        return True
    finally:
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, before)
    return False


def _copy(
    connection: sqlite3.Connection,
    source: Source,
    tables: Mapping[str, tuple[str, ...]],
    keys: Mapping[str, tuple[str, ...]],
    stack: ExitStack,
) -> sqlite3.Connection:
    """Copy the rows whose keys are names, and name the others."""
    path = os.path.join(stack.enter_context(tempfile.TemporaryDirectory(prefix="agentbreaker-")), "recording")
    with closing(sqlite3.connect(path)) as copy:
        for table in tables:
            columns = [name for _, name, *_ in connection.execute(f"PRAGMA table_info({table})") if name.isidentifier()]
            listed = ", ".join(f'"{name}"' for name in columns)
            primary = f", PRIMARY KEY ({', '.join(keys[table])})" if table in keys else ""
            copy.execute(f"CREATE TABLE {table} ({listed}{primary})")
            for (number,) in connection.execute(f"SELECT rowid FROM {table} NOT INDEXED"):  # noqa: S608
                row = _row(connection, source, table, columns, number)
                if row is None:
                    continue
                if (long := next((key for key in keys.get(table, ()) if _is_long(row[key])), None)) is not None:
                    source.skip(f"longer than {MAX_NAME:,} characters", field=f"{table}.{long}", line=number)
                    continue
                marks = ", ".join("?" * len(columns))
                copy.execute(f"INSERT OR IGNORE INTO {table} ({listed}) VALUES ({marks})", [*row.values()])  # noqa: S608
        copy.commit()
    return _connect((path, True))


def _row(
    connection: sqlite3.Connection, source: Source, table: str, columns: list[str], number: int
) -> dict[str, Any] | None:
    listed = ", ".join(f'"{name}"' for name in columns)
    try:
        values = connection.execute(f"SELECT {listed} FROM {table} WHERE rowid = ?", (number,)).fetchone()  # noqa: S608
    except sqlite3.DataError:
        source.skip(f"longer than {MAX_CELL_BYTES // 1024**2} MiB", field=table, line=number)
        return None
    return dict(zip(columns, values, strict=True))


def _is_long(value: Any) -> bool:
    return isinstance(value, str | bytes) and len(value) > MAX_NAME
