"""The messages of many files, one file after the other; one that cannot be read does not hide the others."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import Any, Final

from agentbreaker.errors import TranscriptError
from agentbreaker.interrupt import Interruption
from agentbreaker.message import Message
from agentbreaker.transcripts.formats import is_recording, read_transcript
from agentbreaker.transcripts.paths import FoundFile
from agentbreaker.transcripts.reading import ReadReport
from agentbreaker.transcripts.share import Share

__all__ = ["NO_MESSAGE", "Advance", "read_file", "read_files_to_the_end", "recordings", "size_of", "spool"]

#: Called with the bytes that were read of all files so far, as they are on disk, and the messages.
Advance = Callable[[int, int], object]
#: What is wrong with a file that was read, and in which every line is broken.
NO_MESSAGE: Final = "no line of it is a message"
_MESSAGES_AT_ONCE: Final = 512
_CHUNK: Final = 1024 * 1024


def size_of(name: str) -> int:
    """Bytes of a file; 0 where there is no telling."""
    try:
        return os.path.getsize(name) if os.path.isfile(name) else 0
    except OSError:
        return 0


def read_file(
    name: str,
    *,
    strict: bool,
    read: ReadReport,
    broken: list[TranscriptError],
    format_name: str | None = None,
    columns: Mapping[str, str] | None = None,
    advance: Advance | None = None,
    done: int = 0,
    share: Share | None = None,
    path: str | None = None,
) -> Iterator[Message]:
    """Yield the messages of a file; note in `broken` that it cannot be read.

    Args:
        name: As the user named it.
        strict: The first fault is raised instead.
        read: Adds up what was read.
        broken: Takes the fault, if there is one.
        format_name: What it is; without it its content tells.
        columns: For tables: field of ours to the name of the column.
        advance: Called now and then.
        done: Bytes of the files before it.
        share: The conversations that are wanted; without it all.
        path: Where it really is, if not where its name says.

    Raises:
        TranscriptError: With `strict`.
    """
    where = path or name
    known = advance is not None and size_of(where) > 0
    try:
        opened: AbstractContextManager[Any] = (
            open(where, "rb", buffering=0) if known or path is not None else nullcontext(name)  # noqa: SIM115
        )
        with opened as source:
            if path is not None:
                source.name = name
            messages = read_transcript(
                source, strict=strict, report=read, format=format_name, columns=columns, share=share
            )
            if advance is None:
                yield from messages
                return
            for number, message in enumerate(messages):
                if number % _MESSAGES_AT_ONCE == 0:
                    advance(done + source.tell() if known else done, read.messages)
                yield message
    except TranscriptError as error:
        if strict:
            raise
        broken.append(error)
    except OSError as error:
        broken.append(TranscriptError(f"cannot be read: {error.strerror}", path=name))


def recordings(
    files: Sequence[str],
    read: ReadReport,
    broken: list[TranscriptError],
    format_name: str | None = None,
    columns: Mapping[str, str] | None = None,
) -> Iterator[str]:
    """Yield the files that are to be read, each looked at when its turn comes.

    A file that was only found in a folder (:class:`~agentbreaker.transcripts.paths.FoundFile`) is passed over if no
    format knows it; folders of nothing else are noted in `broken`: they must not look like quiet recordings.

    Args:
        files: As :func:`~agentbreaker.transcripts.expand_paths` returns them.
        read: Takes what was passed over.
        broken: Takes the fault, if there is one.
        format_name: What they all are: nothing is passed over then.
        columns: For tables: field of ours to the name of the column.
    """
    passed = 0
    for name in files:
        if format_name is None and isinstance(name, FoundFile) and not is_recording(name, columns):
            read.pass_over(name)
            passed += 1
        else:
            yield name
    if passed == len(files) > 1:
        try:
            folder = os.path.commonpath(files)
        except ValueError:
            folder = os.path.dirname(files[0])
        broken.append(TranscriptError("no file of this folder is a recording", path=folder))


def read_files_to_the_end(
    files: Sequence[str],
    *,
    strict: bool,
    read: ReadReport,
    broken: list[TranscriptError],
    format_name: str | None = None,
    columns: Mapping[str, str] | None = None,
    advance: Advance | None = None,
) -> Iterator[tuple[str, Message | None]]:
    """Yield the messages of all files with their file, and ``None`` where a file ends.

    Files of a folder that are no recordings are passed over, see :func:`recordings`.

    Args and Raises: As :func:`read_file`.
    """
    done = 0
    for name in recordings(files, read, broken, format_name, columns):
        before, faults = read.messages, len(broken)
        for message in read_file(
            name,
            strict=strict,
            read=read,
            broken=broken,
            format_name=format_name,
            columns=columns,
            advance=advance,
            done=done,
        ):
            yield name, message
        if read.messages == before and len(broken) == faults:
            broken.append(TranscriptError(NO_MESSAGE, path=name))
        yield name, None
        if advance is not None:
            done += size_of(name)
            advance(done, read.messages)


def spool(name: str, stack: ExitStack, stop: Interruption) -> str | None:
    """Put a pipe into a temporary file, as it can be read only once; return its path, ``None`` for everything else.

    Args:
        name: As the user named it, ``"-"`` for standard input; the path is ``""`` where that is closed.
        stack: Removes the file in the end.
        stop: Ends the copying early; what is there is still read, and that can be interrupted too.

    Raises:
        TranscriptError: There is no room for it.
    """
    if name == "-":
        source = getattr(sys.stdin, "buffer", None)
        if source is None:
            return ""  # where nothing is; the standard input of the processes is not for them to read
    elif os.path.exists(name) and not os.path.isfile(name) and not os.path.isdir(name):
        source = stack.enter_context(open(name, "rb"))  # noqa: SIM115
    else:
        return None
    path = os.path.join(stack.enter_context(tempfile.TemporaryDirectory(prefix="agentbreaker-")), "input")
    try:
        with open(path, "wb") as target:
            for chunk in stop.over(iter(lambda: source.read1(_CHUNK), b""), may_wait=True):
                target.write(chunk)
    except OSError as error:
        raise TranscriptError(f"cannot be put into a temporary file: {error.strerror}", path=name) from None
    # What is there is still judged; that can be interrupted too.
    stop.asked = False
    return path
