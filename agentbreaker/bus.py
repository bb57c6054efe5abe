"""A small message bus with the breaker built in, for agents that run on no framework.

Agents are plain functions (or coroutines) that take a message and return the next one.  Every message passes the
guard before it is delivered; what the guard halts is not delivered, and where it steers, the next agent is told so
below the message that it gets.
"""

from __future__ import annotations

import inspect
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from agentbreaker.guard import Guard
from agentbreaker.message import Message
from agentbreaker.verdict import ALLOW, STEER_TEXT, Action, Decision

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator, Iterable

    Reply = Message | Iterable[Message] | None
    Agent = Callable[[Message], Reply | Awaitable[Reply]]
    _Delivery = Generator[tuple[Message, Agent], Reply, Decision]

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
        delivery = self._deliver(first, max_messages)
        step = _advance(delivery, None)
        while not isinstance(step, Decision):
            message, agent = step
            reply = agent(message)
            if inspect.isawaitable(reply):
                if inspect.iscoroutine(reply):
                    reply.close()
                raise TypeError(f"agent {message.recipient!r} is asynchronous; use Bus.arun")
            step = _advance(delivery, reply)
        return step

    async def arun(self, first: Message, *, max_messages: int | None = None) -> Decision:
        """Do what :meth:`run` does, with agents that may be coroutines."""
        delivery = self._deliver(first, max_messages)
        step = _advance(delivery, None)
        while not isinstance(step, Decision):
            message, agent = step
            reply = agent(message)
            step = _advance(delivery, await reply if inspect.isawaitable(reply) else reply)
        return step

    def _deliver(self, first: Message, max_messages: int | None) -> _Delivery:
        """Yield each message with the agent that it is for, take the reply, and return the last decision."""
        queue = deque([first])
        decision = ALLOW
        while queue and decision.allowed and (max_messages is None or max_messages > 0):
            message = queue.popleft()
            decision, agent = self._admit(message)
            if max_messages is not None:
                max_messages -= 1
            if agent is not None:
                if decision.action is Action.STEER:
                    message = self._steered(message)
                queue.extend(_listed((yield message, agent)))
        return decision

    def _admit(self, message: Message) -> tuple[Decision, Agent | None]:
        """Ask the guard; return the agent to deliver to, ``None`` if there is none or the message is halted."""
        decision = self.guard.observe(message)
        if self._on_message is not None:
            self._on_message(message, decision)
        if not decision.allowed or message.recipient is None:
            return decision, None
        return decision, self._agents.get(message.recipient)

    def _steered(self, message: Message) -> Message:
        """Tell the next agent, below the message that it gets, that the conversation brings nothing new."""
        self.guard.steered(message.conversation_id)
        return replace(message, content=f"{message.content}\n\n{STEER_TEXT}")


def _advance(delivery: _Delivery, reply: Reply) -> tuple[Message, Agent] | Decision:
    """Hand in the reply to the last message; return the next message with its agent, or the last decision."""
    try:
        return delivery.send(reply)
    except StopIteration as end:
        return cast("Decision", end.value)


def _listed(reply: Reply) -> Iterable[Message]:
    if reply is None:
        return ()
    return (reply,) if isinstance(reply, Message) else reply
