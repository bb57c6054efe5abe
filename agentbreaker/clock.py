"""Time, injected.  The only module that reads a clock.

Breakers wait and budgets run on monotonic time, so that a corrected wall clock can neither hold a breaker open nor
reopen one.  Replays drive :class:`VirtualClock` from the timestamps of the transcript.
"""

from __future__ import annotations

import time
from typing import Protocol, runtime_checkable

__all__ = ["Clock", "MonotonicClock", "VirtualClock"]


@runtime_checkable
class Clock(Protocol):
    """Anything that tells monotonic seconds."""

    def now(self) -> float:
        """Return seconds since an arbitrary start; must never go back."""
        ...


class MonotonicClock:
    """The clock of the operating system that never goes back."""

    __slots__ = ()

    #: Return ``time.monotonic()`` in seconds; the function itself, as every message asks for the time.
    now = staticmethod(time.monotonic)


class VirtualClock:
    """A clock that only moves when told to: for replays and tests.

    >>> clock = VirtualClock()
    >>> clock.advance(2.5)
    >>> clock.now()
    2.5
    >>> clock.move_to(1.0)  # the past is ignored: the clock is monotonic
    >>> clock.now()
    2.5
    """

    __slots__ = ("_now",)

    def __init__(self, start: float = 0.0) -> None:
        self._now = start

    def now(self) -> float:
        """Return the current virtual time in seconds."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Move forward by `seconds`; a negative amount is ignored."""
        if seconds > 0:
            self._now += seconds

    def move_to(self, seconds: float) -> None:
        """Move forward to `seconds`; an earlier moment is ignored."""
        if seconds > self._now:
            self._now = seconds
