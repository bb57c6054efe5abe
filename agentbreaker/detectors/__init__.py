"""The registry: one line per detector, the most specific first (ties between equal scores go to the first)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentbreaker.detectors.artefact_churn import ArtefactChurn
from agentbreaker.detectors.confirmation import ConfirmationPingPong
from agentbreaker.detectors.cost_budget import CostBudget
from agentbreaker.detectors.exact_repeat import ExactRepeat
from agentbreaker.detectors.long_cycle import LongCycle
from agentbreaker.detectors.message_budget import MessageBudget
from agentbreaker.detectors.message_storm import MessageStorm
from agentbreaker.detectors.near_repeat import NearRepeat
from agentbreaker.detectors.recursive_call import RecursiveCall
from agentbreaker.detectors.semantic_repeat import SemanticRepeat
from agentbreaker.detectors.spend_velocity import SpendVelocity
from agentbreaker.detectors.stagnation import Stagnation
from agentbreaker.detectors.tight_cycle import TightCycle
from agentbreaker.detectors.time_budget import TimeBudget
from agentbreaker.detectors.token_budget import TokenBudget

if TYPE_CHECKING:
    from agentbreaker.config import PolicySettings
    from agentbreaker.detectors.base import Detector

__all__ = ["DETECTORS", "PRECEDENCE", "build_detectors", "title_of"]

DETECTORS: dict[str, type[Detector]] = {
    "AB601": MessageBudget,
    "AB602": TokenBudget,
    "AB603": CostBudget,
    "AB604": TimeBudget,
    "AB103": RecursiveCall,
    "AB301": ExactRepeat,
    "AB302": NearRepeat,
    "AB304": ArtefactChurn,
    "AB201": ConfirmationPingPong,
    "AB101": TightCycle,
    "AB102": LongCycle,
    "AB401": Stagnation,
    "AB303": SemanticRepeat,
    "AB501": MessageStorm,
    "AB502": SpendVelocity,
}

#: Position of each code in the registry, to break ties between equal scores.
PRECEDENCE = {code: position for position, code in enumerate(DETECTORS)}

_BUDGETS = {"AB601": "max_messages", "AB602": "max_tokens", "AB603": "max_cost_usd", "AB604": "max_seconds"}


def build_detectors(settings: PolicySettings, *, embedder: bool = False) -> tuple[Detector, ...]:
    """Make the detectors of one conversation: all that are not disabled, and the caps that are set.

    Args:
        settings: The policy.
        embedder: Whether there is one; AB303 has nothing to say without it.
    """
    disabled = settings.detectors.disable
    budgets = settings.budgets
    return tuple(
        detector(settings)
        for code, detector in DETECTORS.items()
        if code not in disabled
        and (code not in _BUDGETS or getattr(budgets, _BUDGETS[code]) is not None)
        and (embedder or code != SemanticRepeat.code)
    )


def title_of(code: str | None, unknown: str = "Stopped") -> str:
    """Return the name of a detector for people; `unknown` for what is none, such as a stop by hand.

    >>> title_of("AB201"), title_of("manual"), title_of("AB999", "AB999")
    ('Confirmation ping-pong', 'Stopped', 'AB999')
    """
    detector = DETECTORS.get(code or "")
    return detector.title if detector is not None else unknown
