"""The top level of a caller's JSON body: checked once, its members kept as the bytes that they came in.

What we do not need to know is not decoded; it goes on byte for byte.
"""

from typing import Any

import msgspec

from hypereal.kit.errors import InvalidRequest

Fields = dict[str, msgspec.Raw]
"""Members in the caller's order; of doubled ones the last, so that what is priced is what is sent."""

NULL = msgspec.Raw(b"null")
"""For members that are absent; the same to us as null."""
TRUE = msgspec.Raw(b"true")
FALSE = msgspec.Raw(b"false")
UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What decoding hostile bytes raises."""

_object = msgspec.json.Decoder(Fields)
_text = msgspec.json.Decoder(str)
_whole = msgspec.json.Decoder(int)
_any = msgspec.json.Decoder(Any)
encode = msgspec.json.Encoder().encode


def parse(body: bytes | bytearray) -> Fields:
    """The members of BODY, which they point into. Raises InvalidRequest for what is not one JSON object in UTF-8."""
    try:
        if not body.isascii():
            body.decode()
        return _object.decode(body)
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"The body is not valid UTF-8 (at byte {error.start}).") from None
    except msgspec.ValidationError:
        raise InvalidRequest("The body must be one JSON object.") from None
    except msgspec.MsgspecError as error:
        raise InvalidRequest(f"The body is not valid JSON: {error}.") from None
    except RecursionError:
        raise InvalidRequest("The body is nested too deeply.") from None


def take_own(fields: Fields) -> None:
    """Take the gateway's own members off, so that no upstream sees them. Raises InvalidRequest for a wrong type."""
    if "hypereal" in fields:
        own = fields.pop("hypereal")
        if own != NULL and not starts_with(own, "{"):
            raise InvalidRequest("'hypereal' must be an object.", param="hypereal")
    if "intent" in fields:
        own = fields.pop("intent")
        if own != NULL and not starts_with(own, '"'):
            raise InvalidRequest("'intent' must be a string.", param="intent")


def text(fields: Fields, name: str) -> str:
    """A member that must be there and be a string that is not empty. Raises InvalidRequest."""
    raw = fields.get(name)
    try:
        value = "" if raw is None else _text.decode(raw)
    except msgspec.MsgspecError:
        raise InvalidRequest(f"'{name}' must be a string.", param=name) from None
    if not value:
        raise InvalidRequest(f"'{name}' is missing.", param=name)
    return value


def flag(fields: Fields, name: str) -> bool:
    """A boolean; absent or null is false. Raises InvalidRequest."""
    raw = fields.get(name)
    if raw is None or raw in (FALSE, NULL):
        return False
    if raw == TRUE:
        return True
    raise InvalidRequest(f"'{name}' must be true or false.", param=name)


def whole(fields: Fields, name: str, *, least: int = 1) -> int | None:
    """A whole number of LEAST or more; None where absent or null. Raises InvalidRequest."""
    raw = fields.get(name)
    if raw is None or raw == NULL:
        return None
    try:
        value = _whole.decode(raw)
    except msgspec.MsgspecError:
        value = least - 1
    if value < least:
        raise InvalidRequest(f"'{name}' must be a whole number of {least} or more.", param=name)
    return value


def require_list(fields: Fields, name: str) -> None:
    """Raises InvalidRequest unless the member is there and is a list."""
    raw = fields.get(name)
    if raw is None:
        raise InvalidRequest(f"'{name}' is missing.", param=name)
    if not starts_with(raw, "["):
        raise InvalidRequest(f"'{name}' must be a list.", param=name)


def starts_with(raw: msgspec.Raw, character: str) -> bool:
    """Whether the value begins with CHARACTER: its kind, without a copy of it."""
    return memoryview(raw)[0] == ord(character)


def decoded(raw: msgspec.Raw, name: str) -> Any:
    """The value of a member as Python has it. Raises InvalidRequest where it cannot (a number such as 1e400)."""
    try:
        return _any.decode(raw)
    except UNREADABLE:
        raise InvalidRequest(f"'{name}' cannot be read.", param=name) from None
