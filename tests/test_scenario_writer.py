"""What is expected of a recorded incident, and the files that say so."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from agentbreaker.anonymise import Anonymised, Ending
from agentbreaker.errors import ConfigError
from agentbreaker.message import Message
from agentbreaker.policy import Policy
from agentbreaker.scenario import SCENARIO, Expected, read_tables, scenarios_in
from agentbreaker.scenario_writer import Plan, check_name, name_for, plan_of, write_scenario

HALTED = Ending("AB201", 11, 10, 7)
QUIET = Ending(None, None, None, None)
LEGITIMATE = Plan(Expected.LEGITIMATE)


def talk(count: int = 30, content: str = "Very well.") -> list[Message]:
    """A conversation of two."""
    return [Message("c1", "ab"[i % 2], content=content) for i in range(count)]


def test_what_is_expected_is_what_happens() -> None:
    """A halt must come in its window and by its detector; a conversation without one must be left alone."""
    assert plan_of(talk(), HALTED, None, None) == Plan(Expected.RUNAWAY, "AB201", 7, 10, 17)
    assert plan_of(talk(14), HALTED, None, None).halt_by == 13
    assert plan_of(talk(), QUIET, None, None) == LEGITIMATE
    assert plan_of(talk(), HALTED, Expected.LEGITIMATE, None) == LEGITIMATE


def test_a_miss_needs_its_onset() -> None:
    """Of a runaway that was not halted only the user knows where it begins; then any detector may find it."""
    with pytest.raises(ConfigError, match="say with --onset N"):
        plan_of(talk(), QUIET, Expected.RUNAWAY, None)
    assert plan_of(talk(), QUIET, Expected.RUNAWAY, 5) == Plan(Expected.RUNAWAY, None, 5, 8, 26)
    assert plan_of(talk(), QUIET, None, 5).expected is Expected.RUNAWAY


@pytest.mark.parametrize(
    ("ending", "expected", "onset", "reason"),
    [
        (QUIET, Expected.LEGITIMATE, 3, "has no loop"),
        (HALTED, None, 12, "lies after the halt, at message 11"),
        (QUIET, Expected.RUNAWAY, 28, "leaves no room for a halt: it has 30 messages"),
    ],
)
def test_a_plan_that_cannot_be_is_refused(ending: Ending, expected: Expected | None, onset: int, reason: str) -> None:
    """The error says why."""
    with pytest.raises(ConfigError, match=reason):
        plan_of(talk(), ending, expected, onset)


@pytest.mark.parametrize(
    ("name", "reason"), [("", "no name"), ("../x", "no name"), ("a.b", "no name"), ("Harbour-1", "is a word of the")]
)
def test_a_name_neither_leads_away_nor_tells(name: str, reason: str) -> None:
    """A name is no path, and no word of the recording."""
    with pytest.raises(ConfigError, match=reason):
        check_name(name, talk(content="The harbour is closed."))
    check_name("run-1_b", talk(content="The harbour is closed."))


def test_a_name_of_our_own_tells_nothing() -> None:
    """It is made of the code and a number of the content, the same each time."""
    plan = Plan(Expected.RUNAWAY, "AB201", 7, 10, 17)
    assert name_for(talk(), plan) == name_for(talk(), plan) != name_for(talk(3), plan)
    assert name_for(talk(), plan).startswith("ab201-")
    assert name_for(talk(), LEGITIMATE).startswith("ok-")


def write(
    folder: Path, name: str, plan: Plan = LEGITIMATE, policy: Policy | None = None, *, force: bool = False
) -> str:
    """Write a scenario and return its table file."""
    made = Anonymised([Message(name, "a", content="x")], QUIET, 1)
    _, tables = write_scenario(folder, name, made, plan, policy or Policy(), force=force)
    return tables.read_text("utf-8")


def test_a_table_reads_back(tmp_path: Path) -> None:
    """Window, detector, language and the settings that differ from the defaults come back as they were."""
    policy = Policy(ladder={"halt": 6, "steer": "off"}, detectors={"disable": ["AB301"]}, budgets={"max_messages": 50})
    plan = Plan(Expected.RUNAWAY, "AB201", 7, 10, 17)
    made = Anonymised([Message("x", "甲", content="今天的天气很好。")], HALTED, 1)
    write_scenario(tmp_path, "x", made, plan, policy, force=False)
    (scenario,) = scenarios_in(tmp_path)
    expected = scenario.expectation("x")
    assert (expected.onset, expected.halt_from, expected.halt_by, expected.detector) == (7, 10, 17, "AB201")
    assert scenario.language == "zh"
    assert scenario.policy().settings == policy.settings
    assert write(tmp_path, "y").count("quiet = true") == 1


def test_other_tables_stay(tmp_path: Path) -> None:
    """A table is added above what a generator writes; with force one is replaced with all its parts, none without."""
    before = '# Mine.\n[old]\nstory = "S."\nquiet = true\n\n# Written by generate.py: below.\n\n[made]\nquiet = true\n'
    (tmp_path / SCENARIO).write_text(before)
    text = write(tmp_path, "new", policy=Policy(ladder={"halt": 6}))
    assert text.index("[old]") < text.index("[new]") < text.index("# Written by") < text.index("[made]")
    with pytest.raises(ConfigError, match="has a table new already; --force replaces it"):
        write(tmp_path, "new")
    text = write(tmp_path, "new", force=True)
    assert text.count("[new]") == 1
    assert "[new.policy" not in text
    assert set(tomllib.loads(text)) == {"old", "new", "made"}
    assert text.startswith("# Mine.\n")


def test_a_transcript_is_not_overwritten(tmp_path: Path) -> None:
    """A transcript of that name without a table is somebody's."""
    (tmp_path / "x.jsonl.gz").write_bytes(b"")
    with pytest.raises(ConfigError, match="exists already"):
        write(tmp_path, "x")
    write(tmp_path, "x", force=True)
    assert [path.name for path in sorted(tmp_path.iterdir())] == [SCENARIO, "x.jsonl"]


def test_what_cannot_be_taken_out_is_left(tmp_path: Path) -> None:
    """A table that is written in another way than ours is not torn apart."""
    (tmp_path / SCENARIO).write_text("x = {quiet = true}\n[y]\nquiet = true\n")
    with pytest.raises(ConfigError, match="take it out by hand"):
        write(tmp_path, "x", force=True)
    assert set(read_tables(str(tmp_path / SCENARIO))) == {"x", "y"}
