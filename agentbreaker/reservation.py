"""Money held for a call before it begins: reserve, then settle."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType

    from agentbreaker.conversation import Conversation

__all__ = ["Reservation"]


class Reservation(AbstractContextManager["Reservation"]):
    """Tokens and money held for a call that is about to begin; made by :meth:`Guard.reserve`.

    Leaving the ``with`` block without :meth:`settle` gives everything back.
    """

    __slots__ = ("_conversation", "_cost_usd", "_open", "_tokens")

    def __init__(self, conversation: Conversation, tokens: int, cost_usd: float) -> None:
        self._conversation = conversation
        self._tokens = tokens
        self._cost_usd = cost_usd
        self._open = True

    def settle(self, *, tokens: int = 0, cost_usd: float = 0.0) -> None:
        """Give the reservation back and record what the call really cost.

        Leave the amounts at 0 if the message that is observed afterwards carries them; give them here if not.
        Settling twice does nothing.

        Args:
            tokens: Tokens spent, input and output.
            cost_usd: US dollars spent.
        """
        with self._conversation.lock:
            if not self._open:
                return
            self._open = False
            conversation = self._conversation
            conversation.reserved_tokens -= self._tokens
            conversation.reserved_usd -= self._cost_usd
            if tokens > 0:
                conversation.tokens += tokens
            if cost_usd > 0:
                conversation.cost_usd += cost_usd

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.settle()
