"""The waste report as a file: JSON, JSON Lines, Markdown or one HTML page."""

from __future__ import annotations

import enum
import json
from collections.abc import Iterator
from pathlib import Path

from agentbreaker.errors import ConfigError
from agentbreaker.waste.model import Report

__all__ = ["ReportFormat", "format_of", "render"]


class ReportFormat(enum.StrEnum):
    """What a report can be."""

    TEXT = "text"
    JSON = "json"
    JSONL = "jsonl"
    MARKDOWN = "markdown"
    HTML = "html"


_SUFFIXES = {
    ".json": ReportFormat.JSON,
    ".jsonl": ReportFormat.JSONL,
    ".md": ReportFormat.MARKDOWN,
    ".markdown": ReportFormat.MARKDOWN,
    ".html": ReportFormat.HTML,
    ".htm": ReportFormat.HTML,
}


def format_of(path: Path) -> ReportFormat:
    """Tell from the name of a file what is to be written to it.

    Raises:
        ConfigError: The name does not tell.
    """
    found = _SUFFIXES.get(path.suffix.lower())
    if found is None:
        known = ", ".join(_SUFFIXES)
        raise ConfigError(f"--output {path}: the name must end in one of {known}", field="output")
    return found


def render(report: Report, form: ReportFormat) -> str:
    """Return the report as text.

    Args:
        report: The report.
        form: Not ``TEXT``, which is for terminals: :func:`~agentbreaker.report.waste_terminal.print_waste`.
    """
    match form:
        case ReportFormat.HTML:
            from agentbreaker.report.html import render_html

            return render_html(report)
        case ReportFormat.MARKDOWN:
            from agentbreaker.report.markdown import render_markdown

            return render_markdown(report)
        case ReportFormat.JSONL:
            return "".join(f"{line}\n" for line in _lines(report))
        case ReportFormat.JSON:
            return json.dumps(report.model_dump(mode="json"), ensure_ascii=True, indent=2) + "\n"
        case ReportFormat.TEXT:
            raise ValueError("text is printed, not rendered")


def _lines(report: Report) -> Iterator[str]:
    """One object a line, each with its kind under ``record``; the totals come first."""
    rows = {"conversations_halted", "cycles", "incidents", "by_agent", "by_model", "by_edge", "by_detector", "flows"}
    yield _line("report", report.model_dump(mode="json", exclude=rows))
    for record, listed in (
        ("cycle", report.cycles),
        ("halted", report.conversations_halted),
        ("agent", report.by_agent),
        ("model", report.by_model),
        ("edge", report.by_edge),
        ("detector", report.by_detector),
        ("flow", report.flows),
        ("incident", report.incidents),
    ):
        for one in listed:
            yield _line(record, one.model_dump(mode="json"))


def _line(record: str, facts: dict[str, object]) -> str:
    return json.dumps({"record": record} | facts, ensure_ascii=True, separators=(",", ":"))
