"""A bench against a baseline: what counts as worse, and a file that survives its own writing."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentbreaker.bench_baseline import Baseline, Standing, baseline_of, compare, read_baseline
from agentbreaker.errors import ConfigError
from agentbreaker.scenario import Outcome
from tests.test_bench_figures import calm, one

OK, EARLY, LATE, MISSED = Outcome.OK, Outcome.EARLY, Outcome.LATE, Outcome.MISSED


@pytest.mark.parametrize(
    ("before", "now", "verdict"),
    [
        ((OK, 9), (OK, 9), "same"),
        ((OK, 9), (OK, 10), "worse"),
        ((OK, 9), (OK, 8), "better"),
        ((OK, 9), (LATE, 30), "worse"),
        ((OK, 9), (MISSED, None), "worse"),
        ((OK, 9), (EARLY, 3), "worse"),
        ((OK, 9), (Outcome.OTHER_DETECTOR, 9), "worse"),
        ((MISSED, None), (LATE, 30), "better"),
        ((MISSED, None), (EARLY, 3), "worse"),
        ((EARLY, 3), (MISSED, None), "worse"),
        ((EARLY, 3), (EARLY, 2), "worse"),
        ((EARLY, 3), (OK, 9), "better"),
        ((OK, None), (Outcome.WARNED, None), "worse"),
        ((Outcome.WARNED, None), (Outcome.FALSE_HALT, 8), "worse"),
        ((Outcome.FALSE_HALT, 8), (Outcome.WARNED, None), "better"),
        ((Outcome.FALSE_HALT, 8), (Outcome.FALSE_HALT, 7), "worse"),
        ((OK, None), (OK, None), "same"),
    ],
)
def test_a_change_is_judged(before: tuple[Outcome, int | None], now: tuple[Outcome, int | None], verdict: str) -> None:
    """More harm to work or a longer runaway is worse; the reverse is better; a bit of both is worse."""
    baseline = Baseline(agentbreaker_baseline=1, conversations={"x": Standing(outcome=before[0], halted_at=before[1])})
    found = compare([one("x", now[0], halted_at=now[1])], baseline)
    counts = {"worse": len(found.worse), "better": len(found.better), "same": found.same}
    assert counts == {"worse": 0, "better": 0, "same": 0} | {verdict: 1}


def test_a_later_halt_may_be_tolerated() -> None:
    """So many messages are no change, one more is."""
    baseline = baseline_of([one("x", halted_at=9)])
    assert compare([one("x", halted_at=11)], baseline, tolerance=2).same == 1
    assert [change.name for change in compare([one("x", halted_at=12)], baseline, tolerance=2).worse] == ["x"]


def test_what_is_not_run_is_worse_and_what_is_new_is_told() -> None:
    """A scenario that is gone cannot hide, and a new one is no change."""
    found = compare([one("new", MISSED)], baseline_of([one("old", halted_at=9)]))
    assert [(change.name, change.now) for change in found.worse] == [("old", None)]
    assert found.new == {"new": MISSED}


def test_a_baseline_is_read_as_it_was_written(tmp_path: Path) -> None:
    """One line for each conversation, sorted, in ASCII."""
    baseline = baseline_of([one("b: 会话", halted_at=9), calm("a", Outcome.WARNED)])
    path = tmp_path / "base.json"
    path.write_text(baseline.to_json(), "utf-8")
    assert read_baseline(path) == baseline
    lines = path.read_text("ascii").splitlines()
    assert [line.split(":")[0] for line in lines[3:5]] == ['"a"', '"b']


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no baseline: Invalid JSON"),
        ("[]", "no baseline: Input should be an object"),
        ('{"agentbreaker_baseline": 2, "conversations": {}}', "no baseline: agentbreaker_baseline: Input should be 1"),
        (
            '{"agentbreaker_baseline": 1, "conversations": {"x": {"outcome": "fine"}}}',
            "no baseline: conversations.x.outcome: Input should be",
        ),
    ],
)
def test_what_is_no_baseline_is_named(tmp_path: Path, text: str, reason: str) -> None:
    """File and field are told."""
    path = tmp_path / "base.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match=reason):
        read_baseline(path)
    with pytest.raises(ConfigError, match=r"gone.json: no such baseline; --update-baseline writes it"):
        read_baseline(tmp_path / "gone.json")
