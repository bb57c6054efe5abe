"""What the fixture ``agentbreaker`` can run, and how each is put under the guard of a test.

Nothing is imported for its sake: a framework that is not loaded has nothing that could be run.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from agentbreaker.guard import Guard

__all__ = ["Prepared", "prepare"]

_KNOWN = (
    "a compiled LangGraph graph, a team of AutoGen AgentChat, an agent or workflow of Agent Framework, an agent of "
    "AG2, a Bus or a function"
)


@dataclass(slots=True, frozen=True)
class Prepared:
    """How to run a target.

    Attributes:
        call: What to call with the arguments of the test.
        watching: Holds while it runs.
        waits: What `call` returns has to be awaited, also where the test is not asynchronous.
    """

    call: Callable[..., Any]
    watching: AbstractContextManager[Any]
    waits: bool = False


def prepare(target: Any, guard: Guard, attached: list[Any], kwargs: dict[str, Any], *, waits: bool) -> Prepared:
    """Put a target under a guard.

    Args:
        target: What a test wants to run.
        guard: The guard of the test.
        attached: What is under it already; a target that keeps its guard is added.
        kwargs: Arguments for the target; a function that has a parameter `guard` gets the guard.
        waits: Whether the test is asynchronous.

    Raises:
        TypeError: It cannot be run, or has a guard of its own.
    """
    from agentbreaker.bus import Bus

    if _is(target, "langgraph.pregel", "Pregel"):
        from agentbreaker.integrations.langgraph import guard_graph

        return Prepared(getattr(guard_graph(target, guard), "ainvoke" if waits else "invoke"), nullcontext())
    if isinstance(target, Bus):
        return Prepared(target.arun if waits else target.run, _Lent(target, guard))
    for attach in (_autogen, _agent_framework, _ag2):
        if (call := attach(target, guard, attached)) is not None:
            return Prepared(call, nullcontext(), waits=True)
    if type(target).__name__ == "GuardedGraph":
        raise TypeError("this graph has a guard of its own; give the graph that it was made of")
    if not callable(target):
        raise TypeError(f"cannot run {type(target).__name__}: give {_KNOWN}")
    if "guard" in _parameters(target):
        kwargs.setdefault("guard", guard)
    return Prepared(target, _watching(guard))


def _is(target: Any, module: str, name: str) -> bool:
    """Whether it is an instance of a class of a module that is loaded."""
    kind = getattr(sys.modules.get(module), name, None)
    return kind is not None and isinstance(target, kind)


def _autogen(target: Any, guard: Guard, attached: list[Any]) -> Callable[..., Any] | None:
    if not _is(target, "autogen_agentchat.teams", "BaseGroupChat"):
        return None
    if all(one is not target for one in attached):
        from agentbreaker.integrations.autogen import guard_team

        guard_team(target, guard)
        attached.append(target)
    run: Callable[..., Any] = target.run
    return run


def _agent_framework(target: Any, guard: Guard, _: list[Any]) -> Callable[..., Any] | None:
    workflow = _is(target, "agent_framework", "Workflow")
    if not workflow and not _is(target, "agent_framework", "Agent"):
        return None
    from agentbreaker.integrations.agent_framework import AgentFrameworkBreaker

    breaker = AgentFrameworkBreaker(guard, on_halt="finish")
    if workflow:
        run: Callable[..., Any] = breaker.attach(target).run
        return run

    def run_agent(*args: Any, middleware: Any = (), **kwargs: Any) -> Any:
        return target.run(*args, middleware=[*(middleware or ()), breaker], **kwargs)

    return run_agent


def _ag2(target: Any, guard: Guard, attached: list[Any]) -> Callable[..., Any] | None:
    if not _is(target, "ag2", "Agent"):
        return None
    if all(one is not target for one in attached):
        from agentbreaker.integrations.ag2 import AG2Breaker

        AG2Breaker(guard).attach(target)
        attached.append(target)
    ask: Callable[..., Any] = target.ask
    return ask


def _watching(guard: Guard) -> AbstractContextManager[Any]:
    """Watch LangGraph where it is in use."""
    if "langgraph" not in sys.modules:
        return nullcontext()
    from agentbreaker import watch

    return watch(guard)


class _Lent(AbstractContextManager[None]):
    """A bus with another guard, for as long as it runs."""

    def __init__(self, bus: Any, guard: Guard) -> None:
        self._bus, self._guard, self._own = bus, guard, bus.guard

    def __enter__(self) -> None:
        self._bus.guard = self._guard

    def __exit__(self, *_: object) -> None:
        self._bus.guard = self._own


def _parameters(function: Callable[..., Any]) -> set[str]:
    try:
        return set(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        return set()
