"""AG2 1.x: the shared scripts, and a test for each cell of the table in the documentation."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ag2", reason="AG2 1.x is not installed")

from ag2 import Agent, MemoryStream, tool
from ag2.events import ModelMessageChunk, ModelResponse, Usage
from ag2.middleware.builtin.llm_retry import RetryMiddleware
from ag2.network import (
    AccessBlock,
    AccessDeniedError,
    AgentTarget,
    ChannelState,
    Deny,
    Handoff,
    HubClient,
    NetworkError,
    Passport,
    Rule,
    RuleBasedArbiter,
    TransitionGraph,
)
from ag2.testing import TestConfig

from agentbreaker import Action, ConversationHaltedError, Guard, Message, Policy
from agentbreaker.integrations.ag2 import AG2Breaker
from agentbreaker.pricing import Pricing
from agentbreaker.verdict import STEER_TEXT
from tests.integrations.ag2_agents import LIMIT, Model, calls, network, settled, until_closed
from tests.integrations.scripts import SCRIPTS, Script

SAID = "[agentbreaker] This conversation was ended: "
THANKS = ["Great, thank you!", "Thanks a lot, great!", "You are welcome, thank you!"] * 40
SEARCH = ("search", {"q": "ferry"})
#: What would stop a budget's test before the budget does.
LOOPS = ("AB301", "AB302", "AB401")
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
        breaker.attach(agent)
        reply = await asyncio.wait_for(agent.ask(script.question), LIMIT)
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


# In a channel.


async def talk(net: Any, lines: Any = None, **options: Any) -> tuple[Any, Model]:
    """Two agents that talk to each other in a conversation channel; the first message is sent."""
    model = Model(THANKS if lines is None else lines, **options)
    for name in ("alice", "bob"):
        await net.add(Agent(name, config=model))
    channel = await net.agents["alice"].open(type="conversation", target="bob")
    return channel, model


async def test_a_halted_message_is_denied_before_it_is_written_and_the_channel_is_closed() -> None:
    """The message that trips is not in the log of the channel; its sender is told why, and nothing is asked again."""
    async with network() as net:
        channel, model = await talk(net)
        breaker = AG2Breaker().attach(net.hub, *net.agents.values())
        seen: list[Message] = []
        kinds(breaker.guard, seen)
        await channel.send("Shall we meet on Friday?")
        why = await until_closed(net.hub, channel)
        await settled(lambda: model.calls)
        assert why == f"{SAID}{breaker.guard.decision(channel.channel_id).reason}."
        written = await net.texts(channel)
        assert len(written) == len(seen) - 1
        assert seen[-1].content == THANKS[model.calls - 1] != written[-1][1]
        assert [(one.sender, one.recipient, one.role) for one in seen[:3]] == [
            ("alice", "bob", "user"),
            ("bob", "alice", None),
            ("alice", "bob", None),
        ]
        assert breaker.guard.incident(channel.channel_id) is not None
        halt = breaker.halts.of(channel.channel_id)
        assert halt is not None
        assert (halt.in_flight, halt.refused) == (0, 1)
        assert not breaker.faults


async def test_a_program_that_sends_is_told_why() -> None:
    """The sender of a message gets AG2's own error with the reason; a channel that was halted by hand is closed."""
    async with network() as net:
        channel, model = await talk(net)
        breaker = AG2Breaker().attach(net.hub)
        breaker.guard.force_open(channel.channel_id, "the budget of today is spent", by="ops")
        with pytest.raises(AccessDeniedError, match="the budget of today is spent"):
            await channel.send("hello")
        assert await until_closed(net.hub, channel) == f"{SAID}the budget of today is spent."
        assert model.calls == 0
        assert await net.texts(channel) == []


async def test_a_hub_alone_stops_agents_that_are_not_attached() -> None:
    """Without the middleware the messages are enough."""
    async with network() as net:
        channel, model = await talk(net)
        AG2Breaker().attach(net.hub)
        await channel.send("Shall we meet on Friday?")
        await until_closed(net.hub, channel)
        await settled(lambda: model.calls)
        assert model.calls < 10


