"""Makes the samples of teams of other shapes: handoffs, orchestrators, graphs within graphs, logs, graders.

Run by hand where the libraries are installed, never by the tests: ``python tests/transcripts/make_team_samples.py
NAME ...`` needs ``autogen-agentchat``, or ``langgraph-swarm``, ``langgraph-supervisor`` and
``langgraph-checkpoint-sqlite`` with ``openinference-instrumentation-langchain`` and
``opentelemetry-instrumentation-langchain``, or ``opentelemetry-instrumentation-openai-v2``, or ``inspect-ai``.
"""

# mypy: ignore-errors

from __future__ import annotations

import asyncio
import base64
import io
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from make_framework_samples import closed  # noqa: E402

SAMPLES = HERE / "samples"


# -- AutoGen ----------------------------------------------------------------------------------------------------------


def autogen_log(team: str) -> str:
    """What the logger writes of a team whose model client logs its calls, as those of ``autogen_ext`` do."""
    import logging

    from autogen_agentchat.agents import AssistantAgent
    from autogen_agentchat.conditions import TextMentionTermination
    from autogen_agentchat.teams import MagenticOneGroupChat, Swarm
    from autogen_core import EVENT_LOGGER_NAME, FunctionCall
    from autogen_core.logging import LLMCallEvent
    from autogen_core.models import ChatCompletionClient, CreateResult, ModelFamily, RequestUsage

    logger = logging.getLogger(EVENT_LOGGER_NAME)
    info = {
        "vision": False,
        "function_calling": True,
        "json_output": True,
        "family": ModelFamily.UNKNOWN,
        "structured_output": True,
    }

    class Client(ChatCompletionClient):
        def __init__(self, *lines: Any) -> None:
            self.lines, self.calls = lines, 0

        async def create(self, messages: Any, **_: Any) -> Any:
            self.calls += 1
            line, usage = self.lines[self.calls - 1], RequestUsage(100 + self.calls, 10 + self.calls)
            response = {"model": "gpt-4o-mini"}
            logger.info(
                LLMCallEvent(
                    messages=[],
                    response=response,
                    prompt_tokens=usage.prompt_tokens,
                    completion_tokens=usage.completion_tokens,
                )
            )
            if isinstance(line, str):
                return CreateResult(finish_reason="stop", content=line, usage=usage, cached=False)
            calls = [
                FunctionCall(id=f"{name}_{self.calls}_{number}", name=name, arguments=json.dumps(arguments))
                for number, (name, arguments) in enumerate(line)
            ]
            return CreateResult(finish_reason="function_calls", content=calls, usage=usage, cached=False)

        async def create_stream(self, messages: Any, **options: Any) -> Any:
            yield await self.create(messages, **options)

        async def close(self) -> None:
            pass

        def actual_usage(self) -> Any:
            return RequestUsage(0, 0)

        total_usage = actual_usage

        def count_tokens(self, messages: Any, **_: Any) -> int:
            return 1

        remaining_tokens = count_tokens

        @property
        def capabilities(self) -> Any:
            return info

        model_info = capabilities

    async def weather(city: str) -> str:
        """Tell the weather of a city."""
        return f"{city}: rain"

    async def seat(row: str) -> str:
        """Book a seat."""
        raise ValueError(f"no row {row}")

    def ledger(done: bool, speaker: str) -> str:
        answers = {
            "is_request_satisfied": done,
            "is_in_loop": False,
            "is_progress_being_made": True,
            "next_speaker": speaker,
            "instruction_or_question": f"Do it, {speaker}.",
        }
        return json.dumps({name: {"reason": "So it is.", "answer": answer} for name, answer in answers.items()})

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "events.log")
        handler = logging.FileHandler(path)
        logger.setLevel(logging.INFO)
        logger.addHandler(handler)
        if team == "swarm":
            triage = Client([("transfer_to_flights", {})], "All done. TERMINATE")
            flights = Client([("weather", {"city": "Oslo"}), ("seat", {"row": "F"})], [("transfer_to_triage", {})])
            agents = [
                AssistantAgent("triage", triage, handoffs=["flights"]),
                AssistantAgent("flights", flights, tools=[weather, seat], handoffs=["triage"]),
            ]
            made = Swarm(agents, termination_condition=TextMentionTermination("TERMINATE"))
        else:
            orchestrator = Client(
                "No facts.",
                "Ask the coder.",
                ledger(False, "coder"),
                ledger(False, "tester"),
                ledger(True, "coder"),
                "The answer is 42.",
            )
            coder = AssistantAgent("coder", Client("x = 42"), description="Writes code.")
            tester = AssistantAgent("tester", Client("The tests pass."), description="Tests it.")
            made = MagenticOneGroupChat([coder, tester], model_client=orchestrator)
        asyncio.run(made.run(task="Find out."))
        handler.close()
        return path.read_text("utf-8")


