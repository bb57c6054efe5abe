"""AB601 message-budget."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from agentbreaker.detectors.base import cap_signal

if TYPE_CHECKING:
    from agentbreaker.config import PolicySettings
    from agentbreaker.novelty import Observation
    from agentbreaker.verdict import Signal

__all__ = ["MessageBudget"]


class MessageBudget:
    """message-budget (AB601)

    What it sees:
        The conversation has gone beyond ``budgets.max_messages`` (every message counts, prompts included).

    Why it matters:
        A counted cap depends on no wording and on no other detector: it holds whatever else fails.

    Example:
        ``budgets.max_messages`` is set and the conversation passes it: halted, whatever it talks about.

    What resets it:
        Only a person: ``guard.reset()``.  The totals are kept, so a higher budget is needed to go on.

    Known false positives:
        A budget that is too small for the work.

    Known evasions:
        None within one conversation; work moved to a new conversation id starts at zero.

    Options:
        ``budgets.max_messages`` (messages; no cap by default).
    """

    code: ClassVar[str] = "AB601"
    name: ClassVar[str] = "message-budget"
    title: ClassVar[str] = "Message budget"

    __slots__ = ("_limit",)

    def __init__(self, settings: PolicySettings) -> None:
        self._limit = settings.budgets.max_messages

    def observe(self, seen: Observation) -> Signal | None:
        """Compare the total with the cap."""
        if self._limit is None or not seen.messages > self._limit:
            return None
        return cap_signal(self.code, seen, seen.messages, self._limit, "messages")

    def reset(self) -> None:
        """Nothing to forget: the totals belong to the conversation."""
