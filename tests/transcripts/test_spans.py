"""What the nesting of spans tells: calls, turns, teams, handoffs, and costs that count once."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from typing import Any

import pytest

from agentbreaker.message import Message, Tool, Usage
from agentbreaker.transcripts import spans as spans_module
from agentbreaker.transcripts.reading import ReadReport
from agentbreaker.transcripts.source import Source
from agentbreaker.transcripts.spans import Span, messages_of_spans


def span(span_id: str, parent_id: str | None, kind: Any, name: str, start: int, end: int, **more: Any) -> Span:
    """A span of the trace ``t``, with its times in seconds."""
    begin, stop = datetime.fromtimestamp(start, UTC), datetime.fromtimestamp(end, UTC)
    return Span("t", span_id, parent_id, kind, name, begin, stop, **more)


def read(*spans: Span, report: ReadReport | None = None) -> list[Message]:
    """The messages of spans."""
    return list(messages_of_spans(Source(io.BytesIO(b""), "x", report=report), spans))


def edges(messages: list[Message]) -> list[tuple[str, str | None, str]]:
    """Who spoke to whom, and how."""
    return [(message.sender, message.recipient, message.kind) for message in messages]


def model(span_id: str, parent_id: str, start: int, end: int, said: str = "", **more: Any) -> Span:
    """A model call."""
    return span(span_id, parent_id, "model", "", start, end, said=said, **more)


def test_an_agent_within_an_agent_is_asked_and_answers() -> None:
    """Nested agents are a call and its return, and the outer one goes on."""
    messages = read(
        span("1", None, "agent", "boss", 0, 9, asked="Do it."),
        model("2", "1", 1, 2, "Let me see."),
        span("3", "1", "agent", "clerk", 3, 6, asked="Find it."),
        model("4", "3", 4, 5, "Found."),
        model("5", "1", 7, 8, "Done."),
    )
    assert [(message.sender, message.recipient, message.content) for message in messages] == [
        ("user", "boss", "Do it."),
        ("boss", "clerk", "Let me see."),
        ("boss", "clerk", "Find it."),
        ("clerk", "boss", "Found."),
        ("boss", None, "Done."),
    ]


def test_agents_side_by_side_speak_to_the_next() -> None:
    """Turns under a span that is no agent: the recipient is whoever runs next, and inferred."""
    messages = read(
        span("0", None, "other", "graph", 0, 9),
        span("1", "0", "agent", "ann", 1, 2, said="a"),
        span("2", "0", "agent", "ben", 3, 4, said="b"),
        span("3", "0", "agent", "ann", 5, 6, said="c"),
    )
    assert edges(messages) == [("ann", "ben", "message"), ("ben", "ann", "message"), ("ann", None, "message")]
    assert [message.inferred for message in messages] == [True, True, False]


def test_a_team_is_no_speaker() -> None:
    """A span around agents that makes no model call of its own, where they do, only holds them."""
    messages = read(
        span("0", None, "agent", "team", 0, 9, asked="Go.", said="end"),
        span("1", "0", "agent", "ann", 1, 3),
        model("2", "1", 1, 2, "a"),
        span("3", "0", "agent", "ben", 4, 6),
        model("4", "3", 4, 5, "b"),
    )
    assert edges(messages) == [("ann", "ben", "message"), ("ben", None, "message")]


def test_an_agent_without_recorded_calls_still_calls_its_agents() -> None:
    """Where no model call is recorded at all, nothing says that the outer span is a team."""
    messages = read(
        span("0", None, "agent", "boss", 0, 9),
        span("1", "0", "agent", "ann", 1, 2),
        span("3", "0", "agent", "ben", 4, 6),
    )
    assert edges(messages)[:4] == [
        ("boss", "ann", "message"),
        ("ann", "boss", "message"),
        ("boss", "ben", "message"),
        ("ben", "boss", "message"),
    ]


def test_tokens_and_money_count_once() -> None:
    """Sums on parents are left out, wherever they stand; what stands only on a parent is kept."""
    messages = read(
        span("0", None, "other", "root", 0, 20, usage=Usage(300, 30), cost_usd=0.3),
        span("1", "0", "agent", "ann", 1, 8, usage=Usage(200, 20)),
        model("2", "1", 2, 3, usage=Usage(100, 10), cost_usd=0.1, calls=[Tool("look")], model="m"),
        span("3", "1", "tool", "look", 4, 5, tool=Tool("look", result="5")),
        model("4", "1", 6, 7, "found", usage=Usage(100, 10), cost_usd=0.1),
        span("5", "0", "agent", "ben", 9, 12, said="ok", usage=Usage(100, 10), cost_usd=0.1),
    )
    assert sum(message.usage.total for message in messages if message.usage) == 330
    assert sum(message.cost_usd for message in messages if message.cost_usd) == pytest.approx(0.3)
    by_kind = {(message.sender, message.kind): message.usage for message in messages}
    assert by_kind["ann", "tool_call"] == Usage(100, 10)
    assert by_kind["ben", "message"] == Usage(100, 10)


def test_a_call_without_text_is_paid_for_by_what_follows_it() -> None:
    """A model call that says nothing gives its tokens to the next message of its agent, or to the last one."""
    messages = read(
        span("1", None, "agent", "ann", 0, 9),
        model("2", "1", 1, 2, "first", usage=Usage(1, 1)),
        model("3", "1", 3, 4, usage=Usage(10, 10)),
    )
    assert [(message.content, message.usage) for message in messages] == [("first", Usage(11, 11))]


def test_tokens_of_two_models_keep_their_prices_apart() -> None:
    """A guard of a small model and then the answer of a large one: neither is paid at the price of the other."""
    messages = read(
        span("1", None, "agent", "ann", 0, 9),
        model("2", "1", 1, 2, usage=Usage(100, 1), model="gpt-4o-mini"),
        model("3", "1", 3, 4, "Done.", usage=Usage(7, 5), model="gpt-4o"),
    )
    assert [(one.kind, one.content, one.model, one.usage) for one in messages] == [
        ("system", "", "gpt-4o-mini", Usage(100, 1)),
        ("message", "Done.", "gpt-4o", Usage(7, 5)),
    ]


def test_tool_calls_after_a_paid_text_cost_nothing_more() -> None:
    """The call of the model that asked for them is recorded; after one that is not, they are to be estimated."""
    tool = Tool("count", "c1", {"table": "orders"}, "41")
    for usage, elsewhere in ((Usage(9, 5), True), (None, False)):
        messages = read(
            span("1", None, "agent", "ann", 0, 9),
            model("2", "1", 1, 2, "I count.", usage=usage),
            span("3", "1", "tool", "count", 3, 4, tool=tool),
        )
        assert [one.usage_elsewhere for one in messages if one.kind == "tool_call"] == [elsewhere]


def test_a_state_that_ends_with_the_request_does_not_hide_it() -> None:
    """A node that only calls a tool gives back what it was given."""
    messages = read(
        span("1", None, "agent", "ann", 0, 5, asked="Go.", said="Go."), model("2", "1", 1, 2, usage=Usage(1, 1))
    )
    assert messages[0].role == "user"


def test_a_handoff_names_who_takes_over() -> None:
    """A transfer is a handoff, and the agent that takes over is spoken to."""
    messages = read(
        span("1", None, "agent", "ann", 0, 4),
        span("2", "1", "tool", "transfer", 2, 3, target="ben", tool=Tool("transfer")),
        span("3", None, "agent", "ben", 5, 8, said="Mine now."),
    )
    assert edges(messages) == [("ann", "ben", "handoff"), ("ben", None, "message")]


def test_the_caller_that_a_span_names_is_believed() -> None:
    """With parallel branches the next in time is not the one that was called."""
    messages = read(
        span("1", None, "agent", "ann", 0, 2, said="a"),
        span("2", None, "agent", "ben", 3, 4, said="b"),
        span("3", None, "agent", "cat", 5, 6, said="c", caller="ann"),
    )
    assert edges(messages)[0] == ("ann", "cat", "message")
    assert not messages[0].inferred


def test_what_an_agent_said_is_no_request_of_the_user() -> None:
    """Frameworks hand the reply of one agent to the next as a user's message."""
    messages = read(
        span("1", None, "model", "ann", 0, 1, asked="Go.", said="Done."),
        span("2", None, "model", "ben", 2, 3, asked="Done.", said="Fine."),
    )
    assert [(message.sender, message.content) for message in messages] == [
        ("user", "Go."),
        ("ann", "Done."),
        ("ben", "Fine."),
    ]


