"""Legitimate talk that looks like a loop: pipelines, reviews, debates, negotiations, stand-ups."""

from __future__ import annotations

from collections.abc import Callable

from _kinds import Kind
from _runaways_tools import report
from _script import Script

__all__ = ["KINDS"]


def pipeline(s: Script) -> None:
    """Six agents, twenty rounds: every round is another item."""
    s.open()
    count = len(s.agents)
    for item in range(20):
        topic = s.work.topic()
        for i, agent in enumerate(s.agents):
            peer = s.agents[(i + 1) % count]
            text = s.work.message(s.rng.choice((1, 1, 2, 3)))
            if i == 0:
                text = s.en_zh(f"Item {item + 1}, {topic}. ", f"第{item + 1}项,{topic}。") + text
            s.say(agent, text, peer)


def review(s: Script) -> None:
    """A writer and a reviewer, fifteen rounds: each criticism is another one, each change too."""
    writer, reviewer = s.agents[:2]
    s.open(to=writer)
    s.say(writer, s.work.message(10), reviewer)
    for i in range(15):
        last = i == 14
        notes = s.en_zh(
            "Thanks, much better. |Good progress. |Two remarks. |Nearly there. |Agreed on the rest. ||",
            "谢谢,好多了。|有进步。|两点意见。|快好了。|其余同意。||",
        ).split("|")
        s.say(
            reviewer,
            s.rng.choice(notes) + s.work.message(s.rng.choice((1, 2, 3)), "objection", "question", "finding"),
            writer,
        )
        s.say(writer, s.work.message(s.rng.choice((1, 2, 4)), "answer" if last else "done", "decision"), reviewer)


def quoted_review(s: Script) -> None:
    """Eight rounds over a long text that every prompt carries along: a remark, then the text with what it asks for."""
    writer, reviewer = s.agents[:2]
    rng = s.rng
    s.open(to=writer)
    lines = report(s, rng.randint(60, 120), rng.choice(("report", "code")))
    ask = s.en_zh(
        "As the reviewer, read all of the text above and name the one thing that should change first, and how.",
        "请作为评审通读以上全文,指出最应先修改的一处,并给出建议。",
    )
    act = s.en_zh(
        "As the writer, change the text above as the remark asks and return the whole text with nothing left out.",
        "请作为作者按意见修改以上文本,并完整返回全文,不要省略。",
    )
    for _ in range(8):
        whole = "\n".join(lines)
        s.say(writer, f"{whole}\n\n{ask}", reviewer)
        remark = s.work.message(rng.choice((2, 3)), "objection", "question", "finding")
        s.say(reviewer, remark, writer)
        s.say(reviewer, f"{whole}\n\n{remark}\n{act}", writer)
        at = rng.randrange(len(lines))
        lines[at : at + 1] = report(s, rng.randint(3, 6), "report")
        s.say(writer, "\n".join(lines), reviewer)


def debate(s: Script) -> None:
    """Sides that answer each other with ever other arguments."""
    s.open()
    count = len(s.agents)
    for i in range(s.rng.randint(20, 36)):
        lead = s.en_zh(
            "I see your point, but |On the contrary. |Granted. Still, |That may be true. However, |With respect, |",
            "我理解您的意思,但是|恰恰相反,|就算如此,|也许是这样,不过|恕我直言,|",
        ).split("|")
        text = s.rng.choice(lead) + s.work.message(
            s.rng.choice((1, 2, 2, 3)), "objection", "finding", "objection", "decision"
        )
        s.say(s.agents[i % count], text, s.agents[(i + 1) % count])


def negotiation(s: Script) -> None:
    """Short offers that close in on each other."""
    a, b = s.agents[:2]
    s.open(to=a)
    low, high = s.rng.randint(20, 60) * 100, s.rng.randint(90, 140) * 100
    days, cut = s.rng.randint(40, 60), s.rng.randint(2, 9)
    templates = s.en_zh(
        "We can do {p} euro.|{p}, delivery in {d} days.|Our offer: {p}.|What about {p} with {c} percent "
        "discount on parts?|"
        "Too much for us. {p}?|We go to {p} if you pay within {d} days.|{p} is our best so far.|Then {p}, freight {w}.|"
        "Let us say {p} and {m} months of warranty.",
        "我们可以出{p}元。|{p}元,{d}天交货。|我方报价{p}。|{p}元,配件再减{c}%怎么样?|太高了,{p}元?|"
        "{d}天内付款的话,{p}元。|"
        "目前最多{p}元。|那就{p}元,运费{w}。|{p}元,外加{m}个月保修。",
    ).split("|")
    terms = s.en_zh("ours|yours|shared|included", "我方承担|贵方承担|各半|包含在内").split("|")
    while high - low > 150:
        for agent, peer in ((a, b), (b, a)):
            if agent is a:
                low += int((high - low) * s.rng.uniform(0.08, 0.22))
            else:
                high -= int((high - low) * s.rng.uniform(0.08, 0.22))
            days -= s.rng.randint(0, 2)
            text = s.rng.choice(templates).format(
                p=low if agent is a else high,
                d=max(days, 7),
                c=cut + s.rng.randint(0, 6),
                w=s.rng.choice(terms),
                m=s.rng.choice((6, 12, 18, 24, 36)),
            )
            s.say(agent, text, peer)
    s.say(
        a,
        s.en_zh(f"Agreed at {high}. {s.work.name()} sends the contract.", f"成交,{high}元。{s.work.name()}发合同。"),
        b,
    )


