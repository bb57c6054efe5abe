"""AutoGen AgentChat 0.7: see every turn and every tool call, and end a team that gets nowhere, gracefully.

    from agentbreaker.integrations.autogen import AutoGenBreaker, guard_team

    breaker = guard_team(team)                                   # one line, before the first run

    breaker = AutoGenBreaker()                                   # or piece by piece
    client = breaker.model_client(client)
    team = RoundRobinGroupChat([a, b], termination_condition=breaker.termination() | MaxMessageTermination(50))
    runtime = SingleThreadedAgentRuntime(intervention_handlers=[breaker.observer(my_handler)])

One :class:`AutoGenBreaker` is one conversation; give each team of a nest a condition of the same breaker.

=============================  =====================================================================================
attachment                     what it does
=============================  =====================================================================================
``breaker.termination()``      sees what every turn brought, and ends the team with a ``stop_reason`` that says why;
                               composes with ``|`` and ``&``
``breaker.model_client(c)``    sees every model call (the selector's too), every tool call and result as it happens,
                               and every branch of a ``GraphFlow``; counts and prices tokens, reserves budget, and
                               answers in place of the model while the breaker is open; tells agents that are steered
``breaker.observer(*mine)``    sees the runtime's traffic as it happens; changes nothing, calls your handlers in turn
=============================  =====================================================================================

Nothing is dropped or raised by the observer, as AutoGen would hang on it: ``run()``, ``run_stream()`` and
``stop_when_idle()`` return.  After ``guard.reset(breaker.conversation_id)`` the team goes on with ``run()``, also in
another team that was given its ``save_state()``.

What it cannot do: an agent with ``output_content_type`` needs a structured answer, so a call that is not made raises
:class:`~agentbreaker.errors.ConversationHaltedError` there, and AutoGen makes a ``RuntimeError`` of it.  Without
``model_client`` an agent's own tool loop is only judged when its turn ends, and of parallel branches only the last.
"""

from __future__ import annotations

import logging
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar

try:
    from autogen_agentchat.base import TerminationCondition
    from autogen_agentchat.teams import BaseGroupChat
    from autogen_core import InterventionHandler
    from autogen_core.models import ChatCompletionClient

    from agentbreaker.integrations._autogen_client import GuardedClient, OnHalt
    from agentbreaker.integrations._autogen_ledger import Ledger
    from agentbreaker.integrations._autogen_team import (
        BreakerTermination,
        Chain,
        Observer,
        allow_silent_answers,
        attach,
    )
except ImportError as error:
    raise ImportError(
        'agentbreaker.integrations.autogen needs AutoGen AgentChat: pip install "agentbreaker[autogen]"'
    ) from error

from agentbreaker.errors import ConversationHalted, ConversationHaltedError
from agentbreaker.guard import Guard
from agentbreaker.integrations.base import Halts, final_answer
from agentbreaker.message import Message
from agentbreaker.verdict import Action, Decision, State

if TYPE_CHECKING:
    from agentbreaker.policy import Policy
    from agentbreaker.reservation import Reservation

__all__ = ["AutoGenBreaker", "GuardedClient", "OnHalt", "guard_team"]

_log = logging.getLogger("agentbreaker")
#: Answers in place of a model's in a row, while no condition of ours is asked.
_MOST_ANSWERS = 200
_PASSING = (State.METRICS_ONLY, State.DISABLED)


class AutoGenBreaker:
    """Watches one conversation of AutoGen teams and agents, and ends it when the guard says so.

    Args:
        guard: The guard that decides; by default a new one.
        policy: Policy of that new guard; not together with `guard`.
        conversation_id: Name of the conversation; by default a new one.
        persons: Participants through whom a person speaks, besides ``"user"``: what they say is input from outside.
            The observer learns of a ``UserProxyAgent`` by itself.

    Attributes:
        guard: The guard, to ask for the incident and to reset.
        conversation_id: The conversation.
        faults: Failures of our own that were contained, counted by type; empty when all is well.
        withheld: In shadow mode, what would have been done, counted by action for each message.
        halts: What was in flight when the conversation was halted, and how many calls were refused since.
    """

    #: Whether what a model answers is what its agent says.
    reads_replies: ClassVar[bool] = True

    def __init__(
        self,
        guard: Guard | None = None,
        *,
        policy: Policy | None = None,
        conversation_id: str | None = None,
        persons: Iterable[str] = (),
    ) -> None:
        if guard is not None and policy is not None:
            raise TypeError("give either a guard or the policy for a new one, not both")
        self.guard = guard if guard is not None else Guard(policy)
        self.conversation_id = conversation_id if conversation_id is not None else f"autogen-{uuid.uuid4()}"
        self.faults: Counter[str] = Counter()
        self.withheld: Counter[Action] = Counter()
        self.halts = Halts()
        self._ledger = Ledger(self.conversation_id, persons)
        self._lock = threading.Lock()
        self._steer = False
        self._calls = 0
        self._answers = 0

    # What the user attaches.

    def termination(self) -> TerminationCondition:
        """Return a condition that ends a team when the breaker is open; each team needs one of its own."""
        self._ledger.delivers = True
        return BreakerTermination(self)

    def model_client(
        self,
        client: ChatCompletionClient,
        *,
        model: str | None = None,
        agent: str | None = None,
        max_output_tokens: int = 0,
        on_halt: OnHalt = "answer",
    ) -> GuardedClient:
        """Return `client` with the breaker in front of it; agents may share it.

        Args:
            client: The client.
            model: Name of the model, for its price; by default what the client's configuration says.
            agent: Whose client it is; by default who runs is asked of AutoGen, which knows it inside a team.
            max_output_tokens: What a call can write at most, to reserve it where the policy has a budget; a cap in
                the call's own ``extra_create_args`` goes before it.
            on_halt: ``"answer"``: a call that is not made is answered with the reason, and the turn ends with it.
                ``"exception"``: it raises :class:`~agentbreaker.errors.ConversationHaltedError`, which a team turns
                into a ``RuntimeError``.

        Raises:
            TypeError: `client` is no model client.
            ValueError: `on_halt` is neither, or `max_output_tokens` is negative.
        """
        if not isinstance(client, ChatCompletionClient):
            raise TypeError(f"model_client needs a ChatCompletionClient, not {type(client).__name__}")
        if on_halt not in ("answer", "exception"):
            raise ValueError(f"on_halt must be 'answer' or 'exception', not {on_halt!r}")
        if max_output_tokens < 0:
            raise ValueError("max_output_tokens must not be negative")
        return GuardedClient(
            client, self, model=model, agent=agent, max_output_tokens=max_output_tokens, on_halt=on_halt
        )

    def observer(self, *handlers: InterventionHandler) -> InterventionHandler:
        """Return an intervention handler for a runtime, which calls `handlers` in turn and then observes.

        Make it the only handler of the runtime: of several, AutoGen gives each the original message and takes the
        answer of the last.
        """
        self._ledger.delivers = True
        allow_silent_answers()
        return Chain(*handlers, Observer(self)) if handlers else Observer(self)

    # What the attachments ask and tell.

    def tell(self, read: Callable[[Ledger], Sequence[Message]]) -> None:
        """Show the messages that `read` makes of an event to the guard; a failure of ours is contained."""
        try:
            self.show(read(self._ledger))
        except Exception as error:
            self._failed(error)

    def _failed(self, error: Exception) -> None:
        self.faults[type(error).__name__] += 1
        _log.warning("an event of AutoGen could not be read: %s; the team goes on", type(error).__name__)

    def show(self, messages: Iterable[Message]) -> None:
        """Show messages to the guard, and note what it decides."""
        for message in messages:
            self._judged(self.guard.observe(message))

    def _judged(self, decision: Decision) -> None:
        if decision.action.opens:
            self.halts.note(self.conversation_id, decision, self._calls)
        elif decision.action is Action.STEER:
            self._steer = True
        elif decision.would is not None:
            self.withheld[decision.would] += 1

    def standing(self) -> Decision | None:
        """Return why the conversation must not go on, ``None`` if it may."""
        try:
            self.guard.check(self.conversation_id)
        except (ConversationHalted, ConversationHaltedError) as halted:
            return halted.decision
        return None

    def admit(self, tokens: int = 0, cost_usd: float = 0.0) -> tuple[Decision | None, Reservation | None]:
        """Ask whether a model call may begin, and hold what it can cost; return why not, or what is held."""
        try:
            return None, self.guard.reserve(self.conversation_id, tokens=tokens, cost_usd=cost_usd)
        except (ConversationHalted, ConversationHaltedError) as halted:
            if self.guard.state(self.conversation_id) in _PASSING:
                return None, None
            self.halts.note(self.conversation_id, halted.decision, self._calls)
            self.halts.refuse(self.conversation_id)
            return halted.decision, None
        except Exception as error:
            self._failed(error)
            return None, None

    def take_steer(self) -> bool:
        """Whether the agents are to be told that nothing new comes; asked once for each such decision."""
        if not self._steer:
            return False
        with self._lock:
            steer, self._steer = self._steer, False
        if steer:
            self.guard.steered(self.conversation_id)
        return steer

    def may_answer(self) -> bool:
        """Whether a call that is not made may be answered once more: not if nobody ends the team upon it."""
        with self._lock:
            self._answers += 1
            return self._answers <= _MOST_ANSWERS

    def can_end(self) -> None:
        """Note that a condition of ours was asked, which ends its team."""
        with self._lock:
            self._answers = 0

    @contextmanager
    def in_flight(self) -> Iterator[None]:
        """Count a model call while it lasts."""
        with self._lock:
            self._calls += 1
        try:
            yield
        finally:
            with self._lock:
                self._calls -= 1

    def words(self, decision: Decision) -> str:
        """Return what is said in place of an answer, and as the reason why a team ended; no agent's words."""
        if decision.action is Action.FINISH:
            return final_answer(decision)
        return f"[agentbreaker] This conversation was halted: {decision.reason or 'it was stopped by hand'}."

    def person(self, name: str) -> None:
        """Say that a person speaks through this participant."""
        self._ledger.person(name)

    def disown(self, counted: object, *, words: bool) -> None:
        """Leave these tokens out, and with `words` also the message that bears them: it is ours."""
        self._ledger.disown(counted, words=words)


def guard_team(
    team: BaseGroupChat,
    guard: Guard | None = None,
    *,
    policy: Policy | None = None,
    conversation_id: str | None = None,
) -> AutoGenBreaker:
    """Attach a breaker to everything in `team` that has a place for it, teams within included, and return it.

    The termination condition is joined with the team's own by ``|``; the model clients of the team and of its agents
    are wrapped; a runtime that the team made for itself gets the observer.  A runtime of yours, and agents that are
    hidden in tools, have to be given theirs by hand.

    Args:
        team: A team that has not run yet.
        guard: The guard that decides; by default a new one.
        policy: Policy of that new guard; not together with `guard`.
        conversation_id: Name of the conversation; by default a new one.

    Raises:
        TypeError: `team` is no team of AgentChat, or both a guard and a policy are given.
        ValueError: The team has run, or was loaded, before.
    """
    breaker = AutoGenBreaker(guard, policy=policy, conversation_id=conversation_id)
    attach(team, breaker)
    return breaker
