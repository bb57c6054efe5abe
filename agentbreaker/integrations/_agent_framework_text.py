"""What Agent Framework's own objects say: the text, the tokens, and the answers that end a run.

Pure functions; nothing here keeps state.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any, cast

from agent_framework import (
    AgentExecutorResponse,
    AgentResponse,
    AgentResponseUpdate,
    ChatResponse,
    ChatResponseUpdate,
    Content,
    Message,
    ResponseStream,
    WorkflowMessage,
)

from agentbreaker.integrations.spending import prompt_tokens
from agentbreaker.message import Usage

__all__ = [
    "agent_end",
    "aside_of",
    "chat_end",
    "estimate",
    "final_text",
    "limits",
    "model_of",
    "payload",
    "payload_text",
    "result_text",
    "usage_of",
]

#: Characters of a payload that are read, and how deep lists may be nested; the guard reads no more than a part of it.
_MAX_CHARS = 20_000
_MAX_DEPTH = 5

#: Tokens around each part of a request.
_PER_PART = 16
_OUTPUT_CAPS = ("max_tokens", "max_completion_tokens", "max_output_tokens")


def payload(message: Any) -> Any:
    """Return what an executor receives, without the envelope."""
    return message.data if isinstance(message, WorkflowMessage) else message


def payload_text(data: Any, depth: int = 0) -> str:
    """Return the text of what travels between executors; an object of the user's own has none, unless it is data."""
    if isinstance(data, str):
        return data[:_MAX_CHARS]
    if isinstance(data, AgentExecutorResponse):
        return final_text(data.agent_response)
    if isinstance(data, AgentResponse):
        return final_text(data)
    if isinstance(data, Message):
        return data.text or ""
    if isinstance(data, bool | int | float):
        return str(data)
    if isinstance(data, list | tuple) and depth < _MAX_DEPTH:
        return "\n".join(text for text in (payload_text(part, depth + 1) for part in data) if text)[:_MAX_CHARS]
    if isinstance(data, Mapping) and depth < _MAX_DEPTH:
        try:
            return json.dumps(data, ensure_ascii=False, sort_keys=True)[:_MAX_CHARS]
        except (TypeError, ValueError):
            return ""
    messages = getattr(data, "messages", None)  # a request to an agent, or a person's answer to one
    return payload_text(messages, depth + 1) if isinstance(messages, list) else ""


def _calls(message: Message) -> bool:
    return any(content.type == "function_call" for content in message.contents)


def final_text(response: AgentResponse[Any]) -> str:
    """Return what an agent says at the end of its turn; what it said along with a tool call went with the call."""
    said = [one.text for one in response.messages if one.role == "assistant" and not _calls(one) and one.text]
    return "\n".join(said)


def aside_of(response: ChatResponse[Any]) -> str:
    """Return what a model says along with the tools that it asks for, "" if it asks for none."""
    return "\n".join(one.text for one in response.messages if _calls(one) and one.text)


def result_text(result: Any) -> str:
    """Return a tool's result as text: Agent Framework hands it over as contents, as text, or as it was."""
    if isinstance(result, Content):
        result = [result]
    if isinstance(result, list) and all(isinstance(part, Content) for part in result):
        parts = [part.text if part.type == "text" else part.result for part in result]
        return "\n".join(str(part) for part in parts if part is not None)[:_MAX_CHARS]
    return "" if result is None else str(result)[:_MAX_CHARS]


def _count(details: Mapping[str, Any], name: str) -> int:
    value = details.get(name)
    return int(value) if isinstance(value, int | float) and value > 0 else 0


def usage_of(response: ChatResponse[Any]) -> Usage | None:
    """Return the tokens of a model call, ``None`` if the client does not tell."""
    details = cast("Mapping[str, Any] | None", response.usage_details)
    if not details:
        return None
    spent, told, total = (_count(details, f"{name}_token_count") for name in ("input", "output", "total"))
    if not spent and not told:
        spent = total  # some clients tell the sum alone
    if not spent and not told:
        return None
    return Usage(
        spent,
        told,
        _count(details, "cache_read_input_token_count"),
        _count(details, "cache_creation_input_token_count"),
        _count(details, "reasoning_output_token_count"),
    )


def model_of(response: ChatResponse[Any], options: Mapping[str, Any] | None) -> str | None:
    """Return the name of the model that answered, or of the one that was asked for."""
    model = response.model or (options or {}).get("model")
    return model if isinstance(model, str) else None


def estimate(messages: Iterable[Message]) -> int:
    """Return how many tokens a call reads at most, by its length."""
    parts = [content for message in messages for content in message.contents]
    return prompt_tokens("\n".join(_readable(part) for part in parts)) + _PER_PART * len(parts)


def _readable(part: Content) -> str:
    if part.type == "text":
        return part.text or ""
    if part.type == "function_call":
        return f"{part.name} {part.arguments}"
    return str(part.result or "")


def limits(client: Any, options: Mapping[str, Any] | None) -> tuple[str | None, int | None]:
    """Return the model that is asked, as far as it is known before it answers, and the most that it may write."""
    asked = options or {}
    model = asked.get("model") or getattr(client, "model", None)
    most = next((cap for name in _OUTPUT_CAPS if isinstance(cap := asked.get(name), int) and cap > 0), None)
    return (model if isinstance(model, str) else None), most


def chat_end(text: str, stream: bool) -> Any:
    """Return a model's answer that was not asked for, in the form that the caller of a chat client expects."""
    response: ChatResponse[Any] = ChatResponse(messages=[Message(role="assistant", contents=[text])])
    if not stream:
        return response

    async def updates() -> AsyncIterator[ChatResponseUpdate]:
        yield ChatResponseUpdate(role="assistant", contents=response.messages[0].contents)

    return ResponseStream(updates(), finalizer=lambda _: response)


def agent_end(text: str, author: str, stream: bool) -> Any:
    """Return an agent's answer without its having run, in the form that its caller expects."""
    response: AgentResponse[Any] = AgentResponse(
        messages=[Message(role="assistant", contents=[text], author_name=author)]
    )
    if not stream:
        return response

    async def updates() -> AsyncIterator[AgentResponseUpdate]:
        yield AgentResponseUpdate(role="assistant", contents=response.messages[0].contents, author_name=author)

    return ResponseStream(updates(), finalizer=lambda _: response)
