"""AB103: chains of open calls that meet themselves trip at the moment of the call, delegation that returns does not."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentbreaker import Action, Decision, Guard, Message, Policy, Tool
from agentbreaker.message import Role

OTHERS = ("AB101", "AB201", "AB301", "AB302", "AB401", "AB501", "AB502")
TASK = "Please find out why the totals of March and April differ, and say which entries are missing."


class Calls:
    """A guard in which no other detector runs, and a way to call and to answer."""

    def __init__(self, policy: Policy | None = None) -> None:
        self.guard = Guard(policy or Policy(detectors={"disable": OTHERS}))
        self.numbers = itertools.count()

    def call(self, caller: str, callee: str | None, task: str = TASK, *, below: str | None = None) -> Decision:
        """One agent calls another; the message id is the number of the call."""
        number = str(next(self.numbers))
        tool = Tool(callee or "work", number, {"task": task})
        message = Message("c", caller, callee, "tool_call", message_id=number, parent_id=below, tool=tool)
        return self.guard.observe(message)

    def answer(self, callee: str, caller: str | None, call_id: str | None = None) -> None:
        """The callee returns."""
        tool = Tool("work", call_id, result="done")
        self.guard.observe(Message("c", callee, caller, "tool_result", tool=tool))

    def say(self, sender: str, recipient: str | None = None, role: Role | None = None) -> None:
        """Somebody talks."""
        self.guard.observe(Message("c", sender, recipient, content="It goes on well here.", role=role))

    @property
    def halted(self) -> bool:
        """Whether the breaker is open."""
        return not self.guard.decision("c").allowed


def rise(calls: Calls, path: Sequence[str]) -> list[Action]:
    """Let each name of the path call the next one; return the actions."""
    return [calls.call(a, b).action for a, b in itertools.pairwise(path)]


@pytest.mark.parametrize("path", ["ababab", "abcabca", "abcdabcda"], ids=["two", "three", "four"])
def test_a_chain_that_meets_itself_is_halted_at_the_third_re_entry(path: str) -> None:
    """The first re-entry passes, the third is halted, before any call has returned."""
    actions = rise(Calls(), path)
    first = len(set(path)) - 1
    assert actions[: first + 1] == [Action.ALLOW] * (first + 1)
    assert Action.HALT in actions[first + 1 : first + 4]


def test_an_agent_that_is_its_own_tool() -> None:
    """With ids that say which call each one serves, an agent that calls itself with the whole task is halted."""
    calls = Calls()
    calls.call("ann", "ann")
    actions = [calls.call("ann", "ann", below=str(number)).action for number in range(4)]
    assert Action.HALT in actions[:3]


@pytest.mark.parametrize("path", ["abab", "abcab", "abcdab"], ids=["two", "three", "four"])
def test_the_same_call_word_for_word_in_its_own_chain(path: str) -> None:
    """In a chain whose calls name the one they serve, a call that is open further up is halted, and not before."""
    calls = Calls()
    actions = [
        calls.call(a, b, below=str(number - 1) if number else None).action
        for number, (a, b) in enumerate(itertools.pairwise(path))
    ]
    assert actions == [Action.ALLOW] * (len(path) - 2) + [Action.HALT]
    assert calls.guard.decision("c").code == "AB103"


def test_the_same_call_in_another_branch_is_none_of_its_chain() -> None:
    """The same call once more, below another call and at the same time, or after the answer, waits for nothing."""
    calls = Calls()
    calls.call("boss", "ann", "Weigh crate 4711 of hall 7.")
    calls.call("boss", "bob", "Count the sacks of barley in silo 613.")
    for above in ("0", "1", "0", "1"):
        assert calls.call("ann" if above == "0" else "bob", "scale", below=above).action is Action.ALLOW


def test_a_call_that_names_itself_as_its_parent() -> None:
    """It waits for itself: halted at once, whatever it says, with the chain as evidence."""
    calls = Calls()
    assert calls.call("ann", "bob").allowed
    decision = calls.call("bob", "ann", "Which of the 613 entries of hall 7 do you mean?", below="1")
    assert (decision.action, decision.code) == (Action.HALT, "AB103")
    incident = calls.guard.incident("c")
    assert incident is not None
    assert incident.agents == ("ann", "bob")


def test_calls_to_itself_at_the_same_time_are_no_chain() -> None:
    """Ten calls of an agent to itself in a row may be simultaneous: no warning; forty are too many all the same."""
    calls = Calls()
    assert {calls.call("ann", "ann").action for _ in range(10)} == {Action.ALLOW}
    for _ in range(30):
        calls.call("ann", "ann")
    assert calls.halted


def test_smaller_pieces_and_news_weigh_less() -> None:
    """A recursion of four levels whose pieces get smaller, or say something new, is neither halted nor warned."""
    shrinking, telling = Calls(), Calls()
    for level in range(5):
        below = str(level - 1) if level else None
        piece = TASK[: int(len(TASK) * 0.5**level)]
        assert shrinking.call("ann", "ann", piece, below=below).action is Action.ALLOW
        news = f"Weigh crate {level * 7919 + 13} of hall {level * 613 + 7} against invoice {level * 97 + 4711}."
        assert telling.call("ann", "ann", news, below=below).action is Action.ALLOW


def test_the_depth_is_limited() -> None:
    """A chain that never meets itself is halted within three calls beyond the limit, and not before it."""
    names = [f"agent-{number}" for number in range(14)]
    actions = rise(Calls(), names)
    assert actions[:9] == [Action.ALLOW] * 9
    assert Action.HALT in actions[8:11]
    wider = Calls(Policy(detectors={"disable": OTHERS}, calls={"max_depth": 20}))
    assert set(rise(wider, names)) == {Action.ALLOW}


def test_more_than_a_chain_can_hold() -> None:
    """With limits that are out of the way, a chain goes on far beyond what is remembered, and nothing fails."""
    calls = Calls(Policy(detectors={"disable": OTHERS}, calls={"max_depth": 1000, "reentry": 0.001}))
    assert set(rise(calls, [f"agent-{number}" for number in range(400)])) == {Action.ALLOW}
    assert set(rise(calls, ["ann", "bob"] * 200)) == {Action.ALLOW}
    assert calls.guard.telemetry.failures == {}


def test_ordinary_tools_form_no_chain() -> None:
    """Tools call nobody: any number of calls without an answer is no chain."""
    calls = Calls()
    assert {calls.call("ann", tool).action for _ in range(100) for tool in ("search", "env")} == {Action.ALLOW}


def test_a_tool_that_is_called_like_its_agent() -> None:
    """Without a recipient the tool's name stands for the callee, but an agent is not its tool of the same name."""
    calls = Calls()
    for number in range(20):
        tool = Tool("weather", str(number), {"place": "Kiel"})
        assert calls.guard.observe(Message("c", "weather", None, "tool_call", tool=tool)).allowed
    for number, (caller, callee) in enumerate(itertools.pairwise("abababab")):
        tool = Tool(callee, f"nested-{number}", {"task": TASK})
        calls.guard.observe(Message("c", caller, None, "tool_call", tool=tool))
    assert calls.halted


