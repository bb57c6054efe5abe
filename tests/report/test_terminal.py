"""What a replay found, as it looks on a terminal."""

from __future__ import annotations

import io
import re
from typing import Any, Literal

import pytest
from rich.console import Console

from agentbreaker.replay import ConversationReport, ReplayReport
from agentbreaker.report.terminal import (
    conversation_table,
    count_of,
    fold,
    print_incidents,
    print_summary,
    verdict_of,
)
from agentbreaker.transcripts import ReadReport

HOSTILE = "\x1b[31mred\x1b[0m\nforged line\r[red]x[/red]\u202egnp.exe\x9b2J\u2066"


def conversation(**facts: Any) -> ConversationReport:
    """A quiet conversation of ten messages, but for what is given."""
    defaults: dict[str, Any] = {
        "conversation_id": "c1",
        "source": "log.jsonl",
        "messages": 10,
        "agents": 2,
        "halted_at": None,
        "warned_at": None,
        "detector": None,
        "score": 0.0,
        "tokens": 0,
        "tokens_after_halt": 0,
        "cost_usd": 0.0,
        "cost_usd_after_halt": 0.0,
    }
    return ConversationReport(**defaults | facts)


HALTED = conversation(
    conversation_id="loop",
    messages=40,
    halted_at=9,
    warned_at=7,
    detector="AB201",
    score=0.8,
    tokens=4000,
    tokens_after_halt=3100,
    cost_usd=2.0,
    cost_usd_after_halt=1.55,
    incident={"signals": [{"code": "AB201", "laps": 3}, {"code": "AB401", "laps": 9}]},
    incident_text="Confirmation ping-pong: ann and bob\n  Why\n    AB201",
)
WARNED = conversation(conversation_id="brink", warned_at=4, detector="AB401", score=0.3)
QUIET = conversation(conversation_id="fine", tokens=1234)


def shown(*things: Any, width: int = 100, terminal: bool = False) -> str:
    """Print things the way the command line does."""
    file = io.StringIO()
    colours: Literal["standard"] | None = "standard" if terminal else None
    console = Console(file=file, width=width, highlight=False, force_terminal=terminal, color_system=colours)
    for thing in things:
        console.print(thing)
    return file.getvalue()


def rows(*conversations: ConversationReport, width: int = 100) -> list[list[str]]:
    """The cells of the table, without the header."""
    lines = shown(conversation_table(conversations), width=width).splitlines()[1:]
    return [re.split(r"\s{2,}", line.strip()) for line in lines]


def reading(messages: int, skipped: int = 0) -> ReadReport:
    """What was read of transcripts in our own format."""
    return ReadReport(messages=messages, skipped=skipped, formats={"agentbreaker": messages})


def summary(*conversations: ConversationReport, read: ReadReport | None = None, files: int = 1, **totals: Any) -> str:
    """The summary of a replay that found these conversations."""
    report = ReplayReport(**totals)
    for one in conversations:
        report.add(one)
    file = io.StringIO()
    print_summary(Console(file=file, width=40), report, read or reading(report.messages), files)
    return file.getvalue()


# ---------------------------------------------------------------------- the table


@pytest.mark.parametrize(("report", "verdict"), [(HALTED, "halted"), (WARNED, "warned"), (QUIET, "quiet")])
def test_a_verdict_is_the_worst_that_happened(report: ConversationReport, verdict: str) -> None:
    """A conversation that was warned and then halted is a halted one."""
    assert verdict_of(report) == verdict


def test_a_halted_conversation_tells_where_and_what_came_after() -> None:
    """Message of the halt, messages, laps of the deciding signal, tokens, share after the halt, detector."""
    assert rows(HALTED) == [["halted", "loop", "9", "40", "3", "4,000", "78 %", "AB201"]]


def test_a_warned_conversation_tells_where_but_has_nothing_after_a_halt() -> None:
    """The number is that of the first warning; unknown tokens are a dash, not a zero."""
    assert rows(WARNED) == [["warned", "brink", "4", "10", "-", "AB401"]]


