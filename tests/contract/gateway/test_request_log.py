"""What a row of the request log says of a call that went through the whole server."""

import json

import pytest
from tests.support.server import Caller, Server
from tests.support.upstream import Upstream

CHAT = {"model": "one-target", "messages": [{"role": "user", "content": "hi"}]}
MESSAGES = {"model": "one-target", "max_tokens": 50, "messages": [{"role": "user", "content": "hi"}]}


def row_of(server: Server, caller: Caller, path: str, body: dict[str, object], **fields: str):
    answer = server.call(path, body, caller.secret, **fields)
    return server.usage(answer.get("x-request-id") or "")


def test_the_callers_own_tags_are_kept_and_the_upstream_gets_its_share(
    server: Server, upstream: Upstream, caller: Caller
):
    body = CHAT | {"user": "ada", "metadata": {"team": "blue", "nul": "a\0b"}}
    row = row_of(server, caller, "/v1/chat/completions", body, x_hypereal_app="cli\xe9")
    assert (row["end_user"], row["app"]) == ("ada", "cli\xe9")
    assert json.loads(row["metadata"]) == {"team": "blue", "nul": "a\ufffdb"}
    (sent,) = upstream.requests
    assert sent.json["user"] == "ada"
    assert sent.get("x-hypereal-app") is None


def test_messages_callers_are_known_by_their_user_id(server: Server, upstream: Upstream, caller: Caller):
    row = row_of(server, caller, "/v1/messages", MESSAGES | {"metadata": {"user_id": "user_7"}})
    assert (row["end_user"], row["metadata"], row["app"]) == ("user_7", None, None)


def test_a_refused_call_keeps_its_tags_too(server: Server, upstream: Upstream, caller: Caller):
    row = row_of(
        server, caller, "/v1/chat/completions", CHAT | {"model": "no-such", "user": "ada"}, x_hypereal_app="cli"
    )
    assert (row["status"], row["end_user"], row["app"]) == (400, "ada", "cli")
    assert (row["price_version"], row["upstream_cost"]) == (None, None)


def test_the_price_is_named_and_what_the_vendor_takes_is_unknown_until_it_is_told(
    server: Server, upstream: Upstream, caller: Caller
):
    row = row_of(server, caller, "/v1/chat/completions", CHAT)
    assert len(row["price_version"]) == 12
    assert row["upstream_cost"] is None


@pytest.mark.parametrize(("tier", "percent"), [("default", 100), ("priority", 200)])
def test_what_the_vendor_takes_is_kept_beside_what_we_take(
    server: Server, upstream: Upstream, caller: Caller, tier: str, percent: int
):
    row = row_of(server, caller, "/v1/chat/completions", CHAT | {"model": "with-cost", "service_tier": tier})
    assert row["cost"] == 2 * row["upstream_cost"] > 0
    tokens = row["input_tokens"] + 10 * row["output_tokens"] + row["cache_read_tokens"] // 10
    assert row["upstream_cost"] == pytest.approx(tokens * 50 * percent / 100, rel=0.01)