async def test_agents_alone_stop_in_a_hub_that_is_not_watched() -> None:
    """Where the hub cannot be watched, the answers are seen, and the agent that is stopped closes the channel."""
    async with network() as net:
        channel, model = await talk(net)
        breaker = AG2Breaker().attach(*net.agents.values())
        await channel.send("Shall we meet on Friday?")
        assert (await until_closed(net.hub, channel)).startswith(SAID)
        await settled(lambda: model.calls)
        assert model.calls < 10
        assert not breaker.faults


@pytest.mark.parametrize("watched", ["agents", "hub"])
async def test_a_hub_in_another_process(watched: str) -> None:
    """Over a WebSocket, a breaker on either side ends the loop and closes the channel with the reason."""
    pytest.importorskip("websockets", reason="websockets is not installed")
    from ag2.network.transport.ws import WsLink

    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(Path(__file__).with_name("ag2_hub.py")),
        "watched" if watched == "hub" else "bare",
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    port = int(await asyncio.wait_for(process.stdout.readline(), LIMIT))
    model, breaker = Model(THANKS), AG2Breaker()
    connections, clients = [], []
    for name in ("ann", "ben"):
        connections.append(HubClient(WsLink(f"ws://127.0.0.1:{port}")))
        assert connections[-1].remote
        clients.append(await connections[-1].register(Agent(name, config=model), Passport(name=name)))
    if watched == "agents":
        breaker.attach(*clients)
    channel = await clients[0].open(type="conversation", target="ben")
    await channel.send("Shall we meet on Friday?")

    async def closed() -> str:
        while not (metadata := await channel.info()).is_terminal():
            await asyncio.sleep(0.02)
        return metadata.close_reason

    why = await asyncio.wait_for(closed(), LIMIT)
    await settled(lambda: model.calls)
    for connection in connections:
        await connection.close()
    out, _ = await asyncio.wait_for(process.communicate(b"end\n"), LIMIT)
    told = json.loads(out.decode().splitlines()[-1])
    assert told["process"] != os.getpid()
    assert why.startswith(SAID)
    assert model.calls < 12
    codes = [breaker.guard.decision(name).code for name in breaker.guard.conversations()]
    assert (codes if watched == "agents" else told["codes"]) == ["AB201"]
    assert not breaker.faults
    assert not told["faults"]


async def test_a_broadcast_counts_once_and_names_the_next_speaker() -> None:
    """Three agents hear each message of a discussion; the guard hears it once, from the one who spoke."""
    async with network() as net:
        model = Model([f"Point number {word}." for word in ("one", "two", "three", "four")])
        for name in ("ann", "ben", "cem"):
            await net.add(Agent(name, config=model))
        breaker = AG2Breaker().attach(net.hub, *net.agents.values())
        seen: list[Message] = []
        kinds(breaker.guard, seen)
        channel = await net.agents["ann"].open(type="discussion", target=["ben", "cem"])
        await channel.send("What do we know?")
        await settled(lambda: model.calls)
        assert [(one.sender, one.recipient) for one in seen] == [
            ("ann", "ben"),
            ("ben", "cem"),
            ("cem", "ann"),
            ("ann", "ben"),
            ("ben", "cem"),
        ]


async def test_a_finished_channel_ends_with_the_final_answer() -> None:
    """What was said is written with the final answer below it; nobody is asked for an answer to that."""
    async with network() as net:
        channel, model = await talk(net)
        breaker = AG2Breaker(policy=FINISH).attach(net.hub, *net.agents.values())
        await channel.send("Shall we meet on Friday?")
        why = await until_closed(net.hub, channel)
        await settled(lambda: model.calls)
        written = await net.texts(channel)
        assert written[-1][1] == f"{THANKS[model.calls - 1]}\n\n{why}"
        assert why.startswith(SAID)
        assert breaker.guard.decision(channel.channel_id).action is Action.FINISH
        assert len(written) == model.calls + 1


async def test_the_next_agent_is_steered_in_the_channel() -> None:
    """It reads so below the message; when something new comes then, the conversation goes on."""
    work = [f"The build of {name} failed in step {number}: missing library {name}-{number}." for number, name in
            enumerate(("parser", "linker", "loader", "packer", "signer"), 3)]  # fmt: skip
    policy = Policy(ladder={"warn": None, "steer": 2.0, "halt": 4.0})
    async with network() as net:
        channel, model = await talk(net, [*THANKS[:4], *work])
        breaker = AG2Breaker(policy=policy).attach(net.hub, *net.agents.values())
        await channel.send("Shall we meet on Friday?")
        await settled(lambda: model.calls)
        steered = [text for _, text in await net.texts(channel) if STEER_TEXT in text]
        assert len(steered) == 1
        assert any(STEER_TEXT in text for shown in range(model.calls) for text in model.texts(shown))
        assert not (await net.hub.get_channel(channel.channel_id)).is_terminal()
        assert model.calls >= 9
        assert breaker.guard.state(channel.channel_id).value == "closed"


