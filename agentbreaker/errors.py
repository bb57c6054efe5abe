"""The errors that agentbreaker raises, and the one halt that is not an error.

Every error of ours derives from :class:`AgentBreakerError` and carries its facts as attributes, so that a caller
can act on them without parsing text.  :class:`ConversationHalted` derives from ``BaseException`` on purpose: agent
frameworks retry, swallow or hand to the model whatever derives from ``Exception``, and a halt must survive them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agentbreaker.verdict import Decision

__all__ = [
    "AgentBreakerError",
    "ConfigError",
    "ConversationHalted",
    "ConversationHaltedError",
    "TranscriptError",
]


class AgentBreakerError(Exception):
    """Base of all errors that agentbreaker raises on purpose."""


class ConfigError(AgentBreakerError):
    """A policy or an argument cannot be used.

    Attributes:
        source: File the value came from, or ``None`` for keyword arguments.
        field: Dotted name of the offending field (``"ladder.halt"``), or ``None``.
    """

    def __init__(self, message: str, *, source: str | None = None, field: str | None = None) -> None:
        self.source = source
        self.field = field
        super().__init__(message)


class TranscriptError(AgentBreakerError):
    """A recorded transcript, or one line of it, cannot be read.

    Attributes:
        path: File as the user named it, ``"-"`` for standard input.
        line: Number of the line, counted from 1, or ``None`` when the whole file is meant.
        field: Name of the field that is missing or has the wrong type, or ``None``.
        reason: What is wrong, without the place.
    """

    def __init__(self, reason: str, *, path: str, line: int | None = None, field: str | None = None) -> None:
        self.path = path
        self.line = line
        self.field = field
        self.reason = reason
        super().__init__(reason)

    def __str__(self) -> str:
        place = self.path if self.line is None else f"{self.path}:{self.line}"
        return f"{place}: {self.reason}" if self.field is None else f"{place}: {self.field}: {self.reason}"


class ConversationHalted(BaseException):
    """The breaker of this conversation is open; no further paid step may begin.

    Not an error: catch it at the edge of the application, never inside an agent.  It derives from ``BaseException``
    because ``except Exception``, retry policies and fallbacks would otherwise run the halted step again.

    Attributes:
        decision: The standing :class:`~agentbreaker.verdict.Decision`.
        conversation_id: The conversation that was halted.
        retry_after: Seconds until the breaker lets one lap through, ``None`` when only a person can resume.
        state: What the conversation had come to, where the integration knows it; else ``None``.
    """

    def __init__(self, decision: Decision, conversation_id: str, state: Any = None) -> None:
        self.decision = decision
        self.conversation_id = conversation_id
        self.retry_after = decision.retry_after
        self.state = state
        super().__init__(decision.reason)


class ConversationHaltedError(AgentBreakerError):
    """The same halt as an ordinary exception, for code bases that forbid ``BaseException`` (``halt_as="exception"``).

    Attributes:
        decision, conversation_id, retry_after, state: As on :class:`ConversationHalted`.
    """

    def __init__(self, decision: Decision, conversation_id: str, state: Any = None) -> None:
        self.decision = decision
        self.conversation_id = conversation_id
        self.retry_after = decision.retry_after
        self.state = state
        super().__init__(decision.reason)
