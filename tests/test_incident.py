"""The evidence of a halt: one sentence, the figures, the laps; safe to print, and no content where none belongs."""

from __future__ import annotations

import itertools
import json
import logging
import re
from typing import Any

import pytest

from agentbreaker import Action, Guard, Incident, Message, Policy, State, Tool, Transition, Usage, VirtualClock
from agentbreaker.detectors import DETECTORS
from agentbreaker.incident import Turn, sentence_of, split_laps
from agentbreaker.telemetry import LOGGER_NAME
from agentbreaker.verdict import Signal

HOSTILE = "ann\x1b[31m\nForged: line\u202e\u2028\x07\x00" + "x" * 10_000
CANARY = "zxcanaryqv"
#: C0 and C1 controls but the line end of the page itself, DEL, line separators, and marks that turn the direction.
CONTROL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\u200e\u200f\ufeff]")


def halted(names: tuple[str, str] = ("ann", "bob"), content: str = "Great, thank you!", **policy: Any) -> Incident:
    """The incident of a loop between two agents."""
    guard = Guard(Policy(**policy), clock=VirtualClock())
    for turn in range(14):
        a, b = names if turn % 2 == 0 else names[::-1]
        guard.observe(Message("run-7", a, b, content=content, usage=Usage(90, 10), cost_usd=0.01))
    incident = guard.incident("run-7")
    assert incident is not None
    return incident


@pytest.mark.parametrize("code", sorted(DETECTORS))
@pytest.mark.parametrize("laps", [0, 1, 7])
def test_every_code_has_a_sentence(code: str, laps: int) -> None:
    """One line that names the detector and who took part, or the figure and its cap."""
    hard = code.startswith("AB6")
    sentence = sentence_of(Signal(code, 1.0, 5.0, 4.0, "messages", laps=laps, agents=("ann", "bob"), hard=hard))
    assert sentence.startswith(f"{DETECTORS[code].title}: ")
    assert ("limit 4" if hard else "ann and bob") in sentence
    assert "\n" not in sentence


def test_a_sentence_names_at_most_four_agents() -> None:
    """A mesh of fifty is counted, not listed."""
    agents = tuple(f"agent-{number}" for number in range(50))
    sentence = sentence_of(Signal("AB101", 1.0, 5.0, 4.0, "x", laps=3, agents=agents))
    assert sentence == "Tight cycle: agent-0, agent-1, agent-2, agent-3 and 46 more, 3 laps with nothing new"


def test_the_text_tells_what_and_why_and_how_to_go_on() -> None:
    """Sentence first, then the spending, each signal against its limit, the laps side by side, the way out."""
    text = halted().to_text()
    lines = text.splitlines()
    assert lines[0].startswith("Confirmation ping-pong: ann and bob, ")
    assert "conversation run-7: halt at message" in lines[1]
    assert "tokens" in lines[2]
    assert "AB201 Confirmation ping-pong" in text
    assert "of limit 4 messages with nothing new" in text
    assert "laps, side by side" in text
    header = next(line for line in lines if "lap of #" in line)
    assert 2 <= header.count("lap of #") <= 3
    assert "guard.reset('run-7')" in lines[-1]
    assert "60 s" in lines[-1]


def test_the_figures_add_up() -> None:
    """Totals, and what of them was spent in the loop."""
    incident = halted()
    assert (incident.code, incident.action, incident.agents) == ("AB201", Action.HALT, ("ann", "bob"))
    assert incident.messages == incident.halted_at + 1
    assert incident.tokens == incident.messages * 100
    assert incident.loop_tokens == (incident.halted_at - incident.began_at + 1) * 100
    assert incident.cost_usd == pytest.approx(incident.messages * 0.01)
    assert [turn.sender for lap in incident.laps for turn in lap][-1] in incident.agents


def test_json_and_dict_say_the_same() -> None:
    """Plain data with the names of the detectors; JSON of one line on request, in ASCII."""
    incident = halted(("安娜", "bob\ud800"))
    facts = incident.to_dict()
    assert facts["action"] == "halt"
    assert facts["signals"][0]["name"] == "confirmation-ping-pong"
    for text in (incident.to_json(), incident.to_json(indent=None)):
        assert text.isascii()
        assert json.loads(text)["agents"] == ["安娜", "bob\ud800"]
    assert "\n" not in incident.to_json(indent=None)


def test_laps_begin_with_the_one_who_began() -> None:
    """A lap ends when its first speaker speaks again after others; prompts are left out."""
    turns = [Turn(i, name, None, "message", "", 0.0, 0, 0.0) for i, name in enumerate("aabcabbca")]
    turns.insert(3, Turn(99, "s", None, "system", "", 0.0, 0, 0.0))
    assert ["".join(turn.sender for turn in lap) for lap in split_laps(turns)] == ["aabc", "abbc", "a"]


