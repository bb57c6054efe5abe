"""The waste report as one HTML file that needs nothing else: no network, no script, no font, no image.

What agents wrote is text and nothing else (:mod:`.markup`); should that ever fail, the page's own security policy
allows its one style sheet, by its hash, and nothing more.
"""

from __future__ import annotations

from typing import Final

from agentbreaker.report.figures import Figures
from agentbreaker.report.html_incident import incident_part
from agentbreaker.report.html_outlook import (
    coordination_part,
    forecast_part,
    notes_part,
    outcomes_part,
    trials_part,
)
from agentbreaker.report.html_parts import Page
from agentbreaker.report.html_style import STYLE, STYLE_HASH
from agentbreaker.report.html_waste import (
    Anchors,
    cycles_part,
    flow_part,
    halted_part,
    spenders_part,
    summary_tiles,
)
from agentbreaker.report.markup import Child, Markup, el, said
from agentbreaker.waste.model import Report

__all__ = ["render_html"]

_POLICY: Final = f"default-src 'none'; style-src '{STYLE_HASH}'; base-uri 'none'; form-action 'none'"
_HEAD: Final = Markup(
    '<meta charset="utf-8">\n'
    f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
    '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
    '<meta name="color-scheme" content="light dark">\n'
    '<meta name="referrer" content="no-referrer">\n'
    '<meta name="robots" content="noindex">\n'
    "<title>Token waste report - agentbreaker</title>\n"
    f"<style>{STYLE}</style>"
)


def render_html(report: Report) -> str:
    """Return the report as one HTML page.

    Args:
        report: What to draw.
    """
    page = Page(report, Figures(report))
    anchors: Anchors = {
        (one.halted.source, one.halted.conversation_id): number for number, one in enumerate(report.incidents, 1)
    }
    body = el(
        "body",
        el("a", "To the report", href="#report", cls="skip"),
        _header(page),
        el(
            "main",
            summary_tiles(page),
            flow_part(page),
            cycles_part(page, anchors),
            halted_part(page, anchors),
            el("div", spenders_part(page), id="spenders"),
            el("div", coordination_part(page), forecast_part(page), cls="two"),
            outcomes_part(page),
            trials_part(page),
            el("div", notes_part(page), id="notes"),
            _incidents(page),
            id="report",
        ),
        el("footer", el("p", f"agentbreaker {report.version}, {report.made_at:%d %B %Y, %H:%M} UTC. {_KEPT}")),
    )
    return f'<!doctype html>\n<html lang="en">\n<head>\n{_HEAD}\n</head>\n{body}\n</html>\n'


_KEPT: Final = "Works without network and script; holds words of the recorded agents."


def _header(page: Page) -> Markup:
    report = page.report
    when: Child = None
    if report.first_at is not None and report.last_at is not None:
        first, last = f"{report.first_at:%d %b %Y}", f"{report.last_at:%d %b %Y}"
        when = f" · {first}" if first == last else f" · {first} to {last}"
    links = [
        el("li", el("a", text, href=place))
        for text, place, there in (
            ("Halted conversations", "#halted", report.conversations_halted),
            ("Who spent", "#spenders", True),
            ("How it was counted", "#notes", True),
            ("Incidents", "#incidents", report.incidents),
        )
        if there
    ]
    return el(
        "header",
        el(
            "p",
            f"Token waste report · {report.conversations:,} conversations, {report.messages:,} messages",
            when,
            " · policy ",
            said(report.policy) if report.policy is not None else "defaults",
            cls="kicker",
        ),
        el("h1", page.headline()),
        None
        if report.complete
        else el("p", el("strong", "Interrupted: "), "the figures cover what was read until then.", cls="alert"),
        el("nav", el("ul", links), aria_label="Parts of the report"),
    )


def _incidents(page: Page) -> Markup | None:
    report = page.report
    if not report.incidents:
        return None
    name = page.new_id()
    more = report.halted - len(report.incidents)
    return el(
        "section",
        el("h2", f"Incidents, the most expensive first ({len(report.incidents):,})", id=name),
        el("p", f"{more:,} more conversations would be halted; they have no part here.", cls="soft")
        if more > 0
        else None,
        [incident_part(page, incident, number) for number, incident in enumerate(report.incidents, 1)],
        id="incidents",
        cls="part",
        aria_labelledby=name,
    )
