"""The evasion matrix: every runaway of ``scenarios/`` under every disguise, and what is halted.

Run ``python benchmarks/evasion.py`` from a checkout; ``--write`` also stores ``benchmarks/results/evasion.md``.  What
no content detector halts is replayed under a reference budget, with its loop going on: the floor.
"""

from __future__ import annotations

import argparse
import math
import platform
import statistics
import sys
import tomllib
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain, cycle, islice
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
SCENARIOS = HERE.parent / "scenarios"
sys.path.insert(0, str(HERE.parent))

from agentbreaker import Guard, Message, Policy, Tool, Usage, VirtualClock, __version__  # noqa: E402
from agentbreaker.replay import read_sources  # noqa: E402
from benchmarks._disguises import DISGUISES, Disguise, Line, disguised  # noqa: E402

__all__ = ["Cell", "Runaway", "floor", "judge", "runaways", "wilson"]

#: The floor: caps that hold whatever is said.  Tokens are counted as a model would bill them: every message sends the
#: whole history again, at four characters a token, up to a context of 100,000 tokens.
REFERENCE = {"max_messages": 200, "max_tokens": 500_000}
_CHARACTERS_PER_TOKEN, _CONTEXT_TOKENS = 4, 100_000
#: Messages up to which a loop that was missed goes on, counted from its onset.
_LONGEST = 400
_SECONDS_PER_MESSAGE = 5.0


@dataclass(frozen=True)
class Runaway:
    """A conversation that must be halted.

    Attributes:
        id, family, lang: Its id, folder and language.
        lines: Its messages, as the transcript has them.
        onset: The first message that brings nothing new.
        halt_by: The message by which it has to be halted.
    """

    id: str
    family: str
    lang: str
    lines: tuple[Line, ...]
    onset: int
    halt_by: int


class Cell(NamedTuple):
    """What became of one runaway in one disguise; a floor of ``None`` means: not needed.

    Attributes:
        outcome: ``halted``, ``late`` (after its window), ``early`` (before the onset) or ``missed``.
        delay: Messages from the onset to the halt, those of the disguise included.
        floor: What halted a miss in the end, a code, or ``early`` where a cap held before the onset.
        floor_at: Number of the message on which it did.
    """

    outcome: str
    delay: int | None = None
    floor: str | None = None
    floor_at: int | None = None


def runaways() -> list[Runaway]:
    """All conversations of the scenarios that must be halted with the default policy and without an embedder."""
    found = []
    for table_file in sorted(SCENARIOS.glob("*/scenario.toml")):
        for name, table in tomllib.loads(table_file.read_text("utf-8")).items():
            if table.get("quiet") or {"policy", "embedder"} & set(table):
                continue
            path = next(path for path in table_file.parent.glob(f"{name}.jsonl*"))
            lines: dict[str, list[Line]] = {}
            for _, message in read_sources([path], strict=True):
                lines.setdefault(message.conversation_id, []).append(_line(message))
            for conversation_id, content in lines.items():
                expected = table | table.get("conversations", {}).get(conversation_id, {})
                onset = expected.get("onset")
                if onset is None:
                    # By hand: evident with the fourth message of the loop, or with the fourth round of tools.
                    tools = content[expected["halt_from"]].get("kind") in ("tool_call", "tool_result")
                    onset = expected["halt_from"] - (7 if tools else 3)
                lang = "zh" if "-zh" in conversation_id else "en"
                found.append(
                    Runaway(conversation_id, table_file.parent.name, lang, tuple(content), onset, expected["halt_by"])
                )
    return found


def _line(message: Message) -> Line:
    """The fields of a message that a disguise looks at, as plain data."""
    line: Line = {
        "conversation_id": message.conversation_id,
        "sender": message.sender,
        "recipient": message.recipient,
        "kind": message.kind,
        "content": message.content or (message.tool.result if message.tool is not None else None) or "",
        "role": message.role,
    }
    if message.tool is not None:
        tool = message.tool
        line["tool"] = {"name": tool.name, "call_id": tool.call_id, "arguments": tool.arguments}
        line["is_error"] = tool.is_error
    return line


def _message(line: Line, call_id: str | None, usage: Usage | None) -> Message:
    tool = line.get("tool")
    if tool is not None:
        tool = Tool(tool["name"], call_id, tool["arguments"], None, line.get("is_error", False))
    return Message(
        line["conversation_id"],
        line["sender"],
        line.get("recipient"),
        line.get("kind", "message"),
        line["content"],
        line.get("role"),
        tool=tool,
        usage=usage,
    )


