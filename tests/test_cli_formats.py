"""``formats``, ``convert``, ``--format`` and ``--map`` as a user meets them."""

from __future__ import annotations

import gzip
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from agentbreaker.transcripts import FORMATS, read_transcript
from tests.conftest import Cli

ROOT = Path(__file__).resolve().parents[1]
SAMPLES = Path(__file__).parent / "transcripts" / "samples"
CHAT = (
    '{"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "name": "ann", "content": "Hello."}]}\n'
    '{"messages": 3}\n'
)


def test_formats_lists_every_format(cli: Cli) -> None:
    """Each name with what it is."""
    result = cli("formats")
    assert result.code == 0
    lines = result.out.splitlines()
    assert [line.split()[0] for line in lines[: len(FORMATS)]] == [one.name for one in FORMATS]


def test_convert_writes_our_format_and_says_what_it_read(cli: Cli, tmp_path: Path) -> None:
    """The file is read again as our own; what was read, as what, and what was skipped and why stands on stderr."""
    source, target = tmp_path / "chat.json", tmp_path / "out.jsonl.gz"
    source.write_text(CHAT)
    result = cli("convert", str(source), str(target))
    assert (result.code, result.out) == (0, "")
    assert result.err.splitlines() == [
        "read 2 messages, 1 agent, 1 conversation as chat, 1 row skipped (1 messages: expected an array)",
        f"agentbreaker: {source}:2: messages: expected an array",
    ]
    assert [message.sender for message in read_transcript(target)] == ["user", "ann"]
    assert gzip.decompress(target.read_bytes()).startswith(b'{"conversation_id":"line 1"')


def test_convert_keeps_the_conversations_of_two_files_apart(cli: Cli, tmp_path: Path) -> None:
    """The same id in two files is two conversations, as for replay; with ``--join`` the second file goes on."""
    (tmp_path / "a.jsonl").write_text(CHAT)
    (tmp_path / "b.jsonl").write_text(CHAT)
    apart = cli("convert", "a.jsonl", "b.jsonl", "-")
    assert [json.loads(line)["conversation_id"] for line in apart.out.splitlines()] == [
        *["line 1"] * 2,
        *["line 1 (b.jsonl)"] * 2,
    ]
    assert apart.err.startswith("read 4 messages, 1 agent, 2 conversations as chat")
    joined = cli("convert", "--join", "a.jsonl", "b.jsonl", "-")
    assert {json.loads(line)["conversation_id"] for line in joined.out.splitlines()} == {"line 1"}
    assert joined.err.startswith("read 4 messages, 1 agent, 1 conversation as chat")


@pytest.mark.skipif(os.name == "nt", reason="signals as POSIX has them")
def test_convert_writes_what_was_read_until_ctrl_c(tmp_path: Path) -> None:
    """Whole messages, and the exit code and a line that say that there are more."""
    line = '{"conversation_id":"c","sender":"ann","content":"hi"}\n'
    command = [sys.executable, "-m", "agentbreaker", "convert", "-", "-"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, **pipes) as process:  # type: ignore[call-overload]
        process.stdin.write((line * 1000).encode())
        process.stdin.flush()
        first = b"".join(process.stdout.readline() for _ in range(3))
        process.send_signal(signal.SIGINT)
        rest, err = process.stdout.read(), process.stderr.read().decode()
        assert process.wait(60) == 130
    assert err.endswith("agentbreaker: interrupted; what was read until then is written\n")
    lines = [json.loads(one) for one in (first + rest).splitlines()]
    assert 0 < len(lines) <= 1000
    # A message that was just being read is lost.
    assert f"read {len(lines):,} messages" in err or f"read {len(lines) + 1:,} messages" in err


def test_convert_to_standard_output(cli: Cli, tmp_path: Path) -> None:
    """A dash is a pipe, and nothing but messages goes into it."""
    source = tmp_path / "chat.json"
    source.write_text(CHAT)
    result = cli("convert", str(source), "-")
    assert [json.loads(line)["content"] for line in result.out.splitlines()] == ["hi", "Hello."]


def test_convert_does_not_overwrite_unless_asked(cli: Cli, tmp_path: Path) -> None:
    """An existing file stays without ``--force``, and one that is read stays in any case."""
    source, target = tmp_path / "chat.json", tmp_path / "out.jsonl"
    source.write_text(CHAT)
    target.write_text("mine")
    assert cli("convert", str(source), str(target)).code == 2
    assert target.read_text() == "mine"
    assert cli("convert", str(source), str(target), "--force").code == 0
    result = cli("convert", str(source), str(source), "--force")
    assert (result.code, source.read_text()) == (2, CHAT)
    assert "is one of the files that are read" in result.err


