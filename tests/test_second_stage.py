"""The second stage behind a guard: when the embedder is asked, how long anyone waits, and what its failures cost."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from agentbreaker import Action, ConfigError, Decision, Guard, Message, Policy, State, VirtualClock
from agentbreaker import second_stage as module
from agentbreaker.detectors.semantic_repeat import SemanticRepeat
from agentbreaker.embedding import Embedder, Meaning
from agentbreaker.second_stage import SecondStage, WatchedConversation
from tests.fake_embedder import FakeEmbedder, letters

PATIENT = {"timeout_seconds": 60.0}
NEVER = {"timeout_seconds": 0.0}


def talk(number: int, kind: str = "Splendid") -> Message:
    """A message in new words, of two agents in turn."""
    a, b = ("ann", "bob") if number % 2 == 0 else ("bob", "ann")
    words = " ".join(letters(number * 8 + part) for part in range(8))
    return Message("c", a, b, content=f"{kind} {words}.")


def stage_of(guard: Guard) -> SecondStage:
    """The second stage of a guard."""
    assert guard._second_stage is not None
    return guard._second_stage


def settle(guard: Guard, conversation_id: str = "c") -> None:
    """Wait until what is on its way to the embedder has been answered."""
    conversation = guard._registry.find(conversation_id)
    assert isinstance(conversation, WatchedConversation)
    if conversation.job is not None:
        assert conversation.job.done.wait(60.0)


def run(guard: Guard, count: int, kind: str = "Splendid", start: int = 0) -> list[Decision]:
    """Observe so many messages, each after the answers to the ones before."""
    decisions = []
    for number in range(start, start + count):
        decisions.append(guard.observe(talk(number, kind)))
        settle(guard)
    return decisions


class Gate(FakeEmbedder):
    """An embedder that answers when it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.asked_first = threading.Event()
        self.open = threading.Event()

    def embed(self, texts: Sequence[str], /) -> list[list[float]]:
        """Wait to be let."""
        self.asked_first.set()
        assert self.open.wait(60.0)
        return super().embed(texts)


class Broken(FakeEmbedder):
    """An embedder that does something else while it is broken."""

    def __init__(self, act: Callable[[int], Any]) -> None:
        super().__init__()
        self.act: Callable[[int], Any] | None = act
        self.tries = 0

    def embed(self, texts: Sequence[str], /) -> Any:
        """Misbehave."""
        self.tries += 1
        if self.act is not None:
            return self.act(len(texts))
        return super().embed(texts)


def fail(error: BaseException) -> Callable[[int], Any]:
    """Something that raises."""

    def act(_count: int) -> Any:
        raise error

    return act


def test_a_loop_in_ever_new_words_is_halted() -> None:
    """What the words alone do not show, the embedder does; the incident names the detector."""
    assert all(decision.allowed for decision in [Guard().observe(talk(number)) for number in range(30)])
    guard = Guard(Policy(semantic=PATIENT), embedder=FakeEmbedder())
    decisions = run(guard, 8)
    assert [decision.action for decision in decisions[-2:]] == [Action.STEER, Action.HALT]
    assert (decisions[-1].code, guard.state("c")) == ("AB303", State.OPEN)
    incident = guard.incident("c")
    assert incident is not None
    assert (incident.code, incident.began_at, incident.halted_at) == ("AB303", 3, 7)
    assert guard.telemetry.failures == {}


def test_news_is_left_alone() -> None:
    """Talk that means news goes on for as long as it likes."""
    guard = Guard(Policy(semantic=PATIENT), embedder=FakeEmbedder())
    assert {decision.action for decision in run(guard, 40, "News:")} == {Action.ALLOW}


def test_is_asked_only_where_it_is_open() -> None:
    """Not in the first laps, not about tools, figures or what the user says; each text is embedded once."""
    embedder = FakeEmbedder()
    guard = Guard(Policy(semantic=PATIENT), embedder=embedder)
    run(guard, 3, "News:")
    assert embedder.asked == []
    run(guard, 9, "News:", start=3)
    asked = [text for text in embedder.asked if text.startswith("News:")]
    assert sorted(asked) == sorted(talk(number, "News:").content for number in range(12))
    before = len(embedder.asked)
    guard.observe(Message("c", "ann", "bob", content="News: the dam is 4711 metres long."))
    guard.observe(Message("c", "user", "ann", content="Please look at the mill as well.", role="user"))
    guard.observe(Message("c", "ann", "bob", content="News: the mill is next to the old brickyard."))
    assert len(embedder.asked) == before


