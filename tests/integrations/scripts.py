"""The scripts that every integration must judge alike: what the agents say and do, whatever framework runs them.

A script is a list of turns.  An integration's conformance test makes agents of its framework that take these turns in
order, attaches the breaker in the way its documentation shows, and compares the end with what the script expects: the
same detector, after the same turn, in every framework.
What is said comes from the scenarios, so that honest work really brings something new.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from agentbreaker.transcripts import read_transcript

__all__ = ["SCRIPTS", "Call", "Script", "Turn"]

_SCENARIOS = Path(__file__).resolve().parents[2] / "scenarios"
#: Turns of a runaway: more than any guard needs.
_LONG = 80


@dataclass(frozen=True)
class Call:
    """A tool call and what the tool answers."""

    name: str
    arguments: dict[str, Any]
    result: str


@dataclass(frozen=True)
class Turn:
    """What one agent does when it is its turn.

    Attributes:
        agent: Who.
        text: What it says; of a call what it says along with it, mostly nothing.
        call: The tool that it calls instead of speaking to another agent.
        to: Whom it hands over to; ``None`` where the order of the turns says so.
    """

    agent: str
    text: str = ""
    call: Call | None = None
    to: str | None = None


@dataclass(frozen=True)
class Script:
    """A conversation to be run in a framework.

    Attributes:
        name: What it is called.
        agents: Those who take part, in order.
        question: What the person asks for at the start.
        turns: What happens, in order.
        runaway: Whether it must be halted; otherwise all of it has to run, untouched.
        first: The first turn on which it may be halted, counted from 0.
        last: The last turn that may still begin.
        codes: Detectors one of which has to decide.
    """

    name: str
    agents: tuple[str, ...]
    question: str
    turns: tuple[Turn, ...]
    runaway: bool
    first: int = 0
    last: int = 0
    codes: tuple[str, ...] = ()


def _said(path: str, number: int = 1) -> tuple[str, list[tuple[str, str]]]:
    """The person's question and what the agents say in one conversation of a scenario."""
    question, said = "", []
    for message in read_transcript(_SCENARIOS / path):
        if not message.conversation_id.endswith(f"-{number}"):
            continue
        if message.role == "user":
            question = question or message.content
        else:
            said.append((message.sender, message.content))
    return question, said


def _confirmation(count: int) -> Script:
    """Agents that confirm and thank without end, after a little work."""
    agents = ("planner", "reviewer", "tester")[:count]
    _, work = _said("legitimate-review-rounds/review-rounds-en.jsonl.gz")
    polite = (
        "Great, that is all confirmed. Thank you!",
        "Perfect, thanks for confirming.",
        "You are welcome, glad that we agree.",
        "Wonderful, thank you both for the good work.",
        "Agreed. It was a pleasure to work with you.",
        "Thanks again, everything is confirmed from my side.",
        "Excellent, then we are all set. Thank you!",
    )
    texts = [text for _, text in work[:4]] + [polite[number % len(polite)] for number in range(_LONG)]
    turns = tuple(Turn(agents[number % count], text) for number, text in enumerate(texts))
    names = {2: "two", 3: "three"}
    return Script(
        f"confirmation loop of {names[count]}",
        agents,
        "Please agree on the date of the release.",
        turns,
        runaway=True,
        first=8,
        last=8,
        codes=("AB201",),
    )


def _tool_loop() -> Script:
    """One agent that makes the same call again and again."""
    call = Call("search_flights", {"origin": "EMD", "destination": "BMK"}, "[]: no flight was found on that day")
    return Script(
        "tool loop",
        ("agent",),
        "Find me a flight from Emden to Borkum.",
        tuple(Turn("agent", call=call) for _ in range(_LONG)),
        runaway=True,
        first=4,
        # On a bare runtime a turn is the agent's own code, whose call of the tool is what is not made.
        last=5,
        codes=("AB301",),
    )


def _handoffs() -> Script:
    """Two agents that each hold the other responsible."""
    sides = (
        ("sales", "This is for billing, I am handing it over."),
        ("billing", "This is for sales, I am handing it back."),
    )
    turns = []
    for number in range(_LONG):
        agent, text = sides[number % 2]
        turns.append(Turn(agent, text, to=sides[1 - number % 2][0]))
    return Script(
        "hand-off ping-pong",
        ("sales", "billing"),
        "I was charged twice for my ferry ticket.",
        tuple(turns),
        runaway=True,
        # Where a hand-over is a tool that is called, as in AG2 1.x, its calls and results are evidence too.
        first=3,
        last=5,
        codes=("AB301",),
    )


def _review() -> Script:
    """A writer and a reviewer: twelve rounds, each remark another one."""
    question, said = _said("legitimate-review-rounds/review-rounds-en.jsonl.gz", 2)
    turns = tuple(Turn(("writer", "critic")[number % 2], text) for number, (_, text) in enumerate(islice(said, 24)))
    return Script("healthy review of 12 rounds", ("writer", "critic"), question, turns, runaway=False)


def _polling() -> Script:
    """The same call until the job is done, the answer a little further each time."""
    turns = [
        Turn("agent", call=Call("job_status", {"job": "exp-88"}, f'{{"state": "running", "rows": {done * 1733}}}'))
        for done in range(15)
    ]
    turns.append(
        Turn("agent", call=Call("job_status", {"job": "exp-88"}, '{"state": "finished", "file": "orders.csv"}'))
    )
    turns.append(Turn("agent", "The export is finished: 24,262 rows are in orders.csv."))
    return Script(
        "healthy polling", ("agent",), "Export the orders and tell me when it is done.", tuple(turns), runaway=False
    )


SCRIPTS = (_confirmation(2), _confirmation(3), _tool_loop(), _handoffs(), _review(), _polling())
