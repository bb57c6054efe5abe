"""The transcript format version 1: JSON Lines, one message a line, plain or gzip.

A transcript is input that nobody has checked: it may be huge, cut, compressed a thousandfold or made to hurt.  It is
read as a stream, one line of at most :data:`MAX_LINE_BYTES` at a time, so that memory depends on the longest line
that is allowed and never on the file.  A line that cannot be read is counted, named by its number and skipped.
Reasons name fields, types and places, never what was found there: a transcript holds what people said.
"""

from __future__ import annotations

import gzip
import io
import os
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Final, cast

from agentbreaker.errors import TranscriptError
from agentbreaker.message import Message
from agentbreaker.transcripts.schema import UnreadableError, message_to_json, parse_line

__all__ = ["MAX_LINE_BYTES", "ReadReport", "read_transcript", "write_transcript"]

#: Longest line that is read, in bytes without its line end; a longer one is discarded as it streams by.
MAX_LINE_BYTES: Final = 8 * 1024 * 1024
_MAX_ERRORS: Final = 20
_CHUNK: Final = 64 * 1024
_BOM: Final = b"\xef\xbb\xbf"
_GZIP_MAGIC: Final = b"\x1f\x8b"
_FOREIGN: Final = {
    b"\xff\xfe": "UTF-16 text, not UTF-8",
    b"\xfe\xff": "UTF-16 text, not UTF-8",
    b"PK\x03\x04": "a zip archive, not JSON Lines; unpack it first",
    b"\x28\xb5\x2f\xfd": "zstd data, not JSON Lines; unpack it first",
}


