"""Where the money went, as SVG: ribbons from models through agents to what it was spent on.

Every name stands in a place of its own, in the margins or between the two bars of an agent, so that no ribbon runs
through it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from agentbreaker.detectors import title_of
from agentbreaker.report.markup import Markup, el
from agentbreaker.report.svg_text import fit
from agentbreaker.waste.model import Amount, Flow

__all__ = ["kind_title", "sankey_svg"]

_WIDTH: Final = 1040
_BAR: Final = 9
_MARGIN: Final = 200.0
_CARD: Final = 172.0
_HEIGHT: Final = 300.0
_SLOT: Final = 38.0
_GAP: Final = 12.0
_MOST: Final = (6, 9, 8)
_LETTER: Final = 13.0
_USEFUL: Final = "useful"
#: Key of what is not drawn one by one; no name is a tuple.
_REST: Final = ("rest",)
Key = str | tuple[str]


@dataclass(slots=True)
class _Stop:
    """A bar: something that ribbons lead to and come from."""

    label: str
    kind: str
    value: float = 0.0
    amount: Amount = field(default_factory=Amount)
    y: float = 0.0
    height: float = 0.0
    left: float = 0.0
    right: float = 0.0


def kind_title(kind: str) -> str:
    """Name of what was spent on: ``"useful"``, or a detector in words.

    >>> kind_title("AB201")
    'Confirmation ping-pong'
    """
    if kind == _USEFUL:
        return "Outside of loops"
    return title_of(kind, kind)


def sankey_svg(flows: Sequence[Flow], in_money: bool, written: Callable[[Amount], str]) -> Markup | None:
    """Draw ribbons.

    Args:
        flows: What went where.
        in_money: Whether their width is money; else it is tokens, or messages where there are none.
        written: Writes an amount.

    Returns:
        The drawing; ``None`` where nothing flowed.
    """
    measure = _measure(flows, in_money)
    sized = [(flow, measure(flow.amount)) for flow in flows if measure(flow.amount) > 0]
    if not sized:
        return None
    columns: tuple[dict[Key, _Stop], ...] = ({}, {}, {})
    keys = [_keys(sized, column) for column in range(3)]
    links: dict[tuple[Key, Key, bool], float] = {}
    second: dict[tuple[Key, Key, bool], float] = {}
    for flow, value in sized:
        path = [keys[column].get(_of(flow, column), _REST) for column in range(3)]
        for column, key in enumerate(path):
            stop = columns[column].setdefault(key, _stop(flow, column, key, keys[column]))
            stop.value += value
            stop.amount = _sum(stop.amount, flow.amount)
        loop = flow.kind != _USEFUL
        links[path[0], path[1], loop] = links.get((path[0], path[1], loop), 0) + value
        second[path[1], path[2], loop] = second.get((path[1], path[2], loop), 0) + value
    scale = _HEIGHT / sum(value for _, value in sized)
    height = max(_placed(column, scale, number) for number, column in enumerate(columns))
    for stops in columns:
        _centre(stops, height)
    middle = (_WIDTH - _CARD) / 2
    left, right = _MARGIN, _WIDTH - _MARGIN
    ribbons = _ribbons(links, columns[0], columns[1], left + _BAR, middle, scale)
    ribbons += _ribbons(second, columns[1], columns[2], middle + _CARD, right - _BAR, scale)
    return el(
        "svg",
        el("title", "Where it went", id="flow-title"),
        el("desc", _described(columns, written), id="flow-text"),
        el("g", ribbons),
        [_bar(stop, left, written, left - 8, "end") for stop in columns[0].values()],
        [_card(stop, middle, written) for stop in columns[1].values()],
        [_bar(stop, right - _BAR, written, right + 8, "start") for stop in columns[2].values()],
        viewBox=f"0 0 {_WIDTH} {height:.0f}",
        width=_WIDTH,
        height=round(height),
        cls="flow",
        role="img",
        aria_labelledby="flow-title flow-text",
    )


def _measure(flows: Sequence[Flow], in_money: bool) -> Callable[[Amount], float]:
    if in_money:
        return lambda amount: amount.cost_usd
    if any(flow.amount.tokens for flow in flows):
        return lambda amount: amount.tokens
    return lambda amount: amount.messages


def _of(flow: Flow, column: int) -> str:
    return (flow.model, flow.agent, flow.kind)[column]


def _keys(sized: list[tuple[Flow, float]], column: int) -> dict[str, Key]:
    """The largest of a column stand for themselves; what kind it was comes in the order of its size, useful first."""
    sums: dict[str, float] = {}
    for flow, value in sized:
        sums[_of(flow, column)] = sums.get(_of(flow, column), 0) + value
    names = sorted(sums, key=lambda name: (name != _USEFUL if column == 2 else False, -sums[name], name))
    most = _MOST[column] if len(names) > _MOST[column] else len(names)
    return {name: name for name in names[:most]}


def _stop(flow: Flow, column: int, key: Key, keys: dict[str, Key]) -> _Stop:
    kind = ("model", "agent", "useful" if flow.kind == _USEFUL else "loop")[column]
    if key is _REST:
        return _Stop(("other models", "other agents", "other loops")[column], kind)
    name = str(key)
    if column == 2:
        return _Stop(kind_title(name), kind)
    return _Stop(name or ("no model on record", "other agents")[column], kind)


def _sum(one: Amount, two: Amount) -> Amount:
    return Amount(
        messages=one.messages + two.messages,
        tokens=one.tokens + two.tokens,
        estimated_tokens=one.estimated_tokens + two.estimated_tokens,
        cost_usd=one.cost_usd + two.cost_usd,
        unpriced_tokens=one.unpriced_tokens + two.unpriced_tokens,
    )


# ---------------------------------------------------------------------- places


def _placed(column: dict[Key, _Stop], scale: float, number: int) -> float:
    """Give heights and places from the top; return how high the column is."""
    order = sorted(
        column, key=lambda key: (key is _REST, column[key].kind != "useful" if number == 2 else 0, -column[key].value)
    )
    y = 0.0
    for key in order:
        stop = column.pop(key)
        column[key] = stop
        stop.height = max(1.5, stop.value * scale)
        slot = max(_SLOT, stop.height)
        stop.y = y + (slot - stop.height) / 2
        y += slot + _GAP
    return y - _GAP


def _centre(column: dict[Key, _Stop], height: float) -> None:
    last = [*column.values()][-1]
    down = (height - (last.y + last.height + max(0.0, _SLOT - last.height) / 2)) / 2
    for stop in column.values():
        stop.y += down


def _ribbons(
    links: dict[tuple[Key, Key, bool], float],
    sources: dict[Key, _Stop],
    targets: dict[Key, _Stop],
    start: float,
    end: float,
    scale: float,
) -> list[Markup]:
    ranks = ({key: place for place, key in enumerate(sources)}, {key: place for place, key in enumerate(targets)})
    drawn: dict[tuple[Key, Key, bool], list[float]] = {}
    # Each end is filled from the top in the order of the other end, so that ribbons cross as little as they can.
    for link in sorted(links, key=lambda link: (link[2], ranks[1][link[1]], ranks[0][link[0]])):
        stop = sources[link[0]]
        drawn[link] = [stop.y + stop.right]
        stop.right += links[link] * scale
    for link in sorted(links, key=lambda link: (link[2], ranks[0][link[0]], ranks[1][link[1]])):
        stop = targets[link[1]]
        drawn[link].append(stop.y + stop.left)
        stop.left += links[link] * scale
    shapes = []
    for link in sorted(drawn, key=lambda link: (link[2], -links[link])):
        upper, lower = drawn[link]
        thick, half = max(0.8, links[link] * scale), (start + end) / 2
        shapes.append(
            el(
                "path",
                d=f"M{start:.0f},{upper:.1f} C{half:.0f},{upper:.1f} {half:.0f},{lower:.1f} {end:.0f},{lower:.1f} "
                f"V{lower + thick:.1f} C{half:.0f},{lower + thick:.1f} {half:.0f},{upper + thick:.1f} "
                f"{start:.0f},{upper + thick:.1f} Z",
                cls="ribbon loop" if link[2] else "ribbon",
            )
        )
    return shapes


# ---------------------------------------------------------------------- drawing


def _rect(stop: _Stop, x: float, width: float, cls: str) -> Markup:
    return el("rect", x=x, y=round(stop.y, 1), width=width, height=round(stop.height, 1), cls=cls)


def _lines(stop: _Stop, x: float, width: float, anchor: str, written: Callable[[Amount], str]) -> Markup:
    """The name above the middle, the figure below it."""
    middle = stop.y + stop.height / 2
    return el(
        "g",
        el("title", f"{stop.label}: {written(stop.amount)}"),
        el("text", fit(stop.label, _LETTER, width), x=x, y=round(middle - 3, 1), text_anchor=anchor, cls="name"),
        el("text", fit(written(stop.amount), 12, width), x=x, y=round(middle + 13, 1), text_anchor=anchor, cls="sum"),
    )


def _bar(stop: _Stop, x: float, written: Callable[[Amount], str], text: float, anchor: str) -> Markup:
    return el("g", _rect(stop, x, _BAR, f"bar {stop.kind}"), _lines(stop, text, _MARGIN - 12, anchor, written))


def _card(stop: _Stop, x: float, written: Callable[[Amount], str]) -> Markup:
    return el(
        "g",
        _rect(stop, x, _BAR, "bar agent"),
        _rect(stop, x + _CARD - _BAR, _BAR, "bar agent"),
        _lines(stop, x + _CARD / 2, _CARD - 2 * _BAR - 12, "middle", written),
    )


def _described(columns: tuple[dict[Key, _Stop], ...], written: Callable[[Amount], str]) -> str:
    parts = [
        f"{title}: " + ", ".join(f"{fit(stop.label, 1, 40)} {written(stop.amount)}" for stop in column.values())
        for title, column in zip(("Models", "Agents", "Spent on"), columns, strict=True)
    ]
    return ". ".join(parts) + "."
