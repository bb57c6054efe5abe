"""Seeded conversations to measure with: agents that work, agents that call tools, agents that thank each other.

The work has to be new all the time, or the guard would be measured on a loop.  So a topic lasts for some messages and
brings its own words, drawn from eleven thousand by a Zipf-like law, with names, figures and identifiers of its own:
a long conversation keeps saying things it has not said.  Words, distinct words, figures and characters that JSON has
to escape are as frequent as in recorded conversations.  Nothing here is random from run to run.
"""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from importlib import resources
from itertools import accumulate
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Looping", "Productive", "lines_of"]

_GRAMMAR_WORDS = (
    "the of to and a in is for on that with it as be this are by at from or an we not have has was will can should if "
    "which so but all there then into its they you i more when than been were now only also after each both no do"
)
_FUNCTION_WORDS = _GRAMMAR_WORDS.split()
#: Share of grammar in running English text, and messages that stay with a topic.
_GRAMMAR = 0.45
_TOPIC_MESSAGES = 12
_TOPIC_WORDS = 700
#: In content words: a figure, a name and an identifier each once in so many.
_FIGURES, _NAMES, _IDENTIFIERS = 14, 16, 30
_NAME_PARTS = "ka lo mi ren tas ver dun ost bel gra nim por sel thu wex yor zan cor fi hul"
_SYLLABLES = _NAME_PARTS.split()
_SENTENCE_ENDS = (".", ".", ".\n", ".\n\n", ":\n-")
_UNITS = ("", " ms", " %", " rows", " files", " EUR")
_START = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
_AGENTS = ("planner", "coder", "reviewer", "tester", "researcher", "writer")


def _vocabulary() -> list[str]:
    text = resources.files("agentbreaker").joinpath("data", "common_words.txt").read_text("ascii")
    return [word for line in text.splitlines() if not line.startswith("#") for word in line.split()]


def _zipf(count: int) -> list[float]:
    """Cumulative weights 1 / (rank + 2)."""
    return list(accumulate(1.0 / (rank + 2) for rank in range(count)))


