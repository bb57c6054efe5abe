"""From raw text to codes and fingerprints: canonical, bounded in cost, and deaf to cheap disguises.

ASCII text, the common case, takes one ``bytes.translate``.  Everything else is first brought to a canonical form
(NFKC, case folded, invisible characters dropped, look-alike letters mapped when the text is mostly Latin) and
scripts without spaces are cut into overlapping pairs of characters.  Regular expressions here are linear.
"""

from __future__ import annotations

import json
import re
import unicodedata
from typing import TYPE_CHECKING
from zlib import crc32

from agentbreaker.kernel import Codes, find, pack, remember, unpack
from agentbreaker.lexicon import NUMERIC, POINT, lexicon

if TYPE_CHECKING:
    from agentbreaker.message import Message

__all__ = [
    "MAX_CHARACTERS",
    "Recent",
    "Text",
    "analyse",
    "body_of",
    "clock_codes",
    "cue_phrases",
    "cue_words",
    "fingerprint_of",
    "is_silent",
    "looks_like_failure",
    "looks_like_transient",
    "looks_like_waiting",
    "prose_share",
    "undisguised",
    "volatile_codes",
]

#: Characters of a message that are looked at word by word: the first and the last half of this.
MAX_CHARACTERS = 8192
#: Characters up to which the fingerprint covers every byte; longer texts are sampled.
_MAX_FINGERPRINTED = 65_536
_SAMPLES, _SAMPLE_LENGTH = 64, 512

#: Letters and digits stay (lower case), bytes of UTF-8 sequences stay, all else separates.
_FOLD = bytes(
    byte + 32 if 65 <= byte <= 90 else byte if 97 <= byte <= 122 or 48 <= byte <= 57 or byte >= 128 else 32
    for byte in range(256)
)
#: A point or comma within a number: "0.26" and "1,044" are one figure each, and not two that were there before.
_POINT = re.compile(rb"[.,](?=[0-9])(?<=[0-9][.,])")
_CJK_RUN = re.compile("[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]+")
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]+"
)
#: Cyrillic and Greek letters that look like Latin ones: capitals too, as some look like a letter that they are not.
_LOOKALIKE = str.maketrans(
    "аеорсухікмнтвјѕԁһӏԛԝьАВЕНІЈКМОРЅТХУҮαοερτυνικχΑΒΕΖΗΙΚΜΝΟΡΤΥΧ",
    "aeopcyxikmhtbjsdhlqwbABEHIJKMOPSTXYYaoeptuvikxABEZHIKMNOPTYX",
)
_LOOKALIKE_LETTER = re.compile(f"[{''.join(map(chr, _LOOKALIKE))}]")
#: Strokes and accents that are laid over a letter and have no common character with it.
_OVERLAID = re.compile("[\u0300-\u036f\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20f0]+")
#: What separates words outside ASCII; inside, the folding table does it.
_FOREIGN_SEPARATOR = re.compile(r"[^\x00-\x7f\w]+")
_CLOCK = re.compile(
    r"\d{4}-\d{2}-\d{2}(?:[Tt]\d{2}:\d{2}(?::\d{2}(?:[.,]\d{1,9})?)?[Zz]?)?|\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d{1,9})?)?"
)
_TIME = re.compile(r"\d{1,2}:\d{2}:\d{2}(?:[.,]\d{1,9})?")
_UUID = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
#: Digits to "0", all other bytes as they are: where there is neither of these, there is no clock and no date.
_DIGITS = bytes(48 if 48 <= byte <= 57 else byte for byte in range(256))
_CLOCK_SHAPE, _DATE_SHAPE = b"0:00", b"0000-00-00"
#: The same for the digits of a UUID, which has four hyphens; few other texts have.
_HEXADECIMALS = bytes(48 if chr(byte) in "0123456789abcdefABCDEF" else byte for byte in range(256))
_UUID_SHAPE, _UUID_HYPHENS = b"0-0000-0000-0000-0", 4
_FAILURE = re.compile(
    r"\b(?:error|errors|failed|failure|exception|traceback|not found|no results?|no matches|no such|none|null|empty|"
    r"invalid|denied|forbidden|unavailable|timed out|timeout|unable|cannot|404|500|503|"
    # "No entry with the number 7": a denial of what was asked for.
    r"(?:no|not any|nothing|none) (?:\w+ ){0,3}(?:with|for|found|named|called|matching|under|by|exists?|available))\b"
    r"|:\s*\[\s*\]"
    r"|找不到|未找到|没有找到|没有[^。，,.]{0,20}的(?:记录|条目|数据|内容|文件|结果|信息)|查无|不存在|无结果|为空|错误|失败|异常|超时|无法",
    re.IGNORECASE,
)
_WAITING = re.compile(
    r"\b(?:running|pending|in[ _-]?progress|queued|processing|waiting|starting|scheduled|not (?:yet )?ready|building)\b"
    r"|运行中|进行中|处理中|等待|排队|未完成",
    re.IGNORECASE,
)
_TRANSIENT = re.compile(
    r"\b(?:429|502|503|504|time(?:d)?[ -]?out|temporar(?:y|ily)|too many requests|rate[ -]?limit(?:ed)?|busy|locked|"
    r"unavailable|overloaded|try(?:ing)? again|retry(?:ing)?|connection (?:reset|refused|closed)|throttl(?:ed|ing))\b"
    r"|超时|限流|繁忙|暂时|稍后|重试|过载|锁定|请求过多|不可用",
    re.IGNORECASE,
)
#: What a result consists of that only says that the call has run.
_FORMALITIES = re.compile(
    r"<[^<>]{0,80}>|\b(?:exit|return)[ _]?code\W{0,8}0\b|\b(?:output|stdout|stderr|code|execution|command|process|"
    r"status|result|ok|okay|done|success(?:ful|fully)?|succeeded|completed?|finished|executed|null|none)\b|成功|完成|执行|已|结果|输出",
    re.IGNORECASE,
)
_CUE = re.compile("[a-z]{3,}")
_FAILURE_WINDOW = 400
#: Colons or hyphens that are looked at one by one for a digit behind them.
_FEW = 8


