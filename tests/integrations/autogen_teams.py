"""Scripted models and teams of AutoGen AgentChat for the tests of the integration; no network, no key."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar, cast

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.base import TaskResult
from autogen_agentchat.conditions import TextMentionTermination
from autogen_agentchat.teams import (
    BaseGroupChat,
    DiGraphBuilder,
    GraphFlow,
    MagenticOneGroupChat,
    RoundRobinGroupChat,
    SelectorGroupChat,
    Swarm,
)
from autogen_core import CancellationToken, FunctionCall
from autogen_core.models import ChatCompletionClient, CreateResult, LLMMessage, ModelInfo, RequestUsage, UserMessage
from autogen_core.tools import FunctionTool

from tests.integrations.scripts import Script, Turn

#: Nothing here takes longer than a moment; what hangs is told by this many seconds.
LIMIT = 20.0

THANKS = (
    "Great, that is all confirmed. Thank you!",
    "Perfect, thanks for confirming.",
    "You are welcome, glad that we agree.",
    "Wonderful, thank you both for the good work.",
)

#: What the orchestrator of a Magentic-One team asks for, each time something else.
INSTRUCTIONS = tuple(
    f"{wish} in {town}{why}."
    for town, why in (
        ("Leer", ", as the hall has no stage"),
        ("Papenburg", ", because of the ferry at noon"),
        ("Norden", ", now that the dyke is closed"),
        ("Esens", ", since the treasurer is ill"),
    )
    for wish in (
        "Ask whether 400 programmes can be printed",
        "Compare the tide tables and name the earlier boat",
        "Find out what a brass band charges for three hours",
        "Draw up the budget for insurance and lighting",
        "Write the invitation, at most 90 words",
    )
)

_T = TypeVar("_T")
Said = str | CreateResult


def call(name: str, arguments: Mapping[str, Any] | None = None, identity: str = "c1", said: str = "") -> CreateResult:
    """A reply that calls a tool."""
    asked = FunctionCall(id=identity, name=name, arguments=json.dumps(arguments or {}))
    return CreateResult(
        finish_reason="function_calls",
        content=[asked],
        usage=RequestUsage(10, 5),
        cached=False,
        thought=said or None,
    )


class Model(ChatCompletionClient):
    """A model that says its lines in order, the last ones again and again, and remembers what it was asked.

    Args:
        lines: What it says: texts, or replies that call tools.
        log: A list that gets the name of the model with each call, shared by several.
        name: That name.
        config_model: The name of the model in its configuration.
    """

    component_type = "model"
    component_config_schema = None

    def __init__(
        self,
        lines: Iterable[Said] | Callable[[Sequence[LLMMessage]], Said],
        *,
        log: list[str] | None = None,
        name: str = "",
        config_model: str | None = None,
        usage: tuple[int, int] = (10, 5),
    ) -> None:
        self._lines: Iterator[Said] | None = None if callable(lines) else iter(lines)
        self._answer = lines if callable(lines) else None
        self.log = [] if log is None else log
        self.name = name
        self.config_model = config_model
        self.usage = usage
        self.asked: list[list[LLMMessage]] = []

    @property
    def calls(self) -> int:
        """How often the model was really called."""
        return len(self.asked)

    def _next(self, messages: Sequence[LLMMessage]) -> CreateResult:
        self.asked.append(list(messages))
        self.log.append(self.name)
        line = self._answer(messages) if self._answer is not None else next(self._lines)  # type: ignore[arg-type]
        if isinstance(line, CreateResult):
            return line
        return CreateResult(finish_reason="stop", content=line, usage=RequestUsage(*self.usage), cached=False)

    async def create(self, messages: Sequence[LLMMessage], **options: Any) -> CreateResult:
        await asyncio.sleep(0)
        return self._next(messages)

    async def create_stream(
        self, messages: Sequence[LLMMessage], **options: Any
    ) -> AsyncGenerator[str | CreateResult, None]:
        await asyncio.sleep(0)
        result = self._next(messages)
        if isinstance(result.content, str):
            for word in result.content.split(" "):
                yield word + " "
        yield result

    async def close(self) -> None:
        return None

    def actual_usage(self) -> RequestUsage:
        return RequestUsage(0, 0)

    def total_usage(self) -> RequestUsage:
        return RequestUsage(0, 0)

    def count_tokens(self, messages: Sequence[LLMMessage], *, tools: Sequence[Any] = []) -> int:
        return 100 * len(messages)

    def remaining_tokens(self, messages: Sequence[LLMMessage], *, tools: Sequence[Any] = []) -> int:
        return 1000

    @property
    def capabilities(self) -> Any:
        return self.model_info

    @property
    def model_info(self) -> ModelInfo:
        return ModelInfo(
            vision=False, function_calling=True, json_output=False, family="unknown", structured_output=False
        )

    def dump_component(self) -> Any:
        if self.config_model is None:
            raise NotImplementedError
        from autogen_core import ComponentModel

        return ComponentModel(provider="tests.Model", config={"model": self.config_model})


def forever(lines: Sequence[Said] = THANKS) -> Iterator[Said]:
    """The lines, again and again."""
    while True:
        yield from lines


def in_time(work: Coroutine[Any, Any, _T]) -> _T:
    """Run something that must not hang."""

    async def limited() -> _T:
        return await asyncio.wait_for(work, LIMIT)

    return asyncio.run(limited())


async def run(team: Any, mode: str = "run", task: Any = None, token: CancellationToken | None = None) -> TaskResult:
    """Run a team in one of both ways, and never longer than the limit."""

    async def go() -> TaskResult:
        if mode == "run":
            return await team.run(task=task, cancellation_token=token)  # type: ignore[no-any-return]
        last = None
        async for item in team.run_stream(task=task, cancellation_token=token):
            last = item
        assert isinstance(last, TaskResult)
        return last

    return await asyncio.wait_for(go(), LIMIT)


def texts(result: TaskResult) -> list[tuple[str, str]]:
    """Who said what in a run, events included."""
    return [(message.source, message.to_text()) for message in result.messages]


def assistant(name: str, model: Any, **options: Any) -> Any:
    """An agent."""
    return AssistantAgent(name, model_client=model, system_message=f"You are {name}.", **options)


def two(model: Any) -> list[Any]:
    """Two agents that share a model."""
    return [assistant("alice", model), assistant("bob", model)]


def _reply(turn: Turn, number: int) -> Said:
    if turn.call is not None:
        return call(turn.call.name, turn.call.arguments, f"c{number}", turn.text)
    if turn.to is not None:
        return call(f"transfer_to_{turn.to}", {}, f"h{number}", turn.text)
    return turn.text


def scripted(
    script: Script, wrap: Callable[[Model], Any], condition: Any, *, in_one_turn: bool
) -> tuple[BaseGroupChat, Model]:
    """A team whose agents take the turns of a script, and the model that all of them share.

    Args:
        script: The script.
        wrap: What becomes of the model client.
        condition: The termination condition.
        in_one_turn: Let an agent make its calls within one turn, instead of one a turn.
    """
    replies = iter(_reply(turn, number) for number, turn in enumerate(script.turns))
    model = Model(replies)
    results = iter([turn.call.result for turn in script.turns if turn.call is not None])
    names = sorted({turn.call.name for turn in script.turns if turn.call is not None})

    def tool(name: str) -> FunctionTool:
        async def answer(**_: Any) -> str:
            return next(results)

        async def job(job: str) -> str:
            return next(results)

        async def flights(origin: str, destination: str) -> str:
            return next(results)

        known: dict[str, Callable[..., Any]] = {"job_status": job, "search_flights": flights}
        chosen = known.get(name, answer)
        return FunctionTool(chosen, description=name, name=name)

    agents: list[Any] = []
    for name in script.agents:
        targets = sorted({turn.to for turn in script.turns if turn.agent == name and turn.to})
        agents.append(
            assistant(
                name,
                wrap(model),
                tools=[tool(used) for used in names] or None,
                handoffs=list(targets) or None,
                max_tool_iterations=len(script.turns) if in_one_turn else 1,
            )
        )
    if any(turn.to for turn in script.turns):
        return Swarm(agents, termination_condition=condition), model
    turns = 1 if in_one_turn and names else len(script.turns)
    return RoundRobinGroupChat(agents, termination_condition=condition, max_turns=turns), model


def asked_by(messages: Sequence[LLMMessage], source: str) -> list[str]:
    """What a model was told by `source`."""
    return [
        str(message.content) for message in messages if isinstance(message, UserMessage) and message.source == source
    ]


# Teams that would go on for ever, by shape.  Each takes the model of its agents, and those who are asked who is next.


def _round_robin(model: Model) -> BaseGroupChat:
    return RoundRobinGroupChat(two(model))


def _selector(model: Model) -> BaseGroupChat:
    names = forever(["alice", "bob"])
    return SelectorGroupChat(two(model), model_client=Model(names), allow_repeated_speaker=True)


def _swarm(model: Model) -> BaseGroupChat:
    """Each agent says a line of the model's and hands over to the other."""

    def handing(me: str, other: str) -> Any:
        def answer(messages: Sequence[LLMMessage]) -> Said:
            line = model._next(messages)
            assert isinstance(line.content, str)
            if "FINISHED" in line.content:
                return line
            return call(f"transfer_to_{other}", {}, f"h{model.calls}", line.content)

        return assistant(me, Model(answer), handoffs=[other])

    return Swarm([handing("alice", "bob"), handing("bob", "alice")])


