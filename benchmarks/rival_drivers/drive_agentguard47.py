"""agentguard47: its two guards against loops."""

from __future__ import annotations

from _contract import Driver, addressed, arguments_of, serve
from agentguard import FuzzyLoopGuard, LoopDetected, LoopGuard
from agentguard.profiles import get_profile_defaults


class Exact(Driver):
    """``LoopGuard`` as ``agentguard.init()`` makes it with the default profile."""

    def begin(self, conversation):
        repeats = get_profile_defaults(None)["loop_max"]
        self.guards = [LoopGuard(max_repeats=repeats, window=max(repeats, 6))]

    def see(self, message):
        tool = message.get("tool")
        if message["from_user"] or message["kind"] == "tool_result":
            return False
        if tool is None:
            name, arguments = addressed(message), {"content": message["content"]}
        else:
            name, arguments = tool["name"], arguments_of(message)
        try:
            for guard in self.guards:
                guard.check(name, arguments)
        except LoopDetected:
            return True
        return False


class Fuzzy(Exact):
    """``FuzzyLoopGuard`` with its defaults, beside the other."""

    def begin(self, conversation):
        super().begin(conversation)
        self.guards.append(FuzzyLoopGuard())


if __name__ == "__main__":
    serve({"LoopGuard, default profile": Exact, "with FuzzyLoopGuard": Fuzzy}, ["agentguard47"])
