"""A small message bus with the breaker built in, for agents that run on no framework.

Agents are plain functions (or coroutines) that take a message and return the next one.  Every message passes the
guard before it is delivered; what the guard halts is not delivered.
"""

from __future__ import annotations

import inspect
from collections import deque
from typing import TYPE_CHECKING

from agentbreaker.guard import Guard
from agentbreaker.message import Message
from agentbreaker.verdict import ALLOW

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from agentbreaker.verdict import Decision

    Reply = Message | Iterable[Message] | None
    Agent = Callable[[Message], Reply | Awaitable[Reply]]

__all__ = ["Bus"]


class Bus:
    """Delivers messages between registered agents until nobody has anything to say, or the guard halts.

    Args:
        guard: The guard to ask; one with the default policy if left out.
        on_message: Called with every message and its decision, after the guard and before the delivery.

    >>> from agentbreaker import Message
    >>> bus = Bus()
    >>> bus.register("echo", lambda message: Message(message.conversation_id, "echo", "user", content="heard"))
    >>> bus.run(Message("c1", "user", "echo", content="hello", role="user")).allowed
    True
    """

    def __init__(
        self, guard: Guard | None = None, *, on_message: Callable[[Message, Decision], object] | None = None
    ) -> None:
        self.guard = guard or Guard()
        self._agents: dict[str, Agent] = {}
        self._on_message = on_message

    def register(self, name: str, agent: Agent) -> None:
        """Let `agent` answer the messages that are sent to `name`; it may return several, one or none."""
        self._agents[name] = agent

    def run(self, first: Message, *, max_messages: int | None = None) -> Decision:
        """Deliver `first` and everything that follows from it, one message at a time.

        Args:
            first: The message to begin with.
            max_messages: Stop after this many messages, those to nobody included.

        Returns:
            The decision on the last message; not ``allowed`` if the conversation was halted.

        Raises:
            TypeError: An agent is a coroutine function; use :meth:`arun`.
        """
        queue = deque([first])
        decision = ALLOW
        while queue and (max_messages is None or max_messages > 0):
            message = queue.popleft()
            decision, agent = self._admit(message)
            if max_messages is not None:
                max_messages -= 1
            if agent is None:
                if not decision.allowed:
                    break
                continue
            reply = agent(message)
            if inspect.isawaitable(reply):
                if inspect.iscoroutine(reply):
                    reply.close()
                raise TypeError(f"agent {message.recipient!r} is asynchronous; use Bus.arun")
            queue.extend(_listed(reply))
        return decision

    async def arun(self, first: Message, *, max_messages: int | None = None) -> Decision:
        """Do what :meth:`run` does, with agents that may be coroutines."""
        queue = deque([first])
        decision = ALLOW
        while queue and (max_messages is None or max_messages > 0):
            message = queue.popleft()
            decision, agent = self._admit(message)
            if max_messages is not None:
                max_messages -= 1
            if agent is None:
                if not decision.allowed:
                    break
                continue
            reply = agent(message)
            if inspect.isawaitable(reply):
                reply = await reply
            queue.extend(_listed(reply))
        return decision

    def _admit(self, message: Message) -> tuple[Decision, Agent | None]:
        """Ask the guard; return the agent to deliver to, ``None`` if there is none or the message is halted."""
        decision = self.guard.observe(message)
        if self._on_message is not None:
            self._on_message(message, decision)
        if not decision.allowed or message.recipient is None:
            return decision, None
        return decision, self._agents.get(message.recipient)


def _listed(reply: Reply) -> Iterable[Message]:
    if reply is None:
        return ()
    return (reply,) if isinstance(reply, Message) else reply
