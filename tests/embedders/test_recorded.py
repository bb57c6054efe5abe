"""The recorded embedder: vectors on file, and what happens if they are not there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from agentbreaker.embedders.recorded import RecordedEmbedder, digest_of
from agentbreaker.errors import ConfigError


def test_it_answers_what_was_recorded(tmp_path: Path) -> None:
    """In the order of the texts, and only texts that it knows."""
    keys = np.array([digest_of("one"), digest_of("two")], np.uint64)
    np.savez(tmp_path / "v.npz", name=np.array("model/1"), keys=keys, vectors=np.array([[1, 2], [3, 4]], np.int8))
    embedder = RecordedEmbedder(tmp_path / "v.npz")
    assert embedder.name == "model/1"
    assert embedder.embed(["two", "one"]).tolist() == [[3, 4], [1, 2]]
    with pytest.raises(KeyError, match="1 texts were not recorded"):
        embedder.embed(["one", "three"])
    assert embedder.unknown == 1
    assert embedder.keys == {digest_of("one"), digest_of("two")}


def test_a_file_that_is_no_recording_is_named(tmp_path: Path) -> None:
    """Missing, of another kind, without a part, with an object in it: one error that names the file."""
    (tmp_path / "text.npz").write_text("no archive")
    (tmp_path / "empty.npz").write_bytes(b"")
    (tmp_path / "cut.npz").write_bytes(b"PK\x03\x04 cut")
    np.save(tmp_path / "array.npy", np.zeros(3))
    np.savez(tmp_path / "part.npz", name=np.array("x"))
    np.savez(tmp_path / "object.npz", name=np.array("x"), keys=np.array([{}], object), vectors=np.zeros((1, 2)))
    np.savez(tmp_path / "shape.npz", name=np.array("x"), keys=np.array([1, 2]), vectors=np.zeros((1, 2)))
    for name in ("missing", "text", "empty", "cut", "part", "object", "shape"):
        with pytest.raises(ConfigError, match=rf"{name}.npz: (cannot be read|holds no recorded vectors)"):
            RecordedEmbedder(tmp_path / f"{name}.npz")
    with pytest.raises(ConfigError, match=r"array.npy: holds no recorded vectors"):
        RecordedEmbedder(tmp_path / "array.npy")
