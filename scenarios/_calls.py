"""Agents that call each other and wait for the answer: chains that meet themselves, and delegation that returns."""

from __future__ import annotations

import json
from collections.abc import Callable

from _kinds import Kind
from _script import Script

__all__ = ["KINDS"]


def ask(s: Script, caller: str, callee: str, task: str, **fields: str) -> int:
    """One agent uses another as a tool; the call stays open until :func:`answer`."""
    return s.call(caller, callee, task, to=callee, **fields)


def answer(s: Script, caller: str, callee: str, number: int, result: str) -> None:
    """The callee returns."""
    s.result(caller, callee, number, result, by=callee)


def delegated(s: Script, caller: str, *below: str) -> None:
    """A task goes down a chain of agents, the last one uses a tool, and the results come back up."""
    if not below:
        s.tool(caller, "lookup", {"subject": s.work.topic()}, s.work.message(s.rng.randint(1, 3), "finding", "short"))
        return
    number = ask(s, caller, below[0], s.work.message(s.rng.choice((1, 2)), "question", "decision"))
    for _ in range(s.rng.choice((1, 1, 2)) if len(below) > 1 else 1):
        delegated(s, *below)
    answer(s, caller, below[0], number, s.work.message(s.rng.choice((1, 2)), "finding", "done"))


def _handed_on(s: Script, task: str, peer: str) -> str:
    """The same task, with other words around it."""
    return s.chatter.say(peer, "handover", sentences=1) + s.en_zh(" ", "") + task


def meeting(s: Script) -> None:
    """After some delegation that returns, each calls the next one with the task that it was called with."""
    s.open()
    for _ in range(s.rng.randint(1, 3)):
        delegated(s, *s.agents)
    task = s.work.message(2, "question", "decision")
    count = len(s.agents)
    s.loop()
    s.expect(evident=count + 2, lap=count)
    for turn in range(s.needed - len(s.lines)):
        peer = s.agents[(turn + 1) % count]
        ask(s, s.agents[turn % count], peer, _handed_on(s, task, peer))


def itself(s: Script) -> None:
    """An agent is given itself as a tool and passes on the whole task; each call names the one that it serves."""
    agent = s.agents[0]
    s.open()
    for _ in range(s.rng.randint(1, 3)):
        delegated(s, agent)
    task = s.work.message(3, "question", "decision")
    s.loop()
    s.expect(evident=4)
    for turn in range(s.needed - len(s.lines)):
        above = {"parent_id": f"{s.id}-{turn - 1}"} if turn else {}
        ask(s, agent, agent, _handed_on(s, task, agent), message_id=f"{s.id}-{turn}", **above)


def ever_deeper(s: Script) -> None:
    """Every agent calls another one that nobody has called before; nobody does the work."""
    s.open()
    delegated(s, *s.agents[:3])
    task = s.work.message(2, "question", "decision")
    s.loop()
    s.expect(evident=9)
    for turn in range(s.needed - len(s.lines)):
        peer = f"{s.agents[0]}-{turn + 2}"
        ask(s, f"{s.agents[0]}-{turn + 1}" if turn else s.agents[0], peer, _handed_on(s, task, peer))


# ---------------------------------------------------------------------- legitimate


def delegation(s: Script) -> None:
    """A manager calls a lead, the lead a worker, the worker a tool; round after round, and everything returns."""
    s.open()
    for _ in range(s.rng.randint(6, 12)):
        delegated(s, *s.agents)
    s.say(s.agents[0], s.work.message(2, "answer", "finding"), "user")


def recursion(s: Script) -> None:
    """An agent halves its task, calls itself with each half, down to three levels, and puts the results together."""
    agent = s.agents[0]
    s.open()

    def solve(pieces: list[str], level: int) -> str:
        if len(pieces) == 1:
            what = s.work.message(2, "finding", "short")
            s.tool(agent, "read", {"subject": pieces[0]}, what)
            return s.work.message(1, "done", "finding")
        for half in (pieces[: len(pieces) // 2], pieces[len(pieces) // 2 :]):
            task = s.en_zh("Work out ", "处理") + s.en_zh(", ", "、").join(half)
            number = ask(s, agent, agent, task)
            answer(s, agent, agent, number, solve(half, level + 1))
        return s.work.message(1, "done", "finding")

    solve([s.work.topic() for _ in range(s.rng.choice((4, 6, 8)))], 1)
    s.say(agent, s.work.message(2, "answer", "finding"), "user")


def parallel(s: Script) -> None:
    """Many calls to the same agent at once; the answers come in any order, and some never, as they were cancelled."""
    boss, worker = s.agents[:2]
    s.open(to=boss)
    for _ in range(s.rng.randint(2, 4)):
        numbers = [ask(s, boss, worker, s.work.message(1, "question")) for _ in range(s.rng.randint(5, 20))]
        s.rng.shuffle(numbers)
        for number in numbers[: len(numbers) - s.rng.randint(0, 2)]:
            s.tool(worker, "lookup", {"subject": s.work.topic()}, json.dumps({"value": s.work.fill("dec")}))
            answer(s, boss, worker, number, s.work.message(s.rng.choice((1, 2)), "finding", "short"))
        s.say(boss, s.work.message(2, "decision", "finding"))
    # Later the worker calls its boss: not below one of the calls that were given up.
    number = ask(s, worker, boss, s.work.message(1, "question"))
    answer(s, worker, boss, number, s.work.message(1, "decision", "short"))
    s.say(boss, s.work.message(2, "answer", "finding"), "user")


def question_back(s: Script) -> None:
    """A worker calls the manager that waits for it, to ask something; the manager answers."""
    boss, *workers = s.agents
    s.open(to=boss)
    for _ in range(s.rng.randint(6, 12)):
        worker = s.rng.choice(workers)
        task = ask(s, boss, worker, s.work.message(2, "decision", "question"))
        if s.rng.random() < 0.7:
            back = ask(s, worker, boss, s.work.message(1, "question"))
            answer(s, worker, boss, back, s.work.message(1, "decision", "short"))
        answer(s, boss, worker, task, s.work.message(s.rng.choice((1, 2)), "finding", "done"))
    s.say(boss, s.work.message(2, "answer", "finding"), "user")


def _runaway(name: str, build: Callable[[Script], None], agents: tuple[int, ...]) -> Kind:
    return Kind("AB103-recursive-call", name, build, agents, detector="AB103")


def _kind(name: str, build: Callable[[Script], None], agents: tuple[int, ...], seeds: int = 3) -> Kind:
    return Kind(f"legitimate-{name}", name, build, agents, seeds, runaway=False)


KINDS = [
    _runaway("calls-that-meet", meeting, (2, 3)),
    _runaway("agent-calls-itself", itself, (1,)),
    _runaway("ever-deeper", ever_deeper, (3,)),
    _kind("delegation", delegation, (3, 4, 5)),
    _kind("recursion", recursion, (1,)),
    _kind("parallel-calls", parallel, (2,)),
    _kind("question-back", question_back, (3, 4)),
]
