"""The event log of AutoGen's core: teams, applications without one, and what models cost."""

from __future__ import annotations

import io
import json
from typing import Any

from agentbreaker.message import Message
from agentbreaker.transcripts import ReadReport, read_transcript


def read(*events: Any, report: ReadReport | None = None) -> list[Message]:
    """The messages of a log with these events, or lines."""
    lines = [one if isinstance(one, str) else json.dumps(one) for one in events]
    return list(read_transcript(io.BytesIO("\n".join(lines).encode()), format="autogen-events", report=report))


def event(payload: Any, sender: str | None, receiver: str | None, stage: str = "SEND") -> dict[str, Any]:
    """A message of the log."""
    return {
        "type": "Message",
        "payload": payload if isinstance(payload, str) else json.dumps(payload),
        "sender": sender,
        "receiver": receiver,
        "kind": "MessageKind.PUBLISH",
        "delivery_stage": f"DeliveryStage.{stage}",
    }


def text(message_id: str, source: str, content: str, usage: Any = None) -> dict[str, Any]:
    """A message of a team."""
    turn = {"id": message_id, "source": source, "models_usage": usage, "content": content, "type": "TextMessage"}
    return {"message": turn}


def call(agent: str, tokens: int) -> dict[str, Any]:
    """A call of a model."""
    return {
        "type": "LLMCall",
        "agent_id": agent,
        "prompt_tokens": tokens,
        "completion_tokens": 1,
        "response": {"model": "m"},
    }


def test_a_message_counts_once_however_often_it_is_logged() -> None:
    """To the output, to the group, in the answer, sent and delivered: the id tells."""
    one = text("1", "ann", "hi")
    answer = {"response": {"chat_message": one["message"], "inner_messages": []}, "name": "ann"}
    found = read(
        event(one, "ann_t/t", "output_topic_t/t"),
        event(answer, "ann_t/t", "group_topic_t/t"),
        event(one, "ann_t/t", None, "DELIVER"),
        event("Message could not be serialized", "ann_t/t", None),
    )
    assert [(one.conversation_id, one.sender, one.content) for one in found] == [("t", "ann", "hi")]


def test_who_is_asked_to_speak_next_is_spoken_to() -> None:
    """The manager's request says so, also where that agent then says nothing."""
    found = read(
        event(text("1", "ann", "hi"), "ann_t/t", "group_topic_t/t"),
        event({}, "RoundRobinGroupChatManager_t/t", "bob_t/t"),
        event({}, "RoundRobinGroupChatManager_t/t", None, "DELIVER"),
    )
    assert [(one.sender, one.recipient, one.inferred) for one in found] == [("ann", "bob", False)]


def test_an_application_of_its_own() -> None:
    """Without a team a message is what is sent; tools are told by their events, and the key is the conversation."""
    tool = {"type": "ToolCall", "tool_name": "count", "arguments": {"t": 1}, "result": "7", "agent_id": "worker/run-1"}
    found = read(
        event({"content": "Count."}, None, "worker/run-1"),
        event({"content": "Count."}, None, "worker/run-1", "DELIVER"),
        call("worker/run-1", 40),
        tool,
        event({"content": "Seven."}, "worker/run-1", "boss/run-1"),
    )
    assert [(one.conversation_id, one.sender, one.recipient, one.kind) for one in found] == [
        ("run-1", "runtime", "worker", "message"),
        ("run-1", "worker", "count", "tool_call"),
        ("run-1", "count", "worker", "tool_result"),
        ("run-1", "worker", "boss", "message"),
    ]
    assert [one.usage.total if one.usage else 0 for one in found] == [0, 41, 0, 0]
    assert found[1].model == "m"


def test_a_call_is_not_counted_beside_the_usage_of_its_message() -> None:
    """The message's own counts; what no message pays for stands at the end."""
    found = read(
        call("ann_t/t", 40),
        event(text("1", "ann", "hi", {"prompt_tokens": 40, "completion_tokens": 1}), "ann_t/t", "group_topic_t/t"),
        call("Selector_t/t", 10),
    )
    assert [(one.sender, one.usage.total if one.usage else 0) for one in found] == [("ann", 41), ("Selector", 11)]


def test_two_tools_of_one_call_are_paid_for_once() -> None:
    """The turn has its usage, and the call was logged too: both are the same tokens."""
    calls = [{"id": str(number), "name": "count", "arguments": "{}"} for number in range(2)]
    turn: dict[str, Any] = {"id": "1", "source": "ann", "content": calls, "type": "ToolCallRequestEvent"}
    turn["models_usage"] = {"prompt_tokens": 40, "completion_tokens": 1}
    found = read(call("ann_t/t", 40), event({"message": turn}, "ann_t/t", "group_topic_t/t"))
    assert [(one.usage.total if one.usage else 0, one.usage_elsewhere, one.model) for one in found] == [
        (0, True, "m"),
        (41, False, "m"),
    ]


def test_calls_that_the_tools_of_an_agent_made_are_paid_for_too() -> None:
    """The usage of its turn is that of its own call only."""
    found = read(
        call("ann_t/t", 100),
        call("ann_t/t", 40),
        event(text("1", "ann", "hi", {"prompt_tokens": 40, "completion_tokens": 1}), "ann_t/t", "group_topic_t/t"),
    )
    assert [one.usage.total for one in found if one.usage] == [142]


def test_a_reset_asks_nobody_to_speak() -> None:
    """An orchestrator sends it to every agent directly; the payload is that of a request to speak."""
    reset = event({}, None, "bob_t/t") | {"kind": "MessageKind.DIRECT"}
    found = read(
        event(text("1", "user", "hi"), "boss_t/t", "output_topic_t/t"),
        reset,
        event(text("2", "boss", "The plan."), "boss_t/t", "group_topic_t/t"),
    )
    assert [(one.sender, one.recipient) for one in found] == [("user", "boss"), ("boss", None)]


def test_tokens_with_which_nothing_is_said_have_no_hearers() -> None:
    """The calls of a selector stand at the end, and the last speaker did not speak to it."""
    found = read(event(text("1", "ann", "hi"), "ann_t/t", "group_topic_t/t"), call("Selector_t/t", 10))
    assert [(one.sender, one.recipient) for one in found] == [("ann", None), ("Selector", None)]


def test_what_autogen_makes_of_a_result_costs_nothing() -> None:
    """A handoff and the summary of a tool's result are written by no model."""
    summary = text("1", "ann", "41 rows")["message"] | {"type": "ToolCallSummaryMessage"}
    handoff = text("2", "ann", "Over to bob.")["message"] | {"type": "HandoffMessage", "target": "bob"}
    found = read(
        event({"message": summary}, "ann_t/t", "group_topic_t/t"),
        event({"message": handoff}, "ann_t/t", "group_topic_t/t"),
    )
    assert [one.usage_elsewhere for one in found] == [True, True]


def test_lines_of_other_loggers_are_named() -> None:
    """They are no events; what stands before an event does not matter."""
    report = ReadReport()
    line = "INFO:autogen_core.events:" + json.dumps(event({"content": "hi"}, "a/k", "b/k"))
    found = read("INFO:root:started", "{broken", '{"type": "Other"}', "x [1]", line, report=report)
    assert [one.content for one in found] == ["hi"]
    assert report.skipped == 4
    assert {error.reason.split(" (")[0] for error in report.errors} == {"no event of autogen_core.events", "not JSON"}
