"""A recording without its words: nothing of it survives, and the engine decides the same."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from agentbreaker.anonymise import ORIGIN, CannotAnonymiseError, anonymise, ending_of
from agentbreaker.lexicon import ACKNOWLEDGING, lexicon
from agentbreaker.message import Kind, Message, Tool, Usage
from agentbreaker.policy import Policy
from agentbreaker.replay import read_sources
from agentbreaker.scenario import SCENARIO, scenarios_in, shipped
from agentbreaker.transcripts.schema import message_to_json
from agentbreaker.verdict import STEER_TEXT

POLICY = Policy()
FOLDERS = sorted(path.parent for path in shipped().glob(f"*/{SCENARIO}"))
HAN = re.compile("[\u3400-\u9fff]+")


def values_of(message: Message) -> list[str]:
    """Every string of a line but the names of the format; independent of the code under test."""
    found: list[str] = []

    def walk(value: Any, key: str = "") -> None:
        if isinstance(value, dict):
            for name, one in value.items():
                if key in ("arguments", "deep"):
                    found.append(name)
                walk(one, "deep" if key in ("arguments", "deep") else name)
        elif isinstance(value, list):
            for one in value:
                walk(one, "deep")
        elif isinstance(value, str) and key not in ("kind", "role", "timestamp"):
            found.append(value)

    walk(json.loads(message_to_json(message)))
    return found


def words_of(messages: list[Message]) -> set[str]:
    """All words of more than three letters, in folded case."""
    text = "\n".join(value for message in messages for value in values_of(message))
    return {word for word in re.findall(r"[^\W\d_\u3040-\u30ff\u3400-\u9fff]{4,}", text.casefold())}


def pairs_of(messages: list[Message]) -> set[str]:
    """All pairs of Chinese characters but the stock of acknowledgements."""
    text = "\n".join(value for message in messages for value in values_of(message))
    pairs = {run[i : i + 2] for run in HAN.findall(text) for i in range(len(run) - 1)}
    return {pair for pair in pairs if not lexicon()[pair.encode()] & ACKNOWLEDGING}


def stock() -> set[str]:
    """The characters of the acknowledgements."""
    words = [word for word in lexicon().known_words() if not word.isascii()]
    return set("".join(word for word in words if lexicon()[word.encode()] & ACKNOWLEDGING))


def assert_anonymous(before: list[Message], after: list[Message]) -> None:
    """No word and no pair of characters is left."""
    assert words_of(before) & words_of(after) == set()
    assert {pair for pair in pairs_of(before) & pairs_of(after) if not stock().issuperset(pair)} == set()


def assert_alike(before: list[Message], after: list[Message]) -> None:
    """What is not said stays: kinds, roles, tokens, costs, who is who, and about how much is said."""
    assert len(before) == len(after)
    names: dict[str, str] = {}
    for one, other in zip(before, after, strict=True):
        assert (one.kind, one.role, one.usage, one.cost_usd, one.inferred, one.usage_elsewhere) == (
            other.kind,
            other.role,
            other.usage,
            other.cost_usd,
            other.inferred,
            other.usage_elsewhere,
        )
        assert names.setdefault(one.sender, other.sender) == other.sender
        assert (one.recipient is None) == (other.recipient is None)
        assert abs(len(one.content) - len(other.content)) <= 12 + len(one.content) // 10
        assert other.extra is None
    assert len(set(names.values())) == len(names)


def conversations_of(folder: Path) -> dict[str, tuple[list[Message], Policy]]:
    """The shortest conversation of a folder in each language."""
    found: dict[str, tuple[list[Message], Policy]] = {}
    for scenario in scenarios_in(folder):
        if scenario.transcript.stat().st_size > 60_000:
            continue
        conversations: dict[str, list[Message]] = {}
        for _, message in read_sources([scenario.transcript]):
            conversations.setdefault(message.conversation_id, []).append(message)
        shortest = min(conversations.values(), key=len)
        language = scenario.language or "en"
        if language not in found or len(shortest) < len(found[language][0]):
            found[language] = shortest, scenario.policy()
    return found


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_nothing_that_was_said_survives_in_any_family(folder: Path) -> None:
    """In each family, in English and in Chinese: no word is left, the verdict and the form are the same."""
    for messages, policy in conversations_of(folder).values():
        made = anonymise(messages, policy, name="c1")
        assert_anonymous(messages, made.messages)
        assert_alike(messages, made.messages)
        before, after = ending_of(messages, policy), ending_of(made.messages, policy)
        assert (before.detector, before.halted_at, before.warned_at) == (
            after.detector,
            after.halted_at,
            after.warned_at,
        )


WORD_LIST = (
    "thanks agreed would message order Zürich поставка Müller customer_42 getOrderStatus a1b2c3d4e5f6 12 1,044.50 404 "
    "https://shop.example.com/orders/1042?page=2 ann.lee@example.com /srv/data/import.csv 2026-05-01T10:00:00Z "
    "550e8400-e29b-41d4-a716-446655440000 error timeout running pending 谢谢 收到 订单导入失败 李明在上海测过 "
    "ＴＨＡＮＫＳ tha\u200bnks ok yes the with their ありがとう 한국어로 مرحبا v1.2.3 H-52-2 step7 xqzvbkjw not found: "
    "in_progress"
)
WORDS = WORD_LIST.split(" ")
TEXTS = st.lists(st.sampled_from(WORDS) | st.text(min_size=1, max_size=12), min_size=0, max_size=14).map(" ".join)
NAMES = st.sampled_from(["Planner", "Reviewer", "规划", "Bob", "bob", "tool-runner", "Ann Lee"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=3),
    max_leaves=6,
)


@st.composite
def messages(draw: st.DrawFn) -> Message:
    """Any message."""
    kind: Kind = draw(
        st.sampled_from(["message", "message", "message", "tool_call", "tool_result", "handoff", "system"])
    )
    tool = None
    if kind.startswith("tool"):
        result = draw(TEXTS) if kind == "tool_result" else None
        tool = Tool(draw(st.sampled_from(["search_orders", "读取文件"])), "call-one", draw(VALUES), result)
    return Message(
        "secret-conversation",
        draw(NAMES),
        draw(st.none() | NAMES),
        kind,
        draw(TEXTS),
        role=draw(st.sampled_from([None, "user", "assistant"])),
        message_id=draw(st.none() | st.uuids().map(str)),
        run_id="production-run",
        timestamp=datetime(2026, 5, 1, tzinfo=UTC) + timedelta(seconds=draw(st.integers(0, 10_000))),
        tool=tool,
        model=draw(st.none() | st.just("gpt-5-turbo")),
        usage=draw(st.none() | st.just(Usage(100, 10))),
        extra={"customer": "Contoso"},
    )


# A failing example takes seconds, as every draw is tried: it is shown as it was found.
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)
@given(st.lists(messages(), min_size=1, max_size=10), st.integers(0, 3))
def test_nothing_that_was_said_survives(recording: list[Message], seed: int) -> None:
    """Whatever is recorded: no word of more than three letters is left anywhere, and the verdict is the same."""
    try:
        made = anonymise(recording, POLICY, name="c1", seed=seed)
    except CannotAnonymiseError as error:
        # On the brink of a verdict an error is right, and a wrong scenario is not.
        if "without changing the verdict" not in str(error) or len(recording) < 5:
            raise
        return
    assert_anonymous(recording, made.messages)
    assert {message.conversation_id for message in made.messages} == {"c1"}
    assert ending_of(recording, POLICY).same_as(ending_of(made.messages, POLICY))


def talk(*lines: str) -> list[Message]:
    """Two agents who speak in turn."""
    return [Message("c", ("Planner", "Reviewer")[i % 2], content=line) for i, line in enumerate(lines)]


def test_the_same_becomes_the_same() -> None:
    """A word has one replacement in names, texts, arguments and results, in each case; another seed draws another."""
    recording = [
        Message("c", "Zanzibar", "Bob", content="Zanzibar, ZANZIBAR and zanzibar: order 1042, then 1043."),
        Message("c", "Bob", kind="tool_call", tool=Tool("zanzibar", "x", {"zanzibar": "Zanzibar", "n": 1042})),
        Message("c", "Bob", kind="tool_result", tool=Tool("zanzibar", "x", None, "zanzibar 1042")),
    ]
    made = anonymise(recording, POLICY, name="c1")
    first, call, result = made.messages
    word = first.sender
    assert first.content.startswith(f"{word}, {word.upper()} and {word.lower()}: ")
    assert call.tool is not None
    assert result.tool is not None
    assert call.tool.name == word.lower()
    assert call.tool.arguments[word.lower()] == word
    number = next(value for value in call.tool.arguments.values() if isinstance(value, int))
    assert 1000 <= number <= 9999
    assert number != 1042
    assert result.tool.result == f"{word.lower()} {number}"
    assert call.tool.call_id == result.tool.call_id == "c1"
    # A counter counts on.
    assert first.content.endswith(f" {number + 1}.")
    again, other = anonymise(recording, POLICY, name="c1"), anonymise(recording, POLICY, name="c1", seed=1)
    assert again.messages == made.messages
    assert other.messages != made.messages


def test_times_begin_anew_and_ids_are_counted() -> None:
    """The first message is at the origin, gaps stay, zones do not; ids say nothing, and what they join stays joined."""
    start = datetime.fromisoformat("2026-05-01T10:00:00+08:00")
    recording = [
        Message("c", "ann", message_id="order-77", timestamp=start, content="one"),
        Message("c", "bob", message_id="x", parent_id="order-77", timestamp=start + timedelta(seconds=90), content="2"),
    ]
    first, second = anonymise(recording, POLICY, name="c1").messages
    assert first.timestamp == ORIGIN
    assert second.timestamp == ORIGIN + timedelta(seconds=90)
    assert second.timestamp.utcoffset() == timedelta(0)
    assert (first.message_id, second.message_id, second.parent_id) == ("m1", "m2", "m1")


def test_our_own_words_stay() -> None:
    """The text by which agents were steered is ours, and means something to the engine."""
    recording = [*talk("What about the harbour?"), Message("c", "agentbreaker", kind="system", content=STEER_TEXT)]
    made = anonymise(recording, POLICY, name="c1")
    assert made.messages[1].content == STEER_TEXT


def test_a_verdict_that_cannot_be_kept_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rather than a scenario that lies: the error tells what the recording is and what came of it."""
    folder = shipped() / "AB201-confirmation-ping-pong"
    recording = [message for _, message in read_sources([folder / "thanks-without-end.jsonl"])]
    # Without replacements of their kind, thanks are words like any other: the loop tells something.
    monkeypatch.setattr("agentbreaker.anonymise_words.Words.of", lambda self, word: self.piece(word))
    monkeypatch.setattr("agentbreaker.anonymise._DRAWS", 2)
    with pytest.raises(CannotAnonymiseError, match=r"the recording is warned .* and halted at message 11 by AB201"):
        anonymise(recording, POLICY, name="c1")


def test_a_word_that_comes_out_again_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mistake in the replacements cannot get out: every word is looked for in what came of it."""
    monkeypatch.setattr("agentbreaker.anonymise_words.Words.of", lambda _, word: word)
    with pytest.raises(CannotAnonymiseError, match="a word of it came out again"):
        anonymise(talk("What about the harbour?"), POLICY, name="c1")
