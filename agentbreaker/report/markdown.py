"""The waste report in Markdown, for a pull request, an issue or a step summary.

Words of others stand in code spans only, in which neither GitHub nor GitLab reads markup, mentions, references, links
or emoji; a new word is bold around its span.  The names in a Mermaid graph are reduced to letters, digits and blanks,
and its ids are ours.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Final

from agentbreaker.detectors import title_of
from agentbreaker.printable import printable
from agentbreaker.report.check_report import code_span
from agentbreaker.report.figures import Figures, percent, short
from agentbreaker.report.html_laps import chosen_laps, rows_of
from agentbreaker.report.html_parts import Page, level
from agentbreaker.report.svg_line import duration
from agentbreaker.report.terminal import count_of
from agentbreaker.waste.model import Cycle, IncidentPage, Lap, LapTurn, Report, Spender

__all__ = ["render_markdown"]

_CYCLES: Final = 10
_HALTED: Final = 20
_SPENDERS: Final = 8
_INCIDENTS: Final = 3
_LAPS: Final = 4
_TURNS: Final = 6
_CELL: Final = 260
_IN_GRAPH: Final = 12
_BLANKS: Final = re.compile(r"\s+")
_FENCES: Final = re.compile("`{3,}")
#: All that Markdown, GitHub or GitLab may read as more than text.
_RISKY: Final = re.compile(r"^\s*(?:[-+=]|\d+[.)])|[@#<>\[\]|*_~$!%^&\\{}`]|://|www\.|:\S+:|[0-9a-fA-F]{7,}")
_NOT_A_LABEL: Final = re.compile(r"[^\w .-]|_")


def render_markdown(report: Report) -> str:
    """Return the report in Markdown, in short: totals, cycles, halted conversations, the first incidents.

    Args:
        report: What to write.
    """
    page = Page(report, Figures(report))
    blocks = [
        "# Token waste report",
        f"**{_prose(page.headline(), own=True)}**",
        None if report.complete else "**Interrupted**: the figures cover what was read until then.",
        *_totals(report, page),
        *_cycles(report, page),
        _halted(report, page),
        _spenders("Agents", report.by_agent, report, page),
        _spenders("Models", report.by_model, report, page),
        _spenders("Edges", report.by_edge, report, page),
        _spenders("Detectors", report.by_detector, report, page, kinds=True),
        _outcomes(report, page),
        _trials(report, page),
        _unpriced(report),
    ]
    for number, incident in enumerate(report.incidents[:_INCIDENTS], 1):
        blocks += _incident(incident, number, page)
    more = len(report.incidents) - _INCIDENTS
    if more > 0:
        blocks.append(f"{count_of(more, 'more incident')}: write the report as HTML.")
    blocks.append("## How it was counted")
    blocks.append(
        "\n".join(f"- {_prose(note)}" for note in (report.reading, f"Prices: {report.prices}", *report.notes))
    )
    blocks.append(f"agentbreaker {_prose(report.version)}, {report.made_at:%d %B %Y}")
    return "\n\n".join(block for block in blocks if block) + "\n"


# ---------------------------------------------------------------------- words


def _code(text: str, limit: int = 80) -> str:
    """Words of others: nothing in them is read, and they end neither the span nor the cell.

    A bar is replaced and not escaped, so that nothing depends on what a reader of tables makes of backslashes.
    """
    return code_span(_BLANKS.sub(" ", text).strip(" ").replace("|", "¦"), limit=limit) or "(empty)"


def _prose(text: str, *, own: bool = False) -> str:
    """A sentence as it is, with the words between backticks as code; in a code span where anything in it is risky."""
    if own:
        # Written here: it holds figures only, whose signs are no markup.
        return text.replace("$", "\\$")
    parts = printable(text, limit=1000).split("`")
    if len(parts) % 2 == 0 or any(map(_RISKY.search, parts[::2])):
        return _code(text, 1000)
    return "".join(_code(part) if place % 2 else part for place, part in enumerate(parts))


def _path(agents: Sequence[str]) -> str:
    if len(agents) <= 2:
        return (" ⇄ ".join(_code(name, 40) for name in agents) or "not known") + (" ↻" if len(agents) == 1 else "")
    shown = [_code(name, 40) for name in agents[:_IN_GRAPH]]
    more = [f"{len(agents) - len(shown)} more"] if len(agents) > len(shown) else []
    return " → ".join([*shown, *more, shown[0]])


def _money(text: str) -> str:
    """A figure; a dollar sign next to another would begin a formula."""
    return text.replace("$", "\\$")


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; a heading that begins with ``>`` stands over numbers."""
    lines = [
        "| " + " | ".join(column.removeprefix(">") for column in columns) + " |",
        "|" + "|".join("---:" if column.startswith(">") else "---" for column in columns) + "|",
    ]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


