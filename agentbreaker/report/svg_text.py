"""How wide a label is going to be, so that a drawing made without a browser leaves room for it."""

from __future__ import annotations

import unicodedata
from typing import Final

from agentbreaker.printable import printable

__all__ = ["fit", "width_of"]

_NARROW: Final = frozenset("ijltfr.,:;|!'` ()[]")
_BROAD: Final = frozenset("mwMWQO@%&—…→⇄≈")


def width_of(text: str, size: float) -> float:
    """Return the width of a text in pixels, rather too much than too little.

    Args:
        text: One line.
        size: Of the letters, in pixels.
    """
    return size * sum(map(_em, text))


def _em(character: str) -> float:
    if character in _NARROW:
        return 0.42
    if character in _BROAD or unicodedata.east_asian_width(character) in "WF":
        return 1.02
    return 0.72 if character.isupper() else 0.65


def fit(text: str, size: float, width: float) -> str:
    """Return a text made safe to show and cut to `width` pixels, with an ellipsis for what is missing.

    >>> fit("planner", 13, 100), fit("a-very-long-name-of-an-agent", 13, 100)
    ('planner', 'a-very-lon…')
    """
    shown = printable(text, limit=100) or "(empty)"
    if width_of(shown, size) <= width:
        return shown
    room = width - width_of("…", size)
    for end, character in enumerate(shown):
        room -= size * _em(character)
        if room < 0:
            return shown[:end].rstrip() + "…"
    return shown
