"""Recorded conversations become a report: read once through the engine, and once more through the books.

The second reading is cheap and exact: where a loop began is only known when it is over, and by then its messages are
gone.  So the recordings must be readable twice; standard input is written to a temporary file by the caller.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING

from agentbreaker.accounting import Accountant
from agentbreaker.message import Message
from agentbreaker.policy import Policy
from agentbreaker.pricing import Pricing
from agentbreaker.replay import ReplayReport, replay
from agentbreaker.waste.books import Books
from agentbreaker.waste.draft import Draft
from agentbreaker.waste.evidence import Evidence
from agentbreaker.waste.first_reading import KEPT_INCIDENTS, FirstReading
from agentbreaker.waste.model import Report
from agentbreaker.waste.trials import Candidate

if TYPE_CHECKING:
    from agentbreaker.waste.outcomes import OutcomeBook

__all__ = ["Reading", "analyse"]

#: Reads the recordings from the beginning; called once for each reading.
Reading = Callable[[], Iterable[tuple[str, Message]]]


def analyse(
    read: Reading,
    policy: Policy,
    *,
    made_at: datetime,
    accountant: Accountant,
    outcomes: OutcomeBook | None = None,
    candidates: Sequence[Candidate] = (),
    incidents: int = 20,
    reading: Callable[[ReplayReport], str] = lambda totals: f"read {totals.messages:,} messages",
    interrupted: Callable[[], bool] = lambda: False,
) -> Report:
    """Replay recordings and put every token where it belongs.

    Args:
        read: Reads the recordings; called once for the replay, once for each candidate, and once for the books.
        policy: What is in force.
        made_at: The time of the report.
        accountant: Prices the messages; a fresh one, as its totals are those of the report.
        outcomes: What became of the conversations.
        candidates: Policies to compare with.
        incidents: Pages at most.
        reading: Says what was read, called after the first reading.
        interrupted: Whether to come to an end: what was read so far is reported.

    Raises:
        ConfigError: A policy cannot be used.
        TranscriptError: Whatever `read` raises.
    """
    first = FirstReading(incidents, outcomes)
    totals = ReplayReport()
    for conversation in replay(
        _priced(read(), accountant.pricing, interrupted), policy, report=totals, keep_incidents=KEPT_INCIDENTS
    ):
        first.take(conversation)
    complete = not interrupted()
    said = reading(totals)
    for candidate in candidates:
        for conversation in replay(
            islice(_priced(read(), accountant.pricing), totals.messages), candidate.policy, keep_incidents=0
        ):
            candidate.take(conversation)
    evidence = {
        key: Evidence(first.found[key], keep_excerpts=policy.settings.conversations.keep_excerpts)
        for key in first.chosen()
    }
    books = Books(
        accountant,
        first.found,
        evidence=evidence,
        trials=[candidate.halts for candidate in candidates],
        outcomes=outcomes,
    )
    for source, message in islice(read(), totals.messages):
        books.take(source, message)
    return Draft(first, totals, books, accountant, outcomes).report(
        policy=policy,
        made_at=made_at,
        reading=said,
        complete=complete,
        candidates=candidates,
        evidence=evidence,
    )


def _priced(
    messages: Iterable[tuple[str, Message]], pricing: Pricing, interrupted: Callable[[], bool] = lambda: False
) -> Iterator[tuple[str, Message]]:
    """Give every message that has a usage its price, so that budgets in money hold; end when interrupted."""
    for source, message in messages:
        if interrupted():
            return
        if message.cost_usd is None and message.usage is not None:
            message.cost_usd = pricing.quote(message.model, message.usage)
        yield source, message
