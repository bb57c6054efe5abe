# ruff: noqa: E402 - what is tested is imported after the check that it is there
"""Microsoft Agent Framework: the scripts of all integrations, and what is seen of agents and workflows."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from typing import Any

import pytest

NEEDED = "Microsoft Agent Framework is not installed: pip install agentbreaker[agent-framework]"
pytest.importorskip("agent_framework", reason=NEEDED)
pytest.importorskip("agent_framework_orchestrations", reason=NEEDED)

from agent_framework import (
    Agent,
    AgentExecutor,
    AgentExecutorResponse,
    AgentResponse,
    AgentSession,
    BaseAgent,
    Executor,
    FunctionMiddleware,
    FunctionTool,
    Message,
    MiddlewareFailure,
    MiddlewareTermination,
    WorkflowBuilder,
    WorkflowContext,
    WorkflowExecutor,
    executor,
    handler,
    tool,
)
from agent_framework_orchestrations import (
    AgentRequestInfoResponse,
    ConcurrentBuilder,
    GroupChatBuilder,
    HandoffBuilder,
    MagenticBuilder,
    SequentialBuilder,
)

from agentbreaker import Decision, Guard, State
from agentbreaker import Message as Seen
from agentbreaker.errors import ConversationHalted
from agentbreaker.integrations.agent_framework import AgentFrameworkBreaker, RunHalted
from tests.integrations.agent_framework_shapes import (
    THANKS,
    Board,
    Client,
    agents_of,
    asks,
    chat_of,
    handoff_of,
    run,
)
from tests.integrations.scripts import SCRIPTS, Script

STREAMS = pytest.mark.parametrize("stream", [False, True], ids=["run", "stream"])
FACTS = tuple(f"Row {n}: invoice {n * 7919 % 10007} of {n * 31 % 97} euros to client {chr(65 + n)}." for n in range(20))


class Watching(Guard):
    """A guard that keeps what it is shown."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.seen: list[Seen] = []
        self.decisions: list[Decision] = []

    def observe(self, message: Seen) -> Decision:
        self.seen.append(message)
        self.decisions.append(super().observe(message))
        return self.decisions[-1]

    @property
    def edges(self) -> list[tuple[str, str | None]]:
        return [(message.sender, message.recipient) for message in self.seen if message.kind != "system"]


def agent(name: str, *lines: Any, board: Board | None = None, **kwargs: Any) -> Agent[Any]:
    """An agent with a client of its own."""
    return Agent(Client(lines, board), name=name, **kwargs)


async def play(script: Script, breaker: AgentFrameworkBreaker, board: Board, stream: bool) -> Any:
    """Run a script in the shape that it describes, with a limit on the time."""
    async with asyncio.timeout(30):
        if any(turn.to for turn in script.turns):
            return await run(breaker.attach(handoff_of(script, board)), script.question, stream=stream)
        if len(script.agents) > 1:
            return await run(breaker.attach(chat_of(script, board)), script.question, stream=stream)
        [single] = agents_of(script, board, middleware=[breaker])
        return await run(single, script.question, stream=stream)


@STREAMS
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
async def test_the_script_ends_as_it_says(script: Script, stream: bool) -> None:
    """A runaway is halted within its window by one of its detectors; healthy work runs to its end without a warning."""
    guard, board = Watching(), Board()
    breaker = AgentFrameworkBreaker(guard)
    if script.runaway:
        with pytest.raises(RunHalted) as halted:
            await play(script, breaker, board, stream)
        assert script.first <= board.begun - 1 <= script.last
        assert halted.value.decision.code in script.codes
    else:
        await play(script, breaker, board, stream)
        assert board.begun == len(script.turns)
        assert {decision.action.value for decision in guard.decisions} == {"allow"}
    assert not breaker.faults
    assert len({message.conversation_id for message in guard.seen}) == 1


