"""AutoGen AgentChat: the conformance scripts, in each way to attach, run and streamed."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("autogen_agentchat", reason="AutoGen AgentChat is not installed")

from autogen_agentchat.conditions import MaxMessageTermination

from agentbreaker import Guard, State
from agentbreaker.integrations.autogen import AutoGenBreaker, guard_team
from tests.integrations.autogen_teams import run, scripted
from tests.integrations.scripts import SCRIPTS, Script

ATTACHED = ("condition", "condition and client", "guard_team", "guard_team, calls in one turn")


@pytest.mark.parametrize("mode", ["run", "stream"])
@pytest.mark.parametrize("attached", ATTACHED)
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
async def test_the_script_ends_as_it_says(script: Script, attached: str, mode: str) -> None:
    """A runaway is halted within its window by one of its detectors; healthy work runs to its end without a warning."""
    warned: list[Any] = []
    guard = Guard()
    in_one_turn = attached.endswith("one turn")
    if attached.startswith("guard_team"):
        team, model = scripted(script, lambda client: client, None, in_one_turn=in_one_turn)
        breaker = guard_team(team, guard)
    else:
        breaker = AutoGenBreaker(guard)
        wrap = breaker.model_client if attached.endswith("client") else lambda client: client
        condition = MaxMessageTermination(500) | breaker.termination()
        team, model = scripted(script, wrap, condition, in_one_turn=False)
    observe = guard.observe

    def noted(message: Any) -> Any:
        decision = observe(message)
        warned.append(decision.action.value)
        return decision

    guard.observe = noted  # type: ignore[method-assign]
    result = await run(team, mode, script.question)
    number = model.calls - 1
    assert not breaker.faults
    if script.runaway:
        assert guard.state(breaker.conversation_id) is State.OPEN
        incident = guard.incident(breaker.conversation_id)
        assert incident is not None
        assert incident.code in script.codes
        assert script.first <= number <= script.last
        assert result.stop_reason == f"[agentbreaker] This conversation was halted: {incident.sentence}."
    else:
        assert number == len(script.turns) - 1
        assert set(warned) == {"allow"}
