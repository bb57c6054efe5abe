"""Comparing thresholds: what is counted, what is chosen, and that it is the lowest that may be."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentbreaker.calibration import (
    LOWEST_CHOICE,
    STEP,
    OperatingPoint,
    allowed,
    choose,
    evaluate,
    half_of,
    lowest_tolerable,
    turning_points,
)
from agentbreaker.intervals import poisson, wilson
from agentbreaker.labels import Label, Role
from agentbreaker.message import Message
from agentbreaker.trails import Case, Trail
from agentbreaker.verdict import MAX_EVIDENCE, Action, Decision, score_of

GRID = [step / 20 for step in range(20, 240)]


def trail(evidence: Sequence[float], *, name: str = "talk", length: int = 10) -> Trail:
    """A conversation with this evidence after each message, each message of so many characters."""
    made = Trail(name, "log.jsonl", len(evidence))
    for number, value in enumerate(evidence):
        decision = Decision(Action.WARN, "AB201", score_of(value)) if value else Decision(Action.ALLOW)
        made.add(number, Message(name, "a", "b", content="x" * length), decision)
    return made


def honest(*evidence: float, source: str = "work", name: str = "talk") -> Case:
    """A legitimate conversation."""
    return Case(trail(evidence, name=name), Label("talk", Role.NEGATIVE, source=source))


def runaway(*evidence: float, onset: int = 0, family: str = "nag", known: bool = True) -> Case:
    """A conversation that should be halted from `onset` on."""
    label = Label("talk", Role.POSITIVE, onset if known else None, max(0, onset - 2), family)
    return Case(trail(evidence), label)


def ignored(*evidence: float) -> Case:
    """A conversation that is neither right nor wrong to halt."""
    return Case(trail(evidence), Label("talk", Role.IGNORE))


# ---------------------------------------------------------------------- one threshold


def test_false_halts_are_counted_per_source() -> None:
    """Reached counts, not reached does not; each source has its own rate and interval, and so have all together."""
    cases = [honest(1, 4), honest(1, 3.9), honest(5, 0, source="shop"), ignored(9, 9), runaway(9)]
    point = evaluate(cases, 4.0)
    assert [(rate.source, rate.halted, rate.conversations) for rate in point.sources] == [
        ("shop", 1, 1),
        ("work", 1, 2),
    ]
    assert (point.overall.halted, point.overall.conversations) == (2, 3)
    work = point.sources[1]
    assert (work.rate, (work.low, work.high)) == (0.5, wilson(1, 2))
    assert point.worst.source == "shop"


def test_the_run_length_counts_messages_up_to_the_halt() -> None:
    """What comes after a false halt was never delivered; the interval is that of a Poisson count."""
    point = evaluate([honest(1, 4, 1, 1, 1), honest(0, 0, 0), honest(5)], 4.0)
    assert point.messages == 2 + 3 + 1
    assert point.run_length == 3.0
    low, high = poisson(2)
    assert (point.run_length_low, point.run_length_high) == (6 / high, 6 / low)
    assert "one in 3 messages" in point.run_length_told
    quiet = evaluate([honest(1, 1, 1)], 4.0)
    assert (quiet.run_length, quiet.run_length_high) == (None, None)
    assert quiet.run_length_low == pytest.approx(3 / 3.6889, rel=1e-4)
    assert "none in 3 messages of legitimate conversation (95 %: 1 or more)" in quiet.run_length_told


@pytest.mark.parametrize(
    ("evidence", "fate"),
    [
        ((0, 0, 0, 4), "early"),
        ((0, 0, 0, 0, 4), "caught"),
        ((0, 0, 0, 0, 0, 0, 0, 4), "caught"),
        ((0, 0, 3.9, 3.9, 3.9, 3.9, 3.9), "missed"),
    ],
)
def test_a_halt_counts_from_two_messages_before_the_onset(evidence: tuple[float, ...], fate: str) -> None:
    """Readers differ by as much; anything earlier stops honest work, and stays early whatever comes later."""
    (family,) = evaluate([runaway(*evidence, onset=6)], 4.0).families
    assert {"early": family.early, "caught": family.caught, "missed": family.missed} == {
        "early": 0,
        "caught": 0,
        "missed": 0,
    } | {fate: 1}
    assert family.recall == (fate == "caught")


def test_delays_are_counted_from_the_onset_in_quartiles() -> None:
    """The median and the quartiles of those caught whose onset is known; one alone is all three; none is none."""
    talk = [0.0] * 4
    cases = [runaway(*talk, *([0] * delay), 4, onset=4) for delay in (1, 2, 3, 4, 5, 6, 7)]
    (family,) = evaluate([*cases, runaway(4, onset=4), runaway(1), runaway(0, 4, known=False)], 4.0).families
    assert family.delay == (2.0, 4.0, 6.0)
    assert (family.caught, family.early, family.missed) == (8, 1, 1)
    (alone,) = evaluate(cases[:1], 4.0).families
    assert alone.delay == (1.0, 1.0, 1.0)
    (none,) = evaluate(cases[:1], 40.0).families
    assert none.delay is None


def test_saved_is_the_share_of_characters_sent_again_after_the_halt() -> None:
    """Counted per conversation, mean over the family; what is missed or halted early saves nothing."""
    # Ten messages of ten characters: 10 * (0 + 1 + ... + 9) = 450 are sent again, 10 * (0 + ... + 3) by message 3.
    caught = runaway(0, 0, 0, 4, *([0] * 6))
    share = 1 - 60 / 450
    assert evaluate([caught], 4.0).families[0].saved == pytest.approx(share)
    (family,) = evaluate([caught, runaway(*([0] * 10)), runaway(0, 0, 0, 4, *([0] * 6), onset=8)], 4.0).families
    assert family.saved == pytest.approx(share / 3)
    (single,) = evaluate([runaway(4)], 4.0).families
    assert single.saved == 0.0


def test_families_are_told_apart_and_together() -> None:
    """Each family has its own recall, in order of the names, and all have one together."""
    point = evaluate([runaway(4), runaway(1), runaway(5, family="echo")], 4.0)
    assert [(family.family, family.caught, family.conversations) for family in point.families] == [
        ("echo", 1, 1),
        ("nag", 1, 2),
    ]
    assert point.runaways is not None
    assert (point.runaways.caught, point.runaways.conversations) == (2, 3)
    assert evaluate([honest(1)], 4.0).runaways is None


def test_nothing_at_all_is_no_error() -> None:
    """Without a single case every count is 0."""
    point = evaluate([], 4.0)
    assert (point.sources, point.families, point.messages, point.run_length_low) == ((), (), 0, 0.0)
    assert point.worst == point.overall


evidence_lists = st.lists(
    st.one_of(st.just(0.0), st.floats(0.02, 20.0), st.sampled_from([0.5, 1.0, 2.0, 3.05, 4.0, 4.5, 160.0])),
    min_size=1,
    max_size=12,
)


@st.composite
def case_lists(draw: st.DrawFn) -> list[Case]:
    """Legitimate conversations of a few sources, and runaways of two families."""
    cases = []
    for _ in range(draw(st.integers(0, 14))):
        evidence = draw(evidence_lists)
        if draw(st.booleans()):
            cases.append(honest(*evidence, source=draw(st.sampled_from(["work", "shop", "lab"]))))
        else:
            onset = draw(st.integers(0, len(evidence) - 1))
            cases.append(runaway(*evidence, onset=onset, family=draw(st.sampled_from(["nag", "echo"]))))
    return cases


def halted_of(point: OperatingPoint) -> dict[str, int]:
    """Everything that may only fall as the threshold rises."""
    counts = {f"halted {rate.source}": rate.halted for rate in (*point.sources, point.overall)}
    for family in point.families:
        counts[f"early {family.family}"] = family.early
        counts[f"stopped {family.family}"] = family.early + family.caught
    return counts


@settings(max_examples=40, deadline=None)
@given(case_lists())
def test_a_higher_threshold_halts_no_more(cases: list[Case]) -> None:
    """False halts, runaways stopped and early halts only fall, and what is missed and the run length only rise.

    What is caught alone need not fall: a halt that came early may come in time with a higher threshold.
    """
    points = [evaluate(cases, threshold) for threshold in GRID]
    for lower, higher in pairwise(points):
        before, after = halted_of(lower), halted_of(higher)
        assert all(after[name] <= before[name] for name in before)
        assert all(family.missed >= other.missed for other, family in zip(lower.families, higher.families, strict=True))
        assert higher.messages >= lower.messages
        if not any(family.early for family in lower.families):
            caught = [sum(family.caught for family in point.families) for point in (lower, higher)]
            assert caught[1] <= caught[0], "without early halts recall falls"


@settings(max_examples=60, deadline=None)
@given(case_lists())
def test_every_interval_holds_its_rate(cases: list[Case]) -> None:
    """Whatever was counted, the Wilson interval contains it, and the parts add up to the whole."""
    for threshold in (0.5, 2.0, 4.0, 9.0):
        point = evaluate(cases, threshold)
        for rate in (*point.sources, point.overall):
            assert 0 <= rate.low <= rate.rate <= rate.high <= 1
        for family in point.families:
            assert 0 <= family.low <= family.recall <= family.high <= 1
            assert family.caught + family.early + family.missed == family.conversations
            assert 0 <= family.saved <= 1
        assert sum(rate.halted for rate in point.sources) == point.overall.halted


@settings(max_examples=25, deadline=None)
@given(case_lists())
def test_nothing_changes_between_turning_points(cases: list[Case]) -> None:
    """Of all thresholds on the grid only the turning points differ from the one below, in counts, delays or savings."""
    turning = set(turning_points(cases))
    below = None
    for threshold in (step / 20 for step in range(round(LOWEST_CHOICE * 20), 420)):
        point = evaluate(cases, threshold)
        counts = ([rate.halted for rate in point.sources], point.families)
        if threshold not in turning:
            assert counts == below, threshold
        below = counts


# ---------------------------------------------------------------------- choosing


@pytest.mark.parametrize(
    ("conversations", "rate", "expected"),
    [(99, 0.01, 1), (100, 0.01, 1), (199, 0.01, 1), (200, 0.01, 2), (1, 0.01, 1), (50, 0.07, 3), (100, 0.07, 7)]
    + [(150, 0.001, 0), (99, 0.0, 0), (0, 0.01, 0), (10, 1.0, 10)],
)
def test_how_many_false_halts_are_tolerated(conversations: int, rate: float, expected: int) -> None:
    """The share, rounded down; small sources may have one, unless none at all was asked for."""
    assert allowed(conversations, rate) == expected


@settings(max_examples=100, deadline=None)
@given(case_lists(), st.sampled_from([0.0, 0.01, 0.2, 0.5]))
def test_the_choice_is_tolerable_and_nothing_lower_is(cases: list[Case], rate: float) -> None:
    """Found by sorting, checked by counting: the chosen threshold keeps to the goal, and one step lower does not."""

    def tolerable(threshold: float) -> bool:
        point = evaluate(cases, threshold)
        return all(each.halted <= allowed(each.conversations, rate) for each in (*point.sources, point.overall))

    choice = choose(cases, rate)
    if choice is None:
        nobody = not any(case.label.role is Role.NEGATIVE for case in cases)
        assert nobody or not tolerable(MAX_EVIDENCE)
        return
    assert tolerable(choice.threshold)
    if choice.threshold > LOWEST_CHOICE:
        assert choice.lower_neighbour == pytest.approx(choice.threshold - STEP)
        assert choice.lower_neighbour is not None
        assert not tolerable(choice.lower_neighbour)
        assert choice.binding_evidence is not None
        assert choice.binding_evidence <= choice.threshold + 1e-6
        assert choice.binding_evidence >= choice.threshold - STEP - 1e-6
    else:
        assert choice.lower_neighbour is None
        assert choice.binding is None


def test_the_worst_source_binds() -> None:
    """A source is not excused by others: its name and its conversation's evidence say why nothing lower will do."""
    cases = [honest(1)] * 500 + [honest(6, source="shop"), honest(5.12, source="shop"), honest(1, source="shop")]
    assert lowest_tolerable(cases, 0.01) == (5.15, "shop", 5.12)
    assert lowest_tolerable(cases, 0.0) == (6.05, "shop", 6.0)
    assert lowest_tolerable(cases, 0.01, least=100) == (2.0, None, None)


