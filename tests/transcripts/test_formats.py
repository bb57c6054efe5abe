"""All formats alike: told from their content, read as the sample says, and unharmed by what is broken."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import random
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from agentbreaker.errors import ConfigError, TranscriptError
from agentbreaker.message import Message
from agentbreaker.transcripts import FORMATS, Format, ReadReport, message_to_json, read_transcript
from agentbreaker.transcripts import formats as formats_module
from agentbreaker.transcripts.records import Probe
from agentbreaker.transcripts.source import Source, open_source

SAMPLES = Path(__file__).parent / "samples"
#: Samples are named after their format: ``chat.jsonl``, ``chat-2.jsonl``; beside each stands what is read of it.
FILES = sorted(path for path in SAMPLES.iterdir() if path.is_file() and ".expected." not in path.name)
NAMES = [one.name for one in FORMATS]
#: What the user says with ``--map``.
COLUMNS = {"csv": {"conversation_id": "run"}, "parquet": {"conversation_id": "run"}}
#: Libraries that read what is no text, by the end of a name.
LIBRARIES = {".parquet": "duckdb", ".sqlite": "langgraph.checkpoint.sqlite", ".eval": "inspect_ai"}


@pytest.fixture(autouse=True)
def readable(request: pytest.FixtureRequest) -> None:
    """Skip what is read with a library that is not installed here."""
    path = getattr(request.node, "callspec", None) and request.node.callspec.params.get("path")
    if isinstance(path, Path) and path.suffix in LIBRARIES:
        pytest.importorskip(LIBRARIES[path.suffix])


def format_of(path: Path) -> str:
    """Name of the format of a sample."""
    return max((name for name in NAMES if path.name.startswith(name)), key=len)


def expected_of(path: Path) -> Path:
    """The file that says what is read of a sample."""
    return SAMPLES / f"{path.name}.expected.json"


def outcome(data: bytes, format_name: str | None = None, columns: dict[str, str] | None = None) -> dict:
    """What is read of a recording, as the expected files say it."""
    report = ReadReport()
    stream = io.BytesIO(data)
    messages = list(read_transcript(stream, report=report, format=format_name, columns=columns))
    return {
        "formats": report.formats,
        "agents": report.agents,
        "conversations": report.conversations,
        "skipped": [str(error).removeprefix("<stream>:") for error in report.errors],
        "messages": [json.loads(message_to_json(message)) for message in messages],
    }


def test_every_format_has_a_sample() -> None:
    """No reader is without a golden file."""
    assert {format_of(path) for path in FILES} == set(NAMES)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_sample_is_recognised_and_read_as_expected(path: Path) -> None:
    """Detection, every message and every fault of the golden file."""
    found = outcome(path.read_bytes(), columns=COLUMNS.get(format_of(path)))
    expected = json.loads(expected_of(path).read_text("utf-8"))
    assert found == expected
    assert list(found["formats"]) == [format_of(path)]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_packed_and_forced_gives_the_same(path: Path) -> None:
    """Gzip and ``--format`` change nothing of what is read."""
    data, columns = path.read_bytes(), COLUMNS.get(format_of(path))
    assert outcome(gzip.compress(data), format_of(path), columns) == outcome(data, None, columns)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_what_is_converted_is_read_again(path: Path) -> None:
    """Our own format holds all that a reader yields."""
    messages = list(read_transcript(path, columns=COLUMNS.get(format_of(path))))
    lines = "".join(message_to_json(message) + "\n" for message in messages).encode()
    report = ReadReport()
    assert list(read_transcript(io.BytesIO(lines), report=report)) == messages
    assert report.formats == {"agentbreaker": len(messages)}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_damage_costs_records_and_never_the_run(path: Path) -> None:
    """Cut anywhere, overwritten anywhere, with another type anywhere: only our own error, and only for the file."""
    data, name, columns = path.read_bytes(), format_of(path), COLUMNS.get(format_of(path))
    dice = random.Random(7)
    for _ in range(150):
        at = dice.randrange(len(data))
        junk = dice.choice([b"", b"\0", b"\xff", b"[" * 300, b"null", b"[]", b"{}", b'"', b"1e999", b"-1", b"true"])
        damaged = dice.choice([data[:at], data[:at] + junk + data[at:], data[:at] + junk + data[at + 40 :]])
        try:
            for message in read_transcript(io.BytesIO(damaged), format=name, columns=columns):
                message_to_json(message)
        except TranscriptError as error:
            assert str(error).isprintable()  # noqa: PT017 - there need not be one


def swapped(value: object, dice: random.Random) -> object:
    """The value with some of its parts of another type."""
    if dice.random() < 0.08:
        return dice.choice([None, True, -1, 1e300, "", "x" * 2000, [], {}, [[]], [None], {"a": None}, "\ud800", "[{"])
    if isinstance(value, dict):
        return {key: swapped(item, dice) for key, item in value.items()}
    return [swapped(item, dice) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize(
    "path", [path for path in FILES if path.suffix in (".json", ".jsonl", ".log")], ids=lambda path: path.name
)
def test_values_of_other_types_are_survived(path: Path) -> None:
    """Any field may hold anything: what is read can be written, what is not is named."""
    text = path.read_text("utf-8")
    try:
        records = [json.loads(text)]
    except ValueError:
        records = []
        for line in text.splitlines():
            with contextlib.suppress(ValueError):  # some samples have a broken line on purpose
                records.append(json.loads(line[line.index("{") :] if path.suffix == ".log" else line))
    dice = random.Random(11)
    for _ in range(150):
        data = "\n".join(json.dumps(swapped(record, dice)) for record in records).encode()
        report = ReadReport()
        try:
            for message in read_transcript(io.BytesIO(data), format=format_of(path), report=report):
                assert message.sender
                assert message.conversation_id
                assert list(read_transcript(io.BytesIO(message_to_json(message).encode()), strict=True))
        except TranscriptError as error:
            assert str(error).isprintable()  # noqa: PT017 - there need not be one


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n\n",
        b"\0" * 100,
        b"{",
        b"[",
        b"[]",
        b"{}",
        b"[[" * 100_000,
        b'{"a":' * 100_000,
        b'"' * 1001,
        b"\xff\xfe\xfd",
        b"[{}, 1, null,",
        b"\xef\xbb\xbf{}",
        b"{" + b'"k":1,' * 20_000,
        b"a,b\n1,2\n",
    ],
)
def test_nothing_at_all_is_an_error_of_ours(name: str, data: bytes) -> None:
    """Whatever is forced on whatever: a message for people, and no message of an agent."""
    with pytest.raises(TranscriptError) as caught:
        list(read_transcript(io.BytesIO(data), format=name, strict=True))
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("name", NAMES)
def test_recognising_is_safe(name: str) -> None:
    """A reader that is asked about anything answers, and only for its own."""
    one = next(one for one in FORMATS if one.name == name)
    for data in (b"", b"{}", b"[]", b"[[[[", b'{"messages":3}\n', b"\0\n", b"null\n1\n", b'{"a":{"b":[1]}}'):
        assert not one.recognises(Probe(Source(io.BytesIO(data), "x")))


def test_an_unknown_format_is_named_with_the_nearest() -> None:
    """A typing error is told with what was meant."""
    with pytest.raises(ConfigError, match="no format 'chta'; did you mean 'chat'"):
        list(read_transcript(io.BytesIO(b""), format="chta"))


# -- readers of others ------------------------------------------------------------------------------------------------


def _read_words(source: Source) -> Iterator[Message]:
    for word in source.stream.read().decode().split():
        source.report.messages += 1
        yield Message("words", word)


WORDS = Format("words", "one sender a word", lambda probe: True, _read_words)
NO_FORMAT = 3


def _installed(monkeypatch: pytest.MonkeyPatch, **values: str) -> None:
    points = [EntryPoint(name, value, formats_module.READERS_GROUP) for name, value in values.items()]
    monkeypatch.setattr(formats_module, "entry_points", lambda group: points)


def test_a_reader_of_another_distribution_is_used_when_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry point is loaded for ``format``."""
    monkeypatch.setitem(__import__("sys").modules, "words_reader", __import__(__name__, fromlist=["x"]))
    _installed(monkeypatch, words="words_reader:WORDS")
    report = ReadReport()
    messages = list(read_transcript(io.BytesIO(b"ann bob"), format="words", report=report))
    assert [message.sender for message in messages] == ["ann", "bob"]
    assert report.formats == {"words": 2}


