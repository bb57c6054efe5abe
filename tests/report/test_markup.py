"""The builder of markup: what goes in as text comes out as text."""

from __future__ import annotations

import html

import pytest

from agentbreaker.printable import printable
from agentbreaker.report.markup import Markup, el, escaped, join, lines_of, said, spoken
from tests.report.payloads import PAYLOADS


@pytest.mark.parametrize("payload", PAYLOADS)
def test_a_text_comes_out_as_the_same_text(payload: str) -> None:
    """What a browser reads back is the printable text, character by character, with no markup in it."""
    written = escaped(payload)
    assert not set(written) & set("<>\"'")
    assert html.unescape(written) == printable(payload, limit=400)
    written.encode()


def test_what_is_not_built_here_is_escaped() -> None:
    """Plain strings in an element, in a list and in a list of lists are text; markup stays markup."""
    assert el("p", "<b>", ["<i>", ["&", None]], el("br")) == "<p>&lt;b&gt;&lt;i&gt;&amp;<br></p>"
    assert join("<", Markup("<br>")) == "&lt;<br>"
    # A string that only looks like markup, because somebody added to it, is text again.
    assert el("p", Markup("<br>") + "<b>") == "<p>&lt;br&gt;&lt;b&gt;</p>"


@pytest.mark.parametrize("payload", PAYLOADS)
def test_a_text_cannot_become_an_attribute(payload: str) -> None:
    """Whatever is not made of the characters of our own values raises and never becomes an attribute."""
    if payload.isascii() and payload.isalnum():
        pytest.skip("a plain word is harmless")
    for name in ("cls", "id", "href", "title_"):
        with_quotes = f'"{payload}'
        with pytest.raises(ValueError, match="report may give"):
            el("a", "x", **{name: with_quotes})


@pytest.mark.parametrize("name", ["onclick", "onload", "style", "src", "srcdoc", "a b", "x>", ""])
def test_attributes_that_could_act_do_not_exist(name: str) -> None:
    """Handlers, styles and sources cannot be built at all."""
    with pytest.raises(ValueError, match="not an attribute"):
        el("p", **{name: "x"})


@pytest.mark.parametrize(
    "tag", ["script", "style", "iframe", "img", "object", "foreignObject", "use", "input", "P", ""]
)
def test_elements_that_could_act_do_not_exist(tag: str) -> None:
    """Only the elements of a report can be built."""
    with pytest.raises(ValueError, match="not an element"):
        el(tag)


@pytest.mark.parametrize("place", ["https://evil.example", "javascript:alert(1)", "/x", "x", "#", "#A b"])
def test_links_lead_to_places_on_the_page_only(place: str) -> None:
    """An address other than one of our anchors cannot be built."""
    with pytest.raises(ValueError, match="report may give"):
        el("a", "x", href=place)


def test_names_are_kept_apart_from_the_direction_around_them() -> None:
    """A name is isolated, says so when it is empty, and carries its language where the writing tells."""
    assert said("مراجع") == "<bdi>مراجع</bdi>"
    assert said("") == '<bdi class="none">(empty)</bdi>'
    assert said("审核者") == '<bdi lang="zh">审核者</bdi>'
    assert spoken("レビュー担当") is None
    assert spoken("검토자 甲") is None
    # In a sentence of ours that was handed over as a string, they are isolated too.
    assert el("p", "cycle: מתכנן and x") == "<p>cycle: \u2067מתכנן\u2069 and x</p>"


def test_long_texts_are_cut_where_they_are_shown() -> None:
    """A name of ten thousand letters takes no more room than its limit."""
    assert said("w" * 10_000, limit=40) == f"<bdi>{'w' * 39}…</bdi>"
    assert len(el("p", "w" * 10_000)) < 4_100


def test_lines_stay_lines() -> None:
    """The lines of a snippet are escaped one by one and keep their ends."""
    assert lines_of("a = 1\n</pre><b>") == "a = 1\n&lt;/pre&gt;&lt;b&gt;"
