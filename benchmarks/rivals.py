"""Rivals side by side: the real code of each, on the same scenarios and the same cost transcript, in one run.

Run ``python benchmarks/rivals.py`` from a checkout.  It makes an environment for each rival with pip, drives its code
through ``benchmarks/rival_drivers`` and prints a Markdown page; ``--write`` also stores it as
``benchmarks/results/rivals.md``, with all figures in ``rivals.json``.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from agentbreaker import __version__  # noqa: E402
from agentbreaker.kernel import COMPILED  # noqa: E402
from benchmarks._machine import machine  # noqa: E402
from benchmarks._rivals_list import OURS, RIVALS, Rival  # noqa: E402
from benchmarks._rivals_page import changes, page  # noqa: E402
from benchmarks._rivals_run import (  # noqa: E402
    BrokenError,
    Conversation,
    Line,
    Process,
    conversations_in,
    install,
    judged,
    rows_of,
)
from benchmarks._texts import Productive  # noqa: E402

SCENARIOS = HERE.parent / "scenarios"
RESULTS = HERE / "results"
_COST_MESSAGES, _COST_CHARACTERS, _COST_SECONDS = 10_000, 400, 60.0
#: Rounds in which we and a rival take turns, and the seconds after which no other begins.
_ROUNDS, _ROUND_SECONDS = 3, 10.0

Result = dict[str, Any]


def cost_transcript(messages: int = _COST_MESSAGES) -> list[Line]:
    """Agents at work, 400 characters a message, as drivers take them."""
    lines = []
    for number, line in enumerate(islice(iter(Productive("cost", _COST_CHARACTERS, seed=5)), messages)):
        usage = {**line["usage"], "cache_read_input_tokens": 0, "cache_creation_input_tokens": 0}
        lines.append(
            {
                "sender": line["sender"],
                "recipient": line["recipient"],
                "kind": line["kind"],
                "from_user": False,
                "content": line["content"],
                "message_id": line["message_id"],
                "parent_id": None,
                "model": None,
                "seconds": 2.0 * number,
                "usage": {**usage, "reasoning_output_tokens": 0},
                "cost_usd": None,
            }
        )
    return lines


def detect(rival: Rival, mode: str, python: str, work: Path, conversations: Sequence[Conversation]) -> Result:
    """One row without its cost: what the rival is, and what it did on the scenarios.

    Raises:
        BrokenError: It cannot be driven.
    """
    began = perf_counter()
    with Process.of(rival, mode, python, work) as process:
        hello = process.ask({"do": "hello"})
        verdicts = judged(process, conversations)
    sys.stderr.write(f"{rival.name} ({mode}): scenarios done in {perf_counter() - began:.0f} s\n")
    groups = dict(sorted(verdicts.groups.items()))
    runaways = {
        name: {key: getattr(tally, key) for key in ("total", "in_window", "sooner", "late", "early", "missed")}
        for name, tally in groups.items()
        if tally.runaway
    }
    legitimate = {
        name: {"total": tally.total, "halted": tally.halted} for name, tally in groups.items() if not tally.runaway
    }
    return {
        "name": rival.name,
        "mode": mode,
        "version": __version__ if rival.name == OURS else hello["versions"][rival.name],
        "python": hello["python"],
        "mapping": rival.mapping,
        "runaways": runaways,
        "legitimate": legitimate,
        "errors": verdicts.errors,
    }


def weigh(rival: Rival, mode: str, python: str, work: Path, lines: Sequence[Line], seconds: float) -> Result:
    """What one row costs, by turns with agentbreaker; medians over the rounds.

    Raises:
        BrokenError: It cannot be driven.
    """
    ours = RIVALS[0]
    request = {"do": "measure", "messages": lines, "seconds": seconds}
    rounds: list[tuple[Result, Result]] = []
    began = perf_counter()
    while len(rounds) < _ROUNDS and (not rounds or perf_counter() - began < _ROUND_SECONDS):
        with Process.of(ours, ours.modes[0], sys.executable, work) as process:
            beside = process.ask(request)
        with Process.of(rival, mode, python, work) as process:
            cost = process.ask(request)
        for answer in (beside, cost):
            if "error" in answer:
                raise BrokenError(f"on the cost transcript it raises {answer['error'].partition(':')[0]}")
        rounds.append((beside, cost))
    marks = [mark for mark in rounds[0][1]["us"] if all(mark in cost["us"] for _, cost in rounds)]

    def at(answer: Result) -> float:
        """What is compared: the cost at the last mark that the rival has reached."""
        return float(answer["us"][marks[-1]] if marks else answer["latest_us"])

    def median(values: Iterable[float]) -> float:
        return round(statistics.median(values), 2)

    return {
        "us": {mark: median(cost["us"][mark] for _, cost in rounds) for mark in marks},
        "latest_us": median(cost["latest_us"] for _, cost in rounds),
        "reached": min(cost["reached"] for _, cost in rounds),
        "stops": rounds[0][1]["stops"],
        "beside_us": median(at(beside) for beside, _ in rounds),
        "ratio": 1.0 if rival is ours else median(at(cost) / at(beside) for beside, cost in rounds),
        "rounds": len(rounds),
    }


def weigh_all(rows: Sequence[Result], pythons: Mapping[str, str], work: Path, seconds: float) -> None:
    """Measure what all rows cost, one after the other, and write it into them."""
    lines = cost_transcript()
    by_name = {rival.name: rival for rival in RIVALS}
    for row in rows:
        rival = by_name[row["name"]]
        row["errors"].pop("cost", None)
        try:
            row["cost"] = weigh(rival, row["mode"], pythons[rival.name], work, lines, seconds)
        except BrokenError as error:
            row["cost"] = None
            row["errors"]["cost"] = str(error)
        sys.stderr.write(f"{rival.name} ({row['mode']}): cost measured\n")


def weigh_again(stored: Result, work: Path, given: Sequence[str], seconds: float) -> Result:
    """Keep what is stored of the scenarios, which no busy machine changes, and measure the cost anew.

    Raises:
        BrokenError: A rival that is stored cannot be installed any more.
    """
    names = {row["name"] for row in stored["rows"]}
    pythons = {rival.name: install(rival, work, given) for rival in RIVALS if rival.name in names}
    weigh_all(stored["rows"], pythons, work, seconds)
    return stored | {
        "date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "machine": machine(),
        "cost_seconds": seconds,
    }


def document(result: Result) -> str:
    """The result as JSON, one row of the table a line, so that a change of one shows as one."""
    fields = [f"{json.dumps(name)}: {json.dumps(value, ensure_ascii=False)}" for name, value in result.items()]
    rows = ",\n  ".join(json.dumps(row, ensure_ascii=False) for row in result["rows"])
    fields[list(result).index("rows")] = f'"rows": [\n  {rows}\n ]'
    return "{\n " + ",\n ".join(fields) + "\n}\n"


def run(rivals: Sequence[Rival], work: Path, given: Sequence[str], limit: int | None, seconds: float) -> Result:
    """Install and drive all of them; return everything that the page says."""
    conversations, left_out = conversations_in(SCENARIOS, limit)
    pythons: dict[str, str] = {}
    unavailable: list[dict[str, str]] = []

    def give_up(rival: Rival, mode: str, reason: object) -> None:
        unavailable.append({"name": rival.name, "mode": mode, "reason": str(reason)})
        sys.stderr.write(f"{rival.name} ({mode}): {reason}\n")

    for rival in rivals:
        sys.stderr.write(f"installing {rival.name}\n" if rival.requirements else "")
        try:
            pythons[rival.name] = install(rival, work, given)
        except BrokenError as error:
            give_up(rival, "all", error)
    ready = [(rival, mode) for rival, mode in rows_of(rivals) if rival.name in pythons]
    rows: list[Result] = []
    # What they find is not timed, so that two may run at once.
    with ThreadPoolExecutor(2) as pool:
        started = [pool.submit(detect, rival, mode, pythons[rival.name], work, conversations) for rival, mode in ready]
        for (rival, mode), future in zip(ready, started, strict=True):
            try:
                rows.append(future.result())
            except BrokenError as error:
                give_up(rival, mode, error)
    weigh_all(rows, pythons, work, seconds)
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "machine": machine(),
        "python": platform.python_version(),
        "agentbreaker": __version__,
        "kernel": "compiled" if COMPILED else "none, pure Python",
        "command": "python benchmarks/rivals.py --write",
        "limit": limit,
        "conversations": len(conversations),
        "runaways": sum(not one.expectation.quiet for one in conversations),
        "left_out": left_out,
        "cost_messages": _COST_MESSAGES,
        "cost_characters": _COST_CHARACTERS,
        "cost_seconds": seconds,
        "rows": rows,
        "unavailable": unavailable,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; the exit code is 1 if a rival could not be driven."""
    parser = argparse.ArgumentParser(description="Measure agentbreaker and its rivals side by side.")
    parser.add_argument("--list", action="store_true", help="name the rivals, with versions and modes, and stop")
    parser.add_argument("--only", action="append", metavar="NAME", help="only this rival, beside agentbreaker; repeat")
    parser.add_argument("--limit", type=int, metavar="N", help="at most N conversations of each folder of scenarios")
    parser.add_argument("--seconds", type=float, default=_COST_SECONDS, help="most that the cost of a row may take")
    parser.add_argument("--work", type=Path, metavar="DIR", help="keep the environments here, and use them again")
    parser.add_argument("--python", action="append", default=[], metavar="PATH", help="an interpreter to install with")
    parser.add_argument("--cost", action="store_true", help="only the cost; the stored results for the scenarios")
    parser.add_argument("--write", action="store_true", help="also store benchmarks/results/rivals.md and rivals.json")
    options = parser.parse_args(arguments)
    if options.list:
        for rival in RIVALS:
            print(f"{' '.join(rival.requirements) or 'this checkout'}: {', '.join(rival.modes)}")
        return 0
    unknown = set(options.only or ()) - {rival.name for rival in RIVALS}
    if unknown:
        parser.error(f"no such rival: {', '.join(sorted(unknown))}; --list names them")
    if (options.write or options.cost) and (options.only or options.limit):
        parser.error("a part of the table is not stored: --write and --cost go without --only and --limit")
    stored = RESULTS / "rivals.json"
    before = json.loads(stored.read_text("utf-8")) if stored.is_file() else None
    if options.cost and before is None:
        parser.error(f"--cost needs stored results, and there is no {stored.name}")
    chosen = [rival for rival in RIVALS if not options.only or rival.name in {OURS, *options.only}]
    with tempfile.TemporaryDirectory(prefix="rivals-") as temporary:
        work = (options.work or Path(temporary)).resolve()
        work.mkdir(parents=True, exist_ok=True)
        if options.cost:
            result = weigh_again(before, work, options.python, options.seconds)
        else:
            result = run(chosen, work, options.python, options.limit, options.seconds)
            result["changes"] = None if before is None else list(changes(result, before))
    text = page(result)
    print(text, end="")
    if options.write:
        stored.write_text(document(result), "utf-8")
        (RESULTS / "rivals.md").write_text(text, "utf-8")
    return 1 if result["unavailable"] else 0


if __name__ == "__main__":
    sys.exit(main())
