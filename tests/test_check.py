"""The gate: what is wasted, what it costs, and what it fails on."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from agentbreaker.check import CheckReport, FailOn, Kind, Limits, check, money_of, share_of, wasted
from agentbreaker.errors import ConfigError
from agentbreaker.replay import read_sources
from tests.scenario_folders import quiet, runaway, save

USAGE = {"input_tokens": 100, "output_tokens": 10}


def checked(path: Path, *conversations: Iterable[dict[str, Any]], limits: Limits | None = None) -> CheckReport:
    """Check conversations that are written to a file first."""
    return check(read_sources([save(path / "runs.jsonl", *conversations)]), limits=limits)


def test_a_halt_fails_and_a_quiet_conversation_does_not(tmp_path: Path) -> None:
    """The finding says which conversation, where, and why."""
    assert not checked(tmp_path, quiet("good")).failed
    report = checked(tmp_path, quiet("good"), runaway("bad"))
    [finding] = report.findings
    assert (finding.kind, finding.fails, finding.conversation_id, finding.code) == (Kind.HALT, True, "bad", "AB201")
    assert finding.message == report.conversations[1].report.halted_at
    assert "ann and bob" in finding.sentence
    assert report.failed


def test_what_is_wasted_begins_with_the_loop(tmp_path: Path) -> None:
    """From its first message to the end of the recording, in tokens, or in messages where none are on record."""
    report = checked(tmp_path, runaway("bad", usage=USAGE), quiet("good", usage=USAGE))
    [bad, good] = report.conversations
    incident = bad.report.incident
    assert incident is not None
    loop = bad.report.messages - incident["began_at"]
    assert (bad.wasted_messages, bad.wasted_tokens) == (loop, 110 * loop)
    assert (good.wasted_messages, good.wasted_tokens) == (0, 0)
    assert report.waste == 110 * loop / report.totals.tokens
    bare = checked(tmp_path, runaway("bad"), quiet("good"))
    assert bare.waste == loop / bare.totals.messages
    # Beyond so many halts the evidence is not kept, and only what came after the halt is known.
    late = bad.report.model_copy(update={"incident": None})
    assert wasted(late) == (bad.report.tokens_after_halt, late.messages - (late.halted_at or 0))


def test_nothing_is_no_waste(tmp_path: Path) -> None:
    """No message, no share."""
    assert CheckReport(Limits(), None).waste == 0.0


@pytest.mark.parametrize(
    ("limits", "kinds"),
    [
        (Limits(FailOn.NONE), []),
        (Limits(FailOn.NONE, max_waste=0.5), [Kind.WASTE]),
        (Limits(FailOn.NONE, max_waste=0.99), []),
        (Limits(FailOn.NONE, max_cost_usd=1.0), [Kind.COST]),
        (Limits(FailOn.NONE, max_cost_usd=100.0), []),
        (Limits(max_waste=0.0, max_cost_usd=0.0), [Kind.HALT, Kind.WASTE, Kind.COST]),
    ],
)
def test_limits_hold_for_all_together(tmp_path: Path, limits: Limits, kinds: list[Kind]) -> None:
    """Above the limit it fails, at it or below it does not."""
    report = checked(tmp_path, runaway("bad", usage=USAGE, cost_usd=0.1), limits=limits)
    assert [finding.kind for finding in report.findings if finding.fails] == kinds
    assert report.failed is bool(kinds)


def test_a_warning_fails_only_where_it_is_asked_for(tmp_path: Path) -> None:
    """It is a finding either way."""
    lines = runaway("bad")[:9]
    for fail_on, fails in ((FailOn.HALT, False), (FailOn.WARN, True), (FailOn.NONE, False)):
        [finding] = checked(tmp_path, lines, limits=Limits(fail_on)).findings
        assert (finding.kind, finding.fails, finding.message) == (Kind.WARNING, fails, 8)


def test_what_has_no_recorded_cost_is_priced_by_its_model(tmp_path: Path) -> None:
    """At list price; a recorded cost stays; a model that nobody knows is unpriced, also where 0 is on record for it."""
    usage = {"input_tokens": 1_000_000, "output_tokens": 0}
    lines: list[dict[str, Any]] = [
        {"conversation_id": "c", "sender": "a", "content": "one", "model": "gpt-4o", "usage": usage},
        {"conversation_id": "c", "sender": "b", "content": "two", "model": "gpt-4o", "usage": usage, "cost_usd": 0.25},
        {"conversation_id": "c", "sender": "a", "content": "three", "model": "nobody-knows-this", "usage": usage},
        {"conversation_id": "c", "sender": "b", "content": "4", "model": "who-knows", "usage": usage, "cost_usd": 0},
        {"conversation_id": "c", "sender": "a", "content": "five", "model": "gpt-4o", "usage": usage, "cost_usd": 0},
    ]
    report = checked(tmp_path, lines)
    assert report.totals.cost_usd == pytest.approx(2.5 + 0.25 + 2.5)
    assert report.unpriced_tokens == 2_000_000


def test_the_budget_of_the_policy_sees_the_price(tmp_path: Path) -> None:
    """As in production, where the integration prices each call."""
    policy = tmp_path / "policy.toml"
    policy.write_text("[budgets]\nmax_cost_usd = 1.0\n")
    usage = {"input_tokens": 1_000_000, "output_tokens": 0}
    lines = [{"conversation_id": "c", "sender": "a", "content": "one", "model": "gpt-4o", "usage": usage}]
    report = check(read_sources([save(tmp_path / "runs.jsonl", lines)]), policy)
    assert [finding.code for finding in report.findings] == ["AB603"]
    assert report.policy == str(policy)


@pytest.mark.parametrize("text", ["", "ten", "-1%", "101%", "1.5", "nan", "inf%"])
def test_what_is_no_share_is_refused(text: str) -> None:
    """The error names the option and says what one looks like."""
    with pytest.raises(ConfigError, match=r"--max-waste: .* is no share; give one such as 10% or 0.1"):
        share_of(text, "--max-waste")


@pytest.mark.parametrize("text", ["", "five", "-1", "nan", "inf", "$"])
def test_what_is_no_amount_is_refused(text: str) -> None:
    """The error names the option."""
    with pytest.raises(ConfigError, match=r"--max-cost: .* is no amount of US dollars"):
        money_of(text, "--max-cost")
