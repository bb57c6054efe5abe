"""AutoGen AgentChat: what is seen and counted, what a call costs, and what the pieces do on their own."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import Any

import pytest

pytest.importorskip("autogen_agentchat", reason="AutoGen AgentChat is not installed")

from autogen_agentchat.agents import MessageFilterAgent, MessageFilterConfig, SocietyOfMindAgent, UserProxyAgent
from autogen_agentchat.base import Handoff, TerminatedException
from autogen_agentchat.conditions import MaxMessageTermination
from autogen_agentchat.messages import CodeExecutionEvent, CodeGenerationEvent, SelectSpeakerEvent, TextMessage
from autogen_agentchat.teams import MagenticOneGroupChat, RoundRobinGroupChat, Swarm
from autogen_agentchat.tools import AgentTool, TeamTool
from autogen_core import (
    DefaultInterventionHandler,
    DropMessage,
    FunctionCall,
    MessageContext,
    SingleThreadedAgentRuntime,
)
from autogen_core.code_executor import CodeBlock, CodeResult
from autogen_core.models import CreateResult, RequestUsage, UserMessage
from autogen_core.tools import StaticStreamWorkbench
from pydantic import BaseModel

from agentbreaker import Action, ConversationHaltedError, Guard, Message, Policy, State, VirtualClock
from agentbreaker.integrations._autogen_ledger import Reply
from agentbreaker.integrations.autogen import AutoGenBreaker, GuardedClient, guard_team
from agentbreaker.pricing import Pricing
from tests.integrations.autogen_teams import (
    LIMIT,
    SHAPES,
    THANKS,
    Model,
    assistant,
    call,
    forever,
    orchestrating,
    run,
    two,
)

TASK = "Please agree on the date of the release."


class Recording(Guard):
    """A guard that keeps what it was shown."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.seen: list[Message] = []

    def observe(self, message: Message) -> Any:
        self.seen.append(message)
        return super().observe(message)

    def told(self) -> list[tuple[str, str | None, str, str]]:
        """Sender, recipient, kind and content of what was seen."""
        return [(message.sender, message.recipient, message.kind, message.content) for message in self.seen]


async def look(where: str) -> str:
    """A tool."""
    return f"Nothing is to be seen at {where}."


def pieces(guard: Guard, client: Model, **options: Any) -> tuple[AutoGenBreaker, Any]:
    """A breaker and the wrapped client."""
    breaker = AutoGenBreaker(guard, conversation_id="c")
    return breaker, breaker.model_client(client, **options)


@pytest.mark.parametrize("attached", ["condition", "client", "observer"])
async def test_calls_and_results_count_once_whatever_their_ids(attached: str) -> None:
    """Calls that all have the same id, or are the same object, are told apart; each and its result count once."""
    same = call("look", {"where": "the harbour"}, "1", "I look.")
    model = Model([same, call("look", {"where": "the dyke"}, "1"), same, "Nothing is there."])
    guard = Recording()
    breaker = AutoGenBreaker(guard)
    client = breaker.model_client(model) if attached != "condition" else model
    agent = assistant("alice", client, tools=[look], max_tool_iterations=9)
    runtime = SingleThreadedAgentRuntime(intervention_handlers=[breaker.observer()] if attached == "observer" else None)
    runtime.start()
    team = RoundRobinGroupChat([agent], termination_condition=breaker.termination(), max_turns=1, runtime=runtime)
    await run(team, "run", TASK)
    await asyncio.wait_for(runtime.stop_when_idle(), LIMIT)
    harbour, dyke = ("Nothing is to be seen at the harbour.", "Nothing is to be seen at the dyke.")
    # AgentChat itself keeps one object: without the client, its second use cannot be told from the first.
    third = [("alice", "look", "tool_call", "I look.")] if attached != "condition" else []
    assert [entry for entry in guard.told() if entry[0] != "user"] == [
        ("alice", "look", "tool_call", "I look."),
        ("look", "alice", "tool_result", harbour),
        ("alice", "look", "tool_call", ""),
        ("look", "alice", "tool_result", dyke),
        *third,
        *([("look", "alice", "tool_result", harbour)] if third else []),
        ("alice", None, "message", "Nothing is there."),
    ]
    assert guard.seen[1].tool is not None
    assert guard.seen[1].tool.arguments == {"where": "the harbour"}
    assert not breaker.faults


