"""What a check found, for machines: JSON, JUnit, GitHub annotations, GitLab Code Quality and SARIF.

Names of agents and ids of conversations are hostile.  Each format escapes them in its own way: they never end an
attribute, begin a workflow command, or make a link.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree

from agentbreaker.check import Checked, CheckReport, Finding, Kind
from agentbreaker.detectors import DETECTORS
from agentbreaker.printable import printable
from agentbreaker.report.check_report import summary_of, verdict_line
from agentbreaker.report.terminal import count_of, no_command

__all__ = ["check_json", "github_annotations", "gitlab_report", "junit_report", "sarif_report"]

#: GitHub shows ten errors and ten warnings of a step; a log with thousands helps nobody.
_MOST_ANNOTATIONS = 50
_SARIF_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_RULES = {
    Kind.HALT: "A conversation was halted",
    Kind.WARNING: "A conversation was warned",
    Kind.WASTE: "Too much is wasted in loops",
    Kind.COST: "The conversations cost too much",
}


# ---------------------------------------------------------------------- JSON


def check_json(report: CheckReport, version: str) -> str:
    """Return everything as one JSON document, in ASCII.

    Args:
        report: What was found.
        version: Of agentbreaker.
    """
    totals, limits = report.totals, report.limits
    document = {
        "agentbreaker": version,
        "policy": report.policy,
        "passed": not report.failed,
        "limits": {"fail_on": limits.fail_on, "max_waste": limits.max_waste, "max_cost_usd": limits.max_cost_usd},
        "summary": {
            "conversations": totals.conversations,
            "halted": totals.halted,
            "warned": totals.warned,
            "messages": totals.messages,
            "tokens": totals.tokens,
            "cost_usd": totals.cost_usd,
            "wasted_messages": report.wasted_messages,
            "wasted_tokens": report.wasted_tokens,
            "waste": report.waste,
            "unpriced_tokens": report.unpriced_tokens,
            "forgotten": totals.forgotten,
        },
        "findings": [
            {
                "kind": finding.kind,
                "fails": finding.fails,
                "sentence": finding.sentence,
                "conversation_id": finding.conversation_id,
                "source": finding.source,
                "line": finding.line if finding.source is not None else None,
                "message": finding.message,
                "code": finding.code,
            }
            for finding in report.findings
        ],
        "conversations": [
            one.report.model_dump(mode="json")
            | {"wasted_tokens": one.wasted_tokens, "wasted_messages": one.wasted_messages}
            for one in report.conversations
        ],
    }
    return _dumps(document)


def _dumps(document: Any) -> str:
    """JSON in ASCII; the mark of GitHub's older commands, which may stand anywhere in a line, becomes an escape."""
    return json.dumps(document, indent=2, ensure_ascii=True).replace("##[", "##\\u005b") + "\n"


# ---------------------------------------------------------------------- JUnit


def junit_report(report: CheckReport) -> str:
    """Return JUnit XML: a suite for each file, a test case for each conversation, and a suite of the limits."""
    root = ElementTree.Element("testsuites", name="agentbreaker check")
    sources: dict[str, list[Checked]] = {}
    for one in report.conversations:
        sources.setdefault(one.report.source, []).append(one)
    for source, checked in sources.items():
        suite = ElementTree.SubElement(root, "testsuite", name=printable(source))
        for one in checked:
            name = printable(one.report.conversation_id)
            case = ElementTree.SubElement(suite, "testcase", classname=printable(source), name=name)
            _add_outcome(case, one.finding, one.report.incident_text)
            ElementTree.SubElement(case, "system-out").text = _figures(one)
        _count(suite, len(checked))
    suite = ElementTree.SubElement(root, "testsuite", name="limits")
    properties = ElementTree.SubElement(suite, "properties")
    figures = {
        "conversations": report.totals.conversations,
        "halted": report.totals.halted,
        "messages": report.totals.messages,
        "tokens": report.totals.tokens,
        "cost_usd": f"{report.totals.cost_usd:.6f}",
        "waste": f"{report.waste:.6f}",
    }
    for name, value in figures.items():
        ElementTree.SubElement(properties, "property", name=f"agentbreaker.{name}", value=str(value))
    failed = {finding.kind: finding for finding in report.gates}
    asked = {Kind.WASTE: report.limits.max_waste, Kind.COST: report.limits.max_cost_usd}
    for kind, limit in asked.items():
        case = ElementTree.SubElement(suite, "testcase", classname="limits", name=kind.value)
        if limit is None:
            ElementTree.SubElement(case, "skipped", message="no limit is set")
        else:
            _add_outcome(case, failed.get(kind), None)
    _count(suite, len(asked))
    for name in ("tests", "failures", "errors"):
        root.set(name, str(sum(int(suite.get(name, "0")) for suite in root)))
    ElementTree.indent(root)
    text = ElementTree.tostring(root, encoding="unicode").replace("##[", "##&#91;")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'


def _add_outcome(case: ElementTree.Element, finding: Finding | None, evidence: str | None) -> None:
    if finding is not None and finding.fails:
        failure = ElementTree.SubElement(case, "failure", type=finding.rule, message=finding.sentence)
        failure.text = no_command(evidence or finding.sentence)


def _figures(one: Checked) -> str:
    report = one.report
    lines = [f"{report.messages:,} messages, {report.tokens:,} tokens, ${report.cost_usd:,.6f}"]
    if one.finding is not None:
        lines.append(f"{one.finding.kind}: {one.finding.sentence}")
        lines.append(f"wasted: {one.wasted_messages:,} messages, {one.wasted_tokens:,} tokens")
    return "\n".join(lines)