@STREAMS
async def test_a_broadcast_counts_once_and_the_manager_is_nobody(stream: bool) -> None:
    """In a group chat of three each turn is one message, from who said it to who speaks next, with its tokens."""
    script = SCRIPTS[1]
    guard, board = Watching(), Board()
    with pytest.raises(RunHalted):
        await play(script, AgentFrameworkBreaker(guard), board, stream)
    names = script.agents
    assert guard.edges[0] == ("user", "planner")
    assert guard.edges[1:] == [(names[n % 3], names[(n + 1) % 3]) for n in range(len(guard.edges) - 1)]
    assert [message.content for message in guard.seen[1:]] == [turn.text for turn in script.turns[: board.begun]]
    assert all(message.usage is not None and message.usage.total == 15 for message in guard.seen[1:])
    assert {message.model for message in guard.seen[1:]} == {"scripted-1"}
    assert len({message.message_id for message in guard.seen}) == len(guard.seen)


@STREAMS
async def test_a_paid_manager_is_no_speaker_but_its_tokens_count(stream: bool) -> None:
    """A manager that is an agent chooses who speaks; its words are no messages, its tokens are the conversation's."""
    choice = '{"terminate": %s, "reason": "next", "next_speaker": %s, "final_message": null}'
    picks = [choice % ("false", f'"{name}"') for name in ("ann", "ben", "ann")] + [choice % ("true", "null")]
    guard = Watching()
    workflow = GroupChatBuilder(
        participants=[agent("ann", *FACTS[:5]), agent("ben", *FACTS[5:])],
        orchestrator_agent=agent("boss", *picks),
    ).build()
    await run(AgentFrameworkBreaker(guard).attach(workflow), "Read the rows.", stream=stream)
    assert guard.edges == [("user", "ann"), ("ann", "ben"), ("ben", "ann"), ("ann", None)]
    bills = [message for message in guard.seen if message.sender == "boss"]
    assert [message.content for message in bills] == [""] * 4
    assert sum(message.usage.total for message in guard.seen if message.usage) == 7 * 15


@STREAMS
async def test_sequential_and_concurrent_orchestrations(stream: bool) -> None:
    """A sequence is a chain of messages; agents that work side by side each answer once, to nobody in particular."""
    guard = Watching()
    breaker = AgentFrameworkBreaker(guard)
    names = ("ann", "ben", "cem")
    chain = SequentialBuilder(participants=[agent(name, FACTS[n]) for n, name in enumerate(names)]).build()
    await run(breaker.attach(chain), "Read the rows.", stream=stream)
    assert guard.edges == [("user", "ann"), ("ann", "ben"), ("ben", "cem"), ("cem", None)]
    guard.seen.clear()
    side = ConcurrentBuilder(participants=[agent(name, FACTS[n]) for n, name in enumerate(names)]).build()
    await run(breaker.attach(side), "Read the rows.", stream=stream)
    assert len(guard.edges) == 4
    assert guard.edges[0] == ("user", "ann")
    assert sorted(guard.edges[1:], key=str) == [("ann", None), ("ben", None), ("cem", None)]
    assert sum(message.usage.total for message in guard.seen if message.usage) == 45
    assert not breaker.faults


@STREAMS
async def test_a_graph_of_ones_own_with_executors(stream: bool) -> None:
    """Executors of the user are actors, and a cycle of an agent and an executor that get nowhere is halted."""

    @executor(id="checker")
    async def check(answer: AgentExecutorResponse, ctx: WorkflowContext[str]) -> None:
        await ctx.send_message("Not good enough, please improve it.")

    guard, board = Watching(), Board()
    writer = AgentExecutor(agent("writer", "Here is the improved text, I hope you like it.", board=board))
    builder = WorkflowBuilder(start_executor=writer, output_from=[writer])
    workflow = builder.add_edge(writer, check).add_edge(check, writer).build()
    breaker = AgentFrameworkBreaker(guard)
    with pytest.raises(RunHalted):
        await run(breaker.attach(workflow), "Write a poem.", stream=stream)
    assert guard.edges[:4] == [
        ("user", "writer"),
        ("writer", "checker"),
        ("checker", "writer"),
        ("writer", "checker"),
    ]
    assert board.begun < 15
    assert not breaker.faults


