"""LangGraph: dumps of its streams, a chunk a line.

The chunks of ``stream_mode`` ``tasks`` and ``debug`` say which node was triggered, ``updates`` what each node brought,
``values`` and ``checkpoints`` only the state after every step, ``messages`` what models write, piece by piece.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

from agentbreaker.message import Message
from agentbreaker.transcripts.graph_state import START, StateChanges, messages_in
from agentbreaker.transcripts.langgraph_tokens import Pieces, is_piece
from agentbreaker.transcripts.records import Probe, lines_of, parse_value, records_of
from agentbreaker.transcripts.schema import UnreadableError
from agentbreaker.transcripts.source import Source
from agentbreaker.transcripts.values import mapping_of, moment_of, name_of

__all__ = ["read_langgraph", "recognise_langgraph"]

_MODES: Final = ("updates", "values", "tasks", "debug", "checkpoints", "messages", "custom")


def recognise_langgraph(probe: Probe) -> bool:
    """Whether a record is a chunk of a stream."""
    return (
        any(map(_is_chunk, probe.records))
        or {"name", "triggers", "input"} <= probe.keys
        or _begins_with_piece(probe.head.lstrip())
    )


def _is_chunk(record: dict[str, Any]) -> bool:
    if record.get("type") in _MODES and "ns" in record and "data" in record:
        return True
    if {"langgraph_node", "langgraph_step", "langgraph_triggers"} <= record.keys():
        # Where a piece of a message is from.
        return True
    mode = _mode_of(record)
    if mode in ("tasks", "debug", "checkpoints"):
        return True
    brought = [record] if mode == "values" else list(record.values())
    return bool(brought) and any(
        isinstance(one, dict) and any("type" in message and "role" not in message for message in messages_in(one))
        for one in brought
        if not isinstance(one, dict) or isinstance(one.get("messages"), list | dict)
    )


def _mode_of(chunk: dict[str, Any]) -> str:
    """Tell the mode of a chunk that does not say it."""
    if {"step", "type", "payload"} <= chunk.keys():
        return "debug"
    if {"id", "name"} <= chunk.keys() and ("triggers" in chunk or {"result", "error"} <= chunk.keys()):
        return "tasks"
    if {"config", "values", "next"} <= chunk.keys():
        return "checkpoints"
    return "values" if isinstance(chunk.get("messages"), list) else "updates"


def read_langgraph(source: Source) -> Iterator[Message]:
    """Yield the messages that a dump of a stream tells of."""
    changes = StateChanges("run")
    stream = _Stream(changes)
    for chunk in _chunks(source):
        try:
            if not stream.take(source, chunk):
                source.report.blank += 1
        except UnreadableError as error:
            source.skip(error.reason, field=error.field)
        for message in changes.ready():
            source.report.messages += 1
            yield message
    for message in stream.end(source):
        source.report.messages += 1
        yield message


def _chunks(source: Source) -> Iterator[Any]:
    begun = source.head.lstrip()
    if not begun.startswith(b"[") or (begun[1:].lstrip().startswith(b"{") and not _begins_with_piece(begun)):
        yield from records_of(source)
        return
    # With several modes or inner graphs a chunk is a list: where it is from, its mode, and what it is.
    for line in lines_of(source):
        try:
            value = parse_value(line)
        except UnreadableError as error:
            source.skip(error.reason)
            continue
        if isinstance(value, dict | list):
            yield value
        else:
            source.skip("not a chunk of a stream")


def _begins_with_piece(begun: bytes) -> bool:
    if not begun.startswith(b"["):
        return False
    try:
        value = parse_value(begun.partition(b"\n")[0])
    except UnreadableError:
        return False
    return is_piece(value) or (isinstance(value, list) and any(map(is_piece, value[-1:])))


class _Stream:
    """The steps of one stream, by the order of its chunks."""

    def __init__(self, changes: StateChanges) -> None:
        self._changes = changes
        self._starting = False
        self._pieces = Pieces()

    def take(self, source: Source, chunk: Any) -> bool:
        """Take a chunk; return whether it is of a kind that tells of messages.

        Raises:
            UnreadableError: It is no chunk.
        """
        mode, namespace, value = ("messages", [], chunk) if is_piece(chunk) else _parts(chunk)
        if mode is None and is_piece(value):
            mode = "messages"
        if mode == "messages":
            if not is_piece(value):
                raise UnreadableError("expected a message and where it is from")
            self._say(self._pieces.take(*value))
            return True
        if not isinstance(value, dict):
            if mode == "custom":
                return False
            raise UnreadableError("expected an object")
        mode = mode or _mode_of(value)
        inner = _agent_of(namespace)
        if mode == "debug":
            kind, moment = value.get("type"), moment_of(value.get("timestamp"))
            if kind not in ("task", "task_result"):
                return False
            return self._task(mapping_of(value.get("payload")), inner, moment)
        if mode == "tasks":
            return self._task(value, inner, None)
        changes = self._changes
        if mode == "checkpoints" and not inner:
            value = mapping_of(value.get("values"))
        if mode == "values" or (mode == "checkpoints" and not inner):
            changes.step()
            changes.state(value)
            return True
        if mode != "updates":
            return False
        found = False
        for node, update in value.items():
            if node.startswith("__") and node != START:
                continue
            changes.step()
            changes.add(node, update, inner=inner)
            found = True
        return found

    def end(self, source: Source) -> list[Message]:
        """Return what still waits, also of messages that were never finished."""
        try:
            self._say(self._pieces.end())
        except UnreadableError as error:
            source.skip(error.reason, field=error.field)
        return self._changes.end()

    def _say(self, messages: list[tuple[dict[str, Any], dict[str, Any]]]) -> None:
        for message, where in messages:
            self._changes.step()
            around = where.get("langgraph_checkpoint_ns")
            inner = around.partition(":")[0] if isinstance(around, str) and "|" in around else ""
            node = name_of(where.get("langgraph_node"), "langgraph_node") or ""
            self._changes.add(node, {"messages": [message]}, inner=inner)

    def _task(self, task: dict[str, Any], inner: str, moment: datetime | None) -> bool:
        name = name_of(task.get("name"), "name")
        if name is None:
            raise UnreadableError("missing", "name")
        changes = self._changes
        if "triggers" in task:
            if not self._starting:
                changes.step()
            self._starting = True
            if not inner:
                changes.asked(task.get("input"), moment)
            return True
        self._starting = False
        changes.add(name, task.get("result"), moment, inner=inner, inferred=False)
        return True


def _parts(chunk: Any) -> tuple[str | None, list[Any], Any]:
    """Mode, inner graphs and value of a chunk, whichever of them it names."""
    if isinstance(chunk, dict):
        if "ns" in chunk and "data" in chunk and isinstance(mode := chunk.get("type"), str):
            namespace = chunk["ns"]
            return mode, namespace if isinstance(namespace, list) else [], chunk["data"]
        return None, [], chunk
    mode, inner = None, []
    for part in chunk[:-1]:
        if isinstance(part, str) and part in _MODES:
            mode = part
        elif isinstance(part, list):
            inner = part
        else:
            raise UnreadableError("not a chunk of a stream")
    if not chunk or len(chunk) > 3:
        raise UnreadableError("not a chunk of a stream")
    return mode, inner, chunk[-1]


def _agent_of(namespace: list[Any]) -> str:
    """The node of the outer graph that an inner one is; empty for the outer graph itself."""
    latest = namespace[-1] if namespace else ""
    return latest.partition(":")[0] if isinstance(latest, str) else ""
