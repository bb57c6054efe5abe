"""Labels: the file that people write, and the scenario folders."""

from __future__ import annotations

import gzip
import json
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from agentbreaker.errors import TranscriptError
from agentbreaker.labels import Label, Labels, Role, expand_corpus, read_labels
from agentbreaker.replay import read_sources

SCENARIOS = Path(__file__).resolve().parents[1] / "scenarios"


def write(path: Path, *lines: dict[str, Any]) -> Path:
    """Write a labels file."""
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    return path


def scenario(folder: Path, text: str, *names: str) -> Path:
    """Write a scenario folder with a message for each of its transcripts."""
    folder.mkdir(parents=True)
    (folder / "scenario.toml").write_text(text, "utf-8")
    for name in names:
        line = {"conversation_id": name, "sender": "ann", "content": "hello"}
        (folder / f"{name}.jsonl").write_text(json.dumps(line) + "\n", "utf-8")
    return folder


# ---------------------------------------------------------------------- the file


def test_a_labels_file_is_read_with_its_defaults(tmp_path: Path) -> None:
    """Onset and family have defaults, null means absent, unknown fields, blank lines and a byte order mark are fine."""
    path = write(
        tmp_path / "labels.jsonl",
        {"conversation_id": "a", "role": "positive", "onset": 12, "family": "nag", "reader": "x"},
        {"conversation_id": "b", "role": "positive", "onset": None, "family": None},
        {"conversation_id": "c", "role": "negative", "source": "support"},
        {"conversation_id": "d", "role": "ignore"},
    )
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes() + b"\n  \n")
    a, b, c, d = read_labels(path)
    where = str(path)
    assert a == Label("a", Role.POSITIVE, 12, 10, "nag", None, where, 1)
    assert b == Label("b", Role.POSITIVE, 0, 0, "runaway", None, where, 2)
    assert (c.role, c.source, c.line) == (Role.NEGATIVE, "support", 3)
    assert d.role is Role.IGNORE


def test_a_packed_labels_file_is_read(tmp_path: Path) -> None:
    """Gzip is told by its first bytes, not by its name."""
    path = tmp_path / "labels.jsonl"
    path.write_bytes(gzip.compress(b'{"conversation_id": "a", "role": "ignore"}\n'))
    assert [label.conversation_id for label in read_labels(path)] == ["a"]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"conversation_id": "x"}', "role: missing"),
        (b'{"role": "positive"}', "conversation_id: missing"),
        (
            b'{"conversation_id": "x", "role": "runaway"}',
            "role: Input should be 'positive', 'negative' or 'ignore'",
        ),
        (b'{"conversation_id": "x", "role": "positive", "onset": -1}', "onset: Input should be greater than"),
        (b'{"conversation_id": "x", "role": "positive", "onset": "3"}', "onset: Input should be a valid integer"),
        (b'{"conversation_id": "x", "role": "positive", "onset": 2.5}', "onset: Input should be a valid integer"),
        (b'{"conversation_id": "x", "role": "positive", "onset": true}', "onset: Input should be a valid integer"),
        (b'{"conversation_id": "x", "role": "positive", "family": 3}', "family: Input should be a valid string"),
        (b'{"conversation_id": "", "role": "ignore"}', "conversation_id: String should have at least"),
        (b'{"conversation_id": "x", "role"', "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"17", "Input should be an object"),
        (b'{"conversation_id": "a", "role": "ignore"}', "conversation_id: labelled in line 1 already"),
        (b'"' + b"x" * (1024 * 1024 + 1), "longer than 1 MiB"),
    ],
)
def test_a_bad_line_is_named_with_file_line_and_field(tmp_path: Path, line: bytes, reason: str) -> None:
    """A label that cannot be used is fatal: leaving it out would quietly change the figures."""
    path = tmp_path / "labels.jsonl"
    path.write_bytes(b'{"conversation_id": "a", "role": "ignore"}\n' + line + b"\n")
    with pytest.raises(TranscriptError) as caught:
        list(read_labels(path))
    assert str(caught.value).startswith(f"{path}:2: {reason}")
    assert "runaway" not in str(caught.value), "what was found there is not quoted"


@pytest.mark.parametrize(
    ("content", "reason"), [(b"", "holds no label"), (b"\n \n", "holds no label"), (None, "No such")]
)
def test_a_file_without_a_label_is_an_error(tmp_path: Path, content: bytes | None, reason: str) -> None:
    """A missing or empty file must not quietly mean that everything is legitimate."""
    path = tmp_path / "labels.jsonl"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(TranscriptError, match=reason):
        Labels(path)


