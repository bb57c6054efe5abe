"""How many tokens a text is, without a tokenizer: an estimate from its words, numbers, punctuation and scripts.

A tokenizer first cuts a text into words, numbers, runs of punctuation and of white space, and then looks each piece up;
what its vocabulary does not hold whole, it cuts further.  The first step can be counted, the second has an average for
each script.  For the counting, the classes of all characters stand side by side as the bits of one large integer: where
a run begins is a shift and an ``and`` away, a few microseconds for a message, and there is no table of 200,000 words.

Two generations of vocabularies differ by a factor of up to two on anything but Latin letters: ``o200k`` stands for the
ones since 2024, ``cl100k`` for the one of GPT-4 and GPT-3.5.  ``benchmarks/results/tokens.md`` has the measured errors.
What no vocabulary knows (invented names, keys, base64) is cut more finely than this assumes, and comes out too low.
"""

from __future__ import annotations

from typing import Final, Literal

__all__ = ["Vocabulary", "estimate_tokens", "vocabulary_of"]

Vocabulary = Literal["o200k", "cl100k"]

#: Longer texts are counted in slices of so many characters, which bounds the memory.
_SLICE: Final = 65_536

# -- classes of characters, told by the first byte of their UTF-8; the other bytes are dropped ------------------------

_FOLLOWING: Final = bytes(range(0x80, 0xC0))
#: The last first byte of each class that is not ASCII, its letter, and what it stands for.
_LEADS: Final = (
    (0xC2, "s"),  # signs of Latin-1
    (0xC9, "l"),  # Latin letters with marks
    (0xCF, "g"),  # Greek
    (0xD3, "r"),  # Cyrillic
    (0xDF, "g"),  # Hebrew, Arabic, Armenian
    (0xE0, "i"),  # the scripts of South and South-East Asia
    (0xE1, "l"),  # most often Vietnamese
    (0xE2, "s"),  # dashes, quotation marks, arrows, symbols
    (0xE3, "k"),  # kana
    (0xE9, "h"),  # Chinese characters
    (0xED, "o"),  # Hangul
    (0xEF, "f"),  # punctuation of full width
    (0xFF, "m"),  # emoji
)
#: Punctuation of Chinese and Japanese shares its first byte with kana.
_IDEOGRAPHIC: Final = (b"\xe3\x80", b"\xef")


def _script(byte: int) -> str:
    return next(name for last, name in _LEADS if byte <= last) if byte >= 0x80 else " "


def _kinds(byte: int) -> int:
    """What a character is, as bits: letter 1, capital 2, digit 4, punctuation 8, line end 16, blank 32."""
    character = chr(byte)
    if byte >= 0x80:
        return 1 if _script(byte) == "l" else 0
    if character.isalpha():
        return 3 if character.isupper() else 1
    if character.isdigit():
        return 4
    if character in "\r\n":
        return 16
    return 32 if character.isspace() else 8


_KINDS: Final = bytes(_kinds(byte) for byte in range(256))
_SCRIPTS: Final = "".join(_script(byte) for byte in range(256)).encode("ascii")
#: One bit for each character of a slice.
_ONES: Final = int.from_bytes(b"\x01" * _SLICE, "little")

# -- what a piece is worth --------------------------------------------------------------------------------------------

#: Most words are one token, with the blank before them; each letter beyond the fifth makes a second one more likely.
_WORD, _LETTER = 0.92, 0.17
#: "fooBar" is two words.
_HUMP: Final = 0.2
#: A number is a token for each three digits; the blank before it is often one of its own.
_NUMBER, _DIGIT, _BLANK_BEFORE_NUMBER = 1.2, 0.38, 0.5
#: A run of punctuation is a token; each mark beyond the second makes another one more likely.
_MARKS, _MARK = 1.0, 0.1
#: A single mark between letters often belongs to the second word: ".name", "_id".
_JOINED: Final = -0.75
#: A line end, less where several follow each other; and blanks in a row, such as an indent.
_LINE, _EMPTY_LINE, _BLANKS = 0.75, -0.5, 0.3

