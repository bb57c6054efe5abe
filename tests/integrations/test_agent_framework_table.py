# ruff: noqa: E402 - what is tested is imported after the check that it is there
"""Microsoft Agent Framework: each cell of the table of what the caller gets, and that nothing paid follows."""

from __future__ import annotations

import asyncio
import functools
import gc
from typing import Any

import pytest

NEEDED = "Microsoft Agent Framework is not installed: pip install agentbreaker[agent-framework]"
pytest.importorskip("agent_framework", reason=NEEDED)
pytest.importorskip("agent_framework_orchestrations", reason=NEEDED)

from agent_framework import (
    Agent,
    AgentSession,
    FileCheckpointStorage,
    InMemoryCheckpointStorage,
    Message,
    tool,
)
from agent_framework_orchestrations import ConcurrentBuilder, GroupChatBuilder, HandoffBuilder, SequentialBuilder

from agentbreaker import Action, Guard, Policy, State
from agentbreaker.errors import ConversationHaltedError
from agentbreaker.integrations.agent_framework import AgentFrameworkBreaker, RunHalted, RunHaltedError
from agentbreaker.pricing import Pricing
from agentbreaker.verdict import STEER_TEXT
from tests.integrations.agent_framework_shapes import THANKS, Board, Client, asks, chat_of, run, texts_of
from tests.integrations.scripts import SCRIPTS

STREAMS = pytest.mark.parametrize("stream", [False, True], ids=["run", "stream"])
FACTS = tuple(f"Row {n}: invoice {n * 7919 % 10007} of {n * 31 % 97} euros to client {chr(65 + n)}." for n in range(20))
FINISH: Any = {"ladder": {"finish": 4.0, "halt": 40.0}}


def finishing() -> Guard:
    """A guard whose policy finishes where it would have halted."""
    return Guard(Policy(**FINISH))


def looper(breaker: AgentFrameworkBreaker | None, board: Board) -> Agent[Any]:
    """An agent that makes the same call again and again."""

    @tool(approval_mode="never_require")
    def search(q: str) -> str:
        board.tools += 1
        return "nothing was found"

    calls = iter(range(1000))
    client = Client(lambda: asks("search", f"c{next(calls)}", q="x"), board)
    return Agent(client, name="ann", tools=[search], middleware=[breaker] if breaker else None)


def chat(board: Board, lines: tuple[Any, ...] = THANKS, **kwargs: Any) -> Any:
    """A group chat of two agents that thank each other without end."""
    names = ("ann", "ben")
    agents = [Agent(Client(lines[n::2], board), name=name) for n, name in enumerate(names)]
    return GroupChatBuilder(
        participants=agents, selection_func=lambda state: names[state.current_round % 2], **kwargs
    ).build()


def handoff(board: Board, **kwargs: Any) -> Any:
    """Two agents that hand over to each other without end, and without a word."""
    calls = iter(range(1000))

    def hand_over(other: str) -> Any:
        return asks(f"handoff_to_{other}", f"c{next(calls)}")

    agents = [
        Agent(
            Client(functools.partial(hand_over, other), board),
            name=name,
            require_per_service_call_history_persistence=True,
        )
        for name, other in (("ann", "ben"), ("ben", "ann"))
    ]
    return HandoffBuilder(participants=agents, **kwargs).with_start_agent(agents[0]).build()


# Halt.


@STREAMS
async def test_halt_of_an_agent_is_no_tool_error(stream: bool) -> None:
    """The run ends with the halt; no model reads of it, and no further call of model or tool begins."""
    board, breaker = Board(), AgentFrameworkBreaker()
    session = AgentSession(session_id="s1")
    ann = looper(breaker, board)
    with pytest.raises(RunHalted, match="Exact repeat") as halted:
        await run(ann, "Find it.", session=session, stream=stream)
    assert halted.value.conversation_id == "s1"
    assert board.begun == board.ended == board.tools < 10
    assert not any("agentbreaker" in one.text for read in board.read for one in read)
    calls = board.begun
    with pytest.raises(RunHalted):  # nothing new from the person, so nothing begins
        await run(ann, [], session=session, stream=stream)
    assert board.begun == calls
    standing = breaker.halts.of("s1")
    assert standing is not None
    assert (standing.in_flight, standing.refused) == (0, 2)
    assert not breaker.faults


