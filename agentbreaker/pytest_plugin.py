"""What the pytest plugin does once it is asked: recorded conversations as tests.

The plugin's entry is ``_entry/_agentbreaker_pytest.py``, which is light and installed beside the package; its fixture
is in :mod:`agentbreaker.pytest_run`.  ``pytest --agentbreaker runs/`` makes a test of each conversation, and
``-m agentbreaker`` selects them.  The figures are properties of the test in ``--junit-xml``.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import pytest

from agentbreaker.check import Checked, CheckReport, FailOn, Limits, check, money_of, share_of
from agentbreaker.errors import AgentBreakerError, TranscriptError
from agentbreaker.policy import Policy
from agentbreaker.printable import printable
from agentbreaker.pytest_run import add_properties, policy_file, share_spent
from agentbreaker.replay import read_sources
from agentbreaker.report.terminal import no_command
from agentbreaker.transcripts import FoundFile, expand_paths, is_recording, read_transcript

__all__ = ["transcript_items"]

_MAX_WASTE, _MAX_COST = "--agentbreaker-max-waste", "--agentbreaker-max-cost"


def transcript_items(session: pytest.Session) -> list[pytest.Item]:
    """Return a test for each conversation of the transcripts that the options name.

    Raises:
        pytest.UsageError: There is no such transcript, or policy or limits cannot be used.
    """
    config = session.config
    option = config.getoption
    try:
        limits = Limits(
            FailOn(option("--agentbreaker-fail-on")),
            None if (share := option(_MAX_WASTE)) is None else share_of(share, _MAX_WASTE),
            None if (usd := option(_MAX_COST)) is None else money_of(usd, _MAX_COST),
        )
        policy = Policy(policy_file(config))
        start = config.invocation_params.dir
        files = expand_paths([str(start / path) for path in option("--agentbreaker")])
    except AgentBreakerError as error:
        raise pytest.UsageError(printable(str(error), limit=2000)) from None
    items: list[pytest.Item] = []
    for path in files:
        if isinstance(path, FoundFile) and not is_recording(path):
            continue
        file: _TranscriptFile = _TranscriptFile.from_parent(session, path=Path(path))
        file.policy, file.limits = policy, limits
        items += file.collect()
    return items


class _TranscriptFile(pytest.File):
    """A transcript; its conversations are checked together, when the first of them is run."""

    policy: Policy
    limits: Limits

    def collect(self) -> Iterator[_ConversationItem]:
        """Yield a test for each conversation, or one that says why the file cannot be read."""
        ids: dict[str, None] = {}
        try:
            for message in read_transcript(self.path, strict=True):
                ids.setdefault(message.conversation_id)
        except TranscriptError as error:
            yield self._item("unreadable", None, error)
            return
        names = Counter[str]()
        for conversation_id in ids:
            name = no_command(printable(conversation_id))
            names[name] += 1
            yield self._item(name if names[name] == 1 else f"{name} ({names[name]})", conversation_id, None)

    def _item(self, name: str, conversation_id: str | None, error: TranscriptError | None) -> _ConversationItem:
        item: _ConversationItem = _ConversationItem.from_parent(self, name=name)
        item.conversation_id, item.error = conversation_id, error
        item.add_marker("agentbreaker")
        return item

    @cached_property
    def checked(self) -> dict[str, Checked]:
        """What came of each conversation."""
        report: CheckReport = check(read_sources([self.path], strict=True), self.policy, self.limits)
        return {one.report.conversation_id: one for one in report.conversations}


class _Untolerated(Exception):  # noqa: N818 - it is no error of anybody's code
    """A conversation that its limits do not tolerate; the text is for people, and safe to print."""


class _ConversationItem(pytest.Item):
    """The test of one recorded conversation."""

    conversation_id: str | None
    error: TranscriptError | None

    def runtest(self) -> None:
        """Fail on what is not tolerated."""
        if self.error is not None or self.conversation_id is None:
            raise _Untolerated(printable(str(self.error), limit=2000))
        file = cast(_TranscriptFile, self.parent)
        one = file.checked[self.conversation_id]
        report, limits = one.report, file.limits
        waste = share_spent(one.wasted_tokens, report.tokens, one.wasted_messages, report.messages)
        add_properties(
            self,
            {
                "messages": report.messages,
                "tokens": report.tokens,
                "cost_usd": round(report.cost_usd, 6),
                "waste": round(waste, 6),
                "halted_at": "" if report.halted_at is None else report.halted_at,
                "detector": report.detector or "",
            },
        )
        reasons = []
        if one.finding is not None and one.finding.fails:
            reasons.append(report.incident_text or one.finding.sentence)
        if limits.max_waste is not None and waste > limits.max_waste:
            reasons.append(f"{100 * waste:.1f} % wasted in a loop, the limit is {100 * limits.max_waste:g} %")
        if limits.max_cost_usd is not None and report.cost_usd > limits.max_cost_usd:
            reasons.append(f"cost ${report.cost_usd:,.4f}, the limit is ${limits.max_cost_usd:,.4f}")
        if reasons:
            raise _Untolerated(no_command("\n".join(reasons)))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Show the evidence, not a traceback."""
        if isinstance(excinfo.value, _Untolerated):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[os.PathLike[str] | str, int | None, str]:
        """Say where the test is from."""
        return self.path, None, self.name
