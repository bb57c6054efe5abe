"""Makes the samples that agent frameworks write; run by hand where those are installed, never by the tests.

Each of AG2's two lines excludes the other, and Inspect is large, so
``python tests/transcripts/make_framework_samples.py NAME ...`` runs in an environment that has what the sample needs:
``langgraph-checkpoint-sqlite`` and ``langchain``, ``autogen-agentchat``, ``ag2`` 1.x or 0.x, ``inspect-ai``,
``duckdb``, ``openinference-instrumentation-langchain``.
"""

# mypy: ignore-errors

from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
SAMPLES = HERE / "samples"
LINES = {"planner": ["One batch?", "Two batches, then."], "reviewer": ["One is too large.", "Agreed."]}
TASK = "Import the orders."


# -- LangGraph --------------------------------------------------------------------------------------------------------


def graph(**options: Any) -> Any:
    """A planner with a tool, which is a graph of its own, and a reviewer, a plain node; twice round, then a report."""
    from langchain.agents import create_agent
    from langchain_core.language_models import GenericFakeChatModel
    from langchain_core.messages import AIMessage
    from langgraph.graph import END, START, MessagesState, StateGraph

    usage = {"input_tokens": 900, "output_tokens": 20, "total_tokens": 920, "input_token_details": {"cache_read": 256}}

    class State(MessagesState):
        report: str

    class Model(GenericFakeChatModel):
        def bind_tools(self, tools: Any, **_: Any) -> Any:
            return self

    def describe(table: str) -> str:
        """Describe a table."""
        return f"{table}: 41,208 rows"

    def says(*lines: Any) -> Any:
        turns = [{"content": line} if isinstance(line, str) else line for line in lines]
        named = {"usage_metadata": usage, "response_metadata": {"model_name": "gpt-5.5"}}
        return Model(messages=iter([AIMessage(**turn, **named) for turn in turns]))

    call = {"name": "describe", "args": {"table": "orders"}, "id": "c1"}
    model, judge = says({"content": "", "tool_calls": [call]}, *LINES["planner"]), says(*LINES["reviewer"])

    def reviewer(state: Any) -> Any:
        return {"messages": [judge.invoke(state["messages"])]}

    builder = StateGraph(State)
    builder.add_node("planner", create_agent(model, [describe], name="planner"))
    builder.add_node("reviewer", reviewer)
    builder.add_node("writer", lambda state: {"report": "Two batches, agreed."})
    builder.add_edge(START, "planner")
    builder.add_edge("planner", "reviewer")
    builder.add_conditional_edges("reviewer", lambda state: "writer" if len(state["messages"]) > 5 else "planner")
    builder.add_edge("writer", END)
    return builder.compile(**options)


def stream(**options: Any) -> str:
    """A dump of a stream, as people write it."""

    def plain(value: Any) -> Any:
        return value.model_dump() if hasattr(value, "model_dump") else str(value)

    chunks = graph().stream({"messages": [("user", TASK)]}, **options)
    return "".join(json.dumps(chunk, default=plain) + "\n" for chunk in chunks)


def langgraph_sqlite() -> bytes:
    """Three threads: one step by step, one of which only the end was kept, one with an answer to an interrupt."""
    from langgraph.checkpoint.sqlite import SqliteSaver
    from langgraph.graph import START, StateGraph
    from langgraph.types import Command, interrupt

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "checkpoints.sqlite")
        with SqliteSaver.from_conn_string(str(path)) as saver:
            graph(checkpointer=saver).invoke(
                {"messages": [("user", TASK)]}, {"configurable": {"thread_id": "ticket-7"}}
            )
            again = graph(checkpointer=saver)
            config = {"configurable": {"thread_id": "ticket-8"}}
            again.invoke({"messages": [("user", "And the invoices.")]}, config, durability="exit")
            builder = StateGraph(dict)
            builder.add_node("asker", lambda state: {"answer": interrupt("One batch or two?")})
            builder.add_edge(START, "asker")
            asker = builder.compile(checkpointer=saver)
            config = {"configurable": {"thread_id": "ticket-9"}}
            asker.invoke({"task": TASK}, config)
            asker.invoke(Command(resume="Two."), config)
        return closed(path)


def closed(path: Path) -> bytes:
    """The bytes of a database, without a log beside it and as small as it can be."""
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode = DELETE")
    connection.execute("PRAGMA page_size = 1024")
    connection.execute("VACUUM")
    connection.close()
    return path.read_bytes()


# -- AutoGen and AG2 --------------------------------------------------------------------------------------------------


def autogen_events() -> str:
    """What the logger writes of a team of two, with a formatter that puts the time before it."""
    import logging

    sys.path.insert(0, str(HERE))
    from make_samples import autogen_team

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "events.log")
        handler = logging.FileHandler(path)
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
        logger = logging.getLogger("autogen_core.events")
        logger.setLevel(logging.INFO)
        logger.addHandler(handler)
        asyncio.run(autogen_team().run(task="Plan the import."))
        handler.close()
        return path.read_text("utf-8")


