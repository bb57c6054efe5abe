"""The one statistic: what a message brings that the conversation did not have."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentbreaker import Action, Guard, Message, Tool
from agentbreaker.config import NoveltySettings
from agentbreaker.novelty import Kind, NoveltyMeter, Observation, Round
from agentbreaker.text import analyse

FACT = "Warehouse Luleå stores herringbone pallets of larch for the Haparanda ferry"


class Meter:
    """A meter with its observation."""

    def __init__(self, settings: NoveltySettings | None = None) -> None:
        self.meter = NoveltyMeter(settings or NoveltySettings())
        self.seen = Observation()

    def say(self, content: str, sender: str = "ann", **facts: object) -> Observation:
        """Measure a message."""
        message = Message("c", sender, content=content)
        for name, value in facts.items():
            setattr(message, name, value)
        self.meter.measure(message, analyse(message), self.seen)
        return self.seen

    def round(self, arguments: object, result: str, *, is_error: bool = False) -> Round:
        """Measure a call and its result."""
        self.say("", kind="tool_call", tool=Tool("api", arguments=arguments))
        return self.say("", "api", kind="tool_result", tool=Tool("api", result=result, is_error=is_error)).round


def test_an_answer_with_news_makes_up_for_the_prompt_that_it_answers() -> None:
    """A driver asks the same each time: an answer drains what the prompt added, if it has news."""
    answered, alone = Meter(), Meter()
    prompt = "Please go on with the next step of the plan."
    for meter in (answered, alone):
        meter.say(prompt, "driver")
        meter.say("Fine, I will.", "worker")
    answered.say(prompt, "driver")
    alone.say("And the step after that?", "driver")
    short = "Larch costs 417 crowns, and Luleå has 38 pallets, which the mill needs on Friday."
    assert answered.say(short, "worker").emptiness <= alone.say(short, "worker").emptiness < 0.0
    assert answered.say(prompt, "driver").emptiness == 1.0
    assert answered.say("Fine, I will.", "worker").emptiness == 1.0


@given(st.text(max_size=300))
def test_the_same_again_brings_nothing(content: str) -> None:
    """Whatever it is: said back it is empty, machine text too; said a third and a fourth time it is a repeat."""
    meter = Meter()
    meter.say(content)
    seen = meter.say(content, "bob")
    assert seen.info == 0.0
    assert seen.emptiness == 1.0
    assert not seen.repeated
    meter.say(content)
    assert meter.say(content, "bob").repeated
    assert meter.say(content).repeated


@given(st.lists(st.text(max_size=80), max_size=30))
def test_emptiness_is_bounded(contents: list[str]) -> None:
    """One message is at most one message's worth of nothing, and drains at most what the policy says."""
    meter = Meter()
    for content in contents:
        seen = meter.say(content)
        assert -1.0 <= seen.emptiness <= 1.0
        assert 0.0 <= seen.acknowledging <= 1.0
        assert seen.info >= 0.0
        if seen.kind is Kind.TALK:
            assert seen.progress is (seen.emptiness < 0.0)
        else:
            assert seen.kind is Kind.RESULT, "a message of nothing but machine text"
            assert seen.emptiness == 0.0
            assert seen.progress is (seen.round in (Round.PROGRESS, Round.RECOVERED))


@pytest.mark.parametrize("content", [FACT, "卑尔根仓库出售四千条皮划艇,赛马型号由渡轮运抵瓦萨港"])
def test_facts_bring_something(content: str) -> None:
    """Names and terms are progress, in English and in Chinese; disguised, they are still the same."""
    meter = Meter()
    assert meter.say(content).progress
    assert meter.say(content.upper(), "bob").emptiness == 1.0
    assert meter.say("\u200b".join(content), "bob").emptiness == 1.0


@pytest.mark.parametrize("content", ["Great, thank you, confirmed!", "好的,收到,非常感谢!"])
def test_thanks_bring_nothing(content: str) -> None:
    """Not even the first time; and they are known as acknowledgement."""
    seen = Meter().say(content)
    assert seen.emptiness > 0.5
    assert seen.acknowledging > 0.5


def test_clocks_bring_nothing() -> None:
    """The same status with another time and date is the same status."""
    meter = Meter()
    meter.say("Replica lags 2026-01-05 09:00:00")
    seen = meter.say("Replica lags 2027-11-28 17:43:21", "bob")
    assert (seen.info, seen.emptiness) == (0.0, 1.0)


def test_counters_bring_little() -> None:
    """A number that follows one already seen tells a quarter of a new one."""
    meter = Meter()
    meter.say("attempt 17")
    counter = meter.say("attempt 18").info
    figure = meter.say("attempt 4099").info
    assert 0 < counter == figure / 4


def test_figures_of_one_message_are_capped() -> None:
    """A page of random numbers does not pass for a page of facts."""
    meter = Meter()
    few = meter.say("401 733 982 655 127 808").info
    many = meter.say(" ".join(str(1000 + 37 * number) for number in range(200))).info
    assert few == many


def test_words_are_forgotten_after_two_generations() -> None:
    """Long after, the same words are news again: memory has an end, and productive talk never runs out of words."""
    meter = Meter()
    meter.say(FACT)
    for _ in range(34):
        assert not meter.say("ok").progress
    assert meter.say(FACT, "bob").emptiness == 1.0, "one generation is remembered"
    for _ in range(80):
        meter.say("ok")
    assert meter.say(FACT).progress