def test_without_an_embedder_there_is_no_second_stage() -> None:
    """Conversations are plain ones, and AB303 is not among their detectors."""
    guard = Guard()
    guard.observe(talk(0))
    conversation = guard._registry.find("c")
    assert conversation is not None
    assert not isinstance(conversation, WatchedConversation)
    assert "AB303" not in {detector.code for detector in conversation.detectors}
    assert guard._second_stage is None


def test_disabled_it_is_never_asked() -> None:
    """A policy without AB303 has no use for an embedder."""
    embedder = FakeEmbedder()
    guard = Guard(Policy(detectors={"disable": ("AB303",)}), embedder=embedder)
    for number in range(12):
        assert guard.observe(talk(number)).allowed
    assert embedder.asked == []


@pytest.mark.parametrize("thing", [object(), len, "model"])
def test_what_is_no_embedder_is_refused(thing: Any) -> None:
    """The argument is named."""
    with pytest.raises(ConfigError, match="embedder") as caught:
        Guard(embedder=thing)
    assert caught.value.field == "embedder"


def test_an_unknown_setting_gets_a_suggestion() -> None:
    """The section is checked like the others."""
    with pytest.raises(ConfigError, match=r"semantic.timeout_second; did you mean 'timeout_seconds'"):
        Policy(semantic={"timeout_second": 1})
    with pytest.raises(ConfigError, match=r"semantic.restated"):
        Policy(semantic={"restated": 1.5})


def test_with_a_limit_of_zero_nobody_waits() -> None:
    """The answer counts from the next message on: the halt comes one message later."""
    embedder = Gate()
    guard = Guard(Policy(semantic=NEVER), embedder=embedder)
    for number in range(4):
        assert guard.observe(talk(number)).allowed  # returns although the embedder holds its answer back
    assert embedder.asked_first.wait(60.0)
    embedder.open.set()
    settle(guard)
    decisions = run(guard, 5, start=4)
    assert [decision.allowed for decision in decisions] == [True, True, True, True, False]
    assert guard.telemetry.failures == {}


def test_messages_during_a_slow_answer_are_asked_about_together() -> None:
    """One question of a conversation is on its way at a time; the next holds all that is open by then."""
    embedder = Gate()
    guard = Guard(Policy(semantic=NEVER), embedder=embedder)
    for number in range(4):
        guard.observe(talk(number))
    assert embedder.asked_first.wait(60.0)
    for number in range(4, 7):
        guard.observe(talk(number))
    embedder.open.set()
    settle(guard)
    references = sum(embedder.calls) - 4
    guard.observe(talk(7))
    settle(guard)
    assert embedder.calls[-1] == 4
    assert sum(embedder.calls) == references + 8


async def test_in_an_event_loop_nobody_waits() -> None:
    """However long the limit: a coroutine that observes must not stall the others."""
    embedder = Gate()
    guard = Guard(Policy(semantic=PATIENT), embedder=embedder)
    for number in range(6):
        assert guard.observe(talk(number)).allowed
        await asyncio.sleep(0)
    embedder.open.set()
    settle(guard)


def test_a_late_answer_still_counts_and_spares_the_next_ones_the_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """After one answer that was late nobody waits for a while; what came late is evidence and fills the cache."""
    embedder = Gate()
    guard = Guard(Policy(semantic={"timeout_seconds": 0.01}), embedder=embedder)
    for number in range(4):
        guard.observe(talk(number))
    assert guard.telemetry.failures == {"embedder_late": 1}
    waits: list[float | None] = []
    real = threading.Event.wait

    def counted(self: threading.Event, timeout: float | None = None) -> bool:
        if threading.current_thread() is threading.main_thread():
            waits.append(timeout)
        return real(self, timeout)

    monkeypatch.setattr(threading.Event, "wait", counted)
    other = [
        Message("d", message.sender, message.recipient, content=message.content) for message in map(talk, range(6))
    ]
    for message in other:
        guard.observe(message)
    assert waits == []
    embedder.open.set()
    settle(guard)
    settle(guard, "d")
    monkeypatch.undo()
    assert len(stage_of(guard).cache) >= 4
    assert not run(guard, 5, start=4)[-1].allowed
    assert guard.telemetry.failures == {"embedder_late": 1}


