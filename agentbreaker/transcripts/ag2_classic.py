"""AG2 0.x and AutoGen 0.2: the SQLite log of ``autogen.runtime_logging``.

``events`` has what each agent received, ``chat_completions`` what each call of a model cost, which the agent's next
message pays.  A session of logging is a conversation.  A group's manager passes on what it was told: who wrote it is
the sender, once, and speaks to the next one who speaks.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from typing import Any, Final

from agentbreaker.message import Message, Tool
from agentbreaker.transcripts.addressing import Addressing
from agentbreaker.transcripts.records import Probe
from agentbreaker.transcripts.schema import MAX_NAME, UnreadableError
from agentbreaker.transcripts.source import SQLITE, Source
from agentbreaker.transcripts.sqlite_file import open_database
from agentbreaker.transcripts.values import (
    cost_of,
    first_name,
    items_of,
    mapping_of,
    moment_of,
    name_of,
    pay_together,
    sum_of_usage,
    text_of,
    unpacked,
    usage_of,
)

__all__ = ["read_ag2_classic", "recognise_ag2_classic"]

_TABLES: Final = {
    "events": ("id", "event_name", "source_name", "agent_class_name", "json_state", "timestamp"),
    "chat_completions": ("id", "session_id", "source_name", "request", "response", "is_cached", "cost", "end_time"),
}
_EVENTS: Final = (
    "SELECT id, source_name, agent_class_name, json_state, timestamp FROM events "
    "WHERE event_name = 'received_message' ORDER BY id"
)
_CALLS: Final = "SELECT source_name, request, response, is_cached, cost, end_time FROM chat_completions ORDER BY id"
_SESSIONS: Final = (
    # Of a name that is too long only so much that it is seen.
    f"SELECT substr(session_id, 1, {MAX_NAME + 1}) AS session, min(start_time) AS begun FROM chat_completions "  # noqa: S608
    "GROUP BY session ORDER BY begun LIMIT 10000"
)
_MANAGERS: Final = ("GroupChatManager", "GroupManager")
_MAX_KEPT: Final = 100_000


def recognise_ag2_classic(probe: Probe) -> bool:
    """Whether the recording is a database with the tables of the runtime log."""
    return probe.head.startswith(SQLITE) and b"chat_completions" in probe.head and b"json_state" in probe.head


def read_ag2_classic(source: Source) -> Iterator[Message]:
    """Yield the messages of a log.

    Raises:
        TranscriptError: It is no such database.
    """
    with open_database(source, _TABLES) as connection:
        sessions = [
            (begun, name)
            for name, begun in connection.execute(_SESSIONS)
            if isinstance(begun, str) and isinstance(name, str) and name
        ]
        log, addressing = _Log(connection.execute(_CALLS)), Addressing()
        for number, receiver, kind, state, stamp in connection.execute(_EVENTS):
            source.line = number if isinstance(number, int) else source.line + 1
            source.report.lines += 1
            try:
                found = log.received(receiver, kind, mapping_of(state), stamp, _session(sessions, stamp))
            except UnreadableError as error:
                source.skip(error.reason, field=error.field)
                continue
            if found and log.is_elsewhere(found[0]):
                # Another chat: nobody in it hears what a group said last.
                yield from _counted(source, addressing.end())
            for message in found:
                yield from _counted(source, addressing.push(message))
        yield from _counted(source, addressing.end())
        yield from _counted(source, log.unpaid())


def _counted(source: Source, messages: list[Message]) -> Iterator[Message]:
    for message in messages:
        source.report.messages += 1
        yield message


def _session(sessions: list[tuple[str, str]], stamp: Any) -> str:
    """The session that had begun at a time; what comes before the first call of a model belongs to the first."""
    if not sessions:
        return "log"
    place = bisect_right(sessions, (stamp if isinstance(stamp, str) else "", "\U0010ffff"))
    name = name_of(sessions[max(0, place - 1)][1], "session_id")
    return name or "log"


class _Log:
    """Events and calls of models of one file, side by side."""

    def __init__(self, calls: Iterator[Any]) -> None:
        self._calls = calls
        self._next: Any = next(calls, None)
        self._paid = self._next is not None
        # What was paid for since an agent's latest message.
        self._bills: dict[str, Message] = {}
        self._made: dict[str, tuple[str, str]] = {}
        self._managers: set[str] = set()
        self._members: set[str] = set()
        self._conversation = "log"

    def received(self, receiver: Any, kind: Any, state: dict[str, Any], stamp: Any, conversation: str) -> list[Message]:
        """Return the messages of one event.

        Raises:
            UnreadableError: It does not say who spoke to whom.
        """
        self._conversation = conversation
        self._pay_until(stamp)
        own = name_of(receiver, "source_name")
        sender = name_of(state.get("sender"), "json_state.sender")
        if own is None or sender is None:
            raise UnreadableError("missing", "source_name" if own is None else "json_state.sender")
        if isinstance(kind, str) and kind in _MANAGERS and len(self._managers) < _MAX_KEPT:
            self._managers.add(own)
        body = state.get("message")
        turn = body if isinstance(body, dict) else {"content": body}
        author = name_of(turn.get("name"), "json_state.message.name")
        if sender in self._managers and len(self._members) < _MAX_KEPT:
            self._members.add(own)
        if sender in self._managers and author is not None and author != sender:
            return []
        recipient = None if own in self._managers else own
        found = self._turn(turn, conversation, author or sender, recipient)
        moment = moment_of(stamp)
        for message in found:
            message.timestamp = moment
        if found and (bill := self._bills.pop(found[0].sender, None)) is not None:
            pay_together(found, bill.usage, bill.model, bill.cost_usd)
        elif self._paid:
            # Every call of a model is in the log: for this one there was none, or one that cost nothing.
            for message in found:
                message.usage_elsewhere = message.kind != "tool_result"
        return found

    def is_elsewhere(self, message: Message) -> bool:
        """Whether a message is said to one agent by one that is in no group."""
        return message.kind == "message" and message.recipient is not None and message.sender not in self._members

    def _turn(self, turn: dict[str, Any], conversation: str, sender: str, recipient: str | None) -> list[Message]:
        text, found = text_of(turn.get("content")), list[Message]()
        if turn.get("role") in ("tool", "function"):
            for answer in items_of(turn.get("tool_responses")) or [turn]:
                call_id = name_of(answer.get("tool_call_id"), "json_state.message.tool_call_id")
                caller, name = self._made.get(call_id or "", (recipient, None))
                name = name or first_name(answer, ("name",)) or "tool"
                tool = Tool(name, call_id, None, text_of(answer.get("content")))
                found.append(Message(conversation, name, caller, "tool_result", role="tool", tool=tool))
            return found
        calls = items_of(turn.get("tool_calls")) or items_of([turn.get("function_call")])
        if text or not calls:
            found.append(Message(conversation, sender, recipient, content=text, role="assistant"))
        for call in calls:
            function = mapping_of(call.get("function")) or call
            name = name_of(function.get("name"), "json_state.message.tool_calls.name") or "tool"
            call_id = name_of(call.get("id"), "json_state.message.tool_calls.id")
            if call_id is not None and len(self._made) < _MAX_KEPT:
                self._made[call_id] = (sender, name)
            tool = Tool(name, call_id, unpacked(function.get("arguments")))
            found.append(Message(conversation, sender, name, "tool_call", role="assistant", tool=tool))
        return found

    def _pay_until(self, stamp: Any) -> None:
        """Take the calls that had ended at a time."""
        while self._next is not None and (
            stamp is None or not isinstance(self._next[5], str) or self._next[5] <= str(stamp)
        ):
            self._pay(*self._next)
            self._next = next(self._calls, None)

    def _pay(self, agent: Any, request: Any, response: Any, cached: Any, cost: Any, ended: Any) -> None:
        if not isinstance(agent, str) or not agent or cached in (1, True):
            return
        answer = mapping_of(response)
        usage = mapping_of(answer.get("usage"))
        try:
            name = name_of(agent, "source_name") or ""
            model = first_name(answer, ("model",)) or first_name(mapping_of(request), ("model",))
        except UnreadableError:
            return
        bill = self._bills.setdefault(
            name, Message(self._conversation, name, role="assistant", timestamp=moment_of(ended))
        )
        counted = usage_of(usage.get("prompt_tokens"), usage.get("completion_tokens"))
        bill.usage = sum_of_usage(bill.usage, counted)
        bill.model = model or bill.model
        if (price := cost_of(cost)) is not None:
            bill.cost_usd = (bill.cost_usd or 0.0) + price
        while len(self._bills) > _MAX_KEPT:
            self._bills.pop(next(iter(self._bills)))

    def unpaid(self) -> list[Message]:
        """Return what was paid for and not followed by a message."""
        self._pay_until(None)
        return [bill for bill in self._bills.values() if bill.usage is not None or bill.cost_usd is not None]
