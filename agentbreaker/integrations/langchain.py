"""LangChain agents: one middleware that sees an agent's calls, and stops, ends, steers or downgrades it.

    from langchain.agents import create_agent
    from agentbreaker.integrations.langgraph import LangGraphBreaker

    breaker = LangGraphBreaker()
    agent = create_agent(model, tools, middleware=[breaker.middleware(downgrade_to=cheaper_model)])

It works alone, and together with the callbacks of the same breaker (``agent.with_config(callbacks=[breaker])``), which
also see who hands over to whom; then they do the seeing and the counting, and the middleware only acts.  One object
serves all agents of an application, threads and coroutines.

It only wraps calls and adds no node to the graph, so it costs no superstep.
"""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Literal, TypeVar, get_args
from uuid import uuid4
from weakref import WeakKeyDictionary

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
    from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
    from langgraph.config import get_config
    from langgraph.errors import GraphBubbleUp
    from langgraph.runtime import get_runtime
    from langgraph.types import Command, interrupt

    from agentbreaker.integrations._langchain_said import (
        Call,
        final_answer,
        not_run,
        said_by_model,
        said_by_person,
        said_by_tool,
    )
    from agentbreaker.integrations.langgraph import LangGraphBreaker, Stopped, stop
except ImportError as error:
    raise ImportError(
        'agentbreaker.integrations.langchain needs LangChain: pip install "agentbreaker[langchain]"'
    ) from error

from agentbreaker.errors import ConfigError, ConversationHalted, ConversationHaltedError
from agentbreaker.message import Message
from agentbreaker.verdict import STEER_TEXT, Action, Decision, State

__all__ = ["BreakerMiddleware", "OnHalt", "Resume"]

_T = TypeVar("_T")
_Halted = (ConversationHalted, ConversationHaltedError)

#: What a halt does: pause the run, end it with a final answer, or ask a person.
OnHalt = Literal["pause", "finish", "interrupt"]
#: What a person may answer: let one lap through, close the breaker, or stay stopped.
Resume = Literal["allow", "close", "stop"]

#: Conversations about which something is remembered here.
_MAX_CONVERSATIONS = 10_000
#: Final answers in a row, without a word of the person, after which a graph that goes on asking is paused.
_MAX_FINALS = 3
#: Pauses of one task that code of the user's swallowed before it gets one that ``except Exception`` lets through.
_MAX_SWALLOWED = 32
#: Attempts of one call that were stopped from inside and are worth another decision.
_MAX_ATTEMPTS = 16
_ENFORCED = (State.CLOSED, State.OPEN, State.HALF_OPEN, State.FORCED_OPEN)


