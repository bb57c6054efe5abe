"""Texts of a recording with every word, figure and name replaced; punctuation, line ends and lengths stay.

Texts are cut as the engine cuts them: into words, figures, codes such as ``item7``, UUIDs and runs of Chinese or
Japanese.  Disguises (full-width letters, invisible characters, look-alikes) are taken off first, as the engine does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from agentbreaker.anonymise_cjk import Characters, Thanks, acknowledging_pairs, pairs_of, thanks_characters
from agentbreaker.anonymise_figures import Figures
from agentbreaker.anonymise_words import LONGEST_KEPT, Slots, Words, cased, cue_of
from agentbreaker.lexicon import POINT, is_identifier, lexicon
from agentbreaker.text import cue_phrases, undisguised

if TYPE_CHECKING:
    from random import Random

__all__ = ["Disguise", "Traces"]

_CJK = "\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
_HEX = "0-9A-Fa-f"
_TOKEN = re.compile(
    rf"(?<![^\W_])(?P<uuid>[{_HEX}]{{8}}(?:-[{_HEX}]{{4}}){{3}}-[{_HEX}]{{12}})(?![^\W_])"
    rf"|(?P<cjk>[{_CJK}]+)"
    rf"|(?P<token>[^\W_{_CJK}]+(?:(?<=[0-9])[.,](?=[0-9])[^\W_{_CJK}]+)*)"
)
_NUMBER = re.compile(r"[0-9]+(?:[.,][0-9]+)*")
_RUN = re.compile(r"[0-9]+|[A-Za-z]+|[.,]")
_LETTERS = re.compile(rf"[^\W\d_{_CJK}]{{{LONGEST_KEPT + 1},}}")
_LONG_NUMBER = re.compile(r"[0-9]{5,}")
_CJK_RUN = re.compile(rf"[{_CJK}]+")
_HEX_LETTERS = "abcdef"


class Traces:
    """What must not appear any more: words of more than three letters, pairs of characters, numbers of five digits.

    Args:
        texts: Texts to look for them in.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        self.words: set[str] = set()
        self.numbers: set[str] = set()
        self.pairs: set[str] = set()
        for text in texts:
            plain = undisguised(text)
            for seen in {text, plain}:
                self.words.update(word.casefold() for word in _LETTERS.findall(seen))
                self.numbers.update(_LONG_NUMBER.findall(seen))
                self.pairs.update(pairs_of(_CJK_RUN.findall(seen)))
        # The stock of acknowledgements is everybody's.
        self.pairs -= acknowledging_pairs()

    def shared(self, other: Traces, thanks: Thanks = Thanks.REPLACED) -> set[str]:
        """Return what both have; the characters of acknowledgements may stand together where they were kept."""
        stock = thanks_characters() if thanks is Thanks.SPELLED else frozenset[str]()
        pairs = {pair for pair in self.pairs & other.pairs if not stock.issuperset(pair)}
        return self.words & other.words | self.numbers & other.numbers | pairs


