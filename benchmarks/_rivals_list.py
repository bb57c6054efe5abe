"""The rivals: what is installed for each, how it is driven, and what our messages become for it."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["OURS", "RIVALS", "Rival"]

#: Name of our own rows, and the mode that everything is compared with.
OURS = "agentbreaker"


@dataclass(frozen=True)
class Rival:
    """One rival.

    Attributes:
        name: Its name on the package index.
        driver: File in ``benchmarks/rival_drivers``.
        modes: The ways to use it that are measured, each a row.
        mapping: What our messages become for it, in one sentence.
        requirements: What pip installs, with the version that was measured; nothing for what is here already.
        python: The oldest Python that it can be installed on.
    """

    name: str
    driver: str
    modes: tuple[str, ...]
    mapping: str
    requirements: tuple[str, ...] = field(default=())
    python: tuple[int, int] = (3, 11)


_CALL = "a message to another agent is a call `message_RECIPIENT` with the text as its argument"

RIVALS = (
    Rival(
        OURS,
        "drive_agentbreaker.py",
        ("default policy",),
        "Each message as it is, to `Guard.observe`; the clock follows the recorded times.",
    ),
    Rival(
        "tokencircuit",
        "drive_tokencircuit.py",
        ("engine", "LangGraph hook"),
        "One shared list of chat messages, agents as assistant, calls that follow each other as one parallel call; "
        "asked after every message that is no call, which is before the next model call.",
        ("tokencircuit[langgraph]==8.1.0",),
    ),
    Rival(
        "longguard",
        "drive_longguard.py",
        ("defaults", "caps lifted"),
        "A step for each message of an agent (its text is the thought) and for each finished tool call (the call is "
        "the thought, the result the observation); `kill` is a halt, `reflect` is not.",
        ("longguard==0.1.4",),
    ),
    Rival(
        "agentguard47",
        "drive_agentguard47.py",
        ("LoopGuard, default profile", "with FuzzyLoopGuard"),
        f"`check` before every tool call; {_CALL}.",
        ("agentguard47==2.0.0",),
    ),
    Rival(
        "loopguard-runtime",
        "drive_loopguard_runtime.py",
        ("default detectors",),
        "A message is a step of its recipient with the sender as `caller`, a tool call a decision and an observation "
        "of its agent, as its reader of saved traces does it; STOP is a halt.",
        ("loopguard-runtime==0.2.1",),
    ),
    Rival(
        "py-agentbrake",
        "drive_py_agentbrake.py",
        ("local mode",),
        "Every tool call goes through the guarded function, which returns or raises what is recorded; "
        f"{_CALL}; all tools are allowed, spending is unlimited.",
        ("py-agentbrake==0.3.5",),
    ),
    Rival(
        "agentbreaker-sdk",
        "drive_agentbreaker_sdk.py",
        ("defaults", "caps lifted"),
        f"A model call with its tool for every tool call; {_CALL}; its rules are shown the recorded times, or 5 s a "
        "message.",
        ("agentbreaker-sdk==2.1.0",),
    ),
    Rival(
        "agentbelt-loop",
        "drive_agentbelt_loop.py",
        ("a detector for each conversation", "one detector, which learns"),
        f"`record` and `check` for every finished tool call with its result; {_CALL}, and what was delivered as its "
        "result.",
        ("agentbelt-loop==0.1.1",),
    ),
    Rival(
        "agent-loop-guard",
        "drive_agent_loop_guard.py",
        ("defaults",),
        f"`check` for every finished tool call with its output; {_CALL} and no output; STOP and ESCALATE are halts.",
        ("agent-loop-guard==0.1.1",),
    ),
    Rival(
        "agent-watchdog",
        "drive_agent_watchdog.py",
        ("defaults",),
        f"`record_tool_call` for every call and `record_tokens` for every message; {_CALL}.",
        ("agent-watchdog==0.1.5",),
    ),
    Rival(
        "monetise-circuit-breaker",
        "drive_monetise_circuit_breaker.py",
        ("budget-guard", "loop-killer"),
        "An iteration for every answer of a model (a message, or calls that follow each other), with the latest "
        "message before it as the state, as its adapter for LangChain does it, and the tokens of each.",
        ("monetise-circuit-breaker==0.1.1",),
    ),
    Rival(
        "openhands-sdk",
        "drive_openhands_sdk.py",
        ("defaults",),
        f"A stuck detector for each agent over real events of the SDK: its calls and results ({_CALL}), and what "
        "others say to it as messages of its user; a stand-in for the conversation's state holds the events.",
        ("openhands-sdk==1.58.2",),
        (3, 12),
    ),
    Rival(
        "langchain",
        "drive_langchain.py",
        ("ModelCallLimit 10/5", "ToolCallLimit 20/10"),
        "The hooks of the middleware around every message and call of an agent, each with a state of its own, a new "
        "run after each answer; the limits are those of its examples, as it has no defaults.",
        ("langchain==1.5.2",),
    ),
    Rival(
        "autogen-agentchat",
        "drive_autogen.py",
        ("MaxMessage 10 or APPROVE", "TextMention TERMINATE"),
        "Every message is a `TextMessage`, as a team gives it to its condition; tool calls are none; the conditions "
        "are those of its documentation, as it has no defaults; its cost here includes entering the event loop.",
        ("autogen-agentchat==0.7.5",),
    ),
    Rival(
        "deepeval",
        "drive_deepeval.py",
        ("defaults",),
        "A trace with a model span for every message of an agent and a tool span for every call, measured anew after "
        "each; a failed metric is a halt.",
        ("deepeval==4.3.1",),
    ),
)
