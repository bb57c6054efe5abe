"""The guard itself fails, at every hop: the application never notices, and the counted caps hold."""

from __future__ import annotations

import itertools
import logging
import threading
from collections.abc import Callable
from typing import Any

import pytest

import agentbreaker.guard
import agentbreaker.judgement
from agentbreaker import Action, CallGraph, Guard, Message, Policy, State, Tool, Usage
from agentbreaker.breaker import Breaker
from agentbreaker.conversation import Conversation
from agentbreaker.detectors import DETECTORS
from agentbreaker.novelty import NoveltyMeter
from agentbreaker.telemetry import LOGGER_NAME, Telemetry
from agentbreaker.text import analyse
from tests.fake_embedder import FakeEmbedder

FAILURES = [ValueError, RecursionError, MemoryError]
#: Every hop that a message goes through, by where the guard looks it up.
HOPS: dict[str, tuple[Any, str]] = {
    "analyse": (agentbreaker.guard, "analyse"),
    "count": (Conversation, "count"),
    "duplicate": (Conversation, "is_duplicate"),
    "measure": (NoveltyMeter, "measure"),
    "graph": (CallGraph, "add"),
    **{f"detector {code}": (kind, "observe") for code, kind in DETECTORS.items()},
    "keep": (Conversation, "keep"),
    "fuse": (agentbreaker.guard, "fuse"),
    "judgement": (agentbreaker.guard, "decide"),
    "policy": (Policy, "decide"),
    "trip": (Breaker, "trip"),
    "sentence": (agentbreaker.judgement, "sentence_of"),
    "incident": (Conversation, "make_incident"),
    "telemetry transition": (Telemetry, "emit_transition"),
    "telemetry decision": (Telemetry, "emit_decision"),
    "telemetry failure": (Telemetry, "emit_failure"),
}
NEWS = "Gallery {0} holds vein{0} of mineral{0}, assayed at {0}77 ppm by laboratory{0}."


def raising(error: type[Exception], every: int = 1, original: Callable[..., Any] | None = None) -> Callable[..., Any]:
    """A stand-in that raises on each `every`-th call, and else does what the original does."""
    calls = itertools.count(1)

    def stand_in(*args: Any, **named: Any) -> Any:
        if original is None or next(calls) % every == 0:
            raise error("injected")
        return original(*args, **named)

    return stand_in


def embedder_for(what: str) -> FakeEmbedder | None:
    """AB303 only runs where there is an embedder."""
    return FakeEmbedder() if "AB303" in what else None


def say(guard: Guard, turn: int, content: str = "Great, thank you!", **facts: Any) -> Any:
    """One message between two agents, with an id."""
    a, b = ("ann", "bob") if turn % 2 == 0 else ("bob", "ann")
    return guard.observe(Message("c", a, b, content=content, message_id=f"m{turn}", **facts))


