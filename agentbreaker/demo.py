"""The demonstration: two scripted agents, first at work, then thanking each other without end.

Nothing is staged but the words of the agents: the conversations run on a real compiled LangGraph where that is
installed, else on the built-in bus, and the guard has the default policy.  No key, no network.
"""

from __future__ import annotations

import itertools
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agentbreaker.bus import Bus
from agentbreaker.guard import Guard
from agentbreaker.message import Message, Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from agentbreaker.incident import Incident

__all__ = [
    "AGENTS",
    "MODEL",
    "Outcome",
    "Overnight",
    "has_langgraph",
    "overnight",
    "run_demo",
    "runaway",
    "thanks",
    "work",
]

AGENTS = ("planner", "reviewer")
#: The model whose price is used; the agents themselves are scripted.
MODEL = "gpt-4o"
_REQUEST = "Please plan the import of the 2019 to 2024 orders into the new warehouse, and have the plan reviewed."
#: Safety net of the demonstration itself; the guard halts long before.
_MOST_TURNS = 60

_WORK = (
    "Draft: export the orders table as 24 Parquet files, one per quarter, and load them with COPY INTO.",
    "Quarter files reach 9 GB in 2023 because of Black Friday; COPY INTO stalls above 5 GB. Split by month instead.",
    "Split by month: 72 files, largest 3.1 GB (November 2023). Column tax_code is empty before July 2020.",
    "Backfill tax_code from invoices.vat_rate: 19 % becomes S, 7 % becomes R, and 0 % needs the country as well.",
    "Zero-rated rows: 41,208, mostly Norway and Switzerland. I will join shipments.country and mark them E.",
    "Norwegian parcels under 350 NOK were VOEC since April 2020; code E is wrong there, use V and keep the scheme id.",
    "VOEC adds 6,917 rows with code V. Duplicate order ids: 212 pairs, all from the Magento replay on 14 May 2021.",
    "Keep the later row of each pair: the replay fixed the currency. Check 3 of them by hand, e.g. order 88-40127.",
    "88-40127, 88-40391 and 90-11754 agree with the ledger. Load order: customers, orders, lines, then refunds.",
    "Refunds reference lines by position, which the new schema dropped. Map them through line_uuid first.",
    "Mapping table built: 18,450 refunds resolved, 31 orphans moved to quarantine.refund_orphan for finance.",
    "Orphans are fine for finance (ticket FIN-2207). Run the dry load on staging Tuesday 06:00, and I approve.",
)
_OPENINGS = (
    "Thank you so much",
    "Great, thanks a lot",
    "Wonderful",
    "Excellent work",
    "Perfect, thank you",
    "Confirmed",
    "Agreed",
    "Understood, thanks",
    "Noted with thanks",
    "That sounds great",
    "Absolutely",
    "Many thanks",
)
_MIDDLES = (
    "I confirm that the plan is final",
    "I fully agree with what you said",
    "it was a pleasure to work with you on this",
    "I am glad that we agree on the plan",
    "I appreciate the smooth cooperation",
    "everything is confirmed on my side",
    "I am happy with the result as well",
    "the plan looks good to me too",
    "we did a great job together",
    "I can only confirm that once more",
)
_CLOSINGS = (
    "Is there anything else I can help with?",
    "Please confirm that you have seen this.",
    "Let me know if you need anything else.",
    "Looking forward to working with you again!",
    "Thanks again, and well done!",
    "Please let me know once you agree.",
    "I will wait for your confirmation.",
    "Have a great day!",
    "Do you have any further questions?",
    "Happy to help at any time.",
)


def work() -> Iterator[str]:
    """What the agents say while they work: something new each time; then they are done."""
    return iter(_WORK)


def runaway() -> Iterator[str]:
    """What the agents say when they finish the work and then do not stop talking."""
    return itertools.chain(_WORK[:4], thanks())


def thanks(seed: int = 7) -> Iterator[str]:
    """What the agents say when the work is done: never twice the same, and never anything new; without end."""
    chance = random.Random(seed)  # noqa: S311 - wording, not security
    said: set[str] = set()
    closings = 1
    while True:
        text = f"{chance.choice(_OPENINGS)}, {chance.choice(_MIDDLES)}."
        text += "".join(f" {chance.choice(_CLOSINGS)}" for _ in range(closings))
        if text not in said:
            said.add(text)
            yield text
        if len(said) == len(_OPENINGS) * len(_MIDDLES) * len(_CLOSINGS) ** closings:
            # Everything of this length has been said.
            said.clear()
            closings += 1


@dataclass(slots=True)
class Outcome:
    """How one of the two conversations went.

    Attributes:
        turns: Messages that the agents spoke, the one on which the guard halted included.
        tokens: What they cost, counted as characters / 4 of everything that each call re-sends.
        incident: The evidence, if the conversation was halted.
    """

    turns: int
    tokens: int
    incident: Incident | None


@dataclass(slots=True)
class Overnight:
    """What the runaway would have cost without the breaker.

    Attributes:
        hours, seconds_per_turn, context_tokens: The assumptions.
        turns, tokens: What that comes to.
        cost_usd: At the price of :data:`MODEL`, ``None`` if the price is not known.
    """

    hours: float
    seconds_per_turn: float
    context_tokens: int
    turns: int
    tokens: int
    cost_usd: float | None


def has_langgraph() -> bool:
    """Whether the ``langgraph`` extra is installed."""
    try:
        import langgraph.graph  # noqa: F401 - needed in a moment anyway
    except ImportError:
        return False
    return True


