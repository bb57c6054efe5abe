"""The page about the rivals: what each catches, what it halts wrongly, what it costs, and where it is ahead of us."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from agentbreaker.intervals import percent, wilson
from benchmarks._rivals_list import OURS

__all__ = ["caught", "changes", "false_halts", "label", "page", "ratio", "us_at"]

Result = Mapping[str, Any]


def label(row: Result) -> str:
    """Name and mode of a row."""
    return f"{row['name']}, {row['mode']}"


def caught(row: Result) -> dict[str, int]:
    """The runaways of a row, added up over all folders."""
    keys = ("total", "in_window", "sooner", "late", "early", "missed")
    sums = {key: sum(group[key] for group in row["runaways"].values()) for key in keys}
    return sums | {"in_time": sums["in_window"] + sums["sooner"]}


def false_halts(row: Result) -> tuple[int, int]:
    """Halted legitimate conversations, and all of them."""
    groups = row["legitimate"].values()
    return sum(group["halted"] for group in groups), sum(group["total"] for group in groups)


def us_at(row: Result, mark: int) -> float | None:
    """Microseconds for a message near a mark; ``None`` where the measurement did not get there."""
    cost = row.get("cost")
    value = None if cost is None else cost["us"].get(str(mark))
    return None if value is None else float(value)


def ratio(row: Result) -> float | None:
    """Times the cost of agentbreaker, beside which it was measured."""
    cost = row.get("cost")
    return None if cost is None else float(cost["ratio"])


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def _times(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 1 else f"{value:.2f}"


def _share(count: int, total: int) -> str:
    low, high = wilson(count, total)
    bounds = f"{percent(low).removesuffix(' %')} to {percent(high)}"
    return f"{count} of {total} ({bounds})"


def _overview(rows: Iterable[Result]) -> Iterator[str]:
    yield (
        "| | version | runaways halted in time (95 %) | of these before the window | later | before their loop "
        "| missed | legitimate halted (95 %) | µs at message 1,000 | at 10,000 | times ours |"
    )
    yield "|---|---|" + "---:|" * 9
    for row in rows:
        sums = caught(row)
        cells = [
            label(row),
            row["version"],
            _share(sums["in_time"], sums["total"]),
            *(str(sums[key] or "") for key in ("sooner", "late", "early", "missed")),
            _share(*false_halts(row)),
            *(_number(us_at(row, mark)) for mark in (1_000, 10_000)),
            _times(ratio(row)),
        ]
        yield f"| {' | '.join(cells)} |"


def _cell(group: Result) -> str:
    extra = f" +{group['late']}" if group["late"] else ""
    early = f" ({group['early']} early)" if group["early"] else ""
    return f"{_in_time(group)}{extra}{early}"


def _in_time(group: Result) -> int:
    return int(group["in_window"] + group["sooner"])


def _families(rows: Sequence[Result]) -> Iterator[str]:
    families = list(rows[0]["runaways"])
    yield f"| | {' | '.join(families)} |"
    yield f"|---|{'---:|' * len(families)}"
    yield "| *conversations* | " + " | ".join(str(rows[0]["runaways"][name]["total"]) for name in families) + " |"
    for row in rows:
        yield f"| {label(row)} | " + " | ".join(_cell(row["runaways"][name]) for name in families) + " |"


def _wrongly(rows: Iterable[Result]) -> Iterator[str]:
    yield "| | legitimate conversations that it halts, by folder |"
    yield "|---|---|"
    for row in rows:
        groups = [
            f"{name.removeprefix('legitimate-')} {group['halted']}/{group['total']}"
            for name, group in row["legitimate"].items()
            if group["halted"]
        ]
        yield f"| {label(row)} | {', '.join(groups) or 'none'} |"


def _ahead(rows: Sequence[Result]) -> Iterator[str]:
    """Whatever a rival does better, with what it costs there."""
    ours = next((row for row in rows if row["name"] == OURS), None)
    if ours is None:
        return
    for family, own in ours["runaways"].items():
        better = [row for row in rows if _in_time(row["runaways"][family]) > _in_time(own)]
        for row in sorted(better, key=lambda one: -_in_time(one["runaways"][family])):
            halted, legitimate = false_halts(row)
            count = _in_time(row["runaways"][family])
            yield (
                f"- {family}: {label(row)} halts {count} of {own['total']} in time, we {_in_time(own)}; "
                f"it also halts {percent(halted / legitimate)} of the legitimate conversations."
            )
    fewer = [label(row) for row in rows if false_halts(row)[0] < false_halts(ours)[0]]
    if fewer:
        yield f"- Fewer legitimate conversations halted than by us: {'; '.join(fewer)}."
    early = [label(row) for row in rows if caught(row)["early"] < caught(ours)["early"]]
    if early:
        yield f"- Fewer runaways halted before their loop than by us: {'; '.join(early)}."
    cheaper = sorted((row["cost"]["ratio"], label(row)) for row in rows if (ratio(row) or 1.0) < 1.0)
    if cheaper:
        names = "; ".join(f"{name} ({_times(times)})" for times, name in cheaper)
        yield f"- Cheaper for a message than we are, as a share of our cost: {names}."


def changes(now: Result, before: Result) -> Iterator[str]:
    """Yield what the scenarios show now that they did not show before, for better and for worse."""
    old = {label(row): row for row in before["rows"]}
    for row in now["rows"]:
        was = old.get(label(row))
        if was is None:
            continue
        if was["version"] != row["version"]:
            yield f"- {label(row)}: version {was['version']} before, {row['version']} now."
        for what, then, today in (
            ("runaways halted in time", caught(was)["in_time"], caught(row)["in_time"]),
            ("runaways in all", caught(was)["total"], caught(row)["total"]),
            ("legitimate conversations halted", false_halts(was)[0], false_halts(row)[0]),
        ):
            if then != today:
                yield f"- {label(row)}: {what}: {then} before, {today} now."


def page(result: Result) -> str:
    """Everything as Markdown; it says nothing that is not in `result`."""
    rows: Sequence[Result] = result["rows"]
    left_out = ", ".join(result["left_out"])
    lines = [
        "# Rivals, side by side",
        "",
        f"- date: {result['date']}",
        f"- machine: {result['machine']}",
        f"- Python {result['python']}, where a rival takes it; agentbreaker {result['agentbreaker']}, "
        f"kernel: {result['kernel']}",
        f"- command: `{result['command']}`",
        f"- {result['conversations']} conversations of `scenarios/`, {result['runaways']} of them runaways, each shown "
        "until it is halted; everybody with the defaults or documented settings, nobody with a cap of the user's own, "
        "nobody with an embedder",
        "- the scenarios are ours, and our engine was made with them in view; *in time* is from the onset of the loop "
        "to the end of its window, *before the window* means after the onset, *before their loop* is work cut off",
        f"- left out, as a cap that the user sets decides them: {left_out}",
        f"- cost: {result['cost_messages']:,} messages of {result['cost_characters']} characters of work in one "
        f"conversation, medians before message 1,000 and 10,000, at most {result['cost_seconds']:g} s each; what "
        "turns our message into theirs is included, for us too",
        "",
        "What the columns mean, and how to repeat it, is in [benchmarks/README.md](../README.md#rivals).",
        "",
        "## All together",
        "",
        *_overview(rows),
        "",
    ]
    for row in rows:
        cost = row.get("cost")
        if cost is not None and cost["reached"] < result["cost_messages"]:
            lines.append(
                f"- {label(row)}: {cost['reached']:,} messages in the time, {_number(cost['latest_us'])} µs at the end."
            )
        if cost is not None and cost["stops"]:
            lines.append(
                f"- {label(row)}: stopped the work of the cost transcript {cost['stops']:,} times, and began anew each "
                "time, so that its cost is that of short conversations."
            )
        if row["errors"]:
            told = ", ".join(f"{name} ({count})" for name, count in row["errors"].items())
            lines.append(f"- {label(row)}: raised errors, which count as not halted: {told}.")
    lines += ["", "## Runaways by folder", "", "Halted in time, `+` later, (early) before the loop began.", ""]
    lines += _families(rows) if rows else ()
    lines += ["", "## Legitimate conversations halted", "", *_wrongly(rows)]
    lines += ["", "## Where a rival is ahead of us", "", *(list(_ahead(rows)) or ["- Nowhere in these figures."])]
    lines += ["", "## Against the results stored before", ""]
    told = result["changes"]
    lines += ["- There were none."] if told is None else told or ["- No difference."]
    lines += ["", "## What our messages become", ""]
    lines += [f"- {name}: {text}" for name, text in dict((row["name"], row["mapping"]) for row in rows).items()]
    if result["unavailable"]:
        lines += ["", "## Not measured", ""]
        lines += [f"- {one['name']} ({one['mode']}): {one['reason']}." for one in result["unavailable"]]
    return "\n".join(lines) + "\n"
