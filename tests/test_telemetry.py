"""The events: silent by default, one line each, without content, and never in the way."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from agentbreaker.telemetry import LOGGER_NAME, Telemetry
from agentbreaker.verdict import ALLOW, Action, Decision, State, Transition

ROOT = Path(__file__).resolve().parents[1]
HOSTILE = "run-7\n2026-01-01 ERROR forged\x1b[31m\u202e\u2028\ud800"
HALT = Decision(Action.HALT, code="AB201", score=0.93, reason="12 messages with nothing new", generation=1)
OPENED = Transition("run-7", State.CLOSED, State.OPEN, 1, 12.5, "12 messages with nothing new", code="AB201")


class Capture(logging.Handler):
    """A handler of the application that keeps the records and the lines."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    def facts(self, index: int = -1) -> dict[str, object]:
        """The facts of one record, without what ``logging`` adds itself."""
        standard = vars(logging.makeLogRecord({}))
        return {name: value for name, value in vars(self.records[index]).items() if name not in standard}

    def events(self) -> list[str]:
        """Names of the events, in order."""
        return [record.getMessage() for record in self.records]


@pytest.fixture
def capture() -> Iterator[Capture]:
    """An application that listens to everything."""
    logger = logging.getLogger(LOGGER_NAME)
    handler = Capture()
    level, logger.propagate = logger.level, False
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    yield handler
    logger.removeHandler(handler)
    logger.setLevel(level)
    logger.propagate = True


def test_silent_until_the_application_listens() -> None:
    """Without a handler nothing is printed, and structlog is not even imported."""
    program = """
import sys
from agentbreaker.telemetry import Telemetry
from agentbreaker.verdict import Action, Decision, State, Transition
telemetry = Telemetry()
telemetry.emit_decision("c", Decision(Action.HALT, code="AB201"), ["AB201"])
telemetry.emit_transition(Transition("c", State.CLOSED, State.OPEN, 1, 0.0, ""))
telemetry.emit_failure("detector_raised", ValueError("secret"))
telemetry.emit_policy_loaded("default")
assert "structlog" not in sys.modules
assert telemetry.failures == {"detector_raised": 1}
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_trip_is_told_with_its_facts(capture: Capture) -> None:
    """A halt becomes one record, its name the message and its facts attributes."""
    Telemetry().emit_decision("run-7", HALT, ["AB201", "AB401"])
    assert capture.events() == ["agentbreaker.breaker.tripped"]
    assert capture.records[0].levelno == logging.ERROR
    facts = capture.facts()
    assert facts["gen_ai.conversation.id"] == "run-7"
    assert facts["agentbreaker.detector"] == "AB201"
    assert facts["agentbreaker.detectors"] == ("AB201", "AB401")
    assert facts["agentbreaker.action"] == "halt"
    assert facts["agentbreaker.score"] == 0.93
    assert facts["agentbreaker.reason"] == "12 messages with nothing new"


@pytest.mark.parametrize(
    ("decision", "expected"),
    [
        (ALLOW, []),
        (Decision(Action.WARN), ["agentbreaker.loop.warned"]),
        (Decision(Action.STEER), ["agentbreaker.loop.warned"]),
        (Decision(Action.FINISH), ["agentbreaker.breaker.tripped"]),
        (Decision(Action.HALT), ["agentbreaker.breaker.tripped"]),
        (Decision(Action.ALLOW, shadow=True, would=Action.HALT), ["agentbreaker.loop.warned"]),
    ],
)
def test_each_rung_has_its_event(capture: Capture, decision: Decision, expected: list[str]) -> None:
    """Passing is not told; a halt withheld in shadow mode is a warning and no trip."""
    Telemetry().emit_decision("run-7", decision)
    assert capture.events() == expected


def test_a_transition_is_told(capture: Capture) -> None:
    """Both states and the person who asked for it are facts."""
    Telemetry().emit_transition(Transition("run-7", State.OPEN, State.CLOSED, 2, 9.0, "resumed", by="ops@example.org"))
    assert capture.events() == ["agentbreaker.breaker.state_changed"]
    facts = capture.facts()
    assert (facts["agentbreaker.previous_state"], facts["agentbreaker.state"]) == ("open", "closed")
    assert facts["agentbreaker.by"] == "ops@example.org"


def test_a_policy_is_told(capture: Capture) -> None:
    """The policy that took effect is named with its file."""
    Telemetry().emit_policy_loaded("strict", "agentbreaker.toml")
    assert capture.facts()["agentbreaker.policy"] == "strict"
    assert capture.facts()["agentbreaker.source"] == "agentbreaker.toml"


def test_a_failure_is_told_without_its_text(capture: Capture) -> None:
    """The text of an exception may quote a message; the log gets its type only."""
    Telemetry().emit_failure("detector_raised", ValueError("the customer's secret"))
    assert capture.events() == ["agentbreaker.failure"]
    assert capture.facts()["agentbreaker.error_type"] == "builtins.ValueError"
    assert capture.facts()["agentbreaker.condition"] == "detector_raised"
    assert "secret" not in repr(vars(capture.records[0]))
    assert capture.records[0].exc_info is None


def test_a_failure_that_repeats_does_not_flood(capture: Capture) -> None:
    """A thousand failures are ten events and an exact count."""
    telemetry = Telemetry()
    for _ in range(1000):
        telemetry.emit_failure("detector_raised", ValueError())
    assert telemetry.failures == {"detector_raised": 1000}
    assert [capture.facts(index)["agentbreaker.count"] for index in range(len(capture.records))] == [
        2**power for power in range(10)
    ]


def test_hostile_names_stay_on_one_line(capture: Capture) -> None:
    """Ids, reasons, names of people and codes from outside cannot forge a line or colour a terminal."""
    telemetry = Telemetry()
    telemetry.emit_decision(HOSTILE, Decision(Action.WARN, code=HOSTILE, reason=HOSTILE), [HOSTILE])
    telemetry.emit_transition(Transition(HOSTILE, State.CLOSED, State.OPEN, 1, 0.0, HOSTILE, code=HOSTILE, by=HOSTILE))
    telemetry.emit_failure(HOSTILE, type(HOSTILE[:20], (Exception,), {})())
    telemetry.emit_policy_loaded(HOSTILE, HOSTILE)
    assert len(capture.records) == 4
    for index in range(4):
        line = " ".join(f"{name}={value}" for name, value in capture.facts(index).items())
        assert len(line.splitlines()) == 1
        assert "\x1b" not in line
        line.encode("utf-8")
    assert telemetry.failures == {HOSTILE: 1}


@given(text=st.text(st.characters(), max_size=400))
def test_any_id_becomes_one_line_of_json(text: str) -> None:
    """Whatever the id of a conversation is, a JSON formatter writes one line of bounded length."""
    logger = logging.getLogger(LOGGER_NAME)
    handler = Capture()
    logger.addHandler(handler)
    try:
        Telemetry().emit_decision(text, HALT)
    finally:
        logger.removeHandler(handler)
    line = json.dumps(handler.facts(), ensure_ascii=False)
    assert len(line.splitlines()) == 1
    assert len(line) < 2000


def test_numbers_that_json_cannot_hold_become_text(capture: Capture) -> None:
    """An endless wait is the text ``inf``, so that strict JSON formatters survive it."""
    Telemetry().emit_decision("run-7", Decision(Action.HALT, retry_after=float("inf")))
    assert capture.facts()["agentbreaker.retry_after"] == "inf"
    json.dumps(capture.facts(), allow_nan=False)


class Broken(logging.Filter):
    """A filter of the application with a defect: it raises out of the logging call."""

    def filter(self, record: logging.LogRecord) -> bool:
        raise RuntimeError("log collector is down")


def test_a_broken_log_never_reaches_the_caller(capture: Capture) -> None:
    """What the application's logging raises is counted and contained."""
    telemetry = Telemetry()
    logger = logging.getLogger(LOGGER_NAME)
    broken = Broken()
    logger.addFilter(broken)
    try:
        telemetry.emit_transition(OPENED)
        telemetry.emit_decision("run-7", HALT, ["AB201"])
        telemetry.emit_failure("detector_raised", ValueError())
        telemetry.emit_policy_loaded("default")
    finally:
        logger.removeFilter(broken)
    assert telemetry.failures == {"telemetry": 4, "detector_raised": 1}
    assert capture.records == []


