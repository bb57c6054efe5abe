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

import threading
import uuid
from collections.abc import Callable, Iterable, Sequence
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

from agentbreaker.integrations.base import final_answer
from agentbreaker.integrations.watch import Watch, WatchedBreaker
from agentbreaker.verdict import Action, Decision

if TYPE_CHECKING:
    from agentbreaker.guard import Guard
    from agentbreaker.integrations.watch import ModelCall
    from agentbreaker.message import Message
    from agentbreaker.policy import Policy
    from agentbreaker.pricing import Pricing

__all__ = ["AutoGenBreaker", "GuardedClient", "OnHalt", "guard_team"]

#: Answers in place of a model's in a row, while no condition of ours is asked.
_MOST_ANSWERS = 200


class AutoGenBreaker(WatchedBreaker):
    """Watches one conversation of AutoGen teams and agents, and ends it when the guard says so.

    Args:
        guard: The guard that decides; by default a new one.
        policy: Policy of that new guard; not together with `guard`.
        conversation_id: Name of the conversation; by default a new one.
        persons: Participants through whom a person speaks, besides ``"user"``: what they say is input from outside.
            The observer learns of a ``UserProxyAgent`` by itself.
        pricing: Prices of models, and what a call may write at most where nothing else says so; by default the
            offline tables of genai-prices.

    Attributes:
        conversation_id: The conversation.
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
        pricing: Pricing | None = None,
    ) -> None:
        self.conversation_id = conversation_id if conversation_id is not None else f"autogen-{uuid.uuid4()}"
        self._watch = Watch(guard, policy, self.conversation_id, "finish", pricing=pricing)
        self._ledger = Ledger(self.conversation_id, persons)
        self._lock = threading.Lock()
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
        max_output_tokens: int | None = None,
        on_halt: OnHalt = "answer",
    ) -> GuardedClient:
        """Return `client` with the breaker in front of it; agents may share it.

        Args:
            client: The client.
            model: Name of the model, for its price; by default what the client's configuration says.
            agent: Whose client it is; by default who runs is asked of AutoGen, which knows it inside a team.
            max_output_tokens: What a call can write at most, to reserve it where the policy has a budget; by default
                the ceiling of the pricing; a cap in the call's own ``extra_create_args`` goes before it.
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
        if max_output_tokens is not None and max_output_tokens < 0:
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
            self._watch.observe(read(self._ledger))
        except Exception as error:
            self._watch.contain("an event of AutoGen", error)

    def standing(self) -> Decision | None:
        """Return why the conversation must not go on, ``None`` if it may."""
        return self._watch.standing(self.conversation_id)

    def model_call(self, prompt: Callable[[], int], most: int | None, name: Callable[[], str | None]) -> ModelCall:
        """Ask whether a model call may begin, and hold what it can cost; see :meth:`Watch.model_call`."""
        model = name() if self._watch.spending.asked else None
        return self._watch.model_call(self.conversation_id, prompt, most=most, model=model)

    def take_steer(self) -> bool:
        """Whether the agents are to be told that nothing new comes; asked once for each such decision."""
        return self._watch.steering(self.conversation_id)

    def may_answer(self) -> bool:
        """Whether a call that is not made may be answered once more: not if nobody ends the team upon it."""
        with self._lock:
            self._answers += 1
            return self._answers <= _MOST_ANSWERS

    def can_end(self) -> None:
        """Note that a condition of ours was asked, which ends its team."""
        with self._lock:
            self._answers = 0

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
    pricing: Pricing | None = None,
) -> AutoGenBreaker:
    """Attach a breaker to everything in `team` that has a place for it, teams within included, and return it.

    The termination condition is joined with the team's own by ``|``; the model clients of the team and of its agents
    are wrapped; a runtime that the team made for itself gets the observer.  So do agents and teams that an agent has
    as tools (``AgentTool``, ``TeamTool``) or wraps (``SocietyOfMindAgent``, ``MessageFilterAgent``), however deep.  A
    runtime of yours, and what a function of yours calls, have to be given theirs by hand.

    Args:
        team: A team that has not run yet.
        guard: The guard that decides; by default a new one.
        policy: Policy of that new guard; not together with `guard`.
        conversation_id: Name of the conversation; by default a new one.
        pricing: Prices of models; by default the offline tables of genai-prices.

    Raises:
        TypeError: `team` is no team of AgentChat, or both a guard and a policy are given.
        ValueError: The team has run, or was loaded, before.
    """
    breaker = AutoGenBreaker(guard, policy=policy, conversation_id=conversation_id, pricing=pricing)
    attach(team, breaker)
    return breaker
