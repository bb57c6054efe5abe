"""The breaker as its user meets it: one example per promise."""

from __future__ import annotations

import math
import sys
import threading
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from agentbreaker.breaker import Admission, Breaker, BreakerConfig
from agentbreaker.clock import VirtualClock
from agentbreaker.errors import ConfigError
from agentbreaker.verdict import Action, Decision, State, Transition

HALT = Decision(Action.HALT, code="AB201", score=0.9, reason="three laps of thanks")
CONFIG = BreakerConfig()
STARTS = [State.CLOSED, State.METRICS_ONLY, State.DISABLED]
WAIT, LEASE = CONFIG.wait_seconds, CONFIG.probe_lease_seconds


class LooseClock:
    """A clock that a test may set to anything, also to the past."""

    def __init__(self, now: float = 1000.0) -> None:
        self.time = now

    def now(self) -> float:
        return self.time


@pytest.fixture
def clock() -> LooseClock:
    return LooseClock()


@pytest.fixture
def breaker(clock: LooseClock) -> Breaker:
    return Breaker("c1", clock=clock, config=CONFIG)


def trip(breaker: Breaker, lap: int = 1, decision: Decision = HALT) -> Transition:
    """Trip with the current generation, which must succeed."""
    transition = breaker.trip(decision, generation=breaker.generation, lap=lap)
    assert transition is not None
    return transition


def half_open(breaker: Breaker, clock: LooseClock, lap: int = 1) -> int:
    """Trip, wait, and admit the first probe; return its generation."""
    trip(breaker, lap)
    clock.time += WAIT
    assert breaker.admit()[0] is Admission.PROBE
    return breaker.generation


def force(breaker: Breaker) -> None:
    breaker.force_open("stop", by="ann")


# ---------------------------------------------------------------------------------------------- configuration


@pytest.mark.parametrize("field", ["wait_seconds", "wait_growth", "max_wait_seconds", "probe_lease_seconds"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 0, 0.0, -1.0, "60", None, True, 10**400])
def test_a_value_that_is_no_finite_positive_number_is_refused(field: str, value: Any) -> None:
    """Every value of the configuration is checked, and the error names the field."""
    with pytest.raises(ConfigError, match=f"breaker.{field} must be") as caught:
        BreakerConfig(**{field: value})
    assert caught.value.field == f"breaker.{field}"
    assert repr(value) in str(caught.value)


def test_a_growth_that_shrinks_the_wait_is_refused() -> None:
    """One is the smallest growth: the wait stays as it is."""
    with pytest.raises(ConfigError) as caught:
        BreakerConfig(wait_growth=0.99)
    assert caught.value.field == "breaker.wait_growth"
    assert BreakerConfig(wait_growth=1).wait_growth == 1.0


def test_a_longest_wait_below_the_first_is_refused() -> None:
    """The longest wait may equal the first one, not undercut it."""
    with pytest.raises(ConfigError, match="60") as caught:
        BreakerConfig(wait_seconds=60, max_wait_seconds=59)
    assert caught.value.field == "breaker.max_wait_seconds"
    assert BreakerConfig(wait_seconds=60, max_wait_seconds=60).max_wait_seconds == 60.0


def test_defaults_and_whole_numbers_are_seconds_as_floats() -> None:
    """The defaults are those of the documentation; integers are accepted and become floats."""
    assert BreakerConfig() == BreakerConfig(60, 2, 3600, 120)
    assert type(BreakerConfig(wait_seconds=7).wait_seconds) is float


def test_the_configuration_cannot_be_changed() -> None:
    """Breakers share it, so nobody may write to it."""
    with pytest.raises(AttributeError):
        CONFIG.wait_seconds = 1.0  # type: ignore[misc]


@pytest.mark.parametrize("state", [State.OPEN, State.HALF_OPEN, State.FORCED_OPEN])
def test_a_breaker_cannot_be_born_open(clock: LooseClock, state: State) -> None:
    """Only the states that let messages through are states to begin in."""
    with pytest.raises(ConfigError) as caught:
        Breaker("c1", clock=clock, config=CONFIG, state=state)
    assert caught.value.field == "breaker.state"


# ------------------------------------------------------------------------------------------------ closed, shadow


