"""The bus: agents without a framework, every message past the guard before it is delivered."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest

from agentbreaker import Guard, Message
from agentbreaker.bus import Bus
from agentbreaker.demo import thanks
from agentbreaker.verdict import Action, Decision, State


def request(recipient: str | None = "ann", content: str = "Please plan the import.") -> Message:
    """What the user asks for."""
    return Message("c1", "user", recipient, content=content, role="user")


def say(sender: str, recipient: str | None, content: str = "Row 4,711 is booked to Hamburg.") -> Message:
    """What an agent says."""
    return Message("c1", sender, recipient, content=content)


def run(bus: Bus, first: Message, way: str, **options: Any) -> Decision:
    """Run the bus one way or the other."""
    return bus.run(first, **options) if way == "run" else asyncio.run(bus.arun(first, **options))


both_ways = pytest.mark.parametrize("way", ["run", "arun"])


@both_ways
def test_messages_are_delivered_until_nobody_answers(way: str) -> None:
    """Each agent gets what was sent to it, in order, and the run ends with the last answer."""
    heard: list[tuple[str, str]] = []
    bus = Bus()

    def ann(message: Message) -> Message:
        heard.append(("ann", message.content))
        return say("ann", "bob", "Is the ledger of March open?")

    def bob(message: Message) -> None:
        heard.append(("bob", message.content))

    bus.register("ann", ann)
    bus.register("bob", bob)
    decision = run(bus, request(), way)
    assert decision.allowed
    assert decision.action is Action.ALLOW
    assert heard == [("ann", "Please plan the import."), ("bob", "Is the ledger of March open?")]


@both_ways
@pytest.mark.parametrize("kind", [list, tuple, iter])
def test_an_agent_may_send_several_messages(way: str, kind: Any) -> None:
    """All of them are delivered, first come first served, before what follows from them."""
    order: list[str] = []
    bus = Bus()
    bus.register("ann", lambda message: kind([say("ann", "bob"), say("ann", "cid"), say("ann", "dan")]))

    def bob(message: Message) -> Iterator[Message]:
        order.append("bob")
        yield say("bob", "eve", "Done, see ticket 88-40127.")

    bus.register("bob", bob)
    for name in ("cid", "dan", "eve"):
        bus.register(name, lambda message: order.append(str(message.recipient)))
    assert run(bus, request(), way).allowed
    assert order == ["bob", "cid", "dan", "eve"]


@both_ways
@pytest.mark.parametrize("recipient", ["nobody", None])
def test_a_message_to_nobody_is_observed_and_the_run_goes_on(way: str, recipient: str | None) -> None:
    """An unknown recipient is no error: the message counts, and the others still get theirs."""
    seen: list[str] = []
    bus = Bus(on_message=lambda message, decision: seen.append(message.content))
    bus.register("ann", lambda message: [say("ann", recipient, "to nobody"), say("ann", "bob", "to bob")])
    bus.register("bob", lambda message: say("bob", recipient, "to nobody either"))
    assert run(bus, request(), way).allowed
    assert seen == ["Please plan the import.", "to nobody", "to bob", "to nobody either"]


@both_ways
def test_a_halt_stops_the_delivery(way: str) -> None:
    """The message on which the guard halts reaches nobody, nor does what was still waiting."""
    lines = thanks()
    delivered: list[str] = []
    decisions: list[Decision] = []
    guard = Guard()
    bus = Bus(guard, on_message=lambda message, decision: decisions.append(decision))

    def agent(message: Message) -> list[Message]:
        delivered.append(message.content)
        other = message.sender if message.sender != "user" else "bob"
        return [say(str(message.recipient), other, next(lines)), say(str(message.recipient), "log", next(lines))]

    for name in ("ann", "bob"):
        bus.register(name, agent)
    decision = run(bus, request(), way)
    assert not decision.allowed
    assert decision.action is Action.HALT
    assert guard.state("c1") is State.OPEN
    assert [passed.allowed for passed in decisions] == [True] * (len(decisions) - 1) + [False]
    assert decisions[-1] is decision
    assert len(delivered) < len(decisions) <= 14
    incident = guard.incident("c1")
    assert incident is not None
    assert incident.halted_at == len(decisions) - 1


@both_ways
def test_a_run_in_an_open_conversation_delivers_nothing(way: str) -> None:
    """The halt is a state: the next run does not get past it, until somebody resets the guard."""
    guard = Guard()
    guard.force_open("c1", "enough")
    delivered: list[Message] = []
    bus = Bus(guard)
    bus.register("ann", delivered.append)
    assert not run(bus, request(), way).allowed
    assert delivered == []
    guard.reset("c1")
    assert run(bus, request(), way).allowed
    assert len(delivered) == 1


@both_ways
@pytest.mark.parametrize("most", [0, 1, 5])
def test_max_messages_ends_the_run(way: str, most: int) -> None:
    """No more messages than that, although the agents would go on; a limit is not a halt."""
    seen: list[Message] = []
    numbers = count(4711, 97)
    bus = Bus(on_message=lambda message, decision: seen.append(message))
    bus.register("ann", lambda message: say("ann", "bob", f"Invoice {next(numbers)} of Kiel went to cost centre 77."))
    bus.register("bob", lambda message: say("bob", "ann", f"Pallet {next(numbers)} left Bremen for Oslo on Friday."))
    assert run(bus, request(), way, max_messages=most).allowed
    assert len(seen) == most


@both_ways
def test_max_messages_counts_messages_to_nobody(way: str) -> None:
    """What nobody receives was sent all the same."""
    seen: list[Message] = []
    bus = Bus(on_message=lambda message, decision: seen.append(message))
    bus.register("ann", lambda message: [say("ann", None)] * 50)
    run(bus, request(), way, max_messages=4)
    assert len(seen) == 4


@both_ways
def test_on_message_comes_after_the_guard_and_before_the_delivery(way: str) -> None:
    """Who listens knows the decision, and hears of a message before its recipient does."""
    events: list[str] = []
    bus = Bus(on_message=lambda message, decision: events.append(f"{message.recipient} {decision.action}"))
    bus.register("ann", lambda message: events.append("ann got it"))
    run(bus, request(), way)
    assert events == ["ann allow", "ann got it"]


@both_ways
def test_what_an_agent_raises_reaches_the_caller(way: str) -> None:
    """The bus hides no error of an agent."""

    def ann(message: Message) -> None:
        raise LookupError("no such ledger")

    bus = Bus()
    bus.register("ann", ann)
    with pytest.raises(LookupError, match="no such ledger"):
        run(bus, request(), way)


async def test_coroutines_and_plain_functions_mix() -> None:
    """``arun`` awaits what is to be awaited and calls the rest."""
    heard: list[str] = []

    async def ann(message: Message) -> list[Message]:
        await asyncio.sleep(0)
        return [say("ann", "bob"), say("ann", "bob", "Pallet 88 left Bremen.")]

    bus = Bus()
    bus.register("ann", ann)
    bus.register("bob", lambda message: heard.append(message.content))
    assert (await bus.arun(request())).allowed
    assert heard == ["Row 4,711 is booked to Hamburg.", "Pallet 88 left Bremen."]


async def test_a_runaway_of_coroutines_is_halted() -> None:
    """The guard is the same on both roads: two polite coroutines are stopped."""
    lines = thanks()
    bus = Bus()

    async def agent(message: Message) -> Message:
        await asyncio.sleep(0)
        other = "bob" if message.recipient == "ann" else "ann"
        return say(str(message.recipient), other, next(lines))

    for name in ("ann", "bob"):
        bus.register(name, agent)
    decision = await asyncio.wait_for(bus.arun(request(), max_messages=100), 30)
    assert decision.action is Action.HALT
    assert decision.code == "AB201"


def test_run_refuses_coroutines_and_says_what_to_use() -> None:
    """A coroutine that nobody awaits would be lost without a word; it is closed, and the error names the agent."""

    async def ann(message: Message) -> None:
        raise AssertionError("never begun")

    bus = Bus()
    bus.register("ann", ann)
    with pytest.raises(TypeError, match=r"'ann' is asynchronous; use Bus\.arun"):
        bus.run(request())


def test_the_latest_registration_counts() -> None:
    """An agent can be replaced."""
    heard: list[str] = []
    bus = Bus()
    bus.register("ann", lambda message: heard.append("old"))
    bus.register("ann", lambda message: heard.append("new"))
    bus.run(request())
    assert heard == ["new"]


def test_two_conversations_on_one_bus_do_not_share_a_fate() -> None:
    """A halt in one conversation leaves another alone."""
    guard = Guard()
    guard.force_open("c1", "enough")
    bus = Bus(guard)
    assert not bus.run(request()).allowed
    assert bus.run(Message("c2", "user", "ann", content="Please plan the import.", role="user")).allowed


def test_without_a_guard_the_defaults_are_used() -> None:
    """A bus is guarded also if nobody thought of it."""
    assert isinstance(Bus().guard, Guard)


def test_an_agent_that_runs_out_is_not_taken_for_the_end() -> None:
    """What an agent raises reaches the caller, also a StopIteration of an iterator of its own."""
    bus = Bus()
    bus.register("ann", lambda message: next(iter(())))
    with pytest.raises(StopIteration):
        bus.run(Message("c", "user", "ann", content="hello", role="user"))
