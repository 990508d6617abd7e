"""What each client must find in streams, errors and statuses, where the gateway writes them and not the vendor.

Streams of a vendor pass as bytes (`test_bytes_through`), so the mandatory parts matter where we make the stream: out of
a plain answer, and at a failure. Clients' own retry habits are theirs; what steers them is checked here.
"""

import json
from typing import Any

import anthropic
import openai
import pytest
from google import genai
from google.genai import errors, types
from tests.contract.gateway.formats import CHAT, FORMATS, GEMINI, MESSAGES, RESPONSES, Format
from tests.contract.gateway.test_streams import assert_failed_in_band
from tests.support import upstream as scripts
from tests.support import vendors
from tests.support.raw import Answer, Raw
from tests.support.server import BODY_BYTES_MAX, MARK, UPSTREAM_KEY, Caller, Server
from tests.support.upstream import Do, Upstream

TEXT = "".join(vendors.TEXT)
UNKNOWN = "ck_" + "0" * 64
MODELS = {CHAT: "gpt-5", RESPONSES: "gpt-5", MESSAGES: "claude-opus-4-6", GEMINI: "gemini-2.5-flash"}
each_format = pytest.mark.parametrize("format", FORMATS, ids=lambda one: one.name)
THINKS_AND_CALLS = {
    **vendors.messages_tool_answer(),
    "content": [
        {"type": "thinking", "thinking": "so", "signature": "RXJ2Cg=="},
        {"type": "text", "text": TEXT},
        {"type": "tool_use", "id": "toolu_1", "name": "Write", "input": {"path": "a"}},
    ],
}


def ask(server: Server, format: Format, key: str, *, model: str = "", is_stream: bool = False, **fields: str) -> Answer:
    path, body = format.call(model or MODELS[format], is_stream=is_stream)
    return server.call(path, body, key, **fields)


def names(answer: Answer) -> list[str]:
    """Of the events, as their `event:` lines have them."""
    return [line[7:].decode() for line in answer.body.splitlines() if line.startswith(b"event: ")]


# -- 4.1 and 4.7: Claude Code, the Anthropic SDKs ----------------------------------------------------------------------


def test_claude_code_finds_all_that_it_needs_in_a_stream_that_we_made(server, upstream: Upstream, caller: Caller):
    upstream.answer(MODELS[MESSAGES], scripts.plain(THINKS_AND_CALLS))
    answer = ask(server, MESSAGES, caller.secret, is_stream=True)
    assert names(answer) == [event["type"] for event in answer.events]
    started = [event["content_block"] for event in answer.events if event["type"] == "content_block_start"]
    assert [block["type"] for block in started] == ["thinking", "text", "tool_use"]
    assert started[2]["id"] == "toolu_1"
    assert names(answer).count("content_block_stop") == 3
    deltas = [event["delta"] for event in answer.events if event["type"] == "content_block_delta"]
    assert {"type": "signature_delta", "signature": "RXJ2Cg=="} in deltas
    assert answer.events[0]["message"]["usage"]["input_tokens"] == 500
    assert answer.events[-2]["usage"]["output_tokens"] == 200
    assert names(answer)[-1] == "message_stop"


def test_anthropics_helper_reads_a_stream_that_we_made(server: Server, upstream: Upstream, caller: Caller):
    upstream.answer(MODELS[MESSAGES], scripts.plain(THINKS_AND_CALLS))
    with anthropic_client(server, caller.secret) as client, client.messages.stream(**MESSAGE) as stream:
        thinking, text, called = stream.get_final_message().content
    assert (thinking.signature, text.text, called.input) == ("RXJ2Cg==", TEXT, {"path": "a"})


MESSAGE: dict[str, Any] = {
    "model": MODELS[MESSAGES],
    "max_tokens": 99,
    "messages": [{"role": "user", "content": MARK}],
}


def anthropic_client(server: Server, key: str) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=server.url, api_key=key, max_retries=0)


