"""AB101: laps without news trip, a ring that works does not."""

from __future__ import annotations

import pytest

from agentbreaker import Action, Guard, Message, Policy

ONLY = Policy(detectors={"disable": ("AB201", "AB301", "AB302", "AB401")})
LINES = [
    "Passing the baton on to you, please take it from here.",
    "Taking the baton, and handing it on as agreed.",
    "Baton received, I hand it over right away.",
    "Please take over now, the baton is yours.",
]


def go_round(guard: Guard, names: list[str], laps: int) -> Action:
    """Let the names hand the turn round for some laps; return the last action."""
    action = Action.ALLOW
    for turn in range(laps * len(names)):
        a, b = names[turn % len(names)], names[(turn + 1) % len(names)]
        action = guard.observe(Message("c", a, b, content=LINES[turn % len(LINES)])).action
    return action


@pytest.mark.parametrize("size", [2, 3, 5, 10, 40])
def test_a_ring_without_news_is_halted(size: int) -> None:
    """Rings of two to forty agents trip within four laps, or ten messages where that is more."""
    guard = Guard(ONLY)
    laps = max(4, 10 // size + 1)
    assert go_round(guard, [f"agent-{i}" for i in range(size)], laps) is Action.HALT
    assert guard.decision("c").code == "AB101"
    assert "laps" in guard.decision("c").reason


def speak(guard: Guard, names: str, times: int) -> bool:
    """Let the names speak in this order, again and again; return whether that was halted."""
    for turn in range(len(names) * times):
        guard.observe(Message("c", names[turn % len(names)], content=LINES[turn % len(LINES)]))
    return not guard.decision("c").allowed


def test_the_direction_of_a_lap_does_not_matter() -> None:
    """A ring that is walked one way and the other by turns is the same ring."""
    assert speak(Guard(ONLY), "abcacb", 6)


@pytest.mark.xfail(reason="the walk closes ever other pairs (ab, bc), and each change begins the count of laps anew")
def test_a_sweep_to_and_fro_is_a_cycle() -> None:
    """Three agents that speak in the order abc, cba, abc without news are halted under this code alone."""
    assert speak(Guard(ONLY), "abccba", 6)


def test_a_ring_that_works_goes_on() -> None:
    """The same ring with a new finding in each turn is never stopped."""
    guard = Guard(ONLY)
    finds = [
        "amber",
        "basalt",
        "copper",
        "dolomite",
        "emerald",
        "feldspar",
        "garnet",
        "hematite",
        "iolite",
        "jasper",
        "kyanite",
        "lapis",
    ]
    for turn, find in enumerate(finds * 2):
        a, b = "abc"[turn % 3], "abc"[(turn + 1) % 3]
        line = f"Drill core {turn * 29 + 4} shows {find}{turn} under {turn * 7 + 2} metres of moraine."
        assert guard.observe(Message("c", a, b, content=line)).action is Action.ALLOW


def test_one_return_is_a_reply() -> None:
    """A question and its answer close a lap, and that alone means nothing."""
    assert go_round(Guard(ONLY), ["ann", "bob"], 1) is Action.ALLOW


def test_other_agents_are_another_ring() -> None:
    """When others take over, the laps are counted anew; the evidence of silence is not forgotten."""
    guard = Guard(ONLY)
    go_round(guard, ["ann", "bob", "cy"], 2)
    before = guard.decision("c")
    assert before.allowed
    assert guard.observe(Message("c", "dee", "eve", content=LINES[0])).allowed
