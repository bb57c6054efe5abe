"""The laps of a loop side by side: a column for each lap, a row for each turn, what was said before in grey.

New words are green, bold and underlined, so that nobody needs to see the colour.  On a narrow page the laps of one
turn stand below each other, which shows the repetition as well.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from agentbreaker.report.figures import percent
from agentbreaker.report.html_parts import Page, bar, scroller
from agentbreaker.report.markup import Child, Markup, el, escaped, said, spoken
from agentbreaker.report.terminal import count_of
from agentbreaker.waste.model import Lap, LapTurn

__all__ = ["chosen_laps", "laps_table", "rows_of"]

_MOST_LAPS: Final = 5
_MOST_ROWS: Final = 10
_MOST_LETTERS: Final = 700
_BLANKS: Final = re.compile("[ \t\r\n]+")
Turns = tuple[str, list[LapTurn | None]]


def chosen_laps(laps: Sequence[Lap], most: int = _MOST_LAPS) -> list[Lap]:
    """Return the first lap and the latest ones."""
    return [*laps] if len(laps) <= most else [laps[0], *laps[len(laps) - most + 1 :]]


def rows_of(laps: Sequence[Lap]) -> list[Turns]:
    """Return a row for each turn of an agent in a lap: its sender, and what it said in every lap."""
    rows: dict[tuple[str, int], list[LapTurn | None]] = {}
    for number, lap in enumerate(laps):
        spoke: dict[str, int] = {}
        for turn in lap.turns:
            spoke[turn.sender] = spoke.get(turn.sender, 0) + 1
            rows.setdefault((turn.sender, spoke[turn.sender]), [None] * len(laps))[number] = turn
    return [(sender, turns) for (sender, _), turns in rows.items()]


def laps_table(page: Page, laps: Sequence[Lap]) -> Markup | None:
    """Return the laps side by side; ``None`` where there are none."""
    shown = chosen_laps(laps)
    rows = rows_of(shown)
    if not rows:
        return None
    with_text = any(turn.pieces for lap in shown for turn in lap.turns)
    gaps = [
        number > 0 and lap.number != before.number + 1
        for number, (before, lap) in enumerate(zip([shown[0], *shown], shown, strict=False))
    ]
    name = page.new_id()
    head = el(
        "tr",
        el("th", "Turn", scope="col", role="columnheader", cls="who"),
        [_heading(page, lap, shown, number, gaps[number], with_text) for number, lap in enumerate(shown)],
        role="row",
    )
    body = [
        el(
            "tr",
            el("th", _who(sender, turns), scope="row", role="rowheader"),
            [_cell(page, lap, turn, gap, with_text) for lap, turn, gap in zip(shown, turns, gaps, strict=True)],
            role="row",
        )
        for sender, turns in rows[:_MOST_ROWS]
    ]
    more = len(rows) - len(body)
    whole = el(
        "table",
        el("caption", "Each turn, lap by lap", id=name, cls="soft"),
        el("thead", head, role="rowgroup"),
        el("tbody", body, role="rowgroup"),
        cls=f"laps of{len(shown)}",
        role="table",
    )
    legend = el(
        "ul",
        el("li", el("span", "grey", cls="words"), ": said before"),
        el("li", el("span", el("span", "dotted"), cls="words"), ": everyday words that tell nothing"),
        el("li", el("ins", "bold, underlined, green"), ": new"),
        cls="legend",
    )
    return el(
        "div",
        legend if with_text else el("p", "No excerpts were kept of what was said.", cls="soft"),
        scroller(name, whole),
        el("p", f"and {count_of(more, 'more turn')} in these laps", cls="soft") if more else None,
    )


def _heading(page: Page, lap: Lap, laps: Sequence[Lap], number: int, gap: bool, with_text: bool) -> Markup:
    left_out: Child = None
    if gap:
        first, last = laps[number - 1].number + 1, lap.number - 1
        which = f"lap {first} is" if first == last else f"laps {first} to {last} are"
        left_out = el("span", f"{which} left out", cls="soft")
    news: list[Child] = []
    if with_text:
        news = [el("span", _stale(lap), cls="stale bad" if lap.news < 0.1 else "stale"), bar(lap.news)]
        if lap.same_as_before is not None:
            news.append(el("span", f"{percent(lap.same_as_before)} same as the lap before", cls="soft"))
    amount = lap.amount
    return el(
        "th",
        f"Lap {lap.number}",
        left_out,
        el("span", f"{_span(lap)}{page.paid(amount.tokens, amount.cost_usd, amount.estimated)}", cls="soft"),
        news,
        scope="col",
        role="columnheader",
        cls="gap" if gap else None,
    )


def _stale(lap: Lap) -> str:
    return f"{percent(1 - lap.news)} nothing new"


def _span(lap: Lap) -> str:
    if not lap.turns:
        return ""
    first, last = lap.turns[0].index, lap.turns[-1].index
    return f"#{first:,} · " if first == last else f"#{first:,}–{last:,} · "


def _who(sender: str, turns: Sequence[LapTurn | None]) -> Markup:
    """The sender, and whom it spoke to where that was always the same."""
    there = [turn for turn in turns if turn is not None]
    recipients = {turn.recipient for turn in there if turn.recipient is not None}
    kinds = {turn.kind for turn in there} - {"message"}
    return el(
        "span",
        said(sender, 60),
        [[" → ", said(recipient, 60)] for recipient in recipients] if len(recipients) == 1 else None,
        [[" ", el("span", kind.replace("_", " "), cls="tag")] for kind in sorted(kinds)],
    )


def _cell(page: Page, lap: Lap, turn: LapTurn | None, gap: bool, with_text: bool) -> Markup:
    cls = " ".join(filter(None, ("gap" if gap else "", "void" if turn is None else ""))) or None
    if turn is None:
        return el("td", el("span", "—", cls="soft"), role="cell", cls=cls)
    label = f"Lap {lap.number}" + (f" · {_stale(lap)}" if with_text else "")
    return el(
        "td",
        el("span", label, cls="lap"),
        _words(turn) if with_text else None,
        el("span", f"#{turn.index:,} · {page.paid(turn.tokens, turn.cost_usd, turn.estimated)}", cls="cost"),
        role="cell",
        cls=cls,
    )


def _words(turn: LapTurn) -> Markup:
    """What was said, apart from the page around it whichever way it reads."""
    if not any(piece.text.strip() for piece in turn.pieces):
        return el("bdi", "(nothing)", cls="words none")
    left = _MOST_LETTERS
    parts: list[Child] = []
    for piece in turn.pieces:
        shown = _BLANKS.sub(" ", piece.text)
        text = escaped(shown.strip(" "), limit=left)
        left -= len(shown)
        # The blanks around a word are not underlined.
        parts.append(" " if shown.startswith(" ") else None)
        parts.append(el("ins", text) if piece.new else el("span", text) if piece.everyday else text)
        parts.append(" " if shown.endswith(" ") else None)
        if left <= 0:
            break
    cut = "…" if turn.clipped or left <= 0 else None
    language = spoken("".join(piece.text for piece in turn.pieces))
    return el("bdi", parts, cut, cls="words", lang=language)