def _count(suite: ElementTree.Element, tests: int) -> None:
    suite.set("tests", str(tests))
    suite.set("failures", str(len(suite.findall("testcase/failure"))))
    suite.set("errors", "0")
    suite.set("skipped", str(len(suite.findall("testcase/skipped"))))


# ---------------------------------------------------------------------- GitHub


def github_annotations(report: CheckReport) -> str:
    """Return workflow commands that GitHub shows beside the files, and one line of summary."""
    findings = sorted(report.findings, key=lambda finding: not finding.fails)
    lines = [_annotation(finding) for finding in findings[:_MOST_ANNOTATIONS]]
    if len(findings) > len(lines):
        lines.append(f"{count_of(len(findings) - len(lines), 'more finding')} without an annotation")
    return "\n".join([*lines, *summary_of(report), verdict_line(report)]) + "\n"


def _annotation(finding: Finding) -> str:
    level = "error" if finding.fails else "warning"
    title = f"agentbreaker: {finding.kind}" + ("" if finding.code is None else f" ({finding.code})")
    source = finding.source
    where = {} if source is None or source == "-" else {"file": _relative(source), "line": finding.line}
    options = ",".join(f"{name}={_property(str(value))}" for name, value in {**where, "title": title}.items())
    text = finding.sentence
    if finding.conversation_id is not None:
        text = f"{printable(finding.conversation_id)}: {text}"
    return f"::{level} {options}::{_data(text)}"


def _data(text: str) -> str:
    """Escape the text of a workflow command, and break the mark of the older commands, which may stand anywhere."""
    text = text.replace("##[", "## [")
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(printable(text, limit=1000)).replace(":", "%3A").replace(",", "%2C")


# ---------------------------------------------------------------------- GitLab


def gitlab_report(report: CheckReport) -> str:
    """Return a GitLab Code Quality report: a JSON array of what was found."""
    issues = [
        {
            "description": _described(finding),
            "check_name": f"agentbreaker/{finding.rule}",
            "fingerprint": _fingerprint(finding),
            "severity": "critical" if finding.fails else "minor",
            "location": {"path": _relative(finding.source or _first(report)), "lines": {"begin": finding.line}},
        }
        for finding in report.findings
    ]
    return _dumps(issues)


def _described(finding: Finding) -> str:
    """A sentence in which HTML would not be read even where somebody shows it unescaped."""
    name = "" if finding.conversation_id is None else f"{printable(finding.conversation_id)}: "
    return f"{name}{finding.sentence}".replace("<", "‹").replace(">", "›").replace("`", "'")


def _fingerprint(finding: Finding) -> str:
    """The same for the same kind of finding in the same conversation, wherever its message has moved to."""
    parts = (finding.kind.value, finding.rule, finding.source or "", finding.conversation_id or "")
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()


def _first(report: CheckReport) -> str:
    """The file at which is shown what belongs to none: these formats want one."""
    return report.conversations[0].report.source if report.conversations else "-"


def _relative(source: str) -> str:
    """The path as the repository knows it."""
    if source == "-":
        return "stdin"
    path = os.path.relpath(source) if os.path.isabs(source) else os.path.normpath(source)
    return printable(path.replace(os.sep, "/"), limit=1000)


# ---------------------------------------------------------------------- SARIF


def sarif_report(report: CheckReport, version: str) -> str:
    """Return a SARIF 2.1.0 log.

    Args:
        report: What was found.
        version: Of agentbreaker.
    """
    findings = report.findings
    ids = sorted({finding.rule for finding in findings})
    run = {
        "tool": {"driver": {"name": "agentbreaker", "version": version, "rules": [_rule(name) for name in ids]}},
        "invocations": [{"executionSuccessful": True, "exitCode": int(report.failed)}],
        "results": [_result(finding, ids.index(finding.rule), _first(report)) for finding in findings],
        "columnKind": "unicodeCodePoints",
    }
    return _dumps({"$schema": _SARIF_SCHEMA, "version": "2.1.0", "runs": [run]})


def _rule(name: str) -> dict[str, Any]:
    detector = DETECTORS.get(name)
    if detector is None:
        return {"id": name, "shortDescription": {"text": _RULES[Kind(name)]}}
    return {
        "id": name,
        "name": detector.name,
        "shortDescription": {"text": detector.title},
        "fullDescription": {"text": _sarif_text(next(_sections(detector.__doc__)))},
        "help": {"text": _sarif_text(f"agentbreaker explain {name}")},
    }


def _sections(page: str | None) -> Iterator[str]:
    """The texts below the headings of a manual page, each in one line."""
    for section in inspect.cleandoc(page or "").split("\n\n")[1:]:
        yield " ".join(section.partition(":\n")[2].split()) or "See its page."
    yield "See its page."


def _result(finding: Finding, index: int, first: str) -> dict[str, Any]:
    name = None if finding.conversation_id is None else printable(finding.conversation_id)
    uri = quote(_relative(finding.source or first).encode("utf-8"), safe="/.-_~")
    location: dict[str, Any] = {
        "physicalLocation": {"artifactLocation": {"uri": uri}, "region": {"startLine": finding.line}}
    }
    if name is not None:
        location["logicalLocations"] = [{"name": name, "kind": "conversation"}]
    return {
        "ruleId": finding.rule,
        "ruleIndex": index,
        "level": "error" if finding.fails else "warning",
        "message": {"text": _sarif_text(finding.sentence if name is None else f"{name}: {finding.sentence}")},
        "partialFingerprints": {"agentbreaker/v1": _fingerprint(finding)},
        "locations": [location],
    }


_SARIF_MARKUP = re.compile(r"([\\\[\]])")


def _sarif_text(text: str) -> str:
    """Escape what SARIF reads in plain text: links in brackets, and placeholders in braces."""
    return _SARIF_MARKUP.sub(r"\\\1", text).replace("{", "{{").replace("}", "}}")