async def test_branches_do_not_read_each_others_answers() -> None:
    """In a graph that forks, what one branch said is not delivered to an agent of the other."""
    first = {name: AgentExecutor(agent(name, FACTS[n])) for n, name in enumerate(("ann", "ben", "cem", "dan"))}

    @executor(id="fork")
    async def fork(task: str, ctx: WorkflowContext[str]) -> None:
        await ctx.send_message(task)

    guard = Watching()
    builder = WorkflowBuilder(start_executor=fork, output_from=[first["cem"], first["dan"]])
    builder = builder.add_fan_out_edges(fork, [first["ann"], first["ben"]])
    builder = builder.add_edge(first["ann"], first["cem"]).add_edge(first["ben"], first["dan"])
    await AgentFrameworkBreaker(guard).attach(builder.build()).run("Read the rows.")
    assert guard.edges[0] == ("user", "fork")
    assert len([edge for edge in guard.edges if edge[0] == "fork"]) == 1  # told to both, and one message
    assert {edge for edge in guard.edges if edge[0] in ("ann", "ben")} == {("ann", "cem"), ("ben", "dan")}


@STREAMS
async def test_a_workflow_inside_a_workflow_is_the_same_conversation(stream: bool) -> None:
    """Agents of a sub-workflow speak in the conversation of the outer one, and what they say is counted once."""
    inner = SequentialBuilder(participants=[agent("ann", FACTS[0]), agent("ben", FACTS[1])]).build()
    last = AgentExecutor(agent("cem", FACTS[2]))
    nested = WorkflowExecutor(inner, id="nested")

    @executor(id="glue")
    async def glue(answer: Any, ctx: WorkflowContext[str]) -> None:
        await ctx.send_message(str(getattr(answer, "text", answer)))

    guard = Watching()
    builder = WorkflowBuilder(start_executor=nested, output_from=[last])
    workflow = builder.add_edge(nested, glue).add_edge(glue, last).build()
    breaker = AgentFrameworkBreaker(guard)
    await run(breaker.attach(workflow), [Message("user", ["Read the rows."])], stream=stream)
    assert len({message.conversation_id for message in guard.seen}) == 1
    assert guard.edges[:3] == [("user", "ann"), ("ann", "ben"), ("ben", "glue")]
    assert guard.edges[-1] == ("cem", None)
    assert sum(message.usage.total for message in guard.seen if message.usage) == 45
    assert not breaker.faults


@STREAMS
async def test_an_agent_as_a_tool_speaks_through_the_tool(stream: bool) -> None:
    """What it answers is the result of the tool, counted once; its tokens and its own tools count too."""
    guard = Watching()

    @tool(approval_mode="never_require")
    def look(what: str) -> str:
        return "17 boxes"

    clerk = agent("clerk", asks("look", "c1", what="store"), "There are 17 boxes.", tools=[look])
    boss = agent(
        "boss",
        asks("clerk", "c0", task="Count the boxes."),
        "We have 17 boxes.",
        tools=[clerk.as_tool()],
        middleware=[AgentFrameworkBreaker(guard)],
    )
    clerk.middleware = [AgentFrameworkBreaker(guard)]
    await run(boss, "How many boxes?", stream=stream)
    assert [(message.sender, message.kind) for message in guard.seen if message.kind != "system"] == [
        ("user", "message"),
        ("boss", "tool_call"),
        ("clerk", "tool_call"),
        ("look", "tool_result"),
        ("clerk", "tool_result"),
        ("boss", "message"),
    ]
    assert sum(message.usage.total for message in guard.seen if message.usage) == 60
    assert len({message.conversation_id for message in guard.seen}) == 1


@STREAMS
async def test_a_person_in_the_loop_of_a_handoff(stream: bool) -> None:
    """What the person answers when asked is new input from outside, in the same conversation."""
    guard = Watching()
    kept: Any = {"require_per_service_call_history_persistence": True}
    ann, ben = agent("ann", *FACTS, **kept), agent("ben", *FACTS, **kept)
    workflow = HandoffBuilder(participants=[ann, ben]).with_start_agent(ann).build()
    result = await run(AgentFrameworkBreaker(guard).attach(workflow), "Read the rows.", stream=stream)
    for n in range(2):
        [request] = result.get_request_info_events()
        answer = [Message("user", [f"And row {n}?"])]
        result = await run(workflow, responses={request.request_id: answer}, stream=stream)
    assert guard.edges == [("user", "ann"), ("ann", None)] * 3
    assert [message.role for message in guard.seen] == ["user", "assistant"] * 3
    assert len({message.conversation_id for message in guard.seen}) == 1


