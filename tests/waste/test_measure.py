"""One unit for all shares of a report."""

from __future__ import annotations

import pytest

from agentbreaker.waste.incident_model import Amount
from agentbreaker.waste.measure import measure_of, share_of, weight_of


@pytest.mark.parametrize(
    ("amounts", "measure"),
    [
        ([Amount()], "messages"),
        ([Amount(messages=3)], "messages"),
        ([Amount(messages=3, tokens=10)], "tokens"),
        ([Amount(tokens=10, cost_usd=1.0)], "money"),
        ([Amount(cost_usd=1.0)], "money"),
        ([Amount(tokens=10, cost_usd=1.0, unpriced_tokens=5)], "money"),
        ([Amount(tokens=10, cost_usd=1.0, unpriced_tokens=6)], "tokens"),
        # A share of what has no price would be nought.
        ([Amount(tokens=100, cost_usd=1.0, unpriced_tokens=5), Amount(tokens=5, unpriced_tokens=5)], "tokens"),
        # Nothing went into loops: that is comparable.
        ([Amount(tokens=100, cost_usd=1.0), Amount()], "money"),
    ],
)
def test_money_measures_only_what_mostly_has_a_price(amounts: list[Amount], measure: str) -> None:
    """All of the amounts must have prices for most of their tokens."""
    assert measure_of(*amounts) == measure


def test_shares_and_ranks_are_by_the_measure() -> None:
    """Of two amounts the dearer is the larger by money, and the longer by tokens."""
    dear, long = Amount(messages=1, tokens=10, cost_usd=3.0), Amount(messages=2, tokens=90, cost_usd=1.0)
    whole = Amount(messages=3, tokens=100, cost_usd=4.0)
    assert weight_of(dear, "money") > weight_of(long, "money")
    assert weight_of(dear, "tokens") < weight_of(long, "tokens")
    assert [share_of(dear, whole, measure) for measure in ("money", "tokens", "messages")] == [0.75, 0.1, 0.1]


def test_a_whole_without_the_measure_is_shared_by_the_next() -> None:
    """An agent without any price still has a share of its own tokens in loops, or of its messages."""
    assert share_of(Amount(tokens=5), Amount(tokens=20), "money") == 0.25
    assert share_of(Amount(messages=1), Amount(messages=4), "money") == 0.25
    assert share_of(Amount(), Amount(), "money") == 0.0
