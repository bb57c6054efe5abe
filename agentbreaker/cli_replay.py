"""``agentbreaker replay``: what would have been halted, where, and what came after it."""

from __future__ import annotations

import enum
import json
import shutil
import sys
import tempfile
from contextlib import ExitStack
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from agentbreaker import __version__
from agentbreaker.cli_files import (
    EXIT_UNREADABLE,
    JOBS_HELP,
    Columns,
    FormatName,
    PolicyFile,
    Strict,
    Transcripts,
    advance_of,
    columns_of,
    jobs_of,
    progress_bar,
)
from agentbreaker.errors import TranscriptError
from agentbreaker.interrupt import EXIT_INTERRUPTED, interruptible
from agentbreaker.parallel import replay_files
from agentbreaker.policy import Policy
from agentbreaker.replay import ConversationReport, ReplayReport
from agentbreaker.report.terminal import ReplayListing, count_of, print_unreadable
from agentbreaker.transcripts import ReadReport, expand_paths

__all__ = ["replay_command"]

EXIT_FINDINGS = 1
#: Characters of a JSON document that are held in memory until its totals are known; more are put into a file.
_HELD = 1024 * 1024


class OutputFormat(enum.StrEnum):
    """What ``replay`` prints."""

    TEXT = "text"
    JSON = "json"
    JSONL = "jsonl"


class FailOn(enum.StrEnum):
    """What makes ``replay`` exit with 1."""

    NEVER = "never"
    WARN = "warn"
    HALT = "halt"


def replay_command(
    paths: Transcripts,
    policy: PolicyFile = None,
    output_format: Annotated[
        OutputFormat, typer.Option("--output-format", "-f", help="For people, one JSON document, or one line each.")
    ] = OutputFormat.TEXT,
    fail_on: Annotated[FailOn, typer.Option("--fail-on", help="Exit with 1 if there is one of these.")] = FailOn.NEVER,
    strict: Strict = False,
    show_all: Annotated[bool, typer.Option("--all", help="List the quiet conversations too, however many.")] = False,
    incidents: Annotated[int, typer.Option("--incidents", min=0, help="Halts that are explained in full.")] = 3,
    format_name: FormatName = None,
    columns: Columns = None,
    jobs: Annotated[str, typer.Option("--jobs", "-j", help=JOBS_HELP)] = "1",
) -> None:
    """Replay recorded conversations: what would have been halted, where, and what came after it."""
    rules = Policy(policy)
    names = columns_of(columns)
    processes = jobs_of(jobs)
    files = expand_paths(paths)
    read, totals = ReadReport(), ReplayReport()
    broken: list[TranscriptError] = []
    errors = Console(stderr=True)
    progress = progress_bar(errors) if output_format is not OutputFormat.JSONL or not sys.stdout.isatty() else None
    found = False
    with ExitStack() as stack:
        listing = ReplayListing(
            Console(highlight=False),
            show_all=show_all,
            incidents=incidents,
            # The bar and a page would write over each other where both go to the terminal.
            page=progress.stop if progress is not None and sys.stdout.isatty() else lambda: None,
        )
        document = stack.enter_context(_Document()) if output_format is OutputFormat.JSON else None
        with interruptible() as stop, ExitStack() as showing:
            if progress is not None:
                showing.enter_context(progress)
            conversations = replay_files(
                files,
                rules,
                jobs=processes,
                strict=strict,
                format_name=format_name,
                columns=names,
                progress=advance_of(progress, files, "replaying"),
                read=read,
                broken=broken,
                report=totals,
                stop=stop,
            )
            for conversation in conversations:
                found = found or _matches(conversation, fail_on)
                if output_format is OutputFormat.JSONL:
                    sys.stdout.write(_line(conversation) + "\n")
                elif document is not None:
                    document.add(conversation)
                else:
                    listing.add(conversation)
        note = None
        if stop.cut_short:
            note = f"interrupted after {count_of(totals.messages, 'message')}; the figures cover what was read"
        if document is not None:
            document.print(totals, read, broken, rules, complete=note is None)
        elif output_format is OutputFormat.TEXT:
            listing.finish(totals, read, files=len(files) - len(broken), note=note)
    print_unreadable(errors, read, broken)
    if note is not None:
        errors.print(Text(f"agentbreaker: {note}"), soft_wrap=True)
        raise SystemExit(EXIT_INTERRUPTED)
    if broken:
        raise SystemExit(EXIT_UNREADABLE)
    if found:
        raise SystemExit(EXIT_FINDINGS)


def _line(conversation: ConversationReport) -> str:
    """One line of ``--output-format jsonl``, in ASCII: an id may hold half an emoji, or turn the reading direction."""
    return json.dumps(conversation.model_dump(mode="json"), separators=(",", ":"))


def _matches(conversation: ConversationReport, fail_on: FailOn) -> bool:
    if fail_on is FailOn.NEVER:
        return False
    return conversation.halted_at is not None or (fail_on is FailOn.WARN and conversation.warned_at is not None)


class _Document:
    """The JSON document: the totals come first in it and are known last, so the conversations wait in a file."""

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(_HELD, "w+", encoding="ascii")  # noqa: SIM115 - see __exit__
        self._count = 0

    def __enter__(self) -> _Document:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, conversation: ConversationReport) -> None:
        """Take the next conversation."""
        fields = conversation.model_dump(mode="json") | {"incident": conversation.incident}
        text = json.dumps(fields, indent=2, ensure_ascii=True).replace("\n", "\n    ")
        self._file.write(f"{',' if self._count else ''}\n    {text}")
        self._count += 1

    def print(
        self, totals: ReplayReport, read: ReadReport, broken: list[TranscriptError], policy: Policy, *, complete: bool
    ) -> None:
        """Print the document, as ``json.dumps(..., indent=2)`` would."""
        head: dict[str, Any] = {
            "agentbreaker": __version__,
            "policy": policy.source,
            "complete": complete,
            "summary": {
                "conversations": totals.conversations,
                "halted": totals.halted,
                "warned": totals.warned,
                "messages": totals.messages,
                "messages_after_halt": totals.messages_after_halt,
                "tokens": totals.tokens,
                "tokens_after_halt": totals.tokens_after_halt,
                "cost_usd": totals.cost_usd,
                "cost_usd_after_halt": totals.cost_usd_after_halt,
                "detectors": totals.detectors,
                "forgotten": totals.forgotten,
                "lines_skipped": read.skipped,
                "formats": read.formats,
                "skipped_because": read.reasons,
            },
            "unreadable": [str(error) for error in broken],
            "skipped": [str(error) for error in read.errors],
        }
        text = json.dumps(head, indent=2, ensure_ascii=True)
        sys.stdout.write(f'{text.removesuffix("}").rstrip()},\n  "conversations": [')
        self._file.seek(0)
        shutil.copyfileobj(self._file, sys.stdout)
        sys.stdout.write("\n  ]\n}\n" if self._count else "]\n}\n")
