"""Ctrl-C as a wish to see what there is so far: the first one ends the reading, the second one the program.

::

    with interruptible() as interruption:
        for message in interruption.over(messages):
            ...
    if interruption.cut_short:
        ...  # say that the figures cover what was read
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final, TypeVar

__all__ = ["EXIT_INTERRUPTED", "Interruption", "interruptible"]

#: What a shell reports of a program that SIGINT ended.
EXIT_INTERRUPTED: Final = 130
_T = TypeVar("_T")


class _NoLonger(BaseException):
    """Leaves a reading that waits for data."""


class Interruption:
    """Whether somebody has asked to stop.

    Attributes:
        asked: Whether Ctrl-C was pressed.
        cut_short: Whether something is missing for it: what was read is not everything.
    """

    __slots__ = ("_waiting", "asked", "cut_short")

    def __init__(self) -> None:
        self.asked = False
        self.cut_short = False
        self._waiting = False

    def ask(self) -> None:
        """Ask to stop, as the first Ctrl-C does."""
        self.asked = True

    def over(self, items: Iterable[_T], *, may_wait: bool = False) -> Iterator[_T]:
        """Yield the items until somebody asks to stop; then close them.

        Args:
            items: Messages, or anything else that takes long.
            may_wait: The next item may be long in coming (a pipe), so do not wait for it.  An item that is just being
                made is lost then.
        """
        iterator = iter(items)
        try:
            while True:
                if self.asked:
                    self.cut_short = True
                    return
                try:
                    self._waiting = may_wait
                    item = next(iterator)
                    self._waiting = False
                except StopIteration:
                    return
                except _NoLonger:
                    continue
                yield item
        finally:
            self._waiting = False
            if isinstance(iterator, Generator):
                iterator.close()

    def _interrupted(self, number: int, frame: Any) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        if self._waiting:
            raise _NoLonger


@contextmanager
def interruptible() -> Iterator[Interruption]:
    """Take Ctrl-C as a wish to stop reading, for as long as the ``with`` lasts.

    A second Ctrl-C raises ``KeyboardInterrupt`` as ever.  Outside of the main thread, where Python delivers no signal,
    and where SIGINT is ignored, nothing changes.
    """
    interruption = Interruption()
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or before in (signal.SIG_IGN, None):
        yield interruption
        return
    signal.signal(signal.SIGINT, interruption._interrupted)
    try:
        yield interruption
    finally:
        with suppress(ValueError):
            signal.signal(signal.SIGINT, before)
