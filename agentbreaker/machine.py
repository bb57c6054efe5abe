"""Machine text: code, commands, records and logs, told from prose by what prose cannot do without.

Prose is held together by grammar: a third to a half of its words are articles, prepositions and the like.  Machine
text has next to none of them and is full of symbols instead.  Where a recording does not mark tool calls and results
as such, a participant that speaks nothing but machine text is an environment: what it says is the answer to what was
said to it.  And the code within a message tells by its lines, not by its vocabulary: the next version of a function
says nothing new word by word.
"""

from __future__ import annotations

from zlib import crc32

from agentbreaker.kernel import count_of
from agentbreaker.text import prose_share

__all__ = ["Machines", "code_lines", "is_machine_text", "is_output"]

#: Symbols that prose uses rarely; one character in so many must be one of them.
_SYMBOLS = b'_/\\=<>{}[]|$;#&*+~^@`():"'
_ONE_IN = 25
#: Machine text has less than this share of grammar among its words.
_MOST_PROSE = 0.2
#: And what code has printed, names and sentences of a log included, less than this.
_MOST_GRAMMAR = 0.3
_FENCE, _FENCE_BYTES = "```", b"```"
_BLANKS_AND_DIGITS = b" \t0123456789"
_SHORTEST_LINE = 3
_MOST_LINES = 400
#: A participant's standing as a machine: what it can rise to, and what a message of prose takes away.
_HIGHEST = 6.0
_FIRST = 1.0
_PROSE_COST = 0.5
_MAX_SPEAKERS = 32


def is_machine_text(raw: str) -> bool:
    """Whether a message is code, a command, a record or a log rather than something said.

    >>> is_machine_text('{"order": 1002, "state": "shipped", "items": [3, 4]}')
    True
    >>> is_machine_text("I think that (as you said) the order was shipped: see the state of its items.")
    False
    """
    if not raw.isascii():
        return False
    symbols = count_of(raw, _SYMBOLS)
    if not symbols or symbols * _ONE_IN < len(raw):
        return False
    return prose_share(raw.encode()) < _MOST_PROSE


def is_output(raw: str) -> bool:
    """Whether the answer to a message with code may be what the code has printed: anything but prose.

    >>> is_output("True False FAIL: lookup still present"), is_output("I think that you should not do it this way.")
    (True, False)
    """
    return raw.isascii() and prose_share(raw.encode()) < _MOST_GRAMMAR


def code_lines(raw: str, *, machine: bool) -> list[int]:
    """Fingerprints of the lines of code in a message, figures and blanks left out.

    Args:
        raw: The message.
        machine: All of it is machine text; else only what stands between fences is code.
    """
    if machine:
        parts = [raw]
    elif _FENCE in raw:
        parts = raw.split(_FENCE)[1::2]
    else:
        return []
    lines = []
    for part in parts:
        for line in part.encode("utf-8", "surrogatepass").splitlines()[:_MOST_LINES]:
            bare = line.translate(None, _BLANKS_AND_DIGITS)
            if len(bare) >= _SHORTEST_LINE and not bare.startswith(_FENCE_BYTES):
                lines.append(crc32(bare))
    return lines


class Machines:
    """Who of the participants is a machine: judged by how each has spoken so far."""

    __slots__ = ("_standing",)

    def __init__(self) -> None:
        # Only those who have spoken machine text are kept, so that it is empty in a conversation of people.
        self._standing: dict[str, float] = {}

    def hear(self, speaker: str, *, machine: bool, first: bool, silent: bool = False) -> bool:
        """Take in one message; return whether its speaker is a machine.

        An agent that alternates between a thought and a command never becomes one; an environment that prints a page
        of prose now and then remains one.

        Args:
            speaker: Who speaks.
            machine: Whether the message is machine text.
            first: Whether the speaker has not spoken before.
            silent: Whether the message is empty, as the answer to a command often is: it changes nobody's standing.
        """
        standing = self._standing
        score = standing.get(speaker)
        if silent:
            return score is not None and score > 0.0
        if machine:
            if score is None:
                if len(standing) >= _MAX_SPEAKERS:
                    return False
                score = _FIRST if first else 0.0
            elif score < _HIGHEST:
                score += 1.0
            standing[speaker] = score
            return score > 0.0
        if score is None:
            return False
        if score <= _FIRST:
            # Only its first message was machine text, or not even that: it is one that also has something to say.
            del standing[speaker]
            return False
        standing[speaker] = score - _PROSE_COST
        return True
