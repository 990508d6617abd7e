"""What correct answers of the vendors look like, plain and as events, in every dialect.

The texts are invented; the shapes are those of the vendors' own SDK types.
"""

import json
from collections.abc import Sequence
from typing import Any

TEXT = ("Grüße, ", "Welt 🌍", "!")
CHAT_USAGE = {
    "prompt_tokens": 1000,
    "completion_tokens": 200,
    "total_tokens": 1200,
    "prompt_tokens_details": {"cached_tokens": 400, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 50},
}
RESPONSES_USAGE = {
    "input_tokens": 1000,
    "input_tokens_details": {"cached_tokens": 400},
    "output_tokens": 200,
    "output_tokens_details": {"reasoning_tokens": 50},
    "total_tokens": 1200,
}
MESSAGES_USAGE = {
    "input_tokens": 500,
    "cache_read_input_tokens": 400,
    "cache_creation_input_tokens": 100,
    "cache_creation": {"ephemeral_5m_input_tokens": 60, "ephemeral_1h_input_tokens": 40},
    "output_tokens": 200,
    "service_tier": "standard",
}
GEMINI_USAGE = {
    "promptTokenCount": 1000,
    "cachedContentTokenCount": 400,
    "candidatesTokenCount": 150,
    "thoughtsTokenCount": 50,
    "totalTokenCount": 1200,
}
ToolCall = tuple[str, dict[str, Any] | str]
"""(name, arguments); text as arguments where the tool takes free text, which only Responses has."""
TOOL: ToolCall = ("get_weather", {"city": "Berlin"})


def encode(value: object) -> bytes:
    """VALUE as JSON the way vendors print it: no ASCII escapes."""
    return json.dumps(value, ensure_ascii=False).encode()


def event(value: object, name: str = "") -> bytes:
    """One server-sent event."""
    payload = value if isinstance(value, bytes) else encode(value)
    return (f"event: {name}\n".encode() if name else b"") + b"data: " + payload + b"\n\n"


# -- OpenAI chat -------------------------------------------------------------------------------------------------------