def test_a_reader_of_another_distribution_is_never_loaded_by_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is in a file does not load code, and ours cannot be replaced."""
    _installed(monkeypatch, words="no_such_module:X", chat="no_such_module:X")
    with pytest.raises(TranscriptError):
        list(read_transcript(io.BytesIO(b"ann bob"), strict=True))
    assert list(formats_module.other_formats()) == ["words"]


@pytest.mark.parametrize("value", ["no_such_module:X", f"{__name__}:NO_FORMAT"])
def test_a_reader_that_cannot_be_loaded_is_an_error_of_ours(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    """A broken distribution is named, not passed on as a traceback."""
    _installed(monkeypatch, broken=value)
    with pytest.raises(ConfigError, match="the reader 'broken'"):
        list(read_transcript(io.BytesIO(b"x"), format="broken"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_format_that_comes_first_is_the_only_one_that_matters(path: Path) -> None:
    """Where others know a sample too, they are more general and asked later."""
    general = {
        "agentbreaker": {"chat"},
        "langsmith": {"langgraph", "parquet"},
        "langfuse": {"parquet", "csv"},
    }
    with open_source(path) as source:
        probe = Probe(source)
    first, *others = [one.name for one in FORMATS if one.recognises(probe)]
    assert first == format_of(path)
    assert set(others) <= general.get(first, set())


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_a_document_whose_lines_begin_with_braces_is_one(mark: bytes, end: bytes) -> None:
    """A list that begins on the first line goes on; a first line that was cut does not make a document of a file."""
    turns = b'{"messages":[{"role":"user","content":"a"},' + end + b'{"role":"assistant","content":"b"}]}' + end
    assert [one["content"] for one in outcome(mark + turns)["messages"]] == ["a", "b"]
    cut = b'{"conversation_id":"c","sen' + end + b'{"conversation_id":"c","sender":"a"}' + end
    assert len(outcome(mark + cut)["messages"]) == 1
