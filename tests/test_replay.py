"""Replaying recorded conversations: what is counted, where it would have been halted, and at what cost in memory."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import chain, cycle, islice
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentbreaker.errors import ConfigError, TranscriptError
from agentbreaker.message import Message, Usage
from agentbreaker.policy import Policy
from agentbreaker.replay import ConversationReport, ReplayReport, read_sources, replay
from agentbreaker.transcripts import ReadReport, write_transcript
from agentbreaker.verdict import Action, Decision

START = datetime(2026, 5, 1, 9, 30, tzinfo=UTC)
WORK = [
    "Please find out why the invoices of March are missing in the ledger of the Hamburg branch.",
    "The import stopped on 14 March at row 20,871: an amount of 1,204.50 carried a currency code that is unknown.",
    "Which currency was it, and how many rows follow that one in the file?",
    "It was XDR, the special drawing right; 3,112 rows follow, and all of them are readable.",
    "Add XDR to the table with the rate of the monetary fund, then import the rest with a dry run first.",
    "The dry run books 3,112 rows, 41 of them to cost centre 7730, which was closed in February.",
]


def thanks(conversation_id: str = "loop", count: int = 30, **fields: object) -> Iterator[Message]:
    """Two agents that thank each other without end."""
    for sender, recipient in islice(cycle([("ann", "bob"), ("bob", "ann")]), count):
        yield Message(conversation_id, sender, recipient, content="Great, thank you!", **fields)  # type: ignore[arg-type]


def work(conversation_id: str = "work", **fields: object) -> Iterator[Message]:
    """Two agents that get something done."""
    for number, text in enumerate(WORK):
        pair = ("lead", "clerk") if number % 2 == 0 else ("clerk", "lead")
        yield Message(conversation_id, *pair, content=text, **fields)  # type: ignore[arg-type]


def run(
    messages: Iterable[Message], policy: Policy | None = None, source: str = "log.jsonl"
) -> list[ConversationReport]:
    """Replay the messages of one source."""
    return list(replay(((source, message) for message in messages), policy))


def only(messages: Iterable[Message], policy: Policy | None = None) -> ConversationReport:
    """Replay one conversation."""
    (conversation,) = run(messages, policy)
    return conversation


def halted_at(conversation: ConversationReport) -> int:
    """Return where a conversation was halted, which it must have been."""
    assert conversation.halted_at is not None
    return conversation.halted_at


# -- one conversation -------------------------------------------------------------------------------------------------


def test_the_line_of_a_halted_conversation_has_exactly_the_promised_fields() -> None:
    """Other tools rely on the names, their order and their meaning."""
    loop = only(thanks(usage=Usage(100, 20), cost_usd=0.1))
    at = halted_at(loop)
    line = json.loads(loop.model_dump_json())
    assert list(line.items()) == [
        ("conversation_id", "loop"),
        ("source", "log.jsonl"),
        ("messages", 30),
        ("agents", 2),
        ("halted_at", at),
        ("warned_at", loop.warned_at),
        ("detector", loop.detector),
        ("score", loop.score),
        ("tokens", 3600),
        ("tokens_after_halt", 120 * (30 - at)),
        ("cost_usd", 3.0),
        ("cost_usd_after_halt", pytest.approx(0.1 * (30 - at))),
    ]
    assert 2 < at < 12
    assert loop.detector is not None
    assert loop.detector.startswith("AB")
    assert 0.5 <= loop.score <= 1


def test_the_line_of_a_quiet_conversation_is_full_of_nulls() -> None:
    """No halt and no warning are null, amounts that nobody recorded are 0."""
    assert json.loads(only(work()).model_dump_json()) == {
        "conversation_id": "work",
        "source": "log.jsonl",
        "messages": 6,
        "agents": 2,
        "halted_at": None,
        "warned_at": None,
        "detector": None,
        "score": 0,
        "tokens": 0,
        "tokens_after_halt": 0,
        "cost_usd": 0,
        "cost_usd_after_halt": 0,
    }


def test_a_warning_comes_before_the_halt_and_both_are_numbered() -> None:
    """The first rung is noted where it was reached, whatever follows."""
    loop = only(thanks())
    assert loop.warned_at is not None
    assert loop.warned_at < halted_at(loop)


def test_without_a_halt_the_detector_and_the_score_are_those_of_the_warning() -> None:
    """A policy that only warns still says who would have had something to say."""
    policy = Policy(ladder={"warn": 2.0, "steer": None, "finish": None, "halt": None})
    loop = only(thanks(), policy)
    assert loop.halted_at is None
    assert loop.warned_at is not None
    assert loop.detector is not None
    assert 0 < loop.score <= 1
    assert (loop.incident, loop.incident_text) == (None, None)


def test_asking_for_a_final_answer_opens_the_breaker_as_a_halt_does() -> None:
    """``finish`` is the milder way to end; the message on which it fell is the halt."""
    finished = only(thanks(), Policy(ladder={"finish": 4.0, "halt": 12.0}))
    assert finished.halted_at == only(thanks()).halted_at


def test_every_line_counts_as_a_message_also_system_lines_and_duplicates() -> None:
    """Numbers are positions in the recording, so that they can be found there."""
    plain = only(thanks(message_id=None))
    prompt = Message("loop", "system", kind="system", content="You are a helpful agent.")
    assert halted_at(only(chain([prompt] * 3, thanks()))) == halted_at(plain) + 3
    doubled = [
        Message("loop", m.sender, m.recipient, content=m.content, message_id=str(n))
        for n, m in enumerate(thanks())
        for _ in range(2)
    ]
    loop = only(doubled)
    assert loop.messages == 60
    assert halted_at(loop) == 2 * halted_at(plain)


def test_the_message_of_the_halt_itself_would_not_have_been_delivered() -> None:
    """It belongs to what came after."""
    at = halted_at(only(thanks()))
    messages = list(thanks())
    messages[at].usage = Usage(output_tokens=7)
    messages[at - 1].usage = Usage(input_tokens=5)
    loop = only(messages)
    assert (loop.tokens, loop.tokens_after_halt) == (12, 7)


def test_after_the_halt_the_rest_is_only_counted() -> None:
    """What is said after the halt changes no finding, however new it is; agents and amounts are still counted."""
    at = halted_at(only(thanks()))
    rest = list(work("loop", usage=Usage(1, 2), cost_usd=0.01))
    loop = only(chain(islice(thanks(), at + 1), rest))
    assert (loop.halted_at, loop.messages, loop.agents) == (at, at + 1 + len(rest), 4)
    assert (loop.tokens_after_halt, loop.cost_usd_after_halt) == (18, 0.06)


def test_amounts_that_are_missing_or_make_no_sense_count_as_nothing() -> None:
    """Recordings of many frameworks have gaps; one broken price must not make the total a non-number."""
    amounts = [(None, None), (Usage(), 0.0), (Usage(output_tokens=3), float("nan")), (Usage(-9, 2), -1.0), (None, 0.5)]
    conversation = only(Message("c", "a", content=str(u), usage=u, cost_usd=c) for u, c in amounts)
    assert (conversation.tokens, conversation.cost_usd) == (3, 0.5)


def test_the_evidence_of_a_halt_is_kept_for_people_but_not_written_into_the_line() -> None:
    """The human report shows why; the line for programs stays as promised."""
    loop = only(thanks())
    assert loop.incident is not None
    assert loop.incident_text is not None
    assert loop.incident["code"] == loop.detector
    assert "ann" in loop.incident_text
    assert "incident" not in loop.model_dump_json()


# -- many conversations -----------------------------------------------------------------------------------------------


def together(*conversations: Iterable[Message]) -> list[Message]:
    """Interleave conversations, message by message."""
    waiting, mixed = [iter(c) for c in conversations], []
    while waiting:
        for messages in list(waiting):
            message = next(messages, None)
            if message is None:
                waiting.remove(messages)
            else:
                mixed.append(message)
    return mixed


def test_interleaved_conversations_are_judged_as_if_each_were_alone() -> None:
    """What one conversation says or how long it takes is nothing to another."""
    parts = [
        list(thanks("one", timestamp=START)),
        list(work("two")),
        list(thanks("three", timestamp=START - timedelta(days=900))),
    ]
    assert run(together(*parts)) == [only(part) for part in parts]


@settings(max_examples=20)
@given(st.permutations([n for n in range(3) for _ in range(12)]))
def test_no_order_of_interleaving_changes_a_finding(order: list[int]) -> None:
    """The property behind it: only the order within a conversation matters."""
    parts = [list(thanks(str(n), 12)) if n else list(work("0")) * 2 for n in range(3)]
    alone = {report.conversation_id: report for report in map(only, parts)}
    feeds = [iter(part) for part in parts]
    assert {report.conversation_id: report for report in run(next(feeds[n]) for n in order)} == alone


def test_conversations_come_in_the_order_of_their_first_message() -> None:
    """The output of a replay is the same every time."""
    messages = together(work("b"), thanks("a"), work("c"))
    assert [report.conversation_id for report in run(messages)] == ["b", "a", "c"]


def test_the_same_id_in_several_files_is_several_conversations(tmp_path: Path) -> None:
    """Many programs number their runs from 1; a short run in each of three files is no long loop."""
    sizes = {"a.jsonl": 3, "b.jsonl.gz": 3, "c.jsonl": 3, "d.jsonl": 12}
    paths = [str(tmp_path / name) for name in sizes]
    for path, size in zip(paths, sizes.values(), strict=True):
        write_transcript(thanks("1", size), path)
    found = list(replay(read_sources(paths)))
    assert [(report.source, report.messages) for report in found] == list(zip(paths, sizes.values(), strict=True))
    assert [report.halted_at for report in found] == [None, None, None, only(thanks()).halted_at]


def test_a_file_is_reported_as_soon_as_the_next_one_begins() -> None:
    """A long replay shows what it has, and holds no more than one file's conversations."""

    def messages() -> Iterator[tuple[str, Message]]:
        yield from (("first", message) for message in work())
        yield "second", Message("x", "a")
        raise AssertionError("read too far")

    assert next(replay(messages())).source == "first"


