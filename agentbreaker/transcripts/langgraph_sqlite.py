"""LangGraph checkpoints in SQLite, read through LangGraph's own saver.

What the nodes wrote is kept beside the checkpoint from which they ran, so a thread is read step by step, and no state
is unpacked.  A thread is a conversation.  The saver finds and sorts what belongs to a checkpoint; values are unpacked
here, into plain data: nothing that a file names is imported, constructed or called, and pickle is refused.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from agentbreaker.errors import TranscriptError
from agentbreaker.message import Message
from agentbreaker.transcripts.graph_state import START, StateChanges, messages_in
from agentbreaker.transcripts.records import Probe, parse_value
from agentbreaker.transcripts.schema import MAX_VALUES, UnreadableError
from agentbreaker.transcripts.source import SQLITE, Source
from agentbreaker.transcripts.sqlite_file import open_database
from agentbreaker.transcripts.values import items_of, last_text, mapping_of, name_of, text_of

if TYPE_CHECKING:
    from langgraph.checkpoint.sqlite import SqliteSaver

__all__ = ["read_langgraph_sqlite", "recognise_langgraph_sqlite"]

_TABLES: Final = {
    "checkpoints": ("thread_id", "checkpoint_ns", "checkpoint_id", "type", "checkpoint", "metadata"),
    "writes": ("thread_id", "checkpoint_ns", "checkpoint_id", "task_id", "idx", "channel", "type", "value"),
}
_PRIMARY: Final = {
    "checkpoints": ("thread_id", "checkpoint_ns", "checkpoint_id"),
    "writes": ("thread_id", "checkpoint_ns", "checkpoint_id", "task_id", "idx"),
}
_KEYS: Final = "SELECT thread_id, checkpoint_ns, checkpoint_id FROM checkpoints ORDER BY thread_id, checkpoint_id"
_TASKS: Final = (
    "SELECT DISTINCT task_id, task_path FROM writes WHERE thread_id = ? AND checkpoint_ns = ? AND checkpoint_id = ?"
)
_INNER_KEYS: Final = (
    "SELECT thread_id, checkpoint_ns, checkpoint_id FROM checkpoints "
    "WHERE thread_id = ? AND checkpoint_ns <> '' ORDER BY checkpoint_id LIMIT 100000"
)
#: Graphs within graphs.
_MAX_DEPTH: Final = 16
_Key = tuple[str, str, str]
_EXTENSION_PARTS: Final = 3
_DELTA: Final = 7
_PUSH: Final = re.compile(r"^~__pregel_push, 0*(?P<number>\d{1,9})")
_PULL: Final = re.compile(r"^~__pregel_pull, (?P<node>.+)$", re.DOTALL)
_SENDS: Final = "__pregel_tasks"
_RESUME: Final = "__resume__"
_INTERRUPT: Final = "__interrupt__"
#: The only channel of a graph whose state has no fields.
_ROOT: Final = "__root__"
#: What may go wrong with a row that somebody made up.
_FAULTS: Final = (
    sqlite3.DataError,
    sqlite3.InterfaceError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    RecursionError,
    OverflowError,
    NotImplementedError,
)


def recognise_langgraph_sqlite(probe: Probe) -> bool:
    """Whether the recording is a database with LangGraph's tables."""
    return probe.head.startswith(SQLITE) and b"checkpoint_ns" in probe.head and b"writes" in probe.head


def read_langgraph_sqlite(source: Source) -> Iterator[Message]:
    """Yield the messages of all threads.

    Raises:
        TranscriptError: It is no such database, or the library to read it is missing.
    """
    if not source.head.startswith(SQLITE):
        raise TranscriptError("not an SQLite database", path=source.path)
    try:
        from langgraph.checkpoint.sqlite import SqliteSaver
    except ImportError:
        raise TranscriptError(
            "checkpoints are read with langgraph-checkpoint-sqlite: pip install 'agentbreaker[checkpoints]'",
            path=source.path,
        ) from None
    with open_database(source, _TABLES, _PRIMARY) as connection:
        saver = SqliteSaver(connection, serde=_Sealing())
        thread: _Thread | None = None
        for key in connection.execute(_KEYS):
            source.line += 1
            source.report.lines += 1
            try:
                conversation = name_of(key[0], "thread_id")
                if conversation is None or not all(isinstance(part, str) for part in key):
                    raise UnreadableError("missing", "thread_id")
            except UnreadableError as error:
                source.skip(error.reason, field=error.field)
                continue
            if thread is None or thread.name != conversation:
                if thread is not None:
                    yield from _counted(source, thread.end(source))
                thread = _Thread(conversation, connection, saver)
            yield from _counted(source, thread.read(source, (key[0], key[1], key[2])))
        if thread is not None:
            yield from _counted(source, thread.end(source))


def _counted(source: Source, messages: Iterable[Message]) -> Iterator[Message]:
    for message in messages:
        source.report.messages += 1
        yield message


