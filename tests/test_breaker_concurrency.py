"""The breaker under many threads: one transition however many ask, and nothing half written to be read."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from agentbreaker.breaker import Admission, Breaker, BreakerConfig
from agentbreaker.verdict import Action, Decision, State, Transition

THREADS = 32
ROUNDS = 300
CONFIG = BreakerConfig(wait_seconds=8, max_wait_seconds=64)
HALT = Decision(Action.HALT, code="AB201", reason="nothing new")


class YieldingClock:
    """A clock that gives way to the other threads whenever it is asked: the worst moment to be interrupted."""

    def __init__(self) -> None:
        self.time = 0.0

    def now(self) -> float:
        time.sleep(0)
        return self.time


@pytest.fixture(autouse=True)
def busy_switching() -> Iterator[None]:
    """Let the interpreter change threads as often as it can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def all_at_once(rounds: int, prepare: Callable[[], Callable[[int], Any]], check: Callable[[list[Any]], None]) -> None:
    """Let 32 threads make the same call together, `rounds` times, and check their answers of each round."""
    call: Callable[[int], Any] = prepare()
    answers: list[Any] = [None] * THREADS
    failures: list[BaseException] = []
    start, end = threading.Barrier(THREADS + 1, timeout=60), threading.Barrier(THREADS + 1, timeout=60)

    def work(index: int) -> None:
        for _ in range(rounds):
            start.wait()
            try:
                answers[index] = call(index)
            except BaseException as error:  # noqa: BLE001, RUF100 - shown by the main thread
                failures.append(error)
            end.wait()

    threads = [threading.Thread(target=work, args=(index,), daemon=True) for index in range(THREADS)]
    for thread in threads:
        thread.start()
    wrong: list[BaseException] = []
    for number in range(rounds):
        start.wait()
        end.wait()
        try:
            check(list(answers))
        except AssertionError as error:
            wrong.append(error)
        if number + 1 < rounds:
            call = prepare()
    for thread in threads:
        thread.join(60)
    assert failures == []
    assert not wrong, f"{len(wrong)} of {rounds} rounds, first: {wrong[0]}"


def test_one_transition_when_all_trip_at_once() -> None:
    """32 workers see the same loop: one of them opens the breaker, and only that one may act and tell."""
    current: list[Breaker] = []

    def prepare() -> Callable[[int], Transition | None]:
        breaker = Breaker("c1", clock=YieldingClock(), config=CONFIG)
        current[:] = [breaker]
        return lambda index: breaker.trip(HALT, generation=0, lap=1 + index)

    def check(answers: list[Transition | None]) -> None:
        assert sum(answer is not None for answer in answers) == 1
        standing = current[0].standing
        assert standing is not None
        assert (current[0].state, current[0].generation, standing.generation) == (State.OPEN, 1, 1)

    all_at_once(1000, prepare, check)


def test_one_lap_when_all_ask_at_once() -> None:
    """The wait is over and 32 waiters resume together: three of them are the probe, one made it half-open."""

    def prepare() -> Callable[[int], tuple[Admission, Transition | None]]:
        clock = YieldingClock()
        breaker = Breaker("c1", clock=clock, config=CONFIG)
        breaker.trip(HALT, generation=0, lap=3)
        clock.time += 8
        return lambda _: breaker.admit()

    def check(answers: list[tuple[Admission, Transition | None]]) -> None:
        admissions = [admission for admission, _ in answers]
        assert admissions.count(Admission.PROBE) == 3
        assert admissions.count(Admission.REFUSED) == THREADS - 3
        assert [move.state for _, move in answers if move is not None] == [State.HALF_OPEN]

    all_at_once(ROUNDS, prepare, check)


def test_one_transition_when_a_lost_probe_is_found_by_all() -> None:
    """The lease is over for everybody at the same moment, and is ended once."""

    def prepare() -> Callable[[int], tuple[Admission, Transition | None]]:
        clock = YieldingClock()
        breaker = Breaker("c1", clock=clock, config=CONFIG)
        breaker.trip(HALT, generation=0, lap=1)
        clock.time += 8
        breaker.admit()
        clock.time += CONFIG.probe_lease_seconds
        return lambda _: breaker.admit()

    def check(answers: list[tuple[Admission, Transition | None]]) -> None:
        assert all(admission is Admission.REFUSED for admission, _ in answers)
        assert [move.state for _, move in answers if move is not None] == [State.OPEN]

    all_at_once(ROUNDS, prepare, check)


@pytest.mark.parametrize("mixed", [False, True])
def test_one_verdict_when_all_judge_at_once(mixed: bool) -> None:
    """A lap of 32 is judged together: the last one convicts, or the first that brought something new acquits."""
    current: list[Breaker] = []

    def prepare() -> Callable[[int], Transition | None]:
        clock = YieldingClock()
        breaker = Breaker("c1", clock=clock, config=CONFIG)
        current[:] = [breaker]
        breaker.trip(HALT, generation=0, lap=THREADS)
        clock.time += 8
        for _ in range(THREADS):
            breaker.admit()
        generation = breaker.generation
        return lambda index: breaker.judge(informative=mixed and index % 8 == 0, generation=generation)

    def check(answers: list[Transition | None]) -> None:
        made = [answer for answer in answers if answer is not None]
        assert [move.state for move in made] == [State.CLOSED if mixed else State.OPEN]
        assert current[0].generation == 3
        assert current[0].retry_after == (None if mixed else 16.0)

    all_at_once(ROUNDS, prepare, check)


