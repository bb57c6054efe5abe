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
        The conversation has gone beyond ``budgets.max_tokens`` (input and output
        tokens as reported by the models).

    Why it matters:
        A counted cap depends on no wording and on no other detector: it holds
        whatever else fails.

    Example:
        The cap is passed, whatever the conversation is about.

        >>> from agentbreaker import Guard, Message, Policy, Usage
        >>> guard = Guard(Policy(budgets={"max_tokens": 3000}))
        >>> for part in ("hull", "mast", "rudder", "keel"):
        ...     message = Message("c", "ann", content=part)
        ...     message.usage = Usage(input_tokens=900, output_tokens=100)
        ...     decision = guard.observe(message)
        >>> decision.code, decision.reason
        ('AB602', 'Token budget: 4,000 tokens, limit 3,000')

    What resets it:
        Only a person: ``guard.reset()``. The totals are kept, so a higher budget
        is needed to go on.

    Known false positives:
        A budget that is too small for the work.

    Known evasions:
        None within one conversation; work moved to a new conversation id starts
        at zero.

    Options:
        ``budgets.max_tokens`` (tokens, input and output; default no cap): tokens of
            the whole conversation.

    Reference:
        OWASP Top 10 for LLM Applications 2025, LLM10: unbounded consumption.
        OpenTelemetry semantic conventions for generative AI, gen_ai.usage: what
            counts as a token of input and of output.
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
