"""The twenty points on which real clients were seen to break, each through the running server.

| point | also proved, at more length, by |
| --- | --- |
| 1, 2, 3 keys and paths | `test_routes`, the three official clients' `test_every_base_url_works` |
| 5, 6 heartbeats | `contract/gateway/test_streams`, `test_failover` (targets take turns after the head is out) |
| 7 double billing | `contract/gateway/test_streams` (who leaves), `test_money` |
| 9, 10 errors | `contract/gateway/test_bad_input`, `test_client_shapes` |
| 14, 15 bodies | `contract/gateway/test_bytes_through` |
| 16, 17 folding, usage | `contract/gateway/test_fault_table`, `test_bytes_through` |

About bridges, so not here (`contract/gateway/test_bridges`): 4.10, Cursor's other bodies, and role:system of 14
for others than Anthropic. Not in the contract: the "consider" of 7, the "kinder" of 12, the embeddings of 3.
"""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import anthropic
import openai
import pytest
from google import genai
from google.genai import types
from tests.contract.gateway import bodies
from tests.contract.gateway.formats import CHAT, FORMATS, GEMINI, MESSAGES, RESPONSES, Format
from tests.contract.gateway.test_bytes_through import with_model
from tests.contract.gateway.test_streams import assert_failed_in_band
from tests.support import server as servers
from tests.support import upstream as scripts
from tests.support import vendors
from tests.support.raw import Answer, Raw, request
from tests.support.server import MARK, Caller, Server
from tests.support.upstream import Do, Recorded, Upstream

from hypereal.kit.settings import Settings

TEXT = "".join(vendors.TEXT)
UNKNOWN = "ck_" + "0" * 64
MODELS = {CHAT: "gpt-5", RESPONSES: "gpt-5", MESSAGES: "claude-opus-4-6", GEMINI: "gemini-2.5-flash"}
each_format = pytest.mark.parametrize("format", FORMATS, ids=lambda one: one.name)


def ask(server: Server, format: Format, key: str, *, model: str = "", is_stream: bool = False, **fields: str) -> Answer:
    path, body = format.call(model or MODELS[format], is_stream=is_stream)
    return server.call(path, body, key, **fields)


# -- 1 to 4: where clients call ----------------------------------------------------------------------------------------


@each_format
@pytest.mark.parametrize("version", ["2023-06-01", "2026-10-21", "2031-01-01"])
def test_point_01_any_key_field_and_any_version_is_taken(version, format, server: Server, upstream, caller: Caller):
    for fields in (
        {"authorization": f"Bearer {caller.secret}"},
        {"x_api_key": caller.secret},
        {"x_goog_api_key": caller.secret},
        {"authorization": f"Bearer {caller.secret}", "x_api_key": UNKNOWN},
    ):
        assert ask(server, format, "", **fields, anthropic_version=version).status == 200
    path, body = format.call(MODELS[format], is_stream=False)
    assert server.call(f"{path}?key={caller.secret}", body).status == 200
    both = {"authorization": f"Bearer {UNKNOWN}", "x_api_key": caller.secret}
    assert ask(server, format, "", **both).status == 401  # the first that begins with ck_ decides alone


def test_point_01_the_official_client_sends_bearer(server: Server, upstream: Upstream, caller: Caller):
    sent: list[Any] = []
    client = anthropic.Anthropic(base_url=server.url, api_key=caller.secret, max_retries=0)
    with client:
        client._client.event_hooks["request"].append(sent.append)
        ask_messages(client)
    assert sent[0].headers["authorization"] == f"Bearer {caller.secret}"
    assert "x-api-key" not in sent[0].headers


def ask_messages(client: anthropic.Anthropic, **more: Any) -> Any:
    messages = [{"role": "user", "content": MARK}]
    return client.messages.create(model=MODELS[MESSAGES], max_tokens=99, messages=messages, **more)


@pytest.mark.parametrize("base", ["", "/api", "/v1", "/api/v1"])
@pytest.mark.parametrize("route", ["/v1/messages", "/v1/messages/count_tokens", "/v1/models", "/v1/models/gpt-5"])
def test_point_02_doubled_prefixes_are_aliases(route, base, server: Server, upstream: Upstream, caller: Caller):
    body = {"model": MODELS[MESSAGES], "messages": [], "max_tokens": 9} if "messages" in route else b""
    method = "POST" if body else "GET"
    assert server.call(base + route, body, caller.secret, method=method).status == 200


