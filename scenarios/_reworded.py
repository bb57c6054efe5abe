"""Loops that are worded anew each time, and honest work without figures that sounds as polite: an embedder tells them.

No sentence of a loop comes twice, and most of its words are rare, so that a statistic of words takes each for news.
"""

from __future__ import annotations

from collections.abc import Callable

from _grammar import expand, pool
from _kinds import Kind
from _script import Script

__all__ = ["KINDS", "VECTORS"]

#: For each language the file of vectors.
VECTORS = {"en": "vectors-en.npz", "zh": "vectors-zh.npz"}
#: The recorded answers are there at once; a slow machine shall not make them late.
_POLICY = {"semantic": {"timeout_seconds": 60.0}}


def _loop(section: str) -> Callable[[Script], None]:
    """Make a builder: work, then one thing for ever, in other words each time."""

    def build(s: Script) -> None:
        s.open()
        s.productive(s.rng.randint(4, 7))
        s.loop()
        s.expect(lap=len(s.agents))
        templates = list(pool(f"reworded_{s.lang}")[section])
        s.rng.shuffle(templates)
        while len(s.lines) < s.needed:
            i = len(s.lines)
            text = expand(templates.pop(), s.rng, s.chatter)
            s.say(s.agents[i % len(s.agents)], text[:1].upper() + text[1:], s.agents[(i + 1) % len(s.agents)])

    return build


def _told(s: Script) -> str:
    """A sentence of work without a figure, as a figure would keep the embedder from being asked."""
    while True:
        text = s.work.sentence("finding", "done", "decision")
        if not any(map(str.isdecimal, text)):
            return text


def reports(s: Script) -> None:
    """Progress in prose: names, causes, files, decisions, and no figure."""
    s.open()
    for i in range(s.rng.randint(22, 26)):
        text = s.en_zh(" ", "").join(_told(s) for _ in range(s.rng.choice((1, 2, 2))))
        s.say(s.agents[i % len(s.agents)], text, s.agents[(i + 1) % len(s.agents)])


def polite_reports(s: Script) -> None:
    """The same, and every other message begins with thanks or assent."""
    s.open()
    for i in range(s.rng.randint(22, 26)):
        peer = s.agents[(i + 1) % len(s.agents)]
        parts = [_told(s), _told(s)]
        if i % 2:
            parts.insert(0, s.chatter.say(peer, s.rng.choice(("thanks", "confirm")), sentences=1))
        s.say(s.agents[i % len(s.agents)], s.en_zh(" ", "").join(parts), peer)


KINDS = [
    *(
        Kind(
            "AB303-semantic-repeat",
            f"reworded-{name}",
            _loop(section),
            (2, 3),
            detector="AB303",
            policy=_POLICY,
            embedder=VECTORS,
        )
        for name, section in (("agreement", "agree"), ("your-turn", "yourturn"), ("about-to-start", "soon"))
    ),
    *(
        Kind("legitimate-prose", name, build, (2, 3), runaway=False, policy=_POLICY, embedder=VECTORS)
        for name, build in (("prose-reports", reports), ("polite-prose-reports", polite_reports))
    ),
]