def test_memory_is_bounded() -> None:
    """Twenty thousand different messages, calls and speakers leave no more behind than ten thousand."""
    meter = Meter()
    sizes = []
    for turn in range(20_000):
        meter.say(f"vein{turn} of ore{turn * 7}", f"agent-{turn}")
        meter.say("", kind="tool_call", tool=Tool("api", f"call-{turn}", {"id": turn}))
        if turn % 2:
            meter.say("", "api", kind="tool_result", tool=Tool("api", f"call-{turn}", result=f"answer {turn}"))
        if turn in (9_999, 19_999):
            held = [getattr(meter.meter, name) for name in NoveltyMeter.__slots__]
            sizes.append(sum(map(sys.getsizeof, held)))
            assert sizes[-1] < 40_000
            assert all(len(item) <= 8192 for item in held if hasattr(item, "__len__"))
    assert sizes[1] <= sizes[0] + 512


@pytest.mark.parametrize(
    ("rounds", "expected"),
    [
        ([({"id": 1}, "Plan: basic")], Round.PROGRESS),
        ([({"id": 1}, "Plan: basic"), ({"id": 1}, "Plan: basic")], Round.EXACT_REPEAT),
        ([({"id": 1}, "Job at 10"), ({"id": 1}, "Job at 20")], Round.CHANGED_FIGURES),
        ([({"id": 1}, "Plan: basic"), ({"id": 1}, "Plan: premium")], Round.PROGRESS),
        ([({"id": 1}, "Error: not found"), ({"id": 2}, "Error: not found")], Round.NEAR_FAILURE),
        ([({"q": "ferry"}, "no results"), ({"q": "barge"}, "no results")], Round.STALE_FAILURE),
        ([({"q": "ferry"}, "Vaasa"), ({"q": "barge"}, "Vaasa")], Round.PROGRESS),
    ],
)
def test_a_round_is_judged_by_call_and_result(rounds: list[tuple[object, str]], expected: Round) -> None:
    """The same call with a new result is progress; only the same with the same is a repeat."""
    meter = Meter()
    assert [meter.round(arguments, result) for arguments, result in rounds][-1] is expected


@pytest.mark.parametrize(
    ("facts", "kind"),
    [
        ({}, Kind.TALK),
        ({"role": "user"}, Kind.OUTSIDE),
        ({"kind": "system"}, Kind.CONTEXT),
        ({"kind": "tool_call"}, Kind.CALL),
        ({"kind": "tool_result"}, Kind.RESULT),
        ({"kind": "handoff", "content": ""}, Kind.HANDOFF),
        ({"kind": "handoff"}, Kind.TALK),
    ],
)
def test_what_a_message_is(facts: dict[str, Any], kind: Kind) -> None:
    """Kind and role say what a message is to the detectors; a handoff with words is talk."""
    facts = dict(facts)
    content = str(facts.pop("content", "Anchors aweigh"))
    assert Meter().say(content, **facts).kind is kind


def test_a_call_tells_what_it_brings_and_how_large_it_is() -> None:
    """Name and id of a call and its result are told; a call that is repeated is empty, one with news is not."""
    meter = Meter()
    task = "Weigh crate 4711 of hall 97 against invoice 8850."
    seen = meter.say(task, kind="tool_call", tool=Tool("bob", "c1"))
    assert (seen.tool_name, seen.call_id, seen.size, seen.emptiness) == ("bob", "c1", len(f"bob {task}"), 0.0)
    seen = meter.say("done", "bob", kind="tool_result", tool=Tool("bob", "c1", result="done"))
    assert (seen.tool_name, seen.call_id, seen.emptiness) == ("bob", "c1", 0.0)
    assert meter.say(task, kind="tool_call", tool=Tool("bob", "c2")).emptiness == 1.0
    seen = meter.say(task[:14], kind="tool_call")
    assert (seen.tool_name, seen.call_id, seen.size) == (None, None, 14)


def test_the_same_prompt_to_many_workers_is_no_repetition() -> None:
    """Work that is handed out to many in the same words is neither news nor a repeat."""
    guard = Guard()
    for number in range(40):
        prompt = Message("c", "boss", f"worker-{number}", content="Summarise your part in three sentences.")
        assert guard.observe(prompt).action is Action.ALLOW


def test_a_long_poll_is_left_alone_and_an_endless_one_is_not() -> None:
    """Twenty identical answers that say to wait are work; some dozens more are a loop."""
    guard = Guard()
    halted_at = None
    for number in range(60):
        call = Tool("status", call_id=str(number), arguments={"job": "exp-88"})
        answer = Tool("status", call_id=str(number), result='{"state": "running"}')
        guard.observe(Message("c", "agent", "env", "tool_call", tool=call))
        if not guard.observe(Message("c", "env", "agent", "tool_result", tool=answer)).allowed:
            halted_at = number
            break
    assert halted_at is not None
    assert halted_at > 20


def test_long_talk_earns_an_allowance_and_short_talk_none() -> None:
    """What is usual in a long conversation is not held against it; an empty message stays entirely empty."""
    strict = Meter(NoveltySettings(allowance=0.0))
    lenient = Meter(NoveltySettings(allowance=0.3))
    told = " ".join(FACT.split()[:3])
    for turn in range(48):
        line = f"{told} and berth{turn} too"
        rigid, eased = strict.say(line).emptiness, lenient.say(line).emptiness
        if turn < 16:
            assert rigid == eased
    assert eased < rigid
    assert strict.say(told).emptiness == lenient.say(told).emptiness == 1.0
