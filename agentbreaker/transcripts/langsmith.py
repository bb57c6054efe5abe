"""LangSmith runs: one a record, as its SDK and command line write them (``client.list_runs``, JSON or JSON Lines).

A run is a span: ``trace_id``, ``id``, ``parent_run_id``, ``run_type``, ``inputs``, ``outputs``.  A chain that is a node
of a LangGraph (``extra.metadata.langgraph_node``) is an agent's turn.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from agentbreaker.message import Message, Tool, Usage
from agentbreaker.transcripts.graph_runs import CONTROL_FLOW, agent_of_run, handed_over
from agentbreaker.transcripts.records import Probe
from agentbreaker.transcripts.rows import rows_of
from agentbreaker.transcripts.schema import UnreadableError
from agentbreaker.transcripts.source import Source
from agentbreaker.transcripts.spans import Span, messages_of_spans
from agentbreaker.transcripts.values import (
    cost_of,
    first_name,
    items_of,
    last_text,
    mapping_of,
    moment_of,
    name_of,
    unpacked,
    usage_of,
)

__all__ = ["read_langsmith", "recognise_langsmith"]

#: Conversations that LangSmith's own threads are told by, in its order.
_CONVERSATION: Final = ("session_id", "thread_id", "conversation_id")
_HUMAN: Final = ("human", "user", "HumanMessage", "HumanMessageChunk")


def recognise_langsmith(probe: Probe) -> bool:
    """Whether a record is a run."""
    return any(
        "run_type" in record and ("inputs" in record or "trace_id" in record)
        for record in (*probe.records, *probe.rows)
    ) or ({"run_type", "inputs"} <= probe.keys)


def read_langsmith(source: Source) -> Iterator[Message]:
    """Yield the messages of LangSmith runs."""
    return messages_of_spans(source, _spans(source))


def _spans(source: Source) -> Iterator[Span]:
    for record in rows_of(source):
        try:
            yield _span(record)
        except UnreadableError as error:
            source.skip(error.reason, field=error.field)


def _span(record: Mapping[str, Any]) -> Span:
    run_id = name_of(record.get("id"), "id")
    if run_id is None:
        raise UnreadableError("missing", "id")
    run_type = record.get("run_type")
    if not isinstance(run_type, str):
        raise UnreadableError("missing", "run_type")
    metadata = mapping_of(mapping_of(record.get("extra")).get("metadata"))
    node = name_of(metadata.get("langgraph_node"), "extra.metadata.langgraph_node")
    agent = name_of(metadata.get("lc_agent_name"), "extra.metadata.lc_agent_name")
    given = record.get("name")
    name = name_of(given, "name") if isinstance(given, str) else None
    span = Span(
        name_of(record.get("trace_id"), "trace_id") or run_id,
        run_id,
        first_name(record, ("parent_run_id",)),
        start=moment_of(record.get("start_time")),
        end=moment_of(record.get("end_time")),
        # The run's own session_id is LangSmith's project.
        conversation_id=first_name(metadata, _CONVERSATION),
    )
    inputs, outputs = mapping_of(record.get("inputs")), mapping_of(record.get("outputs"))
    if run_type in ("llm", "chat_model"):
        span.kind, span.name = "model", agent or node or ""
        answer = _answer(outputs)
        span.usage = _usage(record, answer)
        span.model = first_name(metadata, ("ls_model_name",)) or _model_of(answer)
        span.asked, span.from_user = _asked(inputs)
        span.said = last_text(answer)
        span.calls = _calls(answer)
    elif run_type == "tool":
        span.kind, span.name, span.is_node = "tool", name or "tool", node is not None
        output = outputs.get("output", outputs)
        call_id = mapping_of(output).get("tool_call_id")
        error = record.get("error")
        span.tool = Tool(
            span.name,
            name_of(call_id, "tool_call_id"),
            unpacked(inputs.get("input", inputs)),
            last_text(output) if output else "",
            (bool(error) and not _goes_on(error)) or mapping_of(output).get("status") == "error",
        )
        if (handover := handed_over(output)) is not None:
            span.target, span.tool.result = handover
    elif (turn := agent_of_run(name, metadata)) is not None:
        span.kind, span.name, span.is_node = "agent", turn, True
        span.asked, _ = _asked(inputs)
        span.said = last_text(outputs.get("output", outputs))
    else:
        # Sums over the trace, and whatever else has a price.
        span.usage = _usage(record, {})
    span.cost_usd = cost_of(record.get("total_cost"))
    return span


def _goes_on(error: Any) -> bool:
    """Whether what was raised only leads elsewhere in a graph."""
    return isinstance(error, str) and error.partition("(")[0] in CONTROL_FLOW


def _answer(outputs: Mapping[str, Any]) -> dict[str, Any]:
    """The message that a model gave: of a chat model's generations, of an OpenAI response, or the output itself."""
    generations = outputs.get("generations")
    while isinstance(generations, list) and generations:
        generations = generations[0]
    if isinstance(generations, dict):
        message = mapping_of(generations.get("message"))
        return mapping_of(message.get("kwargs")) or message or {"content": generations.get("text")}
    for choice in items_of(outputs.get("choices"))[:1]:
        return mapping_of(choice.get("message"))
    return mapping_of(outputs.get("output")) or dict(outputs)


def _usage(record: Mapping[str, Any], answer: Mapping[str, Any]) -> Usage | None:
    read = mapping_of(record.get("prompt_token_details"))
    written = mapping_of(record.get("completion_token_details"))
    counted = usage_of(
        record.get("prompt_tokens"),
        record.get("completion_tokens"),
        read.get("cache_read"),
        read.get("cache_creation"),
        written.get("reasoning"),
    )
    if counted is not None:
        return counted
    usage = mapping_of(answer.get("usage_metadata"))
    read, written = mapping_of(usage.get("input_token_details")), mapping_of(usage.get("output_token_details"))
    return usage_of(
        usage.get("input_tokens"),
        usage.get("output_tokens"),
        read.get("cache_read"),
        read.get("cache_creation"),
        written.get("reasoning"),
    )


def _model_of(answer: Mapping[str, Any]) -> str | None:
    return first_name(mapping_of(answer.get("response_metadata")), ("model_name", "model"))


def _asked(inputs: Mapping[str, Any]) -> tuple[str, bool]:
    """The latest request in what a run was given, and whether it is a user's."""
    messages = inputs.get("messages")
    while isinstance(messages, list) and messages and isinstance(messages[0], list):
        messages = messages[0]
    turns = items_of(messages)
    if not turns:
        return last_text(dict(inputs)) if inputs else "", True
    for turn in reversed(turns):
        fields = mapping_of(turn.get("kwargs")) or turn
        role = fields.get("type") or fields.get("role")
        kind = turn.get("id")
        if role in _HUMAN or (isinstance(kind, list) and kind[-1:] and kind[-1] in _HUMAN):
            return last_text(fields), True
    return "", False


def _calls(answer: Mapping[str, Any]) -> list[Tool]:
    calls = items_of(answer.get("tool_calls")) or items_of(
        mapping_of(answer.get("additional_kwargs")).get("tool_calls")
    )
    found = []
    for call in calls:
        function = mapping_of(call.get("function")) or call
        found.append(
            Tool(
                name_of(function.get("name"), "tool_calls.name") or "tool",
                name_of(call.get("id"), "tool_calls.id"),
                unpacked(function.get("args", function.get("arguments"))),
            )
        )
    return found
