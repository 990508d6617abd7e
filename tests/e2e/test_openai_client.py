"""The official `openai` client, sync and async, against the scripted upstream."""

import json

import openai
import pytest
from tests.support import upstream as scripts
from tests.support import vendors
from tests.support.server import MARK, UPSTREAM_KEY, Caller, Server
from tests.support.upstream import Do, Upstream

TEXT = "".join(vendors.TEXT)
MESSAGES = [{"role": "user", "content": MARK}]
TOOLS = [{"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {}}}}]


@pytest.fixture(params=["/v1", "/api/v1", "/v1/v1", "/api/v1/v1"])
def any_base(request: pytest.FixtureRequest, server: Server) -> str:
    return server.url + request.param


@pytest.fixture
def client(server: Server, caller: Caller):
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key=caller.secret, max_retries=0) as made:
        yield made


@pytest.fixture
async def async_client(server: Server, caller: Caller):
    async with openai.AsyncOpenAI(base_url=f"{server.url}/api/v1", api_key=caller.secret, max_retries=0) as made:
        yield made


def test_every_base_url_works(any_base: str, upstream: Upstream, caller: Caller):
    with openai.OpenAI(base_url=any_base, api_key=caller.secret) as client:
        assert client.chat.completions.create(model="gpt-5", messages=MESSAGES).choices[0].message.content == TEXT
        assert client.responses.create(model="gpt-5", input=MARK).output_text == TEXT
        assert "gpt-5" in [model.id for model in client.models.list()]


def test_chat(client: openai.OpenAI, upstream: Upstream):
    answer = client.chat.completions.create(model="gpt-5", messages=MESSAGES)
    assert answer.choices[0].message.content == TEXT
    assert answer.usage.prompt_tokens_details.cached_tokens == 400


async def test_chat_async(async_client: openai.AsyncOpenAI, upstream: Upstream):
    answer = await async_client.chat.completions.create(model="gpt-5", messages=MESSAGES)
    assert answer.choices[0].message.content == TEXT


def test_chat_stream(client: openai.OpenAI, upstream: Upstream):
    chunks = list(client.chat.completions.create(model="gpt-5", messages=MESSAGES, stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == TEXT
    assert chunks[-1].usage.completion_tokens == 200


async def test_chat_stream_async_with_usage_asked_for(async_client: openai.AsyncOpenAI, upstream: Upstream):
    options = {"include_usage": True}
    stream = await async_client.chat.completions.create(
        model="gpt-5", messages=MESSAGES, stream=True, stream_options=options
    )
    chunks = [chunk async for chunk in stream]
    assert chunks[-1].choices == []
    assert chunks[-1].usage.total_tokens == 1200


def test_chat_tools(client: openai.OpenAI, upstream: Upstream):
    upstream.answer("gpt-5", scripts.plain(vendors.chat_tool_answer()), scripts.stream(vendors.chat_tool_events()))
    answer = client.chat.completions.create(model="gpt-5", messages=MESSAGES, tools=TOOLS)
    called = answer.choices[0].message.tool_calls[0].function
    assert (called.name, json.loads(called.arguments)) == vendors.TOOL
    with client.chat.completions.stream(model="gpt-5", messages=MESSAGES, tools=TOOLS) as stream:
        called = stream.get_final_completion().choices[0].message.tool_calls[0].function
    assert (called.name, json.loads(called.arguments)) == vendors.TOOL


def test_responses(client: openai.OpenAI, upstream: Upstream):
    answer = client.responses.create(model="gpt-5.3-codex", input=MARK)
    assert answer.output_text == TEXT
    assert answer.usage.input_tokens_details.cached_tokens == 400


async def test_responses_async_stream_helper(async_client: openai.AsyncOpenAI, upstream: Upstream):
    async with async_client.responses.stream(model="gpt-5", input=MARK) as stream:
        deltas = [event.delta async for event in stream if event.type == "response.output_text.delta"]
        final = await stream.get_final_response()
    assert "".join(deltas) == final.output_text == TEXT


def test_responses_tools(client: openai.OpenAI, upstream: Upstream):
    tools = [{"type": "function", "name": "get_weather", "parameters": {}, "strict": False}]
    upstream.answer("gpt-5", scripts.plain(vendors.responses_tool_answer()))
    upstream.answer("gpt-5", scripts.stream(vendors.responses_tool_events()))
    called = client.responses.create(model="gpt-5", input=MARK, tools=tools).output[0]
    assert (called.name, json.loads(called.arguments)) == vendors.TOOL
    with client.responses.stream(model="gpt-5", input=MARK, tools=tools) as stream:
        called = stream.get_final_response().output[0]
    assert (called.name, json.loads(called.arguments)) == vendors.TOOL


def test_a_stream_from_an_upstream_that_answers_json_and_the_reverse(client: openai.OpenAI, upstream: Upstream):
    upstream.answer("gpt-5", scripts.plain(vendors.responses_answer()), scripts.stream(vendors.responses_events()))
    with client.responses.stream(model="gpt-5", input=MARK) as stream:
        assert stream.get_final_response().output_text == TEXT
    assert client.responses.create(model="gpt-5", input=MARK).output_text == TEXT


def test_headers_of_a_raw_response(client: openai.OpenAI, upstream: Upstream):
    raw = client.chat.completions.with_raw_response.create(model="gpt-5", messages=MESSAGES)
    assert float(raw.headers["x-hypereal-cost-credits"]) == 0.112
    assert raw.headers["x-hypereal-provider"] == "openai"
    assert raw.parse().choices[0].message.content == TEXT
    assert raw.request_id == raw.headers["x-hypereal-request-id"]


def test_models(client: openai.OpenAI):
    assert client.models.retrieve("claude-opus-4-6").id == "claude-opus-4-6"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("nothing")


# -- errors ------------------------------------------------------------------------------------------------------------


def test_an_unknown_model_is_a_bad_request(client: openai.OpenAI):
    with pytest.raises(openai.BadRequestError) as raised:
        client.chat.completions.create(model="nothing", messages=MESSAGES)
    assert raised.value.code == "model_not_found"
    assert raised.value.param == "model"
    assert raised.value.request_id.startswith("req_")
    assert "gpt-5" in raised.value.body["available_models"]


def test_a_wrong_key_is_an_authentication_error(server: Server):
    with (
        openai.OpenAI(base_url=f"{server.url}/v1", api_key="sk-other") as client,
        pytest.raises(openai.AuthenticationError) as raised,
    ):
        client.chat.completions.create(model="gpt-5", messages=MESSAGES)
    assert "ck_" in raised.value.message
    assert raised.value.type == "authentication_error"


def test_an_empty_wallet_is_402_and_not_tried_again(server: Server, upstream: Upstream):
    poor = server.caller(0)
    with (
        openai.OpenAI(base_url=f"{server.url}/v1", api_key=poor.secret) as client,
        pytest.raises(openai.APIStatusError) as raised,
    ):
        client.responses.create(model="gpt-5", input=MARK)
    assert (raised.value.status_code, raised.value.type) == (402, "insufficient_credits")
    assert len(server.rows_of(poor, 1)) == 1


async def test_a_failed_upstream_is_an_internal_server_error(async_client: openai.AsyncOpenAI, upstream: Upstream):
    upstream.answer("gpt-5", *[scripts.plain({"error": {"message": UPSTREAM_KEY}}, 500)] * 3)
    with pytest.raises(openai.InternalServerError) as raised:
        await async_client.chat.completions.create(model="gpt-5", messages=MESSAGES)
    assert raised.value.status_code == 502
    assert UPSTREAM_KEY not in str(raised.value)


def test_a_stream_that_breaks_raises(client: openai.OpenAI, upstream: Upstream):
    gate = upstream.gate()
    upstream.answer("gpt-5", scripts.stream([*vendors.chat_events()[:2], gate, Do.CUT], ends=False))
    stream = client.chat.completions.create(model="gpt-5", messages=MESSAGES, stream=True)
    next(stream)
    gate.open()
    with pytest.raises(openai.APIError, match="broke off"):
        list(stream)


def test_a_response_that_breaks_fails(client: openai.OpenAI, upstream: Upstream):
    gate = upstream.gate()
    upstream.answer("gpt-5", scripts.stream([*vendors.responses_events()[:5], gate, Do.CUT], ends=False))
    stream = client.responses.create(model="gpt-5", input=MARK, stream=True)
    next(stream)
    gate.open()
    last = list(stream)[-1]
    assert last.type == "response.failed"
    assert "broke off" in last.response.error.message