@STREAMS
async def test_halt_when_a_tool_call_is_what_trips(stream: bool) -> None:
    """The tool does not run; the halt leaves the run, and does not become an answer of the tool."""
    board = Board()
    breaker = AgentFrameworkBreaker(Guard(Policy(budgets={"max_messages": 1})))
    with pytest.raises(RunHalted, match="budget"):
        await run(looper(breaker, board), "Find it.", stream=stream)
    assert (board.begun, board.tools) == (1, 0)


@STREAMS
async def test_halt_of_a_workflow(stream: bool) -> None:
    """The run of a group chat ends with the halt, before the next agent is asked."""
    board, breaker = Board(), AgentFrameworkBreaker()
    workflow = breaker.attach(chat(board))
    with pytest.raises(RunHalted, match="ping-pong"):
        await asyncio.wait_for(run(workflow, "Thank each other.", stream=stream), 20)
    name = breaker.conversation_of(workflow)
    assert name is not None
    assert breaker.guard.state(name) is State.OPEN
    assert board.begun == board.ended < 15
    incident = breaker.guard.incident(name)
    assert incident is not None
    assert set(incident.agents) == {"ann", "ben"}


@STREAMS
async def test_halt_of_a_wordless_handoff(stream: bool) -> None:
    """Agents that only hand over to each other are halted, long before Agent Framework's limit of 100 steps."""
    board, breaker = Board(), AgentFrameworkBreaker()
    with pytest.raises(RunHalted):
        await asyncio.wait_for(run(breaker.attach(handoff(board)), "Help me.", stream=stream), 20)
    assert board.begun < 25
    assert not breaker.faults


@STREAMS
async def test_a_supervisor_may_hand_over_without_a_word(stream: bool) -> None:
    """Handing over and back without a word is no evidence while the work in between goes on."""
    board, rows, calls = Board(), iter(FACTS), iter(range(1000))

    @tool(approval_mode="never_require")
    def read() -> str:
        return next(rows)

    def work() -> Any:
        number = next(calls)
        return asks("read" if number % 2 == 0 else "handoff_to_boss", f"w{number}")

    def pass_on() -> Any:
        return asks("handoff_to_worker", f"b{board.begun}")

    kept: Any = {"require_per_service_call_history_persistence": True}
    boss = Agent(Client(pass_on, board), name="boss", **kept)
    worker = Agent(Client(work, board), name="worker", tools=[read], **kept)
    breaker = AgentFrameworkBreaker()
    workflow = HandoffBuilder(
        participants=[boss, worker], termination_condition=lambda messages: board.begun > 40
    ).with_start_agent(boss)
    await asyncio.wait_for(run(breaker.attach(workflow.build()), "Read all rows.", stream=stream), 20)
    assert board.begun > 40
    assert not breaker.faults


@STREAMS
async def test_halt_of_a_tool_loop_inside_a_group_chat(stream: bool) -> None:
    """One agent of a group chat that loops over its tool is stopped within its turn."""
    board, breaker = Board(), AgentFrameworkBreaker()
    agents = [looper(None, board), Agent(Client(FACTS), name="ben")]
    workflow = GroupChatBuilder(participants=agents, selection_func=lambda state: "ann").build()
    with pytest.raises(RunHalted, match="Exact repeat"):
        await asyncio.wait_for(run(breaker.attach(workflow), "Find it.", stream=stream), 20)
    assert board.tools < 10


async def test_halt_as_an_ordinary_exception() -> None:
    """A guard with ``halt_as="exception"`` is obeyed."""
    breaker = AgentFrameworkBreaker(Guard(halt_as="exception"))
    with pytest.raises(ConversationHaltedError) as halted:
        await looper(breaker, Board()).run("Find it.")
    assert type(halted.value) is RunHaltedError


