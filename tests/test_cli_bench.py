"""``agentbreaker bench`` as a user meets it: what it prints, what it writes, and the exit code it leaves."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from tests.conftest import Cli
from tests.scenario_folders import quiet, runaway, save, scenario_set

DANGEROUS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")
HOSTILE = "\x1b[31mred\x1b[0m\nforged line\r[red]x[/red]\u202e|a|b|<b>**`_[x](y)"


def test_figures_are_printed_for_people(cli: Cli, tmp_path: Path) -> None:
    """Every group has its table, with counts and intervals; the exit code is 0."""
    scenario_set(tmp_path / "set")
    done = cli("bench", "set")
    assert done.code == 0, done.err
    for part in ("Runaways per detector", "Runaways per family", "per source", "Runaways per language", "AB201/thanks"):
        assert part in done.out
    assert re.search(r"AB201 +1/1 +21 to 100 % +0 +0", done.out)
    assert re.search(r"legitimate-work +0/2 +0 to 66 %", done.out)
    assert "3 conversations (" in done.out


def test_json_holds_every_figure(cli: Cli, tmp_path: Path) -> None:
    """One document: groups, intervals, each conversation."""
    scenario_set(tmp_path / "set")
    document = json.loads(cli("bench", "set", "--output-format", "json").out)
    recall = document["total"]["recall"]
    assert (recall["count"], recall["total"], round(recall["low"], 3), recall["high"]) == (1, 1, 0.207, 1.0)
    assert document["total"]["microseconds"] > 0
    assert [result["outcome"] for result in document["results"]] == ["ok"] * 3
    assert document["baseline"] is None


def test_markdown_has_tables(cli: Cli, tmp_path: Path) -> None:
    """It is one document of headings and tables."""
    scenario_set(tmp_path / "set")
    out = cli("bench", "set", "-f", "markdown").out
    assert out.startswith("# agentbreaker bench\n")
    assert "| detector | caught | 95 % | early | late | delay | saved | tokens | µs |" in out


def test_the_shipped_scenarios_are_the_default(cli: Cli) -> None:
    """Without a path the project's own are run, none is left out, and nobody who works is halted."""
    document = json.loads(cli("bench", "-f", "json").out)
    assert document["conversations"] > 500
    assert document["left_out"] == {}
    assert document["total"]["false_halts"]["count"] == 0
    assert {figures["name"] for figures in document["detectors"]} >= {"AB101", "AB201", "AB303", "AB604"}
    assert {"en", "zh"} <= {figures["name"] for figures in document["languages"]}


def test_a_baseline_fails_on_what_got_worse_and_names_it(cli: Cli, tmp_path: Path) -> None:
    """Written once, it holds; a policy that halts later or never makes the bench fail with the names."""
    scenario_set(tmp_path / "set")
    written = cli("bench", "set", "--baseline", "base.json", "--update-baseline")
    assert (written.code, "wrote base.json" in written.err) == (0, True)
    same = cli("bench", "set", "--baseline", "base.json")
    assert same.code == 0, same.err
    assert "Against the baseline: 0 worse, 0 better, 3 the same, 0 new" in same.out
    (tmp_path / "lame.toml").write_text('[ladder]\nhalt = "off"\nfinish = "off"\n')
    worse = cli("bench", "set", "--baseline", "base.json", "--policy", "lame.toml")
    assert worse.code == 1
    assert "1 conversation changed for the worse:\n  AB201-thanks/thanks-en: thanks-en" in worse.err
    assert "Worse than the baseline" in worse.out
    document = json.loads(cli("bench", "set", "--baseline", "base.json", "--policy", "lame.toml", "-f", "json").out)
    assert [change["now"]["outcome"] for change in document["baseline"]["worse"]] == ["missed"]
    cli("bench", "set", "--baseline", "base.json", "--policy", "lame.toml", "--update-baseline")
    assert cli("bench", "set", "--baseline", "base.json", "--policy", "lame.toml").code == 0
    assert cli("bench", "set", "--baseline", "base.json").code == 0, "better is no failure"


