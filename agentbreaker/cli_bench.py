"""``agentbreaker bench``: scenarios and labelled recordings through the engine, against expectations and a baseline."""

from __future__ import annotations

import enum
import json
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
    FORMAT_HELP,
    Columns,
    columns_of,
    read_files,
    write_file,
)
from agentbreaker.errors import ConfigError, TranscriptError
from agentbreaker.printable import printable
from agentbreaker.report.terminal import count_of, print_unreadable
from agentbreaker.transcripts import ReadReport
from agentbreaker.transcripts.formats import find_format

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agentbreaker.bench_baseline import Comparison
    from agentbreaker.bench_figures import BenchReport
    from agentbreaker.message import Message

__all__ = ["BenchFormat", "bench_command"]

_EXIT_FINDINGS = 1


class BenchFormat(enum.StrEnum):
    """What ``bench`` prints."""

    TEXT = "text"
    JSON = "json"
    MARKDOWN = "markdown"


def bench_command(
    paths: Annotated[
        list[str] | None,
        typer.Argument(
            help="Folders of scenarios, transcripts with a labels.jsonl beside them, or other transcripts, which are "
            "taken as legitimate. None: the scenarios that come with agentbreaker.",
            show_default=False,
        ),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            "--labels",
            help="Labels (JSON Lines, as for tune) of the transcripts that are no scenarios; without it the "
            "labels.jsonl beside each.",
            show_default=False,
        ),
    ] = None,
    policy: Annotated[
        Path | None,
        typer.Option("--policy", help="Policy file; scenarios lay their own sections over it.", show_default=False),
    ] = None,
    output_format: Annotated[
        BenchFormat, typer.Option("--output-format", "-f", help="For people, one JSON document, or Markdown.")
    ] = BenchFormat.TEXT,
    baseline: Annotated[
        Path | None,
        typer.Option(
            "--baseline",
            help="Compare with this file; exit with 1 if a conversation changed for the worse.",
            show_default=False,
        ),
    ] = None,
    update_baseline: Annotated[
        bool, typer.Option("--update-baseline", help="Write what was found to the baseline, instead of failing.")
    ] = False,
    tolerance: Annotated[
        int, typer.Option("--tolerance", min=0, help="A halt so many messages later than the baseline's is no change.")
    ] = 0,
    show_all: Annotated[bool, typer.Option("--all", help="List everything, however long.")] = False,
    strict: Annotated[
        bool,
        typer.Option(
            "--strict", help="A line that cannot be read is fatal instead of skipped; in scenarios it always is."
        ),
    ] = False,
    format_name: Annotated[
        str | None, typer.Option("--format", help=f"{FORMAT_HELP} Scenarios are in our own.", show_default=False)
    ] = None,
    columns: Columns = None,
) -> None:
    """Measure the engine on scenarios and labelled recordings: recall, delay, false halts, savings, speed."""
    # What only this command needs is imported here, so that no other command pays for it.
    from agentbreaker.bench import BenchPlan, run_bench
    from agentbreaker.bench_baseline import baseline_of, compare, read_baseline
    from agentbreaker.bench_figures import report_of
    from agentbreaker.scenario import shipped

    if update_baseline and baseline is None:
        raise ConfigError("--update-baseline needs --baseline FILE, the file to write")
    if format_name is not None:
        find_format(format_name)
    names = columns_of(columns)
    before = None if baseline is None or (update_baseline and not baseline.exists()) else read_baseline(baseline)
    plan = BenchPlan.of(paths or [str(shipped())], labels)
    read, broken = ReadReport(), list[TranscriptError]()
    errors = Console(stderr=True)

    def messages(name: str, scenario: bool) -> Iterator[tuple[str, Message]]:
        if scenario:
            return read_files([name], True, read, broken)
        return read_files([name], strict, read, broken, format_name=format_name, columns=names)

    with errors.status("benching") if errors.is_terminal else nullcontext():
        bench = run_bench(plan, messages, policy)
    print_unreadable(errors, read, broken)
    report = report_of(bench)
    comparison = None if before is None else compare(report.results, before, tolerance)
    _print(report, comparison, output_format, show_all)
    if broken:
        if update_baseline:
            errors.print(Text("agentbreaker: no baseline is written: a file could not be read"), soft_wrap=True)
        raise SystemExit(EXIT_UNREADABLE)
    if update_baseline and baseline is not None:
        write_file(baseline, baseline_of(report.results).to_json(), force=True)
        errors.print(Text(f"wrote {printable(str(baseline))}"), soft_wrap=True)
    elif comparison is not None and comparison.worse:
        _name_the_worse(errors, comparison)
        raise SystemExit(_EXIT_FINDINGS)


def _name_the_worse(errors: Console, comparison: Comparison) -> None:
    worse = comparison.worse
    errors.print(Text(f"agentbreaker: {count_of(len(worse), 'conversation')} changed for the worse:"), soft_wrap=True)
    for change in worse:
        errors.print(Text(f"  {printable(change.name)}"), soft_wrap=True)


def _print(report: BenchReport, comparison: Comparison | None, output_format: BenchFormat, show_all: bool) -> None:
    from agentbreaker.report.bench_report import bench_markdown, print_bench

    if output_format is BenchFormat.TEXT:
        print_bench(Console(highlight=False), report, comparison, show_all=show_all)
    elif output_format is BenchFormat.MARKDOWN:
        sys.stdout.write(bench_markdown(report, comparison, show_all=show_all))
    else:
        document = {"agentbreaker": __version__} | report.model_dump(mode="json")
        document["baseline"] = None if comparison is None else comparison.model_dump(mode="json")
        json.dump(document, sys.stdout, indent=2, ensure_ascii=True)
        sys.stdout.write("\n")