#: Tokens of one character of a class that is not ASCII.
_WORTH: Final[dict[Vocabulary, tuple[tuple[bytes, float], ...]]] = {
    "o200k": (
        (b"h", 0.74),
        (b"f", 0.35),
        (b"k", 0.6),
        (b"o", 0.62),
        (b"r", 0.29),
        (b"g", 0.39),
        (b"i", 0.39),
        (b"l", 0.24),
        (b"s", 0.7),
        (b"m", 1.5),
    ),
    "cl100k": (
        (b"h", 1.02),
        (b"f", 0.7),
        (b"k", 0.9),
        (b"o", 1.0),
        (b"r", 0.48),
        (b"g", 0.98),
        (b"i", 1.08),
        (b"l", 1.02),
        (b"s", 0.7),
        (b"m", 2.3),
    ),
}


def estimate_tokens(text: str, vocabulary: Vocabulary = "o200k") -> int:
    """Return about how many tokens a text is; 0 for an empty one, else at least 1.

    Args:
        text: Any text; the work grows with its length.
        vocabulary: The generation of tokenizers, which only matters for what is not English or code; see
            :func:`vocabulary_of`.

    >>> estimate_tokens("The quick brown fox jumps over the lazy dog."), estimate_tokens("")
    (9, 0)
    >>> estimate_tokens("预算报告已经准备好了。"), estimate_tokens("预算报告已经准备好了。", "cl100k")
    (8, 11)
    """
    if not text:
        return 0
    if len(text) <= _SLICE:
        return max(1, round(_estimate(text, vocabulary)))
    slices = (text[begin : begin + _SLICE] for begin in range(0, len(text), _SLICE))
    return max(1, round(sum(_estimate(one, vocabulary) for one in slices)))


def _estimate(text: str, vocabulary: Vocabulary) -> float:
    if text.isascii():
        kinds = text.encode("ascii").translate(_KINDS)
        tokens = 0.0
    else:
        # Halves of surrogate pairs, which JSON can hold, are no UTF-8.
        encoded = text.encode("utf-8", "surrogatepass").replace(*_IDEOGRAPHIC)
        kinds = encoded.translate(_KINDS, _FOLLOWING)
        scripts = encoded.translate(_SCRIPTS, _FOLLOWING)
        tokens = 0.0
        for name, worth in _WORTH[vocabulary]:
            tokens += worth * scripts.count(name)
    bits = int.from_bytes(kinds, "little")
    ones = _ONES >> 8 * (_SLICE - len(kinds))
    # In what follows, "<< 8" moves each character onto the one after it.
    letters = bits & ones
    pairs = letters & letters << 8
    fours = pairs & pairs << 16
    tokens += _WORD * (letters.bit_count() - pairs.bit_count()) + _LETTER * (fours & pairs << 32).bit_count()
    capitals = bits >> 1 & ones
    tokens += _HUMP * ((letters ^ capitals) << 8 & capitals).bit_count()
    marks = bits >> 3 & ones
    if marks:
        pairs = marks & marks << 8
        tokens += _MARKS * (marks.bit_count() - pairs.bit_count()) + _MARK * (pairs & marks << 16).bit_count()
        tokens += _JOINED * (letters << 16 & marks << 8 & letters).bit_count()
    blanks = bits >> 5 & ones
    if blanks:
        pairs = blanks & blanks << 8
        if pairs:
            tokens += _BLANKS * (pairs.bit_count() - (pairs & blanks << 16).bit_count())
    digits = bits >> 2 & ones
    if digits:
        pairs = digits & digits << 8
        tokens += _NUMBER * (digits.bit_count() - pairs.bit_count()) + _DIGIT * (pairs & pairs << 16).bit_count()
        tokens += _BLANK_BEFORE_NUMBER * (blanks << 8 & digits).bit_count()
    lines = bits >> 4 & ones
    if lines:
        tokens += _LINE * lines.bit_count() + _EMPTY_LINE * (lines & lines << 8).bit_count()
    return tokens


#: Models of the older vocabulary, by the beginnings of their names, and newer ones that begin alike.
_OLD: Final = ("gpt-4", "gpt-35", "gpt-3.5", "text-embedding-3", "text-embedding-ada")
_NEW: Final = ("gpt-4o", "gpt-4.1", "gpt-4.5")


def vocabulary_of(model: str | None) -> Vocabulary:
    """Return the generation of vocabularies that a model most likely uses, by its name.

    >>> vocabulary_of("openai/gpt-4-turbo"), vocabulary_of("gpt-4o"), vocabulary_of("qwen3-235b"), vocabulary_of(None)
    ('cl100k', 'o200k', 'o200k', 'o200k')
    """
    if model is None:
        return "o200k"
    name = model[-200:].rpartition("/")[2].casefold()
    return "cl100k" if name.startswith(_OLD) and not name.startswith(_NEW) else "o200k"
