"""Other words for the words of a recording: of the same length, the same case, and the same worth to the engine.

A word of the lexicon becomes another word of the same class (grammar, acknowledgement, very common, common), any other
one an invented word, and a word that tells a failed or waiting result another that tells the same.  A word has one
replacement throughout.
"""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Container, Iterable
from functools import cache
from random import Random
from typing import NamedTuple

from agentbreaker.lexicon import class_of, lexicon, slot_of
from agentbreaker.text import (
    Text,
    cue_words,
    is_silent,
    looks_like_failure,
    looks_like_transient,
    looks_like_waiting,
    undisguised,
)

__all__ = ["LONGEST_KEPT", "Cue", "Slots", "Words", "cased", "cue_of"]

#: Words of at most so many letters may survive.
LONGEST_KEPT = 3

_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_VOWELS = "aeiou"
_CONSONANTS = "bcdfghklmnprstvwz"
#: Invented words that are tried before one that stands for two words is taken.
_TRIES = 300
#: Invented words of a length from which one of a given slot is taken: one or two for each slot.
_BANKED = 12_288
#: Further words by which a result is judged; the patterns hold only a part of each.
_MORE_CUES = (
    "complete",
    "exist",
    "limited",
    "retrying",
    "successful",
    "successfully",
    "temporarily",
    "temporary",
    "throttled",
    "throttling",
    "trying",
)
#: Short words that could make a phrase of another meaning: "no", "not any", "for".
_TELLING = {"any", "by", "for", "no", "nor", "not", "off", "out", "too", "yet"}


class Cue(NamedTuple):
    """How a text is understood as the result of a tool."""

    failure: bool
    waiting: bool
    transient: bool
    silent: bool


_NO_CUE = Cue(False, False, False, False)


def cue_of(content: str) -> Cue:
    """Return what a text says as a result.

    >>> cue_of("timeout")
    Cue(failure=True, waiting=False, transient=True, silent=False)
    """
    text = Text(b"", 0, content)
    return Cue(looks_like_failure(text), looks_like_waiting(text), looks_like_transient(text), is_silent(text))


def cased(model: str, word: str) -> str:
    """Return `word` with capitals where `model` has them.

    >>> cased("PostgreSQL", "dorvankelu"), cased("Would", "to us"), cased("OK", "fine")
    ('DorvankELU', 'To us', 'FINE')
    """
    if len(model) == len(word):
        return "".join(b.upper() if a.isupper() else b for a, b in zip(model, word, strict=True))
    if model.isupper() and len(model) > 1:
        return word.upper()
    return word[:1].upper() + word[1:] if model[:1].isupper() else word


def _class(word: str) -> int:
    return class_of(lexicon()[word.encode("utf-8", "surrogatepass")])


def _stays(word: str) -> bool:
    return len(word) <= LONGEST_KEPT and (len(word) == 1 or word in _known() or word in _cues())


@cache
def _known() -> dict[str, int]:
    """The English words of the lexicon with their class."""
    return {word: _class(word) for word in lexicon().known_words() if word.isascii() and word.isalpha()}


@cache
def _by_class() -> dict[tuple[int, int], list[str]]:
    """The words to choose from, by class and length."""
    found: dict[tuple[int, int], list[str]] = defaultdict(list)
    for word, kind in _known().items():
        if word not in _cues() and len(word) > LONGEST_KEPT:
            found[kind, len(word)].append(word)
    return found


@cache
def _cues() -> dict[str, Cue]:
    """The words by which results are judged, those that only do so in a phrase too."""
    return {word: cue_of(word) for word in sorted(cue_words() | set(_MORE_CUES))}


class Slots:
    """Which words the engine takes for one, as it remembers them in few bits: the same must go for their replacements.

    Without this a replacement would now and then be news where the word was none, and the halt a message later.
    """

    def __init__(self) -> None:
        self._moved: dict[int, int] = {}
        self._taken: set[int] = set()

    def wanted(self, word: str | bytes) -> int | None:
        """The slot that a replacement must have; ``None``: any that is free."""
        return self._moved.get(_slot(word))

    def fit(self, word: str | bytes, other: str | bytes) -> bool:
        """Whether a replacement is told from the others as the word was."""
        wanted, slot = self._moved.get(_slot(word)), _slot(other)
        return slot not in self._taken if wanted is None else slot == wanted

    def alike(self, word: str | bytes, other: str | bytes) -> bool:
        """Whether both are taken for one that came before, or neither is."""
        return (_slot(word) in self._moved) == (_slot(other) in self._taken)

    def take(self, word: str | bytes, other: str | bytes) -> None:
        """Note a replacement."""
        slot = _slot(other)
        self._moved.setdefault(_slot(word), slot)
        self._taken.add(slot)