@pytest.mark.parametrize("by_id", [True, False])
def test_what_has_returned_is_no_longer_part_of_a_chain(by_id: bool) -> None:
    """Agents that call each other by turns, and are answered each time, by id or by their names, go on for ever."""
    calls = Calls()
    for turn in range(60):
        caller, callee = ("ann", "bob") if turn % 2 == 0 else ("bob", "ann")
        assert calls.call(caller, callee).action is Action.ALLOW
        calls.answer(callee, caller, str(turn) if by_id else None)


def test_a_callback_while_the_manager_waits() -> None:
    """A worker that asks its manager back is answered and returns: many times, without a warning."""
    calls = Calls()
    for turn in range(0, 60, 2):
        assert calls.call("boss", "worker").action is Action.ALLOW
        assert calls.call("worker", "boss").action is Action.ALLOW
        calls.answer("boss", "worker", str(turn + 1))
        calls.answer("worker", "boss", str(turn))


def test_an_answer_without_an_id_is_of_the_call_that_does_not_wait() -> None:
    """Of two calls of the same pair, a result without an id closes the one whose callee waits for nobody."""
    calls = Calls()
    rise(calls, ["boss", "worker"])
    rise(calls, ["boss", "worker"])
    calls.call("worker", "helper", below="1")
    calls.answer("worker", "boss")
    calls.call("helper", "boss")
    detector = next(one for one in calls.guard._conversations["c"].detectors if one.code == "AB103")
    latest = detector._open[-1]  # type: ignore[attr-defined]
    assert (latest.depth, latest.reentries) == (3, 1)


