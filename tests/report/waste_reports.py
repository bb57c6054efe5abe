"""Waste reports for tests: a rich one, an empty one, and any of them with a text of one's own in every field."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from typing import Any

from agentbreaker.waste.measure import measure_of
from agentbreaker.waste.model import (
    After,
    Amount,
    Coordination,
    Cycle,
    Edge,
    Flow,
    Forecast,
    Halted,
    IncidentPage,
    Lap,
    LapTurn,
    Node,
    Outcome,
    Piece,
    Range,
    Report,
    SignalBar,
    Source,
    Spender,
    SpendPoint,
    Trial,
)

MADE_AT = datetime(2026, 11, 25, 9, 30, tzinfo=UTC)
ADVICE = "Give one of them the right to end it: a field such as `approved`, which the other must act on."
SNIPPET = "[ladder]  # tell them sooner, end it with an answer\nwarn = 2.0\nfinish = 3.5"

#: Values that are words of ours or of the transcript format, in any report that the analysis can make.
OURS = frozenset({"useful", "usd", "tokens", "message", "tool_call", "tool_result", "handoff", "USD", "CNY", "money"})


def amount(tokens: int, usd: float = 0.0, messages: int = 10, estimated: int = 0, unpriced: int = 0) -> Amount:
    """Tokens, and dollars."""
    return Amount(messages=messages, tokens=tokens, estimated_tokens=estimated, cost_usd=usd, unpriced_tokens=unpriced)


def pieces(text: str) -> tuple[Piece, ...]:
    """Words apart: ``*new*`` and ``_everyday_``; all others were said before."""
    found = []
    for word in text.split(" "):
        mark, new, said, after = re.fullmatch(r"(?:([*_])(.*)\1|(.*?))([.,:!]*)", word, re.DOTALL).groups()  # type: ignore[union-attr]
        found.append(Piece(text=f"{new or said or ''}{after} ", new=mark == "*", everyday=mark == "_"))
    return tuple(found)


def laps(
    told: Sequence[Sequence[tuple[str, str | None, str]]],
    *,
    first: int,
    numbers: Sequence[int],
    usd: float,
    news: float,
) -> tuple[Lap, ...]:
    """Laps of turns, each a sender, a recipient and its words."""
    made = []
    index = first
    for place, (number, told_turns) in enumerate(zip(numbers, told, strict=True)):
        turns = []
        for sender, recipient, words in told_turns:
            tokens = 40 + 13 * len(words)
            turns.append(
                LapTurn(
                    index=index,
                    sender=sender,
                    recipient=recipient,
                    kind="message",
                    pieces=pieces(words),
                    clipped=False,
                    tokens=tokens,
                    estimated=usd == 0,
                    cost_usd=usd * tokens,
                )
            )
            index += 1
        tokens = sum(turn.tokens for turn in turns)
        made.append(
            Lap(
                number=number,
                turns=tuple(turns),
                amount=amount(tokens, usd * tokens, len(turns), tokens if usd == 0 else 0),
                same_as_before=None if place == 0 else min(0.99, 0.84 + 0.06 * place),
                news=news / (1 + 2 * place),
            )
        )
    return tuple(made)


def incident(
    name: str,
    agents: Sequence[str],
    told: Sequence[Sequence[tuple[str, str | None, str]]],
    *,
    usd: float = 0.0,
    others: Sequence[tuple[str, str, int]] = (),
    to_all: bool = False,
    code: str = "AB201",
    title: str = "Confirmation ping-pong",
    seconds: float | None = 94.4,
    messages: int = 64,
    source: str = "traces/november.jsonl",
) -> IncidentPage:
    """A halt of `agents` who went round, with `others` beside them: sender, recipient, messages."""
    began, halted_at = 17, 24
    ring = len(agents)
    nodes = [
        Node(name=agent, messages=9 - min(5, n), tokens=4800 - 90 * (n % 40), rank=n) for n, agent in enumerate(agents)
    ]
    edges = [
        Edge(
            sender=agent,
            recipient=None if to_all else agents[(n + 1) % ring],
            messages=7,
            tokens=9600 - 40 * (n % 12),
            in_cycle=True,
        )
        for n, agent in enumerate(agents)
    ]
    seen = set(agents)
    for sender, recipient, many in others:
        for other in (sender, recipient):
            if other not in seen:
                seen.add(other)
                nodes.append(Node(name=other, messages=many, tokens=many * 150, rank=None))
        edges.append(Edge(sender=sender, recipient=recipient, messages=many, tokens=many * 150, in_cycle=False))
    step = 1300
    spending = tuple(
        SpendPoint(
            index=n,
            seconds=None if seconds is None else n * 4.1,
            cost_usd=usd * step * (n + 0.012 * n * n),
            tokens=round(step * (n + 0.012 * n * n)),
        )
        for n in range(messages)
    )

    def of(tokens: int, many: int) -> Amount:
        return amount(tokens, usd * tokens, many, 0 if usd else tokens, 0 if usd else tokens)

    whole, until = spending[-1].tokens, spending[began].tokens
    left = whole - spending[min(halted_at, messages - 1)].tokens
    return IncidentPage(
        halted=Halted(
            conversation_id=name,
            source=source,
            sentence=f"{title}: {' and '.join(agents[:3])}, 4 laps with nothing new",
            code=code,
            began_at=began,
            halted_at=halted_at,
            messages=messages,
            spend=of(whole, messages),
            in_loop=of(whole - until, messages - began),
            after_halt=of(left, messages - halted_at),
            outcome="failed" if usd else None,
        ),
        title=title,
        score=0.96,
        agents=tuple(agents),
        seconds=seconds,
        laps_made=4 if told else 0,
        signals=(
            SignalBar(
                code=code, title=title, value=4.5, limit=4, unit="messages with nothing new", share=1.13, decided=True
            ),
            SignalBar(
                code="AB401",
                title="Stagnation",
                value=4.1,
                limit=4,
                unit="messages with nothing new",
                share=1.02,
                decided=False,
            ),
            SignalBar(
                code="AB602", title="Token budget", value=24000, limit=78000, unit="tokens", share=0.31, decided=False
            ),
        ),
        nodes=tuple(nodes),
        edges=tuple(edges),
        laps=laps(told, first=began, numbers=[1, *range(3, 2 + len(told))], usd=usd, news=0.18) if told else (),
        spending=spending,
        after=After(
            amount=amount(left, usd * left, messages - halted_at),
            new_words=0.01,
            last_speaker=agents[-1],
            last_text=told[-1][-1][2].replace("_", "") if told else "",
        )
        if told
        else None,
        resume=f"Resume with guard.reset('{name}'); otherwise one lap is let through in 60 s.",
        advice=ADVICE,
        snippet=SNIPPET,
    )


def english() -> IncidentPage:
    """Two agents who confirm each other's confirmation."""
    a, b = "planner", "reviewer"
    told = [
        [
            (a, b, "*Plan* *v3* is ready: *split* the *import* into *4* *batches* of *5,000* rows. _Please_ confirm."),
            (b, a, "Looks good. I confirm the plan, _please_ confirm that you will _proceed_ with the *batches*."),
        ],
        [
            (a, b, "Confirmed. The plan is to split the import into 4 batches of 5,000 rows. Please confirm."),
            (b, a, "Confirmed _on_ _my_ _side_. Please confirm that you will proceed with the plan."),
        ],
        [
            (a, b, "Confirmed _again_: split the import into 4 batches. Please confirm."),
            (b, a, "Confirmed. Please confirm that you will proceed."),
        ],
        [
            (a, b, "Confirmed. I will proceed as soon as you confirm."),
            (b, a, "Confirmed, _thank_ _you_. Please proceed."),
        ],
    ]
    others = [("user", a, 1), (a, "db_tool", 3), ("db_tool", a, 3), (a, "writer", 1)]
    return incident("import-7f3a", (a, b), told, usd=2.5e-6, others=others)


