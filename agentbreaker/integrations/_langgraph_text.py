"""What a LangGraph node said: the new text of its output update, and the tokens that its models used.

Pure functions over LangChain's and LangGraph's own objects; nothing here keeps state.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, convert_to_messages
from langchain_core.outputs import LLMResult
from langgraph.types import Command, Send

from agentbreaker.message import Usage

__all__ = [
    "ModelOutput",
    "Said",
    "Snapshot",
    "add_usage",
    "costs_of",
    "human_input",
    "model_output",
    "new_text",
    "same",
    "snapshot",
    "targets",
    "text_of",
]

#: Text gathered from one update that holds no messages, in characters; the guard reads no more than a part of it.
_MAX_CHARS = 20_000
_MAX_DEPTH = 5
_MAX_LABEL = 40

#: Values of the state without any text in them.
_SCALARS = frozenset({int, float, bool, type(None)})
#: What a field that was not there before looks like in a snapshot.
_NEW = (None, -1)

#: What a node said: messages as LangChain made them, or one text for updates without any.
Said = list[BaseMessage | str]

#: What a model run gave: text, message id, usage and model name.
ModelOutput = tuple[str, str | None, Usage | None, str | None]

#: The state as a node received it: each field, with its length then if it is a list (nodes may append in place).
Snapshot = dict[str, tuple[Any, int]]


def text_of(content: Any) -> str:
    """Return the text of a message's content, which is a string or a list of blocks."""
    if isinstance(content, str):
        return content
    if not isinstance(content, Sequence):
        return ""
    parts = [
        block if isinstance(block, str) else block.get("text") for block in content if isinstance(block, str | dict)
    ]
    return "\n".join(part for part in parts if isinstance(part, str) and part)


def fields_of(state: Any) -> Mapping[str, Any]:
    """Return the fields of a state or update, which is a mapping, a dataclass, a pydantic model or anything else."""
    if type(state) is dict or isinstance(state, Mapping):  # the first for speed
        return state
    if isinstance(state, BaseMessage) or (isinstance(state, list) and any(isinstance(m, BaseMessage) for m in state)):
        return {"messages": state}
    if dataclasses.is_dataclass(state) and not isinstance(state, type):
        return {field.name: getattr(state, field.name) for field in dataclasses.fields(state)}
    names = getattr(type(state), "model_fields", None)
    if isinstance(names, dict):
        return {name: getattr(state, name, None) for name in names}
    return {} if state is None else {"": state}


def snapshot(state: Any) -> Snapshot:
    """Remember the state that a node receives, without copying it."""
    if state.__class__ is not dict:
        state = fields_of(state)
    before: Snapshot = {}
    for name, value in state.items():
        before[name] = (value, len(value) if isinstance(value, list) else -1)
    return before


def targets(output: Any) -> Iterator[str]:
    """Yield the nodes that an output routes to: of a ``Command``, a ``Send``, or of a router function's result."""
    for item in output if isinstance(output, list | tuple) else (output,):
        if isinstance(item, Command):
            goto = item.goto
            for target in goto if isinstance(goto, list | tuple) else (goto,):
                yield target.node if isinstance(target, Send) else target
        elif isinstance(item, Send):
            yield item.node
        elif isinstance(item, str):
            yield item


def new_text(output: Any, before: Snapshot) -> tuple[Said, bool]:
    """Return what `output` adds to the state that the node received, and whether it changes anything else.

    Messages if there are any, else the strings of the changed fields as one text.  Nodes often return
    the whole state, so whatever was there before is left out; a message that is sent once more on its own counts
    as said again.  Bare labels, such as the name of the next node, are not text.
    """
    messages: list[BaseMessage] = []
    changed: list[Any] = []
    differs = False
    plain = output.__class__ is dict
    for update in output if not plain and isinstance(output, list | tuple) and not _is_messages(output) else (output,):
        if isinstance(update, Send):
            continue
        for name, value in (update if plain else fields_of(_update_of(update))).items():
            old, size = before.get(name, _NEW)
            if value.__class__ in _SCALARS and name != "messages":  # the first for speed
                differs = differs or not (value is old or same(value, old))
            elif _is_messages(value) or name == "messages":
                messages += _messages(value, old, size)
            elif isinstance(value, list) and size >= 0:
                changed.append(value[size:] if value is old or same(value[:size], old[:size]) else value)
            elif not same(value, old):
                changed.append(value)
    if messages:
        return [*messages], False
    if not changed:
        return [], differs
    texts = [text for value in changed for text in _strings(value)]
    if all(_is_label(text) for text in texts):
        return [], True
    return [_joined(texts)], False


def costs_of(
    said: Said, before: Snapshot, is_new: Callable[[str | None], bool]
) -> list[tuple[BaseMessage, Usage, str | None]]:
    """Return the agents' messages in `said` that carry their tokens and are not history, with usage and model.

    Where `is_new` knows an id from a call that has just ended, the history is not looked through.
    """
    costs: list[tuple[BaseMessage, Usage, str | None]] = []
    for part in said:
        if isinstance(part, AIMessage) and (usage := _usage(part.usage_metadata)) is not None:
            costs.append((part, usage, _model_of(part)))
    if any(not is_new(cost[0].id) for cost in costs):
        old = {
            message.id
            for value, size in before.values()
            if isinstance(value, list)
            for message in value[:size]
            if isinstance(message, BaseMessage) and message.id
        }
        costs = [cost for cost in costs if is_new(cost[0].id) or cost[0].id not in old]
    return costs