@dataclass(slots=True)
class ReadReport:
    """What happened while reading; may be handed to several :func:`read_transcript` calls to add them up.

    Attributes:
        lines: Physical lines seen: messages, skipped and blank ones together.
        messages: Lines that became a message.
        skipped: Lines that could not be read.
        blank: Empty lines, which are no fault.
        truncated: Compressed files that broke off; what came before was read.
        errors: The first 20 faults, as they would have been raised with ``strict``; a file that breaks off takes the
            last place if there is none left.
    """

    lines: int = 0
    messages: int = 0
    skipped: int = 0
    blank: int = 0
    truncated: int = 0
    errors: list[TranscriptError] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether everything could be read."""
        return not self.skipped and not self.truncated

    def _keep(self, error: TranscriptError, *, important: bool = False) -> None:
        if len(self.errors) < _MAX_ERRORS:
            self.errors.append(error)
        elif important:
            self.errors[-1] = error


def read_transcript(
    source: str | os.PathLike[str] | BinaryIO, *, strict: bool = False, report: ReadReport | None = None
) -> Iterator[Message]:
    """Yield the messages of a transcript, in the order of the file, while it is being read.

    Args:
        source: A file name, ``"-"`` for standard input, or an open binary stream, which stays open.  Gzip is told by
            its first bytes, not by its name.
        strict: Raise at the first line that cannot be read, instead of counting and skipping it.
        report: Filled while the messages are consumed.

    Raises:
        TranscriptError: On first use of the iterator: the file is missing, a directory, not permitted, empty, or not
            text.  With `strict` also: a line that cannot be read, a gzip file that is cut or corrupt.
    """
    report = ReadReport() if report is None else report
    if not isinstance(source, str | os.PathLike):
        name = getattr(source, "name", None)
        yield from _read(source, name if isinstance(name, str) else "<stream>", strict, report)
        return
    path = os.fspath(source)
    if path == "-":
        stream: BinaryIO | None = getattr(sys.stdin, "buffer", None)
        if stream is None:
            raise TranscriptError("standard input is closed or not binary", path=path)
        yield from _read(stream, path, strict, report)
        return
    try:
        file = open(path, "rb", buffering=0)  # noqa: SIM115 - closed by the `with` below
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        fault = TranscriptError(_why(error), path=path)
    else:
        with file:
            yield from _read(cast(BinaryIO, file), path, strict, report)
        return
    raise fault


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


class _Source(io.RawIOBase):
    """Let a buffered reader draw on any binary stream: after a few bytes already read, and without closing it.

    ``read1`` is preferred to ``read``: it returns what is there, so that a pipe is read as it fills, and that what
    was unpacked before a gzip file breaks off is not thrown away with the exception.
    """

    def __init__(self, stream: BinaryIO, head: bytes = b"") -> None:
        self._read: Callable[[int], bytes | None] = getattr(stream, "read1", None) or stream.read
        self._head = head

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data, self._head = self._head or self._read(min(len(buffer), _CHUNK)) or b"", b""
        buffer[: len(data)] = data
        return len(data)

    def start(self) -> bytes:
        """Return the first four bytes (fewer at the end of the stream), which stay to be read."""
        while len(self._head) < 4:
            data = self._read(4 - len(self._head)) or b""
            if not isinstance(data, bytes):
                raise TypeError("a transcript is read as bytes: open the file in binary mode")
            if not data:
                break
            self._head += data
        return self._head


def _read(stream: BinaryIO, path: str, strict: bool, report: ReadReport) -> Iterator[Message]:
    """Yield the messages of one open stream; all faults of lines and files end here."""
    before = report.messages + report.skipped
    number = 0
    try:
        source = _Source(stream)
        head = source.start()
        for magic, what in _FOREIGN.items():
            if head.startswith(magic):
                raise TranscriptError(what, path=path)
        if head.startswith(_GZIP_MAGIC):
            unpacked = gzip.GzipFile(fileobj=io.BufferedReader(source, _CHUNK))
            source = _Source(cast(BinaryIO, unpacked))
        with closing(io.BufferedReader(source, _CHUNK)) as lines:
            readline = lines.readline
            while line := readline(MAX_LINE_BYTES + 1):
                number += 1
                report.lines += 1
                if number == 1:
                    line = line.removeprefix(_BOM)
                try:
                    if len(line) > MAX_LINE_BYTES and not line.endswith(b"\n"):
                        while line and not line.endswith(b"\n"):
                            line = readline(_CHUNK)
                        raise UnreadableError(f"longer than {MAX_LINE_BYTES // 1024**2} MiB")
                    if not line or line.isspace():
                        report.blank += 1
                        continue
                    message = parse_line(line)
                except UnreadableError as error:
                    bad = TranscriptError(error.reason, path=path, line=number, field=error.field)
                else:
                    report.messages += 1
                    yield message
                    continue
                report.skipped += 1
                report._keep(bad)
                if strict:
                    raise bad
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        report.truncated += 1
        what = "truncated gzip" if isinstance(error, EOFError) else "corrupt gzip"
        cut = TranscriptError(
            f"{what}: nothing after this line could be read" if number else f"{what}: nothing in it could be read",
            path=path,
            line=number or None,
        )
        report._keep(cut, important=True)
        if strict or not number:
            raise cut from None
        return
    except OSError as error:
        raise TranscriptError(_why(error), path=path, line=number or None) from error
    if report.messages + report.skipped == before:
        raise TranscriptError("only blank lines" if number else "empty", path=path)


def write_transcript(messages: Iterable[Message], file: str | os.PathLike[str] | BinaryIO) -> int:
    """Write messages as a transcript and return how many.

    Args:
        messages: Consumed one by one.
        file: A file name (``*.gz`` is compressed, ``"-"`` is standard output) or a binary stream, which stays open.

    Raises:
        OSError: The file cannot be written.
    """
    if isinstance(file, str | os.PathLike):
        path = os.fspath(file)
        if path == "-":
            return write_transcript(messages, sys.stdout.buffer)
        with open(path, "wb") as plain:
            if not path.endswith(".gz"):
                return write_transcript(messages, plain)
            with gzip.GzipFile(filename="", mode="wb", fileobj=plain, mtime=0) as packed:
                return write_transcript(messages, cast(BinaryIO, packed))
    count = 0
    for message in messages:
        file.write(message_to_json(message).encode() + b"\n")
        count += 1
    return count
