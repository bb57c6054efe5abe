"""The demonstration: what it shows must be true, on every machine, without a key and without a network."""

from __future__ import annotations

import importlib.util
import os
import re
import socket
import subprocess
import sys
from itertools import accumulate, cycle, islice
from pathlib import Path
from typing import Any

import pytest

from agentbreaker import demo
from agentbreaker.demo import AGENTS, Outcome, overnight, run_demo, runaway, thanks, work

ROOT = Path(__file__).resolve().parents[1]
HAS_LANGGRAPH = importlib.util.find_spec("langgraph") is not None
STAGES = [
    pytest.param(False, id="bus"),
    pytest.param(
        True, id="langgraph", marks=pytest.mark.skipif(not HAS_LANGGRAPH, reason="the langgraph extra is missing")
    ),
]
on_both_stages = pytest.mark.parametrize("use_langgraph", STAGES)
#: Messages before the first one that only thanks: the request of the user and four of work.
ONSET = 5


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any attempt to reach another machine, or to look one up, fails the test."""

    def refuse(*arguments: Any, **options: Any) -> Any:
        raise AssertionError(f"the demonstration used the network: {arguments}")

    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, refuse)
    for name in ("create_connection", "getaddrinfo", "gethostbyname"):
        monkeypatch.setattr(socket, name, refuse)


def perform(lines: Any, use_langgraph: bool) -> tuple[Outcome, list[tuple[str, str]]]:
    """Run one conversation and return how it went and what was said."""
    said: list[tuple[str, str]] = []
    outcome = run_demo(lines, "c1", lambda name, text: said.append((name, text)), use_langgraph=use_langgraph)
    return outcome, said


# ---------------------------------------------------------------------- both stages


@on_both_stages
def test_work_is_left_alone(use_langgraph: bool) -> None:
    """The agents say all they have to say, in turn, and nobody stops them."""
    outcome, said = perform(work(), use_langgraph)
    assert outcome.incident is None
    assert [text for _, text in said] == list(work())
    assert [name for name, _ in said] == [AGENTS[number % 2] for number in range(len(said))]
    assert outcome.turns == len(said)


@on_both_stages
def test_the_runaway_is_halted_within_eight_messages(use_langgraph: bool) -> None:
    """The breaker opens by AB201 soon after the work is done, and not before."""
    outcome, said = perform(runaway(), use_langgraph)
    incident = outcome.incident
    assert incident is not None
    assert incident.code == "AB201"
    assert ONSET < incident.halted_at <= ONSET + 8
    assert ONSET - 1 <= incident.began_at <= ONSET + 1
    assert set(incident.agents) == set(AGENTS)
    assert len(said) == outcome.turns
    # The request of the user is message 0, so that the last turn is the message that tripped.
    assert outcome.turns == incident.halted_at


@on_both_stages
def test_the_incident_knows_what_was_spent(use_langgraph: bool) -> None:
    """Tokens are on record, most of them spent in the loop, and no more than the agents used."""
    outcome, said = perform(runaway(), use_langgraph)
    incident = outcome.incident
    assert incident is not None
    assert 0 < incident.loop_tokens < incident.tokens <= outcome.tokens
    history, spent = len(demo._REQUEST) // 4, 0
    for _, text in said:
        spent += history + len(text) // 4
        history += len(text) // 4
    assert outcome.tokens == spent
    assert "tokens" in incident.to_text()
    assert "not on record" not in incident.to_text()


@pytest.mark.skipif(not HAS_LANGGRAPH, reason="the langgraph extra is missing")
@pytest.mark.parametrize("lines", [work, runaway])
def test_both_stages_tell_the_same_story(lines: Any) -> None:
    """On a graph or on the bus: the same words, the same tokens, the same verdict at the same message."""
    (bus, bus_said), (graph, graph_said) = perform(lines(), False), perform(lines(), True)
    assert bus_said == graph_said
    assert (bus.turns, bus.tokens) == (graph.turns, graph.tokens)
    assert (bus.incident is None) == (graph.incident is None)
    if bus.incident is not None and graph.incident is not None:
        assert (bus.incident.code, bus.incident.halted_at) == (graph.incident.code, graph.incident.halted_at)
        assert (bus.incident.tokens, bus.incident.loop_tokens) == (graph.incident.tokens, graph.incident.loop_tokens)


@on_both_stages
def test_a_guard_that_never_halts_does_not_hang_the_demonstration(
    use_langgraph: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The safety net of the demonstration ends it, although nothing is detected."""
    from agentbreaker.detectors.base import Evidence

    monkeypatch.setattr(Evidence, "add", lambda *arguments: None)
    outcome, said = perform(runaway(), use_langgraph)
    assert outcome.incident is None
    assert len(said) == 60


