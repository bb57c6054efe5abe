"""Tables before anybody has drawn them: on a terminal, and in Markdown."""

from __future__ import annotations

import io
import re

from rich.console import Console

from agentbreaker.report.grid import Grid, markdown_of_sections, plain_markdown, print_sections

HOSTILE = "\x1b[31mred\x1b[0m\nforged line\r[red]x[/red]\u202e|a|b|<b>**`_[x](y)"


def sections() -> list[Grid | str]:
    """A paragraph and a table with a hostile cell."""
    return ["Before.", Grid("Title *x*", ("name", ">n"), [(HOSTILE, "1"), ("b", "22")], {1}), "After."]


def test_a_terminal_gets_aligned_columns_and_no_control_code() -> None:
    """Numbers stand to the right; what is hostile is escaped and no markup of rich."""
    out = io.StringIO()
    print_sections(Console(file=out, width=120, highlight=False), sections())
    lines = out.getvalue().splitlines()
    assert lines[:4] == ["Before.", "", "Title *x*", lines[3]]
    assert lines[3].split() == ["name", "n"]
    assert len({len(line.rstrip()) for line in lines[3:6]}) == 1
    assert "[red]x[/red]" in out.getvalue()
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", out.getvalue())
    assert not any(line.startswith("forged") for line in lines)


def test_markdown_has_one_row_for_each_and_two_cells_in_each() -> None:
    """Nothing hostile ends a cell, a row or a paragraph; the marked row is strong."""
    text = markdown_of_sections("Report", sections())
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert text.startswith("# Report\n\nBefore.\n\n## Title \\*x\\*\n\n")
    assert rows[1] == "|---|---:|"
    assert rows[3] == "| **b** | **22** |"
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {3}


def test_plain_text_has_no_markup_left() -> None:
    """Each character that means something to Markdown is escaped."""
    assert plain_markdown("a|b <i> *x* [y](z)") == r"a\|b \<i\> \*x\* \[y\](z)"
