"""Where a team reports to the breaker: its termination condition, and the traffic of its runtime."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from autogen_agentchat.agents import MessageFilterAgent, SocietyOfMindAgent, UserProxyAgent
from autogen_agentchat.base import TerminatedException, TerminationCondition
from autogen_agentchat.messages import BaseAgentEvent, BaseChatMessage, StopMessage
from autogen_agentchat.teams import BaseGroupChat
from autogen_agentchat.teams._group_chat._events import (
    GroupChatAgentResponse,
    GroupChatMessage,
    GroupChatStart,
    GroupChatTeamResponse,
)
from autogen_agentchat.tools import AgentTool, TeamTool
from autogen_core import AgentId, DefaultInterventionHandler, DropMessage, InterventionHandler, MessageContext
from autogen_core.models import ChatCompletionClient
from autogen_core.tools import StaticWorkbench

from agentbreaker.integrations._autogen_client import GuardedClient
from agentbreaker.integrations.base import FINAL_NAME

if TYPE_CHECKING:
    from agentbreaker.integrations.autogen import AutoGenBreaker

__all__ = ["BreakerTermination", "Chain", "Observer", "allow_silent_answers", "attach"]


class BreakerTermination(TerminationCondition):
    """Ends a team when the breaker is open; made by :meth:`AutoGenBreaker.termination`."""

    component_config_schema = None

    def __init__(self, breaker: AutoGenBreaker) -> None:
        self._breaker = breaker
        self._terminated = False

    @property
    def terminated(self) -> bool:
        """Whether this condition has ended the team, and was not reset since."""
        return self._terminated

    async def __call__(self, messages: Sequence[BaseAgentEvent | BaseChatMessage]) -> StopMessage | None:
        """Show what was said to the guard, and say why the team must end if the breaker is open.

        Raises:
            TerminatedException: It has ended the team already.
        """
        if self._terminated:
            raise TerminatedException("Termination condition has already been reached.")
        self._breaker.tell(lambda ledger: ledger.reads(messages, turn_over=True))
        self._breaker.can_end()
        decision = self._breaker.standing()
        if decision is None:
            return None
        self._terminated = True
        return StopMessage(content=self._breaker.words(decision), source=FINAL_NAME)

    async def reset(self) -> None:
        """Make the condition ready for another run; the breaker itself is reset by ``guard.reset``."""
        self._terminated = False


class Chain(DefaultInterventionHandler):
    """Calls several intervention handlers in turn, each with what the one before it made of the message.

    AutoGen itself gives each handler the original, and takes the answer of the last.
    """

    def __init__(self, *handlers: InterventionHandler) -> None:
        self._handlers = handlers

    async def on_send(
        self, message: Any, *, message_context: MessageContext, recipient: AgentId
    ) -> Any | type[DropMessage]:
        """Hand a message that one agent sends to another from handler to handler."""
        for handler in self._handlers:
            message = await handler.on_send(message, message_context=message_context, recipient=recipient)
            if _dropped(message):
                break
        return message

    async def on_publish(self, message: Any, *, message_context: MessageContext) -> Any | type[DropMessage]:
        """Hand a message to a topic from handler to handler."""
        for handler in self._handlers:
            message = await handler.on_publish(message, message_context=message_context)
            if _dropped(message):
                break
        return message

    async def on_response(self, message: Any, *, sender: AgentId, recipient: AgentId | None) -> Any | type[DropMessage]:
        """Hand an answer from handler to handler."""
        for handler in self._handlers:
            message = await handler.on_response(message, sender=sender, recipient=recipient)
            if _dropped(message):
                break
        return message


class Observer(DefaultInterventionHandler):
    """Sees a team's traffic at the moment of its delivery; changes and drops nothing, or the team would hang."""

    def __init__(self, breaker: AutoGenBreaker) -> None:
        self._breaker = breaker

    async def on_publish(self, message: Any, *, message_context: MessageContext) -> Any | type[DropMessage]:
        """Show what a team publishes to the guard."""
        items: Sequence[BaseAgentEvent | BaseChatMessage] = ()
        if isinstance(message, GroupChatMessage):
            items = (message.message,)
        elif isinstance(message, GroupChatStart):
            items = message.messages or ()
        elif isinstance(message, GroupChatAgentResponse):
            items = (*(message.response.inner_messages or ()), message.response.chat_message)
        elif isinstance(message, GroupChatTeamResponse):
            items = message.result.messages
        if items:
            self._breaker.tell(lambda ledger: ledger.reads(items, turn_over=False))
        return message


def allow_silent_answers() -> None:
    """Silence AutoGen's warning about an agent that answers with nothing.

    It comes with every handler, its own default one included, as it takes the answer ``None`` for a mistake of the
    handler; where warnings are errors the team would hang.
    """
    warnings.filterwarnings("ignore", "Intervention handler on_response returned None", RuntimeWarning)


def _dropped(message: Any) -> bool:
    return message is DropMessage or isinstance(message, DropMessage)


def attach(team: BaseGroupChat, breaker: AutoGenBreaker) -> None:
    """Put the breaker's condition, clients and observer into a team that has not run yet, and into all within it."""
    if not isinstance(team, BaseGroupChat):
        raise TypeError(f"guard_team needs a team of AutoGen AgentChat, not {type(team).__name__}")
    _attach(team, breaker, set(), named=False)


def _attach(one: Any, breaker: AutoGenBreaker, met: set[int], *, named: bool) -> None:
    """Attach to a team or an agent, and to those that it wraps, consists of, or has as tools.

    Args:
        one: The team or agent.
        breaker: The breaker.
        met: Those that were met, as two agents may have the same one as a tool.
        named: It runs inside another agent's turn, so that AutoGen does not know whose model is called.
    """
    if id(one) in met:
        return
    met.add(id(one))
    if isinstance(one, BaseGroupChat):
        _attach_team(one, breaker)
        _wrap_client(one, breaker, None)
        for participant in one._participants:
            _attach(participant, breaker, met, named=False)
        return
    if isinstance(one, UserProxyAgent):
        breaker.person(one.name)
    _wrap_client(one, breaker, one.name if named else None)
    if isinstance(one, SocietyOfMindAgent):
        _attach(one._team, breaker, met, named=False)
    elif isinstance(one, MessageFilterAgent):
        _attach(one._wrapped_agent, breaker, met, named=True)
    for runner in _runners(one):
        _attach(runner, breaker, met, named=True)


def _runners(agent: Any) -> list[Any]:
    """The agents and teams that an agent has as tools."""
    workbenches = getattr(agent, "_workbench", None) or ()
    tools = [tool for one in workbenches if isinstance(one, StaticWorkbench) for tool in one._tools]
    return [tool._task_runner for tool in tools if isinstance(tool, AgentTool | TeamTool)]


def _attach_team(team: BaseGroupChat, breaker: AutoGenBreaker) -> None:
    if team._initialized:
        raise ValueError("guard_team must come before the team's first run")
    condition = breaker.termination()
    team._termination_condition = condition | team._termination_condition if team._termination_condition else condition
    if team._embedded_runtime:
        runtime: Any = team._runtime
        present = runtime._intervention_handlers
        runtime._intervention_handlers = [breaker.observer(*(present or ()))]


def _wrap_client(owner: Any, breaker: AutoGenBreaker, agent: str | None) -> None:
    client = getattr(owner, "_model_client", None)
    if isinstance(client, ChatCompletionClient) and not isinstance(client, GuardedClient):
        owner._model_client = breaker.model_client(client, agent=agent)
