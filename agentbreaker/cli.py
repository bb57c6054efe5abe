"""The command line: ``agentbreaker demo | replay | report | convert | formats | check | bench | tune | ...``.

Exit codes: 0 success, 1 findings that were not tolerated, 2 usage or configuration, 3 unreadable input, 4 a process of
``--jobs`` that died, 130 after Ctrl-C, and 141 where the reader of the output has gone, as in ``| head``.
"""

from __future__ import annotations

import difflib
import inspect
import io
import os
import sys
import textwrap
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.panel import Panel
from rich.text import Text

from agentbreaker import __version__, cli_bench, cli_check, cli_formats, cli_replay, cli_report, cli_scenario, cli_tune
from agentbreaker.cli_files import EXIT_UNREADABLE, write_file
from agentbreaker.detectors import DETECTORS
from agentbreaker.errors import AgentBreakerError, ConfigError, TranscriptError
from agentbreaker.parallel import WorkerError
from agentbreaker.policy import Policy
from agentbreaker.printable import printable
from agentbreaker.report.terminal import fold

__all__ = ["app", "main"]

EXIT_FINDINGS, EXIT_USAGE, EXIT_WORKER = 1, 2, 4
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
    except WorkerError as error:
        _fail(str(error), EXIT_WORKER)
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


# ---------------------------------------------------------------------- replay and other files


app.command("replay")(cli_replay.replay_command)
app.command("report")(cli_report.report_command)
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
