"""AB602 token-budget."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from agentbreaker.detectors.base import cap_signal

if TYPE_CHECKING:
    from agentbreaker.config import PolicySettings
    from agentbreaker.novelty import Observation
    from agentbreaker.verdict import Signal

__all__ = ["TokenBudget"]


class TokenBudget:
    """token-budget (AB602)

    What it sees:
        The conversation has gone beyond ``budgets.max_tokens`` (input and output tokens as reported by the models).

    Why it matters:
        A counted cap depends on no wording and on no other detector: it holds whatever else fails.

    Example:
        ``budgets.max_tokens`` is set and the conversation passes it: halted, whatever it talks about.

    What resets it:
        Only a person: ``guard.reset()``.  The totals are kept, so a higher budget is needed to go on.

    Known false positives:
        A budget that is too small for the work.

    Known evasions:
        None within one conversation; work moved to a new conversation id starts at zero.

    Options:
        ``budgets.max_tokens`` (tokens; no cap by default).
    """

    code: ClassVar[str] = "AB602"
    name: ClassVar[str] = "token-budget"
    title: ClassVar[str] = "Token budget"

    __slots__ = ("_limit",)

    def __init__(self, settings: PolicySettings) -> None:
        self._limit = settings.budgets.max_tokens

    def observe(self, seen: Observation) -> Signal | None:
        """Compare the total with the cap."""
        if self._limit is None or not seen.tokens > self._limit:
            return None
        return cap_signal(self.code, seen, seen.tokens, self._limit, "tokens")

    def reset(self) -> None:
        """Nothing to forget: the totals belong to the conversation."""
