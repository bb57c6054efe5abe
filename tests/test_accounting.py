"""What a message cost: recorded figures first, then estimates and prices, and nothing that is unknown is free."""

from __future__ import annotations

import math
import pickle
from typing import Any

import pytest

from agentbreaker import ConfigError, Message, Policy, Usage
from agentbreaker.accounting import NO_MODEL, OTHER_MODELS, Accountant, Charge, Difference, Ledger
from agentbreaker.message import Tool
from agentbreaker.pricing import Pricing
from agentbreaker.tokens import estimate_tokens

MILLION = 1_000_000
OWN = {"house-7b": {"input": 1.0, "output": 2.0}}
TEXT = "The quarterly report is ready for review, with the figures of all seven regions."


def said(content: str = TEXT, **more: Any) -> Message:
    """A message of one agent to another."""
    return Message("c", "ann", "ben", content=content, **more)


@pytest.fixture
def accountant() -> Accountant:
    """An accountant with one own price."""
    return Accountant(Pricing(OWN))


def test_recorded_figures_come_first(accountant: Accountant) -> None:
    """Recorded tokens and cost are taken as they are, without an estimate, even of a model that nobody knows."""
    message = said(model="nobody-knows-me", usage=Usage(100, 20), cost_usd=0.5)
    assert accountant.charge(message) == Charge(120, False, 0.5, "recorded", "nobody-knows-me")
    assert accountant.unpriced == {}


def test_recorded_tokens_are_priced_by_the_own_table_before_the_lists(accountant: Accountant) -> None:
    """The basis says which of both it was."""
    usage = Usage(MILLION, MILLION)
    assert accountant.charge(said(model="house-7b", usage=usage)) == Charge(
        2 * MILLION, False, 3.0, "own price", "house-7b"
    )
    listed = accountant.charge(said(model="gpt-4o", usage=usage))
    assert listed == Charge(2 * MILLION, False, Pricing().quote("gpt-4o", usage), "list price", "gpt-4o")
    assert listed.cost_usd


def test_an_unknown_model_is_named_and_never_free(accountant: Accountant) -> None:
    """Its tokens are in the totals and among the unpriced ones; a recorded cost of zero changes nothing."""
    for cost in (None, 0.0, -1.0, math.nan, math.inf):
        charge = accountant.charge(said(model="nobody-knows-me", usage=Usage(100, 20), cost_usd=cost))
        assert charge == Charge(120, False, None, "unpriced", "nobody-knows-me")
    assert accountant.charge(said(usage=Usage(5, 5))).basis == "unpriced"
    assert accountant.unpriced == {"nobody-knows-me": 600, NO_MODEL: 10}
    assert accountant.models["nobody-knows-me"].cost_usd == 0.0


def test_a_model_that_the_user_gives_away_is_free() -> None:
    """A price of zero in the own table is a price."""
    accountant = Accountant(Pricing({"house-7b": {"input": 0, "output": 0}}))
    assert accountant.charge(said(model="house-7b", usage=Usage(10, 5))) == Charge(
        15, False, 0.0, "own price", "house-7b"
    )
    assert accountant.unpriced == {}


def test_what_is_not_recorded_is_estimated_and_priced_as_output(accountant: Accountant) -> None:
    """The text alone, as its context is not known, at the price of the model that wrote it."""
    tokens = estimate_tokens(TEXT)
    for message in (said(model="house-7b"), said(model="house-7b", usage=Usage(), role="assistant")):
        charge = accountant.charge(message)
        assert charge == Charge(tokens, True, charge.cost_usd, "own price", "house-7b")
        assert charge.cost_usd == pytest.approx(tokens * 2.0 / MILLION)
    totals = accountant.models["house-7b"]
    assert (totals.messages, totals.tokens, totals.estimated_tokens) == (2, 2 * tokens, 2 * tokens)


