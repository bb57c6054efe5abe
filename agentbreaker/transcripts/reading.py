"""What happened while recordings were read: how much, as what, and what could not be read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from agentbreaker.errors import TranscriptError
from agentbreaker.message import Message

__all__ = ["ReadReport"]

_MAX_ERRORS: Final = 20
_MAX_REASONS: Final = 20
#: Distinct senders and conversations counted by a report; more are "at least so many".
_MAX_COUNTED: Final = 100_000
#: Kinds of messages of which an agent is the sender.
_SAID: Final = ("message", "tool_call", "handoff")


@dataclass(slots=True)
class ReadReport:
    """What happened while reading; may be handed to several :func:`read_transcript` calls to add them up.

    Attributes:
        lines: Physical lines seen: messages, skipped and blank ones together.  Formats in which a line is not a
            message count their records here.
        messages: Messages that were read.
        skipped: Lines or records that could not be read.
        blank: Empty lines, which are no fault.
        truncated: Compressed files that broke off; what came before was read.
        errors: The first 20 faults, as they would have been raised with ``strict``; a file that breaks off takes the
            last place if there is none left.
        formats: Messages by the name of the format that they were read as.
        reasons: Skipped lines or records by reason, without the place; the first 20 reasons.
        passed_over: Files of folders that are no recordings.
        strangers: The first 20 of these.
        joined: Whether the files are parts of one recording, so that the same id in two of them is one conversation;
            set beforehand.
    """

    lines: int = 0
    messages: int = 0
    skipped: int = 0
    blank: int = 0
    truncated: int = 0
    errors: list[TranscriptError] = field(default_factory=list)
    formats: dict[str, int] = field(default_factory=dict)
    reasons: dict[str, int] = field(default_factory=dict)
    passed_over: int = 0
    joined: bool = False
    strangers: list[str] = field(default_factory=list)
    # Hashes, not names: a storm may have a million senders with names of a thousand characters.
    _senders: set[int] = field(default_factory=set, repr=False)
    _conversations: set[int] = field(default_factory=set, repr=False)
    #: Line of the first record that was skipped for a reason.
    _first_lines: dict[str, int] = field(default_factory=dict, repr=False)
    _most_reasons: int = field(default=_MAX_REASONS, repr=False)

    @property
    def ok(self) -> bool:
        """Whether everything could be read."""
        return not self.skipped and not self.truncated

    @property
    def agents(self) -> int:
        """Distinct senders, without users, tools and prompts; counted up to 100,000."""
        return min(len(self._senders), _MAX_COUNTED)

    @property
    def conversations(self) -> int:
        """Distinct conversations; the same id in two files counts twice, unless `joined`.  Counted up to 100,000."""
        return min(len(self._conversations), _MAX_COUNTED)

    def pass_over(self, path: str) -> None:
        """Count a file of a folder that is no recording."""
        self.passed_over += 1
        if len(self.strangers) < _MAX_ERRORS:
            self.strangers.append(path)

    def counted(self, messages: Iterator[Message], name: str, path: str) -> Iterator[Message]:
        """Pass messages on, and note who speaks in which conversation and as what format they were read."""
        before = self.messages
        senders, conversations = self._senders, self._conversations
        latest: str | None = None
        try:
            for message in messages:
                if message.kind in _SAID and message.role not in ("user", "system") and len(senders) < _MAX_COUNTED:
                    senders.add(hash(message.sender))
                if message.conversation_id != latest and len(conversations) < _MAX_COUNTED:
                    latest = message.conversation_id
                    conversations.add(hash(latest if self.joined else (path, latest)))
                yield message
        finally:
            self.formats[name] = self.formats.get(name, 0) + self.messages - before

    def keep(self, error: TranscriptError, *, important: bool = False) -> None:
        """Keep a fault to be named, while there is room; an important one takes the place of the last."""
        if len(self.errors) < _MAX_ERRORS:
            self.errors.append(error)
        elif important:
            self.errors[-1] = error

    def skip(self, error: TranscriptError) -> None:
        """Count a line or record that could not be read."""
        self.skipped += 1
        self.keep(error)
        # The place within the line makes every reason another one.
        reason = error.reason.split(" (")[0]
        if error.field is not None:
            reason = f"{error.field}: {reason}"
        self.give_reason(reason, 1)
        if reason in self.reasons:
            self._first_lines.setdefault(reason, error.line or 0)

    def give_reason(self, reason: str, number: int) -> None:
        """Count lines or records that were skipped for a reason, while there is room."""
        if reason in self.reasons or len(self.reasons) < self._most_reasons:
            self.reasons[reason] = self.reasons.get(reason, 0) + number
