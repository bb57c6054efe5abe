"""The policy of a calibration: where its rungs stand, and what its file says."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentbreaker.config import Ladder
from agentbreaker.errors import ConfigError
from agentbreaker.labels import Label, Labels, Role
from agentbreaker.message import Message
from agentbreaker.policy import Policy
from agentbreaker.trails import Case, Trail
from agentbreaker.tune import TuneReport, tune
from agentbreaker.tuned_policy import ladder_for, opening_rung, policy_text
from agentbreaker.verdict import MAX_EVIDENCE, Action, Decision, score_of

DEFAULT = Ladder()
HOSTILE = 'a\n[ladder]\nhalt = 1\x1b[31m"""\u202e\ud83d'


def trail(*evidence: float, name: str = "talk") -> Trail:
    """A conversation with this evidence after each message."""
    made = Trail(name, "log.jsonl", len(evidence))
    for number, value in enumerate(evidence):
        decision = Decision(Action.WARN, "AB201", score_of(value)) if value else Decision(Action.ALLOW)
        made.add(number, Message(name, "a", "b", content="hello"), decision)
    return made


def honest(*evidence: float, source: str = "work") -> Case:
    """A legitimate conversation."""
    return Case(trail(*evidence), Label("talk", Role.NEGATIVE, source=source))


def report(tmp_path: Path, **options: Any) -> TuneReport:
    """A calibration on four hundred legitimate conversations, of which the worst reaches 3.97, and ten runaways."""
    trails = [trail(1.0 + (number % 298) / 100, name=f"work-{number}") for number in range(400)]
    trails += [trail(0, 0, 2, 3, 4, 5, 6, name=f"loop-{number}") for number in range(10)]
    lines: list[dict[str, Any]] = [
        {"conversation_id": one.conversation_id, "role": "negative", "source": "desk"} for one in trails[:400]
    ]
    lines += [
        {"conversation_id": one.conversation_id, "role": "positive", "onset": 2, "family": "nag"}
        for one in trails[400:]
    ]
    path = tmp_path / "labels.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return tune(trails, Labels(path), **options)


# ---------------------------------------------------------------------- the ladder


def test_the_rungs_keep_their_distances_as_a_ratio() -> None:
    """With twice the threshold, warning and steering come at twice the evidence; rungs that are off stay off."""
    ladder, reached = ladder_for(8.0, DEFAULT, [honest(1)], 0.02)
    assert reached
    assert DEFAULT.warn is not None
    assert DEFAULT.steer is not None
    assert ladder == Ladder(warn=2 * DEFAULT.warn, steer=2 * DEFAULT.steer, finish=None, halt=8.0)
    bare, _ = ladder_for(8.0, Ladder(warn=None, steer=None), [honest(1)], 0.02)
    assert bare == Ladder(warn=None, steer=None, finish=None, halt=8.0)


def test_a_policy_that_finishes_is_tuned_at_finish() -> None:
    """The threshold is that of the first rung that stops a conversation; halt keeps its distance above it."""
    start = Ladder(warn=2, steer=3, finish=4, halt=6)
    ladder, _ = ladder_for(5.0, start, [honest(1)], 0.02)
    assert ladder == Ladder(warn=2.5, steer=3.75, finish=5.0, halt=7.5)
    assert opening_rung(ladder) == 5.0
    only, _ = ladder_for(5.0, Ladder(warn=2, steer=3, finish=4, halt=None), [honest(1)], 0.02)
    assert (only.finish, only.halt) == (5.0, None)


def test_a_policy_that_stops_nothing_gets_a_halt() -> None:
    """A ladder of warnings alone is given the threshold, with its warnings below it."""
    ladder, _ = ladder_for(8.0, Ladder(warn=2.75, steer=3.25, halt=None), [honest(1)], 0.02)
    assert ladder == Ladder(warn=5.5, steer=6.5, finish=None, halt=8.0)
    assert opening_rung(Ladder(halt=None)) is None


def test_warnings_move_up_until_few_enough_are_warned() -> None:
    """Of two hundred, four may be warned: warning stands just above the fifth, and steering never below it."""
    cases = [honest(1)] * 195 + [honest(3.62)] * 5
    ladder, reached = ladder_for(4.0, DEFAULT, cases, 0.02)
    assert reached
    assert (ladder.warn, ladder.steer, ladder.halt) == (3.65, 3.65, 4.0)
    cases = [honest(1)] * 195 + [honest(2.9)] * 5
    ladder, reached = ladder_for(4.0, DEFAULT, cases, 0.02)
    assert (reached, ladder.warn, ladder.steer) == (True, 2.95, DEFAULT.steer)


def test_where_it_cannot_be_reached_the_distances_stay() -> None:
    """A warning that comes with the halt is none, so it is not moved there; the report owns up to it."""
    cases = [honest(1)] * 190 + [honest(3.99)] * 10
    ladder, reached = ladder_for(4.0, DEFAULT, cases, 0.02)
    assert not reached
    assert ladder == DEFAULT


def test_a_small_source_does_not_move_the_warnings() -> None:
    """Two of three are warned, which says nothing about a rate; together with all others it counts."""
    cases = [honest(1)] * 197 + [honest(3.5, source="shop"), honest(3.5, source="shop"), honest(1, source="shop")]
    ladder, reached = ladder_for(4.0, DEFAULT, cases, 0.02)
    assert (reached, ladder) == (True, DEFAULT)


