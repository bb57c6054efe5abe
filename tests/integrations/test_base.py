"""What integrations share: the final answer, the record of a halt, and warnings that are given once."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor

import pytest

from agentbreaker import Action, Decision
from agentbreaker.integrations.base import Halts, Once, final_answer

HALT = Decision(Action.HALT, "AB201", reason="ann and ben, 3 laps with nothing new", generation=1)


def test_the_final_answer_says_why() -> None:
    """It holds the reason of the decision, and stays a sentence where there is none."""
    assert final_answer(HALT) == "[agentbreaker] This conversation was ended: ann and ben, 3 laps with nothing new."
    assert final_answer(Decision(Action.HALT)) == "[agentbreaker] This conversation was ended: it was stopped by hand."


def test_one_opening_is_one_halt() -> None:
    """What was in flight is taken when the breaker opens; later stops of the same opening are only counted."""
    halts = Halts()
    assert halts.of("c1") is None
    halts.refuse("c1")
    first = halts.note("c1", HALT, 3)
    assert halts.note("c1", Decision(Action.HALT, generation=1), 0) is first
    halts.refuse("c1")
    halts.refuse("c1")
    assert (first.in_flight, first.refused, first.decision) == (3, 2, HALT)
    again = halts.note("c1", Decision(Action.HALT, generation=5), 1)
    assert again is not first
    assert (again.in_flight, again.refused) == (1, 0)
    assert halts.of("c1") is again


def test_memory_of_halts_is_bounded() -> None:
    """The oldest are forgotten first."""
    halts = Halts()
    for number in range(5000):
        halts.note(f"c{number}", HALT, 0)
    assert halts.of("c0") is None
    assert halts.of("c4999") is not None
    assert sum(halts.of(f"c{number}") is not None for number in range(5000)) == 4096


def test_refusals_are_counted_from_many_threads() -> None:
    """None is lost."""
    halts = Halts()
    halt = halts.note("c1", HALT, 0)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: halts.refuse("c1"), range(2000)))
    assert halt.refused == 2000


def test_a_warning_is_given_once(caplog: pytest.LogCaptureFixture) -> None:
    """However often its cause occurs."""
    once = Once("we are blind here")
    with caplog.at_level(logging.WARNING, logger="agentbreaker"):
        for _ in range(3):
            once.warn()
    assert once.given
    assert caplog.messages == ["we are blind here"]


def test_a_call_that_is_cancelled_later_is_in_flight_no_more() -> None:
    """What was counted as in flight moves to what was cancelled; a conversation without a halt has neither."""
    halts = Halts()
    halts.cut("c", 1)
    assert halts.of("c") is None
    halt = halts.note("c", Decision(Action.HALT, "AB201", 1.0, "nothing new", 1), 3, 2)
    assert (halt.in_flight, halt.cancelled) == (3, 2)
    halts.cut("c", 2)
    assert (halt.in_flight, halt.cancelled) == (1, 4)
