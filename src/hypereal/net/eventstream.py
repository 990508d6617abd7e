"""Amazon's event stream, told as server-sent events: what `answer_body` takes off as it takes compression off.

A message is two big-endian numbers of 4 bytes, its own length and that of its headers; the CRC32 of these 8 bytes; the
headers; the payload; the CRC32 of all before. Sources: the specification of `application/vnd.amazon.eventstream` in
Smithy, and botocore's reader. Of Bedrock's messages a `chunk` carries the JSON of one event in base64, and an
exception what went wrong after the head.
"""

from collections.abc import Mapping
from functools import lru_cache
from struct import Struct
from zlib import crc32

import msgspec

from hypereal.net.http1 import Malformed

MESSAGE_BYTES_MAX = 16 * 1024 * 1024
HEADERS_BYTES_MAX = 128 * 1024
"""Both as Amazon's own C library has them."""
TEXT_CHARACTERS_MAX = 500

_prelude = Struct(">III")
_number = Struct(">I")
_FRAME_BYTES = _prelude.size + _number.size
_HEADER_VALUE_BYTES: Mapping[int, int] = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
"""Of the types of a header that have a fixed length; those of bytes (6) and of text (7) say theirs."""

_ERRORS: Mapping[bytes, tuple[str, int]] = {
    b"throttlingException": ("rate_limit_error", 429),
    b"serviceUnavailableException": ("overloaded_error", 503),
    b"modelTimeoutException": ("timeout_error", 408),
    b"validationException": ("invalid_request_error", 400),
}
"""The exceptions of `ResponseStream` in the API reference of Bedrock that are no mere failure of the upstream."""
_FAILURE = ("api_error", 500)

_Headers = Mapping[bytes, bytes]


class _Chunk(msgspec.Struct, gc=False):
    said: bytes = msgspec.field(name="bytes")
    """In base64, which msgspec reads."""


class _Named(msgspec.Struct, gc=False):
    type: str = ""


class _Failure(msgspec.Struct, gc=False):
    message: str = ""


_chunk = msgspec.json.Decoder(_Chunk)
_named = msgspec.json.Decoder(_Named)
_failure = msgspec.json.Decoder(_Failure)


class EventStreamDecoder:
    """Messages in, split anywhere; the events that they carry out. Costs the same however they were split."""

    __slots__ = ("_parts", "_size_bytes", "_wanted_bytes")

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size_bytes = 0
        self._wanted_bytes = _prelude.size
        """With so many bytes there is more to say."""

    def feed(self, data: bytes) -> bytes:
        """The events of the messages that DATA completes. Raises Malformed for bytes that are none, or were changed."""
        if data:
            self._parts.append(data)
            self._size_bytes += len(data)
        if self._size_bytes < self._wanted_bytes:
            return b""
        data = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        events: list[bytes] = []
        at = 0
        while (size := _message_size(data, at)) and at + size <= len(data):
            events.append(_event(data[at : at + size]))
            at += size
        rest = data[at:]
        self._parts = [rest] if rest else []
        self._size_bytes = len(rest)
        self._wanted_bytes = size or _prelude.size
        return b"".join(events)


def _message_size(data: bytes, at: int) -> int:
    """The length of the message that begins at AT; 0 where its prelude is not whole yet."""
    if len(data) - at < _prelude.size:
        return 0
    size, headers_size, checksum = _prelude.unpack_from(data, at)
    if crc32(data[at : at + 8]) != checksum:
        raise Malformed(502, "an event's prelude does not match its checksum")
    if size > MESSAGE_BYTES_MAX or headers_size > min(HEADERS_BYTES_MAX, size - _FRAME_BYTES):
        raise Malformed(502, "an event has an impossible length")
    return int(size)


def _event(message: bytes) -> bytes:
    (checksum,) = _number.unpack_from(message, len(message) - _number.size)
    if crc32(message[: -_number.size]) != checksum:
        raise Malformed(502, "an event does not match its checksum")
    headers_end = _prelude.size + _prelude.unpack_from(message)[1]
    headers = _headers(message[_prelude.size : headers_end])
    payload = message[headers_end : -_number.size]
    if headers.get(b":message-type") != b"event":
        return _error(headers, payload)
    if headers.get(b":event-type") != b"chunk":
        return b""  # of a kind that no model's answer needs
    try:
        said = _chunk.decode(payload).said
        name = _named.decode(said).type
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise Malformed(502, "an event cannot be read") from None
    if b"\n" in said or b"\r" in said:  # between JSON's tokens only; as an event it is one line
        said = said.replace(b"\r", b" ").replace(b"\n", b" ")
    line = b"event: %s\n" % name.encode() if name.isidentifier() else b""
    return b"%sdata: %s\n\n" % (line, said)


@lru_cache(maxsize=16)
def _headers(block: bytes) -> _Headers:
    """Names and values as bytes. Cached, since the chunks of all streams have the same."""
    found: dict[bytes, bytes] = {}
    at = 0
    try:
        while at < len(block):
            kind_at = at + 1 + block[at]
            start = kind_at + 1
            size = _HEADER_VALUE_BYTES.get(block[kind_at])
            if size is None:
                if block[kind_at] not in (6, 7):
                    raise Malformed(502, "an event has a header of an unknown type")
                size = block[start] << 8 | block[start + 1]
                start += 2
            found[block[at + 1 : kind_at]] = block[start : start + size]
            at = start + size
    except IndexError:
        at = -1
    if at != len(block):
        raise Malformed(502, "an event has a header that was cut")
    return found


def _error(headers: _Headers, payload: bytes) -> bytes:
    """What is no event: an exception, named in the headers and told in PAYLOAD, or an error, told in the headers."""
    kind, status = _ERRORS.get(headers.get(b":exception-type", b""), _FAILURE)
    try:
        text = _failure.decode(payload).message if payload else ""
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        text = ""
    text = text or headers.get(b":error-message", b"").decode("utf-8", "replace")
    message = " ".join(text[:TEXT_CHARACTERS_MAX].split()) or "The upstream could not go on."
    body = {"type": "error", "error": {"type": kind, "code": status, "message": message}}
    return b"event: error\ndata: %s\n\n" % msgspec.json.encode(body)
