"""The laps side by side: a column each, the turns of one agent in one row, new words marked."""

from __future__ import annotations

import re

from agentbreaker.report.figures import Figures
from agentbreaker.report.html_laps import chosen_laps, laps_table, rows_of
from agentbreaker.report.html_parts import Page
from agentbreaker.waste.model import Lap, LapTurn, Piece
from tests.report import waste_reports

REPORT = waste_reports.report()


def table(laps: tuple[Lap, ...]) -> str:
    """The laps as a table."""
    drawn = laps_table(Page(REPORT, Figures(REPORT)), laps)
    assert drawn is not None
    return drawn


def lap(number: int, *speakers: str, text: str = "words") -> Lap:
    """A lap in which they spoke one after the other."""
    turns = tuple(
        LapTurn(
            index=10 * number + place,
            sender=speaker,
            recipient=None,
            kind="message",
            pieces=(Piece(text=text, new=False),) if text else (),
            clipped=False,
            tokens=5,
            estimated=True,
            cost_usd=0.0,
        )
        for place, speaker in enumerate(speakers)
    )
    return Lap(number=number, turns=turns, amount=waste_reports.amount(5 * len(turns)), same_as_before=None)


def test_new_words_are_marked_and_others_are_not() -> None:
    """What is new stands in `ins`, everyday words in `span`, and what was said before in neither."""
    text = table(waste_reports.english().laps)
    assert "<ins>Plan</ins> <ins>v3</ins> is ready: <ins>split</ins> the" in text
    assert "<span>Please</span> confirm." in text
    assert '<bdi class="words">Confirmed. I will proceed as soon as you confirm.</bdi>' in text.replace(
        " </bdi>", "</bdi>"
    )


def test_a_column_says_how_little_of_its_lap_is_new() -> None:
    """Each lap has its share of nothing new, its messages, tokens and money, and but for the first what it repeats."""
    text = table(waste_reports.english().laps)
    first, *others = re.findall(r'<th scope="col" role="columnheader"(?: class="gap")?>(.*?)</th>', text)
    assert "Lap 1" in first
    assert "82 % nothing new" in first
    assert "#17–18 · 2,524 tok · $0.0063" in first
    assert "same as the lap before" not in first
    assert [re.findall(r"(\d+ %) same as the lap before", other) for other in others] == [["90 %"], ["96 %"], ["99 %"]]


def test_laps_that_are_left_out_are_named() -> None:
    """Between lap 1 and lap 4 the reader is told that two are missing; neighbours are not interrupted."""
    text = table((lap(1, "a"), lap(4, "a"), lap(5, "a")))
    assert text.count("laps 2 to 3 are left out") == 1
    assert "left out" not in table((lap(1, "a"), lap(2, "a")))


def test_a_row_holds_the_same_turn_of_every_lap() -> None:
    """Turns are told apart by their speaker and by how often it had spoken; who was silent leaves a gap."""
    rows = rows_of([lap(1, "a", "b", "a"), lap(2, "a", "c"), lap(3, "b", "a")])
    assert [(sender, [turn.index if turn else None for turn in turns]) for sender, turns in rows] == [
        ("a", [10, 20, 31]),
        ("b", [11, None, 30]),
        ("a", [12, None, None]),
        ("c", [None, 21, None]),
    ]


def test_of_many_laps_the_first_and_the_latest_are_shown() -> None:
    """Five of nine: the first and the last four."""
    assert [one.number for one in chosen_laps([lap(n, "a") for n in range(1, 10)])] == [1, 6, 7, 8, 9]


def test_many_turns_are_cut_and_counted() -> None:
    """Of a mesh of 30 the first ten rows are shown."""
    text = table((lap(1, *map(str, range(30))), lap(2, *map(str, range(30)))))
    assert text.count('scope="row"') == 10
    assert "and 20 more turns in these laps" in text


def test_without_excerpts_the_figures_stay() -> None:
    """Where the policy keeps no words, the table says so, shows tokens, and claims nothing about news."""
    text = table((lap(1, "a", text=""), lap(2, "a", text="")))
    assert "No excerpts were kept" in text
    assert "≈5 tok" in text
    assert "nothing new" not in text


def test_no_laps_no_table() -> None:
    """A budget that ran out has no laps."""
    assert laps_table(Page(REPORT, Figures(REPORT)), ()) is None


def test_the_recipient_is_named_where_it_is_always_the_same() -> None:
    """The planner speaks to the reviewer in every lap; one who speaks to everyone has no arrow."""
    text = table(waste_reports.english().laps)
    assert '<th scope="row" role="rowheader"><span><bdi>planner</bdi> → <bdi>reviewer</bdi></span></th>' in text
    assert " → " not in table((lap(1, "a"),))


def test_long_words_are_cut() -> None:
    """A message of ten thousand letters takes no more room than its limit, and shows that there was more."""
    text = table((lap(1, "a", text="w" * 10_000),))
    assert len(text) < 4_000
    assert "…" in text
