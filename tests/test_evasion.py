"""A seeded part of the evasion matrix: a disguise that costs the evader nothing must not change recall."""

from __future__ import annotations

import importlib
from functools import cache
from typing import Any

import pytest

from agentbreaker import Policy

EVASION = importlib.import_module("benchmarks.evasion")
CHEAP = importlib.import_module("benchmarks._disguises").CHEAP
UNICODE = [disguise for disguise in CHEAP if disguise.group == CHEAP[0].group]
#: Every so many of the runaways, and none that works for hundreds of messages before its loop.
STEP, LONGEST = 4, 130
#: What is caught by what it costs is not in the matrix: it has a clock and prices of its own.
BY_COST = "AB502-spend-velocity"


@cache
def sample() -> tuple[list[Any], list[Any]]:
    """Runaways of talk alone, and those whose loop calls tools."""
    talk: list[Any] = []
    tools: list[Any] = []
    for runaway in EVASION.runaways():
        if len(runaway.lines) <= LONGEST and runaway.family != BY_COST:
            calls = any("tool" in line for line in runaway.lines[runaway.onset :])
            (tools if calls else talk).append(runaway)
    return talk[::STEP], tools[::STEP]


@cache
def halted(disguise: Any, *, tools: bool) -> frozenset[str]:
    """Ids of the runaways of the sample that are halted in this disguise, not before their onset."""
    policy = Policy()
    return frozenset(
        runaway.id
        for runaway in sample()[tools]
        if EVASION.judge(runaway, disguise, policy).outcome in ("halted", "late")
    )


def test_the_sample_is_caught_undisguised() -> None:
    """There is something to lose: nearly every runaway of the sample is halted as it stands, tools and talk."""
    for tools, floor in ((False, 0.95), (True, 0.5)):
        assert len(sample()[tools]) >= 6
        assert len(halted(CHEAP[0], tools=tools)) >= floor * len(sample()[tools])


@pytest.mark.parametrize("disguise", CHEAP[1:], ids=lambda disguise: disguise.name)
def test_a_cheap_disguise_hides_no_talk(disguise: Any) -> None:
    """Talk that brings nothing is halted in other characters, with noise at its end and under other names."""
    assert len(halted(CHEAP[0], tools=False) - halted(disguise, tools=False)) <= 1


@pytest.mark.parametrize("disguise", UNICODE[1:], ids=lambda disguise: disguise.name)
def test_other_characters_hide_no_calls(disguise: Any) -> None:
    """A repeated tool call is halted although its arguments are written in other characters each time."""
    assert halted(CHEAP[0], tools=True) <= halted(disguise, tools=True)


def test_disguises_are_reproducible() -> None:
    """The same lines come out every time, and no two messages of a loop look alike under a random suffix."""
    runaway = sample()[0][0]
    module = importlib.import_module("benchmarks._disguises")
    for disguise in module.DISGUISES:
        one, two = (
            list(module.disguised(disguise, iter(runaway.lines[runaway.onset :]), runaway.id, runaway.lang))
            for _ in range(2)
        )
        assert one == two
        if disguise.name.startswith("8 "):
            assert len({line["content"] for _, line in one}) == len(one)


@pytest.mark.parametrize(
    ("hits", "of", "low", "high"), [(0, 10, 0.0, 0.2775), (5, 10, 0.2366, 0.7634), (46, 47, 0.8889, 0.9962)]
)
def test_intervals_are_wilson_s(hits: int, of: int, low: float, high: float) -> None:
    """The interval is that of the published formula."""
    assert EVASION.wilson(hits, of) == pytest.approx((low, high), abs=5e-5)
