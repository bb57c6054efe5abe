"""Conversations of several recordings in one: an id that two recordings have is two conversations.

Many recordings hold a conversation ``"1"`` or ``"line 1"``.  Written behind one another as they are, the two would be
taken for one, and the second for the end of the first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from hashlib import blake2b
from typing import Final

from agentbreaker.message import Message
from agentbreaker.transcripts.schema import MAX_NAME

__all__ = ["kept_apart"]

#: Ids that are remembered, about 25 MB; beyond these every id of a further recording is written with its name.
_REMEMBERED: Final = 250_000


def kept_apart(
    messages: Iterable[tuple[str, Message]], *, remembered: int = _REMEMBERED
) -> Iterator[tuple[str, Message]]:
    """Yield messages; those of a conversation whose id an earlier recording had get another id.

    The recording that comes first keeps its ids.  In a further one an id that was taken is followed by the name of the
    recording in parentheses: ``"line 1 (b.jsonl)"``.

    Args:
        messages: Pairs of the name of a recording and a message, recording by recording.
        remembered: How many ids are remembered.  They are known by their hashes, so their length does not matter.
    """
    ids = _Ids(remembered)
    latest: tuple[str, str] | None = None
    chosen = ""
    for name, message in messages:
        conversation_id = message.conversation_id
        if (name, conversation_id) != latest:
            latest = name, conversation_id
            chosen = ids.of(name, conversation_id)
        yield name, message if chosen == conversation_id else replace(message, conversation_id=chosen)


class _Ids:
    """Which conversation of which recording has which id."""

    def __init__(self, remembered: int) -> None:
        self._remembered = remembered
        self._owners: dict[int, int] = {}
        self._recording: str | None = None
        self._number = -1

    def of(self, recording: str, conversation_id: str) -> str:
        """Return the id under which a conversation of a recording is written; the same whenever it is asked for."""
        if recording != self._recording:
            self._recording, self._number = recording, self._number + 1
        # The first recording has nothing to get out of the way of, whether or not its ids are remembered.
        known = self._number == 0
        owner, chosen = hash((self._number, conversation_id)), conversation_id
        while not self._takes(chosen, owner, known):
            chosen, known = _fitting(f"{chosen} ({recording})"), True
        return chosen

    def _takes(self, conversation_id: str, owner: int, known: bool) -> bool:
        """Whether an id is free, or the owner's already; of one that found no room, what is `known` of it."""
        key = hash(conversation_id)
        if len(self._owners) < self._remembered:
            return self._owners.setdefault(key, owner) == owner
        found = self._owners.get(key)
        return known if found is None else found == owner


def _fitting(name: str) -> str:
    """Return an id that is not longer than one may be; what does not fit is told apart by a digest."""
    if len(name) <= MAX_NAME:
        return name
    digest = blake2b(name.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
    return f"{name[: MAX_NAME - len(digest) - 1]}#{digest}"
