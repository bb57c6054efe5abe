"""What a calibration found, for people: tables and sentences, on a terminal or in Markdown.

Names come from outside and are made safe here: they are never markup and never a control code.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from agentbreaker.calibration import LOWEST_CHOICE, SMALL_SOURCE
from agentbreaker.intervals import percent, percents
from agentbreaker.printable import printable
from agentbreaker.report.grid import Grid, markdown_of_sections, print_sections
from agentbreaker.report.terminal import count_of

if TYPE_CHECKING:
    from rich.console import Console

    from agentbreaker.calibration import Choice, FamilyRecall, OperatingPoint, SourceRate
    from agentbreaker.tune import Finding, TuneReport

__all__ = ["markdown_of", "print_tune", "sections_of"]

_SHOWN_SOURCES = 12
_SHOWN_FINDINGS = 5
_NAME = 60


def sections_of(report: TuneReport) -> Iterator[Grid | str]:
    """Yield the whole report: tables, and paragraphs of one line each."""
    yield from _intake(report)
    yield from _overview(report)
    yield from _choice(report)
    if report.choice is None:
        return
    if report.halves is not None:
        yield from _details(report.halves.chosen_on, ", on the half that it was chosen on", ())
        yield from _details(report.halves.held_out, ", on the other half", ())
    elif report.chosen is not None:
        neighbours = [point for point in report.points if point.threshold in report.choice.neighbours]
        yield from _details(report.chosen, "", neighbours)
    yield from _findings("Legitimate conversations that are halted", "source", report.false_halts)
    yield from _findings("Runaways that are halted before their loop begins", "family", report.early_halts)
    yield from _findings("Runaways that are missed", "family", report.misses)


def _intake(report: TuneReport) -> Iterator[str]:
    data = report.data
    yield (
        f"{count_of(data.legitimate, 'legitimate conversation')} in {count_of(data.sources, 'source')} "
        f"({count_of(data.legitimate_messages, 'message')}), {count_of(data.runaways, 'runaway')}"
        + (f" of {data.families} families" if data.families > 1 else "")
        + (f", {data.ignored:,} to be ignored" if data.ignored else "")
    )
    if data.assumed and data.assumed < data.legitimate:
        yield f"{count_of(data.assumed, 'conversation')} without a label: taken as legitimate"
    elif data.assumed:
        yield (
            "Without --labels every conversation is taken as legitimate: only false halts can be told, not what is "
            "caught. Read what is halted below before you believe it."
        )
    if data.unlabelled:
        yield f"{count_of(data.unlabelled, 'conversation')} without a label: left out"
    if data.unmet:
        named = ", ".join(printable(name, limit=_NAME) for name in data.unmet_ids[:_SHOWN_FINDINGS])
        more = data.unmet - min(data.unmet, _SHOWN_FINDINGS)
        yield f"{count_of(data.unmet, 'label')} without a conversation: {named}{f' and {more:,} more' if more else ''}"


def _overview(report: TuneReport) -> Iterator[Grid | str]:
    where = ", on the half that the choice is made on" if report.halves is not None else ""
    runaways = report.data.runaways > 0
    grid = Grid(
        f"What each threshold does{where}",
        (">halt at", ">false halts", ">worst", ">run length") + ((">caught", ">early", ">delay", ">saved") * runaways),
    )
    chosen = None if report.choice is None else report.choice.threshold
    for number, point in enumerate(report.points):
        marks = "*" * (point.threshold == chosen) + "+" * (point.threshold == report.present)
        if "*" in marks:
            grid.marked.add(number)
        cells: tuple[str, ...] = (
            f"{marks} {point.threshold:g}".strip(),
            f"{point.overall.halted:,}",
            percent(point.worst.rate) if point.overall.conversations else "-",
            f"{point.run_length:,.0f}" if point.run_length is not None else f">{point.run_length_low:,.0f}",
        )
        if point.runaways is not None:
            fate = point.runaways
            cells += (
                f"{fate.caught:,}/{fate.conversations:,}",
                f"{fate.early:,}",
                _delay(fate.delay),
                percent(fate.saved) if fate.caught else "-",
            )
        elif runaways:
            cells += ("-",) * 4
        grid.rows.append(cells)
    yield grid
    legend = (
        "* chosen, + present. Thresholds are evidence in messages' worth of nothing new. worst: highest rate of false "
        "halts of a source. run length: messages of legitimate conversation per false halt."
    )
    if runaways:
        legend += (
            " early: halted before the loop began. delay: messages from the onset to the halt, median (quartiles). "
            "saved: share of the characters sent again and again that comes after the halt."
        )
    yield legend


def _delay(quartiles: tuple[float, float, float] | None) -> str:
    if quartiles is None:
        return "-"
    first, median, third = quartiles
    return f"{median:.0f} ({first:.0f}..{third:.0f})"


def _choice(report: TuneReport) -> Iterator[str]:
    choice, goal = report.choice, percent(report.max_false_halts)
    if choice is None:
        yield f"Nothing is chosen: {report.undecided}"
        return
    few = f"; where there are fewer than {SMALL_SOURCE}, at most one" if report.max_false_halts > 0 else ""
    yield (
        f"Chosen: {choice.threshold:g}, the lowest threshold that halts at most {goal} of the conversations of every "
        f"source, and of all together{few}"
    )
    yield from _sharpness(report, choice)
    if report.ladder is not None:
        rungs = ", ".join(f"{name} {value:g}" for name, value in report.ladder if value is not None)
        warned = ""
        if report.warned is not None:
            worst = report.warned.worst
            warned = f"; {report.warned.overall} legitimate conversations are warned"
            if worst.halted and len(report.warned.sources) > 1:
                warned += f", most in {printable(worst.source, limit=_NAME)}: {worst}"
        yield f"Ladder: {rungs}{warned}"
        if report.warned is not None and not report.warned_tolerable:
            yield f"Warning at most {percent(report.max_warned)} is not possible below {choice.threshold:g}"
    yield from _honesty(report)


def _sharpness(report: TuneReport, choice: Choice) -> Iterator[str]:
    points = {point.threshold: point for point in report.points}
    if choice.binding is None or choice.binding_evidence is None:
        yield f"No conversation forbids a lower one, but below {LOWEST_CHOICE:g} there is no sequence to speak of"
    else:
        below = "" if choice.lower_neighbour is None else _at(points[choice.lower_neighbour], choice.binding)
        yield (
            f"Lower is too low: a conversation of {printable(choice.binding, limit=_NAME)} that would be one too many "
            f"reaches {choice.binding_evidence:.3f}{below}"
        )
    if choice.upper is not None:
        yield (
            f"Recommended: {choice.threshold:g} to {choice.upper:g}; above that a family is caught less often than can "
            f"be laid to chance"
        )
    yield from _higher({at: point.runaways for at, point in points.items() if point.runaways is not None}, choice)
    if report.present is not None:
        inside = "inside" if report.present_recommended else "outside"
        yield f"The present threshold, {report.present:g}, lies {inside} what is recommended"


def _higher(fates: Mapping[float, FamilyRecall], choice: Choice) -> Iterator[str]:
    """Say if a higher threshold catches more: what is halted before its loop begins is not caught."""
    best = max(fates, key=lambda threshold: (fates[threshold].caught, -threshold), default=choice.threshold)
    if best <= choice.threshold or fates[best].caught <= fates[choice.threshold].caught:
        return
    more, less = fates[best], fates[choice.threshold]
    yield (
        f"Higher catches more: {more.caught:,} at {best:g} and {less.caught:,} at {choice.threshold:g}; "
        f"{more.early:,} and {less.early:,} are halted before their loop begins"
    )


def _at(point: OperatingPoint, source: str) -> str:
    for rate in (*point.sources, point.overall):
        if rate.source == source:
            return f"; at {point.threshold:g}, {rate} would be halted"
    return ""


def _honesty(report: TuneReport) -> Iterator[str]:
    """What the figures cannot carry."""
    chosen = report.chosen
    if chosen is None:
        return
    if chosen.overall.high > report.max_false_halts > 0:
        # With no false halt at all, the Wilson bound of n is z2 / (n + z2).
        enough = 3.841 * (1 - report.max_false_halts) / report.max_false_halts
        yield (
            f"Too few to be sure: {chosen.overall} halted, so the true rate may be {percent(chosen.overall.high)}; "
            f"{percent(report.max_false_halts)} takes {enough:,.0f} conversations or more without a false halt"
        )
    if report.halves is not None:
        held, other = report.halves.held_out, report.halves.other_choice
        yield (
            f"On the half that played no part in the choice: {held.overall} halted"
            + (f", {held.runaways} runaways caught" if held.runaways is not None else "")
            + f"; that half alone would have chosen {'none' if other is None else f'{other:g}'}"
        )
    yield f"False halts at {chosen.threshold:g}: {chosen.run_length_told}"


def _details(chosen: OperatingPoint, where: str, neighbours: Iterable[OperatingPoint]) -> Iterator[Grid | str]:
    """The tables of one threshold, beside its neighbours."""
    at = sorted([chosen, *neighbours], key=lambda point: point.threshold)
    headings = tuple(f">{point.threshold:g}" for point in at)
    beside = " and its neighbours" if len(at) > 1 else ""
    sources, rest = _worst_first(chosen.sources)
    grid = Grid(
        f"False halts per source at {chosen.threshold:g}{beside}{where}", ("source", *headings, ">of", ">rate", ">95 %")
    )
    halted = [{rate.source: rate.halted for rate in point.sources} for point in at]
    for rate in sources:
        counts = (f"{names[rate.source]:,}" for names in halted)
        grid.rows.append(
            (rate.source, *counts, f"{rate.conversations:,}", percent(rate.rate), _interval(rate.low, rate.high))
        )
    if grid.rows:
        yield grid
    if rest:
        yield f"{count_of(rest, 'more source')} without a false halt"
    if not chosen.families:
        return
    grid = Grid(
        f"Runaways caught per family at {chosen.threshold:g}{beside}{where}",
        ("family", *headings, ">of", ">recall", ">95 %", ">early", ">delay", ">saved"),
    )
    caught = [{family.family: family.caught for family in point.families} for point in at]
    for family in chosen.families:
        grid.rows.append(
            (
                family.family,
                *(f"{names[family.family]:,}" for names in caught),
                f"{family.conversations:,}",
                percent(family.recall),
                _interval(family.low, family.high),
                f"{family.early:,}",
                _delay(family.delay),
                percent(family.saved) if family.caught else "-",
            )
        )
    yield grid


def _worst_first(sources: Iterable[SourceRate]) -> tuple[list[SourceRate], int]:
    """All sources if they are few; else those with false halts, the worst first, and how many others there are."""
    every = list(sources)
    if len(every) <= _SHOWN_SOURCES:
        return every, 0
    halted = sorted((rate for rate in every if rate.halted), key=lambda rate: (-rate.rate, rate.source))
    return halted, len(every) - len(halted)


def _interval(low: float, high: float) -> str:
    return percents(low, high).removeprefix("95 %: ")


def _findings(what: str, group: str, findings: tuple[Finding, ...]) -> Iterator[Grid | str]:
    if not findings:
        return
    grid = Grid(what, ("conversation", group, ">onset", ">halted at", ">of", ">reaches", "detector"))
    for finding in findings[:_SHOWN_FINDINGS]:
        grid.rows.append(
            (
                finding.conversation_id,
                finding.group,
                "-" if finding.onset is None else str(finding.onset),
                "-" if finding.at is None else str(finding.at),
                str(finding.messages),
                f"{finding.highest:.2f}",
                finding.detector or "-",
            )
        )
    yield grid
    if len(findings) > len(grid.rows):
        yield f"and {len(findings) - len(grid.rows):,} more; --output-format json lists them all"


# ---------------------------------------------------------------------- drawing


def print_tune(console: Console, report: TuneReport) -> None:
    """Print the report for people."""
    print_sections(console, sections_of(report))


def markdown_of(report: TuneReport) -> str:
    """Return the report in Markdown."""
    return markdown_of_sections("Calibration of the halt threshold", sections_of(report))
