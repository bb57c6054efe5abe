"""The live call graph against a naive recomputation, and against networkx."""

from __future__ import annotations

import sys
from collections import defaultdict
from typing import Any

import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentbreaker import CallGraph, Guard, Message, Usage
from agentbreaker.graph import Walk

names = st.sampled_from("abcde")
traffic = st.lists(
    st.tuples(names, st.none() | names, st.integers(0, 1000), st.integers(0, 64).map(lambda n: n / 64)), max_size=60
)
Entry = tuple[str, str, int, float, bool]


def entries(stream: list[tuple[str, str | None, int, float]]) -> list[Entry]:
    """The messages as edges, in the order in which their recipients became known."""
    done: list[Entry] = []
    turn: tuple[str, int, float] | None = None
    for sender, recipient, tokens, cost in stream:
        if turn is not None and turn[0] != sender:
            done.append((turn[0], sender, turn[1], turn[2], True))
            turn = None
        if recipient is not None:
            done.append((sender, recipient, tokens, cost, False))
        elif turn is None:
            turn = (sender, tokens, cost)
        else:
            turn = (sender, turn[1] + tokens, turn[2] + cost)
    return done


@given(stream=traffic, window=st.integers(1, 20))
def test_edges_equal_a_recomputation(stream: list[Any], window: int) -> None:
    """After any sequence the edges are the sums over the last `window` messages, inferred recipients included."""
    graph = CallGraph(window)
    for sender, recipient, tokens, cost in stream:
        graph.add(sender, recipient, tokens=tokens, cost_usd=cost)
    expected: dict[tuple[str, str], list[float]] = defaultdict(lambda: [0, 0, 0.0, 0])
    for a, b, tokens, cost, inferred in entries(stream)[-window:]:
        sums = expected[a, b]
        for place, amount in enumerate((1, tokens, cost, inferred)):
            sums[place] += amount
    found = {(e.sender, e.recipient): [e.messages, e.tokens, e.cost_usd, e.inferred] for e in graph.edges()}
    assert found == expected


@given(stream=traffic, window=st.integers(1, 20))
def test_in_cycle_equals_the_cycles_of_networkx(stream: list[Any], window: int) -> None:
    """An edge is marked exactly if one of the simple cycles goes through it."""
    graph = CallGraph(window)
    for sender, recipient, tokens, cost in stream:
        graph.add(sender, recipient, tokens=tokens, cost_usd=cost)
    drawn = graph.to_networkx()
    on_cycles = {
        (cycle[i], cycle[(i + 1) % len(cycle)]) for cycle in nx.simple_cycles(drawn) for i in range(len(cycle))
    }
    assert {(a, b) for a, b, facts in drawn.edges(data=True) if facts["in_cycle"]} == on_cycles
    assert sum(facts["messages"] for _, facts in drawn.nodes(data=True)) == sum(e.messages for e in graph.edges())


@given(speakers=st.lists(names, max_size=80))
def test_a_cycle_is_a_closed_walk(speakers: list[str]) -> None:
    """Each cycle was really walked: its steps follow each other in the talk, and it ends where it began."""
    walk = Walk()
    steps: set[tuple[str, str]] = set()
    previous: str | None = None
    for speaker in speakers:
        if previous is not None and previous != speaker:
            steps.add((previous, speaker))
        previous = speaker
        cycle = walk.step(speaker)
        assert walk.path[-1] == speaker
        assert len(set(walk.path)) == len(walk.path)
        if cycle is not None:
            assert cycle[0] == speaker
            assert len(set(cycle)) == len(cycle) >= 2
            assert all((cycle[i], cycle[(i + 1) % len(cycle)]) in steps for i in range(len(cycle)))


@pytest.mark.parametrize("size", [2, 3, 17, 50, 64])
def test_each_lap_of_a_ring_closes_one_cycle(size: int) -> None:
    """Rings of up to 64 agents close once per lap, with all of them in walking order."""
    graph = CallGraph()
    ring = [f"agent-{number}" for number in range(size)]
    closed = [graph.add(ring[turn % size], ring[(turn + 1) % size]) for turn in range(3 * size + 1)]
    assert [cycle for cycle in closed if cycle is not None] == [tuple(ring)] * 3


def test_memory_is_bounded() -> None:
    """Twenty thousand messages among ever new agents never leave more than a few numbers per place in the window."""
    graph = CallGraph(64)
    for turn in range(20_000):
        graph.add(f"agent-{turn:06}", f"agent-{turn + 1:06}", tokens=turn, cost_usd=0.5)
        if turn % 997 == 0:
            held = [getattr(graph, name) for name in CallGraph.__slots__]
            assert max(len(item) for item in held if hasattr(item, "__len__")) <= 4 * 64
            assert sum(map(sys.getsizeof, held)) < 20_000
            assert len(graph._walk.path) <= 64
    edges = graph.edges()
    assert [edge.sender for edge in edges] == [f"agent-{turn:06}" for turn in range(20_000 - 64, 20_000)]


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=400))
def test_many_names_in_a_small_window(pairs: list[tuple[int, int]]) -> None:
    """When there are far more agents than places, the edges still carry the right names, oldest first."""
    graph = CallGraph(4)
    for sender, recipient in pairs:
        graph.add(str(sender), str(recipient))
    last = dict.fromkeys((str(a), str(b)) for a, b in pairs[-4:])
    assert [(edge.sender, edge.recipient) for edge in graph.edges()] == list(last)


def test_a_silent_turn_belongs_to_the_next_speaker() -> None:
    """Messages without recipient are one turn, drawn to whoever speaks next, and marked as inferred."""
    graph = CallGraph()
    graph.add("ann", None, tokens=3)
    graph.add("ann", None, tokens=4)
    assert graph.edges() == []
    graph.add("bob", "ann", tokens=5)
    edges = [(e.sender, e.recipient, e.messages, e.tokens, e.inferred) for e in graph.edges()]
    assert edges == [("ann", "bob", 1, 7, 1), ("bob", "ann", 1, 5, 0)]


def test_a_message_may_say_that_its_recipient_was_inferred() -> None:
    """Explicit and inferred traffic of one edge is told apart, here and in networkx."""
    graph = CallGraph()
    for inferred in (True, False, True):
        graph.add("a", "b", inferred=inferred)
    assert [(e.messages, e.inferred) for e in graph.edges()] == [(3, 2)]
    assert graph.to_networkx().edges["a", "b"]["inferred"] == 2


def test_a_window_below_one_is_refused() -> None:
    """A graph that remembers nothing is a mistake."""
    with pytest.raises(ValueError, match="window"):
        CallGraph(0)


def test_the_guard_draws_prompts_as_no_edge() -> None:
    """System lines are context; all else is traffic, with its tokens."""
    guard = Guard()
    guard.observe(Message("c", "system", "ann", "system", "You are Ann."))
    guard.observe(Message("c", "ann", "bob", content="Anchors aweigh", usage=Usage(7, 2)))
    graph = guard.graph("c")
    assert graph is not None
    assert [(e.sender, e.recipient, e.tokens) for e in graph.edges()] == [("ann", "bob", 9)]
