"""A recording as bytes that nobody has checked: opened, unpacked, its beginning looked at, its faults counted.

Every format is read through a :class:`Source`.  It knows where in the file the reader is, so that a fault names file,
line and field, and it sees to it that memory depends on a limit and never on the file.
"""

from __future__ import annotations

import gzip
import io
import os
import sys
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Final, cast

from agentbreaker.errors import TranscriptError
from agentbreaker.message import Message
from agentbreaker.transcripts.share import Share

__all__ = ["CHUNK", "HEAD_BYTES", "ReadReport", "Source", "open_source"]

_MAX_ERRORS: Final = 20
_MAX_REASONS: Final = 20
#: Distinct senders and conversations counted by a report; more are "at least so many".
_MAX_COUNTED: Final = 100_000
CHUNK: Final = 64 * 1024
#: So much of the beginning is looked at to tell the format.
HEAD_BYTES: Final = 64 * 1024
_BOM: Final = b"\xef\xbb\xbf"
_GZIP_MAGIC: Final = b"\x1f\x8b"
_FOREIGN: Final = {
    b"\xff\xfe": "UTF-16 text, not UTF-8",
    b"\xfe\xff": "UTF-16 text, not UTF-8",
    b"PK\x03\x04": "a zip archive, not JSON Lines; unpack it first",
    b"\x28\xb5\x2f\xfd": "zstd data, not JSON Lines; unpack it first",
}
#: Kinds of messages of which an agent is the sender.
_SAID: Final = ("message", "tool_call", "handoff")
_UNPACKING = (EOFError, zlib.error, gzip.BadGzipFile)


@dataclass(slots=True)
class ReadReport:
    """What happened while reading; may be handed to several :func:`read_transcript` calls to add them up.

    Attributes:
        lines: Physical lines seen: messages, skipped and blank ones together.  Formats in which a line is not a
            message count their records here.
        messages: Messages that were read.
        skipped: Lines or records that could not be read.
        blank: Empty lines, which are no fault.
        truncated: Compressed files that broke off; what came before was read.
        errors: The first 20 faults, as they would have been raised with ``strict``; a file that breaks off takes the
            last place if there is none left.
        formats: Messages by the name of the format that they were read as.
        reasons: Skipped lines or records by reason, without the place; the first 20 reasons.
    """

    lines: int = 0
    messages: int = 0
    skipped: int = 0
    blank: int = 0
    truncated: int = 0
    errors: list[TranscriptError] = field(default_factory=list)
    formats: dict[str, int] = field(default_factory=dict)
    reasons: dict[str, int] = field(default_factory=dict)
    # Hashes, not names: a storm may have a million senders with names of a thousand characters.
    _senders: set[int] = field(default_factory=set, repr=False)
    _conversations: set[int] = field(default_factory=set, repr=False)
    #: Line of the first record that was skipped for a reason.
    _first_lines: dict[str, int] = field(default_factory=dict, repr=False)
    _most_reasons: int = field(default=_MAX_REASONS, repr=False)

    @property
    def ok(self) -> bool:
        """Whether everything could be read."""
        return not self.skipped and not self.truncated

    @property
    def agents(self) -> int:
        """Distinct senders, without users, tools and prompts; counted up to 100,000."""
        return min(len(self._senders), _MAX_COUNTED)

    @property
    def conversations(self) -> int:
        """Distinct conversations; the same id in two files counts twice.  Counted up to 100,000."""
        return min(len(self._conversations), _MAX_COUNTED)

    def counted(self, messages: Iterator[Message], name: str, path: str) -> Iterator[Message]:
        """Pass messages on, and note who speaks in which conversation and as what format they were read."""
        before = self.messages
        senders, conversations = self._senders, self._conversations
        latest: str | None = None
        try:
            for message in messages:
                if message.kind in _SAID and message.role not in ("user", "system") and len(senders) < _MAX_COUNTED:
                    senders.add(hash(message.sender))
                if message.conversation_id != latest and len(conversations) < _MAX_COUNTED:
                    latest = message.conversation_id
                    conversations.add(hash((path, latest)))
                yield message
        finally:
            self.formats[name] = self.formats.get(name, 0) + self.messages - before

    def _keep(self, error: TranscriptError, *, important: bool = False) -> None:
        if len(self.errors) < _MAX_ERRORS:
            self.errors.append(error)
        elif important:
            self.errors[-1] = error

    def _skip(self, error: TranscriptError) -> None:
        """Count a line or record that could not be read."""
        self.skipped += 1
        self._keep(error)
        # The place within the line makes every reason another one.
        reason = error.reason.split(" (")[0]
        if error.field is not None:
            reason = f"{error.field}: {reason}"
        self._give_reason(reason, 1)
        if reason in self.reasons:
            self._first_lines.setdefault(reason, error.line or 0)

    def _give_reason(self, reason: str, number: int) -> None:
        if reason in self.reasons or len(self.reasons) < self._most_reasons:
            self.reasons[reason] = self.reasons.get(reason, 0) + number


