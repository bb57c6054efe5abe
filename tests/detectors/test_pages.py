"""The manual pages: every registered detector has one, complete, with an example that runs and options that exist."""

from __future__ import annotations

import doctest
import inspect
import re

import pytest

from agentbreaker import Policy
from agentbreaker.detectors import DETECTORS

CODES = sorted(DETECTORS)
HEADINGS = (
    "What it sees",
    "Why it matters",
    "Example",
    "What resets it",
    "Known false positives",
    "Known evasions",
    "Options",
    "Reference",
)
HOW = "a page needs, in this order: " + ", ".join(f"`{heading}:`" for heading in HEADINGS) + " (see CONTRIBUTING.md)"
WIDTH = 80
MOST_LINES = 12
#: ``section.key`` (unit; default value), perhaps over the end of a line.
OPTION = re.compile(r"``(\w+\.\w+)``(?:\s+\(([^;()]+);\s+default\s+([^()]+)\))?")


def page(code: str) -> str:
    """What `explain` prints."""
    return inspect.cleandoc(DETECTORS[code].__doc__ or "")


def sections(code: str) -> dict[str, str]:
    """The text of each heading, in the order of the page."""
    found: dict[str, str] = {}
    heading = ""
    for line in page(code).splitlines()[1:]:
        if line and not line.startswith(" "):
            assert line.endswith(":"), f"{code}: {line!r} is neither a heading nor indented; {HOW}"
            heading = line[:-1]
            assert heading not in found, f"{code}: `{heading}:` twice"
            found[heading] = ""
        elif line:
            assert heading, f"{code}: {line!r} stands before the first heading; {HOW}"
            found[heading] += line + "\n"
    return found


def example(code: str) -> list[doctest.Example]:
    """The statements of the example with what they print."""
    return doctest.DocTestParser().get_examples(inspect.cleandoc(sections(code).get("Example", "")))


def default_of(key: str) -> str | None:
    """How the page has to state the default of a policy key; ``None`` if there is no such key."""
    section, _, name = key.partition(".")
    table = getattr(Policy().settings, section, None)
    if table is None or name not in type(table).model_fields:
        return None
    value = getattr(table, name)
    if value is None:
        return "no cap" if section == "budgets" else "off"
    return f"{value:g}" if isinstance(value, int | float) and not isinstance(value, bool) else str(value)


@pytest.mark.parametrize("code", CODES)
def test_the_page_has_every_heading_in_order(code: str) -> None:
    """Name and code, then all headings in order, each with a text."""
    kind = DETECTORS[code]
    assert page(code).splitlines()[0] == f"{kind.name} ({code})", f"{code}: the first line is `name (CODE)`"
    found = sections(code)
    missing = [heading for heading in HEADINGS if heading not in found]
    assert not missing, f"{code}: no `{missing[0]}:`; {HOW}"
    assert tuple(found) == HEADINGS, f"{code}: {HOW}"
    empty = [heading for heading in HEADINGS if not found[heading].strip()]
    assert not empty, f"{code}: nothing below `{empty[0]}:`"


@pytest.mark.parametrize("code", CODES)
def test_the_page_fits_a_terminal(code: str) -> None:
    """No line is wider than 80 columns: `explain` prints the page as it stands."""
    wide = [line for line in page(code).splitlines() if len(line) > WIDTH]
    assert not wide, f"{code}: wider than {WIDTH} columns: {wide[0]!r}"


@pytest.mark.parametrize("code", CODES)
def test_the_example_runs_and_shows_the_code(code: str) -> None:
    """The example builds a guard, feeds it messages, and prints the code of this detector, as the page says."""
    text = sections(code).get("Example", "")
    statements = example(code)
    assert statements, f"{code}: `Example:` has no `>>>` snippet"
    assert not text.lstrip().startswith(">>>"), f"{code}: `Example:` begins with a sentence"
    assert sum(statement.source.count("\n") for statement in statements) <= MOST_LINES, f"{code}: a shorter example"
    source = "".join(statement.source for statement in statements)
    assert "Guard(" in source, f"{code}: the example builds a Guard"
    assert ".observe(" in source, f"{code}: the example feeds messages to it"
    assert code in statements[-1].want, f"{code}: the example ends with the code that decides"
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    runner = doctest.DocTestRunner(verbose=False, optionflags=flags)
    said: list[str] = []
    runner.run(doctest.DocTest(statements, {}, code, None, None, None), out=said.append)
    assert runner.summarize(verbose=False).failed == 0, "".join(said)


@pytest.mark.parametrize("code", CODES)
def test_the_options_exist_with_unit_and_default(code: str) -> None:
    """Each option is a key of the policy, with a unit and the default in force."""
    options = OPTION.findall(sections(code).get("Options", ""))
    assert options, f"{code}: `Options:` names no policy key, such as ``ladder.halt`` (messages' worth; default 4)"
    for key, unit, default in options:
        expected = default_of(key)
        assert expected is not None, f"{code}: the policy has no {key}"
        assert unit.strip(), f"{code}: write ``{key}`` (unit; default {expected})"
        assert default == expected, f"{code}: the default of {key} is {expected}, not {default or 'left out'}"


@pytest.mark.parametrize("code", CODES)
def test_the_reference_names_a_source(code: str) -> None:
    """A paper, book or standard with its year."""
    reference = sections(code).get("Reference", "")
    assert re.search(r"\b(?:19|20)\d\d\b", reference), f"{code}: `Reference:` names a source with its year"