@pytest.mark.parametrize(
    ("act", "condition"),
    [
        (fail(RuntimeError("secret")), "embedder_error"),
        (fail(SystemExit()), "embedder_error"),
        (fail(KeyboardInterrupt()), "embedder_error"),
        (lambda count: [[1.0, 2.0]] * (count + 1), "embedder_answer"),
        (lambda count: [[float("nan"), 2.0]] * count, "embedder_answer"),
        (lambda count: None, "embedder_answer"),
        (lambda count: [[1.0, 2.0]] * (count - 1) + [[1.0]], "embedder_answer"),
    ],
)
def test_a_broken_embedder_costs_nothing_but_its_opinion(act: Callable[[int], Any], condition: str) -> None:
    """It is contained and counted; after three failures it rests, twice as long each time, and then is asked again."""
    clock = VirtualClock()
    embedder = Broken(act)
    guard = Guard(Policy(semantic={**PATIENT, "retry_seconds": 30.0}), clock=clock, embedder=embedder)
    assert all(decision.allowed for decision in run(guard, 20))
    assert guard.telemetry.failures == {condition: 3}
    assert embedder.tries == 3
    clock.advance(31.0)
    run(guard, 10, start=20)
    assert embedder.tries == 6
    clock.advance(31.0)
    run(guard, 10, start=30)
    assert embedder.tries == 6
    clock.advance(30.0)
    embedder.act = None
    decisions = run(guard, 5, start=40)
    assert not decisions[-1].allowed
    assert guard.telemetry.failures == {condition: 6}


def test_another_length_of_vectors_is_refused() -> None:
    """A server that swaps its model under the same name is noticed."""
    embedder = Broken(lambda count: [[1.0, 2.0, 3.0]] * count)
    embedder.act, act = None, embedder.act
    guard = Guard(Policy(semantic=PATIENT), embedder=embedder)
    run(guard, 5)
    embedder.act = act
    run(guard, 1, start=5)
    assert guard.telemetry.failures == {"embedder_answer": 1}


def test_under_another_name_everything_is_embedded_anew() -> None:
    """Vectors and border of one model are not used with another."""
    embedder = FakeEmbedder("fake/1")
    guard = Guard(Policy(semantic=PATIENT), embedder=embedder)
    run(guard, 5, "News:")
    before = len(embedder.asked)
    embedder.name = "fake/2"
    run(guard, 1, "News:", start=5)
    again = embedder.asked[before:]
    assert talk(0, "News:").content in again
    assert len(again) > 6


def test_an_embedder_that_understands_nothing_is_not_believed() -> None:
    """Its vectors do not tell the reference sentences apart: that is counted once, and no message is embedded."""
    embedder = Broken(lambda count: [[1.0, 2.0]] * count)
    guard = Guard(Policy(semantic=PATIENT), embedder=embedder)
    assert all(decision.allowed for decision in run(guard, 30))
    assert guard.telemetry.failures == {"embedder_unfit": 1}
    meaning = stage_of(guard).meaning
    assert meaning is not None
    assert meaning.scripts == frozenset()


def test_too_many_questions_are_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """While the embedder hangs, the queue is bounded and everyone goes on."""
    monkeypatch.setattr(module, "_MOST_QUESTIONS", 3)
    embedder = Gate()
    guard = Guard(Policy(semantic=NEVER), embedder=embedder)
    for conversation in range(8):
        for number in range(4):
            message = talk(number)
            message.conversation_id = f"c{conversation}"
            assert guard.observe(message).allowed
            if conversation == 0 and number == 3:
                assert embedder.asked_first.wait(60.0)
    assert guard.telemetry.failures == {"embedder_busy": 4}
    embedder.open.set()


def test_a_reset_drops_what_is_on_its_way() -> None:
    """An answer to a question from before a reset by hand is no evidence."""
    embedder = Gate()
    guard = Guard(Policy(semantic=NEVER, ladder={"warn": 0.5, "steer": None, "halt": 0.8}), embedder=embedder)
    for number in range(4):
        guard.observe(talk(number))
    assert embedder.asked_first.wait(60.0)
    guard.reset("c")
    embedder.open.set()
    settle(guard)
    assert guard.observe(talk(4)).action is Action.ALLOW
    assert guard.state("c") is State.CLOSED


