"""Figures as people read them: tokens, money, shares, and the one sentence that a report comes down to."""

from __future__ import annotations

from agentbreaker.currency import Currency
from agentbreaker.report.terminal import count_of
from agentbreaker.waste.measure import share_of
from agentbreaker.waste.model import Amount, Outcome, Report

__all__ = ["Figures", "path_of", "percent", "short"]


class Figures:
    """Writes the figures of one report, in its currency.

    Args:
        report: The report.
    """

    def __init__(self, report: Report) -> None:
        self._currency = Currency(report.currency, report.usd_rate)
        self._report = report
        #: Whether amounts are compared by money; else by tokens, and written in these.
        self.in_money = report.measure == "money"

    def money(self, usd: float) -> str:
        """An amount of money."""
        return self._currency.format(usd)

    def tokens(self, amount: Amount) -> str:
        """Tokens, with a sign where some of them are estimated."""
        return f"{'≈' if amount.estimated else ''}{short(amount.tokens)}"

    def amount(self, amount: Amount) -> str:
        """The money, or the tokens where these are what is compared."""
        if not self.in_money:
            return f"{self.tokens(amount)} tokens"
        if self.in_tokens(amount):
            return f"{self.tokens(amount)} tokens without a price"
        sign = "≈" if amount.estimated and amount.cost_usd else ""
        missing = f" + {short(amount.unpriced_tokens)} tokens without a price" if amount.unpriced_tokens else ""
        return f"{sign}{self.money(amount.cost_usd)}{missing}"

    def in_tokens(self, amount: Amount) -> bool:
        """Whether an amount is written in tokens: these are what is compared, or it has no price."""
        return not self.in_money or (not amount.cost_usd and amount.unpriced_tokens > 0)

    def cell(self, amount: Amount) -> str:
        """An amount in a table: the money, and in short the tokens that have no price beside it."""
        if self.in_tokens(amount):
            return f"{self.tokens(amount)} tok"
        unpriced = f" + {short(amount.unpriced_tokens)} tok" if amount.unpriced_tokens else ""
        return f"{self.amount(amount.model_copy(update={'unpriced_tokens': 0}))}{unpriced}"

    def value(self, value: float) -> str:
        """A plain number in the unit of a forecast."""
        forecast = self._report.forecast
        return self.money(value) if forecast is not None and forecast.unit == "usd" else f"{short(value)} tokens"

    def priced(self, amount: Amount) -> str:
        """The money that is known of an amount that is written in tokens, to stand beside these; empty without any."""
        if self.in_money or not amount.cost_usd:
            return ""
        return f"{self.money(amount.cost_usd)} for the {short(amount.tokens - amount.unpriced_tokens)} with a price"

    def share(self, part: Amount, whole: Amount) -> str:
        """A share in percent; ``-`` of nothing, and no figure for what has no price among amounts that have one."""
        if not whole.messages:
            return "-"
        if self.in_money and whole.cost_usd and part.unpriced_tokens and not part.cost_usd:
            return "no price"
        return percent(self.part(part, whole))

    def part(self, part: Amount, whole: Amount) -> float:
        """A share in [0, 1], by what this report compares amounts by."""
        return share_of(part, whole, self._report.measure)

    def each(self, outcome: Outcome) -> Amount | None:
        """What a finished conversation of a group cost; ``None`` if none was finished."""
        if not outcome.finished:
            return None
        spend, among = outcome.spend, outcome.finished
        return Amount(
            messages=round(spend.messages / among),
            tokens=round(spend.tokens / among),
            estimated_tokens=-(-spend.estimated_tokens // among),
            cost_usd=spend.cost_usd / among,
            unpriced_tokens=round(spend.unpriced_tokens / among),
        )

    def headline(self) -> str:
        """How much of the bill was meetings, and would they have been stopped?"""
        report = self._report
        if not report.conversations:
            return "No conversation was read."
        whole = f"{count_of(report.conversations, 'conversation')}, {self.amount(report.spend)}"
        if not report.halted:
            return f"{whole}: no loop was found, and nothing would have been halted."
        return (
            f"{self.share(report.in_loops, report.spend)} of {self.amount(report.spend)} went into loops. "
            f"{report.halted:,} of {count_of(report.conversations, 'conversation')} would have been halted, "
            f"which saves {self.amount(report.after_halt)} ({self.share(report.after_halt, report.spend)})."
        )


def percent(share: float) -> str:
    """A share of 1 in percent; what is more than nothing is never shown as 0.

    >>> percent(0.374), percent(0.002), percent(0)
    ('37 %', '<1 %', '0 %')
    """
    value = 100 * share
    if 0 < value < 1:
        return "<1 %"
    return ">99 %" if 99.5 <= value < 100 else f"{value:.0f} %"


def short(number: float) -> str:
    """A number in about three digits.

    >>> short(950), short(12_340), short(68_400_000), short(2_000_000_000)
    ('950', '12.3k', '68.4M', '2.0G')
    """
    for size, sign in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= 0.9995 * size * (10 if sign == "k" else 1):
            return f"{number / size:,.1f}{sign}"
    return f"{number:,.0f}"


def path_of(agents: tuple[str, ...]) -> str:
    """Names of a cycle with arrows; two agents face each other, and one turns by itself.

    >>> path_of(("a", "b")), path_of(("a", "b", "c")), path_of(("a",))
    ('a ⇄ b', 'a → b → c → a', 'a ↻')
    """
    if not agents:
        return "not known"
    if len(agents) == 1:
        return f"{agents[0]} ↻"
    if len(agents) == 2:
        return f"{agents[0]} ⇄ {agents[1]}"
    return " → ".join([*agents, agents[0]])