async def test_a_swallowed_halt_is_repeated() -> None:
    """A tool that catches everything cannot go on: the next model call is stopped again."""
    board, breaker = Board(), AgentFrameworkBreaker(Guard(Policy(budgets={"max_messages": 8})))
    inner = looper(None, board)

    @tool(approval_mode="never_require")
    async def ask_ann() -> str:
        try:
            return (await inner.run("Find it.")).text
        except Exception:
            return "ann has no answer"

    inner.middleware = [breaker]
    outer_board = Board()
    boss = Agent(Client([asks("ask_ann", "b1"), *FACTS], outer_board), name="boss", tools=[ask_ann])
    boss.middleware = [breaker]
    with pytest.raises(RunHalted):
        await boss.run("What does ann say?")
    assert outer_board.begun == 1


@STREAMS
async def test_a_stop_from_outside_reaches_running_branches(stream: bool) -> None:
    """A person opens the breaker while agents work side by side: calls under way end, no other begins."""
    board = Board()
    breaker = AgentFrameworkBreaker(conversation_id="c1")
    agents = [looper(None, board) for _ in range(3)]
    for n, one in enumerate(agents):
        one.name = f"worker-{n}"
        assert isinstance(one.client, Client)
        one.client.seconds = 0.05
    workflow = breaker.attach(ConcurrentBuilder(participants=agents).build())
    task = asyncio.create_task(run(workflow, "Find it.", stream=stream))
    while board.begun < 3:
        await asyncio.sleep(0.005)
    breaker.guard.force_open("c1", "maintenance", by="ops")
    with pytest.raises(RunHalted, match="maintenance"):
        await asyncio.wait_for(task, 20)
    assert board.begun == 3
    assert breaker._watch.flying("c1") == 0


# Finish with a reason.


@STREAMS
@pytest.mark.parametrize("how", ["policy", "on_halt"])
async def test_finish_of_an_agent(stream: bool, how: str) -> None:
    """The run ends with a last answer that says why, whether the policy finishes or ``on_halt`` makes an end of it."""
    board = Board()
    breaker = AgentFrameworkBreaker(finishing()) if how == "policy" else AgentFrameworkBreaker(on_halt="finish")
    session = AgentSession(session_id="s1")
    ann = looper(breaker, board)
    answer = await run(ann, "Find it.", session=session, stream=stream)
    assert answer.messages[-1].text.startswith("[agentbreaker] This conversation was ended: Exact repeat")
    assert board.begun == board.tools < 10
    again = await run(ann, [], session=session, stream=stream)
    assert again.text.startswith("[agentbreaker] This conversation was ended")
    assert board.begun == board.tools < 10
    assert not breaker.faults


@STREAMS
async def test_finish_when_a_tool_call_is_what_trips(stream: bool) -> None:
    """The tool does not run, and the last answer says why."""
    board = Board()
    breaker = AgentFrameworkBreaker(Guard(Policy(budgets={"max_messages": 1})), on_halt="finish")
    answer = await run(looper(breaker, board), "Find it.", stream=stream)
    assert "budget" in answer.messages[-1].text
    assert (board.begun, board.tools) == (1, 0)


@STREAMS
@pytest.mark.parametrize("shape", [chat, handoff])
async def test_finish_of_a_workflow(stream: bool, shape: Any) -> None:
    """The run ends as if done; its last output says why, once, and nothing begins any more."""
    board, breaker = Board(), AgentFrameworkBreaker(on_halt="finish")
    workflow = breaker.attach(shape(board))
    result = await asyncio.wait_for(run(workflow, "Go on.", stream=stream), 20)
    assert result.get_final_state().value == "IDLE"
    said = [text for text in texts_of(result) if "[agentbreaker]" in text]
    assert len(said) == 1
    assert texts_of(result)[-1] == said[0]
    assert board.begun < 25
    assert not breaker.faults


