"""What a replay found, for the terminal.

Text of agents is escaped: it is never markup, never a control code, and, in the log of a CI job, never a command.
"""

from __future__ import annotations

import re
import textwrap
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from agentbreaker.printable import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from rich.console import Console

    from agentbreaker.errors import TranscriptError
    from agentbreaker.replay import ConversationReport, ReplayReport
    from agentbreaker.transcripts import ReadReport

__all__ = [
    "ReplayListing",
    "conversation_table",
    "count_of",
    "fold",
    "no_command",
    "print_incidents",
    "print_summary",
    "print_unreadable",
    "reading_of",
    "verdict_of",
]


_SHOWN_ERRORS = 5
_SHOWN_QUIET = 20
#: Rows of a table; more would not be read, and rich holds a table in memory.
_PAGE = 1000
_STYLES = {"halted": "bold red", "warned": "yellow", "quiet": "green"}


_COLONS = re.compile(":(?=:)")


def no_command(text: str) -> str:
    """Return text that a CI runner does not take for a command, wherever in a line it comes to stand.

    GitHub's runner obeys a line of the log that begins with ``::name::``, and ``##[name]`` anywhere in one.

    >>> no_command("::add-mask::x ##[error]")
    ': :add-mask: :x ## [error]'
    """
    return _COLONS.sub(": ", text).replace("##[", "## [")


def verdict_of(conversation: ConversationReport) -> str:
    """``halted``, ``warned`` or ``quiet``."""
    if conversation.halted_at is not None:
        return "halted"
    return "warned" if conversation.warned_at is not None else "quiet"


def _share(part: float, whole: float) -> str:
    if not whole:
        return "-"
    percent = 100 * part / whole
    return "<1 %" if 0 < percent < 0.5 else f"{percent:.0f} %"


class ReplayListing:
    """What a replay prints for people: the table, the evidence of the first halts, and the summary.

    It keeps what it will print, and no more: the first conversations, those with a finding up to a bound, and the
    evidence that was asked for.

    Args:
        console: Where to.
        show_all: List every conversation, page by page while they come; else many quiet ones are only counted.
        incidents: Halts that are explained in full.
        page: Called before a page is printed while more is being read.
    """

    def __init__(
        self,
        console: Console,
        *,
        show_all: bool = False,
        incidents: int = 3,
        page: Callable[[], object] = lambda: None,
    ) -> None:
        self._console = console
        self._all = show_all
        self._incidents = incidents
        self._page = page
        self._first: list[ConversationReport] = []
        self._found: list[ConversationReport] = []
        self._evidence: list[str] = []
        self._halts = self._quiet = self._count = 0

    def add(self, conversation: ConversationReport) -> None:
        """Take the next conversation."""
        self._count += 1
        if conversation.incident_text is not None:
            self._halts += 1
            if len(self._evidence) < self._incidents:
                self._evidence.append(conversation.incident_text)
        quiet = verdict_of(conversation) == "quiet"
        self._quiet += quiet
        row = conversation.model_copy(update={"incident": _laps_only(conversation), "incident_text": None})
        if self._all:
            self._first.append(row)
            if len(self._first) >= _PAGE:
                self._page()
                self._console.print(conversation_table(self._first))
                self._first.clear()
            return
        if self._count <= _SHOWN_QUIET:
            self._first.append(row)
        if not quiet and len(self._found) < _PAGE:
            self._found.append(row)

    def finish(self, totals: ReplayReport, read: ReadReport, *, files: int, note: str | None = None) -> None:
        """Print it.

        Args:
            totals: Of all conversations.
            read: What the reader saw.
            files: How many files could be read.
            note: What else has to be said of the figures.
        """
        console = self._console
        listed = self._first if self._all or self._count <= _SHOWN_QUIET else self._found
        if listed:
            console.print(conversation_table(listed))
        if listed is self._found:
            hidden = self._count - self._quiet - len(listed)
            if hidden:
                what = count_of(hidden, "more conversation")
                console.print(Text(f"{what} with a finding not listed; --all lists everything"))
            if self._quiet:
                console.print(Text(f"{count_of(self._quiet, 'quiet conversation')} not listed; --all lists everything"))
        for text in self._evidence:
            console.print()
            _print_lines(console, text.splitlines())
        more = self._halts - len(self._evidence)
        if more and self._incidents:
            them = "it too" if more == 1 else "them all"
            console.print(Text(f"\n{count_of(more, 'more halt')}: --incidents {self._halts} explains {them}"))
        if self._count:
            console.print()
        if note is not None:
            console.print(Text(note, style="bold yellow"), soft_wrap=True)
        print_summary(console, totals, read, files)


def _laps_only(conversation: ConversationReport) -> dict[str, Any] | None:
    """Of the evidence, what the table shows."""
    signals = (conversation.incident or {}).get("signals") or ()
    return {"signals": [{"laps": signals[0]["laps"]}]} if signals else None


def print_unreadable(console: Console, read: ReadReport, broken: Iterable[TranscriptError]) -> None:
    """Name what could not be read: the first lines, every file that broke off, and every `broken` one."""
    named = read.errors[:_SHOWN_ERRORS]
    if read.truncated:
        named += [error for error in read.errors[_SHOWN_ERRORS:] if "gzip" in error.reason]
    whole = list(map(str, broken))
    for line in [*(str(error) for error in named if str(error) not in whole), *whole]:
        console.print(Text(f"agentbreaker: {printable(line, limit=2000)}"), soft_wrap=True)
    more = read.skipped + read.truncated - len(named)
    if more > 0:
        console.print(Text(f"agentbreaker: {count_of(more, 'more line')} skipped"), soft_wrap=True)
    for path in read.strangers[:_SHOWN_ERRORS]:
        text = f"agentbreaker: {printable(path, limit=2000)}: passed over, of no format that is known"
        console.print(Text(text), soft_wrap=True)
    more = read.passed_over - len(read.strangers[:_SHOWN_ERRORS])
    if more > 0:
        console.print(Text(f"agentbreaker: {count_of(more, 'more file')} passed over"), soft_wrap=True)


