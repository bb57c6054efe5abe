"""The report in Markdown: the same answer in short, and words of agents as code and nothing else."""

from __future__ import annotations

import re
from collections import Counter

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from agentbreaker.report.markdown import render_markdown
from agentbreaker.waste.model import Report
from tests.report import waste_reports
from tests.report.payloads import PAYLOADS

REPORT = waste_reports.report()
SMALL = waste_reports.report((waste_reports.english(), waste_reports.bare()))


def tokens_of(text: str) -> list[Token]:
    """What a reader of GitHub's Markdown finds, inner parts included."""
    found = []
    for token in MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).parse(text):
        found.append(token)
        found += token.children or []
    return found


def shape(tokens: list[Token]) -> Counter[str]:
    """How many there are of each kind."""
    return Counter(token.type for token in tokens if token.type not in ("text", "text_special", "code_inline"))


@pytest.mark.parametrize("payload", PAYLOADS)
def test_words_of_others_are_code_and_nothing_else(payload: str) -> None:
    """With a payload in every field the document has the same parts, and nothing in it is read outside of code."""
    harmless = re.sub(r"\S", "x", payload) or "x"
    plain = render_markdown(waste_reports.with_text(SMALL, lambda number: f"{harmless} xx{number}"))
    text = render_markdown(waste_reports.with_text(SMALL, lambda number: f"{payload} zq{number}"))
    tokens = tokens_of(text)
    assert shape(tokens) == shape(tokens_of(plain))
    risky = re.compile(r"[@<>\[\]]|https?:|www\.|owner/|octocat|:smile:|forged")
    for token in tokens:
        if token.type in ("text", "text_special"):
            assert not risky.search(token.content), token.content
        assert token.type not in ("html_inline", "html_block", "link_open", "image", "blockquote_open")
    text.encode()


def test_a_bar_after_a_backslash_does_not_end_a_cell() -> None:
    r"""However a reader of tables counts the backslashes of ``\|`` in a name: no bar is left that could end a cell."""
    text = render_markdown(waste_reports.with_text(SMALL, lambda number: f"a\\|**b** {number}"))
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert not any("\\|" in row for row in rows)


def test_the_graph_has_our_ids_and_harmless_names() -> None:
    """Nodes are a0, a1, ...; names are letters, digits and blanks, so that nothing in them is an instruction."""
    payload = 'x"]; click a0 "https://evil.example" %% <b>`end`'
    text = render_markdown(waste_reports.with_text(REPORT, lambda number: f"{payload}{number}"))
    graph = re.search("```mermaid\n(.*?)\n```", text, re.DOTALL)
    assert graph is not None
    first, *lines = graph[1].splitlines()
    assert first == "flowchart LR"
    for line in lines[:-2]:
        assert re.fullmatch(r'  a\d+\["\d+\. [\w .·-]*"\]|  a\d+ ==> a\d+', line), line
    assert "click" not in "".join(lines[2:])


def test_the_graph_leads_round() -> None:
    """The last agent leads back to the first."""
    text = render_markdown(REPORT)
    assert '  a0["1. planner"]\n  a1["2. reviewer"]\n  a0 ==> a1\n  a1 ==> a0\n' in text


def test_new_words_are_bold() -> None:
    """In the laps what is new is bold and what was said before is not."""
    text = render_markdown(REPORT)
    assert "**`Plan v3`** `is ready:` **`split`** `the`" in text
    assert "`Confirmed. I will proceed as soon as you confirm.` (677 tok, \\$0.0017)" in text
    assert "lap 5, 97 % nothing new" in text


def test_the_document_answers_the_question_first() -> None:
    """The headline, the totals, the cycles and the conversations stand there with their figures."""
    text = render_markdown(REPORT)
    assert text.startswith("# Token waste report\n\n**37 % of ≈\\$412.60 went into loops.")
    for words in (
        "| Saved by halts | \\$128.90 | 31 % |",
        "`ladder.halt=6`",
        "none finished",
        "## Incident 3",
        "finish = 3.5",
    ):
        assert words in text
    assert "3 more incidents" in text


@pytest.mark.parametrize(
    "whole",
    [waste_reports.empty(), waste_reports.without_prices(REPORT), waste_reports.report((waste_reports.bare(),))],
)
def test_what_is_missing_is_left_out(whole: Report) -> None:
    """A report of nothing, of no prices, of no laps: a document without holes."""
    text = render_markdown(whole)
    assert "None" not in text
    assert "nan" not in text
    assert "\n\n\n" not in text


def test_a_fence_in_a_snippet_does_not_end_it() -> None:
    """Backticks in the lines for the policy file make the fence around them longer."""
    cycle = REPORT.cycles[0].model_copy(update={"snippet": "a\n````\n<b>out</b>\n````"})
    text = render_markdown(waste_reports.report(cycles=(cycle,)))
    assert "`````toml\na\n````\n<b>out</b>\n````\n`````" in text


def test_the_document_fits_into_a_comment() -> None:
    """Thousands of rows are cut: a comment on GitHub may have 65,536 characters."""
    cycles = tuple(REPORT.cycles[n % 5] for n in range(500))
    halted = tuple(REPORT.conversations_halted[n % 6] for n in range(1000))
    long = waste_reports.with_text(REPORT, lambda number: f"{'长' * 10_000}{number}")
    for whole in (REPORT.model_copy(update={"cycles": cycles, "conversations_halted": halted, "halted": 1000}), long):
        assert len(render_markdown(whole)) < 65_536