def test_convert_where_nothing_can_be_written(cli: Cli, tmp_path: Path) -> None:
    """A folder that is not there is a usage error."""
    source = tmp_path / "chat.json"
    source.write_text(CHAT)
    result = cli("convert", str(source), str(tmp_path / "none" / "out.jsonl"))
    assert result.code == 2
    assert "cannot be written" in result.err


def test_convert_what_nobody_can_read(cli: Cli, tmp_path: Path) -> None:
    """A file without a message is unreadable input."""
    source = tmp_path / "prose.txt"
    source.write_text("Dear diary.\n")
    result = cli("convert", str(source), "-")
    assert result.code == 3
    assert "no line of it is a message" in result.err


def test_replay_tells_the_format_by_itself(cli: Cli, tmp_path: Path) -> None:
    """Messages, agents, conversations, format, rows skipped and why, in one line."""
    source = tmp_path / "chat.json"
    source.write_text(CHAT)
    result = cli("replay", str(source))
    assert result.code == 0
    assert (
        "read 2 messages, 1 agent, 1 conversation as chat from 1 file, 1 row skipped (1 messages: expected an array)"
        in result.out.splitlines()
    )
    document = json.loads(cli("replay", str(source), "-f", "json").out)
    assert document["summary"]["formats"] == {"chat": 2}
    assert document["summary"]["skipped_because"] == {"messages: expected an array": 1}


@pytest.mark.parametrize("command", [("replay",), ("tune",), ("convert", "-")])
def test_a_wrong_format_is_refused_before_anything_is_read(cli: Cli, tmp_path: Path, command: tuple[str, ...]) -> None:
    """The name is checked first, and the nearest is suggested."""
    source = tmp_path / "chat.json"
    source.write_text(CHAT)
    name, *more = command
    result = cli(name, str(source), *more, "--format", "chatt")
    assert result.code == 2
    assert "no format 'chatt'; did you mean 'chat'?" in result.err


def test_map_names_the_columns_of_a_table(cli: Cli, tmp_path: Path) -> None:
    """A table of anybody's is read once its columns are named."""
    source = tmp_path / "log.csv"
    source.write_text("case,from_agent,to_agent,said\n7,ann,bob,Hello.\n")
    forced = ("--format", "csv", "--map", "sender=from_agent")
    more = ("--map", "recipient=to_agent", "--map", "content=said", "--map", "conversation_id=case")
    result = cli("convert", str(source), "-", *forced, *more)
    assert json.loads(result.out) == {"conversation_id": "7", "sender": "ann", "recipient": "bob", "content": "Hello."}
    assert (
        "sender: the header has no such column; --map sender=COLUMN"
        in cli("convert", str(source), "-", "--format", "csv").err
    )
    assert "no such column as --map gives" in cli("convert", str(source), "-", *forced, "--map", "content=x").err


@pytest.mark.parametrize("pair", ["sender", "=x", "sender=", "from=x"])
def test_a_wrong_map_is_a_usage_error(cli: Cli, tmp_path: Path, pair: str) -> None:
    """A pair that is none, or a field that is none, is named."""
    source = tmp_path / "log.csv"
    source.write_text("sender,x\na,b\n")
    result = cli("replay", str(source), "--map", pair)
    assert result.code == 2
    assert "--map: " in result.err


# -- folders ----------------------------------------------------------------------------------------------------------


def test_a_folder_of_many_formats_is_read_and_strangers_are_named(cli: Cli, tmp_path: Path) -> None:
    """What nobody recognises is passed over by name; it is no error where nobody named it."""
    folder = tmp_path / "logs"
    (folder / "deep").mkdir(parents=True)
    for name in ("chat.jsonl", "otlp.json", "csv.csv"):
        (folder / "deep" / name).write_bytes((SAMPLES / name).read_bytes())
    (folder / "package.json").write_text('{"name": "x"}')
    result = cli("replay", "logs")
    assert result.code == 0
    assert re.search(" as (?=.*otlp)(?=.*chat).*csv.* from 3 files, ", result.out)
    stranger = os.path.join("logs", "package.json")
    assert f"agentbreaker: {stranger}: passed over, of no format that is known\n" in result.err


def test_a_stranger_that_is_named_stays_an_error(cli: Cli, tmp_path: Path) -> None:
    """The user meant it."""
    (tmp_path / "package.json").write_text('{"name": "x"}')
    assert cli("replay", "package.json").code == 3


@pytest.mark.parametrize("command", ["replay", "check", "convert"])
def test_a_folder_of_strangers_is_an_error(cli: Cli, tmp_path: Path, command: str) -> None:
    """A mistyped folder must not look like one without runaways."""
    folder = tmp_path / "logs"
    folder.mkdir()
    for name in ("a.json", "b.json"):
        (folder / name).write_text("{}")
    result = cli(command, "logs", *(["-"] if command == "convert" else []))
    assert result.code == 3
    assert "agentbreaker: logs: no file of this folder is a recording\n" in result.err
