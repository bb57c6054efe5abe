"""AG2 0.14: the shared scripts, and a test for each cell of the table in the documentation."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections import Counter
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("autogen", reason="AG2 before 1.0 is not installed")
pytest.importorskip("autogen.agentchat.conversable_agent", reason="AG2 before 1.0 is not installed")

from autogen import ConversableAgent, GroupChat, GroupChatManager, UserProxyAgent
from autogen.agentchat import initiate_group_chat
from autogen.agentchat.group.patterns import RoundRobinPattern

from agentbreaker import Action, ConversationHalted, ConversationHaltedError, Guard, Message, Policy
from agentbreaker.integrations.ag2_classic import AG2ClassicBreaker
from agentbreaker.pricing import Pricing
from agentbreaker.verdict import STEER_TEXT
from tests.integrations.scripts import SCRIPTS, Script

logging.getLogger("autogen").setLevel(logging.CRITICAL)
#: No test waits longer than this, in seconds.
LIMIT = 20.0
SAID = "[agentbreaker] This conversation was ended: "
THANKS = ["Great, thank you!", "Thanks a lot, great!", "You are welcome, thank you!"] * 40
FINISH = Policy(ladder={"finish": 4.0, "halt": 12.0})


def calling(name: str, arguments: dict[str, Any], number: int = 0, text: str = "") -> dict[str, Any]:
    """An answer of a model that calls a tool."""
    function = {"name": name, "arguments": json.dumps(arguments)}
    return {"content": text, "tool_calls": [{"id": f"call-{number}", "type": "function", "function": function}]}


CONFIG = {"config_list": [{"model": "gpt-4o-mini", "model_client_cls": "_Client", "api_key": "none"}]}


class Model:
    """Says what `lines` say, one after the other, whoever asks; counts the calls and keeps what it was shown."""

    def __init__(self, lines: Iterable[Any], tokens: int = 0) -> None:
        self.lines = iter(lines)
        self.tokens = tokens
        self.calls = 0
        self.shown: list[list[dict[str, Any]]] = []

    def agent(self, name: str, **options: Any) -> ConversableAgent:
        """An agent that this model speaks for."""
        agent = ConversableAgent(name, llm_config=CONFIG, human_input_mode="NEVER", **options)
        agent.register_model_client(_Client, model=self)  # type: ignore[arg-type]
        return agent


class _Client:
    """A model client of AG2, in the form that its documentation asks for."""

    def __init__(self, config: Any, model: Model) -> None:
        self._model = model

    def create(self, params: dict[str, Any]) -> Any:
        model = self._model
        model.calls += 1
        model.shown.append(params["messages"])
        line = next(model.lines, "TERMINATE")
        if isinstance(line, str):
            message: Any = SimpleNamespace(content=line, tool_calls=None, function_call=None)
        else:
            message = _Dumped(line)
        return SimpleNamespace(
            choices=[SimpleNamespace(message=message)], model="gpt-4o-mini", cost=0.001 if model.tokens else 0.0
        )

    def message_retrieval(self, response: Any) -> list[Any]:
        message = response.choices[0].message
        return [message if message.tool_calls else message.content]

    def cost(self, response: Any) -> float:
        return float(response.cost)

    def get_usage(self, response: Any) -> dict[str, Any]:
        tokens = self._model.tokens
        return {
            "prompt_tokens": tokens,
            "completion_tokens": tokens // 10,
            "total_tokens": tokens + tokens // 10,
            "cost": response.cost,
            "model": "gpt-4o-mini",
        }


class _Dumped:
    def __init__(self, line: dict[str, Any]) -> None:
        self._line = line
        self.tool_calls = line["tool_calls"]

    def model_dump(self) -> dict[str, Any]:
        return json.loads(json.dumps(self._line))  # type: ignore[no-any-return]


def person() -> UserProxyAgent:
    """Who asks, runs tools and says nothing else."""
    return UserProxyAgent("person", human_input_mode="NEVER", code_execution_config=False, default_auto_reply=None)


def group(*agents: Any, rounds: int = 100, **options: Any) -> GroupChatManager:
    """A group chat in which the agents speak in turn."""
    options = {"speaker_selection_method": "round_robin", **options}
    return GroupChatManager(GroupChat(agents=list(agents), messages=[], max_round=rounds, **options), silent=True)


MODES = ("initiate_chat", "a_initiate_chat", "run", "a_run")


def chat(mode: str, sender: Any, recipient: Any, message: Any, **options: Any) -> list[dict[str, Any]]:
    """Let two agents talk in one of the ways that there are; return the history of the chat."""
    done: list[Any] = []

    def talk() -> None:
        try:
            done.append(_chat(mode, sender, recipient, message, **options))
        except BaseException as error:
            done.append(error)

    thread = threading.Thread(target=talk, daemon=True)
    thread.start()
    thread.join(LIMIT)
    assert not thread.is_alive(), "the chat hangs"
    if isinstance(done[0], BaseException):
        raise done[0]
    return list(done[0])


def _chat(mode: str, sender: Any, recipient: Any, message: Any, **options: Any) -> Any:
    if mode == "initiate_chat":
        return sender.initiate_chat(recipient, message=message, silent=True, **options).chat_history
    if mode == "a_initiate_chat":
        chat = sender.a_initiate_chat(recipient, message=message, silent=True, **options)
        return asyncio.run(chat).chat_history
    if mode == "run":
        response = sender.run(recipient, message=message, silent=True, **options)
        for event in response.events:
            assert event.type != "error", event
        return response.messages

    async def run() -> Any:
        response = await sender.a_run(recipient, message=message, silent=True, **options)
        async for event in response.events:
            assert event.type != "error", event
        return await response.messages

    return asyncio.run(run())


def note(guard: Guard, seen: list[Message]) -> None:
    """Write down every message that the guard is shown."""
    observe = guard.observe

    def noted(message: Message) -> Any:
        seen.append(message)
        return observe(message)

    guard.observe = noted  # type: ignore[method-assign]


# The shared scripts.


def scripted(script: Script) -> tuple[Model, list[ConversableAgent], Any]:
    """The model that takes the turns, the agents, and who runs their tools."""
    lines = [
        turn.text if turn.call is None else calling(turn.call.name, turn.call.arguments, number, turn.text)
        for number, turn in enumerate(script.turns)
    ]
    model, runner = Model(lines), person()
    agents = [model.agent(name) for name in script.agents]
    results = iter([turn.call.result for turn in script.turns if turn.call is not None])
    if (call := script.turns[0].call) is not None:
        runner.register_function({call.name: lambda **_: next(results)})
    return model, agents, runner


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_the_script_ends_as_it_says(script: Script, mode: str) -> None:
    """A runaway is halted within its window by one of its detectors; healthy work runs to its end, untouched."""
    model, agents, runner = scripted(script)
    decided: list[str | None] = []
    guard = Guard(on_incident=lambda incident: decided.append(incident.code))
    breaker = AG2ClassicBreaker(guard)
    if len(agents) == 1:
        breaker.attach(runner)
        history = chat(mode, runner, agents[0], script.question)
    elif len(agents) == 2:
        breaker.attach(agents[1])
        history = chat(mode, agents[1], agents[0], script.question, **ends(script))
    else:
        breaker.attach(runner)
        history = chat(mode, runner, group(*agents), script.question)
    last = history[-1]["content"]
    assert not breaker.faults
    if script.runaway:
        assert last.startswith(SAID)
        assert history[-1]["name"] == "agentbreaker"
        assert decided[0] in script.codes
        assert script.first <= model.calls - 1 <= script.last
    else:
        assert not decided
        assert SAID not in str(history)
        assert model.calls >= len(script.turns)


def ends(script: Script) -> dict[str, Any]:
    """A healthy script ends when all has been said."""
    return {} if script.runaway else {"max_turns": len(script.turns) // 2 + 1}


@pytest.mark.parametrize("script", [one for one in SCRIPTS if len(one.agents) == 2], ids=lambda script: script.name)
def test_the_script_ends_the_same_in_a_group(script: Script) -> None:
    """The verdict does not depend on the form of the chat."""
    model, agents, runner = scripted(script)
    guard = Guard()
    AG2ClassicBreaker(guard).attach(runner)
    history = chat("initiate_chat", runner, group(*agents, rounds=len(script.turns) + 1), script.question)
    assert history[-1]["content"].startswith(SAID) == script.runaway
    if script.runaway:
        assert script.first <= model.calls - 1 <= script.last
    else:
        assert model.calls == len(script.turns)


# In two-agent chats, by each way to begin one.


def pair(lines: Any = None, **options: Any) -> tuple[Model, ConversableAgent, ConversableAgent]:
    """Two agents that one model speaks for."""
    model = Model(THANKS if lines is None else lines, **options)
    return model, model.agent("alice"), model.agent("bob")


BOTH = pytest.mark.parametrize("mode", MODES)


@BOTH
def test_a_halted_chat_ends_with_the_reason_and_keeps_all_that_was_said(mode: str) -> None:
    """No model is asked after the trip; the last message says why, and the summary with it."""
    model, alice, bob = pair()
    breaker = AG2ClassicBreaker(policy=Policy(ladder={"steer": None})).attach(alice)
    seen: list[Message] = []
    note(breaker.guard, seen)
    history = chat(mode, alice, bob, "Shall we meet on Friday?")
    conversation = breaker.conversation_of(alice, bob)
    assert conversation == breaker.conversation_of(bob, alice) == "chat-1"
    decision = breaker.guard.decision(conversation)
    assert [one["content"] for one in history] == [
        "Shall we meet on Friday?",
        *THANKS[: model.calls],
        f"{SAID}{decision.reason}.",
    ]
    assert history[-1]["name"] == "agentbreaker"
    assert model.calls == len(seen) - 1 < 10
    assert [(one.sender, one.recipient, one.role) for one in seen[:3]] == [
        ("alice", "bob", "user"),
        ("bob", "alice", None),
        ("alice", "bob", None),
    ]
    assert breaker.guard.incident(conversation) is not None
    assert not breaker.faults


@pytest.mark.parametrize("mode", MODES[:2])
@pytest.mark.parametrize(
    ("halt_as", "error"), [("base_exception", ConversationHalted), ("exception", ConversationHaltedError)]
)
@pytest.mark.parametrize("grouped", [False, True], ids=["pair", "group"])
def test_the_halt_as_an_exception(mode: str, halt_as: Any, error: Any, grouped: bool) -> None:
    """It comes out of the call, and the history is kept."""
    model, alice, bob = pair()
    AG2ClassicBreaker(Guard(halt_as=halt_as), on_halt="exception").attach(alice)
    other = group(alice, bob) if grouped else bob
    with pytest.raises(error) as caught:
        chat(mode, alice, other, "Shall we meet on Friday?")
    assert caught.value.decision.action is Action.HALT
    kept = other.groupchat.messages if isinstance(other, GroupChatManager) else alice.chat_messages[other]
    assert len(kept) == model.calls + 1
    assert model.calls < 10


@BOTH
def test_a_finish_is_a_last_message_in_any_case(mode: str) -> None:
    """Also where a halt would be an exception."""
    _, alice, bob = pair()
    AG2ClassicBreaker(policy=FINISH, on_halt="exception").attach(alice)
    assert chat(mode, alice, bob, "Shall we meet on Friday?")[-1]["content"].startswith(SAID)


@BOTH
def test_the_next_agent_is_steered(mode: str) -> None:
    """It reads so below the message that it gets, and its model is shown that."""
    policy = Policy(ladder={"warn": None, "steer": 2.0, "halt": 4.0})
    model, alice, bob = pair()
    AG2ClassicBreaker(policy=policy).attach(alice)
    history = chat(mode, alice, bob, "Shall we meet on Friday?")
    steered = [one["content"] for one in history if STEER_TEXT in one["content"]]
    assert len(steered) == 1
    assert any(STEER_TEXT in str(shown[-1]["content"]) for shown in model.shown)


@BOTH
def test_what_obeys_the_steer_goes_on(mode: str) -> None:
    """When something new comes then, what had been held against the conversation is forgotten."""
    names = ("parser", "linker", "loader", "packer", "signer")
    work = [f"The build of {name} failed in step {n}: missing library {name}-{n}." for n, name in enumerate(names, 3)]
    policy = Policy(ladder={"warn": None, "steer": 2.0, "halt": 4.0})
    model, alice, bob = pair([*THANKS[:4], *work])
    AG2ClassicBreaker(policy=policy).attach(alice)
    history = chat(mode, alice, bob, "Shall we meet on Friday?", max_turns=5)
    assert SAID not in str(history)
    assert model.calls == 9


@BOTH
def test_shadow_mode_changes_nothing(mode: str) -> None:
    """Every message is delivered as it was said, and what would have been done is counted."""
    model, alice, bob = pair()
    breaker = AG2ClassicBreaker(Guard(mode="metrics_only")).attach(alice)
    history = chat(mode, alice, bob, "Shall we meet on Friday?", max_turns=15)
    assert [one["content"] for one in history[1:]] == THANKS[: model.calls]
    assert model.calls == 29
    assert breaker.withheld[Action.HALT] > 0


@BOTH
def test_a_chat_goes_on_after_a_reset(mode: str) -> None:
    """While the breaker is open no model is asked; after the reset the same conversation goes on with its history."""
    model, alice, bob = pair()
    breaker = AG2ClassicBreaker().attach(alice)
    before = chat(mode, alice, bob, "Shall we meet on Friday?")
    calls = model.calls
    again = chat(mode, alice, bob, "Well?", clear_history=False)
    assert model.calls == calls
    assert [one["content"] for one in again[: len(before)]] == [one["content"] for one in before]
    model.lines = iter(["At 9:45 from pier 3, carriage 12."])
    breaker.guard.reset("chat-1")
    last = chat(mode, alice, bob, "When does the ferry to Borkum leave?", clear_history=False, max_turns=1)
    assert last[-1]["content"] == "At 9:45 from pier 3, carriage 12."
    assert breaker.guard.conversations() == ["chat-1"]
    chat(mode, alice, bob, "Something else.", max_turns=1)
    assert breaker.guard.conversations() == ["chat-1", "chat-2"]


@BOTH
def test_a_budget_blocks_the_next_call(mode: str) -> None:
    """Tokens, model and dollars are those that AG2 counts for the agent that speaks."""
    lines = [f"Item {number}: box {number * 37} goes to shelf {number * 11}." for number in range(50)]
    model, alice, bob = pair(lines, tokens=100)
    policy, pricing = Policy(budgets={"max_tokens": 3000}), Pricing(max_output_tokens=10)
    breaker = AG2ClassicBreaker(policy=policy, pricing=pricing).attach(alice)
    seen: list[Message] = []
    note(breaker.guard, seen)
    history = chat(mode, alice, bob, "Please sort the boxes.")
    assert "tokens" in history[-1]["content"]
    assert history[-1]["name"] == "agentbreaker"
    account = breaker.guard.account("chat-1")
    assert 5 <= model.calls <= 26
    assert account.tokens == 110 * model.calls
    assert (account.held_tokens, account.unpriced_tokens) == (0, 0)
    assert seen[0].usage is None
    for one in seen[1:]:
        assert one.usage is not None
        assert (one.usage.input_tokens, one.usage.output_tokens, one.model) == (100, 10, "gpt-4o-mini")
        assert one.cost_usd == pytest.approx(0.001)


@BOTH
def test_money_is_held_before_a_call(mode: str) -> None:
    """A budget in dollars is never exceeded, as the most that a call can cost is held before it begins."""
    lines = [f"Item {number}: box {number * 37} goes to shelf {number * 11}." for number in range(200)]
    model, alice, bob = pair(lines, tokens=100)  # for 0.001 dollars, as AG2 says
    pricing = Pricing({"gpt-4o-mini": {"input": 1.0, "output": 1.0}}, max_output_tokens=1000)
    breaker = AG2ClassicBreaker(policy=Policy(budgets={"max_cost_usd": 0.02}), pricing=pricing).attach(alice)
    history = chat(mode, alice, bob, "Please sort the boxes.")
    assert breaker.guard.decision("chat-1").code == "AB603"
    assert history[-1]["name"] == "agentbreaker"
    account = breaker.guard.account("chat-1")
    assert account.cost_usd == pytest.approx(0.001 * model.calls)
    assert 0.01 <= account.cost_usd <= 0.02
    assert account.held_usd == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("on_halt", ["finish", "exception"])
def test_a_call_that_could_exceed_a_budget_is_not_made(on_halt: Any) -> None:
    """The reply says why, or the exception comes out of the chat; the model is not asked, and nothing stays held."""
    model, alice, bob = pair(["Nobody asks me."])
    breaker = AG2ClassicBreaker(policy=Policy(budgets={"max_tokens": 100}), on_halt=on_halt).attach(alice)
    if on_halt == "exception":
        with pytest.raises(ConversationHalted, match="tokens"):
            alice.initiate_chat(bob, message="Please sort the boxes.", silent=True)
    else:
        history = alice.initiate_chat(bob, message="Please sort the boxes.", silent=True).chat_history
        assert [one["content"][: len(SAID)] for one in history] == ["Please sort the boxes.", SAID]
    assert model.calls == 0
    halt = breaker.halts.of("chat-1")
    assert halt is not None
    assert halt.refused >= 1
    assert breaker.guard.account("chat-1").held_tokens == 0
    assert not breaker.faults


def test_a_call_in_flight_is_known_when_a_person_stops_the_chat() -> None:
    """A model call that has begun when the breaker is opened from outside counts as in flight, and ends."""
    model, alice, bob = pair(["It is box 37.", "It is box 74."])
    breaker = AG2ClassicBreaker().attach(alice)
    in_call, go_on = threading.Event(), threading.Event()

    def lines() -> Any:
        in_call.set()
        assert go_on.wait(20)
        yield "It is box 37."

    model.lines = lines()
    done: list[Any] = []
    thread = threading.Thread(target=lambda: done.append(chat("initiate_chat", alice, bob, "Which box?")), daemon=True)
    thread.start()
    assert in_call.wait(20)
    breaker.guard.force_open("chat-1", "lunch break", by="ann")
    assert breaker._watch.standing("chat-1") is not None
    go_on.set()
    thread.join(20)
    assert "lunch break" in done[0][-1]["content"]
    halt = breaker.halts.of("chat-1")
    assert halt is not None
    assert halt.in_flight == 1
    assert model.calls == 1
    assert breaker._watch.flying("chat-1") == 0


# Model calls of agents that AG2 makes for itself.


def selecting(names: Any, tokens: int = 40) -> tuple[Any, Model, GroupChatManager, list[Any]]:
    """A group whose manager asks a model who speaks next."""
    chooser = Model(names, tokens=tokens)
    speaker = Model([f"Item {number}: box {number * 37} goes to shelf {number * 11}." for number in range(200)])
    agents = [speaker.agent(name) for name in ("ann", "ben", "cem")]
    chat_of = GroupChat(
        agents=agents,
        messages=[],
        max_round=12,
        speaker_selection_method="auto",
        select_speaker_auto_llm_config=CONFIG,
        # AG2 makes it by itself, with nothing but its configuration.
        select_speaker_auto_model_client_cls=type(
            "_Client", (_Client,), {"__init__": lambda self, config: _Client.__init__(self, config, chooser)}
        ),
    )
    return chooser, speaker, GroupChatManager(chat_of, silent=True), agents


@pytest.mark.parametrize("mode", MODES)
def test_the_calls_that_select_a_speaker_are_counted(mode: str) -> None:
    """Their tokens and dollars are the manager's, and what the model says is nobody's message."""
    chooser, _speaker, manager, agents = selecting(["ben", "cem", "ann"] * 40)
    breaker = AG2ClassicBreaker().attach(agents[0])
    seen: list[Message] = []
    note(breaker.guard, seen)
    chat(mode, agents[0], manager, "Please sort the boxes.")
    assert chooser.calls >= 10
    billed = [one for one in seen if one.kind == "system"]
    assert [one.sender for one in billed] == [manager.name] * chooser.calls
    assert {one.content for one in billed} == {""}
    assert sum(one.usage.total for one in billed if one.usage) == 44 * chooser.calls
    assert sum(one.cost_usd or 0 for one in billed) == pytest.approx(0.001 * chooser.calls)
    assert {one.sender for one in seen if one.kind == "message"} == {"ann", "ben", "cem"}
    assert not breaker.faults


def test_the_calls_that_select_a_speaker_are_held_to_the_budget() -> None:
    """The group ends with the reason before they overshoot it."""
    chooser, _speaker, manager, agents = selecting(["ben", "cem", "ann"] * 40)
    policy, pricing = Policy(budgets={"max_tokens": 800}), Pricing(max_output_tokens=10)
    breaker = AG2ClassicBreaker(policy=policy, pricing=pricing).attach(agents[0])
    history = chat("initiate_chat", agents[0], manager, "Please sort the boxes.")
    assert "tokens" in history[-1]["content"]
    account = breaker.guard.account("chat-1")
    assert account.tokens == 44 * chooser.calls <= 800
    assert 2 <= chooser.calls < 11
    assert account.held_tokens == 0
    assert not breaker.faults


@pytest.mark.parametrize("mode", MODES)
def test_a_summary_is_counted_while_the_breaker_is_closed(mode: str) -> None:
    """A reflection with the model is a call of the one who asks for it, and no message."""
    model, alice, bob = pair(["It is box 37.", "TERMINATE", "They found box 37."], tokens=100)
    breaker = AG2ClassicBreaker().attach(alice)
    seen: list[Message] = []
    note(breaker.guard, seen)
    chat(mode, alice, bob, "Which box?", summary_method="reflection_with_llm", max_turns=1)
    assert model.calls == 2
    assert [(one.sender, one.kind) for one in seen] == [("alice", "message"), ("bob", "message"), ("alice", "system")]
    assert [one.usage.total if one.usage else 0 for one in seen] == [0, 110, 110]
    assert breaker.guard.account("chat-1").tokens == 220
    assert not breaker.faults


@pytest.mark.parametrize("mode", ["initiate_chat", "a_initiate_chat"])
def test_a_summary_of_a_halted_chat_is_the_reason(mode: str) -> None:
    """No model is asked for it."""
    model, alice, bob = pair()
    breaker = AG2ClassicBreaker().attach(alice)
    options = {"message": "Please close the ticket.", "silent": True, "summary_method": "reflection_with_llm"}
    if mode == "initiate_chat":
        result = alice.initiate_chat(bob, **options)
    else:
        result = asyncio.run(alice.a_initiate_chat(bob, **options))
    said = [one for one in result.chat_history if one.get("name") != "agentbreaker"]
    assert model.calls == len(said) - 1
    assert result.summary == result.chat_history[-1]["content"]
    assert result.summary.startswith(SAID)
    assert not breaker.faults


def test_what_is_seen_of_tools() -> None:
    """Calls are the agent's, results are the tools' and go to the agent that called; failures are such."""
    model = Model(
        [
            {
                "content": "I look.",
                "tool_calls": [
                    *calling("search", {"q": "ferry"}, 1)["tool_calls"],
                    *calling("broken", {"q": "pier"}, 2)["tool_calls"],
                ],
            },
            "At 9:45.",
        ]
    )
    runner, agent = person(), model.agent("finder")

    def broken(q: str) -> str:
        raise KeyError("no such pier")

    runner.register_function({"search": lambda q: "nothing was found", "broken": broken})
    breaker = AG2ClassicBreaker().attach(runner)
    seen: list[Message] = []
    note(breaker.guard, seen)
    runner.initiate_chat(agent, message="When?", silent=True)
    assert [(one.sender, one.recipient, one.kind, one.role) for one in seen] == [
        ("person", "finder", "message", "user"),
        ("finder", "search", "tool_call", None),
        ("finder", "broken", "tool_call", None),
        ("search", "finder", "tool_result", None),
        ("broken", "finder", "tool_result", None),
        ("finder", "person", "message", None),
    ]
    assert [one.content for one in seen[:4]] == ["When?", "I look.", "", "nothing was found"]
    tools = [one.tool for one in seen if one.tool is not None]
    assert [tool.call_id for tool in tools] == ["call-1", "call-2"] * 2
    assert [tool.arguments for tool in tools[:2]] == [{"q": "ferry"}, {"q": "pier"}]
    assert [tool.is_error for tool in tools] == [False, False, False, True]


def test_no_tool_is_run_after_the_trip() -> None:
    """As many runs as calls of the model, and the call that is answered last is no new one."""
    model, runner, ran = Model([calling("search", {"q": "x"}, n) for n in range(60)]), person(), Counter[str]()

    def search(q: str) -> str:
        ran[q] += 1
        return "nothing was found"

    runner.register_function({"search": search})
    AG2ClassicBreaker().attach(runner)
    result = runner.initiate_chat(model.agent("finder"), message="When?", silent=True)
    assert result.summary.startswith(SAID)
    assert ran["x"] == model.calls < 12


def test_a_person_who_answers_is_new_input() -> None:
    """What is typed in comes from outside, each time."""
    model = Model(["Which one?", "And when?"])
    human = UserProxyAgent("human", human_input_mode="ALWAYS", code_execution_config=False)
    answers = iter(["The red one.", "exit"])
    human.get_human_input = lambda *_, **__: next(answers)  # type: ignore[method-assign]
    breaker = AG2ClassicBreaker().attach(human)
    seen: list[Message] = []
    note(breaker.guard, seen)
    human.initiate_chat(model.agent("shop"), message="I want a bicycle.", silent=True)
    assert [(one.sender, one.role) for one in seen] == [
        ("human", "user"),
        ("shop", None),
        ("human", "user"),
        ("shop", None),
    ]


# In groups, and in chats within chats.


@pytest.mark.parametrize("mode", MODES)
def test_what_a_manager_tells_the_group_counts_once(mode: str) -> None:
    """Each message is its speaker's, and the manager says nothing."""
    model = Model([f"Point number {word}." for word in ("one", "two", "three", "four")])
    agents = [model.agent(name) for name in ("ann", "ben", "cem")]
    breaker = AG2ClassicBreaker().attach(agents[0])
    seen: list[Message] = []
    note(breaker.guard, seen)
    chat(mode, agents[0], group(*agents, rounds=5), "What do we know?")
    assert [(one.sender, one.recipient, one.content) for one in seen] == [
        ("ann", None, "What do we know?"),
        ("ben", None, "Point number one."),
        ("cem", None, "Point number two."),
        ("ann", None, "Point number three."),
        ("ben", None, "Point number four."),
    ]
    assert breaker.guard.conversations() == ["chat-1"]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("member", [True, False], ids=["member", "outsider"])
