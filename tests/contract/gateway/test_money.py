"""What calls cost: right per vendor, the same in header, usage row and ledger; held before, and never overspent."""

from datetime import UTC, datetime, timedelta

import pytest
from tests.contract.gateway.test_bad_input import assert_refused
from tests.support import upstream as scripts
from tests.support import vendors
from tests.support.raw import Raw
from tests.support.server import Caller, Server
from tests.support.upstream import Upstream

CHAT, MESSAGES, RESPONSES = "/v1/chat/completions", "/v1/messages", "/v1/responses"
MICRO = 1_000_000
DEEPSEEK = {
    "prompt_tokens": 1000,
    "completion_tokens": 200,
    "prompt_cache_hit_tokens": 400,
    "prompt_cache_miss_tokens": 600,
}
MOONSHOT = {"prompt_tokens": 1000, "completion_tokens": 200, "total_tokens": 1200, "cached_tokens": 400}
DASHSCOPE = {
    "prompt_tokens": 1000,
    "completion_tokens": 200,
    "prompt_tokens_details": {"cached_tokens": 300, "cache_creation_input_tokens": 100, "cache_type": "ephemeral"},
}
XAI_BESIDE = {
    "prompt_tokens": 1000,
    "completion_tokens": 150,
    "total_tokens": 1200,
    "completion_tokens_details": {"reasoning_tokens": 50},
}
XAI_INSIDE = {**XAI_BESIDE, "completion_tokens": 200}

COUNTS = ("input_tokens", "cache_read_tokens", "cache_write_tokens", "cache_write_1h_tokens", "output_tokens")
VENDORS = [
    # path, model, upstream's model, usage; fresh, read, written, written for an hour, output; its cost in credits
    (CHAT, "gpt-5", "gpt-5", vendors.CHAT_USAGE, (600, 400, 0, 0, 200), "0.112"),
    (RESPONSES, "gpt-5", "gpt-5", vendors.RESPONSES_USAGE, (600, 400, 0, 0, 200), "0.112"),
    (MESSAGES, "claude-opus-4-6", "claude-opus-4-6", vendors.MESSAGES_USAGE, (500, 400, 60, 40, 200), "0.678"),
    ("/v1/gemini", "gemini-2.5-pro", "gemini-2.5-pro", vendors.GEMINI_USAGE, (600, 400, 0, 0, 200), "0.16864"),
    (CHAT, "deepseek-v3.2", None, DEEPSEEK, (600, 400, 0, 0, 200), "0.0864"),
    (CHAT, "kimi-k2.5", None, MOONSHOT, (600, 400, 0, 0, 200), None),
    (CHAT, "qwen3-max", None, DASHSCOPE, (600, 300, 100, 0, 200), None),
    (CHAT, "glm-5", None, vendors.CHAT_USAGE, (600, 400, 0, 0, 200), None),
    (CHAT, "MiniMax-M2.5", None, vendors.CHAT_USAGE, (600, 400, 0, 0, 200), "0.0484"),
    (CHAT, "grok-test", None, XAI_BESIDE, (1000, 0, 0, 0, 200), "0.3"),
    (CHAT, "grok-test", None, XAI_INSIDE, (1000, 0, 0, 0, 200), "0.3"),
]


def body_for(path: str, model: str) -> dict:
    if path == RESPONSES:
        return {"model": model, "input": "x"}
    if path == "/v1/gemini":
        return {"model": model, "contents": []}
    return {"model": model, "messages": [], "max_tokens": 1000}


def whole_and_events(path: str):
    return next(pair for part, pair in vendors.DEFAULTS.items() if part in path.replace("gemini", "enerateContent"))


def upstream_model(server: Server, upstream: Upstream, path: str, model: str, key: str) -> str:
    server.call(path, body_for(path, model), key)
    name = upstream.request().model
    upstream.reset()
    return name


