"""The call graph of an incident as SVG: the cycle on a ring in its order, its neighbours above and below.

The drawing is the same every time, and no label stands on another: places come from :mod:`.svg_places`, and the label
of an edge takes the first free place beside it, on the outer side if it can.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Final

from agentbreaker.report.figures import short
from agentbreaker.report.html_style import GRAPH_WIDTHS
from agentbreaker.report.markup import Markup, el
from agentbreaker.report.svg_places import Box, Layout, Place, place_graph
from agentbreaker.report.svg_text import fit, width_of
from agentbreaker.waste.model import Edge, IncidentPage

__all__ = ["graph_svg"]

Point = tuple[float, float]
Curve = tuple[Point, ...]

_LABEL: Final = 12.0
_ROOM: Final = (520.0, 380.0)
_THINNEST, _THICKEST = 1.5, 8.0
_TRIES: Final = (0.5, 0.4, 0.6, 0.3, 0.7, 0.22, 0.78)


def graph_svg(page: IncidentPage, number: int) -> tuple[Markup, int, int]:
    """Draw the call graph of an incident.

    Args:
        page: The incident.
        number: Of the incident on the page, for the ids.

    Returns:
        The drawing, and how many agents and edges are not in it.
    """
    layout = place_graph(page.nodes, page.edges)
    drawn = [edge for edge in page.edges if edge.sender in layout.places and _end(edge, layout) is not None]
    drawn.sort(key=lambda edge: (edge.in_cycle, edge.tokens, edge.messages, edge.sender, edge.recipient or ""))
    most = max((_weight(edge) for edge in drawn), default=1) or 1
    two_way = {(edge.sender, edge.recipient) for edge in drawn}
    curves = [_curve(edge, layout, (edge.recipient, edge.sender) in two_way) for edge in drawn]
    widths = [_THINNEST + (_THICKEST - _THINNEST) * math.sqrt(_weight(edge) / most) for edge in drawn]
    labels = [] if layout.numbered else list(_labels(drawn, curves, widths, layout))
    shapes = [_edge(edge, curve, width) for edge, curve, width in zip(drawn, curves, widths, strict=True)]
    boxes = [place.box for place in layout.drawn] + [box for box, _, _ in labels if box is not None]
    boxes += [Box(x, y, 12, 12) for curve in curves for x, y in _sampled(curve, 12)]
    boxes = boxes or [Box(0, 0, 300, 60)]
    left, top = min(box.left for box in boxes) - 6, min(box.top for box in boxes) - 6
    right, bottom = max(box.right for box in boxes) + 6, max(box.bottom for box in boxes) + 6
    # A small graph may fill its place; a large one keeps its letters readable, and scrolls where it has no room.
    zoom = min(1.3, max(1.0, _ROOM[0] / (right - left)), max(1.0, _ROOM[1] / (bottom - top)))
    least = next((width for width in GRAPH_WIDTHS if width >= 0.8 * (right - left)), GRAPH_WIDTHS[-1])
    svg = el(
        "svg",
        el("title", f"Call graph of incident {number}", id=f"graph-{number}-title"),
        el("desc", _described(page), id=f"graph-{number}-text"),
        el("g", shapes),
        el("g", [_node(place, layout.numbered) for place in layout.drawn]),
        el("g", [_label(box, text, cycle) for box, text, cycle in labels]),
        viewBox=f"{left:.0f} {top:.0f} {right - left:.0f} {bottom - top:.0f}",
        width=round(zoom * (right - left)),
        height=round(zoom * (bottom - top)),
        cls=f"graph w{least}",
        role="img",
        aria_labelledby=f"graph-{number}-title graph-{number}-text",
    )
    return svg, layout.left_out, len(page.edges) - len(drawn)


def _described(page: IncidentPage) -> str:
    ring = sum(node.rank is not None for node in page.nodes)
    return (
        f"{len(page.nodes)} agents and {len(page.edges)} edges up to the halt; {ring} agents are in the cycle, "
        f"which is drawn in colour and with solid names. The same figures are in the table below."
    )


def _weight(edge: Edge) -> float:
    return edge.tokens or edge.messages / 1000


def _end(edge: Edge, layout: Layout) -> Place | None:
    return layout.everyone if edge.recipient is None else layout.places.get(edge.recipient)


# ---------------------------------------------------------------------- curves


def _curve(edge: Edge, layout: Layout, two_way: bool) -> Curve:
    """From the rim of one to the rim of the other, bent to its left, so that the two ways lie apart."""
    start, end = layout.places[edge.sender], _end(edge, layout)
    assert end is not None  # noqa: S101 -- only such edges are drawn
    if end is start:
        box, side = start.box, 1 if start.box.x >= 0 else -1
        edge_x, out = box.x + side * (box.width / 2 + 2), box.x + side * (box.width / 2 + 50)
        return ((edge_x - 4 * side, box.y - 9), (out, box.y - 44), (out, box.y + 44), (edge_x, box.y + 9))
    first, last = (start.box.x, start.box.y), (end.box.x, end.box.y)
    across, down = last[0] - first[0], last[1] - first[1]
    bend = layout.bend if edge.in_cycle or two_way else 0.05
    middle = ((first[0] + last[0]) / 2 + bend * down, (first[1] + last[1]) / 2 - bend * across)
    whole = (first, middle, last)
    rims = start.box.grown(3), end.box.grown(3)
    steps = [step / 60 for step in range(61)]
    outside = [step for step in steps if not any(rim.holds(_at(whole, step)) for rim in rims)]
    return _part(whole, outside[0], outside[-1]) if len(outside) > 1 else whole


def _at(curve: Curve, t: float) -> Point:
    points = list(curve)
    while len(points) > 1:
        points = [(a[0] + t * (b[0] - a[0]), a[1] + t * (b[1] - a[1])) for a, b in pairwise(points)]
    return points[0]


def _part(curve: Curve, start: float, end: float) -> Curve:
    """The stretch of a curve of three points between two parameters."""
    first, middle, last = curve

    def blossom(u: float, v: float) -> Point:
        return (
            (1 - u) * (1 - v) * first[0] + (u + v - 2 * u * v) * middle[0] + u * v * last[0],
            (1 - u) * (1 - v) * first[1] + (u + v - 2 * u * v) * middle[1] + u * v * last[1],
        )

    return blossom(start, start), blossom(start, end), blossom(end, end)


def _sampled(curve: Curve, steps: int) -> Iterator[Point]:
    return (_at(curve, step / steps) for step in range(steps + 1))


def _edge(edge: Edge, curve: Curve, width: float) -> Markup:
    """The line, up to the base of its arrowhead, and the arrowhead."""
    tip, before = curve[-1], _at(curve, 0.9)
    length = math.dist(tip, before) or 1.0
    along = ((tip[0] - before[0]) / length, (tip[1] - before[1]) / length)
    size = 6 + 1.1 * width
    base = (tip[0] - size * along[0], tip[1] - size * along[1])
    side = (-along[1] * size * 0.55, along[0] * size * 0.55)
    # Drawn up to the middle of the head, so that a thick line does not stand out beside its tip.
    until = (tip[0] - 0.7 * size * along[0], tip[1] - 0.7 * size * along[1])
    start, *controls = curve[:-1]
    order = "Q" if len(controls) == 1 else "C"
    path = f"M{_xy(start)} {order} {' '.join(_xy(point) for point in controls)} {_xy(until)}"
    corners = (tip, (base[0] + side[0], base[1] + side[1]), (base[0] - side[0], base[1] - side[1]))
    return el(
        "g",
        el("path", d=path, stroke_width=round(width, 1), fill="none", cls="wire"),
        el("polygon", points=" ".join(_xy(point) for point in corners), cls="tip"),
        cls="edge cyc" if edge.in_cycle else "edge",
    )


def _xy(point: Point) -> str:
    return f"{point[0]:.1f},{point[1]:.1f}"


# ---------------------------------------------------------------------- labels


def _labels(
    edges: list[Edge], curves: list[Curve], widths: list[float], layout: Layout
) -> Iterator[tuple[Box | None, str, bool]]:
    """Where the labels stand: beside the middle of the edge, else further along, else on the other side, else not."""
    taken = [place.box.grown(4) for place in layout.drawn]
    lines = [
        (number, point, width / 2 + 2, edges[number].in_cycle)
        for number, (curve, width) in enumerate(zip(curves, widths, strict=True))
        for point in _sampled(curve, 24)
    ]

    def is_free(box: Box, number: int, margin: float, grey: bool = True) -> bool:
        """Whether nothing is there, and no other line so near that the label seems to be its own."""
        if any(box.meets(other) for other in taken):
            return False
        return not any(
            box.grown(reach + margin * (line != number)).holds(point)
            for line, point, reach, cycle in lines
            if cycle or grey
        )

    for number in reversed(range(len(edges))):
        edge = edges[number]
        text = f"{edge.messages:,}×" + (f" · {short(edge.tokens)} tok" if edge.tokens else "")
        size = (width_of(text, _LABEL) + 4, _LABEL + 4)
        boxes = [*_candidates(curves[number], size, widths[number], 3 if edge.in_cycle else 1)]
        # The figures of the cycle matter most: rather on a thin line, which they hide, than nowhere.
        tries = ((7.0, True), (0.0, True), (0.0, False)) if edge.in_cycle else ((7.0, True),)
        box = next((box for margin, grey in tries for box in boxes if is_free(box, number, margin, grey)), None)
        if box is not None:
            taken.append(box.grown(3))
        yield box, text, edge.in_cycle


def _candidates(curve: Curve, size: Point, width: float, rounds: int) -> Iterable[Box]:
    for distance in range(rounds):
        for side in (1, -1):
            for t in _TRIES:
                here, ahead = _at(curve, t), _at(curve, min(1.0, t + 0.02))
                length = math.dist(here, ahead) or 1.0
                normal = (side * (ahead[1] - here[1]) / length, -side * (ahead[0] - here[0]) / length)
                reach = abs(normal[0]) * size[0] / 2 + abs(normal[1]) * size[1] / 2 + width / 2 + 4 + 14 * distance
                yield Box(here[0] + reach * normal[0], here[1] + reach * normal[1], *size)


def _label(box: Box | None, text: str, cycle: bool) -> Markup:
    """A label; one without a place is left empty, so that what is on a page does not depend on how long names are."""
    if box is None:
        return el("text", cls="load")
    return el("text", text, x=round(box.x, 1), y=round(box.y + 4, 1), cls="load cyc" if cycle else "load")


def _node(place: Place, numbered: bool) -> Markup:
    box = place.box
    kind = {"cycle": "node cyc", "near": "node", "all": "node all"}[place.kind]
    label = place.mark if numbered and place.kind == "cycle" else fit(place.name, 13, box.width - 20)
    return el(
        "g",
        el("title", place.name),
        el(
            "rect",
            x=round(box.left, 1),
            y=round(box.top, 1),
            width=round(box.width, 1),
            height=round(box.height, 1),
            rx=round(box.height / 2, 1),
        ),
        el("text", label, x=round(box.x, 1), y=round(box.y + 4.5, 1)),
        cls=kind,
    )
