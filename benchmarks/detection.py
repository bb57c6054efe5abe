"""Detection: what the engine makes of every scenario that comes with it, by family, source and language.

Run ``python benchmarks/detection.py`` from a checkout: it prints a Markdown page, and exits with 1 if the stored one
says anything else; ``--write`` stores it as ``benchmarks/results/detection.md``, the figures in ``detection.json``.
Nothing in it is measured in seconds, so the same engine gives the same page everywhere.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from agentbreaker import Message, __version__  # noqa: E402
from agentbreaker.bench import BenchPlan, run_bench  # noqa: E402
from agentbreaker.bench_figures import Figures, report_of  # noqa: E402
from agentbreaker.intervals import percent, wilson  # noqa: E402
from agentbreaker.replay import read_sources  # noqa: E402
from agentbreaker.scenario import Outcome  # noqa: E402

__all__ = ["detect", "interval", "page"]

SCENARIOS = HERE.parent / "scenarios"
RESULTS = HERE / "results"

Result = Mapping[str, Any]


def _read(name: str, whole: bool) -> Iterator[tuple[str, Message]]:
    return read_sources([name], strict=whole)


def _runaways(figures: Figures) -> dict[str, Any]:
    # One that another detector decides is in its window, too.
    return {
        "total": figures.recall.total,
        "in_window": figures.recall.total - figures.early - figures.late - figures.missed,
        "late": figures.late,
        "early": figures.early,
        "missed": figures.missed,
        "other_detector": figures.other_detector,
        "delay": figures.delay,
    }


def _legitimate(figures: Figures) -> dict[str, int]:
    halted, warned = figures.false_halts, figures.false_warnings
    return {"total": halted.total, "halted": halted.count, "warned": warned.count}


def detect(folders: Sequence[Path]) -> dict[str, Any]:
    """Run scenarios, each with its own policy and embedder; return the figures."""
    bench = run_bench(BenchPlan.of([str(folder) for folder in folders]), _read)
    report = report_of(bench)
    return {
        "agentbreaker": __version__,
        "command": "python benchmarks/detection.py --write",
        "conversations": report.conversations,
        "messages": report.messages,
        "all": {"runaways": _runaways(report.total), "legitimate": _legitimate(report.total)},
        "detectors": {figures.name: _runaways(figures) for figures in report.detectors},
        "runaways": {figures.name: _runaways(figures) for figures in report.families},
        "legitimate": {figures.name: _legitimate(figures) for figures in report.sources},
        "languages": {
            figures.name: {"runaways": _runaways(figures), "legitimate": _legitimate(figures)}
            for figures in report.languages
        },
        "wrong": {one.name: str(one.outcome) for one in report.results if one.outcome is not Outcome.OK},
        "left_out": report.left_out,
    }


def interval(count: int, total: int) -> str:
    """Bounds of a share at 95 %: ``94 to 99 %``."""
    low, high = wilson(count, total)
    return f"{percent(low).removesuffix(' %')} to {percent(high)}"


def _row(name: str, group: Result) -> str:
    counts = [str(group[key] or "") for key in ("late", "early", "missed", "other_detector")]
    delay = "" if group["delay"] is None else "{1:g} ({0:g} to {2:g})".format(*group["delay"])
    share = f"{group['in_window']} of {group['total']} ({interval(group['in_window'], group['total'])})"
    return f"| {name} | {share} | {' | '.join(counts)} | {delay} |"


def _quiet_row(name: str, group: Result) -> str:
    share = f"{group['halted']} of {group['total']} ({interval(group['halted'], group['total'])})"
    return f"| {name} | {share} | {group['warned'] or ''} |"


def _table(head: str, rows: Iterable[str]) -> Iterator[str]:
    yield f"| {head} |"
    yield "|---|" + "---:|" * head.count("|")
    yield from rows


def page(result: Result) -> str:
    """The figures as Markdown."""
    head = (
        "| halted in the window (95 %) | later | before the loop | missed | in the window, by another detector "
        "| delay in messages"
    )
    quiet = "| halted (95 %) | only warned"
    lines = [
        "# Detection",
        "",
        f"- agentbreaker {result['agentbreaker']}, {result['conversations']} conversations with {result['messages']:,} "
        "messages, each with the policy and the embedder of its scenario",
        f"- command: `{result['command']}`; the delay is from the onset to the halt, as median (and quartiles)",
        "",
        "## Runaways by the detector that they were written for",
        "",
        *_table(head, (_row(code, group) for code, group in result["detectors"].items())),
        "",
        "## Runaways by family",
        "",
        *_table(head, (_row(name, group) for name, group in [*result["runaways"].items(), ("all", _all(result))])),
        "",
        "## Legitimate conversations",
        "",
        *_table(
            quiet,
            (
                _quiet_row(name, group)
                for name, group in [*result["legitimate"].items(), ("all", result["all"]["legitimate"])]
            ),
        ),
        "",
        "## By language",
        "",
        *_table(head, (_row(name, group["runaways"]) for name, group in result["languages"].items())),
        "",
        *_table(quiet, (_quiet_row(name, group["legitimate"]) for name, group in result["languages"].items())),
        "",
        "## What does not end as it should",
        "",
        "`scenarios/known-misses.toml` has the reasons.",
        "",
        *(f"- {name}: {outcome}" for name, outcome in result["wrong"].items()),
        *(f"- left out: {name}, {reason}" for name, reason in result["left_out"].items()),
    ]
    return "\n".join(lines) + "\n"


def _all(result: Result) -> Any:
    return result["all"]["runaways"]


def main() -> int:
    """Run it; the exit code is 1 if what is stored is something else."""
    parser = argparse.ArgumentParser(description="Measure detection on the scenarios.")
    parser.add_argument("--write", action="store_true", help="store benchmarks/results/detection.md and detection.json")
    options = parser.parse_args()
    result = detect([SCENARIOS])
    document = json.dumps(result, indent=1, ensure_ascii=False) + "\n"
    files = {RESULTS / "detection.json": document, RESULTS / "detection.md": page(json.loads(document))}
    sys.stdout.write(files[RESULTS / "detection.md"])
    if options.write:
        for path, text in files.items():
            path.write_text(text, "utf-8")
        return 0
    stale = [path.name for path, text in files.items() if not path.is_file() or path.read_text("utf-8") != text]
    if stale:
        sys.stderr.write(f"out of date: {', '.join(stale)}; --write stores what is true now\n")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
