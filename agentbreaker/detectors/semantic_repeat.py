"""AB303 semantic-repeat."""

from __future__ import annotations

import copy
import re
from hashlib import blake2b
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from agentbreaker.artefacts import SAME_ARTEFACT
from agentbreaker.detectors.base import TALK_DRAIN, Evidence, drain_talk, report_floor
from agentbreaker.observation import Kind
from agentbreaker.verdict import MAX_EVIDENCE

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

    from agentbreaker.config import PolicySettings
    from agentbreaker.observation import Observation
    from agentbreaker.verdict import Signal

__all__ = ["Question", "Reading", "Said", "SemanticRepeat"]

#: A cosine so far above the limit is one message's worth of nothing new.
_RESTATED_SPAN = 0.125
#: A turn of the user that is emptier than this is a mere nod, not something new from outside.
_NOD = 0.5
_FIGURE = re.compile(r"[0-9]{1,18}")
_CJK = re.compile("[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\uac00-\ud7a3]")
_LATIN = re.compile("[A-Za-z\u00c0-\u024f]")
#: Cyrillic, Greek, Arabic, Indic and all other scripts that there are no reference sentences for.
_LETTER = re.compile(r"[^\W\d_]")


class Reading(NamedTuple):
    """What an embedder makes of one message.

    Attributes:
        intent: 1 for a message that means what talk means that brings nothing, -1 for one that tells news; may go
            beyond.
        restated: Cosine with the closest of the messages before it, with what all sentences share taken out.
    """

    intent: float
    restated: float


class Said:
    """One message of talk in the window.

    Attributes:
        seen: What the detectors were told about it.
        text: Its beginning; empty where the policy keeps no excerpts and it has been asked about.
        digest: Fingerprint of that text.
        script: Key of the reference sentences that it is measured with, ``""`` if there are none.
        figures: The numbers in it.
        open: Whether it is still to be asked about.
    """

    __slots__ = ("digest", "figures", "open", "script", "seen", "text")

    def __init__(self, seen: Observation, text: str) -> None:
        self.seen = seen
        self.text = text
        self.digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        self.script = script_of(text)
        self.figures = frozenset(map(int, _FIGURE.findall(text)))
        self.open = False


class Question(NamedTuple):
    """What the embedder is asked: the window, and which of its messages are to be judged.

    Attributes:
        era: Stamp of the run of evidence; an answer from an earlier one is not used.
        said: The window, oldest first.
        texts: The text of each; empty where it is not kept any more.
        judged: Indices into `said`.
    """

    era: int
    said: tuple[Said, ...]
    texts: tuple[str, ...]
    judged: tuple[int, ...]


