"""The second reading of one halted conversation: its call graph, its laps word by word, and what came after."""

from __future__ import annotations

import json
from collections import deque
from datetime import UTC, datetime

from agentbreaker.accounting import Charge
from agentbreaker.message import Message
from agentbreaker.waste.findings import Found
from agentbreaker.waste.incident_model import After, Edge, Lap, LapTurn, Node, Piece, SpendPoint
from agentbreaker.waste.sums import Sum
from agentbreaker.waste.words import SaidBefore, pieces_of, share_within, words_of

__all__ = ["Evidence"]

_MAX_TEXT = 1200
_MAX_NAME = 200
_FIRST_TURNS = 60
_LAST_TURNS = 240
_SHOWN_LAPS = 4
_MAX_TURNS_OF_A_LAP = 12
_MAX_EDGES = 2000
_MAX_POINTS = 240


class _Turn:
    """A turn of the loop, with its text cut to what is shown."""

    __slots__ = ("charge", "clipped", "fresh", "index", "kind", "pieces", "recipient", "sender", "words")

    def __init__(self, index: int, message: Message, text: str, charge: Charge, said: SaidBefore) -> None:
        self.index = index
        self.sender = message.sender[:_MAX_NAME]
        self.recipient = None if message.recipient is None else message.recipient[:_MAX_NAME]
        self.kind = message.kind
        self.clipped = len(text) > _MAX_TEXT
        text = text[:_MAX_TEXT]
        self.pieces: tuple[Piece, ...] = pieces_of(text, said)
        self.words = words_of(text)
        self.fresh = sum(len(words_of(piece.text)) for piece in self.pieces if piece.new)
        self.charge = charge