class Disguise:
    """Replaces what a recording says, the same by the same throughout.

    Args:
        rng: Draws the replacements.
        texts: All texts of the recording.
        results: Those of them that are results of tools.
        others: Texts that will not be asked for, whose words must not come out either.
        cues_everywhere: Whether words and phrases by which a result is judged (``not found``) are kept as such in all
            texts.
        thanks: What becomes of pairs of Chinese characters that acknowledge.
    """

    def __init__(
        self,
        rng: Random,
        texts: Iterable[str],
        results: Iterable[str] = (),
        others: Iterable[str] = (),
        *,
        cues_everywhere: bool = False,
        thanks: Thanks = Thanks.REPLACED,
    ) -> None:
        self._rng = rng
        self._cues_everywhere = cues_everywhere
        self._codes: dict[str, str] = {}
        texts = list(texts)
        numbers, runs, words = list[str](), list[str](), dict[str, None]()
        for text in texts:
            for match in _TOKEN.finditer(undisguised(text)):
                if match["cjk"]:
                    runs.append(match["cjk"])
                elif match["token"]:
                    token = match["token"]
                    if token.isascii() and token.isalpha():
                        words.setdefault(token)
                    numbers += [token] if _NUMBER.fullmatch(token) else re.findall("[0-9]+", token)
        originals = frozenset(Traces([*texts, *others]).words)
        self._originals = originals
        slots = Slots()
        judged = {word.lower() for text in results for word in re.findall("[A-Za-z]+", undisguised(text))}
        if cues_everywhere:
            judged = {word.lower() for word in words}
        self._words = Words(rng, originals, slots, words, judged)
        self._characters = Characters(rng, runs, thanks)
        # Last, as a figure is taken for a counter if the one before it shares its slot with anything.
        self._figures = Figures(rng, numbers, slots)

    def of(self, text: str, *, result: bool = False) -> str:
        """Return the text with everything replaced.

        Args:
            text: Any text.
            result: It is the result of a tool: phrases by which it is judged become others that tell the same.
        """
        plain = undisguised(text)
        as_result = result or self._cues_everywhere
        if not as_result:
            return self._cover(plain, as_result=False)
        parts, at = list[str](), 0
        for start, end in sorted(cue_phrases(plain)):
            if start < at or not any(map(str.isalpha, plain[start:end])):
                continue
            other = self._words.phrase(plain[start:end], cue_of(plain[start:end]))
            if other is not None:
                parts += [self._cover(plain[at:start], as_result=True), other]
                at = end
        return "".join([*parts, self._cover(plain[at:], as_result=True)])

    def number(self, value: float) -> float:
        """Return another number, as long as this one; its exponent, and what is not finite, stay."""
        mantissa, mark, exponent = str(value).partition("e")
        return type(value)(_NUMBER.sub(lambda match: self._figures.of(match[0]), mantissa) + mark + exponent)

    def _cover(self, plain: str, *, as_result: bool) -> str:
        return _TOKEN.sub(lambda match: self._token(match, as_result=as_result), plain)

    def _token(self, match: re.Match[str], *, as_result: bool) -> str:
        if match["uuid"]:
            return self._code(match["uuid"], hexadecimal=True)
        if match["cjk"]:
            return self._characters.of(match["cjk"], as_result=as_result)
        token = match["token"]
        if not token.isascii():
            return self._words.foreign(token)
        if _NUMBER.fullmatch(token):
            return self._figures.of(token)
        if token.isalpha():
            return self._words.of(token)
        folded = token.lower().replace(".", "\xff").replace(",", "\xff").encode("latin-1")
        if POINT not in folded and is_identifier(lexicon()[folded]):
            return self._code(token, hexadecimal=not set(token.lower()) - set(f"0123456789{_HEX_LETTERS}"))
        return "".join(self._run(run) for run in _RUN.findall(token))

    def _run(self, run: str) -> str:
        if run.isdigit():
            return self._figures.of(run)
        return self._words.piece(run) if run.isalpha() else run

    def _code(self, code: str, *, hexadecimal: bool) -> str:
        """An identifier: any digits for the digits; its letters become the same wherever only the digits differ."""
        key = code.lower()
        found = self._codes.get(key)
        if found is None:
            letters = re.sub("[0-9]", "", key)
            stock = _HEX_LETTERS if hexadecimal else "abcdefghijklmnopqrstuvwxyz"
            others = self._codes.get(letters)
            while others is None or (set(re.findall(f"[a-z]{{{LONGEST_KEPT + 1},}}", others)) & self._originals):
                others = "".join(self._rng.choice(stock) if one.isalpha() else one for one in letters)
            self._codes[letters] = others
            drawn = iter(others)
            found = "".join(self._figures.random(1) if one.isdigit() else next(drawn) for one in key)
            if _letters_again(found, self._originals):
                del self._codes[letters]
                return self._code(code, hexadecimal=hexadecimal)
            self._codes[key] = found
        return cased(code, found)


def _letters_again(code: str, originals: frozenset[str]) -> bool:
    return any(word in originals for word in re.findall(f"[a-z]{{{LONGEST_KEPT + 1},}}", code))