def test_a_quiet_conversation_has_only_its_size() -> None:
    """No number where nothing happened."""
    assert rows(QUIET) == [["quiet", "fine", "10", "1,234"]]


def test_columns_line_up_under_their_headers() -> None:
    """Numbers are flush right, so that they can be compared by eye."""
    table = shown(conversation_table([HALTED, WARNED, QUIET])).splitlines()
    assert table[0].split() == ["verdict", "conversation", "at", "of", "laps", "tokens", "after", "halt", "detector"]
    end = table[0].index("tokens") + len("tokens")
    assert [line[:end].split()[-1] for line in table[1:]] == ["4,000", "-", "1,234"]
    assert len({len(line) for line in table}) == 1


def test_a_halt_without_evidence_shows_no_laps() -> None:
    """Beyond the halts that keep their evidence, the row still comes out."""
    bare = HALTED.model_copy(update={"incident": None})
    assert rows(bare) == [["halted", "loop", "9", "40", "4,000", "78 %", "AB201"]]


@pytest.mark.parametrize(
    ("after", "tokens", "share"),
    [(0, 0, "-"), (0, 1000, "0 %"), (1, 1000, "<1 %"), (5, 1000, "0 %|1 %"), (335, 1000, "34 %|33 %"), (7, 7, "100 %")],
)
def test_the_share_after_the_halt(after: int, tokens: int, share: str) -> None:
    """In whole percent of what is recorded; little is not nothing, and nothing on record is no share at all."""
    (row,) = rows(HALTED.model_copy(update={"tokens": tokens, "tokens_after_halt": after}))
    assert re.fullmatch(share, row[-2])


def test_a_narrow_terminal_folds_names_and_keeps_the_numbers() -> None:
    """A long id goes over several lines; nothing of it is lost, and no number is cut."""
    name = "conversation-" + "0123456789" * 6
    text = shown(conversation_table([HALTED.model_copy(update={"conversation_id": name})]), width=70)
    assert name in re.sub(r"\s", "", re.sub(r"halted|9 +40 +3 +4,000 +78 % +AB201", "", text))
    assert max(map(len, text.splitlines())) <= 70
    assert re.search(r"9 +40 +3 +4,000 +78 % +AB201", text)


def test_an_endless_name_is_cut() -> None:
    """A name of a hundred thousand characters does not push the findings off the screen."""
    text = shown(conversation_table([conversation(conversation_id="x" * 100_000)]))
    assert len(text.splitlines()) < 10
    assert "…" in text


def test_verdicts_have_a_colour_on_a_terminal_only() -> None:
    """Red, yellow, green; in a file nothing but text."""
    table = [HALTED, WARNED, QUIET]
    coloured = shown(conversation_table(table), terminal=True)
    assert re.findall(r"\x1b\[([\d;]+)m(halted|warned|quiet)", coloured) == [
        ("1;31", "halted"),
        ("33", "warned"),
        ("32", "quiet"),
    ]
    assert "\x1b" not in shown(conversation_table(table))


@pytest.mark.parametrize("terminal", [False, True])
def test_a_hostile_name_is_neither_markup_nor_control_code(terminal: bool) -> None:
    """Escaped on one row, whatever it is made of; a tag is shown as a tag."""
    plain = shown(conversation_table([conversation(conversation_id=HOSTILE)]), width=160, terminal=terminal)
    if terminal:
        plain = re.sub(r"\x1b\[[\d;]*m", "", plain)
        assert "\x1b[31mred" not in shown(conversation_table([conversation(conversation_id=HOSTILE)]), terminal=True)
    assert plain.count("\n") == 2
    assert r"\x1b[31mred\x1b[0m\nforged line\r[red]x[/red]\u202egnp.exe\x9b2J\u2066" in plain
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e\u2066]", plain)


