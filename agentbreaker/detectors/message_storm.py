"""AB501 message-storm."""

from __future__ import annotations

import math
from array import array
from typing import TYPE_CHECKING, ClassVar

from agentbreaker.detectors.cost_evidence import CostEvidence
from agentbreaker.novelty import Kind

if TYPE_CHECKING:
    from agentbreaker.config import PolicySettings
    from agentbreaker.novelty import Observation
    from agentbreaker.verdict import Signal

__all__ = ["MessageStorm"]

#: Messages whose answers are counted, and generations that are kept.
_MAX_MESSAGES = 256
_MAX_GENERATIONS = 32
_KEY_BYTES = 4
_KEY_MASK = (1 << 8 * _KEY_BYTES) - 1
#: Messages that must have been answered by several others for one message's worth of evidence: however many answers a
#: message gets, it is one message that was answered by many, so a single fan-out is next to nothing.
_BRANCHINGS = 8.0
#: The most that one generation counts: as many doublings as it has grown by, up to this.
_MOST_DOUBLINGS = 3.0
#: What a generation that does not grow takes away, besides as many doublings as it has shrunk by.
_STEADY_DRAIN = 0.25
#: Without parents: messages of the first block, and how much longer than the one before a block that is twice as large
#: may take and still be growth.  At a constant rate it takes twice as long.
_BLOCK = 8
_NO_LONGER = 1.25
#: Blocks that took less than this many seconds are not measured: agents on a test bench have no rate.
_SHORTEST = 1.0

_OUTSIDE, _CONTEXT = Kind.OUTSIDE, Kind.CONTEXT


class _Generations:
    """The family tree of the latest messages, as the sizes of its generations.

    A ring of 32-bit keys of message ids, with the generation of each and whether it was answered; 9 bytes a message.
    """

    __slots__ = ("_answered", "_first", "_keys", "_next", "_of", "branchings", "sizes")

    def __init__(self) -> None:
        self._keys = bytearray()
        self._of = array("I")
        self._answered = bytearray()
        self._next = 0
        # Messages, and of these the ones that were answered twice or more, by generation from `_first` on.
        self._first = 0
        self.sizes = array("I", (0,))
        self.branchings = array("I", (0,))

    def add(self, message_id: str | None, parent: int | None) -> tuple[bool, bool]:
        """Enter a message below its parent.

        Returns:
            Whether it is the second answer to its parent; whether it begins a generation.
        """
        generation = 0
        second = False
        if parent is not None:
            key = (parent & _KEY_MASK).to_bytes(_KEY_BYTES, "little")
            slot = self._find(key)
            if slot is None:
                slot = self._enter(key, 0)
                self._count(0)
            generation = self._of[slot] + 1
            answers = self._answered[slot]
            if answers < 2:
                self._answered[slot] = answers + 1
                second = answers == 1
                at = generation - 1 - self._first
                if second and at >= 0:
                    self.branchings[at] += 1
        if message_id is not None:
            self._enter((hash(message_id) & _KEY_MASK).to_bytes(_KEY_BYTES, "little"), generation)
        return second, self._count(generation)

    def _find(self, key: bytes) -> int | None:
        """Slot of a key, the latest ones looked at first."""
        keys = self._keys
        at = keys.rfind(key)
        while at > 0 and at % _KEY_BYTES:
            at = keys.rfind(key, 0, at + _KEY_BYTES - 1)
        return at // _KEY_BYTES if at >= 0 else None

    def _enter(self, key: bytes, generation: int) -> int:
        slot = self._next
        if len(self._of) < _MAX_MESSAGES:
            self._keys += key
            self._of.append(generation)
            self._answered.append(0)
        else:
            self._keys[slot * _KEY_BYTES : (slot + 1) * _KEY_BYTES] = key
            self._of[slot] = generation
            self._answered[slot] = 0
        self._next = (slot + 1) % _MAX_MESSAGES
        return slot

    def _count(self, generation: int) -> bool:
        sizes = self.sizes
        at = generation - self._first
        if at < 0:
            return False
        if at < len(sizes):
            sizes[at] += 1
            return False
        sizes.append(1)
        self.branchings.append(0)
        if len(sizes) > _MAX_GENERATIONS:
            del sizes[0], self.branchings[0]
            self._first += 1
        return True

    def growth(self, reproduction: float) -> tuple[float, int, int]:
        """Sum the growth of the generations up as a one-sided CUSUM.

        Returns:
            Evidence in messages' worth; the generations that grew in the current run, and the messages in them.
        """
        level, grown, messages = 0.0, 0, 0
        sizes, branchings = self.sizes, self.branchings
        unfinished = len(sizes) - 2
        for at in range(1, len(sizes)):
            before, size = sizes[at - 1], sizes[at]
            if size >= before * reproduction > 0:
                level += min(branchings[at - 1] / _BRANCHINGS, math.log2(size / before), _MOST_DOUBLINGS)
                grown += 1
                messages += size
            elif at < unfinished:
                # The latest generations are not complete yet: that they are small says nothing.
                level -= _STEADY_DRAIN + max(0.0, math.log2(before / size))
            else:
                messages += min(size, 2 * branchings[at - 1])
            if level <= 0.0:
                level, grown, messages = 0.0, 0, 0
        return level, grown, messages


