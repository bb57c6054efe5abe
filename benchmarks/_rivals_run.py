"""Run the rivals: an environment for each, a process for each of its modes, and the scenarios through both.

A driver and this side speak JSON lines: ``{"do": "hello"}``, ``{"do": "judge", "messages": [...]}`` and
``{"do": "measure", "messages": [...], "seconds": S}``; see ``rival_drivers/_contract.py`` for the answers.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from agentbreaker import Message
from agentbreaker.replay import read_sources
from agentbreaker.scenario import Expectation, scenarios_in
from benchmarks._rivals_list import OURS, Rival

__all__ = [
    "BrokenError",
    "Conversation",
    "Process",
    "Tally",
    "conversations_in",
    "install",
    "judged",
    "lines_for_drivers",
    "python_for",
]

HERE = Path(__file__).resolve().parent
DRIVERS = HERE / "rival_drivers"
#: A rival that fails on so many conversations in a row is given up.
_PATIENCE = 5
_MINUTE = 60.0

Line = dict[str, Any]


class BrokenError(Exception):
    """A rival cannot be installed, or its process is gone; the text is the reason, fit for the page."""


# ---------------------------------------------------------------------- what is shown


@dataclass(frozen=True)
class Conversation:
    """One conversation of the scenarios.

    Attributes:
        id: Its id.
        group: Its folder.
        expectation: What must come of it.
        lines: Its messages, as drivers take them.
    """

    id: str
    group: str
    expectation: Expectation
    lines: Sequence[Line]


def conversations_in(folder: Path, limit: int | None = None) -> tuple[list[Conversation], dict[str, str]]:
    """Read the scenarios that need no cap of the user's own.

    Args:
        folder: Where the folders of scenarios are.
        limit: At most so many conversations of each folder.

    Returns:
        The conversations, and the folders left out, each with its reason.
    """
    found: list[Conversation] = []
    left_out: dict[str, str] = {}
    for each in sorted(path for path in folder.iterdir() if (path / "scenario.toml").is_file()):
        taken = 0
        for scenario in scenarios_in(each):
            if "budgets" in (scenario.table.policy or {}):
                left_out[scenario.group] = "it is decided by a cap that the user sets"
                continue
            by_id: dict[str, list[Message]] = {}
            for _, message in read_sources([scenario.transcript], strict=True):
                by_id.setdefault(message.conversation_id, []).append(message)
            for name, messages in by_id.items():
                if limit is not None and taken >= limit:
                    break
                taken += 1
                lines = lines_for_drivers(messages)
                found.append(Conversation(name, scenario.group, scenario.expectation(name), lines))
    return found, left_out


def lines_for_drivers(messages: Iterable[Message]) -> list[Line]:
    """Messages of one conversation as drivers take them."""
    lines: list[Line] = []
    calls: dict[str, Line] = {}
    begun = None
    for message in messages:
        begun = begun or message.timestamp
        late = message.timestamp is not None and begun is not None
        line: Line = {
            "sender": message.sender,
            "recipient": message.recipient,
            "kind": message.kind,
            "from_user": message.role == "user",
            "content": message.content,
            "message_id": message.message_id,
            "parent_id": message.parent_id,
            "model": message.model,
            "seconds": max(0.0, (message.timestamp - begun).total_seconds()) if late else None,
            "usage": None if message.usage is None else asdict(message.usage),
            "cost_usd": message.cost_usd,
        }
        if message.tool is not None:
            line["tool"] = asdict(message.tool)
            line["arguments"] = message.tool.arguments
            key = message.tool.call_id or message.tool.name
            if message.kind == "tool_call":
                calls[key] = line
            elif key in calls:
                call = calls.pop(key)
                call["outcome"] = line["tool"]
                # A result seldom repeats the arguments, and who reads finished calls needs them.
                line["arguments"] = call["arguments"]
        lines.append(line)
    return lines


# ---------------------------------------------------------------------- environments


def python_for(rival: Rival, given: Sequence[str] = ()) -> str:
    """Return an interpreter that is new enough for a rival.

    Args:
        rival: The rival.
        given: Interpreters that the user named; they come first.

    Raises:
        BrokenError: There is none.
    """
    names = [f"python3.{minor}" for minor in range(rival.python[1], rival.python[1] + 4)]
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    installed = sorted(str(path) for path in versions.glob("3.*/bin/python"))
    for candidate in (*given, sys.executable, *filter(None, map(shutil.which, names)), *installed):
        done = subprocess.run(
            [candidate, "-c", "import sys; print(*sys.version_info[:2])"], capture_output=True, text=True, check=False
        )
        if done.returncode == 0 and tuple(map(int, done.stdout.split())) >= rival.python:
            return candidate
    raise BrokenError(f"needs Python {'.'.join(map(str, rival.python))}, and there is none here (`--python PATH`)")


def install(rival: Rival, work: Path, given: Sequence[str] = ()) -> str:
    """Make the environment of a rival, or take the one that is there; return its interpreter.

    Raises:
        BrokenError: It cannot be made.
    """
    if not rival.requirements:
        return sys.executable
    home = work / rival.name
    python, stamp = home / "bin" / "python", home / "installed.txt"
    wanted = "\n".join(rival.requirements)
    if stamp.is_file() and stamp.read_text("utf-8") == wanted:
        return str(python)
    base = python_for(rival, given)
    shutil.rmtree(home, ignore_errors=True)
    with (work / f"{rival.name}-pip.log").open("w", encoding="utf-8") as log:
        for command in (
            [base, "-m", "venv", str(home)],
            [str(python), "-m", "pip", "install", "--disable-pip-version-check", *rival.requirements],
        ):
            if subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, check=False).returncode:
                raise BrokenError(
                    f"pip cannot install {' '.join(rival.requirements)} here (`--work DIR` keeps the log)"
                )
    stamp.write_text(wanted, "utf-8")
    return str(python)


# ---------------------------------------------------------------------- processes


class Process:
    """A driver in its own process.

    Args:
        command: Interpreter and driver, with its mode.
        work: An empty folder where the rival may leave what it likes; it is its home too.
        log: Where its error output goes.
        variables: More of the environment.
    """

    def __init__(
        self, command: Sequence[str], work: Path, log: Path, variables: Mapping[str, str] | None = None
    ) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        environment |= {
            "HOME": str(work),
            "PYTHONHASHSEED": "0",
            "PYTHONDONTWRITEBYTECODE": "1",
            "DEEPEVAL_TELEMETRY_OPT_OUT": "YES",
        }
        with log.open("w", encoding="utf-8") as errors:
            self._child = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                cwd=work,
                env=environment | dict(variables or {}),
                encoding="utf-8",
            )

    @classmethod
    def of(cls, rival: Rival, mode: str, python: str, work: Path) -> Process:
        """Start the driver of a rival."""
        name = f"{rival.name}-{rival.modes.index(mode)}"
        folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=work))
        variables = {"PYTHONPATH": str(HERE.parent)} if rival.name == OURS else {}
        return cls([python, str(DRIVERS / rival.driver), mode], folder, work / f"{name}.log", variables)

    def ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Send a request, return the answer.

        Raises:
            BrokenError: The process is gone, or answers what is no answer.
        """
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        try:
            self._child.stdin.write(json.dumps(request) + "\n")
            self._child.stdin.flush()
            answer = json.loads(self._child.stdout.readline())
        except (OSError, ValueError):
            self.close()
            raise BrokenError(f"its process ended with code {self._child.returncode}") from None
        if not isinstance(answer, dict):
            raise BrokenError("its driver gave no answer")
        return answer

    def close(self) -> None:
        """End the process."""
        for stream in (self._child.stdin, self._child.stdout):
            assert stream is not None
            with contextlib.suppress(OSError):
                stream.close()
        try:
            self._child.wait(_MINUTE)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


