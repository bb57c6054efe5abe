"""What AgentChat reports, turned into messages, each counted once, whichever attachment hears of it first.

The same words come by up to three ways: the reply of the model, the runtime's traffic, and the delta that a
termination condition is given; nested teams report them once more.  Chat messages and events are known by their id,
tool calls and tokens by the object that AgentChat hands on, tool results by the call that they close.
"""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from autogen_agentchat.messages import (
    BaseAgentEvent,
    BaseChatMessage,
    CodeExecutionEvent,
    CodeGenerationEvent,
    HandoffMessage,
    ThoughtEvent,
    ToolCallExecutionEvent,
    ToolCallRequestEvent,
    ToolCallSummaryMessage,
    UserInputRequestedEvent,
)
from autogen_core import FunctionCall
from autogen_core.models import FunctionExecutionResult, RequestUsage

from agentbreaker.message import Kind, Message, Role, Tool, Usage

__all__ = ["UNKNOWN", "Keys", "Ledger", "Reply", "arguments_of", "usage_of"]

#: What is remembered of each kind; older entries are forgotten first.
_MAX_KNOWN = 4096

#: The person whom a team serves, as AgentChat names the sender of a task.
_PERSON = "user"

#: Who calls a model outside of a team, until its context holds something that it said itself.
UNKNOWN = "agent"

#: The tool that stands for the code that an agent writes and runs.
_CODE = "run_code"

#: Beginning of the names that AgentChat gives to hand-off tools; other names are learned when they hand over.
_HANDOFF = "transfer_to_"


class _Known:
    """The latest objects that were met, known by identity; they are kept alive, so that no other takes their place."""

    def __init__(self) -> None:
        self._objects: OrderedDict[int, object] = OrderedDict()

    def add(self, thing: object) -> bool:
        """Note an object; whether it was new."""
        if thing in self:
            return False
        self._objects[id(thing)] = thing
        if len(self._objects) > _MAX_KNOWN:
            self._objects.popitem(last=False)
        return True

    def __contains__(self, thing: object) -> bool:
        return thing is not None and self._objects.get(id(thing)) is thing


class Keys(OrderedDict[Any, Any]):
    """A mapping that forgets its oldest entries."""

    def put(self, key: Any, value: Any = None) -> bool:
        """Note a key; whether it was new."""
        new = key not in self
        self[key] = value
        if len(self) > _MAX_KNOWN:
            self.popitem(last=False)
        return new


@dataclass(slots=True, eq=False)
class Reply:
    """What a model answered, until the agent's message with it is delivered.

    Attributes:
        agent: Whose model it was.
        text: What it said; of a hand-over what it said along with it.
        usage: The tokens, ``None`` if unknown.
        model: Name of the model, if known.
        cost_usd: What it cost in US dollars, if known.
        counted: The object in which AgentChat hands the tokens on.
    """

    agent: str
    text: str = ""
    usage: Usage | None = None
    model: str | None = None
    cost_usd: float | None = None
    counted: object = None


