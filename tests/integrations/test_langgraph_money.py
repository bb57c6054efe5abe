"""Money in LangGraph runs: prices reach the budgets, and no call begins that could exceed one."""

from __future__ import annotations

import asyncio
import operator
import threading
from typing import Annotated, Any, TypedDict

import pytest

pytest.importorskip("langgraph", reason="LangGraph is not installed")

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langgraph.graph import START, MessagesState, StateGraph

from agentbreaker import Policy, State
from agentbreaker.integrations._langgraph_money import estimate_tokens, model_limits
from agentbreaker.integrations.langgraph import LangGraphBreaker
from agentbreaker.pricing import Pricing

PRICES = {"dear": {"input": 10.0, "output": 30.0}, "cheap": {"input": 1.0, "output": 3.0}}
WORDS = ("Rotterdam", "invoice", "Ferreira", "backup", "column", "latency", "Bergen", "kroner", "parser", "audit")


class Model(BaseChatModel):
    """Says something new each time, for a fixed number of tokens; knows how many calls ran at once."""

    model_name: str = "dear"
    max_tokens: int | None = 100
    calls: int = 0
    fails: bool = False

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def _generate(self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> ChatResult:
        with LOCK:
            self.calls += 1
            n = self.calls
        if self.fails:
            raise RuntimeError("no connection")
        text = f"{WORDS[n % len(WORDS)]} {n * 7919 % 10007} {WORDS[n * 5 % len(WORDS)]} {n * 104729 % 99991}"
        answer = AIMessage(text, usage_metadata={"input_tokens": 20, "output_tokens": 80, "total_tokens": 100})
        answer.response_metadata = {"model_name": self.model_name}
        return ChatResult(generations=[ChatGeneration(message=answer)])


LOCK = threading.Lock()


class Team(TypedDict):
    notes: Annotated[list[str], operator.add]


def fan_out(model: Model, width: int, laps: int) -> Any:
    """A hub that asks so many workers at once, so many times."""
    builder = StateGraph(Team)

    def work(state: Team) -> Any:
        return {"notes": [model.invoke([HumanMessage("work")]).text]}

    builder.add_node("hub", lambda state: {"notes": [f"round {len(state['notes'])}"]})
    for n in range(width):
        builder.add_node(f"w{n}", work)
        builder.add_edge(f"w{n}", "hub")
    builder.add_edge(START, "hub")
    names = [f"w{n}" for n in range(width)]
    builder.add_conditional_edges("hub", lambda s: names if len(s["notes"]) <= laps * (width + 1) else [], names)
    return builder.compile()


def run(graph: Any, breaker: LangGraphBreaker, mode: str, inputs: Any) -> Any:
    """Run in one of two modes."""
    config: Any = {"callbacks": [breaker], "configurable": {"thread_id": "t"}, "recursion_limit": 500}
    if mode == "invoke":
        return graph.invoke(inputs, config)
    return asyncio.run(graph.ainvoke(inputs, config))


@pytest.mark.parametrize("mode", ["invoke", "ainvoke"])
def test_prices_reach_account_and_incident(mode: str) -> None:
    """The cost of a run is the sum of its calls, each at the price of its model; nothing is left held."""
    breaker = LangGraphBreaker(policy=Policy(budgets={"max_cost_usd": 5.0}), pricing=Pricing(PRICES))
    model = Model()
    run(fan_out(model, 3, 4), breaker, mode, {"notes": []})
    account = breaker.guard.account("t")
    assert model.calls == 12
    assert (account.tokens, account.unpriced_tokens) == (1200, 0)
    assert account.cost_usd == pytest.approx(12 * (20 * 10 + 80 * 30) / 1e6)
    assert account.held_usd == pytest.approx(0.0, abs=1e-12)
    assert not breaker.faults


def test_two_models_in_one_node_are_priced_each() -> None:
    """A node that asks a dear, a cheap and an unknown model sends one message with the right sum and the rest apart."""
    models = [Model(), Model(model_name="cheap"), Model(model_name="unheard-of")]
    builder = StateGraph(MessagesState)
    builder.add_node("mix", lambda state: {"messages": [m.invoke(state["messages"]) for m in models]})
    builder.add_edge(START, "mix")
    breaker = LangGraphBreaker(pricing=Pricing(PRICES))
    run(builder.compile(), breaker, "invoke", {"messages": [HumanMessage("hello")]})
    account = breaker.guard.account("t")
    assert account.cost_usd == pytest.approx(2600 / 1e6 + 260 / 1e6)
    assert (account.tokens, account.unpriced_tokens) == (300, 100)
    assert breaker.pricing.unpriced == {"unheard-of": 100}


@pytest.mark.parametrize("mode", ["invoke", "ainvoke"])
@pytest.mark.parametrize("width", [1, 2, 8])
@pytest.mark.parametrize("by", ["max_cost_usd", "max_tokens"])
def test_parallel_branches_never_overshoot(mode: str, width: int, by: str) -> None:
    """However many calls run at once, the sum never passes the budget; and most of the budget can be used."""
    limit = {"max_cost_usd": 0.03, "max_tokens": 1500}[by]
    breaker = LangGraphBreaker(policy=Policy(budgets={by: limit}), pricing=Pricing(PRICES))
    model = Model()
    result = run(fan_out(model, width, 40), breaker, mode, {"notes": []})
    spent = {"max_cost_usd": model.calls * 2600 / 1e6, "max_tokens": model.calls * 100}[by]
    assert "__interrupt__" in result
    assert breaker.guard.state("t") is State.OPEN
    assert breaker.guard.decision("t").code == {"max_cost_usd": "AB603", "max_tokens": "AB602"}[by]
    assert limit * 0.5 < spent <= limit
    assert not breaker.faults


def test_a_failed_call_holds_nothing() -> None:
    """What was held for a call that failed is given back."""
    breaker = LangGraphBreaker(policy=Policy(budgets={"max_tokens": 1000}))
    with pytest.raises(RuntimeError, match="no connection"):
        run(fan_out(Model(fails=True), 1, 1), breaker, "invoke", {"notes": []})
    assert breaker.guard.account("t").held_tokens == 0


def test_a_model_that_names_itself_only_in_answers_is_held_at_its_price() -> None:
    """From its first answer on, the price of a model without a name is known to reservations."""
    breaker = LangGraphBreaker(
        policy=Policy(budgets={"max_cost_usd": 0.02}), pricing=Pricing(PRICES, max_output_tokens=200)
    )

    class Nameless(Model):
        def _get_ls_params(self, *args: Any, **kwargs: Any) -> Any:
            return {"ls_provider": "x", "ls_model_type": "chat"}

        @property
        def _identifying_params(self) -> dict[str, Any]:
            return {}

    model = Nameless(max_tokens=None)
    run(fan_out(model, 1, 40), breaker, "invoke", {"notes": []})
    assert model.calls * 2600 / 1e6 / 0.0026 >= 2
    assert model.calls * 2600 / 1e6 <= 0.02


def test_without_a_budget_nothing_is_estimated() -> None:
    """A policy that caps neither tokens nor money pays nothing for reservations."""
    breaker = LangGraphBreaker()
    assert not breaker.money.asked
    run(fan_out(Model(), 2, 2), breaker, "invoke", {"notes": []})
    assert not breaker.money._held


def test_the_estimate_is_an_upper_bound_and_takes_everything_along() -> None:
    """Text counts by its bytes, Chinese as well; tool calls, pictures and tool descriptions are not forgotten."""
    assert estimate_tokens([HumanMessage("a" * 400)]) == 16 + 200
    assert estimate_tokens([HumanMessage("确认" * 100)]) == 16 + 300
    picture = HumanMessage([{"type": "image", "base64": "A" * 9}, {"type": "text", "text": "see"}])
    assert estimate_tokens([picture]) == 16 + 2048 + 2
    call = AIMessage("", tool_calls=[{"name": "search", "args": {"q": "x" * 100}, "id": "1"}])
    assert estimate_tokens([call]) > 16 + 50
    assert estimate_tokens([], tools=[{"name": "search"}]) > 0
    assert estimate_tokens(["plain prompt"]) == 16 + 6


def test_the_first_source_wins() -> None:
    """Name and limit are taken from the first place that has them; nonsense is passed over."""
    assert model_limits(None, {"max_tokens": True}, {"model": "a", "num_predict": 7}, {"model_name": "b"}) == ("a", 7)
    assert model_limits({}) == (None, None)