class Text:
    """What is known of a message's text before the conversation is looked at.

    Attributes:
        words: Codes of the distinct tokens (see :mod:`agentbreaker.lexicon`), grammar left out, as the kernel has them.
        fingerprint: Fingerprint of the exact text.
        raw: The text that was analysed, bounded to :data:`MAX_CHARACTERS`.
    """

    __slots__ = ("fingerprint", "raw", "words")

    def __init__(self, words: Codes, fingerprint: int, raw: str) -> None:
        self.words = words
        self.fingerprint = fingerprint
        self.raw = raw

    @property
    def codes(self) -> set[int]:
        """The codes of its distinct tokens, grammar left out."""
        return set(unpack(self.words))

    @property
    def distinct(self) -> int:
        """How many distinct tokens it has, grammar left out."""
        words = self.words
        return len(words) // 4 if isinstance(words, bytes) else len(words)

    @property
    def masked(self) -> int:
        """Fingerprint that ignores order, numbers and identifiers."""
        return sum(code for code in unpack(self.words) if not code & NUMERIC)


#: What is made of a message without a word.
_SILENCE = Text([], 0, "")


def analyse(message: Message) -> Text:
    """Return the codes and the fingerprint of a message's text, at bounded cost, without any state."""
    content = message.content
    tool = message.tool
    if tool is not None:
        content = _tool_text(message, content)
    length = len(content)
    if length > MAX_CHARACTERS:
        half = MAX_CHARACTERS // 2
        fingerprint = fingerprint_of(content)
        content = content[:half] + " " + content[-half:]
        if not content.isascii():
            content = _plain(content)
        raw = content.encode("utf-8", "surrogatepass")
    else:
        if not content:
            return _SILENCE
        stripped = content.strip()
        if stripped.isascii():
            raw = stripped.encode()
            return Text(codes_of(raw), crc32(raw.lower()) << 32 | len(raw), content)
        content = _plain(content)
        raw = content.strip().encode("utf-8", "surrogatepass")
        fingerprint = crc32(raw.lower()) << 32 | len(raw)
    return Text(codes_of(raw if content.isascii() else _words(content)), fingerprint, content)