def test_anthropics_client_has_a_class_for_each_refusal(server: Server, upstream: Upstream, caller: Caller):
    scoped = server.caller(1000, models=("glm-5",))
    for key, change, kind in (
        (UNKNOWN, {}, anthropic.AuthenticationError),
        (server.caller(0).secret, {}, anthropic.PaymentRequiredError),
        (scoped.secret, {}, anthropic.PermissionDeniedError),
        (caller.secret, {"model": "nothing"}, anthropic.BadRequestError),
        (caller.secret, {"extra_body": {"x": "y" * BODY_BYTES_MAX}}, anthropic.ContentTooLargeError),
    ):
        with anthropic_client(server, key) as client, pytest.raises(kind) as raised:
            client.messages.create(**{**MESSAGE, **change})
        assert raised.value.request_id.startswith("req_")
        assert raised.value.body["error"]["message"] in str(raised.value)


def test_an_overloaded_vendor_is_an_overload_to_anthropics_client(server: Server, upstream: Upstream, caller: Caller):
    overloaded = scripts.plain({"type": "error", "error": {"type": "overloaded_error", "message": "x"}}, 529)
    upstream.answer(MODELS[MESSAGES], overloaded, overloaded)
    with anthropic_client(server, caller.secret) as client, pytest.raises(anthropic.InternalServerError) as raised:
        client.messages.create(**MESSAGE)
    assert raised.value.body["error"]["type"] == "overloaded_error"
    assert 1 <= int(raised.value.response.headers["retry-after"]) <= 30


# -- 4.2: Codex --------------------------------------------------------------------------------------------------------


def test_codex_finds_all_that_it_needs_in_a_stream_that_we_made(server: Server, upstream: Upstream, caller: Caller):
    upstream.answer("gpt-5", scripts.plain(vendors.responses_tool_answer()))
    answer = ask(server, RESPONSES, caller.secret, is_stream=True)
    assert names(answer) == [event["type"] for event in answer.events]
    done = next(event["item"] for event in answer.events if event["type"] == "response.output_item.done")
    assert (done["call_id"], done["name"], json.loads(done["arguments"])) == ("call_1", *vendors.TOOL)
    last = answer.events[-1]
    assert (last["type"], last["response"]["id"]) == ("response.completed", "resp_1")
    assert last["response"]["usage"]["total_tokens"] == 1200
    numbers = [event["sequence_number"] for event in answer.events]
    assert numbers == list(range(len(numbers)))
    assert {"id", "created_at", "model"} <= answer.events[0]["response"].keys()  # the AI SDK
    assert b"[DONE]" not in answer.body


def test_a_response_that_fails_in_band_is_a_whole_response(server: Server, upstream: Upstream, caller: Caller):
    gate = upstream.gate()
    upstream.answer("up-first", scripts.stream([*vendors.responses_events()[:6], gate, Do.CUT], ends=False))
    path, body = RESPONSES.call("one-target", is_stream=True)
    with Raw(server.url) as connection:
        connection.post(path, body, caller.secret)
        head = connection.head()
        first = next(connection.chunks())
        gate.open()
        answer = Answer(head.status, head.fields, first + b"".join(connection.chunks()))
    failed = answer.events[-1]
    assert names(answer)[-1] == failed["type"] == "response.failed"
    whole = {"id", "object", "created_at", "status", "model", "error", "output", "tools", "tool_choice", "usage"}
    assert whole <= failed["response"].keys()
    assert failed["response"]["object"] == "response"
    assert failed["response"]["status"] == "failed"
    assert failed["response"]["error"].keys() == {"code", "message"}
    assert failed["response"]["error"]["code"] == "server_error"


@each_format
@pytest.mark.parametrize("status", [401, 402])
def test_codex_can_show_message_and_request_id_of_a_refusal(status, format: Format, server: Server):
    answer = ask(server, format, UNKNOWN if status == 401 else server.caller(0).secret, originator="codex_exec")
    assert answer.error["message"]
    assert answer.get("x-request-id") == answer.get("request-id")


# -- 4.3 and 4.8: Gemini CLI, google-genai -----------------------------------------------------------------------------


def google(server: Server, key: str) -> genai.Client:
    return genai.Client(api_key=key, http_options=types.HttpOptions(base_url=f"{server.url}/v1/gemini"))