@STREAMS
async def test_agents_that_a_person_approves(stream: bool) -> None:
    """Where a person looks at each answer, the agents sit in workflows of their own, and what is said is seen."""
    guard = Watching()
    breaker = AgentFrameworkBreaker(guard)
    builder = SequentialBuilder(participants=[agent("ann", *FACTS[:2]), agent("ben", FACTS[2])]).with_request_info()
    workflow = breaker.attach(builder.build())
    result = await run(workflow, "Read the rows.", stream=stream)
    answers = [AgentRequestInfoResponse.from_strings(["Please add the total."]), AgentRequestInfoResponse.approve()]
    for answer in answers:
        [request] = result.get_request_info_events()
        result = await run(workflow, responses={request.request_id: answer}, stream=stream)
    assert [(message.sender, message.content) for message in guard.seen] == [
        ("user", "Read the rows."),
        ("ann", FACTS[0]),
        ("user", "Please add the total."),
        ("ann", FACTS[1]),
        ("ben", FACTS[2]),
    ]
    assert not breaker.faults


@STREAMS
async def test_magentic_its_manager_pays_and_is_nobody(stream: bool) -> None:
    """An agent of a Magentic team that brings nothing is halted, though its manager believes in it."""
    guard, board = Watching(), Board()
    answers = {
        "is_request_satisfied": False,
        "is_in_loop": False,
        "is_progress_being_made": True,
        "next_speaker": "ann",
        "instruction_or_question": "Please go on.",
    }
    ledger = json.dumps({name: {"reason": "so it is", "answer": answer} for name, answer in answers.items()})
    boss = Agent(Client(lambda: ledger if "json" in board.read[-1][-1].text.lower() else "A plan.", board), name="boss")
    workflow = MagenticBuilder(participants=[agent("ann", "Thanks, all is good.")], manager_agent=boss).build()
    breaker = AgentFrameworkBreaker(guard)
    with pytest.raises(RunHalted):
        await asyncio.wait_for(run(breaker.attach(workflow), "Read the rows.", stream=stream), 20)
    assert {message.sender for message in guard.seen if message.content} == {"user", "ann"}
    assert sum(message.sender == "boss" and message.usage is not None for message in guard.seen) == board.begun
    assert not breaker.faults


@STREAMS
async def test_a_workflow_as_an_agent(stream: bool) -> None:
    """A workflow that is used as an agent is watched like any other, and its last answer says why it ended."""
    script, board = SCRIPTS[0], Board()
    workflow = AgentFrameworkBreaker(on_halt="finish").attach(chat_of(script, board))
    answer = await run(workflow.as_agent(name="team"), script.question, stream=stream)
    assert "[agentbreaker] This conversation was ended" in answer.text
    assert script.first <= board.begun - 1 <= script.last


async def test_an_agent_of_another_kind_is_heard_and_stopped() -> None:
    """Agents without middleware are seen by what they say, and are not asked any more once the breaker is open."""

    class Other(BaseAgent):
        asked = 0

        async def _answer(self) -> AgentResponse[Any]:
            Other.asked += 1
            return AgentResponse(messages=[Message("assistant", [THANKS[Other.asked % 6]], author_name=self.name)])

        def run(self, messages: Any = None, *, stream: bool = False, session: Any = None, **kwargs: Any) -> Any:
            return self._answer()

    names = ("ann", "ben")
    guard = Watching()
    workflow = GroupChatBuilder(
        participants=[Other(name=name) for name in names],
        selection_func=lambda state: names[state.current_round % 2],
    ).build()
    breaker = AgentFrameworkBreaker(guard)
    with pytest.raises(RunHalted):
        await asyncio.wait_for(breaker.attach(workflow).run("Thank each other."), 20)
    assert guard.edges[:4] == [("user", "ann"), ("ann", "ben"), ("ben", "ann"), ("ann", "ben")]
    assert Other.asked == len(guard.seen) - 1 < 15
    assert not breaker.faults


