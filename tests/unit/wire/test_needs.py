"""What a request needs of a model, in every dialect; what stands inside a text is no need."""

import json
from typing import Any

import pytest

from hypereal.kit.dialects import Dialect
from hypereal.wire import DIALECTS, needs_of

CHAT, RESPONSES, MESSAGES, GEMINI = (
    Dialect.OPENAI_CHAT,
    Dialect.OPENAI_RESPONSES,
    Dialect.ANTHROPIC_MESSAGES,
    Dialect.GEMINI,
)
LURE = '"image_url" "input_image" "image" "inlineData" "json_schema" "responseSchema"'
PLAIN: dict[Dialect, dict[str, Any]] = {
    CHAT: {"messages": [{"role": "user", "content": LURE}]},
    RESPONSES: {"input": LURE},
    MESSAGES: {"max_tokens": 1, "messages": [{"role": "user", "content": LURE}]},
    GEMINI: {"contents": [{"parts": [{"text": LURE}]}]},
}
URL = "https://example.com/a.png"


def needs(dialect: Dialect, **members: Any) -> set[str]:
    body = {"model": "m", **PLAIN[dialect], **members}
    return set(needs_of(DIALECTS[dialect].read(json.dumps(body).encode())))


@pytest.mark.parametrize("dialect", list(Dialect))
def test_text_needs_nothing(dialect):
    assert needs(dialect) == set()
    assert needs(dialect, tools=[]) == set()
    assert needs(dialect, tools=None) == set()


@pytest.mark.parametrize("dialect", list(Dialect))
def test_tools_are_needed_where_there_are_any(dialect):
    assert needs(dialect, tools=[{"name": "f"}]) == {"tools"}


@pytest.mark.parametrize(
    ("dialect", "members"),
    [
        (CHAT, {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": URL}}]}]}),
        (RESPONSES, {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": URL}]}]}),
        (MESSAGES, {"messages": [{"role": "user", "content": [{"type": "image", "source": {"url": URL}}]}]}),
        (GEMINI, {"contents": [{"parts": [{"inlineData": {"mimeType": "image/png", "data": "AA=="}}]}]}),
        (GEMINI, {"contents": [{"parts": [{"file_data": {"file_uri": URL}}]}]}),
    ],
)
def test_images_need_a_model_that_sees(dialect, members):
    assert needs(dialect, **members) == {"vision"}


@pytest.mark.parametrize(
    ("dialect", "members"),
    [
        (CHAT, {"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {}}}}),
        (RESPONSES, {"text": {"format": {"type": "json_schema", "name": "a", "schema": {}}}}),
        (MESSAGES, {"output_config": {"format": {"type": "json_schema", "schema": {}}}}),
        (GEMINI, {"generationConfig": {"responseJsonSchema": {}}}),
        (GEMINI, {"generation_config": {"response_schema": {}}}),
    ],
)
def test_a_schema_needs_a_model_that_keeps_to_it(dialect, members):
    assert needs(dialect, **members) == {"json_schema"}


def test_json_without_a_schema_needs_nothing():
    assert needs(CHAT, response_format={"type": "json_object"}) == set()
