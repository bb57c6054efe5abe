"""What a waste report says, as data: every page, table and file is drawn from this and from nothing else.

All text that came from a recording (names, ids, what was said) is as it was recorded, clipped to a length: who shows
it makes it safe for the place where it is shown.  Money is in US dollars; :class:`Report` says how it is to be shown.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

__all__ = [
    "After",
    "Amount",
    "Coordination",
    "Cycle",
    "Edge",
    "Flow",
    "Forecast",
    "Halted",
    "IncidentPage",
    "Lap",
    "LapTurn",
    "Node",
    "Outcome",
    "Piece",
    "Range",
    "Report",
    "SignalBar",
    "Source",
    "SpendPoint",
    "Spender",
    "Trial",
]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True)


class Amount(_Model):
    """Tokens and what they cost.

    Attributes:
        messages: Messages they belong to.
        tokens: Tokens, input and output.
        estimated_tokens: Of `tokens`, those that were not recorded but estimated from the text; shown with a "≈".
        cost_usd: Price of the tokens that have one, in US dollars.
        unpriced_tokens: Of `tokens`, those whose price nobody knows; never free, never part of `cost_usd`.
    """

    messages: int = 0
    tokens: int = 0
    estimated_tokens: int = 0
    cost_usd: float = 0.0
    unpriced_tokens: int = 0

    @property
    def estimated(self) -> bool:
        """Whether any of it is an estimate."""
        return self.estimated_tokens > 0


class Source(_Model):
    """A file that was read: its name as the user gave it."""

    name: str
    conversations: int
    messages: int


class Spender(_Model):
    """Who or what spent: an agent, a model, an edge (``"planner → reviewer"``) or the code of a detector.

    Attributes:
        name: Its name; ``""`` stands for all that are not listed one by one.
        spend: All that it spent.
        in_loops: Of that, from the beginning of a loop to the end of the recording.
        after_halt: Of that, what a halt would have saved.
    """

    name: str
    spend: Amount
    in_loops: Amount
    after_halt: Amount


class Flow(_Model):
    """A ribbon from a model through an agent to what it was spent on.

    Attributes:
        model, agent: Names; ``""`` where no model is on record.
        kind: ``"useful"``, or the code of the detector that saw the loop (``"AB201"``).
        amount: What went there.
    """

    model: str
    agent: str
    kind: str
    amount: Amount


class Cycle(_Model):
    """Agents that went round, over all conversations in which they did.

    Attributes:
        agents: In the order of the cycle, each once; the last one leads back to the first.
        code, title: The detector that saw it.
        conversations: In how many it was halted.
        median_laps: Laps until the halt, the median over these; 0 where laps have no meaning.
        in_loops: Spent from the beginning of the loops to the end of the recordings.
        until_halt: Of that, before the halt: the price of being sure.
        after_halt: Of that, from the halt on: what would have been saved.
        share: `in_loops` as a share of what all loops cost, in [0, 1]; of tokens, where nothing has a price.
        advice: What to do about it, in one or two sentences.
        snippet: Lines for the policy file, TOML; empty where the policy is not the place.
        examples: Ids of some of the conversations, the most expensive first.
    """

    agents: tuple[str, ...]
    code: str
    title: str
    conversations: int
    median_laps: float
    in_loops: Amount
    until_halt: Amount
    after_halt: Amount
    share: float
    advice: str
    snippet: str
    examples: tuple[str, ...]


class After(_Model):
    """What was recorded from the halt on.

    Attributes:
        amount: What it cost.
        new_words: Share of its words that the conversation had not had before, in [0, 1].
        last_speaker, last_text: The end of the recording, clipped.
    """

    amount: Amount
    new_words: float
    last_speaker: str
    last_text: str


class Halted(_Model):
    """A conversation that would have been halted.

    Attributes:
        conversation_id, source: Which one.
        sentence: What happened; holds names, never content.
        code: The detector that decided.
        began_at, halted_at, messages: Number of the loop's first message and of the first one that would not have been
            delivered, from 0, and how many there are.
        spend: All of it.
        in_loop: From `began_at` to the end.
        after_halt: From `halted_at` to the end.
        outcome: As given by ``--outcomes``.
    """

    conversation_id: str
    source: str
    sentence: str
    code: str
    began_at: int
    halted_at: int
    messages: int
    spend: Amount
    in_loop: Amount
    after_halt: Amount
    outcome: str | None = None


class Coordination(_Model):
    """What the spending was for.

    Attributes:
        between_agents: Messages and hand-offs from agent to agent.
        tools: Tool calls and their results.
        outside: To and from the people who are served, and prompts.
    """

    between_agents: Amount
    tools: Amount
    outside: Amount


class Range(_Model):
    """An amount of money (or of tokens, where nothing has a price) with its interval."""

    low: float
    middle: float
    high: float


class Forecast(_Model):
    """The next 30 days if they are like the recorded ones.

    Attributes:
        unit: What the ranges are in.
        days: Days that were recorded, the ones without spending included.
        level: Level of the intervals (0.8 means that four of five such intervals hold the true value).
        spend: Without a breaker.
        saved: What halting would save of it.
        method: How it was reckoned, in a sentence.
    """

    unit: Literal["usd", "tokens"]
    days: int
    level: float
    spend: Range
    saved: Range
    method: str


class Outcome(_Model):
    """Spending ranked by what it achieved.

    Attributes:
        group: What is compared: the group of ``--outcomes``, else the file.
        conversations: With a known outcome.
        finished: Of them, those that reached their goal.
        spend, in_loops: Of all of them.
        usd_per_finished: Spend for each one that was finished; ``None`` if none was.
        tokens_per_finished: The same in tokens.
    """

    group: str
    conversations: int
    finished: int
    spend: Amount
    in_loops: Amount
    usd_per_finished: float | None
    tokens_per_finished: float | None


class Trial(_Model):
    """A policy in comparison.

    Attributes:
        name: ``"as it is"``, or the setting that was tried (``"ladder.halt=4"``).
        halted, warned: Conversations.
        saved: Spending after the halts.
        halted_finished: Halted conversations that are known to have reached their goal; ``None`` without outcomes.
    """

    name: str
    halted: int
    warned: int
    saved: Amount
    halted_finished: int | None = None


class Node(_Model):
    """An agent in the call graph of an incident; `rank` is its place in the cycle, ``None`` outside of it."""

    name: str
    messages: int
    tokens: int
    rank: int | None


class Edge(_Model):
    """Messages from one agent to another; `recipient` is ``None`` for everyone."""

    sender: str
    recipient: str | None
    messages: int
    tokens: int
    in_cycle: bool


class SignalBar(_Model):
    """A signal against its limit.

    Attributes:
        code, title: The detector.
        value, limit, unit: As measured.
        share: `value` as a share of `limit`; may be over 1.
        decided: Whether this signal led to the halt.
    """

    code: str
    title: str
    value: float
    limit: float
    unit: str
    share: float
    decided: bool


class Piece(_Model):
    """A part of a message: words that the conversation had before (`new` is false), or had not."""

    text: str
    new: bool


class LapTurn(_Model):
    """What one agent said in a lap.

    Attributes:
        index: Number of the message, from 0.
        sender, recipient, kind: As recorded.
        pieces: Its text in parts; empty if it said nothing, or if the policy keeps no excerpts.
        clipped: Whether there was more.
        tokens, estimated, cost_usd: What it cost.
    """

    index: int
    sender: str
    recipient: str | None
    kind: str
    pieces: tuple[Piece, ...]
    clipped: bool
    tokens: int
    estimated: bool
    cost_usd: float


class Lap(_Model):
    """One lap.

    Attributes:
        number: From 1, counted from the beginning of the loop.
        turns: In order.
        amount: What it cost.
        same_as_before: Share of its words that were in the lap before, in [0, 1]; ``None`` for the first.
    """

    number: int
    turns: tuple[LapTurn, ...]
    amount: Amount
    same_as_before: float | None


class SpendPoint(_Model):
    """Spent up to and including a message.

    Attributes:
        index: Number of the message.
        seconds: Since the first message; ``None`` without timestamps.
        cost_usd, tokens: Sums.
    """

    index: int
    seconds: float | None
    cost_usd: float
    tokens: int


class IncidentPage(_Model):
    """One halt, told to people.

    Attributes:
        halted: Which conversation, and what it cost.
        title: Name of the detector in words.
        score: Fused score in [0, 1].
        agents: Who took part in the loop.
        seconds: From the first message to the halt; ``None`` without timestamps.
        laps_made: Laps until the halt; 0 where laps have no meaning.
        signals: The one that decided first.
        nodes, edges: The call graph up to the halt.
        laps: The first lap and the latest ones; numbers tell which are left out.
        spending: The spend line over the whole recording, thinned out to a few hundred points.
        after: What came after the halt.
        resume: How to go on.
        advice, snippet: What to do about it; see :class:`Cycle`.
    """

    halted: Halted
    title: str
    score: float
    agents: tuple[str, ...]
    seconds: float | None
    laps_made: int
    signals: tuple[SignalBar, ...]
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    laps: tuple[Lap, ...]
    spending: tuple[SpendPoint, ...]
    after: After | None
    resume: str
    advice: str
    snippet: str


class Report(_Model):
    """How much of the bill was meetings, and would they have been stopped?

    Attributes:
        version: Of agentbreaker.
        made_at: When.
        policy: File of the policy; ``None``: the defaults.
        reading: What was read, in a sentence.
        sources: The files, the largest first, at most 100.
        first_at, last_at: Days of the first and the last message; ``None`` without timestamps.
        currency, usd_rate: How money is shown: so many units of `currency` for a dollar.
        prices: Where the prices are from, in a sentence.
        complete: Whether everything was read; false after Ctrl-C.
        conversations, halted, warned, messages, agents: How many.
        spend: All of it.
        in_loops: From the beginning of the loops to the end of the recordings.
        after_halt: Of that, from the halts on.
        by_agent, by_model, by_edge, by_detector: Who spent, the most expensive first.
        flows: Model to agent to purpose.
        cycles: The most expensive first.
        conversations_halted: What a halt would have saved, the most first, at most 1,000.
        coordination: Talk against work.
        forecast: ``None`` where the recordings do not allow one; then `no_forecast` says why.
        outcomes: The cheapest way to a finished conversation first; empty without ``--outcomes``.
        trials: Of ``--what-if``, the policy as it is first; empty without.
        unpriced: Tokens by model whose price nobody knows.
        notes: What a reader must know to trust the figures.
        incidents: Pages, the most expensive first.
    """

    version: str
    made_at: datetime
    policy: str | None
    reading: str
    sources: tuple[Source, ...]
    first_at: date | None
    last_at: date | None
    currency: str
    usd_rate: float
    prices: str
    complete: bool
    conversations: int
    halted: int
    warned: int
    messages: int
    agents: int
    spend: Amount
    in_loops: Amount
    after_halt: Amount
    by_agent: tuple[Spender, ...]
    by_model: tuple[Spender, ...]
    by_edge: tuple[Spender, ...]
    by_detector: tuple[Spender, ...]
    flows: tuple[Flow, ...]
    cycles: tuple[Cycle, ...]
    conversations_halted: tuple[Halted, ...]
    coordination: Coordination
    forecast: Forecast | None
    no_forecast: str
    outcomes: tuple[Outcome, ...]
    trials: tuple[Trial, ...]
    unpriced: dict[str, int]
    notes: tuple[str, ...]
    incidents: tuple[IncidentPage, ...]