def test_spans_in_a_circle_or_without_their_parent_are_read() -> None:
    """Broken nesting costs the nesting."""
    messages = read(
        span("1", "3", "agent", "ann", 0, 1, said="a"),
        span("2", "1", "agent", "ben", 2, 3, said="b"),
        span("3", "2", "agent", "cat", 4, 5, said="c"),
        span("4", "4", "agent", "dan", 6, 7, said="d"),
        span("5", "none", "agent", "eve", 8, 9, said="e"),
    )
    assert {message.content for message in messages} >= {"a", "b", "c", "d", "e"}


def test_a_deep_chain_of_spans_is_read() -> None:
    """Nesting is followed without recursion."""
    deep = [span(str(n), str(n - 1), "other", "x", n, 9999) for n in range(1, 5000)]
    messages = read(*deep, span("a", "4999", "agent", "ann", 6000, 6001, said="a"))
    assert edges(messages) == [("ann", None, "message")]


def test_spans_without_times_are_read() -> None:
    """Where no time is recorded, order is that of the file."""
    messages = read(
        Span("t", "1", kind="agent", name="ann", said="a"), Span("t", "2", kind="agent", name="ben", said="b")
    )
    assert [message.content for message in messages] == ["a", "b"]


def test_a_span_that_comes_twice_counts_as_it_came_last() -> None:
    """Updates of a span replace it."""
    messages = read(span("1", None, "agent", "ann", 0, 1, said="a"), span("1", None, "agent", "ann", 0, 2, said="b"))
    assert [message.content for message in messages] == ["b"]


