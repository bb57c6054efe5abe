"""What a bench found, for people: tables and sentences, on a terminal or in Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from agentbreaker.intervals import percent, percents
from agentbreaker.printable import printable
from agentbreaker.report.grid import Grid, markdown_of_sections, print_sections
from agentbreaker.report.terminal import count_of
from agentbreaker.scenario import Outcome

if TYPE_CHECKING:
    from rich.console import Console

    from agentbreaker.bench_baseline import Change, Comparison
    from agentbreaker.bench_figures import BenchReport, Figures, Share

__all__ = ["bench_markdown", "bench_sections", "print_bench"]

_NAMED = 20
_SHORT_TABLE = 12
_NAME = 100
_RUNAWAYS = (">caught", ">95 %", ">early", ">late", ">delay", ">saved", ">tokens", ">µs")
_LEGITIMATE = (">false halts", ">95 %", ">warned", ">95 %")
_LEGEND = (
    "caught: runaways that are halted, and not before their loop begins. late: after the window of their scenario. "
    "delay: messages from the onset to the halt, median (quartiles). saved: share of the characters sent again and "
    "again that comes after the halt; tokens: the same of recorded tokens. warned: legitimate, and only warned. "
    "95 %: Wilson interval of the share before it. µs: of the engine, for each message."
)


def bench_sections(report: BenchReport, comparison: Comparison | None, *, show_all: bool) -> Iterator[Grid | str]:
    """Yield the whole report, without tables that have no row.

    Args:
        report: The figures.
        comparison: Against a baseline, if there is one.
        show_all: Every family, source and conversation that ends otherwise than expected, however many.
    """
    for section in _sections(report, comparison, show_all):
        if isinstance(section, str) or section.rows:
            yield section


def _sections(report: BenchReport, comparison: Comparison | None, show_all: bool) -> Iterator[Grid | str]:
    yield from _intake(report)
    yield _runaways("Runaways per detector", "detector", report.detectors)
    yield _legitimate("Legitimate conversations halted or warned by each detector", "detector", report.detectors)
    shown, more = _selected(report.families, show_all)
    if shown:
        yield _runaways("Runaways per family", "family", shown)
    if more:
        yield f"{_families(more)} more, all caught in time; --all lists them"
    shown, more = _selected(report.sources, show_all)
    if shown:
        yield _legitimate("Legitimate conversations per source", "source", shown)
    if more:
        yield f"{count_of(more, 'source')} more without a halt or a warning; --all lists them"
    languages = [*report.languages, report.total]
    yield _runaways("Runaways per language", "language", languages)
    yield _legitimate("Legitimate conversations per language", "language", languages)
    yield _LEGEND
    yield from _beside(report)
    yield from _wrong(report, show_all)
    if comparison is not None:
        yield from _compared(comparison)


def _families(number: int) -> str:
    return f"{number:,} {'family' if number == 1 else 'families'}"


def _intake(report: BenchReport) -> Iterator[str]:
    total = report.total
    yield (
        f"{count_of(report.conversations, 'conversation')} ({count_of(report.messages, 'message')}): "
        f"{count_of(total.recall.total, 'runaway')}, {total.false_halts.total:,} legitimate"
        + (f", and {report.ignored:,} to be ignored" if report.ignored else "")
    )
    if report.assumed:
        yield f"{count_of(report.assumed, 'conversation')} without labels: taken as legitimate"
    if report.unlabelled:
        yield f"{count_of(report.unlabelled, 'conversation')} without a label in a labelled corpus: left out"
    if report.unmet:
        named = ", ".join(printable(name, limit=_NAME) for name in report.unmet[:5])
        yield f"{count_of(len(report.unmet), 'label')} without a conversation: {named}"
    if report.left_out:
        yield f"{count_of(len(report.left_out), 'scenario')} left out:"
        yield from (f"  {printable(name)}: {printable(reason, limit=300)}" for name, reason in report.left_out.items())
    if report.forgotten:
        yield (
            f"{count_of(report.forgotten, 'conversation')} forgotten in between for want of room, so a loop may have "
            f"been missed: raise conversations.max_conversations"
        )


def _selected(every: Sequence[Figures], show_all: bool) -> tuple[list[Figures], int]:
    """All of a short table, else the rows with something wrong in them, and how many others there are."""
    if show_all or len(every) <= _SHORT_TABLE:
        return list(every), 0
    wrong = [one for one in every if _is_wrong(one)]
    return wrong, len(every) - len(wrong)


def _is_wrong(one: Figures) -> bool:
    failures = one.early + one.late + one.missed + one.other_detector
    return bool(failures or one.false_halts.count or one.false_warnings.count)


def _runaways(title: str, heading: str, rows: Sequence[Figures]) -> Grid:
    grid = Grid(title, (heading, *_RUNAWAYS))
    for one in rows:
        if one.recall.total:
            delay = "-" if one.delay is None else f"{one.delay[1]:.0f} ({one.delay[0]:.0f}..{one.delay[2]:.0f})"
            saved = "-" if one.resent_saved is None else percent(one.resent_saved)
            tokens = percent(one.tokens_saved / one.tokens) if one.tokens else "-"
            late = f"{one.late:,}"
            cells = (*_share(one.recall), f"{one.early:,}", late, delay, saved, tokens, _speed(one))
            grid.rows.append((one.name, *cells))
    return grid


def _legitimate(title: str, heading: str, rows: Sequence[Figures]) -> Grid:
    grid = Grid(title, (heading, *_LEGITIMATE))
    for one in rows:
        if one.false_halts.total:
            grid.rows.append((one.name, *_share(one.false_halts), *_share(one.false_warnings)))
    return grid


def _speed(one: Figures) -> str:
    return "-" if one.microseconds is None else f"{one.microseconds:.0f}"


def _share(share: Share) -> tuple[str, str]:
    return f"{share.count:,}/{share.total:,}", percents(share.low, share.high).removeprefix("95 %: ")


def _beside(report: BenchReport) -> Iterator[str]:
    """What the figures are to be compared with."""
    if report.mean_false_halts is not None:
        yield f"False halts, mean over {count_of(len(report.sources), 'source')}: {percent(report.mean_false_halts)}"
    rule, total = report.length_rule, report.total
    if rule is not None:
        yield (
            f"A mere cap at the same rate of false halts ({count_of(rule.cap, 'message')}) catches "
            f"{rule.recall.count:,} of {rule.recall.total:,} runaways; the engine catches {total.recall.count:,}"
        )
    if report.harm is not None:
        harm = report.harm
        yield (
            f"Harm: {harm.halted:,} of {count_of(harm.succeeded, 'conversation')} that reached a recorded success "
            f"{'is' if harm.halted == 1 else 'are'} halted, {harm.legitimate:,} of them legitimate"
        )


def _wrong(report: BenchReport, show_all: bool) -> Iterator[Grid | str]:
    wrong = [one for one in report.results if one.outcome is not Outcome.OK]
    if not wrong:
        return
    shown = wrong if show_all else wrong[:_NAMED]
    grid = Grid("Not as expected", ("conversation", "outcome", ">halt or warning", ">of", ">onset", "detector"))
    for one in shown:
        at = one.halted_at if one.halted_at is not None else one.warned_at
        cells = ("-" if value is None else str(value) for value in (at, one.messages, one.onset, one.detector))
        grid.rows.append((one.name, one.outcome, *cells))
    yield grid
    if len(wrong) > len(shown):
        yield f"and {len(wrong) - len(shown):,} more; --all lists them"


def _compared(comparison: Comparison) -> Iterator[Grid | str]:
    yield (
        f"Against the baseline: {len(comparison.worse):,} worse, {len(comparison.better):,} better, "
        f"{comparison.same:,} the same, {len(comparison.new):,} new"
    )
    for title, changes in (("Worse than the baseline", comparison.worse), ("Better", comparison.better)):
        if changes:
            grid = Grid(title, ("conversation", "before", "now"))
            grid.rows += [
                (change.name, _standing(change, now=False), _standing(change, now=True)) for change in changes
            ]
            yield grid


def _standing(change: Change, *, now: bool) -> str:
    standing = change.now if now else change.before
    if standing is None:
        return "not run"
    return standing.outcome + ("" if standing.halted_at is None else f", halted at {standing.halted_at}")


def print_bench(console: Console, report: BenchReport, comparison: Comparison | None, *, show_all: bool) -> None:
    """Print the report for people."""
    print_sections(console, bench_sections(report, comparison, show_all=show_all))


def bench_markdown(report: BenchReport, comparison: Comparison | None, *, show_all: bool) -> str:
    """Return the report in Markdown."""
    return markdown_of_sections("agentbreaker bench", bench_sections(report, comparison, show_all=show_all))
