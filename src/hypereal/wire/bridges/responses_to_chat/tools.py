"""The tools of a Responses request as functions of chat, and the calls of those functions as what they stand for.

Chat has functions only. A custom tool becomes one with a single text, a namespace's tools carry its name in theirs, and
the client's own search for tools is a function too. What the vendor would run itself is left out.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from hypereal.kit.errors import InvalidRequest
from hypereal.wire.bridges import chat_requests as chat
from hypereal.wire.folding.decoding import mapping, objects

INPUT = "input"
"""The one argument of a custom tool."""
TOOL_SEARCH = "tool_search"
_INPUT_SCHEMA = {
    "type": "object",
    "properties": {INPUT: {"type": "string"}},
    "required": [INPUT],
    "additionalProperties": False,
}


class Tool(msgspec.Struct, frozen=True):
    """What a function of chat stands for."""

    kind: str
    """`function`, `custom` or `tool_search`."""
    name: str
    namespace: str = ""


class FlatTools:
    """The tools of one request."""

    def __init__(self, tools: list[dict[str, Any]]) -> None:
        """Raises InvalidRequest for a tool that only the vendor itself, or a model trained for it, has."""
        self.functions: list[dict[str, Any]] = []
        self._by_chat_name: dict[str, Tool] = {}
        self._chat_names: dict[tuple[str, str], str] = {}
        for tool in tools:
            self._add(tool)

    def chat_name(self, name: str, namespace: str = "") -> str:
        """Of a tool, one of an earlier turn too that is not offered any more."""
        return self._chat_names.get((namespace, name)) or chat.chat_name(_joined(name, namespace))

    def chat_names(self, tools: list[dict[str, Any]]) -> list[str]:
        """Of those TOOLS, a part of these, that chat has."""
        return [self._chat_names[key] for key in FlatTools(tools)._chat_names]

    def tool(self, chat_name: str) -> Tool:
        """What the function CHAT_NAME stands for; a name that was not offered is a function's."""
        return self._by_chat_name.get(chat_name) or Tool("function", chat_name)

    def choice(self, said: Any) -> Any:
        """`tool_choice` in chat. Tools that are not allowed are taken off; a choice of what was left out is `auto`."""
        match said:
            case None | "auto" | "none" | "required":
                return said
            case {"type": "function" | "custom", "name": str(name)} if ("", name) in self._chat_names:
                return {"type": "function", "function": {"name": self._chat_names["", name]}}
            case {"type": "allowed_tools", "tools": list(allowed), **rest}:
                names = {self.chat_name(each["name"]) for each in objects(allowed) if isinstance(each.get("name"), str)}
                self.functions = [each for each in self.functions if each["function"]["name"] in names]
                return "required" if rest.get("mode") == "required" else "auto"
        return "auto"

    def _add(self, tool: dict[str, Any], namespace: str = "") -> None:
        match tool.get("type"):
            case "function":
                function = mapping(tool.get("function")) or tool  # some print chat's nested shape here
                self._take("function", function, namespace, function.get("parameters"))
            case "custom":
                described = tool | {"description": _custom_description(tool)}
                self._take("custom", described, namespace, _INPUT_SCHEMA)
            case "namespace" if not namespace:
                name = chat.require_text(tool.get("name"), "tools.name")
                for inner in chat.require_objects(tool.get("tools"), "tools.tools"):
                    self._add(inner, name)
            case "tool_search":
                if tool.get("execution") == "client":
                    self._take(TOOL_SEARCH, tool | {"name": TOOL_SEARCH}, "", tool.get("parameters"))
            case str(kind) if kind.startswith("web_search"):
                pass
            case kind:
                raise InvalidRequest(
                    f"A tool of type '{str(kind)[:40]}' cannot be served for this model, which only has functions: "
                    "leave it out, or use a GPT model.",
                    param="tools",
                )

    def _take(self, kind: str, tool: dict[str, Any], namespace: str, parameters: Any) -> None:
        name = chat.require_text(tool.get("name"), "tools.name")
        if (namespace, name) in self._chat_names:
            return
        made = chat.chat_name(_joined(name, namespace), taken=self._by_chat_name)
        self._by_chat_name[made] = Tool(kind, name, namespace)
        self._chat_names[namespace, name] = made
        self.functions.append(chat.function(made, tool.get("description"), parameters, tool.get("strict")))


def offered(tools: Any, conversation: Any) -> list[dict[str, Any]]:
    """The tools of a request, and those that its CONVERSATION brought. Raises InvalidRequest."""
    return [*chat.require_objects(tools, "tools"), *_brought(conversation)]


def _brought(conversation: Any) -> Iterator[dict[str, Any]]:
    for item in objects(conversation):
        if item.get("type") in ("tool_search_output", "additional_tools"):
            yield from chat.require_objects(item.get("tools"), "input.tools")


def _joined(name: str, namespace: str) -> str:
    return f"{namespace}__{name}" if namespace else name


def _custom_description(tool: dict[str, Any]) -> str:
    """With the grammar in words: nothing enforces it in chat."""
    description = tool.get("description")
    said = [description] if isinstance(description, str) and description else []
    match tool.get("format"):
        case {"type": "grammar", "definition": str(definition), **rest}:
            said.append(f"'{INPUT}' is plain text that fits this {rest.get('syntax') or ''} grammar:\n{definition}")
        case _:
            said.append(f"'{INPUT}' is plain text.")
    return "\n\n".join(said)
