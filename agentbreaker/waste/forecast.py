"""The next thirty days, if they are like the recorded ones: a predictive bootstrap over whole days.

Each of many imagined months draws its days from a resample of the recorded ones, so that the interval holds both what
is not known of the usual day and how much days differ (B. Efron and R. Tibshirani, "An Introduction to the
Bootstrap", 1993, chapters 6 and 16).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Literal

from agentbreaker.waste.books import Day
from agentbreaker.waste.model import Forecast, Range
from agentbreaker.waste.sums import Sum

__all__ = ["forecast"]

_AHEAD = 30
_LEVEL = 0.8
_DRAWS = 4000
_FEWEST_DAYS = 5
#: More spending than this share without a time makes the days say too little.
_MOST_UNDATED = 0.1
#: Recordings with longer gaps are several recordings, not one stretch of days.
_LONGEST = 400


def forecast(days: Mapping[date, Day], undated: Sum, *, in_money: bool) -> tuple[Forecast | None, str]:
    """Return the forecast, or ``None`` and why there is none.

    Args:
        days: What was spent on each day.
        undated: What was spent by messages without a time.
        in_money: Whether the months are of money; else they are of tokens.
    """
    if not days:
        return None, "no message has a timestamp"
    first, last = min(days), max(days)
    span = (last - first).days + 1
    if span < _FEWEST_DAYS:
        return None, f"{span} {'day is' if span == 1 else 'days are'} recorded; a month needs at least {_FEWEST_DAYS}"
    if span > _LONGEST:
        return None, f"the recordings are spread over {span:,} days"
    dated = sum(day.spend.tokens for day in days.values())
    if undated.tokens > _MOST_UNDATED * (dated + undated.tokens):
        return None, "too many messages have no timestamp"
    unit: Literal["usd", "tokens"] = "usd" if in_money else "tokens"
    idle = span - len(days)
    spend = [_of(day.spend, in_money) for day in days.values()] + [0.0] * idle
    saved = [_of(day.saved, in_money) for day in days.values()] + [0.0] * idle
    low, middle, high = _months(list(zip(spend, saved, strict=True)))
    return (
        Forecast(
            unit=unit,
            days=span,
            level=_LEVEL,
            spend=Range(low=low[0], middle=middle[0], high=high[0]),
            saved=Range(low=low[1], middle=middle[1], high=high[1]),
            method=(
                f"{_DRAWS:,} imagined months of {_AHEAD} days, each drawn from a resample of the {span} recorded days; "
                "no trend and no weekday is assumed"
            ),
        ),
        "",
    )


def _of(total: Sum, in_money: bool) -> float:
    return total.cost_usd if in_money else float(total.tokens)


def _months(days: Sequence[tuple[float, float]]) -> tuple[list[float], list[float], list[float]]:
    """Return the lower end, the median and the upper end of spending and saving."""
    import numpy as np

    values = np.asarray(days, dtype=np.float64)  # (days, 2)
    draw = np.random.Generator(np.random.PCG64(20))  # the same report for the same recordings
    resampled = draw.integers(0, len(values), size=(_DRAWS, len(values)))
    chosen = draw.integers(0, len(values), size=(_DRAWS, _AHEAD))
    months = values[np.take_along_axis(resampled, chosen, axis=1)].sum(axis=1)  # (draws, 2)
    tail = (1 - _LEVEL) / 2
    low, middle, high = np.quantile(months, [tail, 0.5, 1 - tail], axis=0)
    return low.tolist(), middle.tolist(), high.tolist()
