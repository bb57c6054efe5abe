"""What every detector promises, checked for each entry of the registry: a new one is tested by being entered."""

from __future__ import annotations

import itertools
import math
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentbreaker import Action, CallGraph, Guard, Message, Policy, State, Tool, Usage, VirtualClock
from agentbreaker.config import PolicySettings
from agentbreaker.detectors import DETECTORS, build_detectors
from agentbreaker.detectors.base import Detector, Resting
from agentbreaker.detectors.semantic_repeat import Reading, SemanticRepeat
from agentbreaker.errors import ConfigError
from agentbreaker.novelty import Kind, NoveltyMeter, Observation
from agentbreaker.text import analyse
from agentbreaker.verdict import MAX_EVIDENCE, Signal
from tests.fake_embedder import FakeEmbedder, letters

CODES = sorted(DETECTORS)
CONTENT = [code for code in CODES if not code.startswith("AB6")]
CAPS = {"max_messages": 10, "max_tokens": 100, "max_cost_usd": 1.0, "max_seconds": 60.0}
#: Spending is judged by the minute, and a message takes a second here: shorter windows save longer runs.
QUICK: dict[str, Any] = {"spend": {"window_seconds": 2.0, "warm_up": 2}}
SETTINGS = Policy(budgets=CAPS, **QUICK).settings


class Bench:
    """A detector behind a real meter and a real graph, fed with messages one by one."""

    def __init__(self, code: str, policy: PolicySettings = SETTINGS) -> None:
        self.detector: Detector = DETECTORS[code](policy)
        self.meter = NoveltyMeter(policy.novelty)
        self.graph = CallGraph(policy.conversations.window)
        self.seen = Observation()
        self.index = -1

    def feed(self, message: Message) -> Signal | None:
        """Let the detector see one message, as the guard would."""
        seen = self.seen
        self.index += 1
        seen.index, seen.messages, seen.seconds = self.index, self.index + 1, float(self.index)
        seen.sender, seen.recipient, seen.message_id = message.sender, message.recipient, message.message_id
        seen.parent = None if message.parent_id is None else hash(message.parent_id)
        cost = message.cost_usd
        seen.spent_usd = cost if cost is not None and 0 < cost < 1e12 else 0.0
        spent = 0 if message.usage is None else message.usage.total
        seen.spent_tokens = spent if 0 < spent < 1e12 else 0
        seen.tokens += seen.spent_tokens
        seen.cost_usd += seen.spent_usd
        self.meter.measure(message, analyse(message), seen)
        seen.cycle = self.graph.add(message.sender, message.recipient, tokens=seen.spent_tokens)
        signal = self.detector.observe(seen)
        if isinstance(self.detector, SemanticRepeat) and seen.kind is Kind.TALK:
            # An embedder that answers at once, and to which all talk means nothing new.
            self.detector.note(seen, message.content)
            question = self.detector.question(None)
            if question is not None:
                signal = self.detector.judge(question, [Reading(1.0, 0.0)] * len(question.judged), seen) or signal
        return signal

    def feed_all(self, messages: Iterable[Message]) -> list[Signal | None]:
        """Let the detector see all messages."""
        return [self.feed(message) for message in messages]


def polite() -> Iterator[Message]:
    """Two agents that thank each other and spend, for ever."""
    for turn in itertools.count():
        a, b = ("ann", "bob") if turn % 2 == 0 else ("bob", "ann")
        yield Message("c", a, b, content="Great, thank you!", usage=Usage(20, 10), cost_usd=0.2)


def same_report() -> Iterator[Message]:
    """One large report, again and again, with one word changed."""
    towns = ("Lisbon", "Oslo", "Quito", "Hanoi", "Accra", "Tunis", "Sofia", "Lagos", "Kyoto", "Dakar")
    for turn in itertools.count():
        lines = [
            f"{town}: the depot there is on schedule, its stock is complete and was counted twice." for town in towns
        ]
        lines[turn % len(lines)] += " Done."
        yield Message("c", "writer", "editor", content="\n".join(lines))


def ring() -> Iterator[Message]:
    """Three agents that hand an empty turn round."""
    for turn in itertools.count():
        names = ("alpha", "beta", "gamma")
        yield Message("c", names[turn % 3], names[(turn + 1) % 3], content="Over to the next in turn, please go on.")


def same_call() -> Iterator[Message]:
    """One call, one result, again and again."""
    for turn in itertools.count():
        tool = Tool("get_plan", str(turn), {"id": "P1002"})
        yield Message("c", "agent", "get_plan", "tool_call", tool=tool)
        yield Message("c", "get_plan", "agent", "tool_result", tool=Tool("get_plan", str(turn), result="Plan: basic"))


