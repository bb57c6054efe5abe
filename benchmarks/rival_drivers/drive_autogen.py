"""AutoGen's termination conditions, as its documentation combines them (it has no defaults)."""

from __future__ import annotations

import asyncio

from _contract import Driver, serve, tokens_of
from autogen_agentchat.conditions import MaxMessageTermination, TextMentionTermination
from autogen_agentchat.messages import TextMessage
from autogen_core.models import RequestUsage


class Documented(Driver):
    """``MaxMessageTermination(10) | TextMentionTermination("APPROVE")``: the example of its tutorial."""

    def condition(self):
        """Return the condition."""
        return MaxMessageTermination(10) | TextMentionTermination("APPROVE")

    def __init__(self):
        self.runner = asyncio.Runner()

    def begin(self, conversation):
        self.current = self.condition()

    def see(self, message):
        # Tool calls and results of AutoGen are events, and no messages of the team.
        if message.get("tool") is not None:
            return False
        given, written = tokens_of(message)
        text = TextMessage(
            content=message["content"],
            source="user" if message["from_user"] else message["sender"],
            models_usage=RequestUsage(prompt_tokens=given, completion_tokens=written),
        )
        return self.runner.run(self.asked(text)) is not None

    async def asked(self, text):
        """Ask the condition, as a team does after every message."""
        return await self.current([text])


class Mention(Documented):
    """``TextMentionTermination("TERMINATE")`` alone."""

    def condition(self):
        return TextMentionTermination("TERMINATE")


if __name__ == "__main__":
    modes = {"MaxMessage 10 or APPROVE": Documented, "TextMention TERMINATE": Mention}
    serve(modes, ["autogen-agentchat"])
