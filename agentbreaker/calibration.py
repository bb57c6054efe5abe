"""Choosing the threshold of the sequential test from measured conversations.

What a threshold costs is its false halts, and the standard figure of merit for a CUSUM is the *average run length* to
one: how many messages of legitimate conversation pass before a false halt (Page 1954).  What it buys is a short delay
from the onset of a loop to the halt.  Lorden (1971) showed that no test with the same run length has a shorter worst
delay than CUSUM, asymptotically; so its one threshold is the whole trade-off (Tartakovsky, Nikiforov and Basseville,
*Sequential Analysis*, 2014).

Everything here is a pure function of the cases: recorded evidence, with a label each.
"""

from __future__ import annotations

import math
import statistics
import zlib
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict

from agentbreaker.intervals import percent, percents, poisson, wilson
from agentbreaker.labels import Role
from agentbreaker.trails import Case
from agentbreaker.verdict import MAX_EVIDENCE, evidence_of, score_of

__all__ = [
    "LOWEST_CHOICE",
    "SMALL_SOURCE",
    "STEP",
    "Choice",
    "Facts",
    "FamilyRecall",
    "OperatingPoint",
    "SourceRate",
    "allowed",
    "choose",
    "evaluate",
    "half_of",
    "lowest_tolerable",
    "turning_points",
]

#: Thresholds are chosen in steps of this much evidence; anything finer is an accident of the data.
STEP = 0.05
_PER_UNIT = 20
#: No lower threshold is chosen: two messages with nothing new are no sequence yet, whatever the data say.
LOWEST_CHOICE = 2.0
#: A source with fewer conversations than this may have one false halt, as its rate cannot be told from the goal.
SMALL_SOURCE = 100
#: Name of all legitimate conversations together.
OVERALL = "all sources"
#: A halt before the loop begins stops honest work as well.
EARLY = "runaways whose loop has not begun"


class Facts(BaseModel):
    """Figures that do not change once they are made; ``model_dump()`` gives them to programs."""

    model_config = ConfigDict(frozen=True)


class SourceRate(Facts):
    """How many conversations of one source are halted that should not be.

    Attributes:
        source: Name of the source.
        conversations: Legitimate conversations in it.
        halted: Of these, halted.
        rate: Their share.
        low, high: Wilson 95 % interval of the share.
    """

    source: str
    conversations: int
    halted: int
    rate: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.halted:,} of {self.conversations:,} ({percent(self.rate)}, {percents(self.low, self.high)})"


class FamilyRecall(Facts):
    """How the runaways of one family fare.

    Attributes:
        family: Name of the family.
        conversations: Runaways in it.
        caught: Of these, halted at their onset or later (two messages before it still counts).
        early: Halted before that: honest work was stopped.
        missed: Never halted.
        recall: Share of those caught.
        low, high: Wilson 95 % interval of the share.
        delay: Messages from onset to halt of those caught whose onset is known: lower quartile, median, upper
            quartile; ``None`` if there are none.
        saved: Share of the characters that are sent again and again which comes after the halt, mean over all
            runaways of the family; one that was missed or halted early saves nothing.
    """

    family: str
    conversations: int
    caught: int
    early: int
    missed: int
    recall: float
    low: float
    high: float
    delay: tuple[float, float, float] | None
    saved: float

    def __str__(self) -> str:
        return f"{self.caught:,} of {self.conversations:,} ({percent(self.recall)}, {percents(self.low, self.high)})"


class OperatingPoint(Facts):
    """What one threshold does.

    Attributes:
        threshold: In messages' worth of nothing new.
        sources: Per source of legitimate conversations, in order of their names.
        overall: The same over all of them.
        families: Per family of runaways, in order of their names.
        runaways: The same over all of them; ``None`` if there are none.
        messages: Messages of legitimate conversation up to the halt or the end.
        run_length: Of these, per false halt (average run length); ``None`` if there was none.
        run_length_low, run_length_high: Exact Poisson 95 % interval; the upper bound of none is ``None``.
    """

    threshold: float
    sources: tuple[SourceRate, ...]
    overall: SourceRate
    families: tuple[FamilyRecall, ...]
    runaways: FamilyRecall | None
    messages: int
    run_length: float | None
    run_length_low: float
    run_length_high: float | None

    @property
    def run_length_told(self) -> str:
        """The run length for people: ``one in 30,391 messages of legitimate conversation (95 %: 13,700 to ...)``."""
        if self.run_length is None or self.run_length_high is None:
            least = f"{self.run_length_low:,.0f} or more"
            return f"none in {self.messages:,} messages of legitimate conversation (95 %: {least})"
        interval = f"{self.run_length_low:,.0f} to {self.run_length_high:,.0f}"
        return f"one in {self.run_length:,.0f} messages of legitimate conversation (95 %: {interval})"

    @property
    def worst(self) -> SourceRate:
        """The source with the highest rate; among equal ones that with more conversations."""
        return max(self.sources, key=lambda source: (source.rate, source.conversations), default=self.overall)


