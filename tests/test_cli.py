"""The command line as a user meets it: what it prints, where, and the exit code it leaves."""

from __future__ import annotations

import gzip
import inspect
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

from agentbreaker import __version__
from agentbreaker.demo import thanks, work
from agentbreaker.detectors import DETECTORS
from agentbreaker.policy import Policy
from tests.conftest import Cli, Result

ROOT = Path(__file__).resolve().parents[1]
#: The keys that DESIGN promises to other tools, in this order.
KEYS = [
    "conversation_id",
    "source",
    "messages",
    "agents",
    "halted_at",
    "warned_at",
    "detector",
    "score",
    "tokens",
    "tokens_after_halt",
    "cost_usd",
    "cost_usd_after_halt",
]
#: Ends a terminal's patience, a line, a table or a reading direction.
HOSTILE = "\x1b[31mred\x1b[0m\nforged line\r[red]x[/red]\u202egnp.exe\x9b2J\u2066"
#: What must not reach a terminal or a log, whatever the agents wrote.
DANGEROUS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def shell(*arguments: str, cwd: Path, stdin: bytes = b"", **environment: str) -> Result:
    """Run ``python -m agentbreaker`` as a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "agentbreaker", *arguments],
        input=stdin,
        capture_output=True,
        cwd=cwd,
        env=environ(**environment),
        timeout=60,
        check=False,
    )
    return Result(done.returncode, done.stdout.decode(), done.stderr.decode())


def environ(**changes: str) -> dict[str, str]:
    """Return an environment that makes output the same everywhere."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in {"NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TERM", "LINES"}
    }
    return kept | {"PYTHONPATH": str(ROOT), "COLUMNS": "120", "PYTHONIOENCODING": "utf-8:strict"} | changes


# ---------------------------------------------------------------------- transcripts


def talk(name: str, lines: Iterable[str], *, tokens: int = 0, **fields: object) -> Iterator[dict[str, Any]]:
    """A request of the user, then two agents that speak the lines in turn, each message with some tokens."""
    yield {"conversation_id": name, "sender": "user", "recipient": "ann", "role": "user", "content": "Plan the import."}
    for number, text in enumerate(lines):
        pair = ("ann", "bob") if number % 2 == 0 else ("bob", "ann")
        message = {"conversation_id": name, "sender": pair[0], "recipient": pair[1], "content": text} | fields
        if tokens:
            message["usage"] = {"input_tokens": tokens - 1, "output_tokens": 1}
        yield message


def runaway(name: str = "loop", **fields: Any) -> list[dict[str, Any]]:
    """Five messages of work, then thirty of thanks."""
    return list(talk(name, [*islice(work(), 4), *islice(thanks(), 30)], **fields))


def quiet(name: str = "fine", **fields: Any) -> list[dict[str, Any]]:
    """A conversation that gets somewhere."""
    return list(talk(name, work(), **fields))


def only_warned() -> list[dict[str, Any]]:
    """A runaway that ends by itself before it would be halted."""
    lines = runaway("brink")
    for end in range(5, len(lines)):
        if _verdict(lines[:end]) == "warned":
            return lines[:end]
    raise AssertionError("no prefix of the runaway is warned and not halted")


def _verdict(lines: list[dict[str, Any]]) -> str:
    from agentbreaker.message import Message
    from agentbreaker.replay import replay

    (report,) = replay(("log", Message(**line)) for line in lines)
    return "halted" if report.halted_at is not None else "warned" if report.warned_at is not None else "quiet"


def text_of(messages: Iterable[dict[str, Any]]) -> str:
    """Messages as JSON Lines."""
    return "".join(json.dumps(message) + "\n" for message in messages)


def save(path: Path, *conversations: Iterable[dict[str, Any]]) -> Path:
    """Write conversations one after the other; packed if the name says so."""
    data = "".join(map(text_of, conversations)).encode()
    path.write_bytes(gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)
    return path


