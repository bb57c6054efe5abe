"""Tokens and money of a trace, each once: a span's figures are often the sums of what lies below it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agentbreaker.transcripts.spans import Span

__all__ = ["count_once"]


def count_once(spans: Sequence[Span], parent: Mapping[Span, Span | None], depth: Mapping[Span, int]) -> None:
    """Take tokens and money off every span that has a span with some below it.

    Money that only an outer span knows, as in the summary of a run, goes to the spans below it whose tokens it paid
    for, in proportion to them.  A cost of 0 without tokens is no figure: systems write it on whatever is no model call.

    Args:
        spans: All spans of a trace.
        parent: The span around each, without circles.
        depth: How many spans are around each.
    """
    covered: set[Span] = set()
    for span in spans:
        above = parent[span] if _counts(span) else None
        while above is not None and above not in covered:
            covered.add(above)
            above = parent[above]
    _hand_down(spans, parent, depth, covered)
    for span in covered:
        span.usage = span.cost_usd = None


def _counts(span: Span) -> bool:
    return span.usage is not None or bool(span.cost_usd)


def _hand_down(
    spans: Sequence[Span], parent: Mapping[Span, Span | None], depth: Mapping[Span, int], covered: set[Span]
) -> None:
    """Give money of outer spans to the spans below them that have tokens and no money of their own."""
    outermost_first = sorted(spans, key=depth.__getitem__)
    # The nearest span, itself or around it, whose money is a sum.
    payer: dict[Span, Span | None] = {}
    for span in outermost_first:
        above = parent[span]
        payer[span] = span if span in covered and span.cost_usd else None if above is None else payer[above]
    known: dict[Span, float] = {}
    unpaid: dict[Span, list[Span]] = {}
    for span in spans:
        above = payer[span]
        if above is not None and span not in covered:
            if span.cost_usd:
                known[above] = known.get(above, 0.0) + span.cost_usd
            elif span.usage is not None and span.usage.total > 0:
                unpaid.setdefault(above, []).append(span)
    for span in reversed(outermost_first):
        if payer[span] is not span or span.cost_usd is None:
            continue
        below = unpaid.get(span, [])
        rest = span.cost_usd - known.get(span, 0.0)
        if below and rest > 0:
            tokens = sum(one.usage.total for one in below if one.usage is not None)
            for one in below:
                if one.usage is not None:
                    one.cost_usd = rest * one.usage.total / tokens
            known[span] = span.cost_usd
        around = parent[span]
        above = None if around is None else payer[around]
        if above is not None:
            known[above] = known.get(above, 0.0) + known.get(span, 0.0)
