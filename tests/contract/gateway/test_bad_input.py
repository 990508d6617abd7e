"""Bad input: the right status in the right dialect, nothing charged, nothing sent on, and the process unharmed."""

import json
import socket
from urllib.parse import urlsplit

import pytest
from tests.support import raw
from tests.support.server import BODY_BYTES_MAX, MARK, Caller, Server
from tests.support.upstream import Upstream

CHAT, MESSAGES, RESPONSES = "/v1/chat/completions", "/v1/messages", "/v1/responses"
GEMINI = "/v1beta/models/gemini-2.5-flash:generateContent"
DIALECTS = [
    pytest.param(CHAT, {"model": "gpt-5", "messages": []}, id="chat"),
    pytest.param(MESSAGES, {"model": "claude-opus-4-6", "messages": [], "max_tokens": 9}, id="messages"),
    pytest.param(RESPONSES, {"model": "gpt-5", "input": "hi"}, id="responses"),
    pytest.param(GEMINI, {"contents": []}, id="gemini"),
]


@pytest.fixture
def payer(server: Server, upstream: Upstream):
    """A caller whose wallet must be untouched after the test, over a server that must still answer."""
    made = server.caller(1000)
    yield made
    assert upstream.requests == []
    valid = server.call(CHAT, {"model": "gpt-5", "messages": []}, server.caller(1000).secret)
    assert valid.status == 200
    server.is_idle(made)
    assert server.balance(made).ledger == 1000_000_000


def assert_refused(answer: raw.Answer, path: str, status: int = 400, kind: str = "invalid_request_error") -> None:
    """The shape of contract 1.4 in the dialect of PATH."""
    assert answer.status == status
    assert answer.get("content-type") == "application/json"
    assert answer.get("request-id") == answer.request_id
    error = answer.error
    assert error["type"] == kind
    assert error["message"]
    assert MARK not in error["message"]
    if "models/" in path or path.endswith("/gemini"):
        assert error["code"] == status
        assert error["status"].isupper()
    else:
        assert answer.json["type"] == "error"
        assert answer.json["request_id"] == answer.request_id
        assert {"code", "param"} <= error.keys()
    if status in (400, 401, 402, 403):
        assert answer.get("x-should-retry") == "false"


BODIES = [
    pytest.param(b"", id="empty"),
    pytest.param(b"{", id="half an object"),
    pytest.param(b"[]", id="a list"),
    pytest.param(b"null", id="null"),
    pytest.param(b'"text"', id="a string"),
    pytest.param(b"{}", id="no model"),
    pytest.param(b'{"model":' + b"[" * 100_000 + b"]" * 100_000 + b"}", id="nested 100,000 deep"),
    pytest.param(b'{"model":"gpt-5","x":' + b'{"a":' * 5_000 + b"1" + b"}" * 5_000 + b"}", id="nested 5,000 deep"),
    pytest.param(b'{"model":"gpt-5","messages":[] } trailing', id="trailing"),
    pytest.param(b'{"model":"gpt-5","messages":[],"a":NaN}', id="NaN"),
    pytest.param(b'{"model":"gpt-5","messages":[],"a":01}', id="leading zero"),
    pytest.param(b'{"model":"gpt-5","messages":["\xff"]}', id="invalid UTF-8 in a value"),
    pytest.param(b'{"model":"gpt-5","messages":[],"\xc3":1}', id="invalid UTF-8 in a key"),
    pytest.param(b'{"model":"\xed\xa0\x80","messages":[]}', id="half a surrogate pair"),
    pytest.param(b'{"model":"gpt-5","messages":["\xc0\x80"]}', id="overlong UTF-8"),
    pytest.param(b'{"model":"gpt-5","messages":["a\x00b"]}', id="a control character"),
    pytest.param(b"\xef\xbb\xbf{}", id="a byte order mark"),
    pytest.param(b"\x1f\x8b\x08\x00zanzibar", id="compressed"),
]


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize(("path", "_valid"), DIALECTS)
def test_bodies_that_are_no_request_get_400(path, _valid, body, server: Server, payer: Caller):
    assert_refused(server.call(path, body, payer.secret), path)


