"""The spend line: solid until the halt, dashed after it, the loop shaded, its marks apart."""

from __future__ import annotations

import re

import pytest

from agentbreaker.report.svg_line import spending_svg
from agentbreaker.report.svg_text import width_of
from agentbreaker.waste.model import IncidentPage
from tests.report import waste_reports


def drawn(incident: IncidentPage) -> str:
    """The line of an incident in tokens."""
    svg = spending_svg(incident, 1, lambda value: f"{value:.0f} tok", False)
    assert svg is not None
    return svg


def at(began: int, halted: int, messages: int) -> IncidentPage:
    """An incident with a loop from `began` to `halted`."""
    incident = waste_reports.incident("c", ("a", "b"), (), messages=messages)
    halt = incident.halted.model_copy(update={"began_at": began, "halted_at": halted})
    return incident.model_copy(update={"halted": halt})


def test_the_line_is_solid_until_the_halt_and_dashed_after_it() -> None:
    """The solid part has every point before the halt, the dashed one starts there and has all others."""
    svg = drawn(at(17, 24, 64))
    solid, dashed = re.findall(r'<polyline points="([^"]*)" class="(?:un)?spent">', svg)
    assert len(solid.split()) == 24
    assert len(dashed.split()) == 1 + 64 - 24
    assert solid.split()[-1] == dashed.split()[0]


def test_the_shade_covers_the_loop_and_the_rest() -> None:
    """The loop is shaded from its first message to the halt, and what follows up to the end."""
    svg = drawn(at(17, 24, 64))
    (x, width), (rest, after) = re.findall(r'<rect x="([\d.]+)" y="46" width="([\d.]+)"', svg)
    zero = float(re.findall(r'<text x="([\d.]+)" y="[\d.]+" class="axis">#0<', svg)[0])
    step = (560 - zero - 14) / 63
    assert float(x) == pytest.approx(zero + 17 * step, abs=0.1)
    assert float(x) + float(width) == pytest.approx(zero + 23.5 * step, abs=0.2)
    assert float(rest) + float(after) == pytest.approx(560 - 14, abs=0.2)


@pytest.mark.parametrize("messages", [26, 64, 1000])
@pytest.mark.parametrize(("began", "halted"), [(0, 1), (0, 25), (2, 5), (12, 13), (20, 24), (24, 25), (5, 25)])
def test_the_marks_never_meet(messages: int, began: int, halted: int) -> None:
    """Neither name of a mark runs out of the drawing, over the other, or over the line of the other."""
    svg = drawn(at(began, halted, messages))
    spans = []
    for x, top, text_x, y, anchor, text in re.findall(
        r'<line x1="([\d.]+)" y1="([\d.]+)"[^>]*></line>'
        r'<text x="([\d.]+)" y="([\d.]+)" text-anchor="(\w+)">([^<]*)</text>',
        svg,
    ):
        width = width_of(text, 12)
        left = float(text_x) - (width if anchor == "end" else 0)
        assert left >= 0
        assert left + width <= 560
        spans.append((float(x), float(top), left, left + width, float(y)))
    assert len(spans) == 2
    (one, two) = spans
    assert one[4] != two[4]
    for (_, _, left, right, y), (x, top, _, _, _) in ((one, two), (two, one)):
        assert not (left < x < right and top < y)


def test_nothing_spent_is_not_drawn() -> None:
    """Zero everywhere, or a single point, is no line."""
    incident = at(17, 24, 64)
    free = tuple(point.model_copy(update={"tokens": 0}) for point in incident.spending)
    for spending in ((), incident.spending[:1], free):
        assert spending_svg(incident.model_copy(update={"spending": spending}), 1, str, False) is None


def test_times_are_named_where_they_are_known() -> None:
    """The axis says over how long, or nothing about it."""
    assert "message, over 4 min 18 s" in drawn(at(17, 24, 64))
    timeless = waste_reports.incident("c", ("a", "b"), (), seconds=None)
    assert ">message<" in drawn(timeless)
