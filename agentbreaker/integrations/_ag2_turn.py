"""AG2 1.x: what one agent does in a turn, as messages; and the middleware that keeps its next step from beginning."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ag2 import ToolResult
from ag2.events import (
    BaseEvent,
    DataInput,
    Input,
    ModelMessage,
    ModelRequest,
    ModelResponse,
    TextInput,
    ToolCallEvent,
    ToolErrorEvent,
    ToolResultEvent,
)
from ag2.middleware import BaseMiddleware
from ag2.network import AGENT_CLIENT_DEP, CHANNEL_DEP
from ag2.utils import AGENT_CONTEXT_DEPENDENCY_KEY

from agentbreaker.errors import ConversationHaltedError
from agentbreaker.integrations.base import final_answer
from agentbreaker.integrations.spending import add_usage, charge, count_of, prompt_tokens
from agentbreaker.message import Message, Tool, Usage
from agentbreaker.verdict import STEER_TEXT, Decision

if TYPE_CHECKING:
    from ag2 import Context
    from ag2.middleware.base import AgentTurn, LLMCall, ToolExecution, ToolResultType

    from agentbreaker.integrations._ag2_hub import Core

__all__ = ["AgentWatch", "Spent", "Turn", "carry", "current", "readable"]

#: Tools that are messages to another agent: those messages count, not the call.
_CARRIERS = ("function:ag2.tools.subagents", "function:ag2.network.client.tools")
_PERSON = "user"
_OUTPUT_CAPS = ("max_completion_tokens", "max_output_tokens", "max_tokens")


@dataclass(slots=True)
class Spent:
    """Tokens of model calls that no message carries yet."""

    usage: Usage | None = None
    model: str | None = None

    def add(self, usage: Usage | None, model: str | None) -> None:
        """Add one call."""
        self.usage = add_usage(self.usage, usage)
        self.model = model or self.model

    def take(self, message: Message) -> Message:
        """Let `message` carry them."""
        charge(message, self.usage, self.model)
        self.usage = self.model = None
        return message


@dataclass(slots=True)
class Turn:
    """One turn of an agent: from the message that it gets to its answer.

    Attributes:
        conversation_id: The conversation that it is part of.
        agent: Name of the agent.
        channel: The channel of the hub that it answers in, ``None`` outside of one.
        parent: The turn of another agent that waits for this one.
        spent: Tokens that no message carries yet.
        said: Text that came along with tool calls.
        stopped: Why it ends before the agent was done, ``None`` if it does not.
    """

    conversation_id: str
    agent: str
    channel: Any = None
    parent: Turn | None = None
    spent: Spent = field(default_factory=Spent)
    said: str = ""
    stopped: Decision | None = None


@dataclass(slots=True)
class _Carried:
    """What was last said between agents while a tool ran, ``None`` if nothing was."""

    text: str | None = None


_turn: ContextVar[Turn | None] = ContextVar("agentbreaker_ag2_turn", default=None)


_carried: ContextVar[_Carried | None] = ContextVar("agentbreaker_ag2_carried", default=None)


def current() -> Turn | None:
    """The turn that the running code is part of."""
    return _turn.get()


def carry(text: str) -> None:
    """Note that the tool that is running, if any, carried a message to another agent, or back."""
    record = _carried.get()
    if record is not None:
        record.text = text


def text_of(parts: Sequence[Input]) -> str:
    """Return what is readable of a message or of a tool's result."""
    texts = []
    for part in parts:
        if isinstance(part, TextInput):
            texts.append(part.content)
        elif isinstance(part, DataInput):
            data = part.data
            texts.append(data if isinstance(data, str) else readable(data))
        else:
            texts.append(f"[{type(part).__name__}]")
    return "\n".join(texts)


def readable(data: Any) -> str:
    """Return structured data as text."""
    try:
        return json.dumps(data, ensure_ascii=False, default=str, sort_keys=True)
    except (TypeError, ValueError):
        return str(data)


