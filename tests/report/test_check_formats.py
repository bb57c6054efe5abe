"""The outputs of a check: each is what its schema asks for, and no word of an agent acts in it."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jsonschema
import pytest
import xmlschema

from agentbreaker.check import CheckReport, FailOn, Limits, check
from agentbreaker.replay import read_sources
from agentbreaker.report.check_formats import (
    check_json,
    github_annotations,
    gitlab_report,
    junit_report,
    sarif_report,
)
from agentbreaker.report.check_report import check_markdown, code_span
from tests.scenario_folders import quiet, runaway, save

SCHEMAS = Path(__file__).resolve().parents[1] / "schemas"
#: Everything that one of the formats could take for its own, and what acts on a terminal.
HOSTILE = (
    "\n::error file=x::forged\r::stop-commands::t ##[error]old %0A::warning::x,a=b:c \ud800</testcase>]]><x y='\"'>& "
    "\x1b[31m\u202e\ufffe|cell|`code` ``two`` [link](https://evil.example) {0} @team #1 <script>alert(1)</script>"
)


@cache
def schema(name: str) -> Any:
    """A schema for JSON documents."""
    return json.loads((SCHEMAS / name).read_text("utf-8"))


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> CheckReport:
    """Halts of hostile conversations of hostile agents, a warning, a quiet one, and both limits passed."""
    folder = tmp_path_factory.mktemp("runs")
    evil = [
        line | {"sender": line["sender"] + HOSTILE, "recipient": line["recipient"] + HOSTILE, "content": HOSTILE}
        for line in runaway("evil" + HOSTILE, usage={"input_tokens": 90, "output_tokens": 9}, cost_usd=0.5)
    ]
    path = save(folder / "a, b;100% [x] ü.jsonl", evil, runaway("bad"), runaway("warned")[:9], quiet("good"))
    limits = Limits(FailOn.HALT, max_waste=0.1, max_cost_usd=1.0)
    return check(read_sources([path]), limits=limits, line=lambda: 7)


def test_there_is_something_to_write(report: CheckReport) -> None:
    """The report has every kind of finding."""
    assert {finding.kind.value for finding in report.findings} == {"halt", "warning", "waste", "cost"}


def test_sarif_is_what_the_schema_asks_for(report: CheckReport) -> None:
    """Valid against SARIF 2.1.0; every result has a rule, a place and a fingerprint of its own."""
    document = json.loads(sarif_report(report, "1.2.3"))
    jsonschema.Draft4Validator(schema("sarif-2.1.0-rtm.5.json")).validate(document)
    [run] = document["runs"]
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert all(rules[result["ruleIndex"]] == result["ruleId"] for result in run["results"])
    assert len({result["partialFingerprints"]["agentbreaker/v1"] for result in run["results"]}) == len(report.findings)
    for result in run["results"]:
        uri = result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
        assert re.fullmatch(r"[A-Za-z0-9/._~%-]+", uri)
        # Plain text of SARIF knows links in brackets and placeholders in braces, unless they are escaped.
        assert not re.search(r"(?<!\\)[\[\]]", result["message"]["text"])
        assert not re.search(r"(?<!\{)\{(?!\{)", result["message"]["text"])
    levels = [result["level"] for result in run["results"]]
    assert levels == ["error", "error", "warning", "error", "error"]


def test_junit_is_what_the_schema_asks_for(report: CheckReport) -> None:
    """Valid against the schema, with as many cases and failures as it says, and not one element of an agent's."""
    text = junit_report(report)
    xmlschema.XMLSchema(SCHEMAS / "junit-10.xsd").validate(text)
    root = ElementTree.fromstring(text)  # noqa: S314 - it is ours
    assert {element.tag for element in root.iter()} == {
        "testsuites",
        "testsuite",
        "properties",
        "property",
        "testcase",
        "failure",
        "system-out",
    }
    cases = root.findall("testsuite/testcase")
    assert (root.get("tests"), len(cases)) == ("6", 6)
    assert (root.get("failures"), len(root.findall("testsuite/testcase/failure"))) == ("4", 4)
    assert {p.get("name") for p in root.iter("property")} >= {"agentbreaker.waste", "agentbreaker.cost_usd"}


