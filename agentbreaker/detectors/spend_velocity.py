"""AB502 spend-velocity."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar

from agentbreaker.detectors.cost_evidence import CostEvidence
from agentbreaker.novelty import Kind
from agentbreaker.verdict import MAX_EVIDENCE

if TYPE_CHECKING:
    from agentbreaker.config import PolicySettings
    from agentbreaker.novelty import Observation
    from agentbreaker.verdict import Signal

__all__ = ["SpendVelocity"]

#: The usual spending follows what is spent by this share with each window, and slower while it is held to be too much.
_USUAL_RATE = 1.0 / 8.0
_SUSPECT_RATE = 1.0 / 32.0
#: The least and the most that one window adds to the evidence: one expensive minute is no trend.
_LOWEST_STEP, _HIGHEST_STEP = -2.0, 1.0
#: Extreme windows in a row that are a reason to halt by themselves.
_EXTREME_WINDOWS = 2

_OUTSIDE = Kind.OUTSIDE


class SpendVelocity:
    """spend-velocity (AB502)

    What it sees:
        The conversation spends several times as much per minute as it used to,
        minute after minute. Money where the first message that cost anything says
        its price, else tokens, against the conversation's own past. Every message
        sends the history again, so the n-th minute may cost n times as much as
        the first: the spending of a window of a minute, by its number, is held
        against the usual one (a geometric mean that follows it slowly). Half of
        the tolerated rise on the logarithmic scale is the reference value of a
        one-sided CUSUM, and no window counts more than one message's worth.
        Minutes without any spending are left out.

    Why it matters:
        A context that doubles with every turn, or a crowd of agents that was
        woken, costs more in ten minutes than the whole day before, whatever it
        talks about.

    Example:
        After six cheap minutes, each costs twenty times as much.

        >>> from agentbreaker import Guard, Message, Usage, VirtualClock
        >>> clock = VirtualClock()
        >>> guard = Guard(clock=clock)
        >>> for minute in range(12):
        ...     usage = Usage(2_000 if minute < 6 else 40_000)
        ...     said = f"Gate {minute * 37 + 11}: {minute * 53 + 7} crates sealed."
        ...     report = Message("c", "a", content=said, usage=usage)
        ...     decision = guard.observe(report)
        ...     clock.advance(60.0)
        >>> decision.code, decision.action.value
        ('AB502', 'steer')

    What resets it:
        Minutes near the usual spending, which follows the rise in time; a turn of
        the user.

    Known false positives:
        A long cheap preparation before the expensive work begins: raise
        ``spend.factor`` or ``spend.warm_up``. It warns and steers then; to halt it
        takes ``spend.halt_factor``, or talk that brings nothing new.

    Known evasions:
        Growth that is slower than the usual spending follows, and eight times as
        much within the first quarter of an hour, which the growth of a history
        may hide (see AB602 and AB603); messages without usage and cost; no
        timestamps in a recording.

    Options:
        ``spend.factor`` (times the usual spending; default 8): the rise that is
            held against the conversation.
        ``spend.window_seconds`` (seconds; default 60): length of a window.
        ``spend.warm_up`` (windows with spending; default 5): before them, nothing
            is held against it.
        ``spend.halt_factor`` (times the usual spending; default 64): two windows in
            a row are halted whatever comes of it; ``"off"``: never.
        ``ladder.warn`` (messages' worth; default 2.75)
        ``ladder.steer`` (messages' worth; default 3.25)
        ``ladder.finish`` (messages' worth; default off)
        ``ladder.halt`` (messages' worth; default 4): evidence at which each rung is
            reached.

    Reference:
        E. S. Page, Continuous inspection schemes, Biometrika 41 (1954), 100-115:
            the one-sided CUSUM.
        S. W. Roberts, Control chart tests based on geometric moving averages,
            Technometrics 1 (1959), 239-250: a mean that follows slowly.
    """

    code: ClassVar[str] = "AB502"
    name: ClassVar[str] = "spend-velocity"
    title: ClassVar[str] = "Spend velocity"

    __slots__ = (
        "_cost",
        "_ends",
        "_extremes",
        "_in_usd",
        "_level",
        "_rising",
        "_settings",
        "_spent",
        "_usual",
        "_windows",
    )

    def __init__(self, settings: PolicySettings) -> None:
        self._settings = settings
        # Allocated when spending rises.
        self._cost: CostEvidence | None = None
        self._in_usd = False
        # The open window: when it ends (0: there is none), and what was spent in it.
        self._ends = 0.0
        self._spent = 0.0
        # Windows with spending so far, and the running mean of the logarithm of spending by number of the window.
        self._windows = 0
        self._usual = 0.0
        self._level = 0.0
        # Windows that added to the level in the current run, and the extreme ones in a row.
        self._rising = self._extremes = 0

    def observe(self, seen: Observation) -> Signal | None:
        """Add up what is spent; judge each window when the next one begins."""
        amount = seen.spent_usd if self._in_usd else seen.spent_tokens
        if amount or (self._ends <= 0.0 and seen.spent_usd):
            ends = self._ends
            if seen.seconds < ends:
                self._spent += amount
            else:
                if ends > 0.0:
                    self._judge()
                elif seen.spent_usd > 0.0:
                    self._in_usd = True
                    amount = seen.spent_usd
                self._ends = seen.seconds + self._settings.spend.window_seconds
                self._spent = amount
        level = self._level
        if level <= 0.0:
            return None
        if seen.kind is _OUTSIDE:
            self._calm_down()
            return None
        cost = self._cost
        if cost is None:
            cost = self._cost = CostEvidence(self._settings)
        cost.weigh(level, seen, extreme=self._extremes >= _EXTREME_WINDOWS)
        return cost.signal(self.code, seen, "messages' worth of rising cost", self._rising)

    def _judge(self) -> None:
        """Hold the window that has ended against the usual spending."""
        self._windows = windows = self._windows + 1
        # Every message sends the history again, so honest spending grows with the number of windows, but no faster.
        rise = math.log(self._spent / windows) - self._usual
        spend = self._settings.spend
        if windows <= spend.warm_up:
            self._usual += rise / windows
            return
        # Half of the tolerated rise, on the logarithmic scale.
        half = math.log(spend.factor) / 2.0
        self._usual += rise * (_USUAL_RATE if rise < half else _SUSPECT_RATE)
        step = max(_LOWEST_STEP, min(_HIGHEST_STEP, rise / half - 1.0))
        level = self._level + step
        if level <= 0.0:
            self._calm_down()
            return
        self._level = min(level, MAX_EVIDENCE)
        self._rising += 1
        extreme = spend.halt_factor is not None and rise >= math.log(spend.halt_factor)
        self._extremes = self._extremes + 1 if extreme else 0

    def _calm_down(self) -> None:
        self._level = 0.0
        self._rising = self._extremes = 0
        self._cost = None

    def reset(self) -> None:
        """Forget the suspicion and what is usual: the next windows are a new warm-up."""
        self._calm_down()
        self._ends = self._spent = self._usual = 0.0
        self._windows = 0
        self._in_usd = False
