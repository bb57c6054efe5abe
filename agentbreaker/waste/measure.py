"""What the amounts of one report are compared by: one unit for all its shares, ranks and the month ahead."""

from __future__ import annotations

from typing import Literal, TypeAlias

from agentbreaker.waste.incident_model import Amount

__all__ = ["Measure", "measure_of", "share_of", "weight_of"]

#: What shares are of.
Measure: TypeAlias = Literal["money", "tokens", "messages"]


def measure_of(*amounts: Amount) -> Measure:
    """Return what amounts can be compared by, all of them.

    It is money, unless more than half of the tokens of one of them have no price: a share of the little that has one
    would be taken for a share of everything.  It is tokens then, and messages where no tokens are known.

    >>> measure_of(Amount(tokens=10, cost_usd=0.1)), measure_of(Amount(tokens=10, cost_usd=0.1, unpriced_tokens=6))
    ('money', 'tokens')
    """
    if any(one.cost_usd for one in amounts) and all(2 * one.unpriced_tokens <= one.tokens for one in amounts):
        return "money"
    return "tokens" if any(one.tokens for one in amounts) else "messages"


def weight_of(amount: Amount, measure: Measure) -> tuple[float, int, int]:
    """What amounts are ranked by: the measure first, then tokens, then messages."""
    return amount.cost_usd if measure == "money" else 0.0, amount.tokens, amount.messages


def share_of(part: Amount, whole: Amount, measure: Measure) -> float:
    """A share in [0, 1] by the measure; by tokens where the whole has none of it, else by messages."""
    for of_part, of_whole in zip(weight_of(part, measure), weight_of(whole, measure), strict=True):
        if of_whole:
            return of_part / of_whole
    return 0.0
