"""What a word is worth: politeness nothing, rare words much, and a memory that has an end."""

from __future__ import annotations

import random
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentbreaker.lexicon import ACKNOWLEDGING, NUMERIC, WEIGHT_MASK, Lexicon, is_cjk, lexicon


def weight(word: str) -> int:
    """Weight of a word in sixteenths."""
    return lexicon()[word.encode()] & WEIGHT_MASK


@given(st.binary(min_size=1, max_size=40))
def test_codes_are_facts(token: bytes) -> None:
    """Any token: the same code each time and in each lexicon, with a weight that fits."""
    code = lexicon()[token]
    assert code == lexicon()[token] == Lexicon()[token]
    assert 0 <= code < 2**41


@pytest.mark.parametrize("word", ["the", "and", "you", "please", "question"])
def test_grammar_and_courtesy_are_dropped(word: str) -> None:
    """They are no tokens at all."""
    assert lexicon()[word.encode()] == 0


@pytest.mark.parametrize("word", ["thanks", "great", "confirmed", "goodbye", "谢谢", "确认", "收到", "再见"])
def test_acknowledging_words_tell_nothing(word: str) -> None:
    """They weigh nothing, and are marked."""
    assert weight(word) == 0
    assert lexicon()[word.encode()] & ACKNOWLEDGING


def test_rare_words_tell_more() -> None:
    """A name tells more than a common word, and that more than a very common one; likewise in Chinese."""
    assert weight("people") < weight("feldspar")
    assert weight("kubernetes") == weight("lindqvist") > 0
    assert weight("的是") < weight("吕勒")


@given(st.integers(1, 999_999_999))
def test_a_number_knows_its_predecessor(number: int) -> None:
    """So a counter is told from a new figure."""
    table = lexicon()
    code = table[b"%d" % number]
    assert code & NUMERIC
    assert table.predecessor(code) == table[b"%d" % (number - 1)]


@pytest.mark.parametrize("token", ["1234567890", "a1", "x86", "deadbeef7", "0" * 40])
def test_identifiers_tell_little(token: str) -> None:
    """Long numbers and mixtures of letters and digits differ every time."""
    assert lexicon()[token.encode()] & NUMERIC
    assert weight(token) < weight("42")
    assert lexicon().predecessor(lexicon()[token.encode()]) is None


@pytest.mark.parametrize(("token", "before"), [("0018", "0017"), ("0100", "0099"), ("100", "99"), ("010", "009")])
def test_a_padded_number_knows_its_predecessor(token: str, before: str) -> None:
    """A counter with leading zeros is a counter."""
    table = lexicon()
    assert table.predecessor(table[token.encode()]) == table[before.encode()]


@pytest.mark.parametrize("length", [8, 12, 64])
def test_random_letters_are_identifiers(length: int) -> None:
    """Nine in ten strings of random letters are no words, and count hardly anything."""
    rng = random.Random(length)
    drawn = ["".join(rng.choices(string.ascii_lowercase, k=length)) for _ in range(500)]
    told = [token for token in drawn if lexicon()[token.encode()] & NUMERIC]
    assert len(told) >= 450
    assert all(weight(token) < weight("people") / 2 for token in told)


NAMES = (
    "kubernetes postgresql terraform asyncio lindqvist wojciechowska raikkonen papadopoulos nguyen takahashi okonkwo "
    "oyelaran erdogan gutierrez donaudampfschifffahrt nginx sphinx strengths jyvaskyla beijing getuserpermissions"
)


def test_names_and_terms_are_words() -> None:
    """Names of many languages, terms of art and long compounds keep their weight, nine in ten of them at least."""
    words = NAMES.split()
    assert sum(weight(word) == weight("feldspar") for word in words) >= 0.9 * len(words)


@pytest.mark.parametrize("token", ["7f3a9c1d2e", "20260304t091533z", "09h15m33s", "deadbeef7f00a1", "01j8xk3q9v2m"])
def test_letters_and_digits_by_turns_tell_next_to_nothing(token: str) -> None:
    """Hashes, compact timestamps and random ids weigh less than a part number or a version."""
    assert weight(token) < weight("x86") == weight("p1002") == weight("sensor17")


def test_long_tokens_are_not_kept() -> None:
    """Megabytes without a space do not stay in memory for the rest of the process."""
    table = Lexicon()
    assert table[b"x" * 8192] == table[b"x" * 8192]
    assert len(table) == 0
    assert table[b"short"] == table[b"short"]
    assert len(table) == 1


def test_the_lexicon_forgets_when_it_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its size has an end, and what is computed anew is the same."""
    monkeypatch.setattr("agentbreaker.lexicon._MAX_TOKENS", 100)
    table = Lexicon()
    codes = [table[b"word%d" % number] for number in range(1000)]
    assert len(table) <= 100
    assert [table[b"word%d" % number] for number in range(1000)] == codes


@pytest.mark.parametrize(
    ("character", "expected"), [("确", True), ("か", True), ("a", False), ("é", False), (",", False)]
)
def test_scripts_without_spaces(character: str, expected: bool) -> None:
    """Chinese and Japanese are cut into pairs; what is written with spaces is not."""
    assert is_cjk(character) is expected
