"""The rivals are driven through one contract, and whatever goes wrong with one of them is told and never fatal."""

from __future__ import annotations

import importlib
import json
import shutil
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from agentbreaker import Message, Tool
from agentbreaker.replay import read_sources, replay
from agentbreaker.scenario import Expectation, scenarios_in

RUN = importlib.import_module("benchmarks._rivals_run")
LIST = importlib.import_module("benchmarks._rivals_list")
PAGE = importlib.import_module("benchmarks._rivals_page")
RIVALS = importlib.import_module("benchmarks.rivals")
ROOT = Path(__file__).resolve().parents[1]
DRIVERS = ROOT / "benchmarks" / "rival_drivers"
RESULTS = ROOT / "benchmarks" / "results"

SCRIPTED = '''
from _contract import Driver, calls_of, serve


class Third(Driver):
    """Stops at the third message, and talks on standard output."""

    def begin(self, conversation):
        self.seen = 0

    def see(self, message):
        print("noise that is no answer")
        self.seen += 1
        return self.seen == 3


class Repeats(Driver):
    """Stops at a finished call that has been seen."""

    def begin(self, conversation):
        self.calls = []

    def see(self, message):
        for call in calls_of(message):
            if call in self.calls:
                return True
            self.calls.append(call)
        return False


class Fragile(Third):
    """Fails on a message that it does not like."""

    def see(self, message):
        if message["content"] == "boom":
            raise LookupError("no such thing")
        return super().see(message)


class Dying(Third):
    """Takes its process with it."""

    def see(self, message):
        raise SystemExit(7)


class Slow(Third):
    """Reads everything at every step."""

    WHOLE_HISTORY = True

    def begin(self, conversation):
        self.noted = 0

    def note(self, message):
        self.noted += 1

    def see(self, message):
        self.noted += 1
        return False


serve({"third": Third, "repeats": Repeats, "fragile": Fragile, "dying": Dying, "slow": Slow}, ["pip"])
'''


@pytest.fixture
def scripted(tmp_path: Path) -> Any:
    """Start the scripted rival in one of its modes, as its own process."""
    shutil.copy(DRIVERS / "_contract.py", tmp_path)
    driver = tmp_path / "drive_scripted.py"
    driver.write_text(SCRIPTED, "utf-8")
    started = []

    def start(mode: str) -> Any:
        process = RUN.Process([sys.executable, str(driver), mode], tmp_path, tmp_path / "errors.log")
        started.append(process)
        return process

    yield start
    for process in started:
        process.close()


def lines(*contents: str) -> list[dict[str, Any]]:
    """Messages of one agent to another, as drivers take them."""
    return list(RUN.lines_for_drivers(Message("c", "ann", "bob", content=text) for text in contents))


def conversation(expected: Expectation, *contents: str) -> Any:
    """A conversation of the folder ``family``."""
    return RUN.Conversation("c", "family", expected, lines(*contents))


@pytest.mark.parametrize("folder", ["AB101-tight-cycle", "AB301-exact-repeat", "AB502-spend-velocity"])
def test_through_the_contract_we_do_what_a_replay_does(folder: str, tmp_path: Path) -> None:
    """What agentbreaker is credited with beside its rivals is what a replay of the same scenario gives."""
    ours = LIST.RIVALS[0]
    expected = {}
    for scenario in scenarios_in(ROOT / "scenarios" / folder):
        for report in replay(read_sources([scenario.transcript], strict=True)):
            expected[report.conversation_id] = report.halted_at
    shutil.copytree(ROOT / "scenarios" / folder, tmp_path / "scenarios" / folder)
    conversations, _ = RUN.conversations_in(tmp_path / "scenarios")
    assert {one.id for one in conversations} == set(expected)
    with RUN.Process.of(ours, ours.modes[0], sys.executable, tmp_path) as process:
        answers = {one.id: process.ask({"do": "judge", "messages": one.lines}) for one in conversations}
    assert {name: answer.get("halted_at", answer) for name, answer in answers.items()} == expected
    assert any(at is not None for at in expected.values())


