"""Amounts of money as people read them: kept in US dollars, shown in the currency that the user names.

No exchange rate is built in: it would be wrong the day after, and nobody could tell from the report which one it was.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from agentbreaker.errors import ConfigError

__all__ = ["US_DOLLARS", "Currency"]

#: Signs that mean one currency only; the yuan and the yen share theirs.
_SIGNS: Final = {
    "USD": "$",
    "EUR": "€",
    "GBP": "£",
    "INR": "₹",
    "CNY": "CN¥",
    "JPY": "JP¥",
    "KRW": "₩",
    "VND": "₫",
    "ILS": "₪",
    "PHP": "₱",
    "UAH": "₴",
    "BRL": "R$",
    "CAD": "CA$",
    "AUD": "A$",
    "HKD": "HK$",
    "TWD": "NT$",
    "SGD": "S$",
}
#: Currencies without cents.
_WHOLE: Final = frozenset({"JPY", "KRW", "VND", "CLP", "ISK", "PYG", "UGX", "XAF", "XOF", "XPF"})
#: Least amount that is shown with its digits.
_LEAST: Final = 1e-6


@dataclass(slots=True, frozen=True)
class Currency:
    """A currency in which amounts are shown, and prices may be given.

    Attributes:
        code: Three letters after ISO 4217.
        usd_rate: How many of it one US dollar costs; 1 for US dollars.

    Raises:
        ConfigError: The code is not three letters, or the rate is missing, not finite or not positive.

    >>> Currency().format(0.0042), Currency().format(12_345.6), Currency().format(3)
    ('$0.0042', '$12,346', '$3.00')
    >>> Currency("CNY", 7.1).format(100), Currency("JPY", 150).format(100), Currency("CHF", 0.8).format(0.5)
    ('CN¥710.00', 'JP¥15,000', 'CHF 0.40')
    """

    code: str = "USD"
    usd_rate: float | None = None

    def __post_init__(self) -> None:
        code, rate = self.code, self.usd_rate
        if not isinstance(code, str) or len(code) != 3 or not (code.isascii() and code.isalpha()):
            raise ConfigError(
                f"currency must be the three letters of a currency such as 'CNY', not {code!r}", field="currency"
            )
        code = code.upper()
        object.__setattr__(self, "code", code)
        if rate is None:
            if code != "USD":
                raise ConfigError(
                    f"currency {code} needs usd_rate, how many {code} one US dollar costs; "
                    "no exchange rate is built in",
                    field="usd_rate",
                )
            rate = 1.0
        if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 < rate < math.inf:
            raise ConfigError(
                f"usd_rate must be how many {code} one US dollar costs, finite and above 0, not {rate!r}",
                field="usd_rate",
            )
        if code == "USD" and rate != 1:
            raise ConfigError(
                f"usd_rate of US dollars is 1, not {rate!r}; name the currency that it is for", field="usd_rate"
            )
        object.__setattr__(self, "usd_rate", float(rate))

    @property
    def sign(self) -> str:
        """What stands before an amount: a sign that means this currency only, else the code and a blank."""
        return _SIGNS.get(self.code, f"{self.code} ")

    @property
    def rate(self) -> float:
        """How many of it one US dollar costs."""
        return 1.0 if self.usd_rate is None else self.usd_rate

    def of(self, usd: float) -> float:
        """Return an amount of US dollars in this currency."""
        return usd * self.rate

    def to_usd(self, amount: float) -> float:
        """Return an amount of this currency in US dollars."""
        return amount / self.rate

    def format(self, usd: float, digits: int | None = None) -> str:
        """Return an amount of US dollars for people, in this currency.

        Args:
            usd: The amount in US dollars; one that is not finite is shown as a question mark.
            digits: Places after the point; without it as many as tell something: none from 1,000 on, two from 1 on,
                two significant ones below.
        """
        if not math.isfinite(usd):
            return f"{self.sign}?"
        amount = self.of(usd)
        size, minus = abs(amount), "-" if amount < 0 else ""
        if digits is None:
            if 0 < size < _LEAST:
                return f"{minus}<{self.sign}{_LEAST:.6f}"
            digits = self._digits(size)
        # Rounding may leave nothing of a negative amount.
        text = f"{size:,.{digits}f}"
        return f"{minus if text.strip('0.,') else ''}{self.sign}{text}"

    def _digits(self, size: float) -> int:
        if size == 0 or size >= 1000:
            return 0
        if size >= 1:
            return 0 if self.code in _WHOLE else 2
        # The first two digits that are not 0, of the amount as it is rounded.
        return max(2, 1 - math.floor(math.log10(float(f"{size:.1e}"))))


#: In which amounts are kept.
US_DOLLARS: Final = Currency()
