"""agent-loop-guard: its guard, a check for every finished call, with the output."""

from __future__ import annotations

from _contract import Driver, calls_of, serve
from loop_guard import LoopGuard


class Default(Driver):
    """All four strategies with their defaults; STOP and ESCALATE stop."""

    def begin(self, conversation):
        self.guard = LoopGuard()

    def see(self, message):
        for name, arguments, result in calls_of(message):
            # What was delivered stands in the arguments already: a message has no output.
            output = None if message.get("tool") is None else result
            if self.guard.check(tool=name, args=arguments, output=output).is_loop:
                return True
        return False


if __name__ == "__main__":
    serve({"defaults": Default}, ["agent-loop-guard"])
