"""AB301: the same call with the same result trips, polling with moving figures does not."""

from __future__ import annotations

from agentbreaker import Action, Decision, Guard, Message, Tool
from agentbreaker.verdict import ALLOW


def call(guard: Guard, result: str, arguments: object = None) -> Decision:
    """One round: the call and its result."""
    guard.observe(Message("c", "agent", "api", "tool_call", tool=Tool("api", arguments=arguments or {"id": 7})))
    return guard.observe(Message("c", "api", "agent", "tool_result", tool=Tool("api", result=result)))


def test_the_same_call_with_the_same_result_is_halted() -> None:
    """The first is work, the repeats are evidence: warned first, halted at the fourth repeat."""
    guard = Guard()
    actions = [call(guard, "Plan: basic, 12 months").action for _ in range(5)]
    assert actions[:3] == [Action.ALLOW] * 3
    assert actions[3] in (Action.WARN, Action.STEER)
    assert actions[4] is Action.HALT
    assert guard.decision("c").code == "AB301"
    assert "4 times" in guard.decision("c").reason


def test_polling_a_job_that_moves_goes_on() -> None:
    """The same call with a new result is progress, a hundred times over."""
    guard = Guard()
    assert {call(guard, f"Job running, {percent} percent done").action for percent in range(100)} == {Action.ALLOW}


def test_a_new_result_resets_it() -> None:
    """Three repeats, then something new: the next repeats start from nothing."""
    guard = Guard()
    for _ in range(3):
        call(guard, "Plan: basic")
    call(guard, "Contract 4711 of the Hansa bakery, signed in Lübeck", {"id": "other"})
    call(guard, "Delivery note for rye and spelt, ferry Travemünde", {"id": "third"})
    assert [call(guard, "Plan: basic").action for _ in range(2)] == [Action.ALLOW] * 2


def test_the_same_message_of_the_same_sender_is_halted() -> None:
    """A message sent word for word again and again counts as well, without any tool."""
    guard = Guard()
    for _ in range(8):
        guard.observe(Message("c", "monitor", content="Replica three of the Antwerp cluster lags behind"))
    assert guard.decision("c").code in ("AB301", "AB401")
    assert not guard.decision("c").allowed


def test_calls_without_results_on_record_count() -> None:
    """Where the framework does not report results, the same unanswered call again is evidence."""
    guard = Guard()
    decision = ALLOW
    for _ in range(8):
        decision = guard.observe(Message("c", "agent", "api", "tool_call", tool=Tool("api", arguments={"id": 7})))
    assert (decision.action, decision.code) == (Action.HALT, "AB301")
