"""The second stage: where the cheap signals are undecided, an embedder is asked, and its answer comes as evidence.

It runs after the conversation's lock is released.  A worker thread of the guard asks the embedder; the caller waits
for at most ``semantic.timeout_seconds``, and not at all where an event loop runs in its thread: then the answer counts
from a later message on.  Whatever the embedder does (raise, hang, answer nonsense), the lexical result stands.
"""

from __future__ import annotations

import queue
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from agentbreaker.conversation import Conversation
from agentbreaker.detectors import build_detectors
from agentbreaker.detectors.semantic_repeat import SemanticRepeat
from agentbreaker.embedding import EmbeddingError, Meaning, VectorCache, reference_sentences, unit_vectors
from agentbreaker.errors import ConfigError
from agentbreaker.judgement import Failures, Outcome, decide
from agentbreaker.observation import Kind
from agentbreaker.scoring import fuse
from agentbreaker.verdict import State

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from agentbreaker.breaker import BreakerConfig
    from agentbreaker.clock import Clock
    from agentbreaker.config import PolicySettings
    from agentbreaker.detectors.semantic_repeat import Question, Reading, Said
    from agentbreaker.embedding import Embedder
    from agentbreaker.message import Message
    from agentbreaker.policy import Policy
    from agentbreaker.registry import Registry
    from agentbreaker.telemetry import Telemetry
    from agentbreaker.verdict import Decision, Signal, Verdict

__all__ = ["SecondStage", "WatchedConversation"]

#: Questions that wait for the worker; more are not asked.
_MOST_QUESTIONS = 64
#: Texts that the embedder is given at once.
_BATCH = 32
#: After an answer that came late, nobody waits for the next so many.
_IMPATIENCE = 16
#: Failures in a row after which the embedder is left alone, and how long at most, in seconds.
_MOST_FAILURES = 3
_LONGEST_REST = 3600.0
#: An idle worker ends after so many seconds; the next question starts another.
_IDLE_SECONDS = 10.0


class _Job:
    """One question on its way."""

    __slots__ = ("done", "question", "readings")

    def __init__(self, question: Question) -> None:
        self.question = question
        # Set before `done`; stays `None` where the embedder failed.
        self.readings: list[Reading | None] | None = None
        self.done = threading.Event()


class WatchedConversation(Conversation):
    """A conversation with AB303 among its detectors, and what is on its way to the embedder."""

    __slots__ = ("job", "semantic", "trouble")

    def __init__(
        self, conversation_id: str, settings: PolicySettings, clock: Clock, config: BreakerConfig, state: State
    ) -> None:
        super().__init__(conversation_id, settings, clock, config, state)
        self.detectors = build_detectors(settings, embedder=True)
        self.semantic: SemanticRepeat = next(one for one in self.detectors if isinstance(one, SemanticRepeat))
        self.job: _Job | None = None
        self.trouble: Exception | None = None

    def calm_down(self) -> None:
        """The run of evidence is over, unless AB303 still holds some: its answers come between the messages."""
        if not self.semantic.suspicious:
            super().calm_down()

    def keep(self, message: Message, info: float) -> None:
        """Keep the beginning of a message as evidence, and of talk what the embedder may be asked about."""
        super().keep(message, info)
        if self.seen.kind is Kind.TALK:
            try:
                self.semantic.note(self.seen, message.content)
            except Exception as error:  # told after the lock is released
                self.trouble = error


