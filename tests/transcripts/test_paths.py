"""What a folder stands for: every recording below it, and nothing that is hidden or counts twice."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agentbreaker.transcripts import FoundFile, expand_paths, is_recording

SAMPLES = Path(__file__).parent / "samples"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of recordings among other things."""
    names = (
        *("a.json", "b.ndjson.gz", "c.csv", "d.CSV.GZ", "deep/e.db", "deep/f.sqlite3", "deep/g.parquet", "h.eval"),
        *(
            "i.log",
            "j.tsv",
            "notes.md",
            "k.parquet.gz",
            "l.db-wal",
            ".hidden.jsonl",
            ".git/m.json",
            "deep/.venv/n.json",
        ),
    )
    for name in names:
        path = tmp_path / "logs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "logs"


def test_a_folder_is_all_that_is_named_like_a_recording(folder: Path) -> None:
    """Below it too, sorted; not what is hidden, and not what only belongs to a recording."""
    (folder / "loop").symlink_to(folder)
    found = [name.replace(os.sep, "/") for name in expand_paths(["logs"])]
    assert found == [
        "logs/a.json",
        "logs/b.ndjson.gz",
        "logs/c.csv",
        "logs/d.CSV.GZ",
        "logs/deep/e.db",
        "logs/deep/f.sqlite3",
        "logs/deep/g.parquet",
        "logs/h.eval",
        "logs/i.log",
        "logs/j.tsv",
    ]


def test_only_files_that_nobody_named_may_be_strangers(folder: Path) -> None:
    """One that is named, by itself or as the only one of its folder, is meant."""
    assert all(isinstance(name, FoundFile) for name in expand_paths(["logs"]))
    assert not any(isinstance(name, FoundFile) for name in expand_paths(["logs/a.json", "logs/*.csv"]))
    (folder / "one").mkdir()
    (folder / "one" / "z.json").write_text("{}")
    assert not any(isinstance(name, FoundFile) for name in expand_paths(["logs/one"]))


def test_what_is_a_recording(tmp_path: Path) -> None:
    """Every sample that can be read here is one; what is broken is one too, to be named when it is read."""
    for path in SAMPLES.iterdir():
        if path.is_file() and ".expected." not in path.name and path.suffix not in (".parquet", ".sqlite"):
            assert is_recording(str(path)), path.name
    strangers = {"package.json": "{}", "table.csv": "a,b\n1,2\n", "text.log": "started\n", "empty.json": ""}
    for name, text in strangers.items():
        (tmp_path / name).write_text(text)
        assert not is_recording(str(tmp_path / name)), name
    (tmp_path / "empty.jsonl").write_text("\n")
    assert is_recording(str(tmp_path / "empty.jsonl"))
    (tmp_path / "cut.jsonl.gz").write_bytes(b"\x1f\x8b\x08")
    assert is_recording(str(tmp_path / "cut.jsonl.gz"))
    assert is_recording(str(tmp_path / "none.jsonl"))
