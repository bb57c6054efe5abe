"""How the engine does on all scenarios: one row for each kind and language."""

from __future__ import annotations

import statistics
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from _embedder import RecordedEmbedder

from agentbreaker.policy import Policy
from agentbreaker.replay import ConversationReport, read_sources, replay

__all__ = ["conversation_ids", "main", "outcome_of", "results", "write_misses"]

MISSES = "known-misses.toml"


def outcome_of(expected: dict[str, Any], report: ConversationReport) -> str:
    """``ok``, ``early``, ``late``, ``missed``, ``false halt``, ``warned`` or ``other detector``."""
    if expected.get("quiet"):
        if report.halted_at is not None:
            return "false halt"
        return "ok" if report.warned_at is None else "warned"
    if report.halted_at is None:
        return "missed"
    if report.halted_at < expected["halt_from"]:
        return "early"
    if report.halted_at > expected["halt_by"]:
        return "late"
    return "ok" if expected.get("detector") in (None, report.detector) else "other detector"


def conversation_ids(name: str, table: dict[str, Any]) -> list[str]:
    """Ids of the conversations of one table: one named like the table, or `count` numbered ones."""
    return [f"{name}-{number + 1}" for number in range(table["count"])] if "count" in table else [name]


def write_misses(scenarios: Path) -> int:
    """Write the list of conversations that end otherwise than expected; reasons that were given stay."""
    path = scenarios / MISSES
    old = tomllib.loads(path.read_text("utf-8")) if path.exists() else {}
    misses: dict[str, dict[str, str]] = {}
    for folder in sorted(path.parent for path in scenarios.glob("*/scenario.toml")):
        for name, expected, report in results(folder):
            outcome = outcome_of(expected, report)
            if outcome != "ok":
                misses.setdefault(name, {})[report.conversation_id] = outcome
    lines = [
        "# Conversations that the engine does not get right yet.  The test asserts that they still end like this, so",
        "# an improvement shows as well.  `python scenarios/generate.py --misses` rewrites the list and keeps reasons.",
    ]
    for name, found in misses.items():
        reason = old.get(name, {}).get("reason", "TODO")
        lines += ["", f"[{name}]", f'reason = "{reason}"', f"[{name}.conversations]"]
        lines += [f'{conversation} = "{outcome}"' for conversation, outcome in found.items()]
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return 0


def results(folder: Path) -> Iterator[tuple[str, dict[str, Any], ConversationReport]]:
    """Every conversation of a folder: name of its table, what is expected of it, what came of it.

    Raises:
        LookupError: The embedder of a scenario was asked for a text that its file has no vector of.
    """
    for name, table in tomllib.loads((folder / "scenario.toml").read_text("utf-8")).items():
        path = next(path for path in folder.glob(f"{name}.jsonl*"))
        embedder = RecordedEmbedder(folder.parent / table["embedder"]) if "embedder" in table else None
        policy = Policy(**table.get("policy", {}))
        for report in replay(read_sources([path], strict=True), policy, embedder=embedder):
            own = table.get("conversations", {}).get(report.conversation_id, {})
            yield name, {**table, **own}, report
        if embedder is not None and embedder.unknown:
            raise LookupError(f"{table['embedder']} has no vectors of {embedder.unknown} texts of {name}")


def main(scenarios: Path) -> int:
    """Print the table; every conversation that ends otherwise below it."""
    columns = ("ok", "early", "late", "missed", "other detector", "false halt", "warned")
    rows: dict[str, dict[str, int]] = {}
    delays: dict[str, list[int]] = {}
    wrong: list[str] = []
    for folder in sorted(path.parent for path in scenarios.glob("*/scenario.toml")):
        for name, expected, report in results(folder):
            outcome = outcome_of(expected, report)
            row = rows.setdefault(f"{folder.name}/{name}", dict.fromkeys(columns, 0))
            row[outcome] += 1
            if report.halted_at is not None and "onset" in expected:
                delays.setdefault(f"{folder.name}/{name}", []).append(report.halted_at - expected["onset"])
            if outcome != "ok":
                at = f"halted {report.halted_at}" if report.halted_at is not None else f"warned {report.warned_at}"
                window = "" if expected.get("quiet") else f", window {expected['halt_from']}-{expected['halt_by']}"
                wrong.append(
                    f"{outcome:15}{report.conversation_id}: {at} of {report.messages} {report.detector or ''}{window}"
                )
    print(
        f"{'scenario':70}{'n':>4}"
        + "".join(f"{column.replace(' detector', ''):>11}" for column in columns)
        + f"{'delay':>7}"
    )
    totals = dict.fromkeys(columns, 0)
    for key, row in rows.items():
        delay = f"{statistics.median(delays[key]):g}" if key in delays else ""
        print(f"{key:70}{sum(row.values()):4}" + "".join(f"{row[c] or '.':>11}" for c in columns) + f"{delay:>7}")
        for column in columns:
            totals[column] += row[column]
    print(f"{'all':70}{sum(totals.values()):4}" + "".join(f"{totals[c] or '.':>11}" for c in columns))
    print(*["", *wrong], sep="\n")
    return 0
