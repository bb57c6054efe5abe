"""Dumps of LangGraph's streams in the forms that people write them."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from agentbreaker.message import Message
from agentbreaker.transcripts import ReadReport, read_transcript


def read(*chunks: Any, report: ReadReport | None = None, name: str | None = None) -> list[Message]:
    """The messages of a dump with these chunks."""
    data = "".join(json.dumps(chunk) + "\n" for chunk in chunks).encode()
    return list(read_transcript(io.BytesIO(data), report=report, format=name))


def said(messages: list[Message]) -> list[tuple[str, str | None, str]]:
    """Who said what to whom."""
    return [(one.sender, one.recipient, one.content) for one in messages]


def ai(content: str, **fields: Any) -> dict[str, Any]:
    """A message of a model."""
    return {"type": "ai", "content": content} | fields


UPDATES = [{"a": {"messages": [ai("1")]}}, {"b": {"messages": [ai("2")]}}]
TOLD = [("a", "b", "1"), ("b", None, "2")]


@pytest.mark.parametrize(
    "chunks",
    [
        UPDATES,
        [["updates", one] for one in UPDATES],
        [[[], "updates", one] for one in UPDATES],
        [[[], one] for one in UPDATES],
        [{"type": "updates", "ns": [], "data": one} for one in UPDATES],
        [UPDATES],
        [{"a": {"messages": {"lc": 1, "id": ["x", "AIMessage"], "kwargs": ai("1")}}}, UPDATES[1]],
        [
            {"a": {"messages": [ai("1")]}},
            {"__interrupt__": []},
            {"b": {"messages": ["content='2' additional_kwargs={}"]}},
        ],
    ],
)
def test_a_chunk_may_be_written_in_many_ways(chunks: list[Any]) -> None:
    """With its mode and graph or without, in one array, as ``dumpd`` or ``str`` write messages."""
    report = ReadReport()
    assert said(read(*chunks, report=report)) == TOLD
    assert (list(report.formats), report.skipped) == (["langgraph"], 0)


def test_nodes_of_one_step_do_not_hear_each_other() -> None:
    """Tasks that start together run side by side; those of the next step hear both."""

    def start(name: str) -> dict[str, Any]:
        return {"id": name, "name": name, "input": {}, "triggers": [f"branch:to:{name}"]}

    def end(name: str, text: str) -> dict[str, Any]:
        return {"id": name, "name": name, "error": None, "result": {"messages": [ai(text)]}}

    found = read(
        start("p"), end("p", "go"), start("a"), start("b"), end("a", "1"), end("b", "2"), start("c"), end("c", "done")
    )
    assert said(found) == [("p", "a", "go"), ("a", "c", "1"), ("b", "c", "2"), ("c", None, "done")]
    assert not any(one.inferred for one in found)


def test_state_without_messages_is_what_a_node_says() -> None:
    """A graph that passes a draft round is a conversation too."""
    found = read({"writer": {"draft": "v1"}}, {"critic": {"verdict": "no"}}, {"idle": None}, name="langgraph")
    assert said(found) == [("writer", "critic", '{"draft":"v1"}'), ("critic", None, '{"verdict":"no"}')]


def test_a_node_in_the_name_of_a_person_is_an_agent() -> None:
    """Reflection writes human messages; only what nobody in the graph wrote is the user's."""
    person = {"type": "human", "content": "Shorter."}
    (first, second) = read({"reflect": {"messages": [person]}}, {"write": {"messages": [person | {"name": "tom"}]}})
    assert (first.sender, first.role, second.sender) == ("reflect", "assistant", "tom")


def test_parts_of_an_agent_speak_with_its_name() -> None:
    """An agent that is a graph of its own has nodes such as ``model``; other inner nodes are agents themselves."""
    found = read([["team:1"], {"model": {"messages": [ai("1")]}}], [["team:1"], {"coder": {"messages": [ai("2")]}}])
    assert said(found) == [("team", "coder", "1"), ("coder", None, "2")]


