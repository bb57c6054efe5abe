"""``agentbreaker formats`` and ``agentbreaker convert``: what can be read, and how it looks in our own format."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from agentbreaker.cli_files import (
    EXIT_UNREADABLE,
    Columns,
    FormatName,
    columns_of,
    progress_bar,
    read_files,
    refuse_to_overwrite,
)
from agentbreaker.errors import ConfigError, TranscriptError
from agentbreaker.interrupt import EXIT_INTERRUPTED, interruptible
from agentbreaker.message import Message
from agentbreaker.printable import printable
from agentbreaker.report.terminal import print_unreadable, reading_of
from agentbreaker.transcripts import FORMATS, ReadReport, expand_paths, write_transcript
from agentbreaker.transcripts.apart import kept_apart
from agentbreaker.transcripts.formats import find_format, other_formats

__all__ = ["convert_command", "formats_command"]


def formats_command() -> None:
    """List the formats that are read."""
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for one in FORMATS:
        table.add_row(one.name, Text(one.title))
    for name, point in other_formats().items():
        # Not loaded for the list: that would run code of which nobody spoke.
        table.add_row(Text(printable(name)), Text(f"reader of another distribution: {printable(point.value)}"))
    Console(highlight=False).print(table)


def convert_command(
    source: Annotated[
        list[str],
        typer.Argument(help="What to read: files, globs, folders, or - for standard input.", show_default=False),
    ],
    target: Annotated[
        str,
        typer.Argument(help="JSON Lines to write; *.gz is compressed, - is standard output.", show_default=False),
    ],
    format_name: FormatName = None,
    columns: Columns = None,
    join: Annotated[
        bool, typer.Option("--join", help="The files are parts of one recording: a conversation may go on in the next.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing file.")] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="A record that cannot be read is fatal instead of skipped.")
    ] = False,
) -> None:
    """Write recordings of other systems in agentbreaker's own format.

    The same id in two files is two conversations, and is written as two; with --join it is one.
    """
    if format_name is not None:
        find_format(format_name)
    names = columns_of(columns)
    if target != "-":
        refuse_to_overwrite(Path(target), force=force)
    files = expand_paths(source)
    if target != "-" and any(name != "-" and _same(name, target) for name in files):
        raise ConfigError(f"{target}: is one of the files that are read")
    read = ReadReport(joined=join)
    broken: list[TranscriptError] = []
    errors = Console(stderr=True)
    with interruptible() as stop, (progress := progress_bar(errors)) or nullcontext():
        messages = stop.over(
            read_files(
                files, strict, read, broken, progress, doing="converting", format_name=format_name, columns=names
            ),
            may_wait=not all(map(os.path.isfile, files)),
        )
        try:
            write_transcript(_only_messages(messages if join else kept_apart(messages)), target)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise ConfigError(f"{target}: cannot be written: {error.strerror}", source=target) from None
    if target == "-":
        sys.stdout.flush()
    errors.print(Text(reading_of(read)), soft_wrap=True)
    print_unreadable(errors, read, broken)
    if stop.cut_short:
        errors.print(Text("agentbreaker: interrupted; what was read until then is written"), soft_wrap=True)
        raise SystemExit(EXIT_INTERRUPTED)
    if broken:
        raise SystemExit(EXIT_UNREADABLE)


def _only_messages(messages: Iterator[tuple[str, Message]]) -> Iterator[Message]:
    for _, message in messages:
        yield message


def _same(name: str, target: str) -> bool:
    return os.path.exists(target) and os.path.samefile(name, target)
