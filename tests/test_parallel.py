"""A replay by several processes: the answer of one, whatever the files hold, and no process left behind."""

from __future__ import annotations

import gzip
import heapq
import io
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentbreaker import parallel
from agentbreaker.errors import ConfigError, TranscriptError
from agentbreaker.interrupt import Interruption
from agentbreaker.message import Message
from agentbreaker.parallel import WorkerError, processors, replay_files
from agentbreaker.parallel_merge import Merge
from agentbreaker.parallel_worker import _Work
from agentbreaker.policy import Policy
from agentbreaker.replay import ConversationReport, ReplayReport
from agentbreaker.transcripts import ReadReport, expand_paths, message_to_json
from agentbreaker.verdict import Action, Verdict
from tests.fake_embedder import FakeEmbedder

SAMPLES = Path(__file__).parent / "transcripts" / "samples"
ROOT = Path(__file__).resolve().parents[1]
SCENARIOS = ROOT / "scenarios"


class Found:
    """Everything that a replay says."""

    def __init__(self) -> None:
        self.read, self.report = ReadReport(), ReplayReport()
        self.broken: list[TranscriptError] = []
        self.conversations: list[ConversationReport] = []
        self.error: str | None = None

    def facts(self) -> dict[str, Any]:
        """All of it, comparable."""
        read = self.read
        return {
            "conversations": self.conversations,
            "totals": self.report,
            "broken": [str(error) for error in self.broken],
            "counts": (read.lines, read.messages, read.skipped, read.blank, read.truncated),
            "distinct": (read.agents, read.conversations),
            "errors": [str(error) for error in read.errors],
            "formats": list(read.formats.items()),
            "reasons": list(read.reasons.items()),
            "error": self.error,
        }


def found_by(files: list[str], jobs: int, policy: Policy | None = None, **options: Any) -> dict[str, Any]:
    """Replay with so many processes."""
    found = Found()
    try:
        for conversation in replay_files(
            files, policy, jobs=jobs, read=found.read, broken=found.broken, report=found.report, **options
        ):
            found.conversations.append(conversation)
    except TranscriptError as error:
        found.error = str(error)
        return {"error": found.error, "conversations": found.conversations}
    return found.facts()


def answers_of(
    files: list[str],
    policy: Policy,
    number: int,
    jobs: int,
    *,
    stop: Interruption,
    strict: bool = False,
    keep_incidents: int = 10,
) -> list[list[Any]]:
    """What one of the processes says, in this one."""
    answers = io.BytesIO()
    job = {
        "policy": policy.settings.model_dump(mode="json"),
        "strict": strict,
        "format": None,
        "columns": None,
        "keep_incidents": keep_incidents,
        "priced": False,
        "advance": False,
        "number": number,
        "of": jobs,
        "files": [(name, None) for name in files],
    }
    _Work(job, answers, stop).run()
    return [[*json.loads(line), number] for line in answers.getvalue().splitlines()]


def found_here(files: list[str], jobs: int, policy: Policy, *, strict: bool, keep_incidents: int) -> dict[str, Any]:
    """What the processes do and what is made of it, in this one: many small cases are tried in little time."""
    found = Found()
    options: Any = {"strict": strict, "keep_incidents": keep_incidents}
    streams = [answers_of(files, policy, number, jobs, stop=Interruption(), **options) for number in range(jobs)]
    merge = Merge(files, jobs, found.read, found.broken, found.report, keep_incidents)
    try:
        for conversation in merge.over(heapq.merge(*streams, key=merge.order)):
            found.conversations.append(conversation)
    except TranscriptError as error:
        return {"error": str(error), "conversations": found.conversations}
    return found.facts()


def loop(name: str, count: int = 14) -> Iterator[str]:
    """Lines of two agents that thank each other."""
    for number in range(count):
        pair = ("ann", "bob") if number % 2 else ("bob", "ann")
        yield message_to_json(Message(name, *pair, content="Great, thank you!", cost_usd=0.1))


# -- the answer of one process ----------------------------------------------------------------------------------------


def test_the_scenarios_come_out_the_same_with_two_and_with_three_processes() -> None:
    """Every conversation in its order, with its evidence, and every total."""
    files = expand_paths([str(SCENARIOS / "**" / "*.jsonl*")])
    one = found_by(files, 1)
    assert len(one["conversations"]) > 500
    for jobs in (2, 3):
        assert found_by(files, jobs) == one