@pytest.mark.parametrize("state", STARTS)
def test_a_new_breaker_lets_everything_through(clock: LooseClock, state: State) -> None:
    """Nothing stands against a new conversation."""
    breaker = Breaker("c1", clock=clock, config=CONFIG, state=state)
    assert breaker.admit() == (Admission.PASS, None)
    assert breaker.admit(outside_input=True) == (Admission.PASS, None)
    assert breaker.snapshot() == (state, 0, None, None, None)
    assert (breaker.state, breaker.generation, breaker.standing) == (state, 0, None)
    assert (breaker.opened_at, breaker.retry_after) == (None, None)


@pytest.mark.parametrize("state", [State.METRICS_ONLY, State.DISABLED])
def test_shadow_and_disabled_never_trip(clock: LooseClock, state: State) -> None:
    """In shadow mode the guard reports what would have happened; the breaker does not move."""
    breaker = Breaker("c1", clock=clock, config=CONFIG, state=state)
    assert breaker.trip(HALT, generation=0, lap=2) is None
    assert breaker.admit() == (Admission.PASS, None)
    assert breaker.snapshot() == (state, 0, None, None, None)


def test_the_pass_path_neither_waits_for_the_lock_nor_asks_the_clock() -> None:
    """While another thread is inside the breaker, a closed one still answers at once."""
    entered, leave = threading.Event(), threading.Event()

    class StuckClock:
        def now(self) -> float:
            entered.set()
            assert leave.wait(30)
            return 0.0

    breaker = Breaker("c1", clock=StuckClock(), config=CONFIG)
    tripping = threading.Thread(target=trip, args=(breaker,))
    tripping.start()
    try:
        assert entered.wait(30)
        answers: list[object] = []
        asking = threading.Thread(target=lambda: answers.extend([breaker.admit(), breaker.state, breaker.generation]))
        asking.daemon = True
        asking.start()
        asking.join(10)
        assert answers == [(Admission.PASS, None), State.CLOSED, 0]
    finally:
        leave.set()
        tripping.join(30)
    assert breaker.state is State.OPEN


# ---------------------------------------------------------------------------------------------------- open


def test_a_trip_opens_and_stands(breaker: Breaker, clock: LooseClock) -> None:
    """A trip is a state: the same decision meets every later message until the wait is over."""
    transition = trip(breaker, lap=3)
    assert transition == Transition(
        "c1", State.CLOSED, State.OPEN, 1, 1000.0, "three laps of thanks", code="AB201", by=None
    )
    assert breaker.snapshot() == (State.OPEN, 1, replace(HALT, generation=1, retry_after=60.0), 1000.0, 60.0)
    clock.time += WAIT - 1
    for _ in range(3):
        assert breaker.admit() == (Admission.REFUSED, None)
    assert breaker.retry_after == 1.0
    assert breaker.generation == 1


def test_the_standing_decision_is_a_copy(breaker: Breaker) -> None:
    """Neither does the breaker write to the caller's decision, nor the caller to the breaker's."""
    decision = replace(HALT, probe=True)
    trip(breaker, decision=decision)
    decision.reason = "changed"
    assert (decision.generation, decision.retry_after) == (0, None)
    assert breaker.standing == replace(HALT, generation=1, retry_after=60.0, probe=False)


def test_a_finish_opens_too(breaker: Breaker) -> None:
    """Finish and halt are the two rungs that open."""
    trip(breaker, decision=replace(HALT, action=Action.FINISH))
    assert breaker.standing is not None
    assert breaker.standing.action is Action.FINISH


@pytest.mark.parametrize("action", [Action.ALLOW, Action.WARN, Action.STEER])
def test_a_decision_that_lets_go_on_cannot_open(breaker: Breaker, action: Action) -> None:
    """An open breaker whose standing decision allows would be a hole, so it is an error and nothing moves."""
    with pytest.raises(ValueError, match=action.value):
        breaker.trip(Decision(action), generation=0, lap=1)
    assert breaker.snapshot() == (State.CLOSED, 0, None, None, None)


@pytest.mark.parametrize("generation", [-1, 1, 7])
def test_a_trip_from_another_generation_is_dropped(breaker: Breaker, generation: int) -> None:
    """Evidence from another era opens nothing."""
    assert breaker.trip(HALT, generation=generation, lap=1) is None
    assert breaker.state is State.CLOSED


def test_only_the_first_trip_counts(breaker: Breaker, clock: LooseClock) -> None:
    """A second trip neither restarts the wait nor replaces the reason."""
    trip(breaker)
    clock.time += 10
    assert breaker.trip(replace(HALT, reason="other"), generation=1, lap=9) is None
    assert breaker.retry_after == 50.0
    assert breaker.standing is not None
    assert breaker.standing.reason == HALT.reason


