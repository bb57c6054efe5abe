"""What the breaker of any framework does: ask, hold, note what is in flight, steer, and contain."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from agentbreaker import Action, ConversationHalted, Guard, Message, Policy, State, Usage
from agentbreaker.integrations.base import contained
from agentbreaker.integrations.watch import Watch, WatchedBreaker
from agentbreaker.pricing import Pricing

LINES = ("Great, thank you!", "You are welcome, thank you too!", "Thanks again, all confirmed.")


def thanks(count: int, conversation_id: str = "c") -> list[Message]:
    """Two agents that thank each other."""
    pair = ("ann", "ben")
    return [
        Message(conversation_id, pair[n % 2], pair[1 - n % 2], content=LINES[n % len(LINES)], usage=Usage(10, 5))
        for n in range(count)
    ]


def tenth(**options: Any) -> Watch:
    """A watch with a budget of 1,000 tokens, whose calls may write a hundred."""
    policy = Policy(budgets={"max_tokens": 1000})
    return Watch(None, policy, pricing=Pricing(max_output_tokens=100), **options)


@pytest.mark.parametrize("mode", ["enforce", "metrics_only"])
def test_what_is_observed_is_noted(mode: Any) -> None:
    """A halt is on record with what was in flight; in shadow mode what would have been done is counted."""
    watch = Watch(Guard(mode=mode))
    watch.begin("c")
    opened = watch.observe(thanks(30))
    if mode == "metrics_only":
        assert opened is None
        assert watch.withheld[Action.HALT] > 0
        assert watch.refuses("c") is None
        return
    assert opened is not None
    assert opened.code == "AB201"
    halt = watch.halts.of("c")
    assert halt is not None
    assert (halt.in_flight, halt.refused) == (1, 0)
    refused = watch.refuses("c")
    assert refused is not None
    assert (refused.code, halt.refused) == ("AB201", 1)
    assert watch.standing("d") is None


def test_a_steer_is_due_once() -> None:
    """The first hook that asks is told, and the guard knows that the agents were."""
    watch = Watch(None, Policy(ladder={"warn": 1.0, "steer": 1.5, "halt": 90.0}))
    watch.observe(thanks(9))
    assert watch.steers("c")
    assert watch.guard.account("c").steer_due
    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(lambda _: watch.steering("c"), range(100))) == 1
    assert not watch.steers("c")
    assert not watch.guard.account("c").steer_due


def test_a_model_call_holds_its_worst_case() -> None:
    """While it runs it is in flight and held for; then its cost is, until the message that carries it is counted."""
    watch = tenth()
    call = watch.model_call("c", lambda: 50)
    assert call.refusal is None
    assert watch.guard.account("c").held_tokens == 150
    with call:
        assert watch.flying("c") == 1
        bill = call.bill(Usage(40, 20), "gpt-4o-mini")
    assert watch.flying("c") == 0
    assert bill is not None
    assert bill.price == pytest.approx(40 * 0.15e-6 + 20 * 0.6e-6)
    assert watch.guard.account("c").held_tokens == 60
    watch.observe([Message("c", "ann", "ben", content="Pier 7.", usage=bill, cost_usd=bill.price)])
    account = watch.guard.account("c")
    assert (account.held_tokens, account.tokens, account.unpriced_tokens) == (0, 60, 0)


def test_a_model_call_that_could_exceed_the_budget_is_refused() -> None:
    """The breaker opens, the refusal is counted, and nothing is held; `prompt` is not asked once it is open."""
    watch = tenth()
    call = watch.model_call("c", lambda: 901)
    assert call.refusal is not None
    assert call.refusal.code == "AB602"
    assert watch.guard.state("c") is State.OPEN
    again = watch.model_call("c", lambda: 1 // 0)
    assert again.refusal is not None
    halt = watch.halts.of("c")
    assert halt is not None
    assert halt.refused == 2
    assert watch.guard.account("c").held_tokens == 0
    assert not watch.faults


def test_a_model_call_that_fails_gives_back_what_it_held() -> None:
    """Its error is the caller's; a second end does nothing."""
    watch = tenth()
    call = watch.model_call("c", lambda: 10)
    with pytest.raises(LookupError), call:
        raise LookupError("the service is down")
    call.close()
    assert watch.flying("c") == 0
    assert watch.guard.account("c").held_tokens == 0


def test_what_cannot_be_counted_is_no_reason_to_stop() -> None:
    """A fault of ours before a call is counted, and the call may begin."""
    watch = tenth()
    call = watch.model_call("c", lambda: 1 // 0)
    assert call.refusal is None
    assert watch.faults["ZeroDivisionError"] == 1


def test_without_a_budget_nothing_is_estimated() -> None:
    """No reservation is made."""
    watch = Watch()
    call = watch.model_call("c", lambda: 1 // 0)
    assert call.refusal is None
    assert not watch.faults
    assert watch.guard.conversations() == []


def test_which_decisions_are_raised() -> None:
    """A halt where exceptions are wanted; a finish never."""
    guard = Guard()
    watch = Watch(guard, on_halt="exception")
    guard.force_open("c", "lunch break")
    halt = watch.standing("c")
    assert halt is not None
    assert watch.raises(halt)
    assert not Watch(guard, on_halt="finish").raises(halt)
    finishing = Watch(None, Policy(ladder={"finish": 4.0, "halt": 90.0}), on_halt="exception")
    finish = finishing.observe(thanks(30))
    assert finish is not None
    assert finish.action is Action.FINISH
    assert not finishing.raises(finish)


def test_wrong_arguments_are_refused() -> None:
    """Each with an error that says what is wrong."""
    with pytest.raises(TypeError, match="either a guard or the policy"):
        Watch(Guard(), Policy())
    with pytest.raises(ValueError, match="on_halt must be"):
        Watch(on_halt="explode")


class Breaker(WatchedBreaker):
    """A breaker with one hook."""

    def __init__(self) -> None:
        self._watch = Watch(pricing=Pricing({"house": {"input": 1.0, "output": 1.0}}))

    @contained
    def hook(self, error: Exception | None) -> str:
        """Fail, if an error is given."""
        if error is not None:
            raise error
        return "done"


def test_a_breaker_shows_its_watch_and_contains_its_faults(caplog: pytest.LogCaptureFixture) -> None:
    """A fault is ``None`` for the caller, counted, and logged by its type; a deliberate stop passes."""
    breaker = Breaker()
    assert breaker.guard is breaker._watch.guard
    assert breaker.halts is breaker._watch.halts
    assert breaker.withheld == {}
    assert breaker.pricing.quote("house", Usage(1_000_000)) == 1.0
    with caplog.at_level(logging.WARNING, logger="agentbreaker"):
        assert breaker.hook(None) == "done"
        assert breaker.hook(ValueError("the secret of an agent")) is None
    assert breaker.faults == {"ValueError": 1}
    assert caplog.messages == ["hook failed with ValueError; the agents go on"]
    breaker.guard.force_open("c", "lunch break")
    with pytest.raises(ConversationHalted):
        breaker.guard.check("c")
