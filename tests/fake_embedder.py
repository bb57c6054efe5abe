"""An embedder for tests: it knows the reference sentences, and of all others only whether they begin with "news"."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

from agentbreaker.embedding import reference_sentences

NEWS = {sentence for _, news in reference_sentences().values() for sentence in news}
DIMENSIONS = 34


class FakeEmbedder:
    """Two dimensions tell nothing new from news, the others are noise that is fixed for each text.

    Attributes:
        asked: All texts that were embedded, in order.
        calls: Length of each batch.
    """

    def __init__(self, name: str = "fake/1") -> None:
        self.name = name
        self.asked: list[str] = []
        self.calls: list[int] = []

    def embed(self, texts: Sequence[str], /) -> list[list[float]]:
        """Return one vector for each text."""
        self.asked += texts
        self.calls.append(len(texts))
        return [vector_of(text) for text in texts]


def vector_of(text: str) -> list[float]:
    """The vector of one text; not normalised, as the protocol allows."""
    news = text in NEWS or text.lower().startswith("news")
    noise = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=DIMENSIONS - 2).digest()
    return [0.0 if news else 3.0, 3.0 if news else 0.0, *((byte - 127.5) / 127.5 for byte in noise)]


def letters(number: int) -> str:
    """A word for a number, without a figure in it."""
    return "".join(chr(ord("a") + int(digit)) for digit in str(number)) + "ish"
