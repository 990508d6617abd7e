"""What the requests of all bridges share on chat's side: parts of a message, names of tools, and a vendor's limits.

A bridge writes a full chat body, with everything that the caller said. `fitted` makes it one that the vendor takes.
"""

import base64
import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from hypereal.kit.errors import InvalidRequest
from hypereal.wire import members
from hypereal.wire.folding.decoding import mapping, objects
from hypereal.wire.members import Fields, encode
from hypereal.wire.profiles import Profile

AsChat = Callable[[dict[str, Any]], dict[str, Any]]
"""A decoded body of another dialect -> a chat body, but for `model` and `stream`. Raises InvalidRequest."""
Message = dict[str, Any]
"""Of chat. An assistant's may hold `reasoning_content`, and `extra_content` as its calls may."""

EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
LOW_BUDGET_TOKENS, MEDIUM_BUDGET_TOKENS = 1_024, 8_192
"""Budgets of thinking as efforts: Google's own table for its chat endpoint."""

_name = re.compile(r"[A-Za-z0-9_-]{1,64}").fullmatch
_URL_SAFE = str.maketrans("-_", "+/")
_AUDIO = {"audio/wav": "wav", "audio/x-wav": "wav", "audio/mp3": "mp3", "audio/mpeg": "mp3"}
NAME_CHARACTERS_KEPT = 55


def translated(fields: Fields, as_chat: AsChat, profile: Profile) -> Fields:
    """The members of a chat body for the vendor of PROFILE, from the FIELDS of a body of AS_CHAT's dialect.

    Raises InvalidRequest for what cannot be carried.
    """
    try:
        body = {name: members.decoded(raw, name) for name, raw in fields.items()}
        return members.parse(encode(fitted(as_chat(body), profile)))
    except RecursionError:
        raise InvalidRequest("The body is nested too deeply.") from None


def fitted(chat: dict[str, Any], profile: Profile) -> dict[str, Any]:
    """CHAT as the vendor of PROFILE takes it: without members that it refuses, others with its names and values.

    Raises InvalidRequest for one that costs more and would be left out.
    """
    if chat.get("service_tier") == "priority" and "service_tier" in profile.left_out:
        raise InvalidRequest("This model has no 'priority' tier.", param="service_tier")
    chat = {name: value for name, value in chat.items() if value is not None and name not in profile.left_out}
    if not chat.get("tools"):
        for name in ("tools", "tool_choice", "parallel_tool_calls"):
            chat.pop(name, None)
    if "max_tokens" in chat:
        chat[profile.output_limit] = chat.pop("max_tokens")
    if "reasoning_effort" in chat:
        chat["reasoning_effort"] = _effort(chat["reasoning_effort"], profile.efforts)
        if chat["reasoning_effort"] is None:
            del chat["reasoning_effort"]
    _fit_response_format(chat, profile)
    chat["messages"] = [_fitted_message(message, profile) for message in _in_order(chat["messages"])]
    return chat


def chat_name(name: str, *, taken: Iterable[str] = ()) -> str:
    """NAME where chat takes it for a tool (64 characters of a few kinds), else one made of it, always the same."""
    if _name(name) and name not in taken:
        return name
    kept = re.sub(r"[^A-Za-z0-9_-]", "_", name)[:NAME_CHARACTERS_KEPT]
    return f"{kept}_{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def function(name: str, description: Any, parameters: Any, strict: Any = None) -> dict[str, Any]:
    """A tool of chat. `$schema` is taken off: one vendor's models lose their way over it."""
    schema = {key: value for key, value in mapping(parameters).items() if key != "$schema"}
    function: dict[str, Any] = {"name": name}
    if isinstance(description, str) and description:
        function["description"] = description
    function["parameters"] = schema or {"type": "object", "properties": {}}
    if isinstance(strict, bool):
        function["strict"] = strict
    return {"type": "function", "function": function}


def call(call_id: str, name: str, arguments: str, signature: str = "") -> dict[str, Any]:
    """A call in an assistant's message; ARGUMENTS are JSON."""
    made: dict[str, Any] = {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}
    return made | extra_content(signature)


def extra_content(signature: str) -> dict[str, Any]:
    """Where Google's chat endpoint has a thought signature, of a message or of a call; nothing for an empty one."""
    return {"extra_content": {"google": {"thought_signature": signature}}} if signature else {}


def assistant(text: str, reasoning: str, calls: Sequence[dict[str, Any]], signature: str = "") -> list[Message]:
    """The assistant's message; none where it says nothing."""
    if not text and not calls and not signature:
        return []
    message: Message = {"role": "assistant", "content": text}
    if reasoning:
        message["reasoning_content"] = reasoning
    if calls:
        message["tool_calls"] = list(calls)
    return [message | extra_content(signature)]


def content(parts: Sequence[dict[str, Any]], separator: str) -> str | list[dict[str, Any]]:
    """The content of a message: text alone is a string, which every vendor takes."""
    if all(part["type"] == "text" for part in parts):
        return separator.join(part["text"] for part in parts)
    return list(parts)


def text_part(text: str) -> dict[str, Any]:
    """A part of a content."""
    return {"type": "text", "text": text}


