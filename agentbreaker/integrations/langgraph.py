"""LangGraph: one callback handler that watches every hop, and stops a graph that gets nowhere.

    from agentbreaker.integrations.langgraph import LangGraphBreaker

    breaker = LangGraphBreaker()
    graph = builder.compile(checkpointer=checkpointer).with_config(callbacks=[breaker])

It works the same for ``invoke``, ``stream``, ``ainvoke`` and ``astream``, in sub-graphs and for parallel nodes, with
a checkpointer and without.  A stopped run does not raise: the caller gets the state so far, with the reason under
``"__interrupt__"``, and ``breaker.guard.incident(thread_id)`` explains.  With a checkpointer it can go on:
``breaker.guard.reset(thread_id)``, then ``graph.invoke(None, config)``.

What it cannot do: callbacks cannot change what an agent reads, so a decision to steer is recorded but not spoken; and
a model called in a thread of the user's own, without LangChain's context, is not seen.
"""

from __future__ import annotations

import contextlib
import functools
import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, cast
from uuid import UUID

try:
    from langchain_core.callbacks import BaseCallbackHandler
    from langchain_core.messages import BaseMessage
    from langchain_core.outputs import LLMResult
    from langgraph.errors import GraphInterrupt
    from langgraph.runtime import get_runtime
    from langgraph.types import Interrupt

    from agentbreaker.integrations._langgraph_edges import Edges
    from agentbreaker.integrations._langgraph_money import Money
    from agentbreaker.integrations._langgraph_runs import Run
    from agentbreaker.integrations._langgraph_text import model_output
except ImportError as error:
    raise ImportError(
        'agentbreaker.integrations.langgraph needs LangGraph: pip install "agentbreaker[langgraph]"'
    ) from error

from agentbreaker.errors import ConversationHalted, ConversationHaltedError
from agentbreaker.guard import Guard
from agentbreaker.message import Message, Usage
from agentbreaker.pricing import Bill, Pricing
from agentbreaker.verdict import Decision

if TYPE_CHECKING:
    from agentbreaker.integrations.langchain import BreakerMiddleware
    from agentbreaker.policy import Policy

__all__ = ["LangGraphBreaker", "Stopped", "stop"]

_log = logging.getLogger("agentbreaker")
_Hook = TypeVar("_Hook", bound=Callable[..., None])

#: Stops of one node that its own code may swallow before it gets one that ``except Exception`` lets through: enough
#: for retries and fallbacks to run out, and an end to a loop that catches everything.
_MAX_SWALLOWED = 32
#: Nodes of ``create_agent``, in which a middleware of ours may decide, and what marks them.
_AGENT_NODES = frozenset({"model", "tools"})
_AGENT_MARKS = frozenset({"lc_agent_name", "ls_integration"})
_ON_PURPOSE = "stopped on purpose by agentbreaker"


class Stopped(GraphInterrupt):
    """The deliberate stop.  LangChain logs what handlers raise; this is how it reads there."""

    def __init__(self, interrupt: Interrupt, reason: str) -> None:
        super().__init__((interrupt,))
        self.reason = reason

    def __repr__(self) -> str:
        return f"{_ON_PURPOSE}: {self.reason}"


def _is_no_fault(record: logging.LogRecord) -> bool:
    """Whether LangChain's warning about a raising handler is about something else than our deliberate stop."""
    return not (isinstance(record.args, tuple) and any(_ON_PURPOSE in str(part) for part in record.args))


# LangChain announces whatever a handler raises as "Error in ... callback"; a stop is told by our own events instead.
logging.getLogger("langchain_core.callbacks.manager").addFilter(_is_no_fault)


def _contained(hook: _Hook) -> _Hook:
    """Let the deliberate stop pass to the graph, and nothing else of ours."""

    @functools.wraps(hook)
    def wrapper(self: LangGraphBreaker, *args: Any, **kwargs: Any) -> None:
        try:
            hook(self, *args, **kwargs)
        except Stopped:
            raise
        except Exception as error:
            self.faults[type(error).__name__] += 1
            _log.warning("%s failed with %s; the graph goes on", hook.__name__, type(error).__name__)
            if hook.__name__.endswith(("_end", "_error")):
                self._edges.discard(kwargs["run_id"])

    return cast(_Hook, wrapper)


