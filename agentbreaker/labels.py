"""What people know about recorded conversations: which are runaways, from which message on, and which are legitimate.

Two forms are read.  A *labels file* is JSON Lines, one conversation a line::

    {"conversation_id": "run-17", "role": "positive", "onset": 12, "family": "confirmation"}
    {"conversation_id": "run-18", "role": "negative", "source": "support"}
    {"conversation_id": "run-19", "role": "ignore"}

And a folder with a ``scenario.toml`` labels its own transcripts, as the folder ``scenarios`` of this project does.  A
transcript in such a folder is labelled by it, whichever way it was named on the command line.  A scenario with a
``policy`` or an ``embedder`` of its own is neither right nor wrong to halt under another: its role is ``ignore``.

Reasons name file, line and field, never what was found there.
"""

from __future__ import annotations

import enum
import gzip
import os
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from agentbreaker.errors import TranscriptError
from agentbreaker.scenario import SCENARIO, TOLERANCE, Table, read_tables, stem_of
from agentbreaker.transcripts import expand_paths

__all__ = ["TOLERANCE", "Label", "Labels", "Role", "expand_corpus", "read_labels"]

#: Family of a runaway that was given none.
UNNAMED = "runaway"

_MAX_LINE_BYTES = 1024 * 1024
_GZIP_MAGIC = b"\x1f\x8b"


class Role(enum.StrEnum):
    """What a conversation is: a runaway, legitimate, or neither right nor wrong to halt."""

    POSITIVE = "positive"
    NEGATIVE = "negative"
    IGNORE = "ignore"


@dataclass(slots=True, frozen=True)
class Label:
    """What is known of one conversation.

    Attributes:
        conversation_id: The conversation.
        role: What it is.
        onset: Number of the first message that belongs to the loop; ``None`` where that is not known.
        earliest: Number of the first message on which a halt is right.  An earlier one stops honest work.
        family: What kind of runaway it is.
        source: Where a legitimate conversation comes from; ``None``: its file.
        path: File of the label; empty where nobody has labelled the conversation and it is taken as legitimate.
        line: Its line there, counted from 1; ``None`` in a ``scenario.toml``.
        succeeded: Whether the recorded run reached its goal (``correct``, or ``reward`` of 1 or more); ``None`` where
            that is not recorded.
    """

    conversation_id: str
    role: Role
    onset: int | None = None
    earliest: int = 0
    family: str = UNNAMED
    source: str | None = None
    path: str = ""
    line: int | None = None
    succeeded: bool | None = None

    def check(self, messages: int) -> None:
        """Raise :class:`TranscriptError` if the loop would begin behind the end of a conversation of `messages`."""
        for field, value in (("onset", self.onset), ("halt_from", self.earliest)):
            if self.role is Role.POSITIVE and value is not None and value >= messages:
                reason = f"{value} is beyond the conversation, which has {messages} messages, numbered from 0"
                raise TranscriptError(reason, path=self.path, line=self.line, field=field)


class Labels:
    """The labels of a set of transcripts.

    Args:
        path: Labels file; ``None``: whatever no ``scenario.toml`` labels is taken as legitimate.

    Raises:
        TranscriptError: As :func:`read_labels`.
    """

    def __init__(self, path: str | os.PathLike[str] | None = None) -> None:
        self._assume_legitimate = path is None
        self._listed: dict[str, Label] = {}
        for label in () if path is None else read_labels(path):
            self._listed[label.conversation_id] = label
        self._folders: dict[str, dict[str, dict[str, Label]] | None] = {}
        self._met: dict[int, str] = {}
        self._sources: set[str] = set()

    def of(self, source: str, conversation_id: str) -> Label | None:
        """Return the label of a conversation, ``None`` if nobody has labelled it.

        Args:
            source: The file that the conversation is in.
            conversation_id: Its id.

        Raises:
            TranscriptError: The ``scenario.toml`` beside the file cannot be used, or the label has been asked for
                before: its id stands for two conversations.
        """
        self._sources.add(source)
        tables = self._tables_beside(source)
        listed = self._listed.get(conversation_id)
        if tables is None:
            if self._assume_legitimate:
                return Label(conversation_id, Role.NEGATIVE)
            label = listed
        else:
            label = tables.get(stem_of(source), {}).get(conversation_id)
            if label is not None and listed is not None:
                raise TranscriptError(
                    f"labelled in {label.path} already", path=listed.path, line=listed.line, field="conversation_id"
                )
            label = label or listed
        if label is None:
            return None
        before = self._met.setdefault(id(label), source)
        if before != source:
            reason = f"stands for two conversations, one in {before} and one in {source}"
            raise TranscriptError(reason, path=label.path, line=label.line, field="conversation_id")
        return label

    def unmet(self) -> list[Label]:
        """Return the labels that no conversation has asked for, in their order.

        Of a scenario folder only those whose transcript was read, or is not there at all.
        """
        unmet = [label for label in self._listed.values() if id(label) not in self._met]
        for folder, tables in self._folders.items():
            if tables is None:
                continue
            unread = {stem_of(name) for name in os.listdir(folder or ".") if ".jsonl" in name}
            unread -= {stem_of(source) for source in self._sources if os.path.dirname(source) == folder}
            for name, table in tables.items():
                if name not in unread:
                    unmet += [label for label in table.values() if id(label) not in self._met]
        return unmet

    def _tables_beside(self, source: str) -> dict[str, dict[str, Label]] | None:
        """Return the labels of the folder that the file is in, ``None`` where there is no ``scenario.toml``."""
        if source == "-":
            return None
        folder = os.path.dirname(source)
        if folder not in self._folders:
            path = os.path.join(folder, SCENARIO)
            self._folders[folder] = _labels_of_folder(path) if os.path.isfile(path) else None
        return self._folders[folder]


