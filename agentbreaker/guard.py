"""The guard: one object that watches every conversation of an application.

It wires the hops of the design: message, text, novelty, call graph, detectors, fuse, policy, breaker, incident.  The
core does no I/O and never awaits, so the same plain methods serve threads and coroutines.  Each conversation has a
lock of its own; user callbacks and log events run after it is released.

Two rules hold throughout.  Our own failure never reaches the caller's agents: `observe` contains it, counts it and
lets the message pass (*fail open on opinion*).  And counted caps hold even then (*fail closed on arithmetic*).
"""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal

from agentbreaker.admission import admit
from agentbreaker.breaker import BreakerConfig
from agentbreaker.clock import MonotonicClock
from agentbreaker.errors import ConfigError, ConversationHalted, ConversationHaltedError
from agentbreaker.incident import sentence_of
from agentbreaker.judgement import (
    Failures,
    Outcome,
    Probe,
    cap_of,
    cap_reached,
    count_only,
    decide,
    judge_probe,
)
from agentbreaker.observation import Kind
from agentbreaker.policy import Policy
from agentbreaker.printable import printable
from agentbreaker.registry import Registry
from agentbreaker.reservation import Account, Reservation, account_of, hold
from agentbreaker.scoring import fuse
from agentbreaker.second_stage import SecondStage
from agentbreaker.telemetry import Telemetry
from agentbreaker.text import analyse
from agentbreaker.verdict import ALLOW, STEER_TEXT, Action, Decision, State, Transition

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence

    from agentbreaker.clock import Clock
    from agentbreaker.conversation import Conversation
    from agentbreaker.embedding import Embedder
    from agentbreaker.graph import CallGraph
    from agentbreaker.incident import Incident
    from agentbreaker.message import Message
    from agentbreaker.verdict import Signal, Verdict

__all__ = ["Guard"]