def stop(decision: Decision, conversation_id: str, run_id: UUID) -> Stopped:
    """Make the stop of one run, which LangGraph takes for a pause."""
    value = {
        "agentbreaker": decision.reason,
        "code": decision.code,
        "conversation_id": conversation_id,
        "retry_after": decision.retry_after,
    }
    return Stopped(Interrupt(value=value, id=f"agentbreaker-{run_id}"), decision.reason)


class LangGraphBreaker(BaseCallbackHandler):
    """Watches a LangGraph graph through its callbacks and stops it when the guard says so.

    One object may serve many runs at once; each thread (``configurable.thread_id``) is a conversation with a breaker
    of its own, and without a thread each run is.

    Args:
        guard: The guard that decides; by default a new one.
        policy: Policy of that new guard; not together with `guard`.
        conversation_id: One conversation for all runs, whatever their thread.
        pricing: Prices of models; by default the offline tables of genai-prices.

    Attributes:
        guard: The guard, to ask for the incident and to reset.
        pricing: The prices, to ask for what is unpriced.
        faults: Failures of our own that were contained, counted by type; empty when all is well.
    """

    raise_error = True  # or LangChain logs the stop and goes on
    run_inline = True  # or asynchronous runs call us late and out of order

    def __init__(
        self,
        guard: Guard | None = None,
        *,
        policy: Policy | None = None,
        conversation_id: str | None = None,
        pricing: Pricing | None = None,
    ) -> None:
        if guard is not None and policy is not None:
            raise TypeError("give either a guard or the policy for a new one, not both")
        self.guard = guard if guard is not None else Guard(policy)
        self.faults: Counter[str] = Counter()
        self.pricing = pricing if pricing is not None else Pricing()
        self._money = Money(self.guard, self.pricing)
        self._edges = Edges(conversation_id)
        self.conversation_id = conversation_id
        self._middleware = False

    # For the middleware of the same breaker.

    def middleware(self, **options: Any) -> BreakerMiddleware:
        """Return middleware for ``create_agent`` that acts for this breaker.

        Args:
            options: Of :class:`~agentbreaker.integrations.langchain.BreakerMiddleware`.
        """
        from agentbreaker.integrations.langchain import BreakerMiddleware

        return BreakerMiddleware(self, **options)

    def leave_agents_to_middleware(self) -> None:
        """From now on the start of an agent's model and tools is not stopped here: the middleware inside decides."""
        self._middleware = True

    @property
    def has_budget(self) -> bool:
        """Whether the policy has a budget of tokens or money."""
        return self._money.asked

    def conversation_of(self, run_id: UUID | None) -> str | None:
        """Return the conversation that a run belongs to, ``None`` if it is not followed."""
        run = self._edges.find(run_id)
        return None if run is None else run.conversation_id

    def hold(self, run_id: UUID, conversation_id: str, messages: Sequence[Any], *about: Any, tools: Any = None) -> None:
        """Hold the most that a model call can cost; see :meth:`Guard.reserve`."""
        self._money.hold(run_id, conversation_id, messages, *about, tools=tools)

    def drop_hold(self, run_id: UUID) -> None:
        """Hold nothing for a call that failed."""
        self._money.drop(run_id)

    def bill(self, run_id: UUID, usage: Usage | None, model: str | None) -> Bill | None:
        """Return the tokens of a call with their price."""
        return self._money.bill(run_id, usage, model)

    def observe(self, message: Message) -> Decision:
        """Show a message to the guard, with the price of its tokens."""
        if isinstance(message.usage, Bill):
            message.cost_usd = message.usage.price
        return self.guard.observe(message)

    # Chains: graphs, their nodes, and what runs inside them.

    @_contained
    def on_chain_start(
        self,
        serialized: dict[str, Any] | None,
        inputs: Any,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Deliver the messages that a starting node receives, and stop it if the breaker is open."""
        run, messages = self._edges.start(run_id, parent_run_id, metadata, kwargs.get("name"), tags, inputs)
        if run.own and self._middleware and run.name in _AGENT_NODES and _AGENT_MARKS & (metadata or {}).keys():
            self._observe(messages)
        elif run.own:
            self._admit(run, messages)

    @_contained
    def on_chain_end(self, outputs: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """Note what a node said; the end of a run never stops anything, so that nothing said is lost."""
        self._observe(self._edges.end(run_id, outputs))

    @_contained
    def on_chain_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """Note a hand-off out of a sub-graph, or forget the run."""
        self._observe(self._edges.fail(run_id, error))

    # Models.

    @_contained
    def on_chat_model_start(
        self,
        serialized: dict[str, Any],
        messages: list[list[BaseMessage]],
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Stop before the paid call if the breaker is open, or if the call could exceed a budget."""
        self._admit_call(run_id, parent_run_id, metadata, [m for batch in messages for m in batch], kwargs)

    @_contained
    def on_llm_start(
        self,
        serialized: dict[str, Any],
        prompts: list[str],
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Stop before the paid call if the breaker is open, or if the call could exceed a budget."""
        self._admit_call(run_id, parent_run_id, metadata, prompts, kwargs)

    @_contained
    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **kwargs: Any) -> None:
        """Note the tokens, and what they cost."""
        text, message_id, usage, model = model_output(response)
        self._observe(self._edges.model_end(run_id, (text, message_id, self._money.bill(run_id, usage, model), model)))

    @_contained
    def on_llm_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """Forget the call."""
        self._money.drop(run_id)
        self._observe(self._edges.model_end(run_id, None))

    # Tools.

    @_contained
    def on_tool_start(
        self,
        serialized: dict[str, Any] | None,
        input_str: str,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        metadata: dict[str, Any] | None = None,
        inputs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Tell the guard about the call, and stop before it if the breaker is open."""
        name = (serialized or {}).get("name") or kwargs.get("name") or "tool"
        run, _ = self._edges.start(run_id, parent_run_id, metadata, str(name))
        arguments = inputs if inputs is not None else input_str
        self._admit(run, self._edges.tool_start(run, str(name), arguments, kwargs.get("tool_call_id")))

    @_contained
    def on_tool_end(self, output: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """Tell the guard about the result."""
        self._observe(self._edges.tool_end(run_id, output))

    @_contained
    def on_tool_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """Tell the guard about the failure."""
        self._observe(self._edges.tool_end(run_id, None, error))

    # Decisions.

    def _observe(self, messages: Sequence[Message]) -> Decision | None:
        """Show messages to the guard; return the decision that opened the breaker, if one did."""
        opened = None
        for message in messages:
            decision = self.observe(message)
            if decision.action.opens:
                opened = opened or decision
        return opened

    def _admit(self, run: Run, messages: Sequence[Message]) -> None:
        """Show messages to the guard, then stop `run` if the breaker is open, now or since long."""
        decision = self._observe(messages)
        if decision is None:
            try:
                self.guard.check(run.conversation_id)
            except (ConversationHalted, ConversationHaltedError) as halted:
                decision = halted.decision
        if decision is not None:
            self._edges.drop(run)
            self._stop(decision, run)

    def _admit_call(
        self,
        run_id: UUID,
        parent_run_id: UUID | None,
        metadata: Mapping[str, Any] | None,
        messages: Sequence[Any],
        about: Mapping[str, Any],
    ) -> None:
        """Admit a model call, and hold the most that it can cost."""
        run, heard = self._edges.start(run_id, parent_run_id, metadata, about.get("name"))
        self._admit(run, heard)
        if self._money.asked:
            params = about.get("invocation_params") or {}
            names = {
                "model": (metadata or {}).get("ls_model_name"),
                "max_tokens": (metadata or {}).get("ls_max_tokens"),
            }
            try:
                self._money.hold(run_id, run.conversation_id, messages, params, names, tools=params.get("tools"))
            except (ConversationHalted, ConversationHaltedError) as halted:
                self._edges.drop(run)
                self._stop(halted.decision, run)

    def _stop(self, decision: Decision, run: Run) -> NoReturn:
        """Stop the graph that `run` is a part of: the one place that knows how.

        LangGraph treats the exception as a pause: it is not retried, the state is kept, the caller gets it without
        an exception.  Raised at the start of a node, no code of the user's is in between that could swallow it, and
        swallowed inside of one, the next node raises it again.  A drain would end such a run as well, but as an
        exception, so it is only asked for where we were not given the nodes to stop (attached to a model alone).
        """
        if run.count_stop() > _MAX_SWALLOWED:
            raise ConversationHalted(decision, run.conversation_id)
        if run.node is None:
            with contextlib.suppress(Exception):
                control = get_runtime().control
                if control is not None:
                    control.request_drain(decision.reason)
        raise stop(decision, run.conversation_id, run.run_id)
