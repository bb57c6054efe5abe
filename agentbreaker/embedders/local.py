"""A sentence-transformers model that lies in a folder of this machine."""

from __future__ import annotations

import os
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentbreaker.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["SentenceTransformersEmbedder"]

_CONFIG_FILES = ("modules.json", "config.json")


class SentenceTransformersEmbedder:
    """An :class:`~agentbreaker.embedding.Embedder` on a model folder; needs ``pip install agentbreaker[embed]``.

    Nothing is ever downloaded: a name that is no folder is refused, and the libraries are told to stay offline.  Code
    in the folder is not run, and weights are read as safetensors only.

    Args:
        path: The folder, with ``modules.json`` or ``config.json`` in it.
        device: Where it runs (``"cpu"``, ``"cuda"``).

    Raises:
        ConfigError: `path` is not a folder with a model, or sentence-transformers is not installed.
    """

    def __init__(self, path: str | os.PathLike[str], *, device: str = "cpu") -> None:
        folder = Path(path)
        if not folder.is_dir():
            raise ConfigError(f"{str(folder)!r} is not a folder; models are not downloaded", field="path")
        configs = [file for name in _CONFIG_FILES if (file := folder / name).is_file()]
        if not configs:
            raise ConfigError(f"{str(folder)!r} holds no model: no {' or '.join(_CONFIG_FILES)}", field="path")
        # Read when the libraries are imported; if they are already, `local_files_only` below is what holds.
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
        os.environ.setdefault("TRANSFORMERS_OFFLINE", "1")
        try:
            from sentence_transformers import SentenceTransformer
        except ImportError:
            raise ConfigError(
                "sentence-transformers is not installed: pip install 'agentbreaker[embed]'", field="embedder"
            ) from None
        try:
            self._model: Any = SentenceTransformer(
                str(folder),
                device=device,
                local_files_only=True,
                trust_remote_code=False,
                model_kwargs={"use_safetensors": True},
            )
        except Exception as error:
            raise ConfigError(
                f"{str(folder)!r} cannot be loaded as a model ({type(error).__name__})", field="path"
            ) from error
        self._name = f"sentence-transformers/{folder.resolve().name}@{_version(folder, configs)}"

    @property
    def name(self) -> str:
        """Name of the folder, and a fingerprint of the model in it."""
        return self._name

    def embed(self, texts: Sequence[str], /) -> NDArray[Any]:
        """Return one vector of length 1 for each text."""
        # A lone surrogate has no tokens, and the tokeniser refuses it.
        clean = [text.encode("utf-8", "replace").decode("utf-8") for text in texts]
        vectors: NDArray[Any] = self._model.encode(
            clean, convert_to_numpy=True, normalize_embeddings=True, show_progress_bar=False
        )
        return vectors

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._name!r})"


def _version(folder: Path, configs: list[Path]) -> str:
    """Fingerprint of the configuration, and of names and sizes of all files: another model, another name."""
    fingerprint = blake2b(digest_size=6)
    for file in configs:
        fingerprint.update(file.read_bytes())
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            fingerprint.update(f"{file.relative_to(folder)}\0{file.stat().st_size}\0".encode("utf-8", "replace"))
    return fingerprint.hexdigest()
