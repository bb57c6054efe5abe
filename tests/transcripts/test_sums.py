"""Tokens and money count once, whichever span of a trace repeats them, in every format that has spans."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

import pytest

from agentbreaker.accounting import Accountant
from agentbreaker.message import Message, Usage
from agentbreaker.pricing import Pricing
from agentbreaker.transcripts.formats import find_format
from agentbreaker.transcripts.reading import ReadReport
from agentbreaker.transcripts.source import Source
from agentbreaker.transcripts.spans import Span, messages_of_spans

#: Two model calls of one agent, within a run that repeats their sums twice.
CALLS = [(1000, 100, 0.25), (3000, 300, 0.75)]
TOTAL = (4000, 400, 1.0)


def time_of(second: int) -> str:
    return f"2026-05-01T10:00:{second:02}+00:00"


def otlp_span(number: int, parent: int | None, attributes: dict[str, Any]) -> dict[str, Any]:
    def value(one: Any) -> dict[str, Any]:
        if isinstance(one, int):
            return {"intValue": str(one)}
        return {"doubleValue": one} if isinstance(one, float) else {"stringValue": one}

    return {
        "traceId": "a" * 32,
        "spanId": f"{number + 1:016x}",
        "parentSpanId": "" if parent is None else f"{parent + 1:016x}",
        "name": "step",
        "startTimeUnixNano": str(1_777_000_000_000_000_000 + number * 10**9),
        "endTimeUnixNano": str(1_777_000_000_000_000_000 + (20 - number if number < 2 else number + 1) * 10**9),
        "attributes": [{"key": key, "value": value(one)} for key, one in attributes.items()],
    }


def request(spans: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}]


def genai() -> list[dict[str, Any]]:
    def usage(one: tuple[int, int, float]) -> dict[str, Any]:
        return {
            "gen_ai.usage.input_tokens": one[0],
            "gen_ai.usage.output_tokens": one[1],
            "gen_ai.usage.cost": one[2],
            "gen_ai.request.model": "house-7b",
        }

    agent = {"gen_ai.operation.name": "invoke_agent"}
    spans = [
        otlp_span(0, None, {**agent, "gen_ai.agent.name": "team", **usage(TOTAL)}),
        otlp_span(1, 0, {**agent, "gen_ai.agent.name": "ann", **usage(TOTAL)}),
    ]
    for number, call in enumerate(CALLS, 2):
        text = json.dumps([{"role": "assistant", "parts": [{"type": "text", "content": f"Part {number}."}]}])
        spans.append(
            otlp_span(number, 1, {"gen_ai.operation.name": "chat", "gen_ai.output.messages": text, **usage(call)})
        )
    return request(spans)


def openinference_attributes() -> list[dict[str, Any]]:
    def usage(one: tuple[int, int, float]) -> dict[str, Any]:
        return {
            "llm.token_count.prompt": one[0],
            "llm.token_count.completion": one[1],
            "llm.cost.total": one[2],
            "llm.model_name": "house-7b",
        }

    return [
        {"openinference.span.kind": "CHAIN", **usage(TOTAL)},
        {"openinference.span.kind": "AGENT", "agent.name": "ann", **usage(TOTAL)},
        *(
            {"openinference.span.kind": "LLM", "output.value": f"Part {number}.", **usage(call)}
            for number, call in enumerate(CALLS, 2)
        ),
    ]


def openinference() -> list[dict[str, Any]]:
    parents = (None, 0, 1, 1)
    return request([otlp_span(n, parents[n], attributes) for n, attributes in enumerate(openinference_attributes())])


def phoenix() -> list[dict[str, Any]]:
    return [
        {
            "name": "step",
            "span_kind": attributes["openinference.span.kind"],
            "parent_id": None if number == 0 else f"s{min(number - 1, 1)}",
            "start_time": time_of(number),
            "end_time": time_of(20 - number if number < 2 else number + 1),
            "context": {"trace_id": "t", "span_id": f"s{number}"},
            "attributes": attributes,
        }
        for number, attributes in enumerate(openinference_attributes())
    ]


def langfuse() -> list[dict[str, Any]]:
    def observation(number: int, parent: str, kind: str, figures: tuple[int, int, float]) -> dict[str, Any]:
        return {
            "id": f"o{number}",
            "trace_id": "t",
            "type": kind,
            "name": "ann" if kind == "AGENT" else "step",
            "parent_observation_id": parent,
            "start_time": time_of(number),
            "end_time": time_of(20 - number if number < 2 else number + 1),
            "output": f"Part {number}." if kind == "GENERATION" else "",
            "provided_model_name": "house-7b" if kind == "GENERATION" else "",
            "usage_details": {"input": figures[0], "output": figures[1], "total": figures[0] + figures[1]},
            "total_cost": figures[2],
        }

    return [
        observation(0, "", "CHAIN", TOTAL),
        observation(1, "o0", "AGENT", TOTAL),
        *(observation(number, "o1", "GENERATION", call) for number, call in enumerate(CALLS, 2)),
    ]


def langsmith() -> list[dict[str, Any]]:
    def run(number: int, parent: str | None, kind: str, figures: tuple[int, int, float]) -> dict[str, Any]:
        return {
            "id": f"r{number}",
            "trace_id": "r0",
            "parent_run_id": parent,
            "name": "ann" if number == 1 else "step",
            "run_type": kind,
            "start_time": time_of(number),
            "end_time": time_of(20 - number if number < 2 else number + 1),
            "inputs": {},
            "outputs": {"generations": [[{"text": f"Part {number}."}]]} if kind == "llm" else {},
            "extra": {"metadata": {"langgraph_node": "ann", "ls_model_name": "house-7b"} if number else {}},
            "prompt_tokens": figures[0],
            "completion_tokens": figures[1],
            "total_tokens": figures[0] + figures[1],
            "total_cost": str(figures[2]),
        }

    return [
        run(0, None, "chain", TOTAL),
        run(1, "r0", "chain", TOTAL),
        *(run(number, "r1", "llm", call) for number, call in enumerate(CALLS, 2)),
        # Whatever is no model call costs 0 there, also what lies within one.
        run(4, "r3", "parser", (0, 0, 0.0)),
    ]


FORMATS: dict[str, tuple[str, Callable[[], list[dict[str, Any]]]]] = {
    "genai": ("otlp", genai),
    "openinference": ("otlp", openinference),
    "phoenix": ("phoenix", phoenix),
    "langfuse": ("langfuse", langfuse),
    "langsmith": ("langsmith", langsmith),
}


def read(name: str) -> list[Message]:
    """The messages of a recording that was made here."""
    format_name, make = FORMATS[name]
    data = "".join(json.dumps(record) + "\n" for record in make()).encode()
    report = ReadReport()
    messages = list(find_format(format_name).read(Source(io.BytesIO(data), "x", report=report)))
    assert report.skipped == 0
    return messages


@pytest.mark.parametrize("name", FORMATS)
def test_a_parent_that_repeats_its_childrens_totals_counts_nothing(name: str) -> None:
    """Run and agent both carry the sums of the two calls; what is charged is the calls, with their own figures."""
    accountant = Accountant(Pricing())
    charges = [accountant.charge(message) for message in read(name)]
    assert [charge.cost_usd for charge in charges if charge.cost_usd] == [0.25, 0.75]
    assert sum(charge.tokens for charge in charges if not charge.estimated) == 4400
    assert accountant.models["house-7b"].tokens == 4400
    assert accountant.unpriced == {}


def span(span_id: str, parent_id: str | None, **more: Any) -> Span:
    """A span of which only the nesting and the figures matter here."""
    return Span("t", span_id, parent_id, more.pop("kind", "other"), **more)


def figures(*spans: Span) -> dict[str, tuple[int, float | None]]:
    """Tokens and money of the messages by their text, after the spans are read."""
    told = messages_of_spans(Source(io.BytesIO(b""), "x"), spans)
    return {
        message.content: (message.usage.total if message.usage else 0, message.cost_usd)
        for message in told
        if message.usage is not None or message.cost_usd is not None
    }


def call(span_id: str, parent_id: str, tokens: int, cost: float | None = None) -> Span:
    """A model call that says its id."""
    return span(span_id, parent_id, kind="model", said=span_id, usage=Usage(tokens, 0), cost_usd=cost, model="m")


def test_a_cost_of_zero_is_no_figure() -> None:
    """What lies within a model call and costs 0 does not take the call's tokens away."""
    assert figures(
        span("1", None, kind="agent", name="ann"), call("2", "1", 100, 0.5), span("3", "2", cost_usd=0.0)
    ) == {"2": (100, 0.5)}


def test_money_that_only_the_run_knows_goes_to_its_calls() -> None:
    """The summary of a run is shared out by tokens; sums of sums count once, and what a call knows itself stays."""
    run = span("0", None, cost_usd=1.0, usage=Usage(400, 0))
    agent = span("1", "0", kind="agent", name="ann", cost_usd=1.0)
    assert figures(run, agent, call("2", "1", 100), call("3", "1", 300)) == {"2": (100, 0.25), "3": (300, 0.75)}
    run, agent = span("0", None, cost_usd=1.0), span("1", "0", kind="agent", name="ann", cost_usd=0.6)
    calls = [call("2", "1", 100), call("3", "1", 300, 0.5), call("4", "0", 100)]
    assert figures(run, agent, *calls) == {
        "2": (100, pytest.approx(0.1)),
        "3": (300, 0.5),
        "4": (100, pytest.approx(0.4)),
    }


def test_a_run_that_knows_less_than_its_calls_adds_nothing() -> None:
    """Where the calls together cost more than the sum says, nothing is left to share out."""
    run = span("0", None, kind="agent", name="ann", cost_usd=0.1)
    assert figures(run, call("2", "0", 100, 0.5), call("3", "0", 100)) == {"2": (100, 0.5), "3": (100, None)}
