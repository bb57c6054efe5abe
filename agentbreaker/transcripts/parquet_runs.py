"""Rows of a Parquet file, a few at a time, so that what is in memory has a bound whatever the file holds.

Whatever duckdb hands out it copies, two thousand rows at a time, and a text that stands in the file once may be the
value of all of them.  So it is asked for the sizes of the rows first, and then for as many rows as may be in memory
together.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from agentbreaker.transcripts.parquet_weight import MOST_PARTS, TooManyPartsError, Weights
from agentbreaker.transcripts.schema import MAX_LINE_BYTES, MAX_VALUES

if TYPE_CHECKING:
    import duckdb
    from numpy.typing import NDArray

__all__ = ["TooHeavyError", "fetched"]

_MIB: Final = 1024 * 1024
#: Rows that are fetched from duckdb in one call.
_BATCH: Final = 64
#: Rows that duckdb unpacks at a time.
_VECTOR: Final = 2048
#: Rows whose sizes are asked for together, about.
_WINDOW: Final = 64 * _VECTOR
#: Bytes of rows that are in memory together.
_TOGETHER: Final = 8 * _MIB
#: What a value takes besides its text, here and in duckdb.
_BYTES_OF_A_VALUE: Final = 32
_PACKED_BYTES_OF_A_VALUE: Final = 8
#: Rows that a statement may leave out by their places.
_NAMED: Final = 2000
#: Bytes of rows that duckdb unpacks at a time; it makes copies of them where a page ends.
_MOST_UNPACKED: Final = 512 * _MIB
_PLACE: Final = "file_row_number"


class TooHeavyError(ValueError):
    """A file cannot be read in the memory that there is for it."""


def fetched(connection: duckdb.DuckDBPyConnection, path: str) -> Iterator[dict[str, Any] | str]:
    """Yield the rows as duckdb has them, and of those that are too large what is wrong with them.

    Args:
        connection: To a database of its own.
        path: The name of the file; a pattern would be taken for one.

    Raises:
        TooHeavyError: The file has too many columns, or rows that are too large to be told apart.
        duckdb.Error: The file is damaged, or a page of it does not fit into the memory that duckdb has.
    """
    # Standard output is not duckdb's.
    connection.execute("SET enable_progress_bar = false")
    # Pages are unpacked one after the other; whole columns need not wait for that in memory.
    connection.execute("SET disable_parquet_prefetching = true")
    found = connection.sql("SELECT * FROM read_parquet(?)", params=[path])
    names, kinds = found.columns, found.types
    if _PLACE in names:
        raise TooHeavyError(f"a column is called {_PLACE}, a name that duckdb keeps for itself")
    # Names of columns are the file's: they are no part of a statement.
    columns = [f"c{number}" for number in range(len(names))]
    try:
        values, texts = Weights().of(list(zip(columns, kinds, strict=True)))
    except TooManyPartsError:
        raise TooHeavyError(f"more than {MOST_PARTS:,} columns") from None
    table = f"read_parquet(?, {_PLACE} = true) AS t({', '.join(columns)}, place)"
    sizes = f"SELECT {values} AS n, {texts} AS b FROM {table}"  # noqa: S608 - names of ours
    rows = f"SELECT place, {', '.join(columns)} FROM {table}"  # noqa: S608
    for start, end, units in _windows(_groups(connection, path)):
        known = connection.execute(sizes + _between(start, end), [path]).fetchnumpy()
        counts = known["n"]
        for first, last, without in _runs(counts, known["b"], units):
            # By their places: where duckdb compares the sizes of texts, it makes the texts.
            leaving_out = f" AND place NOT IN ({', '.join(str(start + row) for row in without)})" if without else ""
            cursor = connection.execute(rows + _between(start + first, start + last) + leaving_out, [path])
            at = first
            while batch := cursor.fetchmany(_BATCH):
                for place, *cells in batch:
                    yield from map(_too_large, counts[at : place - start])
                    at = place - start + 1
                    yield dict(zip(names, cells, strict=True))
            yield from map(_too_large, counts[at:last])


def _groups(connection: duckdb.DuckDBPyConnection, path: str) -> Iterator[int]:
    """Yield the number of rows of each group of rows."""
    cursor = connection.execute(
        "SELECT any_value(row_group_num_rows) FROM parquet_metadata(?) GROUP BY row_group_id ORDER BY row_group_id",
        [path],
    )
    while batch := cursor.fetchmany(_BATCH):
        yield from (number for (number,) in batch)


def _windows(groups: Iterator[int]) -> Iterator[tuple[int, int, list[int]]]:
    """Put groups of rows together, or cut them, into windows of rows; the first one is small, as some want no more.

    Yields:
        The first row, the one after the last, and where in the window duckdb begins to unpack another part.
    """
    start, end, units, most = 0, 0, list[int](), _VECTOR
    for group in groups:
        for first in range(0, group, _VECTOR):
            units.append(end - start)
            end += min(_VECTOR, group - first)
            if end - start >= most:
                yield start, end, units
                start, units, most = end, [], _WINDOW
        # A window over the end of a group has pages of both in memory.
        if end - start >= most // 2:
            yield start, end, units
            start, units, most = end, [], _WINDOW
    if units:
        yield start, end, units


def _between(first: int, end: int) -> str:
    return f" WHERE place BETWEEN {first} AND {end - 1}"


def _runs(values: NDArray[Any], texts: NDArray[Any], units: list[int]) -> Iterator[tuple[int, int, list[int]]]:
    """Cut rows into runs that fit into memory; all of them are one run if each of the units does.

    Args:
        values: Values of each row, shape ``(rows,)``.
        texts: Bytes of text of each row, likewise.
        units: The first rows of those that are made at once.

    Yields:
        The first row of a run, the one after its last, and those between that are too large.
    """
    import numpy as np

    values, texts = values.astype(np.int64), texts.astype(np.int64)
    unpacked = int(np.add.reduceat(texts + _PACKED_BYTES_OF_A_VALUE * values, units).max())
    if unpacked > _MOST_UNPACKED:
        raise TooHeavyError(f"{_VECTOR:,} rows unpack to {unpacked // _MIB:,} MiB; write fewer in a group of rows")
    weights = texts + _BYTES_OF_A_VALUE * values
    too_large = (values > MAX_VALUES) | (texts > MAX_LINE_BYTES)
    if not too_large.any() and np.add.reduceat(weights, units).max() <= _TOGETHER:
        yield 0, len(weights), []
        return
    # So that no statement has to name more than so many.
    weights[too_large] = _TOGETHER // _NAMED
    ends, first = np.cumsum(weights), 0
    while first < len(weights):
        before = int(ends[first - 1]) if first else 0
        last = max(first + 1, int(np.searchsorted(ends, before + _TOGETHER, side="right")))
        yield first, last, (first + np.flatnonzero(too_large[first:last])).tolist()
        first = last


def _too_large(values: int) -> str:
    if values > MAX_VALUES:
        return f"more than {MAX_VALUES:,} values in one row"
    return f"longer than {MAX_LINE_BYTES // _MIB} MiB"
