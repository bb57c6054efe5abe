"""Records of exports that come in several kinds of files: JSON in its forms, CSV with a header line, Parquet."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from agentbreaker.transcripts.parquet import parquet_rows
from agentbreaker.transcripts.records import records_of
from agentbreaker.transcripts.source import PARQUET, Source
from agentbreaker.transcripts.table import csv_rows

__all__ = ["rows_of"]


def rows_of(source: Source) -> Iterator[dict[str, Any]]:
    """Yield the records of an export; `source.line` is the line or row on which the latest one begins.

    Values of a CSV are text; of a row, those that are empty are left out.

    Raises:
        TranscriptError: A Parquet file is damaged, or the library to read it is missing.
    """
    if source.head.startswith(PARQUET):
        yield from parquet_rows(source)
    elif source.head.lstrip()[:1] in (b"{", b"["):
        yield from records_of(source)
    else:
        header: list[str] | None = None
        for line, row in csv_rows(source):
            if header is None:
                header = [name.strip() for name in row]
                continue
            after, source.line = source.line, line
            yield {name: value for name, value in zip(header, row, strict=False) if name and value}
            source.line = after
