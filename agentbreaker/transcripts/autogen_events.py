"""AutoGen 0.7: what its logger ``autogen_core.events`` writes, an event a line, whatever stands before it in the line.

A message is logged when it is sent and again for everybody who gets it, and an agent's answer goes to the group and to
the output, so a message of ``autogen_agentchat`` counts by its id, and any other one when it is sent.  The manager's
request to publish says who speaks next, to whom the group was thus speaking.  The key of an agent is its conversation.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from agentbreaker.message import Message, Tool
from agentbreaker.transcripts.addressing import Addressing
from agentbreaker.transcripts.autogen import Seen, is_message, messages_of_turn
from agentbreaker.transcripts.records import Probe, lines_of, parse_value
from agentbreaker.transcripts.schema import UnreadableError
from agentbreaker.transcripts.source import Source
from agentbreaker.transcripts.values import (
    first_name,
    items_of,
    last_text,
    mapping_of,
    name_of,
    pay_together,
    sum_of_usage,
    text_of,
    unpacked,
    usage_of,
)

__all__ = ["read_autogen_events", "recognise_autogen_events"]

_MAX_KEPT: Final = 100_000
#: Events of the logger that are no messages.
_SILENT: Final = ("LLMStreamStart", "MessageDropped", "MessageHandlerException", "AgentConstructionException")
_UNSERIALISED: Final = "Message could not be serialized"
_RUNTIME: Final = "runtime"


def recognise_autogen_events(probe: Probe) -> bool:
    """Whether the beginning holds a line of the logger."""
    return b'"delivery_stage": "DeliveryStage.' in probe.head and b'"payload": ' in probe.head


def read_autogen_events(source: Source) -> Iterator[Message]:
    """Yield the messages of an event log."""
    log = _Log()
    for line in lines_of(source):
        try:
            # A formatter may have put the time and the name of the logger before the event.
            begin = line.find(b"{")
            if begin < 0:
                raise UnreadableError("no event of autogen_core.events")
            event = parse_value(line[begin:])
            if not isinstance(event, dict):
                raise UnreadableError("not an object")
            found = log.take(event)
        except UnreadableError as error:
            source.skip(error.reason, field=error.field)
            continue
        if found is None:
            source.report.blank += 1
        else:
            yield from _counted(source, found)
    yield from _counted(source, log.end())


def _counted(source: Source, messages: list[Message]) -> Iterator[Message]:
    for message in messages:
        source.report.messages += 1
        yield message


class _Log:
    """The events of one log in their order."""

    def __init__(self) -> None:
        self._addressing = Addressing()
        self._seen = Seen()
        self._is_chat = False
        # Calls of models that no message of the agent has paid for yet.
        self._bills: dict[tuple[str, str], Message] = {}

    def take(self, event: dict[str, Any]) -> list[Message] | None:
        """Return the messages that are ready after an event, ``None`` if it is no message.

        Raises:
            UnreadableError: It is no event of the logger.
        """
        match event.get("type"):
            case "Message":
                return self._message(event)
            case "LLMCall" | "LLMStreamEnd":
                self._call(event)
                return None
            case "ToolCall":
                return self._tool(event)
            case str(kind) if kind in _SILENT:
                return None
        raise UnreadableError("no event of autogen_core.events", "type")

    def _message(self, event: dict[str, Any]) -> list[Message] | None:
        payload = event.get("payload")
        if payload == _UNSERIALISED:
            return None
        sender, key = _agent(event.get("sender"), "sender")
        receiver, other = _agent(event.get("receiver"), "receiver")
        conversation = key or other or "log"
        body = unpacked(payload)
        sent = str(event.get("delivery_stage")).endswith("SEND")
        if isinstance(body, dict) and (turns := _turns(body)):
            self._is_chat = True
            ready: list[Message] = []
            for turn in turns:
                ready += self._ready(messages_of_turn(turn, conversation, self._seen))
            return ready
        elif body == {} and self._is_chat:
            # The same to one agent directly is a reset.
            published = sent and str(event.get("kind")).endswith("PUBLISH")
            return self._addressing.address(conversation, receiver) if published and receiver else None
        elif not sent or self._is_chat:
            return None
        return self._ready([Message(conversation, sender or _RUNTIME, receiver, content=last_text(body))])

    def _tool(self, event: dict[str, Any]) -> list[Message] | None:
        # A team tells of its tools in messages of its own.
        if self._is_chat:
            return None
        agent, key = _agent(event.get("agent_id"), "agent_id")
        name, conversation = name_of(event.get("tool_name"), "tool_name") or "tool", key or "log"
        caller = agent or _RUNTIME
        call = Tool(name, arguments=event.get("arguments"))
        result = Tool(name, result=text_of(event.get("result")))
        return self._ready(
            [
                Message(conversation, caller, name, "tool_call", role="assistant", tool=call),
                Message(conversation, name, caller, "tool_result", role="tool", tool=result),
            ]
        )

    def _ready(self, found: list[Message]) -> list[Message]:
        """Return what is ready after the messages of one turn, which pay for the calls of the agent before it."""
        said = [message for message in found if message.kind != "tool_result"]
        if said and (bill := self._bills.pop((said[-1].conversation_id, said[-1].sender), None)) is not None:
            # The turn itself knows of its own call only, and not of those that its tools made.
            usage = max((said[-1].usage, bill.usage), key=lambda one: 0 if one is None else one.total)
            pay_together(said, usage, bill.model)
        return [one for message in found for one in self._addressing.push(message)]

    def _call(self, event: dict[str, Any]) -> None:
        agent, key = _agent(event.get("agent_id"), "agent_id")
        place = (key or "log", agent or _RUNTIME)
        bill = self._bills.setdefault(place, Message(*place, role="assistant"))
        bill.usage = sum_of_usage(bill.usage, usage_of(event.get("prompt_tokens"), event.get("completion_tokens")))
        bill.model = first_name(mapping_of(event.get("response")), ("model",)) or bill.model
        while len(self._bills) > _MAX_KEPT:
            self._bills.pop(next(iter(self._bills)))

    def end(self) -> list[Message]:
        """Return what still waits, and what was paid for and not followed by a message."""
        bills = [bill for bill in self._bills.values() if bill.usage is not None]
        # Nothing is said with them, and nobody is spoken to.
        return [*self._addressing.end(), *bills]


def _agent(value: Any, field: str) -> tuple[str | None, str | None]:
    """Type and key of an agent or topic; a team adds its own id, which is also the key, to the type."""
    name = name_of(value, field)
    if name is None:
        return None, None
    kind, slash, key = name.partition("/")
    if not slash or not key:
        return kind or None, None
    return kind.removesuffix(f"_{key}") or None, key


def _turns(body: dict[str, Any]) -> list[dict[str, Any]]:
    """The messages of ``autogen_agentchat`` in what its agents send each other."""
    response = mapping_of(body.get("response")) or mapping_of(body.get("agent_response"))
    turns = [
        body,
        *items_of(body.get("messages")),
        mapping_of(body.get("message")),
        *items_of(response.get("inner_messages")),
        mapping_of(response.get("chat_message")),
    ]
    return [turn for turn in turns if is_message(turn)]
