import json
from typing import Any

import pytest

from hypereal.kit.dialects import Dialect
from hypereal.kit.errors import InvalidRequest
from hypereal.wire import DIALECTS, members
from hypereal.wire.bridges.shapes import as_chat_fields

HELLO = [{"role": "user", "content": "hi"}]
CHATS = {"type": "function", "function": {"name": "ls", "parameters": {"properties": {"input_schema": {}}}}}
ANTHROPICS = {"name": "ls", "description": "d" * 100, "input_schema": {"type": "object"}}


def read(body: dict[str, Any], **dumped: Any) -> Any:
    """The members of BODY as the chat dialect reads it."""
    fields = DIALECTS[Dialect.OPENAI_CHAT].read(json.dumps({"model": "m", **body}, **dumped).encode()).fields
    return {name: json.loads(bytes(raw)) for name, raw in fields.items() if name != "model"}


@pytest.mark.parametrize("dumped", [{}, {"separators": (",", ":")}, {"indent": 4}])
@pytest.mark.parametrize(
    "tools",
    [
        [],
        None,
        "odd",
        [CHATS],
        [{"function": CHATS["function"], "type": "function"}],
        [{"type": "custom", "custom": {"name": "patch", "description": "d" * 100}}, CHATS],
    ],
)
def test_a_chat_body_stays_as_it_is_however_it_is_printed(tools: Any, dumped: Any) -> None:
    body = {"messages": HELLO, "tools": tools, "tool_choice": "auto", "input": "more", "thinking": {"type": "enabled"}}
    assert read(body, **dumped) == body
    fields = members.parse(json.dumps(body, **dumped).encode())
    assert as_chat_fields(fields) is fields


@pytest.mark.parametrize("dumped", [{}, {"separators": (",", ":")}, {"indent": 4}])
@pytest.mark.parametrize(
    "more", [{"system": "Be brief."}, {"tools": [ANTHROPICS]}, {"tools": [{"type": "custom", **ANTHROPICS}]}]
)
def test_an_anthropic_body_is_read_by_its_shape(more: dict[str, Any], dumped: Any) -> None:
    use = {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "ls", "input": {}}]}
    result = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "a"}]}
    made = read({"messages": [*HELLO, use, result], "max_tokens": 5, **more}, **dumped)
    assert [message["role"] for message in made["messages"][-2:]] == ["assistant", "tool"]
    assert made["max_tokens"] == 5
    assert "system" not in made
    assert all(tool["type"] == "function" for tool in made.get("tools", []))


def test_a_responses_body_is_read_by_its_shape() -> None:
    made = read({"input": "hi", "instructions": "Be brief.", "max_output_tokens": 5, "stream": True, "store": False})
    assert made == {
        "messages": [{"role": "system", "content": "Be brief."}, *HELLO],
        "max_completion_tokens": 5,
        "stream": True,
    }


def test_members_that_are_chats_too_stay_and_what_was_asked_is_read() -> None:
    body = {
        "model": "m",
        "input": "hi",
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_output_tokens": 7,
    }
    request = DIALECTS[Dialect.OPENAI_CHAT].read(json.dumps(body | {"temperature": 0, "x": {"n": 1.0}}).encode())
    assert (request.stream, request.wants_usage, request.output_tokens_max) == (True, True, 7)
    assert bytes(request.fields["x"]) == b'{"n": 1.0}'


def test_a_choice_of_tools_in_chats_own_words_stays() -> None:
    made = read({"messages": HELLO, "tools": [ANTHROPICS], "tool_choice": "required"})
    assert made["tool_choice"] == "required"
    made = read({"messages": HELLO, "tools": [ANTHROPICS], "tool_choice": {"type": "any"}})
    assert made["tool_choice"] == "required"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"input": 5},
        {"input": [{"type": "item_reference", "id": "x"}]},
        {"system": "a"},
        {"system": "a", "messages": "hi"},
        {"system": 5, "messages": HELLO},
        {"messages": [5], "tools": [ANTHROPICS]},
        {"input": "hi", "max_output_tokens": "many"},
    ],
)
def test_bodies_of_no_shape_are_refused(body: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest):
        read(body)