@pytest.mark.parametrize("prefix", ["/api/v1/gemini", "/api/v1", "/v1/gemini", "/v1", ""])
@pytest.mark.parametrize("version", ["/v1beta", "/v1", "/v1alpha", ""])
def test_point_03_gemini_paths_answer_everywhere(version, prefix, server: Server, upstream: Upstream, caller: Caller):
    base = f"{prefix}{version}/models/gemini-2.5-flash"
    for method, member in (
        ("generateContent", b"candidates"),
        ("streamGenerateContent?alt=sse", b"candidates"),
        ("countTokens", b"totalTokens"),
    ):
        answer = server.call(f"{base}:{method}", {"contents": []}, caller.secret)
        assert answer.status == 200
        assert member in answer.body


@pytest.mark.parametrize("base", ["/v1", "/api/v1", "/api/v1/codex", "/v1/codex"])
@pytest.mark.parametrize("key", [True, False], ids=["with a key", "without"])
def test_point_04_a_websocket_is_refused_with_426_and_post_answers(
    key, base, server: Server, upstream: Upstream, caller: Caller
):
    asks = {"connection": "Upgrade", "upgrade": "websocket", "sec_websocket_version": "13"}
    more = {"openai_beta": "responses_websockets=2026-02-06", "sec_websocket_extensions": "permessage-deflate"}
    secret = caller.secret if key else ""
    refused = server.call(f"{base}/responses", b"", secret, method="GET", **asks, **more, sec_websocket_key="eA==")
    assert refused.status == 426
    assert server.call(f"{base}/responses", RESPONSES.call("gpt-5", is_stream=True)[1], caller.secret).status == 200


# -- 5 and 6: silence --------------------------------------------------------------------------------------------------

HEARTBEATS = {
    CHAT: b": keep-alive\n\n",
    RESPONSES: b'event: keepalive\ndata: {"type":"keepalive","sequence_number":0}\n\n',
    MESSAGES: b'event: ping\ndata: {"type":"ping"}\n\n',
    GEMINI: b'data: {"candidates":[{"content":{"role":"model","parts":[]},"index":0}]}\n\n',
}
FAILS = "this one fails"


@dataclass
class Silence:
    """What came of calls whose upstream said nothing for 15 s: some were answered then, others failed."""

    first: dict[Format, bytes]
    """The first chunk of each stream that failed later."""
    waited_s: float
    failed: dict[Format, Answer]
    failed_plain: dict[Format, Answer]
    texts: dict[str, str]
    """What official clients read of those that were answered."""


@pytest.fixture(scope="module")
def silence(server: Server, caller: Caller, scripted_upstream: Upstream) -> Silence:
    """All at once, since they have to be waited for."""
    upstream = scripted_upstream
    upstream.reset()
    fail, succeed = upstream.gate(), upstream.gate()

    def answer(recorded: Recorded) -> scripts.Script:
        return [fail, Do.CUT] if FAILS.encode() in recorded.body else [succeed, *scripts.default(recorded)]

    upstream.answer_all(answer)
    with ThreadPoolExecutor(8) as pool:
        reading = {one.__name__: pool.submit(one, server.url, caller.secret) for one in OFFICIAL}
        upstream.request(len(OFFICIAL) - 1)
        begun_s = time.monotonic()
        streams = {one: _failing(server, caller, one, is_stream=True) for one in FORMATS}
        plain = {one: _failing(server, caller, one, is_stream=False) for one in FORMATS}
        heads, first, chunks = {}, {}, {}
        for one, connection in streams.items():
            heads[one], chunks[one] = connection.head(), connection.chunks()
            first[one] = next(chunks[one])
        waited_s = time.monotonic() - begun_s
        fail.open()
        succeed.open()
        failed = {
            one: Answer(head.status, head.fields, first[one] + b"".join(chunks[one])) for one, head in heads.items()
        }
        failed_plain = {one: connection.answer() for one, connection in plain.items()}
        texts = {name: text.result() for name, text in reading.items()}
    for connection in (*streams.values(), *plain.values()):
        connection.close()
    upstream.reset()
    return Silence(first, waited_s, failed, failed_plain, texts)