def test_a_packed_file_that_breaks_off_is_an_error(tmp_path: Path) -> None:
    """Half of the labels are not the labels."""
    path = tmp_path / "labels.jsonl.gz"
    lines = "".join(json.dumps({"conversation_id": str(n), "role": "ignore"}) + "\n" for n in range(5000))
    path.write_bytes(gzip.compress(lines.encode())[:2000])
    with pytest.raises(TranscriptError, match="cut or corrupt"):
        list(read_labels(path))


# ---------------------------------------------------------------------- who has which label


def test_without_a_file_everything_is_legitimate() -> None:
    """Nobody said otherwise; such a label has no file."""
    label = Labels().of("log.jsonl", "a")
    assert label is not None
    assert (label.role, label.path) == (Role.NEGATIVE, "")


def test_with_a_file_what_is_not_in_it_has_no_label_and_what_is_not_met_is_told(tmp_path: Path) -> None:
    """An unlabelled conversation is nobody's; a label whose conversation never comes is found out."""
    path = write(
        tmp_path / "labels.jsonl",
        {"conversation_id": "a", "role": "negative"},
        {"conversation_id": "gone", "role": "positive"},
    )
    labels = Labels(path)
    assert labels.of("log.jsonl", "b") is None
    assert labels.of("log.jsonl", "a") is labels.of("log.jsonl", "a")
    assert [label.conversation_id for label in labels.unmet()] == ["gone"]


def test_a_label_cannot_stand_for_two_conversations(tmp_path: Path) -> None:
    """The same id in two files is two conversations, and one onset does not fit both."""
    labels = Labels(write(tmp_path / "labels.jsonl", {"conversation_id": "a", "role": "positive"}))
    labels.of("monday.jsonl", "a")
    with pytest.raises(TranscriptError, match=r"labels.jsonl:1: conversation_id: stands for two .* monday.jsonl"):
        labels.of("tuesday.jsonl", "a")


@pytest.mark.parametrize(("onset", "messages", "is_wrong"), [(9, 10, False), (10, 10, True), (0, 0, True)])
def test_an_onset_beyond_the_conversation_is_an_error(onset: int, messages: int, is_wrong: bool) -> None:
    """The loop of a conversation begins in it; the message names file, line and field."""
    label = Label("a", Role.POSITIVE, onset, max(0, onset - 2), path="labels.jsonl", line=7)
    if is_wrong:
        with pytest.raises(TranscriptError, match=f"labels.jsonl:7: onset: {onset} is beyond"):
            label.check(messages)
    else:
        label.check(messages)


# ---------------------------------------------------------------------- scenario folders


def test_a_scenario_folder_labels_its_transcripts(tmp_path: Path) -> None:
    """Quiet is legitimate; a window counts from ``halt_from``; one conversation of many may have its own."""
    text = """
[calm]
story = "Work."
quiet = true
count = 2
[loop]
halt_from = 9
halt_by = 12
[many]
count = 2
halt_from = 8
[many.conversations."many-2"]
onset = 3
halt_from = 6
[bare]
onset = 5
"""
    folder = scenario(tmp_path / "AB999-sample", text, "calm", "loop", "many", "bare")
    labels, place = Labels(), str(folder / "scenario.toml")
    name = "AB999-sample"
    found = {
        name: labels.of(str(folder / f"{file}.jsonl"), name)
        for file, name in [
            ("calm", "calm-2"),
            ("loop", "loop"),
            ("many", "many-1"),
            ("many", "many-2"),
            ("bare", "bare"),
        ]
    }
    assert found == {
        "calm-2": Label("calm-2", Role.NEGATIVE, source=name, path=place),
        "loop": Label("loop", Role.POSITIVE, None, 9, name, None, place),
        "many-1": Label("many-1", Role.POSITIVE, None, 8, name, None, place),
        "many-2": Label("many-2", Role.POSITIVE, 3, 6, name, None, place),
        "bare": Label("bare", Role.POSITIVE, 5, 3, name, None, place),
    }
    assert labels.of(str(folder / "loop.jsonl"), "somebody else") is None
    assert [label.conversation_id for label in labels.unmet()] == ["calm-1"]
    few = Labels()
    few.of(str(folder / "loop.jsonl"), "loop")
    assert few.unmet() == [], "what was not to be read is not missing"
    (folder / "bare.jsonl").unlink()
    assert [label.conversation_id for label in few.unmet()] == ["bare"]


