"""Recording what an embedding model answers, so that a scenario can be replayed without it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from agentbreaker.config import SemanticSettings
from agentbreaker.embedders.recorded import RecordedEmbedder, digest_of
from agentbreaker.embedding import Embedder, reference_sentences

__all__ = ["RecordedEmbedder", "record", "texts_asked", "unmatched"]

#: The largest component of a vector becomes this; a cosine changes by about a ten-thousandth.
_LARGEST = 127


def texts_asked(contents: Iterable[str]) -> list[str]:
    """What an embedder may be asked about some messages: their beginnings, and the reference sentences."""
    most = SemanticSettings().characters
    every = [content[:most].strip() for content in contents]
    every += [text for pair in reference_sentences().values() for side in pair for text in side]
    return sorted(set(filter(None, every)))


def unmatched(path: Path, texts: Iterable[str]) -> int:
    """How many of the texts have no vector in a file, and how many vectors belong to none of them."""
    return len(RecordedEmbedder(path).keys ^ set(map(digest_of, texts)))


def record(path: Path, embedder: Embedder, texts: Sequence[str]) -> None:
    """Write the vectors of a real model, as bytes: each vector is divided by its largest component."""
    vectors = np.asarray(embedder.embed(texts), np.float32)
    vectors = np.rint(vectors / np.abs(vectors).max(axis=1, keepdims=True) * _LARGEST).astype(np.int8)
    keys = np.array([digest_of(text) for text in texts], np.uint64)
    np.savez(path, name=np.array(embedder.name), keys=keys, vectors=vectors)
