"""The rest of the waste report: talk against work, the month ahead, what was achieved, other policies, notes."""

from __future__ import annotations

from agentbreaker.printable import printable
from agentbreaker.report.figures import percent
from agentbreaker.report.html_parts import Column, Page, disclosure, section, table
from agentbreaker.report.markup import Child, Markup, el, said
from agentbreaker.report.svg_text import width_of
from agentbreaker.report.terminal import count_of
from agentbreaker.waste.model import Range

__all__ = ["coordination_part", "forecast_part", "notes_part", "outcomes_part", "trials_part"]

_RANGE_WIDTH = 520
_RANGE_LEFT = 108.0
_RANGE_RIGHT = 24.0


def coordination_part(page: Page) -> Markup:
    """Return what the spending was for: talk between agents, tools, the people outside."""
    report = page.report
    parts = report.coordination
    rows = [
        (name, page.cell(amount), page.share_cell(amount, report.spend, cls))
        for name, amount, cls in (
            ("Agents talking to agents", parts.between_agents, "loop"),
            ("Tool calls and results", parts.tools, "work"),
            ("People, prompts and the rest", parts.outside, ""),
        )
    ]
    return section(
        page,
        "Talk against work",
        table(
            page,
            el("span", "What the messages were for", cls="vh"),
            (Column("For"), Column("Spent", True), Column("of all")),
            rows,
        ),
    )


def forecast_part(page: Page) -> Markup:
    """Return the next 30 days with their intervals, or why there is no forecast."""
    report, figures = page.report, page.figures
    ahead = report.forecast
    if ahead is None:
        why = report.no_forecast or "The recordings do not allow one."
        return section(page, "The next 30 days", el("p", why))
    most = max(ahead.spend.high, ahead.saved.high, 0.0) or 1.0
    text = (
        f"As it is: {figures.value(ahead.spend.middle)}, between {figures.value(ahead.spend.low)} and "
        f"{figures.value(ahead.spend.high)}. With halts {figures.value(ahead.saved.middle)} less, between "
        f"{figures.value(ahead.saved.low)} and {figures.value(ahead.saved.high)}."
    )
    drawing = el(
        "svg",
        el("title", "The next 30 days", id="ahead-title"),
        el("desc", text, id="ahead-text"),
        _range(page, "As it is", ahead.spend, most, 8, ""),
        _range(page, "Saved", ahead.saved, most, 62, "saved"),
        viewBox=f"0 0 {_RANGE_WIDTH} 112",
        width=_RANGE_WIDTH,
        height=112,
        cls="spending",
        role="img",
        aria_labelledby="ahead-title ahead-text",
    )
    return section(
        page,
        "The next 30 days",
        el("div", drawing, cls="scroll", role="region", tabindex="0", aria_labelledby="ahead-title"),
        el("p", text),
        el(
            "p",
            f"{percent(ahead.level)} intervals from {count_of(ahead.days, 'recorded day')}. {ahead.method}",
            cls="soft",
        ),
    )


def _range(page: Page, name: str, ahead: Range, most: float, y: int, cls: str) -> Markup:
    """An interval as a band with its middle marked, on the scale that both bands share."""
    width = _RANGE_WIDTH - _RANGE_LEFT - _RANGE_RIGHT

    def across(value: float) -> float:
        return round(_RANGE_LEFT + width * min(1.0, max(0.0, value / most)), 1)

    low, middle, high = across(ahead.low), across(ahead.middle), across(ahead.high)
    figures = page.figures
    text = f"{figures.value(ahead.middle)} ({figures.value(ahead.low)} to {figures.value(ahead.high)})"
    half = width_of(text, 12) / 2
    return el(
        "g",
        el("text", name, x=_RANGE_LEFT - 12, y=y + 19, text_anchor="end"),
        el("line", x1=_RANGE_LEFT, y1=y + 14, x2=_RANGE_WIDTH - _RANGE_RIGHT, y2=y + 14, cls="grid"),
        el("rect", x=low, y=y + 5, width=max(2.0, high - low), height=18, rx=3, cls="span"),
        el("rect", x=middle - 1.5, y=y, width=3, height=28, cls="mid"),
        el(
            "text",
            text,
            x=round(min(max(middle, _RANGE_LEFT + half), _RANGE_WIDTH - half), 1),
            y=y + 43,
            text_anchor="middle",
            cls="axis",
        ),
        cls=f"range {cls}".rstrip(),
    )