def _slot(word: str | bytes) -> int:
    return slot_of(word.encode() if isinstance(word, str) else word)


class Words:
    """Replaces words, each by the same word every time.

    Args:
        rng: Draws the replacements.
        originals: Words of the recording that must not appear, in folded case.
        slots: Which words are taken for one.
        words: The words of ASCII letters that will be asked for; those that stay find their slots first.
        judged: Words by which a result is judged, where they do that: elsewhere they are words like any other.
    """

    def __init__(
        self,
        rng: Random,
        originals: frozenset[str],
        slots: Slots,
        words: Iterable[str] = (),
        judged: Container[str] = (),
    ) -> None:
        self._judged = judged
        self._rng = rng
        self._originals = originals
        self._slots = slots
        self._replaced: dict[str, str] = {}
        self._pieces: dict[str, str] = {}
        self._used: set[str] = set()
        self._pools: dict[tuple[int, int], list[str]] = {}
        for word in sorted(words, key=lambda word: not _stays(word.lower())):
            self.of(word)

    def of(self, word: str) -> str:
        """Return the replacement of a word of ASCII letters, in its case; it may be a phrase of short words."""
        key = word.lower()
        found = self._replaced.get(key)
        if found is None:
            found = self._replaced[key] = self._draw(key)
            self._used.add(found)
            if _class(key) and found.isalpha():
                self._slots.take(key, found)
        return cased(word, found)

    def piece(self, letters: str) -> str:
        """Return the replacement of letters that stand within a code such as ``item7``: letters, as many."""
        key = letters.lower()
        found = self._pieces.get(key)
        if found is None:
            found = self._pieces[key] = self._invent(len(key), key, None)
            self._used.add(found)
        return cased(letters, found)

    def foreign(self, word: str) -> str:
        """Return the replacement of a word with letters of another alphabet: as many letters of that alphabet."""
        key = word.lower()
        found = self._replaced.get(key)
        if found is None:
            wanted = _class(key.casefold())
            for attempt in range(_TRIES):
                found = "".join(map(self._like, key))
                fits = found not in self._used and _class(found.casefold()) == wanted
                if found != key and found.casefold() not in self._originals and (fits or attempt > _TRIES // 2):
                    break
            assert found is not None  # noqa: S101 - the loop ran
            self._replaced[key] = found
            self._used.add(found)
        return cased(word, found)

    def phrase(self, phrase: str, cue: Cue) -> str | None:
        """Return a replacement for a phrase by which a result is judged, such as ``not found``; ``None``: none left."""
        key = f" {' '.join(phrase.lower().split())}"
        found = self._replaced.get(key)
        if found is None:
            found = self._telling(len(phrase), cue, frozenset())
            if found is None:
                return None
            self._replaced[key] = found
            self._used.add(found)
        return cased(phrase, found)

    def _draw(self, word: str) -> str:
        known = _known().get(word)
        if _stays(word):
            return word
        cue = cue_of(word) if word in self._judged else _NO_CUE
        if cue != _NO_CUE and (found := self._telling(len(word), cue, frozenset({word}), known)) is not None:
            return found
        kind = _class(word)
        if known is None:
            return self._invent(len(word), word, kind)
        return self._another(word, kind) or self._invent(len(word), word, None)

    def _telling(self, length: int, cue: Cue, but: frozenset[str], kind: int | None = None) -> str | None:
        """A word or phrase that says the same as a result, as long as that is possible."""
        found = [
            word
            for word, says in _cues().items()
            if says == cue and len(word) > LONGEST_KEPT and word not in self._originals and word not in but
        ]
        fresh = [word for word in found if word not in self._used]
        if fresh or (found and cue.waiting):
            self._rng.shuffle(fresh := fresh or found)
            return min(fresh, key=lambda word: (_known().get(word) != kind, abs(len(word) - length)))
        if cue.failure and cue.transient:
            return "503"
        if cue.failure:
            return f"no {self._short(max(1, length - 6))} by" if length >= 7 else "no by"
        if cue.transient:
            return "429"
        return "ok" if cue.silent else None

    def _another(self, word: str, kind: int) -> str | None:
        """Another word of this class: of this length if there is one, else of the nearest."""
        length = len(word)
        if (found := self._pop(word, kind, length)) is not None:
            return found
        if kind == 0:
            # Grammar counts for nothing, so that two short words are worth as much as one long one.
            return self._short(length)
        lengths = sorted(
            {have for known, have in _by_class() if known == kind}, key=lambda have: (abs(have - length), have)
        )
        for near in lengths:
            if (found := self._pop(word, kind, near)) is not None:
                return found
        # All are taken: one then stands for two words.
        same = [found for near in lengths[:3] for found in _by_class()[kind, near] if found not in self._originals]
        return self._rng.choice(same) if same else None

    def _pop(self, word: str, kind: int, length: int) -> str | None:
        pool = self._pools.get((kind, length))
        if pool is None:
            free = [found for found in _by_class().get((kind, length), ()) if found not in self._originals]
            pool = self._pools[kind, length] = free
            self._rng.shuffle(pool)
        pool[:] = [found for found in pool if found not in self._used]
        if not pool:
            return None
        at = next((at for at, found in enumerate(pool) if kind == 0 or self._slots.fit(word, found)), -1)
        return pool.pop(at)

    def _short(self, length: int) -> str:
        """Short words of grammar that together have this length, blanks included."""
        short, found = _short_grammar(), ""
        for _ in range(_TRIES):
            parts, left = [], length
            while left > 0:
                # Never one blank alone at the end.
                fitting = [word for word in short if len(word) == left or len(word) < left - 1]
                parts.append(self._rng.choice(fitting))
                left -= len(parts[-1]) + 1
            found = " ".join(parts)
            if found not in self._used:
                break
        return found

    def _invent(self, length: int, word: str, kind: int | None) -> str:
        """A word that there is not, of this class: to be spoken, or of random letters where the word was."""
        rng = self._rng
        random = kind is not None and kind != _class("zanzibar")
        cues, known = _cues(), _known()
        slot = self._slots.wanted(word) if kind is not None else None
        bank = [] if slot is None or random else _bank(length).get(slot, [])
        found = word
        for attempt in range(2 * _TRIES):
            late = attempt > _TRIES
            if attempt < len(bank):
                found = bank[attempt]
            elif random:
                found = "".join(rng.choices(_LETTERS, k=length))
            else:
                found = _spoken(rng, length)
            if found == word or found in known or found in cues or found in self._originals:
                continue
            if late:
                return found
            if found in self._used or self._parts(found) or (kind is not None and _class(found) != kind):
                continue
            # No word of the bank would do: any is then taken, as there is no other of this slot.
            if kind is None or slot is not None or attempt > _TRIES // 2 or self._slots.fit(word, found):
                return found
        return found

    def _parts(self, word: str) -> list[str]:
        """Words of the recording that this one has in it."""
        originals, length = self._originals, len(word)
        if length > 40:
            return []
        spans = ((a, b) for a in range(length) for b in range(a + LONGEST_KEPT + 1, length + 1))
        return [part for a, b in spans if (part := word[a:b]) in originals]

    def _like(self, letter: str) -> str:
        """A letter, digit or sign of the same alphabet."""
        if letter in _LETTERS:
            return self._rng.choice(_LETTERS)
        if letter.isascii():
            return self._rng.choice("123456789") if letter.isdigit() else letter
        others = _alphabet(ord(letter) & ~0x7F, unicodedata.category(letter))
        return self._rng.choice([other for other in others if other != letter] or list("àâèéêëîôöüû"))


@cache
def _short_grammar() -> list[str]:
    short = [word for word, kind in _known().items() if kind == 0 and len(word) <= LONGEST_KEPT]
    return [word for word in short if word not in _TELLING]


def _spoken(rng: Random, length: int) -> str:
    """Letters that can be spoken."""
    half = (length + 1) // 2
    first, second = rng.choices(_CONSONANTS, k=half), rng.choices(_VOWELS, k=half)
    if rng.random() < 0.5:
        first, second = second, first
    return "".join(map(str.__add__, first, second))[:length]


@cache
def _bank(length: int) -> dict[int, list[str]]:
    """Invented words by slot."""
    rng = Random(length)  # noqa: S311 - no secret
    found: dict[int, list[str]] = defaultdict(list)
    for _ in range(_BANKED):
        word = _spoken(rng, length)
        found[slot_of(word.encode())].append(word)
    return found


@cache
def _alphabet(block: int, category: str) -> list[str]:
    """Letters of one part of Unicode that stay what they are when a text is brought to its canonical form."""
    found = map(chr, range(max(block, 0x80), block + 0x80))
    return [one for one in found if unicodedata.category(one) == category and undisguised(one).casefold() == one]