@STREAMS
async def test_finish_of_agents_side_by_side_is_said_once(stream: bool) -> None:
    """However many branches are kept from running, there is one last output."""
    breaker, board = AgentFrameworkBreaker(on_halt="finish", conversation_id="c1"), Board()
    agents = [Agent(Client(FACTS, board), name=f"worker-{n}") for n in range(3)]
    breaker.guard.force_open("c1", "maintenance")
    result = await run(breaker.attach(ConcurrentBuilder(participants=agents).build()), "Read.", stream=stream)
    assert len([text for text in texts_of(result) if "maintenance" in text]) == 1
    assert board.begun == 0


@STREAMS
async def test_our_last_answer_is_nobodys_message(stream: bool) -> None:
    """What ends a run is not shown to the guard as if the agent had said it."""
    shown: list[str] = []

    class Listening(Guard):
        def observe(self, message: Any) -> Any:
            shown.append(message.content)
            return super().observe(message)

    await run(looper(AgentFrameworkBreaker(Listening(), on_halt="finish"), Board()), "Find it.", stream=stream)
    assert shown
    assert not any("[agentbreaker]" in text for text in shown)


@STREAMS
async def test_finish_spares_the_manager_its_call(stream: bool) -> None:
    """A tool loop ends the turn of its agent; the manager, which is paid for, is not asked who comes next."""
    board, asked = Board(), Board()
    choice = '{"terminate": false, "reason": "-", "next_speaker": "ann", "final_message": null}'
    boss = Agent(Client([choice], asked), name="boss")
    breaker = AgentFrameworkBreaker(on_halt="finish")
    workflow = GroupChatBuilder(participants=[looper(None, board)], orchestrator_agent=boss).build()
    result = await asyncio.wait_for(run(breaker.attach(workflow), "Find it.", stream=stream), 20)
    assert asked.begun == 1
    assert texts_of(result)[-1].startswith("[agentbreaker] This conversation was ended: Exact repeat")
    assert board.tools < 10
    assert not breaker.faults


@STREAMS
async def test_the_condition_alone_ends_a_group_chat(stream: bool) -> None:
    """Without any middleware it sees what the agents say, and ends the group chat with the framework's own message."""
    board = Board()
    breaker = AgentFrameworkBreaker(conversation_id="c1")
    workflow = chat(board, termination_condition=breaker.termination_condition)
    result = await asyncio.wait_for(run(workflow, "Thank each other.", stream=stream), 20)
    assert "termination condition" in texts_of(result)[-1]
    assert breaker.guard.state("c1") is State.OPEN
    assert board.begun < 15
    incident = breaker.guard.incident("c1")
    assert incident is not None
    assert incident.messages == board.begun + 1  # each once, though the whole conversation is handed over each time


async def test_the_condition_may_be_asked_again() -> None:
    """A hand-off asks before and after each turn; the same conversation once more is nothing new."""
    breaker = AgentFrameworkBreaker(conversation_id="c1")
    said = [Message("user", ["Please thank each other."])]
    for n, text in enumerate(THANKS[:3]):
        said.append(Message("assistant", [text], author_name=("ann", "ben")[n % 2]))
        assert not any(breaker.termination_condition(list(said)) for _ in range(9))
    assert breaker.guard._conversations["c1"].messages == 4


async def test_the_condition_needs_to_know_the_conversation(caplog: pytest.LogCaptureFixture) -> None:
    """A breaker without an id cannot tell whose messages these are: it says so once, and lets them pass."""
    breaker = AgentFrameworkBreaker()
    assert [breaker.termination_condition([Message("user", ["x"])]) for _ in range(3)] == [False] * 3
    assert caplog.text.count("termination_condition") == 1


async def test_the_users_own_condition_stays_in_force() -> None:
    """What the builder was given still ends the group chat."""
    board = Board()
    workflow = chat(board, FACTS, termination_condition=lambda messages: len(messages) > 4)
    result = await AgentFrameworkBreaker().attach(workflow).run("Read the rows.")
    assert board.begun == 4
    assert "termination condition" in texts_of(result)[-1]


# Steer.


