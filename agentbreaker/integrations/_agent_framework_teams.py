"""Workflows: who received what from whom, between the agents and executors of a group chat, a hand-off or a graph.

Agent Framework has no hook for the delivery of a message, so each executor of a workflow gets its ``execute`` wrapped;
the executors that only belong to an orchestration (managers, dispatchers, aggregators) are nobody: what passes through
them still comes from the agent that said it.
"""

from __future__ import annotations

import functools
import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from agent_framework import (
    Agent,
    AgentExecutor,
    AgentExecutorRequest,
    AgentExecutorResponse,
    Executor,
    FunctionExecutor,
    MiddlewareBundle,
    ResponseStream,
    Workflow,
    WorkflowEvent,
    WorkflowExecutor,
    WorkflowMessage,
)

from agentbreaker.integrations._agent_framework_stop import halted
from agentbreaker.integrations._agent_framework_talk import USER, Frame, Said, Step, Talk, frame_of
from agentbreaker.integrations._agent_framework_text import agent_end, payload, payload_text
from agentbreaker.integrations.base import contained, final_answer
from agentbreaker.message import Message
from agentbreaker.verdict import Decision

if TYPE_CHECKING:
    from agentbreaker.integrations._agent_framework_watch import Watch

__all__ = ["Team"]

#: Key in the state of a workflow, and so in its checkpoints, under which the conversation stands.
_STATE_KEY = "agentbreaker_conversation_id"

#: Sources of messages that come from outside of the workflow.
_OUTSIDE = "internal:"

#: Beginning of the names of the tools that a hand-off orchestration gives its agents.
_HANDOFF = "handoff_to_"

_FRAMEWORK = ("agent_framework.", "agent_framework_orchestrations.")


