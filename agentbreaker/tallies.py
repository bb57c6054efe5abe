"""The counters of the conversations of a replay: in memory while they go on, on disk while they are silent.

A recording of fifty million messages may hold a million conversations, and each may come back until the recording
ends.  So only those of the latest messages are held in memory; the others wait in a temporary database of SQLite,
which keeps to a few megabytes, is deleted by itself, and is not even made where there are few.
"""

from __future__ import annotations

import json
import math
from collections import OrderedDict
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from agentbreaker.clock import VirtualClock
from agentbreaker.errors import AgentBreakerError
from agentbreaker.verdict import Action, Decision

if TYPE_CHECKING:
    import sqlite3

    from agentbreaker.message import Message

__all__ = ["MAX_AGENTS", "Room", "Tallies", "Tally"]

#: Distinct senders counted in a conversation; more are "at least so many".
MAX_AGENTS: Final = 10_000
#: Senders remembered of all conversations in memory, before some are put on disk for their sake.
_MOST_REMEMBERED: Final = 250_000
#: What the database may hold in memory, in KiB.
_CACHE_KIB: Final = 8 * 1024


class Tally:
    """The counters of one conversation.

    Attributes:
        position: Where in the recording its first message is.
        halt_position: Where the message is on which it was halted, ``None`` without evidence of a halt.
        agents: Hashes of its senders, at most :data:`MAX_AGENTS`.
        clock: Its time, in seconds since its first timestamp.
        origin: That first timestamp.
        messages, tokens, tokens_after_halt, cost_usd, cost_usd_after_halt, halted_at, warned_at, detector, score,
            incident, incident_text: As in :class:`~agentbreaker.replay.ConversationReport`.
    """

    __slots__ = (
        "agents",
        "clock",
        "cost_usd",
        "cost_usd_after_halt",
        "detector",
        "halt_position",
        "halted_at",
        "incident",
        "incident_text",
        "messages",
        "origin",
        "position",
        "score",
        "tokens",
        "tokens_after_halt",
        "warned_at",
    )

    def __init__(self, position: int) -> None:
        self.position = position
        self.halt_position: int | None = None
        # Hashes, not names: a storm may have a million senders with names of a thousand characters.
        self.agents: set[int] = set()
        self.clock = VirtualClock()
        self.origin: float | None = None
        self.messages = 0
        self.tokens = 0
        self.tokens_after_halt = 0
        self.cost_usd = 0.0
        self.cost_usd_after_halt = 0.0
        self.halted_at: int | None = None
        self.warned_at: int | None = None
        self.detector: str | None = None
        self.score = 0.0
        self.incident: dict[str, Any] | None = None
        self.incident_text: str | None = None

    def move_clock(self, stamp: datetime) -> None:
        """Move the conversation's time to `stamp`; an earlier one is ignored."""
        seconds = (stamp if stamp.tzinfo is not None else stamp.replace(tzinfo=UTC)).timestamp()
        if self.origin is None:
            self.origin = seconds
        self.clock.move_to(seconds - self.origin)

    def decide(self, decision: Decision) -> bool:
        """Note the decision about the next message; return whether it opened the breaker."""
        action = decision.action
        if action is Action.ALLOW:
            return False
        if action.opens:
            self.halted_at, self.detector, self.score = self.messages, decision.code, decision.score
            return True
        if self.warned_at is None:
            self.warned_at, self.detector = self.messages, decision.code
        self.score = max(self.score, decision.score)
        return False

    def count(self, message: Message) -> bool:
        """Count a message, once it is decided whether it would have been delivered; whether its sender is new."""
        self.messages += 1
        usage, cost = message.usage, message.cost_usd
        tokens = 0 if usage is None else max(0, usage.total)
        usd = cost if cost is not None and 0.0 < cost < math.inf else 0.0
        self.tokens += tokens
        self.cost_usd += usd
        if self.halted_at is not None:
            self.tokens_after_halt += tokens
            self.cost_usd_after_halt += usd
        agents, sender = self.agents, hash(message.sender)
        if sender in agents or len(agents) >= MAX_AGENTS:
            return False
        agents.add(sender)
        return True

    def pack(self) -> str:
        """Return everything as JSON."""
        fields = [getattr(self, name) for name in _PLAIN]
        return json.dumps([self.clock.now(), list(self.agents), *fields], separators=(",", ":"))

    @classmethod
    def unpack(cls, text: str) -> Tally:
        """Return what :meth:`pack` made JSON of."""
        now, agents, *fields = json.loads(text)
        tally = cls(0)
        for name, value in zip(_PLAIN, fields, strict=True):
            setattr(tally, name, value)
        tally.agents = set(agents)
        tally.clock = VirtualClock(now)
        return tally


_PLAIN: Final = tuple(name for name in Tally.__slots__ if name not in ("agents", "clock"))


