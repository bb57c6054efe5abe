"""Signals to one verdict: a pure function, monotone in every signal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentbreaker.detectors import PRECEDENCE
from agentbreaker.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentbreaker.verdict import Signal

__all__ = ["fuse"]

_LAST = len(PRECEDENCE)
#: Scores are nearly equal from this share of the highest one on.
_NEARLY = 0.9


def fuse(signals: Sequence[Signal]) -> Verdict:
    """Fuse the signals of one message.

    The fused score is the highest one: the detectors sum up the same statistic of novelty, so adding their scores
    would count the same silence several times.  Among scores that are nearly equal the more specific detector is named
    as the one that decided.  A score that is not a number counts as 0.

    >>> from agentbreaker.verdict import Signal
    >>> weak = Signal("AB401", 0.4, 3, 4, "messages"); strong = Signal("AB201", 0.6, 5, 4, "messages")
    >>> fuse([weak, strong]).score, fuse([weak, strong]).decisive.code, fuse([]).score
    (0.6, 'AB201', 0.0)
    """
    if not signals:
        return Verdict(0.0)
    ordered = sorted(signals, key=_rank)
    first = ordered[0]
    score = _score(first)
    if not first.hard and len(ordered) > 1:
        near = (signal for signal in ordered if _score(signal) >= score * _NEARLY)
        named = min(near, key=lambda signal: PRECEDENCE.get(signal.code, _LAST))
        ordered.remove(named)
        ordered.insert(0, named)
    return Verdict(score, tuple(ordered), hard=first.hard)


def _rank(signal: Signal) -> tuple[bool, float, int]:
    return (not signal.hard, -_score(signal), PRECEDENCE.get(signal.code, _LAST))


def _score(signal: Signal) -> float:
    score = signal.score
    return score if score == score else 0.0  # noqa: PLR0124 - only not-a-number differs from itself