def test_totals_add_up_over_all_conversations() -> None:
    """The summary is the sum of the lines."""
    report = ReplayReport()
    messages = together(thanks("a", usage=Usage(1, 1), cost_usd=1.0), work("b", usage=Usage(5)), thanks("c"))
    found = list(replay((("log", message) for message in messages), report=report))
    assert (report.conversations, report.halted, report.warned, report.messages) == (3, 2, 2, 66)
    assert report.messages_after_halt == sum(30 - halted_at(c) for c in found if c.halted_at is not None)
    assert report.tokens == sum(c.tokens for c in found) == 90
    assert report.tokens_after_halt == sum(c.tokens_after_halt for c in found)
    assert report.cost_usd == pytest.approx(30.0)
    assert report.cost_usd_after_halt == sum(c.cost_usd_after_halt for c in found)
    assert report.detectors == {found[0].detector: 2}
    assert report.forgotten == 0


def test_only_so_many_incidents_are_kept() -> None:
    """A corpus of a hundred thousand halts is not held in full for a screen that shows ten."""
    messages = [("log", message) for n in range(5) for message in thanks(str(n), 12)]
    found = list(replay(messages, keep_incidents=2))
    assert [report.halted_at is not None for report in found] == [True] * 5
    assert [report.incident is not None for report in found] == [True, True, False, False, False]


