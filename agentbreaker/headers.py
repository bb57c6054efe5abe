"""Templated headers: the state, the goal, the list of agents that some systems put on top of every message.

A header says the same each time but for its figures.  It would drown what a message brings, and its counters would
pass for news, so it is taken off before the message is measured.  Only leading lines count: what is repeated in the
middle of a message is what the agent says.
"""

from __future__ import annotations

from zlib import crc32

from agentbreaker.text import Recent

__all__ = ["Headers"]

#: Lines at the top that are looked at, lines that make a header, and lines that are remembered.
_MOST_LINES = 24
_SHORTEST = 2
_REMEMBERED = 96
_DIGITS = b"0123456789"


class Headers:
    """Remembers the first lines of one conversation's messages, figures left out, in bounded memory."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known = Recent(_REMEMBERED)

    def take_off(self, content: str) -> str:
        r"""Return the message without the leading lines that earlier messages had too; remember its lines.

        A header is known from the third message that bears it.

        >>> headers = Headers()
        >>> _ = headers.take_off("Goal: sell the boat\nStep: 1 of 9\nThe hull leaks.")
        >>> _ = headers.take_off("Goal: sell the boat\nStep: 2 of 9\nThe mast is fine.")
        >>> headers.take_off("Goal: sell the boat\nStep: 3 of 9\nA welder comes on Friday.")
        'A welder comes on Friday.'
        """
        # Most messages have no header: their first line is new, and one look at it is all that they cost.
        if not self._known.add(_key(content[: content.find("\n")])):
            return content
        lines = content.split("\n", _MOST_LINES)
        known = 1
        at_top = True
        for number, line in enumerate(lines[1:_MOST_LINES], start=1):
            heard = self._known.add(_key(line))
            if at_top and heard:
                known = number + 1
            else:
                at_top = False
        return content if known < _SHORTEST else "\n".join(lines[known:])


def _key(line: str) -> int:
    """Fingerprint of a line, figures left out."""
    line = line.strip()
    # Naming an error handler costs as much as the encoding itself, and only surrogates need one.
    raw = line.encode() if line.isascii() else line.encode("utf-8", "surrogatepass")
    return crc32(raw.translate(None, _DIGITS))
