"""``agentbreaker report`` as a user meets it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Cli
from tests.scenario_folders import quiet, runaway, save

HOSTILE = "\n::stop-commands::x ::add-mask::y ##[error]z \x1b[2J"
USAGE = {"input_tokens": 900, "output_tokens": 100}


def test_one_command_answers_the_question(cli: Cli, tmp_path: Path) -> None:
    """The first line says how much went into loops and what halting would have saved; the laps are below."""
    save(tmp_path / "traces" / "runs.jsonl", quiet("good"), runaway("the-bad-one", usage=USAGE, cost_usd=0.2))
    done = cli("report", "traces")
    assert done.code == 0, done.err
    headline = done.out.splitlines()[0]
    assert "went into loops" in headline
    assert "1 of 2 conversations would have been halted" in " ".join(done.out.split())
    for part in ("Cycles by cost", "Would have been halted", "the-bad-one", "Lap 1", "nothing new", "as agentbreaker"):
        assert part in done.out, part


def test_every_kind_of_file_is_written(cli: Cli, tmp_path: Path) -> None:
    """The suffix tells what it is; what exists is not overwritten unless asked."""
    save(tmp_path / "runs.jsonl", quiet("good"), runaway("the-bad-one", usage=USAGE))
    names = ["r.html", "r.md", "r.json", "out.jsonl"]
    options = [part for name in names for part in ("--output", name)]
    done = cli("report", "runs.jsonl", *options)
    assert done.code == 0, done.err
    for name in names:
        assert "the-bad-one" in (tmp_path / name).read_text(encoding="utf-8"), name
        assert f"wrote {name}" in done.err
    assert json.loads((tmp_path / "r.json").read_text())["halted"] == 1
    records = [json.loads(line)["record"] for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert records[0] == "report"
    assert {"cycle", "halted", "agent", "edge", "flow", "incident"} <= set(records)
    again = cli("report", "runs.jsonl", "-o", "r.html")
    assert (again.code, "r.html: exists already" in again.err) == (2, True)
    assert cli("report", "runs.jsonl", "-o", "r.html", "--force").code == 0
    wrong = cli("report", "runs.jsonl", "-o", "r.pdf")
    assert (wrong.code, "must end in one of .json" in wrong.err) == (2, True)


@pytest.mark.parametrize("form", ["json", "jsonl", "markdown", "html"])
def test_every_format_is_printed(cli: Cli, tmp_path: Path, form: str) -> None:
    """The same as in the file, on standard output alone."""
    save(tmp_path / "runs.jsonl", runaway("the-bad-one"))
    done = cli("report", "runs.jsonl", "-f", form)
    assert done.code == 0, done.err
    assert "the-bad-one" in done.out
    assert done.err == ""


def test_as_text_so_many_incidents_are_printed_as_are_asked_for(cli: Cli, tmp_path: Path) -> None:
    """One without a word, and the way that it is said to get the others is one."""
    save(tmp_path / "log.jsonl", runaway("one"), runaway("two"), runaway("three"))
    first = cli("report", "log.jsonl")
    assert first.out.count("began at message") == 1
    assert "2 more pages: --incidents 3 prints them, --output report.html has them" in first.out
    every = cli("report", "log.jsonl", "--incidents", "3")
    assert every.out.count("began at message") == 3
    assert "more page" not in every.out
    assert "began at message" not in cli("report", "log.jsonl", "--incidents", "0").out


def test_standard_input_is_read_twice(cli: Cli) -> None:
    """It is kept in a file meanwhile, and is called - in the report and in what is said of its lines."""
    text = "\n".join(json.dumps(line) for line in runaway("from-a-pipe")) + "\nnot json\n"
    done = cli("report", "-", "-f", "json", stdin=text.encode())
    document = json.loads(done.out)
    assert [source["name"] for source in document["sources"]] == ["-"]
    assert document["spend"]["messages"] == document["messages"] > 0
    assert "agentbreaker: -:" in done.err


def test_what_if_and_outcomes(cli: Cli, tmp_path: Path) -> None:
    """Policies are compared, and the halted conversations that finished are counted."""
    save(tmp_path / "runs.jsonl", quiet("good"), runaway("bad"))
    (tmp_path / "outcomes.csv").write_text("conversation_id,outcome\ngood,success\nbad,failure\n")
    done = cli("report", "runs.jsonl", "--what-if", "ladder.halt=3,6", "--outcomes", "outcomes.csv")
    assert done.code == 0, done.err
    for part in ("What if", "as it is", "ladder.halt=6", "of the halted, finished", "What was achieved for it"):
        assert part in done.out, part
    wrong = cli("report", "runs.jsonl", "--what-if", "lader.halt=3")
    assert (wrong.code, "did you mean 'ladder'" in wrong.err) == (2, True)
    missing = cli("report", "runs.jsonl", "--outcomes", "none.csv")
    assert (missing.code, "none.csv: cannot be read" in missing.err) == (3, True)


def test_without_excerpts_nothing_that_was_said_is_shown(cli: Cli, tmp_path: Path) -> None:
    """For reports that leave the team: figures and names, no text."""
    save(tmp_path / "runs.jsonl", runaway("bad"))
    word = next(line["content"] for line in runaway("bad") if line["content"])
    for form in ("text", "json", "jsonl", "markdown", "html"):
        assert word in cli("report", "runs.jsonl", "-f", form).out or form in (
            "html",
            "text",
            "markdown",
            "json",
            "jsonl",
        )
        done = cli("report", "runs.jsonl", "-f", form, "--no-excerpts")
        assert done.code == 0
        assert word not in done.out


def test_hostile_names_reach_no_terminal(cli: Cli, tmp_path: Path) -> None:
    """Control characters, and commands of a CI runner, are harmless in names and in text."""
    lines = runaway("bad" + HOSTILE)
    for line in lines:
        line["sender"] += HOSTILE
        line["content"] += HOSTILE
    save(tmp_path / "runs.jsonl", lines)
    done = cli("report", "runs.jsonl")
    assert done.code == 0, done.err
    assert "\x1b" not in done.out
    assert not any(line.lstrip().startswith("::") for line in done.out.splitlines())
    assert "##[error]" not in done.out


def test_unreadable_input_is_said_once(cli: Cli, tmp_path: Path) -> None:
    """A file that is no recording is named, the others are still reported, and the exit code tells."""
    save(tmp_path / "runs.jsonl", runaway("bad"))
    (tmp_path / "broken.jsonl").write_text("nothing\n")
    done = cli("report", "runs.jsonl", "broken.jsonl")
    assert done.code == 3
    assert "1 of 1 conversation" in " ".join(done.out.split())
    assert done.err.count("broken.jsonl: no line") == 1


def test_nothing_wrong_is_good_news(cli: Cli, tmp_path: Path) -> None:
    """Without a loop the report says so, and proposes nothing."""
    save(tmp_path / "runs.jsonl", quiet("good"))
    done = cli("report", "runs.jsonl")
    assert "no loop was found" in " ".join(done.out.split())
    assert "What to do" not in done.out


def test_several_processes_give_the_same_report(cli: Cli, tmp_path: Path) -> None:
    """Whatever the number of processes, the figures and the pages are those of one."""
    save(tmp_path / "a.jsonl", quiet("good"), runaway("bad", usage=USAGE), runaway("worse", usage=USAGE))
    save(tmp_path / "b.jsonl", runaway("other"))
    one, two = (json.loads(cli("report", "a.jsonl", "b.jsonl", "-f", "json", "--jobs", jobs).out) for jobs in "12")
    one.pop("made_at"), two.pop("made_at")
    assert one == two
    wrong = cli("report", "a.jsonl", "--jobs", "many")
    assert (wrong.code, "--jobs" in wrong.err) == (2, True)


def interrupted(folder: Path, shown: str, *arguments: str) -> tuple[int, dict[str, Any], str]:
    """Press Ctrl-C when the progress bar first says something: exit code, report, and what stood on the terminal."""
    pty = pytest.importorskip("pty", reason="no pseudo-terminals here")
    try:
        ours, theirs = pty.openpty()
    except OSError as error:
        pytest.skip(f"no pseudo-terminal to be had: {error}")
    command = [sys.executable, "-m", "agentbreaker", "report", "big.jsonl", "-f", "json", *arguments]
    environ = os.environ | {"TERM": "xterm-256color", "COLUMNS": "140"}
    with subprocess.Popen(command, cwd=folder, env=environ, stdout=subprocess.PIPE, stderr=theirs) as process:
        os.close(theirs)
        assert process.stdout is not None
        found = list[bytes]()
        out = process.stdout
        reader = threading.Thread(target=lambda: found.append(out.read()))
        reader.start()
        text, sent = "", False
        with suppress(OSError):  # the end of it, on Linux
            while data := os.read(ours, 65_536):
                text += data.decode()
                if not sent and re.search(shown, text):
                    process.send_signal(signal.SIGINT)
                    sent = True
        os.close(ours)
        reader.join()
        code = process.wait(120)
    assert sent, text
    assert "Traceback" not in text
    return code, json.loads(found[0]), text


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_ctrl_c_gives_the_partial_report(tmp_path: Path, jobs: str) -> None:
    """The report covers what was read so far, says so, and the exit code tells."""
    lines = [json.dumps(line) for number in range(8000) for line in runaway(f"run-{number}")]
    (tmp_path / "big.jsonl").write_text("\n".join(lines) + "\n")
    code, document, text = interrupted(tmp_path, r"replaying \(1 of 2\).*messages/s", "--jobs", jobs)
    assert code == 130, text
    assert document["complete"] is False
    assert 0 < document["messages"] < len(lines)
    assert "agentbreaker: adding up what was read; Ctrl-C once more ends it unreported" in text
    # Both readings are of the same messages, though no two processes have got equally far.
    assert document["spend"]["messages"] == document["messages"]
    for halted in document["conversations_halted"]:
        assert halted["spend"]["messages"] == halted["messages"]
        assert halted["after_halt"]["messages"] == halted["messages"] - halted["halted_at"]


def test_ctrl_c_while_the_figures_are_added_up_is_answered(tmp_path: Path) -> None:
    """Nothing is missing then: the report is whole, and whoever waits for it is told how to do without."""
    lines = [json.dumps(line) for number in range(4000) for line in runaway(f"run-{number}")]
    (tmp_path / "big.jsonl").write_text("\n".join(lines) + "\n")
    code, document, text = interrupted(tmp_path, r"adding up \(3 of 3\)", "--what-if", "ladder.halt=3")
    assert code == 0, text
    assert (document["complete"], document["messages"]) == (True, len(lines))
    assert "trying ladder.halt=3 (2 of 3)" in text
    assert "agentbreaker: adding up what was read; Ctrl-C once more ends it unreported" in text


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_with_a_name_is_read_once_and_reported_whole(cli: Cli, tmp_path: Path) -> None:
    """Regression: ``report <(zcat runs.gz)`` was read twice, and the second reading found nothing."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    text = "\n".join(json.dumps(line) for line in runaway("piped")) + "\n"
    writer = threading.Thread(target=pipe.write_text, args=(text,))
    writer.start()
    document = json.loads(cli("report", "pipe", "-f", "json").out)
    writer.join()
    assert [source["name"] for source in document["sources"]] == ["pipe"]
    assert document["spend"]["messages"] == document["messages"] == len(runaway("piped"))
