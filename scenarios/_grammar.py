"""Text pools and their expansion: ``[a|b]`` chooses, ``{name}`` asks for a word or phrase of that name."""

from __future__ import annotations

import random
import re
from functools import cache
from pathlib import Path
from typing import Protocol

__all__ = ["Slots", "expand", "pool", "seeded"]

_HERE = Path(__file__).resolve().parent
_INNERMOST = re.compile(r"\[([^\[\]]*)\]")
_SLOT = re.compile(r"\{([a-z_0-9]+)\}")


class Slots(Protocol):
    """Whoever fills the ``{slots}`` of a template."""

    def fill(self, name: str) -> str:
        """Return the text for one slot; it may hold slots and choices itself."""
        ...


#: Name of another draw of the same kinds of conversation; empty: the one that is stored.
_draw = ""


def use_draw(name: str) -> None:
    """Draw all conversations from now on anew: others of the same kinds, the same for the same name."""
    global _draw  # noqa: PLW0603 - a setting of the command, made once
    _draw = name


def seeded(*parts: object) -> random.Random:
    """Return a generator of random numbers that depends on nothing but `parts` and the draw."""
    return random.Random("/".join(map(str, (_draw, *parts) if _draw else parts)))  # noqa: S311 - reproducible on purpose


@cache
def pool(name: str) -> dict[str, tuple[str, ...]]:
    """Read a text pool: its sections, each a tuple of entries (by line, or by ``;`` in the word lists)."""
    sections: dict[str, list[str]] = {}
    entries: list[str] = []
    by_line = not name.startswith("words")
    for line in (_HERE / f"_{name}.txt").read_text("utf-8").splitlines():
        if line.startswith("@"):
            entries = sections.setdefault(line[1:].strip(), [])
        elif line.strip() and not line.startswith("#"):
            entries += [line.strip()] if by_line else [entry.strip() for entry in line.split(";") if entry.strip()]
    return {section: tuple(items) for section, items in sections.items()}


def expand(template: str, rng: random.Random, slots: Slots) -> str:
    """Return one text of all those that the template stands for."""
    while match := _INNERMOST.search(template):
        template = template[: match.start()] + rng.choice(match[1].split("|")) + template[match.end() :]

    def filled(match: re.Match[str]) -> str:
        return expand(slots.fill(match[1]), rng, slots)

    return _SLOT.sub(filled, template)
