"""What the LangGraph callbacks decide with: what is shown to the guard, what may begin, and what a halt does."""

from __future__ import annotations

import functools
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Literal, NoReturn, TypeVar, cast
from uuid import UUID

from langgraph.errors import GraphInterrupt

from agentbreaker.errors import ConversationHalted, ConversationHaltedError
from agentbreaker.guard import Guard
from agentbreaker.integrations._langgraph_edges import Edges
from agentbreaker.integrations._langgraph_money import Money
from agentbreaker.integrations._langgraph_runs import Run
from agentbreaker.integrations._langgraph_stop import (
    Stopped,
    begin,
    cut,
    cut_short,
    orphans,
    others,
    ours,
    settle,
    stop,
)
from agentbreaker.integrations.base import Halts, StandingHalt
from agentbreaker.message import Message
from agentbreaker.verdict import ALLOW, Action, Decision

__all__ = ["Deciding", "contained"]

_log = logging.getLogger("agentbreaker")
_Hook = TypeVar("_Hook", bound=Callable[..., None])


def contained(hook: _Hook) -> _Hook:
    """Let the deliberate stop pass to the graph, and nothing else of ours."""

    @functools.wraps(hook)
    def wrapper(self: Deciding, *args: Any, **kwargs: Any) -> None:
        try:
            hook(self, *args, **kwargs)
        except Stopped:
            raise
        except Exception as error:
            self._failed(hook.__name__, error, kwargs["run_id"])

    return cast(_Hook, wrapper)


class Deciding:
    """The half of the breaker that decides; the other hears the callbacks."""

    guard: Guard
    money: Money
    halts: Halts
    faults: Counter[str]
    withheld: Counter[Action]
    cancel_in_flight: Literal["models"] | bool
    _edges: Edges
    #: Whether any call was ever cancelled: before that, no node has to be asked.
    _has_cut: bool

    def _begin(
        self, run_id: UUID, parent: UUID | None, metadata: dict[str, Any] | None, about: dict[str, Any], read: list[Any]
    ) -> None:
        """Let a model call begin and hold the most that it can cost, or stop before it."""
        run, messages = self._edges.start(run_id, parent, metadata, about.get("name"))
        self._admit(run, messages)
        if self.money.asked and not run.call:
            try:
                self.money.hold_run(run_id, run.conversation_id, read, about.get("invocation_params"), metadata)
            except (ConversationHalted, ConversationHaltedError) as halted:
                self._stop(run, halted.decision)
        run.model = True
        begin(run)

    def _observe(self, messages: Sequence[Message], run: Run | None = None) -> Decision | None:
        """Show messages to the guard.

        Returns:
            The decision that opened the breaker, or ``ALLOW`` if the guard has nothing to say about any of them.
        """
        opened, quiet = None, bool(messages)
        for message in messages:
            if message.usage is not None:
                self.money.price(message)
            decision = self.guard.observe(message)
            if decision is ALLOW:  # nearly always
                continue
            quiet = False
            if decision.action.opens:
                opened = opened or decision
            elif decision.would is not None:
                self.withheld[decision.would] += 1
        if opened is not None and run is not None:
            self._halt(run, opened)
        return ALLOW if quiet else opened

    def _admit(self, run: Run, messages: Sequence[Message]) -> None:
        """Show messages to the guard, then stop `run` if the breaker is open, now or since long."""
        decision = self._observe(messages, run)
        if decision is ALLOW:  # a breaker that is open says so
            return
        if decision is None:
            try:
                self.guard.check(run.conversation_id)
            except (ConversationHalted, ConversationHaltedError) as halted:
                decision = halted.decision
        if decision is not None:
            self._stop(run, decision)

    def _halt(self, run: Run, decision: Decision) -> StandingHalt:
        """Note that the breaker has opened; the first time, cancel what is in flight and can be."""
        halt = self.halts.of(run.conversation_id)
        if halt is not None and halt.decision.generation == decision.generation:
            return halt
        calls = others(self._edges.calls(run.conversation_id), run)
        return self.halts.note(run.conversation_id, decision, len(calls) - (ended := self._cut(calls, run)), ended)

    def _cut(self, calls: Sequence[Run], by: Run | None) -> int:
        if not calls or not self.cancel_in_flight:
            return 0
        ended = cut(calls, by, tools=self.cancel_in_flight is True)
        self._has_cut = self._has_cut or ended > 0
        return ended

    def _stop(self, run: Run, decision: Decision) -> NoReturn:
        """Stop `run` before it begins."""
        halt = self._halt(run, decision)
        self.halts.refuse(run.conversation_id)
        self._edges.drop(run, decision)
        stop(run, decision, halt.in_flight, halt.cancelled)

    def _pause_if_cut(self, run: Run, error: BaseException) -> None:
        """A run has ended with an error: pause its node if that comes of our cancelling, and leave no call behind."""
        node = run.node
        if node is None or not run.own:
            return
        if isinstance(error, GraphInterrupt) and error.args and ours(error.args[0]):
            calls = orphans(self._edges.calls(run.conversation_id), node)
            if ended := self._cut(calls, None):
                self.halts.cut(run.conversation_id, ended)
        elif cut_short(node, error):
            self._settle(run)
            halt = self.halts.of(run.conversation_id)
            if halt is not None:
                self._edges.drop(run, halt.decision)
                stop(run, halt.decision, halt.in_flight, halt.cancelled)
        if node.cut:
            self._settle(run)

    def _settle(self, run: Run) -> None:
        """A node has ended of which we have cancelled calls: nobody tells of their end."""
        if run.node is None or not run.own or not run.node.cut:
            return
        for call in settle(run.node):
            self.money.drop(call.run_id)
            self._edges.discard(call.run_id)

    def _failed(self, hook: str, error: Exception, run_id: UUID) -> None:
        """A failure of ours: counted, told by its type, and never the graph's."""
        self.faults[type(error).__name__] += 1
        _log.warning("%s failed with %s; the graph goes on", hook, type(error).__name__)
        if hook.endswith(("_end", "_error")):
            self._edges.discard(run_id)