class Evidence:
    """Collects what the page of an incident shows; memory is bounded, however long the conversation.

    Args:
        found: The conversation.
        keep_excerpts: Whether what was said may be shown; without it the laps have no text.
    """

    def __init__(self, found: Found, *, keep_excerpts: bool = True) -> None:
        self.found = found
        self._keep = keep_excerpts
        self._said = SaidBefore()
        self._first: list[_Turn] = []
        self._last: deque[_Turn] = deque(maxlen=_LAST_TURNS)
        self._nodes: dict[str, list[int]] = {}  # messages and tokens
        self._edges: dict[tuple[str, str | None], list[int]] = {}
        self._to_everyone: tuple[str, int] | None = None  # who spoke last, and its tokens, if nobody was named
        self._points: list[SpendPoint] = []
        self._end: SpendPoint | None = None  # the latest point, unless it is among them
        self._stride = 1
        self._origin: datetime | None = None
        self._spent = Sum()
        self._after_words = self._after_new = 0
        self._last_said: tuple[str, str] | None = None

    def take(self, number: int, message: Message, charge: Charge) -> None:
        """Take in one message of the conversation.

        Args:
            number: Its number, from 0.
            message: The message.
            charge: Its price.
        """
        found, text = self.found, _text_of(message)
        # A name that takes part is no news.
        self._said.add(f"{message.sender[:_MAX_NAME]} {(message.recipient or '')[:_MAX_NAME]}")
        self._spent.add(charge)
        self._point(number, message)
        if number <= found.halted_at:
            self._connect(message, charge.tokens)
        if found.began_at <= number <= found.halted_at and message.kind != "system":
            turn = _Turn(number, message, text, charge, self._said)
            if len(self._first) < _FIRST_TURNS:
                self._first.append(turn)
            else:
                self._last.append(turn)
        words, fresh = self._said.add(text)
        if number >= found.halted_at:
            self._after_words += words
            self._after_new += fresh
            self._last_said = (message.sender[:_MAX_NAME], text[:_MAX_TEXT])

    # ------------------------------------------------------------------ the graph

    def _connect(self, message: Message, tokens: int) -> None:
        sender = message.sender[:_MAX_NAME]
        if self._to_everyone is not None:
            before, spent = self._to_everyone
            # Said to nobody by name: whoever spoke next took it up.
            self._count(before, sender if sender != before else None, spent)
            self._to_everyone = None
        if message.kind == "system":
            return
        if message.recipient is None:
            self._to_everyone = (sender, tokens)
        else:
            self._count(sender, message.recipient[:_MAX_NAME], tokens)

    def _count(self, sender: str, recipient: str | None, tokens: int) -> None:
        key = (sender, recipient)
        if key not in self._edges and len(self._edges) >= _MAX_EDGES:
            return
        for row in (self._edges.setdefault(key, [0, 0]), self._nodes.setdefault(sender, [0, 0])):
            row[0] += 1
            row[1] += tokens
        if recipient is not None:
            self._nodes.setdefault(recipient, [0, 0])

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The agents up to the halt, those of the loop first, in its order."""
        self._settle()
        ranks = {name[:_MAX_NAME]: rank for rank, name in enumerate(self.found.agents)}
        nodes = [
            Node(name=name, messages=messages, tokens=tokens, rank=ranks.get(name))
            for name, (messages, tokens) in self._nodes.items()
        ]
        return tuple(sorted(nodes, key=lambda node: (node.rank is None, node.rank or 0, -node.tokens, -node.messages)))

    @property
    def edges(self) -> tuple[Edge, ...]:
        """Who spoke to whom up to the halt."""
        self._settle()
        loop = {name[:_MAX_NAME] for name in self.found.agents}
        edges = [
            Edge(
                sender=sender,
                recipient=recipient,
                messages=messages,
                tokens=tokens,
                in_cycle=sender in loop and recipient in loop,
            )
            for (sender, recipient), (messages, tokens) in self._edges.items()
        ]
        return tuple(sorted(edges, key=lambda edge: (not edge.in_cycle, -edge.tokens, -edge.messages)))

    def _settle(self) -> None:
        """The last message to everyone had no successor."""
        if self._to_everyone is not None:
            self._count(self._to_everyone[0], None, self._to_everyone[1])
            self._to_everyone = None

    # ------------------------------------------------------------------ the spend line

    def _point(self, number: int, message: Message) -> None:
        seconds = None
        if message.timestamp is not None:
            stamp = message.timestamp if message.timestamp.tzinfo is not None else message.timestamp.replace(tzinfo=UTC)
            if self._origin is None:
                self._origin = stamp
            seconds = (stamp - self._origin).total_seconds()
        point = SpendPoint(index=number, seconds=seconds, cost_usd=self._spent.cost_usd, tokens=self._spent.tokens)
        if number % self._stride == 0 or number in (self.found.began_at, self.found.halted_at):
            self._points.append(point)
            self._end = None
        else:
            self._end = point
        if len(self._points) > 2 * _MAX_POINTS:
            self._stride *= 2
            kept = (self.found.began_at, self.found.halted_at)
            self._points = [one for one in self._points if one.index % self._stride == 0 or one.index in kept]

    @property
    def spending(self) -> tuple[SpendPoint, ...]:
        """The spend line, thinned out."""
        return (*self._points, self._end) if self._end is not None else tuple(self._points)

    # ------------------------------------------------------------------ the laps

    @property
    def laps(self) -> tuple[Lap, ...]:
        """The first lap and the latest ones, each compared with the one before it."""
        laps = _cut([*self._first, *self._last])
        missing = self.found.halted_at - self.found.began_at + 1 - len(self._first) - len(self._last)
        if not laps:
            return ()
        shown = range(len(laps)) if len(laps) <= _SHOWN_LAPS else [0, *range(len(laps) - _SHOWN_LAPS + 1, len(laps))]
        before = {number: set().union(*(turn.words for turn in laps[number - 1])) for number in shown if number}
        # Where turns were left out, the laps in the gap are counted by the length of the others.
        gap = round(missing / max(1, len(laps[0]))) if missing > 0 else 0
        first_of_last = self._last[0].index if self._last else None
        return tuple(
            self._lap(
                number + 1 + (gap if first_of_last is not None and laps[number][0].index >= first_of_last else 0),
                laps[number],
                before.get(number),
            )
            for number in shown
        )

    def _lap(self, number: int, turns: list[_Turn], before: set[str] | None) -> Lap:
        amount = Sum()
        for turn in turns:
            amount.add(turn.charge)
        words = [word for turn in turns for word in turn.words]
        return Lap(
            number=number,
            turns=tuple(self._shown(turn) for turn in turns[:_MAX_TURNS_OF_A_LAP]),
            amount=amount.amount(),
            same_as_before=None if before is None else share_within(words, before),
            news=sum(turn.fresh for turn in turns) / len(words) if words else 0.0,
        )

    def _shown(self, turn: _Turn) -> LapTurn:
        return LapTurn(
            index=turn.index,
            sender=turn.sender,
            recipient=turn.recipient,
            kind=turn.kind,
            pieces=turn.pieces if self._keep else (),
            clipped=turn.clipped and self._keep,
            tokens=turn.charge.tokens,
            estimated=turn.charge.estimated,
            cost_usd=turn.charge.cost_usd or 0.0,
        )

    @property
    def after(self) -> After | None:
        """What came after the halt, ``None`` if the recording ends there."""
        found = self.found
        if self._last_said is None or not found.after_halt.messages:
            return None
        speaker, text = self._last_said
        return After(
            amount=found.after_halt.amount(),
            new_words=self._after_new / self._after_words if self._after_words else 0.0,
            last_speaker=speaker,
            last_text=text if self._keep else "",
        )


def _cut(turns: list[_Turn]) -> list[list[_Turn]]:
    """Cut turns into laps: a new one begins when the one who began the lap speaks again; one who talks alone, each."""
    alone = len({turn.sender for turn in turns}) == 1
    laps: list[list[_Turn]] = []
    for turn in turns:
        if not laps or alone or (turn.sender == laps[-1][0].sender and any(t.sender != turn.sender for t in laps[-1])):
            laps.append([turn])
        else:
            laps[-1].append(turn)
    return laps


def _text_of(message: Message) -> str:
    """What a message says to people: its content, and for a tool its arguments or its result."""
    tool = message.tool
    if tool is None:
        return message.content
    if message.kind == "tool_result":
        return tool.result if tool.result is not None else message.content
    if tool.arguments is None:
        return message.content or tool.name
    arguments = tool.arguments if isinstance(tool.arguments, str) else _as_json(tool.arguments)
    call = f"{tool.name}({arguments})"
    return f"{message.content}\n{call}" if message.content else call


def _as_json(value: object) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, default=str)
    except (ValueError, RecursionError):
        return str(type(value).__name__)
