"""The request that reaches a model: path, host and credential per dialect."""

from pathlib import Path

import pytest

from hypereal.kit.dialects import Dialect
from hypereal.providers import load, request_for

KEYS = {"OPENAI_API_KEY": "k", "ANTHROPIC_API_KEY": "k", "GEMINI_API_KEY": "k"}
PROVIDERS = load({"near": {"dialects": ["gemini"], "base_url": "http://[::1]:81/v1"}}, KEYS, Path("/run/local.sock"))


@pytest.mark.parametrize(
    ("provider", "dialect", "stream", "host", "target", "header"),
    [
        ("openai", "openai_chat", True, "api.openai.com", "/v1/chat/completions", (b"authorization", b"Bearer k")),
        ("openai", "openai_responses", False, "api.openai.com", "/v1/responses", (b"authorization", b"Bearer k")),
        ("anthropic", "anthropic_messages", True, "api.anthropic.com", "/v1/messages", (b"x-api-key", b"k")),
        (
            "google",
            "gemini",
            False,
            "generativelanguage.googleapis.com",
            "/v1beta/models/m%2F1:generateContent",
            (b"x-goog-api-key", b"k"),
        ),
        (
            "google",
            "gemini",
            True,
            "generativelanguage.googleapis.com",
            "/v1beta/models/m%2F1:streamGenerateContent?alt=sse",
            (b"x-goog-api-key", b"k"),
        ),
        (
            "google",
            "openai_chat",
            False,
            "generativelanguage.googleapis.com",
            "/v1beta/openai/chat/completions",
            (b"authorization", b"Bearer k"),
        ),
    ],
)
def test_each_dialect_has_its_path_and_its_credential(
    provider: str, dialect: str, stream: bool, host: str, target: str, header: tuple[bytes, bytes]
) -> None:
    request = request_for(PROVIDERS[provider], Dialect(dialect), "m/1", stream=stream)
    assert (request.host, request.port, request.is_tls, request.unix_path) == (host, 443, True, None)
    assert request.authority == host.encode()
    assert request.target == target.encode()
    assert request.headers == (header,)


def test_tokens_are_counted_by_the_two_dialects_that_can() -> None:
    assert request_for(PROVIDERS["anthropic"], Dialect.ANTHROPIC_MESSAGES, "m", count_tokens=True).target == (
        b"/v1/messages/count_tokens"
    )
    assert request_for(PROVIDERS["google"], Dialect.GEMINI, "m", count_tokens=True).target == (
        b"/v1beta/models/m:countTokens"
    )
    with pytest.raises(ValueError, match="counts tokens"):
        request_for(PROVIDERS["openai"], Dialect.OPENAI_CHAT, "m", count_tokens=True)


def test_the_local_model_is_reached_by_its_socket_without_a_credential() -> None:
    request = request_for(PROVIDERS["local"], Dialect.ANTHROPIC_MESSAGES, "m")
    assert (request.unix_path, request.target, request.headers) == ("/run/local.sock", b"/v1/messages", ())


def test_another_port_and_an_ipv6_address_stand_in_the_authority() -> None:
    request = request_for(PROVIDERS["near"], Dialect.GEMINI, "m")
    assert (request.host, request.port, request.is_tls, request.authority) == ("::1", 81, False, b"[::1]:81")


def test_no_repr_shows_a_header() -> None:
    assert repr(request_for(PROVIDERS["openai"], Dialect.OPENAI_CHAT, "m")) == (
        "UpstreamRequest(api.openai.com /v1/chat/completions)"
    )


def test_a_dialect_that_a_provider_does_not_speak_is_an_error() -> None:
    with pytest.raises(KeyError):
        request_for(PROVIDERS["anthropic"], Dialect.OPENAI_CHAT, "m")
