"""Inspect logs: JSON, and ``.eval`` through the user's own inspect-ai, one sample after the other.

The events of a sample are the spans of a trace: agents and handoffs are nested, models and tools are called in them.
A sample is a conversation.  A scorer that asks a model is an agent, whom nobody asks: its prompt is the sample once
more.  Without events its messages are those of one agent.  Long texts are kept beside the events, once, and so are the
inputs of models.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, Final

from agentbreaker.errors import TranscriptError
from agentbreaker.message import Message, Tool, Usage
from agentbreaker.transcripts.records import MAX_DOCUMENT_BYTES, Probe, members_of, parse_value
from agentbreaker.transcripts.schema import UnreadableError
from agentbreaker.transcripts.source import ZIP, Source
from agentbreaker.transcripts.spans import Span, messages_of_spans
from agentbreaker.transcripts.values import (
    cost_of,
    count_of,
    first_name,
    items_of,
    last_text,
    mapping_of,
    moment_of,
    name_of,
    text_of,
    usage_of,
)

__all__ = ["read_inspect", "recognise_inspect"]

#: Longest sample of an archive, unpacked: as the archive says, before anything is unpacked.
_MAX_SAMPLE_BYTES: Final = 64 * 1024 * 1024
_MAX_INPUT: Final = 1000
_ATTACHMENT: Final = "attachment://"
_MAX_DEPTH: Final = 16
_AGENTS: Final = ("agent", "handoff")


def recognise_inspect(probe: Probe) -> bool:
    """Whether the recording is an archive of Inspect's, or its JSON."""
    return probe.head.startswith(ZIP) or {"version", "status", "eval"} <= probe.keys


def read_inspect(source: Source) -> Iterator[Message]:
    """Yield the messages of all samples of a log.

    Raises:
        TranscriptError: An archive is damaged, or inspect-ai, which reads it, is missing.
    """
    samples = _archived(source) if source.head.startswith(ZIP) else _written(source)
    return messages_of_spans(source, _spans(source, samples))


def _written(source: Source) -> Iterator[dict[str, Any]]:
    for text in members_of(source, "samples", MAX_DOCUMENT_BYTES):
        try:
            sample = parse_value(text)
        except UnreadableError as error:
            source.skip(error.reason, field="samples")
            continue
        if isinstance(sample, dict):
            yield sample
        else:
            source.skip("not an object", field="samples")


def _archived(source: Source) -> Iterator[dict[str, Any]]:
    path = source.local()
    try:
        with zipfile.ZipFile(path) as archive:
            sizes = {one.filename: one.file_size for one in archive.infolist()}
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        raise TranscriptError("the archive is damaged", path=source.path) from None
    try:
        from inspect_ai.log import read_eval_log_sample, read_eval_log_sample_summaries
    except ImportError:
        raise TranscriptError(
            "an .eval archive is read with Inspect: pip install inspect-ai, or write it as JSON with "
            "`inspect log convert --to json --output-dir DIR FILE`",
            path=source.path,
        ) from None
    # The library tells the format from the name, and may think of more in a name than a file.
    with tempfile.TemporaryDirectory(prefix="agentbreaker-") as folder:
        name = os.path.join(folder, "recording.eval")
        try:
            os.symlink(os.path.abspath(path), name)
        except OSError:
            shutil.copyfile(path, name)
        summaries = _called(source, read_eval_log_sample_summaries, name)
        for summary in summaries or ():
            source.report.lines += 1
            source.line += 1
            member = f"samples/{summary.id}_epoch_{summary.epoch}.json"
            if sizes.get(member, 0) > _MAX_SAMPLE_BYTES:
                source.skip(f"longer than {_MAX_SAMPLE_BYTES // 1024**2} MiB", field="samples")
                continue
            sample = _called(
                source, read_eval_log_sample, name, id=summary.id, epoch=summary.epoch, resolve_attachments=True
            )
            if sample is not None:
                yield sample.model_dump(mode="json")


def _called(source: Source, function: Any, *given: Any, **named: Any) -> Any:
    """What the library returns; whatever it raises about a file is a fault of the record."""
    try:
        return function(*given, **named)
    except Exception as error:
        source.skip(f"Inspect cannot read it ({type(error).__name__})", field="samples")
        return None