async def test_shadow_mode_changes_nothing_in_a_channel() -> None:
    """Every message is written as it was said, and what would have been done is counted."""
    async with network() as net:
        channel, model = await talk(net, THANKS[:30])
        breaker = AG2Breaker(Guard(mode="metrics_only")).attach(net.hub, *net.agents.values())
        await channel.send("Shall we meet on Friday?")
        await settled(lambda: model.calls)
        assert [text for _, text in await net.texts(channel)] == ["Shall we meet on Friday?", *THANKS[:30]]
        assert breaker.withheld[Action.HALT] > 0
        assert not (await net.hub.get_channel(channel.channel_id)).is_terminal()


async def test_a_channel_that_was_left_open_goes_on_after_a_reset() -> None:
    """With ``close_channels=False`` nothing is lost, and the next message after the reset is written and answered."""
    async with network() as net:
        channel, model = await talk(net)
        breaker = AG2Breaker(close_channels=False).attach(net.hub, *net.agents.values())
        await channel.send("Shall we meet on Friday?")
        await settled(lambda: model.calls)
        before, written = model.calls, await net.texts(channel)
        assert not (await net.hub.get_channel(channel.channel_id)).is_terminal()
        with pytest.raises(AccessDeniedError):
            await channel.send("Still there?")
        breaker.guard.reset(channel.channel_id)
        await channel.send("And who brings the cake with the 12 candles?")
        await settled(lambda: model.calls)
        assert model.calls > before
        assert (await net.texts(channel))[: len(written)] == written


async def test_ag2_has_no_way_to_open_a_closed_channel() -> None:
    """What the breaker cannot change: after a reset AG2 itself still refuses every message to the closed channel."""
    async with network() as net:
        channel, model = await talk(net)
        breaker = AG2Breaker().attach(net.hub, *net.agents.values())
        await channel.send("Shall we meet on Friday?")
        await until_closed(net.hub, channel)
        await settled(lambda: model.calls)
        breaker.guard.reset(channel.channel_id)
        before = len(await net.texts(channel))
        with pytest.raises(NetworkError, match="closed"):
            await channel.send("And who brings the cake?")
        assert len(await net.texts(channel)) == before


@pytest.mark.parametrize("watched", ["hub", "agents"])
async def test_a_closed_channel_is_followed_by_another_of_the_same_conversation(watched: str) -> None:
    """After a reset ``follow`` opens a channel like the closed one; its messages count on, and it is stopped again."""
    async with network() as net:
        channel, model = await talk(net)
        breaker = AG2Breaker().attach(*([net.hub] if watched == "hub" else []), *net.agents.values())
        await channel.send("Shall we meet on Friday?")
        await until_closed(net.hub, channel)
        await settled(lambda: model.calls)
        with pytest.raises(ConversationHaltedError):
            await breaker.follow(channel)
        with pytest.raises(ValueError, match="is not closed"):
            await breaker.follow(await net.agents["bob"].open(type="conversation", target="alice"))
        used = breaker.guard.account(channel.channel_id).messages
        breaker.guard.reset(channel.channel_id)
        following = await breaker.follow(channel)
        assert following.channel_id != channel.channel_id
        assert following.metadata.manifest.type == channel.metadata.manifest.type
        assert following.metadata.participant_ids() == channel.metadata.participant_ids()
        calls_before = model.calls
        await following.send("And who brings the cake with the 12 candles?")
        assert (await until_closed(net.hub, following)).startswith(SAID)
        await settled(lambda: model.calls)
        assert model.calls > calls_before
        assert breaker.guard.conversations() == [channel.channel_id]
        assert breaker.guard.account(channel.channel_id).messages > used
        breaker.guard.reset(channel.channel_id)
        third = await breaker.follow(following)
        await third.send("Is the ferry of 9:45 late?")
        await until_closed(net.hub, third)
        assert breaker.guard.conversations() == [channel.channel_id]
        assert not breaker.faults


