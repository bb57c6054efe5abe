"""Reservations between the end of a call and the message that tells of it; the account of a conversation."""

from __future__ import annotations

import pytest

from agentbreaker import ConversationHalted, Guard, Message, Policy, State, VirtualClock
from agentbreaker.pricing import Bill
from agentbreaker.reservation import Account

NEWS = "The import of 4,812 rows into Rotterdam failed at column tax_code; Ferreira restores the backup of Tuesday."


def test_what_is_spent_stays_held_until_it_is_counted() -> None:
    """After a call its real cost is held, and the message that carries it releases that: counted once, never free."""
    guard = Guard(Policy(budgets={"max_tokens": 1000}))
    held = guard.reserve("c", tokens=800)
    held.reduce(tokens=300)
    assert guard.account("c").held_tokens == 300
    message = Message("c", "a", "b", content=NEWS, usage=Bill(200, 100, held=(held,)))
    guard.observe(message)
    assert guard.account("c") == Account(1, 300, 0.0, 0, 0, 0.0, False)
    held.reduce(tokens=500)
    held.settle(tokens=500)
    assert guard.account("c").tokens == 300
    guard.reserve("c", tokens=700)
    with pytest.raises(ConversationHalted):
        guard.reserve("c", tokens=1)


def test_a_message_that_is_told_twice_releases_once() -> None:
    """The same message again is neither counted nor does it release what others hold."""
    guard = Guard(Policy(budgets={"max_tokens": 1000}))
    one, other = guard.reserve("c", tokens=100), guard.reserve("c", tokens=100)
    for _ in range(2):
        guard.observe(Message("c", "a", "b", content=NEWS, message_id="m", usage=Bill(50, 50, held=(one,))))
    assert guard.account("c")[1:5:3] == (100, 100)
    other.settle()
    assert guard.account("c").held_tokens == 0


def test_an_unknown_conversation_has_an_empty_account() -> None:
    """Asking opens nothing."""
    guard = Guard()
    assert guard.account("nobody") == Account()
    assert guard.conversations() == []


def test_a_person_lets_one_lap_through() -> None:
    """By hand an open breaker is half-open at once: news closes it, a lap with nothing new opens it again."""
    for forced in (False, True):
        guard = Guard(clock=VirtualClock())
        if forced:
            guard.force_open("c", "enough")
        while not forced and guard.observe(Message("c", "a", "b", content="Great, thank you!")).allowed:
            pass
        guard.half_open("c", by="ann")
        assert guard.state("c") is State.HALF_OPEN
        guard.check("c")
        for _ in range(6):
            guard.observe(Message("c", "a", "b", content="Great, thank you!"))
        assert guard.state("c") is State.OPEN
        guard.half_open("c")
        guard.observe(Message("c", "a", "b", content=NEWS))
        assert guard.state("c") is State.CLOSED
        guard.half_open("c")
        assert guard.state("c") is State.CLOSED
