"""What a LangChain agent says, as messages: made from the middleware's calls, where no callback sees them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, LLMResult

from agentbreaker.integrations._langgraph_text import model_output, text_of
from agentbreaker.integrations.base import FINAL_NAME
from agentbreaker.integrations.base import final_answer as final_text
from agentbreaker.message import Message, Tool, Usage
from agentbreaker.pricing import Bill
from agentbreaker.verdict import Decision

__all__ = ["Call", "final_answer", "not_run", "said_by_model", "said_by_person", "said_by_tool"]


@dataclass(slots=True)
class Call:
    """One call of a model or a tool that the middleware wraps.

    Attributes:
        conversation_id: The conversation that it belongs to.
        agent: Name of the agent.
        watched: The callbacks of the same breaker see it too, and count it.
        task: LangGraph's id of the task, the same when the task runs again.
        run_id: Ours, of this one attempt.
        tells: The call carries the steer text.
    """

    conversation_id: str
    agent: str
    watched: bool
    task: str
    run_id: UUID
    tells: bool = False


def said_by_person(call: Call, messages: Sequence[Any]) -> list[Message]:
    """What the person said since an agent last spoke; told again, the guard knows it by its id."""
    said: list[Message] = []
    for message in reversed(messages):
        if isinstance(message, AIMessage):
            break
        if isinstance(message, HumanMessage):
            said.insert(
                0,
                Message(
                    call.conversation_id,
                    "user",
                    call.agent,
                    content=text_of(message.content),
                    role="user",
                    message_id=message.id,
                ),
            )
    return said


def said_by_model(
    call: Call, result: Sequence[Any], bill: Callable[[UUID, Usage | None, str | None], Bill | None]
) -> list[Message]:
    """What the model said and which tools it asked for; the first message carries the tokens."""
    said: list[Message] = []
    tokens: Usage | None = None
    for message in result:
        if not isinstance(message, AIMessage):
            continue
        text, identity, usage, model = model_output(LLMResult(generations=[[ChatGeneration(message=message)]]))
        identity = identity or str(call.run_id)
        about: dict[str, Any] = {"role": "assistant", "model": model}
        tokens = bill(call.run_id, usage, model)
        first = len(said)
        if text or not message.tool_calls:
            said.append(Message(call.conversation_id, call.agent, None, "message", text, message_id=identity, **about))
        for n, asked in enumerate(message.tool_calls):
            tool = Tool(asked["name"], asked["id"], asked["args"])
            made = Message(call.conversation_id, call.agent, tool.name, message_id=f"{identity}:call:{n}", **about)
            made.kind, made.tool = "tool_call", tool
            said.append(made)
        said[first].usage = tokens
    return said


def said_by_tool(call: Call, asked: Mapping[str, Any], result: ToolMessage | Exception) -> Message:
    """What a tool gave back to the agent."""
    if isinstance(result, ToolMessage):
        text, failed = text_of(result.content), result.status == "error"
    else:
        text, failed = f"{type(result).__name__}: {result}", True
    tool = Tool(asked["name"], asked["id"], asked["args"], text, failed)
    identity = getattr(result, "id", None) or f"{call.run_id}:result"
    return Message(
        call.conversation_id, tool.name, call.agent, "tool_result", text, "tool", message_id=identity, tool=tool
    )


def final_answer(decision: Decision) -> AIMessage:
    """The message that ends an agent and says why."""
    return AIMessage(
        final_text(decision),
        name=FINAL_NAME,
        response_metadata={"agentbreaker": {"code": decision.code, "action": str(decision.action)}},
    )


def not_run(asked: Mapping[str, Any], decision: Decision, *, begun: bool = False) -> ToolMessage:
    """The answer to a tool call that does not begin, or that was cancelled after it had begun."""
    what = "Cancelled while it ran" if begun else "Not run"
    return ToolMessage(
        f"[agentbreaker] {what}: {decision.reason}.", tool_call_id=asked["id"], name=asked["name"], status="error"
    )
