"""The page: complete, closed, linked, the same whatever the agents wrote."""

from __future__ import annotations

import base64
import hashlib
import re
from collections import Counter
from html.parser import HTMLParser

import pytest

from agentbreaker.report.html import render_html
from agentbreaker.waste.model import Amount, Report
from tests.report import waste_reports
from tests.report.payloads import PAYLOADS

VOID = {"meta", "br"}


class Page(HTMLParser):
    """What is on a page: elements, ids, links, the text, and whether everything is closed where it was opened."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: Counter[str] = Counter()
        self.attributes: Counter[str] = Counter()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Count an element."""
        self.elements[tag] += 1
        for name, value in attrs:
            self.attributes[name] += 1
            if name == "id":
                self.ids.append(value or "")
            elif name == "href":
                self.links.append(value or "")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Close the latest element, which must be this one."""
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Keep text outside of the style sheet."""
        if self.open[-1:] != ["style"]:
            self.words.append(data)

    @property
    def text(self) -> str:
        """All text, blanks folded."""
        return " ".join("".join(self.words).split())


REPORTS = {
    "full": waste_reports.report(),
    "empty": waste_reports.empty(),
    "without prices": waste_reports.without_prices(waste_reports.report()),
    "bare": waste_reports.report((waste_reports.bare(),)),
}


@pytest.mark.parametrize("name", REPORTS)
def test_a_page_is_closed_and_its_links_lead_somewhere(name: str) -> None:
    """Every element is closed, every id is there once, every link has its target, every label its element."""
    text = render_html(REPORTS[name])
    page = Page(text)
    assert page.open == []
    assert len(page.ids) == len(set(page.ids))
    assert {link[1:] for link in page.links} <= set(page.ids)
    named = " ".join(re.findall(r'aria-labelledby="([^"]*)"', text)).split()
    assert set(named) <= set(page.ids)
    text.encode()


@pytest.mark.parametrize("name", REPORTS)
def test_a_page_needs_nothing_else_and_allows_nothing_else(name: str) -> None:
    """There is no script, no address and no style but the one that the policy names by its hash."""
    text = render_html(REPORTS[name])
    page = Page(text)
    assert page.elements["style"] == 1
    assert not {"script", "img", "link", "iframe", "object", "base", "form"} & set(page.elements)
    assert not {"style", "src"} & set(page.attributes)
    assert not any(attribute.startswith("on") for attribute in page.attributes)
    assert all(link.startswith("#") for link in page.links)
    style = re.search("<style>(.*?)</style>", text, re.DOTALL)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert f"content=\"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'\"" in text


#: Every kind of part once, and small, as it is drawn twice for each payload.
SMALL = waste_reports.report((waste_reports.english(), waste_reports.mesh(9, 12), waste_reports.bare()))


@pytest.mark.parametrize("payload", PAYLOADS)
def test_what_agents_wrote_never_becomes_markup(payload: str) -> None:
    """With a payload in every field there are as many elements and attributes as without, and the same ids."""
    harmless = re.sub("[^ \\t\\r\\n]", "x", payload)
    plain = Page(render_html(waste_reports.with_text(SMALL, lambda number: f"{harmless} {number}")))
    text = render_html(waste_reports.with_text(SMALL, lambda number: f"{payload} {number}"))
    page = Page(text)
    assert page.elements == plain.elements
    # A text in Chinese says so in an attribute, and labels stand where they have room; nothing else depends on words.
    moving = {"lang": 0, "x": 0, "y": 0}
    assert {**page.attributes, **moving} == {**plain.attributes, **moving}
    assert page.ids == plain.ids
    assert page.links == plain.links
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u200b-\u200f\u202a-\u202e\ufeff]", text)
    text.encode()


def test_directions_that_are_opened_are_closed() -> None:
    """Around names that read from the right stand as many closing marks as opening ones."""
    text = render_html(waste_reports.report((waste_reports.right_to_left(),)))
    assert 0 < text.count("\u2067") == text.count("\u2069")


def test_the_first_lines_answer_the_question() -> None:
    """The headline says how much went into loops and what halts save, and the tiles say it in figures."""
    text = Page(render_html(REPORTS["full"])).text
    assert "37 % of ≈$412.60 went into loops" in text
    assert "which saves $128.90 (31 %)" in text
    assert "83.0k of them without a price" in text
    assert "Next 30 days $562.00" in text.replace("days$", "days $")


def test_nothing_is_shown_as_free_that_has_no_price() -> None:
    """Where nothing has a price the page speaks of tokens only, and where something has none it says so."""
    text = Page(render_html(REPORTS["without prices"])).text
    assert "$" not in text
    assert "No forecast" not in text
    assert "Nothing has a price." in text
    priced = Page(render_html(REPORTS["full"])).text
    assert "in-house-7b" in priced
    assert "not counted as free" in priced


