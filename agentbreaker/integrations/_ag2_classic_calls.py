"""AG2 0.14: the model calls of agents, also those of agents that AG2 makes for itself: held, counted, and kept back."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from autogen import GroupChat

from agentbreaker.integrations._ag2_classic_text import Totals, spent_since, text_of
from agentbreaker.integrations.base import final_answer
from agentbreaker.integrations.spending import add_usage, charge, prompt_tokens
from agentbreaker.message import Message, Usage

if TYPE_CHECKING:
    from agentbreaker.integrations.watch import Watch
    from agentbreaker.pricing import Bill
    from agentbreaker.verdict import Decision

__all__ = ["ModelCalls"]

_OUTPUT_CAPS = ("max_completion_tokens", "max_tokens", "num_predict")

#: A summary is being made: it is text that nobody answers, and AG2 makes an empty one of an exception.
_reflecting: ContextVar[bool] = ContextVar("agentbreaker_ag2_classic_reflecting", default=False)


class ModelCalls:
    """The model calls of one breaker's agents, and what they cost until a message carries it.

    Args:
        watch: The guard and the records.
        refused: Makes the reply in place of a call that must not begin, or raises.
    """

    def __init__(self, watch: Watch, refused: Callable[[Decision, str], Any]) -> None:
        self._watch = watch
        self._refused = refused
        self._where: WeakKeyDictionary[Any, str] = WeakKeyDictionary()
        self._totals: WeakKeyDictionary[Any, Totals] = WeakKeyDictionary()
        self._bills: WeakKeyDictionary[Any, tuple[Usage | None, str | None]] = WeakKeyDictionary()

    def enters(self, agent: Any, conversation_id: str) -> None:
        """Note the conversation that an agent takes part in now; its calls belong to the latest one."""
        self._where[agent] = conversation_id

    def wrap(self, agent: Any, speaker: str | None = None) -> None:
        """Watch the model calls of an agent.

        Args:
            agent: The agent.
            speaker: Whose calls they really are, if what the model says is nobody's message.
        """
        call = agent._generate_oai_reply_from_client
        self._spent(agent.client)  # what was spent before is not ours

        def watched(llm_client: Any, messages: Any, cache: Any, **options: Any) -> Any:
            conversation_id = self._where.get(agent)
            if conversation_id is None:
                return call(llm_client=llm_client, messages=messages, cache=cache, **options)
            watch = self._watch
            model, most = _limits(llm_client)
            paid = watch.model_call(conversation_id, lambda: _read(messages), most=most, model=model)
            decision = paid.refusal
            if decision is not None:
                if _reflecting.get() or (speaker is not None and not watch.raises(decision)):
                    return final_answer(decision)  # whoever speaks next gives the reason
                return self._refused(decision, conversation_id)
            with paid:
                reply = call(llm_client=llm_client, messages=messages, cache=cache, **options)
                self._note(agent, llm_client, paid.bill)
            if speaker is not None or _reflecting.get():
                self._flush(agent, conversation_id, speaker or agent.name)
            return reply

        agent._generate_oai_reply_from_client = watched
        reflect = agent._reflection_with_llm

        def reflecting(*args: Any, **options: Any) -> Any:
            token = _reflecting.set(True)
            try:
                return reflect(*args, **options)
            finally:
                _reflecting.reset(token)

        agent._reflection_with_llm = reflecting

    def wrap_selection(self, manager: Any) -> None:
        """Watch the agents that a manager's group makes to ask who speaks next."""
        # AG2 works with a copy of the group that the manager was made with.
        groups = [manager.groupchat, *(one["config"] for one in manager._reply_func_list)]
        for group in {id(one): one for one in groups if isinstance(one, GroupChat)}.values():
            group._create_internal_agents = self._making(group._create_internal_agents, manager)

    def _making(self, make: Callable[..., Any], manager: Any) -> Callable[..., Any]:
        def made(*args: Any, **options: Any) -> Any:
            asking, selecting = make(*args, **options)
            try:
                if (conversation_id := self._where.get(manager)) is not None:
                    self.enters(selecting, conversation_id)
                    self.wrap(selecting, manager.name)
            except Exception as error:
                self._watch.contain("speaker selection", error)
            return asking, selecting

        return made

    def pay(self, agent: Any, message: Message) -> None:
        """Let a message of an agent carry what its model calls cost."""
        self._note(agent, agent.client, self._watch.spending.bill)
        usage, model = self._bills.pop(agent, (None, None))
        charge(message, usage, model)

    def _flush(self, agent: Any, conversation_id: str, speaker: str) -> None:
        """Count tokens whose words are nobody's message."""
        usage, model = self._bills.pop(agent, (None, None))
        if usage is not None:
            self._watch.observe([charge(Message(conversation_id, speaker, kind="system"), usage, model)])

    def _note(self, agent: Any, client: Any, price: Callable[..., Bill | None]) -> None:
        try:
            usage, model, cost_usd = self._spent(client)
            bill = price(usage, model, cost_usd=cost_usd)
            before, named = self._bills.get(agent, (None, None))
            if bill is not None:
                self._bills[agent] = add_usage(before, bill), model or named
        except Exception as error:
            self._watch.contain("usage", error)

    def _spent(self, client: Any) -> tuple[Usage | None, str | None, float | None]:
        """What AG2 has counted for a client since it was asked last."""
        if client is None:
            return None, None, None
        summary = getattr(client, "total_usage_summary", None)
        self._totals[client], usage, model, cost_usd = spent_since(self._totals.get(client, {}), summary)
        return usage, model, cost_usd


def _read(messages: Sequence[Any]) -> int:
    """Tokens that a call reads at most, by the length of what it is given."""
    texts = [text_of(one.get("content")) if isinstance(one, dict) else str(one) for one in messages]
    calls = [
        json.dumps(one["tool_calls"], default=str) for one in messages if isinstance(one, dict) and "tool_calls" in one
    ]
    return prompt_tokens("\n".join(texts + calls))


def _limits(client: Any) -> tuple[str | None, int | None]:
    """The first model of a client's configuration, and the most tokens that it may write."""
    configs = getattr(client, "_config_list", None) or [{}]
    config = configs[0] if isinstance(configs[0], dict) else {}
    model = config.get("model")
    most = next((cap for name in _OUTPUT_CAPS if isinstance(cap := config.get(name), int) and cap > 0), None)
    return (model if isinstance(model, str) else None), most