class _Thread:
    """The checkpoints of one thread, in the order of time: an inner graph's before what came of it outside."""

    def __init__(self, name: str, connection: sqlite3.Connection, saver: SqliteSaver) -> None:
        self.name = name
        self.changes = StateChanges(name)
        self._connection = connection
        self._saver = saver
        self._latest: _Sealed | None = None
        # Nodes that the step before has sent something to, by inner graph.
        self._sent: dict[str, list[str]] = {}
        self._inner = self._inner_keys()

    def _inner_keys(self) -> dict[str, list[_Key]]:
        """The checkpoints of inner graphs by the task of the outer one that they are."""
        found: dict[str, list[_Key]] = {}
        for key in self._connection.execute(_INNER_KEYS, (self.name,)):
            if all(isinstance(part, str) for part in key):
                found.setdefault(key[1].rpartition(":")[2], []).append((key[0], key[1], key[2]))
        return found

    def read(self, source: Source, key: _Key, depth: int = 0) -> Iterator[Message]:
        """Yield what is ready after a checkpoint, of which what its tasks did in inner graphs is read first."""
        task = key[1].rpartition(":")[2]
        if key[1] and depth == 0 and task in self._inner and key not in self._inner[task]:
            # It was read with the outer graph's.
            return
        try:
            tasks = self._tasks(key)
        except _FAULTS as error:
            source.skip(f"cannot be unpacked ({type(error).__name__})", field="checkpoint")
            return
        for one in tasks if depth < _MAX_DEPTH else ():
            while self._inner.get(one):
                yield from self.read(source, self._inner[one].pop(0), depth + 1)
        self._read(source, key, tasks)
        yield from self.changes.ready()

    def _read(self, source: Source, key: _Key, tasks: dict[str, str]) -> None:
        """Take what the nodes wrote that ran from one checkpoint."""
        thread_id, namespace, checkpoint_id = key
        config: Any = {
            "configurable": {"thread_id": thread_id, "checkpoint_ns": namespace, "checkpoint_id": checkpoint_id}
        }
        try:
            found = self._saver.get_tuple(config)
            if found is None:
                raise UnreadableError("cannot be found by its id", "checkpoint")
            sealed: Any = found.checkpoint
            if namespace == "" and isinstance(sealed, _Sealed):
                self._latest = sealed
            moment = _moment_of(checkpoint_id)
            self.changes.step()
            self._take(found.pending_writes or [], tasks, namespace, moment)
        except UnreadableError as error:
            source.skip(error.reason, field=error.field)
        except _FAULTS as error:
            source.skip(f"cannot be unpacked ({type(error).__name__})", field="checkpoint")

    def _tasks(self, key: tuple[str, str, str]) -> dict[str, str]:
        """The path of each task, which the saver keeps to itself: it names the node."""
        try:
            return {str(task): str(path) for task, path in self._connection.execute(_TASKS, key)}
        except sqlite3.OperationalError:
            # A file of a version that did not write it.
            return {}

    def _take(self, writes: list[Any], tasks: dict[str, str], namespace: str, moment: datetime | None) -> None:
        inner = namespace.rpartition("|")[2].partition(":")[0]
        before, sent, updates = self._sent.get(namespace, []), list[str](), dict[str, list[dict[str, Any]]]()
        # What a task asks a person is kept beside the answer, and that beside what came of it.
        for task, channel, sealed in writes:
            if channel == _INTERRUPT and isinstance(sealed, _Sealed):
                text = "\n".join(text_of(one.get("value")) for one in items_of(sealed.open()))
                self.changes.add(_node_of(tasks.get(str(task), ""), before), text, moment, inner=inner)
                self.changes.step()
        # An answer is written for the graph and for the task that waits for it.
        answers = [sealed.open() for _, channel, sealed in writes if channel == _RESUME and isinstance(sealed, _Sealed)]
        for text in dict.fromkeys(map(last_text, answers)):
            self.changes.add(START, text, moment)
            self.changes.step()
        for task, channel, sealed in writes:
            if not isinstance(channel, str) or not isinstance(sealed, _Sealed):
                continue
            if channel == _SENDS:
                sent += _targets(sealed.open())
            elif channel == _ROOT or not channel.startswith(("branch:to:", "__")):
                updates.setdefault(str(task), []).append({channel: sealed.open()})
        for task, update in updates.items():
            said = any(map(messages_in, update))
            value: Any = update if said else {key: one[key] for one in update for key in one}
            node = _node_of(tasks.get(task, ""), before)
            self.changes.add(node, value.get(_ROOT, value) if not said else value, moment, inner=inner, inferred=False)
        self._sent[namespace] = sent

    def end(self, source: Source) -> list[Message]:
        """Return the messages that still wait; of a thread of which only the last state was kept, those in it."""
        if not self.changes.said and self._latest is not None:
            try:
                self.changes.state(mapping_of(mapping_of(self._latest.open()).get("channel_values")))
            except UnreadableError as error:
                source.skip(error.reason, field=error.field)
            except _FAULTS as error:
                source.skip(f"cannot be unpacked ({type(error).__name__})", field="checkpoint")
        return self.changes.end()