class Room:
    """Which conversations a guard holds: those of the latest messages.

    Args:
        limit: How many at most.
        leave: Called with the id of each that has to make room, the one that was silent for longest.

    Attributes:
        latest: Key of the latest message's conversation.  A text is an id; bytes are the id of a conversation that
            another process judges: it takes its place, so that all processes together forget what one would forget.
    """

    __slots__ = ("_leave", "_limit", "_order", "latest")

    def __init__(self, limit: int, leave: Callable[[str], object]) -> None:
        self._limit = limit
        self._leave = leave
        self._order: OrderedDict[str | bytes, None] = OrderedDict()
        self.latest: str | bytes | None = None

    def enter(self, key: str | bytes) -> bool:
        """Note a message of this conversation; return whether the conversation is new, or was gone."""
        if key == self.latest:
            return False
        self.latest = key
        order = self._order
        if key in order:
            order.move_to_end(key)
            return False
        if len(order) >= self._limit:
            gone, _ = order.popitem(last=False)
            if isinstance(gone, str):
                self._leave(gone)
        order[key] = None
        return True

    def clear(self) -> None:
        """All of them leave; nobody is called."""
        self._order.clear()
        self.latest = None


class Tallies:
    """The tallies of one recording by conversation."""

    __slots__ = ("_disk", "_memory", "_remembered")

    def __init__(self) -> None:
        self._memory: dict[str, Tally] = {}
        self._disk: sqlite3.Connection | None = None
        self._remembered = 0

    def find(self, conversation_id: str) -> Tally | None:
        """Return the tally of a conversation, from wherever it is; ``None`` if it is new."""
        tally = self._memory.get(conversation_id)
        if tally is None and self._disk is not None:
            rows = self._ask("SELECT state FROM tally WHERE id = ?", (_key(conversation_id),))
            for (text,) in rows:
                tally = self._memory[conversation_id] = Tally.unpack(text)
                self._remembered += len(tally.agents)
        return tally

    def start(self, conversation_id: str, position: int) -> Tally:
        """Return a tally for a conversation that is new."""
        tally = self._memory[conversation_id] = Tally(position)
        return tally

    def count(self, tally: Tally, message: Message) -> None:
        """Count a message."""
        self._remembered += tally.count(message)
        if self._remembered > _MOST_REMEMBERED:
            for conversation_id in list(self._memory):
                self.put_aside(conversation_id)

    def put_aside(self, conversation_id: str) -> None:
        """Hold a tally on disk, until the conversation goes on."""
        tally = self._memory.pop(conversation_id, None)
        if tally is None:
            return
        self._remembered -= len(tally.agents)
        if self._disk is None:
            self._disk = _temporary()
        self._ask(
            "INSERT INTO tally VALUES (?, ?, ?) ON CONFLICT (position) DO UPDATE SET state = excluded.state",
            (tally.position, _key(conversation_id), tally.pack()),
        )

    def finish(self) -> Iterator[tuple[str, Tally]]:
        """Yield all in the order of their first messages, and forget them."""
        if self._disk is None:
            memory, self._memory, self._remembered = self._memory, {}, 0
            yield from memory.items()
            return
        for conversation_id in list(self._memory):
            self.put_aside(conversation_id)
        disk, self._disk = self._disk, None
        try:
            for name, text in _ask(disk, "SELECT id, state FROM tally ORDER BY position"):
                yield name.decode("utf-8", "surrogatepass"), Tally.unpack(text)
        finally:
            disk.close()

    def _ask(self, question: str, values: tuple[Any, ...] = ()) -> Iterator[Any]:
        assert self._disk is not None  # noqa: S101 - for the type checker; the callers see to it
        return _ask(self._disk, question, values)


def _key(conversation_id: str) -> bytes:
    """An id as SQLite can hold it: it may hold half an emoji."""
    return conversation_id.encode("utf-8", "surrogatepass")


def _temporary() -> sqlite3.Connection:
    """A database in a file without a name, in the folder for temporary files, that goes away with its connection."""
    import sqlite3

    disk = sqlite3.connect("", isolation_level=None, check_same_thread=False)
    for line in (
        "PRAGMA journal_mode = OFF",
        "PRAGMA synchronous = OFF",
        f"PRAGMA cache_size = -{_CACHE_KIB}",
        "CREATE TABLE tally (position INTEGER PRIMARY KEY, id BLOB UNIQUE, state TEXT)",
        "BEGIN",
    ):
        _ask(disk, line)
    return disk


def _ask(disk: sqlite3.Connection, question: str, values: tuple[Any, ...] = ()) -> Iterator[Any]:
    import sqlite3

    try:
        return iter(disk.execute(question, values))
    except sqlite3.Error as error:
        raise AgentBreakerError(
            f"the temporary file of the replay cannot be used ({error}); SQLITE_TMPDIR names a folder with room"
        ) from None
