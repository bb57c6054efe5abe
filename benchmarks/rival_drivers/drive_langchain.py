"""LangChain's middleware that limits calls, with the limits of its own examples (it has no defaults)."""

from __future__ import annotations

from _contract import Driver, arguments_of, serve
from langchain.agents.middleware import ModelCallLimitMiddleware, ToolCallLimitMiddleware
from langchain_core.messages import AIMessage


class Limited(Driver):
    """Each agent has the middleware and a state of its own; it is invoked anew whenever it has answered."""

    RUN = ""

    def limit(self):
        """Return the middleware."""
        raise NotImplementedError

    def begin(self, conversation):
        self.middleware = self.limit()
        self.states = {}

    def updated(self, name, update):
        """Write the changes of a hook into the state of an agent; return whether it ends."""
        if update is None:
            return False
        self.states[name].update({key: value for key, value in update.items() if key.endswith("_count")})
        return update.get("jump_to") == "end"

    def see(self, message):
        if message["from_user"] or message["kind"] == "tool_result":
            return False
        name = message["sender"]
        state = self.states.setdefault(name, {})
        tool = message.get("tool")
        if tool is None:
            calls = []
        else:
            calls = [{"name": tool["name"], "args": arguments_of(message), "id": tool["call_id"] or "call"}]
        state["messages"] = [AIMessage(message["content"], tool_calls=calls)]
        ends = self.updated(name, self.middleware.before_model(state, None))
        ends = self.updated(name, self.middleware.after_model(state, None)) or ends
        if tool is None:
            # Having answered, it ends this run.
            state.pop(self.RUN, None)
        return ends


class ModelCalls(Limited):
    """10 model calls in a thread and 5 in a run."""

    RUN = "run_model_call_count"

    def limit(self):
        return ModelCallLimitMiddleware(thread_limit=10, run_limit=5, exit_behavior="end")


class ToolCalls(Limited):
    """20 tool calls in a thread and 10 in a run."""

    RUN = "run_tool_call_count"

    def limit(self):
        return ToolCallLimitMiddleware(thread_limit=20, run_limit=10, exit_behavior="end")


if __name__ == "__main__":
    serve({"ModelCallLimit 10/5": ModelCalls, "ToolCallLimit 20/10": ToolCalls}, ["langchain"])
