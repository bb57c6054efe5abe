"""A scenario made of a recorded incident: what is expected of it, and the files that say so."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

from agentbreaker.anonymise import Anonymised, Ending, texts_of
from agentbreaker.config import PolicySettings
from agentbreaker.detectors import DETECTORS
from agentbreaker.errors import ConfigError
from agentbreaker.message import Message
from agentbreaker.policy import Policy
from agentbreaker.scenario import SCENARIO, Expected, read_tables
from agentbreaker.transcripts import write_transcript
from agentbreaker.transcripts.schema import message_to_json

__all__ = ["Plan", "check_name", "folder_for", "name_for", "plan_of", "write_scenario"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,79}")
#: Messages of a loop after which a halt is right, and the shortest lap, as in ``scenarios/README.md``.
_FROM, _SHORTEST_LAP, _LAPS = 3, 6, 3
#: Below this line a generator writes a file.
_GENERATED = "# Written by "
_HAN = re.compile("[\u3400-\u9fff]")
_KANA = re.compile("[\u3040-\u30ff]")


@dataclass(slots=True, frozen=True)
class Plan:
    """What the table of a scenario will say.

    Attributes:
        expected: What must become of it.
        detector: Code that must decide; ``None``: any may.
        onset: First message of the loop; ``None`` of a legitimate one.
        halt_from, halt_by: Between which messages it must be halted; ``None`` of a legitimate one.
    """

    expected: Expected
    detector: str | None = None
    onset: int | None = None
    halt_from: int | None = None
    halt_by: int | None = None


def plan_of(messages: Sequence[Message], ending: Ending, expected: Expected | None, onset: int | None) -> Plan:
    """Find out what is to be expected of a conversation.

    Args:
        messages: The conversation.
        ending: What the engine decides on it.
        expected: What the user says; ``None``: what the engine decides.
        onset: First message of its loop, if the user knows it; else where the evidence of the halt begins.

    Raises:
        ConfigError: It is said to be a runaway, but neither user nor engine knows from where on, or the loop begins
            after the halt or beyond the end.
    """
    if expected is None:
        expected = Expected.LEGITIMATE if ending.halted_at is None and onset is None else Expected.RUNAWAY
    if expected is Expected.LEGITIMATE:
        if onset is not None:
            raise ConfigError("--onset is for runaways; a legitimate conversation has no loop", field="onset")
        return Plan(expected)
    began = onset if onset is not None else ending.began_at
    if began is None:
        raise ConfigError(
            "the engine does not halt it; say with --onset N from which message (from 0) on it brings nothing new",
            field="onset",
        )
    last, at = len(messages) - 1, ending.halted_at
    lap = max(_SHORTEST_LAP, len({message.sender for message in messages[began:] if message.kind != "system"}))
    if at is None:
        first = began + _FROM
        if first > last:
            raise ConfigError(f"--onset {began} leaves no room for a halt: it has {last + 1} messages", field="onset")
        return Plan(expected, None, began, first, min(last, first + _LAPS * lap))
    if began > at:
        raise ConfigError(f"--onset {began} lies after the halt, at message {at}", field="onset")
    # What is reached is kept: later by more than a lap is too late.
    return Plan(expected, ending.detector, began, min(began + _FROM, at), min(last, at + lap))


def name_for(anonymised: Sequence[Message], plan: Plan) -> str:
    """Return a name that tells nothing: the detector's code, or ``ok``, and a number that belongs to the content."""
    number = 0
    for message in anonymised:
        number = crc32(message_to_json(message).encode(), number)
    return (
        f"{(plan.detector or ('ok' if plan.expected is Expected.LEGITIMATE else 'run')).lower()}-{number % 100_000:05d}"
    )