# ---------------------------------------------------------------------- the report


def _totals(report: Report, page: Page) -> Iterator[str]:
    parts, spend = report.coordination, report.spend
    rows = [
        ("Spent", page.cell(spend), f"{page.figures.tokens(spend)} tokens, {count_of(spend.messages, 'message')}"),
        ("In loops", page.cell(report.in_loops), page.figures.share(report.in_loops, spend)),
        ("Saved by halts", page.cell(report.after_halt), page.figures.share(report.after_halt, spend)),
        ("Agents talking to agents", page.cell(parts.between_agents), page.figures.share(parts.between_agents, spend)),
        ("Tools", page.cell(parts.tools), page.figures.share(parts.tools, spend)),
        ("People, prompts and the rest", page.cell(parts.outside), page.figures.share(parts.outside, spend)),
    ]
    ahead = report.forecast
    if ahead is not None:
        rows += [
            (
                name,
                page.figures.value(one.middle),
                f"{page.figures.value(one.low)} to {page.figures.value(one.high)}, {percent(ahead.level)} interval",
            )
            for name, one in (("Next 30 days", ahead.spend), ("Next 30 days, saved by halts", ahead.saved))
        ]
    yield _table(("", ">amount", ">"), [(name, _money(amount), _money(beside)) for name, amount, beside in rows])
    if ahead is None and report.no_forecast:
        yield f"No forecast: {_prose(report.no_forecast)}"


def _cycles(report: Report, page: Page) -> Iterator[str]:
    if not report.cycles:
        return
    shown = report.cycles[:_CYCLES]
    yield "## Cycles by cost"
    yield _table(
        ("cycle", "kind", ">runs", ">laps", ">in loops", ">saved", ">share"),
        [
            (
                _path(cycle.agents),
                f"{_prose(cycle.title)} ({_code(cycle.code)})",
                f"{cycle.conversations:,}",
                f"{cycle.median_laps:g}" if cycle.median_laps else "",
                _money(page.cell(cycle.in_loops)),
                _money(page.cell(cycle.after_halt)),
                percent(cycle.share),
            )
            for cycle in shown
        ],
    )
    if len(report.cycles) > len(shown):
        yield f"and {count_of(len(report.cycles) - len(shown), 'more cycle')}"
    yield _mermaid(shown[0])
    for cycle in shown[:3]:
        yield f"What to do about {_path(cycle.agents)}: {_prose(cycle.advice)}"
        if cycle.snippet:
            yield _fenced("toml", cycle.snippet)


def _fenced(language: str, text: str) -> str:
    """Lines as they are, in a fence that none of them ends."""
    longest = max(map(len, _FENCES.findall(text)), default=2)
    fence = "`" * (longest + 1)
    return "\n".join([fence + language, *(printable(line) for line in text.splitlines()[:100]), fence])


def _mermaid(cycle: Cycle) -> str:
    """The cycle as a graph; GitHub and GitLab draw it."""
    agents = cycle.agents[:_IN_GRAPH]
    if not agents:
        return ""
    names = [f'  a{place}["{place + 1}. {_label(name)}"]' for place, name in enumerate(agents)]
    more = len(cycle.agents) - len(agents)
    if more:
        names.append(f'  a{len(agents)}["{more} more"]')
    nodes = len(names)
    arrows = [f"  a{place} ==> a{(place + 1) % nodes}" for place in range(nodes)]
    style = "  classDef cycle fill:#c0241f,stroke:#c0241f,color:#fff"
    ours = f"  class {','.join(f'a{place}' for place in range(nodes))} cycle"
    return "\n".join(["```mermaid", "flowchart LR", *names, *arrows, style, ours, "```"])


def _label(name: str) -> str:
    return _NOT_A_LABEL.sub("·", printable(name, limit=30)).strip() or "·"


def _halted(report: Report, page: Page) -> str | None:
    listed = report.conversations_halted[:_HALTED]
    if not listed:
        return None
    rows = [
        (
            _code(one.conversation_id),
            _code(one.sentence, 300),
            f"{one.halted_at:,} of {one.messages:,}",
            _money(page.cell(one.after_halt)),
        )
        for one in listed
    ]
    more = report.halted - len(listed)
    tail = f"\n\nand {count_of(more, 'more conversation')}" if more > 0 else ""
    return "## Would have been halted\n\n" + _table(("conversation", "why", ">at", ">saved"), rows) + tail