class Source:
    """One open recording.

    Attributes:
        path: File as the user named it, ``"-"`` for standard input; never made of what was read.
        strict: Whether the first fault is raised instead of counted.
        report: Adds up what was read.
        columns: Field of ours to the name that it has in the file, for formats without names of their own.
        head: The unpacked beginning, at most 64 KiB; it stays to be read.
        complete: Whether `head` is the whole recording.
        stream: The unpacked bytes.
        line: Number of the line that is being read, counted from 1; 0 before the first.
        share: The conversations that are wanted, ``None``: all.
        passed: Lines or records that another share counts.
    """

    __slots__ = ("columns", "complete", "head", "line", "passed", "path", "report", "share", "stream", "strict")

    def __init__(
        self,
        stream: BinaryIO,
        path: str,
        *,
        strict: bool = False,
        report: ReadReport | None = None,
        columns: Mapping[str, str] | None = None,
        share: Share | None = None,
    ) -> None:
        self.path = path
        self.strict = strict
        self.report = ReadReport() if report is None else report
        self.columns = dict(columns or {})
        self.line = 0
        self.share = share
        self.passed = 0
        raw = _Bytes(stream)
        start = raw.look(4)
        for magic, what in _FOREIGN.items():
            if start.startswith(magic):
                raise TranscriptError(what, path=path)
        if start.startswith(_GZIP_MAGIC):
            unpacked = gzip.GzipFile(fileobj=io.BufferedReader(raw, CHUNK))
            raw = _Bytes(cast(BinaryIO, unpacked))
        self.head = raw.look_at_lines(HEAD_BYTES)
        self.complete = raw.ended
        if self.head.startswith(_BOM):
            self.head = raw.drop(len(_BOM))
        self.stream = io.BufferedReader(raw, CHUNK)

    def skip(self, reason: str, *, field: str | None = None, line: int | None = None, own: bool | None = None) -> None:
        """Count one line or record that is no message, and name it; raise it with ``strict``.

        Args:
            reason: What is wrong, in words of ours and never of the file.
            field: The field that is missing or wrong.
            line: Its line; without it the one that is being read.
            own: Whether it is this share's to count; without it, the first share counts it.
        """
        error = TranscriptError(reason, path=self.path, line=line or self.line or None, field=field)
        if own or self._first:
            self.report._skip(error)
        else:
            self.passed += 1
        if self.strict:
            raise error

    @property
    def _first(self) -> bool:
        """Whether what belongs to no conversation is counted here."""
        return self.share is None or self.share.number == 0

    def read(self, messages: Iterator[Message]) -> Iterator[Message]:
        """Yield the messages that a reader makes of this source; all faults of files end here."""
        report = self.report
        before = report.messages + report.skipped
        try:
            yield from messages
        except TranscriptError as error:
            # What led to it quotes the record, and a traceback would show that.
            error.__context__ = None
            raise
        except _UNPACKING as error:
            number = self.line
            what = "truncated gzip" if isinstance(error, EOFError) else "corrupt gzip"
            cut = TranscriptError(
                f"{what}: nothing after this line could be read" if number else f"{what}: nothing in it could be read",
                path=self.path,
                line=number or None,
            )
            if self._first:
                report.truncated += 1
                report._keep(cut, important=True)
            if self.strict or not number:
                raise cut from None
            return
        except OSError as error:
            raise TranscriptError(_why(error), path=self.path, line=self.line or None) from error
        if report.messages + report.skipped + self.passed == before:
            if self.head.strip():
                raise TranscriptError("no message in it", path=self.path)
            raise TranscriptError("only blank lines" if self.head else "empty", path=self.path)