def chinese() -> IncidentPage:
    """The same in Chinese, without a price."""
    a, b = "规划者", "审核者"
    told = [
        [
            (a, b, "*方案第三版* 已经准备好，分 *四批* 导入，请确认。"),
            (b, a, "看起来没问题，我确认这个方案，请您确认是否继续。"),
        ],
        [(a, b, "已确认。方案是分四批导入，请确认。"), (b, a, "我这边也确认了，请您确认是否继续。")],
        [(a, b, "再次确认：分四批导入，请确认。"), (b, a, "确认，谢谢！请您确认是否继续。")],
    ]
    return incident("导入任务-42", (a, b), told, others=[("用户", a, 1)], source="记录/十一月.jsonl")


def triangle() -> IncidentPage:
    """Three who hand the same failing test round, with tools beside them."""
    a, b, c = "coder", "tester", "a-fixer-with-a-very-long-name-that-nobody-can-read"
    told = [
        [
            (a, b, "*patch* *applied*, run it"),
            (b, c, "*test_import* fails: *KeyError* *rows*"),
            (c, a, "fix the *lookup*"),
        ],
        [(a, b, "patch applied, run it"), (b, c, "test_import fails: KeyError rows"), (c, a, "fix the lookup")],
    ]
    others = [("user", a, 2), (b, "pytest", 6), ("pytest", b, 6), (c, "search", 2), (c, a, 1), (a, c, 2), (a, "git", 4)]
    return incident(
        "ci-889", (a, b, c), told, usd=4e-6, others=others, code="AB102", title="Long cycle", seconds=11_000.0
    )


