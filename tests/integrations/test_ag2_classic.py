"""AG2 0.14: the shared scripts, and a test for each cell of the table in the documentation."""

from __future__ import annotations

import asyncio
import json
import threading
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
from agentbreaker.verdict import STEER_TEXT
from tests.integrations.scripts import SCRIPTS, Script

#: No test waits longer than this, in seconds.
LIMIT = 20.0
SAID = "[agentbreaker] This conversation was ended: "
THANKS = ["Great, thank you!", "Thanks a lot, great!", "You are welcome, thank you!"] * 40
FINISH = Policy(ladder={"finish": 4.0, "halt": 12.0})


def calling(name: str, arguments: dict[str, Any], number: int = 0, text: str = "") -> dict[str, Any]:
    """An answer of a model that calls a tool."""
    function = {"name": name, "arguments": json.dumps(arguments)}
    return {"content": text, "tool_calls": [{"id": f"call-{number}", "type": "function", "function": function}]}


class Model:
    """Says what `lines` say, one after the other, whoever asks; counts the calls and keeps what it was shown."""

    def __init__(self, lines: Iterable[Any], tokens: int = 0) -> None:
        self.lines = iter(lines)
        self.tokens = tokens
        self.calls = 0
        self.shown: list[list[dict[str, Any]]] = []

    def agent(self, name: str, **options: Any) -> ConversableAgent:
        """An agent that this model speaks for."""
        config = {"config_list": [{"model": "gpt-4o-mini", "model_client_cls": "_Client", "api_key": "none"}]}
        agent = ConversableAgent(name, llm_config=config, human_input_mode="NEVER", **options)
        agent.register_model_client(_Client, model=self)
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
            message = SimpleNamespace(content=line, tool_calls=None, function_call=None)
        else:
            message = _Dumped(line)
        return SimpleNamespace(
            choices=[SimpleNamespace(message=message)], model="gpt-4o-mini", cost=0.001 if model.tokens else 0.0
        )

    def message_retrieval(self, response: Any) -> list[Any]:
        message = response.choices[0].message
        return [message if isinstance(message, _Dumped) else message.content]

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
