"""Agents and workflows of Microsoft Agent Framework with scripted chat clients that never leave the machine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

from agent_framework import (
    Agent,
    BaseChatClient,
    ChatMiddlewareLayer,
    ChatResponse,
    ChatResponseUpdate,
    Content,
    FunctionInvocationLayer,
    Message,
    ResponseStream,
    tool,
)
from agent_framework_orchestrations import GroupChatBuilder, HandoffBuilder

from tests.integrations.scripts import Script, Turn

__all__ = [
    "THANKS",
    "Board",
    "Client",
    "agents_of",
    "asks",
    "calls_of",
    "chat_of",
    "handoff_of",
    "run",
    "texts_of",
    "tools_of",
]

THANKS = (
    "Thank you so much, great work!",
    "You are welcome, thanks to you as well.",
    "Great, I agree, thank you again!",
    "Perfect, thanks, glad we agree.",
    "Wonderful teamwork, thank you!",
    "Thanks, that is great.",
)


class Board:
    """What all clients of one test did: how many calls began and ended, and what was read."""

    def __init__(self) -> None:
        self.begun = 0
        self.ended = 0
        self.read: list[list[Message]] = []
        self.tools = 0


Line = str | list[Content]


def asks(name: str, call_id: str, text: str = "", **arguments: Any) -> list[Content]:
    """A line that asks for a tool."""
    call = Content.from_function_call(call_id=call_id, name=name, arguments=arguments)
    return [Content.from_text(text), call] if text else [call]


class Client(FunctionInvocationLayer, ChatMiddlewareLayer, BaseChatClient):
    """A chat client that says its lines in turn, over and over, in words or all at once, with the tokens at the end."""

    def __init__(
        self,
        lines: Sequence[Line] | Callable[[], Line],
        board: Board | None = None,
        *,
        usage: tuple[int, int] = (10, 5),
        model: str = "scripted-1",
        seconds: float = 0.0,
        fails_at: int = -1,
    ) -> None:
        super().__init__()
        self.board = board or Board()
        self.lines = lines
        self.usage: Any = {
            "input_token_count": usage[0],
            "output_token_count": usage[1],
            "total_token_count": sum(usage),
        }
        self.model = model
        self.seconds = seconds
        self.fails_at = fails_at
        self.turn = 0

    def _next(self, messages: Sequence[Message]) -> list[Content]:
        self.board.begun += 1
        self.board.read.append(list(messages))
        if self.board.begun == self.fails_at:
            raise LookupError("the service is down")
        line = self.lines() if callable(self.lines) else self.lines[self.turn % len(self.lines)]
        self.turn += 1
        return [Content.from_text(line)] if isinstance(line, str) else list(line)

    def _inner_get_response(
        self, *, messages: Sequence[Message], stream: bool, options: Mapping[str, Any], **kwargs: Any
    ) -> Any:
        if not stream:
            return self._answer(messages)

        async def updates() -> AsyncIterator[ChatResponseUpdate]:
            contents = self._next(messages)
            await asyncio.sleep(self.seconds)
            for content in contents:
                parts = content.text.split(" ") if content.type == "text" and content.text else None
                if parts is None:
                    yield ChatResponseUpdate(role="assistant", contents=[content], model=self.model)
                    continue
                for n, word in enumerate(parts):
                    text = word if n == len(parts) - 1 else f"{word} "
                    yield ChatResponseUpdate(role="assistant", contents=[Content.from_text(text)], model=self.model)
            yield ChatResponseUpdate(role="assistant", contents=[Content.from_usage(self.usage)], model=self.model)
            self.board.ended += 1

        return ResponseStream(updates(), finalizer=ChatResponse.from_updates)

    async def _answer(self, messages: Sequence[Message]) -> ChatResponse[Any]:
        contents = self._next(messages)
        await asyncio.sleep(self.seconds)
        self.board.ended += 1
        return ChatResponse(
            messages=[Message(role="assistant", contents=contents)], usage_details=self.usage, model=self.model
        )


def calls_of(script: Script) -> Callable[[], Line]:
    """The lines of all agents of a script, in the order of its turns."""
    turns = iter(enumerate(script.turns))

    def following() -> Line:
        number, turn = next(turns, (-1, Turn("nobody", "FINISHED")))
        if turn.call is not None:
            return asks(turn.call.name, f"call-{number}", turn.text, **turn.call.arguments)
        if turn.to is not None:
            return asks(f"handoff_to_{turn.to}", f"call-{number}", turn.text)
        return turn.text

    return following


def tools_of(script: Script, board: Board) -> list[Any]:
    """The tools of a script, which answer as it says."""
    results: dict[str, list[str]] = {}
    for turn in script.turns:
        if turn.call is not None:
            results.setdefault(turn.call.name, []).append(turn.call.result)

    def tool_for(name: str) -> Any:
        said = iter(results[name])

        @tool(name=name, description=f"Run {name}.", approval_mode="never_require")
        def answer(origin: str = "", destination: str = "", job: str = "") -> str:
            board.tools += 1
            return next(said)

        return answer

    return [tool_for(name) for name in results]


def agents_of(script: Script, board: Board, **kwargs: Any) -> list[Agent[Any]]:
    """The agents of a script, which share one client, so that they take its turns in order."""
    client = Client(calls_of(script), board)
    client.function_invocation_configuration["max_iterations"] = 100
    tools = tools_of(script, board)
    return [Agent(client, name=name, tools=tools, **kwargs) for name in script.agents]


def chat_of(script: Script, board: Board, **kwargs: Any) -> Any:
    """A group chat in which the agents speak in the order of the turns, until these are over."""
    order = [turn.agent for turn in script.turns]
    builder = GroupChatBuilder(
        participants=agents_of(script, board),
        selection_func=lambda state: order[min(state.current_round, len(order) - 1)],
        max_rounds=len(order),
        **kwargs,
    )
    return builder.build()


def handoff_of(script: Script, board: Board, **kwargs: Any) -> Any:
    """A hand-off in which the agents hand over as the turns say."""
    agents = agents_of(script, board, require_per_service_call_history_persistence=True)
    return HandoffBuilder(participants=agents, **kwargs).with_start_agent(agents[0]).build()


async def run(what: Any, *args: Any, stream: bool = False, **kwargs: Any) -> Any:
    """Run an agent or a workflow to its end, and return its result."""
    if not stream:
        return await what.run(*args, **kwargs)
    updates = what.run(*args, stream=True, **kwargs)
    async for _ in updates:
        pass
    return await updates.get_final_response()


def texts_of(result: Any) -> list[str]:
    """The texts of the outputs of a workflow."""
    return [str(getattr(output, "text", output)) for output in result.get_outputs()]