async def test_a_loop_of_ones_own_with_one_conversation() -> None:
    """Agents that a program calls in turn are one conversation, with edges, if the breaker has its id."""
    guard, board = Watching(), Board()
    breaker = AgentFrameworkBreaker(guard, conversation_id="c1")
    ann = agent("ann", *THANKS[::2], board=board, middleware=[breaker])
    ben = agent("ben", *THANKS[1::2], board=board, middleware=[breaker])

    async def thank() -> None:
        text = "Thank each other."
        for _ in range(40):
            text = (await ann.run(text)).text
            text = (await ben.run(text)).text

    with pytest.raises(RunHalted):
        await thank()
    assert board.begun < 20
    assert guard.edges[:3] == [("user", "ann"), ("ann", "ben"), ("ben", "ann")]
    assert guard.state("c1") is State.OPEN


async def test_the_last_word_is_counted_when_flushed() -> None:
    """Where nobody knows who reads an answer, it waits for the reader, or for ``flush``."""
    guard = Watching()
    breaker = AgentFrameworkBreaker(guard, conversation_id="c1")
    await agent("ann", FACTS[0], middleware=[breaker]).run("Read.")
    assert guard.edges == [("user", "ann")]
    breaker.flush()
    assert guard.edges == [("user", "ann"), ("ann", None)]


async def test_sessions_are_conversations_and_history_is_counted_once() -> None:
    """A session goes on over several runs; messages that are handed over again are no new ones."""
    guard = Watching()
    ann = agent("ann", *FACTS, middleware=[AgentFrameworkBreaker(guard)])
    session = AgentSession(session_id="s1")
    history = [Message("user", ["First question about the rows."])]
    for n in range(3):
        answer = await ann.run(history, session=session)
        history += [*answer.messages, Message("user", [f"Question {n} about the rows."])]
    assert {message.conversation_id for message in guard.seen} == {"s1"}
    assert guard.edges == [("user", "ann"), ("ann", "user")] * 3


@STREAMS
async def test_breakers_of_one_guard_count_once(stream: bool) -> None:
    """The same guard on the agent, for the run, and on the workflow sees each event a single time."""
    guard = Watching()
    ann = agent("ann", FACTS[0], middleware=[AgentFrameworkBreaker(guard)])
    ben = agent("ben", FACTS[1])
    breaker = AgentFrameworkBreaker(guard)
    workflow = breaker.attach(SequentialBuilder(participants=[ann, ben]).build())
    assert breaker.attach(workflow) is workflow
    await run(workflow, "Read the rows.", stream=stream)
    await run(ann, "Read.", stream=stream, middleware=[breaker])
    assert [message.sender for message in guard.seen] == ["user", "ann", "ben", "user", "ann"]


class Broken(Guard):
    """A guard with a fault."""

    def observe(self, message: Seen) -> Decision:
        raise RuntimeError("secret content must not be logged")


@STREAMS
async def test_our_own_faults_do_not_reach_the_agents(stream: bool, caplog: pytest.LogCaptureFixture) -> None:
    """They are counted and logged by type; the workflow runs as if we were not there."""
    board = Board()
    breaker = AgentFrameworkBreaker(Broken())
    with caplog.at_level("DEBUG", logger="agentbreaker"):
        await play(SCRIPTS[4], breaker, board, stream)
        await play(SCRIPTS[5], breaker, board, stream)
    assert board.begun == len(SCRIPTS[4].turns) + len(SCRIPTS[5].turns)
    assert breaker.faults["RuntimeError"] > 20
    assert "RuntimeError" in caplog.text
    assert "secret" not in caplog.text


@STREAMS
async def test_an_error_of_a_model_or_tool_stays_its_own(stream: bool) -> None:
    """What a client raises reaches the caller; what a tool raises is an error's result; nothing stays in flight."""
    guard = Watching()
    breaker = AgentFrameworkBreaker(guard)

    @tool(approval_mode="never_require")
    def fail() -> str:
        raise LookupError("no such row")

    session = AgentSession(session_id="s1")
    one = agent("ann", asks("fail", "c1"), "It cannot be had.", tools=[fail], middleware=[breaker])
    await run(one, "Get it.", session=session, stream=stream)
    [result] = [message for message in guard.seen if message.kind == "tool_result"]
    assert result.tool is not None
    assert result.tool.is_error
    two = Agent(Client(FACTS, fails_at=1), name="ann", middleware=[breaker])
    with pytest.raises(LookupError, match="service is down"):
        await run(two, "Get it.", session=session, stream=stream)
    assert breaker._watch.flying("s1") == 0
    assert guard.state("s1") is State.CLOSED


