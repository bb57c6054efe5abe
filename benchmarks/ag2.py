"""What the breaker costs in AG2: microseconds for each turn, with it and without it.

Run ``python benchmarks/ag2.py`` from a checkout, once where AG2 1.x is installed and once where AG2 0.14 is;
``--write`` stores the rows of the installed one in ``benchmarks/results/ag2.md`` and keeps those of the other.
The models answer at once, so that what is left is AG2 and the breaker.  Rounds with and without take turns.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.metadata
import importlib.util
import logging
import os
import platform
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from time import process_time
from typing import Any

HERE = Path(__file__).resolve().parent
# In place of this folder, where `ag2` would be this very file.
sys.path[0] = str(HERE.parent)

from agentbreaker import Guard  # noqa: E402
from agentbreaker.kernel import COMPILED  # noqa: E402

RESULTS = HERE / "results" / "ag2.md"
_TURNS, _ROUNDS = 60, 15
_HEAD = ("| AG2 | what a turn is | without | with | more | share |", "|---|---|--:|--:|--:|--:|")


def lines(count: int) -> list[str]:
    """Answers that bring something new each time, so that nothing is halted."""
    return [
        f"Item {number}: box {number * 37} goes to shelf {number * 11}, level {number % 7}." for number in range(count)
    ]


def compare(run: Callable[[bool], float]) -> tuple[float, float, float]:
    """Return the median microseconds of a turn without and with the breaker, and of the differences of neighbours."""
    run(False), run(True)
    pairs = [(run(False), run(True)) for _ in range(_ROUNDS)]
    return (
        statistics.median(one for one, _ in pairs),
        statistics.median(other for _, other in pairs),
        statistics.median(other - one for one, other in pairs),
    )


def rows_new() -> list[tuple[str, tuple[float, float, float]]]:
    """AG2 1.x: a turn in a channel, a model call with a tool call, and a plain question."""
    from ag2 import Agent, tool

    from agentbreaker.integrations.ag2 import AG2Breaker
    from tests.integrations.ag2_agents import Model, calls, network, settled

    @tool
    async def look(box: int) -> str:
        """Look into a box."""
        return f"box {box} holds {box * 91} parts of kind {box * 17}"

    async def channel(watched: bool) -> float:
        model = Model(lines(_TURNS))
        async with network(Agent("alice", config=model), Agent("bob", config=model)) as net:
            if watched:
                AG2Breaker().attach(net.hub, *net.agents.values())
            opened = await net.agents["alice"].open(type="conversation", target="bob")
            begin = process_time()
            await opened.send("Please sort the boxes.")
            while model.calls < _TURNS:
                await asyncio.sleep(0)
            taken = process_time() - begin
            await settled(lambda: model.calls)
        return taken / _TURNS * 1e6

    async def tools(watched: bool) -> float:
        model = Model([*(calls(("look", {"box": number})) for number in range(_TURNS)), "Done."])
        agent = Agent("finder", config=model, tools=[look])
        if watched:
            AG2Breaker().attach(agent)
        begin = process_time()
        await agent.ask("Please count the parts.")
        taken = process_time() - begin
        assert model.calls == _TURNS + 1, "halted"
        return taken / _TURNS * 1e6

    async def asks(watched: bool) -> float:
        model = Model(lines(_TURNS))
        agent = Agent("finder", config=model)
        if watched:
            AG2Breaker().attach(agent)
        begin = process_time()
        for number in range(_TURNS):
            await agent.ask(f"Where does box {number} go?")
        return (process_time() - begin) / _TURNS * 1e6

    named = {
        "a message in a channel of two, answered": channel,
        "a model call and a tool call": tools,
        "`agent.ask`, answered": asks,
    }
    return [(name, compare(lambda watched, run=run: asyncio.run(run(watched)))) for name, run in named.items()]


def rows_classic() -> list[tuple[str, tuple[float, float, float]]]:
    """AG2 before 1.0: a turn in a chat of two, and one in a group of three."""
    from autogen import ConversableAgent, GroupChat, GroupChatManager

    from agentbreaker.integrations.ag2_classic import AG2ClassicBreaker

    def agents(count: int) -> list[Any]:
        said = iter(lines(_TURNS * 2))
        made = []
        for number in range(count):
            agent = ConversableAgent(f"agent{number}", llm_config=False, human_input_mode="NEVER")
            agent.register_reply([ConversableAgent, None], lambda *_, **__: (True, next(said)), position=0)
            made.append(agent)
        return made

    def pair(watched: bool) -> float:
        first, second = agents(2)
        if watched:
            AG2ClassicBreaker().attach(first)
        begin = process_time()
        result = first.initiate_chat(second, message="Please sort the boxes.", max_turns=_TURNS // 2, silent=True)
        taken = process_time() - begin
        assert len(result.chat_history) == _TURNS, "halted"
        return taken / _TURNS * 1e6

    def group(watched: bool) -> float:
        members = agents(3)
        chat = GroupChat(agents=members, messages=[], max_round=_TURNS, speaker_selection_method="round_robin")
        manager = GroupChatManager(chat, silent=True)
        if watched:
            AG2ClassicBreaker().attach(members[0])
        begin = process_time()
        members[0].initiate_chat(manager, message="Please sort the boxes.", silent=True)
        taken = process_time() - begin
        assert len(chat.messages) == _TURNS, "halted"
        return taken / _TURNS * 1e6

    named = {"a message in a chat of two": pair, "a message in a group of three": group}
    return [(name, compare(run)) for name, run in named.items()]


def report(version: str, rows: list[tuple[str, tuple[float, float, float]]]) -> list[str]:
    """Rows of the table."""
    return [
        f"| {version} | {name} | {without:,.0f} µs | {watched:,.0f} µs | {more:,.0f} µs | {more / without:.1%} |"
        for name, (without, watched, more) in rows
    ]


def main() -> None:
    """Measure what is installed, print it, and store it if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="store the table under benchmarks/results")
    arguments = parser.parse_args()
    logging.disable(logging.CRITICAL)
    Guard()
    version = importlib.metadata.version("ag2")
    classic = importlib.util.find_spec("ag2") is None
    silent = open(os.devnull, "w")  # noqa: SIM115 - AG2 0.14 prints what it does
    shown, sys.stdout = sys.stdout, silent
    try:
        rows = report(version, rows_classic() if classic else rows_new())
    finally:
        sys.stdout = shown
        silent.close()
    print(*_HEAD, *rows, sep="\n")
    if arguments.write:
        old = RESULTS.read_text(encoding="utf-8").splitlines() if RESULTS.exists() else []
        kept = [one for one in old if one.startswith("| 0." if not classic else "| 1.")]
        kernel = "compiled kernel" if COMPILED else "kernel in Python"
        text = [
            "# AG2: microseconds for each turn",
            "",
            f"`python benchmarks/ag2.py --write`: medians of {_ROUNDS} rounds of {_TURNS} turns, processor time. "
            f"Python {platform.python_version()}, {os.cpu_count()} processors, {kernel}.",
            "The models are scripted, so that all of it is overhead, of AG2 or of the breaker. *More* is the median of",
            "the differences of neighbouring rounds.",
            "",
            *_HEAD,
            *sorted(rows + kept),
            "",
        ]
        RESULTS.write_text("\n".join(text), encoding="utf-8")


if __name__ == "__main__":
    main()
