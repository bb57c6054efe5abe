"""The counters of a replay: nothing is lost on the way to disk and back, and memory does not grow with a recording."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import pytest

from agentbreaker.errors import AgentBreakerError
from agentbreaker.message import Message, Usage
from agentbreaker.policy import Policy
from agentbreaker.replay import ReplayReport, replay
from agentbreaker.tallies import MAX_AGENTS, Room, Tallies, Tally


def counted(*senders: str, position: int = 1) -> Tally:
    """A tally of messages of these senders."""
    tally = Tally(position)
    for sender in senders:
        tally.count(Message("c", sender, usage=Usage(2**62, 1), cost_usd=0.1))
    return tally


def test_what_is_packed_comes_back_as_it_was() -> None:
    """Every counter, the clock, whoever spoke, and the evidence, beyond the integers of a database too."""
    tally = counted("ann", "bob", "half \ud83d")
    tally.clock.move_to(12.5)
    tally.origin, tally.halted_at, tally.warned_at, tally.halt_position = -3.25, 2, 1, 77
    tally.detector, tally.score = "AB201", 0.1 + 0.2
    tally.incident, tally.incident_text = {"laps": [[1, "x"]], "text": "\ud83d"}, "why\n"
    back = Tally.unpack(tally.pack())
    assert back.clock.now() == 12.5
    assert back.tokens > 2**63
    for name in Tally.__slots__:
        if name != "clock":
            assert getattr(back, name) == getattr(tally, name), name


def test_tallies_come_in_the_order_of_their_first_messages_wherever_they_were() -> None:
    """Some on disk, some that came back, some that never left; an id may hold half an emoji."""
    tallies = Tallies()
    names = ["b", "half \ud83d", "a", "c"]
    for position, name in enumerate(names, 1):
        tallies.count(tallies.start(name, position), Message(name, "x"))
    for name in names[:3]:
        tallies.put_aside(name)
    found = tallies.find("half \ud83d")
    assert found is not None
    tallies.count(found, Message("half \ud83d", "y"))
    assert tallies.find("new") is None
    assert [(name, tally.messages) for name, tally in tallies.finish()] == [
        ("b", 1),
        ("half \ud83d", 2),
        ("a", 1),
        ("c", 1),
    ]
    assert list(tallies.finish()) == []


def test_senders_are_counted_up_to_a_bound() -> None:
    """A storm of a million senders is not remembered in full."""
    tally = counted(*(f"agent-{n}" for n in range(MAX_AGENTS + 50)))
    assert len(tally.agents) == MAX_AGENTS
    assert tally.messages == MAX_AGENTS + 50


def test_many_senders_in_many_conversations_go_to_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """The senders of all conversations in memory together have a bound, and none is lost for it."""
    monkeypatch.setattr("agentbreaker.tallies._MOST_REMEMBERED", 100)
    tallies = Tallies()
    for number in range(600):
        name = f"c{number % 6}"
        tally = tallies.find(name) or tallies.start(name, number)
        tallies.count(tally, Message(name, f"agent-{number % 300}"))
        assert tallies._remembered <= 100
    assert tallies._disk is not None
    assert [len(tally.agents) for _, tally in tallies.finish()] == [50] * 6


def test_a_room_lets_the_one_go_that_was_silent_for_longest() -> None:
    """Conversations of other processes take their place in it too, but are not let go here."""
    gone: list[str] = []
    room = Room(2, gone.append)
    assert [room.enter(key) for key in ("a", "b", "a", "a")] == [True, True, False, False]
    assert room.enter(b"other")
    assert gone == ["b"]
    assert room.enter("b")
    assert room.enter("c")
    assert gone == ["b", "a"]
    room.clear()
    assert room.enter("c")
    assert gone == ["b", "a"]


def test_a_disk_that_is_full_is_told_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    """One line that names the cause and where else to go."""

    class Full:
        """A database that has no room."""

        def execute(self, *_: object) -> None:
            raise sqlite3.OperationalError("database or disk is full")

    tallies = Tallies()
    tallies.start("a", 1)
    monkeypatch.setattr(sqlite3, "connect", lambda *_, **__: Full())
    with pytest.raises(AgentBreakerError, match=r"disk is full.*SQLITE_TMPDIR"):
        tallies.put_aside("a")


def recording(count: int) -> Iterator[tuple[str, Message]]:
    """Many short conversations, every third of which comes back at the end."""
    for again in (False, True):
        for number in range(0, count, 3 if again else 1):
            for sender in ("ann", "bob"):
                yield "log", Message(f"c{number}", sender, content=f"Row {number} is {number * 7}.", cost_usd=0.5)


def test_a_replay_with_little_room_counts_what_one_with_much_counts() -> None:
    """Only what the guard forgets differs, and it is said how often."""
    found = []
    for room in (4, 1000):
        totals = ReplayReport()
        found.append(list(replay(recording(300), Policy(conversations={"max_conversations": room}), report=totals)))
        assert totals.forgotten == (100 if room == 4 else 0)
        assert (totals.messages, totals.cost_usd) == (800, 400.0)
    assert found[0] == found[1]
    assert [report.conversation_id for report in found[0]] == [f"c{number}" for number in range(300)]
