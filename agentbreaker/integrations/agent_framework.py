"""Microsoft Agent Framework: see every message, model and tool call, and stop agents that get nowhere.

    from agentbreaker.integrations.agent_framework import AgentFrameworkBreaker

    agent = Agent(client, name="clerk", tools=[...], middleware=[AgentFrameworkBreaker()])      # one agent
    workflow = AgentFrameworkBreaker().attach(GroupChatBuilder(...).build())                     # a workflow
    GroupChatBuilder(..., termination_condition=breaker.termination_condition)                   # see and end only

The breaker is a ``MiddlewareBundle``: an agent takes it whole.  :meth:`AgentFrameworkBreaker.attach` puts it into every
agent of a workflow, the manager included, and watches what its executors receive; it works with group chats,
hand-offs, sequential and concurrent orchestrations, Magentic, sub-workflows and graphs of one's own.  Breakers of one
guard may be attached in several ways at once: each event counts once.

A conversation is, in this order: the `conversation_id` given; for a workflow, one ``run`` with a message and all runs
that continue it (``responses=``, ``checkpoint_id=``, the latter also in another process); for an agent alone its
session, and without a session each run.

What the caller gets, with and without ``stream=True`` (``tests/integrations/test_agent_framework_table.py`` has a test
for each cell):

=========  ==============================================  =======================================================
decision   an agent alone                                  a workflow
=========  ==============================================  =======================================================
halt       :class:`RunHalted` out of ``run``, never an     the same out of ``workflow.run``, after the ``failed``
           error that the model reads; after a reset the   event; after a reset ``run(checkpoint_id=...)`` goes on
           session goes on
finish     the run ends with a last answer that says why;  the run ends as if done; the last output says why.
           so does a halt with ``on_halt="finish"``        So does a halt with ``on_halt="finish"``
steer      one more message in the next model call         the same, in the next model call of any agent
shadow     nothing changes; ``breaker.withheld`` counts,   the same
           the log and the incident tell
=========  ==============================================  =======================================================

No model or tool call begins after the breaker has opened.  Model calls that had begun run to their end, unless
Agent Framework cancels them because a branch beside them was halted.

A model call is priced by its model's name; for a policy with a budget of tokens or money the most that it can cost is
held before it begins: what it reads, by its length, and ``max_tokens`` of its options, else the ceiling of the pricing.

What it cannot do: agents that are no ``Agent`` have no middleware, so of them only what they say is seen, and they are
stopped between their turns; what a hosted tool does inside the service is seen only by its tokens.
"""

from __future__ import annotations

import threading
import warnings
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

try:
    from agent_framework import Message as ChatMessage
    from agent_framework import MiddlewareBundle, Workflow

    from agentbreaker.integrations._agent_framework_seams import AgentSeam, ChatSeam, FunctionSeam
    from agentbreaker.integrations._agent_framework_stop import RunHalted, RunHaltedError
    from agentbreaker.integrations._agent_framework_talk import Talk, Talks, frame_of
    from agentbreaker.integrations._agent_framework_teams import Team
    from agentbreaker.integrations._agent_framework_watch import Watch
except ImportError as error:
    raise ImportError(
        "agentbreaker.integrations.agent_framework needs Microsoft Agent Framework: "
        'pip install "agentbreaker[agent-framework]"'
    ) from error

from agentbreaker.guard import Guard
from agentbreaker.integrations.base import Once, OnHalt
from agentbreaker.integrations.watch import WatchedBreaker

if TYPE_CHECKING:
    from agentbreaker.policy import Policy
    from agentbreaker.pricing import Pricing

__all__ = ["AgentFrameworkBreaker", "RunHalted", "RunHaltedError"]

#: Breakers of one guard share their records, so that each event counts once whichever of them hears it first.
_shared: WeakKeyDictionary[Guard, Talks] = WeakKeyDictionary()
_shared_lock = threading.Lock()

#: Set on a workflow that is watched.
_TEAMS = "_agentbreaker_teams"

_NAMELESS = (
    "Agent Framework: termination_condition was asked about a workflow that is not attached, by a breaker without a "
    "conversation_id, so it cannot know which conversation is meant. Use breaker.attach(workflow), or give the id."
)


def _talks_of(guard: Guard) -> Talks:
    with _shared_lock:
        return _shared.setdefault(guard, Talks())


