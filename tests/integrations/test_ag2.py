"""AG2 1.x: the shared scripts, and a test for each cell of the table in the documentation."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from typing import Any

import pytest

pytest.importorskip("ag2", reason="AG2 1.x is not installed")

from ag2 import Agent, MemoryStream, ToolResult, tool
from ag2.events import BaseEvent, ModelMessageChunk, ModelResponse, Usage
from ag2.middleware import BaseMiddleware, Middleware
from ag2.middleware.builtin.llm_retry import RetryMiddleware
from ag2.network import (
    AccessBlock,
    AccessDeniedError,
    AgentTarget,
    BaseHubArbiter,
    Deny,
    FromSpeaker,
    Handoff,
    Passport,
    RoundRobinTarget,
    Rule,
    RuleBasedArbiter,
    TransitionGraph,
)

from agentbreaker import Action, ConversationHalted, ConversationHaltedError, Guard, Message, Policy
from agentbreaker.integrations.ag2 import AG2Breaker
from agentbreaker.verdict import STEER_TEXT
from tests.integrations.ag2_agents import LIMIT, Model, calls, network, settled, until_closed
from tests.integrations.scripts import SCRIPTS, Script

SAID = "[agentbreaker] This conversation was ended: "
THANKS = ["Great, thank you!", "Thanks a lot, great!", "You are welcome, thank you!"] * 40
SEARCH = ("search", {"q": "ferry"})
FINISH = Policy(ladder={"finish": 4.0, "halt": 12.0})


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """AG2 logs each refused message with a traceback."""
    caplog.set_level(logging.CRITICAL, logger="ag2")


@tool
async def search(q: str) -> str:
    """Look something up."""
    return "nothing was found"


def kinds(guard: Guard, seen: list[Message]) -> None:
    """Write down every message that the guard is shown."""
    observe = guard.observe

    def note(message: Message) -> Any:
        seen.append(message)
        return observe(message)

    guard.observe = note  # type: ignore[method-assign]


# The shared scripts.


class Scripted:
    """Agents that take the turns of a script, whatever channel they are in."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.results = iter([turn.call.result for turn in script.turns if turn.call is not None])
        lines: list[str | ModelResponse] = []
        for turn in script.turns:
            if turn.call is not None:
                lines.append(calls((turn.call.name, turn.call.arguments), text=turn.text))
            elif turn.to is not None:
                lines += [calls(("transfer", {"target": turn.to, "reason": turn.text})), turn.text]
            else:
                lines.append(turn.text)
        self.model = Model(lines)

    @property
    def taken(self) -> int:
        """How many turns have begun; what is asked beyond the end of the script is no turn."""
        turns = self.script.turns
        return min(len(turns), (self.model.calls + 1) // 2 if turns[0].to is not None else self.model.calls)

    def tools(self) -> list[Any]:
        """The tools that the script calls."""
        turn = self.script.turns[0]

        @tool
        async def transfer(target: str, reason: str) -> Handoff:
            """Hand over."""
            return Handoff(target=target, reason=reason)

        @tool
        async def search_flights(origin: str, destination: str) -> str:
            """Look for flights."""
            return next(self.results)

        @tool
        async def job_status(job: str) -> str:
            """Ask for a job."""
            return next(self.results)

        if turn.to is not None:
            return [transfer]
        if turn.call is not None:
            return [search_flights if turn.call.name == "search_flights" else job_status]
        return []

    def agents(self) -> list[Agent[Any]]:
        """One agent for each name."""
        return [Agent(name, config=self.model, tools=self.tools()) for name in self.script.agents]


async def run_in_channel(scripted: Scripted, breaker: AG2Breaker) -> str | None:
    """Run a script in the kind of channel that it needs; return the close reason, if it was closed."""
    script = scripted.script
    agents = scripted.agents()
    async with network(*agents) as net:
        breaker.attach(net.hub, *agents)
        first, last = net.agents[script.agents[0]], net.agents[script.agents[-1]]
        if script.turns[0].to is not None:
            graph = TransitionGraph(
                initial_speaker=last.agent_id,
                transitions=[],
                default_target=AgentTarget(first.agent_id),
            )
            channel = await last.open(type="workflow", target=first.passport.name, knobs={"graph": graph.to_dict()})
        else:
            kind = "conversation" if len(agents) == 2 else "discussion"
            channel = await last.open(type=kind, target=list(script.agents[:-1]))
        await channel.send(script.question)
        await settled(lambda: scripted.model.calls)
        metadata = await net.hub.get_channel(channel.channel_id)
        return str(metadata.close_reason) if metadata.is_terminal() else None


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
async def test_the_script_ends_as_it_says(script: Script) -> None:
    """A runaway is halted within its window by one of its detectors; healthy work runs to its end, untouched."""
    scripted = Scripted(script)
    decided: list[str | None] = []
    guard = Guard(on_incident=lambda incident: decided.append(incident.code))
    breaker = AG2Breaker(guard)
    if len(script.agents) == 1:
        [agent] = scripted.agents()
        reply = await asyncio.wait_for(breaker.attach(agent) and agent.ask(script.question), LIMIT)
        why = reply.body if (reply.body or "").startswith(SAID) else None
    else:
        why = await asyncio.wait_for(run_in_channel(scripted, breaker), LIMIT)
    assert not breaker.faults
    if script.runaway:
        assert why is not None
        assert why.startswith(SAID)
        assert decided[0] in script.codes
        assert script.first <= scripted.taken - 1 <= script.last
    else:
        assert why is None
        assert not decided
        assert scripted.taken == len(script.turns)
