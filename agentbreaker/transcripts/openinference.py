"""OpenInference: the attributes that Phoenix and its instrumentations use, and Phoenix's exports of them.

Phoenix writes a span a record: ``context.trace_id``, ``context.span_id``, ``parent_id``, ``span_kind``, ``start_time``
and the attributes, flat (``attributes.llm.model_name``) as its data frame has them, or as an object ``attributes``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from agentbreaker.message import Message, Tool
from agentbreaker.transcripts.graph_runs import agent_of_run, handed_over
from agentbreaker.transcripts.records import Probe
from agentbreaker.transcripts.rows import rows_of
from agentbreaker.transcripts.schema import UnreadableError
from agentbreaker.transcripts.source import Source
from agentbreaker.transcripts.spans import Span, messages_of_spans
from agentbreaker.transcripts.values import (
    cost_of,
    first_name,
    last_text,
    mapping_of,
    moment_of,
    name_of,
    text_of,
    unpacked,
    usage_of,
)

__all__ = ["fill_from_openinference", "read_phoenix", "recognise_phoenix"]

_KIND: Final = "openinference.span.kind"
_MAX_DEPTH: Final = 8


def fill_from_openinference(span: Span, span_name: str, attributes: Mapping[str, Any]) -> None:
    """Fill a span from its attributes, by their full names (``llm.input_messages.0.message.role``).

    Raises:
        UnreadableError: A name or id is too long.
    """
    kind = str(attributes.get(_KIND, "")).upper()
    node = name_of(attributes.get("graph.node.id"), "graph.node.id")
    span.conversation_id = name_of(attributes.get("session.id"), "session.id")
    span.usage = usage_of(
        attributes.get("llm.token_count.prompt"),
        attributes.get("llm.token_count.completion"),
        attributes.get("llm.token_count.prompt_details.cache_read"),
        attributes.get("llm.token_count.prompt_details.cache_write"),
        attributes.get("llm.token_count.completion_details.reasoning"),
    )
    span.cost_usd = cost_of(attributes.get("llm.cost.total"))
    if span.usage is not None or kind == "LLM":
        span.model = name_of(attributes.get("llm.model_name"), "llm.model_name")
    agent = name_of(attributes.get("agent.name"), "agent.name")
    # LangChain's metadata is an attribute too: a chain with the name of a LangGraph node is an agent's turn.
    metadata = mapping_of(attributes.get("metadata"))
    graph_node = name_of(metadata.get("langgraph_node"), "metadata.langgraph_node")
    turn = agent_of_run(span_name, metadata)
    agent = agent or name_of(metadata.get("lc_agent_name"), "metadata.lc_agent_name")
    given, given_back = attributes.get("input.value"), attributes.get("output.value")
    # Whatever has "agent" in its name is an AGENT to the instrumentation, also within a node.
    if (kind == "AGENT" and graph_node is None) or (kind == "CHAIN" and node is not None):
        span.kind, span.name = "agent", agent or node or name_of(span_name, "name") or ""
        span.caller = name_of(attributes.get("graph.node.parent_id"), "graph.node.parent_id")
        span.asked, span.said = last_text(given), last_text(given_back)
    elif kind in ("AGENT", "CHAIN") and turn is not None:
        span.kind, span.name, span.is_node = "agent", turn, True
        span.asked, span.said = last_text(given), last_text(given_back)
    elif kind == "LLM":
        span.kind, span.name = "model", agent or graph_node or ""
        asked = _messages(attributes, "llm.input_messages.")
        said = _messages(attributes, "llm.output_messages.")
        requests = [one for one in asked if one.get("role") == "user"]
        span.asked = _text(requests[-1]) if requests else "" if asked else last_text(given)
        span.from_user = bool(requests)
        span.said = _text(said[-1]) if said else last_text(given_back)
        for message in said:
            span.calls += _calls(message)
    elif kind == "TOOL":
        span.kind, span.is_node = "tool", graph_node is not None
        span.name = name_of(attributes.get("tool.name"), "tool.name") or name_of(span_name, "name") or "tool"
        span.tool = Tool(
            span.name,
            name_of(attributes.get("tool_call.id", attributes.get("tool.id")), "tool_call.id"),
            unpacked(given if given is not None else attributes.get("tool.parameters")),
            last_text(given_back) if _is_message(given_back) else text_of(given_back),
            "exception.type" in attributes,
        )
        if (handover := handed_over(given_back)) is not None:
            span.target, span.tool.result = handover


def _is_message(value: Any) -> bool:
    """Whether the result of a tool is LangChain's message of it."""
    message = unpacked(value)
    return isinstance(message, dict) and message.get("type") == "tool" and isinstance(message.get("data"), dict)


