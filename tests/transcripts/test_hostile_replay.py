"""Hostile recordings through the whole command: bounded memory, a clear message, the rest still read, a clean terminal.

The command runs in a process of its own, first over something harmless, so that what is measured is the input and not
the first use of a module.  What is measured is the growth of its largest resident size, and of that of its workers.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import random
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.conftest import Cli

pytest.importorskip("resource", reason="the measurements need POSIX")

ROOT = Path(__file__).resolve().parents[2]
MIB = 1024 * 1024
#: Growth of the resident size, in MiB.
MOST_MEMORY = 64
#: What must not reach a terminal: control characters but the line end, and what turns the direction or cannot be seen.
DANGEROUS = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")
HOSTILE = "\x1b[31mred\x1b]0;owned\x07\r\n::error::forged\u202egnp.exe\u2066\x9b2J\u200f\ufeff"

PROGRAM = """
import json, resource, sys
from agentbreaker.cli import main
warm, *arguments = sys.argv[1:]
def peak():
    try:
        own = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
    except OSError:
        own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // (1024 if sys.platform == "darwin" else 1)
    return own, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // (1024 if sys.platform == "darwin" else 1)
def run(arguments):
    sys.argv = ["agentbreaker", "replay", *arguments]
    try:
        main()
    except SystemExit as stop:
        return stop.code
out, sys.stdout = sys.stdout, open("/dev/null", "w")
options = arguments[1:]
run([warm, *options])
sys.stdout = out
before = peak()
code = run(arguments)
after = peak()
print(json.dumps({"code": code, "mib": (after[0] - before[0]) / 1024, "workers": (after[1] - before[1]) / 1024}),
      file=open("found.json", "w"))
"""


class Found(NamedTuple):
    """What the command said and took: exit code, both streams, and the growth in MiB, of it and of its workers."""

    code: int
    out: str
    err: str
    mib: float
    workers: float


def replay(folder: Path, path: str, *options: str, stdin: Iterable[bytes] = (), warm: bytes = b"") -> Found:
    """Run ``agentbreaker replay`` over a file, or standard input."""
    (folder / "warm").write_bytes(warm or GOOD * 20)
    environment = {name: value for name, value in os.environ.items() if name not in {"NO_COLOR", "FORCE_COLOR"}}
    with (
        (folder / "out").open("wb") as out,
        (folder / "err").open("wb") as err,
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, "warm", path, *options],
            cwd=folder,
            env=environment | {"PYTHONPATH": str(ROOT), "COLUMNS": "120", "PYTHONIOENCODING": "utf-8:strict"},
            stdin=subprocess.PIPE,
            stdout=out,
            stderr=err,
        ) as process,
    ):
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            for block in stdin:
                process.stdin.write(block)
            process.stdin.close()
        assert process.wait(300) == 0
    facts = json.loads((folder / "found.json").read_text())
    said, faults = ((folder / name).read_bytes().decode() for name in ("out", "err"))
    return Found(facts["code"] or 0, said, faults, facts["mib"], facts["workers"])


GOOD = b'{"conversation_id":"good","sender":"ann","recipient":"bob","content":"Great, thank you!"}\n'


def line(**fields: Any) -> bytes:
    """One message, as JSON."""
    return json.dumps({"conversation_id": "c", "sender": "ann", "content": "hi"} | fields).encode() + b"\n"


def loop(name: str, *agents: str) -> Iterator[bytes]:
    """A runaway with names that are hostile."""
    for number in range(14):
        pair = agents[number % 2], agents[1 - number % 2]
        yield line(conversation_id=name, sender=pair[0], recipient=pair[1], content="Great, thank you!" + HOSTILE)


#: Lines that cannot be read, each with the reason that is given for it.
BAD = {
    "nested too deeply": line(x=0).replace(b"0}", b"[" * 100_000 + b"]" * 100_000 + b"}"),
    "more than 200,000 values in one line": line(x=0).replace(b"0}", b"[" + b"{}," * 400_000 + b"{}]}"),
    "not JSON": b"\0" * 5000 + b"\n",
    "not UTF-8": line().replace(b"hi", b"\xff\xfe\xed\xa0\x80"),
    "conversation_id: longer than 1,024 characters": line(conversation_id="x" * 7 * MIB),
    "sender: longer than 1,024 characters": line(sender="x" * 7 * MIB),
    "longer than 8 MiB": line(conversation_id="x" * 10 * MIB),
}
#: Ids that would be something else in a file name, a query, a page or a terminal.
IDS = ["../../etc/passwd", "/dev/null", "a\0b", "x'; DROP TABLE tally;--", "<script>", "C:\\con", "\ud83d", HOSTILE]


def hostile() -> Iterator[bytes]:
    """A recording of everything, with good lines before, between and after."""
    yield GOOD
    for bad in BAD.values():
        yield bad
        yield GOOD
    for name in IDS:
        yield line(conversation_id=name)
    yield from loop("loop" + HOSTILE, "ann" + HOSTILE, "bob" + HOSTILE)
    yield GOOD


@pytest.fixture(scope="module")
def bomb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All of it, packed, and in its middle a line of a gigabyte, a thousandth of that when packed."""
    path = tmp_path_factory.mktemp("bomb") / "bomb.jsonl.gz"
    part = gzip.compress(b"0" * (64 * MIB))
    path.write_bytes(gzip.compress(b"".join(hostile())) + part * 16 + gzip.compress(b"\n" + GOOD))
    return path