async def test_a_hand_over_is_one_message_that_says_what_the_agent_said() -> None:
    """Whatever its tool is called: from the second time on a renamed hand-over is one message too."""
    handoff = Handoff(target="bob", name="escalate", message="Over to you.")
    back = Handoff(target="alice", message="Back to you.")
    asks = Model(call("escalate", {}, str(number), f"This is legal matter {number}.") for number in range(9))
    answers = Model(call("transfer_to_alice", {}, str(number), f"See paragraph {number}.") for number in range(9))
    guard = Recording()
    breaker = AutoGenBreaker(guard)
    agents = [
        assistant("alice", breaker.model_client(asks), handoffs=[handoff]),
        assistant("bob", breaker.model_client(answers), handoffs=[back]),
    ]
    team = Swarm(agents, termination_condition=breaker.termination() | MaxMessageTermination(18))
    await run(team, "run", TASK)
    assert guard.told()[1:6] == [
        # Nobody knows yet that this tool hands over.
        ("alice", "escalate", "tool_call", "This is legal matter 0."),
        ("escalate", "alice", "tool_result", "Over to you."),
        ("alice", "bob", "handoff", "Over to you."),
        ("bob", "alice", "handoff", "See paragraph 0."),
        ("alice", "bob", "handoff", "This is legal matter 1."),
    ]
    assert len(guard.seen) > 6
    assert {message.kind for message in guard.seen[4:]} == {"handoff"}
    assert sum(message.usage.total for message in guard.seen if message.usage) == 15 * (asks.calls + answers.calls)
    assert not breaker.faults


@pytest.mark.parametrize("attached", ["named", "observer", "guard_team"])
async def test_a_person_in_the_team_is_a_person(attached: str) -> None:
    """What a user proxy's person types is input from outside."""

    async def typing(prompt: str, token: Any) -> str:
        return "The 14th, please."

    guard = Recording()
    agents = [assistant("alice", Model(["Which date?"])), UserProxyAgent("boss", input_func=typing)]
    team = RoundRobinGroupChat(agents, max_turns=2)
    if attached == "guard_team":
        guard_team(team, guard)
    else:
        persons = ("boss",) if attached == "named" else ()
        breaker = AutoGenBreaker(guard, persons=persons)
        team._termination_condition = breaker.termination()
        team._runtime._intervention_handlers = None if persons else [breaker.observer()]  # type: ignore[attr-defined]
    await run(team, "run", TASK)
    assert [(message.sender, message.role) for message in guard.seen] == [
        ("user", "user"),
        ("alice", "assistant"),
        ("boss", "user"),
    ]


async def test_parallel_branches_are_seen_without_the_observer() -> None:
    """With condition and client each branch of a graph counts, though AutoGen tells the condition of the last only."""
    guard = Recording()
    model = Model(forever())
    breaker, client = pieces(guard, model)
    team = SHAPES["GraphFlow"](client)
    team._termination_condition = breaker.termination()
    await run(team, "run", TASK)
    said = [message.sender for message in guard.seen if message.role == "assistant"]
    assert len(said) == model.calls
    assert said[:5] == ["start", "left", "right", "join", "start"]
    assert guard.state("c") is State.OPEN


async def test_a_team_within_is_seen_through_its_model() -> None:
    """Agents of a team within that has no condition of ours are halted all the same, and the outer team ends."""
    guard = Recording()
    model = Model(forever())
    breaker, client = pieces(guard, model)
    inner = RoundRobinGroupChat(two(client), name="inner", max_turns=60)
    team = RoundRobinGroupChat([inner], termination_condition=breaker.termination())
    result = await run(team, "run", TASK)
    assert result.stop_reason is not None
    assert result.stop_reason.startswith("[agentbreaker] This conversation was halted: ")
    assert model.calls < 16
    assert not [message for message in guard.seen if message.content.startswith("[agentbreaker]")]


