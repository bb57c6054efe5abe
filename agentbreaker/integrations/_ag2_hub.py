"""AG2 1.x: what passes a hub, as messages; the arbiter that refuses it, and the listener that closes the channel."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ag2.network import (
    EV_CHANNEL_INVITE,
    EV_CONTEXT_SET,
    EV_PACKET,
    EV_TEXT,
    Allow,
    BaseHubListener,
    ChannelState,
    Deny,
    NetworkError,
)

from agentbreaker.integrations._ag2_turn import Spent, carry, current, readable
from agentbreaker.integrations.base import Bounded, final_answer
from agentbreaker.integrations.watch import Watch
from agentbreaker.message import Message
from agentbreaker.verdict import STEER_TEXT, Action, Decision

if TYPE_CHECKING:
    from ag2.network import ChannelManifest, ChannelMetadata, Envelope, Hub, HubArbiter, Passport, Resume, Rule

__all__ = ["Arbiter", "Core", "Listener"]

#: Bookkeeping of the hub, which is nobody's message.
_BOOKKEEPING = ("ag2.channel.", "ag2.task.", "ag2.expectation.")


class Core:
    """What the arbiter, the listener and the middleware of one breaker share.

    Attributes:
        watch: The guard and the records.
        hub: The hub that is watched in this process, ``None`` without one.
        close_channels: Whether the channels of a halted conversation are closed.
    """

    def __init__(self, watch: Watch, close_channels: bool) -> None:
        self.watch = watch
        self.hub: Hub | None = None
        self.close_channels = close_channels
        self._spent: Bounded[tuple[str, str], Spent] = Bounded()
        self._answers: Bounded[str, str] = Bounded()
        self._roots: Bounded[str, str] = Bounded()
        self._channels: Bounded[str, set[str]] = Bounded()
        self._begun: Bounded[str, bool] = Bounded()
        self._finishing: Bounded[str, Decision] = Bounded()

    def spent(self, conversation_id: str, agent: str) -> Spent:
        """The tokens of an agent that no message carries yet."""
        key = conversation_id, agent
        spent = self._spent.get(key)
        if spent is None:
            spent = self._spent[key] = Spent()
        return spent

    def note_answer(self, conversation_id: str, text: str) -> None:
        """Keep the latest answer that an agent gave to the program."""
        if self.watch.conversation_id is not None:
            self._answers[conversation_id] = text

    def relayed(self, conversation_id: str, text: str) -> bool:
        """Whether the program only passes on what an agent of the same conversation has answered."""
        return self._answers.get(conversation_id) == text

    def conversation_of(self, channel_id: str) -> str:
        """The conversation of a channel: its own, or that of the agent that opened it to ask another one."""
        return self.watch.conversation_id or self._roots.get(channel_id, channel_id)

    def follows(self, channel_id: str, conversation_id: str) -> None:
        """Note that a new channel belongs to a conversation that there is already."""
        self._channels.pop(channel_id, None)
        self._roots[channel_id] = conversation_id
        self._channels.setdefault(conversation_id, set()).add(channel_id)

    async def close(self, conversation_id: str, channel: Any = None) -> None:
        """Close the channels of a halted conversation, each with the reason."""
        if not self.close_channels:
            return
        reason = final_answer(self.watch.guard.decision(conversation_id))
        try:
            if self.hub is None:
                if channel is not None:
                    await channel.close(reason)
                return
            for channel_id in list(self._channels.get(conversation_id, ())):
                with suppress(NetworkError):
                    if not (await self.hub.get_channel(channel_id)).is_terminal():
                        await self.hub.close_channel(channel_id, reason=reason)
        except Exception as error:
            self.watch.contain("close", error)

    def forget(self, channel_id: str) -> None:
        """Drop what is known of a channel that is closed."""
        channels = self._channels.get(self.conversation_of(channel_id))
        if channels is not None:
            channels.discard(channel_id)
        self._begun.pop(channel_id, None)
        self._finishing.pop(channel_id, None)

    def finished(self, channel_id: str) -> bool:
        """Whether the final answer of this channel's conversation has been written."""
        return channel_id in self._finishing

    async def admit(self, envelope: Envelope, sender: Passport) -> Decision | None:
        """Show an envelope to the guard before it is written; return the decision if it must not be.

        Where the agents have to be told something, it is put below the text of the envelope.
        """
        hub, watch = self.hub, self.watch
        if hub is None:
            return None
        channel_id = envelope.channel_id
        if envelope.event_type == EV_CHANNEL_INVITE:
            self._opened(channel_id)
            return None
        if envelope.event_type.startswith(_BOOKKEEPING) or envelope.event_type == EV_CONTEXT_SET:
            return None
        try:
            metadata = await hub.get_channel(channel_id)
            adapter, state = hub.adapter_for(channel_id), hub.adapter_state(channel_id)
            if metadata.state is not ChannelState.ACTIVE or sender.agent_id not in metadata.participant_ids():
                return None
            adapter.validate_send(metadata, envelope, state)
        except NetworkError:
            return None  # the hub refuses it by itself
        conversation_id = self.conversation_of(channel_id)
        self._channels.setdefault(conversation_id, set()).add(channel_id)
        following = None
        if envelope.audience is None and len(metadata.participants) > 2:
            following = adapter.expected_next(metadata, adapter.fold(envelope, state))
        others = [one for one in envelope.audience or metadata.participant_ids() if one != envelope.sender_id]
        recipient = following.agent_id if following is not None else others[0] if len(others) == 1 else None
        name = None if recipient is None else hub.name_for(recipient)
        message = self._message(conversation_id, envelope, sender, name)
        carry(message.content)
        was_open = watch.standing(conversation_id)
        opened = watch.observe([message])
        if opened is not None:
            if (
                was_open is not None
                or opened.action is not Action.FINISH
                or not _append(envelope, final_answer(opened))
            ):
                watch.halts.refuse(conversation_id)
                return opened
            self._finishing[channel_id] = opened
        elif watch.steers(conversation_id) and _append(envelope, STEER_TEXT):
            watch.steering(conversation_id)
        return None

    def _opened(self, channel_id: str) -> None:
        turn = current()
        root = channel_id if turn is None else turn.conversation_id
        if root != channel_id:
            self._roots[channel_id] = root
        self._channels.setdefault(self.conversation_of(channel_id), set()).add(channel_id)

    def _message(self, conversation_id: str, envelope: Envelope, sender: Passport, recipient: str | None) -> Message:
        text, handoff = _text(envelope)
        first = not self._begun.get(envelope.channel_id) and current() is None and envelope.causation_id is None
        self._begun[envelope.channel_id] = True
        person = sender.effective_kind == "human" or first
        message = Message(
            conversation_id,
            sender.name,
            recipient,
            "handoff" if handoff and not text else "message",
            text,
            role="user" if person else None,
            parent_id=envelope.causation_id,
        )
        return message if person else self.spent(conversation_id, sender.name).take(message)