async def test_the_rules_and_arbiters_of_others_still_hold() -> None:
    """A rule of AG2 and an arbiter of the user's own are asked first; what they deny, the guard does not see."""

    class NoSecrets(RuleBasedArbiter):
        async def authorize_send(self, envelope: Any, sender: Any, sender_rule: Any, recipients: Any) -> Any:
            if "secret" in str(envelope.event_data):
                return Deny("no secrets here")
            return await super().authorize_send(envelope, sender, sender_rule, recipients)

    async with network() as net:
        model = Model(["Yes."])
        await net.add(Agent("alice", config=model))
        await net.add(Agent("bob", config=model))
        await net.add(Agent("carol", config=model))
        net.hub.register_arbiter(NoSecrets())
        breaker = AG2Breaker().attach(net.hub)
        seen: list[Message] = []
        kinds(breaker.guard, seen)
        channel = await net.agents["alice"].open(type="discussion", target=["bob", "carol"])
        await net.agents["alice"].set_rule(Rule(access=AccessBlock(outbound_to=["bob"])))
        with pytest.raises(AccessDeniedError, match="no secrets here"):
            await channel.send("the secret is 42")
        with pytest.raises(AccessDeniedError, match="not permitted"):
            await channel.send("hello", audience=[net.agents["carol"].agent_id])
        assert seen == []
        await channel.send("hello")
        assert [one.content for one in seen][:1] == ["hello"]
        assert not (await net.hub.get_channel(channel.channel_id)).is_terminal()


async def test_what_the_hub_refuses_itself_is_not_counted() -> None:
    """A message out of turn never reaches the guard."""
    async with network() as net:
        for name in ("ann", "ben", "cem"):
            await net.add(Agent(name, config=Model([])))
        breaker = AG2Breaker().attach(net.hub)
        seen: list[Message] = []
        kinds(breaker.guard, seen)
        channel = await net.agents["ann"].open(type="discussion", target=["ben", "cem"])
        envelope = net.hub.adapter_for(channel.channel_id).build_text_envelope(
            channel.channel_id, net.agents["cem"].agent_id, "me first"
        )
        with pytest.raises(Exception, match="expects"):
            await net.agents["cem"].send_envelope(envelope)
        assert seen == []


async def test_a_tool_loop_in_a_channel_closes_it() -> None:
    """The agent is stopped between its calls, writes nothing, and its channel is closed with the reason."""
    async with network() as net:
        model = Model([calls(SEARCH)] * 60)
        await net.add(Agent("asker", config=Model([])))
        await net.add(Agent("finder", config=model, tools=[search]))
        breaker = AG2Breaker().attach(net.hub, *net.agents.values())
        channel = await net.agents["asker"].open(type="conversation", target="finder")
        await channel.send("When does the ferry leave?")
        assert "search" in await until_closed(net.hub, channel)
        await settled(lambda: model.calls)
        assert model.calls < 12
        assert [name for name, _ in await net.texts(channel)] == ["asker"]
        assert not breaker.faults


async def test_an_agent_that_delegates_without_end_is_stopped() -> None:
    """Each time a channel is opened, but all of them are part of one conversation, which is halted as a whole."""
    async with network() as net:
        asker = Model([calls(("delegate", {"target": "bob", "prompt": "Please do it."}))] * 60)
        await net.add(Agent("alice", config=asker))
        await net.add(Agent("bob", config=Model(["Ok."] * 60)))
        breaker = AG2Breaker().attach(net.hub, *net.agents.values())
        seen: list[Message] = []
        kinds(breaker.guard, seen)
        stream = MemoryStream()
        reply = await asyncio.wait_for(net.agents["alice"].agent.ask("Clean the cellar.", stream=stream), LIMIT)
        assert (reply.body or "").startswith(SAID)
        assert asker.calls < 12
        assert breaker.guard.conversations() == [str(stream.id)]
        assert [(one.sender, one.recipient, one.kind, one.content) for one in seen[:4]] == [
            ("user", "alice", "message", "Clean the cellar."),
            ("alice", "bob", "message", "Please do it."),
            ("bob", "alice", "message", "Ok."),
            ("alice", "bob", "message", "Please do it."),
        ]
        assert [one.role for one in seen[:3]] == ["user", None, None]
        assert not await net.hub.list_channels(state=ChannelState.ACTIVE)
        assert not breaker.faults


