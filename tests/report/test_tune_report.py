"""What a calibration found, as people read it."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

from rich.console import Console

from agentbreaker.config import Ladder
from agentbreaker.labels import Labels
from agentbreaker.message import Message
from agentbreaker.report.grid import Grid
from agentbreaker.report.tune_report import markdown_of, print_tune, sections_of
from agentbreaker.trails import Trail
from agentbreaker.tune import TuneReport, tune
from agentbreaker.verdict import Action, Decision, score_of

HOSTILE = "\x1b[31mred\x1b[0m\nforged line\r[red]x[/red]\u202e|a|b|<b>**`_[x](y)"
#: Ends a line or a reading direction, or acts on a terminal.
DANGEROUS = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def trail(*evidence: float, name: str, source: str = "log.jsonl") -> Trail:
    """A conversation with this evidence after each message."""
    made = Trail(name, source, len(evidence))
    for number, value in enumerate(evidence):
        decision = Decision(Action.WARN, "AB201", score_of(value)) if value else Decision(Action.ALLOW)
        made.add(number, Message(name, "a", "b", content="hello"), decision)
    return made


def labelled(path: Path, trails: list[Trail], roles: list[dict[str, Any]], **options: Any) -> TuneReport:
    """A report on labelled trails."""
    lines = [{"conversation_id": one.conversation_id} | role for one, role in zip(trails, roles, strict=True)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    return tune(trails, Labels(path), **options)


def sample(tmp_path: Path, **options: Any) -> TuneReport:
    """Two hundred legitimate conversations of two sources, and forty runaways of which ten begin late."""
    trails = [trail(0, 1 + number / 100, name=f"w{number}") for number in range(200)]
    trails.append(trail(0, 3.32, name="odd"))
    trails.append(trail(0, 6, name="odder"))
    roles: list[dict[str, Any]] = [{"role": "negative", "source": "desk" if n < 150 else "shop"} for n in range(202)]
    for number in range(30):
        trails.append(trail(0, 0, 0, 2, 3, 4, 5, 6, 7, name=f"loop-{number}"))
        roles.append({"role": "positive", "onset": 2, "family": "nag"})
    for number in range(10):
        trails.append(trail(3.6, 0, 0, 0, 5, 6, 7, name=f"slow-{number}"))
        roles.append({"role": "positive", "onset": 3, "family": "echo"})
    return labelled(tmp_path / "labels.jsonl", trails, roles, **options)


def shown(report: TuneReport, width: int = 100) -> str:
    """The report as printed on a terminal of this width, without colour."""
    stream = io.StringIO()
    print_tune(Console(file=stream, width=width, highlight=False), report)
    return stream.getvalue()


def rows(report: TuneReport, title: str) -> list[tuple[str, ...]]:
    """The rows of the table with this title, with its headings."""
    (grid,) = (part for part in sections_of(report) if isinstance(part, Grid) and part.title.startswith(title))
    return [grid.columns, *grid.rows]


def test_the_table_of_thresholds(tmp_path: Path) -> None:
    """One row per threshold with what it costs and buys; the chosen and the present one are marked."""
    heading, *table = rows(sample(tmp_path), "What each threshold does")
    assert heading == (">halt at", ">false halts", ">worst", ">run length", ">caught", ">early", ">delay", ">saved")
    by_threshold = {row[0]: row[1:] for row in table}
    assert by_threshold["* 3.35"] == ("1", "1.92 %", "404", "30/40", "10", "3 (3..3)", "44 %")
    assert by_threshold["+ 4"] == ("1", "1.92 %", "404", "40/40", "0", "3 (2..3)", "57 %")
    assert by_threshold["3.3"][:2] == ("2", "3.85 %")
    assert by_threshold["7"][:4] == ("0", "0 %", ">110", "40/40")


def test_the_choice_is_explained(tmp_path: Path) -> None:
    """Why nothing lower, how far up, where the present threshold lies, what follows for the ladder."""
    text = shown(sample(tmp_path))
    for line in (
        "202 legitimate conversations in 2 sources (404 messages), 40 runaways of 2 families",
        "Chosen: 3.35, the lowest threshold that halts at most 1 % of the conversations of every source, and of all "
        "together; where there are fewer than 100, at most one",
        "Lower is too low: a conversation of shop that would be one too many reaches 3.320; at 3.3, 2 of 52 (3.85 %, "
        "95 %: 1.06 to 13 %) would be halted",
        "Higher catches more: 40 at 3.65 and 30 at 3.35; 0 and 10 are halted before their loop begins",
        "The present threshold, 4, lies inside what is recommended",
        "Too few to be sure: 1 of 202 (0.5 %, 95 %: 0.09 to 2.75 %) halted, so the true rate may be 2.75 %; 1 % takes "
        "380 conversations or more without a false halt",
    ):
        assert line in text.splitlines(), line
    assert re.search(r"^Recommended: 3.35 to [\d.]+; above that a family is caught less often", text, re.M)
    # Four of 202 may be warned: the fifth highest evidence is 2.97.
    warned = r"2 of 202 \(.*\) legitimate conversations are warned, most in shop: 2 of 52 "
    assert re.search(rf"^Ladder: warn 3, steer 3, halt 3.35; {warned}", text, re.M)


def test_the_tables_of_the_choice_show_its_neighbours(tmp_path: Path) -> None:
    """Per source and per family: counts at the choice and beside it, then the rate with its interval."""
    report = sample(tmp_path)
    heading, desk, shop = rows(report, "False halts per source at 3.35 and its neighbours")
    assert heading == ("source", ">3.3", ">3.35", ">3.65", ">of", ">rate", ">95 %")
    assert desk == ("desk", "0", "0", "0", "150", "0 %", "0 to 2.5 %")
    assert shop == ("shop", "2", "1", "1", "52", "1.92 %", "0.34 to 10 %")
    heading, echo, nag = rows(report, "Runaways caught per family at 3.35 and its neighbours")
    assert heading == ("family", ">3.3", ">3.35", ">3.65", ">of", ">recall", ">95 %", ">early", ">delay", ">saved")
    assert echo == ("echo", "0", "0", "10", "10", "0 %", "0 to 28 %", "10", "-", "-")
    assert nag[:-1] == ("nag", "30", "30", "30", "30", "100 %", "89 to 100 %", "0", "3 (3..3)")


def test_what_is_got_wrong_is_listed(tmp_path: Path) -> None:
    """Five of each kind, and how many more there are."""
    report = sample(tmp_path)
    assert rows(report, "Legitimate")[1] == ("odder", "shop", "-", "1", "2", "6.00", "AB201")
    early = rows(report, "Runaways that are halted before")
    assert early[1] == ("slow-0", "echo", "3", "0", "7", "7.00", "AB201")
    assert len(early) == 6
    assert "and 5 more; --output-format json lists them all" in shown(report)
    assert "Runaways that are missed" not in shown(report)


def test_nothing_is_cut_on_a_narrow_terminal(tmp_path: Path) -> None:
    """Eighty columns hold every number; long names are folded."""
    wide, narrow = shown(sample(tmp_path), 200), shown(sample(tmp_path), 80)
    assert sorted(re.findall(r"[\d.]+", wide)) == sorted(re.findall(r"[\d.]+", narrow))
    assert "…" not in narrow


def test_many_sources_are_summed_up() -> None:
    """Beyond twelve sources only those with a false halt are listed, the worst first."""
    trails = [trail(1, name=f"w{number}", source=f"file-{number:02}") for number in range(200)]
    trails[7] = trail(9, name="w7", source="file-07")
    report = tune(trails, Labels())
    assert [row[0] for row in rows(report, "False halts per source")] == ["source", "file-07"]
    assert "199 more sources without a false halt" in shown(report)


def test_without_labels_the_reader_is_warned() -> None:
    """Everything counted as legitimate, so a runaway among them counts as a false halt."""
    text = shown(tune([trail(1, name="a")], Labels()))
    assert "Without --labels every conversation is taken as legitimate: only false halts can be told" in text
    assert "caught" not in text.split("Read what is halted")[1]
    assert "No conversation forbids a lower one, but below 2 there is no sequence to speak of" in text


def test_labels_that_do_not_fit_are_told(tmp_path: Path) -> None:
    """Conversations without a label, labels without a conversation, and those to be ignored are counted and named."""
    trails = [trail(1, name="a"), trail(1, name="b"), trail(1, name="c")]
    path = tmp_path / "labels.jsonl"
    lines = [{"conversation_id": "a", "role": "negative"}, {"conversation_id": "b", "role": "ignore"}]
    lines += [{"conversation_id": f"gone-{number}", "role": "ignore"} for number in range(7)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    text = shown(tune(trails, Labels(path)))
    assert ", 1 to be ignored\n" in text
    assert "1 conversation without a label: left out\n" in text
    assert "7 labels without a conversation: gone-0, gone-1, gone-2, gone-3, gone-4 and 2 more\n" in text


def test_no_choice_is_said_with_its_reason(tmp_path: Path) -> None:
    """Without legitimate conversations, and where every threshold halts too many."""
    only_loops = labelled(tmp_path / "labels.jsonl", [trail(9, name="a")], [{"role": "positive"}])
    assert "Nothing is chosen: there is no legitimate conversation" in shown(only_loops)
    assert re.search(r"\+ 4 +0 +- +>0 +1/1", shown(only_loops))
    too_bad = tune([trail(160, name="a"), trail(160, name="b")], Labels())
    assert "Nothing is chosen: no threshold up to 160 keeps false halts within 1 % everywhere" in shown(too_bad)
    elsewhere = tune([trail(1, name="run-3")], Labels(), split=True)
    assert "Nothing is chosen: there is no legitimate conversation on the half" in shown(elsewhere)


def test_a_split_shows_both_halves(tmp_path: Path) -> None:
    """The tables of both halves, and what the other half would have chosen."""
    report = sample(tmp_path, split=True)
    text = shown(report)
    assert report.halves is not None
    assert report.choice is not None
    at = f"at {report.choice.threshold:g}"
    assert f"False halts per source {at}, on the half that it was chosen on" in text
    assert f"False halts per source {at}, on the other half" in text
    assert f"Runaways caught per family {at}, on the other half" in text
    assert f"that half alone would have chosen {report.halves.other_choice:g}" in text


def test_a_warning_that_cannot_be_rare_is_owned_up_to(tmp_path: Path) -> None:
    """Where too many are warned below the halt, the report says so."""
    assert "Warning at most 0 % is not possible below 3.35" in shown(sample(tmp_path, max_warned=0.0))


def test_rungs_that_are_off_are_not_shown(tmp_path: Path) -> None:
    """A ladder of a halt alone has no warnings to count."""
    assert "Ladder: halt 3.35\n" in shown(sample(tmp_path, start=Ladder(warn=None, steer=None)))


def test_markdown_holds_the_same(tmp_path: Path) -> None:
    """Every table and sentence, as pipes and hashes."""
    report = sample(tmp_path)
    text = markdown_of(report)
    assert text.startswith("# Calibration of the halt threshold\n\n202 legitimate conversations")
    assert "| source | 3.3 | 3.35 | 3.65 | of | rate | 95 % |\n|---|---:|---:|---:|---:|---:|---:|\n" in text
    assert "| desk | 0 | 0 | 0 | 150 | 0 % | 0 to 2.5 % |" in text
    assert "| **\\* 3.35** | **1** |" in text
    tables = [part for part in sections_of(report) if isinstance(part, Grid)]
    assert text.count("\n## ") == len(tables)
    for grid in tables:
        for row in grid.rows:
            assert row[0].lstrip("* ") in text


def test_hostile_names_are_text(tmp_path: Path) -> None:
    """In ids, sources and families: no control code, no forged line, no markup, no cell of its own."""
    trails = [trail(9, name=HOSTILE + str(number)) for number in range(3)]
    roles: list[dict[str, Any]] = [
        {"role": "negative", "source": HOSTILE},
        {"role": "positive", "onset": 0, "family": HOSTILE},
        {"role": "negative", "source": "calm"},
    ]
    report = labelled(tmp_path / "labels.jsonl", trails, roles, max_false_halts=1.0)
    text, markdown = shown(report, 300), markdown_of(report)
    for output in (text, markdown):
        assert DANGEROUS.search(output) is None
        assert not [line for line in output.splitlines() if line.startswith("forged line")]
    assert "[red]x[/red]" in text
    assert "\\[red\\]x\\[/red\\]" in markdown
    assert "\\|a\\|b\\|\\<b\\>\\*\\*\\`\\_\\[x\\](y)" in markdown
    for line in markdown.splitlines():
        if line.startswith("|"):
            cells = re.split(r"(?<!\\)\|", line)
            assert len(cells) in {len(grid.columns) + 2 for grid in sections_of(report) if isinstance(grid, Grid)}