# ---------------------------------------------------------------------- the evidence


def test_the_first_incidents_are_printed_and_the_others_counted() -> None:
    """As many as asked for, each after an empty line; the number of the rest is returned."""
    file = io.StringIO()
    console = Console(file=file, width=30, highlight=False)
    halts = [HALTED.model_copy(update={"incident_text": f"Halt {number}\n  Why"}) for number in range(5)]
    assert print_incidents(console, [QUIET, *halts[:2], WARNED, *halts[2:]], 2) == 3
    assert file.getvalue() == "\nHalt 0\n  Why\n\nHalt 1\n  Why\n"


def test_no_incidents_on_request() -> None:
    """With 0 nothing is printed, and all are counted."""
    file = io.StringIO()
    assert print_incidents(Console(file=file), [HALTED, HALTED, QUIET], 0) == 2
    assert file.getvalue() == ""


def test_evidence_is_not_markup() -> None:
    """What looks like a tag or an emoji code is printed as it is, and long lines are left to the terminal."""
    file = io.StringIO()
    text = "[bold]loud[/bold] :fire: " + "x" * 100
    print_incidents(Console(file=file, width=30), [HALTED.model_copy(update={"incident_text": text})], 1)
    assert file.getvalue() == f"\n{text}\n"


# ---------------------------------------------------------------------- the summary


def test_the_summary_of_halted_warned_and_quiet() -> None:
    """Totals, what was recorded, the shares after the halts, and who halted."""
    assert summary(HALTED, WARNED, QUIET, files=2).splitlines() == [
        "3 conversations: 1 halted, 1 warned, 1 quiet",
        "read 60 messages, 0 agents, 0 conversations as agentbreaker from 2 files",
        "5,234 tokens recorded, 3,100 (59 %) of them after a halt",
        "$2.00 recorded, $1.55 (78 %) of it after a halt",
        "31 messages (52 %) came after a halt; halted by AB201 1",
    ]


def test_the_summary_leaves_out_what_is_not_recorded() -> None:
    """No tokens and no money on record: no line about them; no halt: no line about it; one is one."""
    assert summary(conversation(messages=1)).splitlines() == [
        "1 conversation: 0 halted, 0 warned, 1 quiet",
        "read 1 message, 0 agents, 0 conversations as agentbreaker from 1 file",
    ]


def test_the_summary_counts_halts_by_detector() -> None:
    """In the order of the codes."""
    halts = [HALTED.model_copy(update={"detector": code}) for code in ("AB401", "AB201", "AB401", "AB101")]
    assert summary(*halts).endswith("halted by AB101 1, AB201 1, AB401 2\n")


def test_the_summary_counts_skipped_lines() -> None:
    """Lines that could not be read are part of the picture."""
    assert "as agentbreaker from 1 file, 1 row skipped\n" in summary(read=reading(5, skipped=1))
    assert "1,000 rows skipped\n" in summary(read=reading(5, skipped=1000))


def test_the_summary_owns_up_to_what_was_forgotten() -> None:
    """Conversations that lost their evidence for want of room are named with the setting that helps."""
    assert "3 conversations forgotten in between" in summary(QUIET, forgotten=3)
    assert "raise conversations.max_conversations" in summary(QUIET, forgotten=3)


# ---------------------------------------------------------------------- small things


@pytest.mark.parametrize(
    ("number", "what", "text"), [(0, "line", "0 lines"), (1, "line", "1 line"), (2000, "more halt", "2,000 more halts")]
)
def test_counting(number: int, what: str, text: str) -> None:
    """One is singular, and thousands have a comma."""
    assert count_of(number, what) == text


def test_folding_keeps_the_indentation() -> None:
    """A line that is too long goes on under its own beginning; the others, blank ones too, are left as they are."""
    lines = ["short", "", "  a line that is longer than that", "    x"]
    assert list(fold(lines, 16)) == ["short", "", "  a line that is", "  longer than", "  that", "    x"]