@STREAMS
async def test_steer_is_one_more_message_in_the_next_call(stream: bool) -> None:
    """The agents read it with the next model call only, and it is no part of what is kept."""
    board, breaker = Board(), AgentFrameworkBreaker()
    lines = (*THANKS[:4], *FACTS)
    workflow = breaker.attach(chat(board, lines, max_rounds=12))
    result = await run(workflow, "Thank each other.", stream=stream)
    told = [n for n, read in enumerate(board.read) if any(one.text == STEER_TEXT for one in read)]
    assert told
    assert all(board.read[n][-1].text == STEER_TEXT for n in told)
    assert all(sum(one.text == STEER_TEXT for one in board.read[n]) == 1 for n in told)
    assert STEER_TEXT not in "".join(texts_of(result))


@STREAMS
async def test_steer_helps_agents_that_heed_it(stream: bool) -> None:
    """An agent that brings something new once it is told goes on; one that was not told is halted."""
    board = Board()
    thanks, facts = iter(THANKS * 9), iter(FACTS)

    def line() -> str:
        heeds = any(one.text == STEER_TEXT for one in board.read[-1]) or told
        told.extend([1] if heeds else [])
        return next(facts) if heeds else next(thanks)

    told: list[int] = []
    client = Client(line, board)
    names = ("ann", "ben")
    workflow = GroupChatBuilder(
        participants=[Agent(client, name=name) for name in names],
        selection_func=lambda state: names[state.current_round % 2],
        max_rounds=20,
    ).build()
    await run(AgentFrameworkBreaker().attach(workflow), "Thank each other.", stream=stream)
    assert board.begun == 20


# Resume.


@STREAMS
async def test_resume_of_an_agent(stream: bool) -> None:
    """After a reset the session goes on."""
    board, breaker = Board(), AgentFrameworkBreaker()
    session = AgentSession(session_id="s1")
    with pytest.raises(RunHalted):
        await run(looper(breaker, board), "Find it.", session=session, stream=stream)
    breaker.guard.reset("s1")
    other = Agent(Client(FACTS), name="ann", middleware=[breaker])
    answer = await run(other, "What did you find?", session=session, stream=stream)
    assert answer.text == FACTS[0]


@STREAMS
async def test_resume_of_a_workflow_from_its_checkpoint(stream: bool) -> None:
    """After a reset it goes on where it was halted, in the same conversation, and loses nothing of what was said."""
    board, storage = Board(), InMemoryCheckpointStorage()
    breaker = AgentFrameworkBreaker()
    workflow = breaker.attach(chat(board, (*THANKS, *FACTS), checkpoint_storage=storage, max_rounds=14))
    with pytest.raises(RunHalted) as halted:
        await run(workflow, "Thank each other.", stream=stream)
    calls = board.begun
    latest = await storage.get_latest(workflow_name=workflow.name)
    assert latest is not None
    with pytest.raises(RunHalted):  # the breaker is still open
        await run(workflow, checkpoint_id=latest.checkpoint_id, stream=stream)
    assert board.begun == calls
    breaker.guard.reset(halted.value.conversation_id)
    await run(workflow, checkpoint_id=latest.checkpoint_id, stream=stream)
    assert breaker.conversation_of(workflow) == halted.value.conversation_id
    assert board.begun == 14
    assert board.read[calls][0].text == "Thank each other."
    assert len(board.read[calls]) == calls + 1


async def test_resume_in_another_process(tmp_path: Any) -> None:
    """The checkpoint knows its conversation: a workflow that is built anew goes on in it, with what the guard knows."""
    guard, name = Guard(), None
    for turn in range(2):
        board = Board()
        storage = FileCheckpointStorage(tmp_path, allowed_checkpoint_types=["agent_framework_orchestrations"])
        breaker = AgentFrameworkBreaker(guard)
        workflow = breaker.attach(chat(board, checkpoint_storage=storage))
        latest = await storage.get_latest(workflow_name=workflow.name)
        with pytest.raises(RunHalted):
            await (workflow.run(checkpoint_id=latest.checkpoint_id) if latest else workflow.run("Thank each other."))
        if turn:
            assert board.begun == 0
            assert breaker.conversation_of(workflow) == name
        name = breaker.conversation_of(workflow)
    assert guard.conversations() == [name]


