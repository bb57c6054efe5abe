"""Reading and writing of recorded conversations (transcript format version 1)."""

from __future__ import annotations

from agentbreaker.transcripts.native import MAX_LINE_BYTES, ReadReport, read_transcript, write_transcript
from agentbreaker.transcripts.paths import expand_paths
from agentbreaker.transcripts.schema import message_to_json

__all__ = [
    "MAX_LINE_BYTES",
    "ReadReport",
    "expand_paths",
    "message_to_json",
    "read_transcript",
    "write_transcript",
]
