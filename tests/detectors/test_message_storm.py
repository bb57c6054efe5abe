"""AB501: messages that beget messages are a storm, fan-out and threads are not; without parents the rate tells."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Iterator

import pytest

from agentbreaker import Action, Guard, Message, Policy, VirtualClock
from agentbreaker.replay import replay

OTHERS = ("AB101", "AB103", "AB201", "AB301", "AB302", "AB401", "AB502")
ONLY = Policy(detectors={"disable": OTHERS})
NOTED = "Noted, thank you."


def news(number: int) -> str:
    """A message that brings something."""
    return f"Crate {number * 7919 % 99991} of hall {number * 613 % 9973} weighs {number * 97 + 11} kilograms."


def storm(answers: int, messages: int, *, empty: bool = False) -> Iterator[Message]:
    """Every message gets so many answers, in the order in which the messages came."""
    for number in range(messages):
        parent = f"m{(number - 1) // answers}" if number else None
        content = NOTED if empty else news(number)
        yield Message("c", f"agent-{number % 7}", content=content, message_id=f"m{number}", parent_id=parent)


def fan_out(*widths: int, rounds: int = 1) -> Iterator[Message]:
    """Requests go down a tree of these widths, and the leaves answer in random order; so many times."""
    rng = random.Random(7)
    count, latest = 0, "start"
    for _ in range(rounds):
        level = [latest]
        for width in widths:
            below = []
            for parent in level:
                for _ in range(width):
                    count += 1
                    below.append(f"m{count}")
                    yield Message("c", "boss", content=news(count), message_id=below[-1], parent_id=parent)
            level = below
        rng.shuffle(level)
        for parent in level:
            count += 1
            latest = f"m{count}"
            yield Message("c", f"w{count}", "boss", content=news(count), message_id=latest, parent_id=parent)


def actions(messages: Iterator[Message], policy: Policy = ONLY) -> list[Action]:
    """What is decided about each message, up to the first halt."""
    guard = Guard(policy, clock=VirtualClock())
    decided = []
    for message in messages:
        decided.append(guard.observe(message).action)
        if decided[-1] is Action.HALT:
            break
    assert guard.telemetry.failures == {}
    return decided


@pytest.mark.parametrize("answers", [2, 3, 4, 8])
def test_a_storm_with_news_is_warned_and_then_halted_by_its_size(answers: int) -> None:
    """Each message begets several, all with something to say: first a warning, and beyond 256 messages a halt."""
    decided = actions(storm(answers, 300))
    assert Action.WARN in decided or Action.STEER in decided
    assert decided[-1] is Action.HALT
    assert 250 <= len(decided) <= 265


@pytest.mark.parametrize("answers", [2, 3, 4])
def test_a_storm_that_says_nothing_is_halted_early(answers: int) -> None:
    """The same without a word of news is halted within a hundred messages."""
    decided = actions(storm(answers, 300, empty=True))
    assert decided[-1] is Action.HALT
    assert len(decided) <= 100


@pytest.mark.parametrize("members", [3, 5, 8])
def test_a_storm_of_agents_that_work_at_the_same_time(members: int) -> None:
    """Each member answers all messages of the others, in its own queue; who is next is chance: halted all the same."""
    rng = random.Random(members)

    def chat() -> Iterator[Message]:
        authors: list[int | None] = [None]
        places = [0] * members
        while len(authors) < 400:
            member = rng.randrange(members)
            while places[member] < len(authors) and authors[places[member]] == member:
                places[member] += 1
            if places[member] == len(authors):
                continue
            number, parent = len(authors), f"m{places[member]}"
            places[member] += 1
            authors.append(member)
            yield Message("c", f"a{member}", content=news(number), message_id=f"m{number}", parent_id=parent)

    decided = actions(chat())
    assert decided[-1] is Action.HALT
    assert len(decided) >= 250


def test_a_storm_may_be_tolerated() -> None:
    """With `messages` off, a storm with news is steered and never halted; a low limit halts it soon."""
    off = Policy(detectors={"disable": OTHERS}, storm={"messages": "off"})
    decided = actions(storm(3, 800), off)
    assert len(decided) == 800
    assert Action.STEER in decided
    low = Policy(detectors={"disable": OTHERS}, storm={"messages": 64})
    assert len(actions(storm(2, 300), low)) < 80


def test_a_slower_storm_needs_a_lower_reproduction() -> None:
    """What begets one and a half each is a storm by default, and none for a policy that begins at two."""
    slow = [
        Message("c", "a", content=news(n), message_id=f"m{n}", parent_id=f"m{(n - 1) * 2 // 3}" if n else None)
        for n in range(600)
    ]
    assert actions(iter(slow))[-1] is Action.HALT
    tolerant = Policy(detectors={"disable": OTHERS}, storm={"reproduction": 2.0})
    assert set(actions(iter(slow), tolerant)) == {Action.ALLOW}


@pytest.mark.parametrize(
    ("widths", "rounds"),
    [((50,), 1), ((200,), 1), ((50,), 5), ((10, 10), 2), ((5, 10), 5), ((3, 3, 3), 3), ((2, 2, 2, 2), 2)],
    ids=str,
)
def test_honest_fan_out_is_left_alone(widths: tuple[int, ...], rounds: int) -> None:
    """One to two hundred workers at once, also over several levels and again and again: no warning."""
    assert set(actions(fan_out(*widths, rounds=rounds))) == {Action.ALLOW}


def test_a_large_tree_of_workers_is_warned_at_most() -> None:
    """Five leads with five times five workers, 125 of them, are warned while they spread, and never halted."""
    decided = actions(fan_out(5, 5, 5))
    assert Action.WARN in decided
    assert not {Action.HALT, Action.FINISH} & set(decided)


@pytest.mark.parametrize("back", [1, 2, 5, 10, 50])
def test_threads_are_left_alone(back: int) -> None:
    """Each message answers one of the latest ones, some get several answers and some none: no warning."""
    rng = random.Random(back)

    def thread() -> Iterator[Message]:
        for number in range(600):
            parent = f"m{number - rng.randint(1, min(back, number))}" if number else None
            yield Message("c", f"a{number % 6}", content=news(number), message_id=f"m{number}", parent_id=parent)

    assert set(actions(thread())) == {Action.ALLOW}


def test_rounds_of_a_group_are_left_alone() -> None:
    """A moderator asks, five answer, the moderator answers its own question's thread: round after round."""

    def rounds() -> Iterator[Message]:
        count, opening = 0, None
        for _ in range(60):
            for speaker in ("moderator", *"abcde"):
                count += 1
                yield Message("c", speaker, content=news(count), message_id=f"m{count}", parent_id=opening)
                if speaker == "moderator":
                    opening = f"m{count}"

    assert set(actions(rounds())) == {Action.ALLOW}


