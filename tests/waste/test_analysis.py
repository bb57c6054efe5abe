"""Every token of a recording is put where it belongs, once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentbreaker import Message, Policy
from agentbreaker.accounting import Accountant
from agentbreaker.interrupt import Interruption
from agentbreaker.replay import ConversationReport, ReplayReport, ReplayRun
from agentbreaker.report.figures import Figures
from agentbreaker.waste.analysis import analyse
from agentbreaker.waste.outcomes import OutcomeBook
from agentbreaker.waste.trials import candidates_of
from tests.waste.recordings import FACTS, START, honest, report_of, runaway, said, with_a_tool


def test_a_runaway_is_told_from_honest_work() -> None:
    """Of two conversations the runaway alone is halted, and only its loop is counted as one."""
    report = report_of(honest(), runaway())
    (halted,) = report.conversations_halted
    assert (report.conversations, report.halted, report.messages) == (2, 1, 30)
    assert (halted.conversation_id, halted.code) == ("runaway", "AB201")
    assert 0 < halted.began_at < halted.halted_at < 10
    assert report.spend.tokens == 3000
    assert report.spend.cost_usd == pytest.approx(0.003)
    assert report.in_loops.tokens == 100 * (22 - halted.began_at)
    assert report.after_halt.tokens == 100 * (22 - halted.halted_at)


def test_the_parts_add_up_to_the_whole() -> None:
    """Agents, edges, models, flows and purposes are each a partition of all spending."""
    report = report_of(honest(), runaway(), with_a_tool())
    parts = report.coordination
    for amounts in (
        [row.spend for row in report.by_agent],
        [row.spend for row in report.by_edge],
        [flow.amount for flow in report.flows],
        [parts.between_agents, parts.tools, parts.outside],
    ):
        assert sum(amount.tokens for amount in amounts) == report.spend.tokens
        assert sum(amount.cost_usd for amount in amounts) == pytest.approx(report.spend.cost_usd)
    (model,) = report.by_model
    assert model.spend.cost_usd == pytest.approx(report.spend.cost_usd)
    assert sum(row.in_loops.tokens for row in report.by_agent) == report.in_loops.tokens
    assert sum(row.after_halt.tokens for row in report.by_detector) == report.after_halt.tokens


def test_talk_is_told_from_work_and_from_the_outside() -> None:
    """Messages to and from a person are neither talk among agents nor work; calls and results are work."""
    parts = report_of(with_a_tool()).coordination
    assert (parts.between_agents.messages, parts.tools.messages, parts.outside.messages) == (1, 2, 2)


def test_flows_lead_to_what_it_was_spent_on() -> None:
    """A ribbon leads from the model through the agent to useful work or to the kind of loop."""
    report = report_of(honest(), runaway())
    kinds = {(flow.agent, flow.kind) for flow in report.flows}
    assert kinds == {(agent, kind) for agent in ("planner", "reviewer") for kind in ("useful", "AB201")}
    assert {flow.model for flow in report.flows} == {"house-7b"}


def test_the_same_cycle_in_several_conversations_is_one_row() -> None:
    """Who began a conversation makes no other cycle."""
    swapped = [
        said("other", number, {"planner": "reviewer", "reviewer": "planner"}[message.sender], message.content)
        for number, message in enumerate(runaway())
    ]
    report = report_of(runaway("a"), runaway("b"), swapped, honest())
    (cycle,) = [cycle for cycle in report.cycles if cycle.code == "AB201"]
    assert cycle.agents == ("planner", "reviewer")
    assert cycle.conversations == 3
    assert cycle.share == pytest.approx(1.0)
    assert cycle.until_halt.tokens + cycle.after_halt.tokens == cycle.in_loops.tokens
    assert set(cycle.examples) == {"a", "b", "other"}
    assert cycle.median_laps >= 2


def test_a_page_shows_the_laps_word_by_word() -> None:
    """In the laps of a loop hardly a word is new, and what is new in honest work is marked."""
    (page,) = report_of(runaway()).incidents
    assert page.laps[0].turns[0].index == page.halted.began_at
    assert all(lap.news < 0.15 for lap in page.laps)
    assert page.laps[-1].same_as_before is not None
    assert [signal.decided for signal in page.signals] == [True] + [False] * (len(page.signals) - 1)
    assert [(node.name, node.rank) for node in page.nodes] == [("planner", 0), ("reviewer", 1)]
    assert all(edge.in_cycle for edge in page.edges)
    assert page.after is not None
    assert page.after.amount == page.halted.after_halt
    assert page.spending[-1].tokens == page.halted.spend.tokens == 2200
    assert page.seconds == page.halted.halted_at * 60


def test_no_excerpts_no_text() -> None:
    """Where the policy keeps no excerpts, no page holds a word that was said."""
    report = report_of(runaway(), policy=Policy(conversations={"keep_excerpts": False}))
    text = report.model_dump_json()
    assert report.incidents[0].laps
    assert "confirm it" not in text
    assert FACTS[0] not in text


def test_what_has_no_price_is_named_and_never_free() -> None:
    """Tokens of a model that nobody knows are in no sum of money."""
    report = report_of(runaway(), prices={})
    assert report.spend.cost_usd == 0.0
    assert report.spend.unpriced_tokens == 2200
    assert report.unpriced == {"house-7b": 2200}
    assert any("not free" in note for note in report.notes)


def test_without_usage_tokens_are_estimated_and_marked() -> None:
    """What was not recorded is estimated from the text, and the report says so."""
    bare = [Message("c", message.sender, message.recipient, content=message.content) for message in runaway("c")]
    report = report_of(bare)
    assert report.spend.tokens > 100
    assert report.spend.estimated_tokens == report.spend.tokens
    assert any("≈" in note for note in report.notes)


def test_a_halt_by_a_cap_is_no_loop() -> None:
    """What a budget stops was useful until then."""
    report = report_of(honest(), policy=Policy(budgets={"max_messages": 5}))
    (halted,) = report.conversations_halted
    assert halted.code == "AB601"
    assert halted.began_at == halted.halted_at
    assert report.in_loops == report.after_halt


def test_a_cap_in_money_holds_for_prices_that_were_not_recorded() -> None:
    """The replay prices what has a usage, so that a budget in dollars can be tried."""
    report = report_of(honest(), policy=Policy(budgets={"max_cost_usd": 0.00045}))
    assert [one.code for one in report.conversations_halted] == ["AB603"]


def test_policies_are_compared_on_the_same_recordings() -> None:
    """A stricter ladder saves more, a looser one less, and the policy in force stands first."""
    policy = Policy()
    candidates = candidates_of(["ladder.halt=2.8,8"], policy)
    report = report_of(runaway(), honest(), policy=policy, candidates=candidates)
    assert [trial.name for trial in report.trials] == ["as it is", "ladder.halt=2.8", "ladder.halt=8"]
    as_it_is, strict, loose = report.trials
    assert strict.saved.tokens > as_it_is.saved.tokens > loose.saved.tokens > 0
    assert as_it_is.saved == report.after_halt
    assert as_it_is.halted_finished is None


def test_outcomes_rank_spending_by_what_it_achieved() -> None:
    """A group that finishes for less comes first, and halted conversations that finished are counted."""
    book = OutcomeBook({"good": (True, "success", "east"), "bad": (False, "failure", "west"), "x": (True, "done", "")})
    report = report_of(
        honest("good"), runaway("bad"), outcomes=book, candidates=candidates_of(["ladder.halt=4"], Policy())
    )
    assert [(one.group, one.finished, one.conversations) for one in report.outcomes] == [("east", 1, 1), ("west", 0, 1)]
    east, west = report.outcomes
    assert east.usd_per_finished == pytest.approx(0.0008)
    assert west.usd_per_finished is None
    assert west.in_loops.tokens > 0
    assert [trial.halted_finished for trial in report.trials] == [0, 0]
    assert report.conversations_halted[0].outcome == "failure"
    assert any("1 of the outcomes" in note for note in report.notes)


def test_a_group_without_prices_is_not_the_cheapest() -> None:
    """Where groups are compared by money, one that has only tokens comes after those that have prices."""
    book = OutcomeBook({"good": (True, "success", "priced"), "mystery": (True, "success", "unpriced")})
    mystery = [replace(message, model="nobody-knows-me") for message in honest("mystery")[:2]]
    report = report_of(honest("good"), mystery, outcomes=book)
    assert report.measure == "money"
    assert [one.group for one in report.outcomes] == ["priced", "unpriced"]
    assert report.outcomes[1].usd_per_finished is None


def test_what_most_tokens_have_no_price_for_is_not_compared_by_money() -> None:
    """Shares, ranks and the month ahead are of tokens then, and the report says so."""
    days = range(6)
    small = [message for day in days for message in honest(f"h{day}", day=day)]
    large = [replace(one, model="nobody-knows-me") for day in days for one in runaway(f"r{day}", day=day)]
    report = report_of(small, large)
    assert report.measure == "tokens"
    assert report.spend.cost_usd > 0
    assert report.by_model[0].name == "nobody-knows-me"
    assert report.forecast is not None
    assert (report.forecast.unit, report.forecast.spend.middle) == ("tokens", 90_000.0)
    assert any(note.startswith("Shares, ranks and the month ahead are of tokens") for note in report.notes)
    figures = Figures(report)
    assert figures.headline().startswith("67 % of 18.0k tokens went into loops.")
    assert figures.priced(report.spend) == "$0.0048 for the 4,800 with a price"


def test_days_give_a_forecast_and_too_few_give_a_reason() -> None:
    """A week of recordings gives a month with an interval around it; a day gives none, and says why."""
    week = [message for day in range(7) for message in (*honest(f"h{day}", day=day), *runaway(f"r{day}", day=day))]
    ahead = report_of(week).forecast
    assert ahead is not None
    assert (ahead.unit, ahead.days) == ("usd", 7)
    assert ahead.spend.low <= ahead.spend.middle <= ahead.spend.high
    assert ahead.spend.middle == pytest.approx(30 * 0.003)
    assert 0 < ahead.saved.middle < ahead.spend.middle
    short = report_of(honest())
    assert short.forecast is None
    assert "1 day is recorded" in short.no_forecast


def test_an_interrupted_reading_is_reported_as_far_as_it_went() -> None:
    """After an interruption the figures cover what was read, in both readings, and no policies are compared."""
    messages = [("t", message) for message in (*honest(), *runaway())]
    asked = Interruption()

    def replayed(policy: Policy, totals: ReplayReport, keep: int) -> Iterator[ConversationReport]:
        def until_then() -> Iterator[tuple[str, Message]]:
            for number, pair in enumerate(messages):
                if number == 12:
                    asked.ask()
                yield pair

        return ReplayRun(policy, totals, keep_incidents=keep).over(asked.over(until_then()))

    report = analyse(
        lambda: iter(messages),
        Policy(),
        made_at=START,
        accountant=Accountant(),
        candidates=candidates_of(["ladder.halt=3"], Policy()),
        replayed=replayed,
        interrupted=lambda: asked.cut_short,
    )
    assert not report.complete
    assert (report.messages, report.spend.messages) == (13, 13)
    assert report.trials == ()


def test_an_interrupted_comparison_is_left_out() -> None:
    """Ctrl-C while policies are tried: the report is of everything, and has no half comparison in it."""
    messages = [("traces.jsonl", message) for message in (*honest(), *runaway())]
    asked = Interruption()

    def replayed(policy: Policy, totals: ReplayReport, keep: int) -> Iterator[ConversationReport]:
        if keep == 0:
            asked.ask()
        return ReplayRun(policy, totals, keep_incidents=keep).over(asked.over(messages))

    report = analyse(
        lambda: iter(messages),
        Policy(),
        made_at=START,
        accountant=Accountant(),
        candidates=candidates_of(["ladder.halt=3"], Policy()),
        replayed=replayed,
        interrupted=lambda: asked.cut_short,
    )
    assert (report.complete, report.trials) == (False, ())
    assert report.messages == report.spend.messages == len(messages)
    assert report.halted == 1


def test_only_the_most_expensive_halts_get_a_page() -> None:
    """Pages are bounded; the longest loop is among them."""
    report = report_of(*(runaway(f"r{length}", thanks=length) for length in (12, 40, 20)), incidents=2)
    assert [page.halted.conversation_id for page in report.incidents] == ["r40", "r20"]
    assert report.halted == 3


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["a", "b", "c"]),
            st.sampled_from(["p", "q", "tool"]),
            st.sampled_from(["p", "q", None]),
            st.sampled_from(["message", "tool_call", "tool_result", "handoff", "system"]),
            st.sampled_from(["ok", "thank you", "谢谢，确认。", "", "Brandt owes 218 euros"]),
            st.integers(min_value=-5, max_value=500),
        ),
        max_size=80,
    )
)
def test_whatever_was_recorded_adds_up(rows: list[tuple[str, str, str | None, str, str, int]]) -> None:
    """For any recording: the parts are partitions, a halt lies within its conversation, shares lie in [0, 1]."""
    messages = []
    for number, (conversation, sender, recipient, kind, text, tokens) in enumerate(rows):
        message = said(conversation, number, sender, text, recipient, tokens=max(10, tokens))
        message.kind = kind  # type: ignore[assignment]
        messages.append(message)
    report = report_of(messages, policy=Policy(ladder={"warn": 0.5, "steer": 0.5, "halt": 0.5}))
    assert report.spend.messages == len(rows)
    assert sum(row.spend.messages for row in report.by_edge) == len(rows)
    assert sum(one.in_loop.messages for one in report.conversations_halted) == report.in_loops.messages
    assert report.after_halt.messages <= report.in_loops.messages <= report.spend.messages
    for one in report.conversations_halted:
        assert 0 <= one.began_at <= one.halted_at < one.messages
        assert one.spend.messages == one.messages
    for page in report.incidents:
        assert all(0 <= lap.news <= 1 and 0 <= (lap.same_as_before or 0) <= 1 for lap in page.laps)
        assert [point.index for point in page.spending] == sorted({point.index for point in page.spending})
