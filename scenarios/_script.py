"""A conversation while it is written: lines of the transcript format, and what is expected of it."""

from __future__ import annotations

import datetime as dt
import json
import random
from typing import Any

from _grammar import seeded
from _work import Chatter, Work

__all__ = ["Script", "agent_names"]

#: Messages that make a lap at least, and laps within which a runaway must be halted.
_SHORTEST_LAP = 6
_LAPS = 3
_NAMES = {
    "en": "planner reviewer coder tester writer editor analyst researcher architect scheduler auditor librarian "
    "translator buyer controller designer dispatcher moderator recorder summariser validator navigator optimiser "
    "estimator archivist",
    "zh": "规划 评审 编码 测试 撰稿 编辑 分析 研究 架构 排程 审计 资料 翻译 采购 财务 设计 调度 主持 记录 总结 "
    "校验 导航 优化 估算 归档",
}


def agent_names(lang: str, count: int, rng: random.Random) -> list[str]:
    """Names of agents; beyond the number of roles they are numbered."""
    roles = _NAMES[lang].split()
    rng.shuffle(roles)
    return [roles[i % len(roles)] + (f"-{i // len(roles) + 1}" if count > len(roles) else "") for i in range(count)]


class Script:
    """One conversation: its lines so far, its world, and where its loop begins, if it has one."""

    def __init__(self, conversation_id: str, lang: str, agents: int = 2, domain: str | None = None) -> None:
        self.id = conversation_id
        self.lang = lang
        self.rng = seeded("script", conversation_id)
        self.work = Work(lang, conversation_id, domain)
        self.agents = agent_names(lang, agents, self.rng)
        self.topics = [self.work.topic() for _ in range(3)]
        self.chatter = Chatter(lang, self.rng, self.topics)
        self.lines: list[dict[str, Any]] = []
        self.onset: int | None = None
        self.halt_from = 0
        self.halt_by = 0
        self._calls = 0
        self._clock: dt.datetime | None = None

    # -- writing

    def timed(self) -> None:
        """Give every line from now on a timestamp."""
        self._clock = dt.datetime(2026, 3, self.rng.randint(1, 28), self.rng.randint(5, 20), tzinfo=dt.UTC)

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        assert self._clock is not None  # noqa: S101
        self._clock += dt.timedelta(seconds=seconds)

    def say(self, sender: str, content: str, to: str | None = None, **fields: Any) -> None:
        """Append a message."""
        line: dict[str, Any] = {"conversation_id": self.id, "sender": sender}
        if to is not None:
            line["recipient"] = to
        line.update(fields, content=content)
        if self._clock is not None:
            self.wait(self.rng.uniform(0.8, 9))
            line["timestamp"] = self._clock.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        self.lines.append(line)

    def tool(self, agent: str, name: str, arguments: dict[str, Any] | str, result: str, *, error: bool = False) -> None:
        """Append a tool call and its result."""
        self.call(agent, name, arguments)
        self.result(agent, name, self._calls - 1, result, error=error)

    def call(self, agent: str, name: str, arguments: dict[str, Any] | str, to: str = "env", **fields: Any) -> int:
        """Append a tool call; return its number."""
        call = {"name": name, "call_id": f"c{self._calls}", "arguments": arguments}
        content = arguments if isinstance(arguments, str) else f"{name}({json.dumps(arguments, ensure_ascii=False)})"
        self.say(agent, content, to, kind="tool_call", tool=call, **fields)
        self._calls += 1
        return self._calls - 1

    def result(self, agent: str, name: str, number: int, result: str, *, error: bool = False, by: str = "env") -> None:
        """Append the result of a call."""
        tool: dict[str, Any] = {"name": name, "call_id": f"c{number}"}
        if error:
            tool["is_error"] = True
        self.say(by, result, agent, kind="tool_result", tool=tool)

    def en_zh(self, english: str, chinese: str) -> str:
        """The one of two texts that is in the language of the conversation."""
        return chinese if self.lang == "zh" else english

    # -- pieces that many conversations share

    def open(self, sender: str = "user", to: str | None = None) -> None:
        """The task, given by a person."""
        self.say(sender, self.work.sentence("opening"), to or self.agents[0], role="user")

    def productive(self, messages: int, agents: list[str] | None = None, *, answer: bool = False) -> None:
        """Honest work among the agents, by turns; the last message may be the answer."""
        agents = agents or self.agents
        rng = self.rng
        for i in range(messages):
            last = answer and i == messages - 1
            intents = ("answer",) if last else ("finding", "decision", "objection", "question", "done", "finding")
            text = self.work.message(1 if last else rng.choice((1, 1, 2, 2, 3, 4)), *intents)
            self.say(agents[i % len(agents)], text, agents[(i + 1) % len(agents)] if len(agents) > 1 else None)

    # -- expectation

    def loop(self) -> None:
        """The loop begins with the next message."""
        self.onset = len(self.lines)

    def expect(self, evident: int = 4, lap: int = 2) -> None:
        """A fair observer sees the loop at its `evident`-th message; a lap is so many messages."""
        assert self.onset is not None  # noqa: S101
        self.halt_from = self.onset + max(evident, 4) - 1
        self.halt_by = self.halt_from + _LAPS * max(lap, _SHORTEST_LAP)

    @property
    def needed(self) -> int:
        """Messages that a runaway must have, so that it can still be halted in its window and runs on a little."""
        return self.halt_by + 6

    def dump(self) -> str:
        """The lines as JSON Lines."""
        return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in self.lines)
