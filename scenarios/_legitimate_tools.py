"""Legitimate work with tools that looks like a loop: polls, pages, batches, edit and test, map and reduce, retries."""

from __future__ import annotations

import json
from collections.abc import Callable

from _kinds import Kind
from _runaways_tools import report
from _script import Script

__all__ = ["KINDS"]


def polling(s: Script) -> None:
    """A job is polled; its progress moves."""
    agent = s.agents[0]
    rng = s.rng
    s.timed()
    s.open()
    job = {"job": f"{s.work.fill('host')}-{rng.randint(100, 999)}"}
    s.tool(agent, "start_job", {"subject": s.work.topic()}, json.dumps({**job, "state": "queued"}))
    done = 0
    while done < 100:
        s.wait(rng.choice((10, 30, 60)))
        done = min(100, done + rng.randint(2, 9))
        s.tool(agent, "job_status", job, json.dumps({"state": "running" if done < 100 else "done", "progress": done}))
    s.say(agent, s.work.sentence("answer"), "user")


def long_polling(s: Script) -> None:
    """A job is polled up to twenty times with the same answer, with waits between; then it is done."""
    agent = s.agents[0]
    rng = s.rng
    s.timed()
    s.open()
    job = {"job": f"{s.work.fill('host')}-{rng.randint(100, 999)}"}
    s.tool(agent, "start_job", {"subject": s.work.topic()}, json.dumps({**job, "state": "queued"}))
    pause = rng.choice((30, 60, 300))
    for _ in range(rng.randint(8, 20)):
        s.wait(pause)
        s.tool(agent, "job_status", job, json.dumps({**job, "state": "running"}))
    s.wait(pause)
    s.tool(agent, "job_status", job, json.dumps({**job, "state": "done", "rows": rng.randint(1000, 90000)}))
    s.say(agent, s.work.message(2, "answer", "finding"), "user")


def pagination(s: Script) -> None:
    """Page after page of a list."""
    agent = s.agents[0]
    s.open()
    pages = s.rng.randint(15, 40)
    for page in range(1, pages + 1):
        rows = [
            {"id": s.work.fill("lot"), "name": s.work.topic(), "owner": s.work.name(), "value": s.work.fill("dec")}
            for _ in range(s.rng.randint(3, 8))
        ]
        result = {"page": page, "pages": pages, "items": rows}
        s.tool(agent, "list_items", {"page": page, "size": 8}, json.dumps(result, ensure_ascii=False))
    s.say(agent, s.work.message(3, "answer", "finding"), "user")


def batch(s: Script) -> None:
    """A hundred files, one call each, answered with ok or something small."""
    agent = s.agents[0]
    s.open()
    style = s.rng.choice(("ok", "json", "lines", "empty"))
    for i in range(100):
        path = f"{s.work.fill('place')}/{s.work.fill('file')}" if s.rng.random() < 0.5 else f"scans/{i + 1:04d}.tif"
        result = {
            "ok": "ok",
            "json": '{"ok": true}',
            "lines": s.en_zh(f"converted, {s.rng.randint(3, 900)} lines", f"已转换,{s.rng.randint(3, 900)}行"),
            "empty": "",
        }[style]
        s.tool(agent, "convert", {"path": path, "to": "pdf"}, result)
    s.say(agent, s.work.message(2, "answer", "done"), "user")


def edit_run_test(s: Script) -> None:
    """Edit, run the same test command, another failure; until it passes."""
    agent = s.agents[0]
    rng = s.rng
    s.open()
    path = s.work.fill("file")
    left = rng.randint(12, 22)
    command = f"pytest -q tests/test_{path.split('.')[0]}.py"
    passed = rng.randint(10, 40)
    while left:
        s.say(agent, s.work.message(rng.choice((1, 2)), "finding", "decision", "objection"))
        old, new = s.work.fill("func"), s.work.fill("func")
        edit = f"sed -i '{rng.randint(4, 400)}s/{old}/{new}/' {s.work.fill('file') if rng.random() < 0.4 else path}"
        s.tool(agent, "bash", edit, "")
        left -= rng.choice((0, 1, 1))
        if left:
            name = s.work.fill("func").removesuffix("()")
            kind = rng.choice(("ValueError", "KeyError", "AssertionError", "TypeError"))
            out = f"FAILED test_{name} - {kind}: {s.work.fill('column')} {s.work.fill('int3')}\n"
            out += f"{left} failed, {passed} passed"
        else:
            out = f"{passed + 9} passed"
        passed += rng.randint(0, 2)
        s.tool(agent, "bash", command, out)
    s.say(agent, s.work.message(2, "answer", "done"), "user")


def map_reduce(s: Script) -> None:
    """The same prompt to many workers, other results from each."""
    boss, *workers = s.agents
    s.open(to=boss)
    prompt = s.work.message(2, "question") + s.en_zh(
        " Answer in at most three sentences, for your part of the data only.", "请只针对您那部分数据,用最多三句话回答。"
    )
    for worker in workers:
        s.say(boss, prompt, worker)
    for worker in s.rng.sample(workers, len(workers)):
        s.say(worker, s.work.message(s.rng.randint(1, 3), "finding", "short"), boss)
    s.say(boss, s.work.message(3, "answer", "decision"), "user")


def backoff(s: Script) -> None:
    """A call fails with the same error, is tried again after longer and longer waits, and succeeds; several times."""
    agent = s.agents[0]
    s.timed()
    s.open()
    for _ in range(s.rng.randint(3, 6)):
        what = {"subject": s.work.topic()}
        error = s.rng.choice(
            (
                "HTTP 503: service unavailable",
                "Error: connection timed out",
                "HTTP 429: too many requests",
                "Error: temporarily locked",
            )
        )
        for attempt in range(s.rng.randint(1, 4)):
            s.tool(agent, "fetch", what, error, error=True)
            s.wait(2 ** (attempt + 1))
        s.tool(agent, "fetch", what, s.work.message(3, "finding", "short"))
        s.say(agent, s.work.message(1, "finding", "done"))
    s.say(agent, s.work.sentence("answer"), "user")


def boilerplate(s: Script) -> None:
    """Long tool results of which most is the same: navigation, disclaimers, table heads; the middle differs."""
    agent = s.agents[0]
    s.open()
    top = [s.work.sentence("short") for _ in range(14)]
    bottom = report(s, 24, "report")
    for _ in range(s.rng.randint(14, 24)):
        what = s.work.topic()
        middle = [s.work.sentence("finding", "short", "done") for _ in range(s.rng.randint(2, 4))]
        s.tool(agent, "open_page", {"subject": what}, "\n".join([*top, *middle, *bottom]))
        if s.rng.random() < 0.5:
            s.say(agent, s.work.message(1, "finding", "question"))
    s.say(agent, s.work.message(2, "answer", "finding"), "user")


def _kind(name: str, build: Callable[[Script], None], agents: tuple[int, ...], seeds: int = 6) -> Kind:
    return Kind(f"legitimate-{name}", name, build, agents, seeds, runaway=False)


KINDS = [
    _kind("moving-status", polling, (1,)),
    _kind("unchanged-status", long_polling, (1,)),
    _kind("pagination", pagination, (1,)),
    _kind("batch-of-100", batch, (1,), 4),
    _kind("edit-run-test", edit_run_test, (1,)),
    _kind("map-reduce", map_reduce, (9, 13, 21)),
    _kind("backoff", backoff, (1,)),
    _kind("boilerplate", boilerplate, (1,), 4),
]
