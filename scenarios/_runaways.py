"""Runaways of talk: rings, confirmation, nagging, waiting, invented tasks."""

from __future__ import annotations

from collections.abc import Callable

from _grammar import expand, pool
from _kinds import Kind
from _script import Script

__all__ = ["KINDS"]

POLITE = ("confirm", "thanks", "confirm", "farewell", "offer")


def exact_message(s: Script) -> None:
    """One agent sends the same words, the other answers with the same words."""
    a, b = s.agents[:2]
    s.open()
    s.productive(s.rng.randint(5, 12))
    fixed = s.work.message(2, "question"), s.chatter.say(a, "missing", "confirm", sentences=2)
    s.loop()
    s.expect(evident=6)
    while len(s.lines) < s.needed:
        s.say(a, fixed[0], b)
        s.say(b, fixed[1], a)


def a_b_a_b(s: Script) -> None:
    """Two agents hand the same matter to and fro in other words."""
    s.open()
    s.productive(s.rng.randint(6, 14))
    s.loop()
    s.expect()
    _round_robin(s, s.agents, "handover", "confirm")


def ring(s: Script) -> None:
    """Every agent works once, then the turn only goes round."""
    s.open()
    count = len(s.agents)
    s.productive(max(count, 8))
    s.loop()
    s.expect(lap=count)
    _round_robin(s, s.agents, "handover", "handover", "confirm")


def ring_with_counters(s: Script) -> None:
    """The same with a header in which a counter, a clock and an id change."""
    s.open()
    count = len(s.agents)
    rng = s.rng
    start = rng.randint(100, 4000)

    def header() -> str:
        clock = f"{9 + len(s.lines) // 60 % 12:02d}:{len(s.lines) % 60:02d}:{rng.randint(0, 59):02d}"
        trace = f"{rng.getrandbits(48):012x}"
        return s.en_zh(
            f"[step {start + len(s.lines)} | {clock} | trace {trace}] ",
            f"【第{start + len(s.lines)}步 | {clock} | 跟踪号 {trace}】",
        )

    for _ in range(max(count, 8)):
        i = len(s.lines) - 1
        text = header() + s.work.message(rng.choice((1, 2, 3)))
        s.say(s.agents[i % count], text, s.agents[(i + 1) % count])
    s.loop()
    s.expect(lap=count)
    while len(s.lines) < s.needed:
        i = len(s.lines) - 1
        peer = s.agents[(i + 1) % count]
        s.say(s.agents[i % count], header() + s.chatter.say(peer, "handover", "confirm"), peer)


def _round_robin(s: Script, agents: list[str], *registers: str) -> None:
    while len(s.lines) < s.needed:
        i = len(s.lines)
        peer = agents[(i + 1) % len(agents)]
        s.say(agents[i % len(agents)], s.chatter.say(peer, *registers), peer)


def polite(*registers: str) -> Callable[[Script], None]:
    """Make a builder: work, the answer, then only these registers, in random order of the speakers."""

    def build(s: Script) -> None:
        s.open()
        s.productive(s.rng.randint(4, 16), answer=True)
        s.loop()
        s.expect(lap=len(s.agents))
        last = ""
        while len(s.lines) < s.needed:
            speaker = s.rng.choice(s.agents)
            if len(s.agents) == 2 and s.rng.random() < 0.8 and speaker == last:
                continue
            last = speaker
            peer = s.rng.choice([agent for agent in s.agents if agent != speaker])
            s.say(speaker, s.chatter.say(peer, *registers), peer if s.rng.random() < 0.7 else None)

    return build


def nag(s: Script) -> None:
    """A fixed prompt again and again; the other side says in other words that it is done or stuck."""
    a, b = s.agents[:2]
    prompt = expand(s.rng.choice(pool(f"empty_{s.lang}")["nagprompt"]), s.rng, s.chatter)
    s.say(a, s.work.sentence("opening"), b)
    for _ in range(s.rng.randint(2, 5)):
        s.say(b, s.work.message(s.rng.randint(1, 4)), a)
        s.say(a, prompt, b)
    s.say(b, s.work.sentence("answer"), a)
    registers = s.rng.choice((("solved",), ("solved", "confirm"), ("missing",), ("missing", "solved")))
    s.loop()
    s.expect()
    while len(s.lines) < s.needed:
        s.say(a, prompt, b)
        s.say(b, s.chatter.say(a, *registers), a)


def waiting(s: Script) -> None:
    """Each waits for the other."""
    s.open()
    s.productive(s.rng.randint(3, 8))
    s.loop()
    s.expect(lap=len(s.agents))
    _round_robin(s, s.agents, "waiting")