def _delivered(runaway: Runaway, disguise: Disguise, *, endless: bool) -> Iterator[tuple[int, Message]]:
    """The messages as they go over the bus, each with the number of the undisguised message that it was made of."""
    tail = runaway.lines[runaway.onset :]
    loop = cycle(tail) if endless else iter(tail)
    before = ((number, line) for number, line in enumerate(runaway.lines[: runaway.onset]))
    after = ((runaway.onset + n, line) for n, line in disguised(disguise, loop, runaway.id, runaway.lang))
    history = 0
    rounds: dict[str, int] = {}
    for number, line in chain(before, after):
        written = len(line["content"]) // _CHARACTERS_PER_TOKEN
        usage = Usage(min(history, _CONTEXT_TOKENS), written)
        history += written
        call_id = None
        if line.get("tool") is not None:
            # The tail comes again and again: a call must not be answered by the result of an earlier lap.
            key = str(line["tool"]["call_id"])
            rounds[key] = rounds.get(key, 0) + (line.get("kind") == "tool_call")
            call_id = f"{key}/{rounds[key]}"
        yield number, _message(line, call_id, usage)


def _first_halt(policy: Policy, messages: Iterator[tuple[int, Message]]) -> tuple[int, int, str] | None:
    """Number of the message that was halted, of the undisguised one that it was made of, and the code."""
    clock = VirtualClock()
    guard = Guard(policy, clock=clock)
    for at, (number, message) in enumerate(messages):
        clock.advance(_SECONDS_PER_MESSAGE)
        decision = guard.observe(message)
        if decision.action.opens:
            return at, number, decision.code or ""
    return None


def judge(runaway: Runaway, disguise: Disguise, policy: Policy) -> Cell:
    """Replay a runaway in a disguise, as long as it was recorded, under content detection alone."""
    halt = _first_halt(policy, _delivered(runaway, disguise, endless=False))
    if halt is None:
        return Cell("missed")
    at, number, _ = halt
    if number < runaway.onset:
        return Cell("early")
    return Cell("halted" if number <= runaway.halt_by else "late", at - runaway.onset)


def floor(runaway: Runaway, disguise: Disguise, reference: Policy) -> tuple[str, int] | None:
    """What halts a runaway in the end that was missed, and on which message, under the reference budget."""
    messages = islice(_delivered(runaway, disguise, endless=True), runaway.onset + _LONGEST)
    halt = _first_halt(reference, messages)
    if halt is None:
        return None
    at, number, code = halt
    return ("early" if number < runaway.onset else code), at


def row_of(runaway: Runaway) -> list[Cell]:
    """One runaway in all disguises."""
    policy, reference = Policy(), Policy(budgets=REFERENCE)
    cells = []
    for disguise in DISGUISES:
        cell = judge(runaway, disguise, policy)
        if cell.outcome == "missed":
            end = floor(runaway, disguise, reference)
            cell = (
                cell._replace(floor="nothing", floor_at=None)
                if end is None
                else cell._replace(floor=end[0], floor_at=end[1])
            )
        cells.append(cell)
    return cells


def wilson(hits: int, of: int) -> tuple[float, float]:
    """The 95 % interval of a proportion (E. B. Wilson, JASA 1927)."""
    if not of:
        return 0.0, 1.0
    z = 1.959964
    p = hits / of
    middle = p + z * z / (2 * of)
    spread = z * math.sqrt(p * (1 - p) / of + z * z / (4 * of * of))
    scale = 1 + z * z / of
    return max(0.0, (middle - spread) / scale), min(1.0, (middle + spread) / scale)


# ---------------------------------------------------------------------- the page


def _halted(cells: Sequence[Cell]) -> int:
    return sum(cell.outcome in ("halted", "late") for cell in cells)


def _shown(cells: Sequence[Cell]) -> str:
    early = sum(cell.outcome == "early" for cell in cells)
    return f"{_halted(cells)}/{len(cells)}" + (f" +{early}" if early else "")


def _totals(table: list[list[Cell]]) -> Iterator[str]:
    """One line for each disguise, over all runaways."""
    base = _halted([row[0] for row in table])
    yield "| disguise | cheap | halted | of these late | early | missed | recall [95 %] | against none | delay |"
    yield "|---|---|---:|---:|---:|---:|---|---:|---:|"
    for column, disguise in enumerate(DISGUISES):
        cells = [row[column] for row in table]
        hits = _halted(cells)
        late, early, missed = (sum(c.outcome == o for c in cells) or "" for o in ("late", "early", "missed"))
        low, high = wilson(hits, len(cells))
        delays = [cell.delay for cell in cells if cell.delay is not None]
        yield (
            f"| {disguise.name} | {'yes' if disguise.cheap else ''} | {hits}/{len(cells)} | {late} | {early} | "
            f"{missed} | {hits / len(cells):.2f} [{low:.2f}, {high:.2f}] | {f'{hits - base:+}' if column else ''} | "
            f"{f'{statistics.median(delays):g}' if delays else ''} |"
        )