def test_arguments_of_the_wrong_type_are_contained(capture: Capture) -> None:
    """An integration that passes nonsense costs an event, not the conversation."""

    class Hostile:
        """An id that cannot be written."""

        def __str__(self) -> str:
            raise RuntimeError("no")

    telemetry = Telemetry()
    telemetry.emit_decision(Hostile(), HALT)  # type: ignore[arg-type]
    telemetry.emit_decision(7, HALT)  # type: ignore[arg-type]
    assert telemetry.failures == {"telemetry": 1}
    assert capture.facts()["gen_ai.conversation.id"] == 7


def test_an_interrupt_is_not_contained(capture: Capture) -> None:
    """Control-C during logging ends the program, as it must."""

    def interrupt(record: logging.LogRecord) -> bool:
        raise KeyboardInterrupt

    logger = logging.getLogger(LOGGER_NAME)
    logger.addFilter(interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            Telemetry().emit_transition(OPENED)
    finally:
        logger.removeFilter(interrupt)


def test_the_level_of_the_application_counts(capture: Capture) -> None:
    """An application that wants errors only gets errors only."""
    logging.getLogger(LOGGER_NAME).setLevel(logging.ERROR)
    telemetry = Telemetry()
    telemetry.emit_transition(OPENED)
    telemetry.emit_decision("run-7", Decision(Action.WARN))
    telemetry.emit_decision("run-7", HALT)
    assert capture.events() == ["agentbreaker.breaker.tripped"]


def test_context_of_the_application_comes_along(capture: Capture) -> None:
    """Bound context variables are facts too, even those that ``logging`` would refuse, and are made printable."""
    with structlog.contextvars.bound_contextvars(run_id="r\n1", name="planner", exc_info=True):
        telemetry = Telemetry()
        telemetry.emit_transition(OPENED)
    assert telemetry.failures == {}
    facts = capture.facts()
    assert facts["run_id"] == "r\\n1"
    assert facts["context.name"] == "planner"
    assert capture.records[0].exc_info is None


def test_structlog_of_the_application_is_left_alone(capture: Capture) -> None:
    """Our events neither change nor follow what the application configures."""

    def explode(*_: object) -> str:
        raise AssertionError("the application's processor was used")

    before = structlog.get_config()
    structlog.configure(processors=[explode], wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        configured = structlog.get_config()
        telemetry = Telemetry()
        telemetry.emit_transition(OPENED)
        assert structlog.get_config() == configured
    finally:
        structlog.configure(**before)
    assert telemetry.failures == {}
    assert capture.events() == ["agentbreaker.breaker.state_changed"]


def test_counts_are_exact_under_threads() -> None:
    """Eight threads lose no failure."""
    telemetry = Telemetry()

    def work() -> None:
        for _ in range(500):
            telemetry.emit_failure("detector_raised", ValueError())

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert telemetry.failures == {"detector_raised": 4000}
