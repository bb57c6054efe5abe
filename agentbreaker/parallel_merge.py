"""What several processes found, put together as one process would have found it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from agentbreaker.errors import TranscriptError
from agentbreaker.replay import ConversationReport, ReplayReport
from agentbreaker.transcripts.files import NO_MESSAGE
from agentbreaker.transcripts.reading import ReadReport
from agentbreaker.transcripts.share import Reach

__all__ = ["Merge"]


class Merge:
    """Puts the answers of all processes together.

    Args:
        files: Names of the files.
        jobs: How many processes there are.
        read, broken, report: Take what one process would have noted.
        keep_incidents: How many halts keep their evidence: the first ones of all.
        reach: Takes how far each process has read.
    """

    def __init__(
        self,
        files: list[str],
        jobs: int,
        read: ReadReport,
        broken: list[TranscriptError],
        report: ReplayReport,
        keep_incidents: int,
        reach: Reach | None = None,
    ) -> None:
        self._files = files
        self._jobs = jobs
        self._read = read
        self._broken = broken
        self._report = report
        self._incidents_left = keep_incidents
        self._reach = reach
        #: What each process said of a file, until all have.
        self._said: dict[int, dict[int, dict[str, Any]]] = {}
        #: Places of the halts in the latest file whose evidence is kept.
        self._halts: frozenset[int] = frozenset()

    @staticmethod
    def order(item: list[Any]) -> tuple[int, int, int]:
        """Sort key of an answer; those of a process come in this order."""
        match item:
            case ["file", file, *_]:
                return file, 0, 0
            case ["error", file, _, _, line, _, _]:
                return file, 1, line or 0
            case ["conversation", file, position, *_]:
                return file, 2, position
        return 2**62, 0, 0

    def over(self, answers: Iterator[list[Any]]) -> Iterator[ConversationReport]:
        """Yield the conversations out of the answers, which are in order; note everything else.

        Raises:
            TranscriptError: One of the processes met it, and the run is strict.
        """
        for item in answers:
            match item:
                case ["file", file, facts, number]:
                    self._said.setdefault(file, {})[number] = facts
                    if len(self._said[file]) == self._jobs:
                        self._settle(file)
                case ["conversation", file, _, fields, [halt, incident, text], _]:
                    if file in self._said:
                        self._settle(file)  # after Ctrl-C one process may be a file ahead of another
                    if halt not in self._halts:
                        incident = text = None
                    conversation = ConversationReport(**fields, incident=incident, incident_text=text)
                    self._report.add(conversation)
                    yield conversation
                case ["error", _, reason, path, line, field, _]:
                    raise TranscriptError(reason, path=path, line=line, field=field)
                case ["end", _, senders, conversations, _]:
                    self._read._senders.update(senders)
                    self._read._conversations.update(conversations)
        for file in sorted(self._said):
            self._settle(file)

    def _settle(self, file: int) -> None:
        """Add up what the processes read of a file."""
        by_number = self._said.pop(file)
        said = [facts for _, facts in sorted(by_number.items())]
        # What each process took is its own; everything else a reader that knows nothing of shares counts in each.
        taken = [by_number[number]["counts"][1] if number in by_number else 0 for number in range(self._jobs)]
        if self._reach is not None:
            self._reach.note(self._files[file], file, taken)
        halts = sorted(place for facts in said for place in facts["halts"])[: self._incidents_left]
        self._incidents_left -= len(halts)
        self._halts = frozenset(halts)
        self._report.forgotten += sum(facts["forgotten"] for facts in said)
        read, first = self._read, said[0]
        counted = said if first["partial"] else said[:1]
        lines, _, _, blank, truncated = first["counts"]
        messages, skipped = sum(taken), sum(facts["counts"][2] for facts in counted)
        read.lines += lines
        read.blank += blank
        read.truncated += truncated
        read.messages += messages
        read.skipped += skipped
        for facts in counted:
            for name, number in facts["formats"].items():
                read.formats[name] = read.formats.get(name, 0) + number
        errors = [TranscriptError(e[0], path=e[1], line=e[2], field=e[3]) for facts in counted for e in facts["errors"]]
        reasons = [reason for facts in counted for reason in facts["reasons"]]
        if first["partial"]:
            errors.sort(key=lambda error: (error.line or 0, _is_cut(error)))
            reasons.sort(key=lambda reason: reason[1])
        for error in errors:
            read.keep(error, important=_is_cut(error))
        for reason, _, number in reasons:
            read.give_reason(reason, number)
        faults: list[Any] = next((facts["broken"] for facts in said if facts["broken"]), [])
        self._broken += [TranscriptError(e[0], path=e[1], line=e[2], field=e[3]) for e in faults]
        # Some had not come to this file when the reading ended.
        whole = len(said) == self._jobs and not any(facts["cut_short"] for facts in said)
        if whole and not faults and not messages:
            self._broken.append(TranscriptError(NO_MESSAGE, path=self._files[file]))


def _is_cut(error: TranscriptError) -> bool:
    """Whether this says that a packed file breaks off; no other fault of our own format names gzip."""
    return "gzip" in error.reason
