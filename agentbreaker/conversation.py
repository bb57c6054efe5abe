"""Everything that is kept of one conversation, in bounded memory.  Touched only by the guard, under its lock."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, cast

from agentbreaker.breaker import Breaker
from agentbreaker.detectors import build_detectors
from agentbreaker.graph import CallGraph
from agentbreaker.incident import Incident, Turn, sentence_of, split_laps
from agentbreaker.message import Usage
from agentbreaker.novelty import NoveltyMeter, Observation
from agentbreaker.printable import printable
from agentbreaker.text import Recent

if TYPE_CHECKING:
    from agentbreaker.breaker import BreakerConfig
    from agentbreaker.clock import Clock
    from agentbreaker.config import PolicySettings
    from agentbreaker.detectors.base import Detector, Resting
    from agentbreaker.message import Message
    from agentbreaker.verdict import Action, Decision, Signal, State, Verdict

__all__ = ["Conversation"]

#: Messages kept as evidence, characters kept of each, and message ids kept to drop duplicates.
_MAX_TURNS = 16
_TURN_FIELDS = 8
_EXCERPT = 200
_MAX_IDS = 64
#: More tokens or dollars than this for one message is a broken counter, not a spending.
_MOST_TOKENS = _MOST_USD = 1e12
#: A detector that raises this often in one conversation is not asked again.
_QUARANTINE_AFTER = 3


class Conversation:
    """The state of one conversation: totals, graph, novelty, detectors, breaker and the latest turns."""

    __slots__ = (
        "_excerpts",
        "_failures",
        "_ids",
        "_resting",
        "_turns",
        "_watchful",
        "asked",
        "breaker",
        "conversation_id",
        "cost_usd",
        "counted",
        "detectors",
        "graph",
        "incident",
        "last_decision",
        "last_seen",
        "lock",
        "messages",
        "meter",
        "rank",
        "refused",
        "reserved_tokens",
        "reserved_usd",
        "seen",
        "started",
        "steered",
        "tokens",
        "told",
        "unpriced_tokens",
    )

    def __init__(
        self, conversation_id: str, settings: PolicySettings, clock: Clock, config: BreakerConfig, state: State
    ) -> None:
        self.conversation_id = conversation_id
        self.lock = threading.Lock()
        self.breaker = Breaker(conversation_id, clock=clock, config=config, state=state)
        self.graph = CallGraph(settings.conversations.window)
        self.meter = NoveltyMeter(settings.novelty)
        self.detectors: tuple[Detector, ...]
        self._use(build_detectors(settings))
        self.seen = Observation()
        self.started = self.last_seen = clock.now()
        self.messages = 0
        self.tokens = 0
        self.cost_usd = 0.0
        self.unpriced_tokens = 0
        self.reserved_tokens = 0
        self.reserved_usd = 0.0
        # Identity of the message that is being measured once the totals include it, else 0: our own failure then
        # counts it neither twice nor not at all.
        self.counted = 0
        # Highest rung announced in the current run of evidence, and whether the agents were steered in it.
        self.rank = 0
        self.steered = False
        # Whether the agents have read so, and nothing new has come since.
        self.told = False
        self.refused = 0
        self.last_decision: Decision | None = None
        self.incident: Incident | None = None
        self._excerpts = settings.conversations.keep_excerpts
        # The latest turns, oldest first, one after the other: the fields of Turn, without an object for each.
        self._turns: list[Any] = []
        self._ids: Recent | None = None
        self._failures: dict[str, int] | None = None

    def _use(self, detectors: tuple[Detector, ...]) -> None:
        self.detectors = detectors
        # The detectors that have to be asked about progress: all of them, or those that are never at rest.
        self.asked = detectors
        # Not `isinstance`: for a protocol that takes longer than all the rest of a new conversation.
        self._resting = tuple(cast("Resting", one) for one in detectors if hasattr(one, "at_rest"))
        self._watchful = tuple(one for one in detectors if not hasattr(one, "at_rest"))

    def rest(self) -> None:
        """Ask only the watchful detectors about progress, from now on, if all others are at rest."""
        for detector in self._resting:
            if not detector.at_rest:
                return
        self.asked = self._watchful

    def count(self, message: Message, now: float) -> None:
        """Add a message to the totals.  Plain arithmetic: amounts that are not finite and positive count as 0."""
        self.last_seen = now
        seen = self.seen
        seen.index = self.messages
        self.messages += 1
        seen.messages = self.messages
        seen.seconds = now - self.started
        seen.spent_tokens = 0
        seen.spent_usd = 0.0
        usage = message.usage
        if usage is not None:
            spent = usage.input_tokens + usage.output_tokens
            if 0 < spent < _MOST_TOKENS:
                seen.spent_tokens = spent = int(spent)
                self.tokens += spent
                if usage.__class__ is not Usage:
                    self._count_bill(usage)
                elif message.cost_usd is None:
                    self.unpriced_tokens += spent
        cost = message.cost_usd
        if cost is not None and 0.0 < cost < _MOST_USD:
            seen.spent_usd = cost
            self.cost_usd += cost
        seen.tokens = self.tokens
        seen.cost_usd = self.cost_usd

    def _count_bill(self, usage: Usage) -> None:
        """What was held for these tokens is counted now, under the same lock, so it is held no longer."""
        self.unpriced_tokens += getattr(usage, "unpriced_tokens", 0)
        for reservation in getattr(usage, "held", ()):
            reservation.release()

    def is_duplicate(self, message_id: str) -> bool:
        """Whether this id was met within the latest messages; remembers it."""
        ids = self._ids
        if ids is None:
            ids = self._ids = Recent(_MAX_IDS)
        return ids.add(hash(message_id), renew=False)

    def knows(self, message_id: str) -> bool:
        """Whether this id was met within the latest messages."""
        return self._ids is not None and hash(message_id) in self._ids

    def keep(self, message: Message, info: float) -> None:
        """Keep the beginning of a message as possible evidence."""
        seen = self.seen
        text = ""
        if self._excerpts:
            text = message.content
            if not text and message.tool is not None:
                try:
                    text = message.tool.result or str(message.tool.arguments)[:_EXCERPT]
                except Exception:  # arguments that cannot be shown are no reason to lose the verdict
                    text = ""
            if len(text) > _EXCERPT:
                text = text[:_EXCERPT]
        turns = self._turns
        if len(turns) >= _MAX_TURNS * _TURN_FIELDS:
            del turns[:_TURN_FIELDS]
        turns += (
            seen.index,
            message.sender,
            message.recipient,
            message.kind,
            text,
            info,
            seen.spent_tokens,
            seen.spent_usd,
        )

    def _latest_turns(self) -> list[Turn]:
        turns = self._turns
        return [Turn(*turns[start : start + _TURN_FIELDS]) for start in range(0, len(turns), _TURN_FIELDS)]

    def detector_failed(self, code: str) -> bool:
        """Count a failure of a detector; drop it when it keeps failing.  Returns whether it was dropped."""
        failures = self._failures
        if failures is None:
            failures = self._failures = {}
        failures[code] = failures.get(code, 0) + 1
        if failures[code] < _QUARANTINE_AFTER or code.startswith("AB6"):
            return False  # the caps are never dropped
        self._use(tuple(detector for detector in self.detectors if detector.code != code))
        return True

    def calm_down(self) -> None:
        """The run of evidence is over: the next one is announced, and steered, anew."""
        self.rank = 0
        self.steered = False
        self.last_decision = None

    def clear_evidence(self) -> None:
        """Forget the suspicion, keep the totals and what the conversation has had."""
        for detector in self.detectors:
            detector.reset()
        self.calm_down()
        self.told = False
        self.refused = 0
        self.incident = None

    @property
    def clean(self) -> bool:
        """Whether forgetting this conversation would forget no evidence and no open breaker."""
        return self.rank == 0 and self.breaker.state.value in ("closed", "metrics_only", "disabled")

    def make_incident(self, verdict: Verdict, signal: Signal, action: Action, retry_after: float | None) -> Incident:
        """Gather the evidence of a halt.

        Args:
            verdict: All signals of the message that tripped.
            signal: The one that decided.
            action: What was done, or in shadow mode what would have been.
            retry_after: Seconds until the breaker lets a lap through by itself.
        """
        wait = f"; otherwise one lap is let through in {retry_after:.0f} s" if retry_after is not None else ""
        return Incident(
            conversation_id=self.conversation_id,
            sentence=sentence_of(signal),
            code=signal.code,
            action=action,
            score=verdict.score,
            agents=signal.agents,
            began_at=signal.since,
            halted_at=max(0, self.messages - 1),
            messages=self.messages,
            tokens=self.tokens,
            cost_usd=self.cost_usd,
            unpriced_tokens=self.unpriced_tokens,
            loop_tokens=signal.tokens,
            loop_cost_usd=signal.cost_usd,
            signals=verdict.signals,
            laps=split_laps([turn for turn in self._latest_turns() if turn.index >= signal.since]),
            seconds=self.seen.seconds,
            retry_after=retry_after,
            resume=f"Resume with guard.reset({printable(self.conversation_id)!r}){wait}.",
        )