def test_other_formats_come_out_the_same(tmp_path: Path) -> None:
    """Readers that know nothing of shares, files that cannot be read, and those that break off."""
    good = "".join(f"{line}\n" for line in loop("a")).encode()
    (tmp_path / "cut.jsonl.gz").write_bytes(gzip.compress(b"{bad\n" * 30 + good * 9)[:-30])
    (tmp_path / "empty.jsonl").write_bytes(b"")
    (tmp_path / "prose.jsonl").write_bytes(b"Dear diary\n")
    samples = [str(path) for path in sorted(SAMPLES.iterdir()) if path.is_file() and ".expected." not in path.name]
    files = [*samples, *(str(tmp_path / name) for name in ("cut.jsonl.gz", "empty.jsonl", "prose.jsonl", "none"))]
    one = found_by(files, 1)
    assert len(one["broken"]) >= 3
    assert found_by(files, 2) == one


names = st.sampled_from(["a", "b", "c", "d", "é", 'quo"te', "half \ud83d"])
bad_lines = st.sampled_from(
    ["{bad", "[]", "", '{"conversation_id":"a"}', '{"conversation_id":"b","sender":7}', '{"sender":"x"}']
)
lines = st.one_of(
    names.map(lambda name: next(loop(name, 1))),
    names.map(lambda name: json.dumps({"conversation_id": name, "sender": name, "content": f"{name} is 7"})),
    bad_lines,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    recordings=st.lists(st.lists(lines, max_size=40), min_size=1, max_size=3),
    jobs=st.integers(2, 4),
    room=st.sampled_from([1, 2, 3, 100]),
    strict=st.booleans(),
    keep_incidents=st.sampled_from([0, 1, 2, 1000]),
)
def test_any_recording_comes_out_the_same(
    tmp_path: Path, recordings: list[list[str]], jobs: int, room: int, strict: bool, keep_incidents: int
) -> None:
    """Interleaved, broken, with room for few, with a fault that is fatal, with evidence for few."""
    files = []
    for number, recording in enumerate(recordings):
        path = tmp_path / f"{number}.jsonl"
        path.write_text("\n".join(recording))
        files.append(str(path))
    if not strict:
        # A line that is none, but says whose it is, counts as a sign of life in the processes that do not parse it;
        # that shows only where conversations are forgotten for want of room.
        room = max(room, 7)
    policy = Policy(conversations={"max_conversations": room}, ladder={"warn": 1.0, "steer": 1.5, "halt": 2.0})
    one = found_by(files, 1, policy, strict=strict, keep_incidents=keep_incidents)
    assert found_here(files, jobs, policy, strict=strict, keep_incidents=keep_incidents) == one


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=st.lists(st.sampled_from("abcdefgh"), max_size=120), jobs=st.integers(2, 4), room=st.integers(1, 6))
def test_what_is_forgotten_for_want_of_room_is_the_same(tmp_path: Path, order: list[str], jobs: int, room: int) -> None:
    """The processes together hold as many conversations as one would, and the same ones."""
    path = tmp_path / "log.jsonl"
    path.write_text("\n".join(next(loop(name, 1)) for name in order) or "{}")
    policy = Policy(conversations={"max_conversations": room})
    one = found_by([str(path)], 1, policy)
    assert found_here([str(path)], jobs, policy, strict=False, keep_incidents=9) == one


def test_the_evidence_that_is_kept_is_that_of_the_first_halts(tmp_path: Path) -> None:
    """First in the recording, across files and processes, not the first that a process comes upon."""
    files = []
    for number in range(3):
        path = tmp_path / f"{number}.jsonl"
        path.write_text("\n".join(chain.from_iterable(zip(*(loop(f"c{n}") for n in range(6)), strict=True))))
        files.append(str(path))
    one = found_by(files, 1, keep_incidents=8)
    assert [c.incident is not None for c in one["conversations"]] == [True] * 8 + [False] * 10
    assert found_by(files, 3, keep_incidents=8) == one


