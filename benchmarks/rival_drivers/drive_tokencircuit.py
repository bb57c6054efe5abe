"""tokencircuit: its engine, and its hook for LangGraph as the README wires it."""

from __future__ import annotations

import json

from _contract import Driver, arguments_of, serve
from tokencircuit import InterventionEngine
from tokencircuit.adapters.langgraph import tc_pre_model_hook
from tokencircuit.engine import TokenCircuitError


class Engine(Driver):
    """The engine by itself, before every model call; the state that it asks to keep is kept."""

    WHOLE_HISTORY = True

    def begin(self, conversation):
        self.engine = InterventionEngine()
        self.messages = []
        self.state = {}

    def note(self, message):
        tool = message.get("tool")
        if tool is None:
            role = "user" if message["from_user"] else "assistant"
            self.messages.append({"role": role, "content": message["content"]})
        elif message["kind"] == "tool_result":
            self.messages.append({"role": "tool", "tool_call_id": tool["call_id"], "content": tool["result"] or ""})
        else:
            function = {"name": tool["name"], "arguments": json.dumps(arguments_of(message))}
            call = {"id": tool["call_id"], "type": "function", "function": function}
            last = self.messages[-1] if self.messages else {}
            # Calls that follow each other are the parallel calls of one answer.
            if "tool_calls" in last and last["name"] == message["sender"]:
                last["tool_calls"].append(call)
                return
            content = message["content"]
            answer = {"role": "assistant", "name": message["sender"], "content": content, "tool_calls": [call]}
            self.messages.append(answer)

    def see(self, message):
        self.note(message)
        return message["kind"] != "tool_call" and self.stops()

    def stops(self):
        """Ask before the next model call."""
        decision = self.engine.process(self.messages, self.state, thread_id="thread", node_name="agent")
        self.state = {"_tc_intervention": {**self.state.get("_tc_intervention", {}), **decision.state_patch}}
        return decision.should_terminate


class Hook(Engine):
    """The hook of the README; it keeps no state between two calls."""

    def stops(self):
        try:
            tc_pre_model_hook({"messages": self.messages}, engine=self.engine)
        except TokenCircuitError:
            return True
        return False


if __name__ == "__main__":
    serve({"engine": Engine, "LangGraph hook": Hook}, ["tokencircuit"])
