"""LangGraph's ``stream_mode="messages"``: the pieces of a message that a model writes, put together again."""

from __future__ import annotations

from typing import Any, Final

from agentbreaker.transcripts.schema import UnreadableError
from agentbreaker.transcripts.values import count_of, items_of, mapping_of, text_of

__all__ = ["Pieces", "is_piece"]

_MAX_OPEN: Final = 1000
_MAX_CHARACTERS: Final = 4_000_000
_PIECE: Final = "MessageChunk"


def is_piece(value: Any) -> bool:
    """Whether a chunk of a stream is a message, or a piece of one, with where it is from."""
    return (
        isinstance(value, list)
        and len(value) == 2
        and all(isinstance(part, dict) for part in value)
        and "content" in value[0]
        and "langgraph_node" in value[1]
    )


class Pieces:
    """Messages that are still being written, by their id."""

    def __init__(self) -> None:
        self._open: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {}

    def take(self, piece: dict[str, Any], where: dict[str, Any]) -> list[tuple[dict[str, Any], dict[str, Any]]]:
        """Take the next piece; return the messages that are complete, each with where it is from.

        Raises:
            UnreadableError: A message is longer than one may be.
        """
        kind, message_id = piece.get("type"), piece.get("id")
        if not isinstance(kind, str) or not kind.endswith(_PIECE) or not isinstance(message_id, str):
            return [*self.end_of(where), *_with_words([(piece, where)])]
        # Whoever writes the next message in the same place has finished the one before.
        done = [] if message_id in self._open else self.end_of(where)
        while len(self._open) >= _MAX_OPEN:
            done.append(self._open.pop(next(iter(self._open))))
        message, _ = self._open.setdefault(message_id, ({"type": kind, "id": message_id, "content": ""}, where))
        _join(message, piece)
        if len(message["content"]) > _MAX_CHARACTERS:
            del self._open[message_id]
            raise UnreadableError(f"longer than {_MAX_CHARACTERS:,} characters", "content")
        if piece.get("chunk_position") == "last":
            done.append(self._open.pop(message_id))
        return _with_words(done)

    def end_of(self, where: dict[str, Any]) -> list[tuple[dict[str, Any], dict[str, Any]]]:
        """Return the messages of one place, which are complete."""
        place = where.get("langgraph_checkpoint_ns")
        ended = [key for key, (_, other) in self._open.items() if other.get("langgraph_checkpoint_ns") == place]
        return _with_words([self._open.pop(key) for key in ended])

    def end(self) -> list[tuple[dict[str, Any], dict[str, Any]]]:
        """Return all messages, complete or not."""
        done = list(self._open.values())
        self._open.clear()
        return _with_words(done)


def _with_words(done: list[tuple[dict[str, Any], dict[str, Any]]]) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Those in which something is: LangChain ends a stream with an empty piece, perhaps of another id."""
    return [one for one in done if one[0].get("content") or one[0].get("tool_calls") or one[0].get("usage_metadata")]


def _join(message: dict[str, Any], piece: dict[str, Any]) -> None:
    content = piece.get("content")
    # A model may write parts, of which each piece has some text.
    parts = [text_of(part) for part in content] if isinstance(content, list) else [text_of(content)]
    message["content"] += "".join(parts)
    message["name"] = message.get("name") or piece.get("name")
    message["response_metadata"] = {
        **mapping_of(message.get("response_metadata")),
        **mapping_of(piece.get("response_metadata")),
    }
    calls: dict[str, dict[str, Any]] = message.setdefault("_calls", {})
    for part in items_of(piece.get("tool_call_chunks")):
        call = calls.setdefault(str(part.get("index")), {"name": None, "id": None, "args": ""})
        call["name"], call["id"] = call["name"] or part.get("name"), call["id"] or part.get("id")
        if len(call["args"]) < _MAX_CHARACTERS:
            call["args"] += text_of(part.get("args"))
    message["tool_calls"] = list(calls.values()) or items_of(piece.get("tool_calls"))
    if usage := mapping_of(piece.get("usage_metadata")):
        message["usage_metadata"] = _sum(mapping_of(message.get("usage_metadata")), usage)


def _sum(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Add the tokens of two pieces, as LangChain does."""
    found: dict[str, Any] = {}
    for name in {**one, **other}:
        if name.endswith("_details"):
            found[name] = _sum(mapping_of(one.get(name)), mapping_of(other.get(name)))
        else:
            found[name] = count_of(one.get(name)) + count_of(other.get(name))
    return found
