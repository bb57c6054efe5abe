"""loopguard-runtime: its monitor with the default detectors, fed as its reader of saved traces feeds it."""

from __future__ import annotations

from _contract import Driver, arguments_of, serve
from loopguard.guard import default_detectors
from loopguard.monitor import Monitor
from loopguard.runner import tool_signature
from loopguard.signals import GuardAction


class Monitored(Driver):
    """A message is a step of its recipient with the sender as caller; a tool call two events of its agent."""

    def begin(self, conversation):
        self.monitor = Monitor(default_detectors())

    def see(self, message):
        tool = message.get("tool")
        if message["from_user"]:
            return False
        if message["kind"] == "tool_call":
            arguments = arguments_of(message)
            payload = {"last_tool": tool["name"], "last_args": arguments}
            event = (
                message["sender"],
                f"decided: {tool['name']}({arguments})",
                tool_signature(tool["name"], arguments),
            )
        else:
            said = message["content"] if tool is None else tool["result"] or ""
            text = said.strip().replace("\n", " ")[:160]
            payload = {"last_result": text}
            agent = message["recipient"] or "everyone"
            if tool is None:
                payload["caller"] = message["sender"]
            event = (agent, f"observed: {text}", f"result:{text}")
        return self.monitor.observe_decision(*event, **payload).decision.action == GuardAction.STOP


if __name__ == "__main__":
    serve({"default detectors": Monitored}, ["loopguard-runtime"])
