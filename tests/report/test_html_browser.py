"""The page in a real browser: nothing runs, nothing is asked of the network, nothing overlaps, nothing runs out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agentbreaker.report.html import render_html
from agentbreaker.waste.model import Report
from tests.report import waste_reports
from tests.report.chromium import Chromium, find_chromium
from tests.report.payloads import HTML_PAYLOADS, LONG_PAYLOADS, PAYLOADS

PROGRAM = find_chromium()
pytestmark = pytest.mark.skipif(PROGRAM is None, reason="no Chromium or Chrome is installed")

FULL = waste_reports.report()
SMALL = waste_reports.report((waste_reports.english(), waste_reports.mesh(9, 3), waste_reports.bare()))
POLICY = re.compile('<meta http-equiv="Content-Security-Policy"[^>]*>\n')
WIDTHS = (320, 390, 820, 1440)

COUNT = """(() => {
  const found = {elements: 0, handlers: 0};
  Object.assign(found, {scripts: document.scripts.length, frames: frames.length, title: document.title});
  for (const element of document.querySelectorAll('*')) {
    found.elements += 1;
    for (const attribute of element.attributes)
      if (/^(on|style$|src|srcdoc$|action$)/i.test(attribute.name)) found.handlers += 1;
  }
  return found;
})()"""

#: Elements that stick out of the page, those aside that scroll by themselves or are hidden on purpose.
STICKS_OUT = """[...document.querySelectorAll('body *')].filter(element => {
  if (element.closest('.scroll, pre, .vh, .skip, svg')) return false;
  const box = element.getBoundingClientRect();
  return box.width > 0 && (box.right > innerWidth + 1 || box.left < -1);
}).map(element => element.outerHTML.slice(0, 80)).slice(0, 5)"""

#: Pairs of texts of a drawing whose boxes overlap, as the browser measures them.
OVERLAPS = """[...document.querySelectorAll('svg')].flatMap(svg => {
  const texts = [...svg.querySelectorAll('text')].filter(text => text.textContent);
  const boxes = texts.map(text => text.getBBox());
  const found = [];
  boxes.forEach((one, i) => boxes.forEach((two, j) => {
    if (i < j && one.x < two.x + two.width - 1 && two.x < one.x + one.width - 1 &&
        one.y < two.y + two.height - 3 && two.y < one.y + one.height - 3)
      found.push(texts[i].textContent + ' / ' + texts[j].textContent);
  }));
  const whole = svg.viewBox.baseVal;
  boxes.forEach((one, i) => {
    if (one.x < whole.x - 1 || one.x + one.width > whole.x + whole.width + 1)
      found.push('outside: ' + texts[i].textContent);
  });
  for (const node of svg.querySelectorAll('.node')) {
    const text = node.querySelector('text').getBBox(), rect = node.querySelector('rect').getBBox();
    if (text.width > rect.width) found.push('wider than its box: ' + node.textContent);
  }
  return found;
}).slice(0, 10)"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    """One browser for all tests here."""
    assert PROGRAM is not None
    chromium = Chromium(PROGRAM, tmp_path_factory.mktemp("profile"))
    yield chromium
    chromium.close()


def shown(browser: Chromium, text: str, folder: Path, width: int = 1280, **options: Any) -> None:
    """Open a page from a file."""
    path = folder / "report.html"
    path.write_bytes(text.encode())
    browser.open(path, width, **options)


def trouble(browser: Chromium) -> list[Any]:
    """What a silent page does not do: log, throw, open a dialog, ask the network for more than itself."""
    found: list[Any] = browser.named(
        "Log.entryAdded",
        "Runtime.consoleAPICalled",
        "Runtime.exceptionThrown",
        "Page.javascriptDialogOpening",
        "Page.windowOpen",
    )
    asked = [event["request"]["url"] for event in browser.named("Network.requestWillBeSent")]
    return found + [url for url in asked if not url.endswith("/report.html")]


def full_of(payload: str, whole: Report = SMALL) -> str:
    """A page with a payload in every field."""
    return render_html(waste_reports.with_text(whole, lambda number: f"{payload} {number}"))


def elements_of(payload: str) -> int:
    """How many elements the page has with harmless words that are as long as the payload."""
    text = full_of(re.sub("[^ \\t\\r\\n]", "x", payload))
    return len(re.findall("<[a-z]", text))


def test_our_own_page_is_silent(browser: Chromium, tmp_path: Path) -> None:
    """The policy allows our style sheet, nothing is logged, and only the page itself is loaded."""
    shown(browser, render_html(FULL), tmp_path)
    assert trouble(browser) == []
    assert browser.run("getComputedStyle(document.body).backgroundColor") == "rgb(245, 246, 248)"
    assert browser.run("document.querySelectorAll('article').length") == len(FULL.incidents)


@pytest.mark.parametrize("payload", HTML_PAYLOADS + LONG_PAYLOADS)
def test_a_payload_in_every_field_is_text(browser: Chromium, tmp_path: Path, payload: str) -> None:
    """As many elements as without it; no handler, script, frame, dialog, request, nor a word on the console."""
    shown(browser, full_of(payload), tmp_path)
    assert browser.run(COUNT) == {
        "elements": elements_of(payload),
        "handlers": 0,
        "scripts": 0,
        "frames": 0,
        "title": "Token waste report - agentbreaker",
    }
    assert trouble(browser) == []


def test_escaping_holds_without_the_policy_too(browser: Chromium, tmp_path: Path) -> None:
    """The policy is the second line of defence: without it, all payloads at once still do nothing."""
    whole = waste_reports.with_text(FULL, lambda number: f"{PAYLOADS[number % len(PAYLOADS)][:300]} {number}")
    text, removed = POLICY.subn("", render_html(whole))
    assert removed == 1
    shown(browser, text, tmp_path)
    assert trouble(browser) == []
    assert browser.run(COUNT)["scripts"] == 0


def test_the_policy_holds_without_escaping_too(browser: Chromium, tmp_path: Path) -> None:
    """Markup that somebody smuggled in runs nothing, loads nothing and styles nothing; and these tests would see it."""
    smuggled = (
        "<script>document.title = 'run'; alert(1)</script><img src=https://evil.example/x.png onerror=alert(1)>"
        "<p style='color:rgb(1, 2, 3)' class=smuggled>x</p><style>body{background:#123456}</style>"
        "<base href=https://evil.example/>"
    )
    text = render_html(SMALL)
    shown(browser, text.replace("<body>", f"<body>{smuggled}"), tmp_path)
    assert browser.run("document.title") == "Token waste report - agentbreaker"
    assert browser.run("getComputedStyle(document.body).backgroundColor") == "rgb(245, 246, 248)"
    assert browser.run("getComputedStyle(document.querySelector('.smuggled')).color") != "rgb(1, 2, 3)"
    assert browser.named("Page.javascriptDialogOpening") == []
    assert any("Content Security Policy" in event["entry"]["text"] for event in browser.named("Log.entryAdded"))
    # Without the policy the same does run: the browser and what is asked of it here are real.
    shown(browser, POLICY.sub("", text).replace("<body>", f"<body>{smuggled}"), tmp_path)
    assert browser.run("document.title") == "run"
    assert browser.named("Page.javascriptDialogOpening") != []
    assert any("evil.example" in str(one) for one in trouble(browser))


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("words", ["ours", "long", "chinese"])
def test_the_page_never_scrolls_sideways(browser: Chromium, tmp_path: Path, width: int, words: str) -> None:
    """At 320 pixels, which is 400 % zoom on a common screen, and wider, only tables and drawings scroll."""
    text = {
        "ours": lambda: render_html(FULL),
        "long": lambda: full_of("w" * 10_000, FULL),
        "chinese": lambda: full_of("很长的名字没有空格" * 40, FULL),
    }[words]()
    shown(browser, text, tmp_path, width)
    assert browser.run("document.documentElement.scrollWidth") <= width
    assert browser.run(STICKS_OUT) == []


@pytest.mark.parametrize("width", [390, 1440])
def test_no_label_overlaps_another(browser: Chromium, tmp_path: Path, width: int) -> None:
    """Measured with the browser's own letters: graphs, ribbons, spend lines and forecast, in Latin and in Chinese."""
    shown(browser, render_html(FULL), tmp_path, width)
    browser.run("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert browser.run(OVERLAPS) == []
    shown(browser, full_of("W很长的名字", FULL), tmp_path, width)
    assert browser.run(OVERLAPS) == []


def test_what_scrolls_can_be_reached_by_keyboard(browser: Chromium, tmp_path: Path) -> None:
    """Every region that has more than fits can take the focus and has a name."""
    shown(browser, render_html(FULL), tmp_path, 320)
    hidden = browser.run(
        """[...document.querySelectorAll('body *')].filter(one => one.scrollWidth > one.clientWidth + 1 &&
        ['auto', 'scroll'].includes(getComputedStyle(one).overflowX)).map(one =>
        [one.tabIndex, one.localName === 'pre' || !!document.getElementById(one.getAttribute('aria-labelledby'))])"""
    )
    assert len(hidden) > 3
    assert all(index == 0 and named for index, named in hidden)


def test_the_page_follows_the_colours_of_the_reader(browser: Chromium, tmp_path: Path) -> None:
    """Dark where the reader prefers it, light otherwise."""
    text = render_html(SMALL)
    shown(browser, text, tmp_path, dark=True)
    assert browser.run("getComputedStyle(document.body).backgroundColor") == "rgb(16, 21, 27)"


def test_paper_shows_what_is_folded(browser: Chromium, tmp_path: Path) -> None:
    """In print, details are open and navigation is gone."""
    shown(browser, render_html(SMALL), tmp_path, 800, media="print")
    assert browser.run("getComputedStyle(document.querySelector('nav')).display") == "none"
    heights = browser.run(
        """[...document.querySelectorAll('details:not([open])')].map(one =>
        one.getBoundingClientRect().height / one.querySelector('summary').getBoundingClientRect().height)"""
    )
    assert heights
    assert min(heights) > 1.5


def test_links_open_the_part_they_lead_to(browser: Chromium, tmp_path: Path) -> None:
    """A link from the table of conversations moves the page to its incident, without a script."""
    shown(browser, render_html(FULL), tmp_path)
    browser.run("document.querySelector('a[href=\"#incident-2\"]').click()")
    browser.run("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert abs(browser.run("document.querySelector('#incident-2').getBoundingClientRect().top")) < 40
