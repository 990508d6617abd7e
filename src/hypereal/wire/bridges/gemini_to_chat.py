"""Gemini callers on chat upstreams: text only. What is not text is refused with the endpoint that takes it."""

from typing import Any

import msgspec

from hypereal.kit.dialects import Dialect
from hypereal.kit.errors import InvalidRequest, UpstreamFailed
from hypereal.kit.usage import Usage
from hypereal.wire import errors, events, members
from hypereal.wire.folding.decoding import answer_object, mapping, objects
from hypereal.wire.members import encode
from hypereal.wire.request import Request
from hypereal.wire.upstream_errors import error_of_value
from hypereal.wire.usage import ChatUsage, Profile, chat_usage

FINISH_REASONS = {"stop": "STOP", "length": "MAX_TOKENS", "content_filter": "SAFETY", "tool_calls": "STOP"}

_ROLES = {"user": "user", "model": "assistant"}
_CONFIG = {
    "temperature": "temperature",
    "topP": "top_p",
    "stopSequences": "stop",
    "candidateCount": "n",
    "seed": "seed",
    "presencePenalty": "presence_penalty",
    "frequencyPenalty": "frequency_penalty",
}
"""`generationConfig` -> chat, value for value. Hints that chat has no place for (topK, thinkingConfig) are left out."""
_TEXT_PARTS = {"text", "thought", "thoughtSignature"}
_SNAKE = {
    "system_instruction": "systemInstruction",
    "generation_config": "generationConfig",
    "cached_content": "cachedContent",
    "top_p": "topP",
    "stop_sequences": "stopSequences",
    "candidate_count": "candidateCount",
    "presence_penalty": "presencePenalty",
    "frequency_penalty": "frequencyPenalty",
    "response_mime_type": "responseMimeType",
    "response_schema": "responseSchema",
    "response_json_schema": "responseJsonSchema",
    "response_modalities": "responseModalities",
}
"""Google takes both spellings."""

_object = msgspec.json.Decoder(dict[str, Any])


class GeminiToChat:
    """The bridge; see `Bridge` for what each part promises."""

    caller = Dialect.GEMINI
    upstream = Dialect.OPENAI_CHAT

    def request(self, request: Request, profile: Profile) -> Request:
        try:
            return self._request(request, profile)
        except RecursionError:
            raise InvalidRequest("The body is nested too deeply.") from None

    def _request(self, request: Request, profile: Profile) -> Request:
        body = _camel({name: members.decoded(raw, name) for name, raw in request.fields.items()})
        _refuse_more_than_text(body)
        config = _camel(mapping(body.get("generationConfig")))
        chat: dict[str, Any] = {"model": request.model, "messages": _messages(body)}
        chat |= {there: config[here] for here, there in _CONFIG.items() if config.get(here) is not None}
        if request.output_tokens_max is not None:
            chat[profile.output_limit] = request.output_tokens_max
        if (form := _response_format(config)) is not None:
            chat["response_format"] = form
        if request.stream:
            chat["stream"] = True
        return Request(
            dialect=self.upstream,
            model=request.model,
            stream=request.stream,
            fields=members.parse(encode(chat)),
            size_bytes=request.size_bytes,
            output_tokens_max=request.output_tokens_max,
            choices=request.choices,
            wants_usage=False,
        )

    def answer(self, body: bytes, profile: Profile) -> bytes:
        answer = answer_object(body)
        candidates = [
            _candidate(choice, mapping(choice.get("message")).get("content"), choice.get("finish_reason") or "stop")
            for choice in objects(answer.get("choices"))
        ]
        if not candidates:
            raise UpstreamFailed("The upstream's answer could not be read.")
        return encode({"candidates": candidates} | _metadata(answer, _usage(answer, profile)))

    def stream(self, profile: Profile) -> "ChatToGeminiStream":
        return ChatToGeminiStream(profile)


class ChatToGeminiStream:
    """Chat chunks into Gemini's. The ends of the candidates wait for the usage, which Gemini has in its last chunk."""

    __slots__ = ("_ends", "_head", "_profile", "_usage")

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        self._ends: list[dict[str, Any]] = []
        self._head: dict[str, Any] = {}
        self._usage: Usage | None = None

    def feed(self, stream: bytes) -> bytes:
        return b"".join(self._feed_one(payload) for payload in events.payloads(stream))

    def end(self) -> bytes:
        """The last chunk; nothing where no candidate ended, so that a cut stream does not look whole."""
        if not self._ends:
            return b""
        last = {"candidates": self._ends} | _metadata(self._head, self._usage)
        self._ends = []
        return events.event(encode(last))

    def _feed_one(self, payload: bytes) -> bytes:
        if payload == events.DONE:
            return self.end()
        try:
            chunk = _object.decode(payload)
        except members.UNREADABLE:
            return b""
        if (error := error_of_value(200, chunk)) is not None:
            return events.event(errors.gemini(UpstreamFailed(error.message or "The upstream failed.")))
        self._head = chunk
        self._usage = _usage(chunk, self._profile) or self._usage
        candidates = []
        for choice in objects(chunk.get("choices")):
            content = mapping(choice.get("delta")).get("content")
            if content:
                candidates.append(_candidate(choice, content, None))
            if choice.get("finish_reason"):
                self._ends.append(_candidate(choice, None, choice["finish_reason"]))
        return events.event(encode({"candidates": candidates} | _metadata(chunk, None))) if candidates else b""