def ids_against_not_found() -> Iterator[Message]:
    """Id after id against the same failure."""
    for turn in itertools.count():
        tool = Tool("get", str(turn), {"id": 1000 + turn})
        yield Message("c", "agent", "get", "tool_call", tool=tool)
        yield Message("c", "get", "agent", "tool_result", tool=Tool("get", str(turn), result="Error: not found"))


def calls_that_meet() -> Iterator[Message]:
    """Two agents that call each other and never answer."""
    for turn in itertools.count():
        a, b = ("ann", "bob") if turn % 2 == 0 else ("bob", "ann")
        yield Message("c", a, b, "tool_call", tool=Tool(b, str(turn), {"task": "Please find out."}))


def everybody_answers() -> Iterator[Message]:
    """Every message gets two answers, one after the other, and none says anything."""
    for turn in itertools.count():
        parent = f"message-{turn // 2 - 1:08}" if turn > 1 else None
        yield Message("c", "abc"[turn % 3], content="Noted.", message_id=f"message-{turn:08}", parent_id=parent)


def ever_dearer() -> Iterator[Message]:
    """Two agents that thank each other, at a price that rises with every message."""
    for turn, message in enumerate(polite()):
        message.usage = Usage(round(100 * 1.1 ** min(turn, 200)))
        message.cost_usd = None
        yield message


def reworded() -> Iterator[Message]:
    """Two agents that say nothing new in ever new words."""
    for turn in itertools.count():
        a, b = ("ann", "bob") if turn % 2 == 0 else ("bob", "ann")
        words = " ".join(letters(turn * 8 + part) for part in range(8))
        yield Message("c", a, b, content=f"Splendid, {words}.", usage=Usage(20, 10), cost_usd=0.2)


#: The worst case of each detector: what it was made for, without end.
WORST = {
    "AB101": ring,
    "AB102": ring,
    "AB103": calls_that_meet,
    "AB201": polite,
    "AB301": same_call,
    "AB302": ids_against_not_found,
    "AB303": reworded,
    "AB304": same_report,
    "AB401": ring,
    "AB501": everybody_answers,
    "AB502": ever_dearer,
    "AB601": polite,
    "AB602": polite,
    "AB603": polite,
    "AB604": polite,
}


#: Messages until evidence is overwhelming, where that takes more than sixty: a storm and a price have to grow first.
OVERWHELMING = {"AB501": 120, "AB502": 150}


def only(code: str) -> Policy:
    """A policy in which no other content detector runs, and of the caps only the one with this code."""
    caps = dict(zip(("AB601", "AB602", "AB603", "AB604"), CAPS.items(), strict=True))
    budgets = dict([caps[code]]) if code in caps else {}
    disable = tuple(other for other in CONTENT if other != code)
    return Policy(detectors={"disable": disable}, budgets=budgets, semantic={"timeout_seconds": 60.0}, **QUICK)


text = st.text(max_size=60) | st.sampled_from(["", "ok", "谢谢,确认收到", "\ud800", "\x00\x1b[2J", "a" * 9000, "12:30"])
amounts = st.integers(-(2**70), 2**70) | st.sampled_from([0, -1, 2**31, 2**63])
money = st.none() | st.floats(allow_nan=True, allow_infinity=True)
arguments = st.none() | text | st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5), max_size=3)
tools = st.builds(Tool, text, st.none() | text, arguments, st.none() | text, st.booleans())
messages = st.builds(
    Message,
    st.just("c"),
    st.sampled_from(["ann", "bob", "cy"]) | st.text(max_size=8),
    st.none() | st.sampled_from(["ann", "bob", "cy"]),
    st.sampled_from(["message", "tool_call", "tool_result", "handoff", "system"]),
    text,
    st.none() | st.sampled_from(["user", "assistant", "tool", "system"]),
    message_id=st.none() | text,
    parent_id=st.none() | text,
    tool=st.none() | tools,
    usage=st.none() | st.builds(Usage, amounts, amounts),
    cost_usd=money,
)


@pytest.mark.parametrize("code", CODES)
def test_is_a_detector(code: str) -> None:
    """Satisfies the protocol, is entered under its own code, and carries a name and a title."""
    kind = DETECTORS[code]
    detector = kind(SETTINGS)
    assert isinstance(detector, Detector)
    assert kind.code == code
    assert all(part.isalnum() and part.islower() for part in kind.name.split("-"))
    assert kind.title[0].isupper()
    assert not hasattr(detector, "__dict__"), "the state of a detector is named in its slots"


