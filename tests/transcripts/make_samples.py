"""Makes the samples that real libraries write; run by hand where those are installed, never by the tests.

``pip install opentelemetry-sdk opentelemetry-exporter-otlp-proto-common autogen-agentchat==0.7.5 langchain``, then
``python tests/transcripts/make_samples.py [NAME ...]``.
"""

# mypy: ignore-errors

from __future__ import annotations

import asyncio
import base64
import json
import sys
from pathlib import Path
from typing import Any

SAMPLES = Path(__file__).parent / "samples"
#: 2026-11-01T09:30:00Z, in nanoseconds: the samples tell a time of their own.
BEGIN = 1793525400 * 10**9


def tracer() -> tuple[Any, Any, Any]:
    """A provider that keeps its spans, a tracer of it, and what gives the spans back as OTLP JSON with hex ids."""
    from google.protobuf.json_format import MessageToDict
    from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    memory = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(memory))

    def export() -> dict[str, Any]:
        document = MessageToDict(encode_spans(memory.get_finished_spans()))
        for resource in document["resourceSpans"]:
            for scope in resource["scopeSpans"]:
                for span in scope["spans"]:
                    # The library's JSON has base64; the specification of OTLP JSON has hexadecimal.
                    for field in ("traceId", "spanId", "parentSpanId"):
                        if field in span:
                            span[field] = base64.b64decode(span[field]).hex()
                    for link in span.get("links", ()):
                        for field in ("traceId", "spanId"):
                            link[field] = base64.b64decode(link[field]).hex()
        memory.clear()
        return document

    return provider, provider.get_tracer("sample"), export


class Clock:
    """Spans with times of their own, nested as the code is."""

    def __init__(self, otel: Any) -> None:
        self.otel, self.now, self.open = otel, 0, []

    def span(self, name: str, **attributes: Any) -> Clock:
        from opentelemetry import trace

        self.now += 1
        context = trace.set_span_in_context(self.open[-1]) if self.open else None
        names = {key.replace("__", "."): value for key, value in attributes.items()}
        self.open.append(self.otel.start_span(name, context, attributes=names, start_time=BEGIN + self.now * 10**9))
        return self

    def __enter__(self) -> Any:
        return self.open[-1]

    def __exit__(self, *_: object) -> None:
        self.now += 1
        self.open.pop().end(end_time=BEGIN + self.now * 10**9)


def text(role: str, content: str) -> dict[str, Any]:
    """A message of the GenAI conventions."""
    return {"role": role, "parts": [{"type": "text", "content": content}]}


def otlp() -> str:
    """The present conventions: a supervisor that calls an agent as a tool, one that hands over, parents with sums."""
    _, otel, export = tracer()
    clock = Clock(otel)
    chat = {"gen_ai__operation__name": "chat", "gen_ai__request__model": "gpt-5.5"}
    agent = {"gen_ai__operation__name": "invoke_agent", "gen_ai__conversation__id": "ticket-7"}
    tool = {"gen_ai__operation__name": "execute_tool"}

    def usage(given: int, back: int, **more: int) -> dict[str, Any]:
        return {"gen_ai__usage__input_tokens": given, "gen_ai__usage__output_tokens": back} | more

    with clock.span("POST /tickets"):
        with clock.span("invoke_agent planner", **agent, gen_ai__agent__name="planner", **usage(2100, 95)):
            asked = [text("system", "You plan."), text("user", "Import the orders.")]
            call = {"type": "tool_call", "id": "c1", "name": "describe", "arguments": {"table": "orders"}}
            said = [{"role": "assistant", "parts": [call], "finish_reason": "tool_call"}]
            with clock.span(
                "chat gpt-5.5",
                **chat,
                **usage(
                    900, 20, gen_ai__usage__cache_read__input_tokens=256, gen_ai__usage__reasoning__output_tokens=8
                ),
                gen_ai__input__messages=json.dumps(asked),
                gen_ai__output__messages=json.dumps(said),
            ):
                pass
            with clock.span(
                "execute_tool describe",
                **tool,
                gen_ai__tool__name="describe",
                gen_ai__tool__call__id="c1",
                gen_ai__tool__call__arguments='{"table": "orders"}',
                gen_ai__tool__call__result="41,208 rows",
            ):
                pass
            with (
                clock.span("execute_tool ask_reviewer", **tool, gen_ai__tool__name="ask_reviewer"),
                clock.span("invoke_agent reviewer", **agent, gen_ai__agent__name="reviewer", **usage(700, 30)),
                clock.span(
                    "chat gpt-5.5",
                    **chat,
                    **usage(700, 30),
                    gen_ai__input__messages=json.dumps([text("user", "41,208 rows: is one batch enough?")]),
                    gen_ai__output__messages=json.dumps([text("assistant", "One batch is enough.")]),
                ),
            ):
                pass
            with clock.span(
                "chat gpt-5.5",
                **chat,
                **usage(500, 45),
                gen_ai__output__messages=json.dumps(
                    [text("assistant", "Over to you, loader: one batch, Tuesday 06:00.")]
                ),
            ):
                pass
            with clock.span(
                "execute_tool transfer",
                **tool,
                gen_ai__tool__name="transfer_to_loader",
                gen_ai__transfer__mode="handoff",
                gen_ai__transfer__target__name="loader",
            ):
                pass
        with (
            clock.span("invoke_agent loader", **agent, gen_ai__agent__name="loader", gen_ai__caller__name="planner"),
            clock.span(
                "chat gpt-5.5",
                **chat,
                **usage(300, 12),
                gen_ai__output__messages=json.dumps([text("assistant", "Loaded, 3 rows refused.")]),
            ),
            clock.span("execute_tool load", **tool, gen_ai__tool__name="load") as failed,
        ):
            from opentelemetry.trace import StatusCode

            failed.set_status(StatusCode.ERROR, "3 rows refused")
    return json.dumps(export()) + "\n"