@pytest.mark.parametrize("nested", [True, False])
async def test_a_team_that_nothing_ends_is_ended_by_an_exception(nested: bool) -> None:
    """Where no condition of ours is asked, refused calls do not keep a team going for ever."""
    guard = Guard()
    model = Model(forever())
    breaker, client = pieces(guard, model)
    team = RoundRobinGroupChat(two(client), name="inner")
    if nested:
        team = RoundRobinGroupChat([team], termination_condition=breaker.termination())
    with pytest.raises(RuntimeError, match="ConversationHaltedError: Confirmation ping-pong"):
        await run(team, "run", TASK)
    assert model.calls < 16


async def test_tokens_model_and_price() -> None:
    """Each call's tokens bear the name of the model and its price, once, also those of the selector."""
    guard = Recording()
    model = Model(forever(), config_model="gpt-4o-mini", usage=(1000, 100))
    team = SHAPES["RoundRobin"](model)
    team._max_turns = 4
    guard_team(team, guard)
    await run(team, "run", TASK)
    paid = [message for message in guard.seen if message.usage is not None]
    assert [message.usage.total for message in paid if message.usage] == [1100] * 4
    assert {message.model for message in paid} == {"gpt-4o-mini"}
    assert paid[0].cost_usd == pytest.approx(1000 * 0.15e-6 + 100 * 0.6e-6)


async def test_what_a_selector_costs_counts_against_the_budget() -> None:
    """Calls that no message bears are counted as well."""
    guard = Guard(Policy(budgets={"max_tokens": 200_000}))
    model = Model([f"Fact {number}: the {number}th pier is {number * 7} m long." for number in range(40)])
    team = SHAPES["Selector"](model)
    team._max_turns = 4
    breaker = guard_team(team, guard)
    await run(team, "run", TASK)
    with guard.reserve(breaker.conversation_id):
        held = guard._conversations[breaker.conversation_id]
    asked = team._model_client.calls  # type: ignore[attr-defined]
    assert asked >= 3
    assert held.tokens == 15 * (model.calls + asked)


async def test_budget_is_reserved_before_a_call() -> None:
    """A call that could exceed the budget is not made, also where two begin at the same time."""
    guard = Guard(Policy(budgets={"max_tokens": 1100}))
    breaker, client = pieces(guard, Model(lambda _: "A"), max_output_tokens=500)
    prompt = [UserMessage(content="?", source="user")]
    slow: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    inner = client._client

    async def create(messages: Any, **options: Any) -> CreateResult:
        await slow
        return inner._next(messages)  # type: ignore[no-any-return]

    inner.create = create
    both = asyncio.gather(client.create(prompt), client.create(prompt))
    await asyncio.sleep(0.01)
    slow.set_result(None)
    first, second = await asyncio.wait_for(both, LIMIT)
    assert inner.calls == 1
    assert first.content == "A"
    assert second.content.startswith("[agentbreaker] This conversation was halted: ")
    assert guard.decision("c").code == "AB602"
    halt = breaker.halts.of("c")
    assert halt is not None
    assert (halt.in_flight, halt.refused) == (1, 1)


async def test_a_cap_in_dollars_stops_the_next_call() -> None:
    """Money is reserved and counted by the price list."""
    guard = Guard(Policy(budgets={"max_cost_usd": 0.01}))
    model = Model([f"Fact {number}: pier {number} is {number * 7} m long." for number in range(99)], usage=(10_000, 0))
    breaker, client = pieces(guard, model, model="gpt-4o-mini")
    team = RoundRobinGroupChat(two(client), termination_condition=breaker.termination())
    await run(team, "run", TASK)
    assert guard.decision("c").code == "AB603"
    # 0.0015 dollars each; before a call its prompt and 4,096 tokens of an answer are held, which makes 0.0025 at least.
    assert model.calls == 5
    assert guard.account("c").cost_usd == pytest.approx(5 * 0.0015)


