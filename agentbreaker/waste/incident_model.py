"""What the page of an incident says, as data: one halt, told to people, with its laps side by side."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

__all__ = [
    "After",
    "Amount",
    "Edge",
    "Fact",
    "Halted",
    "IncidentPage",
    "Lap",
    "LapTurn",
    "Node",
    "Piece",
    "SignalBar",
    "SpendPoint",
]


class Fact(BaseModel):
    """Base of all: does not change once made."""

    model_config = ConfigDict(frozen=True)


class Amount(Fact):
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


class After(Fact):
    """What was recorded from the halt on.

    Attributes:
        amount: What it cost.
        new_words: Share of its words that the conversation had not had before and that tell something, in [0, 1].
        last_speaker, last_text: The end of the recording, clipped.
    """

    amount: Amount
    new_words: float
    last_speaker: str
    last_text: str


class Halted(Fact):
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


class Node(Fact):
    """An agent in the call graph of an incident; `rank` is its place in the cycle, ``None`` outside of it."""

    name: str
    messages: int
    tokens: int
    rank: int | None


class Edge(Fact):
    """Messages from one agent to another; `recipient` is ``None`` for everyone."""

    sender: str
    recipient: str | None
    messages: int
    tokens: int
    in_cycle: bool


class SignalBar(Fact):
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


class Piece(Fact):
    """A part of a message.

    Attributes:
        text: The words, with what is between them.
        new: The conversation had not had them, and they tell something.
        everyday: It had not had them either, but they are everyday words that tell nothing.
    """

    text: str
    new: bool
    everyday: bool = False


class LapTurn(Fact):
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


class Lap(Fact):
    """One lap.

    Attributes:
        number: From 1, counted from the beginning of the loop.
        turns: In order.
        amount: What it cost.
        news: Share of its words that the conversation had not had and that tell something, in [0, 1].
        same_as_before: Share of its words that were in the lap before, in [0, 1]; ``None`` for the first.
    """

    number: int
    turns: tuple[LapTurn, ...]
    amount: Amount
    same_as_before: float | None
    news: float = 0.0


class SpendPoint(Fact):
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


class IncidentPage(Fact):
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
