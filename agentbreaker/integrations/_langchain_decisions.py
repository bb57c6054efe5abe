"""What the middleware decides: whether a call may begin, and with which model; what ends, pauses, or is asked."""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import Any, Literal, TypeVar, get_args

from langchain.agents.middleware.types import ExtendedModelResponse, ModelResponse
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.types import Command, interrupt

from agentbreaker.errors import ConfigError, ConversationHalted, ConversationHaltedError
from agentbreaker.guard import Guard
from agentbreaker.integrations._langchain_said import Call, final_answer
from agentbreaker.integrations._langgraph_stop import Stopped, pause
from agentbreaker.verdict import Action, Decision, State

__all__ = ["ENFORCED", "HALTED", "Decisions", "Downgrade", "Memory", "OnHalt", "Resume"]

_T = TypeVar("_T")
HALTED = (ConversationHalted, ConversationHaltedError)

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
#: States in which the breaker acts; in the others it only measures, or not even that.
ENFORCED = (State.CLOSED, State.OPEN, State.HALF_OPEN, State.FORCED_OPEN)


class Memory(OrderedDict[Any, _T]):
    """A mapping that forgets its oldest entries."""

    def __setitem__(self, key: Any, value: _T) -> None:
        super().__setitem__(key, value)
        if len(self) > _MAX_CONVERSATIONS:
            self.popitem(last=False)


class Decisions:
    """Decides about each call of the agents.  Thread-safe.

    Args:
        guard: Whose breakers are asked.
        on_halt: What a halt does.
        counts: Where it is counted what was done.
        on_close: Told of a conversation that a person has closed.
    """

    def __init__(self, guard: Guard, on_halt: OnHalt, counts: Counter[str], on_close: Callable[[str], object]) -> None:
        if on_halt not in get_args(OnHalt):
            raise ConfigError(f"on_halt must be 'pause', 'finish' or 'interrupt', not {on_halt!r}", field="on_halt")
        self.counts = counts
        self._guard = guard
        self._on_halt = on_halt
        self._on_close = on_close
        self._lock = threading.Lock()
        self._asked: Memory[Decision] = Memory()
        self._finals: Memory[tuple[str, int]] = Memory()
        self._stops: Memory[int] = Memory()

    def is_open(self, call: Call) -> Decision | None:
        """Return the standing decision while the breaker is open."""
        try:
            self._guard.check(call.conversation_id)
        except HALTED as halted:
            return halted.decision
        return None

    def ends(self, decision: Decision) -> bool:
        """Whether this decision ends an agent with a final message."""
        return decision.action is Action.FINISH or self._on_halt == "finish"

    def stopped(self, call: Call) -> Decision | None:
        """Return the decision that ends the agent, ``None`` if the call may begin; pause or ask otherwise."""
        decision = self.is_open(call)
        key = (call.conversation_id, call.task)
        state = self._guard.state(call.conversation_id)
        if decision is None and state not in (State.OPEN, State.HALF_OPEN):
            self._asked.pop(key, None)
            return None
        if decision is not None and self.ends(decision):
            return decision
        if self._on_halt == "interrupt":
            if state is State.FORCED_OPEN:  # a person has spoken already
                return decision
            # Who was asked is heard, even if the wait was over meanwhile.
            decision = decision or self._asked.get(key)
            return None if decision is None else self.ask(call, key, decision)
        if decision is None:
            return None
        raise self.pause(call, decision)

    def ask(self, call: Call, key: tuple[str, str], decision: Decision) -> Decision | None:
        """Ask a person; the node runs again from its start when the answer is there."""
        if key not in self._asked:
            self.counts["asked"] += 1
            with self._lock:
                self._asked[key] = decision
        thread, question = call.conversation_id, self.question(call, decision)
        while (answer := interrupt(question)) not in get_args(Resume):
            question = {**question, "error": f"the answer must be 'allow', 'close' or 'stop', not {str(answer)[:80]!r}"}
        self._asked.pop(key, None)
        if answer == "stop":
            reason = f"{decision.reason}; a person said stop"
            self._guard.force_open(thread, reason, by="interrupt")
            return Decision(Action.HALT, decision.code, decision.score, reason)
        if answer == "close":
            self._guard.reset(thread, by="interrupt")
            self._on_close(thread)
        else:
            self._guard.half_open(thread, by="interrupt")
        return None

    def question(self, call: Call, decision: Decision) -> dict[str, Any]:
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

    def pause(self, call: Call, decision: Decision) -> BaseException:
        """The stop that keeps the state; harder if the code around has swallowed it again and again."""
        key = (call.conversation_id, call.task, decision.generation)
        with self._lock:
            self._stops[key] = self._stops.get(key, 0) + 1
            swallowed = self._stops[key]
        self.counts["paused"] += 1
        if swallowed > _MAX_SWALLOWED:
            return ConversationHalted(decision, call.conversation_id)
        return Stopped(pause(decision, call.conversation_id, 0, str(call.run_id)), decision.reason)

    def final(self, call: Call, messages: list[Any], decision: Decision) -> ExtendedModelResponse[Any]:
        """End the agent with a message; a graph that calls it again and again is paused."""
        person = next((m.id or "" for m in reversed(messages) if isinstance(m, HumanMessage)), "")
        with self._lock:
            before = self._finals.get(call.conversation_id, ("", 0))
            count = before[1] + 1 if before[0] == person else 1
            self._finals[call.conversation_id] = (person, count)
        if count > _MAX_FINALS:
            raise self.pause(call, decision)
        self.counts["finished"] += 1
        answer: AIMessage = final_answer(decision)
        return ExtendedModelResponse(ModelResponse([answer]), Command(update={"jump_to": "end"}))