async def test_prices_of_ones_own() -> None:
    """A model that nobody else knows is priced by the table that is given, the manager's calls too."""
    guard = Recording()
    model = Model(
        [f"Fact {number}: pier {number} is {number * 7} m long." for number in range(9)], config_model="house"
    )
    team = SHAPES["Selector"](model)
    team._max_turns = 3
    selector: Any = team
    selector._model_client.config_model = "house"
    prices = Pricing({"house": {"input": 1000.0, "output": 2000.0}})
    breaker = guard_team(team, guard, pricing=prices)
    await run(team, "run", TASK)
    asked = selector._model_client.calls
    assert guard.account(breaker.conversation_id).cost_usd == pytest.approx(0.02 * (model.calls + asked))
    paid = [message.sender for message in guard.seen if message.kind == "system"]
    assert paid == ["SelectorGroupChatManager"] * asked
    assert breaker.pricing.unpriced == {}


class Boss:
    """A boss who asks a helper, again and again, and the helper, who is a tool of his."""

    def __init__(self, kind: str, answers: Any, work: Any = None) -> None:
        self.model = Model(call("helper", {"task": f"Where is crate {n * 4711 + 13}?"}, f"b{n}") for n in range(200))
        self.helpers = Model(answers)
        tools = [work] if work else None
        helper = assistant("helper", self.helpers, tools=tools, max_tool_iterations=60, description="A helper.")
        if kind == "agent":
            used: Any = AgentTool(helper, return_value_as_last_message=True)
        elif kind == "team":
            # With the condition of a team that is left to itself: one answer, or as many calls as it likes.
            team = RoundRobinGroupChat([helper], max_turns=1)
            used = TeamTool(team, name="helper", description="A team.", return_value_as_last_message=True)
        else:
            deep = assistant("middle", Model(forever([call("helper", {"task": "Look."}), "It is done."])))
            deep._workbench = [StaticStreamWorkbench([AgentTool(helper)])]
            used = AgentTool(MessageFilterAgent("helper", deep, MessageFilterConfig(per_source=[])))
        self.helper = helper
        self.boss = assistant("boss", self.model, tools=[used], max_tool_iterations=200)
        self.team = RoundRobinGroupChat([self.boss], max_turns=1)


@pytest.mark.parametrize("mode", ["run", "stream"])
@pytest.mark.parametrize("kind", ["agent", "team", "deep"])
async def test_a_loop_inside_a_tool_that_is_an_agent_is_found(kind: str, mode: str) -> None:
    """``guard_team`` finds agents and teams in the tools of agents, and stops them inside; no model is asked then."""
    boss = Boss(kind, forever([call("look", {"where": "the harbour"})]), look)
    breaker = guard_team(boss.team, guard := Recording())
    result = await run(boss.team, mode, TASK)
    assert isinstance(boss.helper._model_client, GuardedClient)
    decision = guard.decision(breaker.conversation_id)
    assert (decision.action, decision.code) == (Action.HALT, "AB301")
    assert boss.helpers.calls < 10
    assert boss.model.calls == 1
    assert {message.sender for message in guard.seen if message.kind == "tool_call"} >= {"helper"}
    assert (result.stop_reason or "").startswith("[agentbreaker] This conversation was halted: ")
    halt = breaker.halts.of(breaker.conversation_id)
    assert halt is not None
    assert halt.refused >= 1
    assert not breaker.faults


@pytest.mark.parametrize("mode", ["run", "stream"])
@pytest.mark.parametrize("kind", ["agent", "team"])
async def test_a_tool_that_is_an_agent_and_brings_something_new_goes_on(kind: str, mode: str) -> None:
    """Twelve questions with twelve answers pass without a warning, each word and each token counted once."""
    answers = [f"Crate {n * 4711 + 13} lies at pier {n * 7}, under {n * 31 + 5} sacks of barley." for n in range(12)]
    boss = Boss(kind, [*answers, "Nobody asks me."])
    asks: list[Any] = [call("helper", {"task": f"Where is crate {n * 4711 + 13}?"}, f"b{n}") for n in range(12)]
    boss.model._lines = iter([*asks, "All were found."])
    guard = Recording()
    warned: list[str] = []
    observe = guard.observe

    def noted(message: Message) -> Any:
        decision = observe(message)
        warned.append(decision.action.value)
        return decision

    guard.observe = noted  # type: ignore[method-assign]
    breaker = guard_team(boss.team, guard)
    await run(boss.team, mode, TASK)
    assert boss.model.calls == 13
    assert boss.helpers.calls == 12
    assert set(warned) == {"allow"}
    assert guard.account(breaker.conversation_id).tokens == 15 * (13 + 12)
    said = [message for message in guard.seen if message.sender == "helper" and message.kind == "message"]
    assert [message.content for message in said] == answers
    assert not breaker.faults