async def test_a_failure_of_ours_lets_the_message_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is counted and logged, and no agent notices."""
    async with network() as net:
        channel, model = await talk(net, ["Yes.", "Good."])
        breaker = AG2Breaker().attach(net.hub, *net.agents.values())

        def broken(messages: Any) -> None:
            raise LookupError("ours")

        monkeypatch.setattr(breaker._watch, "observe", broken)
        await channel.send("Shall we meet on Friday?")
        await settled(lambda: model.calls)
        assert len(await net.texts(channel)) == 3
        assert breaker.faults["LookupError"] >= 3


async def test_tokens_of_a_channel_are_counted_with_the_messages_and_a_budget_holds() -> None:
    """Each message carries the tokens and the model of its call; when the budget is used up no call begins."""
    async with network() as net:
        lines = [f"Item {number}: box {number * 37} goes to shelf {number * 11}." for number in range(50)]
        usage = Usage(prompt_tokens=90, completion_tokens=10, cache_read_input_tokens=30, thinking_tokens=4)
        channel, model = await talk(net, lines, usage=usage)
        policy, pricing = Policy(budgets={"max_tokens": 3000}), Pricing(max_output_tokens=10)
        breaker = AG2Breaker(policy=policy, pricing=pricing).attach(net.hub, *net.agents.values())
        seen: list[Message] = []
        kinds(breaker.guard, seen)
        await channel.send("Please sort the boxes.")
        why = await until_closed(net.hub, channel)
        await settled(lambda: model.calls)
        # What a call may read, by its length, is held before it begins.
        account = breaker.guard.account(channel.channel_id)
        assert 5 <= model.calls <= 29
        assert account.tokens == 100 * model.calls <= 3000
        assert account.held_tokens == 0
        assert "tokens" in why
        assert breaker.guard.decision(channel.channel_id).code == "AB602"
        assert seen[0].usage is None
        counted = seen[1].usage
        assert counted is not None
        assert (counted.input_tokens, counted.output_tokens) == (90, 10)
        assert (counted.cache_read_input_tokens, counted.reasoning_output_tokens) == (30, 4)
        assert seen[1].model == "gpt-4o-mini"
        # 60 tokens, 30 out of the cache, and 10 written, at the price of the list.
        assert seen[1].cost_usd == pytest.approx((60 * 0.15 + 30 * 0.075 + 10 * 0.6) / 1e6)
        assert account.unpriced_tokens == 0


# Outside of a hub: ``agent.ask`` and ``agent.run``.


def searcher(model: Model, breaker: AG2Breaker, **options: Any) -> Agent[Any]:
    """An agent with one tool, watched."""
    return Agent("finder", config=model, tools=[search], middleware=[breaker], **options)


async def ask(agent: Agent[Any], how: str, question: str = "When does the ferry leave?", **options: Any) -> Any:
    """Ask in both ways that there are."""
    if how == "ask":
        return await asyncio.wait_for(agent.ask(question, **options), LIMIT)
    async with agent.run(question, **options) as run:
        return await asyncio.wait_for(run.result(), LIMIT)


HOW = pytest.mark.parametrize("how", ["ask", "run"])


@HOW
async def test_a_tool_loop_ends_with_a_reply_that_says_why(how: str) -> None:
    """No call begins after the trip."""
    model, ran = Model([calls(SEARCH)] * 60), Counter[str]()

    @tool
    async def search(q: str) -> str:
        """Look something up."""
        ran[q] += 1
        return "nothing was found"

    breaker = AG2Breaker()
    agent = Agent("finder", config=model, tools=[search], middleware=[breaker])
    stream = MemoryStream()
    reply = await ask(agent, how, stream=stream)
    conversation = str(stream.id)
    assert breaker.guard.conversations() == [conversation]
    assert reply.body == f"{SAID}{breaker.guard.decision(conversation).reason}."
    assert model.calls == ran["ferry"] < 12
    halt = breaker.halts.of(conversation)
    assert halt is not None
    assert (halt.in_flight, halt.refused) == (0, 1)
    assert not breaker.faults


@HOW
async def test_the_halt_as_an_exception(how: str) -> None:
    """It comes out of the call as it is, no tool error is made of it, and the stream is not left locked."""
    model, stream = Model([calls(SEARCH)] * 60), MemoryStream()
    agent = searcher(model, AG2Breaker(on_halt="exception"))
    for _ in range(2):
        with pytest.raises(ConversationHaltedError) as caught:
            await ask(agent, how, stream=stream)
        assert caught.value.decision.action is Action.HALT
        assert caught.value.conversation_id == str(stream.id)
        assert caught.value.state.content.startswith(SAID)
    assert model.calls < 12


@HOW
async def test_a_finish_is_a_reply_in_any_case(how: str) -> None:
    """Also where a halt would be an exception."""
    model = Model([calls(SEARCH)] * 60)
    reply = await ask(searcher(model, AG2Breaker(policy=FINISH, on_halt="exception")), how)
    assert reply.body.startswith(SAID)


@HOW
@pytest.mark.parametrize("on_halt", ["finish", "exception"])
async def test_a_stream_goes_on_after_a_reset(how: str, on_halt: Any) -> None:
    """While the breaker is open no model is asked; after the reset the agent goes on with all that was said."""
    model = Model([calls(SEARCH)] * 5 + [calls(SEARCH)] * 60)
    breaker = AG2Breaker(on_halt=on_halt)
    agent, stream = searcher(model, breaker), MemoryStream()
    for question in ("When does the ferry leave?", "Well?"):
        try:
            reply = await ask(agent, how, question, stream=stream)
            assert reply.body.startswith(SAID)
        except ConversationHaltedError:
            assert on_halt == "exception"
        stopped = model.calls
    model.lines = iter(["At 9:45 from pier 3."])
    breaker.guard.reset(str(stream.id))
    reply = await ask(agent, how, "Please look at the timetable on the pier.", stream=stream)
    assert reply.body == "At 9:45 from pier 3."
    assert model.calls == stopped + 1
    assert "When does the ferry leave?" in model.texts()


@HOW
async def test_the_next_model_call_is_steered(how: str) -> None:
    """It is shown the steer text as its last message; the calls after it are not, as the stream does not keep it."""
    model = Model([calls(SEARCH)] * 60)
    policy = Policy(ladder={"warn": None, "steer": 2.0, "halt": 9.0})
    stream = MemoryStream()
    await ask(searcher(model, AG2Breaker(policy=policy)), how, stream=stream)
    steered = [number for number in range(model.calls) if STEER_TEXT in model.texts(number)]
    assert steered
    for number in steered:
        assert model.texts(number)[-1] == STEER_TEXT
        assert model.texts(number).count(STEER_TEXT) == 1
    assert STEER_TEXT not in str(list(await stream.history.get_events()))


@HOW
async def test_shadow_mode_changes_nothing_for_an_agent(how: str) -> None:
    """All calls are made, and what would have been done is counted."""
    model = Model([*[calls(SEARCH)] * 30, "I give up."])
    breaker = AG2Breaker(Guard(mode="metrics_only"))
    assert (await ask(searcher(model, breaker), how)).body == "I give up."
    assert model.calls == 31
    assert breaker.withheld[Action.HALT] > 0


async def test_a_streamed_run_is_stopped_and_its_chunks_arrive() -> None:
    """What the model streams passes through, up to the stop."""
    model = Model([*["Thinking about it."] * 1, *[calls(SEARCH)] * 0], chunks=3)
    chunks: list[str] = []

    async def note(event: ModelMessageChunk) -> None:
        chunks.append(event.content)

    breaker = AG2Breaker()
    agent, stream = searcher(model, breaker), MemoryStream()
    stream.where(ModelMessageChunk).subscribe(note)
    async with agent.run("Think.", stream=stream) as run:
        assert (await run.result()).body == "Thinking about it."
    assert chunks == ["0", "1", "2"]
    breaker.guard.force_open(str(stream.id), "enough")
    async with agent.run("Think again.", stream=stream) as run:
        assert (await run.result()).body == f"{SAID}enough."
    assert chunks == ["0", "1", "2"]
    assert model.calls == 1


async def test_what_is_seen_of_an_agent() -> None:
    """The person's question, each call with what was said along with it, each result, errors as such, the answer."""

    @tool
    async def broken(q: str) -> str:
        """Fail."""
        raise KeyError("no such pier")

    usage = Usage(prompt_tokens=5, completion_tokens=2)
    model = Model([calls(SEARCH, ("broken", {"q": "pier"}), text="I look."), "At 9:45."], usage=usage)
    breaker = AG2Breaker()
    seen: list[Message] = []
    kinds(breaker.guard, seen)
    agent = Agent("finder", config=model, tools=[search, broken], middleware=[breaker])
    assert (await agent.ask("When?")).body == "At 9:45."
    # Calls of one answer run side by side, in any order; the words said along with them go with the first that begins.
    turns = ("message", "tool_call", "tool_result")
    ordered = sorted(seen, key=lambda one: (turns.index(one.kind), "broken" in (one.sender, one.recipient)))
    assert sorted(one.content for one in ordered[2:4]) == ["", "I look."]
    told = [(one, "" if one.kind == "tool_call" else one.content) for one in ordered]
    assert [(one.sender, one.recipient, one.kind, content, one.role) for one, content in told] == [
        ("user", "finder", "message", "When?", "user"),
        ("finder", "user", "message", "At 9:45.", None),
        ("finder", "search", "tool_call", "", None),
        ("finder", "broken", "tool_call", "", None),
        ("search", "finder", "tool_result", "nothing was found", None),
        ("broken", "finder", "tool_result", "KeyError: 'no such pier'", None),
    ]
    assert [one.tool.is_error for one in ordered if one.tool] == [False, False, False, True]
    assert [one.tool.arguments for one in ordered[2:4] if one.tool] == [{"q": "ferry"}, {"q": "pier"}]
    assert ordered[2].tool is not None
    assert ordered[4].tool is not None
    assert ordered[2].tool.call_id == ordered[4].tool.call_id
    assert sum(one.usage.total for one in seen if one.usage) == 14


