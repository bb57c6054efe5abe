"""OTLP JSON, as the OpenTelemetry Collector's file exporter writes it: an export request a line, or one document.

Its log records and metrics may stand in the same file: of logs, those that hold content of model calls are read.
Ids are taken as they stand, hexadecimal as the specification has them or base64 as some libraries write them.  Numbers
of 64 bits are text.  Spans are read after the GenAI conventions or OpenInference, each by its attributes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from agentbreaker.message import Message
from agentbreaker.transcripts.genai import fill_from_genai, is_genai
from agentbreaker.transcripts.openinference import fill_from_openinference
from agentbreaker.transcripts.otlp_events import SpanLogs, attributes_of, take_event
from agentbreaker.transcripts.records import Probe, records_of
from agentbreaker.transcripts.schema import UnreadableError
from agentbreaker.transcripts.source import Source
from agentbreaker.transcripts.spans import Span, messages_of_spans
from agentbreaker.transcripts.values import items_of, moment_of, name_of

__all__ = ["read_otlp", "recognise_otlp"]

_FAILED: Final = (2, "2", "STATUS_CODE_ERROR")
_SIGNALS: Final = {"resourceSpans", "resourceLogs", "resourceMetrics", "resourceProfiles"}


def recognise_otlp(probe: Probe) -> bool:
    """Whether a record is an export request."""
    return bool(probe.keys & _SIGNALS) or any(record.keys() & _SIGNALS for record in probe.records)


def read_otlp(source: Source) -> Iterator[Message]:
    """Yield the messages of spans in OTLP JSON."""
    return messages_of_spans(source, _spans(source))


def _spans(source: Source) -> Iterator[Span]:
    logs = SpanLogs()
    for record in records_of(source):
        if not any(isinstance(record.get(signal), list) for signal in _SIGNALS):
            source.skip("expected an array", field="resourceSpans")
            continue
        found = False
        for log in _within(record, "resourceLogs", "scopeLogs", "logRecords"):
            try:
                found = logs.take(log) or found
            except UnreadableError as error:
                source.skip(error.reason, field=error.field)
        for span in _within(record, "resourceSpans", "scopeSpans", "spans"):
            found = True
            try:
                yield _span(span, logs)
            except UnreadableError as error:
                source.skip(error.reason, field=error.field)
        if not found:
            source.report.blank += 1
        yield from logs.full()
    yield from logs.end()


def _within(record: Mapping[str, Any], resources: str, scopes: str, items: str) -> Iterator[dict[str, Any]]:
    for resource in items_of(record.get(resources)):
        for scope in items_of(resource.get(scopes)) or items_of(resource.get("instrumentationLibrarySpans")):
            yield from items_of(scope.get(items))


def _span(record: Mapping[str, Any], logs: SpanLogs) -> Span:
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
    attributes = attributes_of(record.get("attributes"))
    for event in items_of(record.get("events")):
        take_event(event.get("name"), attributes_of(event.get("attributes")), attributes)
    for field, value in logs.content_of(trace_id, span_id).items():
        attributes.setdefault(field, value)
    status = record.get("status")
    failed = isinstance(status, dict) and status.get("code") in _FAILED
    name = record.get("name")
    span_name = name if isinstance(name, str) else ""
    if "openinference.span.kind" in attributes:
        fill_from_openinference(span, span_name, attributes)
    elif is_genai(attributes):
        fill_from_genai(span, span_name, attributes)
        if span.kind == "model":
            logs.belongs(span)
    if span.tool is not None and failed:
        span.tool.is_error = True
    return span
