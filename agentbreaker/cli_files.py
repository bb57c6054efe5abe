"""Files on the command line: transcripts that are read with a progress bar, and a file that is written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from agentbreaker.errors import ConfigError, TranscriptError
from agentbreaker.message import Message
from agentbreaker.parallel import MAX_JOBS
from agentbreaker.printable import printable
from agentbreaker.transcripts import ReadReport
from agentbreaker.transcripts.files import Advance, read_files_to_the_end, size_of
from agentbreaker.transcripts.table import TABLE_FIELDS

__all__ = [
    "EXIT_UNREADABLE",
    "FORMAT_HELP",
    "JOBS_HELP",
    "MAP_HELP",
    "Columns",
    "FormatName",
    "PolicyFile",
    "Strict",
    "Transcripts",
    "advance_of",
    "columns_of",
    "jobs_of",
    "progress_bar",
    "read_files",
    "refuse_to_overwrite",
    "write_file",
]

#: Exit code where an input could not be read.
EXIT_UNREADABLE = 3
#: What ``--format`` and ``--map`` say of themselves, in every command that reads transcripts.
FORMAT_HELP = "How to read them (`agentbreaker formats`); without it each file's content tells."
JOBS_HELP = "Processes, by conversation; 0 or auto: one for each processor. The result is the same."
MAP_HELP = "For CSV and Parquet: field=column, such as sender=from_agent; may be repeated."

#: Arguments and options that the commands share; their defaults are ``None`` and ``False``.
Transcripts = Annotated[
    list[str], typer.Argument(help="Transcripts: files, globs, folders, or - for standard input.", show_default=False)
]
PolicyFile = Annotated[
    Path | None, typer.Option("--policy", help="Policy file (TOML); without it the defaults.", show_default=False)
]
Strict = Annotated[bool, typer.Option("--strict", help="A line that cannot be read is fatal instead of skipped.")]
FormatName = Annotated[str | None, typer.Option("--format", help=FORMAT_HELP, show_default=False)]
Columns = Annotated[list[str] | None, typer.Option("--map", help=MAP_HELP, show_default=False)]


class _RateColumn(ProgressColumn):
    """Messages a second, since the beginning."""

    def render(self, task: Task) -> Text:
        """Return the rate of a task that counts messages."""
        # What is done has its rate for good.
        elapsed, messages = task.finished_time or task.elapsed, task.fields.get("messages", 0)
        return Text(f"{messages / elapsed:,.0f} messages/s" if elapsed and messages else "")


def progress_bar(console: Console) -> Progress | None:
    """A progress bar on a terminal, none in a pipe: bytes, messages a second, and the time that is left.

    Args:
        console: Where it would be shown.
    """
    if not console.is_terminal:
        return None
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        _RateColumn(),
        TimeRemainingColumn(),
        TextColumn("left"),
        console=console,
        transient=True,
        # The bar is on standard error: what goes to standard output is none of its business.
        redirect_stdout=False,
        redirect_stderr=False,
    )


def advance_of(progress: Progress | None, files: list[str], doing: str) -> Advance | None:
    """Return what moves a progress bar on, ``None`` without one: it takes bytes and messages that were read so far.

    Args:
        progress: Where it is shown; what was shown there before is taken away, as there is one reading at a time.
        files: What is read.
        doing: What is being done (``"replaying"``).
    """
    if progress is None:
        return None
    for former in progress.task_ids:
        progress.remove_task(former)
    task = progress.add_task(printable(doing), total=sum(map(size_of, files)) or None, messages=0)
    return lambda done, messages: progress.update(task, completed=done, messages=messages)


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


def jobs_of(text: str) -> int:
    """Read ``--jobs``: a number of processes, 0 for one on each processor.

    Raises:
        ConfigError: It is neither a number nor ``auto``.
    """
    if text == "auto":
        return 0
    if not text.isascii() or not text.isdecimal() or not 0 <= int(text[:6]) <= MAX_JOBS:
        raise ConfigError(f"--jobs: a number of processes up to {MAX_JOBS}, or auto, not {text!r}", field="jobs")
    return int(text)


def read_files(
    files: list[str],
    strict: bool,
    read: ReadReport,
    broken: list[TranscriptError],
    progress: Progress | None = None,
    *,
    doing: str = "reading",
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
        doing: What is shown beside it.
        format_name: What they all are; without it each file's content tells.
        columns: For tables: field of ours to the name of the column.

    Raises:
        TranscriptError: With `strict`.
    """
    messages = read_files_to_the_end(
        files,
        strict=strict,
        read=read,
        broken=broken,
        format_name=format_name,
        columns=columns,
        advance=advance_of(progress, files, doing),
    )
    for name, message in messages:
        if message is not None:
            yield name, message


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
