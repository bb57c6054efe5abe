"""Reading and writing of recorded conversations (transcript format version 1)."""

from __future__ import annotations

from agentbreaker.transcripts.native import (
    MAX_LINE_BYTES,
    ReadReport,
    expand_paths,
    message_to_json,
    read_transcript,
    write_transcript,
)

__all__ = [
    "MAX_LINE_BYTES",
    "ReadReport",
    "expand_paths",
    "message_to_json",
    "read_transcript",
    "write_transcript",
]
