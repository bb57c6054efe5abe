"""Small recordings whose figures can be added up by hand."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta

from agentbreaker import Message, Tool, Usage
from agentbreaker.accounting import Accountant
from agentbreaker.policy import Policy
from agentbreaker.pricing import Pricing
from agentbreaker.waste.analysis import analyse
from agentbreaker.waste.model import Report
from agentbreaker.waste.outcomes import OutcomeBook
from agentbreaker.waste.trials import Candidate

START = datetime(2026, 11, 2, 9, tzinfo=UTC)
MODEL = "house-7b"
#: A dollar for a million tokens, so that every call of a hundred tokens costs a hundredth of a cent.
PRICES = {MODEL: {"input": 1.0, "output": 1.0}}

THANKS = (
    "Thank you, I confirm that this is right.",
    "You are welcome. I confirm it as well, thank you.",
    "Great, confirmed. Thank you so much.",
    "Agreed, all is confirmed. Thanks again.",
)
FACTS = (
    "The invoice 4711 of Brandt is short by 218 euros.",
    "Warehouse Tallinn has 36 pallets of oak flooring left.",
    "Kowalski signed the lease for Gdansk on Tuesday.",
    "The gearbox of truck seven needs a new bearing from Osaka.",
    "Freight to Valparaiso costs 1840 dollars by Hapag.",
    "Customs in Rotterdam wants the origin certificate of the maple.",
    "Ingrid found the missing crate beneath ramp twelve.",
    "Insurance covers hail but not flooding, says Allianz.",
)


def said(
    conversation: str,
    number: int,
    sender: str,
    text: str,
    recipient: str | None = None,
    *,
    day: int = 0,
    tokens: int = 100,
) -> Message:
    """One turn of a hundred tokens, a minute after the one before."""
    return Message(
        conversation,
        sender,
        recipient,
        content=text,
        model=MODEL,
        usage=Usage(input_tokens=tokens - 10, output_tokens=10),
        timestamp=START + timedelta(days=day, minutes=number),
    )


def honest(conversation: str = "honest", *, day: int = 0) -> list[Message]:
    """Two agents who tell each other eight facts."""
    pair = ("planner", "reviewer")
    return [
        said(conversation, number, pair[number % 2], text, pair[1 - number % 2], day=day)
        for number, text in enumerate(FACTS)
    ]


def runaway(conversation: str = "runaway", *, day: int = 0, thanks: int = 20) -> list[Message]:
    """Two facts, and then thanks that nobody ends."""
    pair = ("planner", "reviewer")
    texts = [*FACTS[:2], *(THANKS[number % len(THANKS)] for number in range(thanks))]
    return [
        said(conversation, number, pair[number % 2], text, pair[1 - number % 2], day=day)
        for number, text in enumerate(texts)
    ]


def with_a_tool(conversation: str = "tools") -> list[Message]:
    """A person asks, an agent looks something up and answers."""
    return [
        Message(conversation, "user", "agent", content="Where is my parcel?", role="user"),
        said(conversation, 1, "agent", "I look it up.", "lookup"),
        Message(conversation, "agent", "lookup", "tool_call", tool=Tool("lookup", "c1", {"parcel": 991})),
        Message(conversation, "lookup", "agent", "tool_result", tool=Tool("lookup", "c1", result="In Graz since 12.")),
        said(conversation, 4, "agent", "It is in Graz since noon.", "user"),
    ]


def report_of(
    *conversations: Iterable[Message],
    policy: Policy | None = None,
    outcomes: OutcomeBook | None = None,
    candidates: Iterable[Candidate] = (),
    incidents: int = 20,
    prices: dict[str, dict[str, float]] | None = None,
) -> Report:
    """Analyse conversations, all from one source."""
    messages = [message for conversation in conversations for message in conversation]

    def read() -> Iterator[tuple[str, Message]]:
        for message in messages:
            yield "traces.jsonl", message

    return analyse(
        read,
        policy or Policy(),
        made_at=START,
        accountant=Accountant(Pricing(PRICES if prices is None else prices)),
        outcomes=outcomes,
        candidates=tuple(candidates),
        incidents=incidents,
    )
