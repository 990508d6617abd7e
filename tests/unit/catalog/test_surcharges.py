"""Fields that change a price: priced, free or refused, never forwarded unpriced."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypereal.catalog import Surcharge, surcharges
from hypereal.kit.dialects import Dialect
from hypereal.kit.errors import InvalidRequest

CHAT, RESPONSES, MESSAGES, GEMINI = Dialect
FUNCTION = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}


def of(dialect: Dialect, **body: object) -> Surcharge:
    return surcharges(dialect, msgspec.json.decode(json.dumps(body), type=dict[str, msgspec.Raw]))


@pytest.mark.parametrize(
    ("dialect", "body"),
    [
        (CHAT, {"model": "m", "messages": [], "stream": True, "store": True, "prediction": {"type": "content"}}),
        (CHAT, {"tools": [FUNCTION, {"type": "custom"}, {"name": "cursor", "input_schema": {"type": "web_search"}}]}),
        (CHAT, {"tools": None, "service_tier": None, "modalities": ["text"], "enable_search": False, "plugins": []}),
        (CHAT, {"service_tier": "flex"}),
        (RESPONSES, {"background": False, "service_tier": "auto", "store": False, "previous_response_id": "r"}),
        (
            RESPONSES,
            {
                "tools": [
                    {"type": "function"},
                    {"type": "custom", "format": {"type": "grammar"}},
                    {"type": "namespace", "tools": [{"type": "function"}]},
                    {"type": "tool_search"},
                    {"type": "local_shell"},
                ]
            },
        ),
        (MESSAGES, {"tools": [], "service_tier": "auto", "speed": "standard", "inference_geo": "global"}),
        (MESSAGES, {"tools": [{"name": "x", "input_schema": {}}, {"type": "bash_20250124"}, {"type": "custom"}]}),
        (MESSAGES, {"system": [{"type": "text", "cache_control": {"type": "ephemeral", "ttl": "1h"}}]}),
        (GEMINI, {"tools": [{"functionDeclarations": []}, {"codeExecution": {}}], "serviceTier": "STANDARD"}),
        (GEMINI, {"generationConfig": {"responseModalities": ["TEXT"], "temperature": 1.0}}),
    ],
)
def test_what_costs_nothing_more_has_no_surcharge(dialect: Dialect, body: dict[str, object]) -> None:
    assert of(dialect, **body) == Surcharge()


@pytest.mark.parametrize(
    ("dialect", "body", "searches"),
    [
        (MESSAGES, {"tools": [{"type": "web_search_20250305", "name": "web_search", "max_uses": 8}]}, 8),
        (MESSAGES, {"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, 10),
        (MESSAGES, {"tools": [{"type": "web_search_20250305", "max_uses": 10**12}]}, 1000),
        (RESPONSES, {"tools": [{"type": "function"}, {"type": "web_search"}]}, 10),
        (RESPONSES, {"tools": [{"type": "web_search_preview"}], "max_tool_calls": 3}, 3),
        (RESPONSES, {"tools": [{"type": "namespace", "tools": [{"type": "web_search"}]}]}, 10),
    ],
)
def test_web_searches_of_agents_are_priced_and_pass(dialect: Dialect, body: dict[str, object], searches: int) -> None:
    assert of(dialect, **body) == Surcharge(web_searches_max=searches)


@pytest.mark.parametrize(
    ("dialect", "body", "percent"),
    [
        (CHAT, {"service_tier": "priority"}, 200),
        (RESPONSES, {"service_tier": "priority"}, 200),
        (GEMINI, {"serviceTier": "PRIORITY"}, 200),
        (MESSAGES, {"inference_geo": "us"}, 110),
    ],
)
def test_dearer_rates_are_billed(dialect: Dialect, body: dict[str, object], percent: int) -> None:
    assert of(dialect, **body) == Surcharge(rate_percent=percent)


@pytest.mark.parametrize(
    ("dialect", "param", "value"),
    [
        (CHAT, "service_tier", "scale"),
        (CHAT, "service_tier", {"tier": "flex"}),
        (CHAT, "modalities", ["text", "audio"]),
        (CHAT, "audio", {"voice": "x"}),
        (CHAT, "web_search_options", {"search_context_size": "low"}),
        (CHAT, "search_parameters", {"mode": "auto"}),
        (CHAT, "enable_search", True),
        (CHAT, "plugins", [{"id": "web"}]),
        (CHAT, "models", ["a-dearer-one"]),
        (CHAT, "tools", [{"type": "web_search"}]),
        (CHAT, "tools", [{"type": "builtin_function", "function": {"name": "$web_search"}}]),
        (CHAT, "tools", {"type": "function"}),
        (RESPONSES, "background", True),
        (RESPONSES, "prompt", {"id": "pmpt_1"}),
        (RESPONSES, "tools", [{"type": "code_interpreter", "container": {"type": "auto"}}]),
        (RESPONSES, "tools", [{"type": "namespace", "tools": [{"type": "image_generation"}]}]),
        (RESPONSES, "tools", [{"type": "mcp"}]),
        (MESSAGES, "service_tier", "priority"),
        (MESSAGES, "speed", "fast"),
        (MESSAGES, "inference_geo", "mars"),
        (MESSAGES, "container", "container_1"),
        (MESSAGES, "mcp_servers", [{"url": "x"}]),
        (MESSAGES, "tools", [{"type": "code_execution_20250825"}]),
        (MESSAGES, "tools", [{"type": "web_fetch_20250910"}]),
        (MESSAGES, "tools", [{"type": "web_search_20250305", "max_uses": "many"}]),
        (GEMINI, "cachedContent", "cachedContents/1"),
        (GEMINI, "cached_content", "cachedContents/1"),
        (GEMINI, "tools", [{"googleSearch": {}}]),
        (GEMINI, "tools", [{"functionDeclarations": [], "url_context": {}}]),
        (GEMINI, "service_tier", "turbo"),
    ],
)
def test_what_is_not_billed_is_refused_and_the_answer_names_the_field(
    dialect: Dialect, param: str, value: object
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        of(dialect, **{param: value})
    assert caught.value.param == param


@pytest.mark.parametrize("spelling", ["responseModalities", "response_modalities"])
@pytest.mark.parametrize("config", ["generationConfig", "generation_config"])
def test_gemini_audio_and_image_output_are_refused_in_either_spelling(config: str, spelling: str) -> None:
    with pytest.raises(InvalidRequest, match="output other than text"):
        of(GEMINI, **{config: {spelling: ["TEXT", "AUDIO"]}})


def test_a_tool_type_hidden_by_escapes_is_still_seen() -> None:
    raw = msgspec.Raw(rb'[{"\u0074ype":"web\u005fsearch"}]')
    assert surcharges(RESPONSES, {"tools": raw}).web_searches_max == 10


def test_too_many_tools_are_refused() -> None:
    with pytest.raises(InvalidRequest, match="more than"):
        of(CHAT, tools=[{"type": "function"}] * 5000)


words = st.text("aeipt_", max_size=8)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words | st.just("type"), inner, max_size=3),
    max_leaves=8,
)
watched = st.sampled_from(
    ["tools", "service_tier", "modalities", "generationConfig", "models", "max_tool_calls", "speed"]
)


@given(st.sampled_from(list(Dialect)), st.dictionaries(watched, json_values))
def test_any_json_is_priced_or_refused_but_never_breaks(dialect: Dialect, body: dict[str, object]) -> None:
    try:
        found = of(dialect, **body)
    except InvalidRequest:
        return
    assert found.rate_percent >= 100
    assert found.web_searches_max >= 0
