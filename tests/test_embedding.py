"""What vectors mean: the check of an embedder's answer, the border learnt from the references, the cache."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from agentbreaker import Embedder
from agentbreaker.embedding import EmbeddingError, Meaning, VectorCache, reference_sentences, unit_vectors
from tests.fake_embedder import FakeEmbedder, vector_of


def vectors(*texts: str) -> Any:
    """Unit vectors of some texts."""
    return unit_vectors([vector_of(text) for text in texts], len(texts))


def learnt(offset: float = 0.0) -> Meaning:
    """The meaning of the fake embedder; with an offset all of its cosines are high."""
    return Meaning(
        {
            script: tuple(unit_vectors(vectors(*sentences) + offset, len(sentences)) for sentences in both)
            for script, both in reference_sentences().items()
        }
    )


def test_the_protocol_is_what_the_guard_needs() -> None:
    """An object with a name and `embed` is an embedder, one without is not."""
    assert isinstance(FakeEmbedder(), Embedder)
    assert not isinstance(object(), Embedder)


def test_the_references_are_balanced_and_distinct() -> None:
    """Each script has as many sentences that bring nothing as tell news, none twice, none with a figure."""
    for nothing, news in reference_sentences().values():
        assert len(nothing) == len(news) >= 16
        assert len({*nothing, *news}) == len(nothing) + len(news)
        assert not any(character.isdigit() for sentence in (*nothing, *news) for character in sentence)


def test_vectors_are_brought_to_length_one() -> None:
    """Whatever their length, and also where their squares would overflow; a zero vector stays zero."""
    found = unit_vectors([[3.0, 4.0], [1e30, 0.0], [0.0, 0.0]], 3)
    assert np.allclose(found, [[0.6, 0.8], [1.0, 0.0], [0.0, 0.0]])


@pytest.mark.parametrize(
    "answer",
    [
        None,
        [],
        "vectors",
        [[1.0, 2.0]],
        [[1.0, 2.0], [1.0]],
        [[1.0], [2.0]],
        [[1.0, math.nan], [1.0, 2.0]],
        [[1.0, math.inf], [1.0, 2.0]],
        [[10**400, 1], [1, 2]],
        [["a", "b"], ["c", "d"]],
        np.zeros((2, 2, 2)),
    ],
)
def test_nonsense_is_refused(answer: Any) -> None:
    """Too few vectors, ragged or flat ones, what is not a number: each is an error of the embedder."""
    with pytest.raises(EmbeddingError):
        unit_vectors(answer, 2)


def test_another_number_of_dimensions_is_refused() -> None:
    """Vectors of one embedder can be compared only if they are all of one length."""
    with pytest.raises(EmbeddingError, match="3 dimensions, expected 2"):
        unit_vectors([[1.0, 2.0, 3.0]], 1, 2)


@pytest.mark.parametrize("offset", [0.0, 2.0])
def test_the_border_has_a_scale(offset: float) -> None:
    """Nothing new reads about 1 and news about -1, also where all cosines are high."""
    window = [*unit_vectors(vectors("empty talk", "news of the dam") + offset, 2)]
    empty, news = learnt(offset).read(window, ["latin", "latin"], [0, 1])
    assert empty is not None
    assert news is not None
    assert 0.5 < empty.intent < 1.5
    assert -1.5 < news.intent < -0.5


def test_restating_is_the_closest_of_those_before() -> None:
    """The same vector again is a cosine of 1; the first of a window restates nothing."""
    first, other, again = vectors("news of the dam", "news of the mill", "news of the dam")
    readings = learnt().read([first, other, again], ["latin"] * 3, [0, 1, 2])
    assert all(reading is not None for reading in readings)
    restated = [reading.restated for reading in readings if reading is not None]
    assert restated[0] == -1.0
    assert restated[1] < 0.9
    assert restated[2] == pytest.approx(1.0)


def test_a_language_that_is_not_understood_is_not_read() -> None:
    """An embedder that mixes up the references of a script is believed in the others only."""
    references = reference_sentences()
    same = vectors(*references["cjk"][0])
    meaning = Meaning({"latin": tuple(map(lambda one: vectors(*one), references["latin"])), "cjk": (same, same[::-1])})
    assert meaning.scripts == {"latin"}
    assert meaning.understood["latin"] == 1.0
    assert meaning.understood["cjk"] < 0.9
    assert meaning.read([*vectors("好的")], ["cjk"], [0]) == [None]


def test_a_missing_vector_is_left_out() -> None:
    """A message whose vector is not there is not read, and not compared with."""
    vector = vectors("empty talk")[0]
    readings = learnt().read([None, vector, None], ["latin"] * 3, [1, 2])
    assert readings[0] is not None
    assert readings[0].restated == -1.0
    assert readings[1] is None


def test_the_cache_forgets_what_was_not_used_longest() -> None:
    """It is bounded, counts what it had, and a vector that is used stays."""
    cache = VectorCache(2)
    cache.put(b"a", 1)
    cache.put(b"b", 2)
    assert cache.get(b"a") == 1
    cache.put(b"c", 3)
    assert (b"a" in cache, b"b" in cache, b"c" in cache, len(cache)) == (True, False, True, 2)
    assert cache.get(b"b") is None
    assert (cache.hits, cache.misses) == (1, 1)