def run_demo(
    lines: Iterator[str], conversation_id: str, on_turn: Callable[[str, str], object], *, use_langgraph: bool
) -> Outcome:
    """Let the two agents speak the given lines in turn, until they end or the guard halts.

    Args:
        lines: What they say.
        conversation_id: Name of the conversation.
        on_turn: Called with speaker and text of every message that an agent spoke.
        use_langgraph: Run on a compiled LangGraph; else on the built-in bus.
    """
    return (_on_langgraph if use_langgraph else _on_bus)(lines, conversation_id, on_turn)


def _tokens(text: str) -> int:
    return max(1, len(text) // 4)


def _on_bus(lines: Iterator[str], conversation_id: str, on_turn: Callable[[str, str], object]) -> Outcome:
    guard = Guard()
    spent = turns = 0
    history = _tokens(_REQUEST)

    def agent(message: Message) -> Message | None:
        nonlocal spent, history, turns
        text = next(lines, None)
        if text is None or turns >= _MOST_TURNS:
            return None
        usage = Usage(input_tokens=history, output_tokens=_tokens(text))
        history += usage.output_tokens
        name = AGENTS[turns % 2]
        turns += 1
        spent += usage.total
        on_turn(name, text)
        return Message(conversation_id, name, AGENTS[turns % 2], content=text, usage=usage, model=MODEL)

    bus = Bus(guard)
    for name in AGENTS:
        bus.register(name, agent)
    bus.run(Message(conversation_id, "user", AGENTS[0], content=_REQUEST, role="user"))
    return Outcome(turns, spent, guard.incident(conversation_id))


def _on_langgraph(lines: Iterator[str], conversation_id: str, on_turn: Callable[[str, str], object]) -> Outcome:
    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
    from langchain_core.messages.ai import UsageMetadata
    from langchain_core.outputs import ChatGeneration, ChatResult
    from langgraph.checkpoint.memory import InMemorySaver
    from langgraph.graph import END, START, MessagesState, StateGraph

    from agentbreaker.integrations.langgraph import LangGraphBreaker

    spent: list[int] = []
    upcoming = next(lines, None)

    class Scripted(BaseChatModel):
        """A chat model that speaks the next line and reports what the call would have cost."""

        @property
        def _llm_type(self) -> str:
            return "scripted"

        def _generate(self, messages: list[BaseMessage], *_: Any, **__: Any) -> ChatResult:
            nonlocal upcoming
            text, upcoming = upcoming or "", next(lines, None)
            read, written = sum(_tokens(str(message.content)) for message in messages), _tokens(text)
            spent.append(read + written)
            usage = UsageMetadata(input_tokens=read, output_tokens=written, total_tokens=read + written)
            reply = AIMessage(text, usage_metadata=usage, response_metadata={"model_name": MODEL})
            return ChatResult(generations=[ChatGeneration(message=reply)])

    model = Scripted()

    def agent(state: MessagesState) -> dict[str, Any]:
        return {"messages": [model.invoke(state["messages"])]}

    def ended(state: MessagesState) -> bool:
        return upcoming is None or len(state["messages"]) > _MOST_TURNS

    builder = StateGraph(MessagesState)
    for name, other in (AGENTS, AGENTS[::-1]):
        builder.add_node(name, agent)
        builder.add_conditional_edges(name, lambda state, to=other: END if ended(state) else to, [other, END])
    builder.add_edge(START, AGENTS[0])
    breaker = LangGraphBreaker()
    graph = builder.compile(checkpointer=InMemorySaver()).with_config(callbacks=[breaker])
    config: Any = {"configurable": {"thread_id": conversation_id}}
    turns = 0
    for update in graph.stream({"messages": [HumanMessage(_REQUEST)]}, config, stream_mode="updates"):
        for name, change in update.items():
            for message in change.get("messages", []) if isinstance(change, dict) else []:
                turns += 1
                on_turn(name, message.content)
    return Outcome(turns, sum(spent), breaker.guard.incident(conversation_id))


def overnight(
    *,
    hours: float = 10.0,
    seconds_per_turn: float = 5.0,
    context_tokens: int = 128_000,
    lines: Iterator[str] | None = None,
) -> Overnight:
    """Work out what the runaway costs if nobody ends it: every turn re-sends the history, up to the context window.

    Args:
        hours: How long it runs.
        seconds_per_turn: How long a model call takes.
        context_tokens: Where the history is cut off.
        lines: What the agents say; the runaway of the demonstration if left out.
    """
    turns = int(hours * 3600 / seconds_per_turn)
    history = _tokens(_REQUEST)
    sent = said = 0
    sample = [_tokens(text) for text in itertools.islice(lines or thanks(), 200)]
    for number in range(turns):
        output = sample[number % len(sample)]
        sent += min(history, context_tokens)
        said += output
        history += output
    return Overnight(hours, seconds_per_turn, context_tokens, turns, sent + said, _price(sent, said))


def _price(input_tokens: int, output_tokens: int) -> float | None:
    """US dollars for :data:`MODEL`, from the price list that is installed."""
    try:
        import genai_prices

        usage = genai_prices.Usage(input_tokens=input_tokens, output_tokens=output_tokens)
        return float(genai_prices.calc_price(usage, model_ref=MODEL).total_price)
    except (ImportError, LookupError, ValueError):
        return None
