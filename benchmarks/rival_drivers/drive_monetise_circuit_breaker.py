"""monetise-circuit-breaker: the core that its adapters drive, in both modes."""

from __future__ import annotations

from _contract import Driver, serve, tokens_of
from monetise_circuit_breaker.core import CircuitBreaker, CircuitBreakerError


class BudgetGuard(Driver):
    """The default mode: 10,000 tokens in, 10,000 out."""

    MODE = "budget-guard"

    def begin(self, conversation):
        self.breaker = CircuitBreaker(mode=self.MODE, silent=True)

    def see(self, message):
        if message["from_user"]:
            return False
        try:
            self.breaker.record_iteration(f"{message['sender']}: {message['content']}")
            self.breaker.add_tokens(*tokens_of(message))
        except CircuitBreakerError:
            return True
        return False


class LoopKiller(BudgetGuard):
    """The other mode: the same state more than three times."""

    MODE = "loop-killer"


if __name__ == "__main__":
    serve({"budget-guard": BudgetGuard, "loop-killer": LoopKiller}, ["monetise-circuit-breaker"])
