"""Tables and paragraphs of a report, drawn on a terminal or in Markdown.

Names come from outside and are made safe here: they are never markup and never a control code.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from agentbreaker.printable import printable

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["Grid", "markdown_of_sections", "plain_markdown", "print_sections"]


@dataclass(slots=True)
class Grid:
    """A table before anybody has drawn it.

    Attributes:
        title: What it shows.
        columns: Headings; one that begins with ``>`` stands over numbers.
        rows: Cells, as they were written by whoever named them.
        marked: Numbers of the rows that matter most.
    """

    title: str
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]] = field(default_factory=list)
    marked: set[int] = field(default_factory=set)


def print_sections(console: Console, sections: Iterable[Grid | str]) -> None:
    """Print tables, and paragraphs of one line each, for people."""
    after_table = False
    for section in sections:
        if isinstance(section, str):
            if after_table:
                console.print()
            console.print(Text(section), soft_wrap=True)
            after_table = False
            continue
        console.print()
        console.print(Text(section.title, style="bold"), soft_wrap=True)
        table = Table(box=None, pad_edge=False, header_style="bold", collapse_padding=True)
        for heading in section.columns:
            if heading.startswith(">"):
                table.add_column(heading[1:], justify="right", no_wrap=True)
            else:
                table.add_column(heading, overflow="fold", min_width=12)
        for number, row in enumerate(section.rows):
            style = "bold green" if number in section.marked else ""
            table.add_row(*(Text(printable(cell), style=style) for cell in row))
        console.print(table)
        after_table = True


def markdown_of_sections(title: str, sections: Iterable[Grid | str]) -> str:
    """Return tables and paragraphs in Markdown, below a title."""
    blocks = [f"# {title}"]
    for section in sections:
        if isinstance(section, str):
            blocks.append(plain_markdown(section))
            continue
        blocks.append(f"## {plain_markdown(section.title)}")
        lines = [
            "| " + " | ".join(plain_markdown(heading.removeprefix(">")) for heading in section.columns) + " |",
            "|" + "|".join("---:" if heading.startswith(">") else "---" for heading in section.columns) + "|",
        ]
        for number, row in enumerate(section.rows):
            cells = (plain_markdown(printable(cell)) for cell in row)
            strong = "**" if number in section.marked else ""
            lines.append("| " + " | ".join(f"{strong}{cell}{strong}" for cell in cells) + " |")
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks) + "\n"


# All that could end a cell, begin a link, a tag, an emphasis or code.
_MARKUP = re.compile(r"([\\`*_\[\]<>|~#&])")


def plain_markdown(text: str) -> str:
    """Return text that Markdown shows as it is."""
    return _MARKUP.sub(r"\\\1", text)
