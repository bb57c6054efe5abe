"""How much a word tells: rare words much, common ones little, politeness and grammar nothing.

The novelty statistic counts *information*, not words.  A word is worth its surprisal in the language at large, in
coarse steps: nothing for grammar and politeness, little for very common words, more for common ones, most for
everything else, which is where names, code and terms live.  The steps come from the size tiers of SCOWL (English)
and from the most frequent characters of Chinese; there is no vocabulary of any data set in here.

Every token becomes one integer, its *code*, once per process; the hot path only handles codes:

=========  =====================================================================
bits       meaning
=========  =====================================================================
0 to 6     weight in sixteenths (0 to 127)
7          number or identifier: its weight is capped per message
8          acknowledging or polite: one weak signal among others
9 to 29    21 bits of the CRC-32 of the token, the same in every process; the
           upper 13 of them are the slot of the word in a conversation
=========  =====================================================================
"""

from __future__ import annotations

from array import array
from collections import Counter
from importlib import resources
from itertools import pairwise
from math import log2
from typing import TYPE_CHECKING
from zlib import crc32

from agentbreaker.kernel import make_table, pair_sum

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "ACKNOWLEDGING",
    "ACKNOWLEDGING_CODES",
    "CODE_BITS",
    "NUMERIC",
    "POINT",
    "WEIGHT_MASK",
    "WEIGHT_UNIT",
    "Lexicon",
    "class_of",
    "is_cjk",
    "is_figure",
    "is_identifier",
    "lexicon",
    "slot_of",
]

#: Stands for a point or comma within a number: a byte that no UTF-8 text has.
POINT = b"\xff"
WEIGHT_MASK = 0x7F
WEIGHT_UNIT = 16
NUMERIC = 0x80
ACKNOWLEDGING = 0x100
#: Bits of a code.
CODE_BITS = 30

#: Weights in sixteenths of one unit of information.
_VERY_COMMON, _COMMON, _RARE = 11, 27, 51
_NUMBER, _CODE, _IDENTIFIER, _LONG_NUMBER, _LETTER = 64, 16, 4, 3, 5
_CJK_COMMON, _CJK_MIXED, _CJK_RARE = 4, 14, 32

#: Numbers longer than this are identifiers or epochs: they differ every time and tell little.
_LONGEST_NUMBER = 9
#: Letters and digits by turns: shorter ones are codes that people use.
_SHORTEST_IDENTIFIER = 7
_SHAPE = bytes(48 if 48 <= byte <= 57 else 97 for byte in range(256))
#: Letters that are no word: no language writes one so long, or random letters are so many times as likely (in bits).
#: Shorter ones are left alone: that is where the abbreviations are.
_LONGEST_WORD = 40
_SHORTEST_RANDOM, _RANDOM_BITS = 5, -2
#: Odds are integers, in parts of a bit: their sum is the same on every Python.
_ODDS_UNIT = 1 << 20
_LEAST_ODDS = _RANDOM_BITS * _ODDS_UNIT
_MAX_TOKENS = 200_000
#: Longer tokens (bytes) are computed each time: kept, they could fill the memory.
_LONGEST_KEPT = 64

_LETTERS, _VOWELS = b"abcdefghijklmnopqrstuvwxyz", b"aeiouy"

_FUNCTION_WORDS = (
    "a about above after again all also am an and any are as at be because been before being below between both but "
    "by can could d did do does doing down during each either else few for from further get got had has have having "
    "he her here hers him his how i if in into is it its itself just ll m make many may me might more most much must "
    "my no nor not now of off on once one only or other our ours out over own re s said same see shall she should so "
    "some such t than that the their theirs them then there these they this those through to too under until up upon "
    "us use used using ve very was we were what when where which while who whom why will with without would you your "
    "yours"
)
_ACKNOWLEDGING_WORDS = (
    "absolutely acknowledge acknowledged acknowledging agree agreed agreement anything apologies apologize appreciate "
    "appreciated appreciation assist assistance awesome bravo bye certainly cheers collaboration confirm confirmation "
    "confirmed confirming confirms congratulations correct definitely excellent fantastic farewell feel free glad "
    "good goodbye great happy help hesitate indeed kudos nice noted ok okay perfect "
    "pleasure right sorry sounds sure team teamwork thank thanks thx understood welcome "
    "wonderful work yeah yep yes"
)
#: Polite, or about the conversation itself: they tell nothing, but acknowledge nothing either.
_POLITE_WORDS = "forward hear job let looking please question questions"
#: Two-character words that acknowledge, thank or say goodbye in Chinese.
_ACKNOWLEDGING_CJK = (
    "谢谢 感谢 多谢 好的 收到 确认 同意 赞同 明白 了解 知道 清楚 没有 问题 没问 非常 合作 辛苦 "
    "再见 祝您 祝你 祝好 愉快 帮助 帮忙 随时 客气 不客 荣幸 高兴 很好 太好 完美 可以 正确 是的 "
    "对的 好啊 支持 期待 配合 大家 您好 你好 联系 告诉 需要 任何 其他 还有 什么 一切 顺利 棒极 "
    "优秀 出色 完全 认可 欢迎 抱歉 不好 意思 请问 放心"
)
#: The most frequent characters of written Chinese: grammar and everyday verbs.
_COMMON_CJK = frozenset(
    "的一是不了在人有我他这个们中来上大为和国地到以说时要就出会可也你对生能而子那得于着下自之年过发后作里用道行所然家种事成方多经么去"
    "法学如都同现当没动面起看定天分还进好小部其些主样理心她本前开但因只从想实日军者意无力它与长把机十民第公此已工使情明性知全三又关"
    "点正业外将两高间由问很最重并物手应战向头文体政美相见被利什二等产或新己制身果加西斯月话合回特代内信表化老给世位次度门任常先海通"
    "教儿原东声提立及比员解水名真论处走义各入几口认条平系气题活尔更别打女变四神总何电数安少报才结反受目太量再感建务做接必场件计管期"
    "市直德资命山金指克许统区保至队形社便空决治展马科司五基眼书非则听白却界达光放强即像难且权思王象完设式色路记南品住告类求据程北边"
    "死张该交规万取拉格望觉术领共确传师观清今切院让识候带导争运笔请谢您很吧呢吗啊哦嗯收到认为大家一起非常感谢"
)