def test_a_halt_is_counted_by_its_window(scripted: Any) -> None:
    """The same halt is early, in time, late, missed or false, by what the conversation expects."""
    cases = [
        (Expectation(False, 3, 9), "early"),
        (Expectation(False, 5, 9, onset=3), "early"),
        (Expectation(False, 3, 9, onset=2), "sooner"),
        (Expectation(False, 2, 2), "in_window"),
        (Expectation(False, 1, None), "in_window"),
        (Expectation(False, 0, 1), "late"),
        (Expectation(True), "halted"),
    ]
    for expected, where in cases:
        tally = RUN.judged(scripted("third"), [conversation(expected, "a", "b", "c", "d")]).groups["family"]
        counts = {key: getattr(tally, key) for key in ("early", "sooner", "in_window", "late", "missed", "halted")}
        assert counts == {**dict.fromkeys(counts, 0), where: 1}
    tally = RUN.judged(scripted("third"), [conversation(Expectation(False, 0, 1), "a", "b")]).groups["family"]
    assert (tally.missed, tally.total) == (1, 1)


def test_conversations_do_not_leak_into_each_other(scripted: Any) -> None:
    """A driver begins anew with every conversation."""
    process = scripted("third")
    answers = [process.ask({"do": "judge", "messages": lines("a", "b")}) for _ in range(3)]
    assert answers == [{"halted_at": None}] * 3
    assert process.ask({"do": "hello"})["versions"].keys() == {"pip"}


def test_finished_calls_carry_arguments_and_result(scripted: Any) -> None:
    """A rival that knows only finished calls gets each with the arguments of its call, also of parallel ones."""
    began = datetime(2026, 1, 5, tzinfo=UTC)
    messages = [
        Message("c", "user", "ann", content="go", role="user", timestamp=began),
        Message("c", "ann", "env", "tool_call", tool=Tool("search", "1", {"q": "a"})),
        Message("c", "ann", "env", "tool_call", tool=Tool("search", "2", {"q": "b"})),
        Message("c", "env", "ann", "tool_result", tool=Tool("search", "2", result="none", is_error=True)),
        Message(
            "c",
            "env",
            "ann",
            "tool_result",
            timestamp=began + timedelta(seconds=4),
            tool=Tool("search", "1", result="none"),
        ),
        Message("c", "ann", "env", "tool_call", tool=Tool("search", "3", {"q": "a"})),
        Message("c", "env", "ann", "tool_result", tool=Tool("search", "3", result="none")),
    ]
    shown = RUN.lines_for_drivers(messages)
    assert [line.get("arguments") for line in shown[1:5]] == [{"q": "a"}, {"q": "b"}, {"q": "b"}, {"q": "a"}]
    assert (shown[2]["outcome"]["is_error"], shown[1]["outcome"]["is_error"]) == (True, False)
    assert [line["seconds"] for line in shown[:5]] == [0.0, None, None, None, 4.0]
    assert shown[4]["tool"]["arguments"] is None
    assert scripted("repeats").ask({"do": "judge", "messages": shown}) == {"halted_at": 6}


def test_one_error_is_counted_and_the_rest_goes_on(scripted: Any) -> None:
    """A rival that raises on one conversation is still judged on the others, and the error is told by its type."""
    quiet = Expectation(True)
    shown = [conversation(quiet, "a"), conversation(quiet, "boom"), conversation(quiet, "a", "b", "c")]
    verdicts = RUN.judged(scripted("fragile"), shown)
    tally = verdicts.groups["family"]
    assert (tally.total, tally.halted, tally.failed) == (3, 1, 1)
    assert verdicts.errors == {"LookupError": 1}


def test_a_rival_that_always_fails_is_given_up_with_the_reason(scripted: Any) -> None:
    """Errors on one conversation after the other end a row, and the reason says which."""
    with pytest.raises(RUN.BrokenError, match="LookupError on one conversation after the other"):
        RUN.judged(scripted("fragile"), [conversation(Expectation(True), "boom")] * 9)


def test_a_process_that_dies_is_told(scripted: Any) -> None:
    """A rival that takes its process down breaks its own row only."""
    with pytest.raises(RUN.BrokenError, match="ended with code 7"):
        RUN.judged(scripted("dying"), [conversation(Expectation(True), "a")])


