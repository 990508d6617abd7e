"""Images that came inside a body as base64: how many there are and how many of its bytes they are.

A vendor counts an image by its pixels, so its bytes would make a hold far too large.
"""

from typing import NamedTuple

import msgspec

from hypereal.wire.members import LIST, NULL, OBJECT, UNREADABLE, Fields, kind

BODY_BYTES_MIN = 64 * 1024
"""Smaller bodies are not looked at: their bytes are no burden."""
DEPTH_MAX = 4
"""Images stand in parts of messages, or one level deeper in tool results."""


class InlineImages(NamedTuple):
    """How many images a body carries, and how many of its bytes they are."""

    number: int
    size_bytes: int


NONE = InlineImages(0, 0)


class _Part(msgspec.Struct, gc=False, rename={"inline_data": "inlineData"}):
    """A message or a part of one, of any dialect: only the members that can hold an image or further parts."""

    image_url: msgspec.Raw = NULL
    """Chat: an object with `url`; responses: the URL itself."""
    source: msgspec.Raw = NULL
    """Messages."""
    inline_data: msgspec.Raw = NULL
    """Gemini."""
    content: msgspec.Raw = NULL
    output: msgspec.Raw = NULL
    parts: msgspec.Raw = NULL


class _Payload(msgspec.Struct, gc=False, rename={"mime_type": "mimeType"}):
    """What holds the bytes: `{url}`, `{type, media_type, data}` or `{mimeType, data}`."""

    url: msgspec.Raw = NULL
    data: msgspec.Raw = NULL
    media_type: str = ""
    mime_type: str = ""


_parts = msgspec.json.Decoder(list[_Part])
_payload = msgspec.json.Decoder(_Payload)


def inline_images(fields: Fields, member: str, size_bytes: int) -> InlineImages:
    """Those in the list FIELDS[MEMBER] of a body of SIZE_BYTES. A shape we do not know counts as none: by its bytes."""
    raw = fields.get(member)
    if size_bytes <= BODY_BYTES_MIN or raw is None:
        return NONE
    try:
        sizes = _sizes(raw, DEPTH_MAX)
    except UNREADABLE:
        return NONE
    return InlineImages(len(sizes), sum(sizes))


def _sizes(parts: msgspec.Raw, depth: int) -> list[int]:
    if depth == 0 or kind(parts) != LIST:
        return []
    found = []
    for part in _parts.decode(parts):
        found += [size for raw in (part.image_url, part.source, part.inline_data) if (size := _image_bytes(raw))]
        for nested in (part.content, part.output, part.parts):
            found += _sizes(nested, depth - 1)
    return found


def _image_bytes(raw: msgspec.Raw) -> int:
    """Bytes of the base64 text in RAW; 0 where it is no inline image."""
    if kind(raw) == OBJECT:
        payload = _payload.decode(raw)
        if (payload.media_type or payload.mime_type).startswith("image/"):
            return len(memoryview(payload.data))
        raw = payload.url
    value = memoryview(raw)
    return len(value) if bytes(value[:12]) == b'"data:image/' else 0