def interleave(*conversations: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """One message of each in turn."""
    for number in range(max(map(len, conversations))):
        yield from (messages[number] for messages in conversations if number < len(messages))


def jsonl(result: Result) -> dict[str, dict[str, Any]]:
    """The objects of ``--output-format jsonl`` by conversation."""
    return {line["conversation_id"]: line for line in map(json.loads, result.out.splitlines())}


def assert_harmless(result: Result) -> None:
    """Neither stream holds anything that acts on a terminal or forges a line."""
    for stream in (result.out, result.err):
        found = DANGEROUS.search(stream)
        assert found is None, repr(stream[max(0, found.start() - 40) : found.end() + 40])
        assert not [line for line in stream.splitlines() if line.startswith("forged line")]


# ---------------------------------------------------------------------- replay, for people


def test_replay_tells_each_verdict_and_sums_up(cli: Cli, tmp_path: Path) -> None:
    """One row per conversation, the evidence of the halt, and a summary that adds up; nothing on standard error."""
    save(tmp_path / "log.jsonl", runaway(tokens=100), only_warned(), quiet(tokens=100))
    result = cli("replay", "log.jsonl")
    assert result.code == 0
    assert result.err == ""
    (halted,) = re.findall(r"^halted +loop +(\d+) +35 +(\d+) +3,400 +(\d+) % +(AB\d{3}) *$", result.out, re.M)
    at, laps, share, code = int(halted[0]), int(halted[1]), int(halted[2]), halted[3]
    assert 5 < at <= 13
    assert laps >= 1
    assert code == "AB201"
    # The user's request costs nothing, and every message of the agents 100 tokens.
    assert share == round(100 * (35 - at) / 34)
    assert re.search(r"^warned +brink +\d+ +\d+ +- +AB\d{3} *$", result.out, re.M)
    assert re.search(r"^quiet +fine +13 +1,200\s*$", result.out, re.M)
    assert "3 conversations: 1 halted, 1 warned, 1 quiet" in result.out
    assert f"read {35 + 13 + len(only_warned())} messages, " in result.out
    assert " as agentbreaker from 1 file\n" in result.out
    after = f"{100 * (35 - at):,} ({round(100 * (35 - at) / 46)} %)"
    assert f"4,600 tokens recorded, {after} of them after a halt" in result.out
    assert "halted by AB201 1" in result.out
    assert "Confirmation ping-pong: ann and bob" in result.out
    assert f"halt at message {at}, the loop began at message 5" in result.out


def test_replay_counts_money_where_it_is_recorded(cli: Cli, tmp_path: Path) -> None:
    """The summary tells the price of what came after the halt."""
    save(tmp_path / "log.jsonl", runaway(cost_usd=0.5))
    at = jsonl(cli("replay", "-f", "jsonl", "log.jsonl"))["loop"]["halted_at"]
    result = cli("replay", "log.jsonl")
    assert f"$17.00 recorded, ${(35 - at) / 2:.2f} ({100 * (35 - at) / 34:.0f} %) of it after a halt" in result.out


def test_skipped_lines_are_named_on_standard_error(cli: Cli, tmp_path: Path) -> None:
    """The first lines that could not be read are named with file, line and reason; the rest is counted."""
    lines = text_of(quiet()).splitlines()
    lines[3:3] = ["{not json", '{"conversation_id": "fine"}', *["[]"] * 6]
    (tmp_path / "log.jsonl").write_text("\n".join(lines), "utf-8")
    result = cli("replay", "log.jsonl")
    assert result.code == 0
    named = result.err.splitlines()
    assert named[0].startswith("agentbreaker: log.jsonl:4: not JSON (column ")
    assert named[1] == "agentbreaker: log.jsonl:5: sender: missing"
    assert named[2:] == [
        "agentbreaker: log.jsonl:6: not an object but an array",
        "agentbreaker: log.jsonl:7: not an object but an array",
        "agentbreaker: log.jsonl:8: not an object but an array",
        "agentbreaker: 3 more lines skipped",
    ]
    assert "read 13 messages, 2 agents, 1 conversation as agentbreaker from 1 file, 8 rows skipped" in result.out


def test_many_quiet_conversations_are_counted_instead_of_listed(cli: Cli, tmp_path: Path) -> None:
    """Beyond twenty conversations only what needs a look is listed; ``--all`` lists everything."""
    save(tmp_path / "log.jsonl", *(quiet(f"fine-{number}") for number in range(24)), runaway())
    short, full = cli("replay", "log.jsonl"), cli("replay", "--all", "log.jsonl")
    assert short.out.count("quiet    fine-") == 0
    assert "24 quiet conversations not listed; --all lists everything" in short.out
    assert "halted   loop" in short.out
    assert full.out.count("quiet    fine-") == 24
    assert "not listed" not in full.out


def test_nothing_but_quiet_conversations_begins_with_words(cli: Cli, tmp_path: Path) -> None:
    """Where every row is left out there is no empty table and no empty first line."""
    save(tmp_path / "log.jsonl", *(quiet(f"fine-{number}") for number in range(21)))
    assert cli("replay", "log.jsonl").out.startswith("21 quiet conversations not listed")


def test_incidents_limits_how_many_halts_are_explained(cli: Cli, tmp_path: Path) -> None:
    """None with 0, three by default, and the rest is announced with the option that shows it."""
    save(tmp_path / "log.jsonl", *(runaway(f"loop-{number}") for number in range(5)))
    none, some, all_ = (cli("replay", *more, "log.jsonl").out for more in (["--incidents", "0"], [], ["--incidents=5"]))
    assert none.count("Why") == 0
    assert "--incidents" not in none
    assert some.count("  Why\n") == 3
    assert "2 more halts: --incidents 5 explains them all" in some
    assert all_.count("  Why\n") == 5
    assert "more halt" not in all_
    assert "1 more halt: --incidents 5 explains it too" in cli("replay", "--incidents", "4", "log.jsonl").out


def test_incidents_must_not_be_negative(cli: Cli, tmp_path: Path) -> None:
    """A number below 0 is a usage error."""
    save(tmp_path / "log.jsonl", quiet())
    assert cli("replay", "--incidents", "-1", "log.jsonl").code == 2


# ---------------------------------------------------------------------- replay, for programs


def test_jsonl_is_one_object_per_conversation_with_exactly_the_promised_keys(cli: Cli, tmp_path: Path) -> None:
    """Other tools rely on these keys; numbers are numbers, and what is not there is null."""
    save(tmp_path / "log.jsonl", runaway(tokens=100, cost_usd=0.25), only_warned(), quiet())
    result = cli("replay", "--output-format", "jsonl", "log.jsonl")
    assert result.code == 0
    assert result.err == ""
    lines = [json.loads(line) for line in result.out.splitlines()]
    assert [line["conversation_id"] for line in lines] == ["loop", "brink", "fine"]
    assert all(list(line) == KEYS for line in lines)
    loop, brink, fine = lines
    at = loop["halted_at"]
    assert loop | {"score": 1.0} == {
        "conversation_id": "loop",
        "source": "log.jsonl",
        "messages": 35,
        "agents": 3,
        "halted_at": at,
        "warned_at": loop["warned_at"],
        "detector": "AB201",
        "score": 1.0,
        "tokens": 3400,
        "tokens_after_halt": 100 * (35 - at),
        "cost_usd": 8.5,
        "cost_usd_after_halt": 0.25 * (35 - at),
    }
    assert loop["warned_at"] is None or 5 <= loop["warned_at"] < at <= 13
    assert 0 < loop["score"] <= 1
    assert brink["halted_at"] is None
    assert brink["warned_at"] == brink["messages"] - 1
    assert fine == dict.fromkeys(KEYS, 0) | {
        "conversation_id": "fine",
        "source": "log.jsonl",
        "messages": 13,
        "agents": 3,
        "halted_at": None,
        "warned_at": None,
        "detector": None,
    }


def test_json_is_one_document_with_the_evidence(cli: Cli, tmp_path: Path) -> None:
    """The document holds the totals, every conversation, what was skipped, and the evidence of each halt."""
    path = save(tmp_path / "log.jsonl", runaway(tokens=100), only_warned(), quiet())
    with path.open("a") as file:
        file.write("{broken\n")
    result = cli("replay", "-f", "json", "log.jsonl")
    lines = jsonl(cli("replay", "-f", "jsonl", "log.jsonl"))
    document = json.loads(result.out)
    assert document["agentbreaker"] == __version__
    assert document["policy"] is None
    summary = document["summary"]
    assert (summary["conversations"], summary["halted"], summary["lines_skipped"]) == (3, 1, 1)
    assert summary["tokens_after_halt"] == lines["loop"]["tokens_after_halt"]
    assert summary["detectors"] == {"AB201": 1}
    assert summary["forgotten"] == 0
    assert document["unreadable"] == []
    assert [error.partition(": ")[0] for error in document["skipped"]] == [f"log.jsonl:{35 + len(only_warned()) + 14}"]
    loop, brink, fine = document["conversations"]
    assert loop["incident"]["code"] == "AB201"
    assert loop["incident"]["halted_at"] == loop["halted_at"]
    assert brink["incident"] is None
    assert fine["incident"] is None
    for conversation in document["conversations"]:
        assert {key: conversation[key] for key in KEYS} == lines[conversation["conversation_id"]]


def test_interleaved_conversations_are_told_apart(cli: Cli, tmp_path: Path) -> None:
    """Line by line from several conversations gives what each of them gives alone."""
    apart, mixed = tmp_path / "apart.jsonl", tmp_path / "mixed.jsonl"
    conversations = runaway(), quiet(), runaway("other")
    save(apart, *conversations)
    save(mixed, interleave(*conversations))
    expected = jsonl(cli("replay", "-f", "jsonl", "apart.jsonl"))
    found = jsonl(cli("replay", "-f", "jsonl", "mixed.jsonl"))
    assert [line["halted_at"] is None for line in found.values()] == [False, True, False]
    assert found == {name: line | {"source": "mixed.jsonl"} for name, line in expected.items()}


@pytest.mark.parametrize("kind", ["files", "glob", "directory", "twice"])
def test_several_files_globs_and_directories(cli: Cli, tmp_path: Path, kind: str) -> None:
    """Files, patterns that no shell expanded and directories are read, sorted, each file once; other files are not."""
    (tmp_path / "logs").mkdir()
    save(tmp_path / "logs" / "b.jsonl.gz", quiet("fine"))
    save(tmp_path / "logs" / "a.jsonl", runaway("loop"))
    (tmp_path / "logs" / "notes.txt").write_text("not a transcript")
    arguments = {
        "files": ["logs/a.jsonl", "logs/b.jsonl.gz"],
        "glob": ["logs/*.jsonl*"],
        "directory": ["logs"],
        "twice": ["logs", "logs/a.jsonl", "logs/../logs/b.jsonl.gz"],
    }
    result = cli("replay", "-f", "jsonl", *arguments[kind])
    assert result.code == 0
    assert [(line["conversation_id"], line["source"]) for line in jsonl(result).values()] == [
        ("loop", os.path.join("logs", "a.jsonl")),
        ("fine", os.path.join("logs", "b.jsonl.gz")),
    ]


def test_the_summary_counts_the_files(cli: Cli, tmp_path: Path) -> None:
    """Two files are two files."""
    save(tmp_path / "a.jsonl", quiet("a"))
    save(tmp_path / "b.jsonl", quiet("b"))
    assert (
        "read 26 messages, 2 agents, 2 conversations as agentbreaker from 2 files"
        in cli("replay", "a.jsonl", "b.jsonl").out
    )


@pytest.mark.parametrize("packed", [False, True])
def test_standard_input(tmp_path: Path, packed: bool) -> None:
    """``-`` reads standard input, plain or packed, among other files too."""
    save(tmp_path / "fine.jsonl", quiet())
    data = text_of(runaway()).encode()
    result = shell(
        "replay", "-", "fine.jsonl", "-f", "jsonl", cwd=tmp_path, stdin=gzip.compress(data) if packed else data
    )
    assert result.code == 0
    assert [line["source"] for line in jsonl(result).values()] == ["-", "fine.jsonl"]
    assert jsonl(result)["loop"]["halted_at"] is not None


def test_standard_input_that_is_empty(cli: Cli) -> None:
    """Nothing on standard input is unreadable input, named ``-``."""
    assert cli("replay", "-") == Result(
        3,
        "0 conversations: 0 halted, 0 warned, 0 quiet\n"
        "read 0 messages, 0 agents, 0 conversations as agentbreaker from 0 files\n",
        "agentbreaker: -: empty\n",
    )


# ---------------------------------------------------------------------- exit codes


@pytest.mark.parametrize(
    ("fail_on", "codes"),
    [("never", [0, 0, 0]), ("halt", [1, 0, 0]), ("warn", [1, 1, 0])],
)
def test_fail_on(cli: Cli, tmp_path: Path, fail_on: str, codes: list[int]) -> None:
    """``--fail-on halt`` fails on a halt, ``warn`` on a warning too, and the output is the same in any case."""
    for name, messages in {"loop": runaway(), "brink": only_warned(), "fine": quiet()}.items():
        save(tmp_path / f"{name}.jsonl", messages)
    results = [cli("replay", "--fail-on", fail_on, f"{name}.jsonl") for name in ("loop", "brink", "fine")]
    assert [result.code for result in results] == codes
    assert [result.err for result in results] == ["", "", ""]
    assert results[0] == cli("replay", "loop.jsonl")._replace(code=codes[0])


def test_a_run_is_a_process_with_an_exit_code(tmp_path: Path) -> None:
    """What holds inside the process holds outside of it: 0, 1, 2 and 3."""
    save(tmp_path / "loop.jsonl", runaway())
    assert shell("replay", "loop.jsonl", cwd=tmp_path).code == 0
    assert shell("replay", "loop.jsonl", "--fail-on", "halt", "-f", "jsonl", cwd=tmp_path).code == 1
    assert shell("replay", "loop.jsonl", "--policy", "none.toml", cwd=tmp_path).code == 2
    assert shell("replay", "none.jsonl", cwd=tmp_path) == Result(3, "", "agentbreaker: none.jsonl: no such file\n")


def test_fail_on_knows_only_its_words(cli: Cli, tmp_path: Path) -> None:
    """Anything else is a usage error that lists the words."""
    save(tmp_path / "log.jsonl", quiet())
    result = cli("replay", "--fail-on", "always", "log.jsonl")
    assert result.code == 2
    assert "'never'" in result.err
    assert result.out == ""


def test_strict_makes_a_bad_line_fatal(cli: Cli, tmp_path: Path) -> None:
    """The first line that cannot be read ends the run with 3, named with its place; no verdict is printed."""
    lines = text_of(quiet()).splitlines()
    lines[6] = '{"conversation_id": "fine", "sender": 7}'
    (tmp_path / "log.jsonl").write_text("\n".join(lines))
    result = cli("replay", "--strict", "log.jsonl")
    assert result == Result(3, "", "agentbreaker: log.jsonl:7: sender: expected a string, found a number\n")
    assert cli("replay", "log.jsonl").code == 0


def test_strict_accepts_what_is_whole(cli: Cli, tmp_path: Path) -> None:
    """Without a bad line ``--strict`` changes nothing."""
    save(tmp_path / "log.jsonl", runaway())
    assert cli("replay", "--strict", "log.jsonl") == cli("replay", "log.jsonl")


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("empty.jsonl", b"", "empty"),
        ("blank.jsonl", b"\n \n\n", "only blank lines"),
        ("utf16.jsonl", '{"conversation_id": "c"}'.encode("utf-16"), "UTF-16 text, not UTF-8"),
        ("latin.jsonl", '{"conversation_id": "café", "sender": "ä"}\n'.encode("latin-1"), "no line of it is a message"),
        ("prose.jsonl", b"Dear diary,\ntoday I logged nothing.\n", "no line of it is a message"),
        ("cut.jsonl.gz", gzip.compress(b"{}" * 50, mtime=0)[:12], "truncated gzip: nothing in it could be read"),
        ("zip.jsonl", b"PK\x03\x04" + bytes(40), "a zip archive, not JSON Lines; unpack it first"),
    ],
    ids=lambda value: value if isinstance(value, str) and value.endswith(("jsonl", "gz")) else "",
)
def test_a_file_that_cannot_be_read_does_not_hide_the_others(
    cli: Cli, tmp_path: Path, name: str, content: bytes, reason: str
) -> None:
    """The good files are reported, the bad one is named on standard error, and the exit code is 3."""
    (tmp_path / name).write_bytes(content)
    save(tmp_path / "good.jsonl", runaway())
    for other in (["good.jsonl", name], [name, "good.jsonl"]):
        result = cli("replay", "-f", "jsonl", "--fail-on", "halt", *other)
        assert result.code == 3
        assert list(jsonl(result)) == ["loop"]
        assert f"agentbreaker: {name}: {reason}\n" in result.err
    assert json.loads(cli("replay", "-f", "json", name, "good.jsonl").out)["unreadable"] == [f"{name}: {reason}"]
    alone = cli("replay", name)
    assert alone.code == 3
    assert "from 0 files" in alone.out


