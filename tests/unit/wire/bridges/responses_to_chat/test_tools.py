from typing import Any

import pytest

from hypereal.kit.errors import InvalidRequest
from hypereal.wire.bridges.responses_to_chat.tools import FlatTools, Tool, offered

LS = {"type": "function", "name": "ls", "description": "d", "parameters": {"type": "object"}, "strict": False}
PATCH = {"type": "custom", "name": "patch", "description": "Edits.", "format": {"type": "text"}}
NOTES = {"type": "namespace", "name": "notes", "description": "n", "tools": [LS, PATCH]}
SEARCH = {"type": "tool_search", "execution": "client", "parameters": {"type": "object"}}


def names(*tools: Any) -> list[str]:
    return [each["function"]["name"] for each in FlatTools(list(tools)).functions]


def test_a_function_is_a_function() -> None:
    (made,) = FlatTools([LS]).functions
    assert made == {
        "type": "function",
        "function": {name: LS[name] for name in ("name", "description", "parameters", "strict")},
    }


def test_a_custom_tool_is_a_function_of_one_text_that_tells_its_grammar() -> None:
    grammar = {"type": "grammar", "syntax": "lark", "definition": "start: A"}
    (made,) = FlatTools([PATCH | {"format": grammar}]).functions
    assert list(made["function"]["parameters"]["properties"]) == ["input"]
    assert made["function"]["description"].startswith("Edits.")
    assert "lark grammar:\nstart: A" in made["function"]["description"]


def test_every_tool_is_found_again_by_its_name_in_chat() -> None:
    tools = FlatTools([LS, NOTES, SEARCH])
    assert {each["function"]["name"]: tools.tool(each["function"]["name"]) for each in tools.functions} == {
        "ls": Tool("function", "ls"),
        "notes__ls": Tool("function", "ls", "notes"),
        "notes__patch": Tool("custom", "patch", "notes"),
        "tool_search": Tool("tool_search", "tool_search"),
    }
    assert tools.chat_name("ls", "notes") == "notes__ls"
    assert tools.tool("gone") == Tool("function", "gone")
    assert tools.chat_name("gone", "notes") == "notes__gone"


def test_names_that_meet_once_they_are_flat_stay_apart() -> None:
    tools = FlatTools([LS | {"name": "notes__ls"}, NOTES])
    assert len(set(names(LS | {"name": "notes__ls"}, NOTES))) == 3
    assert tools.chat_name("notes__ls") != tools.chat_name("ls", "notes")
    assert tools.tool(tools.chat_name("ls", "notes")) == Tool("function", "ls", "notes")


def test_what_the_vendor_runs_is_left_out() -> None:
    assert names({"type": "web_search"}, {"type": "web_search_preview"}, {"type": "tool_search"}, LS) == ["ls"]


@pytest.mark.parametrize(
    "tool",
    [
        {"type": "local_shell"},
        {"type": "file_search"},
        {"type": None},
        {"type": "function"},
        {"type": "namespace", "name": "a", "tools": [{"type": "namespace", "name": "b", "tools": []}]},
        {"type": "namespace", "name": "a", "tools": "b"},
    ],
)
def test_other_tools_are_refused(tool: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest) as refused:
        FlatTools([tool])
    assert refused.value.param == "tools"


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (None, None),
        ("required", "required"),
        ({"type": "function", "name": "ls"}, {"type": "function", "function": {"name": "ls"}}),
        ({"type": "custom", "name": "patch"}, {"type": "function", "function": {"name": "patch"}}),
        ({"type": "function", "name": "gone"}, "auto"),
        ({"type": "web_search_preview"}, "auto"),
    ],
)
def test_the_choice_of_tools_is_carried(choice: Any, expected: Any) -> None:
    assert FlatTools([LS, PATCH]).choice(choice) == expected


def test_tools_that_are_not_allowed_are_taken_off() -> None:
    tools = FlatTools([LS, PATCH])
    allowed = {"type": "allowed_tools", "mode": "required", "tools": [{"type": "custom", "name": "patch"}]}
    assert tools.choice(allowed) == "required"
    assert [each["function"]["name"] for each in tools.functions] == ["patch"]


def test_tools_that_were_found_are_offered_and_those_said_twice_once() -> None:
    found = {"type": "tool_search_output", "call_id": "c", "tools": [NOTES, LS]}
    assert names(*offered([LS], [found])) == ["ls", "notes__ls", "notes__patch"]
