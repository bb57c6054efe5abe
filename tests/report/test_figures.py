"""Figures as people read them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from agentbreaker.report.figures import Figures, path_of, percent, short
from agentbreaker.report.terminal import count_of
from agentbreaker.waste.incident_model import Amount
from agentbreaker.waste.model import Outcome
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


def test_a_share_of_money_is_not_told_of_what_has_no_price() -> None:
    """Nought per cent would say that it was free."""
    stranger = [replace(message, sender="stranger", model="nobody-knows-me") for message in honest("other")[:1]]
    report = report_of(honest(), stranger)
    figures = Figures(report)
    shares = {one.name: figures.share(one.spend, report.spend) for one in report.by_agent}
    assert shares == {"planner": "50 %", "reviewer": "50 %", "stranger": "no price"}


def test_what_a_finished_conversation_cost() -> None:
    """Tokens without a price are told beside the money, and nothing is told where none was finished."""
    known: dict[str, Any] = {"conversations": 4, "in_loops": Amount(), "usd_per_finished": 0.5}
    spend = Amount(messages=9, tokens=1000, estimated_tokens=1, cost_usd=1.0, unpriced_tokens=400)
    outcome = Outcome(group="team", finished=2, spend=spend, tokens_per_finished=500.0, **known)
    figures = Figures(report_of(honest()))
    each = figures.each(outcome)
    assert each is not None
    assert figures.amount(each) == "≈$0.50 + 200 tokens without a price"
    assert figures.each(outcome.model_copy(update={"finished": 0})) is None


def test_words() -> None:
    """Plurals and arrows."""
    assert (count_of(1, "message"), count_of(0, "message")) == ("1 message", "0 messages")
    assert path_of(()) == "not known"
