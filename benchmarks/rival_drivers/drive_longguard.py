"""longguard: its circuit breaker, one step for every message and for every finished tool call."""

from __future__ import annotations

from _contract import Driver, arguments_of, serve, tokens_of
from longguard import AgentStep, CircuitBreaker, GuardConfig

_NO_CAP = 10**9


class Defaults(Driver):
    """All defaults, with their caps of 30 steps and 50,000 tokens."""

    CAPS = {}  # noqa: RUF012

    def begin(self, conversation):
        self.breaker = CircuitBreaker(GuardConfig(**self.CAPS))
        self.steps = 0
        self.thoughts = {}

    def see(self, message):
        tool = message.get("tool")
        if message["kind"] == "tool_call":
            self.thoughts[tool["call_id"]] = message["content"]
        if message["from_user"] or message["kind"] == "tool_call":
            return False
        self.steps += 1
        if tool is None:
            step = AgentStep(self.steps, message["content"], tokens_used=sum(tokens_of(message)))
        else:
            step = AgentStep(
                self.steps,
                self.thoughts.pop(tool["call_id"], ""),
                action=tool["name"],
                action_input=arguments_of(message),
                observation=tool["result"] or "",
                tokens_used=sum(tokens_of(message)),
            )
        return self.breaker.check(step).action == "kill"


class WithoutCaps(Defaults):
    """The detectors alone: the caps on steps and tokens lifted."""

    CAPS = {"max_steps": _NO_CAP, "max_tokens_per_run": _NO_CAP}  # noqa: RUF012


if __name__ == "__main__":
    serve({"defaults": Defaults, "caps lifted": WithoutCaps}, ["longguard"])
