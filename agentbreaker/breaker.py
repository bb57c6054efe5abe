"""The circuit breaker of one conversation: a small, thread-safe state machine without I/O.

The states are those of resilience4j, ``METRICS_ONLY`` being the shadow mode and ``FORCED_OPEN`` what Polly calls
*isolated*.  Every change starts a new *generation*, as in gobreaker: what was measured in an older one is dropped, so
that a late result can neither trip nor close a breaker that has moved on.  The failure that this breaker counts is
not an exception but a lap that brought nothing new; its half-open state therefore lets one whole lap through.

A change is returned as one :class:`~agentbreaker.verdict.Transition` to the one caller that made it.  Nothing is
called back and nothing is awaited, so an observer cannot deadlock the breaker or slow it down.  Nothing needs a timer
either: what is due by the clock happens when the next message asks.
"""

from __future__ import annotations

import enum
import sys
import threading
from dataclasses import dataclass, fields, replace
from typing import NamedTuple

from agentbreaker.clock import Clock
from agentbreaker.errors import ConfigError
from agentbreaker.verdict import ALLOW, Action, Decision, State, Transition

__all__ = ["Admission", "Breaker", "BreakerConfig", "BreakerSnapshot"]


class Admission(enum.Enum):
    """Whether a message may go on; ``PROBE``: yes, as part of a half-open breaker's one lap, to be judged."""

    PASS = "pass"  # noqa: S105 - not a password
    PROBE = "probe"
    REFUSED = "refused"


@dataclass(slots=True, frozen=True)
class BreakerConfig:
    """What all breakers of a guard have in common.  All values are finite, positive numbers.

    Attributes:
        wait_seconds: How long a breaker stays open before it lets a lap through.
        wait_growth: What that wait is multiplied by each time a probe brought nothing; at least 1.
        max_wait_seconds: What the wait never grows beyond; at least `wait_seconds`.
        probe_lease_seconds: How long an admitted probe may stay without judgement before it counts as lost.

    Raises:
        ConfigError: A value cannot be used; ``field`` names it (``"breaker.wait_seconds"``).
    """

    wait_seconds: float = 60.0
    wait_growth: float = 2.0
    max_wait_seconds: float = 3600.0
    probe_lease_seconds: float = 120.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not (number and 0 < value <= sys.float_info.max):  # written so that not-a-number is refused
                _refuse(field.name, "must be a finite number above 0", value)
            object.__setattr__(self, field.name, float(value))
        if self.wait_growth < 1.0:
            _refuse("wait_growth", "must be at least 1, or a repeated failure would shorten the wait", self.wait_growth)
        if self.max_wait_seconds < self.wait_seconds:
            _refuse("max_wait_seconds", f"must be at least wait_seconds ({self.wait_seconds:g})", self.max_wait_seconds)


class BreakerSnapshot(NamedTuple):
    """All that a breaker shows, read at one moment; the fields are the properties of :class:`Breaker`."""

    state: State
    generation: int
    standing: Decision | None
    opened_at: float | None
    retry_after: float | None


