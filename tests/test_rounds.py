"""Tool rounds: a call and its result are judged together, as a guard meets them and one by one."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentbreaker import Action, Decision, Guard, Message, Tool
from agentbreaker.observation import Observation, Round
from agentbreaker.rounds import Rounds
from agentbreaker.text import Recent, analyse
from agentbreaker.verdict import ALLOW


class Bench:
    """Rounds of their own, fed with real messages."""

    def __init__(self) -> None:
        self.rounds = Rounds(Recent(192))

    def call(self, arguments: object, call_id: str | None = None) -> Round:
        """Take in a call."""
        message = Message("c", "agent", "api", "tool_call", tool=Tool("api", call_id, arguments))
        seen = Observation()
        self.rounds.call(message, analyse(message), seen)
        return seen.round

    def result(self, result: str, call_id: str | None = None, *, info: float = 0.0, is_error: bool = False) -> Round:
        """Take in a result that tells so much new."""
        tool = Tool("api", call_id, result=result, is_error=is_error)
        message = Message("c", "api", "agent", "tool_result", tool=tool)
        seen = Observation()
        seen.info = info
        self.rounds.result(message, analyse(message), seen)
        return seen.round

    def both(self, arguments: object, result: str, *, info: float = 0.0, is_error: bool = False) -> Round:
        """Take in a call and its result."""
        self.call(arguments)
        return self.result(result, info=info, is_error=is_error)


def both(guard: Guard, arguments: object, result: str) -> Decision:
    """One round of an agent with its tool."""
    guard.observe(Message("c", "agent", "api", "tool_call", tool=Tool("api", arguments=arguments)))
    return guard.observe(Message("c", "api", "agent", "tool_result", tool=Tool("api", result=result)))


def halted_after(arguments: object, result: str, *, most: int = 100) -> int | None:
    """Rounds after which a guard halts an agent that gets the same answer to the same call each time."""
    guard = Guard()
    for number in range(1, most + 1):
        if not both(guard, arguments, result).allowed:
            return number
    return None


#: What a call may bear that makes no other call of it, and what does.
_NONCES = ("xqzvkjwp", "9f3ac04e77d1", "4bf92f3577b34da6a3ce929d0e0e4736", "09:15:33", "09:15:33.120345")
_FACTS = ("2026-03-04", "1002", "9743693396", "HAT083", "Juist", "#W5442520", "09:15")


@pytest.mark.parametrize("note", _NONCES)
def test_a_nonce_in_a_call_makes_no_other_call(note: str) -> None:
    """Random letters, hashes and the time of day: the same call with the same result is an exact repeat."""
    bench = Bench()
    answer = "The ferry to Borkum leaves from Emden, and the crossing takes about two hours"
    assert bench.both({"route": "Borkum", "note": "zkqxvbnm 1c9e4d77aa02 08:01:02"}, answer, info=9.0) is Round.PROGRESS
    assert bench.both({"route": "Borkum", "note": note}, answer) is Round.EXACT_REPEAT


@pytest.mark.parametrize("fact", _FACTS)
def test_what_people_ask_by_makes_another_call(fact: str) -> None:
    """A date, a number of any length, a part number, a name: the same answer once more is no repeat."""
    bench = Bench()
    bench.both({"route": "Borkum", "of": "Norderney"}, "The ferry takes cars and bicycles in summer", info=9.0)
    again = bench.both({"route": "Borkum", "of": fact}, "The ferry takes cars and bicycles in summer")
    assert again in (Round.PROGRESS, Round.NEUTRAL)


def test_a_telling_answer_to_a_counter_again_and_again() -> None:
    """A number goes on, a whole answer stays: from the third time on it is a near repeat; a receipt never is."""
    bench, batch = Bench(), Bench()
    answer = "Wim Petrov found that the vendor sent September again without the version column"
    worths = [bench.both({"query": "vendor", "try": number}, answer) for number in range(1, 6)]
    assert worths == [Round.PROGRESS, Round.NEUTRAL, *[Round.NEAR_REPEAT] * 3]
    receipts = [batch.both({"file": number}, "The file was stored in the archive") for number in range(1, 40)]
    assert Round.NEAR_REPEAT not in receipts


def test_another_answer_in_between_begins_anew() -> None:
    """Two queries by turns, each with an answer of its own: nothing comes again at once."""
    bench = Bench()
    answers = (
        "Wim Petrov found that the vendor sent September again without the version column",
        "Leila looked at the outlier filter, which counted robots as visitors since April",
    )
    for number in range(1, 12):
        worth = bench.both({"query": "vendor" if number % 2 else "filter", "try": number}, answers[number % 2])
        assert worth in (Round.PROGRESS, Round.NEUTRAL)


def test_a_retry_that_succeeds_has_recovered() -> None:
    """The same call fails twice and succeeds: trying again was right, even if the same success was seen before."""
    bench = Bench()
    order = {"order": "Borkum"}
    bench.both({"order": "Juist"}, "Accepted by the ferry office", info=9.0)
    assert bench.both(order, "Error: connection refused", info=9.0) is Round.PROGRESS
    assert bench.both(order, "Error: connection refused") is Round.TRANSIENT
    assert bench.both(order, "Accepted by the ferry office") is Round.RECOVERED


def test_a_recovery_clears_the_evidence() -> None:
    """Three failures, one success, three failures, again and again: never halted; without the success it is."""
    guard = Guard()
    for number in range(12):
        hall = f"hall {number * 37 + 11}"
        for _ in range(3):
            assert both(guard, {"weigh": hall}, "Error: scale is offline, permission denied").allowed
        assert both(guard, {"weigh": hall}, "Weighed.").action is Action.ALLOW
    assert halted_after({"weigh": "hall 11"}, "Error: scale is offline, permission denied") is not None


@pytest.mark.parametrize(
    "failure",
    [
        "HTTP 503 Service Unavailable",
        "Error 429: too many requests",
        "Request timed out",
        "错误:请求超时",
        "请求失败,服务繁忙,请稍后重试",
    ],
)
def test_a_transient_failure_weighs_less_than_a_permanent_one(failure: str) -> None:
    """What may pass by itself is tried for longer, in English and Chinese, and halted in the end."""
    permanent = halted_after({"id": 7}, "Error: permission denied")
    transient = halted_after({"id": 7}, failure)
    assert permanent is not None
    assert transient is not None
    assert permanent < transient <= 2 * permanent


def test_waiting_weighs_least() -> None:
    """A poll that is told to wait is left alone far longer than one that fails, and not for ever."""
    waiting = halted_after({"job": "exp-88"}, '{"state": "queued"}')
    failing = halted_after({"job": "exp-88"}, "HTTP 503 Service Unavailable")
    assert waiting is not None
    assert failing is not None
    assert waiting > 4 * failing


def test_a_request_id_and_a_clock_make_no_new_result() -> None:
    """The same call with the same answer but for the id of the request and the time is evidence, and is halted."""
    guard = Guard()
    decisions = []
    for number in range(12):
        answer = {
            "plan": "basic",
            "request_id": f"{number * 0x1F3D5B79 + 0xA1B2C3D4:08x}-4c1e-4f6a-9b7d-{number * 7919 + 10**11:012x}",
            "at": f"2026-03-04T09:{number * 4 + 3:02d}:{number * 5 + 1:02d}Z",
        }
        decisions.append(both(guard, {"id": 7}, json.dumps(answer)))
    assert decisions[2].action is Action.ALLOW
    assert (decisions[-1].action, decisions[-1].code) == (Action.HALT, "AB302")


@pytest.mark.parametrize(
    ("results", "expected"),
    [
        (["Berth 40, pallet 7", "Berth 80, pallet 7"], Round.CHANGED_FIGURES),
        (["Berth 40", "Berth 41"], Round.NEAR_REPEAT),
        (["Berth 40", "Berth 80", "Berth 40 "], Round.EXACT_REPEAT),
        (["Read 1f3d5b79a1", "Read 9c2e7d41b8"], Round.NEAR_REPEAT),
        (["Read at 09:10:11", "Read at 10:20:33"], Round.NEAR_REPEAT),
        (["Job running, step 40", "Job running, step 41"], Round.CHANGED_FIGURES),
        (["Job running at 09:10:11", "Job running at 10:20:33"], Round.WAITING),
    ],
)
def test_a_figure_that_moves_is_no_repeat(results: list[str], expected: Round) -> None:
    """Only clocks, identifiers and counters are, even where the figure itself was heard before and tells nothing."""
    bench = Bench()
    assert [bench.both({"id": 7}, result) for result in results][-1] is expected


def test_a_poll_whose_progress_comes_to_known_figures_goes_on() -> None:
    """All figures of a poll were said before it began: that they move is no evidence, nor is the job next to it."""
    guard = Guard()
    plan = " ".join(str(percent) for percent in range(0, 101, 5))
    guard.observe(Message("c", "agent", content=f"Steps of the export to Antwerp: {plan}"))
    for percent in range(5, 101, 5):
        assert both(guard, {"job": "a"}, json.dumps({"progress": percent})).action is Action.ALLOW
        assert both(guard, {"job": "b"}, json.dumps({"progress": 105 - percent})).action is Action.ALLOW


def test_a_new_call_with_the_same_silent_success_is_no_evidence() -> None:
    """Different work that is acknowledged without a word goes on for as long as it likes."""
    guard = Guard()
    crops = ["rye", "spelt", "oats", "barley", "lentils", "flax", "hemp", "millet", "teff", "lupins"]
    for result in ("", "ok"):
        for crop in crops:
            assert both(guard, {"sow": crop}, result).action is Action.ALLOW
    bench = Bench()
    assert [bench.both({"sow": crop}, "") for crop in crops] == [Round.PROGRESS] * len(crops)
    assert bench.both({"sow": crops[0]}, "") is Round.SILENT_REPEAT


def test_a_silent_result_without_a_call_is_no_evidence() -> None:
    """Where calls are not on record, an answer that only says that something has run is neither news nor repetition."""
    bench = Bench()
    worth = []
    for _ in range(3):
        worth.append(bench.result("exit code: 0 (execution succeeded)\nOutput: "))
        bench.result("Crate 12 is aboard", info=9.0)
    assert worth == [Round.PROGRESS, Round.NEUTRAL, Round.NEUTRAL]


def test_the_same_result_without_any_call_is_told() -> None:
    """Where neither calls nor words are on record, the same result again says so itself."""
    bench = Bench()
    assert [bench.result("Plan: basic") for _ in range(3)] == [
        Round.PROGRESS,
        Round.SAME_RESULT,
        Round.SAME_RESULT,
    ]


def test_calls_that_are_never_answered_repeat() -> None:
    """The same call while it still waits for its first result is a repeat; another one is not."""
    bench = Bench()
    assert [bench.call({"id": 7}), bench.call({"id": 7}), bench.call({"id": 8})] == [
        Round.NONE,
        Round.EXACT_REPEAT,
        Round.NONE,
    ]


def test_the_same_test_after_each_change_is_no_repeat() -> None:
    """Results are not on record: a call that was made before is a repeat only if no other was new since."""
    bench = Bench()
    worths = []
    for crop in ("rye", "spelt", "oats", "barley", "lentils"):
        worths.append(bench.call(f"sow {crop} in the upper field"))
        worths.append(bench.call("measure what the field has yielded"))
    assert Round.EXACT_REPEAT not in worths
    assert worths[-2] is Round.PROGRESS
    assert bench.call("measure what the field has yielded") is Round.EXACT_REPEAT
    assert bench.call("sow rye in the upper field") is Round.EXACT_REPEAT


def test_calls_that_say_next_to_nothing_are_no_evidence() -> None:
    """A recording that lost its calls' words, too, holds nothing against anybody."""
    bench = Bench()
    assert {bench.call("") for _ in range(40)} == {Round.NONE}