async def test_agents_as_tools_belong_to_the_conversation_of_the_one_who_asks() -> None:
    """Their messages are edges between agents, each counts once, and a stop within them stops all."""
    breaker = AG2Breaker()
    seen: list[Message] = []
    kinds(breaker.guard, seen)
    helper = Agent("helper", config=Model(["It is at pier 3."]), middleware=[breaker])
    model = Model([calls(("task_helper", {"objective": "Which pier?"})), "Pier 3."])
    boss = Agent("boss", config=model, tools=[helper.as_tool(description="Ask the helper.")], middleware=[breaker])
    assert (await boss.ask("Where do I go?")).body == "Pier 3."
    assert [(one.sender, one.recipient, one.content) for one in seen] == [
        ("user", "boss", "Where do I go?"),
        ("boss", "helper", "Which pier?"),
        ("helper", "boss", "It is at pier 3."),
        ("boss", "user", "Pier 3."),
    ]
    assert len(breaker.guard.conversations()) == 1


@pytest.mark.parametrize("on_halt", ["finish", "exception"])
async def test_a_loop_in_an_agent_that_is_a_tool_stops_the_one_who_asks(on_halt: Any) -> None:
    """The helper ends, and then the agent that had called it, without another model call."""
    breaker = AG2Breaker(on_halt=on_halt)
    helper = searcher(Model([calls(SEARCH)] * 60), breaker)
    model = Model([calls(("task_finder", {"objective": "Find it."}))] * 60)
    boss = Agent("boss", config=model, tools=[helper.as_tool(description="Ask.")], middleware=[breaker])
    if on_halt == "exception":
        with pytest.raises(ConversationHaltedError):
            await asyncio.wait_for(boss.ask("Where do I go?"), LIMIT)
    else:
        reply = await asyncio.wait_for(boss.ask("Where do I go?"), LIMIT)
        assert (reply.body or "").startswith(SAID)
    assert model.calls == 1


