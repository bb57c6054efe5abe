"""From verdict to rung of the ladder, and the policy file."""

from __future__ import annotations

import difflib
import json
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from agentbreaker.config import PolicySettings, load_settings
from agentbreaker.detectors import DETECTORS
from agentbreaker.errors import ConfigError
from agentbreaker.verdict import Action, score_of

if TYPE_CHECKING:
    import os
    from collections.abc import Collection

    from agentbreaker.verdict import Verdict

__all__ = ["Policy"]

_HELP = {
    "ladder": 'Evidence at which each rung is reached, in messages\' worth of nothing new; "off": never used.',
    "budgets": "Hard caps of one conversation; commented out: no cap.",
    "breaker": "How long an open breaker waits before it lets one lap through.",
    "novelty": "What a message is expected to bring, in units of information (a rare word or a number is 3 to 4).",
    "detectors": "Which detectors run (agentbreaker explain CODE), and what their evidence weighs.",
    "calls": "Calls that wait for each other: how deep they may be nested, and what meeting the own chain is worth.",
    "storm": 'How many messages each must beget for a storm, and how many are halted whatever they say ("off": never).',
    "spend": "How many times its usual spending a conversation may spend, in windows of so many seconds.",
    "conversations": "How many conversations are watched at once, and what is kept of them.",
    "semantic": "The second stage (AB303), in force where the guard has an embedder.",
    "prices": "Own prices of models for a million tokens, in this currency; one US dollar costs usd_rate of it.",
}


class Policy:
    """What is tolerated, and what happens when it is not.

    Args:
        path: TOML file, or ``None`` for the measured defaults.
        sections: Sections laid over the file, as mappings: ``Policy(ladder={"halt": 6})``.

    Raises:
        ConfigError: Unknown keys (with a suggestion), wrong types, values out of reach.

    >>> policy = Policy(ladder={"halt": 6.0}, budgets={"max_cost_usd": 5.0})
    >>> policy.settings.ladder.halt
    6.0
    >>> Policy(lader={"halt": 6.0})
    Traceback (most recent call last):
        ...
    agentbreaker.errors.ConfigError: unknown section 'lader'; did you mean 'ladder'?
    """

    __slots__ = ("_rungs", "settings", "source")

    def __init__(self, path: str | os.PathLike[str] | None = None, **sections: Any) -> None:
        self.settings: PolicySettings = load_settings(path, sections)
        self.source = None if path is None else str(path)
        for code in self.settings.detectors.disable:
            if code not in DETECTORS:
                where = f"{self.source}: " if self.source else ""
                close = difflib.get_close_matches(code, DETECTORS, n=1)
                hint = f"; did you mean {close[0]!r}?" if close else f"; known are {', '.join(sorted(DETECTORS))}"
                field = "detectors.disable"
                raise ConfigError(f"{where}{field}: no detector {code!r}{hint}", source=self.source, field=field)
        ladder = self.settings.ladder
        # Highest rung first, as scores: what a verdict is compared with.
        self._rungs = tuple(
            (score_of(evidence), action)
            for evidence, action in (
                (ladder.halt, Action.HALT),
                (ladder.finish, Action.FINISH),
                (ladder.steer, Action.STEER),
                (ladder.warn, Action.WARN),
            )
            if evidence is not None
        )

    def decide(self, verdict: Verdict, *, steered: bool = False) -> Action:
        """Return the rung that the verdict reaches.

        Args:
            verdict: The fused signals of one message.
            steered: The agents have been told already in this run of evidence: telling them again is noise, so the
                rung below it, a warning, is returned.  A hard cap halts in any case.
        """
        if verdict.hard:
            return Action.HALT
        score = verdict.score
        for threshold, action in self._rungs:
            if score >= threshold:
                return Action.WARN if steered and action is Action.STEER else action
        return Action.ALLOW

    def to_toml(self, sections: Collection[str] | None = None) -> str:
        """Return the policy as a commented TOML file that reads back to the same policy.

        Args:
            sections: Names of the sections to write, ``None``: all.  What is left out reads back as its default.
        """
        lines = ["# A policy of agentbreaker. Every setting is optional; these are the values in force."]
        for name in PolicySettings.model_fields:
            if sections is not None and name not in sections:
                continue
            section: BaseModel = getattr(self.settings, name)
            lines += ["", f"# {_HELP[name]}", f"[{name}]"]
            for key, value in section:
                if value is None and type(section).model_fields[key].default is not None:
                    lines.append(f'{key} = "off"')  # left out, it would read back as its default
                else:
                    lines.append(f"# {key} =" if value is None else f"{key} = {_toml(value)}")
        return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    """A basic string of TOML, which escapes as JSON does, and DEL too."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return "[" + ", ".join(f'"{item}"' for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_quoted(key)} = {_toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, BaseModel):
        return _toml({key: item for key, item in value if item is not None})
    if isinstance(value, str):
        return _quoted(value)
    return repr(value)
