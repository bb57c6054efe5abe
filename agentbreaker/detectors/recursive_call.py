"""AB103 recursive-call."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from agentbreaker.detectors.base import report_floor
from agentbreaker.novelty import Kind
from agentbreaker.verdict import MAX_EVIDENCE, Signal, score_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agentbreaker.config import PolicySettings
    from agentbreaker.novelty import Observation

__all__ = ["RecursiveCall"]

#: Calls without an answer that are remembered; the oldest is given up first.
_MAX_OPEN = 64
_MAX_NAMES = 50
_MAX_IDS = 16
#: A re-entry that brings something new, or a smaller piece, counts this share of one that does not.
_HONEST_SHARE = 1.0 / 3.0
#: A piece is smaller if it has at most this share of the characters.
_SMALLER = 0.75
#: A call that may as well be one of several at the same time counts this share.
_AMBIGUOUS_SHARE = 1.0 / 12.0

# Members of an enumeration are slow to reach, and these are met on every message.
_TALK, _CALL, _RESULT, _OUTSIDE = Kind.TALK, Kind.CALL, Kind.RESULT, Kind.OUTSIDE


class _Open:
    """A call that waits for its result.

    Attributes:
        caller, callee: Who waits, and for whom.
        call_id, message_id, index: What it is known by.
        parent: The call that the caller is serving; ``None`` if it serves none, or one that was given up.
        children: Open calls that were made to serve this one.
        depth: Calls of the chain, this one included.
        value: Evidence of the chain up to here.
        reentries: How often the chain has met itself up to here.
        size: Characters of the call.
        named: Whether `parent` is known by its id, and not taken for it by the names.
        tokens, cost_usd: What the conversation had cost before it.
    """

    __slots__ = (
        "call_id",
        "callee",
        "caller",
        "children",
        "cost_usd",
        "depth",
        "index",
        "message_id",
        "named",
        "parent",
        "reentries",
        "size",
        "tokens",
        "value",
    )

    def __init__(self, seen: Observation, callee: str, parent: _Open | None) -> None:
        self.caller = seen.sender
        self.callee = callee
        self.call_id = seen.call_id
        self.message_id = seen.message_id
        self.index = seen.index
        self.parent = parent
        self.named = parent is not None and parent.message_id is not None and hash(parent.message_id) == seen.parent
        self.children = 0
        self.size = seen.size
        self.tokens = seen.tokens - seen.spent_tokens
        self.cost_usd = seen.cost_usd - seen.spent_usd
        self.depth = 1
        self.value = 0.0
        self.reentries = 0
        if parent is not None:
            parent.children += 1
            self.depth = parent.depth + 1
            self.value = parent.value
            self.reentries = parent.reentries

    def chain(self) -> Iterator[_Open]:
        """This call and those that wait for it, outwards."""
        call: _Open | None = self
        while call is not None:
            yield call
            call = call.parent


class RecursiveCall:
    """recursive-call (AB103)

    What it sees:
        A nested chain of open calls that meets itself: A waits for B, and B, or
        somebody whom B waits for, calls A. A call is a ``tool_call`` from the
        caller to its recipient (or to the tool's name, where no recipient is
        given), open until its ``tool_result`` comes back. A chain is formed by
        the callee of an open call that makes a call itself, so ordinary tools,
        which call nobody, never form one. It is seen at the moment of the call.

    Why it matters:
        Nobody in the chain can answer before the innermost call does, so it
        hangs, or goes on until the stack, the context window or the money ends.
        An agent that is given itself as a tool does this with the same task.
        Two cases leave no doubt and are halted at once: the same call of the same
        caller, word for word, is open further up, in a chain whose calls each name
        the one they serve; and a call that names itself as its parent, with which
        an integration says that the callee is busy until this call is answered.

    Example:
        Each waits for the other, with the same task.

        >>> from agentbreaker import Guard, Message, Tool
        >>> guard = Guard()
        >>> for caller, callee in ["ab", "ba", "ab", "ba"]:
        ...     task = Tool(callee, arguments={"task": "Find out why it differs."})
        ...     call = Message("c", caller, callee, "tool_call", tool=task)
        ...     decision = guard.observe(call)
        >>> decision.code, decision.action.value
        ('AB103', 'halt')

    What resets it:
        Results: what has returned is no longer part of a chain. A call is given
        up when its caller talks again while it should be waiting, when the callee
        answers it with an ordinary message, and when a person speaks.

    Known false positives:
        A recording that leaves out the results of calls between agents: send such
        messages as ``message`` or ``handoff``. Many calls of an agent to its own
        name at the same time: give each a ``parent_id``, as the ``message_id`` of
        the call that it serves tells nested calls from simultaneous ones for
        certain.

    Known evasions:
        A call that is handed over to another agent, which makes the next one;
        another name on each level (the limit on depth sees that).

    Options:
        ``calls.reentry`` (messages' worth; default 1.6): evidence of a re-entry
            that brings nothing new; one that brings something new, or a smaller
            piece, counts a third.
        ``calls.max_depth`` (calls; default 8): how many may be open one inside the
            other; each one beyond counts as a re-entry.
        ``ladder.warn`` (messages' worth; default 2.75)
        ``ladder.steer`` (messages' worth; default 3.25)
        ``ladder.finish`` (messages' worth; default off)
        ``ladder.halt`` (messages' worth; default 4): evidence at which each rung is
            reached.

    Reference:
        E. G. Coffman, M. J. Elphick and A. Shoshani, System deadlocks, ACM
            Computing Surveys 3 (1971), 67-78: circular wait.
        A. M. Turing, Checking a large routine, 1949: a recursion ends if something
            gets smaller each time.
    """

    code: ClassVar[str] = "AB103"
    name: ClassVar[str] = "recursive-call"
    title: ClassVar[str] = "Recursive call"

    __slots__ = ("_batch", "_floor", "_latest", "_limit", "_max_depth", "_open", "_reentry")

    def __init__(self, settings: PolicySettings) -> None:
        self._limit = settings.ladder.halt or MAX_EVIDENCE
        self._floor = report_floor(settings)
        self._reentry = settings.calls.reentry
        self._max_depth = settings.calls.max_depth
        # Open calls, oldest first: a parent comes before its children.
        self._open: list[_Open] | None = None
        # The latest call, and the number that the next message has if nothing comes between.
        self._latest: _Open | None = None
        self._batch = -1

    def observe(self, seen: Observation) -> Signal | None:
        """Open and close calls; speak when a call meets its own chain, or lies too deep."""
        kind = seen.kind
        if kind is _CALL:
            callee = seen.recipient
            if callee is None:
                callee = seen.tool_name
                if not callee or callee == seen.sender:
                    # A tool that is called like the agent that uses it is not that agent.
                    return None
            return self._call(seen, callee)
        calls = self._open
        if not calls:
            return None
        if kind is _RESULT:
            self._answered(seen, calls)
        elif kind is _OUTSIDE:
            self.reset()
        elif kind is _TALK:
            self._talked(seen, calls)
        return None

    def reset(self) -> None:
        """Forget all open calls."""
        self._open = None
        self._latest = None

    def _call(self, seen: Observation, callee: str) -> Signal | None:
        calls = self._open
        if calls is None:
            calls = self._open = []
        if len(calls) >= _MAX_OPEN:
            _forget_oldest(calls)
        latest = self._latest if seen.index == self._batch else None
        call, ambiguous = self._opened(seen, callee, calls, latest)
        weight = 0.0
        if ambiguous is not None:
            # Several calls at once, or an agent nested in itself: the record does not say.
            call.value, call.reentries = ambiguous.value, ambiguous.reentries + 1
            weight = self._reentry * _AMBIGUOUS_SHARE
        elif any(above.caller == callee for above in call.chain()):
            call.reentries += 1
            # Names and figures that are handed on with the same task are little news.
            news = 1.0 if _is_smaller(call) else max(0.0, 1.0 - 2.0 * seen.emptiness)
            weight = self._reentry * (1.0 - news * (1.0 - _HONEST_SHARE))
        if call.depth > self._max_depth:
            weight = self._reentry
        if _is_certain(call, seen):
            call.reentries = max(1, call.reentries)
            weight = MAX_EVIDENCE
        value = call.value + weight
        # Bounded, like all evidence.
        call.value = value if value < MAX_EVIDENCE else MAX_EVIDENCE
        calls.append(call)
        self._latest = call
        self._batch = seen.index + 1
        if weight <= 0.0 or call.value < self._floor:
            return None
        return self._signal(call, seen)

    @staticmethod
    def _opened(seen: Observation, callee: str, calls: list[_Open], latest: _Open | None) -> tuple[_Open, _Open | None]:
        """Open a call below the one that its caller serves.

        Returns:
            The call; and the one before it, if both are calls of an agent to itself that may be simultaneous or nested.
        """
        caller, named = seen.sender, seen.parent
        served: _Open | None = None
        for call in calls:
            if call.callee == caller:
                if named is not None and call.message_id is not None and hash(call.message_id) == named:
                    return _Open(seen, callee, call), None
                # Without a name: the shallowest one that does not wait for a call already.
                if served is None or (call.children > 0, call.depth) < (served.children > 0, served.depth):
                    served = call
        if latest is not None and latest.caller == caller:
            # Directly after another call of the same agent: made at the same time, to serve the same call.
            return _Open(seen, callee, latest.parent), latest if latest.callee == caller == callee else None
        return _Open(seen, callee, served), None

    def _answered(self, seen: Observation, calls: list[_Open]) -> None:
        """Close the call that a result answers: by its id, else the latest one between the two, not one that waits."""
        call_id, caller, callee = seen.call_id, seen.recipient, (seen.sender, seen.tool_name)
        answered: _Open | None = None
        for call in reversed(calls):
            if caller is not None and caller != call.caller:
                continue
            if call_id is not None and call.call_id is not None:
                if call.call_id == call_id:
                    answered = call
                    break
            elif call.callee in callee and (answered is None or (answered.children and not call.children)):
                answered = call
        if answered is not None:
            self._close(answered)

    def _talked(self, seen: Observation, calls: list[_Open]) -> None:
        """An agent that talks does not wait: close the call that it answers, or give up those that it made."""
        speaker, latest = seen.sender, self._latest
        if latest is not None and latest.caller == speaker and seen.index == self._batch:
            return  # the words that go with the call
        free = [call for call in calls if call.callee == speaker and not call.children]
        if free:
            answered = next((call for call in reversed(free) if call.caller == seen.recipient), None)
            if answered is not None:
                self._close(answered)
            return
        made = [call for call in calls if call.caller == speaker]
        if made:
            parent = min(made, key=_depth).parent
            for call in made:
                if call.parent is parent:
                    self._close(call)

    def _close(self, closed: _Open) -> None:
        """Close a call and everything that was called to serve it."""
        if closed.parent is not None:
            closed.parent.children -= 1
        gone = {closed}
        left = []
        assert self._open is not None  # noqa: S101 - holds the call
        for call in self._open:
            if call in gone or call.parent in gone:
                gone.add(call)
            else:
                left.append(call)
        self._open = left or None
        if self._latest in gone:
            self._latest = None

    def _signal(self, call: _Open, seen: Observation) -> Signal:
        """Make the signal of a chain, from its outermost call on."""
        chain = list(call.chain())
        chain.reverse()
        first = chain[0]
        return Signal(
            code=self.code,
            score=score_of(call.value),
            value=call.value,
            limit=self._limit,
            unit="messages' worth of calls within calls",
            laps=call.reentries,
            since=first.index,
            agents=tuple(dict.fromkeys([above.caller for above in chain] + [call.callee]))[:_MAX_NAMES],
            evidence=tuple(above.message_id or f"#{above.index}" for above in chain[-_MAX_IDS:]),
            tokens=seen.tokens - first.tokens,
            cost_usd=seen.cost_usd - first.cost_usd,
        )


def _depth(call: _Open) -> int:
    return call.depth


def _is_smaller(call: _Open) -> bool:
    """Whether this is a smaller piece of what the same agent was called with further up."""
    for above in call.chain():
        if above is not call and above.callee == call.callee:
            return call.size <= above.size * _SMALLER
    return False


def _is_certain(call: _Open, seen: Observation) -> bool:
    """Whether no answer can come: the call waits for itself, or the same one, word for word, waits for it."""
    if seen.parent is not None and call.message_id is not None and hash(call.message_id) == seen.parent:
        return True
    if not call.named or seen.emptiness < 1.0:
        return False
    above = call
    while above.named and above.parent is not None:
        above = above.parent
        if (above.caller, above.callee, above.size) == (call.caller, call.callee, call.size):
            return True
    return False


def _forget_oldest(calls: list[_Open]) -> None:
    """Give up the oldest call; what was called to serve it stays."""
    oldest = calls.pop(0)
    if oldest.children:
        for call in calls:
            if call.parent is oldest:
                call.parent = None
