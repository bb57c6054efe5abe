"""Scenarios: what a table says, and how a replay is judged by it."""

from __future__ import annotations

from pathlib import Path

import pytest

import agentbreaker.scenario
from agentbreaker.errors import ConfigError, TranscriptError
from agentbreaker.replay import ConversationReport
from agentbreaker.scenario import Expectation, Outcome, Table, read_tables, results, scenarios_in, shipped
from tests.scenario_folders import quiet, runaway, save, scenario_set


def ended(halted: int | None = None, warned: int | None = None, detector: str | None = None) -> ConversationReport:
    """The report of a replay that ended like this."""
    zeros = {"score": 0.0, "tokens": 0, "tokens_after_halt": 0, "cost_usd": 0.0, "cost_usd_after_halt": 0.0}
    return ConversationReport(
        conversation_id="c",
        source="s",
        messages=40,
        agents=2,
        halted_at=halted,
        warned_at=warned,
        detector=detector,
        **zeros,
    )


@pytest.mark.parametrize(
    ("expected", "report", "outcome"),
    [
        (Expectation(quiet=True), ended(), Outcome.OK),
        (Expectation(quiet=True), ended(warned=3), Outcome.WARNED),
        (Expectation(quiet=True), ended(halted=5, warned=3), Outcome.FALSE_HALT),
        (Expectation(False, 8, 12), ended(), Outcome.MISSED),
        (Expectation(False, 8, 12), ended(warned=9), Outcome.MISSED),
        (Expectation(False, 8, 12), ended(halted=7), Outcome.EARLY),
        (Expectation(False, 8, 12), ended(halted=8), Outcome.OK),
        (Expectation(False, 8, 12), ended(halted=12), Outcome.OK),
        (Expectation(False, 8, 12), ended(halted=13), Outcome.LATE),
        (Expectation(False, 8, None), ended(halted=39), Outcome.OK),
        (Expectation(False, 8, 12, detector="AB101"), ended(halted=9, detector="AB101"), Outcome.OK),
        (Expectation(False, 8, 12, detector="AB101"), ended(halted=9, detector="AB201"), Outcome.OTHER_DETECTOR),
        (Expectation(False, 8, 12, detector="AB101"), ended(halted=13, detector="AB201"), Outcome.LATE),
    ],
)
def test_an_outcome_is_told(expected: Expectation, report: ConversationReport, outcome: Outcome) -> None:
    """Every way to end has its own name, and the window counts before the detector."""
    assert expected.outcome(report) is outcome


def test_what_a_scenario_knows_of_itself(tmp_path: Path) -> None:
    """Detector and language come from folder and name, unless the table says otherwise."""
    folder = tmp_path / "AB201-thanks"
    for name in ("many-thanks-zh", "other", "told"):
        save(folder / f"{name}.jsonl", runaway(name))
    text = '[many-thanks-zh]\nonset = 5\n[other]\nonset = 5\n[told]\nonset = 5\nlanguage = "de"\ndetector = "AB101"\n'
    (folder / "scenario.toml").write_text(text, "utf-8")
    found = {each.name: (each.group, each.kind, each.language, each.detector) for each in scenarios_in(folder)}
    assert found == {
        "many-thanks-zh": ("AB201-thanks", "many-thanks", "zh", "AB201"),
        "other": ("AB201-thanks", "other", None, "AB201"),
        "told": ("AB201-thanks", "told", "de", "AB101"),
    }


def test_a_folder_is_replayed_with_its_own_policy(tmp_path: Path) -> None:
    """A cap of the scenario's own halts what the default policy leaves alone."""
    folder = tmp_path / "AB601"
    save(folder / "capped.jsonl", quiet("capped"))
    text = "[capped]\nhalt_from = 3\nhalt_by = 3\n[capped.policy.budgets]\nmax_messages = 3\n"
    (folder / "scenario.toml").write_text(text, "utf-8")
    [(scenario, expected, report)] = results(folder)
    assert (scenario.name, expected.outcome(report), report.detector) == ("capped", Outcome.OK, "AB601")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[loop]\nhalt_from = 9\nhalt_by = 3", "loop.halt_by: 3 lies before halt_from, 9"),
        ('[loop]\nquiet = true\nlanguage = "english"', "loop.language: String should match"),
        ('[loop]\nquiet = true\nembedder = "../../x.npz"', "loop.embedder: String should match"),
        ('[loop]\nstory = "x"', "loop.halt_from: missing; a scenario is quiet, or says"),
    ],
)
def test_a_table_that_cannot_be_used_is_named(tmp_path: Path, text: str, reason: str) -> None:
    """The error names file and field."""
    path = tmp_path / "scenario.toml"
    path.write_text(text, "utf-8")
    with pytest.raises(TranscriptError, match=reason) as caught:
        [table.expectation(name, name, str(path)) for name, table in read_tables(str(path)).items()]
    assert str(caught.value).startswith(str(path))


def test_a_table_without_a_transcript_is_an_error(tmp_path: Path) -> None:
    """What is not there is not silently left out."""
    scenario_set(tmp_path)
    (tmp_path / "legitimate-work" / "work-en.jsonl.gz").unlink()
    with pytest.raises(TranscriptError, match=r"work-en: there is no work-en.jsonl or work-en.jsonl.gz beside it"):
        list(scenarios_in(tmp_path / "legitimate-work"))


def test_the_scenarios_come_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are found in the checkout, and inside the package before that; without them that is said."""
    assert len(list(shipped().glob("*/scenario.toml"))) > 40
    module = tmp_path / "site" / "agentbreaker" / "scenario.py"
    monkeypatch.setattr(agentbreaker.scenario, "__file__", str(module))
    with pytest.raises(ConfigError, match="came without the scenarios"):
        shipped()
    inside = scenario_set(module.parent / "_scenarios")
    assert shipped() == inside


def test_ids_are_numbered_where_there_are_many() -> None:
    """One conversation is called like its table, of many each has a number."""
    assert Table().ids("loop") == ["loop"]
    assert Table(count=2).ids("loop") == ["loop-1", "loop-2"]
