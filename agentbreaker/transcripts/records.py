"""JSON records out of a recording: one a line, the elements of one array, or one document.

Lines and elements are read as a stream, each within a limit.  Only a document, ``{`` on one line and ``}`` on a later
one, is read as a whole, up to :data:`MAX_DOCUMENT_BYTES`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final

from pydantic_core import from_json

from agentbreaker.transcripts.parquet import first_rows
from agentbreaker.transcripts.schema import LONE_HINT, MAX_LINE_BYTES, MAX_VALUES, UnreadableError, too_many_values
from agentbreaker.transcripts.source import CHUNK, PARQUET, SQLITE, ZIP, Source

__all__ = ["MAX_DOCUMENT_BYTES", "MAX_LINE_BYTES", "Probe", "lines_of", "members_of", "parse_value", "records_of"]

#: Longest JSON document that is read as a whole.
MAX_DOCUMENT_BYTES: Final = 16 * 1024 * 1024
_PROBED: Final = 20
_PLACE: Final = re.compile(r"(?P<what>.*) at line (?P<line>\d+) column (?P<column>\d+)$")


def lines_of(source: Source, limit: int = MAX_LINE_BYTES) -> Iterator[bytes]:
    """Yield the lines that hold something; count blank ones, and skip those longer than `limit` bytes."""
    report, readline = source.report, source.stream.readline
    while line := readline(limit + 1):
        source.line += 1
        report.lines += 1
        if len(line) > limit and not line.endswith(b"\n"):
            while line and not line.endswith(b"\n"):
                line = readline(CHUNK)
            source.skip(f"longer than {limit // 1024**2} MiB")
        elif line.isspace():
            report.blank += 1
        else:
            yield line


def parse_value(text: bytes) -> Any:
    """Parse JSON within bounds of depth and number of values; say in words of ours what is wrong with it.

    Raises:
        UnreadableError: It is not JSON, nested too deeply, or has too many values.
    """
    if len(text) > MAX_VALUES and too_many_values(text):
        raise UnreadableError(f"more than {MAX_VALUES:,} values in one record")
    try:
        return from_json(text)
    except RecursionError:
        raise UnreadableError("nested too deeply") from None
    except ValueError as error:
        reason = str(error)
    try:
        decoded = text.decode()
    except UnicodeDecodeError as error:
        raise UnreadableError(f"not UTF-8 (column {error.start + 1})") from None
    if "recursion" in reason:
        raise UnreadableError("nested too deeply")
    if LONE_HINT.search(reason):
        # Half an emoji: JSON can write it, Python can hold it, pydantic's parser cannot.
        try:
            return json.loads(decoded)
        except (RecursionError, ValueError):
            raise UnreadableError("not JSON") from None
    match = _PLACE.match(reason)
    if match is None:
        raise UnreadableError("not JSON")
    if match["what"].startswith("EOF"):
        raise UnreadableError("not JSON (it ends too early)")
    raise UnreadableError(f"not JSON (column {match['column']}: {match['what']})")


def records_of(source: Source) -> Iterator[dict[str, Any]]:
    """Yield the JSON objects of a recording; `source.line` is the line on which the latest one begins.

    What is no object is counted and skipped.

    Raises:
        UnreadableError: Only as a fault of the file: a document that is too long.
    """
    shape = _shape(source.head)
    texts = _elements(source) if shape == "array" else _document(source) if shape == "document" else _lines(source)
    for text in texts:
        try:
            value = parse_value(text)
        except UnreadableError as error:
            source.skip(error.reason)
            continue
        if isinstance(value, dict):
            yield value
        else:
            source.skip("not an object")


def _lines(source: Source) -> Iterator[bytes]:
    # A document may be written on one line.
    limit = MAX_LINE_BYTES if b"\n" in source.head else MAX_DOCUMENT_BYTES
    return lines_of(source, limit)


def _shape(head: bytes) -> str:
    """Tell lines from an array and from a document, by the first line and the beginning of the second."""
    begun = head.lstrip()
    if begun.startswith(b"["):
        return "array"
    first, newline, rest = begun.partition(b"\n")
    goes_on = first.rstrip().endswith((b",", b"[", b"{"))
    if not begun.startswith(b"{") or not newline or (rest.startswith(b"{") and not goes_on):
        return "lines"
    return "lines" if _balance(first) == 0 else "document"


_STRUCTURE: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[\[\]{}]', re.DOTALL)


def _balance(text: bytes) -> int:
    """How many brackets and braces `text` leaves open; those in strings do not count."""
    depth = 0
    for match in _STRUCTURE.finditer(text):
        if text[match.start()] in b"[{":
            depth += 1
        elif text[match.start()] in b"]}":
            depth -= 1
    return depth


def _document(source: Source) -> Iterator[bytes]:
    source.report.lines += 1
    source.line = 1
    text = source.stream.read(MAX_DOCUMENT_BYTES + 1)
    if len(text) > MAX_DOCUMENT_BYTES:
        source.skip(f"a JSON document longer than {MAX_DOCUMENT_BYTES // 1024**2} MiB; JSON Lines has no limit")
        return
    yield text


_OUTSIDE: Final = re.compile(rb'["\[\]{},]')
_INSIDE: Final = re.compile(rb'["\\]')


def members_of(source: Source, name: str, limit: int = MAX_LINE_BYTES) -> Iterator[bytes]:
    """Yield the elements of the array that is a member of the one object that the recording is.

    Args:
        source: The recording.
        name: Of the member.
        limit: Longest element, in bytes; a longer one is skipped as it streams by.
    """
    return _elements(source, limit, name.encode())


def _elements(source: Source, limit: int = MAX_LINE_BYTES, member: bytes | None = None) -> Iterator[bytes]:
    """Yield the elements of an array, each when it is complete: of the whole recording, or of a member of it."""
    report, read = source.report, source.stream.read1
    element, size, depth, inside, escaped, line = bytearray(), 0, 0, False, False, 1
    # The array lies within so many brackets; the latest string before it, where it is a member, is its name.
    base, found = int(member is not None), False
    latest = bytearray()

    def take(part: bytes) -> None:
        nonlocal size
        size += len(part)
        if size <= limit:
            element.extend(part)

    def end() -> Iterator[bytes]:
        nonlocal size
        text, length = bytes(element), size
        # The line is that of what is in it, not of the comma before.
        source.line += text[: len(text) - len(text.lstrip())].count(b"\n")
        element.clear()
        size = 0
        if length > limit:
            report.lines += 1
            source.skip(f"longer than {limit // 1024**2} MiB")
        elif text.strip():
            report.lines += 1
            yield text

    while chunk := read(CHUNK):
        begin = position = 0
        string = 0
        if escaped:
            position, escaped = 1, False
        while match := (_INSIDE if inside else _OUTSIDE).search(chunk, position):
            at = position = match.start()
            position += 1
            token = chunk[at]
            if inside:
                if token == 0x22:
                    inside = False
                    if not found:
                        latest.extend(chunk[string:at][:CHUNK])
                elif position == len(chunk):
                    escaped = True
                else:
                    position += 1
                continue
            if token == 0x22:
                inside, string = True, position
                latest.clear()
            elif token in b"[{":
                depth += 1
                if depth == base + 1 and not found and (member is None or (token == 0x5B and latest == member)):
                    found, begin = True, position
                    source.line = line + chunk.count(b"\n", 0, position)
            elif token in b"]}" or depth == base + 1:
                depth -= token in b"]}"
                if found and (depth == base or (depth == base + 1 and token == 0x2C)):
                    take(chunk[begin:at])
                    yield from end()
                    begin = position
                    source.line = line + chunk.count(b"\n", 0, position)
                if depth == base and found:
                    return
        if found:
            take(chunk[begin:])
        elif inside and len(latest) <= CHUNK:
            latest.extend(chunk[string:])
        line += chunk.count(b"\n")
    if found:
        yield from end()
        source.skip("the array ends too early")


class Probe:
    """The beginning of a recording, as a format sees it that is asked whether this is its own.

    Attributes:
        head: The first bytes, at most 64 KiB.
        records: The first JSON objects in them, those that are complete; at most 20.
        keys: Names of the members of the first object, also where it is not complete.
        rows: The first rows of a Parquet file; at most 20.
        columns: Field of ours to the name that it has in the file, as the user gave it.

    Raises:
        TranscriptError: It is a Parquet file, and the library to read it is missing.
    """

    __slots__ = ("columns", "head", "keys", "records", "rows")

    def __init__(self, source: Source) -> None:
        self.head = source.head
        self.columns = source.columns
        self.records: list[dict[str, Any]] = []
        self.rows = first_rows(source, _PROBED) if self.head.startswith(PARQUET) else []
        self.keys: frozenset[str] = frozenset()
        if self.head.startswith((PARQUET, SQLITE, ZIP)):
            return
        shape = _shape(self.head)
        texts = list(_beginnings(self.head, shape))
        # What is cut by the end of the look does not parse.
        for text in texts[:_PROBED]:
            try:
                value = parse_value(text)
            except UnreadableError:
                continue
            if isinstance(value, dict):
                self.records.append(value)
        self.keys = frozenset(self.records[0]) if self.records else _keys(texts[0] if texts else self.head)


def _beginnings(head: bytes, shape: str) -> Iterator[bytes]:
    """The first records of the head; the last one may be cut, but that of an array is complete or not there."""
    if shape == "lines":
        yield from (line for line in head.split(b"\n") if line.strip())
    elif shape == "document":
        yield head
    else:
        depth = begin = 0
        for match in _STRUCTURE.finditer(head):
            token = head[match.start()]
            if token in b"[{":
                depth += 1
                if depth == 2:
                    begin = match.start()
            elif token in b"]}":
                depth -= 1
                if depth == 1:
                    yield head[begin : match.end()]
        if begin == 0:
            yield head


_MEMBER: Final = re.compile(rb'("(?:[^"\\]++|\\.)*+")(\s*:)?|[\[\]{}]', re.DOTALL)


def _keys(text: bytes) -> frozenset[str]:
    """Names of the members of an object, or of the first object of an array, that is perhaps cut."""
    found: set[str] = set()
    depth, top = 0, 1 + text.lstrip().startswith(b"[")
    for match in _MEMBER.finditer(text):
        token = text[match.start()]
        if token in b"[{":
            depth += 1
        elif token in b"]}":
            depth -= 1
        elif depth == top and match[2]:
            found.add(match[1][1:-1].decode("utf-8", "replace"))
    return frozenset(found)