def test_strict_raises_the_fault_that_one_process_would_have_raised(tmp_path: Path) -> None:
    """The first in the recording, and what came before its file was reported."""
    good, bad = tmp_path / "good.jsonl", tmp_path / "bad.jsonl"
    good.write_text("\n".join(loop("a")))
    broken = ['{"conversation_id":"%s","sender":7}' % name for name in "hgfedcba"]  # noqa: UP031 - braces
    bad.write_text("\n".join([*loop("b"), *broken]))
    one = found_by([str(good), str(bad), str(good)], 1, strict=True)
    assert one["error"] == f"{bad}:15: sender: expected a string, found a number"
    assert len(one["conversations"]) == 1
    assert found_by([str(good), str(bad), str(good)], 3, strict=True) == one


# -- input ------------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_is_read_by_all_processes(tmp_path: Path) -> None:
    """It can be read once only, so it is put into a file that is gone afterwards."""
    data = "\n".join(chain(loop("a"), loop("b"), loop("c"))).encode()
    pipe, plain = tmp_path / "pipe", tmp_path / "plain.jsonl"
    plain.write_bytes(data)
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(data,))
    writer.start()
    found = found_by([str(pipe)], 2)
    writer.join()
    expected = [c.model_copy(update={"source": str(pipe)}) for c in found_by([str(plain)], 1)["conversations"]]
    assert found["conversations"] == expected
    assert len(expected) == 3


def test_a_program_without_a_guard_for_its_main_part_may_call_it(tmp_path: Path) -> None:
    """The processes are programs of their own: the caller's is not run again in each of them."""
    (tmp_path / "log.jsonl").write_text("\n".join(chain(loop("a"), loop("b"))))
    (tmp_path / "script.py").write_text(
        "from agentbreaker.parallel import replay_files\n"
        "print([c.conversation_id for c in replay_files(['log.jsonl'], jobs=2)])\n"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    out = subprocess.check_output([sys.executable, "script.py"], cwd=tmp_path, env=environment, text=True, timeout=60)
    assert out == "['a', 'b']\n"


# -- what cannot be done ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("jobs", [-1, 257])
def test_a_number_of_processes_that_makes_no_sense_is_refused(jobs: int) -> None:
    """Before anything is started."""
    with pytest.raises(ConfigError, match="between 0 and 256"):
        replay_files([], jobs=jobs)


def test_what_cannot_be_handed_to_another_process_is_refused() -> None:
    """An embedder, and a policy that decides by code of its own."""

    class Lenient(Policy):
        """Never halts."""

        def decide(self, verdict: Verdict, *, steered: bool = False) -> Action:
            return Action.ALLOW

    with pytest.raises(ConfigError, match="an embedder works in one process only"):
        replay_files([], jobs=2, embedder=FakeEmbedder())
    with pytest.raises(ConfigError, match="a Lenient decides in one process only"):
        replay_files([], Lenient(), jobs=2)


def test_without_a_number_there_is_one_process_for_each_processor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``jobs=0`` asks the operating system."""
    assert processors() >= 1
    (tmp_path / "log.jsonl").write_text("\n".join(loop("a")))
    started = record_workers(monkeypatch)
    monkeypatch.setattr(parallel, "processors", lambda: 3)
    assert len(list(replay_files([str(tmp_path / "log.jsonl")], jobs=0))) == 1
    assert len(started) == 3


# -- what goes wrong --------------------------------------------------------------------------------------------------


def record_workers(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen]:
    """Collect the processes that are started."""
    started: list[subprocess.Popen] = []
    begin = parallel._Worker.__init__

    def init(self: parallel._Worker, *args: Any) -> None:
        begin(self, *args)
        started.append(self.process)

    monkeypatch.setattr(parallel._Worker, "__init__", init)
    return started


def long_recording(path: Path) -> str:
    """A file that takes a while."""
    path.write_text("\n".join(chain.from_iterable(loop(f"c{n}", 40) for n in range(1500))))
    return str(path)


@pytest.mark.skipif(os.name == "nt", reason="no SIGKILL there")
def test_a_process_that_is_killed_is_an_error_and_no_riddle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For want of memory, say: which one, how, and what to do; the others end too."""
    started = record_workers(monkeypatch)

    def kill(done: int, messages: int) -> None:
        if messages:
            os.kill(started[1].pid, signal.SIGKILL)

    with pytest.raises(WorkerError, match=r"process 2 of 2 was ended by SIGKILL, perhaps for want of memory") as caught:
        list(replay_files([long_recording(tmp_path / "log.jsonl")], jobs=2, progress=kill))
    assert (caught.value.number, caught.value.exit_code) == (2, -signal.SIGKILL)
    assert [process.poll() is not None for process in started] == [True, True]


def test_a_process_that_cannot_be_started_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An interpreter that is gone, and one that is none."""
    path = tmp_path / "log.jsonl"
    path.write_text("\n".join(loop("a")))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(WorkerError, match="process 1 of 2 cannot be started: No such file"):
        list(replay_files([str(path)], jobs=2))
    script = tmp_path / "python"
    script.write_text("#!/bin/sh\necho 'no \033[31mmodule' >&2\nexit 5\n")
    script.chmod(0o755)
    with pytest.raises(WorkerError, match=r"process \d of 2 ended with exit code 5: no \\x1b\[31mmodule"):
        list(replay_files([str(path)], jobs=2))


def test_a_fault_of_ours_names_its_place_and_not_what_agents_wrote(tmp_path: Path) -> None:
    """The text of an exception may hold anything, its type and line do not."""
    (tmp_path / "log.jsonl").write_text("\n".join(loop("canary")))
    job = {
        "policy": {},
        "strict": False,
        "format": None,
        "columns": None,
        "keep_incidents": 0,
        "advance": False,
        "priced": False,
    }
    text = json.dumps(job | {"of": 1, "number": 0, "files": [["log.jsonl", None]]})
    program = (
        "from agentbreaker import parallel_worker as w\n"
        "def broken(name, *_): raise KeyError(name)\n"
        "w.report_of = broken\n"
        "w.main()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        text=True,
    ) as worker:
        assert worker.stdin is not None
        assert worker.stdout is not None
        assert worker.stderr is not None
        worker.stdin.write(f"{len(text)}\n{text}")
        worker.stdin.flush()
        said = worker.stdout.read().splitlines()
        assert worker.stderr.read() == ""
        assert worker.wait(60) == 0
    assert json.loads(said[-1]) == ["fault", "KeyError in __main__:2"]


def test_who_has_seen_enough_leaves_no_process_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A generator that is closed ends what it started."""
    started = record_workers(monkeypatch)
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(loop("a")))
    conversations = replay_files([str(path), long_recording(tmp_path / "log.jsonl")], jobs=2)
    assert next(conversations).conversation_id == "a"
    conversations.close()  # type: ignore[attr-defined]
    assert [process.poll() is not None for process in started] == [True, True]


