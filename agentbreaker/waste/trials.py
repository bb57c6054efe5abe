"""Policies that are tried on the same recordings: ``--what-if ladder.halt=3,4,6``."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from agentbreaker.errors import ConfigError
from agentbreaker.policy import Policy
from agentbreaker.replay import ConversationReport
from agentbreaker.waste.findings import Key

__all__ = ["Candidate", "candidates_of"]

_MOST = 20


@dataclass(slots=True)
class Candidate:
    """A policy, and what it would have done.

    Attributes:
        name: The setting that was tried.
        policy: The policy in force with it.
        halts: Where it would have halted which conversation.
        warned: Conversations that it would have warned but not halted.
    """

    name: str
    policy: Policy
    halts: dict[Key, int] = field(default_factory=dict)
    warned: int = 0

    def take(self, report: ConversationReport) -> None:
        """Note what it did with one conversation."""
        if report.halted_at is not None:
            self.halts[report.source, report.conversation_id] = report.halted_at
        elif report.warned_at is not None:
            self.warned += 1


def candidates_of(tries: Iterable[str], base: Policy) -> list[Candidate]:
    """Read what is to be tried: ``section.setting=value,value``, each value a policy of its own.

    Raises:
        ConfigError: It is no such line, or a policy with that value cannot be used; names the value.
    """
    found: list[Candidate] = []
    for text in tries:
        setting, separator, values = text.partition("=")
        section, dot, key = setting.strip().partition(".")
        if not separator or not dot or not section or not key or not values.strip():
            raise ConfigError(
                f"--what-if: {text!r} is not section.setting=values, such as ladder.halt=3,4,6", field=text
            )
        for value in values.split(","):
            name = f"{section}.{key}={value.strip()}"
            found.append(Candidate(name, _policy_with(base, section, key, _value_of(value.strip()), name)))
    if len(found) > _MOST:
        raise ConfigError(f"--what-if: {len(found)} policies to try; {_MOST} is the most", field="what-if")
    return found


def _value_of(word: str) -> Any:
    """A value as in a policy file; what is none there is taken for text."""
    try:
        return tomllib.loads(f"value = {word}")["value"]
    except tomllib.TOMLDecodeError:
        return word


def _policy_with(base: Policy, section: str, key: str, value: Any, name: str) -> Policy:
    sections: dict[str, Any] = {one: dict(getattr(base.settings, one)) for one in type(base.settings).model_fields}
    sections.setdefault(section, {})[key] = value
    if section == "ladder" and isinstance(value, (int, float)) and not isinstance(value, bool):
        _make_room(sections["ladder"], key, value)
    try:
        return Policy(**sections)
    except ConfigError as error:
        raise ConfigError(f"--what-if {name}: {error}", field=error.field) from None


def _make_room(ladder: dict[str, Any], key: str, value: float) -> None:
    """Move the rungs that would stand on the wrong side of the tried one: it is the one that was asked about."""
    rungs = ("warn", "steer", "finish", "halt")
    at = rungs.index(key) if key in rungs else 0
    for place, rung in enumerate(rungs):
        held = ladder.get(rung)
        if held is None or rung == key or key not in rungs:
            continue
        ladder[rung] = min(held, value) if place < at else max(held, value)
