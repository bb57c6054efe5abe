"""What the replay found, in the few figures that the report needs of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from agentbreaker.detectors import title_of
from agentbreaker.replay import ConversationReport
from agentbreaker.waste.incident_model import SignalBar
from agentbreaker.waste.sums import Sum

__all__ = ["Found", "Key", "found_of", "is_budget"]

#: A conversation: its source and its id.
Key = tuple[str, str]
#: Codes that cap what is spent: a halt by one of these says nothing of a loop.
_BUDGETS = "AB6"
_MANUAL = "manual"
_MAX_AGENTS = 50


@dataclass(slots=True)
class Found:
    """A conversation that was halted.

    Attributes:
        key: Which one.
        sentence, code, score: Of the incident.
        agents: Who took part in the loop.
        began_at, halted_at, messages: As in :class:`~agentbreaker.waste.incident_model.Halted`.
        laps: Laps until the halt.
        seconds: To the halt; ``None`` where nothing has a time.
        signals: The one that decided first.
        resume: How to go on.
        spend, in_loop, after_halt: Filled by the books.
    """

    key: Key
    sentence: str
    code: str
    score: float
    agents: tuple[str, ...]
    began_at: int
    halted_at: int
    messages: int
    laps: int = 0
    seconds: float | None = None
    signals: tuple[SignalBar, ...] = ()
    resume: str = ""
    spend: Sum = field(default_factory=Sum)
    in_loop: Sum = field(default_factory=Sum)
    after_halt: Sum = field(default_factory=Sum)


def is_budget(code: str) -> bool:
    """Whether a detector caps spending, so that its halt is no loop."""
    return code.startswith(_BUDGETS)


def found_of(report: ConversationReport) -> Found | None:
    """Return what was found in a conversation, ``None`` if it was not halted."""
    if report.halted_at is None:
        return None
    key = (report.source, report.conversation_id)
    code = report.detector or _MANUAL
    incident = report.incident
    if incident is None:  # beyond those that keep their evidence
        return Found(key, title_of(code), code, report.score, (), report.halted_at, report.halted_at, report.messages)
    signals = incident["signals"]
    return Found(
        key,
        incident["sentence"],
        code,
        report.score,
        tuple(incident["agents"])[:_MAX_AGENTS],
        report.halted_at if is_budget(code) else min(incident["began_at"], report.halted_at),
        report.halted_at,
        report.messages,
        laps=signals[0]["laps"] if signals else 0,
        seconds=incident["seconds"] or None,
        signals=tuple(_bars(signals)),
        resume=incident["resume"],
    )


def _bars(signals: Iterable[dict[str, Any]]) -> Iterable[SignalBar]:
    for number, signal in enumerate(signals):
        limit = signal["limit"]
        yield SignalBar(
            code=signal["code"],
            title=title_of(signal["code"]),
            value=signal["value"],
            limit=limit,
            unit=signal["unit"],
            share=signal["value"] / limit if limit else 0.0,
            decided=number == 0,
        )
