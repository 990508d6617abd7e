"""The heads of our answers, byte for byte."""

from types import SimpleNamespace
from typing import Any

from hypereal.gateway.answers import CORS, JSON, error_answer, head
from hypereal.kit.clock import coarse
from hypereal.kit.dialects import Dialect
from hypereal.kit.errors import InvalidRequest, MethodNotAllowed
from hypereal.limits import Quota


def call(*, keeps_alive: bool = True, origin: bool = False) -> Any:
    return SimpleNamespace(
        request_id="req_1",
        facts=SimpleNamespace(origin=origin),
        connection=SimpleNamespace(keeps_alive=keeps_alive),
    )


def test_an_ordinary_head() -> None:
    assert (
        head(call(), 200, JSON, 12, Quota(60, 41, 7), "x-a: b\r\n")
        == (
            f"HTTP/1.1 200 OK\r\ndate: {coarse.http_date}\r\ncontent-type: application/json\r\ncontent-length: 12\r\n"
            "x-request-id: req_1\r\nrequest-id: req_1\r\nx-hypereal-request-id: req_1\r\n"
            "x-ratelimit-limit: 60\r\nx-ratelimit-remaining: 41\r\nx-ratelimit-reset: 7\r\nx-a: b\r\n\r\n"
        ).encode()
    )


def test_a_stream_for_a_browser_on_a_connection_that_closes() -> None:
    assert (
        head(call(keeps_alive=False, origin=True), 299, "text/x", None)
        == (
            f"HTTP/1.1 299 Unknown\r\ndate: {coarse.http_date}\r\n"
            "content-type: text/x\r\ntransfer-encoding: chunked\r\n"
            "x-request-id: req_1\r\nrequest-id: req_1\r\nx-hypereal-request-id: req_1\r\n"
            f"connection: close\r\n{CORS}\r\n"
        ).encode()
    )


def test_what_no_retry_helps_says_so_and_an_errors_own_lines_go_with_it() -> None:
    answer = error_answer(call(), InvalidRequest("é"), Dialect.OPENAI_CHAT, None)
    said, _, body = answer.partition(b"\r\n\r\n")
    assert b"\r\nx-should-retry: false" in said
    assert b"\r\ncontent-length: %d\r\n" % len(body) in said
    answer = error_answer(call(), MethodNotAllowed("no", headers={"allow": "GET"}), Dialect.OPENAI_CHAT, None)
    assert answer.startswith(b"HTTP/1.1 405 Method Not Allowed\r\n")
    assert b"\r\nallow: GET\r\n" in answer