def test_a_line_that_is_not_utf8_is_skipped(cli: Cli, tmp_path: Path) -> None:
    """One line in another encoding is counted and named by its column; its neighbours are read."""
    lines = text_of(quiet()).encode().splitlines()
    lines[2] = '{"conversation_id": "fine", "sender": "Zoë"}'.encode("latin-1")
    (tmp_path / "log.jsonl").write_bytes(b"\n".join(lines))
    result = cli("replay", "log.jsonl")
    assert result.code == 0
    assert result.err == "agentbreaker: log.jsonl:3: not UTF-8 (column 42)\n"
    assert "1 conversation as agentbreaker from 1 file, 1 row skipped" in result.out


def test_a_packed_file_that_breaks_off_is_read_as_far_as_it_goes(cli: Cli, tmp_path: Path) -> None:
    """What was there before the cut is judged, and the cut is named, however many bad lines came before it."""
    data = text_of(runaway()).splitlines(keepends=True)
    data[1:1] = ["{bad\n"] * 30
    path = tmp_path / "cut.jsonl.gz"
    path.write_bytes(gzip.compress("".join(data).encode(), mtime=0)[:-40])
    result = cli("replay", "-f", "jsonl", "cut.jsonl.gz")
    assert result.code == 0
    assert jsonl(result)["loop"]["halted_at"] is not None
    assert "agentbreaker: cut.jsonl.gz:" in result.err.splitlines()[5]
    assert "truncated gzip: nothing after this line could be read" in result.err.splitlines()[5]
    assert re.fullmatch(r"agentbreaker: 2[56] more lines skipped", result.err.splitlines()[6])
    strict = cli("replay", "--strict", "cut.jsonl.gz")
    assert strict.code == 3