@pytest.mark.parametrize("jobs", ["1", "2"])
@pytest.mark.parametrize("output_format", ["text", "json", "jsonl"])
def test_everything_at_once(tmp_path: Path, bomb: Path, output_format: str, jobs: str) -> None:
    """Memory stays within its bound, each bad line is named, every good one is read, and the terminal is safe."""
    found = replay(tmp_path, str(bomb), "-f", output_format, "--jobs", jobs, "--all", "--incidents", "9")
    assert found.code == 0
    assert max(found.mib, found.workers) < MOST_MEMORY
    for text in (found.out, found.err):
        danger = DANGEROUS.search(text)
        assert danger is None, repr(text[max(0, danger.start() - 40) : danger.end() + 40])
        assert not [part for part in text.splitlines() if part.startswith("::")]
    bad = len(BAD) + 1
    assert found.err.count("agentbreaker: ") == 6
    assert f"{bad - 5} more lines skipped" in found.err
    assert f"{bomb}:2: nested too deeply" in found.err
    good = len(BAD) + 3
    if output_format == "jsonl":
        lines = {entry["conversation_id"]: entry for entry in map(json.loads, found.out.splitlines())}
        assert lines["good"]["messages"] == good
        assert set(IDS) <= set(lines)
        assert lines["loop" + HOSTILE]["halted_at"] is not None
    elif output_format == "json":
        document = json.loads(found.out)
        assert document["summary"]["lines_skipped"] == bad
        reasons = document["summary"]["skipped_because"]
        assert {reason: reasons[reason] for reason in BAD} == dict.fromkeys(BAD, 1) | {"longer than 8 MiB": 2}
        assert document["summary"]["messages"] == good + len(IDS) + 14
    else:
        assert f"{bad} rows skipped" in found.out
        assert "halted" in found.out


def test_a_line_of_a_gigabyte_on_standard_input(tmp_path: Path) -> None:
    """It is discarded as it streams by."""
    found = replay(tmp_path, "-", "-f", "jsonl", stdin=[GOOD, *[b"0" * MIB] * 1024, b"\n", GOOD])
    assert (found.code, json.loads(found.out)["messages"]) == (0, 2)
    assert found.err == "agentbreaker: -:2: longer than 8 MiB\n"
    assert found.mib < MOST_MEMORY


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_another_format_with_everything_at_once(tmp_path: Path, jobs: str) -> None:
    """A reader that knows nothing of shares is held to the same."""

    def turns(name: str, who: str) -> bytes:
        turn = {"role": "assistant", "name": who, "content": HOSTILE}
        return json.dumps({"messages": [turn], "conversation_id": name}).encode() + b"\n"

    good = turns("good", "ann")
    bad = [
        b'{"messages":' + b"[" * 100_000 + b"\n",
        b"\0" * 5000 + b"\n",
        turns("x" * 7 * MIB, "ann"),
        turns("c", "x" * 7 * MIB),
        good.replace(b"ann", b"\xff"),
    ]
    data = good + b"".join(one + good for one in bad) + b"".join(turns(name, name) for name in IDS)
    part = gzip.compress(b"0" * (64 * MIB))
    path = tmp_path / "chat.jsonl.gz"
    path.write_bytes(gzip.compress(data) + part * 16 + gzip.compress(b"\n" + good))
    found = replay(tmp_path, "chat.jsonl.gz", "-f", "json", "--jobs", jobs, warm=good * 20)
    assert max(found.mib, found.workers) < MOST_MEMORY
    document = json.loads(found.out)
    assert document["summary"]["lines_skipped"] == len(bad) + 1
    assert list(document["summary"]["formats"]) == ["chat"]
    conversations = {entry["conversation_id"]: entry["messages"] for entry in document["conversations"]}
    assert conversations["good"] == len(bad) + 2
    assert set(IDS) <= set(conversations)
    assert DANGEROUS.search(found.out + found.err) is None


