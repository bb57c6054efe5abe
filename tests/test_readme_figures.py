"""README.md says of detection, rivals and cost what the stored results say, and these say what is in the repository."""

from __future__ import annotations

import importlib
import json
import re
import shutil
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from agentbreaker import __version__
from agentbreaker.scenario import scenarios_in

README = importlib.import_module("benchmarks.readme")
DETECTION = importlib.import_module("benchmarks.detection")
HOT_PATH = importlib.import_module("benchmarks.hot_path")
ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"


def stored(name: str) -> Any:
    """A stored result."""
    return json.loads((RESULTS / name).read_text("utf-8"))


def test_the_readme_says_what_the_results_say() -> None:
    """The block in README.md is the one that the command would write."""
    text = (ROOT / "README.md").read_text("utf-8")
    assert README.rewritten(text, README.block()) == text, "run python benchmarks/readme.py --write"


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("detection.json", lambda result: result["all"]["runaways"].update(in_window=1)),
        ("rivals.json", lambda result: result["rows"].pop()),
        ("hot_path.json", lambda result: [row.update(measured="99 µs against 1 µs") for row in result["rows"]]),
    ],
)
def test_a_changed_result_changes_the_block(name: str, change: Any, tmp_path: Path) -> None:
    """None of the three results can change without the README being out of date."""
    for file in ("detection.json", "rivals.json", "hot_path.json"):
        shutil.copy(RESULTS / file, tmp_path)
    assert README.block(tmp_path) == README.block()
    result = stored(name)
    change(result)
    (tmp_path / name).write_text(json.dumps(result), "utf-8")
    assert README.block(tmp_path) != README.block()


def test_a_missing_or_damaged_result_is_named(tmp_path: Path) -> None:
    """The error says which file cannot be used."""
    with pytest.raises(SystemExit, match=r"detection\.json: cannot be read"):
        README.block(tmp_path)
    (tmp_path / "detection.json").write_text("{", "utf-8")
    with pytest.raises(SystemExit, match=r"detection\.json: no JSON"):
        README.block(tmp_path)


@pytest.mark.parametrize("text", ["", "{begin}", "{end} {begin}", "{begin} {end} {begin}", "{begin} {end} {end}"])
def test_the_markers_must_be_there_once(text: str) -> None:
    """A README without the block, or with two, is an error and not rewritten."""
    with pytest.raises(SystemExit, match="needs the line"):
        README.rewritten(text.format(begin=README.BEGIN, end=README.END), "new")


def test_only_the_block_is_rewritten() -> None:
    """What stands around the block stays."""
    assert README.rewritten(f"a\n{README.BEGIN}\nold\n{README.END}\nb\n", "new") == "a\nnew\nb\n"


@pytest.mark.parametrize(("module", "name"), [(DETECTION, "detection"), (HOT_PATH, "hot_path")])
def test_the_pages_are_those_of_the_figures(module: Any, name: str) -> None:
    """A page of the results holds the figures of the JSON beside it."""
    assert (RESULTS / f"{name}.md").read_text("utf-8") == module.page(stored(f"{name}.json"))


def on_disk() -> tuple[Counter[str], Counter[str]]:
    """Conversations of the scenarios: runaways by code, legitimate ones by folder."""
    runaways, legitimate = Counter[str](), Counter[str]()
    for path in sorted((ROOT / "scenarios").glob("*/scenario.toml")):
        for scenario in scenarios_in(path.parent):
            for conversation_id in scenario.table.ids(scenario.name):
                if scenario.expectation(conversation_id).quiet:
                    legitimate[scenario.group] += 1
                else:
                    runaways[str(scenario.detector)] += 1
    return runaways, legitimate


def test_detection_counts_the_scenarios_on_disk() -> None:
    """The stored figures are about the scenarios that there are: as many, family by family."""
    runaways, legitimate = on_disk()
    result = stored("detection.json")
    assert result["agentbreaker"] == __version__
    assert {code: group["total"] for code, group in result["detectors"].items()} == runaways
    assert {name: group["total"] for name, group in result["legitimate"].items()} == legitimate
    assert result["conversations"] == runaways.total() + legitimate.total()
    assert not result["left_out"]


def test_detection_knows_the_known_misses() -> None:
    """What the stored figures call wrong is what the gate of the scenarios holds the engine to."""
    tables = tomllib.loads((ROOT / "scenarios" / "known-misses.toml").read_text("utf-8"))
    known = {name: outcome for table in tables.values() for name, outcome in table["conversations"].items()}
    assert {name.rpartition(": ")[2]: outcome for name, outcome in stored("detection.json")["wrong"].items()} == known


def test_rivals_are_measured_on_the_scenarios_on_disk() -> None:
    """Every row of the rivals counts the same conversations, and they are those on disk that are not left out."""
    runaways, legitimate = on_disk()
    result = stored("rivals.json")
    left_out = set(result["left_out"])
    codes = {re.split("-", name)[0] for name in left_out}
    expected = {code: count for code, count in runaways.items() if code not in codes}
    for row in result["rows"]:
        assert {name.partition("-")[0]: group["total"] for name, group in row["runaways"].items()} == expected
        counts = {name: group["total"] for name, group in row["legitimate"].items()}
        assert counts == {name: count for name, count in legitimate.items() if name not in left_out}