def test_the_answer_of_an_outer_call_ends_the_inner_ones() -> None:
    """When the outermost call returns, what was called to serve it is over as well."""
    calls = Calls()
    rise(calls, "abab")
    calls.answer("b", "a", "0")
    assert set(rise(calls, "ab")) == {Action.ALLOW}


@pytest.mark.parametrize("end", ["the caller talks", "the callee talks to it", "a person speaks"])
def test_a_call_that_was_given_up_builds_no_chain(end: str) -> None:
    """A calls B without ever a result, again and again, and B calls A: not below one of the calls given up."""
    calls = Calls()
    for _ in range(30):
        calls.call("ann", "bob")
        if end == "the caller talks":
            calls.say("cid")
            calls.say("ann")
        elif end == "the callee talks to it":
            calls.say("bob", "ann")
        else:
            calls.say("user", "ann", "user")
        assert calls.call("bob", "ann").action is Action.ALLOW
        calls.say("cid")
        calls.say("bob")
    assert not calls.halted


def test_words_that_go_with_a_call_do_not_end_it() -> None:
    """What an agent says directly after its call belongs to the call: the chain is still seen."""
    calls = Calls()
    for caller, callee in itertools.pairwise("abababab"):
        calls.call(caller, callee)
        calls.say(caller)
    assert calls.halted


def test_parallel_calls_of_several_are_not_nested() -> None:
    """Five workers, called at once, that each call the same helper at once: nothing meets."""
    calls = Calls()
    for worker in "abcde":
        assert calls.call("boss", worker).action is Action.ALLOW
    for worker in "abcde":
        for _ in range(5):
            assert calls.call(worker, "helper").action is Action.ALLOW


@given(st.data())
def test_whatever_returns_in_order_is_left_alone(data: st.DataObject) -> None:
    """Any delegation among ever lower ranks, at most eight deep, with parallel calls and tools, never gets a signal."""
    calls = Calls()

    def serve(rank: int) -> None:
        for _ in range(data.draw(st.integers(0, 2))):
            if rank >= 6 or data.draw(st.booleans()):
                calls.call(f"agent-{rank}", "search")
                calls.answer("search", f"agent-{rank}")
                continue
            below = rank + data.draw(st.integers(1, 2))
            assert calls.call(f"agent-{rank}", f"agent-{below}").action is Action.ALLOW
            serve(below)
            calls.answer(f"agent-{below}", f"agent-{rank}")

    serve(0)
    assert calls.guard.decision("c").action is Action.ALLOW


@given(st.lists(st.tuples(st.integers(0, 20), st.sampled_from("abcd")), min_size=1, max_size=30))
def test_named_calls_are_nested_as_they_say(tree: list[tuple[int, str]]) -> None:
    """With ids, the longest chain and its re-entries are those of the tree that the ids draw, in whatever order."""
    calls = Calls(Policy(detectors={"disable": OTHERS}, calls={"reentry": 1e-6, "max_depth": 1000}))
    detector = calls.guard._conversations
    callers: list[list[str]] = []
    callees: list[str] = []
    reentries: list[int] = []
    for number, (above, callee) in enumerate(tree):
        nested = number > 0
        parent = above % number if nested else 0
        caller = callees[parent] if nested else "root"
        # Each with another task: the same one, word for word, is another matter.
        calls.call(caller, callee, f"{TASK} {number * 7919 + 13}", below=str(parent) if nested else None)
        waiting = [*callers[parent], caller] if nested else [caller]
        callers.append(waiting)
        callees.append(callee)
        reentries.append((reentries[parent] if nested else 0) + (callee in waiting))
        recursive = next(one for one in detector["c"].detectors if one.code == "AB103")
        latest = recursive._open[-1]  # type: ignore[attr-defined]
        assert (latest.depth, latest.reentries) == (len(waiting), reentries[-1])


def test_the_incident_tells_the_chain() -> None:
    """Who is in the chain, since when, which messages: as evidence of the halt."""
    calls = Calls()
    calls.say("dan")
    rise(calls, "abcabcabc")
    incident = calls.guard.incident("c")
    assert incident is not None
    assert (incident.code, incident.agents, incident.began_at) == ("AB103", ("a", "b", "c"), 1)
    assert incident.sentence == "Recursive call: a, b and c, called again 3 times while waiting for an answer"
    assert incident.signals[0].evidence == ("0", "1", "2", "3", "4")