class Choice(Facts):
    """The threshold that was chosen, and how sharp the choice is.

    Attributes:
        threshold: The lowest threshold, in steps of 0.05 and not below 2, with tolerable false halts in every source
            and over all of them.
        upper: Up to here no family's recall falls out of the Wilson interval of its recall at `threshold`; ``None``
            without runaways.
        binding: Source that forbids anything lower; ``None`` if nothing does.
        binding_evidence: Evidence that a legitimate conversation of it reaches, just below `threshold`.
        lower_neighbour: One step lower, ``None`` where no lower one would be chosen.
        upper_neighbour: The next higher threshold at which anything changes; ``None`` if there is none.
    """

    threshold: float
    upper: float | None
    binding: str | None
    binding_evidence: float | None
    lower_neighbour: float | None
    upper_neighbour: float | None

    @property
    def neighbours(self) -> tuple[float, ...]:
        """The thresholds next to the choice that say how sharp it is: none to two of them."""
        return tuple(point for point in (self.lower_neighbour, self.upper_neighbour) if point is not None)

    def recommends(self, threshold: float) -> bool:
        """Whether a threshold lies in the recommended range."""
        return self.threshold <= threshold and (self.upper is None or threshold <= self.upper)


# ---------------------------------------------------------------------- one threshold


def evaluate(cases: Iterable[Case], threshold: float) -> OperatingPoint:
    """Return what a threshold does: false halts per source, recall and delay per family, run length."""
    sources: dict[str, list[bool]] = {}
    families: dict[str, list[_Fate]] = {}
    messages = 0
    for case in cases:
        crossing = case.trail.crossing(threshold)
        if case.label.role is Role.NEGATIVE:
            sources.setdefault(case.source, []).append(crossing is not None)
            messages += case.trail.messages if crossing is None else crossing.at + 1
        elif case.label.role is Role.POSITIVE:
            families.setdefault(case.label.family, []).append(_fate(case, threshold))
    everything = [halted for source in sources.values() for halted in source]
    overall = _rate(OVERALL, everything)
    fewest, most = poisson(overall.halted)
    return OperatingPoint(
        threshold=threshold,
        sources=tuple(_rate(name, sources[name]) for name in sorted(sources)),
        overall=overall,
        families=tuple(_recall(name, families[name]) for name in sorted(families)),
        runaways=_recall("all families", [fate for name in sorted(families) for fate in families[name]])
        if families
        else None,
        messages=messages,
        run_length=messages / overall.halted if overall.halted else None,
        run_length_low=messages / most,
        run_length_high=messages / fewest if overall.halted else None,
    )


class _Fate(NamedTuple):
    caught: bool
    early: bool
    delay: int | None
    saved: float


def _fate(case: Case, threshold: float) -> _Fate:
    crossing = case.trail.crossing(threshold)
    if crossing is None:
        return _Fate(False, False, None, 0.0)
    if case.is_early(crossing):
        return _Fate(False, True, None, 0.0)
    onset, resent = case.label.onset, case.trail.resent
    delay = None if onset is None else crossing.at - onset
    return _Fate(True, False, delay, 1.0 - crossing.resent / resent if resent else 0.0)


def _rate(name: str, halted: Sequence[bool]) -> SourceRate:
    count, total = sum(halted), len(halted)
    low, high = wilson(count, total)
    return SourceRate(
        source=name, conversations=total, halted=count, rate=count / total if total else 0.0, low=low, high=high
    )


def _recall(name: str, fates: Sequence[_Fate]) -> FamilyRecall:
    caught, early, total = sum(fate.caught for fate in fates), sum(fate.early for fate in fates), len(fates)
    low, high = wilson(caught, total)
    delays = sorted(fate.delay for fate in fates if fate.delay is not None)
    quartiles = None
    if delays:
        first, median, third = statistics.quantiles(delays, n=4) if len(delays) > 1 else delays * 3
        quartiles = (float(first), float(median), float(third))
    return FamilyRecall(
        family=name,
        conversations=total,
        caught=caught,
        early=early,
        missed=total - caught - early,
        recall=caught / total,
        low=low,
        high=high,
        delay=quartiles,
        saved=math.fsum(fate.saved for fate in fates) / total,
    )


# ---------------------------------------------------------------------- choosing


def allowed(conversations: int, rate: float) -> int:
    """Return how many false halts a source of so many conversations may have.

    >>> allowed(1000, 0.01), allowed(131, 0.01), allowed(40, 0.01), allowed(40, 0)
    (10, 1, 1, 0)
    """
    # What rounding takes from 0.07 * 100 must not cost a conversation.
    count = math.floor(rate * conversations + 1e-9)
    return max(1, count) if 0 < conversations < SMALL_SOURCE and rate > 0 else count