# -- time -------------------------------------------------------------------------------------------------------------

HOUR = Policy(budgets={"max_seconds": 3600.0})


def spread(minutes: Iterable[int | None], conversation_id: str = "work") -> Iterator[Message]:
    """Honest work at these minutes after the start (``None``: without a timestamp)."""
    for message, minute in zip(work(conversation_id), minutes, strict=False):
        message.timestamp = None if minute is None else START + timedelta(minutes=minute)
        yield message


@pytest.mark.parametrize(
    ("minutes", "halt"),
    [
        ([0, 10, 59, 60, 61, 70], 4),
        ([0, 50, 10, 0, 55, 61], 5),
        ([None, 0, None, 70, None, None], 3),
        ([-70, 0, 0, 0, 0, 0], 1),
        ([None] * 6, None),
    ],
    ids=["forward", "backward", "gaps", "early", "none"],
)
def test_time_is_that_of_the_recording_and_never_goes_back(minutes: list[int | None], halt: int | None) -> None:
    """A time budget holds in a replay as it would have held that night, however fast the replay is."""
    conversation = only(spread(minutes), HOUR)
    assert (conversation.halted_at, conversation.detector) == (halt, None if halt is None else "AB604")


def test_conversations_of_different_years_each_have_their_own_time() -> None:
    """A corpus mixes recordings; the one of last year neither ages this year's nor escapes its own budget."""
    old = list(spread([0, 30, 61, 90], "old"))
    for message in old:
        assert message.timestamp is not None
        message.timestamp = message.timestamp.replace(year=2024)
    new = list(spread([0, 10, 20, 30], "new"))
    for messages in (together(new, old), together(old, new), [*new, *old], [*old, *new]):
        found = {report.conversation_id: report.halted_at for report in run(messages, HOUR)}
        assert found == {"old": 2, "new": None}


@pytest.mark.parametrize("moment", [datetime.min, datetime.max, datetime(2026, 5, 1)])
def test_timestamps_at_the_edge_of_the_calendar_do_no_harm(moment: datetime) -> None:
    """A broken clock in a recording is no reason to stop."""
    messages = list(work())
    messages[0].timestamp, messages[1].timestamp = moment, START
    assert only(messages).messages == 6


# -- memory -----------------------------------------------------------------------------------------------------------


