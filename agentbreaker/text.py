"""From raw text to codes and fingerprints: canonical, bounded in cost, and deaf to cheap disguises.

ASCII text, the common case, takes one ``bytes.translate``.  Everything else is first brought to a canonical form
(NFKC, case folded, invisible characters dropped, look-alike letters mapped when the text is mostly Latin) and
scripts without spaces are cut into overlapping pairs of characters.  Regular expressions here are linear.
"""

from __future__ import annotations

import json
import re
import struct
import unicodedata
from typing import TYPE_CHECKING
from zlib import crc32

from agentbreaker.lexicon import NUMERIC, lexicon

if TYPE_CHECKING:
    from agentbreaker.message import Message

__all__ = [
    "MAX_CHARACTERS",
    "Recent",
    "Text",
    "analyse",
    "body_of",
    "looks_like_failure",
    "looks_like_waiting",
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
_CJK_RUN = re.compile("[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]+")
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]+"
)
#: Cyrillic and Greek letters that look like Latin ones.
_LOOKALIKE = dict(zip("аеорсухікмнтвјѕԁһӏԛԝαοερτυνικχ", "aeopcyxikmhtbjsdhlqwaoeptuvikx", strict=True))
_LOOKALIKE_LETTER = re.compile("[" + "".join(_LOOKALIKE) + "]")
_NOT_LATIN = bytes(byte for byte in range(256) if not 97 <= byte <= 122)
#: What separates words outside ASCII; inside, the folding table does it.
_FOREIGN_SEPARATOR = re.compile(r"[^\x00-\x7f\w]+")
_CLOCK = re.compile(r"\d{4}-\d{2}-\d{2}|\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d{1,9})?)?")
#: Digits to "0", all other bytes as they are: where there is neither of these, there is no clock and no date.
_DIGITS = bytes(48 if 48 <= byte <= 57 else byte for byte in range(256))
_CLOCK_SHAPE, _DATE_SHAPE = b"0:00", b"0000-00-00"
_FAILURE = re.compile(
    r"\b(?:error|errors|failed|failure|exception|traceback|not found|no results?|no matches|no such|none|null|empty|"
    r"invalid|denied|forbidden|unavailable|timed out|timeout|unable|cannot|404|500|503)\b"
    r"|:\s*\[\s*\]"
    r"|找不到|未找到|没有找到|不存在|无结果|为空|错误|失败|异常|超时|无法",
    re.IGNORECASE,
)
_WAITING = re.compile(
    r"\b(?:running|pending|in[ _-]?progress|queued|processing|waiting|starting|scheduled|not (?:yet )?ready|building)\b"
    r"|运行中|进行中|处理中|等待|排队|未完成",
    re.IGNORECASE,
)
_FAILURE_WINDOW = 400


class Text:
    """What is known of a message's text before the conversation is looked at.

    Attributes:
        codes: Codes of the distinct tokens (see :mod:`agentbreaker.lexicon`), grammar left out.
        fingerprint: Fingerprint of the exact text.
        raw: The text that was analysed, bounded to :data:`MAX_CHARACTERS`.
    """

    __slots__ = ("codes", "fingerprint", "raw")

    def __init__(self, codes: set[int], fingerprint: int, raw: str) -> None:
        self.codes = codes
        self.fingerprint = fingerprint
        self.raw = raw

    @property
    def masked(self) -> int:
        """Fingerprint that ignores order, numbers and identifiers."""
        return sum(code for code in self.codes if not code & NUMERIC)


def analyse(message: Message) -> Text:
    """Return the codes and the fingerprint of a message's text, at bounded cost, without any state."""
    content = message.content
    tool = message.tool
    if tool is not None:
        content = _tool_text(message, content)
    length = len(content)
    if length > MAX_CHARACTERS:
        half = MAX_CHARACTERS // 2
        fingerprinted = content if length <= _MAX_FINGERPRINTED else _sample(content, length)
        fingerprint = crc32(fingerprinted.encode("utf-8", "surrogatepass")) << 32 | (length & 0xFFFFFFFF)
        content = content[:half] + " " + content[-half:]
        raw = content.encode("utf-8", "surrogatepass")
    else:
        stripped = content.strip()
        if stripped.isascii():
            raw = stripped.encode()
            return Text(codes_of(raw), crc32(raw) << 32 | len(raw), content)
        raw = stripped.encode("utf-8", "surrogatepass")
        fingerprint = crc32(raw) << 32 | len(raw)
    return Text(codes_of(raw if content.isascii() else _canonical(content)), fingerprint, content)