class Downgrade:
    """Chooses the model of each call: the agent's own, or the cheaper one from the agreed moment on.  Thread-safe.

    Args:
        guard: Whose decisions and budgets count.
        cheaper: The cheaper model, ``None``: never.
        at: A rung or a share of the budget.
        counts: Where a downgrade that shadow mode withheld is counted.
    """

    def __init__(self, guard: Guard, cheaper: BaseChatModel | None, at: str | float, counts: Counter[str]) -> None:
        self._guard = guard
        self._cheaper = cheaper
        self._downgrade_at = self._checked(at)
        self._lock = threading.Lock()
        self._downgraded: Memory[bool] = Memory()
        self.counts = counts

    def __contains__(self, conversation_id: str) -> bool:
        """Whether the model calls of this conversation use the cheaper model."""
        return conversation_id in self._downgraded

    def restore(self, conversation_id: str) -> None:
        """Use the agent's own model again."""
        with self._lock:
            self._downgraded.pop(conversation_id, None)

    def _checked(self, at: str | float) -> Action | float:
        if at in ("warn", "steer"):
            return Action(at)
        if isinstance(at, bool) or not isinstance(at, int | float) or not 0 < at <= 1:
            raise ConfigError(
                f"downgrade_at must be 'warn', 'steer' or a share of the budget above 0 and up to 1, not {at!r}",
                field="downgrade_at",
            )
        budgets = self._guard.policy.settings.budgets
        if self._cheaper is not None and budgets.max_tokens is None and budgets.max_cost_usd is None:
            raise ConfigError(
                "downgrade_at is a share of the budget, but the policy has neither budgets.max_tokens nor"
                " budgets.max_cost_usd",
                field="downgrade_at",
            )
        return float(at)

    def model_of(self, thread: str, own: BaseChatModel) -> BaseChatModel:
        """The agent's model, or the cheaper one from the agreed moment on."""
        if self._cheaper is None or thread in self._downgraded:
            return own if self._cheaper is None else self._cheaper
        if isinstance(self._downgrade_at, Action):
            due = self._guard.decision(thread).action.rank >= self._downgrade_at.rank
            due = due or (self._downgrade_at is Action.STEER and self._guard.account(thread).steer_due)
        else:
            budgets, account = self._guard.policy.settings.budgets, self._guard.account(thread)
            shares = (
                account.tokens / (budgets.max_tokens or float("inf")),
                account.cost_usd / (budgets.max_cost_usd or float("inf")),
            )
            due = max(shares) >= self._downgrade_at
        if due and self._guard.state(thread) not in ENFORCED:
            self.counts["downgrade_withheld"] += 1
            return own
        if due:
            with self._lock:
                self._downgraded[thread] = True
        return self._cheaper if due else own