def test_what_another_message_pays_for_is_not_estimated(accountant: Accountant) -> None:
    """Unless there is a figure of its own after all."""
    assert accountant.charge(said(model="house-7b", usage_elsewhere=True)) == Charge(0, False, None, "none", "house-7b")
    assert accountant.models == {}
    paid = accountant.charge(said(model="house-7b", usage=Usage(3, 2), usage_elsewhere=True))
    assert (paid.tokens, paid.basis) == (5, "own price")


def test_a_recorded_cost_stands_beside_an_estimate(accountant: Accountant) -> None:
    """Only the tokens are estimated, and the cost is not held against a price of them."""
    charge = accountant.charge(said(model="house-7b", cost_usd=0.25))
    assert charge == Charge(estimate_tokens(TEXT), True, 0.25, "recorded", "house-7b")
    assert accountant.differing == {}


@pytest.mark.parametrize(
    "more",
    [
        {"role": "user"},
        {"role": "user", "model": "house-7b"},
        {"role": "tool", "model": "house-7b"},
        {"kind": "tool_result", "model": "house-7b"},
    ],
)
def test_what_no_model_wrote_has_no_price(accountant: Accountant, more: dict[str, Any]) -> None:
    """What people and tools say is counted, but nobody was paid for writing it."""
    charge = accountant.charge(said(**more))
    assert (charge.tokens, charge.estimated) == (estimate_tokens(TEXT), True)
    assert (charge.cost_usd, charge.basis) == (None, "none")
    assert accountant.models == {}


def test_prompts_and_silence_count_nothing(accountant: Accountant) -> None:
    """A prompt is not said in the conversation; an empty message has no tokens to mark."""
    nothing = Charge(0, False, None, "none", None)
    assert accountant.charge(said(kind="system", role="system")) == nothing
    assert accountant.charge(said("")) == nothing


def test_talk_without_a_model_is_unpriced(accountant: Accountant) -> None:
    """An agent's text that names no model has a price that nobody knows."""
    charge = accountant.charge(said())
    assert (charge.cost_usd, charge.basis, charge.model) == (None, "unpriced", None)
    assert accountant.unpriced == {NO_MODEL: estimate_tokens(TEXT)}


def test_a_tool_call_counts_its_arguments_and_a_result_its_text(accountant: Accountant) -> None:
    """Arguments as a mapping or as text, a result once even if it is written twice; what is no JSON has no text."""

    def tokens(kind: Any, tool: Tool, content: str = "") -> int:
        return accountant.charge(said(content, kind=kind, tool=tool)).tokens

    name = estimate_tokens("search")
    text = '{"query": "flights to Lisbon"}'
    assert tokens("tool_call", Tool("search")) == name
    for arguments in (text, {"query": "flights to Lisbon"}):
        assert tokens("tool_call", Tool("search", None, arguments)) == name + estimate_tokens(text)
    circle: dict[str, Any] = {}
    circle["again"] = circle
    assert tokens("tool_call", Tool("search", None, circle)) == name
    result = estimate_tokens(TEXT)
    assert tokens("tool_result", Tool("search", result=TEXT)) == result
    assert tokens("tool_result", Tool("search", result=TEXT), TEXT) == result
    assert tokens("tool_result", Tool("search", result=TEXT), "Done.") == result + estimate_tokens("Done.")


def test_the_model_decides_the_vocabulary() -> None:
    """Chinese costs more tokens in the vocabulary of GPT-4."""
    accountant = Accountant()
    old, new = (accountant.charge(said("预算报告已经准备好了。", model=model)) for model in ("gpt-4", "gpt-4o"))
    assert old.tokens > new.tokens


def test_a_tokenizer_of_the_users_counts_instead() -> None:
    """It is asked with text and vocabulary, and its count is still marked."""
    accountant = Accountant(count_tokens=lambda text, vocabulary: len(text) if vocabulary == "o200k" else 0)
    assert accountant.charge(said("abc")) == Charge(3, True, None, "unpriced", None)


