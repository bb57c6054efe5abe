"""What the guard costs: per message, as a conversation grows, in memory, and at import.

Run ``python benchmarks/hot_path.py`` from a checkout; ``--write`` also stores the table under ``benchmarks/results``.
Everything is measured side by side in one run, in rounds that take turns, and reported as medians and ratios.
"""

from __future__ import annotations

import argparse
import gc
import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import sys
import tracemalloc
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import msgspec  # noqa: E402

from agentbreaker import Guard, Message, Tool, Usage  # noqa: E402
from agentbreaker.kernel import COMPILED  # noqa: E402
from benchmarks._machine import machine  # noqa: E402
from benchmarks._texts import Looping, Productive, lines_of  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator

_SIZES = (200, 400, 800, 4000)
_BLOCK = 250
_ROUNDS, _WARM_UP = 30, 4
_LONG, _EDGE = 100_000, 1_000
_HEAVY = ("langgraph", "langchain_core", "networkx", "numpy", "typer", "rich", "genai_prices")
_LIMIT_DECODE, _LIMIT_GROWTH, _LIMIT_KIB = 25.0, 1.1, 24.0


class LineUsage(msgspec.Struct, gc=False):
    input_tokens: int
    output_tokens: int


class Line(msgspec.Struct, gc=False):
    """The floor: no reader of the same line can be faster than this decoder."""

    conversation_id: str
    sender: str
    recipient: str
    kind: str
    content: str
    message_id: str
    timestamp: datetime
    usage: LineUsage


class Row(NamedTuple):
    """One line of the table; a limit of ``None`` means: reported, not limited."""

    what: str
    measured: str
    ratio: float | None = None
    limit: float | None = None

    @property
    def verdict(self) -> str:
        if self.limit is None or self.ratio is None:
            return "-"
        return "pass" if self.ratio <= self.limit else "FAIL"


def message_of(line: dict[str, Any]) -> Message:
    """The message as an integration would build it; the content is a string of its own."""
    tool = line.get("tool")
    return Message(
        line["conversation_id"],
        line["sender"],
        line["recipient"],
        line["kind"],
        line["content"],
        message_id=line["message_id"],
        tool=Tool(tool["name"], tool["call_id"]) if tool is not None else None,
        usage=Usage(**line["usage"]),
    )


# ---------------------------------------------------------------------- time


def against_decoding(
    what: str, conversation: Iterator[dict[str, Any]], limit: float | None, *, loop: bool, into: type = Line
) -> Row:
    """Observe a block of messages and decode the same lines, by turns; no message is measured twice.

    Args:
        what: Label of the row.
        conversation: Lines without end.
        limit: Most times that observing may take longer than decoding; ``None`` only reports.
        loop: The conversation is a loop: measure it in shadow mode.
        into: What the line is decoded into: the lean struct, or ``dict`` as ``msgspec.json.decode`` does by itself.
    """
    decode = msgspec.json.Decoder(into).decode
    guard = Guard(mode="metrics_only" if loop else "enforce")
    observe = guard.observe
    observed, decoded = [], []
    for _ in range(_WARM_UP + _ROUNDS):
        lines = lines_of(conversation, _BLOCK)
        messages = [message_of(line) for line in lines]
        raw = [json.dumps(line).encode() for line in lines]
        start = perf_counter()
        for message in messages:
            observe(message)
        middle = perf_counter()
        for text in raw:
            decode(text)
        end = perf_counter()
        observed.append((middle - start) / _BLOCK * 1e6)
        decoded.append((end - middle) / _BLOCK * 1e6)
    observed, decoded = observed[_WARM_UP:], decoded[_WARM_UP:]
    assert not guard.telemetry.failures
    assert loop or guard.decision(lines[0]["conversation_id"]).allowed
    ratio = statistics.median(ours / floor for ours, floor in zip(observed, decoded, strict=True))
    us, floor = statistics.median(observed), statistics.median(decoded)
    return Row(what, f"{us:.1f} µs against {floor:.2f} µs", ratio, limit)


