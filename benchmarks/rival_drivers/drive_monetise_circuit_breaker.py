"""monetise-circuit-breaker: the core that its adapters drive, in both modes."""

from __future__ import annotations

from _contract import Driver, serve, tokens_of
from monetise_circuit_breaker.core import CircuitBreaker, CircuitBreakerError


class BudgetGuard(Driver):
    """The default mode: 10,000 tokens in, 10,000 out."""

    MODE = "budget-guard"

    def begin(self, conversation):
        self.breaker = CircuitBreaker(mode=self.MODE, silent=True)
        self.latest = ""
        self.calling = None

    def see(self, message):
        called = message["kind"] == "tool_call"
        # Calls that follow each other come from one answer of the model.
        asked = not message["from_user"] and message["kind"] != "tool_result" and self.calling != message["sender"]
        self.calling = message["sender"] if called else None
        try:
            if asked:
                self.breaker.record_iteration(self.latest)
            if not message["from_user"]:
                self.breaker.add_tokens(*tokens_of(message))
        except CircuitBreakerError:
            return True
        if not called:
            self.latest = message["content"]
        return False


class LoopKiller(BudgetGuard):
    """The other mode: the same state more than three times."""

    MODE = "loop-killer"


if __name__ == "__main__":
    serve({"budget-guard": BudgetGuard, "loop-killer": LoopKiller}, ["monetise-circuit-breaker"])