def codes_of(raw: bytes) -> set[int]:
    """Codes of the distinct tokens of ASCII or canonical text, grammar left out."""
    codes = set(map(lexicon().__getitem__, raw.translate(_FOLD).split()))
    codes.discard(0)
    return codes


def body_of(text: Text, body: str) -> Text:
    """The same message with only a part of its words."""
    raw = body.encode("utf-8", "surrogatepass") if body.isascii() else _canonical(body)
    return Text(codes_of(raw), text.fingerprint, body)


def volatile_codes(text: Text) -> set[int]:
    """Codes of the numbers that belong to clocks and dates: they differ every time and tell nothing."""
    raw = text.raw
    if raw.isascii():
        # The regular expression costs as much as all the rest, and most texts that have a ":" have no clock.
        shape = raw.encode().translate(_DIGITS)
        if shape.find(_CLOCK_SHAPE) < 0 and shape.find(_DATE_SHAPE) < 0:
            return set()
    table = lexicon()
    return {
        table[number]
        for match in _CLOCK.findall(raw)
        for number in match.encode("ascii", "ignore").translate(_FOLD).split()
    }


class Recent:
    """The latest fingerprints, each once, in eight bytes apiece: a dictionary would take ten times as much.

    Args:
        limit: How many are remembered.
    """

    __slots__ = ("_keys", "_limit")

    def __init__(self, limit: int) -> None:
        self._keys = bytearray()
        self._limit = limit * 8

    def _find(self, key: bytes) -> int:
        keys = self._keys
        at = keys.find(key)
        while at > 0 and at & 7:  # across the border of two fingerprints
            at = keys.find(key, at + 1)
        return at

    def __contains__(self, fingerprint: int) -> bool:
        return self._find(_pack(fingerprint & _64_BITS)) >= 0

    def add(self, fingerprint: int, *, renew: bool = True) -> bool:
        """Remember a fingerprint; return whether it was there.

        Args:
            fingerprint: Any integer; its lowest 64 bits count.
            renew: Whether one that was there becomes the latest.
        """
        key = _pack(fingerprint & _64_BITS)
        keys = self._keys
        # Not "in": it first raises, formats and drops a TypeError inside, which costs as much as the search.
        if keys.find(key) >= 0 and (at := self._find(key)) >= 0:
            if renew:
                del keys[at : at + 8]
                keys += key
            return True
        if len(keys) >= self._limit:
            del keys[:8]
        keys += key
        return False


_pack = struct.Struct("<Q").pack
_64_BITS = 0xFFFF_FFFF_FFFF_FFFF


def looks_like_failure(text: Text) -> bool:
    """Whether a tool's result says that nothing was found or that the call failed; silence is no failure."""
    head = text.raw.strip()[:_FAILURE_WINDOW]
    return bool(head) and (not any(map(str.isalnum, head)) or _FAILURE.search(head) is not None)


def looks_like_waiting(text: Text) -> bool:
    """Whether a tool's result says that something is still under way, as the answer to a poll does."""
    return _WAITING.search(text.raw.strip()[:_FAILURE_WINDOW]) is not None


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


def _canonical(content: str) -> bytes:
    """NFKC, folded case, no invisible characters, look-alikes mapped, CJK cut into pairs; as UTF-8."""
    # Regular expressions and bytes throughout: a step of Python for every character would cost four times as much.
    text = unicodedata.normalize("NFKC", _INVISIBLE.sub("", content)).casefold()
    if not text.isascii():
        latin = len(text.encode("utf-8", "surrogatepass").translate(None, _NOT_LATIN))
        if latin * 2 > len(text.replace(" ", "")):
            text = _LOOKALIKE_LETTER.sub(lambda match: _LOOKALIKE[match[0]], text)
        text = _CJK_RUN.sub(_pairs, text)
        text = _FOREIGN_SEPARATOR.sub(" ", text)
    return text.encode("utf-8", "surrogatepass")


def _pairs(match: re.Match[str]) -> str:
    run = match[0]
    if len(run) == 1:
        return f" {run} "
    return " " + " ".join(run[i : i + 2] for i in range(len(run) - 1)) + " "