def fingerprint_of(content: str) -> int:
    """The fingerprint that a plain message of this text has."""
    length = len(content)
    if length > MAX_CHARACTERS:
        fingerprinted = content if length <= _MAX_FINGERPRINTED else _sample(content, length)
        return crc32(fingerprinted.encode("utf-8", "surrogatepass")) << 32 | (length & 0xFFFFFFFF)
    raw = (content if content.isascii() else _plain(content)).strip().encode("utf-8", "surrogatepass")
    return crc32(raw.lower()) << 32 | len(raw)


def _fold(raw: bytes) -> list[bytes]:
    """The tokens of ASCII or canonical text."""
    if b"." in raw or b"," in raw:
        raw = _POINT.sub(POINT, raw)
    return raw.translate(_FOLD).split()


def codes_of(raw: bytes) -> Codes:
    """Codes of the distinct tokens of ASCII or canonical text, grammar left out."""
    words = lexicon()
    if words.table is not None:
        try:
            return words.table.codes(raw, words)
        except Exception:  # noqa: S110 - what is wrong, Python says below
            pass
    codes = dict.fromkeys(map(words.__getitem__, _fold(raw)))
    codes.pop(0, None)
    return list(codes)


def prose_share(raw: bytes) -> float:
    """Share of grammar, in [0, 1], among the words of ASCII text: a third to a half of prose, next to none of code."""
    table = lexicon()
    if table.table is not None:
        try:
            grammar, tokens = table.table.grammar(raw, table)
            return grammar / tokens if tokens else 0.0
        except Exception:  # noqa: S110 - what is wrong, Python says below
            pass
    words = _fold(raw)
    return list(map(table.__getitem__, words)).count(0) / len(words) if words else 0.0


def body_of(text: Text, body: str) -> Text:
    """The same message with only a part of its words."""
    raw = body.encode("utf-8", "surrogatepass") if body.isascii() else _words(body)
    return Text(codes_of(raw), text.fingerprint, body)


def volatile_codes(text: Text) -> set[int]:
    """Codes of the numbers that belong to clocks, dates and UUIDs: they differ every time and tell nothing."""
    raw = text.raw
    if raw.isascii():
        # The regular expressions cost as much as all the rest: they read the words of the right shape and no others.
        if not (_before_digit(raw, ":") or _before_digit(raw, "-")):
            return set()
        shape = raw.encode().translate(_DIGITS)
        found = _findall(_CLOCK, raw, shape, _CLOCK_SHAPE)
        hyphens = raw.count("-")
        if hyphens > 1:
            found += _findall(_CLOCK, raw, shape, _DATE_SHAPE)
        if hyphens >= _UUID_HYPHENS:
            found += _findall(_UUID, raw, raw.encode().translate(_HEXADECIMALS), _UUID_SHAPE)
    else:
        found = _CLOCK.findall(raw)
        if raw.count("-") >= _UUID_HYPHENS:
            found += _UUID.findall(raw)
    if not found:
        return set()
    table = lexicon()
    return {table[part] for match in found for part in _fold(match.encode("ascii", "ignore"))}


def clock_codes(text: Text) -> set[int]:
    """Codes of the times of day, to the second or finer."""
    raw = text.raw
    if raw.count(":") < 2 or not (found := _TIME.findall(raw)):
        return set()
    table = lexicon()
    return {table[part] for match in found for part in _fold(match.encode("ascii", "ignore"))}


def _before_digit(raw: str, symbol: str) -> bool:
    """Whether a symbol stands before a digit; of many the first few are looked at, and the others taken for it."""
    at = raw.find(symbol)
    for _ in range(_FEW):
        if at < 0:
            return False
        if raw[at + 1 : at + 2].isdigit():
            return True
        at = raw.find(symbol, at + 1)
    return True


def _findall(pattern: re.Pattern[str], raw: str, shape: bytes, needle: bytes) -> list[str]:
    """What a pattern finds in ASCII text; none of its matches has a blank in it, and all have the needle as shape."""
    found: list[str] = []
    at = shape.find(needle)
    while at >= 0:
        end = raw.find(" ", at)
        if end < 0:
            end = len(raw)
        found += pattern.findall(raw, raw.rfind(" ", 0, at) + 1, end)
        at = shape.find(needle, end)
    return found


