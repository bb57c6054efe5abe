"""Confidence intervals of counted things: a share of cases, and events per amount of exposure.

Both are two-sided at 95 %, and both are honest where the count is 0: no event in twenty trials does not mean never.
"""

from __future__ import annotations

import math
from collections.abc import Callable

__all__ = ["percent", "percents", "poisson", "wilson"]

#: 97.5 % quantile of the normal distribution.
_Z = 1.959963984540054
_TAIL = 0.025
_NEGLIGIBLE = 1e-17


def wilson(count: int, total: int) -> tuple[float, float]:
    """Return the Wilson score interval (95 %) of the share ``count / total`` (Wilson 1927).

    It always contains the share, and stays within [0, 1].  Of nothing, everything is possible.

    Raises:
        ValueError: Not ``0 <= count <= total``.

    >>> [round(bound, 3) for bound in wilson(0, 20)], [round(bound, 3) for bound in wilson(1, 100)], wilson(0, 0)
    ([0.0, 0.161], [0.002, 0.054], (0.0, 1.0))
    """
    if not 0 <= count <= total:
        raise ValueError(f"{count} of {total} is no share")
    if not total:
        return 0.0, 1.0
    share = count / total
    square = _Z * _Z
    scale = 1.0 + square / total
    centre = share + square / (2 * total)
    half = _Z * math.sqrt(share * (1.0 - share) / total + square / (4 * total * total))
    # Rounding must not put the bound of 0 of n above 0.
    return max(0.0, min(share, (centre - half) / scale)), min(1.0, max(share, (centre + half) / scale))


def poisson(count: int) -> tuple[float, float]:
    """Return the exact interval (95 %) of the mean of a Poisson variable of which `count` was seen (Garwood 1936).

    Divide an exposure by its bounds, and the exposure per event has the same confidence.

    Raises:
        ValueError: A negative count.

    >>> [round(bound, 3) for bound in poisson(0)], [round(bound, 3) for bound in poisson(5)]
    ([0.0, 3.689], [1.623, 11.668])
    """
    if count < 0:
        raise ValueError("a count is not negative")
    # Outside of these bounds the tails below are smaller than 1e-9.
    reach = 8.0 * math.sqrt(count + 1.0) + 16.0
    lower = _solve(lambda mean: _TAIL - _upper_tail(count, mean), max(0.0, count - reach), count) if count else 0.0
    return lower, _solve(lambda mean: _lower_tail(count, mean) - _TAIL, count, count + reach)


def _solve(falling: Callable[[float], float], low: float, high: float) -> float:
    """Root of a function that falls from positive to negative between the bounds."""
    for _ in range(200):
        middle = (low + high) / 2.0
        if middle in (low, high):
            break
        if falling(middle) > 0.0:
            low = middle
        else:
            high = middle
    return (low + high) / 2.0


def _term(count: int, mean: float) -> float:
    """Probability of exactly `count`."""
    if mean <= 0.0:
        return float(count == 0)
    return math.exp(count * math.log(mean) - mean - math.lgamma(count + 1))


def _lower_tail(count: int, mean: float) -> float:
    """Probability of at most `count`, for ``mean >= count``: the terms fall from `count` down."""
    term = total = _term(count, mean)
    number = count
    while number > 0 and term > _NEGLIGIBLE * total:
        term *= number / mean
        total += term
        number -= 1
    return total


def _upper_tail(count: int, mean: float) -> float:
    """Probability of at least `count`, for ``mean <= count``: the terms fall from `count` up."""
    term = total = _term(count, mean)
    number = count
    while term > _NEGLIGIBLE * total:
        number += 1
        term *= mean / number
        total += term
    return total


def percent(share: float) -> str:
    """Return a share in per cent, with as many places as tell something.

    >>> percent(0.0004), percent(0.0101), percent(0.087), percent(0.98), percent(0.996), percent(0.01), percent(0)
    ('0.04 %', '1.01 %', '8.7 %', '98 %', '99.6 %', '1 %', '0 %')
    """
    value = 100.0 * share
    places = 2 if value < 10 else 1 if value > 99 else 0
    text = f"{value:.{places}f}"
    return f"{text.rstrip('0').rstrip('.') if places else text} %"


def percents(low: float, high: float) -> str:
    """Return an interval of shares: ``95 %: 0.4 to 1.9 %``."""
    return f"95 %: {percent(low).removesuffix(' %')} to {percent(high)}"
