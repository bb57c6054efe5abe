"""``agentbreaker tune``: calibrate the halt threshold on recorded conversations."""

from __future__ import annotations

import enum
import json
import math
import shlex
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

from agentbreaker import __version__
from agentbreaker.cli_files import (
    EXIT_UNREADABLE,
    Columns,
    FormatName,
    Strict,
    columns_of,
    progress_bar,
    read_files,
    refuse_to_overwrite,
    write_file,
)
from agentbreaker.errors import ConfigError, TranscriptError
from agentbreaker.policy import Policy
from agentbreaker.printable import printable
from agentbreaker.replay import ReplayReport
from agentbreaker.report.terminal import count_of, print_unreadable
from agentbreaker.transcripts import ReadReport
from agentbreaker.transcripts.formats import find_format
from agentbreaker.verdict import MAX_EVIDENCE

if TYPE_CHECKING:
    from agentbreaker.tune import TuneReport

__all__ = ["TuneFormat", "tune_command"]


class TuneFormat(enum.StrEnum):
    """What ``tune`` prints."""

    TEXT = "text"
    JSON = "json"
    MARKDOWN = "markdown"


def tune_command(
    corpus: Annotated[
        list[str],
        typer.Argument(
            help="Transcripts: files, globs, folders (of scenarios too), or - for standard input.", show_default=False
        ),
    ],
    labels: Annotated[
        Path | None,
        typer.Option(
            "--labels",
            help="JSON Lines with conversation_id, role (positive, negative, ignore), and optionally onset, family, "
            "source. Without it every conversation is taken as legitimate, but for those of scenario folders.",
            show_default=False,
        ),
    ] = None,
    policy: Annotated[
        Path | None, typer.Option("--policy", help="Policy to start from; without it the defaults.", show_default=False)
    ] = None,
    halt: Annotated[
        str,
        typer.Option("--halt", help="Thresholds to report on, such as 3,4,6; without it a series.", show_default=False),
    ] = "",
    max_false_halts: Annotated[
        float,
        typer.Option(
            "--max-false-halts", min=0, max=1, help="Tolerated share of halted legitimate conversations per source."
        ),
    ] = 0.01,
    max_warned: Annotated[
        float, typer.Option("--max-warned", min=0, max=1, help="The same for warned ones, where it can be reached.")
    ] = 0.02,
    max_early: Annotated[
        float,
        typer.Option("--max-early", min=0, max=1, help="Tolerated share of runaways halted before their loop begins."),
    ] = 0.02,
    split: Annotated[
        bool, typer.Option("--split", help="Choose on one half of the conversations, report on the other.")
    ] = False,
    show_all: Annotated[bool, typer.Option("--all", help="Every threshold at which anything changes.")] = False,
    output_format: Annotated[
        TuneFormat, typer.Option("--output-format", "-f", help="For people, one JSON document, or Markdown.")
    ] = TuneFormat.TEXT,
    write: Annotated[Path | None, typer.Option("--write", help="Policy file to write.", show_default=False)] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing file.")] = False,
    strict: Strict = False,
    format_name: FormatName = None,
    columns: Columns = None,
) -> None:
    """Choose the halt threshold on recorded conversations: false halts against delay, and a policy that follows."""
    # What only this command needs is imported here: a seventh of a second that no other command pays.
    from agentbreaker.labels import Labels, expand_corpus
    from agentbreaker.trails import measure
    from agentbreaker.tune import tune
    from agentbreaker.tuned_policy import policy_text

    rules = Policy(policy)
    thresholds = _thresholds(halt)
    if not all(map(math.isfinite, (max_false_halts, max_warned, max_early))):
        raise ConfigError("--max-false-halts, --max-warned and --max-early are shares from 0 to 1")
    if write is not None:
        refuse_to_overwrite(write, force=force)
    if format_name is not None:
        find_format(format_name)
    names = columns_of(columns)
    files = expand_corpus(corpus)
    known = Labels(labels)
    read, totals = ReadReport(), ReplayReport()
    broken: list[TranscriptError] = []
    errors = Console(stderr=True)
    with (progress := progress_bar(errors)) or nullcontext():
        messages = read_files(
            files, strict, read, broken, progress, doing="measuring", format_name=format_name, columns=names
        )
        trails = list(measure(messages, rules, report=totals))
    print_unreadable(errors, read, broken)
    if totals.forgotten:
        errors.print(
            Text(
                f"agentbreaker: {count_of(totals.forgotten, 'conversation')} forgotten in between for want of room, so "
                f"their evidence is too low: raise conversations.max_conversations"
            ),
            soft_wrap=True,
        )
    report = tune(
        trails,
        known,
        rules.settings.ladder,
        max_false_halts=max_false_halts,
        max_warned=max_warned,
        max_early=max_early,
        thresholds=thresholds,
        every=show_all,
        split=split,
    )
    _print(report, output_format, rules)
    if broken:
        if write is not None:
            errors.print(Text("agentbreaker: no policy is written: a file could not be read"), soft_wrap=True)
        raise SystemExit(EXIT_UNREADABLE)
    if write is not None:
        command = shlex.join(["agentbreaker", *sys.argv[1:]])
        write_file(write, policy_text(report, rules, command), force=force)
        errors.print(Text(f"wrote {printable(str(write))}"), soft_wrap=True)


def _thresholds(asked: str) -> list[float]:
    """Read the numbers of ``--halt``."""
    from agentbreaker.trails import LOWEST_EVIDENCE

    if not asked.strip():
        return []
    found = []
    for word in asked.split(","):
        try:
            value = float(word)
        except ValueError:
            raise ConfigError(
                f"--halt: {printable(word)!r} is not a number; give some such as 3,4,6", field="halt"
            ) from None
        if not LOWEST_EVIDENCE <= value <= MAX_EVIDENCE:
            raise ConfigError(f"--halt: {value:g} is not from {LOWEST_EVIDENCE:g} to {MAX_EVIDENCE:g}", field="halt")
        found.append(value)
    return found


def _print(report: TuneReport, output_format: TuneFormat, policy: Policy) -> None:
    from agentbreaker.report.tune_report import markdown_of, print_tune

    if output_format is TuneFormat.TEXT:
        print_tune(Console(highlight=False), report)
    elif output_format is TuneFormat.MARKDOWN:
        sys.stdout.write(markdown_of(report))
    else:
        document = {"agentbreaker": __version__, "policy": policy.source} | report.model_dump(mode="json")
        json.dump(document, sys.stdout, indent=2, ensure_ascii=True)
        sys.stdout.write("\n")