@pytest.mark.parametrize(
    ("argument", "reason"),
    [
        ("none.jsonl", "none.jsonl: no such file"),
        ("*.nothing", "*.nothing: matches no file"),
        (
            "empty",
            "empty: no recording in this directory (*.csv, *.json, *.jsonl, *.log, *.ndjson, *.tsv, *.db, *.eval, "
            "*.parquet, *.sqlite, *.sqlite3; text also *.gz)",
        ),
    ],
)
def test_a_name_that_means_no_transcript_is_refused_before_anything_is_read(
    cli: Cli, tmp_path: Path, argument: str, reason: str
) -> None:
    """A missing file, a pattern without a match and a folder without transcripts: one line, and 3."""
    (tmp_path / "empty").mkdir()
    save(tmp_path / "good.jsonl", runaway())
    assert cli("replay", "good.jsonl", argument) == Result(3, "", f"agentbreaker: {reason}\n")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission(cli: Cli, tmp_path: Path) -> None:
    """A file that may not be read is named, and the exit code is 3."""
    save(tmp_path / "log.jsonl", quiet()).chmod(0)
    result = cli("replay", "log.jsonl")
    assert result.code == 3
    assert result.err == "agentbreaker: log.jsonl: permission denied\n"


# ---------------------------------------------------------------------- replay --policy


