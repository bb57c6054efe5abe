"""What a check found, for people: on a terminal, and in Markdown for a pull request or a step summary.

Names of agents and ids of conversations are hostile.  On a terminal they are escaped; in Markdown they stand in code
spans, in which no markup, mention, reference or link is read.  What agents said is only shown on a terminal.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from agentbreaker.check import CheckReport, Finding, Kind
from agentbreaker.intervals import percent
from agentbreaker.printable import printable
from agentbreaker.report.terminal import count_of, no_command, print_incidents

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["check_markdown", "code_span", "print_check", "summary_of", "verdict_line"]

#: A step summary may have 1 MiB; this many rows stay far below it.
_MOST_ROWS = 500
_STYLES = {Kind.HALT: "bold red", Kind.WARNING: "yellow", Kind.WASTE: "bold red", Kind.COST: "bold red"}


def summary_of(report: CheckReport) -> Iterator[str]:
    """Yield what was checked, in lines without a word from outside."""
    totals = report.totals
    quiet = totals.conversations - totals.halted - totals.warned_only
    yield (
        f"{count_of(totals.conversations, 'conversation')}: {totals.halted:,} halted, {totals.warned_only:,} warned, "
        f"{quiet:,} quiet"
    )
    if totals.tokens:
        yield f"{totals.tokens:,} tokens, {report.wasted_tokens:,} of them ({percent(report.waste)}) wasted in loops"
    else:
        yield (
            f"{totals.messages:,} messages, {report.wasted_messages:,} of them ({percent(report.waste)}) wasted in "
            f"loops; tokens are not on record"
        )
    if totals.cost_usd:
        yield f"${totals.cost_usd:,.4f} spent"
    if report.unpriced_tokens:
        yield f"{report.unpriced_tokens:,} tokens have neither a recorded cost nor a list price"
    elif report.limits.max_cost_usd is not None and not totals.cost_usd:
        yield "no cost is on record, so its limit says nothing"
    if totals.forgotten:
        yield (
            f"{count_of(totals.forgotten, 'conversation')} forgotten in between for want of room, so a loop may have "
            f"been missed: raise conversations.max_conversations"
        )


def verdict_line(report: CheckReport) -> str:
    """Return ``passed`` or ``failed``, with the number of findings behind it."""
    failing = sum(finding.fails for finding in report.findings)
    return f"failed: {count_of(failing, 'finding')}" if failing else "passed"


def print_check(console: Console, report: CheckReport, incidents: int) -> None:
    """Print the findings, the evidence of the first halts, and the summary."""
    if report.findings:
        table = Table(box=None, pad_edge=False, header_style="bold")
        for heading in ("finding", "code", "conversation", "what"):
            table.add_column(heading, overflow="fold")
        for finding in report.findings:
            style = _STYLES[finding.kind] if finding.fails else ""
            table.add_row(
                Text(finding.kind, style=style),
                finding.code or "",
                Text(no_command(printable(finding.conversation_id or ""))),
                Text(no_command(finding.sentence)),
            )
        console.print(table)
        print_incidents(console, [one.report for one in report.conversations], incidents)
        console.print()
    for line in summary_of(report):
        console.print(Text(line), soft_wrap=True)
    console.print(Text(verdict_line(report), style="bold red" if report.failed else "bold green"), soft_wrap=True)


def check_markdown(report: CheckReport) -> str:
    """Return the findings and the summary in Markdown."""
    lines = [f"## agentbreaker check: {verdict_line(report)}", "", *(f"- {line}" for line in summary_of(report))]
    findings = report.findings
    if findings:
        lines += ["", "| finding | code | conversation | at | what |", "|---|---|---|---|---|"]
        lines += [_row(finding) for finding in findings[:_MOST_ROWS]]
        if len(findings) > _MOST_ROWS:
            lines += ["", f"and {len(findings) - _MOST_ROWS:,} more"]
    return "\n".join(lines) + "\n"


def _row(finding: Finding) -> str:
    kind = f"**{finding.kind}**" if finding.fails else finding.kind.value
    name = "" if finding.conversation_id is None else code_span(finding.conversation_id)
    place = "" if finding.source is None else code_span(f"{finding.source}:{finding.line}")
    return f"| {kind} | {finding.code or ''} | {name} | {place} | {code_span(finding.sentence, limit=400)} |"


_BACKTICKS = re.compile("`+")


def code_span(text: str, limit: int = 200) -> str:
    r"""Return text as a code span for a cell of a table: nothing in it is read as markup, and it cannot end the cell.

    >>> print(code_span("a|b"), code_span("@team `x` <b>"))
    `a\|b` ``@team `x` <b>``
    """
    shown = no_command(printable(text, limit=limit)).replace("|", "\\|")
    if not shown:
        return ""
    fence = "`" * (max(map(len, _BACKTICKS.findall(shown)), default=0) + 1)
    edge = " " if shown[0] in "` " or shown[-1] in "` " else ""
    return f"{fence}{edge}{shown}{edge}{fence}"