async def test_agents_that_are_tools_of_each_other_are_met_once() -> None:
    """A ring of tools does not make the walk endless."""
    one, other = assistant("one", Model(forever())), assistant("other", Model(forever()))
    one._workbench = [StaticStreamWorkbench([AgentTool(other)])]
    other._workbench = [StaticStreamWorkbench([AgentTool(one)])]
    guard_team(RoundRobinGroupChat([one, other], max_turns=1))
    assert isinstance(one._model_client, GuardedClient)
    assert isinstance(one._model_client._client, Model)
    assert isinstance(other._model_client._client, Model)


async def test_a_call_that_is_not_made_can_raise() -> None:
    """Where an exception is wanted or no text is an answer, it is raised; the team ends in time and says why."""

    class Date(BaseModel):
        day: int

    guard = Guard()
    guard.force_open("c", "lunch break")
    model = Model(forever())
    breaker, client = pieces(guard, model, on_halt="exception")
    prompt = [UserMessage(content="?", source="user")]
    with pytest.raises(ConversationHaltedError, match="lunch break") as halted:
        await client.create(prompt)
    assert halted.value.conversation_id == "c"
    with pytest.raises(ConversationHaltedError, match="lunch break"):
        async for _ in client.create_stream(prompt):
            pass
    with pytest.raises(ConversationHaltedError, match="lunch break"):
        await breaker.model_client(model).create(prompt, json_output=Date)
    assert (await breaker.model_client(model).create(prompt, json_output=True)).content == (
        '{"agentbreaker": "[agentbreaker] This conversation was halted: lunch break."}'
    )
    agent = assistant("alice", breaker.model_client(model), output_content_type=Date)
    team = RoundRobinGroupChat([agent], termination_condition=breaker.termination())
    with pytest.raises(RuntimeError, match="lunch break"):
        await run(team, "run", None)
    assert model.calls == 0


async def test_streamed_replies_are_watched_and_refused() -> None:
    """Agents that stream their model's words are halted like others, and the last words are the reason."""
    guard = Recording()
    model = Model(forever())
    breaker, client = pieces(guard, model)
    agents = [assistant(name, client, model_client_stream=True) for name in ("alice", "bob")]
    team = RoundRobinGroupChat(agents, termination_condition=breaker.termination())
    result = await run(team, "stream", TASK)
    assert result.stop_reason is not None
    assert result.stop_reason.startswith("[agentbreaker] This conversation was halted: ")
    assert len([message for message in guard.seen if message.role == "assistant"]) == model.calls
    chunks = [chunk async for chunk in client.create_stream([UserMessage(content="?", source="user")])]
    assert chunks[0] == chunks[-1].content == result.stop_reason


async def test_an_agent_without_a_team() -> None:
    """With the client alone, an agent's tool loop ends with the reason, and what it says counts at once."""
    guard = Recording()
    model = Model(forever([call("look", {"where": "the harbour"})]))
    _, client = pieces(guard, model)
    agent = assistant("alice", client, tools=[look], max_tool_iterations=50)
    result = await asyncio.wait_for(agent.run(task=TASK), LIMIT)
    incident = guard.incident("c")
    assert incident is not None
    assert result.messages[-1].to_text() == f"[agentbreaker] This conversation was halted: {incident.sentence}."
    assert incident.code == "AB301"
    assert model.calls <= 6
    other = Recording()
    talking = assistant("bob", AutoGenBreaker(other).model_client(Model(["Yes."]), agent="bob"))
    await talking.run(task=TASK)
    assert other.told() == [("bob", None, "message", "Yes.")]


async def test_magentic_one_ends_gracefully_when_its_own_call_is_not_made() -> None:
    """The orchestrator, which only understands its ledger, is given one that closes the task."""
    guard = Guard()
    orchestrator = Model(orchestrating(iter(["alice"] * 99)))

    def last(_: Any) -> str:
        guard.force_open("c", "lunch break")
        return "The printers can do it."

    team = MagenticOneGroupChat(two(Model(last)), model_client=orchestrator)
    breaker = AutoGenBreaker(guard, conversation_id="c")
    team._model_client = breaker.model_client(orchestrator)
    result = await run(team, "run", TASK)
    assert result.stop_reason == "[agentbreaker] This conversation was halted: lunch break."
    assert orchestrator.calls == 3


