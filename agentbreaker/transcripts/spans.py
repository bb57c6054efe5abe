"""Traces: the spans of a tracing system, and the messages that they tell of.

The readers of trace formats make a :class:`Span` of every record; what follows from their nesting is the same for all:

- An agent's span within another agent's span is a call: the outer one asks, the inner one answers it.
- Agents' spans side by side are turns: each speaks to the next.  A span around several agents that makes no model
  call of its own, where the agents in it do, is a team and not a speaker.
- Tokens and money count where no span below has any: a parent's are the sum of its children's.

Spans are exported when they end, children first, and traces interleave, so they are held until the recording ends or
the room for them does; then the trace that was silent for longest is let go.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal

from agentbreaker.message import Message, Tool, Usage
from agentbreaker.transcripts.addressing import Addressing
from agentbreaker.transcripts.source import Source
from agentbreaker.transcripts.turns import messages_of_trace

__all__ = ["MAX_HELD_BYTES", "Span", "SpanKind", "messages_of_spans"]

SpanKind = Literal["agent", "model", "tool", "other"]
#: Spans are held up to about so many bytes.
MAX_HELD_BYTES: Final = 32 * 1024 * 1024
#: What a span without text takes, with the objects that make it up.
_SPAN_BYTES: Final = 1000


@dataclass(slots=True, eq=False)
class Span:
    """One span of a trace, whichever system recorded it.

    Attributes:
        trace_id, span_id, parent_id: As recorded; a root has no parent.
        kind: An agent at work, a model call, a tool call, or anything else, of which only the nesting counts.
        name: Of the agent or tool; for a model call the agent that is named on it, else empty.
        start, end: When it began and ended.
        conversation_id: A session or thread that is longer than the trace, if one is named.
        caller: The agent that called this agent, where the span says so.
        target: The agent to which this span hands over.
        asked: Text that went in: for agents and models, the latest message.
        from_user: Whether a person wrote `asked`, as far as is known.
        said: Text that came out.
        calls: Tool calls that the model asked for.
        tool: The tool call with its result.
        model: Name of the model.
        usage, cost_usd: Tokens and US dollars, of this span or with those below it.
        is_node: The agent is a node of a graph: one that only runs tools is no agent.
    """

    trace_id: str
    span_id: str
    parent_id: str | None = None
    kind: SpanKind = "other"
    name: str = ""
    start: datetime | None = None
    end: datetime | None = None
    conversation_id: str | None = None
    caller: str | None = None
    target: str | None = None
    asked: str = ""
    from_user: bool = True
    said: str = ""
    calls: list[Tool] = field(default_factory=list)
    tool: Tool | None = None
    model: str | None = None
    usage: Usage | None = None
    cost_usd: float | None = None
    is_node: bool = False

    @property
    def size(self) -> int:
        """About how many bytes it takes."""
        size = _SPAN_BYTES * (1 + len(self.calls)) + 2 * (len(self.asked) + len(self.said))
        if self.tool is not None:
            size += 2 * len(str(self.tool.arguments)) + 2 * len(self.tool.result or "")
        return size


def messages_of_spans(source: Source, spans: Iterable[Span]) -> Iterator[Message]:
    """Yield the messages that spans tell of, one trace after the other, and count them.

    Args:
        source: Where they are from; a trace that goes on after it had to be let go is counted there as a fault.
        spans: In any order.  A span that comes twice counts as it came last.
    """
    # A conversation may be many traces: the next speaker is then in the next one.
    addressing = Addressing()
    traces: dict[str, dict[str, Span]] = {}
    held = 0
    let_go: set[int] = set()
    told: set[int] = set()
    for span in spans:
        key = hash(span.trace_id)
        if key in let_go and key not in told:
            told.add(key)
            source.skip("no room to hold its trace: what follows is read as a trace of its own", field="trace")
        trace = traces.pop(span.trace_id, None) or {}
        traces[span.trace_id] = trace
        if (before := trace.get(span.span_id)) is not None:
            held -= before.size
        trace[span.span_id] = span
        held += span.size
        while held > MAX_HELD_BYTES:
            oldest = next(iter(traces))
            gone = traces.pop(oldest)
            held -= sum(one.size for one in gone.values())
            let_go.add(hash(oldest))
            yield from _counted(source, addressing, gone)
    for trace in sorted(traces.values(), key=_begin):
        yield from _counted(source, addressing, trace)
    for message in addressing.end():
        source.report.messages += 1
        yield message


def _begin(trace: dict[str, Span]) -> float:
    return min((span.start.timestamp() for span in trace.values() if span.start is not None), default=0.0)


def _counted(source: Source, addressing: Addressing, trace: dict[str, Span]) -> Iterator[Message]:
    for told in messages_of_trace(list(trace.values())):
        for message in addressing.push(told):
            source.report.messages += 1
            yield message
