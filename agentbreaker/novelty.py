"""The one statistic behind all content detectors: what did this message bring that the conversation did not have?

*Talk* is worth the information of its new words: each new word counts by how rare it is in the language (see
:mod:`agentbreaker.lexicon`), held against what a message of that length usually brings.  A *tool round* (call and
result together) is worth something if the call or its result is new.  The answer is one number per message,
``emptiness``: 1 for a message with nothing new, 0 for one that brings just enough, negative for progress.  Detectors
sum it up over time as a one-sided CUSUM (E. S. Page, *Continuous inspection schemes*, Biometrika 1954).
"""

from __future__ import annotations

import enum
from collections import deque
from typing import TYPE_CHECKING

from agentbreaker.lexicon import ACKNOWLEDGING, NUMERIC, WEIGHT_MASK, WEIGHT_UNIT, lexicon
from agentbreaker.text import Text, looks_like_failure, volatile_codes

if TYPE_CHECKING:
    from agentbreaker.config import NoveltySettings
    from agentbreaker.message import Message

__all__ = ["Kind", "NoveltyMeter", "Observation", "Round"]

#: Bytes of a generation of words seen (a bitmap), and the number of set bits that ends it early.
_BITMAP_BYTES = 4096
_BITMAP_FULL = int(_BITMAP_BYTES * 8 * 0.35)
#: Messages of a generation, and how many more for each speaker.  Words are remembered for one to two generations:
#: were they remembered for ever, any talk would run out of new words in the end (Heaps' law), however productive.
_GENERATION = 32
_GENERATION_PER_SPEAKER = 4
_MAX_SPEAKERS = 64
#: Fingerprints of messages, calls and results that are remembered, and unanswered calls.
_MAX_FINGERPRINTS = 192
_MAX_PENDING = 64
_BITS = (1, 2, 4, 8, 16, 32, 64, 128)
#: Information of the new numbers of one message counts up to this, so that counters cannot pass for facts.
_MAX_NUMBERS = 12.0
#: A number that follows one already seen is a counter: this share of its weight counts.
_COUNTER_SHARE = 0.25

_NOTHING = bytearray(_BITMAP_BYTES)

_MESSAGE, _CALL, _CALL_MASKED, _RESULT, _RESULT_MASKED, _PAIR = range(6)


class Kind(enum.IntEnum):
    """What a message is to the detectors."""

    TALK = 0
    CALL = 1
    RESULT = 2
    OUTSIDE = 3
    CONTEXT = 4
    HANDOFF = 5


class Round(enum.IntEnum):
    """What a tool round (a call and its result) was worth; several results of one batch of calls are one round.

    ``PROGRESS``: something new.  ``CHANGED_FIGURES``: the same but for numbers.  ``NEUTRAL``: nothing to say.
    ``STALE_FAILURE``: another call, the same failure.  ``NEAR_FAILURE``: the same call but for numbers and ids, and a
    failure again.  ``SAME_RESULT``: the same result again, the call is not on record.  ``EXACT_REPEAT``: the same
    call with the same result.
    """

    NONE = 0
    PROGRESS = 1
    CHANGED_FIGURES = 2
    NEUTRAL = 3
    STALE_FAILURE = 4
    NEAR_FAILURE = 5
    SAME_RESULT = 6
    EXACT_REPEAT = 7


