"""Canonical text: deaf to cheap disguises, bounded in cost, the same whatever the order."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentbreaker import Message, Tool
from agentbreaker import text as module
from agentbreaker.lexicon import NUMERIC, WEIGHT_MASK, lexicon
from agentbreaker.text import MAX_CHARACTERS, analyse, looks_like_failure, looks_like_waiting, volatile_codes

PLAIN = "The Reviewer confirms shipment number 4711 of the great harbour company"
CJK = "确认卑尔根仓库收到四百条皮划艇"


def codes(content: str) -> set[int]:
    """What the engine makes of a text."""
    return analyse(Message("c", "ann", content=content)).codes


def spread(mark: str) -> Callable[[str], str]:
    """Put a mark after each letter."""
    return lambda text: "".join(c + mark if c.isalpha() else c for c in text)


#: Default-ignorable and format code points: nobody sees them, and they must not cut a word in two.
UNSEEN = [
    *(0xAD, 0x34F, 0x61C, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x180B, 0x180E, 0x200B, 0x200C, 0x200D, 0x200E, 0x202A),
    *(0x202E, 0x2060, 0x2064, 0x2066, 0x206F, 0x3164, 0xFE00, 0xFE0F, 0xFEFF, 0xFFA0, 0xFFF9, 0xFFFB, 0x1BCA0),
    *(0x1D173, 0xE0001, 0xE0041, 0xE0100, 0xE01EF),
]
DISGUISES: dict[str, Callable[[str], str]] = {
    "upper case": str.upper,
    "swapped case": str.swapcase,
    "full width": lambda text: "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text),
    "bold mathematical": lambda text: "".join(
        chr(0x1D41A + ord(c) - 97) if "a" <= c <= "z" else c for c in text.lower()
    ),
    "confusable": lambda text: text.translate(str.maketrans("aeocp", "аеоср")),
    "all confusable": lambda text: text.translate(str.maketrans("acehiopsxyTHutk", "асеһіорѕхуТНυтκ")),
    "Greek capitals": lambda text: text.upper().translate(str.maketrans("AEHINOTX", "ΑΕΗΙΝΟΤΧ")),
    "struck out": spread("\u0336"),
    "punctuation": lambda text: "--- " + text.replace(" ", " ... ") + "!!!",
    "white space": lambda text: "\n\t " + text.replace(" ", " \r\n\u3000") + "  ",
    **{f"U+{code:04X}": spread(chr(code)) for code in UNSEEN},
}


@pytest.mark.parametrize("disguise", DISGUISES)
def test_a_disguise_changes_nothing(disguise: str) -> None:
    """Case, width, fonts, look-alike letters and unseen characters give the same codes."""
    assert codes(DISGUISES[disguise](PLAIN)) == codes(PLAIN)


@pytest.mark.parametrize("code", UNSEEN)
def test_unseen_characters_do_not_cut_chinese(code: int) -> None:
    """The same for a script that is written without spaces."""
    assert codes(chr(code).join(CJK)) == codes(CJK)


@given(st.lists(st.sampled_from(PLAIN.split() + ["谢谢", "好的,", "x7", "99"]), min_size=1, max_size=12), st.randoms())
def test_masked_fingerprints_ignore_order_and_numbers(words: list[str], random: object) -> None:
    """Words in any order, with any counter between them, have one masked fingerprint."""
    shuffled = [*words, "12345", "run77x"]
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    one, other = (analyse(Message("c", "ann", content=" ".join(order))) for order in (words, shuffled))
    assert one.masked == other.masked
    assert one.fingerprint != other.fingerprint


@given(st.text())
def test_analysis_is_repeatable(content: str) -> None:
    """Any text: no exception, the same answer twice, and no effect of doubling it."""
    first, second = (analyse(Message("c", "ann", content=content)) for _ in range(2))
    assert (first.codes, first.fingerprint, first.masked) == (second.codes, second.fingerprint, second.masked)
    if len(content) < MAX_CHARACTERS // 4:
        assert codes(f"{content} {content}") == first.codes
    assert isinstance(looks_like_failure(first), bool)
    assert isinstance(volatile_codes(first), set)


@given(st.text(), st.text())
def test_fingerprints_tell_texts_apart(one: str, other: str) -> None:
    """The fingerprint is that of the text without the space around it and without its disguise."""
    same = module._plain(one).strip().casefold() == module._plain(other).strip().casefold()
    prints = [analyse(Message("c", "ann", content=content)).fingerprint for content in (one, other)]
    assert (prints[0] == prints[1]) is same


@pytest.mark.parametrize("disguise", [name for name in DISGUISES if name not in ("punctuation", "white space")])
def test_a_call_in_disguise_is_the_same_call(disguise: str) -> None:
    """A call that repeats another in other characters has its fingerprint, so that the repeat is seen."""
    calls = [
        analyse(Message("c", "a", "t", "tool_call", tool=Tool("t", arguments={"q": text})))
        for text in (PLAIN, DISGUISES[disguise](PLAIN))
    ]
    assert calls[0].fingerprint == calls[1].fingerprint


def test_a_sign_makes_another_call() -> None:
    """What is no disguise still tells texts apart: signs, punctuation, a letter more."""
    texts = ["move x by 1", "move x by -1", "move x by 1.", "move x by 1 1", "move y by 1"]
    assert len({analyse(Message("c", "a", content=text)).fingerprint for text in texts}) == len(texts)


@pytest.mark.parametrize(
    "stamp",
    ["09:15:33", "９：１５：３３", "2026-03-04", "2026-03-04T09:15:33Z", "id 5f0c4a1e-9b2d-4e6f-8a71-0c9d2e3f4b5a"],
)
def test_clocks_and_uuids_are_volatile(stamp: str) -> None:
    """The numbers of clocks, dates and UUIDs are named, so that they count nothing; a figure beside them is not."""
    text = analyse(Message("c", "ann", content=f"{stamp} 4711 berths"))
    numbers = {code for code in text.codes if code & NUMERIC}
    assert numbers - volatile_codes(text) == {lexicon()[b"4711"]}


def test_arguments_in_another_order_are_the_same_call() -> None:
    """A mapping has no order; a different value is a different call."""
    calls = [
        analyse(Message("c", "a", "t", "tool_call", tool=Tool("t", arguments=arguments)))
        for arguments in ({"a": 1, "b": [2]}, {"b": [2], "a": 1}, {"a": 1, "b": [3]})
    ]
    assert calls[0].fingerprint == calls[1].fingerprint != calls[2].fingerprint


@pytest.mark.parametrize(
    "content", ["---", "[]", '{"hits": [], "total": 0}', "Error: not found", "404", "null", "错误:超时"]
)
def test_failures_are_recognised(content: str) -> None:
    """Failing results and answers that hold nothing, in English and Chinese."""
    assert looks_like_failure(analyse(Message("c", "t", content=content)))


@pytest.mark.parametrize("content", ["running", '{"state": "IN_PROGRESS"}', "job 7 is still queued", "处理中"])
def test_polls_of_something_under_way_are_recognised(content: str) -> None:
    """An answer that says to wait is not the answer of a loop."""
    assert looks_like_waiting(analyse(Message("c", "t", content=content)))


@pytest.mark.parametrize(
    "content", ["", "  \n", "ok", "Plan: basic", "1", "收到四百条", "Harbour Gischt with 9 berths"]
)
def test_answers_are_no_failures(content: str) -> None:
    """An answer is an answer."""
    assert not looks_like_failure(analyse(Message("c", "t", content=content)))


def best_of(times: int, work: Callable[[], object]) -> float:
    """Seconds of the quickest run."""
    best = float("inf")
    for _ in range(times):
        begin = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - begin)
    return best


@pytest.mark.parametrize("piece", ["word ", "确认", "a", "\u200b", "e\u0301\u0327", "12:30 "])
def test_ten_megabytes_cost_no_more_than_a_hundredth_of_them(piece: str) -> None:
    """Beyond the bound the cost of a message does not grow with its length."""
    short = Message("c", "ann", content=piece * (100_000 // len(piece)))
    long = Message("c", "ann", content=piece * (10_000_000 // len(piece)))
    assert len(analyse(long).raw) <= MAX_CHARACTERS + 1
    assert best_of(3, lambda: analyse(long)) < 20 * best_of(3, lambda: analyse(short)) + 0.005


PATTERNS = [value for value in vars(module).values() if isinstance(value, re.Pattern)]
ADVERSARIAL = [
    "1",
    "12:",
    "1:1",
    "9999-99-",
    "12:30:30.",
    "no ",
    "not ",
    "time",
    " ",
    "没有找",
    "確",
    "\n",
    "error",
    "-",
]


@pytest.mark.parametrize(("number", "parts"), [("0.26", "0 26"), ("1,044", "1 044"), ("12.5.3", "12 5 3")])
def test_a_number_with_a_point_is_one_figure(number: str, parts: str) -> None:
    """Its digits alone are other numbers, which may have been there before; at the end of a sentence it is the same."""
    (code,) = codes(number)
    assert code & NUMERIC
    assert code not in codes(parts)
    assert codes(f"{number}.") == codes(f"({number}, ") == {code}
    assert codes("3. Rye, 4") == codes("3 rye 4")


@pytest.mark.parametrize(("one", "next_one"), [("0.26", "0.27"), ("1,009", "1,010"), ("1,044,099", "1,044,100")])
def test_the_next_number_with_a_point_is_a_counter(one: str, next_one: str) -> None:
    """A share or a sum that goes on by one in its last place."""
    (before,), (after,) = codes(one), codes(next_one)
    assert lexicon().predecessor(after) == before


@pytest.mark.parametrize("written", ["7.8.9", "12.5.2026", "09.15.33", "192.168.0.1"])
def test_versions_dates_and_addresses_are_no_figures(written: str) -> None:
    """They differ every time, and tell less than a figure does."""
    (code,) = codes(written)
    assert code & NUMERIC
    assert code & WEIGHT_MASK < min(next(iter(codes("0.26"))) & WEIGHT_MASK, next(iter(codes("77"))) & WEIGHT_MASK)


@pytest.mark.parametrize("piece", ADVERSARIAL)
@pytest.mark.parametrize("pattern", PATTERNS, ids=lambda pattern: str(pattern.pattern)[:16])
def test_patterns_are_linear(pattern: re.Pattern[Any], piece: str) -> None:
    """Eight times the text takes about eight times as long, and not sixty-four, up to 64 KiB of near misses."""
    texts = [piece * (size // len(piece)) + "x" for size in (8_192, 65_536)]
    eighth, whole = map(str.encode, texts) if isinstance(pattern.pattern, bytes) else texts
    before = best_of(5, lambda: pattern.findall(eighth))
    # On a busy machine one may be measured at a worse moment than the other.
    assert best_of(5, lambda: pattern.findall(whole)) < 48 * before + 0.005


@given(
    st.lists(
        st.sampled_from(
            [
                "9",
                "12",
                "2024",
                "-",
                ":",
                "T",
                "z",
                ".",
                ",",
                " ",
                "\n",
                "-07-31",
                "12:30",
                "2024-07-31T",
                "word",
                "谢谢",
            ]
            + ["1B4e28ba-2fa1-11d2-883f-0016d3cca427", "4e28ba-2fa1-11d2-883f-0016d3cca4", "b9"]
        )
    ).map("".join)
)
def test_clocks_and_uuids_are_those_of_the_whole_text(content: str) -> None:
    """Looking only at the words of the right shape finds all that a search of the whole text finds."""
    found = module._CLOCK.findall(content) + module._UUID.findall(content)
    expected = {lexicon()[part] for match in found for part in module._fold(match.encode())}
    assert volatile_codes(module.Text([], 0, content)) == expected
