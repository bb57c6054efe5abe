"""Small scenario folders and labelled recordings for tests."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from agentbreaker.demo import thanks, work

Line = dict[str, Any]


def talk(name: str, lines: Iterable[str], **more: Any) -> Iterator[Line]:
    """A request of the user, then two agents that speak the lines in turn; `more` goes into every line of theirs."""
    yield {"conversation_id": name, "sender": "user", "recipient": "ann", "role": "user", "content": "Plan the import."}
    for number, text in enumerate(lines):
        pair = ("ann", "bob") if number % 2 == 0 else ("bob", "ann")
        yield {"conversation_id": name, "sender": pair[0], "recipient": pair[1], "content": text, **more}


def runaway(name: str, **more: Any) -> list[Line]:
    """Five messages of work, then thirty of thanks: halted a few messages after number 5."""
    return list(talk(name, [*islice(work(), 4), *islice(thanks(), 30)], **more))


def quiet(name: str, **more: Any) -> list[Line]:
    """A conversation that gets somewhere."""
    return list(talk(name, work(), **more))


def save(path: Path, *conversations: Iterable[Line]) -> Path:
    """Write conversations one after the other; packed if the name says so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = "".join(json.dumps(line) + "\n" for lines in conversations for line in lines).encode()
    path.write_bytes(gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)
    return path


def scenario_set(root: Path) -> Path:
    """A folder of two scenario folders: a runaway that is caught, and two conversations that are left alone."""
    loop, calm = root / "AB201-thanks", root / "legitimate-work"
    save(loop / "thanks-en.jsonl", runaway("thanks-en"))
    table = '[thanks-en]\nstory = "Thanks."\nonset = 5\nhalt_from = 5\nhalt_by = 20\n'
    (loop / "scenario.toml").write_text(table, "utf-8")
    save(calm / "work-en.jsonl.gz", quiet("work-en-1"), quiet("work-en-2"))
    (calm / "scenario.toml").write_text('[work-en]\nstory = "Work."\ncount = 2\nquiet = true\n', "utf-8")
    return root