def test_a_decision_of_another_era_is_not_made() -> None:
    """The breaker that was opened by hand while the answer was on its way stays as it is."""
    embedder = Gate()
    ladder = {"warn": None, "steer": None, "halt": 0.8}
    guard = Guard(Policy(semantic=PATIENT, ladder=ladder), embedder=embedder)
    for number in range(3):
        guard.observe(talk(number))
    found: list[Decision] = []
    thread = threading.Thread(target=lambda: found.append(guard.observe(talk(3))))
    thread.start()
    assert embedder.asked_first.wait(60.0)
    guard.force_open("c", "by hand")
    embedder.open.set()
    thread.join(60.0)
    assert found[0].allowed
    assert guard.state("c") is State.FORCED_OPEN
    assert guard.decision("c").code is None


def test_the_lock_is_free_while_the_embedder_works() -> None:
    """Another thread observes the same conversation while the first waits for the answer."""
    embedder = Gate()
    guard = Guard(Policy(semantic=PATIENT), embedder=embedder)
    for number in range(3):
        guard.observe(talk(number))
    first = threading.Thread(target=guard.observe, args=(talk(3),))
    first.start()
    assert embedder.asked_first.wait(60.0)
    conversation = guard._registry.find("c")
    assert conversation is not None
    assert conversation.lock.acquire(timeout=60.0)
    conversation.lock.release()
    assert guard.observe(talk(4)).allowed
    assert first.is_alive()
    embedder.open.set()
    first.join(60.0)
    assert not first.is_alive()


def test_in_shadow_mode_it_reports_and_lets_pass() -> None:
    """The halt that would have been is told, and nothing is stopped."""
    guard = Guard(Policy(semantic=PATIENT), mode="metrics_only", embedder=FakeEmbedder())
    decisions = run(guard, 10)
    assert all(decision.allowed for decision in decisions)
    assert any(decision.would is Action.HALT and decision.code == "AB303" for decision in decisions)


def test_agents_are_steered_once() -> None:
    """In one run of evidence the agents are told once, as with the other detectors."""
    policy = Policy(semantic=PATIENT, ladder={"warn": None, "steer": 1.0, "halt": 100.0})
    actions = [decision.action for decision in run(Guard(policy, embedder=FakeEmbedder()), 12)]
    assert actions.count(Action.STEER) == 1


def test_a_failing_detector_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of ours in the detector is contained, and after three of them it is not asked again."""
    embedder = FakeEmbedder()
    guard = Guard(Policy(semantic=PATIENT), embedder=embedder)
    run(guard, 1)
    monkeypatch.setattr("agentbreaker.detectors.semantic_repeat.script_of", fail(ValueError()))
    run(guard, 12, start=1)
    assert guard.telemetry.failures["detector_quarantined"] >= 1
    assert set(guard.telemetry.failures) == {"detector_error", "detector_quarantined"}
    assert embedder.asked == []


@pytest.mark.parametrize(
    ("owner", "name", "condition"),
    [
        (SemanticRepeat, "question", "second_stage"),
        (SemanticRepeat, "judge", "second_stage"),
        (SecondStage, "_submit", "second_stage"),
        (Meaning, "read", "embedder_error"),
    ],
)
def test_a_failing_hop_is_contained(owner: type, name: str, condition: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever of the second stage fails, `observe` returns the lexical decision and the failure is counted."""

    def broken(*_args: Any, **_named: Any) -> Any:
        raise ValueError("injected")

    monkeypatch.setattr(owner, name, broken)
    guard = Guard(Policy(semantic=PATIENT), embedder=FakeEmbedder())
    assert {guard.observe(talk(number, "News:")).action for number in range(12)} == {Action.ALLOW}
    assert set(guard.telemetry.failures) == {condition}


def test_an_idle_worker_ends_and_another_takes_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """No thread is kept for a guard that asks nothing."""
    monkeypatch.setattr(module, "_IDLE_SECONDS", 0.01)
    embedder: Embedder = FakeEmbedder()
    guard = Guard(Policy(semantic=PATIENT), embedder=embedder)
    run(guard, 4, "News:")
    worker = stage_of(guard)._worker
    if worker is not None:
        worker.join(60.0)
    assert stage_of(guard)._worker is None
    assert {decision.action for decision in run(guard, 6, "News:", start=4)} == {Action.ALLOW}
    assert guard.telemetry.failures == {}
