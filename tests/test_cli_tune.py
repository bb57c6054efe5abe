"""``agentbreaker tune`` as a user meets it: what it prints, what it writes, and the exit code it leaves."""

from __future__ import annotations

import gzip
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from agentbreaker.demo import thanks, work
from agentbreaker.policy import Policy
from tests.conftest import Cli

ROOT = Path(__file__).resolve().parents[1]
HOSTILE = "\x1b[31mred\x1b[0m\nforged line\r[red]x[/red]\u202egnp.exe\x9b2J\u2066"
DANGEROUS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def talk(name: str, lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    """A request of the user, then two agents that speak the lines in turn."""
    yield {"conversation_id": name, "sender": "user", "recipient": "ann", "role": "user", "content": "Plan the import."}
    for number, text in enumerate(lines):
        pair = ("ann", "bob") if number % 2 == 0 else ("bob", "ann")
        yield {"conversation_id": name, "sender": pair[0], "recipient": pair[1], "content": text}


def runaway(name: str) -> list[dict[str, Any]]:
    """Five messages of work, then thirty of thanks."""
    return list(talk(name, [*islice(work(), 4), *islice(thanks(), 30)]))


def quiet(name: str) -> list[dict[str, Any]]:
    """A conversation that gets somewhere."""
    return list(talk(name, work()))


def save(path: Path, *conversations: Iterable[dict[str, Any]]) -> Path:
    """Write conversations one after the other; packed if the name says so."""
    data = "".join(json.dumps(line) + "\n" for lines in conversations for line in lines).encode()
    path.write_bytes(gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)
    return path


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Four legitimate conversations in one file, three runaways in another, and their labels."""
    save(tmp_path / "good.jsonl", *(quiet(f"good-{number}") for number in range(4)))
    save(tmp_path / "bad.jsonl.gz", *(runaway(f"bad-{number}") for number in range(3)))
    labels: list[dict[str, Any]] = [{"conversation_id": f"good-{number}", "role": "negative"} for number in range(4)]
    labels += [
        {"conversation_id": f"bad-{number}", "role": "positive", "onset": 5, "family": "thanks"} for number in range(3)
    ]
    return save(tmp_path / "labels.jsonl", labels)


ASK = ("tune", "good.jsonl", "bad.jsonl.gz", "--labels", "labels.jsonl")


def test_tune_prints_what_it_found(cli: Cli, corpus: Path) -> None:
    """Counts, table, choice and families on standard output; nothing on standard error, and 0."""
    result = cli(*ASK)
    assert (result.code, result.err) == (0, "")
    assert "4 legitimate conversations in 1 source (52 messages), 3 runaways\n" in result.out
    assert re.search(r"^ +\* 2 +0 +0 % +>14 +3/3 +0 ", result.out, re.M)
    assert "Chosen: 2, the lowest threshold that halts at most 1 % of the conversations" in result.out
    assert re.search(r"^thanks +3 +3 ", result.out, re.M)


def test_what_it_says_is_what_replay_does(cli: Cli, corpus: Path) -> None:
    """The policy that is written halts, in a replay, the conversations that were promised, where it was promised."""
    document = json.loads(cli(*ASK, "-f", "json", "--write", "prod.toml").out)
    result = cli("replay", "good.jsonl", "bad.jsonl.gz", "--policy", "prod.toml", "-f", "jsonl")
    halts = {line["conversation_id"]: line["halted_at"] for line in map(json.loads, result.out.splitlines())}
    assert {name for name, at in halts.items() if at is not None} == {"bad-0", "bad-1", "bad-2"}
    (family,) = document["chosen"]["families"]
    assert family["caught"] == 3
    assert family["delay"] == [halts["bad-0"] - 5] * 3
    assert document["choice"]["threshold"] == Policy(corpus.parent / "prod.toml").settings.ladder.halt


def test_the_written_policy_passes_its_check_and_is_the_same_every_time(cli: Cli, corpus: Path) -> None:
    """``policy check`` accepts it, the command is in it, and the same command gives the same bytes."""
    first = cli(*ASK, "--write", "prod.toml")
    assert (first.code, first.err) == (0, "wrote prod.toml\n")
    path = corpus.parent / "prod.toml"
    text = path.read_text("utf-8")
    assert text.startswith(f"# Written by: agentbreaker {' '.join(ASK)} --write prod.toml\n")
    assert cli("policy", "check", "prod.toml").out.startswith("prod.toml: valid; ladder: warn ")
    path.unlink()
    cli(*ASK, "--write", "prod.toml")
    assert path.read_text("utf-8") == text


def test_an_existing_policy_is_not_overwritten_unless_asked(cli: Cli, corpus: Path) -> None:
    """It is refused before anything is read; ``--force`` replaces it."""
    path = corpus.parent / "prod.toml"
    path.write_text("[ladder]\nhalt = 9.0\n")
    refused = cli(*ASK, "--write", "prod.toml")
    assert (refused.code, refused.out) == (2, "")
    assert refused.err == "agentbreaker: prod.toml: exists already; --force overwrites it\n"
    assert path.read_text() == "[ladder]\nhalt = 9.0\n"
    assert cli(*ASK, "--write", "prod.toml", "--force").code == 0
    assert Policy(path).settings.ladder.halt == 2.0


def test_a_policy_that_cannot_be_written_is_a_usage_error(cli: Cli, corpus: Path) -> None:
    """The report is printed all the same, and one line says why there is no file."""
    result = cli(*ASK, "--write", "nowhere/prod.toml")
    assert result.code == 2
    assert "Chosen: 2" in result.out
    assert result.err == "agentbreaker: nowhere/prod.toml: cannot be written: No such file or directory\n"


def test_without_a_choice_nothing_is_written(cli: Cli, corpus: Path) -> None:
    """Only runaways: the report says so and succeeds, but a policy cannot be had from it."""
    assert cli("tune", "bad.jsonl.gz", "--labels", "labels.jsonl").code == 0
    result = cli("tune", "bad.jsonl.gz", "--labels", "labels.jsonl", "--write", "prod.toml")
    assert result.code == 2
    assert result.err.startswith("agentbreaker: no policy is written: there is no legitimate conversation")
    assert not (corpus.parent / "prod.toml").exists()


def test_a_policy_to_start_from(cli: Cli, corpus: Path) -> None:
    """Its detectors measure, its ladder is scaled, and what else it holds is taken over."""
    start = corpus.parent / "start.toml"
    start.write_text('[ladder]\nwarn = 4.0\nsteer = "off"\nhalt = 8.0\n[detectors]\nweight = 0.5\n')
    assert cli(*ASK, "--policy", "start.toml", "--write", "prod.toml").code == 0
    settings = Policy(corpus.parent / "prod.toml").settings
    assert (settings.ladder.warn, settings.ladder.steer, settings.ladder.halt) == (1.0, None, 2.0)
    assert settings.detectors.weight == 0.5
    document = json.loads(cli(*ASK, "--policy", "start.toml", "-f", "json").out)
    assert (document["policy"], document["present"]) == ("start.toml", 8.0)


def test_json_is_one_document(cli: Cli, corpus: Path) -> None:
    """All that was found, for programs; nothing else on standard output."""
    document = json.loads(cli(*ASK, "--output-format", "json").out)
    assert list(document) == [
        "agentbreaker",
        "policy",
        "data",
        "max_false_halts",
        "max_warned",
        "present",
        "present_recommended",
        "choice",
        "undecided",
        "points",
        "chosen",
        "ladder",
        "warned",
        "warned_tolerable",
        "halves",
        "false_halts",
        "early_halts",
        "misses",
    ]
    assert document["data"]["legitimate"] == 4
    assert document["points"][0]["sources"][0] == {
        "source": "good.jsonl",
        "conversations": 4,
        "halted": 0,
        "rate": 0.0,
        "low": 0.0,
        "high": pytest.approx(0.4899, abs=1e-4),
    }


def test_markdown_is_for_a_page(cli: Cli, corpus: Path) -> None:
    """Tables with pipes, headings with hashes."""
    result = cli(*ASK, "-f", "markdown")
    assert result.out.startswith("# Calibration of the halt threshold\n")
    assert "\n| halt at | false halts | worst | run length | caught | early | delay | saved |\n" in result.out


def test_thresholds_can_be_asked_for(cli: Cli, corpus: Path) -> None:
    """These, the present one and the choice with its neighbours are the rows of the table."""
    document = json.loads(cli(*ASK, "--halt", "0.5, 3,6", "-f", "json").out)
    thresholds = [point["threshold"] for point in document["points"]]
    assert {0.5, 2.0, 3.0, 4.0, 6.0} <= set(thresholds)
    assert len(thresholds) <= 6


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--halt", "3,x"), "agentbreaker: --halt: 'x' is not a number; give some such as 3,4,6\n"),
        (("--halt", "0"), "agentbreaker: --halt: 0 is not from 0.01 to 160\n"),
        (("--halt", "161"), "agentbreaker: --halt: 161 is not from 0.01 to 160\n"),
        (("--halt", "nan"), "agentbreaker: --halt: nan is not from 0.01 to 160\n"),
        (("--max-false-halts", "1.5"), None),
        (("--max-false-halts", "nan"), None),
        (("--max-warned", "-0.1"), None),
        (("--output-format", "jsonl"), None),
        (("--policy", "missing.toml"), "agentbreaker: missing.toml: no such policy file\n"),
    ],
)
def test_a_wrong_option_is_a_usage_error(
    cli: Cli, corpus: Path, arguments: tuple[str, ...], reason: str | None
) -> None:
    """2, nothing on standard output, and a reason."""
    result = cli(*ASK, *arguments)
    assert (result.code, result.out) == (2, "")
    assert result.err == reason if reason is not None else result.err


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"conversation_id": "good-0", "role": "fine"}', "role: Input should be 'positive', 'negative' or 'ignore'"),
        ('{"conversation_id": "bad-0", "role": "positive", "onset": 35}', "onset: 35 is beyond the conversation"),
        ('{"conversation_id": "bad-0", "role": "positive", "onset": "5"}', "onset: Input should be a valid integer"),
        ("broken", "not JSON"),
    ],
)
def test_a_label_that_cannot_be_used_is_unreadable_input(cli: Cli, corpus: Path, line: str, reason: str) -> None:
    """3, with file, line and field, and no report of half the labels."""
    (corpus.parent / "labels.jsonl").write_text('{"conversation_id": "x", "role": "ignore"}\n' + line + "\n")
    result = cli(*ASK)
    assert (result.code, result.out) == (3, "")
    assert result.err.startswith(f"agentbreaker: labels.jsonl:2: {reason}")
    assert result.err.count("\n") == 1


def test_files_that_cannot_be_read(cli: Cli, corpus: Path) -> None:
    """A missing one ends it at once; beside one that is no transcript the rest is reported, but nothing is written."""
    missing = cli("tune", "nowhere.jsonl")
    assert (missing.code, missing.out, missing.err) == (3, "", "agentbreaker: nowhere.jsonl: no such file\n")
    labels = cli("tune", "good.jsonl", "--labels", "nowhere.jsonl")
    assert (labels.code, labels.out) == (3, "")
    assert labels.err == "agentbreaker: nowhere.jsonl: cannot be read: No such file or directory\n"
    (corpus.parent / "empty.jsonl").write_bytes(b"")
    result = cli(*ASK, "empty.jsonl", "--write", "prod.toml")
    assert result.code == 3
    assert "Chosen: 2" in result.out
    assert result.err.splitlines() == [
        "agentbreaker: empty.jsonl: empty",
        "agentbreaker: no policy is written: a file could not be read",
    ]
    assert not (corpus.parent / "prod.toml").exists()


def test_a_bad_line_is_skipped_or_fatal(cli: Cli, corpus: Path) -> None:
    """Named on standard error; with ``--strict`` it ends the run with 3."""
    with (corpus.parent / "good.jsonl").open("a") as file:
        file.write("{broken\n")
    lenient, strict = cli(*ASK), cli(*ASK, "--strict")
    assert lenient.code == 0
    assert lenient.err.startswith("agentbreaker: good.jsonl:53: not JSON")
    assert (strict.code, strict.out) == (3, "")


def test_without_labels_only_the_false_halts_are_told(cli: Cli, corpus: Path) -> None:
    """Also from standard input, beside a file."""
    result = cli("tune", "good.jsonl", "-", stdin=(corpus.parent / "good.jsonl").read_bytes())
    assert (result.code, result.err) == (0, "")
    assert "8 legitimate conversations in 2 sources (104 messages), 0 runaways\n" in result.out
    assert "Without --labels every conversation is taken as legitimate" in result.out


def test_scenario_folders_label_themselves(cli: Cli) -> None:
    """The project's own scenarios need no labels file, as one folder or as many."""
    result = cli("tune", str(ROOT / "scenarios"))
    assert (result.code, result.err) == (0, "")
    assert "without a label" not in result.out
    some = cli("tune", str(ROOT / "scenarios" / "AB301-exact-repeat"), str(ROOT / "scenarios" / "legitimate-pipeline"))
    assert re.match(r"6 legitimate conversations in 1 source \([\d,]+ messages\), 17 runaways\n", some.out)


def test_the_page_of_the_scenarios_tells_what_tune_recommends(cli: Cli) -> None:
    """The excerpt in scenarios/README.md is printed as it stands, and so is the range without the known misses."""
    page = (ROOT / "scenarios" / "README.md").read_text("utf-8")
    (shown,) = re.findall(r"```console\n\$ agentbreaker tune scenarios\n(.*?)```", page, re.S)
    printed = cli("tune", str(ROOT / "scenarios")).out.splitlines()
    excerpt = [line for line in shown.splitlines() if line != "..."]
    assert len(excerpt) >= 3
    answer = [line for line in printed if line.startswith(("Lower is too low", "Recommended", "The present threshold"))]
    assert excerpt == answer, "scenarios/README.md does not say what `agentbreaker tune scenarios` prints"
    assert "4, lies inside" in excerpt[-1]


def test_a_guard_without_room_says_so(cli: Cli, corpus: Path) -> None:
    """Evidence of conversations that were forgotten in between is too low, and that is owned up to."""
    lines = [line for trio in zip(*(quiet(name) for name in "abc"), strict=True) for line in trio]
    save(corpus.parent / "mixed.jsonl", lines)
    (corpus.parent / "tiny.toml").write_text("[conversations]\nmax_conversations = 1\n")
    result = cli("tune", "mixed.jsonl", "--policy", "tiny.toml")
    assert "conversations forgotten in between for want of room, so their evidence is too low" in result.err
    assert cli("tune", "mixed.jsonl").err == ""


def test_a_split_is_told(cli: Cli, corpus: Path) -> None:
    """The choice on one half, the figures of the other."""
    save(corpus.parent / "runs.jsonl", *(quiet(f"run-{number}") for number in range(1, 8)))
    result = cli("tune", "runs.jsonl", "--split")
    assert (
        "On the half that played no part in the choice: 0 of 3 (0 %, 95 %: 0 to 56 %) halted; that half" in result.out
    )


@pytest.mark.parametrize("output_format", ["text", "json", "markdown"])
def test_what_agents_wrote_never_reaches_the_terminal_raw(cli: Cli, tmp_path: Path, output_format: str) -> None:
    """Ids, sources and families with control codes and direction marks come out escaped."""
    save(tmp_path / "log.jsonl", runaway("loop" + HOSTILE), quiet("fine" + HOSTILE), runaway("honest" + HOSTILE))
    labels: list[dict[str, Any]] = [
        {"conversation_id": "loop" + HOSTILE, "role": "positive", "onset": 5, "family": HOSTILE},
        {"conversation_id": "fine" + HOSTILE, "role": "negative", "source": HOSTILE},
        {"conversation_id": "honest" + HOSTILE, "role": "negative", "source": HOSTILE},
        {"conversation_id": "gone" + HOSTILE, "role": "ignore"},
    ]
    save(tmp_path / "labels.jsonl", labels)
    result = cli("tune", "log.jsonl", "--labels", "labels.jsonl", "-f", output_format, "--max-false-halts", "1")
    assert result.code == 0
    for stream in (result.out, result.err):
        assert DANGEROUS.search(stream) is None
        assert not [line for line in stream.splitlines() if line.startswith("forged line")]
    assert "gnp.exe" in result.out


def environ(**changes: str) -> dict[str, str]:
    """Return an environment that makes output the same everywhere."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in {"NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TERM", "LINES"}
    }
    return kept | {"PYTHONPATH": str(ROOT), "COLUMNS": "120", "PYTHONIOENCODING": "utf-8:strict"} | changes


def test_a_terminal_gets_a_progress_bar_and_the_pipe_stays_clean(corpus: Path) -> None:
    """With standard error on a terminal the bar is drawn there; standard output is what it is in a pipe."""
    pty = pytest.importorskip("pty", reason="no pseudo-terminals here")
    try:
        ours, theirs = pty.openpty()
    except OSError as error:
        pytest.skip(f"no pseudo-terminal to be had: {error}")
    command = [sys.executable, "-m", "agentbreaker", *ASK]
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=theirs,
        cwd=corpus.parent,
        env=environ(TERM="xterm-256color"),
    ) as process:
        os.close(theirs)
        shown = b"".join(iter(lambda: _read_terminal(ours), b""))
        os.close(ours)
        assert process.stdout is not None
        out = process.stdout.read().decode()
        assert process.wait(60) == 0
    assert b"measuring" in shown
    piped = subprocess.run(
        command, capture_output=True, cwd=corpus.parent, env=environ(TERM="xterm-256color"), timeout=60, check=False
    )
    assert (piped.returncode, piped.stderr, piped.stdout.decode()) == (0, b"", out)
    assert "\x1b" not in out


def _read_terminal(descriptor: int) -> bytes:
    """Read from a pseudo-terminal; Linux reports its end as an error."""
    try:
        return os.read(descriptor, 65_536)
    except OSError:
        return b""
