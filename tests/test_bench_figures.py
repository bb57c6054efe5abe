"""The figures of a bench, from conversations whose ending is made up."""

from __future__ import annotations

from typing import Any

from agentbreaker.bench import Bench, Judged
from agentbreaker.bench_figures import figures_of, report_of
from agentbreaker.intervals import wilson
from agentbreaker.scenario import Outcome


def one(name: str, outcome: Outcome = Outcome.OK, **more: Any) -> Judged:
    """A conversation of forty messages; a runaway unless it is told otherwise."""
    values: dict[str, Any] = {
        "source": "s",
        "runaway": True,
        "group": "thanks",
        "detector_meant": None,
        "language": "en",
        "messages": 40,
        "earliest": 0,
        "onset": None,
        "halted_at": None,
        "warned_at": None,
        "delay": None,
        "detector": None,
        "tokens": 0,
        "tokens_after_halt": 0,
        "resent": 1000,
        "resent_after_halt": 0,
        "seconds": 0.001,
        "judged": 10,
        "succeeded": None,
    }
    return Judged(name=name, outcome=outcome, **values | more)


def calm(name: str, outcome: Outcome = Outcome.OK, **more: Any) -> Judged:
    """A legitimate conversation."""
    return one(name, outcome, **{"runaway": False, "group": "support"} | more)


def test_a_group_is_added_up() -> None:
    """Counts, intervals, quartiles, savings and speed are those of the conversations."""
    judged = [
        one("a", delay=4, tokens=100, tokens_after_halt=60, resent_after_halt=500),
        one("b", Outcome.LATE, delay=8, tokens=100, tokens_after_halt=20, resent_after_halt=300),
        one("c", Outcome.EARLY, delay=-9, tokens=100, tokens_after_halt=99, resent_after_halt=999),
        one("d", Outcome.MISSED),
        one("e", Outcome.OTHER_DETECTOR, delay=6, resent_after_halt=100),
        calm("f"),
        calm("g", Outcome.WARNED),
        calm("h", Outcome.FALSE_HALT, seconds=0.008, judged=20),
    ]
    found = figures_of("all", judged)
    assert (found.recall.count, found.recall.total) == (3, 5)
    assert (found.recall.low, found.recall.high) == wilson(3, 5)
    assert (found.early, found.late, found.missed, found.other_detector) == (1, 1, 1, 1)
    assert found.delay == (5, 6, 7)
    assert (found.tokens, found.tokens_saved, found.resent_saved) == (200, 80, 0.3)
    assert (found.false_halts.count, found.false_warnings.count, found.false_halts.total) == (1, 1, 3)
    assert found.microseconds == round(1e6 * 0.015 / 90, 2)


def test_nothing_is_no_division_by_zero() -> None:
    """An empty bench has figures too."""
    report = report_of(Bench())
    assert report.total.recall.share == 0.0
    assert (report.mean_false_halts, report.length_rule, report.harm, report.total.delay) == (None, None, None, None)


def test_groups_and_detectors() -> None:
    """A detector is measured on what was written for it, and blamed for what it decided among legitimate ones."""
    report = report_of(
        Bench(
            [
                one("a", detector_meant="AB201", detector="AB101"),
                one("b", Outcome.MISSED, detector_meant="AB201", language="zh"),
                one("c", detector="AB101", group="laps"),
                calm("d", Outcome.FALSE_HALT, detector="AB101"),
                calm("e", language="zh"),
                calm("f", group="chat"),
            ]
        )
    )
    detectors = {figures.name: figures for figures in report.detectors}
    assert {name: (one.recall.count, one.recall.total) for name, one in detectors.items()} == {
        "AB101": (1, 1),
        "AB201": (1, 2),
    }
    assert {name: (one.false_halts.count, one.false_halts.total) for name, one in detectors.items()} == {
        "AB101": (1, 3),
        "AB201": (0, 3),
    }
    assert [figures.name for figures in report.families] == ["laps", "thanks"]
    assert [(figures.name, figures.false_halts.count) for figures in report.sources] == [("chat", 0), ("support", 1)]
    assert [figures.name for figures in report.languages] == ["en", "zh"]
    assert report.mean_false_halts == 0.25


def test_the_mark_is_a_rule_that_only_counts_messages() -> None:
    """Its cap is the lowest that halts no more legitimate conversations than the engine, in the mean over sources."""
    legitimate = [calm(str(length), messages=length) for length in (10, 20, 30)]
    loops = [one("long", messages=50), one("short", messages=25), one("late", messages=60, earliest=55)]
    rule = report_of(Bench([*loops, *legitimate])).length_rule
    assert rule is not None
    assert (rule.cap, rule.recall.count) == (30, 1)
    halted = [calm("x", Outcome.FALSE_HALT, messages=10), *legitimate[1:]]
    rule = report_of(Bench([*loops, *halted])).length_rule
    assert rule is not None
    assert (rule.cap, rule.recall.count) == (20, 2)


def test_harm_is_a_halt_of_what_succeeded() -> None:
    """Legitimate ones are told apart from runaways that had reached their goal before they began to loop."""
    report = report_of(
        Bench(
            [
                one("a", halted_at=9, succeeded=True),
                calm("b", Outcome.FALSE_HALT, halted_at=9, succeeded=True),
                calm("c", succeeded=True),
                calm("d", Outcome.FALSE_HALT, halted_at=9, succeeded=False),
            ]
        )
    )
    assert report.harm is not None
    assert report.harm.model_dump() == {"succeeded": 3, "halted": 2, "legitimate": 1}
