"""Relay: the framework of the example in CONTRIBUTING.md, as small as one can be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from agentbreaker.message import Usage

__all__ = ["Asked", "Relay", "Reply"]


@dataclass(frozen=True)
class Asked:
    """A call of a tool."""

    name: str
    id: str
    arguments: dict[str, Any]


@dataclass(frozen=True)
class Reply:
    """What a model answers: words to another agent, or the call of a tool; `last` ends the run."""

    text: str = ""
    to: str | None = None
    call: Asked | None = None
    usage: Usage = field(default_factory=lambda: Usage(10, 5))
    last: bool = False


class Relay:
    """Agents that speak in turn; who is next is whom the last one spoke to.

    Args:
        first: Who speaks first.
        answers: Answers for an agent, given what was said so far.
        tools: What runs a tool.
        model_name: Name of the model of all of them.
    """

    def __init__(
        self,
        first: str,
        answers: Callable[[str, list[tuple[str, str]]], Reply],
        tools: Callable[[str, Asked], str],
        model_name: str = "gpt-4o-mini",
    ) -> None:
        self.model = answers
        self.tool = tools
        self.model_name = model_name
        self.history: list[tuple[str, str]] = []
        self._speaker = first
        self._stopped: str | None = None

    def stop(self, text: str) -> None:
        """End the run with a last message."""
        self._stopped = text

    def run(self, task: str) -> list[tuple[str, str]]:
        """Let the agents speak until one ends it."""
        self._stopped = None
        self.history.append(("user", task))
        while self._stopped is None:
            reply = self.model(self._speaker, list(self.history))
            if self._stopped is None and reply.call is not None:
                self.history.append((reply.call.name, self.tool(self._speaker, reply.call)))
            elif self._stopped is None:
                self.history.append((self._speaker, reply.text))
                self._speaker = reply.to or self._speaker
            if reply.last:
                return self.history
        self.history.append(("agentbreaker", self._stopped))
        return self.history
