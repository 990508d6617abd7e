"""A Gemini request as a chat request. What chat cannot do is refused with the name of the member."""

import re
from collections.abc import Callable
from typing import Any

from hypereal.kit.errors import InvalidRequest
from hypereal.wire.bridges import chat_requests as chat
from hypereal.wire.bridges.chat_requests import Message
from hypereal.wire.bridges.gemini_to_chat.schema import json_schema
from hypereal.wire.bridges.gemini_to_chat.spelling import camel
from hypereal.wire.bridges.opaque import unseal
from hypereal.wire.folding.decoding import mapping
from hypereal.wire.members import encode

_CONFIG = {
    "temperature": "temperature",
    "topP": "top_p",
    "maxOutputTokens": "max_tokens",
    "stopSequences": "stop",
    "candidateCount": "n",
    "seed": "seed",
    "presencePenalty": "presence_penalty",
    "frequencyPenalty": "frequency_penalty",
}
"""`generationConfig` -> chat, value for value. Hints without a place in chat (topK) are left out."""
_SERVICE_TIERS = {"standard": "default"}
_ROLES = {"user": "user", "model": "model", "function": "user"}
_HINTS = {"thought", "thoughtSignature", "videoMetadata", "mediaResolution", "mediaProcessing", "partMetadata"}
"""Members of a part that say something about it. Every other one is what the part holds."""
_URL_SAFE = str.maketrans("-_", "+/")
_web_url = re.compile(r"https?://(?!generativelanguage\.googleapis\.com/)").match


def as_chat(body: dict[str, Any]) -> dict[str, Any]:
    """The members of a chat body. Raises InvalidRequest."""
    body = camel(body)
    config = camel(mapping(body.get("generationConfig")))
    _refuse(body, config)
    conversation = _Conversation()
    if (system := body.get("systemInstruction")) is not None:
        text = system if isinstance(system, str) else _text(system)
        conversation.messages.append({"role": "system", "content": text})
    for content in body.get("contents") or ():
        conversation.add(content)
    tools, choice = _tools(body)
    return {
        "messages": conversation.messages,
        "tools": tools,
        "tool_choice": choice,
        **{there: config.get(here) for here, there in _CONFIG.items()},
        "reasoning_effort": _effort(camel(mapping(config.get("thinkingConfig")))),
        "response_format": _response_format(config),
        "service_tier": _service_tier(body.get("serviceTier")),
    }


def _refuse(body: dict[str, Any], config: dict[str, Any]) -> None:
    asked = config.get("responseModalities") or ["TEXT"]
    modalities = [str(each).upper() for each in asked] if isinstance(asked, list) else [asked]
    for name, is_asked in (
        ("cachedContent", bool(body.get("cachedContent"))),
        ("generateContentRequest", "generateContentRequest" in body),
        ("responseModalities", modalities != ["TEXT"]),
        ("responseLogprobs", bool(config.get("responseLogprobs"))),
    ):
        if is_asked:
            raise _not_carried(name)


def _not_carried(name: str) -> InvalidRequest:
    return InvalidRequest(
        f"'{name}' cannot be served in Gemini's shape for this model, which only speaks OpenAI's: leave it out, use a "
        "model of Google's here, or send this call to /v1/chat/completions in OpenAI's shape.",
        param=name,
    )


