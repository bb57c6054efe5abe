"""The second reading: every message's price is put where it belongs.

The first reading found where loops began and where they would have been halted.  Only the halted conversations have a
state here, so that memory does not grow with the recording.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime

from agentbreaker.accounting import Accountant
from agentbreaker.message import Message
from agentbreaker.waste.evidence import Evidence
from agentbreaker.waste.findings import Found, Key
from agentbreaker.waste.outcomes import OutcomeBook
from agentbreaker.waste.sums import Split, Sum, Table

__all__ = ["USEFUL", "Books", "Day"]

#: What a ribbon leads to that no loop had a part in.
USEFUL = "useful"
_MAX_NAME = 200
#: Days that are told apart; a thousand years of them would be a forged file.
_MAX_DAYS = 5000
_MAX_SPEAKERS = 100_000
_SPOKEN = frozenset({"message", "handoff", "tool_call"})
_PEOPLE = frozenset({"user", "human", "customer"})


class Day:
    """Spent on one day, and what of it came after a halt."""

    __slots__ = ("saved", "spend")

    def __init__(self) -> None:
        self.spend = Sum()
        self.saved = Sum()


class Books:
    """Adds up what was spent, by whom and on what.

    Args:
        accountant: Prices the messages.
        found: The halted conversations; their sums are filled.
        evidence: Those of them that get a page.
        trials: For each policy that is tried, where it would have halted.
        outcomes: What became of the conversations.
    """

    def __init__(
        self,
        accountant: Accountant,
        found: Mapping[Key, Found],
        *,
        evidence: Mapping[Key, Evidence] | None = None,
        trials: Iterable[Mapping[Key, int]] = (),
        outcomes: OutcomeBook | None = None,
    ) -> None:
        self._accountant = accountant
        self._found = found
        self._evidence = evidence or {}
        self._trials = [(halts, Sum()) for halts in trials]
        self._outcomes = outcomes
        self._numbers: dict[Key, int] = dict.fromkeys(found, 0)
        for halts, _ in self._trials:
            self._numbers.update(dict.fromkeys(halts, 0))
        self.total = Split()
        self.agents: Table[str] = Table("")
        self.models: Table[str] = Table("")
        self.edges: Table[tuple[str, str | None]] = Table(("", ""))
        self.detectors: Table[str] = Table("")
        self.flows: Table[tuple[str, str, str]] = Table(("", "", ""))
        self.between_agents, self.tools, self.outside = Sum(), Sum(), Sum()
        self.days: dict[date, Day] = {}
        self.undated = Sum()
        # Hashes, not names: there may be any number of them, of any length.
        self._speakers: set[int] = set()

    @property
    def speakers(self) -> int:
        """Distinct agents that said something or called a tool, without users and tools; counted up to 100,000."""
        return len(self._speakers)

    @property
    def trials(self) -> list[Sum]:
        """What each policy that was tried would have saved, in their order."""
        return [saved for _, saved in self._trials]

    def take(self, source: str, message: Message) -> None:
        """Put one message into the books."""
        charge = self._accountant.charge(message)
        key = (source, message.conversation_id)
        number = self._numbers.get(key)
        found = None
        in_loop = after = False
        if number is not None:
            self._numbers[key] = number + 1
            found = self._found.get(key)
            if found is not None:
                in_loop = number >= found.began_at
                after = number >= found.halted_at
                found.spend.add(charge)
                if in_loop:
                    found.in_loop.add(charge)
                if after:
                    found.after_halt.add(charge)
            for halts, saved in self._trials:
                if number >= halts.get(key, number + 1):
                    saved.add(charge)
            evidence = self._evidence.get(key)
            if evidence is not None:
                evidence.take(number, message, charge)
        if message.kind in _SPOKEN and message.role not in ("user", "system") and len(self._speakers) < _MAX_SPEAKERS:
            self._speakers.add(hash(message.sender))
        sender, model = message.sender[:_MAX_NAME], (charge.model or "")[:_MAX_NAME]
        recipient = None if message.recipient is None else message.recipient[:_MAX_NAME]
        kind = found.code if found is not None and in_loop else USEFUL
        self.total.add(charge, in_loop, after)
        self.agents.of(sender).add(charge, in_loop, after)
        self.edges.of((sender, recipient)).add(charge, in_loop, after)
        self.flows.of((model, sender, kind)).add(charge, in_loop, after)
        if model:
            self.models.of(model).add(charge, in_loop, after)
        if found is not None and in_loop:
            self.detectors.of(kind).add(charge, in_loop, after)
        self._purpose(message).add(charge)
        if self._outcomes is not None:
            self._outcomes.add(key, charge, in_loop)
        day = self._day(message.timestamp)
        if day is None:
            self.undated.add(charge)
            return
        day.spend.add(charge)
        if after:
            day.saved.add(charge)

    def _purpose(self, message: Message) -> Sum:
        """Talk among agents, work, or the world outside."""
        if message.kind in ("tool_call", "tool_result"):
            return self.tools
        if message.kind == "system" or message.role in ("user", "system"):
            return self.outside
        if message.recipient is not None and message.recipient.casefold() in _PEOPLE:
            return self.outside
        return self.between_agents

    def _day(self, stamp: datetime | None) -> Day | None:
        if stamp is None:
            return None
        when = (stamp.astimezone(UTC) if stamp.tzinfo is not None else stamp).date()
        day = self.days.get(when)
        if day is None and len(self.days) < _MAX_DAYS:
            day = self.days[when] = Day()
        return day
