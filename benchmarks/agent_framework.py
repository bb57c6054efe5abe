"""What the integration of Microsoft Agent Framework costs per turn: the same run with the breaker and without.

Run ``python benchmarks/agent_framework.py`` from a checkout with the extra ``agent-framework``; ``--write`` also stores
the table under ``benchmarks/results``.  The model is a script, so nothing is measured but Agent Framework and us.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.metadata
import os
import platform
import statistics
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

HERE = Path(__file__).resolve().parent
# Not the folder of this script, or it would be found in place of the framework of the same name.
sys.path[:] = [str(HERE.parent), *(path for path in sys.path if Path(path or ".").resolve() != HERE)]

from agent_framework import (  # noqa: E402
    Agent,
    AgentContext,
    AgentMiddleware,
    ChatContext,
    ChatMiddleware,
    FunctionInvocationContext,
    FunctionMiddleware,
    tool,
)
from agent_framework_orchestrations import GroupChatBuilder  # noqa: E402

from agentbreaker.integrations.agent_framework import AgentFrameworkBreaker  # noqa: E402
from agentbreaker.kernel import COMPILED  # noqa: E402
from benchmarks._texts import Productive  # noqa: E402
from tests.integrations.agent_framework_shapes import Client, asks, run  # noqa: E402

_ROUNDS, _WARM_UP = 40, 5
_TURNS = 24
_CHARS = 400


class Row(NamedTuple):
    """One line of the table, in microseconds per turn; `empty` is with middleware that does nothing."""

    what: str
    without: float
    empty: float
    with_us: float
    ratio: float


class EmptyAgent(AgentMiddleware):
    async def process(self, context: AgentContext, call_next: Callable[[], Awaitable[None]]) -> None:
        await call_next()


class EmptyChat(ChatMiddleware):
    async def process(self, context: ChatContext, call_next: Callable[[], Awaitable[None]]) -> None:
        await call_next()


class EmptyFunction(FunctionMiddleware):
    async def process(self, context: FunctionInvocationContext, call_next: Callable[[], Awaitable[None]]) -> None:
        await call_next()


EMPTY = [EmptyAgent(), EmptyChat(), EmptyFunction()]


class Work:
    """Texts that bring something new each time; the same for both sides of a round."""

    def __init__(self) -> None:
        self._lines = iter(Productive("work", _CHARS))

    def __call__(self, number: int) -> list[str]:
        return [str(next(self._lines)["content"]) for _ in range(number)]


def group_chat(middleware: list[Any], texts: list[str], stream: bool) -> Callable[[], Awaitable[Any]]:
    """A group chat of three agents that each bring something new."""
    said = iter(texts)
    names = ("planner", "writer", "critic")
    client = Client(lambda: next(said))
    workflow = GroupChatBuilder(
        participants=[Agent(client, name=name, middleware=list(middleware)) for name in names],
        selection_func=lambda state: names[state.current_round % 3],
        termination_condition=lambda messages: len(messages) > len(texts),
    ).build()
    for one in middleware:
        if isinstance(one, AgentFrameworkBreaker):
            one.attach(workflow)
    return lambda: run(workflow, "Please write the report.", stream=stream)


def tool_calls(middleware: list[Any], texts: list[str], stream: bool) -> Callable[[], Awaitable[Any]]:
    """One agent that makes a call in each turn, with another answer each time."""
    answers, calls = iter(texts), count()

    @tool(approval_mode="never_require")
    def read(page: int) -> str:
        return next(answers)

    def line() -> Any:
        page = next(calls)
        return asks("read", f"c{page}", page=page) if page < len(texts) else "That was all."

    client = Client(line)
    agent = Agent(client, name="reader", tools=[read], middleware=middleware)
    return lambda: run(agent, "Please read all pages.", stream=stream)


async def measure(what: str, shape: Callable[..., Callable[[], Awaitable[Any]]], stream: bool) -> Row:
    """Run the shape without middleware, with an empty one and with the breaker, by turns, on the same texts."""
    work = Work()
    sides: dict[str, list[float]] = {"without": [], "empty": [], "breaker": []}
    for number in range(_WARM_UP + _ROUNDS):
        texts = work(_TURNS)
        breaker = AgentFrameworkBreaker()
        given: dict[str, list[Any]] = {"without": [], "empty": EMPTY, "breaker": [breaker]}
        for side in list(given) if number % 2 else reversed(given):
            begin = shape(given[side], texts, stream)
            start = perf_counter()
            await begin()
            sides[side].append((perf_counter() - start) / _TURNS * 1e6)
        assert not breaker.faults
    without, empty, ours = (sides[side][_WARM_UP:] for side in ("without", "empty", "breaker"))
    ratio = statistics.median(us / them for us, them in zip(ours, without, strict=True))
    return Row(what, statistics.median(without), statistics.median(empty), statistics.median(ours), ratio)


def table(rows: list[Row]) -> str:
    """The page, as Markdown."""
    lines = [
        "# Microsoft Agent Framework: cost per turn",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}, {platform.machine()}, {os.cpu_count()} processors, Python "
        f"{platform.python_version()}, agent-framework-core {importlib.metadata.version('agent-framework-core')}, "
        f"kernel: {'compiled' if COMPILED else 'pure Python'}. Medians of {_ROUNDS} runs of {_TURNS} turns, each "
        f"without middleware, with one that does nothing and with the breaker, by turns; texts of {_CHARS} characters, "
        "streamed word by word; `python benchmarks/agent_framework.py --write`.",
        "",
        "| a turn of | without, µs | empty middleware, µs | with the breaker, µs | more than without, µs | ratio |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row.what} | {row.without:.0f} | {row.empty:.0f} | {row.with_us:.0f} | {row.with_us - row.without:.0f} "
        f"| {row.ratio:.2f} |"
        for row in rows
    ]
    return "\n".join(lines) + "\n"


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="also store the table under benchmarks/results")
    arguments = parser.parse_args()
    rows = []
    for stream in (False, True):
        how = "streamed" if stream else "not streamed"
        rows.append(await measure(f"a group chat of three agents, {how}", group_chat, stream))
        rows.append(await measure(f"an agent that calls a tool, {how}", tool_calls, stream))
    page = table(rows)
    print(page)
    if arguments.write:
        (HERE / "results" / "agent_framework.md").write_text(page, encoding="utf-8")


if __name__ == "__main__":
    asyncio.run(main())