def _spans(source: Source, samples: Iterable[dict[str, Any]]) -> Iterator[Span]:
    for number, sample in enumerate(samples):
        try:
            name = name_of(sample.get("id"), "samples.id") or f"sample {number + 1}"
            epoch = name_of(sample.get("epoch"), "samples.epoch") or "1"
            spans = list(_Sample(sample, f"{name}/{epoch}").spans())
        except UnreadableError as error:
            source.skip(error.reason, field=error.field)
            continue
        if not spans:
            source.skip("a sample without events or messages", field="samples")
        yield from spans


class _Sample:
    """The spans of one sample."""

    def __init__(self, sample: dict[str, Any], trace_id: str) -> None:
        self._sample = sample
        self._trace = trace_id
        self._attachments = mapping_of(sample.get("attachments"))
        self._pool = items_of(mapping_of(sample.get("events_data")).get("messages"))
        self._begun = {
            event["id"]: event
            for event in items_of(sample.get("events"))
            if event.get("event") == "span_begin" and isinstance(event.get("id"), str)
        }
        models = (event for event in items_of(sample.get("events")) if event.get("event") == "model")
        self._scorers = {self._scorer_of(event) for event in models}
        self._delegated = self._delegations()

    def spans(self) -> Iterator[Span]:
        """Yield a span for each agent, model call and tool call."""
        events, found = items_of(self._sample.get("events")), False
        ends = {str(event.get("id")): event.get("timestamp") for event in events if event.get("event") == "span_end"}
        for number, event in enumerate(events):
            match event.get("event"):
                case "span_begin":
                    span = self._span(event, name_of(event.get("id"), "events.id"), number, "parent_id")
                    span.end = moment_of(ends.get(str(event.get("id"))))
                    if event.get("type") in _AGENTS or str(event.get("id")) in self._scorers:
                        span.kind, span.name = "agent", name_of(event.get("name"), "events.name") or ""
                    yield span
                case "model":
                    found = True
                    model = self._model(event, number)
                    if self._scorer_of(event) is not None:
                        model.asked, model.from_user = "", False
                    yield model
                case "tool":
                    found = True
                    yield self._tool(event, number)
        if not found:
            yield from self._without_events()

    def _span(self, event: dict[str, Any], span_id: str | None, number: int, parent: str) -> Span:
        return Span(
            self._trace,
            span_id or f"event {number}",
            name_of(event.get(parent), f"events.{parent}"),
            start=moment_of(event.get("timestamp")),
            end=moment_of(event.get("completed")),
        )

    def _model(self, event: dict[str, Any], number: int) -> Span:
        span = self._span(event, name_of(event.get("uuid"), "events.uuid"), number, "span_id")
        output = mapping_of(event.get("output"))
        span.kind = "model"
        span.model = first_name(output, ("model",)) or first_name(event, ("model",))
        turns = self._input(event)
        asked = next((turn for turn in reversed(turns) if turn.get("role") == "user"), None)
        span.asked, span.from_user = ("", False) if asked is None else (self._text(asked), True)
        answer = mapping_of(next(iter(items_of(output.get("choices"))), {}).get("message"))
        _fill(span, self._text(answer), answer)
        span.usage = _usage(output.get("usage"))
        span.cost_usd = cost_of(mapping_of(output.get("usage")).get("total_cost"))
        return span

    def _tool(self, event: dict[str, Any], number: int) -> Span:
        span = self._span(event, name_of(event.get("uuid"), "events.uuid"), number, "span_id")
        span.kind, span.name = "tool", first_name(event, ("function",)) or "tool"
        if self._delegates(event, span):
            span.kind = "other"
            return span
        error = mapping_of(event.get("error"))
        result = self._resolved(event.get("result"))
        span.tool = Tool(
            span.name,
            name_of(event.get("id"), "events.id"),
            self._resolved(event.get("arguments")),
            text_of(error.get("message")) if error else text_of(result),
            bool(error),
        )
        return span

    def _delegations(self) -> dict[tuple[str, str], list[datetime]]:
        """When an agent began to work as a tool, by the span and the name of the tool: its spans tell of it."""
        begun = self._begun
        found: dict[tuple[str, str], list[datetime]] = {}
        for event in begun.values():
            above, tool = begun.get(str(event.get("parent_id"))), None
            for _ in range(_MAX_DEPTH):
                if event.get("type") != "agent" or above is None or above.get("type") not in ("tool", "handoff"):
                    break
                tool = above if above.get("type") == "tool" else tool
                owner = str(above.get("parent_id"))
                moment = moment_of(above.get("timestamp"))
                if tool is not None and moment is not None:
                    found.setdefault((owner, str(tool.get("name"))), []).append(moment)
                above = begun.get(owner)
        return found

    def _scorer_of(self, event: dict[str, Any]) -> str | None:
        """The span of the scorer that a model was called by."""
        above = self._begun.get(str(event.get("span_id")))
        for _ in range(_MAX_DEPTH):
            if above is None or above.get("type") == "scorer":
                break
            above = self._begun.get(str(above.get("parent_id")))
        return str(above["id"]) if above is not None and above.get("type") == "scorer" else None

    def _delegates(self, event: dict[str, Any], span: Span) -> bool:
        begun = self._delegated.get((str(event.get("span_id")), span.name), ())
        return any(
            span.start is not None and span.end is not None and span.start <= moment <= span.end for moment in begun
        )

    def _input(self, event: dict[str, Any]) -> list[dict[str, Any]]:
        turns = items_of(event.get("input"))
        references = event.get("input_refs")
        for reference in references if isinstance(references, list) else []:
            if isinstance(reference, list) and len(reference) == 2 and len(turns) < _MAX_INPUT:
                begin, end = map(count_of, reference)
                turns += self._pool[begin:end]
        return turns

    def _text(self, turn: dict[str, Any]) -> str:
        return last_text(self._resolved(turn.get("content")))

    def _resolved(self, value: Any, depth: int = _MAX_DEPTH) -> Any:
        """Put the texts that are kept beside the events where they belong."""
        if isinstance(value, str) and value.startswith(_ATTACHMENT):
            return self._attachments.get(value.removeprefix(_ATTACHMENT), value)
        if depth == 0:
            return value
        if isinstance(value, list):
            return [self._resolved(item, depth - 1) for item in value]
        if isinstance(value, dict):
            return {key: self._resolved(item, depth - 1) for key, item in value.items()}
        return value

    def _without_events(self) -> Iterator[Span]:
        """Spans of a sample of which only the messages were kept: what was asked, what came of it."""
        asked, tools = "", dict[str, str]()
        for number, turn in enumerate(items_of(self._sample.get("messages"))):
            role, text = turn.get("role"), self._text(turn)
            span = Span(self._trace, f"message {number}")
            if role == "user":
                asked = text
            elif role == "assistant":
                span.kind, span.model, span.asked = "model", first_name(turn, ("model",)), asked
                _fill(span, text, turn)
                tools |= {call.call_id: call.name for call in span.calls if call.call_id is not None}
                yield span
            elif role == "tool":
                call_id = name_of(turn.get("tool_call_id"), "messages.tool_call_id")
                name = first_name(turn, ("function",)) or tools.get(call_id or "", "tool")
                span.kind, span.name, span.tool = "tool", name, Tool(name, call_id, None, text)
                yield span


def _fill(span: Span, text: str, answer: dict[str, Any]) -> None:
    """Put the answer of a model into its span."""
    span.said = text
    for call in items_of(answer.get("tool_calls")):
        name = first_name(call, ("function",)) or "tool"
        span.calls.append(Tool(name, name_of(call.get("id"), "tool_calls.id"), call.get("arguments")))


def _usage(value: Any) -> Usage | None:
    usage = mapping_of(value)
    read, created = usage.get("input_tokens_cache_read"), usage.get("input_tokens_cache_write")
    # Inspect counts cached tokens beside the others.
    given = count_of(usage.get("input_tokens")) + count_of(read) + count_of(created)
    return usage_of(given, usage.get("output_tokens"), read, created, usage.get("reasoning_tokens"))
