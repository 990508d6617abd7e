import json

import pytest

from hypereal.kit.errors import InvalidRequest
from hypereal.kit.money import Rate
from hypereal.wire import ModelFacts, anthropic_list, anthropic_model, gemini_list, openai_list, openai_model


def facts(name: str, **more: object) -> ModelFacts:
    return ModelFacts(
        **{
            "id": name,
            "kind": "chat",
            "owned_by": "openai",
            "created_unix_s": 1_790_000_000,
            "endpoints": ["gemini", "openai_chat"],
            "context_tokens_max": 400_000,
            "output_tokens_max": 128_000,
            **more,
        }
    )


MODELS = [facts(name) for name in "abcde"]


def test_openai_entries_have_what_sdks_need_and_exact_prices() -> None:
    price = {"input": Rate(50_000_000), "output": Rate(400_500_000)}
    body = openai_model(facts("gpt-5", price=price, intents=["code"]))
    entry = json.loads(body)
    assert (entry["id"], entry["object"], entry["created"], entry["owned_by"]) == (
        "gpt-5",
        "model",
        1790000000,
        "openai",
    )
    assert b'"input":50,"output":400.5' in body
    assert entry["intents"] == ["code"]
    assert json.loads(openai_list(MODELS))["object"] == "list"


def test_prices_of_media_are_told_by_tier() -> None:
    entry = json.loads(openai_model(facts("kling-v3", kind="video", unit="second", tiers={"any": 8_400_000})))
    assert entry["price"] == {"unit": "credits_per_second", "tiers": {"any": 8.4}}


@pytest.mark.parametrize(
    ("query", "ids", "has_more"),
    [
        ({}, "abcde", False),
        ({"limit": "2"}, "ab", True),
        ({"limit": "2", "after_id": "b"}, "cd", True),
        ({"limit": "9", "after_id": "d"}, "e", False),
        ({"limit": "2", "before_id": "d"}, "bc", True),
        ({"limit": "9", "before_id": "c"}, "ab", False),
        ({"after_id": "e"}, "", False),
    ],
)
def test_anthropic_pages(query: dict[str, str], ids: str, has_more: bool) -> None:
    page = json.loads(anthropic_list(MODELS, query))
    assert [entry["id"] for entry in page["data"]] == list(ids)
    assert page["has_more"] is has_more
    assert page["first_id"] == (ids[0] if ids else None)
    assert page["last_id"] == (ids[-1] if ids else None)


@pytest.mark.parametrize(
    "query", [{"limit": "0"}, {"limit": "x"}, {"limit": "-1"}, {"after_id": "zz"}, {"before_id": ""}]
)
def test_a_bad_page_is_refused(query: dict[str, str]) -> None:
    with pytest.raises(InvalidRequest):
        anthropic_list(MODELS, query)


def test_anthropic_entries_have_a_date_and_both_limits() -> None:
    entry = json.loads(anthropic_model(MODELS[0]))
    assert (entry["type"], entry["display_name"], entry["created_at"]) == ("model", "a", "2026-09-21T14:13:20Z")
    assert (entry["max_input_tokens"], entry["max_tokens"]) == (400_000, 128_000)


def test_gemini_names_have_their_prefix_and_only_served_methods() -> None:
    listed = json.loads(gemini_list([facts("a"), facts("claude", endpoints=["anthropic_messages"])]))["models"]
    assert [entry["name"] for entry in listed] == ["models/a", "models/claude"]
    assert "streamGenerateContent" in listed[0]["supportedGenerationMethods"]
    assert listed[1]["supportedGenerationMethods"] == []
