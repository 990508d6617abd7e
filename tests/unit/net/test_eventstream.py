"""Amazon's event stream as server-sent events: the same events however it was cut, and nothing of what was changed."""

import base64
import gzip
import itertools
import json
import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support import vendors
from tests.support.clouds import exception, framed, message
from tests.support.upstreams import Line

from hypereal.net import LAST_CHUNK, Malformed, chunk
from hypereal.net.eventstream import HEADERS_BYTES_MAX, MESSAGE_BYTES_MAX, EventStreamDecoder

EVENTS = vendors.messages_events()
STREAM = b"".join(map(framed, EVENTS))
CHUNK = {":event-type": "chunk", ":message-type": "event"}
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/vnd.amazon.eventstream\r\ntransfer-encoding: chunked\r\n"


def chunk_of(said: bytes) -> bytes:
    return message(CHUNK, json.dumps({"bytes": base64.b64encode(said).decode()}).encode())


def test_a_published_message_is_read() -> None:
    """From the tests of Amazon's C library; it is no `chunk`, so it tells nothing."""
    published = bytes.fromhex(
        "0000003d0000002007fd83960c636f6e74656e742d747970650700106170706c69636174696f6e2f6a736f6e"
        "7b27666f6f273a27626172277d8d9c08b1"
    )
    assert EventStreamDecoder().feed(published).startswith(b"event: error\n")
    assert message({"content-type": "application/json"}, b"{'foo':'bar'}") == published


@given(st.lists(st.integers(0, len(STREAM)), max_size=30))
def test_events_are_the_same_however_they_were_cut(cuts: list[int]) -> None:
    decoder = EventStreamDecoder()
    edges = [0, *sorted(cuts), len(STREAM)]
    assert b"".join(decoder.feed(STREAM[a:b]) for a, b in itertools.pairwise(edges)) == b"".join(EVENTS)


def test_every_byte_may_come_alone() -> None:
    decoder = EventStreamDecoder()
    assert b"".join(decoder.feed(bytes([byte])) for byte in STREAM) == b"".join(EVENTS)


def test_a_changed_bit_anywhere_is_noticed() -> None:
    whole = framed(EVENTS[0])
    for at in range(len(whole)):
        for bit in (0, 7):
            changed = bytearray(whole)
            changed[at] ^= 1 << bit
            with pytest.raises(Malformed, match="event"):
                EventStreamDecoder().feed(bytes(changed))


@pytest.mark.parametrize(
    ("size", "headers"), [(MESSAGE_BYTES_MAX + 1, 0), (15, 0), (0, 0), (100, 85), (100, 2**32 - 1)]
)
def test_an_impossible_length_is_refused_before_anything_of_it_is_kept(size: int, headers: int) -> None:
    prelude = struct.pack(">II", size, headers)
    with pytest.raises(Malformed, match="length"):
        EventStreamDecoder().feed(prelude + struct.pack(">I", zlib.crc32(prelude)))


