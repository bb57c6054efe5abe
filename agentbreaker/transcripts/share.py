"""Which conversations are whose, where several processes read the same recordings.

Each process reads every file and keeps the conversations that are its own.  A line of somebody else's is passed over
without being parsed, in a fifth of the time, where it says plainly whose it is; it is counted by its owner, and what
belongs to no conversation is counted by the first process.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final
from zlib import crc32

from agentbreaker.message import Message

__all__ = ["Reach", "Share", "id_in_line"]

_KEY: Final = b'"conversation_id"'
_ID: Final = re.compile(rb'"conversation_id"[ \t]*:[ \t]*"([^"\\]*)"').match
#: How JSON would write a letter of the key otherwise.
_ESCAPED: Final = re.compile(rb"\\u00").search


def id_in_line(line: bytes) -> bytes | None:
    r"""Return the id of the conversation in a line of our format, without parsing it; ``None`` if that takes parsing.

    Whatever is returned for a line that is a message is the id of that message: the key is there once only, inside no
    string (quotes in one are escaped), and no key is written with escapes.

    >>> id_in_line(b'{"conversation_id": "c", "sender": "a"}')
    b'c'
    >>> id_in_line(b'{"conversation_id": "caf\\u00e9", "sender": "a"}') is None
    True
    """
    start = line.find(_KEY)
    if start < 0 or line.find(_KEY, start + 1) >= 0 or _ESCAPED(line) is not None:
        return None
    match = _ID(line, start)
    return None if match is None else match[1]


class Share:
    """One of several shares of all conversations.

    Args:
        number: Which one, from 0; the first also counts what belongs to no conversation.
        of: How many there are.
        others: Called with the id of each message that is somebody else's, in the order of reading.

    Attributes:
        number, of, others: As given.
        position: Where in its recording the latest message of this share is; the same in every process.
        partial: Whether only what belongs to this share was counted, and not everything that was read.
    """

    __slots__ = ("_salt", "number", "of", "others", "partial", "position")

    def __init__(self, number: int, of: int, others: Callable[[bytes], object]) -> None:
        self.number = number
        self.of = of
        self.others = others
        self.position = 0
        self.partial = False
        self._salt = 0

    def begin(self, file: int) -> None:
        """Begin another recording.  Its number is part of whose a conversation is: many files hold one run, named 1."""
        self._salt = crc32(b"%d" % file)
        self.position = 0
        self.partial = False

    def owner(self, conversation_id: bytes) -> int:
        """Return the number of the share that a conversation belongs to; no process has another opinion of it."""
        return crc32(conversation_id, self._salt) % self.of

    def takes(self, conversation_id: str) -> bool:
        """Whether a message of this conversation is this share's own; notes it if not."""
        name = _name(conversation_id)
        if self.owner(name) == self.number:
            return True
        self.others(name)
        return False


class Reach:
    """How much of each share was read of each recording, where the reading ended early: no two got equally far."""

    def __init__(self) -> None:
        self._shares: dict[str, tuple[Share, list[int]]] = {}

    def note(self, name: str, file: int, messages: Sequence[int]) -> None:
        """Note how many messages of each share were read.

        Args:
            name: Of the recording.
            file: Its number, as in :meth:`Share.begin`.
            messages: One number for each share.
        """
        share = Share(0, len(messages), lambda _: None)
        share.begin(file)
        self._shares[name] = share, list(messages)

    def within(self, messages: Iterable[tuple[str, Message]]) -> Iterator[tuple[str, Message]]:
        """Yield the messages that were read, out of all messages in the order of the recordings.

        Args:
            messages: Pairs of the name of a recording and a message.
        """
        left = {name: list(numbers) for name, (_, numbers) in self._shares.items()}
        rest = sum(map(sum, left.values()))
        for name, message in messages:
            if rest == 0:
                return
            if name not in left:
                continue
            owner = self._shares[name][0].owner(_name(message.conversation_id))
            if left[name][owner]:
                left[name][owner] -= 1
                rest -= 1
                yield name, message


def _name(conversation_id: str) -> bytes:
    return conversation_id.encode("utf-8", "surrogatepass")
