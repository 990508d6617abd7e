"""The body of an answer as it went over the wire."""

import pytest

from hypereal.ledger.request_log.bodies.unframing import body_of

PLAIN = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\nx: y\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (PLAIN + b"{}", b"{}"),
        (CONTINUE + PLAIN + b"{}", b"{}"),
        (PLAIN + b"2\r\n{}\r\n0\r\n\r\n", b"2\r\n{}\r\n0\r\n\r\n"),
        (CHUNKED + b"3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n", b"abc0123456789"),
        (CHUNKED + b"3\r\nabc\r\nA\r\n0123", b"abc0123"),
        (CHUNKED + b"3\r\nabc\r\nA", b"abc"),
        (CHUNKED + b"3\r\nabc\r\nzz\r\n", b"abc"),
        (CHUNKED, b""),
        (b"", b""),
        (PLAIN[:30], b""),
    ],
)
def test_heads_and_chunks_are_taken_off(answer: bytes, body: bytes) -> None:
    assert body_of(answer) == body