async def test_a_new_run_is_a_new_conversation() -> None:
    """A workflow that is run for another task starts with a closed breaker; one that has an id does not."""
    breaker = AgentFrameworkBreaker()
    for given in (None, "c1"):
        workflow = breaker.attach(chat(Board()), conversation_id=given)
        names = []
        for _ in range(2):
            with pytest.raises(RunHalted):
                await workflow.run("Thank each other.")
            names.append(breaker.conversation_of(workflow))
            await workflow._runner.context.drain_messages()  # as a halted run without checkpoints cannot go on
        assert len(set(names)) == (2 if given is None else 1)


# Shadow mode.


@STREAMS
async def test_shadow_mode_changes_nothing(stream: bool) -> None:
    """With metrics_only all turns are taken; what would have been done is counted, and the incident is written."""
    board, breaker = Board(), AgentFrameworkBreaker(Guard(mode="metrics_only"))
    workflow = breaker.attach(chat(board, max_rounds=30))
    await run(workflow, "Thank each other.", stream=stream)
    assert board.begun == 30
    assert breaker.withheld[Action.HALT] > 0
    name = breaker.conversation_of(workflow)
    assert name is not None
    assert breaker.guard.incident(name) is not None
    assert not any(one.text == STEER_TEXT for read in board.read for one in read)


# Budgets, held before a call.


@STREAMS
async def test_a_budget_is_held_before_calls_begin(stream: bool) -> None:
    """Agents side by side that would each still fit cannot overshoot together: one of them is not called."""
    board = Board()
    breaker = AgentFrameworkBreaker(Guard(Policy(budgets={"max_tokens": 250})))
    agents = [
        Agent(
            Client([FACTS[n]], board, usage=(10, 90), seconds=0.02),
            name=f"worker-{n}",
            default_options={"max_tokens": 90},
        )
        for n in range(3)
    ]
    workflow = breaker.attach(ConcurrentBuilder(participants=agents).build())
    with pytest.raises(RunHalted, match="budget"):
        await run(workflow, "Read the rows.", stream=stream)
    assert board.begun == 2
    assert not breaker.faults


PRICES = {"scripted-1": {"input": 100.0, "output": 1000.0}}


@STREAMS
async def test_money_of_each_call_is_counted_by_the_price_list(stream: bool) -> None:
    """The message that tells of a call carries its dollars; what nobody has a price for counts as unpriced."""
    breaker = AgentFrameworkBreaker(conversation_id="c1", pricing=Pricing(PRICES))
    seen: list[Any] = []
    observe = breaker.guard.observe

    def noted(message: Any) -> Any:
        seen.append(message)
        return observe(message)

    breaker.guard.observe = noted  # type: ignore[method-assign]
    for model in ("scripted-1", "gpt-4o-mini", "house-7b"):
        await run(Agent(Client(FACTS, model=model), name=model, middleware=[breaker]), "Read.", stream=stream)
    breaker.flush()
    paid = {message.model: message for message in seen if message.usage is not None}
    assert paid["scripted-1"].cost_usd == pytest.approx(10 * 100e-6 + 5 * 1000e-6)
    assert paid["gpt-4o-mini"].cost_usd == pytest.approx(10 * 0.15e-6 + 5 * 0.6e-6)
    assert paid["house-7b"].cost_usd is None
    account = breaker.guard.account("c1")
    assert account.cost_usd == pytest.approx(0.006 + 4.5e-6)
    assert account.unpriced_tokens == 15
    assert breaker.pricing.unpriced == {"house-7b": 15}
    assert not breaker.faults