def _failing(server: Server, caller: Caller, format: Format, *, is_stream: bool) -> Raw:
    path, body = format.call("one-target", is_stream=is_stream)
    connection = Raw(server.url)
    connection.post(path, {**body, "user": FAILS}, caller.secret)
    return connection


def openai_chat(url: str, key: str) -> str:
    with openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0) as client:
        stream = client.chat.completions.create(
            model="gpt-5", messages=[{"role": "user", "content": MARK}], stream=True
        )
        return "".join(chunk.choices[0].delta.content or "" for chunk in stream)


def openai_responses(url: str, key: str) -> str:
    with openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0) as client:
        events = client.responses.create(model="gpt-5", input=MARK, stream=True)
        return "".join(event.delta for event in events if event.type == "response.output_text.delta")


def anthropic_messages(url: str, key: str) -> str:
    with anthropic.Anthropic(base_url=url, api_key=key, max_retries=0) as client:
        messages = [{"role": "user", "content": MARK}]
        with client.messages.stream(model=MODELS[MESSAGES], max_tokens=99, messages=messages) as stream:
            return "".join(stream.text_stream)


def google_genai(url: str, key: str) -> str:
    client = genai.Client(api_key=key, http_options=types.HttpOptions(base_url=f"{url}/v1/gemini"))
    return "".join(
        chunk.text or "" for chunk in client.models.generate_content_stream(model=MODELS[GEMINI], contents=MARK)
    )


OFFICIAL = (openai_chat, openai_responses, anthropic_messages, google_genai)


@each_format
def test_point_05_the_heartbeat_is_the_one_its_dialect_can_bear(format: Format, silence: Silence):
    assert silence.first[format] == HEARTBEATS[format]


@pytest.mark.parametrize("client", OFFICIAL, ids=lambda one: one.__name__)
def test_point_05_official_clients_read_on_after_a_heartbeat(client, silence: Silence):
    assert silence.texts[client.__name__] == TEXT


@each_format
def test_point_06_the_head_goes_out_early_and_a_later_failure_is_told_in_band(format: Format, silence: Silence):
    assert 13 < silence.waited_s < 20
    assert_failed_in_band(silence.failed[format], format.call("one-target", is_stream=False)[0])


@each_format
def test_point_06_a_plain_answer_waits_for_its_status(format: Format, silence: Silence):
    assert silence.failed_plain[format].status == 502


# -- 7 and 8: tries ----------------------------------------------------------------------------------------------------


@each_format
def test_point_07_who_leaves_stops_the_upstream(format: Format, server: Server, upstream: Upstream):
    payer = server.caller(1000)
    upstream.answer("up-first", scripts.stream([*format.events()[: format.announcements + 1], upstream.gate()]))
    path, body = format.call("one-target", is_stream=True)
    with Raw(server.url) as connection:
        connection.post(path, body, payer.secret)
        assert connection.head().status == 200
    upstream.request().gone.wait(5)
    assert len(server.rows_of(payer, 1)) == len(upstream.requests) == 1


@pytest.fixture(scope="module")
def limited(background, scripted_upstream: Upstream) -> Iterator[Server]:
    """A server that lets an owner call twice a minute."""
    config = servers.config(scripted_upstream, requests_per_minute=2)
    running = Server(background, servers.upstream_environ(scripted_upstream), config)
    yield running
    servers.assert_ended_well(running)


@each_format
def test_point_08_over_the_rate_is_429_with_a_small_and_honest_wait(format, limited: Server, upstream: Upstream):
    answers = [ask(limited, format, caller.secret) for caller in [limited.caller(1000)] for _ in range(6)]
    refused = next(answer for answer in answers if answer.status == 429)  # 4 at most pass where a minute ends
    wait_s, reset_s = refused.get("retry-after"), refused.get("x-ratelimit-reset")
    assert wait_s.isdigit() and 1 <= int(wait_s) <= 30
    assert int(wait_s) == min(30, int(reset_s))
    assert refused.error["type"] == "rate_limit_error"


