"""What each client appends to the base URL that its users give it, and that it reaches the right thing.

Not served yet, so not here: `/embeddings` and `/images/generations` (no such route), and what needs a bridge.
"""

from collections.abc import Sequence
from typing import Any

import pytest
from tests.contract.gateway.formats import CHAT, GEMINI, MESSAGES, RESPONSES, Format
from tests.support import vendors
from tests.support.server import Caller, Server
from tests.support.upstream import Upstream

ORIGINS, OPENAI = ("", "/api", "/v1", "/api/v1"), ("/v1", "/api/v1", "/v1/v1", "/api/v1/v1")
CODEX = ("/v1", "/api/v1", "/v1/codex", "/api/v1/codex")
GOOGLE = ("", "/v1", "/api/v1", "/v1/gemini", "/api/v1/gemini")
GOOGLE_VERSIONED = tuple(base + "/v1beta" for base in GOOGLE)
MODELS = {CHAT: "gpt-5.4", RESPONSES: "gpt-5.3-codex", MESSAGES: "claude-sonnet-4-6", GEMINI: "gemini-2.5-flash"}
UPSTREAM_PATHS = {
    CHAT: "/v1/chat/completions",
    RESPONSES: "/v1/responses",
    MESSAGES: "/v1/messages",
    GEMINI: "/v1beta/models/gemini-2.5-flash:",
}
GENERATES: Sequence[tuple[str, Sequence[str], str, Format]] = [
    ("Claude Code", ORIGINS, "/v1/messages?beta=true", MESSAGES),
    ("Anthropic SDKs, LangChain, litellm", ORIGINS, "/v1/messages", MESSAGES),
    ("litellm with a whole URL", [base + "/v1/messages" for base in ORIGINS], "", MESSAGES),
    ("AI SDK and OpenCode anthropic", OPENAI, "/messages", MESSAGES),
    ("OpenAI SDKs, Agents, LangChain, aider", OPENAI, "/chat/completions", CHAT),
    ("OpenAI SDKs, AI SDK's default, OpenCode", OPENAI, "/responses", RESPONSES),
    ("Codex", CODEX, "/responses", RESPONSES),
    ("google-genai, Gemini CLI", GOOGLE, "/v1beta/models/{model}:{method}", GEMINI),
    ("google-genai of another version", GOOGLE, "/v1/models/{model}:{method}", GEMINI),
    ("google-genai without a version", GOOGLE, "/models/{model}:{method}", GEMINI),
    ("AI SDK and OpenCode google", GOOGLE_VERSIONED, "/models/{model}:{method}", GEMINI),
]
ROUTES = [
    pytest.param(base + path, format, id=f"{client}: {base or '/'}")
    for client, bases, path, format in GENERATES
    for base in bases
]


@pytest.mark.parametrize(("path", "format"), ROUTES)
@pytest.mark.parametrize("is_stream", [False, True], ids=["plain", "stream"])
def test_a_call_reaches_its_format(is_stream, path, format: Format, server: Server, upstream: Upstream, caller: Caller):
    _, body = format.call(MODELS[format], is_stream=is_stream)
    method = "streamGenerateContent?alt=sse" if is_stream else "generateContent"
    answer = server.call(path.format(model=MODELS[format], method=method), body, caller.secret)
    assert answer.status == 200
    assert upstream.request().path.startswith(UPSTREAM_PATHS[format])
    good = b"".join(format.events()) if is_stream else vendors.encode(format.whole())
    assert format.said(answer.body) == format.said(good)


COUNTS = [
    *(pytest.param(base + "/v1/messages/count_tokens?beta=true", MESSAGES, id=f"claude {base}") for base in ORIGINS),
    *(
        pytest.param(base + "/v1beta/models/gemini-2.5-flash:countTokens", GEMINI, id=f"google {base}")
        for base in GOOGLE
    ),
]


@pytest.mark.parametrize(("path", "format"), COUNTS)
def test_counting_of_tokens_is_free_and_reaches_the_vendor(path, format, server: Server, upstream: Upstream):
    poor = server.caller(0)
    _, body = format.call(MODELS[format], is_stream=False)
    answer = server.call(path, body, poor.secret)
    assert answer.json == ({"totalTokens": 42} if format is GEMINI else {"input_tokens": 42})
    assert len(upstream.requests) == 1


def listed(server: Server, path: str, key: str, **fields: str) -> Any:
    answer = server.call(path, b"", key, method="GET", **fields)
    assert answer.status == 200
    return answer.json


@pytest.mark.parametrize("base", ORIGINS)
def test_models_for_claude_code_and_anthropic_sdks(base, server: Server, caller: Caller):
    version = {"anthropic_version": "2023-06-01"}
    found = listed(server, f"{base}/v1/models?limit=1000", caller.secret, **version)
    names = [model["id"] for model in found["data"]]
    assert {"claude-opus-4-6", "claude-sonnet-4-6", "claude-haiku-4-5"} <= set(names)
    assert (found["first_id"], found["last_id"], found["has_more"]) == (names[0], names[-1], False)
    assert all(model["type"] == "model" and model["display_name"] and model["created_at"] for model in found["data"])
    assert listed(server, f"{base}/v1/models/claude-opus-4-6", caller.secret, **version)["type"] == "model"


@pytest.mark.parametrize("base", OPENAI)
def test_models_for_openai_sdks(base, server: Server, caller: Caller):
    found = listed(server, f"{base}/models", caller.secret)
    assert found["object"] == "list"
    assert {"gpt-5", "glm-5"} <= {model["id"] for model in found["data"]}
    assert listed(server, f"{base}/models/gpt-5", caller.secret)["object"] == "model"


@pytest.mark.parametrize("base", GOOGLE_VERSIONED)
def test_models_for_google_clients(base, server: Server, caller: Caller):
    found = listed(server, f"{base}/models", caller.secret, x_goog_api_key=caller.secret)
    assert all(model["name"].startswith("models/") for model in found["models"])
    name = found["models"][0]["name"]
    assert listed(server, f"{base}/{name}", caller.secret)["name"] == name


def test_a_model_of_another_vendor_may_stand_in_a_gemini_path(server: Server, upstream: Upstream, caller: Caller):
    answer = server.call("/v1beta/models/gpt-5.4:generateContent", {"contents": GEMINI.body["contents"]}, caller.secret)
    assert answer.json["candidates"][0]["content"]["parts"][0]["text"] == "".join(vendors.TEXT)
    assert upstream.request().path == "/v1/chat/completions"
