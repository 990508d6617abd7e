"""Gemini's chunks into one answer and back: each chunk is a partial answer, and a whole answer is a chunk."""

from typing import Any

import msgspec

from hypereal.wire import events
from hypereal.wire.folding.decoding import answer_object, mapping, objects, position, stream_objects, unusable
from hypereal.wire.members import encode


def fold(stream: bytes) -> bytes:
    """The answer that the chunks of STREAM make. Raises UpstreamFailed where they hold none."""
    answer: dict[str, Any] = {}
    candidates: dict[int, dict[str, Any]] = {}
    for chunk in stream_objects(stream):
        for piece in objects(chunk.pop("candidates", None)):
            candidate = candidates.setdefault(position(piece.get("index")), {"content": {"role": "model", "parts": []}})
            content = mapping(piece.pop("content", None))
            for part in objects(content.pop("parts", None)):
                _append(candidate["content"]["parts"], part)
            candidate["content"] |= content
            candidate |= piece
        answer |= chunk
    if not candidates and "promptFeedback" not in answer:
        raise unusable()
    if candidates:
        answer = {"candidates": [candidates[index] for index in sorted(candidates)]} | answer
    return encode(answer)


def unfold(body: bytes) -> bytes:
    """BODY as the only chunk. Raises UpstreamFailed where it is no JSON object."""
    answer_object(body)
    return events.event(msgspec.json.format(body, indent=-1))


def _append(parts: list[dict[str, Any]], part: dict[str, Any]) -> None:
    """Text goes on in the part before it, unless one is a thought and the other is not, or has a signature."""
    last = parts[-1] if parts else {}
    if _is_text(last) and _is_text(part) and last.get("thought") == part.get("thought"):
        last["text"] += part["text"]
    else:
        parts.append(part)


def _is_text(part: dict[str, Any]) -> bool:
    return isinstance(part.get("text"), str) and part.keys() <= {"text", "thought"}