def tutoring(s: Script) -> None:
    """A tutor asks and explains, a learner answers; exercise after exercise."""
    tutor, learner = s.agents[:2]
    role = {"role": "user"} if s.rng.random() < 0.5 else {}
    rng = s.rng
    s.say(
        learner, s.en_zh("I would like to practise fractions and percentages.", "我想练习分数和百分数。"), tutor, **role
    )
    asks = s.en_zh(
        "What is {a} times {b}?|A shop sells {a} {n} at {b} euro each. What do they cost?|{a} people share {c} "
        "{n}. How many "
        "does each get, and how many are left?|What is {d} percent of {c}?|{w} drives {c} kilometres in {a} "
        "hours. How fast is that?|"
        "Shorten the fraction {a}/{e}.|{w} has {c} {n} and gives away {a}. How many remain?",
        "{a}乘以{b}等于多少?|商店卖{a}个{n},每个{b}元,一共多少钱?|{a}个人分{c}个{n},每人几个,剩几个?|{c}的{d}%是多少?|"
        "{w}用{a}小时开了{c}公里,速度是多少?|把分数{a}/{e}约分。|{w}有{c}个{n},送出{a}个,还剩几个?",
    ).split("|")
    praise = s.en_zh(
        "Right. |Correct! |Well done. |Not quite: the rest is missing. |Good, and now: |Yes. ",
        "对。|正确!|很好。|差一点,漏了余数。|好,接着看:|是的。",
    ).split("|")
    things = s.en_zh(
        "apples marbles notebooks tulips stamps candles lemons bricks tickets buttons walnuts kites",
        "苹果 弹珠 本子 郁金香 邮票 蜡烛 柠檬 砖头 车票 纽扣 核桃 风筝",
    ).split()
    for i in range(rng.randint(14, 22)):
        a, b, c = rng.randint(3, 29), rng.randint(3, 90), rng.randint(100, 990)
        ask = rng.choice(asks).format(
            a=a,
            b=b,
            c=c,
            d=rng.choice((5, 12, 15, 20, 35, 60, 75)),
            e=a * rng.randint(2, 9),
            n=rng.choice(things),
            w=s.work.name(),
        )
        s.say(tutor, (rng.choice(praise) if i else "") + ask, learner)
        reply = s.en_zh(
            "I think {x}.|{x}|That gives {x}.|{x}, because {a} goes into it {y} times.|Is it {x}? I first took {y}.",
            "我想是{x}。|{x}|得到{x}。|{x},因为{a}在里面有{y}个。|是{x}吗?我先算了{y}。",
        ).split("|")
        s.say(learner, rng.choice(reply).format(x=a * b, a=a, y=c // a), tutor, **role)


def standup(s: Script) -> None:
    """Day after day everybody says in the same form what was done, what is next, what blocks."""
    s.open()
    form = s.en_zh("Yesterday: {0} Today: {1} Blockers: {2}", "昨天:{0}今天:{1}阻碍:{2}")
    for day in range(8):
        s.say(
            s.agents[0],
            s.en_zh(f"Stand-up, day {day + 1}. {s.agents[1]} first, please.", f"第{day + 1}天站会,{s.agents[1]}先来。"),
        )
        for agent in s.agents[1:]:
            block = s.work.sentence("finding", "question") if s.rng.random() < 0.4 else s.en_zh("none.", "无。")
            s.say(agent, form.format(s.work.sentence("done"), s.work.sentence("decision"), block), s.agents[0])


def headers(s: Script) -> None:
    """Every message carries the same long state header, of which only numbers move; below it there is real work."""
    s.open()
    count = len(s.agents)
    total = s.rng.randint(28, 40)
    goal = s.work.sentence("opening")
    for i in range(total):
        head = s.en_zh(
            f"=== STATE ===\nGoal: {goal}\nStep: {i + 1}/{total}\nBudget left: {100 - 2 * i}%\nAgents: "
            f"{', '.join(s.agents)}\n"
            "Rules: answer in short sentences, cite files, do not repeat what is known, hand over when "
            "done.\n=== MESSAGE ===\n",
            f"=== 状态 ===\n目标:{goal}\n步骤:{i + 1}/{total}\n剩余预算:{100 - 2 * i}%\n成员:{'、'.join(s.agents)}\n"
            "规则:句子要短,注明文件,不要重复已知内容,做完就移交。\n=== 正文 ===\n",
        )
        s.say(s.agents[i % count], head + s.work.message(s.rng.choice((1, 2, 3))), s.agents[(i + 1) % count])


def yes_user(s: Script) -> None:
    """A person who mostly answers yes; the agent goes on to the next thing each time."""
    agent = s.agents[0]
    s.open()
    yes = s.en_zh(
        "Yes.|Yes|Yes, please.|ok|Yes, go ahead.|Sure.|Yes, thanks.", "是的。|好|可以|嗯,继续。|好的。|行|是,谢谢。"
    ).split("|")
    ask = s.en_zh(
        "Shall I go on?|Is that right?|Do you agree?|May I do that?|", "要继续吗?|对吗?|您同意吗?|可以这样做吗?|"
    ).split("|")
    for _ in range(s.rng.randint(14, 24)):
        s.say(
            agent,
            s.work.message(s.rng.choice((1, 1, 2)), "decision", "done", "finding")
            + s.en_zh(" ", "")
            + s.rng.choice(ask),
            "user",
        )
        s.say(
            "user",
            s.rng.choice(yes) if s.rng.random() < 0.85 else s.work.sentence("objection", "question"),
            agent,
            role="user",
        )


def short_facts(s: Script) -> None:
    """Short messages, one fact each."""
    s.open()
    count = len(s.agents)
    for i in range(s.rng.randint(30, 60)):
        s.say(s.agents[i % count], s.work.sentence("short"), s.agents[(i + 1) % count])


def handoffs(s: Script) -> None:
    """A supervisor gives short instructions; workers bring results."""
    boss, *workers = s.agents
    s.open(to=boss)
    for _ in range(s.rng.randint(12, 20)):
        worker = s.rng.choice(workers)
        text = s.en_zh(f"{worker}, please: ", f"{worker},请处理:") + s.work.sentence("short", "question", "decision")
        s.say(boss, text, worker, kind="handoff" if s.rng.random() < 0.5 else "message")
        s.say(worker, s.work.message(s.rng.choice((1, 2, 2, 3)), "finding", "done"), boss)


def thanks_and_more(s: Script) -> None:
    """Every message begins with thanks and then brings something."""
    s.open()
    count = len(s.agents)
    for i in range(s.rng.randint(24, 44)):
        peer = s.agents[(i + 1) % count]
        polite = s.chatter.say(peer, s.rng.choice(("thanks", "thanks", "confirm")), sentences=1)
        tail = s.work.message(s.rng.choice((1, 2, 2, 3)))
        s.say(s.agents[i % count], polite + s.en_zh(" ", "") + tail, peer)


def free_team(s: Script) -> None:
    """A team that speaks in no order, in long and short messages, and comes to an end with a round of thanks."""
    s.open()
    for _ in range(s.rng.randint(40, 90)):
        speaker, peer = s.rng.sample(s.agents, 2)
        s.say(speaker, s.work.message(s.rng.choice((1, 1, 2, 2, 3, 5, 8))), peer if s.rng.random() < 0.6 else None)
    s.productive(1, answer=True)
    for agent in s.agents[:2]:
        s.say(agent, s.chatter.say(s.agents[2], "thanks", sentences=1))


def _kind(name: str, build: Callable[[Script], None], agents: tuple[int, ...], seeds: int = 6) -> Kind:
    return Kind(f"legitimate-{name}", name, build, agents, seeds, runaway=False)


KINDS = [
    _kind("pipeline", pipeline, (6,), 3),
    _kind("review-rounds", review, (2,)),
    _kind("quoted-review", quoted_review, (2,)),
    _kind("debate", debate, (2, 3, 4)),
    _kind("negotiation", negotiation, (2,)),
    _kind("tutoring", tutoring, (2,)),
    _kind("standup", standup, (5, 7), 5),
    _kind("state-headers", headers, (2, 3, 5)),
    _kind("yes-user", yes_user, (1,)),
    _kind("short-facts", short_facts, (2, 3)),
    _kind("handoffs", handoffs, (4, 6)),
    _kind("polite-but-productive", thanks_and_more, (2, 3)),
    _kind("free-team", free_team, (4, 8)),
]
