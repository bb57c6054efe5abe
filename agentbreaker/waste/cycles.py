"""The halted conversations, put together by who went round and how."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import median

from agentbreaker.detectors import title_of
from agentbreaker.waste.advice import Quiet, advice_for
from agentbreaker.waste.findings import Found
from agentbreaker.waste.incident_model import Amount
from agentbreaker.waste.measure import Measure, share_of, weight_of
from agentbreaker.waste.model import Cycle

__all__ = ["cycles_of", "in_turn", "total_of"]

_SHOWN_AGENTS = 12
_EXAMPLES = 3
#: Detectors whose agents speak in an order that says something; of the others only who took part does.
_ORDERED = frozenset({"AB101", "AB103", "AB301", "AB302"})


def in_turn(code: str, agents: Sequence[str]) -> tuple[str, ...]:
    """Return the agents of a cycle in the one order that all its recordings share.

    A cycle has no beginning: it is turned so that the first name by the alphabet comes first.

    >>> in_turn("AB101", ["reviewer", "planner", "writer"])
    ('planner', 'writer', 'reviewer')
    """
    if not agents:
        return ()
    if code not in _ORDERED:
        return tuple(sorted(agents))
    first = min(range(len(agents)), key=agents.__getitem__)
    return (*agents[first:], *agents[:first])


def total_of(amounts: Iterable[Amount]) -> Amount:
    """Add amounts up."""
    listed = list(amounts)
    return Amount(
        messages=sum(one.messages for one in listed),
        tokens=sum(one.tokens for one in listed),
        estimated_tokens=sum(one.estimated_tokens for one in listed),
        cost_usd=round(sum(one.cost_usd for one in listed), 10),
        unpriced_tokens=sum(one.unpriced_tokens for one in listed),
    )


def cycles_of(found: Iterable[Found], quiet: Quiet, most: int, measure: Measure) -> tuple[Cycle, ...]:
    """Return the most expensive cycles.

    Args:
        found: The halted conversations, with their sums.
        quiet: The ones that were left alone.
        most: How many cycles at most.
        measure: What they are ranked by, and their share is of.
    """
    groups: dict[tuple[str, tuple[str, ...]], list[Found]] = {}
    for one in found:
        groups.setdefault((one.code, in_turn(one.code, one.agents)), []).append(one)
    sums = {key: total_of(one.in_loop.amount() for one in members) for key, members in groups.items()}
    everything = total_of(sums.values())
    ranked = sorted(groups, key=lambda key: (weight_of(sums[key], measure), key), reverse=True)[:most]
    cycles = []
    for place, key in enumerate(ranked):
        code, agents = key
        members = sorted(groups[key], key=lambda one: weight_of(one.in_loop.amount(), measure), reverse=True)
        advice, snippet = advice_for(code, quiet, cap=place == 0)
        after = total_of(one.after_halt.amount() for one in members)
        cycles.append(
            Cycle(
                agents=agents[:_SHOWN_AGENTS],
                code=code,
                title=title_of(code),
                conversations=len(members),
                median_laps=float(median(one.laps for one in members)),
                in_loops=sums[key],
                until_halt=_less(sums[key], after),
                after_halt=after,
                share=share_of(sums[key], everything, measure),
                advice=advice,
                snippet=snippet,
                examples=tuple(one.key[1] for one in members[:_EXAMPLES]),
            )
        )
    return tuple(cycles)


def _less(whole: Amount, part: Amount) -> Amount:
    return Amount(
        messages=whole.messages - part.messages,
        tokens=whole.tokens - part.tokens,
        estimated_tokens=whole.estimated_tokens - part.estimated_tokens,
        cost_usd=max(0.0, round(whole.cost_usd - part.cost_usd, 10)),
        unpriced_tokens=whole.unpriced_tokens - part.unpriced_tokens,
    )