def test_junit_skips_limits_that_are_not_set(tmp_path: Path) -> None:
    """A limit that nobody set neither passes nor fails."""
    text = junit_report(check(read_sources([save(tmp_path / "runs.jsonl", quiet("good"))])))
    xmlschema.XMLSchema(SCHEMAS / "junit-10.xsd").validate(text)
    assert len(ElementTree.fromstring(text).findall("testsuite/testcase/skipped")) == 2  # noqa: S314


def test_gitlab_is_what_its_documentation_asks_for(report: CheckReport) -> None:
    """Every field is there, paths are relative, fingerprints differ, and nothing looks like HTML."""
    document = json.loads(gitlab_report(report))
    jsonschema.Draft7Validator(schema("gitlab-codequality.json")).validate(document)
    assert len({issue["fingerprint"] for issue in document}) == len(document) == 5
    assert not any(re.search("[<>]", issue["description"]) for issue in document)
    assert [issue["severity"] for issue in document] == ["critical", "critical", "minor", "critical", "critical"]


def test_a_fingerprint_stays_when_lines_move(tmp_path: Path) -> None:
    """The same conversation in the same file, on another line, is the same issue."""
    path = save(tmp_path / "runs.jsonl", runaway("bad"))
    first, second = (
        json.loads(gitlab_report(check(read_sources([path]), line=lambda line=line: line)))  # type: ignore[misc]
        for line in (5, 50)
    )
    assert first[0]["fingerprint"] == second[0]["fingerprint"]
    assert first[0]["location"] != second[0]["location"]


def test_annotations_are_one_command_a_line(report: CheckReport) -> None:
    """As many commands as findings, each of ours; nothing of an agent's begins a line or hides an older command."""
    lines = github_annotations(report).splitlines()
    commands = [line for line in lines if line.lstrip().startswith("::")]
    assert len(commands) == len(report.findings)
    for line in commands:
        match = re.fullmatch(r"::(error|warning) ([^:]*)::(.*)", line)
        assert match is not None, line
        options = dict(part.split("=", 1) for part in match[2].split(","))
        assert set(options) <= {"file", "line", "title"}
        assert "%" not in re.sub("%(25|2C|3A|0A|0D)", "", match[2] + match[3])
    assert not any("##[" in line for line in lines)
    assert [line.split()[0] for line in commands].count("::error") == 4


def test_annotations_are_not_without_end(tmp_path: Path) -> None:
    """Beyond fifty it is only said how many more there are."""
    path = save(tmp_path / "runs.jsonl", *(runaway(f"bad-{number}") for number in range(53)))
    lines = github_annotations(check(read_sources([path]))).splitlines()
    assert sum(line.startswith("::") for line in lines) == 50
    assert "3 more findings without an annotation" in lines


def test_markdown_shows_words_of_others_in_code_spans_only(report: CheckReport) -> None:
    """Outside of code spans nothing of an agent's is left; every row has its five cells."""
    text = check_markdown(report)
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len(rows) == 2 + len(report.findings)
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {6}
    outside = re.sub(r"(?<!`)(`+)(?!`).*?(?<!`)\1(?!`)", "", text)
    for word in ("@team", "<script>", "https://", "link", "forged", "#1", "evil"):
        assert word not in outside


@pytest.mark.parametrize("text", ["", "`", "``a`", " a ", "a|b", "a`b``c```d", HOSTILE])
def test_a_code_span_is_not_left(text: str) -> None:
    """Its fence is longer than any run of backticks in it."""
    span = code_span(text)
    if not text:
        assert span == ""
        return
    fence = re.match("`+", span)
    assert fence is not None
    inside = span[len(fence[0]) : -len(fence[0])]
    assert span.endswith(fence[0])
    assert all(len(run) < len(fence[0]) for run in re.findall("`+", inside))
    assert "\n" not in span


def test_json_is_ascii_and_complete(report: CheckReport) -> None:
    """A program gets the ids as they are, and the log gets nothing to obey."""
    text = check_json(report, "1.2.3")
    document = json.loads(text)
    assert text.isascii()
    assert "##[" not in text
    assert document["conversations"][0]["conversation_id"] == "evil" + HOSTILE
    assert (document["passed"], len(document["findings"])) == (False, 5)
    assert document["summary"]["waste"] == report.waste
