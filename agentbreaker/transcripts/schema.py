"""One line of the transcript format: from JSON to a message and back, with reasons that people understand."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Container
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Required, cast

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from typing_extensions import TypedDict  # pydantic refuses the one of typing before Python 3.12

from agentbreaker.message import Kind, Message, Role, Tool, Usage

__all__ = [
    "LONE_HINT",
    "MAX_LINE_BYTES",
    "MAX_NAME",
    "MAX_VALUES",
    "UnreadableError",
    "compact_json",
    "message_to_json",
    "parse_line",
    "too_many_values",
]

#: Longest line that is read, in bytes without its line end; a longer one is discarded as it streams by.
MAX_LINE_BYTES: Final = 8 * 1024 * 1024
#: Most JSON values in one line: three bytes of JSON can become a hundred bytes of Python objects.
MAX_VALUES: Final = 200_000
#: Longest name of an agent or id of a conversation, in characters.
MAX_NAME: Final = 1024

_Name = Annotated[str, Field(min_length=1, max_length=MAX_NAME)]
_Count = Annotated[int, Field(ge=0, le=2**63 - 1)]
_Cost = Annotated[float, Field(ge=0, allow_inf_nan=False)]


# The boundary.  Typed dictionaries, because pydantic fills them 1.5 times as fast as models (1.9 against 2.9 µs a
# line) and leaves the unknown fields in place.  `null` in an optional field means that the field is absent.


class _ToolFields(TypedDict, total=False):
    __pydantic_config__ = ConfigDict(extra="allow", strict=True)  # type: ignore[misc]
    name: Required[str]
    call_id: str | None
    arguments: Any
    result: Any
    is_error: bool | None


class _UsageFields(TypedDict, total=False):
    __pydantic_config__ = ConfigDict(extra="allow", strict=True)  # type: ignore[misc]
    input_tokens: _Count | None
    output_tokens: _Count | None
    cache_read_input_tokens: _Count | None
    cache_creation_input_tokens: _Count | None
    reasoning_output_tokens: _Count | None


class _LineFields(TypedDict, total=False):
    __pydantic_config__ = ConfigDict(extra="allow", strict=True)  # type: ignore[misc]
    conversation_id: Required[_Name]
    sender: Required[_Name]
    recipient: Annotated[str, Field(max_length=MAX_NAME)] | None
    kind: Kind | None
    content: str | None
    role: Role | None
    message_id: str | None
    parent_id: str | None
    run_id: str | None
    timestamp: str | None
    tool: _ToolFields | None
    model: str | None
    usage: _UsageFields | None
    cost_usd: _Cost | None
    inferred: bool | None
    usage_elsewhere: bool | None


_validate: Final = TypeAdapter(_LineFields).validator.validate_json


class UnreadableError(Exception):
    """One line is no message."""

    def __init__(self, reason: str, field: str | None = None) -> None:
        self.reason = reason
        self.field = field


def parse_line(line: bytes) -> Message:
    """Turn one line into a message, or raise :class:`UnreadableError`."""
    if len(line) > MAX_VALUES and too_many_values(line):
        raise UnreadableError(f"more than {MAX_VALUES:,} values in one line")
    try:
        return _build(cast(dict[str, Any], _validate(line)))
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
    except RecursionError:
        raise UnreadableError("nested too deeply") from None
    if problem["type"] == "json_invalid" and LONE_HINT.search(problem["ctx"]["error"]):
        return _parse_lone_surrogates(line)
    raise UnreadableError(*_explain(problem, line))


_STRUCTURE: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[,\[{]', re.DOTALL)


def too_many_values(line: bytes) -> bool:
    """Count the commas and openings that are not inside text, up to the limit and in constant memory."""
    if line.count(b",") + line.count(b"[") + line.count(b"{") <= MAX_VALUES:
        return False
    count = 0
    for match in _STRUCTURE.finditer(line):
        if line[match.start()] != 0x22:
            count += 1
            if count > MAX_VALUES:
                return True
    return False


# Half an emoji, as left behind where text was cut: JSON can write it, Python can hold it, pydantic's parser cannot.
#: Found in what pydantic says of half an emoji.
LONE_HINT: Final = re.compile("hex escape|surrogate")
_SURROGATE: Final = re.compile(
    rb"(?<!\\)(?:\\\\)*+(?:\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    rb"|(\\u[dD][89a-fA-F][0-9a-fA-F]{2}))"
)


def _parse_lone_surrogates(line: bytes) -> Message:
    """Read a line with lone surrogates: check a copy without them, then take the values as they are."""
    checked = bytearray(line)
    for match in _SURROGATE.finditer(line):
        start = match.start(1)
        if start >= 0:
            checked[start : start + 6] = rb"\ufffd"
    try:
        _validate(bytes(checked))
        return _build(json.loads(line.decode()))
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
    except (RecursionError, ValueError):
        raise UnreadableError("not JSON") from None
    raise UnreadableError(*_explain(problem, line))


def _build(fields: dict[str, Any]) -> Message:
    """Make a message of checked fields; what is left over are the unknown ones."""
    pop = fields.pop
    tool_fields, usage_fields, stamp, cost = (
        pop("tool", None),
        pop("usage", None),
        pop("timestamp", None),
        pop("cost_usd", None),
    )
    message = Message(
        pop("conversation_id"),
        pop("sender"),
        pop("recipient", None),
        pop("kind", None) or "message",
        pop("content", None) or "",
        pop("role", None),
        pop("message_id", None),
        pop("parent_id", None),
        pop("run_id", None),
        None if stamp is None else _timestamp(stamp),
        None,
        pop("model", None),
        None,
        None if cost is None else float(cost),
        inferred=pop("inferred", None) or False,
        usage_elsewhere=pop("usage_elsewhere", None) or False,
    )
    if tool_fields is not None:
        message.tool = _tool(tool_fields)
        if tool_fields:
            fields["tool"] = tool_fields
    if usage_fields is not None:
        take = usage_fields.pop
        message.usage = Usage(
            take("input_tokens", None) or 0,
            take("output_tokens", None) or 0,
            take("cache_read_input_tokens", None) or 0,
            take("cache_creation_input_tokens", None) or 0,
            take("reasoning_output_tokens", None) or 0,
        )
        if usage_fields:
            fields["usage"] = usage_fields
    if fields:
        message.extra = fields
    return message


def _tool(fields: dict[str, Any]) -> Tool:
    """Take the known fields out of a tool object; a result that is not text becomes compact JSON text."""
    pop = fields.pop
    result = pop("result", None)
    if result is not None and not isinstance(result, str):
        result = compact_json(result)
    return Tool(pop("name"), pop("call_id", None), pop("arguments", None), result, pop("is_error", None) or False)


def _timestamp(text: str) -> datetime:
    """Parse RFC 3339; a time without a zone is UTC."""
    try:
        moment = datetime.fromisoformat(text[:-1] + "Z" if text.endswith("z") else text) if len(text) > 15 else None
    except ValueError:
        moment = None
    if moment is None:
        raise UnreadableError("not an RFC 3339 date and time, such as 2026-05-01T09:30:00Z", "timestamp")
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


_EXPECTED: Final = {
    "string_type": "a string",
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "dict_type": "an object",
}
_FOUND: Final[dict[type, str]] = {
    str: "a string",
    bool: "true or false",
    int: "a number",
    float: "a number",
    list: "an array",
    dict: "an object",
    type(None): "null",
}
_PLACE: Final = re.compile(r"(?P<what>.*) at line (?P<line>\d+) column (?P<column>\d+)$")


def _explain(problem: Any, line: bytes) -> tuple[str, str | None]:
    """Say what is wrong with a line, and with which field: in types and places, never in contents."""
    kind, context = problem["type"], problem.get("ctx", {})
    name = ".".join(map(str, problem["loc"])) or None
    found = _FOUND.get(type(problem["input"]), "something else")
    if kind == "json_invalid":
        try:
            line.decode()
        except UnicodeDecodeError as error:
            return f"not UTF-8 (column {error.start + 1})", None
        match = _PLACE.match(context["error"])
        if match is None:
            return f"not JSON ({context['error']})", None
        end = len(line.rstrip())
        if match["line"] != "1" or int(match["column"]) > end or match["what"].startswith("EOF"):
            return f"not JSON (column {end + 1}: the line ends too early)", None
        if "recursion" in match["what"]:
            return f"nested too deeply (column {match['column']})", None
        return f"not JSON (column {match['column']}: {match['what']})", None
    if name is None:
        return f"not an object but {found}", None
    match kind:
        case "missing":
            return "missing", name
        case "string_too_short":
            return "empty", name
        case "string_too_long":
            return f"longer than {context['max_length']:,} characters", name
        case "greater_than_equal":
            return "negative", name
        case "less_than_equal" | "int_parsing_size":
            return "out of range", name
        case "finite_number":
            return "not a finite number", name
        case "literal_error":
            other = "another string" if isinstance(problem["input"], str) else found
            return f"expected {context['expected']}, found {other}", name
    return f"expected {_EXPECTED.get(kind, 'something else')}, found {found}", name


# Written as \u escapes: what would break a line or act on a terminal (C1, line separators, text direction), and lone
# surrogates, which UTF-8 cannot hold.  Everything else stays readable, Chinese included.
_ESCAPED: Final = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def compact_json(value: Any) -> str:
    """Return compact JSON; what JSON does not know is written as its ``str``."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)


