"""Conversations of several recordings written as one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agentbreaker.message import Message
from agentbreaker.transcripts.apart import kept_apart
from agentbreaker.transcripts.schema import MAX_NAME


def written(*recorded: tuple[str, str], remembered: int = 1000) -> list[str]:
    """The ids under which conversations of recordings are written."""
    messages = [(name, Message(conversation_id, "ann", content="hi")) for name, conversation_id in recorded]
    apart = list(kept_apart(messages, remembered=remembered))
    assert [name for name, _ in apart] == [name for name, _ in recorded]
    return [message.conversation_id for _, message in apart]


def test_the_first_recording_keeps_its_ids() -> None:
    """A further one keeps those that are free."""
    assert written(("a", "1"), ("a", "2"), ("b", "1"), ("b", "3"), ("b", "1"), ("c", "3")) == [
        *["1", "2"],
        *["1 (b)", "3", "1 (b)"],
        "3 (c)",
    ]


def test_an_id_that_looks_like_a_new_one_is_not_met() -> None:
    """However a recording names its conversations, no other is written under the same name."""
    assert written(("a", "1"), ("a", "1 (b)"), ("b", "1"), ("b", "1 (b)")) == [
        *["1", "1 (b)"],
        *["1 (b) (b)", "1 (b) (b) (b)"],
    ]


def test_long_ids_stay_apart_and_readable() -> None:
    """An id that grew too long is cut, and ends in a digest of all of it."""
    first, second = "x" * MAX_NAME, "x" * (MAX_NAME - 1) + "y"
    found = written(("a", first), ("a", second), ("b", first), ("b", second), ("b", first))
    assert found[:2] == [first, second]
    assert found[2] == found[4] != found[3]
    assert {len(one) for one in found} == {MAX_NAME}


def test_what_is_not_remembered_is_kept_apart_all_the_same() -> None:
    """Beyond that many ids all of a further recording are written with its name."""
    recorded = [(name, str(number)) for name in "abc" for number in range(4)]
    found = written(*recorded, remembered=2)
    assert found[:4] == ["0", "1", "2", "3"]
    assert found[4:8] == ["0 (b)", "1 (b)", "2 (b)", "3 (b)"]
    assert len(set(found)) == 12


@given(
    st.lists(st.lists(st.sampled_from(["", "1", "2", "1 (1)", "1 (2)", "2 (1)", "\ud800"]), max_size=6), max_size=5),
)
def test_every_conversation_has_one_id_of_its_own(recordings: list[list[str]]) -> None:
    """The same conversation is always written under the same id, and no two under one."""
    recorded = [(str(number), one) for number, ids in enumerate(recordings) for one in ids]
    found = dict[tuple[str, str], str]()
    for pair, one in zip(recorded, written(*recorded), strict=True):
        assert found.setdefault(pair, one) == one
    assert len(set(found.values())) == len(found)
