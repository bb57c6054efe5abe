"""The command line: ``agentbreaker demo | replay | convert | formats | check | bench | scenario | tune | ...``.

Exit codes: 0 success, 1 findings that were not tolerated, 2 usage or configuration, 3 unreadable input, and 141
where the reader of the output has gone, as in ``| head``.
"""

from __future__ import annotations

import difflib
import enum
import inspect
import io
import json
import os
import sys
import textwrap
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.panel import Panel
from rich.text import Text

from agentbreaker import __version__, cli_bench, cli_check, cli_formats, cli_scenario, cli_tune
from agentbreaker.cli_files import (
    EXIT_UNREADABLE,
    FORMAT_HELP,
    MAP_HELP,
    columns_of,
    progress_bar,
    read_files,
    write_file,
)
from agentbreaker.detectors import DETECTORS
from agentbreaker.errors import AgentBreakerError, ConfigError, TranscriptError
from agentbreaker.policy import Policy
from agentbreaker.printable import printable
from agentbreaker.replay import ConversationReport, ReplayReport, replay
from agentbreaker.report.terminal import fold, print_replay, print_unreadable
from agentbreaker.transcripts import ReadReport, expand_paths
from agentbreaker.transcripts.formats import find_format

__all__ = ["app", "main"]

EXIT_FINDINGS, EXIT_USAGE = 1, 2
#: What a shell reports of a program that SIGPIPE ended: neither a finding nor a clean result.
EXIT_READER_GONE = 141

