"""agentbreaker-sdk, which imports as ``agentbreaker`` too: its circuit breaker, a model call for every agent turn."""

from __future__ import annotations

import time

from _contract import Driver, addressed, arguments_of, serve, tokens_of

from agentbreaker import CircuitBreaker

_NO_CAP = 10**9
#: Where no times are recorded.
_SECONDS_PER_MESSAGE = 5.0


class Defaults(Driver):
    """All defaults, with their caps of 10 iterations, 120 seconds and 2 dollars."""

    CAPS = {}  # noqa: RUF012

    def begin(self, conversation):
        self.now = 0.0
        self.seen = 0
        # Its rules count seconds: they are shown those of the conversation, not those of this machine.
        time.time = lambda: self.now
        self.breaker = CircuitBreaker("conversation", dict(self.CAPS))

    def see(self, message):
        tool = message.get("tool")
        self.seen += 1
        seconds = message["seconds"]
        self.now = self.seen * _SECONDS_PER_MESSAGE if seconds is None else seconds
        if message["from_user"] or message["kind"] == "tool_result":
            return False
        if tool is None:
            name, arguments = addressed(message), {"content": message["content"]}
        else:
            name, arguments = tool["name"], arguments_of(message)
        given, written = tokens_of(message)
        try:
            self.breaker.record_llm_call(given, written, tool_name=name, tool_args=arguments)
        except RuntimeError:
            return True
        return False


class WithoutCaps(Defaults):
    """The detectors alone: the caps on iterations, time and money lifted."""

    CAPS = {"max_iterations": _NO_CAP, "max_time_seconds": _NO_CAP, "max_cost_usd": _NO_CAP}  # noqa: RUF012


if __name__ == "__main__":
    serve({"defaults": Defaults, "caps lifted": WithoutCaps}, ["agentbreaker-sdk"])