def test_retry_after_never_falls_below_zero(breaker: Breaker, clock: LooseClock) -> None:
    """When nobody asks for hours, the next may still try at once, not hours ago."""
    trip(breaker)
    clock.time += 10 * WAIT
    assert breaker.retry_after == 0.0
    assert breaker.state is State.OPEN


# ------------------------------------------------------------------------------------------------- half-open


def test_the_wait_ends_on_the_second(breaker: Breaker, clock: LooseClock) -> None:
    """A message is refused just before the wait is over and let through as it ends."""
    trip(breaker)
    clock.time += math.nextafter(WAIT, 0) - 0.001
    assert breaker.admit() == (Admission.REFUSED, None)
    clock.time = 1000.0 + WAIT
    assert breaker.retry_after == 0.0
    admission, transition = breaker.admit()
    assert admission is Admission.PROBE
    assert transition == Transition(
        "c1", State.OPEN, State.HALF_OPEN, 2, 1060.0, "the wait of 60 s is over: one lap is let through"
    )
    assert breaker.retry_after is None
    assert breaker.opened_at == 1000.0
    assert breaker.standing is not None


def test_a_new_turn_of_the_person_does_not_wait(breaker: Breaker, clock: LooseClock) -> None:
    """New input from outside is a reason to try again at once."""
    trip(breaker)
    clock.time += 1
    admission, transition = breaker.admit(outside_input=True)
    assert admission is Admission.PROBE
    assert transition is not None
    assert (transition.state, transition.at) == (State.HALF_OPEN, 1001.0)
    assert transition.reason == "new input from outside: one lap is let through"
    assert transition.code is None


@pytest.mark.parametrize("lap", [1, 2, 5])
def test_half_open_lets_one_lap_through(breaker: Breaker, clock: LooseClock, lap: int) -> None:
    """Exactly `lap` messages pass, then none until they are judged, not even the person's."""
    half_open(breaker, clock, lap)
    asked = [breaker.admit() for _ in range(lap + 3)]
    assert asked == [(Admission.PROBE, None)] * (lap - 1) + [(Admission.REFUSED, None)] * 4
    assert breaker.admit(outside_input=True) == (Admission.REFUSED, None)


@pytest.mark.parametrize("lap", [0, -3])
def test_a_lap_that_could_not_be_measured_is_one_message(breaker: Breaker, clock: LooseClock, lap: int) -> None:
    """A wrong lap must not keep the breaker from opening, nor from judging."""
    generation = half_open(breaker, clock, lap)
    assert breaker.admit() == (Admission.REFUSED, None)
    assert breaker.judge(informative=False, generation=generation) is not None


def test_something_new_closes(breaker: Breaker, clock: LooseClock) -> None:
    """The first informative probe ends the halt, and everything is forgotten."""
    generation = half_open(breaker, clock, lap=3)
    clock.time += 5
    transition = breaker.judge(informative=True, generation=generation)
    assert transition == Transition("c1", State.HALF_OPEN, State.CLOSED, 3, 1065.0, "the probe brought something new")
    assert breaker.snapshot() == (State.CLOSED, 3, None, None, None)
    assert breaker.admit() == (Admission.PASS, None)


def test_a_lap_of_nothing_opens_again_for_longer(breaker: Breaker, clock: LooseClock) -> None:
    """Only the whole lap convicts; then the wait has doubled and the old reason stands in the new generation."""
    generation = half_open(breaker, clock, lap=3)
    breaker.admit()
    breaker.admit()
    assert breaker.judge(informative=False, generation=generation) is None
    assert breaker.judge(informative=False, generation=generation) is None
    clock.time += 5
    transition = breaker.judge(informative=False, generation=generation)
    assert transition == Transition(
        "c1", State.HALF_OPEN, State.OPEN, 3, 1065.0, "the probe brought nothing new in 3 messages", code="AB201"
    )
    standing = replace(HALT, generation=3, retry_after=120.0)
    assert breaker.snapshot() == (State.OPEN, 3, standing, 1065.0, 120.0)


