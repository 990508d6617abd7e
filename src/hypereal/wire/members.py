"""The top level of a caller's JSON body: checked once, its members kept as the bytes that they came in.

What we do not need to know is not decoded; it goes on byte for byte.
"""

from typing import Any

import msgspec

from hypereal.kit.errors import InvalidRequest
from hypereal.wire.own import NO_OWN, Hypereal, Own

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


_hypereal = msgspec.json.Decoder(Hypereal | None)
_intent = msgspec.json.Decoder(str | None)


def take_own(fields: Fields) -> Own:
    """Take the gateway's own members off. Raises InvalidRequest where they are not of their shape."""
    if "hypereal" not in fields and "intent" not in fields:
        return NO_OWN
    try:
        hypereal = _hypereal.decode(fields.pop("hypereal", NULL)) or Hypereal()
    except UNREADABLE:
        raise InvalidRequest("'hypereal' must be an object like {\"cache\": false}.", param="hypereal") from None
    if hypereal.cache not in (None, "auto", True, False):
        raise InvalidRequest("'hypereal.cache' must be \"auto\" or false.", param="hypereal.cache")
    try:
        intent = _intent.decode(fields.pop("intent", NULL))
    except UNREADABLE:
        raise InvalidRequest("'intent' must be a string.", param="intent") from None
    return Own(caches=hypereal.cache is not False, intent=intent or None)


def model(fields: Fields, own: Own) -> str:
    """The model that is asked for; '' where an intent stands in its place. Raises InvalidRequest."""
    if own.intent is not None and fields.get("model", NULL) == NULL:
        fields.pop("model", None)
        return ""
    return text(fields, "model")


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