def test_more_conversations_than_the_guard_has_room_for_are_all_judged_one_after_the_other() -> None:
    """The guard would hold no opinion of a conversation it has no room for, so the silent ones make room."""
    report = ReplayReport()
    policy = Policy(conversations={"max_conversations": 3})
    messages = (("log", message) for n in range(40) for message in chain(work(f"w{n}"), thanks(f"t{n}", 12)))
    found = list(replay(messages, policy, report=report))
    assert [c.halted_at is not None for c in found] == [False, True] * 40
    assert report.forgotten == 0


def test_conversations_that_had_to_be_forgotten_are_counted() -> None:
    """Where more conversations interleave than there is room for, the report says that evidence was lost."""
    report = ReplayReport()
    policy = Policy(conversations={"max_conversations": 3})
    messages = [("log", message) for message in together(*(thanks(str(n), 4) for n in range(10)))]
    found = list(replay(messages, policy, report=report))
    assert [(c.messages, c.halted_at) for c in found] == [(4, None)] * 10
    assert report.forgotten == 30


def test_the_conversation_that_was_silent_for_longest_makes_room_first() -> None:
    """A long loop is not lost because many short conversations pass by meanwhile."""
    report = ReplayReport()
    policy = Policy(conversations={"max_conversations": 3})
    passing = (Message(f"p{n}", "a", content="Good morning.") for n in range(30))
    messages = [("log", message) for message in together(thanks("loop"), passing)]
    found = {c.conversation_id: c for c in replay(messages, policy, report=report)}
    assert found["loop"].halted_at == only(thanks()).halted_at
    assert report.forgotten == 0


def test_memory_does_not_grow_with_the_conversations() -> None:
    """What is kept of a conversation that is silent is its counters, and they are not kept in memory."""

    def messages(source: str, count: int) -> Iterator[tuple[str, Message]]:
        for n in range(count):
            for sender in ("ann", "bob"):
                yield source, Message(f"{source}-{n}", sender, content="Good morning.")

    def peak(count: int) -> int:
        tracemalloc.reset_peak()
        for _ in replay(chain(messages("a", count), messages("b", count)), policy):
            pass
        return tracemalloc.get_traced_memory()[1]

    policy = Policy(conversations={"max_conversations": 10})
    tracemalloc.start()
    try:
        # The first words that are ever read are remembered, so that they are known before the counting begins.
        _, few, many = peak(1500), peak(1500), peak(4500)
    finally:
        tracemalloc.stop()
    assert many - few < 3000 * 10


def test_a_watcher_sees_each_message_that_was_judged() -> None:
    """With its number in its conversation and the decision, up to the halt; what comes after it is only counted."""
    seen: dict[str, list[int]] = {"loop": [], "work": []}
    last: dict[str, Decision] = {}

    def watch(number: int, message: Message, decision: Decision) -> None:
        seen[message.conversation_id].append(number)
        last[message.conversation_id] = decision

    messages = [message for pair in zip(thanks(count=6), work(), strict=True) for message in pair]
    messages += thanks(count=20)
    loop, _ = replay((("log.jsonl", message) for message in messages), watch=watch)
    assert seen == {"loop": list(range(halted_at(loop) + 1)), "work": list(range(6))}
    assert last["loop"].action.opens
    assert last["work"].action is Action.ALLOW


# -- what goes wrong --------------------------------------------------------------------------------------------------


def test_a_policy_that_cannot_be_used_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    """A replay of an hour does not begin with a mistake in the policy."""
    path = tmp_path / "policy.toml"
    path.write_text("[ladder]\nhalt = 'never'\n")
    with pytest.raises(ConfigError, match=r"policy\.toml"):
        replay(iter(()), str(path))


def test_sources_are_read_one_after_the_other_and_their_faults_pass_through(tmp_path: Path) -> None:
    """Each message comes with the name of its file; a bad line is counted, a missing file is an error."""
    good = tmp_path / "good.jsonl"
    write_transcript(work(), good)
    with good.open("ab") as file:
        file.write(b"broken\n")
    report = ReadReport()
    found = list(replay(read_sources([good, str(good)], report=report)))
    assert [(c.source, c.messages) for c in found] == [(str(good), 12)]
    assert (report.messages, report.skipped) == (12, 2)
    with pytest.raises(TranscriptError, match="7: not JSON"):
        list(read_sources([good], strict=True))
    with pytest.raises(TranscriptError, match="no such file"):
        list(replay(read_sources([good, tmp_path / "nowhere.jsonl"])))


def test_nothing_to_replay_is_no_conversation() -> None:
    """An empty stream gives an empty answer."""
    assert list(replay([])) == []
