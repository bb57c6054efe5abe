"""What is told to the guard of a run of an agent: what it reads, calls and says, and what that costs."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from agent_framework import (
    AgentContext,
    AgentResponse,
    ChatContext,
    ChatResponse,
    FunctionInvocationContext,
)
from agent_framework import Message as ChatMessage

from agentbreaker.integrations._agent_framework_talk import (
    USER,
    Cost,
    Frame,
    Run,
    Said,
    Talk,
    frame_of,
)
from agentbreaker.integrations._agent_framework_text import (
    aside_of,
    estimate,
    final_text,
    limits,
    model_of,
    payload_text,
    result_text,
    usage_of,
)
from agentbreaker.integrations.base import contained
from agentbreaker.integrations.watch import Watch as BaseWatch
from agentbreaker.message import Message, Role, Tool
from agentbreaker.verdict import STEER_TEXT, Decision

if TYPE_CHECKING:
    from agentbreaker.guard import Guard
    from agentbreaker.integrations._agent_framework_talk import Talks
    from agentbreaker.integrations.watch import ModelCall
    from agentbreaker.pricing import Pricing

__all__ = ["Watch"]

#: Key in the metadata of a context, under which the guards stand that look at it already.
_LOOKED_AT = "agentbreaker"


class Watch(BaseWatch):
    """What all seams of one breaker share: the guard, the conversations, and what follows from a decision."""

    def __init__(
        self, guard: Guard, talks: Talks, conversation_id: str | None, on_halt: str, pricing: Pricing | None
    ) -> None:
        super().__init__(guard, None, conversation_id, on_halt, pricing=pricing, halts=talks.halts)
        self.talks = talks
        # Breakers of one guard count together.
        self._in_flight, self._steer, self._lock = talks.in_flight, talks.steer, talks.lock

    def tell(self, talk: Talk, messages: Sequence[Message]) -> Decision | None:
        """Show messages to the guard; return the decision that opened the breaker or found it open, if one did."""
        talk.settle()
        return self.observe(messages)

    @contained
    def admit(self, talk: Talk, messages: Sequence[Message] = ()) -> Decision | None:
        """Show messages to the guard; return why the next step may not begin, ``None`` if it may."""
        decision = self.tell(talk, messages) or self.standing(talk.conversation_id)
        if decision is not None:
            self.halts.refuse(talk.conversation_id)
        return decision

    @contained
    def judge(self, talk: Talk, said: Sequence[ChatMessage]) -> Decision | None:
        """Show the guard what is new in a conversation that is handed over whole; return why it must end."""
        messages: list[Message] = []
        if frame_of(self.guard) is None:  # nobody else tells what the agents receive
            for one in talk.news(said, spoken=False):
                if not (text := one.text or ""):
                    continue
                handed = talk.hand_on(text, None)
                who = one.author_name or (USER if one.role == "user" else "assistant")
                role: Role = "user" if one.role == "user" else "assistant"
                messages += handed if handed is not None else [talk.message(who, None, text, role=role)]
        return self.tell(talk, messages) or self.standing(talk.conversation_id)

    def looks(self, metadata: dict[str, Any]) -> bool:
        """Whether this guard is the first time asked to look at a context; several breakers of it count once."""
        guards = metadata.setdefault(_LOOKED_AT, [])
        if any(guard is self.guard for guard in guards):
            return False
        guards.append(self.guard)
        return True

    # A run of an agent.

    @contained
    def run_of(self, context: AgentContext) -> tuple[Frame, Run, list[Message]] | None:
        """Return the frame of the run that begins, and the messages that the agent receives with it."""
        if not self.looks(context.metadata):
            return None
        around = frame_of(self.guard)
        actor = context.agent.name or context.agent.id
        if around is not None and around.agent is context.agent:
            run = Run(around.talk, around.actor, loud=True)
            return Frame(self.guard, run.talk, run.actor, run=run), run, []
        if around is not None and around.silent:
            run = Run(around.talk, actor, loud=False)
            return Frame(self.guard, run.talk, actor, run=run), run, []
        if around is not None:
            talk, sender = around.talk, around.actor
        else:
            session = context.session
            talk = self.talks.of(
                self.conversation_id or (f"agent-{uuid.uuid4().hex}" if session is None else session.session_id)
            )
            sender = USER
        run = Run(talk, actor, loud=True)
        if around is None and self.conversation_id is None:
            run.over = USER  # nobody else takes part, so the answer is for whoever asked
        return Frame(self.guard, talk, actor, run=run), run, self._received(talk, sender, actor, context.messages)

    def _received(self, talk: Talk, sender: str, actor: str, inputs: Sequence[ChatMessage]) -> list[Message]:
        received: list[Message] = []
        for one in talk.news(inputs, spoken=True):
            if one.role not in ("user", "assistant"):
                continue
            text = one.text or ""
            if (handed := talk.hand_on(text, actor)) is not None:
                received += handed
            elif text and one.author_name != actor and (one.role == "user" or one.author_name):
                who = one.author_name or sender
                person = who == USER and one.role == "user"
                received.append(talk.message(who, actor, text, role="user" if person else "assistant"))
        return received

    @contained
    def ended(self, run: Run, response: AgentResponse[Any] | None) -> None:
        """Note what an agent said at the end of its run; it stops nothing, so that nothing said is lost."""
        if run.closed:
            return
        run.closed = True
        for ended in run.calls:
            ended()
        text = final_text(response) if response is not None and run.loud and not run.ended else ""
        latest, bills = run.pay()
        messages = bills
        if run.aside:  # along with a tool that was never run, such as one that the caller has to run
            text, run.aside = text or run.aside, ""
        if text:
            run.talk.passes = 0
        if text and run.over is not None:
            messages.append(run.talk.message(run.actor, run.over, text, bill=latest))
        elif text:
            messages += run.talk.say(Said(run.actor, text, bill=latest))
        elif latest is not None:
            messages.append(run.talk.message(run.actor, None, kind="system", bill=latest))
        self.tell(run.talk, messages)

    # A model call.

    def begins(self, run: Run, context: ChatContext) -> ModelCall:
        """Ask whether a model call may begin, and hold what it can cost."""
        run.talk.settle()
        model, most = self.limits_of(context) or (None, None)
        return self.model_call(run.talk.conversation_id, lambda: estimate(context.messages), most=most, model=model)

    @contained
    def limits_of(self, context: ChatContext) -> tuple[str | None, int | None]:
        """Return the model of a call, as far as it is known, and the most that it may write."""
        return limits(context.client, context.options)

    @contained
    def steer_next(self, run: Run, context: ChatContext) -> None:
        """Tell the agents to bring something new, if the policy says so; with this model call only."""
        if self.steering(run.talk.conversation_id):
            context.messages = [*context.messages, ChatMessage(role="user", contents=[STEER_TEXT])]

    @contained
    def answered(
        self, run: Run, response: ChatResponse[Any], options: Mapping[str, Any] | None, call: ModelCall
    ) -> None:
        """Note what a model call cost, and what the model said along with the tools that it asks for."""
        model = model_of(response, options)
        run.bills.append(Cost(model, call.bill(usage_of(response), model)))
        run.aside = aside_of(response)

    # A tool call.

    @contained
    def called(self, frame: Frame, context: FunctionInvocationContext) -> list[Message]:
        """Return the call of a tool as messages; a hand-over is none, but what was said with it will be one."""
        run = frame.run
        if run is None:
            return []
        latest, messages = run.pay()
        text, run.aside = run.aside, ""
        name, talk = context.function.name, run.talk
        if self.is_handoff(frame, name):
            talk.passes = 0 if text or run.worked else talk.passes + 1
            # To pass the turn on without a word is how supervisors work.  To get it and to pass it on again, with
            # nothing done, says just that.
            idle = talk.passes > 1
            return [*messages, *talk.say(Said(run.actor, name if idle else text, bill=latest, passed=idle))]
        talk.passes, run.worked = 0, True
        tool = Tool(name, context.metadata.get("call_id"), plain(context.arguments))
        return [*messages, talk.message(run.actor, name, text, kind="tool_call", tool=tool, bill=latest)]

    @contained
    def returned(self, run: Run, context: FunctionInvocationContext, error: Exception | None) -> None:
        """Note the result of a tool."""
        text = result_text(context.result) if error is None else f"{type(error).__name__}: {error}"
        name = context.function.name
        tool = Tool(name, context.metadata.get("call_id"), result=text, is_error=error is not None)
        self.tell(run.talk, [run.talk.message(name, run.actor, text, kind="tool_result", role="tool", tool=tool)])

    def is_handoff(self, frame: Frame, name: str) -> bool:
        """Whether a tool only hands over to another agent of the same workflow."""
        around: Frame | None = frame
        while around is not None:
            if around.guard is self.guard and name in around.handoffs:
                return True
            around = around.outer
        return False


def plain(arguments: Any) -> Any:
    """Return a tool's arguments as plain data."""
    if isinstance(arguments, Mapping):
        return dict(arguments)
    dump = getattr(arguments, "model_dump", None)
    return dump() if callable(dump) else payload_text(arguments)
