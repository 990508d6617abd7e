"""`previous_response_id`: an answer is continued by who was given it, where it was given, and by nobody else."""

import json

import pytest
from tests.contract.gateway.test_bad_input import assert_refused
from tests.contract.gateway.test_upstream_faults import SSE_HEAD
from tests.support import upstream as scripts
from tests.support import vendors
from tests.support.server import Caller, Server
from tests.support.upstream import Upstream

PATH = "/v1/responses"


def answer(name: str, *, is_stream: bool) -> scripts.Script:
    body = vendors.encode(vendors.responses_answer()).replace(b"resp_1", name.encode())
    if not is_stream:
        return scripts.plain(body)
    return scripts.stream([event.replace(b"resp_1", name.encode()) for event in vendors.responses_events()])


@pytest.mark.parametrize("is_stream", [False, True], ids=["plain", "stream"])
def test_an_answer_is_continued_by_its_owner_and_nobody_else(is_stream, server: Server, upstream: Upstream):
    name = f"resp_of_owner_{is_stream}"
    owner, other = server.caller(1000), server.caller(1000)
    upstream.answer("gpt-5", answer(name, is_stream=is_stream))
    first = server.call(PATH, {"model": "gpt-5", "input": "x", "stream": is_stream}, owner.secret)
    assert first.status == 200
    follow_up = {"model": "gpt-5", "input": "y", "previous_response_id": name}
    assert server.call(PATH, follow_up, owner.secret).status == 200
    assert upstream.request(1).json["previous_response_id"] == name
    assert_refused(server.call(PATH, follow_up, other.secret), PATH)
    assert server.balance(other) == server.balance(server.caller(1000))


def test_another_process_knows_the_answer_from_the_usage_log(server: Server, upstream: Upstream):
    owner = server.caller(1000)
    upstream.answer("gpt-5", answer("resp_logged", is_stream=False))
    first = server.call(PATH, {"model": "gpt-5", "input": "x"}, owner.secret)
    row = server.usage(first.get("x-hypereal-request-id"))
    assert (row["upstream_id"], row["provider"], row["target"]) == ("resp_logged", "openai", "gpt-5")


@pytest.mark.parametrize("previous", ["resp_nobody", 5, {}, "x" * 5000])
def test_an_unknown_answer_is_refused_and_reaches_no_upstream(previous, server: Server, upstream: Upstream):
    owner = server.caller(1000)
    body = {"model": "gpt-5", "input": "y", "previous_response_id": previous}
    assert_refused(server.call(PATH, body, owner.secret), PATH)
    assert server.call(PATH, {**body, "previous_response_id": None}, owner.secret).status == 200


def test_a_keyed_refusal_tells_the_quota(server: Server, caller: Caller):
    refused = server.call(PATH, {"model": "no-such-model", "input": "x"}, caller.secret)
    assert refused.status == 400
    assert {"x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"} <= {name for name, _ in refused.fields}


def test_a_bad_upstream_key_is_not_tried_twice(server: Server, upstream: Upstream, caller: Caller):
    refusal = scripts.plain({"error": {"message": "bad key"}}, 401)
    upstream.answer("up-first", refusal, refusal)
    assert server.call(PATH, {"model": "one-target", "input": "x"}, caller.secret).status == 502
    assert len(upstream.requests) == 1


def test_an_empty_account_is_no_overload(server: Server, upstream: Upstream, caller: Caller):
    refusal = scripts.plain({"error": {"message": "You ran out.", "code": "insufficient_quota"}}, 429)
    upstream.answer("up-first", refusal, refusal)
    answer = server.call(PATH, {"model": "one-target", "input": "x"}, caller.secret)
    assert (answer.status, len(upstream.requests)) == (502, 1)
    assert [one["status"] for one in json.loads(server.usage(answer.request_id)["tried"])] == [429]


def test_a_comment_before_the_first_event_is_no_answer_yet(server: Server, upstream: Upstream, caller: Caller):
    upstream.answer("up-first", *[scripts.raw(SSE_HEAD + scripts.chunk(b": wait\n\n"), scripts.Do.CUT)] * 2)
    body = {"model": "two-targets", "messages": [], "stream": True}
    streamed = server.call("/v1/chat/completions", body, caller.secret)
    assert streamed.status == 200
    assert b"[DONE]" in streamed.body


def test_a_caller_may_ask_for_the_stream_of_an_upstream_that_always_streams(
    server: Server, upstream: Upstream, caller: Caller
):
    upstream.answer("gpt-5", answer("resp_streamed", is_stream=True), answer("resp_streamed", is_stream=True))
    body = {"model": "gpt-5", "input": "x"}
    folded = server.call(PATH, body, caller.secret)
    assert folded.json["id"] == "resp_streamed"
    kept = server.call(PATH, body, caller.secret, **{"x-hypereal-always-stream": "true"})
    assert (kept.status, kept.get("content-type")) == (200, "text/event-stream; charset=utf-8")