def test_a_halted_group_selects_no_further_speaker(mode: str, member: bool) -> None:
    """The group ends with the reason, told to everybody, before the manager looks for the next speaker."""
    model, selected = Model(THANKS), []

    def select(last: Any, chat: Any) -> Any:
        selected.append(last.name)
        return chat.agents[(chat.agents.index(last) + 1) % 3 if last in chat.agents else 0]

    agents = [model.agent(name) for name in ("ann", "ben", "cem")]
    manager = group(*agents, speaker_selection_method=select)
    first = agents[0] if member else person()
    breaker = AG2ClassicBreaker().attach(first)
    history = chat(mode, first, manager, "What do we know?")
    why = history[-1]["content"]
    assert why.startswith(SAID)
    assert manager.groupchat.messages[-1]["content"] == why
    assert all(agent.chat_messages[manager][-1]["content"] == why for agent in agents)
    assert len(selected) == model.calls < 12
    assert not breaker.faults
    breaker.guard.reset("chat-1")
    model.lines = iter(["The answer is 42 kilometres to the north.", "TERMINATE"])
    manager.groupchat.max_round = 2
    chat(mode, first, manager, "How far is it to Norderney?")
    assert breaker.guard.conversations() == ["chat-1", "chat-2"]


def test_a_pattern_of_ag2_is_watched_through_any_of_its_agents() -> None:
    """The manager that ``initiate_group_chat`` makes for itself is found with the first message."""
    model = Model(THANKS)
    agents = [model.agent(name) for name in ("ann", "ben", "cem")]
    breaker = AG2ClassicBreaker().attach(*agents)
    pattern = RoundRobinPattern(initial_agent=agents[0], agents=agents, group_manager_args={"silent": True})
    result, _, _ = initiate_group_chat(pattern=pattern, messages="What do we know?", max_rounds=80)
    assert result.summary.startswith(SAID)
    assert model.calls < 12
    assert not breaker.faults


