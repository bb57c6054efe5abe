"""What whole multi-agent applications cost with and without the breaker.

Run ``python benchmarks/applications.py`` from a checkout with the ``langchain`` extra; ``--write`` also stores the
table under ``benchmarks/results``.  ``--steps`` lowers the limit of the runs without a breaker, which take minutes.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import os
import platform
import statistics
import sys
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from langgraph.errors import GraphRecursionError  # noqa: E402

from agentbreaker import Usage  # noqa: E402
from agentbreaker.integrations.langgraph import LangGraphBreaker  # noqa: E402
from agentbreaker.pricing import Pricing  # noqa: E402
from benchmarks._applications import APPLICATIONS, INPUT_PER_MESSAGE, OUTPUT, Script, request  # noqa: E402

SEEDS = 20
#: LangGraph's own default limit; where the state of an application makes its steps slow, a lower one, which is shown.
DEFAULT_STEPS = 10_007
STEPS = {"swarm with hand-offs": 500, "plan and execute with a critic": 3000}


class Run(NamedTuple):
    """One run: what it cost, and how it ended."""

    calls: int
    tools: int
    tokens: int
    halted: bool
    code: str | None
    seconds: float
    usd: float


def run(name: str, script: Script, *, watched: bool, steps: int | None = None) -> Run:
    """Run one application to its end, its halt or its limit."""
    breaker = LangGraphBreaker()
    graph = APPLICATIONS[name](script)
    config = {"callbacks": [breaker]} if watched else {}
    if steps is not None:
        config["recursion_limit"] = steps
    started = perf_counter()
    halted = False
    with contextlib.suppress(GraphRecursionError):
        halted = "__interrupt__" in graph.invoke(request(script), {**config, "configurable": {"thread_id": "t"}})
    output = script.calls * OUTPUT
    usd = Pricing().cost("gpt-4o", Usage(script.tokens - output, output)) or 0.0
    code = breaker.guard.decision("t").code if halted else None
    return Run(script.calls, script.tools, script.tokens, halted, code, perf_counter() - started, usd)


def report(limit: int) -> str:
    """Run everything, as a page."""
    packages = ("langgraph", "langchain", "langchain-core")
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in packages)
    lines = [
        "# Whole applications, with and without the breaker",
        "",
        f"- machine: {os.cpu_count()} CPUs, {platform.system()} {platform.machine()}",
        f"- Python {platform.python_version()}, {versions}",
        "- command: `python benchmarks/applications.py --write`",
        f"- models are scripted: {INPUT_PER_MESSAGE} input tokens for each message that a call reads, {OUTPUT} of"
        " output; in dollars at the listed price of gpt-4o",
        f"- watched: {SEEDS} scripts of each kind, medians, the default policy, LangGraph's default limit of"
        f" {DEFAULT_STEPS:,} steps",
        "- without a breaker: one runaway script, up to the limit of steps shown; lower than the default where the"
        " application itself becomes too slow to measure",
        "",
        "| application | healthy scripts halted | runaways halted | model calls | most | tokens | dollars |"
        " without: steps | model calls | tokens | dollars |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    wrongly: list[str] = []
    for name in APPLICATIONS:
        healthy = [run(name, Script(True, seed), watched=True) for seed in range(SEEDS)]
        wrongly += [
            f"{name}, script {seed}: {one.code} after {one.calls} calls"
            for seed, one in enumerate(healthy)
            if one.halted
        ]
        runaway = [run(name, Script(False, seed), watched=True) for seed in range(SEEDS)]
        steps = min(limit, STEPS.get(name, DEFAULT_STEPS))
        alone = run(name, Script(False), watched=False, steps=steps)
        cells = (
            name,
            f"{sum(one.halted for one in healthy)} of {SEEDS}",
            f"{sum(one.halted for one in runaway)} of {SEEDS}",
            f"{statistics.median(one.calls for one in runaway):,.0f}",
            f"{max(one.calls for one in runaway):,}",
            f"{statistics.median(one.tokens for one in runaway):,.0f}",
            f"{statistics.median(one.usd for one in runaway):,.2f}",
            f"{steps:,}",
            f"{alone.calls:,}",
            f"{alone.tokens:,}",
            f"{alone.usd:,.0f}",
        )
        lines.append("| " + " | ".join(cells) + " |")
    lines += ["", "Healthy scripts that were halted: " + ("; ".join(wrongly) or "none") + "."]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Print the page, and store it if asked to."""
    parser = argparse.ArgumentParser(description="Run whole applications with and without the breaker.")
    parser.add_argument("--write", action="store_true", help="also store benchmarks/results/applications.md")
    parser.add_argument("--steps", type=int, default=DEFAULT_STEPS, help="limit of the runs without a breaker")
    arguments = parser.parse_args()
    page = report(arguments.steps)
    print(page, end="")
    if arguments.write:
        (HERE / "results" / "applications.md").write_text(page, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
