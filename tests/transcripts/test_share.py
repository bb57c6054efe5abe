"""Shares of a recording: whose a line is, told without parsing it, and nothing lost between them."""

from __future__ import annotations

import io
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agentbreaker.errors import TranscriptError
from agentbreaker.message import Message
from agentbreaker.transcripts import ReadReport, message_to_json, read_transcript
from agentbreaker.transcripts.schema import UnreadableError, parse_line
from agentbreaker.transcripts.share import Reach, Share, id_in_line

SAMPLES = Path(__file__).parent / "samples"
#: Texts that look like the key, or hide it.
TRICKS = [
    "conversation_id",
    '"conversation_id"',
    '{"conversation_id":"x"}',
    "\\u0063",
    "conversation\\u005fid",
    "é",
    "会",
]
texts = st.one_of(st.sampled_from(TRICKS), st.text(max_size=8))


def ignore(_: bytes) -> None:
    """Nobody wants to know of the others."""


@given(
    st.lists(st.tuples(st.sampled_from(["conversation_id", "sender", "x", "content"]), texts), min_size=1, max_size=5),
    st.booleans(),
    st.sampled_from([(",", ":"), (", ", ": "), (" ,\t", " :\t")]),
)
@example([("conversation_id", "a"), ("sender", "s"), ("conversation_id", "b")], True, (",", ":"))
def test_an_id_that_is_told_from_a_line_is_the_one_that_parsing_finds(
    pairs: list[tuple[str, str]], ascii_only: bool, separators: tuple[str, str]
) -> None:
    """Whatever else is in the line: keys twice, in texts, nested, in another order."""
    comma, colon = separators
    parts = [f"{json.dumps(key)}{colon}{json.dumps(value, ensure_ascii=ascii_only)}" for key, value in pairs]
    line = ("{" + comma.join([*parts, f'"y"{colon}{{"z"{colon}1}}']) + "}").encode("utf-8", "surrogatepass")
    name = id_in_line(line)
    try:
        message = parse_line(line)
    except UnreadableError:
        return
    assert name is None or name == message.conversation_id.encode("utf-8", "surrogatepass")


@pytest.mark.parametrize(
    "line",
    [
        rb'{"conversation_id":"a","sender":"s","conversation\u005fid":"b"}',
        rb'{"\u0063onversation_id":"b","conversation_id":"a","sender":"s"}',
        b'{"conversation_id":"a","conversation_id":"b","sender":"s"}',
        b'{"x":{"conversation_id":"a"},"conversation_id":"b","sender":"s"}',
        b'{"x":"conversation_id","conversation_id":"b","sender":"s"}',
        rb'{"conversation_id":"a\u0062","sender":"s"}',
        rb'{"conversation_id":"a\"b","sender":"s"}',
    ],
)
def test_a_line_that_does_not_say_plainly_whose_it_is_has_to_be_parsed(line: bytes) -> None:
    """A key twice, a key in escapes, an id in escapes: no guess."""
    assert id_in_line(line) is None
    parse_line(line)


def test_most_lines_say_plainly_whose_they_are() -> None:
    """Those that this package writes, and those of other programs, with the id anywhere."""
    assert id_in_line(message_to_json(Message("会-1", "a", content='say "conversation_id": "x"')).encode()) == (
        "会-1".encode()
    )
    assert id_in_line(b'{"sender": "a", "content": "line\\nnext", "conversation_id" : "c 1"}') == b"c 1"


def shares(data: bytes, of: int, format: str | None = None) -> list[tuple[list[Message], ReadReport, list[bytes]]]:
    """Read the same bytes as each of so many shares."""
    found = []
    for number in range(of):
        others: list[bytes] = []
        share, report = Share(number, of, others.append), ReadReport()
        share.begin(0)
        messages = list(read_transcript(io.BytesIO(data), report=report, share=share, format=format))
        found.append((messages, report, others))
    return found


LINES = [
    *(json.dumps({"conversation_id": f"c{n % 13}", "sender": "a", "content": str(n)}) for n in range(200)),
    *(json.dumps({"conversation_id": f"é{n % 3}", "sender": "b"}) for n in range(9)),
    "{not json",
    '{"conversation_id":"c1"}',
    '{"conversation_id":"c2","sender":7}',
    "",
    '{"sender":"x"}',
]


