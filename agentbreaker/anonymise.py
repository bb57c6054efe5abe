"""A recorded conversation without what was said in it, on which the engine decides the same.

Names, words, figures and ids are replaced, each by the same one throughout; who speaks to whom, in what order, at what
length, with what that is new, stays.  What the engine decides on the result is compared with what it decides on the
recording, and so is every word: a draw that changes the one or keeps the other is thrown away for the next.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from random import Random
from typing import Any

from agentbreaker.anonymise_cjk import Thanks
from agentbreaker.anonymise_text import Disguise, Traces
from agentbreaker.errors import AgentBreakerError, TranscriptError
from agentbreaker.message import Message, Tool, Usage
from agentbreaker.policy import Policy
from agentbreaker.replay import ConversationReport, replay
from agentbreaker.transcripts.schema import UnreadableError, message_to_json, parse_line
from agentbreaker.verdict import STEER_TEXT

__all__ = ["ORIGIN", "Anonymised", "CannotAnonymiseError", "Ending", "anonymise", "ending_of", "texts_of"]

#: When every anonymised conversation begins.
ORIGIN = datetime(2000, 1, 1, tzinfo=UTC)
#: Ways to replace everything that are tried.
_DRAWS = 48
#: Other verdicts that the error names.
_NAMED = 4
#: What becomes of Chinese acknowledgements in one draw after the other: the later ones keep more, and the verdict.
_THANKS = (Thanks.REPLACED,) * 8 + (Thanks.KEPT,) * 4 + (Thanks.SPELLED,) * 36


class CannotAnonymiseError(AgentBreakerError):
    """A conversation cannot be anonymised so that the engine still decides the same on it."""


@dataclass(slots=True, frozen=True)
class Ending:
    """What the engine decides on a conversation.

    Attributes:
        detector: Code that decided the halt, else the first warning; ``None`` without either.
        halted_at, warned_at: Numbers of messages, from 0; ``None`` where there is none.
        began_at: First message of the loop, as the evidence of the halt has it; ``None`` without a halt.
    """

    detector: str | None
    halted_at: int | None
    warned_at: int | None
    began_at: int | None

    def __str__(self) -> str:
        warned = "" if self.warned_at is None else f"warned at message {self.warned_at}"
        if self.halted_at is None:
            return f"{warned} by {self.detector}" if warned else "neither warned nor halted"
        halted = f"halted at message {self.halted_at} by {self.detector}"
        return f"{warned} and {halted}" if warned else halted

    def same_as(self, other: Ending) -> bool:
        """Whether both come to the same verdict."""
        return (self.detector, self.halted_at, self.warned_at) == (other.detector, other.halted_at, other.warned_at)


@dataclass(slots=True, frozen=True)
class Anonymised:
    """A conversation without what was said in it.

    Attributes:
        messages: What is left.
        ending: What the engine decides on it, as on the recording.
        draws: How many ways to replace everything were tried.
    """

    messages: list[Message]
    ending: Ending
    draws: int


def ending_of(messages: Iterable[Message], policy: Policy) -> Ending:
    """Return what the engine decides on one conversation."""
    reports: list[ConversationReport] = list(replay((("-", message) for message in messages), policy))
    if not reports:
        return Ending(None, None, None, None)
    report = reports[0]
    began = None if report.incident is None else int(report.incident["began_at"])
    return Ending(report.detector, report.halted_at, report.warned_at, began)


def anonymise(messages: Sequence[Message], policy: Policy, *, name: str, seed: int = 0) -> Anonymised:
    """Replace everything that was said in a conversation.

    Args:
        messages: The messages of one conversation; they are not changed.
        policy: What the engine decides by.
        name: Id of the conversation that comes of it.
        seed: The same seed gives the same replacements.

    Raises:
        CannotAnonymiseError: Whatever was drawn, the engine decided something else on it, or a word came out again.
        TranscriptError: A message cannot be written in our own format.
    """
    texts = [text for message in messages for text in texts_of(message)]
    results = [text for message in messages if message.kind == "tool_result" for text in _said(message)]
    ids = [one for message in messages for one in _ids_of(message)]
    ending, traces = ending_of(messages, policy), Traces([*texts, *ids])
    seen: dict[str, None] = {}
    kept = 0
    for draw in range(_DRAWS):
        # A string seeds the same on every Python and machine.
        rng = Random(f"{seed}/{draw}")  # noqa: S311 - no secret
        thanks = _THANKS[draw]
        disguise = Disguise(rng, texts, results, ids, cues_everywhere=draw % 2 == 1, thanks=thanks)
        mask = _Mask(disguise, name)
        others = [_as_read(mask.of(message), number) for number, message in enumerate(messages)]
        if traces.shared(Traces(text for message in others for text in texts_of(message)), thanks):
            kept += 1
            continue
        found = ending_of(others, policy)
        if found.same_as(ending):
            return Anonymised(others, found, draw + 1)
        seen.setdefault(str(found))
    if kept == _DRAWS:
        raise CannotAnonymiseError(f"cannot be anonymised: in each of {_DRAWS} draws a word of it came out again")
    raise CannotAnonymiseError(
        f"cannot be anonymised without changing the verdict: the recording is {ending}, and what {_DRAWS} draws made "
        f"of it is {', or '.join(list(seen)[:_NAMED])}; try another --seed, or write the scenario by hand"
    )


def texts_of(message: Message) -> Iterator[str]:
    """Yield all that a message says or names, ids and times left out: those are made anew."""
    if message.kind == "system" and message.content == STEER_TEXT:
        yield from (name for name in (message.sender, message.recipient) if name)
        return
    yield message.sender
    yield from (text for text in (message.recipient, message.content, message.model) if text)
    if (tool := message.tool) is not None:
        yield tool.name
        yield from (text for text in (tool.result,) if text)
        yield from _leaves(tool.arguments)


def _ids_of(message: Message) -> Iterator[str]:
    """Yield what is left out, and must not come out by chance either."""
    call_id = message.tool.call_id if message.tool is not None else None
    ids = (message.conversation_id, message.message_id, message.parent_id, message.run_id, call_id)
    yield from (one for one in ids if one)


def _said(message: Message) -> Iterator[str]:
    yield message.content
    if message.tool is not None and message.tool.result is not None:
        yield message.tool.result


def _leaves(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, one in value.items():
            yield str(key)
            yield from _leaves(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _leaves(one)
    elif value is not None and not isinstance(value, bool):
        yield str(value)


def _as_read(message: Message, number: int) -> Message:
    """The message as it will be read from the file."""
    try:
        return parse_line(message_to_json(message).encode())
    except (UnreadableError, TypeError, ValueError, RecursionError) as error:
        reason = f"message {number} cannot be written in the format of our own: {type(error).__name__}"
        raise TranscriptError(reason, path="-") from None


class _Mask:
    """Puts a disguise over messages."""

    def __init__(self, disguise: Disguise, name: str) -> None:
        self._disguise = disguise
        self._conversation = name
        self._names: dict[str, str] = {}
        self._given: set[str] = set()
        self._ids: dict[tuple[str, str], str] = {}
        self._counts: dict[str, int] = {}
        self._first: datetime | None = None

    def of(self, message: Message) -> Message:
        """Return the message without what it says."""
        steering = message.kind == "system" and message.content == STEER_TEXT
        result = message.kind == "tool_result"
        usage = message.usage
        return Message(
            self._conversation,
            self._name(message.sender),
            None if message.recipient is None else self._name(message.recipient),
            message.kind,
            message.content if steering else self._disguise.of(message.content, result=result),
            message.role,
            self._id("m", message.message_id),
            # What it answers is a message.
            self._id("m", message.parent_id),
            self._id("r", message.run_id),
            None if message.timestamp is None else self._moment(message.timestamp),
            None if message.tool is None else self._tool(message.tool),
            None if message.model is None else self._disguise.of(message.model),
            None if usage is None else Usage(*(getattr(usage, name) for name in Usage.__slots__)),
            message.cost_usd,
            inferred=message.inferred,
            usage_elsewhere=message.usage_elsewhere,
        )

    def _tool(self, tool: Tool) -> Tool:
        return replace(
            tool,
            name=self._name(tool.name),
            call_id=self._id("c", tool.call_id),
            arguments=self._value(tool.arguments),
            result=None if tool.result is None else self._disguise.of(tool.result, result=True),
        )

    def _value(self, value: Any) -> Any:
        if isinstance(value, dict):
            found: dict[str, Any] = {}
            for key, one in value.items():
                name = self._disguise.of(str(key))
                while name in found:
                    name += "x"
                found[name] = self._value(one)
            return found
        if isinstance(value, list | tuple):
            return [self._value(one) for one in value]
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, int | float):
            return self._disguise.number(value)
        return self._disguise.of(str(value))

    def _name(self, name: str) -> str:
        found = self._names.get(name)
        if found is None:
            found = other = self._disguise.of(name)
            number = 2
            while found in self._given:
                # Two names that come to the same words are still two.
                found = f"{other} {number}"
                number += 1
            self._names[name] = found
            self._given.add(found)
        return found

    def _id(self, kind: str, given: str | None) -> str | None:
        if given is None:
            return None
        found = self._ids.get((kind, given))
        if found is None:
            self._counts[kind] = number = self._counts.get(kind, 0) + 1
            found = self._ids[kind, given] = f"{kind}{number}"
        return found

    def _moment(self, stamp: datetime) -> datetime | None:
        stamp = stamp if stamp.tzinfo is not None else stamp.replace(tzinfo=UTC)
        if self._first is None:
            self._first = stamp
        try:
            return ORIGIN + (stamp - self._first)
        except OverflowError:
            return None
