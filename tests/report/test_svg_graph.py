"""The call graph: the cycle in its order, every label in a place of its own, the same every time."""

from __future__ import annotations

import itertools
import re

import pytest

from agentbreaker.report.svg_graph import graph_svg
from agentbreaker.report.svg_places import Box, place_graph
from agentbreaker.report.svg_text import width_of
from agentbreaker.waste.model import IncidentPage
from tests.report import waste_reports


def page(ring: int, others: int = 0, *, to_all: bool = False, long: bool = False) -> IncidentPage:
    """An incident with a ring of so many agents and so many neighbours."""
    agents = [f"agent-{n:02d}" + "-with-a-long-name" * long for n in range(ring)]
    beside = [(f"near-{n}", agents[n % ring], 1 + n % 5) for n in range(others)]
    beside += [(agents[n % ring], f"near-{n}", 1 + n % 3) for n in range(0, others, 2)]
    return waste_reports.incident("c", agents, (), others=beside, to_all=to_all)


def texts(svg: str) -> list[Box]:
    """Boxes around the letters of all labels, as wide as the letters are reckoned."""
    boxes = []
    for x, y, text in re.findall(r'<text x="([-\d.]+)" y="([-\d.]+)"[^>]*>([^<]*)</text>', svg):
        boxes.append(Box(float(x), float(y) - 4, width_of(text, 12), 11))
    return boxes


SIZES = [*itertools.product(range(1, 13), (0, 1, 3, 8), (False, True)), (24, 8, False), (50, 0, True), (80, 300, False)]


@pytest.mark.parametrize(("ring", "others", "to_all"), SIZES)
def test_nothing_stands_on_anything_else(ring: int, others: int, to_all: bool) -> None:
    """No two agents overlap, no label touches an agent or another label, whatever the size of the cycle."""
    for long in (False, True):
        incident = page(ring, others, to_all=to_all, long=long)
        places = place_graph(incident.nodes, incident.edges).drawn
        for one, two in itertools.combinations([place.box for place in places], 2):
            assert not one.meets(two)
        svg, _, _ = graph_svg(incident, 1)
        for one, two in itertools.combinations(texts(svg), 2):
            assert not one.meets(two)


@pytest.mark.parametrize("ring", [2, 3, 5, 8])
def test_every_edge_of_a_cycle_has_its_figures(ring: int) -> None:
    """As long as names are shown, messages and tokens stand beside each edge of the cycle."""
    for others in (0, 2, 6):
        svg, _, _ = graph_svg(page(ring, others), 1)
        assert len(re.findall(r'class="load cyc">7× · 9,\d{3} tok<', svg)) == ring


def test_the_cycle_runs_clockwise_in_its_order() -> None:
    """The first agent is on top, and each next one further round in the same direction."""
    layout = place_graph(page(6).nodes, page(6).edges)
    boxes = [layout.places[f"agent-{n:02d}"].box for n in range(6)]
    assert boxes[0].y == min(box.y for box in boxes)
    turns = [one.x * two.y - one.y * two.x for one, two in zip(boxes, [*boxes[1:], boxes[0]], strict=True)]
    assert all(turn > 0 for turn in turns)


def test_labels_of_two_agents_stand_outside() -> None:
    """The two ways between two agents are bent apart, and their figures are above and below."""
    svg, _, _ = graph_svg(page(2), 1)
    heights = [float(y) for y in re.findall(r'<text x="[-\d.]+" y="([-\d.]+)" class="load cyc">', svg)]
    arcs = [float(y) for y in re.findall(r'd="M[-\d.]+,[-\d.]+ Q [-\d.]+,([-\d.]+)', svg)]
    assert min(heights) < min(arcs) / 2 < 0 < max(arcs) / 2 < max(heights)


def test_what_is_not_drawn_is_counted() -> None:
    """Of hundreds the cycle and the biggest neighbours are drawn, and the others are counted."""
    incident = waste_reports.mesh(14, 300)
    svg, agents, edges = graph_svg(incident, 1)
    assert svg.count("<rect") == 14 + 6
    assert agents == 300 - 6
    assert edges == 300 - 6
    # A ring of more than fifty is cut too; the two who lead out of what is drawn and back are its neighbours.
    svg, agents, _ = graph_svg(page(80), 1)
    assert svg.count("<rect") == 50 + 2
    assert agents == 28


def test_the_neighbours_that_are_drawn_are_the_biggest() -> None:
    """Neighbours are chosen by what they said to the cycle and heard from it."""
    incident = waste_reports.incident("c", ("a", "b"), (), others=[(f"n{n}", "a", n + 1) for n in range(20)])
    assert set(place_graph(incident.nodes, incident.edges).places) == {"a", "b", *(f"n{n}" for n in range(14, 20))}


def test_a_message_to_everyone_has_a_place_to_go() -> None:
    """Messages without a recipient lead to a place of their own, which is no agent."""
    svg, agents, edges = graph_svg(page(3, to_all=True), 1)
    assert svg.count('class="node all"') == 1
    assert ">everyone</text>" in svg
    assert (agents, edges) == (0, 0)


def test_an_agent_may_be_called_everyone() -> None:
    """The name of an agent is never taken for the place of messages to all."""
    incident = waste_reports.incident("c", ("everyone", "b", "c"), (), to_all=True)
    svg, _, _ = graph_svg(incident, 1)
    assert svg.count(">everyone</text>") == 2
    assert svg.count('class="node all"') == 1


def test_a_drawing_is_the_same_every_time() -> None:
    """Nothing is random, and equal weights have an order."""
    assert graph_svg(waste_reports.mesh(), 1) == graph_svg(waste_reports.mesh(), 1)


def test_a_graph_without_agents_or_tokens_is_drawn() -> None:
    """Nobody, nothing spent, nobody in a cycle: a drawing all the same, with finite numbers."""
    incident = page(3)
    nobody = incident.model_copy(update={"nodes": (), "edges": ()})
    free = incident.model_copy(
        update={
            "nodes": tuple(node.model_copy(update={"rank": None, "tokens": 0}) for node in incident.nodes),
            "edges": tuple(edge.model_copy(update={"tokens": 0, "in_cycle": False}) for edge in incident.edges),
        }
    )
    for one in (nobody, free):
        svg, _, _ = graph_svg(one, 1)
        assert not re.search("nan|inf", svg)
    assert "node cyc" not in graph_svg(free, 1)[0]


def test_the_drawing_has_a_name_and_a_text() -> None:
    """A reader without eyes hears what it shows."""
    svg, _, _ = graph_svg(page(3, 2), 7)
    assert 'role="img"' in svg
    assert '<title id="graph-7-title">Call graph of incident 7</title>' in svg
    assert "5 agents and 6 edges up to the halt; 3 agents are in the cycle" in svg
