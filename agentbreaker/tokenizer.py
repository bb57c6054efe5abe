"""A real tokenizer instead of the estimate, where one is installed and its vocabulary is on this machine already.

Nothing is ever downloaded.  ``bpe-openai`` carries its vocabularies.  ``tiktoken`` fetches its own when it is first
used, so it is only used where the file already lies, unharmed, in the folder in which it would keep it.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from difflib import get_close_matches
from functools import partial
from typing import Any, Final

from agentbreaker.errors import ConfigError
from agentbreaker.tokens import Vocabulary, estimate_tokens

__all__ = ["TOKENIZERS", "TokenCounter", "token_counter"]

#: Counts the tokens of a text in one of both vocabularies.
TokenCounter = Callable[[str, Vocabulary], int]

#: What may be asked for by name.
TOKENIZERS: Final = ("estimate", "tiktoken", "bpe-openai")
_VOCABULARIES: Final[tuple[Vocabulary, ...]] = ("o200k", "cl100k")
#: Longer texts are counted in slices of so many characters: one tokenizer refuses them, another takes very long.
_SLICE: Final = 65_536
#: Where tiktoken gets each file from, of which the hash is its name in the cache, and what it must hold.
_URL: Final = "https://openaipublic.blob.core.windows.net/encodings/{}_base.tiktoken"
_SHA256: Final = {
    "o200k": "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
    "cl100k": "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
}


def token_counter(name: str = "estimate") -> TokenCounter:
    """Return what counts tokens: the estimate, or a tokenizer that works without a network.

    Args:
        name: One of `TOKENIZERS`.

    Raises:
        ConfigError: There is no such tokenizer, it is not installed, or its vocabulary is not on this machine.

    >>> token_counter()("Hello, world!", "o200k")
    4
    >>> token_counter("tictoken")
    Traceback (most recent call last):
        ...
    agentbreaker.errors.ConfigError: no tokenizer 'tictoken'; did you mean 'tiktoken'?
    """
    if name == "estimate":
        return estimate_tokens
    if name == "tiktoken":
        return _tiktoken()
    if name == "bpe-openai":
        return _bpe_openai()
    close = get_close_matches(name, TOKENIZERS, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(TOKENIZERS)}"
    raise ConfigError(f"no tokenizer {name!r}; {hint}", field="tokenizer")


def _count(encodings: dict[Vocabulary, Any], options: dict[str, Any], text: str, vocabulary: Vocabulary) -> int:
    if not text.isascii():
        # Halves of surrogate pairs, which JSON can hold, are no text for a tokenizer.
        text = text.encode("utf-8", "replace").decode("utf-8")
    encode = encodings[vocabulary].encode
    # What looks like a control token is text like any other.
    return sum(len(encode(text[at : at + _SLICE], **options)) for at in range(0, len(text), _SLICE))


def _tiktoken() -> TokenCounter:
    try:
        import tiktoken
    except ImportError:
        raise ConfigError("the tokenizer tiktoken is not installed: pip install tiktoken", field="tokenizer") from None
    folder = os.environ.get("TIKTOKEN_CACHE_DIR", os.environ.get("DATA_GYM_CACHE_DIR"))
    if folder is None:
        folder = os.path.join(tempfile.gettempdir(), "data-gym-cache")
    for vocabulary in _VOCABULARIES:
        name = hashlib.sha1(_URL.format(vocabulary).encode(), usedforsecurity=False).hexdigest()
        path = os.path.join(folder, name)
        # An empty name of the folder means that nothing is kept.  What is damaged would be fetched again.
        if not folder or _sha256(path) != _SHA256[vocabulary]:
            raise ConfigError(
                f"the vocabulary {vocabulary}_base of tiktoken is not on this machine, and nothing is downloaded here; "
                f"fetch it once with python -c \"import tiktoken; tiktoken.get_encoding('{vocabulary}_base')\" "
                "(TIKTOKEN_CACHE_DIR says where it is kept), or take bpe-openai, which carries its own",
                field="tokenizer",
            )
    encodings = {vocabulary: tiktoken.get_encoding(f"{vocabulary}_base") for vocabulary in _VOCABULARIES}
    return partial(_count, encodings, {"disallowed_special": ()})


def _sha256(path: str) -> str | None:
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


def _bpe_openai() -> TokenCounter:
    try:
        import bpe_openai
    except ImportError:
        raise ConfigError(
            "the tokenizer bpe-openai is not installed: pip install bpe-openai", field="tokenizer"
        ) from None
    encodings = {vocabulary: bpe_openai.get_encoding(f"{vocabulary}_base") for vocabulary in _VOCABULARIES}
    return partial(_count, encodings, {"disallowed_special": ()})