class Team:
    """One workflow that is watched."""

    def __init__(self, watch: Watch, workflow: Workflow, conversation_id: str | None, bundle: MiddlewareBundle) -> None:
        self.watch = watch
        self.contain = watch.contain
        self.workflow = workflow
        self.conversation_id = conversation_id or watch.conversation_id
        self.talk: Talk | None = None
        self._bundle = bundle
        self._actors = {name for name, one in workflow.executors.items() if _is_actor(one)}
        self._blind = {
            name
            for name, one in workflow.executors.items()
            if isinstance(one, AgentExecutor) and not isinstance(one.agent, Agent)
        }
        self._handoffs = _handoff_tools(workflow)

    def wrap(self) -> None:
        """Wrap the executors and the runs of the workflow, and give its agents their middleware."""
        for executor in self.workflow.executors.values():
            self._wrap_executor(executor)
            for agent in _agents_of(executor):
                self._wrap_agent(agent)
        run = self.workflow.run

        @functools.wraps(run)
        def watched(*args: Any, **kwargs: Any) -> Any:
            result = run(*args, **kwargs)
            if isinstance(result, ResponseStream):
                return result.with_cleanup_hook(self.over)
            return self._until_over(result)

        self.workflow.run = watched  # type: ignore[method-assign]

    async def _until_over(self, result: Any) -> Any:
        try:
            return await result
        finally:
            self.over()

    def _wrap_agent(self, agent: Agent[Any]) -> None:
        middleware = list(agent.middleware or ())
        if self._bundle not in middleware:
            agent.middleware = [self._bundle, *middleware]  # before the one that answers hand-overs itself

    def _wrap_executor(self, executor: Executor) -> None:
        execute = executor.execute

        @functools.wraps(execute)
        async def watched(
            message: Any, source_executor_ids: list[str], state: Any, runner_context: Any, *args: Any, **kwargs: Any
        ) -> None:
            arrived = self.arrive(executor, message, source_executor_ids, state)
            if arrived is None:
                await execute(message, source_executor_ids, state, runner_context, *args, **kwargs)
                return
            frame, decision = arrived
            talk = frame.talk
            if decision is None:
                with Step(frame):
                    await execute(message, source_executor_ids, state, runner_context, *args, **kwargs)
            elif self.watch.raises(decision):
                raise halted(self.watch.guard, decision, talk.conversation_id)
            elif talk.ended != decision.generation:  # it is dropped, so that the workflow comes to rest
                talk.ended = decision.generation
                end = agent_end(final_answer(decision), executor.id, stream=False)
                await runner_context.add_event(WorkflowEvent("output", data=end, executor_id=executor.id))

        executor.execute = watched  # type: ignore[method-assign]
        self._wrap_termination(executor)

    def _wrap_termination(self, executor: Executor) -> None:
        """Let an orchestration end before its manager is asked once more, if a final answer is what is wanted."""
        if not hasattr(executor, "_termination_condition"):
            return
        given = executor._termination_condition

        def ended(messages: list[Any]) -> Any:
            decision = self.standing()
            if decision is not None and not self.watch.raises(decision):
                if hasattr(executor, "TERMINATION_CONDITION_MET_MESSAGE"):
                    executor.TERMINATION_CONDITION_MET_MESSAGE = final_answer(decision)
                self._note_end(decision)
                return True
            return given(messages) if given is not None else False

        executor._termination_condition = ended

    def _note_end(self, decision: Decision) -> None:
        if self.talk is not None:
            self.talk.ended = decision.generation

    @contained
    def standing(self) -> Decision | None:
        """Return why the workflow may not go on, ``None`` while it may."""
        return None if self.talk is None else self.watch.standing(self.talk.conversation_id)

    @contained
    def over(self) -> None:
        """Note at the end of a run what nobody received."""
        if self.talk is not None and frame_of(self.watch.guard) is None:
            self.watch.tell(self.talk, self.talk.deliver(None))
            self.talk.rest()

    @contained
    def arrive(
        self, executor: Executor, message: Any, sources: Sequence[str], state: Any
    ) -> tuple[Frame, Decision | None] | None:
        """Return the frame in which an executor runs, and why it may not; ``None`` for what only passes by."""
        data = payload(message)
        inside = frame_of(self.watch.guard)
        outside = all(source.startswith(_OUTSIDE) for source in sources)
        answer = isinstance(message, WorkflowMessage) and message.original_request_info_event is not None
        talk = self.talk = self._talk(state, inside, fresh=outside and not answer)
        actor = executor.id in self._actors
        agent = executor.agent if isinstance(executor, AgentExecutor) else None
        frame = Frame(self.watch.guard, talk, executor.id, agent, silent=not actor, handoffs=self._handoffs)
        if isinstance(data, AgentExecutorRequest) and not data.should_respond:
            return frame, None  # told to everybody, and delivered to whoever is asked to answer
        late: list[Message] = []
        if talk.is_first(message) and (inside is None or not outside):  # what enters an inner workflow is known outside
            late = self._hear(talk, data, sources, person=outside)
        if not actor:
            self.watch.tell(talk, late)
            return frame, None
        # What other branches said is not for this one, unless it comes by a manager, who tells everything to everybody.
        others = self._actors.difference(sources) if self._actors.issuperset(sources) else ()
        messages = talk.deliver(executor.id, others)
        return frame, self.watch.admit(talk, [*late, *messages])

    def _hear(self, talk: Talk, data: Any, sources: Sequence[str], *, person: bool) -> list[Message]:
        """Note what was said by those whom no middleware hears: a person, an executor, an agent of another kind."""
        if isinstance(data, AgentExecutorRequest) and not data.messages:
            return []
        talk.passes = 0
        if person:
            text = payload_text(data)
            return talk.say(Said(USER, text, role="user")) if text else []
        late = []
        parts = (
            data if isinstance(data, list) and any(isinstance(one, AgentExecutorResponse) for one in data) else [data]
        )
        for part in parts:
            if isinstance(part, AgentExecutorResponse):
                deaf = part.executor_id not in self._blind
                if deaf or not talk.is_first(part.agent_response):
                    continue
                late += talk.say(Said(part.executor_id, payload_text(part)))
            else:
                speakers = [one for one in sources if one in self._actors and not self._is_agent(one)]
                text = payload_text(part)
                if speakers and not talk.is_waiting(text):
                    late += talk.say(Said(speakers[0], text))
        return late

    def _is_agent(self, name: str) -> bool:
        return isinstance(self.workflow.executors.get(name), AgentExecutor)

    def _talk(self, state: Any, inside: Frame | None, *, fresh: bool) -> Talk:
        if inside is not None:
            return inside.talk
        name = self.conversation_id
        if name is None and not fresh:
            name = state.get(_STATE_KEY)
        if name is None:
            name = f"workflow-{uuid.uuid4().hex}"
            state.set(_STATE_KEY, name)
        return self.watch.talks.of(name)


def _is_actor(executor: Executor) -> bool:
    """Whether an executor stands for an agent or is the user's own; those of orchestrations are nobody."""
    if isinstance(executor, AgentExecutor | FunctionExecutor):
        return True
    return not isinstance(executor, WorkflowExecutor) and not type(executor).__module__.startswith(_FRAMEWORK)


def _agents_of(executor: Executor) -> list[Agent[Any]]:
    """The agents that an executor runs; also the manager's, whose calls are paid for as well."""
    manager = getattr(executor, "_manager", None)
    found = [getattr(executor, "agent", None), getattr(executor, "_agent", None), getattr(manager, "_agent", None)]
    agents: list[Agent[Any]] = []
    for one in found:
        if isinstance(one, Agent) and one not in agents:
            agents.append(one)
    return agents


def _handoff_tools(workflow: Workflow) -> frozenset[str]:
    """Names of the tools by which agents of a hand-off workflow hand over, which the orchestration gave them."""
    try:
        from agent_framework_orchestrations import HandoffAgentExecutor
    except ImportError:
        return frozenset()
    names: set[str] = set()
    for one in workflow.executors.values():
        if isinstance(one, HandoffAgentExecutor) and isinstance(one.agent, Agent):
            tools: Any = one.agent.default_options.get("tools") or ()
            names.update(name for tool in tools if (name := str(getattr(tool, "name", ""))).startswith(_HANDOFF))
    return frozenset(names)