def test_a_missing_library_is_told(tmp_path: Path) -> None:
    """A driver whose rival cannot be imported gives no answer, which is told, with the traceback in the log."""
    rival = next(one for one in LIST.RIVALS if one.name == "agent-watchdog")
    with (
        RUN.Process.of(rival, rival.modes[0], sys.executable, tmp_path) as process,
        pytest.raises(RUN.BrokenError, match="ended with code 1"),
    ):
        process.ask({"do": "hello"})
    assert "ModuleNotFoundError" in (tmp_path / "agent-watchdog-0.log").read_text("utf-8")


def test_the_cost_is_taken_at_its_marks(scripted: Any) -> None:
    """The cost near message 1,000 is told, stops are counted, and a rival that reads everything is asked seldom."""
    request = {"do": "measure", "messages": lines(*map(str, range(1_200))), "seconds": 60.0}
    cost = scripted("third").ask(request)
    assert (cost["reached"], cost["stops"]) == (1_200, 400)
    assert list(cost["us"]) == ["1000"]
    assert cost["us"]["1000"] > 0
    slow = scripted("slow").ask(request)
    assert list(slow["us"]) == ["1000"]
    assert slow["reached"] == 1_200
    assert scripted("third").ask(request | {"seconds": 0.0})["reached"] == 1


def test_a_python_that_nobody_has_is_named() -> None:
    """A rival that needs a newer Python than there is cannot be installed, and the reason says which it needs."""
    rival = LIST.Rival("future", "drive_future.py", ("defaults",), "", ("future==1",), (3, 99))
    with pytest.raises(RUN.BrokenError, match=r"needs Python 3\.99"):
        RUN.python_for(rival)


def test_what_pip_cannot_install_is_named(tmp_path: Path) -> None:
    """A requirement that does not exist breaks the row, without a path of this machine in the reason."""
    rival = LIST.Rival("gone", "drive_gone.py", ("defaults",), "", ("./gone-1.0-py3-none-any.whl",))
    with pytest.raises(RUN.BrokenError, match="pip cannot install") as raised:
        RUN.install(rival, tmp_path)
    assert str(tmp_path) not in str(raised.value)
    assert (tmp_path / "gone-pip.log").stat().st_size > 0
    assert not (tmp_path / "gone" / "installed.txt").exists()


def test_scenarios_with_caps_are_left_out_by_name() -> None:
    """What only a cap of the user's own can decide is not held against anybody, and is named."""
    conversations, left_out = RUN.conversations_in(ROOT / "scenarios", limit=1)
    groups = {one.group for one in conversations}
    assert "AB601-message-budget" in left_out
    assert not groups & set(left_out)
    assert groups | set(left_out) == {path.parent.name for path in (ROOT / "scenarios").glob("*/scenario.toml")}
    assert len(conversations) == len(groups)


def test_every_driver_belongs_to_a_rival() -> None:
    """Each rival has its driver, each driver its rival, and each requirement its version."""
    assert {one.driver for one in LIST.RIVALS} == {path.name for path in DRIVERS.glob("drive_*.py")}
    assert len({one.name for one in LIST.RIVALS}) == len(LIST.RIVALS)
    for rival in LIST.RIVALS[1:]:
        assert all("==" in requirement for requirement in rival.requirements), rival.name
        source = (DRIVERS / rival.driver).read_text("utf-8")
        assert all(f'"{mode}"' in source for mode in rival.modes), rival.name
        # It runs in the rival's environment, where we are not; one rival has our name.
        assert rival.name == "agentbreaker-sdk" or "agentbreaker" not in source


def test_the_stored_page_says_what_the_stored_figures_say() -> None:
    """``rivals.md`` is the page of ``rivals.json``, which holds every rival, measured or with a reason."""
    result = json.loads((RESULTS / "rivals.json").read_text("utf-8"))
    assert (RESULTS / "rivals.md").read_text("utf-8") == PAGE.page(result)
    told = {row["name"] for row in result["rows"]} | {one["name"] for one in result["unavailable"]}
    assert told == {one.name for one in LIST.RIVALS}
    assert result["limit"] is None
    assert all(one["reason"] for one in result["unavailable"])