@pytest.mark.parametrize("error", FAILURES)
@pytest.mark.parametrize("hop", [hop for hop in HOPS if hop != "count"])
def test_the_message_cap_holds_whatever_fails(
    hop: str, error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hop that always fails: nothing reaches the agents, and after ten messages the cap says halt."""
    owner, name = HOPS[hop]
    policy = Policy(budgets={"max_messages": 10}, detectors={"disable": ("AB101", "AB102", "AB201", "AB301", "AB401")})
    guard = Guard(policy, embedder=embedder_for(hop))
    monkeypatch.setattr(owner, name, raising(error))
    actions = [say(guard, turn).action for turn in range(30)]
    assert actions[:10] == [Action.ALLOW] * 10
    assert set(actions[10:]) == {Action.HALT}


@pytest.mark.parametrize("error", FAILURES)
@pytest.mark.parametrize("hop", HOPS)
def test_a_failing_hop_never_raises_and_is_counted(
    hop: str, error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A loop of thanks with a hop that fails: `observe` returns a decision, the failure is on record."""
    owner, name = HOPS[hop]
    monkeypatch.setattr(owner, name, raising(error))
    policy = Policy(budgets={"max_messages": 40, "max_tokens": 10**6, "max_cost_usd": 1e6, "max_seconds": 1e6})
    guard = Guard(policy, embedder=embedder_for(hop))
    for turn in range(60):
        assert isinstance(say(guard, turn, usage=Usage(5, 5), cost_usd=0.001).action, Action)
    if hop not in ("telemetry failure", "telemetry decision"):
        assert sum(guard.telemetry.failures.values()) > 0


@pytest.mark.parametrize("hop", [hop for hop in HOPS if hop != "count"])
@pytest.mark.parametrize("every", [2, 3, 7])
def test_a_hop_that_fails_now_and_then_miscounts_nothing(hop: str, every: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Failing on some messages only, a hop makes the cap trip neither later nor earlier than at the eleventh."""
    owner, name = HOPS[hop]
    monkeypatch.setattr(owner, name, raising(ValueError, every, getattr(owner, name)))
    guard = Guard(Policy(budgets={"max_messages": 10}), embedder=embedder_for(hop))
    for turn in range(11):
        decision = guard.observe(Message("c", "ab"[turn % 2], content=NEWS.format(turn * 7 + 3)))
        assert decision.allowed is (turn < 10), turn


@pytest.mark.parametrize(
    ("budgets", "code"), [({"max_tokens": 100}, "AB602"), ({"max_cost_usd": 1.0}, "AB603")], ids=["tokens", "money"]
)
@pytest.mark.parametrize("hop", ["analyse", "measure", "graph", "keep", "fuse", "policy"])
def test_tokens_and_money_are_counted_whatever_fails(
    hop: str, budgets: dict[str, float], code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a message cost is counted even if the message cannot be measured."""
    owner, name = HOPS[hop]
    monkeypatch.setattr(owner, name, raising(ValueError))
    guard = Guard(Policy(budgets=budgets))
    spent = {"usage": Usage(5, 5), "cost_usd": 0.1}
    decisions = [say(guard, turn, NEWS.format(turn * 7 + 3), **spent) for turn in range(15)]
    assert all(decision.allowed for decision in decisions[:9])
    assert (decisions[-1].action, decisions[-1].code) == (Action.HALT, code)


@pytest.mark.parametrize("code", [code for code in DETECTORS if not code.startswith("AB6")])
def test_a_detector_that_keeps_failing_is_quarantined(code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three failures and it is not asked again; the others go on and halt the loop."""
    calls: list[int] = []

    def observe(_self: object, _seen: object) -> None:
        calls.append(1)
        raise ZeroDivisionError

    monkeypatch.setattr(DETECTORS[code], "observe", observe)
    guard = Guard(embedder=embedder_for(code))
    for turn in range(20):
        say(guard, turn)
    assert guard.state("c") is State.OPEN
    assert guard.decision("c").code != code
    assert len(calls) == 3
    assert guard.telemetry.failures == {"detector_error": 2, "detector_quarantined": 1}
    say(guard, 0)
    guard.observe(Message("other", "ann", content="Great, thank you!"))
    assert len(calls) == 4, "a quarantine is of one conversation"


def test_a_failure_after_the_trip_loses_no_trip(monkeypatch: pytest.MonkeyPatch) -> None:
    """The breaker is open before anything that can fail: evidence, events and callbacks come after."""
    for owner, name in (HOPS["incident"], HOPS["telemetry transition"], HOPS["telemetry decision"]):
        monkeypatch.setattr(owner, name, raising(MemoryError))
    told: list[object] = []
    guard = Guard(observers=[told.append])
    actions = [say(guard, turn).action for turn in range(12)]
    assert actions[-1] is Action.HALT
    assert guard.state("c") is State.OPEN
    assert len(told) == 1


def test_shadow_mode_stays_a_shadow_when_the_policy_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even a cap stops a conversation that was to be watched only."""
    monkeypatch.setattr(Policy, "decide", raising(ValueError))
    guard = Guard(Policy(budgets={"max_messages": 10}), mode="metrics_only")
    assert all(say(guard, turn).allowed for turn in range(30))


def test_failures_are_told_after_the_lock_is_released(monkeypatch: pytest.MonkeyPatch) -> None:
    """A log handler that asks the guard about the same conversation does not deadlock it."""
    monkeypatch.setattr(DETECTORS["AB201"], "observe", raising(ValueError))
    monkeypatch.setattr(Conversation, "make_incident", raising(ValueError))
    guard = Guard()
    busy = threading.local()

    class Nosy(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if getattr(busy, "yes", False):
                return
            busy.yes = True
            guard.observe(Message("c", "logger", content="Great, thank you!"))
            guard.disable("elsewhere")
            busy.yes = False

    handler = Nosy()
    logging.getLogger(LOGGER_NAME).addHandler(handler)
    try:
        thread = threading.Thread(target=lambda: [say(guard, turn) for turn in range(20)], daemon=True)
        thread.start()
        thread.join(20)
        assert not thread.is_alive()
    finally:
        logging.getLogger(LOGGER_NAME).removeHandler(handler)
    assert guard.state("c") is State.OPEN
    assert guard.telemetry.failures["incident"] == 1


def test_a_clock_that_fails_takes_no_cap_away() -> None:
    """Time is one measurement among others: without it, messages are still counted."""

    class Broken:
        calls = 0

        def now(self) -> float:
            self.calls += 1
            if self.calls > 5:
                raise OSError("no clock")
            return 0.0

    guard = Guard(Policy(budgets={"max_messages": 10}), clock=Broken())
    assert [say(guard, turn, NEWS.format(turn)).allowed for turn in range(12)] == [True] * 10 + [False] * 2


class Unshowable:
    """Arguments that fail when somebody wants to see them."""

    def __repr__(self) -> str:
        raise RuntimeError("cannot be shown")


def nested(depth: int) -> dict[str, Any]:
    """A mapping in a mapping in a mapping."""
    value: dict[str, Any] = {}
    for _ in range(depth):
        value = {"deeper": value}
    return value


@pytest.mark.parametrize("arguments", [nested(100_000), Unshowable(), {1: "a", "b": 2}], ids=["deep", "mute", "mixed"])
def test_odd_arguments_do_not_hide_a_loop(arguments: object) -> None:
    """A call whose arguments are too deep or cannot be shown is counted, and its loop is halted all the same."""
    guard = Guard(Policy(budgets={"max_messages": 100}))
    for number in range(12):
        tool = Tool("get", str(number), arguments)
        guard.observe(Message("c", "agent", "get", "tool_call", tool=tool))
        answer = Message("c", "get", "agent", "tool_result", tool=Tool("get", str(number), result="Plan: basic"))
        guard.observe(answer)
    assert guard.state("c") is State.OPEN


@pytest.mark.parametrize(
    "malformed",
    [
        None,
        "text",
        Message(["unhashable"], "ann"),  # type: ignore[arg-type]
        Message("c", "ann", content=None),  # type: ignore[arg-type]
        Message("c", "ann", usage=Usage(None, "five")),  # type: ignore[arg-type]
        Message("c", "ann", cost_usd="much"),  # type: ignore[arg-type]
        Message("c", "ann", kind="no such kind"),  # type: ignore[arg-type]
        Message("c", ["ann"], tool=Tool(None)),  # type: ignore[arg-type]
    ],
    ids=["none", "text", "id", "content", "usage", "cost", "kind", "sender"],
)
def test_malformed_messages_pass_and_are_counted(malformed: Any) -> None:
    """Whatever an integration hands over: no exception, and the loop around it is still halted."""
    guard = Guard()
    for turn in range(14):
        assert guard.observe(malformed) is not None
        say(guard, turn)
    assert guard.state("c") is State.OPEN


def test_interrupts_go_through(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C is not a failure of ours, and the lock is free afterwards."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    guard = Guard()
    with monkeypatch.context() as patch:
        patch.setattr(NoveltyMeter, "measure", interrupt)
        with pytest.raises(KeyboardInterrupt):
            say(guard, 0)
    assert say(guard, 1).allowed
    assert analyse(Message("c", "ann", content="still here")).codes