def test_a_nested_chat_belongs_to_the_conversation_that_waits_for_it() -> None:
    """Its messages count there, and a loop within it ends both, with the reason."""
    model = Model(THANKS)
    boss, lead, helper = model.agent("boss"), model.agent("lead"), model.agent("helper")
    lead.register_nested_chats(
        [{"recipient": helper, "message": "Please do it.", "summary_method": "last_msg", "silent": True}],
        trigger=boss,
    )
    breaker = AG2ClassicBreaker().attach(boss)
    result = boss.initiate_chat(lead, message="Clean the cellar.", silent=True)
    assert breaker.guard.conversations() == ["chat-1"]
    assert breaker.conversation_of(lead, helper) == "chat-1"
    assert result.chat_history[-1]["content"].startswith(SAID)
    assert model.calls < 12
    other = Model(["Hello.", "TERMINATE"])
    lead.initiate_chat(other.agent("friend"), message="Good evening.", max_turns=1, silent=True)
    assert breaker.guard.conversations() == ["chat-1", "chat-2"]


# What is common to all.


def test_one_conversation_for_all_chats() -> None:
    """With an id of the user's, also agents that a program makes talk in turn."""
    model, alice, bob = pair()
    breaker = AG2ClassicBreaker(conversation_id="night").attach(alice, bob)
    for _ in range(20):
        result = alice.initiate_chat(bob, message="Thank you!", max_turns=1, silent=True)
    assert breaker.guard.conversations() == ["night"]
    assert result.chat_history[-1]["content"].startswith((SAID, "Thank you!"))
    assert model.calls < 15