class Upper(DefaultInterventionHandler):
    """A handler of the user's, which changes what agents publish, and drops what it is told to."""

    def __init__(self, drop: str = "\0") -> None:
        self.count = 0
        self.drop = drop

    async def on_publish(self, message: Any, *, message_context: MessageContext) -> Any:
        self.count += 1
        response = getattr(message, "response", None)
        if response is not None and isinstance(response.chat_message, TextMessage):
            response.chat_message.content = response.chat_message.content.upper()
        return DropMessage if type(message).__name__ == self.drop else message


async def test_the_observer_composes_with_handlers_of_the_user() -> None:
    """The user's handler changes messages as without us; the runtime comes to rest in time after a trip."""
    guard = Recording()
    mine = Upper("GroupChatTermination")
    model = Model(forever())
    breaker, client = pieces(guard, model)
    runtime = SingleThreadedAgentRuntime(intervention_handlers=[breaker.observer(mine, Upper())])
    runtime.start()
    team = RoundRobinGroupChat(two(client), termination_condition=breaker.termination(), runtime=runtime)
    result = await run(team, "run", TASK)
    assert mine.count > 10
    assert THANKS[0].upper() in [message.to_text() for message in result.messages]
    assert len([message for message in guard.seen if message.role == "assistant"]) == model.calls
    # What a handler of the user's drops is AutoGen's to lose: it is only not observed.
    assert guard.state("c") is State.OPEN


async def test_the_runtime_comes_to_rest() -> None:
    """A runtime of the user's with the observer is idle after a trip, and can be used again after a reset."""
    guard = Guard()
    model = Model(forever())
    breaker, client = pieces(guard, model)
    runtime = SingleThreadedAgentRuntime(intervention_handlers=[breaker.observer()])
    team = RoundRobinGroupChat(two(client), termination_condition=breaker.termination(), runtime=runtime)
    for _ in range(2):
        runtime.start()
        result = await run(team, "run", None)
        await asyncio.wait_for(runtime.stop_when_idle(), LIMIT)
        assert result.stop_reason is not None
        assert result.stop_reason.startswith("[agentbreaker] This conversation was halted: ")
        guard.reset("c")
    assert not breaker.faults


async def test_the_condition_composes() -> None:
    """With ``|`` whichever comes first ends the team, with ``&`` both have to; each run starts afresh."""
    for joined, reason in (("or", "Maximum number of messages 4 reached"), ("and", "[agentbreaker] This conversation")):
        guard = Guard()
        model = Model(forever())
        breaker, client = pieces(guard, model)
        limit = MaxMessageTermination(4)
        condition = breaker.termination() | limit if joined == "or" else limit & breaker.termination()
        team = RoundRobinGroupChat(two(client), termination_condition=condition)
        for _ in range(2):
            result = await run(team, "run", TASK)
            assert result.stop_reason is not None
            assert reason in result.stop_reason
            assert ("Maximum" in result.stop_reason) is True
            guard.reset("c")


async def test_opened_by_a_person() -> None:
    """A conversation that a person stops ends with that person's reason."""
    guard = Guard()
    breaker, client = pieces(guard, Model(forever()))
    guard.force_open("c", "lunch break", by="ada")
    team = RoundRobinGroupChat(two(client), termination_condition=breaker.termination())
    result = await run(team, "run", TASK)
    assert result.stop_reason == "[agentbreaker] This conversation was halted: lunch break."


async def test_our_own_failure_stays_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """A failure while an event is read is counted, and the team goes on."""
    guard = Guard()
    breaker, client = pieces(guard, Model(forever()))
    monkeypatch.setattr(breaker._ledger, "_read", lambda _: 1 / 0)
    monkeypatch.setattr(guard, "reserve", lambda *_, **__: 1 / 0)
    team = RoundRobinGroupChat(two(client), termination_condition=breaker.termination(), max_turns=3)
    result = await run(team, "run", TASK)
    assert result.stop_reason == "Maximum number of turns 3 reached."
    assert breaker.faults["ZeroDivisionError"] >= 3


