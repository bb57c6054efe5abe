"""AB401: nothing new from anybody trips, a long report of news does not."""

from __future__ import annotations

from agentbreaker import Action, Guard, Message, Policy, Tool

ONLY = Policy(detectors={"disable": ("AB101", "AB201", "AB301", "AB302")})
INSTRUCTION = "Open the pricing page of the maritime museum and report the family pass"
PAGE = "The page shows the opening hours and the address of the maritime museum"


def test_the_same_again_in_other_order_is_halted() -> None:
    """An orchestrator and a worker that exchange the same words, reshuffled, get nowhere."""
    guard = Guard(ONLY)
    actions = []
    for turn in range(12):
        words = (INSTRUCTION if turn % 2 == 0 else PAGE).split()
        line = " ".join(words[turn % 5 :] + words[: turn % 5])
        name = ("orchestrator", "surfer")[turn % 2]
        actions.append(guard.observe(Message("c", name, content=line)).action)
    assert actions[-1] is Action.HALT
    assert guard.decision("c").code == "AB401"


def test_news_goes_on() -> None:
    """The same two agents with a new page each time are never stopped."""
    guard = Guard(ONLY)
    pages = [
        "tickets",
        "anchors",
        "lanterns",
        "rigging",
        "whalers",
        "compasses",
        "ropework",
        "figureheads",
        "sextants",
        "charts",
    ]
    for number, page in enumerate(pages):
        first = guard.observe(Message("c", "orchestrator", "surfer", content=f"Now open the room of {page}."))
        found = f"Room {number * 17 + 3}: {page} donated by curator number {number * 41 + 11}, restored in oak."
        second = guard.observe(Message("c", "surfer", "orchestrator", content=found))
        assert (first.action, second.action) == (Action.ALLOW, Action.ALLOW)


def test_a_new_tool_result_drains_it() -> None:
    """Empty talk around tool work that moves is tolerated."""
    guard = Guard(ONLY)
    things = ["anchor", "buoy", "capstan", "davit", "ensign", "fender", "gaff", "halyard"]
    for number, thing in enumerate(things):
        guard.observe(Message("c", "ann", "bob", content="Okay, going on with the next one."))
        tool = Tool("lookup", str(number), {"thing": thing})
        guard.observe(Message("c", "ann", "lookup", "tool_call", tool=tool))
        result = f"{thing}: bronze fitting, dock {number * 13 + 5}"
        guard.observe(Message("c", "lookup", "ann", "tool_result", tool=Tool("lookup", str(number), result=result)))
        assert guard.decision("c").action is Action.ALLOW


def test_prompts_are_no_evidence() -> None:
    """System lines are context: the same prompt before every turn accuses nobody."""
    guard = Guard(ONLY)
    for _ in range(50):
        prompt = Message("c", "system", kind="system", content="You are a helpful assistant.", role="system")
        assert guard.observe(prompt).action is Action.ALLOW
