"""The waste report on a terminal."""

from __future__ import annotations

import io
from typing import Literal

import pytest
from rich.console import Console

from agentbreaker.report.waste_terminal import print_waste
from agentbreaker.waste.model import Report
from tests.waste.recordings import honest, report_of, runaway, with_a_tool


def _printed(report: Report, width: int = 120, *, colour: bool = False, incidents: int = 1) -> str:
    written = io.StringIO()
    system: Literal["standard"] | None = "standard" if colour else None
    console = Console(file=written, width=width, highlight=False, force_terminal=colour, color_system=system)
    print_waste(console, report, incidents=incidents)
    return written.getvalue()


def test_grey_is_what_was_said_and_green_what_is_new() -> None:
    """The laps of a runaway are grey; the legend tells the colours."""
    text = _printed(report_of(runaway()), colour=True)
    assert "\x1b[90m" in text
    assert "said before" in text


@pytest.mark.parametrize("width", [40, 80, 200])
def test_it_fits_the_terminal(width: int) -> None:
    """No line of a table is wider than the terminal, and at least one lap is shown however narrow it is."""
    text = _printed(report_of(honest(), runaway(), with_a_tool()), width)
    assert "Lap " in text
    table = text[text.index("Cycles by cost") : text.index("What to do")]
    assert all(len(line.rstrip()) <= width for line in table.splitlines())


def test_pages_are_as_many_as_asked_for() -> None:
    """The others are counted, and how to see them is said."""
    report = report_of(*(runaway(f"r{number}") for number in range(3)))
    text = _printed(report, incidents=1)
    assert "2 more pages" in text
    assert _printed(report, incidents=3).count("began at message") == 3


def test_an_interrupted_report_says_so() -> None:
    """Nobody takes half a reading for the whole."""
    assert "Interrupted" in _printed(report_of(runaway()).model_copy(update={"complete": False}))
