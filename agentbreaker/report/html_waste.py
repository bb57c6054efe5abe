"""The waste report as the first part of the page: what was spent, on what, and what a halt would have saved."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from agentbreaker.report.html_parts import (
    Column,
    Page,
    advice,
    cycle_of,
    disclosure,
    section,
    share_cell,
    table,
    tiles,
)
from agentbreaker.report.markup import Child, Markup, el, said
from agentbreaker.report.svg_sankey import kind_title, sankey_svg
from agentbreaker.report.terminal import count_of
from agentbreaker.waste.measure import weight_of
from agentbreaker.waste.model import Cycle, Halted, Spender

__all__ = ["Anchors", "cycles_part", "flow_part", "halted_part", "spenders_part", "summary_tiles"]

#: Number of the incident of a conversation, by its source and id.
Anchors = Mapping[tuple[str, str], int]

_FIRST_CYCLES: Final = 8
_FIRST_HALTED: Final = 15
_FIRST_SPENDERS: Final = 8
_MOST_FLOWS: Final = 60
_MOST_EXAMPLES: Final = 4


def summary_tiles(page: Page) -> Markup:
    """Return the five figures that a reader takes away."""
    report, figures = page.report, page.figures
    ahead = report.forecast
    items: list[tuple[str, Child, Child]] = [
        ("Spent", page.figure(report.spend), page.beside(report.spend)),
        (
            "In loops",
            el("span", page.figure(report.in_loops), cls="bad" if report.in_loops.messages else None),
            f"{figures.share(report.in_loops, report.spend)} of it, {page.beside(report.in_loops)}",
        ),
        (
            "Halts would have saved",
            el("span", page.figure(report.after_halt), cls="good" if report.after_halt.messages else None),
            f"{figures.share(report.after_halt, report.spend)} of what was spent",
        ),
        (
            "Conversations halted",
            f"{report.halted:,} of {report.conversations:,}",
            f"{report.warned:,} warned, {report.agents:,} agents",
        ),
    ]
    if ahead is not None:
        items.append(
            (
                "Next 30 days",
                [figures.value(ahead.spend.middle)],
                f"{figures.value(ahead.saved.middle)} less with halts "
                f"({figures.value(ahead.saved.low)} to {figures.value(ahead.saved.high)})",
            )
        )
    return tiles(items)


def flow_part(page: Page) -> Markup | None:
    """Return the ribbons from models through agents to purposes, and the same as a table."""
    report, figures = page.report, page.figures
    drawing = sankey_svg(report.flows, figures.in_money, page.cell)
    if drawing is None:
        return None
    flows = sorted(report.flows, key=lambda flow: weight_of(flow.amount, report.measure), reverse=True)
    rows = [
        (
            said(flow.agent) if flow.agent else "all others",
            said(flow.model) if flow.model else "no model on record",
            kind_title(flow.kind),
            page.cell(flow.amount),
        )
        for flow in flows[:_MOST_FLOWS]
    ]
    unit = "the money" if figures.in_money else "the tokens"
    return section(
        page,
        f"Where {unit} went: from model to agent to purpose",
        el("div", drawing, cls="scroll", role="region", tabindex="0", aria_labelledby="flow-title"),
        disclosure(
            "The same as a table",
            table(
                page,
                f"{count_of(len(rows), 'flow')}, the largest first",
                (Column("Agent"), Column("Model"), Column("Spent on"), Column("Amount", True)),
                rows,
                cls="grid tight",
            ),
        ),
    )


# ---------------------------------------------------------------------- cycles


def cycles_part(page: Page, anchors: Anchors) -> Markup | None:
    """Return the cycles by cost, each with what to do about it."""
    cycles = page.report.cycles
    if not cycles:
        return None
    by_name = {name: number for (_, name), number in reversed(list(anchors.items()))}
    items = [_cycle(page, cycle, by_name) for cycle in cycles]
    rest = items[_FIRST_CYCLES:]
    return section(
        page,
        "Cycles by cost, and what to do about each",
        el("ol", items[:_FIRST_CYCLES], cls="cycles"),
        disclosure(f"{count_of(len(rest), 'more cycle')}", el("ol", rest, cls="cycles")) if rest else None,
    )


def _cycle(page: Page, cycle: Cycle, by_name: Mapping[str, int]) -> Markup:
    laps = f", {cycle.median_laps:g} laps until the halt" if cycle.median_laps else ""
    examples = [
        el("a", said(name, 40), href=f"#incident-{by_name[name]}") if name in by_name else said(name, 40)
        for name in cycle.examples[:_MOST_EXAMPLES]
    ]
    return el(
        "li",
        el(
            "div",
            el("h3", cycle_of(cycle.agents)),
            el("p", f"{cycle.title} ({cycle.code}); {count_of(cycle.conversations, 'conversation')}{laps}", cls="soft"),
            el("p", "For example ", [[", " if number else "", one] for number, one in enumerate(examples)], cls="soft")
            if examples
            else None,
        ),
        el(
            "div",
            el("div", page.figure(cycle.in_loops), cls="sum"),
            el("p", f"of it {page.figure(cycle.after_halt)} after the halt", cls="soft"),
            el("div", share_cell(cycle.share, "loop"), el("span", "of what all loops cost", cls="soft")),
        ),
        advice(cycle.advice, cycle.snippet),
    )


# ---------------------------------------------------------------------- conversations


def halted_part(page: Page, anchors: Anchors) -> Markup | None:
    """Return the conversations that would have been halted."""
    listed = page.report.conversations_halted
    if not listed:
        return None
    known = any(one.outcome is not None for one in listed)
    first, rest = listed[:_FIRST_HALTED], listed[_FIRST_HALTED:]
    more = page.report.halted - len(listed)
    return el(
        "div",
        section(
            page,
            "Conversations that would be halted",
            _halted(page, first, anchors, known, f"The {len(first):,} with the most to save"),
            disclosure(
                f"{count_of(len(rest), 'more conversation')}",
                _halted(page, rest, anchors, known, f"The next {len(rest):,}"),
            )
            if rest
            else None,
            el("p", f"and {count_of(more, 'conversation')} not listed", cls="soft") if more > 0 else None,
        ),
        id="halted",
    )


def _halted(page: Page, listed: Sequence[Halted], anchors: Anchors, known: bool, caption: str) -> Markup:
    columns = [
        Column("Conversation"),
        Column("What happened", cls="text"),
        Column("Halted at", True),
        Column("of", True),
        Column("Spent", True),
        Column("Saved", True),
        *([Column("Outcome")] if known else []),
    ]

    def rows() -> Iterator[list[Child]]:
        for one in listed:
            number = anchors.get((one.source, one.conversation_id))
            name = said(one.conversation_id, 60)
            outcome: list[Child] = [said(one.outcome, 40) if one.outcome is not None else "not known"]
            yield [
                el("a", name, href=f"#incident-{number}") if number is not None else name,
                one.sentence,
                f"{one.halted_at:,}",
                f"{one.messages:,}",
                page.cell(one.spend),
                page.cell(one.after_halt),
                *(outcome if known else []),
            ]

    return table(page, caption, columns, rows(), cls="grid tight listed")


# ---------------------------------------------------------------------- who spent


def spenders_part(page: Page) -> Markup:
    """Return who spent: agents, models, edges, detectors."""
    report = page.report
    return el(
        "div",
        [
            _spenders(page, heading, rows, names_kind)
            for heading, rows, names_kind in (
                ("By agent", report.by_agent, False),
                ("By model", report.by_model, False),
                ("By edge", report.by_edge, False),
                ("By detector", report.by_detector, True),
            )
        ],
        cls="two",
    )


def _spenders(page: Page, heading: str, spenders: Sequence[Spender], detector: bool) -> Markup | None:
    if not spenders:
        return None
    first, rest = spenders[:_FIRST_SPENDERS], spenders[_FIRST_SPENDERS:]
    return section(
        page,
        heading,
        _spending(page, first, detector, f"{heading}, the most first"),
        disclosure(f"{len(rest):,} more", _spending(page, rest, detector, f"{heading}, the others")) if rest else None,
    )


def _spending(page: Page, spenders: Sequence[Spender], detector: bool, caption: str) -> Markup:
    report, figures = page.report, page.figures
    rows = [
        (
            [f"{kind_title(one.name)} ", el("span", said(one.name, 20), cls="soft")]
            if detector and one.name
            else said(one.name, 60)
            if one.name
            else "all others",
            page.cell(one.spend),
            page.share_cell(one.spend, report.spend, "work"),
            figures.share(one.in_loops, one.spend),
            page.cell(one.after_halt) if one.after_halt.messages else "–",
        )
        for one in spenders
    ]
    columns = (
        Column("Who" if not detector else "Detector"),
        Column("Spent", True),
        Column("of all"),
        Column("in loops", True),
        Column("saved", True),
    )
    return table(page, el("span", caption, cls="vh"), columns, rows, cls="grid tight")
