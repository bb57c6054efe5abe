"""The report, put together from the two readings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING

from agentbreaker.accounting import NO_MODEL, Accountant
from agentbreaker.detectors import title_of
from agentbreaker.policy import Policy
from agentbreaker.replay import ReplayReport
from agentbreaker.waste.advice import advice_for
from agentbreaker.waste.books import Books
from agentbreaker.waste.cycles import cycles_of, total_of
from agentbreaker.waste.evidence import Evidence
from agentbreaker.waste.findings import Found, Key
from agentbreaker.waste.first_reading import KEPT_INCIDENTS, FirstReading
from agentbreaker.waste.forecast import forecast
from agentbreaker.waste.incident_model import Halted, IncidentPage
from agentbreaker.waste.measure import Measure, measure_of, weight_of
from agentbreaker.waste.model import Coordination, Flow, Report, Source, Spender, Trial
from agentbreaker.waste.sums import Split
from agentbreaker.waste.trials import Candidate

if TYPE_CHECKING:
    from agentbreaker.waste.outcomes import OutcomeBook

__all__ = ["Draft"]

_ROWS = 50
_FLOWS = 200
_CYCLES = 20
_HALTED = 1000
_SOURCES = 100


class Draft:
    """The report, from the two readings.

    Args:
        first: The first reading.
        totals: Of all conversations.
        books: The second reading.
        accountant: What priced it.
        outcomes: What became of the conversations.
    """

    def __init__(
        self,
        first: FirstReading,
        totals: ReplayReport,
        books: Books,
        accountant: Accountant,
        outcomes: OutcomeBook | None,
    ) -> None:
        self._first = first
        self._totals = totals
        self._books = books
        self._accountant = accountant
        self._outcomes = outcomes
        total = books.total
        self._measure = measure_of(total.spend.amount(), total.in_loops.amount(), total.after_halt.amount())

    def report(
        self,
        *,
        policy: Policy,
        made_at: datetime,
        reading: str,
        complete: bool,
        candidates: Sequence[Candidate],
        evidence: Mapping[Key, Evidence],
    ) -> Report:
        """Return the report."""
        first, totals, books = self._first, self._totals, self._books
        measure = self._measure
        ahead, no_forecast = forecast(books.days, books.undated, in_money=measure == "money")
        halted = sorted(
            (self._halted(found) for found in first.found.values()),
            key=lambda one: (weight_of(one.after_halt, measure), one.conversation_id),
            reverse=True,
        )
        pages = sorted(
            (self._page(one) for one in evidence.values()),
            key=lambda page: weight_of(page.halted.after_halt, measure),
            reverse=True,
        )
        return Report(
            version=version("agentbreaker"),
            made_at=made_at,
            policy=policy.source,
            reading=reading,
            sources=tuple(self._sources()),
            first_at=self._day(min),
            last_at=self._day(max),
            currency=self._accountant.currency.code,
            usd_rate=self._accountant.currency.rate,
            prices=_prices(policy),
            measure=measure,
            complete=complete,
            conversations=totals.conversations,
            halted=totals.halted,
            warned=totals.warned_only,
            messages=totals.messages,
            agents=books.speakers,
            spend=books.total.spend.amount(),
            in_loops=books.total.in_loops.amount(),
            after_halt=books.total.after_halt.amount(),
            by_agent=_spenders(books.agents.rows.items(), measure),
            by_model=_spenders(books.models.rows.items(), measure),
            by_edge=_spenders(((_edge_name(edge), split) for edge, split in books.edges.rows.items()), measure),
            by_detector=_spenders(books.detectors.rows.items(), measure),
            flows=self._flows(),
            cycles=cycles_of(first.found.values(), first.quiet, _CYCLES, measure),
            conversations_halted=tuple(halted[:_HALTED]),
            coordination=Coordination(
                between_agents=books.between_agents.amount(),
                tools=books.tools.amount(),
                outside=books.outside.amount(),
            ),
            forecast=ahead,
            no_forecast=no_forecast,
            outcomes=self._outcomes.ranked(measure) if self._outcomes is not None else (),
            trials=self._trials(candidates),
            unpriced=dict(sorted(self._accountant.unpriced.items(), key=lambda item: (-item[1], item[0]))[:_ROWS]),
            notes=tuple(self._notes(halted)),
            incidents=tuple(pages),
        )

    def _sources(self) -> Iterator[Source]:
        ranked = sorted(self._first.sources.items(), key=lambda item: (-item[1][1], item[0]))
        for name, (conversations, messages) in ranked[:_SOURCES]:
            yield Source(name=name, conversations=conversations, messages=messages)

    def _day(self, which: Callable[[Iterable[date]], date]) -> date | None:
        return which(self._books.days) if self._books.days else None

    def _halted(self, found: Found) -> Halted:
        source, conversation_id = found.key
        return Halted(
            conversation_id=conversation_id,
            source=source,
            sentence=found.sentence,
            code=found.code,
            began_at=found.began_at,
            halted_at=found.halted_at,
            messages=found.messages,
            spend=found.spend.amount(),
            in_loop=found.in_loop.amount(),
            after_halt=found.after_halt.amount(),
            outcome=self._outcomes.word(conversation_id) if self._outcomes is not None else None,
        )

    def _page(self, evidence: Evidence) -> IncidentPage:
        found = evidence.found
        advice, snippet = advice_for(found.code, self._first.quiet, cap=False)
        return IncidentPage(
            halted=self._halted(found),
            title=title_of(found.code),
            score=found.score,
            agents=found.agents,
            seconds=found.seconds,
            laps_made=found.laps,
            signals=found.signals,
            nodes=evidence.nodes,
            edges=evidence.edges,
            laps=evidence.laps,
            spending=evidence.spending,
            after=evidence.after,
            resume=found.resume,
            advice=advice,
            snippet=snippet,
        )

    def _flows(self) -> tuple[Flow, ...]:
        flows = [
            Flow(model=model, agent=agent, kind=kind, amount=split.spend.amount())
            for (model, agent, kind), split in self._books.flows.rows.items()
        ]
        flows = [flow for flow in flows if flow.amount.tokens or flow.amount.cost_usd]
        flows.sort(
            key=lambda flow: (weight_of(flow.amount, self._measure), flow.agent, flow.kind, flow.model), reverse=True
        )
        rest = flows[_FLOWS:]
        others = [
            Flow(model="", agent="", kind=kind, amount=total_of(flow.amount for flow in rest if flow.kind == kind))
            for kind in dict.fromkeys(flow.kind for flow in rest)
        ]
        return (*flows[:_FLOWS], *others)

    def _trials(self, candidates: Sequence[Candidate]) -> tuple[Trial, ...]:
        if not candidates:
            return ()
        totals, books, outcomes = self._totals, self._books, self._outcomes

        def finished(keys: Iterable[Key]) -> int | None:
            return None if outcomes is None else sum(outcomes.finished(conversation) for _, conversation in keys)

        as_it_is = Trial(
            name="as it is",
            halted=totals.halted,
            warned=totals.warned_only,
            saved=books.total.after_halt.amount(),
            halted_finished=finished(self._first.found),
        )
        return (
            as_it_is,
            *(
                Trial(
                    name=candidate.name,
                    halted=len(candidate.halts),
                    warned=candidate.warned,
                    saved=saved.amount(),
                    halted_finished=finished(candidate.halts),
                )
                for candidate, saved in zip(candidates, books.trials, strict=True)
            ),
        )

    def _notes(self, halted: Sequence[Halted]) -> Iterator[str]:
        spend, show = self._books.total.spend, self._accountant.show
        yield (
            "In loops: from the first message of a loop to the end of the recording. Saved by a halt: from the message "
            "on which the breaker would have opened."
        )
        if spend.estimated:
            yield (
                f"≈: {spend.estimated:,} of {spend.tokens:,} tokens were not recorded and are estimated from the text; "
                "what was sent again with each call is not in an estimate, so it is too low."
            )
        # Where no model is named and nothing has a price, money was never asked for.
        if spend.unpriced and (spend.cost_usd or set(self._accountant.unpriced) != {NO_MODEL}):
            yield f"{spend.unpriced:,} tokens have no known price and are in no sum of money: they are not free."
        if spend.cost_usd and self._measure != "money":
            yield (
                "Shares, ranks and the month ahead are of tokens and not of money: more than half of the tokens, or of "
                "those in loops, have no price."
            )
        for model, difference in sorted(self._accountant.differing.items())[:_ROWS]:
            yield (
                f"{model}: {show(difference.recorded_usd)} recorded, {show(difference.list_usd)} by the list price; "
                "the recorded price was taken."
            )
        if self._first.without_evidence:
            yield (
                f"Of {self._first.without_evidence:,} halts only the place is known: the first "
                f"{KEPT_INCIDENTS:,} keep their evidence."
            )
        if len(halted) > _HALTED:
            yield f"{len(halted) - _HALTED:,} more halted conversations are in the sums and not in the list."
        if self._totals.forgotten:
            yield (
                f"{self._totals.forgotten:,} conversations were forgotten in between for want of room; raise "
                "conversations.max_conversations."
            )
        if self._outcomes is not None and self._outcomes.unmet:
            yield f"{self._outcomes.unmet:,} of the outcomes are of conversations that were not read."


def _edge_name(edge: tuple[str, str | None]) -> str:
    sender, recipient = edge
    if not sender and not recipient:
        return ""
    return f"{sender} → {recipient if recipient is not None else 'everyone'}"


def _spenders(rows: Iterable[tuple[str, Split]], measure: Measure) -> tuple[Spender, ...]:
    """The most expensive rows, and one without a name for all others."""
    ranked = sorted(
        rows,
        key=lambda row: (row[0] == "", *(-value for value in weight_of(row[1].spend.amount(), measure)), row[0]),
    )
    shown = [
        Spender(
            name=name,
            spend=split.spend.amount(),
            in_loops=split.in_loops.amount(),
            after_halt=split.after_halt.amount(),
        )
        for name, split in ranked
    ]
    if len(shown) <= _ROWS:
        return tuple(shown)
    rest = shown[_ROWS:]
    return (
        *shown[:_ROWS],
        Spender(
            name="",
            spend=total_of(one.spend for one in rest),
            in_loops=total_of(one.in_loops for one in rest),
            after_halt=total_of(one.after_halt for one in rest),
        ),
    )


def _prices(policy: Policy) -> str:
    """Where the prices are from."""
    own = "the policy's own prices, then " if policy.settings.prices.models else ""
    return f"prices as recorded, then {own}genai-prices {version('genai-prices')}"