class Lexicon(dict[bytes, int]):
    """Token (canonical UTF-8 bytes) to code; computes what it has not met, forgets all when it grows too large.

    Shared by all conversations of the process: it holds facts about the language, nothing about a conversation.
    Concurrent use is safe: two threads that meet a new token compute the same code.

    Attributes:
        table: The compiled cache in front of it, ``None`` where everything is done in Python.  It holds no number that
            the lexicon has forgotten, so both know the same predecessors.
    """

    __slots__ = ("_fixed", "_odds", "_predecessors", "table")

    def __init__(self) -> None:
        super().__init__()
        self._predecessors: dict[int, int] = {}
        self._fixed = _fixed_weights()
        self._odds = _pair_odds(self._fixed)
        # The table weighs plain words as the methods below do.
        self.table = make_table(
            {
                "weights": self._fixed,
                "odds": self._odds,
                "rare": _RARE,
                "letter": _LETTER,
                "random": NUMERIC | _IDENTIFIER,
                "shortest": _SHORTEST_RANDOM,
                "longest": _LONGEST_WORD,
                "least": _LEAST_ODDS,
            }
        )

    def __missing__(self, token: bytes) -> int:
        if len(self) >= _MAX_TOKENS:
            self.clear()
            self._predecessors.clear()
            if self.table is not None:
                self.table.clear()
        code = self._fixed.get(token)
        if code is None:
            code = self._code_of(token)
        elif code:
            code |= _hashed(token)
        if len(token) <= _LONGEST_KEPT:
            self[token] = code
        return code

    def _code_of(self, token: bytes) -> int:
        hashed = _hashed(token)
        if POINT in token and token.replace(POINT, b"").isdigit():
            return self._code_of_decimal(token, hashed)
        if token.isdigit():
            code = hashed | NUMERIC | (_NUMBER if len(token) <= _LONGEST_NUMBER else _LONG_NUMBER)
            value = int(token) if len(token) <= _LONGEST_NUMBER else 0
            if value:
                before = b"%d" % (value - 1)
                if token.startswith(b"0"):
                    before = before.zfill(len(token))
                self._predecessors[code] = _hashed(before) | NUMERIC | _NUMBER
            return code
        if token.isascii():
            if not token.isalpha():
                return hashed | NUMERIC | (_IDENTIFIER if _is_identifier(token) else _CODE)
            if self._is_random(token):
                return hashed | NUMERIC | _IDENTIFIER
            return hashed | (_RARE if len(token) > 1 else _LETTER)
        text = token.decode("utf-8", "replace")
        if is_cjk(text[0]):
            common = sum(character in _COMMON_CJK for character in text)
            return hashed | (_CJK_RARE, _CJK_MIXED, _CJK_COMMON)[common if len(text) > 1 else 2 * common]
        return hashed | (_RARE if len(text) > 1 else _LETTER)

    def _code_of_decimal(self, token: bytes, hashed: int) -> int:
        """Digits with points or commas in them; the number before one has a last part that is one smaller."""
        parts = token.split(POINT)
        if len(parts) > 2 and any(len(part) != 3 for part in parts[1:]):
            return hashed | NUMERIC | _CODE  # a version, a date, a time of day, an address
        digits = len(token) - len(parts) + 1
        code = hashed | NUMERIC | (_NUMBER if digits <= _LONGEST_NUMBER else _LONG_NUMBER)
        last = parts.pop()
        if 0 < len(last) <= _LONGEST_NUMBER and int(last):
            before = POINT.join((*parts, (b"%d" % (int(last) - 1)).zfill(len(last))))
            self._predecessors[code] = _hashed(before) | code & (NUMERIC | WEIGHT_MASK)
        return code

    def _is_random(self, letters: bytes) -> bool:
        """Whether these letters are more likely drawn at random than a word, name or term of any language."""
        length = len(letters)
        if length < _SHORTEST_RANDOM:
            return False
        return length > _LONGEST_WORD or pair_sum(letters, self._odds) < _LEAST_ODDS

    def known_words(self) -> list[str]:
        """Return the words whose weight is a fact of the language, sorted."""
        return sorted(token.decode() for token in self._fixed)

    def predecessor(self, code: int) -> int | None:
        """Code of the number that is one smaller, to tell a counter from a new figure; ``None`` for other tokens."""
        return self._predecessors.get(code)


