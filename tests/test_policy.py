"""The policy: from keywords or a file, validated once, with errors that name file and field."""

from __future__ import annotations

import math
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentbreaker import Action, ConfigError, Guard, Policy, Verdict
from agentbreaker.config import Ladder, PolicySettings
from agentbreaker.verdict import MAX_EVIDENCE, Signal, score_of


def written(folder: Path, text: str) -> Path:
    """A policy file."""
    path = folder / "policy.toml"
    path.write_text(text, "utf-8")
    return path


def test_a_file_and_keywords(tmp_path: Path) -> None:
    """Keywords are laid over the file, setting by setting; the rest keeps its defaults."""
    path = written(tmp_path, "[ladder]\nhalt = 6\nwarn = 2\n[budgets]\nmax_messages = 10\n")
    policy = Policy(path, ladder={"halt": 8.0})
    assert (policy.settings.ladder.halt, policy.settings.ladder.warn, policy.settings.ladder.steer) == (8.0, 2.0, 3.25)
    assert policy.settings.budgets.max_messages == 10
    assert policy.source == str(path)
    assert Guard(path).policy.settings.budgets.max_messages == 10
    assert Guard(str(path)).policy.settings.ladder.halt == 6.0


def test_sections_may_be_objects() -> None:
    """A section that was built in code is taken as it is."""
    assert Policy(ladder=Ladder(halt=7.0)).settings.ladder == Ladder(halt=7.0)


