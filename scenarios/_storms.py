"""Messages that beget messages, spending that rises, and what looks like it: fan-out, threads, growing histories."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from _kinds import Kind
from _script import Script

__all__ = ["KINDS"]

#: Characters of a token, about.
_CHARACTERS = 4


class _Replies:
    """Messages with ids, each an answer to another one."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.count = 0

    def say(self, sender: str, content: str, answered: str | None, to: str | None = None) -> str:
        """Append a message; return its id."""
        self.count += 1
        message_id = f"{self.script.id}-{self.count}"
        above = {} if answered is None else {"parent_id": answered}
        self.script.say(sender, content, to, message_id=message_id, **above)
        return message_id


def _everybody_answers(s: Script, text: Callable[[str], str], last: int) -> None:
    """Every message is answered by every other agent, in the order in which the messages came."""
    replies = _Replies(s)
    waiting = deque([(replies.say(s.agents[0], text(s.agents[1]), None), s.agents[0])])
    while len(s.lines) < last:
        answered, author = waiting.popleft()
        for agent in s.agents:
            if agent != author:
                waiting.append((replies.say(agent, text(author), answered), agent))


def storm_of_ideas(s: Script) -> None:
    """Everybody answers everybody, and everybody has something new to say."""
    s.open()
    s.loop()
    # Several generations of it, and no more than one more after the limit on messages.
    assert s.onset is not None  # noqa: S101
    s.halt_from, s.halt_by = s.onset + 60, s.onset + 280
    _everybody_answers(s, lambda _: s.work.message(s.rng.choice((1, 1, 2)), "finding", "short", "decision"), s.needed)


def storm_of_thanks(s: Script) -> None:
    """Everybody answers everybody, and nobody has anything to say."""
    s.open()
    s.productive(s.rng.randint(4, 10), answer=True)
    s.loop()
    s.expect(lap=len(s.agents))
    _everybody_answers(s, lambda peer: s.chatter.say(peer, "confirm", "thanks", "offer"), s.needed)


def cost_explodes(s: Script) -> None:
    """After some minutes of work, what every message costs is four times as much each minute; the talk goes on."""
    s.timed()
    s.open()
    for _ in range(s.rng.randint(26, 32)):
        _spend(s, 0, s.rng.randint(900, 1400))
    s.loop()
    s.expect(evident=9)
    while len(s.lines) < s.needed:
        _spend(s, 0, round(s.rng.randint(900, 1400) * 4 ** (1 + (len(s.lines) - (s.onset or 0)) / 3)))


def _spend(s: Script, history: int, extra: int) -> int:
    """One message every twenty seconds or so that re-sends the history; return the characters that it adds."""
    i = len(s.lines)
    s.wait(15)
    text = s.work.message(s.rng.choice((1, 1, 2)), "finding", "short", "decision")
    usage = {"input_tokens": history // _CHARACTERS + extra, "output_tokens": len(text) // _CHARACTERS + 1}
    s.say(s.agents[i % len(s.agents)], text, s.agents[(i + 1) % len(s.agents)], usage=usage)
    return len(text)


# ---------------------------------------------------------------------- legitimate


def fan_out(s: Script) -> None:
    """The same words go to fifty workers, or to ten leads who have five workers each; all answer; twice over."""
    boss = s.agents[0]
    replies = _Replies(s)
    s.open(to=boss)
    last = replies.say(boss, s.work.message(2, "decision"), None)
    for wide in s.rng.sample((True, False), 2):
        prompt = s.work.message(2, "question")
        if wide:
            asked = [(f"worker-{n}", replies.say(boss, prompt, last, f"worker-{n}")) for n in range(50)]
        else:
            leads = [(f"lead-{n}", replies.say(boss, prompt, last, f"lead-{n}")) for n in range(10)]
            asked = []
            for lead, message in leads:
                part = s.work.message(1, "question", "short")
                asked += [(f"{lead}-{n}", replies.say(lead, part, message, f"{lead}-{n}")) for n in range(5)]
        s.rng.shuffle(asked)
        for worker, message in asked:
            text = s.work.message(s.rng.randint(1, 3), "finding", "short")
            last = replies.say(worker, text, message, boss)
        # Other people, other places: the next question is about something else.
        s.work.move_on()
    replies.say(boss, s.work.message(3, "answer", "decision"), last, "user")


def threads(s: Script) -> None:
    """A team of which everybody answers one of the latest messages, some of them several times, some never."""
    replies = _Replies(s)
    s.open()
    latest = [replies.say(s.agents[0], s.work.message(2, "decision"), None)]
    for _ in range(s.rng.randint(40, 60)):
        text = s.work.message(s.rng.choice((1, 1, 2)), "finding", "short", "decision", "objection")
        latest = [*latest[-4:], replies.say(s.rng.choice(s.agents), text, s.rng.choice(latest))]


def growing_history(s: Script) -> None:
    """Every message sends the whole conversation again, so that each one costs more than the one before."""
    s.timed()
    s.open()
    history = 2000
    for _ in range(s.rng.randint(40, 50)):
        history += _spend(s, history, 0) + s.rng.randint(0, 3000)


def costly_phase(s: Script) -> None:
    """An expensive minute at the beginning, and two minutes of reading long documents later; then it is as before."""
    s.timed()
    s.open()
    for _ in range(3):
        _spend(s, 0, s.rng.randint(40_000, 60_000))
    for phase in range(2):
        for _ in range(s.rng.randint(18, 22)):
            _spend(s, 0, s.rng.randint(1500, 2500))
        for _ in range(0 if phase else 6):
            _spend(s, 0, s.rng.randint(20_000, 40_000))


def _kind(name: str, build: Callable[[Script], None], agents: tuple[int, ...], seeds: int = 3) -> Kind:
    return Kind(f"legitimate-{name}", name, build, agents, seeds, runaway=False)


KINDS = [
    Kind("AB501-message-storm", "storm-of-ideas", storm_of_ideas, (3, 5)),
    Kind("AB501-message-storm", "storm-of-thanks", storm_of_thanks, (3, 6)),
    Kind("AB502-spend-velocity", "cost-explodes", cost_explodes, (2, 3), detector="AB502"),
    _kind("fan-out", fan_out, (1,)),
    _kind("threads", threads, (4, 6)),
    _kind("growing-history", growing_history, (2, 3)),
    _kind("costly-phase", costly_phase, (2,)),
]
