"""What the connections of a busy process are to send, until it has read what came in: then all send in a row.

Most reads cause a write to another socket. Sent at once, between the work of two calls, each would find its peer asleep
and the kernel's code gone from the processor's caches; sent in a row they make a call a quarter cheaper (decision
0028). Where little goes on, nothing waits.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final, cast

from hypereal.kit import log

WRITES_BUSY: Final = 2
"""After a turn of more, the writes of the next one are gathered."""
BOXES_MAX: Final = 32
"""As many connections wait at most: then all send, lest an answer wait for the work of very many calls."""
AT_ONCE_BYTES: Final = 64 * 1024
"""As much is not gathered: sending it takes longer than waking its reader."""


class Turn:
    """What this process's event loop does until nothing more comes in: one round of it, or some. Then the next begins.

    Until a loop is `joined`, nothing waits.
    """

    def __init__(self) -> None:
        self.boxes: list[Outbox] = []
        """Those that wait."""
        self.writes = 0
        """In this turn."""
        self._seen = 0
        """How many waited when the loop last came round."""
        self.is_busy = False
        """Whether the last turn was: then writes are gathered."""
        self.before_send: Callable[[], None] = _nothing
        """What must be done before a byte leaves the process: to write down what it was paid for."""
        self._call_soon: Callable[[Callable[[], None]], object] | None = None

    def join(self, loop: asyncio.AbstractEventLoop, before_send: Callable[[], None]) -> None:
        """From now on the turns are LOOP's."""
        self._call_soon, self.before_send = loop.call_soon, before_send

    def leave(self) -> None:
        """The loop ends: from now on nothing waits."""
        self.send()
        self._call_soon, self.before_send, self.is_busy = None, _nothing, False

    def come_round(self) -> None:
        """Look again when the loop has read what is there."""
        if self._call_soon is not None:
            self._call_soon(self.end)

    def end(self) -> None:
        """Send what waits, unless more came to it since the loop last came round: then the turn goes on."""
        waiting = len(self.boxes)
        if waiting > self._seen:
            self._seen = waiting
            self.come_round()
            return
        self.is_busy = self.writes > WRITES_BUSY
        self.writes = 0
        self.send()

    def send(self) -> None:
        """Send what waits."""
        boxes, self.boxes = self.boxes, []
        self._seen = 0
        self.before_send()
        for box in boxes:
            try:
                box.hand_over()
            except (RuntimeError, OSError):  # of a transport that is over, of TLS: no other connection hangs for it
                log.get("net").exception("a connection could not be written to")
                box.abort()


def _nothing() -> None: ...


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
            now.come_round()
        now.writes += 1
        if not now.is_busy or len(data) >= AT_ONCE_BYTES:
            now.before_send()
            self._transport.write(data)
            return
        self._data = data
        now.boxes.append(self)
        if len(now.boxes) >= BOXES_MAX:
            now.send()

    def writelines(self, parts: tuple[bytes, ...]) -> None:
        """Send PARTS now."""
        self.send()
        turn.before_send()
        self._transport.writelines(parts)

    def send(self) -> None:
        """Send what waits, now."""
        if self._data:
            turn.before_send()
            self.hand_over()

    def hand_over(self) -> None:
        """Give what waits to the transport, where it still takes it; `before_send` is done."""
        data, self._data = self._data, b""
        if data and not self.is_closing():
            self._transport.write(data)

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
