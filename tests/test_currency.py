"""Amounts are shown in the currency that the user names, by the rate that the user gives."""

from __future__ import annotations

import math
from typing import Any

import pytest

from agentbreaker import ConfigError
from agentbreaker.currency import US_DOLLARS, Currency


@pytest.mark.parametrize(
    ("usd", "shown"),
    [
        (0, "$0"),
        (1e-9, "<$0.000001"),
        (-1e-9, "-<$0.000001"),
        (0.0000042, "$0.0000042"),
        (0.0042, "$0.0042"),
        (0.00996, "$0.010"),
        (0.0999, "$0.10"),
        (0.5, "$0.50"),
        (0.999, "$1.00"),
        (3, "$3.00"),
        (999.994, "$999.99"),
        (1313.4, "$1,313"),
        (2_000_000, "$2,000,000"),
        (-12.5, "-$12.50"),
        (math.nan, "$?"),
        (math.inf, "$?"),
    ],
)
def test_digits_follow_the_size(usd: float, shown: str) -> None:
    """Small amounts keep two significant digits, large ones lose their cents."""
    assert US_DOLLARS.format(usd) == shown


@pytest.mark.parametrize(
    ("code", "rate", "shown"),
    [
        ("CNY", 7.1, "CN¥71.00"),
        ("cny", 7.1, "CN¥71.00"),
        ("EUR", 0.5, "€5.00"),
        ("GBP", 0.8, "£8.00"),
        ("INR", 85, "₹850.00"),
        ("JPY", 15, "JP¥150"),
        ("CHF", 0.9, "CHF 9.00"),
        ("USD", None, "$10.00"),
        ("USD", 1, "$10.00"),
    ],
)
def test_each_currency_has_a_sign_of_its_own(code: str, rate: float | None, shown: str) -> None:
    """Ten US dollars by the given rate; yuan and yen cannot be taken for each other."""
    assert Currency(code, rate).format(10) == shown


def test_digits_can_be_asked_for() -> None:
    """A table wants the same places in each row; nothing is left of the sign of what is rounded to zero."""
    assert [US_DOLLARS.format(usd, 2) for usd in (0.001, 1234.5, -0.001, -1.005)] == [
        "$0.00",
        "$1,234.50",
        "$0.00",
        "-$1.00",
    ]


def test_amounts_go_there_and_back() -> None:
    """The rate is how many of it one US dollar costs."""
    yuan = Currency("CNY", 7.0)
    assert yuan.of(2.0) == 14.0
    assert yuan.to_usd(14.0) == 2.0


@pytest.mark.parametrize(
    ("code", "rate", "field", "says"),
    [
        ("CNY", None, "usd_rate", "how many CNY one US dollar costs"),
        ("CNY", 0, "usd_rate", "above 0"),
        ("CNY", -7.1, "usd_rate", "above 0"),
        ("CNY", math.inf, "usd_rate", "finite"),
        ("CNY", True, "usd_rate", "not True"),
        ("CNY", "7.1", "usd_rate", "not '7.1'"),
        ("USD", 7.1, "usd_rate", "US dollars is 1"),
        ("RMB¥", 7.1, "currency", "three letters"),
        ("", 7.1, "currency", "three letters"),
        (7, 7.1, "currency", "three letters"),
    ],
)
def test_a_currency_without_a_usable_rate_is_an_error(code: Any, rate: Any, field: str, says: str) -> None:
    """The error names the field and says what is missing; no rate is assumed."""
    with pytest.raises(ConfigError, match=says) as caught:
        Currency(code, rate)
    assert caught.value.field == field
