"""The estimate of tokens against the counts of real tokenizers, made beforehand and kept with the texts."""

from __future__ import annotations

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentbreaker.tokens import _SLICE, Vocabulary, estimate_tokens, vocabulary_of
from tests.token_texts import COUNTED, TEXTS

VOCABULARIES: tuple[Vocabulary, ...] = ("o200k", "cl100k")


@pytest.mark.parametrize("vocabulary", VOCABULARIES)
@pytest.mark.parametrize("kind", TEXTS)
def test_the_estimate_is_within_a_quarter(kind: str, vocabulary: Vocabulary) -> None:
    """For each kind of text and both vocabularies: all texts together and the median within 25 %, none off by 35 %."""
    counted = COUNTED[kind][vocabulary]
    estimated = [estimate_tokens(text, vocabulary) for text in TEXTS[kind]]
    ratios = [one / other for one, other in zip(estimated, counted, strict=True)]
    assert 0.75 <= sum(estimated) / sum(counted) <= 1.25
    assert 0.75 <= statistics.median(ratios) <= 1.25
    assert all(0.65 <= ratio <= 1.35 for ratio in ratios), ratios


def test_the_bound_is_one_that_counting_characters_breaks() -> None:
    """A quarter of the characters, the usual rule of thumb, is out of bounds for Chinese, Japanese and Korean."""
    for kind in ("Chinese prose", "Chinese chat", "Japanese", "Korean"):
        rule = sum(len(text) for text in TEXTS[kind]) / 4
        assert not 0.75 <= rule / sum(COUNTED[kind]["o200k"]) <= 1.25


def test_nothing_is_no_token_and_anything_is_one() -> None:
    """Only the empty text has no token."""
    assert estimate_tokens("") == 0
    assert [estimate_tokens(text) for text in ("a", " ", "\n", "。", "é", "\x00", "\ud800")] == [1] * 7


@given(st.text(st.characters(exclude_categories=())))
def test_any_text_has_an_estimate(text: str) -> None:
    """Also halves of surrogate pairs and unassigned characters: never negative, and at most a few a character."""
    for vocabulary in VOCABULARIES:
        assert bool(text) <= estimate_tokens(text, vocabulary) <= 1 + 3 * len(text)


def test_long_texts_are_counted_in_slices() -> None:
    """A text of many slices is worth as much as its parts, whatever characters lie on the borders."""
    for text in TEXTS["Python"][0], TEXTS["Chinese prose"][0]:
        times = 3 * _SLICE // len(text)
        once = estimate_tokens(text * 100) / 100
        assert estimate_tokens(text * times) == pytest.approx(once * times, rel=0.01)


def test_numbers_rulers_and_indents_are_not_counted_by_character() -> None:
    """Digits come in threes, and a long run of blanks is one token."""
    assert estimate_tokens("123456789012") == pytest.approx(4, abs=1)
    assert estimate_tokens("x\n" + " " * 60 + "y") <= 4


@pytest.mark.parametrize(
    ("model", "vocabulary"),
    [
        ("gpt-4", "cl100k"),
        ("gpt-4-0613", "cl100k"),
        ("azure/gpt-35-turbo", "cl100k"),
        ("GPT-3.5-turbo-16k", "cl100k"),
        ("text-embedding-3-small", "cl100k"),
        ("gpt-4o-mini", "o200k"),
        ("gpt-4.1", "o200k"),
        ("gpt-5.5", "o200k"),
        ("claude-sonnet-4-5", "o200k"),
        (None, "o200k"),
        ("", "o200k"),
        ("/" * 100_000, "o200k"),
    ],
)
def test_the_vocabulary_follows_from_the_name(model: str | None, vocabulary: str) -> None:
    """Models of the GPT-4 generation have the older vocabulary, all others are taken for newer."""
    assert vocabulary_of(model) == vocabulary
