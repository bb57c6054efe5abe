"""Recorded evidence: it tells of every threshold what a replay with that threshold would have done."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentbreaker.errors import TranscriptError
from agentbreaker.labels import Labels, Role, expand_corpus
from agentbreaker.message import Message, Tool
from agentbreaker.policy import Policy
from agentbreaker.replay import ReplayReport, read_sources, replay
from agentbreaker.trails import LADDER_BOUND, LOWEST_EVIDENCE, Case, Rise, Trail, join, measure, measuring_policy
from agentbreaker.verdict import Action, Decision, score_of

SCENARIOS = Path(__file__).resolve().parents[1] / "scenarios"
GRID = [0.05, 0.7, 1.5, 2.0, 2.75, 3.25, 3.3, 4.0, 4.5, 5.0, 7.35, 12.0, 30.0, 80.0, 159.0]
EMPTY = [
    "Great, thank you!",
    "You are welcome, glad to help.",
    "Perfect, all confirmed.",
    "Thanks again for everything!",
]
FULL = [
    "The import stopped at row 20,871 with an unknown currency code.",
    "Disk 4 of the Hamburg cluster reports 312 reallocated sectors.",
    "I moved parse_header() to headers.py and the 41 tests pass.",
]


def halting_at(threshold: float, *, below: bool) -> Policy:
    """A policy that halts at a threshold, and warns and steers before it if asked to."""
    rungs = {"warn": threshold / 2, "steer": threshold * 0.75} if below else {"warn": None, "steer": None}
    return Policy(ladder={"finish": None, "halt": threshold, **rungs}, detectors={"disable": LADDER_BOUND})


def measured(messages: Iterable[Message], policy: Policy | None = None) -> list[Trail]:
    """The evidence of the messages of one file."""
    return list(measure((("log.jsonl", message) for message in messages), policy))


@cache
def scenario_messages() -> list[tuple[str, Message]]:
    """All messages of all scenarios."""
    return list(read_sources(expand_corpus([str(SCENARIOS)])))


@cache
def scenario_trails() -> dict[tuple[str, str], Trail]:
    """The evidence of all scenarios."""
    return {(trail.source, trail.conversation_id): trail for trail in measure(scenario_messages())}


@pytest.mark.parametrize("below", [False, True], ids=["halt-only", "warned-and-steered"])
@pytest.mark.parametrize("threshold", [2.0, 3.5, 4.0, 4.55, 7.0, 20.0])
def test_the_crossing_is_where_a_replay_with_that_threshold_halts(threshold: float, below: bool) -> None:
    """On every scenario: the same message, score and detector, whether or not it was warned and steered before."""
    trails = scenario_trails()
    reports = list(replay(scenario_messages(), halting_at(threshold, below=below), keep_incidents=0))
    assert len(reports) == len(trails)
    halts = 0
    for report in reports:
        crossing = trails[report.source, report.conversation_id].crossing(threshold)
        if crossing is None:
            assert report.halted_at is None, report
            continue
        halts += 1
        assert (crossing.at, crossing.score, crossing.code) == (report.halted_at, report.score, report.detector)
    assert halts > 10


def test_the_crossing_is_where_a_replay_warns_too() -> None:
    """The same evidence stands behind every rung: the first warning or steer of the default policy is found as well."""
    ladder = Policy().settings.ladder
    assert ladder.warn is not None
    policy = Policy(detectors={"disable": LADDER_BOUND})
    for report in replay(scenario_messages(), policy, keep_incidents=0):
        crossing = scenario_trails()[report.source, report.conversation_id].crossing(ladder.warn)
        told = report.warned_at if report.warned_at is not None else report.halted_at
        assert (None if crossing is None else crossing.at) == told, report


@st.composite
def conversations(draw: st.DrawFn) -> list[Message]:
    """Work, thanks, tool rounds, turns of the user and repeated ids, in any order, from a few interleaved talks."""
    messages = []
    for number in range(draw(st.integers(1, 60))):
        name = draw(st.sampled_from(["one", "one", "two"]))
        kind = draw(st.sampled_from(["thanks", "thanks", "work", "call", "result", "user", "prompt"]))
        who, whom = draw(st.sampled_from([("ann", "bob"), ("bob", "ann"), ("eve", "ann"), ("ann", None)]))
        fields: dict[str, Any] = {"content": draw(st.sampled_from(FULL if kind == "work" else EMPTY))}
        if kind in ("call", "result"):
            tool = Tool("search", arguments={"q": draw(st.sampled_from(["a", "b"]))})
            if kind == "result":
                tool.result = draw(st.sampled_from(["nothing found", "row 17", "error: timeout"]))
            fields = {"tool": tool, "kind": "tool_call" if kind == "call" else "tool_result"}
        elif kind == "user":
            fields["role"] = "user"
        elif kind == "prompt":
            fields["kind"] = "system"
        message_id = f"m{draw(st.integers(0, number))}" if draw(st.booleans()) else None
        messages.append(Message(name, who, whom, message_id=message_id, **fields))
    return messages


@settings(max_examples=60, deadline=None)
@given(messages=conversations(), threshold=st.sampled_from(GRID), below=st.booleans())
def test_the_crossing_of_any_conversation_is_where_a_replay_halts(
    messages: list[Message], threshold: float, below: bool
) -> None:
    """Whatever the messages are, and whatever the threshold: one pass says what each replay would have done."""
    trails = {trail.conversation_id: trail for trail in measured(messages)}
    policy = halting_at(threshold, below=below)
    for report in replay((("log.jsonl", message) for message in messages), policy):
        crossing = trails[report.conversation_id].crossing(threshold)
        assert (None if crossing is None else crossing.at) == report.halted_at
        assert trails[report.conversation_id].messages == report.messages


def test_evidence_only_rises_along_a_trail() -> None:
    """Each record is a later message with more evidence, and nothing below the least that is measured is kept."""
    seen = 0
    for trail in scenario_trails().values():
        for before, after in pairwise(trail.rises):
            seen += 1
            assert before.at < after.at
            assert before.score < after.score
        assert all(rise.evidence >= LOWEST_EVIDENCE / 2 - 1e-9 for rise in trail.rises)
        assert trail.highest == (trail.rises[-1].score if trail.rises else 0.0)
    assert seen > 1000


def test_nothing_is_stopped_while_measuring() -> None:
    """Neither the ladder nor the budgets of a policy play a part; its detectors and weights do."""
    policy = Policy(
        ladder={"warn": 0.5, "steer": 0.5, "finish": 0.6, "halt": 0.7},
        budgets={"max_messages": 2},
        detectors={"weight": 0.45, "disable": ("AB301", "AB302")},
    )
    rules = measuring_policy(policy).settings
    assert rules.budgets.max_messages is None
    assert (rules.ladder.finish, rules.ladder.halt) == (None, None)
    assert set(rules.detectors.disable) == {*policy.settings.detectors.disable, *LADDER_BOUND}
    assert rules.detectors.weight == policy.settings.detectors.weight
    messages = [Message("talk", *(("a", "b") if n % 2 else ("b", "a")), content=EMPTY[n % 4]) for n in range(40)]
    report = ReplayReport()
    (light,) = measure((("log.jsonl", message) for message in messages), policy, report=report)
    (heavy,) = measured(messages, Policy(detectors={"disable": ("AB301", "AB302")}))
    assert (light.messages, report.halted, report.messages_after_halt) == (40, 0, 0)
    assert light.rises[-1].at > 30
    assert 0 < light.highest < heavy.highest
    assert "AB301" in {rise.code for trail in measured(messages) for rise in trail.rises}
    assert "AB301" not in {rise.code for rise in light.rises}


def test_characters_that_are_sent_again_are_counted() -> None:
    """For each message those of all before it; prompts are no part, and a tool's text counts if there is no other."""
    arguments = {"query": "naïve", "page": 2}
    messages = [
        Message("talk", "sys", kind="system", content="x" * 1000),
        Message("talk", "a", "b", content="12345"),
        Message("talk", "a", "t", kind="tool_call", tool=Tool("t", arguments=arguments)),
        Message("talk", "t", "a", kind="tool_result", tool=Tool("t", arguments=arguments, result="1234567")),
        Message("talk", "a", "t", kind="tool_call", tool=Tool("t", arguments="text")),
        Message("talk", "a", "t", kind="tool_call", tool=Tool("t")),
        Message("talk", "a", "b", content="123"),
    ]
    sizes = [0, 5, len(json.dumps(arguments, ensure_ascii=False, separators=(",", ":"))), 7, 4, 0, 3]
    (trail,) = measured(messages)
    assert trail.resent == sum(sum(sizes[:number]) for number in range(len(sizes)))
    messages = [Message("talk", "a", "b", content=EMPTY[number % 4]) for number in range(7)]
    (trail,) = measured(messages)
    sizes = [len(message.content) for message in messages]
    assert trail.rises
    for rise in trail.rises:
        assert rise.resent == sum(sum(sizes[:number]) for number in range(rise.at + 1))


