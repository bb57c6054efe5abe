"""A hub of AG2 1.x in a process of its own, behind a WebSocket; run by ``test_ag2.py``.

It prints the port that it listens on, and when it is told to end, what its breaker decided, if it has one.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from ag2.knowledge import MemoryKnowledgeStore
from ag2.network import Hub
from ag2.network.transport.ws import serve_ws

from agentbreaker.integrations.ag2 import AG2Breaker


async def main(watched: bool) -> None:
    """Serve the hub until a line comes in."""
    logging.getLogger("ag2").setLevel(logging.CRITICAL)
    hub = await Hub.open(MemoryKnowledgeStore())
    breaker = AG2Breaker()
    if watched:
        breaker.attach(hub)
    async with serve_ws(hub, "127.0.0.1", 0) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    codes = [breaker.guard.decision(name).code for name in breaker.guard.conversations()]
    print(json.dumps({"codes": codes, "process": os.getpid(), "faults": dict(breaker.faults)}), flush=True)
    await hub.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] == "watched"))