def orchestrating(next_speakers: Iterator[str]) -> Callable[[Sequence[LLMMessage]], Said]:
    """How the model of a Magentic-One orchestrator answers that never finds the request satisfied."""
    wishes = forever(INSTRUCTIONS)

    def answer(messages: Sequence[LLMMessage]) -> Said:
        if "is_request_satisfied" not in str(messages[-1].content):
            return "Nothing is known yet."
        answers = {
            "is_request_satisfied": False,
            "is_progress_being_made": True,
            "is_in_loop": False,
            "instruction_or_question": next(wishes),
            "next_speaker": next(next_speakers),
        }
        return json.dumps({key: {"reason": "so it is", "answer": value} for key, value in answers.items()})

    return answer


def _magentic(model: Model) -> BaseGroupChat:
    orchestrator = Model(orchestrating(cast("Iterator[str]", forever(["alice", "bob"]))))
    return MagenticOneGroupChat(two(model), model_client=orchestrator, max_turns=None)


def _graph(model: Model) -> BaseGroupChat:
    """One agent starts, two go on side by side, a fourth joins them and starts the next lap."""
    start, left, right, join, end = (assistant(name, model) for name in ("start", "left", "right", "join", "end"))
    builder = DiGraphBuilder()
    for agent in (start, left, right, join, end):
        builder.add_node(agent)
    builder.add_edge(start, left).add_edge(start, right).add_edge(left, join).add_edge(right, join)
    builder.add_edge(join, start, condition=lambda message: "FINISHED" not in message.to_model_text())
    builder.add_edge(join, end, condition=lambda message: "FINISHED" in message.to_model_text())
    builder.set_entry_point(start)
    # A graph with a loop must have a limit.
    return GraphFlow(builder.get_participants(), graph=builder.build(), max_turns=500)


def _nested(model: Model) -> BaseGroupChat:
    """Two agents inside that talk without end, and one outside."""
    inner = RoundRobinGroupChat(two(model), name="inner", termination_condition=TextMentionTermination("FINISHED"))
    return RoundRobinGroupChat([inner, assistant("carol", model)])


SHAPES: dict[str, Callable[[Model], BaseGroupChat]] = {
    "RoundRobin": _round_robin,
    "Selector": _selector,
    "Swarm": _swarm,
    "MagenticOne": _magentic,
    "GraphFlow": _graph,
    "nested": _nested,
}
