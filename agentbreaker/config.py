"""The policy: every threshold, with its unit, validated once, from keyword arguments or a TOML file."""

from __future__ import annotations

import difflib
import os
import tomllib
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from agentbreaker.errors import ConfigError
from agentbreaker.verdict import MAX_EVIDENCE

__all__ = [
    "BreakerSettings",
    "Budgets",
    "CallSettings",
    "ConversationSettings",
    "DetectorSettings",
    "Ladder",
    "ModelPrice",
    "NoveltySettings",
    "PolicySettings",
    "PricesSettings",
    "SemanticSettings",
    "SpendSettings",
    "StormSettings",
    "load_settings",
]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=False, allow_inf_nan=False)


class Ladder(_Section):
    """Evidence at which each rung is reached, in messages' worth of nothing new.

    A rung that is ``None`` (``"off"`` in a file, as TOML has no null) is never used.  Rungs must not fall: warn <=
    steer <= finish <= halt.
    """

    warn: float | None = Field(2.75, gt=0, le=MAX_EVIDENCE)
    steer: float | None = Field(3.25, gt=0, le=MAX_EVIDENCE)
    finish: float | None = Field(None, gt=0, le=MAX_EVIDENCE)
    halt: float | None = Field(4.0, gt=0, le=MAX_EVIDENCE)

    @field_validator("*", mode="before")
    @classmethod
    def _off(cls, value: object) -> object:
        return None if value == "off" else value

    @model_validator(mode="after")
    def _rises(self) -> Self:
        below: tuple[str, float] | None = None
        for name in ("warn", "steer", "finish", "halt"):
            value = getattr(self, name)
            if value is None:
                continue
            if below is not None and value < below[1]:
                raise ValueError(f"{name} ({value:g}) is below {below[0]} ({below[1]:g}); the rungs must not fall")
            below = (name, value)
        return self


class Budgets(_Section):
    """Hard caps of one conversation: counted, so they hold whatever else fails.  ``None``: no cap."""

    max_messages: int | None = Field(None, ge=1)
    max_tokens: int | None = Field(None, ge=1)
    max_cost_usd: float | None = Field(None, gt=0)
    max_seconds: float | None = Field(None, gt=0)


class BreakerSettings(_Section):
    """How long an open breaker waits, in seconds, and how the wait grows when the probe fails."""

    wait_seconds: float = Field(60.0, gt=0, le=86_400)
    wait_growth: float = Field(2.0, ge=1, le=100)
    max_wait_seconds: float = Field(3600.0, gt=0, le=864_000)
    probe_lease_seconds: float = Field(120.0, gt=0, le=86_400)

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        if self.max_wait_seconds < self.wait_seconds:
            raise ValueError(
                f"max_wait_seconds ({self.max_wait_seconds:g}) is below wait_seconds ({self.wait_seconds:g})"
            )
        return self


class NoveltySettings(_Section):
    """What a message is expected to bring, in units of information (a rare word or a number is 3 to 4 units).

    Expected information is ``base + per_word * distinct words``, at most `ceiling`.  A message that brings it is
    neutral; one that brings twice as much drains one message's worth of evidence, and none drains more than `drain`.
    In a long conversation messages usually bring less: as much emptiness as has been usual so far, and a margin, is
    not held against them, up to `allowance`.
    """

    base: float = Field(1.0, gt=0, le=1000)
    per_word: float = Field(0.65, ge=0, le=100)
    ceiling: float = Field(24.0, gt=0, le=1000)
    drain: float = Field(1.0, gt=0, le=100)
    allowance: float = Field(0.55, ge=0, lt=1)


class DetectorSettings(_Section):
    """Which detectors run, and what their evidence weighs.

    `weight` turns a message with nothing new into evidence.  Where AB201 judges, `acknowledgement` lifts the emptiness
    of a message by that much times the share of its words that confirm, thank or offer help, up to 1, and
    `confirmation_weight` stands for `weight`.
    """

    disable: tuple[str, ...] = ()
    weight: float = Field(0.9, gt=0, le=10)
    acknowledgement: float = Field(2.5, ge=0, le=10)
    confirmation_weight: float = Field(0.85, gt=0, le=10)

    @field_validator("disable")
    @classmethod
    def _codes(cls, codes: tuple[str, ...]) -> tuple[str, ...]:
        for code in codes:
            if not (len(code) == 5 and code.startswith("AB") and code[2:].isdigit()):
                raise ValueError(f"{code!r} is not a detector code such as 'AB201'")
            if code.startswith("AB6"):
                raise ValueError(f"{code} is a hard cap; leave its budget out instead of disabling it")
        return codes


