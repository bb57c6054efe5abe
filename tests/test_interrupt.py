"""Ctrl-C as a wish to see what there is so far."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from agentbreaker.interrupt import Interruption, interruptible

on_posix = pytest.mark.skipif(os.name == "nt", reason="signals as POSIX has them")


def press() -> None:
    """Press Ctrl-C."""
    signal.raise_signal(signal.SIGINT)


@on_posix
def test_the_first_ctrl_c_ends_the_reading_and_nothing_else() -> None:
    """What was read is kept, what reads is closed, and the flag says that something is missing."""
    closed = []

    def numbers() -> Iterator[int]:
        try:
            yield from range(10)
        finally:
            closed.append(True)

    read = []
    before = signal.getsignal(signal.SIGINT)
    with interruptible() as interruption:
        for number in interruption.over(numbers()):
            read.append(number)
            if number == 3:
                press()
    assert read == [0, 1, 2, 3]
    assert (interruption.asked, interruption.cut_short, closed) == (True, True, [True])
    assert signal.getsignal(signal.SIGINT) is before


@on_posix
def test_the_second_ctrl_c_is_an_ordinary_one() -> None:
    """Whoever does not want to wait for the report presses again."""
    with interruptible() as interruption:
        press()
        assert interruption.asked
        with pytest.raises(KeyboardInterrupt):
            press()


@on_posix
def test_a_wish_that_comes_after_the_end_cuts_nothing_short() -> None:
    """Everything was read, so the report is complete."""
    with interruptible() as interruption:
        assert list(interruption.over(range(3))) == [0, 1, 2]
        press()
    assert interruption.asked
    assert not interruption.cut_short


@on_posix
def test_a_pipe_that_says_nothing_is_not_waited_for() -> None:
    """With `may_wait` the reading ends although the next item never comes."""
    reading, writing = os.pipe()
    os.write(writing, b"a")
    timer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))
    with interruptible() as interruption:
        read = []
        for byte in interruption.over(iter(lambda: os.read(reading, 1), b""), may_wait=True):
            read.append(byte)
            timer.start()
    os.close(reading)
    os.close(writing)
    assert read == [b"a"]
    assert interruption.cut_short


def test_in_another_thread_nothing_changes() -> None:
    """Python delivers signals to the main thread only; the reading goes on to its end."""
    found: list[object] = []

    def work() -> None:
        with interruptible() as interruption:
            found.extend(interruption.over(range(2)))
            found.append(interruption.cut_short)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [0, 1, False]


def test_it_may_be_asked_by_program() -> None:
    """As a worker process does, which is told on its standard input."""
    interruption = Interruption()
    interruption.ask()
    assert list(interruption.over([1, 2])) == []
    assert interruption.cut_short


@on_posix
def test_where_sigint_is_ignored_it_stays_ignored() -> None:
    """A job in the background of a shell is not interrupted by the Ctrl-C of another."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with interruptible() as interruption:
            press()
            assert not interruption.asked
    finally:
        signal.signal(signal.SIGINT, before)
