"""What became of the conversations, as ``--outcomes FILE`` tells: CSV or JSON Lines.

``conversation_id`` and ``outcome`` are needed, ``group`` is optional: what is compared, such as a team, a prompt or a
model.  Without it the files are compared.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from agentbreaker.accounting import Charge
from agentbreaker.errors import TranscriptError
from agentbreaker.waste.findings import Key
from agentbreaker.waste.measure import Measure
from agentbreaker.waste.model import Outcome
from agentbreaker.waste.sums import Split

__all__ = ["OutcomeBook", "read_outcomes"]

_FINISHED = frozenset({"1", "true", "yes", "y", "ok", "success", "succeeded", "successful", "finished", "done"}) | {
    "completed",
    "complete",
    "resolved",
    "solved",
    "passed",
    "pass",
    "won",
}
_NOT = frozenset({"0", "false", "no", "n", "failure", "failed", "fail", "error", "abandoned", "unfinished"}) | {
    "unresolved",
    "unsolved",
    "cancelled",
    "canceled",
    "escalated",
    "timeout",
    "lost",
}


def read_outcomes(path: str) -> OutcomeBook:
    """Read the file.

    Raises:
        TranscriptError: It cannot be read, or a line of it cannot be used; names the line and the field.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise TranscriptError(f"cannot be read: {error.strerror}", path=path) from None
    except UnicodeDecodeError:
        raise TranscriptError("not UTF-8", path=path) from None
    outcomes: dict[str, tuple[bool, str, str]] = {}
    for line, row in _rows(text, path):
        conversation = row.get("conversation_id")
        if not isinstance(conversation, str) or not conversation:
            raise TranscriptError("missing", path=path, line=line, field="conversation_id")
        given = row.get("outcome")
        word = str(given).strip().casefold()
        if given is None or word not in _FINISHED | _NOT:
            raise TranscriptError(
                f"{str(given)[:40]!r} is neither finished nor not; say success or failure",
                path=path,
                line=line,
                field="outcome",
            )
        if conversation in outcomes:
            raise TranscriptError(f"{conversation[:80]!r} a second time", path=path, line=line, field="conversation_id")
        outcomes[conversation] = (word in _FINISHED, word, str(row.get("group") or ""))
    if not outcomes:
        raise TranscriptError("no outcome in it", path=path)
    return OutcomeBook(outcomes)


def _rows(text: str, path: str) -> Iterator[tuple[int, dict[str, Any]]]:
    if text.lstrip().startswith("{"):
        for line, raw in enumerate(text.split("\n"), 1):
            if not raw.strip():
                continue
            try:
                row = json.loads(raw)
            except (ValueError, RecursionError):
                raise TranscriptError("not JSON", path=path, line=line) from None
            if not isinstance(row, dict):
                raise TranscriptError("not an object", path=path, line=line)
            yield line, row
        return
    reader = csv.DictReader(text.splitlines(), strict=True)
    missing = {"conversation_id", "outcome"} - set(reader.fieldnames or ())
    if missing:
        raise TranscriptError(f"no column {min(missing)}", path=path, line=1)
    try:
        for row in reader:
            yield reader.line_num, dict(row)
    except csv.Error as error:
        raise TranscriptError(f"not CSV: {error}", path=path, line=reader.line_num) from None


class OutcomeBook:
    """Known outcomes, and what the conversations that have one have cost.

    Args:
        outcomes: By conversation: whether it reached its goal, the word for it, and its group (may be empty).
    """

    def __init__(self, outcomes: dict[str, tuple[bool, str, str]]) -> None:
        self._outcomes = outcomes
        self._spent: dict[str, Split] = {}
        self._counts: dict[str, list[int]] = {}  # conversations, finished
        self._met: set[str] = set()

    def word(self, conversation_id: str) -> str | None:
        """Return the outcome of a conversation as it was given, ``None`` if it has none."""
        known = self._outcomes.get(conversation_id)
        return None if known is None else known[1]

    def finished(self, conversation_id: str) -> bool:
        """Whether a conversation is known to have reached its goal."""
        known = self._outcomes.get(conversation_id)
        return known is not None and known[0]

    def meet(self, key: Key) -> None:
        """Count a conversation that was read."""
        source, conversation_id = key
        known = self._outcomes.get(conversation_id)
        if known is None:
            return
        self._met.add(conversation_id)
        counts = self._counts.setdefault(known[2] or source, [0, 0])
        counts[0] += 1
        counts[1] += known[0]

    def add(self, key: Key, charge: Charge, in_loop: bool) -> None:
        """Add what a message of a conversation cost."""
        known = self._outcomes.get(key[1])
        if known is not None:
            self._spent.setdefault(known[2] or key[0], Split()).add(charge, in_loop, after=False)

    @property
    def unmet(self) -> int:
        """Outcomes of conversations that were not read."""
        return len(self._outcomes) - len(self._met)

    def ranked(self, measure: Measure) -> tuple[Outcome, ...]:
        """What each group paid for a finished conversation, the cheapest first; those that finished none last."""
        outcomes = []
        for group, (conversations, finished) in self._counts.items():
            split = self._spent.get(group, Split())
            spend = split.spend.amount()
            outcomes.append(
                Outcome(
                    group=group,
                    conversations=conversations,
                    finished=finished,
                    spend=spend,
                    in_loops=split.in_loops.amount(),
                    usd_per_finished=spend.cost_usd / finished if finished and spend.cost_usd else None,
                    tokens_per_finished=spend.tokens / finished if finished else None,
                )
            )
        return tuple(sorted(outcomes, key=lambda outcome: _cheapest_first(outcome, measure)))


def _cheapest_first(outcome: Outcome, measure: Measure) -> tuple[bool, bool, float, float, str]:
    usd = outcome.usd_per_finished if measure == "money" else None
    tokens = outcome.tokens_per_finished or 0.0
    return (not outcome.finished, usd is None, usd if usd is not None else 0.0, tokens, outcome.group)