@STREAMS
async def test_a_result_that_middleware_gives_is_no_error(stream: bool) -> None:
    """Middleware of the user that answers a call itself, and ends the run with it, has given a result."""

    class Cached(FunctionMiddleware):
        async def process(self, context: Any, call_next: Any) -> None:
            context.result = "17 boxes"
            raise MiddlewareTermination(result=context.result)

    @tool(approval_mode="never_require")
    def count() -> str:
        return "never called"

    guard = Watching()
    middleware = [AgentFrameworkBreaker(guard), Cached()]
    ann = agent("ann", asks("count", "c1"), "Done.", tools=[count], middleware=middleware)
    await run(ann, "How many boxes?", stream=stream)
    [result] = [message for message in guard.seen if message.kind == "tool_result"]
    assert result.tool is not None
    assert (result.content, result.tool.is_error) == ("17 boxes", False)


@STREAMS
async def test_words_along_with_a_tool_that_the_caller_runs(stream: bool) -> None:
    """A call that is handed to the caller is none of ours, but what was said with it, and its tokens, are seen."""
    outside = FunctionTool(name="approve", description="Ask the person.", func=None, input_model={"type": "object"})
    guard = Watching()
    ann = agent("ann", asks("approve", "c1", "I need your approval."), tools=[outside])
    await run(ann, "Order the boxes.", stream=stream, middleware=[AgentFrameworkBreaker(guard)])
    assert [(message.sender, message.content) for message in guard.seen] == [
        ("user", "Order the boxes."),
        ("ann", "I need your approval."),
    ]
    assert guard.seen[1].usage is not None


async def test_a_halt_is_both_kinds_of_exception() -> None:
    """It is the halt of all integrations, and the one signal that Agent Framework passes on from a tool."""
    guard = Guard()
    breaker = AgentFrameworkBreaker(guard, conversation_id="c1")
    guard.force_open("c1", "maintenance", by="ops")
    with pytest.raises(ConversationHalted, match="maintenance") as halted:
        await agent("ann", *FACTS, middleware=[breaker]).run("Read.")
    assert isinstance(halted.value, MiddlewareFailure)
    assert halted.value.conversation_id == "c1"


async def test_an_executor_that_calls_agents_itself() -> None:
    """Agents that run inside an executor of the user's own speak to it, and to whoever gets their words next."""

    class Desk(Executor):
        def __init__(self, inside: Agent[Any]) -> None:
            super().__init__(id="desk")
            self.inside = inside

        @handler
        async def read(self, task: str, ctx: WorkflowContext[str]) -> None:
            await ctx.send_message((await self.inside.run(task)).text)

    guard = Watching()
    breaker = AgentFrameworkBreaker(guard)
    desk = Desk(agent("ann", FACTS[0], middleware=[breaker]))
    last = AgentExecutor(agent("ben", FACTS[1]))
    workflow = WorkflowBuilder(start_executor=desk, output_from=[last]).add_edge(desk, last).build()
    await breaker.attach(workflow).run("Read the rows.")
    assert guard.edges == [("user", "desk"), ("desk", "ann"), ("ann", "ben"), ("ben", None)]
    assert not breaker.faults


def test_arguments_are_checked() -> None:
    """A guard and a policy, an unknown way to halt, and a workflow that was not built are errors at once."""
    guard = Guard()
    with pytest.raises(TypeError, match="not both"):
        AgentFrameworkBreaker(guard, policy=guard.policy)
    with pytest.raises(ValueError, match="on_halt"):
        AgentFrameworkBreaker(on_halt="value")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="not GroupChatBuilder"):
        AgentFrameworkBreaker().attach(GroupChatBuilder(participants=[agent("ann", "x")]))  # type: ignore[arg-type]


def test_without_the_framework_the_error_says_what_to_install() -> None:
    """The import fails with the name of the extra."""
    code = (
        "import sys\n"
        "sys.modules['agent_framework'] = None\n"
        "try:\n    import agentbreaker.integrations.agent_framework\n"
        "except ImportError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 'pip install "agentbreaker[agent-framework]"' in done.stdout
