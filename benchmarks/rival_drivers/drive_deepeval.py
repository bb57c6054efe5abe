"""DeepEval's loop metric, asked after every message whether the trace so far fails."""

from __future__ import annotations

from _contract import Driver, arguments_of, serve
from deepeval.metrics import AgentLoopDetectionMetric
from deepeval.test_case import LLMTestCase


class Metric(Driver):
    """Messages are model spans, tool calls tool spans, all below one agent; below the threshold is a stop."""

    WHOLE_HISTORY = True

    def begin(self, conversation):
        self.spans = []
        self.trace = {"type": "agent", "name": "team", "input": "", "output": "", "children": self.spans}
        self.heard = ""
        self.metric = AgentLoopDetectionMetric(async_mode=False)

    def note(self, message):
        tool = message.get("tool")
        if tool is None:
            if not message["from_user"]:
                span = {"type": "llm", "name": message["sender"], "input": self.heard, "output": message["content"]}
                self.spans.append({**span, "children": []})
            self.heard = message["content"]
        elif message["kind"] == "tool_call":
            outcome = message.get("outcome") or {}
            span = {
                "type": "tool",
                "name": tool["name"],
                "input": arguments_of(message),
                "output": outcome.get("result"),
            }
            self.spans.append({**span, "children": []})

    def see(self, message):
        self.note(message)
        case = LLMTestCase(input="conversation", actual_output=message["content"] or "nothing")
        case._trace_dict = self.trace
        self.metric.measure(case, _show_indicator=False)
        return not self.metric.success


if __name__ == "__main__":
    serve({"defaults": Metric}, ["deepeval"])
