"""Values of foreign records, read tolerantly: what is missing or of another type is nothing, not an error."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from agentbreaker.message import Message, Usage
from agentbreaker.transcripts.records import parse_value
from agentbreaker.transcripts.schema import MAX_NAME, UnreadableError, compact_json

__all__ = [
    "cost_of",
    "count_of",
    "first_name",
    "items_of",
    "last_text",
    "mapping_of",
    "moment_of",
    "name_of",
    "pay_together",
    "sum_of_usage",
    "text_of",
    "unpacked",
    "usage_of",
]

_MAX_DEPTH: Final = 8
_MOST_TOKENS: Final = 2**63 - 1


def name_of(value: Any, field: str) -> str | None:
    """Return a name or id, ``None`` where there is none; a number is written out.

    Raises:
        UnreadableError: It is longer than a name may be: cut, it could be taken for another one.
    """
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) <= _MOST_TOKENS:
        return str(value)
    if not isinstance(value, str) or not value:
        return None
    if len(value) > MAX_NAME:
        raise UnreadableError(f"longer than {MAX_NAME:,} characters", field)
    return value


def first_name(record: Mapping[str, Any], fields: Iterable[str]) -> str | None:
    """Return the first of the fields that holds a name or id."""
    for field in fields:
        if (name := name_of(record.get(field), field)) is not None:
            return name
    return None


def items_of(value: Any) -> list[dict[str, Any]]:
    """Return the objects of a list, whatever else is in it; nothing where it is no list.

    A list written as JSON text is read.
    """
    value = unpacked(value)
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def mapping_of(value: Any) -> dict[str, Any]:
    """Return an object, also one that is written as JSON text; an empty one where it is something else."""
    value = unpacked(value)
    return value if isinstance(value, dict) else {}


def unpacked(value: Any) -> Any:
    """Return what JSON text holds; anything else, and text that is no JSON object or array, as it is."""
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        try:
            return parse_value(value.encode("utf-8", "surrogatepass"))
        except UnreadableError:
            return value
    return value


def text_of(value: Any, depth: int = _MAX_DEPTH) -> str:
    """Return the text of a message's content: a string, the text parts of a list, or compact JSON.

    Pictures and other media are no text and left out.
    """
    if isinstance(value, str):
        return value
    if value is None or depth == 0:
        return ""
    if isinstance(value, list):
        return "\n".join(text for part in value if (text := text_of(part, depth - 1)))
    if isinstance(value, dict):
        for field in ("text", "content", "thinking"):
            if isinstance(value.get(field), str):
                return str(value[field])
        if isinstance(value.get("content"), list):
            return text_of(value["content"], depth - 1)
        if "type" in value:
            return ""
    try:
        return compact_json(value)
    except (RecursionError, ValueError, TypeError):
        return ""


_STATE: Final = (
    "messages",
    *("output", "outputs", "input", "inputs", "generations", "update"),
    *("content", "text", "answer", "query", "question"),
)


def last_text(value: Any, depth: int = _MAX_DEPTH) -> str:
    """Return the latest text of what an agent was given or gave: a text, a message, a list of them, or a state.

    Tracing systems record inputs and outputs as they were, often as JSON text of a state with ``messages`` in it.
    """
    if depth == 0:
        return ""
    value = unpacked(value) if depth == _MAX_DEPTH else value
    if isinstance(value, list):
        return next((text for item in reversed(value) if (text := last_text(item, depth - 1))), "")
    if isinstance(value, dict):
        if isinstance(value.get("kwargs"), dict) and "content" in value["kwargs"]:
            return text_of(value["kwargs"]["content"], depth - 1)
        if isinstance(value.get("data"), dict) and "type" in value and "content" in value["data"]:
            return text_of(value["data"]["content"], depth - 1)
        if isinstance(value.get("parts"), list):
            return text_of(value["parts"], depth - 1)
        if isinstance(value.get("message"), dict):
            return last_text(value["message"], depth - 1)
        for field in _STATE:
            if field in value and (text := last_text(value[field], depth - 1)):
                return text
        return "" if not value or {"role", "type"} & value.keys() else text_of(value, depth - 1)
    return text_of(value, depth - 1)


def count_of(value: Any) -> int:
    """Return a number of tokens, also one that is written as text; 0 where there is none."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
        value = int(value)
    if isinstance(value, float) and math.isfinite(value):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        return 0
    return value if 0 <= value <= _MOST_TOKENS else 0


def cost_of(value: Any) -> float | None:
    """Return a price, also one that is written as text; ``None`` where there is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        cost = float(value)
    except (ValueError, OverflowError):
        return None
    return cost if math.isfinite(cost) and cost >= 0 else None


def usage_of(
    input_tokens: Any, output_tokens: Any, read: Any = 0, created: Any = 0, reasoning: Any = 0
) -> Usage | None:
    """Return the tokens of a call, ``None`` where none are recorded; `input_tokens` includes the cached ones."""
    usage = Usage(*map(count_of, (input_tokens, output_tokens, read, created, reasoning)))
    return usage if usage.total else None


def sum_of_usage(one: Usage | None, other: Usage | None) -> Usage | None:
    """Return the tokens of two calls together."""
    if one is None or other is None:
        return one or other
    return Usage(*(getattr(one, name) + getattr(other, name) for name in Usage.__slots__))


def pay_together(
    messages: list[Message], usage: Usage | None, model: str | None = None, cost_usd: float | None = None
) -> None:
    """Put what one model call cost on the last of its messages: the tokens of the others are in that."""
    for message in messages:
        message.model = model
        message.usage_elsewhere = usage is not None or cost_usd is not None
    paid = messages[-1]
    paid.usage, paid.cost_usd, paid.usage_elsewhere = usage, cost_usd, False


def moment_of(value: Any) -> datetime | None:
    """Return a time: RFC 3339 with ``T`` or a blank, or seconds, milli-, micro- or nanoseconds since 1970.

    A time without a zone is UTC.
    """
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value) if len(value) > 15 and not value.isdigit() else None
        except ValueError:
            moment = None
        if moment is not None:
            return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
        if not (value.isascii() and value.isdigit() and len(value) < 20):
            return None
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    for least, units in ((1e17, 1e9), (1e14, 1e6), (1e11, 1e3)):
        if value > least:
            value = value / units
            break
    try:
        return datetime.fromtimestamp(value, UTC) if value > 0 else None
    except (OverflowError, ValueError, OSError):
        return None
