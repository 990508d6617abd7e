"""A server without any provider key: the real small model answers in all four dialects, to the official clients."""

import anthropic
import openai
import pytest
from google import genai
from google.genai import types
from tests.support import raw
from tests.support.server import Caller, Server

ASK = "Say hello in one short sentence."
MESSAGES = [{"role": "user", "content": ASK}]


@pytest.fixture(scope="module")
def payer(local_server: Server) -> Caller:
    return local_server.caller(10_000)


@pytest.fixture
def openai_client(local_server: Server, payer: Caller):
    with openai.OpenAI(base_url=f"{local_server.url}/v1", api_key=payer.secret) as made:
        yield made


@pytest.fixture
def anthropic_client(local_server: Server, payer: Caller):
    with anthropic.Anthropic(base_url=local_server.url, api_key=payer.secret) as made:
        yield made


@pytest.fixture
def google_client(local_server: Server, payer: Caller):
    return genai.Client(api_key=payer.secret, http_options=types.HttpOptions(base_url=f"{local_server.url}/v1/gemini"))


def assert_charged(server: Server, answer_headers) -> None:
    row = server.usage(answer_headers["x-hypereal-request-id"])
    assert (row["provider"], row["status"], row["is_estimated"]) == ("local", 200, False)
    assert row["input_tokens"] > 0
    assert row["output_tokens"] > 0
    assert row["charged"] > 0


def test_chat(openai_client: openai.OpenAI, local_server: Server):
    answer = openai_client.chat.completions.with_raw_response.create(model="gpt-5", messages=MESSAGES, max_tokens=12)
    assert answer.headers["x-hypereal-provider"] == "local"
    assert answer.parse().choices[0].message.content.strip()
    assert_charged(local_server, answer.headers)


def test_chat_stream(openai_client: openai.OpenAI):
    stream = openai_client.chat.completions.create(model="glm-5", messages=MESSAGES, max_tokens=12, stream=True)
    chunks = list(stream)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks).strip()
    assert chunks[-1].usage.completion_tokens > 0


def test_responses(openai_client: openai.OpenAI, local_server: Server):
    answer = openai_client.responses.with_raw_response.create(model="gpt-5-codex", input=ASK, max_output_tokens=16)
    assert answer.parse().output_text.strip()
    assert_charged(local_server, answer.headers)
    *_, last = openai_client.responses.create(model="gpt-5", input=ASK, max_output_tokens=16, stream=True)
    assert last.type in ("response.completed", "response.incomplete")  # as the model had enough of its 16 tokens or not
    assert last.response.output_text.strip()


def test_messages(anthropic_client: anthropic.Anthropic, local_server: Server):
    ask = {"model": "claude-sonnet-4-6", "max_tokens": 12, "messages": MESSAGES}
    answer = anthropic_client.messages.with_raw_response.create(**ask)
    assert answer.parse().content[0].text.strip()
    assert_charged(local_server, answer.headers)
    with anthropic_client.messages.stream(**ask) as stream:
        assert "".join(stream.text_stream).strip()
    assert anthropic_client.messages.count_tokens(model="claude-haiku-4-5", messages=MESSAGES).input_tokens > 3


def test_gemini_over_the_bridge(google_client: genai.Client):
    config = types.GenerateContentConfig(max_output_tokens=12)
    answer = google_client.models.generate_content(model="gemini-2.5-flash", contents=ASK, config=config)
    assert answer.text.strip()
    assert answer.usage_metadata.candidates_token_count > 0
    stream = google_client.models.generate_content_stream(model="gemini-3.1-pro", contents=ASK, config=config)
    assert "".join(chunk.text or "" for chunk in stream).strip()


def test_a_prompt_over_the_window_is_cut_and_says_so(local_server: Server, payer: Caller):
    messages = [{"role": "user", "content": "many words " * 8000}]
    room = {"max_tokens": 1024, "stop": ["a", "e", "i", "o", " "]}  # less is read, and the answer is short all the same
    answer = local_server.call("/v1/chat/completions", {"model": "gpt-5", "messages": messages, **room}, payer.secret)
    assert (answer.status, answer.get("x-hypereal-local-truncated")) == (200, "true")


def test_who_leaves_gives_the_model_free(local_server: Server, payer: Caller):
    body = {"model": "gpt-5", "messages": MESSAGES, "stream": True, "max_tokens": 2000}
    for _ in range(6):  # more than its queue holds
        with raw.Raw(local_server.url) as connection:
            connection.post("/v1/chat/completions", body, payer.secret)
            assert connection.head().status == 200
    assert (
        local_server.call("/v1/chat/completions", {**body, "stream": False, "max_tokens": 2}, payer.secret).status
        == 200
    )
    local_server.is_idle(payer)
