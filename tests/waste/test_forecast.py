"""The next thirty days."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from agentbreaker.accounting import Charge
from agentbreaker.waste.books import Day
from agentbreaker.waste.forecast import forecast
from agentbreaker.waste.sums import Sum

FIRST = date(2026, 11, 1)


def _days(*usd: float) -> dict[date, Day]:
    days = {}
    for number, cost in enumerate(usd):
        day = days[FIRST + timedelta(days=number)] = Day()
        day.spend.add(Charge(tokens=1000, estimated=False, cost_usd=cost, basis="recorded", model="m"))
        if number % 2:
            day.saved.add(Charge(tokens=100, estimated=False, cost_usd=cost / 10, basis="recorded", model="m"))
    return days


def test_even_days_give_a_sure_month() -> None:
    """If every day cost the same, the month is thirty of them, and the interval is a point."""
    ahead, why = forecast(_days(*[2.0] * 10), Sum(), in_money=True)
    assert why == ""
    assert ahead is not None
    assert (ahead.spend.low, ahead.spend.middle, ahead.spend.high) == (60.0, 60.0, 60.0)


def test_the_interval_holds_what_it_says() -> None:
    """Of months drawn from the same days, about four of five lie in the interval, and more than two of three do."""
    import numpy as np

    draw = np.random.default_rng(5)
    inside = 0
    for _ in range(100):
        usd = draw.lognormal(0.0, 1.0, size=21)
        ahead, _ = forecast(_days(*usd.tolist()), Sum(), in_money=True)
        assert ahead is not None
        month = draw.lognormal(0.0, 1.0, size=30).sum()
        inside += ahead.spend.low <= month <= ahead.spend.high
    assert 66 <= inside <= 95


def test_days_without_spending_count() -> None:
    """A day on which nothing ran is a day of no cost."""
    days = _days(3.0)
    days[FIRST + timedelta(days=9)] = _days(3.0)[FIRST]
    ahead, _ = forecast(days, Sum(), in_money=True)
    assert ahead is not None
    assert ahead.days == 10
    assert ahead.spend.middle == pytest.approx(18.0, abs=6.1)


def test_tokens_are_forecast_where_money_is_not_the_measure() -> None:
    """The month is told in tokens then."""
    ahead, _ = forecast(_days(*[0.0] * 6), Sum(), in_money=False)
    assert ahead is not None
    assert (ahead.unit, ahead.spend.middle) == ("tokens", 30_000.0)


def test_what_does_not_allow_one_is_said() -> None:
    """No times, too few days, days that are far apart, and too much without a time: each has its reason."""
    undated = Sum()
    undated.add(Charge(tokens=50_000, estimated=False, cost_usd=None, basis="none", model=None))
    far = _days(1.0, 1.0)
    far[FIRST + timedelta(days=900)] = Day()
    reasons = [
        forecast({}, Sum(), in_money=True)[1],
        forecast(_days(1.0, 1.0), Sum(), in_money=True)[1],
        forecast(far, Sum(), in_money=True)[1],
        forecast(_days(*[1.0] * 8), undated, in_money=True)[1],
    ]
    assert ["timestamp" in reasons[0], "2 days" in reasons[1], "901 days" in reasons[2], "too many" in reasons[3]] == [
        True
    ] * 4
