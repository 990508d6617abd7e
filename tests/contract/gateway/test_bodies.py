"""Bodies of calls over the whole server: only of keys that ask, in every format, streamed or not, for their owner."""

import base64
import json
from typing import Any

import pytest
from tests.contract.gateway.test_upstream_faults import DIALECTS, streaming
from tests.support import upstream as scripts
from tests.support import vendors
from tests.support.server import Caller, Server
from tests.support.upstream import Upstream

BOTH = frozenset({"inference", "account"})
CHAT = "/v1/chat/completions"
SECRET = "sk-proj-0123456789abcdefghij"


@pytest.fixture(scope="module")
def keeper(server: Server) -> Caller:
    return server.caller(1_000_000, scopes=BOTH, log_bodies=True)


def told(server: Server, caller: Caller, request_id: str | None) -> Any:
    """The call, waited for until its row is there; its bodies come a moment later."""
    assert request_id is not None
    server.usage(request_id)
    answer = server.call(f"/api/api-usage/{request_id}", b"", caller.secret, method="GET")
    assert answer.status == 200, answer.body
    return answer.json


def bodies(server: Server, caller: Caller, request_id: str | None) -> dict[str, Any]:
    found: dict[str, Any] = server.wait_for(lambda: told(server, caller, request_id)["bodies"], "bodies")
    return found


@pytest.mark.parametrize(("path", "body", "answer", "events"), DIALECTS)
@pytest.mark.parametrize("is_stream", [False, True])
def test_what_was_asked_and_answered_is_kept_in_every_format(
    is_stream, path, body, answer, events, server: Server, upstream: Upstream, keeper: Caller
):
    if is_stream:
        path, body = streaming(path, body)
    got = server.call(path, body, keeper.secret)
    assert got.status == 200
    kept = bodies(server, keeper, got.get("x-request-id"))
    assert json.loads(kept["request"]) == body
    assert kept["response"] == got.body.decode()
    assert (kept["requestIsCut"], kept["responseIsCut"]) == (False, False)
    assert "Welt" in kept["response"]


def test_over_a_bridge_it_is_what_the_caller_got(server: Server, upstream: Upstream, keeper: Caller):
    body = {"model": "chat-only", "max_tokens": 50, "stream": True, "messages": [{"role": "user", "content": "hi"}]}
    got = server.call("/v1/messages", body, keeper.secret)
    kept = bodies(server, keeper, got.get("x-request-id"))
    assert kept["response"] == got.body.decode()
    assert "message_stop" in kept["response"]


def test_refusals_and_broken_streams_are_kept_as_they_were_told(server: Server, upstream: Upstream, keeper: Caller):
    got = server.call(CHAT, {"model": "no-such"}, keeper.secret)
    assert got.status == 400
    assert bodies(server, keeper, got.get("x-request-id"))["response"] == got.body.decode()
    upstream.answer("up-first", scripts.stream([*vendors.chat_events()[:2], scripts.Do.CUT], ends=False))
    got = server.call(CHAT, {"model": "one-target", "stream": True, "messages": []}, keeper.secret)
    kept = bodies(server, keeper, got.get("x-request-id"))
    assert kept["response"] == got.body.decode()
    assert "error" in kept["response"]


