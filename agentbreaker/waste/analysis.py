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
from agentbreaker.replay import ConversationReport, ReplayReport, ReplayRun
from agentbreaker.waste.books import Books
from agentbreaker.waste.draft import Draft
from agentbreaker.waste.evidence import Evidence
from agentbreaker.waste.first_reading import KEPT_INCIDENTS, FirstReading
from agentbreaker.waste.model import Report
from agentbreaker.waste.trials import Candidate

if TYPE_CHECKING:
    from agentbreaker.waste.outcomes import OutcomeBook

__all__ = ["Reading", "Replaying", "analyse"]

#: Reads the recordings from the beginning.
Reading = Callable[[], Iterable[tuple[str, Message]]]
#: Replays them under a policy: adds up the totals, and keeps the evidence of so many halts.
Replaying = Callable[[Policy, ReplayReport, int], Iterable[ConversationReport]]


def analyse(
    read: Reading,
    policy: Policy,
    *,
    made_at: datetime,
    accountant: Accountant,
    outcomes: OutcomeBook | None = None,
    candidates: Sequence[Candidate] = (),
    incidents: int = 20,
    replayed: Replaying | None = None,
    reading: Callable[[ReplayReport], str] = lambda totals: f"read {totals.messages:,} messages",
    interrupted: Callable[[], bool] = lambda: False,
) -> Report:
    """Replay recordings and put every token where it belongs.

    Args:
        read: Reads the recordings; called once for the books, and for each replay that `replayed` does not do.
        policy: What is in force.
        made_at: The time of the report.
        accountant: Prices the messages; a fresh one, as its totals are those of the report.
        outcomes: What became of the conversations.
        candidates: Policies to compare with; an interrupted report has none.
        incidents: Pages at most.
        replayed: Replays the recordings in another way, such as in several processes.
        reading: Says what was read, called after the first reading.
        interrupted: Asked after the first reading: whether it was cut short, so that the figures cover what was read:
            what `read` then yields first.  Asked again after the comparison.

    Raises:
        ConfigError: A policy cannot be used.
        TranscriptError: Whatever `read` raises.
    """

    def replays(rules: Policy, totals: ReplayReport, keep: int) -> Iterator[ConversationReport]:
        return ReplayRun(rules, totals, keep_incidents=keep, pricing=accountant.pricing).over(read())

    replaying = replayed or replays
    first = FirstReading(incidents, outcomes)
    totals = ReplayReport()
    for conversation in replaying(policy, totals, KEPT_INCIDENTS):
        first.take(conversation)
    complete = not interrupted()
    said = reading(totals)
    tried = candidates if complete else ()
    for candidate in tried:
        for conversation in replaying(candidate.policy, ReplayReport(), 0):
            candidate.take(conversation)
    if interrupted():
        # A comparison that broke off compares nothing.
        complete, tried = False, ()
    evidence = {
        key: Evidence(first.found[key], keep_excerpts=policy.settings.conversations.keep_excerpts)
        for key in first.chosen()
    }
    books = Books(
        accountant,
        first.found,
        evidence=evidence,
        trials=[candidate.halts for candidate in tried],
        outcomes=outcomes,
    )
    for source, message in islice(read(), totals.messages):
        books.take(source, message)
    return Draft(first, totals, books, accountant, outcomes).report(
        policy=policy,
        made_at=made_at,
        reading=said,
        complete=complete,
        candidates=tried,
        evidence=evidence,
    )