def test_each_probe_starts_with_a_full_lap(breaker: Breaker, clock: LooseClock) -> None:
    """Neither the places nor the judgements of an earlier probe count in the next."""
    generation = half_open(breaker, clock, lap=2)
    breaker.admit()
    breaker.judge(informative=False, generation=generation)
    breaker.judge(informative=False, generation=generation)
    clock.time += 2 * WAIT
    assert [breaker.admit()[0] for _ in range(3)] == [Admission.PROBE, Admission.PROBE, Admission.REFUSED]
    assert breaker.judge(informative=False, generation=breaker.generation) is None
    assert breaker.state is State.HALF_OPEN


def test_a_late_judgement_is_dropped(breaker: Breaker, clock: LooseClock) -> None:
    """A probe of an earlier generation neither closes nor convicts the present one."""
    late = half_open(breaker, clock, lap=1)
    breaker.judge(informative=False, generation=late)
    assert breaker.judge(informative=True, generation=late) is None
    assert breaker.snapshot().state is State.OPEN
    clock.time += 2 * WAIT
    breaker.admit()
    for informative in (True, False):
        assert breaker.judge(informative=informative, generation=late) is None
    assert breaker.state is State.HALF_OPEN


@pytest.mark.parametrize("informative", [True, False])
def test_there_is_nothing_to_judge_unless_half_open(breaker: Breaker, informative: bool) -> None:
    """A judgement of the current generation means nothing to a closed, open or held breaker."""
    for move in (lambda: None, lambda: trip(breaker), lambda: force(breaker)):
        move()
        before = breaker.snapshot()
        assert breaker.judge(informative=informative, generation=breaker.generation) is None
        assert breaker.snapshot() == before


def test_a_trip_during_the_probe_opens_for_longer(breaker: Breaker, clock: LooseClock) -> None:
    """The detectors may convict before the lap is over; their reason and lap replace the old ones."""
    generation = half_open(breaker, clock, lap=4)
    worse = Decision(Action.HALT, code="AB501", reason="a storm")
    transition = breaker.trip(worse, generation=generation, lap=2)
    assert transition is not None
    assert (transition.previous, transition.state, transition.code) == (State.HALF_OPEN, State.OPEN, "AB501")
    assert breaker.standing == replace(worse, generation=3, retry_after=120.0)
    clock.time += 120
    assert [breaker.admit()[0] for _ in range(3)] == [Admission.PROBE, Admission.PROBE, Admission.REFUSED]


def test_a_trip_from_before_the_probe_is_dropped(breaker: Breaker, clock: LooseClock) -> None:
    """What was measured while it was still open, or closed, does not end the probe."""
    generation = half_open(breaker, clock)
    for old in range(generation):
        assert breaker.trip(HALT, generation=old, lap=1) is None
    assert breaker.state is State.HALF_OPEN


# ------------------------------------------------------------------------------------------ the length of the wait


def fail_probe(breaker: Breaker, clock: LooseClock) -> float:
    """Wait, probe in vain; return the next wait."""
    before = breaker.retry_after
    assert before is not None
    clock.time += before
    assert breaker.admit()[0] is Admission.PROBE
    assert breaker.judge(informative=False, generation=breaker.generation) is not None
    after = breaker.retry_after
    assert after is not None
    return after


def test_the_wait_grows_to_its_limit_and_no_further(breaker: Breaker, clock: LooseClock) -> None:
    """60 s, then twice as long each time, until one hour."""
    trip(breaker)
    assert [fail_probe(breaker, clock) for _ in range(8)] == [120, 240, 480, 960, 1920, 3600, 3600, 3600]


def test_the_base_wait_returns_after_something_new(breaker: Breaker, clock: LooseClock) -> None:
    """A conversation that recovered is no repeat offender."""
    trip(breaker)
    fail_probe(breaker, clock)
    clock.time += 120
    breaker.admit()
    breaker.judge(informative=True, generation=breaker.generation)
    trip(breaker)
    assert breaker.retry_after == WAIT


@pytest.mark.parametrize("how", ["close", "reset", "disable", "metrics_only"])
def test_the_base_wait_returns_after_a_person_stepped_in(breaker: Breaker, clock: LooseClock, how: str) -> None:
    """Whatever a person decides starts with the base wait again."""
    trip(breaker)
    fail_probe(breaker, clock)
    getattr(breaker, how)("fixed")
    breaker.reset("back to work")
    trip(breaker)
    assert breaker.retry_after == WAIT


