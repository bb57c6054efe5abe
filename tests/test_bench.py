"""The bench: what is run, by what it is judged, and what is measured."""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from agentbreaker.bench import Bench, BenchPlan, run_bench
from agentbreaker.demo import thanks
from agentbreaker.errors import TranscriptError
from agentbreaker.message import Message
from agentbreaker.replay import read_sources
from agentbreaker.scenario import SCENARIO, Outcome
from tests.scenario_folders import quiet, runaway, save, scenario_set, talk


def read(name: str, strict: bool) -> Iterable[tuple[str, Message]]:
    """Read one transcript."""
    return read_sources([name], strict=strict)


def bench_of(*paths: Path, labels: Path | None = None) -> Bench:
    """Run everything that the paths mean."""
    return run_bench(BenchPlan.of([str(path) for path in paths], labels), read)


def test_scenarios_are_judged_by_their_tables(tmp_path: Path) -> None:
    """Each conversation with its name, what it is, and how it ended; what is measured is there."""
    bench = bench_of(scenario_set(tmp_path / "set"))
    assert [(one.name, one.runaway, one.group, one.language, one.outcome) for one in bench.judged] == [
        ("AB201-thanks/thanks-en: thanks-en", True, "AB201/thanks", "en", Outcome.OK),
        ("legitimate-work/work-en: work-en-1", False, "legitimate-work", "en", Outcome.OK),
        ("legitimate-work/work-en: work-en-2", False, "legitimate-work", "en", Outcome.OK),
    ]
    loop = bench.judged[0]
    assert loop.halted_at is not None
    assert (loop.delay, loop.judged) == (loop.halted_at - 5, loop.halted_at + 1)
    assert loop.seconds > 0
    lengths = [len(line["content"]) for line in runaway("x")]
    # For each message all before it are sent again; what comes after the halted one is saved.
    resent = [sum(lengths[:number]) for number in range(len(lengths))]
    assert loop.resent == sum(resent)
    assert loop.resent_after_halt == sum(resent[loop.halted_at + 1 :])


def test_a_labelled_corpus_is_found_by_itself(tmp_path: Path) -> None:
    """A labels.jsonl beside the transcripts is no transcript, and says what is what."""
    save(tmp_path / "runs.jsonl.gz", runaway("bad"), quiet("good"), quiet("odd"), quiet("unknown"))
    labels: list[dict[str, Any]] = [
        {"conversation_id": "bad", "role": "positive", "onset": 5, "family": "thanks", "correct": True},
        {"conversation_id": "good", "role": "negative", "source": "support", "reward": 0.0},
        {"conversation_id": "odd", "role": "ignore"},
        {"conversation_id": "gone", "role": "negative"},
    ]
    save(tmp_path / "labels.jsonl", labels)
    bench = bench_of(tmp_path)
    found = [(one.group, one.runaway, one.outcome, one.succeeded, one.language) for one in bench.judged]
    assert found == [
        ("thanks", True, Outcome.OK, True, "latin"),
        ("support", False, Outcome.OK, False, "latin"),
    ]
    assert (bench.ignored, bench.unlabelled, bench.assumed, bench.unmet) == (1, 1, 0, ["gone"])


def test_a_halt_before_the_onset_is_early(tmp_path: Path) -> None:
    """Two messages before it are tolerated, as two readers differ by as much."""
    save(tmp_path / "runs.jsonl", runaway("bad"))
    at = bench_of(save(tmp_path / "runs.jsonl", runaway("bad"))).judged[0].halted_at
    assert at is not None
    for onset, outcome in ((at + 2, Outcome.OK), (at + 3, Outcome.EARLY)):
        save(tmp_path / "labels.jsonl", [{"conversation_id": "bad", "role": "positive", "onset": onset}])
        assert bench_of(tmp_path / "runs.jsonl").judged[0].outcome is outcome


def test_without_labels_everything_is_legitimate(tmp_path: Path) -> None:
    """So a runaway of one's own counts as a false halt, and it is told that nobody has labelled it."""
    bench = bench_of(save(tmp_path / "runs.jsonl", runaway("bad"), quiet("good")))
    assert [one.outcome for one in bench.judged] == [Outcome.FALSE_HALT, Outcome.OK]
    assert bench.assumed == 2


def test_given_labels_come_first(tmp_path: Path) -> None:
    """A labels file that is named is used instead of the one beside the transcripts."""
    save(tmp_path / "runs.jsonl", runaway("bad"))
    save(tmp_path / "labels.jsonl", [{"conversation_id": "bad", "role": "ignore"}])
    given = save(tmp_path / "mine" / "x.jsonl", [{"conversation_id": "bad", "role": "positive", "family": "mine"}])
    assert [one.group for one in bench_of(tmp_path / "runs.jsonl", labels=given).judged] == ["mine"]


