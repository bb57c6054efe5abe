"""A model client that tells the guard of every call, and makes none while the breaker is open."""

from __future__ import annotations

import dataclasses
import json
import warnings
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from autogen_core import CancellationToken, ComponentModel, FunctionCall, MessageHandlerContext
from autogen_core.models import (
    AssistantMessage,
    ChatCompletionClient,
    CreateResult,
    FunctionExecutionResult,
    FunctionExecutionResultMessage,
    LLMMessage,
    ModelInfo,
    RequestUsage,
    UserMessage,
)
from autogen_core.tools import Tool, ToolSchema
from pydantic import BaseModel

from agentbreaker.errors import ConversationHaltedError
from agentbreaker.integrations._autogen_ledger import UNKNOWN, Reply, usage_of
from agentbreaker.integrations.base import FINAL_NAME
from agentbreaker.verdict import STEER_TEXT, Decision

if TYPE_CHECKING:
    from agentbreaker.integrations.autogen import AutoGenBreaker
    from agentbreaker.integrations.watch import ModelCall

__all__ = ["GuardedClient", "OnHalt"]

#: How a call that is not made is answered: with words that say why, or with an exception.
OnHalt = Literal["answer", "exception"]

#: Who asks a model which agent is next, or keeps the ledger of a task; custom managers are named alike.
_MANAGERS = frozenset({"GraphManager", "MagenticOneOrchestrator"})
_MANAGER_END = "GroupChatManager"

#: Words of the prompt with which Magentic-One asks for its ledger, whose form alone it understands.
_LEDGER_KEY = "is_request_satisfied"

_OUTPUT_CAPS = ("max_completion_tokens", "max_tokens", "max_output_tokens")


@dataclass(slots=True)
class _Call:
    """One call of a model: whose it is, whether that is the manager of a team, and what is held for it."""

    agent: str
    manager: bool
    paid: ModelCall