WRONG = [
    pytest.param(CHAT, {"model": 5}, "model", id="model is a number"),
    pytest.param(CHAT, {"model": ""}, "model", id="model is empty"),
    pytest.param(CHAT, {"messages": "hi"}, "messages", id="messages is a string"),
    pytest.param(CHAT, {"messages": None}, "messages", id="messages is null"),
    pytest.param(CHAT, {"stream": "yes"}, "stream", id="stream is a string"),
    pytest.param(CHAT, {"stream": 1}, "stream", id="stream is a number"),
    pytest.param(CHAT, {"max_tokens": -1}, "max_tokens", id="max_tokens is negative"),
    pytest.param(CHAT, {"max_tokens": 1.5}, "max_tokens", id="max_tokens is a fraction"),
    pytest.param(CHAT, {"n": 0}, "n", id="n is zero"),
    pytest.param(CHAT, {"n": "2"}, "n", id="n is a string"),
    pytest.param(CHAT, {"hypereal": 1}, "hypereal", id="hypereal is a number"),
    pytest.param(CHAT, {"intent": []}, "intent", id="intent is a list"),
    pytest.param(CHAT, {"stream": True, "stream_options": 3}, "stream_options", id="stream_options is a number"),
    pytest.param(CHAT, {"service_tier": "ultrafast"}, "service_tier", id="a tier without a price"),
    pytest.param(CHAT, {"modalities": ["text", "audio"]}, "modalities", id="audio output"),
    pytest.param(CHAT, {"tools": "none"}, "tools", id="tools is a string"),
    pytest.param(MESSAGES, {"max_tokens": "many"}, "max_tokens", id="messages: max_tokens is a string"),
    pytest.param(MESSAGES, {"messages": {}}, "messages", id="messages: messages is an object"),
    pytest.param(MESSAGES, {"speed": "fast"}, "speed", id="messages: speed"),
    pytest.param(RESPONSES, {"input": 7}, "input", id="responses: input is a number"),
    pytest.param(RESPONSES, {"background": True}, "background", id="responses: background"),
    pytest.param(RESPONSES, {"tools": [{"type": "image_generation"}]}, "tools", id="responses: a server tool"),
    pytest.param(GEMINI, {"contents": "hi"}, None, id="gemini: contents is a string"),
    pytest.param(GEMINI, {"generationConfig": {"maxOutputTokens": "x"}}, None, id="gemini: maxOutputTokens"),
    pytest.param(GEMINI, {"generationConfig": {"candidateCount": 0}}, None, id="gemini: candidateCount"),
    pytest.param(GEMINI, {"tools": [{"googleSearch": {}}]}, None, id="gemini: search"),
]


@pytest.mark.parametrize(("path", "change", "param"), WRONG)
def test_members_of_a_wrong_type_get_400_that_names_them(path, change, param, server: Server, payer: Caller):
    valid = next(case.values[1] for case in DIALECTS if case.values[0] == path)
    answer = server.call(path, {**valid, **change}, payer.secret)
    assert_refused(answer, path)
    if param is not None:
        assert answer.error["param"] == param


@pytest.mark.parametrize(("path", "valid"), DIALECTS)
def test_unknown_models_get_400_with_those_of_the_endpoint(path, valid, server: Server, payer: Caller):
    path = path.replace("gemini-2.5-flash", "no-such-model")
    answer = server.call(path, {**valid, "model": "no-such-model"}, payer.secret)
    assert_refused(answer, path)
    available = answer.error["available_models"]
    assert available == sorted(available)
    assert ("claude-opus-4-6" in available) == (path == MESSAGES)


@pytest.mark.parametrize("path", [CHAT, RESPONSES])
def test_claude_elsewhere_than_on_messages_gets_400_that_names_it(path, server: Server, payer: Caller):
    answer = server.call(path, {"model": "claude-opus-4-6", "messages": [], "input": ""}, payer.secret)
    assert_refused(answer, path)
    assert "/v1/messages" in answer.error["message"]


