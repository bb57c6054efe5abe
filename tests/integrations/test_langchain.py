"""The middleware of LangChain agents: alone or with the callbacks it stops, ends, steers, downgrades and asks."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from itertools import permutations
from typing import Any

import pytest

pytest.importorskip("langchain", "1.4", reason="the middleware needs LangChain 1.4")

from langchain.agents import create_agent
from langchain.agents.middleware import (
    AgentMiddleware,
    ModelFallbackMiddleware,
    ModelRetryMiddleware,
    ToolRetryMiddleware,
)
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command
from pydantic import BaseModel, Field

from agentbreaker import ConfigError, ConversationHalted, Guard, Policy, State, VirtualClock
from agentbreaker.integrations.langchain import BreakerMiddleware
from agentbreaker.integrations.langgraph import LangGraphBreaker
from agentbreaker.pricing import Pricing
from agentbreaker.verdict import STEER_TEXT

WAYS = [(mode, watched) for mode in ("invoke", "ainvoke") for watched in (False, True)]
REQUEST: Any = {"messages": [HumanMessage("Please find out why the export is slow.")]}
NEWS = (
    "Profiling shows 81 percent of export time inside openpyxl cell styling; Ferreira suggests write-only mode.",
    "Write-only mode cuts the export of 12,500 rows from 74 seconds to 9 seconds on the Rotterdam server.",
    "Legal wants audit logs for seven years: retention raised to 2557 days in audit.yml, chapter 3 documents it.",
)


class Model(BaseChatModel):
    """Asks for the same search again and again, unless told otherwise; records what it read."""

    tools_first: bool = True
    model_name: str = "scripted-1"
    calls: int = 0
    read: list[list[BaseMessage]] = Field(default_factory=list)
    complies: bool = False
    lines: tuple[str, ...] = ()
    parallel: int = 1
    max_tokens: int | None = None

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
        return self

    def _generate(self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> ChatResult:
        self.calls += 1
        self.read.append(list(messages))
        told = any(message.content == STEER_TEXT for message in messages)
        if self.lines and self.calls > len(self.lines):
            answer = AIMessage("The export is fast now.")
        elif self.lines or (self.complies and told):
            answer = AIMessage(self.lines[self.calls - 1] if self.lines else NEWS[0])
        else:
            asked = [
                {"name": "search", "args": {"q": "export", "n": n}, "id": f"{self.calls}-{n}"}
                for n in range(self.parallel)
            ]
            answer = AIMessage("", tool_calls=asked)
        answer.usage_metadata = {"input_tokens": 100, "output_tokens": 50, "total_tokens": 150}
        answer.response_metadata = {"model_name": self.model_name}
        return ChatResult(generations=[ChatGeneration(message=answer)])


RUNS: list[str] = []


def search(q: str, n: int = 0) -> str:
    """Look something up."""
    RUNS.append(q)
    return "Nothing found."


@pytest.fixture(autouse=True)
def _fresh() -> None:
    RUNS.clear()


def agent_of(model: Model, breaker: LangGraphBreaker, watched: bool = False, around: Any = (), **options: Any) -> Any:
    """An agent with the middleware, and with the callbacks if it is to be watched as well."""
    middleware = breaker.middleware(**options)
    agent = create_agent(model, [search], middleware=[*around, middleware], checkpointer=InMemorySaver(), name="alice")
    return agent.with_config(callbacks=[breaker]) if watched else agent


def config(thread: str = "t") -> Any:
    return {"configurable": {"thread_id": thread}, "recursion_limit": 200}


def run(agent: Any, mode: str, inputs: Any = REQUEST, thread: str = "t") -> Any:
    """Run in one of the two modes."""
    if mode == "invoke":
        return agent.invoke(inputs, config(thread))
    return asyncio.run(agent.ainvoke(inputs, config(thread)))


def dangling(messages: list[BaseMessage]) -> set[str | None]:
    """Tool calls without an answer."""
    asked = {call["id"] for message in messages if isinstance(message, AIMessage) for call in message.tool_calls}
    return asked - {message.tool_call_id for message in messages if isinstance(message, ToolMessage)}


def finishing() -> LangGraphBreaker:
    """A breaker whose policy asks for a final answer."""
    return LangGraphBreaker(Guard(Policy(ladder={"finish": 3.5})))


def patient(**options: Any) -> LangGraphBreaker:
    """A breaker with room between telling the agents and stopping them."""
    return LangGraphBreaker(Guard(Policy(ladder={"warn": 2.0, "steer": 3.0, "halt": 12.0}), **options))


@pytest.mark.parametrize(("mode", "watched"), WAYS)
def test_a_halt_pauses_the_agent_and_nothing_more_begins(mode: str, watched: bool) -> None:
    """A runaway is paused with its state, and resuming it against an open breaker costs no call."""
    model, breaker = Model(), LangGraphBreaker()
    agent = agent_of(model, breaker, watched)
    result = run(agent, mode)
    assert result["__interrupt__"][0].value["conversation_id"] == "t"
    assert breaker.guard.state("t") is State.OPEN
    calls, runs = model.calls, len(RUNS)
    assert 3 < calls < 40
    assert len(agent.get_state(config()).values["messages"]) >= calls + runs
    run(agent, mode, None)
    assert (model.calls, len(RUNS)) == (calls, runs)
    assert not breaker.faults


@pytest.mark.parametrize(("mode", "watched"), WAYS)
def test_a_paused_agent_goes_on_after_a_reset(mode: str, watched: bool) -> None:
    """The checkpoint of a paused agent is an ordinary one: after a reset the run goes on where it was."""
    model, breaker = Model(), LangGraphBreaker()
    agent = agent_of(model, breaker, watched)
    run(agent, mode)
    calls = model.calls
    breaker.guard.reset("t")
    model.lines, model.calls = (*[""] * calls, NEWS[1]), calls
    result = run(agent, mode, None)
    assert result["messages"][-1].content == NEWS[1]
    assert not dangling(result["messages"])


@pytest.mark.parametrize("mode", ["invoke", "ainvoke"])
def test_with_callbacks_nothing_is_counted_twice(mode: str) -> None:
    """Middleware alone, callbacks alone and both together count the same messages and tokens of the same work."""
    accounts = []
    for middleware, callbacks in ((True, False), (False, True), (True, True)):
        breaker = LangGraphBreaker()
        model = Model(lines=NEWS[:1])
        agent = create_agent(model, [search], middleware=[breaker.middleware()] if middleware else [], name="alice")
        if callbacks:
            agent = agent.with_config(callbacks=[breaker])
        run(agent, mode)
        account = breaker.guard.account("t")
        accounts.append((account.messages, account.tokens, account.unpriced_tokens))
        assert not breaker.faults
    assert accounts == [(2, 150, 150)] * 3


@pytest.mark.parametrize("watched", [False, True])
@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_a_halt_survives_retries_and_fallbacks_in_any_order(order: tuple[int, ...], watched: bool) -> None:
    """Model retries, tool retries and fallback models around or inside the middleware get no call through."""
    model, spare, breaker = Model(), Model(), LangGraphBreaker()
    all_four = [
        ModelRetryMiddleware(max_retries=3, initial_delay=0.0),
        ToolRetryMiddleware(max_retries=3, initial_delay=0.0),
        ModelFallbackMiddleware(spare),
        breaker.middleware(),
    ]
    agent = create_agent(model, [search], middleware=[all_four[i] for i in order], checkpointer=InMemorySaver())
    agent = agent.with_config(callbacks=[breaker]) if watched else agent
    result = run(agent, "invoke")
    assert "__interrupt__" in result
    calls, runs = model.calls, len(RUNS)
    run(agent, "invoke", None)
    assert (model.calls, spare.calls, len(RUNS)) == (calls, 0, runs)


@pytest.mark.parametrize("on_halt", ["pause", "finish"])
@pytest.mark.parametrize(("mode", "watched"), WAYS)
def test_finish_ends_with_a_message_that_says_why(mode: str, watched: bool, on_halt: Any) -> None:
    """The agent ends in the ordinary way: a last message with the reason, all tool calls answered, nothing pending."""
    breaker = finishing() if on_halt == "pause" else LangGraphBreaker()
    model = Model(parallel=2)
    agent = agent_of(model, breaker, watched, on_halt=on_halt)
    result = run(agent, mode)
    assert "__interrupt__" not in result
    assert result["messages"][-1].content.startswith("[agentbreaker] This conversation was ended: ")
    assert not dangling(result["messages"])
    assert agent.get_state(config()).next == ()
    calls, runs = model.calls, len(RUNS)
    run(agent, mode, {"messages": []} if watched else REQUEST)
    assert model.calls <= calls + 3  # the person speaks: at most one lap
    assert len(RUNS) <= runs + 6


def test_finish_ends_an_agent_with_structured_output() -> None:
    """An agent that owes a structured answer ends as well, though it would otherwise call its model again."""

    class Answer(BaseModel):
        text: str

    breaker, model = LangGraphBreaker(), Model()
    agent = create_agent(model, [], middleware=[breaker.middleware()], response_format=Answer)
    finishing_agent = create_agent(model, [], middleware=[breaker.middleware(on_halt="finish")], response_format=Answer)
    breaker.guard.force_open("t", "enough")
    assert "__interrupt__" in run(agent, "invoke")
    result = run(finishing_agent, "invoke")
    assert result["messages"][-1].content == "[agentbreaker] This conversation was ended: enough."
    assert model.calls == 0


def test_a_graph_that_goes_on_asking_finished_agents_is_paused() -> None:
    """Two agents in a fixed circle, each ending at once with a final message, do not run to the limit."""
    from langgraph.graph import START, MessagesState, StateGraph

    breaker = LangGraphBreaker()
    middleware = breaker.middleware(on_halt="finish")
    builder = StateGraph(MessagesState)
    for name in ("alice", "bob"):
        builder.add_node(name, create_agent(Model(), [search], middleware=[middleware], name=name))
    builder.add_edge(START, "alice").add_edge("alice", "bob").add_edge("bob", "alice")
    breaker.guard.force_open("t", "enough")
    result = run(builder.compile(), "invoke")
    assert "__interrupt__" in result
    assert middleware.counts == {"finished": 3, "paused": 1}


@pytest.mark.parametrize(("mode", "watched"), WAYS)
def test_steer_reaches_the_next_model_call_once(mode: str, watched: bool) -> None:
    """The constant text is read in one call, last and by name, and is not in the state."""
    model, breaker = Model(), patient()
    agent = agent_of(model, breaker, watched)
    run(agent, mode)
    reads = [[m for m in messages if m.content == STEER_TEXT] for messages in model.read]
    assert sum(map(len, reads)) == 1
    steered = next(messages for messages in model.read if messages[-1].content == STEER_TEXT)
    assert (steered[-1].name, steered[-1].type) == ("agentbreaker", "human")
    assert all(m.content != STEER_TEXT for m in agent.get_state(config()).values["messages"])


@pytest.mark.parametrize(("mode", "watched"), WAYS)
def test_an_agent_that_complies_is_not_stopped_for_the_past(mode: str, watched: bool) -> None:
    """After the steer text and an answer with news the old evidence is forgotten."""
    model, breaker = Model(complies=True), patient()
    result = run(agent_of(model, breaker, watched), mode)
    assert result["messages"][-1].content == NEWS[0]
    assert breaker.guard.state("t") is State.CLOSED
    assert breaker.guard.account("t").steer_due is False


@pytest.mark.parametrize(("mode", "watched"), WAYS)
def test_downgrade_uses_the_cheaper_model_from_the_steer_on(mode: str, watched: bool) -> None:
    """Every call after the policy steers goes to the model that the user named; other conversations keep theirs."""
    model, cheap, breaker = Model(), Model(model_name="cheap-1"), patient()
    middleware = breaker.middleware(downgrade_to=cheap)
    agent = create_agent(model, [search], middleware=[middleware], checkpointer=InMemorySaver())
    agent = agent.with_config(callbacks=[breaker]) if watched else agent
    run(agent, mode)
    assert cheap.calls > 0
    assert cheap.read[0][-1].content == STEER_TEXT
    assert model.calls > 0
    assert middleware.is_downgraded("t")
    assert not middleware.is_downgraded("u")
    assert middleware.counts["downgraded"] == cheap.calls
    dear = model.calls
    breaker.guard.reset("t")
    run(agent, mode, None)
    assert model.calls == dear
    middleware.restore("t")
    breaker.guard.reset("t")
    run(agent, mode, None)
    assert model.calls > dear


def test_downgrade_by_a_share_of_the_budget() -> None:
    """With a share the cheaper model takes over when so much of the budget is spent, and not before."""
    model = Model(lines=NEWS)
    cheap = Model(lines=("It is done.",))
    breaker = LangGraphBreaker(policy=Policy(budgets={"max_tokens": 20_000}))
    agent = agent_of(model, breaker, downgrade_to=cheap, downgrade_at=0.01)
    for _ in range(3):
        run(agent, "invoke")
    assert (model.calls, cheap.calls) == (2, 1)  # 150 tokens a call, and the third begins at 300 of 200


def test_shadow_mode_changes_nothing_and_counts() -> None:
    """In shadow mode no call is changed or stopped; what would have been done is counted."""
    cheap = Model()
    breaker = patient(mode="metrics_only")
    model = Model()
    middleware = breaker.middleware(downgrade_to=cheap, on_halt="finish")
    agent: Any = create_agent(model, [search], middleware=[middleware], checkpointer=InMemorySaver())
    with pytest.raises(Exception, match=r"[Rr]ecursion"):
        agent.invoke(REQUEST, {**config(), "recursion_limit": 80})
    assert model.calls > 30
    assert cheap.calls == 0
    assert all(m.content != STEER_TEXT for messages in model.read for m in messages)
    assert middleware.counts["steer_withheld"] > 0
    assert middleware.counts["downgrade_withheld"] > 0
    assert set(middleware.counts) == {"steer_withheld", "downgrade_withheld"}
    assert breaker.guard.incident("t") is not None


@pytest.mark.parametrize(("mode", "watched"), WAYS)
@pytest.mark.parametrize("answer", ["allow", "close", "stop"])
def test_a_person_decides(mode: str, watched: bool, answer: str) -> None:
    """The run pauses with a payload of plain JSON; the answer sets the breaker, and no call is billed twice."""
    model, breaker = Model(), LangGraphBreaker()
    middleware = breaker.middleware(on_halt="interrupt")
    agent = create_agent(model, [search], middleware=[middleware], checkpointer=InMemorySaver())
    agent = agent.with_config(callbacks=[breaker]) if watched else agent
    result = run(agent, mode)
    question = result["__interrupt__"][0].value
    assert json.loads(json.dumps(question)) == question
    assert question["answers"] == ["allow", "close", "stop"]
    assert question["code"] == breaker.guard.incident("t").code  # type: ignore[union-attr]
    calls, runs = model.calls, len(RUNS)
    model.lines = (*[""] * calls, NEWS[1])
    result = run(agent, mode, Command(resume=answer))
    assert "__interrupt__" not in result
    assert not dangling(result["messages"])
    ids = [message.id for message in result["messages"]]
    assert len(ids) == len(set(ids))
    if answer == "stop":
        assert breaker.guard.state("t") is State.FORCED_OPEN
        assert (model.calls, len(RUNS)) == (calls, runs)
        assert "a person said stop" in result["messages"][-1].content
    else:
        assert result["messages"][-1].content == NEWS[1]
        assert model.calls == calls + 1
        assert breaker.guard.state("t") is State.CLOSED
    assert middleware.counts["asked"] == 1
    assert not breaker.faults


def test_one_lap_that_brings_nothing_asks_again() -> None:
    """After "allow" a lap with nothing new opens the breaker again, and the person is asked again."""
    model, breaker = Model(), LangGraphBreaker()
    agent = agent_of(model, breaker, on_halt="interrupt")
    run(agent, "invoke")
    calls = model.calls
    result = run(agent, "invoke", Command(resume="allow"))
    assert "__interrupt__" in result
    assert calls < model.calls <= calls + 6
    assert breaker.guard.state("t") is State.OPEN


def test_a_person_is_heard_although_the_wait_is_over() -> None:
    """The answer counts also when the breaker would by now let a lap through by itself."""
    clock = VirtualClock()
    breaker = LangGraphBreaker(Guard(clock=clock))
    model = Model()
    agent = agent_of(model, breaker, on_halt="interrupt")
    run(agent, "invoke")
    calls = model.calls
    clock.advance(1000.0)
    result = run(agent, "invoke", Command(resume="stop"))
    assert model.calls == calls
    assert breaker.guard.state("t") is State.FORCED_OPEN
    assert "a person said stop" in result["messages"][-1].content


def test_a_bad_answer_is_refused_with_the_reason() -> None:
    """An answer that is none of the three is asked for again, changes nothing and says what is known."""
    model, breaker = Model(), LangGraphBreaker()
    agent = agent_of(model, breaker, on_halt="interrupt", around=[ModelRetryMiddleware(max_retries=2)])
    run(agent, "invoke")
    calls = model.calls
    for bad in ("maybe", {"type": "approve"}):
        result = run(agent, "invoke", Command(resume=bad))
        assert result["__interrupt__"][0].value["error"].startswith("the answer must be 'allow', 'close' or 'stop'")
        assert breaker.guard.state("t") is State.OPEN
    run(agent, "invoke", Command(resume="stop"))
    assert breaker.guard.state("t") is State.FORCED_OPEN
    assert model.calls == calls


@pytest.mark.parametrize("watched", [False, True])
def test_a_call_that_could_exceed_the_budget_never_begins(watched: bool) -> None:
    """With a ceiling of 1,000 tokens a call, the agent stops before the call that could pass the limit in dollars."""
    breaker = LangGraphBreaker(
        policy=Policy(budgets={"max_cost_usd": 0.02}),
        pricing=Pricing({"scripted-1": {"input": 10.0, "output": 10.0}}, max_output_tokens=1000),
    )
    model = Model(lines=NEWS * 20)
    agent = agent_of(model, breaker, watched, on_halt="finish")
    for turn in range(20):
        result = run(agent, "invoke", {"messages": [HumanMessage(f"{NEWS[turn % 3]} {turn}")]})
    account = breaker.guard.account("t")
    assert account.cost_usd == pytest.approx(0.0015 * model.calls)
    assert 1 < model.calls < 13  # 0.0015 dollars each, and 0.01 for the worst case of what it may write
    assert account.cost_usd <= 0.02
    assert "US dollars" in result["messages"][-1].content
    assert account.held_usd == pytest.approx(0.0)


def test_without_a_thread_each_run_is_a_conversation() -> None:
    """Two runs without a thread share nothing, and each is stopped on its own evidence."""
    model, breaker = Model(), LangGraphBreaker()
    agent = create_agent(model, [search], middleware=[breaker.middleware()])
    assert "__interrupt__" in agent.invoke(REQUEST)
    calls = model.calls
    assert "__interrupt__" in agent.invoke(REQUEST)
    assert model.calls == 2 * calls
    assert len(breaker.guard.conversations()) == 2


@pytest.mark.parametrize(
    "options",
    [
        {"on_halt": "explode"},
        {"downgrade_at": "halt"},
        {"downgrade_at": 0},
        {"downgrade_at": 2.0},
        {"downgrade_at": True},
    ],
)
def test_bad_arguments_are_named(options: dict[str, Any]) -> None:
    """A wrong argument is an error that names it."""
    with pytest.raises(ConfigError) as caught:
        BreakerMiddleware(**options)
    assert caught.value.field == next(iter(options))


def test_a_share_needs_a_budget() -> None:
    """A share of no budget is an error, not a downgrade that never comes."""
    with pytest.raises(ConfigError, match="neither"):
        BreakerMiddleware(downgrade_to=Model(), downgrade_at=0.5)


@pytest.mark.parametrize("watched", [False, True])
@pytest.mark.parametrize("on_halt", ["pause", "finish"])
@pytest.mark.parametrize("mode", ["stream", "astream"])
def test_streams_are_stopped_as_well(mode: str, on_halt: Any, watched: bool) -> None:
    """Streamed agents pause or end in the same way, and no call begins after the trip."""
    model, breaker = Model(), LangGraphBreaker()
    agent = agent_of(model, breaker, watched, on_halt=on_halt)

    async def drain() -> list[Any]:
        return [chunk async for chunk in agent.astream(REQUEST, config(), stream_mode="values")]

    chunks = asyncio.run(drain()) if mode == "astream" else list(agent.stream(REQUEST, config(), stream_mode="values"))
    assert 3 < model.calls < 40
    if on_halt == "pause":
        assert "__interrupt__" in chunks[-1]
    else:
        assert chunks[-1]["messages"][-1].content.startswith("[agentbreaker]")
    assert agent.get_state(config()).next == (() if on_halt == "finish" else agent.get_state(config()).next)
    assert not breaker.faults


@pytest.mark.parametrize("mode", ["invoke", "ainvoke"])
@pytest.mark.parametrize("part", ["account", "state", "observe"])
def test_our_own_failure_never_reaches_the_agent(part: str, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A guard that is broken in any part lets the agent work, and the failures are counted."""
    breaker, model = LangGraphBreaker(), Model(lines=NEWS[:1])
    agent = agent_of(model, breaker, downgrade_to=Model())

    def broken(*args: Any, **kwargs: Any) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr(breaker.guard, part, broken)
    result = run(agent, mode)
    assert result["messages"][-1].content == NEWS[0]
    assert breaker.faults["ZeroDivisionError"] > 0