@pytest.mark.parametrize("of", [1, 2, 3, 7])
def test_every_line_is_read_and_counted_once(of: int) -> None:
    """All shares together are the whole, messages, faults and all; each conversation is in one of them."""
    data = "\n".join(LINES).encode()
    whole = ReadReport()
    expected = list(read_transcript(io.BytesIO(data), report=whole))
    found = shares(data, of)
    assert Counter(map(str, (m for messages, _, _ in found for m in messages))) == Counter(map(str, expected))
    assert sum(report.messages for _, report, _ in found) == whole.messages == 209
    assert sum(report.skipped for _, report, _ in found) == whole.skipped == 4
    assert [report.lines for _, report, _ in found] == [whole.lines] * of
    owners: dict[str, set[int]] = {}
    for number, (messages, _, others) in enumerate(found):
        for message in messages:
            owners.setdefault(message.conversation_id, set()).add(number)
        assert not {m.conversation_id.encode() for m in messages} & set(others)
    assert all(len(numbers) == 1 for numbers in owners.values())


@pytest.mark.parametrize("name", ["chat.jsonl", "otlp.json", "csv.csv", "claude-code.jsonl"])
def test_formats_that_know_nothing_of_shares_are_shared_too(name: str) -> None:
    """Every message of another format belongs to one share."""
    data = (SAMPLES / name).read_bytes()
    expected = list(read_transcript(io.BytesIO(data)))
    found = shares(data, 2)
    assert Counter(map(str, (m for messages, _, _ in found for m in messages))) == Counter(map(str, expected))
    assert [report.messages for _, report, _ in found] == [len(expected)] * 2


def test_runs_of_the_same_name_in_many_files_are_spread() -> None:
    """Where every file holds one conversation named 1, one process would else do all the work."""
    share = Share(0, 2, ignore)
    owners = []
    for file in range(100):
        share.begin(file)
        owners.append(share.owner(b"1"))
    assert 20 < sum(owners) < 80


def test_a_file_of_somebody_elses_is_not_an_empty_file() -> None:
    """Only a file in which nobody finds anything is a fault."""
    line = b'{"conversation_id":"c","sender":"a"}\n'
    assert [len(messages) for messages, _, _ in shares(line, 2)] in ([0, 1], [1, 0])
    with pytest.raises(TranscriptError, match="only blank lines"):
        shares(b"\n\n", 2)


def test_a_line_that_is_too_long_is_counted_by_the_first_share_only() -> None:
    """Nobody knows whose it is."""
    data: Any = LINES[0].encode() + b"\n" + b"x" * (9 * 1024 * 1024) + b"\n"
    assert [report.skipped for _, report, _ in shares(data, 3)] == [1, 0, 0]


@given(
    st.lists(st.tuples(st.integers(0, 2), st.sampled_from(["a", "b", "é", "\ud800", "1"])), max_size=40).map(sorted),
    st.integers(1, 3),
    st.data(),
)
def test_what_unequal_processes_have_read_is_found_again(
    ids: list[tuple[int, str]], of: int, data: st.DataObject
) -> None:
    """Of each share of each recording the beginning, as far as its process got; of what nobody opened, nothing."""
    messages = [(f"file-{file}", Message(name, "x", content=str(n))) for n, (file, name) in enumerate(ids)]
    reach, expected = Reach(), []
    for file in range(2):
        owned: list[list[tuple[str, Message]]] = [[] for _ in range(of)]
        for name, message in messages:
            share = Share(0, of, ignore)
            share.begin(file)
            if name == f"file-{file}":
                owner = share.owner(message.conversation_id.encode("utf-8", "surrogatepass"))
                owned[owner].append((name, message))
        got = [data.draw(st.integers(0, len(own))) for own in owned]
        reach.note(f"file-{file}", file, got)
        expected += [pair for own, number in zip(owned, got, strict=True) for pair in own[:number]]
    found = list(reach.within(messages))
    assert sorted(found, key=str) == sorted(expected, key=str)
    assert found == [pair for pair in messages if pair in expected]
