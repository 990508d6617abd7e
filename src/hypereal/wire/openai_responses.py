"""OpenAI Responses. Facts: the types of openai-python 3.54 and what Codex 0.169 needs."""

import msgspec

from hypereal.kit.clock import coarse
from hypereal.kit.dialects import Dialect
from hypereal.kit.errors import HyperealError, InvalidRequest
from hypereal.kit.usage import Usage
from hypereal.wire import errors, events, members
from hypereal.wire.counting import Counting
from hypereal.wire.folding import openai_responses as folding
from hypereal.wire.profiles import Profile
from hypereal.wire.request import Request
from hypereal.wire.upstream_errors import UpstreamError, error_inside
from hypereal.wire.usage import responses_usage
from hypereal.wire.usage_blocks import ResponsesUsage

WHOLE = ("response.completed", "response.incomplete")
"""The last event of an answer."""
ENDINGS = ("response.completed", "response.incomplete", "response.failed")
"""The last event of a stream is one of these; only they carry usage."""


QUIET = ("keepalive", "response.created", "response.queued", "response.in_progress")
"""Events that say nothing of an answer yet."""


class _Item(msgspec.Struct, gc=False):
    type: str = ""


class _Response(msgspec.Struct, gc=False):
    id: str | None = None
    usage: ResponsesUsage | None = None
    output: list[_Item] | None = None


class _Kind(msgspec.Struct, gc=False):
    type: str = ""


class _Event(msgspec.Struct, gc=False):
    type: str = ""
    sequence_number: int = -1
    response: _Response | None = None
    output_index: int = -1
    item: _Item | None = None
    """Of `response.output_item.done`."""


_response = msgspec.json.Decoder(_Response)
_event = msgspec.json.Decoder(_Event)
_kind = msgspec.json.Decoder(_Kind)


class OpenAIResponses(Counting):
    """The dialect; see `WireDialect` for what each part promises."""

    name = Dialect.OPENAI_RESPONSES
    conversation = "input"
    image_tokens = 1_500  # as in chat
    answer_text = ("output",)
    event_text = ("delta",)

    def read(self, body: bytes | bytearray, *, model: str | None = None, stream: bool | None = None) -> Request:
        fields = members.parse(body)
        own = members.take_own(fields)
        named = members.model(fields, own)
        if "messages" in fields and "input" not in fields:
            raise InvalidRequest("This is a chat body ('messages'): send it to /v1/chat/completions.", param="messages")
        conversation = fields.get("input")
        if conversation is not None and bytes(memoryview(conversation)[:1]) not in (b"[", b'"'):
            raise InvalidRequest("'input' must be a string or a list of items.", param="input")
        return Request(
            dialect=self.name,
            model=named,
            stream=members.flag(fields, "stream"),
            fields=fields,
            size_bytes=len(body),
            own=own,
            output_tokens_max=members.whole(fields, "max_output_tokens"),
        )

    def write(self, request: Request, upstream_model: str, profile: Profile) -> bytes:
        return members.encode({**request.fields, "model": msgspec.Raw(members.encode(upstream_model))})

    def usage_of_answer(self, body: bytes, profile: Profile) -> Usage | None:
        try:
            return _usage_of(_response.decode(body), profile)
        except members.UNREADABLE:
            return None

    def usage_of_stream(self, first: bytes, tail: bytes, profile: Profile) -> Usage | None:
        for payload in events.payloads_with(b'"usage"', tail):
            event = _event_of(payload)
            if event is not None and event.type in ENDINGS and event.response is not None:
                if not event.response.output:
                    event.response.output = _items_done(first + tail)
                return _usage_of(event.response, profile)
        return None

    def answer_id(self, said: bytes) -> str | None:
        try:
            if said.lstrip()[:1] == b"{":
                return _response.decode(said).id
            found = (_event.decode(payload).response for payload in events.payloads(said))
            return next((response.id for response in found if response is not None), None)
        except members.UNREADABLE:
            return None

    def is_complete(self, tail: bytes) -> bool:
        return any(_kind_of(payload) in WHOLE for payload in events.payloads_with(b'"response.', tail))

    def says_nothing(self, stream: bytes) -> bool:
        return events.are_all(_is_quiet, stream)

    def error_in(self, events_or_body: bytes) -> UpstreamError | None:
        return error_inside(events_or_body)

    def error_body(self, error: HyperealError, request_id: str) -> bytes:
        return errors.superset(error, request_id)

    def error_event(self, error: HyperealError, request_id: str, *, model: str = "", tail: bytes = b"") -> bytes:
        """`response.failed` with a whole response: Codex ignores `error` events and waits for more."""
        message = error.message
        if "retry-after" in error.headers:
            message += f" Please try again in {error.headers['retry-after']}s."  # Codex reads the delay from here
        response = {
            "id": "resp_" + request_id.removeprefix("req_"),
            "object": "response",
            "created_at": int(coarse.unix_s),
            "status": "failed",
            "model": model,
            "error": {"code": errors.responses_code(error), "message": message},
            "incomplete_details": None,
            "output": [],
            "parallel_tool_calls": True,
            "tool_choice": "auto",
            "tools": [],
            "usage": None,
        }
        failed = {"type": "response.failed", "sequence_number": _last_number(tail) + 1, "response": response}
        return events.named_event("response.failed", members.encode(failed))

    def heartbeat(self, tail: bytes = b"") -> bytes:
        """A typed event: a comment would not reset Codex's idle timer. It repeats the last number, taking none away.

        One client wants no typed event before `response.created`: the `.stream()` helper of openai-python 3.54.
        """
        number = max(0, _last_number(tail))
        return events.named_event("keepalive", b'{"type":"keepalive","sequence_number":%d}' % number)

    def fold(self, stream: bytes) -> bytes:
        return folding.fold(stream)

    def unfold(self, body: bytes) -> bytes:
        return folding.unfold(body)


def _event_of(payload: bytes) -> _Event | None:
    try:
        return _event.decode(payload)
    except members.UNREADABLE:
        return None


def _kind_of(payload: bytes) -> str:
    """The type of an event, whatever else is in it; '' for what is none."""
    try:
        return _kind.decode(payload).type
    except members.UNREADABLE:
        return ""


def _items_done(stream: bytes) -> list[_Item]:
    """The output items of a stream whose last event leaves them out."""
    found: dict[int, _Item] = {}
    for payload in events.payloads_with(b'"response.output_item.done"', stream):
        event = _event_of(payload)
        if event is not None and event.item is not None:
            found[event.output_index] = event.item
    return list(found.values())


def _usage_of(response: _Response, profile: Profile) -> Usage | None:
    searches = sum(item.type == "web_search_call" for item in response.output or ())
    return responses_usage(response.usage, searches, profile)


def _last_number(tail: bytes) -> int:
    """The sequence number of the last event in TAIL that has one; -1 where none has."""
    for payload in events.payloads_with(b'"sequence_number"', tail):
        event = _event_of(payload)
        if event is not None and event.sequence_number >= 0:
            return event.sequence_number
    return -1


def _is_quiet(payload: bytes) -> bool:
    return _kind_of(payload) in QUIET