def test_a_person_who_stopped_is_not_asked_again() -> None:
    """After "stop", or a breaker forced open, the next turn ends with the reason and without a question."""
    model, breaker = Model(), LangGraphBreaker()
    agent = agent_of(model, breaker, on_halt="interrupt")
    run(agent, "invoke")
    calls = model.calls
    run(agent, "invoke", Command(resume="stop"))
    result = run(agent, "invoke")
    assert "__interrupt__" not in result
    assert "a person said stop" in result["messages"][-1].content
    assert model.calls == calls


def test_parallel_tools_ask_each_and_the_answers_are_given_by_id() -> None:
    """Two tool calls that begin after the trip are two interrupts, as LangGraph has them, and resume by their ids."""
    model, breaker = Model(parallel=2), LangGraphBreaker()
    agent = agent_of(model, breaker, True, on_halt="interrupt")
    result = run(agent, "invoke")
    calls, runs = model.calls, len(RUNS)
    asked = result["__interrupt__"]
    answers = {one.id: "stop" for one in asked}
    result = run(agent, "invoke", Command(resume=answers if len(asked) > 1 else "stop"))
    assert "__interrupt__" not in result
    assert not dangling(result["messages"])
    assert (model.calls, len(RUNS)) == (calls, runs)


def test_what_the_code_around_swallows_is_paused_harder() -> None:
    """A middleware that swallows every exception and tries again does not loop for ever."""

    class Swallow(AgentMiddleware):
        def wrap_model_call(self, request: Any, handler: Any) -> Any:
            while True:
                try:
                    return handler(request)
                except Exception:  # noqa: S112
                    continue

    model, breaker = Model(), LangGraphBreaker()
    agent = agent_of(model, breaker, around=[Swallow()])
    breaker.guard.force_open("t", "enough")
    with pytest.raises(ConversationHalted):
        run(agent, "invoke")
    assert model.calls == 0


def test_without_langchain_the_error_names_the_extra() -> None:
    """Importing the middleware without LangChain says what to install; the package itself loads none of it."""
    code = (
        "import sys; import agentbreaker;"
        "assert not any(name.split('.')[0] in ('langchain', 'langchain_core', 'langgraph') for name in sys.modules);"
        "sys.modules['langchain'] = None\n"
        "try:\n    import agentbreaker.integrations.langchain\n"
        "except ImportError as error:\n    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert 'pip install "agentbreaker[langchain]"' in done.stdout
