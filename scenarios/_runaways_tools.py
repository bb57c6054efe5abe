"""Runaways with tools and artefacts: repeated calls, re-worded queries, enumerated ids, nested laps, churn."""

from __future__ import annotations

from _kinds import Kind
from _script import Script

__all__ = ["KINDS", "query", "report"]

#: How a tool round is counted: a call and its result.
_ROUND = 2


def query(s: Script) -> str:
    """A thing to look for, in some words."""
    return s.rng.choice(s.topics)


def _look_up(s: Script, rounds: int) -> None:
    """Some honest calls with honest results."""
    agent = s.agents[0]
    for _ in range(rounds):
        what = s.work.topic()
        if s.rng.random() < 0.6:
            s.say(agent, s.work.message(1, "finding", "question", "decision"))
        s.tool(agent, "lookup", {"subject": what}, s.work.message(s.rng.randint(1, 4), "finding", "done", "short"))


def same_call(s: Script) -> None:
    """The same call with the same result."""
    s.open()
    _look_up(s, s.rng.randint(3, 6))
    arguments = {"subject": s.work.topic(), "ref": s.work.fill("lot")}
    result = s.work.message(3, "finding", "short")
    s.tool(s.agents[0], "lookup", arguments, result)
    s.loop()
    s.expect(evident=4 * _ROUND)
    while len(s.lines) < s.needed:
        s.tool(s.agents[0], "lookup", arguments, result)


def retry_after_success(s: Script) -> None:
    """An action succeeded; it is done again and again, with a thought before some of the calls."""
    agent = s.agents[0]
    s.open()
    _look_up(s, s.rng.randint(2, 5))
    arguments = {"to": s.work.name(), "subject": s.work.topic(), "text": s.work.message(2, "decision", "done")}
    moving = s.rng.random() < 0.5
    number = s.rng.randint(1000, 9000)

    def result() -> str:
        stamp = f"2026-03-04T09:{len(s.lines) % 60:02d}:{s.rng.randint(0, 59):02d}Z"
        moved = f', "request": "{s.rng.getrandbits(40):010x}", "at": "{stamp}"' if moving else ""
        return f'{{"status": "sent", "message": {number}{moved}}}'

    s.tool(agent, "send_message", arguments, result())
    s.loop()
    s.expect(evident=4 * _ROUND)
    thoughts = s.en_zh(
        "Now I send the message.|I will send it.|The message should be sent now.|Next I send the message to the "
        "recipient.|Let me send this message.|I am sending it once more to be sure.|Sending the message.",
        "现在发送消息。|我来发送。|接下来把消息发给收件人。|再发一次,以防万一。|正在发送消息。|下一步是发送这条消息。",
    ).split("|")
    while len(s.lines) < s.needed:
        if s.rng.random() < 0.4:
            s.say(agent, s.rng.choice(thoughts))
        s.tool(agent, "send_message", arguments, result())


def enumerate_ids(s: Script) -> None:
    """Ids are tried one after the other; none is found."""
    agent = s.agents[0]
    rng = s.rng
    s.open()
    _look_up(s, rng.randint(1, 4))
    prefix = rng.choice(("INV-", "P", "ORD", "CUST_", "T", "A-"))
    number, step = rng.randint(1000, 80000), rng.choice((1, 1, 1, 3, 10))
    template = rng.choice(
        (
            "Error: record {id} not found",
            '{{"error": "not_found", "id": "{id}"}}',
            s.en_zh("No entry with the number {id}.", "没有编号为{id}的记录。"),
            "404 Not Found: /records/{id} (request {req})",
        )
    )
    s.loop()
    s.expect(evident=5 * _ROUND)
    while len(s.lines) < s.needed:
        number += step
        key = f"{prefix}{number}"
        s.tool(agent, "get_record", {"id": key}, template.format(id=key, req=f"{rng.getrandbits(32):08x}"))