@pytest.mark.parametrize("script", ["events", "plain"])
def test_a_gemini_stream_holds_nothing_but_data_lines(script, server: Server, upstream: Upstream, caller: Caller):
    if script == "plain":
        upstream.answer(MODELS[GEMINI], scripts.plain(vendors.gemini_answer()))
    answer = ask(server, GEMINI, caller.secret, is_stream=True)
    lines = [line for line in answer.body.splitlines() if line]
    assert all(line.startswith(b"data: {") for line in lines)


def test_the_router_of_gemini_cli_gets_its_json(server: Server, upstream: Upstream, caller: Caller):
    """Both ways to send a key at once, and a schema that must arrive as it was written."""
    schema = {"type": "object", "properties": {"complexity_reasoning": {"type": "string"}, "complexity_score": {}}}
    config = {"responseMimeType": "application/json", "responseJsonSchema": schema}
    said = '{"complexity_reasoning":"x","complexity_score":1}'
    body = {"contents": GEMINI.body["contents"], "generationConfig": config}
    upstream.answer_all(lambda _: scripts.plain(vendors.gemini_answer(said)))
    path = "/v1/gemini/v1beta/models/gemini-3.5-flash-lite:generateContent"
    answer = server.call(path, body, caller.secret, x_goog_api_key=caller.secret)
    assert answer.json["candidates"][0]["content"]["parts"][0]["text"] == said
    assert upstream.request().json["generationConfig"] == config


@pytest.mark.parametrize("is_stream", [False, True], ids=["plain", "stream"])
def test_googles_client_can_read_every_refusal(is_stream, server: Server, upstream: Upstream, caller: Caller):
    for key, model, code, status in (
        (UNKNOWN, MODELS[GEMINI], 401, "UNAUTHENTICATED"),
        (server.caller(0).secret, MODELS[GEMINI], 402, "FAILED_PRECONDITION"),
        (server.caller(1000, models=("glm-5",)).secret, MODELS[GEMINI], 403, "PERMISSION_DENIED"),
        (caller.secret, "nothing", 400, "INVALID_ARGUMENT"),
    ):
        client = google(server, key)
        call = client.models.generate_content_stream if is_stream else client.models.generate_content
        with pytest.raises(errors.ClientError) as raised:
            list(call(model=model, contents=MARK))
        assert (raised.value.code, raised.value.status) == (code, status)
        assert raised.value.message


# -- 4.4 to 4.6 and 4.9: OpenCode, the AI SDK, OpenAI's SDKs, aider ----------------------------------------------------


def test_every_line_of_a_chat_stream_has_choices_or_an_error(server: Server, upstream: Upstream, caller: Caller):
    """What the AI SDK's checks want; also of a stream that we made, and of one that fails."""
    gate = upstream.gate()
    upstream.answer("up-first", scripts.plain(vendors.chat_answer()))
    made = ask(server, CHAT, caller.secret, model="one-target", is_stream=True)
    upstream.answer("up-first", scripts.stream([*vendors.chat_events()[:3], gate, Do.CUT], ends=False))
    gate.open()
    broken = ask(server, CHAT, caller.secret, model="one-target", is_stream=True)
    for answer in (made, broken):
        assert all("choices" in event or "error" in event for event in answer.events)
        assert b"event:" not in answer.body
    assert made.payloads[-1] == b"[DONE]"
    assert broken.events[-1]["error"].keys() >= {"message", "type", "code", "param"}


def test_openais_helper_reads_a_stream_that_we_made(server: Server, upstream: Upstream, caller: Caller):
    upstream.answer("gpt-5", scripts.plain(vendors.responses_answer()), scripts.plain(vendors.chat_tool_answer()))
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key=caller.secret, max_retries=0) as client:
        with client.responses.stream(model="gpt-5", input=MARK) as stream:
            assert stream.get_final_response().output_text == TEXT
        messages = [{"role": "user", "content": MARK}]
        with client.chat.completions.stream(model="gpt-5", messages=messages) as chunks:
            called = chunks.get_final_completion().choices[0].message.tool_calls[0].function
    assert (called.name, json.loads(called.arguments)) == vendors.TOOL


