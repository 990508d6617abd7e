"""What a wire format must be able to do. One module a format implements it: `openai_chat`, `anthropic_messages`, ...

All is pure: bytes in, bytes out. "Events" are whole server-sent events with their blank lines.
"""

from typing import Protocol

from hypereal.kit.dialects import Dialect
from hypereal.kit.errors import HyperealError
from hypereal.kit.usage import Usage
from hypereal.wire.profiles import Profile
from hypereal.wire.request import Request
from hypereal.wire.upstream_errors import UpstreamError


class WireDialect(Protocol):
    """One wire format, both towards callers and towards upstreams."""

    name: Dialect

    def read(self, body: bytes | bytearray, *, model: str | None = None, stream: bool | None = None) -> Request:
        """Check BODY as far as the gateway needs it. MODEL and STREAM win where the path says them (Gemini).

        Raises InvalidRequest with a message for the caller, and nothing else, whatever the bytes are.
        """

    def write(self, request: Request, upstream_model: str, profile: Profile) -> bytes:
        """The body for an upstream: the caller's members byte for byte, but for the model and what PROFILE needs."""

    def input_tokens_max(self, request: Request) -> int:
        """The most tokens the input can be: a byte is a token at most, an inline image counts by the vendor's rule.

        Looks for images only in bodies over 64 KiB; it decodes the body again, so ask it only where bytes are too many.
        """

    def usage_of_answer(self, body: bytes, profile: Profile) -> Usage | None:
        """What a plain answer says it consumed; None where it says nothing sane: then estimate, never charge 0."""

    def usage_of_stream(self, first: bytes, tail: bytes, profile: Profile) -> Usage | None:
        """The same of a stream, from its first and its last events.

        `is_estimated` is set where the input is known but the stream ended before the output was: then `output_tokens`
        is only a least, and the caller's own count of output counts.
        """

    def answer_id(self, said: bytes) -> str | None:
        """The id in SAID, a plain answer or the first events of a stream, by which a later request may continue it.

        None where the format has no such thing: only Responses has.
        """

    def is_complete(self, tail: bytes) -> bool:
        """Whether the stream that ends with TAIL came to its own end, and was not cut."""

    def says_nothing(self, stream: bytes) -> bool:
        """Whether STREAM, whole events, has only signs of life and announcements: nothing that a caller waits for."""

    def error_in(self, events_or_body: bytes) -> UpstreamError | None:
        """The error that an upstream put inside a 200: the first events of a stream, or a whole plain answer."""

    def estimate_input(self, request: Request) -> int:
        """Tokens of the input where nobody counted them: a quarter of its bytes, images by the vendor's rule."""

    def estimate_output(self, body: bytes) -> int:
        """Tokens of a plain answer that says no usage: a quarter of the bytes of its text, at least 1."""

    def output_text_bytes(self, events: bytes) -> tuple[int, int]:
        """(events, bytes of generated text in them) of a part of a stream, to scale a whole stream's byte count by."""

    def error_body(self, error: HyperealError, request_id: str) -> bytes:
        """ERROR as the body of an answer of status `error.status`."""

    def error_event(self, error: HyperealError, request_id: str, *, model: str = "", tail: bytes = b"") -> bytes:
        """ERROR as the last event of a stream that has begun; TAIL is what went out last."""

    def heartbeat(self, tail: bytes = b"") -> bytes:
        """An event that says nothing and breaks no client; TAIL is what went out last, empty before the first event."""

    def fold(self, events: bytes) -> bytes:
        """A whole stream as the plain answer it stands for. Raises FoldFailed where it does not hold one."""

    def unfold(self, body: bytes) -> bytes:
        """A plain answer as a least, but whole, stream of this dialect. Raises FoldFailed where it is no answer."""
