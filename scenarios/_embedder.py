"""An embedder that answers with vectors which a real model made once: nothing is downloaded, nothing is computed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agentbreaker.config import SemanticSettings
from agentbreaker.embedding import Embedder, reference_sentences

__all__ = ["RecordedEmbedder", "record", "texts_asked", "unmatched"]

#: The largest component of a vector becomes this; a cosine changes by about a ten-thousandth.
_LARGEST = 127


class RecordedEmbedder:
    """An :class:`~agentbreaker.embedding.Embedder` on a file of `record`.

    Args:
        path: The file.

    Attributes:
        name: Name of the model that made the vectors.
        unknown: How many texts it was asked for that are not in the file.
    """

    def __init__(self, path: Path) -> None:
        with np.load(path, allow_pickle=False) as stored:
            self.name = str(stored["name"])
            keys, self._vectors = stored["keys"], stored["vectors"]
        self._rows = {int(key): row for row, key in enumerate(keys)}
        self.unknown = 0

    @property
    def keys(self) -> set[int]:
        """Digests of the texts that it knows."""
        return set(self._rows)

    def embed(self, texts: Sequence[str], /) -> NDArray[Any]:
        """Return the vector of each text; raise :class:`KeyError` if one is not there."""
        keys = [_key(text) for text in texts]
        missing = sum(key not in self._rows for key in keys)
        if missing:
            self.unknown += missing
            raise KeyError(f"{missing} texts were not recorded")
        vectors: NDArray[Any] = self._vectors[[self._rows[key] for key in keys]].astype(np.float32)
        return vectors


def texts_asked(contents: Iterable[str]) -> list[str]:
    """What an embedder may be asked about some messages: their beginnings, and the reference sentences."""
    most = SemanticSettings().characters
    every = [content[:most].strip() for content in contents]
    every += [text for pair in reference_sentences().values() for side in pair for text in side]
    return sorted(set(filter(None, every)))


def unmatched(path: Path, texts: Iterable[str]) -> int:
    """How many of the texts have no vector in a file, and how many vectors belong to none of them."""
    return len(RecordedEmbedder(path).keys ^ set(map(_key, texts)))


def record(path: Path, embedder: Embedder, texts: Sequence[str]) -> None:
    """Write the vectors of a real model, as bytes: each vector is divided by its largest component."""
    vectors = np.asarray(embedder.embed(texts), np.float32)
    vectors = np.rint(vectors / np.abs(vectors).max(axis=1, keepdims=True) * _LARGEST).astype(np.int8)
    keys = np.array([_key(text) for text in texts], np.uint64)
    np.savez(path, name=np.array(embedder.name), keys=keys, vectors=vectors)


def _key(text: str) -> int:
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")