def test_whole_states_tell_what_is_new_in_them() -> None:
    """Also where messages have no ids."""
    states = [
        {"messages": [{"type": "human", "content": "hi"}, ai("1", name="a"), ai("2", name="b")][: n + 1]}
        for n in range(3)
    ]
    assert said(read(*states)) == [("user", "a", "hi"), ("a", "b", "1"), ("b", None, "2")]


def test_what_is_no_chunk_is_named() -> None:
    """A piece without a place is no message; custom data and interrupts are none either, and no fault."""
    report = ReadReport()
    found = read(
        ["messages", [ai("to"), {}]],
        ["custom", 1],
        3,
        ["updates", 3],
        ["updates", UPDATES[0]],
        [],
        {"id": 1, "name": "n", "triggers": []},
        report=report,
        name="langgraph",
    )
    assert said(found) == [("a", None, "1")]
    assert sorted(error.reason for error in report.errors) == [
        "expected a message and where it is from",
        "expected an object",
        "not a chunk of a stream",
        "not a chunk of a stream",
    ]


def test_the_same_words_of_two_agents_are_two_messages() -> None:
    """Only what an outer graph repeats of an inner one is told once; agreement is not."""
    chunks = [
        {"a": {"messages": [ai("Agreed.", id="1")]}},
        {"b": {"messages": [ai("Agreed.")]}},
        {"a": {"messages": [ai("Agreed.", id="2")]}},
        {"a": {"messages": [ai("Agreed.")]}},
    ]
    assert [one[0] for one in said(read(*chunks))] == ["a", "b", "a", "a"]


def test_what_an_outer_graph_repeats_is_told_once() -> None:
    """In the inner graph it has no id yet, in the outer one it has; the request comes with it, too late to be told."""
    tool = {"type": "tool", "content": "41", "tool_call_id": "c1"}
    asked = {"type": "human", "content": "Count.", "id": "0"}
    chunks = [
        [["boss:1"], "updates", {"agent": {"messages": [ai("I count.", id="1")]}}],
        [["boss:1"], "updates", {"tools": {"messages": [tool]}}],
        [[], "updates", {"boss": {"messages": [asked, ai("I count.", id="1"), {**tool, "id": "2"}]}}],
        [[], "updates", {"boss": {"messages": [asked, {**tool, "id": "2"}, ai("41 it is.", id="3")]}}],
    ]
    found = read(*chunks, name="langgraph")
    assert [(one.sender, one.tool.result if one.tool else one.content) for one in found] == [
        ("boss", "I count."),
        ("tool", "41"),
        ("boss", "41 it is."),
    ]


def test_a_second_request_is_told() -> None:
    """A node that gives back all it was given: what was asked since is new."""
    first = [{"type": "human", "content": "One?", "id": "0"}, ai("One.", id="1")]
    second = [*first, {"type": "human", "content": "Two?", "id": "2"}, ai("Two.", id="3")]
    found = read({"a": {"messages": first}}, {"a": {"messages": second}})
    assert [one.content for one in found] == ["One?", "One.", "Two?", "Two."]


def test_checkpoints_of_a_stream_are_states() -> None:
    """Those of inner graphs are told with the outer one's."""
    states = [
        {"config": {}, "values": {"messages": [ai("1", id="1"), ai("2", id="2")][: n + 1]}, "next": []} for n in (0, 1)
    ]
    assert [one.content for one in read(*states)] == ["1", "2"]


def test_silence_does_not_fill_the_memory() -> None:
    """Thousands of messages that nobody hears are let go in their order."""
    chunk = {"a": {"messages": [ai(str(number)) for number in range(100)]}}
    found = read(*(chunk for _ in range(100)))
    assert len(found) == 10_000
    assert [one.content for one in found[:100]] == [str(number) for number in range(100)]