def _camel(value: dict[str, Any]) -> dict[str, Any]:
    return {_SNAKE.get(name, name): item for name, item in value.items()}


def _refuse_more_than_text(body: dict[str, Any]) -> None:
    config = _camel(mapping(body.get("generationConfig")))
    modalities = config.get("responseModalities") or ["TEXT"]
    for name, is_asked in (
        ("tools", bool(body.get("tools"))),
        ("cachedContent", bool(body.get("cachedContent"))),
        ("generateContentRequest", "generateContentRequest" in body),
        ("responseModalities", modalities != ["TEXT"]),
    ):
        if is_asked:
            raise _not_text(name)


def _not_text(name: str) -> InvalidRequest:
    return InvalidRequest(
        f"'{name}' is not served in Gemini's shape for this model, only text is: send this call to "
        "/v1/chat/completions in OpenAI's shape.",
        param=name,
    )


def _messages(body: dict[str, Any]) -> list[dict[str, str]]:
    messages = []
    system = body.get("systemInstruction")
    if system is not None:
        messages.append({"role": "system", "content": system if isinstance(system, str) else _text(system)})
    for content in body.get("contents") or ():
        role = mapping(content).get("role") or "user"
        if not isinstance(role, str) or role not in _ROLES:
            raise InvalidRequest("'contents': a role must be 'user' or 'model'.", param="contents")
        messages.append({"role": _ROLES[role], "content": _text(content)})
    return messages


def _text(content: Any) -> str:
    """The text of one content. Thoughts that were sent back are left out: chat has no place for them."""
    parts = mapping(content).get("parts")
    if not isinstance(parts, list):
        raise InvalidRequest("'contents': each needs a list of 'parts'.", param="contents")
    texts = []
    for part in parts:
        other = next((name for name in mapping(part) if name not in _TEXT_PARTS), None)
        if other is not None:
            raise _not_text(other)
        if not isinstance(mapping(part).get("text", ""), str):
            raise InvalidRequest("'contents': 'text' must be a string.", param="contents")
        if not mapping(part).get("thought"):
            texts.append(mapping(part).get("text", ""))
    return "".join(texts)


def _response_format(config: dict[str, Any]) -> dict[str, Any] | None:
    schema = config.get("responseJsonSchema")
    if schema is None and config.get("responseSchema") is not None:
        schema = _json_schema(config["responseSchema"])
    if schema is not None:
        return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
    return {"type": "json_object"} if config.get("responseMimeType") == "application/json" else None


def _json_schema(schema: Any) -> Any:
    """Google's own schema has the types of JSON Schema in upper case."""
    if isinstance(schema, list):
        return [_json_schema(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    lowered = {"type": schema["type"].lower()} if isinstance(schema.get("type"), str) else {}
    return {name: _json_schema(item) for name, item in schema.items() if name != "propertyOrdering"} | lowered


def _candidate(choice: dict[str, Any], text: Any, finish_reason: str | None) -> dict[str, Any]:
    parts = [{"text": text}] if isinstance(text, str) and text else []
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": parts}, "index": choice.get("index") or 0}
    if finish_reason is not None:
        candidate["finishReason"] = FINISH_REASONS.get(str(finish_reason), "OTHER")
    return candidate


def _usage(answer: dict[str, Any], profile: Profile) -> Usage | None:
    try:
        said = msgspec.convert(answer.get("usage"), ChatUsage | None)
    except msgspec.ValidationError:
        return None
    return chat_usage(said, profile)


def _metadata(answer: dict[str, Any], usage: Usage | None) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if usage is not None:
        found["usageMetadata"] = {
            "promptTokenCount": usage.input_tokens_total,
            "candidatesTokenCount": usage.output_tokens - usage.reasoning_tokens,
            "totalTokenCount": usage.input_tokens_total + usage.output_tokens,
        }
        if usage.cache_read_tokens:
            found["usageMetadata"]["cachedContentTokenCount"] = usage.cache_read_tokens
        if usage.reasoning_tokens:
            found["usageMetadata"]["thoughtsTokenCount"] = usage.reasoning_tokens
    for name, source in (("modelVersion", "model"), ("responseId", "id")):
        if isinstance(answer.get(source), str):
            found[name] = answer[source]
    return found
