"""What a caller says of a call for its own log: `user` and `metadata`. Decoded only where they are there."""

from typing import TypeVar

import msgspec

from hypereal.kit.dialects import Dialect
from hypereal.wire.members import UNREADABLE, Fields
from hypereal.wire.request import Request

USER_CHARS_MAX = 256
PAIRS_MAX = 16
NAME_CHARS_MAX = 64
VALUE_CHARS_MAX = 256
BYTES_MAX = 32_768
"""Above the longest tags that the vendors take (16 x 576 characters of 3 bytes): longer ones are not looked at."""

Tags = dict[str, str]
Value = TypeVar("Value")

_user = msgspec.json.Decoder(str | None)
_tags = msgspec.json.Decoder(Tags | None)


class _MessagesMetadata(msgspec.Struct, gc=False):
    user_id: str | None = None


_messages_metadata = msgspec.json.Decoder(_MessagesMetadata | None)


def tags_of(request: Request) -> tuple[str | None, Tags | None]:
    """The caller's own (user, tags), each cut to its bounds; None where there is none, or not in its format's shape.

    Nothing is refused here: the upstream says what is wrong with them.
    """
    fields = request.fields
    if request.dialect is Dialect.ANTHROPIC_MESSAGES:
        found = _decoded(_messages_metadata, fields, "metadata")
        return (None if found is None else _user_of(found.user_id)), None
    user = _decoded(_user, fields, "user")
    pairs = list((_decoded(_tags, fields, "metadata") or {}).items())[:PAIRS_MAX]
    return _user_of(user), {name[:NAME_CHARS_MAX]: value[:VALUE_CHARS_MAX] for name, value in pairs} or None


def _user_of(text: str | None) -> str | None:
    return text[:USER_CHARS_MAX] if text else None


def _decoded(decoder: "msgspec.json.Decoder[Value | None]", fields: Fields, name: str) -> Value | None:
    raw = fields.get(name)
    if raw is None or len(memoryview(raw)) > BYTES_MAX:
        return None
    try:
        return decoder.decode(raw)
    except UNREADABLE:
        return None
