"""Memory is bounded, and running the guard out of it is no way to escape."""

from __future__ import annotations

import threading

import pytest

from agentbreaker import Action, ConversationHalted, Guard, Message, Policy, State, Usage, VirtualClock
from agentbreaker.conversation import Conversation

THANKS = "Great, thank you!"


def small(limit: int, idle_seconds: float = 300.0, **budgets: float) -> Policy:
    """A policy with room for few conversations."""
    return Policy(conversations={"max_conversations": limit, "idle_seconds": idle_seconds}, budgets=budgets)


def thank(guard: Guard, conversation_id: str, turn: int) -> Action:
    """One message of a loop."""
    return guard.observe(Message(conversation_id, "ab"[turn % 2], "ba"[turn % 2], content=THANKS)).action


def test_the_number_of_conversations_is_bounded() -> None:
    """A thousand ids in a guard with room for ten: ten are kept, whether idle or not."""
    for idle in (0.0, 300.0):
        guard = Guard(small(10, idle))
        for number in range(1000):
            assert guard.observe(Message(f"c-{number}", "ann", content="hello")).allowed
        assert len(guard.conversations()) == 10


def test_only_idle_conversations_are_forgotten() -> None:
    """A conversation that was just heard of stays; once idle for long enough, it makes room."""
    clock = VirtualClock()
    guard = Guard(small(2, 300), clock=clock)
    for name in ("first", "second", "third"):
        guard.observe(Message(name, "ann", content="hello"))
    assert set(guard.conversations()) == {"first", "second"}
    clock.advance(299)
    guard.observe(Message("second", "ann", content="still here"))
    clock.advance(1)
    guard.observe(Message("third", "ann", content="hello"))
    assert set(guard.conversations()) == {"second", "third"}


def test_evidence_is_never_forgotten() -> None:
    """A conversation that is warned, open or held by a person is kept, however idle."""
    clock = VirtualClock()
    guard = Guard(small(3, 0), clock=clock)
    turn = 0
    while thank(guard, "warned", turn) is Action.ALLOW:
        turn += 1
    for turn in range(12):
        thank(guard, "open", turn)
    guard.force_open("held", "by hand")
    clock.advance(1e6)
    for number in range(1000):
        guard.observe(Message(f"c-{number}", "ann", content="hello"))
    assert set(guard.conversations()) == {"warned", "open", "held"}
    assert (guard.state("open"), guard.state("held")) == (State.OPEN, State.FORCED_OPEN)


def test_fresh_ids_do_not_wash_a_loop_away() -> None:
    """Twenty thousand new ids between the messages of a loop: it still trips, and the memory stays bounded."""
    guard = Guard(small(200))
    actions = []
    for turn in range(20):
        actions.append(thank(guard, "loop", turn))
        for number in range(1000):
            guard.observe(Message(f"flood-{turn}-{number}", "ann", content="hello"))
    assert len(guard.conversations()) <= 200
    assert actions[-1] is Action.HALT
    assert guard.state("loop") is State.OPEN


def test_caps_hold_where_there_is_no_room() -> None:
    """A conversation that cannot be watched is still counted, and halted at the cap."""
    guard = Guard(small(1, max_messages=10))
    guard.observe(Message("first", "ann", content="hello"))
    decisions = [guard.observe(Message("second", "ann", content=f"step {i}")) for i in range(11)]
    assert [decision.allowed for decision in decisions] == [True] * 10 + [False]
    assert decisions[-1].code == "AB601"
    assert guard.telemetry.failures == {"state_full": 11}


@pytest.mark.parametrize(
    ("budgets", "code"),
    [({"max_tokens": 100.0}, "AB602"), ({"max_cost_usd": 1.0}, "AB603")],
)
def test_tokens_and_money_are_counted_where_there_is_no_room(budgets: dict[str, float], code: str) -> None:
    """The coarse counters hold tokens and money as well; negative and undefined amounts take nothing off."""
    guard = Guard(small(1, **budgets))
    guard.observe(Message("first", "ann", content="hello"))
    for amount in (float("nan"), -1e9):
        guard.observe(Message("second", "ann", usage=Usage(-(10**9), 0), cost_usd=amount))
    decisions = [guard.observe(Message("second", "ann", usage=Usage(9, 0), cost_usd=0.09)) for _ in range(12)]
    assert [decision.allowed for decision in decisions] == [True] * 11 + [False]
    assert decisions[-1].code == code


def test_time_is_counted_where_there_is_no_room() -> None:
    """So is the time since the first message."""
    clock = VirtualClock()
    guard = Guard(small(1, max_seconds=60), clock=clock)
    guard.observe(Message("first", "ann"))
    assert guard.observe(Message("second", "ann")).allowed
    clock.advance(61)
    assert guard.observe(Message("second", "ann")).code == "AB604"


def test_forgetting_makes_room() -> None:
    """The end of a conversation, told by the application, frees its place."""
    guard = Guard(small(1))
    guard.observe(Message("first", "ann"))
    guard.forget("first")
    guard.observe(Message("second", "ann"))
    assert guard.conversations() == ["second"]


def test_an_open_breaker_is_seen_while_the_queue_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """While an eviction passes over a halted conversation, `check` does not let a step slip through."""
    guard = Guard(small(1))
    for turn in range(12):
        thank(guard, "loop", turn)
    raised: list[bool] = []

    def check() -> None:
        try:
            guard.check("loop")
        except ConversationHalted:
            raised.append(True)
        else:
            raised.append(False)

    threads: list[threading.Thread] = []

    def clean(_: Conversation) -> bool:
        thread = threading.Thread(target=check, daemon=True)
        thread.start()
        thread.join(0.1)  # time enough to see the gap, if there is one
        threads.append(thread)
        return False

    monkeypatch.setattr(Conversation, "clean", property(clean))
    guard.observe(Message("new", "ann", content="hello"))
    for thread in threads:
        thread.join(10)
    assert raised == [True]


def test_threads_that_open_the_same_conversation_share_it() -> None:
    """Thirty-two threads that meet a new id together make one conversation of it."""
    caps_only = {"disable": ("AB101", "AB201", "AB301", "AB302", "AB401")}
    guard = Guard(Policy(budgets={"max_messages": 31}, detectors=caps_only))
    barrier = threading.Barrier(32, timeout=30)
    allowed: list[bool] = []

    def meet(number: int) -> None:
        barrier.wait()
        allowed.append(guard.observe(Message("c", f"agent-{number}", content=f"I am number {number}")).allowed)

    threads = [threading.Thread(target=meet, args=(number,), daemon=True) for number in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(allowed) == [False] + [True] * 31


def test_a_conversation_that_was_switched_by_hand_is_not_forgotten() -> None:
    """What a person has set for a conversation outlives a flood of new ids."""
    guard = Guard(Policy(conversations={"max_conversations": 4, "idle_seconds": 0.0}))
    guard.disable("mine")
    for number in range(20):
        guard.observe(Message(f"other-{number}", "ann", "bob", content="Good morning."))
    assert guard.state("mine") is State.DISABLED
