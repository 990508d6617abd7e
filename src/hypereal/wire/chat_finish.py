"""Usage into the finish chunk of a chat stream, for callers who did not ask for it.

The gateway asks the upstream for usage all the same, and the chunk that comes of it, with no choices, breaks naive
clients. Only the end of a stream goes through here: from the first read on that `finish_at`.
"""

import re
from collections.abc import Callable
from typing import Final

import msgspec

from hypereal.wire import events, members
from hypereal.wire.chat_chunks import Choice
from hypereal.wire.events import DONE

_NEEDLES: Final = (b'"finish_reason":"', b'"finish_reason": "')


_fields: Final = msgspec.json.Decoder(members.Fields)
_choices: Final = msgspec.json.Decoder(list[Choice])
_raw_choices: Final = msgspec.json.Decoder(list[members.Fields])


has_finish: Final[Callable[[bytes], object]] = re.compile(rb'finish_reason": ?"').search
"""Whether `finish_at` may find something, at less cost: no quote in front, since JSON is full of them."""


def finish_at(read: bytes) -> int:
    """Where in READ, whole events of a stream, the last finish chunk may be; -1: nowhere.

    A reason set on a line of its own would be missed; no vendor prints chunks so. It stands near the end, so it is
    looked for from there.
    """
    at = read.rfind(_NEEDLES[0])
    return at if at >= 0 else read.rfind(_NEEDLES[1])


class FinishMerger:
    """Holds the last finish chunk back until its usage is known. Holds one event at most."""

    __slots__ = ("_held", "_usage")

    def __init__(self) -> None:
        self._held: members.Fields | None = None
        self._usage: msgspec.Raw | None = None

    def feed(self, stream: bytes) -> bytes:
        """Take whole events; returns those to send now, unchanged but for the finish chunk."""
        return b"".join([self._feed_one(event) for event in events.split(stream)])

    def end(self) -> bytes:
        """The stream is over: what was held back."""
        return self._release()

    def _feed_one(self, event: bytes) -> bytes:
        payload = events.payload(event)
        if not payload:
            return event
        read = None if payload == DONE else _read(payload)
        if read is None:
            return self._release() + event
        fields, choices = read
        usage = fields.get("usage", members.NULL)
        if not choices:
            if usage == members.NULL:
                return event
            self._usage = usage  # a chunk that holds nothing but usage is dropped, and what waited for it goes
            return self._release()
        released = self._release()
        if usage != members.NULL or not any([choice.finish_reason for choice in choices]):
            return released + event
        self._held = fields
        if any([choice.usage is not None for choice in choices]):
            self._usage = next(one["usage"] for one in _raw_choices.decode(fields["choices"]) if "usage" in one)
        return released

    def _release(self) -> bytes:
        if self._held is None:
            return b""
        held = self._held if self._usage is None else {**self._held, "usage": self._usage}
        self._held = None
        return events.event(members.encode(held))


def _read(payload: bytes) -> tuple[members.Fields, list[Choice]] | None:
    """The members of a chunk and its choices; None for what is no chunk, which is not touched."""
    try:
        if not payload.isascii():
            payload.decode()  # decoding into structs leaves bytes unread that are no UTF-8
        fields = _fields.decode(payload)
        return fields, _choices.decode(fields["choices"]) if "choices" in fields else []
    except members.UNREADABLE:
        return None
