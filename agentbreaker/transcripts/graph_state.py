"""What the nodes of a LangGraph add to its state, as messages.

A node speaks to those that run next.  Its messages are those of LangChain, as ``model_dump``, ``dumpd`` or ``str``
write them; a node that brings none says what it changes in the state.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any, Final

from agentbreaker.message import Message, Role, Tool, Usage
from agentbreaker.transcripts.graph_runs import NODES_OF_AGENTS
from agentbreaker.transcripts.values import (
    first_name,
    items_of,
    mapping_of,
    name_of,
    pay_together,
    text_of,
    unpacked,
    usage_of,
)

__all__ = ["START", "StateChanges", "messages_in"]

#: The node of what comes from outside.
START: Final = "__start__"
_USER: Final = "user"
_NAMELESS: Final = "assistant"
_MAX_KEPT: Final = 100_000
#: Where a message is told: in the graph, in one within it, or in a whole state.
_OUTER, _INNER, _STATE = _PLACES = ("outer", "inner", "state")
#: Messages that wait to be heard.
_MAX_HELD: Final = 1000
_MAX_DEPTH: Final = 8
_TYPES: Final = {
    "human": "human",
    "user": "human",
    "ai": "ai",
    "assistant": "ai",
    "tool": "tool",
    "function": "tool",
    "system": "system",
    "developer": "system",
    "chat": "ai",
    "remove": "remove",
}
#: A message as ``str`` writes it, which is what ``json.dumps(chunk, default=str)`` leaves of it.
_WRITTEN: Final = re.compile(r"content=(?P<quote>['\"])(?P<text>.*?)(?P=quote) additional_kwargs=", re.DOTALL)


class StateChanges:
    """What the nodes of one graph add to its state, as messages of one conversation.

    Nodes of one step run side by side: they hear what was said before the step, and not each other.
    """

    def __init__(self, conversation: str) -> None:
        self._conversation = conversation
        self._held: list[Message] = []
        self._heard = 0
        self._seen: set[int] = set()
        self._unnamed: set[int] = set()
        # Messages by what they are and where they were told: without an id, which a state gives them, and with one.
        self._written: dict[int, int] = {}
        self._kept: dict[int, int] = {}
        self._calls: dict[str, tuple[str, str]] = {}
        self._asked = False
        self._states = 0
        self.said = 0

    def step(self) -> None:
        """Begin a step: who speaks from now on has heard what was said so far."""
        self._heard = len(self._held)

    def asked(self, state: Any, moment: datetime | None = None) -> None:
        """Take what the first node is given: the request, which no node says."""
        if not self._asked:
            self._asked = True
            self.add(START, state, moment)
            self.step()

    def state(self, state: Any) -> None:
        """Take a whole state, of which only what is new is said."""
        found = messages_in(state)
        fresh = found[self._states :] if all(name_of(one.get("id"), "id") is None for one in found) else found
        self._states = len(found)
        self._asked = True
        self._messages("", fresh, None, "", inferred=True)

    def add(
        self, node: str, update: Any, moment: datetime | None = None, *, inner: str = "", inferred: bool = True
    ) -> None:
        """Take what a node adds.

        Args:
            node: Its name; empty if it is not known.
            update: Channels and values; messages in any of them are what it says.
            moment: When.
            inner: The node of the outer graph, where this one is in an inner graph.
            inferred: Whether it is only likely that the next node hears it.

        Raises:
            UnreadableError: A name or id is too long.
        """
        name = name_of(inner if inner and node in NODES_OF_AGENTS else node, "node") or ""
        found = messages_in(update)
        self._asked = self._asked or node == START
        if found:
            self._messages(name, found, moment, inner, inferred=inferred)
        elif update and node != START and (text := text_of(update)):
            name = name or _NAMELESS
            said = Message(self._conversation, name, None, "message", text, "assistant", timestamp=moment)
            self._say([said], name, inferred)
        elif update and node == START and (text := text_of(update)):
            self._say([Message(self._conversation, _USER, content=text, role="user", timestamp=moment)], _USER, True)

    def _messages(
        self, node: str, found: list[dict[str, Any]], moment: datetime | None, inner: str, *, inferred: bool
    ) -> None:
        # A node that is a graph of its own may give back all that it was given, the request first.
        history = len(found) > 1 and _kind_of(found[0]) == "human" and _kind_of(found[-1]) != "human"
        for number, fields in enumerate(found):
            asked = history and _kind_of(fields) == "human"
            message_id = name_of(fields.get("id"), "id")
            where = _STATE if history or not node else _INNER if inner else _OUTER
            if asked and self.said:
                answer = next((one for one in found[number + 1 :] if _kind_of(one) != "human"), fields)
                if not self._is_new(answer, node, where):
                    # What came of it is told: it would come after that.
                    continue
            if message_id is not None:
                if hash(message_id) in self._seen:
                    continue
                if len(self._seen) < _MAX_KEPT:
                    self._seen.add(hash(message_id))
            if _kind_of(fields) != "human" and self._is_told(fields, node, where):
                continue
            made = self._message(fields, START if asked else node, message_id, moment)
            if made and made[0].role == "user":
                # An input has no id before the graph has given it one.
                key = hash(made[0].content)
                if key in self._unnamed:
                    self._unnamed.discard(key)
                    continue
                if message_id is None and len(self._unnamed) < _MAX_KEPT:
                    self._unnamed.add(key)
            if made:
                speaker = made[0].sender if made[0].kind in ("message", "tool_call") else ""
                self._say(made, speaker, inferred)
                if asked:
                    self.step()

    def _is_new(self, fields: dict[str, Any], node: str, where: str) -> bool:
        message_id = fields.get("id")
        if isinstance(message_id, str) and hash(message_id) in self._seen:
            return False
        others = self._kept if message_id is None else self._written
        return not any(hash((_identity(fields, node), one)) in others for one in _elsewhere(where))

    def _is_told(self, fields: dict[str, Any], node: str, where: str) -> bool:
        """Whether a message was told elsewhere, and has or had no id: an outer graph repeats what an inner one said."""
        others, own = (self._written, self._kept) if isinstance(fields.get("id"), str) else (self._kept, self._written)
        identity = _identity(fields, node)
        for one in _elsewhere(where):
            key = hash((identity, one))
            if key in others:
                others[key] -= 1
                if not others[key]:
                    del others[key]
                return True
        if len(own) < _MAX_KEPT:
            key = hash((identity, where))
            own[key] = own.get(key, 0) + 1
        return False

    def _message(
        self, fields: dict[str, Any], node: str, message_id: str | None, moment: datetime | None
    ) -> list[Message]:
        kind, conversation = _kind_of(fields), self._conversation
        name, text = name_of(fields.get("name"), "name"), text_of(fields.get("content"))
        if kind in ("", "remove"):
            return []
        if kind == "system":
            return [Message(conversation, "system", None, "system", text, "system", message_id, timestamp=moment)]
        if kind == "tool":
            call_id = name_of(fields.get("tool_call_id"), "tool_call_id")
            caller, called = self._calls.get(call_id or "", (None, None))
            tool = Tool(name or called or "tool", call_id, None, text, fields.get("status") == "error")
            return [
                Message(
                    conversation,
                    tool.name,
                    caller,
                    "tool_result",
                    role="tool",
                    message_id=message_id,
                    timestamp=moment,
                    tool=tool,
                )
            ]
        role: Role = "assistant"
        speaker = name or node or _NAMELESS
        if (kind == "human" and name is None and node in ("", START)) or (kind == "human" and name == _USER):
            # One that a node writes in the name of a person is an agent's all the same.
            speaker, role = _USER, "user"
        elif speaker == START:
            speaker = _NAMELESS
        found = []
        calls = items_of(fields.get("tool_calls")) or items_of(
            mapping_of(fields.get("additional_kwargs")).get("tool_calls")
        )
        if text or not calls:
            found.append(Message(conversation, speaker, None, "message", text, role, message_id, timestamp=moment))
        for call in calls:
            function = mapping_of(call.get("function")) or call
            called = name_of(function.get("name"), "tool_calls.name") or "tool"
            call_id = name_of(call.get("id"), "tool_calls.id")
            if call_id is not None and len(self._calls) < _MAX_KEPT:
                self._calls[call_id] = (speaker, called)
            tool = Tool(called, call_id, unpacked(function.get("args", function.get("arguments"))))
            found.append(Message(conversation, speaker, called, "tool_call", role=role, timestamp=moment, tool=tool))
        model = first_name(mapping_of(fields.get("response_metadata")), ("model_name", "model"))
        pay_together(found, _usage(fields), model)
        if mapping_of(fields.get("response_metadata")).get("__is_handoff_back") is True:
            # No model wrote it.
            for message in found:
                message.usage_elsewhere = True
        return found

    def _say(self, messages: list[Message], speaker: str, inferred: bool) -> None:
        if speaker:
            for one in self._held[: self._heard]:
                if _is_open(one) and one.sender != speaker:
                    one.recipient, one.inferred = speaker, inferred
        self._held += messages
        self.said += len(messages)

    def ready(self) -> list[Message]:
        """Return the messages that need not wait longer to be heard, in their order."""
        number = len(self._held)
        if number <= _MAX_HELD:
            number = next((index for index, one in enumerate(self._held) if _is_open(one)), number)
        done = self._held[:number]
        del self._held[:number]
        self._heard = max(0, self._heard - number)
        return done

    def end(self) -> list[Message]:
        """Return what still waits: nobody that is known hears it."""
        done, self._held, self._heard = self._held, [], 0
        return done


def _is_open(message: Message) -> bool:
    return message.recipient is None and message.kind == "message"


def messages_in(update: Any, depth: int = _MAX_DEPTH) -> list[dict[str, Any]]:
    """Return the fields of the LangChain messages in what a node adds, whichever channels they are in."""
    if (fields := _fields_of(update)) is not None:
        return [fields]
    if depth == 0:
        return []
    if isinstance(update, list | tuple):
        return [one for item in update for one in messages_in(item, depth - 1)]
    if isinstance(update, dict):
        if "messages" in update:
            return messages_in(update["messages"], depth - 1)
        return [
            one for item in update.values() if isinstance(item, list | dict) for one in messages_in(item, depth - 1)
        ]
    return []


def _fields_of(value: Any) -> dict[str, Any] | None:
    """Return the fields of a message, however it is written; ``None`` if it is none."""
    if isinstance(value, dict):
        kwargs, path = value.get("kwargs"), value.get("id")
        if "lc" in value and isinstance(kwargs, dict) and isinstance(path, list) and path:
            return {"type": path[-1]} | kwargs if "content" in kwargs else None
        return value if "content" in value and _kind_of(value) else None
    if isinstance(value, list | tuple) and len(value) == 2 and all(isinstance(part, str) for part in value):
        return {"type": value[0], "content": value[1]} if value[0] in _TYPES else None
    if isinstance(value, str) and value.startswith("content=") and (match := _WRITTEN.match(value)) is not None:
        return {"type": "ai", "content": match["text"]}
    return None


def _elsewhere(where: str) -> list[str]:
    """Where a message may have been told that is told now; a state repeats what was in the states before."""
    return [one for one in _PLACES if one != where or one == _STATE]


def _identity(fields: dict[str, Any], node: str) -> tuple[str, ...]:
    """What makes a message another one where it has no id: the calls that it makes or answers, else who speaks."""
    calls = [str(call.get("id")) for call in items_of(fields.get("tool_calls"))]
    speaker = str(fields.get("tool_call_id") or "") or ("" if calls else str(fields.get("name") or node))
    return _kind_of(fields), text_of(fields.get("content")), speaker, *calls


def _kind_of(fields: dict[str, Any]) -> str:
    """``human``, ``ai``, ``tool``, ``system`` or ``remove``; empty where it is none of them."""
    kind = fields.get("type") or fields.get("role")
    if not isinstance(kind, str):
        return ""
    return _TYPES.get(kind.removesuffix("Chunk").removesuffix("Message").lower(), "")


def _usage(fields: dict[str, Any]) -> Usage | None:
    usage = mapping_of(fields.get("usage_metadata"))
    read, written = mapping_of(usage.get("input_token_details")), mapping_of(usage.get("output_token_details"))
    return usage_of(
        usage.get("input_tokens"),
        usage.get("output_tokens"),
        read.get("cache_read"),
        read.get("cache_creation"),
        written.get("reasoning"),
    )