async def test_a_retry_of_the_users_does_not_ask_again() -> None:
    """AG2's own retry middleware sees an answer, not an error."""
    model = Model([calls(SEARCH)] * 60)
    breaker = AG2Breaker()
    agent = Agent("finder", config=model, tools=[search], middleware=[RetryMiddleware(max_retries=3), breaker])
    reply = await asyncio.wait_for(agent.ask("When?"), LIMIT)
    assert (reply.body or "").startswith(SAID)
    assert model.calls < 12


async def test_a_program_that_passes_answers_on_is_no_person() -> None:
    """With one conversation for all agents, what one of them has answered is not new input when another is told it."""
    breaker = AG2Breaker(conversation_id="relay")
    agents = [Agent(name, config=Model(THANKS), middleware=[breaker]) for name in ("ann", "ben")]
    text = "Shall we meet on Friday?"
    for turn in range(40):
        text = (await agents[turn % 2].ask(text)).body or ""
        if text.startswith(SAID):
            break
    assert text.startswith(SAID)
    assert turn < 12


async def test_a_budget_blocks_the_next_call_of_an_agent() -> None:
    """Tokens count with the call that spent them."""
    lines = [calls(("search", {"q": f"ferry {number} of line {number * 7}"})) for number in range(60)]
    model = Model(lines, usage=Usage(prompt_tokens=100))
    policy = Policy(budgets={"max_tokens": 3000}, detectors={"disable": LOOPS})
    breaker = AG2Breaker(policy=policy, pricing=Pricing(max_output_tokens=10))
    reply = await searcher(model, breaker).ask("When?")
    assert "tokens" in (reply.body or "")
    assert 5 <= model.calls <= 29
    account = breaker.guard.account(breaker.guard.conversations()[0])
    assert account.tokens == 100 * model.calls
    assert account.held_tokens == 0


