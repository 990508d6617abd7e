"""Server-sent events at the level of bytes: where one ends. What they say is for `wire`."""

from collections.abc import Reversible
from typing import Final

from hypereal.net.http1 import LAST_CHUNK, are_whole_chunks, dechunk, may_begin_chunk

EVENT_BYTES_MAX: Final = 16 * 1024 * 1024
EVENT_ENDS: Final = (b"}\n\n\r\n", b"]\n\n\r\n", b"}\r\n\r\n\r\n")
"""How an event in a chunk of its own ends. The bracket tells the blank line from the size line of a chunk."""
CHUNK_ENDS: Final = EVENT_ENDS + tuple(end + LAST_CHUNK for end in EVENT_ENDS)
"""How a read of whole events in whole chunks ends."""
EVENT_STARTS: Final = (b"data:", b"event:")
"""How a stream of events begins, and no JSON does."""
EVENT_START_BYTES_MAX: Final = max(map(len, EVENT_STARTS))
_BOUNDARIES: Final = (b"\n\n", b"\r\n\r\n", b"\r\r")


class EventTooLong(Exception):
    """An upstream sent more than EVENT_BYTES_MAX without ending its event."""


class EventAssembler:
    """Gathers whole events out of payload that was split anywhere. Costs the same however it was split."""

    __slots__ = ("_end", "_parts", "_size_bytes", "is_empty")

    def __init__(self) -> None:
        self.is_empty = True
        """Whether no part of an event is waiting."""
        self._parts: list[bytes] = []
        self._size_bytes = 0
        self._end = b""
        """The last bytes of what waits: the start of a boundary, perhaps."""

    def feed(self, payload: bytes) -> bytes:
        """Take PAYLOAD; return the bytes of every event that is now whole (b'' for none). Raises EventTooLong."""
        if not payload:
            return b""
        carried = len(self._end)
        end = last_boundary(self._end + payload) - carried if carried else last_boundary(payload)
        events, rest = b"", payload
        if end > 0:
            self._parts.append(payload[:end])
            events, rest = self.flush(), payload[end:]
        if rest:
            self._parts.append(rest)
            self.is_empty = False
            self._size_bytes += len(rest)
            self._end = (self._end + rest[-3:])[-3:]
            if self._size_bytes > EVENT_BYTES_MAX:
                raise EventTooLong
        return events

    def flush(self) -> bytes:
        """What is left at the end of the stream: the start of an event that never ended."""
        rest = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._parts = []
        self._size_bytes, self._end, self.is_empty = 0, b"", True
        return rest


def last_boundary(data: bytes) -> int:
    """The offset after the last blank line; 0 where there is none."""
    end = 0
    for boundary in _BOUNDARIES:
        at = data.rfind(boundary, end)
        if at >= 0:
            end = at + len(boundary)
    return end


def first_end(framed: bytes, start: int) -> int:
    """Where the first event of FRAMED, whole events in whole chunks, that ends after START does."""
    for end in EVENT_ENDS:
        at = framed.find(end, start)
        if at >= 0:
            return at + len(end)
    return len(framed)


def last_end(framed: bytes, stop: int) -> int:
    """Where a late event of FRAMED, whole events in whole chunks, before STOP ends; 0 where none surely does.

    Blank lines inside a chunk can look like its end; then no size line follows.
    """
    for end in EVENT_ENDS:  # the first that is found will do: looking for all reads all of FRAMED
        at = framed.rfind(end, 0, stop) + len(end)
        if at >= len(end):
            return at if may_begin_chunk(framed, at) else 0
    return 0


def sure_end(framed: bytes, stop: int) -> int:
    """As `last_end`, for who cuts there: what only looks like the end of a chunk, inside one, is not taken for it."""
    end = last_end(framed, stop) if stop else 0
    return end if not end or are_whole_chunks(framed[:end]) else 0


def last_payload(reads: Reversible[bytes], size_bytes: int) -> bytes:
    """What the last READS of whole events in whole chunks say: SIZE_BYTES, and what it takes to begin with an event."""
    parts: list[bytes] = []
    left_bytes = size_bytes
    for framed in reversed(reads):
        if left_bytes <= 0:
            break
        if len(framed) > 2 * size_bytes:
            framed = framed[last_end(framed, len(framed) - size_bytes) :]
        parts.append(framed)
        left_bytes -= len(framed)
    return dechunk(b"".join(parts[::-1]))