def test_names_are_unique() -> None:
    """No two detectors share a name or a title."""
    assert len({kind.name for kind in DETECTORS.values()}) == len(DETECTORS)
    assert len({kind.title for kind in DETECTORS.values()}) == len(DETECTORS)


@pytest.mark.parametrize("code", CODES)
@settings(max_examples=60, deadline=None)
@given(stream=st.lists(messages, max_size=40), again=st.integers(1, 3))
def test_any_stream_scores_between_zero_and_one(code: str, stream: list[Message], again: int) -> None:
    """Whatever arrives, a signal is a finite score in [0, 1] with finite figures and bounded evidence."""
    for signal in Bench(code).feed_all(stream * again):
        if signal is None:
            continue
        assert signal.code == code
        assert 0.0 <= signal.score <= 1.0
        assert math.isfinite(signal.value)
        assert math.isfinite(signal.limit)
        assert math.isfinite(signal.cost_usd)
        assert 0 <= signal.since < len(stream) * again
        assert len(signal.agents) <= 50
        assert len(signal.evidence) <= 16


@settings(max_examples=100, deadline=None)
@given(stream=st.lists(messages, max_size=40))
def test_the_guard_survives_any_stream(stream: list[Message]) -> None:
    """No message, however malformed its amounts and text, makes the engine fail or lose a message."""
    survive(Guard(Policy(budgets={"max_messages": 10_000}, conversations={"window": 8}), mode="metrics_only"), stream)


@settings(max_examples=25, deadline=None)
@given(stream=st.lists(messages, max_size=40))
def test_the_second_stage_survives_any_stream(stream: list[Message]) -> None:
    """Nor does it with an embedder, whose answers are waited for."""
    policy = Policy(semantic={"timeout_seconds": 60.0, "min_messages": 2})
    survive(Guard(policy, mode="metrics_only", embedder=FakeEmbedder()), stream)


def survive(guard: Guard, stream: list[Message]) -> None:
    """Observe all messages and find that nothing failed."""
    for message in stream:
        message.message_id = None
        guard.observe(message)
    assert guard.telemetry.failures == {}


def held(thing: object) -> object:
    """All that an object of ours holds in its slots, as plain values that can be compared."""
    if not type(thing).__module__.startswith("agentbreaker"):
        return repr(thing)
    names = [name for kind in type(thing).__mro__ for name in getattr(kind, "__slots__", ())]
    return {name: held(getattr(thing, name)) for name in names}


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("worst", [polite, ring, same_call, ids_against_not_found])
def test_progress_does_not_change_a_detector_at_rest(code: str, worst: Callable[[], Iterator[Message]]) -> None:
    """While a run is built up, drained and built up, neither progress nor a hand-over changes what is at rest."""
    bench = Bench(code)
    detector = bench.detector
    if not isinstance(detector, Resting):
        pytest.skip("is asked about every message")
    news = (
        Message("c", "ann", "bob", content=f"Vein{n} assayed at {n}77 by laboratory{n}.") for n in itertools.count()
    )
    work, loop = partial(itertools.islice, news, 9), partial(itertools.islice, worst(), 5)
    rested: Counter[Kind] = Counter()
    hand_over = Message("c", "ann", "bob", "handoff")
    for message in [*work(), *loop(), *work(), *loop(), *work()]:
        for shown in (message, hand_over):
            bench.feed(shown)
            seen = bench.seen
            quiet = seen.kind is Kind.HANDOFF or seen.emptiness < 0.0
            if detector.at_rest and quiet and not seen.repeated:
                rested[seen.kind] += 1
                before = held(detector)
                assert detector.observe(seen) is None
                assert held(detector) == before
    assert rested[Kind.HANDOFF]
    assert rested[Kind.TALK]


def size_of(thing: object) -> int:
    """Bytes of everything that can be reached from `thing` through its slots and containers."""
    met: set[int] = set()
    total = 0
    waiting: list[Any] = [thing]
    while waiting:
        item = waiting.pop()
        if id(item) in met or isinstance(item, type):
            continue
        met.add(id(item))
        total += sys.getsizeof(item)
        if isinstance(item, dict):
            waiting += [*item.keys(), *item.values()]
        elif isinstance(item, list | tuple | set | frozenset):
            waiting += item
        elif type(item).__module__.startswith("agentbreaker"):
            names = [name for kind in type(item).__mro__ for name in getattr(kind, "__slots__", ())]
            waiting += [getattr(item, name) for name in names if hasattr(item, name)]
            waiting += [getattr(item, "__dict__", {})]
    return total