def test_room_for_spans_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The trace that was silent for longest is let go, and one that goes on after that is named."""
    monkeypatch.setattr(spans_module, "MAX_HELD_BYTES", 10_000)
    report = ReadReport()
    many = [Span(f"t{number % 20}", str(number), kind="agent", name="ann", said=str(number)) for number in range(40)]
    messages = read(*many, report=report)
    assert len(messages) == report.messages == 40
    assert report.skipped == 20
    assert set(report.reasons) == {"trace: no room to hold its trace: what follows is read as a trace of its own"}


def test_a_node_that_only_runs_tools_is_no_agent() -> None:
    """The tools of a graph's tool node are those of the agent that ran before it."""
    messages = read(
        span("1", None, "agent", "ann", 0, 2, is_node=True),
        model("2", "1", 0, 1, calls=[Tool("look")], usage=Usage(5, 5)),
        span("3", None, "agent", "tools", 3, 6, is_node=True, said="5"),
        span("4", "3", "tool", "look", 4, 5, tool=Tool("look", result="5"), is_node=True),
        span("5", None, "agent", "ann", 7, 9, is_node=True),
        model("6", "5", 7, 8, "It is 5."),
    )
    assert [one for one in edges(messages) if one[2] != "message"] == [
        ("ann", "look", "tool_call"),
        ("look", "ann", "tool_result"),
    ]
    assert {message.sender for message in messages} == {"ann", "look"}


def test_a_wrapper_of_the_same_name_is_no_call() -> None:
    """Frameworks put a span around an agent's span under the same name: an agent does not ask itself."""
    messages = read(
        span("1", None, "agent", "ann", 0, 9, asked="Go."),
        span("2", "1", "agent", "ann", 1, 8, asked="Go."),
        model("3", "2", 2, 3, "Gone."),
    )
    assert [(message.sender, message.recipient, message.content) for message in messages] == [
        ("user", "ann", "Go."),
        ("ann", None, "Gone."),
    ]
