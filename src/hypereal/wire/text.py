"""How much text a model wrote, in bytes: what output is estimated from where no upstream counted it."""

from collections.abc import Iterable
from typing import Any

import msgspec

from hypereal.wire import events
from hypereal.wire.members import UNREADABLE, encode

BYTES_PER_TOKEN = 4
"""Of English text and code; the estimate for callers' bytes too."""

_TEXT = {
    "content",
    "reasoning_content",
    "reasoning",
    "refusal",
    "name",
    "arguments",
    "text",
    "thinking",
    "partial_json",
    "delta",
}
"""Members whose string is generated text. Ids, roles and signatures are not."""
_VALUES = {"input", "args"}
"""Members whose whole JSON value is: the arguments of a tool call."""

_object = msgspec.json.Decoder(dict[str, Any])


def text_bytes(payload: bytes, roots: Iterable[str]) -> int:
    """Bytes (UTF-8) of the generated text under the members ROOTS of the JSON object PAYLOAD; 0 where unreadable."""
    try:
        value = _object.decode(payload)
    except UNREADABLE:
        return 0
    total = 0
    left: list[tuple[str, Any]] = [(root, value.get(root)) for root in roots]
    while left:
        name, item = left.pop()
        if isinstance(item, str):
            total += len(item.encode()) if name in _TEXT else 0
        elif name in _VALUES and item:
            total += len(encode(item))
        elif isinstance(item, dict):
            left.extend(item.items())
        elif isinstance(item, list):
            left.extend((name, part) for part in item)
    return total


def stream_text_bytes(stream: bytes, roots: Iterable[str]) -> tuple[int, int]:
    """(events, bytes of generated text in them)."""
    sizes = [text_bytes(payload, roots) for payload in events.payloads(stream)]
    return len(sizes), sum(sizes)


def tokens_for(size_bytes: int) -> int:
    """The estimate, at least 1."""
    return max(1, -(-size_bytes // BYTES_PER_TOKEN))