def test_credentials_and_media_are_not_kept_and_the_vendor_gets_them_all_the_same(
    server: Server, upstream: Upstream, keeper: Caller
):
    image = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(300_000)).decode()
    parts = [
        {"type": "text", "text": f"my key is {SECRET}, hi"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{image}"}},
    ]
    got = server.call(CHAT, {"model": "one-target", "messages": [{"role": "user", "content": parts}]}, keeper.secret)
    kept = bodies(server, keeper, got.get("x-request-id"))
    assert json.loads(kept["request"])["messages"][0]["content"] == [
        {"type": "text", "text": "my key is [redacted], hi"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,[image/png, 300008 bytes, not kept]"}},
    ]
    assert upstream.requests[-1].json["messages"][0]["content"] == parts


def test_long_bodies_are_cut_and_say_so(server: Server, upstream: Upstream, keeper: Caller):
    words = "word " * 300_000
    upstream.answer("up-first", scripts.plain(vendors.chat_answer(words)))
    got = server.call(CHAT, {"model": "one-target", "messages": [{"role": "user", "content": words}]}, keeper.secret)
    assert got.status == 200
    kept = bodies(server, keeper, got.get("x-request-id"))
    assert (kept["requestIsCut"], kept["responseIsCut"]) == (True, True)
    assert kept["request"].endswith("characters are kept]")
    assert len(kept["request"]) < 300_000


def test_of_other_keys_nothing_is_kept_and_their_calls_are_shown_without(server: Server, upstream: Upstream):
    plain = server.caller(scopes=BOTH)
    got = server.call(CHAT, {"model": "one-target", "messages": []}, plain.secret)
    call = told(server, plain, got.get("x-request-id"))
    assert (call["id"], call["status"], call["bodies"]) == (got.get("x-request-id"), 200, None)
    assert not server.query("SELECT FROM bodies WHERE owner_id = $1", plain.owner_id)


def test_nobody_else_sees_a_call(server: Server, upstream: Upstream, keeper: Caller):
    got = server.call(CHAT, {"model": "one-target", "messages": []}, keeper.secret)
    request_id = got.get("x-request-id")
    bodies(server, keeper, request_id)
    path = f"/api/api-usage/{request_id}"
    assert server.call(path, b"", server.caller(scopes=BOTH).secret, method="GET").status == 404
    assert server.call(path, b"", server.caller().secret, method="GET").status == 403
    assert server.call(path, b"", method="GET").status == 401
    assert server.call("/api/api-usage/req_none", b"", keeper.secret, method="GET").status == 404
    assert server.call("/api/api-usage/a%00b", b"", keeper.secret, method="GET").status == 404


def test_a_key_is_turned_on_and_off_while_the_server_runs(server: Server, upstream: Upstream):
    owner = server.caller(scopes=BOTH)
    path = f"/api/api-keys/{owner.key.id}"

    def call() -> str | None:
        return server.call(CHAT, {"model": "one-target", "messages": []}, owner.secret).get("x-request-id")

    def is_kept() -> bool:
        request_id = call()
        server.usage(request_id or "")
        return bool(server.query("SELECT FROM bodies WHERE request_id = $1", request_id))

    changed = server.call(path, {"logBodies": True, "bodyRetentionDays": 3}, owner.secret, method="PATCH")
    assert (changed.json["logBodies"], changed.json["bodyRetentionDays"]) == (True, 3)
    server.wait_for(is_kept, "a body that is kept")
    [days] = server.query(
        "SELECT DISTINCT kept_until - (now() AT TIME ZONE 'UTC')::date AS days FROM bodies WHERE owner_id = $1",
        owner.owner_id,
    )
    assert days["days"] == 3
    for wrong in (0, 31, "7"):
        refused = server.call(path, {"bodyRetentionDays": wrong}, owner.secret, method="PATCH")
        assert refused.status == 400
    told = server.json("keys", "bodies", owner.key.id, "--off")
    assert told == {"id": owner.key.id, "log_bodies": False, "body_retention_days": 3}
    server.wait_for(lambda: not is_kept(), "a body that is not kept")


def test_with_the_key_its_bodies_go(server: Server, upstream: Upstream):
    owner = server.caller(scopes=BOTH)
    made = server.call("/api/api-keys", {"logBodies": True}, owner.secret).json
    got = server.call(CHAT, {"model": "one-target", "messages": []}, made["key"])
    request_id = got.get("x-request-id")
    bodies(server, owner, request_id)
    assert server.call(f"/api/api-keys/{made['id']}", b"", owner.secret, method="DELETE").status == 204
    assert told(server, owner, request_id)["bodies"] is None
    server.wait_for(lambda: not server.query("SELECT FROM bodies WHERE request_id = $1", request_id), "deleted", 60)


def test_what_is_lost_is_counted(server: Server):
    told = server.call("/metrics", b"", method="GET").body.decode()
    assert 'hypereal_bodies_dropped_total{process="control"} 0.0' in told
    assert 'hypereal_bodies_dropped_total{process="data-0"} 0.0' in told
