"""What to do about a loop."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentbreaker import Policy
from agentbreaker.detectors import DETECTORS
from agentbreaker.waste.advice import Quiet, advice_for


@pytest.mark.parametrize("code", [*sorted(DETECTORS), "manual"])
def test_every_detector_has_advice_and_its_lines_are_a_policy(code: str, tmp_path: Path) -> None:
    """What is proposed for the policy file can be pasted into one, with the cap and without."""
    quiet = Quiet()
    for messages in range(30):
        quiet.add(messages)
    for cap in (False, True):
        advice, snippet = advice_for(code, quiet, cap=cap)
        assert advice
        path = tmp_path / "policy.toml"
        path.write_text(snippet, encoding="utf-8")
        Policy(path)
        assert ("max_messages" in snippet) is (cap and bool(advice_for(code, quiet, cap=False)[1]))


def test_a_cap_needs_enough_honest_work() -> None:
    """The longest of a few conversations says nothing about the next."""
    quiet = Quiet()
    for _ in range(19):
        quiet.add(64)
    assert quiet.cap is None
    quiet.add(12)
    assert quiet.cap == 96
    quiet.add(1234)
    assert quiet.cap == 1900