def test_a_wish_to_stop_gives_what_was_read_so_far(tmp_path: Path) -> None:
    """Every process says what it has, and the totals are those of what is said."""
    path = long_recording(tmp_path / "log.jsonl")
    stop, found = Interruption(), Found()

    def progress(done: int, messages: int) -> None:
        if messages:
            stop.ask()

    found.conversations = list(
        replay_files([path, path + "x"], jobs=2, progress=progress, stop=stop, read=found.read, report=found.report)
    )
    assert stop.cut_short
    assert 0 < found.report.messages < 60_000
    assert found.report.messages == sum(c.messages for c in found.conversations) == found.read.messages
    assert found.broken == []


class _AskedBetween(Interruption):
    """A wish to stop that comes just as a file ends."""

    def over(self, items: Iterable[Any], *, may_wait: bool = False) -> Iterator[Any]:
        """All items, then the wish."""
        yield from items
        self.ask()


@pytest.mark.parametrize("files", [1, 2])
def test_a_wish_to_stop_between_two_files_cuts_the_reading_short(tmp_path: Path, files: int) -> None:
    """A file that one process did not begin is not without messages: they are the ones that belong to that process."""
    paths = []
    for number in range(files):
        name = next(f"c{n}" for n in itertools.count() if crc32(b"c%d" % n, crc32(b"%d" % number)) % 2 == 0)
        path = tmp_path / f"{number}.jsonl"
        path.write_text("\n".join(loop(name)))
        paths.append(str(path))
    streams = []
    for number, stop in enumerate([_AskedBetween(), Interruption()]):
        streams.append(answers_of(paths, Policy(), number, 2, stop=stop))
    assert [stream[-1][:2] for stream in streams] == [["end", files == 2], ["end", False]]
    found = Found()
    merge = Merge(paths, 2, found.read, found.broken, found.report, 10)
    found.conversations = list(merge.over(heapq.merge(*streams, key=merge.order)))
    assert (len(found.conversations), found.broken) == (1, [])