async def test_an_error_of_a_model_is_the_users() -> None:
    """What a model raises reaches the caller as without us, and nothing stays in flight."""

    def failing(_: Any) -> str:
        raise ValueError("no such model")

    guard = Guard(Policy(budgets={"max_tokens": 10_000}))
    breaker, client = pieces(guard, Model(failing))
    team = RoundRobinGroupChat(two(client), termination_condition=breaker.termination())
    with pytest.raises(RuntimeError, match="no such model"):
        await run(team, "run", TASK)
    assert breaker._watch.flying("c") == 0
    assert guard._conversations["c"].reserved_tokens == 0


async def test_shadow_by_hand_says_nothing_to_the_agents() -> None:
    """A guard switched to shadow mode neither steers nor stops, and counts what it would have done."""
    guard = Guard()
    guard.metrics_only()
    model = Model(forever())
    breaker, client = pieces(guard, model)
    team = RoundRobinGroupChat(two(client), termination_condition=breaker.termination(), max_turns=20)
    result = await run(team, "run", TASK)
    assert result.stop_reason == "Maximum number of turns 20 reached."
    assert model.calls == 20
    assert breaker.withheld[Action.HALT] > 0
    assert breaker.withheld[Action.STEER] == 1


async def test_wrong_arguments_are_refused() -> None:
    """Each with an error that says what is wrong."""
    breaker = AutoGenBreaker()
    with pytest.raises(TypeError, match="either a guard or the policy"):
        AutoGenBreaker(Guard(), policy=Policy())
    with pytest.raises(TypeError, match="ChatCompletionClient, not str"):
        breaker.model_client("gpt")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="on_halt"):
        breaker.model_client(Model([]), on_halt="never")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="negative"):
        breaker.model_client(Model([]), max_output_tokens=-1)
    with pytest.raises(TypeError, match="not Model"):
        guard_team(Model([]))  # type: ignore[arg-type]
    team = SHAPES["RoundRobin"](Model(forever()))
    team._max_turns = 1
    await run(team, "run", TASK)
    with pytest.raises(ValueError, match="first run"):
        guard_team(team)
    assert breaker.conversation_id != AutoGenBreaker().conversation_id


def test_the_wrapped_client_is_a_client() -> None:
    """Everything else of the client is reached through the wrapper."""
    model = Model([], config_model="gpt-4o-mini")
    client = AutoGenBreaker().model_client(model)
    assert client.model_info == model.model_info
    assert client.capabilities == model.capabilities
    assert client.count_tokens([UserMessage(content="?", source="user")]) == 100
    assert client.remaining_tokens([]) == 1000
    assert client.actual_usage() == client.total_usage() == model.total_usage()
    assert client.dump_component().config == {"model": "gpt-4o-mini"}
    assert client.asked == []
    asyncio.run(client.close())