def test_a_record_with_results_does_not_judge_calls() -> None:
    """Once a result was seen, what a call brings is told by its result."""
    bench = Bench()
    bench.both("sow rye in the upper field", "sown")
    assert {bench.call(f"sow {crop} in the lower field") for crop in ("oats", "flax", "hemp", "teff")} == {Round.NONE}


def test_results_find_their_calls_by_id() -> None:
    """Answers in another order than the calls belong to the call whose id they carry."""
    bench = Bench()
    for _ in range(2):
        bench.call({"port": "Narvik"}, "n")
        bench.call({"port": "Bodø"}, "b")
        worth = bench.result("fog", "b"), bench.result("sun", "n")
    assert worth == (Round.EXACT_REPEAT, Round.NEUTRAL), "two results of one batch are one repeat"


def test_an_error_flag_is_a_failure_whatever_the_text_says() -> None:
    """The framework says that the call failed: another call with the same words is a stale failure."""
    bench = Bench()
    bench.both({"q": "ferry"}, "Oh dear", info=9.0, is_error=True)
    assert bench.both({"q": "barge"}, "Oh dear", is_error=True) is Round.STALE_FAILURE


_EVENTS = st.lists(
    st.tuples(st.sampled_from(["call", "result", "hear", "answer"]), st.text(max_size=40), st.sampled_from("abc")),
    max_size=60,
)