def outcomes_part(page: Page) -> Markup | None:
    """Return spending ranked by what it achieved."""
    report, figures = page.report, page.figures
    if not report.outcomes:
        return None
    rows: list[list[Child]] = []
    for one in report.outcomes:
        each = figures.each(one)
        rows.append(
            [
                said(one.group, 60),
                page.cell(each) if each is not None else "none finished",
                f"{one.finished:,} of {one.conversations:,}",
                page.cell(one.spend),
                figures.share(one.in_loops, one.spend),
            ]
        )
    return section(
        page,
        "What was achieved for it",
        table(
            page,
            el("span", "The cheapest way to a finished conversation first", cls="soft"),
            (
                Column("Group"),
                Column("for each finished", True),
                Column("finished", True),
                Column("spent", True),
                Column("in loops", True),
            ),
            rows,
        ),
    )


def trials_part(page: Page) -> Markup | None:
    """Return other policies beside the one that is."""
    report = page.report
    if not report.trials:
        return None
    known = any(one.halted_finished is not None for one in report.trials)
    rows = [
        [
            said(one.name, 100),
            page.cell(one.saved),
            page.share_cell(one.saved, report.spend, "work"),
            f"{one.halted:,}",
            f"{one.warned:,}",
            *(["–" if one.halted_finished is None else f"{one.halted_finished:,}"] if known else []),
        ]
        for one in report.trials
    ]
    columns = [
        Column("Policy"),
        Column("saved", True),
        Column("of all"),
        Column("halted", True),
        Column("warned", True),
        *([Column("of the halted, finished", True)] if known else []),
    ]
    return section(
        page,
        "What if the policy were another",
        table(page, el("span", "Saved against conversations that are stopped", cls="soft"), columns, rows),
    )


def notes_part(page: Page) -> Markup:
    """Return how it was counted, from what, and what has no price."""
    report = page.report
    unpriced: Child = None
    if report.unpriced:
        rows = [
            (said(name, 100) if name else "no model on record", f"{tokens:,}")
            for name, tokens in sorted(report.unpriced.items(), key=lambda item: (-item[1], item[0]))
        ]
        unpriced = [
            el(
                "p",
                "Nobody knows the price of these tokens. They are not counted as free: they are in no sum of money. "
                "Give their prices in the policy, under ",
                el("code", "[prices.models]"),
                ".",
            ),
            table(
                page,
                "Models without a price",
                (Column("Model"), Column("Tokens", True)),
                rows,
                cls="grid tight",
            ),
        ]
    sources = [(said(one.name, 160), f"{one.conversations:,}", f"{one.messages:,}") for one in report.sources]
    return section(
        page,
        "How it was counted",
        el("p", printable(report.reading, limit=2000)),
        el(
            "p",
            f"Prices: {report.prices}. " if report.prices else None,
            f"Shown in {report.currency}, {report.usd_rate:g} for a US dollar. " if report.currency != "USD" else None,
            "Policy: ",
            said(report.policy) if report.policy is not None else "the defaults",
            ". The sign ≈ marks figures that hold estimates",
            ', and "tok" beside money tokens whose price is not known.' if report.spend.unpriced_tokens else ".",
        ),
        el("ul", [el("li", note) for note in report.notes], cls="plain") if report.notes else None,
        unpriced,
        disclosure(
            "The files that were read",
            table(
                page,
                f"{count_of(len(sources), 'file')}, the largest first",
                (Column("File"), Column("Conversations", True), Column("Messages", True)),
                sources,
                cls="grid tight",
            ),
        )
        if sources
        else None,
    )