app = typer.Typer(
    help="Loop detector and circuit breaker for systems of many agents.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
policy_app = typer.Typer(help="Write or check a policy file.", no_args_is_help=True)
app.add_typer(policy_app, name="policy")
app.add_typer(cli_scenario.scenario_app, name="scenario")


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


def main() -> None:
    """Run the command line; our own errors become one line on standard error and an exit code."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A name that the terminal's encoding lacks is no reason to fail.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        try:
            _run()
        finally:
            sys.stdout.flush()
    except (BrokenPipeError, SystemExit) as stop:
        if not _reader_has_gone(stop):
            raise
        # What is still buffered has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(EXIT_READER_GONE) from None


def _run() -> None:
    try:
        app(prog_name="agentbreaker")
    except TranscriptError as error:
        _fail(str(error), EXIT_UNREADABLE)
    except AgentBreakerError as error:
        _fail(str(error), EXIT_USAGE)


def _reader_has_gone(stop: BaseException | None) -> bool:
    """Whether a broken pipe is behind this; typer and rich both turn one into an exit with 1, which means findings."""
    while stop is not None:
        if isinstance(stop, BrokenPipeError):
            return True
        stop = stop.__context__
    return False


def _fail(reason: str, code: int) -> None:
    sys.stderr.write(f"agentbreaker: {printable(reason, limit=2000)}\n")
    raise SystemExit(code)


def _show_version(asked: bool) -> None:
    if asked:
        sys.stdout.write(f"agentbreaker {__version__}\n")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Loop detector and circuit breaker for systems of many agents."""


# ---------------------------------------------------------------------- replay


@app.command("replay")
def replay_command(
    paths: Annotated[
        list[str],
        typer.Argument(help="Transcripts: files, globs, folders, or - for standard input.", show_default=False),
    ],
    policy: Annotated[
        Path | None, typer.Option("--policy", help="Policy file (TOML); without it the defaults.", show_default=False)
    ] = None,
    output_format: Annotated[
        OutputFormat, typer.Option("--output-format", "-f", help="For people, one JSON document, or one line each.")
    ] = OutputFormat.TEXT,
    fail_on: Annotated[FailOn, typer.Option("--fail-on", help="Exit with 1 if there is one of these.")] = FailOn.NEVER,
    strict: Annotated[
        bool, typer.Option("--strict", help="A line that cannot be read is fatal instead of skipped.")
    ] = False,
    show_all: Annotated[bool, typer.Option("--all", help="List the quiet conversations too, however many.")] = False,
    incidents: Annotated[int, typer.Option("--incidents", min=0, help="Halts that are explained in full.")] = 3,
    format_name: Annotated[str | None, typer.Option("--format", help=FORMAT_HELP, show_default=False)] = None,
    columns: Annotated[list[str] | None, typer.Option("--map", help=MAP_HELP, show_default=False)] = None,
) -> None:
    """Replay recorded conversations: what would have been halted, where, and what came after it."""
    rules = Policy(policy)
    if format_name is not None:
        find_format(format_name)
    names = columns_of(columns)
    files = expand_paths(paths)
    read, totals = ReadReport(), ReplayReport()
    broken: list[TranscriptError] = []
    errors = Console(stderr=True)
    progress = (
        progress_bar(errors, "replaying")
        if output_format is not OutputFormat.JSONL or not sys.stdout.isatty()
        else None
    )
    found = False
    kept: list[ConversationReport] = []
    with progress or nullcontext():
        messages = read_files(files, strict, read, broken, progress, format_name=format_name, columns=names)
        for conversation in replay(messages, rules, report=totals):
            found = found or _matches(conversation, fail_on)
            if output_format is OutputFormat.JSONL:
                sys.stdout.write(_line(conversation) + "\n")
            else:
                kept.append(conversation)
    if output_format is OutputFormat.JSON:
        _print_json(kept, totals, read, broken, rules)
    elif output_format is OutputFormat.TEXT:
        print_replay(
            Console(highlight=False),
            kept,
            totals,
            read,
            files=len(files) - len(broken),
            show_all=show_all,
            incidents=incidents,
        )
    print_unreadable(errors, read, broken)
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


def _print_json(
    conversations: list[ConversationReport],
    totals: ReplayReport,
    read: ReadReport,
    broken: list[TranscriptError],
    policy: Policy,
) -> None:
    document = {
        "agentbreaker": __version__,
        "policy": policy.source,
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
        "conversations": [
            conversation.model_dump(mode="json") | {"incident": conversation.incident} for conversation in conversations
        ],
    }
    json.dump(document, sys.stdout, indent=2, ensure_ascii=True)
    sys.stdout.write("\n")


app.command("check")(cli_check.check_command)
app.command("bench")(cli_bench.bench_command)
app.command("tune")(cli_tune.tune_command)
app.command("convert")(cli_formats.convert_command)
app.command("formats")(cli_formats.formats_command)


# ---------------------------------------------------------------------- explain


@app.command()
def explain(
    code: Annotated[
        str, typer.Argument(help="Code or name, such as AB201 or confirmation-ping-pong; none: list them.")
    ] = "",
) -> None:
    """Print the manual page of a detector."""
    console = Console(highlight=False)
    if not code:
        for known, detector in sorted(DETECTORS.items()):
            console.print(Text(f"{known}  {detector.name:<24} {detector.title}"), soft_wrap=True)
        return
    for known, detector in DETECTORS.items():
        if code.upper() == known or code.lower() == detector.name:
            console.print(Text(inspect.cleandoc(detector.__doc__ or "")), soft_wrap=True)
            return
    names = {name.casefold(): known for known, detector in DETECTORS.items() for name in (known, detector.name)}
    close = difflib.get_close_matches(code.casefold(), names, n=1)
    meant = names[close[0]] if close else None
    hint = f"; did you mean {meant}, {DETECTORS[meant].name}? Known" if meant is not None else "; known"
    raise ConfigError(f"no detector {code!r}{hint} are {', '.join(sorted(DETECTORS))}", field="code")


# ---------------------------------------------------------------------- policy


@policy_app.command("init")
def policy_init(
    path: Annotated[Path, typer.Argument(help="File to write; - for standard output.")] = Path("agentbreaker.toml"),
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing file.")] = False,
) -> None:
    """Write a policy file with every setting, its default and its unit."""
    text = Policy().to_toml()
    if str(path) == "-":
        sys.stdout.write(text)
        return
    write_file(path, text, force=force)
    sys.stdout.write(f"wrote {printable(str(path))}\n")


@policy_app.command("check")
def policy_check(path: Annotated[Path, typer.Argument(help="Policy file.")]) -> None:
    """Check a policy file: unknown keys, wrong types, values out of reach."""
    ladder = Policy(path).settings.ladder
    rungs = ", ".join(f"{name} {value:g}" for name, value in ladder if value is not None)
    sys.stdout.write(f"{printable(str(path))}: valid; ladder: {rungs or 'empty, nothing will ever be stopped'}\n")


# ---------------------------------------------------------------------- demo


@app.command()
def demo(
    bus: Annotated[bool, typer.Option("--bus", help="Use the built-in bus even if LangGraph is installed.")] = False,
) -> None:
    """Watch a real runaway being caught, beside a conversation that is left alone. No key, no network."""
    from agentbreaker import demo as show

    console = Console(highlight=False)
    langgraph = not bus and show.has_langgraph()
    pause = 0.12 if console.is_terminal else 0.0
    stage = "a compiled LangGraph" if langgraph else "the built-in bus"
    console.print(Text(f"Two scripted agents on {stage}, guarded by the default policy. No key, no network.\n"))

    def turn(name: str, text: str) -> None:
        style = "cyan" if name == show.AGENTS[0] else "magenta"
        first, *rest = textwrap.wrap(text, max(20, console.width - 12))
        console.print(Text.assemble((f"  {name:<9} ", style), first))
        for line in rest:
            console.print(Text(" " * 12 + line))
        time.sleep(pause)

    console.print(Text("1. At work: each message brings something new.", style="bold"))
    fine = show.run_demo(show.work(), "import-plan", turn, use_langgraph=langgraph)
    ending = "HALTED" if fine.incident else "not stopped, and finished by itself"
    console.print(Text(f"  {fine.turns} messages, about {fine.tokens:,} tokens: {ending}.\n", style="green"))

    console.print(Text("2. The same agents, who do not know when to stop.", style="bold"))
    loop = show.run_demo(show.runaway(), "import-plan-2", turn, use_langgraph=langgraph)
    if loop.incident is None:
        _fail("the runaway of the demonstration was not caught; please report this", EXIT_FINDINGS)
        return
    console.print()
    width = min(console.width, 110) - 4
    evidence = "\n".join(fold(loop.incident.to_text(width=width).splitlines(), width))
    console.print(Panel(Text(evidence), title="HALTED", border_style="red", expand=False))
    console.print(Text(_until_morning(show.overnight(), show.MODEL, loop.tokens)))
    if not langgraph and not bus:
        console.print(Text("\nThe same on a compiled LangGraph, after:"))
        console.print(Text('  pip install "agentbreaker[langgraph]"'))
    console.print(Text("\nNext:"))
    console.print(Text("  agentbreaker replay YOUR-TRANSCRIPTS.jsonl"))
    console.print(Text("  agentbreaker explain AB201"))


def _until_morning(night: Any, model: str, stopped_at: int) -> str:
    """Say what the runaway would have cost, with the assumptions."""
    cost = f", ${night.cost_usd:,.0f} at the list price of {model}" if night.cost_usd is not None else ""
    return (
        f"\nLeft alone until morning: {night.turns:,} turns, about {night.tokens:,} tokens{cost}.\n"
        f"({night.hours:g} hours, {night.seconds_per_turn:g} s a turn, every turn re-sends the history up to "
        f"{night.context_tokens:,} tokens.)\nStopped at about {stopped_at:,} tokens."
    )
