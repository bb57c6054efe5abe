"""How the engine does on all scenarios: one row for each kind and language."""

from __future__ import annotations

import statistics
import tomllib
from pathlib import Path

from agentbreaker.scenario import SCENARIO, Outcome, results

__all__ = ["main", "write_misses"]

MISSES = "known-misses.toml"


def write_misses(scenarios: Path) -> int:
    """Write the list of conversations that end otherwise than expected; reasons that were given stay."""
    path = scenarios / MISSES
    old = tomllib.loads(path.read_text("utf-8")) if path.exists() else {}
    misses: dict[str, dict[str, str]] = {}
    for folder in sorted(path.parent for path in scenarios.glob(f"*/{SCENARIO}")):
        for scenario, expected, report in results(folder):
            outcome = expected.outcome(report)
            if outcome is not Outcome.OK:
                misses.setdefault(scenario.name, {})[report.conversation_id] = outcome
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


def main(scenarios: Path) -> int:
    """Print the table; every conversation that ends otherwise below it."""
    columns = tuple(Outcome)
    rows: dict[str, dict[Outcome, int]] = {}
    delays: dict[str, list[int]] = {}
    wrong: list[str] = []
    for folder in sorted(path.parent for path in scenarios.glob(f"*/{SCENARIO}")):
        for scenario, expected, report in results(folder):
            outcome, name = expected.outcome(report), f"{folder.name}/{scenario.name}"
            row = rows.setdefault(name, dict.fromkeys(columns, 0))
            row[outcome] += 1
            if report.halted_at is not None and expected.onset is not None:
                delays.setdefault(name, []).append(report.halted_at - expected.onset)
            if outcome is not Outcome.OK:
                at = f"halted {report.halted_at}" if report.halted_at is not None else f"warned {report.warned_at}"
                window = "" if expected.quiet else f", window {expected.halt_from}-{expected.halt_by}"
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
