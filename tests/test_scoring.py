"""Fusion: a pure function, monotone in every signal, in which a counted cap wins and not-a-number accuses nobody."""

from __future__ import annotations

import copy
import math
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from agentbreaker import Signal
from agentbreaker.detectors import DETECTORS
from agentbreaker.scoring import fuse
from agentbreaker.verdict import evidence_of, score_of

scores = st.floats(0, 1)
signals = st.builds(Signal, st.sampled_from(sorted(DETECTORS)), scores, st.floats(0, 9), st.just(4.0), st.just("x"))
many = st.lists(signals, min_size=1, max_size=8, unique_by=lambda signal: signal.code)


@given(many, st.data(), scores)
def test_a_higher_score_never_lowers_the_verdict(signs: list[Signal], data: st.DataObject, score: float) -> None:
    """Raising any one signal never lowers the fused score."""
    place = data.draw(st.integers(0, len(signs) - 1))
    raised = list(signs)
    raised[place] = replace(signs[place], score=max(score, signs[place].score))
    assert fuse(raised).score >= fuse(signs).score


@given(many, signals)
def test_another_signal_never_lowers_the_verdict(signs: list[Signal], more: Signal) -> None:
    """Nor does adding one."""
    assert fuse([*signs, more]).score >= fuse(signs).score


@given(many, st.randoms())
def test_the_order_does_not_matter_and_nothing_is_changed(signs: list[Signal], random: object) -> None:
    """A pure function of the set of signals."""
    before = copy.deepcopy(signs)
    shuffled = list(signs)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert fuse(shuffled) == fuse(signs)
    assert signs == before


@given(many, st.data())
def test_a_cap_wins(signs: list[Signal], data: st.DataObject) -> None:
    """However sure the others are, a counted cap decides."""
    place = data.draw(st.integers(0, len(signs) - 1))
    signs[place] = replace(signs[place], hard=True, score=1.0)
    verdict = fuse(signs)
    assert verdict.hard
    assert verdict.decisive is signs[place]


@given(many, st.data())
def test_not_a_number_accuses_nobody(signs: list[Signal], data: st.DataObject) -> None:
    """It counts as 0, wherever it stands."""
    place = data.draw(st.integers(0, len(signs) - 1))
    rest = signs[:place] + signs[place + 1 :]
    signs[place] = replace(signs[place], score=math.nan)
    assert fuse(signs).score == fuse(rest).score


def test_nothing_said_is_nothing_meant() -> None:
    """No signals, no suspicion."""
    assert (fuse([]).score, fuse([]).decisive, fuse([]).hard) == (0.0, None, False)


def test_among_equals_the_more_specific_comes_first() -> None:
    """A loop that several detectors see is told by the one that says most about it."""
    codes = ["AB401", "AB101", "AB201", "AB301"]
    equal = [Signal(code, 0.5, 4, 4, "x") for code in codes]
    assert [signal.code for signal in fuse(equal).signals] == ["AB301", "AB201", "AB101", "AB401"]


@given(st.floats(allow_nan=True, allow_infinity=True))
def test_scores_are_scores(evidence: float) -> None:
    """Any float maps into [0, 1], and not-a-number to 0."""
    assert 0.0 <= score_of(evidence) <= 1.0
    assert evidence_of(evidence) >= 0.0


@given(st.floats(0, 160), st.floats(0, 160))
def test_scores_keep_the_order_of_evidence(one: float, other: float) -> None:
    """A threshold on one is a threshold on the other."""
    if one <= other:
        assert score_of(one) <= score_of(other)
    assert math.isclose(evidence_of(score_of(min(one, 100))), min(one, 100), abs_tol=1e-3, rel_tol=1e-2)
