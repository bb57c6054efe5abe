"""The style sheet: colours that can be told apart, and nothing that is loaded."""

from __future__ import annotations

import re

import pytest

from agentbreaker.report.html_style import STYLE

SCHEMES = dict(
    zip(
        ("light", "dark", "print"),
        (dict(re.findall(r"--([a-z-]+):(#[0-9a-f]+)", block)) for block in re.findall(r":root\{([^}]*)\}", STYLE)),
        strict=False,
    )
)


def luminance(colour: str) -> float:
    """Relative luminance after WCAG 2.2."""
    digits = colour[1:] if len(colour) == 7 else "".join(2 * one for one in colour[1:])
    parts = [int(digits[place : place + 2], 16) / 255 for place in (0, 2, 4)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, two: str) -> float:
    """Contrast ratio after WCAG 2.2."""
    light, dark = sorted((luminance(one), luminance(two)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    ("ink", "ground"),
    [
        ("ink", "card"),
        ("ink", "page"),
        ("soft", "card"),
        ("soft", "page"),
        ("accent", "card"),
        ("accent", "page"),
        ("bad", "card"),
        ("bad", "bad-soft"),
        ("good", "card"),
        ("good", "good-soft"),
        ("card", "bad"),
    ],
)
def test_text_has_the_contrast_of_level_aa(scheme: str, ink: str, ground: str) -> None:
    """Every pair of ink and ground that text uses reaches 4.5 to 1, in both schemes."""
    colours = SCHEMES[scheme]
    assert contrast(colours[ink], colours[ground]) >= 4.5


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("ink", ["wire", "bad", "amber"])
def test_lines_and_bars_can_be_seen(scheme: str, ink: str) -> None:
    """What is drawn without words reaches 2.5 to 1 on its card; figures beside it say the same in text."""
    assert contrast(SCHEMES[scheme][ink], SCHEMES[scheme]["card"]) >= 2.5


def test_the_style_sheet_loads_nothing() -> None:
    """There is no address, no import, no font and no way out of the element in the style sheet."""
    assert not re.search(r"url\(|@import|@font-face|https?:|//|</", STYLE)


def test_new_words_are_told_apart_without_colour() -> None:
    """New words are bold and underlined as well as green."""
    rule = re.search(r"\.words ins[^{]*\{([^}]*)\}", STYLE)
    assert rule is not None
    assert "font-weight:700" in rule[1]
    assert "text-decoration:underline" in rule[1]