def otlp_old() -> str:
    """Names that came before: prompt and completion tokens, indexed prompts, events with content, no operations."""
    _, otel, export = tracer()
    clock = Clock(otel)
    lines = []
    old = {"gen_ai__system": "openai", "gen_ai__request__model": "gpt-4o"}
    with clock.span("crew.workflow", traceloop__span__kind="workflow", traceloop__entity__name="crew"):
        with (
            clock.span("writer.agent", traceloop__span__kind="agent", traceloop__entity__name="writer"),
            clock.span(
                "openai.chat",
                **old,
                gen_ai__usage__prompt_tokens=120,
                gen_ai__usage__completion_tokens=9,
                gen_ai__prompt__0__role="user",
                gen_ai__prompt__0__content="Write a title.",
                gen_ai__completion__0__role="assistant",
                gen_ai__completion__0__content="Orders, 2019 to 2024",
                gen_ai__completion__0__tool_calls__0__name="save",
                gen_ai__completion__0__tool_calls__0__arguments='{"title": "Orders"}',
            ),
        ):
            pass
        with (
            clock.span("critic.agent", traceloop__span__kind="agent", traceloop__entity__name="critic"),
            clock.span(
                "openai.chat", **old, gen_ai__usage__prompt_tokens=150, gen_ai__usage__completion_tokens=4
            ) as span,
        ):
            span.add_event("gen_ai.user.message", {"content": "Judge the title."})
            span.add_event("gen_ai.choice", {"content": "Too long.", "index": 0})
    lines.append(json.dumps(export()))
    with clock.span("chat", **old, gen_ai__operation__name="chat", gen_ai__agent__name="solo") as span:
        span.add_event("gen_ai.content.prompt", {"gen_ai.prompt": json.dumps([{"role": "user", "content": "你好"}])})
        span.add_event(
            "gen_ai.content.completion", {"gen_ai.completion": json.dumps([{"role": "assistant", "content": "您好"}])}
        )
    lines.append(json.dumps(export()))
    return "\n".join(lines) + "\n"


def otlp_autogen() -> str:
    """What AutoGen 0.7 itself records of a team of two."""
    from autogen_agentchat.agents import AssistantAgent
    from autogen_agentchat.conditions import MaxMessageTermination
    from autogen_agentchat.teams import RoundRobinGroupChat
    from autogen_core import SingleThreadedAgentRuntime

    provider, _, export = tracer()
    runtime = SingleThreadedAgentRuntime(tracer_provider=provider)

    async def run() -> None:
        from opentelemetry import trace

        trace.set_tracer_provider(provider)
        agents = [AssistantAgent(name, replay(lines), description=name) for name, lines in LINES.items()]
        team = RoundRobinGroupChat(agents, termination_condition=MaxMessageTermination(5), runtime=runtime)
        runtime.start()
        with provider.get_tracer("sample").start_as_current_span("run"):
            await team.run(task="Plan the import.")
        await runtime.stop()

    asyncio.run(run())
    return json.dumps(export()) + "\n"


LINES = {"ann": ["Draft: one batch.", "Two batches then."], "bob": ["One is too large.", "Agreed."]}


