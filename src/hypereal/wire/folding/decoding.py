"""What folding shares: events and answers as Python has them, with one error for all that cannot be used."""

from collections.abc import Iterator
from typing import Any

import msgspec

from hypereal.kit.errors import UpstreamFailed
from hypereal.wire import events
from hypereal.wire.members import UNREADABLE
from hypereal.wire.upstream_errors import error_of_value

_object = msgspec.json.Decoder(dict[str, Any])


def stream_objects(stream: bytes) -> Iterator[dict[str, Any]]:
    """The JSON object of each event. Raises UpstreamFailed for one that is none, and for an error inside."""
    for payload in events.payloads(stream):
        if payload != events.DONE:
            yield _checked(payload)


def answer_object(body: bytes) -> dict[str, Any]:
    """A plain answer. Raises UpstreamFailed where it is no JSON object, or an error."""
    return _checked(body)


def unusable() -> UpstreamFailed:
    """The error for an upstream's answer that does not hold what its dialect promises."""
    return UpstreamFailed("The upstream's answer could not be read.")


def mapping(value: Any) -> dict[str, Any]:
    """VALUE where it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def objects(value: Any) -> list[dict[str, Any]]:
    """The objects in VALUE where it is a list, else none."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def position(value: Any) -> int:
    """VALUE where it is a whole number, else 0: what an index says that was left out."""
    return value if type(value) is int else 0


def _checked(payload: bytes) -> dict[str, Any]:
    try:
        value = _object.decode(payload)
    except UNREADABLE:
        raise unusable() from None
    if (error := error_of_value(200, value)) is not None:
        raise UpstreamFailed(error.message or "The upstream's answer ended with an error.", code=error.code or None)
    return value