class CallSettings(_Section):
    """Calls that wait for each other: how deep they may be nested, and what a chain that meets itself is worth.

    `max_depth` counts calls that are open one inside the other; each one beyond it counts as a re-entry.  `reentry` is
    the evidence of a re-entry that brings nothing new, in messages' worth.
    """

    max_depth: int = Field(8, ge=2, le=1000)
    reentry: float = Field(1.6, gt=0, le=10)


class StormSettings(_Section):
    """From when messages that beget messages are a storm.

    `reproduction` is how many messages each one has to beget, on average over a generation, for the storm to grow; a
    storm of `messages` is halted however much it has to say (``"off"``: only if it brings nothing new).
    """

    reproduction: float = Field(1.25, gt=1, le=100)
    messages: int | None = Field(256, ge=8, le=1_000_000)

    @field_validator("messages", mode="before")
    @classmethod
    def _off(cls, value: object) -> object:
        return None if value == "off" else value


class SpendSettings(_Section):
    """From when spending has got out of hand, against the conversation's own past.

    The conversation's usual spending is known after `warm_up` windows of `window_seconds` in which it spent anything;
    it may grow in proportion to their number.  A rise to `factor` times of that is held against it; one to
    `halt_factor` times, two windows in a row, is halted however much comes of it (``"off"``: only if it brings nothing
    new).
    """

    window_seconds: float = Field(60.0, ge=1, le=3600)
    warm_up: int = Field(5, ge=2, le=1000)
    factor: float = Field(8.0, ge=1.5, le=1000)
    halt_factor: float | None = Field(64.0, gt=1, le=1_000_000)

    @field_validator("halt_factor", mode="before")
    @classmethod
    def _off(cls, value: object) -> object:
        return None if value == "off" else value

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        if self.halt_factor is not None and self.halt_factor < self.factor:
            raise ValueError(f"halt_factor ({self.halt_factor:g}) is below factor ({self.factor:g})")
        return self


class ConversationSettings(_Section):
    """How many conversations are watched at once, and when an idle, clean one may be forgotten (seconds)."""

    max_conversations: int = Field(10_000, ge=1, le=10_000_000)
    idle_seconds: float = Field(300.0, ge=0)
    keep_excerpts: bool = True
    window: int = Field(256, ge=8, le=65_536)


class SemanticSettings(_Section):
    """The second stage (AB303), which runs only where the guard has an embedder.

    It looks at the latest `window` messages of talk, `characters` of each, once a conversation has gone for
    `min_messages` of talk without news from tools or people.  The caller waits at most `timeout_seconds` for an answer
    (0: never; the answer counts from the next message on).  A message is worth nothing new if it is as close to an
    earlier one as `restated` (cosine, with what all sentences share taken out), or if it means the same as talk that
    brings nothing: `margin` moves that border towards suspicion, on a scale on which -1 is news and 1 is nothing new.
    An embedder that fails three times in a row is left alone for `retry_seconds`, then twice as long, and so on.
    `cache_size` vectors are remembered.
    """

    window: int = Field(8, ge=2, le=32)
    characters: int = Field(1000, ge=50, le=8192)
    min_messages: int = Field(4, ge=2, le=1000)
    timeout_seconds: float = Field(0.25, ge=0, le=60)
    restated: float = Field(0.65, gt=0, lt=1)
    margin: float = Field(0.2, ge=-2, le=2)
    retry_seconds: float = Field(30.0, gt=0, le=86_400)
    cache_size: int = Field(4096, ge=64, le=1_000_000)


class ModelPrice(_Section):
    """What a million tokens of one model cost; cached input costs as much as other input unless its price is given."""

    input: float = Field(ge=0)
    output: float = Field(ge=0)
    cache_read: float | None = Field(None, ge=0)
    cache_creation: float | None = Field(None, ge=0)