def test_many_small_sources_do_not_tolerate_anything() -> None:
    """One file per conversation: each source alone may have its one false halt, but all together may not."""
    cases = [honest(7, source=f"file-{number}") for number in range(200)]
    threshold, binding, reached = lowest_tolerable(cases, 0.01) or (0.0, None, None)
    assert (threshold, binding, reached) == (7.05, "all sources", 7.0)


def test_no_choice_without_a_legitimate_conversation_or_beyond_the_scale() -> None:
    """Nothing says what a threshold costs, or every threshold costs too much."""
    assert choose([runaway(9)], 0.01) is None
    assert choose([honest(160), honest(160)], 0.01) is None
    assert choose([honest(159.99), honest(1)], 0.0) is not None


def test_the_recommended_range_ends_where_a_loss_is_no_chance() -> None:
    """Up to the last threshold at which every recall is within its interval at the choice."""
    quiet = [honest(1)] * 10
    cases = [*quiet, *(runaway(3.0 + number / 10) for number in range(20))]
    choice = choose(cases, 0.01)
    assert choice is not None
    assert (choice.threshold, choice.upper_neighbour) == (2.0, 3.05)
    low, _ = wilson(20, 20)
    assert choice.upper is not None
    at, above = evaluate(cases, choice.upper), evaluate(cases, choice.upper + STEP)
    assert at.families[0].recall >= low > above.families[0].recall
    assert choice.recommends(2.0)
    assert choice.recommends(choice.upper)
    assert not choice.recommends(1.95)
    assert not choice.recommends(choice.upper + STEP)
    unlimited = choose(quiet, 0.01)
    assert unlimited is not None
    assert unlimited.upper is None
    assert unlimited.recommends(100.0)


def test_the_halves_are_stable_and_even() -> None:
    """The half depends on the id alone, is the same in every run, and both halves are about as large."""
    assert [half_of(name) for name in ("run-3", "run-4", "", "对话", "half \ud83d")] == [1, 0, 0, 0, 1]
    assert 900 < sum(half_of(f"conversation {number}") for number in range(2000)) < 1100
