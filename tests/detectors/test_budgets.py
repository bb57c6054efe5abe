"""AB601 to AB604: counted caps are exact and nothing talks them away."""

from __future__ import annotations

import math

import pytest

from agentbreaker import Action, Guard, Message, Policy, State, Usage, VirtualClock


def news(turn: int, **facts: object) -> Message:
    """A message that always brings something new."""
    line = f"Shaft {turn * 31 + 7} holds vein{turn} of mineral{turn * 3} near gallery{turn * 5}."
    message = Message("c", "ab"[turn % 2], content=line)
    for name, value in facts.items():
        setattr(message, name, value)
    return message


def test_the_message_cap_is_exact() -> None:
    """With a cap of ten, ten messages pass and the eleventh is halted."""
    guard = Guard(Policy(budgets={"max_messages": 10}))
    assert [guard.observe(news(i)).action for i in range(10)] == [Action.ALLOW] * 10
    decision = guard.observe(news(10))
    assert (decision.action, decision.code) == (Action.HALT, "AB601")
    assert decision.reason == "Message budget: 11 messages, limit 10"


def test_the_token_cap_is_exact() -> None:
    """What reaches the cap passes, one token more is halted."""
    guard = Guard(Policy(budgets={"max_tokens": 100}))
    assert guard.observe(news(0, usage=Usage(60, 40))).allowed
    decision = guard.observe(news(1, usage=Usage(0, 1)))
    assert (decision.action, decision.code) == (Action.HALT, "AB602")


def test_the_cost_cap_is_exact() -> None:
    """What reaches the cap passes, the least amount more is halted."""
    guard = Guard(Policy(budgets={"max_cost_usd": 1.0}))
    assert guard.observe(news(0, cost_usd=0.75)).allowed
    assert guard.observe(news(1, cost_usd=0.25)).allowed
    decision = guard.observe(news(2, cost_usd=1e-9))
    assert (decision.action, decision.code) == (Action.HALT, "AB603")


def test_the_time_cap_is_exact() -> None:
    """The conversation may last as long as the cap, and no longer."""
    clock = VirtualClock(1000.0)
    guard = Guard(Policy(budgets={"max_seconds": 60}), clock=clock)
    guard.observe(news(0))
    clock.advance(60)
    assert guard.observe(news(1)).allowed
    clock.advance(0.001)
    decision = guard.observe(news(2))
    assert (decision.action, decision.code) == (Action.HALT, "AB604")


@pytest.mark.parametrize("amount", [math.nan, -1e9, math.inf, -math.inf])
def test_a_senseless_cost_disables_no_cap(amount: float) -> None:
    """Not-a-number, negative and infinite amounts count as nothing; what follows is counted as ever."""
    guard = Guard(Policy(budgets={"max_cost_usd": 1.0}))
    guard.observe(news(0, cost_usd=amount))
    assert guard.observe(news(1, cost_usd=1.0)).allowed
    assert guard.observe(news(2, cost_usd=0.01)).code == "AB603"
    assert guard.telemetry.failures == {}


@pytest.mark.parametrize("amount", [-(10**9), 2**63, 2**64, 10**400])
def test_a_senseless_token_count_disables_nothing(amount: int) -> None:
    """Negative and impossibly large counts disable neither the cap nor the detectors."""
    guard = Guard(Policy(budgets={"max_tokens": 100}, conversations={"window": 8}))
    guard.observe(news(0, usage=Usage(amount, 0)))
    assert guard.observe(news(1, usage=Usage(100, 0))).allowed
    assert guard.observe(news(2, usage=Usage(1, 0))).code == "AB602"
    assert guard.telemetry.failures == {}


@pytest.mark.parametrize("amount", [2**63, math.nan, math.inf, 0.5])
def test_a_senseless_token_count_does_not_blind_the_detectors(amount: float) -> None:
    """One broken counter leaves the graph and the content detectors working."""
    guard = Guard(Policy(conversations={"window": 8}))
    guard.observe(news(0, usage=Usage(amount, 0)))  # type: ignore[arg-type]
    for turn in range(30):
        guard.observe(Message("c", "ab"[turn % 2], content="Great, thank you!"))
    assert guard.state("c") is State.OPEN
    assert guard.telemetry.failures == {}


def test_a_reset_keeps_the_totals() -> None:
    """A person may close the breaker, but the money stays spent: the next message trips again."""
    guard = Guard(Policy(budgets={"max_messages": 10}))
    for turn in range(11):
        guard.observe(news(turn))
    guard.reset("c")
    assert guard.state("c") is State.CLOSED
    assert guard.observe(news(12)).code == "AB601"


def test_a_cap_is_halted_within_a_probe() -> None:
    """The one lap of a half-open breaker is no way round a cap."""
    clock = VirtualClock()
    guard = Guard(Policy(budgets={"max_messages": 10}), clock=clock)
    for turn in range(11):
        guard.observe(news(turn))
    clock.advance(61)
    decision = guard.observe(news(12))
    assert (decision.action, decision.code) == (Action.HALT, "AB601")
