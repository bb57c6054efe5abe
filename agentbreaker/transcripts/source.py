"""A recording as bytes that nobody has checked: opened, unpacked, its beginning looked at, its faults counted.

Every format is read through a :class:`Source`.  It knows where in the file the reader is, so that a fault names file,
line and field, and it sees to it that memory depends on a limit and never on the file.
"""

from __future__ import annotations

import gzip
import io
import os
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Any, BinaryIO, Final, cast

from agentbreaker.errors import TranscriptError
from agentbreaker.message import Message
from agentbreaker.transcripts.reading import ReadReport
from agentbreaker.transcripts.share import Share

__all__ = ["CHUNK", "HEAD_BYTES", "MAX_COPIED_BYTES", "PARQUET", "SQLITE", "ZIP", "Source", "open_source"]

CHUNK: Final = 64 * 1024
#: So much of the beginning is looked at to tell the format.
HEAD_BYTES: Final = 64 * 1024
#: A database or table that comes through a pipe or packed is copied to a temporary file, up to so many bytes.
MAX_COPIED_BYTES: Final = 1024**3
#: How the files begin that are no text, and that a library reads.
SQLITE: Final = b"SQLite format 3\0"
PARQUET: Final = b"PAR1"
ZIP: Final = b"PK\x03\x04"
#: Names of the first member of the archives that Inspect writes.
_EVAL_MEMBERS: Final = (b"_journal/", b"samples/", b"header.json", b"summaries.json", b"reductions.json")
_BOM: Final = b"\xef\xbb\xbf"
_GZIP_MAGIC: Final = b"\x1f\x8b"
_FOREIGN: Final = {
    b"\xff\xfe": "UTF-16 text, not UTF-8",
    b"\xfe\xff": "UTF-16 text, not UTF-8",
    b"\x28\xb5\x2f\xfd": "zstd data, not JSON Lines; unpack it first",
}
_UNPACKING = (EOFError, zlib.error, gzip.BadGzipFile)


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
        file: Name of the file that `stream` reads as it is; ``None`` for what is packed or comes through a pipe.
        line: Number of the line that is being read, counted from 1; 0 before the first.
        share: The conversations that are wanted, ``None``: all.
        passed: Lines or records that another share counts.
    """

    __slots__ = (
        "_copy",
        "columns",
        "complete",
        "file",
        "head",
        "line",
        "passed",
        "path",
        "report",
        "share",
        "stream",
        "strict",
    )

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
        self.file = _name_of(stream)
        self._copy: tempfile.TemporaryDirectory[str] | None = None
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
            self.file = None
        if raw.peek(4) == ZIP and not raw.peek(64)[30:].startswith(_EVAL_MEMBERS):
            raise TranscriptError("a zip archive, not JSON Lines; unpack it first", path=path)
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
            self.report.skip(error)
        else:
            self.passed += 1
        if self.strict:
            raise error

    @property
    def _first(self) -> bool:
        """Whether what belongs to no conversation is counted here."""
        return self.share is None or self.share.number == 0

    def local(self) -> str:
        """Return the name of a file that holds the recording, for libraries that read nothing else.

        What is packed or comes through a pipe is copied; the copy is gone when the source is closed.

        Raises:
            TranscriptError: It is larger than :data:`MAX_COPIED_BYTES`.
        """
        if self.file is None:
            self._copy = tempfile.TemporaryDirectory(prefix="agentbreaker-")
            self.file = os.path.join(self._copy.name, "recording")
            left = MAX_COPIED_BYTES
            with open(self.file, "wb") as copy:
                while left > 0 and (data := self.stream.read(CHUNK)):
                    left -= copy.write(data)
            if left <= 0:
                gib = MAX_COPIED_BYTES // 1024**3
                raise TranscriptError(f"longer than {gib} GiB; unpack it to a file first", path=self.path)
        return self.file

    def close(self) -> None:
        """Remove the copy, if one was made."""
        if self._copy is not None:
            self._copy.cleanup()
            self._copy = None

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
                report.keep(cut, important=True)
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
        with closing(_begin(source, path, strict, report, columns, share)) as opened:
            yield opened
        return
    path = os.fspath(source)
    if path == "-":
        stream: BinaryIO | None = getattr(sys.stdin, "buffer", None)
        if stream is None:
            raise TranscriptError("standard input is closed or not binary", path=path)
        with closing(_begin(stream, path, strict, report, columns, share)) as opened:
            yield opened
        return
    try:
        file = open(path, "rb", buffering=0)  # noqa: SIM115 - closed by the `with` below
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        fault = TranscriptError(_why(error), path=path)
    else:
        with file, closing(_begin(cast(BinaryIO, file), path, strict, report, columns, share)) as opened:
            yield opened
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


def _name_of(stream: BinaryIO) -> str | None:
    """The name of the regular file that a stream reads from its beginning, if that is what it does."""
    raw = getattr(stream, "raw", stream)
    name = getattr(raw, "name", None)
    if not isinstance(raw, io.FileIO) or not isinstance(name, str):
        return None
    try:
        own = os.fstat(raw.fileno())
        same = os.path.samestat(own, os.stat(name)) and os.path.isfile(name) and stream.tell() == 0
    except (OSError, ValueError):
        return None
    return name if same else None


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

    def peek(self, size: int) -> bytes:
        """Return the first `size` bytes; what breaks is raised when it is reached."""
        try:
            return self.look(size)[:size]
        except (*_UNPACKING, OSError) as fault:
            self._fault = fault
            return self._head

    def look_at_lines(self, size: int) -> bytes:
        """Return the beginning, at most `size` bytes: of JSON Lines not more than is there, but a line at least.

        A pipe is read as it fills.  What breaks is raised when it is reached.
        """
        try:
            while self._fault is None and self._more(size - len(self._head)) and not self._enough(size):
                pass
        except (*_UNPACKING, OSError) as fault:
            self._fault = fault
        return self._head

    def _enough(self, size: int) -> bool:
        return len(self._head) >= size or self._has_record()

    def _has_record(self) -> bool:
        """Whether a first line is there that is complete in itself, and not the beginning of a document."""
        if self._head.startswith((SQLITE, PARQUET, ZIP)):
            return False
        first, newline, _ = self._head.lstrip().partition(b"\n")
        return (
            bool(newline)
            and not first.startswith((b"[", _BOM + b"["))
            and first.rstrip()[-1:] not in (b"{", b"[", b",")
        )

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