@each_format
@pytest.mark.parametrize(("asked", "told"), [("3600", "30"), ("12", "12"), ("0.2", "1"), (None, "5")])
def test_point_08_a_busy_upstream_is_503_with_a_small_wait(
    asked, told, format, server: Server, upstream: Upstream, caller: Caller
):
    fields = [] if asked is None else [f"retry-after: {asked}"]
    upstream.answer("up-first", *[scripts.plain({"error": {"message": "x"}}, 429, *fields)] * 2)
    answer = ask(server, format, caller.secret, model="one-target")
    assert (answer.status, answer.get("retry-after")) == (503, told)


# -- 9 to 12: errors ---------------------------------------------------------------------------------------------------


@each_format
def test_point_09_errors_are_the_superset_that_all_clients_read(format: Format, server: Server, upstream: Upstream):
    broke = server.caller(0)
    answer = ask(server, format, broke.secret)
    assert answer.status == 402
    if format is GEMINI:
        fixed = {"code": 402, "status": "FAILED_PRECONDITION", "type": "insufficient_credits"}
        assert answer.error == {**fixed, "message": answer.error["message"]}
        return
    assert answer.json.keys() == {"type", "error", "request_id"}
    assert answer.error.keys() >= {"type", "message", "code", "param"}


@each_format
@pytest.mark.parametrize("status", [400, 401, 402, 403])
def test_point_10_what_cannot_be_mended_says_so(status, format: Format, server: Server, upstream: Upstream):
    key = {400: server.caller(1000), 402: server.caller(0), 403: server.caller(1000, models=("glm-5",))}.get(status)
    answer = ask(server, format, UNKNOWN if key is None else key.secret, model="" if status != 400 else "nothing")
    assert (answer.status, answer.get("x-should-retry")) == (status, "false")


def test_point_10_official_clients_do_not_try_again(server: Server, upstream: Upstream):
    broke = server.caller(0)
    with (
        anthropic.Anthropic(base_url=server.url, api_key=broke.secret, max_retries=3) as client,
        pytest.raises(anthropic.PaymentRequiredError),
    ):
        ask_messages(client)
    with (
        openai.OpenAI(base_url=f"{server.url}/v1", api_key=broke.secret, max_retries=3) as client,
        pytest.raises(openai.APIStatusError),
    ):
        client.responses.create(model="gpt-5", input=MARK)
    assert len(server.rows_of(broke, 2)) == 2


@each_format
def test_point_11_no_status_but_an_unknown_route_is_404(format, server: Server, upstream: Upstream, caller: Caller):
    assert ask(server, format, caller.secret, model="no-such-model").status == 400
    for status in (404, 410, 400, 422):
        upstream.answer("up-first", scripts.plain({"error": {"message": "not here"}}, status))
        answer = ask(server, format, caller.secret, model="one-target")
        assert answer.status == (400 if status in (400, 422) else 502)
    assert server.call("/v1/no-such-route", {}, caller.secret).status == 404


@each_format
def test_point_12_an_empty_wallet_is_402_with_a_message_for_people(format: Format, server: Server):
    answer = ask(server, format, server.caller(1.5).secret, is_stream=True)
    assert (answer.status, answer.error["type"]) == (402, "insufficient_credits")
    assert "credits" in answer.error["message"]


