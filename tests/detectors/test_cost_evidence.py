"""Cost alone stays below the rungs that open the breaker; what brings nothing new, or an extreme, goes beyond."""

from __future__ import annotations

import pytest

from agentbreaker import Policy
from agentbreaker.detectors.cost_evidence import CostEvidence
from agentbreaker.novelty import Kind, Observation
from agentbreaker.verdict import MAX_EVIDENCE


def weighed(
    messages: int,
    level: float,
    emptiness: float = 0.0,
    *,
    extreme: bool = False,
    kind: Kind = Kind.TALK,
    **ladder: object,
) -> float:
    """Evidence after so many messages of one sort at one level."""
    policy = Policy(ladder=ladder)
    cost, seen = CostEvidence(policy.settings), Observation()
    seen.kind, seen.emptiness = kind, emptiness
    value = 0.0
    for seen.index in range(messages):
        cost.weigh(level, seen, extreme=extreme)
        signal = cost.signal("AB501", seen, "messages", 1)
        value = 0.0 if signal is None else signal.value
    return value


@pytest.mark.parametrize("level", [4.0, 40.0, MAX_EVIDENCE])
def test_no_level_of_cost_halts_by_itself(level: float) -> None:
    """However high the level, talk with news and tool rounds leave it below halt, and below finish if that is set."""
    assert weighed(500, level, -1.0) == pytest.approx(3.6)
    assert weighed(500, level, 0.2) == pytest.approx(3.6)
    assert weighed(500, level, kind=Kind.RESULT) == pytest.approx(3.6)
    assert weighed(500, level, -1.0, finish=3.5) < 3.5


def test_talk_that_brings_nothing_adds_up() -> None:
    """A few empty messages are no reason, a dozen are; below a level of suspicion they do not count at all."""
    assert weighed(5, 3.0, 1.0) == pytest.approx(3.0)
    assert weighed(16, 3.0, 1.0) > 4.0
    assert weighed(500, 1.9, 1.0) == pytest.approx(1.9)


def test_an_extreme_adds_up_whatever_is_said() -> None:
    """News does not help against an extreme, up to the bound of all evidence."""
    assert weighed(2, 3.0, -1.0, extreme=True) == pytest.approx(5.0)
    assert weighed(500, 3.0, -1.0, extreme=True) == MAX_EVIDENCE


def test_news_takes_back_what_emptiness_added() -> None:
    """When the talk brings something again, only the level is left."""
    cost, seen = CostEvidence(Policy().settings), Observation()
    seen.kind = Kind.TALK
    for seen.index in range(60):
        seen.emptiness = 1.0 if seen.index < 20 else -1.0
        cost.weigh(3.0, seen)
    signal = cost.signal("AB501", seen, "messages", 1)
    assert signal is not None
    assert signal.value == pytest.approx(3.0)


def test_it_speaks_from_half_of_the_lowest_rung() -> None:
    """A low level is kept, but not told."""
    assert weighed(1, 1.3) == 0.0
    assert weighed(1, 1.4) == pytest.approx(1.4)
