"""Real tokenizers are used where they work without a network, and nothing is ever fetched."""

from __future__ import annotations

import hashlib
import socket
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from agentbreaker import ConfigError
from agentbreaker.tokenizer import _SHA256, _URL, token_counter
from agentbreaker.tokens import Vocabulary, estimate_tokens
from tests.token_texts import COUNTED, TEXTS

VOCABULARIES: tuple[Vocabulary, ...] = ("o200k", "cl100k")
CONTROL = "<|endoftext|>"


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks for the network is told no, and the test fails."""

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("the network was asked for")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def test_the_estimate_is_the_default() -> None:
    """It needs nothing that is not installed."""
    assert token_counter() is estimate_tokens


def test_an_unknown_tokenizer_is_named_with_the_nearest() -> None:
    """A typing error gets a suggestion, anything else the list."""
    with pytest.raises(ConfigError, match="did you mean 'tiktoken'"):
        token_counter("tik-token")
    with pytest.raises(ConfigError, match="known are estimate, tiktoken, bpe-openai"):
        token_counter("wordpiece")


@pytest.mark.parametrize("name", ["tiktoken", "bpe-openai"])
def test_a_tokenizer_that_is_not_installed_says_how_to_get_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error is ours and names the package."""
    monkeypatch.setitem(sys.modules, name.replace("-", "_"), None)
    with pytest.raises(ConfigError, match=f"pip install {name}"):
        token_counter(name)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """What a stand-in for tiktoken, with an empty cache, was asked to load."""
    names: list[str] = []

    class Encoding:
        def encode(self, text: str, *, disallowed_special: tuple[str, ...]) -> list[int]:
            assert disallowed_special == ()
            return list(text.encode("utf-8"))

    def get_encoding(name: str) -> Encoding:
        names.append(name)
        return Encoding()

    module = types.ModuleType("tiktoken")
    module.get_encoding = get_encoding  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tiktoken", module)
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    return names


def fill(folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Put a file for each vocabulary where tiktoken would, and take its hash for the right one."""
    paths = []
    for vocabulary in VOCABULARIES:
        path = folder / hashlib.sha1(_URL.format(vocabulary).encode()).hexdigest()  # noqa: S324 - as tiktoken does
        path.write_text(vocabulary)
        monkeypatch.setitem(_SHA256, vocabulary, hashlib.sha256(vocabulary.encode()).hexdigest())
        paths.append(path)
    return paths


def test_tiktoken_is_not_used_without_its_vocabulary(asked: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """It would fetch the file; so it is not even asked, also where the user has switched the cache off."""
    with pytest.raises(ConfigError, match="nothing is downloaded"):
        token_counter("tiktoken")
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", "")
    with pytest.raises(ConfigError, match="nothing is downloaded"):
        token_counter("tiktoken")
    assert asked == []


def test_tiktoken_is_not_used_with_a_damaged_vocabulary(
    asked: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would remove the file and fetch it anew; the file stays, and nothing is asked."""
    damaged = fill(tmp_path, monkeypatch)[1]
    damaged.write_text("cut")
    with pytest.raises(ConfigError, match="cl100k_base"):
        token_counter("tiktoken")
    assert asked == []
    assert damaged.read_text() == "cut"


def test_tiktoken_is_used_with_its_vocabularies(
    asked: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With both files in place it counts; half a surrogate pair is no text for it, but no error either."""
    fill(tmp_path, monkeypatch)
    count = token_counter("tiktoken")
    assert asked == ["o200k_base", "cl100k_base"]
    assert (count("abc", "o200k"), count("\ud800", "cl100k"), count("é", "o200k")) == (3, 1, 2)


@pytest.mark.parametrize("name", ["tiktoken", "bpe-openai"])
def test_a_real_tokenizer_counts_as_recorded(name: str) -> None:
    """Where one is installed with its vocabularies, it gives the counts that are kept with the texts."""
    pytest.importorskip(name.replace("-", "_"))
    try:
        count = token_counter(name)
    except ConfigError as error:
        pytest.skip(str(error))
    for kind, texts in TEXTS.items():
        for vocabulary in VOCABULARIES:
            assert tuple(count(text, vocabulary) for text in texts) == COUNTED[kind][vocabulary]
    assert count(CONTROL, "o200k") > 1
    assert count("\ud800", "o200k") > 0
    assert count("ab " * 1_000_000, "o200k") == pytest.approx(1_000_000, rel=0.01)
