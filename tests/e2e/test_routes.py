"""Where the server answers: every base URL that clients are given, every way to send a key, and what is not served."""

import pytest
from tests.support import vendors
from tests.support.raw import Raw
from tests.support.server import Caller, Server
from tests.support.upstream import Upstream

PREFIXES = ("/v1", "/api/v1", "/v1/v1", "/api/v1/v1")
CHAT = {"model": "gpt-5", "messages": []}
MESSAGES = {"model": "claude-sonnet-4-5-20250929", "messages": [], "max_tokens": 9}
ROUTES = [
    ("/chat/completions", CHAT),
    ("/messages", MESSAGES),
    ("/messages?beta=true", MESSAGES),
    ("/messages/count_tokens", {"model": "claude-opus-5-5", "messages": []}),
    ("/messages/count_tokens?beta=true", {"model": "claude-opus-5-5", "messages": [], "tools": []}),
    ("/responses", {"model": "gpt-5", "input": "hi"}),
    ("/codex/responses", {"model": "gpt-5-codex", "input": "hi"}),
    ("/gemini", {"model": "gemini-2.5-flash", "contents": []}),
    ("/gemini", {"model": "gpt-5", "messages": []}),
]


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize(("route", "body"), ROUTES)
def test_routes_answer_under_every_prefix(prefix, route, body, server: Server, upstream: Upstream, caller: Caller):
    assert server.call(prefix + route, body, caller.secret).status == 200


@pytest.mark.parametrize("prefix", ["/api/v1/gemini", "/api/v1", "/v1/gemini", "/v1", ""])
@pytest.mark.parametrize("version", ["/v1beta", "/v1", "/v1alpha", ""])
@pytest.mark.parametrize("method", ["generateContent", "streamGenerateContent", "countTokens"])
def test_gemini_paths_answer(prefix, version, method, server: Server, upstream: Upstream, caller: Caller):
    path = f"{prefix}{version}/models/gemini-2.5-flash:{method}?alt=sse"
    answer = server.call(path, {"contents": []}, caller.secret)
    assert answer.status == 200
    assert answer.get("content-type").startswith("text/event-stream") == (method == "streamGenerateContent")


def test_gemini_streams_without_sse_are_one_array(server: Server, upstream: Upstream, caller: Caller):
    answer = server.call("/v1beta/models/gemini-2.5-flash:streamGenerateContent", {"contents": []}, caller.secret)
    assert answer.get("content-type") == "application/json"
    assert answer.json[0]["usageMetadata"] == vendors.GEMINI_USAGE


def test_gemini_in_the_body_streams_by_member_or_query(server: Server, upstream: Upstream, caller: Caller):
    body = {"model": "gemini-2.5-flash", "contents": []}
    for path, asked in (("/v1/gemini", {"stream": True}), ("/v1/gemini?alt=sse", {})):
        answer = server.call(path, {**body, **asked}, caller.secret)
        assert answer.body == b"".join(vendors.gemini_events())


@pytest.mark.parametrize("prefix", PREFIXES)
def test_models_are_listed_under_every_prefix(prefix, server: Server, caller: Caller):
    listed = server.call(f"{prefix}/models", b"", caller.secret, method="GET").json
    assert listed["object"] == "list"
    by_id = {model["id"]: model for model in listed["data"]}
    assert by_id["gpt-5"]["price"]["input"] == 50
    assert {"kind", "intents", "context_length", "endpoints"} <= by_id["claude-opus-4-6"].keys()
    one = server.call(f"{prefix}/models/gpt-5", b"", caller.secret, method="GET").json
    assert one == by_id["gpt-5"]


def test_models_have_the_shape_of_the_client(server: Server, caller: Caller):
    path = "/v1/models?limit=1000"
    listed = server.call(path, b"", caller.secret, method="GET", anthropic_version="2023-06-01").json
    assert {"data", "has_more", "first_id", "last_id"} <= listed.keys()
    listed = server.call("/v1beta/models", b"", caller.secret, method="GET").json
    assert all(model["name"].startswith("models/") for model in listed["models"])


def test_an_unknown_model_is_404_where_it_is_the_resource(server: Server, caller: Caller):
    answer = server.call("/v1/models/nothing", b"", caller.secret, method="GET")
    assert (answer.status, answer.error["type"]) == (404, "not_found_error")


# -- keys --------------------------------------------------------------------------------------------------------------

UNKNOWN = "ck_" + "0" * 64


@pytest.mark.parametrize(
    "path", ["/v1/chat/completions", "/v1/messages", "/v1beta/models/gemini-2.5-flash:countTokens"]
)
@pytest.mark.parametrize("way", ["authorization", "x_api_key", "x_goog_api_key", "query"])
def test_every_way_to_send_a_key_works_on_every_route(way, path, server: Server, upstream: Upstream, caller: Caller):
    body = {**(CHAT if "chat" in path else MESSAGES), "contents": []}
    if way == "query":
        answer = server.call(f"{path}?key={caller.secret}", body)
    else:
        prefix = "Bearer " if way == "authorization" else ""
        answer = server.call(path, body, **{way: prefix + caller.secret})
    assert answer.status == 200
    assert caller.secret not in str(upstream.request().head)


