"""The waste report on a terminal.

Text of agents is escaped: it is never markup, never a control code, and, in the log of a CI job, never a command.
"""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from agentbreaker.accounting import NO_MODEL
from agentbreaker.detectors import title_of
from agentbreaker.printable import printable
from agentbreaker.report.figures import Figures, path_of, percent, short
from agentbreaker.report.terminal import count_of, no_command
from agentbreaker.waste.model import Amount, IncidentPage, Lap, LapTurn, Report, Spender

__all__ = ["print_incident", "print_waste"]

_ROWS = 8
_MAX_CELL = 420
_SAID, _EVERYDAY, _NEW = "bright_black", "", "bold green"


def print_waste(console: Console, report: Report, *, incidents: int = 1) -> None:
    """Print a report.

    Args:
        console: Where to.
        report: What to print.
        incidents: How many of its pages.
    """
    figures = Figures(report)
    console.print(Text(no_command(figures.headline()), style="bold"))
    if not report.complete:
        console.print(Text("Interrupted: the figures cover what was read until then.", style="yellow"))
    for line in _totals(report, figures):
        console.print(Text(no_command(line)), soft_wrap=True)
    for title, table in (
        ("Cycles by cost", _cycles(report, figures)),
        ("Would have been halted", _halted(report, figures)),
        ("Agents", _spenders(report.by_agent, report, figures)),
        ("Models", _spenders(report.by_model, report, figures)),
        ("Edges", _spenders(report.by_edge, report, figures)),
        ("Detectors", _spenders(_named(report.by_detector), report, figures)),
        ("What was achieved for it", _outcomes(report, figures)),
        ("What if", _trials(report, figures)),
    ):
        if table is not None:
            console.print()
            console.print(Text(title, style="bold"))
            console.print(table)
    if report.cycles:
        _print_advice(console, report)
    for page in report.incidents[:incidents]:
        console.print()
        print_incident(console, page, figures)
    more = len(report.incidents) - incidents
    if more > 0:
        console.print(
            Text(
                f"\n{count_of(more, 'more page')}: --incidents {len(report.incidents)} prints them, "
                "--output report.html has them"
            )
        )
    console.print()
    for note in report.notes:
        console.print(Text(no_command(printable(note, limit=400)), style="dim"), soft_wrap=True)


def _totals(report: Report, figures: Figures) -> Iterable[str]:
    yield printable(report.reading, limit=2000)
    spend = report.spend
    tokens = f"{figures.tokens(spend)} tokens"
    money = figures.amount(spend) if figures.in_money else figures.priced(spend)
    yield f"spent    {tokens}, {money} ({printable(report.prices)})" if money else f"spent    {tokens}"
    if report.halted:
        until = figures.amount(report.in_loops), figures.amount(report.after_halt)
        yield f"in loops {until[0]}, of it after the halt {until[1]}"
    parts = report.coordination
    yield (
        f"for      agents talking {figures.share(parts.between_agents, spend)}, "
        f"tools {figures.share(parts.tools, spend)}, people and prompts {figures.share(parts.outside, spend)}"
    )
    ahead = report.forecast
    if ahead is not None:
        yield (
            f"30 days  {figures.value(ahead.spend.middle)} ({figures.value(ahead.spend.low)} to "
            f"{figures.value(ahead.spend.high)}) as it is, {figures.value(ahead.saved.middle)} "
            f"({figures.value(ahead.saved.low)} to {figures.value(ahead.saved.high)}) less with halts; "
            f"{percent(ahead.level)} intervals from {ahead.days} days"
        )
    else:
        yield f"30 days  no forecast: {report.no_forecast}"
    if report.unpriced and (report.spend.cost_usd or set(report.unpriced) != {NO_MODEL}):
        named = ", ".join(
            f"{printable(name, limit=60)} {short(tokens)}" for name, tokens in [*report.unpriced.items()][:5]
        )
        more = f" and {len(report.unpriced) - 5} more" if len(report.unpriced) > 5 else ""
        beside = ' ("tok" beside money)' if figures.in_money else ""
        yield f"unpriced {named}{more} tokens{beside}; give their prices in the policy's [prices.models]"


