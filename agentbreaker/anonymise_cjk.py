"""Other characters for the Chinese and Japanese of a recording.

The engine reads these scripts in pairs of characters, so each character becomes another one throughout, a common one
another common one, kana other kana: pairs that were the same stay the same, and weigh as much.  Pairs that acknowledge,
thank or say goodbye become other such pairs, or stay: they are everybody's.  No other pair of the recording may come
out again.
"""

from __future__ import annotations

import enum
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from functools import cache, lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING

from agentbreaker.anonymise_words import Cue, cue_of
from agentbreaker.lexicon import ACKNOWLEDGING, class_of, lexicon, slot_of

if TYPE_CHECKING:
    from random import Random

__all__ = ["Characters", "Thanks", "acknowledging_pairs", "pairs_of", "thanks_characters"]


class Thanks(enum.Enum):
    """What becomes of the pairs that acknowledge: others of their kind, or they stay, or their characters stay."""

    REPLACED = enum.auto()
    KEPT = enum.auto()
    SPELLED = enum.auto()


_TRIES, _FEW = 16, 400
_REPAIRS = 60
#: Words by which a result is judged.
_CUE_LIST = (
    "找不到 未找到 没有找到 查无 不存在 无结果 为空 错误 失败 异常 超时 无法 运行中 进行中 处理中 等待 排队 未完成 "
    "限流 繁忙 暂时 稍后 重试 过载 锁定 请求过多 不可用 成功 完成 执行 结果 输出"
)
_CUES = tuple(_CUE_LIST.split())


@lru_cache(65_536)
def _class(text: str) -> int:
    return class_of(lexicon()[text.encode()])


@cache
def acknowledging_pairs() -> frozenset[str]:
    """The pairs of characters of the lexicon that acknowledge, thank or say goodbye."""
    return frozenset(word for word in lexicon().known_words() if not word.isascii() and _class(word) & ACKNOWLEDGING)


@cache
def thanks_characters() -> frozenset[str]:
    """The characters of these pairs."""
    return frozenset("".join(acknowledging_pairs()))


@cache
def _says() -> dict[str, Cue]:
    return {word: cue_of(word) for word in _CUES}


@cache
def _stock() -> dict[str, list[str]]:
    """Characters to choose from, by kind; the rare ones are such as newspapers use (GB 2312, level 1)."""
    han = [
        bytes((row, column)).decode("gb2312") for row in range(0xB0, 0xD7) for column in range(0xA1, 0xFF)
    ]  # row 0xD7 has gaps
    found: dict[str, list[str]] = defaultdict(list)
    for character in han:
        found[_kind(character)].append(character)
    for code in (*range(0x3041, 0x3097), *range(0x30A1, 0x30FB)):
        found[_kind(chr(code))].append(chr(code))
    return found


@cache
def _kind(character: str) -> str:
    if "\u3041" <= character <= "\u3096":
        return "hiragana"
    if "\u30a1" <= character <= "\u30fa":
        return "katakana"
    if unicodedata.category(character) != "Lo":
        return "sign"
    return "rare" if _class(character) == _class("鑫") else "common"


def pairs_of(runs: Iterable[str]) -> set[str]:
    """All pairs of neighbouring characters."""
    return {a + b for run in runs for a, b in pairwise(run)}


