"""Measuring recorded conversations for calibration: one pass, in which nothing is ever stopped.

The decision to halt compares one number with a threshold: the evidence that all detectors together have after a
message, in messages' worth of nothing new.  A conversation is therefore halted with a threshold T on the first message
with evidence of at least T, and only the messages on which its *running maximum* rises can be that one.  These are
recorded, and every threshold can then be tried without replaying again.

Nothing else may depend on the threshold for this to be exact, and nothing does: a warning or a steer is an answer to
the caller and leaves the evidence as it is.  (Live agents may heed it; a recording cannot, so a recording of agents
that were steered tells of agents that were.)  Budgets are left out: they hold whatever the threshold is.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from agentbreaker.config import Budgets, Ladder
from agentbreaker.labels import Label, Labels, Role
from agentbreaker.message import Message
from agentbreaker.policy import Policy
from agentbreaker.replay import ReplayReport, replay
from agentbreaker.verdict import Decision, evidence_of, score_of

__all__ = ["LOWEST_EVIDENCE", "Case", "Rise", "Trail", "join", "length_of", "measure", "measuring_policy"]

#: Evidence below this is not recorded; no threshold may be tried below it.
LOWEST_EVIDENCE = 0.01


class Rise(NamedTuple):
    """A message on which the evidence of a conversation was higher than ever before in it.

    Attributes:
        at: Number of the message in its conversation, from 0.
        score: Fused score in [0, 1]; thresholds are compared on this scale, as the policy does.
        code: The strongest detector.
        resent: Characters that had been sent again up to here: for each message, those of all before it.
    """

    at: int
    score: float
    code: str
    resent: int

    @property
    def evidence(self) -> float:
        """Evidence in messages' worth of nothing new."""
        return evidence_of(self.score)


@dataclass(slots=True)
class Trail:
    """The evidence of one conversation.

    Attributes:
        conversation_id, source: The conversation and the file that it is in.
        messages: How many messages it has, every line counted.
        resent: Characters that were sent again in all: what a model reads that gets the whole history each time.
        rises: The messages on which the running maximum rose, first to last.
    """

    conversation_id: str
    source: str
    messages: int = 0
    resent: int = 0
    rises: list[Rise] = field(default_factory=list)
    _scores: list[float] = field(default_factory=list)
    _characters: int = 0

    @property
    def highest(self) -> float:
        """Highest score in the whole conversation, 0 if no detector ever said anything."""
        return self._scores[-1] if self._scores else 0.0

    def crossing(self, threshold: float) -> Rise | None:
        """Return the message on which a rung at `threshold` (evidence) is reached first, ``None`` if it never is."""
        place = bisect_left(self._scores, score_of(threshold))
        return self.rises[place] if place < len(self.rises) else None

    def add(self, number: int, message: Message, decision: Decision) -> None:
        """Take the next message with what the guard said about it."""
        self.resent += self._characters
        if message.kind != "system":
            self._characters += length_of(message)
        if decision.code is not None and decision.score > self.highest:
            self.rises.append(Rise(number, decision.score, decision.code, self.resent))
            self._scores.append(decision.score)


def length_of(message: Message) -> int:
    """Return the characters of a message; those of its tool call or result where it has no text of its own."""
    tool = message.tool
    if message.content or tool is None:
        return len(message.content)
    if tool.result is not None:
        return len(tool.result)
    arguments = tool.arguments
    if arguments is None or isinstance(arguments, str):
        return len(arguments or "")
    return len(json.dumps(arguments, ensure_ascii=False, separators=(",", ":"), default=str))


#: Detectors of cost, whose evidence is bounded by the rungs of the ladder.
LADDER_BOUND = ("AB501", "AB502")


def measuring_policy(policy: Policy) -> Policy:
    """Return the policy with which evidence is measured: the same detectors, but nothing is ever stopped."""
    settings = policy.settings
    sections = {name: getattr(settings, name) for name in type(settings).model_fields}
    sections["ladder"] = Ladder(warn=LOWEST_EVIDENCE, steer=None, finish=None, halt=None)
    sections["budgets"] = Budgets()
    # What these two may say depends on the ladder itself, so no single pass can measure them for every ladder.
    disabled = (*settings.detectors.disable, *(code for code in LADDER_BOUND if code not in settings.detectors.disable))
    sections["detectors"] = settings.detectors.model_copy(update={"disable": disabled})
    sections["conversations"] = settings.conversations.model_copy(update={"keep_excerpts": False})
    return Policy(**sections)


def measure(
    messages: Iterable[tuple[str, Message]], policy: Policy | None = None, *, report: ReplayReport | None = None
) -> Iterator[Trail]:
    """Drive a guard with recorded messages and yield the evidence of each conversation.

    Args:
        messages: Pairs of source and message, such as :func:`~agentbreaker.replay.read_sources` yields.
        policy: Which detectors run and what they weigh; its ladder and budgets play no part.
        report: Adds up the totals.

    Raises:
        TranscriptError: Whatever `messages` raises.
    """
    trails: dict[str, Trail] = {}

    def watch(number: int, message: Message, decision: Decision) -> None:
        trail = trails.get(message.conversation_id)
        if trail is None:
            trail = trails[message.conversation_id] = Trail(message.conversation_id, "")
        trail.add(number, message, decision)

    rules = measuring_policy(policy or Policy())
    for conversation in replay(messages, rules, report=report, keep_incidents=0, watch=watch):
        # All conversations of a source are complete before the first message of the next one.
        trail = trails.pop(conversation.conversation_id)
        trail.source, trail.messages = conversation.source, conversation.messages
        yield trail


@dataclass(slots=True, frozen=True)
class Case:
    """A conversation that somebody has judged.

    Attributes:
        trail: Its evidence.
        label: What it is.
    """

    trail: Trail
    label: Label

    @property
    def source(self) -> str:
        """The source that its false halt is counted under."""
        return self.label.source or self.trail.source

    def is_early(self, rise: Rise) -> bool:
        """Whether a halt there stops a runaway before its loop has begun."""
        return self.label.role is Role.POSITIVE and rise.at < self.label.earliest


def join(trails: Sequence[Trail], labels: Labels) -> tuple[list[Case], int]:
    """Give each conversation its label.

    Returns:
        The labelled conversations, and how many have no label.

    Raises:
        TranscriptError: An onset beyond its conversation, or a label whose id stands for two conversations.
    """
    cases, unlabelled = [], 0
    for trail in trails:
        label = labels.of(trail.source, trail.conversation_id)
        if label is None:
            unlabelled += 1
            continue
        label.check(trail.messages)
        cases.append(Case(trail, label))
    return cases, unlabelled
