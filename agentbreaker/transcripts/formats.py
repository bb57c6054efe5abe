"""Which formats are read, how a recording's format is told from its content, and the one way to read them all.

:data:`FORMATS` is the whole list; nothing registers itself.  Readers of other distributions are entry points of the
group ``agentbreaker.readers``, each a :class:`Format`.  They are loaded only when a person names them, with
``--format`` or `format`; what is in a file never decides about loading code.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import BinaryIO, Final

from agentbreaker.errors import ConfigError, TranscriptError
from agentbreaker.message import Message
from agentbreaker.transcripts.ag2 import read_ag2, recognise_ag2
from agentbreaker.transcripts.ag2_classic import read_ag2_classic, recognise_ag2_classic
from agentbreaker.transcripts.atif import read_atif, recognise_atif
from agentbreaker.transcripts.autogen import read_autogen, recognise_autogen
from agentbreaker.transcripts.autogen_events import read_autogen_events, recognise_autogen_events
from agentbreaker.transcripts.chat import read_chat, recognise_chat
from agentbreaker.transcripts.claude_code import read_claude_code, recognise_claude_code
from agentbreaker.transcripts.inspect_log import read_inspect, recognise_inspect
from agentbreaker.transcripts.langfuse import read_langfuse, recognise_langfuse
from agentbreaker.transcripts.langgraph import read_langgraph, recognise_langgraph
from agentbreaker.transcripts.langgraph_sqlite import read_langgraph_sqlite, recognise_langgraph_sqlite
from agentbreaker.transcripts.langsmith import read_langsmith, recognise_langsmith
from agentbreaker.transcripts.native import read_native
from agentbreaker.transcripts.openinference import read_phoenix, recognise_phoenix
from agentbreaker.transcripts.otlp import read_otlp, recognise_otlp
from agentbreaker.transcripts.reading import ReadReport
from agentbreaker.transcripts.records import Probe
from agentbreaker.transcripts.share import Share
from agentbreaker.transcripts.source import SQLITE, Source, open_source
from agentbreaker.transcripts.table import looks_like_a_table, read_csv, read_parquet, recognise_csv, recognise_parquet

__all__ = [
    "FORMATS",
    "READERS_GROUP",
    "Format",
    "detect",
    "find_format",
    "is_recording",
    "other_formats",
    "read_transcript",
]

#: Entry points of this group name objects of :class:`Format`.
READERS_GROUP: Final = "agentbreaker.readers"


@dataclass(slots=True, frozen=True)
class Format:
    """A format that is read.

    Attributes:
        name: What ``--format`` calls it.
        title: What it is, in a few words.
        recognises: Whether a recording that begins like this is one; must not raise, whatever it is given.
        read: Yields the messages of a source.  Faults of a record are given to ``source.skip``; what it yields it
            counts in ``source.report.messages``.
    """

    name: str
    title: str
    recognises: Callable[[Probe], bool]
    read: Callable[[Source], Iterator[Message]]


def _is_native(probe: Probe) -> bool:
    return any("conversation_id" in record and "sender" in record for record in probe.records) or (
        {"conversation_id", "sender"} <= probe.keys
    )


#: All formats, in the order in which they are asked; the first also takes what nobody recognises.
FORMATS: Final[tuple[Format, ...]] = (
    Format("agentbreaker", "agentbreaker JSON Lines, version 1", _is_native, read_native),
    Format("otlp", "OTLP JSON of OpenTelemetry, GenAI or OpenInference attributes", recognise_otlp, read_otlp),
    Format("phoenix", "Phoenix: exported OpenInference spans", recognise_phoenix, read_phoenix),
    Format("langsmith", "LangSmith runs: JSON of its SDK, Parquet of its export", recognise_langsmith, read_langsmith),
    Format("langfuse", "Langfuse observations, new and legacy: JSON, CSV, Parquet", recognise_langfuse, read_langfuse),
    Format(
        "langgraph-sqlite",
        "LangGraph checkpoints in SQLite; extra checkpoints",
        recognise_langgraph_sqlite,
        read_langgraph_sqlite,
    ),
    Format("autogen", "AutoGen 0.7: TaskResult, team state, or messages a line", recognise_autogen, read_autogen),
    Format("autogen-events", "AutoGen 0.7: log of autogen_core.events", recognise_autogen_events, read_autogen_events),
    Format("ag2", "AG2 1.x: write-ahead log of a channel", recognise_ag2, read_ag2),
    Format("ag2-classic", "AG2 0.x: SQLite log of runtime_logging", recognise_ag2_classic, read_ag2_classic),
    Format("claude-code", "Claude Code sessions, with their subagents", recognise_claude_code, read_claude_code),
    Format("atif", "ATIF trajectories, with their subagents", recognise_atif, read_atif),
    Format("inspect", "Inspect logs: JSON, and .eval where inspect-ai is installed", recognise_inspect, read_inspect),
    Format("langgraph", "LangGraph streams, of every mode but custom", recognise_langgraph, read_langgraph),
    Format("chat", "OpenAI-style chat JSON Lines, conversations or messages", recognise_chat, read_chat),
    Format("csv", "CSV, a message a row; --map names the columns", recognise_csv, read_csv),
    Format("parquet", "Parquet, a message a row; --map as for CSV; extra bulk", recognise_parquet, read_parquet),
)
_BY_NAME: Final = {one.name: one for one in FORMATS}


def other_formats() -> dict[str, EntryPoint]:
    """Readers of other distributions by name, found but not loaded; a name of ours stays ours."""
    found = {point.name: point for point in entry_points(group=READERS_GROUP)}
    return {name: point for name, point in sorted(found.items()) if name not in _BY_NAME}


def find_format(name: str) -> Format:
    """Return the format of this name; one of another distribution is loaded now.

    Raises:
        ConfigError: There is none, or it cannot be loaded.
    """
    if (known := _BY_NAME.get(name)) is not None:
        return known
    others = other_formats()
    if name not in others:
        near = difflib.get_close_matches(name, [*_BY_NAME, *others], 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ConfigError(f"no format {name!r}{hint} `agentbreaker formats` lists them", field="format")
    try:
        loaded = others[name].load()
    except Exception as error:
        raise ConfigError(
            f"the reader {name!r} cannot be loaded: {type(error).__name__}: {error}", field="format"
        ) from error
    if not isinstance(loaded, Format):
        raise ConfigError(f"the reader {name!r} is no agentbreaker.transcripts.Format", field="format")
    return loaded


def detect(source: Source) -> Format:
    """Tell the format of a source from its beginning, which stays to be read.

    Of what nobody knows, a table is taken for CSV, whose reader says which column it misses, and other text for ours.

    Raises:
        TranscriptError: It is a database of no format that is known, or needs a library that is missing.
    """
    probe = Probe(source)
    found = next((one for one in FORMATS if one.recognises(probe)), None)
    if found is None and source.head.startswith(SQLITE):
        raise TranscriptError("an SQLite database of no format that is known", path=source.path)
    if found is None and looks_like_a_table(probe):
        return _BY_NAME["csv"]
    return found or FORMATS[0]


def is_recording(path: str, columns: Mapping[str, str] | None = None) -> bool:
    """Whether a format knows the file; `columns` are those of tables, as for :func:`read_transcript`.

    What cannot be opened or looked at is taken for one, and so is an empty file with the name of a transcript: reading
    it says what is wrong.
    """
    try:
        with open_source(path, columns=columns) as source:
            if not source.head.strip():
                return not source.complete or path.endswith((".jsonl", ".jsonl.gz"))
            probe = Probe(source)
            return any(one.recognises(probe) for one in FORMATS)
    except (TranscriptError, OSError):
        return True


def read_transcript(
    source: str | os.PathLike[str] | BinaryIO,
    *,
    strict: bool = False,
    report: ReadReport | None = None,
    format: str | None = None,
    columns: Mapping[str, str] | None = None,
    share: Share | None = None,
) -> Iterator[Message]:
    """Yield the messages of a recording while it is being read.

    Args:
        source: A file name, ``"-"`` for standard input, or an open binary stream, which stays open.  Gzip is told by
            its first bytes, not by its name.
        strict: Raise at the first line or record that cannot be read, instead of counting and skipping it.
        report: Filled while the messages are consumed.
        format: Name of the format, see :data:`FORMATS`; without it, it is told from the content.
        columns: For tables: field of ours to the name of the column, ``{"sender": "from_agent"}``.
        share: The conversations that are wanted, where several processes read the same; without it all.

    Raises:
        ConfigError: On first use of the iterator: there is no such format.
        TranscriptError: On first use of the iterator: the file is missing, a directory, not permitted, empty, or not
            text.  With `strict` also: a line that cannot be read, a gzip file that is cut or corrupt.
    """
    forced = None if format is None else find_format(format)
    with open_source(source, strict=strict, report=report, columns=columns, share=share) as opened:
        how = detect(opened) if forced is None else forced
        messages = opened.read(how.read(opened))
        if share is not None and how.read is not read_native:
            messages = _own(messages, share)
        yield from opened.report.counted(messages, how.name, opened.path)


def _own(messages: Iterator[Message], share: Share) -> Iterator[Message]:
    """Pass on the messages of one share, of a reader that knows nothing of shares."""
    for message in messages:
        share.position += 1
        if share.takes(message.conversation_id):
            yield message