class SemanticRepeat:
    """semantic-repeat (AB303)

    What it sees:
        Talk that is worded anew each time and yet says nothing new, read by an
        embedder that the application brings (``Guard(embedder=...)``; without one
        this detector does not run). A message counts if it means what talk means
        that brings nothing (agreeing, thanking, handing over, announcing, being
        stuck as before), or if it restates one of the latest messages. The
        embedder is asked only where the cheap signals leave it open: two agents
        or more have gone round twice without news from tools or people, and the
        message is neither an exact repeat nor brings a figure that the latest
        ones lack.

    Why it matters:
        A model that loops with rare words looks productive to every statistic of
        words.

    Example:
        A toy for a model: it knows the reference sentences that tell news.

        >>> from agentbreaker import Guard, Message
        >>> from agentbreaker.embedding import reference_sentences as known
        >>> news = {text for _, told in known().values() for text in told}
        >>> class Toy:
        ...     name = "toy"
        ...     def embed(self, texts):
        ...         return [[text in news, text not in news] for text in texts]
        >>> guard = Guard(embedder=Toy())
        >>> for n, x in enumerate("ode duet echo glee hymn joy lilt zeal".split()):
        ...     said = f"A {x}, a veritable {x}hood, {x}fully sung."
        ...     decision = guard.observe(Message("c", "ab"[n % 2], content=said))
        >>> decision.code, decision.action.value
        ('AB303', 'halt')

    What resets it:
        Messages that tell news, also a new figure; a tool result that was not
        there before; a turn of the user.

    Known false positives:
        Small talk that is meant; teams whose progress is not in their messages,
        so that all they write is "done".

    Known evasions:
        A new figure in each message; a language that the embedder does not know
        (it is tested with sentences of known meaning, and not believed where it
        fails); musing that is neither news nor any of the above.

    Options:
        ``semantic.window`` (messages; default 8): the latest ones that a message is
            compared with.
        ``semantic.characters`` (characters; default 1000): read of each message.
        ``semantic.min_messages`` (messages; default 4): without news, before the
            embedder is asked.
        ``semantic.timeout_seconds`` (seconds; default 0.25): the most that a caller
            waits; 0 is never.
        ``semantic.restated`` (cosine; default 0.65): from which a message restates
            another one.
        ``semantic.margin`` (on the scale from -1, news, to 1; default 0.2): from
            which a message brings nothing.
        ``semantic.retry_seconds`` (seconds; default 30): of rest after three
            failures.
        ``semantic.cache_size`` (vectors; default 4096): that are remembered.
        ``detectors.weight`` (messages' worth; default 0.9): evidence of one message
            with nothing new.
        ``ladder.warn`` (messages' worth; default 2.75)
        ``ladder.steer`` (messages' worth; default 3.25)
        ``ladder.finish`` (messages' worth; default off)
        ``ladder.halt`` (messages' worth; default 4): evidence at which each rung is
            reached.

    Reference:
        N. Reimers, I. Gurevych, Sentence-BERT, EMNLP (2019): sentence embeddings.
        A. E. Hoerl, R. W. Kennard, Ridge regression, Technometrics 12 (1970),
            55-67: the border between news and nothing new.
        E. S. Page, Continuous inspection schemes, Biometrika 41 (1954), 100-115:
            the one-sided CUSUM.
    """

    code: ClassVar[str] = "AB303"
    name: ClassVar[str] = "semantic-repeat"
    title: ClassVar[str] = "Semantic repeat"

    __slots__ = (
        "_characters",
        "_era",
        "_evidence",
        "_floor",
        "_keep_texts",
        "_least",
        "_limit",
        "_margin",
        "_restated",
        "_run",
        "_said",
        "_weight",
        "_window",
    )

    def __init__(self, settings: PolicySettings) -> None:
        semantic = settings.semantic
        self._window = semantic.window
        self._characters = semantic.characters
        self._least = semantic.min_messages
        self._restated = semantic.restated
        self._margin = semantic.margin
        self._weight = settings.detectors.weight
        self._keep_texts = settings.conversations.keep_excerpts
        self._limit = settings.ladder.halt or MAX_EVIDENCE
        self._floor = report_floor(settings)
        self._evidence = Evidence()
        self._said: list[Said] = []
        # Messages of talk since the last news from tools or people.
        self._run = 0
        self._era = 0

    def observe(self, seen: Observation) -> Signal | None:
        """Drain on news from tools and people; repeat what stands while the agents talk on."""
        if seen.kind is Kind.TALK:
            return self._standing(seen)
        drain_talk(self._evidence, seen)
        if seen.kind is Kind.OUTSIDE:
            if seen.emptiness <= _NOD:
                self._begin_anew()
        elif seen.kind is Kind.RESULT and seen.round in TALK_DRAIN:
            self._begin_anew()
        return None

    def note(self, seen: Observation, content: str) -> None:
        """Remember a message of talk for the embedder, unless the cheap signals say already what it is worth."""
        text = content[: self._characters].strip()
        if not text or seen.quoted or (seen.resent is not None and seen.resent >= SAME_ARTEFACT):
            return  # a large artefact is judged by its lines (AB304): its beginning is always the same
        window = self._said
        said = Said(copy.copy(seen), text)
        if window and not seen.repeated:
            last = window[-1]
            if last.digest == said.digest and last.seen.sender == seen.sender:
                return  # the same words to somebody else: work handed out to many
        self._run += 1
        if len(window) >= self._window:
            del window[0]
        window.append(said)
        if not self._goes_round():
            if not self._keep_texts:
                said.text = ""
            return
        if seen.repeated:
            self._evidence.add(self._weight, seen)
        elif self._brings_figures(said):
            self._evidence.drain(self._weight)
        else:
            said.open = said.script != ""

    def question(self, scripts: Container[str] | None) -> Question | None:
        """Return what the embedder should be asked now, ``None`` if nothing is open.

        Args:
            scripts: Those that the embedder is known to understand; ``None`` while that is not known.
        """
        said = tuple(self._said)
        judged = tuple(
            index for index, one in enumerate(said) if one.open and (scripts is None or one.script in scripts)
        )
        for one in said:
            one.open = False
        if not judged:
            return None
        question = Question(self._era, said, tuple(one.text for one in said), judged)
        if not self._keep_texts:
            for one in said:
                one.text = ""
        return question

    def judge(self, question: Question, readings: Sequence[Reading | None], seen: Observation) -> Signal | None:
        """Add up what the embedder made of the messages that it was asked about.

        Args:
            question: What it was asked.
            readings: One for each message to be judged; ``None`` where it could not tell.
            seen: The latest message of the conversation.
        """
        if question.era != self._era:
            return None
        for index, reading in zip(question.judged, readings, strict=True):
            if reading is None:
                continue
            value = max(reading.intent + self._margin, (reading.restated - self._restated) / _RESTATED_SPAN)
            if value > 0.0:
                self._evidence.add(min(value, 1.0) * self._weight, question.said[index].seen)
            else:
                self._evidence.drain(min(-value, 1.0) * self._weight)
        return self._standing(seen)

    @property
    def suspicious(self) -> bool:
        """Whether there is any evidence."""
        return self._evidence.value > 0.0

    def reset(self) -> None:
        """Forget all evidence; what the embedder is still asked about counts no more."""
        self._evidence.clear()
        self._begin_anew()

    def _standing(self, seen: Observation) -> Signal | None:
        if self._evidence.value < self._floor:
            return None
        return self._evidence.signal(self.code, seen, self._limit, "messages with nothing new")

    def _begin_anew(self) -> None:
        self._run = 0
        self._era += 1
        for said in self._said:
            said.open = False

    def _goes_round(self) -> bool:
        """Whether two agents or more have had two turns each, on average, without news from outside their talk."""
        speakers = len({said.seen.sender for said in self._said})
        return speakers > 1 and self._run >= max(self._least, 2 * speakers)

    def _brings_figures(self, said: Said) -> bool:
        """Whether it has a number that the latest messages lack, and that is not the next of a counter."""
        old: set[int] = set()
        for other in self._said:
            if other is not said:
                old |= other.figures
        return any(figure not in old and figure - 1 not in old for figure in said.figures)


def script_of(text: str) -> str:
    """Key of the reference sentences that fit a text: ``"latin"``, ``"cjk"``, or ``""`` for none.

    >>> script_of("All done, thanks!"), script_of("好的,谢谢"), script_of("Спасибо"), script_of("42!")
    ('latin', 'cjk', '', '')
    """
    letters = len(_LETTER.findall(text))
    # A Chinese character says as much as several Latin letters.
    if len(_CJK.findall(text)) * 3 > letters:
        return "cjk"
    return "latin" if len(_LATIN.findall(text)) * 2 > letters else ""
