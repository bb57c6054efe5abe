"""All conversations of a guard: a bounded dictionary that never forgets evidence.

Forgetting the least recently used would be a way to escape: flood the guard with new ids, and the looping
conversation starts afresh.  So only idle, clean conversations are forgotten, and when there is none, new ids are
counted coarsely, so that the hard caps still hold.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from agentbreaker.conversation import Conversation
from agentbreaker.verdict import State

if TYPE_CHECKING:
    from agentbreaker.breaker import BreakerConfig
    from agentbreaker.clock import Clock
    from agentbreaker.config import PolicySettings
    from agentbreaker.message import Message

__all__ = ["Registry"]

#: Oldest conversations looked at when room is needed for a new one.
_EVICTION_SCAN = 32
#: Counters that conversations share when there is no room for them; sharing can only make a cap trip earlier.
_OVERFLOW_BUCKETS = 4096


class Registry:
    """Conversations by id, at most ``conversations.max_conversations`` of them.

    Attributes:
        known: The conversations; read it without a lock if a miss leads to :meth:`open` or :meth:`find`, change it
            only through the methods.
        initial: State in which new conversations start.
        make: What a conversation is an instance of.
    """

    __slots__ = ("_clock", "_config", "_lock", "_overflow", "_settings", "initial", "known", "make")

    def __init__(self, settings: PolicySettings, clock: Clock, config: BreakerConfig, initial: State) -> None:
        self._settings = settings
        self._clock = clock
        self._config = config
        self.initial = initial
        self.make: type[Conversation] = Conversation
        self.known: dict[str, Conversation] = {}
        self._overflow: dict[int, list[float]] = {}
        # Held for a few operations only, never together with a callback.
        self._lock = threading.Lock()

    def find(self, conversation_id: str) -> Conversation | None:
        """Return the conversation, ``None`` if it is not known; sees it also while an eviction turns the queue."""
        conversation = self.known.get(conversation_id)
        if conversation is None:
            with self._lock:
                conversation = self.known.get(conversation_id)
        return conversation

    def open(self, conversation_id: str) -> Conversation | None:
        """Return the conversation, made anew if it is not known; ``None`` if there is no room."""
        with self._lock:
            conversation = self.known.get(conversation_id)
            if conversation is None:
                limit = self._settings.conversations.max_conversations
                if len(self.known) >= limit and not self._evict():
                    return None
                conversation = self.make(conversation_id, self._settings, self._clock, self._config, self.initial)
                self.known[conversation_id] = conversation
            return conversation

    def _evict(self) -> bool:
        """Forget an idle, clean conversation among the oldest; never one with evidence."""
        now = self._clock.now()
        idle = self._settings.conversations.idle_seconds
        known = self.known
        for _ in range(min(_EVICTION_SCAN, len(known))):
            conversation_id = next(iter(known))
            conversation = known.pop(conversation_id)
            if (
                conversation.clean
                and conversation.breaker.state in (State.CLOSED, self.initial)
                and now - conversation.last_seen >= idle
            ):
                return True
            known[conversation_id] = conversation  # to the back of the queue
        return False

    def forget(self, conversation_id: str) -> None:
        """Drop a conversation."""
        with self._lock:
            self.known.pop(conversation_id, None)

    def all(self) -> list[Conversation]:
        """The conversations at this moment."""
        with self._lock:
            return list(self.known.values())

    def count_overflow(self, message: Message) -> tuple[float, float, float, float]:
        """Count a message of a conversation for which there is no room.

        Returns:
            Messages, tokens, US dollars and seconds of the counter that it shares.
        """
        with self._lock:
            now = self._clock.now()
            bucket = self._overflow.setdefault(hash(message.conversation_id) % _OVERFLOW_BUCKETS, [0.0, 0.0, 0.0, now])
            bucket[0] += 1
            if message.usage is not None:
                bucket[1] += max(0, message.usage.total)
            if message.cost_usd is not None and message.cost_usd > 0:
                bucket[2] += message.cost_usd
            return bucket[0], bucket[1], bucket[2], now - bucket[3]