def _floors(table: list[list[Cell]]) -> Iterator[str]:
    """What halts the misses in the end, and on which message."""
    yield "| disguise | missed | content, later | messages | tokens | cap before the onset | not at all | on message |"
    yield "|---|---:|---:|---:|---:|---:|---:|---|"
    for column, disguise in enumerate(DISGUISES):
        cells = [row[column] for row in table if row[column].outcome == "missed"]
        if not cells:
            continue
        ends = [cell.floor or "" for cell in cells]
        caps = {code: ends.count(code) for code in ("AB601", "AB602", "early", "nothing")}
        counts = [len(cells) - sum(caps.values()), *caps.values()]
        at = sorted(cell.floor_at for cell in cells if cell.floor_at is not None and cell.floor != "early")
        where = f"{at[0]} to {at[-1]}, median {statistics.median(at):g}" if at else ""
        columns = " | ".join(str(count or "") for count in counts)
        yield f"| {disguise.name} | {len(cells)} | {columns} | {where} |"


def _families(all_runaways: list[Runaway], table: list[list[Cell]], group: str) -> Iterator[str]:
    """The matrix itself, for one group of disguises."""
    columns = [0, *(n for n, disguise in enumerate(DISGUISES) if n and disguise.group == group)]
    yield "| family | language | " + " | ".join(DISGUISES[column].name for column in columns) + " |"
    yield "|---|---|" + "---:|" * len(columns)
    rows: dict[tuple[str, str], list[list[Cell]]] = {}
    for runaway, cells in zip(all_runaways, table, strict=True):
        rows.setdefault((runaway.family, runaway.lang), []).append(cells)
    for (family, lang), members in sorted(rows.items()):
        shown = " | ".join(_shown([cells[column] for cells in members]) for column in columns)
        yield f"| {family} | {lang} | {shown} |"


def page(all_runaways: list[Runaway], table: list[list[Cell]]) -> str:
    """Everything as Markdown, the misses included."""
    caps = ", ".join(f"`budgets.{name} = {value:,}`" for name, value in REFERENCE.items())
    lines = [
        "# Evasion",
        "",
        f"- date: {datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        f"- agentbreaker {__version__}, Python {platform.python_version()} "
        f"({platform.python_implementation()}), {platform.system()} {platform.machine()}",
        "- command: `python benchmarks/evasion.py --write`",
        f"- {len(all_runaways)} runaways, {len(DISGUISES)} disguises, default policy; what the terms mean is in "
        "[benchmarks/README.md](../README.md#evasion)",
        "",
        "## All runaways",
        "",
        *_totals(table),
        "",
        "## The floor: what halts the misses",
        "",
        f"Reference budget: {caps}. The loop goes on in its disguise, for up to {_LONGEST} messages.",
        "",
        *_floors(table),
    ]
    for group in dict.fromkeys(disguise.group for disguise in DISGUISES):
        lines += ["", f"## {group}", "", *_families(all_runaways, table, group)]
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure what is still caught in disguise.")
    parser.add_argument("--write", action="store_true", help="also store benchmarks/results/evasion.md")
    parser.add_argument("--misses", action="store_true", help="also name each conversation that is not halted")
    options = parser.parse_args()
    began = perf_counter()
    all_runaways = runaways()
    with ProcessPoolExecutor() as pool:
        table = list(pool.map(row_of, all_runaways, chunksize=4))
    text = page(all_runaways, table)
    sys.stdout.write(text)
    if options.misses:
        for runaway, cells in zip(all_runaways, table, strict=True):
            wrong = [f"{d.name} ({c.outcome})" for d, c in zip(DISGUISES, cells, strict=True) if c.delay is None]
            if wrong:
                sys.stdout.write(f"{runaway.id}: {', '.join(wrong)}\n")
    if options.write:
        target = HERE / "results" / "evasion.md"
        target.parent.mkdir(exist_ok=True)
        target.write_text(text, "utf-8")
    sys.stderr.write(f"{perf_counter() - began:.0f} s\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