class Observation:
    """What the detectors are told about one message.  One object per conversation, overwritten each time.

    Attributes:
        index: Number of the message in its conversation, from 0.
        message_id: Its id, or ``None``.
        sender, recipient: Names.
        kind: What it is to the detectors.
        info: Information of its new words and figures, in units of the lexicon.
        emptiness: For talk, 1 - information / expected information, at least ``-drain``; else 0.
        acknowledging: Share of its words that acknowledge, thank or offer help, in [0, 1]; only known where
            ``emptiness`` is positive.
        repeated: The same sender has sent exactly this before.
        round: What the tool round was worth, for results.
        cycle: The cycle of speakers that this message closes, if any.
        spent_tokens, spent_usd: What this message cost.
        messages, tokens, cost_usd, seconds: Totals of the conversation, this message included.
    """

    __slots__ = (
        "acknowledging",
        "cost_usd",
        "cycle",
        "emptiness",
        "index",
        "info",
        "kind",
        "message_id",
        "messages",
        "recipient",
        "repeated",
        "round",
        "seconds",
        "sender",
        "spent_tokens",
        "spent_usd",
        "tokens",
    )

    def __init__(self) -> None:
        self.index = -1
        self.message_id: str | None = None
        self.sender = ""
        self.recipient: str | None = None
        self.kind = Kind.CONTEXT
        self.info = 0.0
        self.emptiness = 0.0
        self.acknowledging = 0.0
        self.repeated = False
        self.round = Round.NONE
        self.cycle: tuple[str, ...] | None = None
        self.spent_tokens = 0
        self.spent_usd = 0.0
        self.messages = 0
        self.tokens = 0
        self.cost_usd = 0.0
        self.seconds = 0.0

    @property
    def progress(self) -> bool:
        """Whether the message brought something: outside input, a new result, or enough new information."""
        kind = self.kind
        if kind is Kind.TALK:
            return self.emptiness < 0.0
        return kind is Kind.OUTSIDE or (kind is Kind.RESULT and self.round is Round.PROGRESS)


