"""Chat JSON Lines: what a call cost, once, and what surrounds a conversation."""

from __future__ import annotations

import io
import json
from typing import Any

from agentbreaker.accounting import Accountant
from agentbreaker.message import Usage
from agentbreaker.transcripts import ReadReport, read_transcript

CALL = {"id": "c1", "type": "function", "function": {"name": "count", "arguments": "{}"}}


def read(*records: dict[str, Any]) -> tuple[list[Any], ReadReport]:
    """The messages of chat records."""
    report = ReadReport()
    data = "".join(json.dumps(record) + "\n" for record in records).encode()
    return list(read_transcript(io.BytesIO(data), report=report, format="chat")), report


def test_what_is_said_beside_a_tool_call_is_in_its_usage() -> None:
    """One model call makes a text and two calls: its tokens count once, and none of them is estimated besides."""
    turn = {"role": "assistant", "content": "I shall count the rows of the table first.", "tool_calls": [CALL, CALL]}
    messages, _ = read(turn | {"usage": {"prompt_tokens": 1000, "completion_tokens": 100}, "model": "gpt-4o"})
    assert [one.usage_elsewhere for one in messages] == [True, True, False]
    accountant = Accountant()
    assert sum(accountant.charge(one).tokens for one in messages) == 1100
    assert accountant.unpriced == {}
    assert accountant.models["gpt-4o"].messages == 1


def test_without_usage_all_of_a_turn_is_estimated_as_its_model() -> None:
    """Nothing is recorded, so each part is estimated, at the price of the model that wrote them."""
    messages, _ = read({"role": "assistant", "content": "I shall count.", "tool_calls": [CALL], "model": "gpt-4o"})
    accountant = Accountant()
    assert all(accountant.charge(one).basis == "list price" for one in messages)


def test_usage_and_cost_of_the_record_are_its_last_answers() -> None:
    """A log of requests writes them beside the messages."""
    messages, _ = read(
        {
            "messages": [
                {"role": "user", "content": "Go."},
                {"role": "assistant", "content": "I count.", "tool_calls": [CALL]},
            ],
            "model": "gpt-4o",
            "usage": {"prompt_tokens": 10, "completion_tokens": 5},
            "cost_usd": 0.25,
        }
    )
    _, said, call = messages
    assert (call.usage, call.cost_usd, call.model) == (Usage(10, 5), 0.25, "gpt-4o")
    assert (said.usage_elsewhere, said.model) == (True, "gpt-4o")


def test_a_model_of_impossible_length_costs_only_its_name() -> None:
    """The record is read all the same, and the fault is named."""
    messages, report = read(
        {
            "messages": [{"role": "assistant", "content": "a"}],
            "model": "x" * 2000,
            "usage": {"prompt_tokens": 3},
        }
    )
    assert [(one.model, one.usage) for one in messages] == [(None, Usage(3, 0))]
    assert [str(error) for error in report.errors] == ["<stream>:1: model: longer than 1,024 characters"]
