"""The pytest plugin as a user runs it: in a process of its own, in a folder of its own."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.scenario_folders import quiet, runaway, save

ROOT = Path(__file__).resolve().parents[1]
INI = "[pytest]\nasyncio_default_fixture_loop_scope = function\n"
HOSTILE = "\n::stop-commands::x ##[error]z \x1b[2J"


def run_pytest(
    folder: Path, *arguments: str, ini: str = INI, path: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run pytest in a folder; `path` is where it finds modules besides."""
    (folder / "pytest.ini").write_text(ini)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-rA", *arguments]
    # Neither what this run was told nor that it is spread over processes is its child's business.
    own = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    if path is not None:
        own["PYTHONPATH"] = str(path)
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=120, env=own)


def properties(path: Path) -> dict[str, dict[str, str]]:
    """The properties of each test in a JUnit file."""
    return {
        str(case.get("name")): {str(each.get("name")): str(each.get("value")) for each in case.iter("property")}
        for case in ElementTree.parse(path).iter("testcase")  # noqa: S314 - pytest wrote it
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A test, and transcripts of a runaway and of a conversation that gets somewhere."""
    (tmp_path / "test_other.py").write_text("def test_other(): pass\n")
    usage = {"input_tokens": 100, "output_tokens": 10}
    save(tmp_path / "runs" / "a.jsonl", runaway("bad", usage=usage, cost_usd=0.1), quiet("good"))
    save(tmp_path / "runs" / "b.jsonl.gz", quiet("also-good"))
    return tmp_path


def test_each_conversation_is_a_test(folder: Path) -> None:
    """A halt fails with its evidence; what is quiet passes; other tests run as well."""
    done = run_pytest(folder, "--agentbreaker", "runs", "--junit-xml", "j.xml")
    assert done.returncode == 1, done.stdout + done.stderr
    for line in ("PASSED runs/a.jsonl::good", "PASSED runs/b.jsonl.gz::also-good", "PASSED test_other.py::test_other"):
        assert line in done.stdout
    assert "FAILED runs/a.jsonl::bad - Confirmation ping-pong: ann and bob" in done.stdout
    assert "the loop began at message 5" in done.stdout
    found = properties(folder / "j.xml")["bad"]
    assert (found["agentbreaker.detector"], found["agentbreaker.messages"]) == ("AB201", "35")
    assert float(found["agentbreaker.waste"]) > 0.8
    assert float(found["agentbreaker.cost_usd"]) == pytest.approx(3.4)


def test_they_are_selected_like_others(folder: Path) -> None:
    """By name and by marker, also with strict markers."""
    done = run_pytest(folder, "--agentbreaker", "runs", "-m", "agentbreaker", "-k", "good", "--strict-markers")
    assert done.returncode == 0, done.stdout
    assert "2 passed, 2 deselected" in done.stdout


def test_they_run_under_xdist(folder: Path) -> None:
    """Each is run once, whichever process does it, and its properties arrive."""
    done = run_pytest(folder, "--agentbreaker", "runs", "-n", "2", "--junit-xml", "j.xml")
    assert "1 failed, 3 passed" in done.stdout, done.stdout + done.stderr
    assert properties(folder / "j.xml")["bad"]["agentbreaker.halted_at"]


def test_limits_and_policy_are_options(folder: Path) -> None:
    """They hold for each conversation; the policy may stand in the ini file."""
    none = run_pytest(folder, "--agentbreaker", "runs", "--agentbreaker-fail-on", "none")
    assert none.returncode == 0, none.stdout
    limits = ["--agentbreaker-fail-on", "none", "--agentbreaker-max-waste", "10%", "--agentbreaker-max-cost", "1"]
    done = run_pytest(folder, "--agentbreaker", "runs/a.jsonl", *limits)
    assert done.returncode == 1
    assert "wasted in a loop, the limit is 10 %" in done.stdout
    assert "cost $3.4000, the limit is $1.0000" in done.stdout
    (folder / "lame.toml").write_text('[ladder]\nhalt = "off"\nfinish = "off"\n')
    ini = run_pytest(folder, "--agentbreaker", "runs", ini=INI + "agentbreaker_policy = lame.toml\n")
    assert ini.returncode == 0, ini.stdout


def test_bad_input_is_told(folder: Path) -> None:
    """A usage error names the option; a transcript that cannot be read is a test that fails with file and line."""
    for arguments in (
        ["--agentbreaker", "gone"],
        ["--agentbreaker", "runs", "--agentbreaker-max-waste", "lots"],
        ["--agentbreaker", "runs", "--agentbreaker-policy", "gone.toml"],
    ):
        done = run_pytest(folder, *arguments)
        assert done.returncode == 4, done.stdout
        assert "ERROR: " in done.stderr
        assert "Traceback" not in done.stderr
    (folder / "runs" / "cut.jsonl").write_text('{"sender": "x"}\n')
    done = run_pytest(folder, "--agentbreaker", "runs/cut.jsonl")
    assert (done.returncode, "cut.jsonl:1: conversation_id: missing" in done.stdout) == (1, True)


def test_words_of_agents_do_not_act_in_the_log(folder: Path) -> None:
    """Names and texts are no commands to a CI runner and no control codes; two ids that look alike stay two tests."""
    lines = [line | {"sender": HOSTILE + line["sender"], "content": HOSTILE} for line in runaway(HOSTILE)]
    twin = [line | {"conversation_id": HOSTILE.replace("\x1b", "\\x1b")} for line in lines]
    save(folder / "runs" / "evil.jsonl", lines, twin)
    done = run_pytest(folder, "--agentbreaker", "runs/evil.jsonl", "--junit-xml", "j.xml", "--color=no")
    assert "2 failed, 1 passed" in done.stdout
    for line in done.stdout.splitlines():
        assert not line.lstrip().startswith("::")
        assert "##[" not in line
        assert "\x1b" not in line
    assert len(properties(folder / "j.xml")) == 3


FIXTURE = '''
import pytest
from agentbreaker import Message
from agentbreaker.bus import Bus
from agentbreaker.demo import thanks, work


def team(lines):
    """Two agents on a bus that speak the lines in turn."""
    bus, lines = Bus(), iter(lines)

    def agent(name, other):
        def answer(message):
            text = next(lines, None)
            usage = __import__("agentbreaker").Usage(input_tokens=100, output_tokens=10)
            return text and Message(message.conversation_id, name, other, content=text, usage=usage, cost_usd=0.01)

        bus.register(name, answer)

    agent("ann", "bob"), agent("bob", "ann")
    return bus


FIRST = Message("c", "user", "ann", content="Plan the import.", role="user")


def test_work(agentbreaker):
    bus = team(work())
    own = bus.guard
    run = agentbreaker.run(bus, FIRST)
    run.assert_not_halted()
    run.assert_waste_at_most(0)
    run.assert_cost_at_most(1)
    run.assert_cycles_at_most(20)
    assert run.result.allowed and bus.guard is own
    assert run.messages > 8 and run.tokens == 110 * (run.messages - 1)
    assert set(run.cycles) == {("ann", "bob")}


def test_loop(agentbreaker):
    run = agentbreaker.run(team(thanks()), FIRST)
    run.assert_halted("AB201", by=20)
    assert run.halted and run.waste > 0.5
    with pytest.raises(pytest.fail.Exception, match="halted\\\\nConfirmation ping-pong: ann and bob"):
        run.assert_not_halted()
    with pytest.raises(pytest.fail.Exception, match="wasted in loops, the limit is 10 %"):
        run.assert_waste_at_most("10%")
    with pytest.raises(pytest.fail.Exception, match=r"it cost .*, the limit is .0.0100"):
        run.assert_cost_at_most(0.01)
    with pytest.raises(pytest.fail.Exception, match="more than 1 laps of\\\\n  ann > bob: "):
        run.assert_cycles_at_most(1)
    with pytest.raises(pytest.fail.Exception, match="not halted by AB101; halts: AB201 at message"):
        run.assert_halted("AB101")
    with pytest.raises(pytest.fail.Exception, match="not halted at message 1 at the latest"):
        run.assert_halted(by=1)


@pytest.mark.agentbreaker(budgets={"max_messages": 3})
def test_marker(agentbreaker):
    agentbreaker.run(team(work()), FIRST).assert_halted("AB601")


def test_function(agentbreaker):
    def talk(times, *, guard):
        for number in range(times):
            guard.check("c")
            guard.observe(Message("c", "ab"[number % 2], "ba"[number % 2], content="Great, thank you!"))
        return "done"

    assert agentbreaker.run(talk, 2).result == "done"
    run = agentbreaker.run(talk, times=40)
    run.assert_halted()
    assert run.result is None


def test_another_halt_is_not_ours(agentbreaker):
    from agentbreaker import ConversationHalted, Guard

    def other():
        guard = Guard()
        guard.force_open("elsewhere", "by hand")
        guard.check("elsewhere")

    with pytest.raises(ConversationHalted):
        agentbreaker.run(other)


def test_what_cannot_be_run(agentbreaker):
    async def coroutine():
        pass

    with pytest.raises(TypeError, match="arun"):
        agentbreaker.run(coroutine)
    with pytest.raises(TypeError, match="cannot run int"):
        agentbreaker.run(3)


@pytest.mark.asyncio
async def test_async(agentbreaker):
    (await agentbreaker.arun(team(thanks()), FIRST)).assert_halted()


def test_unpriced(agentbreaker):
    from agentbreaker.pricing import Pricing
    from agentbreaker import Usage

    bill = Pricing().bill("nobody-knows-this", Usage(input_tokens=5))
    run = agentbreaker.run(lambda guard: guard.observe(Message("c", "a", "b", content="x", usage=bill)))
    with pytest.raises(pytest.fail.Exception, match="the cost is not known: 5 of 5 tokens have no price"):
        run.assert_cost_at_most(1)
'''


def test_the_fixture_runs_teams_and_functions(tmp_path: Path) -> None:
    """Each of these tests of a user passes, and its figures are properties."""
    (tmp_path / "test_user.py").write_text(FIXTURE)
    done = run_pytest(tmp_path, "--junit-xml", "j.xml")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "8 passed" in done.stdout
    found = properties(tmp_path / "j.xml")
    assert found["test_loop"]["agentbreaker.halts"] == "1"
    assert float(found["test_loop"]["agentbreaker.waste"]) > 0.5
    assert int(found["test_work"]["agentbreaker.most_laps"]) > 1
    assert found["test_what_cannot_be_run"] == {}


GRAPH = """
import asyncio
from itertools import count

import pytest
from langchain_core.messages import AIMessage
from langgraph.graph import START, MessagesState, StateGraph

from agentbreaker.demo import thanks


def graph():
    lines = thanks()

    def speak(state):
        return {"messages": [AIMessage(next(lines))]}

    builder = StateGraph(MessagesState)
    builder.add_node("ann", speak)
    builder.add_node("bob", speak)
    builder.add_edge(START, "ann")
    builder.add_edge("ann", "bob")
    builder.add_edge("bob", "ann")
    return builder.compile()


INPUT = {"messages": [("user", "Plan the import.")]}


def test_graph(agentbreaker):
    run = agentbreaker.run(graph(), INPUT)
    run.assert_halted()
    assert len(run.result["messages"]) > 3
    with pytest.raises(pytest.fail.Exception, match="ann > bob"):
        run.assert_cycles_at_most(0)


def test_graph_async(agentbreaker):
    asyncio.run(agentbreaker.arun(graph(), INPUT)).assert_halted()


def test_graph_in_a_function(agentbreaker):
    agentbreaker.run(lambda: graph().invoke(INPUT, {"recursion_limit": 200})).assert_halted()


def test_guarded(agentbreaker):
    from agentbreaker.integrations.langgraph import guard_graph

    with pytest.raises(TypeError, match="give the graph that it was made of"):
        agentbreaker.run(guard_graph(graph()), INPUT)
"""


def test_the_fixture_runs_graphs(tmp_path: Path) -> None:
    """A compiled LangGraph graph, synchronous or not, and one that runs somewhere inside a function."""
    pytest.importorskip("langgraph")
    (tmp_path / "test_user.py").write_text(GRAPH)
    done = run_pytest(tmp_path, "-W", "ignore")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 passed" in done.stdout


AUTOGEN = """
import asyncio
from itertools import count

import pytest
from autogen_agentchat.conditions import MaxMessageTermination
from autogen_agentchat.teams import RoundRobinGroupChat

from tests.integrations.autogen_teams import Model, forever, two


def team():
    return RoundRobinGroupChat(two(Model(forever())), termination_condition=MaxMessageTermination(60))


def test_team(agentbreaker):
    run = agentbreaker.run(team(), task="Plan the import.")
    run.assert_halted(by=20)
    assert "[agentbreaker]" in run.result.stop_reason
    assert run.tokens > 0 and run.waste > 0.3
    with pytest.raises(pytest.fail.Exception, match="laps of"):
        run.assert_cycles_at_most(1)
    with pytest.raises(pytest.fail.Exception, match="wasted in loops"):
        run.assert_waste_at_most("10%")


def test_team_twice(agentbreaker):
    one = RoundRobinGroupChat(two(Model(forever())), termination_condition=MaxMessageTermination(3))
    for more in (3, 6):
        run = agentbreaker.run(one, task="Plan the import.")
    run.assert_not_halted()


@pytest.mark.asyncio
async def test_team_async(agentbreaker):
    (await agentbreaker.arun(team(), task="Plan the import.")).assert_halted()
    with pytest.raises(TypeError, match="arun"):
        agentbreaker.run(team(), task="Plan the import.")


def test_team_in_a_function(agentbreaker):
    from agentbreaker.integrations.autogen import guard_team

    def plan(*, guard):
        mine = team()
        guard_team(mine, guard)
        return asyncio.run(mine.run(task="Plan the import."))

    agentbreaker.run(plan).assert_halted()
"""

AGENT_FRAMEWORK = """
import pytest
from agent_framework import Agent

from tests.integrations.agent_framework_shapes import THANKS, Board, Client, chat_of
from tests.integrations.scripts import Script, Turn


def workflow():
    turns = tuple(Turn(("ann", "bob")[i % 2], THANKS[i % len(THANKS)]) for i in range(60))
    return chat_of(Script("thanks", ("ann", "bob"), "Plan the import.", turns, True), Board())


def test_agent(agentbreaker):
    clerk = Agent(Client(["The import is planned for Tuesday."]), name="clerk")
    run = agentbreaker.run(clerk, "Plan the import.")
    run = agentbreaker.run(clerk, "Plan the import.")
    run.assert_not_halted()
    assert run.tokens == 30
    assert "Tuesday" in run.result.text


def test_workflow(agentbreaker):
    run = agentbreaker.run(workflow(), "Plan the import.")
    run.assert_halted()
    assert run.result is not None and run.waste > 0.1
    with pytest.raises(pytest.fail.Exception, match="laps of"):
        run.assert_cycles_at_most(0)


@pytest.mark.asyncio
async def test_workflow_async(agentbreaker):
    (await agentbreaker.arun(workflow(), "Plan the import.")).assert_halted()
"""

AG2 = """
import pytest
from ag2 import Agent

from tests.integrations.ag2_agents import Model, calls


def agent():
    def look(place: str) -> str:
        "Look somewhere."
        return "nothing there"

    lines = (calls(("look", {"place": "harbour"})) for _ in range(200))
    return Agent("alice", config=Model(lines), tools=[look])


def test_agent(agentbreaker):
    run = agentbreaker.run(agent(), "Find the ship.")
    run.assert_halted()
    assert "[agentbreaker]" in str(run.result.body)


@pytest.mark.asyncio
async def test_agent_async(agentbreaker):
    (await agentbreaker.arun(agent(), "Find the ship.")).assert_halted()
"""


@pytest.mark.parametrize(
    ("framework", "text", "passed"),
    [("autogen_agentchat", AUTOGEN, 4), ("agent_framework", AGENT_FRAMEWORK, 3), ("ag2", AG2, 2)],
    ids=["autogen", "agent-framework", "ag2"],
)
@pytest.mark.parametrize("processes", ["0", "2"], ids=["alone", "xdist"])
def test_the_fixture_runs_frameworks(tmp_path: Path, framework: str, text: str, passed: int, processes: str) -> None:
    """Teams, workflows and agents of each framework, real ones with scripted models, alone and under xdist."""
    if processes != "0":
        pytest.importorskip("xdist")
    if importlib.util.find_spec(framework) is None or (framework == "ag2" and not _has_new_ag2()):
        pytest.skip(f"{framework} is not installed")
    (tmp_path / "test_user.py").write_text(text)
    spread = [] if processes == "0" else ["-n", processes]
    done = run_pytest(tmp_path, "-W", "ignore", "--junit-xml", "j.xml", *spread, path=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{passed} passed" in done.stdout
    figures = [each for each in properties(tmp_path / "j.xml").values() if each]
    assert len(figures) == passed
    assert all(int(each["agentbreaker.messages"]) > 0 for each in figures)


def _has_new_ag2() -> bool:
    return importlib.util.find_spec("ag2.network") is not None


def test_a_marker_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    """A wrong section, or a policy by position."""
    text = "import pytest\n@pytest.mark.agentbreaker({})\ndef test_it(agentbreaker): pass\n"
    for arguments, reason in (("lader={}", "did you mean 'ladder'"), ("'x.toml'", "takes policy=FILE and sections")):
        (tmp_path / "test_user.py").write_text(text.format(arguments))
        done = run_pytest(tmp_path)
        assert done.returncode == 1
        assert reason in done.stdout


def test_it_is_inert_unless_asked_for(tmp_path: Path) -> None:
    """Nothing of the package is imported by pytest itself, and its absence from the options changes nothing."""
    text = (
        "import sys\ndef test_it(): assert not [name for name in sys.modules if name.split('.')[0] == 'agentbreaker']\n"
    )
    (tmp_path / "test_user.py").write_text(text)
    done = run_pytest(tmp_path, "-p", "no:asyncio", "-p", "no:xdist", ini="[pytest]\n")
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout
