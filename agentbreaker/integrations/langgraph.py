"""LangGraph: see every hop, stop a graph that gets nowhere, and lose nothing of what was said.

    from agentbreaker.integrations.langgraph import LangGraphBreaker, guard_graph

    graph = builder.compile().with_config(callbacks=[LangGraphBreaker()])     # baked in
    graph.invoke(inputs, {"callbacks": [breaker]})                            # or per call
    with agentbreaker.watch() as breaker: app()                               # or code that cannot be edited
    graph = guard_graph(builder.compile(), on_halt="exception")               # or with the halt in the form you like

Breakers of one guard may be attached in several ways at once: each event counts once.  Each thread
(``configurable.thread_id``) is a conversation with a breaker of its own, and without a thread each run is.

What the caller gets, under ``invoke``, ``ainvoke``, ``stream`` and ``astream`` alike, in flat and parallel graphs,
sub-graphs, supervisors and swarms (``tests/integrations/test_langgraph_table.py`` has a test for each cell):

=========  ==========================================  ==========================================================
decision   callback alone                              ``guard_graph``
=========  ==========================================  ==========================================================
halt       no exception; the reason is under           the state so far as a :class:`HaltedState`, or
           ``"__interrupt__"``.  With a checkpointer   :class:`~agentbreaker.errors.ConversationHalted` with that
           nothing is lost, and ``invoke(None,         state; nothing is lost with or without a checkpointer;
           config)`` goes on after a reset; without    with one it goes on after a reset
           one LangGraph drops what a sub-graph did
finish     the same pause, and                         the run ends with a final answer in ``messages`` that says
           ``breaker.finish(graph, config)`` makes     why, sub-graphs folded in, nothing left to do
           an end of it; needs a checkpointer
shadow     nothing changes; ``breaker.withheld``       the same
           counts, the log and the incident tell
=========  ==========================================  ==========================================================

No model or tool call begins after the breaker has opened.  What had begun ends so: asynchronous calls are cancelled,
and the node that waits for one is paused as if it had been stopped there, so that it runs again when the conversation
goes on.  A call in a thread cannot be cancelled; it runs to its end, and so does what the node has begun in which the
breaker opened.  How many calls went on (``in_flight``) and how many were cancelled (``cancelled``, what those used is
not known) is told with the pause and in ``breaker.halts``.

What it cannot do: callbacks cannot change what an agent reads, so a decision to steer is recorded but not spoken.  A
model called in a thread of the user's own, without LangChain's context, is only noticed by the answer that its node
returns: its tokens are counted then, and the log says so once.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Literal
from uuid import UUID

try:
    from langchain_core.callbacks import BaseCallbackHandler
    from langchain_core.messages import BaseMessage
    from langchain_core.outputs import LLMResult
    from langgraph.pregel import Pregel

    from agentbreaker.integrations._langgraph_deciding import Deciding, contained
    from agentbreaker.integrations._langgraph_edges import edges_of
    from agentbreaker.integrations._langgraph_end import arun as arun_steps
    from agentbreaker.integrations._langgraph_end import finish as finish_steps
    from agentbreaker.integrations._langgraph_end import run as run_steps
    from agentbreaker.integrations._langgraph_guarded import GuardedGraph, HaltedState, OnHalt
    from agentbreaker.integrations._langgraph_money import Money
    from agentbreaker.integrations._langgraph_runs import is_agent_node
    from agentbreaker.integrations._langgraph_stop import Stopped, begin
    from agentbreaker.integrations._langgraph_text import model_output
except ImportError as error:
    raise ImportError(
        'agentbreaker.integrations.langgraph needs LangGraph: pip install "agentbreaker[langgraph]"'
    ) from error

from agentbreaker.guard import Guard
from agentbreaker.integrations.base import Once
from agentbreaker.pricing import Pricing
from agentbreaker.verdict import Action, Decision

if TYPE_CHECKING:
    from agentbreaker.integrations.langchain import BreakerMiddleware
    from agentbreaker.policy import Policy

__all__ = ["GuardedGraph", "HaltedState", "LangGraphBreaker", "OnHalt", "guard_graph"]


_BLIND = (
    "LangGraph: a node returned a model's answer whose call was not seen; it was counted afterwards, but such calls "
    "cannot be stopped. Pass the node's config on to the model (in a thread of your own: contextvars.copy_context)."
)


class LangGraphBreaker(Deciding, BaseCallbackHandler):
    """Watches a LangGraph graph through its callbacks and stops it when the guard says so.

    One object may serve many runs at once; each thread (``configurable.thread_id``) is a conversation with a breaker
    of its own, and without a thread each run is.

    Args:
        guard: The guard that decides; by default a new one.
        policy: Policy of that new guard; not together with `guard`.
        conversation_id: One conversation for all runs, whatever their thread.
        pricing: Prices of models; by default those of the policy, then the offline tables of genai-prices.
        cancel_in_flight: Whether a halt cancels asynchronous calls that are in flight: ``True``, only those of
            ``"models"`` (for tools that must not be cut off half-way), or ``False``: they run to their end.

    Attributes:
        guard: The guard, to ask for the incident and to reset.
        decides_in_agents: A middleware of this breaker decides about an agent's model and tools: their nodes may start.
        money: Prices and reservations.
        pricing: The prices, to ask for what is unpriced.
        faults: Failures of our own that were contained, counted by type; empty when all is well.
        withheld: In shadow mode, what would have been done, counted by action for each message.
        halts: What was in flight when a conversation was halted, and how many steps were refused since.
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
        cancel_in_flight: Literal["models"] | bool = True,
    ) -> None:
        if guard is not None and policy is not None:
            raise TypeError("give either a guard or the policy for a new one, not both")
        if cancel_in_flight not in (True, False, "models"):
            raise ValueError(f"cancel_in_flight must be True, False or 'models', not {cancel_in_flight!r}")
        self.guard = guard if guard is not None else Guard(policy)
        self.faults: Counter[str] = Counter()
        self.withheld: Counter[Action] = Counter()
        self.conversation_id = conversation_id
        self.cancel_in_flight = cancel_in_flight
        self._edges = edges_of(self.guard, conversation_id)
        self.halts = self._edges.halts
        self._blind = Once(_BLIND)
        self.pricing = pricing if pricing is not None else Pricing.of(self.guard.policy.settings.prices)
        self.money = Money(self.guard, self.pricing)
        self.decides_in_agents = False
        self._has_cut = False

    def middleware(self, **options: Any) -> BreakerMiddleware:
        """Return middleware for LangChain's ``create_agent`` that acts for this breaker.

        Args:
            options: Of :class:`~agentbreaker.integrations.langchain.BreakerMiddleware`.
        """
        from agentbreaker.integrations.langchain import BreakerMiddleware

        return BreakerMiddleware(self, **options)

    def conversation_of(self, run_id: UUID | None) -> str | None:
        """Return the conversation that a run belongs to, ``None`` if it is not followed."""
        run = None if run_id is None else self._edges.run(run_id)
        return None if run is None else run.conversation_id

    # Chains: graphs, their nodes, and what runs inside them.

    # The two that are called in every step spare themselves the wrapper.

    def on_chain_start(
        self,
        serialized: dict[str, Any] | None,
        inputs: Any,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        """Deliver the messages that a starting node receives, and stop it if the breaker is open."""
        try:
            edges = self._edges
            if tags and tags[-1][:9] == "seq:step:" and edges.follows(run_id, parent_run_id, tags[-1], metadata):
                return
            run, messages = edges.start(run_id, parent_run_id, metadata, name, tags, inputs)
            if run.own:
                if self.decides_in_agents and is_agent_node(name, metadata):
                    self._observe(messages, run)
                else:
                    self._admit(run, messages)
        except Stopped:
            raise
        except Exception as error:
            self._failed("on_chain_start", error, run_id)

    def on_chain_end(self, outputs: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """Note what a node said; the end of a run never stops anything, so that nothing said is lost."""
        try:
            edges = self._edges
            run = edges.run(run_id)
            if messages := edges.end(run_id, outputs):
                self._observe(messages, run)
            if edges.unseen_calls:
                self._blind.warn()
            if self._has_cut and run is not None and run.run_id == run_id:
                self._settle(run)  # its code has swallowed the cancellation, and it ended all the same
        except Exception as error:
            self._failed("on_chain_end", error, run_id)

    @contained
    def on_chain_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """Note a hand-off out of a sub-graph, or forget the run; one that we have cut short is paused."""
        run = self._edges.run(run_id)
        self._observe(self._edges.fail(run_id, error), run)
        if run is not None and run.run_id == run_id:
            self._pause_if_cut(run, error)

    # Models.

    @contained
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
        self._begin(run_id, parent_run_id, metadata, kwargs, [one for batch in messages for one in batch])

    @contained
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
        self._begin(run_id, parent_run_id, metadata, kwargs, prompts)

    @contained
    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **kwargs: Any) -> None:
        """Note the tokens, and what they cost."""
        run = self._edges.run(run_id)
        text, message_id, usage, model = model_output(response)
        if run is not None:  # else another breaker of this guard has heard it
            usage = self.money.bill(run_id, usage, model)
        self._observe(self._edges.model_end(run_id, (text, message_id, usage, model)), run)

    @contained
    def on_llm_error(
        self, error: BaseException, *, run_id: UUID, response: LLMResult | None = None, **kwargs: Any
    ) -> None:
        """Forget the call, but not the tokens of a stream that broke off, as far as it told them."""
        run = self._edges.run(run_id)
        _, message_id, usage, model = model_output(response) if response is not None else ("", None, None, None)
        if run is None or run.node is None or usage is None:
            self.money.drop(run_id)
            self._observe(self._edges.model_end(run_id, None), run)
            return
        usage = self.money.bill(run_id, usage, model)
        self._observe(self._edges.model_end(run_id, ("", message_id, usage, model)), run)

    # Tools.

    @contained
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
        begin(run)

    @contained
    def on_tool_end(self, output: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """Tell the guard about the result."""
        run = self._edges.run(run_id)
        self._observe(self._edges.tool_end(run_id, output), run)

    @contained
    def on_tool_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """Tell the guard about the failure."""
        run = self._edges.run(run_id)
        self._observe(self._edges.tool_end(run_id, None, error), run)

    def finish(self, graph: Any, config: Any) -> dict[str, Any]:
        """End the halted run of a thread with a final answer that says why, and return its state.

        What sub-graphs had come to is folded into the state, and nothing is left to do; the breaker stays open.

        Args:
            graph: The compiled ``StateGraph``, with its checkpointer.
            config: The configuration that names the thread.

        Raises:
            TypeError: `graph` has no state that could be ended (a functional entrypoint).
            ValueError: It has no checkpointer.
        """
        return run_steps(finish_steps(graph, config, self._standing(config)))

    async def afinish(self, graph: Any, config: Any) -> dict[str, Any]:
        """Do what :meth:`finish` does, with an asynchronous checkpointer."""
        return await arun_steps(finish_steps(graph, config, self._standing(config)))

    def _standing(self, config: Any) -> Decision:
        thread = self.conversation_id or config["configurable"]["thread_id"]
        return self.guard.decision(str(thread))

    def stopped(self, run_id: UUID) -> Decision | None:
        """Why the call of a graph that had this ``run_id`` was stopped, ``None`` if it was not; told once."""
        return self._edges.stopped(run_id)

    @property
    def unseen_calls(self) -> int:
        """Model calls that callbacks did not tell of: counted by what a node returned of them, but not stoppable."""
        return self._edges.unseen_calls


def guard_graph(
    graph: Any,
    guard: Guard | None = None,
    *,
    policy: Policy | None = None,
    breaker: LangGraphBreaker | None = None,
    on_halt: OnHalt = "value",
) -> GuardedGraph:
    """Return `graph` with the breaker attached, and with the halt in the form that the caller likes.

    The result has ``invoke``, ``ainvoke``, ``stream`` and ``astream``, and everything else that the graph has.  A graph
    without a checkpointer gets one for the length of each call, in memory, so that nothing said is lost there either.
    Where the policy says *finish*, the run ends with a final answer whatever `on_halt` says.

    Args:
        graph: A compiled graph.  If it has a breaker attached, that one is used.
        guard: The guard that decides; by default a new one.
        policy: Policy of that new guard; not together with `guard`.
        breaker: The breaker, instead of a guard.
        on_halt: ``"value"``: the caller gets a :class:`HaltedState`, the state so far.  ``"exception"``:
            :class:`~agentbreaker.errors.ConversationHalted` (or what the guard's ``halt_as`` names) is raised, with
            that state as ``state``.  ``"finish"``: the run ends with a final answer in ``messages`` that says why.

    Raises:
        TypeError: `graph` is not compiled, or both a breaker and a guard are given.
        ValueError: `on_halt` is none of the three.
    """
    if not isinstance(graph, Pregel):
        raise TypeError(f"guard_graph needs a compiled graph, not {type(graph).__name__}")
    if on_halt not in ("value", "exception", "finish"):
        raise ValueError(f"on_halt must be 'value', 'exception' or 'finish', not {on_halt!r}")
    if breaker is not None and (guard is not None or policy is not None):
        raise TypeError("give either a breaker or a guard or policy for a new one, not both")
    if breaker is None and guard is None and policy is None:
        attached = (graph.config or {}).get("callbacks")
        handlers = attached if isinstance(attached, list) else getattr(attached, "handlers", [])
        breaker = next((handler for handler in handlers if isinstance(handler, LangGraphBreaker)), None)
    breaker = breaker or LangGraphBreaker(guard, policy=policy)
    return GuardedGraph(graph.with_config(callbacks=[breaker]), breaker, on_halt)
