"""Who is spoken to, where a recording only says who speaks: the next one who speaks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from agentbreaker.message import Message

__all__ = ["Addressing", "spoken_to_next"]

#: Messages that wait for another speaker, over all conversations; the oldest conversation is let go first.
_MAX_WAITING: Final = 1000
#: And so many characters of text.
_MAX_WAITING_CHARACTERS: Final = 4_000_000


class Addressing:
    """Addresses messages without a recipient to the next other speaker of their conversation.

    Such a recipient is marked as inferred.  ``system`` lines speak to nobody and are no speakers; a tool answers
    whoever called it.  The order within a conversation stays; conversations that interleave may shift against each
    other.
    """

    __slots__ = ("_characters", "_number", "_waiting")

    def __init__(self) -> None:
        self._waiting: dict[str, list[Message]] = {}
        self._number = 0
        self._characters = 0

    def push(self, message: Message) -> list[Message]:
        """Take the next message; return those that need wait no longer."""
        done: list[Message] = []
        held = self._waiting.setdefault(message.conversation_id, [])
        if message.kind not in ("system", "tool_result"):
            unaddressed = [one for one in held if _is_open(one) and one.sender != message.sender]
            for one in unaddressed:
                one.recipient, one.inferred = message.sender, True
            if unaddressed or not any(map(_is_open, held)):
                done += held
                self._forget(held)
                held.clear()
        held.append(message)
        self._number += 1
        self._characters += _characters(message)
        while self._number > _MAX_WAITING or self._characters > _MAX_WAITING_CHARACTERS:
            oldest = self._waiting.pop(next(iter(self._waiting)))
            self._forget(oldest)
            done += oldest
        return done

    def address(self, conversation: str, recipient: str) -> list[Message]:
        """Say to whom the open messages of a conversation speak, where the recording says it; return what is ready."""
        held = self._waiting.get(conversation, [])
        for one in held:
            if _is_open(one) and one.sender != recipient:
                one.recipient = recipient
        if not held or any(map(_is_open, held)):
            return []
        self._forget(held)
        return self._waiting.pop(conversation)

    def _forget(self, messages: list[Message]) -> None:
        self._number -= len(messages)
        self._characters -= sum(map(_characters, messages))

    def end(self) -> list[Message]:
        """Return what still waits: the last speakers speak to nobody that is known."""
        done = [message for held in self._waiting.values() for message in held]
        self._waiting.clear()
        self._number = self._characters = 0
        return done


def spoken_to_next(messages: Iterable[Message]) -> Iterator[Message]:
    """Yield the messages in the way of :class:`Addressing`."""
    addressing = Addressing()
    for message in messages:
        yield from addressing.push(message)
    yield from addressing.end()


def _characters(message: Message) -> int:
    result = "" if message.tool is None else message.tool.result or ""
    return len(message.content) + len(result)


def _is_open(message: Message) -> bool:
    return message.recipient is None and message.kind in ("message", "handoff")
