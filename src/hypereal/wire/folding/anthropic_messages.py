"""Anthropic's events into one message and back. Deltas: the types of anthropic-python 2.12."""

from typing import Any

import msgspec

from hypereal.wire import events
from hypereal.wire.folding.decoding import answer_object, mapping, objects, position, stream_objects, unusable
from hypereal.wire.members import UNREADABLE, encode

_APPENDED = {"text_delta": "text", "thinking_delta": "thinking", "signature_delta": "signature"}
_PIECES = "partial_json"


def fold(stream: bytes) -> bytes:
    """The message that the events of STREAM make. Raises UpstreamFailed where it does not start."""
    message: dict[str, Any] = {}
    blocks: dict[int, dict[str, Any]] = {}
    for event in stream_objects(stream):
        index = position(event.get("index"))
        match event.get("type"):
            case "message_start":
                message = mapping(event.get("message"))
            case "content_block_start":
                blocks[index] = mapping(event.get("content_block"))
            case "content_block_delta":
                _apply(blocks.setdefault(index, {"type": "text", "text": ""}), mapping(event.get("delta")))
            case "message_delta":
                message |= mapping(event.get("delta"))
                said = {name: count for name, count in mapping(event.get("usage")).items() if count is not None}
                message["usage"] = mapping(message.get("usage")) | said
    if not message:
        raise unusable()
    message["content"] = [_closed(blocks[index]) for index in sorted(blocks)]
    return encode(message)


def unfold(body: bytes) -> bytes:
    """The stream of a message. Raises UpstreamFailed where BODY is none."""
    message = answer_object(body)
    if not isinstance(message.get("content"), list):
        raise unusable()
    usage = mapping(message.get("usage"))
    end = {name: message.get(name) for name in ("stop_reason", "stop_sequence")}
    if message.get("stop_details") is not None:
        end["stop_details"] = message["stop_details"]
    start = message | {"content": [], "usage": usage | {"output_tokens": 0}} | dict.fromkeys(end)
    parts: list[dict[str, Any]] = [{"type": "message_start", "message": start}]
    for index, block in enumerate(objects(message["content"])):
        opening, deltas = _opened(block)
        parts.append({"type": "content_block_start", "index": index, "content_block": opening})
        parts += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
        parts.append({"type": "content_block_stop", "index": index})
    parts += [{"type": "message_delta", "delta": end, "usage": usage}, {"type": "message_stop"}]
    return b"".join(events.named_event(part["type"], encode(part)) for part in parts)


def _apply(block: dict[str, Any], delta: dict[str, Any]) -> None:
    kind = str(delta.get("type"))
    if (member := _APPENDED.get(kind)) is not None:
        block[member] = str(block.get(member) or "") + str(delta.get(member) or "")
    elif kind == "input_json_delta":
        block[_PIECES] = str(block.get(_PIECES) or "") + str(delta.get(_PIECES) or "")
    elif kind == "citations_delta":
        block["citations"] = [*objects(block.get("citations")), delta.get("citation")]


def _closed(block: dict[str, Any]) -> dict[str, Any]:
    """BLOCK with the pieces of its tool input as one value; no pieces leave what its start said."""
    if pieces := str(block.pop(_PIECES, "")):
        try:
            block["input"] = msgspec.json.decode(pieces.encode())
        except UNREADABLE:
            raise unusable() from None
    return block


def _opened(block: dict[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """BLOCK as its start and the deltas that fill it; kinds we do not know are whole at once."""
    match block:
        case {"type": "text", "text": str(text)}:
            deltas = [{"type": "citations_delta", "citation": each} for each in objects(block.get("citations"))]
            start = {name: value for name, value in block.items() if name != "citations"}
            return start | {"text": ""}, [*deltas, {"type": "text_delta", "text": text}]
        case {"type": "thinking", "thinking": str(thinking)}:
            signature = {"type": "signature_delta", "signature": block.get("signature") or ""}
            return block | {"thinking": "", "signature": ""}, [
                {"type": "thinking_delta", "thinking": thinking},
                signature,
            ]
        case {"type": "tool_use" | "server_tool_use", "input": value}:
            return block | {"input": {}}, [{"type": "input_json_delta", _PIECES: encode(value).decode()}]
    return block, []
