"""``agentbreaker scenario``: make a scenario of a recorded incident, and check scenarios."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

from agentbreaker.cli_files import (
    EXIT_UNREADABLE,
    Columns,
    FormatName,
    Strict,
    columns_of,
    read_files,
)
from agentbreaker.errors import ConfigError, TranscriptError
from agentbreaker.policy import Policy
from agentbreaker.printable import printable
from agentbreaker.report.terminal import count_of, print_unreadable
from agentbreaker.scenario import Expected, Outcome, shipped
from agentbreaker.transcripts import ReadReport, expand_paths
from agentbreaker.transcripts.formats import find_format

if TYPE_CHECKING:
    from agentbreaker.message import Message

__all__ = ["scenario_app"]

_EXIT_FINDINGS = 1
#: Conversations that are named where one has to be chosen.
_NAMED = 8

scenario_app = typer.Typer(help="Make a scenario of a recorded incident, or check scenarios.", no_args_is_help=True)


@scenario_app.command("new")
def new_command(
    source: Annotated[
        str, typer.Option("--from", help="The recording: a file, or - for standard input.", show_default=False)
    ],
    conversation: Annotated[
        str | None,
        typer.Option("--conversation", help="Id of the conversation; needed if it has several.", show_default=False),
    ] = None,
    format_name: FormatName = None,
    columns: Columns = None,
    policy: Annotated[
        Path | None,
        typer.Option(
            "--policy",
            help="Policy file (TOML) that the verdict is kept under; the scenario takes over what differs from the "
            "defaults.",
            show_default=False,
        ),
    ] = None,
    expect: Annotated[
        Expected | None,
        typer.Option(
            "--expect",
            help="What must become of it, if not what becomes of it now: runaway for one that was missed, legitimate "
            "for one that was halted wrongly.",
            show_default=False,
        ),
    ] = None,
    onset: Annotated[
        int | None,
        typer.Option(
            "--onset",
            min=0,
            help="First message (from 0) that brings nothing new; without it, where the evidence of the halt begins.",
            show_default=False,
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(
            "--name", help="Name of the scenario; without it, the detector's code and a number.", show_default=False
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            help="Folder to write to; without it, one in scenarios/ that is called after the detector.",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Another seed draws other words; the same one the same.")] = 0,
    force: Annotated[bool, typer.Option("--force", help="Replace a scenario of the same name.")] = False,
    strict: Strict = False,
) -> None:
    """Make an anonymised scenario of a recorded conversation.

    Words, names, figures, ids and times are replaced, each by the same one throughout; structure, lengths, tokens,
    costs and the verdict stay. Words of at most three letters may stay. Exits with 1 if that cannot be had together.
    """
    # What only this command needs is imported here, so that no other command pays for it.
    from agentbreaker.anonymise import CannotAnonymiseError, anonymise, ending_of
    from agentbreaker.scenario_writer import check_name, folder_for, name_for, plan_of, write_scenario

    rules = Policy(policy)
    if format_name is not None:
        find_format(format_name)
    names = columns_of(columns)
    files = expand_paths([source])
    if len(files) != 1:
        raise ConfigError(f"--from: {printable(source)} is {len(files)} files; name one", field="from")
    read, broken = ReadReport(), list[TranscriptError]()
    errors = Console(stderr=True)
    found: dict[str, list[Message]] = {}
    for _, message in read_files(files, strict, read, broken, format_name=format_name, columns=names):
        if conversation in (None, message.conversation_id):
            found.setdefault(message.conversation_id, []).append(message)
    print_unreadable(errors, read, broken)
    if broken:
        raise SystemExit(EXIT_UNREADABLE)
    messages = _only_one(found, conversation)
    if name is not None:
        check_name(name, messages)
    plan = plan_of(messages, ending_of(messages, rules), expect, onset)
    try:
        made = anonymise(messages, rules, name=name or "c1", seed=seed)
    except CannotAnonymiseError as error:
        sys.stderr.write(f"agentbreaker: {printable(str(error), limit=2000)}; nothing is written\n")
        raise SystemExit(_EXIT_FINDINGS) from None
    if name is None:
        name = name_for(made.messages, plan)
        for message in made.messages:
            message.conversation_id = name
    transcript, tables = write_scenario(out or folder_for(plan), name, made, plan, rules, force=force)
    console = Console(highlight=False)
    window = "" if plan.halt_from is None else f", to be halted from message {plan.halt_from} to {plan.halt_by}"
    console.print(Text(f"wrote {printable(str(transcript))} ({count_of(len(messages), 'message')})"), soft_wrap=True)
    console.print(Text(f"wrote {printable(str(tables))}: {plan.expected}{window}"), soft_wrap=True)
    console.print(Text(f"as the recording it is {made.ending}; no word of more than three letters is left"))
    console.print(
        Text(f"check it with: agentbreaker scenario check {printable(str(transcript.parent))}"), soft_wrap=True
    )


def _only_one(found: dict[str, list[Message]], conversation: str | None) -> list[Message]:
    if conversation is not None:
        if conversation not in found:
            raise ConfigError(f"--conversation: there is no {printable(conversation)!r} in it", field="conversation")
        return found[conversation]
    if len(found) > 1:
        ids = ", ".join(repr(printable(one, limit=80)) for one in list(found)[:_NAMED])
        more = f" and {len(found) - _NAMED:,} more" if len(found) > _NAMED else ""
        raise ConfigError(
            f"it has {len(found):,} conversations; name one with --conversation: {ids}{more}", field="conversation"
        )
    return next(iter(found.values()))


@scenario_app.command("check")
def check_command(
    paths: Annotated[
        list[str] | None,
        typer.Argument(
            help="Folders with a scenario.toml, or folders of such. None: the scenarios that come with agentbreaker.",
            show_default=False,
        ),
    ] = None,
    policy: Annotated[
        Path | None,
        typer.Option("--policy", help="Policy file; scenarios lay their own sections over it.", show_default=False),
    ] = None,
) -> None:
    """Run scenarios and exit with 1 if one does not end as its table says; `bench` has the figures."""
    from agentbreaker.bench import BenchPlan, run_bench

    plan = BenchPlan.of(paths or [str(shipped())])
    if plan.recordings:
        raise ConfigError(f"{plan.recordings[0][0]}: is no scenario, there is no scenario.toml beside it")
    read, broken = ReadReport(), list[TranscriptError]()
    bench = run_bench(plan, lambda path, whole: read_files([path], whole, read, broken), policy)
    console = Console(highlight=False)
    wrong = [one for one in bench.judged if one.outcome is not Outcome.OK]
    for one in wrong:
        where = "not halted" if one.halted_at is None else f"halted at message {one.halted_at} by {one.detector}"
        console.print(Text(f"{printable(one.name)}: {one.outcome}: {where}"), soft_wrap=True)
    for left, reason in bench.left_out.items():
        console.print(Text(f"{printable(left)}: left out: {printable(reason)}"), soft_wrap=True)
    judged = count_of(len(bench.judged), "conversation")
    console.print(Text(f"{judged}, {len(bench.judged) - len(wrong)} end as their table says"))
    if wrong or bench.left_out:
        raise SystemExit(_EXIT_FINDINGS)
