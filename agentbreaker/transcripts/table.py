"""Tables: CSV with a header line, or Parquet, one message a row.

The columns are those of the transcript format, flat: ``conversation_id``, ``sender``, ``recipient``, ``content`` and
so on, with ``tool`` as the name of a tool and the tokens as ``input_tokens`` and ``output_tokens``.  Columns of other
names are mapped (``--map sender=from_agent``); those of no meaning are ignored.  Without a conversation column the
table is one conversation.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from typing import Any, Final, cast, get_args

from agentbreaker.errors import TranscriptError
from agentbreaker.message import Kind, Message, Role, Tool
from agentbreaker.transcripts.addressing import spoken_to_next
from agentbreaker.transcripts.parquet import parquet_rows
from agentbreaker.transcripts.records import MAX_LINE_BYTES, Probe
from agentbreaker.transcripts.schema import MAX_VALUES, UnreadableError, compact_json
from agentbreaker.transcripts.source import CHUNK, PARQUET, Source
from agentbreaker.transcripts.values import cost_of, moment_of, name_of, usage_of

__all__ = [
    "TABLE_FIELDS",
    "csv_rows",
    "header_of",
    "looks_like_a_table",
    "read_csv",
    "read_parquet",
    "recognise_csv",
    "recognise_parquet",
]

#: Fields of a row that ``--map`` can give a column.
TABLE_FIELDS: Final = (
    "conversation_id",
    "sender",
    "recipient",
    "kind",
    "content",
    "role",
    "message_id",
    "parent_id",
    "run_id",
    "timestamp",
    "tool",
    "model",
    "input_tokens",
    "output_tokens",
    "cost_usd",
)
#: Names that many tables use; ours and mapped ones come first.
_OTHER_NAMES: Final = {
    "conversation_id": ("conversation", "thread_id", "session_id"),
    "timestamp": ("ts", "time", "created_at"),
    "content": ("text", "message"),
}
_KINDS: Final = frozenset(get_args(Kind))
_ROLES: Final = frozenset(get_args(Role))
_DELIMITERS: Final = (",", ";", "\t")


def recognise_csv(probe: Probe) -> bool:
    """Whether the first line is a header with a column for the sender, under the name that the user gave it."""
    return probe.columns.get("sender", "sender") in header_of(probe)


def looks_like_a_table(probe: Probe) -> bool:
    """Whether the recording begins with two lines of as many columns, whatever they are called."""
    lines = probe.head.split(b"\n", 2)[:2]
    if len(lines) < 2 or not lines[1].strip() or not header_of(probe):
        return False
    counts = [[line.count(delimiter.encode()) for delimiter in _DELIMITERS] for line in lines]
    return any(count > 0 and count == other for count, other in zip(*counts, strict=True))


def header_of(probe: Probe) -> frozenset[str]:
    """Names of the columns, if the recording begins like a CSV with more than one."""
    first = probe.head.partition(b"\n")[0].removeprefix(b"\xef\xbb\xbf").strip()
    if first[:1] in (b"", b"{", b"["):
        return frozenset()
    try:
        text = first.decode().replace('"', "")
    except UnicodeDecodeError:
        return frozenset()
    names = max((text.split(delimiter) for delimiter in _DELIMITERS), key=len)
    return frozenset(name.strip() for name in names) if len(names) > 1 else frozenset()


def recognise_parquet(probe: Probe) -> bool:
    """Whether the recording is a Parquet file; those of exports are asked for before."""
    return probe.head.startswith(PARQUET)


def read_csv(source: Source) -> Iterator[Message]:
    """Yield the messages of a CSV file.

    Raises:
        TranscriptError: It has no header, or no column for the sender.
    """
    for message in spoken_to_next(_messages(source)):
        source.report.messages += 1
        yield message


def read_parquet(source: Source) -> Iterator[Message]:
    """Yield the messages of a Parquet file.

    Raises:
        TranscriptError: It is damaged, has no column for the sender, or the library to read it is missing.
    """
    for message in spoken_to_next(_rows_of_parquet(source)):
        source.report.messages += 1
        yield message


def _rows_of_parquet(source: Source) -> Iterator[Message]:
    place: dict[str, int] | None = None
    for row in parquet_rows(source):
        names = list(row)
        if place is None:
            place = _columns(source, names)
        values = {field: text for field, column in place.items() if (text := _text(row[names[column]]))}
        if any(len(text) > MAX_LINE_BYTES for text in values.values()):
            source.skip(f"longer than {MAX_LINE_BYTES // 1024**2} MiB")
            continue
        try:
            yield _message(values)
        except UnreadableError as error:
            source.skip(error.reason, field=source.columns.get(error.field or "", error.field))


def _text(value: Any) -> str:
    """A value as a CSV would have it."""
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        # A column of whole numbers, some of which are missing.
        return str(int(value))
    return value if isinstance(value, str) else compact_json(value)


def _messages(source: Source) -> Iterator[Message]:
    rows = csv_rows(source)
    header = next(rows, None)
    if header is None:
        return
    place = _columns(source, header[1])
    for line, row in rows:
        # Short rows lack their last columns; what is beyond the header belongs to none.
        values = {field: row[column] for field, column in place.items() if column < len(row) and row[column]}
        try:
            yield _message(values)
        except UnreadableError as error:
            source.skip(error.reason, field=source.columns.get(error.field or "", error.field), line=line)


def csv_rows(source: Source) -> Iterator[tuple[int, list[str]]]:
    """Yield each row with the number of its first line; a row may run over lines where a field is quoted."""
    # The limit belongs to the whole process, so it is only ever raised.
    csv.field_size_limit(max(csv.field_size_limit(), MAX_LINE_BYTES))
    delimiter = max(_DELIMITERS, key=source.head.partition(b"\n")[0].decode("latin-1").count)
    lines = _Lines(source, delimiter)
    rows = csv.reader(lines, delimiter=delimiter)
    while True:
        lines.size, lines.begin = 0, source.line + 1
        try:
            row = next(rows, None)
        except csv.Error:
            # The module's words may quote the file.
            mib = MAX_LINE_BYTES // 1024**2
            source.skip(f"a field longer than {mib} MiB: is a quote never closed?", line=lines.begin)
            continue
        except UnreadableError as error:
            source.skip(error.reason)
            continue
        if row is None:
            return
        if row:
            yield lines.begin, row
        else:
            source.report.blank += 1


class _Lines:
    """The decoded lines, as the module `csv` draws on them.

    Attributes:
        size: Bytes of the row so far.
        begin: Line in which it began.
    """

    def __init__(self, source: Source, delimiter: str) -> None:
        self._source = source
        self._delimiter = delimiter.encode()
        self.size = 0
        self.begin = 1

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        source = self._source
        line = source.stream.readline(MAX_LINE_BYTES + 1)
        if not line:
            raise StopIteration
        source.line += 1
        source.report.lines += 1
        if len(line) > MAX_LINE_BYTES and not line.endswith(b"\n"):
            while line and not line.endswith(b"\n"):
                line = source.stream.readline(CHUNK)
            raise UnreadableError(f"longer than {MAX_LINE_BYTES // 1024**2} MiB")
        if self._values(line) > MAX_VALUES:
            raise UnreadableError(f"more than {MAX_VALUES:,} values in one line")
        self.size += len(line)
        if self.size > 2 * MAX_LINE_BYTES:
            raise UnreadableError(f"a row longer than {2 * MAX_LINE_BYTES // 1024**2} MiB: is a quote never closed?")
        try:
            return line.decode()
        except UnicodeDecodeError:
            raise UnreadableError("not UTF-8") from None

    def _values(self, line: bytes) -> int:
        """Values in a line; what is between quotes is text, with which a line begins that goes on with a row."""
        if len(line) <= MAX_VALUES or line.count(self._delimiter) < MAX_VALUES:
            return 0
        parts = line.split(b'"', MAX_VALUES)
        return sum(part.count(self._delimiter) for part in parts[1 if self.size else 0 :: 2]) + 1


def _columns(source: Source, header: list[str]) -> dict[str, int]:
    """Return the column of each field that the table has."""
    names = {name.strip(): column for column, name in reversed(list(enumerate(header)))}
    found = {}
    for field in TABLE_FIELDS:
        mapped = source.columns.get(field)
        if mapped is not None and mapped not in names:
            raise TranscriptError("the header has no such column as --map gives", path=source.path, line=1, field=field)
        for name in (mapped,) if mapped is not None else (field, *_OTHER_NAMES.get(field, ())):
            if name in names:
                found[field] = names[name]
                break
    if "sender" not in found:
        raise TranscriptError(
            "the header has no such column; --map sender=COLUMN names it", path=source.path, line=1, field="sender"
        )
    return found


def _message(values: dict[str, str]) -> Message:
    """Make a message of the values of a row that are not empty."""

    def name(field: str) -> str | None:
        return name_of(values.get(field), field)

    sender = name("sender")
    if sender is None:
        raise UnreadableError("missing", "sender")
    kind, role = values.get("kind"), values.get("role")
    if kind is not None and kind not in _KINDS:
        raise UnreadableError(f"expected {', '.join(sorted(_KINDS))}", "kind")
    if role is not None and role not in _ROLES:
        raise UnreadableError(f"expected {', '.join(sorted(_ROLES))}", "role")
    stamp = values.get("timestamp")
    moment = moment_of(stamp)
    if stamp is not None and moment is None:
        raise UnreadableError("not a date and time, such as 2026-05-01T09:30:00Z", "timestamp")
    for field in ("input_tokens", "output_tokens"):
        if field in values and not (values[field].isascii() and values[field].isdigit()):
            raise UnreadableError("not a whole number", field)
    cost = cost_of(values.get("cost_usd"))
    if "cost_usd" in values and cost is None:
        raise UnreadableError("not a number", "cost_usd")
    content = values.get("content", "")
    tool = None
    if (tool_name := name("tool")) is not None:
        tool = Tool(tool_name, result=content if kind == "tool_result" else None)
        kind = kind or "tool_call"
        if kind == "tool_call" and content:
            tool.arguments = content
    return Message(
        name("conversation_id") or "table",
        sender,
        name("recipient"),
        cast(Kind, kind or "message"),
        content,
        cast(Role | None, role),
        name("message_id"),
        name("parent_id"),
        name("run_id"),
        moment,
        tool,
        name("model"),
        usage_of(values.get("input_tokens"), values.get("output_tokens")),
        cost,
    )