def test_policy_changes_what_is_halted(cli: Cli, tmp_path: Path) -> None:
    """The file decides: a cap of six messages halts a conversation that is quiet without it."""
    save(tmp_path / "log.jsonl", quiet())
    (tmp_path / "strict.toml").write_text("[budgets]\nmax_messages = 6\n")
    assert jsonl(cli("replay", "-f", "jsonl", "log.jsonl"))["fine"]["halted_at"] is None
    line = jsonl(cli("replay", "-f", "jsonl", "--policy", "strict.toml", "log.jsonl"))["fine"]
    assert line["detector"] == "AB601"
    assert line["halted_at"] == 6
    document = json.loads(cli("replay", "-f", "json", "--policy", "strict.toml", "log.jsonl").out)
    assert document["policy"] == "strict.toml"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("[ladder]\nhlat = 6.0\n", "bad.toml: unknown setting ladder.hlat; did you mean 'halt'?"),
        ("[lader]\nhalt = 6.0\n", "bad.toml: unknown section 'lader'; did you mean 'ladder'?"),
        ("[ladder]\nhalt = -1\n", "bad.toml: ladder.halt: Input should be greater than 0"),
        ("[ladder]\nwarn = 9\n", "bad.toml: ladder: steer (3.25) is below warn (9); the rungs must not fall"),
        ("[ladder\n", "bad.toml: not TOML: Expected ']'"),
        ("ladder = 3\n", "bad.toml: ladder: expected a table of settings"),
        ('[detectors]\ndisable = ["AB601"]\n', "bad.toml: detectors.disable: AB601 is a hard cap"),
    ],
)
def test_a_bad_policy_is_refused_with_file_and_field(cli: Cli, tmp_path: Path, content: str, reason: str) -> None:
    """One line on standard error names the file, the field and what was probably meant; 2, and nothing is read."""
    (tmp_path / "bad.toml").write_text(content)
    save(tmp_path / "log.jsonl", quiet())
    for command in (["replay", "--policy", "bad.toml", "log.jsonl"], ["policy", "check", "bad.toml"]):
        result = cli(*command)
        assert result.code == 2
        assert result.out == ""
        assert result.err.startswith(f"agentbreaker: {reason}")
        assert result.err.count("\n") == 1