def message_to_json(message: Message) -> str:
    """Return one line of the format, without its line end; fields with their default value are left out.

    Reading the line gives an equal message, except that a time without a zone becomes UTC, that JSON knows neither
    tuples nor keys other than strings, and that a cost which is not finite is left out.

    Raises:
        TypeError, ValueError: Arguments or unknown fields hold what JSON cannot express (a cycle, a tuple as key).
    """
    line: dict[str, Any] = {"conversation_id": message.conversation_id, "sender": message.sender}
    if message.kind != "message":
        line["kind"] = message.kind
    if message.content:
        line["content"] = message.content
    for name in ("recipient", "role", "message_id", "parent_id", "run_id", "model"):
        if (value := getattr(message, name)) is not None:
            line[name] = value
    if message.timestamp is not None:
        moment = message.timestamp
        line["timestamp"] = (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).isoformat()
    extra = message.extra or {}
    if (tool := message.tool) is not None:
        known = {"call_id": tool.call_id, "arguments": tool.arguments, "result": tool.result}
        written = {"name": tool.name} | {name: value for name, value in known.items() if value is not None}
        if tool.is_error:
            written["is_error"] = True
        line["tool"] = written | _unknown(extra.get("tool"), Tool.__slots__)
    if (usage := message.usage) is not None:
        counts = {name: getattr(usage, name) for name in Usage.__slots__ if getattr(usage, name)}
        line["usage"] = counts | _unknown(extra.get("usage"), Usage.__slots__)
    if message.cost_usd is not None and math.isfinite(message.cost_usd):
        line["cost_usd"] = message.cost_usd
    for name in ("inferred", "usage_elsewhere"):
        if getattr(message, name):
            line[name] = True
    line |= _unknown(extra, _KNOWN)
    return _ESCAPED.sub(lambda match: f"\\u{ord(match[0]):04x}", compact_json(line))


_KNOWN: Final = frozenset(Message.__slots__) - {"extra"}


def _unknown(fields: Any, known: Container[str]) -> dict[str, Any]:
    """Return the fields that the format does not know: an extra field never overrides one of the format."""
    return {name: value for name, value in fields.items() if name not in known} if isinstance(fields, dict) else {}
