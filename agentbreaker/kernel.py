"""The inner loops of a message: compiled where the installation could compile them, else in Python.

The Python here and in :mod:`agentbreaker.text` is the reference.  The compiled extension (``_speed/``) gives the same
answers, bit for bit, and is never needed: where it is missing, of another version, or raises, Python answers.
``AGENTBREAKER_PURE=1`` in the environment, read once when this module is imported, leaves it alone.
"""

from __future__ import annotations

import os
import struct
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypedDict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = [
    "COMPILED",
    "Codes",
    "Table",
    "Weights",
    "count_of",
    "find",
    "information",
    "make_table",
    "pack",
    "pair_sum",
    "remember",
    "unpack",
]

#: Codes of the distinct words of a text, in the order of their first appearance: compiled, they come in four bytes
#: apiece, as a set of integers would cost more than finding them.  See :func:`unpack`.
Codes: TypeAlias = "bytes | list[int]"

#: What the compiled extension must say it is; increased there and here with every change of behaviour or signature.
_VERSION = 3


class Table(Protocol):
    """Codes of tokens: a cache of fixed size in front of a lexicon.

    It computes the codes of plain words itself, if it was told how they are weighed; the lexicon is asked for others.
    """

    def codes(self, raw: bytes, lexicon: Mapping[bytes, int], /) -> bytes:
        """Return the codes of the distinct tokens of ASCII or canonical text, grammar left out."""

    def grammar(self, raw: bytes, lexicon: Mapping[bytes, int], /) -> tuple[int, int]:
        """Return how many tokens of such a text are grammar, and how many there are."""

    def clear(self) -> None:
        """Forget all tokens."""


class _Speed(Protocol):
    """The compiled extension."""

    KERNEL_VERSION: int

    def Table(self, **weights: Any) -> Table: ...  # noqa: N802 - a class of the extension

    def information(
        self, codes: bytes, seen: bytearray, now: int, shift: int, /
    ) -> tuple[int, int, int, list[int] | None]: ...

    def count_of(self, text: str, symbols: bytes, /) -> int: ...

    def pair_sum(self, letters: bytes, odds: bytes, /) -> int: ...

    def remember(self, keys: bytearray, fingerprint: int, limit: int, renew: bool, /) -> bool: ...


def _load() -> _Speed | None:
    if os.environ.get("AGENTBREAKER_PURE", "") not in {"", "0"}:
        return None
    try:
        import _agentbreaker_speed
    except Exception:  # whatever is wrong with it, Python can do without
        return None
    speed: _Speed = _agentbreaker_speed
    # An editable installation keeps the extension that it was made with, whatever the checkout is now.
    return speed if getattr(speed, "KERNEL_VERSION", 0) == _VERSION else None


_speed = _load()
#: Whether the compiled extension is in use.
COMPILED = _speed is not None


class Weights(TypedDict):
    """How the words of a language are weighed; :class:`~agentbreaker.lexicon.Lexicon` says the same in Python."""

    weights: dict[bytes, int]
    odds: bytes
    rare: int
    letter: int
    random: int
    shortest: int
    longest: int
    least: int


def make_table(weights: Weights | None = None) -> Table | None:
    """Return an empty table for one lexicon, ``None`` without the compiled extension.

    Args:
        weights: How words are weighed; without it the lexicon is asked for every token.
    """
    try:
        if _speed is None:
            return None
        return _speed.Table() if weights is None else _speed.Table(**weights)
    except MemoryError:
        return None


def unpack(codes: Codes) -> Sequence[int]:
    """Return codes as integers."""
    return memoryview(codes).cast("I") if isinstance(codes, bytes) else codes


def information(codes: Codes, seen: bytearray, now: int, shift: int) -> tuple[int, int, int, list[int] | None]:
    """Find the words that a conversation has not had lately, and remember them.

    Args:
        codes: Codes of the distinct words of a message (see :mod:`agentbreaker.lexicon`).
        seen: A slot for every word: the number of the generation that heard it last.
        now: Number of the current generation, 1 to 255.
        shift: Bits of a code below its slot.

    Returns:
        The weight of the new words, in sixteenths; how many slots were not taken in this generation or the one
        before; how many were taken in the one before; and the codes of the new numbers, ``None`` if there are none.
    """
    if _speed is not None and isinstance(codes, bytes):
        try:
            return _speed.information(codes, seen, now, shift)
        except Exception:  # noqa: S110 - what is wrong, Python says below
            pass
    return _information(unpack(codes), seen, now, shift)