def ag2() -> str:
    """The log of a channel of a hub with two agents, one of which asks the other."""
    sys.path.insert(0, str(HERE.parents[1]))
    from ag2 import Agent
    from ag2.knowledge import MemoryKnowledgeStore
    from ag2.network import Hub

    from tests.integrations.ag2_agents import Model, Network

    async def run() -> str:
        store = MemoryKnowledgeStore()
        network = Network(await Hub.open(store))
        first = await network.add(Agent("planner", "You plan.", config=Model([LINES["planner"][1], "Fine."])))
        await network.add(Agent("reviewer", "You review.", config=Model(LINES["reviewer"])))
        channel = await first.open(type="conversation", target="reviewer")
        await channel.send(LINES["planner"][0])
        await asyncio.sleep(1)
        for connection in network.connections:
            await connection.close()
        await network.hub.close()
        return await store.read(f"/channels/{channel.channel_id}/wal.jsonl")

    return asyncio.run(run())


def ag2_classic() -> bytes:
    """The runtime log of two agents, one of which calls a tool, and of a group of two."""
    from types import SimpleNamespace

    from autogen import ConversableAgent, GroupChat, GroupChatManager, register_function, runtime_logging

    class Scripted:
        def __init__(self, config: Any, **_: Any) -> None:
            self.lines = config["lines"]

        def create(self, params: Any) -> Any:
            line, calls = self.lines.pop(0), None
            if isinstance(line, dict):
                function = SimpleNamespace(name="count", arguments=json.dumps(line))
                line, calls = "", [SimpleNamespace(id="c1", type="function", function=function)]
            message = SimpleNamespace(role="assistant", content=line, function_call=None, tool_calls=calls)
            usage = SimpleNamespace(prompt_tokens=100, completion_tokens=7, total_tokens=107)
            choice = SimpleNamespace(index=0, finish_reason="stop", message=message)
            return SimpleNamespace(
                id="r", model="scripted", created=0, object="chat.completion", choices=[choice], usage=usage, cost=0.002
            )

        def message_retrieval(self, response: Any) -> Any:
            message = response.choices[0].message
            if message.tool_calls is None:
                return [message.content]
            calls = [{"id": one.id, "type": "function", "function": vars(one.function)} for one in message.tool_calls]
            return [{"role": "assistant", "content": None, "tool_calls": calls}]

        def cost(self, response: Any) -> float:
            return response.cost

        @staticmethod
        def get_usage(response: Any) -> dict[str, Any]:
            return vars(response.usage) | {"cost": response.cost, "model": response.model}

    def agent(name: str, *lines: Any) -> Any:
        entry = {"model": "scripted", "model_client_cls": "Scripted", "lines": list(lines), "api_key": "none"}
        made = ConversableAgent(name, human_input_mode="NEVER", llm_config={"config_list": [entry], "cache_seed": None})
        return made

    def count(table: str) -> str:
        """Count the rows of a table."""
        return f"{table}: 41,208 rows"

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "log.db")
        runtime_logging.start(logger_type="sqlite", config={"dbname": str(path)})
        planner = agent("planner", *LINES["planner"])
        reviewer = agent("reviewer", {"table": "orders"}, *LINES["reviewer"])
        register_function(count, caller=reviewer, executor=planner, description="Count the rows of a table.")
        # Whoever gets a tool gets a new client.
        reviewer.register_model_client(Scripted)
        planner.register_model_client(Scripted)
        planner.initiate_chat(reviewer, message=TASK, max_turns=3, silent=True)
        ann, bob = agent("ann", "Draft: one batch.", "Two batches then."), agent("bob", "One is too large.", "Agreed.")
        ann.register_model_client(Scripted)
        bob.register_model_client(Scripted)
        group = GroupChat([ann, bob], messages=[], max_round=4, speaker_selection_method="round_robin")
        ann.initiate_chat(GroupChatManager(group, llm_config=False), message="Plan the import.", silent=True)
        runtime_logging.stop()
        return closed(path)


# -- Inspect ----------------------------------------------------------------------------------------------------------


