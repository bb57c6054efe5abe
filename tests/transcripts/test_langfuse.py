"""Langfuse observations: kinds of tokens and of costs, whole responses, nodes of a graph."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from agentbreaker.message import Message, Usage
from agentbreaker.transcripts import read_transcript


def observation(kind: str = "GENERATION", **fields: Any) -> dict[str, Any]:
    """An observation as the API names its fields."""
    made = {"id": "o1", "traceId": "t", "type": kind, "name": "chat", "startTime": "2026-11-01T09:30:00Z"}
    return made | {"endTime": "2026-11-01T09:30:01Z", "parentObservationId": None, "output": "Hello."} | fields


def read(*records: dict[str, Any]) -> list[Message]:
    """The messages of observations."""
    data = "".join(json.dumps(record) + "\n" for record in records).encode()
    return list(read_transcript(io.BytesIO(data)))


@pytest.mark.parametrize(
    ("details", "usage"),
    [
        # Kinds side by side, as Langfuse itself writes them.
        ({"input": 36, "input_cached_tokens": 64, "output": 15, "output_reasoning_tokens": 5, "total": 120},
         Usage(100, 20, 64, 0, 5)),
        # Kinds that are parts of others, as the total says.
        ({"input": 100, "input_cached_tokens": 64, "output": 20, "output_reasoning_tokens": 5, "total": 120},
         Usage(100, 20, 64, 0, 5)),
        ({"input": 5, "cache_read_input_tokens": 90, "cache_creation_input_tokens": 5, "output": 20},
         Usage(100, 20, 90, 5)),
    ],
    ids=["beside", "within", "anthropic"],
)  # fmt: skip
def test_kinds_of_tokens_count_once(details: dict[str, int], usage: Usage) -> None:
    """Whether they stand beside input and output, or are a part of them."""
    assert read(observation(usageDetails=details))[-1].usage == usage


@pytest.mark.parametrize(
    ("fields", "cost"),
    [
        ({"calculatedTotalCost": 0.3}, 0.3),
        ({"costDetails": {"input": 0.1, "output": 0.2, "total": 0.3}}, 0.3),
        ({"costDetails": {"input": 0.125, "output": 0.25}}, 0.375),
        ({"costDetails": {}}, None),
    ],
)
def test_a_price_by_kinds_is_a_price(fields: dict[str, Any], cost: float | None) -> None:
    """The newer API has no other."""
    assert read(observation(model="gpt-4o", usageDetails={"input": 1}, **fields))[-1].cost_usd == cost


def test_a_whole_response_is_read_as_its_message() -> None:
    """What was logged is the answer of the API, not the message in it."""
    call = {"id": "c1", "type": "function", "function": {"name": "count", "arguments": "{}"}}
    answer = {"choices": [{"message": {"role": "assistant", "content": "Hi.", "tool_calls": [call]}}]}
    said, made = read(observation(output=answer, usageDetails={"input": 1}))
    assert (said.content, made.kind, made.usage_elsewhere) == ("Hi.", "tool_call", True)


def test_what_is_within_a_node_is_no_agent() -> None:
    """The callback takes whatever has "agent" in its name for one."""
    node = {"langgraph_node": "planner", "langgraph_checkpoint_ns": "planner:1"}
    messages = read(
        observation("CHAIN", id="o1", name="planner", metadata=node, input="Go.", output="Two."),
        observation("AGENT", id="o2", name="call_agent", parentObservationId="o1", metadata=node),
        observation(
            id="o3", parentObservationId="o2", metadata=node, input=[{"role": "user", "content": "Go."}], output="Two."
        ),
    )
    assert [(one.sender, one.recipient) for one in messages] == [("user", "planner"), ("planner", None)]
