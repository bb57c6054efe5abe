"""The entry of the pytest plugin: options, and a fixture.  Everything else is loaded when it is asked for.

pytest imports this module in every run of every project that has agentbreaker installed, so it lies outside of the
package, whose import takes a third of a second, and imports nothing but pytest.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from agentbreaker.pytest_run import AgentBreaker


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("agentbreaker", "agentbreaker: recorded conversations as tests")
    group.addoption(
        "--agentbreaker",
        action="append",
        default=[],
        metavar="PATH",
        help="Transcripts (a file, a folder or a glob): each conversation becomes a test, which fails on a halt.",
    )
    group.addoption(
        "--agentbreaker-policy",
        metavar="FILE",
        help="Policy file of these tests and of the fixture `agentbreaker`, instead of the ini value.",
    )
    group.addoption(
        "--agentbreaker-fail-on",
        choices=("halt", "warn", "none"),
        default="halt",
        help="What a conversation must not come to (default: halt).",
    )
    group.addoption(
        "--agentbreaker-max-waste",
        metavar="SHARE",
        help="Fail if a larger share of a conversation's tokens (messages, where none are on record) lies in a loop; "
        "10%% or 0.1.",
    )
    group.addoption(
        "--agentbreaker-max-cost", metavar="USD", help="Fail if a conversation costs more US dollars than this."
    )
    parser.addini("agentbreaker_policy", "Policy file of agentbreaker, relative to this file.", default=None)


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line(
        "markers",
        "agentbreaker(policy=FILE, **sections): policy of the fixture `agentbreaker`; the tests made of transcripts "
        "have this marker too.",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(session: pytest.Session, config: pytest.Config, items: list[pytest.Item]) -> None:
    """Add a test for each conversation of the transcripts that were named, before any selection."""
    if config.getoption("--agentbreaker"):
        from agentbreaker.pytest_plugin import transcript_items

        items += transcript_items(session)


@pytest.fixture
def agentbreaker(request: pytest.FixtureRequest) -> Iterator[AgentBreaker]:
    """Run a graph, a team or a function under a guard, and assert on halts, waste, cost and cycles."""
    from agentbreaker.pytest_run import AgentBreaker

    breaker = AgentBreaker.of_test(request)
    try:
        yield breaker
    finally:
        breaker.close()
    breaker.record(request.node)
