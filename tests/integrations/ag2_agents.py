"""Scripted agents of AG2 1.x: models that say what a list says, and hubs with such agents in a channel."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from ag2 import Agent
from ag2.config import LLMClient, ModelConfig
from ag2.events import (
    BaseEvent,
    ModelMessage,
    ModelMessageChunk,
    ModelRequest,
    ModelResponse,
    TextInput,
    ToolCallEvent,
    ToolCallsEvent,
    Usage,
)
from ag2.knowledge import MemoryKnowledgeStore
from ag2.network import Channel, Hub, HubClient, LocalLink, Passport, Resume

__all__ = ["Model", "Network", "calls", "network", "settled", "until_closed"]

#: No test waits longer than this, in seconds; nothing takes more than a fraction of it.
LIMIT = 20.0


def calls(*names_and_arguments: tuple[str, dict[str, Any]], text: str = "") -> ModelResponse:
    """An answer of a model that calls tools."""
    events = [ToolCallEvent(name=name, arguments=json.dumps(given)) for name, given in names_and_arguments]
    return ModelResponse(ModelMessage(text) if text else None, tool_calls=ToolCallsEvent(events))


class Model(ModelConfig):
    """Says what `lines` say, one after the other, whoever asks; counts the calls and keeps what it was shown."""

    def __init__(
        self,
        lines: Iterable[str | ModelResponse],
        *,
        usage: Usage | None = None,
        chunks: int = 0,
        fails: bool = False,
    ) -> None:
        self.lines = iter(lines)
        self.usage = usage
        self.chunks = chunks
        self.fails = fails
        self.calls = 0
        self.shown: list[Sequence[BaseEvent]] = []

    @property
    def provider(self) -> Any:
        raise NotImplementedError

    @property
    def model(self) -> str:
        return "scripted"

    def copy(self) -> Model:
        return self

    def create(self) -> LLMClient:
        return _Client(self)

    def create_files_client(self) -> Any:
        raise NotImplementedError

    def texts(self, number: int = -1) -> list[str]:
        """The texts of the requests that one call was shown."""
        return [
            part.content
            for event in self.shown[number]
            if isinstance(event, ModelRequest)
            for part in event.parts
            if isinstance(part, TextInput)
        ]


class _Client(LLMClient):
    def __init__(self, model: Model) -> None:
        self._model = model

    async def __call__(self, messages: Sequence[BaseEvent], context: Any, **kwargs: Any) -> ModelResponse:
        model = self._model
        model.calls += 1
        model.shown.append(list(messages))
        if model.fails:
            raise LookupError("the service is down")
        line = next(model.lines, "")
        if isinstance(line, str):
            for number in range(model.chunks):
                await context.send(ModelMessageChunk(f"{number}"))
            line = ModelResponse(ModelMessage(line) if line else None)
        if model.usage is not None:
            line = ModelResponse(line.message, tool_calls=line.tool_calls, usage=model.usage, model="gpt-4o-mini")
        return line


class Network:
    """A hub and the agents that are registered on it."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.connections: list[HubClient] = []
        self.agents: dict[str, Any] = {}

    async def add(self, agent: Agent[Any], **options: Any) -> Any:
        """Register an agent; with a connection of its own, as one that waits for another needs it."""
        connection = HubClient(LocalLink(self.hub))
        self.connections.append(connection)
        client = await connection.register(agent, Passport(name=agent.name), Resume(), **options)
        self.agents[agent.name] = client
        return client

    async def texts(self, channel: Channel) -> list[tuple[str, str]]:
        """Who has written what into a channel."""
        wal = await self.hub.read_wal(channel.channel_id)
        return [
            (self.hub.name_for(one.sender_id), one.event_data.get("text", one.event_data.get("body", "")))
            for one in wal
            if one.event_type in ("ag2.msg.text", "ag2.packet")
        ]


@asynccontextmanager
async def network(*agents: Agent[Any]) -> AsyncIterator[Network]:
    """A hub of this process with `agents`."""
    hub = await Hub.open(MemoryKnowledgeStore())
    made = Network(hub)
    try:
        for agent in agents:
            await made.add(agent)
        yield made
    finally:
        for connection in made.connections:
            await connection.close()
        await hub.close()


async def until_closed(hub: Hub, channel: Channel) -> str:
    """Wait until a channel is closed, and return why."""

    async def closed() -> str:
        while not (metadata := await hub.get_channel(channel.channel_id)).is_terminal():
            await asyncio.sleep(0)
        return str(metadata.close_reason)

    return await asyncio.wait_for(closed(), LIMIT)


async def settled(count: Any) -> None:
    """Wait until `count()` has stayed the same for long: a tenth of a second in which the loop had nothing to do."""
    last = -1
    while count() != last:
        last = count()
        await asyncio.sleep(0.1)
