"""The report of a calibration: what it counts, what it shows, and what it proves on a held-out half."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from agentbreaker.calibration import choose, evaluate, half_of
from agentbreaker.config import Ladder
from agentbreaker.errors import TranscriptError
from agentbreaker.labels import Labels, expand_corpus
from agentbreaker.message import Message
from agentbreaker.replay import read_sources
from agentbreaker.trails import Trail, join, measure
from agentbreaker.tune import TuneReport, tune
from agentbreaker.verdict import Action, Decision, score_of

SCENARIOS = Path(__file__).resolve().parents[1] / "scenarios"


def trail(*evidence: float, name: str) -> Trail:
    """A conversation with this evidence after each message."""
    made = Trail(name, "log.jsonl", len(evidence))
    for number, value in enumerate(evidence):
        decision = Decision(Action.WARN, "AB201", score_of(value)) if value else Decision(Action.ALLOW)
        made.add(number, Message(name, "a", "b", content="hello"), decision)
    return made


def labels(path: Path, **lines: dict[str, Any]) -> Labels:
    """Labels by conversation."""
    path.write_text("".join(json.dumps({"conversation_id": name} | line) + "\n" for name, line in lines.items()))
    return Labels(path)


def mixed(tmp_path: Path, **options: Any) -> TuneReport:
    """Six legitimate conversations, three runaways, one to ignore, one without a label, one label too many."""
    trails = [trail(0, value, name=f"w{number}") for number, value in enumerate([1, 1, 1.5, 2.6, 3.02, 5])]
    trails += [
        trail(0, 1, 2, 3, 4, 5, name="late"),
        trail(4, 0, 0, 0, 0, name="soon"),
        trail(0, 1, 1, name="never"),
        trail(9, 9, name="either"),
        trail(9, name="nobody"),
    ]
    known: dict[str, dict[str, Any]] = {f"w{number}": {"role": "negative", "source": "desk"} for number in range(6)}
    known |= {
        "late": {"role": "positive", "onset": 1, "family": "nag"},
        "soon": {"role": "positive", "onset": 4, "family": "echo"},
        "never": {"role": "positive"},
        "either": {"role": "ignore"},
        "gone": {"role": "negative"},
    }
    return tune(trails, labels(tmp_path / "labels.jsonl", **known), **options)


def test_everything_is_counted(tmp_path: Path) -> None:
    """Every conversation and every label is accounted for."""
    data = mixed(tmp_path).data
    assert data.model_dump() == {
        "conversations": 11,
        "messages": 12 + 6 + 5 + 3 + 2 + 1,
        "legitimate": 6,
        "legitimate_messages": 12,
        "sources": 1,
        "runaways": 3,
        "families": 3,
        "ignored": 1,
        "assumed": 0,
        "unlabelled": 1,
        "unmet": 1,
        "unmet_ids": ("gone",),
    }


def test_the_choice_its_neighbours_and_the_present_threshold_are_among_the_points(tmp_path: Path) -> None:
    """One may be halted of six: just above the second highest; the points beside it show how sharp that is."""
    report = mixed(tmp_path)
    assert report.choice is not None
    assert (report.choice.threshold, report.choice.binding, report.choice.binding_evidence) == (3.05, "desk", 3.02)
    shown = [point.threshold for point in report.points]
    assert shown == sorted(set(shown))
    assert {3.0, 3.05, report.choice.upper_neighbour, 4.0} <= set(shown)
    assert (report.present, report.present_recommended) == (4.0, True)
    assert report.chosen == evaluate_again(report, 3.05)


def evaluate_again(report: TuneReport, threshold: float) -> object:
    """The point of the report at a threshold."""
    return next(point for point in report.points if point.threshold == threshold)


def test_what_is_got_wrong_is_named(tmp_path: Path) -> None:
    """The false halt, the early one and the missed one, each with where it was halted and how far it got."""
    report = mixed(tmp_path)
    (false,), (early,), (missed,) = report.false_halts, report.early_halts, report.misses
    assert (false.conversation_id, false.group, false.at, false.detector, false.highest) == (
        "w5",
        "desk",
        1,
        "AB201",
        5,
    )
    assert (early.conversation_id, early.group, early.at, early.onset) == ("soon", "echo", 0, 4)
    assert (missed.conversation_id, missed.group, missed.at, missed.highest) == ("never", "runaway", None, 1)


def test_asked_thresholds_replace_the_series(tmp_path: Path) -> None:
    """Those that were asked for, the choice with its neighbours, and the present one; nothing else."""
    report = mixed(tmp_path, thresholds=[6.5, 0.3])
    assert [point.threshold for point in report.points] == [0.3, 3.0, 3.05, 4.0, 4.05, 6.5]


def test_every_turning_point_can_be_had(tmp_path: Path) -> None:
    """With ``every``, all thresholds at which anything changes; the usual series is shorter on real evidence."""
    few, all_of_them = mixed(tmp_path), mixed(tmp_path, every=True)
    assert [point.threshold for point in all_of_them.points] == [2, 2.05, 2.65, 3, 3.05, 4, 4.05, 5.05]
    assert [point.threshold for point in few.points] == [2, 2.5, 3, 3.05, 3.5, 4, 4.05, 4.5, 5, 6]


def test_a_policy_that_stops_nothing_has_no_present_threshold(tmp_path: Path) -> None:
    """Then nothing is inside or outside of what is recommended, and a halt is added."""
    report = mixed(tmp_path, start=Ladder(halt=None))
    assert (report.present, report.present_recommended) == (None, False)
    assert report.ladder is not None
    assert report.ladder.halt == 3.05


def test_the_warnings_of_the_new_ladder_are_counted(tmp_path: Path) -> None:
    """The point of the warning rung says how many are warned or steered or halted."""
    report = mixed(tmp_path)
    assert report.ladder is not None
    assert report.warned is not None
    assert report.warned.threshold == report.ladder.warn
    silent = mixed(tmp_path, start=Ladder(warn=None, steer=None))
    assert silent.warned is None
    steered = mixed(tmp_path, start=Ladder(warn=None))
    assert steered.warned is not None
    assert steered.ladder is not None
    assert steered.warned.threshold == steered.ladder.steer


def test_a_split_chooses_on_one_half_and_reports_on_the_other() -> None:
    """The choice is that of the one half alone, and the figures at it those of the other alone."""
    trails = [trail(0, 1 + number / 100, name=f"w{number}") for number in range(500)]
    report = tune(trails, Labels(), split=True)
    cases, _ = join(trails, Labels())
    first = [case for case in cases if half_of(case.trail.conversation_id) == 0]
    second = [case for case in cases if half_of(case.trail.conversation_id) == 1]
    assert report.halves is not None
    assert report.choice == choose(first, 0.01)
    assert report.choice is not None
    threshold = report.choice.threshold
    assert report.halves.chosen_on == evaluate(first, threshold)
    assert report.chosen == report.halves.held_out == evaluate(second, threshold)
    other = choose(second, 0.01)
    assert other is not None
    assert report.halves.other_choice == other.threshold
    assert report.points[0] == evaluate(first, report.points[0].threshold)
    assert report.data.conversations == 500
    assert len(report.false_halts) == sum(case.trail.crossing(threshold) is not None for case in cases)


def test_a_split_of_too_little_is_no_error() -> None:
    """A half without any conversation still gives a report: of nothing, or without a choice."""
    in_first = next(f"w{number}" for number in range(99) if half_of(f"w{number}") == 0)
    in_second = next(f"w{number}" for number in range(99) if half_of(f"w{number}") == 1)
    report = tune([trail(1, name=in_first)], Labels(), split=True)
    assert report.halves is not None
    assert report.halves.held_out.overall.conversations == 0
    assert report.halves.other_choice is None
    assert tune([trail(1, name=in_second)], Labels(), split=True).choice is None


@pytest.mark.parametrize("trails", [[], [trail(0, name="a")], [trail(160, 160, name="a")]])
def test_a_report_is_plain_data(trails: Sequence[Trail]) -> None:
    """Whatever there is, it goes through JSON without a number that JSON does not have."""
    report = tune(list(trails), Labels(), max_false_halts=0.0)
    document = json.loads(json.dumps(report.model_dump(mode="json"), allow_nan=False))
    assert document["data"]["conversations"] == len(trails)


def test_a_label_that_does_not_fit_is_an_error(tmp_path: Path) -> None:
    """An onset beyond the conversation is named with its line."""
    known = labels(tmp_path / "labels.jsonl", a={"role": "negative"}, b={"role": "positive", "onset": 1})
    with pytest.raises(TranscriptError, match=r"labels.jsonl:2: onset: 1 is beyond"):
        tune([trail(1, name="a"), trail(1, name="b")], known)


def test_the_scenarios_give_the_same_report_twice() -> None:
    """Measured on the project's own scenarios, to the last digit."""
    first, second = (
        tune(list(measure(read_sources(expand_corpus([str(SCENARIOS)])))), Labels()).model_dump_json() for _ in range(2)
    )
    assert first == second
