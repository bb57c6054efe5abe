"""Other figures for the figures of a recording: as many digits, and a counter still counts.

Numbers that follow on each other are moved together, as the engine tells a counter from a new figure by the number
before it.  Counters that run from 9 to 10 or from 99 to 100 stay, as no other numbers of these lengths follow on each
other; so do 0 and the numbers by which a result is told to be a failure (404, 503).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from agentbreaker.lexicon import POINT

if TYPE_CHECKING:
    from random import Random

    from agentbreaker.anonymise_words import Slots

__all__ = ["Figures"]

_DIGITS = "0123456789"
_PARTS = re.compile(r"([.,])")
#: The engine knows no predecessor of longer numbers.
_LONGEST_COUNTER = 9
_TELLING = {404, 429, 500, 502, 503, 504}
#: Numbers of fewer digits may come to be where another one has been.
_SHORTEST_UNIQUE = 4
_TRIES = 80

#: Which numbers can follow on each other: plain ones, padded ones of one width, last parts of one width.
_Domain = tuple[str, ...]


class Figures:
    """Replaces numbers, each by the same number every time.

    Args:
        rng: Draws the replacements.
        tokens: Every number of the recording: digits, with points and commas in between.
        slots: Which words are taken for one.
    """

    def __init__(self, rng: Random, tokens: Iterable[str], slots: Slots) -> None:
        self._rng = rng
        self._slots = slots
        self._long: dict[str, str] = {}
        self._moved: dict[_Domain, dict[int, int]] = {}
        found: dict[_Domain, set[int]] = defaultdict(set)
        for token in tokens:
            for domain, digits in _places(token):
                if len(digits) <= _LONGEST_COUNTER:
                    found[domain].add(int(digits))
        # Last parts come last: what stands before them is known then.
        for domain in sorted(found, reverse=True):
            self._moved[domain] = self._move(domain, found[domain])

    def of(self, token: str) -> str:
        """Return the replacement of a number: digits, with points and commas in between."""
        separators = _PARTS.findall(token)
        parts = [self._part(domain, digits) for domain, digits in _places(token)]
        return "".join(part + separator for part, separator in zip(parts, [*separators, ""], strict=True))

    def random(self, length: int) -> str:
        """Digits of an identifier."""
        return "".join(self._rng.choices(_DIGITS, k=length))

    def _part(self, domain: _Domain, digits: str) -> str:
        if len(digits) > _LONGEST_COUNTER:
            found = self._long.get(digits)
            while found is None or found == digits:
                found = self._rng.choice(_DIGITS[1:]) + self.random(len(digits) - 1)
            self._long[digits] = found
            return found
        value = int(digits)
        moved = self._moved.get(domain, {}).get(value, value)
        return str(moved).zfill(len(digits))

    def _move(self, domain: _Domain, values: set[int]) -> dict[int, int]:
        """Where each number of a domain goes."""
        fixed_width = domain[0] == "last"
        moved: dict[int, int] = {}
        runs: dict[tuple[int, int], list[range]] = defaultdict(list)
        for whole in _runs(values - {0} if not fixed_width else values):
            run = whole
            if not fixed_width and (run[0] < 10 <= run[-1] or run[0] < 100 <= run[-1]):
                moved |= {value: value for value in run if value < 1000}
                run = range(1000, run[-1] + 1)
            for part in [run] if fixed_width else _by_length(run):
                if not fixed_width and len(part) == 1 and part[0] in _TELLING:
                    moved[part[0]] = part[0]
                    continue
                digits = int(domain[-1]) if fixed_width else len(str(part[0]))
                low = 0 if fixed_width else 10 ** (digits - 1)
                runs[low, 10**digits].append(part)
        if not fixed_width:
            moved[0] = 0
        for (low, high), parts in sorted(runs.items(), key=lambda item: item[0]):
            self._place(domain, parts, low, high, values, moved)
        return moved

    def _place(
        self, domain: _Domain, parts: list[range], low: int, high: int, values: set[int], moved: dict[int, int]
    ) -> None:
        """Give each run a place of its own, one that touches no other; where there is no room, all stay."""
        taken = set(moved.values()) | (_TELLING if low else set())
        unique = high >= 10**_SHORTEST_UNIQUE
        placed: dict[int, int] = {}
        for part in sorted(parts, key=lambda run: (-len(run), run[0])):
            start = self._room(domain, part, low, high, taken, values if unique else set())
            if start is None:
                start = self._room(domain, part, low, high, taken, set(), touching=True)
            if start is None:
                moved |= {value: value for run in parts for value in run}
                return
            placed |= {value: start + i for i, value in enumerate(part)}
            for value in part:
                self._slots.take(self._token(domain, value, False), self._token(domain, placed[value], True))
            taken.update(range(start, start + len(part)))
        moved |= placed

    def _token(self, domain: _Domain, value: int, moved: bool) -> bytes:
        """The number as the engine has it, before or after it moved."""
        if domain[0] == "plain":
            return b"%d" % value
        digits = str(value).zfill(int(domain[-1])).encode()
        if domain[0] == "padded":
            return digits
        parts = domain[1].split(".")[:-1]
        if moved:
            parts = [self.of(part) for part in parts]
        return POINT.join([*(part.encode() for part in parts), digits])

    def _alike(self, domain: _Domain, value: int, other: int) -> bool:
        """Whether the engine tells both from what else there is, and takes both for a counter or neither."""
        slots = self._slots
        if not slots.fit(self._token(domain, value, False), self._token(domain, other, True)):
            return False
        if value <= 0 or other <= 0:
            return True
        return slots.alike(self._token(domain, value - 1, False), self._token(domain, other - 1, True))

    def _room(
        self,
        domain: _Domain,
        part: range,
        low: int,
        high: int,
        taken: set[int],
        avoid: set[int],
        *,
        touching: bool = False,
    ) -> int | None:
        most = high - len(part)
        if most < low:
            return None
        margin = 0 if touching else 1
        for attempt in range(_TRIES):
            start = self._rng.randint(low, most)
            if start == part[0]:
                continue
            if attempt < _TRIES // 2 and not self._alike(domain, part[0], start):
                continue
            around = range(start - margin, start + len(part) + margin)
            if taken.isdisjoint(around) and avoid.isdisjoint(around):
                return start
        return None


def _places(token: str) -> Iterator[tuple[_Domain, str]]:
    """The parts of a number with their domains."""
    parts = _PARTS.split(token)[::2]
    before = ""
    for number, part in enumerate(parts):
        if number and number == len(parts) - 1:
            yield ("last", before, str(len(part))), part
        elif part.startswith("0") and len(part) > 1:
            yield ("padded", str(len(part))), part
        else:
            yield ("plain",), part
        before += f"{part}."


def _runs(values: set[int]) -> Iterator[range]:
    """Numbers that follow on each other."""
    start: int | None = None
    last = 0
    for value in sorted(values):
        if start is None:
            start = value
        elif value != last + 1:
            yield range(start, last + 1)
            start = value
        last = value
    if start is not None:
        yield range(start, last + 1)


def _by_length(run: range) -> Iterator[range]:
    """The parts of a run that have as many digits each."""
    start = run.start
    while start < run.stop:
        stop = min(run.stop, 10 ** len(str(start)))
        yield range(start, stop)
        start = stop