def _node_of(path: str, sent: list[str]) -> str:
    """The node of a task: it is in the path of one that an edge triggered, not of one that was sent for."""
    if (pulled := _PULL.match(path)) is not None:
        return pulled["node"]
    pushed = _PUSH.match(path)
    if pushed is not None and int(pushed["number"]) < len(sent):
        return sent[int(pushed["number"])]
    return ""


def _targets(value: Any) -> list[str]:
    """The node that a ``Send`` names, or several of them."""
    if isinstance(value, list) and value and isinstance(value[0], str):
        return [value[0]]
    return [name for one in value for name in _targets(one)] if isinstance(value, list) else []


def _moment_of(checkpoint_id: str) -> datetime | None:
    """The time in the id of a checkpoint, which is a UUID of version 6."""
    try:
        made = UUID(checkpoint_id)
    except ValueError:
        return None
    if made.version != 6:
        return None
    ticks = (made.time_low << 28) | (made.time_mid << 12) | (made.time_hi_version & 0xFFF)
    # Tenths of microseconds since the Gregorian calendar began.
    seconds = ticks / 1e7 - 12219292800
    return datetime.fromtimestamp(seconds, UTC) if 0 < seconds < 253402300800 else None


@dataclass(slots=True, frozen=True)
class _Sealed:
    """A value as it is in the file; most are never opened."""

    kind: str
    data: bytes

    def open(self) -> Any:
        """Return it as plain data.

        Raises:
            UnreadableError: It has too many values, or is of a kind that runs code.
        """
        if self.kind == "null":
            return None
        if self.kind == "msgpack":
            return _Opening().unpack(self.data)
        if self.kind == "json":
            return parse_value(self.data)
        if self.kind in ("bytes", "bytearray"):
            return ""
        raise UnreadableError("pickled, which runs code" if self.kind == "pickle" else "of an unknown kind", "value")


class _Sealing:
    """A serialiser for the saver that opens nothing."""

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        """Return the value unopened."""
        kind, value = data
        return _Sealed(str(kind), value if isinstance(value, bytes) else str(value or "").encode())

    def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
        """Nothing is written."""
        raise NotImplementedError


class _Opening:
    """Unpacks MessagePack; of an object that is written in it, only the arguments are kept."""

    def __init__(self) -> None:
        self._left = MAX_VALUES

    def unpack(self, data: bytes) -> Any:
        """Return plain data.

        Raises:
            UnreadableError: More values than a record may have.
            ValueError: It is no MessagePack.
        """
        import ormsgpack

        self._left -= _count(data, self._left)
        if self._left < 0:
            raise UnreadableError(f"more than {MAX_VALUES:,} values in one record", "value")
        return ormsgpack.unpackb(data, ext_hook=self._extension, option=ormsgpack.OPT_NON_STR_KEYS)

    def _extension(self, code: int, data: bytes) -> Any:
        value = self.unpack(data)
        if code == _DELTA:
            return value
        # Module, name, arguments, and perhaps a method: LangGraph would import and call them.
        return value[2] if isinstance(value, list | tuple) and len(value) >= _EXTENSION_PARTS else None


#: Length of the number that follows the first byte of a value, and whether so many bytes or values follow it.
_SIZED: Final = {
    0xC4: (1, "bytes"),
    0xC5: (2, "bytes"),
    0xC6: (4, "bytes"),
    0xC7: (1, "extension"),
    0xC8: (2, "extension"),
    0xC9: (4, "extension"),
    0xD9: (1, "bytes"),
    0xDA: (2, "bytes"),
    0xDB: (4, "bytes"),
    0xDC: (2, "values"),
    0xDD: (4, "values"),
    0xDE: (2, "pairs"),
    0xDF: (4, "pairs"),
}
_FIXED: Final = {
    **dict.fromkeys((0xC0, 0xC1, 0xC2, 0xC3), 0),
    0xCC: 1,
    0xCD: 2,
    0xCE: 4,
    0xCF: 8,
    0xD0: 1,
    0xD1: 2,
    0xD2: 4,
    0xD3: 8,
    0xCA: 4,
    0xCB: 8,
    0xD4: 2,
    0xD5: 3,
    0xD6: 5,
    0xD7: 9,
    0xD8: 17,
}


def _count(data: bytes, most: int) -> int:
    """Count the values of MessagePack without unpacking it, up to a few more than `most`."""
    position = count = 0
    end = len(data)
    while position < end and count <= most:
        first = data[position]
        position += 1
        count += 1
        if 0xA0 <= first <= 0xBF:
            position += first & 0x1F
        elif first in _SIZED:
            width, what = _SIZED[first]
            size = int.from_bytes(data[position : position + width], "big")
            position += width
            if what == "bytes":
                position += size
            elif what == "extension":
                position += size + 1
        else:
            position += _FIXED.get(first, 0)
    return count