def test_a_hundred_thousand_openings_do_not_overflow(clock: LooseClock) -> None:
    """With the steepest growth and the longest wait there are, the wait stays a finite number."""
    largest = sys.float_info.max
    config = BreakerConfig(wait_seconds=1e-3, wait_growth=largest, max_wait_seconds=largest)
    steep = Breaker("c1", clock=clock, config=config)
    trip(steep)
    for cycle in range(100_000):
        assert steep.admit(outside_input=True)[0] is Admission.PROBE
        generation = steep.generation
        if cycle % 2:
            assert steep.trip(HALT, generation=generation, lap=1) is not None
        else:
            assert steep.judge(informative=False, generation=generation) is not None
    assert steep.retry_after == largest
    assert steep.generation == 200_001


# -------------------------------------------------------------------------------------------------- lost probes


def test_a_lost_probe_opens_again_with_the_same_wait(breaker: Breaker, clock: LooseClock) -> None:
    """A probe that never comes back wedges nothing and proves nothing: the wait does not grow."""
    half_open(breaker, clock)
    clock.time += LEASE - 1
    assert breaker.admit() == (Admission.REFUSED, None)
    clock.time += 1
    assert breaker.admit() == (
        Admission.REFUSED,
        Transition("c1", State.HALF_OPEN, State.OPEN, 3, 1180.0, "the probe was never judged"),
    )
    standing = replace(HALT, generation=3, retry_after=60.0)
    assert breaker.snapshot() == (State.OPEN, 3, standing, 1180.0, 60.0)
    clock.time += WAIT
    assert breaker.admit()[0] is Admission.PROBE


def test_the_wait_after_a_lost_probe_counts_from_the_end_of_the_lease(breaker: Breaker, clock: LooseClock) -> None:
    """Nobody waits longer because nobody asked: lease and wait are the longest that it takes."""
    half_open(breaker, clock)
    clock.time += LEASE + 20
    assert breaker.admit()[0] is Admission.REFUSED
    assert breaker.opened_at == clock.time - 20
    assert breaker.retry_after == WAIT - 20


def test_a_new_probe_begins_when_lease_and_wait_are_over(breaker: Breaker, clock: LooseClock) -> None:
    """Whoever asks only then is not refused first; the lost probe's generation is over all the same."""
    lost = half_open(breaker, clock, lap=2)
    clock.time += LEASE + WAIT
    admission, transition = breaker.admit()
    assert admission is Admission.PROBE
    assert transition is not None
    assert (transition.previous, transition.state, transition.generation) == (State.HALF_OPEN, State.HALF_OPEN, 3)
    assert breaker.judge(informative=True, generation=lost) is None
    assert [breaker.admit()[0] for _ in range(2)] == [Admission.PROBE, Admission.REFUSED]


def test_the_person_is_heard_when_the_probe_was_lost(breaker: Breaker, clock: LooseClock) -> None:
    """A crash during the probe does not cost the person a turn."""
    half_open(breaker, clock)
    clock.time += LEASE
    admission, transition = breaker.admit(outside_input=True)
    assert admission is Admission.PROBE
    assert transition is not None
    assert (transition.previous, transition.state) == (State.HALF_OPEN, State.HALF_OPEN)


def test_each_admitted_probe_renews_the_lease(breaker: Breaker, clock: LooseClock) -> None:
    """A lap of slow agents is not lost while it still moves; a refused message renews nothing."""
    half_open(breaker, clock, lap=3)
    for _ in range(2):
        clock.time += LEASE - 1
        assert breaker.admit() == (Admission.PROBE, None)
    clock.time += LEASE - 1
    assert breaker.admit() == (Admission.REFUSED, None)
    clock.time += 1
    assert breaker.admit()[1] is not None


def test_a_judged_probe_is_not_lost_however_slow_the_next_is(breaker: Breaker, clock: LooseClock) -> None:
    """With nothing under way there is nothing to lose: the lap goes on after a long tool call."""
    generation = half_open(breaker, clock, lap=2)
    breaker.judge(informative=False, generation=generation)
    clock.time += 100 * LEASE
    assert breaker.admit() == (Admission.PROBE, None)
    assert breaker.judge(informative=False, generation=generation) is not None
    assert breaker.retry_after == 120.0


