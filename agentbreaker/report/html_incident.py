"""One halt as a part of the page: what happened, what it cost, the call graph, why, the laps, and what to do."""

from __future__ import annotations

from typing import Final

from agentbreaker.report.figures import percent, short
from agentbreaker.report.html_laps import laps_table
from agentbreaker.report.html_parts import Column, Page, advice, bar, disclosure, level, section, table, tiles
from agentbreaker.report.markup import Child, Markup, el, said
from agentbreaker.report.svg_graph import graph_svg
from agentbreaker.report.svg_line import duration, spending_svg
from agentbreaker.report.terminal import count_of
from agentbreaker.waste.model import IncidentPage, SignalBar

__all__ = ["incident_part"]

#: Signals are drawn on one scale, with the limit at the same place in each.
_MOST_SHARE: Final = 2.0
_MOST_EDGES: Final = 25
_OPEN: Final = 10


def incident_part(page: Page, incident: IncidentPage, number: int) -> Markup:
    """Return the part of the page for one halt.

    Args:
        page: What all parts share.
        incident: The halt.
        number: From 1; its anchor is ``#incident-<number>``.
    """
    halted = incident.halted
    name = page.new_id()
    evidence = [
        el(
            "div",
            _graph(page, incident, number),
            el("div", _why(page, incident), _to_do(page, incident), cls="stack"),
            cls="two",
        ),
        _laps(page, incident),
        el("div", _spending(page, incident, number), _ending(page, incident), cls="two"),
    ]
    return el(
        "article",
        el(
            "div",
            el("span", "Would be halted", cls="pill"),
            el("span", ["outcome: ", said(halted.outcome, 60)], cls="pill plain") if halted.outcome else None,
            el("h3", halted.sentence, id=name),
            el(
                "p",
                "Conversation ",
                said(halted.conversation_id),
                " from ",
                said(halted.source),
                cls="kicker",
            ),
            cls="card verdict",
        ),
        _figures(page, incident),
        evidence if number <= _OPEN else disclosure("The evidence", evidence),
        el("p", el("a", "Back to the conversations that would be halted", href="#halted"), cls="up"),
        id=f"incident-{number}",
        cls="incident",
        aria_labelledby=name,
    )


def _figures(page: Page, incident: IncidentPage) -> Markup:
    halted, figures = incident.halted, page.figures
    laps = incident.laps_made
    until = halted.halted_at - halted.began_at
    after = f", {percent(incident.after.new_words)} of its words new" if incident.after is not None else ""
    took = [count_of(laps, "lap") if laps else count_of(until, "message")]
    if incident.seconds is not None:
        took.append(duration(incident.seconds))
    left = halted.messages - halted.halted_at
    return tiles(
        [
            (
                "Spent in the loop",
                el("span", page.figure(halted.in_loop), cls="bad"),
                f"{figures.share(halted.in_loop, halted.spend)} of this conversation",
            ),
            (
                "A halt would have saved",
                page.figure(halted.after_halt),
                f"{count_of(left, 'message')} came after it{after}" if left else "the recording ends there",
            ),
            (
                "Detected after",
                ", ".join(took),
                f"began at message {halted.began_at:,}, halted at {halted.halted_at:,} of {halted.messages:,}",
            ),
            ("Detector", el("span", incident.title, cls="word"), f"{halted.code}, score {incident.score:.2f}"),
        ]
    )


def _graph(page: Page, incident: IncidentPage, number: int) -> Markup:
    drawing, agents, edges = graph_svg(incident, number)
    ring = sorted((node for node in incident.nodes if node.rank is not None), key=lambda node: node.rank or 0)
    missing = [count_of(agents, "agent")] * (agents > 0) + [count_of(edges, "edge")] * (edges > 0)
    name = page.new_id()
    heaviest = sorted(incident.edges, key=lambda edge: (-edge.tokens, -edge.messages))
    rows = [
        (
            [said(edge.sender, 60), " → ", said(edge.recipient, 60) if edge.recipient is not None else "everyone"],
            "yes" if edge.in_cycle else "",
            f"{edge.messages:,}",
            f"{edge.tokens:,}",
        )
        for edge in heaviest[:_MOST_EDGES]
    ]
    return section(
        page,
        "Who talked to whom, up to the halt",
        el("div", drawing, cls="scroll", role="region", tabindex="0", aria_labelledby=f"graph-{number}-title"),
        el("ol", [el("li", said(node.name, 60)) for node in ring], cls="ring", id=name) if len(ring) > 8 else None,
        el(
            "p",
            "Filled, in red: the cycle. The thicker a line, the more tokens."
            if ring
            else "The thicker a line, the more tokens.",
            f" Not drawn: {' and '.join(missing)}." if missing else None,
            cls="soft",
        ),
        disclosure(
            "The same as a table",
            table(
                page,
                f"The {count_of(len(rows), 'edge')} with the most tokens",
                (Column("Edge"), Column("In the cycle"), Column("Messages", True), Column("Tokens", True)),
                rows,
                cls="grid tight",
            ),
        )
        if rows
        else None,
        level=4,
    )


def _why(page: Page, incident: IncidentPage) -> Markup:
    return section(
        page,
        "Why: each signal against its limit",
        el("ul", [_signal(signal) for signal in incident.signals], cls="signals")
        if incident.signals
        else el("p", "No signals are on record.", cls="soft"),
        level=4,
    )


def _signal(signal: SignalBar) -> Markup:
    over = signal.share >= 1
    state = "decided" if signal.decided else "over its limit" if over else "below its limit"
    return el(
        "li",
        el(
            "div",
            el("span", el("strong", signal.title), f" {signal.code}", el("span", f", {state}", cls="soft")),
            el("span", f"{level(signal.value)} of {level(signal.limit)} {signal.unit}", cls="soft"),
            cls="what",
        ),
        bar(
            signal.share / _MOST_SHARE,
            "decided" if signal.decided else "over" if over else "",
            tick=1 / _MOST_SHARE,
        ),
    )


def _spending(page: Page, incident: IncidentPage, number: int) -> Markup | None:
    figures = page.figures
    in_money = figures.in_money and any(point.cost_usd for point in incident.spending)
    drawing = spending_svg(
        incident, number, figures.money if in_money else lambda value: f"{short(value)} tok", in_money
    )
    if drawing is None:
        return None
    return section(
        page,
        "What had been spent at each message",
        el("div", drawing, cls="scroll", role="region", tabindex="0", aria_labelledby=f"line-{number}-title"),
        el("p", "Shaded: the loop. Dashed: recorded after the halt, and what it would have saved.", cls="soft"),
        level=4,
    )


def _laps(page: Page, incident: IncidentPage) -> Markup | None:
    drawn = laps_table(page, incident.laps)
    return None if drawn is None else section(page, "The laps side by side", drawn, level=4)


def _to_do(page: Page, incident: IncidentPage) -> Markup | None:
    if not incident.advice and not incident.snippet:
        return None
    return section(page, "What to do about it", advice(incident.advice, incident.snippet), level=4)


def _ending(page: Page, incident: IncidentPage) -> Markup | None:
    """What the recording came to, and how to go on."""
    after = incident.after
    last: list[Child] = []
    if after is not None and after.last_text:
        last += [
            el("p", "The recording ends with ", said(after.last_speaker, 60), ":"),
            el("p", said(after.last_text, 400), cls="last"),
        ]
    if incident.resume:
        last.append(el("p", incident.resume))
    return section(page, "After the halt", last, level=4) if last else None
