"""The top level of a caller's JSON body: checked once, its members kept as the bytes that they came in.

What we do not need to know is not decoded; it goes on byte for byte.
"""

from functools import lru_cache
from struct import Struct
from typing import Any, Final

import msgspec

from hypereal.kit.errors import InvalidRequest
from hypereal.wire.own import NO_OWN, Hypereal, Own

Fields = dict[str, msgspec.Raw]
"""Members in the caller's order; of doubled ones the last, so that what is priced is what is sent."""

NULL: Final = msgspec.Raw(b"null")
"""For members that are absent; the same to us as null."""
TRUE: Final = msgspec.Raw(b"true")
FALSE: Final = msgspec.Raw(b"false")
NAMES_MAX: Final = 4096
"""Names of models that are kept as JSON."""
UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What decoding hostile bytes raises."""

_object: Final = msgspec.json.Decoder(Fields)
_text: Final = msgspec.json.Decoder(str)
_whole: Final[msgspec.json.Decoder[int | None]] = msgspec.json.Decoder(int | None)
_any: Final = msgspec.json.Decoder(Any)
encode: Final = msgspec.json.Encoder().encode
kind: Final = Struct("c").unpack_from
"""What kind of value a member is, by the byte that it begins with, of which it makes no copy."""
LIST, OBJECT = kind(b"["), kind(b"{")


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


_hypereal: Final = msgspec.json.Decoder(Hypereal | None)
_intent: Final = msgspec.json.Decoder(str | None)


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
    raw = fields.get("model")
    if own.intent is not None and (raw is None or raw == NULL):
        fields.pop("model", None)
        return ""
    try:
        name = "" if raw is None else _text.decode(raw)
    except msgspec.MsgspecError:
        raise InvalidRequest("'model' must be a string.", param="model") from None
    if not name:
        raise InvalidRequest("'model' is missing.", param="model")
    return name


@lru_cache(NAMES_MAX)
def written(name: str) -> msgspec.Raw:
    """NAME, a model's at an upstream, as JSON."""
    return msgspec.Raw(encode(name))


def flag(fields: Fields, name: str) -> bool:
    """A boolean; absent or null is false. Raises InvalidRequest."""
    raw = fields.get(name)
    if raw == TRUE:
        return True
    if raw is None or raw in (FALSE, NULL):
        return False
    raise InvalidRequest(f"'{name}' must be true or false.", param=name)


def whole(fields: Fields, name: str, *, least: int = 1) -> int | None:
    """A whole number of LEAST or more; None where absent or null. Raises InvalidRequest."""
    raw = fields.get(name)
    if raw is None:
        return None
    try:
        value = _whole.decode(raw)
    except msgspec.MsgspecError:
        value = least - 1
    if value is not None and value < least:
        raise InvalidRequest(f"'{name}' must be a whole number of {least} or more.", param=name)
    return value


def require_list(fields: Fields, name: str) -> None:
    """Raises InvalidRequest unless the member is there and is a list."""
    raw = fields.get(name)
    if raw is None:
        raise InvalidRequest(f"'{name}' is missing.", param=name)
    if kind(raw) != LIST:
        raise InvalidRequest(f"'{name}' must be a list.", param=name)


def decoded(raw: msgspec.Raw, name: str) -> Any:
    """The value of a member as Python has it. Raises InvalidRequest where it cannot (a number such as 1e400)."""
    try:
        return _any.decode(raw)
    except UNREADABLE:
        raise InvalidRequest(f"'{name}' cannot be read.", param=name) from None
