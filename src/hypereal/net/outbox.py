"""What the connections of a busy process are to send, until the turn of its event loop ends: then all send in a row.

A busy process reads from many sockets in one turn, and most reads cause a write to another socket. Sent at once, between
the work of two calls, each write would find its peer asleep and the kernel's code gone from the processor's caches; sent
in a row they make a call a fifth cheaper (decision 0028). Where little goes on, nothing waits.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final, cast

from hypereal.kit import log

WRITES_BUSY: Final = 2
"""After a turn of more, the writes of the next one are gathered."""
BOXES_MAX: Final = 32
"""Connections that wait for the end of a turn: more make all send now, lest an answer wait for the work of very many."""
AT_ONCE_BYTES: Final = 64 * 1024
"""As much is not gathered: sending it takes longer than waking its reader."""


class Turn:
    """One turn of this process's event loop after the other. Until a loop is `joined`, nothing waits."""

    def __init__(self) -> None:
        self.boxes: list[Outbox] = []
        """Those that wait."""
        self.writes = 0
        """In this turn."""
        self.is_busy = False
        """Whether the last turn was: then writes are gathered."""
        self._call_soon: Callable[[Callable[[], None]], object] | None = None

    def join(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """From now on the turns are LOOP's; None: nothing waits any more."""
        self.end()
        self.is_busy = False
        self._call_soon = None if loop is None else loop.call_soon

    def begin(self) -> None:
        """The first write of a turn."""
        if self._call_soon is not None:
            self._call_soon(self.end)

    def end(self) -> None:
        """The turn is over: send what waits."""
        self.is_busy = self.writes > WRITES_BUSY
        self.writes = 0
        self.send()

    def send(self) -> None:
        """Send what waits."""
        boxes, self.boxes = self.boxes, []
        for box in boxes:
            try:
                box.send()
            except Exception:  # no other connection is to hang for it
                log.get("net").exception("a connection could not be written to")
                box.abort()


turn: Final = Turn()


class Outbox:
    """The transport of a connection, whose writes wait for the end of a busy turn."""

    __slots__ = (
        "_data",
        "_transport",
        "can_write_eof",
        "get_extra_info",
        "is_closing",
        "pause_reading",
        "resume_reading",
        "set_protocol",
        "set_write_buffer_limits",
    )

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._data = b""
        self.is_closing: Callable[[], bool] = transport.is_closing
        self.can_write_eof: Callable[[], bool] = transport.can_write_eof
        self.pause_reading: Callable[[], None] = transport.pause_reading
        self.resume_reading: Callable[[], None] = transport.resume_reading
        self.set_protocol: Callable[[asyncio.BaseProtocol], None] = transport.set_protocol
        self.set_write_buffer_limits: Callable[[int], None] = transport.set_write_buffer_limits
        self.get_extra_info: Callable[[str], Any] = transport.get_extra_info

    def write(self, data: bytes) -> None:
        """Send DATA: now, or when a busy turn ends."""
        if self._data:
            self._data += data
            if len(self._data) >= AT_ONCE_BYTES:
                self.send()
            return
        now = turn
        if not now.writes:
            now.begin()
        now.writes += 1
        if not now.is_busy or len(data) >= AT_ONCE_BYTES:
            self._transport.write(data)
            return
        self._data = data
        now.boxes.append(self)
        if len(now.boxes) >= BOXES_MAX:
            now.send()

    def send(self) -> None:
        """Send what waits, now."""
        data = self._data
        if data:
            self._data = b""
            if not self.is_closing():
                self._transport.write(data)

    def writelines(self, parts: tuple[bytes, ...]) -> None:
        """Send PARTS now."""
        self.send()
        self._transport.writelines(parts)

    def get_write_buffer_size(self) -> int:
        """Bytes that were not sent yet."""
        return len(self._data) + self._transport.get_write_buffer_size()

    def write_eof(self) -> None:
        """Send what waits, then FIN."""
        self.send()
        self._transport.write_eof()

    def close(self) -> None:
        """Send what waits, then close."""
        self.send()
        self._transport.close()

    def abort(self) -> None:
        """Hand what waits to the kernel, then close without waiting for anybody."""
        self.send()
        self._transport.abort()


def outbox_of(transport: asyncio.BaseTransport) -> asyncio.Transport:
    """An outbox for TRANSPORT: a transport in all but name, as uvloop's own are."""
    return cast(asyncio.Transport, Outbox(cast(asyncio.Transport, transport)))
