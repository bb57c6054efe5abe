"""ATIF, the Agent Trajectory Interchange Format of Harbor: one trajectory a document or line, with its subagents.

A step is of ``user``, ``agent`` or ``system``: ``message``, ``tool_calls``, ``observation`` with their results,
``metrics``.  A trajectory is a conversation; one of a subagent, held within it since version 1.7, is told where the
observation refers to it, else after the rest.  Steps that were copied from another trajectory are told there, and paid
for there.  Totals of a whole trajectory count where its steps have none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from agentbreaker.message import Message, Tool, Usage
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
    pay_together,
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
        bills = _Bills(record, steps)
        try:
            speaker = name_of(agent.get("name"), "agent.name") or "agent"
            model = name_of(agent.get("model_name"), "agent.model_name")
        except UnreadableError as error:
            self._source.skip(error.reason, field=error.field)
            return
        for number, step in enumerate(steps):
            place = f"{field}.{number}"
            if isinstance(step, dict) and step.get("is_copied_context") is True and not _is_request(step, caller):
                self._source.report.blank += 1
                continue
            try:
                found = self._step(step, speaker, caller, model)
            except UnreadableError as error:
                self._source.skip(error.reason, field=".".join(filter(None, (place, error.field))))
                continue
            bills.add(number, found)
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
            if caller == _USER:
                return [Message(conversation, caller, speaker, content=text, role="user", timestamp=moment)]
            # The call that started the subagent has paid for it.
            return [Message(conversation, caller, speaker, content=text, timestamp=moment, usage_elsewhere=True)]
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
        model = name_of(step.get("model_name"), "model_name") or model
        pay_together(found, _usage(metrics), model, cost_of(metrics.get("cost_usd")))
        # A step that no model was asked for, such as one of a fixed graph.
        found[-1].usage_elsewhere = step.get("llm_call_count") == 0 and found[-1].usage is None
        for message in found:
            message.usage_elsewhere = message.usage_elsewhere or found[-1].usage_elsewhere
        for result in items_of(mapping_of(step.get("observation")).get("results")):
            call_id = name_of(result.get("source_call_id"), "observation.results.source_call_id")
            name = names.get(call_id or "", next(iter(names.values()), "tool"))
            tool = Tool(name, call_id, None, text_of(result.get("content")))
            found.append(Message(conversation, name, speaker, "tool_result", role="tool", timestamp=moment, tool=tool))
        return found


class _Bills:
    """The totals of a trajectory, for the steps that lack them."""

    def __init__(self, record: Mapping[str, Any], steps: list[Any]) -> None:
        totals = mapping_of(record.get("final_metrics"))
        own = {
            number: mapping_of(step.get("metrics"))
            for number, step in enumerate(steps)
            if isinstance(step, dict) and step.get("source") == "agent" and step.get("is_copied_context") is not True
        }
        tokens = {number: usage.total for number, one in own.items() if (usage := _usage(one)) is not None}
        self._usage: Usage | None = None
        self._costs: dict[int, float] = {}
        # Whether the last step pays for all of them.
        self._whole = False
        self._last = max(own, default=-1)
        # Totals of one that has others in it, or goes on from another, may be those of all of them.
        if record.get("subagent_trajectories") or len(own) < sum(_is_step_of_agent(step) for step in steps):
            return
        cost = cost_of(totals.get("total_cost_usd"))
        unpaid = cost and not any(cost_of(one.get("cost_usd")) for one in own.values())
        if tokens:
            total = sum(tokens.values())
            self._costs = {number: cost * one / total for number, one in tokens.items()} if cost and unpaid else {}
        elif own:
            self._usage = usage_of(
                totals.get("total_prompt_tokens"),
                totals.get("total_completion_tokens"),
                totals.get("total_cached_tokens"),
            )
            self._costs = {self._last: cost} if cost and unpaid else {}
            self._whole = self._usage is not None or bool(self._costs)

    def add(self, number: int, found: list[Message]) -> None:
        """Add to the messages of a step what the totals say of it."""
        paid = [message for message in found if message.kind != "tool_result"]
        usage, cost = self._usage if number == self._last else None, self._costs.get(number)
        for message in paid if self._whole else ():
            message.usage_elsewhere = True
        if paid and (usage is not None or cost is not None):
            pay_together(paid, usage or paid[-1].usage, paid[-1].model, cost)


def _is_step_of_agent(step: Any) -> bool:
    return isinstance(step, dict) and step.get("source") == "agent"


def _is_request(step: Mapping[str, Any], caller: str) -> bool:
    """Whether a step is what a subagent was asked: copied, but told nowhere else in these words."""
    return caller != _USER and step.get("source") == "user"


def _usage(metrics: Mapping[str, Any]) -> Usage | None:
    extra = mapping_of(metrics.get("extra"))
    return usage_of(
        metrics.get("prompt_tokens"),
        metrics.get("completion_tokens"),
        metrics.get("cached_tokens"),
        extra.get("cache_creation_input_tokens"),
        extra.get("reasoning_output_tokens") or extra.get("reasoning_tokens"),
    )


def _keys_of(record: Mapping[str, Any]) -> list[str]:
    return [key for name in _IDS if isinstance(key := record.get(name), str)]


def _references(step: Any) -> Iterator[dict[str, Any]]:
    """What the observation of a step says of trajectories of subagents."""
    for result in items_of(mapping_of(mapping_of(step).get("observation")).get("results")):
        reference = result.get("subagent_trajectory_ref")
        yield from items_of(reference if isinstance(reference, list) else [reference])
