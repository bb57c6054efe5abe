"""AG2 0.14 and before (module ``autogen``): see every message of a chat, and end the chat that gets nowhere.

    from agentbreaker.integrations.ag2_classic import AG2ClassicBreaker

    breaker = AG2ClassicBreaker().attach(alice)      # whom she talks to is attached with the first message

Chats of two, group chats (``GroupChat`` and the patterns) and nested chats are watched, under ``initiate_chat``,
``a_initiate_chat``, ``run`` and ``a_run`` alike.  A chat that begins without history is a conversation with a breaker
of its own; a chat that an agent starts before it has answered (a nested chat) belongs to the conversation that it has
to answer in.  The manager's re-broadcasts are no messages, and the manager is not the sender.

=========  ==========================================================================================================
decision   what the caller gets
=========  ==========================================================================================================
halt       the chat ends, and its last message, from ``agentbreaker``, says why (``on_halt="finish"``), or
           :class:`~agentbreaker.errors.ConversationHalted` comes out of ``initiate_chat`` (``on_halt="exception"``);
           no history is lost, and ``initiate_chat(..., clear_history=False)`` goes on after a reset
finish     the chat ends with that last message
steer      the next agent reads it below the message that it gets
shadow     nothing changes; ``breaker.withheld`` counts, the log and the incident tell
=========  ==========================================================================================================

No agent is asked for a reply after the breaker has opened, no tool is run, and no next speaker is selected.  The
message that trips it was paid for, and is delivered.  ``tests/integrations/test_ag2_classic.py`` tests each cell.

A model call is held to the budget before it begins, and counted after it; so are those with which a manager selects
the next speaker, as the manager's, and those of ``summary_method="reflection_with_llm"``.  The summary of a halted chat
is the reason.

What it cannot do: an agent that takes part in several chats at once has its model calls counted for the one that it
was in last.  Tokens within a streamed answer pass unseen until it is complete.  With ``run``, which has a thread of its
own, an exception that is a ``BaseException`` would be lost there: use ``on_halt="finish"``.
"""

from __future__ import annotations

import inspect
import itertools
import threading
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, WeakSet

try:
    from autogen import ConversableAgent, GroupChatManager
except ImportError as error:
    raise ImportError(
        'agentbreaker.integrations.ag2_classic needs AG2 before 1.0: pip install "agentbreaker[ag2-classic]"'
    ) from error

from agentbreaker.integrations._ag2_classic_calls import ModelCalls
from agentbreaker.integrations._ag2_classic_text import Calls, added_to, messages_of, text_of
from agentbreaker.integrations.base import FINAL_NAME, Bounded, OnHalt, final_answer
from agentbreaker.integrations.watch import Watch, WatchedBreaker
from agentbreaker.verdict import STEER_TEXT

if TYPE_CHECKING:
    from agentbreaker.guard import Guard
    from agentbreaker.policy import Policy
    from agentbreaker.pricing import Pricing
    from agentbreaker.verdict import Decision

__all__ = ["AG2ClassicBreaker", "OnHalt"]

_MAX_CALLS = 256


