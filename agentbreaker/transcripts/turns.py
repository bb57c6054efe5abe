"""The messages of one trace: who spoke to whom, which tools were called, and what it cost, each once."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Final

from agentbreaker.message import Kind, Message, Role, Tool
from agentbreaker.transcripts.sums import count_once
from agentbreaker.transcripts.values import sum_of_usage

if TYPE_CHECKING:
    from agentbreaker.transcripts.spans import Span

__all__ = ["messages_of_trace"]

_USER: Final = "user"
_NAMELESS: Final = "agent"
#: Turns that are looked at to find the next of another agent; more in a row are one speaker's monologue.
_LOOK: Final = 100

# When something happens: the time, then ends before beginnings, then by nesting.
_Key = tuple[float, int, int, int]


def messages_of_trace(spans: list[Span]) -> Iterator[Message]:
    """Yield the messages of one trace, in the order of time; some speak to nobody that the trace names."""
    return _Trace(spans).messages()


class _Trace:
    """The spans of one trace, with what follows from their nesting."""

    def __init__(self, spans: list[Span]) -> None:
        self._by_id = {span.span_id: span for span in spans}
        self._parent: dict[Span, Span | None] = {span: self._parent_of(span) for span in spans}
        self._cut_circles(spans)
        self._depth = self._depths(spans)
        self._number = {span: number for number, span in enumerate(spans)}
        self._spans = sorted(spans, key=self._start_key)
        count_once(self._spans, self._parent, self._depth)
        for span in spans:
            if span.kind == "other" and (span.usage is not None or span.cost_usd):
                span.kind = "model"
        self._unmask()
        self._frame: dict[Span, Span | None] = {}
        self._teams: set[Span] = set()
        self._find_frames()
        self._adopt_tools()
        self._models: dict[Span | None, list[Span]] = {}
        self._tooled: set[Span | None] = set()
        self._delegating: dict[Span, Span] = {}
        for span in self._spans:
            if span.kind == "model":
                self._models.setdefault(self._frame[span], []).append(span)
            elif span.kind == "agent":
                parent = self._parent[span]
                while parent is not None and parent.kind != "agent":
                    if parent.kind == "tool":
                        self._delegating[parent] = span
                    parent = self._parent[parent]
            elif span.kind == "tool":
                self._tooled.add(self._frame[span])
        self._recipient: dict[Span, tuple[str | None, bool]] = {}
        self._called: set[Span] = set()
        self._find_recipients()
        # Who hands over has spoken to the one that takes over.
        self._handed = {self._frame[span] for span in self._spans if span.kind == "tool" and span.target is not None}
        for span in self._spans:
            frame = self._frame[span]
            if span.kind == "tool" and span.target is not None and frame is not None:
                self._recipient[frame] = (span.target, False)
        # The first id that is named holds for the trace: a session is written on some spans only.
        named = (span.conversation_id for span in self._spans if span.conversation_id is not None)
        self._conversation = next(named, None) or (spans[0].trace_id if spans else "")
        self._said_by_user = ""
        self._begun = False
        # A state that only a tool call was added to ends with what was asked.
        self._said = {hash(span.said.strip()) for span in spans if span.said and span.said != span.asked}
        self._events: list[tuple[_Key, Span | None, Message | None, Span]] = []

    # -- nesting ------------------------------------------------------------------------------------------------------

    def _parent_of(self, span: Span) -> Span | None:
        return None if span.parent_id is None else self._by_id.get(span.parent_id)

    def _cut_circles(self, spans: list[Span]) -> None:
        """A span that is its own ancestor is a root: no recording of ours, but one that is made to hurt."""
        done: set[Span] = set()
        for span in spans:
            path: set[Span] = set()
            current: Span | None = span
            while current is not None and current not in done:
                path.add(current)
                above = self._parent[current]
                if above in path:
                    self._parent[current] = above = None
                current = above
            done |= path

    def _depths(self, spans: list[Span]) -> dict[Span, int]:
        depth: dict[Span, int] = {}
        for span in spans:
            path = []
            current: Span | None = span
            while current is not None and current not in depth:
                path.append(current)
                current = self._parent[current]
            level = -1 if current is None else depth[current]
            for one in reversed(path):
                level += 1
                depth[one] = level
        return depth

    def _start_key(self, span: Span) -> _Key:
        return (_seconds(span.start or span.end), 1, self._depth[span], self._number[span])

    def _end_key(self, span: Span) -> _Key:
        start, end = _seconds(span.start or span.end), _seconds(span.end or span.start)
        return (max(start, end), 0 if end > start else 2, -self._depth[span], self._number[span])

    def _owners(self) -> dict[Span, Span | None]:
        """The nearest span of an agent around each span."""
        owner: dict[Span, Span | None] = {}
        for span in sorted(self._spans, key=self._depth.__getitem__):
            parent = self._parent[span]
            owner[span] = None if parent is None else parent if parent.kind == "agent" else owner[parent]
        return owner

    def _unmask(self) -> None:
        """Take what is no agent of its own for what it is: a wrapper of the same name, a node that only runs tools."""
        owner = self._owners()
        for span, above in owner.items():
            if span.kind == "agent" and above is not None and above.name == span.name:
                span.kind = "other"
        owner = self._owners()
        owning = {
            kind: {owner[span] for span in self._spans if span.kind == kind} for kind in ("model", "tool", "agent")
        }
        for node in owning["tool"] - owning["model"] - owning["agent"]:
            if node is not None and node.is_node:
                node.kind = "other"

    def _find_frames(self) -> None:
        """Find the agent in whose span each span lies, and the teams, which are no agents."""
        busy: set[Span] = set()
        within: dict[Span, set[Span]] = {}
        owner = self._owners()
        for span in self._spans:
            above = owner[span]
            if above is not None:
                if span.kind == "model":
                    busy.add(above)
                elif span.kind == "agent":
                    within.setdefault(above, set()).add(span)
        for span, agents in within.items():
            if span not in busy and len(agents) > 1 and any(one in busy for one in agents):
                self._teams.add(span)
        for span in self._spans:
            above = owner[span]
            while above in self._teams:
                above = owner[above] if above is not None else None
            self._frame[span] = above

    def _find_recipients(self) -> None:
        """Find to whom each agent's turn speaks: its caller, or the one that it names, or whoever runs next."""
        turns: dict[Span | None, list[Span]] = {}
        for span in self._spans:
            if span.kind == "agent" and span not in self._teams:
                turns.setdefault(self._frame[span], []).append(span)
        for frame, siblings in turns.items():
            for index, span in enumerate(siblings):
                if span.target is not None:
                    self._recipient[span] = (span.target, False)
                elif frame is not None:
                    self._recipient[span] = (_name(frame), False)
                else:
                    self._recipient[span] = (self._next(siblings, index), True)
                if frame is None and span.caller is not None:
                    before = (
                        one for one in reversed(siblings[max(0, index - _LOOK) : index]) if one.name == span.caller
                    )
                    if (caller := next(before, None)) is not None:
                        self._recipient[caller] = (_name(span), False)
                        self._called.add(span)

    def _next(self, siblings: list[Span], index: int) -> str | None:
        span = siblings[index]
        end = _seconds(span.end or span.start)
        for other in siblings[index + 1 : index + 1 + _LOOK]:
            if _seconds(other.start or other.end) >= end and _name(other) != _name(span):
                return _name(other)
        return None

    # -- messages -----------------------------------------------------------------------------------------------------

    def messages(self) -> Iterator[Message]:
        """Yield the messages; what a call cost is carried to the next message of the agent that made it."""
        for span in self._spans:
            if span.kind == "agent" and span not in self._teams:
                self._agent(span)
            elif span.kind == "model":
                self._model(span)
            elif span.kind == "tool":
                self._tool(span)
        self._events.sort(key=lambda event: event[0])
        carried: dict[Span | None, Message] = {}
        last: dict[Span | None, Message] = {}
        # Agents whose latest call is paid for: what they still say of it costs nothing more.
        paid: set[Span | None] = set()
        ready: list[Message] = []
        for _, owner, message, span in self._events:
            if message is None:
                if owner in carried and not _is_priced_alike(carried[owner], span.model):
                    ready.append(_unsaid(carried.pop(owner)))
                bill = carried.setdefault(owner, Message(self._conversation, self._speaker(span), timestamp=span.end))
                _add(bill, span)
                counts = span.usage is not None or bool(span.cost_usd)
                (paid.add if counts else paid.discard)(owner)
                continue
            if message.kind != "tool_result" and message.role != "user":
                if (bill_before := carried.pop(owner, None)) is not None:
                    _merge(message, bill_before)
                elif owner in paid:
                    message.usage_elsewhere = True
                last[owner] = message
            ready.append(message)
        for owner, bill in carried.items():
            if owner in last and _is_priced_alike(last[owner], bill.model):
                _merge(last[owner], bill)
            elif bill.usage is not None or bill.cost_usd is not None:
                ready.append(_unsaid(bill) if owner in last else bill)
        yield from ready

    def _adopt_tools(self) -> None:
        """Give the tools of a node that only runs tools to the agent whose turn came before."""
        latest: dict[Span | None, Span] = {}
        for span in self._spans:
            above = self._frame[span]
            if span.kind == "agent" and span not in self._teams:
                latest[above] = span
            elif span.kind == "tool" and span.is_node and above in latest:
                self._frame[span] = latest[above]

    def _speaker(self, span: Span) -> str:
        frame = self._frame[span]
        return _name(frame) if frame is not None else span.name if span.kind == "model" and span.name else _NAMELESS

    def _emit(
        self,
        key: _Key,
        owner: Span | None,
        span: Span,
        sender: str,
        recipient: str | None,
        content: str = "",
        *,
        when: datetime | None,
        kind: Kind = "message",
        role: Role | None = None,
        tool: Tool | None = None,
        inferred: bool = False,
    ) -> Message:
        message = Message(
            self._conversation,
            sender,
            recipient,
            kind,
            content,
            role,
            None,
            None,
            span.trace_id,
            when,
            tool,
            inferred=inferred and recipient is not None,
        )
        self._events.append((key, owner, message, span))
        return message

    def _asked_by_user(self, span: Span, text: str, recipient: str) -> None:
        # A model gets the whole history with every call: the same request again is not a new one.
        if text and text != self._said_by_user and hash(text.strip()) not in self._said:
            self._said_by_user = text
            self._emit(self._start_key(span), None, span, _USER, recipient, text, when=span.start, role="user")

    def _agent(self, span: Span) -> None:
        name, frame = _name(span), self._frame[span]
        models = self._models.get(span, [])
        asked = span.asked or (models[0].asked if models else "")
        if frame is not None or (span.caller is not None and span not in self._called):
            sender = span.caller or (_name(frame) if frame is not None else _NAMELESS)
            self._emit(self._start_key(span), frame, span, sender, name, asked, when=span.start)
        elif span not in self._called and not self._begun:
            self._asked_by_user(span, asked, name)
        self._begun = True
        if not any(model.said for model in models):
            recipient, inferred = self._recipient[span]
            if models or span.usage is not None or span.cost_usd is not None:
                self._events.append((self._end_key(span), span, None, span))
            if span.said or span not in self._handed:
                self._emit(
                    self._end_key(span), span, span, name, recipient, span.said, when=span.end, inferred=inferred
                )
        elif span.usage is not None or span.cost_usd is not None:
            self._events.append((self._end_key(span), span, None, span))

    def _model(self, span: Span) -> None:
        frame, speaker = self._frame[span], self._speaker(span)
        if frame is None and span.from_user:
            self._asked_by_user(span, span.asked, speaker)
        recipient, inferred = self._recipient.get(frame, (None, False)) if frame is not None else (None, False)
        key = self._end_key(span)
        self._events.append((key, frame, None, span))
        # Calls that are spans of their own are told by those.
        calls = [] if frame in self._tooled else span.calls
        if span.said or (frame is None and not span.calls):
            self._emit(
                key, frame, span, speaker, recipient, span.said, when=span.end, role="assistant", inferred=inferred
            )
        for call in calls:
            self._emit(
                key, frame, span, speaker, call.name, when=span.end, kind="tool_call", role="assistant", tool=call
            )

    def _tool(self, span: Span) -> None:
        frame, speaker = self._frame[span], self._speaker(span)
        if span.usage is not None or span.cost_usd is not None:
            self._events.append((self._end_key(span), frame, None, span))
        if span.target is not None:
            if span not in self._delegating:
                text = "" if span.tool is None else str(span.tool.result or "")
                self._emit(
                    self._start_key(span), frame, span, speaker, span.target, text, when=span.start, kind="handoff"
                )
            return
        if span in self._delegating or span.tool is None:
            return
        tool = span.tool
        call = Tool(tool.name, tool.call_id, tool.arguments)
        self._emit(self._start_key(span), frame, span, speaker, tool.name, when=span.start, kind="tool_call", tool=call)
        self._emit(
            self._end_key(span),
            frame,
            span,
            tool.name,
            speaker,
            when=span.end,
            kind="tool_result",
            role="tool",
            tool=Tool(tool.name, tool.call_id, None, tool.result or "", tool.is_error),
        )


def _name(span: Span) -> str:
    return span.name or _NAMELESS


def _seconds(moment: datetime | None) -> float:
    return 0.0 if moment is None else moment.timestamp()


def _is_priced_alike(message: Message, model: str | None) -> bool:
    """Whether tokens of a model can be added to those of a message: the price of one is not that of another."""
    return message.usage is None or None in (message.model, model) or message.model == model


def _unsaid(bill: Message) -> Message:
    """Tokens with which nothing is said: they count, and are no evidence."""
    bill.kind = "system"
    return bill


def _add(bill: Message, span: Span) -> None:
    bill.usage = sum_of_usage(bill.usage, span.usage)
    bill.model = bill.model or span.model
    if span.cost_usd is not None:
        bill.cost_usd = (bill.cost_usd or 0.0) + span.cost_usd


def _merge(message: Message, bill: Message) -> None:
    message.usage = sum_of_usage(message.usage, bill.usage)
    message.model = message.model or bill.model
    message.usage_elsewhere = message.usage_elsewhere and bill.usage is None and bill.cost_usd is None
    if bill.cost_usd is not None:
        message.cost_usd = (message.cost_usd or 0.0) + bill.cost_usd
