"""The transcript format version 1: JSON Lines, one message a line, plain or gzip.

A transcript is input that nobody has checked: it may be huge, cut, compressed a thousandfold or made to hurt.  It is
read as a stream, one line of at most :data:`MAX_LINE_BYTES` at a time, so that memory depends on the longest line
that is allowed and never on the file.  A line that cannot be read is counted, named by its number and skipped.
Reasons name fields, types and places, never what was found there: a transcript holds what people said.
"""

from __future__ import annotations

import gzip
import os
import sys
from collections.abc import Iterable, Iterator
from typing import BinaryIO, cast

from agentbreaker.message import Message
from agentbreaker.transcripts.records import MAX_LINE_BYTES, lines_of
from agentbreaker.transcripts.schema import UnreadableError, message_to_json, parse_line
from agentbreaker.transcripts.share import Share, id_in_line
from agentbreaker.transcripts.source import Source

__all__ = ["read_native", "write_transcript"]


def read_native(source: Source) -> Iterator[Message]:
    """Yield the messages of a transcript in our own format, while it is being read."""
    report = source.report
    if source.share is not None:
        yield from _read_share(source, source.share)
        return
    for line in lines_of(source, MAX_LINE_BYTES):
        try:
            message = parse_line(line)
        except UnreadableError as error:
            source.skip(error.reason, field=error.field)
        else:
            report.messages += 1
            yield message


def _read_share(source: Source, share: Share) -> Iterator[Message]:
    """Yield the messages of one share, and pass over the lines of the others."""
    report = source.report
    share.partial = True
    for line in lines_of(source, MAX_LINE_BYTES):
        name = id_in_line(line)
        if name is not None and share.owner(name) != share.number:
            source.passed += 1
            share.others(name)
            continue
        try:
            message = parse_line(line)
        except UnreadableError as error:
            source.skip(error.reason, field=error.field, own=name is not None)
            continue
        if name is None and not share.takes(message.conversation_id):
            source.passed += 1
            continue
        report.messages += 1
        share.position = source.line
        yield message


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