class GuardedClient(ChatCompletionClient):
    """A model client with a breaker; made by :meth:`AutoGenBreaker.model_client`.

    Everything else that the wrapped client has is reached through it.
    """

    component_config_schema = None

    def __init__(
        self,
        client: ChatCompletionClient,
        breaker: AutoGenBreaker,
        *,
        model: str | None,
        agent: str | None,
        max_output_tokens: int | None,
        on_halt: OnHalt,
    ) -> None:
        self._client = client
        self._breaker = breaker
        self._model = model
        self._model_asked = model is not None
        self._agent = agent
        self._max_output_tokens = max_output_tokens
        self._on_halt = on_halt

    async def create(
        self,
        messages: Sequence[LLMMessage],
        *,
        tools: Sequence[Tool | ToolSchema] = [],
        tool_choice: Tool | Literal["auto", "required", "none"] = "auto",
        json_output: bool | type[BaseModel] | None = None,
        extra_create_args: Mapping[str, Any] = {},
        cancellation_token: CancellationToken | None = None,
    ) -> CreateResult:
        """Call the model, unless the breaker is open; then the answer says why.

        Raises:
            ConversationHaltedError: The breaker is open, and a text is no possible answer: the caller wants a
                structured one, or the wrapper was made with ``on_halt="exception"``; or hundreds of such answers have
                not ended the team, as it has no condition of ours.
        """
        call = self._begin(messages, tools, extra_create_args)
        if call.paid.refusal is not None:
            return self._refuse(call.paid.refusal, messages, json_output)
        with call.paid:
            result = await self._client.create(
                self._steered(messages, call),
                tools=tools,
                tool_choice=tool_choice,
                json_output=json_output,
                extra_create_args=extra_create_args,
                cancellation_token=cancellation_token,
            )
            return self._account(call, result)

    async def create_stream(
        self,
        messages: Sequence[LLMMessage],
        *,
        tools: Sequence[Tool | ToolSchema] = [],
        tool_choice: Tool | Literal["auto", "required", "none"] = "auto",
        json_output: bool | type[BaseModel] | None = None,
        extra_create_args: Mapping[str, Any] = {},
        cancellation_token: CancellationToken | None = None,
    ) -> AsyncGenerator[str | CreateResult, None]:
        """Do what :meth:`create` does, in chunks."""
        call = self._begin(messages, tools, extra_create_args)
        if call.paid.refusal is not None:
            refusal = self._refuse(call.paid.refusal, messages, json_output)
            if isinstance(refusal.content, str):
                yield refusal.content
            yield refusal
            return
        with call.paid:
            async for chunk in self._client.create_stream(
                self._steered(messages, call),
                tools=tools,
                tool_choice=tool_choice,
                json_output=json_output,
                extra_create_args=extra_create_args,
                cancellation_token=cancellation_token,
            ):
                yield self._account(call, chunk) if isinstance(chunk, CreateResult) else chunk

    # Before a call.

    def _caller(self, messages: Sequence[LLMMessage]) -> tuple[str, bool]:
        """Whose model is called, and whether that is the manager of a team."""
        if self._agent is not None:
            return self._agent, False
        with suppress(RuntimeError):
            running = MessageHandlerContext.agent_id()
            name = running.type.removesuffix(f"_{running.key}")
            return name, name in _MANAGERS or name.endswith(_MANAGER_END)
        for message in reversed(messages):
            if isinstance(message, AssistantMessage):
                return message.source, False
        return UNKNOWN, False

    def _begin(
        self, messages: Sequence[LLMMessage], tools: Sequence[Tool | ToolSchema], extra: Mapping[str, Any]
    ) -> _Call:
        """Tell of what the agent's tools answered, and ask whether the call may be made."""
        agent, manager = self._caller(messages)
        results: list[FunctionExecutionResult] = []
        if messages and isinstance(messages[-1], FunctionExecutionResultMessage):
            results = messages[-1].content
        breaker = self._breaker
        breaker.tell(lambda ledger: ledger.asks(agent, results))
        most = self._max_output_tokens
        for name in _OUTPUT_CAPS:
            if isinstance(cap := extra.get(name), int) and cap > 0:
                most = cap

        def prompt() -> int:
            with suppress(Exception):  # counting is the client's affair, and no reason to stop a call
                return int(self._client.count_tokens(messages, tools=tools))
            return 0

        return _Call(agent, manager, breaker.model_call(prompt, most, self._name))

    def _steered(self, messages: Sequence[LLMMessage], call: _Call) -> Sequence[LLMMessage]:
        if call.manager or not self._breaker.take_steer():
            return messages
        return [*messages, UserMessage(content=STEER_TEXT, source=FINAL_NAME)]

    def _refuse(
        self, decision: Decision, messages: Sequence[LLMMessage], json_output: bool | type[BaseModel] | None
    ) -> CreateResult:
        """Answer in place of the model, or raise."""
        if not self._breaker.may_answer():
            raise ConversationHaltedError(decision, self._breaker.conversation_id)
        text = self._breaker.words(decision)
        last = messages[-1] if messages else None
        if isinstance(last, UserMessage) and isinstance(last.content, str) and _LEDGER_KEY in last.content:
            content = _closed_ledger(text)
        elif self._on_halt == "exception" or isinstance(json_output, type):
            raise ConversationHaltedError(decision, self._breaker.conversation_id)
        else:
            content = json.dumps({FINAL_NAME: text}) if json_output else text
        usage = RequestUsage(0, 0)
        self._breaker.disown(usage, words=True)
        return CreateResult(finish_reason="stop", content=content, usage=usage, cached=False)

    # After it.

    def _account(self, call: _Call, result: CreateResult) -> CreateResult:
        """Tell of an answer, and return it with tokens and calls that can be told from those of any other."""
        counted = RequestUsage(result.usage.prompt_tokens, result.usage.completion_tokens)
        calls = [dataclasses.replace(call) for call in result.content if isinstance(call, FunctionCall)]
        text = result.content if isinstance(result.content, str) else result.thought or ""
        breaker, model = self._breaker, self._name()
        bill = call.paid.bill(usage_of(counted), model, 0.0 if result.cached else None)
        reply = Reply(call.agent, text, bill, model, None if bill is None else bill.price, counted)
        if call.manager or not (calls or breaker.reads_replies):
            # No message will bear these tokens: nobody hears whom a manager chose, and agents that are programmed
            # freely say what they like.
            breaker.tell(lambda ledger: ledger.pays(reply))
        else:
            breaker.tell(lambda ledger: ledger.answers(reply, calls))
        return result.model_copy(update={"usage": counted, **({"content": calls} if calls else {})})

    def _name(self) -> str | None:
        """Name of the model, from the client's own configuration."""
        if not self._model_asked:
            self._model_asked = True
            with suppress(Exception), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                name = self._client.dump_component().config.get("model")
                self._model = str(name) if name else None
        return self._model

    # The rest of a client.

    async def close(self) -> None:
        """Close the wrapped client."""
        await self._client.close()

    def actual_usage(self) -> RequestUsage:
        """Tokens, as the wrapped client counts them."""
        return self._client.actual_usage()

    def total_usage(self) -> RequestUsage:
        """Tokens, as the wrapped client counts them."""
        return self._client.total_usage()

    def count_tokens(self, messages: Sequence[LLMMessage], *, tools: Sequence[Tool | ToolSchema] = []) -> int:
        """Tokens of a prompt, as the wrapped client counts them."""
        return self._client.count_tokens(messages, tools=tools)

    def remaining_tokens(self, messages: Sequence[LLMMessage], *, tools: Sequence[Tool | ToolSchema] = []) -> int:
        """Room that a prompt leaves, as the wrapped client counts it."""
        return self._client.remaining_tokens(messages, tools=tools)

    @property
    def capabilities(self) -> Any:
        """What the model can do, by its old name."""
        return self._client.capabilities

    @property
    def model_info(self) -> ModelInfo:
        """What the model can do."""
        return self._client.model_info

    def dump_component(self) -> ComponentModel:
        """Return the configuration of the wrapped client; the breaker is not part of it."""
        return self._client.dump_component()

    def __getattr__(self, name: str) -> Any:
        if name == "_client":  # not yet there, as while it is copied
            raise AttributeError(name)
        return getattr(self._client, name)


def _closed_ledger(text: str) -> str:
    """The ledger with which Magentic-One ends its task."""
    answers: dict[str, bool | str] = {
        _LEDGER_KEY: True,
        "is_progress_being_made": False,
        "is_in_loop": True,
        "instruction_or_question": "",
        "next_speaker": "",
    }
    return json.dumps({key: {"reason": text, "answer": answer} for key, answer in answers.items()})
