"""Steering: the agents are told once, the telling is no evidence, and those who comply are not halted for the past."""

from __future__ import annotations

from itertools import cycle

from agentbreaker import Action, Guard, Message
from agentbreaker.bus import Bus
from agentbreaker.verdict import STEER_TEXT

THANKS = (
    "Great, thank you!",
    "You are welcome, glad to help.",
    "Thanks again, all confirmed.",
    "Confirmed, it was a pleasure.",
    "Wonderful, many thanks!",
)
NEWS = "The import of 4,812 rows into Rotterdam failed at column tax_code; Ferreira restores the backup of Tuesday."


def until_steered(guard: Guard) -> int:
    """Let two agents thank each other until the guard steers; return how many messages that took."""
    for turn, text in enumerate(cycle(THANKS)):
        decision = guard.observe(Message("c", "ab"[turn % 2], "ba"[turn % 2], content=text))
        if decision.action is Action.STEER:
            return turn + 1
        assert decision.allowed
    raise AssertionError


def thank(guard: Guard, start: int) -> int:
    """Go on thanking until the guard halts; return how many messages that took."""
    for turn, text in enumerate(cycle(THANKS), start=start):
        if not guard.observe(Message("c", "ab"[turn % 2], "ba"[turn % 2], content=text)).allowed:
            return turn - start + 1
    raise AssertionError


def test_old_evidence_does_not_halt_agents_that_comply() -> None:
    """After the steer text and one message with news, a halt takes as long as at the beginning."""
    told, untold, fresh = Guard(), Guard(), Guard()
    turn = until_steered(told)
    assert until_steered(untold) == turn
    told.observe(Message("c", "agentbreaker", "b", "system", STEER_TEXT))
    for guard in (told, untold):
        assert guard.observe(Message("c", "ab"[turn % 2], "ba"[turn % 2], content=NEWS)).action is Action.ALLOW
    from_the_beginning = thank(fresh, 0)
    assert thank(told, turn + 1) >= from_the_beginning
    assert thank(untold, turn + 1) < from_the_beginning


def test_the_steer_text_is_no_evidence() -> None:
    """However often the system repeats itself, that alone moves nothing."""
    guard = Guard()
    for _ in range(40):
        assert guard.observe(Message("c", "agentbreaker", "a", "system", STEER_TEXT)).action is Action.ALLOW


def test_agents_that_do_not_comply_are_halted_as_if_untold() -> None:
    """Being told does not buy time: without news the evidence goes on to add up."""
    told, untold = Guard(), Guard()
    turn = until_steered(told)
    until_steered(untold)
    told.observe(Message("c", "agentbreaker", "b", "system", STEER_TEXT))
    assert thank(told, turn) == thank(untold, turn)


def test_an_agent_cannot_steer_itself() -> None:
    """The steer text in an agent's own message is an agent's text: it clears nothing."""
    guard = Guard()
    turn = until_steered(guard)
    guard.observe(Message("c", "ab"[turn % 2], "ba"[turn % 2], content=STEER_TEXT))
    guard.observe(Message("c", "ba"[turn % 2], "ab"[turn % 2], content=NEWS))
    assert thank(guard, turn) < thank(Guard(), 0)


def test_the_bus_tells_the_next_agent() -> None:
    """On the bus the agent that is spoken to next reads the steer text, and an obedient one ends the conversation."""
    read: list[str] = []
    texts = cycle(THANKS)

    def agent(name: str, other: str) -> None:
        def answer(message: Message) -> Message | None:
            read.append(message.content)
            if STEER_TEXT in message.content:
                return None
            return Message("c", name, other, content=next(texts))

        bus.register(name, answer)

    bus = Bus()
    agent("a", "b")
    agent("b", "a")
    decision = bus.run(Message("c", "a", "b", content=next(texts)))
    assert decision.action is Action.STEER
    assert sum(STEER_TEXT in text for text in read) == 1