def inspect_log(log_format: str) -> bytes:
    """An agent that counts, hands over to a reviewer, and submits."""
    from inspect_ai import Task, eval
    from inspect_ai.agent import handoff, react
    from inspect_ai.dataset import Sample
    from inspect_ai.model import ModelOutput, ModelUsage, get_model
    from inspect_ai.tool import tool

    @tool
    def count() -> Any:
        async def execute(table: str) -> str:
            """Count the rows of a table.

            Args:
                table: Its name.
            """
            return f"{table}: 41,208 rows"

        return execute

    def paid(output: Any) -> Any:
        output.usage = ModelUsage(input_tokens=100, output_tokens=7, total_tokens=157, input_tokens_cache_read=50)
        return output

    def calls(name: str, **arguments: Any) -> Any:
        return paid(ModelOutput.for_tool_call("mockllm/model", name, arguments, content=f"To {name}."))

    answers = [
        calls("count", table="orders"),
        calls("transfer_to_reviewer"),
        calls("submit", answer="Two batches."),
        paid(ModelOutput.from_content("mockllm/model", "Two batches, then.")),
        calls("submit", answer="Two batches."),
    ]
    reviewer = react(name="reviewer", description="Reviews.", prompt="You review.")
    planner = react(name="planner", description="Plans.", prompt="You plan.", tools=[count(), handoff(reviewer)])
    task = Task(dataset=[Sample(id="orders", input=TASK, target="Two")], solver=planner, name="orders")
    with tempfile.TemporaryDirectory() as folder:
        model = get_model("mockllm/model", custom_outputs=answers)
        eval(task, model=model, log_dir=folder, log_format=log_format, display="none")
        (path,) = Path(folder).glob("*." + log_format)
        return path.read_bytes()


# -- tables -----------------------------------------------------------------------------------------------------------


def exported(name: str, suffix: str, columns: str = "*") -> bytes:
    """The sample of JSON Lines as another kind of file; what is nested is JSON text, but for `columns`."""
    import duckdb

    with tempfile.TemporaryDirectory() as folder:
        flat, path = Path(folder, "flat.jsonl"), Path(folder, f"export.{suffix}")
        if name.endswith(".csv"):
            table = f"read_csv('{SAMPLES / name}')"
        else:
            records = [json.loads(line) for line in (SAMPLES / name).read_text("utf-8").splitlines()]
            fields = sorted({field for record in records for field in record}, key=str)
            flat.write_text(
                "".join(
                    json.dumps(
                        {
                            field: json.dumps(value) if isinstance(value := record.get(field), dict | list) else value
                            for field in fields
                        }
                    )
                    + "\n"
                    for record in records
                )
            )
            types = ", ".join(f"'{field}': 'VARCHAR'" for field in fields)
            table = f"read_json('{flat}', format = 'newline_delimited', columns = {{{types}}})"
        kind = "PARQUET" if suffix == "parquet" else "CSV, HEADER"
        duckdb.sql(f"COPY (SELECT {columns} FROM {table}) TO '{path}' (FORMAT {kind})")  # noqa: S608 - our own names
        return path.read_bytes()


#: Typed as a warehouse types them.
LANGFUSE = """* REPLACE (
    CAST(start_time AS TIMESTAMP) AS start_time, CAST(end_time AS TIMESTAMP) AS end_time,
    CAST(CAST(usage_details AS JSON) AS MAP(VARCHAR, BIGINT)) AS usage_details,
    CAST(total_cost AS DECIMAL(18, 6)) AS total_cost)"""
LANGSMITH = "* REPLACE (CAST(start_time AS TIMESTAMP) AS start_time, CAST(end_time AS TIMESTAMP) AS end_time)"


# -- OpenInference ----------------------------------------------------------------------------------------------------


def otlp_openinference() -> str:
    """What OpenInference's instrumentation of LangChain records of the graph above, exported by OpenTelemetry's SDK."""
    sys.path.insert(0, str(HERE))
    from make_samples import tracer
    from openinference.instrumentation.langchain import LangChainInstrumentor

    provider, _, export = tracer()
    LangChainInstrumentor().instrument(tracer_provider=provider)
    config = {"metadata": {"session_id": "ticket-7"}}
    graph().invoke({"messages": [("user", TASK)]}, config)
    return json.dumps(export()) + "\n"


MAKERS = {
    "langgraph.jsonl": lambda: stream(stream_mode="tasks"),
    "langgraph-debug.jsonl": lambda: stream(stream_mode="debug"),
    "langgraph-updates.jsonl": lambda: stream(stream_mode="updates"),
    "langgraph-values.jsonl": lambda: stream(stream_mode="values"),
    "langgraph-modes.jsonl": lambda: stream(stream_mode=["updates", "custom"], subgraphs=True),
    "langgraph-sqlite.sqlite": langgraph_sqlite,
    "autogen-events.log": autogen_events,
    "ag2.jsonl": ag2,
    "ag2-classic.db": ag2_classic,
    "inspect.json": lambda: inspect_log("json"),
    "inspect-eval.eval": lambda: inspect_log("eval"),
    "langfuse-csv.csv": lambda: exported("langfuse.jsonl", "csv"),
    "langfuse-parquet.parquet": lambda: exported("langfuse.jsonl", "parquet", LANGFUSE),
    "langsmith-parquet.parquet": lambda: exported("langsmith.jsonl", "parquet", LANGSMITH),
    "parquet.parquet": lambda: exported("csv.csv", "parquet"),
    "otlp-openinference.json": otlp_openinference,
}

if __name__ == "__main__":
    for name in sys.argv[1:]:
        made = MAKERS[name]()
        (SAMPLES / name).write_bytes(made if isinstance(made, bytes) else made.encode())