def chat_answer(text: str = "".join(TEXT), usage: Any = CHAT_USAGE, **message: Any) -> dict[str, Any]:
    """A whole answer. USAGE None leaves it out."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text, **message}, "finish_reason": "stop"}
    if "tool_calls" in message:
        choice["finish_reason"] = "tool_calls"
    answer = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1767225600, "model": "up-1"}
    return answer | {"choices": [choice]} | ({} if usage is None else {"usage": usage})


def chat_tool_answer(tool: ToolCall = TOOL, number: int = 1) -> dict[str, Any]:
    """The model calls TOOL; NUMBER tells the calls of a conversation apart, here and below."""
    function = {"name": tool[0], "arguments": json.dumps(tool[1])}
    return chat_answer("", tool_calls=[{"id": f"call_{number}", "type": "function", "function": function}])


def chat_chunk(delta: dict[str, Any] | None, finish: str | None = None, **members: Any) -> bytes:
    """One chunk; DELTA None: without choices."""
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}]
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1767225600, "model": "up-1"}
    return event(head | {"choices": choices} | members)


def chat_events(texts: Sequence[str] = TEXT, usage: Any = CHAT_USAGE) -> list[bytes]:
    """A stream whose usage comes in a chunk of its own before [DONE]; USAGE None: none comes."""
    events = [chat_chunk({"role": "assistant", "content": ""}), *(chat_chunk({"content": text}) for text in texts)]
    events.append(chat_chunk({}, "stop"))
    if usage is not None:
        events.append(chat_chunk(None, usage=usage))
    return [*events, event(b"[DONE]")]


def chat_tool_events(tool: ToolCall = TOOL, number: int = 1) -> list[bytes]:
    """The model calls TOOL; its arguments come in two fragments."""
    arguments = json.dumps(tool[1])
    function = {"name": tool[0], "arguments": ""}
    call = {"index": 0, "id": f"call_{number}", "type": "function", "function": function}
    parts = [{"index": 0, "function": {"arguments": part}} for part in (arguments[:5], arguments[5:])]
    deltas = [{"role": "assistant", "tool_calls": [call]}, *({"tool_calls": [part]} for part in parts)]
    ends = [chat_chunk({}, "tool_calls"), chat_chunk(None, usage=CHAT_USAGE), event(b"[DONE]")]
    return [*map(chat_chunk, deltas), *ends]


# -- OpenAI Responses --------------------------------------------------------------------------------------------------


def _response(output: list[Any], usage: Any, status: str = "completed") -> dict[str, Any]:
    response = {"id": "resp_1", "object": "response", "created_at": 1767225600, "status": status, "model": "up-1"}
    fixed = {"parallel_tool_calls": True, "tool_choice": "auto", "tools": [], "error": None, "metadata": {}}
    return response | fixed | {"output": output, "usage": usage}


def _message_item(text: str) -> dict[str, Any]:
    part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    return {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": [part]}


def _call_item(tool: ToolCall, number: int) -> dict[str, Any]:
    name, arguments = tool
    call = {"call_id": f"call_{number}", "name": name, "status": "completed"}
    if isinstance(arguments, str):
        return {"id": f"ctc_{number}", "type": "custom_tool_call", **call, "input": arguments}
    return {"id": f"fc_{number}", "type": "function_call", **call, "arguments": json.dumps(arguments)}


def responses_answer(text: str = "".join(TEXT), usage: Any = RESPONSES_USAGE) -> dict[str, Any]:
    """A whole response."""
    return _response([_message_item(text)], usage)


def responses_tool_answer(tool: ToolCall = TOOL, number: int = 1) -> dict[str, Any]:
    """The model calls TOOL."""
    return _response([_call_item(tool, number)], RESPONSES_USAGE)


def _numbered(parts: list[dict[str, Any]]) -> list[bytes]:
    return [event(part | {"sequence_number": number}, part["type"]) for number, part in enumerate(parts)]


def responses_events(texts: Sequence[str] = TEXT, usage: Any = RESPONSES_USAGE) -> list[bytes]:
    """The canonical order for a text."""
    item = _message_item("".join(texts))
    where = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    opened = item | {"status": "in_progress", "content": []}
    empty = item["content"][0] | {"text": ""}
    begun = _response([], None, "in_progress")
    return _numbered(
        [
            {"type": "response.created", "response": begun},
            {"type": "response.in_progress", "response": begun},
            {"type": "response.output_item.added", "output_index": 0, "item": opened},
            {"type": "response.content_part.added", **where, "part": empty},
            *({"type": "response.output_text.delta", **where, "delta": text, "logprobs": []} for text in texts),
            {"type": "response.output_text.done", **where, "text": "".join(texts), "logprobs": []},
            {"type": "response.content_part.done", **where, "part": item["content"][0]},
            {"type": "response.output_item.done", "output_index": 0, "item": item},
            {"type": "response.completed", "response": _response([item], usage)},
        ]
    )


def responses_tool_events(tool: ToolCall = TOOL, number: int = 1) -> list[bytes]:
    """The model calls TOOL."""
    item = _call_item(tool, number)
    member, kind = ("input", "custom_tool_call_input") if "input" in item else ("arguments", "function_call_arguments")
    where = {"item_id": item["id"], "output_index": 0}
    opened = item | {member: "", "status": "in_progress"}
    return _numbered(
        [
            {"type": "response.created", "response": _response([], None, "in_progress")},
            {"type": "response.output_item.added", "output_index": 0, "item": opened},
            {"type": f"response.{kind}.delta", **where, "delta": item[member]},
            {"type": f"response.{kind}.done", **where, member: item[member], "name": item["name"]},
            {"type": "response.output_item.done", "output_index": 0, "item": item},
            {"type": "response.completed", "response": _response([item], RESPONSES_USAGE)},
        ]
    )


# -- Anthropic Messages ------------------------------------------------------------------------------------------------


def _message(content: list[Any], stop: str | None, usage: Any) -> dict[str, Any]:
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "up-1", "content": content}
    return message | {"stop_reason": stop, "stop_sequence": None} | ({} if usage is None else {"usage": usage})


def messages_answer(text: str = "".join(TEXT), usage: Any = MESSAGES_USAGE) -> dict[str, Any]:
    """A whole message."""
    return _message([{"type": "text", "text": text}], "end_turn", usage)


def messages_tool_answer(tool: ToolCall = TOOL, number: int = 1) -> dict[str, Any]:
    """The model calls TOOL."""
    call = {"type": "tool_use", "id": f"toolu_{number}", "name": tool[0], "input": tool[1]}
    return _message([call], "tool_use", MESSAGES_USAGE)


def _messages_stream(block: dict[str, Any], deltas: list[dict[str, Any]], stop: str, usage: Any) -> list[bytes]:
    first = None if usage is None else usage | {"output_tokens": 1}
    last = {} if usage is None else {"usage": {"output_tokens": usage["output_tokens"]}}
    parts: list[dict[str, Any]] = [
        {"type": "message_start", "message": _message([], None, first)},
        {"type": "content_block_start", "index": 0, "content_block": block},
        {"type": "ping"},
        *({"type": "content_block_delta", "index": 0, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": stop, "stop_sequence": None}, **last},
        {"type": "message_stop"},
    ]
    return [event(part, part["type"]) for part in parts]


def messages_events(texts: Sequence[str] = TEXT, usage: Any = MESSAGES_USAGE) -> list[bytes]:
    """Input usage in `message_start`, output usage in `message_delta`."""
    deltas = [{"type": "text_delta", "text": text} for text in texts]
    return _messages_stream({"type": "text", "text": ""}, deltas, "end_turn", usage)


def messages_tool_events(tool: ToolCall = TOOL, number: int = 1) -> list[bytes]:
    """The model calls TOOL."""
    block = {"type": "tool_use", "id": f"toolu_{number}", "name": tool[0], "input": {}}
    deltas = [{"type": "input_json_delta", "partial_json": json.dumps(tool[1])}]
    return _messages_stream(block, deltas, "tool_use", MESSAGES_USAGE)


# -- Gemini ------------------------------------------------------------------------------------------------------------


def gemini_chunk(parts: list[Any], finish: str | None = None, usage: Any = None) -> dict[str, Any]:
    """A whole answer, or one event of a stream."""
    candidate = {"content": {"role": "model", "parts": parts}, "index": 0}
    answer = {"candidates": [candidate | ({"finishReason": finish} if finish else {})], "modelVersion": "up-1"}
    return answer | {"responseId": "r-1"} | ({} if usage is None else {"usageMetadata": usage})


def gemini_answer(text: str = "".join(TEXT), usage: Any = GEMINI_USAGE) -> dict[str, Any]:
    """A whole answer."""
    return gemini_chunk([{"text": text}], "STOP", usage)


def gemini_tool_answer(tool: ToolCall = TOOL, number: int = 1) -> dict[str, Any]:
    """The model calls TOOL, with a thought signature."""
    call = {"functionCall": {"id": f"c{number}", "name": tool[0], "args": tool[1]}, "thoughtSignature": "c2ln"}
    return gemini_chunk([call], "STOP", GEMINI_USAGE)


def gemini_events(texts: Sequence[str] = TEXT, usage: Any = GEMINI_USAGE) -> list[bytes]:
    """Cumulative usage in each event, final in the last."""
    early = None if usage is None else {"promptTokenCount": usage["promptTokenCount"], "candidatesTokenCount": 1}
    events = [gemini_chunk([{"text": text}], None, early) for text in texts[:-1]]
    return [event(part) for part in [*events, gemini_chunk([{"text": texts[-1]}], "STOP", usage)]]


def gemini_tool_events(tool: ToolCall = TOOL, number: int = 1) -> list[bytes]:
    """The model calls TOOL; calls come whole."""
    return [event(gemini_chunk([{"text": "Let me see."}])), event(gemini_tool_answer(tool, number))]


DEFAULTS = {
    "/chat/completions": (chat_answer, chat_events),
    "/responses": (responses_answer, responses_events),
    "/messages": (messages_answer, messages_events),
    "enerateContent": (gemini_answer, gemini_events),
}
"""Part of the path -> (whole answer, events) of the dialect that is spoken there."""
