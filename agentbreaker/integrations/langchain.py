"""LangChain agents: one middleware that sees an agent's calls, and stops, ends, steers or downgrades it.

    from langchain.agents import create_agent
    from agentbreaker.integrations._langgraph_stop import Stopped, was_cut
    from agentbreaker.integrations.langgraph import LangGraphBreaker

    breaker = LangGraphBreaker()
    agent = create_agent(model, tools, middleware=[breaker.middleware(downgrade_to=cheaper_model)])

It works alone, and together with the callbacks of the same breaker (``agent.with_config(callbacks=[breaker])``), which
also see who hands over to whom; then they do the seeing and the counting, and the middleware only acts.  One object
serves all agents of an application, threads and coroutines.

It only wraps calls and adds no node to the graph, so it costs no superstep.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, Literal, TypeVar
from uuid import uuid4

try:
    from langchain.agents.middleware.types import (
        AgentMiddleware,
        ExtendedModelResponse,
        ModelRequest,
        ModelResponse,
        ToolCallRequest,
    )
    from langchain.chat_models import init_chat_model
    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import HumanMessage, ToolMessage
    from langgraph.config import get_config
    from langgraph.errors import GraphBubbleUp
    from langgraph.runtime import get_runtime
    from langgraph.types import Command

    from agentbreaker.integrations._langchain_decisions import (
        ENFORCED,
        HALTED,
        Decisions,
        Downgrade,
        Memory,
        OnHalt,
        Resume,
    )
    from agentbreaker.integrations._langchain_said import (
        Call,
        final_answer,
        not_run,
        said_by_model,
        said_by_person,
        said_by_tool,
    )
    from agentbreaker.integrations._langgraph_stop import Stopped, was_cut
    from agentbreaker.integrations.langgraph import LangGraphBreaker
except ImportError as error:
    raise ImportError(
        'agentbreaker.integrations.langchain needs LangChain 1.4 or later: pip install "agentbreaker[langchain]"'
    ) from error

from agentbreaker.errors import ConversationHalted, ConversationHaltedError
from agentbreaker.message import Message
from agentbreaker.verdict import STEER_TEXT, Decision

__all__ = ["BreakerMiddleware", "OnHalt", "Resume"]

_T = TypeVar("_T")
HALTED = (ConversationHalted, ConversationHaltedError)

_log = logging.getLogger("agentbreaker")

#: Attempts of one call that were stopped from inside and are worth another decision.
_MAX_ATTEMPTS = 16


class BreakerMiddleware(AgentMiddleware[Any, Any, Any]):
    """The breaker as middleware of ``create_agent``; made by :meth:`LangGraphBreaker.middleware`.

    A decision to *finish* ends the agent with a final message that says why, and tools that were asked for are
    answered as not run.  A decision to *steer* puts one constant message, named ``agentbreaker``, before the next
    model call; it is not kept in the state, which belongs to the application.

    Args:
        breaker: The breaker that decides; by default a new one.
        on_halt: What a halt does: ``"pause"`` ends the run without an answer, resumable from its checkpoint;
            ``"finish"`` ends it as if the decision had been to finish; ``"interrupt"`` asks a person with LangGraph's
            ``interrupt()``, who resumes with ``Command(resume="allow")`` (let one lap through), ``"close"`` or
            ``"stop"`` (end with a final message and stay open until a person resets).  Another answer is asked again,
            with the reason under ``"error"``.
        downgrade_to: A cheaper model, or its name for ``init_chat_model``: further model calls of a conversation use
            it from `downgrade_at` on, until :meth:`restore` or an answer ``"close"``.
        downgrade_at: A rung, ``"warn"`` or ``"steer"``, or a share of the policy's budget of tokens or money (0.8:
            when four fifths are spent).

    Attributes:
        breaker: The breaker, to ask for its guard.
        counts: What was done: ``steered``, ``downgraded`` (calls), ``finished``, ``paused``, ``asked``; and in shadow
            mode ``steer_withheld``, ``downgrade_withheld``.

    Raises:
        ConfigError: An argument cannot be used.
    """

    def __init__(
        self,
        breaker: LangGraphBreaker | None = None,
        *,
        on_halt: OnHalt = "pause",
        downgrade_to: BaseChatModel | str | None = None,
        downgrade_at: Literal["warn", "steer"] | float = "steer",
    ) -> None:
        super().__init__()
        self.breaker = breaker if breaker is not None else LangGraphBreaker()
        self.breaker.decides_in_agents = True
        self.counts: Counter[str] = Counter()
        self._guard = self.breaker.guard
        self._on_halt = on_halt
        cheaper = init_chat_model(downgrade_to) if isinstance(downgrade_to, str) else downgrade_to
        self._downgrade = Downgrade(self._guard, cheaper, downgrade_at, self.counts)
        self._decisions = Decisions(self._guard, on_halt, self.counts, self.restore)
        self._lock = threading.Lock()
        self._telling: set[str] = set()
        self._runs: Memory[tuple[str, Any]] = Memory()

    def restore(self, conversation_id: str) -> None:
        """Use the agent's own model again in this conversation."""
        self._downgrade.restore(conversation_id)

    def is_downgraded(self, conversation_id: str) -> bool:
        """Whether model calls of this conversation use the cheaper model."""
        return conversation_id in self._downgrade

    # The hooks.

    def wrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], ModelResponse[Any]]
    ) -> ModelResponse[Any] | ExtendedModelResponse[Any]:
        """Decide before the paid call, prepare it, and note what came of it."""
        call = self._call(request.messages)
        for attempt in range(_MAX_ATTEMPTS):
            if (ended := self._before_model(call, request)) is not None:
                return ended
            prepared = self._prepare(call, request)
            try:
                response = handler(prepared)
            except BaseException as error:
                self._give_up(call, error, attempt)
                continue
            return self._after_model(call, response)
        raise AssertionError("unreachable: the last attempt raises")

    async def awrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]]
    ) -> ModelResponse[Any] | ExtendedModelResponse[Any]:
        """Do what :meth:`wrap_model_call` does, around a coroutine."""
        call = self._call(request.messages)
        for attempt in range(_MAX_ATTEMPTS):
            if (ended := self._before_model(call, request)) is not None:
                return ended
            prepared = self._prepare(call, request)
            try:
                response = await handler(prepared)
            except BaseException as error:
                self._give_up(call, error, attempt)
                continue
            return self._after_model(call, response)
        raise AssertionError("unreachable: the last attempt raises")

    def wrap_tool_call(
        self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], ToolMessage | Command[Any]]
    ) -> ToolMessage | Command[Any]:
        """Decide before the tool runs, and note its result."""
        call = self._call(None)
        for attempt in range(_MAX_ATTEMPTS):
            if (decision := self._stopped(call)) is not None:
                return not_run(request.tool_call, decision)
            try:
                result = handler(request)
            except BaseException as error:
                self._after_tool(call, request, error)
                self._give_up(call, error, attempt)
                continue
            self._after_tool(call, request, result)
            return result
        raise AssertionError("unreachable: the last attempt raises")

    async def awrap_tool_call(
        self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], Awaitable[ToolMessage | Command[Any]]]
    ) -> ToolMessage | Command[Any]:
        """Do what :meth:`wrap_tool_call` does, around a coroutine."""
        call, begun = self._call(None), False
        for attempt in range(_MAX_ATTEMPTS):
            if (decision := self._stopped(call)) is not None:
                return not_run(request.tool_call, decision, begun=begun)
            try:
                result = await handler(request)
            except BaseException as error:
                self._after_tool(call, request, error)
                self._give_up(call, error, attempt)
                begun = isinstance(error, asyncio.CancelledError)
                continue
            self._after_tool(call, request, result)
            return result
        raise AssertionError("unreachable: the last attempt raises")

    # Before and after a call.

    def _call(self, messages: list[Any] | None) -> Call:
        """Find out whose call this is, and whether the callbacks of the same breaker see it as well."""
        try:
            config = get_config()
            about = config.get("metadata") or {}
            manager = config.get("callbacks")
            handlers = getattr(manager, "handlers", None) or ()
            watched = any(getattr(one, "guard", None) is self._guard for one in handlers)
            agent = str(about.get("lc_agent_name") or "agent")
            task = str((config.get("configurable") or {}).get("__pregel_task_id") or "")
            known = self.breaker.conversation_of(getattr(manager, "parent_run_id", None)) if watched else None
            thread = known or self.breaker.conversation_id or about.get("thread_id")
            thread = thread or (config.get("configurable") or {}).get("thread_id") or self._run_id(messages)
            return Call(str(thread), agent, watched, task, uuid4())
        except Exception as error:
            self._fault(error)
            return Call("unknown", "agent", True, "", uuid4())

    def _run_id(self, messages: list[Any] | None) -> str:
        """Without a thread each run is a conversation; its control object is the run's alone."""
        control = get_runtime().control
        if control is None:
            return str(getattr((messages or [None])[0], "id", None) or uuid4())
        with self._lock:  # it is kept, so that no other gets its identity
            return self._runs.setdefault(id(control), (str(uuid4()), control))[0]

    def _before_model(self, call: Call, request: ModelRequest[Any]) -> ExtendedModelResponse[Any] | None:
        """Return the final answer if there is to be no call; stop, or ask, if that is what a halt does."""
        if not call.watched:
            try:
                self._observe(said_by_person(call, request.messages))
            except Exception as error:
                self._fault(error)
        decision = self._stopped(call)
        if decision is None and not call.watched:
            decision = self._hold(call, request)
        return None if decision is None else self._decisions.final(call, request.messages, decision)

    def _hold(self, call: Call, request: ModelRequest[Any]) -> Decision | None:
        """Hold the most that the call can cost; if that is too much, decide as for any halt."""
        for _ in range(_MAX_ATTEMPTS):
            try:
                model = self._downgrade.model_of(call.conversation_id, request.model)
                names = model._get_ls_params()
                self.breaker.money.hold(
                    call.run_id,
                    call.conversation_id,
                    [*filter(None, [request.system_message]), *request.messages],
                    request.model_settings,
                    {"model": names.get("ls_model_name"), "max_tokens": names.get("ls_max_tokens")},
                    model,
                    tools=[getattr(tool, "args", tool) for tool in request.tools],
                )
            except HALTED:
                if (decision := self._stopped(call)) is not None:
                    return decision
            except Exception as error:
                self._fault(error)
                return None
            else:
                return None
        raise self._decisions.pause(call, self._guard.decision(call.conversation_id))

    def _prepare(self, call: Call, request: ModelRequest[Any]) -> ModelRequest[Any]:
        """Steer and downgrade, if that is due."""
        try:
            enforced = self._guard.state(call.conversation_id) in ENFORCED
            model = self._downgrade.model_of(call.conversation_id, request.model)
            if model is not request.model:
                self.counts["downgraded"] += 1
                request = request.override(model=model)
            if self._guard.account(call.conversation_id).steer_due:
                if not enforced:
                    self.counts["steer_withheld"] += 1
                    return request
                with self._lock:
                    call.tells = call.conversation_id not in self._telling
                    self._telling.add(call.conversation_id)
                if call.tells:
                    steer = HumanMessage(STEER_TEXT, name="agentbreaker")
                    request = request.override(messages=[*request.messages, steer])
        except Exception as error:
            self._fault(error)
        return request

    def _after_model(self, call: Call, response: ModelResponse[Any]) -> ModelResponse[Any] | ExtendedModelResponse[Any]:
        """Show the guard what the model said; if that ends the conversation, answer the tools that it asked for."""
        self._told(call, done=True)
        if call.watched:
            return response
        try:
            self._observe(said_by_model(call, response.result, self.breaker.money.bill))
            decision = self._decisions.is_open(call)
            if decision is not None and self._decisions.ends(decision):
                answer = final_answer(decision)
                asked = [one for message in response.result for one in getattr(message, "tool_calls", ())]
                if asked:
                    self.counts["finished"] += 1
                    refusals = [not_run(one, decision) for one in asked]
                    response.result = [*response.result, *refusals, answer]
        except Exception as error:
            self._fault(error)
        return response

    def _after_tool(self, call: Call, request: ToolCallRequest, result: Any) -> None:
        """Show the guard what the tool gave; control flow that travels as an exception is no result."""
        if call.watched or isinstance(result, GraphBubbleUp) or not isinstance(result, Exception | ToolMessage):
            return
        try:
            self._observe([said_by_tool(call, request.tool_call, result)])
        except Exception as error:
            self._fault(error)

    def _give_up(self, call: Call, error: BaseException, attempt: int) -> None:
        """The call failed: raise that on, unless it was our own stop from inside, which may be decided here."""
        self._told(call, done=False)
        self.breaker.money.drop(call.run_id)
        decision = self._decisions.is_open(call)
        decides = decision is not None and (self._decisions.ends(decision) or self._on_halt == "interrupt")
        if attempt == _MAX_ATTEMPTS - 1 or not decides or not (isinstance(error, Stopped) or was_cut(error)):
            raise error

    def _told(self, call: Call, *, done: bool) -> None:
        if call.tells:
            call.tells = False
            if done:
                self._guard.steered(call.conversation_id)
                self.counts["steered"] += 1
            with self._lock:
                self._telling.discard(call.conversation_id)

    def _observe(self, messages: list[Message]) -> None:
        for message in messages:
            self._guard.observe(self.breaker.money.price(message))

    def _stopped(self, call: Call) -> Decision | None:
        """Ask whether the call may begin; only a stop on purpose gets out of here."""
        try:
            return self._decisions.stopped(call)
        except (GraphBubbleUp, *HALTED):
            raise
        except Exception as error:
            self._fault(error)
            return None

    def _fault(self, error: Exception) -> None:
        """A failure of ours: counted, told by its type, and never the agent's."""
        self.breaker.faults[type(error).__name__] += 1
        _log.warning("the middleware failed with %s; the agent goes on", type(error).__name__)
