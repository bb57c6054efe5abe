"""Confidence intervals, against published values and against what they are defined by."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentbreaker.intervals import percent, percents, poisson, wilson


@given(st.integers(0, 5000).flatmap(lambda total: st.tuples(st.integers(0, total), st.just(total))))
def test_wilson_contains_the_share_and_stays_within_nothing_and_all(pair: tuple[int, int]) -> None:
    """Whatever the counts, 0 <= low <= k/n <= high <= 1, and the bounds of k of n mirror those of n - k of n."""
    count, total = pair
    low, high = wilson(count, total)
    assert 0.0 <= low <= high <= 1.0
    if total:
        assert low <= count / total <= high
        mirrored = wilson(total - count, total)
        assert mirrored == pytest.approx((1.0 - high, 1.0 - low), abs=1e-12)


@pytest.mark.parametrize(
    ("count", "total", "low", "high"),
    [
        # Newcombe 1998, table I, method 3 (score without continuity correction).
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_gives_the_published_bounds(count: int, total: int, low: float, high: float) -> None:
    """The four examples of the standard comparison of intervals come out to four places."""
    assert wilson(count, total) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize("pair", [(-1, 3), (4, 3), (1, 0)])
def test_wilson_refuses_what_is_no_share(pair: tuple[int, int]) -> None:
    """More than all, or less than none, is a mistake of the caller."""
    with pytest.raises(ValueError, match="is no share"):
        wilson(*pair)


def tail(count: int, mean: float, *, above: bool) -> float:
    """Probability of at most (or at least) `count`, by plain summation."""
    terms = (math.exp(k * math.log(mean) - mean - math.lgamma(k + 1)) for k in range(count if above else count + 1))
    total = math.fsum(terms)
    return 1.0 - total if above else total


@pytest.mark.parametrize("count", [0, 1, 2, 5, 17, 100, 800])
def test_poisson_bounds_leave_a_fortieth_on_each_side(count: int) -> None:
    """At the upper bound so few, and at the lower so many, have a probability of 2.5 %: the definition of exact."""
    low, high = poisson(count)
    assert low <= count <= high
    assert tail(count, high, above=False) == pytest.approx(0.025, rel=1e-6)
    if count:
        assert tail(count, low, above=True) == pytest.approx(0.025, rel=1e-6)
    else:
        assert low == 0.0
        assert high == pytest.approx(-math.log(0.025))


def test_poisson_refuses_a_negative_count() -> None:
    """Nobody counts below zero."""
    with pytest.raises(ValueError, match="not negative"):
        poisson(-1)


def test_poisson_is_quick_for_large_counts() -> None:
    """A hundred thousand events need no hundred thousand terms for each step, and the interval is the normal one."""
    low, high = poisson(100_000)
    assert low == pytest.approx(100_000 - 1.96 * math.sqrt(100_000), rel=1e-4)
    assert high == pytest.approx(100_000 + 1.96 * math.sqrt(100_000), rel=1e-4)


def test_shares_for_people() -> None:
    """A share of exactly 1 % is not written as one that is just above it."""
    assert percent(7 / 693) == "1.01 %"
    assert percent(1.0) == "100 %"
    assert percents(0.0042, 0.12) == "95 %: 0.42 to 12 %"