def human_input(inputs: Any) -> Said:
    """Return what the person says with the input of a run: the human messages after the last agent's, or its text."""
    if isinstance(inputs, Command):
        said: Said = [text for text in [_joined(_strings(inputs.resume))] if text]
        return said + (human_input(inputs.update) if inputs.update is not None else [])
    said, _ = new_text(inputs, {})
    messages = [message for message in said if isinstance(message, BaseMessage)]
    if not messages:
        return said or [text for text in [_joined(_strings(inputs))] if text]
    last = max((i for i, message in enumerate(messages) if isinstance(message, AIMessage)), default=-1)
    return [message for message in messages[last + 1 :] if isinstance(message, HumanMessage)]


def model_output(response: LLMResult) -> ModelOutput:
    """Return text, message id, usage and model name of one model run."""
    text, message_id, usage = "", None, None
    extra = response.llm_output or {}
    model = extra.get("model_name")
    for generations in response.generations:
        for generation in generations[:1]:
            message = getattr(generation, "message", None)
            text = text_of(message.content) if isinstance(message, BaseMessage) else generation.text
            if isinstance(message, BaseMessage):
                message_id = message.id or message_id
                model = _model_of(message) or model
                usage = add_usage(usage, _usage(getattr(message, "usage_metadata", None)))
    if usage is None and isinstance(counted := extra.get("token_usage"), Mapping):
        usage = Usage(int(counted.get("prompt_tokens") or 0), int(counted.get("completion_tokens") or 0))
    return text, message_id, usage, str(model) if model else None


def add_usage(one: Usage | None, other: Usage | None) -> Usage | None:
    """Return the sum of two usages, either of which may be unknown."""
    if one is None or other is None:
        return one or other
    kind = type(one) if isinstance(one, type(other)) else type(other)
    values: list[Any] = []
    for f in dataclasses.fields(kind):
        default: Any = f.default
        values.append(getattr(one, f.name, default) + getattr(other, f.name, default))
    return kind(*values)


def _model_of(message: BaseMessage) -> str | None:
    name = message.response_metadata.get("model_name") or message.response_metadata.get("model")
    return str(name) if name else None


def _usage(counted: Any) -> Usage | None:
    if not isinstance(counted, Mapping):
        return None
    of_input, of_output = counted.get("input_token_details") or {}, counted.get("output_token_details") or {}
    return Usage(
        input_tokens=int(counted.get("input_tokens") or 0),
        output_tokens=int(counted.get("output_tokens") or 0),
        cache_read_input_tokens=int(of_input.get("cache_read") or 0),
        cache_creation_input_tokens=int(of_input.get("cache_creation") or 0),
        reasoning_output_tokens=int(of_output.get("reasoning") or 0),
    )


def _messages(value: Any, old: Any, size: int) -> list[BaseMessage]:
    """The messages of `value` that are not among the first `size` of `old`, or all of them if said once more."""
    items = value if isinstance(value, list | tuple) and not _is_pair(value) else [value]
    if len(items) == 1 and size > 1 and value is not old:  # the usual step: said now, or said once more on its own
        return _spoken(items)
    known = {getattr(item, "id", None) or id(item) for item in old[:size]} if size > 0 else set()
    if value is old and size >= 0:
        fresh = list(items[size:])
    else:
        fresh = [item for item in items if (getattr(item, "id", None) or id(item)) not in known]
        if not fresh and len(items) < len(known):
            fresh = list(items)
    return _spoken(fresh)


def _spoken(fresh: Sequence[Any]) -> list[BaseMessage]:
    """The messages among these that somebody says: no prompts, and nothing of a field that holds something else."""
    if len(fresh) == 1 and isinstance(fresh[0], AIMessage | HumanMessage):
        return [fresh[0]]
    try:
        return [message for message in convert_to_messages(list(fresh)) if message.type not in ("system", "remove")]
    except (ValueError, TypeError, NotImplementedError):
        return []


def _strings(value: Any, depth: int = _MAX_DEPTH) -> Iterator[str]:
    """Yield the strings inside `value`, in order."""
    if depth == 0 or value is None or isinstance(value, int | float | bytes | type):
        return
    if isinstance(value, str):
        yield value
    elif isinstance(value, BaseMessage):
        yield text_of(value.content)
    elif isinstance(value, list | tuple | set | frozenset):
        for item in value:
            yield from _strings(item, depth - 1)
    elif (fields := fields_of(value)) and "" not in fields:
        for item in fields.values():
            yield from _strings(item, depth - 1)


def _joined(texts: Iterable[str]) -> str:
    """Join lines until there is enough text."""
    lines: list[str] = []
    room = _MAX_CHARS
    for text in texts:
        lines.append(text[:room])
        room -= len(text) + 1
        if room <= 0:
            break
    return "\n".join(lines)


def _is_label(text: str) -> bool:
    """Whether a string of the state only names something: one short word in ASCII, or nothing."""
    return len(text) <= _MAX_LABEL and text.isascii() and not any(map(str.isspace, text.strip()))


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal; values that cannot be compared are not."""
    try:
        return one is other or bool(one == other)
    except Exception:  # arrays and data frames have no truth value
        return False


def _is_messages(value: Any) -> bool:
    return isinstance(value, BaseMessage) or (
        isinstance(value, list | tuple) and any(isinstance(item, BaseMessage) for item in value)
    )


def _is_pair(value: Any) -> bool:
    return isinstance(value, tuple) and len(value) == 2 and all(isinstance(item, str) for item in value)


def _update_of(output: Any) -> Any:
    """The update inside a ``Command``, which may be a sequence of (field, value)."""
    update = output.update if isinstance(output, Command) else output
    if isinstance(output, Command) and isinstance(update, list | tuple):
        return dict(pair for pair in update if isinstance(pair, tuple) and len(pair) == 2)
    return update
