"""Figures as people read them."""

from __future__ import annotations

import pytest

from agentbreaker.report.figures import Figures, path_of, percent, short
from agentbreaker.report.terminal import count_of
from tests.waste.recordings import honest, report_of, runaway


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"),
        (999, "999"),
        (9_994, "9,994"),
        (10_000, "10.0k"),
        (999_400, "999.4k"),
        (1_000_000, "1.0M"),
        (3e9, "3.0G"),
    ],
)
def test_numbers_are_short(number: float, text: str) -> None:
    """About three digits, and whole numbers as long as they are easily read."""
    assert short(number) == text


def test_shares_are_never_rounded_to_nothing_or_to_all() -> None:
    """Almost nothing is not 0 %, and almost all is not 100 %."""
    assert [percent(share) for share in (0, 1e-9, 0.5, 0.9999, 1)] == ["0 %", "<1 %", "50 %", ">99 %", "100 %"]


def test_the_headline_answers_the_question() -> None:
    """How much went into loops, how many would have been halted, what that saves; or that all is well."""
    figures = Figures(report_of(honest(), runaway()))
    assert figures.headline().startswith("67 % of $0.0030 went into loops")
    assert "1 of 2 conversations would have been halted" in figures.headline()
    assert "no loop was found" in Figures(report_of(honest())).headline()
    assert Figures(report_of()).headline() == "No conversation was read."


def test_without_prices_tokens_are_told() -> None:
    """A report in which nothing has a price shows no sum of money that could be taken for one."""
    figures = Figures(report_of(runaway(), prices={}))
    assert not figures.in_money
    assert "$" not in figures.headline()
    assert "tokens" in figures.headline()


def test_words() -> None:
    """Plurals and arrows."""
    assert (count_of(1, "message"), count_of(0, "message")) == ("1 message", "0 messages")
    assert path_of(()) == "not known"
