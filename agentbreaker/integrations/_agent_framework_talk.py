"""What is known of a conversation between agents of Agent Framework while it goes on.

Said, but not yet received: an answer waits here until it is known who reads it, and is one message then, however many
agents it is broadcast to.  Plain records; each has a lock, and nothing is called inside it.
"""

from __future__ import annotations

import threading
import uuid
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from contextvars import ContextVar, Token
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from agentbreaker.guard import Guard
from agentbreaker.integrations.base import Bounded, Halts
from agentbreaker.integrations.spending import charge
from agentbreaker.message import Kind, Message, Role, Tool, Usage

__all__ = ["USER", "Cost", "Frame", "Run", "Said", "Step", "Talk", "Talks", "frame_of"]

#: Conversations and objects that are remembered; of older ones nothing but the breaker's own record is left.
_MAX_TALKS = 4096
_MAX_SEEN = 1024
_MAX_ENVELOPES = 256
_MAX_WAITING = 256

#: What the person is called whom the agents serve.
USER = "user"


@dataclass(slots=True, eq=False)
class Cost:
    """What one model call cost, until a message carries it."""

    model: str | None
    usage: Usage | None


@dataclass(slots=True, eq=False)
class Said:
    """Something that was said and is still to be received; `passed`: only the turn was passed on with it."""

    sender: str
    text: str
    role: Role = "assistant"
    bill: Cost | None = None
    passed: bool = False


@dataclass(slots=True, eq=False)
class Talk:
    """One conversation.

    Attributes:
        conversation_id: Its id.
        passes: How often in a row the turn was passed on, and nobody said or did anything else.
        ended: The generation of the breaker whose final answer was given.
        dropped: What is to be done for streams that nobody read to their end; called by whoever comes next, as their
            collection can happen anywhere.
    """

    conversation_id: str
    passes: int = 0
    ended: int = -1
    dropped: deque[Callable[[], object]] = field(default_factory=deque)
    lock: threading.Lock = field(default_factory=threading.Lock)
    _run: str = field(default_factory=lambda: uuid.uuid4().hex[:12])
    _number: int = 0
    _waiting: list[Said] = field(default_factory=list)
    _seen: OrderedDict[int, Any] = field(default_factory=OrderedDict)
    _envelopes: OrderedDict[int, Any] = field(default_factory=OrderedDict)

    def settle(self) -> None:
        """Do what is to be done for streams that nobody read to their end."""
        while self.dropped:
            self.dropped.popleft()()

    def news(self, messages: Sequence[Any], *, spoken: bool) -> list[Any]:
        """Return the messages after the last one that was met before; they are kept, so that no other is taken for one.

        Args:
            messages: What is handed over, mostly the whole history.
            spoken: The last one is what is said now, and new though it may be the same object once more.
        """
        new: list[Any] = []
        for message in reversed(messages):
            if not self._is_new(self._seen, message, _MAX_SEEN) and (new or not spoken):
                break
            new.append(message)
        return new[::-1]

    def is_first(self, envelope: Any) -> bool:
        """Whether this envelope of a workflow was not delivered before; several executors may receive the same."""
        return self._is_new(self._envelopes, envelope, _MAX_ENVELOPES)

    def _is_new(self, known: OrderedDict[int, Any], thing: Any, most: int) -> bool:
        with self.lock:
            if id(thing) in known:
                return False
            known[id(thing)] = thing
            if len(known) > most:
                known.popitem(last=False)
            return True

    def rest(self) -> None:
        """Let go of what only matters while a workflow runs."""
        with self.lock:
            self._envelopes.clear()

    def say(self, said: Said) -> list[Message]:
        """Note what was said; return what has waited for too long."""
        with self.lock:
            self._waiting.append(said)
            late = self._waiting[:-_MAX_WAITING]
            del self._waiting[:-_MAX_WAITING]
            return self._messages(late, None)

    def deliver(self, recipient: str | None, but: Collection[str] = ()) -> list[Message]:
        """Return as messages what waits for `recipient`, but of some senders; one's own words are to everybody."""
        with self.lock:
            ready = [said for said in self._waiting if said.sender not in but]
            if ready:
                self._waiting = [said for said in self._waiting if said.sender in but]
            return self._messages(ready, recipient)

    def hand_on(self, text: str, recipient: str | None) -> list[Message] | None:
        """Return the words of another agent that were passed on as `text` as a message, ``None`` if nobody said so."""
        text = text.strip()
        with self.lock:
            for said in self._waiting:
                if said.sender != recipient and said.text.strip() == text:
                    self._waiting.remove(said)
                    return self._messages([said], recipient)
        return None

    def is_waiting(self, text: str) -> bool:
        """Whether somebody's words are passed on as they were, and still to be received."""
        with self.lock:
            return any(said.text == text for said in self._waiting)

    def message(
        self,
        sender: str,
        recipient: str | None,
        text: str = "",
        *,
        kind: Kind = "message",
        role: Role = "assistant",
        tool: Tool | None = None,
        bill: Cost | None = None,
    ) -> Message:
        """One message of this conversation, with the cost of a model call if it has one."""
        with self.lock:
            return self._message(sender, recipient, text, kind, role, tool, bill)

    def _message(
        self,
        sender: str,
        recipient: str | None,
        text: str,
        kind: Kind,
        role: Role,
        tool: Tool | None,
        bill: Cost | None,
    ) -> Message:
        self._number += 1
        made = Message(self.conversation_id, sender, recipient, kind, text, role, f"{self._run}:{self._number}")
        made.tool = tool
        if bill is not None:
            charge(made, bill.usage, bill.model)
        return made

    def _messages(self, ready: list[Said], recipient: str | None) -> list[Message]:
        made = []
        for said in ready:
            to = None if said.sender == recipient else recipient
            kind: Kind = "message" if said.text and not said.passed else ("system" if to is None else "handoff")
            made.append(self._message(said.sender, to, said.text, kind, said.role, None, said.bill))
        return made


