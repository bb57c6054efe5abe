"""Messages that a stream of LangGraph has in pieces."""

from __future__ import annotations

from typing import Any

import pytest

from agentbreaker.transcripts.langgraph_tokens import Pieces, is_piece
from agentbreaker.transcripts.schema import UnreadableError

WHERE = {"langgraph_node": "planner", "langgraph_checkpoint_ns": "planner:1"}


def piece(content: Any = "", **fields: Any) -> dict[str, Any]:
    """A piece of a message."""
    return {"type": "AIMessageChunk", "id": "m1", "content": content, **fields}


def test_a_piece_says_where_it_is_from() -> None:
    """Two objects, the second of which names a node."""
    assert is_piece([piece(), WHERE])
    assert not is_piece([piece(), {}])
    assert not is_piece([piece(), WHERE, 1])
    assert not is_piece({"planner": {"messages": []}})


def test_words_calls_and_tokens_are_put_together() -> None:
    """Text in parts, arguments of two calls side by side, and usage that is told in two parts."""
    pieces = Pieces()
    made = [
        piece("Two ", name="ann"),
        piece([{"type": "text", "text": "batches."}], usage_metadata={"input_tokens": 9, "output_tokens": 0}),
        piece(tool_call_chunks=[{"index": 0, "id": "c1", "name": "count", "args": '{"a"'}]),
        piece(tool_call_chunks=[{"index": 1, "id": "c2", "name": "drop", "args": "{}"}]),
        piece(tool_call_chunks=[{"index": 0, "args": ": 1}"}]),
        piece(
            usage_metadata={"input_tokens": 0, "output_tokens": 4, "output_token_details": {"reasoning": 2}},
            chunk_position="last",
        ),
    ]
    done = [one for given in made for one in pieces.take(given, WHERE)]
    ((message, where),) = done
    assert where == WHERE
    assert (message["content"], message["name"]) == ("Two batches.", "ann")
    assert [(call["id"], call["args"]) for call in message["tool_calls"]] == [("c1", '{"a": 1}'), ("c2", "{}")]
    assert message["usage_metadata"] == {
        "input_tokens": 9,
        "output_tokens": 4,
        "output_token_details": {"reasoning": 2},
    }


def test_the_next_message_of_a_place_ends_the_one_before() -> None:
    """Older versions do not say which piece is the last; another place goes on."""
    pieces, elsewhere = Pieces(), WHERE | {"langgraph_checkpoint_ns": "planner:2"}
    assert pieces.take(piece("one"), WHERE) == []
    assert pieces.take(piece("two", id="m2"), elsewhere) == []
    whole = {"type": "tool", "content": "41", "id": "t"}
    assert [one["content"] for one, _ in pieces.take(whole, WHERE)] == ["one", "41"]
    assert [one["content"] for one, _ in pieces.end()] == ["two"]


def test_empty_pieces_say_nothing() -> None:
    """LangChain ends a stream with one."""
    pieces = Pieces()
    assert pieces.take(piece("", chunk_position="last"), WHERE) == []
    assert pieces.end() == []


def test_what_never_ends_is_bounded() -> None:
    """Of too many messages the oldest is taken as it is; one that is too long is a fault."""
    pieces = Pieces()
    places = [WHERE | {"langgraph_checkpoint_ns": f"{number}"} for number in range(1001)]
    done = [pieces.take(piece("a", id=f"m{number}"), place) for number, place in enumerate(places)]
    assert [len(one) for one in done] == [0] * 1000 + [1]
    with pytest.raises(UnreadableError, match="longer than"):
        pieces.take(piece("a" * 4_000_001, id="m5"), WHERE)