class Ledger:
    """Turns what is reported into messages of one conversation.  Thread-safe.

    Attributes:
        conversation_id: The conversation.
        delivers: Whether somebody reports what agents say to each other; if not, replies count as said at once.
    """

    def __init__(self, conversation_id: str, persons: Iterable[str]) -> None:
        self.conversation_id = conversation_id
        self.delivers = False
        self._lock = threading.Lock()
        self._ids = Keys()
        self._calls = _Known()
        self._billed = _Known()
        self._read_before = _Known()
        # Calls that wait for their result, by agent and id, with the name of the tool; and those that had it.
        self._open = Keys()
        self._closed = Keys()
        self._results = _Known()
        # What tools answered, with their names: a message of a hand-over repeats the answer of the tool that made it.
        self._answers = Keys()
        self._handoffs = Keys()
        self._persons = Keys()
        for name in (_PERSON, *persons):
            self._persons.put(name)
        self._thoughts: dict[str, str] = {}
        self._replies: dict[str, Reply] = {}

    def is_new(self, call: FunctionCall) -> bool:
        """Whether this call of a tool was not read yet; from now on it is."""
        with self._lock:
            return self._calls.add(call)

    def person(self, name: str) -> None:
        """What this participant says is input from outside."""
        with self._lock:
            self._persons.put(name)

    # What the wrapped model client tells.

    def asks(self, agent: str, results: Sequence[FunctionExecutionResult]) -> list[Message]:
        """A model is about to be called for `agent`, with these results of its tools at the end of the context."""
        with self._lock:
            messages = self._undelivered({agent})
            for result in results:
                for caller in (agent, UNKNOWN):  # whose name may not have been known when it made the call
                    if (caller, result.call_id) in self._open:
                        messages += self._result(caller, result, None)
            return messages

    def answers(self, reply: Reply, calls: Sequence[FunctionCall]) -> list[Message]:
        """A model has answered: with calls of tools, or with words that are still to be delivered."""
        with self._lock:
            if reply.counted is not None:
                self._billed.add(reply.counted)
            if calls:
                return self._called(reply.agent, calls, reply)
            if not self.delivers:
                self._read_before.add(reply.counted)
                return [self._said(reply)]
            messages = self._undelivered({reply.agent})
            self._replies[reply.agent] = reply
            return messages

    def pays(self, reply: Reply) -> list[Message]:
        """A model has answered whose words are nobody's message: its tokens are counted by themselves."""
        with self._lock:
            self._billed.add(reply.counted)
            return self._bill(reply)

    def disown(self, counted: object, *, words: bool) -> None:
        """These tokens are not to be counted; with `words`, the message that bears them is not to be read either."""
        with self._lock:
            self._billed.add(counted)
            if words:
                self._read_before.add(counted)

    # What the termination condition and the observer tell.

    def reads(self, items: Iterable[BaseAgentEvent | BaseChatMessage], *, turn_over: bool) -> list[Message]:
        """Messages and events of a team; `turn_over` says that every agent of the team has ended its turn."""
        items = list(items)
        with self._lock:
            messages: list[Message] = []
            if turn_over:
                # Parallel branches: the condition is only told what the last of them said.
                speakers = {item.source for item in items if isinstance(item, BaseChatMessage)}
                messages += self._undelivered(self._replies.keys() - speakers)
            for item in items:
                if self._ids.put((type(item).__name__, item.id)):
                    messages += self._read(item)
            return messages

    def _read(self, item: BaseAgentEvent | BaseChatMessage) -> list[Message]:
        agent = item.source
        if isinstance(item, ToolCallRequestEvent):
            calls = [call for call in item.content if self._calls.add(call)]
            if calls:
                return self._called(agent, calls, self._reply(item), item.id)
            self._thoughts.pop(agent, None)  # they went with the calls, which are known
            return []
        if isinstance(item, ToolCallExecutionEvent):
            return [
                message
                for number, result in enumerate(item.content)
                for message in self._result(agent, result, f"{item.id}:{number}")
            ]
        if isinstance(item, ThoughtEvent):
            self._thoughts[agent] = item.content
        elif isinstance(item, UserInputRequestedEvent):
            self._persons.put(agent)
        elif isinstance(item, CodeGenerationEvent):
            return [self._tool("tool_call", agent, Tool(_CODE, arguments={"code": item.content}), item.id)]
        elif isinstance(item, CodeExecutionEvent):
            text = item.result.output
            tool = Tool(_CODE, result=text, is_error=item.result.exit_code != 0)
            return [self._tool("tool_result", agent, tool, item.id)]
        elif isinstance(item, BaseChatMessage):
            return self._chat(item)
        return []

    def _chat(self, item: BaseChatMessage) -> list[Message]:
        agent = item.source
        thought = self._thoughts.pop(agent, "")
        reply = self._replies.pop(agent, None)
        if isinstance(item, ToolCallSummaryMessage) and item.tool_calls:
            # The results once more; they were counted as results.
            return self._bill(reply) if reply is not None else []
        if item.models_usage in self._read_before:
            return []  # read before it was delivered, as of a branch or of a team within; or our own words
        if reply is None:
            reply = self._reply(item)
        elif item.models_usage is not None and self._billed.add(item.models_usage):
            reply.usage = usage_of(item.models_usage)
        text = item.to_model_text()
        if isinstance(item, HandoffMessage):
            # The message itself is a formula; what the agent said along with it is what matters.
            text = reply.text or thought or text
            if (tool := self._answers.get((agent, item.content))) is not None:
                self._handoffs.put(tool)
        message = self._said(reply, text, item.id)
        if isinstance(item, HandoffMessage):
            message.recipient = item.target
            message.kind = "handoff"
        if agent in self._persons:
            message.role = "user"
        return [message]

    # Parts of both.

    def _reply(self, item: BaseAgentEvent | BaseChatMessage) -> Reply:
        """The tokens that a message bears, unless they were counted."""
        counted = item.models_usage
        if counted is None or not self._billed.add(counted):
            return Reply(item.source)
        return Reply(item.source, usage=usage_of(counted), counted=counted)

    def _called(
        self, agent: str, calls: Sequence[FunctionCall], reply: Reply, identity: str | None = None
    ) -> list[Message]:
        """Calls of tools, the tokens on the first; a hand-over is only noted, as its message says it all."""
        text = reply.text or self._thoughts.pop(agent, "")
        before = self._undelivered({agent})
        made: list[Message] = []
        for number, call in enumerate(calls):
            self._calls.add(call)
            key = (agent, call.id)
            if call.name.startswith(_HANDOFF) or call.name in self._handoffs:
                self._open.pop(key, None)
                self._closed.put(key)
                continue
            self._closed.pop(key, None)
            self._open.put(key, call.name)
            tool = Tool(call.name, call.id or None, arguments_of(call.arguments))
            made.append(self._tool("tool_call", agent, tool, f"{identity}:{number}" if identity else None))
        if made:
            first = made[0]
            first.content, first.usage, first.model, first.cost_usd = text, reply.usage, reply.model, reply.cost_usd
        else:
            reply.text = text
            self._replies[agent] = reply  # until the message of the hand-over
        return before + made

    def _result(self, agent: str, result: FunctionExecutionResult, identity: str | None) -> list[Message]:
        key = (agent, result.call_id)
        if not self._results.add(result):
            return []
        name = self._open.pop(key, None)
        if name is None and key in self._closed:
            return []
        self._closed.put(key)
        self._answers.put((agent, result.content), name or result.name)
        tool = Tool(name or result.name, result.call_id or None, result=result.content, is_error=bool(result.is_error))
        return [self._tool("tool_result", agent, tool, identity)]

    def _undelivered(self, agents: Iterable[str]) -> list[Message]:
        """What these agents' models said without a message that brought it."""
        replies = [self._replies.pop(agent) for agent in list(self._replies) if agent in agents]
        for reply in replies:
            self._read_before.add(reply.counted)
        return [message for reply in replies for message in ([self._said(reply)] if reply.text else self._bill(reply))]

    def _bill(self, reply: Reply) -> list[Message]:
        """The tokens of a reply whose words go to nobody."""
        if reply.usage is None:
            return []
        message = self._said(reply, "")
        message.kind = "system"
        return [message]

    def _said(self, reply: Reply, text: str | None = None, identity: str | None = None) -> Message:
        return Message(
            self.conversation_id,
            reply.agent,
            content=reply.text if text is None else text,
            role="assistant",
            message_id=identity,
            model=reply.model,
            usage=reply.usage,
            cost_usd=reply.cost_usd,
        )

    def _tool(self, kind: Kind, agent: str, tool: Tool, identity: str | None) -> Message:
        """A call from an agent to a tool, or the tool's result back to it."""
        sender, recipient = (agent, tool.name) if kind == "tool_call" else (tool.name, agent)
        role: Role = "assistant" if kind == "tool_call" else "tool"
        content = tool.result or ""
        return Message(self.conversation_id, sender, recipient, kind, content, role, identity, tool=tool)


def usage_of(counted: RequestUsage) -> Usage:
    """Tokens as the engine counts them."""
    return Usage(int(counted.prompt_tokens or 0), int(counted.completion_tokens or 0))


def arguments_of(text: Any) -> Any:
    """The arguments of a call, which AgentChat has as JSON; text that is none stays as it is."""
    try:
        return json.loads(text)
    except (TypeError, ValueError, RecursionError):
        return text
