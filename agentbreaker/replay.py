"""Recorded conversations through the engine: what would have been halted, where, and what came after.

The same :class:`~agentbreaker.guard.Guard` as in production sees every message in the order of the recording, at the
time that the recording gives.  Time belongs to a conversation: recordings of different days lie side by side in a
corpus, so each conversation has a clock of its own that starts with its first timestamp and never goes back.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field

from agentbreaker.clock import VirtualClock
from agentbreaker.guard import Guard
from agentbreaker.message import Message
from agentbreaker.policy import Policy
from agentbreaker.tallies import Room, Tallies, Tally
from agentbreaker.transcripts import ReadReport, read_transcript
from agentbreaker.verdict import Decision

if TYPE_CHECKING:
    from agentbreaker.embedding import Embedder
    from agentbreaker.pricing import Pricing

__all__ = [
    "KEPT_INCIDENTS",
    "ConversationReport",
    "ReplayReport",
    "ReplayRun",
    "read_sources",
    "replay",
    "report_of",
]

#: Incidents kept in full; a corpus may hold a hundred thousand halts, and a person reads the first few.
KEPT_INCIDENTS = 1000


class ConversationReport(BaseModel):
    """What became of one conversation; ``model_dump_json()`` is its line of ``replay --output-format jsonl``.

    Messages are numbered from 0 within the conversation, every line counted, also ``system`` lines and duplicates.

    Attributes:
        conversation_id: The conversation.
        source: File as the user named it, ``"-"`` for standard input.
        messages: How many there are.
        agents: Distinct senders, counted up to 10,000.
        halted_at: Number of the message on which the breaker opened, the first one that would not have been
            delivered; ``None`` if it stayed closed.
        warned_at: Number of the message with the first warning or steer, ``None`` if there was none.
        detector: Code of the detector that decided the halt, else the first warning, else ``None``.
        score: Fused score in [0, 1] of the halt; without one the highest score that led to a warning, else 0.
        tokens: Recorded tokens, input and output; 0 where none are recorded.
        tokens_after_halt: Of these, on `halted_at` and after it.
        cost_usd: Recorded US dollars; 0 where none are recorded.
        cost_usd_after_halt: Of these, on `halted_at` and after it.
        incident: The evidence of the halt as plain data, ``None`` without a halt.  Not part of the line.
        incident_text: The same for people, safe to print.  Not part of the line.
    """

    model_config = ConfigDict(frozen=True)

    conversation_id: str
    source: str
    messages: int
    agents: int
    halted_at: int | None
    warned_at: int | None
    detector: str | None
    score: float
    tokens: int
    tokens_after_halt: int
    cost_usd: float
    cost_usd_after_halt: float
    incident: dict[str, Any] | None = Field(default=None, exclude=True, repr=False)
    incident_text: str | None = Field(default=None, exclude=True, repr=False)


@dataclass(slots=True)
class ReplayReport:
    """Totals over all conversations of a replay; filled while :func:`replay` is consumed.

    Attributes:
        conversations: How many there are.
        halted: How many of them were halted.
        warned: How many were warned or steered, halted or not.
        warned_only: How many of them were not halted.
        messages: Messages in all.
        messages_after_halt: Of these, the ones that would not have been delivered.
        tokens, tokens_after_halt: Recorded tokens in all, and on or after a halt.
        cost_usd, cost_usd_after_halt: Recorded US dollars, likewise.
        detectors: Halts by the code of the detector that decided.
        forgotten: Conversations that went on after the guard had to forget them for want of room; their evidence
            started again from nothing.  Raise ``conversations.max_conversations`` if this is not 0.
    """

    conversations: int = 0
    halted: int = 0
    warned: int = 0
    warned_only: int = 0
    messages: int = 0
    messages_after_halt: int = 0
    tokens: int = 0
    tokens_after_halt: int = 0
    cost_usd: float = 0.0
    cost_usd_after_halt: float = 0.0
    detectors: dict[str, int] = field(default_factory=dict)
    forgotten: int = 0

    def add(self, conversation: ConversationReport) -> None:
        """Add one conversation to the totals."""
        self.conversations += 1
        self.messages += conversation.messages
        self.warned += conversation.warned_at is not None
        self.warned_only += conversation.warned_at is not None and conversation.halted_at is None
        if conversation.halted_at is not None:
            self.halted += 1
            self.messages_after_halt += conversation.messages - conversation.halted_at
            code = conversation.detector or "manual"
            self.detectors[code] = self.detectors.get(code, 0) + 1
        self.tokens += conversation.tokens
        self.tokens_after_halt += conversation.tokens_after_halt
        self.cost_usd += conversation.cost_usd
        self.cost_usd_after_halt += conversation.cost_usd_after_halt


def read_sources(
    paths: Sequence[str | os.PathLike[str]], *, strict: bool = False, report: ReadReport | None = None
) -> Iterator[tuple[str, Message]]:
    """Yield the messages of several transcripts, one file after the other, each with the name of its file.

    Args:
        paths: File names, ``"-"`` for standard input; see :func:`~agentbreaker.transcripts.expand_paths`.
        strict: Raise at the first line that cannot be read, instead of counting and skipping it.
        report: Adds up what was read over all files.

    Raises:
        TranscriptError: As :func:`~agentbreaker.transcripts.read_transcript`.
    """
    for path in paths:
        source = os.fspath(path)
        for message in read_transcript(source, strict=strict, report=report):
            yield source, message


def replay(
    messages: Iterable[tuple[str, Message]],
    policy: Policy | str | os.PathLike[str] | None = None,
    *,
    report: ReplayReport | None = None,
    keep_incidents: int = KEPT_INCIDENTS,
    watch: Callable[[int, Message, Decision], object] | None = None,
    embedder: Embedder | None = None,
) -> Iterator[ConversationReport]:
    """Drive a guard with recorded messages and yield what became of each conversation.

    Conversations may interleave within a source.  When the source changes, those of the one before are complete:
    they are yielded, in order of their first message, and forgotten.  The same id in two sources is two conversations.
    After a halt the rest of a conversation is only counted.

    Memory is bounded by what is kept of the latest ``conversations.max_conversations`` conversations of a source;
    beyond these, the guard forgets the one that was silent for longest, and its counters wait in a temporary file.

    Args:
        messages: Pairs of source and message, such as :func:`read_sources` yields.
        policy: A policy, the path of a policy file, or ``None`` for the defaults.
        report: Adds up the totals.
        keep_incidents: How many halts keep their evidence.
        watch: Called with each message that the guard judged: its number in its conversation, the message, and the
            decision.  What it raises ends the replay.
        embedder: The guard's, for AB303.  An answer that takes longer than ``semantic.timeout_seconds`` counts from a
            later message on, so raise that for the same result on every machine.

    Raises:
        ConfigError: The policy or the embedder cannot be used.
        TranscriptError: Whatever `messages` raises.
    """
    run = ReplayRun(
        policy if isinstance(policy, Policy) else Policy(policy),
        ReplayReport() if report is None else report,
        keep_incidents=keep_incidents,
        watch=watch,
        embedder=embedder,
    )
    return run.over(messages)


class _ConversationTime:
    """The clock that the guard reads: it shows the time of the conversation that is being observed."""

    __slots__ = ("of",)

    def __init__(self) -> None:
        self.of = VirtualClock()

    def now(self) -> float:
        """Return the seconds since the first timestamp of the conversation."""
        return self.of.now()


class ReplayRun:
    """One guard, and the conversations of the source that is being read; what :func:`replay` is made of.

    Args:
        policy: Of the guard.
        report: Adds up the totals.
        keep_incidents, watch, embedder: As :func:`replay`.
        place: Says where in the source the latest message is; without it they are counted.
        pricing: Prices what has tokens and no recorded price, so that budgets in money hold.

    Attributes:
        report: As given.
        room: The conversations that the guard holds.
        halts: Places of the halts in the current source whose evidence is kept.
    """

    def __init__(
        self,
        policy: Policy,
        report: ReplayReport,
        *,
        keep_incidents: int = KEPT_INCIDENTS,
        watch: Callable[[int, Message, Decision], object] | None = None,
        embedder: Embedder | None = None,
        place: Callable[[], int] | None = None,
        pricing: Pricing | None = None,
    ) -> None:
        self.report = report
        self._pricing = pricing
        self.room = Room(policy.settings.conversations.max_conversations, self._leave)
        self.halts: list[int] = []
        self._watch = watch
        self._incidents_left = keep_incidents
        self._place = place or self._number
        self._taken = 0
        self._time = _ConversationTime()
        self._guard = Guard(policy, clock=self._time, embedder=embedder)
        self._tallies = Tallies()

    def _number(self) -> int:
        return self._taken

    def over(self, messages: Iterable[tuple[str, Message | None]]) -> Iterator[ConversationReport]:
        """Observe all messages; yield the conversations of each source when it is complete.

        That is where another source begins, or ``None`` instead of a message says so.
        """
        current: str | None = None
        for source, message in messages:
            if source != current:
                if current is not None:
                    yield from self.finish(current)
                current = source
            if message is not None:
                self.take(message)
            else:
                yield from self.finish(source)
                current = None
        if current is not None:
            yield from self.finish(current)

    def take(self, message: Message) -> None:
        """Observe and count a message."""
        conversation_id = message.conversation_id
        self._taken += 1
        if self._pricing is not None:
            self._pricing.fill(message)
        entered = conversation_id != self.room.latest and self.room.enter(conversation_id)
        tally = self._tallies.find(conversation_id)
        if tally is None:
            tally = self._tallies.start(conversation_id, self._place())
        elif entered:
            self.report.forgotten += tally.halted_at is None
        if tally.halted_at is None:
            if message.timestamp is not None:
                tally.move_clock(message.timestamp)
            self._time.of = tally.clock
            decision = self._guard.observe(message)
            if self._watch is not None:
                self._watch(tally.messages, message, decision)
            if tally.decide(decision):
                self._halt(conversation_id, tally)
        self._tallies.count(tally, message)

    def _halt(self, conversation_id: str, tally: Tally) -> None:
        """Keep the evidence; the rest of the conversation is only counted, so the guard need not hold it."""
        if self._incidents_left > 0:
            incident = self._guard.incident(conversation_id)
            if incident is not None:
                tally.incident, tally.incident_text = json.loads(incident.to_json(indent=None)), incident.to_text()
                tally.halt_position = self._place()
                self.halts.append(tally.halt_position)
                self._incidents_left -= 1
        self._guard.forget(conversation_id)

    def _leave(self, conversation_id: str) -> None:
        """Make room before the guard has to refuse a conversation: it would then hold no opinion of it."""
        self._guard.forget(conversation_id)
        self._tallies.put_aside(conversation_id)

    def finish(self, source: str) -> Iterator[ConversationReport]:
        """Forget the conversations of a source, and yield their reports in the order of their first messages."""
        for conversation in self.tallies():
            report = report_of(*conversation, source)
            self.report.add(report)
            yield report

    def tallies(self) -> Iterator[tuple[str, Tally]]:
        """Forget the conversations of a source, and yield their counters in the order of their first messages."""
        self.room.clear()
        for conversation_id in self._guard.conversations():
            self._guard.forget(conversation_id)
        self._taken = 0
        self.halts = []
        yield from self._tallies.finish()
        self._tallies = Tallies()


def report_of(conversation_id: str, tally: Tally, source: str) -> ConversationReport:
    """Return the counters of a conversation for people and programs."""
    return ConversationReport(
        conversation_id=conversation_id,
        source=source,
        messages=tally.messages,
        agents=len(tally.agents),
        halted_at=tally.halted_at,
        warned_at=tally.warned_at,
        detector=tally.detector,
        score=tally.score,
        tokens=tally.tokens,
        tokens_after_halt=tally.tokens_after_halt,
        # Sums of prices, without the dust that binary fractions leave.
        cost_usd=round(tally.cost_usd, 10),
        cost_usd_after_halt=round(tally.cost_usd_after_halt, 10),
        incident=tally.incident,
        incident_text=tally.incident_text,
    )
