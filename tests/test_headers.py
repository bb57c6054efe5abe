"""Templated headers: taken off before a message is measured."""

from __future__ import annotations

import sys

from hypothesis import given
from hypothesis import strategies as st

from agentbreaker import Action, Guard, Message
from agentbreaker.headers import Headers

STATE = "== STATE ==\nGoal: sell the boat\nStep: {step} of 90\nAgents: ann, ben\n"
FACTS = (
    "The hull leaks near frame 7.",
    "Gisela, the welder, comes on Friday.",
    "Her quote is 1,840 euro.",
    "A buyer from Turku offers 21,500.",
    "He wants the sails included.",
    "The mainsail is torn, the jib is new.",
    "Survey by Lindqvist on 14 May.",
    "Osmosis found below the waterline.",
)


def test_a_header_is_known_from_the_third_message_on() -> None:
    """Figures in it may change; what follows it is the message."""
    headers = Headers()
    first = STATE.format(step=1) + FACTS[0]
    assert headers.take_off(first) is first
    headers.take_off(STATE.format(step=2) + FACTS[1])
    assert headers.take_off(STATE.format(step=3) + FACTS[2]) == FACTS[2]


def test_repeated_lines_inside_a_message_stay() -> None:
    """Only what stands at the top is a header: in the middle it is what the agent says."""
    headers = Headers()
    for opening in ("Plan:", "Plan:", "Agreed."):
        headers.take_off(f"{opening}\nfirst the hull\nthen the sails")
    text = "Fine then.\nfirst the hull\nthen the sails"
    assert headers.take_off(text) is text


def test_work_under_a_header_is_left_alone_and_a_loop_under_it_is_not() -> None:
    """A header neither drowns what is new nor passes for news."""
    work = Guard()
    for step, fact in enumerate(FACTS):
        sender, recipient = ("ann", "ben")[:: 1 if step % 2 else -1]
        told = Message("c", sender, recipient, content=STATE.format(step=step) + fact)
        assert work.observe(told).action is Action.ALLOW
    loop = Guard()
    thanks = ("Great, thank you!", "You are welcome.", "Thanks again, all confirmed.", "Perfect, thank you.")
    for step in range(12):
        sender, recipient = ("ann", "ben")[:: 1 if step % 2 else -1]
        loop.observe(Message("c", sender, recipient, content=STATE.format(step=step) + thanks[step % 4]))
    assert not loop.decision("c").allowed


@given(st.lists(st.text(max_size=200), max_size=60))
def test_what_is_left_is_the_end_of_the_message(messages: list[str]) -> None:
    """Whatever comes: a suffix of the message, and bounded memory."""
    headers = Headers()
    for content in messages:
        assert content.endswith(headers.take_off(content))
    assert sys.getsizeof(headers._known._keys) < 2048
