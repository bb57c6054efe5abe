"""Spans after OpenTelemetry's conventions for generative AI (``gen_ai.*``), with the names of all their versions.

Also understood is what OpenLLMetry adds for spans that the conventions do not know (``traceloop.*``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from agentbreaker.message import Tool, Usage
from agentbreaker.transcripts.graph_runs import CONTROL_FLOW, agent_of_run, handed_over
from agentbreaker.transcripts.spans import Span, SpanKind
from agentbreaker.transcripts.values import (
    cost_of,
    items_of,
    last_text,
    mapping_of,
    name_of,
    text_of,
    unpacked,
    usage_of,
)

__all__ = ["calls_of_message", "fill_content", "fill_from_genai", "is_genai"]

_OPERATIONS: Final[dict[str, SpanKind]] = {
    "invoke_agent": "agent",
    "execute_tool": "tool",
    "chat": "model",
    "text_completion": "model",
    "completion": "model",
    "generate_content": "model",
}
_ASSOCIATION: Final = "traceloop.association.properties."
_TRACELOOP: Final[dict[str, SpanKind]] = {"agent": "agent", "tool": "tool"}
_CONVERSATION: Final = (
    "gen_ai.conversation.id",
    "session.id",
    "traceloop.association.properties.session_id",
    "traceloop.association.properties.thread_id",
)
_INPUT: Final = ("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens", "llm.usage.prompt_tokens")
_OUTPUT: Final = ("gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens", "llm.usage.completion_tokens")
_READ: Final = ("gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.cache_read_input_tokens")
_CREATED: Final = ("gen_ai.usage.cache_creation.input_tokens", "gen_ai.usage.cache_creation_input_tokens")
_REASONING: Final = ("gen_ai.usage.reasoning.output_tokens", "gen_ai.usage.reasoning_tokens")


def is_genai(attributes: Mapping[str, Any]) -> bool:
    """Whether a span is one of these conventions."""
    return any(name.startswith(("gen_ai.", "traceloop.")) for name in attributes)


def _first(attributes: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    return next((attributes[name] for name in names if attributes.get(name) not in (None, "")), None)


def _usage(attributes: Mapping[str, Any]) -> Usage | None:
    return usage_of(*(_first(attributes, names) for names in (_INPUT, _OUTPUT, _READ, _CREATED, _REASONING)))


def fill_from_genai(span: Span, span_name: str, attributes: Mapping[str, Any]) -> None:
    """Fill a span from its attributes.

    Args:
        span: Has its ids and times already.
        span_name: Such as ``invoke_agent reviewer``, used where no attribute names the agent or tool.
        attributes: By their full names, values as they were recorded.

    Raises:
        UnreadableError: A name or id is too long.
    """
    operation = attributes.get("gen_ai.operation.name")
    span.usage = _usage(attributes)
    if isinstance(operation, str):
        span.kind = _OPERATIONS.get(operation, "other")
    else:
        span.kind = _TRACELOOP.get(str(attributes.get("traceloop.span.kind")), "other")
        # Before there were operations, a model call was a span of a system or a provider.
        if span.kind == "other" and _first(attributes, ("gen_ai.system", "llm.request.type")) is not None:
            span.kind = "model"
    metadata = _metadata(attributes)
    if span.kind == "other" and (turn := agent_of_run(str(attributes.get("traceloop.entity.name")), metadata)):
        span.kind, span.is_node = "agent", True
    for field in _CONVERSATION:
        span.conversation_id = span.conversation_id or name_of(attributes.get(field), field)
    if span.conversation_id is None and attributes.get("gen_ai.system") == "autogen":
        # AutoGen writes a trace a message; what holds them together is the team's id behind the agent's.
        _, _, team = str(attributes.get("gen_ai.agent.id") or "").rpartition("/")
        span.conversation_id = name_of(team, "gen_ai.agent.id")
    span.cost_usd = cost_of(_first(attributes, ("gen_ai.usage.cost", "gen_ai.usage.total_cost")))
    span.caller = name_of(attributes.get("gen_ai.caller.name"), "gen_ai.caller.name")
    span.target = name_of(attributes.get("gen_ai.transfer.target.name"), "gen_ai.transfer.target.name")
    model = _first(attributes, ("gen_ai.response.model", "gen_ai.request.model"))
    span.model = name_of(model, "gen_ai.request.model") if span.usage is not None or span.kind == "model" else None
    agent = name_of(attributes.get("gen_ai.agent.name"), "gen_ai.agent.name")
    bare = span_name.removeprefix(f"{operation} ").removesuffix(f".{span.kind}")
    match span.kind:
        case "agent":
            entity = name_of(attributes.get("traceloop.entity.name"), "traceloop.entity.name")
            span.name = agent or (turn if span.is_node else None) or entity or name_of(bare, "name") or ""
        case "model":
            span.name = agent or ""
        case "tool":
            fields = ("gen_ai.tool.name", "traceloop.entity.name")
            span.name = name_of(_first(attributes, fields), fields[0]) or name_of(bare, "name") or "tool"
    fill_content(span, attributes)


def _metadata(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """What LangGraph tells its runs, as OpenLLMetry writes it."""
    return {
        name.removeprefix(_ASSOCIATION): value for name, value in attributes.items() if name.startswith(_ASSOCIATION)
    }


def fill_content(span: Span, attributes: Mapping[str, Any]) -> None:
    """Fill in what went into a span and came out of it; what is not recorded changes nothing.

    Raises:
        UnreadableError: A name or id is too long.
    """
    if span.kind == "tool":
        given = unpacked(_first(attributes, ("gen_ai.tool.call.arguments", "traceloop.entity.input")))
        back = _first(attributes, ("gen_ai.tool.call.result", "traceloop.entity.output"))
        result = text_of(back)
        if isinstance(given, dict) and "input_str" in given:
            # OpenLLMetry wraps both, together with ids that are others in every call.
            given = given.get("inputs") or given["input_str"]
            wrapped = mapping_of(back).get("output", back)
            handover = handed_over(wrapped)
            span.target, result = (None, last_text(wrapped)) if handover is None else handover
        failed = attributes.get("error.type") not in (None, *CONTROL_FLOW)
        call_id = name_of(attributes.get("gen_ai.tool.call.id"), "gen_ai.tool.call.id")
        span.tool = Tool(span.name, call_id, given, result, failed)
        return
    asked = items_of(_first(attributes, ("gen_ai.input.messages", "gen_ai.prompt"))) or _indexed(
        attributes, "gen_ai.prompt"
    )
    said = items_of(_first(attributes, ("gen_ai.output.messages", "gen_ai.completion"))) or _indexed(
        attributes, "gen_ai.completion"
    )
    requests = [one for one in asked if one.get("role") == "user"] or [
        one for one in asked if one.get("role") not in ("system", "tool")
    ]
    if asked:
        span.asked = last_text(requests[-1:]) if requests else ""
        span.from_user = bool(requests) and requests[-1].get("role") == "user"
    if said:
        span.said = last_text(said[-1:])
        span.calls = [call for message in said for call in calls_of_message(message)]
    if not asked and not said:
        span.asked = last_text(_first(attributes, ("traceloop.entity.input", "gen_ai.prompt")))
        span.said = last_text(_first(attributes, ("traceloop.entity.output", "gen_ai.completion")))


def calls_of_message(message: Mapping[str, Any]) -> list[Tool]:
    """The tool calls of an answer: parts of the new form, or ``tool_calls`` of the old ones."""
    found = [part for part in items_of(message.get("parts")) if part.get("type") == "tool_call"]
    for call in items_of(message.get("tool_calls")):
        function = call.get("function")
        found.append({**call, **function} if isinstance(function, dict) else call)
    return [
        Tool(
            name_of(call.get("name"), "tool_call.name") or "tool",
            name_of(call.get("id"), "tool_call.id"),
            unpacked(call.get("arguments")),
        )
        for call in found
    ]


def _indexed(attributes: Mapping[str, Any], prefix: str) -> list[dict[str, Any]]:
    """Messages of the form ``gen_ai.prompt.0.content``, with ``tool_calls.0.name`` within."""
    found: dict[int, dict[str, Any]] = {}
    calls: dict[tuple[int, int], dict[str, Any]] = {}
    for name, value in attributes.items():
        if not name.startswith(f"{prefix}."):
            continue
        match name[len(prefix) + 1 :][:100].split("."):
            case [number, field] if number.isascii() and number.isdigit():
                found.setdefault(int(number), {})[field] = value
            case [number, "tool_calls", index, field] if (number + index).isascii() and (number + index).isdigit():
                calls.setdefault((int(number), int(index)), {})[field] = value
    for (place, _), call in sorted(calls.items()):
        found.setdefault(place, {}).setdefault("tool_calls", []).append(call)
    return [found[number] for number in sorted(found)]
