"""``--outcomes FILE``."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentbreaker.errors import TranscriptError
from agentbreaker.waste.outcomes import read_outcomes


def test_csv_and_json_lines_are_read(tmp_path: Path) -> None:
    """Both kinds of file give the same book."""
    csv, lines = tmp_path / "o.csv", tmp_path / "o.jsonl"
    csv.write_text("conversation_id,outcome,group\nc1,success,east\nc2,Failed,west\n", encoding="utf-8")
    lines.write_text(
        '{"conversation_id":"c1","outcome":true,"group":"east"}\n\n{"conversation_id":"c2","outcome":"no"}\n',
        encoding="utf-8",
    )
    for path in (csv, lines):
        book = read_outcomes(str(path))
        assert (book.finished("c1"), book.finished("c2"), book.finished("c3")) == (True, False, False)
        assert book.word("c3") is None
        assert book.unmet == 2


@pytest.mark.parametrize(
    ("name", "text", "named"),
    [
        ("o.csv", "conversation,outcome\nc1,success\n", ":1: no column conversation_id"),
        ("o.csv", "conversation_id,outcome\nc1,perhaps\n", ":2: outcome: 'perhaps' is neither finished nor not"),
        ("o.csv", "conversation_id,outcome\n,success\n", ":2: conversation_id: missing"),
        ("o.csv", "conversation_id,outcome\nc1,ok\nc1,ok\n", ":3: conversation_id: 'c1' a second time"),
        ("o.jsonl", '{"conversation_id":"c1"}\n', ":1: outcome"),
        ("o.jsonl", '{"conversation_id":"c1","outcome":1}\n{"a":', ":2: not JSON"),
        ("o.csv", "conversation_id,outcome\n", "no outcome in it"),
    ],
)
def test_a_wrong_file_is_named_with_line_and_field(tmp_path: Path, name: str, text: str, named: str) -> None:
    """An outcome that cannot be used is not guessed."""
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    with pytest.raises(TranscriptError) as caught:
        read_outcomes(str(path))
    assert str(caught.value).startswith(str(path))
    assert named in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """So is one that is no text."""
    with pytest.raises(TranscriptError, match="cannot be read"):
        read_outcomes(str(tmp_path / "none.csv"))
    binary = tmp_path / "b.csv"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(TranscriptError, match="not UTF-8"):
        read_outcomes(str(binary))
