"""The figures in README.md: what is caught, what others catch, and what it costs, built from the stored results.

Run ``python benchmarks/readme.py`` from a checkout: it prints how README.md differs from the results, and exits with 1
if it does; ``--write`` writes the block between the two markers anew.
"""

from __future__ import annotations

import argparse
import difflib
import json
import sys
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from agentbreaker.detectors import DETECTORS  # noqa: E402
from agentbreaker.intervals import percent  # noqa: E402
from benchmarks._rivals_list import OURS  # noqa: E402
from benchmarks._rivals_page import caught, false_halts, label, ratio  # noqa: E402
from benchmarks.detection import interval  # noqa: E402

__all__ = ["BEGIN", "END", "block", "rewritten"]

README = HERE.parent / "README.md"
RESULTS = HERE / "results"
BEGIN, END = "<!-- figures: begin, written by benchmarks/readme.py -->", "<!-- figures: end -->"
_WIDTH = 130

Result = Mapping[str, Any]


def _load(results: Path, name: str) -> Result:
    path = results / name
    try:
        return dict(json.loads(path.read_text("utf-8")))
    except OSError as error:
        raise SystemExit(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise SystemExit(f"{path}: no JSON: {error}") from None


def _paragraph(text: str) -> str:
    return textwrap.fill(text, _WIDTH, break_long_words=False, break_on_hyphens=False)


def _share(count: int, total: int) -> str:
    return f"{count} of {total} ({interval(count, total)})"


def _caught(detection: Result) -> Iterator[str]:
    runaways, legitimate = detection["all"]["runaways"], detection["all"]["legitimate"]
    in_window, total = runaways["in_window"], runaways["total"]
    yield _paragraph(
        f"Measured on the {detection['conversations']} generated conversations of `scenarios/`, English and Chinese: "
        f"of {total} runaways, {in_window} are halted within their window, {runaways['early']} too early, "
        f"{runaways['late']} too late and {runaways['missed']} not at all; of {legitimate['total']} legitimate "
        f"conversations, {legitimate['halted']} are halted and {legitimate['warned']} warned. With 95 % confidence "
        f"that is {interval(in_window, total)} of such runaways, and "
        f"{interval(legitimate['halted'], legitimate['total'])} of such legitimate conversations halted "
        "(`benchmarks/results/detection.md`, by family and language)."
    )
    yield ""
    yield "| runaways written for | halted in their window (95 %) | too late | missed | messages from onset to halt |"
    yield "|---|---:|---:|---:|---:|"
    for code, group in detection["detectors"].items():
        delay = "" if group["delay"] is None else f"{group['delay'][1]:g}"
        name = f"{code} {DETECTORS[code].name}"
        share = _share(group["in_window"], group["total"])
        yield f"| {name} | {share} | {group['late'] or ''} | {group['missed'] or ''} | {delay} |"


def _beside(rivals: Result) -> Iterator[str]:
    yield _paragraph(
        "Side by side with others, each with its own code and its defaults or documented settings, on "
        f"{rivals['conversations']} of them (without those that a cap of the user's decides; nobody has an embedder). "
        "The scenarios are ours, and our engine was made with them in view. `benchmarks/results/rivals.md` has the "
        "versions, how each is driven, every family, and where others are ahead:"
    )
    yield ""
    yield (
        "| | runaways halted in time | before their loop | legitimate conversations halted "
        "| cost of a message, times ours |"
    )
    yield "|---|---:|---:|---:|---:|"
    for row in rivals["rows"]:
        sums, times = caught(row), ratio(row)
        halted, legitimate = false_halts(row)
        cost = (
            "-"
            if times is None
            else f"{times:,.0f}"
            if times >= 10
            else f"{times:.1f}"
            if times >= 1
            else f"{times:.2f}"
        )
        name = f"**{OURS}**" if row["name"] == OURS else label(row)
        yield (
            f"| {name} | {percent(sums['in_time'] / sums['total'])} | {percent(sums['early'] / sums['total'])} "
            f"| {percent(halted / legitimate)} | {cost} |"
        )
    if rivals["unavailable"]:
        yield ""
        yield _paragraph(
            "Not measured: "
            + "; ".join(f"{one['name']} ({one['mode']}): {one['reason']}" for one in rivals["unavailable"])
        )


def _costs(hot_path: Result) -> Iterator[str]:
    rows = {row["what"]: row for row in hot_path["rows"]}

    def measured(what: str) -> str:
        if what not in rows:
            raise SystemExit(f"hot_path.json: has no row {what!r}")
        return str(rows[what]["measured"]).partition(" against ")[0]

    work = "`observe`, 400 characters of work, against decoding the line"
    pure = f"pure Python: {work}"
    growth = next((row for what, row in rows.items() if "message 99,000" in what), None)
    if growth is None:
        raise SystemExit("hot_path.json: has no row about message 99,000")
    slow = f" ({measured(pure)} in pure Python)" if pure in rows else ""
    yield _paragraph(
        f"`observe` takes {measured(work)}{slow} for a message of 400 characters, and message 100,000 "
        f"{growth['ratio']:.2f} times what the first ones take; a conversation holds "
        f"{measured('memory, 80 messages of 400 characters, talk')} after 80 such messages "
        f"(`benchmarks/results/hot_path.md`: {hot_path['machine']}, {hot_path['python'].partition(',')[0]}, "
        f"{hot_path['date'][:10]})."
    )


def block(results: Path = RESULTS) -> str:
    """Return what stands between the markers, the markers included.

    Raises:
        SystemExit: A result is missing or damaged; the message names the file.
    """
    parts = [
        BEGIN,
        "",
        *_caught(_load(results, "detection.json")),
        "",
        *_beside(_load(results, "rivals.json")),
        "",
        *_costs(_load(results, "hot_path.json")),
        "",
        END,
    ]
    return "\n".join(parts)


def rewritten(readme: str, figures: str) -> str:
    """Return `readme` with the block `figures` in the place of the one that it has.

    Raises:
        SystemExit: It has not exactly one begin and one end, in this order.
    """
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end or BEGIN in rest or END in before + after:
        raise SystemExit(f"README.md: needs the line {BEGIN} once, and below it the line {END}")
    return f"{before}{figures}{after}"


def main() -> int:
    """Compare or write; the exit code is 1 if README.md differs."""
    parser = argparse.ArgumentParser(description="Keep the figures of README.md to the stored results.")
    parser.add_argument("--write", action="store_true", help="write the block anew")
    options = parser.parse_args()
    now = README.read_text("utf-8")
    wanted = rewritten(now, block())
    if now == wanted:
        return 0
    if options.write:
        README.write_text(wanted, "utf-8")
        return 0
    lines = difflib.unified_diff(now.splitlines(True), wanted.splitlines(True), "README.md", "benchmarks/results")
    sys.stdout.writelines(lines)
    sys.stderr.write("README.md differs from the results; python benchmarks/readme.py --write\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
