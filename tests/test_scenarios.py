"""Every scenario ends as its table says: the gate that a change of detection has to pass."""

from __future__ import annotations

import importlib
import subprocess
import sys
import tomllib
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from agentbreaker.embedders.recorded import RecordedEmbedder
from agentbreaker.embedding import Meaning, reference_sentences, unit_vectors
from agentbreaker.replay import read_sources, replay
from agentbreaker.scenario import results, scenarios_in

SCENARIOS = Path(__file__).resolve().parents[1] / "scenarios"
FOLDERS = sorted(path.parent for path in SCENARIOS.glob("*/scenario.toml"))


def module(name: str) -> Any:
    """A module beside the scenarios."""
    if str(SCENARIOS) not in sys.path:
        sys.path.append(str(SCENARIOS))
    return importlib.import_module(name)


def tables(folder: Path) -> dict[str, Any]:
    """The expectations of a folder, by the name of the scenario."""
    return tomllib.loads((folder / "scenario.toml").read_text("utf-8"))


@cache
def known_misses() -> dict[str, dict[str, str]]:
    """What the engine does not get right yet: outcome and reason, by conversation."""
    return {
        conversation: {"outcome": outcome, "reason": table["reason"]}
        for table in tomllib.loads((SCENARIOS / "known-misses.toml").read_text("utf-8")).values()
        for conversation, outcome in table["conversations"].items()
    }


@cache
def outcomes(folder: Path) -> dict[str, tuple[str, Any, Any]]:
    """Replay a folder, each table with its policy or the default one: table, outcome and report by conversation."""
    return {
        result.conversation_id: (scenario.name, expected.outcome(result), result)
        for scenario, expected, result in results(folder)
    }


CASES = [
    (folder, conversation)
    for folder in FOLDERS
    for scenario in scenarios_in(folder)
    for conversation in scenario.table.ids(scenario.name)
]


@pytest.mark.parametrize(("folder", "conversation"), CASES, ids=[f"{folder.name}/{name}" for folder, name in CASES])
def test_conversation_ends_as_expected(folder: Path, conversation: str) -> None:
    """A runaway is halted no earlier and no later than stated; what is legitimate is neither halted nor warned."""
    _, outcome, report = outcomes(folder)[conversation]
    known = known_misses().get(conversation)
    if known is None:
        assert outcome == "ok", report
    else:
        assert outcome != "ok", "no longer a miss: take it out of known-misses.toml"
        assert outcome == known["outcome"], report


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_every_transcript_has_a_table_with_a_story(folder: Path) -> None:
    """No scenario without an expectation and a story, no expectation without a scenario, no unknown key."""
    expected = tables(folder)
    assert set(expected) == {path.name.split(".jsonl")[0] for path in folder.glob("*.jsonl*")}
    found = {(name, conversation) for conversation, (name, _, _) in outcomes(folder).items()}
    assert found == {
        (each.name, conversation) for each in scenarios_in(folder) for conversation in each.table.ids(each.name)
    }
    for table in expected.values():
        assert table["story"].strip()
        assert set(table) <= {
            "story",
            "quiet",
            "halt_from",
            "halt_by",
            "detector",
            "count",
            "conversations",
            "policy",
            "embedder",
        }
        for window in table.get("conversations", {}).values() or [table]:
            assert table.get("quiet") or window["halt_from"] <= window["halt_by"]


def test_known_misses_are_conversations_and_have_a_reason() -> None:
    """The list of misses names nothing that is not there, and says why."""
    assert set(known_misses()) <= {conversation for _, conversation in CASES}
    assert all(len(miss["reason"].split()) > 3 for miss in known_misses().values())


def test_there_are_enough_conversations_of_both_sorts() -> None:
    """At least sixty runaways and two hundred legitimate conversations, in English and in Chinese."""
    legitimate = sum(folder.name.startswith("legitimate") for folder, _ in CASES)
    assert legitimate >= 200
    assert len(CASES) - legitimate >= 60
    assert sum("-zh" in conversation for _, conversation in CASES) >= 130


