"""The one statistic behind all content detectors: what did this message bring that the conversation did not have?

*Talk* is worth the information of its new words: each new word counts by how rare it is in the language (see
:mod:`agentbreaker.lexicon`), held against what a message of that length usually brings.  A *tool round* (call and
result together) is worth something if the call or its result is new.  The answer is one number per message,
``emptiness``: 1 for a message with nothing new, 0 for one that brings just enough, negative for progress.  Detectors
sum it up over time as a one-sided CUSUM (E. S. Page, *Continuous inspection schemes*, Biometrika 1954).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentbreaker.artefacts import QUOTED, SAME_ARTEFACT, SMALLEST_ARTEFACT, Artefacts
from agentbreaker.headers import Headers
from agentbreaker.kernel import information
from agentbreaker.lexicon import ACKNOWLEDGING_CODES, CODE_BITS, WEIGHT_MASK, WEIGHT_UNIT, lexicon
from agentbreaker.machine import Machines, code_lines, is_machine_text, is_output
from agentbreaker.observation import Kind, Observation, Round
from agentbreaker.rounds import Rounds
from agentbreaker.text import Recent, Text, body_of, fingerprint_of, volatile_codes

if TYPE_CHECKING:
    from agentbreaker.config import NoveltySettings
    from agentbreaker.message import Message

__all__ = ["Kind", "NoveltyMeter", "Observation", "Round"]

#: Slots of the set of words: a word's slot holds the number of the generation in which it was heard last.
_SLOTS = 8192
_LAST_SLOT = _SLOTS - 1
#: The slot of a word are the upper 13 bits of its code: one shift, where lower bits would need a mask as well.
_SLOT_SHIFT = CODE_BITS - 13
#: Words of one generation that end it early: above this the set is too full to tell new from old.
_MOST_WORDS = _SLOTS * 2 // 5
_LAST_GENERATION = 255
#: Messages of a generation, and how many more for each speaker.  Words are remembered for one to two generations:
#: were they remembered for ever, any talk would run out of new words in the end (Heaps' law), however productive.
_GENERATION = 32
_GENERATION_PER_SPEAKER = 4
_MAX_SPEAKERS = 64
#: The longer honest talk goes on, the more of it has been said before: what is usual in a conversation, and a margin,
#: is the reference value of the CUSUM.  The running mean moves by this share with each message.
_USUAL_RATE = 1.0 / 20.0
_USUAL_MARGIN = 0.45
#: Messages of talk without any allowance; over as many more it grows to its full size.
_SHORT_TALK = 16
#: Fingerprints of messages, calls and results that are remembered.
_MAX_FINGERPRINTS = 176
#: Information of the new numbers of one message counts up to this, so that counters cannot pass for facts.
_MAX_NUMBERS = 20.0
#: A number that follows one already seen is a counter: this share of its weight counts.
_COUNTER_SHARE = 0.25
#: Information of a new line of code.
_LINE = 2.0
#: What an answer with news takes away besides, if it answers a prompt that was said before: what that had added.
_ANSWERED = 0.9
#: What the emptiness of a large artefact counts as talk when its sender has sent it before.
_RESENT_SHARE = 0.5


# Members of an enumeration are slow to reach, and these are met on every message.
_TALK = Kind.TALK
_HANDOFF = Kind.HANDOFF
_NO_ROUND = Round.NONE
#: In place of the fingerprint of what a speaker said last: there are too many speakers to remember this one.
_STRANGER = -1


class NoveltyMeter:
    """Remembers what one conversation has had, in bounded memory, and measures each message against it."""

    __slots__ = (
        "_age",
        "_allowance",
        "_artefacts",
        "_base",
        "_ceiling",
        "_commander",
        "_fingerprints",
        "_generation",
        "_headers",
        "_lowest",
        "_machines",
        "_per_word",
        "_prompted",
        "_rounds",
        "_seen",
        "_speakers",
        "_talk",
        "_talker",
        "_usual",
        "_words",
        "_words_before",
        "_worked",
    )

    def __init__(self, settings: NoveltySettings) -> None:
        self._base = settings.base
        self._per_word = settings.per_word
        self._ceiling = settings.ceiling
        self._lowest = -settings.drain
        self._allowance = settings.allowance
        # Messages of talk, and the running mean of their emptiness.
        self._talk = 0
        self._usual = 0.0
        # Words of the current generation and of the one before it.
        self._seen = bytearray(_SLOTS)
        self._generation = 2
        self._words = self._words_before = 0
        self._age = 0
        # What each speaker said last, as a fingerprint.
        self._speakers: dict[str, int | None] = {}
        self._fingerprints = Recent(_MAX_FINGERPRINTS)
        self._rounds = Rounds(self._fingerprints)
        self._machines: Machines | None = None
        # Who spoke last, and whether tools have answered since anybody else did.
        self._talker = ""
        self._worked = False
        # Who has just said word for word what he had said before.
        self._prompted = ""
        # Who has just spoken code between fences: what answers may be its output.
        self._commander = ""
        self._headers: Headers | None = None
        self._artefacts: Artefacts | None = None

    def measure(self, message: Message, text: Text, seen: Observation) -> None:
        """Fill `seen` with what `message` brings, and remember it."""
        seen.repeated = False
        seen.resent = None
        seen.quoted = False
        seen.round = _NO_ROUND
        seen.emptiness = seen.acknowledging = 0.0
        kind = message.kind
        speakers = self._speakers
        speaker = message.sender
        first = speaker not in speakers
        if first and len(speakers) < _MAX_SPEAKERS:
            speakers[speaker] = None
        self._age = age = self._age + 1
        if age > _GENERATION + _GENERATION_PER_SPEAKER * len(speakers) or self._words > _MOST_WORDS:
            self._grow_old()
        if kind == "handoff" and not text.raw:  # the same as below, in short
            seen.kind = _HANDOFF
            seen.info = 0.0
            return
        if kind == "system":
            seen.kind = Kind.CONTEXT
            seen.info = self._information(text)
            return
        spoken = kind == "message" and message.role != "user"
        fenced = kind == "message" and "```" in text.raw
        machine = quoted = False
        whole = text
        if spoken:
            machine = is_machine_text(text.raw)
            if not (machine or fenced) and self._commander and self._commander != speaker:
                machine = is_output(text.raw)
            self._commander = speaker if fenced else ""
            if "\n" in text.raw:
                text = self._without_header(text)
        seen.info = info = self._information(text)
        if len(whole.raw) >= SMALLEST_ARTEFACT and (spoken or kind == "tool_call"):
            artefacts = self._artefacts
            if artefacts is None:
                artefacts = self._artefacts = Artefacts()
            resent = artefacts.resent(speaker, whole.raw, goes_on=speaker == self._talker)
            quoted = seen.quoted = resent == QUOTED
            seen.resent = None if quoted else resent
        if kind == "handoff" and not text.words:
            # Passing the turn without a word is how supervisors work: an edge, but no evidence either way.
            seen.kind = _HANDOFF
        elif kind == "tool_call":
            seen.kind = Kind.CALL
            expected = min(self._base + self._per_word * text.distinct, self._ceiling)
            if info < expected:
                seen.emptiness = 1.0 - info / expected
            seen.size = len(text.raw)
            self._rounds.call(message, text, seen)
            if self._rounds.unanswered:
                self._worked = True
            if message.content and speakers.get(speaker, _STRANGER) != _STRANGER:
                # Reported as talk, the words of the call are neither news nor repetition.
                speakers[speaker] = fingerprint_of(message.content)
        elif kind == "tool_result":
            seen.kind = Kind.RESULT
            self._worked = True
            self._rounds.result(message, text, seen)
        elif (
            spoken
            and (machine or self._machines is not None)
            and self._is_machine(speaker, machine=machine, first=first, silent=not whole.raw)
            and self._rounds.answer(message, whole, seen)
        ):
            seen.kind = Kind.RESULT
            self._worked = True
            if speakers.get(speaker, _STRANGER) != _STRANGER:
                speakers[speaker] = text.fingerprint
            # Said back as talk, its lines are nothing new.
            self._new_lines(code_lines(whole.raw, machine=machine))
        else:
            if machine or fenced:
                # Of the whole message: a header may end within a fence.
                seen.info = info = info + self._new_lines(code_lines(whole.raw, machine=machine))
            expected = self._base + self._per_word * text.distinct
            if expected > self._ceiling:
                expected = self._ceiling
            emptiness = 1.0 - info / expected
            if not spoken and message.role == "user":
                seen.kind = Kind.OUTSIDE
                seen.emptiness = emptiness if emptiness > 0.0 else 0.0
                return
            fingerprint = text.fingerprint
            # What a machine answers is compared as a whole, header and all.
            self._rounds.hear(speaker, fingerprint, whole.masked if machine else fingerprint)
            if speaker != self._talker:
                self._talker = speaker
                self._worked = False
            seen.monologue = self._worked
            seen.kind = _TALK
            repeated = self._fingerprints.add(fingerprint ^ hash((speaker, message.recipient)))
            if repeated:
                seen.repeated = True
            said_last = speakers.get(speaker, _STRANGER)
            if said_last != _STRANGER:
                speakers[speaker] = fingerprint
            if said_last == fingerprint and not repeated:
                # The same words to somebody else: work handed out to many, neither news nor repetition.
                return
            if quoted and emptiness > 0.0:
                # A prompt that carries another's work along: what is new about it comes in the answer.
                return
            usual = self._usual
            bounded = emptiness if emptiness > -1.0 else -1.0
            self._usual = usual + (bounded - usual) * _USUAL_RATE
            self._talk = talk = self._talk + 1
            if talk > _SHORT_TALK and usual + _USUAL_MARGIN > 0.0:
                allowance = usual + _USUAL_MARGIN
                if allowance > self._allowance:
                    allowance = self._allowance
                if talk < 2 * _SHORT_TALK:
                    allowance *= talk / _SHORT_TALK - 1.0
                emptiness = (emptiness - allowance) / (1.0 - allowance)
            if emptiness > 0.0:
                # A large artefact that is sent again is judged by what changed in it (AB304): as talk it counts half.
                resent = seen.resent
                seen.emptiness = emptiness if resent is None or resent < SAME_ARTEFACT else emptiness * _RESENT_SHARE
                seen.acknowledging = _acknowledging(text.codes)
            else:
                lowest = self._lowest
                if self._prompted and self._prompted != speaker:
                    # It answers a prompt that comes word for word each time, which was no news and asked for this.
                    emptiness -= _ANSWERED
                seen.emptiness = emptiness if emptiness > lowest else lowest
            self._prompted = speaker if repeated else ""

    def _information(self, text: Text) -> float:
        """Information of the tokens that the conversation has not had lately, and remember them."""
        words, fresh, renewed, numbers = information(text.words, self._seen, self._generation, _SLOT_SHIFT)
        # Some new words fall into a slot that another word has taken: as many, on average, as slots are taken.
        info = words / WEIGHT_UNIT / (1.0 - (self._words + self._words_before) / _SLOTS)
        if numbers is not None:
            info += self._figures(numbers, text)
        self._words += fresh + renewed
        self._words_before -= renewed
        return info

    def _is_machine(self, speaker: str, *, machine: bool, first: bool, silent: bool) -> bool:
        machines = self._machines
        if machines is None:
            machines = self._machines = Machines()
        return machines.hear(speaker, machine=machine, first=first, silent=silent)

    def _new_lines(self, lines: list[int]) -> float:
        """Information of the lines of code that the conversation has not had lately, and remember them."""
        seen, now = self._seen, self._generation
        new = 0
        for line in lines:
            slot = line & _LAST_SLOT
            new += now - seen[slot] > 1
            seen[slot] = now
        return new * _LINE

    def _without_header(self, text: Text) -> Text:
        """Take a templated header off, which says the same on every message."""
        headers = self._headers
        if headers is None:
            headers = self._headers = Headers()
        body = headers.take_off(text.raw)
        return text if body is text.raw else body_of(text, body)

    def _grow_old(self) -> None:
        """Begin a new generation of words: the current one is old or full."""
        self._generation += 1
        self._words_before = self._words
        if self._generation > _LAST_GENERATION:
            self._seen = bytearray(_SLOTS)
            self._generation = 2
            self._words_before = 0
        self._words = 0
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
            if previous is not None and self._generation - self._seen[previous >> _SLOT_SHIFT] <= 1:
                weight *= _COUNTER_SHARE
            total += weight
        return total if total < _MAX_NUMBERS else _MAX_NUMBERS


def _acknowledging(codes: set[int]) -> float:
    if not codes:
        return 0.0
    return len(codes & ACKNOWLEDGING_CODES) / len(codes)