def test_headers_are_bounded() -> None:
    wide = {f"n{number}": "v" * 1000 for number in range(HEADERS_BYTES_MAX // 1000)}
    with pytest.raises(Malformed, match="length"):
        EventStreamDecoder().feed(message({**CHUNK, **wide}, b"{}"))


def test_headers_of_every_type_are_skipped() -> None:
    """By the specification: no value, 1, 2, 4 and 8 bytes, bytes, text, a time, a UUID."""
    types = {0: b"", 1: b"", 2: b"1", 3: b"12", 4: b"1234", 5: b"12345678", 6: b"\0\2ab", 8: b"12345678", 9: b"x" * 16}
    extra = b"".join(b"\1n" + bytes([kind]) + value for kind, value in types.items())
    assert with_headers(extra) == b"event: ping\ndata: " + b'{"type":"ping"}' + b"\n\n"


@pytest.mark.parametrize("extra", [b"\1n\x0a", b"\1n", b"\x09n\7\0\0", b"\1n\7\0\5abc", b"\1n\7\0", b"\1n\4\0"])
def test_headers_that_cannot_be_are_refused(extra: bytes) -> None:
    with pytest.raises(Malformed, match="header"):
        with_headers(extra)


def with_headers(extra: bytes) -> bytes:
    """What a ping tells that has EXTRA bytes of headers."""
    plain = chunk_of(b'{"type":"ping"}')
    size, headers_size, _ = struct.unpack_from(">III", plain)
    prelude = struct.pack(">II", size + len(extra), headers_size + len(extra))
    whole = prelude + struct.pack(">I", zlib.crc32(prelude)) + plain[12 : 12 + headers_size] + extra
    whole += plain[12 + headers_size : -4]
    return EventStreamDecoder().feed(whole + struct.pack(">I", zlib.crc32(whole)))


@pytest.mark.parametrize(
    "payload", [b"", b"[]", b"{}", b'{"bytes":"###"}', b'{"bytes":"bm90IGpzb24="}', b'{"bytes":7}', b"\xff"]
)
def test_a_chunk_that_holds_no_json_is_refused(payload: bytes) -> None:
    with pytest.raises(Malformed, match="cannot be read"):
        EventStreamDecoder().feed(message(CHUNK, payload))


def test_an_event_stays_one_event() -> None:
    said = EventStreamDecoder().feed(chunk_of(b'{"type":\r\n\n"ping"}') + chunk_of(b'{"type":"a\\n\\ndata: b"}'))
    assert said == b'event: ping\ndata: {"type":   "ping"}\n\ndata: {"type":"a\\n\\ndata: b"}\n\n'


def test_messages_of_other_kinds_tell_nothing() -> None:
    assert EventStreamDecoder().feed(message({**CHUNK, ":event-type": "initial-response"}, b"{}")) == b""


@pytest.mark.parametrize(
    ("kind", "told", "code"),
    [
        ("throttlingException", "rate_limit_error", 429),
        ("serviceUnavailableException", "overloaded_error", 503),
        ("modelTimeoutException", "timeout_error", 408),
        ("validationException", "invalid_request_error", 400),
        ("modelStreamErrorException", "api_error", 500),
        ("internalServerException", "api_error", 500),
        ("oneOfTomorrow", "api_error", 500),
    ],
)
def test_an_exception_is_an_error_event(kind: str, told: str, code: int) -> None:
    said = EventStreamDecoder().feed(exception(kind, "Too\nmany " + "x" * 1000))
    name, data, *_ = said.decode().split("\n")
    error = json.loads(data.removeprefix("data: "))
    assert name == "event: error"
    assert error == {"type": "error", "error": {"type": told, "code": code, "message": "Too many " + "x" * 491}}


def test_an_error_without_a_payload_is_told_by_its_headers() -> None:
    headers = {":message-type": "error", ":error-code": "Internal", ":error-message": "An internal failure"}
    assert b'"An internal failure"' in EventStreamDecoder().feed(message(headers, b""))
    assert b'"The upstream could not go on."' in EventStreamDecoder().feed(exception("x", ""))


# -- behind the head of an answer --------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 7, 100, len(STREAM)])
@pytest.mark.parametrize("is_zipped", [False, True])
def test_an_answer_in_frames_is_relayed_as_events(size: int, is_zipped: bool) -> None:
    payload = gzip.compress(STREAM) if is_zipped else STREAM
    encoding = b"content-encoding: gzip\r\n\r\n" if is_zipped else b"\r\n"
    reads = [chunk(payload[at : at + size]) for at in range(0, len(payload), size)]
    line = Line(relays=True).answer(HEAD + encoding, *reads, LAST_CHUNK)
    assert line.upstream.is_done
    assert line.relayed == b"".join(EVENTS)
    assert line.caller.failure is None


def test_a_changed_answer_is_cut() -> None:
    broken = STREAM[:-1] + bytes([STREAM[-1] ^ 1])
    line = Line(relays=True).answer(HEAD + b"\r\n", chunk(STREAM), chunk(broken))
    assert line.caller.failure is not None
    assert "checksum" in line.caller.failure.why


def test_half_a_message_at_the_end_is_no_event() -> None:
    line = Line(relays=True).answer(HEAD + b"\r\n", chunk(STREAM[:-1]), LAST_CHUNK)
    assert line.upstream.events() == b"".join(EVENTS[:-1])
