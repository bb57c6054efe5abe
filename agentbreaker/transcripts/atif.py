"""ATIF, the Agent Trajectory Interchange Format of Harbor: one trajectory a document or line, with its subagents.

A step is of ``user``, ``agent`` or ``system``: ``message``, ``tool_calls``, ``observation`` with their results,
``metrics``.  A trajectory is a conversation; one of a subagent, held within it since version 1.7, is told where the
observation refers to it, else after the rest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from agentbreaker.message import Message, Tool
from agentbreaker.transcripts.records import Probe, records_of
from agentbreaker.transcripts.schema import UnreadableError
from agentbreaker.transcripts.source import Source
from agentbreaker.transcripts.values import (
    cost_of,
    first_name,
    items_of,
    mapping_of,
    moment_of,
    name_of,
    text_of,
    usage_of,
)

__all__ = ["read_atif", "recognise_atif"]

_USER: Final = "user"
_MAX_NESTING: Final = 16
_IDS: Final = ("trajectory_id", "session_id")


def recognise_atif(probe: Probe) -> bool:
    """Whether a record is a trajectory."""
    return any(_version(record).startswith("ATIF") for record in probe.records) or (
        "schema_version" in probe.keys and b'"ATIF-v' in probe.head
    )


def _version(record: Mapping[str, Any]) -> str:
    version = record.get("schema_version")
    return version if isinstance(version, str) else ""


def read_atif(source: Source) -> Iterator[Message]:
    """Yield the messages of trajectories."""
    for record in records_of(source):
        try:
            conversation = first_name(record, ("session_id", "trajectory_id")) or f"line {source.line}"
        except UnreadableError as error:
            source.skip(error.reason, field=error.field)
            continue
        for message in _Trajectory(source, conversation).messages(record, _USER, "steps", 0):
            source.report.messages += 1
            yield message


class _Trajectory:
    """One conversation: a trajectory and those of its subagents."""

    def __init__(self, source: Source, conversation: str) -> None:
        self._source = source
        self._conversation = conversation

    def messages(self, record: Mapping[str, Any], caller: str, field: str, depth: int) -> Iterator[Message]:
        """Yield the messages of a trajectory whose agent answers to `caller`; `field` is where its steps stand."""
        steps = record.get("steps")
        if not isinstance(steps, list) or depth > _MAX_NESTING:
            self._source.skip("nested too deeply" if depth > _MAX_NESTING else "expected an array", field=field)
            return
        agent = mapping_of(record.get("agent"))
        within = {key: one for one in items_of(record.get("subagent_trajectories")) for key in _keys_of(one)}
        told: set[int] = set()
        try:
            speaker = name_of(agent.get("name"), "agent.name") or "agent"
            model = name_of(agent.get("model_name"), "agent.model_name")
        except UnreadableError as error:
            self._source.skip(error.reason, field=error.field)
            return
        for number, step in enumerate(steps):
            place = f"{field}.{number}"
            try:
                found = self._step(step, speaker, caller, model)
            except UnreadableError as error:
                self._source.skip(error.reason, field=".".join(filter(None, (place, error.field))))
                continue
            results = [message for message in found if message.kind == "tool_result"]
            yield from (message for message in found if message.kind != "tool_result")
            for reference in _references(step):
                one = next((within[key] for key in _keys_of(reference) if key in within), None)
                if one is not None and id(one) not in told:
                    told.add(id(one))
                    yield from self.messages(one, speaker, f"{place}.subagent.steps", depth + 1)
            yield from results
        for one in items_of(record.get("subagent_trajectories")):
            if id(one) not in told:
                told.add(id(one))
                yield from self.messages(one, speaker, "subagent_trajectories.steps", depth + 1)

    def _step(self, step: Any, speaker: str, caller: str, model: str | None) -> list[Message]:
        if not isinstance(step, dict):
            raise UnreadableError("not an object")
        kind, text = step.get("source"), text_of(step.get("message"))
        moment = moment_of(step.get("timestamp"))
        conversation = self._conversation
        if kind == "system":
            return [Message(conversation, "system", None, "system", text, "system", timestamp=moment)]
        if kind == "user":
            role: Any = "user" if caller == _USER else None
            return [Message(conversation, caller, speaker, content=text, role=role, timestamp=moment)]
        if kind != "agent":
            raise UnreadableError("expected user, agent or system", "source")
        calls = items_of(step.get("tool_calls"))
        found = []
        if text or not calls:
            found.append(Message(conversation, speaker, caller, content=text, role="assistant", timestamp=moment))
        names: dict[str, str] = {}
        for call in calls:
            name = name_of(call.get("function_name"), "tool_calls.function_name") or "tool"
            call_id = name_of(call.get("tool_call_id"), "tool_calls.tool_call_id")
            names[call_id or ""] = name
            tool = Tool(name, call_id, call.get("arguments"))
            found.append(
                Message(conversation, speaker, name, "tool_call", role="assistant", timestamp=moment, tool=tool)
            )
        metrics = mapping_of(step.get("metrics"))
        paid = found[-1]
        paid.usage = usage_of(
            metrics.get("prompt_tokens"), metrics.get("completion_tokens"), metrics.get("cached_tokens")
        )
        paid.cost_usd = cost_of(metrics.get("cost_usd"))
        paid.model = name_of(step.get("model_name"), "model_name") or model
        for result in items_of(mapping_of(step.get("observation")).get("results")):
            call_id = name_of(result.get("source_call_id"), "observation.results.source_call_id")
            name = names.get(call_id or "", next(iter(names.values()), "tool"))
            tool = Tool(name, call_id, None, text_of(result.get("content")))
            found.append(Message(conversation, name, speaker, "tool_result", role="tool", timestamp=moment, tool=tool))
        return found


def _keys_of(record: Mapping[str, Any]) -> list[str]:
    return [key for name in _IDS if isinstance(key := record.get(name), str)]


def _references(step: Any) -> Iterator[dict[str, Any]]:
    """What the observation of a step says of trajectories of subagents."""
    for result in items_of(mapping_of(mapping_of(step).get("observation")).get("results")):
        reference = result.get("subagent_trajectory_ref")
        yield from items_of(reference if isinstance(reference, list) else [reference])