@pytest.mark.parametrize("width", [40, 80, 100, 200])
def test_hostile_names_and_content_stay_in_their_place(width: int) -> None:
    """Escape sequences, line ends, turned text and endless names change neither the lines nor their number."""
    plain = halted(("ann", "bob")).to_text(width=width).splitlines()
    incident = halted((HOSTILE, "bob\x9b31m"), "Great, thank you!\x1b]0;owned\x07\r\u202e")
    text = incident.to_text(width=width)
    assert not CONTROL.search(text)
    assert not any(line.startswith("Forged") for line in text.splitlines())
    assert len(text.splitlines()) == len(text.split("\n")) <= len(plain) + 12
    assert not CONTROL.search(incident.sentence)
    assert len(incident.sentence) < 300
    assert not CONTROL.search(incident.to_json())


def test_a_hostile_conversation_id_is_escaped() -> None:
    """In the page and in the hint how to resume."""
    guard = Guard()
    identifier = "run\x1b[2J\n7"
    for turn in range(12):
        guard.observe(Message(identifier, "ab"[turn % 2], content="Great, thank you!"))
    incident = guard.incident(identifier)
    assert incident is not None
    assert not CONTROL.search(incident.to_text())


class Capture(logging.Handler):
    """A handler of the application that keeps all that a record holds."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.seen.append(repr(vars(record)))


def secrets() -> Message:
    """A message with the canary in every field that holds content."""
    tool = Tool("get", "1", {"key": CANARY, CANARY: 1}, f"result {CANARY}")
    return Message(
        "c",
        "ann",
        "bob",
        content=f"Great, thank you, {CANARY}!",
        parent_id=CANARY,
        run_id=CANARY,
        model=CANARY,
        tool=tool,
        extra={CANARY: CANARY},
    )


def runaways() -> list[Message]:
    """Talk and tool rounds that trip, all with the canary."""
    messages = []
    for turn in range(20):
        message = secrets()
        kind = ("message", "tool_call", "tool_result")[turn % 3]
        message.kind = kind  # type: ignore[assignment]
        message.sender = "ab"[turn % 2]
        messages.append(message)
    return messages


def test_no_content_in_decisions_transitions_and_logs() -> None:
    """Canaries in every field: none comes out in a reason or in a record of the log, failures included."""
    capture = Capture()
    logger = logging.getLogger(LOGGER_NAME)
    before = logger.level
    logger.addHandler(capture)
    logger.setLevel(logging.DEBUG)
    told: list[Transition] = []
    try:
        for policy in (Policy(), Policy(budgets={"max_messages": 5})):
            guard = Guard(policy, observers=[told.append], on_incident=lambda incident: 1 / 0)
            decisions = [guard.observe(message) for message in runaways()]
            broken = secrets()
            broken.usage = Usage(CANARY)  # type: ignore[arg-type]
            broken.conversation_id = "other"
            guard.observe(broken)
            assert guard.state("c") is State.OPEN
            assert CANARY not in repr(decisions)
            assert CANARY not in repr(guard.decision("c"))
            assert CANARY not in repr(guard.telemetry.failures)
    finally:
        logger.removeHandler(capture)
        logger.setLevel(before)
    assert told
    assert CANARY not in repr(told)
    assert len(capture.seen) >= 4
    assert CANARY not in "".join(capture.seen)


def reachable(thing: object) -> str:
    """Everything that can be reached from a conversation, as text."""
    met: set[int] = set()
    waiting: list[Any] = [thing]
    found: list[str] = []
    while waiting:
        item = waiting.pop()
        if id(item) in met or isinstance(item, type):
            continue
        met.add(id(item))
        if isinstance(item, str | bytes):
            found.append(repr(item))
        elif isinstance(item, dict):
            waiting += [*item.keys(), *item.values()]
        elif hasattr(item, "__iter__") and not isinstance(item, bytearray):
            waiting += list(item)
        else:
            names = [name for kind in type(item).__mro__ for name in getattr(kind, "__slots__", ())]
            waiting += [getattr(item, name) for name in names if hasattr(item, name)]
            waiting += [getattr(item, "__dict__", {})]
    return "\n".join(found)


@pytest.mark.parametrize("keep", [True, False])
def test_excerpts_are_kept_only_if_the_policy_says_so(keep: bool) -> None:
    """Without excerpts a conversation and its incident hold no content at all, and the page still tells the loop."""
    incidents: list[Incident] = []
    guard = Guard(Policy(conversations={"keep_excerpts": keep}), on_incident=incidents.append)
    for message in itertools.chain(runaways(), runaways()):
        guard.observe(message)
    assert len(incidents) == 1
    incident = incidents[0]
    everything = [incident.to_text(), incident.to_json(), repr(incident), reachable(guard._registry.known)]
    assert [CANARY in text for text in everything] == [keep] * 4
    assert incident.sentence in incident.to_text()
