"""Which files are one Claude Code session: its own, and those of its subagents.

Today they are ``<session>/subagents/agent-*.jsonl``; before, ``agent-*.jsonl`` lay beside the session, which only their
lines name.
"""

from __future__ import annotations

import os
from functools import lru_cache
from itertools import islice
from typing import Final

from agentbreaker.transcripts.records import parse_value
from agentbreaker.transcripts.schema import UnreadableError
from agentbreaker.transcripts.source import CHUNK
from agentbreaker.transcripts.values import mapping_of, name_of

__all__ = ["session_file_of", "subagent_files", "subagent_type"]

_MAX_SIBLINGS: Final = 10_000
#: Lines at the beginning of a subagent's file that may not name the session.
_MAX_LINES: Final = 5


def subagent_files(path: str) -> dict[str, str]:
    """Files of the subagents of a session by their id; nothing in the session's own file says where to look."""
    if not path.endswith(".jsonl"):
        return {}
    found = {}
    beside, session = os.path.split(path)
    if not _is_subagent(session):
        for name in _names(beside or "."):
            file = os.path.join(beside, name)
            if session_file_of(file) == path:
                found[_id_of(name)] = file
    folder = os.path.join(path.removesuffix(".jsonl"), "subagents")
    return found | {_id_of(name): os.path.join(folder, name) for name in _names(folder)}


def session_file_of(path: str) -> str | None:
    """The session with which the file of a subagent is read, and so would count twice by itself."""
    folder, name = os.path.split(path)
    if not _is_subagent(name):
        return None
    if os.path.basename(folder) == "subagents":
        return f"{os.path.dirname(folder)}.jsonl"
    try:
        session = _session_in(path, os.stat(path).st_mtime_ns)
    except OSError:
        return None
    return None if session is None else os.path.join(folder, f"{session}.jsonl")


@lru_cache(maxsize=_MAX_SIBLINGS)
def _session_in(path: str, changed: int) -> str | None:
    """The id of the session that the first lines of a file name; every session beside it asks for it."""
    with open(path, "rb") as file:
        lines = list(islice(iter(lambda: file.readline(CHUNK), b""), _MAX_LINES))
    for line in lines:
        try:
            session = mapping_of(parse_value(line)).get("sessionId")
        except UnreadableError:
            continue
        # Only a name: what is in a file never leads elsewhere.
        if isinstance(session, str) and session == os.path.basename(session):
            return session
    return None


def subagent_type(path: str) -> str | None:
    """The type of a subagent, from the small file that may lie beside its lines."""
    try:
        with open(f"{path.removesuffix('.jsonl')}.meta.json", "rb") as file:
            meta = mapping_of(parse_value(file.read(CHUNK)))
            return name_of(meta.get("name"), "name") or name_of(meta.get("agentType"), "agentType")
    except (OSError, UnreadableError):
        return None


def _names(folder: str) -> list[str]:
    try:
        return sorted(filter(_is_subagent, os.listdir(folder)))[:_MAX_SIBLINGS]
    except OSError:
        return []


def _is_subagent(name: str) -> bool:
    return name.startswith("agent-") and name.endswith(".jsonl")


def _id_of(name: str) -> str:
    return name.removeprefix("agent-").removesuffix(".jsonl")