def test_a_missing_policy_file_is_refused(cli: Cli, tmp_path: Path) -> None:
    """A policy that is not there must not silently become the defaults."""
    save(tmp_path / "log.jsonl", quiet())
    result = cli("replay", "--policy", "none.toml", "log.jsonl")
    assert result == Result(2, "", "agentbreaker: none.toml: no such policy file\n")


def test_a_guard_without_room_says_so(cli: Cli, tmp_path: Path) -> None:
    """Conversations that were forgotten in between are owned up to: a loop may have been missed."""
    save(tmp_path / "log.jsonl", interleave(quiet("a"), quiet("b"), quiet("c")))
    (tmp_path / "tiny.toml").write_text("[conversations]\nmax_conversations = 1\n")
    result = cli("replay", "--policy", "tiny.toml", "log.jsonl")
    assert "conversations forgotten in between for want of room" in result.out
    assert "forgotten" not in cli("replay", "log.jsonl").out


# ---------------------------------------------------------------------- pipes and terminals


@pytest.mark.parametrize("output_format", ["text", "json", "jsonl"])
def test_nothing_in_a_pipe_is_meant_for_a_terminal(tmp_path: Path, output_format: str) -> None:
    """No colour, no progress bar and no cursor code where nobody looks."""
    path = save(tmp_path / "log.jsonl", runaway(), quiet())
    with path.open("a") as file:
        file.write("{broken\n")
    result = shell("replay", "log.jsonl", "-f", output_format, cwd=tmp_path, TERM="xterm-256color")
    assert result.code == 0
    assert "\x1b" not in result.out + result.err
    assert "\r" not in result.out + result.err
    assert "replaying" not in result.err
    assert result.err.count("\n") == 1