# -- LangGraph --------------------------------------------------------------------------------------------------------


def scripted(*lines: Any) -> Any:
    """A chat model that says lines, or calls tools, also piece by piece."""
    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import AIMessage, AIMessageChunk
    from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

    class Model(BaseChatModel):
        answers: Any

        @property
        def _llm_type(self) -> str:
            return "scripted"

        def bind_tools(self, tools: Any, **_: Any) -> Any:
            return self

        def _generate(self, messages: Any, stop: Any = None, run_manager: Any = None, **_: Any) -> Any:
            return ChatResult(generations=[ChatGeneration(message=next(self.answers))])

        def _stream(self, messages: Any, stop: Any = None, run_manager: Any = None, **_: Any) -> Any:
            answer = next(self.answers)

            def piece(**fields: Any) -> Any:
                return ChatGenerationChunk(message=AIMessageChunk(id=answer.id, **{"content": "", **fields}))

            for word in answer.content.split():
                yield piece(content=word + " ")
            calls = [
                {"name": call["name"], "args": json.dumps(call["args"]), "id": call["id"], "index": index}
                for index, call in enumerate(answer.tool_calls)
            ]
            if calls:
                yield piece(tool_call_chunks=calls)
            yield piece(usage_metadata=answer.usage_metadata, response_metadata=answer.response_metadata)

    answers = []
    for number, line in enumerate(lines, 1):
        usage = {"input_tokens": 100 + number, "output_tokens": 10, "total_tokens": 110 + number}
        text, calls = (line, []) if isinstance(line, str) else ("", line)
        named = {"response_metadata": {"model_name": "gpt-4o-mini"}, "usage_metadata": usage}
        answers.append(AIMessage(content=text, tool_calls=calls, id=f"run-{id(lines)}-{number}", **named))
    return Model(answers=iter(answers))


def call(name: str, **arguments: Any) -> dict[str, Any]:
    """A tool call."""
    return {"name": name, "args": arguments, "id": f"{name}-{arguments.get('a', 0)}"}


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def supervisor(**options: Any) -> Any:
    """A boss that hands over to a mathematician, who works in a graph of its own."""
    from langchain.agents import create_agent
    from langgraph_supervisor import create_supervisor

    mathematician = scripted([call("add", a=1, b=2), call("add", a=3, b=4)], "Three and seven.")
    boss = scripted([call("transfer_to_math")], "All done.")
    math = create_agent(mathematician, [add], name="math")
    return create_supervisor([math], model=boss, supervisor_name="boss").compile(**options)


def swarm(**options: Any) -> Any:
    """Two agents of which one hands over to the other."""
    from langchain.agents import create_agent
    from langgraph_swarm import create_handoff_tool, create_swarm

    alice = create_agent(
        scripted([call("transfer_to_bob")], "I am back."), [create_handoff_tool(agent_name="bob")], name="alice"
    )
    bob = create_agent(scripted("Bob here."), [create_handoff_tool(agent_name="alice")], name="bob")
    return create_swarm([alice, bob], default_active_agent="alice").compile(**options)


