"""Tool rounds: what a call and its result were worth together.

The same call with a new result is progress; the same call with the same result is not; and a call that succeeds
after it had failed shows that trying again was right.  Calls and results are matched by the framework's id, else in
order; where a machine speaks in plain messages, what was said to it last stands for the call.
"""

from __future__ import annotations

from array import array
from itertools import islice
from typing import TYPE_CHECKING

from agentbreaker.kernel import unpack
from agentbreaker.lexicon import is_figure, is_identifier, lexicon
from agentbreaker.observation import Round
from agentbreaker.text import (
    clock_codes,
    is_silent,
    looks_like_failure,
    looks_like_transient,
    looks_like_waiting,
    volatile_codes,
)

if TYPE_CHECKING:
    from agentbreaker.message import Message
    from agentbreaker.observation import Observation
    from agentbreaker.text import Recent, Text

__all__ = ["Rounds"]

#: Unanswered calls that are remembered.
_MAX_PENDING = 64
#: Figures that are kept of a result; and of how many results, so that two jobs may be polled by turns.
_MAX_FIGURES = 256
_MAX_RESULTS = 2
#: New information (a figure is 4 units, an identifier 1 or less) below which a changed result tells nothing new.
_FACTS = 2.0
#: Calls without a result on record from which on there will be none, and distinct words of a call that says something.
_UNANSWERED, _SPOKEN = 3, 3
#: The same result again and again, for calls that differ in their figures: from so many times on, and with so many
#: distinct words, it is no receipt of a batch.
_AGAIN, _TELLING = 2, 8
#: Name spaces of the fingerprints, in bits that tell the length of a text beyond 512 MiB.
_CALL, _CALL_MASKED, _RESULT, _RESULT_MASKED, _PAIR, _PAIR_MASKED, _FAILED = (space << 29 for space in range(1, 8))


