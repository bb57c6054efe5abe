"""What a model call costs: the user's own price table first, then the offline tables of genai-prices.

A model that neither knows is *unpriced*, which is not the same as free: its tokens are counted, a warning names it
once, and the incident says how many tokens have no price.  Nothing here does I/O; genai-prices is imported when the
first price is asked for that the own table does not hold.
"""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Mapping
from dataclasses import dataclass, fields
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final

from agentbreaker.currency import Currency
from agentbreaker.errors import ConfigError
from agentbreaker.message import Message, Usage
from agentbreaker.printable import printable

if TYPE_CHECKING:
    from agentbreaker.config import PricesSettings
    from agentbreaker.reservation import Reservation

__all__ = ["NO_MODEL", "Bill", "Pricing"]

_log = logging.getLogger("agentbreaker")

_RATES = ("input", "output", "cache_read", "cache_creation")
_PER = 1_000_000
#: Stands for the model where a message that a model seems to have written names none.
NO_MODEL: Final = "(no model on record)"
#: Models whose unpriced tokens are counted apart; names come from outside, so there may be any number of them.
_MAX_MODELS = 1000
_OTHERS = "(other models)"


@dataclass(slots=True, eq=False)
class Bill(Usage):
    """Tokens together with their price; the sum of two bills is a bill.

    Attributes:
        cost_usd: Price of the tokens that have one, in US dollars.
        unpriced_tokens: Tokens of models whose price nobody knows, input and output.
        priced_tokens: Tokens that `cost_usd` is the price of.
        held: Reservations that stand for these tokens until the conversation has counted them.
    """

    cost_usd: float = 0.0
    unpriced_tokens: int = 0
    held: tuple[Reservation, ...] = ()
    priced_tokens: int = 0

    def __eq__(self, other: object) -> bool:
        """Equal to any usage of the same tokens."""
        if not isinstance(other, Usage):
            return NotImplemented
        return all(getattr(self, f.name) == getattr(other, f.name) for f in fields(Usage))

    __hash__ = None  # type: ignore[assignment]

    @property
    def price(self) -> float | None:
        """The price in US dollars, ``None`` where no token of it has one."""
        return None if self.cost_usd == 0.0 and self.unpriced_tokens else self.cost_usd


@dataclass(slots=True, frozen=True)
class _Rates:
    """US dollars per token, for calls of at most so many input tokens."""

    input: float
    output: float
    cache_read: float
    cache_creation: float
    most_input: float = math.inf

    def cost(self, usage: Usage) -> float:
        read = _count(usage.cache_read_input_tokens)
        written = _count(usage.cache_creation_input_tokens)
        fresh = max(0, _count(usage.input_tokens) - read - written)
        output = _count(usage.output_tokens)
        return fresh * self.input + read * self.cache_read + written * self.cache_creation + output * self.output