@pytest.mark.parametrize(
    ("model", "route"),
    [("nano_banana", "/v1/images/generations"), ("audio-tts", "/v1/audio/generations"), ("kling-v3", "/v1/videos")],
)
def test_media_models_on_a_chat_route_get_400_that_names_theirs(model, route, server: Server, payer: Caller):
    answer = server.call(CHAT, {"model": model, "messages": []}, payer.secret)
    assert_refused(answer, CHAT)
    assert route in answer.error["message"]


def test_a_chat_body_on_the_responses_route_gets_400_that_names_chat(server: Server, payer: Caller):
    answer = server.call(RESPONSES, {"model": "gpt-5", "messages": []}, payer.secret)
    assert_refused(answer, RESPONSES)
    assert CHAT in answer.error["message"]


# -- too much ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("path", "valid"), DIALECTS)
def test_bodies_over_the_limit_get_413(path, valid, server: Server, payer: Caller):
    body = json.dumps({**valid, "x": MARK * (BODY_BYTES_MAX // len(MARK))}).encode()
    with raw.Raw(server.url) as connection:
        connection.send(raw.request("POST", path, body, payer.secret)[: 64 * 1024])
        assert_refused(connection.answer(), path, 413, "request_too_large")


def test_chunked_bodies_over_the_limit_get_413(server: Server, payer: Caller):
    with raw.Raw(server.url) as connection:
        connection.send(
            b"POST %s HTTP/1.1\r\nhost: a\r\nauthorization: Bearer %s\r\ntransfer-encoding: chunked\r\n\r\n"
            % (CHAT.encode(), payer.secret.encode())
        )
        piece = b"%x\r\n%s\r\n" % (64 * 1024, b"x" * 64 * 1024)
        for _ in range(BODY_BYTES_MAX // (64 * 1024) + 1):
            connection.send(piece)
        assert_refused(connection.answer(), CHAT, 413, "request_too_large")


@pytest.mark.parametrize(
    ("extra", "status"),
    [
        pytest.param(b"x: " + b"a" * 70_000 + b"\r\n", 431, id="a field of 70,000 bytes"),
        pytest.param(b"x: 1\r\n" * 20_000, 431, id="20,000 fields"),
    ],
)
def test_heads_over_the_limit_get_431(extra, status, server: Server, payer: Caller):
    with raw.Raw(server.url) as connection:
        connection.send(b"POST %s HTTP/1.1\r\nhost: a\r\n" % CHAT.encode() + extra + b"\r\n")
        answer = connection.answer()
        assert_refused_malformed(answer, status)


# -- malformed heads ---------------------------------------------------------------------------------------------------


def assert_refused_malformed(answer: raw.Answer, status: int) -> None:
    assert answer.status == status
    assert answer.error["type"] in ("invalid_request_error", "request_too_large")
    assert answer.get("connection") == "close"


POST = b"POST /v1/chat/completions HTTP/1.1\r\n"
HEADS = [
    pytest.param(b"GARBAGE\r\n\r\n", 400, id="garbage"),
    pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400, id="a TLS hello"),
    pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, id="HTTP/2"),
    pytest.param(POST + b"host: a\r\ncontent-length: 2\r\ncontent-length: 2\r\n\r\n{}", 400, id="two lengths"),
    pytest.param(POST + b"host: a\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}", 400, id="two unlike lengths"),
    pytest.param(POST + b"host: a\r\ncontent-length: +2\r\n\r\n{}", 400, id="a signed length"),
    pytest.param(POST + b"host: a\r\ncontent-length: 0x2\r\n\r\n{}", 400, id="a length in hex"),
    pytest.param(POST + b"host: a\r\ncontent-length: 2, 2\r\n\r\n{}", 400, id="a list of lengths"),
    pytest.param(
        POST + b"host: a\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        400,
        id="length and chunks",
    ),
    pytest.param(POST + b"host: a\r\ntransfer-encoding: gzip\r\n\r\n", 501, id="an unknown coding"),
    pytest.param(POST + b"host: a\r\ntransfer-encoding: chunked, chunked\r\n\r\n", 501, id="chunked twice"),
    pytest.param(POST + b"\r\n", 400, id="no host"),
    pytest.param(POST + b"host: a\r\nhost: b\r\n\r\n", 400, id="two hosts"),
    pytest.param(POST + b"host: a\r\nx: 1\r\n folded\r\n\r\n", 400, id="a folded field"),
    pytest.param(POST + b"host: a\r\nx : 1\r\n\r\n", 400, id="a space before the colon"),
    pytest.param(POST + b"host: a\nx: 1\r\n\r\n", 400, id="a bare LF"),
    pytest.param(POST + b"host: a\rx: 1\r\n\r\n", 400, id="a bare CR"),
    pytest.param(POST + b"host: a\r\nx: \x00\r\n\r\n", 400, id="a NUL"),
    pytest.param(b"POST http://a/v1/models HTTP/1.1\r\nhost: a\r\n\r\n", 400, id="an absolute target"),
    pytest.param(b"POST /v1/a b HTTP/1.1\r\nhost: a\r\n\r\n", 400, id="a space in the target"),
    pytest.param(POST + b"host: a\r\nexpect: 200-ok\r\n\r\n", 417, id="an unknown expectation"),
]


@pytest.mark.parametrize(("head", "status"), HEADS)
def test_malformed_heads_are_refused_and_the_connection_closed(head, status, server: Server, payer: Caller):
    with raw.Raw(server.url) as connection:
        connection.send(head)
        assert_refused_malformed(connection.answer(), status)
        assert connection.is_closed()


@pytest.mark.parametrize(
    "chunks",
    [
        pytest.param(b"+2\r\n{}\r\n0\r\n\r\n", id="a signed size"),
        pytest.param(b"2\r\n{}0\r\n\r\n", id="no CRLF after a chunk"),
        pytest.param(b"xyz\r\n{}\r\n0\r\n\r\n", id="no size"),
        pytest.param(b"fffffffff\r\n{}\r\n0\r\n\r\n", id="a size of nine digits"),
    ],
)
def test_bad_chunks_get_400(chunks, server: Server, payer: Caller):
    with raw.Raw(server.url) as connection:
        key = payer.secret.encode()
        connection.send(POST + b"host: a\r\nx-api-key: %s\r\ntransfer-encoding: chunked\r\n\r\n" % key + chunks)
        assert connection.answer().status == 400
        assert connection.is_closed()


def test_a_refused_body_never_runs_as_the_next_request(server: Server, payer: Caller):
    smuggled = raw.request("POST", CHAT, {"model": "gpt-5", "messages": []}, payer.secret)
    with raw.Raw(server.url) as connection:
        connection.send(raw.request("POST", CHAT, smuggled))  # no key: answered before the body is read
        assert connection.answer().status == 401
        connection.send(b"")
        connection.post("/v1/responses", {}, payer.secret)
        assert connection.answer().error["type"] == "invalid_request_error"


def test_a_client_that_leaves_in_its_body_harms_nobody(server: Server, payer: Caller):
    parts = urlsplit(server.url)
    for cut in (1, 100, 180, 220):
        with socket.create_connection((parts.hostname, parts.port)) as connection:
            connection.sendall(raw.request("POST", CHAT, {"model": "gpt-5", "messages": ["x"]}, payer.secret)[:cut])


# -- keys --------------------------------------------------------------------------------------------------------------

KEYS = [
    pytest.param("", id="none"),
    pytest.param("sk-something", id="another service's"),
    pytest.param("ck_short", id="too short"),
    pytest.param("ck_" + "A" * 64, id="upper case"),
    pytest.param("ck_" + "g" * 64, id="not hex"),
    pytest.param("ck_" + "0" * 65, id="too long"),
    pytest.param("ck_" + "0" * 64, id="unknown"),
    pytest.param("ck_\xff\xfe", id="not ASCII"),
]


@pytest.mark.parametrize(("path", "valid"), DIALECTS)
@pytest.mark.parametrize("key", KEYS)
def test_keys_that_are_none_of_ours_get_401(key, path, valid, server: Server, upstream: Upstream):
    assert_refused(server.call(path, valid, key), path, 401, "authentication_error")
    assert upstream.requests == []
