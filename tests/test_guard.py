"""The guard as an application uses it: observe, check, reserve, and what a person may do by hand."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from agentbreaker import (
    Action,
    ConfigError,
    ConversationHalted,
    ConversationHaltedError,
    Decision,
    Guard,
    Incident,
    Message,
    Policy,
    State,
    Tool,
    Transition,
    Usage,
    VirtualClock,
)
from agentbreaker.conversation import Conversation

NEWS = "Gallery {0} holds vein{0} of mineral{0}, assayed at {0}77 ppm by laboratory{0}."


def thank(guard: Guard, times: int = 1, conversation_id: str = "c") -> Decision:
    """Let two agents thank each other; return the last decision."""
    decision = Decision(Action.ALLOW)
    for turn in range(times):
        a, b = ("ann", "bob") if turn % 2 == 0 else ("bob", "ann")
        decision = guard.observe(Message(conversation_id, a, b, content="Great, thank you!"))
    return decision


def opened(**options: Any) -> Guard:
    """A guard whose conversation "c" has been halted."""
    guard = Guard(**options)
    assert thank(guard, 12).action is Action.HALT
    return guard


def within(seconds: float, work: Callable[[], object]) -> bool:
    """Whether the work ends in time, in a thread of its own."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(seconds)
    return not thread.is_alive()


