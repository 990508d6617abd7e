import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypereal.wire.upstream_errors import MESSAGE_CHARACTERS_MAX, UpstreamError, error_inside, upstream_error


@pytest.mark.parametrize(
    ("status", "body", "type_", "code", "message"),
    [
        (401, {"error": {"message": "Bad key", "type": "a", "code": "b", "param": None}}, "a", "b", "Bad key"),
        (529, {"type": "error", "error": {"type": "overloaded_error", "message": "m"}}, "overloaded_error", "", "m"),
        (
            429,
            {"error": {"code": 429, "message": "m", "status": "RESOURCE_EXHAUSTED"}},
            "RESOURCE_EXHAUSTED",
            "429",
            "m",
        ),
        (429, [{"error": {"code": 429, "message": "m", "status": "X"}}], "X", "429", "m"),
        (400, {"code": "Client error", "error": "m"}, "", "Client error", "m"),
        (400, {"error": "m"}, "", "", "m"),
        (429, {"error": {"code": "1302", "message": "m"}}, "", "1302", "m"),
        (400, {"code": "InvalidParameter", "message": "m", "request_id": "r"}, "", "InvalidParameter", "m"),
        (404, {"detail": "Not Found"}, "", "", "Not Found"),
        (500, {"message": "m"}, "", "", "m"),
        (500, {"weird": 1}, "", "", ""),
    ],
)
def test_every_vendors_shape_is_read(status: int, body: object, type_: str, code: str, message: str) -> None:
    error = upstream_error(status, json.dumps(body).encode())
    assert error == UpstreamError(status=status, type=type_, code=code, message=message)


@pytest.mark.parametrize(
    ("inner", "status"),
    [
        ({"code": 503, "type": "invalid_request_error"}, 503),
        ({"type": "overloaded_error"}, 529),
        ({"type": "rate_limit_error"}, 429),
        ({"type": "invalid_request_error", "code": "invalid_api_key"}, 401),
        ({"code": "context_length_exceeded"}, 400),
        ({"code": "rate_limit_exceeded"}, 429),
        ({"type": "something_new"}, 200),
        ({"code": 1302}, 200),
    ],
)
def test_an_error_inside_a_200_has_the_status_that_its_kind_has_elsewhere(
    inner: dict[str, object], status: int
) -> None:
    error = error_inside(json.dumps({"error": {"message": "m", **inner}}).encode())
    assert error is not None
    assert error.status == status


@pytest.mark.parametrize("inner", [{"code": "insufficient_quota"}, {"type": "insufficient_quota"}])
def test_an_empty_account_is_told_from_a_busy_one(inner: dict[str, str]) -> None:
    assert upstream_error(429, json.dumps({"error": {"message": "m", **inner}}).encode()).status == 402


@pytest.mark.parametrize("body", [b"", b"<html>502</html>", b"\xff\xfe", b"[" * 100_000, b"null", b'{"error":{}}'])
def test_what_cannot_be_read_gives_no_message(body: bytes) -> None:
    assert upstream_error(502, body) == UpstreamError(status=502)


@pytest.mark.parametrize(
    "secret",
    [
        "sk-proj-abc123def456",
        "sk-ab******yz12",
        "AIzaSyA1234567890abcdefg",
        "ck_" + "0a" * 32,
        "xai-Abc123456789",
        "0123456789abcdef0123456789abcdef",
        "Bearer whatever.it.is",
    ],
)
def test_what_looks_like_a_key_is_struck_out(secret: str) -> None:
    message = upstream_error(401, json.dumps({"error": {"message": f"Incorrect key {secret} given"}}).encode()).message
    assert secret.removeprefix("Bearer ") not in message
    assert message.startswith("Incorrect key ")
    assert message.endswith(" given")


def test_prose_stays_as_it_is() -> None:
    prose = "The risk-averse key-value store says: maximum context length is 128000 tokens (req_0123456789abcdef)."
    assert upstream_error(400, json.dumps({"error": prose}).encode()).message == prose


def test_messages_are_one_bounded_line() -> None:
    message = upstream_error(400, json.dumps({"error": {"message": "a b\n" * 10_000}}).encode()).message
    assert len(message) == MESSAGE_CHARACTERS_MAX
    assert "\n" not in message


@pytest.mark.parametrize(
    "body",
    [
        {"choices": [], "error": None},
        {"object": "response", "status": "completed", "error": None, "output": []},
        {"base_resp": {"status_code": 0, "status_msg": ""}, "choices": []},
        {"type": "message", "content": []},
        {"candidates": []},
    ],
)
def test_a_good_answer_holds_no_error(body: dict[str, object]) -> None:
    assert error_inside(json.dumps(body).encode()) is None
    assert error_inside(b"data: " + json.dumps(body).encode() + b"\n\n") is None


def test_the_status_that_an_error_inside_a_200_names_is_taken() -> None:
    error = error_inside(b'data: {"error":{"code":503,"message":"m","status":"UNAVAILABLE"}}\n\n')
    assert error is not None
    assert error.status == 503


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_no_bytes_make_it_raise(body: bytes) -> None:
    upstream_error(500, body)
    error_inside(body)