# -- 13 to 15: what clients send ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("format", "name", "model"),
    [
        (MESSAGES, "claude-opus-5-5", "claude-opus-4-6"),
        (MESSAGES, "claude-sonnet-5-5", "claude-sonnet-4-6"),
        (MESSAGES, "claude-haiku-5-5", "claude-haiku-4-5"),
        (MESSAGES, "claude-haiku-4-5-20251001", "claude-haiku-4-5"),
        (MESSAGES, "claude-sonnet-4-5-20250929", "claude-sonnet-4-6"),
        (MESSAGES, "claude-3-5-sonnet-20241022", "claude-sonnet-4-6"),
        (MESSAGES, "claude-3-5-haiku-20241022", "claude-haiku-4-5"),
        (MESSAGES, "claude-opus-4-1@20250805", "claude-opus-4-6"),
        (MESSAGES, "claude-sonnet-4-0", "claude-sonnet-4-6"),
        (GEMINI, "gemini-3.5-flash-lite", "gemini-3.1-flash-lite-preview-official"),
        (GEMINI, "gemini-3.8-flash", "gemini-3-flash-official"),
        (GEMINI, "gemini-2.5-pro", "gemini-2.5-pro-official"),
        (GEMINI, "gemini-4-pro-preview", "gemini-3.1-pro"),
        (CHAT, "openai/gpt-5.4", "gpt-5.4"),
        (RESPONSES, "gpt-5-2025-08-07", "gpt-5"),
    ],
)
def test_point_13_newer_older_and_dated_ids_mean_what_is_offered(
    format, name, model, server: Server, upstream: Upstream, caller: Caller
):
    for is_stream in (False, True):
        answer = ask(server, format, caller.secret, model=name, is_stream=is_stream)
        assert (answer.status, answer.get("x-hypereal-model")) == (200, model)
    if format is MESSAGES:
        counted = server.call("/v1/messages/count_tokens", {"model": name, "messages": []}, caller.secret)
        assert counted.json == {"input_tokens": 42}


@pytest.mark.parametrize(
    "body", [bodies.CLAUDE_CODE, bodies.CLAUDE_CODE_WIDE, bodies.CLAUDE_CODE_SEARCH], ids=["turn", "wide", "search"]
)
def test_point_14_wide_messages_bodies_pass_byte_for_byte(body, server: Server, upstream: Upstream, caller: Caller):
    fields = {
        "anthropic_beta": "claude-code-20250219,interleaved-thinking-2025-05-14,context-management-2025-06-27",
        "x_claude_code_session_id": "0d5a-session",
        "x_claude_code_agent_id": "0d5a-agent",
        "x_stainless_retry_count": "0",
        "x_app": "cli",
        "accept": "application/json",
        "accept_encoding": "gzip, deflate, br, zstd",
    }
    answer = server.call("/v1/messages?beta=true", body, caller.secret, **fields)
    assert answer.status == 200
    assert answer.get("content-encoding") is None
    assert answer.get("content-type").startswith("text/event-stream")
    sent = upstream.request()
    assert sent.body == with_model(body, sent.model)
    for name in ("anthropic_beta", "x_claude_code_session_id", "x_claude_code_agent_id"):
        assert sent.get(name.replace("_", "-")) == fields[name]


@pytest.mark.parametrize("body", [bodies.CODEX, bodies.CODEX_OLD, bodies.AI_SDK], ids=["codex", "codex 0.57", "AI SDK"])
def test_point_15_responses_bodies_pass_byte_for_byte(body, server: Server, upstream: Upstream, caller: Caller):
    fields = {"originator": "codex_exec", "session-id": "s", "conversation_id": "c", "x-codex-turn-metadata": "{}"}
    with Raw(server.url) as connection:
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        head = f"POST /v1/responses HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {caller.secret}\r\n{lines}"
        connection.send(head.encode() + b"content-length: %d\r\n\r\n" % len(body) + body)
        assert connection.answer().status == 200
    sent = upstream.request()
    assert sent.body == with_model(body, sent.model)
    assert (sent.get("session-id"), sent.get("conversation_id")) == ("s", "c")


# -- 16 to 18: answers and loads ---------------------------------------------------------------------------------------


def test_point_16_events_for_a_plain_call_are_folded_for_official_clients(
    server: Server, upstream: Upstream, caller: Caller
):
    upstream.answer_all(lambda recorded: scripts.stream(vendors.DEFAULTS[dialect_part(recorded)][1]()))
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key=caller.secret) as client:
        messages = [{"role": "user", "content": MARK}]
        chat = client.chat.completions.create(model="gpt-5", messages=messages, stream=False)
        assert (chat.choices[0].message.content, chat.usage.total_tokens) == (TEXT, 1200)
        assert client.responses.create(model="gpt-5", input=MARK).output_text == TEXT
    with anthropic.Anthropic(base_url=server.url, api_key=caller.secret) as client:
        assert ask_messages(client).content[0].text == TEXT
    options = types.HttpOptions(base_url=server.url)
    google = genai.Client(api_key=caller.secret, http_options=options)
    assert google.models.generate_content(model=MODELS[GEMINI], contents=MARK).text == TEXT