def test_the_same_id_in_two_files_is_two_conversations() -> None:
    """Each trail knows its file, and the second begins from nothing."""
    talk = [Message("talk", *(("a", "b") if n % 2 else ("b", "a")), content=EMPTY[n % 4]) for n in range(12)]
    first, second = measure([*(("one", message) for message in talk), *(("two", message) for message in talk)])
    assert (first.source, second.source) == ("one", "two")
    assert first.rises == second.rises


def test_a_threshold_on_the_very_score_is_crossed() -> None:
    """The comparison is that of the policy: a score that equals the threshold reaches the rung."""
    trail = Trail("talk", "log.jsonl", 3)
    for number, evidence in enumerate([1.0, 0.5, 4.0]):
        decision = Decision(Action.WARN, "AB201", score_of(evidence))
        trail.add(number, Message("talk", "a", "b", content="12345"), decision)
    assert trail.rises == [Rise(0, score_of(1.0), "AB201", 0), Rise(2, score_of(4.0), "AB201", 15)]
    assert trail.crossing(4.0) == trail.rises[1]
    assert trail.crossing(1.0) == trail.rises[0]
    assert trail.crossing(4.0001) is None


def test_join_leaves_out_what_has_no_label(tmp_path: Path) -> None:
    """Labelled conversations become cases, the rest is counted; the source is the label's, else the file."""
    path = tmp_path / "labels.jsonl"
    lines = [
        {"conversation_id": "a", "role": "negative", "source": "support"},
        {"conversation_id": "b", "role": "positive", "onset": 2},
        {"conversation_id": "c", "role": "negative"},
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    trails = [Trail(name, "log.jsonl", 3) for name in "abcd"]
    cases, unlabelled = join(trails, Labels(path))
    assert [case.source for case in cases] == ["support", "log.jsonl", "log.jsonl"]
    assert unlabelled == 1
    trails[1].messages = 2
    with pytest.raises(TranscriptError, match=r"labels.jsonl:2: onset: 2 is beyond the conversation, which has 2"):
        join(trails, Labels(path))


def test_early_is_a_matter_of_runaways() -> None:
    """Before the first message that may be halted it is early; a legitimate conversation has no such message."""
    labels = Labels()
    label = labels.of("log.jsonl", "a")
    assert label is not None
    assert label.role is Role.NEGATIVE
    assert not Case(Trail("a", "log.jsonl"), label).is_early(Rise(0, 0.5, "AB201", 0))
