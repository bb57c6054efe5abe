"""AB304: the same report or file again and again, and the reviews and tries that look like it."""

from __future__ import annotations

import random

import pytest

from agentbreaker import Guard, Message, Tool
from agentbreaker.detectors.artefact_churn import ArtefactChurn
from agentbreaker.verdict import Decision

_NOUNS = tuple(
    "ledger harvest orchard quarry furnace lantern harbour meadow turbine archive granite compass".split()  # noqa: SIM905
)
_SYLLABLES = tuple("ka lo mi ren tas ver dun ost bel gra nim por sel thu wex yor zan cor fi hul".split())  # noqa: SIM905
_VERBS = tuple("gather measure repaint balance inspect restore weigh export rotate collect".split())  # noqa: SIM905


def lines(rng: random.Random, count: int) -> list[str]:
    """Lines of code that differ."""
    made = []
    for _ in range(count):
        noun, verb, other = rng.choice(_NOUNS), rng.choice(_VERBS), rng.choice(_NOUNS)
        made.append(f"    {noun}.{verb}({other}_{rng.choice(_VERBS)}, {noun}_{rng.choice(_NOUNS)})")
    return made


def remark(rng: random.Random) -> str:
    """A remark with facts of its own."""
    place, farmer, sort = ("".join(rng.choices(_SYLLABLES, k=3)).capitalize() for _ in range(3))
    return (
        f"In {place} {farmer} grew {sort}, and "
        f"the {rng.choice(_NOUNS)} of {rng.randrange(1900, 2026)} weighed {rng.randrange(10, 9999)} pounds; "
        f"{rng.choice(_VERBS)} the {rng.choice(_NOUNS)} by {rng.randrange(2, 99)} before you {rng.choice(_VERBS)} it."
    )


class Chat:
    """Two agents and their guard."""

    def __init__(self) -> None:
        self.guard = Guard()
        self.latest: Decision | None = None

    def say(self, sender: str, recipient: str, content: str) -> bool:
        """Say something; return whether the conversation may go on."""
        self.latest = self.guard.observe(Message("c", sender, recipient, content=content))
        return self.latest.allowed


def test_small_edits_without_end_are_halted() -> None:
    """A dozen versions with a word changed in each, and nothing said about them."""
    rng, chat = random.Random(4), Chat()
    code = lines(rng, 60)
    for number in range(12):
        code[number] = code[number].replace("(", f"_{_VERBS[number % 10]}(")
        if not chat.say("coder", "lead", "\n".join(code)):
            break
    incident = chat.guard.incident("c")
    assert incident is not None
    assert ArtefactChurn.code in {signal.code for signal in incident.signals}
    assert number >= 4


@pytest.mark.parametrize("seed", range(6))
def test_a_review_whose_prompts_carry_the_whole_code_goes_on(seed: int) -> None:
    """Every prompt holds all of it, every remark is a new one, and every version answers it in a few lines."""
    rng, chat = random.Random(seed), Chat()
    code = lines(rng, 60)
    for _ in range(12):
        whole = "```python\n" + "\n".join(code) + "\n```\n"
        said = remark(rng)
        assert chat.say(
            "coder", "reviewer", whole + "Review the code, and name the one thing that should change first."
        )
        assert chat.say("reviewer", "coder", said)
        assert chat.say("reviewer", "coder", f"{whole}Change the code as the remark says, and return all of it: {said}")
        at = rng.randrange(len(code))
        code[at : at + 1] = lines(rng, 3)
        assert chat.say("coder", "reviewer", "```python\n" + "\n".join(code) + "\n```")


def test_handed_back_and_forth_without_a_word_it_is_halted() -> None:
    """The same patch goes from one to the other; the quotations hide it from nobody."""
    rng, chat = random.Random(9), Chat()
    patch = "\n".join(lines(rng, 40))
    for number in range(30):
        if not chat.say(*(("coder", "tester") if number % 2 else ("tester", "coder")), patch):
            break
    assert number < 16


def test_tries_without_results_on_record_are_told_from_churn() -> None:
    """The same patch in call after call is churn; with other calls in between it is work."""

    def halted(*, between: bool) -> bool:
        rng, guard = random.Random(2), Guard()
        code = lines(rng, 60)
        for number in range(14):
            code[number] = code[number].replace("(", "_again(")
            calls = ["\n".join(code), *([f"open the {_NOUNS[number % 12]} of {remark(rng)}"] * between)]
            for arguments in calls:
                call = Message("c", "coder", "shell", "tool_call", tool=Tool("shell", arguments=arguments))
                if not guard.observe(call).allowed:
                    return True
        return False

    assert halted(between=False)
    assert not halted(between=True)
