"""The table of the documentation, a test for each cell: every shape of a team, run and streamed."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

pytest.importorskip("autogen_agentchat", reason="AutoGen AgentChat is not installed")

from autogen_agentchat.conditions import TextMentionTermination
from autogen_agentchat.messages import BaseChatMessage

from agentbreaker import Action, Guard, Message, Policy, State, Transition
from agentbreaker.integrations.autogen import guard_team
from agentbreaker.verdict import STEER_TEXT
from tests.integrations.autogen_teams import LIMIT, SHAPES, THANKS, Model, forever, run, texts

FINISH = Policy(ladder={"finish": 4.0, "halt": 12.0})
#: Steers so early that an agent is asked before the halt, whatever the shape.
EARLY = Policy(ladder={"warn": 1.0, "steer": 1.5, "halt": 8.0})
#: A conversation that says its thanks for a while and then ends by itself.
ENDING = (*THANKS * 6, *["FINISHED for today."] * 8)

pytestmark = [pytest.mark.parametrize("mode", ["run", "stream"]), pytest.mark.parametrize("shape", SHAPES)]


def watching(model: Model, **options: Any) -> tuple[Guard, list[int]]:
    """A guard, and the number of model calls that had been made when it opened."""
    at_trip: list[int] = []

    def note(transition: Transition) -> None:
        if transition.state is State.OPEN:
            at_trip.append(model.calls)

    return Guard(observers=[note], **options), at_trip


async def test_halt(shape: str, mode: str) -> None:
    """The team ends in time with a reason; no call of an agent's model begins after the trip."""
    model = Model(forever())
    guard, at_trip = watching(model)
    team = SHAPES[shape](model)
    breaker = guard_team(team, guard)
    result = await run(team, mode, "Please agree on the date of the release.")
    incident = guard.incident(breaker.conversation_id)
    assert incident is not None
    assert incident.action is Action.HALT
    assert result.stop_reason == f"[agentbreaker] This conversation was halted: {incident.sentence}."
    assert at_trip == [model.calls], "model calls after the trip"
    assert not breaker.faults


async def test_finish(shape: str, mode: str) -> None:
    """Where the policy says finish, the reason is the final answer."""
    model = Model(forever())
    guard, _ = watching(model, policy=FINISH)
    team = SHAPES[shape](model)
    breaker = guard_team(team, guard)
    result = await run(team, mode, "Please agree on the date of the release.")
    incident = guard.incident(breaker.conversation_id)
    assert incident is not None
    assert incident.action is Action.FINISH
    assert result.stop_reason == f"[agentbreaker] This conversation was ended: {incident.sentence}."
    assert not breaker.faults


async def test_steer(shape: str, mode: str) -> None:
    """An agent is told once that nothing new comes, the manager is not, and the run goes on from there."""
    model = Model(forever())
    guard, _ = watching(model, policy=EARLY)
    team = SHAPES[shape](model)
    breaker = guard_team(team, guard)
    await run(team, mode, "Please agree on the date of the release.")
    told = [asked for asked in model.asked if any(message.content == STEER_TEXT for message in asked)]
    if shape == "MagenticOne":
        # The orchestrator's news begin the evidence anew each time.
        assert told
    else:
        assert len(told) == 1
    manager = getattr(team, "_model_client", None)
    asked = [] if manager is None else manager.asked
    assert not [messages for messages in asked if any(message.content == STEER_TEXT for message in messages)]
    assert told[0][-1].content == STEER_TEXT
    assert told[0][-1].source == "agentbreaker"  # type: ignore[union-attr]
    assert not breaker.faults


async def test_resume(shape: str, mode: str) -> None:
    """After a reset the same team goes on, and is halted again."""
    model = Model(forever())
    guard, at_trip = watching(model)
    team = SHAPES[shape](model)
    breaker = guard_team(team, guard)
    await run(team, mode, "Please agree on the date of the release.")
    calls = model.calls
    guard.reset(breaker.conversation_id)
    # Magentic-One has no run without a task.
    again = await run(team, mode, "Go on, please." if shape == "MagenticOne" else None)
    assert model.calls > calls
    assert len(at_trip) == 2
    assert again.stop_reason is not None
    assert again.stop_reason.startswith("[agentbreaker] This conversation was halted: ")
    assert not breaker.faults