def lowest_tolerable(
    cases: Iterable[Case], rate: float, *, floor: float = LOWEST_CHOICE, least: int = 1, early: float | None = None
) -> tuple[float, str | None, float | None] | None:
    """Return the lowest threshold on the grid that is tolerable in every source, and over all of them.

    Over all of them too, because a hundred sources of one conversation each would otherwise tolerate anything.

    Args:
        cases: Legitimate ones, and runaways, which must not be halted before their loop begins.
        rate: Tolerated share of false halts.
        floor: No lower threshold is returned.
        least: Sources with fewer conversations are only judged together with all others.
        early: Tolerated share of runaways that are halted before their loop begins; ``None``: not judged.

    Returns:
        The threshold, the source that forbids a lower one, and the evidence that a conversation of that source
        reaches below it (``None`` for both if `floor` is tolerable).  ``None`` if no threshold is.
    """
    groups: dict[str, list[float]] = {}
    begun: list[float] = []
    for case in cases:
        if case.label.role is Role.NEGATIVE:
            groups.setdefault(case.source, []).append(case.trail.highest)
        elif case.label.role is Role.POSITIVE and early is not None:
            begun.append(max((rise.score for rise in case.trail.rises if case.is_early(rise)), default=0.0))
    everything = [score for scores in groups.values() for score in scores]
    step, binding, reached = round(floor * _PER_UNIT), None, None
    for name, scores in [*sorted(groups.items()), (OVERALL, everything), (EARLY, begun)]:
        scores.sort(reverse=True)
        tolerated = allowed(len(scores), early or 0.0 if scores is begun else rate)
        if tolerated >= len(scores) or (len(scores) < least and scores is not everything):
            continue
        above = _step_above(scores[tolerated])
        if above is None:
            return None
        if above > step:
            step, binding, reached = above, name, round(evidence_of(scores[tolerated]), 6)
    return step / _PER_UNIT, binding, reached


def _step_above(score: float) -> int | None:
    """Number of the lowest step of the grid that the score does not reach, ``None`` if it reaches them all."""
    last = round(MAX_EVIDENCE * _PER_UNIT)
    if score >= score_of(MAX_EVIDENCE):
        return None
    step = max(1, min(last, math.floor(evidence_of(score) * _PER_UNIT)))
    while step > 1 and score_of((step - 1) / _PER_UNIT) > score:
        step -= 1
    while score_of(step / _PER_UNIT) <= score:
        step += 1
    return step


def turning_points(cases: Iterable[Case], lowest: float = LOWEST_CHOICE) -> list[float]:
    """Return the thresholds on the grid, from `lowest` on, at which anything differs from one step lower."""
    steps: set[int] = {round(lowest * _PER_UNIT)}
    for case in cases:
        rises = case.trail.rises
        if case.label.role is Role.NEGATIVE:
            # How far it gets at all is what matters; where it is halted only moves the run length.
            rises = rises[-1:]
        elif case.label.role is not Role.POSITIVE:
            continue
        for rise in rises:
            step = _step_above(rise.score)
            if step is not None:
                steps.add(step)
    return [step / _PER_UNIT for step in sorted(steps) if step / _PER_UNIT >= lowest]


def choose(cases: Sequence[Case], rate: float, early: float | None = None) -> Choice | None:
    """Return the lowest threshold with tolerable false halts, and how sharp the choice is.

    ``None`` if there is no legitimate conversation, or if no threshold is tolerable.
    """
    found = lowest_tolerable(cases, rate, early=early)
    if found is None or not any(case.label.role is Role.NEGATIVE for case in cases):
        return None
    threshold, binding, reached = found
    above = [point for point in turning_points(cases, threshold) if point > threshold]
    runaways = [case for case in cases if case.label.role is Role.POSITIVE]
    return Choice(
        threshold=threshold,
        upper=_upper(runaways, threshold, above) if runaways else None,
        binding=binding,
        binding_evidence=reached,
        lower_neighbour=round(threshold - STEP, 2) if threshold > LOWEST_CHOICE else None,
        upper_neighbour=above[0] if above else None,
    )


def _upper(runaways: Sequence[Case], threshold: float, above: Sequence[float]) -> float:
    """Return the highest threshold up to which every recall stays in its interval at `threshold`."""
    low = {family.family: family.low for family in evaluate(runaways, threshold).families}
    for point in above:
        if any(family.recall < low[family.family] for family in evaluate(runaways, point).families):
            return round(point - STEP, 2)
    return MAX_EVIDENCE


def half_of(conversation_id: str) -> int:
    """Return the half, 0 or 1, that a conversation belongs to: by its id alone, the same on every machine.

    >>> half_of("run-3"), half_of("run-4")
    (1, 0)
    """
    return zlib.crc32(conversation_id.encode("utf-8", "surrogatepass")) & 1
