"""agentbreaker itself, through the same contract as every other."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from _contract import Driver, serve

from agentbreaker import Guard, Message, Tool, Usage, VirtualClock

_BEGIN = datetime(2026, 1, 5, 9, tzinfo=UTC)


class Default(Driver):
    """A guard with the default policy, and a clock that follows the recorded times, as in a replay."""

    def begin(self, conversation):
        self.clock = VirtualClock()
        self.guard = Guard(clock=self.clock)

    def see(self, message):
        seconds, tool, usage = message["seconds"], message.get("tool"), message["usage"]
        if seconds is not None:
            self.clock.move_to(seconds)
        decision = self.guard.observe(
            Message(
                "conversation",
                message["sender"],
                message["recipient"],
                message["kind"],
                message["content"],
                role="user" if message["from_user"] else None,
                message_id=message["message_id"],
                parent_id=message["parent_id"],
                timestamp=None if seconds is None else _BEGIN + timedelta(seconds=seconds),
                tool=None if tool is None else Tool(**tool),
                model=message["model"],
                usage=None if usage is None else Usage(**usage),
                cost_usd=message["cost_usd"],
            )
        )
        return not decision.allowed


if __name__ == "__main__":
    serve({"default policy": Default}, [])
