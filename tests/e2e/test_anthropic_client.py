"""The official `anthropic` client, sync and async, against the scripted upstream."""

import anthropic
import pytest
from tests.support import upstream as scripts
from tests.support import vendors
from tests.support.server import MARK, Caller, Server
from tests.support.upstream import Do, Upstream

TEXT = "".join(vendors.TEXT)
MODEL = "claude-opus-4-6"
ASK = {"model": MODEL, "max_tokens": 1000, "messages": [{"role": "user", "content": MARK}]}
TOOLS = [{"name": "get_weather", "input_schema": {"type": "object", "properties": {}}}]


@pytest.fixture
def client(server: Server, caller: Caller):
    with anthropic.Anthropic(base_url=server.url, api_key=caller.secret, max_retries=0) as made:
        yield made


@pytest.fixture
async def async_client(server: Server, caller: Caller):
    async with anthropic.AsyncAnthropic(base_url=f"{server.url}/api", api_key=caller.secret, max_retries=0) as made:
        yield made


@pytest.mark.parametrize("base", ["", "/api", "/v1", "/api/v1"])
def test_every_base_url_works(base, server: Server, upstream: Upstream, caller: Caller):
    with anthropic.Anthropic(base_url=server.url + base, api_key=caller.secret) as client:
        assert client.messages.create(**ASK).content[0].text == TEXT
        assert client.messages.count_tokens(model=MODEL, messages=ASK["messages"]).input_tokens == 42
        assert MODEL in [model.id for model in client.models.list(limit=1000)]
        assert client.models.retrieve(MODEL).id == MODEL


def test_a_message(client: anthropic.Anthropic, upstream: Upstream):
    message = client.messages.create(**ASK)
    assert message.content[0].text == TEXT
    assert message.usage.cache_read_input_tokens == 400


async def test_a_message_async(async_client: anthropic.AsyncAnthropic, upstream: Upstream):
    assert (await async_client.messages.create(**ASK)).content[0].text == TEXT


def test_a_stream(client: anthropic.Anthropic, upstream: Upstream):
    with client.messages.stream(**ASK) as stream:
        assert "".join(stream.text_stream) == TEXT
        assert stream.get_final_message().usage.output_tokens == 200


async def test_a_stream_async(async_client: anthropic.AsyncAnthropic, upstream: Upstream):
    async with async_client.messages.stream(**ASK) as stream:
        assert "".join([text async for text in stream.text_stream]) == TEXT


def test_tools(client: anthropic.Anthropic, upstream: Upstream):
    upstream.answer(
        MODEL, scripts.plain(vendors.messages_tool_answer()), scripts.stream(vendors.messages_tool_events())
    )
    called = client.messages.create(**ASK, tools=TOOLS).content[0]
    assert (called.name, called.input) == vendors.TOOL
    with client.messages.stream(**ASK, tools=TOOLS) as stream:
        called = stream.get_final_message().content[0]
    assert (called.name, called.input) == vendors.TOOL


def test_betas_reach_the_vendor(client: anthropic.Anthropic, upstream: Upstream):
    client.beta.messages.create(**ASK, betas=["context-1m-2025-08-07"])
    assert upstream.request().get("anthropic-beta") == "context-1m-2025-08-07"


def test_headers_of_a_raw_response(client: anthropic.Anthropic, upstream: Upstream):
    raw = client.messages.with_raw_response.create(**ASK)
    assert float(raw.headers["x-hypereal-cost-credits"]) == 0.678
    assert raw.request_id == raw.headers["x-hypereal-request-id"]


# -- errors ------------------------------------------------------------------------------------------------------------


def test_an_unknown_model_is_a_bad_request(client: anthropic.Anthropic):
    with pytest.raises(anthropic.BadRequestError) as raised:
        client.messages.create(**{**ASK, "model": "nothing"})
    assert raised.value.request_id.startswith("req_")
    assert MODEL in raised.value.body["error"]["available_models"]


def test_a_wrong_key_is_an_authentication_error(server: Server):
    with (
        anthropic.Anthropic(base_url=server.url, api_key="ck_" + "0" * 64) as client,
        pytest.raises(anthropic.AuthenticationError),
    ):
        client.messages.create(**ASK)


def test_an_empty_wallet_is_402(server: Server):
    with (
        anthropic.Anthropic(base_url=server.url, api_key=server.caller(0).secret) as client,
        pytest.raises(anthropic.APIStatusError) as raised,
    ):
        client.messages.create(**ASK)
    assert raised.value.status_code == 402
    assert "credits" in raised.value.message


def test_a_failed_upstream_is_an_internal_server_error(client: anthropic.Anthropic, upstream: Upstream):
    upstream.answer(MODEL, *[scripts.plain(b"<html>", 529, content_type="text/html")] * 3)
    with pytest.raises(anthropic.InternalServerError) as raised:
        client.messages.create(**ASK)
    assert raised.value.status_code == 503
    assert "html" not in str(raised.value)


def test_a_stream_that_breaks_raises(client: anthropic.Anthropic, upstream: Upstream):
    gate = upstream.gate()
    upstream.answer(MODEL, scripts.stream([*vendors.messages_events()[:4], gate, Do.CUT], ends=False))
    with client.messages.stream(**ASK) as stream:
        next(stream)
        gate.open()
        with pytest.raises(anthropic.APIStatusError, match="broke off"):
            list(stream)