@pytest.mark.parametrize(
    ("recorded", "differs"), [(3.0, False), (3.14, False), (2.86, False), (3.2, True), (1.0, True)]
)
def test_a_cost_that_is_not_the_price_is_counted(accountant: Accountant, recorded: float, differs: bool) -> None:
    """More than 5 % off in either direction: both sums are kept, and the recorded one is charged."""
    for _ in range(2):
        charge = accountant.charge(said(model="house-7b", usage=Usage(MILLION, MILLION), cost_usd=recorded))
        assert (charge.cost_usd, charge.basis) == (recorded, "recorded")
    assert accountant.differing == ({"house-7b": Difference(2, 2 * recorded, 6.0)} if differs else {})


def test_names_from_outside_fill_no_memory(accountant: Accountant) -> None:
    """Any number of invented names of any length is counted in bounded space, and no token is lost."""
    for n in range(1500):
        accountant.charge(said(model=f"{n}-" + "x" * 5000, usage=Usage(1, 0)))
    assert len(accountant.models) == 1001
    assert accountant.unpriced[OTHER_MODELS] == 500
    assert sum(accountant.unpriced.values()) == 1500
    assert max(map(len, accountant.models)) == 200


def test_ledgers_of_several_processes_add_up(accountant: Accountant) -> None:
    """A ledger travels between processes, and the sum is what one accountant would have counted."""
    messages = [
        said(model="house-7b", usage=Usage(MILLION, 0), cost_usd=5.0),
        said(model="house-7b"),
        said(model="nobody-knows-me"),
        said(),
    ]
    parts = [Accountant(Pricing(OWN)) for _ in range(2)]
    total = Ledger()
    for part, half in zip(parts, (messages[:2], messages[2:]), strict=True):
        for message in half:
            part.charge(message)
        total.add(pickle.loads(pickle.dumps(part.ledger)))  # noqa: S301 - our own
    for message in messages:
        accountant.charge(message)
    assert total == accountant.ledger


def test_the_policy_gives_prices_and_currency() -> None:
    """Prices in yuan become US dollars by the given rate, and amounts are shown in yuan."""
    policy = Policy(prices={"currency": "CNY", "usd_rate": 7.0, "models": {"house-7b": {"input": 7.0, "output": 14.0}}})
    accountant = Accountant.of(policy.settings.prices)
    charge = accountant.charge(said(model="house-7b", usage=Usage(MILLION, MILLION)))
    assert charge.cost_usd == pytest.approx(3.0)
    assert charge.basis == "own price"
    assert accountant.show(3.0) == "CN¥21.00"
    assert accountant.show(0.001, estimated=True) == "≈CN¥0.0070"


@pytest.mark.parametrize(
    ("prices", "field", "says"),
    [
        ({"currency": "CNY"}, "prices", "how many CNY one US dollar costs"),
        ({"usd_rate": 7.1}, "prices", "US dollars is 1"),
        ({"curency": "CNY"}, "prices.curency", "did you mean 'currency'"),
        ({"currency": "yuan"}, "prices.currency", "pattern"),
        ({"models": {"m": {"inptu": 1, "output": 1}}}, "prices.models.m.inptu", "did you mean 'input'"),
        ({"models": {"m": {"input": 1}}}, "prices.models.m.output", "required"),
        ({"models": {"m": {"input": -1, "output": 1}}}, "prices.models.m.input", "greater than or equal to 0"),
        ({"models": {"m": 3}}, "prices.models.m", "dictionary"),
        ({"models": 3}, "prices.models", "dictionary"),
    ],
)
def test_bad_prices_in_a_policy_are_named(prices: Any, field: str, says: str) -> None:
    """The error names the field, says what is missing, and suggests what was meant."""
    with pytest.raises(ConfigError, match=says) as caught:
        Policy(prices=prices)
    assert caught.value.field == field