class _Memory(OrderedDict[Any, _T]):
    """A mapping that forgets its oldest entries."""

    def __setitem__(self, key: Any, value: _T) -> None:
        super().__setitem__(key, value)
        if len(self) > _MAX_CONVERSATIONS:
            self.popitem(last=False)


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
        if on_halt not in get_args(OnHalt):
            raise ConfigError(f"on_halt must be 'pause', 'finish' or 'interrupt', not {on_halt!r}", field="on_halt")
        self.breaker = breaker if breaker is not None else LangGraphBreaker()
        self.breaker.leave_agents_to_middleware()
        self.counts: Counter[str] = Counter()
        self._guard = self.breaker.guard
        self._on_halt = on_halt
        self._cheaper = init_chat_model(downgrade_to) if isinstance(downgrade_to, str) else downgrade_to
        self._downgrade_at = self._checked(downgrade_at)
        self._lock = threading.Lock()
        self._downgraded: _Memory[bool] = _Memory()
        self._telling: set[str] = set()
        self._asked: _Memory[Decision] = _Memory()
        self._finals: _Memory[tuple[str, int]] = _Memory()
        self._stops: _Memory[int] = _Memory()
        self._runs: WeakKeyDictionary[Any, str] = WeakKeyDictionary()

    def _checked(self, at: str | float) -> Action | float:
        if at in ("warn", "steer"):
            return Action(at)
        if isinstance(at, bool) or not isinstance(at, int | float) or not 0 < at <= 1:
            raise ConfigError(
                f"downgrade_at must be 'warn', 'steer' or a share of the budget above 0 and up to 1, not {at!r}",
                field="downgrade_at",
            )
        if self._cheaper is not None and not self.breaker.has_budget:
            raise ConfigError(
                "downgrade_at is a share of the budget, but the policy has neither budgets.max_tokens nor"
                " budgets.max_cost_usd",
                field="downgrade_at",
            )
        return float(at)

    def restore(self, conversation_id: str) -> None:
        """Use the agent's own model again in this conversation."""
        with self._lock:
            self._downgraded.pop(conversation_id, None)

    def is_downgraded(self, conversation_id: str) -> bool:
        """Whether model calls of this conversation use the cheaper model."""
        return conversation_id in self._downgraded

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
        call = self._call(None)
        for attempt in range(_MAX_ATTEMPTS):
            if (decision := self._stopped(call)) is not None:
                return not_run(request.tool_call, decision)
            try:
                result = await handler(request)
            except BaseException as error:
                self._after_tool(call, request, error)
                self._give_up(call, error, attempt)
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
            self.breaker.faults[type(error).__name__] += 1
            return Call("unknown", "agent", True, "", uuid4())

    def _run_id(self, messages: list[Any] | None) -> str:
        """Without a thread each run is a conversation; its control object is the run's alone."""
        control = get_runtime().control
        if control is None:
            return str(getattr((messages or [None])[0], "id", None) or uuid4())
        with self._lock:
            return self._runs.setdefault(control, str(uuid4()))

    def _before_model(self, call: Call, request: ModelRequest[Any]) -> ExtendedModelResponse[Any] | None:
        """Return the final answer if there is to be no call; stop, or ask, if that is what a halt does."""
        if not call.watched:
            self._observe(said_by_person(call, request.messages))
        decision = self._stopped(call)
        if decision is None and not call.watched:
            decision = self._hold(call, request)
        return None if decision is None else self._final(call, request.messages, decision)

    def _hold(self, call: Call, request: ModelRequest[Any]) -> Decision | None:
        """Hold the most that the call can cost; if that is too much, decide as for any halt."""
        for _ in range(_MAX_ATTEMPTS):
            model = self._model_of(call, request)
            with suppress(Exception):
                names = model._get_ls_params()
                try:
                    self.breaker.hold(
                        call.run_id,
                        call.conversation_id,
                        [*filter(None, [request.system_message]), *request.messages],
                        request.model_settings,
                        {"model": names.get("ls_model_name"), "max_tokens": names.get("ls_max_tokens")},
                        model,
                        tools=[getattr(tool, "args", tool) for tool in request.tools],
                    )
                except _Halted:
                    pass
                else:
                    return None
            if self._is_open(call) is None:
                return None  # a failure of ours
            if (decision := self._stopped(call)) is not None:
                return decision
        raise self._pause(call, self._guard.decision(call.conversation_id))

    def _prepare(self, call: Call, request: ModelRequest[Any]) -> ModelRequest[Any]:
        """Steer and downgrade, if that is due."""
        try:
            enforced = self._guard.state(call.conversation_id) in _ENFORCED
            model = self._model_of(call, request)
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
            self.breaker.faults[type(error).__name__] += 1
        return request

    def _model_of(self, call: Call, request: ModelRequest[Any]) -> BaseChatModel:
        """The agent's model, or the cheaper one from the agreed moment on."""
        thread = call.conversation_id
        if self._cheaper is None or thread in self._downgraded:
            return request.model if self._cheaper is None else self._cheaper
        if isinstance(self._downgrade_at, Action):
            due = self._guard.decision(thread).action.rank >= self._downgrade_at.rank
            due = due or (self._downgrade_at is Action.STEER and self._guard.account(thread).steer_due)
        else:
            budgets, account = self._guard.policy.settings.budgets, self._guard.account(thread)
            shares = (
                (account.tokens + account.held_tokens) / (budgets.max_tokens or float("inf")),
                (account.cost_usd + account.held_usd) / (budgets.max_cost_usd or float("inf")),
            )
            due = max(shares) >= self._downgrade_at
        if due and self._guard.state(thread) not in _ENFORCED:
            self.counts["downgrade_withheld"] += 1
            return request.model
        if due:
            with self._lock:
                self._downgraded[thread] = True
        return self._cheaper if due else request.model

    def _after_model(self, call: Call, response: ModelResponse[Any]) -> ModelResponse[Any] | ExtendedModelResponse[Any]:
        """Show the guard what the model said; if that ends the conversation, answer the tools that it asked for."""
        self._told(call, done=True)
        if call.watched:
            return response
        try:
            self._observe(said_by_model(call, response.result, self.breaker.bill))
            decision = self._is_open(call)
            if decision is not None and self._ends(decision):
                answer = final_answer(decision)
                asked = [one for message in response.result for one in getattr(message, "tool_calls", ())]
                if asked:
                    self.counts["finished"] += 1
                    refusals = [not_run(one, decision) for one in asked]
                    response.result = [*response.result, *refusals, answer]
        except Exception as error:
            self.breaker.faults[type(error).__name__] += 1
        return response

    def _after_tool(self, call: Call, request: ToolCallRequest, result: Any) -> None:
        """Show the guard what the tool gave; control flow that travels as an exception is no result."""
        if call.watched or isinstance(result, GraphBubbleUp) or not isinstance(result, Exception | ToolMessage):
            return
        try:
            self._observe([said_by_tool(call, request.tool_call, result)])
        except Exception as error:
            self.breaker.faults[type(error).__name__] += 1

    def _give_up(self, call: Call, error: BaseException, attempt: int) -> None:
        """The call failed: raise that on, unless it was our own stop from inside, which may be decided here."""
        self._told(call, done=False)
        self.breaker.drop_hold(call.run_id)
        if not isinstance(error, Stopped) or attempt == _MAX_ATTEMPTS - 1:
            raise error
        decision = self._is_open(call)
        if decision is None or not (self._ends(decision) or self._on_halt == "interrupt"):
            raise error

    def _told(self, call: Call, *, done: bool) -> None:
        if call.tells:
            call.tells = False
            if done:
                self._guard.steered(call.conversation_id)
                self.counts["steered"] += 1
            with self._lock:
                self._telling.discard(call.conversation_id)

    # Decisions.

    def _observe(self, messages: list[Message]) -> None:
        for message in messages:
            self.breaker.observe(message)

    def _is_open(self, call: Call) -> Decision | None:
        try:
            self._guard.check(call.conversation_id)
        except _Halted as halted:
            return halted.decision
        return None

    def _ends(self, decision: Decision) -> bool:
        return decision.action is Action.FINISH or self._on_halt == "finish"

    def _stopped(self, call: Call) -> Decision | None:
        """Return the decision that ends the agent, ``None`` if the call may begin; pause or ask otherwise."""
        decision = self._is_open(call)
        key = (call.conversation_id, call.task)
        if decision is None and self._guard.state(call.conversation_id) not in (State.OPEN, State.HALF_OPEN):
            self._asked.pop(key, None)
            return None
        if self._on_halt == "interrupt" and (decision is None or not self._ends(decision)):
            # A person who was asked is heard, even if the wait was over meanwhile.
            decision = decision or self._asked.get(key)
            return None if decision is None else self._ask(call, key, decision)
        if decision is None or self._ends(decision):
            return decision
        raise self._pause(call, decision)

    def _ask(self, call: Call, key: tuple[str, str], decision: Decision) -> Decision | None:
        """Ask a person; the node runs again from its start when the answer is there."""
        if key not in self._asked:
            self.counts["asked"] += 1
            with self._lock:
                self._asked[key] = decision
        thread, question = call.conversation_id, self._question(call, decision)
        while (answer := interrupt(question)) not in get_args(Resume):
            question = {**question, "error": f"the answer must be 'allow', 'close' or 'stop', not {str(answer)[:80]!r}"}
        self._asked.pop(key, None)
        if answer == "stop":
            reason = f"{decision.reason}; a person said stop"
            self._guard.force_open(thread, reason, by="interrupt")
            return Decision(Action.HALT, decision.code, decision.score, reason)
        if answer == "close":
            self._guard.reset(thread, by="interrupt")
            self.restore(thread)
        else:
            self._guard.half_open(thread, by="interrupt")
        return None

    def _question(self, call: Call, decision: Decision) -> dict[str, Any]:
        """The incident in short, as JSON can hold it."""
        question = {
            "agentbreaker": decision.reason,
            "code": decision.code,
            "conversation_id": call.conversation_id,
            "agent": call.agent,
            "answers": list(get_args(Resume)),
        }
        incident = self._guard.incident(call.conversation_id)
        if incident is not None:
            for name in ("messages", "tokens", "cost_usd", "unpriced_tokens", "loop_tokens", "loop_cost_usd"):
                question[name] = getattr(incident, name)
            question["agents"] = list(incident.agents)
        return question

    def _pause(self, call: Call, decision: Decision) -> BaseException:
        """The stop that keeps the state; harder if the code around has swallowed it again and again."""
        key = (call.conversation_id, call.task, decision.generation)
        with self._lock:
            self._stops[key] = self._stops.get(key, 0) + 1
            swallowed = self._stops[key]
        self.counts["paused"] += 1
        if swallowed > _MAX_SWALLOWED:
            return ConversationHalted(decision, call.conversation_id)
        return stop(decision, call.conversation_id, call.run_id)

    def _final(self, call: Call, messages: list[Any], decision: Decision) -> ExtendedModelResponse[Any]:
        """End the agent with a message; a graph that calls it again and again is paused."""
        person = next((m.id or "" for m in reversed(messages) if isinstance(m, HumanMessage)), "")
        with self._lock:
            before = self._finals.get(call.conversation_id, ("", 0))
            count = before[1] + 1 if before[0] == person else 1
            self._finals[call.conversation_id] = (person, count)
        if count > _MAX_FINALS:
            raise self._pause(call, decision)
        self.counts["finished"] += 1
        answer: AIMessage = final_answer(decision)
        return ExtendedModelResponse(ModelResponse([answer]), Command(update={"jump_to": "end"}))
