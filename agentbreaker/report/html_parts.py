"""The parts that the pages of a report are put together from: tiles, tables, bars, names."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from agentbreaker.report.figures import Figures, percent, short
from agentbreaker.report.markup import Child, Markup, el, lines_of, said
from agentbreaker.report.terminal import count_of
from agentbreaker.waste.model import Amount, Report

__all__ = [
    "Column",
    "Page",
    "advice",
    "bar",
    "cycle_of",
    "disclosure",
    "level",
    "scroller",
    "section",
    "share_cell",
    "table",
    "tiles",
    "unbroken",
]

_SCALE: Final = 1000
_NBSP: Final = "\u00a0"
_MOST_IN_PATH: Final = 8
#: Names of fields and settings stand in backticks in an advice.
_QUOTED: Final = re.compile("`([^`]*)`")


@dataclass(slots=True)
class Page:
    """What all parts of one page share.

    Attributes:
        report: What is drawn.
        figures: Writes its figures.
        ids: How many ids were given out.
    """

    report: Report
    figures: Figures
    ids: int = 0

    def new_id(self) -> str:
        """Return an id that no other element of the page has."""
        self.ids += 1
        return f"n{self.ids}"

    def headline(self) -> str:
        """The answer in a sentence, with the money that is known; tokens without a price are named elsewhere."""
        report = self.report
        priced = {
            name: amount.model_copy(update={"unpriced_tokens": 0})
            for name, amount in (
                ("spend", report.spend),
                ("in_loops", report.in_loops),
                ("after_halt", report.after_halt),
            )
        }
        return Figures(report.model_copy(update=priced)).headline()

    def paid(self, tokens: int, cost_usd: float, estimated: bool) -> str:
        """Tokens, and the money where anything in the report has a price."""
        text = f"{'≈' if estimated else ''}{short(tokens)} tok"
        return f"{text} · {self.figures.money(cost_usd)}" if cost_usd else text

    def figure(self, amount: Amount) -> str:
        """An amount in large letters: what has a price, or the tokens where nothing has; the rest stands beside it."""
        if self.figures.in_tokens(amount):
            return f"{self.figures.tokens(amount)} tokens"
        return self.figures.amount(amount.model_copy(update={"unpriced_tokens": 0}))

    def cell(self, amount: Amount) -> str:
        """An amount in a table; a line ends at most between money and tokens."""
        money, plus, tokens = self.figures.cell(amount).partition(" + ")
        return unbroken(money) + (f" +{_NBSP}{unbroken(tokens)}" if plus else "")

    def share_cell(self, part: Amount, whole: Amount, cls: str = "") -> Markup:
        """A share with its bar; no bar where there is no figure."""
        text = self.figures.share(part, whole)
        if not text.endswith("%"):
            return el("span", text, cls="soft figure")
        return share_cell(self.figures.part(part, whole), cls)

    def beside(self, amount: Amount) -> str:
        """Tokens and messages, to stand below the amount that :meth:`Figures.amount` writes."""
        messages = count_of(amount.messages, "message")
        if self.figures.in_tokens(amount):
            return ", ".join(filter(None, (messages, self.figures.priced(amount))))
        unpriced = f", {short(amount.unpriced_tokens)} of them without a price" if amount.unpriced_tokens else ""
        return f"{self.figures.tokens(amount)} tokens{unpriced}, {messages}"


@dataclass(slots=True, frozen=True)
class Column:
    """A column of a table: its heading, and whether numbers stand in it."""

    heading: str
    number: bool = False
    cls: str | None = None


def level(value: float) -> str:
    """Return the value of a signal, or its limit.

    >>> level(4.51), level(4.0), level(78_000)
    ('4.5', '4', '78.0k')
    """
    if not math.isfinite(value):
        return "no limit" if value > 0 else "not known"
    return short(value) if value == round(value) or abs(value) >= 100 else f"{value:.1f}"


def unbroken(text: str) -> str:
    """Return a figure so that no line ends in it."""
    return text.replace(" ", _NBSP)


def section(page: Page, heading: str, *children: Child, level: int = 2, cls: str = "card") -> Markup:
    """Return a part of the page under a heading, which names it."""
    name = page.new_id()
    return el("section", el(f"h{level}", heading, id=name, cls="title"), *children, cls=cls, aria_labelledby=name)


def tiles(items: Iterable[tuple[str, Child, Child]], cls: str = "tiles") -> Markup:
    """Return figures that are to be seen first: what it is, the figure, and a line below it."""
    return el(
        "dl",
        [
            el("div", el("dt", name), el("dd", figure, cls="big"), el("dd", below, cls="sub"), cls="tile")
            for name, figure, below in items
        ],
        cls=cls,
    )


def table(
    page: Page, caption: Child, columns: Sequence[Column], rows: Iterable[Sequence[Child]], cls: str = "grid"
) -> Markup:
    """Return a table that scrolls sideways by itself where it is too wide; the first cell of a row names it."""
    name = page.new_id()
    head = el("tr", [_heading(column) for column in columns])
    body = [
        el(
            "tr",
            [
                el("th", cell, scope="row", cls=_class(column)) if number == 0 else el("td", cell, cls=_class(column))
                for number, (cell, column) in enumerate(zip(row, columns, strict=True))
            ],
        )
        for row in rows
    ]
    whole = el("table", el("caption", el("span", caption), id=name), el("thead", head), el("tbody", body), cls=cls)
    return scroller(name, whole)


def _heading(column: Column) -> Markup:
    return el("th", column.heading, scope="col", cls=_class(column))


def _class(column: Column) -> str | None:
    return " ".join(filter(None, ("num" if column.number else None, column.cls))) or None


def scroller(name: str, *children: Child) -> Markup:
    """Return a region that scrolls sideways by itself, by keyboard too; the element with the id `name` names it."""
    return el("div", *children, cls="scroll", role="region", tabindex="0", aria_labelledby=name)


def disclosure(summary: Child, *children: Child, is_open: bool = False) -> Markup:
    """Return something that is shown when asked for; works without any script."""
    return el("details", el("summary", summary), *children, open=is_open)


def bar(share: float, cls: str = "", tick: float | None = None) -> Markup:
    """Return a bar.

    Args:
        share: How full, in [0, 1].
        cls: Its colour.
        tick: Where a limit is marked, in [0, 1].
    """
    mark = None if tick is None else el("rect", x=round(_SCALE * tick) - 4, y=0, width=8, height=20, cls="tick")
    return el(
        "svg",
        el("rect", x=0, y=5, width=_SCALE, height=10, cls="track"),
        el("rect", x=0, y=5, width=round(_SCALE * min(1.0, max(0.0, share))), height=10, cls="full"),
        mark,
        viewBox=f"0 0 {_SCALE} 20",
        preserveAspectRatio="none",
        cls=f"meter {cls}".rstrip(),
        aria_hidden="true",
    )


def share_cell(share: float, cls: str = "") -> Markup:
    """Return a share in percent with its bar."""
    return el("span", el("span", unbroken(percent(share)), cls="pc"), bar(share, cls), cls="share")


def cycle_of(agents: Sequence[str], limit: int = 60) -> Markup:
    """Return the names of a cycle with arrows: two face each other, one turns by itself."""
    if not agents:
        return el("span", "not known", cls="none")
    if len(agents) == 1:
        return el("span", said(agents[0], limit), " ↻", cls="path")
    if len(agents) == 2:
        return el("span", said(agents[0], limit), " ⇄ ", said(agents[1], limit), cls="path")
    shown = agents[:_MOST_IN_PATH]
    more = len(agents) - len(shown)
    parts: list[Child] = [[said(name, limit), " → "] for name in shown]
    if more:
        parts.append(f"{more} more → ")
    return el("span", parts, said(agents[0], limit), cls="path")


def advice(text: str, snippet: str) -> Markup:
    """Return what to do, with the lines for the policy file."""
    rows: list[Child] = [el("p", _QUOTED.sub(r"“\1”", text))] if text else []
    if snippet:
        rows.append(disclosure("Lines for the policy file", el("pre", el("code", lines_of(snippet)), tabindex="0")))
    return el("div", rows, cls="advice")