def _information(codes: Sequence[int], seen: bytearray, now: int, shift: int) -> tuple[int, int, int, list[int] | None]:
    before = now - 1
    words = fresh = renewed = 0
    numbers: list[int] | None = None
    for code in codes:
        slot = code >> shift
        heard = seen[slot]
        if heard == now:
            continue
        seen[slot] = now
        if heard == before:
            renewed += 1
            continue
        fresh += 1
        facts = code & 0xFF
        if facts < 0x80:  # NUMERIC, written out: this runs for every new word
            words += facts
        elif numbers is None:
            numbers = [code]
        else:
            numbers.append(code)
    return words, fresh, renewed, numbers


def count_of(text: str, symbols: bytes) -> int:
    """Return how many characters of ASCII text are among these.

    Raises:
        UnicodeEncodeError: The text is not ASCII.
    """
    if _speed is not None and text.isascii():
        try:
            return _speed.count_of(text, symbols)
        except Exception:  # noqa: S110 - what is wrong, Python says below
            pass
    return _count_of(text, symbols)


def _count_of(text: str, symbols: bytes) -> int:
    return len(text) - len(text.encode("ascii").translate(None, symbols))


def pair_sum(letters: bytes, odds: bytes) -> int:
    """Return the sum of the odds of all pairs of neighbours.

    Args:
        letters: From ``a`` to ``z``.
        odds: For each pair from ``aa`` to ``zz`` a native integer of four bytes.

    Raises:
        KeyError: Other bytes than these letters.
    """
    if _speed is not None:
        try:
            return _speed.pair_sum(letters, odds)
        except Exception:  # noqa: S110 - what is wrong, Python says below
            pass
    return _pair_sum(letters, odds)


def _pair_sum(letters: bytes, odds: bytes) -> int:
    if letters.translate(None, b"abcdefghijklmnopqrstuvwxyz"):
        raise KeyError(letters)
    table = memoryview(odds).cast("i")
    return sum(table[a * 26 + b - _FIRST_PAIR] for a, b in pairwise(letters))


def remember(keys: bytearray, fingerprint: int, limit: int, renew: bool) -> bool:
    """Remember a fingerprint among the latest ones, each of which is there once.

    Args:
        keys: The fingerprints, oldest first, in eight bytes apiece.
        fingerprint: Any integer; its lowest 64 bits count.
        limit: Length of `keys` in bytes at which the oldest makes room.
        renew: Whether one that was there becomes the latest.

    Returns:
        Whether it was there.
    """
    if _speed is not None:
        try:
            return _speed.remember(keys, fingerprint, limit, renew)
        except Exception:  # noqa: S110 - what is wrong, Python says below
            pass
    return _remember(keys, fingerprint, limit, renew)


def _remember(keys: bytearray, fingerprint: int, limit: int, renew: bool) -> bool:
    key = pack(fingerprint)
    at = find(keys, key)
    if at >= 0:
        if renew:
            del keys[at : at + 8]
            keys += key
        return True
    if len(keys) >= limit:
        del keys[:8]
    keys += key
    return False


def pack(fingerprint: int) -> bytes:
    """Return the lowest 64 bits of a fingerprint as eight bytes."""
    return _pack(fingerprint & 0xFFFF_FFFF_FFFF_FFFF)


def find(keys: bytearray, key: bytes) -> int:
    """Position of a fingerprint of eight bytes among others, -1 if it is not there."""
    # Not "in": it first raises, formats and drops a TypeError inside, which costs as much as the search.
    at = keys.find(key)
    while at > 0 and at & 7:  # across the border of two fingerprints
        at = keys.find(key, at + 1)
    return at


_FIRST_PAIR = ord("a") * 27
_pack = struct.Struct("<Q").pack