@pytest.mark.parametrize("code", CODES)
def test_memory_is_bounded(code: str) -> None:
    """After 20,000 messages of its own worst case, in many names, a detector is no larger than after 10,000."""
    bench = Bench(code)
    stream = WORST[code]()
    sizes = []
    for turn, message in enumerate(itertools.islice(stream, 20_000)):
        message.message_id = f"message-{turn:08}"
        if turn % 7 == 0:
            message.sender = f"agent-{turn:08}"
        bench.feed(message)
        if turn in (9_999, 19_999):
            sizes.append(size_of(bench.detector))
    assert sizes[1] <= sizes[0] + 512


@pytest.mark.parametrize("code", CONTENT)
def test_instances_share_nothing(code: str) -> None:
    """What one conversation does is no evidence against another."""
    alone = Bench(code).feed_all(itertools.islice(WORST[code](), 10))
    noisy, beside = Bench(code), Bench(code)
    noisy.feed_all(itertools.islice(WORST[code](), 200))
    together = []
    for message in itertools.islice(WORST[code](), 10):
        noisy.feed(message)
        together.append(beside.feed(message))
    assert together == alone


@pytest.mark.parametrize("code", CONTENT)
def test_reset_forgets_the_evidence(code: str) -> None:
    """After a reset the detector speaks no earlier, and no louder, than a new one would."""
    bench = Bench(code)
    stream = WORST[code]()
    before = bench.feed_all(itertools.islice(stream, OVERWHELMING.get(code, 60)))[-4:]
    assert any(signal is not None and signal.score > 0.9 for signal in before)
    bench.detector.reset()
    after = bench.feed_all(itertools.islice(stream, 2))
    assert all(signal is None or signal.score < 0.5 for signal in after)


@pytest.mark.parametrize("code", CODES)
def test_the_worst_case_is_halted(code: str) -> None:
    """With every other detector off, its own worst case still halts, under its own code."""
    clock = VirtualClock()
    guard = Guard(only(code), clock=clock, embedder=FakeEmbedder() if code == "AB303" else None)
    for message in itertools.islice(WORST[code](), 100):
        clock.advance(1.0)
        decision = guard.observe(message)
        if not decision.allowed:
            break
    assert (decision.action, decision.code, guard.state("c")) == (Action.HALT, code, State.OPEN)
    incident = guard.incident("c")
    assert incident is not None
    assert incident.code == code
    assert DETECTORS[code].title in incident.sentence


@pytest.mark.parametrize("code", CONTENT)
def test_the_highest_threshold_is_reached_too(code: str) -> None:
    """The largest limit that the policy accepts is one that the worst case can pass: no accepted value is dead."""
    high = {"warn": None, "steer": None, "halt": MAX_EVIDENCE}
    bench = Bench(code, Policy(ladder=high, **QUICK).settings)
    signals = bench.feed_all(itertools.islice(WORST[code](), 2_000))
    assert any(signal is not None and signal.value >= MAX_EVIDENCE for signal in signals)


@pytest.mark.parametrize("value", [MAX_EVIDENCE + 1, math.nan, math.inf, -math.inf, 0, -1, 1e308])
@pytest.mark.parametrize("rung", ["warn", "steer", "finish", "halt"])
def test_a_threshold_out_of_reach_is_refused(rung: str, value: float) -> None:
    """A rung that no score can reach, or that every score reaches, is refused by name."""
    with pytest.raises(ConfigError) as caught:
        Policy(ladder={rung: value})
    assert caught.value.field == f"ladder.{rung}"
    assert f"ladder.{rung}" in str(caught.value)


@pytest.mark.parametrize("value", [math.nan, math.inf, 0, -1])
@pytest.mark.parametrize("cap", sorted(CAPS))
def test_a_cap_out_of_reach_is_refused(cap: str, value: float) -> None:
    """A cap that can never trip, or trips before the first message, is refused by name."""
    with pytest.raises(ConfigError) as caught:
        Policy(budgets={cap: value})
    assert caught.value.field == f"budgets.{cap}"


@pytest.mark.parametrize("code", CODES)
def test_is_built_unless_disabled(code: str) -> None:
    """A content detector runs unless it is disabled; a cap runs if it is set, and cannot be disabled.

    AB303 needs an embedder besides.
    """
    built = {detector.code for detector in build_detectors(SETTINGS, embedder=True)}
    assert code in built
    without_embedder = {detector.code for detector in build_detectors(SETTINGS)}
    assert (code in without_embedder) is (code != "AB303")
    if code in CONTENT:
        without = Policy(detectors={"disable": (code,)})
        assert code not in {detector.code for detector in build_detectors(without.settings, embedder=True)}
    else:
        with pytest.raises(ConfigError, match=code):
            Policy(detectors={"disable": (code,)})
        assert code not in {detector.code for detector in build_detectors(Policy().settings)}
