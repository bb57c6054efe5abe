"""The gate for one's own recorded runs: is anything halted, is too much wasted, is it too expensive?

A conversation is replayed under the policy of production.  What is *wasted* are the tokens from the beginning of a
loop to the end of the recording (messages, where no tokens are on record); what it *costs* is what was recorded, else
the list price of the model.
"""

from __future__ import annotations

import enum
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from agentbreaker.detectors import title_of
from agentbreaker.errors import ConfigError
from agentbreaker.message import Message
from agentbreaker.policy import Policy
from agentbreaker.pricing import Pricing
from agentbreaker.replay import ConversationReport, ReplayReport, replay
from agentbreaker.verdict import Decision

__all__ = [
    "CheckReport",
    "Checked",
    "FailOn",
    "Finding",
    "Kind",
    "Limits",
    "check",
    "money_of",
    "share_of",
    "wasted",
]

#: Halts that keep their evidence, about 10 KB each; of later ones only what came after the halt counts as wasted.
_KEPT_INCIDENTS = 10_000


class FailOn(enum.StrEnum):
    """What a conversation must not come to."""

    HALT = "halt"
    WARN = "warn"
    NONE = "none"


class Kind(enum.StrEnum):
    """What was found."""

    HALT = "halt"
    WARNING = "warning"
    WASTE = "waste"
    COST = "cost"


@dataclass(slots=True, frozen=True)
class Limits:
    """What is tolerated.

    Attributes:
        fail_on: Fail on a halt, on a warning too, or on neither.
        max_waste: Highest share of all tokens that may be wasted, in [0, 1]; ``None``: any.
        max_cost_usd: The most that all conversations together may cost; ``None``: anything.
    """

    fail_on: FailOn = FailOn.HALT
    max_waste: float | None = None
    max_cost_usd: float | None = None


@dataclass(slots=True, frozen=True)
class Finding:
    """Something that a gate may fail on.

    Attributes:
        kind: What it is.
        fails: Whether the gate fails on it.
        sentence: What happened; holds names of agents, made safe to print, and never what they said.
        conversation_id: The conversation; ``None`` for the limits of all together.
        source: Its file; ``None`` likewise.
        line: Line of the message in that file, from 1.
        message: Number of the message in its conversation, from 0; ``None`` likewise.
        code: The detector that decided.
    """

    kind: Kind
    fails: bool
    sentence: str
    conversation_id: str | None = None
    source: str | None = None
    line: int = 1
    message: int | None = None
    code: str | None = None

    @property
    def rule(self) -> str:
        """What it breaks: the code of a detector, else the kind."""
        return self.code or self.kind.value


@dataclass(slots=True, frozen=True)
class Checked:
    """What came of one conversation.

    Attributes:
        report: Of the replay.
        wasted_tokens, wasted_messages: From the beginning of its loop to its end.
        finding: Its halt or its first warning; ``None`` if it was quiet.
    """

    report: ConversationReport
    wasted_tokens: int
    wasted_messages: int
    finding: Finding | None


@dataclass(slots=True)
class CheckReport:
    """What a check found.

    Attributes:
        limits: What is tolerated.
        policy: File of the policy; ``None``: the defaults.
        conversations: In the order of their files.
        totals: Of all.
        wasted_tokens, wasted_messages: Of all.
        unpriced_tokens: Tokens without a recorded cost, or with one of 0, whose model has no price; `totals.cost_usd`
            lacks them.
        gates: Findings of the limits for all together.
    """

    limits: Limits
    policy: str | None
    conversations: list[Checked] = field(default_factory=list)
    totals: ReplayReport = field(default_factory=ReplayReport)
    wasted_tokens: int = 0
    wasted_messages: int = 0
    unpriced_tokens: int = 0
    gates: list[Finding] = field(default_factory=list)

    @property
    def waste(self) -> float:
        """Share that is wasted, in [0, 1]: of the tokens, or of the messages where no tokens are on record."""
        totals = self.totals
        if totals.tokens:
            return self.wasted_tokens / totals.tokens
        return self.wasted_messages / totals.messages if totals.messages else 0.0

    @property
    def findings(self) -> list[Finding]:
        """Everything that was found, the limits last."""
        return [one.finding for one in self.conversations if one.finding is not None] + self.gates

    @property
    def failed(self) -> bool:
        """Whether the gate fails."""
        return any(finding.fails for finding in self.findings)


