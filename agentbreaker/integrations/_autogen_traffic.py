"""What agents of autogen-core send and publish, turned into messages: text, calls, and the answers that close them."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from autogen_core import AgentId, FunctionCall, TopicId
from autogen_core.models import FunctionExecutionResult
from pydantic import BaseModel

from agentbreaker.integrations._autogen_ledger import Keys, arguments_of
from agentbreaker.message import Message, Tool

__all__ = ["Call", "HaltedMessage", "Traffic", "text_of"]

#: Text gathered from one message, in characters, and how deep its fields are searched.
_MAX_CHARS = 20_000
_MAX_DEPTH = 4

#: Sends that await their answers; the oldest is given up first.
_MAX_OPEN = 1024

#: Who sends what no agent sends: the application, for a person.
_PERSON = "user"


@dataclass(frozen=True)
class HaltedMessage:
    """What stands for a message that must not be delivered any more, and for an answer that will not come.

    Attributes:
        conversation_id: The conversation that was halted.
        reason: Why, in one sentence.
    """

    conversation_id: str
    reason: str


@dataclass(slots=True, eq=False)
class Call:
    """A send that awaits its answer.

    Attributes:
        sender, recipient: Types of the agents; the sender is ``None`` if it is the application.
        identity: The id of the message.
        serves: The id of the message that the sender is serving, if known.
        agents: Sender and recipient with their keys.
        tool: The tool call that the message is, if it is one.
        delivered: Whether its delivery was met.
        told: Whether the guard was told of it.
    """

    sender: str | None
    recipient: str
    identity: str
    tool: Tool
    serves: str | None = None
    agents: tuple[AgentId | None, AgentId] | None = None
    delivered: bool = False
    told: bool = True


class Traffic:
    """The sends of one breaker that await their answers, and the ids of messages that were met.  Thread-safe."""

    def __init__(self, conversation_id: str) -> None:
        self.conversation_id = conversation_id
        self._lock = threading.Lock()
        self._met = Keys()
        self._open: list[Call] = []
        self._served: dict[str, int] = {}

    def begins(self, identity: str) -> None:
        """An agent begins to handle the message of this id."""
        with self._lock:
            self._served[identity] = self._served.get(identity, 0) + 1

    def ends(self, identity: str) -> None:
        """An agent has handled the message of this id."""
        with self._lock:
            left = self._served.pop(identity, 1) - 1
            if left > 0:
                self._served[identity] = left

    def waits(self, call: Call) -> bool:
        """Whether the recipient of `call` waits for it: it made a call of the same chain, and still awaits the answer.

        What an agent has started without waiting for it is over with its turn, and holds nobody up.
        """
        recipient, serves = call.agents[1] if call.agents else None, call.serves
        with self._lock:
            known = {one.identity: one for one in self._open}
            for _ in range(_MAX_OPEN):
                above = known.get(serves) if serves is not None else None
                if above is None or above.agents is None:
                    return False
                if above.agents[0] == recipient and above.serves in self._served:
                    return True
                serves = above.serves
        return False

    def __len__(self) -> int:
        return len(self._open)

    def sends(
        self,
        message: Any,
        sender: AgentId | None,
        recipient: AgentId,
        identity: str,
        serves: str | None,
        *,
        new: bool,
        busy: bool = False,
    ) -> tuple[Call, list[Message]]:
        """An agent sends `message` and awaits the answer.

        Args:
            message: What is sent.
            sender: By whom; ``None`` is the application.
            recipient: To whom.
            identity: The id of the message.
            serves: The id of the message that the sender is serving, if known.
            new: False if the guard knows the call.
            busy: The recipient handles one such message at a time.
        """
        name, content = recipient.type, ""
        if isinstance(message, FunctionCall):
            name, arguments = message.name, arguments_of(message.arguments)
        else:
            content = text_of(message)
            arguments = {"message": content}
        call = Call(
            None if sender is None else sender.type,
            recipient.type,
            identity,
            Tool(name, identity, arguments),
            serves,
            (sender, recipient),
            told=new,
        )
        with self._lock:
            self._met.put(identity)
            self._open.append(call)
            if len(self._open) > _MAX_OPEN:  # of agents that failed where nobody could see it
                del self._open[0]
        if not new:
            return call, []
        if call.sender is None:
            return call, [self._message(_PERSON, call.recipient, content, identity, role="user")]
        asked = self._message(call.sender, recipient.type, "", identity, kind="tool_call", role="assistant")
        # A call that names itself as its parent can only be answered after itself: nobody is left to answer it.
        asked.tool, asked.parent_id = call.tool, identity if busy and self.waits(call) else serves
        return call, [asked]

    def answered(self, call: Call, answer: Any, error: BaseException | None = None) -> list[Message]:
        """The answer to a send is there, or an error came of it."""
        with self._lock:
            if call not in self._open:
                return []
            self._open.remove(call)
        if not call.told:
            return []
        failed = error is not None or (isinstance(answer, FunctionExecutionResult) and bool(answer.is_error))
        text = f"{type(error).__name__}: {error}" if error is not None else text_of(answer)
        if call.sender is None:
            return [self._message(call.recipient, _PERSON, text, f"{call.identity}:answer")] if text else []
        made = self._message(
            call.recipient, call.sender, text, f"{call.identity}:answer", kind="tool_result", role="tool"
        )
        made.tool = Tool(call.tool.name, call.identity, result=text, is_error=failed)
        return [made]

    def publishes(self, message: Any, sender: AgentId | None, topic: TopicId, identity: str) -> list[Message]:
        """An agent publishes `message`, which is one message however many hear it."""
        with self._lock:
            if not self._met.put(identity):
                return []
        who = _PERSON if sender is None else sender.type
        role = "user" if sender is None else "assistant"
        return [self._message(who, topic.type, text_of(message), identity, role=role)]

    def meets(self, sender: AgentId | None, recipient: AgentId, identity: str) -> Call | None:
        """Return the call that is delivered to `recipient`, ``None`` if it comes from another process."""
        who = None if sender is None else sender.type
        with self._lock:
            pair = [call for call in self._open if call.sender == who and call.recipient == recipient.type]
            # Some runtimes give the delivery an id of its own.
            own = next((call for call in pair if call.identity == identity), None)
            own = own or next((call for call in pair if not call.delivered), None)
            if own is not None:
                own.delivered = True
            return own

    def knows(self, identity: str) -> bool:
        """Whether a message of this id was met."""
        with self._lock:
            return identity in self._met

    def between(self, sender: str | None, recipient: str) -> Call | None:
        """Return the latest call between the two that awaits its answer: the innermost one, where they are nested."""
        pair = (sender, recipient)
        with self._lock:
            return next((call for call in reversed(self._open) if (call.sender, call.recipient) == pair), None)

    def _message(self, sender: str, recipient: str, content: str, identity: str, **fields: Any) -> Message:
        return Message(self.conversation_id, sender, recipient, content=content, message_id=identity, **fields)


def text_of(message: Any) -> str:
    r"""Return what a message of any type says: its text, or its fields with their names.

    >>> text_of("Hello."), text_of({"rows": 1733, "state": "running"})
    ('Hello.', 'rows: 1733\nstate: running')
    """
    if message is None:
        return ""
    if isinstance(message, str):
        return message[:_MAX_CHARS]
    content = getattr(message, "content", None)
    if isinstance(content, str):
        return content[:_MAX_CHARS]
    lines: list[str] = []
    room = _MAX_CHARS
    for line in _lines(message, "", _MAX_DEPTH):
        lines.append(line[:room])
        room -= len(line) + 1
        if room <= 0:
            break
    return "\n".join(lines)


def _lines(value: Any, name: str, depth: int) -> Iterator[str]:
    if value is None or depth == 0 or isinstance(value, bytes | type):
        return
    fields: Mapping[Any, Any] | None = None
    if isinstance(value, Mapping):
        fields = value
    elif isinstance(value, BaseModel):
        fields = {key: getattr(value, key, None) for key in type(value).model_fields}
    elif dataclasses.is_dataclass(value):
        fields = {field.name: getattr(value, field.name, None) for field in dataclasses.fields(value)}
    if fields is not None:
        for key, item in fields.items():
            yield from _lines(item, str(key), depth - 1)
    elif isinstance(value, list | tuple | set | frozenset):
        for item in value:
            yield from _lines(item, name, depth - 1)
    elif isinstance(value, str | int | float):
        yield f"{name}: {value}" if name else str(value)
