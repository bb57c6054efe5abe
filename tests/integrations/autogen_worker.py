"""Two processes on autogen-core's gRPC runtime whose agents await each other; run by ``test_autogen_core.py``.

``main`` starts the host and the agent ``ann``, and a second process with ``bob``; it prints what came of it.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from autogen_core import AgentId, MessageContext, RoutedAgent, message_handler

from agentbreaker import Guard, Policy
from agentbreaker.integrations.autogen_core import AutoGenCoreBreaker

LIMIT = 15.0
POLICIES = {"default": Policy(), "strict": Policy(calls={"reentry": 10.0})}


@dataclass
class Say:
    """What agents say to each other."""

    content: str


class Ring(RoutedAgent):
    """Asks the other one, and waits for the answer."""

    def __init__(self, other: str, handled: list[str]) -> None:
        super().__init__("part of a ring")
        self._other = other
        self._handled = handled

    @message_handler
    async def on_say(self, message: Say, ctx: MessageContext) -> Say:
        """Pass the question on."""
        self._handled.append(message.content)
        answer: Say = await self.send_message(message, AgentId(self._other, "default"))
        return answer


async def worker(address: str, name: str, other: str, guard: Guard) -> tuple[Any, list[str], AutoGenCoreBreaker]:
    """One agent on a runtime of its own."""
    from autogen_ext.runtimes.grpc import GrpcWorkerAgentRuntime

    breaker = AutoGenCoreBreaker(guard, conversation_id="c")
    inner = GrpcWorkerAgentRuntime(host_address=address)
    await inner.start()
    runtime = breaker.runtime(inner)
    handled: list[str] = []
    await Ring.register(runtime, name, lambda: Ring(other, handled))
    return runtime, handled, breaker


async def main(policy: str) -> None:
    """Host, first agent, and the process of the second."""
    from autogen_ext.runtimes.grpc import GrpcWorkerAgentRuntimeHost

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    host = GrpcWorkerAgentRuntimeHost(address=address)
    host.start()
    guard = Guard(POLICIES[policy])
    runtime, handled, _ = await worker(address, "ann", "bob", guard)
    other = await asyncio.create_subprocess_exec(
        sys.executable, __file__, "bob", policy, address, stdout=subprocess.PIPE, stdin=subprocess.PIPE
    )
    assert other.stdout is not None
    await asyncio.wait_for(other.stdout.readline(), LIMIT)
    error = ""
    try:
        await asyncio.wait_for(runtime.send_message(Say("Find out why it differs."), AgentId("ann", "default")), LIMIT)
    except Exception as raised:
        error = f"{type(raised).__name__}: {raised}"
    out, _ = await asyncio.wait_for(other.communicate(b"end\n"), LIMIT)
    theirs = json.loads(out.decode().splitlines()[-1])
    told = {"codes": [guard.decision("c").code, theirs["code"]], "error": error, "handled": len(handled)}
    print(json.dumps({**told, "processes": [os.getpid(), theirs["process"]]}))
    await asyncio.wait_for(runtime.stop(), LIMIT)
    await host.stop(grace=0)


async def second(policy: str, address: str) -> None:
    """The process of the second agent: until it is told to end."""
    guard = Guard(POLICIES[policy])
    runtime, handled, _ = await worker(address, "bob", "ann", guard)
    print("ready", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    print(json.dumps({"code": guard.decision("c").code, "handled": len(handled), "process": os.getpid()}), flush=True)
    await runtime.stop()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[2]) if sys.argv[1] == "main" else second(sys.argv[2], sys.argv[3]))