@contextmanager
def open_source(
    source: str | os.PathLike[str] | BinaryIO,
    *,
    strict: bool = False,
    report: ReadReport | None = None,
    columns: Mapping[str, str] | None = None,
    share: Share | None = None,
) -> Iterator[Source]:
    """Open a recording: a file name, ``"-"`` for standard input, or a binary stream, which stays open.

    Raises:
        TranscriptError: The file is missing, a directory, not permitted, or not text.
    """
    if not isinstance(source, str | os.PathLike):
        name = getattr(source, "name", None)
        path = name if isinstance(name, str) else "<stream>"
        yield _begin(source, path, strict, report, columns, share)
        return
    path = os.fspath(source)
    if path == "-":
        stream: BinaryIO | None = getattr(sys.stdin, "buffer", None)
        if stream is None:
            raise TranscriptError("standard input is closed or not binary", path=path)
        yield _begin(stream, path, strict, report, columns, share)
        return
    try:
        file = open(path, "rb", buffering=0)  # noqa: SIM115 - closed by the `with` below
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        fault = TranscriptError(_why(error), path=path)
    else:
        with file:
            yield _begin(cast(BinaryIO, file), path, strict, report, columns, share)
        return
    raise fault


def _begin(
    stream: BinaryIO,
    path: str,
    strict: bool,
    report: ReadReport | None,
    columns: Mapping[str, str] | None,
    share: Share | None,
) -> Source:
    try:
        return Source(stream, path, strict=strict, report=report, columns=columns, share=share)
    except OSError as error:
        raise TranscriptError(_why(error), path=path) from error


def _why(error: Exception) -> str:
    """Say in plain words why a file cannot be opened or read."""
    match error:
        case FileNotFoundError() | NotADirectoryError():
            return "no such file"
        case IsADirectoryError():
            return "a directory, not a file"
        case PermissionError():
            return "permission denied"
        case OSError(strerror=str(text)):
            return f"cannot be read: {text}"
    return "cannot be read: not a file name"


class _Bytes(io.RawIOBase):
    """Let a buffered reader draw on any binary stream: after some bytes already read, and without closing it.

    ``read1`` is preferred to ``read``: it returns what is there, so that a pipe is read as it fills, and that what
    was unpacked before a gzip file breaks off is not thrown away with the exception.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._read: Callable[[int], bytes | None] = getattr(stream, "read1", None) or stream.read
        self._head = b""
        self._fault: Exception | None = None
        self.ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        size = min(len(buffer), CHUNK)
        if self._head:
            data, self._head = self._head[:size], self._head[size:]
        elif self._fault is not None:
            fault, self._fault = self._fault, None
            raise fault
        else:
            data = b"" if self.ended else self._read(size) or b""
        buffer[: len(data)] = data
        return len(data)

    def look(self, size: int) -> bytes:
        """Return the first `size` bytes (fewer at the end of the stream), which stay to be read."""
        while len(self._head) < size and self._more(size - len(self._head)):
            pass
        return self._head

    def look_at_lines(self, size: int) -> bytes:
        """Return the beginning, at most `size` bytes: of JSON Lines not more than is there, but a line at least.

        A pipe is read as it fills.  What breaks is raised when it is reached.
        """
        try:
            while self._more(size - len(self._head)) and len(self._head) < size and not self._has_record():
                pass
        except (*_UNPACKING, OSError) as fault:
            self._fault = fault
        return self._head

    def _has_record(self) -> bool:
        """Whether a first line is there that is complete in itself, and not the beginning of a document."""
        first, newline, _ = self._head.lstrip().partition(b"\n")
        return bool(newline) and not first.startswith((b"[", _BOM + b"[")) and first.rstrip()[-1:] not in (b"{", b",")

    def drop(self, size: int) -> bytes:
        """Take `size` bytes off the beginning; return what stays of it."""
        self._head = self._head[size:]
        return self._head

    def _more(self, size: int) -> bool:
        data = self._read(size) or b""
        if not isinstance(data, bytes):
            raise TypeError("a transcript is read as bytes: open the file in binary mode")
        self._head += data
        self.ended = not data
        return bool(data)