class NoveltyMeter:
    """Remembers what one conversation has had, in bounded memory, and measures each message against it."""

    __slots__ = (
        "_age",
        "_batch",
        "_before",
        "_fill",
        "_fingerprints",
        "_pending",
        "_scored_batch",
        "_seen",
        "_settings",
        "_speakers",
    )

    def __init__(self, settings: NoveltySettings) -> None:
        self._settings = settings
        # Words of the current generation and of the one before it.
        self._seen = bytearray(_BITMAP_BYTES)
        self._before = _NOTHING
        self._fill = 0
        self._age = 0
        self._speakers: set[str] = set()
        self._fingerprints: dict[int, int] = {}
        # Calls without a result yet: id, fingerprint, masked fingerprint, number of their batch.
        self._pending: deque[tuple[str | None, int, int, int]] | None = None
        self._batch = 0
        self._scored_batch = -1

    def measure(self, message: Message, text: Text, seen: Observation) -> None:
        """Fill `seen` with what `message` brings, and remember it."""
        seen.repeated = False
        seen.round = Round.NONE
        seen.emptiness = 0.0
        seen.acknowledging = 0.0
        kind = message.kind
        self._grow_old(message.sender)
        if kind == "system":
            seen.kind = Kind.CONTEXT
            seen.info = self._information(text)
            return
        seen.info = info = self._information(text)
        settings = self._settings
        if kind == "handoff" and not text.codes:
            # Passing the turn without a word is how supervisors work: an edge, but no evidence either way.
            seen.kind = Kind.HANDOFF
        elif kind == "tool_call":
            seen.kind = Kind.CALL
            self._call(message, text, seen)
        elif kind == "tool_result":
            seen.kind = Kind.RESULT
            self._result(message, text, seen)
        else:
            expected = settings.base + settings.per_word * len(text.codes)
            if expected > settings.ceiling:
                expected = settings.ceiling
            emptiness = 1.0 - info / expected
            if message.role == "user":
                seen.kind = Kind.OUTSIDE
                seen.emptiness = emptiness if emptiness > 0.0 else 0.0
                return
            seen.kind = Kind.TALK
            seen.repeated = self._remember(_MESSAGE, hash_pair(text.fingerprint, message.sender)) > 0
            if emptiness > 0.0:
                seen.emptiness = emptiness
                seen.acknowledging = _acknowledging(text.codes)
            else:
                drain = -settings.drain
                seen.emptiness = emptiness if emptiness > drain else drain

    def _information(self, text: Text) -> float:
        """Information of the tokens that the conversation has not had, and remember them."""
        seen = self._seen
        before = self._before
        words = 0
        numbers: list[int] | None = None
        fill = 0
        for code in text.codes:
            place = code >> 12 & 0xFFF
            bit = _BITS[code >> 9 & 7]
            if not seen[place] & bit:
                seen[place] |= bit
                fill += 1
                if before[place] & bit:
                    continue
                if code & NUMERIC:
                    if numbers is None:
                        numbers = [code]
                    else:
                        numbers.append(code)
                else:
                    words += code & WEIGHT_MASK
        self._fill += fill
        info = words / WEIGHT_UNIT
        if numbers is not None:
            info += self._figures(numbers, text)
        return info

    def _grow_old(self, speaker: str) -> None:
        """Begin a new generation of words when the current one is old or full."""
        speakers = self._speakers
        if speaker not in speakers and len(speakers) < _MAX_SPEAKERS:
            speakers.add(speaker)
        self._age += 1
        if self._age > _GENERATION + _GENERATION_PER_SPEAKER * len(speakers) or self._fill > _BITMAP_FULL:
            self._before = self._seen
            self._seen = bytearray(_BITMAP_BYTES)
            self._fill = 0
            self._age = 0

    def _figures(self, numbers: list[int], text: Text) -> float:
        """Information of new numbers and identifiers: clocks and dates count nothing, counters little."""
        volatile = volatile_codes(text) if ":" in text.raw or "-" in text.raw else ()
        table = lexicon()
        total = 0.0
        for code in numbers:
            if code in volatile:
                continue
            weight = (code & WEIGHT_MASK) / WEIGHT_UNIT
            previous = table.predecessor(code)
            place = 0 if previous is None else previous >> 12 & 0xFFF
            if previous is not None and (self._seen[place] | self._before[place]) & _BITS[previous >> 9 & 7]:
                weight *= _COUNTER_SHARE
            total += weight
        return total if total < _MAX_NUMBERS else _MAX_NUMBERS

    def _call(self, message: Message, text: Text, seen: Observation) -> None:
        pending = self._pending
        if pending is None:
            pending = self._pending = deque(maxlen=_MAX_PENDING)
        if not pending:
            self._batch += 1
        call_id = message.tool.call_id if message.tool is not None else None
        fingerprint = text.fingerprint
        if any(waiting[1] == fingerprint for waiting in pending) and self._remember(_CALL, fingerprint) > 0:
            # The same call again before it was ever answered: the results are not on the record.
            seen.round = Round.EXACT_REPEAT
        else:
            self._remember(_CALL, fingerprint)
        pending.append((call_id, fingerprint, text.masked, self._batch))

    def _result(self, message: Message, text: Text, seen: Observation) -> None:
        result = text.fingerprint
        masked = text.masked
        seen_result = self._remember(_RESULT, result) > 0
        seen_masked = self._remember(_RESULT_MASKED, masked) > 0
        call = self._take_call(message)
        if call is None:
            if not seen_result:
                seen.round = Round.CHANGED_FIGURES if seen_masked else Round.PROGRESS
            else:
                seen.round = Round.SAME_RESULT
            return
        _, fingerprint, call_masked, batch = call
        new_call = self._remember(_CALL_MASKED, call_masked) == 0
        if self._remember(_PAIR, fingerprint ^ result * 31) > 0:
            worth = Round.EXACT_REPEAT
        elif not seen_result and (new_call or not seen_masked):
            worth = Round.PROGRESS
        elif not seen_result and not looks_like_failure(text):
            worth = Round.CHANGED_FIGURES
        elif not (looks_like_failure(text) or (message.tool is not None and message.tool.is_error)):
            worth = Round.PROGRESS if new_call else Round.NEUTRAL
        else:
            worth = Round.STALE_FAILURE if new_call else Round.NEAR_FAILURE
        if worth >= Round.STALE_FAILURE and not self._once(batch):
            worth = Round.NEUTRAL
        seen.round = worth

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
        return pending.popleft()

    def _once(self, batch: int) -> bool:
        """Whether nothing was held against this batch of calls yet: one decision, one evidence."""
        if batch == self._scored_batch:
            return False
        self._scored_batch = batch
        return True

    def _remember(self, space: int, fingerprint: int) -> int:
        """Count a fingerprint; return how often it was there before.  The oldest are forgotten."""
        fingerprints = self._fingerprints
        key = fingerprint << 3 | space
        count = fingerprints.pop(key, 0)
        if len(fingerprints) >= _MAX_FINGERPRINTS:
            del fingerprints[next(iter(fingerprints))]
        fingerprints[key] = count + 1
        return count


def hash_pair(fingerprint: int, name: str) -> int:
    """Join a text's fingerprint with a name, for the lifetime of the process."""
    return fingerprint ^ hash(name)


def _acknowledging(codes: set[int]) -> float:
    if not codes:
        return 0.0
    count = 0
    for code in codes:
        if code & ACKNOWLEDGING:
            count += 1
    return count / len(codes)
