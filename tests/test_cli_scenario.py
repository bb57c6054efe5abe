"""``agentbreaker scenario`` as a user meets it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.conftest import Cli
from tests.scenario_folders import quiet, runaway, save, scenario_set


def words_of(text: str) -> set[str]:
    """Words of more than three letters."""
    return {word for word in re.findall(r"[^\W\d_]{4,}", text.casefold())}


def said(path: Path) -> str:
    """All that is said in a transcript."""
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    return "\n".join(f"{line['sender']} {line.get('recipient', '')} {line.get('content', '')}" for line in lines)


def test_an_incident_becomes_a_scenario(cli: Cli, tmp_path: Path) -> None:
    """One command writes it where it belongs; check and bench run it, and nothing of the recording is in it."""
    save(tmp_path / "night.jsonl", runaway("order-4711"))
    done = cli("scenario", "new", "--from", "night.jsonl")
    assert done.code == 0, done.err
    folder = tmp_path / "scenarios" / "AB201-confirmation-ping-pong"
    (transcript,) = folder.glob("*.jsonl")
    assert "wrote scenarios/AB201-confirmation-ping-pong/ab201-" in done.out
    assert "runaway, to be halted from message 8 to" in done.out
    assert words_of(said(tmp_path / "night.jsonl")) & words_of(said(transcript)) == set()
    assert "4711" not in transcript.read_text("utf-8") + (folder / "scenario.toml").read_text("utf-8")
    check = cli("scenario", "check", "scenarios")
    assert (check.code, check.out) == (0, "1 conversation, 1 end as their table says\n")
    bench = json.loads(cli("bench", "scenarios", "-f", "json").out)
    assert [result["outcome"] for result in bench["results"]] == ["ok"]


def test_the_same_seed_writes_the_same(cli: Cli, tmp_path: Path) -> None:
    """Byte for byte; another seed draws other words."""
    save(tmp_path / "a.jsonl", runaway("x"))
    texts = []
    for number, seed in enumerate(("0", "0", "7")):
        done = cli("scenario", "new", "--from", "a.jsonl", "--name", "n1", "--out", f"o{number}", "--seed", seed)
        assert done.code == 0, done.err
        texts.append((tmp_path / f"o{number}" / "n1.jsonl").read_text("utf-8"))
    assert texts[0] == texts[1] != texts[2]


def test_a_wrong_halt_and_a_miss_can_be_reported(cli: Cli, tmp_path: Path) -> None:
    """What is expected may be said against the engine: check fails then, and names the conversation."""
    save(tmp_path / "a.jsonl", runaway("x"))
    save(tmp_path / "b.jsonl", quiet("y"))
    halted = cli("scenario", "new", "--from", "a.jsonl", "--expect", "legitimate", "--name", "n1", "--out", "own")
    missed = cli(
        *("scenario", "new", "--from", "b.jsonl", "--expect", "runaway", "--onset", "2", "--name", "n2"),
        *("--out", "own"),
    )
    assert (halted.code, missed.code) == (0, 0), halted.err + missed.err
    check = cli("scenario", "check", "own")
    assert check.code == 1
    assert re.search(r"own/n1: n1: false halt: halted at message \d+ by AB201", check.out)
    assert "own/n2: n2: missed: not halted" in check.out
    assert "2 conversations, 0 end as their table says" in check.out


def test_the_policy_goes_with_it(cli: Cli, tmp_path: Path) -> None:
    """The scenario is run under the policy that the verdict was kept under."""
    save(tmp_path / "a.jsonl", quiet("x"))
    (tmp_path / "prod.toml").write_text("[budgets]\nmax_messages = 5\n")
    done = cli("scenario", "new", "--from", "a.jsonl", "--policy", "prod.toml", "--name", "n1", "--out", "own")
    assert done.code == 0, done.err
    assert "[n1.policy.budgets]\nmax_messages = 5\n" in (tmp_path / "own" / "scenario.toml").read_text()
    assert cli("scenario", "check", "own").code == 0


def test_one_of_several_conversations_is_chosen(cli: Cli, tmp_path: Path) -> None:
    """By its id; without one the error names them."""
    save(tmp_path / "a.jsonl", runaway("first"), quiet("second"))
    none = cli("scenario", "new", "--from", "a.jsonl", "--out", "own")
    assert (none.code, none.err) == (
        2,
        "agentbreaker: it has 2 conversations; name one with --conversation: 'first', 'second'\n",
    )
    gone = cli("scenario", "new", "--from", "a.jsonl", "--conversation", "third")
    assert (gone.code, "there is no 'third' in it" in gone.err) == (2, True)
    done = cli("scenario", "new", "--from", "a.jsonl", "--conversation", "second", "--out", "own")
    assert (done.code, "legitimate" in done.out) == (0, True), done.err


def test_other_formats_are_read(cli: Cli, tmp_path: Path) -> None:
    """A table with columns of its own, with the options that replay has."""
    lines = ["who,to,what"] + [f"{line['sender']},{line.get('recipient')},{line['content']!r}" for line in quiet("x")]
    (tmp_path / "runs.csv").write_text("\n".join(line.replace("'", '"') for line in lines) + "\n")
    maps = ["--map", "sender=who", "--map", "recipient=to", "--map", "content=what"]
    done = cli("scenario", "new", "--from", "runs.csv", "--format", "csv", *maps, "--out", "own", "--name", "n1")
    assert done.code == 0, done.err
    assert (tmp_path / "own" / "n1.jsonl").exists()


def test_a_verdict_that_cannot_be_kept_writes_nothing(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit 1, and the reason."""
    save(tmp_path / "a.jsonl", runaway("x"))
    monkeypatch.setattr("agentbreaker.anonymise_words.Words.of", lambda self, word: self.piece(word))
    done = cli("scenario", "new", "--from", "a.jsonl", "--out", "own")
    assert done.code == 1
    assert "cannot be anonymised without changing the verdict" in done.err
    assert "nothing is written" in done.err
    assert not (tmp_path / "own").exists()


def test_bad_input_is_told(cli: Cli, tmp_path: Path) -> None:
    """Usage is 2, unreadable input 3; what exists is not overwritten."""
    save(tmp_path / "a.jsonl", runaway("x"))
    (tmp_path / "broken.jsonl").write_text("nothing\n")
    assert cli("scenario", "new").code == 2
    assert cli("scenario", "new", "--from", "gone.jsonl").code == 3
    assert cli("scenario", "new", "--from", "broken.jsonl").code == 3
    assert cli("scenario", "new", "--from", "a.jsonl", "--name", "the import").code == 2
    assert cli("scenario", "new", "--from", "a.jsonl", "--out", "own", "--name", "n1").code == 0
    again = cli("scenario", "new", "--from", "a.jsonl", "--out", "own", "--name", "n1")
    assert (again.code, "--force replaces it" in again.err) == (2, True)
    assert cli("scenario", "new", "--from", "a.jsonl", "--out", "own", "--name", "n1", "--force").code == 0
    assert cli("scenario", "check", "a.jsonl").code == 2


def test_check_runs_what_bench_runs(cli: Cli, tmp_path: Path) -> None:
    """Folders of scenario folders are checked with one word."""
    scenario_set(tmp_path / "set")
    done = cli("scenario", "check", "set")
    assert (done.code, done.out) == (0, "3 conversations, 3 end as their table says\n")