@pytest.mark.parametrize(("path", "model", "_target", "said", "counts", "credits"), VENDORS)
@pytest.mark.parametrize("is_stream", [False, True], ids=["plain", "stream"])
def test_usage_is_priced_as_the_vendor_means_it(
    is_stream, path, model, _target, said, counts, credits, server: Server, upstream: Upstream
):
    payer = server.caller(1000)
    target = upstream_model(server, upstream, path, model, server.caller(1000).secret)
    whole, events = whole_and_events(path)
    upstream.answer(target, scripts.stream(events(usage=said)) if is_stream else scripts.plain(whole(usage=said)))
    answer = server.call(path, {**body_for(path, model), "stream": is_stream}, payer.secret)
    row = server.usage(answer.request_id)
    assert tuple(row[name] for name in COUNTS) == counts
    assert not row["is_estimated"]
    assert row["cost"] == row["charged"] > 0
    assert server.balance(payer).ledger == 1000 * MICRO - row["charged"]
    if not is_stream:
        assert float(answer.get("x-hypereal-cost-credits")) * MICRO == pytest.approx(row["charged"])
    if credits is not None:
        assert row["charged"] == round(float(credits) * MICRO)
    assert server.audit() == []


def test_reasoning_stands_in_the_row(server: Server, upstream: Upstream, caller: Caller):
    row = server.usage(server.call(CHAT, body_for(CHAT, "gpt-5"), caller.secret).request_id)
    assert row["reasoning_tokens"] == 50


def test_headers_of_a_billed_reply(server: Server, upstream: Upstream, caller: Caller):
    answer = server.call(CHAT, body_for(CHAT, "gpt-5"), caller.secret)
    assert float(answer.get("x-hypereal-cost-credits")) == 0.112
    assert answer.get("x-hypereal-model") == "gpt-5"
    assert answer.get("x-hypereal-provider") == "openai"
    assert answer.get("x-hypereal-request-id") == answer.request_id
    assert answer.get("x-ratelimit-limit") == "100000"
    assert int(answer.get("x-ratelimit-remaining")) < 100_000
    assert 1 <= int(answer.get("x-ratelimit-reset")) <= 60


def test_the_row_tells_the_call(server: Server, upstream: Upstream):
    payer = server.caller(1000)
    answer = server.call("/api/v1/v1/messages", body_for(MESSAGES, "claude-3-5-haiku-20241022"), payer.secret)
    row = server.usage(answer.request_id)
    told = {name: row[name] for name in ("owner_id", "key_id", "endpoint", "dialect", "model", "provider", "target")}
    assert told == {
        "owner_id": payer.owner_id,
        "key_id": payer.key.id,
        "endpoint": "messages",
        "dialect": "anthropic_messages",
        "model": "claude-haiku-4-5",
        "provider": "anthropic",
        "target": "claude-haiku-4-5",
    }
    assert (row["status"], row["error_type"], row["is_stream"], row["attempts"]) == (200, None, False, 1)
    assert abs(row["started_at"] - datetime.now(UTC)) < timedelta(seconds=20)
    assert 0 <= row["first_byte_ms"] <= row["duration_ms"]


# -- usage that is missing or odd --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "model"),
    [(CHAT, "gpt-5"), (RESPONSES, "gpt-5"), (MESSAGES, "claude-opus-4-6"), ("/v1/gemini", "gemini-2.5-pro")],
)
@pytest.mark.parametrize("is_stream", [False, True], ids=["plain", "stream"])
def test_missing_usage_is_estimated_and_marked(is_stream, path, model, server: Server, upstream: Upstream):
    payer = server.caller(1000)
    whole, events = whole_and_events(path)
    text = "word " * 400
    upstream.answer(
        model,
        scripts.stream(events([text[:1000], text[1000:]], usage=None))
        if is_stream
        else scripts.plain(whole(text, usage=None)),
    )
    body = {**body_for(path, model), "stream": is_stream, "padding": "p" * 4000}
    row = server.usage(server.call(path, body, payer.secret).request_id)
    assert row["is_estimated"]
    assert row["input_tokens"] == pytest.approx(1000, rel=0.1)
    assert row["output_tokens"] == pytest.approx(500, rel=0.1)
    assert server.balance(payer).ledger == 1000 * MICRO - row["charged"] < 1000 * MICRO


