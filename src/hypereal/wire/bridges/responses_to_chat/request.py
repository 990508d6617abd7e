"""A Responses request as a chat request: items become messages, and what belongs to one turn goes into one message."""

from typing import Any

from hypereal.kit.errors import InvalidRequest
from hypereal.wire.bridges import chat_requests as chat
from hypereal.wire.bridges.chat_requests import Message
from hypereal.wire.bridges.opaque import unseal
from hypereal.wire.bridges.responses_to_chat.tools import INPUT, TOOL_SEARCH, FlatTools, offered
from hypereal.wire.folding.decoding import mapping, objects
from hypereal.wire.members import encode

_CARRIED = {
    "temperature": "temperature",
    "top_p": "top_p",
    "max_output_tokens": "max_tokens",
    "parallel_tool_calls": "parallel_tool_calls",
    "service_tier": "service_tier",
    "user": "user",
    "safety_identifier": "safety_identifier",
    "prompt_cache_key": "prompt_cache_key",
}
"""Value for value. Hints (`truncation`, `include`, ...) are left out; `store` too, since nothing is kept."""
_OF_VENDORS_TOOLS = frozenset(
    {"web_search_call", "file_search_call", "code_interpreter_call", "image_generation_call", "mcp_call"}
    | {"mcp_list_tools", "additional_tools"}
)
"""Items that tell of what the vendor ran itself, or were read with the tools."""
_KEPT_ELSEWHERE = ("previous_response_id", "conversation", "prompt", "background")


def as_chat(body: dict[str, Any]) -> dict[str, Any]:
    """The members of a chat body. Raises InvalidRequest."""
    for name in _KEPT_ELSEWHERE:
        if body.get(name):
            raise _not_carried(name, "send the whole conversation in 'input'")
    conversation = _Conversation(FlatTools(offered(body.get("tools"), body.get("input"))))
    if body.get("instructions") is not None:
        conversation.say("system", chat.require_text(body["instructions"], "instructions"))
    said = body.get("input")
    if isinstance(said, str):
        conversation.say("user", said)
    else:
        for item in chat.require_objects(said, "input"):
            conversation.add(item)
    conversation.close()
    if not conversation.messages:
        raise InvalidRequest("'input' is missing.", param="input")
    text = mapping(body.get("text"))
    choice = conversation.tools.choice(body.get("tool_choice"))
    return {
        "messages": conversation.messages,
        "tools": conversation.tools.functions,
        "tool_choice": choice,
        **{there: body.get(here) for here, there in _CARRIED.items()},
        "reasoning_effort": mapping(body.get("reasoning")).get("effort"),
        "verbosity": text.get("verbosity"),
        "response_format": _response_format(mapping(text.get("format"))),
    }


def _not_carried(name: str, instead: str) -> InvalidRequest:
    return InvalidRequest(
        f"'{name}' cannot be served for this model, which only speaks OpenAI's chat format: {instead}.",
        param=name.partition(".")[0],
    )


