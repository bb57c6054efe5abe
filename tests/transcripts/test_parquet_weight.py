"""What a row of a Parquet file would take, asked of duckdb before the row is made."""

from __future__ import annotations

from typing import Any

import pytest

from agentbreaker.transcripts.parquet_weight import MOST_PARTS, TooManyPartsError, Weights

duckdb = pytest.importorskip("duckdb")

NUMBERS = "1 AS a, 1.5::DECIMAL(4, 2) AS b, now() AS c, uuid() AS d, true AS e, NULL AS f"
NESTED = "{'a': [[1], NULL, [2, 3]], 'b': {'it''s': ['x', 'yz', NULL]}} AS a, MAP {'key': [['v']], 'k': NULL} AS b"


def weight(query: str) -> tuple[int, int]:
    """Values and bytes of the one row of a query."""
    with duckdb.connect(":memory:") as connection:
        found = connection.sql(f"SELECT {query}")
        values, texts = Weights().of(
            [(f'"{name}"', kind) for name, kind in zip(found.columns, found.types, strict=True)]
        )
        ((count, size),) = connection.execute(f"SELECT {values}, {texts} FROM (SELECT {query})").fetchall()  # noqa: S608
        return int(count), int(size)


@pytest.mark.parametrize(
    ("query", "values", "texts"),
    [
        (NUMBERS, 6, 0),
        ("'abc' AS a, 'é' AS b, NULL::VARCHAR AS c, 'xy'::BLOB AS d, '{\"a\": 1}'::JSON AS e", 5, 3 + 2 + 2 + 8),
        ("[1, 2, 3] AS a, ['a', 'bc'] AS b, []::INT[] AS c, NULL::INT[] AS d, [1, 2]::INT[2] AS e", 5 + 3 + 2 + 2, 3),
        # The fields of a, its list and the lists in it; the field of b and its list; the keys and values of the map.
        (NESTED, 2 + (2 + 3 + 3) + (1 + 3) + (2 + 2 + 1 + 1), 3 + 4 + 1),
    ],
)
def test_values_and_bytes_are_counted(query: str, values: int, texts: int) -> None:
    """Those of lists, maps and structures too, whatever their fields are called; nothing is nothing."""
    assert weight(query) == (values, texts)


def test_a_list_that_is_too_long_is_counted_and_not_gone_through() -> None:
    """Its length is enough to refuse it."""
    assert weight("list_resize(['abc'], 200_001, 'abc') AS a") == (200_002, 0)


def test_what_is_nested_deeper_than_anyone_reads_is_as_long_as_it_is_when_written() -> None:
    """The statement does not grow with the depth of a type that somebody else chose."""
    query: Any = "'x'"
    for _ in range(40):
        query = f"[{query}]"
    values, texts = weight(f"{query} AS a")
    assert values == 1 + 16
    assert texts == 1 + 2 * 24


def test_a_file_of_very_many_columns_is_refused() -> None:
    """As no statement could name them all in good time."""
    with duckdb.connect(":memory:") as connection:
        kind = connection.sql("SELECT 1").types[0]
    with pytest.raises(TooManyPartsError):
        Weights().of([("a", kind)] * (MOST_PARTS + 1))
