"""The ribbons: as wide as what they carry, and no name under any of them."""

from __future__ import annotations

import itertools
import re

import pytest

from agentbreaker.report.svg_places import Box
from agentbreaker.report.svg_sankey import sankey_svg
from agentbreaker.report.svg_text import width_of
from agentbreaker.waste.model import Amount, Flow
from tests.report import waste_reports


def flow(model: str, agent: str, kind: str, tokens: int, usd: float = 0.0) -> Flow:
    """A flow of so many tokens."""
    return Flow(model=model, agent=agent, kind=kind, amount=waste_reports.amount(tokens, usd))


def written(amount: Amount) -> str:
    """Tokens."""
    return f"{amount.tokens} tok"


def ribbons(svg: str) -> list[tuple[float, float, float, float]]:
    """Left, top at the left, thickness and right of each ribbon."""
    found = re.findall(r'd="M([\d.]+),([\d.]+) C[^V]*? ([\d.]+),[\d.]+ V([\d.]+) C[^Z]*? [\d.]+,([\d.]+) Z"', svg)
    return [(float(x), float(y), float(low) - float(y), float(end)) for x, y, end, _, low in found]


def names(svg: str) -> list[Box]:
    """Boxes around all names and figures."""
    boxes = []
    pattern = r'<text x="([\d.]+)" y="([\d.]+)" text-anchor="(\w+)" class="\w+">([^<]*)</text>'
    for x, y, anchor, text in re.findall(pattern, svg):
        width = width_of(text, 12)
        middle = float(x) + {"start": width / 2, "end": -width / 2, "middle": 0}[anchor]
        boxes.append(Box(middle, float(y) - 4, width, 10))
    return boxes


@pytest.mark.parametrize("agents", [1, 2, 9, 40])
def test_no_name_lies_under_a_ribbon_or_on_another(agents: int) -> None:
    """Names stand in the margins and between the bars of an agent, however thin these are."""
    flows = [
        flow(f"a-model-with-a-long-name-{n % 9}", f"an-agent-with-a-long-name-{n}", kind, 10 ** (n % 6))
        for n in range(agents)
        for kind in ("useful", "AB201", "AB301")
    ]
    svg = sankey_svg(flows, False, written)
    assert svg is not None
    boxes = names(svg)
    assert len(boxes) >= 6
    for one, two in itertools.combinations(boxes, 2):
        assert not one.meets(two)
    columns = {(left, right) for left, _, _, right in ribbons(svg)}
    for box in boxes:
        assert all(box.right <= left or right <= box.left for left, right in columns)


def test_ribbons_are_as_wide_as_what_they_carry() -> None:
    """Three quarters of the tokens take three quarters of the height, on both sides of the agents."""
    svg = sankey_svg([flow("m", "a", "useful", 750), flow("m", "b", "AB201", 250)], False, written)
    assert svg is not None
    thick = sorted(round(height) for _, _, height, _ in ribbons(svg))
    assert thick == [75, 75, 225, 225]


def test_money_decides_where_there_is_any() -> None:
    """What has a price is drawn by its price; what has none carries no ribbon but is never called free."""
    flows = [flow("m", "a", "useful", 10, 3.0), flow("m", "b", "AB201", 1000, 1.0), flow("m", "c", "AB301", 9)]
    svg = sankey_svg(flows, True, written)
    assert svg is not None
    assert sorted(round(height) for _, _, height, _ in ribbons(svg)) == [75, 75, 225, 225]


def test_what_is_too_small_is_drawn_together() -> None:
    """Beyond nine agents the others share a bar, which names them."""
    svg = sankey_svg([flow("m", f"a{n}", "useful", 100 - n) for n in range(30)], False, written)
    assert svg is not None
    assert svg.count(">other agents<") == 1
    assert ">a8<" in svg
    assert ">a9<" not in svg


def test_loops_are_named_and_coloured() -> None:
    """Detectors are named in words, and their ribbons have a class of their own."""
    svg = sankey_svg([flow("", "a", "useful", 5), flow("", "a", "AB201", 5)], False, written)
    assert svg is not None
    assert ">Confirmation ping-pong<" in svg
    assert ">Outside of loops<" in svg
    assert ">no model on record<" in svg
    assert svg.count('class="ribbon loop"') == 2


def test_nothing_is_not_drawn() -> None:
    """Without flows, or with nothing in them, there is no drawing."""
    assert sankey_svg([], False, written) is None
    assert sankey_svg([Flow(model="m", agent="a", kind="useful", amount=Amount())], False, written) is None