def test_a_lap_with_one_probe_lost_is_lost(breaker: Breaker, clock: LooseClock) -> None:
    """The others were judged, one was not, and a place is left: the lease decides."""
    generation = half_open(breaker, clock, lap=3)
    breaker.admit()
    breaker.judge(informative=False, generation=generation)
    clock.time += LEASE
    assert breaker.admit()[0] is Admission.REFUSED
    assert breaker.state is State.OPEN
    assert breaker.retry_after == WAIT


def test_a_judgement_after_the_lease_counts_if_nobody_asked_yet(breaker: Breaker, clock: LooseClock) -> None:
    """Better late than never, as long as nothing else was decided."""
    generation = half_open(breaker, clock)
    clock.time += 10 * LEASE
    assert breaker.judge(informative=True, generation=generation) is not None
    assert breaker.state is State.CLOSED


# -------------------------------------------------------------------------------------------------- people step in

Move = Callable[..., Transition | None]


def enter(breaker: Breaker, clock: LooseClock, state: State) -> None:
    """Bring a closed breaker into any state."""
    if state is State.OPEN:
        trip(breaker)
    elif state is State.HALF_OPEN:
        half_open(breaker, clock)
    elif state is State.FORCED_OPEN:
        force(breaker)
    elif state is State.DISABLED:
        breaker.disable("off")
    elif state is State.METRICS_ONLY:
        breaker.metrics_only("shadow")
    assert breaker.state is state


@pytest.mark.parametrize("start", State)
@pytest.mark.parametrize(
    ("name", "end"),
    [
        ("force_open", State.FORCED_OPEN),
        ("disable", State.DISABLED),
        ("metrics_only", State.METRICS_ONLY),
        ("reset", State.CLOSED),
        ("close", State.CLOSED),
    ],
)
def test_a_person_can_move_it_from_any_state(
    breaker: Breaker, clock: LooseClock, start: State, name: str, end: State
) -> None:
    """Each manual move is one transition that names who asked; where it changes nothing it is none."""
    enter(breaker, clock, start)
    clock.time += 3
    before = breaker.snapshot()
    transition = getattr(breaker, name)("a word", by="ann")
    stays = start is end or (name == "close" and start in (State.METRICS_ONLY, State.DISABLED))
    if stays:
        assert transition is None
        assert breaker.snapshot() == before
        return
    assert transition == Transition("c1", start, end, before.generation + 1, clock.time, "a word", None, "ann")
    assert breaker.state is end
    assert breaker.generation == before.generation + 1
    if end is State.FORCED_OPEN:
        assert breaker.admit(outside_input=True) == (Admission.REFUSED, None)
    else:
        assert breaker.snapshot()[2:] == (None, None, None)
        assert breaker.admit() == (Admission.PASS, None)
        assert breaker.trip(HALT, generation=before.generation, lap=1) is None
        opened = breaker.trip(HALT, generation=breaker.generation, lap=1)
        assert (opened is not None) is (end is State.CLOSED)


def test_forced_open_waits_for_a_person(breaker: Breaker, clock: LooseClock) -> None:
    """No time, no input from outside and no detector moves it; the standing decision is the person's."""
    trip(breaker)
    clock.time += 1
    force(breaker)
    clock.time += 1e9
    assert breaker.admit() == (Admission.REFUSED, None)
    assert breaker.admit(outside_input=True) == (Admission.REFUSED, None)
    assert breaker.trip(HALT, generation=breaker.generation, lap=1) is None
    person = Decision(Action.HALT, reason="stop", generation=2)
    assert breaker.snapshot() == (State.FORCED_OPEN, 2, person, 1001.0, None)
    assert breaker.close("go on", by="ann") is not None
    assert breaker.admit() == (Admission.PASS, None)


def test_work_of_an_earlier_life_does_not_trip_after_a_reset(breaker: Breaker) -> None:
    """The generation never starts over, so what was in flight before the reset stays outdated."""
    measured_in = breaker.generation
    trip(breaker)
    breaker.reset("start over")
    assert breaker.trip(HALT, generation=measured_in, lap=1) is None
    assert breaker.state is State.CLOSED


# ------------------------------------------------------------------------------------------------------ bad clocks


def test_a_frozen_clock_still_lets_the_person_through(breaker: Breaker) -> None:
    """Nothing times out, nothing breaks: the person can still go on."""
    trip(breaker)
    assert [breaker.admit() for _ in range(3)] == [(Admission.REFUSED, None)] * 3
    assert breaker.retry_after == WAIT
    assert breaker.admit(outside_input=True)[0] is Admission.PROBE