@dataclass(slots=True, eq=False)
class Run:
    """One run of an agent.

    Attributes:
        loud: What it reads and says are messages; not so for a manager, and for an agent that is somebody's tool.
        bills: What its model calls cost that no message has carried yet.
        calls: To be called at its end for each model call that was streamed; it does nothing if that came to its end.
        aside: What its model said along with the tools that it asks for.
        over: Who reads its last answer, where that is known from the start.
        worked: It called a tool that does more than to hand over.
        ended: Its last answer was given by us.
    """

    talk: Talk
    actor: str
    loud: bool
    bills: list[Cost] = field(default_factory=list)
    calls: list[Callable[[], object]] = field(default_factory=list)
    aside: str = ""
    worked: bool = False
    ended: bool = False
    closed: bool = False
    over: str | None = None

    def pay(self) -> tuple[Cost | None, list[Message]]:
        """Take the latest bill, for a message to carry it, and messages that say nothing for all others."""
        bills, self.bills = self.bills, []
        latest = bills.pop() if bills else None
        return latest, [self.talk.message(self.actor, None, kind="system", bill=bill) for bill in bills]


@dataclass(slots=True, eq=False)
class Frame:
    """Where the code that is running stands: in which conversation, and inside what.

    Attributes:
        agent: The agent that a workflow is about to run here, whose input was delivered to it.
        run: The run of an agent that goes on here.
        silent: What agents read and say here are no messages.
        handoffs: Names of the tools that only hand over to another agent of the workflow.
    """

    guard: Guard
    talk: Talk
    actor: str
    agent: Any = None
    run: Run | None = None
    silent: bool = False
    handoffs: Collection[str] = ()
    outer: Frame | None = None


_current: ContextVar[Frame | None] = ContextVar("agentbreaker_agent_framework", default=None)


def frame_of(guard: Guard) -> Frame | None:
    """Return the innermost frame of this guard."""
    frame = _current.get()
    while frame is not None and frame.guard is not guard:
        frame = frame.outer
    return frame


class Step(AbstractContextManager[None]):
    """Lets what runs inside know the frame, also in the tasks that it starts.

    One is made for each update of a stream, so it is a plain class.

    Args:
        frame: The frame.
        failed: Called if what is inside breaks off.
    """

    __slots__ = ("_failed", "_frame", "_outer", "_token")

    def __init__(self, frame: Frame, failed: Callable[[], object] | None = None) -> None:
        self._frame = frame
        self._failed = failed
        self._token: Token[Frame | None] | None = None
        self._outer: Frame | None = None

    def __enter__(self) -> None:
        frame = self._frame
        self._outer = outer = _current.get()
        if outer is not frame:
            frame.outer = outer
            self._token = _current.set(frame)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._token is not None:
            try:
                _current.reset(self._token)
            except ValueError:  # a stream that was dropped is closed in another context
                _current.set(self._outer)
        if self._failed is not None and kind is not None and kind is not StopAsyncIteration:
            self._failed()


class Talks:
    """The conversations of one guard, and what its breakers share of them.  Thread-safe.

    Attributes:
        halts: Their halts.
        in_flight: Model and tool calls that have begun and not ended.
        steer: Conversations whose agents are to be told to bring something new, with the next model call.
    """

    def __init__(self) -> None:
        self.halts = Halts()
        self.in_flight: Counter[str] = Counter()
        self.steer: Bounded[str, bool] = Bounded()
        self.lock = threading.Lock()
        self._talks: OrderedDict[str, Talk] = OrderedDict()

    def of(self, conversation_id: str) -> Talk:
        """The conversation of this id, a new one if it is not known."""
        with self.lock:
            talk = self._talks.get(conversation_id)
            if talk is None:
                talk = self._talks[conversation_id] = Talk(conversation_id)
                if len(self._talks) > _MAX_TALKS:
                    self._talks.popitem(last=False)
            else:
                self._talks.move_to_end(conversation_id)
            return talk
