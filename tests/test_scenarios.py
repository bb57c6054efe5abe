"""Every scenario ends as its table says: the gate that a change of detection has to pass."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from agentbreaker.replay import ConversationReport, read_sources, replay

SCENARIOS = Path(__file__).resolve().parents[1] / "scenarios"
FOLDERS = sorted(path for path in SCENARIOS.iterdir() if path.is_dir())


def tables(folder: Path) -> dict[str, Any]:
    """The expectations of a folder, by the name of the scenario."""
    return tomllib.loads((folder / "scenario.toml").read_text("utf-8"))


CASES = [(folder, name) for folder in FOLDERS for name in tables(folder)]


def outcome(folder: Path, name: str) -> ConversationReport:
    """Replay one scenario with the default policy."""
    reports = list(replay(read_sources([folder / f"{name}.jsonl"], strict=True)))
    assert len(reports) == 1, "a scenario is one conversation"
    return reports[0]


@pytest.mark.parametrize(("folder", "name"), CASES, ids=[f"{folder.name}/{name}" for folder, name in CASES])
def test_scenario_ends_as_expected(folder: Path, name: str) -> None:
    """A runaway is halted no earlier and no later than stated; what is legitimate is neither halted nor warned."""
    expected = tables(folder)[name]
    report = outcome(folder, name)
    if expected.get("quiet"):
        assert (report.halted_at, report.warned_at) == (None, None), report
        return
    assert report.halted_at is not None, "not halted"
    assert expected["halt_from"] <= report.halted_at <= expected["halt_by"], report
    assert expected.get("detector") in (None, report.detector)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_every_transcript_has_a_table_with_a_story(folder: Path) -> None:
    """No scenario without an expectation and a story, no expectation without a scenario, no unknown key."""
    expected = tables(folder)
    assert set(expected) == {path.stem for path in folder.glob("*.jsonl")}
    for table in expected.values():
        assert table["story"].strip()
        assert set(table) <= {"story", "quiet", "halt_from", "halt_by", "detector"}
        assert table.get("quiet") or table["halt_from"] <= table["halt_by"]