# ---------------------------------------------------------------------- verdicts


@dataclass
class Tally:
    """What came of the conversations of one folder.

    Attributes:
        total: How many there are.
        runaway: Whether they must be halted.
        in_window, late, missed: Runaways, by when they were halted.
        sooner: Runaways halted in their loop, but before the window: where nobody can be sure yet.
        early: Runaways halted before their loop, or before the window where its onset is not known.
        halted: Legitimate ones that were halted.
        failed: Conversations on which the rival raised an error; they count as not halted.
    """

    total: int = 0
    runaway: bool = False
    in_window: int = 0
    sooner: int = 0
    late: int = 0
    early: int = 0
    missed: int = 0
    halted: int = 0
    failed: int = 0

    def count(self, expected: Expectation, halted_at: int | None) -> None:
        """Count one conversation."""
        self.total += 1
        self.runaway = not expected.quiet
        if expected.quiet:
            self.halted += halted_at is not None
        elif halted_at is None:
            self.missed += 1
        elif halted_at < expected.halt_from:
            if expected.onset is not None and halted_at >= expected.onset:
                self.sooner += 1
            else:
                self.early += 1
        elif expected.halt_by is not None and halted_at > expected.halt_by:
            self.late += 1
        else:
            self.in_window += 1


@dataclass
class Verdicts:
    """What a rival did: by folder, and the errors that it raised, by their type."""

    groups: dict[str, Tally] = field(default_factory=dict)
    errors: dict[str, int] = field(default_factory=dict)


def judged(process: Process, conversations: Iterable[Conversation]) -> Verdicts:
    """Show a rival all conversations, each until it stops it.

    Raises:
        BrokenError: Its process is gone, or it raises an error on one conversation after the other.
    """
    verdicts = Verdicts()
    in_a_row = 0
    for one in conversations:
        answer = process.ask({"do": "judge", "messages": one.lines})
        tally = verdicts.groups.setdefault(one.group, Tally())
        tally.count(one.expectation, answer.get("halted_at"))
        if "error" not in answer:
            in_a_row = 0
            continue
        kind = str(answer["error"]).partition(":")[0]
        verdicts.errors[kind] = verdicts.errors.get(kind, 0) + 1
        tally.failed += 1
        in_a_row += 1
        if in_a_row >= _PATIENCE:
            raise BrokenError(f"it raises {kind} on one conversation after the other")
    return verdicts


def rows_of(rivals: Iterable[Rival]) -> Iterator[tuple[Rival, str]]:
    """Yield every rival with each of its modes."""
    for rival in rivals:
        for mode in rival.modes:
            yield rival, mode
