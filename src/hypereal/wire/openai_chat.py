"""OpenAI Chat Completions, and the many vendors that speak it. Facts: the types of openai-python 3.54."""

from typing import Any, Final

import msgspec

from hypereal.kit.dialects import Dialect
from hypereal.kit.errors import HyperealError, InvalidRequest
from hypereal.kit.usage import Usage
from hypereal.wire import errors, events, members
from hypereal.wire.bridges.shapes import CHATS_TOOLS, as_chat_fields
from hypereal.wire.chat_chunks import Answer, Chunk, Deltas, StreamOptions
from hypereal.wire.counting import Counting
from hypereal.wire.folding import openai_chat as folding
from hypereal.wire.members import Fields
from hypereal.wire.profiles import Profile
from hypereal.wire.request import Request
from hypereal.wire.upstream_errors import UpstreamError, error_inside
from hypereal.wire.usage import chat_usage

NAME: Final = Dialect.OPENAI_CHAT
_TOOLS_BYTES: Final = len(CHATS_TOOLS)
_ASK_USAGE: Final = msgspec.Raw(b'{"include_usage":true}')


_chunk: Final = msgspec.json.Decoder(Chunk)
_answer: Final = msgspec.json.Decoder(Answer)
_stream_options: Final = msgspec.json.Decoder(StreamOptions)


class OpenAIChat(Counting):
    """The dialect; see `WireDialect` for what each part promises."""

    name = NAME
    conversation = "messages"
    image_tokens = 1_500  # `detail: high`: 85 + 170 x 8 tiles
    answer_text = ("choices",)
    event_text = ("choices",)

    def read(self, body: bytes | bytearray, *, model: str | None = None, stream: bool | None = None) -> Request:
        return self.read_fields(members.parse(body), len(body), stream=stream)

    def read_fields(self, fields: Fields, size_bytes: int, *, stream: bool | None = None) -> Request:
        """`read` of a body that was parsed already; STREAM, where the path says it, is written into the body too."""
        own = members.take_own(fields)
        model = members.model(fields, own)
        messages = fields.get("messages")
        if (
            messages is None
            or "system" in fields
            or ("tools" in fields and memoryview(fields["tools"])[:_TOOLS_BYTES] != CHATS_TOOLS)
        ):  # most likely another dialect's shape
            fields = as_chat_fields(fields)
            messages = fields.get("messages")
        if messages is None or members.kind(messages) != members.LIST:
            members.require_list(fields, "messages")
        if stream is not None:
            fields["stream"] = members.TRUE if stream else members.FALSE
        streams = "stream" in fields and members.flag(fields, "stream")
        limit = members.whole(fields, "max_completion_tokens") if "max_completion_tokens" in fields else None
        older_limit = members.whole(fields, "max_tokens") if "max_tokens" in fields else None
        return Request(
            dialect=NAME,
            model=model,
            stream=streams,
            fields=fields,
            size_bytes=size_bytes,
            own=own,
            output_tokens_max=older_limit if limit is None else limit,
            choices=members.whole(fields, "n") or 1 if "n" in fields else 1,
            wants_usage=not streams or _asks_usage(fields.get("stream_options")),
        )

    def write(self, request: Request, upstream_model: str, profile: Profile) -> bytes:
        fields = {**request.fields, "model": members.written(upstream_model)}
        if request.stream:
            if not profile.takes_stream_options:
                fields.pop("stream_options", None)
            elif not request.wants_usage or "stream_options" not in fields:
                fields["stream_options"] = _with_usage(fields.get("stream_options"))
        return members.encode(fields)

    def usage_of_answer(self, body: bytes, profile: Profile) -> Usage | None:
        try:
            return chat_usage(_answer.decode(body).usage, profile)
        except members.UNREADABLE:
            return None

    def usage_of_stream(self, first: bytes, tail: bytes, profile: Profile) -> Usage | None:
        for payload in events.payloads_with(b'"usage"', tail):
            chunk = chunk_of(payload)
            if chunk is not None and (said := chunk.said_usage) is not None:
                return chat_usage(said, profile)
        return None

    def is_complete(self, tail: bytes) -> bool:
        """The end is `[DONE]`; some upstreams leave it out, then a finish reason together with usage is one."""
        if tail.rstrip().endswith((b"\ndata: [DONE]", b"\ndata:[DONE]")):
            return True
        chunks = []
        for payload in events.payloads(tail):
            if payload == events.DONE:
                return True
            chunks.append(chunk_of(payload))
        return any(c and c.is_finish for c in chunks) and any(c and c.said_usage is not None for c in chunks)

    def says_nothing(self, stream: bytes) -> bool:
        return not _has_text(stream) and events.are_all(_is_quiet, stream)

    def error_in(self, events_or_body: bytes) -> UpstreamError | None:
        return error_inside(events_or_body)

    def error_body(self, error: HyperealError, request_id: str) -> bytes:
        return errors.superset(error, request_id)

    def error_event(self, error: HyperealError, request_id: str, *, model: str = "", tail: bytes = b"") -> bytes:
        return events.event(errors.superset(error, request_id))

    def heartbeat(self, tail: bytes = b"") -> bytes:
        """A comment: strict clients refuse any data that is not a chunk."""
        return b": keep-alive\n\n"

    def fold(self, stream: bytes) -> bytes:
        return folding.fold(stream)

    def unfold(self, body: bytes) -> bytes:
        return folding.unfold(body)


def chunk_of(payload: bytes) -> Chunk | None:
    """PAYLOAD as a chunk; None for `[DONE]` and for what is none."""
    try:
        return _chunk.decode(payload)
    except members.UNREADABLE:
        return None


_TEXT: Final = b'"content":"'
_NO_TEXT: Final = _TEXT + b'"'
_deltas: Final = msgspec.json.Decoder(Deltas)
_NO_DELTA: Final[dict[str, Any]] = {}


def _has_text(stream: bytes) -> bool:
    """Finds what most streams begin with, cheaply. In a text the quotes would be escaped."""
    return stream.count(_TEXT) > stream.count(_NO_TEXT)


def _is_quiet(payload: bytes) -> bool:
    """Whether a chunk holds nothing but the role of who speaks."""
    try:
        chunk = _deltas.decode(payload)
    except members.UNREADABLE:
        return False
    if chunk.usage is not None and chunk.usage != members.NULL:
        return False
    for choice in chunk.choices or ():
        if choice.finish_reason:
            return False
        for name, value in (choice.delta or _NO_DELTA).items():
            if value and name != "role":
                return False
    return True


def _asks_usage(raw: msgspec.Raw | None) -> bool:
    if raw is None or raw == members.NULL:
        return False
    try:
        return bool(_stream_options.decode(raw).include_usage)
    except members.UNREADABLE:
        raise InvalidRequest(
            "'stream_options' must be an object whose 'include_usage' is true or false.", param="stream_options"
        ) from None


def _with_usage(raw: msgspec.Raw | None) -> msgspec.Raw:
    """The caller's own stream options, byte for byte, with usage asked for."""
    if raw is None or raw == members.NULL:
        return _ASK_USAGE
    return msgspec.Raw(members.encode({**members.parse(bytes(raw)), "include_usage": members.TRUE}))
