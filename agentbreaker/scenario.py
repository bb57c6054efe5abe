"""Scenarios: recorded conversations with a known ending, and whether a replay ends like that.

A folder with a ``scenario.toml`` says of each transcript in it from which message on it must be halted and by which at
the latest, or that it must be left alone; ``scenarios/README.md`` has the keys.  The project's own travel with the
package (:func:`shipped`).
"""

from __future__ import annotations

import enum
import os
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agentbreaker.config import load_settings
from agentbreaker.errors import ConfigError, TranscriptError
from agentbreaker.policy import Policy
from agentbreaker.replay import ConversationReport, read_sources, replay

if TYPE_CHECKING:
    from agentbreaker.embedders.recorded import RecordedEmbedder

__all__ = [
    "SCENARIO",
    "TOLERANCE",
    "Expectation",
    "Expected",
    "Outcome",
    "Scenario",
    "Table",
    "Window",
    "read_tables",
    "results",
    "scenarios_in",
    "shipped",
    "stem_of",
]

#: Name of the file that describes a folder of scenarios.
SCENARIO = "scenario.toml"
#: A halt so many messages before the onset still counts: two careful readers put an onset within two of each other.
TOLERANCE = 2

_LANGUAGE = re.compile(r"-([a-z]{2})$")
_CODE = re.compile(r"^AB\d{3}(?=-|$)")


class Outcome(enum.StrEnum):
    """How a replay ended, against what was expected of it."""

    OK = "ok"
    EARLY = "early"
    LATE = "late"
    MISSED = "missed"
    OTHER_DETECTOR = "other detector"
    FALSE_HALT = "false halt"
    WARNED = "warned"


class Expected(enum.StrEnum):
    """What must become of a conversation."""

    RUNAWAY = "runaway"
    LEGITIMATE = "legitimate"


@dataclass(slots=True, frozen=True)
class Expectation:
    """What is expected of one conversation.

    Attributes:
        quiet: No halt and no warning; else it must be halted.
        halt_from: First message on which a halt is right.
        halt_by: Last message on which it is in time; ``None``: any later one is.
        onset: First message that brings nothing new; ``None`` where that is not known.
        detector: Code that must decide; ``None``: any may.
    """

    quiet: bool
    halt_from: int = 0
    halt_by: int | None = None
    onset: int | None = None
    detector: str | None = None

    def outcome(self, report: ConversationReport) -> Outcome:
        """Compare a replay with what was expected."""
        if self.quiet:
            if report.halted_at is not None:
                return Outcome.FALSE_HALT
            return Outcome.OK if report.warned_at is None else Outcome.WARNED
        if report.halted_at is None:
            return Outcome.MISSED
        if report.halted_at < self.halt_from:
            return Outcome.EARLY
        if self.halt_by is not None and report.halted_at > self.halt_by:
            return Outcome.LATE
        return Outcome.OK if self.detector in (None, report.detector) else Outcome.OTHER_DETECTOR


class Window(BaseModel):
    """What a table says of all its conversations, or of one of them; see :class:`Expectation`."""

    model_config = ConfigDict(strict=True, extra="ignore")

    quiet: bool = False
    halt_from: int | None = Field(None, ge=0)
    halt_by: int | None = Field(None, ge=0)
    onset: int | None = Field(None, ge=0)
    detector: str | None = None


class Table(Window):
    """One table of a ``scenario.toml``: what is expected of the conversations of one transcript.

    Attributes:
        story: What happens.
        count: How many conversations the transcript holds, called NAME-1, NAME-2, ...; ``None``: one, called NAME.
        policy: Sections of the policy that it is replayed with.
        embedder: File with recorded vectors, in this folder or the one above it.
        language: Two letters; without it, those that the name ends in.
        conversations: What differs, by the id of the conversation.
    """

    story: str = ""
    count: int | None = Field(None, ge=1, le=1_000_000)
    policy: dict[str, Any] | None = None
    embedder: str | None = Field(None, pattern=r"^[^/\\]+$")
    language: str | None = Field(None, pattern="^[a-z]{2}$")
    conversations: dict[str, dict[str, object]] = {}

    def ids(self, name: str) -> list[str]:
        """Return the ids of its conversations; `name` is that of the table."""
        return [name] if self.count is None else [f"{name}-{number + 1}" for number in range(self.count)]

    def expectation(self, name: str, conversation_id: str, path: str) -> Expectation:
        """Return what is expected of one conversation.

        Args:
            name: Name of the table.
            conversation_id: The conversation.
            path: The file, for errors.

        Raises:
            TranscriptError: A value of the conversation's own table cannot be used, or nothing says when it must be
                halted.
        """
        shared = {key: getattr(self, key) for key in Window.model_fields}
        own = self.conversations.get(conversation_id, {})
        window = _checked(Window, shared | own, path, (name, "conversations", conversation_id))
        if window.quiet:
            return Expectation(quiet=True)
        if window.halt_from is None and window.onset is None:
            reason = "missing; a scenario is quiet, or says from which message on it must be halted"
            raise TranscriptError(reason, path=path, field=f"{name}.halt_from")
        first = window.halt_from if window.halt_from is not None else max(0, (window.onset or 0) - TOLERANCE)
        if window.halt_by is not None and window.halt_by < first:
            raise TranscriptError(
                f"{window.halt_by} lies before halt_from, {first}", path=path, field=f"{name}.halt_by"
            )
        return Expectation(False, first, window.halt_by, window.onset, window.detector)


