"""What upstreams do wrong: the next target answers, or the caller gets one clean error and pays nothing."""

import gzip

import pytest
from tests.contract.gateway.test_bad_input import assert_refused
from tests.support import upstream as scripts
from tests.support import vendors
from tests.support.server import MARK, UPSTREAM_KEY, Caller, Server
from tests.support.upstream import Do, Upstream, chunk

from hypereal.kit.ids import new_id

CHAT, MESSAGES, RESPONSES = "/v1/chat/completions", "/v1/messages", "/v1/responses"
GEMINI = "/v1beta/models/one-target:generateContent"
BODY = {"model": "one-target", "messages": [{"role": "user", "content": MARK}]}
DIALECTS = [
    pytest.param(CHAT, BODY, vendors.chat_answer, vendors.chat_events, id="chat"),
    pytest.param(MESSAGES, {**BODY, "max_tokens": 9}, vendors.messages_answer, vendors.messages_events, id="messages"),
    pytest.param(
        RESPONSES,
        {"model": "one-target", "input": MARK},
        vendors.responses_answer,
        vendors.responses_events,
        id="responses",
    ),
    pytest.param(GEMINI, {"contents": []}, vendors.gemini_answer, vendors.gemini_events, id="gemini"),
]
SSE_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
JSON_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
SENDS_MAX = 4
"""Two tries, each sent once more where it went over a connection that had been idle and was cut without a byte."""
HTML = b"<!DOCTYPE html><html><body>502 Bad Gateway " + UPSTREAM_KEY.encode() + b"</body></html>"
SAYS_KEY = f"Incorrect API key provided: {UPSTREAM_KEY}. See https://vendor.example"


def streaming(path: str, body: dict) -> tuple[str, dict]:
    """The same call as a stream."""
    if path == GEMINI:
        return "/v1beta/models/one-target:streamGenerateContent?alt=sse", body
    return path, {**body, "stream": True}


def without_report(answer: dict) -> dict:
    """A Messages answer without what it says of the cache."""
    return {name: value for name, value in answer.items() if name != "hypereal"}


@pytest.fixture
def payer(server: Server):
    """A caller whose wallet must be untouched after the test."""
    made = server.caller(1000)
    yield made
    server.is_idle(made)
    assert server.balance(made).ledger == 1000_000_000