def test_a_terminal_gets_a_progress_bar_and_the_pipe_stays_clean(tmp_path: Path) -> None:
    """With standard error on a terminal the bar is drawn there; standard output is what it is without."""
    pty = pytest.importorskip("pty", reason="no pseudo-terminals here")
    save(tmp_path / "log.jsonl", runaway(), quiet())
    try:
        ours, theirs = pty.openpty()
    except OSError as error:
        pytest.skip(f"no pseudo-terminal to be had: {error}")
    with subprocess.Popen(
        [sys.executable, "-m", "agentbreaker", "replay", "log.jsonl", "-f", "jsonl"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=theirs,
        cwd=tmp_path,
        env=environ(TERM="xterm-256color"),
    ) as process:
        os.close(theirs)
        shown = b"".join(iter(lambda: _read_terminal(ours), b""))
        os.close(ours)
        assert process.stdout is not None
        out = process.stdout.read().decode()
        assert process.wait(60) == 0
    assert b"replaying" in shown
    assert b"\x1b[" in shown
    assert out == shell("replay", "log.jsonl", "-f", "jsonl", cwd=tmp_path).out


def _read_terminal(descriptor: int) -> bytes:
    """Read from a pseudo-terminal; Linux reports its end as an error."""
    try:
        return os.read(descriptor, 65_536)
    except OSError:
        return b""


@pytest.mark.skipif(os.name == "nt", reason="no SIGPIPE there")
@pytest.mark.parametrize("output_format", ["text", "json", "jsonl"])
def test_a_reader_that_has_seen_enough_leaves_no_traceback(tmp_path: Path, output_format: str) -> None:
    """``| head -1`` ends the run quietly, with neither the code of success nor that of a finding."""
    save(tmp_path / "log.jsonl", *([line] for number in range(2000) for line in islice(quiet(f"c{number:05}"), 1)))
    with subprocess.Popen(
        [sys.executable, "-m", "agentbreaker", "replay", "log.jsonl", "--all", "-f", output_format],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
        env=environ(),
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(60) == 141


@pytest.mark.skipif(os.name == "nt", reason="no SIGPIPE there")
def test_a_reader_that_never_read_leaves_no_traceback(tmp_path: Path) -> None:
    """Output that would only be written at the very end is lost as quietly."""
    for command in (["explain", "AB201"], ["policy", "init", "-"], ["--version"]):
        reading, writing = os.pipe()
        os.close(reading)
        done = subprocess.run(
            [sys.executable, "-m", "agentbreaker", *command],
            stdout=writing,
            stderr=subprocess.PIPE,
            cwd=tmp_path,
            env=environ(),
            timeout=60,
            check=False,
        )
        os.close(writing)
        assert (done.returncode, done.stderr) == (141, b""), command


# ---------------------------------------------------------------------- hostile transcripts


@pytest.mark.parametrize("output_format", ["text", "json", "jsonl"])
def test_what_agents_wrote_never_reaches_the_terminal_raw(cli: Cli, tmp_path: Path, output_format: str) -> None:
    """Names, ids, content, tools and models with control codes, markup and direction marks come out escaped."""
    tool = {"name": HOSTILE, "call_id": HOSTILE, "arguments": HOSTILE}
    fields = {"model": HOSTILE, "message_id": None, "tool": tool}
    lines = runaway("loop" + HOSTILE, **fields)
    for line in lines:
        line["sender"] += HOSTILE
        line["recipient"] += HOSTILE
        line["content"] += HOSTILE
    save(tmp_path / "log.jsonl", lines)
    result = cli("replay", "-f", output_format, "--all", "log.jsonl")
    assert result.code == 0
    assert_harmless(result)
    if output_format == "text":
        assert "  Why\n" in result.out, "the evidence is part of what is proven"
    shown = result.out.replace("\n", "").replace(" ", "")
    assert "[red]x[/red]" in shown, "markup is text, not style"


def test_half_an_emoji_in_an_id_is_no_reason_to_fail(cli: Cli, tmp_path: Path) -> None:
    """JSON can hold a lone surrogate, UTF-8 cannot; every format still comes out."""
    save(tmp_path / "log.jsonl", runaway("half \ud83d"))
    assert list(jsonl(cli("replay", "-f", "jsonl", "log.jsonl"))) == ["half \ud83d"]
    (conversation,) = json.loads(cli("replay", "-f", "json", "log.jsonl").out)["conversations"]
    assert conversation["conversation_id"] == "half \ud83d"
    assert "half \\ud83d" in cli("replay", "log.jsonl").out


def test_lines_that_cannot_be_read_are_not_quoted(cli: Cli, tmp_path: Path) -> None:
    """A bad line may hold anything, so that only its place and the reason are told."""
    bad = json.dumps({"conversation_id": "c", "sender": "a", "kind": HOSTILE, HOSTILE: 1}).encode()
    (tmp_path / "log.jsonl").write_bytes(bad + b"\n" + HOSTILE.encode() + b"\n" + text_of(quiet()).encode())
    result = cli("replay", "log.jsonl")
    assert_harmless(result)
    assert "red" not in result.err.replace("could not be read", "")


@pytest.mark.skipif(os.name == "nt", reason="such a name cannot be given there")
def test_names_of_files_are_escaped(tmp_path: Path) -> None:
    """A file name may hold a control code, or bytes that are no text."""
    name = os.fsdecode(b"x\x1b[31m\xff")
    for arguments in (
        ("replay", f"{name}.jsonl"),
        ("replay", f"{name}*.jsonl"),
        ("policy", "check", f"{name}.toml"),
        ("policy", "init", f"{name}.toml"),
        ("policy", "check", f"{name}.toml"),
        ("policy", "init", f"{name}.toml"),
        ("explain", name),
    ):
        result = shell(*arguments, cwd=tmp_path)
        assert_harmless(result)
        assert "Traceback" not in result.err
        assert r"x\x1b[31m" in result.out + result.err
    save(tmp_path / f"{name}.jsonl", runaway())
    for output_format in ("text", "json", "jsonl"):
        result = shell("replay", f"{name}.jsonl", "-f", output_format, cwd=tmp_path)
        assert (result.code, result.err) == (0, "")
        assert_harmless(result)


def test_a_terminal_without_unicode_still_gets_the_report(tmp_path: Path) -> None:
    """Where the encoding lacks a character it is written as an escape."""
    lines = runaway("会话")
    for line in lines:
        line["sender"] = line["sender"].replace("ann", "规划者")
    save(tmp_path / "log.jsonl", lines)
    result = shell("replay", "log.jsonl", cwd=tmp_path, PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert (result.code, result.err) == (0, "")
    assert r"\u89c4\u5212\u8005" in result.out
    assert "规划者 and bob" in shell("replay", "log.jsonl", cwd=tmp_path).out


# ---------------------------------------------------------------------- explain


@pytest.mark.parametrize("code", sorted(DETECTORS))
def test_explain_prints_the_page_of_every_detector(cli: Cli, code: str) -> None:
    """By code in any case, and by name: the docstring, nothing else."""
    detector = DETECTORS[code]
    page = inspect.cleandoc(detector.__doc__ or "") + "\n"
    assert f"{detector.name} ({code})" in page
    for asked in (code, code.lower(), detector.name, detector.name.upper()):
        assert cli("explain", asked) == Result(0, page, "")


def test_explain_without_a_code_lists_them_all(cli: Cli) -> None:
    """One line each, with code, name and title."""
    result = cli("explain")
    assert [line.split()[:2] for line in result.out.splitlines()] == [
        [code, detector.name] for code, detector in sorted(DETECTORS.items())
    ]


def test_explain_an_unknown_code(cli: Cli) -> None:
    """An unknown code is a usage error that names the known ones."""
    result = cli("explain", "ruff")
    assert result.code == 2
    assert result.out == ""
    assert result.err == f"agentbreaker: no detector 'ruff'; known are {', '.join(sorted(DETECTORS))}\n"


@pytest.mark.parametrize(
    ("asked", "meant"),
    [("AB2O1", "AB201"), ("ab-201", "AB201"), ("AB20", "AB201"), ("stagnaton", "AB401"), ("exact_repeat", "AB301")],
)
def test_explain_suggests_the_nearest(cli: Cli, asked: str, meant: str) -> None:
    """A slip in a code or a name is answered with what was probably meant."""
    result = cli("explain", asked)
    assert result.code == 2
    assert result.err.startswith(
        f"agentbreaker: no detector {asked!r}; did you mean {meant}, {DETECTORS[meant].name}? Known are "
    )


# ---------------------------------------------------------------------- policy


def test_policy_init_writes_the_defaults_and_check_accepts_them(cli: Cli, tmp_path: Path) -> None:
    """The file that is written is valid and changes nothing."""
    assert cli("policy", "init") == Result(0, "wrote agentbreaker.toml\n", "")
    assert Policy(tmp_path / "agentbreaker.toml").settings == Policy().settings
    result = cli("policy", "check", "agentbreaker.toml")
    assert result.code == 0
    assert result.out.startswith("agentbreaker.toml: valid; ladder: warn ")
    assert "halt " in result.out


def test_policy_init_does_not_overwrite_unless_asked(cli: Cli, tmp_path: Path) -> None:
    """An existing file is kept; ``--force`` replaces it."""
    path = tmp_path / "mine.toml"
    path.write_text("# mine\n")
    result = cli("policy", "init", "mine.toml")
    assert result == Result(2, "", "agentbreaker: mine.toml: exists already; --force overwrites it\n")
    assert path.read_text() == "# mine\n"
    assert cli("policy", "init", "--force", "mine.toml").code == 0
    assert path.read_text("utf-8") == Policy().to_toml()


def test_policy_init_to_standard_output(cli: Cli, tmp_path: Path) -> None:
    """``-`` prints the policy and writes no file."""
    assert cli("policy", "init", "-") == Result(0, Policy().to_toml(), "")
    assert list(tmp_path.iterdir()) == []


def test_policy_init_where_nothing_can_be_written(cli: Cli) -> None:
    """A folder that is not there is a usage error in one line."""
    result = cli("policy", "init", "no/such/place.toml")
    assert result.code == 2
    assert re.fullmatch(r"agentbreaker: no.such.place\.toml: cannot be written: .+\n", result.err)


def test_policy_check_tells_the_ladder(cli: Cli, tmp_path: Path) -> None:
    """Rungs that are set are shown, so that a reader sees what the file does."""
    (tmp_path / "p.toml").write_text("[ladder]\nwarn = 2\nsteer = 3\nfinish = 5\nhalt = 6.5\n")
    assert cli("policy", "check", "p.toml").out == "p.toml: valid; ladder: warn 2, steer 3, finish 5, halt 6.5\n"


# ---------------------------------------------------------------------- the program itself


def test_version(tmp_path: Path) -> None:
    """``--version`` prints the name and the version."""
    assert shell("--version", cwd=tmp_path) == Result(0, f"agentbreaker {__version__}\n", "")


def test_no_command_prints_the_help(tmp_path: Path) -> None:
    """Without a command the commands are listed."""
    result = shell(cwd=tmp_path)
    assert result.code == 2
    for command in ("replay", "check", "bench", "explain", "demo", "policy"):
        assert re.search(rf"^\W*{command} ", result.out + result.err, re.M), command
    assert "Traceback" not in result.err


@pytest.mark.parametrize(
    "command", [[], ["replay"], ["check"], ["bench"], ["explain"], ["demo"], ["policy"], ["policy", "init"]]
)
def test_every_command_has_help(cli: Cli, command: list[str]) -> None:
    """``--help`` prints a usage line and succeeds."""
    result = cli(*command, "--help")
    assert result.code == 0
    assert " ".join(["Usage: agentbreaker", *command]) in result.out


def test_an_unknown_command_is_a_usage_error(cli: Cli) -> None:
    """A typing error ends with 2 and points to the help."""
    result = cli("repaly")
    assert result.code == 2
    assert "repaly" in result.err
    assert "--help" in result.err


def test_replay_without_a_path_is_a_usage_error(cli: Cli) -> None:
    """Nothing to replay is not the same as everything being fine."""
    assert cli("replay").code == 2
