"""AG2 1.x (module ``ag2``): see every message of a hub and every model and tool call, and stop what gets nowhere.

    from agentbreaker.integrations.ag2 import AG2Breaker

    breaker = AG2Breaker().attach(hub, alice, bob)      # a hub and its agents, or agents alone

A channel is a conversation with a breaker of its own; a channel that an agent opens to ask another one (``delegate``)
belongs to the conversation of the one who asks, as do agents that it runs as tools.  An agent that is asked outside of
a hub has a conversation for each stream.

=========  ==========================================  ==========================================================
decision   in a channel                                ``agent.ask`` and ``agent.run``
=========  ==========================================  ==========================================================
halt       the message is denied before it is          the reply says why (``on_halt="finish"``), or
           written (``AccessDeniedError`` for the      :class:`~agentbreaker.errors.ConversationHaltedError` is
           sender), and the channel is closed with     raised (``on_halt="exception"``); the stream keeps what
           the reason                                  was said
finish     the message is written, with the final      the reply says why
           answer below it; nobody is woken by it,
           and the channel is closed with the reason
steer      the next agent reads it below the message   the next model call gets it as a last message
shadow     nothing changes; ``breaker.withheld``       the same
           counts, the log and the incident tell
=========  ==========================================  ==========================================================

No model or tool call of an attached agent begins after the breaker has opened.  ``tests/integrations/test_ag2.py`` has
a test for each cell.

To resume after ``guard.reset``: a stream goes on by itself; of a channel that was closed, ``await
breaker.follow(channel)`` opens another, as AG2 has no way to open a closed one again, and with
``close_channels=False`` it was left open.  A hub in another process (``WsLink``) is watched there, or its agents here.

What it cannot do: tools that the provider runs on its own side are not seen.  An arbiter that is registered later
replaces this one: attach last.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

try:
    from ag2 import Agent
    from ag2.middleware.base import MiddlewareFactory
    from ag2.middleware.describe import MiddlewareDescription
    from ag2.network import Hub

    from agentbreaker.integrations._ag2_hub import Arbiter, Core, Listener
    from agentbreaker.integrations._ag2_turn import AgentWatch
except ImportError as error:
    raise ImportError('agentbreaker.integrations.ag2 needs AG2 1.x: pip install "agentbreaker[ag2]"') from error

from agentbreaker.errors import ConversationHaltedError
from agentbreaker.integrations.base import OnHalt
from agentbreaker.integrations.watch import Watch, WatchedBreaker

if TYPE_CHECKING:
    from ag2 import Context
    from ag2.events import BaseEvent
    from ag2.network import AgentClient, Channel

    from agentbreaker.guard import Guard
    from agentbreaker.policy import Policy
    from agentbreaker.pricing import Pricing

__all__ = ["AG2Breaker", "OnHalt"]


class AG2Breaker(WatchedBreaker, MiddlewareFactory):
    """Watches hubs and agents of AG2 1.x, and stops them when the guard says so.

    It is also the middleware to give to an agent: ``Agent("alice", config=config, middleware=[breaker])``.

    Args:
        guard: The guard that decides; by default a new one.
        policy: Policy of that new guard; not together with `guard`.
        conversation_id: One conversation for all channels and agents.
        on_halt: What the caller of ``agent.ask`` gets on a halt: ``"finish"``, a reply that says why, or
            ``"exception"``, :class:`~agentbreaker.errors.ConversationHaltedError` with the last response as ``state``
            (whatever the guard's ``halt_as`` says: after a ``BaseException`` AG2 never unlocks the stream).  Agents in
            a channel never raise.
        close_channels: Close the channels of a halted conversation.  If not, the conversation can go on in them after
            ``guard.reset``.
        pricing: Prices of models; by default the offline tables of genai-prices.

    Raises:
        TypeError: Both a guard and a policy are given.
        ValueError: `on_halt` is none of the two.
    """

    def __init__(
        self,
        guard: Guard | None = None,
        *,
        policy: Policy | None = None,
        conversation_id: str | None = None,
        on_halt: OnHalt = "finish",
        close_channels: bool = True,
        pricing: Pricing | None = None,
    ) -> None:
        self._watch = Watch(guard, policy, conversation_id, on_halt, pricing=pricing)
        self._core = Core(self._watch, close_channels)

    def attach(self, *watched: Any) -> AG2Breaker:
        """Attach to hubs and agents; what is attached already stays as it is.

        Args:
            watched: A hub of this process (not more than one), agents, and clients of agents.

        Returns:
            The breaker itself.

        Raises:
            TypeError: Something else.
            ValueError: A second hub.
        """
        for one in watched:
            agent = getattr(one, "agent", one)
            if isinstance(one, Hub):
                self._attach_hub(one)
            elif isinstance(agent, Agent):
                if all(described.middleware is not self for described in agent.middleware):
                    agent.add_middleware(self)
            else:
                raise TypeError(f"attach needs a hub or an agent, not {type(one).__name__}")
        return self

    def _attach_hub(self, hub: Hub) -> None:
        if self._core.hub is hub:
            return
        if self._core.hub is not None:
            raise ValueError("this breaker watches a hub already: make another one, with the same guard if you like")
        self._core.hub = hub
        hub.register_arbiter(Arbiter(self._core, hub.arbiter))
        hub.register_listener(Listener(self._core))

    async def follow(self, channel: Channel) -> Channel:
        """Open another channel like one that a halt has closed, as a part of the same conversation.

        AG2 cannot open a closed channel again.  The agents begin anew in the one that follows: AG2 shows them what is
        written there, so tell them what they need to know with the first message.

        Args:
            channel: The closed channel, as one of its participants holds it; that one opens the new channel.

        Returns:
            The new channel, of the same type, with the same participants, knobs and labels.

        Raises:
            ConversationHaltedError: The breaker is still open; ``guard.reset`` comes first.
            ValueError: The channel is not closed.
        """
        metadata = await channel.info()
        if not metadata.is_terminal():
            raise ValueError("the channel is not closed: send to it")
        conversation_id = self._core.conversation_of(channel.channel_id)
        if (decision := self._watch.standing(conversation_id)) is not None:
            raise ConversationHaltedError(decision, conversation_id)
        client: AgentClient = channel._client
        others = [one for one in metadata.participant_ids() if one != client.agent_id]
        made = await client.open(
            type=metadata.manifest.type, target=others, knobs=dict(metadata.knobs), labels=dict(metadata.labels)
        )
        self._core.follows(made.channel_id, conversation_id)
        return made

    def __call__(self, event: BaseEvent, context: Context) -> AgentWatch:
        """Make the middleware of one turn; AG2 calls this."""
        return AgentWatch(event, context, self._core)

    def describe(self) -> MiddlewareDescription:
        """Say what this is; AG2 shows it among an agent's middleware."""
        return MiddlewareDescription(kind=type(self).__qualname__, config={"on_halt": self._watch.on_halt})
