"""What a kind of scenario is: its folder, its story, how many conversations, and who writes them."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from _script import Script

__all__ = ["LANGUAGES", "Kind"]

LANGUAGES = ("en", "zh")


@cache
def _stories() -> dict[str, dict[str, str]]:
    return tomllib.loads(Path(__file__).with_name("_stories.toml").read_text("utf-8"))


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of conversation.

    Attributes:
        folder, name: Where it is written: ``folder/name-LANG.jsonl``.
        build: Writes one conversation.
        agents: Numbers of agents, used in turn.
        seeds: Conversations for each language.
        detector: The code that must decide, where only one is sensible.
        runaway: Whether it must be halted; else it must stay quiet.
        policy: Sections of the policy that it is replayed with, where that is not the default one.
        embedder: For each language the file beside `generate.py` with the vectors that it is replayed with.
    """

    folder: str
    name: str
    build: Callable[[Script], None]
    agents: tuple[int, ...] = (2,)
    seeds: int = 2
    detector: str | None = None
    runaway: bool = True
    policy: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    embedder: Mapping[str, str] = field(default_factory=dict)

    def story(self, lang: str) -> str:
        """What happens, in two sentences."""
        return _stories()[self.name][lang]

    def scripts(self, lang: str) -> list[Script]:
        """Write all conversations of one language."""
        scripts = []
        for seed in range(self.seeds):
            script = Script(f"{self.name}-{lang}-{seed + 1}", lang, self.agents[seed % len(self.agents)])
            self.build(script)
            scripts.append(script)
        return scripts