def test_a_scenario_that_is_gone_fails_too(cli: Cli, tmp_path: Path) -> None:
    """A folder that is not run any more is named like one that got worse."""
    scenario_set(tmp_path / "set")
    cli("bench", "set", "--baseline", "base.json", "--update-baseline")
    less = cli("bench", "set/legitimate-work", "--baseline", "base.json")
    assert (less.code, "AB201-thanks/thanks-en: thanks-en" in less.err) == (1, True)
    assert "not run" in less.out


def test_bad_input_is_told(cli: Cli, tmp_path: Path) -> None:
    """Usage and configuration exit with 2, what cannot be read with 3, and then no baseline is written."""
    scenario_set(tmp_path / "set")
    assert cli("bench", "set", "--update-baseline").code == 2
    missing = cli("bench", "set", "--baseline", "gone.json")
    assert (missing.code, "gone.json: no such baseline" in missing.err) == (2, True)
    assert cli("bench", "nowhere").code == 3
    save(tmp_path / "runs" / "good.jsonl", quiet("good"))
    (tmp_path / "runs" / "bad.jsonl").write_bytes(b"")
    broken = cli("bench", "runs", "--baseline", "base.json", "--update-baseline")
    assert (broken.code, (tmp_path / "base.json").exists()) == (3, False)
    assert "bad.jsonl: empty" in broken.err
    (tmp_path / "set" / "AB201-thanks" / "thanks-en.jsonl").write_text("{}\n")
    cut = cli("bench", "set")
    assert (cut.code, "thanks-en.jsonl:1: conversation_id: missing" in cut.err) == (3, True)


def test_left_out_scenarios_are_counted(cli: Cli, tmp_path: Path) -> None:
    """An embedder that is not there is said, with the scenario that needs it."""
    root = scenario_set(tmp_path / "set")
    table = root / "AB201-thanks" / "scenario.toml"
    table.write_text(table.read_text() + 'embedder = "gone.npz"\n')
    done = cli("bench", "set")
    assert "1 scenario left out:\n  AB201-thanks/thanks-en: its embedder cannot be loaded:" in done.out


def test_names_from_outside_are_neither_markup_nor_control_codes(cli: Cli, tmp_path: Path) -> None:
    """Ids, families and sources are hostile; what is printed cannot act on a terminal or make a cell."""
    save(tmp_path / "runs" / "runs.jsonl", runaway(HOSTILE), runaway(HOSTILE + "2"))
    labels: list[dict[str, Any]] = [
        {"conversation_id": HOSTILE, "role": "negative", "source": HOSTILE},
        {"conversation_id": HOSTILE + "2", "role": "positive", "onset": 38 - 5, "family": HOSTILE},
    ]
    save(tmp_path / "runs" / "labels.jsonl", labels)
    for arguments in ([], ["-f", "markdown"]):
        done = cli("bench", "runs", *arguments)
        assert done.code == 0
        assert not DANGEROUS.search(done.out + done.err)
        assert not any(line.startswith("forged line") for line in done.out.splitlines())
    assert "<b>" not in done.out.replace(r"\<b\>", "")
    rows = [line for line in done.out.splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} <= {6, 7, 10}
    assert json.loads(cli("bench", "runs", "-f", "json").out)["results"][0]["name"].endswith(HOSTILE)


def test_recordings_in_other_formats_are_benched(cli: Cli, tmp_path: Path) -> None:
    """With the options that replay has; scenarios beside them are still read in our own format."""
    scenario_set(tmp_path / "set")
    lines = [f'{line["conversation_id"]},{line["sender"]},"{line["content"]}"' for line in quiet("calm")]
    (tmp_path / "runs.csv").write_text("\n".join(["id,who,what", *lines]) + "\n")
    maps = ["--map", "conversation_id=id", "--map", "sender=who", "--map", "content=what"]
    done = cli("bench", "set", "runs.csv", "--format", "csv", *maps, "-f", "json")
    assert done.code == 0, done.err
    outcomes = {result["name"]: result["outcome"] for result in json.loads(done.out)["results"]}
    assert outcomes["runs.csv: calm"] == "ok"
    assert len(outcomes) == 4
    assert cli("bench", "runs.csv", "--format", "no-such").code == 2