class Characters:
    """Replaces runs of characters of scripts without spaces.

    Args:
        rng: Draws the replacements.
        runs: Every run of the recording.
        thanks: What becomes of the pairs that acknowledge.
    """

    def __init__(self, rng: Random, runs: Iterable[str], thanks: Thanks = Thanks.REPLACED) -> None:
        self._keep_thanks = thanks is not Thanks.REPLACED
        self._rng = rng
        self._runs = list(dict.fromkeys(runs))
        self._pairs = pairs_of(self._runs)
        # The engine remembers pairs in few bits, and takes some for one that came before: as many as before, and
        # as far as possible those, must be taken so again, else what is new would become more or less.
        self._rank: dict[str, int] = {}
        self._late: dict[str, bool] = {}
        slots: set[int] = set()
        for pair in (a + b for run in self._runs for a, b in pairwise(run)):
            if pair not in self._rank:
                self._rank[pair] = len(self._rank)
                self._late[pair] = (slot := slot_of(pair.encode())) in slots
                slots.add(slot)
        self._taken: dict[int, str] = {}
        self._image: dict[str, str] = {}
        self._thanks: dict[str, str] = {}
        self._cues: dict[str, str | None] = {}
        self._used: set[str] = set()
        self._kept = thanks_characters() if thanks is Thanks.SPELLED else frozenset[str]()
        counts = Counter(character for run in self._runs for character in run)
        self._originals = set(counts)
        self._next: dict[str, list[str]] = defaultdict(list)
        for pair in sorted(self._pairs):
            self._next[pair[0]].append(pair)
            if pair[1] != pair[0]:
                self._next[pair[1]].append(pair)
        for character, _ in counts.most_common():
            self._choose(character)
        self._repair()

    def of(self, run: str, *, as_result: bool) -> str:
        """Return the replacement of a run of characters.

        Args:
            run: Only such characters.
            as_result: Whether words by which a result is judged become others that tell the same.
        """
        return "".join(self._parts(run, as_result))

    def _parts(self, run: str, as_result: bool) -> Iterator[str]:
        at = 0
        while at < len(run):
            cue = next((word for word in _CUES if as_result and run.startswith(word, at)), None)
            if cue is not None and (other := self._cue(cue)) is not None:
                yield other
                at += len(cue)
            elif run[at : at + 2] in acknowledging_pairs():
                yield self._thank(run[at : at + 2])
                at += 2
            else:
                yield self._image[run[at]]
                at += 1

    def _choose(self, character: str) -> None:
        kind = _kind(character)
        if kind == "sign" or character in self._kept:
            self._image[character] = character
            return
        stock = _stock()[kind]
        fresh = [one for one in stock if one not in self._originals and one not in self._used]
        free = fresh or [one for one in stock if one not in self._used and one != character]
        # All are taken: one then stands for two.
        free = free or [one for one in stock if one != character]
        best, least = character, 1 << 30
        # A character with few neighbours can be made to fit them all.
        tries = min(len(free), max(_TRIES, _FEW // (1 + len(self._next[character]))))
        for one in self._rng.sample(free, tries):
            wrong = self._wrong(character, one)
            if wrong < least:
                best, least = one, wrong
            if not wrong:
                break
        self._image[character] = best
        self._used.add(best)
        for pair in self._next[character]:
            first, second = self._image.get(pair[0]), self._image.get(pair[1])
            if first is not None and second is not None:
                slot = slot_of((first + second).encode())
                before = self._taken.get(slot)
                if before is None or self._rank[pair] < self._rank[before]:
                    self._taken[slot] = pair

    def _misread(self, pair: str, image: str) -> int:
        """How many pairs would be taken for an earlier one that were not, or the other way round."""
        before = self._taken.get(slot_of(image.encode()))
        if before is None or before == pair:
            return int(self._late[pair])
        if self._rank[before] < self._rank[pair]:
            return int(not self._late[pair])
        return int(self._late[pair]) + int(not self._late[before])

    def _wrong(self, character: str, image: str) -> int:
        """How much is wrong with an image: pairs that would survive count most, then those that would weigh other."""
        wrong = 0
        for pair in self._next[character]:
            first = image if pair[0] == character else self._image.get(pair[0])
            second = image if pair[1] == character else self._image.get(pair[1])
            if first is None or second is None or pair in acknowledging_pairs() or self._kept.issuperset(pair):
                continue
            other = first + second
            wrong += 1000 * (other in self._pairs) + 10 * (_class(other) != _class(pair))
            wrong += self._misread(pair, other)
        return wrong

    def _thank(self, pair: str) -> str:
        found = pair if self._keep_thanks else self._thanks.get(pair)
        if found is None:
            kinds = list(map(_kind, pair))
            stock = sorted(acknowledging_pairs())
            fresh = [one for one in stock if one not in self._pairs]
            free = [one for one in fresh if one not in self._thanks.values()] or fresh
            # What stands beside it weighs as much where its characters are as common.
            free = [one for one in free if list(map(_kind, one)) == kinds] or free
            # Nearly the whole stock was said: then others of it are said again.
            found = self._thanks[pair] = self._rng.choice(free or [one for one in stock if one != pair])
        return found

    def _cue(self, word: str) -> str | None:
        if word not in self._cues:
            says = _says()
            free = [
                other
                for other in _CUES
                if says[other] == says[word] and self._pairs.isdisjoint(pairs_of([other])) and len(other) > 1
            ]
            self._rng.shuffle(free)
            self._cues[word] = min(free, key=lambda other: abs(len(other) - len(word)), default=None)
        return self._cues[word]

    def _repair(self) -> None:
        """Choose anew where a pair of the recording has come out again."""
        for _ in range(_REPAIRS):
            again = pairs_of(self.of(run, as_result=False) for run in self._runs) & self._pairs
            wrong = {pair for pair in again - acknowledging_pairs() if not self._kept.issuperset(pair)}
            if not wrong:
                return
            for pair in sorted(wrong):
                blamed = [one for one, image in self._image.items() if image in pair and image != one]
                thanked = [one for one, image in self._thanks.items() if pair[0] == image[1] or pair[1] == image[0]]
                if thanked and (not blamed or self._rng.random() < 0.5):
                    del self._thanks[self._rng.choice(thanked)]
                elif blamed:
                    one = self._rng.choice(blamed)
                    self._used.discard(self._image.pop(one))
                    self._choose(one)
