"""What is shown in grey and what in green."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agentbreaker.waste.words import SaidBefore, pieces_of, share_within, words_of


def test_words_that_were_said_are_told_from_news_and_from_everyday_words() -> None:
    """A name is news, politeness is not, and both are said before the second time."""
    before = SaidBefore()
    text = "Thank you, Kowalski"
    assert [(piece.text, piece.new, piece.everyday) for piece in pieces_of(text, before)] == [
        ("Thank you, ", False, True),
        ("Kowalski", True, False),
    ]
    assert before.add(text) == (3, 1)
    assert [(piece.text, piece.new, piece.everyday) for piece in pieces_of(text.upper(), before)] == [
        (text.upper(), False, False)
    ]


def test_chinese_is_compared_by_pairs_of_characters() -> None:
    """The same sentence again is said before; another place in it is new."""
    before = SaidBefore()
    before.add("货物已经到达鹿特丹港口")
    assert all(not piece.new for piece in pieces_of("货物已经到达", before))
    new = "".join(piece.text for piece in pieces_of("货物已经到达瓦尔帕莱索", before) if piece.new)
    assert "帕莱" in new


def test_a_share_of_nothing_is_all_the_same() -> None:
    """A lap without words is no less the same as the one before."""
    assert share_within([], {"a"}) == 1.0


@given(st.text(max_size=200), st.text(max_size=200))
def test_pieces_are_the_text(earlier: str, text: str) -> None:
    """Cut as it may be, the pieces are the whole text in order, and none is empty."""
    before = SaidBefore()
    words, fresh = before.add(earlier)
    assert 0 <= fresh <= words
    pieces = pieces_of(text, before)
    assert "".join(piece.text for piece in pieces) == text
    assert all(piece.text and not (piece.new and piece.everyday) for piece in pieces)
    assert all(not piece.new for piece in pieces_of(earlier, before))
    assert len(words_of(earlier)) == words


def test_memory_is_bounded() -> None:
    """A conversation of a million different words is remembered by its first fifty thousand."""
    before = SaidBefore()
    for part in range(60):
        before.add(" ".join(f"word{part}x{number}" for number in range(1000)))
    assert "word0x0" in before
    assert "word59x999" not in before
