"""The figures of a bench: recall, delay, false halts, warnings, savings and speed, for each group of conversations.

Shares carry a Wilson interval (95 %), as a family may have two conversations and a source none that was halted.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence

from pydantic import BaseModel, ConfigDict

from agentbreaker.bench import Bench, Judged
from agentbreaker.detectors import DETECTORS
from agentbreaker.intervals import wilson
from agentbreaker.scenario import Outcome

__all__ = ["BenchReport", "Figures", "Harm", "LengthRule", "Share", "figures_of", "report_of"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class Share(_Frozen):
    """A share of conversations with its interval.

    Attributes:
        count, total: So many of so many.
        low, high: Bounds of the true share at 95 % (Wilson 1927).
    """

    count: int
    total: int
    low: float
    high: float

    @classmethod
    def of(cls, count: int, total: int) -> Share:
        """Make one, with its interval."""
        low, high = wilson(count, total)
        return cls(count=count, total=total, low=low, high=high)

    @property
    def share(self) -> float:
        """The share itself, 0 of nothing."""
        return self.count / self.total if self.total else 0.0


class Figures(_Frozen):
    """What the engine does on a group of conversations.

    Attributes:
        name: The group.
        recall: Runaways that are halted, and not before their loop begins.
        early, late, missed, other_detector: Runaways halted before their loop begins, after their window, never, or by
            another detector than their scenario asks for.
        delay: Messages from the onset to the halt, of those caught whose onset is known: quartiles; ``None``: none.
        false_halts, false_warnings: Legitimate conversations that are halted, and those that are only warned.
        tokens, tokens_saved: Recorded ones of the runaways caught, and of these the ones that come after the halt.
        resent_saved: Share of the characters sent again and again that comes after the halt, of the runaways caught:
            ``None`` without any.
        microseconds: Of the engine for each message that it was asked about; ``None`` without any.
    """

    name: str
    recall: Share
    early: int
    late: int
    missed: int
    other_detector: int
    delay: tuple[float, float, float] | None
    false_halts: Share
    false_warnings: Share
    tokens: int
    tokens_saved: int
    resent_saved: float | None
    microseconds: float | None


class Harm(_Frozen):
    """Halts in conversations whose recorded run reached its goal.

    Attributes:
        succeeded: Such conversations.
        halted: Of these, halted ones.
        legitimate: Of the halted ones, those that are legitimate.
    """

    succeeded: int
    halted: int
    legitimate: int


class LengthRule(_Frozen):
    """What a rule catches that only counts messages, at no more false halts: the mark that every detector must pass.

    Attributes:
        cap: It halts the message with this number; the lowest one with at most as many false halts, in the mean over
            all sources, as the engine.
        recall: Runaways that it halts, and not before their loop begins.
    """

    cap: int
    recall: Share


class BenchReport(_Frozen):
    """All figures of a bench; ``model_dump()`` gives them to programs.

    Attributes:
        conversations, messages: Judged ones.
        total: All together.
        detectors: By code: runaways written for it, and the false halts and warnings that it decided, of all
            legitimate conversations.
        families, sources, languages: Runaways by family, legitimate conversations by source, all by language.
        mean_false_halts: Mean over the sources of their shares; ``None`` without legitimate conversations.
        length_rule: See there; ``None`` without both sorts of conversations.
        harm: See there; ``None`` where no success is recorded.
        ignored, unlabelled, assumed, left_out, unmet, forgotten: As on :class:`~agentbreaker.bench.Bench`.
        results: Every conversation.
    """

    conversations: int
    messages: int
    total: Figures
    detectors: tuple[Figures, ...]
    families: tuple[Figures, ...]
    sources: tuple[Figures, ...]
    languages: tuple[Figures, ...]
    mean_false_halts: float | None
    length_rule: LengthRule | None
    harm: Harm | None
    ignored: int
    unlabelled: int
    assumed: int
    left_out: dict[str, str]
    unmet: tuple[str, ...]
    forgotten: int
    results: tuple[Judged, ...]


def figures_of(name: str, judged: Iterable[Judged], legitimate: Sequence[Judged] | None = None) -> Figures:
    """Add up a group of conversations.

    Args:
        name: The group.
        judged: Its conversations.
        legitimate: The legitimate ones that its false halts and warnings are a share of, if not its own.
    """
    every = list(judged)
    runaways = [one for one in every if one.runaway]
    quiet = [one for one in every if not one.runaway]
    caught = [one for one in runaways if one.caught]
    ended = {outcome: sum(one.outcome is outcome for one in every) for outcome in Outcome}
    delays = sorted(float(one.delay) for one in caught if one.delay is not None)
    resent = sum(one.resent for one in caught)
    asked = sum(one.judged for one in every)
    of = len(quiet if legitimate is None else legitimate)
    return Figures(
        name=name,
        recall=Share.of(len(caught), len(runaways)),
        early=ended[Outcome.EARLY],
        late=ended[Outcome.LATE],
        missed=ended[Outcome.MISSED],
        other_detector=ended[Outcome.OTHER_DETECTOR],
        delay=_quartiles(delays),
        false_halts=Share.of(ended[Outcome.FALSE_HALT], of),
        false_warnings=Share.of(ended[Outcome.WARNED], of),
        tokens=sum(one.tokens for one in caught),
        tokens_saved=sum(one.tokens_after_halt for one in caught),
        resent_saved=sum(one.resent_after_halt for one in caught) / resent if resent else None,
        microseconds=round(1e6 * sum(one.seconds for one in every) / asked, 2) if asked else None,
    )


def _quartiles(values: Sequence[float]) -> tuple[float, float, float] | None:
    if len(values) < 2:
        return (values[0],) * 3 if values else None
    first, median, third = statistics.quantiles(values, n=4, method="inclusive")
    return first, median, third


def report_of(bench: Bench) -> BenchReport:
    """Return the figures of a bench, group by group."""
    judged = bench.judged
    quiet = [one for one in judged if not one.runaway]
    runaways = [one for one in judged if one.runaway]
    sources = _grouped(quiet, lambda one: one.group)
    rates = [figures.false_halts.share for figures in sources]
    mean = statistics.fmean(rates) if rates else None
    return BenchReport(
        conversations=len(judged),
        messages=sum(one.messages for one in judged),
        total=figures_of("all", judged),
        detectors=tuple(_detectors(runaways, quiet)),
        families=tuple(_grouped(runaways, lambda one: one.group)),
        sources=tuple(sources),
        languages=tuple(_grouped(judged, lambda one: one.language)),
        mean_false_halts=mean,
        length_rule=None if mean is None or not runaways else _length_rule(runaways, quiet, mean),
        harm=_harm(judged),
        ignored=bench.ignored,
        unlabelled=bench.unlabelled,
        assumed=bench.assumed,
        left_out=bench.left_out,
        unmet=tuple(bench.unmet),
        forgotten=bench.forgotten,
        results=tuple(judged),
    )


def _grouped(judged: Iterable[Judged], key: Callable[[Judged], str]) -> list[Figures]:
    groups: dict[str, list[Judged]] = {}
    for one in judged:
        groups.setdefault(key(one), []).append(one)
    return [figures_of(name, groups[name]) for name in sorted(groups)]


def _detectors(runaways: Sequence[Judged], quiet: Sequence[Judged]) -> Iterable[Figures]:
    for code in sorted(DETECTORS):
        # Of a runaway that was written for no detector (a recorded one), whoever decided it gets the credit.
        meant = [one for one in runaways if code == (one.detector_meant or one.detector)]
        disturbed = [one for one in quiet if one.detector == code]
        if meant or disturbed:
            yield figures_of(code, [*meant, *disturbed], quiet)


def _harm(judged: Sequence[Judged]) -> Harm | None:
    succeeded = [one for one in judged if one.succeeded]
    halted = [one for one in succeeded if one.halted_at is not None]
    if not succeeded:
        return None
    legitimate = sum(not one.runaway for one in halted)
    return Harm(succeeded=len(succeeded), halted=len(halted), legitimate=legitimate)


def _length_rule(runaways: Sequence[Judged], quiet: Sequence[Judged], goal: float) -> LengthRule:
    """Find the lowest cap whose mean share of false halts is at most `goal`."""
    weights = _weights(quiet)
    ordered = sorted(quiet, key=lambda one: -one.messages)
    # Going down from the longest legitimate conversation, one more after the other is halted.
    cap, spent = ordered[0].messages, 0.0
    for one in ordered:
        spent += weights[one.group]
        if spent > goal + 1e-9:
            cap = one.messages
            break
        cap = one.messages - 1
    caught = sum(one.messages > cap >= one.earliest for one in runaways)
    return LengthRule(cap=cap, recall=Share.of(caught, len(runaways)))


def _weights(quiet: Sequence[Judged]) -> Mapping[str, float]:
    """What one false halt of a source adds to the mean over all sources."""
    sizes: dict[str, int] = {}
    for one in quiet:
        sizes[one.group] = sizes.get(one.group, 0) + 1
    return {name: 1.0 / (size * len(sizes)) for name, size in sizes.items()}