def test_a_turn_of_the_user_ends_it() -> None:
    """A storm that a person interrupts every fifty messages never gets anywhere."""
    policy = Policy(detectors={"disable": OTHERS})
    guard = Guard(policy)
    for number, message in enumerate(storm(4, 300)):
        assert guard.observe(message).action is Action.ALLOW
        if number % 50 == 49:
            guard.observe(Message("c", "user", content="Please go on.", role="user"))


def test_without_parents_and_time_it_is_silent() -> None:
    """Messages that do not say what they answer, at no time at all, are not judged."""
    silent = (Message("c", f"a{n % 5}", content=NOTED, message_id=f"m{n}") for n in range(500))
    assert set(actions(silent)) == {Action.ALLOW}


def test_a_storm_that_calms_down_is_forgotten() -> None:
    """When the group goes on one by one after a hundred messages of a storm, the warning ends within ten messages."""
    guard = Guard(ONLY)
    warned = [guard.observe(message).action for message in storm(2, 120)]
    assert warned[-1] is not Action.ALLOW
    calm = []
    for number in range(120, 160):
        message = Message("c", "a", content=news(number), message_id=f"m{number}", parent_id=f"m{number - 1}")
        calm.append(guard.observe(message).action)
    assert set(calm[10:]) == {Action.ALLOW}