@pytest.mark.parametrize("name", ["force_open", "close", "disable", "metrics_only", "reset"])
def test_one_transition_when_many_people_ask_for_the_same(name: str) -> None:
    """A move that 32 callers ask for at once is made, and told, once."""

    def prepare() -> Callable[[int], Transition | None]:
        breaker = Breaker("c1", clock=YieldingClock(), config=CONFIG)
        breaker.trip(HALT, generation=0, lap=1)
        move: Callable[[str], Transition | None] = getattr(breaker, name)
        return lambda _: move("a word")

    def check(answers: list[Transition | None]) -> None:
        assert [answer.generation for answer in answers if answer is not None] == [2]

    all_at_once(50, prepare, check)


def test_manual_moves_and_trips_together_make_one_chain() -> None:
    """Whatever 32 threads do at once, the transitions form one history without gaps."""
    current: list[Breaker] = []

    def prepare() -> Callable[[int], list[Transition]]:
        breaker = Breaker("c1", clock=YieldingClock(), config=CONFIG)
        current[:] = [breaker]

        def work(index: int) -> list[Transition]:
            moves = [
                breaker.trip(HALT, generation=breaker.generation, lap=1),
                breaker.force_open("stop") if index % 3 == 0 else breaker.admit(outside_input=True)[1],
                breaker.judge(informative=index % 2 == 0, generation=breaker.generation),
                breaker.metrics_only("shadow") if index % 5 == 0 else breaker.close("go on"),
                breaker.reset("start over"),
            ]
            return [move for move in moves if move is not None]

        return work

    def check(answers: list[list[Transition]]) -> None:
        chain = sorted((move for moves in answers for move in moves), key=lambda move: move.generation)
        assert [move.generation for move in chain] == list(range(1, len(chain) + 1))
        states = [State.CLOSED, *(move.state for move in chain)]
        assert [move.previous for move in chain] == states[:-1]
        assert (current[0].state, current[0].generation) == (states[-1], len(chain))

    all_at_once(100, prepare, check)


def test_readers_never_see_a_torn_state() -> None:
    """While one thread drives the breaker round and round, each of its faces is whole at any moment."""
    clock = YieldingClock()
    breaker = Breaker("c1", clock=clock, config=CONFIG)
    done = threading.Event()
    faults: list[object] = []
    reads = [0] * 8
    whole = {0: State.CLOSED, 1: State.OPEN, 2: State.HALF_OPEN, 3: State.OPEN, 4: State.FORCED_OPEN}

    def look() -> None:
        """The writer's path has five states, so each generation has one face only."""
        state, generation, standing, opened_at, retry_after = breaker.snapshot()
        place = generation % 5
        assert state is whole[place], (state, generation)
        assert (standing is None) is (state is State.CLOSED) is (opened_at is None)
        assert (retry_after is None) is (state is not State.OPEN)
        assert standing is None or standing.generation == generation - (place == 2)
        if state is State.OPEN:
            assert standing is not None
            assert standing.retry_after == (8.0 if place == 1 else 16.0)
            assert retry_after == standing.retry_after

    def look_without_the_lock(previous: int) -> int:
        """Single properties: whole values, and a generation that never goes back."""
        state, standing, generation = breaker.state, breaker.standing, breaker.generation
        assert isinstance(state, State)
        assert generation >= previous
        if standing is not None:
            by_a_person = standing.generation % 5 == 4
            assert standing.generation % 5 in (1, 3, 4)
            assert (standing.retry_after is None) is by_a_person
            assert (standing.code is None) is by_a_person
            assert not standing.probe
        retry_after = breaker.retry_after
        assert retry_after is None or 0.0 <= retry_after <= 16.0
        return generation

    def read(index: int) -> None:
        generation = 0
        try:
            while not done.is_set():
                look()
                generation = look_without_the_lock(generation)
                reads[index] += 1
        except BaseException as error:  # noqa: BLE001, RUF100 - shown by the main thread
            faults.append(repr(error))

    readers = [threading.Thread(target=read, args=(index,), daemon=True) for index in range(len(reads))]
    for reader in readers:
        reader.start()
    stop = time.monotonic() + 2.0
    while not faults and time.monotonic() < stop:
        breaker.trip(Decision(Action.HALT, code="AB201", probe=True), generation=breaker.generation, lap=1)
        breaker.admit(outside_input=True)
        breaker.judge(informative=False, generation=breaker.generation)
        breaker.force_open("stop")
        breaker.close("go on")
    done.set()
    for reader in readers:
        reader.join(30)
    assert faults == []
    assert breaker.generation % 5 == 0
    assert breaker.generation >= 25
    assert min(reads) > 0