def replay(lines: list[Any]) -> Any:
    """A model of AutoGen's that says what it is given, or calls its tool with it."""
    from autogen_core import FunctionCall
    from autogen_core.models import ChatCompletionClient, CreateResult, ModelInfo, RequestUsage

    class Replay(ChatCompletionClient):
        def __init__(self) -> None:
            self.left = list(lines)

        async def create(self, messages: Any, **_: Any) -> CreateResult:
            usage = RequestUsage(prompt_tokens=100 + 10 * len(messages), completion_tokens=7)
            line = self.left.pop(0)
            if isinstance(line, dict):
                line = [FunctionCall(id="c1", name="count", arguments=json.dumps(line))]
            return CreateResult(finish_reason="stop", content=line, usage=usage, cached=False)

        def create_stream(self, *_: Any, **__: Any) -> Any:
            raise NotImplementedError

        async def close(self) -> None: ...

        def actual_usage(self) -> RequestUsage:
            return RequestUsage(prompt_tokens=0, completion_tokens=0)

        total_usage = actual_usage

        def count_tokens(self, *_: Any, **__: Any) -> int:
            return 0

        remaining_tokens = count_tokens

        @property
        def capabilities(self) -> Any:
            return self.model_info

        @property
        def model_info(self) -> ModelInfo:
            return ModelInfo(
                vision=False, function_calling=True, json_output=False, family="unknown", structured_output=False
            )

    return Replay()


def langsmith() -> str:
    """What LangChain's own tracer records of a graph: an agent with a tool, then a reviewer, twice."""
    from langchain.agents import create_agent
    from langchain_core.language_models import GenericFakeChatModel
    from langchain_core.messages import AIMessage
    from langchain_core.tracers.run_collector import RunCollectorCallbackHandler
    from langgraph.graph import END, START, MessagesState, StateGraph

    usage = {"input_tokens": 900, "output_tokens": 20, "total_tokens": 920, "input_token_details": {"cache_read": 256}}

    class Model(GenericFakeChatModel):
        def bind_tools(self, tools: Any, **_: Any) -> Any:
            return self

    def describe(table: str) -> str:
        """Describe a table."""
        return f"{table}: 41,208 rows"

    def says(*lines: Any) -> Any:
        return Model(messages=iter([AIMessage(**line, usage_metadata=usage) for line in lines]))

    call = {"name": "describe", "args": {"table": "orders"}, "id": "c1"}
    model = says({"content": "", "tool_calls": [call]}, {"content": "One batch?"}, {"content": "Two batches, then."})
    judge = says({"content": "One is too large."}, {"content": "Agreed."})

    def reviewer(state: Any) -> Any:
        return {"messages": [judge.invoke(state["messages"])]}

    builder = StateGraph(MessagesState)
    builder.add_node("planner", create_agent(model, [describe], name="planner"))
    builder.add_node("reviewer", reviewer)
    builder.add_edge(START, "planner")
    builder.add_edge("planner", "reviewer")
    builder.add_conditional_edges("reviewer", lambda state: END if len(state["messages"]) > 5 else "planner")
    collector = RunCollectorCallbackHandler()
    config = {"callbacks": [collector], "metadata": {"thread_id": "ticket-7"}}
    builder.compile().invoke({"messages": [("user", "Import the orders.")]}, config)
    fields = [
        "id",
        "trace_id",
        "parent_run_id",
        "dotted_order",
        "name",
        "run_type",
        "start_time",
        "end_time",
        "error",
        "inputs",
        "outputs",
    ]
    lines = []

    def write(run: Any) -> None:
        record = {field: getattr(run, field) for field in fields}
        record["extra"] = {"metadata": (run.extra or {}).get("metadata", {})}
        lines.append(
            json.dumps(record, default=lambda value: value.model_dump() if hasattr(value, "model_dump") else str(value))
        )
        for child in run.child_runs:
            write(child)

    for run in collector.traced_runs:
        write(run)
    return "\n".join(lines) + "\n"


def autogen_team() -> Any:
    """Two agents of AutoGen, one with a tool."""
    from autogen_agentchat.agents import AssistantAgent
    from autogen_agentchat.conditions import MaxMessageTermination
    from autogen_agentchat.teams import RoundRobinGroupChat

    def count(table: str) -> str:
        """Count the rows of a table."""
        return f"{table}: 41,208 rows"

    agents = [
        AssistantAgent("ann", replay(LINES["ann"]), description="ann"),
        AssistantAgent("bob", replay([{"table": "orders"}, *LINES["bob"]]), tools=[count], description="bob"),
    ]
    return RoundRobinGroupChat(agents, termination_condition=MaxMessageTermination(5))


def autogen() -> str:
    """The ``TaskResult`` of a run."""
    return asyncio.run(autogen_team().run(task="Plan the import.")).model_dump_json(indent=1) + "\n"


def autogen_state() -> str:
    """The state that the same team saves."""

    async def run() -> Any:
        team = autogen_team()
        await team.run(task="Plan the import.")
        return await team.save_state()

    return json.dumps(asyncio.run(run()), indent=1) + "\n"


MAKERS = {
    "otlp.json": otlp,
    "otlp-old.jsonl": otlp_old,
    "otlp-autogen.json": otlp_autogen,
    "langsmith.jsonl": langsmith,
    "autogen.json": autogen,
    "autogen-state.json": autogen_state,
}

if __name__ == "__main__":
    for name in sys.argv[1:] or MAKERS:
        (SAMPLES / name).write_text(MAKERS[name](), "utf-8")
