"""Reading recorded conversations in many formats, and writing them in ours (transcript format version 1)."""

from __future__ import annotations

from agentbreaker.transcripts.formats import FORMATS, READERS_GROUP, Format, is_recording, read_transcript
from agentbreaker.transcripts.native import write_transcript
from agentbreaker.transcripts.paths import FoundFile, expand_paths
from agentbreaker.transcripts.reading import ReadReport
from agentbreaker.transcripts.records import MAX_DOCUMENT_BYTES, MAX_LINE_BYTES
from agentbreaker.transcripts.schema import message_to_json
from agentbreaker.transcripts.source import Source

__all__ = [
    "FORMATS",
    "MAX_DOCUMENT_BYTES",
    "MAX_LINE_BYTES",
    "READERS_GROUP",
    "Format",
    "FoundFile",
    "ReadReport",
    "Source",
    "expand_paths",
    "is_recording",
    "message_to_json",
    "read_transcript",
    "write_transcript",
]