def observing() -> list[Row]:
    """What this process gives, with the compiled kernel or without."""
    rows = []
    for size in _SIZES:
        limit = _LIMIT_DECODE if size == 400 else None
        label = f"`observe`, {size:,} characters of work, against decoding the line"
        rows.append(against_decoding(label, iter(Productive("work", size)), limit, loop=False))
    label = "`observe`, 400 characters of a loop, in shadow mode, against decoding the line"
    rows.append(against_decoding(label, iter(Looping("loop", 400)), None, loop=True))
    return rows


def without_kernel() -> list[Row]:
    """The same in pure Python, in a process of its own: words that are known already would flatter it."""
    program = "import json; from benchmarks import hot_path; print(json.dumps(hot_path.observing()))"
    rows = [Row(*row) for row in json.loads(_in_a_process(program, AGENTBREAKER_PURE="1"))]
    return [row._replace(what=f"pure Python: {row.what}", limit=None) for row in rows]


def growth() -> Row:
    """The last messages of a long conversation by turns with its first ones, which a twin of it observes again.

    By turns, since the machine may be half as fast a minute later.
    """
    conversation = iter(Productive("long", 400, seed=11))
    warm, guard = Guard(), Guard()
    for line in lines_of(iter(Productive("warm", 400, seed=12)), 2 * _EDGE):
        warm.observe(message_of(line))
    young = [message_of(line) for line in lines_of(conversation, _EDGE)]
    for message in young:
        guard.observe(message)
    for line in islice(conversation, _LONG - 2 * _EDGE):
        guard.observe(message_of(line))
    old = [message_of(line) for line in lines_of(conversation, _EDGE)]
    for message in young:
        message.conversation_id = "twin"
    first, last = [], []
    for one, other in zip(young, old, strict=True):
        first.append(_timed(guard, one))
        last.append(_timed(guard, other))
    before, after = statistics.median(first), statistics.median(last)
    label = f"`observe`, message {_LONG - _EDGE:,} to {_LONG:,} against the first {_EDGE:,}"
    return Row(label, f"{after:.1f} µs against {before:.1f} µs", after / before, _LIMIT_GROWTH)


def _timed(guard: Guard, message: Message) -> float:
    start = perf_counter()
    guard.observe(message)
    return (perf_counter() - start) * 1e6


# ---------------------------------------------------------------------- memory and import, in processes of their own


def measure_memory(kind: str, conversations: int = 200, messages: int = 80) -> float:
    """KiB per conversation; what the words cost once per process is not part of it."""
    raw: list[tuple[bytes, dict[str, Any]]] = []
    for seed in range(conversations):
        name = f"conversation-{seed}"
        work = Productive(name, 400, seed=seed, tools=kind == "tools")
        for line in islice(work if kind in ("talk", "tools") else Looping(name, 400, seed=seed), messages):
            raw.append((line.pop("content").encode(), line))
    # The same messages once before: every word is known to the process when the counting begins.
    for _ in range(2):
        guard = Guard(mode="metrics_only" if kind == "shadow" else "enforce")
        gc.collect()
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        for content, line in raw:
            guard.observe(message_of({**line, "content": content.decode()}))
        gc.collect()
        kib = (tracemalloc.get_traced_memory()[0] - before) / conversations / 1024
        tracemalloc.stop()
    return kib


def measure_rss(conversations: int = 10_000, messages: int = 8) -> float:
    """KiB of resident memory per live conversation."""
    guard = Guard()
    writer = iter(Productive("x", 400))
    for line in lines_of(iter(Productive("warm", 400, seed=2)), 4000):
        guard.observe(message_of(line))
    gc.collect()
    before = _resident_kib()
    for number in range(conversations):
        for line in islice(writer, messages):
            guard.observe(message_of({**line, "conversation_id": f"c{number}"}))
    gc.collect()
    return (_resident_kib() - before) / conversations


def _resident_kib() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1024