def all_at_once(count: int, work: Callable[[int], object]) -> None:
    """Run the work in many threads that start together."""
    barrier = threading.Barrier(count, timeout=30)

    def run(number: int) -> None:
        barrier.wait()
        work(number)

    threads = [threading.Thread(target=run, args=(number,), daemon=True) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not any(thread.is_alive() for thread in threads)


# The ladder


def test_a_loop_climbs_the_ladder() -> None:
    """First a warning or a steer, then the halt; the halt stays."""
    guard = Guard()
    actions = [guard.observe(Message("c", "ab"[i % 2], content="Great, thank you!")).action for i in range(12)]
    ranks = [action.rank for action in actions]
    assert ranks == sorted(ranks)
    assert {Action.ALLOW, Action.HALT} < set(actions)


def test_steer_is_given_once_per_run_of_evidence() -> None:
    """The agents are told once; after something new, a new run of evidence may tell them again."""
    guard = Guard(Policy(ladder={"warn": 1, "steer": 2, "halt": 100}))
    told = [guard.observe(Message("c", "ab"[i % 2], content="Thanks!")).action for i in range(12)]
    assert told.count(Action.STEER) == 1
    assert told[-1] is Action.WARN
    guard.observe(Message("c", "user", content=NEWS.format(4), role="user"))
    assert guard.observe(Message("c", "ann", content=NEWS.format(9))).action is Action.ALLOW
    again = [guard.observe(Message("c", "ab"[i % 2], content="Thanks!")).action for i in range(12)]
    assert again.count(Action.STEER) == 1


def test_a_nudge_that_is_heeded_clears_the_evidence() -> None:
    """An agent that complies after the steer is not halted on stale evidence."""
    guard = Guard()
    while thank(guard).action is not Action.STEER:
        assert guard.state("c") is State.CLOSED
    for number in range(6):
        assert guard.observe(Message("c", "ann", "bob", content=NEWS.format(number * 10 + 3))).action is Action.ALLOW
    assert thank(guard, 2).allowed


def test_an_ignored_finish_becomes_a_halt() -> None:
    """Two messages may still arrive for the final answer; then the conversation is halted outright."""
    guard = Guard(Policy(ladder={"finish": 4, "halt": 40}))
    decisions = [guard.observe(Message("c", "ab"[i % 2], content="Thanks!")) for i in range(16)]
    actions = [decision.action for decision in decisions]
    first = actions.index(Action.FINISH)
    assert actions[first : first + 4] == [Action.FINISH, Action.FINISH, Action.FINISH, Action.HALT]
    assert set(actions[first + 3 :]) == {Action.HALT}


# Check


def test_check_says_nothing_while_closed() -> None:
    """Neither an unknown conversation nor a healthy one is held up."""
    guard = Guard()
    guard.check("never seen")
    thank(guard, 1)
    guard.check("c")


def test_check_raises_while_open() -> None:
    """The halt carries its facts, and no `except Exception` can swallow it."""
    guard = opened()
    with pytest.raises(ConversationHalted) as caught:
        guard.check("c")
    halted = caught.value
    assert not isinstance(halted, Exception)
    assert (halted.conversation_id, halted.decision.code) == ("c", "AB201")
    assert halted.retry_after == 60
    with pytest.raises(ConversationHalted):
        guard.check("c")


def test_check_can_raise_an_ordinary_exception() -> None:
    """`halt_as="exception"` is for code bases that forbid BaseException."""
    guard = opened(halt_as="exception")
    with pytest.raises(ConversationHaltedError) as caught:
        guard.check("c")
    assert isinstance(caught.value, Exception)
    assert caught.value.conversation_id == "c"


@pytest.mark.parametrize("options", [{"mode": "off"}, {"halt_as": "error"}])
def test_unknown_arguments_are_refused(options: dict[str, Any]) -> None:
    """A guard that would do something else than asked is not built."""
    with pytest.raises(ConfigError, match=next(iter(options))):
        Guard(**options)


# Half-open


def test_check_passes_when_the_wait_is_over() -> None:
    """Then the next message is the probe, and `observe` judges it."""
    clock = VirtualClock()
    guard = opened(clock=clock)
    clock.advance(59.9)
    with pytest.raises(ConversationHalted):
        guard.check("c")
    clock.advance(0.1)
    guard.check("c")


def test_new_information_closes_a_half_open_breaker() -> None:
    """One lap is let through after the wait; something new in it ends the matter."""
    clock = VirtualClock()
    guard = opened(clock=clock)
    assert not thank(guard).allowed
    clock.advance(60)
    decision = guard.observe(Message("c", "ann", "bob", content=NEWS.format(5)))
    assert decision.allowed
    assert decision.probe
    assert guard.state("c") is State.CLOSED
    assert guard.incident("c") is None
    assert thank(guard, 2).allowed


def test_repetition_opens_a_half_open_breaker_again_for_longer() -> None:
    """A lap with nothing new: open again, with twice the wait, up to the longest."""
    clock = VirtualClock()
    guard = opened(policy=Policy(breaker={"wait_seconds": 60, "max_wait_seconds": 200}), clock=clock)
    for wait, longer in ((60, 120), (120, 200), (200, 200)):
        clock.advance(wait)
        passed = 0
        while thank(guard).allowed:
            passed += 1
        assert passed == 2
        assert guard.state("c") is State.OPEN
        assert guard.decision("c").retry_after == longer


def test_calls_without_results_do_not_keep_it_half_open() -> None:
    """A loop of calls whose results are never reported ends its probe, too."""
    clock = VirtualClock()
    guard = Guard(clock=clock)
    call = Message("c", "agent", "api", "tool_call", tool=Tool("api", arguments={"id": 7}))
    while guard.observe(call).allowed:
        pass
    clock.advance(60)
    assert sum(guard.observe(call).allowed for _ in range(200)) <= 3
    assert guard.state("c") is State.OPEN


def test_a_turn_of_the_user_is_let_through_at_once() -> None:
    """What the person says is new input from outside: an open breaker does not wait for the clock."""
    guard = opened(clock=VirtualClock())
    question = Message("c", "user", "ann", content="Please price the northern route via Kiruna.", role="user")
    assert guard.observe(question).allowed
    assert guard.state("c") is State.CLOSED


def test_a_nod_of_the_user_is_no_news() -> None:
    """Mere thanks of the person start a probe and do not close the breaker."""
    guard = opened(clock=VirtualClock())
    assert guard.observe(Message("c", "user", "ann", content="Great, thank you!", role="user")).allowed
    assert guard.state("c") is State.HALF_OPEN


def test_a_probe_that_is_reported_twice_is_let_through_twice() -> None:
    """A hook that is attached twice changes no decision, in the half-open state neither."""
    clock = VirtualClock()
    guard = opened(clock=clock)
    clock.advance(60)
    probe = Message("c", "ann", "bob", content="Great, thank you!", message_id="probe-1")
    assert [guard.observe(probe).allowed for _ in range(3)] == [True, True, True]


# By hand


def test_force_open_holds_until_a_person_resets() -> None:
    """Neither the clock nor the user opens it; the reason and the name are told."""
    clock = VirtualClock()
    told: list[Transition] = []
    guard = Guard(clock=clock, observers=[told.append])
    guard.force_open("c", "runs against production", by="dana")
    clock.advance(1e6)
    assert not guard.observe(Message("c", "user", content=NEWS.format(1), role="user")).allowed
    with pytest.raises(ConversationHalted, match="runs against production"):
        guard.check("c")
    guard.reset("c", by="dana")
    assert guard.observe(Message("c", "ann", content=NEWS.format(2))).allowed
    assert [(event.state, event.by) for event in told] == [(State.FORCED_OPEN, "dana"), (State.CLOSED, "dana")]


def test_shadow_mode_tells_and_stops_nothing() -> None:
    """Everything passes; what would have happened is said, and the incident is there."""
    incidents: list[Incident] = []
    guard = Guard(Policy(budgets={"max_messages": 20}), mode="metrics_only", on_incident=incidents.append)
    decisions = [guard.observe(Message("c", "ab"[i % 2], content="Great, thank you!")) for i in range(40)]
    assert all(decision.allowed for decision in decisions)
    assert decisions[-1].would is Action.HALT
    assert decisions[-1].shadow
    assert guard.state("c") is State.METRICS_ONLY
    guard.check("c")
    with guard.reserve("c", tokens=10):
        pass
    assert guard.incident("c") is incidents[0]
    assert incidents[0].code == "AB201"
    assert len(incidents) == 1


def test_shadow_mode_stops_nothing_when_the_guard_is_full() -> None:
    """A conversation for which there is no room is not stopped in shadow mode either."""
    policy = Policy(budgets={"max_messages": 2}, conversations={"max_conversations": 1})
    guard = Guard(policy, mode="metrics_only")
    thank(guard, 1, "first")
    assert thank(guard, 10, "second").allowed


def test_disable_lets_everything_pass() -> None:
    """Nothing is measured and nothing is stopped, until a reset."""
    guard = opened()
    guard.disable("c")
    assert thank(guard, 30).action is Action.ALLOW
    guard.check("c")
    guard.reset("c")
    assert thank(guard, 12).action is Action.HALT


def test_switches_without_an_id_mean_all_and_future_ones() -> None:
    """The shadow mode of the whole guard covers conversations that begin later."""
    guard = opened()
    guard.metrics_only()
    assert guard.state("c") is State.METRICS_ONLY
    assert thank(guard, 20, "later").allowed
    assert guard.state("unknown") is State.METRICS_ONLY


def test_reset_forgets_the_evidence() -> None:
    """After a reset the same conversation needs a new run of evidence to trip."""
    guard = opened()
    guard.reset("c")
    assert guard.state("c") is State.CLOSED
    assert guard.incident("c") is None
    assert guard.decision("c").allowed
    assert thank(guard, 2).allowed


def test_forget_drops_everything() -> None:
    """A conversation that has ended leaves nothing behind."""
    guard = opened()
    guard.forget("c")
    assert guard.conversations() == []
    assert (guard.state("c"), guard.graph("c"), guard.incident("c")) == (State.CLOSED, None, None)
    guard.forget("never seen")


def test_conversations_are_apart() -> None:
    """The halt of one conversation is no matter of another."""
    guard = opened()
    assert guard.observe(Message("other", "ann", "bob", content="Great, thank you!")).action is Action.ALLOW
    guard.check("other")


def test_the_same_id_counts_once() -> None:
    """A hook that is attached twice reports everything twice; the verdict is the same as for once."""
    once, twice = Guard(Policy(budgets={"max_messages": 50})), Guard(Policy(budgets={"max_messages": 50}))
    for turn in range(12):
        message = Message("c", "ab"[turn % 2], content="Great, thank you!", message_id=f"m{turn}", usage=Usage(5, 5))
        expected = once.observe(message)
        assert twice.observe(message).action is expected.action
        assert twice.observe(message).action is expected.action
    first, second = once.incident("c"), twice.incident("c")
    assert first is not None
    assert second is not None
    assert (first.messages, first.tokens, first.code) == (second.messages, second.tokens, second.code)


# Observers


def test_observers_hear_one_transition_and_one_incident() -> None:
    """However long the loop goes on after the halt."""
    told: list[Transition] = []
    incidents: list[Incident] = []
    guard = Guard(observers=[told.append], on_incident=incidents.append)
    thank(guard, 100)
    assert [(event.previous, event.state, event.code) for event in told] == [(State.CLOSED, State.OPEN, "AB201")]
    assert len(incidents) == 1


def test_observers_may_call_the_guard() -> None:
    """Callbacks run outside every lock: one that observes, resets and reserves does not deadlock."""
    guard: Guard

    def meddle(_: object) -> None:
        guard.observe(Message("c", "ann", content="hello"))
        guard.state("c"), guard.incident("c"), guard.decision("c")
        guard.reset("c")
        guard.reset()
        with guard.reserve("c", tokens=1):
            pass

    guard = Guard(on_incident=meddle)
    assert within(10, lambda: thank(guard, 40))

    seen: list[Transition] = []

    def once(event: Transition) -> None:
        seen.append(event)
        if len(seen) == 1:
            meddle(event)

    guard = Guard(observers=[once])
    assert within(10, lambda: thank(guard, 40))
    assert within(10, lambda: guard.force_open("c", "stop"))
    assert seen


def test_a_failing_observer_is_contained_and_counted() -> None:
    """The others are still told, the trip stands, and the failure is on record."""
    told: list[Transition] = []

    def fail(_: object) -> None:
        raise RuntimeError("observer")

    guard = Guard(observers=[fail, told.append], on_incident=fail)
    thank(guard, 12)
    assert guard.state("c") is State.OPEN
    assert len(told) == 1
    assert guard.telemetry.failures == {"observer_error": 2}


# Many at once


def test_one_transition_however_many_threads_trip() -> None:
    """Eight threads past the threshold together, two hundred times: one transition, one incident."""
    told: list[Transition] = []
    incidents: list[Incident] = []
    guard = Guard(observers=[told.append], on_incident=incidents.append)
    names = [f"round-{number}" for number in range(200)]
    for name in names:
        while thank(guard, 1, name).action is not Action.STEER:
            pass
    barrier = threading.Barrier(8, timeout=30)

    def trip(_: int) -> None:
        for name in names:
            barrier.wait()
            guard.observe(Message(name, "bob", "ann", content="Great, thank you!"))
            guard.observe(Message(name, "ann", "bob", content="Great, thank you!"))

    all_at_once(8, trip)
    assert sorted(event.conversation_id for event in told) == sorted(names)
    assert sorted(incident.conversation_id for incident in incidents) == sorted(names)


def test_thirty_two_threads_lose_no_message() -> None:
    """A shared conversation and one of each thread: every message is counted, exactly, and nothing fails."""
    caps_only = {"disable": ("AB101", "AB201", "AB301", "AB302", "AB401")}
    guard = Guard(Policy(budgets={"max_messages": 32 * 50}, detectors=caps_only))

    def talk(number: int) -> None:
        for turn in range(50):
            guard.observe(Message("shared", f"agent-{number}", content=NEWS.format(turn * 100 + number)))
            guard.observe(Message(f"own-{number}", "ann", content=NEWS.format(turn)))

    all_at_once(32, talk)
    assert guard.state("shared") is State.CLOSED
    assert guard.observe(Message("shared", "last", content=NEWS.format(9))).code == "AB601"
    assert guard.telemetry.failures == {}


async def test_a_hundred_tasks_share_a_guard() -> None:
    """Plain methods, no await inside: coroutines use it as threads do."""
    told: list[Transition] = []
    guard = Guard(observers=[told.append])

    async def agent(number: int) -> bool:
        for _ in range(5):
            await asyncio.sleep(0)
            if not guard.observe(Message("c", f"agent-{number % 4}", content="Great, thank you!")).allowed:
                return False
        return True

    passed = await asyncio.gather(*(agent(number) for number in range(100)))
    assert not all(passed)
    assert len(told) == 1
    assert guard.state("c") is State.OPEN


# Budgets


def test_reservations_never_overshoot_with_threads() -> None:
    """Fifty threads want a tenth of the budget each: ten get it."""
    guard = Guard(Policy(budgets={"max_tokens": 1000}))
    granted: list[int] = []

    def spend(number: int) -> None:
        try:
            guard.reserve("c", tokens=100)
        except ConversationHalted:
            return
        granted.append(number)

    all_at_once(50, spend)
    assert len(granted) == 10


async def test_reservations_never_overshoot_with_tasks() -> None:
    """Fifty coroutines that wait between check and act cannot spend more than the cap."""
    guard = Guard(Policy(budgets={"max_cost_usd": 1.0}))
    spent: list[float] = []

    async def spend() -> None:
        await asyncio.sleep(0)
        try:
            held = guard.reserve("c", cost_usd=0.125)
        except ConversationHalted:
            return
        await asyncio.sleep(0)
        held.settle(cost_usd=0.125)
        spent.append(0.125)

    await asyncio.gather(*(spend() for _ in range(50)))
    assert sum(spent) == 1.0


def test_settle_refunds_what_was_not_used() -> None:
    """Only what a call really cost stays; leaving the block without settling gives all back."""
    guard = Guard(Policy(budgets={"max_tokens": 100}))
    for _ in range(20):
        with guard.reserve("c", tokens=100):
            pass
    with guard.reserve("c", tokens=100) as held:
        held.settle(tokens=40)
        held.settle(tokens=40)
    with guard.reserve("c", tokens=60):
        pass
    with pytest.raises(ConversationHalted) as caught:
        guard.reserve("c", tokens=61)
    assert caught.value.decision.code == "AB602"
    assert guard.state("c") is State.OPEN


def test_a_failed_call_gives_its_reservation_back() -> None:
    """An exception inside the block refunds everything."""
    guard = Guard(Policy(budgets={"max_tokens": 100}))
    with pytest.raises(ZeroDivisionError), guard.reserve("c", tokens=100):
        raise ZeroDivisionError
    guard.reserve("c", tokens=100)


@pytest.mark.parametrize("amount", [-1.0, float("nan"), float("inf"), float("-inf")])
def test_a_senseless_reservation_is_refused(amount: float) -> None:
    """A negative, infinite or undefined amount would corrupt the books: ValueError, and the cap still holds."""
    guard = Guard(Policy(budgets={"max_cost_usd": 1.0}))
    with pytest.raises(ValueError, match="reservation"):
        guard.reserve("c", cost_usd=amount)
    with pytest.raises(ValueError, match="reservation"):
        guard.reserve("c", tokens=amount)  # type: ignore[arg-type]
    with pytest.raises(ConversationHalted):
        guard.reserve("c", cost_usd=1.5)


def test_a_reservation_on_an_open_breaker_is_refused() -> None:
    """No paid step begins on a halted conversation."""
    guard = opened()
    with pytest.raises(ConversationHalted):
        guard.reserve("c", tokens=1)


def test_a_reset_in_shadow_mode_stays_in_shadow_mode() -> None:
    """A guard that was made to watch only does not begin to stop things because somebody reset it."""
    guard = Guard(mode="metrics_only")
    guard.observe(Message("c", "ann", "bob", content="Good morning."))
    guard.force_open("c", "maintenance")
    guard.reset("c")
    assert guard.state("c") is State.METRICS_ONLY
    guard.reset()
    assert guard.state("later") is State.METRICS_ONLY


def test_detectors_at_rest_change_no_decision(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether resting detectors are left out or asked every time, the decisions and their scores are the same."""
    news = [Message("c", "ann", ("bob", "cy")[n % 2], content=NEWS.format(n)) for n in range(30)]
    thanks = [Message("c", *pair, content=f"Great, thank you{'!' * n}") for n in range(3) for pair in (("bob", "ann"),)]
    call = Message("c", "ann", "get", "tool_call", tool=Tool("get", "1", {"id": 1}))
    result = Message("c", "get", "ann", "tool_result", tool=Tool("get", "1", result="Error: not found"))
    stream = [*news[:9], *thanks, *news[9:15], news[14], *thanks, call, result, call, result, *news[15:], *thanks * 3]

    def decisions() -> list[tuple[Action, float, bool]]:
        guard = Guard(mode="metrics_only")
        out = []
        for message in stream:
            decision = guard.observe(message)
            conversation = guard._conversations["c"]
            out.append((decision.would or decision.action, decision.score, len(conversation.asked) == 0))
        return out

    resting = decisions()
    monkeypatch.setattr(Conversation, "rest", lambda self: None)
    asked = decisions()
    assert [told[:2] for told in resting] == [told[:2] for told in asked]
    assert any(action is not Action.ALLOW for action, _, _ in asked)


def test_detectors_are_left_out_only_while_they_are_at_rest() -> None:
    """Work leaves the watchful detectors alone in charge; the first message with nothing new asks all of them again."""
    guard = Guard(Policy(budgets={"max_messages": 1000}))
    for n in range(8):
        guard.observe(Message("c", "ann", "bob", content=NEWS.format(n)))
    conversation = guard._conversations["c"]
    assert {detector.code for detector in conversation.asked} == {"AB601", "AB101", "AB103", "AB501", "AB502"}
    thank(guard, 1)
    assert conversation.asked is conversation.detectors
