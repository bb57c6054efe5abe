"""``agentbreaker replay`` over much input: several processes, a progress bar, Ctrl-C, and output in bounded memory."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import IO, Any

import pytest
from rich.console import Console

from agentbreaker.message import Message
from agentbreaker.replay import ConversationReport, ReplayReport, replay
from agentbreaker.report.terminal import ReplayListing
from agentbreaker.transcripts import ReadReport, message_to_json
from tests.conftest import Cli

ROOT = Path(__file__).resolve().parents[1]
NOTE = re.compile(r"interrupted after ([\d,]+) messages; the figures cover what was read\n")
on_posix = pytest.mark.skipif(os.name == "nt", reason="signals as POSIX has them")


def environ(**changes: str) -> dict[str, str]:
    """An environment that makes output the same everywhere."""
    kept = {name: value for name, value in os.environ.items() if name not in {"NO_COLOR", "FORCE_COLOR", "LINES"}}
    return kept | {"PYTHONPATH": str(ROOT), "COLUMNS": "120", "PYTHONIOENCODING": "utf-8:strict"} | changes


def thanks(name: str, count: int = 30) -> str:
    """Two agents that thank each other."""
    pairs = [("ann", "bob"), ("bob", "ann")]
    return "".join(
        message_to_json(Message(name, *pairs[number % 2], content="Great, thank you!")) + "\n"
        for number in range(count)
    )


def corpus(folder: Path, files: int) -> None:
    """A folder of files with three conversations each, and a bad line."""
    for number in range(files):
        text = thanks(f"loop-{number}") + thanks(f"short-{number}", 3) + "{bad\n" + thanks(f"other-{number}", 4)
        (folder / f"{number:05}.jsonl").write_text(text)


@contextmanager
def running(folder: Path, *arguments: str, **pipes: Any) -> Iterator[subprocess.Popen[bytes]]:
    """The command as a process of its own."""
    command = [sys.executable, "-m", "agentbreaker", "replay", *arguments]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | pipes
    process: Any
    with subprocess.Popen(command, cwd=folder, env=environ(), **pipes) as process:
        try:
            yield process
        finally:
            process.kill()


# ---------------------------------------------------------------------- --jobs


@pytest.mark.parametrize("output_format", ["text", "json", "jsonl"])
def test_the_output_is_the_same_with_any_number_of_processes(cli: Cli, tmp_path: Path, output_format: str) -> None:
    """Byte for byte, on both streams, with the exit code of a finding."""
    corpus(tmp_path, 5)
    arguments = ("replay", "-f", output_format, "--fail-on", "halt", "--all", "*.jsonl")
    one = cli(*arguments)
    assert one.code == 1
    assert "loop-4" in one.out
    assert cli(*arguments, "--jobs", "2") == one
    assert cli(*arguments, "--jobs", "auto") == one


def test_standard_input_is_shared_too(tmp_path: Path) -> None:
    """It keeps its name in the output and in what is said of its lines."""
    corpus(tmp_path, 1)
    data = (tmp_path / "00000.jsonl").read_bytes()
    found = []
    for jobs in ("1", "2"):
        with running(tmp_path, "-", "-f", "jsonl", "--jobs", jobs, stdin=subprocess.PIPE) as process:
            found.append(process.communicate(data, timeout=60))
    assert found[0] == found[1]
    assert found[0][1].startswith(b"agentbreaker: -:34: not JSON (column ")
    assert b'"source":"-"' in found[0][0]


@pytest.mark.parametrize("jobs", ["-1", "two", "257", "1.5", "", "١"])
def test_a_number_of_processes_that_is_none_is_refused(cli: Cli, tmp_path: Path, jobs: str) -> None:
    """One line and exit code 2."""
    corpus(tmp_path, 1)
    result = cli("replay", "00000.jsonl", f"--jobs={jobs}")
    assert result.code == 2
    assert result.err.startswith("agentbreaker: --jobs: a number of processes up to 256, or auto, not ")


@on_posix
def test_a_process_that_dies_has_an_exit_code_of_its_own(tmp_path: Path) -> None:
    """Neither a finding nor a success: 4, and a line that says which and why."""
    big = tmp_path / "big.jsonl"
    big.write_text("".join(thanks(f"c{number}", 40) for number in range(4000)))
    with running(tmp_path, "big.jsonl", "--jobs", "2") as process:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        if not children.exists():
            pytest.skip("no list of child processes here")
        while not (pids := children.read_text().split()):
            assert process.poll() is None
        os.kill(int(pids[0]), signal.SIGKILL)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (4, b"")
    assert re.fullmatch(rb"agentbreaker: process [12] of 2 was ended by SIGKILL, perhaps for want of memory.*\n", err)


# ---------------------------------------------------------------------- Ctrl-C


def feed(pipe: IO[bytes], enough: threading.Event) -> None:
    """Write conversations until nobody reads any more."""
    text = "".join(thanks(f"c{number}", 40) for number in range(250)).encode()
    try:
        for number in range(1000):
            pipe.write(text.replace(b':"c', b':"d%d-' % number))
            if number == 1:
                enough.set()
        pipe.close()
    except (BrokenPipeError, ValueError):
        enough.set()


@on_posix
@pytest.mark.parametrize("output_format", ["text", "json", "jsonl"])
def test_ctrl_c_gives_the_report_of_what_was_read(tmp_path: Path, output_format: str) -> None:
    """In every format, marked as what it is, with 130 and without a traceback."""
    with running(tmp_path, "-", "-f", output_format, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        enough = threading.Event()
        writer = threading.Thread(target=feed, args=(process.stdin, enough))
        writer.start()
        enough.wait(60)
        process.send_signal(signal.SIGINT)
        assert process.stdout is not None
        assert process.stderr is not None
        out, err = process.stdout.read().decode(), process.stderr.read().decode()
        assert process.wait(60) == 130
        writer.join()
    (said,) = NOTE.findall(err)
    assert err == f"agentbreaker: interrupted after {said} messages; the figures cover what was read\n"
    messages = int(said.replace(",", ""))
    assert 0 < messages < 10_000_000
    if output_format == "text":
        assert NOTE.findall(out) == [said]
        assert "halted by AB" in out
    elif output_format == "json":
        document = json.loads(out)
        assert document["complete"] is False
        assert document["summary"]["messages"] == messages == sum(c["messages"] for c in document["conversations"])
    else:
        assert sum(json.loads(line)["messages"] for line in out.splitlines()) == messages


@on_posix
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_ctrl_c_with_files_that_are_reported_one_by_one(tmp_path: Path, jobs: str) -> None:
    """The other processes are told, and end as quietly; each conversation that is reported is what it would be."""
    corpus(tmp_path, 3000)
    with running(tmp_path, ".", "-f", "jsonl", "--jobs", jobs) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        first = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        lines = [first, *process.stdout.readlines()]
        err = process.stderr.read().decode()
        assert process.wait(60) == 130
    (said,) = NOTE.findall(err)
    assert "Traceback" not in err
    found = [json.loads(line) for line in lines]
    assert sum(line["messages"] for line in found) == int(said.replace(",", "")) < 3000 * 37
    whole = {"loop": 30, "short": 3, "other": 4}
    cut = [line for line in found if line["messages"] != whole[line["conversation_id"].partition("-")[0]]]
    # Only a file in which a process was interrupted is not whole.
    assert len({line["source"] for line in cut}) <= int(jobs)


@on_posix
def test_a_second_ctrl_c_stops_at_once(tmp_path: Path) -> None:
    """Nothing more is printed, and there is no traceback."""
    with running(tmp_path, "-", "-f", "json", "--jobs", "2", stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        enough = threading.Event()
        writer = threading.Thread(target=feed, args=(process.stdin, enough))
        writer.start()
        enough.wait(60)
        while process.poll() is None:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(0.05)
            except subprocess.TimeoutExpired:
                continue
        assert process.stdout is not None
        assert process.stderr is not None
        out, err = process.stdout.read(), process.stderr.read()
        writer.join()
    assert process.returncode in {130, -signal.SIGINT}
    assert out == b""
    assert b"Traceback" not in err


# ---------------------------------------------------------------------- progress


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_the_bar_shows_bytes_rate_and_time_left(tmp_path: Path, jobs: str) -> None:
    """On a terminal only, on standard error only."""
    pty = pytest.importorskip("pty", reason="no pseudo-terminals here")
    (tmp_path / "log.jsonl").write_text("".join(thanks(f"c{number}", 40) for number in range(800)))
    try:
        ours, theirs = pty.openpty()
    except OSError as error:
        pytest.skip(f"no pseudo-terminal to be had: {error}")
    with running(tmp_path, "log.jsonl", "-f", "jsonl", "-j", jobs, stderr=theirs) as process:
        os.close(theirs)
        assert process.stdout is not None
        out: list[bytes] = []
        reader = threading.Thread(target=lambda: out.append(process.stdout.read()))  # type: ignore[union-attr]
        reader.start()
        shown = b"".join(iter(lambda: _read(ours), b"")).decode()
        os.close(ours)
        reader.join()
        assert process.wait(60) == 0
    assert re.search(r"replaying.*/2.9 MB.*[\d,]+ messages/s.*\d:\d\d:\d\d.* left", shown)
    assert out[0].count(b"\n") == 800
    assert b"\x1b" not in out[0]


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65_536)
    except OSError:
        return b""


# ---------------------------------------------------------------------- output in bounded memory


def test_the_document_is_what_one_dump_of_it_would_be(cli: Cli, tmp_path: Path) -> None:
    """Written piece by piece, it is byte for byte that of ``json.dumps``; it says that it is complete."""
    corpus(tmp_path, 3)
    for name in ("*.jsonl", "none.txt"):
        (tmp_path / "none.txt").write_text("nothing\n")
        out = cli("replay", "-f", "json", name).out
        document = json.loads(out)
        assert document["complete"] is True
        assert len(document["conversations"]) == (9 if name == "*.jsonl" else 0)
        assert out == json.dumps(document, indent=2) + "\n"


def report_of(number: int, template: ConversationReport) -> ConversationReport:
    """One of many conversations."""
    return template.model_copy(update={"conversation_id": f"c{number:06}"})


def listed(conversations: Iterator[ConversationReport], **options: Any) -> str:
    """What is printed of them."""
    file = StringIO()
    listing = ReplayListing(Console(file=file, width=120, highlight=False), **options)
    totals = ReplayReport()
    for conversation in conversations:
        totals.add(conversation)
        listing.add(conversation)
    listing.finish(totals, ReadReport(), files=1)
    return file.getvalue()


LOUD, QUIET = (
    next(
        iter(replay(("log", Message("c", *pair, content="Great, thank you!")) for pair in [("a", "b"), ("b", "a")] * n))
    )
    for n in (10, 1)
)


def test_of_very_many_halts_a_thousand_are_listed() -> None:
    """The rest is counted, and it is said how to see it."""
    out = listed(report_of(number, LOUD) for number in range(2500))
    assert out.count("\nhalted   c") == 1000
    assert "1,500 more conversations with a finding not listed; --all lists everything" in out
    assert "2,497 more halts: --incidents 2500 explains them all" in out
    assert "2,500 halted" in out


def test_all_of_them_are_listed_page_by_page() -> None:
    """Whatever their number, each once and in order; whoever shows a bar is told before a page is printed."""
    pages: list[None] = []
    out = listed(
        (report_of(n, LOUD if n % 2 else QUIET) for n in range(2500)), show_all=True, page=lambda: pages.append(None)
    )
    assert re.findall(r"c(\d{6}) ", out.partition("\n\n")[0]) == [f"{number:06}" for number in range(2500)]
    assert len(pages) == 2
    assert "not listed" not in out


def test_what_is_kept_for_the_listing_has_a_bound() -> None:
    """Beyond a thousand findings, more take no more memory."""
    listing = ReplayListing(Console(file=StringIO()))

    def size(count: int) -> int:
        for number in range(count):
            listing.add(report_of(number, LOUD if number % 3 else QUIET))
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        few, many = size(1600), size(2000)
    finally:
        tracemalloc.stop()
    assert few > 1_000_000
    assert many - few < 10_000


# ---------------------------------------------------------------------- many files


def test_many_files_in_many_folders_are_read_one_by_one(tmp_path: Path) -> None:
    """``**`` finds them all, sorted, and never more than a few are open."""
    for folder in range(20):
        path = tmp_path / f"d{folder:02}" / "deep"
        path.mkdir(parents=True)
        for number in range(40):
            (path / f"{number:03}.jsonl").write_text(thanks("1", 2))
    limited = "import resource, sys; resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40)); " if os.name != "nt" else ""
    found = []
    for jobs in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", f"{limited}from agentbreaker.cli import main; main()", "replay", "**/*.jsonl",
             "-f", "jsonl", "-j", jobs],
            cwd=tmp_path, env=environ(), capture_output=True, timeout=120, check=True,
        )  # fmt: skip
        found.append(done.stdout)
    assert found[0] == found[1]
    sources = [json.loads(line)["source"] for line in found[0].splitlines()]
    assert len(sources) == 800
    assert sources == sorted(sources)
