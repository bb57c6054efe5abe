"""Other words for words: of the same length and case, and worth the same to the engine."""

from __future__ import annotations

from random import Random

import pytest

from agentbreaker.anonymise_words import Slots, Words, cased, cue_of
from agentbreaker.lexicon import class_of, lexicon, slot_of

NONE = frozenset[str]()


def words(*originals: str, judged: tuple[str, ...] = ()) -> Words:
    """Replacements for a recording that has these words."""
    return Words(Random(1), frozenset(originals), Slots(), judged=judged)


def kind(word: str) -> int:
    """What a word is to the engine."""
    return class_of(lexicon()[word.encode()])


@pytest.mark.parametrize("word", ["thanks", "would", "about", "order", "message", "zanzibar", "qxzvbkjwq", "eva"])
def test_a_word_becomes_one_of_its_class_and_length(word: str) -> None:
    """Grammar, acknowledgement, common, rare and random stay what they are; it is another word, the same each time."""
    replaced = words(word)
    other = replaced.of(word)
    assert (len(other), kind(other)) == (len(word), kind(word))
    assert other != word == word.lower()
    assert replaced.of(word.upper()) == other.upper()


def test_different_words_become_different_words() -> None:
    """Two thousand of them, and none is one of the recording."""
    known = [word for word in lexicon().known_words() if word.isascii() and word.isalpha() and len(word) > 6][:2000]
    replaced = words(*known)
    others = [replaced.of(word) for word in known]
    assert len(set(others)) == len(known)
    assert not set(others) & set(known)


def test_short_words_of_the_language_stay() -> None:
    """Three letters and fewer, if everybody knows them."""
    replaced = words()
    assert [replaced.of(word) for word in ("the", "Yes", "a", "OK")] == ["the", "Yes", "a", "OK"]
    assert replaced.of("IBM") not in ("IBM", "ibm")


def test_grammar_that_is_used_up_becomes_two_short_words() -> None:
    """Of the same length, and still nothing to the engine."""
    grammar = [word for word in lexicon().known_words() if len(word) > 3 and word.isascii() and kind(word) == 0]
    replaced = words(*grammar)
    other = replaced.of("would")
    assert len(other) == 5
    assert [kind(part) for part in other.split()] == [0, 0]


def test_a_word_that_tells_a_failure_becomes_another_that_does() -> None:
    """Where results are judged by it; elsewhere it is a word like any other."""
    replaced = words("error", "running", "timeout", judged=("error", "running", "timeout"))
    for word in ("error", "running", "timeout"):
        other = replaced.of(word)
        assert other != word
        assert cue_of(other) == cue_of(word)
    assert not any(cue_of(words("error").of("error")))


@pytest.mark.parametrize("phrase", ["not found", "no results", "timed out", "rate limited", "in progress"])
def test_a_phrase_that_tells_so_keeps_telling(phrase: str) -> None:
    """With other words."""
    cue = cue_of(phrase)
    other = words(*phrase.split()).phrase(phrase, cue)
    assert other is not None
    assert cue_of(other)[:3] == cue[:3]
    assert not {word for word in phrase.split() if len(word) > 3} & set(other.split())


def test_words_of_one_slot_stay_together() -> None:
    """What the engine takes for one word, it takes for one again; what it tells apart, it tells apart."""
    first = "zanzibar"
    numbered = (f"{a}{b}{c}lotari" for a in "bcdfglmnprst" for b in "aeiou" for c in "bcdfglmnprstvz")
    twin = next((word for word in numbered if slot_of(word.encode()) == slot_of(first.encode())), None)
    other = "wanderlotte"
    replaced = words(first, other)
    slots = {word: slot_of(replaced.of(word).encode()) for word in (first, other) + ((twin,) if twin else ())}
    assert slots[first] != slots[other]
    if twin:
        assert slots[twin] == slots[first]


def test_other_alphabets_keep_theirs() -> None:
    """Cyrillic becomes Cyrillic, Hangul Hangul, in the same case."""
    replaced = words()
    other = replaced.foreign("Поставка")
    assert len(other) == 8
    assert other[0].isupper()
    assert all("\u0400" <= letter <= "\u04ff" for letter in other)
    assert all("\uac00" <= letter <= "\ud7af" for letter in replaced.foreign("한국어"))


def test_case_follows_the_model() -> None:
    """Letter by letter where both are as long, else all or the first."""
    assert cased("iPhone", "zatelu") == "zAtelu"
    assert cased("ERRORS", "fault") == "FAULT"
    assert cased("Error", "failure") == "Failure"