def usage_of(response: ModelResponse) -> Usage | None:
    """Return the tokens of a model call, ``None`` if the provider did not tell them."""
    told = response.usage
    if not told:
        return None
    return Usage(
        count_of(told.prompt_tokens),
        count_of(told.completion_tokens),
        count_of(told.cache_read_input_tokens),
        count_of(told.cache_creation_input_tokens),
        count_of(told.thinking_tokens),
    )


def _limits(config: Any) -> tuple[str | None, int | None]:
    """The model that an agent is configured with, and the most tokens that it may write, as far as it tells."""
    told: dict[str, Any] = {}
    for name in ("model", *_OUTPUT_CAPS):
        with suppress(Exception):  # some configurations raise what they do not have, as AG2's own for tests
            told[name] = getattr(config, name)
    model = told.pop("model", None)
    most = next((cap for cap in told.values() if isinstance(cap, int) and cap > 0), None)
    return (model if isinstance(model, str) else None), most


def read_tokens(events: Sequence[BaseEvent], context: Context) -> int:
    """Return how many tokens a model call reads at most, by the length of what it is given."""
    return prompt_tokens("\n".join([*map(str, context.prompt), *map(str, events)]))


class AgentWatch(BaseMiddleware):
    """Watches one turn of one agent."""

    def __init__(self, event: BaseEvent, context: Context, core: Core) -> None:
        super().__init__(event, context)
        self._core = core
        self._config = getattr(context.dependencies.get(AGENT_CONTEXT_DEPENDENCY_KEY), "config", None)
        self._turn = self._open(context)

    def _open(self, context: Context) -> Turn:
        core, parent = self._core, _turn.get()
        known = context.dependencies
        client, channel = known.get(AGENT_CLIENT_DEP), known.get(CHANNEL_DEP)
        agent = str(getattr(known.get(AGENT_CONTEXT_DEPENDENCY_KEY), "name", "agent"))
        if parent is not None:
            return Turn(parent.conversation_id, agent, None, parent)
        if channel is not None:
            conversation = core.conversation_of(channel.channel_id)
            name = str(client.passport.name) if client is not None else agent
            return Turn(conversation, name, channel, None, core.spent(conversation, name))
        conversation = core.watch.conversation_id or str(context.stream.id)
        return Turn(conversation, agent, None, None, core.spent(conversation, agent))

    async def on_turn(self, call_next: AgentTurn, event: BaseEvent, context: Context) -> ModelResponse:
        """Show what the agent is told and what it answers; end the turn as the decision says."""
        turn = self._turn
        self._ask(event)
        token = _turn.set(turn)
        try:
            response = await call_next(event, context)
        finally:
            _turn.reset(token)
        watch = self._core.watch
        if turn.stopped is None:
            self._answer(response)
            return response
        if turn.channel is not None:
            await self._core.close(turn.conversation_id, turn.channel)
            return ModelResponse()  # nothing to post
        if turn.parent is None and watch.raises(turn.stopped):
            # Never a BaseException: AG2 would leave the turn open, and the stream locked for good.
            raise ConversationHaltedError(turn.stopped, turn.conversation_id, response)
        return response

    async def on_llm_call(self, call_next: LLMCall, events: Sequence[BaseEvent], context: Context) -> ModelResponse:
        """Let a model call begin unless the breaker is open; tell the agent to bring something new, if need be."""
        turn, watch = self._turn, self._core.watch
        model, most = _limits(self._config)
        call = watch.model_call(turn.conversation_id, lambda: read_tokens(events, context), most=most, model=model)
        turn.stopped = call.refusal
        if turn.stopped is not None:
            return ModelResponse(ModelMessage(final_answer(turn.stopped)))
        if watch.steering(turn.conversation_id):
            events = [*events, ModelRequest([TextInput(STEER_TEXT)])]
        with call:
            response = await call_next(events, context)
            try:
                turn.spent.add(call.bill(usage_of(response), response.model or model), response.model)
                turn.said = (response.content or "") if response.tool_calls else ""
            except Exception as error:
                watch.contain("usage", error)
        return response

    async def on_tool_execution(
        self, call_next: ToolExecution, event: ToolCallEvent, context: Context
    ) -> ToolResultType:
        """Show the call, let it begin unless the breaker is open, and show the result."""
        turn, watch = self._turn, self._core.watch
        carrier = str(getattr(event, "source", None) or "").startswith(_CARRIERS)
        call = self._call(event)
        opened = watch.observe([call]) if not carrier and call is not None else None
        opened = opened or watch.standing(turn.conversation_id)
        if opened is not None:
            watch.halts.refuse(turn.conversation_id)
            turn.stopped = opened
            return ToolResultEvent.from_call(event, ToolResult(final_answer(opened), final=True))
        record = _Carried()
        token = _carried.set(record)
        try:
            with watch.call(turn.conversation_id):
                result = await call_next(event, context)
        finally:
            _carried.reset(token)
        if not (carrier and record.text is not None):
            self._result(event, result, call if carrier else None, record.text)
        return result

    # What is shown to the guard; a failure in it is ours alone.

    def _ask(self, event: BaseEvent) -> None:
        turn, core = self._turn, self._core
        try:
            if turn.channel is not None and core.hub is not None:
                return  # the arbiter has seen it
            if not isinstance(event, ModelRequest):
                return
            text = text_of(event.parts)
            if turn.parent is not None:
                carry(text)
                core.watch.observe(
                    [turn.parent.spent.take(Message(turn.conversation_id, turn.parent.agent, turn.agent, content=text))]
                )
            elif turn.channel is None and not core.relayed(turn.conversation_id, text):
                core.watch.observe([Message(turn.conversation_id, _PERSON, turn.agent, content=text, role="user")])
        except Exception as error:
            core.watch.contain("on_turn", error)

    def _answer(self, response: ModelResponse) -> None:
        turn, core = self._turn, self._core
        try:
            text = response.content or ""
            if turn.channel is not None and core.hub is not None:
                return  # the arbiter will see it, and its tokens with it
            if not text:
                return
            recipient = None
            if turn.parent is not None:
                recipient = turn.parent.agent
                carry(text)
            elif core.watch.conversation_id is None and turn.channel is None:
                recipient = _PERSON
            if turn.parent is None:
                core.note_answer(turn.conversation_id, text)
            core.watch.observe([turn.spent.take(Message(turn.conversation_id, turn.agent, recipient, content=text))])
        except Exception as error:
            core.watch.contain("on_turn", error)

    def _call(self, event: ToolCallEvent) -> Message | None:
        turn = self._turn
        try:
            arguments: Any = event.arguments
            with suppress(ValueError):  # text that does not parse is shown as it is
                arguments = event.serialized_arguments
            tool = Tool(event.name, event.id, arguments)
            said, turn.said = turn.said, ""
            message = Message(turn.conversation_id, turn.agent, event.name, "tool_call", content=said, tool=tool)
            return turn.spent.take(message)
        except Exception as error:
            self._core.watch.contain("on_tool_execution", error)
            return None

    def _result(self, event: ToolCallEvent, result: Any, call: Message | None, carried: str | None) -> None:
        turn, watch = self._turn, self._core.watch
        try:
            messages = [] if call is None else [call]
            if isinstance(result, ToolResultEvent):
                failed = isinstance(result, ToolErrorEvent)
                if isinstance(result, ToolErrorEvent):
                    text = f"{type(result.error).__name__}: {result.error}"
                else:
                    text = text_of(result.result.parts)
                if carried is None or text != carried:
                    tool = Tool(event.name, event.id, result=text, is_error=failed)
                    messages.append(
                        Message(turn.conversation_id, event.name, turn.agent, "tool_result", text, tool=tool)
                    )
            watch.observe(messages)
        except Exception as error:
            watch.contain("on_tool_execution", error)