@pytest.mark.parametrize(
    ("fields", "query", "status"),
    [
        ({"authorization": "Bearer {good}", "x_api_key": UNKNOWN}, "", 200),
        ({"authorization": f"Bearer {UNKNOWN}", "x_api_key": "{good}"}, "", 401),
        ({"authorization": "Bearer sk-of-another", "x_api_key": "{good}"}, "", 200),
        ({"authorization": "Bearer {good}"}, "?key=AIza-of-another", 200),
        ({"x_api_key": "{good}", "x_goog_api_key": UNKNOWN}, "", 200),
        ({"x_goog_api_key": "{good}"}, f"?key={UNKNOWN}", 200),
        ({"x_goog_api_key": "of-another"}, "?key={good}", 200),
        ({"authorization": "bearer {good}"}, "", 200),
        ({"authorization": "{good}"}, "", 200),
    ],
)
def test_the_first_that_begins_with_ck_decides_alone(fields, query, status, server, upstream, caller: Caller):
    given = {name: value.format(good=caller.secret) for name, value in fields.items()}
    answer = server.call("/v1/chat/completions" + query.format(good=caller.secret), CHAT, **given)
    assert answer.status == status


# -- what browsers and others ask --------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/models", "/api/v1/v1/messages", "/v1/gemini"])
def test_preflights_are_answered_without_a_key(path, server: Server):
    asked = {"access_control_request_method": "POST", "access_control_request_headers": "authorization,content-type"}
    answer = server.call(path, b"", method="OPTIONS", origin="https://app.example", **asked)
    assert answer.status in (200, 204)
    assert answer.get("access-control-allow-origin") == "*"
    assert "POST" in answer.get("access-control-allow-methods")
    assert "authorization" in answer.get("access-control-allow-headers").lower()


@pytest.mark.parametrize("is_stream", [False, True])
def test_browsers_may_read_answers_and_errors(is_stream, server: Server, upstream: Upstream, caller: Caller):
    for key, status in ((caller.secret, 200), ("", 401)):
        body = {**CHAT, "stream": is_stream}
        answer = server.call("/v1/chat/completions", body, key, origin="https://app.example")
        assert answer.status == status
        assert answer.get("access-control-allow-origin") == "*"
        assert "x-request-id" in answer.get("access-control-expose-headers")


@pytest.mark.parametrize("path", ["/v1/responses", "/api/v1/responses", "/v1/codex/responses", "/v1/v1/responses"])
def test_a_websocket_upgrade_gets_426(path, server: Server, caller: Caller):
    fields = {"connection": "Upgrade", "upgrade": "websocket", "sec_websocket_version": "13"}
    answer = server.call(path, b"", caller.secret, method="GET", **fields)
    assert (answer.status, answer.error["type"]) == (426, "invalid_request_error")


def test_another_method_gets_405_that_names_the_right_one(server: Server, caller: Caller):
    for method, path, right in (
        ("GET", "/v1/chat/completions", "POST"),
        ("PUT", "/v1/messages", "POST"),
        ("DELETE", "/v1/models", "GET"),
        ("GET", "/v1beta/models/gemini-2.5-flash:generateContent", "POST"),
    ):
        answer = server.call(path, b"", caller.secret, method=method)
        assert (answer.status, answer.get("allow")) == (405, right)
        assert answer.error["message"]


@pytest.mark.parametrize("path", ["/v1/nothing", "/v1/chat", "/v2/chat/completions", "/v1/messages/x", "/nothing"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_unknown_routes_get_404_as_json(path, method, server: Server, caller: Caller):
    answer = server.call(path, {} if method == "POST" else b"", caller.secret, method=method)
    assert (answer.status, answer.error["type"]) == (404, "not_found_error")
    assert answer.json["request_id"] == answer.request_id


def test_operators_routes_answer(server: Server):
    assert server.call("/healthz", method="GET").json == {"status": "ok"}
    server.wait_for(lambda: server.call("/readyz", method="GET").status == 200, "readiness")
    metrics = server.call("/metrics", method="GET").body.decode()
    assert "hypereal_calls_open" in metrics


# -- connections -------------------------------------------------------------------------------------------------------


def test_calls_share_a_connection_and_may_be_pipelined(server: Server, upstream: Upstream, caller: Caller):
    with Raw(server.url) as connection:
        for _ in range(3):
            connection.post("/v1/chat/completions", CHAT, caller.secret)
            connection.post("/v1/chat/completions", {**CHAT, "stream": True}, caller.secret)
            connection.post("/v1/nothing", {}, caller.secret)
        statuses = [connection.answer().status for _ in range(9)]
    assert statuses == [200, 200, 404] * 3


def test_a_body_in_chunks_and_one_that_is_waited_for(server: Server, upstream: Upstream, caller: Caller):
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\nx-api-key: " + caller.secret.encode() + b"\r\n"
    with Raw(server.url) as connection:
        chunks = b'7\r\n{"model\r\n9;x=y\r\n":"gpt-5"\r\nf\r\n,"messages":[]}\r\n0\r\nt: 1\r\n\r\n'.replace(
            b"f\r\n", b"f\r\n"
        )
        connection.send(head + b"transfer-encoding: chunked\r\n\r\n" + chunks)
        assert connection.answer().status == 200
        body = b'{"model":"gpt-5","messages":[]}'
        connection.send(head + b"expect: 100-continue\r\ncontent-length: %d\r\n\r\n" % len(body))
        assert connection.head().status == 100
        connection.send(body)
        assert connection.answer().status == 200


def test_http_1_0_gets_a_whole_answer_and_the_end(server: Server, upstream: Upstream, caller: Caller):
    body = b'{"model":"gpt-5","messages":[],"stream":true}'
    head = b"POST /v1/chat/completions HTTP/1.0\r\nx-api-key: %s\r\ncontent-length: %d\r\n\r\n"
    with Raw(server.url) as connection:
        connection.send(head % (caller.secret.encode(), len(body)) + body)
        answer = connection.answer()
        assert answer.status == 200
        assert answer.get("content-length") is not None
        assert connection.is_closed()