def test_a_clock_that_goes_back_costs_one_more_wait(breaker: Breaker, clock: LooseClock) -> None:
    """An hour back does not hold the conversation for an hour."""
    trip(breaker)
    clock.time -= 3600
    assert breaker.retry_after == WAIT
    assert breaker.admit() == (Admission.REFUSED, None)
    clock.time += WAIT - 1
    assert breaker.retry_after == 1.0
    assert breaker.admit() == (Admission.REFUSED, None)
    clock.time += 1
    assert breaker.admit()[0] is Admission.PROBE


def test_a_clock_that_goes_back_costs_one_more_lease(breaker: Breaker, clock: LooseClock) -> None:
    """The same for a lost probe."""
    half_open(breaker, clock)
    clock.time -= 3600
    assert breaker.admit() == (Admission.REFUSED, None)
    clock.time += LEASE - 1
    assert breaker.admit() == (Admission.REFUSED, None)
    clock.time += 1
    assert breaker.admit()[1] is not None


@pytest.mark.parametrize("odd", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("state", [State.OPEN, State.HALF_OPEN])
def test_a_moment_of_nonsense_heals(breaker: Breaker, clock: LooseClock, odd: float, state: State) -> None:
    """A clock that answers nonsense for a moment does not hold the breaker for ever."""
    enter(breaker, clock, state)
    good, clock.time = clock.time, odd
    breaker.admit()
    retry_after = breaker.retry_after
    assert retry_after is None or 0.0 <= retry_after <= WAIT
    clock.time = good
    for _ in range(4):
        if breaker.admit()[0] is Admission.PROBE:
            break
        clock.time += max(WAIT, LEASE)
    else:
        pytest.fail("held for ever")


@pytest.mark.parametrize("state", [State.CLOSED, State.OPEN, State.HALF_OPEN])
def test_a_clock_that_raises_changes_nothing(state: State) -> None:
    """The breaker is as it was and not locked, whatever was asked of it."""

    class FaultyClock(LooseClock):
        broken = False

        def now(self) -> float:
            if self.broken:
                raise RuntimeError("no time")
            return self.time

    clock = FaultyClock()
    breaker = Breaker("c1", clock=clock, config=CONFIG)
    enter(breaker, clock, state)
    clock.time += WAIT
    before = breaker.snapshot()
    generation = breaker.generation
    asked: list[Callable[[], object]] = [
        breaker.admit,
        lambda: breaker.trip(HALT, generation=generation, lap=5),
        lambda: breaker.judge(informative=True, generation=generation),
        lambda: breaker.judge(informative=False, generation=generation),
        lambda: breaker.force_open("x"),
        lambda: breaker.close("x"),
        lambda: breaker.disable("x"),
        lambda: breaker.metrics_only("x"),
        lambda: breaker.reset("x"),
    ]
    clock.broken = True
    raised = 0
    for ask in asked:
        try:
            ask()
        except RuntimeError:
            raised += 1
    clock.broken = False
    assert raised >= 4
    assert breaker.snapshot() == before
    if state is State.HALF_OPEN:
        assert breaker.judge(informative=False, generation=generation) is not None
        assert breaker.retry_after == 120.0


# ------------------------------------------------------------------------------------------------------ size, words


def test_a_breaker_is_small() -> None:
    """Below 700 bytes with its lock, so that there may be one for each of a million conversations."""
    clock = VirtualClock(1.5)
    count = 2000
    kept: list[Breaker] = [Breaker("c", clock=clock, config=CONFIG)] * count
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for index in range(count):
            kept[index] = Breaker("c", clock=clock, config=CONFIG)
        closed = (tracemalloc.get_traced_memory()[0] - before) / count
        for breaker in kept:
            breaker.trip(HALT, generation=0, lap=1000)
        opened = (tracemalloc.get_traced_memory()[0] - before) / count
    finally:
        tracemalloc.stop()
    assert closed < 350
    assert opened < 700


def test_a_breaker_has_no_room_for_other_attributes(breaker: Breaker) -> None:
    """A typing error in an attribute is an error, not a new attribute."""
    with pytest.raises(AttributeError):
        breaker.stat = State.OPEN  # type: ignore[attr-defined]


def test_it_says_what_it_is(breaker: Breaker) -> None:
    """In a debugger or a failed test one sees which conversation and which state."""
    trip(breaker)
    assert repr(breaker) == "<Breaker 'c1' open generation=1>"