def test_other_conversations_of_the_same_kinds_end_as_the_readme_says() -> None:
    """A fresh draw is another one, ends in the figures of the table, and halts nobody who works."""
    done = subprocess.run(
        [sys.executable, str(SCENARIOS / "generate.py"), "--draw", "fresh-2"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    total = next(line for line in done.stdout.splitlines() if line.startswith("all ")).split()
    count, ok, early, late, missed, _, false_halts, warned = (cell.replace(".", "0") for cell in total[1:9])
    assert (count, false_halts) == ("544", "0")
    row = f"| fresh-2 | {ok} | {early} | {late} | {missed} | {false_halts} | {warned} |"
    assert row in (SCENARIOS / "README.md").read_text("utf-8")


def test_generated_files_are_what_the_generator_writes() -> None:
    """The files are not edited by hand, and the generator gives the same bytes in every process."""
    done = subprocess.run(
        [sys.executable, str(SCENARIOS / "generate.py"), "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_a_recorded_embedder_understands_its_language(lang: str) -> None:
    """The vectors on file are good enough that the engine believes them, and a text that is not on file is an error."""
    embedder = RecordedEmbedder(SCENARIOS / module("_reworded").VECTORS[lang])
    meaning = Meaning(
        {
            script: tuple(unit_vectors(embedder.embed(side), len(side)) for side in pair)
            for script, pair in reference_sentences().items()
        }
    )
    assert {"en": "latin", "zh": "cjk"}[lang] in meaning.scripts
    with pytest.raises(KeyError, match="1 texts were not recorded"):
        embedder.embed(["Nobody has ever said this."])
    assert embedder.unknown == 1


def test_scenarios_of_the_second_stage_need_it() -> None:
    """Without the embedder, AB303 halts none of its own scenarios."""
    paths = sorted((SCENARIOS / "AB303-semantic-repeat").glob("*.jsonl*"))
    codes = [report.detector for report in replay(read_sources(paths)) if report.halted_at is not None]
    with_embedder = [report for _, _, report in outcomes(SCENARIOS / "AB303-semantic-repeat").values()]
    assert "AB303" not in codes
    assert sum(report.detector == "AB303" for report in with_embedder if report.halted_at is not None) > len(codes)


def test_a_budget_halts_on_the_message_that_passes_it() -> None:
    """Under its policy exactly there; under the default one the same conversations run to their end."""
    for folder in FOLDERS:
        if folder.name.startswith("AB60"):
            for _, outcome, report in outcomes(folder).values():
                assert (outcome, report.detector) == ("ok", folder.name[:5])
                assert report.messages - report.halted_at > 10
            free = list(replay(read_sources(sorted(folder.glob("*.jsonl*")))))
            assert [report.halted_at for report in free] == [None] * len(free)


def test_the_readme_tells_the_same_figures() -> None:
    """What the README says about the scenarios is what the gate holds: misses beside hits."""
    counts = Counter(miss["outcome"] for miss in known_misses().values())
    quiet = sum(
        scenario.table.quiet * len(scenario.table.ids(scenario.name))
        for folder in FOLDERS
        for scenario in scenarios_in(folder)
    )
    runaways = len(CASES) - quiet
    caught = runaways - counts["early"] - counts["late"] - counts["missed"]
    readme = " ".join((SCENARIOS.parent / "README.md").read_text("utf-8").split())
    assert f"Measured on the {len(CASES)} generated conversations" in readme
    assert (
        f"of {runaways} runaways, {caught} are halted within their window, {counts['early']} too early, "
        f"{counts['late']} too late and {counts['missed']} not at all; "
        f"of {quiet} legitimate conversations, {counts['false halt']} are halted and {counts['warned']} warned"
    ) in readme