def expand_corpus(patterns: Sequence[str]) -> list[str]:
    """Return the transcripts that the arguments mean: as ``expand_paths``, and folders of scenario folders too.

    A folder with ``*.jsonl`` or ``*.jsonl.gz`` in it stands for these: each of them belongs to the corpus, and one that
    cannot be read is missed.

    Raises:
        TranscriptError: A pattern that matches no file.
    """
    wider: list[str] = []
    for pattern in patterns:
        folders = []
        if os.path.isdir(pattern):
            with os.scandir(pattern) as entries:
                names = sorted(entry.path for entry in entries if entry.is_dir())
            folders = [name for name in names if os.path.isfile(os.path.join(name, SCENARIO))]
            if folders and _transcripts_in(pattern):
                folders.insert(0, pattern)
        for name in folders or [pattern]:
            wider += _transcripts_in(name) or [name]
    return expand_paths(wider)


def _transcripts_in(folder: str) -> list[str]:
    if not os.path.isdir(folder):
        return []
    with os.scandir(folder) as entries:
        return sorted(one.path for one in entries if one.name.endswith((".jsonl", ".jsonl.gz")) and one.is_file())


# ---------------------------------------------------------------------- the labels file


class _Line(BaseModel):
    """One line of a labels file; ``null`` in an optional field means that it is absent, unknown fields are ignored."""

    model_config = ConfigDict(strict=True, extra="ignore")

    conversation_id: str = Field(min_length=1)
    role: Literal["positive", "negative", "ignore"]
    onset: int | None = Field(None, ge=0)
    family: str | None = Field(None, min_length=1, max_length=200)
    source: str | None = Field(None, min_length=1, max_length=200)
    # What the producer recorded, in whatever form: it is only looked at, and never a reason to refuse the line.
    reward: Any = None
    correct: Any = None


_validate = TypeAdapter(_Line).validate_json


def read_labels(path: str | os.PathLike[str]) -> Iterator[Label]:
    """Yield the labels of a file in JSON Lines, plain or gzip.

    Raises:
        TranscriptError: On first use of the iterator: the file cannot be read.  Later: a line that is no label
            (``role`` is none of the three words, ``onset`` no message number, ...), or a second label of a
            conversation.  Names file, line and field.
    """
    name = os.fspath(path)
    seen: dict[str, int] = {}
    number = 0
    try:
        with _open(name) as file:
            while line := file.readline(_MAX_LINE_BYTES + 1):
                number += 1
                if len(line) > _MAX_LINE_BYTES:
                    raise TranscriptError("longer than 1 MiB", path=name, line=number)
                if line.isspace():
                    continue
                label = _label(line, name, number)
                first = seen.setdefault(label.conversation_id, number)
                if first != number:
                    reason = f"labelled in line {first} already"
                    raise TranscriptError(reason, path=name, line=number, field="conversation_id")
                yield label
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise TranscriptError("gzip that is cut or corrupt", path=name, line=number or None) from None
    except OSError as error:
        raise TranscriptError(f"cannot be read: {error.strerror}", path=name) from None
    if not seen:
        raise TranscriptError("holds no label", path=name)


def _open(name: str) -> BinaryIO:
    file = open(name, "rb")  # noqa: SIM115 - the caller closes it
    try:
        packed = file.read(2) == _GZIP_MAGIC
        file.seek(0)
    except BaseException:
        file.close()
        raise
    if packed:
        file.close()
        return cast(BinaryIO, gzip.open(name, "rb"))
    return file


def _label(line: bytes, path: str, number: int) -> Label:
    try:
        entry = _validate(line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line)
    except (ValidationError, RecursionError) as error:
        field, reason = None, "nested too deeply"
        if isinstance(error, ValidationError):
            problem = error.errors(include_url=False, include_input=False)[0]
            field = ".".join(map(str, problem["loc"])) or None
            reason = "missing" if problem["type"] == "missing" else problem["msg"]
            if problem["type"] == "json_invalid":
                field, reason = None, "not JSON"
        raise TranscriptError(reason, path=path, line=number, field=field) from None
    onset = entry.onset or 0
    return Label(
        entry.conversation_id,
        Role(entry.role),
        onset,
        max(0, onset - TOLERANCE),
        entry.family or UNNAMED,
        entry.source,
        path,
        number,
        _succeeded(entry),
    )


def _succeeded(entry: _Line) -> bool | None:
    """Whether the run reached its goal, ``None`` if neither of both fields says so."""
    if isinstance(entry.correct, bool):
        return entry.correct
    reward = entry.reward
    return reward >= 1 if isinstance(reward, int | float) and not isinstance(reward, bool) else None


# ---------------------------------------------------------------------- scenario folders


def _labels_of_folder(path: str) -> dict[str, dict[str, Label]]:
    """Return the labels of a ``scenario.toml`` by the name of the transcript and the conversation."""
    group = os.path.basename(os.path.dirname(os.path.abspath(path)))
    return {
        name: {label.conversation_id: label for label in _labels_of_table(name, table, group, path)}
        for name, table in read_tables(path).items()
    }


def _labels_of_table(name: str, table: Table, group: str, path: str) -> Iterator[Label]:
    # What is expected under a policy or with an embedder of its own says nothing about the policy that is being tuned.
    apart = table.policy is not None or table.embedder is not None
    for conversation_id in table.ids(name):
        expected = table.expectation(name, conversation_id, path)
        if expected.quiet:
            role = Role.IGNORE if apart else Role.NEGATIVE
            yield Label(conversation_id, role, source=group, path=path)
        else:
            role = Role.IGNORE if apart else Role.POSITIVE
            yield Label(conversation_id, role, expected.onset, expected.halt_from, group, None, path)
