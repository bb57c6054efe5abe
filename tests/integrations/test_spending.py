"""Money of model calls: the worst case before a call, the price after it, sums of both."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor

import pytest

from agentbreaker import ConversationHalted, Guard, Message, Policy, Usage
from agentbreaker.integrations.spending import Spending, add_usage, charge, count_of, prompt_tokens
from agentbreaker.pricing import Bill, Pricing

PRICES = {"house": {"input": 10.0, "output": 100.0}, "dear": {"input": 100.0, "output": 1000.0}}


def spending(**budgets: float) -> Spending:
    """Spending of a guard with these budgets, whose calls may write a thousand tokens."""
    return Spending(Guard(Policy(budgets=budgets)), Pricing(PRICES, max_output_tokens=1000))


@pytest.mark.parametrize(
    "text", ["When does the ferry leave?", "def f(x):\n    return x", "渡轮几点开?", "3f9a7c01", ""]
)
def test_a_prompt_is_never_guessed_too_small(text: str) -> None:
    """At least half a token for each byte, which no tokenizer exceeds on text, code, Chinese or hashes."""
    assert prompt_tokens(text) >= len(text.encode()) / 2
    assert prompt_tokens(text) <= len(text.encode()) / 2 + 1


def test_counts_that_are_none_are_nothing() -> None:
    """What a framework tells may be anything."""
    told: list[object] = [7, 7.9, True, -1, math.inf, math.nan, "7", None, []]
    assert [count_of(value) for value in told] == [7, 7] + [0] * 7


def test_a_call_is_held_at_the_price_of_its_model() -> None:
    """Prompt and the most that it may write; of a model without a name at the price of the dearest that answered."""
    money = spending(max_cost_usd=1.0)
    held = money.hold("c", lambda: 1000, model="house")
    assert held is not None
    assert money._guard.account("c").held_usd == pytest.approx(0.01 + 0.1)
    held.settle()
    held = money.hold("c", lambda: 1000, most=10, model="house")
    assert held is not None
    assert money._guard.account("c").held_usd == pytest.approx(0.01 + 0.001)
    held.settle()
    money.bill(Usage(1, 1), "house")
    money.bill(Usage(1, 1), "dear")
    held = money.hold("c", lambda: 1000, most=10)
    assert held is not None
    assert money._guard.account("c").held_usd == pytest.approx(0.1 + 0.01)


def test_calls_at_once_cannot_overshoot_together() -> None:
    """Of a hundred threads as many may begin as fit the budget."""
    money = spending(max_tokens=10_500)

    def begin(_: int) -> bool:
        try:
            return money.hold("c", lambda: 0) is not None
        except ConversationHalted:
            return False

    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(begin, range(100))) == 10


def test_without_a_budget_nothing_is_asked() -> None:
    """Not even the length of the prompt."""
    money = Spending(Guard())
    assert not money.asked
    assert money.hold("c", lambda: 1 // 0) is None


def test_a_bill_carries_what_was_held() -> None:
    """It stays held at its cost until the message is counted; without usage it is given back."""
    money = spending(max_tokens=10_000)
    held = money.hold("c", lambda: 10, model="house")
    bill = money.bill(Usage(100, 10), "house", held)
    assert bill is not None
    assert bill.price == pytest.approx(0.002)
    assert money._guard.account("c").held_tokens == 110
    money._guard.observe(charge(Message("c", "ann", "ben", content="Pier 7."), bill, "house"))
    account = money._guard.account("c")
    assert (account.held_tokens, account.tokens) == (0, 110)
    assert account.cost_usd == pytest.approx(0.002)
    assert money.bill(None, "house", money.hold("c", lambda: 10)) is None
    assert money._guard.account("c").held_tokens == 0


@pytest.mark.parametrize(("told", "price"), [(0.5, 0.5), (0.0, 0.0), (None, 0.002), (math.nan, 0.002), (-1.0, 0.002)])
def test_the_framework_may_know_the_price_better(told: float | None, price: float) -> None:
    """A price that is a number, not negative, goes before the table."""
    bill = spending().bill(Usage(100, 10), "house", cost_usd=told)
    assert bill is not None
    assert bill.price == pytest.approx(price)
    assert bill.unpriced_tokens == 0


def test_sums_keep_prices_and_what_nobody_priced() -> None:
    """Bills add up, a plain usage counts as unpriced among them, and nothing plus something is that."""
    money = spending()
    priced, plain = money.bill(Usage(100, 10, 40, 0, 5), "house"), Usage(3, 2)
    unknown = money.bill(Usage(7, 0), "nobody-knows-me")
    total = add_usage(add_usage(priced, plain), unknown)
    assert isinstance(total, Bill)
    assert total == Usage(110, 12, 40, 0, 5)
    assert total.price == pytest.approx(0.002)
    assert (total.priced_tokens, total.unpriced_tokens) == (110, 12)
    assert add_usage(plain, Usage(1, 1)) == Usage(4, 3)
    assert add_usage(None, priced) is priced
    assert add_usage(plain, None) is plain
    assert charge(Message("c", "ann"), plain, "house").cost_usd is None