def test_a_chat_that_was_halted_by_hand_asks_nobody() -> None:
    """The first message is answered by the reason."""
    model, alice, bob = pair()
    breaker = AG2ClassicBreaker(conversation_id="night").attach(alice)
    breaker.guard.force_open("night", "the budget of today is spent", by="ops")
    result = alice.initiate_chat(bob, message="hello", silent=True)
    assert result.summary == f"{SAID}the budget of today is spent."
    assert model.calls == 0
    halt = breaker.halts.of("night")
    assert halt is not None
    assert halt.refused >= 1


def test_a_failure_of_ours_lets_the_message_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is counted and logged, and no agent notices."""
    model, alice, bob = pair()
    breaker = AG2ClassicBreaker().attach(alice)

    def broken(*_: Any) -> None:
        raise LookupError("ours")

    monkeypatch.setattr(breaker._watch, "observe", broken)
    monkeypatch.setattr(breaker._watch, "refuses", broken)
    alice.initiate_chat(bob, message="hello", max_turns=3, silent=True)
    assert model.calls == 5
    assert breaker.faults["LookupError"] >= 5


def test_what_cannot_be_attached_is_an_error() -> None:
    """Something that is no agent; and attaching twice is attaching once."""
    with pytest.raises(TypeError, match="needs an agent, not str"):
        AG2ClassicBreaker().attach("alice")
    alice = Model([]).agent("alice")
    AG2ClassicBreaker().attach(alice, alice)
    assert len(alice.hook_lists["process_message_before_send"]) == 1
