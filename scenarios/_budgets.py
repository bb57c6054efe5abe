"""Conversations that bring news all the time, up to a hard cap and beyond it: only the cap can stop them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass

from _kinds import Kind
from _script import Script

__all__ = ["KINDS"]

#: US dollars for a token of input and of output.
_PRICES = (3e-6, 15e-6)
#: Messages that would follow the one on which the cap is passed.
_BEYOND = 12


@dataclass(frozen=True, slots=True)
class _Budget:
    """A cap: its detector, its name in words, its key in the policy, and what counts against it."""

    code: str
    name: str
    key: str
    cap: float
    spent: Callable[[Script], float]

    @property
    def policy(self) -> dict[str, dict[str, float]]:
        """The section of the policy."""
        return {"budgets": {self.key: self.cap}}

    def passed(self, script: Script) -> bool:
        """Whether the conversation so far is beyond the cap."""
        return self.spent(script) > self.cap

    def beyond(self, script: Script) -> None:
        """Honest work that goes on when the cap is passed."""
        _begin(script)
        while not self.passed(script):
            _work(script)
        # To the message: a cap is counted, so there is nothing to be seen first.
        script.halt_from = script.halt_by = len(script.lines) - 1
        for _ in range(_BEYOND):
            _work(script)

    def within(self, script: Script) -> None:
        """The same work, which ends with the last message that the cap allows."""
        _begin(script)
        while not self.passed(script):
            _work(script)
        del script.lines[-1]


def _begin(s: Script) -> None:
    s.timed()
    s.open()


def _work(s: Script) -> None:
    """A message of work, with what the call of the model used and cost."""
    rng = s.rng
    i = len(s.lines)
    text = s.work.message(rng.choice((1, 2, 2, 3, 4)), "finding", "decision", "objection", "question", "done")
    usage = {"input_tokens": rng.randint(900, 2400), "output_tokens": rng.randint(60, 400)}
    cost = sum(count * price for count, price in zip(usage.values(), _PRICES, strict=True))
    speaker, peer = s.agents[i % len(s.agents)], s.agents[(i + 1) % len(s.agents)]
    s.say(speaker, text, peer, usage=usage, cost_usd=round(cost, 6))


def _tokens(s: Script) -> float:
    return sum(sum(line["usage"].values()) for line in s.lines if "usage" in line)


def _dollars(s: Script) -> float:
    return sum(line.get("cost_usd", 0.0) for line in s.lines)


def _seconds(s: Script) -> float:
    first, last = (dt.datetime.fromisoformat(s.lines[i]["timestamp"]) for i in (0, -1))
    return (last - first).total_seconds()


_BUDGETS = (
    _Budget("AB601", "message-budget", "max_messages", 40, lambda s: len(s.lines)),
    _Budget("AB602", "token-budget", "max_tokens", 60_000, _tokens),
    _Budget("AB603", "cost-budget", "max_cost_usd", 0.25, _dollars),
    _Budget("AB604", "time-budget", "max_seconds", 180.0, _seconds),
)

KINDS = [
    *(
        Kind(
            f"{budget.code}-{budget.name}",
            f"beyond-the-{budget.name}",
            budget.beyond,
            (2, 3, 5),
            3,
            budget.code,
            policy=budget.policy,
        )
        for budget in _BUDGETS
    ),
    *(
        Kind(
            "legitimate-within-budget",
            f"within-the-{budget.name}",
            budget.within,
            (2, 3, 5),
            3,
            runaway=False,
            policy=budget.policy,
        )
        for budget in _BUDGETS
    ),
]
