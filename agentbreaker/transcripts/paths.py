"""Which files the user means: names, globs, folders, standard input."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from typing import Final

from agentbreaker.errors import TranscriptError
from agentbreaker.transcripts.claude_files import session_file_of

__all__ = ["FoundFile", "expand_paths"]

#: Names of recordings end so; text may be packed.
_TEXT: Final = (".csv", ".json", ".jsonl", ".log", ".ndjson", ".tsv")
_BINARY: Final = (".db", ".eval", ".parquet", ".sqlite", ".sqlite3")
_SUFFIXES: Final = (*_TEXT, *_BINARY, *(f"{suffix}.gz" for suffix in _TEXT))


class FoundFile(str):
    """A file among others of a folder: nobody named it, so it is no error if it is no recording."""

    __slots__ = ()


def expand_paths(patterns: Sequence[str]) -> list[str]:
    """Return the files that the arguments of a command line mean, in their order, each file once.

    A directory stands for the files in it and in its folders whose names end as those of recordings do, each a
    :class:`FoundFile`; hidden files and folders are left out.  ``*``, ``?``, ``[...]`` and ``**`` work also where no
    shell has expanded them; ``"-"`` is standard input.  Directories and patterns are sorted by name.  Files of Claude
    Code's subagents are left out where their session is read, which reads them too.

    Raises:
        TranscriptError: A pattern that matches no file.
    """
    found: dict[str, str] = {}
    for pattern in patterns:
        if pattern == "-":
            names = ["-"]
        elif os.path.isdir(pattern):
            names = sorted(_recordings_in(pattern))
            if not names:
                known = ", ".join(f"*{suffix}" for suffix in (*_TEXT, *_BINARY))
                raise TranscriptError(f"no recording in this directory ({known}; text also *.gz)", path=pattern)
            # The only file of a folder is meant as if it was named.
            names = [FoundFile(name) for name in names] if len(names) > 1 else names
        elif os.path.exists(pattern):
            names = [pattern]
        else:
            names = sorted(name for name in glob.glob(pattern, recursive=True) if not os.path.isdir(name))
            if not names:
                raise TranscriptError("matches no file" if glob.has_magic(pattern) else "no such file", path=pattern)
        for name in names:
            found.setdefault("-" if name == "-" else os.path.realpath(name), name)
    return [name for real, name in found.items() if session_file_of(real) not in found]


def _recordings_in(folder: str) -> Iterator[str]:
    """Files in a folder and its folders that may be recordings."""
    for path, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            if name.startswith(".") or not name.lower().endswith(_SUFFIXES):
                continue
            # What Claude Code notes of a subagent is read with it.
            if name.endswith(".meta.json") and os.path.basename(path) == "subagents":
                continue
            if os.path.isfile(own := os.path.join(path, name)):
                yield own
