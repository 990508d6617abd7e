"""Google Gemini. Facts: the types of google-genai and what Gemini CLI 0.61 sends and takes."""

import msgspec

from hypereal.kit.dialects import Dialect
from hypereal.kit.errors import HyperealError, InvalidRequest
from hypereal.kit.usage import Usage
from hypereal.wire import errors, events, members
from hypereal.wire.counting import Counting
from hypereal.wire.folding import gemini as folding
from hypereal.wire.members import Fields
from hypereal.wire.profiles import Profile
from hypereal.wire.request import Request
from hypereal.wire.upstream_errors import UpstreamError, error_inside
from hypereal.wire.usage import gemini_usage
from hypereal.wire.usage_blocks import GeminiUsage


class _Config(msgspec.Struct, gc=False):
    max_output_tokens: int | None = msgspec.field(default=None, name="maxOutputTokens")
    max_output_tokens_snake: int | None = msgspec.field(default=None, name="max_output_tokens")
    candidate_count: int | None = msgspec.field(default=None, name="candidateCount")
    candidate_count_snake: int | None = msgspec.field(default=None, name="candidate_count")


class _Candidate(msgspec.Struct, gc=False, rename="camel"):
    finish_reason: str | None = None


class _Feedback(msgspec.Struct, gc=False, rename="camel"):
    block_reason: str | None = None


class _End(msgspec.Struct, gc=False, rename="camel"):
    candidates: list[_Candidate] | None = None
    prompt_feedback: _Feedback | None = None


class _Answer(msgspec.Struct, gc=False, rename="camel"):
    usage_metadata: GeminiUsage | None = None


_config = msgspec.json.Decoder(_Config)
_end = msgspec.json.Decoder(_End)
_answer = msgspec.json.Decoder(_Answer)


class Gemini(Counting):
    """The dialect; see `WireDialect` for what each part promises. Where it came in the path, the body has no model."""

    name = Dialect.GEMINI
    conversation = "contents"
    image_tokens = 1_120  # `mediaResolution` high; 258 a tile of 768 x 768 on older models
    answer_text = ("candidates",)
    event_text = ("candidates",)

    def read(self, body: bytes | bytearray, *, model: str | None = None, stream: bool | None = None) -> Request:
        return self.read_fields(members.parse(body), len(body), model=model, stream=stream)

    def read_fields(
        self, fields: Fields, size_bytes: int, *, model: str | None = None, stream: bool | None = None
    ) -> Request:
        """`read` of a body that was parsed already."""
        own = members.take_own(fields)
        named = members.model(fields, own).removeprefix("models/") if model is None else model
        streams = members.flag(fields, "stream") if stream is None else stream
        fields.pop("model", None)
        fields.pop("stream", None)
        if "generateContentRequest" not in fields:  # the other shape of countTokens
            members.require_list(fields, "contents")
        config = _config_of(fields)
        limit = config.max_output_tokens
        choices = config.candidate_count
        return Request(
            dialect=self.name,
            model=named,
            stream=streams,
            fields=fields,
            size_bytes=size_bytes,
            own=own,
            output_tokens_max=config.max_output_tokens_snake if limit is None else limit,
            choices=(config.candidate_count_snake if choices is None else choices) or 1,
        )

    def write(self, request: Request, upstream_model: str, profile: Profile) -> bytes:
        """The model is in the path, so the body holds none."""
        return members.encode(request.fields)

    def usage_of_answer(self, body: bytes, profile: Profile) -> Usage | None:
        answer = _answer_of(body)
        return None if answer is None else gemini_usage(answer.usage_metadata)

    def usage_of_stream(self, first: bytes, tail: bytes, profile: Profile) -> Usage | None:
        for payload in events.payloads_with(b'"usageMetadata"', tail):
            answer = _answer_of(payload)
            if answer is not None and answer.usage_metadata is not None:
                return gemini_usage(answer.usage_metadata, is_final=self.is_complete(tail))
        return None

    def is_complete(self, tail: bytes) -> bool:
        for needle in (b'"finishReason"', b'"blockReason"'):
            if any(_ends(payload) for payload in events.payloads_with(needle, tail)):
                return True
        return False

    def says_nothing(self, stream: bytes) -> bool:
        return events.are_all(_is_quiet, stream)

    def error_in(self, events_or_body: bytes) -> UpstreamError | None:
        return error_inside(events_or_body)

    def error_body(self, error: HyperealError, request_id: str) -> bytes:
        return errors.gemini(error)

    def error_event(self, error: HyperealError, request_id: str, *, model: str = "", tail: bytes = b"") -> bytes:
        return events.event(errors.gemini(error))

    def heartbeat(self, tail: bytes = b"") -> bytes:
        """A chunk without content: comments and named events break Google's clients."""
        return events.event(b'{"candidates":[{"content":{"role":"model","parts":[]},"index":0}]}')

    def fold(self, stream: bytes) -> bytes:
        return folding.fold(stream)

    def unfold(self, body: bytes) -> bytes:
        return folding.unfold(body)


def _answer_of(payload: bytes) -> _Answer | None:
    try:
        return _answer.decode(payload)
    except members.UNREADABLE:
        return None


def _ends(payload: bytes) -> bool:
    """Whether this chunk ends a candidate, or says that the prompt was blocked."""
    try:
        answer = _end.decode(payload)
    except members.UNREADABLE:
        return False
    if answer.prompt_feedback is not None and answer.prompt_feedback.block_reason:
        return True
    return any(candidate.finish_reason for candidate in answer.candidates or ())


def _config_of(fields: Fields) -> _Config:
    """What of `generationConfig` bears on the price. Google takes both spellings. Raises InvalidRequest."""
    raw = fields.get("generationConfig") or fields.get("generation_config")
    if raw is None or raw == members.NULL:
        return _Config()
    try:
        config = _config.decode(raw)
    except members.UNREADABLE as error:
        raise InvalidRequest(f"'generationConfig' cannot be read: {error}.", param="generationConfig") from None
    counts = (
        config.max_output_tokens,
        config.max_output_tokens_snake,
        config.candidate_count,
        config.candidate_count_snake,
    )
    if any(count is not None and count < 1 for count in counts):
        raise InvalidRequest(
            "'generationConfig': maxOutputTokens and candidateCount must be whole numbers of 1 or more.",
            param="generationConfig",
        )
    return config


class _Content(msgspec.Struct, gc=False):
    parts: list[msgspec.Raw] | None = None


class _Spoken(msgspec.Struct, gc=False, rename="camel"):
    content: _Content | None = None
    finish_reason: str | None = None


class _Chunk(msgspec.Struct, gc=False, rename="camel"):
    candidates: list[_Spoken] | None = None
    prompt_feedback: msgspec.Raw | None = None


_chunk = msgspec.json.Decoder(_Chunk)


def _is_quiet(payload: bytes) -> bool:
    """Whether no candidate has a part or an end, and nothing was blocked."""
    try:
        chunk = _chunk.decode(payload)
    except members.UNREADABLE:
        return False
    return chunk.prompt_feedback is None and not any(
        one.finish_reason or (one.content is not None and one.content.parts) for one in chunk.candidates or ()
    )
