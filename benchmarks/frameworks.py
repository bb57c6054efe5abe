"""What the LangGraph adapter and the guard cost per step of a graph, beside the same graph without them.

Run ``python benchmarks/frameworks.py`` from a checkout with the ``langchain`` extra; ``--write`` also stores the table
under ``benchmarks/results``.  All variants take turns in one process; each round gives one ratio to the bare run beside
it, and the median of the rounds is shown.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import importlib.metadata
import os
import platform
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from langchain_core.callbacks import BaseCallbackHandler  # noqa: E402
from langchain_core.messages import AIMessage, HumanMessage  # noqa: E402
from langgraph.graph import START, MessagesState, StateGraph  # noqa: E402
from typing_extensions import TypedDict  # noqa: E402

from agentbreaker import Decision, Guard, Message  # noqa: E402
from agentbreaker.integrations.langgraph import LangGraphBreaker  # noqa: E402
from agentbreaker.kernel import COMPILED  # noqa: E402
from agentbreaker.verdict import ALLOW  # noqa: E402
from benchmarks._applications import Script, hierarchy, request  # noqa: E402

#: Share of the cheapest step that adapter and guard together may cost.
TARGET = 0.10
STEPS, ROUNDS = 200, 15


class Empty(BaseCallbackHandler):
    """A handler that does nothing, called as the adapter is: what LangChain itself takes for any handler."""

    raise_error = True
    run_inline = True


class Blind(Guard):
    """A guard that looks at nothing: what remains is the adapter."""

    def observe(self, message: Message) -> Decision:
        return ALLOW

    def check(self, conversation_id: str) -> None:
        return None


class Step(TypedDict):
    """A state with one number: the cheapest step that a graph can make."""

    n: int


def plain(texts: list[str]) -> tuple[Any, Any]:
    """Two functions that count: no message, no model, nothing to say."""
    builder = StateGraph(Step)
    builder.add_node("alice", lambda state: {"n": state["n"] + 1})
    builder.add_node("bob", lambda state: {"n": state["n"] + 1})
    builder.add_edge(START, "alice")
    builder.add_edge("bob", "alice")
    builder.add_conditional_edges("alice", lambda s: "bob" if s["n"] < STEPS else "__end__", ["bob", "__end__"])
    return builder.compile(), {"n": 0}


def talk(texts: list[str]) -> tuple[Any, Any]:
    """Two functions that say something new in every step, without a model."""
    builder = StateGraph(MessagesState)

    def speak(state: MessagesState) -> Any:
        return {"messages": [AIMessage(texts[len(state["messages"])])]}

    builder.add_node("alice", speak)
    builder.add_node("bob", speak)
    builder.add_edge(START, "alice")
    builder.add_edge("bob", "alice")
    builder.add_conditional_edges(
        "alice", lambda s: "bob" if len(s["messages"]) < STEPS else "__end__", ["bob", "__end__"]
    )
    return builder.compile(), {"messages": [HumanMessage(texts[0])]}


class Row(NamedTuple):
    """One variant beside the bare run."""

    shape: str
    mode: str
    variant: str
    micros: float
    added: float
    share: float


VARIANTS: dict[str, Callable[[], list[Any]]] = {
    "bare": list,
    "an empty handler": lambda: [Empty()],
    "the adapter, guard blind": lambda: [LangGraphBreaker(Blind())],
    "adapter and guard": lambda: [LangGraphBreaker(Guard())],
}


def measure(shape: str, make: Callable[[list[str]], tuple[Any, Any]], mode: str, steps: int) -> list[Row]:
    """Run all variants in turn, and compare each with the bare run of the same round."""
    work = Script(True, 7).work
    texts = [work.message(1) for _ in range(STEPS + 8)]
    times: dict[str, list[float]] = {name: [] for name in VARIANTS}
    for number in range(ROUNDS + 2):
        for name, handlers in VARIANTS.items():
            graph, inputs = make(texts)
            config: Any = {"callbacks": handlers(), "recursion_limit": 3 * STEPS}
            gc.collect()
            gc.disable()
            started = perf_counter()
            if mode == "invoke":
                graph.invoke(inputs, config)
            else:
                asyncio.run(graph.ainvoke(inputs, config))
            seconds = perf_counter() - started
            gc.enable()
            if number >= 2:  # the first rounds warm up
                times[name].append(seconds * 1e6 / steps)
    rows = []
    for name, values in times.items():
        added = statistics.median(one - bare for one, bare in zip(values, times["bare"], strict=True))
        share = statistics.median(one / bare - 1 for one, bare in zip(values, times["bare"], strict=True))
        rows.append(Row(shape, mode, name, statistics.median(values), added, share))
    return rows


def application(texts: list[str]) -> tuple[Any, Any]:
    """The hierarchical teams, healthy: 100 calls of a scripted model that answers at once."""
    script = Script(True, 7)
    return hierarchy(script), request(script)


def report() -> str:
    """Measure everything, as a page."""
    packages = ("langgraph", "langchain-core")
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in packages)
    lines = [
        "# What the LangGraph adapter costs per step",
        "",
        f"- machine: {os.cpu_count()} CPUs, {platform.system()} {platform.machine()}",
        f"- Python {platform.python_version()}, {versions}; kernel: {'compiled' if COMPILED else 'none, pure Python'}",
        "- command: `python benchmarks/frameworks.py --write`",
        f"- {ROUNDS} rounds of {STEPS} steps, all variants in turn; medians of the differences to the bare run of the"
        " same round; microseconds per step",
        f"- target: adapter and guard together at most {TARGET:.0%} of the cheapest step",
        "",
        "| graph | mode | variant | per step | added | share of the bare step |",
        "|---|---|---|---:|---:|---:|",
    ]
    shapes = (
        ("a counter, the cheapest step", plain, STEPS),
        ("talk without models", talk, STEPS),
        ("teams with scripted models", application, 100),
    )
    for shape, make, steps in shapes:
        for mode in ("invoke", "ainvoke"):
            for row in measure(shape, make, mode, steps):
                lines.append(
                    f"| {row.shape} | {row.mode} | {row.variant} | {row.micros:.0f} | {row.added:+.0f} |"
                    f" {row.share:+.0%} |"
                )
    return "\n".join(lines) + "\n"


def main() -> int:
    """Print the page, and store it if asked to."""
    parser = argparse.ArgumentParser(description="Measure the cost of the framework adapters.")
    parser.add_argument("--write", action="store_true", help="also store benchmarks/results/frameworks.md")
    arguments = parser.parse_args()
    page = report()
    print(page, end="")
    if arguments.write:
        (HERE / "results" / "frameworks.md").write_text(page, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
