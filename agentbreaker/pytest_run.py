"""The fixture ``agentbreaker`` of the pytest plugin: run a graph, a team or a function, and assert on what came of it.

::

    def test_the_team_comes_to_an_end(agentbreaker):
        run = agentbreaker.run(graph, {"messages": [("user", "Plan the import.")]})
        run.assert_not_halted()
        run.assert_waste_at_most("10%")
        run.assert_cost_at_most(0.50)
        run.assert_cycles_at_most(3)
"""

from __future__ import annotations

import asyncio
import inspect
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from agentbreaker.check import share_of
from agentbreaker.errors import AgentBreakerError, ConversationHalted, ConversationHaltedError
from agentbreaker.graph import CallGraph
from agentbreaker.guard import Guard
from agentbreaker.incident import Incident
from agentbreaker.message import Message
from agentbreaker.policy import Policy
from agentbreaker.printable import printable
from agentbreaker.pytest_targets import prepare
from agentbreaker.report.terminal import no_command
from agentbreaker.verdict import Decision

__all__ = ["AgentBreaker", "Run", "add_properties", "policy_file", "share_spent"]


def policy_file(config: pytest.Config) -> Path | None:
    """Return the policy file of the option, else of the ini value, which is relative to the ini file."""
    option = config.getoption("--agentbreaker-policy")
    if option is not None:
        return config.invocation_params.dir / str(option)
    ini = config.getini("agentbreaker_policy")
    return None if not ini else (config.inipath.parent if config.inipath else config.rootpath) / str(ini)


def share_spent(tokens: int, all_tokens: int, messages: int, all_messages: int) -> float:
    """Return a share in [0, 1]: of the tokens, or of the messages where no tokens are known."""
    if all_tokens:
        return min(1.0, tokens / all_tokens)
    return min(1.0, messages / all_messages) if all_messages else 0.0


def add_properties(item: pytest.Item, figures: dict[str, object]) -> None:
    """Add figures to the properties of a test."""
    item.user_properties += [(f"agentbreaker.{name}", str(value)) for name, value in figures.items()]


class _RecordingGuard(Guard):
    """A guard that also remembers who walked in circles; it decides like any other."""

    def __init__(self, policy: Policy, on_incident: Callable[[Incident], object]) -> None:
        super().__init__(policy, on_incident=on_incident)
        self.seen: dict[str, int] = {}
        self.cycles = Counter[tuple[str, ...]]()
        self._graphs: dict[str, CallGraph] = {}

    def observe(self, message: Message) -> Decision:
        """Note the message, and decide."""
        name = message.conversation_id
        self.seen[name] = self.seen.get(name, 0) + 1
        # The turns of a person are no step of an agent.
        if message.kind != "system" and message.role != "user":
            graph = self._graphs.setdefault(name, CallGraph())
            cycle = graph.add(message.sender, message.recipient, inferred=message.inferred)
            if cycle is not None and len(cycle) > 1:
                first = cycle.index(min(cycle))
                self.cycles[cycle[first:] + cycle[:first]] += 1
        return super().observe(message)


