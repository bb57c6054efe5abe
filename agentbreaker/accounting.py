"""What each message of a recording cost: recorded figures first, then estimates and list prices, each marked as such.

Recorded usage is taken as it is.  Where there is none, the tokens of what was said are estimated: the text, the
arguments of a tool call, the result of a tool.  What a model was sent to say it, the context that is sent again with
every call, is not in the recording, so an estimate is a lower bound of what was paid.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

from agentbreaker.currency import US_DOLLARS, Currency
from agentbreaker.message import Message, Usage
from agentbreaker.pricing import NO_MODEL, Pricing
from agentbreaker.tokens import estimate_tokens, vocabulary_of

if TYPE_CHECKING:
    from agentbreaker.config import PricesSettings
    from agentbreaker.tokenizer import TokenCounter

__all__ = ["NO_MODEL", "OTHER_MODELS", "Accountant", "Basis", "Charge", "Difference", "Ledger", "ModelTotals"]

Basis = Literal["recorded", "own price", "list price", "unpriced", "none"]

#: Stands for all models beyond the most that are counted apart.
OTHER_MODELS: Final = "(other models)"
#: Names come from outside, so there may be any number of them, of any length.
_MAX_MODELS: Final = 1000
_MAX_NAME: Final = 200
#: A recorded cost that is further from the list price than this share of it is counted as different.
_TOLERANCE: Final = 0.05


@dataclass(slots=True, frozen=True)
class Charge:
    """What one message cost.

    Attributes:
        tokens: Input and output tokens.
        estimated: The tokens are an estimate of what was said, to be shown with "≈"; so is the cost, unless it was
            recorded.
        cost_usd: US dollars; ``None`` where the price is not known, or where there is nothing to price.
        basis: Where the cost is from: ``recorded``, the user's ``own price``, a ``list price``; ``unpriced``: tokens
            whose price nobody knows; ``none``: nothing to price, such as what a person wrote or a tool gave back.
        model: The model as it was recorded, ``None`` where none is named.
    """

    tokens: int
    estimated: bool
    cost_usd: float | None
    basis: Basis
    model: str | None


@dataclass(slots=True)
class ModelTotals:
    """What the messages of one model came to.

    Attributes:
        messages: Messages that used tokens of it.
        tokens, estimated_tokens: Tokens in all, and how many of them are estimated.
        cost_usd: US dollars of the tokens that have a price.
        unpriced_tokens: Tokens that have none.
    """

    messages: int = 0
    tokens: int = 0
    estimated_tokens: int = 0
    cost_usd: float = 0.0
    unpriced_tokens: int = 0

    def add(self, other: ModelTotals) -> None:
        """Add what another part of the recording came to."""
        self.messages += other.messages
        self.tokens += other.tokens
        self.estimated_tokens += other.estimated_tokens
        self.cost_usd += other.cost_usd
        self.unpriced_tokens += other.unpriced_tokens


@dataclass(slots=True)
class Difference:
    """Messages of one model whose recorded cost is more than 5 % off the price of the tables.

    Attributes:
        messages: How many there are.
        recorded_usd: What the recording says that they cost.
        list_usd: What they cost by the user's own prices, else by the tables.
    """

    messages: int = 0
    recorded_usd: float = 0.0
    list_usd: float = 0.0

    def add(self, other: Difference) -> None:
        """Add what was found in another part of the recording."""
        self.messages += other.messages
        self.recorded_usd += other.recorded_usd
        self.list_usd += other.list_usd


@dataclass(slots=True)
class Ledger:
    """All that an accountant has counted; plain data, so that several processes can add up theirs.

    Attributes:
        models: Totals by the model's name; at most 1,000 names are kept, the rest are ``(other models)``.
        differing: Recorded costs that are not what the tables say, by the model's name.
    """

    models: dict[str, ModelTotals] = field(default_factory=dict)
    differing: dict[str, Difference] = field(default_factory=dict)

    def add(self, other: Ledger) -> None:
        """Add what another ledger holds."""
        for model, totals in other.models.items():
            self.totals_of(model).add(totals)
        for model, difference in other.differing.items():
            self.difference_of(model).add(difference)

    def totals_of(self, model: str) -> ModelTotals:
        """Return the totals of a model, to be added to."""
        totals = self.models.get(model)
        if totals is None:
            name = _bounded(model, self.models)
            totals = self.models.setdefault(name, ModelTotals())
        return totals

    def difference_of(self, model: str) -> Difference:
        """Return the difference of a model, to be added to."""
        return self.differing.setdefault(_bounded(model, self.differing), Difference())


def _bounded(model: str, known: dict[str, Any]) -> str:
    name = model[:_MAX_NAME]
    return name if name in known or len(known) < _MAX_MODELS else OTHER_MODELS


class Accountant:
    """Says what each message cost, and keeps the totals by model.

    Args:
        pricing: Prices; ``None``: the offline tables only.
        currency: In which :meth:`show` shows amounts; ``None``: US dollars.
        count_tokens: A real tokenizer instead of the estimate, see
            :func:`~agentbreaker.tokenizer.token_counter`; what it counts is still marked as an estimate, since nobody
            knows which tokenizer the provider counts with.

    >>> accountant = Accountant(Pricing({"house-7b": {"input": 1.0, "output": 2.0}}))
    >>> accountant.charge(Message("c", "a", "b", model="house-7b", usage=Usage(1_000_000, 500_000)))
    Charge(tokens=1500000, estimated=False, cost_usd=2.0, basis='own price', model='house-7b')
    >>> accountant.charge(Message("c", "a", "b", content="Looks good to me.", model="nobody-knows-me"))
    Charge(tokens=5, estimated=True, cost_usd=None, basis='unpriced', model='nobody-knows-me')
    >>> accountant.unpriced
    {'nobody-knows-me': 5}
    """

    __slots__ = ("_count", "currency", "ledger", "pricing")

    def __init__(
        self,
        pricing: Pricing | None = None,
        currency: Currency | None = None,
        *,
        count_tokens: TokenCounter = estimate_tokens,
    ) -> None:
        self.pricing = Pricing() if pricing is None else pricing
        self.currency = US_DOLLARS if currency is None else currency
        self.ledger = Ledger()
        self._count = count_tokens

    @classmethod
    def of(cls, prices: PricesSettings, *, count_tokens: TokenCounter = estimate_tokens) -> Accountant:
        """Return an accountant with the prices and the currency of a policy (``policy.settings.prices``).

        Raises:
            ConfigError: The currency has no rate.
        """
        return cls(Pricing.of(prices), Currency(prices.currency, prices.usd_rate), count_tokens=count_tokens)

    @property
    def models(self) -> dict[str, ModelTotals]:
        """Totals by the model's name; messages that no model wrote are in none of them."""
        return self.ledger.models

    @property
    def unpriced(self) -> dict[str, int]:
        """Tokens that nobody knows the price of, by the model's name."""
        return {name: one.unpriced_tokens for name, one in self.ledger.models.items() if one.unpriced_tokens}

    @property
    def differing(self) -> dict[str, Difference]:
        """Recorded costs that are more than 5 % off the price of the tables, by the model's name."""
        return self.ledger.differing

    def show(self, usd: float, *, estimated: bool = False) -> str:
        """Return an amount for people, in the currency of the accountant, an estimated one marked."""
        return f"{'≈' if estimated else ''}{self.currency.format(usd)}"

    def charge(self, message: Message) -> Charge:
        """Return what a message cost, and add it to the totals.

        Usage and cost that are recorded come first.  A recorded cost of 0 beside tokens counts as none: it is what
        many systems write where they do not know the price.  Estimated tokens are priced as output of the model that
        wrote them.  A prompt (``system``) is not said in the conversation and counts nothing, and neither does a
        message whose tokens are in the usage of another (``usage_elsewhere``).  A message that is charged twice counts
        twice.
        """
        usage, model = message.usage, message.model
        tokens = 0 if usage is None else _positive(usage.input_tokens) + _positive(usage.output_tokens)
        recorded = message.cost_usd
        if recorded is not None and not (0.0 < recorded < math.inf):
            recorded = None
        if usage is not None and tokens:
            return self._charge(model, usage, tokens, recorded, estimated=False)
        tokens = 0 if message.kind == "system" or message.usage_elsewhere else self._said(message)
        if recorded is not None:
            return self._charge(model, None, tokens, recorded, estimated=True)
        if not tokens or message.kind == "tool_result" or message.role in ("user", "tool", "system"):
            return Charge(tokens, tokens > 0, None, "none", model)
        return self._charge(model, Usage(0, tokens), tokens, None, estimated=True)

    def _charge(
        self, model: str | None, usage: Usage | None, tokens: int, recorded: float | None, *, estimated: bool
    ) -> Charge:
        # Hold a recorded cost against the tables only where the tokens are known.
        price = self.pricing.quote(model, usage) if usage is not None else None
        name = NO_MODEL if model is None else model
        basis: Basis
        if recorded is not None:
            cost, basis = recorded, "recorded"
            if price is not None and abs(recorded - price) > _TOLERANCE * price:
                difference = self.ledger.difference_of(name)
                difference.messages += 1
                difference.recorded_usd += recorded
                difference.list_usd += price
        elif price is not None and model is not None:
            cost, basis = price, "own price" if self.pricing.owns(model) else "list price"
        else:
            cost, basis = None, "unpriced"
        totals = self.ledger.totals_of(name)
        totals.messages += 1
        totals.tokens += tokens
        if estimated:
            totals.estimated_tokens += tokens
        if cost is None:
            totals.unpriced_tokens += tokens
        else:
            totals.cost_usd += cost
        return Charge(tokens, estimated and tokens > 0, cost, basis, model)

    def _said(self, message: Message) -> int:
        """Estimated tokens of the text of a message, and of its tool call or the tool's result."""
        count, vocabulary = self._count, vocabulary_of(message.model)
        tokens = count(message.content, vocabulary)
        tool = message.tool
        if tool is None:
            return tokens
        if message.kind == "tool_result":
            # Some systems write the result into both.
            if tool.result is not None and tool.result != message.content:
                tokens += count(tool.result, vocabulary)
        else:
            tokens += count(tool.name, vocabulary)
            if tool.arguments is not None:
                tokens += count(_text(tool.arguments), vocabulary)
        return tokens


def _text(arguments: Any) -> str:
    """Arguments as a model writes them; what is no JSON has no text."""
    if isinstance(arguments, str):
        return arguments
    try:
        return json.dumps(arguments, ensure_ascii=False, default=str)
    except (RecursionError, TypeError, ValueError):
        return ""


def _positive(tokens: int) -> int:
    return tokens if tokens > 0 else 0
