"""A LangGraph graph with the breaker built in: the caller chooses what a halt looks like."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, cast
from uuid import UUID, uuid4

from langchain_core.runnables.config import ensure_config
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.pregel import Pregel

from agentbreaker.errors import ConversationHalted, ConversationHaltedError
from agentbreaker.integrations._langgraph_end import Steps, arun, finish, furthest, latest, run, state_keys
from agentbreaker.integrations._langgraph_stop import ours, pause
from agentbreaker.integrations.base import FINAL_NAME
from agentbreaker.verdict import ALLOW, Action, Decision

if TYPE_CHECKING:
    from agentbreaker.integrations.langgraph import LangGraphBreaker

__all__ = ["GuardedGraph", "HaltedState", "OnHalt"]

OnHalt = Literal["value", "exception", "finish"]
_INTERRUPT = "__interrupt__"
_log = logging.getLogger("agentbreaker")


class HaltedState(dict[str, Any]):
    """The state that a halted run had come to: what the graph would have returned, and why it was halted.

    All that was said is in it, also within sub-graphs and in steps that were not completed.  Under ``"__interrupt__"``
    it holds the pause, as after any interrupt of LangGraph.

    Attributes:
        decision: The :class:`~agentbreaker.verdict.Decision` that halted it.
        conversation_id: The conversation.
        in_flight: Model and tool calls that had begun when it was halted, and went on to their end.
        resumable: Whether the graph has a checkpointer of its own, from which the run can go on.
        cancelled: Model and tool calls that had begun and were cancelled; what they used is not known.
    """

    def __init__(
        self,
        state: Mapping[str, Any],
        decision: Decision,
        conversation_id: str,
        in_flight: int,
        resumable: bool,
        cancelled: int = 0,
    ) -> None:
        super().__init__(state)
        self.decision = decision
        self.conversation_id = conversation_id
        self.in_flight = in_flight
        self.resumable = resumable
        self.cancelled = cancelled


class _ByReference:
    """A serializer that keeps the objects themselves: the checkpoint lives no longer than the call.

    Only LangGraph's own records are copied, as it changes those that it has read.
    """

    def dumps_typed(self, obj: Any) -> tuple[str, Any]:
        return "object", _own_record(obj)

    def loads_typed(self, data: tuple[str, Any]) -> Any:
        return _own_record(data[1])


def _own_record(obj: Any) -> Any:
    """A copy of `obj` if it is a checkpoint, else `obj`."""
    if type(obj) is not dict or "channel_versions" not in obj or "versions_seen" not in obj:
        return obj
    seen = {name: dict(versions) for name, versions in obj["versions_seen"].items()}
    return {**obj, "channel_versions": dict(obj["channel_versions"]), "versions_seen": seen}


@dataclass(slots=True)
class _Call:
    """One call of a guarded graph."""

    graph: Any
    config: Any
    run_id: UUID
    private: bool
    modes: tuple[str, ...] = ()
    several: bool = False
    namespaced: bool = False
    version: str = "v1"
    interrupts: list[Any] = field(default_factory=list)

    def pack(self, mode: str, payload: Any) -> Any:
        """Return a chunk of the stream in the form that the caller asked for."""
        if self.version == "v2":
            return {"type": mode, "ns": (), "data": payload}
        parts = ((),) if self.namespaced else ()
        return (*parts, mode, payload) if self.several else (*parts, payload) if parts else payload

    def withholds(self, chunk: Any) -> bool:
        """Whether a chunk tells of our stop; it is kept back until it is clear what to say of it."""
        payload = chunk
        if self.version == "v2":
            if ours(interrupts := getattr(chunk, "interrupts", None)):
                payload = {_INTERRUPT: interrupts}
            elif isinstance(chunk, dict):
                interrupts = chunk.get("interrupts")
                payload = {_INTERRUPT: interrupts} if ours(interrupts) else chunk.get("data")
        elif isinstance(chunk, tuple) and (self.several or self.namespaced):
            payload = chunk[-1]
        found = payload.get(_INTERRUPT) if isinstance(payload, dict) else None
        if found is not None and ours(found):
            self.interrupts += [one for one in found if one not in self.interrupts]
            return True
        return False


class GuardedGraph:
    """A compiled graph that halts when the breaker opens; made by :func:`guard_graph`.

    Whatever is not said here is the graph's own: ``get_state``, ``update_state``, ``get_graph`` and so on.

    Attributes:
        graph: The graph, with the breaker attached.
        breaker: The breaker.
        on_halt: What the caller gets.
    """

    def __init__(self, graph: Pregel[Any, Any, Any, Any], breaker: LangGraphBreaker, on_halt: OnHalt) -> None:
        self.graph = graph
        self.breaker = breaker
        self.on_halt = on_halt

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "graph":
            raise AttributeError(name)
        return getattr(self.graph, name)

    def with_config(self, *args: Any, **kwargs: Any) -> GuardedGraph:
        """Return the same with more configuration baked in."""
        return GuardedGraph(self.graph.with_config(*args, **kwargs), self.breaker, self.on_halt)

    def invoke(self, input: Any, config: Any = None, **options: Any) -> Any:
        """Run the graph; see :func:`guard_graph` for what comes of a halt."""
        call = self._begin(config, options)
        if call is None:
            return self.graph.invoke(input, config, **options)
        result, halted = None, None
        try:
            result = call.graph.invoke(input, call.config, **options)
        except ConversationHalted as stop:
            halted = stop
        call.withholds(result)
        if (decision := self._why(call, halted)) is None:
            return result
        return self._answer(call, run(self._settle(call, decision, halted)), result)

    async def ainvoke(self, input: Any, config: Any = None, **options: Any) -> Any:
        """Do what :meth:`invoke` does, asynchronously."""
        call = self._begin(config, options)
        if call is None:
            return await self.graph.ainvoke(input, config, **options)
        result, halted = None, None
        try:
            result = await call.graph.ainvoke(input, call.config, **options)
        except ConversationHalted as stop:
            halted = stop
        call.withholds(result)
        if (decision := self._why(call, halted)) is None:
            return result
        return self._answer(call, await arun(self._settle(call, decision, halted)), result)

    def stream(self, input: Any, config: Any = None, **options: Any) -> Iterator[Any]:
        """Run the graph and yield its chunks; a halt comes last.

        As a value it is a :class:`HaltedState` among the ``values``, and the pause among the ``updates``; a caller who
        streams neither is told by an exception only.
        """
        call = self._begin(config, options, stream=True)
        if call is None:
            yield from self.graph.stream(input, config, **options)
            return
        halted = None
        try:
            for chunk in call.graph.stream(input, call.config, **options):
                if not call.withholds(chunk):
                    yield chunk
        except ConversationHalted as stop:
            halted = stop
        if (decision := self._why(call, halted)) is not None:
            yield from self._last_chunks(call, run(self._settle(call, decision, halted)))

    async def astream(self, input: Any, config: Any = None, **options: Any) -> AsyncIterator[Any]:
        """Do what :meth:`stream` does, asynchronously."""
        call = self._begin(config, options, stream=True)
        if call is None:
            async for chunk in self.graph.astream(input, config, **options):
                yield chunk
            return
        halted = None
        try:
            async for chunk in call.graph.astream(input, call.config, **options):
                if not call.withholds(chunk):
                    yield chunk
        except ConversationHalted as stop:
            halted = stop
        if (decision := self._why(call, halted)) is not None:
            for chunk in self._last_chunks(call, await arun(self._settle(call, decision, halted))):
                yield chunk

    def _begin(self, config: Any, options: dict[str, Any], *, stream: bool = False) -> _Call | None:
        """Prepare a call; ``None`` inside another graph, which is the one that is halted."""
        merged = ensure_config(config)
        if any(str(key).startswith("__pregel_") for key in merged.get("configurable", {})):
            return None
        given = dict(config or {})
        run_id = given.get("run_id") or uuid4()
        given["run_id"] = run_id
        graph, private = self.graph, not self.graph.checkpointer
        if private:  # a place for what was said when the run was stopped, for the length of the call
            graph = graph.copy({"checkpointer": InMemorySaver(serde=cast("Any", _ByReference()))})
            settings = {**(self.graph.config or {}).get("configurable", {}), **given.get("configurable", {})}
            given["configurable"] = {"thread_id": str(run_id), **settings}
            options.setdefault("durability", "exit")
        call = _Call(graph, given, run_id, private, version=str(options.get("version") or "v1"))
        if stream:
            mode = options.get("stream_mode") or graph.stream_mode
            call.several = not isinstance(mode, str)
            call.modes = (mode,) if isinstance(mode, str) else tuple(mode)
            call.namespaced = bool(options.get("subgraphs"))
        return call

    def _why(self, call: _Call, halted: ConversationHalted | None) -> Decision | None:
        decision = self.breaker.stopped(call.run_id)
        if halted is not None:
            return halted.decision
        if decision is None and call.interrupts:  # a part of a larger run that is watched, which has another id
            decision = self.breaker.guard.decision(self._conversation_of(call))
        return decision

    def _settle(self, call: _Call, decision: Decision, halted: ConversationHalted | None) -> Steps:
        """Find out what the stopped run had come to, and end it if that is what is wanted."""
        snapshot = yield call.graph, "get_state", (latest(call.config),), {}
        if not snapshot.next and halted is None:
            return {}  # its own code swallowed the stop, and it ended all the same
        if self.on_halt == "finish" or decision.action is Action.FINISH:
            try:
                state = yield from finish(call.graph, call.config, decision)
            except Exception as error:
                _log.warning("a graph could not be finished (%s); it is halted", type(error).__name__)
            else:
                return {"state": self._visible(call, state), "finished": True}
        try:
            state = yield from furthest(call.graph, call.config)
        except Exception as error:  # a channel with a mind of its own: what LangGraph shows is what there is
            _log.warning("the state of a sub-graph could not be read (%s)", type(error).__name__)
            state = dict(snapshot.values) if isinstance(snapshot.values, Mapping) else {}
        conversation_id = self._conversation_of(call)
        halt = self.breaker.halts.of(conversation_id)
        in_flight, cancelled = (halt.in_flight, halt.cancelled) if halt is not None else (0, 0)
        pauses = call.interrupts or [pause(decision, conversation_id, in_flight, str(call.run_id), cancelled)]
        visible = {**self._visible(call, state), _INTERRUPT: pauses}
        return {"state": HaltedState(visible, decision, conversation_id, in_flight, not call.private, cancelled)}

    def _visible(self, call: _Call, state: Mapping[str, Any]) -> dict[str, Any]:
        keys = state_keys(call.graph)
        return {name: value for name, value in state.items() if name in keys}

    def _conversation_of(self, call: _Call) -> str:
        for interrupt in call.interrupts:
            return str(interrupt.value["conversation_id"])
        settings = {**(self.graph.config or {}).get("configurable", {}), **call.config.get("configurable", {})}
        return self.breaker.conversation_id or str(settings.get("thread_id", call.run_id))

    def _answer(self, call: _Call, settled: dict[str, Any], result: Any) -> Any:
        if "state" not in settled:
            return result
        if not settled.get("finished"):
            self._raise(settled["state"])
        if call.version == "v2":
            return type(result)(value=settled["state"], interrupts=tuple(settled["state"].get(_INTERRUPT, ())))
        return settled["state"]

    def _last_chunks(self, call: _Call, settled: dict[str, Any]) -> Iterator[Any]:
        if "state" not in settled:
            return
        state = settled["state"]
        if not settled.get("finished"):
            self._raise(state)
            chunks = {"values": state, "updates": {_INTERRUPT: tuple(state[_INTERRUPT])}}
        else:
            answer = (state.get("messages") or [None])[-1]
            chunks = {"values": state, "updates": {FINAL_NAME: None if answer is None else {"messages": [answer]}}}
            if answer is not None:
                chunks["messages"] = (answer, {"langgraph_node": FINAL_NAME})
        for mode in call.modes:
            if mode in chunks:
                yield call.pack(mode, chunks[mode])

    def _raise(self, state: HaltedState) -> None:
        if self.on_halt == "exception":
            kind: type[ConversationHalted | ConversationHaltedError] = self.breaker.guard.halted_type
            raise kind(state.decision or ALLOW, state.conversation_id, state)
