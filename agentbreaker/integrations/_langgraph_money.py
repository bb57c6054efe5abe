"""Money of LangChain model calls: the worst case is held before a call, the price is counted after it.

Used by the callbacks and by the middleware.  Nothing is held, and nothing estimated, for a policy without a budget of
tokens or money.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from langchain_core.messages import BaseMessage

from agentbreaker.guard import Guard
from agentbreaker.message import Message, Usage
from agentbreaker.pricing import Bill, Pricing
from agentbreaker.reservation import Reservation

__all__ = ["Money", "estimate_tokens", "model_limits"]

#: Bytes of UTF-8 for a token, at the least: English has 4, source code 3, Chinese 2 to 3, digits and hashes 2.
_BYTES_PER_TOKEN = 2
#: Tokens around each message, and for each part of one that is not text, such as a picture.
_PER_MESSAGE = 16
_PER_BLOB = 2048
_MAX_NAMES = 16
_LIMITS = ("max_tokens", "max_completion_tokens", "max_output_tokens", "num_predict")
_NAMES = ("model_name", "model", "model_id", "deployment_name")


def estimate_tokens(messages: Iterable[Any], tools: Any = None) -> int:
    """Return how many input tokens these messages and tools make at most: what a budget is to be held for."""
    total = 0
    for message in messages:
        total += _PER_MESSAGE
        if not isinstance(message, BaseMessage):
            total += _tokens(str(message))
            continue
        for part in message.content if isinstance(message.content, list) else [message.content]:
            text = part if isinstance(part, str) else part.get("text") if isinstance(part, Mapping) else None
            total += _tokens(text) if isinstance(text, str) else _PER_BLOB
        for call in getattr(message, "tool_calls", None) or ():
            total += _PER_MESSAGE + _tokens(str(call.get("name"))) + _tokens(str(call.get("args")))
    return total + (_tokens(str(tools)) if tools else 0)


def model_limits(*sources: Mapping[str, Any] | object | None) -> tuple[str | None, int | None]:
    """Return a model's name and the most tokens that it may write, from its parameters or the model itself."""
    name: str | None = None
    most: int | None = None
    for source in sources:
        for key in _NAMES:
            value = _get(source, key)
            if name is None and isinstance(value, str) and value:
                name = value
        for key in _LIMITS:
            value = _get(source, key)
            if most is None and isinstance(value, int) and not isinstance(value, bool) and value > 0:
                most = value
    return name, most


class Money:
    """Holds the worst case of each model call while it runs.  Thread-safe.

    Args:
        guard: Whose budgets are meant.
        pricing: Prices, and the ceiling for models that have none of their own.
    """

    def __init__(self, guard: Guard, pricing: Pricing) -> None:
        self.pricing = pricing
        self._guard = guard
        self._lock = threading.Lock()
        self._held: dict[UUID, Reservation] = {}
        self._names: dict[str, None] = {}  # models that answered, to assume the dearest where a call names none

    @property
    def asked(self) -> bool:
        """Whether the policy has a budget that reservations are for."""
        budgets = self._guard.policy.settings.budgets
        return budgets.max_tokens is not None or budgets.max_cost_usd is not None

    def price(self, message: Message) -> Message:
        """Put the price on a message that carries the tokens of a model, and return it."""
        usage = message.usage
        if usage is None or message.cost_usd is not None:
            return message
        if not isinstance(usage, Bill):
            message.cost_usd = self.pricing.cost(message.model, usage)
        else:
            message.cost_usd = usage.price
            unseen = usage.total - usage.priced_tokens - usage.unpriced_tokens
            if unseen > 0:  # part of it came from calls that nobody told of: all of it at the price of the model
                message.cost_usd = self.pricing.quote(message.model, usage)
        return message

    def hold(
        self, run_id: UUID, conversation_id: str, messages: Iterable[Any], *sources: Any, tools: Any = None
    ) -> None:
        """Hold the most that a call can cost.

        Args:
            run_id: The call.
            conversation_id: Who pays.
            messages: What the model will read.
            sources: Where its name and its limit may stand: parameters, metadata, the model; first found, first taken.
            tools: The tools that are described to it.

        Raises:
            ConversationHalted: The call could exceed a budget; the breaker is open now (or what ``halt_as`` names).
        """
        if not self.asked:
            return
        model, most = model_limits(*sources)
        usage = Usage(estimate_tokens(messages, tools), most or self.pricing.max_output_tokens)
        price = self.pricing.quote(model, usage)
        if price is None:  # named only in its answers, or unpriced, which is told when its tokens are counted
            price = max((self.pricing.quote(known, usage) or 0.0 for known in tuple(self._names)), default=0.0)
        reservation = self._guard.reserve(conversation_id, tokens=usage.total, cost_usd=price)
        with self._lock:
            self._held[run_id] = reservation

    def hold_run(
        self,
        run_id: UUID,
        conversation_id: str,
        messages: Iterable[Any],
        params: Mapping[str, Any] | None,
        metadata: Mapping[str, Any] | None,
    ) -> None:
        """Do what :meth:`hold` does, with what a callback is told of a call."""
        params, about = params or {}, metadata or {}
        names = {"model": about.get("ls_model_name"), "max_tokens": about.get("ls_max_tokens")}
        self.hold(run_id, conversation_id, messages, params, names, tools=params.get("tools"))

    def bill(self, run_id: UUID, usage: Usage | None, model: str | None) -> Bill | None:
        """The call has ended: return its tokens with their price.

        What it really cost stays held until the guard counts the message that carries the bill.
        """
        with self._lock:
            reservation = self._held.pop(run_id, None)
        if usage is None:
            if reservation is not None:
                reservation.settle()
            return None
        bill = self.pricing.bill(model, usage)
        if model is not None and len(self._names) < _MAX_NAMES:
            self._names[model] = None
        if reservation is not None:
            reservation.reduce(tokens=bill.total, cost_usd=bill.cost_usd)
            bill.held = (reservation,)
        return bill

    def drop(self, run_id: UUID) -> None:
        """The call failed or never began."""
        with self._lock:
            reservation = self._held.pop(run_id, None)
        if reservation is not None:
            reservation.settle()


def _tokens(text: str) -> int:
    return -(-len(text.encode("utf-8", "surrogatepass")) // _BYTES_PER_TOKEN)


def _get(source: Any, key: str) -> Any:
    if source is None:
        return None
    return source.get(key) if isinstance(source, Mapping) else getattr(source, key, None)