def dialect_part(recorded: Recorded) -> str:
    return next(part for part in vendors.DEFAULTS if part in recorded.path)


def test_point_17_usage_is_asked_for_and_told_where_it_breaks_nobody(server: Server, upstream, caller: Caller):
    path, body = CHAT.call("gpt-5", is_stream=True)
    del body["stream_options"]
    unasked = server.call(path, body, caller.secret)
    assert upstream.request().json["stream_options"] == {"include_usage": True}
    assert all(event["choices"] for event in unasked.events)
    assert unasked.events[-1]["usage"]["completion_tokens"] == 200
    asked = ask(server, CHAT, caller.secret, is_stream=True)
    assert asked.events[-1]["choices"] == []
    rows = [server.usage(answer.request_id) for answer in (unasked, asked)]
    assert [(row["output_tokens"], row["is_estimated"]) for row in rows] == [(200, False)] * 2


@each_format
def test_point_18_bodies_of_megabytes_are_taken(format: Format, server: Server, upstream: Upstream, caller: Caller):
    path, body = format.call(MODELS[format], is_stream=True)
    for size in (130_000, 3_500_000):
        assert server.call(path, {**body, "metadata": {"x": "y" * size}}, caller.secret).status == 200
    assert Settings().server.body_bytes_max >= 32 * 1024 * 1024


def test_point_18_thirty_four_counts_at_once_on_eleven_connections(server: Server, upstream: Upstream, caller: Caller):
    """What /context sends, with a turn and a title call going on beside it."""
    body = {"model": "claude-opus-5-5", "messages": [{"role": "user", "content": MARK}], "tools": []}
    count = request("POST", "/v1/messages/count_tokens?beta=true", body, caller.secret)
    gate = upstream.gate()
    upstream.answer("claude-sonnet-4-6", [gate, *scripts.stream(vendors.messages_events())])
    turn = Raw(server.url)
    turn.post("/v1/messages?beta=true", bodies.CLAUDE_CODE, caller.secret)
    upstream.request()
    connections = [Raw(server.url) for _ in range(11)]
    sent = [connections[number % 11] for number in range(34)]
    for connection in sent:
        connection.send(count)
    assert [connection.answer().json for connection in sent] == [{"input_tokens": 42}] * 34
    gate.open()
    assert turn.answer().status == 200
    for connection in (turn, *connections):
        connection.close()


# -- 19 and 20: connections and browsers -------------------------------------------------------------------------------


def test_point_19_a_connection_a_request_and_one_for_all_both_work(server: Server, upstream: Upstream, caller: Caller):
    for _ in range(5):
        assert ask(server, RESPONSES, caller.secret, is_stream=True).status == 200
    with Raw(server.url) as connection:
        for format in FORMATS * 3:
            path, body = format.call(MODELS[format], is_stream=True)
            connection.post(path, body, caller.secret)
            assert connection.answer().status == 200
    for recorded in upstream.requests:  # nor do we send what no client does
        assert not {"content-encoding", "expect", "transfer-encoding"} & dict(recorded.fields).keys()


@pytest.mark.parametrize("base", ["/v1", "/api/v1"])
def test_point_20_verification_by_preflight_and_list_works(base, server: Server, caller: Caller):
    asked = {"access_control_request_method": "GET", "access_control_request_headers": "authorization"}
    preflight = server.call(f"{base}/models", b"", method="OPTIONS", origin="https://cursor.example", **asked)
    assert preflight.status in (200, 204)
    assert "authorization" in preflight.get("access-control-allow-headers")
    listed = server.call(f"{base}/models", b"", caller.secret, method="GET", origin="https://cursor.example")
    assert listed.status == 200
    assert listed.get("access-control-allow-origin") == "*"
    assert listed.json["object"] == "list"
    assert all(model["object"] == "model" for model in listed.json["data"])
    assert server.call(f"{base}/models", b"", UNKNOWN, method="GET").status == 401
