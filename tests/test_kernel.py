"""The compiled kernel gives the answers of the Python, bit for bit, and where it cannot, Python gives them."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from array import array
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agentbreaker import Guard, kernel, lexicon, machine, text
from agentbreaker.clock import VirtualClock
from agentbreaker.lexicon import CODE_BITS, Lexicon
from agentbreaker.replay import read_sources, replay
from agentbreaker.transcripts import read_transcript

ROOT = Path(__file__).resolve().parents[1]
SHIFT = CODE_BITS - 13

compiled = pytest.mark.skipif(not kernel.COMPILED, reason="this installation has no compiled kernel")

#: Any bytes; text of any script; words that come again; tokens about as long as the table keeps them.
TEXTS = st.one_of(
    st.binary(max_size=400),
    st.text(max_size=200).map(lambda content: text._words(text._plain(content))),
    st.lists(st.sampled_from([b"the", b"Ox", b"ox", b"\x00", b"a" * 12, b"a" * 13, b"7", b"1002", b"1003"])).map(
        b" ".join
    ),
    st.lists(st.binary(min_size=1, max_size=70)).map(b" ".join),
    st.lists(st.sampled_from([b"1", b".", b",", b"0", b"a", b" ", b"99", b"\xff"])).map(b"".join),
    st.lists(st.integers(1, 70).map(lambda length: b"q" * length)).map(b".".join),
)


def python_codes(raw: bytes, words: dict[bytes, int]) -> list[int]:
    """The reference of ``codes_of``, spelt out."""
    codes = dict.fromkeys(map(words.__getitem__, text._fold(raw)))
    codes.pop(0, None)
    return list(codes)


def packed(*codes: int) -> bytes:
    """Codes as the kernel has them."""
    return array("I", codes).tobytes()


def python_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the compiled kernel away, and begin with an empty lexicon."""
    monkeypatch.setattr(kernel, "_speed", None)
    monkeypatch.setattr(lexicon, "_shared", [])


@pytest.fixture
def speed() -> Any:
    """The compiled kernel."""
    return kernel._speed


class Letters(dict[bytes, int]):
    """In place of a lexicon: knows any token, and counts how often it is asked."""

    asked = 0

    def __missing__(self, token: bytes) -> int:
        self.asked += 1
        return len(token) % 3 and 1 + random.Random(token).getrandbits(CODE_BITS - 1)


