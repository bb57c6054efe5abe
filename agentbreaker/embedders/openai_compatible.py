"""An HTTP endpoint that speaks ``POST /embeddings``, as OpenAI, vLLM, Ollama, LM Studio and others do."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from agentbreaker.embedding import EmbeddingError
from agentbreaker.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["OpenAICompatibleEmbedder"]

_MOST_BYTES = 64 * 1024 * 1024


class OpenAICompatibleEmbedder:
    """An :class:`~agentbreaker.embedding.Embedder` on an OpenAI-compatible endpoint.

    The latest texts of undecided conversations are sent there.  Redirects are not followed and proxies not used, so
    that texts and key go to this host and no other.  The key shows in no representation and no error.

    Args:
        base_url: Up to the version, as the clients of OpenAI take it (``"http://localhost:11434/v1"``).
        model: Name of the model there.
        api_key: Sent as bearer token; ``None`` for none.
        timeout_seconds: Longest silence of the server; a caller of the guard waits for
            ``semantic.timeout_seconds`` at most.

    Raises:
        ConfigError: `base_url` is not an address that can be used.
    """

    def __init__(self, base_url: str, model: str, api_key: str | None = None, *, timeout_seconds: float = 10.0) -> None:
        try:
            parts = urlsplit(base_url)
            port = parts.port
        except ValueError:
            raise ConfigError("base_url is not an address", field="base_url") from None
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError("base_url must begin with http:// or https:// and name a host", field="base_url")
        if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
            raise ConfigError("base_url must hold no user, password, query or fragment", field="base_url")
        if not timeout_seconds > 0:
            raise ConfigError("timeout_seconds must be above 0", field="timeout_seconds")
        if api_key is not None and not (api_key.isascii() and api_key.isprintable() and api_key.strip() == api_key):
            raise ConfigError("api_key holds characters that no header can carry", field="api_key")
        self._secure = parts.scheme == "https"
        self._host, self._port = parts.hostname, port
        self._path = f"{parts.path.rstrip('/')}/embeddings"
        self._model = model
        self._api_key = api_key
        self._timeout = timeout_seconds
        self._address = f"{parts.scheme}://{parts.hostname}{'' if port is None else f':{port}'}{parts.path.rstrip('/')}"

    @property
    def name(self) -> str:
        """Address and name of the model."""
        return f"{self._address}#{self._model}"

    def embed(self, texts: Sequence[str], /) -> list[list[float]]:
        """Return one vector for each text.

        Raises:
            EmbeddingError: The server refused, or its answer is not a list of vectors, one for each text.
            OSError: The server cannot be reached, or is silent for too long.
        """
        status, body = self._post({"model": self._model, "input": list(texts), "encoding_format": "float"})
        if status != 200:
            raise EmbeddingError(f"the embedding server answered with status {status}")
        try:
            rows = json.loads(body)["data"]
            found = {int(row["index"]): row["embedding"] for row in rows}
            vectors = [[float(number) for number in found[index]] for index in range(len(texts))]
        except (ValueError, TypeError, KeyError, RecursionError, OverflowError):
            raise EmbeddingError("the embedding server's answer is not a list of vectors, one for each text") from None
        if len(rows) != len(texts):
            raise EmbeddingError(f"the embedding server sent {len(rows)} vectors for {len(texts)} texts")
        return vectors

    def _post(self, question: dict[str, Any]) -> tuple[int, bytes]:
        import http.client

        kind = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
        connection = kind(self._host, self._port, timeout=self._timeout)
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if self._api_key is not None:
            headers["Authorization"] = f"Bearer {self._api_key}"
        try:
            # A lone surrogate is escaped: plain ASCII in any case.
            connection.request("POST", self._path, json.dumps(question).encode("ascii"), headers)
            response = connection.getresponse()
            body = response.read(_MOST_BYTES + 1)
        except http.client.HTTPException as error:
            if isinstance(error, OSError):  # the server hung up
                raise
            raise EmbeddingError(f"the embedding server does not speak HTTP ({type(error).__name__})") from None
        finally:
            connection.close()
        if len(body) > _MOST_BYTES:
            raise EmbeddingError("the embedding server's answer is too long")
        return response.status, body

    def __repr__(self) -> str:
        key = "None" if self._api_key is None else "'***'"
        return f"{type(self).__name__}({self._address!r}, {self._model!r}, api_key={key})"
