"""Usage into the finish chunk of a chat stream, for callers who did not ask for it.

The gateway asks the upstream for usage all the same, and the chunk that comes of it, with no choices, breaks naive
clients. Only the end of a stream goes through here: from the first read on that `finish_at`.
"""

import msgspec

from hypereal.wire import events, members
from hypereal.wire.events import DONE
from hypereal.wire.openai_chat import chunk_of

_NEEDLES = (b'"finish_reason":"', b'"finish_reason": "')


_choices = msgspec.json.Decoder(list[members.Fields])


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
        return b"".join(self._feed_one(event) for event in events.split(stream))

    def end(self) -> bytes:
        """The stream is over: what was held back."""
        return self._release()

    def _feed_one(self, event: bytes) -> bytes:
        payload = next(events.payloads(event), b"")
        if not payload:
            return event
        chunk = None if payload == DONE or not _is_text(payload) else chunk_of(payload)
        if chunk is None:
            return self._release() + event
        if not chunk.choices:
            return event if chunk.usage is None else self._take(payload)
        released = self._release()
        if not chunk.is_finish or chunk.usage is not None:
            return released + event
        self._held = members.parse(payload)
        said = [choice["usage"] for choice in _choices.decode(self._held["choices"]) if "usage" in choice]
        self._usage = said[0] if said else self._usage
        return released

    def _take(self, payload: bytes) -> bytes:
        """A chunk that holds nothing but usage is dropped, and what waited for it goes."""
        self._usage = members.parse(payload)["usage"]
        return self._release()

    def _release(self) -> bytes:
        if self._held is None:
            return b""
        held = self._held if self._usage is None else {**self._held, "usage": self._usage}
        self._held = None
        return events.event(members.encode(held))


def _is_text(payload: bytes) -> bool:
    """Decoding into structs leaves bytes unread that are no UTF-8; what is not, we do not touch."""
    try:
        payload.decode()
    except UnicodeDecodeError:
        return False
    return True
