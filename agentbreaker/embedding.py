"""What an embedder is, and what its vectors mean.

Sentences that only agree are no nearer to each other than to the work they are about, so similarity alone does not
tell a loop that is worded anew from honest work.  Two readings together do: whether a message is close to one of the
latest (it restates), and on which side it lies of a border that is learnt, once for each embedder, from two lists of
reference sentences: talk that brings nothing, and talk that tells news.  The border is a ridge regression in closed
form; leaving each sentence out in turn shows whether the embedder understands the language at all, and gives the
scale, so that embedders with narrow and wide ranges of cosines can be used alike.
"""

from __future__ import annotations

import math
import threading
import tomllib
from collections import OrderedDict
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

from agentbreaker.detectors.semantic_repeat import Reading
from agentbreaker.errors import AgentBreakerError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

__all__ = ["Embedder", "EmbeddingError", "Meaning", "VectorCache", "reference_sentences", "unit_vectors"]

_RIDGE = 1.0
#: Share of the pairs (nothing new, news) that the border has to order rightly, each sentence left out in turn.
_UNDERSTOOD = 0.9
_MOST_DIMENSIONS = 65_536


class EmbeddingError(AgentBreakerError):
    """An embedder could not answer, or answered with something that is no list of vectors.

    Its text never holds a message, a key or what a server said.
    """


@runtime_checkable
class Embedder(Protocol):
    """Anything that turns texts into vectors: the second stage asks it in a thread of its own.

    It is called by one thread at a time, though not by the one that made it.  It may raise, hang or answer nonsense:
    that is contained and counted, and never reaches the agents.
    """

    @property
    def name(self) -> str:
        """Name and version of the model: under another name everything is embedded, and learnt, anew."""
        ...

    def embed(self, texts: Sequence[str], /) -> Sequence[Sequence[float]] | NDArray[Any]:
        """Return one vector for each text, in order.

        Args:
            texts: One to a few dozen texts, at most ``semantic.characters`` long; hostile like all agents' text.

        Returns:
            As many vectors as texts (a list of lists, or an array of shape ``(texts, dimensions)``), all of the same
            length, finite; they need not be normalised.
        """
        ...


def unit_vectors(answer: Any, count: int, dimensions: int | None = None) -> Any:
    """Check an embedder's answer and bring every vector to length 1.

    Args:
        answer: What it returned.
        count: How many texts it was given.
        dimensions: Length of its earlier vectors, ``None`` for the first.

    Raises:
        EmbeddingError: Not so many vectors, not of one length, or not finite.
    """
    import numpy as np

    try:
        vectors: Any = np.asarray(answer, dtype=np.float32)
    except (TypeError, ValueError, OverflowError):
        raise EmbeddingError("the answer is not a list of vectors of one length") from None
    if vectors.ndim != 2 or vectors.shape[0] != count:
        raise EmbeddingError(f"expected {count} vectors, got an answer of shape {vectors.shape}")
    if not 2 <= vectors.shape[1] <= _MOST_DIMENSIONS or dimensions not in (None, vectors.shape[1]):
        raise EmbeddingError(f"vectors of {vectors.shape[1]} dimensions, expected {dimensions or '2 or more'}")
    largest = np.abs(vectors).max(axis=1, keepdims=True)
    if not np.isfinite(largest).all():
        raise EmbeddingError("a vector is not finite")
    vectors = vectors / np.where(largest > 0.0, largest, 1.0)
    return _normalise(vectors)


class _Border(NamedTuple):
    """Where nothing new ends and news begins, in one script."""

    centre: Any
    weights: Any
    bias: float
    middle: float
    half: float