def test_scripts_are_told_apart(tmp_path: Path) -> None:
    """Where nobody has said the language, the letters tell the script."""
    texts = {"cjk": "导入计划已经完成，请检查。", "latin": "The plan is done.", "other": "План готов, проверьте."}
    save(tmp_path / "runs.jsonl", *(talk(name, [text]) for name, text in texts.items()))
    for line in (lines := [json.loads(line) for line in (tmp_path / "runs.jsonl").read_text().splitlines()]):
        line["content"] = texts[line["conversation_id"]]
    save(tmp_path / "runs.jsonl", lines, [{"conversation_id": "none", "sender": "a", "content": "123"}])
    found = {one.name.split(": ")[1]: one.language for one in bench_of(tmp_path / "runs.jsonl").judged}
    assert found == {"cjk": "cjk", "latin": "latin", "other": "other", "none": "other"}


def test_an_embedder_that_cannot_be_loaded_leaves_its_scenario_out(tmp_path: Path) -> None:
    """It is named and counted, and the others are run."""
    root = scenario_set(tmp_path / "set")
    table = root / "AB201-thanks" / SCENARIO
    table.write_text(table.read_text("utf-8") + 'embedder = "gone.npz"\n', "utf-8")
    bench = bench_of(root)
    assert list(bench.left_out) == ["AB201-thanks/thanks-en"]
    assert "cannot be loaded" in bench.left_out["AB201-thanks/thanks-en"]
    assert len(bench.judged) == 2


def test_the_policy_of_a_scenario_lies_over_the_given_one(tmp_path: Path) -> None:
    """A cap of the file holds for all, that of the scenario for itself."""
    root = scenario_set(tmp_path / "set")
    table = root / "AB201-thanks" / SCENARIO
    table.write_text(table.read_text("utf-8") + "[thanks-en.policy.budgets]\nmax_messages = 30\n", "utf-8")
    policy = tmp_path / "policy.toml"
    policy.write_text("[budgets]\nmax_messages = 2\n", "utf-8")
    bench = run_bench(BenchPlan.of([str(root)]), read, policy)
    assert [(one.outcome, one.detector) for one in bench.judged] == [
        (Outcome.OK, "AB201"),
        (Outcome.FALSE_HALT, "AB601"),
        (Outcome.FALSE_HALT, "AB601"),
    ]


def test_the_shipped_scenarios_with_an_embedder_are_run(tmp_path: Path) -> None:
    """The recorded vectors are found beside the folders, and nothing is left out."""
    root = Path(__file__).resolve().parents[1] / "scenarios" / "AB303-semantic-repeat"
    bench = bench_of(root)
    assert bench.left_out == {}
    assert any(one.detector == "AB303" and one.caught for one in bench.judged)


def broken_sets(root: Path) -> dict[str, tuple[Path, str]]:
    """Folders that cannot be run, with the reason."""
    found = {}
    stray = scenario_set(root / "stray")
    save(stray / "AB201-thanks" / "stray.jsonl", quiet("stray"))
    found["stray"] = (stray, r"stray.jsonl: has no table in the scenario.toml beside it")
    gone = scenario_set(root / "gone")
    (gone / "legitimate-work" / "work-en.jsonl.gz").unlink()
    save(gone / "legitimate-work" / "loose.jsonl", quiet("loose"))
    (gone / "legitimate-work" / SCENARIO).write_text("[loose]\nquiet = true\n[work-en]\nquiet = true\n")
    found["gone"] = (gone, r"work-en: there is no work-en.jsonl")
    foreign = scenario_set(root / "foreign")
    save(foreign / "AB201-thanks" / "thanks-en.jsonl", runaway("somebody"))
    found["foreign"] = (foreign, r"thanks-en.jsonl: conversation_id: holds a conversation that its table does not name")
    few = scenario_set(root / "few")
    save(few / "legitimate-work" / "work-en.jsonl.gz", quiet("work-en-1"))
    found["few"] = (few, r"lacks 1 of the conversations that its table names, first 'work-en-2'")
    beyond = scenario_set(root / "beyond")
    save(beyond / "AB201-thanks" / "thanks-en.jsonl", talk("thanks-en", islice(thanks(), 3)))
    found["beyond"] = (beyond, r"thanks-en.halt_from: 5 is beyond thanks-en, which has 4 messages")
    return found


@pytest.mark.parametrize("name", ["stray", "gone", "foreign", "few", "beyond"])
def test_a_set_that_is_not_whole_is_an_error(tmp_path: Path, name: str) -> None:
    """Nothing is silently measured less: file, field and reason are told."""
    root, reason = broken_sets(tmp_path)[name]
    with pytest.raises(TranscriptError, match=reason):
        bench_of(root)


def test_two_scenarios_of_one_name_are_an_error(tmp_path: Path) -> None:
    """A baseline could not tell them apart."""
    first, second = scenario_set(tmp_path / "a"), scenario_set(tmp_path / "b")
    with pytest.raises(TranscriptError, match="another scenario is called AB201-thanks/thanks-en too"):
        bench_of(first, second)


def test_a_folder_with_labels_only_holds_nothing_to_run(tmp_path: Path) -> None:
    """Labels alone are no transcripts."""
    save(tmp_path / "labels.jsonl", [{"conversation_id": "bad", "role": "ignore"}])
    with pytest.raises(TranscriptError, match="holds no transcript beside the labels"):
        bench_of(tmp_path)