class _Words:
    """Endless words of one writer: grammar by a Zipf-like law, content by topics that change."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self._vocabulary = _vocabulary()
        self._grammar_weights = _zipf(len(_FUNCTION_WORDS))
        self._topic_weights = _zipf(_TOPIC_WORDS)
        self._left = 0
        self._topic: list[str] = []
        self._names: list[str] = []

    def _turn_topic(self) -> None:
        rng = self.rng
        self._topic = rng.sample(self._vocabulary, _TOPIC_WORDS)
        self._names = ["".join(rng.choices(_SYLLABLES, k=rng.choice((2, 3)))).capitalize() for _ in range(12)]
        self._left = _TOPIC_MESSAGES

    def text(self, characters: int) -> str:
        """One message of exactly so many characters, in sentences."""
        if self._left == 0:
            self._turn_topic()
        self._left -= 1
        rng = self.rng
        count = characters // 4
        grammar = rng.choices(_FUNCTION_WORDS, cum_weights=self._grammar_weights, k=count)
        content = rng.choices(self._topic, cum_weights=self._topic_weights, k=count)
        dice = [rng.random() for _ in range(count)]
        words: list[str] = []
        length = 0
        start = True
        for die, plain, special in zip(dice, grammar, content, strict=True):
            word = plain if die < _GRAMMAR else self._content_word(special)
            if start:
                word = word.capitalize()
            start = die > 0.93
            if start:
                word += rng.choice(_SENTENCE_ENDS)
            elif die > 0.88:
                word += ","
            elif die > 0.86:
                word = f'"{word}"'
            words.append(word)
            length += len(word) + 1
            if length > characters:
                break
        return " ".join(words)[:characters].ljust(characters, ".")

    def _content_word(self, word: str) -> str:
        rng = self.rng
        die = rng.random()
        if die < 1 / _FIGURES:
            return f"{rng.randrange(1, 10 ** rng.choice((1, 2, 3, 4)))}{rng.choice(_UNITS)}"
        if die < 1 / _FIGURES + 1 / _NAMES:
            return rng.choice(self._names)
        if die < 1 / _FIGURES + 1 / _NAMES + 1 / _IDENTIFIERS:
            return f"{rng.choice(self._topic)}_{word}"
        return word


class Productive:
    """Agents that get on with their work: transcript lines as plain data, without end.

    Args:
        conversation_id: Id on every line.
        characters: Length of every message.
        seed: Another seed, other messages.
        tools: After every message, two tool calls with their results.
    """

    def __init__(self, conversation_id: str, characters: int, *, seed: int = 1, tools: bool = False) -> None:
        self._conversation_id = conversation_id
        self._characters = characters
        self._words = _Words(seed)
        self._tools = tools

    def __iter__(self) -> Iterator[dict[str, Any]]:
        rng = self._words.rng
        sender = _AGENTS[0]
        number = 0
        while True:
            recipient = rng.choice([agent for agent in _AGENTS if agent != sender])
            yield self._line(number, sender, recipient, "message")
            number += 1
            if self._tools:
                for _ in range(2):
                    yield self._line(number, sender, "search", "tool_call", call=number)
                    yield self._line(number + 1, "search", sender, "tool_result", call=number)
                    number += 2
            sender = recipient

    def _line(self, number: int, sender: str, recipient: str, kind: str, *, call: int | None = None) -> dict[str, Any]:
        characters = self._characters // 3 if kind == "tool_call" else self._characters
        text = self._words.text(characters)
        line = _line(self._conversation_id, number, sender, recipient, kind, text)
        if call is not None:
            line["tool"] = {"name": "search", "call_id": f"call-{call}"}
        return line


class Looping:
    """Two agents that thank each other in ever other words: transcript lines as plain data, without end."""

    _OPENINGS = (
        "Great, ",
        "Perfect, ",
        "Excellent, ",
        "Wonderful, ",
        "Absolutely, ",
        "Indeed, ",
        "Yes, ",
        "Of course, ",
    )
    _THANKS = (
        "thank you so much for the confirmation",
        "I really appreciate your help with this",
        "many thanks to you and the whole team",
        "it was a pleasure to work with you",
        "I am glad that we agree on everything",
        "your support is very much appreciated",
    )
    _OFFERS = (
        "please feel free to let me know if there is anything else",
        "do not hesitate to ask if you have any more questions",
        "I am always happy to help with anything",
        "looking forward to our next collaboration",
        "let me know if you need any further assistance",
    )

    def __init__(self, conversation_id: str, characters: int, *, seed: int = 1) -> None:
        self._conversation_id = conversation_id
        self._characters = characters
        self._rng = random.Random(seed)

    def _text(self) -> str:
        rng = self._rng
        text = ""
        while len(text) < self._characters:
            text += f"{rng.choice(self._OPENINGS)}{rng.choice(self._THANKS)}, and {rng.choice(self._OFFERS)}. "
        return text[: self._characters]

    def __iter__(self) -> Iterator[dict[str, Any]]:
        number = 0
        while True:
            sender, recipient = ("ann", "bob") if number % 2 == 0 else ("bob", "ann")
            yield _line(self._conversation_id, number, sender, recipient, "message", self._text())
            number += 1


def _line(conversation_id: str, number: int, sender: str, recipient: str, kind: str, content: str) -> dict[str, Any]:
    return {
        "conversation_id": conversation_id,
        "sender": sender,
        "recipient": recipient,
        "kind": kind,
        "content": content,
        "message_id": f"{conversation_id}-{number}",
        "timestamp": (_START + timedelta(seconds=2 * number)).isoformat(),
        "usage": {"input_tokens": 400 + len(content) * (number % 50) // 4, "output_tokens": len(content) // 4},
    }


def lines_of(conversation: Iterator[dict[str, Any]], count: int) -> list[dict[str, Any]]:
    """The next `count` lines of a conversation."""
    return [next(conversation) for _ in range(count)]