@dataclass(slots=True)
class Run:
    """What came of everything that ran under the guard of a test so far.

    Attributes:
        result: What the graph, team or function returned; ``None`` where a halt ended it by an exception.
        incidents: The evidence of each halt, first to last.
        messages, tokens, cost_usd: Totals over all conversations, as the guard counted them.
        unpriced_tokens: Of the tokens, those whose price is not known; `cost_usd` is that of the others.
        waste: Share of the tokens (messages, where no tokens are known) that was spent in loops that were halted.
        cycles: How often each circle of agents was walked, from the name that sorts first on.
    """

    result: Any
    incidents: tuple[Incident, ...]
    messages: int
    tokens: int
    cost_usd: float
    unpriced_tokens: int
    waste: float
    cycles: dict[tuple[str, ...], int] = field(default_factory=dict)

    @property
    def halted(self) -> bool:
        """Whether the breaker of any conversation opened."""
        return bool(self.incidents)

    def assert_not_halted(self) -> None:
        """Fail with the evidence if the breaker opened."""
        __tracebackhide__ = True
        if self.incidents:
            pytest.fail("halted\n" + no_command("\n\n".join(each.to_text() for each in self.incidents)), pytrace=False)

    def assert_halted(self, code: str | None = None, *, by: int | None = None) -> None:
        """Fail unless the breaker opened: the test of the breaker itself, or of agents that are made to loop.

        Args:
            code: Only a halt that this detector decided counts.
            by: Only a halt on this message of its conversation (from 0) or an earlier one counts.
        """
        __tracebackhide__ = True
        found = [f"{incident.code} at message {incident.halted_at}" for incident in self.incidents]
        if not any(
            code in (None, incident.code) and (by is None or incident.halted_at <= by) for incident in self.incidents
        ):
            wanted = (f" by {code}" if code else "") + (f" at message {by} at the latest" if by is not None else "")
            pytest.fail(f"not halted{wanted}; halts: {', '.join(found) or 'none'}", pytrace=False)

    def assert_waste_at_most(self, share: str | float) -> None:
        """Fail if more than this share (``"10%"`` or ``0.1``) was spent in loops."""
        __tracebackhide__ = True
        limit = share_of(str(share), "share")
        if self.waste > limit:
            pytest.fail(f"{100 * self.waste:.1f} % wasted in loops, the limit is {100 * limit:g} %", pytrace=False)

    def assert_cost_at_most(self, usd: float) -> None:
        """Fail if it cost more US dollars, or if the price of some tokens is not known."""
        __tracebackhide__ = True
        if self.cost_usd > usd:
            pytest.fail(f"it cost ${self.cost_usd:,.4f}, the limit is ${usd:,.4f}", pytrace=False)
        if self.unpriced_tokens:
            pytest.fail(
                f"the cost is not known: {self.unpriced_tokens:,} of {self.tokens:,} tokens have no price",
                pytrace=False,
            )

    def assert_cycles_at_most(self, laps: int) -> None:
        """Fail if agents walked the same circle more often; 0: agents that must not go in circles at all."""
        __tracebackhide__ = True
        over = [
            f"{no_command(' > '.join(map(printable, path)))}: {count}"
            for path, count in self.cycles.items()
            if count > laps
        ]
        if over:
            pytest.fail(f"more than {laps} laps of\n  " + "\n  ".join(sorted(over)), pytrace=False)


