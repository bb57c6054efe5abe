"""What to do about a loop: what to change in the agents, and lines for the policy file."""

from __future__ import annotations

import math
from dataclasses import dataclass

from agentbreaker.waste.findings import is_budget

__all__ = ["Quiet", "advice_for"]

_FINISHED_WORD = "Give one of them the right to end it: a field such as `approved`, which the other must act on"
_ADVICE = {
    "AB101": f"{_FINISHED_WORD}; if the same point returns, hand over to a person.",
    "AB102": "Name one owner of the task who decides when the round is over, and let the others answer only to it.",
    "AB103": "Do not give an agent itself, or its caller, as a tool; pass the task on with what is already known.",
    "AB201": f"{_FINISHED_WORD}; an answer that only confirms should not be sent at all.",
    "AB301": "Cache the result by its arguments, and tell the agent that it has it already.",
    "AB302": "Check arguments before the call, and return an error that says what to change, not only that it failed.",
    "AB303": "Ask for a decision instead of another wording: the answer may be only yes, no, or a new fact.",
    "AB304": "Send changes instead of the whole document, and fix how many revisions there are.",
    "AB401": "Say in the prompt what counts as finished, and end the conversation when nothing is left to do.",
    "AB501": "Let one agent be spoken to at a time, or give every message a recipient instead of everybody.",
    "AB502": "Look at what was re-sent: summarise the history, and use a cheaper model for routine turns.",
    "AB601": "The cap did its work. If the task needs more messages, raise it; else find out why it was so long.",
    "AB602": "The cap did its work. Summarise the history, or raise it if the task is worth more.",
    "AB603": "The cap did its work. Use a cheaper model for routine turns, or raise it if the task is worth more.",
    "AB604": "The cap did its work. Look for the step that waits, or raise it.",
}
_UNKNOWN = "Look at the laps below: what would have had to be said for it to end?"
#: Steer and finish come earlier than by default: the loop is known, so it may be told to the agents sooner.
_EARLIER = "[ladder]  # tell them sooner, end it with an answer\nwarn = 2.0\nsteer = 2.0\nfinish = 3.5"
_SNIPPETS = {
    "AB103": "[calls]\nmax_depth = 4",
    "AB501": "[storm]\nmessages = 64",
    "AB502": "[spend]\nfactor = 4.0\nhalt_factor = 16.0",
}


@dataclass(slots=True)
class Quiet:
    """The conversations that were left alone: what honest work needs.

    Attributes:
        conversations: How many there are.
        most_messages: Of the longest of them.
    """

    conversations: int = 0
    most_messages: int = 0

    def add(self, messages: int) -> None:
        """Count one conversation."""
        self.conversations += 1
        self.most_messages = max(self.most_messages, messages)

    @property
    def cap(self) -> int | None:
        """A cap on messages that is half as high again as the longest of them; ``None`` if there are too few."""
        if self.conversations < _ENOUGH:
            return None
        most = self.most_messages * 1.5
        step: int = 10 ** max(0, math.floor(math.log10(most)) - 1)
        return math.ceil(most / step) * step


#: From so many quiet conversations on, their longest says something about the next one.
_ENOUGH = 20


def advice_for(code: str, quiet: Quiet, *, cap: bool) -> tuple[str, str]:
    """Return what to do about a loop that a detector saw, and lines for the policy (TOML, may be empty).

    Args:
        code: The detector.
        quiet: The conversations that were left alone.
        cap: Whether to propose a cap on messages too.
    """
    advice = _ADVICE.get(code, _UNKNOWN)
    snippet = "" if is_budget(code) or code not in _ADVICE else _SNIPPETS.get(code, _EARLIER)
    if cap and quiet.cap is not None and snippet:
        snippet += (
            f"\n\n[budgets]  # the longest of {quiet.conversations:,} quiet conversations"
            f" has {quiet.most_messages:,} messages\nmax_messages = {quiet.cap}"
        )
    return advice, snippet