class Recent:
    """The latest fingerprints, each once, in eight bytes apiece: a dictionary would take ten times as much.

    Args:
        limit: How many are remembered.
    """

    __slots__ = ("_keys", "_limit")

    def __init__(self, limit: int) -> None:
        self._keys = bytearray()
        self._limit = limit * 8

    def __contains__(self, fingerprint: int) -> bool:
        return find(self._keys, pack(fingerprint)) >= 0

    def add(self, fingerprint: int, *, renew: bool = True) -> bool:
        """Remember a fingerprint; return whether it was there.

        Args:
            fingerprint: Any integer; its lowest 64 bits count.
            renew: Whether one that was there becomes the latest.
        """
        return remember(self._keys, fingerprint, self._limit, renew)


def is_silent(text: Text) -> bool:
    """Whether a tool's result says no more than that the call has run."""
    raw = text.raw
    return len(raw) <= _FAILURE_WINDOW and not any(map(str.isalnum, _FORMALITIES.sub("", raw)))


def looks_like_failure(text: Text) -> bool:
    """Whether a tool's result says that nothing was found or that the call failed; silence is no failure."""
    head = text.raw.strip()[:_FAILURE_WINDOW]
    return bool(head) and (not any(map(str.isalnum, head)) or _FAILURE.search(head) is not None)


def looks_like_waiting(text: Text) -> bool:
    """Whether a tool's result says that something is still under way, as the answer to a poll does."""
    return _WAITING.search(text.raw.strip()[:_FAILURE_WINDOW]) is not None


def looks_like_transient(text: Text) -> bool:
    """Whether a failure is of the kind that passes by itself, so that trying again is sensible."""
    return _TRANSIENT.search(text.raw.strip()[:_FAILURE_WINDOW]) is not None


def _tool_text(message: Message, content: str) -> str:
    """The content of a tool message, made from the tool's fields where the line itself is silent."""
    tool = message.tool
    assert tool is not None  # noqa: S101 - the caller has just checked
    if message.kind == "tool_call":
        if not content:
            arguments = tool.arguments
            content = arguments if isinstance(arguments, str) else _compact(arguments)
        return f"{tool.name} {content}"
    if not content and tool.result is not None:
        return tool.result
    return content


def _compact(value: object) -> str:
    """JSON with sorted keys, so that the order of arguments does not make a new call."""
    try:
        return json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)
    except (TypeError, ValueError, RecursionError):
        return repr(type(value))


def _sample(content: str, length: int) -> str:
    """Evenly spread pieces of a very long text."""
    step = length // _SAMPLES
    return "".join(content[i : i + _SAMPLE_LENGTH] for i in range(0, length, step))


def _plain(content: str) -> str:
    """The text without its disguise, in folded case."""
    text = undisguised(content)
    return text if text.isascii() else text.casefold()


def undisguised(content: str) -> str:
    """The text without its disguise, case kept: NFKC, nothing invisible or laid over, look-alikes mapped."""
    # Regular expressions and bytes throughout: a step of Python for every character would cost four times as much.
    text = unicodedata.normalize("NFKC", _INVISIBLE.sub("", content))
    if text.isascii():
        return text
    text = _OVERLAID.sub("", text)
    # Words of Russian and Greek are renamed as well; that is no harm, as they are so every time.
    if _LOOKALIKE_LETTER.search(text):
        text = text.translate(_LOOKALIKE)
    return text


def cue_phrases(content: str) -> list[tuple[int, int]]:
    """Places of the phrases of several words by which a result is told to be a failure, or to be still under way."""
    found = [match.span() for pattern in (_FAILURE, _WAITING, _TRANSIENT) for match in pattern.finditer(content)]
    return [(start, end) for start, end in found if not content[start:end].isalnum()]


def cue_words() -> frozenset[str]:
    """All English words that have a part in such a phrase, or are one by themselves."""
    patterns = (_FAILURE, _WAITING, _TRANSIENT, _FORMALITIES)
    return frozenset(word for pattern in patterns for word in _CUE.findall(pattern.pattern))


def _words(plain: str) -> bytes:
    """Plain text with CJK cut into pairs and everything else between words a space; as UTF-8."""
    return _FOREIGN_SEPARATOR.sub(" ", _CJK_RUN.sub(_pairs, plain)).encode("utf-8", "surrogatepass")


def _pairs(match: re.Match[str]) -> str:
    run = match[0]
    if len(run) == 1:
        return f" {run} "
    return " " + " ".join(run[i : i + 2] for i in range(len(run) - 1)) + " "