def accelerating(messages: int, growth: float) -> Iterator[tuple[Message, float]]:
    """Messages without parents, and the seconds since the one before: the rate grows with what was sent so far."""
    for number in range(messages):
        yield Message("c", f"a{number % 5}", content=news(number)), 60.0 / (1.0 + growth * number)


def test_a_rate_that_keeps_doubling_is_a_storm() -> None:
    """Where nobody says what is answered, a rate that grows with the number of messages is warned, then halted."""
    clock = VirtualClock()
    guard = Guard(ONLY, clock=clock)
    decided = []
    for message, pause in accelerating(1000, 0.5):
        clock.advance(pause)
        decided.append(guard.observe(message).action)
        if decided[-1] is Action.HALT:
            break
    assert decided[-1] is Action.HALT
    assert Action.WARN in decided
    assert 200 < len(decided) < 600


def test_a_test_bench_has_no_rate() -> None:
    """The same growth a thousand times as fast, thousands of messages a second, is not measured."""
    clock = VirtualClock()
    guard = Guard(ONLY, clock=clock)
    for message, pause in accelerating(1000, 0.5):
        clock.advance(pause / 1000)
        assert guard.observe(message).action is Action.ALLOW


@pytest.mark.parametrize("pace", ["steady", "one pause", "one rush", "irregular"])
def test_an_ordinary_pace_is_left_alone(pace: str) -> None:
    """A steady rate, one long wait, fifty messages at once, or waits of any length are no storm."""
    rng = random.Random(3)
    clock = VirtualClock()
    guard = Guard(ONLY, clock=clock)
    for number in range(1000):
        seconds = 5.0
        if pace == "one pause" and number == 20:
            seconds = 7200.0
        elif pace == "one rush" and 100 <= number < 150:
            seconds = 0.05
        elif pace == "irregular":
            seconds = rng.expovariate(0.2)
        clock.advance(seconds)
        assert guard.observe(Message("c", f"a{number % 5}", content=news(number))).action is Action.ALLOW


def test_a_replay_decides_as_the_live_guard_did() -> None:
    """The same messages with timestamps, replayed, are warned and halted at the same message."""
    clock, start = VirtualClock(), dt.datetime(2026, 3, 1, 9, tzinfo=dt.UTC)
    guard = Guard(ONLY, clock=clock)
    recorded: list[tuple[str, Message]] = []
    warned = halted = None
    for number, (message, pause) in enumerate(accelerating(1000, 0.5)):
        if number:
            clock.advance(pause)
        message.timestamp = start + dt.timedelta(seconds=clock.now())
        recorded.append(("file", message))
        if halted is None:
            action = guard.observe(message).action
            if action is Action.HALT:
                halted = number
            elif action is not Action.ALLOW and warned is None:
                warned = number
    (report,) = replay(recorded, ONLY)
    assert halted is not None
    assert (report.warned_at, report.halted_at, report.detector) == (warned, halted, "AB501")


def test_the_ring_of_ids_finds_whole_keys_only() -> None:
    """Ids that leave the ring are forgotten, those in it are found, whatever their hashes look like."""
    from agentbreaker.detectors.message_storm import _Generations

    generations = _Generations()
    generations.add("m0", None)
    for number in range(1, 400):
        generations.add(f"m{number}", hash(f"m{number - 1}"))
    assert generations._first + len(generations.sizes) == 400
    assert set(generations.sizes) == {1}
    values = (256, 1 << 20, 1, 0)
    generations._keys[:] = b"".join(value.to_bytes(4, "little") for value in values)
    for slot, value in enumerate(values):
        assert generations._find(value.to_bytes(4, "little")) == slot
    assert generations._find((1 << 16).to_bytes(4, "little")) is None
