"""Anthropic Messages. Facts: the types of anthropic-python 2.12 and what Claude Code 2.1 sends."""

import msgspec

from hypereal.kit.dialects import Dialect
from hypereal.kit.errors import HyperealError
from hypereal.kit.usage import Usage
from hypereal.wire import errors, events, members
from hypereal.wire.counting import Counting
from hypereal.wire.folding import anthropic_messages as folding
from hypereal.wire.profiles import Profile
from hypereal.wire.request import Request
from hypereal.wire.upstream_errors import UpstreamError, error_inside
from hypereal.wire.usage import messages_usage
from hypereal.wire.usage_blocks import MessagesUsage

QUIET = ("ping", "message_start")
"""Events that say nothing of an answer yet."""


class _Thinking(msgspec.Struct, gc=False):
    type: str = ""
    budget_tokens: int = 0


class _Message(msgspec.Struct, gc=False):
    usage: MessagesUsage | None = None


class _Event(msgspec.Struct, gc=False):
    type: str = ""
    message: _Message | None = None
    """Of `message_start`."""
    usage: MessagesUsage | None = None
    """Of `message_delta`."""


_thinking = msgspec.json.Decoder(_Thinking)
_message = msgspec.json.Decoder(_Message)
_event = msgspec.json.Decoder(_Event)


class AnthropicMessages(Counting):
    """The dialect; see `WireDialect` for what each part promises. `count_tokens` bodies are read the same way."""

    name = Dialect.ANTHROPIC_MESSAGES
    conversation = "messages"
    image_tokens = 1_600  # 1568 x 1568 pixels / 750, after the vendor's own scaling down
    answer_text = ("content",)
    event_text = ("delta", "content_block")

    def read(self, body: bytes | bytearray, *, model: str | None = None, stream: bool | None = None) -> Request:
        fields = members.parse(body)
        own = members.take_own(fields)
        named = members.model(fields, own)
        members.require_list(fields, "messages")
        limit = members.whole(fields, "max_tokens", least=0)
        if limit is not None and "thinking" in fields:
            limit = _raise_limit(fields, limit)
        return Request(
            dialect=self.name,
            model=named,
            stream=members.flag(fields, "stream"),
            fields=fields,
            size_bytes=len(body),
            own=own,
            output_tokens_max=limit,
        )

    def write(self, request: Request, upstream_model: str, profile: Profile) -> bytes:
        return members.encode({**request.fields, "model": msgspec.Raw(members.encode(upstream_model))})

    def usage_of_answer(self, body: bytes, profile: Profile) -> Usage | None:
        try:
            said = _message.decode(body).usage
        except members.UNREADABLE:
            return None
        return None if said is None else messages_usage([said])

    def usage_of_stream(self, first: bytes, tail: bytes, profile: Profile) -> Usage | None:
        parts: list[MessagesUsage] = []
        for payload in events.payloads_with(b"message_start", first + tail):
            event = _event_of(payload)
            if event is not None and event.message is not None and event.message.usage is not None:
                parts = [event.message.usage]
        is_final = False
        for payload in events.payloads_with(b"message_delta", tail):
            event = _event_of(payload)
            if event is not None and event.type == "message_delta" and event.usage is not None:
                parts.append(event.usage)
                is_final = True
                break
        return messages_usage(parts, is_final=is_final)

    def is_complete(self, tail: bytes) -> bool:
        found = (_event_of(payload) for payload in events.payloads_with(b"message_stop", tail))
        return any(event is not None and event.type == "message_stop" for event in found)

    def says_nothing(self, stream: bytes) -> bool:
        return events.are_all(_is_quiet, stream)

    def error_in(self, events_or_body: bytes) -> UpstreamError | None:
        return error_inside(events_or_body)

    def error_body(self, error: HyperealError, request_id: str) -> bytes:
        return errors.superset(error, request_id)

    def error_event(self, error: HyperealError, request_id: str, *, model: str = "", tail: bytes = b"") -> bytes:
        return events.named_event("error", errors.superset(error, request_id))

    def heartbeat(self, tail: bytes = b"") -> bytes:
        """The dialect's own; an event of another type breaks strict clients."""
        return events.named_event("ping", b'{"type":"ping"}')

    def fold(self, stream: bytes) -> bytes:
        return folding.fold(stream)

    def unfold(self, body: bytes) -> bytes:
        return folding.unfold(body)


def _event_of(payload: bytes) -> _Event | None:
    try:
        return _event.decode(payload)
    except members.UNREADABLE:
        return None


def _raise_limit(fields: members.Fields, limit: int) -> int:
    """The vendor wants the thinking budget below `max_tokens`; who sent it otherwise meant it beside (contract 2.2)."""
    try:
        thinking = _thinking.decode(fields["thinking"])
    except members.UNREADABLE:
        return limit
    if thinking.type != "enabled" or thinking.budget_tokens < limit or thinking.budget_tokens <= 0:
        return limit
    raised = limit + thinking.budget_tokens
    fields["max_tokens"] = msgspec.Raw(members.encode(raised))
    return raised


def _is_quiet(payload: bytes) -> bool:
    event = _event_of(payload)
    return event is not None and event.type in QUIET