def memory() -> list[Row]:
    rows = []
    for kind, label, limit in (
        ("talk", "talk", _LIMIT_KIB),
        ("tools", "mostly tools", _LIMIT_KIB),
        ("loop", "a loop, halted, with its incident", _LIMIT_KIB),
        ("shadow", "a loop that goes on in shadow mode", None),
    ):
        kib = float(_in_a_process(f"from benchmarks import hot_path; print(hot_path.measure_memory({kind!r}))"))
        rows.append(Row(f"memory, 80 messages of 400 characters, {label}", f"{kib:.1f} KiB", kib, limit))
    if Path("/proc/self/statm").exists():
        kib = float(_in_a_process("from benchmarks import hot_path; print(hot_path.measure_rss())"))
        rows.append(Row("resident memory, each of 10,000 live conversations of 8 messages", f"{kib:.1f} KiB", kib))
    return rows


def imports(rounds: int = 9) -> list[Row]:
    timing = "from time import perf_counter as t; s = t(); import {}; print((t() - s) * 1000)"
    ours, floor = [], []
    for _ in range(rounds):
        ours.append(float(_in_a_process(timing.format("agentbreaker"))))
        floor.append(float(_in_a_process(timing.format("pydantic"))))
    ratio = statistics.median(a / b for a, b in zip(ours, floor, strict=True))
    rows = [
        Row(
            "`import agentbreaker` against `import pydantic`",
            f"{statistics.median(ours):.0f} ms against {statistics.median(floor):.0f} ms",
            ratio,
        )
    ]
    loaded = json.loads(
        _in_a_process(f"import agentbreaker, json, sys; print(json.dumps([n in sys.modules for n in {_HEAVY!r}]))")
    )
    for name, present in zip(_HEAVY, loaded, strict=True):
        rows.append(Row(f"`import agentbreaker` loads {name}", "yes" if present else "no", float(present), 0.0))
    return rows


def _in_a_process(program: str, **variables: str) -> str:
    environment = os.environ | {"PYTHONPATH": str(HERE.parent), "PYTHONHASHSEED": "0"} | variables
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, cwd=HERE.parent, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


# ---------------------------------------------------------------------- the table


def report() -> dict[str, Any]:
    """Measure everything; return the figures."""
    rows = observing()
    label = "`observe`, 400 characters of work, against decoding the line into a dictionary"
    rows.append(against_decoding(label, iter(Productive("work", 400, seed=2)), None, loop=False, into=dict))
    if COMPILED:
        rows += without_kernel()
    rows.append(growth())
    rows += memory()
    rows += imports()
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("msgspec", "pydantic"))
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "machine": machine(),
        "python": f"Python {platform.python_version()} ({platform.python_implementation()}), {versions}",
        "kernel": "compiled" if COMPILED else "none, pure Python",
        "rows": [row._asdict() for row in rows],
    }


def page(result: dict[str, Any]) -> str:
    """The figures as Markdown."""
    lines = [
        "# Hot path",
        "",
        f"- date: {result['date']}",
        f"- machine: {result['machine']}",
        f"- {result['python']}",
        f"- kernel: {result['kernel']}",
        "- command: `python benchmarks/hot_path.py --write`",
        "",
        "| what | measured | ratio or value | limit | |",
        "|---|---:|---:|---:|---|",
    ]
    for row in (Row(**fields) for fields in result["rows"]):
        value = "" if row.ratio is None else f"{row.ratio:.2f}" if row.ratio < 10 else f"{row.ratio:.1f}"
        bound = "" if row.limit is None else f"{row.limit:g}"
        lines.append(f"| {row.what} | {row.measured} | {value} | {bound} | {row.verdict} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure the hot path.")
    parser.add_argument(
        "--write", action="store_true", help="also store benchmarks/results/hot_path.md, and hot_path.json"
    )
    arguments = parser.parse_args()
    result = report()
    text = page(result)
    print(text, end="")
    if arguments.write:
        target = HERE / "results" / "hot_path.md"
        target.parent.mkdir(exist_ok=True)
        target.write_text(text, "utf-8")
        stored = json.dumps(result, indent=1, ensure_ascii=False) + "\n"
        target.with_suffix(".json").write_text(stored, "utf-8")
    return 1 if "| FAIL |" in text else 0


if __name__ == "__main__":
    sys.exit(main())
