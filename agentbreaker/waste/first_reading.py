"""The first reading: what the engine made of each conversation, in the few figures that the books need."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

from agentbreaker.replay import ConversationReport
from agentbreaker.waste.advice import Quiet
from agentbreaker.waste.findings import Found, Key, found_of

if TYPE_CHECKING:
    from agentbreaker.waste.outcomes import OutcomeBook

__all__ = ["KEPT_INCIDENTS", "FirstReading"]

#: Halts that keep their evidence, and with it where their loop began.
KEPT_INCIDENTS = 10_000


class FirstReading:
    """What the first reading leaves behind.

    Args:
        incidents: How many conversations get a page.
        outcomes: What became of the conversations.

    Attributes:
        found: The halted conversations.
        quiet: The ones that were left alone.
        sources: Conversations and messages of each file.
        without_evidence: Halts of which only the place is known.
    """

    def __init__(self, incidents: int, outcomes: OutcomeBook | None) -> None:
        self.found: dict[Key, Found] = {}
        self.quiet = Quiet()
        self.sources: dict[str, list[int]] = {}  # conversations, messages
        self.without_evidence = 0
        self._outcomes = outcomes
        self._incidents = incidents
        # The most expensive by what is on record after the halt; the smallest of them on top.
        self._heap: list[tuple[tuple[float, int, int], int, Key]] = []

    def take(self, report: ConversationReport) -> None:
        """Take in what became of one conversation."""
        counts = self.sources.setdefault(report.source, [0, 0])
        counts[0] += 1
        counts[1] += report.messages
        if self._outcomes is not None:
            self._outcomes.meet((report.source, report.conversation_id))
        found = found_of(report)
        if found is None:
            if report.warned_at is None:
                self.quiet.add(report.messages)
            return
        self.found[found.key] = found
        if not found.agents:
            self.without_evidence += 1
            return
        after = (report.cost_usd_after_halt, report.tokens_after_halt, report.messages - found.halted_at)
        heapq.heappush(self._heap, (after, -len(self.found), found.key))
        if len(self._heap) > self._incidents:
            heapq.heappop(self._heap)

    def chosen(self) -> list[Key]:
        """The conversations that get a page."""
        return [key for _, _, key in self._heap]
