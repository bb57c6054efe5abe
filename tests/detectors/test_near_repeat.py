"""AB302: id after id against the same failure trips, a batch that succeeds does not."""

from __future__ import annotations

from agentbreaker import Action, Decision, Guard, Message, Tool


def get(guard: Guard, identifier: object, result: str, *, is_error: bool = False) -> Decision:
    """One round: the call and its result."""
    guard.observe(Message("c", "agent", "get", "tool_call", tool=Tool("get", arguments={"id": identifier})))
    answer = Tool("get", result=result, is_error=is_error)
    return guard.observe(Message("c", "get", "agent", "tool_result", tool=answer))


def test_ids_against_not_found_are_halted() -> None:
    """A counter in the arguments does not hide that every answer is the same failure."""
    guard = Guard()
    actions = [get(guard, f"P{1000 + i}", "Error: not found").action for i in range(10)]
    assert actions[-1] is Action.HALT
    assert guard.decision("c").code == "AB302"


def test_ids_against_not_found_are_halted_in_chinese() -> None:
    """The failure is understood in Chinese as well."""
    guard = Guard()
    actions = [get(guard, f"P{1000 + i}", "错误:找不到该订单").action for i in range(10)]
    assert actions[-1] is Action.HALT
    assert guard.decision("c").code == "AB302"


def test_a_batch_that_succeeds_goes_on() -> None:
    """The same calls with answers are a batch: not even warned about, two hundred times."""
    guard = Guard()
    actions = {get(guard, i, f"Stored record {i * 37} of shelf {i}").action for i in range(200)}
    assert actions == {Action.ALLOW}


def test_a_hit_resets_it() -> None:
    """Misses between hits never add up."""
    guard = Guard()
    names = ["Anker", "Boje", "Deich", "Ebbe", "Fjord", "Gischt", "Hafen", "Insel", "Jolle", "Kai"]
    for i, name in enumerate(names):
        assert get(guard, f"Q{i}", "Error: not found").action is Action.ALLOW
        assert get(guard, f"R{i}", f"Harbour {name} with {i + 3} berths").action is Action.ALLOW


def test_results_of_one_batch_count_once() -> None:
    """Ten parallel calls that all miss are one decision of the agent, not ten."""
    guard = Guard()
    for i in range(10):
        tool = Tool("get", f"call-{i}", {"id": i})
        guard.observe(Message("c", "agent", "get", "tool_call", tool=tool))
    for i in range(10):
        tool = Tool("get", f"call-{i}", result="Error: not found")
        assert guard.observe(Message("c", "get", "agent", "tool_result", tool=tool)).action is Action.ALLOW