@compiled
class TestCodes:
    words, table, weighing = lexicon.lexicon(), kernel.make_table(), Lexicon().table
    reference = Lexicon()
    reference.table = None

    @given(TEXTS)
    @example(b"")
    @example(b"x" * 63 + b" y")
    @example(b"x" * 64)
    @example(b"a" * 12 + b" " + b"a" * 13 + b" " + b"a" * 28 + b" " + b"a" * 29)
    @example(b"\xff\x00\xfe" * 30)
    @example(b"word " * 3000 + b"end")
    def test_codes_are_those_of_python(self, raw: bytes) -> None:
        """Any text: the same codes in the same order, from an empty table, a full one, and one that weighs words."""
        fresh, weighing = kernel.make_table(), self.weighing
        assert fresh is not None
        assert weighing is not None
        weighing.clear()
        assert self.table is not None
        wanted = python_codes(raw, self.words)
        for table in (fresh, fresh, self.table, weighing, weighing):
            assert list(kernel.unpack(table.codes(raw, self.words))) == wanted

    @given(TEXTS)
    def test_grammar_is_that_of_python(self, raw: bytes) -> None:
        """Any text: the same share of grammar."""
        assert self.table is not None
        codes = [self.words[token] for token in text._fold(raw)]
        assert self.table.grammar(raw, self.words) == (codes.count(0), len(codes))

    @given(
        st.lists(
            st.text(st.sampled_from("etaoinxqz"), min_size=1, max_size=45).map(str.encode)
            | st.sampled_from(sorted(lexicon._fixed_weights()))
        )
    )
    def test_words_are_weighed_as_in_python(self, tokens: list[bytes]) -> None:
        """Words of the language, names, random letters: the same codes, and the lexicon is not asked for any."""
        weighing, reference, never = self.weighing, self.reference, Letters()
        assert weighing is not None
        weighing.clear()
        words = b" ".join(tokens)
        asked = [token for token in words.split() if not token.isalpha() and token not in reference._fixed]
        assert list(kernel.unpack(weighing.codes(words, never))) == python_codes(words, reference)
        assert never.asked == len(asked) == 0

    def test_weights_that_cannot_be_are_refused(self, speed: Any) -> None:
        """Of the wrong type, too large, or without the odds that go with them."""
        unusable: tuple[dict[str, Any], ...] = (
            {"weights": []},
            {"weights": {}},
            {"odds": b""},
            {"weights": {}, "odds": ""},
            {"weights": {}, "odds": b"", "rare": 1 << 9},
            {"weights": {}, "odds": b"", "letter": -1},
            {"weight": {}},
        )
        for wrong in unusable:
            with pytest.raises((TypeError, ValueError)):
                speed.Table(**wrong)
        with pytest.raises(TypeError):
            speed.Table({}, b"")
        assert speed.Table(weights={b"ox": "heavy"}, odds=b"").grammar(b"", {}) == (0, 0)
        with pytest.raises(TypeError):
            speed.Table(weights={b"ox": "heavy"}, odds=b"").codes(b"ox", {})

    def test_a_token_is_asked_for_once(self) -> None:
        """The table is of use: what it holds, the lexicon is not asked for; very long tokens it does not hold."""
        table, words = kernel.make_table(), Letters()
        assert table is not None
        raw = b"one three " + b"n" * 28 + b" " + b"n" * 29
        first = table.codes(raw, words)
        assert words.asked == 4
        assert table.codes(raw, words) == first
        assert words.asked == 5
        table.clear()
        assert table.codes(raw, words) == first
        assert words.asked == 9

    def test_more_tokens_than_the_table_holds(self) -> None:
        """What it had to drop it asks for again, and every code is still that of its own token."""
        table, words = kernel.make_table(), Letters()
        assert table is not None
        tokens = [b"%x" % number for number in range(60_000)] + [b"%024x" % number for number in range(9_000)]
        for _ in range(2):
            for start in range(0, len(tokens), 50):
                raw = b" ".join(tokens[start : start + 50])
                assert list(kernel.unpack(table.codes(raw, words))) == python_codes(raw, words)
        assert words.asked > len(tokens)

    def test_a_lexicon_that_forgets_takes_its_table_along(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """When the lexicon is full, both begin anew: codes and known predecessors are those of Python at every step."""
        monkeypatch.setattr(lexicon, "_MAX_TOKENS", 40)
        ours, theirs = Lexicon(), Lexicon()
        theirs.table = None
        monkeypatch.setattr(lexicon, "_shared", [ours])
        rng = random.Random(5)
        for _ in range(300):
            raw = b" ".join(b"%d" % rng.randrange(90) for _ in range(rng.randrange(12)))
            assert list(kernel.unpack(text.codes_of(raw))) == python_codes(raw, theirs)
            assert ours == theirs
            assert ours._predecessors == theirs._predecessors

    @pytest.mark.parametrize("code", [-1, 1 << CODE_BITS, 1 << 80, "word", None])
    def test_a_code_that_is_none_raises(self, code: Any) -> None:
        """What a lexicon cannot say is not believed, and not kept."""
        table = kernel.make_table()
        assert table is not None
        for _ in range(2):
            with pytest.raises((OverflowError, TypeError)):
                table.codes(b"word", {b"word": code})

    @pytest.mark.parametrize("arguments", [(), (b"a",), ("a", {}), (bytearray(b"a"), {}), (b"a", None), (b"a", {}, 1)])
    def test_wrong_arguments_raise(self, arguments: tuple[Any, ...]) -> None:
        """Anything else than bytes and a mapping is an error, not a crash."""
        table: Any = kernel.make_table()
        for function in (table.codes, table.grammar):
            with pytest.raises((TypeError, KeyError)):
                function(*arguments)

    def test_what_the_lexicon_raises_arrives(self) -> None:
        """A token that the lexicon does not know ends the text with its own error."""
        table = kernel.make_table()
        assert table is not None
        with pytest.raises(KeyError, match="unheard"):
            table.codes(b"of unheard " * 4000, {b"of": 0})


@compiled
class TestLoops:
    @given(
        st.lists(st.integers(1, 2**CODE_BITS - 1), unique=True),
        st.integers(0, 700),
        st.integers(1, 255),
        st.integers(0, 9**9),
    )
    def test_information_is_that_of_python(self, codes: list[int], more: int, now: int, seed: int) -> None:
        """Any codes against any slots: the same sums, the same numbers in the same order, the same slots after."""
        speed: Any = kernel._speed
        rng = random.Random(seed)
        codes += [rng.getrandbits(CODE_BITS) for _ in range(more)]
        codes += [code ^ 1 for code in codes[::3]]  # some that share a slot
        ours = bytearray(rng.choices((0, now - 1, now, rng.randrange(256)), k=1 << 13))
        theirs = bytearray(ours)
        assert speed.information(packed(*codes), ours, now, SHIFT) == kernel._information(codes, theirs, now, SHIFT)
        assert ours == theirs

    @pytest.mark.parametrize(
        "arguments",
        [
            ([1], bytearray(9), 2, 0),
            ({1}, bytearray(9), 2, 0),
            ("1234", bytearray(9), 2, 0),
            (bytearray(4), bytearray(9), 2, 0),
            (packed(1), b"123456789", 2, 0),
            (packed(1), array("B", bytes(9)), 2, 0),
            (packed(1, 9), bytearray(9), 2, 0),
            (packed(1, 2**32 - 1), bytearray(9), 2, 0),
            (packed(1), bytearray(9), 0, 0),
            (packed(1), bytearray(9), 256, 0),
            (packed(1), bytearray(9), 2, -1),
            (packed(1), bytearray(9), 2, 64),
            (packed(1), bytearray(9), "2", 0),
            (packed(1), bytearray(9), 2),
        ],
    )
    def test_unusual_arguments_raise_and_change_nothing(self, speed: Any, arguments: tuple[Any, ...]) -> None:
        """So Python can begin anew with them."""
        with pytest.raises((TypeError, ValueError, OverflowError)):
            speed.information(*arguments)
        assert not any(arguments[1]) or isinstance(arguments[1], bytes)

    @given(st.lists(st.tuples(st.integers(-(2**70), 2**70) | st.integers(0, 9), st.booleans())), st.integers(1, 6))
    def test_fingerprints_are_remembered_as_in_python(self, calls: list[tuple[int, bool]], limit: int) -> None:
        """Any fingerprints: the same answers, and the same bytes after each."""
        speed: Any = kernel._speed
        ours, theirs = bytearray(), bytearray()
        for fingerprint, renew in calls:
            known = speed.remember(ours, fingerprint, limit * 8, renew)
            assert known is kernel._remember(theirs, fingerprint, limit * 8, renew)
            assert ours == theirs

    def test_what_cannot_be_remembered_raises(self, speed: Any) -> None:
        """Wrong types, a broken memory, and one that somebody else looks at."""
        for arguments in (
            (b"", 1, 8, True),
            (bytearray(7), 1, 8, True),
            (bytearray(), "1", 8, True),
            (bytearray(), 1, 7, True),
            (bytearray(), 1, 8),
        ):
            with pytest.raises((TypeError, ValueError)):
                speed.remember(*arguments)
        keys = bytearray(8)
        with memoryview(keys), pytest.raises(BufferError):
            speed.remember(keys, 1, 16, True)
        assert keys == bytearray(8)

    @given(st.text(st.sampled_from("abcdefghijklmnopqrstuvwxyz")).map(str.encode))
    def test_pairs_are_added_up_as_in_python(self, letters: bytes) -> None:
        """Any letters."""
        speed: Any = kernel._speed
        odds = lexicon.lexicon()._odds
        assert speed.pair_sum(letters, odds) == kernel._pair_sum(letters, odds)

    @pytest.mark.parametrize("letters", [b"aA", b"`a", b"a{", b"\x00a", b"a\xff", "ab", 7])
    def test_other_bytes_are_no_pairs(self, speed: Any, letters: Any) -> None:
        """Nothing is read outside of the table, and Python refuses the same."""
        odds = lexicon.lexicon()._odds
        for add in (speed.pair_sum, kernel._pair_sum):
            with pytest.raises((KeyError, TypeError, AttributeError)):
                add(letters, odds)
        with pytest.raises(KeyError):
            speed.pair_sum(b"zz", odds[:-1])

    @given(st.text(st.characters(max_codepoint=127)))
    def test_symbols_are_counted_as_in_python(self, content: str) -> None:
        """Any ASCII text."""
        speed: Any = kernel._speed
        assert speed.count_of(content, machine._SYMBOLS) == kernel._count_of(content, machine._SYMBOLS)


def decisions(paths: list[Path]) -> list[Any]:
    """Everything that is measured and decided of some transcripts, message by message, and the reports of a replay."""
    found: list[Any] = []
    for path in paths:
        for mode in ("enforce", "metrics_only"):
            guard = Guard(mode=mode, clock=VirtualClock())
            for message in read_transcript(path):
                decision = guard.observe(message)
                seen = guard._conversations[message.conversation_id].seen
                found.append((decision, {name: getattr(seen, name) for name in seen.__slots__}))
            found += [guard.incident(conversation) for conversation in guard.conversations()]
            assert not guard.telemetry.failures
    found += replay(read_sources([str(path) for path in paths]))
    return found


@compiled
def test_scenarios_end_the_same_without_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some of every folder: each message is measured and decided alike, each incident and each report is the same."""
    folders = sorted(path.parent for path in (ROOT / "scenarios").glob("*/scenario.toml"))
    paths = [path for folder in folders for path in sorted(folder.glob("*.jsonl*"))[:2]]
    monkeypatch.setattr(lexicon, "_shared", [])
    ours = decisions(paths)
    assert lexicon.lexicon().table is not None
    python_only(monkeypatch)
    theirs = decisions(paths)
    assert lexicon.lexicon().table is None
    assert len(ours) > 1000
    assert ours == theirs


def test_python_answers_where_the_kernel_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel that raises whatever it is asked changes no answer."""

    def fail(*_: object) -> Any:
        raise MemoryError

    table = SimpleNamespace(codes=fail, grammar=fail, clear=lambda: None)
    words = Lexicon()
    monkeypatch.setattr(lexicon, "_shared", [words])
    words.table = None
    monkeypatch.setattr(kernel, "_speed", None)
    raw = b"The scales of 3 carp, and 4 of 5 fins: {}"
    seen = [bytearray(1 << 13), bytearray(1 << 13)]
    keys = [bytearray(), bytearray()]
    expected = (
        text.codes_of(raw),
        text.prose_share(raw),
        kernel.information(text.codes_of(raw), seen[0], 2, SHIFT),
        kernel.remember(keys[0], 7, 16, True),
        kernel.count_of(raw.decode(), b":{}"),
        kernel.pair_sum(b"ox", words._odds),
    )
    words.table = table
    monkeypatch.setattr(
        kernel,
        "_speed",
        SimpleNamespace(information=fail, remember=fail, count_of=fail, pair_sum=fail, Table=fail, KERNEL_VERSION=1),
    )
    assert kernel.make_table() is None
    assert expected == (
        text.codes_of(raw),
        text.prose_share(raw),
        kernel.information(text.codes_of(raw), seen[1], 2, SHIFT),
        kernel.remember(keys[1], 7, 16, True),
        kernel.count_of(raw.decode(), b":{}"),
        kernel.pair_sum(b"ox", words._odds),
    )
    assert seen[0] == seen[1]
    assert keys[0] == keys[1] != bytearray()


def test_another_version_of_the_kernel_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """An extension that was built for other sources is not used, nor one that does not say what it is."""
    monkeypatch.delenv("AGENTBREAKER_PURE", raising=False)
    same = SimpleNamespace(KERNEL_VERSION=kernel._VERSION)
    for extension, used in (
        (same, True),
        (SimpleNamespace(KERNEL_VERSION=kernel._VERSION + 1), False),
        (SimpleNamespace(), False),
        (None, False),
    ):
        monkeypatch.setitem(sys.modules, "_agentbreaker_speed", extension)
        assert (kernel._load() is not None) is used


@pytest.mark.parametrize(("value", "pure"), [("1", True), ("yes", True), ("0", False), ("", False)])
def test_the_environment_switches_it_off(monkeypatch: pytest.MonkeyPatch, value: str, pure: bool) -> None:
    """``AGENTBREAKER_PURE=1`` leaves the kernel alone, whatever is installed."""
    monkeypatch.setitem(sys.modules, "_agentbreaker_speed", SimpleNamespace(KERNEL_VERSION=kernel._VERSION))
    monkeypatch.setenv("AGENTBREAKER_PURE", value)
    assert (kernel._load() is None) is pure


def test_the_source_says_the_same_version() -> None:
    """The C file and the module that loads it are of one version."""
    source = (ROOT / "agentbreaker" / "_speed" / "_agentbreaker_speed.c").read_text("utf-8")
    assert f"#define KERNEL_VERSION {kernel._VERSION}\n" in source


def test_a_process_without_the_kernel_works() -> None:
    """With the switch set, a fresh interpreter halts a loop all the same."""
    program = """
import agentbreaker.kernel
from agentbreaker import Guard, Message
assert not agentbreaker.kernel.COMPILED
guard = Guard()
for _ in range(6):
    for a, b in [("ann", "bob"), ("bob", "ann")]:
        decision = guard.observe(Message("chat-1", a, b, content="Great, thank you!"))
assert decision.action.value == "halt"
"""
    environment = os.environ | {"AGENTBREAKER_PURE": "1"}
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=environment, check=True, timeout=60)
