"""The scripts for the integrations, judged by a guard with no framework in between: the verdict to compare with."""

from __future__ import annotations

import pytest

from agentbreaker import Decision, Guard, Message, Tool
from tests.integrations.scripts import SCRIPTS, Script


def messages(script: Script, upto: int) -> list[Message]:
    """The messages of one turn."""
    turn = script.turns[upto]
    if turn.call is not None:
        tool = Tool(turn.call.name, f"c{upto}", turn.call.arguments)
        answer = Tool(turn.call.name, f"c{upto}", result=turn.call.result)
        return [
            Message("c", turn.agent, turn.call.name, "tool_call", content=turn.text, tool=tool),
            Message("c", turn.call.name, turn.agent, "tool_result", content=turn.call.result, tool=answer),
        ]
    following = script.turns[upto + 1].agent if upto + 1 < len(script.turns) else None
    return [Message("c", turn.agent, turn.to or following, content=turn.text)]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_the_script_ends_as_it_says(script: Script) -> None:
    """A runaway is halted within its window by one of its detectors; healthy work runs to its end without a warning."""
    guard = Guard()
    guard.observe(Message("c", "user", script.agents[0], content=script.question, role="user"))
    decisions: list[Decision] = []
    for number in range(len(script.turns)):
        decisions += [guard.observe(message) for message in messages(script, number)]
        if not decisions[-1].allowed:
            assert script.runaway
            assert script.first <= number <= script.last
            assert decisions[-1].code in script.codes
            return
    assert not script.runaway
    assert {decision.action.value for decision in decisions} == {"allow"}