class MessageStorm:
    """message-storm (AB501)

    What it sees:
        Each message begets more than one, generation after generation. Where
        messages say what they answer (``parent_id``), the sizes of successive
        generations are compared: their ratio is the reproduction number, the
        maximum-likelihood estimate for a branching process. A generation that
        grew counts as many messages' worth as it has doubled, at most one for
        every eight messages that got several answers, so that one message to
        fifty workers is next to nothing. Where none says so, the rate is taken
        instead: blocks of 8, 16, 32 messages that take no longer than the one
        before, by the clock or the timestamps. With neither, it is silent.

    Why it matters:
        In a group chat in which everybody answers everybody, five agents write a
        thousand messages in five rounds, and every one is a paid model call.

    Example:
        Every message gets two answers, and each of them has something to say.

        >>> from agentbreaker import Guard, Message, Policy
        >>> guard = Guard(Policy(storm={"messages": 100}))
        >>> for n in range(2, 200):
        ...     said = f"Idea {n * 7919}: weigh crate {n * 613} on scale {n * 97}."
        ...     answer = Message("c", f"agent-{n % 4}", content=said,
        ...                      message_id=f"m{n}", parent_id=f"m{n // 2}")
        ...     decision = guard.observe(answer)
        ...     if not decision.allowed:
        ...         break
        >>> decision.code, decision.action.value
        ('AB501', 'halt')

    What resets it:
        Generations that no longer grow drain it, those that shrink by as many
        doublings; a turn of the user.

    Known false positives:
        Delegation over four and more levels to hundreds of agents, before the
        answers come back: it is warned and steered. To halt it takes
        ``storm.messages``, or talk that brings nothing new.

    Known evasions:
        Answers without ``parent_id`` at a rate that is high from the beginning
        (see AB601). A storm in no order: agents of very unequal speed, or answers
        to messages more than 256 messages old, spread it over so many generations
        that none grows; one that follows each branch to its end grows no wider
        (AB103 and AB601 see that).

    Options:
        ``storm.reproduction`` (messages; default 1.25): how many each one begets
            from which a generation counts as grown.
        ``storm.messages`` (messages; default 256): a storm of so many is halted
            however much they say; ``"off"``: never.
        ``ladder.warn`` (messages' worth; default 2.75)
        ``ladder.steer`` (messages' worth; default 3.25)
        ``ladder.finish`` (messages' worth; default off)
        ``ladder.halt`` (messages' worth; default 4): evidence at which each rung is
            reached.

    Reference:
        T. E. Harris, Branching processes, Annals of Mathematical Statistics 19
            (1948), 474-494: the reproduction number and its estimate.
        E. S. Page, Continuous inspection schemes, Biometrika 41 (1954), 100-115:
            the one-sided CUSUM.
    """

    code: ClassVar[str] = "AB501"
    name: ClassVar[str] = "message-storm"
    title: ClassVar[str] = "Message storm"

    __slots__ = (
        "_began",
        "_cost",
        "_ends",
        "_generations",
        "_grown",
        "_level",
        "_messages",
        "_settings",
        "_start",
        "_took",
    )

    def __init__(self, settings: PolicySettings) -> None:
        self._settings = settings
        # Allocated when the first message says what it answers, and when something grows.
        self._generations: _Generations | None = None
        self._cost: CostEvidence | None = None
        self._level = 0.0
        self._grown = self._messages = 0
        # Without parents: number of the message that ends the block, when and with which message the block began,
        # and how long the one before took (0: there is none).
        self._ends = _BLOCK
        self._start = 0.0
        self._began = 0
        self._took = 0.0

    def observe(self, seen: Observation) -> Signal | None:
        """Enter the message into its generation, or see how long a block took; judge what has grown."""
        generations = self._generations
        kind = seen.kind
        if generations is None and seen.parent is None:
            if kind is _OUTSIDE:
                self._begin_block(seen)
            elif seen.index >= self._ends:
                self._end_block(seen)
            elif self._cost is None:
                return None
        elif kind is _OUTSIDE:
            self.reset()
            self._begin_block(seen)
        elif kind is not _CONTEXT:
            if generations is None:
                self._calm_down()
                generations = self._generations = _Generations()
            second, begins = generations.add(seen.message_id, seen.parent)
            if second or (begins and self._level > 0.0):
                self._level, self._grown, self._messages = generations.growth(self._settings.storm.reproduction)
        level = self._level
        if level <= 0.0:
            self._cost = None
            return None
        cost = self._cost
        if cost is None:
            cost = self._cost = CostEvidence(self._settings)
        most = self._settings.storm.messages
        cost.weigh(level, seen, extreme=most is not None and self._messages >= most)
        return cost.signal(self.code, seen, "messages' worth of a growing storm", self._grown)

    def _begin_block(self, seen: Observation) -> None:
        """Something came from outside: what is counted begins anew."""
        self._calm_down()
        self._began = seen.index
        self._ends = seen.index + _BLOCK
        self._start = seen.seconds
        self._took = 0.0

    def _end_block(self, seen: Observation) -> None:
        """A block is full: it has grown if it took hardly longer than the one before, which was half as large."""
        took, before = seen.seconds - self._start, self._took
        size = self._ends - self._began
        self._start = seen.seconds
        self._began = seen.index
        if took < _SHORTEST or (before > 0.0 and took > before * _NO_LONGER):
            self._calm_down()
            size, took = _BLOCK // 2, 0.0  # and begin with a first block again
        elif before > 0.0:
            self._grown += 1
            self._messages += size
            self._level += 1.0
        self._took = took
        self._ends = seen.index + 2 * size

    def _calm_down(self) -> None:
        self._level = 0.0
        self._grown = self._messages = 0
        self._cost = None

    def reset(self) -> None:
        """Forget the family tree and the suspicion."""
        self._generations = None
        self._calm_down()
        self._took = 0.0
