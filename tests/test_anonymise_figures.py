"""Other figures for figures: as many digits, and a counter still counts."""

from __future__ import annotations

from itertools import pairwise
from random import Random

import pytest

from agentbreaker.anonymise_figures import Figures
from agentbreaker.anonymise_words import Slots


def figures(*tokens: str) -> Figures:
    """Replacements for a recording that has these numbers."""
    return Figures(Random(1), tokens, Slots())


@pytest.mark.parametrize("token", ["1042", "12", "1,044", "0.26", "007", "3.11.8", "12345678901234", "2026"])
def test_a_number_becomes_one_of_its_form(token: str) -> None:
    """Digits, points and zeros in front stay where they are."""
    other = figures(token).of(token)
    assert other != token
    assert [one.isdigit() for one in other] == [one.isdigit() for one in token]
    assert other.startswith("0") is token.startswith("0")
    assert figures(token).of(token) == other


def test_counters_count_on() -> None:
    """Numbers that follow on each other still do, and no others come to."""
    numbers = [1041, 1042, 1043, 1060, 7300, 7301]
    moved = [int(figures(*map(str, numbers)).of(str(number))) for number in numbers]
    assert [b - a == 1 for a, b in pairwise(moved)] == [True, True, False, False, True]
    assert not set(moved) & set(numbers)
    decimals = [float(figures("0.25", "0.26").of(token)) for token in ("0.25", "0.26")]
    assert decimals[1] - decimals[0] == pytest.approx(0.01)


def test_counters_through_ten_and_a_hundred_stay() -> None:
    """No other numbers of these lengths follow on each other; beyond a thousand they are moved all the same."""
    tokens = [str(number) for number in (*range(7, 13), *range(990, 1010))]
    replaced = figures(*tokens)
    assert [replaced.of(str(number)) for number in range(7, 13)] == [str(number) for number in range(7, 13)]
    assert all(len(replaced.of(token)) == len(token) for token in tokens)
    assert int(replaced.of("1009")) - int(replaced.of("1000")) == 9 != int(replaced.of("1009")) - 1000


def test_numbers_that_tell_a_failure_stay() -> None:
    """A result with 404 is a failure; none becomes one."""
    replaced = figures("404", "503", *map(str, range(100, 400, 7)))
    assert (replaced.of("404"), replaced.of("503"), replaced.of("0")) == ("404", "503", "0")
    assert not {"404", "500", "503"} & {replaced.of(str(number)) for number in range(100, 400, 7)}


def test_numbers_stay_apart() -> None:
    """However crowded it is, two numbers are still two."""
    for numbers in (range(1, 10), range(10, 100, 2), range(100, 1000, 3), range(1000, 9000, 4)):
        replaced = figures(*map(str, numbers))
        assert len({replaced.of(str(number)) for number in numbers}) == len(numbers)