def row(name: str, caught: int, halted: int, ratio: float) -> dict[str, Any]:
    """A row of the table: so many of four runaways in their window, so many of four legitimate ones halted."""
    group = {"total": 4, "in_window": caught, "sooner": 0, "late": 0, "early": 0, "missed": 4 - caught}
    cost = {"us": {"1000": 2.0, "10000": 3.0}, "latest_us": 3.0, "reached": 10_000, "stops": 0, "ratio": ratio}
    return {
        "name": name,
        "mode": "defaults",
        "version": "1",
        "mapping": "as it is",
        "runaways": {"AB101": group},
        "legitimate": {"legitimate-talk": {"total": 4, "halted": halted}},
        "errors": {},
        "cost": cost,
    }


def result(*rows: dict[str, Any]) -> dict[str, Any]:
    """Everything that a page says, made up."""
    head = dict.fromkeys(("date", "machine", "python", "agentbreaker", "kernel", "command"), "x")
    numbers = dict.fromkeys(("conversations", "runaways", "cost_messages", "cost_characters", "cost_seconds"), 8)
    gone = [{"name": "gone", "mode": "all", "reason": "pip cannot install it"}]
    return head | numbers | {"left_out": {}, "rows": list(rows), "unavailable": gone, "changes": None}


def test_the_page_shows_where_a_rival_is_ahead_and_who_is_missing() -> None:
    """A rival that catches more, disturbs less or costs less is named for it, and one that was not measured too."""
    text = PAGE.page(result(row(LIST.OURS, 2, 1, 1.0), row("better", 3, 0, 0.5), row("worse", 1, 2, 2.0)))
    ahead = text.partition("## Where a rival is ahead of us")[2].partition("##")[0]
    assert "AB101: better, defaults halts 3 of 4 in time, we 2" in ahead
    assert "Fewer legitimate conversations halted than by us: better, defaults." in ahead
    assert "better, defaults (0.50)" in ahead
    assert "worse" not in ahead
    assert "- gone (all): pip cannot install it." in text


def test_regressions_are_told() -> None:
    """What is worse than in the stored results stands in the new ones."""
    told = list(PAGE.changes(result(row(LIST.OURS, 1, 2, 1.0)), result(row(LIST.OURS, 2, 1, 1.0))))
    assert told == [
        "- agentbreaker, defaults: runaways halted in time: 2 before, 1 now.",
        "- agentbreaker, defaults: legitimate conversations halted: 1 before, 2 now.",
    ]


def test_the_document_has_a_row_a_line() -> None:
    """The stored JSON is what was measured, with a line for every row of the table."""
    made = result(row(LIST.OURS, 2, 1, 1.0), row("other", 1, 1, 2.0))
    text = RIVALS.document(made)
    assert json.loads(text) == made
    assert [line.strip().startswith('{"name"') for line in text.splitlines()].count(True) == 2


def test_a_cost_that_cannot_be_measured_keeps_the_row(tmp_path: Path) -> None:
    """A rival that fails on the cost transcript keeps what it did on the scenarios, and the page says why."""
    broken = row("agent-watchdog", 1, 1, 2.0)
    broken["mode"] = "defaults"
    RIVALS.weigh_all([broken], {"agent-watchdog": sys.executable}, tmp_path, 1.0)
    assert broken["cost"] is None
    assert "ended with code 1" in broken["errors"]["cost"]
    assert "agent-watchdog, defaults | 1 | 1 of 4" in PAGE.page(result(broken))


def test_the_rivals_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    """``--list`` names each with its version, and installs nothing."""
    assert RIVALS.main(["--list"]) == 0
    listed = capsys.readouterr().out.splitlines()
    assert len(listed) == len(LIST.RIVALS)
    assert "longguard==0.1.4: defaults, caps lifted" in listed


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--write", "--limit", "3"], "a part of the table is not stored"),
        (["--cost", "--only", "longguard"], "a part of the table is not stored"),
        (["--only", "nobody"], "no such rival: nobody; --list names them"),
    ],
)
def test_a_part_is_not_stored_and_nobody_is_not_driven(
    arguments: list[str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A part of the table cannot replace the whole, and a name that is none is an error that says so."""
    with pytest.raises(SystemExit) as raised:
        RIVALS.main(arguments)
    assert raised.value.code == 2
    assert reason in capsys.readouterr().err
