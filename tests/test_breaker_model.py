"""The breaker against a model of it: random histories, in which both must always agree.

The model is written from the documentation and differently from the code: it keeps count-downs instead of moments, the
number of failed probes instead of a wait, and a list of probe tickets instead of counters.  All times are multiples of
1/4 s, so that both compute without rounding and can be compared for equality.

``AGENTBREAKER_MODEL_EXAMPLES`` sets the number of histories (default 200), for longer runs out of band.
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field
from typing import ClassVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from agentbreaker.breaker import Admission, Breaker, BreakerConfig
from agentbreaker.verdict import Action, Decision, State, Transition

EXAMPLES = int(os.environ.get("AGENTBREAKER_MODEL_EXAMPLES", "200"))
STEPS = 50

CONFIGS = [
    BreakerConfig(wait_seconds=8, wait_growth=2, max_wait_seconds=50, probe_lease_seconds=16),
    BreakerConfig(wait_seconds=8, wait_growth=1.5, max_wait_seconds=1024, probe_lease_seconds=3),
    BreakerConfig(wait_seconds=5, wait_growth=1, max_wait_seconds=5, probe_lease_seconds=5),
    BreakerConfig(wait_seconds=2, wait_growth=4, max_wait_seconds=512, probe_lease_seconds=40),
]
DOORS_OPEN = {State.CLOSED, State.METRICS_ONLY, State.DISABLED}
SETTLED_BY_PEOPLE = {State.FORCED_OPEN, State.METRICS_ONLY, State.DISABLED}
MOVES = [
    ("reset", State.CLOSED),
    ("close", State.CLOSED),
    ("force_open", State.FORCED_OPEN),
    ("disable", State.DISABLED),
    ("metrics_only", State.METRICS_ONLY),
]


@dataclass
class Ticket:
    """One admitted probe, as its caller holds it."""

    generation: int
    judged: bool = False


@dataclass
class Model:
    """What the documentation says, in count-downs."""

    config: BreakerConfig
    state: State
    history: list[Transition] = field(default_factory=list)
    why: Decision | None = None
    failures: int = 0
    lap: int = 1
    tickets: list[Ticket] = field(default_factory=list)
    left: float = 0.0  # of the wait while open, of the lease while half-open

    @property
    def generation(self) -> int:
        return len(self.history)

    @property
    def wait(self) -> float:
        wait = self.config.wait_seconds
        for _ in range(min(self.failures, 99)):
            wait = min(wait * self.config.wait_growth, self.config.max_wait_seconds)
        return wait

    @property
    def mine(self) -> list[Ticket]:
        return [ticket for ticket in self.tickets if ticket.generation == self.generation]

    def pass_time(self, seconds: float) -> None:
        self.left -= seconds

    def look_at_the_clock(self) -> None:
        full = self.wait if self.state is State.OPEN else self.config.probe_lease_seconds
        self.left = min(self.left, full)  # more left than there was at first: the clock went back

    def must_admit(self, outside_input: bool) -> tuple[Admission, list[State]]:
        """Say what asking must answer, and which states it must lead through."""
        if self.state in DOORS_OPEN:
            return Admission.PASS, []
        if self.state is State.FORCED_OPEN:
            return Admission.REFUSED, []
        self.look_at_the_clock()
        if self.state is State.OPEN:
            probe = outside_input or self.left <= 0
            return (Admission.PROBE, [State.HALF_OPEN]) if probe else (Admission.REFUSED, [])
        if self.left > 0 or all(ticket.judged for ticket in self.mine):
            return (Admission.PROBE if len(self.mine) < self.lap else Admission.REFUSED), []
        overdue = -self.left  # the wait began when the lease ended
        if outside_input or overdue >= self.wait:
            return Admission.PROBE, [State.HALF_OPEN]
        return Admission.REFUSED, [State.OPEN]

    def accept(self, transition: Transition) -> None:
        """Take over a transition that was found right."""
        before, self.state = self.state, transition.state
        self.history.append(transition)
        if self.state is State.OPEN:
            self.left = self.wait
        elif self.state is State.HALF_OPEN:
            self.left = self.config.probe_lease_seconds
        elif self.state in DOORS_OPEN:
            self.why, self.failures = None, 0
        assert before is not self.state or self.state is State.HALF_OPEN


class SettableClock:
    """A clock that may go back."""

    def __init__(self) -> None:
        self.time = 256.0

    def now(self) -> float:
        return self.time


class BreakerMachine(RuleBasedStateMachine):
    """Histories of one breaker; steered so that most of them come to half-open."""

    reached: ClassVar[Counter[str]] = Counter()

    def __init__(self) -> None:
        super().__init__()
        self.clock = SettableClock()
        self.seen: Counter[str] = Counter()
        self.opened_at: float | None = None
        type(self).reached["machines"] += 1

    @initialize(
        config=st.sampled_from(CONFIGS),
        state=st.sampled_from([State.CLOSED, State.CLOSED, State.CLOSED, State.METRICS_ONLY, State.DISABLED]),
        lap=st.integers(1, 4),
        steps=st.integers(0, 2),
    )
    def begin(self, config: BreakerConfig, state: State, lap: int, steps: int) -> None:
        """Start anywhere on the way to half-open; the way is checked like any other."""
        self.breaker = Breaker("c1", clock=self.clock, config=config, state=state)
        self.model = Model(config, state)
        if steps > 0:
            self.trip(lap, Action.HALT, 0, "AB201")
        if steps > 1 and self.model.state is State.OPEN:
            self.message_after_the_wait()

    def expect(self, transition: Transition | None, state: State | None, *, opened_at: float | None = None) -> None:
        """Check one transition, or that there was none, and take it over."""
        if state is None:
            assert transition is None
            return
        assert transition is not None
        assert transition.conversation_id == "c1"
        assert (transition.previous, transition.state) == (self.model.state, state)
        assert transition.generation == self.model.generation + 1
        assert transition.at == self.clock.time
        assert transition.reason
        self.model.accept(transition)
        if state in (State.OPEN, State.FORCED_OPEN):
            self.opened_at = self.clock.time if opened_at is None else opened_at
        elif state in DOORS_OPEN:
            self.opened_at = None

    # time

    @rule(quarters=st.one_of(st.integers(0, 12), st.integers(0, 400), st.integers(-200, -1)))
    def time_passes(self, quarters: int) -> None:
        self.clock.time += quarters / 4
        self.model.pass_time(quarters / 4)

    @precondition(lambda self: self.model.state in (State.OPEN, State.HALF_OPEN))
    @rule(early=st.sampled_from([0.25, 0.0, 0.0, 0.0, -0.25]))
    def time_runs_out(self, early: float) -> None:
        """Go to the end of the wait or of the lease, or just next to it."""
        step = max(0.0, self.model.left - early)
        self.clock.time += step
        self.model.pass_time(step)

    # messages

    @rule(outside_input=st.sampled_from([False, False, False, True]))
    def message(self, outside_input: bool) -> None:
        expected, path = self.model.must_admit(outside_input)
        overdue = -self.model.left
        lost = self.model.state is State.HALF_OPEN and bool(path)
        admission, transition = self.breaker.admit(outside_input=outside_input)
        assert admission is expected
        reopened = lost and path == [State.OPEN]
        self.expect(transition, path[0] if path else None, opened_at=self.clock.time - overdue if reopened else None)
        if reopened:
            self.model.left = self.model.wait - overdue
        if lost:
            self.seen["lost"] += 1
        if admission is Admission.PROBE:
            assert self.model.state is State.HALF_OPEN
            self.model.tickets.append(Ticket(self.breaker.generation))
            self.model.left = self.model.config.probe_lease_seconds

    @precondition(lambda self: self.model.state is State.OPEN)
    @rule()
    def message_after_the_wait(self) -> None:
        """Steer: the way to half-open in one step."""
        self.time_runs_out(0.0)
        self.message(outside_input=False)

    @precondition(lambda self: self.model.state is State.HALF_OPEN and not all(t.judged for t in self.model.mine))
    @rule(late=st.sampled_from([0, 1, 4, 9, 600]), outside_input=st.booleans())
    def message_after_the_lease(self, late: int, outside_input: bool) -> None:
        """Steer: the probe is lost, and the next message comes just then or a while later."""
        self.time_runs_out(-late)
        self.message(outside_input)

    # trips

    @rule(
        lap=st.integers(-1, 4),
        action=st.sampled_from([Action.FINISH, Action.HALT]),
        behind=st.sampled_from([0, 0, 0, 1, 2, -1]),
        code=st.sampled_from(["AB101", "AB201", None]),
    )
    def trip(self, lap: int, action: Action, behind: int, code: str | None) -> None:
        decision = Decision(action, code=code, reason="nothing new")
        was = self.model.state
        opens = behind == 0 and was in (State.CLOSED, State.HALF_OPEN)
        if opens:
            self.model.failures += was is State.HALF_OPEN
            self.model.lap = lap if lap > 1 else 1
        transition = self.breaker.trip(decision, generation=self.model.generation - behind, lap=lap)
        self.expect(transition, State.OPEN if opens else None)
        if opens:
            self.model.why = decision
            assert transition is not None
            assert transition.code == code
            self.seen["tripped"] += 1

    # judgements

    @precondition(lambda self: any(not ticket.judged for ticket in self.model.tickets))
    @rule(data=st.data(), informative=st.sampled_from([False, False, False, True]))
    def judge(self, data: st.DataObject, informative: bool) -> None:
        """Judge any probe that is still out, also one of an era that is over."""
        ticket = data.draw(st.sampled_from([ticket for ticket in self.model.tickets if not ticket.judged]))
        self.settle(ticket, informative)

    @precondition(lambda self: self.model.state is State.HALF_OPEN and not all(t.judged for t in self.model.mine))
    @rule(informative=st.sampled_from([False, False, True]))
    def judge_the_oldest_of_this_era(self, informative: bool) -> None:
        self.settle(next(ticket for ticket in self.model.mine if not ticket.judged), informative)

    def settle(self, ticket: Ticket, informative: bool) -> None:
        current = ticket.generation == self.model.generation and self.model.state is State.HALF_OPEN
        ticket.judged = True
        state = None
        if current and informative:
            state = State.CLOSED
            self.seen["closed by a probe"] += 1
        elif current and sum(mine.judged for mine in self.model.mine) == self.model.lap:
            state = State.OPEN
            self.model.failures += 1
            self.seen["convicted by a probe"] += 1
        transition = self.breaker.judge(informative=informative, generation=ticket.generation)
        self.expect(transition, state)

    # people

    @precondition(lambda self: self.model.state in SETTLED_BY_PEOPLE)
    @rule(by=st.sampled_from([None, "ann"]), then_trip=st.booleans())
    def person_starts_over(self, by: str | None, then_trip: bool) -> None:
        """Steer: out of the states in which nothing else happens."""
        self.move(("reset", State.CLOSED), by)
        if then_trip:
            self.trip(2, Action.HALT, 0, "AB301")

    @precondition(lambda self: self.model.generation % 4 == 3 or self.model.state in SETTLED_BY_PEOPLE)
    @rule(move=st.sampled_from(MOVES), by=st.sampled_from([None, "ann"]))
    def person(self, move: tuple[str, State], by: str | None) -> None:
        self.move(move, by)

    def move(self, move: tuple[str, State], by: str | None) -> None:
        name, state = move
        moves = state is not self.model.state
        if name == "close" and self.model.state in DOORS_OPEN:
            moves = False
        transition = getattr(self.breaker, name)("a word", by=by)
        self.expect(transition, state if moves else None)
        if moves:
            assert (transition.reason, transition.by, transition.code) == ("a word", by, None)
            if state is State.FORCED_OPEN:
                self.model.why = Decision(Action.HALT, reason="a word")

    # what must hold after every step

    @invariant()
    def state_and_generation_agree(self) -> None:
        type(self).reached["steps"] += 1
        self.seen[self.model.state] += 1
        type(self).reached["half-open steps"] += self.model.state is State.HALF_OPEN
        assert self.breaker.state is self.model.state
        assert self.breaker.generation == self.model.generation
        assert [t.generation for t in self.model.history] == list(range(1, self.model.generation + 1))

    @invariant()
    def no_more_probes_than_the_lap(self) -> None:
        """Of each half-open era at most one lap was ever admitted."""
        assert len(self.model.mine) <= self.model.lap
        if self.model.state is State.HALF_OPEN:
            assert len(self.model.mine) >= 1

    @invariant()
    def retry_after_agrees(self) -> None:
        left = self.breaker.retry_after
        if self.model.state is State.OPEN:
            assert left == max(0.0, min(self.model.left, self.model.wait))
        else:
            assert left is None

    @invariant()
    def standing_agrees(self) -> None:
        standing = self.breaker.standing
        if self.model.state in DOORS_OPEN:
            assert standing is None
        else:
            assert standing is not None
            assert self.model.why is not None
            opened = max(t.generation for t in self.model.history if t.state in (State.OPEN, State.FORCED_OPEN))
            assert (standing.action, standing.code) == (self.model.why.action, self.model.why.code)
            assert standing.generation == opened
            assert standing.retry_after == (None if self.model.state is State.FORCED_OPEN else self.model.wait)
        assert self.breaker.opened_at == self.opened_at
        assert self.breaker.snapshot() == (
            self.breaker.state,
            self.breaker.generation,
            standing,
            self.breaker.opened_at,
            self.breaker.retry_after,
        )

    @invariant()
    def the_wait_stays_within_its_limits(self) -> None:
        config = self.model.config
        standing = self.breaker.standing
        if standing is not None and standing.retry_after is not None:
            assert config.wait_seconds <= standing.retry_after <= config.max_wait_seconds

    def teardown(self) -> None:
        for what in self.seen:
            type(self).reached[what] += 1


def test_the_breaker_does_what_its_documentation_says() -> None:
    """Random histories agree with the model, and enough of them reach the states that matter."""
    BreakerMachine.reached.clear()
    run_state_machine_as_test(
        BreakerMachine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        ),
    )
    reached = BreakerMachine.reached
    share = {what: reached[what] / reached["machines"] for what in reached}
    print(dict(reached))  # shown with pytest -s: how far the histories came
    if EXAMPLES < 100:
        return  # too few for shares to mean anything
    assert share[State.HALF_OPEN] >= 0.3
    assert reached["half-open steps"] >= 0.05 * reached["steps"]
    for what in ("lost", "closed by a probe", "convicted by a probe"):
        assert share[what] >= 0.05, what
    assert all(reached[state] for state in State)