@pytest.mark.parametrize(
    "usage",
    [
        {"prompt_tokens": -5, "completion_tokens": 10},
        {"prompt_tokens": 10**15, "completion_tokens": 10},
        {"prompt_tokens": "many", "completion_tokens": 10},
        {"prompt_tokens": 10},
        {},
        "none",
    ],
)
def test_insane_usage_is_not_believed(usage, server: Server, upstream: Upstream, caller: Caller):
    upstream.answer("gpt-5", scripts.plain(vendors.chat_answer(usage=usage)))
    row = server.usage(server.call(CHAT, body_for(CHAT, "gpt-5"), caller.secret).request_id)
    assert row["is_estimated"]
    assert 0 < row["charged"] < MICRO


def test_usage_in_the_last_chunk_and_in_a_choice_is_found(server: Server, upstream: Upstream, caller: Caller):
    last = vendors.chat_chunk({"content": ""}, "stop", usage=vendors.CHAT_USAGE)
    done = vendors.event(b"[DONE]")
    moonshot = last.replace(b'"usage"', b'"x"').replace(b'"logprobs": null', b'"usage": ' + vendors.encode(MOONSHOT))
    for ending in (last, moonshot):
        upstream.answer("gpt-5", scripts.stream([vendors.chat_chunk({"content": "a"}), ending, done]))
        answer = server.call(CHAT, {**body_for(CHAT, "gpt-5"), "stream": True}, caller.secret)
        row = server.usage(answer.request_id)
        assert (row["input_tokens"], row["cache_read_tokens"], row["output_tokens"]) == (600, 400, 200)


def test_cost_over_the_hold_is_charged_as_far_as_the_wallet_goes(server: Server, upstream: Upstream):
    payer = server.caller(200)
    huge = {"prompt_tokens": 900_000, "completion_tokens": 900_000}
    upstream.answer("gpt-5", scripts.plain(vendors.chat_answer(usage=huge)))
    row = server.usage(server.call(CHAT, body_for(CHAT, "gpt-5"), payer.secret).request_id)
    assert row["cost"] == row["charged"] + row["written_off"] == 405 * MICRO
    assert 0 <= server.balance(payer).ledger == 200 * MICRO - row["charged"]
    assert server.audit() == []


# -- refusals ----------------------------------------------------------------------------------------------------------

ROUTES = [(CHAT, "gpt-5"), (RESPONSES, "gpt-5"), (MESSAGES, "claude-opus-4-6"), ("/v1/gemini", "gemini-2.5-pro")]


@pytest.mark.parametrize(("path", "model"), ROUTES)
@pytest.mark.parametrize("credits", [0, 199.999999])
def test_a_balance_below_200_credits_is_402(credits, path, model, server: Server, upstream: Upstream):
    poor = server.caller(credits)
    answer = server.call(path, body_for(path, model), poor.secret)
    assert_refused(answer, path, 402, "insufficient_credits")
    assert upstream.requests == []
    assert server.usage(answer.request_id)["charged"] == 0


def test_a_balance_below_the_hold_is_402(server: Server, upstream: Upstream):
    poor = server.caller(200)
    answer = server.call(MESSAGES, {**body_for(MESSAGES, "claude-opus-4-6"), "max_tokens": 128_000}, poor.secret)
    assert_refused(answer, MESSAGES, 402, "insufficient_credits")
    assert server.call(MESSAGES, body_for(MESSAGES, "claude-opus-4-6"), poor.secret).status == 200


