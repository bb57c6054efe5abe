"""Parquet files, row by row, through duckdb."""

from __future__ import annotations

import datetime
import decimal
import math
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import islice
from typing import Any, Final

from agentbreaker.errors import TranscriptError
from agentbreaker.transcripts.parquet_runs import TooHeavyError, fetched
from agentbreaker.transcripts.source import PARQUET, Source

__all__ = ["first_rows", "parquet_rows"]

_MAX_DEPTH: Final = 16
#: What duckdb may take; it unpacks a page at a time, and one that does not fit is an error.
_MEMORY: Final = "512MB"
_SETTINGS: Final[dict[str, Any]] = {
    "memory_limit": _MEMORY,
    "threads": 1,
    # Nothing is fetched, and no other file is looked at than the one that is named.
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
}


def first_rows(source: Source, number: int) -> list[dict[str, Any]]:
    """Return the first rows; none of a file that is damaged, which is said when it is read.

    Raises:
        TranscriptError: The library is missing.
    """
    return [row for row in islice(_rows(source, quiet=True), number) if not isinstance(row, str)]


def parquet_rows(source: Source) -> Iterator[dict[str, Any]]:
    """Yield the rows as plain data, with times as text; `source.line` is the number of the row.

    Raises:
        TranscriptError: The library is missing, or the file is damaged.
    """
    if not source.head.startswith(PARQUET):
        raise TranscriptError("not a Parquet file", path=source.path)
    for row in _rows(source, quiet=False):
        source.line += 1
        source.report.lines += 1
        if isinstance(row, str):
            source.skip(row)
        else:
            yield row


def _rows(source: Source, *, quiet: bool) -> Iterator[dict[str, Any] | str]:
    try:
        import duckdb
    except ImportError:
        raise TranscriptError(
            "Parquet is read with duckdb: pip install 'agentbreaker[bulk]'", path=source.path
        ) from None
    with ExitStack() as stack:
        path = _plain_name(source.local(), stack)
        try:
            connection = stack.enter_context(duckdb.connect(":memory:", config=_SETTINGS))
            for row in fetched(connection, path):
                yield row if isinstance(row, str) else {name: _plain(value) for name, value in row.items()}
        except TooHeavyError as error:
            if quiet:
                return
            raise TranscriptError(str(error), path=source.path, line=source.line or None) from None
        except (duckdb.Error, ValueError, OverflowError) as error:
            if quiet:
                return
            # The library's words may quote the file.
            what = (
                f"a page unpacks to more than {_MEMORY}; write it in smaller groups of rows"
                if isinstance(error, duckdb.OutOfMemoryException)
                else f"the Parquet file is damaged ({type(error).__name__})"
            )
            raise TranscriptError(what, path=source.path, line=source.line or None) from None


def _plain_name(path: str, stack: ExitStack) -> str:
    """A name of the file that stands for no other: duckdb takes names for patterns, and some for addresses."""
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="agentbreaker-"))
    name = os.path.join(folder, "recording.parquet")
    try:
        os.symlink(os.path.abspath(path), name)
    except OSError:
        shutil.copyfile(path, name)
    return name


def _plain(value: Any, depth: int = _MAX_DEPTH) -> Any:
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, datetime.datetime | datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, decimal.Decimal):
        return float(value) if value.is_finite() else None
    if isinstance(value, uuid.UUID):
        return str(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).decode("utf-8", "replace")
    if depth == 0:
        return None
    if isinstance(value, dict):
        return {str(key): _plain(item, depth - 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, depth - 1) for item in value]
    return str(value)