class Guard:
    """Loop detector and circuit breaker for all conversations of an application.

    Args:
        policy: A :class:`Policy`, the path of a policy file, or ``None`` for the measured defaults.
        clock: Source of monotonic seconds.
        observers: Called with each :class:`~agentbreaker.verdict.Transition`, outside every lock; what they raise is
            contained and counted.
        on_incident: Called with each :class:`~agentbreaker.incident.Incident`, likewise.
        mode: ``"enforce"``, or ``"metrics_only"`` to start every conversation in shadow mode.
        halt_as: What :meth:`check` raises: ``"base_exception"`` (:class:`ConversationHalted`, survives
            ``except Exception``) or ``"exception"`` (:class:`ConversationHaltedError`).  That class is `halted_type`.
        embedder: Reads talk that is worded anew each time (AB303), in a thread of its own; see :class:`Embedder`.

    Raises:
        ConfigError: The policy or an argument cannot be used.

    Example:
        >>> from agentbreaker import Guard, Message
        >>> guard = Guard()
        >>> for _ in range(6):
        ...     for a, b in [("ann", "bob"), ("bob", "ann")]:
        ...         decision = guard.observe(Message("chat-1", a, b, content="Great, thank you!"))
        >>> decision.action.value, guard.state("chat-1").value
        ('halt', 'open')
    """

    def __init__(
        self,
        policy: Policy | str | os.PathLike[str] | None = None,
        *,
        clock: Clock | None = None,
        observers: Sequence[Callable[[Transition], object]] = (),
        on_incident: Callable[[Incident], object] | None = None,
        mode: Literal["enforce", "metrics_only"] = "enforce",
        halt_as: Literal["base_exception", "exception"] = "base_exception",
        embedder: Embedder | None = None,
    ) -> None:
        self.policy = policy if isinstance(policy, Policy) else Policy(policy)
        choices = {"mode": (mode, "enforce", "metrics_only"), "halt_as": (halt_as, "base_exception", "exception")}
        for name, (value, *known) in choices.items():
            if value not in known:
                raise ConfigError(f"{name} must be {known[0]!r} or {known[1]!r}, not {value!r}", field=name)
        self.telemetry = Telemetry()
        self._clock = clock or MonotonicClock()
        self._observers = tuple(observers)
        self._on_incident = on_incident
        self.halted_type: type[ConversationHalted | ConversationHaltedError] = (
            ConversationHalted if halt_as == "base_exception" else ConversationHaltedError
        )
        settings = self.policy.settings
        self._home = State.CLOSED if mode == "enforce" else State.METRICS_ONLY
        breaker_config = BreakerConfig(**settings.breaker.model_dump())
        self._registry = Registry(settings, self._clock, breaker_config, self._home)
        self._conversations = self._registry.known
        wiring = (self.policy, self._registry, self._clock, self.telemetry, self._tell)
        self._second_stage = None if embedder is None else SecondStage(embedder, *wiring)

    def observe(self, message: Message) -> Decision:
        """Measure one message at the moment of its delivery and say what to do about it.

        Returns:
            The decision; ``decision.allowed`` is false when the conversation must not go on: the breaker is open.

        Never raises: a failure of ours is contained, counted in ``guard.telemetry`` and lets the message pass, but
        not beyond a counted cap.
        """
        try:
            decision = self._observe(message)
        except Exception as error:
            self._failed([("observe", error)])
            return self._observe_arithmetic(message)
        stage = self._second_stage
        return decision if stage is None else stage.follow(message.conversation_id, decision)

    def _observe(self, message: Message) -> Decision:
        conversation_id = message.conversation_id
        conversation = self._conversations.get(conversation_id)
        if conversation is None:
            conversation = self._registry.open(conversation_id)
            if conversation is None:
                return self._observe_overflow(message)
        generation = conversation.breaker.generation
        probe = _NO_PROBE
        if conversation.breaker.state is not _CLOSED:
            decision, probe, generation = admit(conversation, message, self._clock, self._publish)
            if decision is not None:
                return decision
        text, message_id = analyse(message), message.message_id
        failures: Failures = []
        with conversation.lock:
            if message_id is not None and conversation.is_duplicate(message_id):
                return conversation.last_decision or ALLOW
            now = self._clock.now()
            conversation.counted = id(message)
            conversation.count(message, now)
            seen = conversation.seen
            seen.message_id = message_id
            seen.parent = None if message.parent_id is None else hash(message.parent_id)
            seen.sender = message.sender
            seen.recipient = message.recipient
            conversation.meter.measure(message, text, seen)
            seen.cycle = (
                None
                if message.kind == "system"
                else conversation.graph.add(
                    message.sender,
                    message.recipient,
                    tokens=seen.spent_tokens,
                    cost_usd=seen.spent_usd,
                    inferred=message.inferred,
                )
            )
            signals: list[Signal] | None = None
            progress = (seen.emptiness < 0.0 or seen.kind is _HANDOFF) and not seen.repeated and not seen.resent
            if not progress:
                conversation.asked = conversation.detectors
            for detector in conversation.asked:
                try:
                    signal = detector.observe(seen)
                except Exception as error:
                    dropped = conversation.detector_failed(detector.code)
                    failures.append(("detector_quarantined" if dropped else "detector_error", error))
                    continue
                if signal is not None:
                    signals = [signal] if signals is None else [*signals, signal]
            if message.kind == "system" and message.content == STEER_TEXT:
                conversation.told = True  # a recording, or an integration that reports it as a message
            elif conversation.told and seen.progress:
                # The agents were told and comply: old evidence is not held against them.
                conversation.clear_evidence()
                signals = None
            if failures and (cap := cap_of(conversation, self.policy, now)) is not None:
                signals = [*(signals or ()), cap]  # it may be the cap's own detector that failed
            conversation.keep(message, seen.info)
            if signals is None and probe is _NO_PROBE and not failures:
                conversation.counted = 0
                if conversation.rank and message.kind != "system":
                    conversation.calm_down()
                if progress and conversation.asked is conversation.detectors:
                    conversation.rest()
                return ALLOW
            verdict = fuse(signals or ())
            if probe is not Probe.NONE and not verdict.hard:
                outcome = judge_probe(conversation, verdict, generation, probe)
            else:
                outcome = decide(conversation, self.policy, verdict, generation, failures)
            conversation.counted = 0
        return self._tell(conversation, outcome, verdict, failures)

    def _observe_arithmetic(self, message: Message) -> Decision:
        """What still works when everything clever has failed: count, and compare with the caps."""
        try:
            conversation = self._registry.find(message.conversation_id)
            if conversation is None:
                return self._observe_overflow(message)
            if conversation.breaker.state in (State.OPEN, State.FORCED_OPEN):
                return conversation.breaker.standing or ALLOW
            now, failures = conversation.last_seen, Failures()
            with suppress(Exception):
                now = self._clock.now()
            with conversation.lock:
                outcome, verdict = count_only(conversation, self.policy, message, now, failures)
            return self._tell(conversation, outcome, verdict, failures)
        except Exception as error:
            self._failed([("arithmetic", error)])
            return ALLOW

    def _observe_overflow(self, message: Message) -> Decision:
        """No room for another conversation: count it coarsely, so that the caps hold, and hold no opinion."""
        self.telemetry.emit_failure("state_full", OverflowError("max_conversations reached"))
        signal = cap_reached(self.policy.settings.budgets, *self._registry.count_overflow(message))
        if signal is None or self._registry.initial is not State.CLOSED:
            return ALLOW
        return Decision(Action.HALT, signal.code, 1.0, sentence_of(signal))

    def steered(self, conversation_id: str) -> None:
        """Say that the agents have read the steer text: from the first progress on, old evidence is forgotten."""
        conversation = self._registry.find(conversation_id)
        if conversation is not None:
            with conversation.lock:
                conversation.told = True

    def forget(self, conversation_id: str) -> None:
        """Drop everything that is known of a conversation that has ended."""
        self._registry.forget(conversation_id)

    def conversations(self) -> list[str]:
        """Ids of the conversations that are being watched."""
        return [conversation.conversation_id for conversation in self._registry.all()]

    def check(self, conversation_id: str) -> None:
        """Raise while the breaker of this conversation is open; call it before every paid step.

        Raises:
            ConversationHalted: The breaker is open (or what ``halt_as`` names).
        """
        conversation = self._registry.find(conversation_id)
        if conversation is None or conversation.breaker.state in _PASSING:
            return
        breaker = conversation.breaker
        retry_after = breaker.retry_after
        if breaker.state is State.HALF_OPEN or (retry_after is not None and retry_after <= 0.0):
            # The wait is over: the next message is the probe, and `observe` admits it.
            return
        standing = breaker.standing
        if standing is None:
            return
        raise self.halted_type(standing, conversation_id)

    def state(self, conversation_id: str) -> State:
        """Return the state of a conversation's breaker; an unknown conversation is in the initial state."""
        conversation = self._registry.find(conversation_id)
        return self._registry.initial if conversation is None else conversation.breaker.state

    def decision(self, conversation_id: str) -> Decision:
        """Return the standing decision of a conversation, ``ALLOW`` if there is none."""
        if (conversation := self._registry.find(conversation_id)) is None:
            return ALLOW
        return conversation.breaker.standing or conversation.last_decision or ALLOW

    def incident(self, conversation_id: str) -> Incident | None:
        """Return the evidence of the conversation's latest halt, ``None`` if there was none since the last reset."""
        conversation = self._registry.find(conversation_id)
        return None if conversation is None else conversation.incident

    def graph(self, conversation_id: str) -> CallGraph | None:
        """Return the live call graph of a conversation, ``None`` if it is unknown."""
        conversation = self._registry.find(conversation_id)
        return None if conversation is None else conversation.graph

    def account(self, conversation_id: str) -> Account:
        """Return what a conversation has used so far."""
        return account_of(self._registry.find(conversation_id))

    def reserve(self, conversation_id: str, *, tokens: int = 0, cost_usd: float = 0.0) -> Reservation:
        """Hold tokens and money for a call before it begins, so that concurrent calls cannot overshoot a budget.

        Args:
            conversation_id: The conversation that will pay.
            tokens: The most that the call can use, input and output.
            cost_usd: The most that it can cost, in US dollars.

        Raises:
            ConversationHalted: The breaker is open, or the call could exceed a budget; then the breaker opens.
            ValueError: A negative or infinite amount.
        """
        if not (0 <= tokens <= sys.maxsize and 0 <= cost_usd <= sys.float_info.max):
            raise ValueError("a reservation must be a finite amount, and not negative")
        self.check(conversation_id)
        conversation = self._conversations.get(conversation_id) or self._registry.open(conversation_id)
        if conversation is None:
            raise self.halted_type(
                Decision(Action.HALT, reason="too many conversations: no budget can be held for another one"),
                conversation_id,
            )
        held = hold(conversation, self.policy, self._clock, tokens, cost_usd)
        if isinstance(held, Reservation):
            return held
        raise self.halted_type(self._tell(conversation, *held), conversation_id)

    def force_open(self, conversation_id: str, reason: str, *, by: str | None = None) -> None:
        """Open the breaker until a person resets it.

        Args:
            conversation_id: The conversation.
            reason: Why, in one sentence.
            by: Who.
        """
        conversation = self._known(conversation_id)
        self._publish(conversation.breaker.force_open(printable(reason), by=by))

    def half_open(self, conversation_id: str, *, by: str | None = None) -> None:
        """Let one lap through now: something new closes the breaker, nothing new opens it again."""
        self._publish(self._known(conversation_id).breaker.half_open("one lap is let through by hand", by=by))

    def metrics_only(self, conversation_id: str | None = None, *, by: str | None = None) -> None:
        """Shadow mode: measure and report, never stop.  Without an id: all conversations, also future ones."""
        self._switch("metrics_only", State.METRICS_ONLY, conversation_id, by)

    def disable(self, conversation_id: str | None = None, *, by: str | None = None) -> None:
        """Stop measuring, let everything pass.  Without an id: all conversations, also future ones."""
        self._switch("disable", State.DISABLED, conversation_id, by)

    def reset(self, conversation_id: str | None = None, *, by: str | None = None) -> None:
        """Close the breaker (in a guard made in shadow mode: back to it) and forget the evidence; totals stay.

        Without an id: all conversations, also future ones.
        """
        self._switch("reset" if self._home is State.CLOSED else "metrics_only", self._home, conversation_id, by)

    def _switch(self, method: str, initial: State, conversation_id: str | None, by: str | None) -> None:
        if conversation_id is None:
            self._registry.initial = initial
            conversations = self._registry.all()
        else:
            conversations = [self._known(conversation_id)]
        for conversation in conversations:
            with conversation.lock:
                transition: Transition | None = getattr(conversation.breaker, method)(f"{method} by hand", by=by)
                conversation.clear_evidence()
            self._publish(transition)

    def _known(self, conversation_id: str) -> Conversation:
        conversation = self._conversations.get(conversation_id) or self._registry.open(conversation_id)
        if conversation is None:
            raise ConfigError("too many conversations are being watched to take on another one")
        return conversation

    def _publish(self, transition: Transition | None) -> None:
        if transition is None:
            return
        for observer in (self.telemetry.emit_transition, *self._observers):
            self._call(observer, transition)

    def _failed(self, failures: Failures) -> None:
        with suppress(Exception):
            for condition, error in failures:
                self.telemetry.emit_failure(condition, error)

    def _tell(self, conversation: Conversation, outcome: Outcome, verdict: Verdict, failures: Failures) -> Decision:
        self._failed(failures)
        self._publish(outcome.transition)
        if outcome.announce:
            with suppress(Exception):
                codes = [signal.code for signal in verdict.signals]
                self.telemetry.emit_decision(conversation.conversation_id, outcome.decision, codes)
        if outcome.incident is not None and self._on_incident is not None:
            self._call(self._on_incident, outcome.incident)
        return outcome.decision

    def _call(self, callback: Callable[[Any], object], value: object) -> None:
        try:
            callback(value)
        except Exception as error:
            self._failed([("observer_error", error)])


# Members of an enumeration are slow to reach, and these are met on every message.
_CLOSED, _NO_PROBE, _HANDOFF = State.CLOSED, Probe.NONE, Kind.HANDOFF
_PASSING = (State.CLOSED, State.METRICS_ONLY, State.DISABLED)
