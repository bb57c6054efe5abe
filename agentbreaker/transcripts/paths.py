"""Which files the user means: names, globs, folders, standard input."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence

from agentbreaker.errors import TranscriptError

__all__ = ["expand_paths"]


def expand_paths(patterns: Sequence[str]) -> list[str]:
    """Return the files that the arguments of a command line mean, in their order, each file once.

    A directory stands for the ``*.jsonl`` and ``*.jsonl.gz`` in it; ``*``, ``?``, ``[...]`` and ``**`` work also
    where no shell has expanded them; ``"-"`` is standard input.  Directories and patterns are sorted by name.  Files of
    Claude Code's subagents are left out where their session is read, which reads them too.

    Raises:
        TranscriptError: A pattern that matches no file.
    """
    found: dict[str, str] = {}
    for pattern in patterns:
        if pattern == "-":
            names = ["-"]
        elif os.path.isdir(pattern):
            names = sorted(
                entry.path
                for entry in os.scandir(pattern)
                if entry.name.endswith((".jsonl", ".jsonl.gz")) and entry.is_file()
            )
            if not names:
                raise TranscriptError("no *.jsonl or *.jsonl.gz in this directory", path=pattern)
        elif os.path.exists(pattern):
            names = [pattern]
        else:
            names = sorted(name for name in glob.glob(pattern, recursive=True) if not os.path.isdir(name))
            if not names:
                raise TranscriptError("matches no file" if glob.has_magic(pattern) else "no such file", path=pattern)
        for name in names:
            found.setdefault("-" if name == "-" else os.path.realpath(name), name)
    return [name for real, name in found.items() if _session_of(real) not in found]


def _session_of(path: str) -> str | None:
    """The Claude Code session with which the file of a subagent is read, and so would count twice by itself."""
    folder, name = os.path.split(path)
    if os.path.basename(folder) == "subagents" and name.startswith("agent-") and name.endswith(".jsonl"):
        return f"{os.path.dirname(folder)}.jsonl"
    return None
