"""autogen-core 0.7: every message between agents, published or sent, and an end before a nested call hangs.

    from agentbreaker.integrations.autogen_core import AutoGenCoreBreaker

    breaker = AutoGenCoreBreaker()
    runtime = breaker.runtime(SingleThreadedAgentRuntime())            # or GrpcWorkerAgentRuntime(host_address=...)
    await Planner.register(runtime, "planner", Planner)                # what is registered here is watched
    runtime.start()

    runtime = SingleThreadedAgentRuntime(intervention_handlers=[breaker.observer(my_handler)])    # or so

A published message is one message from its sender to its topic, however many agents hear it.  A send that awaits its
answer is a call from the sender to the recipient, open until the answer is there.  A chain of such calls that meets
itself is AB103.  Most agents handle any number of messages at once, so that a ring of them does not hang but goes
round without end, and a question back to the one who waits is honest work:

===========================================================  ========================================================
a call meets its own chain                                   it is not made, and AB103 opens the breaker
===========================================================  ========================================================
the recipient waits for it and handles one message at a      at once, before it hangs
time (``SequentialRoutedAgent``, ``one_at_a_time=``)
the same call, word for word, is open further up             at once: the second re-entry of a ring
any other                                                    at the third re-entry that brings nothing new, and by the
                                                             eleventh open call of the chain if each says something
                                                             new; at the first with ``Policy(calls={"reentry": 10})``
===========================================================  ========================================================

The first two need ``breaker.runtime``; the observer is not told what an agent is serving when it calls.

==========================  =========================================================================================
attachment                  what happens once the breaker is open
==========================  =========================================================================================
``breaker.runtime(r)``      the next send or publish of an agent raises
                            :class:`~agentbreaker.errors.ConversationHaltedError`, before the runtime learns of it; a
                            send that a chain waits for unwinds the chain to its outermost caller, over processes too.
                            What is queued already is not handled any more.  Works with any runtime, in each process
                            for its own agents; a caller that is not watched gets a :class:`HaltedMessage`
``breaker.observer(*m)``    messages are replaced by a :class:`HaltedMessage`, which an agent may handle and others
                            ignore; senders get ``None`` for an answer.  Only for ``SingleThreadedAgentRuntime``.  A
                            handler that fails answers nothing, so its call stays open for the guard: prefer
                            ``runtime``
==========================  =========================================================================================

Nothing is dropped or raised in an intervention handler: AutoGen's ``stop_when_idle()`` would wait for ever.

``breaker.model_client(client)`` is as for AgentChat; it is also what tells agents that are steered: the next call of
such a client carries the text.  A finish is the same as a halt here, as nobody reads a final answer.  Across processes
each guard knows what its own agents send and receive, and no more, nor which agents of other processes wait.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

try:
    from autogen_core import (
        AgentId,
        AgentRuntime,
        DefaultInterventionHandler,
        DropMessage,
        FunctionCall,
        InterventionHandler,
        MessageContext,
        TopicId,
    )

    from agentbreaker.integrations._autogen_runtime import GuardedRuntime, is_team_traffic
    from agentbreaker.integrations._autogen_team import Chain, Observer, allow_silent_answers
    from agentbreaker.integrations._autogen_traffic import Call, HaltedMessage, Traffic
    from agentbreaker.integrations.autogen import AutoGenBreaker
except ImportError as error:
    raise ImportError(
        'agentbreaker.integrations.autogen_core needs AutoGen: pip install "agentbreaker[autogen]"'
    ) from error

from agentbreaker.errors import ConversationHaltedError
from agentbreaker.printable import printable
from agentbreaker.verdict import Action, Decision

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agentbreaker.guard import Guard
    from agentbreaker.policy import Policy
    from agentbreaker.pricing import Pricing

__all__ = ["AutoGenCoreBreaker", "GuardedRuntime", "HaltedMessage"]


class AutoGenCoreBreaker(AutoGenBreaker):
    """Watches one conversation of agents on a runtime of autogen-core, and ends it when the guard says so.

    Args:
        guard: The guard that decides; by default a new one.
        policy: Policy of that new guard; not together with `guard`.
        conversation_id: Name of the conversation; by default a new one.
        persons: As for :class:`~agentbreaker.integrations.autogen.AutoGenBreaker`.
        one_at_a_time: Types of agents that handle one message after the other, behind a lock of their own: a call to
            one that waits for that very call would hang, and is not made.  AutoGen's own ``SequentialRoutedAgent`` is
            known without being named.
        pricing: As for :class:`~agentbreaker.integrations.autogen.AutoGenBreaker`.
    """

    reads_replies: ClassVar[bool] = False

    def __init__(
        self,
        guard: Guard | None = None,
        *,
        policy: Policy | None = None,
        conversation_id: str | None = None,
        persons: Iterable[str] = (),
        one_at_a_time: Iterable[str] = (),
        pricing: Pricing | None = None,
    ) -> None:
        super().__init__(guard, policy=policy, conversation_id=conversation_id, persons=persons, pricing=pricing)
        self._traffic = Traffic(self.conversation_id)
        self._serial: dict[str, tuple[type, ...]] = {name: (object,) for name in one_at_a_time}

    def runtime(self, runtime: AgentRuntime) -> GuardedRuntime:
        """Return `runtime` with the breaker in it: register agents, send and publish through it."""
        self._ledger.delivers = True
        return GuardedRuntime(runtime, self)

    def observer(self, *handlers: InterventionHandler) -> InterventionHandler:
        """Return an intervention handler for a runtime, which calls `handlers` in turn and then observes.

        Make it the only handler of the runtime: of several, AutoGen gives each the original message and takes the
        answer of the last.
        """
        self._ledger.delivers = True
        allow_silent_answers()
        return Chain(*handlers, _CoreObserver(self))

    # What the attachments ask and tell.

    def serialises(self, agent: str, types: tuple[type, ...]) -> None:
        """Note that an agent handles messages of these types one after the other."""
        self._serial.setdefault(agent, types)

    def begins(self, identity: str) -> None:
        """An agent begins to handle the message of this id."""
        self._traffic.begins(identity)

    def ends(self, identity: str) -> None:
        """An agent has handled the message of this id."""
        self._traffic.ends(identity)

    def sends(
        self, message: Any, sender: AgentId | None, recipient: AgentId, identity: str, serves: str | None, *, new: bool
    ) -> Call:
        """An agent sends a message and awaits the answer."""
        busy = isinstance(message, self._serial.get(recipient.type, ()))
        call, messages = self._traffic.sends(message, sender, recipient, identity, serves, new=new, busy=busy)
        self.tell(lambda _: messages)
        return call

    def answered(self, call: Call, answer: Any, error: BaseException | None = None) -> None:
        """The answer to a send is there; or an error, which is no news if it is our own."""
        messages = self._traffic.answered(call, answer, error)
        if not isinstance(error, ConversationHaltedError):
            self.tell(lambda _: messages)

    def publishes(self, message: Any, sender: AgentId | None, topic: TopicId, identity: str) -> None:
        """An agent publishes a message."""
        self.tell(lambda _: self._traffic.publishes(message, sender, topic, identity))

    def meets(self, sender: AgentId | None, recipient: AgentId, identity: str) -> Call | None:
        """Return the call that is delivered, ``None`` if it comes from another process."""
        return self._traffic.meets(sender, recipient, identity)

    def knows(self, identity: str) -> bool:
        """Whether a message of this id was met."""
        return self._traffic.knows(identity)

    def between(self, sender: str | None, recipient: str) -> Call | None:
        """Return the latest call between the two that awaits its answer."""
        return self._traffic.between(sender, recipient)

    def is_new(self, call: FunctionCall) -> bool:
        """Whether the guard was not told of this call of a tool yet."""
        return self._ledger.is_new(call)

    def stop_if_open(self) -> None:
        """Raise while the breaker is open.

        Raises:
            ConversationHaltedError: It is.
        """
        if (decision := self._watch.refuses(self.conversation_id)) is not None:
            raise ConversationHaltedError(decision, self.conversation_id)

    def halted_by(self, answer: HaltedMessage) -> ConversationHaltedError:
        """Return the exception for an answer that will not come: our own halt, or that of another process."""
        decision = self.standing() or Decision(Action.HALT, reason=printable(answer.reason))
        return ConversationHaltedError(decision, self.conversation_id)

    def refuses(self) -> bool:
        """Whether the breaker is open; a step is kept from beginning then, and counted."""
        return self._watch.refuses(self.conversation_id) is not None


class _CoreObserver(DefaultInterventionHandler):
    """Sees all traffic of a runtime, and replaces it once the breaker is open; drops nothing, raises nothing."""

    def __init__(self, breaker: AutoGenCoreBreaker) -> None:
        self._breaker = breaker
        self._teams = Observer(breaker)

    async def on_send(
        self, message: Any, *, message_context: MessageContext, recipient: AgentId
    ) -> Any | type[DropMessage]:
        """See a message that awaits an answer."""
        breaker, identity = self._breaker, message_context.message_id
        if is_team_traffic(message) or breaker.knows(identity):
            return message
        new = not (isinstance(message, FunctionCall) and not breaker.is_new(message))
        breaker.sends(message, message_context.sender, recipient, identity, None, new=new)
        return self._passed(message)

    async def on_publish(self, message: Any, *, message_context: MessageContext) -> Any | type[DropMessage]:
        """See a message to a topic."""
        breaker, identity, topic = self._breaker, message_context.message_id, message_context.topic_id
        if is_team_traffic(message):
            return await self._teams.on_publish(message, message_context=message_context)
        if topic is None or breaker.knows(identity):
            return message
        breaker.publishes(message, message_context.sender, topic, identity)
        return self._passed(message)

    async def on_response(self, message: Any, *, sender: AgentId, recipient: AgentId | None) -> Any | type[DropMessage]:
        """See an answer."""
        call = self._breaker.between(None if recipient is None else recipient.type, sender.type)
        if call is not None and not call.delivered:
            self._breaker.answered(call, message)
        return message

    def _passed(self, message: Any) -> Any:
        breaker = self._breaker
        if not breaker.refuses():
            return message
        return HaltedMessage(breaker.conversation_id, breaker.guard.decision(breaker.conversation_id).reason)
