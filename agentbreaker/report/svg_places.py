"""Where the agents of a call graph stand: computed, so that the same incident is always drawn the same way."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from agentbreaker.report.svg_text import fit, width_of
from agentbreaker.waste.model import Edge, Node

__all__ = ["Box", "Layout", "Place", "place_graph"]

#: A larger ring is drawn with numbers, which a list beside it explains.
_MOST_NAMED: Final = 8
_MOST_IN_RING: Final = 50
_MOST_NEAR: Final = 6
_IN_A_ROW: Final = 3
_LETTER: Final = 13.0
_HEIGHT: Final = 34.0
_DOT: Final = 30.0
_WIDEST: Final = 150.0
_GAP: Final = 30.0
#: Between two of the ring, so that the label of an edge has room.
_RING_GAP: Final = 74.0
_BETWEEN_ROWS: Final = 100.0


@dataclass(slots=True, frozen=True)
class Box:
    """A rectangle around (`x`, `y`)."""

    x: float
    y: float
    width: float
    height: float

    @property
    def left(self) -> float:
        """Its left side."""
        return self.x - self.width / 2

    @property
    def right(self) -> float:
        """Its right side."""
        return self.x + self.width / 2

    @property
    def top(self) -> float:
        """Its upper side."""
        return self.y - self.height / 2

    @property
    def bottom(self) -> float:
        """Its lower side."""
        return self.y + self.height / 2

    def grown(self, margin: float) -> Box:
        """The same with a margin on every side."""
        return Box(self.x, self.y, self.width + 2 * margin, self.height + 2 * margin)

    def holds(self, point: tuple[float, float]) -> bool:
        """Whether a point lies in it."""
        return self.left <= point[0] <= self.right and self.top <= point[1] <= self.bottom

    def meets(self, other: Box) -> bool:
        """Whether two of them overlap."""
        return (
            self.left < other.right and other.left < self.right and self.top < other.bottom and other.top < self.bottom
        )


@dataclass(slots=True)
class Place:
    """An agent in the drawing.

    Attributes:
        name: Of the agent.
        kind: ``"cycle"``, ``"near"``, or ``"all"`` for everyone in the conversation.
        mark: Number in the cycle, from 1; empty outside of it.
        box: Where.
    """

    name: str
    kind: str
    mark: str
    box: Box


@dataclass(slots=True)
class Layout:
    """A call graph with places.

    Attributes:
        places: By name of the agent.
        everyone: Where messages to everyone go.
        numbered: Whether the ring shows numbers, not names.
        bend: How far edges are bent, as a share of their length.
        left_out: Agents without a place.
    """

    places: dict[str, Place]
    everyone: Place | None
    numbered: bool
    bend: float
    left_out: int

    @property
    def drawn(self) -> list[Place]:
        """All that is drawn."""
        return [*self.places.values(), *([] if self.everyone is None else [self.everyone])]


def place_graph(nodes: Sequence[Node], edges: Sequence[Edge]) -> Layout:
    """Give places to the agents of the cycle and to the neighbours that talk most with it.

    Args:
        nodes: All agents; where none has a rank, the busiest stand on the ring.
        edges: All edges.
    """
    cycle = sorted((node for node in nodes if node.rank is not None), key=lambda node: (node.rank, node.name))
    if not cycle:
        cycle = sorted(nodes, key=lambda node: (-node.tokens, -node.messages, node.name))[:_MOST_NAMED]
    ring = cycle[:_MOST_IN_RING]
    inside = {node.name for node in ring}
    numbered = len(ring) > _MOST_NAMED
    to_all = any(edge.recipient is None and edge.sender in inside for edge in edges)
    boxes = _ring([_box(node.name, numbered) for node in ring], to_all and len(ring) > 2)
    coloured = any(node.rank is not None for node in nodes)
    places = {
        node.name: Place(node.name, "cycle" if coloured else "near", str(number), box)
        for number, (node, box) in enumerate(zip(ring, boxes, strict=True), 1)
    }
    everyone = Place("everyone", "all", "", Box(0, 0, 92, _HEIGHT)) if to_all else None
    above, below = _neighbours(nodes, edges, inside, places)
    _add_row(places, above, -1, None)
    _add_row(places, below, 1, everyone if len(ring) <= 2 else None)
    bend = 0.3 if len(ring) == 2 else 0.14 if numbered else 0.2
    return Layout(places, everyone, numbered, bend, len(nodes) - len(places))


def _box(name: str, numbered: bool = False) -> Box:
    if numbered:
        return Box(0, 0, _DOT, _DOT)
    width = width_of(fit(name, _LETTER, _WIDEST - 24), _LETTER) + 24
    return Box(0, 0, max(56.0, width), _HEIGHT)


def _ring(boxes: list[Box], centre: bool) -> list[Box]:
    """Put boxes on an ellipse, clockwise from the top, as small as they and what is in its centre allow."""
    count = len(boxes)
    if count <= 1:
        return boxes
    if count == 2:
        half = (boxes[0].width + boxes[1].width) / 4 + 65
        return [Box(-half, 0, boxes[0].width, _HEIGHT), Box(half, 0, boxes[1].width, _HEIGHT)]
    across, down = 95.0, 80.0
    middle = [Box(0, 0, 92, _HEIGHT)] if centre else []
    for _ in range(400):
        angles = [2 * math.pi * step / count - math.pi / 2 for step in range(count)]
        placed = [
            Box(across * math.cos(angle), down * math.sin(angle), box.width, box.height)
            for angle, box in zip(angles, boxes, strict=True)
        ]
        everything = [_with_room(box) for box in [*placed, *middle]]
        if not any(a.meets(b) for number, a in enumerate(everything) for b in everything[:number]):
            return placed
        if boxes[0].width > _DOT:
            across, down = across * 1.015, down * 1.04
        else:
            across = down = max(across, down) * 1.04
    return placed


def _with_room(box: Box) -> Box:
    """A box with the margin that it keeps from others: more beside it than above it, as letters run."""
    if box.width <= _DOT:
        return box.grown(13)
    return Box(box.x, box.y, box.width + _RING_GAP, box.height + 0.6 * _RING_GAP)


def _neighbours(
    nodes: Sequence[Node], edges: Sequence[Edge], inside: set[str], places: dict[str, Place]
) -> tuple[list[tuple[str, float]], ...]:
    """Name the neighbours above and below the ring, from left to right, each with the place of its partner."""
    weight: dict[str, int] = {}
    towards: dict[str, int] = {}
    partner: dict[str, tuple[int, str]] = {}
    for edge in edges:
        for other, one, sign in ((edge.sender, edge.recipient, 1), (edge.recipient, edge.sender, -1)):
            if one in inside and other is not None and one is not None and other not in inside:
                size = edge.tokens + edge.messages
                weight[other] = weight.get(other, 0) + size
                towards[other] = towards.get(other, 0) + sign * edge.messages
                partner[other] = max(partner.get(other, (0, one)), (size, one))
    for node in nodes:
        if node.name not in inside and node.name not in weight and len(inside) + len(weight) < _MOST_NAMED:
            weight[node.name] = 0
    chosen = sorted(weight, key=lambda name: (-weight[name], name))[:_MOST_NEAR]
    spots = {name: places[partner[name][1]].box if name in partner else Box(0, 1, 0, 0) for name in chosen}
    sides: dict[bool, list[str]] = {True: [], False: []}
    for name in chosen:
        level = abs(spots[name].y) <= 1
        above = towards.get(name, 0) > 0 if level else spots[name].y < 0
        # The busiest come first; a row that is full sends the others to the opposite side.
        sides[above if len(sides[above]) < _IN_A_ROW else not above].append(name)
    return tuple(
        [(name, spots[name].x) for name in sorted(sides[a], key=lambda n: (spots[n].x, n))] for a in (True, False)
    )


def _add_row(places: dict[str, Place], named: list[tuple[str, float]], direction: int, everyone: Place | None) -> None:
    """Put names in a row above (-1) or below (1) the ring, around the middle of those that they talk with."""
    edge = max((direction * place.box.y for place in places.values()), default=0.0)
    row = [Place(name, "near", "", _box(name)) for name, _ in named]
    if everyone is not None:
        row.append(everyone)
    whole = sum(place.box.width for place in row) + _GAP * (len(row) - 1)
    middle = sum(x for _, x in named) / len(named) if named else 0.0
    left = middle - whole / 2
    for place in row:
        width = place.box.width
        place.box = Box(left + width / 2, direction * (edge + _BETWEEN_ROWS), width, _HEIGHT)
        left += width + _GAP
        if place is not everyone:
            places[place.name] = place