async def test_an_open_breaker_keeps_the_team_from_going_on(shape: str, mode: str) -> None:
    """Without a reset another run ends in time, with the reason, and no model is called, but for a person's probe."""
    model = Model(forever())
    guard, _ = watching(model)
    team = SHAPES[shape](model)
    breaker = guard_team(team, guard)
    first = await run(team, mode, "Please agree on the date of the release.")
    calls = model.calls
    again = await run(team, mode, "Go on." if shape == "MagenticOne" else None)
    if shape == "MagenticOne":  # the person's word lets one lap through
        assert model.calls - calls <= 4
        assert again.stop_reason is not None
        assert again.stop_reason.startswith("[agentbreaker] This conversation was halted: ")
        return
    assert model.calls == calls
    assert again.stop_reason == first.stop_reason
    halt = breaker.halts.of(breaker.conversation_id)
    assert halt is not None
    assert halt.refused >= 1
    assert halt.in_flight == 0


async def test_resume_from_a_saved_state(shape: str, mode: str) -> None:
    """The state of a halted team is loaded into a new team, which goes on after a reset with nothing counted twice."""
    model = Model(forever())
    guard, at_trip = watching(model)
    team = SHAPES[shape](model)
    breaker = guard_team(team, guard, conversation_id="c")
    await run(team, mode, "Please agree on the date of the release.")
    state = await asyncio.wait_for(team.save_state(), LIMIT)
    guard.reset("c")
    other = SHAPES[shape](model)
    guard_team(other, guard, conversation_id="c")
    await asyncio.wait_for(other.load_state(state), LIMIT)
    calls = model.calls
    again = await run(other, mode, "Go on, please." if shape == "MagenticOne" else None)
    assert model.calls > calls
    assert not breaker.faults
    if shape == "GraphFlow":
        # What AutoGen saves of a graph with a loop is good for one lap, with or without a breaker.
        assert again.stop_reason == "Digraph execution is complete"
        return
    assert len(at_trip) == 2
    assert again.stop_reason is not None
    assert again.stop_reason.startswith("[agentbreaker] This conversation was halted: ")


async def test_shadow(shape: str, mode: str) -> None:
    """Nothing changes: the same words, calls and end as without us; what would have happened is on record."""
    bare = Model(iter(ENDING))
    team = SHAPES[shape](bare)
    end = TextMentionTermination("FINISHED", sources=["alice", "bob", "carol", "end"])
    team._termination_condition = end
    expected = await run(team, mode, "Please agree on the date of the release.")
    model = Model(iter(ENDING))
    guard, at_trip = watching(model, mode="metrics_only")
    team = SHAPES[shape](model)
    team._termination_condition = TextMentionTermination("FINISHED", sources=["alice", "bob", "carol", "end"])
    breaker = guard_team(team, guard)
    result = await run(team, mode, "Please agree on the date of the release.")
    assert texts(result) == texts(expected)
    assert result.stop_reason == expected.stop_reason
    assert [[str(m) for m in asked] for asked in model.asked] == [[str(m) for m in asked] for asked in bare.asked]
    assert at_trip == []
    assert breaker.withheld[Action.HALT] >= 1
    assert not breaker.faults


async def test_every_message_counts_once(shape: str, mode: str) -> None:
    """What is broadcast, reported and handed on counts once, with its own sender, and every token of it."""
    model = Model(forever())
    guard, _ = watching(model)
    seen: list[Message] = []
    observe = guard.observe

    def noted(message: Message) -> Any:
        seen.append(message)
        return observe(message)

    guard.observe = noted  # type: ignore[method-assign]
    team = SHAPES[shape](model)
    guard_team(team, guard)
    result = await run(team, mode, "Please agree on the date of the release.")
    said = [message for message in seen if message.kind != "system" and message.role != "user"]
    talk = [(message.sender, message.content) for message in said if message.sender != "MagenticOneOrchestrator"]
    assert len(talk) == model.calls
    assert {sender for sender, _ in talk} <= {"alice", "bob", "carol", "start", "left", "right", "join"}
    assert sum(message.usage.total for message in said if message.usage) == 15 * model.calls
    assert [message.content for message in seen if message.role == "user"] == [
        "Please agree on the date of the release."
    ]
    delivered = [item for item in result.messages if isinstance(item, BaseChatMessage) and item.source != "user"]
    ours = [item for item in delivered if item.to_text().startswith("[agentbreaker]")]
    if shape not in ("MagenticOne", "GraphFlow"):
        assert len(delivered) - len(ours) == model.calls