def _text(envelope: Envelope) -> tuple[str, bool]:
    """Return what an envelope says, and whether it hands over."""
    data = envelope.event_data
    if envelope.event_type == EV_TEXT:
        return str(data.get("text", "")), False
    if envelope.event_type == EV_PACKET:
        routing = data.get("routing") or {}
        body = data.get("body") or routing.get("summary") or routing.get("reason") or ""
        return str(body), routing.get("kind") == "handoff"
    return readable(data), False


def _append(envelope: Envelope, note: str) -> bool:
    """Put a note below the text of an envelope; whether it has text that agents read."""
    key = {EV_TEXT: "text", EV_PACKET: "body"}.get(envelope.event_type)
    if key is None:
        return False
    text = envelope.event_data.get(key)
    envelope.event_data = {**envelope.event_data, key: f"{text}\n\n{note}" if text else note}
    return True


class Listener(BaseHubListener):
    """Closes the channels of a conversation once one of its messages was refused or was the last one."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def on_envelope_rejected(self, envelope: Envelope, reason: NetworkError) -> None:
        """Close what was halted."""
        await self._close(envelope)

    async def on_envelope_posted(self, envelope: Envelope, metadata: ChannelMetadata) -> None:
        """Close what was finished."""
        if self._core.finished(envelope.channel_id):
            await self._close(envelope)

    async def on_channel_event(self, channel_id: str, kind: str, payload: dict[str, Any]) -> None:
        """Forget a channel that is closed."""
        if kind in ("closed", "expired"):
            self._core.forget(channel_id)

    async def _close(self, envelope: Envelope) -> None:
        conversation_id = self._core.conversation_of(envelope.channel_id)
        if self._core.watch.standing(conversation_id) is not None:
            await self._core.close(conversation_id)


class Arbiter:
    """Asks the arbiter that was there before, then the guard.

    Args:
        core: What the hooks share.
        inner: The arbiter that is asked first; what it denies, the guard never sees.
    """

    def __init__(self, core: Core, inner: HubArbiter) -> None:
        self._core = core
        self.inner = inner

    async def authorize_send(
        self, envelope: Envelope, sender: Passport, sender_rule: Rule, recipients: list[Passport]
    ) -> Allow | Deny:
        """Refuse a message before it is written, if the breaker is open."""
        verdict = await self.inner.authorize_send(envelope, sender, sender_rule, recipients)
        if isinstance(verdict, Deny):
            return verdict
        try:
            decision = await self._core.admit(envelope, sender)
        except Exception as error:
            self._core.watch.contain("authorize_send", error)
            return verdict
        return verdict if decision is None else Deny(final_answer(decision))

    async def authorize_inbox(
        self, envelope: Envelope, recipient: Passport, recipient_rule: Rule, current_pending: int
    ) -> Allow | Deny:
        """Ask the other arbiter."""
        return await self.inner.authorize_inbox(envelope, recipient, recipient_rule, current_pending)

    async def authorize_dispatch(
        self, envelope: Envelope, sender: Passport, recipient: Passport, recipient_rule: Rule
    ) -> Allow | Deny:
        """Wake nobody for a final answer."""
        if self._core.finished(envelope.channel_id) and not envelope.event_type.startswith(_BOOKKEEPING):
            return Deny("the conversation was finished")
        return await self.inner.authorize_dispatch(envelope, sender, recipient, recipient_rule)

    async def authorize_channel_open(
        self,
        manifest: ChannelManifest,
        creator: Passport,
        creator_rule: Rule,
        invitees: list[Passport],
        invitee_rules: list[Rule],
        active_creator_channels: int,
    ) -> Allow | Deny:
        """Ask the other arbiter; an agent of a halted conversation opens no further channel."""
        turn = current()
        if turn is not None and (decision := self._core.watch.standing(turn.conversation_id)) is not None:
            return Deny(final_answer(decision))
        return await self.inner.authorize_channel_open(
            manifest, creator, creator_rule, invitees, invitee_rules, active_creator_channels
        )

    async def authorize_register(self, passport: Passport, resume: Resume, rule: Rule) -> Allow | Deny:
        """Ask the other arbiter."""
        return await self.inner.authorize_register(passport, resume, rule)

    async def resolve_unknown_audience(self, envelope: Envelope, unknown_ids: list[str]) -> list[str] | None:
        """Ask the other arbiter."""
        return await self.inner.resolve_unknown_audience(envelope, unknown_ids)
