"""The middleware of an agent: the three seams of Agent Framework at which a run is seen and kept from going on."""

from __future__ import annotations

import weakref
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from agent_framework import (
    AgentContext,
    AgentMiddleware,
    ChatContext,
    ChatMiddleware,
    ChatResponse,
    FunctionInvocationContext,
    FunctionMiddleware,
    MiddlewareTermination,
    ResponseStream,
)

from agentbreaker.integrations._agent_framework_stop import halted
from agentbreaker.integrations._agent_framework_talk import Frame, Run, Step, Talk, frame_of
from agentbreaker.integrations._agent_framework_text import agent_end, chat_end
from agentbreaker.integrations.base import final_answer

if TYPE_CHECKING:
    from agentbreaker.integrations._agent_framework_watch import Watch

__all__ = ["AgentSeam", "ChatSeam", "FunctionSeam"]

_Next = Callable[[], Awaitable[None]]


def _when_dropped(stream: object, talk: Talk, ended: Callable[[], object]) -> None:
    """Have `ended` called some time after a stream is gone; it must do nothing if the stream came to its end."""
    weakref.finalize(stream, talk.dropped.append, ended).atexit = False


def _inside(watch: Watch, metadata: dict[str, Any]) -> tuple[Frame, Run] | None:
    """The run of an agent that a call belongs to; ``None`` outside of one, and for a breaker that is not the first."""
    frame = frame_of(watch.guard)
    run = None if frame is None else frame.run
    return None if frame is None or run is None or not watch.looks(metadata) else (frame, run)


class AgentSeam(AgentMiddleware):
    """Around the run of an agent."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    async def process(self, context: AgentContext, call_next: _Next) -> None:
        """Deliver what the agent receives, keep it from running if the breaker is open, and note what it says."""
        watch = self._watch
        begun = watch.run_of(context)
        if begun is None:
            await call_next()
            return
        frame, run, messages = begun
        decision = watch.admit(run.talk, messages)
        if decision is not None:
            if watch.raises(decision):
                raise halted(watch.guard, decision, run.talk.conversation_id)
            context.result = agent_end(final_answer(decision), run.actor, context.stream)
            return
        try:
            with Step(frame):
                await call_next()
        except BaseException:
            watch.ended(run, None)
            raise
        if isinstance(context.result, ResponseStream):
            stream = context.result
            stream.with_pull_context_manager(lambda: Step(frame, lambda: watch.ended(run, None)))
            context.stream_result_hooks.append(lambda response: watch.ended(run, response))
            _when_dropped(stream, run.talk, lambda: watch.ended(run, None))
        else:
            watch.ended(run, context.result)


class ChatSeam(ChatMiddleware):
    """Around each model call."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    async def process(self, context: ChatContext, call_next: _Next) -> None:
        """Keep a paid call from beginning if the breaker is open, and note what it costs."""
        watch = self._watch
        inside = _inside(watch, context.metadata)
        if inside is None:
            await call_next()
            return
        _, run = inside
        talk = run.talk
        call = watch.begins(run, context)
        decision = call.refusal
        if decision is not None:
            if watch.raises(decision):
                raise halted(watch.guard, decision, talk.conversation_id)
            run.ended = True
            context.result = chat_end(final_answer(decision), context.stream)
            return
        watch.steer_next(run, context)
        options = context.options
        over = False

        def ended(response: ChatResponse[Any] | None = None) -> None:
            nonlocal over
            if over:
                return
            over = True
            if response is not None:
                watch.answered(run, response, options, call)
            call.close()

        call.begin()
        try:
            await call_next()
        except BaseException:
            ended()
            raise
        if isinstance(context.result, ResponseStream):
            context.stream_result_hooks.append(ended)
            run.calls.append(ended)  # if the stream breaks off, or nobody reads it to its end
        else:
            ended(context.result)


class FunctionSeam(FunctionMiddleware):
    """Around each tool call."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    async def process(self, context: FunctionInvocationContext, call_next: _Next) -> None:
        """Tell the guard about the call and its result, and keep the tool from running if the breaker is open."""
        watch = self._watch
        inside = _inside(watch, context.metadata)
        if inside is None:
            await call_next()
            return
        frame, run = inside
        talk = run.talk
        handoff = watch.is_handoff(frame, context.function.name)
        decision = watch.admit(talk, watch.called(frame, context) or ())
        if decision is not None:
            if watch.raises(decision):
                raise halted(watch.guard, decision, talk.conversation_id)
            # No error and no result of the tool either: the next model call is answered with the final answer.
            context.result = final_answer(decision)
            return
        error: Exception | None = None
        watch.begin(talk.conversation_id)
        try:
            with Step(Frame(watch.guard, talk, run.actor, silent=True)):
                await call_next()
        except MiddlewareTermination:
            raise
        except Exception as failure:
            error = failure
            raise
        finally:
            watch.end(talk.conversation_id)
            if not handoff:
                watch.returned(run, context, error)
