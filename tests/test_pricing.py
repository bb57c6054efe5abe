"""Prices: the own table wins, the offline tables follow, and what nobody knows is unpriced, not free."""

from __future__ import annotations

import logging
import math
import subprocess
import sys
from typing import Any

import pytest

from agentbreaker import ConfigError, Guard, Message, Policy, Usage
from agentbreaker.pricing import NO_MODEL, Bill, Pricing

MILLION = 1_000_000


def test_own_prices_are_per_million_tokens_and_know_caches() -> None:
    """Cached tokens are part of the input and have prices of their own; without one they cost as much as input."""
    pricing = Pricing({"m": {"input": 3.0, "output": 15.0, "cache_read": 0.3, "cache_creation": 3.75}})
    usage = Usage(3 * MILLION, MILLION, cache_read_input_tokens=MILLION, cache_creation_input_tokens=MILLION)
    assert pricing.cost("m", usage) == pytest.approx(3.0 + 0.3 + 3.75 + 15.0)
    assert Pricing({"m": {"input": 3.0, "output": 15.0}}).cost("m", usage) == pytest.approx(24.0)


def test_own_prices_win() -> None:
    """A model of the built-in tables costs what the user says, also nothing."""
    usage = Usage(1000, 1000)
    listed = Pricing().cost("gpt-4o-mini", usage)
    assert listed is not None
    assert listed > 0
    assert Pricing({"gpt-4o-mini": {"input": 0, "output": 0}}).cost("gpt-4o-mini", usage) == 0.0


def test_listed_prices_count_cached_tokens_less() -> None:
    """The built-in tables are asked with the cached tokens; counts that contradict each other still have a price."""
    pricing = Pricing()
    full, cached = (pricing.cost("gpt-4o", Usage(1000, 10, cache_read_input_tokens=n)) for n in (0, 900))
    assert full is not None
    assert cached is not None
    assert cached < full
    assert pricing.cost("gpt-4o", Usage(5, 0, cache_read_input_tokens=50)) is not None


def test_an_unknown_model_is_unpriced_and_named_once(caplog: pytest.LogCaptureFixture) -> None:
    """Its tokens are counted by name, and one line warns, however often it is used and whatever it is called."""
    pricing = Pricing()
    with caplog.at_level(logging.WARNING, logger="agentbreaker"):
        for _ in range(3):
            assert pricing.cost("evil\nname", Usage(10, 5)) is None
        assert pricing.cost(None, Usage(1, 1)) is None
    assert pricing.unpriced == {"evil\nname": 45, NO_MODEL: 2}
    assert len(caplog.records) == 2
    assert all("\n" not in record.getMessage() for record in caplog.records)


def test_names_from_outside_fill_no_memory() -> None:
    """Any number of invented names is counted in bounded space."""
    pricing = Pricing()
    for n in range(1500):
        pricing._miss(f"model-{n}", 1)
    assert len(pricing.unpriced) == 1001
    assert sum(pricing.unpriced.values()) == 1500


def test_a_bill_keeps_priced_and_unpriced_apart() -> None:
    """A bill says what is priced and what is not, and equals the usage of the same tokens."""
    pricing = Pricing({"m": {"input": 1.0, "output": 1.0}})
    priced, unpriced = pricing.bill("m", Usage(MILLION, 0)), pricing.bill("x", Usage(7, 3))
    assert (priced.price, priced.unpriced_tokens) == (1.0, 0)
    assert (unpriced.price, unpriced.unpriced_tokens) == (None, 10)
    assert priced == Usage(MILLION, 0)
    assert Bill(1, 2) != Usage(1, 3)


@pytest.mark.parametrize("measured", [True, False])
def test_the_incident_says_what_has_no_price(measured: bool) -> None:
    """Tokens without a price are counted in the account and in the incident, and told beside the sum that is known."""
    guard = Guard(Policy(budgets={"max_tokens": 100}))
    guard.observe(Message("c", "a", "b", content="x", usage=Usage(40, 10), cost_usd=0.5))
    usage = Bill(40, 20, unpriced_tokens=60) if measured else Usage(40, 20)
    guard.observe(Message("c", "b", "a", content="y", usage=usage))
    incident = guard.incident("c")
    assert incident is not None
    assert (incident.tokens, incident.unpriced_tokens, incident.cost_usd) == (110, 60, 0.5)
    assert incident.to_dict()["unpriced_tokens"] == 60
    assert "no price is known for 60 tokens" in incident.to_text()
    assert guard.account("c").unpriced_tokens == 60


@pytest.mark.parametrize(
    ("prices", "field"),
    [
        ({"m": {"input": 1.0}}, "prices['m'].output"),
        ({"m": {"input": -1, "output": 1}}, "prices['m'].input"),
        ({"m": {"input": math.nan, "output": 1}}, "prices['m'].input"),
        ({"m": {"input": True, "output": 1}}, "prices['m'].input"),
        ({"m": {"inptu": 1.0, "output": 1}}, "prices['m'].inptu"),
        ({"m": 3}, "prices['m']"),
    ],
)
def test_bad_prices_are_named(prices: Any, field: str) -> None:
    """A wrong price is an error that names model and field."""
    with pytest.raises(ConfigError) as caught:
        Pricing(prices)
    assert caught.value.field == field


@pytest.mark.parametrize("ceiling", [0, -1, 1.5, True])
def test_a_bad_ceiling_is_named(ceiling: Any) -> None:
    """The ceiling for reservations is a whole number from 1."""
    with pytest.raises(ConfigError, match="max_output_tokens"):
        Pricing(max_output_tokens=ceiling)


def test_tables_are_loaded_when_they_are_needed() -> None:
    """Neither the package nor a price of the own table loads the built-in tables."""
    code = (
        "import sys, agentbreaker; from agentbreaker.pricing import Pricing; from agentbreaker import Usage;"
        "Pricing({'m': {'input': 1, 'output': 1}}).cost('m', Usage(1, 1)); assert 'genai_prices' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("model", ["gpt-4o", "gpt-4o-mini", "claude-sonnet-4-5", "gemini-2.5-pro", "deepseek-chat"])
def test_a_remembered_price_is_the_price_of_the_tables(model: str) -> None:
    """A second call costs what the tables say, below and above the first tier of input tokens, cached or not."""
    import genai_prices

    pricing = Pricing()
    for n in (10, 10, 1_000, 199_999, 200_000, 200_001, 400_000, 10):
        for read in (0, n // 2):
            counted = genai_prices.Usage(input_tokens=n, output_tokens=n // 10, cache_read_tokens=read or None)
            listed = float(genai_prices.calc_price(counted, model).total_price)
            assert pricing.cost(model, Usage(n, n // 10, cache_read_input_tokens=read)) == pytest.approx(listed)
