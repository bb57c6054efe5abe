"""Large artefacts: versions of the same one, quotations of another's, and what is none."""

from __future__ import annotations

from agentbreaker.artefacts import QUOTED, SAME_ARTEFACT, SMALLEST_ARTEFACT, Artefacts

CODE = "\n".join(
    f"def harvest_{name}(field):\n    return field.{name} * season.{name}" for name in ["rye", "oats", "flax"]
)
REPORT = "\n".join(
    f"The {name} was sown late, and the {name} came up well in spite of the rain." for name in CODE.split()
)


def test_a_version_with_a_few_edits_is_the_same_artefact() -> None:
    """The share of its lines that the sender's previous one had; figures make no new line."""
    artefacts = Artefacts()
    assert artefacts.resent("writer", REPORT) == 0.0
    share = artefacts.resent("writer", REPORT.replace("well", "badly", 1))
    assert share is not None
    assert SAME_ARTEFACT < share < 1.0


def test_short_messages_are_no_artefacts() -> None:
    """Short ones, and long ones of a single line."""
    artefacts = Artefacts()
    assert artefacts.resent("writer", REPORT[: SMALLEST_ARTEFACT - 1]) is None
    assert artefacts.resent("writer", "word " * SMALLEST_ARTEFACT) is None


def test_a_prompt_that_carries_anothers_artefact_along_is_a_quotation() -> None:
    """It takes no part in the comparison: neither its own sender's versions nor the author's are forgotten."""
    artefacts = Artefacts()
    artefacts.resent("writer", REPORT)
    assert artefacts.resent("reviewer", f"Please look at this:\n{REPORT}\nWhat should change?") == QUOTED
    assert artefacts.resent("reviewer", f"And once more:\n{REPORT}") == QUOTED
    assert artefacts.resent("writer", REPORT) == 1.0


def test_an_artefact_of_ones_own_is_no_quotation() -> None:
    """Another text of another agent is its first version, and may become its second."""
    artefacts = Artefacts()
    artefacts.resent("writer", REPORT)
    other = REPORT.replace("sown", "mown").replace("came up", "went down").replace("late", "early")
    assert artefacts.resent("reviewer", other) == 0.0
    assert artefacts.resent("reviewer", other) == 1.0


def test_ones_own_work_with_more_about_it_is_a_quotation_if_nobody_spoke_since() -> None:
    """A version, and at once a prompt that carries it; alone, or after an answer, it is the same artefact again."""
    artefacts = Artefacts()
    artefacts.resent("writer", REPORT)
    prompt = f"{REPORT}\nPlease read all of it, and say what should change."
    assert artefacts.resent("writer", prompt, goes_on=True) == QUOTED
    assert artefacts.resent("writer", REPORT, goes_on=True) == 1.0
    again = artefacts.resent("writer", prompt)
    assert again is not None
    assert again > SAME_ARTEFACT
