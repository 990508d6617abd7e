"""One dialect in and out: an upstream is sent the caller's bytes, and a caller gets the upstream's."""

import re

import pytest
from tests.contract.gateway import bodies
from tests.support import upstream as scripts
from tests.support import vendors
from tests.support.server import UPSTREAM_KEY, Caller, Server
from tests.support.upstream import Upstream

GEMINI_STREAM = "/v1beta/models/gemini-3.1-pro:streamGenerateContent?alt=sse"
AGENTS = [
    pytest.param("/v1/messages?beta=true", bodies.CLAUDE_CODE, vendors.messages_events, id="claude-code"),
    pytest.param("/v1/responses", bodies.CODEX, vendors.responses_events, id="codex"),
    pytest.param("/v1/chat/completions", bodies.OPENCODE, vendors.chat_events, id="opencode"),
    pytest.param(GEMINI_STREAM, bodies.GEMINI_CLI, vendors.gemini_events, id="gemini-cli"),
]
CUTS = [
    pytest.param(scripts.byte_by_byte, id="a byte a chunk"),
    pytest.param(scripts.in_one_chunk, id="all in one chunk"),
    pytest.param(lambda events: scripts.in_pieces(events, 7), id="pieces of 7 bytes"),
    pytest.param(lambda events: scripts.in_pieces(events, 100), id="pieces of 100 bytes"),
    pytest.param(scripts.until_close, id="no framing"),
    pytest.param(scripts.stream, id="an event a chunk"),
]


def without_report(said: bytes) -> bytes:
    """What came, but for the one member that a Messages answer gets where a cache was used (contract 2.2)."""
    return re.sub(rb',"hypereal":\{"cache":\{[^}]*\}\}', b"", said, count=1)


def with_model(body: bytes, model: str) -> bytes:
    return re.sub(rb'"model":"[^"]*"', b'"model":"%s"' % model.encode(), body, count=1)


@pytest.mark.parametrize(("path", "body", "events"), AGENTS)
def test_upstream_gets_the_callers_bytes(path, body, events, server: Server, upstream: Upstream, caller: Caller):
    assert server.call(path, body, caller.secret).status == 200
    sent = upstream.request()
    assert sent.body == with_model(body, sent.model)


@pytest.mark.parametrize(("path", "body", "events"), AGENTS)
@pytest.mark.parametrize("cut", CUTS)
def test_caller_gets_the_upstreams_events(cut, path, body, events, server: Server, upstream: Upstream, caller: Caller):
    for name in ("claude-sonnet-4-6", "gpt-5.3-codex", "gpt-5.4", "gemini-3.1-pro", "gemini-3.1-pro-preview"):
        upstream.answer(name, cut(events()))
    answer = server.call(path, body, caller.secret)
    assert without_report(answer.body) == b"".join(events())
    assert answer.get("content-type").startswith("text/event-stream")
    assert server.usage(answer.request_id)["output_tokens"] == 200


@pytest.mark.parametrize(("path", "body", "events"), AGENTS)
def test_lines_may_end_in_crlf(path, body, events, server: Server, upstream: Upstream, caller: Caller):
    for name in ("claude-sonnet-4-6", "gpt-5.3-codex", "gpt-5.4", "gemini-3.1-pro", "gemini-3.1-pro-preview"):
        upstream.answer(name, scripts.with_crlf(events()))
    answer = server.call(path, body, caller.secret)
    said = [event.strip().rpartition(b"data: ")[2] for event in events()]
    assert [without_report(payload) for payload in answer.payloads] == said
    assert not server.usage(answer.request_id)["is_estimated"]


PLAIN = [
    pytest.param("/v1/chat/completions", "gpt-5.4", {"messages": []}, vendors.chat_answer, id="chat"),
    pytest.param("/v1/responses", "gpt-5.4", {"input": "hi"}, vendors.responses_answer, id="responses"),
    pytest.param(
        "/v1/messages", "claude-opus-4-6", {"messages": [], "max_tokens": 9}, vendors.messages_answer, id="messages"
    ),
    pytest.param("/v1/gemini", "gemini-2.5-flash", {"contents": []}, vendors.gemini_answer, id="gemini"),
]