class Pricing:
    """Prices of models, in US dollars per million tokens.

    Args:
        prices: Own prices by the model's name as the provider reports it, each a mapping of ``input`` and ``output``,
            optionally of ``cache_read`` and ``cache_creation`` (default: as ``input``).  They win over the built-in
            tables.  A model that runs at home may well cost 0.
        max_output_tokens: Most tokens that one call may write, for reservations, where the model itself has no limit.

    Raises:
        ConfigError: A price is missing, unknown, negative or not finite.

    >>> from agentbreaker import Usage
    >>> pricing = Pricing({"house-7b": {"input": 0.5, "output": 1.5}})
    >>> pricing.cost("house-7b", Usage(input_tokens=2_000_000, output_tokens=1_000_000))
    2.5
    >>> pricing.cost("nobody-knows-me", Usage(input_tokens=1000)) is None, pricing.unpriced
    (True, {'nobody-knows-me': 1000})
    """

    def __init__(
        self, prices: Mapping[str, Mapping[str, float]] | None = None, *, max_output_tokens: int = 4096
    ) -> None:
        if isinstance(max_output_tokens, bool) or not isinstance(max_output_tokens, int) or max_output_tokens < 1:
            raise ConfigError(
                f"max_output_tokens must be a whole number from 1, not {max_output_tokens!r}", field="max_output_tokens"
            )
        self.max_output_tokens = max_output_tokens
        self._own = {model: _rates_of(model, rates) for model, rates in (prices or {}).items()}
        self._unknown: set[str] = set()
        self._listed: dict[str, _Rates] = {}  # of the tables, where a price is as simple as that
        self._unpriced: dict[str, int] = {}
        self._lock = threading.Lock()

    @property
    def unpriced(self) -> dict[str, int]:
        """Tokens that no price is known for, input and output, by the model's name."""
        with self._lock:
            return dict(self._unpriced)

    @classmethod
    def of(cls, prices: PricesSettings) -> Pricing:
        """Return the prices of a policy, whose own ones may be given in another currency.

        Raises:
            ConfigError: As the class; and that currency has no rate.
        """
        currency = Currency(prices.currency, prices.usd_rate)
        return cls(
            {
                model: {name: currency.to_usd(value) for name, value in price if value is not None}
                for model, price in prices.models.items()
            }
        )

    def owns(self, model: str) -> bool:
        """Whether the user has given a price for this model."""
        return model in self._own

    def quote(self, model: str | None, usage: Usage) -> float | None:
        """Return what these tokens would cost in US dollars, ``None`` if nobody knows; counts nothing."""
        if model is None:
            return None
        rates = self._own.get(model) or self._listed.get(model)
        if rates is not None and usage.input_tokens <= rates.most_input:
            return rates.cost(usage)
        if model in self._unknown:
            return None
        price, rates = _listed(model, usage)
        if price is None and len(self._unknown) < _MAX_MODELS:
            self._unknown.add(model)
        if rates is not None and len(self._listed) < _MAX_MODELS:
            self._listed[model] = rates
        return price

    def cost(self, model: str | None, usage: Usage) -> float | None:
        """Return what these tokens cost in US dollars; count them as unpriced, and return ``None``, if nobody knows."""
        price = self.quote(model, usage)
        if price is None:
            self._miss(model, usage.total)
        return price

    def fill(self, message: Message) -> None:
        """Give a message the price of its tokens, if it has none on record; 0 beside tokens counts as none."""
        if message.usage is not None and not message.cost_usd:
            message.cost_usd = self.quote(message.model, message.usage)

    def bill(self, model: str | None, usage: Usage) -> Bill:
        """Return the tokens of one call of `model` with their price."""
        price = self.cost(model, usage)
        return Bill(
            usage.input_tokens,
            usage.output_tokens,
            usage.cache_read_input_tokens,
            usage.cache_creation_input_tokens,
            usage.reasoning_output_tokens,
            price or 0.0,
            usage.total if price is None else 0,
            priced_tokens=0 if price is None else usage.total,
        )

    def _miss(self, model: str | None, tokens: int) -> None:
        name = NO_MODEL if model is None else model
        with self._lock:
            first = name not in self._unpriced
            if first and len(self._unpriced) >= _MAX_MODELS:
                name, first = _OTHERS, _OTHERS not in self._unpriced
            self._unpriced[name] = self._unpriced.get(name, 0) + tokens
        if first:
            _log.warning(
                "no price is known for model %s: its tokens are counted, its cost is not; give it in Pricing(...)",
                printable(name),
            )


def _rates_of(model: str, rates: Mapping[str, Any]) -> _Rates:
    where = f"prices[{model!r}]"
    if not isinstance(rates, Mapping):
        raise ConfigError(f"{where} must map 'input' and 'output' to US dollars per million tokens", field=where)
    for name, value in rates.items():
        if name not in _RATES:
            close = get_close_matches(str(name), _RATES, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(_RATES)}"
            raise ConfigError(f"{where}: unknown price {name!r}; {hint}", field=f"{where}.{name}")
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
            raise ConfigError(
                f"{where}.{name} must be US dollars per million tokens, finite and not negative, not {value!r}",
                field=f"{where}.{name}",
            )
    for name in ("input", "output"):
        if name not in rates:
            raise ConfigError(f"{where} has no {name!r} price", field=f"{where}.{name}")
    one = {name: rates.get(name, rates["input"]) / _PER for name in _RATES}
    return _Rates(**one)


def _listed(model: str, usage: Usage) -> tuple[float | None, _Rates | None]:
    """The price of the built-in tables, and the rates behind it if they are constant.

    Whatever goes wrong there, the price is not known.
    """
    try:
        import genai_prices

        read = _count(usage.cache_read_input_tokens)
        written = _count(usage.cache_creation_input_tokens)
        counted = genai_prices.Usage(
            input_tokens=max(_count(usage.input_tokens), read + written),
            output_tokens=_count(usage.output_tokens),
            cache_read_tokens=read or None,
            cache_write_tokens=written or None,
        )
        found = genai_prices.calc_price(counted, model)
        price = float(found.total_price)
    except Exception:  # LookupError for an unknown model, ValueError for counts that contradict each other
        return None, None
    try:
        rates = _constant(found) if read + written <= usage.input_tokens else None
        if rates is not None and not math.isclose(rates.cost(usage), price, rel_tol=1e-9, abs_tol=1e-15):
            rates = None
    except Exception:  # the tables have changed their shape: slower, but right
        rates = None
    return price, rates


def _constant(found: Any) -> _Rates | None:
    """The rates of a price that does not depend on the time, up to the first tier of input tokens."""
    if isinstance(found.model.prices, list):
        return None
    most, rates = math.inf, list[float]()
    for name in ("input_mtok", "output_mtok", "cache_read_mtok", "cache_write_mtok"):
        price = getattr(found.model_price, name, None)
        for tier in getattr(price, "tiers", ()):
            most = min(most, tier.start)
        price = getattr(price, "base", price)
        rates.append(rates[0] if price is None else float(price) / _PER)
    return _Rates(rates[0], rates[1], rates[2], rates[3], most)


def _count(tokens: int) -> int:
    return tokens if tokens > 0 else 0