class Rounds:
    """Remembers the calls and results of one conversation, as fingerprints.

    Args:
        fingerprints: Bounded memory, shared with whoever else remembers fingerprints of this conversation.
    """

    __slots__ = (
        "_again",
        "_answered",
        "_batch",
        "_between",
        "_figures",
        "_fingerprints",
        "_latest",
        "_pending",
        "_said",
        "_said_by",
        "_said_masked",
        "_scored_batch",
        "_stale",
    )

    def __init__(self, fingerprints: Recent) -> None:
        self._fingerprints = fingerprints
        # Calls without a result yet: id, fingerprint, masked fingerprint, number of their batch.
        self._pending: list[tuple[str | None, int, int, int]] | None = None
        self._batch = 0
        self._answered = False
        # Whether the next call begins a batch.
        self._between = True
        # On a record without results: whether the latest call was there before.
        self._stale = False
        self._scored_batch = -1
        # What was said last, which stands for a call that is not on record.
        self._said_by = ""
        self._said = self._said_masked = 0
        # The figures of the latest results.
        self._figures: list[array[int]] = []
        # The latest call but for its figures, with its result, and how often the same came again at once.
        self._latest = self._again = 0

    def hear(self, speaker: str, fingerprint: int, masked: int) -> None:
        """Note what was said last.

        Args:
            speaker: By whom.
            fingerprint: Of the exact text.
            masked: Of machine text without its figures, as a counter makes no new command of it; of words the exact
                fingerprint.
        """
        self._said_by = speaker
        self._said = fingerprint
        self._said_masked = masked

    def call(self, message: Message, text: Text, seen: Observation) -> None:
        """Take in a tool call; ``seen.round`` only tells of calls on a record without results.

        There a call stands for its result.  A new one is progress.  One that was made before is a repeat if no other
        was new since: the same test is run again after each change.  One that says next to nothing tells neither.
        """
        pending = self._pending
        if pending is None:
            pending = self._pending = []
        if self._between:
            # Calls without a result in between are one decision; one that is never answered begins no endless batch.
            self._between = False
            self._batch += 1
        tool = message.tool
        seen.call_id = call_id = tool.call_id if tool is not None else None
        seen.tool_name = tool.name if tool is not None else None
        fingerprint = _identity(text)
        known = self._fingerprints.add(_CALL ^ fingerprint)
        stale = known and any(waiting[1] == fingerprint for waiting in pending)
        if not stale:
            if self.unanswered and text.distinct >= _SPOKEN:
                seen.round = Round.PROGRESS
        elif text.distinct >= _SPOKEN and (self._stale or pending[-1][1] == fingerprint):
            seen.round = Round.EXACT_REPEAT
        self._stale = stale
        if len(pending) >= _MAX_PENDING:
            del pending[0]
        pending.append((call_id, fingerprint, text.masked, self._batch))

    @property
    def unanswered(self) -> bool:
        """Whether the results of calls are not on record, as far as can be told."""
        return not self._answered and self._pending is not None and len(self._pending) >= _UNANSWERED

    def result(self, message: Message, text: Text, seen: Observation) -> None:
        """Take in a tool result, and say in ``seen.round`` what the round was worth."""
        self._answered = self._between = True
        tool = message.tool
        seen.call_id = tool.call_id if tool is not None else None
        seen.tool_name = tool.name if tool is not None else None
        self._judge(message, text, seen, self._take_call(message), spoken=False)

    def answer(self, message: Message, text: Text, seen: Observation) -> bool:
        """Take in what a machine says in a plain message, as the result of what was said to it.

        Returns:
            False if it says nothing but that its counters and clocks went on, only says back what was said to it, or
            says again what it has just said, to somebody else perhaps: then it is talk like any other.
        """
        if self._said_by == message.sender and self._said == text.fingerprint:
            return False
        call = self._spoken_call() if self._said_by != message.sender else None
        said_back = call is not None and call[2] in (text.masked, text.fingerprint)
        told = not said_back and self._judge(message, text, seen, call, spoken=True)
        self._said_by = message.sender
        self._said = text.fingerprint
        self._said_masked = text.masked
        return told

    def _spoken_call(self) -> tuple[str | None, int, int, int] | None:
        if not self._said_by:
            return None
        self._batch += 1
        return (None, self._said, self._said_masked, self._batch)

    def _judge(
        self,
        message: Message,
        text: Text,
        seen: Observation,
        call: tuple[str | None, int, int, int] | None,
        *,
        spoken: bool,
    ) -> bool:
        remember = self._fingerprints.add
        result = text.fingerprint
        seen_result = remember(_RESULT ^ result)
        masked = text.masked
        seen_masked = remember(_RESULT_MASKED ^ masked)
        if call is None:
            if seen_result:
                seen.round = Round.NEUTRAL if is_silent(text) else Round.SAME_RESULT
            else:
                seen.round = Round.CHANGED_FIGURES if seen_masked else Round.PROGRESS
            return True
        _, fingerprint, call_masked, batch = call
        new_call = not remember(_CALL_MASKED ^ call_masked)
        same_but_figures = remember(_PAIR_MASKED ^ fingerprint ^ masked * 31)
        before = self._figures
        again = 0
        if not spoken:
            same = call_masked ^ result * 31
            again = self._again = self._again + 1 if same == self._latest else 0
            self._latest = same
            self._figures = [*before[1 - _MAX_RESULTS :], _figures(text)]
        failure = looks_like_failure(text) or (message.tool is not None and message.tool.is_error)
        if remember(_PAIR ^ fingerprint ^ result * 31):
            worth = Round.SILENT_REPEAT if is_silent(text) else Round.EXACT_REPEAT
        elif not seen_result and (new_call or not seen_masked):
            worth = Round.PROGRESS
        elif not failure:
            if not seen_result:
                worth = Round.CHANGED_FIGURES
                if seen.info < _FACTS:
                    if spoken:
                        return False
                    if same_but_figures and _only_counts(text, before):
                        worth = Round.NEAR_REPEAT
            elif new_call and not spoken:
                worth = Round.PROGRESS
            else:
                worth = Round.NEAR_REPEAT if again >= _AGAIN and text.distinct >= _TELLING else Round.NEUTRAL
        else:
            worth = Round.STALE_FAILURE if new_call else Round.NEAR_FAILURE
        if failure:
            remember(_FAILED ^ fingerprint)
        elif worth <= Round.NEUTRAL and _FAILED ^ fingerprint in self._fingerprints:
            worth = Round.RECOVERED
        if worth > Round.TRANSIENT:
            if looks_like_waiting(text):
                worth = Round.WAITING
            elif failure and looks_like_transient(text):
                worth = Round.TRANSIENT
            elif not self._once(batch):
                worth = Round.NEUTRAL
        seen.round = worth
        return True

    def _take_call(self, message: Message) -> tuple[str | None, int, int, int] | None:
        """The waiting call that this result answers: by id where there is one, else the oldest."""
        pending = self._pending
        if not pending:
            return None
        call_id = message.tool.call_id if message.tool is not None else None
        if call_id is not None:
            for position, call in enumerate(pending):
                if call[0] == call_id:
                    del pending[position]
                    return call
        return pending.pop(0)

    def _once(self, batch: int) -> bool:
        """Whether nothing was held against this batch of calls yet: one decision, one evidence."""
        if batch == self._scored_batch:
            return False
        self._scored_batch = batch
        return True


def _identity(text: Text) -> int:
    """Fingerprint of a call; where it bears random identifiers or the time of day, of its other words.

    A nonce, a request id or the time among the arguments makes no other call of it.  Numbers of any length, dates,
    part numbers and names do: people ask by them.
    """
    codes = unpack(text.words)
    clock = clock_codes(text)
    kept = [code for code in codes if not is_identifier(code) and code not in clock]
    return text.fingerprint if len(kept) == len(codes) else sum(kept)


def _figures(text: Text) -> array[int]:
    """The plain numbers of a text, in bounded memory."""
    return array("I", islice(filter(is_figure, unpack(text.words)), _MAX_FIGURES))


def _only_counts(text: Text, before: list[array[int]]) -> bool:
    """Whether no figure moved since the results before, or only on by one; clocks and identifiers are no figures.

    How much a figure tells does not say so: one that moves may come to where another has been.  Where something is
    still under way, a figure that goes on by one is a job that moves.
    """
    known = {figure for figures in before for figure in figures}
    moved = {code for code in unpack(text.words) if is_figure(code)} - known
    if moved:
        moved -= volatile_codes(text)
    if not moved:
        return True
    predecessor = lexicon().predecessor
    return all(predecessor(code) in known for code in moved) and not looks_like_waiting(text)
