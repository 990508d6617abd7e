"""Names: what a caller writes, and which model that is."""

from pathlib import Path

import pytest

from hypereal import providers
from hypereal.catalog import Catalog, load
from hypereal.kit.dialects import Dialect
from hypereal.kit.errors import InvalidRequest, UnknownModel

PROVIDERS = {name: row.base_urls for name, row in providers.load({}, {}, Path("/run/local.sock")).items()}


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load({"mystery": {"targets": ["openai:mystery"]}}, PROVIDERS)


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("gpt-5.4", "gpt-5.4"),
        ("openai/gpt-5", "gpt-5"),
        ("gpt-5-2025-08-07", "gpt-5"),
        ("gpt-5.4-pro", "gpt-5.4-pro-official"),
        ("claude-opus-5-5", "claude-opus-4-6"),
        ("claude-sonnet-5-5", "claude-sonnet-4-6"),
        ("claude-haiku-5-5", "claude-haiku-4-5"),
        ("claude-haiku-4-5-20251001", "claude-haiku-4-5"),
        ("claude-sonnet-4-5-20250929", "claude-sonnet-4-6"),
        ("claude-3-5-sonnet-20241022", "claude-sonnet-4-6"),
        ("claude-3-5-haiku-20241022", "claude-haiku-4-5"),
        ("claude-3-opus-latest", "claude-opus-4-6"),
        ("gemini-3.5-flash-lite", "gemini-3.1-flash-lite-preview-official"),
        ("gemini-3.8-flash", "gemini-3-flash-official"),
        ("gemini-2.5-pro", "gemini-2.5-pro-official"),
        ("models/gemini-2.5-flash", "gemini-2.5-flash-official"),
        ("gemini-2.5-flash-preview-09-2025", "gemini-2.5-flash-official"),
        ("gemini-flash-latest", "gemini-3-flash-official"),
        ("gemini-3.1-flash-image", "nano_banana_2"),
        ("nano-banana-2", "nano_banana_2"),
        ("gemini-3-1-flash-t2i", "nano_banana_2"),
        ("seedance-2-0-turbo-t2v", "doubao-seedance-2-0-fast"),
        ("seedance-2-0", "doubao-seedance-2-0"),
    ],
)
def test_names_that_clients_use_find_their_model(catalog: Catalog, name: str, model: str) -> None:
    for _ in range(2):
        found = catalog.find(name)
        assert found is not None
        assert found.id == model


@pytest.mark.parametrize(
    "name", ["gpt-9", "", "gpt-5.4 ", "GPT-5.4", "claude", "x" * 10_000, "models/", "claude-opus\n"]
)
def test_names_of_no_line_are_unknown_and_the_error_lists_what_works(catalog: Catalog, name: str) -> None:
    with pytest.raises(UnknownModel) as caught:
        catalog.require(name, Dialect.OPENAI_CHAT)
    assert caught.value.details["available_models"] == catalog.ids_for(Dialect.OPENAI_CHAT)
    assert len(caught.value.message) < 300


@pytest.mark.parametrize("endpoint", [Dialect.OPENAI_CHAT, Dialect.OPENAI_RESPONSES, Dialect.GEMINI])
@pytest.mark.parametrize("name", ["claude-opus-4-6", "claude-sonnet-5-5"])
def test_claude_elsewhere_is_sent_to_messages(catalog: Catalog, endpoint: Dialect, name: str) -> None:
    with pytest.raises(InvalidRequest, match=r"use POST /v1/messages\."):
        catalog.require(name, endpoint)


@pytest.mark.parametrize(
    ("name", "route"),
    [
        ("gpt-4o-image", "/v1/images/generations"),
        ("nano-banana-2", "/v1/images/generations"),
        ("kling-v3", "/v1/videos/generate"),
        ("gpt-audio-1.5-official", "/v1/audio/generations"),
        ("gpt-realtime-1.5-official", "/v1/realtime"),
        ("sdxl", "/v1/gpu/sdxl"),
    ],
)
@pytest.mark.parametrize("endpoint", list(Dialect))
def test_models_of_other_kinds_name_their_own_route(catalog: Catalog, endpoint: Dialect, name: str, route: str) -> None:
    with pytest.raises(InvalidRequest, match=route):
        catalog.require(name, endpoint)


def test_a_model_without_a_price_is_found_but_cannot_be_called(catalog: Catalog) -> None:
    assert catalog.find("mystery") is not None
    assert "mystery" not in catalog.ids_for(Dialect.OPENAI_CHAT)
    with pytest.raises(InvalidRequest, match="no price"):
        catalog.require("mystery", Dialect.OPENAI_CHAT)


def test_remembered_names_are_bounded(catalog: Catalog) -> None:
    for number in range(10_000):
        assert catalog.find(f"claude-opus-{number}x") is not None
    assert len(catalog._by_name) <= catalog._remembered_max
    assert catalog.find("claude-opus-one-more") is not None