def check_name(name: str, messages: Sequence[Message]) -> None:
    """Refuse a name that cannot be one of a table, or that gives away what was said.

    Raises:
        ConfigError: It is one of these.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(f"--name: {name!r} is no name; letters, digits, - and _ are, 80 at most", field="name")
    said = {word.casefold() for message in messages for text in texts_of(message) for word in _WORD.findall(text)}
    for word in _WORD.findall(name):
        if word.casefold() in said:
            raise ConfigError(f"--name: {word!r} is a word of the recording; give another name", field="name")


_WORD = re.compile(r"[^\W\d_]{4,}")


def folder_for(plan: Plan) -> Path:
    """Return the folder of scenarios that it belongs to, where the user names none."""
    detector = DETECTORS.get(plan.detector or "")
    if detector is not None:
        return Path("scenarios", f"{detector.code}-{detector.name}")
    return Path("scenarios", "missed" if plan.expected is Expected.RUNAWAY else "legitimate-recorded")


def write_scenario(
    folder: Path, name: str, anonymised: Anonymised, plan: Plan, policy: Policy, *, force: bool
) -> tuple[Path, Path]:
    """Write transcript and table.

    Args:
        folder: Created if it is not there; other tables in its ``scenario.toml`` stay as they are.
        name: Of the table; the conversations are called so already.
        anonymised: What is written.
        plan: What is expected of it.
        policy: Its settings, where they are not the defaults, go into the table.
        force: Whether a scenario of this name is replaced.

    Returns:
        The transcript and the ``scenario.toml``.

    Raises:
        ConfigError: There is one of this name, or a file cannot be written.
        TranscriptError: The ``scenario.toml`` that is there cannot be used.
    """
    transcript, tables = folder / f"{name}.jsonl", folder / SCENARIO
    before = ""
    if tables.exists():
        known = read_tables(str(tables))
        if name in known and not force:
            raise ConfigError(f"{tables}: has a table {name} already; --force replaces it", source=str(tables))
        before = _without(tables.read_text("utf-8"), name)
    if (transcript.exists() or Path(f"{transcript}.gz").exists()) and not force:
        raise ConfigError(f"{transcript}: exists already; --force overwrites it", source=str(transcript))
    text = _with(before, "\n".join(_table(name, anonymised.messages, plan, policy)) + "\n")
    _refuse_damage(before, text, name, tables)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        Path(f"{transcript}.gz").unlink(missing_ok=True)
        write_transcript(anonymised.messages, transcript)
        # The other tables are somebody's work: the file is never half written.
        draft = tables.with_name(f"{SCENARIO}.new")
        draft.write_text(text, "utf-8", newline="\n")
        os.replace(draft, tables)
    except OSError as error:
        raise ConfigError(f"{folder}: cannot be written: {error.strerror}", source=str(folder)) from None
    return transcript, tables


def _refuse_damage(before: str, after: str, name: str, path: Path) -> None:
    """Make sure that the other tables read as before."""
    try:
        old, new = tomllib.loads(before), tomllib.loads(after)
    except tomllib.TOMLDecodeError:
        old, new = {}, {"": ""}
    old.pop(name, None)
    new.pop(name, None)
    if old != new:
        raise ConfigError(f"{path}: table {name} cannot be put there without harm to others; take it out by hand")


def _without(text: str, name: str) -> str:
    """The file without a table and its parts."""
    header = re.compile(rf"\s*\[+\s*[\"']?{re.escape(name)}[\"']?\s*[.\]]")
    lines, inside = [], False
    for line in text.splitlines(keepends=True):
        if line.lstrip().startswith("["):
            inside = header.match(line) is not None
        elif inside and line.startswith(_GENERATED):
            inside = False
        if not inside:
            lines.append(line)
    return "".join(lines)


def _with(text: str, table: str) -> str:
    """The file with a table at its end, or above what a generator writes."""
    at = text.find(_GENERATED) if text.startswith(_GENERATED) else text.find(f"\n{_GENERATED}") + 1
    if at > 0 or text.startswith(_GENERATED):
        return f"{text[:at].rstrip()}\n\n{table}\n{text[at:]}".lstrip("\n")
    return f"{text.rstrip()}\n\n{table}".lstrip("\n")


def _table(name: str, messages: Sequence[Message], plan: Plan, policy: Policy) -> list[str]:
    agents = len({message.sender for message in messages})
    story = f"A recorded conversation of {len(messages)} messages by {agents} speakers, anonymised. " + (
        f"From message {plan.onset} on it brings nothing new." if plan.onset is not None else "It gets somewhere."
    )
    lines = [f"[{name}]", f'story = "{story}"']
    if plan.expected is Expected.LEGITIMATE:
        lines.append("quiet = true")
    else:
        lines += [f"onset = {plan.onset}", f"halt_from = {plan.halt_from}", f"halt_by = {plan.halt_by}"]
        if plan.detector is not None:
            lines.append(f'detector = "{plan.detector}"')
    if (language := _language(messages)) is not None and not name.endswith(f"-{language}"):
        lines.append(f'language = "{language}"')
    return lines + _policy(name, policy)


def _policy(name: str, policy: Policy) -> list[str]:
    """The settings that differ from the defaults."""
    lines = []
    defaults = PolicySettings()
    for section, settings in policy.settings:
        usual = getattr(defaults, section)
        differ = [(key, value) for key, value in settings if value != getattr(usual, key)]
        if differ:
            lines += ["", f"[{name}.policy.{section}]", *(f"{key} = {_toml(value)}" for key, value in differ)]
    return lines


def _toml(value: object) -> str:
    if value is None:
        return '"off"'
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return "[" + ", ".join(f'"{item}"' for item in value) + "]"
    return repr(value)


def _language(messages: Sequence[Message]) -> str | None:
    """``zh`` or ``ja`` where it is mostly written in these; else nobody knows."""
    text = "".join(message.content for message in messages)[:100_000]
    letters = sum(map(str.isalpha, text))
    kana = len(_KANA.findall(text))
    if len(_HAN.findall(text)) + kana <= letters / 2:
        return None
    return "ja" if kana > letters / 20 else "zh"
