"""Files on the command line: transcripts that are read with a progress bar, and a file that is written."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn

from agentbreaker.errors import ConfigError, TranscriptError
from agentbreaker.message import Message
from agentbreaker.transcripts import FoundFile, ReadReport, is_recording, read_transcript
from agentbreaker.transcripts.table import TABLE_FIELDS

__all__ = [
    "EXIT_UNREADABLE",
    "FORMAT_HELP",
    "MAP_HELP",
    "columns_of",
    "no_recording_among",
    "progress_bar",
    "read_files",
    "refuse_to_overwrite",
    "write_file",
]

#: Exit code where an input could not be read.
EXIT_UNREADABLE = 3
#: What ``--format`` and ``--map`` say of themselves, in every command that reads transcripts.
FORMAT_HELP = "How to read them (`agentbreaker formats`); without it each file's content tells."
MAP_HELP = "For CSV and Parquet: field=column, such as sender=from_agent; may be repeated."


def progress_bar(console: Console, doing: str) -> Progress | None:
    """A progress bar on a terminal, none in a pipe.

    Args:
        console: Where it would be shown.
        doing: What is being done (``"replaying"``).
    """
    if not console.is_terminal:
        return None
    return Progress(
        TextColumn(doing),
        BarColumn(),
        DownloadColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        # The bar is on standard error: what goes to standard output is none of its business.
        redirect_stdout=False,
        redirect_stderr=False,
    )


def columns_of(pairs: list[str] | None) -> dict[str, str]:
    """Read the ``field=column`` pairs of ``--map``.

    Raises:
        ConfigError: One is no such pair, or its field is none of a table's.
    """
    found = {}
    for pair in pairs or ():
        field, separator, column = pair.partition("=")
        if not separator or not field or not column:
            raise ConfigError(f"--map: {pair!r} is not field=column, such as sender=from_agent", field="map")
        if field not in TABLE_FIELDS:
            known = ", ".join(TABLE_FIELDS)
            raise ConfigError(f"--map: no field {field!r}; a table has {known}", field="map")
        found[field] = column
    return found


def read_files(
    files: list[str],
    strict: bool,
    read: ReadReport,
    broken: list[TranscriptError],
    progress: Progress | None,
    *,
    format_name: str | None = None,
    columns: Mapping[str, str] | None = None,
) -> Iterator[tuple[str, Message]]:
    """Yield the messages of all files with their file; one that cannot be read at all is noted, the others still read.

    Files of a folder that are no recordings are passed over; a folder of nothing else is noted.

    Args:
        files: As :func:`~agentbreaker.transcripts.expand_paths` returns them.
        strict: The first line or file that cannot be read is raised instead.
        read: Adds up what was read.
        broken: Takes the files that could not be read.
        progress: Shows how far it is, in bytes.
        format_name: What they all are; without it each file's content tells.
        columns: For tables: field of ours to the name of the column.

    Raises:
        TranscriptError: With `strict`.
    """
    sizes = {name: os.path.getsize(name) if os.path.isfile(name) else 0 for name in files}
    task = progress.add_task("read", total=sum(sizes.values()) or None) if progress is not None else None
    done = passed = 0
    for name in files:
        if format_name is None and isinstance(name, FoundFile) and not is_recording(name):
            read.pass_over(name)
            done, passed = done + sizes[name], passed + 1
            continue
        opened: AbstractContextManager[Any] = (
            open(name, "rb", buffering=0) if progress is not None and sizes[name] else nullcontext(name)  # noqa: SIM115
        )
        before = read.messages
        try:
            with opened as source:
                messages = read_transcript(source, strict=strict, report=read, format=format_name, columns=columns)
                for number, message in enumerate(messages):
                    if progress is not None and task is not None and number % 512 == 0 and source is not name:
                        progress.update(task, completed=done + source.tell())
                    yield name, message
            if read.messages == before:
                broken.append(TranscriptError("no line of it is a message", path=name))
        except TranscriptError as error:
            if strict:
                raise
            broken.append(error)
        except OSError as error:
            broken.append(TranscriptError(f"cannot be read: {error.strerror}", path=name))
        done += sizes[name]
    if passed == len(files) > 1:
        broken.append(no_recording_among(files))


def no_recording_among(files: list[str]) -> TranscriptError:
    """The error of folders that hold nothing but files of other kinds: they must not look like quiet recordings."""
    try:
        path = os.path.commonpath(files)
    except ValueError:
        path = os.path.dirname(files[0])
    return TranscriptError("no file of this folder is a recording", path=path)


def refuse_to_overwrite(path: Path, *, force: bool) -> None:
    """Raise :class:`ConfigError` if the file exists and `force` is not set: before the work, not after it."""
    if path.exists() and not force:
        raise ConfigError(f"{path}: exists already; --force overwrites it", source=str(path))


def write_file(path: Path, text: str, *, force: bool) -> None:
    """Write a text file.

    Raises:
        ConfigError: It exists and `force` is not set, or it cannot be written.
    """
    try:
        with path.open("w" if force else "x", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except FileExistsError:
        raise ConfigError(f"{path}: exists already; --force overwrites it", source=str(path)) from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {error.strerror}", source=str(path)) from None