@STREAMS
async def test_money_is_held_before_a_call(stream: bool) -> None:
    """Agents side by side cannot overshoot a budget of dollars together, and one agent's calls cannot in a row."""
    board = Board()
    guard = Guard(Policy(budgets={"max_cost_usd": 0.25}))
    breaker = AgentFrameworkBreaker(guard, conversation_id="c1", pricing=Pricing(PRICES))
    agents = [
        Agent(
            Client([FACTS[n]], board, usage=(10, 90), seconds=0.02),
            name=f"worker-{n}",
            default_options={"max_tokens": 90},
        )
        for n in range(3)
    ]
    workflow = breaker.attach(ConcurrentBuilder(participants=agents).build())
    with pytest.raises(RunHalted, match="US dollars"):
        await run(workflow, "Read the rows.", stream=stream)
    assert board.begun == 2
    assert guard.decision("c1").code == "AB603"
    assert guard.account("c1").cost_usd <= 0.25
    guard = Guard(Policy(budgets={"max_cost_usd": 0.1}, detectors={"disable": ["AB301", "AB302", "AB401"]}))
    pricing = Pricing(PRICES, max_output_tokens=20)
    breaker, board = AgentFrameworkBreaker(guard, conversation_id="c1", pricing=pricing), Board()
    with pytest.raises(RunHalted, match="US dollars"):
        await run(looper(breaker, board), "Find it.", stream=stream)
    account = guard.account("c1")
    assert account.cost_usd == pytest.approx(0.006 * board.begun) == pytest.approx(0.006 * board.ended)
    assert 0.0 < account.cost_usd <= 0.1
    assert account.held_usd == pytest.approx(0.0, abs=1e-12)
    assert not breaker.faults


@STREAMS
async def test_what_was_held_is_given_back(stream: bool) -> None:
    """When all is counted, nothing is held any more, also after a model failed and a stream was dropped."""
    guard = Guard(Policy(budgets={"max_tokens": 100_000}))
    breaker = AgentFrameworkBreaker(guard, conversation_id="c1")
    options: Any = {"max_tokens": 500}
    ann = Agent(Client(FACTS), name="ann", middleware=[breaker], default_options=options)
    bad = Agent(Client(FACTS, fails_at=1), name="bad", middleware=[breaker], default_options=options)
    await run(ann, "Read.", stream=stream)
    with pytest.raises(LookupError):
        await run(bad, "Read.", stream=stream)
    dropped = ann.run("Read on.", stream=True)
    async for _ in dropped:
        break
    del dropped
    gc.collect()
    await asyncio.sleep(0)
    await run(ann, "Read on.", stream=stream)
    breaker.flush()
    conversation = guard._conversations["c1"]
    assert conversation.reserved_tokens == 0
    assert conversation.tokens == 30
    assert breaker._watch.flying("c1") == 0
    assert not breaker.faults


async def test_many_runs_at_once() -> None:
    """One breaker serves many conversations at once, and each is judged on its own."""
    breaker = AgentFrameworkBreaker()

    async def one(n: int) -> bool:
        board = Board()
        workflow = breaker.attach(chat(board, FACTS if n % 2 else THANKS, max_rounds=18))
        try:
            await workflow.run("Go on.")
        except RunHalted:
            return True
        return False

    halted = await asyncio.gather(*(one(n) for n in range(20)))
    assert halted == [n % 2 == 0 for n in range(20)]
    assert not breaker.faults


async def test_a_sequence_is_stopped_between_agents() -> None:
    """A breaker that is opened while the first of a sequence works keeps the second from being called."""
    board = Board()
    breaker = AgentFrameworkBreaker(conversation_id="c1")

    def line() -> str:
        breaker.guard.force_open("c1", "maintenance")
        return FACTS[0]

    agents = [Agent(Client(line, board), name="ann"), Agent(Client(FACTS, board), name="ben")]
    with pytest.raises(RunHalted, match="maintenance"):
        await breaker.attach(SequentialBuilder(participants=agents).build()).run("Read.")
    assert board.begun == 1


async def test_conversation_ids_are_not_shared_by_scripts() -> None:
    """The healthy review passes with a breaker that has just halted a runaway."""
    breaker, board = AgentFrameworkBreaker(), Board()
    with pytest.raises(RunHalted):
        await breaker.attach(chat_of(SCRIPTS[0], Board())).run("Agree.")
    await breaker.attach(chat_of(SCRIPTS[4], board)).run(SCRIPTS[4].question)
    assert board.begun == len(SCRIPTS[4].turns)
