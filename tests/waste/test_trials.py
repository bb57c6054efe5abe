"""``--what-if``: which policies are tried."""

from __future__ import annotations

import pytest

from agentbreaker import ConfigError, Policy
from agentbreaker.waste.trials import candidates_of


def test_each_value_is_a_policy_of_its_own() -> None:
    """Values are read as in a policy file, and everything else stays as it is."""
    base = Policy(budgets={"max_messages": 7})
    found = candidates_of(["ladder.halt=3,4.5", 'ladder.steer="off"', "detectors.disable=['AB401']"], base)
    assert [candidate.name for candidate in found][:2] == ["ladder.halt=3", "ladder.halt=4.5"]
    assert [candidate.policy.settings.ladder.halt for candidate in found] == [3.0, 4.5, 4.0, 4.0]
    assert found[2].policy.settings.ladder.steer is None
    assert found[3].policy.settings.detectors.disable == ("AB401",)
    assert {candidate.policy.settings.budgets.max_messages for candidate in found} == {7}


def test_other_rungs_make_room() -> None:
    """A halt below the warning moves the warning: it was the halt that was asked about."""
    (low,) = candidates_of(["ladder.halt=1"], Policy())
    (high,) = candidates_of(["ladder.warn=9"], Policy())
    assert (low.policy.settings.ladder.warn, low.policy.settings.ladder.halt) == (1.0, 1.0)
    assert (high.policy.settings.ladder.warn, high.policy.settings.ladder.halt) == (9.0, 9.0)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("ladder.halt", "section.setting=values"),
        ("halt=3", "section.setting=values"),
        ("ladder.halt=", "section.setting=values"),
        ("lader.halt=3", "did you mean 'ladder'"),
        ("ladder.hlat=3", "did you mean 'halt'"),
        ("ladder.halt=x", "ladder.halt=x"),
        ("ladder.halt=-1", "ladder.halt=-1"),
        ("ladder.halt=" + ",".join("5" * 1 for _ in range(21)), "20 is the most"),
    ],
)
def test_what_cannot_be_tried_is_named(text: str, named: str) -> None:
    """A wrong line says what is wrong with it."""
    with pytest.raises(ConfigError, match="--what-if") as caught:
        candidates_of([text], Policy())
    assert named in str(caught.value)