@pytest.mark.parametrize(
    ("text", "field", "parts"),
    [
        ("[lader]\nhalt = 6\n", "lader", ["did you mean 'ladder'"]),
        ("[ladder]\nhold = 6\n", "ladder.hold", ["did you mean 'halt'"]),
        ("[budgets]\nmax_mesages = 6\n", "budgets.max_mesages", ["did you mean 'max_messages'"]),
        ("[budgets]\nzzz = 6\n", "budgets.zzz", ["known are", "max_cost_usd"]),
        ("ladder = 6\n", "ladder", ["table"]),
        ('[ladder]\nhalt = "six"\n', "ladder.halt", ["number"]),
        ("[ladder]\nhalt = [6]\n", "ladder.halt", ["number"]),
        ("[ladder]\nhalt = nan\n", "ladder.halt", ["finite"]),
        ("[budgets]\nmax_messages = 1.5\n", "budgets.max_messages", ["integer"]),
        ('[conversations]\nkeep_excerpts = "perhaps"\n', "conversations.keep_excerpts", ["boolean"]),
        ('[detectors]\ndisable = "AB201"\n', "detectors.disable", ["tuple"]),
        ('[detectors]\ndisable = ["politeness"]\n', "detectors.disable", ["'politeness'", "AB201"]),
        ('[detectors]\ndisable = ["AB601"]\n', "detectors.disable", ["AB601", "budget"]),
        ("[ladder]\nwarn = 5\nhalt = 4\n", "ladder", ["steer", "warn", "must not fall"]),
        ("[breaker]\nwait_seconds = 9000\n", "breaker", ["max_wait_seconds"]),
        ("[calls]\nmax_dept = 4\n", "calls.max_dept", ["did you mean 'max_depth'"]),
        ("[calls]\nmax_depth = 1\n", "calls.max_depth", ["greater than or equal to 2"]),
        ("[calls]\nreentry = 0\n", "calls.reentry", ["greater than 0"]),
        ("[storm]\nmesages = 40\n", "storm.mesages", ["did you mean 'messages'"]),
        ("[storm]\nreproduction = 1\n", "storm.reproduction", ["greater than 1"]),
        ('[storm]\nmessages = "many"\n', "storm.messages", ["integer"]),
        ("[spend]\nfaktor = 4\n", "spend.faktor", ["did you mean 'factor'"]),
        ("[spend]\nfactor = 100\n", "spend", ["halt_factor", "factor (100)"]),
        ("[spend]\nwindow_seconds = 0\n", "spend.window_seconds", ["greater than or equal to 1"]),
    ],
)
def test_mistakes_name_file_and_field(tmp_path: Path, text: str, field: str, parts: list[str]) -> None:
    """The first mistake is told with the file, the field, and what was probably meant."""
    path = written(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        Policy(path)
    assert (caught.value.source, caught.value.field) == (str(path), field)
    assert str(caught.value).startswith(f"{path}: ")
    for part in [*field.split("."), *parts]:
        assert part in str(caught.value)


def test_files_that_cannot_be_used(tmp_path: Path) -> None:
    """Missing, a directory, not UTF-8, not TOML: each is said in words, with the name."""
    latin = tmp_path / "latin.toml"
    latin.write_bytes(b"# \xe9\xff\n")
    broken = written(tmp_path, "[ladder\n")
    for path, reason in [
        (tmp_path / "absent.toml", "no such policy file"),
        (tmp_path, "is a directory"),
        (latin, "not UTF-8"),
        (broken, "not TOML"),
    ]:
        with pytest.raises(ConfigError, match=reason) as caught:
            Policy(path)
        assert caught.value.source == str(path)


@pytest.mark.parametrize("rungs", [(3, 2, None, None), (None, 4, 3, 5), (1, 2, 5, 4), (None, None, 5, 4.9)])
def test_rungs_must_not_fall(rungs: tuple[float | None, ...]) -> None:
    """A milder rung above a stronger one would never be reached."""
    with pytest.raises(ConfigError, match="must not fall"):
        Policy(ladder=dict(zip(("warn", "steer", "finish", "halt"), rungs, strict=True)))


rungs = st.none() | st.floats(0.001, MAX_EVIDENCE)
amounts = st.floats(1e-3, 1e6)


def rising(values: list[float | None]) -> dict[str, float | None]:
    """A ladder of these rungs, in the order that is allowed; those that are left out stay where they are."""
    ordered = iter(sorted(value for value in values if value is not None))
    names = ("warn", "steer", "finish", "halt")
    return {name: None if value is None else next(ordered) for name, value in zip(names, values, strict=True)}


sections = st.fixed_dictionaries(
    {
        "ladder": st.lists(rungs, min_size=4, max_size=4).map(rising),
        "budgets": st.fixed_dictionaries(
            {
                "max_messages": st.none() | st.integers(1, 10**12),
                "max_tokens": st.none() | st.integers(1, 10**12),
                "max_cost_usd": st.none() | amounts,
                "max_seconds": st.none() | amounts,
            }
        ),
        "breaker": st.fixed_dictionaries({"wait_seconds": st.floats(0.1, 3600), "wait_growth": st.floats(1, 100)}),
        "novelty": st.fixed_dictionaries({"base": st.floats(0.1, 1000), "per_word": st.floats(0, 100)}),
        "detectors": st.fixed_dictionaries({"disable": st.lists(st.sampled_from(["AB101", "AB201"]), unique=True)}),
        "calls": st.fixed_dictionaries({"max_depth": st.integers(2, 1000), "reentry": st.floats(0.001, 10)}),
        "storm": st.fixed_dictionaries(
            {"reproduction": st.floats(1.01, 100), "messages": st.none() | st.integers(8, 10**6)}
        ),
        "spend": st.fixed_dictionaries(
            {
                "window_seconds": st.floats(1, 3600),
                "warm_up": st.integers(2, 1000),
                "factor": st.floats(1.5, 1000),
                "halt_factor": st.none() | st.floats(1000, 10**6),
            }
        ),
        "conversations": st.fixed_dictionaries({"keep_excerpts": st.booleans(), "window": st.integers(8, 65_536)}),
    }
)


@given(sections)
def test_a_policy_survives_its_file(values: dict[str, Any]) -> None:
    """What `to_toml` writes reads back to the same policy; a rung left out stays left out."""
    policy = Policy(**values)
    read: dict[str, Any] = tomllib.loads(policy.to_toml())
    assert Policy(**read).settings == policy.settings


@pytest.mark.parametrize("rung", ["warn", "steer", "finish", "halt"])
def test_a_file_can_leave_a_rung_out(tmp_path: Path, rung: str) -> None:
    """TOML has no null: "off" says that a rung is never used, and is what `to_toml` writes for it."""
    policy = Policy(written(tmp_path, f'[ladder]\n{rung} = "off"\n'))
    assert getattr(policy.settings.ladder, rung) is None
    assert Policy(written(tmp_path, policy.to_toml())).settings == policy.settings


@pytest.mark.parametrize(("section", "name"), [("storm", "messages"), ("spend", "halt_factor")])
def test_a_file_can_leave_the_cost_limits_out(tmp_path: Path, section: str, name: str) -> None:
    """What halts by its size alone can be switched off like a rung, and stays off when it is written and read."""
    policy = Policy(written(tmp_path, f'[{section}]\n{name} = "off"\n'))
    assert getattr(getattr(policy.settings, section), name) is None
    assert Policy(written(tmp_path, policy.to_toml())).settings == policy.settings


def test_the_default_file_says_what_it_sets() -> None:
    """All sections and settings are in it, each section with a line of explanation."""
    text = Policy().to_toml()
    for section, field in PolicySettings.model_fields.items():
        assert f"\n[{section}]\n" in text
        assert field.default is not None
        for name in type(field.default).model_fields:
            assert f"{name} =" in text


def verdict(evidence: float, *, hard: bool = False) -> Verdict:
    """A verdict with this much evidence."""
    return Verdict(score_of(evidence), (Signal("AB401", score_of(evidence), evidence, 4, "messages"),), hard)


@given(st.floats(0, 1000), st.floats(0, 1000), st.booleans())
def test_more_evidence_is_never_a_milder_rung(one: float, other: float, steered: bool) -> None:
    """The ladder is monotone."""
    policy = Policy(ladder={"warn": 2, "steer": 3, "finish": 4, "halt": 5})
    low, high = sorted((one, other))
    assert policy.decide(verdict(low), steered=steered).rank <= policy.decide(verdict(high), steered=steered).rank


def test_each_rung_is_reached_at_its_threshold() -> None:
    """At the threshold, not above it; and a rung that is left out is not used."""
    policy = Policy(ladder={"warn": 2, "steer": None, "finish": 4, "halt": 5})
    actions = [policy.decide(verdict(evidence)) for evidence in (0, 1.99, 2, 3.99, 4, 5, math.inf)]
    a = Action
    assert actions == [a.ALLOW, a.ALLOW, a.WARN, a.WARN, a.FINISH, a.HALT, a.HALT]
    assert policy.decide(verdict(0, hard=True), steered=True) is Action.HALT


def test_an_unknown_detector_cannot_be_disabled() -> None:
    """A code that names no detector is refused, with what was probably meant."""
    with pytest.raises(ConfigError, match=r"detectors\.disable: no detector 'AB104'; did you mean 'AB"):
        Policy(detectors={"disable": ["AB104"]})


def test_single_sections_can_be_written(tmp_path: Path) -> None:
    """Only the sections that are asked for are in the file; the others read back as their defaults."""
    policy = Policy(ladder={"halt": 6.5}, breaker={"wait_seconds": 5})
    text = policy.to_toml({"ladder"})
    assert set(tomllib.loads(text)) == {"ladder"}
    read = Policy(written(tmp_path, text)).settings
    assert read.ladder == policy.settings.ladder
    assert read.breaker == Policy().settings.breaker


def test_prices_read_back(tmp_path: Path) -> None:
    """Names of models may hold whatever a provider puts into them; prices that are left out stay left out."""
    models = {
        'house "7b" \\ v1.5\x7f\n中': {"input": 1.5, "output": 2.0},
        "m": {"input": 0.0, "output": 1e-7, "cache_read": 0.1},
    }
    policy = Policy(prices={"currency": "CNY", "usd_rate": 7.1, "models": models})
    assert Policy(written(tmp_path, policy.to_toml())).settings == policy.settings
    assert policy.settings.prices.models["m"].cache_creation is None
