"""Text from outside, made safe to show."""

from __future__ import annotations

import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentbreaker.printable import printable

HOSTILE = {
    "line feed": "a\nb",
    "carriage return": "a\rb",
    "both": "a\r\nb",
    "vertical tab": "a\x0bb",
    "form feed": "a\x0cb",
    "file separator": "a\x1cb",
    "next line": "a\x85b",
    "line separator": "a\u2028b",
    "paragraph separator": "a\u2029b",
    "null": "a\x00b",
    "backspace": "a\x08b",
    "tab": "a\tb",
    "delete": "a\x7fb",
    "escape": "a\x1b[2Jb",
    "control sequence introducer": "a\x9b31mb",
    "operating system command": "a\x1b]0;title\x07b",
    "right-to-left override": "a\u202eb",
    "isolate": "a\u2066b\u2069",
    "left-to-right mark": "a\u200eb",
    "Arabic letter mark": "a\u061cb",
    "zero-width space": "a\u200bb",
    "zero-width joiner": "a\u200db",
    "word joiner": "a\u2060b",
    "byte order mark": "a\ufeffb",
    "soft hyphen": "a\u00adb",
    "grapheme joiner": "a\u034fb",
    "Hangul filler": "a\u3164b",
    "half-width filler": "a\uffa0b",
    "tag characters": "a\U000e0041\U000e007fb",
    "hidden variation selector": "a\U000e0100b",
    "lone high surrogate": "a\ud800b",
    "lone low surrogate": "a\udfffb",
    "never a character": "a\uffffb",
}


def assert_safe(shown: str) -> None:
    """Assert that `shown` is one line that any terminal, log or file can take."""
    assert len(shown.splitlines()) <= 1
    assert not [character for character in shown if unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"}]
    shown.encode("utf-8")


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_text_is_escaped(text: str) -> None:
    """Each hostile character becomes ASCII, and what stands around it stays."""
    shown = printable(text)
    assert_safe(shown)
    assert shown != text
    assert shown.isascii()
    assert shown.startswith("a\\")
    assert "b" in shown


def test_every_invisible_or_controlling_code_point_is_escaped() -> None:
    """No code point of the classes control, format, surrogate and line end gets through, in all of Unicode."""
    # Visible signs that Unicode files under "format": they precede numbers in Arabic, Syriac, Kaithi and Egyptian.
    visible = {*range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD, *range(0x13430, 0x13440)}
    through = [
        f"U+{code:04X}"
        for code in range(sys.maxunicode + 1)
        if unicodedata.category(chr(code)) in {"Cc", "Cf", "Cs", "Zl", "Zp"}
        and code not in visible
        and printable(chr(code)) == chr(code)
    ]
    assert through == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "planner",
        "规划者 → 审核者",
        "レビュー",
        "отчёт",
        "naïve café",
        "שלום",
        "مرحبا",
        "हिन्दी",
        "👍🏽 ✅",
        r"C:\new\table",
    ],
)
def test_ordinary_text_is_left_alone(text: str) -> None:
    """Writing of any language, and a backslash, pass unchanged."""
    assert printable(text) == text


def test_cut_text_ends_with_an_ellipsis_and_no_split_escape() -> None:
    """A cut never leaves half an escape, which would read as another character."""
    assert printable("x" * 200) == "x" * 200
    assert printable("x" * 201) == "x" * 199 + "…"
    assert printable("abc\u2028def", limit=8) == "abc…"
    assert printable("abc\u2028def", limit=10) == "abc\\u2028…"
    assert printable("\x1b", limit=3) == "…"
    assert printable("abc", limit=0) == ""


def test_cost_is_bounded_by_the_limit() -> None:
    """Only the beginning of an endless text is looked at."""

    class Counting(str):
        """A text that counts how much of it is asked for."""

        asked = 0

        def __getitem__(self, key: object) -> str:
            assert isinstance(key, slice)
            part = super().__getitem__(key)
            Counting.asked += len(part)
            return part

    assert len(printable(Counting("\x1b" * 10_000_000))) <= 200
    assert Counting.asked <= 2 * 201


ANY_TEXT = st.text(st.one_of(st.characters(), st.characters(categories=["Cc", "Cf", "Cs", "Zl", "Zp"])))


@given(text=ANY_TEXT, limit=st.integers(min_value=0, max_value=60))
def test_any_text_becomes_one_safe_line(text: str, limit: int) -> None:
    """Whatever comes in, what goes out is one line without control characters, within the limit."""
    shown = printable(text, limit)
    assert_safe(shown)
    assert "\x1b" not in shown
    assert len(shown) <= limit


@given(text=ANY_TEXT)
def test_a_second_pass_changes_nothing(text: str) -> None:
    """A text that passes through two reports is not escaped twice."""
    once = printable(text)
    assert printable(once) == once