# ---------------------------------------------------------------------- the script


def test_thanks_never_repeat_themselves_and_never_end() -> None:
    """Far beyond what the simple phrases can be combined to there is still another way to say thank you."""
    said = list(islice(thanks(), 4000))
    assert len(set(said)) == 4000
    assert all(said)


def test_thanks_are_the_same_for_everyone() -> None:
    """The same seed gives the same words, another one gives others."""
    assert list(islice(thanks(), 200)) == list(islice(thanks(), 200))
    assert list(islice(thanks(1), 200)) == list(islice(thanks(1), 200))
    assert list(islice(thanks(1), 20)) != list(islice(thanks(2), 20))


def test_the_runaway_begins_with_work() -> None:
    """Four messages of work, then thanks."""
    assert list(islice(runaway(), 8)) == [*islice(work(), 4), *islice(thanks(), 4)]


def test_work_never_repeats_itself() -> None:
    """Otherwise it would be no example of a conversation that gets somewhere."""
    assert len(set(work())) == len(list(work())) >= 10


# ---------------------------------------------------------------------- until morning


@pytest.mark.parametrize(
    ("hours", "seconds", "window"), [(10.0, 5.0, 128_000), (0.5, 2.0, 1_000), (1.0, 3600.0, 128_000), (0.0, 5.0, 10)]
)
def test_overnight_agrees_with_a_naive_sum(hours: float, seconds: float, window: int) -> None:
    """Every turn sends the history that there is so far, cut to the window, and adds what it says."""
    sample = [len(text) // 4 for text in islice(thanks(), 200)]
    turns = int(hours * 3600 / seconds)
    outputs = [sample[number % 200] for number in range(turns)]
    history = accumulate(outputs, initial=len(demo._REQUEST) // 4)
    sent = [min(window, so_far) for so_far in islice(history, turns)]
    night = overnight(hours=hours, seconds_per_turn=seconds, context_tokens=window)
    assert night.turns == turns
    assert night.tokens == sum(sent) + sum(outputs)
    assert (night.hours, night.seconds_per_turn, night.context_tokens) == (hours, seconds, window)


def test_overnight_with_other_lines() -> None:
    """Lines of 40 characters are 10 tokens: two turns send the request, then the request and one line."""
    request = len(demo._REQUEST) // 4
    night = overnight(hours=2, seconds_per_turn=3600, lines=iter(["x" * 40] * 3))
    assert night.turns == 2
    assert night.tokens == request + (request + 10) + 20


def test_overnight_costs_what_the_price_list_says() -> None:
    """Input and output at the list price of the model that is named."""
    prices = pytest.importorskip("genai_prices")
    night = overnight(hours=1, seconds_per_turn=5)
    outputs = sum(len(text) // 4 for text in islice(cycle(list(islice(thanks(), 200))), 720))
    usage = prices.Usage(input_tokens=night.tokens - outputs, output_tokens=outputs)
    assert night.cost_usd == pytest.approx(float(prices.calc_price(usage, model_ref=demo.MODEL).total_price))
    assert night.cost_usd is not None
    assert night.cost_usd > 0


def test_overnight_without_a_price_list(monkeypatch: pytest.MonkeyPatch) -> None:
    """An unknown price is unknown, not zero."""
    monkeypatch.setitem(sys.modules, "genai_prices", None)
    assert overnight(hours=1).cost_usd is None


# ---------------------------------------------------------------------- the command


def command(tmp_path: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run ``agentbreaker demo`` as a user does."""
    kept = {name: value for name, value in os.environ.items() if name not in {"FORCE_COLOR", "TERM"}}
    path = os.pathsep.join([*filter(None, [environment.pop("PYTHONPATH", "")]), str(ROOT)])
    return subprocess.run(
        [sys.executable, "-m", "agentbreaker", "demo", *arguments],
        capture_output=True,
        text=True,
        encoding="utf-8",
        cwd=tmp_path,
        env=kept | {"PYTHONPATH": path, "COLUMNS": "100", "PYTHONIOENCODING": "utf-8"} | environment,
        timeout=120,
        check=False,
    )


@on_both_stages
def test_the_command_shows_both_conversations(tmp_path: Path, use_langgraph: bool) -> None:
    """One that is left alone, one that is halted, what it saved, and what to do next; no file is left behind."""
    done = command(tmp_path, *([] if use_langgraph else ["--bus"]))
    assert (done.returncode, done.stderr) == (0, "")
    out = done.stdout
    stage = "a compiled LangGraph" if use_langgraph else "the built-in bus"
    assert out.startswith(f"Two scripted agents on {stage}, guarded by the default policy. No key, no network.\n")
    assert re.search(r"12 messages, about 2,\d\d\d tokens: not stopped, and finished by itself\.", out)
    assert out.count("HALTED") == 1
    assert "Confirmation ping-pong: planner and reviewer" in out
    assert re.search(r"halt at message \d+, the loop began at message 5 ", out)
    assert re.search(r"^Left alone until morning: 7,200 turns, about \d{3},\d{3},\d{3} tokens", out, re.M)
    assert "agentbreaker explain AB201" in out
    assert "pip install" not in out
    assert "\x1b" not in out
    assert "\n\n\n" not in out
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("columns", ["60", "80", "120"])
def test_the_command_fits_the_terminal(tmp_path: Path, columns: str) -> None:
    """No line is longer than the terminal is wide, and the frame around the evidence is closed."""
    done = command(tmp_path, "--bus", COLUMNS=columns)
    lines = [line.rstrip() for line in done.stdout.splitlines()]
    assert max(map(len, lines)) <= int(columns)
    frame = [line for line in lines if line[:1] in "╭│╰" and line]
    assert len({len(line) for line in frame}) == 1
    assert {line[-1] for line in frame} == set("╮│╯")


BLOCKERS = {
    "missing": "raise ModuleNotFoundError(f'No module named {name!r}', name=name)",
    "broken": "raise ImportError('cannot import name of something older')",
}


@pytest.mark.parametrize("blocker", BLOCKERS.values(), ids=BLOCKERS.keys())
def test_without_langgraph_the_bus_is_the_stage_and_the_extra_is_named(tmp_path: Path, blocker: str) -> None:
    """Where LangGraph cannot be imported the demonstration runs all the same, and tells how to get it."""
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(
        "import sys\n"
        "class Block:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in {'langgraph', 'langchain_core'}:\n"
        f"            {blocker}\n"
        "sys.meta_path.insert(0, Block())\n"
    )
    done = command(tmp_path, PYTHONPATH=str(site))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Two scripted agents on the built-in bus")
    assert 'pip install "agentbreaker[langgraph]"' in done.stdout
    assert done.stdout.count("HALTED") == 1


def test_leftovers_of_langgraph_are_not_langgraph(tmp_path: Path) -> None:
    """Its client and its checkpointers live in the same namespace; with these alone the bus is the stage."""
    site = tmp_path / "site"
    (site / "langgraph").mkdir(parents=True)
    # A package of that name before the real one, without a graph in it.
    (site / "langgraph" / "__init__.py").write_text("")
    done = command(tmp_path, PYTHONPATH=str(site))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Two scripted agents on the built-in bus")
    assert 'pip install "agentbreaker[langgraph]"' in done.stdout
