"""The table of the documentation, a test for each cell: run mode, shape, checkpointer, and what is done."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("langgraph", reason="LangGraph is not installed")
pytest.importorskip("langchain", reason="LangChain's agents are not installed")

from langgraph.checkpoint.memory import InMemorySaver

from agentbreaker import Action, ConversationHalted, ConversationHaltedError, Guard, Policy, State, Transition
from agentbreaker.integrations.langgraph import HaltedState, LangGraphBreaker, guard_graph
from tests.integrations.langgraph_shapes import MODES, REQUEST, SHAPES, THANKS, Model, lines_of, run

FINISH = Policy(ladder={"finish": 4.0, "halt": 12.0})
#: A conversation that says its thanks for a while and ends by itself.
ENDING = (*THANKS, *THANKS, *THANKS, *THANKS, "FINISHED for today.", "FINISHED for today.")
CONFIG: Any = {"configurable": {"thread_id": "t1"}, "recursion_limit": 300}

pytestmark = [
    pytest.mark.parametrize("mode", MODES),
    pytest.mark.parametrize("checkpointed", [True, False], ids=["checkpointer", "no_checkpointer"]),
    pytest.mark.parametrize("shape", SHAPES),
]


def compiled(shape: str, model: Model, checkpointed: bool) -> Any:
    """The graph of a shape."""
    return SHAPES[shape](model).compile(checkpointer=InMemorySaver() if checkpointed else None)


def watching(model: Model, **options: Any) -> tuple[Guard, list[int]]:
    """A guard, and the number of model calls that had been made when it opened."""
    at_trip: list[int] = []

    def note(transition: Transition) -> None:
        if transition.state is State.OPEN:
            at_trip.append(model.ledger.calls)

    return Guard(observers=[note], **options), at_trip


def test_halt_by_the_callback_alone(shape: str, checkpointed: bool, mode: str) -> None:
    """No call begins after the trip; with a checkpointer nothing is lost and the run goes on after a reset."""
    model = Model()
    guard, at_trip = watching(model)
    breaker = LangGraphBreaker(guard)
    graph = compiled(shape, model, checkpointed).with_config(callbacks=[breaker])
    state = run(graph, mode, REQUEST, CONFIG)
    assert state["__interrupt__"][0].value["conversation_id"] == "t1"
    assert state["__interrupt__"][0].value["action"] == "halt"
    assert at_trip == [model.ledger.calls], "model calls after the trip"
    assert breaker.halts.of("t1").in_flight == 0  # type: ignore[union-attr]
    assert not breaker.faults
    assert len(breaker._edges) == 0
    if checkpointed:
        calls = model.ledger.calls
        guard.reset("t1")
        run(graph, mode, None, CONFIG)
        assert model.ledger.calls > calls, "it went on"
        assert at_trip[1:] == [model.ledger.calls], "and was stopped again"
        state = guard_graph(graph, breaker=breaker).invoke(None, CONFIG)
        assert sorted(lines_of(state)) == sorted(f"said-{n + 1}" for n in range(model.ledger.calls))


def test_halt_as_a_value(shape: str, checkpointed: bool, mode: str) -> None:
    """guard_graph gives the state so far, with every word that was said, checkpointer or not."""
    model = Model()
    guard, at_trip = watching(model)
    graph = guard_graph(compiled(shape, model, checkpointed), guard)
    state = run(graph, mode, REQUEST, CONFIG)
    assert isinstance(state, HaltedState)
    assert sorted(lines_of(state)) == sorted(f"said-{n + 1}" for n in range(model.ledger.calls))
    assert at_trip == [model.ledger.calls]
    assert state.decision.action is Action.HALT
    assert state.conversation_id == "t1"
    assert state.in_flight == 0
    assert state.resumable is checkpointed
    assert not graph.breaker.faults


def test_halt_as_an_exception(shape: str, checkpointed: bool, mode: str) -> None:
    """The same as an exception, which carries the state."""
    model = Model()
    guard, at_trip = watching(model, halt_as="base_exception" if checkpointed else "exception")
    graph = guard_graph(compiled(shape, model, checkpointed), guard, on_halt="exception")
    with pytest.raises((ConversationHalted, ConversationHaltedError)) as halted:
        run(graph, mode, REQUEST, CONFIG)
    error = halted.value
    assert isinstance(error, ConversationHalted if checkpointed else ConversationHaltedError)
    assert sorted(lines_of(error.state)) == sorted(f"said-{n + 1}" for n in range(model.ledger.calls))
    assert error.conversation_id == "t1"
    assert at_trip == [model.ledger.calls]


def test_finish(shape: str, checkpointed: bool, mode: str) -> None:
    """The run ends by itself, as it seems: a final answer that says why, everything kept, nothing left to do."""
    model = Model()
    guard, at_trip = watching(model, policy=FINISH)
    graph = guard_graph(compiled(shape, model, checkpointed), guard)
    state = run(graph, mode, REQUEST, CONFIG)
    assert "__interrupt__" not in state
    last = state["messages"][-1]
    incident = guard.incident("t1")
    assert incident is not None
    assert incident.action is Action.FINISH
    assert (last.name, last.type) == ("agentbreaker", "ai")
    assert last.content == f"[agentbreaker] This conversation was ended: {incident.sentence}."
    assert sorted(lines_of(state)) == sorted(f"said-{n + 1}" for n in range(model.ledger.calls))
    assert at_trip == [model.ledger.calls]
    if checkpointed:
        kept = graph.get_state(CONFIG)
        assert kept.next == ()
        assert [message.id for message in kept.values["messages"]] == [message.id for message in state["messages"]]


def test_shadow(shape: str, checkpointed: bool, mode: str) -> None:
    """Nothing changes: the same words and calls as without us; what would have happened is on record."""
    bare = Model(lines=ENDING)
    expected = run(compiled(shape, bare, checkpointed), mode, REQUEST, CONFIG)
    model = Model(lines=ENDING)
    guard, at_trip = watching(model, mode="metrics_only")
    breaker = LangGraphBreaker(guard)
    state = run(compiled(shape, model, checkpointed).with_config(callbacks=[breaker]), mode, REQUEST, CONFIG)
    assert "FINISHED" in state["messages"][-1].content
    assert [(m.type, m.content) for m in state["messages"]] == [(m.type, m.content) for m in expected["messages"]]
    assert model.ledger.calls == bare.ledger.calls
    assert "__interrupt__" not in state
    assert at_trip == []
    assert guard.incident("t1") is not None
    assert breaker.withheld[Action.HALT] >= 1
    assert not breaker.faults