def image_part(url: str, detail: Any = None) -> dict[str, Any]:
    """A part of a content. DETAIL where the caller said one."""
    image = {"url": url}
    return {"type": "image_url", "image_url": image | ({"detail": detail} if isinstance(detail, str) else {})}


def media_part(media_type: str, data: str, name: str) -> dict[str, Any] | None:
    """DATA (base64, of either alphabet) as a part of a content; None where chat has no place for its type."""
    media_type, data = media_type.lower().partition(";")[0], data.translate(_URL_SAFE)
    url = f"data:{media_type};base64,{data}"
    if media_type.startswith("image/"):
        return image_part(url)
    if media_type in _AUDIO:
        return {"type": "input_audio", "input_audio": {"data": data, "format": _AUDIO[media_type]}}
    if media_type == "application/pdf":
        return {"type": "file", "file": {"filename": name or "document.pdf", "file_data": url}}
    if media_type.startswith("text/") or media_type == "application/json":
        try:
            return text_part(base64.b64decode(data, validate=True).decode())
        except ValueError:
            raise InvalidRequest(f"The data of type '{media_type}' is not base64 of text in UTF-8.") from None
    return None


def beside_text(call_id: str, parts: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the result of a call holds besides text, for a message of the user's: chat's tools answer in text only."""
    return [text_part(f"Returned by {call_id} besides text:"), *parts] if parts else []


def json_format(schema: Any, name: Any = None, **members: Any) -> dict[str, Any]:
    """`response_format` for answers that fit SCHEMA; MEMBERS that are None are left out."""
    said = {name: value for name, value in members.items() if value is not None}
    named = name if isinstance(name, str) and _name(name) else "answer"
    return {"type": "json_schema", "json_schema": {"name": named, "schema": schema} | said}


def effort_of_budget(tokens: int) -> str:
    """A budget of thinking as an effort."""
    if tokens <= 0:
        return "none"
    return "low" if tokens <= LOW_BUDGET_TOKENS else "medium" if tokens <= MEDIUM_BUDGET_TOKENS else "high"


def require_text(value: Any, name: str) -> str:
    """VALUE where it is a string. Raises InvalidRequest that names the member NAME."""
    if not isinstance(value, str):
        raise InvalidRequest(f"'{name}' must be a string.", param=name.partition(".")[0])
    return value


def require_objects(value: Any, name: str) -> list[dict[str, Any]]:
    """VALUE where it is a list of objects; absent is empty. Raises InvalidRequest that names the member NAME."""
    if value is None:
        return []
    if not isinstance(value, list) or any(not isinstance(item, dict) for item in value):
        raise InvalidRequest(f"'{name}' must be a list of objects.", param=name.partition(".")[0])
    return value


def _effort(wanted: Any, offered: Sequence[str]) -> str | None:
    """The offered effort that is nearest to WANTED, the lower of two; None where none is, or it is no effort."""
    if not offered or wanted not in EFFORTS:
        return None
    rank = EFFORTS.index(wanted)
    return min(offered, key=lambda effort: (abs(EFFORTS.index(effort) - rank), EFFORTS.index(effort)))


def _fit_response_format(chat: dict[str, Any], profile: Profile) -> None:
    """JSON is told in words too where it must be: chat wants the word in a message, and some know no schema."""
    form = mapping(chat.get("response_format"))
    words = ""
    if form.get("type") == "json_schema" and not profile.takes_json_schema:
        chat["response_format"] = {"type": "json_object"}
        schema = encode(mapping(form.get("json_schema")).get("schema")).decode()
        words = f"Answer with one JSON object that fits this JSON schema, and nothing else:\n{schema}"
    elif form.get("type") == "json_object" and b"json" not in encode(chat["messages"]).lower():
        words = "Answer with one JSON object, and nothing else."
    if words:
        chat["messages"] = _with_words(chat["messages"], words)


def _with_words(messages: Sequence[Message], words: str) -> list[Message]:
    """MESSAGES with WORDS at the end of the system prompt: there they spoil no cache from turn to turn."""
    match messages:
        case [{"role": "system", "content": str(prompt)}, *rest]:
            return [{"role": "system", "content": f"{prompt}\n\n{words}"}, *rest]
    return [{"role": "system", "content": words}, *messages]


def _fitted_message(message: Message, profile: Profile) -> Message:
    if message["role"] != "assistant":
        return message
    message = dict(message)
    if not profile.takes_reasoning:
        message.pop("reasoning_content", None)
    elif profile.needs_reasoning:
        message.setdefault("reasoning_content", " ")
    if not profile.takes_signatures:
        message.pop("extra_content", None)
        if "tool_calls" in message:
            message["tool_calls"] = [
                {name: value for name, value in call.items() if name != "extra_content"}
                for call in message["tool_calls"]
            ]
    return message


def _in_order(messages: Sequence[Message]) -> list[Message]:
    """MESSAGES with each result of a tool right behind the message that called it, as chat wants it."""
    groups: list[list[Message]] = []
    callers: dict[str, list[Message]] = {}
    for message in messages:
        if message["role"] == "tool" and message["tool_call_id"] in callers:
            callers.pop(message["tool_call_id"]).append(message)
            continue
        group = [message]
        groups.append(group)
        callers |= {call["id"]: group for call in objects(message.get("tool_calls"))}
    return [message for group in groups for message in group]
