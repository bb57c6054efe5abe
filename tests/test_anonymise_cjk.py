"""Other characters for Chinese and Japanese: what was the same stays the same, and no pair comes out again."""

from __future__ import annotations

import re
from itertools import pairwise
from random import Random

import pytest

from agentbreaker.anonymise_cjk import Characters, Thanks, acknowledging_pairs, pairs_of
from agentbreaker.anonymise_words import cue_of
from agentbreaker.lexicon import class_of, lexicon
from agentbreaker.replay import read_sources
from agentbreaker.scenario import scenarios_in, shipped


def characters(*runs: str, thanks: Thanks = Thanks.REPLACED) -> Characters:
    """Replacements for a recording that has these runs."""
    return Characters(Random(1), runs, thanks)


def kind(pair: str) -> int:
    """What a pair is to the engine."""
    return class_of(lexicon()[pair.encode()])


def test_each_character_becomes_another_of_its_kind() -> None:
    """The same one throughout, a common one a common one, kana kana."""
    replaced = characters("订单导入失败", "导入订单", "ありがとう", "データ")
    first, second = replaced.of("订单导入失败", as_result=False), replaced.of("导入订单", as_result=False)
    assert first[2:4] + first[:2] == second
    assert all("\u3041" <= one <= "\u3096" for one in replaced.of("ありがとう", as_result=False))
    assert replaced.of("データ", as_result=False)[1] == "ー"


def test_no_pair_of_a_long_recording_survives() -> None:
    """Nor does its worth change: of the pairs of real scenarios, nearly all keep their class."""
    folder = shipped() / "legitimate-review-rounds"
    text = "".join(
        message.content
        for scenario in scenarios_in(folder)
        if scenario.language == "zh"
        for _, message in read_sources([scenario.transcript])
    )
    runs = re.findall("[\u3400-\u9fff]+", text)
    replaced = characters(*runs)
    others = [replaced.of(run, as_result=False) for run in runs]
    assert len(pairs_of(runs)) > 2000
    assert (pairs_of(runs) & pairs_of(others)) - acknowledging_pairs() == set()
    pairs = [
        (a + b, c + d)
        for run, other in zip(runs, others, strict=True)
        for (a, b), (c, d) in zip(pairwise(run), pairwise(other), strict=True)
    ]
    assert sum(kind(one) == kind(other) for one, other in pairs) > 0.97 * len(pairs)


@pytest.mark.parametrize("thanks", Thanks)
def test_acknowledgements_stay_acknowledgements(thanks: Thanks) -> None:
    """They become others of their kind, or stay, or even their characters stay wherever they stand."""
    replaced = characters("收到", "谢谢大家", "收发", thanks=thanks)
    other = replaced.of("收到", as_result=False)
    assert other in acknowledging_pairs()
    assert (other == "收到") is (thanks is not Thanks.REPLACED)
    assert (replaced.of("收发", as_result=False)[0] == "收") is (thanks is Thanks.SPELLED)


def test_a_result_keeps_telling_of_a_failure() -> None:
    """In a result; in talk the words are words like any other."""
    replaced = characters("订单导入失败")
    assert cue_of(replaced.of("订单导入失败", as_result=True)).failure
    assert not cue_of(replaced.of("订单导入失败", as_result=False)).failure
