"""Texts with everything replaced: punctuation, line ends and lengths stay."""

from __future__ import annotations

import re
from random import Random

import pytest

from agentbreaker.anonymise_text import Disguise, Traces
from agentbreaker.anonymise_words import cue_of

UUID = "550e8400-e29b-41d4-a716-446655440000"


def replaced(text: str, **more: bool) -> str:
    """The text with everything replaced."""
    return Disguise(Random(1), [text], [text] if more.get("result") else []).of(text, **more)


@pytest.mark.parametrize(
    "text",
    [
        "https://shop.example.com/orders/1042?page=2",
        "ann.lee@example.com wrote:\n\n\t* one, two\r\n",
        '{"order": 1042, "state": "shipped"}',
        "def load(path): return open(path).read()  # TODO",
        f"id={UUID} at 2026-05-01T10:00:00Z",
        "订单1042:导入失败,请看 import_orders.py 第12行。",
        "🙂 — “quoted” … and so on",
    ],
)
def test_form_stays_and_words_go(text: str) -> None:
    """Letters become letters, digits digits, and all else is as it was."""
    other = replaced(text)
    shape = [("a" if one.isalpha() else "0" if one.isdigit() else one) for one in text.replace("…", "...")]
    assert [("a" if one.isalpha() else "0" if one.isdigit() else one) for one in other] == shape
    assert not Traces([text]).shared(Traces([other]))


def test_disguises_are_taken_off() -> None:
    """A word in full width or with an invisible character in it is the word that it looks like."""
    text = "thanks ｔｈａｎｋｓ tha\u200bnks th\u0430nks"
    assert len(set(replaced(text).split())) == 1


def test_codes_of_one_kind_stay_alike() -> None:
    """What differs only in figures still does; a UUID stays one, and the same one."""
    first, second = replaced("item7 item8").split()
    assert first[:-1] == second[:-1] != "item"
    assert int(second[-1]) - int(first[-1]) == 1
    one, two = replaced(f"{UUID} {UUID.upper()}").split()
    assert one.upper() == two
    assert re.fullmatch("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", one)
    assert one != UUID


def test_a_result_is_understood_as_before() -> None:
    """No results, a timeout, something still under way: with other words."""
    for text in ("No results for Zanzibar", "Error: order 12 is missing", "connection refused", "job: in_progress"):
        other = replaced(text, result=True)
        assert cue_of(other) == cue_of(text), other
        assert not Traces([text]).shared(Traces([other])), other


def test_traces_find_what_is_left() -> None:
    """Words of four letters in any case, pairs of characters, numbers of five digits; not the stock of thanks."""
    before = Traces(["The Harbour is 12345 m long, 订单导入, 谢谢"])
    assert before.shared(Traces(["HARBOUR"])) == {"harbour"}
    assert before.shared(Traces(["x12345y"])) == {"12345"}
    assert before.shared(Traces(["请导入"])) == {"导入"}
    assert before.shared(Traces(["the is m 谢谢 导 入 1234"])) == set()
