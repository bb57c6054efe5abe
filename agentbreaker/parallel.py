"""A replay by several processes: each judges some of the conversations, and the answer is that of one process.

A conversation belongs to a process by a hash of its id, so nothing is handed around: every process reads all files and
passes over what is not its own (:mod:`~agentbreaker.transcripts.share`).  This one merges what they found, in the order
in which one process would have found it.  The others are started anew, as programs of their own: whatever the caller's
process is in the middle of is not copied, and what they say is data, not objects.
"""

from __future__ import annotations

import heapq
import itertools
import json
import os
import queue
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any, Final

from agentbreaker.errors import AgentBreakerError, ConfigError, TranscriptError
from agentbreaker.interrupt import Interruption
from agentbreaker.parallel_merge import Merge
from agentbreaker.policy import Policy
from agentbreaker.pricing import Pricing
from agentbreaker.printable import printable
from agentbreaker.replay import KEPT_INCIDENTS, ConversationReport, ReplayReport, ReplayRun
from agentbreaker.transcripts.files import Advance, read_files_to_the_end, recordings, spool
from agentbreaker.transcripts.formats import find_format
from agentbreaker.transcripts.reading import ReadReport
from agentbreaker.transcripts.share import Reach

if TYPE_CHECKING:
    from agentbreaker.embedding import Embedder

__all__ = ["MAX_JOBS", "WorkerError", "processors", "replay_files"]

#: More processes than this would only read.
MAX_JOBS: Final = 256
#: Answers of a process that wait to be merged; beyond these it waits.
_WAITING: Final = 256
_PATIENCE_SECONDS: Final = 0.2
_FAREWELL_SECONDS: Final = 10.0


class WorkerError(AgentBreakerError):
    """A process of a parallel replay ended before its work was done.

    Attributes:
        number: Which one, from 1.
        exit_code: As :class:`subprocess.Popen` has it: minus the number of the signal that ended it.
    """

    def __init__(self, message: str, *, number: int, exit_code: int | None) -> None:
        self.number = number
        self.exit_code = exit_code
        super().__init__(message)


def processors() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0)) or 1
    return os.cpu_count() or 1