@dataclass(slots=True, frozen=True)
class Scenario:
    """One transcript with its table.

    Attributes:
        name: Name of the table.
        table: What is expected.
        transcript: The transcript.
    """

    name: str
    table: Table
    transcript: Path

    @property
    def folder(self) -> Path:
        """The folder with the ``scenario.toml``."""
        return self.transcript.parent

    @property
    def group(self) -> str:
        """Name of the folder: a detector's code and name, or what is legitimate about it."""
        return self.folder.resolve().name

    @property
    def kind(self) -> str:
        """Name of the table without its language: the same story in every language."""
        return _LANGUAGE.sub("", self.name)

    @property
    def language(self) -> str | None:
        """Two letters, ``None`` where nobody has said."""
        match = _LANGUAGE.search(self.name)
        return self.table.language or (match[1] if match else None)

    @property
    def detector(self) -> str | None:
        """Code of the detector that it was written for, ``None`` if there is none."""
        match = _CODE.match(self.group)
        return self.table.detector or (match[0] if match else None)

    def expectation(self, conversation_id: str) -> Expectation:
        """Return what is expected of one conversation; see :meth:`Table.expectation`."""
        return self.table.expectation(self.name, conversation_id, str(self.folder / SCENARIO))

    def policy(self, base: str | os.PathLike[str] | None = None) -> Policy:
        """Return the policy that it is replayed with: its own sections, laid over the file `base` or the defaults.

        Raises:
            ConfigError: The policy cannot be used.
        """
        return Policy(base, **(self.table.policy or {}))

    def embedder(self) -> RecordedEmbedder | None:
        """Return its recorded embedder, ``None`` if it has none.

        Raises:
            ConfigError: There is no such file beside the scenario or above it, it cannot be used, or numpy is missing.
        """
        if self.table.embedder is None:
            return None
        from agentbreaker.embedders.recorded import RecordedEmbedder

        beside = self.folder / self.table.embedder
        return RecordedEmbedder(beside if beside.exists() else self.folder.parent / self.table.embedder)


def shipped() -> Path:
    """Return the folder of the project's own scenarios: inside the wheel, or in the checkout.

    Raises:
        ConfigError: This installation came without them.
    """
    package = Path(__file__).resolve().parent
    for folder in (package / "_scenarios", package.parent / "scenarios"):
        if any(folder.glob(f"*/{SCENARIO}")):
            return folder
    raise ConfigError("this installation came without the scenarios; name folders of your own")


def stem_of(transcript: str | os.PathLike[str]) -> str:
    """Return the name of the table that a transcript belongs to."""
    return os.path.basename(transcript).split(".jsonl")[0]


def read_tables(path: str) -> dict[str, Table]:
    """Return the tables of a ``scenario.toml`` by name.

    Raises:
        TranscriptError: It cannot be read, is no TOML, or a table cannot be used; names file and field.
    """
    try:
        with open(path, "rb") as file:
            tables = tomllib.load(file)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        reason = str(error) if isinstance(error, tomllib.TOMLDecodeError) else "not UTF-8"
        raise TranscriptError(f"not TOML: {reason}", path=path) from None
    except OSError as error:
        raise TranscriptError(f"cannot be read: {error.strerror}", path=path) from None
    checked = {}
    for name, values in tables.items():
        table = checked[name] = _checked(Table, values, path, (name,))
        if table.policy is not None:
            try:
                load_settings(overrides=table.policy)
            except ConfigError as error:
                raise TranscriptError(str(error), path=path, field=f"{name}.policy") from None
    return checked


_Model = TypeVar("_Model", bound=Window)


def _checked(model: type[_Model], values: object, path: str, place: tuple[str, ...]) -> _Model:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        field = ".".join((*place, *map(str, problem["loc"])))
        raise TranscriptError(problem["msg"], path=path, field=field) from None


def scenarios_in(folder: Path) -> Iterator[Scenario]:
    """Yield the scenarios of one folder, in the order of its tables.

    Raises:
        TranscriptError: As :func:`read_tables`, and for a table without a transcript.
    """
    path = folder / SCENARIO
    for name, table in read_tables(str(path)).items():
        found = [folder / f"{name}{suffix}" for suffix in (".jsonl", ".jsonl.gz")]
        transcript = next((file for file in found if file.is_file()), None)
        if transcript is None:
            raise TranscriptError(f"there is no {name}.jsonl or {name}.jsonl.gz beside it", path=str(path), field=name)
        yield Scenario(name, table, transcript)


def results(folder: Path) -> Iterator[tuple[Scenario, Expectation, ConversationReport]]:
    """Replay a folder, each scenario with its policy or the default one, and yield what came of each conversation.

    Raises:
        ConfigError: A policy or an embedder cannot be used.
        LookupError: The embedder of a scenario was asked for a text that its file has no vector of.
        TranscriptError: A table or a transcript cannot be read.
    """
    for scenario in scenarios_in(folder):
        embedder = scenario.embedder()
        messages = read_sources([scenario.transcript], strict=True)
        for report in replay(messages, scenario.policy(), embedder=embedder):
            yield scenario, scenario.expectation(report.conversation_id), report
        if embedder is not None and embedder.unknown:
            raise LookupError(
                f"{scenario.table.embedder} has no vectors of {embedder.unknown} texts of {scenario.name}"
            )
