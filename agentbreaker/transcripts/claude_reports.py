"""What other agents report to a Claude Code session: it stands in lines of the user, who did not say it.

A teammate's message is wrapped as ``<teammate-message teammate_id="name">``, the end of a task in the background as
``<task-notification>``, and newer lines name the one that it is from in ``origin``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from agentbreaker.transcripts.values import mapping_of

__all__ = ["is_task", "reports_in"]

_TEAMMATE: Final = "<teammate-message "
_NOTIFICATION: Final = "<task-notification>"
_MAX_REPORTS: Final = 1000
#: What a teammate's machinery says to that of the others.
_SILENT: Final = "_notification"


def is_task(text: str) -> bool:
    """Whether a line of the user says that a task in the background has ended."""
    return text.lstrip().startswith(_NOTIFICATION)


def reports_in(text: str, origin: Mapping[str, Any]) -> list[tuple[str, str]] | None:
    """Return who reports what in a line of the user; ``None`` where the user speaks.

    Args:
        text: The text of the line.
        origin: What the line says of where it is from.
    """
    if _TEAMMATE in text:
        return [one for one in _teammates(text) if one[1]]
    if is_task(text):
        words = _between(text, "<result>", "</result>") or _between(text, "<summary>", "</summary>")
        return [(_between(text, "<task-id>", "</task-id>").strip(), words.strip())] if words else []
    sender = origin.get("from")
    return [(sender, text)] if origin.get("kind") == "peer" and isinstance(sender, str) else None


def _teammates(text: str) -> Iterator[tuple[str, str]]:
    begin = text.find(_TEAMMATE)
    for _ in range(_MAX_REPORTS):
        head = text.find(">", begin)
        if begin < 0 or head < 0:
            return
        after = text.find(_TEAMMATE, head)
        last = len(text) if after < 0 else after
        end = text.find("</teammate-message>", head, last)
        words = text[head + 1 : last if end < 0 else end].strip()
        # One teammate tells another in JSON that it is idle: that is nothing said.
        kind = mapping_of(words).get("type")
        silent = isinstance(kind, str) and kind.endswith(_SILENT)
        yield _between(text[begin:head], 'teammate_id="', '"'), "" if silent else words
        begin = after


def _between(text: str, before: str, after: str) -> str:
    begin = text.find(before)
    end = text.find(after, begin + len(before))
    return text[begin + len(before) : end] if 0 <= begin < end else ""
