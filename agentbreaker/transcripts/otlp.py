"""OTLP JSON, as the OpenTelemetry Collector's file exporter writes it: an export request a line, or one document.

Ids are taken as they stand, hexadecimal as the specification has them or base64 as some libraries write them.  Numbers
of 64 bits are text.  Spans are read after the GenAI conventions or OpenInference, each by its attributes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from agentbreaker.message import Message
from agentbreaker.transcripts.genai import fill_from_genai, is_genai
from agentbreaker.transcripts.openinference import fill_from_openinference
from agentbreaker.transcripts.records import Probe, records_of
from agentbreaker.transcripts.schema import UnreadableError
from agentbreaker.transcripts.source import Source
from agentbreaker.transcripts.spans import Span, messages_of_spans
from agentbreaker.transcripts.values import items_of, moment_of, name_of, text_of

__all__ = ["read_otlp", "recognise_otlp"]

_MAX_DEPTH: Final = 16
_FAILED: Final = (2, "2", "STATUS_CODE_ERROR")
#: Events of older conventions that carry what later became attributes of the span.
_CONTENT_EVENTS: Final = (
    "gen_ai.content.prompt",
    "gen_ai.content.completion",
    "gen_ai.client.inference.operation.details",
)


def recognise_otlp(probe: Probe) -> bool:
    """Whether a record is an export request of spans."""
    return "resourceSpans" in probe.keys or any("resourceSpans" in record for record in probe.records)


def read_otlp(source: Source) -> Iterator[Message]:
    """Yield the messages of spans in OTLP JSON."""
    return messages_of_spans(source, _spans(source))


def _spans(source: Source) -> Iterator[Span]:
    for record in records_of(source):
        if not isinstance(record.get("resourceSpans"), list):
            source.skip("expected an array", field="resourceSpans")
            continue
        for resource in items_of(record["resourceSpans"]):
            scopes = items_of(resource.get("scopeSpans")) or items_of(resource.get("instrumentationLibrarySpans"))
            for scope in scopes:
                for span in items_of(scope.get("spans")):
                    try:
                        yield _span(span)
                    except UnreadableError as error:
                        source.skip(error.reason, field=error.field)


def _span(record: Mapping[str, Any]) -> Span:
    trace_id, span_id = name_of(record.get("traceId"), "traceId"), name_of(record.get("spanId"), "spanId")
    if trace_id is None or span_id is None:
        raise UnreadableError("missing", "traceId" if trace_id is None else "spanId")
    parent_id = name_of(record.get("parentSpanId"), "parentSpanId")
    span = Span(
        trace_id,
        span_id,
        # Some exporters write a root's parent as zeros.
        parent_id if parent_id is not None and parent_id.strip("0") else None,
        start=moment_of(record.get("startTimeUnixNano")),
        end=moment_of(record.get("endTimeUnixNano")),
    )
    attributes = _attributes(record.get("attributes"))
    for event in items_of(record.get("events")):
        _from_event(event, attributes)
    status = record.get("status")
    failed = isinstance(status, dict) and status.get("code") in _FAILED
    name = record.get("name")
    span_name = name if isinstance(name, str) else ""
    if "openinference.span.kind" in attributes:
        fill_from_openinference(span, span_name, attributes)
    elif is_genai(attributes):
        fill_from_genai(span, span_name, attributes)
    if span.tool is not None and failed:
        span.tool.is_error = True
    return span


def _attributes(value: Any) -> dict[str, Any]:
    return {
        item["key"]: _value(item.get("value"))
        for item in items_of(value)
        if isinstance(item.get("key"), str) and item.get("value") is not None
    }


def _value(value: Any, depth: int = _MAX_DEPTH) -> Any:
    """Return what an ``AnyValue`` holds."""
    if not isinstance(value, dict) or depth == 0:
        return None
    for field in ("stringValue", "boolValue", "doubleValue"):
        if field in value:
            return value[field]
    if "intValue" in value:
        number = value["intValue"]
        return (
            int(number)
            if isinstance(number, str) and number.isascii() and number.isdigit() and len(number) < 20
            else number
        )
    if isinstance(value.get("arrayValue"), dict):
        items = value["arrayValue"].get("values")
        return [_value(item, depth - 1) for item in items] if isinstance(items, list) else []
    if isinstance(value.get("kvlistValue"), dict):
        return {
            item["key"]: _value(item.get("value"), depth - 1)
            for item in items_of(value["kvlistValue"].get("values"))
            if isinstance(item.get("key"), str)
        }
    return None


def _from_event(event: Mapping[str, Any], attributes: dict[str, Any]) -> None:
    """Take the content that older conventions put into events."""
    name = event.get("name")
    if name in _CONTENT_EVENTS:
        for key, value in _attributes(event.get("attributes")).items():
            attributes.setdefault(key, value)
    elif name in ("gen_ai.user.message", "gen_ai.assistant.message", "gen_ai.tool.message", "gen_ai.system.message"):
        found = _attributes(event.get("attributes"))
        role = str(name).split(".")[1]
        turn = {"role": role, "content": text_of(found.get("content"))}
        messages = attributes.setdefault("gen_ai.input.messages", [])
        if isinstance(messages, list):
            messages.append(turn)
    elif name == "gen_ai.choice":
        found = _attributes(event.get("attributes"))
        messages = attributes.setdefault("gen_ai.output.messages", [])
        if isinstance(messages, list):
            message = found.get("message")
            messages.append(
                message if isinstance(message, dict) else {"role": "assistant", "content": found.get("content")}
            )
    elif name == "exception":
        attributes.setdefault("exception.type", True)