with warnings.catch_warnings():
    # Said once, when a class derives from it: MiddlewareBundle is new, and could still change.  The alternative is to
    # make everybody list three objects.
    warnings.simplefilter("ignore", FutureWarning)

    class _Bundle(MiddlewareBundle):
        pass


class AgentFrameworkBreaker(WatchedBreaker, _Bundle):
    """Watches agents and workflows of Microsoft Agent Framework, and stops them when the guard says so.

    One object may serve many agents, workflows and runs at once; each conversation has a breaker of its own.

    Args:
        guard: The guard that decides; by default a new one.
        policy: Policy of that new guard; not together with `guard`.
        conversation_id: One conversation for all that this breaker is attached to; for agents that are called in turn
            by a program of one's own.
        on_halt: ``"exception"``: a halt ends the run with :class:`RunHalted`, or :class:`RunHaltedError` for a guard
            with ``halt_as="exception"``.  ``"finish"``: it ends with a final answer that says why, as where the policy
            says *finish*.
        pricing: Prices of models; by default the offline tables of genai-prices.

    Raises:
        TypeError: Both a guard and a policy are given.
        ValueError: `on_halt` is neither of the two.
    """

    def __init__(
        self,
        guard: Guard | None = None,
        *,
        policy: Policy | None = None,
        conversation_id: str | None = None,
        on_halt: OnHalt = "exception",
        pricing: Pricing | None = None,
    ) -> None:
        if guard is not None and policy is not None:
            raise TypeError("give either a guard or the policy for a new one, not both")
        guard = guard if guard is not None else Guard(policy)
        self._talks = _talks_of(guard)
        self._watch: Watch = Watch(guard, self._talks, conversation_id, on_halt, pricing)
        self._nameless = Once(_NAMELESS)
        super().__init__([AgentSeam(self._watch), ChatSeam(self._watch), FunctionSeam(self._watch)])

    def attach(self, workflow: Workflow, *, conversation_id: str | None = None) -> Workflow:
        """Watch a workflow, and everything in it, from its next run on.

        Args:
            workflow: What a builder's ``build()`` returned.  Workflows inside it are watched as a part of it.
            conversation_id: One conversation for all its runs; by default each run with a message is a new one.

        Returns:
            The same workflow.

        Raises:
            TypeError: `workflow` was not built.
        """
        if not isinstance(workflow, Workflow):
            raise TypeError(f"attach needs a workflow that is built, not {type(workflow).__name__}")
        teams: list[Team] = workflow.__dict__.setdefault(_TEAMS, [])
        if all(team.watch.guard is not self.guard for team in teams):
            team = Team(self._watch, workflow, conversation_id, self)
            teams.append(team)
            team.wrap()
            for executor in workflow.executors.values():
                inner = getattr(executor, "workflow", None)
                if isinstance(inner, Workflow):
                    self.attach(inner)
        return workflow

    def conversation_of(self, workflow: Workflow) -> str | None:
        """Return the id of the conversation that a workflow was in last, ``None`` if it has not run."""
        for team in workflow.__dict__.get(_TEAMS, ()):
            if team.watch.guard is self.guard and team.talk is not None:
                return str(team.talk.conversation_id)
        return None

    def flush(self) -> None:
        """Count what was said last and has reached nobody; for agents called in turn under one `conversation_id`."""
        if self._watch.conversation_id is not None:
            talk = self._talks.of(self._watch.conversation_id)
            self._watch.tell(talk, talk.deliver(None))

    def termination_condition(self, messages: list[ChatMessage]) -> bool:
        """Whether an orchestration must end, for the `termination_condition` of its builder.

        It ends the orchestration with its own closing message, and sees what the agents say even where they have no
        middleware.  Combine it with a condition of your own by ``or``.

        Args:
            messages: The conversation so far, as the orchestration hands it over.
        """
        talk = self._talk_of_condition()
        if talk is None:
            return False
        return self._watch.judge(talk, messages) is not None

    def _talk_of_condition(self) -> Talk | None:
        frame = frame_of(self.guard)
        if frame is not None:
            return frame.talk
        if self._watch.conversation_id is None:
            self._nameless.warn()
            return None
        return self._talks.of(self._watch.conversation_id)
