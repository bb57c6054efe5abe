"""Zero touch: LangGraph graphs that run inside a ``with`` block are watched, also in code that cannot be edited."""

from __future__ import annotations

from contextvars import ContextVar, Token
from types import TracebackType
from typing import TYPE_CHECKING

from langchain_core.tracers.context import register_configure_hook

from agentbreaker.integrations.langgraph import LangGraphBreaker

if TYPE_CHECKING:
    from agentbreaker.guard import Guard
    from agentbreaker.policy import Policy

__all__ = ["Watch"]

_watching: ContextVar[LangGraphBreaker | None] = ContextVar("agentbreaker_watching", default=None)
# A graph that has a breaker of its own keeps it: LangChain adds ours only where no other of the class is attached.
register_configure_hook(_watching, True, LangGraphBreaker)


class Watch:
    """What :func:`agentbreaker.watch` returns: a context manager, plain and asynchronous, that yields the breaker."""

    def __init__(self, guard: Guard | None, policy: Policy | None, conversation_id: str | None) -> None:
        self._breaker = LangGraphBreaker(guard, policy=policy, conversation_id=conversation_id)
        self._tokens: list[Token[LangGraphBreaker | None]] = []

    def __enter__(self) -> LangGraphBreaker:
        self._tokens.append(_watching.set(self._breaker))
        return self._breaker

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _watching.reset(self._tokens.pop())

    async def __aenter__(self) -> LangGraphBreaker:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)
