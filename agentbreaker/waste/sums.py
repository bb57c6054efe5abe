"""Sums of tokens and money, and tables of them by name that stay small whatever the names."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

from agentbreaker.accounting import Charge
from agentbreaker.waste.incident_model import Amount

__all__ = ["Split", "Sum", "Table"]

K = TypeVar("K", bound=Hashable)

#: Rows of a table; names come from outside, so there may be any number of them.
_MAX_ROWS = 20_000


class Sum:
    """Adds up charges."""

    __slots__ = ("cost_usd", "estimated", "messages", "tokens", "unpriced")

    def __init__(self) -> None:
        self.messages = 0
        self.tokens = 0
        self.estimated = 0
        self.unpriced = 0
        self.cost_usd = 0.0

    def add(self, charge: Charge) -> None:
        """Add one message."""
        self.messages += 1
        self.tokens += charge.tokens
        if charge.estimated:
            self.estimated += charge.tokens
        if charge.cost_usd is not None:
            self.cost_usd += charge.cost_usd
        elif charge.basis == "unpriced":
            self.unpriced += charge.tokens

    def amount(self) -> Amount:
        """Return the sum; money without the dust that binary fractions leave."""
        return Amount(
            messages=self.messages,
            tokens=self.tokens,
            estimated_tokens=self.estimated,
            cost_usd=round(self.cost_usd, 10),
            unpriced_tokens=self.unpriced,
        )


class Split:
    """A sum, and what of it was spent in a loop and after a halt."""

    __slots__ = ("after_halt", "in_loops", "spend")

    def __init__(self) -> None:
        self.spend = Sum()
        self.in_loops = Sum()
        self.after_halt = Sum()

    def add(self, charge: Charge, in_loop: bool, after: bool) -> None:
        """Add one message.

        Args:
            charge: Its price.
            in_loop: Whether it is part of a loop, or came after one.
            after: Whether a halt would have prevented it.
        """
        self.spend.add(charge)
        if in_loop:
            self.in_loops.add(charge)
            if after:
                self.after_halt.add(charge)


class Table(Generic[K]):
    """Splits by name; what finds no room goes to one row for all others.

    Args:
        others: The name of that row.
    """

    __slots__ = ("_others", "rows")

    def __init__(self, others: K) -> None:
        self._others = others
        self.rows: dict[K, Split] = {}

    def of(self, name: K) -> Split:
        """Return the row of this name."""
        row = self.rows.get(name)
        if row is None:
            if len(self.rows) >= _MAX_ROWS:
                name = self._others
            row = self.rows.setdefault(name, Split())
        return row