@pytest.mark.parametrize(("path", "model", "body", "answer"), PLAIN)
def test_plain_answers_pass_byte_for_byte(
    path, model, body, answer, server: Server, upstream: Upstream, caller: Caller
):
    said = b'{ "strange" :1.0, ' + vendors.encode(answer())[1:]
    upstream.answer("gpt-5.4", scripts.plain(said))
    upstream.answer("claude-opus-4-6", scripts.plain(said))
    upstream.answer("gemini-2.5-flash", scripts.plain(said))
    assert without_report(server.call(path, {"model": model, **body}, caller.secret).body) == said


def test_gateways_own_fields_never_reach_an_upstream(server: Server, upstream: Upstream, caller: Caller):
    body = b'{"hypereal":{"cache":"auto"},"a":1.0,"model":"gpt-5","intent":"code","messages":[]}'
    assert server.call("/v1/chat/completions", body, caller.secret).status == 200
    assert upstream.request().body == b'{"a":1.0,"model":"gpt-5","messages":[]}'


def test_usage_is_asked_of_chat_streams(server: Server, upstream: Upstream, caller: Caller):
    body = b'{"model":"gpt-5","messages":[],"stream":true,"stream_options":{"include_obfuscation":false}}'
    server.call("/v1/chat/completions", body, caller.secret)
    assert upstream.request().json["stream_options"] == {"include_obfuscation": False, "include_usage": True}


def test_usage_that_was_not_asked_for_stands_in_the_finish_chunk(server: Server, upstream: Upstream, caller: Caller):
    body = {"model": "gpt-5", "messages": [], "stream": True}
    answer = server.call("/v1/chat/completions", body, caller.secret)
    *before, last = answer.events
    assert all(chunk["choices"] for chunk in answer.events)
    assert [chunk.get("usage") for chunk in before] == [None] * len(before)
    assert last["usage"] == vendors.CHAT_USAGE
    assert answer.payloads[-1] == b"[DONE]"


def test_max_tokens_is_raised_by_a_thinking_budget_that_does_not_fit(
    server: Server, upstream: Upstream, caller: Caller
):
    thinking = {"type": "enabled", "budget_tokens": 10_000}
    body = {"model": "claude-opus-4-6", "max_tokens": 4096, "thinking": thinking, "messages": []}
    server.call("/v1/messages", body, caller.secret)
    assert upstream.request().json == {**body, "max_tokens": 14_096}


def test_only_agreed_fields_of_the_head_go_upstream(server: Server, upstream: Upstream, caller: Caller):
    fields = {
        "anthropic_beta": "a-1,b-2",
        "anthropic_version": "2026-10-21",
        "cookie": "session=1",
        "x_forwarded_for": "10.0.0.1",
        "accept_encoding": "gzip, br",
        "user_agent": "claude-cli/2.1.330 (external, cli)",
        "x_api_key": caller.secret,
    }
    answer = server.call("/v1/messages", bodies.CLAUDE_CODE, **fields)
    assert answer.status == 200
    sent = upstream.request()
    assert dict(sent.fields) == {
        "host": upstream.url.removeprefix("http://"),
        "x-api-key": UPSTREAM_KEY,
        "content-type": "application/json",
        "accept-encoding": "identity",
        "content-length": str(len(sent.body)),
        "anthropic-beta": "a-1,b-2",
        "anthropic-version": "2026-10-21",
    }
    assert server.usage(answer.request_id)["client"] == "claude-cli/2.1.330 (external, cli)"


def test_doubled_members_are_sent_as_they_are_priced(server: Server, upstream: Upstream, caller: Caller):
    body = b'{"model":"claude-opus-4-6","model":"gpt-5.4-nano","messages":[],"n":50,"n":1}'
    assert server.call("/v1/chat/completions", body, caller.secret).status == 200
    assert upstream.request().body == b'{"model":"gpt-5.4-nano","messages":[],"n":1}'


def test_connections_to_an_upstream_are_used_again(server: Server, upstream: Upstream, caller: Caller):
    for _ in range(3):
        server.call("/v1/chat/completions", {"model": "gpt-5", "messages": []}, caller.secret)
    assert len({upstream.request(number).connection for number in range(3)}) == 1
