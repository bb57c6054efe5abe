"""What a conversation had spent at each message, as SVG: the loop shaded, the halt marked, the rest dashed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from agentbreaker.report.markup import Markup, el
from agentbreaker.report.svg_text import width_of
from agentbreaker.waste.model import IncidentPage, SpendPoint

__all__ = ["duration", "spending_svg"]

_WIDTH: Final = 560
_RIGHT, _TOP, _BOTTOM = 14.0, 46.0, 26.0
_PLOT: Final = 150.0
_LETTER: Final = 12.0


def spending_svg(page: IncidentPage, number: int, written: Callable[[float], str], in_money: bool) -> Markup | None:
    """Draw the spend line of an incident.

    Args:
        page: The incident.
        number: Of the incident on the page, for the ids.
        written: Writes a value of the line.
        in_money: Whether the line is money; else it is tokens.

    Returns:
        The drawing; ``None`` where nothing was spent, or at one message only.
    """
    values = [point.cost_usd if in_money else float(point.tokens) for point in page.spending]
    most = max(values, default=0.0)
    if most <= 0 or len(values) < 2:
        return None
    last = max(page.halted.messages - 1, page.spending[-1].index, 1)
    height = _TOP + _PLOT + _BOTTOM
    ticks = [(part * most, written(part * most)) for part in (0.0, 0.5, 1.0)]
    left = 14 + max(width_of(text, _LETTER) for _, text in ticks)

    def across(index: float) -> float:
        return left + (_WIDTH - left - _RIGHT) * min(1.0, max(0.0, index / last))

    def down(value: float) -> float:
        return _TOP + _PLOT * (1 - value / most)

    began, halted = across(page.halted.began_at), across(page.halted.halted_at - 0.5)
    points = [
        (across(point.index), down(value), point.index) for point, value in zip(page.spending, values, strict=True)
    ]
    before = [(x, y) for x, y, index in points if index < page.halted.halted_at]
    after = before[-1:] + [(x, y) for x, y, index in points if index >= page.halted.halted_at]
    floor = _TOP + _PLOT
    return el(
        "svg",
        el("title", f"Spending of incident {number}", id=f"line-{number}-title"),
        el("desc", _described(page, values, written), id=f"line-{number}-text"),
        el("rect", x=began, y=_TOP, width=max(1.0, halted - began), height=_PLOT, cls="loop"),
        el("rect", x=halted, y=_TOP, width=max(0.0, _WIDTH - _RIGHT - halted), height=_PLOT, cls="rest"),
        [_rule(left, down(value), text) for value, text in ticks],
        el("polyline", points=_path(before), cls="spent"),
        el("polyline", points=_path(after), cls="unspent") if len(after) > 1 else None,
        _marks(began, halted, page),
        _time_axis(page.spending, page, floor, across),
        viewBox=f"0 0 {_WIDTH} {height:.0f}",
        width=_WIDTH,
        height=round(height),
        cls="spending",
        role="img",
        aria_labelledby=f"line-{number}-title line-{number}-text",
    )


def _path(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _rule(left: float, y: float, text: str) -> Markup:
    return el(
        "g",
        el("line", x1=round(left, 1), y1=round(y, 1), x2=_WIDTH - _RIGHT, y2=round(y, 1), cls="grid"),
        el("text", text, x=round(left - 8, 1), y=round(y + 4, 1), text_anchor="end", cls="axis"),
    )


def _marks(began: float, halted: float, page: IncidentPage) -> Markup:
    """Name where the loop begins and where the halt falls, in two rows, so that neither crosses the other."""
    first, second = f"loop begins, #{page.halted.began_at:,}", f"halt, #{page.halted.halted_at:,}"
    widths = width_of(first, _LETTER) + 6, width_of(second, _LETTER) + 6
    to_right = _WIDTH - halted > widths[1]
    rows = (12.0, 32.0) if to_right else (32.0, 12.0)
    return el(
        "g",
        _mark(began, rows[0], first, -1 if began > widths[0] else 1, "begin"),
        _mark(halted, rows[1], second, 1 if to_right else -1, "halt"),
    )


def _mark(x: float, row: float, text: str, side: int, cls: str) -> Markup:
    return el(
        "g",
        el("line", x1=round(x, 1), y1=row - 9, x2=round(x, 1), y2=_TOP + _PLOT),
        el("text", text, x=round(x + 6 * side, 1), y=row, text_anchor="start" if side > 0 else "end"),
        cls=f"mark {cls}",
    )


def _time_axis(
    spending: Sequence[SpendPoint], page: IncidentPage, floor: float, across: Callable[[float], float]
) -> Markup:
    last = page.halted.messages - 1
    seconds = spending[-1].seconds
    over = "" if seconds is None else f", over {duration(seconds)}"
    return el(
        "g",
        el("text", "#0", x=round(across(0), 1), y=floor + 17, cls="axis"),
        el("text", f"#{last:,}", x=_WIDTH - _RIGHT, y=floor + 17, text_anchor="end", cls="axis") if last > 0 else None,
        el(
            "text",
            f"message{over}",
            x=round((across(0) + _WIDTH - _RIGHT) / 2, 1),
            y=floor + 17,
            text_anchor="middle",
            cls="axis",
        ),
    )


def _described(page: IncidentPage, values: list[float], written: Callable[[float], str]) -> str:
    at_halt = [value for point, value in zip(page.spending, values, strict=True) if point.index < page.halted.halted_at]
    return (
        f"Spent up to the halt at message {page.halted.halted_at}: {written(at_halt[-1] if at_halt else 0)}; "
        f"at the end of the recording, message {page.halted.messages - 1}: {written(values[-1])}. "
        f"The loop began at message {page.halted.began_at}."
    )


def duration(seconds: float) -> str:
    """Return a time as people say it.

    >>> duration(9.42), duration(125), duration(11_000), duration(200_000)
    ('9.4 s', '2 min 5 s', '3 h 3 min', '2 d 7 h')
    """
    if seconds < 60:
        return f"{seconds:.1f} s".replace(".0 s", " s")
    whole = round(seconds)
    for size, name, less, below in ((86_400, "d", 3_600, "h"), (3_600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            more = whole % size // less
            return f"{whole // size} {name}" + (f" {more} {below}" if more else "")
    return f"{whole} s"
