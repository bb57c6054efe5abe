"""What a waste report says, as data: every page, table and file is drawn from this and from nothing else.

All text that came from a recording (names, ids, what was said) is as it was recorded, clipped to a length: who shows
it makes it safe for the place where it is shown.  Money is in US dollars; :class:`Report` says how it is to be shown.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal

from agentbreaker.waste.incident_model import (
    After,
    Amount,
    Edge,
    Fact,
    Halted,
    IncidentPage,
    Lap,
    LapTurn,
    Node,
    Piece,
    SignalBar,
    SpendPoint,
)
from agentbreaker.waste.measure import Measure

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


class Source(Fact):
    """A file that was read: its name as the user gave it."""

    name: str
    conversations: int
    messages: int


class Spender(Fact):
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


class Flow(Fact):
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


class Cycle(Fact):
    """Agents that went round, over all conversations in which they did.

    Attributes:
        agents: In the order of the cycle, each once; the last one leads back to the first.
        code, title: The detector that saw it.
        conversations: In how many it was halted.
        median_laps: Laps until the halt, the median over these; 0 where laps have no meaning.
        in_loops: Spent from the beginning of the loops to the end of the recordings.
        until_halt: Of that, before the halt: the price of being sure.
        after_halt: Of that, from the halt on: what would have been saved.
        share: `in_loops` as a share of what all loops cost, in [0, 1], by the measure of the report.
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


class Coordination(Fact):
    """What the spending was for.

    Attributes:
        between_agents: Messages and hand-offs from agent to agent.
        tools: Tool calls and their results.
        outside: To and from the people who are served, and prompts.
    """

    between_agents: Amount
    tools: Amount
    outside: Amount


class Range(Fact):
    """An amount of money (or of tokens, where that is the measure of the report) with its interval."""

    low: float
    middle: float
    high: float


class Forecast(Fact):
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


class Outcome(Fact):
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


class Trial(Fact):
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


class Report(Fact):
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
        measure: What shares, ranks and the month ahead are of: ``"money"``; ``"tokens"`` where nothing has a price, or
            more than half of the tokens, or of those in loops or after a halt, have none; ``"messages"`` where there
            are no tokens either.
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
    measure: Measure
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