def reworded_queries(s: Script) -> None:
    """One question in ever other search words, the same empty answer."""
    agent = s.agents[0]
    rng = s.rng
    s.open()
    _look_up(s, rng.randint(1, 3))
    subject, place, person = s.work.topic(), s.work.fill("place"), s.work.name()
    pools = s.en_zh(
        "price|cost|tariff|fee|rate|pricing|how much is|list price|quote|amount",
        "价格|费用|报价|收费|多少钱|单价|价目表|成本|标价|金额",
    ).split("|")
    extras = s.en_zh(
        "current|official|latest|site|page|overview|list|document|pdf|2025|2026|table|information|details|"
        "summary|public",
        "当前|官方|最新|网站|页面|一览|文件|资料|2025年|2026年|表格|信息|明细|公开|汇总",
    ).split("|")
    empty = rng.choice(("[]", '{"results": [], "total": 0}', s.en_zh("No results found.", "没有找到结果。")))
    s.loop()
    s.expect(evident=5 * _ROUND)
    while len(s.lines) < s.needed:
        words = [rng.choice(pools), subject, *rng.sample(extras, rng.randint(0, 3))]
        words += [place] if rng.random() < 0.6 else []
        words += [person] if rng.random() < 0.3 else []
        rng.shuffle(words)
        s.tool(agent, "search", {"query": " ".join(words)}, empty)


def report(s: Script, lines: int, kind: str) -> list[str]:
    """A long artefact: a report of many lines, or a source file."""
    work = s.work
    if kind == "report":
        return [
            (f"## {work.topic()}" if i % 12 == 0 else work.sentence("finding", "decision", "short", "done"))
            for i in range(lines)
        ]
    out = []
    while len(out) < lines:
        name = work.fill("func").removesuffix("()")
        column = work.fill("column")
        out += [
            f"def {name}(rows, {column}={s.rng.randint(2, 400)}):",
            f'    """{work.sentence("short")}"""',
            f"    if not rows or {column} > {s.rng.randint(500, 9000)}:",
            f'        raise ValueError("{work.fill("symptom")}")',
            f'    return [row["{work.fill("column")}"] * {work.fill("dec")} for row in rows if row["{column}"]]',
            "",
        ]
    return out[:lines]


def churn(s: Script) -> None:
    """The same artefact again and again, with a few words changed each time."""
    writer, reviewer = s.agents[:2]
    rng = s.rng
    kind = rng.choice(("report", "code"))
    s.open()
    s.productive(rng.randint(3, 6))
    lines = report(s, rng.randint(140, 160), kind)
    intro = s.en_zh(
        "Here is the revised version.|I have improved the wording.|Please find the updated document below.|Updated "
        "version, with small improvements.|I polished it once more.|This is the new version.",
        "这是修改后的版本。|我润色了一下措辞。|更新后的内容如下。|又改进了一点。|这是新版本。",
    ).split("|")
    ask = s.en_zh(
        "Good, please polish it a little more.|Nice. Could you improve the wording again?|Looks good, make it a bit "
        "clearer.|Fine, one more round of polishing please.|Almost perfect, please refine it again.",
        "很好,请再润色一下。|不错,措辞能再改进一点吗?|很好,再清楚一点。|可以,请再改一轮。|快好了,请再完善一下。",
    ).split("|")
    s.say(writer, "\n".join([rng.choice(intro), *lines]), reviewer)
    s.loop()
    s.expect(evident=6)
    swaps = s.en_zh(
        "the=this|is=was|we=we all|shows=displays|because=since|now=currently|needs=requires|return=return ",
        "的=之|发现=看到|因为=由于|现在=目前|需要=须要|改=修改|return=return ",
    ).split("|")
    while len(s.lines) < s.needed:
        s.say(reviewer, rng.choice(ask), writer)
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(len(lines))
            old, new = rng.choice(swaps).split("=")
            lines[at] = lines[at].replace(old, new, 1)
        s.say(writer, "\n".join([rng.choice(intro), *lines]), reviewer)


def orchestrator(s: Script) -> None:
    """An instruction in other words each time; a worker that comes back with nearly the same page."""
    boss, worker = s.agents[:2]
    rng = s.rng
    s.open(to=boss)
    for _ in range(rng.randint(2, 4)):
        s.chatter.query = s.work.topic()
        s.say(boss, s.chatter.say(worker, "reissue", sentences=1), worker)
        s.say(worker, s.work.message(rng.randint(3, 6), "finding", "short"), boss)
    page = [s.work.sentence("short", "finding") for _ in range(rng.randint(8, 18))]
    subject, place = s.work.topic(), s.work.fill("place")
    asks = s.en_zh(
        "the price of the {s} in {p}|what the {s} costs in {p}|the current fee for the {s}, place {p}|a price "
        "list with "
        "the {s} for {p}|how much is charged in {p} for the {s}|the official rate of the {s} near {p}",
        "{p}的{s}价格|{s}在{p}要多少钱|{p}现在{s}的收费|含有{s}的{p}价目表|{p}对{s}收多少费用|{s}在{p}的官方费率",
    ).split("|")

    def issue() -> None:
        s.chatter.query = rng.choice(asks).format(s=subject, p=place)
        s.say(boss, s.chatter.say(worker, "reissue", sentences=1), worker)
        seen = rng.randint(20, 98)
        shown = page[rng.randint(0, 2) :] if rng.random() < 0.5 else page
        head = s.en_zh(f"Here is the page. The viewport shows {seen}% of it.", f"这是页面内容,当前显示{seen}%。")
        s.say(worker, "\n".join([head, *shown]), boss)

    issue()
    s.loop()
    s.expect(evident=6)
    while len(s.lines) < s.needed:
        issue()


