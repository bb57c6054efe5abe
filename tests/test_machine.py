"""Machine text is told from prose, and a participant that speaks nothing else is a tool."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentbreaker import Action, Guard, Message
from agentbreaker.config import NoveltySettings
from agentbreaker.machine import Machines, code_lines, is_machine_text
from agentbreaker.novelty import Kind, NoveltyMeter, Observation
from agentbreaker.text import analyse

NAMES = ["parser", "ledger", "harbour", "crane", "pallet", "invoice", "ferry", "berth", "tariff", "manifest"]


def say(guard: Guard, sender: str, recipient: str, content: str) -> Action:
    """One plain message."""
    return guard.observe(Message("c", sender, recipient, content=content)).action


def measure(meter: NoveltyMeter, sender: str, content: str) -> Observation:
    """What the detectors are told about a plain message."""
    seen = Observation()
    message = Message("c", sender, content=content)
    meter.measure(message, analyse(message), seen)
    return seen


@pytest.mark.parametrize(
    "raw",
    [
        '{"order": 1002, "state": "shipped", "items": [3, 4]}',
        "grep -rn 'tariff' src/harbour/*.py | head -20",
        "def weigh(crate):\n    return crate.mass * SCALE['hall']\n",
        "2026-03-04T09:10:11Z ERROR [crane] motor=4 code=0x1f",
        "<row id='4'><hall>B</hall></row>",
        "[]",
    ],
)
def test_code_commands_records_and_logs_are_machine_text(raw: str) -> None:
    """Symbols and no grammar."""
    assert is_machine_text(raw)


@pytest.mark.parametrize(
    "raw",
    [
        "",
        "   ",
        "Great, thank you!",
        "12",
        "I think that (as you said) the order was shipped: see the state of its items.",
        "Let us have a look at `src/harbour.py`, and then at what is in the other one.",
        "订单已发货。",
    ],
)
def test_prose_and_silence_are_not(raw: str) -> None:
    """Grammar, or nothing that could be told by."""
    assert not is_machine_text(raw)


def test_only_fenced_lines_are_code_in_prose() -> None:
    """Figures and blanks do not make a new line of code; prose around a fence is none."""
    told = "Here it is:\n```\nmass = 4\nhall = 'B'\n```\nPlease have a look at it."
    lines = code_lines(told, machine=False)
    assert len(lines) == 2
    assert lines == code_lines("```\n  mass  =  17\n\thall = 'B'\n```", machine=False)
    assert code_lines("mass = 4", machine=False) == []
    assert code_lines("mass = 4\n}\n", machine=True) == lines[:1]


def test_an_environment_is_a_machine_from_its_first_word() -> None:
    """It speaks nothing but machine text; a page of prose now and then changes nothing, talk in the end does."""
    machines = Machines()
    assert [machines.hear("env", machine=True, first=number == 0) for number in range(5)] == [True] * 5
    assert machines.hear("env", machine=False, first=False)
    assert machines.hear("env", machine=True, first=False)
    assert not [machines.hear("env", machine=False, first=False) for _ in range(12)][-1]


def test_an_agent_that_alternates_thoughts_and_commands_never_becomes_a_machine() -> None:
    """Whichever it begins with, from its second message on it is no machine, and its words remain talk."""
    machines = Machines()
    assert not any(machines.hear("agent", machine=turn % 2 == 1, first=turn == 0) for turn in range(100))
    machines = Machines()
    heard = [machines.hear("coder", machine=turn % 2 == 0, first=turn == 0) for turn in range(100)]
    assert heard.count(True) <= 3
    assert not any(heard[3:])
    meter = NoveltyMeter(NoveltySettings())
    for turn in range(40):
        name = NAMES[turn // 2 % len(NAMES)]
        text = f"cat src/{name}.py | grep -n 'x{turn}'" if turn % 2 else f"Now I want to see what is in the {name}."
        assert measure(meter, "agent", text).kind is Kind.TALK


def test_productive_work_with_a_plain_environment_goes_on() -> None:
    """Sixty rounds of thought, command and output, all of them plain messages, are never halted."""
    guard = Guard()
    for turn in range(60):
        name = f"{NAMES[turn % 10]}_{NAMES[turn // 10 + 3]}"
        assert say(guard, "agent", "env", f"I should look at the {name} next to see why it fails.") is not Action.HALT
        assert say(guard, "agent", "env", f"sed -n '1,40p' src/{name}.py && pytest tests/test_{name}.py") is not (
            Action.HALT
        )
        output = f"src/{name}.py:{turn * 37 + 11}: in {name}_total\n    rows = {name}.load('{turn * 613}.csv')\nFAILED"
        assert say(guard, "env", "agent", output) is not Action.HALT


def test_the_answer_to_code_is_its_output_unless_it_is_prose() -> None:
    """What code between fences has printed needs no symbols, nor words; a colleague who discusses it stays one."""
    meter = NoveltyMeter(NoveltySettings())
    code = "Now I run it.\n```bash\npython measure_{}.py\n```"
    measure(meter, "agent", code.format("tide"))
    assert measure(meter, "env", "True False FAIL lookup still present").kind is Kind.RESULT
    measure(meter, "agent", code.format("moon"))
    assert measure(meter, "env", "").kind is Kind.RESULT
    measure(meter, "agent", code.format("wind"))
    said = "I think that it would be better if you first looked at what the script does with the wind from the north."
    assert measure(meter, "lead", said).kind is Kind.TALK


def test_code_between_fences_whose_output_is_the_same_is_halted() -> None:
    """An agent that runs the same script in the same words and gets the same output is halted all the same."""
    guard = Guard()
    for rounds in range(20):  # noqa: B007
        say(guard, "agent", "env", "I will run the script again.\n```bash\npython measure_tide.py\n```")
        if say(guard, "env", "agent", "measured 14 tides, mean 2.31 m") is Action.HALT:
            break
    assert 2 <= rounds < 12


@pytest.mark.parametrize("thinks", [True, False], ids=["with thoughts", "commands only"])
def test_the_same_command_with_the_same_output_is_halted(thinks: bool) -> None:
    """The same agent, repeating one command in plain messages, is halted within twenty rounds."""
    guard = Guard()
    halted_at = None
    for turn in range(20):
        if thinks:
            say(guard, "agent", "env", "Let me run the tests of the harbour once more.")
        say(guard, "agent", "env", "pytest tests/test_harbour.py --tb=short")
        if say(guard, "env", "agent", "tests/test_harbour.py:17: AssertionError\n1 failed in 0.31s") is Action.HALT:
            halted_at = turn
            break
    assert halted_at is not None
    assert halted_at >= 2


@pytest.mark.parametrize(
    "acknowledge",
    [
        lambda turn: {"type": "ack", "seq": turn, "status": "ok"},
        lambda turn: {"type": ("ack", "confirm")[turn % 2], "seq": turn // 2, "status": "received"},
        lambda turn: {"ack": (1, 1001)[turn % 2] + turn // 2, "at": f"09:{turn // 60:02d}:{turn % 60:02d}"},
        lambda turn: {"status": "ok"},
        lambda turn: {"status": ("ok", "done", "received", "confirmed")[turn % 4], "seq": turn},
    ],
    ids=["one counter", "counter of both", "two counters and a clock", "no counter", "four words"],
)
def test_acknowledgements_in_json_do_not_pass_for_work(acknowledge: object) -> None:
    """Two agents that confirm to each other in JSON, with counters, are halted as if they said it in words."""
    guard = Guard()
    actions = [
        say(guard, "ab"[turn % 2], "ba"[turn % 2], json.dumps(acknowledge(turn)))  # type: ignore[operator]
        for turn in range(40)
    ]
    assert actions[1] is Action.ALLOW
    assert actions[-1] is Action.HALT


def test_code_with_the_same_lines_brings_nothing() -> None:
    """A function that is sent again in a fence, by whoever, adds no line; one with other lines does."""
    meter = NoveltyMeter(NoveltySettings())
    code = "```python\ntotal = sum(row.mass for row in rows)\nhall.weigh(total)\nreturn total\n```"
    first = measure(meter, "coder", f"Here is the function:\n{code}").info
    again = measure(meter, "reviewer", f"Here is the function:\n{code}")
    assert first > 6.0, "three lines of two units each, and the words"
    assert (again.info, again.emptiness) == (0.0, 1.0)
    other = code.replace("hall.weigh(total)", "total.hall(weigh)")
    assert measure(meter, "coder", f"Here is the function:\n{other}").info == 2.0


def test_what_a_machine_printed_is_nothing_new_when_it_is_said_back() -> None:
    """Lines of an output that an agent quotes in a fence were heard before."""
    meter = NoveltyMeter(NoveltySettings())
    output = "src/harbour.py:17: KeyError('berth')\n>>> rows = ledger.load('613.csv')"
    assert measure(meter, "env", output).kind is Kind.RESULT
    quoted = measure(meter, "agent", f"```\n{output}\n```")
    assert (quoted.kind, quoted.info, quoted.emptiness) == (Kind.TALK, 0.0, 1.0)


def test_an_environment_without_a_word_keeps_its_standing_for_a_while() -> None:
    """Some silent successes among outputs are still results."""
    meter = NoveltyMeter(NoveltySettings())
    for turn in range(6):
        measure(meter, "agent", f"mkdir -p build/{NAMES[turn]}_{turn * 613} && ls -la")
        measure(meter, "env", f"drwxr-xr-x {turn * 37} root root 4096 {NAMES[turn]}_{turn * 613}/")
    kinds = []
    for name in NAMES[6:10]:
        measure(meter, "agent", f"I would like to touch the {name} now.")
        kinds.append(measure(meter, "env", "").kind)
    assert kinds == [Kind.RESULT] * 4


@given(st.lists(st.tuples(st.integers(0, 99), st.booleans()), max_size=300))
def test_memory_is_bounded(heard: list[tuple[int, bool]]) -> None:
    """Whoever speaks in whatever way: at most 32 names are kept, with a standing that prose can clear."""
    machines = Machines()
    known: set[int] = set()
    for speaker, machine in heard:
        machines.hear(f"agent-{speaker}", machine=machine, first=speaker not in known)
        known.add(speaker)
        assert len(machines._standing) <= 32
        assert all(0.0 <= standing <= 6.0 for standing in machines._standing.values())


def test_of_a_hundred_machines_thirty_two_are_kept() -> None:
    """The bound is reached, and those who come later are talk."""
    machines = Machines()
    heard = [machines.hear(f"env-{number}", machine=True, first=True) for number in range(100)]
    assert heard == [True] * 32 + [False] * 68


@given(st.text(max_size=400), st.booleans())
def test_no_text_is_too_strange(raw: str, machine: bool) -> None:
    """Arbitrary text, lone surrogates included, is judged without an error, and its lines are bounded."""
    assert is_machine_text(raw) in (True, False)
    assert len(code_lines(raw, machine=machine)) <= 400 * (raw.count("```") + 1)
    assert is_machine_text(raw + "\udc80") is False
    code_lines(f"```\n{raw}\udc80\n```", machine=machine)


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.text(max_size=60) | st.sampled_from(["{}", "[]", ""]))))
def test_a_guard_takes_any_conversation_of_machines(lines: list[tuple[str, str]]) -> None:
    """Nothing of ours fails, whatever machines say to each other."""
    guard = Guard()
    for sender, content in lines:
        guard.observe(Message("c", sender, content=content))
    assert not guard.telemetry.failures