class AgentBreaker:
    """The fixture ``agentbreaker``: runs what a test wants to run, under a guard of its own.

    Args:
        policy: The policy of the guard.

    """

    def __init__(self, policy: Policy) -> None:
        self._incidents: list[Incident] = []
        self._attached: list[Any] = []
        self._runner: asyncio.Runner | None = None
        self._guard = _RecordingGuard(policy, self._incidents.append)

    @property
    def guard(self) -> Guard:
        """The guard of this test, for tests that attach it themselves."""
        return self._guard

    @classmethod
    def of_test(cls, request: pytest.FixtureRequest) -> AgentBreaker:
        """Make the fixture of a test, with the policy of its marker laid over the file of the configuration.

        Raises:
            pytest.UsageError: The policy cannot be used, or the marker has positional arguments.
        """
        marker = request.node.get_closest_marker("agentbreaker")
        sections = dict(marker.kwargs) if marker is not None else {}
        if marker is not None and marker.args:
            raise pytest.UsageError("the marker agentbreaker takes policy=FILE and sections by name")
        path = sections.pop("policy", None)
        file = policy_file(request.config) if path is None else request.config.rootpath / path
        try:
            return cls(Policy(file, **sections))
        except AgentBreakerError as error:
            raise pytest.UsageError(printable(str(error), limit=2000)) from None

    def run(self, target: Any, *args: Any, **kwargs: Any) -> Run:
        """Run something under the guard, and return what came of it; a halt is no exception here.

        Args:
            target: A compiled LangGraph graph, which is invoked; a team of AutoGen AgentChat, an agent or a workflow of
                Agent Framework, or a :class:`~agentbreaker.bus.Bus`, which is run; an agent of AG2 1.x, which is
                asked; or a function, which is called: LangGraph graphs that run inside of it are watched, and it is
                given the guard, by name, if it has a parameter `guard`, to attach it to anything else.
            *args: For ``graph.invoke``, ``team.run``, ``workflow.run``, ``agent.ask`` or the function.
            **kwargs: Likewise.

        Raises:
            TypeError: `target` is none of these, or is an asynchronous function, or an asynchronous team in a test
                that is asynchronous; use :meth:`arun`.
        """
        prepared = prepare(target, self._guard, self._attached, kwargs, waits=False)
        if prepared.waits and _loop_is_running():
            raise TypeError("an event loop is running; use `await agentbreaker.arun(...)`")
        with prepared.watching:
            try:
                if prepared.waits:
                    result = self._loop().run(_awaited(prepared.call, args, kwargs))
                else:
                    result = prepared.call(*args, **kwargs)
            except (ConversationHalted, ConversationHaltedError) as halt:
                self._of_ours(halt)
                result = None
            if inspect.isawaitable(result):
                if inspect.iscoroutine(result):
                    result.close()
                raise TypeError("the target is asynchronous; use `await agentbreaker.arun(...)`")
        return self.report(result)

    async def arun(self, target: Any, *args: Any, **kwargs: Any) -> Run:
        """Do what :meth:`run` does in an asynchronous test, and with a function that returns an awaitable."""
        prepared = prepare(target, self._guard, self._attached, kwargs, waits=True)
        with prepared.watching:
            try:
                result = prepared.call(*args, **kwargs)
                if inspect.isawaitable(result):
                    result = await result
            except (ConversationHalted, ConversationHaltedError) as halt:
                self._of_ours(halt)
                result = None
        return self.report(result)

    def report(self, result: Any = None) -> Run:
        """Return what the guard has seen so far; for tests that use :attr:`guard` themselves."""
        guard = self._guard
        accounts = {name: guard.account(name) for name in guard.seen}
        tokens = sum(account.tokens for account in accounts.values())
        messages = sum(account.messages for account in accounts.values())
        return Run(
            result=result,
            incidents=tuple(self._incidents),
            messages=messages,
            tokens=tokens,
            cost_usd=sum(account.cost_usd for account in accounts.values()),
            unpriced_tokens=sum(account.unpriced_tokens for account in accounts.values()),
            waste=share_spent(
                sum(incident.loop_tokens for incident in self._incidents),
                tokens,
                sum(incident.halted_at - incident.began_at + 1 for incident in self._incidents),
                messages,
            ),
            cycles=dict(guard.cycles),
        )

    def record(self, item: pytest.Item) -> None:
        """Add the figures to the test's properties, if anything ran."""
        if not self._guard.seen:
            return
        run = self.report()
        add_properties(
            item,
            {
                "messages": run.messages,
                "tokens": run.tokens,
                "cost_usd": round(run.cost_usd, 6),
                "waste": round(run.waste, 6),
                "halts": len(run.incidents),
                "most_laps": max(run.cycles.values(), default=0),
            },
        )

    def _loop(self) -> asyncio.Runner:
        """One loop for all runs of a test: a team of AutoGen belongs to the loop that it ran in first."""
        if self._runner is None:
            self._runner = asyncio.Runner()
        return self._runner

    def close(self) -> None:
        """Close the loop that the test was given, if any."""
        if self._runner is not None:
            self._runner.close()

    def _of_ours(self, halt: ConversationHalted | ConversationHaltedError) -> None:
        """A halt of another guard is not the business of this test."""
        if halt.conversation_id not in self._guard.seen:
            raise halt


async def _awaited(call: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Call within the loop: some frameworks look for it already then."""
    return await call(*args, **kwargs)


def _loop_is_running() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
