"""One of the processes of a parallel replay: reads every file, judges the conversations of its share, says what it saw.

It is told what to do by JSON on standard input, after a line with its length, and answers with lines of JSON on
standard output: ``at`` (how far it is), ``file`` (what it read of a file), ``conversation``, and one of ``end``,
``error`` (a fault that ends a strict run), ``refused`` (it cannot go on) and ``fault`` (one of ours).  One more byte on
standard input ends the reading early; the end of standard input, when nobody is left to be told, ends the process.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from io import FileIO
from typing import Any, BinaryIO

from agentbreaker.errors import AgentBreakerError, TranscriptError
from agentbreaker.interrupt import Interruption
from agentbreaker.message import Message
from agentbreaker.policy import Policy
from agentbreaker.pricing import Pricing
from agentbreaker.replay import ReplayReport, ReplayRun, report_of
from agentbreaker.transcripts.files import read_file, size_of
from agentbreaker.transcripts.reading import ReadReport
from agentbreaker.transcripts.share import Share

__all__ = ["main"]

#: Enough for every reason that our own format knows, so that the first twenty of all shares are among them.
_MOST_REASONS = 10_000


def main() -> None:
    """Do what standard input says, and exit."""
    order = FileIO(0, closefd=False)
    # What a reader of somebody else's prints must not get between the answers.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    length, text = int(order.readline()), bytearray()
    while len(text) < length and (part := order.read(length - len(text))):
        text += part
    job = json.loads(text)
    stop = Interruption()
    threading.Thread(target=_listen, args=(order, stop), daemon=True).start()
    try:
        _Work(job, answers, stop).run()
    except BrokenPipeError:
        os._exit(1)
    except AgentBreakerError as error:
        _say(answers, ["refused", str(error)])
    except Exception as error:
        # Type and place, not the text: that may hold what agents wrote.
        place = error.__traceback__
        while place is not None and place.tb_next is not None:
            place = place.tb_next
        where = f"{place.tb_frame.f_globals.get('__name__')}:{place.tb_lineno}" if place is not None else "?"
        _say(answers, ["fault", f"{type(error).__name__} in {where}"])
    answers.flush()
    # The thread that listens holds on to standard input, and would not let the interpreter end in peace.
    os._exit(0)


def _listen(order: FileIO, stop: Interruption) -> None:
    if order.read(1):
        stop.ask()
        order.read(1)
    os._exit(1)


def _say(answers: BinaryIO, item: list[Any]) -> None:
    answers.write(json.dumps(item, separators=(",", ":")).encode() + b"\n")


class _Work:
    """What a job asks for."""

    def __init__(self, job: dict[str, Any], answers: BinaryIO, stop: Interruption) -> None:
        self._job = job
        self._answers = answers
        self._stop = stop
        self._totals = ReplayReport()
        self._read = ReadReport()
        self._messages = 0
        self._share = Share(job["number"], job["of"], self._pass)
        policy = Policy(**job["policy"])
        self._run = ReplayRun(
            policy,
            self._totals,
            keep_incidents=job["keep_incidents"],
            place=lambda: self._share.position,
            pricing=Pricing.of(policy.settings.prices) if job["priced"] else None,
        )

    def _pass(self, conversation_id: bytes) -> None:
        room = self._run.room
        if conversation_id != room.latest:
            room.enter(conversation_id)

    def run(self) -> None:
        """Read the files; say what they hold."""
        done = 0
        for number, (name, path) in enumerate(self._job["files"]):
            try:
                self._file(number, name, path, done)
            except TranscriptError as error:
                self._tell("error", number, *_facts(error))
                return
            if self._stop.asked:
                # Asked for between two files, it cut none of them short.
                self._stop.cut_short = self._stop.cut_short or number + 1 < len(self._job["files"])
                break
            done += size_of(path or name)
            if self._job["advance"]:
                self._at(done)
            self._answers.flush()
        read = self._read
        self._tell("end", self._stop.cut_short, list(read._senders), list(read._conversations))

    def _file(self, number: int, name: str, path: str | None, done: int) -> None:
        read = ReadReport(_senders=self._read._senders, _conversations=self._read._conversations)
        read._most_reasons = _MOST_REASONS
        broken: list[TranscriptError] = []
        share, take = self._share, self._run.take
        share.begin(number)
        messages: Iterator[Message] = read_file(
            name,
            strict=self._job["strict"],
            read=read,
            broken=broken,
            format_name=self._job["format"],
            columns=self._job["columns"],
            advance=self._at if self._job["advance"] else None,
            done=done,
            share=share,
            path=path,
        )
        before = self._messages
        for message in self._stop.over(messages):
            take(message)
            self._messages += 1
        self._tell(
            "file",
            number,
            {
                "partial": share.partial,
                "counts": [read.lines, self._messages - before, read.skipped, read.blank, read.truncated],
                "errors": [_facts(error) for error in read.errors],
                "reasons": [[reason, read._first_lines[reason], count] for reason, count in read.reasons.items()],
                "formats": read.formats,
                "broken": [_facts(error) for error in broken],
                "halts": self._run.halts,
                "forgotten": self._totals.forgotten,
                "cut_short": self._stop.cut_short,
            },
        )
        self._totals.forgotten = 0
        for conversation_id, tally in self._run.tallies():
            report = report_of(conversation_id, tally, name).model_dump()
            evidence = (tally.halt_position, tally.incident, tally.incident_text)
            self._tell("conversation", number, tally.position, report, evidence)

    def _at(self, done: int, _: int = 0) -> None:
        self._tell("at", done, self._messages)
        self._answers.flush()

    def _tell(self, kind: str, *facts: Any) -> None:
        _say(self._answers, [kind, *facts])


def _facts(error: TranscriptError) -> tuple[str, str, int | None, str | None]:
    return error.reason, error.path, error.line, error.field


if __name__ == "__main__":
    main()