rungs = st.one_of(st.none(), st.floats(0.1, 160.0))


@given(st.lists(rungs, min_size=4, max_size=4), st.integers(40, 3200), st.lists(st.floats(0.1, 160.0), max_size=20))
def test_any_ladder_stays_one(values: list[float | None], step: int, evidence: list[float]) -> None:
    """Whatever the start and the threshold: the rungs do not fall, and the first that stops is at the threshold."""
    rising = iter(sorted(value for value in values if value is not None))
    names = ("warn", "steer", "finish", "halt")
    start = Ladder(**{name: None if value is None else next(rising) for name, value in zip(names, values, strict=True)})
    threshold = step / 20
    ladder, _ = ladder_for(threshold, start, [honest(value) for value in evidence], 0.02)
    assert opening_rung(ladder) == threshold
    for name in ("warn", "steer", "finish"):
        assert (getattr(ladder, name) is None) == (getattr(start, name) is None)
    assert ladder.halt is None or ladder.halt <= MAX_EVIDENCE


# ---------------------------------------------------------------------- the file


def test_the_file_reads_back_and_says_what_it_rests_on(tmp_path: Path) -> None:
    """Only the ladder is in it, as it was reported; the comments hold command, data, goal and what was reached."""
    found = report(tmp_path)
    text = policy_text(found, Policy(), "agentbreaker tune log.jsonl")
    assert set(tomllib.loads(text)) == {"ladder"}
    path = tmp_path / "prod.toml"
    path.write_text(text)
    assert Policy(path).settings.ladder == found.ladder
    assert found.chosen is not None
    # Two values of each hundredth up to 2.01, then one of each: the fifth highest of 400 is 3.93, and four may stay.
    assert found.chosen.threshold == 3.95
    for line in (
        "# Written by: agentbreaker tune log.jsonl",
        "# Data: 400 legitimate conversations in 1 source (400 messages), 10 runaways",
        "# Goal: halt at most 1 % of the legitimate conversations of every source and of all together, of a source "
        "below 100 at most one",
        "# Reached with halt = 3.95: 3 of 400 (0.75 %, 95 %: 0.26 to 2.18 %) halted",
        "# Caught: nag, 10 of 10 (100 %, 95 %: 72 to 100 %), median delay 2 messages",
    ):
        assert line in text.splitlines()


def test_the_same_report_gives_the_same_bytes(tmp_path: Path) -> None:
    """No time stamp, no order of a set: running it again gives the same file."""
    texts = {policy_text(report(tmp_path), Policy(), "agentbreaker tune x") for _ in range(3)}
    assert len(texts) == 1


def test_what_the_figures_were_measured_with_is_taken_over(tmp_path: Path) -> None:
    """Other weights give other evidence: a threshold without them would promise what nobody measured."""
    start = Policy(detectors={"weight": 0.7, "disable": ("AB401",)}, budgets={"max_messages": 500})
    text = policy_text(report(tmp_path, start=start.settings.ladder), start, "agentbreaker tune x")
    path = tmp_path / "prod.toml"
    path.write_text(text)
    read = Policy(path).settings
    assert set(tomllib.loads(text)) == {"ladder", "detectors", "budgets"}
    assert (read.detectors, read.budgets) == (start.settings.detectors, start.settings.budgets)
    assert "those of the policy that the figures were measured with" in text


def test_hostile_names_stay_in_their_comment(tmp_path: Path) -> None:
    """A source or family that would end the comment is escaped, and so is a file name on the command line."""
    trails = [trail(5.0, name=f"work-{number}") for number in range(60)] + [trail(9.0, name="loop")]
    path = tmp_path / "labels.jsonl"
    name = HOSTILE.removesuffix("\ud83d")
    lines = [{"conversation_id": one.conversation_id, "role": "negative", "source": name} for one in trails[:-1]]
    lines.append({"conversation_id": "loop", "role": "positive", "family": name})
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = tune(trails, Labels(path), max_false_halts=1.0)
    text = policy_text(found, Policy(), f"agentbreaker tune {HOSTILE}")
    assert found.choice is not None
    assert tomllib.loads(text)["ladder"]["halt"] == found.choice.threshold == 2.0
    assert text.encode("utf-8").decode() == text
    assert all(character == "\n" or character.isprintable() for character in text)


def test_the_file_owns_up_to_what_is_not_known(tmp_path: Path) -> None:
    """A held-out half is said to be one, and so are conversations that nobody labelled."""
    assert "measured on the other half" in policy_text(report(tmp_path, split=True), Policy(), "x")
    unlabelled = tune([trail(1.0, name=str(number)) for number in range(3)], Labels())
    assert "3 conversations had no label and counted as legitimate." in policy_text(unlabelled, Policy(), "x")
    crowded = report(tmp_path, max_warned=0.0)
    assert "0 % cannot be reached below halt" in policy_text(crowded, Policy(), "x")


@pytest.mark.parametrize(
    ("evidence", "reason"), [([], "no legitimate conversation"), ([160.0] * 2, "no threshold up to 160")]
)
def test_without_a_choice_there_is_no_file(evidence: list[float], reason: str) -> None:
    """Nothing is made up where the data decide nothing."""
    found = tune([trail(value, name=str(number)) for number, value in enumerate(evidence)], Labels())
    with pytest.raises(ConfigError, match=reason):
        policy_text(found, Policy(), "x")
