"""Langfuse exports: observations, one a record, with the names of the blob export and those of the API.

An observation is a span: ``type`` is AGENT, GENERATION, TOOL, CHAIN and so on.  Enriched observations carry the session
of their trace, legacy ones do not: a trace is then a conversation.  Traces and scores hold no messages.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from agentbreaker.message import Message, Tool, Usage
from agentbreaker.transcripts.genai import calls_of_message
from agentbreaker.transcripts.graph_runs import agent_of_run, handed_over
from agentbreaker.transcripts.records import Probe
from agentbreaker.transcripts.rows import rows_of
from agentbreaker.transcripts.schema import UnreadableError
from agentbreaker.transcripts.source import Source
from agentbreaker.transcripts.spans import Span, messages_of_spans
from agentbreaker.transcripts.table import header_of
from agentbreaker.transcripts.values import (
    cost_of,
    count_of,
    items_of,
    last_text,
    mapping_of,
    moment_of,
    name_of,
    text_of,
    unpacked,
    usage_of,
)

__all__ = ["read_langfuse", "recognise_langfuse"]

_TYPES: Final = frozenset(
    {
        "SPAN",
        "GENERATION",
        "EVENT",
        "AGENT",
        "TOOL",
        "CHAIN",
        "RETRIEVER",
        "EVALUATOR",
        "EMBEDDING",
        "GUARDRAIL",
    }
)


def recognise_langfuse(probe: Probe) -> bool:
    """Whether a record is an observation."""
    return any(
        record.get("type") in _TYPES
        and ("trace_id" in record or "traceId" in record)
        and ("start_time" in record or "startTime" in record)
        for record in (*probe.records, *probe.rows)
        if isinstance(record.get("type"), str)
    ) or (
        {"type", "trace_id", "parent_observation_id"} <= probe.keys
        or {"type", "traceId", "parentObservationId"} <= probe.keys
        or {"id", "type", "trace_id", "start_time"} <= header_of(probe)
    )


def read_langfuse(source: Source) -> Iterator[Message]:
    """Yield the messages of Langfuse observations."""
    return messages_of_spans(source, _spans(source))


def _spans(source: Source) -> Iterator[Span]:
    for record in rows_of(source):
        try:
            yield _span(record)
        except UnreadableError as error:
            source.skip(error.reason, field=error.field)


def _get(record: Mapping[str, Any], name: str) -> Any:
    """The value of a field, in the export's spelling or the API's; an empty text is no value."""
    if (value := record.get(name)) is None or value == "":
        head, *tail = name.split("_")
        value = record.get(head + "".join(map(str.title, tail)))
    return None if value == "" else value


def _span(record: Mapping[str, Any]) -> Span:
    trace_id, span_id = name_of(_get(record, "trace_id"), "trace_id"), name_of(record.get("id"), "id")
    if trace_id is None or span_id is None:
        raise UnreadableError("missing", "trace_id" if trace_id is None else "id")
    span = Span(
        trace_id,
        span_id,
        name_of(_get(record, "parent_observation_id"), "parent_observation_id"),
        start=moment_of(_get(record, "start_time")),
        end=moment_of(_get(record, "end_time")),
        conversation_id=name_of(_get(record, "session_id"), "session_id"),
    )
    metadata = mapping_of(record.get("metadata"))
    node = metadata.get("langgraph_node")
    name = name_of(record.get("name"), "name")
    turn = agent_of_run(name, metadata)
    given, back = _get(record, "input"), _get(record, "output")
    match record.get("type"):
        case "GENERATION":
            span.kind = "model"
            span.model = name_of(_get(record, "provided_model_name") or _get(record, "model"), "provided_model_name")
            span.asked, span.from_user = _asked(given)
            answer = _answer(unpacked(back))
            span.said = last_text(answer)
            for message in items_of(answer) or items_of([answer]):
                span.calls += calls_of_message(message)
        # What has "agent" in its name is an AGENT to the callback, also within a node.
        case "AGENT" if node is None or turn is not None:
            span.kind, span.name = "agent", turn or name or ""
            span.asked, span.said = _asked(given)[0], last_text(unpacked(back))
        case "CHAIN" | "SPAN" if turn is not None:
            span.kind, span.name, span.is_node = "agent", turn, True
            span.asked, span.said = _asked(given)[0], last_text(unpacked(back))
        case "TOOL":
            span.kind, span.name, span.is_node = "tool", name or "tool", isinstance(node, str)
            span.tool = Tool(span.name, None, unpacked(given), text_of(unpacked(back)), record.get("level") == "ERROR")
            if (handover := handed_over(back)) is not None:
                span.target, span.tool.result = handover
    span.usage = _usage(record)
    span.cost_usd = cost_of(_get(record, "total_cost") or _get(record, "calculated_total_cost"))
    costs = mapping_of(_get(record, "cost_details"))
    if span.cost_usd is None and costs:
        parts = [cost for name, value in costs.items() if name != "total" and (cost := cost_of(value)) is not None]
        span.cost_usd = cost_of(costs.get("total")) if "total" in costs else sum(parts)
    return span


def _answer(value: Any) -> Any:
    """What a model gave: a message, or that of the first choice of a whole response."""
    choices = items_of(value.get("choices")) if isinstance(value, dict) else []
    return choices[0].get("message", value) if choices else value


def _asked(value: Any) -> tuple[str, bool]:
    """The latest request, and whether it is a user's, of a list of messages, a state that has one, or a text."""
    value = unpacked(value)
    turns = items_of(value.get("messages") if isinstance(value, dict) else value)
    if not turns:
        return last_text(value), True
    for turn in reversed(turns):
        if (turn.get("role") or turn.get("type")) in ("user", "human"):
            return last_text(turn), True
    return "", False


def _usage(record: Mapping[str, Any]) -> Usage | None:
    """Tokens of an observation: kinds of input side by side, which together are the input, and so the output."""
    details = mapping_of(_get(record, "usage_details"))
    sums = {"input": 0, "output": 0}
    read = created = reasoning = 0
    for name, value in details.items():
        if name == "total":
            continue
        count = count_of(value)
        side = "output" if "output" in name else "input"
        sums[side] += count
        if side == "output":
            reasoning += count if "reasoning" in name else 0
        elif "creation" in name or "write" in name:
            created += count
        elif "cache" in name:
            read += count
    plain = count_of(details.get("input")) + count_of(details.get("output"))
    if 0 < plain == count_of(details.get("total")) < sum(sums.values()):
        # Written by hand after another convention: the total says that the other kinds are part of these two.
        sums = {side: count_of(details.get(side)) for side in sums}
    if any(sums.values()):
        return usage_of(sums["input"], sums["output"], read, created, reasoning)
    # The legacy form, without kinds.
    usage = mapping_of(record.get("usage"))
    return usage_of(
        usage.get("input") or _get(record, "prompt_tokens"), usage.get("output") or _get(record, "completion_tokens")
    )
