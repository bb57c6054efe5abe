"""Money of model calls, for the integration of any framework: hold the worst case before a call, price it after.

A call is held before it begins, so that calls that run at once cannot overshoot a budget together; what it really cost
stays held until the guard has counted the message that carries it.  Nothing is held, and nothing estimated, for a
policy without a budget of tokens or money.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from agentbreaker.message import Usage
from agentbreaker.pricing import Bill, Pricing

if TYPE_CHECKING:
    from agentbreaker.guard import Guard
    from agentbreaker.message import Message
    from agentbreaker.reservation import Reservation

__all__ = ["Spending", "add_usage", "charge", "count_of", "prompt_tokens"]

#: Bytes of UTF-8 for a token, at the least: English has 4, source code 3, Chinese 2 to 3, digits and hashes 2.
_BYTES_PER_TOKEN = 2
_MAX_NAMES = 16
#: More than any call can have: such a number is none.
_MOST_TOKENS = 1e12


def prompt_tokens(text: str) -> int:
    """Return how many tokens this text makes at most: what a budget is to be held for.

    >>> prompt_tokens("When does the ferry leave?")
    13
    """
    return -(-len(text.encode("utf-8", "surrogatepass")) // _BYTES_PER_TOKEN)


def count_of(value: Any) -> int:
    """Read a count of tokens that a framework tells; what is no positive number counts as 0.

    >>> count_of(12), count_of("many"), count_of(-3), count_of(None)
    (12, 0, 0, 0)
    """
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < _MOST_TOKENS:
        return int(value)
    return 0


def add_usage(one: Usage | None, other: Usage | None) -> Usage | None:
    """Add what two model calls cost, prices and what is held for them included; ``None`` if nothing is known of either.

    >>> add_usage(Usage(10, 5), Usage(1, 2)), add_usage(None, None)
    (Usage(input_tokens=11, output_tokens=7, cache_read_input_tokens=0, ...), None)
    """
    if one is None or other is None:
        return one or other
    counts = {f.name: getattr(one, f.name) + getattr(other, f.name) for f in fields(Usage)}
    if not (isinstance(one, Bill) or isinstance(other, Bill)):
        return Usage(**counts)
    total = Bill(**counts)
    for part in (one, other):
        if isinstance(part, Bill):
            total.cost_usd += part.cost_usd
            total.unpriced_tokens += part.unpriced_tokens
            total.priced_tokens += part.priced_tokens
            total.held += part.held
        else:
            total.unpriced_tokens += part.total
    return total


def charge(message: Message, usage: Usage | None, model: str | None) -> Message:
    """Let a message carry what model calls cost, with the price if there is one, and return it."""
    message.usage, message.model = usage, model
    message.cost_usd = usage.price if isinstance(usage, Bill) else None
    return message


class Spending:
    """What the model calls of one breaker may cost, and do cost.  Thread-safe.

    Args:
        guard: Whose budgets are meant.
        pricing: Prices, and the ceiling for calls that have none of their own; by default the offline tables.
    """

    def __init__(self, guard: Guard, pricing: Pricing | None = None) -> None:
        self.pricing = pricing if pricing is not None else Pricing()
        self._guard = guard
        self._lock = threading.Lock()
        self._names: dict[str, None] = {}  # models that answered, to assume the dearest where a call names none

    @property
    def asked(self) -> bool:
        """Whether the policy has a budget that reservations are for."""
        budgets = self._guard.policy.settings.budgets
        return budgets.max_tokens is not None or budgets.max_cost_usd is not None

    def hold(
        self,
        conversation_id: str,
        prompt: Callable[[], int],
        *,
        most: int | None = None,
        model: str | None = None,
    ) -> Reservation | None:
        """Hold the most that a model call can cost.

        Args:
            conversation_id: Who pays.
            prompt: Counts the tokens that the model will read, if they are asked for.
            most: Tokens that it may write; by default the ceiling of the pricing.
            model: Its name, ``None`` if it is not known before it answers: then the dearest that has answered counts.

        Returns:
            What is held, to be given to :meth:`bill` or settled; ``None`` without a budget.

        Raises:
            ConversationHalted: The call could exceed a budget; the breaker is open now (or what ``halt_as`` names).
        """
        if not self.asked:
            return None
        usage = Usage(max(0, prompt()), most or self.pricing.max_output_tokens)
        price = self.pricing.quote(model, usage)
        if price is None:
            with self._lock:
                known = tuple(self._names)
            price = max((self.pricing.quote(name, usage) or 0.0 for name in known), default=0.0)
        return self._guard.reserve(conversation_id, tokens=usage.total, cost_usd=price)

    def bill(
        self, usage: Usage | None, model: str | None, held: Reservation | None = None, cost_usd: float | None = None
    ) -> Bill | None:
        """The call has ended: return its tokens with their price, for the message that tells of it.

        Args:
            usage: Its tokens, ``None`` if nobody tells them.
            model: Name of the model that answered.
            held: What was held for it; from now on it holds what the call cost, until that message is counted.
            cost_usd: Its price, where the framework knows better than the tables.
        """
        if usage is None:
            if held is not None:
                held.settle()
            return None
        if cost_usd is not None and 0.0 <= cost_usd < math.inf:
            counts = {f.name: getattr(usage, f.name) for f in fields(Usage)}
            bill = Bill(**counts, cost_usd=cost_usd, priced_tokens=usage.total)
        else:
            bill = self.pricing.bill(model, usage)
        if model is not None:
            with self._lock:
                if len(self._names) < _MAX_NAMES:
                    self._names[model] = None
        if held is not None:
            held.reduce(tokens=bill.total, cost_usd=bill.cost_usd)
            bill.held = (held,)
        return bill
