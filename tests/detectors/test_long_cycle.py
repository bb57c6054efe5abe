"""AB102: agents that only keep each other talking, among others who work."""

from __future__ import annotations

import random

from agentbreaker import Message
from agentbreaker.config import PolicySettings
from agentbreaker.detectors.long_cycle import LongCycle
from agentbreaker.observation import Kind, Observation

_EMPTY = ("Thank you!", "All is confirmed.", "Glad to help.", "Perfect, thanks again.")


def heard(detector: LongCycle, index: int, message: Message, emptiness: float) -> float:
    """Show one message of talk; return the evidence that the detector speaks of, 0 if it is silent."""
    seen = Observation()
    seen.index, seen.sender, seen.recipient = index, message.sender, message.recipient
    seen.kind, seen.emptiness = Kind.TALK, emptiness
    signal = detector.observe(seen)
    return 0.0 if signal is None else signal.value


def ring(length: int, *, others: int, news: float) -> list[float]:
    """Evidence after each message of three who say nothing, with so many messages of others in between."""
    rng, detector = random.Random(3), LongCycle(PolicySettings())
    names = ("ann", "ben", "cem")
    values, index = [], 0
    for number in range(length):
        message = Message("c", names[number % 3], names[(number + 1) % 3], content=rng.choice(_EMPTY))
        values.append(heard(detector, index, message, 0.9))
        index += 1
        for other in range(others):
            heard(detector, index, Message("c", f"worker-{other}", f"worker-{other + 1}", content="..."), -news)
            index += 1
    return values


def test_a_circle_that_says_nothing_gathers_evidence() -> None:
    """Lap after lap; the first lap says nothing yet."""
    values = ring(12, others=0, news=0.0)
    assert values[:3] == [0.0, 0.0, 0.0]
    assert values[-1] > 4.0


def test_work_beside_it_takes_a_little_away() -> None:
    """A circle amid two who work is halted all the same, later; one amid a crowd that makes much progress is not."""
    alone, beside, crowd = ring(24, others=0, news=1.0), ring(24, others=2, news=1.0), ring(24, others=20, news=1.0)
    assert 4.0 < beside[-1] < alone[-1]
    assert crowd[-1] == 0.0


def test_news_in_the_circle_takes_all_of_it_away() -> None:
    """What one of them says to another counts in full."""
    detector = LongCycle(PolicySettings())
    for index in range(6):
        heard(detector, index, Message("c", "ab"[index % 2], "ba"[index % 2], content="Thanks!"), 0.9)
    assert not detector.at_rest
    for index in range(6, 18):
        heard(detector, index, Message("c", "ab"[index % 2], "ba"[index % 2], content="..."), -1.0)
    assert detector.at_rest
