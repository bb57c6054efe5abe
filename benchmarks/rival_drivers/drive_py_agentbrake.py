"""py-agentbrake: its decorator around the dispatch of tools, without a spending limit."""

from __future__ import annotations

import agentbrake
from _contract import Driver, addressed, arguments_of, serve


class Guarded(Driver):
    """Every tool call runs inside the guarded function, which returns or raises what is recorded of the call."""

    def begin(self, conversation):
        names = {
            addressed(message) if message.get("tool") is None else message["tool"]["name"] for message in conversation
        }
        agentbrake.init(allowed_tools=sorted(names), budget_usd=agentbrake.UNLIMITED)
        self.outcome = None
        self.call = agentbrake.guard()(self.dispatch)

    def dispatch(self, name, args):
        """Do what the recorded tool did."""
        if self.outcome is not None and self.outcome["is_error"]:
            raise RuntimeError(self.outcome["result"] or "")
        return None if self.outcome is None else self.outcome["result"]

    def see(self, message):
        tool = message.get("tool")
        if message["from_user"] or message["kind"] == "tool_result":
            return False
        try:
            if tool is None:
                self.outcome = None
                self.call(addressed(message), {"content": message["content"]})
            else:
                self.outcome = message.get("outcome")
                self.call(tool["name"], arguments_of(message))
        except agentbrake.AgentBrakeInterrupt:
            return True
        except RuntimeError:
            return False
        return False


if __name__ == "__main__":
    serve({"local mode": Guarded}, ["py-agentbrake"])
