"""The stuck detector of the OpenHands SDK, one for each agent, over real events of the SDK."""

from __future__ import annotations

import itertools
import json

from _contract import Driver, addressed, arguments_of, serve
from openhands.sdk.conversation.stuck_detector import StuckDetector
from openhands.sdk.event import ActionEvent, AgentErrorEvent, MessageEvent, ObservationEvent
from openhands.sdk.llm import Message, MessageToolCall, TextContent
from openhands.sdk.mcp.definition import MCPToolAction, MCPToolObservation


class History:
    """What the detector reads of the state of a conversation: its latest events."""

    def __init__(self):
        self.events = []

    def active_branch(self, limit):
        """Return the latest events."""
        return self.events[-limit:]


class Stuck(Driver):
    """Each agent has a conversation of its own, in which the other agents are its users."""

    def begin(self, conversation):
        self.agents = {}
        self.numbers = itertools.count()

    def of(self, name):
        """History and detector of one agent."""
        if name not in self.agents:
            history = History()
            self.agents[name] = (history, StuckDetector(history))
        return self.agents[name]

    def see(self, message):
        tool = message.get("tool")
        if tool is None:
            heard = Message(role="user", content=[TextContent(text=message["content"])])
            to = message["recipient"]
            for name in [to] if to is not None else [name for name in self.agents if name != message["sender"]]:
                self.of(name)[0].events.append(MessageEvent(source="user", llm_message=heard))
            if message["from_user"]:
                return False
            # As a message of its own, three in a row, to whomever, would be a monologue.
            history, detector = self.of(message["sender"])
            history.events.append(self.action(addressed(message), {"content": message["content"]}))
            return detector.is_stuck()
        called = message["kind"] == "tool_call"
        history, detector = self.of(message["sender"] if called else message["recipient"])
        event = self.action(tool["name"], arguments_of(message)) if called else self.observation(tool)
        history.events.append(event)
        return detector.is_stuck()

    def action(self, name, arguments):
        """Return the event of a call."""
        number = str(next(self.numbers))
        call = MessageToolCall(id=number, name=name, arguments=json.dumps(arguments), origin="completion")
        return ActionEvent(
            thought=[],
            action=MCPToolAction(data=arguments),
            tool_name=name,
            tool_call_id=number,
            tool_call=call,
            llm_response_id=number,
        )

    def observation(self, tool):
        """Return the event of a result."""
        number, name, text = str(next(self.numbers)), tool["name"], tool["result"] or ""
        if tool["is_error"]:
            return AgentErrorEvent(tool_name=name, tool_call_id=number, error=text)
        observed = MCPToolObservation(tool_name=name, content=[TextContent(text=text)])
        return ObservationEvent(observation=observed, tool_name=name, tool_call_id=number, action_id=number)


if __name__ == "__main__":
    serve({"defaults": Stuck}, ["openhands-sdk"])