class _Conversation:
    """Items as messages. Reasoning, text and calls of one turn wait for each other."""

    def __init__(self, tools: FlatTools) -> None:
        self.tools = tools
        self.messages: list[Message] = []
        self._reasoning = self._text = self._signature = ""
        self._calls: list[dict[str, Any]] = []
        self._signatures: dict[str, str] = {}
        """By call."""

    def say(self, role: str, content: str | list[dict[str, Any]]) -> None:
        """A message that is not the assistant's."""
        self.close()
        self.messages.append({"role": role, "content": content})

    def close(self) -> None:
        """The assistant's turn is over."""
        calls = [call | chat.extra_content(self._signatures.get(call["id"], "")) for call in self._calls]
        self.messages += chat.assistant(self._text, self._reasoning, calls, self._signature)
        self._reasoning = self._text = self._signature = ""
        self._calls = []

    def add(self, item: dict[str, Any]) -> None:
        """The next item. Raises InvalidRequest."""
        match item.get("type") or ("message" if "role" in item else None):
            case "message":
                self._add_message(item)
            case "reasoning":
                self._add_reasoning(item)
            case "function_call":
                self._call(item, chat.require_text(item.get("arguments"), "input.arguments"))
            case "custom_tool_call":
                said = chat.require_text(item.get("input"), "input.input")
                self._call(item, encode({INPUT: said}).decode())
            case "function_call_output" | "custom_tool_call_output":
                self._add_result(item)
            case "tool_search_call" | "tool_search_output":
                self._add_search(item)
            case str(kind) if kind in _OF_VENDORS_TOOLS:
                pass
            case kind:
                raise _not_carried(f"input.{str(kind)[:40]}", "leave it out, or use a GPT model")

    def _add_message(self, item: dict[str, Any]) -> None:
        role, content = item.get("role"), item.get("content")
        if role not in ("user", "assistant", "system", "developer"):
            raise InvalidRequest("'input': a role must be 'user', 'assistant', 'system' or 'developer'.", param="input")
        if role == "assistant":
            if self._text or self._calls:
                self.close()
            self._text = content if isinstance(content, str) else _text(content)
        elif isinstance(content, str):
            self.say("system" if role == "developer" else role, content)
        else:
            parts = [_part(part) for part in chat.require_objects(content, "input.content")]
            self.say("system" if role == "developer" else role, chat.content(parts, "\n\n"))

    def _add_reasoning(self, item: dict[str, Any]) -> None:
        """Ours, or in plain words; what another vendor encrypted is left out."""
        sealed = unseal(item.get("encrypted_content"))
        if sealed is not None and "signature" in sealed:
            if "call" in sealed:
                self._signatures[sealed["call"]] = sealed["signature"]
            else:
                self._signature = sealed["signature"]
            return
        said = objects(item.get("content")) or (objects(item.get("summary")) if sealed is not None else [])
        text = (sealed or {}).get("text") or "".join(str(part.get("text") or "") for part in said)
        if text and (self._text or self._calls):
            self.close()
        self._reasoning += text

    def _add_search(self, item: dict[str, Any]) -> None:
        """Without the id of a call the vendor itself had searched."""
        if item.get("call_id") is None:
            return
        if item["type"] == "tool_search_call":
            self._call(item | {"name": TOOL_SEARCH}, encode(mapping(item.get("arguments"))).decode())
            return
        names = self.tools.chat_names(objects(item.get("tools")))
        self._result(item, f"Tools that can be used now: {', '.join(names) or 'none'}")

    def _call(self, item: dict[str, Any], arguments: str) -> None:
        name, namespace = chat.require_text(item.get("name"), "input.name"), item.get("namespace")
        named = self.tools.chat_name(name, namespace if isinstance(namespace, str) else "")
        self._calls.append(chat.call(chat.require_text(item.get("call_id"), "input.call_id"), named, arguments))

    def _add_result(self, item: dict[str, Any]) -> None:
        output = item.get("output")
        if isinstance(output, str):
            return self._result(item, output)
        parts = [_part(part) for part in chat.require_objects(output, "input.output")]
        self._result(item, "\n\n".join(part["text"] for part in parts if part["type"] == "text"))
        media = [part for part in parts if part["type"] != "text"]
        if media:
            self.say("user", chat.beside_text(item["call_id"], media))

    def _result(self, item: dict[str, Any], text: str) -> None:
        self.close()
        call_id = chat.require_text(item.get("call_id"), "input.call_id")
        self.messages.append({"role": "tool", "tool_call_id": call_id, "content": text})


def _text(content: Any) -> str:
    """What the assistant said; a refusal is text as well."""
    texts = []
    for part in chat.require_objects(content, "input.content"):
        name = "refusal" if part.get("type") == "refusal" else "text"
        texts.append(chat.require_text(part.get(name), f"input.content.{name}"))
    return "".join(texts)


def _part(part: dict[str, Any]) -> dict[str, Any]:
    match part:
        case {"type": "input_text" | "output_text" | "text", "text": str(text)}:
            return chat.text_part(text)
        case {"type": "input_image", "image_url": str(url), **rest}:
            return chat.image_part(url, rest.get("detail"))
        case {"type": "input_file", "file_data": str(data), **rest}:
            named = rest.get("filename")
            name = named if isinstance(named, str) and named else "document.pdf"
            return {"type": "file", "file": {"filename": name, "file_data": data}}
        case {"type": "input_audio", "input_audio": {"data": str(data), "format": str(form)}}:
            return {"type": "input_audio", "input_audio": {"data": data, "format": form}}
    raise _not_carried(f"input.content.{str(part.get('type'))[:40]}", "send text, image_url or file_data")


def _response_format(form: dict[str, Any]) -> dict[str, Any] | None:
    match form:
        case {"type": "json_schema", "schema": schema, **rest}:
            more = {"strict": rest.get("strict"), "description": rest.get("description")}
            return chat.json_format(schema, rest.get("name"), **more)
        case {"type": "json_object"}:
            return {"type": "json_object"}
    return None
