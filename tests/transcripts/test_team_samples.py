"""Teams of other shapes, recorded with the real libraries: what was really said, by whom to whom, and what it cost."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentbreaker.accounting import Accountant
from agentbreaker.message import Message
from agentbreaker.transcripts import ReadReport, read_transcript

SAMPLES = Path(__file__).parent / "samples"

#: What a boss and a mathematician say, who adds two sums in a graph of its own.
SUMS = [
    ("math", "add", "tool_call"),
    ("math", "add", "tool_call"),
    ("add", "math", "tool_result"),
    ("add", "math", "tool_result"),
    ("math", "boss", "message"),
]
HANDED_BACK = [
    ("math", "boss", "message"),
    ("math", "transfer_back_to_boss", "tool_call"),
    ("transfer_back_to_boss", "math", "tool_result"),
    ("boss", None, "message"),
]
ASKED = [("boss", "transfer_to_math", "tool_call"), ("transfer_to_math", "boss", "tool_result")]
TRACED = [
    ("user", "boss", "message"),
    ("boss", "math", "handoff"),
    ("math", "add", "tool_call"),
    ("add", "math", "tool_result"),
    ("math", "add", "tool_call"),
    ("add", "math", "tool_result"),
    ("math", "boss", "message"),
    ("boss", None, "message"),
]
#: Tokens of the four model calls of the supervisor's team.
PAID = (101 + 10) * 2 + (102 + 10) * 2

TRUTH = {
    "autogen-events-swarm.log": (
        [
            ("user", "triage", "message"),
            ("triage", "transfer_to_flights", "tool_call"),
            ("transfer_to_flights", "triage", "tool_result"),
            ("triage", "flights", "handoff"),
            ("flights", "weather", "tool_call"),
            ("flights", "seat", "tool_call"),
            ("weather", "flights", "tool_result"),
            ("seat", "flights", "tool_result"),
            ("flights", "triage", "message"),
            ("flights", "transfer_to_triage", "tool_call"),
            ("transfer_to_triage", "flights", "tool_result"),
            ("flights", "triage", "handoff"),
            ("triage", None, "message"),
        ],
        (101 + 11) * 2 + (102 + 12) * 2,
    ),
    "autogen-events-magentic.log": (
        [
            ("user", "MagenticOneOrchestrator", "message"),
            ("MagenticOneOrchestrator", "coder", "message"),
            ("MagenticOneOrchestrator", "coder", "message"),
            ("coder", "MagenticOneOrchestrator", "message"),
            ("MagenticOneOrchestrator", "tester", "message"),
            ("tester", "MagenticOneOrchestrator", "message"),
            ("MagenticOneOrchestrator", None, "message"),
        ],
        sum(100 + number + 10 + number for number in range(1, 7)) + 2 * (101 + 11),
    ),
    "langgraph-sqlite-subgraphs.sqlite": ([("user", "boss", "message"), *ASKED, *SUMS, *HANDED_BACK], PAID),
    # What the first node is given is in no chunk of this kind.
    "langgraph-subgraphs.jsonl": ([*ASKED, *SUMS, *HANDED_BACK], PAID),
    "langgraph-checkpoints.jsonl": (
        [
            ("user", "alice", "message"),
            ("alice", "transfer_to_bob", "tool_call"),
            ("transfer_to_bob", "alice", "tool_result"),
            ("bob", None, "message"),
        ],
        2 * 111,
    ),
    "langgraph-pieces.jsonl": (
        [
            ("alice", "transfer_to_bob", "tool_call"),
            ("transfer_to_bob", "alice", "tool_result"),
            ("bob", None, "message"),
        ],
        2 * 111,
    ),
    "langgraph-messages.jsonl": ([("alice", "transfer_to_bob", "tool_call"), ("bob", None, "message")], 2 * 111),
    "otlp-openinference-supervisor.jsonl": (TRACED, PAID),
    "otlp-openllmetry.jsonl": (TRACED, PAID),
    "otlp-logs.jsonl": (
        [
            ("user", "forecaster", "message"),
            ("forecaster", "weather", "tool_call"),
            ("forecaster", "editor", "message"),
            ("editor", None, "message"),
        ],
        111 + 112,
    ),
    "inspect-graded.json": (
        [
            ("user", "agent", "message"),
            ("agent", "model_graded_qa", "message"),
            ("user", "agent", "message"),
            ("agent", "model_graded_qa", "message"),
            ("model_graded_qa", None, "message"),
            ("model_graded_qa", None, "message"),
        ],
        2 * (107 + 108),
    ),
}


def read(name: str) -> list[Message]:
    """The messages of a sample."""
    if name.endswith(".sqlite"):
        pytest.importorskip("langgraph.checkpoint.sqlite")
    report = ReadReport()
    messages = list(read_transcript(SAMPLES / name, report=report))
    assert report.ok
    return messages


@pytest.mark.parametrize("name", TRUTH)
def test_what_was_said_is_told_once_and_in_order(name: str) -> None:
    """Every message of the run, from its sender to its recipient, and nothing that a framework only repeats."""
    assert [(one.sender, one.recipient, one.kind) for one in read(name)] == TRUTH[name][0]


@pytest.mark.parametrize("name", TRUTH)
def test_every_model_call_is_paid_for_once(name: str) -> None:
    """The recorded tokens are those that the scripted models reported."""
    assert sum(one.usage.total for one in read(name) if one.usage is not None) == TRUTH[name][1]


@pytest.mark.parametrize("name", TRUTH)
def test_where_all_calls_are_recorded_nothing_is_estimated(name: str) -> None:
    """What a call said beside its tool calls is in its usage, and so is nothing more to be paid."""
    accountant = Accountant()
    charges = [accountant.charge(one) for one in read(name)]
    assert sum(charge.tokens for charge in charges if not charge.estimated) == TRUTH[name][1]
    # A forecaster that only calls a tool has an empty last word; nothing else is priced by its length.
    assert not [charge for charge in charges if charge.estimated and charge.basis != "none"]


def test_arguments_and_results_have_no_wrapping() -> None:
    """OpenLLMetry wraps both with ids that are others in every call: the same call again must look the same."""
    tools = [one.tool for one in read("otlp-openllmetry.jsonl") if one.tool is not None]
    assert [(tool.arguments, tool.result) for tool in tools] == [
        ({"a": 1, "b": 2}, None),
        (None, "3"),
        ({"a": 3, "b": 4}, None),
        (None, "7"),
    ]


def test_pieces_are_a_message_again() -> None:
    """The words and the arguments that a model wrote piece by piece, with its usage."""
    call, said = read("langgraph-messages.jsonl")
    assert call.tool is not None
    assert (call.tool.name, call.tool.arguments, call.model) == ("transfer_to_bob", {}, "gpt-4o-mini")
    assert said.content == "Bob here. "