def test_money_is_shown_in_the_currency_of_the_report() -> None:
    """A rate of 7.1 yuan shows yuan everywhere, and says at which rate."""
    text = Page(render_html(waste_reports.report(currency="CNY", usd_rate=7.1))).text
    assert "CN¥2,929" in text
    assert "7.1 for a US dollar" in text
    assert "$" not in text.replace("CN¥", "")


def test_an_interrupted_report_says_so() -> None:
    """After Ctrl-C the figures are marked as partial."""
    assert "Interrupted" in Page(render_html(waste_reports.report(complete=False))).text
    assert "Interrupted" not in Page(render_html(REPORTS["full"])).text


def test_halted_conversations_lead_to_their_incidents() -> None:
    """The first conversation of the table links to the first incident, one without a part links nowhere."""
    text = render_html(REPORTS["full"])
    assert re.search('<a href="#incident-1"><bdi>import-7f3a</bdi></a>', text)
    assert "<bdi>import-7f3a-0</bdi>" in text
    assert '<a href="#incident-1"><bdi>import-7f3a-0</bdi></a>' not in text


def test_two_conversations_of_one_name_in_two_files_have_two_parts() -> None:
    """Anchors are numbers and follow file and name, not the name alone."""
    first, second = waste_reports.english(), waste_reports.english()
    second = second.model_copy(update={"halted": second.halted.model_copy(update={"source": "other.jsonl"})})
    whole = waste_reports.report((first, second))
    text = render_html(whole)
    assert re.findall('<a href="#incident-([12])"><bdi>import-7f3a</bdi></a>', text)[-2:] == ["1", "2"]


def test_a_page_is_the_same_every_time() -> None:
    """Nothing depends on order of hashing or on the time of day."""
    assert render_html(waste_reports.report()) == render_html(waste_reports.report())


def test_hundreds_of_incidents_and_a_thousand_conversations_fit() -> None:
    """200 incidents and 1,000 rows make one page with all its links, the later evidence folded."""
    pages = [
        one.model_copy(update={"halted": one.halted.model_copy(update={"conversation_id": f"run-{number}"})})
        for number in range(200)
        for one in [waste_reports.english()]
    ]
    whole = waste_reports.report(pages)
    halted = tuple(whole.conversations_halted[number % 200] for number in range(1000))
    page = Page(render_html(whole.model_copy(update={"conversations_halted": halted, "halted": 1000})))
    assert page.elements["article"] == 200
    assert {f"incident-{number}" for number in range(1, 201)} <= set(page.ids)
    assert "800 more conversations would be halted" in page.text


def test_estimates_carry_their_sign() -> None:
    """A sum that holds an estimate is marked, in money and in tokens, and one without is not."""
    spend = Amount(messages=9, tokens=1000, estimated_tokens=1, cost_usd=2.0)
    marked = Page(render_html(waste_reports.report(spend=spend))).text
    plain = Page(render_html(waste_reports.report(spend=spend.model_copy(update={"estimated_tokens": 0})))).text
    assert "Spent≈$2.00≈1,000 tokens" in marked
    assert "Spent$2.00 1,000 tokens" in plain.replace("$2.001,000", "$2.00 1,000")


@pytest.mark.parametrize("name", REPORTS)
def test_headings_descend_one_by_one_and_tables_are_named(name: str) -> None:
    """No heading skips a level, there is one first one, and every table has a caption and scopes."""
    text = render_html(REPORTS[name])
    levels = [int(level) for level in re.findall(r"<h([1-4])[ >]", text)]
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in zip([0, *levels], levels, strict=False))
    assert text.count("<table") == text.count("<caption")
    assert not re.search(r"<th(?![^>]*scope)[ >]", text)


def test_figures_that_are_no_numbers_do_not_break_the_page() -> None:
    """A limit that is infinite and a value that is not known are said in words."""
    incident = waste_reports.english()
    signals = (
        incident.signals[0].model_copy(update={"limit": float("inf"), "share": 0.0}),
        incident.signals[1].model_copy(update={"value": float("nan"), "share": float("nan")}),
    )
    text = Page(render_html(waste_reports.report((incident.model_copy(update={"signals": signals}),)))).text
    assert "4.5 of no limit messages" in text
    assert "not known of 4 messages" in text


def test_every_part_of_the_model_is_on_the_page() -> None:
    """Outcomes, trials, coordination, forecast, files and notes appear with their figures."""
    whole: Report = REPORTS["full"]
    text = Page(render_html(whole)).text
    for words in (
        "$0.21",
        "none finished",
        "ladder.halt=6",
        "Agents talking to agents",
        "80 % intervals from 22 recorded days",
        "记录/十一月.jsonl",
        "A conversation counts once",
        "Long cycle",
        "finish = 3.5",
        "“approved”",
        "guard.reset(",
        "1 % of its words new",
        "AB201, score 0.96",
        "4 laps, 1 min 34 s",
    ):
        assert words in text, words
