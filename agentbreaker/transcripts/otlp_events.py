"""Content in events: where older conventions of OpenTelemetry put what was said, on the span or in a log of its own.

A log record names its span, which may be exported before it or after it, or be in another file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from agentbreaker.transcripts.genai import fill_content
from agentbreaker.transcripts.schema import UnreadableError
from agentbreaker.transcripts.spans import MAX_HELD_BYTES, Span
from agentbreaker.transcripts.values import items_of, mapping_of, moment_of, name_of, text_of

__all__ = ["SpanLogs", "attributes_of", "take_event"]

_MAX_DEPTH: Final = 16
#: Spans whose log records are held, or that may still get some.
_MAX_HELD: Final = 10_000
#: Events that carry what later became attributes of the span.
_DETAILS: Final = (
    "gen_ai.content.prompt",
    "gen_ai.content.completion",
    "gen_ai.client.inference.operation.details",
)
_TURNS: Final = ("gen_ai.user.message", "gen_ai.assistant.message", "gen_ai.tool.message", "gen_ai.system.message")
_CHOICE: Final = "gen_ai.choice"


def attributes_of(value: Any) -> dict[str, Any]:
    """Return what a list of ``KeyValue`` holds."""
    return {
        item["key"]: value_of(item.get("value"))
        for item in items_of(value)
        if isinstance(item.get("key"), str) and item.get("value") is not None
    }


def value_of(value: Any, depth: int = _MAX_DEPTH) -> Any:
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
        return [value_of(item, depth - 1) for item in items] if isinstance(items, list) else []
    if isinstance(value.get("kvlistValue"), dict):
        return {
            item["key"]: value_of(item.get("value"), depth - 1)
            for item in items_of(value["kvlistValue"].get("values"))
            if isinstance(item.get("key"), str)
        }
    return None


def take_event(name: Any, fields: Mapping[str, Any], attributes: dict[str, Any]) -> None:
    """Add what an event says to the attributes of its span."""
    if name in _DETAILS:
        for key, value in fields.items():
            attributes.setdefault(key, value)
    elif name in _TURNS:
        role = str(name).split(".")[1]
        messages = attributes.setdefault("gen_ai.input.messages", [])
        if isinstance(messages, list):
            messages.append({"role": role, "content": text_of(fields.get("content"))})
    elif name == _CHOICE:
        messages = attributes.setdefault("gen_ai.output.messages", [])
        if isinstance(messages, list):
            messages.append(
                mapping_of(fields.get("message")) or {"role": "assistant", "content": fields.get("content")}
            )
    elif name == "exception":
        attributes.setdefault("exception.type", True)


class SpanLogs:
    """Log records and the spans that they belong to, whichever comes first."""

    def __init__(self) -> None:
        self._content: dict[tuple[str, str], dict[str, Any]] = {}
        self._started: dict[tuple[str, str], Any] = {}
        self._spans: dict[tuple[str, str], Span] = {}
        self._sizes: dict[tuple[str, str], int] = {}
        self._held = self._late = 0

    def take(self, record: Mapping[str, Any]) -> bool:
        """Take a log record; return whether it says something of a model call.

        Raises:
            UnreadableError: An id is too long, or there is no room left for what comes after its span.
        """
        fields = attributes_of(record.get("attributes"))
        name = record.get("eventName") or fields.get("event.name")
        trace_id, span_id = name_of(record.get("traceId"), "traceId"), name_of(record.get("spanId"), "spanId")
        if name not in (*_DETAILS, *_TURNS, _CHOICE) or trace_id is None or span_id is None:
            return False
        body = value_of(record.get("body"))
        if isinstance(body, dict):
            fields |= body
        key, size = (trace_id, span_id), len(str(fields))
        span = self._spans.get(key)
        if span is not None:
            # The span is held elsewhere, as large as it was when it came.
            self._late += size
            if self._late > MAX_HELD_BYTES:
                raise UnreadableError("no room to hold what is logged after its span", "logRecords")
        content = self._content.pop(key, {})
        take_event(name, fields, content)
        self._content[key] = content
        self._sizes[key] = self._sizes.get(key, 0) + size
        self._held += size
        self._started.setdefault(key, record.get("timeUnixNano") or record.get("observedTimeUnixNano"))
        if span is not None:
            fill_content(span, content)
        return True

    def content_of(self, trace_id: str, span_id: str) -> dict[str, Any]:
        """Return what the log records so far say of a span."""
        return self._content.get((trace_id, span_id), {})

    def belongs(self, span: Span) -> None:
        """Note a model call, about which more may be logged."""
        self._spans[span.trace_id, span.span_id] = span
        while len(self._spans) > _MAX_HELD:
            gone = next(iter(self._spans))
            self._drop(gone)
            del self._spans[gone]

    def full(self) -> Iterator[Span]:
        """Yield model calls of which only the log is there, while there are too many of them."""
        while self._content and (len(self._content) > 2 * _MAX_HELD or self._held > MAX_HELD_BYTES):
            yield from self._alone(next(iter(self._content)))

    def end(self) -> Iterator[Span]:
        """Yield the model calls of which only the log is there."""
        for key in list(self._content):
            yield from self._alone(key)

    def _alone(self, key: tuple[str, str]) -> Iterator[Span]:
        content, moment = self._content[key], moment_of(self._started.get(key))
        self._drop(key)
        if key not in self._spans:
            span = Span(*key, kind="model", start=moment, end=moment)
            span.model = name_of(content.get("gen_ai.request.model"), "gen_ai.request.model")
            fill_content(span, content)
            yield span

    def _drop(self, key: tuple[str, str]) -> None:
        self._content.pop(key, None)
        self._started.pop(key, None)
        self._held -= self._sizes.pop(key, 0)