def test_many_at_once_never_overspend(server: Server, upstream: Upstream):
    payer = server.caller(201)
    gate = upstream.gate()
    held = [gate, *scripts.plain(vendors.chat_answer(usage={"prompt_tokens": 1, "completion_tokens": 30_000}))]
    upstream.answer("gpt-5", *[held] * 30)
    connections = [Raw(server.url) for _ in range(30)]  # each holds 12 credits and more
    for connection in connections:
        connection.post(CHAT, {**body_for(CHAT, "gpt-5"), "max_tokens": 30_000}, payer.secret)
    upstream.request(14)
    gate.open()
    statuses = [connection.answer().status for connection in connections]
    for connection in connections:
        connection.close()
    assert set(statuses) == {200, 402}
    server.is_idle(payer)
    assert 0 <= server.balance(payer).ledger == round((201 - 12.00005 * statuses.count(200)) * MICRO)


def test_a_spending_limit_stops_its_key_only(server: Server, upstream: Upstream):
    limited = server.caller(1000, spending_limit=5 * MICRO)
    big = {"prompt_tokens": 1, "completion_tokens": 11_000}
    upstream.answer("gpt-5", scripts.plain(vendors.chat_answer(usage=big)))
    assert server.call(CHAT, {**body_for(CHAT, "gpt-5"), "max_tokens": 11_000}, limited.secret).status == 200
    server.wait_for(lambda: server.balance(limited).ledger < 1000 * MICRO, "the charge")
    answer = server.call(CHAT, {**body_for(CHAT, "gpt-5"), "max_tokens": 4000}, limited.secret)
    assert_refused(answer, CHAT, 402, "spending_limit_reached")
    next_month = (datetime.now(UTC).replace(day=1) + timedelta(days=32)).strftime("%Y-%m-01")
    assert next_month in answer.error["message"]


def test_a_key_limited_to_models_gets_403_for_others(server: Server, upstream: Upstream):
    limited = server.caller(1000, models=frozenset({"gpt-5"}))
    assert server.call(CHAT, body_for(CHAT, "gpt-5"), limited.secret).status == 200
    for path, model in ROUTES[2:]:
        answer = server.call(path, body_for(path, model), limited.secret)
        assert_refused(answer, path, 403, "permission_error")
        assert "gpt-5" in answer.error["message"]
    assert len(upstream.requests) == 1


def test_a_key_of_another_scope_gets_403(server: Server, upstream: Upstream):
    account = server.caller(1000, scopes=frozenset({"account"}))
    answer = server.call(CHAT, body_for(CHAT, "gpt-5"), account.secret)
    assert_refused(answer, CHAT, 403, "permission_error")


def test_an_expired_key_gets_401(server: Server, upstream: Upstream):
    expired = server.caller(1000, expires_at=datetime.now(UTC) - timedelta(seconds=1))
    answer = server.call(CHAT, body_for(CHAT, "gpt-5"), expired.secret)
    assert_refused(answer, CHAT, 401, "authentication_error")
    assert "expired" in answer.error["message"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (MESSAGES + "/count_tokens", {"model": "claude-opus-4-6", "messages": []}),
        ("/v1beta/models/gemini-2.5-pro:countTokens", {"contents": []}),
    ],
)
def test_counting_tokens_is_free(path, body, server: Server, upstream: Upstream):
    penniless = server.caller(0)
    answer = server.call(path, body, penniless.secret)
    assert answer.status == 200
    assert 42 in answer.json.values()
    assert answer.get("x-ratelimit-limit") is not None
    assert server.usage(answer.request_id)["charged"] == 0


def test_lists_of_models_are_free(server: Server):
    penniless = server.caller(0)
    assert server.call("/v1/models", b"", penniless.secret, method="GET").status == 200


def test_web_searches_are_priced(server: Server, upstream: Upstream):
    payer = server.caller(10_000)
    usage = {**vendors.MESSAGES_USAGE, "server_tool_use": {"web_search_requests": 3}}
    upstream.answer("claude-opus-4-6", scripts.plain(vendors.messages_answer(usage=usage)))
    tools = [{"type": "web_search_20250305", "name": "web_search", "max_uses": 5}]
    answer = server.call(MESSAGES, {**body_for(MESSAGES, "claude-opus-4-6"), "tools": tools}, payer.secret)
    row = server.usage(answer.request_id)
    assert row["web_searches"] == 3
    assert row["charged"] == 678_000 + 3 * MICRO  # $10 per thousand