def test_a_storm_of_agents_and_conversations(tmp_path: Path) -> None:
    """Fifteen thousand conversations, and one with as many agents, cost no more than a few."""

    def lines() -> Iterator[bytes]:
        for number in range(15_000):
            yield line(conversation_id=f"c{number}", sender="ann")
            yield line(conversation_id="storm", sender=f"agent-{number}", content=f"{number}")

    (tmp_path / "policy.toml").write_text("[conversations]\nmax_conversations = 100\n")
    path = tmp_path / "storm.jsonl"
    with path.open("wb") as file:
        file.writelines(lines())
    found = replay(tmp_path, "storm.jsonl", "--policy", "policy.toml")
    assert found.code == 0
    assert "15,001 conversations" in found.out
    assert found.mib < MOST_MEMORY


# ---------------------------------------------------------------------- every format


def records_of(path: Path) -> list[Any]:
    """The JSON records of a sample, the lines that are none left out."""
    try:
        return [json.loads(path.read_bytes())]
    except ValueError:
        found = []
        for text in path.read_text("utf-8", "replace").splitlines():
            with contextlib.suppress(ValueError):
                found.append(json.loads(text))
        return found


def changed(value: Any, change: Callable[[str, Any], Any], field: str = "") -> Any:
    """The same with another value for each that is no object and no array."""
    if isinstance(value, dict):
        return {key: changed(one, change, key) for key, one in value.items()}
    if isinstance(value, list):
        return [changed(one, change, field) for one in value]
    return change(field, value)


JSON_SAMPLES = sorted(
    path
    for path in (Path(__file__).parent / "samples").iterdir()
    if path.suffix in (".json", ".jsonl") and not path.name.endswith(".expected.json")
)
#: Fields that hold names or words of others, whatever the format.
OTHERS = re.compile("name|id$|agent|source|sender|content|text|model|task|author|handle", re.IGNORECASE)
#: What ATIF's field `source` may say.
ROLES = ("user", "agent", "system")
#: What a field may hold that ought to hold something else.
WRONG: list[Any] = [None, True, -1, 2**70, 1e308, "", "NaN", [], {}, [[]], {"a": 1}]


@pytest.mark.parametrize("output_format", ["text", "json", "jsonl"])
@pytest.mark.parametrize("path", JSON_SAMPLES, ids=lambda path: path.name)
def test_hostile_words_in_every_field_of_every_format(cli: Cli, tmp_path: Path, path: Path, output_format: str) -> None:
    """Nothing of them is more than text on a terminal, whether the records can still be read or not."""
    name = re.split(r"[-.]", path.name)[0]
    options = ("-f", output_format, "--all", "--incidents", "9")
    for everywhere in (False, True):

        def hostile(field: str, value: Any, everywhere: bool = everywhere) -> Any:
            others = isinstance(value, str) and OTHERS.search(field) and value not in ROLES
            return value + HOSTILE if others or (everywhere and isinstance(value, str)) else value

        lines = [json.dumps(changed(record, hostile)) for record in records_of(path)]
        source = tmp_path / f"{name}-{everywhere}.jsonl"
        source.write_text("\n".join(lines) + "\n")
        result = cli("replay", str(source), *options)
        assert result.code in ((0, 3) if everywhere else (0,)), result.err
        for text in (result.out, result.err):
            danger = DANGEROUS.search(text)
            assert danger is None, repr(text[max(0, danger.start() - 40) : danger.end() + 40])
            assert not [part for part in text.splitlines() if part.startswith("::")]


@pytest.mark.parametrize("path", JSON_SAMPLES, ids=lambda path: path.name)
def test_wrong_types_in_every_field_of_every_format(cli: Cli, tmp_path: Path, path: Path) -> None:
    """A record that is no message is named or passed over, and never the end of the program."""
    rng = random.Random(path.name)
    records = records_of(path)
    for share in (0.05, 0.3, 1.0):

        def wrong(_: str, value: Any, share: float = share) -> Any:
            return rng.choice(WRONG) if rng.random() < share else value

        source = tmp_path / f"{share}.jsonl"
        source.write_text("\n".join(json.dumps(changed(record, wrong)) for record in records) + "\n")
        result = cli("replay", str(source), "-f", "json")
        assert result.code in (0, 3)
        assert json.loads(result.out)["complete"] is True