class PricesSettings(_Section):
    """Own prices by the name of the model, which win over the built-in tables, and the currency to show amounts in.

    Prices are in `currency`; one US dollar costs `usd_rate` of it.  No exchange rate is built in.
    """

    currency: str = Field("USD", pattern="^[A-Z]{3}$")
    usd_rate: float | None = Field(None, gt=0)
    models: dict[str, ModelPrice] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _has_a_rate(self) -> Self:
        if self.usd_rate is None and self.currency != "USD":
            raise ValueError(
                f"currency {self.currency} needs usd_rate, how many {self.currency} one US dollar costs: "
                "no exchange rate is built in"
            )
        if self.usd_rate not in (None, 1) and self.currency == "USD":
            raise ValueError(f"usd_rate of US dollars is 1, not {self.usd_rate:g}; name the currency that it is for")
        return self


class PolicySettings(_Section):
    """All sections of a policy, with the defaults that the project measures and publishes."""

    ladder: Ladder = Ladder()
    budgets: Budgets = Budgets()
    breaker: BreakerSettings = BreakerSettings()
    novelty: NoveltySettings = NoveltySettings()
    detectors: DetectorSettings = DetectorSettings()
    calls: CallSettings = CallSettings()
    storm: StormSettings = StormSettings()
    spend: SpendSettings = SpendSettings()
    conversations: ConversationSettings = ConversationSettings()
    semantic: SemanticSettings = SemanticSettings()
    prices: PricesSettings = PricesSettings()


def load_settings(
    path: str | os.PathLike[str] | None = None, overrides: dict[str, Any] | None = None
) -> PolicySettings:
    """Read a policy from a TOML file and lay keyword arguments over it.

    Args:
        path: TOML file, or ``None`` for the defaults.
        overrides: Sections as mappings (``{"ladder": {"halt": 6}}``) or as section objects.

    Raises:
        ConfigError: The file cannot be read or parsed, a key is unknown (with a suggestion), a value has the wrong
            type or lies outside its reachable range.  Names file and field.
    """
    source = None if path is None else os.fspath(path)
    values: dict[str, Any] = {}
    if path is not None:
        try:
            values = tomllib.loads(Path(path).read_text("utf-8"))
        except FileNotFoundError:
            raise ConfigError(f"{source}: no such policy file", source=source) from None
        except IsADirectoryError:
            raise ConfigError(f"{source}: is a directory, not a policy file", source=source) from None
        except OSError as error:
            raise ConfigError(f"{source}: cannot be read: {error.strerror}", source=source) from None
        except UnicodeDecodeError:
            raise ConfigError(f"{source}: not UTF-8", source=source) from None
        except tomllib.TOMLDecodeError as error:
            raise ConfigError(f"{source}: not TOML: {error}", source=source) from None
    for name, section in (overrides or {}).items():
        if isinstance(section, BaseModel):
            values[name] = section.model_dump()
        elif isinstance(section, dict) and isinstance(values.get(name), dict):
            values[name] = values[name] | section
        else:
            values[name] = section
    _refuse_unknown(values, source)
    try:
        return PolicySettings.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        reason = first["msg"].removeprefix("Value error, ")
        prefix = f"{source}: " if source else ""
        raise ConfigError(f"{prefix}{field}: {reason}", source=source, field=field) from None


def _refuse_unknown(values: dict[str, Any], source: str | None) -> None:
    """Name the first unknown key and what was probably meant."""
    sections = PolicySettings.model_fields
    prefix = f"{source}: " if source else ""
    for name, section in values.items():
        if name not in sections:
            hint = _did_you_mean(name, list(sections))
            raise ConfigError(f"{prefix}unknown section {name!r}{hint}", source=source, field=name)
        if not isinstance(section, dict):
            raise ConfigError(f"{prefix}{name}: expected a table of settings", source=source, field=name)
        model = sections[name].annotation
        assert isinstance(model, type) and issubclass(model, BaseModel)  # noqa: S101, PT018 - all sections are models
        for key in section:
            if key not in model.model_fields:
                hint = _did_you_mean(key, list(model.model_fields))
                raise ConfigError(f"{prefix}unknown setting {name}.{key}{hint}", source=source, field=f"{name}.{key}")
    prices = values.get("prices", {}).get("models")
    for name, price in prices.items() if isinstance(prices, dict) else ():
        for key in price if isinstance(price, dict) else ():
            if key not in ModelPrice.model_fields:
                field, hint = f"prices.models.{name}.{key}", _did_you_mean(key, list(ModelPrice.model_fields))
                raise ConfigError(f"{prefix}unknown setting {field}{hint}", source=source, field=field)


def _did_you_mean(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; known are {', '.join(known)}"