def class_of(code: int) -> int:
    """What a code says of a word but for which word it is: weight, number or identifier, acknowledging; 0 for grammar.

    >>> words = lexicon()
    >>> class_of(words[b"thanks"]) == class_of(words[b"agreed"]) != class_of(words[b"zanzibar"])
    True
    """
    return code & (WEIGHT_MASK | NUMERIC | ACKNOWLEDGING)


def is_figure(code: int) -> bool:
    """Whether a code is that of a plain number: not of an identifier, a part number or an epoch."""
    return code & (NUMERIC | WEIGHT_MASK) == NUMERIC | _NUMBER


def is_identifier(code: int) -> bool:
    """Whether a code is that of an identifier: a hash or random letters, not a long number."""
    return code & (NUMERIC | WEIGHT_MASK) == NUMERIC | _IDENTIFIER


def _is_identifier(mixed: bytes) -> bool:
    """Whether letters and digits alternate, at length, as in a hash; a part number or a version does not."""
    shape = mixed.translate(_SHAPE)
    return len(mixed) >= _SHORTEST_IDENTIFIER and shape.count(b"0a") + shape.count(b"a0") > 1


def _hashed(token: bytes) -> int:
    """The upper bits of a code, which stays below 2 ** 30: Python handles longer numbers half as fast.

    The lowest 13 bits of the CRC come on top, so that one shift yields the slot of a word.
    """
    crc = crc32(token)
    return (crc & 0x1FFF) << 17 | (crc >> 13 & 0xFF) << 9


def slot_of(token: bytes) -> int:
    """Where a conversation remembers a token: words that share a slot are taken for one, so that memory is bounded."""
    return _hashed(token) >> 17


def is_cjk(character: str) -> bool:
    """Whether the character belongs to a script that is written without spaces."""
    return "\u3040" <= character <= "\u30ff" or "\u3400" <= character <= "\u9fff" or "\uf900" <= character <= "\ufaff"


def _fixed_weights() -> dict[bytes, int]:
    """Codes without hash of all tokens whose weight is a fact of the language; 0 means: drop the token."""
    data = resources.files("agentbreaker").joinpath("data", "common_words.txt").read_text("ascii")
    very_common, common = (line for line in data.splitlines() if not line.startswith("#"))
    fixed = dict.fromkeys(common.encode().split(), _COMMON)
    fixed.update(dict.fromkeys(very_common.encode().split(), _VERY_COMMON))
    fixed.update(dict.fromkeys(_ACKNOWLEDGING_WORDS.encode().split(), ACKNOWLEDGING))
    fixed.update(dict.fromkeys(_ACKNOWLEDGING_CJK.encode().split(), ACKNOWLEDGING))
    fixed.update(dict.fromkeys(_POLITE_WORDS.encode().split(), 0))
    fixed.update(dict.fromkeys(_FUNCTION_WORDS.encode().split(), 0))
    return fixed


def _pair_odds(words: Iterable[bytes]) -> bytes:
    """For each pair of letters, how much likelier it is within a word than among random letters.

    Which consonants stand together is what random letters get wrong.  A pair with a vowel counts for a word or not at
    all: every language has such pairs, and English would not know those of a Finnish name.

    Returns:
        An integer of four bytes for each pair from ``aa`` to ``zz``, in bits times the unit of the odds.
    """
    text = b" ".join(words)
    counts = Counter(pairwise(text))
    pairs = [(a, b) for a in _LETTERS for b in _LETTERS]
    scale = len(pairs) / (sum(map(counts.__getitem__, pairs)) + len(pairs))
    odds = {pair: log2((counts[pair] + 1) * scale) for pair in pairs}
    counted = (max(bits, 0.0) if a in _VOWELS or b in _VOWELS else bits for (a, b), bits in odds.items())
    return array("i", [round(bits * _ODDS_UNIT) for bits in counted]).tobytes()


#: Codes of all acknowledging words, for one set intersection.
ACKNOWLEDGING_CODES = frozenset(
    _hashed(word) | ACKNOWLEDGING for word in f"{_ACKNOWLEDGING_WORDS} {_ACKNOWLEDGING_CJK}".encode().split()
)
_shared: list[Lexicon] = []


def lexicon() -> Lexicon:
    """Return the lexicon of the process; the word list is read at the first call."""
    if not _shared:
        _shared.append(Lexicon())
    return _shared[0]
