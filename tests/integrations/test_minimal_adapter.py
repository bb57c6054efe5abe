"""The example of CONTRIBUTING.md: a whole integration, which judges the shared scripts as all others do."""

from __future__ import annotations

import sys
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest

from agentbreaker import Action, ConversationHalted, Guard, Policy, State
from agentbreaker.pricing import Pricing
from agentbreaker.verdict import STEER_TEXT
from tests.integrations import relay as relay_module
from tests.integrations.relay import Asked, Relay, Reply
from tests.integrations.scripts import SCRIPTS, Script

PAGE = Path(__file__).resolve().parents[2] / "CONTRIBUTING.md"
FENCE = "```python file=agentbreaker/integrations/relay.py\n"
THANKS = ("Great, that is all confirmed. Thank you!", "Perfect, thanks for confirming.", "You are welcome, thank you.")


@pytest.fixture(name="example")
def fixture_example(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The names that the example defines."""
    monkeypatch.setitem(sys.modules, "relay", relay_module)
    return run_example()


def run_example() -> dict[str, Any]:
    """Execute the example as it stands on the page."""
    code = PAGE.read_text(encoding="utf-8").split(FENCE)[1].split("```\n")[0]
    names: dict[str, Any] = {"__name__": "agentbreaker.integrations.relay"}
    exec(compile(code, str(PAGE), "exec"), names)
    return names


def acted(script: Script) -> tuple[Relay, list[int]]:
    """A relay whose agents take the turns of a script, and the turns that began."""
    begun: list[int] = []

    def answer(agent: str, history: list[tuple[str, str]]) -> Reply:
        number = len(begun)
        begun.append(number)
        turn = script.turns[number]
        assert turn.agent == agent
        last = number + 1 == len(script.turns)
        following = agent if last else script.turns[number + 1].agent
        call = None if turn.call is None else Asked(turn.call.name, f"c{number}", turn.call.arguments)
        return Reply(turn.text, turn.to or following, call, last=last)

    def tool(agent: str, call: Asked) -> str:
        asked = script.turns[begun[-1]].call
        assert asked is not None
        return asked.result

    return Relay(script.agents[0], answer, tool), begun


def talkers(lines: Any = THANKS) -> tuple[Relay, list[list[tuple[str, str]]]]:
    """Two agents that say the lines to each other without end, and what their models were shown."""
    said, shown = cycle(lines), list[list[tuple[str, str]]]()

    def answer(agent: str, history: list[tuple[str, str]]) -> Reply:
        shown.append(history)
        return Reply(next(said), "ben" if agent == "ann" else "ann", last=len(shown) == 200)

    return Relay("ann", answer, lambda *_: ""), shown


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_the_script_ends_as_in_every_framework(example: dict[str, Any], script: Script) -> None:
    """A runaway is halted within its window by one of its detectors; healthy work runs to its end."""
    breaker = example["RelayBreaker"]()
    relay, begun = acted(script)
    history = breaker.attach(relay, "c").run(script.question)
    decision = breaker.guard.decision("c")
    assert not breaker.faults
    if script.runaway:
        assert decision.code in script.codes
        assert script.first < len(begun) <= script.last + 1
        assert history[-1] == ("agentbreaker", f"[agentbreaker] This conversation was ended: {decision.reason}.")
    else:
        assert decision.allowed
        assert len(begun) == len(script.turns)


def test_halt_as_an_exception(example: dict[str, Any]) -> None:
    """The caller gets it; no model is asked afterwards."""
    breaker = example["RelayBreaker"](on_halt="exception")
    relay, shown = talkers()
    with pytest.raises(ConversationHalted, match="ping-pong"):
        breaker.attach(relay, "c").run("Agree on a date.")
    asked = len(shown)
    with pytest.raises(ConversationHalted, match="ping-pong"):
        relay.model("ann", relay.history)
    assert len(shown) == asked
    assert breaker.halts.of("c").refused == 2


def test_finish_and_resume(example: dict[str, Any]) -> None:
    """A finish ends the run with the reason; after a reset the same relay goes on, and is ended again."""
    breaker = example["RelayBreaker"](policy=Policy(ladder={"finish": 4.0, "halt": 12.0}), on_halt="exception")
    relay, shown = talkers()
    breaker.attach(relay, "c").run("Agree on a date.")
    assert breaker.guard.decision("c").action is Action.FINISH
    asked = len(shown)
    breaker.guard.reset("c")
    history = relay.run("Go on.")
    assert len(shown) > asked
    assert [who for who, _ in history].count("agentbreaker") == 2


def test_steer(example: dict[str, Any]) -> None:
    """The next model call reads the steer text, once."""
    breaker = example["RelayBreaker"](policy=Policy(ladder={"warn": 1.0, "steer": 1.5, "halt": 8.0}))
    relay, shown = talkers()
    breaker.attach(relay, "c").run("Agree on a date.")
    assert [history[-1][1] for history in shown].count(STEER_TEXT) == 1


def test_shadow_mode_changes_nothing(example: dict[str, Any]) -> None:
    """All of it runs; what would have been done is counted."""
    breaker = example["RelayBreaker"](Guard(mode="metrics_only"))
    relay, shown = talkers()
    breaker.attach(relay, "c").run("Agree on a date.")
    assert len(shown) == 200
    assert breaker.withheld[Action.HALT] > 0
    assert breaker.guard.state("c") is State.METRICS_ONLY


def test_a_budget_is_held_before_a_call(example: dict[str, Any]) -> None:
    """Dollars are counted by the price list, and never more than the budget."""
    facts = [f"Pier {n * 7919 % 613} takes {n * 31} crates on the {n}th of May." for n in range(200)]
    pricing = Pricing({"gpt-4o-mini": {"input": 100.0, "output": 1000.0}}, max_output_tokens=50)
    breaker = example["RelayBreaker"](policy=Policy(budgets={"max_cost_usd": 0.5}), pricing=pricing)
    relay, shown = talkers(facts)
    history = breaker.attach(relay, "c").run("Agree on a date.")
    assert breaker.guard.decision("c").code == "AB603"
    assert "US dollars" in history[-1][1]
    account = breaker.guard.account("c")
    assert account.cost_usd == pytest.approx(0.006 * len(shown))
    assert 0.1 < account.cost_usd <= 0.5
    assert account.held_tokens == 0


def test_a_fault_of_ours_and_an_error_of_theirs(example: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """What we cannot show is counted, and the run goes on; what a model raises is the caller's, and nothing is held."""
    breaker = example["RelayBreaker"](policy=Policy(budgets={"max_tokens": 10_000_000}))
    relay, shown = talkers()
    with monkeypatch.context() as patch:
        patch.setattr(breaker._watch, "observe", lambda _: 1 / 0)
        breaker.attach(relay, "c").run("Agree on a date.")
    assert len(shown) == 200
    assert breaker.faults["ZeroDivisionError"] == 201

    def fails(agent: str, history: Any) -> Reply:
        raise LookupError("the service is down")

    broken = breaker.attach(Relay("ann", fails, lambda *_: ""), "d")
    with pytest.raises(LookupError):
        broken.run("Agree on a date.")
    assert breaker.guard.account("d").held_tokens == 0
    assert breaker._watch.flying("d") == 0


def test_without_the_framework_the_error_names_the_extra() -> None:
    """As of every integration."""
    with pytest.raises(ImportError, match=r"agentbreaker\[relay\]"):
        run_example()


def test_it_is_a_small_file() -> None:
    """A further framework costs less than a hundred lines of code."""
    code = PAGE.read_text(encoding="utf-8").split(FENCE)[1].split("```\n")[0]
    assert 50 < len(code.splitlines()) < 100