def check(
    messages: Iterable[tuple[str, Message]],
    policy: Policy | str | os.PathLike[str] | None = None,
    limits: Limits | None = None,
    *,
    line: Callable[[], int] = lambda: 1,
) -> CheckReport:
    """Replay recorded conversations and hold them against limits.

    Args:
        messages: Pairs of source and message, such as :func:`~agentbreaker.replay.read_sources` yields.
        policy: A policy, the path of a policy file, or ``None`` for the defaults.
        limits: What is tolerated; without it a halt is not.
        line: Returns the line of the message that was read last, in its file, from 1.

    Raises:
        ConfigError: The policy cannot be used.
        TranscriptError: Whatever `messages` raises.
    """
    limits = limits or Limits()
    rules = policy if isinstance(policy, Policy) else Policy(policy)
    report = CheckReport(limits, rules.source)
    lines: dict[str, int] = {}

    def priced() -> Iterator[tuple[str, Message]]:
        prices = Pricing.of(rules.settings.prices)
        for source, message in messages:
            prices.fill(message)
            if message.cost_usd is None and message.usage is not None:
                report.unpriced_tokens += message.usage.total
            yield source, message

    def watch(_: int, message: Message, decision: Decision) -> None:
        action = decision.action
        if action.opens or (action.rank and message.conversation_id not in lines):
            lines[message.conversation_id] = line()

    for conversation in replay(priced(), rules, report=report.totals, keep_incidents=_KEPT_INCIDENTS, watch=watch):
        at = lines.pop(conversation.conversation_id, 1)
        tokens, count = wasted(conversation)
        report.wasted_tokens += tokens
        report.wasted_messages += count
        report.conversations.append(Checked(conversation, tokens, count, _finding(conversation, limits, max(1, at))))
    report.gates += _gates(report)
    return report


def wasted(conversation: ConversationReport) -> tuple[int, int]:
    """Return the tokens and the messages from the beginning of the loop to the end; none without a halt."""
    if conversation.halted_at is None:
        return 0, 0
    incident = conversation.incident
    if incident is None:
        return conversation.tokens_after_halt, conversation.messages - conversation.halted_at
    before_halt = incident["tokens"] - incident["loop_tokens"]
    tokens = min(conversation.tokens, max(0, conversation.tokens - before_halt))
    return tokens, max(1, conversation.messages - incident["began_at"])


def _finding(conversation: ConversationReport, limits: Limits, line: int) -> Finding | None:
    at, code = conversation.halted_at, conversation.detector
    if at is not None:
        kind, fails = Kind.HALT, limits.fail_on is not FailOn.NONE
        incident = conversation.incident
        sentence = incident["sentence"] if incident is not None else title_of(code)
        sentence = f"{sentence} (halted at message {at} of {conversation.messages:,})"
    elif conversation.warned_at is not None:
        at, kind, fails = conversation.warned_at, Kind.WARNING, limits.fail_on is FailOn.WARN
        sentence = f"{title_of(code)} (warned at message {at} of {conversation.messages:,})"
    else:
        return None
    return Finding(kind, fails, sentence, conversation.conversation_id, conversation.source, line, at, code)


def _gates(report: CheckReport) -> Iterator[Finding]:
    limits, totals = report.limits, report.totals
    if limits.max_waste is not None and report.waste > limits.max_waste:
        what = "tokens" if totals.tokens else "messages"
        spent = report.wasted_tokens if totals.tokens else report.wasted_messages
        sentence = (
            f"{100 * report.waste:.1f} % of the {what} are wasted in loops ({spent:,}), "
            f"the limit is {100 * limits.max_waste:g} %"
        )
        yield Finding(Kind.WASTE, True, sentence)
    if limits.max_cost_usd is not None and totals.cost_usd > limits.max_cost_usd:
        sentence = f"the conversations cost ${totals.cost_usd:,.4f}, the limit is ${limits.max_cost_usd:,.4f}"
        yield Finding(Kind.COST, True, sentence)


def share_of(text: str, option: str) -> float:
    """Read a share: ``10%`` or ``0.1``.

    Raises:
        ConfigError: It is none; names the option.

    >>> share_of("10%", "--max-waste"), share_of("0.1", "--max-waste")
    (0.1, 0.1)
    """
    word = text.strip()
    percent = word.endswith("%")
    try:
        value = float(word.removesuffix("%")) / (100 if percent else 1)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise ConfigError(f"{option}: {text!r} is no share; give one such as 10% or 0.1", field=option)
    return value


def money_of(text: str, option: str) -> float:
    """Read US dollars: ``5``, ``5.00`` or ``$5``.

    Raises:
        ConfigError: It is no amount; names the option.

    >>> money_of("$5.50", "--max-cost")
    5.5
    """
    try:
        value = float(text.strip().removeprefix("$"))
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise ConfigError(f"{option}: {text!r} is no amount of US dollars; give one such as 5.00", field=option)
    return value
