"""ATIF trajectories: what was copied, totals without steps, steps that no model was asked for."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from agentbreaker.accounting import Accountant
from agentbreaker.message import Message, Usage
from agentbreaker.transcripts import ReadReport, read_transcript


def step(number: int, source: str, message: str, **fields: Any) -> dict[str, Any]:
    """A step of a trajectory."""
    return {"step_id": number, "source": source, "message": message, **fields}


def trajectory(*steps: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A trajectory of an agent that is called coder."""
    agent = {"name": "coder", "version": "1", "model_name": "gpt-4o"}
    return {"schema_version": "ATIF-v1.7", "session_id": "s", "agent": agent, "steps": list(steps), **fields}


def read(document: dict[str, Any]) -> tuple[list[Message], ReadReport]:
    """The messages of a trajectory, and what was read."""
    report = ReadReport()
    return list(read_transcript(io.BytesIO(json.dumps(document).encode()), report=report)), report


def metrics(tokens: int, **fields: Any) -> dict[str, Any]:
    """What a step cost."""
    return {"prompt_tokens": tokens, "completion_tokens": 5, **fields}


def estimated(messages: list[Message]) -> int:
    """Tokens that are estimated for what agents said."""
    accountant = Accountant()
    charges = [accountant.charge(message) for message in messages]
    return sum(charge.tokens for charge in charges if charge.estimated and charge.basis != "none")


def test_copied_steps_are_told_where_they_were_copied_from() -> None:
    """A continuation begins with steps of the trajectory before it: they were said and paid for there."""
    messages, report = read(
        trajectory(
            step(1, "user", "old", is_copied_context=True),
            step(2, "agent", "old answer", is_copied_context=True, metrics=metrics(10)),
            step(3, "agent", "new answer", metrics=metrics(100, cost_usd=0.5)),
            final_metrics={"total_prompt_tokens": 110, "total_cost_usd": 0.6},
        )
    )
    assert [(one.content, one.usage, one.cost_usd) for one in messages] == [("new answer", Usage(100, 5), 0.5)]
    assert (report.blank, report.ok) == (2, True)


def test_totals_count_where_the_steps_have_none() -> None:
    """Tokens and money that are only known of the whole trajectory count once, and its words are not estimated."""
    call = {"tool_call_id": "c", "function_name": "ls", "arguments": {}}
    messages, _ = read(
        trajectory(
            step(1, "user", "go"),
            step(2, "agent", "I look.", tool_calls=[call], observation={"results": [{"source_call_id": "c"}]}),
            step(3, "agent", "Done."),
            final_metrics={"total_prompt_tokens": 300, "total_completion_tokens": 30, "total_cost_usd": 0.33},
        )
    )
    assert [one.usage for one in messages if one.usage] == [Usage(300, 30)]
    assert [one.cost_usd for one in messages if one.cost_usd] == [0.33]
    assert estimated(messages) == 0


def test_money_of_the_whole_goes_to_the_steps_by_their_tokens() -> None:
    """Steps with tokens and no price share the price of the trajectory."""
    messages, _ = read(
        trajectory(
            step(1, "agent", "one", metrics={"prompt_tokens": 100}),
            step(2, "agent", "two", metrics={"prompt_tokens": 300}),
            final_metrics={"total_cost_usd": 0.4},
        )
    )
    assert [one.cost_usd for one in messages] == pytest.approx([0.1, 0.3])


def test_totals_that_may_be_those_of_others_too_do_not_count() -> None:
    """With subagents in it, nobody knows whose the totals are: the steps' own count, and estimates are marked."""
    child = trajectory(step(1, "user", "Find it."), step(2, "agent", "Found.", metrics=metrics(25)))
    child |= {"trajectory_id": "kid", "agent": {"name": "finder"}}
    messages, _ = read(
        trajectory(
            step(1, "agent", "I ask."), final_metrics={"total_prompt_tokens": 999}, subagent_trajectories=[child]
        )
    )
    assert [one.usage for one in messages if one.usage] == [Usage(25, 5)]
    assert estimated(messages) > 0


def test_a_step_of_a_fixed_graph_costs_nothing() -> None:
    """No model was called for it (`llm_call_count` is 0), and what a subagent is asked was paid for by its caller."""
    child = trajectory(
        step(1, "user", "Research it.", is_copied_context=True), step(2, "agent", "Found.", metrics=metrics(25))
    )
    child |= {"trajectory_id": "kid", "agent": {"name": "researcher"}}
    reference = {"source_call_id": "d", "subagent_trajectory_ref": [{"trajectory_id": "kid"}]}
    call = {"tool_call_id": "d", "function_name": "delegate", "arguments": {"topic": "all of it"}}
    messages, _ = read(
        trajectory(
            step(1, "agent", "", llm_call_count=0, tool_calls=[call], observation={"results": [reference]}),
            subagent_trajectories=[child],
        )
    )
    assert [(one.sender, one.recipient, one.kind) for one in messages] == [
        ("coder", "delegate", "tool_call"),
        ("coder", "researcher", "message"),
        ("researcher", "coder", "message"),
        ("delegate", "coder", "tool_result"),
    ]
    assert estimated(messages) == 0


def test_cached_and_reasoning_tokens_are_known() -> None:
    """Converters of coding agents write them beside the others."""
    extra = {"cache_creation_input_tokens": 7, "reasoning_output_tokens": 3}
    messages, _ = read(trajectory(step(1, "agent", "a", metrics=metrics(100, cached_tokens=60, extra=extra))))
    assert messages[0].usage == Usage(100, 5, 60, 7, 3)
