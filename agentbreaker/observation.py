"""What the detectors are told about one message."""

from __future__ import annotations

import enum

__all__ = ["Kind", "Observation", "Round"]


class Kind(enum.IntEnum):
    """What a message is to the detectors."""

    TALK = 0
    CALL = 1
    RESULT = 2
    OUTSIDE = 3
    CONTEXT = 4
    HANDOFF = 5


class Round(enum.IntEnum):
    """What a tool round (a call and its result) was worth; several results of one batch of calls are one round.

    ``RECOVERED``: a call succeeded that had failed before.  ``PROGRESS``: something new.  ``CHANGED_FIGURES``: the
    same but for numbers.  ``NEUTRAL``: nothing to say.  ``WAITING``: the same again, but the answer says that
    something is still under way.  ``TRANSIENT``: the same failure again, of the kind that passes by itself.
    ``SILENT_REPEAT``: the same call, and again no word but that it has run.  ``STALE_FAILURE``: another call, the
    same failure.  ``NEAR_REPEAT``: the same call, and the same result but for ids, counters and clocks,
    or calls that differ in figures, and the same telling result once more.
    ``NEAR_FAILURE``: the same call but for numbers and ids, and a failure again.  ``SAME_RESULT``: the same result
    again, the call is not on record.  ``EXACT_REPEAT``: the same call with the same result.
    """

    NONE = 0
    RECOVERED = 1
    PROGRESS = 2
    CHANGED_FIGURES = 3
    NEUTRAL = 4
    WAITING = 5
    TRANSIENT = 6
    SILENT_REPEAT = 7
    STALE_FAILURE = 8
    NEAR_REPEAT = 9
    NEAR_FAILURE = 10
    SAME_RESULT = 11
    EXACT_REPEAT = 12


class Observation:
    """What the detectors are told about one message.  One object per conversation, overwritten each time.

    Attributes:
        index: Number of the message in its conversation, from 0.
        message_id: Its id, or ``None``.
        parent: Hash of the id of the message that it answers, or ``None``.
        sender, recipient: Names.
        kind: What it is to the detectors.
        info: Information of its new words and figures, in units of the lexicon.
        emptiness: For talk, 1 - information / expected information, at least ``-drain``; for a tool call the same, at
            least 0; else 0.
        acknowledging: Share of its words that acknowledge, thank or offer help, in [0, 1]; only known where
            ``emptiness`` is positive.
        monologue: An agent that speaks to nobody but its tools, thinking aloud between its calls.
        repeated: The same sender has sent exactly this before.
        quoted: It carries a large artefact along that was sent before, as prompts do.
        resent: For a large artefact, the share of it, in [0, 1], that its sender's previous one had too; else ``None``.
        round: What the tool round was worth, for results.
        tool_name, call_id: Name of the tool and id of the call, or ``None``; only set for calls and results.
        size: Characters of a tool call, its name included; only set for calls.
        cycle: The cycle of speakers that this message closes, if any.
        spent_tokens, spent_usd: What this message cost.
        messages, tokens, cost_usd, seconds: Totals of the conversation, this message included.
    """

    __slots__ = (
        "acknowledging",
        "call_id",
        "cost_usd",
        "cycle",
        "emptiness",
        "index",
        "info",
        "kind",
        "message_id",
        "messages",
        "monologue",
        "parent",
        "quoted",
        "recipient",
        "repeated",
        "resent",
        "round",
        "seconds",
        "sender",
        "size",
        "spent_tokens",
        "spent_usd",
        "tokens",
        "tool_name",
    )

    def __init__(self) -> None:
        self.index = -1
        self.message_id: str | None = None
        self.parent: int | None = None
        self.sender = ""
        self.recipient: str | None = None
        self.kind = Kind.CONTEXT
        self.info = 0.0
        self.emptiness = 0.0
        self.acknowledging = 0.0
        self.repeated = False
        self.resent: float | None = None
        self.quoted = False
        self.round = Round.NONE
        self.tool_name: str | None = None
        self.call_id: str | None = None
        self.size = 0
        self.cycle: tuple[str, ...] | None = None
        self.spent_tokens = 0
        self.spent_usd = 0.0
        self.messages = 0
        self.monologue = False
        self.tokens = 0
        self.cost_usd = 0.0
        self.seconds = 0.0

    @property
    def progress(self) -> bool:
        """Whether the message brought something: outside input, a new result, or enough new information."""
        kind = self.kind
        if kind is Kind.TALK:
            return self.emptiness < 0.0
        return kind is Kind.OUTSIDE or (kind is Kind.RESULT and self.round in (Round.PROGRESS, Round.RECOVERED))
