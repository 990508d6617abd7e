"""An Anthropic Messages request as a chat request. Read loosely: what says nothing to another vendor is left out."""

from typing import Any

from hypereal.kit.errors import InvalidRequest
from hypereal.wire.bridges import chat_requests as chat
from hypereal.wire.bridges.chat_requests import Message
from hypereal.wire.bridges.messages_to_chat.blocks import content_parts, is_of_vendors_tools, not_carried
from hypereal.wire.bridges.opaque import unseal
from hypereal.wire.folding.decoding import mapping
from hypereal.wire.members import encode

_CLIENT_TOOLS = ("bash_", "text_editor_", "computer_", "memory_", "browser_")
"""Tools that the caller runs, but whose schemas only Anthropic's models know."""
_BILLING = "x-anthropic-billing-header:"
"""A block of Claude Code's system prompt that is none: it speaks to Anthropic's servers."""


def as_chat(body: dict[str, Any]) -> dict[str, Any]:
    """The members of a chat body. Raises InvalidRequest."""
    if str(body.get("inference_geo") or "global") != "global":
        raise not_carried("inference_geo")
    messages = _system(body.get("system"))
    for message in chat.require_objects(body.get("messages"), "messages"):
        messages += _messages(message)
    tools = _tools(body)
    choice, is_parallel = _choice(mapping(body.get("tool_choice")), tools)
    output = mapping(body.get("output_config"))
    return {
        "messages": messages,
        "tools": list(tools.values()),
        "tool_choice": choice,
        "parallel_tool_calls": is_parallel,
        "max_tokens": 1 if body.get("max_tokens") == 0 else body.get("max_tokens"),  # 0 only warms the vendor's cache
        "temperature": body.get("temperature"),
        "top_p": body.get("top_p"),
        "stop": body.get("stop_sequences") or None,
        "reasoning_effort": _effort(mapping(body.get("thinking")), output.get("effort")),
        "response_format": _response_format(mapping(output.get("format"))),
        "user": mapping(body.get("metadata")).get("user_id"),
    }


def _system(system: Any) -> list[Message]:
    """The system prompt as the first message; blocks become paragraphs."""
    if system is None:
        return []
    text = system if isinstance(system, str) else _texts(system, "system")
    return [{"role": "system", "content": text}] if text else []


def _texts(blocks: Any, name: str) -> str:
    texts = [
        chat.require_text(block.get("text"), f"{name}.text")
        for block in chat.require_objects(blocks, name)
        if block.get("type", "text") == "text"
    ]
    return "\n\n".join(text for text in texts if not text.startswith(_BILLING))


def _messages(message: dict[str, Any]) -> list[Message]:
    role, content = message.get("role"), message.get("content")
    match role:
        case "system":
            return _system(content)
        case "user":
            return _users(content)
        case "assistant":
            return _assistants(content)
    raise InvalidRequest("'messages': a role must be 'user', 'assistant' or 'system'.", param="messages")


def _users(content: Any) -> list[Message]:
    """The results of tools, each a message of its own, then the rest."""
    if isinstance(content, str):
        return [{"role": "user", "content": content}]
    results: list[Message] = []
    said: list[dict[str, Any]] = []
    for block in chat.require_objects(content, "messages.content"):
        if block.get("type") == "tool_result":
            result, media = _result(block)
            results.append(result)
            said += media
        else:
            said += content_parts(block)
    if said or not results:
        results.append({"role": "user", "content": chat.content(said, "\n\n")})
    return results


def _result(block: dict[str, Any]) -> tuple[Message, list[dict[str, Any]]]:
    """A result, and what it holds besides text. A failure is said in words: chat has no mark for it."""
    call_id = chat.require_text(block.get("tool_use_id"), "messages.content.tool_use_id")
    content = block.get("content")
    if isinstance(content, str):
        parts = [chat.text_part(content)]
    else:
        blocks = chat.require_objects(content, "messages.content.content")
        parts = [part for each in blocks for part in content_parts(each)]
    text = "\n\n".join(part["text"] for part in parts if part["type"] == "text")
    if block.get("is_error") is True:
        text = f"Error: {text}"
    media = [part for part in parts if part["type"] != "text"]
    return {"role": "tool", "tool_call_id": call_id, "content": text}, chat.beside_text(call_id, media)


def _assistants(content: Any) -> list[Message]:
    if isinstance(content, str):
        return chat.assistant(content, "", [])
    texts: list[str] = []
    thoughts: list[str] = []
    calls: list[dict[str, Any]] = []
    signatures: dict[str, str] = {}
    for block in chat.require_objects(content, "messages.content"):
        match block.get("type"):
            case "text":
                texts.append(chat.require_text(block.get("text"), "messages.content.text"))
            case "thinking":
                sealed = unseal(block.get("signature")) or {}
                thoughts.append(
                    sealed.get("text") or chat.require_text(block.get("thinking"), "messages.content.thinking")
                )
            case "redacted_thinking":
                sealed = unseal(block.get("data")) or {}
                signatures[sealed.get("call", "")] = sealed.get("signature", "")
            case "tool_use":
                calls.append(_call(block))
            case str(kind) if is_of_vendors_tools(kind):
                pass
            case kind:
                raise not_carried(f"messages.content.{kind}")
    calls = [call | chat.extra_content(signatures.get(call["id"], "")) for call in calls]
    return chat.assistant("".join(texts), "".join(thoughts), calls, signatures.get("", ""))


def _call(block: dict[str, Any]) -> dict[str, Any]:
    call_id = chat.require_text(block.get("id"), "messages.content.id")
    name = chat.require_text(block.get("name"), "messages.content.name")
    return chat.call(call_id, chat.chat_name(name), encode(mapping(block.get("input"))).decode())


def _tools(body: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """By the caller's names. Tools that Anthropic runs itself have no schema, and are left out."""
    tools = {}
    for tool in chat.require_objects(body.get("tools"), "tools"):
        kind = tool.get("type") or "custom"
        if isinstance(tool.get("input_schema"), dict):
            name = chat.require_text(tool.get("name"), "tools.name")
            tools[name] = chat.function(
                chat.chat_name(name), tool.get("description"), tool["input_schema"], tool.get("strict")
            )
        elif kind == "custom" or not isinstance(kind, str):
            raise InvalidRequest("'tools': each needs an object 'input_schema'.", param="tools")
        elif kind.startswith(_CLIENT_TOOLS):
            raise not_carried(f"tools.{kind[:40]}")
    return tools


def _choice(said: dict[str, Any], tools: dict[str, Any]) -> tuple[Any, bool | None]:
    """(tool_choice, parallel_tool_calls). A choice of a tool that was left out leaves it to the model."""
    is_parallel = False if said.get("disable_parallel_tool_use") is True else None
    match said.get("type"):
        case "any":
            return "required", is_parallel
        case "none":
            return "none", is_parallel
        case "tool" if isinstance(said.get("name"), str) and said["name"] in tools:
            return {"type": "function", "function": {"name": chat.chat_name(said["name"])}}, is_parallel
        case None:
            return None, is_parallel
    return "auto", is_parallel


def _effort(thinking: dict[str, Any], said: Any) -> str | None:
    if isinstance(said, str):
        return said
    budget = thinking.get("budget_tokens")
    match thinking.get("type"):
        case "enabled" if isinstance(budget, int):
            return chat.effort_of_budget(budget)
        case "disabled":
            return "none"
    return None


def _response_format(form: dict[str, Any]) -> dict[str, Any] | None:
    return chat.json_format(form["schema"]) if form.get("type") == "json_schema" and "schema" in form else None
