"""A runtime of autogen-core with a breaker in it, on the side of the agents: it needs nothing of the runtime."""

from __future__ import annotations

import inspect
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, cast

from autogen_agentchat.teams._group_chat._sequential_routed_agent import SequentialRoutedAgent
from autogen_core import (
    Agent,
    AgentId,
    AgentInstantiationContext,
    AgentMetadata,
    AgentRuntime,
    AgentType,
    CancellationToken,
    FunctionCall,
    MessageContext,
    MessageSerializer,
    Subscription,
    TopicId,
    try_get_known_serializers_for_type,
)

from agentbreaker.errors import ConversationHaltedError
from agentbreaker.integrations._autogen_traffic import HaltedMessage

if TYPE_CHECKING:
    from agentbreaker.integrations.autogen_core import AutoGenCoreBreaker

__all__ = ["GuardedRuntime", "is_team_traffic"]

#: The message that is being served here, by the id that the guard knows it by.
_serving: ContextVar[str | None] = ContextVar("agentbreaker_autogen_serving", default=None)


def is_team_traffic(message: Any) -> bool:
    """Whether a message belongs to the inner workings of an AgentChat team, whose words are read elsewhere."""
    return type(message).__module__.startswith("autogen_agentchat.teams.")


class GuardedRuntime:
    """A runtime whose agents are watched; made by :meth:`AutoGenCoreBreaker.runtime`.

    Agents that are registered through it send and publish through it.  A send or publish that must not be raises
    :class:`~agentbreaker.errors.ConversationHaltedError` where it is made, before the runtime learns of it, so that
    nothing is left hanging there.  All else is the wrapped runtime's.
    """

    def __init__(self, runtime: AgentRuntime, breaker: AutoGenCoreBreaker) -> None:
        self._runtime = runtime
        self._breaker = breaker
        # The answer that crosses processes; runtimes lose the exceptions of other processes, and wait for ever.
        runtime.add_message_serializer(try_get_known_serializers_for_type(HaltedMessage))
        if isinstance(getattr(runtime, "_next_request_id", None), int):
            # Workers of the gRPC runtime all number their requests from 1, and their host mixes up equal numbers: of
            # two workers that call each other one would wait for ever.
            cast(Any, runtime)._next_request_id = uuid.uuid4().int >> 80

    # Sending.

    async def send_message(
        self,
        message: Any,
        recipient: AgentId,
        *,
        sender: AgentId | None = None,
        cancellation_token: CancellationToken | None = None,
        message_id: str | None = None,
    ) -> Any:
        """Send a message and await the answer, unless the breaker is open.

        Raises:
            ConversationHaltedError: It is open, or this send has opened it.
        """
        identity = message_id or str(uuid.uuid4())
        breaker = self._breaker
        if is_team_traffic(message):
            return await self._runtime.send_message(
                message, recipient, sender=sender, cancellation_token=cancellation_token, message_id=identity
            )
        new = not (isinstance(message, FunctionCall) and not breaker.is_new(message))
        call = breaker.sends(message, sender, recipient, identity, _serving.get(), new=new)
        try:
            breaker.stop_if_open()
            answer = await self._runtime.send_message(
                message, recipient, sender=sender, cancellation_token=cancellation_token, message_id=identity
            )
            if isinstance(answer, HaltedMessage):
                raise breaker.halted_by(answer)
        except BaseException as error:
            breaker.answered(call, None, error)
            raise
        breaker.answered(call, answer)
        return answer

    async def publish_message(
        self,
        message: Any,
        topic_id: TopicId,
        *,
        sender: AgentId | None = None,
        cancellation_token: CancellationToken | None = None,
        message_id: str | None = None,
    ) -> None:
        """Publish a message, unless the breaker is open.

        Raises:
            ConversationHaltedError: It is open, or this message has opened it.
        """
        identity = message_id or str(uuid.uuid4())
        if not is_team_traffic(message):
            self._breaker.publishes(message, sender, topic_id, identity)
            self._breaker.stop_if_open()
        await self._runtime.publish_message(
            message, topic_id, sender=sender, cancellation_token=cancellation_token, message_id=identity
        )

    # Registering.

    async def register_factory(
        self,
        type: str | AgentType,
        agent_factory: Callable[[], Any],
        *,
        expected_class: type[Any] | None = None,
    ) -> AgentType:
        """Register a factory; the agents that it makes are watched."""

        async def watched() -> Any:
            identity = AgentInstantiationContext.current_agent_id()
            with AgentInstantiationContext.populate_context((cast(AgentRuntime, self), identity)):
                made = agent_factory()
                agent = await made if inspect.isawaitable(made) else made
            self._watch(agent)
            return agent

        return await self._runtime.register_factory(type, watched, expected_class=expected_class)

    async def register_agent_instance(self, agent_instance: Agent, agent_id: AgentId) -> AgentId:
        """Register an agent that exists; it is watched."""
        registered = await self._runtime.register_agent_instance(agent_instance, agent_id)
        if hasattr(agent_instance, "_runtime"):
            agent_instance._runtime = self
        self._watch(agent_instance)
        return registered

    def _watch(self, agent: Any) -> None:
        """See what an agent receives, and keep it from beginning anything while the breaker is open."""
        handle, breaker = agent.on_message, self._breaker
        if isinstance(agent, SequentialRoutedAgent):
            breaker.serialises(agent.id.type, tuple(agent._sequential_message_types))

        async def on_message(message: Any, ctx: MessageContext) -> Any:
            if is_team_traffic(message):
                return await handle(message, ctx)
            if not ctx.is_rpc:
                if ctx.topic_id is not None and not breaker.knows(ctx.message_id):
                    breaker.publishes(message, ctx.sender, ctx.topic_id, ctx.message_id)
                if breaker.refuses():
                    return None
                return await _serve(breaker, handle, message, ctx, ctx.message_id)
            call = breaker.meets(ctx.sender, agent.id, ctx.message_id)
            foreign = call is None
            if call is None:
                # From another process, whose guard is not ours.
                call = breaker.sends(message, ctx.sender, agent.id, str(uuid.uuid4()), None, new=True)
                call.delivered = True
            try:
                breaker.stop_if_open()
                answer = await _serve(breaker, handle, message, ctx, call.identity)
            except ConversationHaltedError as error:
                if foreign:
                    breaker.answered(call, None, error)
                return HaltedMessage(error.conversation_id, str(error))
            except BaseException as error:
                if foreign:
                    breaker.answered(call, None, error)
                raise
            if foreign:
                breaker.answered(call, answer)
            return answer

        with suppress(AttributeError):  # an agent with slots is only watched while it sends
            agent.on_message = on_message

    # The rest of a runtime.

    async def try_get_underlying_agent_instance(self, id: AgentId, type: Any = Agent) -> Any:
        """Return the agent of this id, as the wrapped runtime does."""
        return await self._runtime.try_get_underlying_agent_instance(id, type)

    async def get(self, id_or_type: Any, /, key: str = "default", *, lazy: bool = True) -> AgentId:
        """Return the id of an agent, as the wrapped runtime does."""
        return await self._runtime.get(id_or_type, key, lazy=lazy)

    async def save_state(self) -> Mapping[str, Any]:
        """Return the state of all agents."""
        return await self._runtime.save_state()

    async def load_state(self, state: Mapping[str, Any]) -> None:
        """Load the state of all agents."""
        await self._runtime.load_state(state)

    async def agent_metadata(self, agent: AgentId) -> AgentMetadata:
        """Return what is known of an agent."""
        return await self._runtime.agent_metadata(agent)

    async def agent_save_state(self, agent: AgentId) -> Mapping[str, Any]:
        """Return the state of an agent."""
        return await self._runtime.agent_save_state(agent)

    async def agent_load_state(self, agent: AgentId, state: Mapping[str, Any]) -> None:
        """Load the state of an agent."""
        await self._runtime.agent_load_state(agent, state)

    async def add_subscription(self, subscription: Subscription) -> None:
        """Add a subscription."""
        await self._runtime.add_subscription(subscription)

    async def remove_subscription(self, id: str) -> None:
        """Remove a subscription."""
        await self._runtime.remove_subscription(id)

    def add_message_serializer(self, serializer: MessageSerializer[Any] | Sequence[MessageSerializer[Any]]) -> None:
        """Add a serializer."""
        self._runtime.add_message_serializer(serializer)

    def __getattr__(self, name: str) -> Any:
        if name == "_runtime":  # not yet there, as while it is copied
            raise AttributeError(name)
        return getattr(self._runtime, name)


async def _serve(
    breaker: AutoGenCoreBreaker,
    handle: Callable[..., Awaitable[Any]],
    message: Any,
    ctx: MessageContext,
    identity: str,
) -> Any:
    """Let an agent handle a message, in a context that says which."""
    token = _serving.set(identity)
    breaker.begins(identity)
    try:
        return await handle(message, ctx)
    finally:
        breaker.ends(identity)
        _serving.reset(token)