async def test_money_is_held_before_a_call_and_counted_after_it() -> None:
    """A budget in dollars is never exceeded, as the most that a call can cost is held before it begins."""
    lines = [calls(("search", {"q": f"ferry {number} of line {number * 7}"})) for number in range(600)]
    model = Model(lines, usage=Usage(prompt_tokens=1000, completion_tokens=100))
    pricing = Pricing({"scripted": {"input": 10.0, "output": 20.0}, "gpt-4o-mini": {"input": 10.0, "output": 20.0}})
    policy = Policy(budgets={"max_cost_usd": 0.2}, detectors={"disable": LOOPS})
    breaker = AG2Breaker(policy=policy, pricing=pricing)
    reply = await searcher(model, breaker).ask("When?")
    account = breaker.guard.account(breaker.guard.conversations()[0])
    assert breaker.guard.decision(breaker.guard.conversations()[0]).code == "AB603"
    assert "US dollars" in (reply.body or "")
    assert account.cost_usd == pytest.approx(0.012 * model.calls)
    assert 0.05 <= account.cost_usd <= 0.2
    assert account.held_usd == pytest.approx(0.0, abs=1e-12)
    assert account.unpriced_tokens == 0


async def test_a_configuration_that_does_not_tell_its_model() -> None:
    """Some raise on being asked, as AG2's own for tests: the call is made, and held at the ceiling of the pricing."""
    policy = Policy(budgets={"max_tokens": 100_000})
    breaker, lines = AG2Breaker(policy=policy), ["It leaves at 9:45."]
    with pytest.raises(NotImplementedError):
        _ = TestConfig().model
    reply = await Agent("finder", config=TestConfig(*lines), middleware=[breaker]).ask("When does the ferry leave?")
    assert reply.body == "It leaves at 9:45."
    assert not breaker.faults


async def test_a_call_that_fails_holds_nothing() -> None:
    """What was held for a model call is given back when the model fails."""
    model = Model(iter(()), fails=True)
    breaker = AG2Breaker(policy=Policy(budgets={"max_tokens": 100_000}))
    with pytest.raises(LookupError):
        await searcher(model, breaker).ask("When?")
    assert breaker.guard.account(breaker.guard.conversations()[0]).held_tokens == 0
    assert breaker._watch.flying(breaker.guard.conversations()[0]) == 0


async def test_what_cannot_be_attached_is_an_error() -> None:
    """Something that is neither hub nor agent, a second hub, a policy besides a guard, an unknown form of the halt."""
    with pytest.raises(TypeError, match="needs a hub or an agent, not str"):
        AG2Breaker().attach("alice")
    with pytest.raises(TypeError, match="not both"):
        AG2Breaker(Guard(), policy=Policy())
    with pytest.raises(ValueError, match="on_halt must be"):
        AG2Breaker(on_halt="explode")  # type: ignore[arg-type]
    async with network() as one, network() as other:
        breaker = AG2Breaker().attach(one.hub, one.hub)
        with pytest.raises(ValueError, match="watches a hub already"):
            breaker.attach(other.hub)


def test_attaching_twice_is_attaching_once() -> None:
    """An agent has the middleware once, and AG2 can describe it."""
    breaker = AG2Breaker()
    agent = Agent("alice", config=Model([]))
    breaker.attach(agent, agent)
    assert [one.description.kind for one in agent.middleware] == ["AG2Breaker"]