class SecondStage:
    """Asks the embedder of one guard.

    Args:
        embedder: What the application brought.
        policy: The guard's.
        registry: The guard's conversations; it makes :class:`WatchedConversation` from now on.
        clock: Tells when an embedder that was left alone may be asked again.
        telemetry: Counts ``embedder_error``, ``embedder_answer`` (not vectors), ``embedder_unfit`` (understands no
            reference sentences), ``embedder_late`` (not within the limit) and ``embedder_busy`` (too many questions).
        tell: The guard's way to publish an outcome; called outside every lock.

    Attributes:
        cache: The vectors so far.
        meaning: How they are read; ``None`` before the first question.

    Raises:
        ConfigError: The embedder has no name or no ``embed``.
    """

    def __init__(
        self,
        embedder: Embedder,
        policy: Policy,
        registry: Registry,
        clock: Clock,
        telemetry: Telemetry,
        tell: Callable[[Conversation, Outcome, Verdict, Failures], Decision],
    ) -> None:
        if not (callable(getattr(embedder, "embed", None)) and isinstance(getattr(embedder, "name", None), str)):
            raise ConfigError("embedder must have a name and a method embed(texts)", field="embedder")
        settings = policy.settings.semantic
        self._embedder = embedder
        self._name = embedder.name
        self._policy = policy
        self._registry = registry
        self._clock = clock
        self._telemetry = telemetry
        self._tell = tell
        self._timeout = settings.timeout_seconds
        self._retry = settings.retry_seconds
        self.cache = VectorCache(settings.cache_size)
        self.meaning: Meaning | None = None
        self._dimensions: int | None = None
        self._jobs: queue.Queue[_Job] = queue.Queue(_MOST_QUESTIONS)
        self._worker: threading.Thread | None = None
        self._starting = threading.Lock()
        self._impatience = 0
        self._failures = 0
        self._rest = self._retry
        self._rest_until: float | None = None
        if SemanticRepeat.code not in policy.settings.detectors.disable:
            registry.make = WatchedConversation

    def follow(self, conversation_id: str, decision: Decision) -> Decision:
        """Ask about the latest messages if they leave it open, and return the decision, perhaps a stronger one.

        Never raises.
        """
        conversation = self._registry.find(conversation_id)
        if not isinstance(conversation, WatchedConversation) or not decision.allowed or decision.probe:
            return decision
        try:
            return self._follow(conversation, decision)
        except Exception as error:
            with suppress(Exception):
                self._telemetry.emit_failure("second_stage", error)
            return decision

    def _follow(self, conversation: WatchedConversation, decision: Decision) -> Decision:
        breaker = conversation.breaker
        failures: Failures = []
        job = None
        with conversation.lock:
            generation = breaker.generation
            if conversation.trouble is not None:
                dropped = conversation.detector_failed(SemanticRepeat.code)
                failures.append(("detector_quarantined" if dropped else "detector_error", conversation.trouble))
                conversation.trouble = None
            outcome = self._take(conversation, decision, generation, failures)
            if breaker.generation == generation and conversation.job is None:
                job = conversation.job = self._question(conversation)
        if outcome is not None:
            decision = self._tell(conversation, *outcome, failures)
        else:
            for condition, error in failures:
                self._telemetry.emit_failure(condition, error)
        if job is None:
            return decision
        queued = False
        try:
            queued = self._submit(job)
        finally:
            if not queued:
                with conversation.lock:
                    conversation.job = None
        if not queued or not self._wait(job):
            return decision
        failures = []
        with conversation.lock:
            outcome = self._take(conversation, decision, generation, failures)
        return decision if outcome is None else self._tell(conversation, *outcome, failures)

    def _question(self, conversation: WatchedConversation) -> _Job | None:
        """What is to be asked now, if anything; a detector that kept failing has been dropped."""
        if conversation.semantic not in conversation.detectors:
            return None
        question = conversation.semantic.question(None if self.meaning is None else self.meaning.scripts)
        return None if question is None or self._resting() else _Job(question)

    def _take(
        self, conversation: WatchedConversation, decision: Decision, generation: int, failures: Failures
    ) -> tuple[Outcome, Verdict] | None:
        """Add the answer to the evidence, if it is there; return what follows if that is more than was decided."""
        job = conversation.job
        if job is None or not job.done.is_set():
            return None
        conversation.job = None
        if job.readings is None:
            return None
        signal: Signal | None = conversation.semantic.judge(job.question, job.readings, conversation.seen)
        breaker = conversation.breaker
        if signal is None or breaker.generation != generation or breaker.state not in _JUDGED:
            return None
        verdict = fuse([signal])
        action = self._policy.decide(verdict, steered=conversation.steered)
        if action.rank <= (decision.would or decision.action).rank:
            return None
        return decide(conversation, self._policy, verdict, generation, failures), verdict

    def _resting(self) -> bool:
        """Whether the embedder has failed so often that it is left alone."""
        if self._rest_until is None:
            return False
        if self._clock.now() < self._rest_until:
            return True
        self._rest_until = None
        return False

    def _submit(self, job: _Job) -> bool:
        """Answer from the cache, or queue the question; ``False`` if there are too many."""
        meaning = self.meaning
        if meaning is not None and (vectors := self._cached(job.question, meaning)) is not None:
            self._finish(job, meaning, vectors)
            return True
        try:
            self._jobs.put_nowait(job)
        except queue.Full as error:
            self._telemetry.emit_failure("embedder_busy", error)
            return False
        with self._starting:
            # The worker ends when it has been idle; a fork leaves it behind.
            if self._worker is None or not self._worker.is_alive():
                self._worker = threading.Thread(target=self._work, name="agentbreaker-embedder", daemon=True)
                self._worker.start()
        return True

    def _wait(self, job: _Job) -> bool:
        """Wait for the answer where that is allowed; return whether it is there."""
        if job.done.is_set():
            return True
        if self._timeout <= 0.0 or _in_event_loop():
            return False
        if self._impatience > 0:
            self._impatience -= 1
            return False
        if job.done.wait(self._timeout):
            return True
        self._impatience = _IMPATIENCE
        self._telemetry.emit_failure("embedder_late", TimeoutError("no answer within semantic.timeout_seconds"))
        return False

    def _work(self) -> None:
        """Answer questions, in a thread of its own, until there are none for a while."""
        while True:
            try:
                job = self._jobs.get(timeout=_IDLE_SECONDS)
            except queue.Empty:
                with self._starting:
                    if self._jobs.empty():
                        self._worker = None
                        return
                continue
            try:
                self._answer(job)
                self._failures = 0
                self._rest = self._retry
            except BaseException as error:  # the thread is ours: nothing may end it, and nobody else would be told
                self._failed(error)
            finally:
                job.done.set()

    def _failed(self, error: BaseException) -> None:
        with suppress(Exception):
            condition = "embedder_answer" if isinstance(error, EmbeddingError) else "embedder_error"
            self._telemetry.emit_failure(condition, error)
            self._failures += 1
            if self._failures >= _MOST_FAILURES:
                self._failures = 0
                self._rest_until = self._clock.now() + self._rest
                self._rest = min(self._rest * 2.0, _LONGEST_REST)

    def _answer(self, job: _Job) -> None:
        name = self._embedder.name
        if name != self._name:
            self.meaning = self._dimensions = None
            self._name = name
        meaning = self.meaning
        if meaning is None:
            meaning = self.meaning = self._learn()
            if not meaning.scripts:
                self._telemetry.emit_failure("embedder_unfit", EmbeddingError("does not tell the references apart"))
        question = job.question
        wanted = [
            (self._key(said), text)
            for said, text in zip(question.said, question.texts, strict=True)
            if said.script in meaning.scripts
        ]
        vectors = {key: self.cache.get(key) for key, _ in wanted}
        missing = {key: text for key, text in wanted if text and vectors[key] is None}
        if missing:
            vectors |= zip(missing, self._embed(list(missing.values())), strict=True)
            for key in missing:
                self.cache.put(key, vectors[key])
        self._finish(job, meaning, vectors)

    def _finish(self, job: _Job, meaning: Meaning, vectors: dict[bytes, Any]) -> None:
        said = job.question.said
        window = [vectors.get(self._key(one)) for one in said]
        job.readings = meaning.read(window, [one.script for one in said], job.question.judged)
        job.done.set()

    def _key(self, said: Said) -> bytes:
        return f"{self._name}\0".encode("utf-8", "surrogatepass") + said.digest

    def _cached(self, question: Question, meaning: Meaning) -> dict[bytes, Any] | None:
        """The vectors of a question, if none has to be made."""
        keys = [self._key(said) for said in question.said if said.script in meaning.scripts]
        if not all(key in self.cache for key in keys):
            return None
        # One that was forgotten this very moment is left out of the comparison.
        return {key: self.cache.get(key) for key in keys}

    def _learn(self) -> Meaning:
        """Have the reference sentences embedded."""
        return Meaning(
            {
                script: (_stack(self._embed(nothing)), _stack(self._embed(news)))
                for script, (nothing, news) in reference_sentences().items()
            }
        )

    def _embed(self, texts: list[str] | tuple[str, ...]) -> list[Any]:
        """Unit vectors of some texts, in batches."""
        found: list[Any] = []
        for start in range(0, len(texts), _BATCH):
            batch = list(texts[start : start + _BATCH])
            vectors = unit_vectors(self._embedder.embed(batch), len(batch), self._dimensions)
            self._dimensions = vectors.shape[1]
            found += [vector.copy() for vector in vectors]
        return found


def _stack(vectors: list[Any]) -> Any:
    import numpy as np

    return np.stack(vectors)


def _in_event_loop() -> bool:
    """Whether an event loop runs in this thread: waiting would stall everything in it."""
    asyncio = sys.modules.get("asyncio")
    if asyncio is None:
        return False
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


_JUDGED = (State.CLOSED, State.METRICS_ONLY)