def _spenders(
    title: str, spenders: Sequence[Spender], report: Report, page: Page, *, kinds: bool = False
) -> str | None:
    if not spenders:
        return None
    rows = [
        (
            (f"{title_of(one.name)} ({_code(one.name)})" if kinds else _code(one.name)) if one.name else "all others",
            _money(page.cell(one.spend)),
            page.figures.share(one.spend, report.spend),
            page.figures.share(one.in_loops, one.spend),
            _money(page.cell(one.after_halt)) if one.after_halt.messages else "",
        )
        for one in spenders[:_SPENDERS]
    ]
    return f"## {title}\n\n" + _table(("", ">spent", ">of all", ">in loops", ">saved"), rows)


def _outcomes(report: Report, page: Page) -> str | None:
    if not report.outcomes:
        return None
    rows = []
    for one in report.outcomes[:_SPENDERS]:
        amount = page.figures.each(one)
        each = page.cell(amount) if amount is not None else "none finished"
        finished = f"{one.finished:,} of {one.conversations:,}"
        rows.append((_code(one.group), _money(each), finished, _money(page.cell(one.spend))))
    heads = ("", ">for each finished", ">finished", ">spent")
    return "## What was achieved for it\n\n" + _table(heads, rows)


def _trials(report: Report, page: Page) -> str | None:
    if not report.trials:
        return None
    rows = [
        (
            _code(one.name),
            _money(page.cell(one.saved)),
            f"{one.halted:,}",
            f"{one.warned:,}",
            "" if one.halted_finished is None else f"{one.halted_finished:,}",
        )
        for one in report.trials
    ]
    return "## What if\n\n" + _table(("policy", ">saved", ">halted", ">warned", ">of the halted, finished"), rows)


def _unpriced(report: Report) -> str | None:
    if not report.unpriced:
        return None
    rows = [
        (_code(name) if name else "no model on record", f"{tokens:,}")
        for name, tokens in sorted(report.unpriced.items(), key=lambda item: (-item[1], item[0]))[:_HALTED]
    ]
    return "## Without a price, and in no sum of money\n\n" + _table(("model", ">tokens"), rows)


# ---------------------------------------------------------------------- incidents


def _incident(incident: IncidentPage, number: int, page: Page) -> list[str | None]:
    halted = incident.halted
    laps, until = incident.laps_made, halted.halted_at - halted.began_at
    took = count_of(laps, "lap") if laps else count_of(until, "message")
    seconds = "" if incident.seconds is None else f", {duration(incident.seconds)}"
    signals = [
        (
            f"**{_prose(signal.title)}**" if signal.decided else _prose(signal.title),
            level(signal.value),
            level(signal.limit),
            _prose(signal.unit),
        )
        for signal in incident.signals
    ]
    after = incident.after
    return [
        f"## Incident {number}",
        _code(halted.sentence, 400),
        f"In {_code(halted.conversation_id)}: began at message {halted.began_at:,}, halted at {halted.halted_at:,} of "
        f"{halted.messages:,} after {took}{seconds}. In the loop {_money(page.cell(halted.in_loop))}; a halt "
        f"would have saved {_money(page.cell(halted.after_halt))}.",
        _table(("signal", ">value", ">limit", "unit"), signals) if signals else None,
        _laps(incident.laps, page),
        None
        if after is None
        else f"After the halt came {count_of(after.amount.messages, 'message')}; {percent(after.new_words)} of their "
        f"words were new. The last was by {_code(after.last_speaker)}: {_code(after.last_text, 300)}",
    ]


def _laps(laps: Sequence[Lap], page: Page) -> str | None:
    """The laps side by side; new words are bold."""
    shown = chosen_laps(laps, _LAPS)
    rows = rows_of(shown)
    if not rows or not any(turn.pieces for lap in shown for turn in lap.turns):
        return None
    heads = ["turn", *(f"lap {lap.number}, {percent(1 - lap.news)} nothing new" for lap in shown)]
    body = [
        [_code(sender, 40), *("" if turn is None else _turn(turn, page) for turn in turns)]
        for sender, turns in rows[:_TURNS]
    ]
    more = len(rows) - len(body)
    tail = f"\n\nand {count_of(more, 'more turn')} in these laps" if more else ""
    return _table(heads, body) + tail + "\n\nBold: new. Everything else was said before, or tells nothing."


def _turn(turn: LapTurn, page: Page) -> str:
    parts: list[str] = []
    left = _CELL
    for new, pieces in groupby(turn.pieces, key=lambda piece: piece.new):
        text = "".join(piece.text for piece in pieces)
        if not text.strip() or left <= 0:
            continue
        span = _code(text, left)
        parts.append(f"**{span}**" if new else span)
        left -= len(text)
    words = " ".join(parts) + (" …" if turn.clipped or left <= 0 else "")
    cost = f", {page.figures.money(turn.cost_usd)}" if turn.cost_usd else ""
    return f"{words} ({'≈' if turn.estimated else ''}{short(turn.tokens)} tok{_money(cost)})"