def test_openais_client_reads_kind_message_and_id_of_a_refusal(server: Server, upstream: Upstream, caller: Caller):
    scoped = server.caller(1000, models=("glm-5",))
    for key, model, kind, type_ in (
        (UNKNOWN, "gpt-5", openai.AuthenticationError, "authentication_error"),
        (server.caller(0).secret, "gpt-5", openai.APIStatusError, "insufficient_credits"),
        (scoped.secret, "gpt-5", openai.PermissionDeniedError, "permission_error"),
        (caller.secret, "nothing", openai.BadRequestError, "invalid_request_error"),
    ):
        with (
            openai.OpenAI(base_url=f"{server.url}/v1", api_key=key, max_retries=0) as client,
            pytest.raises(kind) as raised,
        ):
            client.responses.create(model=model, input=MARK)
        assert raised.value.type == type_
        assert raised.value.request_id.startswith("req_")


def test_what_an_agent_sends_beside_the_standard_is_borne(server: Server, upstream: Upstream, caller: Caller):
    """OpenCode's session headers and reasoning_content, LangChain's explicit `stream: false`."""
    messages = [{"role": "assistant", "content": "", "reasoning_content": "so"}, {"role": "user", "content": MARK}]
    body = {"model": "gpt-5", "messages": messages, "stream": False, "max_tokens": 32000, "tool_choice": "auto"}
    answer = server.call(CHAT.path, body, caller.secret, x_session_id="s", x_session_affinity="s")
    assert answer.status == 200
    assert upstream.request().json == body


# -- 5: shapes of all --------------------------------------------------------------------------------------------------


@each_format
def test_every_refusal_has_its_fields(format: Format, server: Server, upstream: Upstream, caller: Caller):
    upstream.answer("up-first", *[scripts.plain({"error": {"message": UPSTREAM_KEY}}, 503)] * 2)
    scoped = server.caller(1000, models=("glm-5",))
    answers = [
        ask(server, format, caller.secret, model="nothing"),
        ask(server, format, UNKNOWN),
        ask(server, format, server.caller(0).secret),
        ask(server, format, scoped.secret),
        ask(server, format, caller.secret, model="one-target"),
    ]
    assert [answer.status for answer in answers] == [400, 401, 402, 403, 503]
    for answer in answers:
        assert answer.get("content-type") == "application/json"
        assert answer.get("request-id") == answer.request_id
        assert (answer.get("x-should-retry") == "false") == (answer.status != 503)
        assert (answer.get("retry-after") is not None) == (answer.status == 503)
        assert (answer.get("x-ratelimit-limit") is not None) == (answer.status != 401)
        assert UPSTREAM_KEY not in str(answer)
    assert len({answer.request_id for answer in answers}) == len(answers)


@each_format
def test_streams_are_framed_as_their_dialect_has_it(format: Format, server: Server, upstream: Upstream, caller: Caller):
    answer = ask(server, format, caller.secret, is_stream=True)
    assert answer.get("content-type") == "text/event-stream; charset=utf-8"
    assert bool(names(answer)) == (format in (MESSAGES, RESPONSES))
    assert (answer.payloads[-1] == b"[DONE]") == (format is CHAT)


@each_format
def test_a_failure_in_a_stream_is_one_event_and_the_end(format: Format, server: Server, upstream: Upstream, caller):
    gate = upstream.gate()
    events = format.events()[: format.announcements + 2]
    upstream.answer("up-first", scripts.stream([*events, gate, Do.CUT], ends=False))
    path, body = format.call("one-target", is_stream=True)
    with Raw(server.url) as connection:
        connection.post(path, body, caller.secret)
        head = connection.head()
        first = next(connection.chunks())
        gate.open()
        rest = b"".join(connection.chunks())
        connection.post(path, body, caller.secret)  # the connection is whole: another call may follow
        assert connection.answer().status == 200
    assert_failed_in_band(Answer(head.status, head.fields, first + rest), path)
    assert (first + rest).removeprefix(b"".join(events)).count(b"data:") == 1