def test_a_scenario_of_another_policy_takes_no_part_in_tuning(tmp_path: Path) -> None:
    """What must happen under a cap or with an embedder of its own is neither right nor wrong without it."""
    text = """
[capped]
halt_from = 3
halt_by = 3
[capped.policy.budgets]
max_messages = 3
[read]
quiet = true
embedder = "vectors.npz"
"""
    folder = scenario(tmp_path / "AB999", text, "capped", "read")
    labels = Labels()
    capped, read = (labels.of(str(folder / f"{name}.jsonl"), name) for name in ("capped", "read"))
    assert capped is not None
    assert read is not None
    assert (capped.role, read.role) == (Role.IGNORE, Role.IGNORE)
    assert labels.unmet() == []


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('[loop]\nstory = "x"', r"loop.halt_from: missing; a scenario is quiet, or says"),
        ("[loop]\nhalt_from = -3", r"loop.halt_from: Input should be greater"),
        ('[loop]\nquiet = "yes"', r"loop.quiet: Input should be a valid boolean"),
        ("[loop]\nhalt_from = 3\n[loop.conversations.loop]\nonset = 1.5", r"loop.conversations.loop.onset: Input"),
        ("loop = 3", r"loop: Input should be a valid dictionary"),
        ("[loop]\nquiet = true\npolicy = 3", r"loop.policy: Input should be a valid dictionary"),
        ("[loop]\nquiet = true\n[loop.policy.budget]\nmax_messages = 3", r"loop.policy: unknown section 'budget'; did"),
        ("[loop]\nquiet = true\n[loop.policy.budgets]\nmax_messages = 0", r"loop.policy: budgets.max_messages: Input"),
        ("[loop]\nquiet = true\nembedder = 1", r"loop.embedder: Input should be a valid string"),
        ("[loop", r"not TOML: "),
    ],
)
def test_a_scenario_that_cannot_be_used_is_named(tmp_path: Path, text: str, reason: str) -> None:
    """File and field are told, whatever is wrong."""
    folder = scenario(tmp_path / "AB999", text, "loop")
    with pytest.raises(TranscriptError, match=reason) as caught:
        Labels().of(str(folder / "loop.jsonl"), "loop")
    assert str(caught.value).startswith(str(folder / "scenario.toml"))


def test_a_conversation_has_one_label(tmp_path: Path) -> None:
    """A scenario and a labels file that both speak of it contradict each other sooner or later."""
    folder = scenario(tmp_path / "AB999", "[loop]\nhalt_from = 3", "loop")
    labels = Labels(write(tmp_path / "labels.jsonl", {"conversation_id": "loop", "role": "negative"}))
    with pytest.raises(TranscriptError, match=r"labels.jsonl:1: conversation_id: labelled in .*scenario.toml already"):
        labels.of(str(folder / "loop.jsonl"), "loop")


def test_standard_input_is_in_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A ``scenario.toml`` that happens to lie in the current folder says nothing about a pipe."""
    monkeypatch.chdir(scenario(tmp_path / "AB999", "[loop]\nhalt_from = 3", "loop"))
    labels = Labels()
    beside, piped = labels.of("loop.jsonl", "loop"), labels.of("-", "loop")
    assert beside is not None
    assert piped is not None
    assert (beside.role, piped.role) == (Role.POSITIVE, Role.NEGATIVE)


def test_a_folder_of_scenario_folders_stands_for_all_of_them(tmp_path: Path) -> None:
    """Sorted, with the transcripts that lie beside them; folders without a ``scenario.toml`` are left alone."""
    scenario(tmp_path / "set" / "b", "[two]\nquiet = true", "two")
    scenario(tmp_path / "set" / "a", "[one]\nquiet = true", "one")
    (tmp_path / "set" / "notes").mkdir()
    (tmp_path / "set" / "notes" / "other.jsonl").write_text("{}\n")
    root = tmp_path / "set"
    assert expand_corpus([str(root)]) == [str(root / "a" / "one.jsonl"), str(root / "b" / "two.jsonl")]
    (root / "loose.jsonl").write_text("{}\n")
    assert expand_corpus([str(root)])[0] == str(root / "loose.jsonl")
    assert expand_corpus([str(root / "notes"), "-"]) == [str(root / "notes" / "other.jsonl"), "-"]


def test_every_conversation_of_the_scenarios_is_labelled() -> None:
    """No conversation of the project's own scenarios is without a label, and no label without its conversation."""
    labels = Labels()
    roles: Counter[Role] = Counter()
    for source, conversation in dict.fromkeys(
        (source, message.conversation_id) for source, message in read_sources(expand_corpus([str(SCENARIOS)]))
    ):
        label = labels.of(source, conversation)
        assert label is not None, (source, conversation)
        roles[label.role] += 1
    assert labels.unmet() == []
    quiet = loud = apart = 0
    for path in SCENARIOS.glob("*/scenario.toml"):
        for table in tomllib.loads(path.read_text("utf-8")).values():
            if {"policy", "embedder"} & set(table):
                apart += table.get("count", 1)
            elif table.get("quiet"):
                quiet += table.get("count", 1)
            else:
                loud += table.get("count", 1)
    assert roles == {Role.NEGATIVE: quiet, Role.POSITIVE: loud, Role.IGNORE: apart}
    assert apart > 0
