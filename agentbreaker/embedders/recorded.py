"""An embedder that answers with vectors which a real model made once: nothing is downloaded, nothing is computed.

The file is an ``.npz`` with the name of the model, a digest of each text, and one vector of small integers for each.
"""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentbreaker.errors import ConfigError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["RecordedEmbedder", "digest_of"]


class RecordedEmbedder:
    """An :class:`~agentbreaker.embedding.Embedder` on a file of recorded vectors.

    Args:
        path: The file; what it holds is data and never code.

    Attributes:
        name: Name of the model that made the vectors.
        unknown: How many texts it was asked for that are not in the file.

    Raises:
        ConfigError: The file is not there, or holds no recorded vectors.
    """

    def __init__(self, path: Path) -> None:
        import numpy as np

        try:
            # numpy refuses pickled objects unless it is asked to load them.
            with open(path, "rb") as file, np.load(file) as stored:
                self.name = str(stored["name"])
                keys, self._vectors = stored["keys"], stored["vectors"]
                if self._vectors.ndim != 2 or keys.shape != self._vectors.shape[:1]:
                    raise ValueError("shapes")
            self._rows = {int(key): row for row, key in enumerate(keys)}
        except OSError as error:
            raise ConfigError(f"{path}: cannot be read: {error.strerror}", source=str(path)) from None
        except (AttributeError, EOFError, KeyError, TypeError, ValueError, zipfile.BadZipFile):
            raise ConfigError(f"{path}: holds no recorded vectors", source=str(path)) from None
        self.unknown = 0

    @property
    def keys(self) -> set[int]:
        """Digests of the texts that it knows."""
        return set(self._rows)

    def embed(self, texts: Sequence[str], /) -> NDArray[Any]:
        """Return the vector of each text; raise :class:`KeyError` if one is not there."""
        import numpy as np

        keys = [digest_of(text) for text in texts]
        missing = sum(key not in self._rows for key in keys)
        if missing:
            self.unknown += missing
            raise KeyError(f"{missing} texts were not recorded")
        vectors: NDArray[Any] = self._vectors[[self._rows[key] for key in keys]].astype(np.float32)
        return vectors


def digest_of(text: str) -> int:
    """Return the number under which a text's vector is stored."""
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")