def _messages(attributes: Mapping[str, Any], prefix: str) -> list[dict[str, Any]]:
    """The messages below a prefix, each with the rest of its attributes' names."""
    found: dict[int, dict[str, Any]] = {}
    for name, value in attributes.items():
        if name.startswith(prefix):
            number, _, rest = name[len(prefix) :].partition(".")
            if number.isascii() and number.isdigit() and len(number) < 9 and rest.startswith("message."):
                found.setdefault(int(number), {})[rest.removeprefix("message.")] = value
    return [found[number] for number in sorted(found)]


def _text(message: Mapping[str, Any]) -> str:
    if content := text_of(message.get("content")):
        return content
    parts = [
        value
        for name, value in message.items()
        if name.startswith("contents.") and name.endswith(".message_content.text") and isinstance(value, str)
    ]
    return "\n".join(parts)


def _calls(message: Mapping[str, Any]) -> list[Tool]:
    found: dict[str, dict[str, Any]] = {}
    for name, value in message.items():
        if name.startswith("tool_calls."):
            number, _, field = name.removeprefix("tool_calls.").partition(".")
            found.setdefault(number, {})[field.removeprefix("tool_call.")] = value
    return [
        Tool(
            name_of(call.get("function.name"), "tool_call.function.name") or "tool",
            name_of(call.get("id"), "tool_call.id"),
            unpacked(call.get("function.arguments")),
        )
        for call in found.values()
    ]


# -- exports of Phoenix -----------------------------------------------------------------------------------------------


def recognise_phoenix(probe: Probe) -> bool:
    """Whether a record is a span as Phoenix exports it."""
    return any(
        _id(record, "span_id") is not None
        and ("span_kind" in record or f"attributes.{_KIND}" in record or "attributes" in record)
        for record in (*probe.records, *probe.rows)
    ) or ({"context.span_id", "span_kind"} <= probe.keys)


def read_phoenix(source: Source) -> Iterator[Message]:
    """Yield the messages of spans that Phoenix exported."""
    return messages_of_spans(source, _spans(source))


def _id(record: Mapping[str, Any], field: str) -> Any:
    context = record.get("context")
    return record.get(f"context.{field}") or (context.get(field) if isinstance(context, dict) else None)


def _spans(source: Source) -> Iterator[Span]:
    for record in rows_of(source):
        try:
            yield _span(record)
        except UnreadableError as error:
            source.skip(error.reason, field=error.field)


def _span(record: Mapping[str, Any]) -> Span:
    trace_id = name_of(_id(record, "trace_id"), "context.trace_id")
    span_id = name_of(_id(record, "span_id"), "context.span_id")
    if trace_id is None or span_id is None:
        raise UnreadableError("missing", "context.trace_id" if trace_id is None else "context.span_id")
    span = Span(
        trace_id,
        span_id,
        first_name(record, ("parent_id",)),
        start=moment_of(record.get("start_time")),
        end=moment_of(record.get("end_time")),
    )
    attributes: dict[str, Any] = {}
    _flatten(mapping_of(record.get("attributes")), "", attributes)
    for name, value in record.items():
        if name.startswith("attributes.") and value is not None:
            _flatten(value, name.removeprefix("attributes."), attributes)
    attributes.setdefault(_KIND, record.get("span_kind"))
    given_name = record.get("name")
    fill_from_openinference(span, given_name if isinstance(given_name, str) else "", attributes)
    if span.tool is not None and record.get("status_code") == "ERROR":
        span.tool.is_error = True
    return span


def _flatten(value: Any, name: str, into: dict[str, Any], depth: int = _MAX_DEPTH) -> None:
    """Write nested objects and lists under dotted names, as spans carry them."""
    if isinstance(value, dict) and depth:
        for key, item in value.items():
            _flatten(item, f"{name}.{key}" if name else key, into, depth - 1)
    elif isinstance(value, list) and depth and any(isinstance(item, dict) for item in value):
        for number, item in enumerate(value):
            _flatten(item, f"{name}.{number}", into, depth - 1)
    elif value is not None:
        into[name] = value