class Breaker:
    """The breaker of one conversation.

    Ask :meth:`admit` before every message or step.  When the policy decides to end the conversation, :meth:`trip` it
    with the generation in which the evidence was measured.  Judge **every** message that was admitted as a probe,
    also one of the person: an unjudged one keeps its place in the lap until the lease runs out.

    All methods may be called from any thread or coroutine: none waits for more than a lock held for microseconds.

    Args:
        conversation_id: The conversation, as it appears in transitions.
        clock: Where the time comes from.  Time that stands still or goes back delays a breaker by one wait at most.
        config: The constants, shared by all breakers.
        state: ``CLOSED``, ``METRICS_ONLY`` (measure, never open) or ``DISABLED``.

    Raises:
        ConfigError: `state` is none of these three.
    """

    __slots__ = (
        "_clock",
        "_config",
        "_conversation_id",
        "_generation",
        "_judged",
        "_lap",
        "_lock",
        "_opened_at",
        "_passing",
        "_places",
        "_standing",
        "_state",
        "_timer",
        "_wait",
    )

    def __init__(
        self, conversation_id: str, *, clock: Clock, config: BreakerConfig, state: State = State.CLOSED
    ) -> None:
        if state not in _PASSING:
            _refuse("state", f"must be one of {', '.join(_PASSING)} at the start", state)
        self._conversation_id = conversation_id
        self._clock = clock
        self._config = config
        self._lock = threading.Lock()
        self._state = State(state)
        self._passing = True  # the hot path: true in the states that let everything through
        self._generation = 0
        self._standing = ALLOW  # that is, none
        self._opened_at: float | None = None
        self._timer = 0.0  # when the wait (OPEN) or the lease (HALF_OPEN) began
        self._wait = config.wait_seconds  # of the present opening, or of the next one while closed
        self._lap = 1  # probe messages that half-open admits in all
        self._places = 0  # of these, not handed out yet
        self._judged = 0  # of these, judged to bring nothing

    def __repr__(self) -> str:
        return f"<Breaker {self._conversation_id!r} {self._state.value} generation={self._generation}>"

    @property
    def state(self) -> State:
        """The present state.  ``OPEN`` lasts until a message asks after the wait is over: there is no timer."""
        return self._state

    @property
    def generation(self) -> int:
        """How many transitions there were; stamp every measurement with it."""
        return self._generation

    @property
    def standing(self) -> Decision | None:
        """The decision that opened the breaker, with its generation; ``None`` if it is neither open nor half-open.

        Its ``retry_after`` is the whole wait that began then; :attr:`retry_after` is what is left of it.
        """
        standing = self._standing
        return None if standing is ALLOW else standing

    @property
    def opened_at(self) -> float | None:
        """When it last opened, in seconds of the clock; ``None`` if it is neither open nor half-open."""
        return self._opened_at

    @property
    def retry_after(self) -> float | None:
        """Seconds until a lap is let through, never below 0; ``None`` unless ``OPEN``."""
        return self.snapshot().retry_after

    def snapshot(self) -> BreakerSnapshot:
        """Return all properties of one moment: read one by one, they may straddle a transition."""
        with self._lock:
            left = None
            if self._state is State.OPEN:
                left = max(0.0, self._wait - max(0.0, self._clock.now() - self._timer))
            return BreakerSnapshot(self._state, self._generation, self.standing, self._opened_at, left)

    def admit(self, *, outside_input: bool = False) -> tuple[Admission, Transition | None]:
        """Ask whether a message or a step may go on; return that, and the transition if asking made one.

        Open turns half-open when the wait is over, or at once if the message is `outside_input`: a new
        turn of the person whom the agents serve.
        Half-open admits one lap of probes, then nothing until they are judged.  If probes stay without judgement
        for the whole lease, the breaker opens again as from that moment, with the same wait: a probe that got lost
        proves nothing.  If that wait is over too, or the person speaks, a new probe begins at once
        (``HALF_OPEN`` to ``HALF_OPEN`` in a new generation), so nothing is held up longer than lease and wait.
        """
        if self._passing:
            return _PASS
        with self._lock:
            settled = _SETTLED.get(self._state)
            if settled is not None:
                return settled
            now = self._clock.now()
            if not self._timer <= now:  # the clock went back: begin anew rather than wait for it to catch up
                self._timer = now
            since, lease = self._timer, self._config.probe_lease_seconds
            probing = self._state is State.HALF_OPEN
            if probing:
                outstanding = self._lap - self._places - self._judged
                if outstanding <= 0 or not now - since >= lease:
                    if self._places == 0:
                        return _REFUSED
                    self._places -= 1
                    self._timer = now
                    return _PROBE
                since += lease
            if outside_input or now - since >= self._wait:
                why = "new input from outside" if outside_input else f"the wait of {self._wait:g} s is over"
                transition = self._move(State.HALF_OPEN, now, f"{why}: one lap is let through")
                self._places, self._judged = self._lap - 1, 0
                return Admission.PROBE, transition
            if not probing:
                return _REFUSED
            return Admission.REFUSED, self._open(self._standing, now, "the probe was never judged", lost_at=since)

    def trip(self, decision: Decision, *, generation: int, lap: int) -> Transition | None:
        """Open the breaker and return the transition; from half-open the wait grows.

        Returns ``None`` if the generation is over, or if the breaker is neither closed nor half-open.

        Args:
            decision: Why: a decision to finish or to halt.  A copy of it becomes :attr:`standing`.
            generation: That in which the evidence was measured.
            lap: How many messages half-open will let through: the length of one lap of the loop.  Below 1 counts as
                1, since a lap that could not be measured must not keep the breaker from opening.

        Raises:
            ValueError: The breaker would open, but the decision lets the conversation go on.
        """
        with self._lock:
            if generation != self._generation or self._state not in (State.CLOSED, State.HALF_OPEN):
                return None
            if not decision.action.opens:
                raise ValueError(f"only finish and halt open a breaker, not {decision.action.value}")
            now = self._clock.now()
            self._grow()
            self._lap = max(1, lap)
            return self._open(decision, now, decision.reason)

    def judge(self, *, informative: bool, generation: int) -> Transition | None:
        """Say what one probe message brought; return the transition if that settles the probe, else ``None``.

        The first that brings something new closes the breaker, and the wait is the base wait again; a whole lap that
        brought nothing opens it with a longer wait.  A judgement from another generation changes nothing.

        Args:
            informative: Whether the message brought anything that the conversation did not have.
            generation: That of the breaker just after the message was admitted.
        """
        with self._lock:
            if generation != self._generation or self._state is not State.HALF_OPEN:
                return None
            if informative:
                return self._calm(State.CLOSED, "the probe brought something new", None)
            if self._judged + 1 < self._lap:
                self._judged += 1
                return None
            now = self._clock.now()
            self._grow()
            return self._open(self._standing, now, f"the probe brought nothing new in {self._lap} messages")

    def half_open(self, reason: str, *, by: str | None = None) -> Transition | None:
        """Let one lap through now, whatever is left of the wait.  ``None`` unless ``OPEN`` or ``FORCED_OPEN``."""
        with self._lock:
            if self._state not in (State.OPEN, State.FORCED_OPEN):
                return None
            transition = self._move(State.HALF_OPEN, self._clock.now(), reason, by=by)
            self._places, self._judged = self._lap, 0
            return transition

    def force_open(self, reason: str, *, by: str | None = None) -> Transition | None:
        """Hold the conversation until a person resumes it.  ``None`` if it is held already."""
        with self._lock:
            if self._state is State.FORCED_OPEN:
                return None
            now = self._clock.now()
            self._standing = Decision(Action.HALT, reason=reason, generation=self._generation + 1)
            self._opened_at = now
            return self._move(State.FORCED_OPEN, now, reason, by=by)

    def close(self, reason: str, *, by: str | None = None) -> Transition | None:
        """Let a stopped conversation go on.  ``None`` if nothing stops it: close switches no shadow mode off."""
        with self._lock:
            return None if self._passing else self._calm(State.CLOSED, reason, by)

    def disable(self, reason: str, *, by: str | None = None) -> Transition | None:
        """Let everything through and never open.  ``None`` if that is so already."""
        with self._lock:
            return self._calm(State.DISABLED, reason, by)

    def metrics_only(self, reason: str, *, by: str | None = None) -> Transition | None:
        """Enter the shadow mode: let everything through while the guard reports.  ``None`` if that is so already."""
        with self._lock:
            return self._calm(State.METRICS_ONLY, reason, by)

    def reset(self, reason: str, *, by: str | None = None) -> Transition | None:
        """Start over: ``CLOSED`` from any state, nothing remembered.  ``None`` if that is so already."""
        with self._lock:
            return self._calm(State.CLOSED, reason, by)

    # All below: with the lock held.  The clock is read under it too, as a time read before waiting for the lock could
    # be older than what another thread wrote meanwhile; and before any change, so that a clock that raises tears none.

    def _grow(self) -> None:
        if self._state is State.HALF_OPEN:
            self._wait = min(self._wait * self._config.wait_growth, self._config.max_wait_seconds)

    def _open(self, decision: Decision, now: float, reason: str, *, lost_at: float | None = None) -> Transition:
        # The standing decision is in place before the state is, for those who read the two without the lock.
        self._standing = replace(decision, generation=self._generation + 1, retry_after=self._wait, probe=False)
        self._opened_at = now if lost_at is None else lost_at
        transition = self._move(State.OPEN, now, reason, code=decision.code if lost_at is None else None)
        self._timer = self._opened_at
        return transition

    def _calm(self, state: State, reason: str, by: str | None) -> Transition | None:
        if self._state is state:
            return None
        transition = self._move(state, self._clock.now(), reason, by=by)
        self._standing, self._opened_at = ALLOW, None
        self._wait = self._config.wait_seconds
        return transition

    def _move(self, state: State, now: float, why: str, code: str | None = None, by: str | None = None) -> Transition:
        previous, self._state = self._state, state
        self._passing = state in _PASSING
        self._generation += 1
        self._timer = now
        return Transition(self._conversation_id, previous, state, self._generation, now, why, code, by)


_PASSING = (State.CLOSED, State.METRICS_ONLY, State.DISABLED)
# Made once: the pass path allocates nothing.
_PASS = (Admission.PASS, None)
_PROBE = (Admission.PROBE, None)
_REFUSED = (Admission.REFUSED, None)
_SETTLED = dict.fromkeys(_PASSING, _PASS) | {State.FORCED_OPEN: _REFUSED}  # no clock moves these


def _refuse(field: str, rule: str, value: object) -> None:
    raise ConfigError(f"breaker.{field} {rule}, not {value!r}", field=f"breaker.{field}")
