"""What other agents report to a session, in lines that look like the user's."""

from __future__ import annotations

from agentbreaker.transcripts.claude_reports import is_task, reports_in


def test_a_user_speaks_for_himself() -> None:
    """Plain words are his, also where they speak of teammates."""
    assert reports_in("Ask the teammate <b>now</b>.", {}) is None
    assert reports_in("", {}) is None


def test_teammates_are_told_apart() -> None:
    """Several may report in one line; that they are idle is nothing said."""
    text = (
        'Another session:\n<teammate-message teammate_id="ann" color="blue">\nFine.\n</teammate-message>\n'
        '<teammate-message teammate_id="bob">\n{"type":"idle_notification","from":"bob"}\n</teammate-message>'
        '<teammate-message teammate_id="cem">cut off'
    )
    assert reports_in(text, {}) == [("ann", "Fine."), ("cem", "cut off")]


def test_the_end_of_a_task_has_a_result_or_a_summary() -> None:
    """By the id of the task; one without words says nothing."""
    text = "<task-notification>\n<task-id>b7</task-id>\n<summary>make done</summary>\n</task-notification>"
    assert is_task(text)
    assert reports_in(text, {}) == [("b7", "make done")]
    assert reports_in(text.replace("summary", "status"), {}) == []
    assert reports_in(text.replace("summary", "result"), {}) == [("b7", "make done")]


def test_newer_lines_name_who_they_are_from() -> None:
    """A peer is no user; any other origin is."""
    assert reports_in("All pass.", {"kind": "peer", "from": "tester"}) == [("tester", "All pass.")]
    assert reports_in("All pass.", {"kind": "human"}) is None
    assert reports_in("All pass.", {"kind": "peer", "from": 7}) is None


def test_many_reports_take_time_in_proportion() -> None:
    """What nobody closes is looked through once."""
    assert len(reports_in("<teammate-message " * 100_000 + ">x", {}) or []) <= 1000
