"""The official `google-genai` client, sync and async: native upstreams, and text over the bridge to others."""

import pytest
from google import genai
from google.genai import errors, types
from tests.support import upstream as scripts
from tests.support import vendors
from tests.support.server import MARK, Caller, Server
from tests.support.upstream import Do, Upstream

TEXT = "".join(vendors.TEXT)
MODEL = "gemini-2.5-flash"
PREFIXES = ["/api/v1/gemini", "/api/v1", "/v1/gemini", "/v1", "", "/v1/gemini/"]


def make(server: Server, key: str, base: str = "/v1/gemini", version: str | None = None) -> genai.Client:
    options = types.HttpOptions(base_url=server.url + base, api_version=version)
    return genai.Client(api_key=key, http_options=options)


@pytest.fixture
def client(server: Server, caller: Caller):
    return make(server, caller.secret)


@pytest.mark.parametrize("base", PREFIXES)
@pytest.mark.parametrize("version", [None, "v1", "v1alpha"])
def test_every_base_url_works(base, version, server: Server, upstream: Upstream, caller: Caller):
    client = make(server, caller.secret, base, version)
    assert client.models.generate_content(model=MODEL, contents=MARK).text == TEXT
    assert client.models.count_tokens(model=MODEL, contents=MARK).total_tokens == 42


def test_content(client: genai.Client, upstream: Upstream):
    answer = client.models.generate_content(model=MODEL, contents=MARK)
    assert answer.text == TEXT
    assert answer.usage_metadata.cached_content_token_count == 400


async def test_content_async(client: genai.Client, upstream: Upstream):
    assert (await client.aio.models.generate_content(model=MODEL, contents=MARK)).text == TEXT


def test_a_stream(client: genai.Client, upstream: Upstream):
    chunks = list(client.models.generate_content_stream(model=MODEL, contents=MARK))
    assert "".join(chunk.text for chunk in chunks) == TEXT
    assert chunks[-1].usage_metadata.thoughts_token_count == 50


async def test_a_stream_async(client: genai.Client, upstream: Upstream):
    stream = await client.aio.models.generate_content_stream(model=MODEL, contents=MARK)
    assert "".join([chunk.text async for chunk in stream]) == TEXT


def test_tools_and_thought_signatures(client: genai.Client, upstream: Upstream):
    name = upstream_name(client, upstream)
    upstream.answer(name, scripts.plain(vendors.gemini_tool_answer()), scripts.stream(vendors.gemini_tool_events()))
    declaration = types.FunctionDeclaration(name="get_weather", parameters_json_schema={"type": "object"})
    config = types.GenerateContentConfig(tools=[types.Tool(function_declarations=[declaration])])
    answer = client.models.generate_content(model=MODEL, contents=MARK, config=config)
    assert (answer.function_calls[0].name, answer.function_calls[0].args) == vendors.TOOL
    assert answer.candidates[0].content.parts[0].thought_signature == b"sig"
    *_, last = client.models.generate_content_stream(model=MODEL, contents=MARK, config=config)
    assert (last.function_calls[0].name, last.function_calls[0].args) == vendors.TOOL


def test_models(client: genai.Client):
    names = [model.name for model in client.models.list()]
    assert "models/gemini-3.1-pro" in names
    assert not any("claude" in name for name in names)


def test_text_over_the_bridge(client: genai.Client, upstream: Upstream):
    config = types.GenerateContentConfig(system_instruction="Be brief.", max_output_tokens=50, temperature=0.5)
    answer = client.models.generate_content(model="gpt-5", contents=MARK, config=config)
    assert answer.text == TEXT
    assert answer.usage_metadata.prompt_token_count == 1000
    sent = upstream.request().json
    assert sent["messages"] == [{"role": "system", "content": "Be brief."}, {"role": "user", "content": MARK}]


async def test_a_stream_over_the_bridge(client: genai.Client, upstream: Upstream):
    stream = await client.aio.models.generate_content_stream(model="gpt-5", contents=MARK)
    chunks = [chunk async for chunk in stream]
    assert "".join(chunk.text or "" for chunk in chunks) == TEXT
    assert chunks[-1].usage_metadata.total_token_count == 1200


# -- errors ------------------------------------------------------------------------------------------------------------


def test_an_unknown_model_is_a_client_error(client: genai.Client):
    with pytest.raises(errors.ClientError) as raised:
        client.models.generate_content(model="nothing", contents=MARK)
    assert (raised.value.code, raised.value.status) == (400, "INVALID_ARGUMENT")
    assert "nothing" in raised.value.message


def test_a_wrong_key_is_a_client_error(server: Server):
    client = make(server, "AIza-other")
    with pytest.raises(errors.ClientError) as raised:
        client.models.generate_content(model=MODEL, contents=MARK)
    assert (raised.value.code, raised.value.status) == (401, "UNAUTHENTICATED")


def test_an_empty_wallet_is_402(server: Server):
    client = make(server, server.caller(0).secret)
    with pytest.raises(errors.ClientError) as raised:
        client.models.generate_content(model=MODEL, contents=MARK)
    assert raised.value.code == 402
    assert "credits" in raised.value.message


def test_a_failed_upstream_is_a_server_error(client: genai.Client, upstream: Upstream):
    name = upstream_name(client, upstream)
    upstream.answer(name, *[scripts.plain([{"error": {"code": 500, "message": "x", "status": "INTERNAL"}}], 500)] * 3)
    with pytest.raises(errors.ServerError) as raised:
        client.models.generate_content(model=MODEL, contents=MARK)
    assert raised.value.code == 502


def test_a_stream_that_breaks_raises(client: genai.Client, upstream: Upstream):
    name = upstream_name(client, upstream)
    gate = upstream.gate()
    upstream.answer(name, scripts.stream([vendors.gemini_events()[0], gate, Do.CUT], ends=False))
    stream = client.models.generate_content_stream(model=MODEL, contents=MARK)
    next(stream)
    gate.open()
    with pytest.raises(errors.APIError, match="broke off"):
        list(stream)


def upstream_name(client: genai.Client, upstream: Upstream) -> str:
    """What the vendor calls MODEL."""
    client.models.generate_content(model=MODEL, contents=MARK)
    name = upstream.request().model
    upstream.reset()
    return name