def nested(s: Script) -> None:
    """Planner, then coder and tester several times, then reviewer, and again: always the same error."""
    planner, coder, tester, reviewer = s.agents[:4]
    rng = s.rng
    s.open(to=planner)
    s.productive(rng.randint(4, 8))
    func, path = s.work.fill("func"), s.work.fill("file")
    error = (
        f"FAILED test_{func.removesuffix('()')} - AssertionError: {s.work.fill('int3')} != {s.work.fill('int3')}\n"
        f"1 failed, {rng.randint(20, 90)} passed"
    )
    patches = [f"edit {path}: {func} += {n}" for n in (1, 2)]
    plan = s.en_zh(
        "The test of {f} still fails. Please fix {f} in {p}.|We must repair {f}; {p} is where it lives.|Next "
        "step: make the "
        "test of {f} pass by changing {p}.|Please correct {f}, the test does not pass yet.",
        "{f}的测试还是不过。请修{p}里的{f}。|要修好{f},在{p}里。|下一步:改{p},让{f}的测试通过。|"
        "请改正{f},测试还没通过。",
    ).split("|")
    fixed = s.en_zh(
        "I changed {f} again, please test it.|{f} is corrected, please run the test.|A fix for {f} is in, "
        "tester please."
        "|I adapted {f} in {p}. Please check.",
        "{f}又改了,请测试。|{f}已改正,请运行测试。|{f}的修复好了,请测。|我调整了{p}里的{f},请检查。",
    ).split("|")
    failed = s.en_zh(
        "Still the same failure in {f}.|The test of {f} fails as before.|No luck, {f} gives the same error.|"
        "{f} fails again.",
        "{f}还是同样的失败。|{f}的测试和之前一样失败。|不行,{f}报同样的错。|{f}又失败了。",
    ).split("|")
    review = s.en_zh(
        "The defect in {f} is not fixed. Back to the planner.|{f} is still wrong, please plan again.|I reject "
        "this: {f} "
        "fails. Planner, please.|Not done, {f} has the same defect.",
        "{f}的缺陷没有修好,退回规划。|{f}仍然不对,请重新规划。|不通过:{f}失败,请规划。|没有完成,{f}还是同样的缺陷。",
    ).split("|")

    def words(texts: list[str]) -> str:
        return rng.choice(texts).format(f=func, p=path)

    s.loop()
    # One outer lap is about 14 messages; the first is still work.
    s.expect(evident=14, lap=14)
    while len(s.lines) < s.needed:
        s.say(planner, words(plan), coder)
        for _ in range(rng.randint(2, 3)):
            s.tool(coder, "edit", rng.choice(patches), "ok")
            s.say(coder, words(fixed), tester)
            s.tool(tester, "run_tests", {"path": path}, error)
            s.say(tester, words(failed), coder)
        s.say(reviewer, words(review), planner)


KINDS = [
    Kind(
        "AB301-exact-repeat",
        "same-call",
        same_call,
        (1,),
        detector="AB301",
    ),
    Kind(
        "AB301-exact-repeat",
        "retry-after-success",
        retry_after_success,
        (1,),
        seeds=4,
    ),
    Kind(
        "AB302-near-repeat",
        "enumerated-ids",
        enumerate_ids,
        (1,),
        seeds=4,
    ),
    Kind(
        "AB302-near-repeat",
        "reworded-queries",
        reworded_queries,
        (1,),
        seeds=4,
    ),
    Kind(
        "AB304-artefact-churn",
        "same-artefact",
        churn,
        seeds=3,
    ),
    Kind(
        "AB401-stagnation",
        "instruction-again",
        orchestrator,
        seeds=4,
    ),
    Kind(
        "AB102-long-cycle",
        "laps-inside-laps",
        nested,
        (4,),
        seeds=3,
    ),
]