def replay_files(
    files: Sequence[str],
    policy: Policy | str | os.PathLike[str] | None = None,
    *,
    jobs: int = 1,
    strict: bool = False,
    format_name: str | None = None,
    columns: Mapping[str, str] | None = None,
    embedder: Embedder | None = None,
    progress: Advance | None = None,
    read: ReadReport | None = None,
    broken: list[TranscriptError] | None = None,
    report: ReplayReport | None = None,
    keep_incidents: int = KEPT_INCIDENTS,
    priced: bool = False,
    stop: Interruption | None = None,
    reach: Reach | None = None,
) -> Iterator[ConversationReport]:
    """Replay files and yield what became of each conversation, whatever the number of processes.

    The conversations of a file are yielded when it ends, in order of their first messages.  Standard input, or another
    pipe, is put into a temporary file where several processes read it.

    One thing may differ by the number of processes: a line that is no message but names a conversation is a sign of
    its life to those that do not parse it, which shows only where there are more conversations at a time than
    ``conversations.max_conversations`` and some have to be forgotten.

    Args:
        files: As :func:`~agentbreaker.transcripts.expand_paths` returns them.
        policy: A policy, the path of a policy file, or ``None`` for the defaults.
        jobs: Processes that judge; 0 is one for each processor.
        strict: The first line or file that cannot be read is raised instead of noted.
        format_name: What the files are; without it each file's content tells.
        columns: For tables: field of ours to the name of the column.
        embedder: The guard's, for AB303; only with one process.
        progress: Called now and then with the bytes and the messages that were read so far.
        read: Adds up what was read.
        broken: Takes the files that could not be read at all.
        report: Adds up the totals.
        keep_incidents: How many halts keep their evidence.
        priced: Whether what has tokens and no recorded price gets that of the policy and of the tables, so that budgets
            in money hold and costs are whole.
        stop: Ends the reading early; what was read until then is yielded.
        reach: Takes how far each of several processes has read, so that the same can be read again after `stop`.

    Raises:
        ConfigError: The policy, the format or the number of processes cannot be used, or the embedder not with them.
        TranscriptError: While it is consumed, with `strict`.
        WorkerError: While it is consumed: a process ended, for want of memory perhaps.
    """
    rules = policy if isinstance(policy, Policy) else Policy(policy)
    if not 0 <= jobs <= MAX_JOBS:
        raise ConfigError(f"jobs: between 0 and {MAX_JOBS}, not {jobs}", field="jobs")
    jobs = jobs or min(processors(), MAX_JOBS)
    if format_name is not None:
        find_format(format_name)
    read = ReadReport() if read is None else read
    broken = [] if broken is None else broken
    report = ReplayReport() if report is None else report
    stop = Interruption() if stop is None else stop
    if jobs == 1:
        pricing = Pricing.of(rules.settings.prices) if priced else None
        run = ReplayRun(rules, report, keep_incidents=keep_incidents, embedder=embedder, pricing=pricing)
        messages = read_files_to_the_end(
            files,
            strict=strict,
            read=read,
            broken=broken,
            format_name=format_name,
            columns=columns,
            advance=progress,
        )
        return run.over(stop.over(messages, may_wait=not all(map(os.path.isfile, files))))
    if embedder is not None:
        raise ConfigError("jobs: an embedder works in one process only; use jobs=1", field="jobs")
    if type(rules) is not Policy:
        raise ConfigError(f"jobs: a {type(rules).__name__} decides in one process only; use jobs=1", field="jobs")
    job = {
        "policy": rules.settings.model_dump(mode="json"),
        "strict": strict,
        "format": format_name,
        "columns": dict(columns) if columns else None,
        "keep_incidents": keep_incidents,
        "priced": priced,
        "advance": progress is not None,
        "of": jobs,
    }
    chosen = list(recordings(files, read, broken, format_name, columns))
    return _replay(chosen, job, Merge(chosen, jobs, read, broken, report, keep_incidents, reach), progress, stop)


def _replay(
    files: list[str], job: dict[str, Any], merge: Merge, progress: Advance | None, stop: Interruption
) -> Iterator[ConversationReport]:
    with ExitStack() as stack:
        paths = [(name, spool(name, stack, stop)) for name in files]
        # One seed for all, so that their hashes of names can be put together.
        seed = os.environ.get("PYTHONHASHSEED", "")
        environment = os.environ | {
            "PYTHONHASHSEED": seed if seed.isdecimal() else str(secrets.randbelow(2**32)),
            "PYTHONPATH": os.pathsep.join(place or os.getcwd() for place in sys.path),
        }
        crew = _Crew(progress, stop)
        stack.callback(crew.dismiss)
        for number in range(job["of"]):
            crew.add(_Worker(job | {"number": number, "files": paths}, environment))
        answers = heapq.merge(*(crew.answers(worker) for worker in crew.workers), key=merge.order)
        yield from merge.over(answers)