def invented_task(s: Script) -> None:
    """The work is done; they invent something to do and confirm it, again and again."""
    s.open()
    s.productive(s.rng.randint(5, 12), answer=True)
    s.loop()
    s.expect(lap=len(s.agents))
    while len(s.lines) < s.needed:
        for speaker, registers in zip(
            s.rng.sample(s.agents, len(s.agents)),
            (("selftask",), ("selftask", "confirm"), ("confirm", "thanks")),
            strict=False,
        ):
            peer = s.rng.choice([agent for agent in s.agents if agent != speaker])
            s.say(speaker, s.chatter.say(peer, *registers), peer)


def after_500(s: Script) -> None:
    """Five hundred productive messages, then thanks without end."""
    s.open()
    s.productive(500, answer=True)
    s.loop()
    s.expect(lap=len(s.agents))
    _round_robin(s, s.agents, *POLITE)


def two_loops(s: Script) -> None:
    """Two pairs in one conversation, each going round by itself; their messages alternate at random."""
    s.open()
    s.productive(s.rng.randint(6, 14))
    s.loop()
    s.expect(lap=4)
    pairs = (s.agents[:2], s.agents[2:4])
    registers = (("waiting",), ("confirm", "thanks", "offer"))
    turn = [0, 0]
    while len(s.lines) < s.needed:
        which = s.rng.randint(0, 1)
        pair = pairs[which]
        turn[which] += 1
        speaker, peer = pair[turn[which] % 2], pair[(turn[which] + 1) % 2]
        s.say(speaker, s.chatter.say(peer, *registers[which]), peer)


def busy_corner(s: Script) -> None:
    """Two of twelve agents loop while the other ten work: their loop is every third message or so."""
    s.open()
    s.productive(s.rng.randint(14, 24))
    pair, others = s.agents[:2], s.agents[2:]
    s.loop()
    s.expect(evident=12, lap=12)
    turn = 0
    while len(s.lines) < s.needed:
        if s.rng.random() < 0.4:
            speaker, peer = pair[turn % 2], pair[(turn + 1) % 2]
            turn += 1
            s.say(speaker, s.chatter.say(peer, "handover", "confirm", "waiting"), peer)
        else:
            speaker, peer = s.rng.sample(others, 2)
            s.say(speaker, s.work.message(s.rng.choice((1, 2, 2, 3))), peer)


KINDS = [
    Kind(
        "AB301-exact-repeat",
        "same-two-messages",
        exact_message,
    ),
    Kind(
        "AB101-tight-cycle",
        "hand-to-and-fro",
        a_b_a_b,
    ),
    *(
        Kind(
            "AB101-tight-cycle" if size <= 5 else "AB102-long-cycle",
            f"ring-of-{size}",
            ring,
            (size,),
        )
        for size in (3, 5, 10, 25, 50)
    ),
    *(
        Kind(
            "AB102-long-cycle",
            f"ring-of-{size}-with-counters",
            ring_with_counters,
            (size,),
        )
        for size in (3, 5, 10, 25, 50)
    ),
    *(
        Kind(
            "AB201-confirmation-ping-pong",
            f"{name}-{where}",
            polite(*registers),
            agents,
            seeds,
        )
        for where, agents, seeds in (("of-two", (2,), 2), ("in-a-mesh", (3, 6, 9, 12), 4))
        for name, registers in (
            ("confirmation", ("confirm",)),
            ("thanks", ("thanks", "confirm", "thanks")),
            ("farewell", ("farewell", "thanks")),
            ("any-questions", ("offer", "offer", "thanks")),
            ("politeness", POLITE),
        )
    ),
    Kind(
        "AB201-confirmation-ping-pong",
        "nagging",
        nag,
        seeds=4,
    ),
    Kind(
        "AB201-confirmation-ping-pong",
        "invented-task",
        invented_task,
        (2, 3, 4),
        seeds=3,
    ),
    Kind(
        "AB201-confirmation-ping-pong",
        "after-500-messages",
        after_500,
        (4,),
    ),
    Kind(
        "AB401-stagnation",
        "waiting-for-each-other",
        waiting,
        (2, 3),
        seeds=3,
    ),
    Kind(
        "AB401-stagnation",
        "two-interleaved-loops",
        two_loops,
        (4,),
    ),
    Kind(
        "AB102-long-cycle",
        "corner-of-a-busy-fleet",
        busy_corner,
        (12,),
    ),
]
