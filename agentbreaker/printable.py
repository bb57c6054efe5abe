"""Text from outside, made safe to show: in a log line, a terminal, a report.

Names of agents and ids of conversations come from messages, that is, from models and from strangers.  Shown as they
are, they could forge a log line, colour a terminal, turn the reading direction or hide a second name.
"""

from __future__ import annotations

import re

__all__ = ["printable"]

# Code points that move the cursor, end a line, turn the direction, or cannot be seen.
_UNSAFE = re.compile(
    "["
    "\\x00-\\x1f"  # C0 controls, with ESC, tab and the line ends
    "\\x7f-\\x9f"  # DEL and C1 controls
    "\\u00ad"  # soft hyphen
    "\\u034f"  # combining grapheme joiner
    "\\u061c"  # Arabic letter mark
    "\\u115f\\u1160\\u3164\\uffa0"  # Hangul fillers
    "\\u17b4\\u17b5"  # invisible Khmer vowels
    "\\u180b-\\u180f"  # Mongolian variation selectors
    "\\u200b-\\u200f"  # zero-width characters and direction marks
    "\\u2028-\\u202e"  # line and paragraph separators, direction embeddings
    "\\u2060-\\u206f"  # word joiner, invisible operators, direction isolates
    "\\u2800"  # blank braille pattern
    "\\ud800-\\udfff"  # lone surrogates
    "\\ufdd0-\\ufdef"  # never characters
    "\\ufeff"  # byte order mark
    "\\ufff0-\\ufffb\\ufffe\\uffff"  # interlinear annotation, never characters
    "\\U0001bca0-\\U0001bca3"  # shorthand format controls
    "\\U0001d173-\\U0001d17a"  # musical format controls
    "\\U000e0000-\\U000e0fff"  # tags and variation selectors, which can carry a hidden text
    "]"
)
_SHORT = {"\t": "\\t", "\n": "\\n", "\r": "\\r"}
_ELLIPSIS = "…"


def _escape(match: re.Match[str]) -> str:
    """Write one unsafe character the way Python would in a string literal."""
    character = match.group()
    short = _SHORT.get(character)
    if short is not None:
        return short
    code = ord(character)
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def printable(text: str, limit: int = 200) -> str:
    r"""Return `text` on one physical line, with everything that is unsafe to show escaped, cut to `limit` characters.

    Escaped are control characters (with ESC), every kind of line end, marks that turn the reading direction,
    characters that cannot be seen, and lone surrogates, so that the result can always be encoded.  All other writing
    is left alone, Chinese included.  What was cut is marked by an ellipsis.  Work and result are bounded by `limit`,
    however long the text is.  The escape is for the eye and cannot be undone: a backslash stays a backslash.

    >>> print(printable("planner\n2026-01-01 ERROR forged"))
    planner\n2026-01-01 ERROR forged
    >>> print(printable("\x1b[31mred"))
    \x1b[31mred
    >>> print(printable("规划者 → 审核者"), printable("abcdef", limit=4))
    规划者 → 审核者 abc…
    """
    # One character more than is shown: enough to know that something was cut.
    safe = _UNSAFE.sub(_escape, text[: limit + 1])
    if len(safe) <= limit:
        return safe
    return _cut(text[: limit + 1], limit)


def _cut(text: str, limit: int) -> str:
    """Escape as much of `text` as fits before an ellipsis, without splitting an escape."""
    room = limit - len(_ELLIPSIS)
    parts: list[str] = []
    for character in text:
        part = _UNSAFE.sub(_escape, character)
        room -= len(part)
        if room < 0:
            break
        parts.append(part)
    return "".join(parts) + _ELLIPSIS if limit > 0 else ""