class _Worker:
    """A process, and what it says."""

    def __init__(self, job: dict[str, Any], environment: Mapping[str, str]) -> None:
        self.number: int = job["number"] + 1
        self.of: int = job["of"]
        self.at = (0, 0)
        self.ordered = threading.Event()
        self.said: queue.Queue[list[Any] | None] = queue.Queue(_WAITING)
        # What it says beyond its answers is read only if it dies.
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed in `dismiss`
        try:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-c", "from agentbreaker.parallel_worker import main; main()"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                env=environment,
                # Ctrl-C is for this process, which tells the others.
                start_new_session=True,
                creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
            )
        except OSError as error:
            self._errors.close()
            raise WorkerError(
                f"process {self.number} of {self.of} cannot be started: {error.strerror}",
                number=self.number,
                exit_code=None,
            ) from None
        text = json.dumps(job).encode()
        self._thread = threading.Thread(target=self._listen, args=(b"%d\n%s" % (len(text), text),), daemon=True)
        self._thread.start()

    def _listen(self, job: bytes) -> None:
        assert self.process.stdin is not None  # noqa: S101 - for the type checker
        assert self.process.stdout is not None  # noqa: S101
        try:
            with suppress(OSError):  # it has gone already
                self.process.stdin.write(job)
                self.process.stdin.flush()
            self.ordered.set()
            for line in self.process.stdout:
                item = json.loads(line)
                if item[0] == "at":
                    self.at = (item[1], item[2])
                else:
                    self.said.put(item)
        except ValueError:  # a line that broke off, or a pipe that was closed here
            pass
        finally:
            self.said.put(None)

    def tell_to_stop(self) -> None:
        """Ask it to say what it has."""
        with suppress(OSError, ValueError):
            assert self.process.stdin is not None  # noqa: S101 - for the type checker
            self.process.stdin.write(b".")
            self.process.stdin.flush()

    def why(self) -> WorkerError:
        """Say why it is gone."""
        code = self.process.wait(_FAREWELL_SECONDS)
        if code is not None and code < 0:
            try:
                name = signal.Signals(-code).name
            except ValueError:
                name = str(-code)
            what = f"was ended by {name}"
            if name == "SIGKILL":
                what += ", perhaps for want of memory; fewer --jobs take less"
        else:
            self._errors.seek(0)
            last = self._errors.read()[-2000:].decode("utf-8", "replace").strip().rpartition("\n")[2]
            what = f"ended with exit code {code}{': ' if last else ''}{printable(last)}"
        return WorkerError(
            f"process {self.number} of {self.of} {what}; nothing more was read", number=self.number, exit_code=code
        )

    def dismiss(self) -> None:
        """End it, if it has not ended by itself."""
        self.process.kill()
        while self._thread.is_alive():
            with suppress(queue.Empty):
                while True:
                    self.said.get_nowait()
            self._thread.join(0.01)
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self._errors):
            if stream is not None:
                with suppress(OSError):
                    stream.close()


class _Crew:
    """All processes of a replay."""

    def __init__(self, progress: Advance | None, stop: Interruption) -> None:
        self.workers: list[_Worker] = []
        self._progress = progress
        self._stop = stop
        self._told = False

    def add(self, worker: _Worker) -> None:
        """Take one more."""
        self.workers.append(worker)

    def answers(self, worker: _Worker) -> Iterator[list[Any]]:
        """Yield what a process says, to its end.

        Raises:
            WorkerError: It ended without saying so.
        """
        for count in itertools.count():
            if count % 64 == 0:
                self._look_around()
            try:
                item = worker.said.get(timeout=_PATIENCE_SECONDS)
            except queue.Empty:
                self._look_around()
                continue
            if item is None:
                raise worker.why()
            if item[0] == "fault":
                raise WorkerError(
                    f"process {worker.number} of {worker.of} failed ({printable(item[1])}); "
                    f"please report this, and try --jobs 1",
                    number=worker.number,
                    exit_code=None,
                )
            if item[0] == "refused":
                raise AgentBreakerError(item[1])
            if item[0] == "end":
                self._stop.cut_short = self._stop.cut_short or item[1]
            yield [*item, worker.number - 1]
            if item[0] in ("end", "error"):
                return

    def _look_around(self) -> None:
        if self._progress is not None:
            done = sum(worker.at[0] for worker in self.workers) // len(self.workers)
            self._progress(done, sum(worker.at[1] for worker in self.workers))
        if self._stop.asked and not self._told and all(worker.ordered.is_set() for worker in self.workers):
            self._told = True
            for worker in self.workers:
                worker.tell_to_stop()

    def dismiss(self) -> None:
        """End all that have not ended by themselves."""
        for worker in self.workers:
            worker.process.kill()
        for worker in self.workers:
            worker.dismiss()
