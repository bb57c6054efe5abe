"""What the AutoGen integration costs per turn of a team and per message of a runtime, against the same without it.

Run ``python benchmarks/autogen_turns.py`` where the extra ``autogen`` is installed; ``--write`` also stores the table
under ``benchmarks/results``.  The model answers at once, so that all of the time is the framework's and ours.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.metadata
import logging
import os
import platform
import statistics
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from time import process_time
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from autogen_agentchat.agents import AssistantAgent  # noqa: E402
from autogen_agentchat.teams import RoundRobinGroupChat  # noqa: E402
from autogen_core import (  # noqa: E402
    AgentId,
    DefaultInterventionHandler,
    MessageContext,
    RoutedAgent,
    SingleThreadedAgentRuntime,
    message_handler,
)
from autogen_core.model_context import BufferedChatCompletionContext  # noqa: E402

from agentbreaker import Guard  # noqa: E402
from agentbreaker.integrations._autogen_team import allow_silent_answers  # noqa: E402
from agentbreaker.integrations.autogen import AutoGenBreaker, guard_team  # noqa: E402
from agentbreaker.integrations.autogen_core import AutoGenCoreBreaker  # noqa: E402
from benchmarks._texts import Productive  # noqa: E402
from tests.integrations.autogen_teams import Model  # noqa: E402

_TURNS, _ROUNDS, _WARM_UP = 200, 15, 2


def lines() -> Iterator[str]:
    """Work that brings something new all the time, 400 characters a message, made beforehand."""
    return iter([line["content"] for line in islice(Productive("work", 400, seed=2), 2 * _TURNS)])


def team_of(model: Any) -> RoundRobinGroupChat:
    agents: list[Any] = [
        AssistantAgent(name, model_client=model, model_context=BufferedChatCompletionContext(4))
        for name in ("alice", "bob")
    ]
    return RoundRobinGroupChat(agents, max_turns=_TURNS)


def bare() -> RoundRobinGroupChat:
    return team_of(Model(lines()))


def condition() -> RoundRobinGroupChat:
    team = bare()
    team._termination_condition = AutoGenBreaker(Guard()).termination()
    return team


def condition_and_client() -> RoundRobinGroupChat:
    breaker = AutoGenBreaker(Guard())
    team = team_of(breaker.model_client(Model(lines())))
    team._termination_condition = breaker.termination()
    return team


def everything() -> RoundRobinGroupChat:
    team = bare()
    guard_team(team, Guard())
    return team


async def turns(make: Callable[[], RoundRobinGroupChat]) -> float:
    """Microseconds per turn of a team."""
    team = make()
    started = process_time()
    result = await team.run(task="Please go on.")
    spent = process_time() - started
    assert result.stop_reason == f"Maximum number of turns {_TURNS} reached.", result.stop_reason
    return spent / _TURNS * 1e6


@dataclass
class Say:
    content: str


class Worker(RoutedAgent):
    def __init__(self, said: Iterator[str]) -> None:
        super().__init__("a worker")
        self.lines = said

    @message_handler
    async def on_say(self, message: Say, ctx: MessageContext) -> Say:
        return Say(next(self.lines))


class Asking(RoutedAgent):
    def __init__(self, said: Iterator[str]) -> None:
        super().__init__("one who asks")
        self.lines = said

    @message_handler
    async def on_say(self, message: Say, ctx: MessageContext) -> Say:
        for _ in range(_TURNS):
            await self.send_message(Say(next(self.lines)), AgentId("worker", "default"))
        return Say("done")


async def sends(attached: str) -> float:
    """Microseconds per message that is sent and answered on a runtime."""
    breaker = AutoGenCoreBreaker(Guard())
    handlers: list[Any] | None = {
        "observer": [breaker.observer()],
        "empty handler": [DefaultInterventionHandler()],
    }.get(attached)
    inner = SingleThreadedAgentRuntime(intervention_handlers=handlers)
    runtime: Any = breaker.runtime(inner) if attached == "runtime" else inner
    said = lines()
    await Worker.register(runtime, "worker", lambda: Worker(said))
    await Asking.register(runtime, "asking", lambda: Asking(said))
    inner.start()
    started = process_time()
    assert await runtime.send_message(Say("Please go on."), AgentId("asking", "default")) == Say("done")
    spent = process_time() - started
    await inner.stop_when_idle()
    return spent / _TURNS * 1e6


async def measure(cases: dict[str, Callable[[], Any]]) -> list[str]:
    """The rows of one table: all cases by turns, so that a slow moment hits them alike."""
    times: dict[str, list[float]] = {name: [] for name in cases}
    for number in range(_WARM_UP + _ROUNDS):
        for name, case in cases.items():
            spent = await case()
            if number >= _WARM_UP:
                times[name].append(spent)
    first = next(iter(cases))
    rows = []
    for name, spent in times.items():
        more = statistics.median(a - b for a, b in zip(spent, times[first], strict=True))
        rows.append(f"| {name} | {statistics.median(spent):.0f} µs | {'' if name == first else f'{more:+.0f} µs'} |")
    return rows


async def report() -> str:
    allow_silent_answers()
    logging.disable(logging.CRITICAL)
    team_rows = await measure(
        {
            "without a breaker": lambda: turns(bare),
            "`breaker.termination()`": lambda: turns(condition),
            "`breaker.termination()` and `breaker.model_client()`": lambda: turns(condition_and_client),
            "`guard_team()`: both, and the observer": lambda: turns(everything),
        }
    )
    core_rows = await measure(
        {
            "without a breaker": lambda: sends("nothing"),
            "an intervention handler that does nothing": lambda: sends("empty handler"),
            "`breaker.observer()`": lambda: sends("observer"),
            "`breaker.runtime()`": lambda: sends("runtime"),
        }
    )
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("autogen-agentchat", "autogen-core"))
    head = [
        "# AutoGen",
        "",
        f"- date: {datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        f"- machine: {os.cpu_count()} CPUs, {platform.system()} {platform.machine()}",
        f"- Python {platform.python_version()} ({platform.python_implementation()}), {versions}",
        f"- {_ROUNDS} rounds of {_TURNS} turns, by turns; processor time, medians of it and of the difference",
        "- command: `python benchmarks/autogen_turns.py --write`",
        "",
    ]
    table = ["| attached | per {} | more than without |", "|---|---:|---:|"]
    return "\n".join(
        [
            *head,
            "A turn of a round-robin team of two, 400 new characters each, a model that answers at once:",
            "",
            table[0].format("turn"),
            table[1],
            *team_rows,
            "",
            "A message of 400 new characters that is sent and answered on `SingleThreadedAgentRuntime` (two messages to"
            " the guard):",
            "",
            table[0].format("send and answer"),
            table[1],
            *core_rows,
            "",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the AutoGen integration.")
    parser.add_argument("--write", action="store_true", help="also store benchmarks/results/autogen.md")
    arguments = parser.parse_args()
    page = asyncio.run(report())
    print(page, end="")
    if arguments.write:
        (HERE / "results" / "autogen.md").write_text(page, "utf-8")


if __name__ == "__main__":
    main()
