"""What a long recording costs: messages a second with one process and with two, and memory up to fifty million.

Run ``python benchmarks/scale.py`` from a checkout; ``--write`` also stores the table under ``benchmarks/results``.  The
recordings are made in a temporary folder (21 GB for fifty million messages) and deleted.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, NamedTuple

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import msgspec  # noqa: E402

from agentbreaker.kernel import COMPILED  # noqa: E402
from benchmarks._recordings import Mix, recording  # noqa: E402
from benchmarks.hot_path import Line  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable

_MILLION = 1_000_000
_SPEED, _ROUNDS = 400_000, 3
_LENGTHS = (_MILLION, 10 * _MILLION, 50 * _MILLION)
_MARKS = tuple(_MILLION * number for number in (1, 2, 5, 10, 20, 30, 40))
_POLL_SECONDS = 0.1


class Run(NamedTuple):
    """What a replay took.

    Attributes:
        seconds: From start to end.
        mib: Largest resident size of all its processes together: the sum of the peak of each.
        messages, conversations: What it reported.
        marks: On the way, that size when so many messages had been read, by the place in the file.
    """

    seconds: float
    mib: float
    messages: int
    conversations: int
    marks: dict[int, float]


def write(path: Path, count: int) -> int:
    """Write a recording; return its size in bytes."""
    with path.open("wb") as file:
        for block in recording(count):
            file.write(block)
    return path.stat().st_size


def replay(path: Path, jobs: int, *, count: int = 0, most_seconds: float = float("inf"), nice: int = 0) -> Run:
    """Replay a file of `count` messages in processes of their own, and watch their memory; Ctrl-C after so long."""
    peaks: dict[int, float] = {}
    marks: dict[int, float] = {}
    start = perf_counter()
    command = [sys.executable, "-m", "agentbreaker", "replay", str(path), "-f", "jsonl", "--jobs", str(jobs)]
    out, size, asked = path.with_suffix(f".{jobs}.out"), path.stat().st_size, False
    with out.open("wb") as file, subprocess.Popen(command, stdout=file, cwd=HERE.parent) as process:
        os.setpriority(os.PRIO_PROCESS, process.pid, nice)
        while process.poll() is None:
            pids = (process.pid, *_children(process.pid))
            for pid in pids:
                peaks[pid] = max(peaks.get(pid, 0.0), _peak(pid))
            read = min(filter(None, (_position(pid, path) for pid in pids)), default=0) / size * count
            for mark in _MARKS:
                if read >= mark and mark not in marks:
                    marks[mark] = sum(peaks.values())
                    print(f"{mark:,}: {marks[mark]:,.0f} MiB, {perf_counter() - start:,.0f} s", flush=True)
            if perf_counter() - start > most_seconds and not asked:
                asked = True
                process.send_signal(signal.SIGINT)
            time.sleep(_POLL_SECONDS)
        assert process.returncode == (130 if asked else 0), process.returncode
    seconds, messages, conversations = perf_counter() - start, 0, 0
    with out.open("rb") as file:
        for line in file:
            conversations += 1
            messages += json.loads(line)["messages"]
    out.unlink()
    return Run(seconds, sum(peaks.values()), messages, conversations, marks)


def _position(pid: int, path: Path) -> int:
    """How far a process has read a file."""
    try:
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            if os.readlink(descriptor) == str(path):
                return int(Path(f"/proc/{pid}/fdinfo/{descriptor.name}").read_text().split()[1])
    except OSError:
        pass
    return 0


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _peak(pid: int) -> float:
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    return 0.0


class Cost(NamedTuple):
    """What one way took: seconds on the wall, and of processors."""

    wall: float
    processor: float


def decode(path: Path, how: Callable[[bytes], object]) -> Cost:
    """Decode every line of a file."""
    wall, processor = perf_counter(), time.process_time()
    with path.open("rb") as file:
        for line in file:
            how(line)
    return Cost(perf_counter() - wall, time.process_time() - processor)


def replay_cost(path: Path, jobs: int) -> Cost:
    """Replay a file, with the processor time of all its processes."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = replay(path, jobs).seconds
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Cost(seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def speeds(folder: Path, count: int) -> list[str]:
    """Rows of the table of speeds."""
    path = folder / "speed.jsonl"
    size = write(path, count)
    decoder = msgspec.json.Decoder(Line)
    ways: dict[str, Callable[[], Cost]] = {
        "`replay`, one process": lambda: replay_cost(path, 1),
        "`replay --jobs 2`": lambda: replay_cost(path, 2),
        "decoding alone, `msgspec` into a struct": lambda: decode(path, decoder.decode),
        "decoding alone, `json` into dictionaries": lambda: decode(path, json.loads),
    }
    found: dict[str, list[Cost]] = {name: [] for name in ways}
    busy = os.getloadavg()[0]
    for _ in range(_ROUNDS):
        for name, way in ways.items():
            found[name].append(way())
    path.unlink()
    one = statistics.median(cost.wall for cost in found["`replay`, one process"])
    rows = [
        f"{count:,} messages, {size / 1e6:,.0f} MB, medians of {_ROUNDS} rounds by turns "
        f"(load of the machine at their beginning: {busy:.1f}):",
        "",
        "| what | messages a second | MB a second | times one process | processor time a message, all processes |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, costs in found.items():
        wall = statistics.median(cost.wall for cost in costs)
        processor = statistics.median(cost.processor for cost in costs)
        rows.append(
            f"| {name} | {count / wall:,.0f} | {size / wall / 1e6:,.1f} | {one / wall:.2f} "
            f"| {processor / count * 1e6:.1f} µs |"
        )
    return rows


def memory(folder: Path, lengths: tuple[int, ...], minutes: float, jobs: tuple[int, ...]) -> list[str]:
    """Rows of the table of memory."""
    small = folder / "small.jsonl"
    write(small, 100)
    base = {number: replay(small, number).mib for number in jobs}
    baselines = ", ".join(f"{mib:.0f} MiB with `--jobs {number}`" for number, mib in base.items())
    rows = [
        "Resident memory of all processes of a fresh run, at its peak, over that of a replay of 100 messages",
        f"({baselines}):",
        "",
        "| messages in the file | `--jobs` | read | conversations | peak over the baseline | messages a second | |",
        "|---:|---:|---:|---:|---:|---:|---|",
    ]
    for count in lengths:
        path = folder / f"{count}.jsonl"
        size = write(path, count)
        for number in jobs:
            run = replay(path, number, count=count, most_seconds=60 * minutes, nice=10)
            for mark, mib in run.marks.items():
                if mark < run.messages:
                    rows.append(f"| | {number} | {mark:,} | | {mib - base[number]:,.0f} MiB | | on the way |")
            whole = run.messages == count
            ending = f"{size / 1e9:.1f} GB" if whole else f"Ctrl-C after {minutes:g} minutes"
            found = f"{run.messages:,} | {run.conversations:,} | {run.mib - base[number]:,.0f} MiB"
            rows.append(f"| {count:,} | {number} | {found} | {run.messages / run.seconds:,.0f} | {ending} |")
            print(rows[-1], flush=True)
        path.unlink()
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="also store the result")
    parser.add_argument("--lengths", default=",".join(map(str, _LENGTHS)), help="messages, with commas")
    parser.add_argument("--jobs", default="1,2", help="processes for the table of memory, with commas")
    parser.add_argument("--minutes", type=float, default=120, help="most that one run may take")
    parser.add_argument("--folder", help="where there is room for the recordings")
    parser.add_argument("--speed", type=int, default=_SPEED, help="messages for the table of speeds")
    parser.add_argument("--no-memory", action="store_true", help="leave out the table of memory")
    parser.add_argument("--no-speed", action="store_true", help="leave out the table of speeds")
    options = parser.parse_args()
    lengths = tuple(int(length) for length in options.lengths.split(","))
    jobs = tuple(int(number) for number in options.jobs.split(","))
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        fast = [] if options.no_speed else speeds(Path(folder), options.speed)
        big = [] if options.no_memory else memory(Path(folder), lengths, options.minutes, jobs)
    mix = Mix()
    text = "\n".join(
        [
            "# Scale",
            "",
            f"- date: {datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
            f"- machine: {_processor()}, {os.cpu_count()} CPUs, {platform.system()} {platform.machine()}",
            f"- Python {platform.python_version()} ({platform.python_implementation()}), "
            f"msgspec {importlib.metadata.version('msgspec')}, pydantic {importlib.metadata.version('pydantic')}",
            f"- kernel: {'compiled' if COMPILED else 'pure Python'}",
            f"- recordings: {mix.open} conversations at a time, {mix.messages} messages each on average, "
            f"{mix.loops:.0%} of them end in a loop, {mix.tools:.0%} of the messages are tool calls and results",
            f"- command: `python benchmarks/scale.py {' '.join(sys.argv[1:])}`",
            "",
            *fast,
            *([""] if fast else []),
            *big,
            "",
        ]
    )
    print(text)
    if options.write:
        (HERE / "results" / "scale.md").write_text(text, "utf-8")


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or "unknown processor"


if __name__ == "__main__":
    main()
