"""``agentbreaker report``: how much of the bill was meetings, and would they have been stopped?"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from agentbreaker.accounting import Accountant
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
    read_files,
    refuse_to_overwrite,
    write_file,
)
from agentbreaker.currency import Currency
from agentbreaker.errors import TranscriptError
from agentbreaker.interrupt import EXIT_INTERRUPTED, interruptible
from agentbreaker.message import Message
from agentbreaker.parallel import replay_files
from agentbreaker.policy import Policy
from agentbreaker.printable import printable
from agentbreaker.replay import ConversationReport, ReplayReport
from agentbreaker.report.terminal import count_of, print_unreadable, reading_of
from agentbreaker.report.waste_files import ReportFormat, format_of, render
from agentbreaker.report.waste_terminal import print_waste
from agentbreaker.transcripts import ReadReport, expand_paths
from agentbreaker.transcripts.files import spool
from agentbreaker.transcripts.formats import find_format
from agentbreaker.transcripts.share import Reach
from agentbreaker.waste.analysis import analyse
from agentbreaker.waste.outcomes import read_outcomes
from agentbreaker.waste.trials import candidates_of

__all__ = ["report_command"]

#: Halts that get a page where nobody says how many: of the first one, most is on a screen.
_PAGES, _PAGES_AS_TEXT = 20, 1
_WHAT_IF_HELP = "Compare policies, such as ladder.halt=3,4,6; may be repeated."
_OUTCOMES_HELP = "CSV or JSON Lines with conversation_id, outcome (success or failure) and, if you like, group."


def report_command(
    paths: Transcripts,
    policy: PolicyFile = None,
    output: Annotated[
        list[Path] | None,
        typer.Option("--output", "-o", help="Write it too: .html, .md, .json or .jsonl; may be repeated."),
    ] = None,
    output_format: Annotated[
        ReportFormat, typer.Option("--output-format", "-f", help="What is printed.")
    ] = ReportFormat.TEXT,
    force: Annotated[bool, typer.Option("--force", help="Overwrite existing files.")] = False,
    outcomes: Annotated[Path | None, typer.Option("--outcomes", help=_OUTCOMES_HELP, show_default=False)] = None,
    what_if: Annotated[list[str] | None, typer.Option("--what-if", help=_WHAT_IF_HELP, show_default=False)] = None,
    incidents: Annotated[
        int | None,
        typer.Option("--incidents", min=0, max=500, help="Halts that get a page.", show_default="20, and 1 as text"),
    ] = None,
    excerpts: Annotated[
        bool, typer.Option("--excerpts/--no-excerpts", help="Whether the pages show what was said.")
    ] = True,
    currency: Annotated[
        str | None, typer.Option("--currency", help="Show money in this currency, such as CNY.", show_default=False)
    ] = None,
    usd_rate: Annotated[
        float | None, typer.Option("--usd-rate", help="How many of it one US dollar costs.", show_default=False)
    ] = None,
    strict: Strict = False,
    format_name: FormatName = None,
    columns: Columns = None,
    jobs: Annotated[str, typer.Option("--jobs", "-j", help=JOBS_HELP)] = "1",
) -> None:
    """Where the money went: what loops have cost, what halting them would save, and each halt on a page."""
    rules = Policy(policy)
    if not excerpts:
        rules = Policy(policy, conversations={**dict(rules.settings.conversations), "keep_excerpts": False})
    accountant = Accountant.of(rules.settings.prices)
    if currency is not None or usd_rate is not None:
        accountant = Accountant(accountant.pricing, Currency(currency or accountant.currency.code, usd_rate))
    candidates = candidates_of(what_if or (), rules)
    written = [(path, format_of(path)) for path in output or ()]
    for path, _ in written:
        refuse_to_overwrite(path, force=force)
    if format_name is not None:
        find_format(format_name)
    names = columns_of(columns)
    processes = jobs_of(jobs)
    book = read_outcomes(str(outcomes)) if outcomes is not None else None
    files = expand_paths(paths)
    read = ReadReport()
    broken: list[TranscriptError] = []
    errors = Console(stderr=True)
    progress = progress_bar(errors)
    with ExitStack() as stack:
        stop = stack.enter_context(interruptible())
        # By the place from which each file can be read again: that of a pipe is a copy.
        places = {name if (copy := spool(name, stack, stop)) is None else copy: name for name in files}
        stack.enter_context(progress or nullcontext())
        # The recordings are replayed under each policy, and read once more when it is known where the loops began.
        passes = ["replaying", *(f"trying {one.name}" for one in candidates), "adding up"]
        readings, reach = 0, Reach()

        def doing(number: int) -> str:
            return f"{passes[number]} ({number % len(passes) + 1} of {len(passes)})"

        def replayed(policy: Policy, totals: ReplayReport, keep: int) -> Iterator[ConversationReport]:
            nonlocal readings
            readings += 1
            # What is wrong with a file is told once.
            noted, faults = (read, broken) if readings == 1 else (ReadReport(), [])
            for conversation in replay_files(
                list(places),
                policy,
                jobs=processes,
                strict=strict,
                format_name=format_name,
                columns=names,
                progress=advance_of(progress, list(places), doing(readings - 1)),
                read=noted,
                broken=faults,
                report=totals,
                keep_incidents=keep,
                priced=True,
                stop=stop,
                reach=reach if readings == 1 else None,
            ):
                yield conversation.model_copy(update={"source": places[conversation.source]})

        def messages() -> Iterator[tuple[str, Message]]:
            reader = read_files(
                list(places),
                strict,
                ReadReport(),
                [],
                progress,
                doing=doing(-1),
                format_name=format_name,
                columns=names,
            )
            # Several processes have not got equally far when they are stopped.
            seen = reach.within(reader) if stop.cut_short and processes != 1 else reader
            told = False
            for place, message in seen:
                if stop.asked and not told:
                    told = True
                    errors.print(Text("agentbreaker: adding up what was read; Ctrl-C once more ends it unreported"))
                yield places[place], message

        result = analyse(
            messages,
            rules,
            made_at=datetime.now(UTC),
            accountant=accountant,
            outcomes=book,
            candidates=candidates,
            incidents=_PAGES if incidents is None else incidents,
            replayed=replayed,
            reading=lambda _: _reading(read, len(files) - len(broken)),
            interrupted=lambda: stop.cut_short,
        )
    if output_format is ReportFormat.TEXT:
        print_waste(Console(highlight=False), result, incidents=_PAGES_AS_TEXT if incidents is None else incidents)
    else:
        sys.stdout.write(render(result, output_format))
    for path, form in written:
        write_file(path, render(result, form), force=force)
        errors.print(Text(f"wrote {printable(str(path))}"), soft_wrap=True)
    for error in [*read.errors, *broken]:
        error.path = places.get(error.path, error.path)
    print_unreadable(errors, read, broken)
    if not result.complete:
        raise SystemExit(EXIT_INTERRUPTED)
    if broken:
        raise SystemExit(EXIT_UNREADABLE)


def _reading(read: ReadReport, files: int) -> str:
    return f"{reading_of(read)} from {count_of(files, 'file')}"
