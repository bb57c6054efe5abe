"""``agentbreaker check``: the gate for one's own recorded runs, in the formats that CI understands."""

from __future__ import annotations

import enum
import os
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from agentbreaker import __version__
from agentbreaker.check import FailOn, Limits, check, money_of, share_of
from agentbreaker.cli_files import (
    EXIT_UNREADABLE,
    Columns,
    FormatName,
    PolicyFile,
    Strict,
    Transcripts,
    columns_of,
)
from agentbreaker.errors import ConfigError, TranscriptError
from agentbreaker.policy import Policy
from agentbreaker.report.terminal import print_unreadable
from agentbreaker.transcripts import ReadReport, expand_paths
from agentbreaker.transcripts.files import read_files_to_the_end
from agentbreaker.transcripts.formats import find_format

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agentbreaker.check import CheckReport
    from agentbreaker.message import Message

__all__ = ["CheckFormat", "check_command"]

_EXIT_FINDINGS = 1


class CheckFormat(enum.StrEnum):
    """What ``check`` prints."""

    TEXT = "text"
    JSON = "json"
    JUNIT = "junit"
    GITHUB = "github"
    GITLAB = "gitlab"
    SARIF = "sarif"
    MARKDOWN = "markdown"


def check_command(
    paths: Transcripts,
    policy: PolicyFile = None,
    fail_on: Annotated[
        FailOn, typer.Option("--fail-on", help="Exit with 1 if a conversation is halted, or even warned.")
    ] = FailOn.HALT,
    max_waste: Annotated[
        str | None,
        typer.Option(
            "--max-waste",
            help="Exit with 1 if a larger share of all tokens (messages, where none are on record) lies in loops; "
            "10% or 0.1.",
            show_default=False,
        ),
    ] = None,
    max_cost: Annotated[
        str | None,
        typer.Option(
            "--max-cost",
            help="Exit with 1 if all conversations together cost more US dollars: as recorded, else at list price.",
            show_default=False,
        ),
    ] = None,
    output_format: Annotated[
        CheckFormat,
        typer.Option(
            "--output-format",
            "-f",
            help="github: annotations, and a summary in $GITHUB_STEP_SUMMARY; gitlab: Code Quality.",
        ),
    ] = CheckFormat.TEXT,
    output_file: Annotated[
        Path | None,
        typer.Option(
            "--output-file",
            "-o",
            help="Write it to this file instead; the summary is still printed.",
            show_default=False,
        ),
    ] = None,
    incidents: Annotated[int, typer.Option("--incidents", min=0, help="Halts that the text explains in full.")] = 3,
    strict: Strict = False,
    format_name: FormatName = None,
    columns: Columns = None,
) -> None:
    """Gate recorded runs: exit with 1 on a halt, on too much waste, on too high a cost."""
    limits = Limits(
        fail_on,
        None if max_waste is None else share_of(max_waste, "--max-waste"),
        None if max_cost is None else money_of(max_cost, "--max-cost"),
    )
    if output_file is not None and output_format in (CheckFormat.TEXT, CheckFormat.GITHUB):
        raise ConfigError(f"--output-file is not for {output_format}, which is read from the log")
    rules = Policy(policy)
    if format_name is not None:
        find_format(format_name)
    names = columns_of(columns)
    files = expand_paths(paths)
    read, broken = ReadReport(), list[TranscriptError]()
    errors = Console(stderr=True)
    before = 0

    def messages() -> Iterator[tuple[str, Message]]:
        nonlocal before
        for name, message in read_files_to_the_end(
            files, strict=strict, read=read, broken=broken, format_name=format_name, columns=names
        ):
            if message is None:
                before = read.lines
            else:
                yield name, message

    with errors.status("checking") if errors.is_terminal else nullcontext():
        # The report of the reader counts the lines of all files.
        report = check(messages(), rules, limits, line=lambda: read.lines - before)
    print_unreadable(errors, read, broken)
    _print(report, output_format, output_file, incidents)
    if broken:
        raise SystemExit(EXIT_UNREADABLE)
    if report.failed:
        raise SystemExit(_EXIT_FINDINGS)


def _print(report: CheckReport, output_format: CheckFormat, output_file: Path | None, incidents: int) -> None:
    from agentbreaker.report import check_formats
    from agentbreaker.report.check_report import check_markdown, print_check, summary_of, verdict_line

    match output_format:
        case CheckFormat.TEXT:
            print_check(Console(highlight=False), report, incidents)
            return
        case CheckFormat.JSON:
            text = check_formats.check_json(report, __version__)
        case CheckFormat.JUNIT:
            text = check_formats.junit_report(report)
        case CheckFormat.GITHUB:
            text = check_formats.github_annotations(report)
            _add_step_summary(check_markdown(report))
        case CheckFormat.GITLAB:
            text = check_formats.gitlab_report(report)
        case CheckFormat.SARIF:
            text = check_formats.sarif_report(report, __version__)
        case CheckFormat.MARKDOWN:
            text = check_markdown(report)
    if output_file is None:
        sys.stdout.write(text)
        return
    try:
        output_file.write_text(text, "utf-8", "backslashreplace", newline="\n")
    except OSError as error:
        raise ConfigError(f"{output_file}: cannot be written: {error.strerror}", source=str(output_file)) from None
    sys.stdout.write("\n".join([*summary_of(report), verdict_line(report)]) + "\n")


def _add_step_summary(markdown: str) -> None:
    """Add the report to the summary of the job, where GitHub asks for one."""
    path = os.environ.get("GITHUB_STEP_SUMMARY")
    if not path:
        return
    try:
        with open(path, "a", encoding="utf-8", newline="\n") as file:
            file.write(markdown)
    except OSError as error:
        raise ConfigError(f"GITHUB_STEP_SUMMARY: cannot be written: {error.strerror}") from None