@pytest.mark.parametrize("module", ["autogen", "autogen_core"])
def test_without_autogen_the_error_names_the_extra(module: str) -> None:
    """Whoever has not installed it is told how."""
    program = (
        "import sys\n"
        "sys.modules['autogen_core'] = sys.modules['autogen_agentchat'] = None\n"
        f"try:\n    import agentbreaker.integrations.{module}\n"
        "except ImportError as error:\n    assert 'agentbreaker[autogen]' in str(error), error\n"
        "else:\n    raise SystemExit('no error')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr


async def test_after_the_wait_one_lap_is_let_through() -> None:
    """Without a reset the team may go on for a lap when the wait is over: repetition opens the breaker again."""
    clock = VirtualClock()
    guard = Guard(clock=clock)
    model = Model(forever())
    breaker, client = pieces(guard, model)
    team = RoundRobinGroupChat(two(client), termination_condition=breaker.termination())
    await run(team, "run", TASK)
    calls = model.calls
    clock.advance(61.0)
    result = await run(team, "run", None)
    assert 1 <= model.calls - calls <= 5
    assert result.stop_reason is not None
    assert result.stop_reason.startswith("[agentbreaker] This conversation was halted: ")
    assert guard.state("c") is State.OPEN
    model._lines = iter([f"Pier {n} is {n * 37} m long and belongs to the town of Leer {n}." for n in range(20, 60)])
    clock.advance(3600.0)
    team._termination_condition = None
    closing = RoundRobinGroupChat(two(client), termination_condition=breaker.termination(), max_turns=8)
    result = await run(closing, "run", None)
    assert result.stop_reason == "Maximum number of turns 8 reached."
    assert guard.state("c") is State.CLOSED


async def test_a_society_of_mind_is_a_team_within() -> None:
    """guard_team goes into the team of a SocietyOfMindAgent, and its talk is seen and ended."""
    guard = Recording()
    model = Model(forever())
    inner = RoundRobinGroupChat(two(model), max_turns=60)
    mind = SocietyOfMindAgent("mind", team=inner, model_client=model)
    team = RoundRobinGroupChat([mind])
    guard_team(team, guard, conversation_id="c")
    result = await run(team, "run", TASK)
    assert result.stop_reason is not None
    assert result.stop_reason.startswith("[agentbreaker] This conversation was halted: ")
    assert {message.sender for message in guard.seen if message.role == "assistant"} == {"alice", "bob"}
    assert model.calls == len([message for message in guard.seen if message.role == "assistant"])


async def test_code_that_an_agent_runs_is_a_call_and_its_result() -> None:
    """Code that is written and run counts as a tool, its failure as one."""
    guard = Recording()
    breaker = AutoGenBreaker(guard)
    block = CodeBlock(code="print(1 / 0)", language="python")
    failed = CodeResult(exit_code=1, output="ZeroDivisionError")
    await breaker.termination()(
        [
            CodeGenerationEvent(retry_attempt=0, content="print(1 / 0)", code_blocks=[block], source="coder"),
            CodeExecutionEvent(retry_attempt=0, result=failed, source="coder"),
            SelectSpeakerEvent(content=["coder"], source="manager"),
        ]
    )
    assert guard.told() == [
        ("coder", "run_code", "tool_call", ""),
        ("run_code", "coder", "tool_result", "ZeroDivisionError"),
    ]
    assert guard.seen[1].tool is not None
    assert guard.seen[1].tool.is_error


async def test_conversations_of_one_guard_are_apart() -> None:
    """Two teams with breakers of their own on one guard do not stop each other."""
    guard = Guard()
    first, second = SHAPES["RoundRobin"](Model(forever())), SHAPES["RoundRobin"](Model(forever()))
    second._max_turns = 4
    one, other = guard_team(first, guard), guard_team(second, guard)
    results = await asyncio.gather(run(first, "run", TASK), run(second, "stream", TASK))
    assert guard.state(one.conversation_id) is State.OPEN
    assert guard.state(other.conversation_id) is State.CLOSED
    assert results[1].stop_reason == "Maximum number of turns 4 reached."


async def test_a_condition_that_has_ended_a_team_says_so() -> None:
    """It follows AutoGen's protocol: terminated until it is reset, and not to be asked meanwhile."""
    guard = Guard()
    breaker = AutoGenBreaker(guard, conversation_id="c")
    condition = breaker.termination()
    assert await condition([]) is None
    guard.force_open("c", "lunch break")
    stop = await condition([])
    assert stop is not None
    assert (stop.source, condition.terminated) == ("agentbreaker", True)
    with pytest.raises(TerminatedException):
        await condition([])
    await condition.reset()
    assert not condition.terminated


async def test_what_is_remembered_is_bounded() -> None:
    """A conversation of many thousand messages, calls and replies leaves a bounded record."""
    breaker = AutoGenBreaker(Guard(mode="metrics_only"))
    ledger = breaker._ledger
    for number in range(6000):
        calls = [FunctionCall(id=str(number), name="look", arguments="{}")]
        ledger.answers(Reply(f"agent{number % 50}"), calls)
        item = TextMessage(content=f"{number}", source="alice", models_usage=RequestUsage(1, 1))
        ledger.reads([item], turn_over=True)
    assert len(ledger._ids) == len(ledger._open) == len(ledger._billed._objects) == 4096