class Meaning:
    """Reads vectors of one embedder.

    Args:
        references: For each script, the unit vectors of the sentences that bring nothing, and of those that tell
            news.

    Attributes:
        scripts: The scripts in which the embedder understands the reference sentences.
        understood: For each script, the share of pairs that it orders rightly, in [0, 1]; a half is guessing.
    """

    __slots__ = ("_borders", "scripts", "understood")

    def __init__(self, references: Mapping[str, tuple[Any, Any]]) -> None:
        self._borders: dict[str, _Border] = {}
        self.understood: dict[str, float] = {}
        for script, (nothing, news) in references.items():
            border, share = _learn(nothing, news)
            self.understood[script] = share
            if share >= _UNDERSTOOD:
                self._borders[script] = border
        self.scripts = frozenset(self._borders)

    def read(
        self, vectors: Sequence[Any | None], scripts: Sequence[str], judged: Sequence[int]
    ) -> list[Reading | None]:
        """Read some messages of a window.

        Args:
            vectors: Unit vectors of the window, oldest first; ``None`` where there is none.
            scripts: Their scripts.
            judged: Indices of those to be read.

        Returns:
            One reading for each of `judged`, ``None`` where the embedder is not believed.
        """
        return [self._read(vectors, index, self._borders.get(scripts[index])) for index in judged]

    @staticmethod
    def _read(vectors: Sequence[Any | None], index: int, border: _Border | None) -> Reading | None:
        import numpy as np

        vector = vectors[index]
        if border is None or vector is None:
            return None
        before = [other for other in vectors[:index] if other is not None]
        centred = _normalise(np.stack([*before, vector]) - border.centre)
        own = centred[-1]
        intent = (float(own @ border.weights) + border.bias - border.middle) / border.half
        restated = float((centred[:-1] @ own).max()) if before else -1.0
        return Reading(intent, restated) if math.isfinite(intent) and math.isfinite(restated) else None


class VectorCache:
    """Vectors by name of the embedder and digest of the text: the least recently used ones are forgotten.

    Args:
        limit: How many are remembered.

    Attributes:
        hits, misses: How often a vector was there, and was not.
    """

    __slots__ = ("_limit", "_lock", "_vectors", "hits", "misses")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._vectors: OrderedDict[bytes, Any] = OrderedDict()
        self.hits = self.misses = 0

    def __len__(self) -> int:
        return len(self._vectors)

    def __contains__(self, key: bytes) -> bool:
        return key in self._vectors

    def get(self, key: bytes) -> Any | None:
        """Return the vector of a text, ``None`` if it is not there."""
        with self._lock:
            vector = self._vectors.get(key)
            if vector is None:
                self.misses += 1
                return None
            self.hits += 1
            self._vectors.move_to_end(key)
            return vector

    def put(self, key: bytes, vector: Any) -> None:
        """Remember the vector of a text."""
        with self._lock:
            self._vectors[key] = vector
            self._vectors.move_to_end(key)
            if len(self._vectors) > self._limit:
                self._vectors.popitem(last=False)


@cache
def reference_sentences() -> dict[str, tuple[tuple[str, ...], tuple[str, ...]]]:
    """For each script, sentences that bring nothing new, and sentences that tell news.

    >>> sorted(reference_sentences())
    ['cjk', 'latin']
    """
    source = resources.files("agentbreaker").joinpath("data", "reference_sentences.toml")
    tables = tomllib.loads(source.read_text("utf-8"))
    return {script: (tuple(table["nothing"]), tuple(table["news"])) for script, table in tables.items()}


def _normalise(vectors: Any) -> Any:
    import numpy as np

    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(lengths > 0.0, lengths, 1.0)


def _learn(nothing: Any, news: Any) -> tuple[_Border, float]:
    """Fit the border between two lists, and the share of pairs that it orders rightly without having seen them."""
    import numpy as np

    every = np.concatenate([nothing, news]).astype(np.float64)
    sides = np.concatenate([np.ones(len(nothing)), -np.ones(len(news))])
    # What all sentences share (some embedders keep all cosines above one half) tells nothing.
    centre = every.mean(axis=0)
    centred = _normalise(every - centre)
    kernel = centred @ centred.T + 1.0
    inverse = np.linalg.inv(kernel + _RIDGE * np.eye(len(every)))
    dual = inverse @ sides
    smoother = kernel @ inverse
    leverage = np.diag(smoother)
    left_out = (smoother @ sides - leverage * sides) / (1.0 - leverage)
    above, below = left_out[: len(nothing)], left_out[len(nothing) :]
    share = float((above[:, None] > below[None, :]).mean())
    middle = float(above.mean() + below.mean()) / 2.0
    half = float(above.mean() - below.mean()) / 2.0
    return _Border(centre, centred.T @ dual, float(dual.sum()), middle, max(half, 1e-6)), share
