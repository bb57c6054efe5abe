"""What a bench found, as people read it."""

from __future__ import annotations

import io

from rich.console import Console

from agentbreaker.bench import Bench, Judged
from agentbreaker.bench_baseline import baseline_of, compare
from agentbreaker.bench_figures import report_of
from agentbreaker.report.bench_report import bench_markdown, print_bench
from agentbreaker.scenario import Outcome
from tests.test_bench_figures import calm, one


def printed(bench: Bench, *, before: list[Judged] | None = None, show_all: bool = False, width: int = 80) -> str:
    """What a terminal of this width shows."""
    out = io.StringIO()
    report = report_of(bench)
    comparison = None if before is None else compare(report.results, baseline_of(before))
    print_bench(Console(file=out, width=width, highlight=False), report, comparison, show_all=show_all)
    return out.getvalue()


def test_eighty_columns_show_every_figure() -> None:
    """No column of numbers is cut, with counts in the hundreds."""
    judged = [one(str(number), detector_meant="AB201", delay=number) for number in range(150)]
    text = printed(Bench([*judged, *(calm(f"c{number}", group="work") for number in range(320))]))
    assert "…" not in text
    row = next(line for line in text.splitlines() if line.startswith("AB201"))
    assert row.split()[:2] == ["AB201", "150/150"]
    assert "74 (37..112)" in row


def test_long_tables_show_what_is_wrong_and_count_the_rest() -> None:
    """``show_all`` lists them all."""
    judged = [one(str(number), group=f"family-{number}") for number in range(20)]
    judged += [one("bad", Outcome.MISSED, group="family-bad")]
    judged += [calm(f"c{number}", group=f"source-{number}") for number in range(14)]
    short, long = printed(Bench(judged)), printed(Bench(judged), show_all=True)
    assert "20 families more, all caught in time; --all lists them" in short
    assert "14 sources more without a halt or a warning; --all lists them" in short
    assert ("family-bad" in short, "family-3" in short, "family-3" in long) == (True, False, True)


def test_many_failures_are_counted() -> None:
    """Twenty are named, the others counted."""
    judged = [one(f"c-{number}", Outcome.MISSED) for number in range(23)]
    assert "and 3 more; --all lists them" in printed(Bench(judged))
    assert "c-22" in printed(Bench(judged), show_all=True)


def test_a_bench_says_what_it_did_not_judge() -> None:
    """Ignored, unlabelled, assumed, left out, without a conversation, forgotten: each has its line."""
    bench = Bench([calm("a")], 1, 2, 1, {"x/y": "no vectors"}, ["gone"], 3)
    text = printed(bench, width=200)
    for line in (
        "and 1 to be ignored",
        "2 conversations without a label in a labelled corpus: left out",
        "1 conversation without labels: taken as legitimate",
        "1 scenario left out:\n  x/y: no vectors",
        "1 label without a conversation: gone",
        "3 conversations forgotten in between",
    ):
        assert line in text


def test_a_comparison_names_both_ends() -> None:
    """Before and now stand side by side, worse and better apart."""
    before = [one("worse", halted_at=9), one("better", Outcome.MISSED), one("gone", halted_at=3)]
    now = [one("worse", Outcome.MISSED), one("better", halted_at=8), one("new")]
    text = printed(Bench(now), before=before, width=120)
    assert "Against the baseline: 2 worse, 1 better, 0 the same, 1 new" in text
    listed = [line.split() for line in text.split("Worse than the baseline")[1].splitlines() if line]
    rows = {words[0]: " ".join(words[1:]) for words in listed}
    assert rows["worse"] == "ok, halted at 9 missed"
    assert rows["gone"] == "ok, halted at 3 not run"
    assert rows["better"] == "missed ok, halted at 8"


def test_markdown_has_the_same_tables() -> None:
    """Each row of the terminal is a row there."""
    text = bench_markdown(report_of(Bench([one("a", detector_meant="AB201"), calm("b")])), None, show_all=False)
    assert "| AB201 | 1/1 | 21 to 100 % | 0 | 0 | - | 0 % | - | 100 |" in text
    assert "| support | 0/1 | 0 to 79 % | 0/1 | 0 to 79 % |" in text