def _table(*columns: tuple[str, bool]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name, right in columns:
        table.add_column(name, justify="right" if right else "left", overflow="fold")
    return table


def _name(text: str, limit: int = 60) -> Text:
    return Text(no_command(printable(text, limit=limit)) if text else "(all others)")


def _cell(figures: Figures, amount: Amount) -> str:
    """An amount in a table, in short where money and tokens stand beside each other."""
    return figures.cell(amount) if figures.in_money else figures.amount(amount)


def _cycles(report: Report, figures: Figures) -> Table | None:
    if not report.cycles:
        return None
    table = _table(
        ("cycle", False), ("kind", False), ("runs", True), ("laps", True), ("in loops", True), ("share", True)
    )
    for cycle in report.cycles[:_ROWS]:
        table.add_row(
            _name(path_of(cycle.agents), 80),
            Text(f"{cycle.code} {cycle.title}"),
            f"{cycle.conversations:,}",
            f"{cycle.median_laps:g}" if cycle.median_laps else "",
            _cell(figures, cycle.in_loops),
            percent(cycle.share),
        )
    return table


def _halted(report: Report, figures: Figures) -> Table | None:
    if not report.conversations_halted:
        return None
    table = _table(("conversation", False), ("at", True), ("of", True), ("after it", True), ("why", False))
    for one in report.conversations_halted[:_ROWS]:
        table.add_row(
            _name(one.conversation_id),
            str(one.halted_at),
            f"{one.messages:,}",
            _cell(figures, one.after_halt),
            _name(one.sentence, 200),
        )
    more = report.halted - min(_ROWS, len(report.conversations_halted))
    if more > 0:
        table.add_row(Text(f"and {more:,} more", style="dim"), "", "", "", "")
    return table


def _spenders(rows: tuple[Spender, ...], report: Report, figures: Figures) -> Table | None:
    if not rows:
        return None
    table = _table(("", False), ("spent", True), ("share", True), ("in loops", True), ("saved by halts", True))
    for row in rows[:_ROWS]:
        table.add_row(
            _name(row.name),
            _cell(figures, row.spend),
            figures.share(row.spend, report.spend),
            figures.share(row.in_loops, row.spend),
            _cell(figures, row.after_halt) if row.after_halt.messages else "",
        )
    return table


def _named(rows: tuple[Spender, ...]) -> tuple[Spender, ...]:
    """The rows of detectors, each with what its code stands for."""
    return tuple(
        one.model_copy(update={"name": f"{one.name} {title_of(one.name)}"}) if one.name else one for one in rows
    )


def _outcomes(report: Report, figures: Figures) -> Table | None:
    if not report.outcomes:
        return None
    table = _table(("", False), ("finished", True), ("of", True), ("spent", True), ("for each finished", True))
    for one in report.outcomes[:_ROWS]:
        each = figures.each(one)
        table.add_row(
            _name(one.group),
            f"{one.finished:,}",
            f"{one.conversations:,}",
            _cell(figures, one.spend),
            _cell(figures, each) if each is not None else "none finished",
        )
    return table


def _trials(report: Report, figures: Figures) -> Table | None:
    if not report.trials:
        return None
    known = report.trials[0].halted_finished is not None
    columns = [("policy", False), ("halted", True), ("warned", True), ("saved", True)]
    table = _table(*columns, *([("of the halted, finished", True)] if known else []))
    for one in report.trials:
        finished = [str(one.halted_finished)] if known else []
        table.add_row(_name(one.name), f"{one.halted:,}", f"{one.warned:,}", _cell(figures, one.saved), *finished)
    return table


def _print_advice(console: Console, report: Report) -> None:
    cycle = report.cycles[0]
    console.print()
    console.print(Text("What to do about the first", style="bold"))
    console.print(Padding(Text(cycle.advice), (0, 0, 0, 2)))
    for line in cycle.snippet.splitlines():
        console.print(Text(f"    {line}", style="cyan"), soft_wrap=True)


def print_incident(console: Console, page: IncidentPage, figures: Figures) -> None:
    """Print one page: the sentence, each signal against its limit, and the laps side by side."""
    halted = page.halted
    console.print(Text(no_command(printable(halted.sentence, limit=400)), style="bold red"))
    console.print(
        Text(
            no_command(
                f"  {printable(halted.conversation_id)}: began at message {halted.began_at}, halted at "
                f"{halted.halted_at} of {halted.messages:,}; in the loop {figures.amount(halted.in_loop)}, "
                f"after the halt {figures.amount(halted.after_halt)}"
            )
        ),
        soft_wrap=True,
    )
    for signal in page.signals:
        full = min(20, round(10 * signal.share))
        bar = f"{'█' * full}{'·' * max(0, 10 - full)}"
        mark = "red" if signal.decided else "yellow" if signal.share >= 1 else ""
        console.print(
            Text.assemble(
                (f"  {bar:<20} ", mark),
                f"{signal.code} {signal.title}, {signal.value:,.1f} of {signal.limit:,.4g} {signal.unit}",
            ),
            soft_wrap=True,
        )
    if any(turn.pieces for lap in page.laps for turn in lap.turns):
        console.print()
        console.print(_laps(page, figures, console.width))
        legend = Text("  ")
        legend.append("said before", style=_SAID).append(" · everyday words · ").append("new", style=_NEW)
        console.print(legend)
    if page.after is not None:
        console.print(
            Text(
                no_command(
                    f"  After the halt came {count_of(page.after.amount.messages, 'message')}; "
                    f"{percent(page.after.new_words)} of their words were new."
                )
            )
        )


def _laps(page: IncidentPage, figures: Figures, width: int) -> Table:
    most = max(1, min(len(page.laps), (width - 2) // 26))
    laps = (
        page.laps
        if len(page.laps) <= most
        else (page.laps[0], *page.laps[-(most - 1) :])
        if most > 1
        else page.laps[-1:]
    )
    table = Table(box=None, pad_edge=False, header_style="bold", expand=True)
    for lap in laps:
        table.add_column(Text(_lap_title(lap, figures)), ratio=1, overflow="fold")
    for row in range(max(len(lap.turns) for lap in laps)):
        table.add_row(*(_turn(lap.turns[row]) if row < len(lap.turns) else Text("") for lap in laps))
    return table


def _lap_title(lap: Lap, figures: Figures) -> str:
    return f"Lap {lap.number} · {_cell(figures, lap.amount)} · {percent(1 - lap.news)} nothing new"


def _turn(turn: LapTurn) -> Text:
    text = Text(f"{printable(turn.sender, limit=24)}: ", style="bold")
    left = _MAX_CELL
    for piece in turn.pieces:
        shown = printable(" ".join(piece.text[:left].split()), limit=left)
        tail = " " if piece.text[-1:].isspace() else ""
        text.append(no_command(shown) + tail, style=_NEW if piece.new else _EVERYDAY if piece.everyday else _SAID)
        left -= len(shown)
        if left <= 0:
            break
    if turn.clipped or left <= 0:
        text.append("…")
    return text
