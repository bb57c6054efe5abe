"""The one event that the engine knows: a message from an agent to another, or a tool call, or its result.

Slotted dataclasses, because one is made for every message.  Nothing is validated here: the readers of transcripts
and the integrations build messages, and they are the boundary.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

__all__ = ["Kind", "Message", "Role", "Tool", "Usage"]

Kind = Literal["message", "tool_call", "tool_result", "handoff", "system"]
Role = Literal["user", "assistant", "tool", "system"]


@dataclass(slots=True)
class Usage:
    """Tokens of one model call, named after OpenTelemetry's ``gen_ai.usage.*``.

    ``input_tokens`` already includes the cached ones, and ``output_tokens`` the reasoning ones.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_input_tokens: int = 0
    cache_creation_input_tokens: int = 0
    reasoning_output_tokens: int = 0

    @property
    def total(self) -> int:
        """Input and output tokens together."""
        return self.input_tokens + self.output_tokens


@dataclass(slots=True)
class Tool:
    """A tool call or its result.

    Attributes:
        name: Name of the tool.
        call_id: The framework's id that joins a result to its call.
        arguments: Arguments as the model wrote them: a mapping, or text that did not parse.
        result: The result as text; ``None`` on a call.
        is_error: Whether the tool reported a failure.
    """

    name: str
    call_id: str | None = None
    arguments: Any = None
    result: str | None = None
    is_error: bool = False


@dataclass(slots=True)
class Message:
    """One message on the bus: the transcript format version 1, as a record.

    Attributes:
        conversation_id: The conversation that the message belongs to; one breaker each.
        sender: Name of the agent, tool or person that speaks.
        recipient: Name of the one spoken to; ``None`` means everyone, or not known.
        kind: ``message``, ``tool_call``, ``tool_result``, ``handoff`` or ``system``.  ``system`` lines (prompts) are
            context and never evidence.
        content: The text.
        role: ``user`` marks a turn of the person whom the agents serve, that is, input from outside.
        message_id: The framework's id; the same id twice is one message.
        parent_id: Id of the message that this one answers.
        run_id: One invocation of the system within a longer conversation.
        timestamp: When it was sent; only used for display and for the virtual clock of a replay.
        tool: The tool call or result, if there is one.
        model: Name of the model that wrote the message.
        usage: Tokens that the message cost.
        cost_usd: Price of the message in US dollars, if known.
        extra: Unknown fields of the transcript line, kept as they were.
        inferred: The framework named no recipient; whoever ran next was taken for it.
        usage_elsewhere: No model was called for this message alone: its tokens are in the usage of another message of
            the same call, or nobody wrote it.  They are not estimated, so that nothing counts twice.
    """

    conversation_id: str
    sender: str
    recipient: str | None = None
    kind: Kind = "message"
    content: str = ""
    role: Role | None = None
    message_id: str | None = None
    parent_id: str | None = None
    run_id: str | None = None
    timestamp: datetime | None = None
    tool: Tool | None = None
    model: str | None = None
    usage: Usage | None = None
    cost_usd: float | None = None
    extra: dict[str, Any] | None = None
    inferred: bool = False
    usage_elsewhere: bool = False
