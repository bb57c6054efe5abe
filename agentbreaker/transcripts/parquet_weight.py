"""What a row of a Parquet file would take in memory, as SQL, so that no row is fetched that is too large.

Packed, a list of fifty million equal values takes some kilobytes of a file; as objects of Python it would take
gigabytes.  So the sizes are asked of duckdb, which has the values of a column side by side, before any row is made.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from agentbreaker.transcripts.schema import MAX_VALUES

if TYPE_CHECKING:
    from duckdb.sqltypes import DuckDBPyType

__all__ = ["MOST_PARTS", "TooManyPartsError", "Weights"]

#: Columns, with the fields of the structures in them.
MOST_PARTS: Final = 10_000
_MAX_DEPTH: Final = 16
#: Types whose values all have the same few bytes.
_SMALL: Final = frozenset(
    {"boolean", "tinyint", "smallint", "integer", "bigint", "hugeint", "utinyint", "usmallint", "uinteger", "ubigint"}
    | {"uhugeint", "float", "double", "decimal", "date", "time", "timestamp", "timestamp_s", "timestamp_ms"}
    | {"timestamp_ns", "interval", "uuid", "enum", "sqlnull"}
)


class TooManyPartsError(ValueError):
    """A file has more than :data:`MOST_PARTS` columns and fields of columns."""


class Weights:
    """Writes how many values a row has, and how many bytes of text.

    Attributes:
        parts: Columns and fields that were looked at.
    """

    def __init__(self) -> None:
        self.parts = 0
        self._names = 0

    def of(self, columns: list[tuple[str, DuckDBPyType]]) -> tuple[str, str]:
        """Return two expressions over one row: its values, and the bytes of its texts.

        Args:
            columns: An expression for each column, and its type.

        Raises:
            TooManyPartsError: There are too many of them.
        """
        values, texts = [str(len(columns))], ["0"]
        for name, kind in columns:
            count, size = self._weigh(name, kind, _MAX_DEPTH)
            values += [f"coalesce({count}, 0)"] * (count != "0")
            texts += [f"coalesce({size}, 0)"] * (size != "0")
        return " + ".join(values), " + ".join(texts)

    def _weigh(self, value: str, kind: Any, depth: int) -> tuple[str, str]:
        """Return how many values are in a value, and its bytes; ``"0"`` for what is small."""
        self.parts += 1
        if self.parts > MOST_PARTS:
            raise TooManyPartsError(f"more than {MOST_PARTS:,} columns")
        name = kind.id.split(" with ")[0]
        if name in _SMALL:
            return "0", "0"
        if name == "varchar":
            return "0", f"strlen({value})"
        if name == "blob":
            return "0", f"octet_length({value})"
        if depth and name in ("list", "array"):
            return self._list(f"{value}::{_element(kind)}[]" if name == "array" else value, _element(kind), depth)
        if depth and name == "map":
            inner = dict(kind.children)
            sides = [
                self._list(f"map_keys({value})", inner["key"], depth),
                self._list(f"map_values({value})", inner["value"], depth),
            ]
            return _sum(count for count, _ in sides), _sum(size for _, size in sides)
        if depth and name == "struct":
            fields = [
                self._weigh(f"struct_extract({value}, {_quoted(field)})", one, depth - 1)
                for field, one in kind.children
            ]
            return f"({len(fields)} + {_sum(count for count, _ in fields)})", _sum(size for _, size in fields)
        # What has no size of its own is as long as it is when written.
        return "0", f"strlen({value}::VARCHAR)"

    def _list(self, value: str, kind: Any, depth: int) -> tuple[str, str]:
        self._names += 1
        item = f"x{self._names}"
        count, size = self._weigh(item, kind, depth - 1)
        length = f"len({value})"
        # A list that is too long is not gone through.

        def total(of: str) -> str:
            return f"CASE WHEN {length} <= {MAX_VALUES} THEN list_sum([coalesce({of}, 0) for {item} in {value}]) END"

        values = length if count == "0" else _sum([length, total(count)])
        return values, "0" if size == "0" else total(size)


def _element(kind: Any) -> Any:
    return dict(kind.children)["child"]


def _sum(terms: Iterable[str]) -> str:
    found = [f"coalesce({term}, 0)" for term in terms if term != "0"]
    return f"({' + '.join(found)})" if found else "0"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