class _Conversation:
    """Contents as messages. Calls without an id get one by their order, and so do their results."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self._calls = 0
        self._open: list[tuple[str, str]] = []
        """(name, id) of calls whose result has not come yet."""

    def add(self, content: Any) -> None:
        """The next content. Raises InvalidRequest."""
        role = mapping(content).get("role") or "user"
        if not isinstance(role, str) or role not in _ROLES:
            raise InvalidRequest("'contents': a role must be 'user' or 'model'.", param="contents")
        parts = [_part(part) for part in _parts(content)]
        if _ROLES[role] == "model":
            self._add_models(parts)
        else:
            self._add_users(parts)

    def _add_models(self, parts: list[dict[str, Any]]) -> None:
        texts: list[str] = []
        thoughts: list[str] = []
        kept_thoughts = ""
        calls, signature = [], ""
        for part in parts:
            held, kept = _held(part), _kept(part)
            kept_thoughts += kept.get("text", "")
            if held == "functionCall":
                calls.append(self._call(camel(mapping(part["functionCall"])), kept.get("signature", "")))
                continue
            if held != "text":
                raise _not_carried(held)
            (thoughts if part.get("thought") else texts).append(_text_of(part))
            signature = kept.get("signature", signature)
        self.messages += chat.assistant("".join(texts), kept_thoughts or "".join(thoughts), calls, signature)

    def _call(self, said: dict[str, Any], signature: str) -> dict[str, Any]:
        name = chat.require_text(said.get("name"), "contents.functionCall.name")
        call_id = said.get("id")
        if not isinstance(call_id, str) or not call_id:
            call_id = f"call_{self._calls}"
        self._calls += 1
        self._open.append((name, call_id))
        return chat.call(call_id, chat.chat_name(name), encode(mapping(said.get("args"))).decode(), signature)

    def _add_users(self, parts: list[dict[str, Any]]) -> None:
        said, results = [], []
        for part in parts:
            if _held(part) == "functionResponse":
                result, media = self._result(camel(mapping(part["functionResponse"])))
                results.append(result)
                said += media
            elif not part.get("thought"):
                said.append(_content_part(part))
        self.messages += results
        if said or not results:
            self.messages.append({"role": "user", "content": chat.content(said, "")})

    def _result(self, said: dict[str, Any]) -> tuple[Message, list[dict[str, Any]]]:
        """The result of a call, and what it holds besides text."""
        call_id = said.get("id")
        if not isinstance(call_id, str) or not call_id:
            call_id = self._oldest_open(said.get("name"))
        self._open = [each for each in self._open if each[1] != call_id]
        parts = said.get("parts")
        media = [_content_part(_part(part)) for part in parts] if isinstance(parts, list) else []
        return {
            "role": "tool",
            "tool_call_id": call_id,
            "content": _result_text(said.get("response")),
        }, chat.beside_text(call_id, media)

    def _oldest_open(self, name: Any) -> str:
        named = [call_id for known, call_id in self._open if known == name]
        if not named:
            raise InvalidRequest(
                "'contents': a functionResponse without an id must follow a functionCall of its name.", param="contents"
            )
        return named[0]


def _result_text(response: Any) -> str:
    """Gemini CLI puts plain text into `output`; anything else is JSON."""
    match response:
        case {"output": str(text), **rest} if not rest:
            return text
    return encode(response).decode()


def _parts(content: Any) -> list[Any]:
    parts = mapping(content).get("parts")
    if not isinstance(parts, list):
        raise InvalidRequest("'contents': each needs a list of 'parts'.", param="contents")
    return parts


def _part(part: Any) -> dict[str, Any]:
    return camel(mapping(part))


def _held(part: dict[str, Any]) -> str:
    """The member that says what a part is; a part that holds nothing is an empty text."""
    return next((name for name in part if name not in _HINTS), "text")


def _text_of(part: dict[str, Any]) -> str:
    return chat.require_text(part.get("text", ""), "contents.parts.text")


def _text(content: Any) -> str:
    """The text of a system instruction."""
    texts = []
    for part in map(_part, _parts(content)):
        if _held(part) != "text":
            raise _not_carried(_held(part))
        texts.append(_text_of(part))
    return "".join(texts)


def _content_part(part: dict[str, Any]) -> dict[str, Any]:
    held = _held(part)
    if held == "text":
        return chat.text_part(_text_of(part))
    maker = _MEDIA.get(held)
    made = None if maker is None else maker(camel(mapping(part[held])))
    if made is None:
        raise _not_carried(held)
    return made


def _inline(said: dict[str, Any]) -> dict[str, Any] | None:
    media_type = chat.require_text(said.get("mimeType"), "contents.inlineData.mimeType")
    data = chat.require_text(said.get("data"), "contents.inlineData.data")
    name = said.get("displayName")
    return chat.media_part(media_type, data, name if isinstance(name, str) else "")


def _file(said: dict[str, Any]) -> dict[str, Any] | None:
    """An image on the web. Other addresses are of Google's own storage, which only Google reads."""
    uri, media_type = said.get("fileUri"), said.get("mimeType") or "image/*"
    if isinstance(uri, str) and isinstance(media_type, str) and media_type.startswith("image/") and _web_url(uri):
        return chat.image_part(uri)
    return None


