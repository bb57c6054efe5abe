"""agent-watchdog: its watch around a run, with the settings of the README, which are its defaults."""

from __future__ import annotations

from _contract import Driver, addressed, arguments_of, serve, tokens_of
from agent_watchdog import AgentWatchdog, WatchdogHalt


class Watched(Driver):
    """Tool calls and tokens are recorded as they come; the time limit runs on the clock of this machine."""

    def __init__(self):
        self.watch = None

    def begin(self, conversation):
        self.end()
        self.watchdog = AgentWatchdog()
        self.watch = self.watchdog.watch(run_id="conversation")
        self.watch.__enter__()

    def end(self):
        """Leave the run before, which stops its timer."""
        if self.watch is not None:
            self.watch.__exit__(None, None, None)
            self.watch = None

    def see(self, message):
        tool = message.get("tool")
        if message["from_user"]:
            return False
        try:
            if message["kind"] != "tool_result":
                if tool is None:
                    self.watchdog.record_tool_call(addressed(message), args={"content": message["content"]})
                else:
                    self.watchdog.record_tool_call(tool["name"], args=arguments_of(message))
            given, written = tokens_of(message)
            self.watchdog.record_tokens(token_in=given, token_out=written)
        except WatchdogHalt:
            return True
        return False


if __name__ == "__main__":
    serve({"defaults": Watched}, ["agent-watchdog"])