class AG2ClassicBreaker(WatchedBreaker):
    """Watches the agents of AG2 before 1.0, and ends their chats when the guard says so.

    Args:
        guard: The guard that decides; by default a new one.
        policy: Policy of that new guard; not together with `guard`.
        conversation_id: One conversation for all chats; by default each chat has one of its own.
        on_halt: What a halted chat ends with: ``"finish"``, a last message that says why, or ``"exception"``,
            :class:`~agentbreaker.errors.ConversationHalted` (or what the guard's ``halt_as`` names).
        pricing: Prices of models, where AG2 has none of its own; by default the offline tables of genai-prices.

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
        pricing: Pricing | None = None,
    ) -> None:
        self._watch = Watch(guard, policy, conversation_id, on_halt, pricing=pricing)
        self._model_calls = ModelCalls(self._watch, self._in_place)
        self._lock = threading.RLock()
        self._attached: WeakSet[Any] = WeakSet()
        self._chats: WeakKeyDictionary[Any, WeakKeyDictionary[Any, str]] = WeakKeyDictionary()
        self._number = itertools.count(1)
        self._said: Bounded[str, int] = Bounded()
        self._calls: Calls = {}

    def attach(self, *agents: Any) -> AG2ClassicBreaker:
        """Attach to agents; whom they talk to is attached with the first message, managers and members included.

        Args:
            agents: Agents; attaching twice is attaching once.

        Returns:
            The breaker itself.

        Raises:
            TypeError: Something else.
        """
        for agent in agents:
            if not isinstance(agent, ConversableAgent):
                raise TypeError(f"attach needs an agent, not {type(agent).__name__}")
            with self._lock:
                if agent in self._attached:
                    continue
                self._attached.add(agent)
            agent.register_hook("process_message_before_send", self._before_send)
            # Position 0: before whatever asks a person, runs a tool or calls a model.
            agent.register_reply(ConversableAgent, self._reply, position=0)
            self._model_calls.wrap(agent)
            if isinstance(agent, GroupChatManager):
                self._end_group(agent)
                self._model_calls.wrap_selection(agent)
        return self

    def conversation_of(self, agent: Any, other: Any) -> str | None:
        """The id of the conversation of two agents, or of a member of a group and its manager.

        Returns:
            The id that the guard knows it by, or ``None`` if they have not talked.
        """
        return self._watch.conversation_id or self._chats.get(_side(agent, other)[0], {}).get(_side(agent, other)[1])

    # The hooks.

    def _before_send(self, sender: Any, message: Any, recipient: Any, silent: bool) -> Any:
        """Show a message to the guard; put what the next agent has to be told below it."""
        try:
            return self._shown(sender, message, recipient)
        except Exception as error:
            self._watch.contain("process_message_before_send", error)
            return message

    def _shown(self, sender: Any, message: Any, recipient: Any) -> Any:
        if isinstance(recipient, ConversableAgent):
            self.attach(recipient)
        if isinstance(sender, GroupChatManager) and recipient in sender.groupchat.agents:
            return message  # told to the group by one of its members, who was heard
        if _ours(message):
            return message
        first, conversation_id = self._conversation(sender, recipient)
        watch = self._watch
        for agent in (sender, recipient):
            self._model_calls.enters(agent, conversation_id)
        if isinstance(recipient, GroupChatManager):
            self.attach(*(one for one in recipient.groupchat.agents if isinstance(one, ConversableAgent)))
        name = None if isinstance(recipient, GroupChatManager) else recipient.name
        role = "user" if first or _person(sender, message) else None
        with self._lock:
            messages = messages_of(conversation_id, sender.name, name, message, role, self._calls)
            while len(self._calls) > _MAX_CALLS:
                del self._calls[next(iter(self._calls))]
            self._model_calls.pay(sender, messages[-1])
        watch.observe(messages)
        if watch.steers(conversation_id) and watch.standing(conversation_id) is None:
            watch.steering(conversation_id)
            return added_to(message, STEER_TEXT)
        return message

    def _reply(self, recipient: Any, messages: Any = None, sender: Any = None, config: Any = None) -> tuple[bool, Any]:
        """End the chat instead of a reply, if the breaker is open; AG2 asks this before anything else."""
        try:
            decision, conversation_id = self._refused(recipient, sender)
        except Exception as error:
            self._watch.contain("reply", error)
            return False, None
        if decision is None:
            return False, None
        return True, self._in_place(decision, conversation_id)

    def _in_place(self, decision: Decision, conversation_id: str) -> dict[str, Any] | None:
        """Return what is said in place of a reply, ``None`` if the reason was given already.

        Raises:
            ConversationHalted: The caller gets the halt as an exception (or what ``halt_as`` names).
        """
        if self._watch.raises(decision):
            raise self.guard.halted_type(decision, conversation_id)
        with self._lock:
            told = self._said.get(conversation_id) == decision.generation
            self._said[conversation_id] = decision.generation
        return None if told else _final(decision)

    def _refused(self, recipient: Any, sender: Any) -> tuple[Decision | None, str]:
        conversation_id = self.conversation_of(recipient, sender) if sender is not None else None
        if conversation_id is None:
            return None, ""
        self._model_calls.enters(recipient, conversation_id)
        return self._watch.refuses(conversation_id), conversation_id

    def _end_group(self, manager: GroupChatManager) -> None:
        """Let the manager end a halted chat where it looks for the end of one: before it selects the next speaker."""
        wanted = manager._is_termination_msg

        def over(message: dict[str, Any]) -> bool:
            return self._group_over(manager) or bool(wanted(message))

        manager._is_termination_msg = over

    def _group_over(self, manager: GroupChatManager) -> bool:
        conversation_id = self.conversation_of(manager, manager)
        decision = None if conversation_id is None else self._watch.refuses(conversation_id)
        if decision is None or conversation_id is None:
            return False
        if self._watch.raises(decision):
            raise self.guard.halted_type(decision, conversation_id)
        try:
            with self._lock:
                told = self._said.get(conversation_id) == decision.generation
                self._said[conversation_id] = decision.generation
            if not told:
                final = {**_final(decision), "role": "user"}
                manager.groupchat.messages.append(final)
                for agent in {*manager.groupchat.agents, *manager.chat_messages}:
                    manager.send(final, agent, request_reply=False, silent=True)
        except Exception as error:
            self._watch.contain("is_termination_msg", error)
        return True

    # Conversations.

    def _conversation(self, sender: Any, recipient: Any) -> tuple[bool, str]:
        """Whether this is the first message of its conversation, and the id of that."""
        if self._watch.conversation_id is not None:
            return self.guard.graph(self._watch.conversation_id) is None, self._watch.conversation_id
        with self._lock:
            known = self.conversation_of(sender, recipient)
            if known is not None and (sender.chat_messages.get(recipient) or _group_has_begun(recipient)):
                return False, known
            outer = self._waiting(sender, recipient)
            made = outer or f"chat-{next(self._number)}"
            for one, other in (_side(sender, recipient), _side(recipient, sender)):
                self._chats.setdefault(one, WeakKeyDictionary())[other] = made
            return outer is None, made

    def _waiting(self, sender: Any, recipient: Any) -> str | None:
        """The conversation in which an agent has to answer that runs this chat for its answer; ``None`` if none has."""
        frame = inspect.currentframe()
        while frame is not None:
            if frame.f_code.co_name in ("generate_reply", "a_generate_reply"):
                agent, asker = frame.f_locals.get("self"), frame.f_locals.get("sender")
                if isinstance(agent, ConversableAgent) and asker is not None and {agent, asker} != {sender, recipient}:
                    conversation_id = self.conversation_of(agent, asker)
                    if conversation_id is not None:
                        return conversation_id
            frame = frame.f_back
        return None


def _side(agent: Any, other: Any) -> tuple[Any, Any]:
    """The key of a chat: the group that one of both manages, or the two."""
    for one in (agent, other):
        if isinstance(one, GroupChatManager):
            return one, one
    return agent, other


def _group_has_begun(recipient: Any) -> bool:
    return isinstance(recipient, GroupChatManager) and bool(recipient.groupchat.messages)


def _final(decision: Decision) -> dict[str, Any]:
    return {"content": final_answer(decision), "name": FINAL_NAME}


def _ours(message: Any) -> bool:
    """Whether this is a final answer of ours, perhaps passed on by an agent out of a chat of its own."""
    content = message.get("content") if isinstance(message, dict) else message
    return text_of(content).startswith("[agentbreaker] This conversation was ended: ")


def _person(sender: Any, message: Any) -> bool:
    """Whether a person has written this: an agent without a model, that asks a person each time."""
    if getattr(sender, "human_input_mode", None) != "ALWAYS" or sender.client is not None:
        return False
    return not (isinstance(message, dict) and (message.get("tool_responses") or message.get("tool_calls")))