def stream(graph: Any, **options: Any) -> str:
    """A dump of a stream, as people write it."""
    from langgraph.checkpoint.memory import MemorySaver

    def plain(value: Any) -> Any:
        return value.model_dump() if hasattr(value, "model_dump") else str(value)

    made = graph(checkpointer=MemorySaver())
    chunks = made.stream({"messages": [("user", "Go.")]}, {"configurable": {"thread_id": "t"}}, **options)
    return "".join(json.dumps(chunk, default=plain) + "\n" for chunk in chunks)


def checkpoints() -> bytes:
    """The steps of a graph whose nodes are graphs."""
    from langgraph.checkpoint.sqlite import SqliteSaver

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "checkpoints.sqlite")
        with SqliteSaver.from_conn_string(str(path)) as saver:
            config = {"configurable": {"thread_id": "ticket-7"}}
            supervisor(checkpointer=saver).invoke({"messages": [("user", "Go.")]}, config)
        return closed(path)


# -- OpenTelemetry ----------------------------------------------------------------------------------------------------


def hexadecimal(document: dict[str, Any]) -> dict[str, Any]:
    """OTLP JSON with ids as its specification has them; the library's have base64."""
    for field, value in list(document.items()):
        if field in ("traceId", "spanId", "parentSpanId"):
            document[field] = base64.b64decode(value).hex()
        for item in value if isinstance(value, list) else ():
            if isinstance(item, dict):
                hexadecimal(item)
    return document


def exporter(file: Any) -> Any:
    """A provider that exports in batches of three spans, a line each, and only what a reader may look at."""
    from google.protobuf.json_format import MessageToDict
    from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

    class Exporter(SpanExporter):
        def export(self, spans: Any) -> Any:
            document = hexadecimal(MessageToDict(encode_spans(spans)))
            for resource in document["resourceSpans"]:
                for span in (one for scope in resource["scopeSpans"] for one in scope["spans"]):
                    # The whole state stands on every span of a graph.
                    most = 10_000 if "transfer" in span["name"] else 1000
                    kept = [one for one in span.get("attributes", ()) if len(json.dumps(one)) < most]
                    span["attributes"] = kept
                    span.pop("events", None)
            file.write(json.dumps(document) + "\n")
            return SpanExportResult.SUCCESS

    provider = TracerProvider(resource=Resource({"service.name": "sample"}))
    provider.add_span_processor(BatchSpanProcessor(Exporter(), max_export_batch_size=3))
    return provider


def traced(instrumentor: Any) -> str:
    """What an instrumentation of LangChain records of the supervisor."""
    file = io.StringIO()
    provider = exporter(file)
    instrumentor().instrument(tracer_provider=provider)
    supervisor().invoke({"messages": [("user", "Go.")]}, {"metadata": {"session_id": "ticket-7"}})
    provider.shutdown()
    return file.getvalue()


def openinference() -> str:
    """By OpenInference, which takes whatever has "agent" in its name for one."""
    from openinference.instrumentation.langchain import LangChainInstrumentor

    return traced(LangChainInstrumentor)


def openllmetry() -> str:
    """By OpenLLMetry, to which a node is a task."""
    from opentelemetry.instrumentation.langchain import LangchainInstrumentor

    return traced(LangchainInstrumentor)


