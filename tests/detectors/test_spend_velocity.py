"""AB502: spending that rises to many times the usual is warned, and halted at an extreme or without news."""

from __future__ import annotations

import datetime as dt
import math
import random
from collections.abc import Callable

import pytest

from agentbreaker import Action, Guard, Message, Policy, Usage, VirtualClock
from agentbreaker.replay import replay

OTHERS = ("AB101", "AB102", "AB103", "AB201", "AB301", "AB302", "AB401", "AB501")
ONLY = Policy(detectors={"disable": OTHERS})


def news(number: int) -> str:
    """A message that brings something."""
    return f"Crate {number * 7919 % 99991} of hall {number * 613 % 9973} weighs {number * 97 + 11} kilograms."


def minutes(
    tokens: Callable[[int], float], count: int, policy: Policy = ONLY, *, empty: bool = False, usd: bool = False
) -> list[Action]:
    """Two agents that speak every twenty seconds; what a minute costs is a function of its number."""
    clock = VirtualClock()
    guard = Guard(policy, clock=clock)
    decided = []
    for number in range(3 * count):
        spent = tokens(number // 3) / 3
        cost = {"cost_usd": spent / 1e6} if usd else {"usage": Usage(round(spent), 0)}
        content = "Noted, thank you." if empty else news(number)
        message = Message("c", "ab"[number % 2], "ba"[number % 2], content=content, **cost)
        decided.append(guard.observe(message).action)
        if decided[-1] is Action.HALT:
            break
        clock.advance(20.0)
    assert guard.telemetry.failures == {}
    return decided


def step(before: float, factor: float, at: int) -> Callable[[int], float]:
    """Spending that rises to so many times what it was, and stays there."""
    return lambda minute: before * (factor if minute >= at else 1.0)


@pytest.mark.parametrize("usd", [False, True], ids=["tokens", "money"])
def test_a_sustained_rise_is_warned_and_steered_but_not_halted(usd: bool) -> None:
    """After an hour, twenty times the usual for minutes: a warning within five minutes, then a steer, and no halt."""
    decided = minutes(step(3000, 20, 60), 75, usd=usd)
    assert set(decided[: 3 * 60]) == {Action.ALLOW}
    assert Action.WARN in decided[3 * 60 : 3 * 65]
    assert Action.STEER in decided
    assert Action.HALT not in decided


@pytest.mark.parametrize("factor", [1.0, 2.0, 4.0])
def test_a_moderate_rise_is_left_alone(factor: float) -> None:
    """Twice or four times the usual is no reason to say anything."""
    assert set(minutes(step(3000, factor, 60), 120)) == {Action.ALLOW}


def test_an_extreme_rise_is_halted_whatever_comes_of_it() -> None:
    """A hundred times the usual is halted after two minutes, also with news in each message."""
    decided = minutes(step(3000, 100, 60), 80)
    assert decided[-1] is Action.HALT
    assert 3 * 62 < len(decided) <= 3 * 63
    tolerant = Policy(detectors={"disable": OTHERS}, spend={"halt_factor": "off"})
    assert Action.HALT not in minutes(step(3000, 100, 60), 80, tolerant)


def test_a_rise_without_news_is_halted() -> None:
    """Twenty times the usual, for talk that brings nothing, is halted."""
    decided = minutes(step(3000, 20, 20), 60, empty=True)
    assert decided[-1] is Action.HALT
    assert len(decided) > 3 * 20


def test_the_factor_says_what_is_much() -> None:
    """Four times the usual is warned if three are tolerated; thirty times is fine if a thousand are."""
    strict = Policy(detectors={"disable": OTHERS}, spend={"factor": 3.0})
    assert Action.WARN in minutes(step(3000, 4, 60), 80, strict)
    lax = Policy(detectors={"disable": OTHERS}, spend={"factor": 1000.0, "halt_factor": 1000.0})
    assert set(minutes(step(3000, 30, 60), 80, lax)) == {Action.ALLOW}


@pytest.mark.parametrize(
    "tokens",
    [
        lambda minute: 1000 * (minute + 1),
        lambda minute: 500 + 3000 * minute,
        lambda minute: 30_000 + 1000 * minute,
        lambda minute: 90_000 if minute < 3 else 3000,
        lambda minute: 90_000 if minute == 30 else 3000,
        lambda minute: 90_000 if minute % 7 == 6 else 3000,
    ],
    ids=[
        "linear",
        "linear from nothing",
        "slow",
        "burst at the start",
        "one dear minute",
        "a dear minute now and then",
    ],
)
def test_honest_spending_is_left_alone(tokens: Callable[[int], float]) -> None:
    """A history that is sent again and again, a burst at the start, a single expensive minute: no warning."""
    assert set(minutes(tokens, 90)) == {Action.ALLOW}


def test_noise_on_a_growing_history_is_hardly_ever_warned() -> None:
    """Minutes that differ by a factor of two (standard deviation) around linear growth: at most 2 of 200 are warned."""
    rng = random.Random(5)
    warned = 0
    for _ in range(200):
        noise = [math.exp(rng.gauss(0.0, 0.7)) for _ in range(60)]
        costs = [1000 * (minute + 1) * factor for minute, factor in enumerate(noise)]
        warned += set(minutes(costs.__getitem__, 60)) != {Action.ALLOW}
    assert warned <= 2


def test_a_pause_is_no_cheap_minute() -> None:
    """Hours in which nothing is said do not lower what is usual: work that goes on as before is no rise."""
    clock = VirtualClock()
    guard = Guard(ONLY, clock=clock)
    for number in range(200):
        message = Message("c", "ab"[number % 2], content=news(number), usage=Usage(1000, 0))
        assert guard.observe(message).action is Action.ALLOW
        clock.advance(7200.0 if number % 40 == 39 else 20.0)


@pytest.mark.parametrize("without", ["usage", "time"])
def test_without_usage_or_time_it_is_silent(without: str) -> None:
    """Messages that cost nothing that is known, or come at no time, are not judged."""
    clock = VirtualClock()
    guard = Guard(ONLY, clock=clock)
    for number in range(300):
        usage = None if without == "usage" else Usage(10 if number < 100 else 10**6, 0)
        assert guard.observe(Message("c", "a", content="Noted.", usage=usage)).action is Action.ALLOW
        if without == "usage":
            clock.advance(20.0)


def test_the_unit_is_that_of_the_first_message_that_cost_something() -> None:
    """Tokens are followed if the first cost had no price: prices that appear later are no rise."""
    clock = VirtualClock()
    guard = Guard(ONLY, clock=clock)
    for number in range(300):
        cost = 0.001 if number < 200 else 100.0
        usage = Usage(1000, 0)
        message = Message("c", "ab"[number % 2], content=news(number), usage=usage, cost_usd=cost if number else None)
        assert guard.observe(message).action is Action.ALLOW
        clock.advance(20.0)


def test_a_turn_of_the_user_ends_it() -> None:
    """A person who speaks every two minutes has seen the price: no warning."""
    clock = VirtualClock()
    guard = Guard(ONLY, clock=clock)
    for number in range(240):
        message = Message("c", "ab"[number % 2], content=news(number), usage=Usage(1000 if number < 120 else 20_000, 0))
        if number % 6 == 5:
            message.role = "user"
        assert guard.observe(message).action is Action.ALLOW
        clock.advance(20.0)


def test_a_reset_takes_the_new_price_for_usual() -> None:
    """After a person has said go on, the new level of spending is the usual one."""
    clock = VirtualClock()
    guard = Guard(ONLY, clock=clock)
    decided = []
    for number in range(360):
        usage = Usage(1000 if number < 180 else 150_000, 0)
        decided.append(guard.observe(Message("c", "ab"[number % 2], content=news(number), usage=usage)).action)
        if decided[-1] is Action.HALT:
            guard.reset("c")
        clock.advance(20.0)
    assert decided.count(Action.HALT) == 1
    assert set(decided[decided.index(Action.HALT) + 1 :]) == {Action.ALLOW}


def test_a_replay_decides_as_the_live_guard_did() -> None:
    """The same messages with timestamps, replayed, are warned and halted at the same message."""
    clock, start = VirtualClock(), dt.datetime(2026, 3, 1, 9, tzinfo=dt.UTC)
    guard = Guard(ONLY, clock=clock)
    recorded: list[tuple[str, Message]] = []
    warned = halted = None
    for number in range(260):
        usage = Usage(1000 if number < 180 else 100_000, 0)
        stamp = start + dt.timedelta(seconds=clock.now())
        message = Message("c", "ab"[number % 2], content=news(number), usage=usage, timestamp=stamp)
        recorded.append(("file", message))
        if halted is None:
            action = guard.observe(message).action
            if action is Action.HALT:
                halted = number
            elif action is not Action.ALLOW and warned is None:
                warned = number
        clock.advance(20.0)
    (report,) = replay(recorded, ONLY)
    assert halted is not None
    assert (report.warned_at, report.halted_at, report.detector) == (warned, halted, "AB502")
