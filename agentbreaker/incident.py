"""The evidence of one halt, for people: what tripped and why in one sentence, then the figures, then the laps."""

from __future__ import annotations

import json
import textwrap
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from agentbreaker.detectors import DETECTORS, title_of
from agentbreaker.printable import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentbreaker.verdict import Action, Signal

__all__ = ["Incident", "Turn", "sentence_of", "split_laps"]

_SHOWN_LAPS = 3
_COLUMN = 30
_LONGEST_CELL = 6


@dataclass(slots=True)
class Turn:
    """One message as evidence.

    Attributes:
        index: Number of the message in the conversation, from 0.
        sender, recipient: Names.
        kind: As on the message.
        text: The beginning of its content; empty if the policy keeps no excerpts.
        info: What it brought, in units of information.
        tokens, cost_usd: What it cost.
    """

    index: int
    sender: str
    recipient: str | None
    kind: str
    text: str
    info: float
    tokens: int
    cost_usd: float


@dataclass(slots=True)
class Incident:
    """What tripped, why, and what it cost.

    Attributes:
        conversation_id: The conversation.
        sentence: What happened, in one sentence.
        code: The detector that decided.
        action: What was done.
        score: Fused score in [0, 1].
        agents: The agents that took part in the loop.
        began_at, halted_at: Index of the loop's first message and of the one that tripped.
        messages, tokens, cost_usd: Totals of the conversation at the halt.
        loop_tokens, loop_cost_usd: Of that, spent since `began_at`.
        signals: Every signal against its limit.
        laps: The latest laps, oldest first, each a list of turns.
        seconds: Seconds from the conversation's first message to the halt.
        retry_after: Seconds until the breaker lets one lap through by itself; ``None`` in shadow mode.
        resume: How to go on.
        unpriced_tokens: Of `tokens`, those whose price is not known; `cost_usd` is that of the others.
    """

    conversation_id: str
    sentence: str
    code: str
    action: Action
    score: float
    agents: tuple[str, ...]
    began_at: int
    halted_at: int
    messages: int
    tokens: int
    cost_usd: float
    loop_tokens: int
    loop_cost_usd: float
    signals: tuple[Signal, ...]
    laps: list[list[Turn]] = field(default_factory=list)
    seconds: float = 0.0
    retry_after: float | None = None
    resume: str = ""
    unpriced_tokens: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Return all facts as plain data."""
        facts = asdict(self)
        facts["action"] = str(self.action)
        for signal in facts["signals"]:
            signal["name"] = DETECTORS[signal["code"]].name if signal["code"] in DETECTORS else signal["code"]
        return facts

    def to_json(self, *, indent: int | None = 2) -> str:
        """Return all facts as JSON (RFC 8259; a lone surrogate is escaped)."""
        return json.dumps(self.to_dict(), ensure_ascii=True, indent=indent)

    def to_text(self, *, width: int = 100) -> str:
        """Return the incident as plain text: safe to print, whatever the agents wrote."""
        lines = [
            self.sentence,
            f"  conversation {printable(self.conversation_id)}: {self.action} at message {self.halted_at},"
            f" the loop began at message {self.began_at}",
            f"  {self._spending()}",
            "",
            "  Why",
        ]
        for signal in self.signals:
            title = title_of(signal.code, signal.code)
            lines.append(
                f"    {signal.code} {title:<24} {signal.value:,.1f} of limit {signal.limit:,.4g} {signal.unit}"
            )
        if any(turn.text for lap in self.laps for turn in lap):
            lines += ["", f"  The latest {len(self.laps[-_SHOWN_LAPS:])} laps, side by side"]
            lines += ["    " + line for line in self._laps_side_by_side(width - 4)]
        lines += ["", f"  {self.resume}"]
        return "\n".join(line.rstrip() for line in lines)

    def _laps_side_by_side(self, width: int) -> list[str]:
        """A column for each lap, a row for each agent; what an agent said in several turns of a lap is joined."""
        laps = self.laps[-_SHOWN_LAPS:]
        column = max(16, min(_COLUMN, width // max(1, len(laps)) - 2))
        agents = dict.fromkeys(turn.sender for lap in laps for turn in lap)
        lines = ["  ".join(f"lap of #{lap[0].index}".ljust(column) for lap in laps)]
        for agent in agents:
            row = [_cell(agent, [turn.text for turn in lap if turn.sender == agent], column) for lap in laps]
            for height in range(max(len(cell) for cell in row)):
                lines.append("  ".join((cell[height] if height < len(cell) else "").ljust(column) for cell in row))
        return lines

    def _spending(self) -> str:
        if not self.tokens and not self.cost_usd:
            return "tokens and cost are not on record"
        spent = _money(self.tokens, self.cost_usd)
        share = f", {100 * self.loop_tokens / self.tokens:.0f} % of it" if self.tokens else ""
        # Where nothing has a price, prices were never asked for, and no sum is shown that could be taken for all.
        missing = f"; no price is known for {self.unpriced_tokens:,} tokens" * bool(
            self.unpriced_tokens and self.cost_usd
        )
        return f"spent {spent}; in the loop {_money(self.loop_tokens, self.loop_cost_usd)}{share}{missing}"


def _cell(agent: str, texts: list[str], column: int) -> list[str]:
    if not texts:
        return []
    lines = textwrap.wrap(" / ".join(printable(" ".join(text.split())) for text in texts), column - 2) or ["(nothing)"]
    if len(lines) > _LONGEST_CELL:
        lines = [*lines[:_LONGEST_CELL], "..."]
    return [f"{printable(agent, limit=column - 2)}:", *("  " + line for line in lines)]


def _money(tokens: int, cost_usd: float) -> str:
    text = f"{tokens:,} tokens"
    return f"{text} (${cost_usd:,.4f})" if cost_usd else text


def names_of(agents: Sequence[str]) -> str:
    """Names for a sentence: at most four, made safe to print."""
    shown = [printable(agent, limit=40) for agent in agents[:4]]
    more = len(agents) - len(shown)
    if more:
        return f"{', '.join(shown)} and {more} more"
    if len(shown) > 1:
        return f"{', '.join(shown[:-1])} and {shown[-1]}"
    return shown[0] if shown else "nobody"


def sentence_of(signal: Signal) -> str:
    """Say in one sentence what the signal saw; holds agent names, never content."""
    title = title_of(signal.code, signal.code)
    if signal.hard:
        return f"{title}: {signal.value:,.6g} {signal.unit}, limit {signal.limit:,.6g}"
    names = names_of(signal.agents)
    if signal.code in ("AB301", "AB302"):
        what = "the same again" if signal.code == "AB301" else "another try with the same answer"
        return f"{title}: {names}, {what} {_times(signal.laps)}"
    if signal.code == "AB103":
        return f"{title}: {names}, called again {_times(signal.laps)} while waiting for an answer"
    if signal.code == "AB501":
        return f"{title}: {names}, each message begets more than one, grown {_times(signal.laps)} over"
    if signal.code == "AB502":
        return f"{title}: {names}, spending far above the usual {_times(signal.laps)} in a row"
    if signal.laps > 1:
        return f"{title}: {names}, {signal.laps} laps with nothing new"
    return f"{title}: {names}, {signal.value:.0f} messages' worth of nothing new"


def _times(laps: int) -> str:
    return "1 time" if laps == 1 else f"{laps} times"


def split_laps(turns: Sequence[Turn]) -> list[list[Turn]]:
    """Cut turns into laps: a new lap starts when the one who began the lap speaks again.  Prompts are left out."""
    laps: list[list[Turn]] = []
    for turn in turns:
        if turn.kind == "system":
            continue
        if not laps or (turn.sender == laps[-1][0].sender and len({t.sender for t in laps[-1]}) > 1):
            laps.append([turn])
        else:
            laps[-1].append(turn)
    return laps