def logs() -> str:
    """Spans and logs of the instrumentation of OpenAI, in one file as the Collector's exporter writes them."""
    os.environ["OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"] = "true"
    import httpx
    import openai
    from google.protobuf.json_format import MessageToDict
    from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
    from opentelemetry.instrumentation.openai_v2 import OpenAIInstrumentor
    from opentelemetry.sdk._logs import LoggerProvider
    from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor

    answered = iter(range(1, 10))

    def answer(request: Any) -> Any:
        body, number = json.loads(request.content), next(answered)
        message: dict[str, Any] = {"role": "assistant", "content": f"Answer {number}."}
        if body.get("tools"):
            function = {"name": "weather", "arguments": '{"city": "Oslo"}'}
            message = {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": f"c{number}", "type": "function", "function": function}],
            }
        usage = {"prompt_tokens": 100 + number, "completion_tokens": 10, "total_tokens": 110 + number}
        choice = {"index": 0, "finish_reason": "stop", "message": message}
        return httpx.Response(
            200,
            json={
                "id": "r",
                "object": "chat.completion",
                "created": 1,
                "model": "gpt-4o-mini",
                "choices": [choice],
                "usage": usage,
            },
        )

    file, memory, logger = io.StringIO(), InMemoryLogRecordExporter(), LoggerProvider()
    logger.add_log_record_processor(SimpleLogRecordProcessor(memory))
    provider = exporter(file)
    OpenAIInstrumentor().instrument(tracer_provider=provider, logger_provider=logger)
    client = openai.OpenAI(api_key="none", http_client=httpx.Client(transport=httpx.MockTransport(answer)))
    tool = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
    tracer = provider.get_tracer("sample")

    def work(name: str, **options: Any) -> Any:
        attributes = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": name}
        with tracer.start_as_current_span(f"invoke_agent {name}", attributes=attributes):
            return client.chat.completions.create(model="gpt-4o-mini", **options).choices[0].message

    with tracer.start_as_current_span("trip"):
        work("forecaster", messages=[{"role": "user", "content": "Does it rain in Oslo?"}], tools=[tool])
        work("editor", messages=[{"role": "user", "content": "Edit the forecast."}])
    provider.shutdown()
    written = hexadecimal(MessageToDict(encode_logs(memory.get_finished_logs())))
    return file.getvalue() + json.dumps(written) + "\n" + json.dumps({"resourceMetrics": []}) + "\n"


# -- Inspect ----------------------------------------------------------------------------------------------------------


def graded() -> bytes:
    """Two epochs of a sample, graded by a model."""
    from inspect_ai import Task, eval
    from inspect_ai.dataset import Sample
    from inspect_ai.model import ModelOutput, ModelUsage, get_model
    from inspect_ai.scorer import model_graded_qa
    from inspect_ai.solver import generate

    def says(*lines: str) -> Any:
        outputs = [ModelOutput.from_content("mockllm/model", line) for line in lines]
        for number, output in enumerate(outputs):
            output.usage = ModelUsage(input_tokens=100 + number, output_tokens=7, total_tokens=107 + number)
        return get_model("mockllm/model", custom_outputs=outputs)

    scorer = model_graded_qa(model=says("GRADE: C", "GRADE: I"))
    task = Task(dataset=[Sample(id="sum", input="1 + 1?", target="2")], solver=generate(), scorer=scorer, epochs=2)
    with tempfile.TemporaryDirectory() as folder:
        eval(task, model=says("Two.", "Three."), log_dir=folder, log_format="json", display="none", max_samples=1)
        (path,) = Path(folder).glob("*.json")
        return path.read_bytes()


MAKERS = {
    "autogen-events-swarm.log": lambda: autogen_log("swarm"),
    "autogen-events-magentic.log": lambda: autogen_log("magentic"),
    "langgraph-subgraphs.jsonl": lambda: stream(supervisor, stream_mode="updates", subgraphs=True),
    "langgraph-messages.jsonl": lambda: stream(swarm, stream_mode="messages", subgraphs=True),
    "langgraph-pieces.jsonl": lambda: stream(swarm, stream_mode=["updates", "messages"], subgraphs=True, version="v2"),
    "langgraph-checkpoints.jsonl": lambda: stream(swarm, stream_mode="checkpoints"),
    "langgraph-sqlite-subgraphs.sqlite": checkpoints,
    "otlp-openinference-supervisor.jsonl": openinference,
    "otlp-openllmetry.jsonl": openllmetry,
    "otlp-logs.jsonl": logs,
    "inspect-graded.json": graded,
}

if __name__ == "__main__":
    for name in sys.argv[1:]:
        made = MAKERS[name]()
        (SAMPLES / name).write_bytes(made if isinstance(made, bytes) else made.encode())
