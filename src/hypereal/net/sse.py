"""Server-sent events at the level of bytes: where one ends. What they say is for `wire`."""

EVENT_BYTES_MAX = 16 * 1024 * 1024
_BOUNDARIES = (b"\n\n", b"\r\n\r\n", b"\r\r")


class EventTooLong(Exception):
    """An upstream sent more than EVENT_BYTES_MAX without ending its event."""


class EventAssembler:
    """Gathers whole events out of payload that was split anywhere."""

    __slots__ = ("_rest", "_scanned")

    def __init__(self) -> None:
        self._rest = b""
        self._scanned = 0

    @property
    def is_empty(self) -> bool:
        """Whether no part of an event is waiting."""
        return not self._rest

    def feed(self, payload: bytes) -> bytes:
        """Take PAYLOAD; return the bytes of every event that is now whole (b'' for none). Raises EventTooLong."""
        data = self._rest + payload if self._rest else payload
        end = last_boundary(data, max(0, self._scanned - 3))
        self._rest = data[end:]
        self._scanned = len(self._rest)
        if self._scanned > EVENT_BYTES_MAX:
            raise EventTooLong
        return data[:end]

    def flush(self) -> bytes:
        """What is left at the end of the stream: the start of an event that never ended."""
        rest, self._rest, self._scanned = self._rest, b"", 0
        return rest


def last_boundary(data: bytes, start: int = 0) -> int:
    """The offset after the last blank line that begins at START or later; 0 where there is none."""
    end = 0
    for boundary in _BOUNDARIES:
        at = data.rfind(boundary, start)
        if at >= 0:
            end = max(end, at + len(boundary))
    return end


def split_events(data: bytes) -> list[bytes]:
    """The events of DATA, each with the blank line that ends it. DATA ends with a boundary."""
    events = []
    start = 0
    while start < len(data):
        ends = [at + len(b) for b in _BOUNDARIES if (at := data.find(b, start)) >= 0]
        end = min(ends, default=len(data))
        events.append(data[start:end])
        start = end
    return events