_MEDIA: dict[str, Callable[[dict[str, Any]], dict[str, Any] | None]] = {"inlineData": _inline, "fileData": _file}


def _kept(part: dict[str, Any]) -> dict[str, str]:
    """The `signature` that the upstream gave, and the `text` of thoughts before a call, as far as there are any.

    SDKs print base64 in the other alphabet.
    """
    said = part.get("thoughtSignature")
    if not isinstance(said, str) or not said:
        return {}
    said = said.translate(_URL_SAFE)
    sealed = unseal(said)
    return {"signature": said} if sealed is None else sealed


def _tools(body: dict[str, Any]) -> tuple[list[dict[str, Any]], Any]:
    """The tools, and which of them the model may or must call."""
    declared: dict[str, dict[str, Any]] = {}
    for tool in chat.require_objects(body.get("tools"), "tools"):
        for name, value in camel(tool).items():
            if name != "functionDeclarations":
                raise _not_carried(f"tools.{name}")
            for declaration in map(camel, chat.require_objects(value, "tools.functionDeclarations")):
                declared[chat.require_text(declaration.get("name"), "tools.functionDeclarations.name")] = declaration
    config = camel(mapping(camel(mapping(body.get("toolConfig"))).get("functionCallingConfig")))
    mode, allowed = str(config.get("mode") or "AUTO").upper(), config.get("allowedFunctionNames")
    if isinstance(allowed, list) and allowed and mode != "NONE":
        declared = {name: declaration for name, declaration in declared.items() if name in allowed}
        if not declared:
            raise InvalidRequest("'toolConfig': allowedFunctionNames names no function in 'tools'.", param="toolConfig")
    choice: Any = {"NONE": "none", "ANY": "required"}.get(mode, "auto")
    if choice == "required" and len(declared) == 1:
        choice = {"type": "function", "function": {"name": chat.chat_name(next(iter(declared)))}}
    return [_function(name, declaration) for name, declaration in declared.items()], choice


def _function(name: str, declaration: dict[str, Any]) -> dict[str, Any]:
    schema = declaration.get("parametersJsonSchema")
    if schema is None:
        schema = json_schema(declaration.get("parameters"))
    return chat.function(chat.chat_name(name), declaration.get("description"), schema)


def _effort(thinking: dict[str, Any]) -> str | None:
    """A budget of -1 leaves it to the model."""
    level, budget = thinking.get("thinkingLevel"), thinking.get("thinkingBudget")
    if isinstance(level, str):
        return level.lower()
    return chat.effort_of_budget(budget) if isinstance(budget, int) and budget >= 0 else None


def _response_format(config: dict[str, Any]) -> dict[str, Any] | None:
    schema = config.get("responseJsonSchema")
    if schema is None:
        schema = json_schema(config.get("responseSchema"))
    if schema is not None:
        return chat.json_format(schema)
    return {"type": "json_object"} if config.get("responseMimeType") == "application/json" else None


def _service_tier(said: Any) -> str | None:
    return _SERVICE_TIERS.get(said.lower(), said.lower()) if isinstance(said, str) else None