def conversation_table(conversations: Iterable[ConversationReport]) -> Table:
    """One line per conversation: the verdict, where it fell, and what came after."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("verdict")
    table.add_column("conversation", overflow="fold")
    table.add_column("at", justify="right")
    table.add_column("of", justify="right")
    table.add_column("laps", justify="right")
    table.add_column("tokens", justify="right")
    table.add_column("after halt", justify="right")
    table.add_column("detector")
    for conversation in conversations:
        verdict = verdict_of(conversation)
        at = conversation.halted_at if verdict == "halted" else conversation.warned_at
        signals = (conversation.incident or {}).get("signals") or ()
        laps = signals[0]["laps"] if signals else 0
        table.add_row(
            Text(verdict, style=_STYLES[verdict]),
            Text(no_command(printable(conversation.conversation_id))),
            "" if at is None else str(at),
            str(conversation.messages),
            str(laps) if laps else "",
            f"{conversation.tokens:,}" if conversation.tokens else "-",
            _share(conversation.tokens_after_halt, conversation.tokens) if verdict == "halted" else "",
            conversation.detector or "",
        )
    return table


def print_incidents(console: Console, conversations: Iterable[ConversationReport], most: int) -> int:
    """Print the evidence of the first halts; return how many there were beyond `most`."""
    shown = more = 0
    for conversation in conversations:
        if conversation.incident_text is None:
            continue
        if shown >= most:
            more += 1
            continue
        shown += 1
        console.print()
        _print_lines(console, conversation.incident_text.splitlines())
    return more


def _print_lines(console: Console, lines: Iterable[str]) -> None:
    for number, line in enumerate(lines):
        console.print(Text(no_command(line), style="bold" if number == 0 else ""), soft_wrap=True)


def fold(lines: Iterable[str], width: int) -> Iterator[str]:
    """Yield the lines, those that are longer than `width` folded under their own indentation."""
    for line in lines:
        indent = line[: len(line) - len(line.lstrip())]
        yield from textwrap.wrap(line, width, subsequent_indent=indent) if len(line) > width else [line]


def print_summary(console: Console, totals: ReplayReport, read: ReadReport, files: int) -> None:
    """Print what was read and what the replay came to."""
    for line in _summary(totals, read, files):
        console.print(Text(line), soft_wrap=True)


def _summary(totals: ReplayReport, read: ReadReport, files: int) -> Iterator[str]:
    quiet = totals.conversations - totals.halted - totals.warned_only
    yield (
        f"{count_of(totals.conversations, 'conversation')}: {totals.halted:,} halted, {totals.warned_only:,} warned, "
        f"{quiet:,} quiet"
    )
    yield reading_of(read, max(0, files - read.passed_over))
    if totals.tokens:
        yield (
            f"{totals.tokens:,} tokens recorded, {totals.tokens_after_halt:,} "
            f"({_share(totals.tokens_after_halt, totals.tokens)}) of them after a halt"
        )
    if totals.cost_usd:
        yield (
            f"${totals.cost_usd:,.2f} recorded, ${totals.cost_usd_after_halt:,.2f} "
            f"({_share(totals.cost_usd_after_halt, totals.cost_usd)}) of it after a halt"
        )
    if totals.forgotten:
        yield (
            f"{count_of(totals.forgotten, 'conversation')} forgotten in between for want of room, so a loop may have "
            f"been missed: raise conversations.max_conversations"
        )
    if totals.halted:
        by = ", ".join(f"{code} {number}" for code, number in sorted(totals.detectors.items()))
        share = _share(totals.messages_after_halt, totals.messages)
        yield f"{count_of(totals.messages_after_halt, 'message')} ({share}) came after a halt; halted by {by}"


def reading_of(read: ReadReport, files: int | None = None) -> str:
    """``read 812 messages, 6 agents, 3 conversations as chat from 2 files, 4 rows skipped (4 role: missing)``."""
    read_as = sorted(read.formats.items(), key=lambda item: (-item[1], item[0]))
    formats = " and ".join(printable(name) for name, _ in read_as) or "nothing"
    source = "" if files is None else f" from {count_of(files, 'file')}"
    skipped = f", {count_of(read.skipped, 'row')} skipped{_why(read)}" if read.skipped else ""
    return (
        f"read {count_of(read.messages, 'message')}, {count_of(read.agents, 'agent')}, "
        f"{count_of(read.conversations, 'conversation')} as {formats}{source}{skipped}"
    )


def _why(read: ReadReport) -> str:
    reasons = sorted(read.reasons.items(), key=lambda item: (-item[1], item[0]))
    named = [f"{number:,} {printable(reason)}" for reason, number in reasons[:3]]
    more = len(reasons) - len(named)
    if more:
        named.append(f"{count_of(more, 'other reason')}")
    return f" ({', '.join(named)})" if named else ""


def count_of(number: int, what: str) -> str:
    """``1 line``, ``2,000 lines``."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"