@given(_EVENTS)
def test_any_order_of_anything_is_taken(events: list[tuple[str, str, str]]) -> None:
    """Calls, results and words in any order, of any text, never raise, and are worth something that is defined."""
    rounds = Rounds(Recent(192))
    for what, content, speaker in events:
        message = Message("c", speaker, content=content)
        text, seen = analyse(message), Observation()
        if what == "call":
            rounds.call(message, text, seen)
        elif what == "result":
            rounds.result(message, text, seen)
        elif what == "answer":
            rounds.answer(message, text, seen)
        else:
            rounds.hear(speaker, text.fingerprint, text.masked)
        assert seen.round in Round


def test_of_results_two_with_256_figures_are_kept() -> None:
    """The bounds are reached, and not passed."""
    bench = Bench()
    for number in range(4):
        bench.both({"id": number}, " ".join(str(1000 + number + 37 * figure) for figure in range(400)))
    assert [len(kept) for kept in bench.rounds._figures] == [256, 256]


@settings(deadline=None)
@given(st.integers(0, 100), st.integers(0, 300))
def test_memory_is_bounded(calls: int, figures: int) -> None:
    """Of calls that nobody answers the latest 64 are kept, and of results two with 256 figures each."""
    bench = Bench()
    for number in range(calls):
        bench.call({"id": number}, str(number))
        bench.call({"id": number})
        bench.result(" ".join(str(1000 + number + 37 * figure) for figure in range(figures)), str(number))
    assert len(bench.rounds._pending or ()) <= 64
    assert len(bench.rounds._figures) <= 2
    assert all(len(kept) <= 256 for kept in bench.rounds._figures)


def test_a_guard_starts_with_no_evidence() -> None:
    """The helper of this file would notice a guard that halts everything, or nothing."""
    assert both(Guard(), {"id": 7}, "Plan: basic") is ALLOW
    assert halted_after({"id": 7}, "Plan: basic") == 5
