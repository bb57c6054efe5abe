"""Which words of a message were said before: what is shown in grey, and what in green.

A word that is new is not yet news: "absolutely" tells nothing.  What a word tells is what the detectors take it for
(:mod:`agentbreaker.lexicon`), so that the page shows what they saw.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from agentbreaker.lexicon import WEIGHT_MASK, WEIGHT_UNIT, lexicon
from agentbreaker.waste.incident_model import Piece

__all__ = ["SaidBefore", "pieces_of", "share_within", "words_of"]

#: Writing without spaces between words, where two characters together stand for a word.
_CJK = "\\u3040-\\u30ff\\u3400-\\u4dbf\\u4e00-\\u9fff\\uf900-\\ufaff\\uac00-\\ud7af"
_PARTS = re.compile(f"(?P<cjk>[{_CJK}])|(?P<word>[^\\W{_CJK}]+)|(?P<between>[^\\w]+)")

#: Words that are remembered of a conversation; one that has said more is told from these.
_MAX_WORDS = 50_000
#: Bytes of a word that are looked at.
_LONGEST_WORD = 64


def _parts(text: str) -> list[tuple[str, str | None]]:
    """Cut a text into parts, each with the word that it stands for; ``None`` for what is between words."""
    found: list[tuple[str, str | None]] = []
    matches = list(_PARTS.finditer(text))
    for number, match in enumerate(matches):
        part = match.group()
        if match.lastgroup == "word":
            found.append((part, part.casefold()))
        elif match.lastgroup == "cjk":
            follower = matches[number + 1] if number + 1 < len(matches) else None
            before = matches[number - 1] if number else None
            if follower is not None and follower.lastgroup == "cjk":
                found.append((part, part + follower.group()))
            elif before is not None and before.lastgroup == "cjk":
                found.append((part, before.group() + part))
            else:
                found.append((part, part))
        else:
            found.append((part, None))
    return found


def words_of(text: str) -> list[str]:
    """Return the words of a text in order, without regard to case; of Chinese and its kin, pairs of characters."""
    return [word for _, word in _parts(text) if word is not None]


class SaidBefore:
    """The words that a conversation has had."""

    __slots__ = ("_words",)

    def __init__(self) -> None:
        # Hashes, not words: fifty thousand of them are two megabytes, however long the words.
        self._words: set[int] = set()

    def add(self, text: str) -> tuple[int, int]:
        """Take a text in; return how many words it has, and how many of them are new and tell something."""
        words = words_of(text)
        fresh = sum(hash(word) not in self._words and _tells(word) for word in words)
        room = _MAX_WORDS - len(self._words)
        if room > 0:
            self._words.update([hash(word) for word in words][:room])
        return len(words), fresh

    def __contains__(self, word: str) -> bool:
        """Whether the word was said."""
        return hash(word) in self._words


def pieces_of(text: str, before: SaidBefore) -> tuple[Piece, ...]:
    """Cut a text into runs of words that were said before, of words that tell something new, and of everyday words.

    What is between two words goes with the first of them, so that the runs are few.

    >>> before = SaidBefore()
    >>> before.add("The plan is fine.")
    (4, 0)
    >>> [(piece.text, piece.new) for piece in pieces_of("The plan is quadratic.", before)]
    [('The plan is ', False), ('quadratic.', True)]
    """
    runs: list[tuple[list[str], tuple[bool, bool]]] = []
    lead: list[str] = []
    for part, word in _parts(text):
        if word is None:
            (runs[-1][0] if runs else lead).append(part)
            continue
        fresh = word not in before
        tells = fresh and _tells(word)
        kind = (tells, fresh and not tells)
        if runs and runs[-1][1] == kind:
            runs[-1][0].append(part)
        else:
            runs.append(([*lead, part], kind))
            lead = []
    if not runs:
        return (Piece(text=text, new=False),) if text else ()
    return tuple(Piece(text="".join(parts), new=new, everyday=everyday) for parts, (new, everyday) in runs)


def _tells(word: str) -> bool:
    """Whether a word is worth a unit of information to the detectors, about that of the thousandth commonest."""
    return lexicon()[word.encode("utf-8", "surrogatepass")[:_LONGEST_WORD]] & WEIGHT_MASK >= WEIGHT_UNIT


def share_within(words: Iterable[str], known: set[str]) -> float:
    """Return the share of `words` that are in `known`, in [0, 1]; 1 if there are none: nothing is as good as the same.

    >>> share_within(["a", "b", "b", "c"], {"a", "b"})
    0.75
    """
    listed = list(words)
    return sum(word in known for word in listed) / len(listed) if listed else 1.0
