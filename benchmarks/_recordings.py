"""A recording of any length, made as it is written: conversations that begin, interleave and end, the same every time.

The texts are made beforehand (`_texts.py`) and drawn from again and again, as making fifty million of them would take a
day; a conversation draws neighbours, so that it keeps to its topics and says nothing twice but where it loops.
"""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, NamedTuple

from benchmarks._texts import Looping, Productive

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Mix", "recording"]

_AGENTS = ("planner", "coder", "reviewer", "tester", "researcher", "writer")
_POOL = 20_000


class Mix(NamedTuple):
    """What the conversations are like.

    Attributes:
        open: How many go on at the same time.
        messages: How long one is on average; a tenth as long is usual, ten times as long happens.
        loops: Share of those that end in a loop.
        tools: Share of messages that are a tool call or its result.
    """

    open: int = 200
    messages: int = 100
    loops: float = 0.03
    tools: float = 0.4


class _Conversation:
    """One conversation: where it is in the texts, and how long it goes on."""

    __slots__ = ("agents", "at", "left", "loop", "name", "number")

    def __init__(self, index: int, rng: random.Random, mix: Mix) -> None:
        self.name = f"conversation-{index:07}"
        # Half of the conversations are shorter than 0.6 times the mean; one in a hundred is six times as long.
        self.left = max(2, int(rng.lognormvariate(0.0, 1.0) / 1.65 * mix.messages))
        self.loop = rng.random() < mix.loops
        self.at = rng.randrange(_POOL)
        self.number = 0
        self.agents = rng.sample(_AGENTS, rng.choice((2, 3, 3, 4)))


def recording(count: int, mix: Mix | None = None, *, seed: int = 1) -> Iterator[bytes]:
    """Yield `count` lines of our own format, in blocks of a thousand."""
    mix = Mix() if mix is None else mix
    rng = random.Random(seed)
    sizes = (60, 120, 120, 200, 200, 400)
    writers = [iter(Productive("", size, seed=seed + place)) for place, size in enumerate(sizes)]
    work = [json.dumps(next(writers[n % len(writers)])["content"]) for n in range(_POOL)]
    thanks_of = iter(Looping("", 160, seed=seed))
    thanks = [json.dumps(next(thanks_of)["content"]) for _ in range(500)]
    started = mix.open
    going = [_Conversation(index, rng, mix) for index in range(mix.open)]
    block: list[str] = []
    for number in range(count):
        place = int(rng.random() * mix.open)
        one = going[place]
        block.append(_line(one, number, work, thanks, mix, rng))
        if len(block) == 1000:
            yield "".join(block).encode()
            block.clear()
        one.left -= 1
        if one.left <= 0:
            going[place] = _Conversation(started, rng, mix)
            started += 1
    if block:
        yield "".join(block).encode()


def _line(one: _Conversation, number: int, work: list[str], thanks: list[str], mix: Mix, rng: random.Random) -> str:
    turn = one.number
    one.number += 1
    agents = one.agents
    sender, recipient = agents[turn % len(agents)], agents[(turn + 1) % len(agents)]
    one.at = (one.at + 1) % _POOL
    kind, tool, text = "message", "", work[one.at]
    if one.loop and turn > 20:
        text = thanks[int(rng.random() * len(thanks))]
    elif rng.random() < mix.tools:
        kind = "tool_call" if turn % 2 else "tool_result"
        recipient = "search"
        tool = f'"tool":{{"name":"search","call_id":"call-{turn // 2}"}},'
        if kind == "tool_result":
            sender, recipient = recipient, sender
    seconds = number // 20
    stamp = f"2026-{1 + seconds // 2_500_000:02}-{1 + seconds // 86_400 % 28:02}"
    clock = f"T{seconds // 3600 % 24:02}:{seconds // 60 % 60:02}:{seconds % 60:02}Z"
    return (
        f'{{"conversation_id":"{one.name}","sender":"{sender}","recipient":"{recipient}","kind":"{kind}",'
        f'"content":{text},"message_id":"{number:x}","timestamp":"{stamp}{clock}",{tool}'
        f'"usage":{{"input_tokens":{400 + 30 * turn},"output_tokens":{len(text) // 4}}},"cost_usd":0.001}}\n'
    )