def mesh(size: int = 14, crowd: int = 300) -> IncidentPage:
    """Many who thank each other, in a crowd."""
    agents = [f"agent-{n:02d}" for n in range(size)]
    told = [[(agent, None, "Thank you all, great work!") for agent in agents]] * 3
    others = [(f"worker-{n}", agents[n % size], 1 + n % 7) for n in range(crowd)]
    return incident("all-hands", agents, told, others=others, to_all=size < 12, seconds=None)


def right_to_left() -> IncidentPage:
    """Names and words that read from the right."""
    a, b = "מתכנן", "المراجع"
    told = [
        [(a, b, "*מוכן* לאישור 42?"), (b, a, "*تمت* الموافقة، شكرا!")],
        [(a, b, "מוכן לאישור 42?"), (b, a, "تمت الموافقة، شكرا!")],
    ]
    return incident("rtl-1", (a, b), told, usd=1e-6)


def bare() -> IncidentPage:
    """A budget that ran out: no cycle, no laps, no words, no time."""
    return incident("budget", ("loner",), (), code="AB602", title="Token budget", seconds=None, messages=25)


def report(incidents: Sequence[IncidentPage] | None = None, **changes: Any) -> Report:
    """A report with something in every part of it."""
    pages = tuple(
        incidents if incidents is not None else (english(), triangle(), chinese(), mesh(), right_to_left(), bare())
    )
    names = ["coder", "researcher", "planner", "reviewer", "规划者", "tester"]
    models = ["gpt-5.5", "claude-opus-4-6", "deepseek-chat", ""]
    flows = []
    for n, name in enumerate(names):
        for m, kind in enumerate(["useful", "AB201", "AB102", "AB301"]):
            if (n + m) % 3 != 2:
                usd = 61.2 / (1 + n + 2 * m)
                model = models[(n + m) % 3] if n < 5 else ""
                flows.append(Flow(model=model, agent=name, kind=kind, amount=amount(round(usd * 90_000), usd, 40)))
    spenders = tuple(
        Spender(
            name=name,
            spend=amount(900_000 // (n + 1), 120 / (n + 1), 400),
            in_loops=amount(400_000 // (n + 1), 40 / (n + 1), 90),
            after_halt=amount(300_000 // (n + 1), 30 / (n + 1), 60 if n % 2 == 0 else 0),
        )
        for n, name in enumerate([*names, *(f"worker-{n}" for n in range(6)), ""])
    )
    cycles = tuple(
        Cycle(
            agents=agents,
            code=code,
            title=title,
            conversations=212 // (n + 1),
            median_laps=laps_made,
            in_loops=amount(9_800_000 // (n + 1), 61.2 / (n + 1), 1200),
            until_halt=amount(1_800_000 // (n + 1), 11.2 / (n + 1), 200),
            after_halt=amount(8_000_000 // (n + 1), 50 / (n + 1), 1000),
            share=0.4 / (n + 1),
            advice=ADVICE,
            snippet=SNIPPET if n != 2 else "",
            examples=("import-7f3a", "unlisted") if n == 0 else ("ci-889",),
        )
        for n, (agents, code, title, laps_made) in enumerate(
            [
                (("planner", "reviewer"), "AB201", "Confirmation ping-pong", 4.0),
                (("coder", "tester", "fixer"), "AB102", "Long cycle", 9.0),
                (("researcher",), "AB301", "Exact repeat", 0.0),
                (("规划者", "审核者"), "AB201", "Confirmation ping-pong", 3.0),
                (tuple(f"agent-{n:02d}" for n in range(14)), "AB201", "Confirmation ping-pong", 2.5),
            ]
        )
    )
    halted = [page.halted for page in pages]
    halted += [
        one.model_copy(update={"conversation_id": f"{one.conversation_id}-{n}"}) for n in range(4) for one in halted[:6]
    ]
    whole = Report(
        version="0.1.0",
        made_at=MADE_AT,
        policy="prod.toml",
        reading="read 41,220 messages, 19 agents, 1,240 conversations as langfuse, 3 rows skipped (3 not JSON)",
        sources=(
            Source(name="traces/november.jsonl", conversations=1100, messages=38_000),
            Source(name="记录/十一月.jsonl", conversations=140, messages=3_220),
        ),
        first_at=date(2026, 11, 1),
        last_at=date(2026, 11, 22),
        currency="USD",
        usd_rate=1.0,
        prices="list prices of 10 November 2026",
        measure="money",
        complete=True,
        conversations=1240,
        halted=len(halted),
        warned=61,
        messages=41_220,
        agents=19,
        spend=amount(68_400_000, 412.6, 41_220, 1_200_000, 83_000),
        in_loops=amount(24_100_000, 154.1, 12_400),
        after_halt=amount(20_300_000, 128.9, 9_870),
        by_agent=spenders,
        by_model=tuple(
            one.model_copy(update={"name": name})
            for one, name in zip(spenders, ["gpt-5.5", "claude-opus-4-6"], strict=False)
        ),
        by_edge=tuple(
            one.model_copy(update={"name": name})
            for one, name in zip(spenders, ["planner → reviewer", "coder → tester"], strict=False)
        ),
        by_detector=tuple(
            one.model_copy(update={"name": name})
            for one, name in zip(spenders, ["AB201", "AB102", "AB301"], strict=False)
        ),
        flows=tuple(flows),
        cycles=cycles,
        conversations_halted=tuple(halted),
        coordination=Coordination(
            between_agents=amount(41_000_000, 251.2, 20_000),
            tools=amount(20_000_000, 120.9, 15_000),
            outside=amount(7_400_000, 40.5, 6_220),
        ),
        forecast=Forecast(
            unit="usd",
            days=22,
            level=0.8,
            spend=Range(low=505, middle=562, high=631),
            saved=Range(low=133, middle=171, high=214),
            method="Days are drawn again at random, 2,000 times.",
        ),
        no_forecast="",
        outcomes=(
            Outcome(
                group="support",
                conversations=300,
                finished=281,
                spend=amount(9_000_000, 60, 9000),
                in_loops=amount(600_000, 3, 90),
                usd_per_finished=0.2135,
                tokens_per_finished=32_028,
            ),
            Outcome(
                group="import",
                conversations=40,
                finished=0,
                spend=amount(4_000_000, 31, 4000),
                in_loops=amount(3_600_000, 28, 3600),
                usd_per_finished=None,
                tokens_per_finished=None,
            ),
        ),
        trials=(
            Trial(name="as it is", halted=30, warned=61, saved=amount(20_300_000, 128.9, 9870), halted_finished=1),
            Trial(name="ladder.halt=6", halted=19, warned=61, saved=amount(15_300_000, 98.2, 7070), halted_finished=0),
        ),
        unpriced={"in-house-7b": 83_000},
        notes=(
            "≈ marks figures that hold estimates from text.",
            "A conversation counts once, in the file in which it began.",
        ),
        incidents=pages,
    )
    changed = whole.model_copy(update=changes)
    measure = changes.get("measure") or measure_of(changed.spend, changed.in_loops, changed.after_halt)
    return changed.model_copy(update={"measure": measure})


def empty() -> Report:
    """A report of nothing at all."""
    none = Amount()
    return report(
        (),
        policy=None,
        reading="read 0 messages",
        sources=(),
        first_at=None,
        last_at=None,
        complete=False,
        conversations=0,
        halted=0,
        warned=0,
        messages=0,
        agents=0,
        spend=none,
        in_loops=none,
        after_halt=none,
        by_agent=(),
        by_model=(),
        by_edge=(),
        by_detector=(),
        flows=(),
        cycles=(),
        conversations_halted=(),
        coordination=Coordination(between_agents=none, tools=none, outside=none),
        forecast=None,
        no_forecast="It takes at least 7 days.",
        outcomes=(),
        trials=(),
        unpriced={},
        notes=(),
    )


def without_prices(whole: Report) -> Report:
    """The same where nothing has a price."""

    def free(value: Any) -> Any:
        if isinstance(value, dict):
            return {
                key: 0.0 if key == "cost_usd" else None if key == "usd_per_finished" else free(one)
                for key, one in value.items()
            }
        return [free(one) for one in value] if isinstance(value, list | tuple) else value

    return Report.model_validate(
        free(whole.model_dump()) | {"measure": "tokens", "forecast": None, "no_forecast": "Nothing has a price."}
    )


def with_text(whole: Report, write: Callable[[int], str]) -> Report:
    """The same with another text in every field that can hold one; what was the same stays the same.

    Args:
        whole: The report.
        write: Returns the text for the number of a former text.
    """
    numbers: dict[str, int] = {}

    def other(text: str) -> str:
        if text in OURS or not text:
            return text
        return write(numbers.setdefault(text, len(numbers)))

    def changed(value: Any, key: str = "") -> Any:
        if isinstance(value, str):
            return value if key == "code" else other(value)
        if isinstance(value, dict):
            return {other(one) if key == "unpriced" else one: changed(inner, one) for one, inner in value.items()}
        if isinstance(value, list | tuple):
            return [changed(one, key) for one in value]
        return value

    facts = whole.model_dump()
    flows = [one | {"kind": one["kind"]} for one in facts["flows"]]
    kinds = [one["kind"] for one in flows]
    made = changed(facts)
    for flow, kind in zip(made["flows"], kinds, strict=True):
        flow["kind"] = kind
    return Report.model_validate(made)