FAILURES = [
    pytest.param(scripts.plain({"error": {"message": "x", "type": "server_error"}}, 500), 502, id="OpenAI 500"),
    pytest.param(scripts.plain(HTML, 502, content_type="text/html"), 502, id="HTML 502"),
    pytest.param(scripts.plain(HTML, 200, content_type="text/html"), 502, id="HTML 200"),
    pytest.param(scripts.plain(b"", 200), 502, id="empty 200"),
    pytest.param(scripts.plain(b"[1, 2", 200), 502, id="half JSON"),
    pytest.param(scripts.plain(b"", 503), 503, id="empty 503"),
    pytest.param(scripts.plain({"error": {"message": "slow down"}}, 429), 503, id="429"),
    pytest.param(scripts.plain({"error": {"message": "slow down"}}, 429, "retry-after: 1"), 503, id="429 Retry-After"),
    pytest.param(
        scripts.plain({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, 529),
        503,
        id="Anthropic 529",
    ),
    pytest.param(
        scripts.plain([{"error": {"code": 503, "message": "x", "status": "UNAVAILABLE"}}], 503), 503, id="Google 503"
    ),
    pytest.param(scripts.plain({"error": {"message": SAYS_KEY, "code": "invalid_api_key"}}, 401), 502, id="401"),
    pytest.param(scripts.plain({"error": {"message": SAYS_KEY}}, 403), 502, id="403"),
    pytest.param(scripts.plain({"error": {"message": "no balance"}}, 402), 502, id="402"),
    pytest.param(scripts.plain({"error": {"message": "no such model up-first"}}, 404), 502, id="404"),
    pytest.param(scripts.plain({"base_resp": {"status_code": 1002, "status_msg": "x"}}), 502, id="MiniMax in 200"),
    pytest.param(scripts.plain({"error": {"message": "x", "code": 500}}), 502, id="error in 200"),
    pytest.param(scripts.plain({"error": "text", "code": "x"}), 502, id="xAI in 200"),
    pytest.param(scripts.plain(b"", 302, "location: http://127.0.0.1/"), 502, id="a redirect"),
    pytest.param(scripts.raw(Do.CUT), 502, id="cut before the head"),
    pytest.param(scripts.raw(b"HTTP/1.1 200", Do.CUT), 502, id="cut in the head"),
    pytest.param(scripts.raw(JSON_HEAD + b"content-length: 50\r\n\r\n{", Do.CLOSE), 502, id="cut in the body"),
    pytest.param(scripts.raw(b"SSH-2.0-OpenSSH_9\r\n\r\n", Do.CLOSE), 502, id="not HTTP"),
    pytest.param(scripts.raw(JSON_HEAD + b"content-length: 2\r\ncontent-length: 3\r\n\r\n{}"), 502, id="two lengths"),
    pytest.param(scripts.raw(JSON_HEAD + b"transfer-encoding: chunked\r\n\r\n+5\r\n"), 502, id="a bad chunk size"),
    pytest.param(scripts.raw(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n"), 502, id="101"),
    pytest.param(scripts.plain(b"\x1f\x8b\x08garbage", 200, "content-encoding: gzip"), 502, id="bad gzip"),
    pytest.param(scripts.raw(SSE_HEAD + b"0\r\n\r\n"), 502, id="an empty stream"),
    pytest.param(scripts.stream([vendors.event({"error": {"message": "x"}})]), 502, id="an error as first event"),
]


ASKED_ONCE = ("-401-", "-403-", "-402-", "-404-", "-a redirect-")
"""What the same target would say again."""


@pytest.mark.parametrize(("path", "body", "_answer", "_events"), DIALECTS)
@pytest.mark.parametrize(("script", "status"), FAILURES)
@pytest.mark.parametrize("is_stream", [False, True], ids=["plain", "stream"])
def test_one_clean_error_where_every_target_fails(
    is_stream, script, status, path, body, _answer, _events, request, server: Server, upstream: Upstream, payer: Caller
):
    upstream.answer("up-first", *[script] * SENDS_MAX)
    if is_stream:
        path, body = streaming(path, body)
    answer = server.call(path, body, payer.secret)
    assert_refused(answer, path, status, {502: "api_error", 503: "overloaded_error"}[status])
    assert UPSTREAM_KEY not in str(answer)
    assert "<" not in answer.error["message"]
    assert "up-first" not in answer.error["message"]
    assert (answer.get("retry-after") is not None) == (status == 503)
    row = server.usage(answer.request_id)
    attempts = 1 if any(name in request.node.name for name in ASKED_ONCE) else 2
    assert (row["status"], row["charged"], row["attempts"]) == (status, 0, attempts)


CALLERS_FAULT = [
    pytest.param({"error": {"message": "bad 'x'", "type": "invalid_request_error", "code": "bad_x"}}, 400, id="OpenAI"),
    pytest.param({"type": "error", "error": {"type": "invalid_request_error", "message": "bad 'x'"}}, 400, id="ant"),
    pytest.param({"error": {"code": 400, "message": "bad 'x'", "status": "INVALID_ARGUMENT"}}, 400, id="Google"),
    pytest.param({"code": "X", "message": "bad 'x'", "request_id": "r"}, 400, id="DashScope"),
    pytest.param({"code": "X", "error": "bad 'x'"}, 400, id="xAI"),
    pytest.param({"error": {"message": "bad 'x'"}}, 422, id="422"),
    pytest.param({"detail": "bad 'x'"}, 400, id="FastAPI"),
]


@pytest.mark.parametrize(("path", "body", "_answer", "_events"), DIALECTS)
@pytest.mark.parametrize(("said", "status"), CALLERS_FAULT)
def test_what_is_the_callers_fault_is_told_at_once(
    said, status, path, body, _answer, _events, server: Server, upstream: Upstream, payer: Caller
):
    upstream.answer("up-first", scripts.plain(said, status))
    answer = server.call(path, body, payer.secret)
    assert_refused(answer, path)
    assert "bad 'x'" in answer.error["message"]
    assert len(upstream.requests) == 1


def test_too_large_for_the_upstream_is_413(server: Server, upstream: Upstream, payer: Caller):
    upstream.answer("up-first", scripts.plain({"error": {"message": "too big"}}, 413))
    assert_refused(server.call(CHAT, BODY, payer.secret), CHAT, 413, "request_too_large")


# -- the chain ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "script",
    [
        scripts.plain(b"", 500),
        scripts.plain({"error": {"message": "x"}}, 429),
        scripts.raw(Do.CUT),
        scripts.stream([vendors.event({"error": {"message": "x", "code": 529}})]),
    ],
    ids=["500", "429", "cut", "error in the first event"],
)
@pytest.mark.parametrize("is_stream", [False, True], ids=["plain", "stream"])
def test_the_next_target_answers(is_stream, script, server: Server, upstream: Upstream, caller: Caller):
    body = {**BODY, "model": "two-targets"}  # each user is a conversation of its own, which stays where it was
    server.call(CHAT, {**body, "user": new_id("u")}, caller.secret)  # a success closes the circuit breaker
    upstream.reset()
    upstream.answer("up-first", *[script] * SENDS_MAX)
    answer = server.call(CHAT, {**body, "stream": is_stream, "user": new_id("u")}, caller.secret)
    assert answer.status == 200
    assert answer.get("x-hypereal-provider") == "second"
    assert upstream.requests[-1].model == "up-second"
    row = server.usage(answer.request_id)
    assert (row["provider"], row["target"], row["attempts"]) == ("second", "up-second", 3)


def test_a_target_gets_a_second_chance(server: Server, upstream: Upstream, caller: Caller):
    upstream.answer("up-first", scripts.plain(b"", 500))
    answer = server.call(CHAT, {**BODY, "model": "two-targets", "user": new_id("u")}, caller.secret)
    assert answer.get("x-hypereal-provider") == "first"


def test_a_target_that_refuses_connections_is_passed_over(server: Server, upstream: Upstream, caller: Caller):
    answer = server.call(CHAT, {**BODY, "model": "closed-then-second"}, caller.secret)
    assert (answer.status, answer.get("x-hypereal-provider")) == (200, "second")


def test_a_model_without_a_reachable_target_is_502(server: Server, payer: Caller):
    answer = server.call(CHAT, {**BODY, "model": "closed-only"}, payer.secret)
    assert_refused(answer, CHAT, 502, "api_error")
    assert "127.0.0.1" not in answer.error["message"]


def test_an_idle_connection_that_the_upstream_closed_is_no_failure(server: Server, upstream: Upstream, caller: Caller):
    good = scripts.plain(vendors.chat_answer())
    upstream.answer("up-first", [*good, Do.CLOSE], good)
    for _ in range(2):
        answer = server.call(CHAT, BODY, caller.secret)
        assert server.usage(answer.request_id)["attempts"] == 1


# -- odd but right -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("path", "body", "whole", "_events"), DIALECTS)
def test_interim_answers_are_skipped(path, body, whole, _events, server: Server, upstream: Upstream, caller: Caller):
    interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n"
    upstream.answer("up-first", [interim, *scripts.plain(whole())])
    assert without_report(server.call(path, body, caller.secret).json) == whole()


@pytest.mark.parametrize(("path", "body", "whole", "events"), DIALECTS)
def test_gzip_that_nobody_asked_for_is_undone(
    path, body, whole, events, server: Server, upstream: Upstream, caller: Caller
):
    zipped = gzip.compress(vendors.encode(whole()))
    upstream.answer("up-first", scripts.plain(zipped, 200, "content-encoding: gzip"))
    assert without_report(server.call(path, body, caller.secret).json) == whole()
    zipped = gzip.compress(b"".join(events()))
    upstream.answer("up-first", scripts.stream([zipped[:40], zipped[40:]], "content-encoding: gzip"))
    path, body = streaming(path, body)
    assert b"".join(events()[1:2]) in server.call(path, body, caller.secret).body


@pytest.mark.parametrize(("path", "body", "whole", "_events"), DIALECTS)
def test_bytes_after_the_end_go_nowhere(path, body, whole, _events, server: Server, upstream: Upstream, caller: Caller):
    extra = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil"
    for _ in range(2):
        upstream.answer("up-first", [b"".join(scripts.plain(whole())) + extra])
        assert without_report(server.call(path, body, caller.secret).json) == whole()


@pytest.mark.parametrize(("path", "body", "whole", "events"), DIALECTS)
def test_a_stream_where_json_was_asked_for_is_folded(
    path, body, whole, events, server: Server, upstream: Upstream, caller: Caller
):
    upstream.answer("up-first", scripts.stream(events()))
    answer = server.call(path, body, caller.secret)
    assert answer.get("content-type") == "application/json"
    assert answer.get("x-hypereal-cost-credits") is not None
    folded = answer.json
    for name in ("usage", "usageMetadata", "content", "output"):
        assert folded.get(name) == whole().get(name)
    if path == CHAT:
        assert folded["choices"][0]["message"]["content"] == whole()["choices"][0]["message"]["content"]
    if path == GEMINI:
        assert "".join(part["text"] for part in folded["candidates"][0]["content"]["parts"]) == "".join(vendors.TEXT)


@pytest.mark.parametrize(("path", "body", "whole", "events"), DIALECTS)
def test_json_where_a_stream_was_asked_for_is_unfolded(
    path, body, whole, events, server: Server, upstream: Upstream, caller: Caller
):
    upstream.answer("up-first", scripts.plain(whole()))
    path, body = streaming(path, body)
    answer = server.call(path, body, caller.secret)
    assert answer.get("content-type").startswith("text/event-stream")
    assert "".join(vendors.TEXT) in answer.body.decode()
    assert not server.usage(answer.request_id)["is_estimated"]


@pytest.mark.parametrize("content_type", ["text/plain", "application/octet-stream", "application/json; charset=utf-8"])
def test_json_under_another_content_type_is_taken(content_type, server: Server, upstream: Upstream, caller: Caller):
    upstream.answer("up-first", scripts.plain(vendors.chat_answer(), content_type=content_type))
    answer = server.call(CHAT, BODY, caller.secret)
    assert answer.get("content-type") == "application/json"
    assert answer.json == vendors.chat_answer()


def test_an_early_refusal_while_the_body_is_still_sent_is_read(server: Server, upstream: Upstream, payer: Caller):
    refusal = scripts.plain({"error": {"message": "too big"}}, 413, "connection: close")
    upstream.answer_head([*refusal, Do.READ_BODY, Do.CLOSE])
    big = {**BODY, "x": "y" * 3_000_000}
    assert_refused(server.call(CHAT, big, payer.secret), CHAT, 413, "request_too_large")


def test_an_upstream_that_reads_the_body_late_gets_it_whole(server: Server, upstream: Upstream, caller: Caller):
    gate = upstream.gate()
    upstream.answer_head([gate, Do.READ_BODY, *scripts.plain(vendors.chat_answer())])
    gate.open()
    big = {**BODY, "x": "y" * 3_000_000}
    assert server.call(CHAT, big, caller.secret).status == 200
    assert upstream.request().json == {**big, "model": "up-first"}


def test_trailers_and_chunk_extensions_are_taken(server: Server, upstream: Upstream, caller: Caller):
    body = vendors.encode(vendors.chat_answer())
    extended = chunk(body).replace(b"\r\n", b";a=b\r\n", 1)
    head = JSON_HEAD + b"transfer-encoding: chunked\r\n\r\n"
    upstream.answer("up-first", scripts.raw(head, extended, b"0\r\nx-trailer: 1\r\n\r\n"))
    assert server.call(CHAT, BODY, caller.secret).body == body
